//! How runs end: the exit codes, and what is said with each.

use crate::{Desk, Said};

/// A small world: one deployment, two minutes.
const CALM: &str = r#"
title = "Nothing happens"
question = "Does it hold?"
seed = 1
[demand."*".normal]
rate = "5/s"
lasts = "2 min"
"#;

/// One deployment, and nothing that could save it.
const BARE: &str = r#"
[router]
attempts = 1
retry_budget = "off"
[deployment.only]
provider = "openai"
model = "gpt-4o-mini"
[group.all]
members = { only = 1 }
cooldown = "off"
"#;

/// Ten servers of 100 ms take 100 calls a second. With four tries a call, whatever is above 25/s
/// can keep itself down: every answer comes after its client has given up.
const STORM: &str = r#"
title = "Retries keep a fleet down long after its slow ten seconds"
question = "Does it recover by itself?"
seed = 5
[demand."*".normal]
rate = "70/s"
lasts = "5 min"
client = { tries = 4, backoff = "100 ms", jitter_from = "0 %", timeout = "1 s" }
[provider."*"]
service = { exponential = "100 ms" }
concurrency = 10
when_full = { queue = 1000000 }
abandoned = "runs-on"
quota = "unlimited"
[fault.slow]
on = "biggest"
at = "60 s"
lasts = "10 s"
ttft = "x5"
[expect]
"users are answered" = "success.rate >= 1 %"
"#;

/// `CALM` with more in it, run against the bare router.
fn calm(more: &str) -> (Desk, Said) {
    let text = format!("{CALM}{more}");
    let desk = Desk::new().with("calm.toml", &text).with("bare.toml", BARE);
    let said = desk.seawall("run calm.toml -r bare.toml");
    (desk, said)
}

#[test]
fn what_holds_passes_and_says_nothing_on_standard_error() {
    let (_, said) = calm("[expect]\nx = \"success.rate >= 99 %\"\n");
    assert_eq!(said.ended(0).err, "");
}

#[test]
fn an_expectation_that_fails_is_one() {
    let (desk, said) = calm("[expect]\nfast = \"ttft.p50 < 1 ms\"\n");
    let said = said.ended(1);
    assert!(said.out.contains("\nFAIL     fast: ttft.p50 "), "{}", said.out);
    insta::assert_snapshot!(said.whole().split_once("--- stderr").expect("it is there").1);
    assert!(desk.text("runs/latest/run.json").contains("\"exit\": 1,"));
    assert!(desk.text("runs/latest/junit.xml").contains("failures=\"1\""));
}

#[test]
fn a_run_that_stays_bad_after_its_cause_is_gone_is_four() {
    let desk = Desk::new().with("storm.toml", STORM).with("bare.toml", BARE);
    let said = desk.seawall("run storm.toml -r bare.toml").ended(4);
    assert!(said.out.contains("\nPASS     users are answered"), "{}", said.out);
    assert!(said.err.starts_with("metastable: no recovery after `slow` healed\nreplay: "));
    // It is the second, third and fourth tries that do it.
    let once = STORM.replace("tries = 4", "tries = 1");
    let desk = desk.with("storm.toml", &once);
    desk.seawall("run storm.toml -r bare.toml").ended(0);
}

#[test]
fn what_cannot_be_judged_is_six() {
    let rare = "[expect]\nx = \"recovery(brief) < 1 s\"\n\
                [fault.brief]\non = \"biggest\"\nat = \"30 s\"\nlasts = \"1 s\"\nttft = \"x2\"\n";
    let (_, said) = calm(rare);
    let said = said.ended(6);
    assert!(said.out.contains("\nNO DATA  x: "), "{}", said.out);
    assert!(said.err.starts_with("undecided: no data for `x`\n"), "{}", said.err);
    let silent = "[fault.rare]\non = \"biggest\"\nof = \"0.0001 %\"\noutage = \"503\"\n";
    let said = calm(silent).1.ended(6);
    assert!(said.err.starts_with("undecided: the fault `rare` touched no call\n"), "{}", said.err);
    let elsewhere = "[expect]\nx = \"success.rate {deployment=gpu} > 1 %\"\n";
    let said = calm(elsewhere).1.ended(6);
    assert!(said.out.contains("does not apply: "), "{}", said.out);
    let nothing = "undecided: nothing that is expected applies to this router\n";
    assert!(said.err.starts_with(nothing), "{}", said.err);
}

#[test]
fn bad_usage_and_bad_files_are_two_and_nothing_is_written() {
    let desk = Desk::new()
        .with("bare.toml", BARE)
        .with("bad-router.toml", "[group.chat]\nmembers = { oai = 1 }\nweigth = 3\n")
        .with("bad-scenario.toml", "title = 3\n[fault.x]\non = \"biggest\"\nttft = \"4\"\n")
        .with("bad.csv", "arrival_s,input_tokens,output_tokens\n1,2,3\n2,-7,3\n1,2,3\n");
    let before = desk.names(".");
    let mut gallery = String::new();
    for line in [
        "run viral-spik",
        "run there-is-none.toml",
        "run viral-spike.toml -r starter",
        "run viral-spike -r stater",
        "run viral-spike --seed seven",
        "run viral-spike --seeds 4 --twice",
        "run bad-scenario.toml -r bad-router.toml",
        "run azure-conversation --trace bad.csv",
        "run azure-conversation --trace bare.toml",
    ] {
        let said = desk.seawall(line).ended(2);
        assert_eq!(said.out, "", "{line}");
        gallery += &format!("$ seawall {line}\n{}\n", said.err);
    }
    insta::assert_snapshot!(gallery);
    assert_eq!(desk.names("."), before);
}

#[test]
fn where_nothing_can_be_written_is_seven_and_nothing_is_left() {
    let desk = Desk::new().with("file", "in the way");
    for out in ["file", "file/runs", "file/more/runs"] {
        let said = desk.seawall(&format!("run max-tokens-tax --out {out}")).ended(7);
        assert!(
            said.err.starts_with(&format!("cannot write {out}/max-tokens-tax/19-")),
            "{said:?}"
        );
        assert_eq!(desk.names("."), ["file"]);
    }
    assert_eq!(desk.seawall("run max-tokens-tax --out file --twice").code, Some(7));
    assert_eq!(desk.names("."), ["file"]);
}

/// Files of at most 4 KiB, as on a disk that has little left.
#[cfg(unix)]
#[test]
fn a_disk_that_is_full_in_the_middle_is_seven_and_nothing_is_left() {
    let desk = Desk::new();
    let script = "trap '' XFSZ; ulimit -f 8; exec \"$0\" run max-tokens-tax --out a/b";
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", script, env!("CARGO_BIN_EXE_seawall")]).current_dir(desk.path("."));
    let said = Said::from(shell.output().expect("there is a shell")).ended(7);
    assert!(said.err.contains("cannot write a/b/max-tokens-tax/19-"), "{said:?}");
    assert_eq!(desk.names("."), [""; 0]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_summary_that_cannot_be_printed_is_seven() {
    let desk = Desk::new();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("Linux has it");
    let mut command = desk.command("run max-tokens-tax --first 100");
    let said = Said::from(command.stdout(full).output().expect("it can be started")).ended(7);
    assert!(said.err.starts_with("cannot write to standard output: "), "{}", said.err);
}

#[test]
fn the_help_and_the_readme_know_the_same_codes() {
    let readme = include_str!("../../../README.md");
    let section = readme.split_once("\n## Exit codes\n").expect("it has one").1;
    let rows = section.lines().skip(2).take_while(|line| line.starts_with('|'));
    let rows = rows.map(|line| line.trim_matches('|').split_once('|').expect("two cells"));
    let rows: Vec<(&str, &str)> = rows.map(|(code, what)| (code.trim(), what.trim())).collect();
    let help = Desk::new().seawall("run --help").ended(0).out;
    let listed = help.split_once("\nExit codes:\n").expect("it lists them").1;
    let listed = listed.lines().filter_map(|line| line.trim().split_once("  "));
    assert_eq!(listed.collect::<Vec<_>>(), rows);
    assert_eq!(
        rows.last(),
        Some(&("130", "stopped by Ctrl-C: no verdict, and no run half written"))
    );
}

#[cfg(unix)]
#[test]
fn ctrl_c_stops_a_run_and_nothing_is_half_written() {
    use std::os::unix::process::ExitStatusExt;
    // Jobs that a shell without job control puts into the background begin with the signal ignored,
    // and so do their children: nobody could stop the run.
    let alive = std::process::Command::new("sh").args(["-c", "kill -INT $$; echo alive"]).output();
    if alive.expect("there is a shell").stdout == b"alive\n" {
        eprintln!("skipped: SIGINT is ignored here, so nobody could stop a run");
        return;
    }
    let desk = Desk::new();
    let child = desk.command("run thousand-rps --seeds 100000").spawn().expect("it can be started");
    std::thread::sleep(std::time::Duration::from_millis(300));
    let kill = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(kill.expect("it can be started").success());
    let ended = child.wait_with_output().expect("it ends");
    // 128 and the number of the signal is what a shell makes of it.
    assert_eq!(ended.status.signal(), Some(130 - 128));
    assert_eq!(desk.names("."), [""; 0]);
}

#[test]
fn what_the_team_expects_of_every_run_says_whence_it_is() {
    let suite = "[suite]\nrouter = \"bare.toml\"\n[slo]\n\"they are answered\" = \
                 \"success.rate > 1 %\"\n\"and fast\" = \"ttft.p50 < 1 ms\"\n";
    let own = "[expect]\n\"of its own\" = \"success.rate > 1 %\"\n";
    let desk = Desk::new()
        .with("calm.toml", &format!("{CALM}{own}"))
        .with("bare.toml", BARE)
        .with("seawall.toml", suite);
    let said = desk.seawall("run calm.toml").ended(1).out;
    for line in [
        "\nFAIL     and fast (seawall.toml): ttft.p50 ",
        "\nPASS     they are answered (seawall.toml): success.rate ",
        "\nPASS     of its own: success.rate ",
        "\nnote             `they are answered` and `and fast` are objectives of `[slo]` of \
         seawall.toml, which\n",
    ] {
        assert!(said.contains(line), "{line} in\n{said}");
    }
    let json = desk.text("runs/latest/run.json");
    assert_eq!(json.matches("\"team\": \"seawall.toml\"").count(), 2);
    assert!(desk.text("runs/latest/report.html").contains("and fast (seawall.toml)"));
    let seeds = desk.seawall("run calm.toml --seeds 2").ended(1).out;
    assert!(seeds.contains("`they are answered` and `and fast` are objectives of"), "{seeds}");
    // What is asked of another folder's runs is not asked of the past.
    std::fs::remove_file(desk.path("seawall.toml")).expect("it was there");
    desk.seawall("explain runs/latest ttft.p50").ended(0);
}
