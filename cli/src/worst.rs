//! What one request may cost at worst, as a table: a line for each group.

use router_core::{Config, GroupId, Longest, Price, Span};
use scenarios::quantity::Quantity;

const HEADING: [&str; 6] = [
    "at worst, a request to",
    "makes",
    "pays for 1M tokens in + out",
    "waits in its queue",
    "takes",
    "its timeouts and waits add up to",
];

/// What costs nothing, or has no known price.
const FREE: &str = "free";

/// The table, or nothing if there is no group.
pub(crate) fn table(config: &Config) -> String {
    let deadline = config.router().deadline;
    let groups = config.groups().iter().enumerate().map(|(index, group)| {
        let worst = config.worst_case(GroupId::at(index));
        let calls = match worst.attempts {
            1 => "1 call".to_owned(),
            calls => format!("{calls} calls"),
        };
        let both = [worst.stream, worst.whole];
        // Nothing is cut off or held up: it has been said how long that is.
        let is_all = both.iter().all(|longest| longest.latency == longest.own);
        let own = if is_all { String::new() } else { times(both.map(|longest| longest.own)) };
        // Its deadline ends a wait as well.
        let queued = group.queue.map_or_else(String::new, |q| time(q.timeout.min(deadline)));
        let (price, takes) = (price(worst.price), takes(both, deadline));
        [format!("  {}", group.name), calls, price, queued, takes, own]
    });
    let rows: Vec<[String; 6]> = [HEADING.map(str::to_owned)].into_iter().chain(groups).collect();
    // Where nothing is in a column, nothing is said of it.
    let says = |row: &[String; 6], column: usize| !matches!(row[column].as_str(), "" | FREE);
    let shown: Vec<usize> =
        (0..6).filter(|&column| rows.iter().skip(1).any(|row| says(row, column))).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths = [0, 1, 2, 3, 4, 5].map(|column| width(column).unwrap_or_default());
    let line = |row: &[String; 6]| {
        let cells = shown.iter().map(|&column| format!("{:1$}", row[column], widths[column]));
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

/// How long it may take, and whether that is because of the deadline.
fn takes(both: [Longest; 2], deadline: Span) -> String {
    let said = times(both.map(|longest| longest.latency));
    if both.iter().any(|longest| longest.latency == Span::MAX) {
        // What it waits for may be held up by others for as long as they like.
        return format!("{said} (no deadline)");
    }
    let is_deadline = both.iter().all(|longest| longest.latency == deadline);
    if is_deadline { format!("{said} (the deadline)") } else { said }
}

/// One time, or two if it matters whether the answer streams.
fn times([stream, whole]: [Span; 2]) -> String {
    if stream == whole {
        return time(stream);
    }
    format!("{} streaming, {} if not", time(stream), time(whole))
}

/// What a million tokens of the prompt, and of the longest answer, may cost over all calls.
fn price(price: Price) -> String {
    let dollars = |pico: u64| {
        let price = Quantity::Price(pico).to_string();
        price.strip_suffix(" USD/Mtok").unwrap_or(&price).to_owned()
    };
    if price == Price::FREE {
        return FREE.to_owned();
    }
    format!("{} + {} USD", dollars(price.input), dollars(price.output))
}

/// `2 min 12 s`, rounded up to what is written.
fn time(span: Span) -> String {
    if span == Span::MAX {
        return "no bound".to_owned();
    }
    let ms = span.as_nanos().div_ceil(1_000_000);
    if ms < 1_000 {
        return format!("{ms} ms");
    }
    let tenths = ms.div_ceil(100);
    if tenths < 1_200 {
        let part =
            if tenths.is_multiple_of(10) { String::new() } else { format!(".{}", tenths % 10) };
        return format!("{}{part} s", tenths / 10);
    }
    let seconds = ms.div_ceil(1_000);
    let (whole, rest, names) = if seconds < 7_200 {
        (seconds / 60, seconds % 60, ("min", "s"))
    } else {
        let minutes = seconds.div_ceil(60);
        (minutes / 60, minutes % 60, ("h", "min"))
    };
    if rest == 0 {
        format!("{whole} {}", names.0)
    } else {
        format!("{whole} {} {rest} {}", names.0, names.1)
    }
}

#[cfg(test)]
mod tests {
    use router_core::{DeploymentSpec, GroupSpec, MemberSpec, QueueSpec, RetrySpec, Spec};

    use super::*;

    #[test]
    fn each_column_says_what_the_others_do_not_deny() {
        let mut spec = Spec::default();
        spec.deployments.push(DeploymentSpec::new("a".to_owned()));
        let mut group = GroupSpec::new("chat".to_owned());
        group.members.push(MemberSpec { deployment: "a".to_owned(), weight: 1, tier: 0 });
        spec.groups.push(group);
        let lines = |spec: &Spec| {
            let config = Config::new(spec).expect("it is right");
            let table = table(&config);
            let cells = |line: &str| {
                line.split("  ")
                    .map(str::trim)
                    .filter(|cell| !cell.is_empty())
                    .collect::<Vec<_>>()
                    .join("|")
            };
            table.lines().map(cells).collect::<Vec<_>>()
        };
        let own = "its timeouts and waits add up to";
        let paid = "pays for 1M tokens in + out";
        assert_eq!(
            lines(&spec),
            [
                format!("at worst, a request to|makes|takes|{own}"),
                "chat|3 calls|10 min (the deadline)|15 min 24 s streaming, 34 min 24 s if not"
                    .to_owned(),
            ]
        );
        spec.router.deadline = Span::MAX;
        let said = lines(&spec)[1].clone();
        assert!(said.contains("|no bound (no deadline)|15 min 24 s streaming"), "{said}");
        // What is never tried again waits for nobody, so no deadline is missed.
        spec.groups[0].retry = RetrySpec { most: [0; 6] };
        spec.deployments[0].price = Price { input: 150_000, cached: 0, output: 2_000_000 };
        assert_eq!(
            lines(&spec),
            [
                format!("at worst, a request to|makes|{paid}|takes"),
                "chat|1 call|0.15 + 2 USD|10 min".to_owned(),
            ]
        );
        spec.groups[0].queue = Some(QueueSpec::new(100));
        let queued =
            "at worst, a request to|makes|pays for 1M tokens in + out|waits in its queue|takes";
        assert_eq!(lines(&spec), [queued, "chat|1 call|0.15 + 2 USD|5 s|10 min 5 s"]);
        spec.router.deadline = Span::from_secs(4);
        let beyond = format!("{queued}|{own}");
        let both = "chat|1 call|0.15 + 2 USD|4 s|4 s (the deadline)|10 min 5 s".to_owned();
        assert_eq!(lines(&spec), [beyond, both]);
        spec.router.deadline = Span::MAX;
        spec.groups[0].timeouts.total = Span::MAX;
        assert!(lines(&spec)[1].ends_with("|no bound (no deadline)"));
    }

    #[test]
    fn times_are_rounded_up_to_what_is_written() {
        for (ns, said) in [
            (1, "1 ms"),
            (999_000_000, "999 ms"),
            (1_000_000_000, "1 s"),
            (1_010_000_000, "1.1 s"),
            (119_900_000_000, "119.9 s"),
            (119_910_000_000, "2 min"),
            (7_199_000_000_000, "119 min 59 s"),
            (7_201_000_000_000, "2 h 1 min"),
            (u64::MAX, "no bound"),
        ] {
            assert_eq!(time(Span::from_nanos(ns)), said);
        }
    }
}
