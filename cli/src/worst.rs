//! What one request may cost at worst, as a table: a line for each group.

use router_core::{Config, GroupId, Longest, Span, WorstCase};

/// The table, or nothing if there is no group.
pub(crate) fn table(config: &Config) -> String {
    let heading = ["at worst, a request to", "makes", "takes", "without the deadline"];
    let heading = heading.map(str::to_owned);
    let groups = config.groups().iter().enumerate().map(|(index, group)| {
        let worst = config.worst_case(GroupId::at(index));
        let WorstCase { attempts, stream, whole } = worst;
        let calls = if attempts == 1 { "1 call".to_owned() } else { format!("{attempts} calls") };
        let own = both(stream.own, whole.own);
        let cut = [stream, whole].iter().any(|longest| longest.latency != longest.own);
        let own = if cut { own } else { String::new() };
        let takes = both(stream.latency, whole.latency);
        let deadline = config.router().deadline;
        let is_deadline = |longest: Longest| longest.latency == deadline && deadline != Span::MAX;
        let takes = match (is_deadline(stream), is_deadline(whole)) {
            (true, true) => format!("{takes} (the deadline)"),
            (_, _) => takes,
        };
        [format!("  {}", group.name), calls, takes, own]
    });
    let rows: Vec<[String; 4]> = [heading].into_iter().chain(groups).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths = [0, 1, 2].map(|column| width(column).unwrap_or_default());
    let line = |[group, calls, takes, own]: &[String; 4]| {
        let [first, second, third] = widths;
        let line = format!("{group:first$}  {calls:second$}  {takes:third$}  {own}");
        format!("{}\n", line.trim_end())
    };
    rows.iter().map(line).collect()
}

/// One time, or two if it matters whether the answer streams.
fn both(stream: Span, whole: Span) -> String {
    if stream == whole {
        return time(stream);
    }
    format!("{} streaming, {} if not", time(stream), time(whole))
}

/// `2 min 12 s`, rounded up to what is written.
fn time(span: Span) -> String {
    if span == Span::MAX {
        return "for ever".to_owned();
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
    use super::*;

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
            (u64::MAX, "for ever"),
        ] {
            assert_eq!(time(Span::from_nanos(ns)), said);
        }
    }
}
