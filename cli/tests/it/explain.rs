//! Explanations of whole runs: of calls, of metrics, and of what cannot be explained.

use crate::{Desk, Said};

/// Two deployments, one of which is down for a minute while the other asks for patience.
const ROUGH: &str = r#"
title = "A rough minute"
question = "What did it cost us?"
seed = 3
[demand."*".normal]
rate = "6/s"
lasts = "4 min"
client = { tries = 3, timeout = "20 s" }
[fault.down]
on = "az"
at = "60 s"
lasts = "60 s"
outage = "503"
[fault.busy]
on = "oai"
of = "30 %"
at = "70 s"
lasts = "60 s"
answers = ["429 retry-after=5", "429", "500", "ok"]
[expect]
"users are answered" = "success.rate >= 99 %"
"users are answered at once" = "ttft.p95 < 1 ms"
"#;

const TWO: &str = r#"
[router]
attempts = 4
deadline = "15 s"
[limit.org]
requests = "100/min"
[deployment.az]
provider = "azure-openai"
model = "gpt-4o-mini"
[deployment.oai]
provider = "openai"
model = "gpt-4o-mini"
limit = "org"
[group.chat]
members = { az = 3, oai = 1 }
timeouts = { first_token = "5 s" }
"#;

fn rough() -> Desk {
    let desk = Desk::new().with("rough.toml", ROUGH).with("two.toml", TWO);
    let said = desk.seawall("run rough.toml -r two.toml").ended(1);
    assert!(said.out.ends_with("\nexplain          seawall explain latest success.rate\n"));
    // The run's folder is all that it takes.
    std::fs::remove_file(desk.path("rough.toml")).expect("it was there");
    desk.with("two.toml", "not what it was")
}

/// What a line that begins so goes on with.
fn after<'t>(text: &'t str, begins: &str) -> &'t str {
    let mut found = text.lines().filter_map(|line| line.trim_start().strip_prefix(begins));
    found.next().unwrap_or_else(|| panic!("`{begins}` in\n{text}")).trim()
}

/// The seconds and the like that stand alone in a line.
fn amount(text: &str) -> f64 {
    let word = text.split_whitespace().next().expect("there is a number");
    word.replace([',', '$'], "").parse().expect("it is a number")
}

#[test]
fn what_is_worth_a_look_is_told_with_its_command() {
    let desk = rough();
    let said = desk.seawall("explain").ended(0);
    let commands = said.out.lines().filter_map(|line| line.split_once("seawall explain latest "));
    let commands: Vec<&str> = commands.map(|(_, subject)| subject).collect();
    assert!(commands.len() >= 6, "{}", said.out);
    assert_eq!(
        commands.iter().filter(|subject| subject.starts_with('r')).count(),
        commands.len() - 2
    );
    for subject in commands {
        let said = desk.seawall(&format!("explain latest {subject}")).ended(0);
        assert_eq!(said.err, "", "{subject}");
        assert!(said.out.starts_with(&format!("{subject}: ")) || said.out.starts_with(subject));
        assert!(said.out.contains("\nrough.toml, router two.toml, seed 3\n"), "{}", said.out);
        assert!(said.out.lines().all(|line| line.chars().count() <= 100), "{}", said.out);
    }
    // Without `latest`, and by its folder, it is the same.
    let long = desk.seawall("explain runs/latest ttft.p95").ended(0);
    assert_eq!(desk.seawall("explain ttft.p95").ended(0).out, long.out);
}

#[test]
fn a_failed_call_is_told_from_its_first_try_to_its_last() {
    let desk = rough();
    let list = desk.seawall("explain").ended(0).out;
    let line = list.lines().find(|line| line.contains("one that failed")).expect("many failed");
    let (_, id) = line.rsplit_once(' ').expect("it ends with its number");
    let story = desk.seawall(&format!("explain {id}")).ended(0).out;
    for part in [
        " into the run, during `normal` and `down`",
        "attempt 1 goes to ",
        "server error 503 after ",
        "gives up: ",
        "the client is told of the last failure: ",
        &format!(", as {id}.1\n"),
        &format!(", as {id}.2\n"),
        "the client's own wait before it tried again",
    ] {
        assert!(story.contains(part), "{part} in\n{story}");
    }
    // Any try of it is the same call, and so is an attempt.
    for same in [format!("{id}.2"), format!("{id}#1"), format!("{id}.1#2")] {
        assert_eq!(desk.seawall(&format!("explain latest {same}")).ended(0).out, story);
    }
}

#[test]
fn who_could_not_be_chosen_is_told_with_numbers() {
    let desk = rough();
    let table = desk.text("runs/latest/requests.csv");
    let failed = table.lines().filter(|line| line.contains(",failed,"));
    let ids = failed.filter_map(|line| line.split(',').next()).step_by(9).take(12);
    let stories: String =
        ids.map(|id| desk.seawall(&format!("explain {id}")).ended(0).out).collect();
    for part in ["not az: cooling for ", "not oai: cooling for ", " more, after a 429 at 1:"] {
        assert!(stories.contains(part), "{part} in\n{stories}");
    }
}

#[test]
fn every_metric_can_be_explained() {
    let desk = rough();
    for metric in [
        "recovery(down)",
        "share {deployment=az}",
        "ttft.p95 {deployment=az}",
        "total.max {deployment=oai, during=down}",
        "success.rate {deployment=az}",
        "success.rate {group=chat}",
        "cost.per_1k {deployment=az}",
        "retries.share",
        "failures.server",
        "breaker.openings",
        "ejected.share",
        "stranded.time",
    ] {
        let told = desk.command("explain").arg(metric).output().expect("it can be started");
        let text = Said::from(told).ended(0).out;
        assert!(text.starts_with(metric) && text.lines().count() > 3, "{text}");
    }
}

#[test]
fn the_parts_of_a_metric_add_up_to_it() {
    let desk = rough();
    for metric in ["ttft.p95", "total.mean", "ttft.max", "ttft.p50 {during=down}"] {
        let told = desk.command("explain").arg(metric).output().expect("it can be started");
        let text = Said::from(told).ended(0).out;
        let parts = [
            "attempts that did not answer",
            "the router waiting before another",
            "clients waiting to try again",
            "the provider that answered",
            "the queue",
            "the router itself",
        ];
        let sum: f64 = parts.iter().map(|part| amount(after(&text, part))).sum();
        let all = amount(after(&text, "together"));
        assert!((sum - all).abs() < 1e-6 && all > 0.0, "{sum} of {text}");
        // Nothing is left to the router, whose own time is none here.
        assert_eq!(amount(after(&text, "the router itself")), 0.0, "{text}");
    }
    let amplification = desk.seawall("explain amplification").ended(0).out;
    let exact = amount(after(&amplification, "together"));
    let (calls, attempts) = after(&amplification, "").split_once(" is ").expect("its value");
    assert_eq!(calls, "amplification");
    assert!((amount(attempts) - exact).abs() < 0.006, "{amplification}");
    let cost = desk.seawall("explain cost.per_1k").ended(0).out;
    let value = amount(cost.split_once(" is ").expect("its value").1);
    assert!((amount(after(&cost, "together")) - value).abs() < 0.001, "{cost}");
}

#[test]
fn failures_are_counted_by_how_they_came_about() {
    let desk = rough();
    let told = desk.seawall("explain success.rate").ended(0).out;
    let whole: Vec<&str> = told.lines().nth(3).unwrap_or_default().split_whitespace().collect();
    assert_eq!(after(&told, "together").split_whitespace().next(), whole.get(4).copied(), "{told}");
    assert!(told.contains(" -> client tries again after "), "{told}");
    // An expectation is known by its name too.
    let named = desk.command("explain").args(["latest", "users are answered"]).output();
    let named = Said::from(named.expect("it can be started")).ended(0);
    assert_eq!(named.out, told);
}

#[test]
fn what_there_is_not_is_two_with_what_there_is() {
    let desk = rough();
    let mut gallery = String::new();
    for line in [
        "explain r99999",
        "explain latest 3:r1",
        "explain nothing",
        "explain ttft.p99 {group=chta}",
        "explain ttft.p99 {during=spike}",
        "explain success.rate {deployment=azz}",
        "explain runs/there-is-none r1",
        "explain runs r1",
    ] {
        let said = desk.seawall(line).ended(2);
        assert_eq!(said.out, "", "{line}");
        gallery += &format!("$ seawall {line}\n{}\n", said.err);
    }
    insta::assert_snapshot!(gallery);
    let nowhere = Desk::new().seawall("explain r17").ended(2);
    assert!(nowhere.err.starts_with("there is no run `runs/latest`\nhint: "), "{}", nowhere.err);
}

#[test]
fn a_run_that_is_not_what_it_was_is_five_with_what_differs() {
    let desk = rough();
    let router = desk.text("runs/latest/router.toml");
    let desk = desk.with("runs/latest/router.toml", &router.replace("az = 3", "az = 4"));
    let said = desk.seawall("explain r17").ended(5);
    assert!(said.err.contains("\n  router.toml: "), "{}", said.err);
    assert!(!said.err.contains("scenario.toml: "), "{}", said.err);
    assert!(said.err.contains("\nhint: run it anew: seawall run rough.toml -r two.toml"));
    // What changes nothing is no difference.
    let desk = desk.with("runs/latest/router.toml", &format!("{router}# a remark\n"));
    desk.seawall("explain r17").ended(0);
}

#[test]
fn a_run_that_was_stopped_or_recorded_or_traced_is_explained_as_it_was() {
    let desk = rough().with("rough.toml", ROUGH).with("two.toml", TWO);
    desk.seawall("run rough.toml -r two.toml --first 300 --record").ended(0);
    let said = desk.seawall("explain latest r300").ended(0);
    assert!(
        said.out.starts_with("r300: still under way when the run was stopped\n"),
        "{}",
        said.out
    );
    let record = desk.text("runs/latest/record");
    let desk =
        desk.with("runs/latest/record", &record.replacen("dispatch r9#1", "dispatch r9#2", 1));
    let json = desk.text("runs/latest/run.json");
    let digest = json.lines().find(|line| line.contains("\"digest\": ")).expect("it has one");
    let desk = desk.with("runs/latest/run.json", &json.replace(digest, "  \"digest\": \"0\","));
    let said = desk.seawall("explain latest r9").ended(5);
    assert!(
        said.err.contains("\nrecord, line ") && said.err.contains("dispatch r9#1"),
        "{}",
        said.err
    );

    let rows: String = (0..200).map(|n| format!("{}.5,{},20\n", n, 100 + n)).collect();
    let desk = desk.with("days.csv", &format!("arrival_s,input_tokens,output_tokens\n{rows}"));
    desk.seawall("run rough.toml -r two.toml --trace days.csv");
    desk.seawall("explain latest r17").ended(0);
    std::fs::rename(desk.path("days.csv"), desk.path("moved.csv")).expect("it was there");
    let said = desk.seawall("explain latest r17").ended(2);
    assert!(said.err.starts_with("days.csv: "), "{}", said.err);
    desk.seawall("explain latest r17 --trace moved.csv").ended(0);
}

#[test]
fn the_name_of_an_expectation_stands_for_all_that_it_asks() {
    let all = "\"all is well\" = [\"success.rate >= 1 %\", \"ttft.p95 < 1 h\", \"ttft.p95 > 0 s\"]";
    let rough = format!("{ROUGH}{all}\n");
    let desk = Desk::new().with("rough.toml", &rough).with("two.toml", TWO);
    desk.seawall("run rough.toml -r two.toml").ended(1);
    let named = desk.command("explain").args(["latest", "all is well"]).output();
    let named = Said::from(named.expect("it can be started")).ended(0).out;
    let each = ["success.rate", "ttft.p95"];
    let each = each.map(|metric| desk.seawall(&format!("explain {metric}")).ended(0).out);
    assert_eq!(named, each.join("\n"));
}

#[test]
fn time_without_anybody_is_told_in_stretches_that_add_up() {
    let desk = rough();
    let told = desk.seawall("explain stranded.time").ended(0).out;
    let seconds = amount(after(&told, "stranded.time is"));
    let rows = told.lines().skip_while(|line| !line.trim_start().starts_with("from ")).skip(1);
    let cells = rows.map(|line| line.split_whitespace().collect::<Vec<_>>());
    // A wrapped reason begins with no time of the clock.
    let rows: Vec<Vec<&str>> =
        cells.filter(|c| c.len() > 4 && c[0].contains(':') && c[1].contains(':')).collect();
    let sum: f64 = rows.iter().map(|cells| amount(cells[2])).sum();
    assert!(seconds > 0.0 && (seconds - sum).abs() < 0.01, "{seconds} {sum}\n{told}");
    for part in ["requests found nobody", "az: it rested (", "; oai: it rested ("] {
        assert!(told.contains(part), "{part} in\n{told}");
    }
    let out = desk.seawall("explain ejected.share").ended(0).out;
    for part in ["rests of az, after ", "rests of oai, after ", "az rested after a server error"] {
        assert!(out.contains(part), "{part} in\n{out}");
    }
}

#[test]
fn a_verdict_that_somebody_edited_is_five_and_is_not_shown() {
    let desk = rough();
    let json = desk.text("runs/latest/run.json");
    for (now, then, said) in [
        ("\"verdict\": \"FAIL\"", "\"verdict\": \"PASS\"", "`users are answered`: PASS ("),
        ("ttft.p95 < 1 ms", "ttft.p95 < 1 h", "no verdict on `ttft.p95 < 1 ms` of scenario.toml"),
        ("\"answered\": 1", "\"answered\": 9", "the totals: "),
        ("\"measured\": \"0.", "\"measured\": \"1.", "`users are answered`: FAIL (1."),
    ] {
        assert!(json.contains(now), "{now} in\n{json}");
        let desk = &desk;
        std::fs::write(desk.path("runs/latest/run.json"), json.replacen(now, then, 1))
            .expect("it can be written");
        for line in ["explain", "explain r17", "explain ttft.p95"] {
            let told = desk.seawall(line).ended(5);
            assert_eq!(told.out, "", "{line}");
            let begins = "runs/latest/run.json is not what came of this run\n";
            assert!(told.err.starts_with(begins) && told.err.contains(said), "{}", told.err);
            assert!(told.err.contains("\nhint: if somebody edited it, remove "), "{}", told.err);
        }
    }
}

#[test]
fn a_call_that_a_restart_cuts_is_told_so_wherever_it_is_explained() {
    let restart = "[fault.deploy]\non = \"router\"\nat = \"90 s\"\nrestart = \"empty\"\n[expect]";
    let rough = ROUGH.replace("[expect]", restart);
    let desk = Desk::new().with("rough.toml", &rough).with("two.toml", TWO);
    desk.seawall("run rough.toml -r two.toml").ended(1);
    let list = desk.seawall("explain").ended(0).out;
    let id = after(&list, "the first that a restart of the router cut");
    let story = desk.seawall(id.strip_prefix("seawall ").expect("a command")).ended(0).out;
    let anew = "1:30.000 ";
    let line = story.lines().find(|line| line.trim_start().starts_with(anew));
    let said = "the router is started anew, without what it knew: this call is cut";
    assert!(line.is_some_and(|line| line.ends_with(said)), "{story}");
    assert!(story.contains("the client's connection breaks, which is a 502 to it"), "{story}");
    assert!(!story.contains("the client stops waiting"), "{story}");
    let slow = desk.seawall("explain total.max").ended(0).out;
    assert!(!slow.contains("whose client left"), "{slow}");
}
