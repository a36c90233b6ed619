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
