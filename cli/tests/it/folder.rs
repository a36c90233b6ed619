//! The folders of runs: what is in them, who may write them, and what never is.

use std::fs;
use std::process::{Child, Command};

use crate::{Desk, Said};

const RUN: &str = "run max-tokens-tax";

#[test]
fn a_second_run_is_unchanged_and_the_newest_is_the_latest() {
    let desk = Desk::new();
    let first = desk.seawall(RUN).ended(0);
    let written = fs::metadata(desk.path("runs/latest/run.json")).expect("it is there");
    let second = desk.seawall(RUN).ended(0);
    let unchanged = "unchanged        the same run was there, byte for byte\n";
    assert_eq!(second.out, format!("{}{unchanged}", first.out));
    let kept = fs::metadata(desk.path("runs/latest/run.json")).expect("it is there");
    assert_eq!(kept.modified().ok(), written.modified().ok());
    desk.seawall("run healthy-baseline --first 100").ended(0);
    assert!(desk.text("runs/latest/run.json").contains("\"scenario\": \"healthy-baseline\""));
    desk.seawall(RUN).ended(0);
    assert!(desk.text("runs/latest/run.json").contains("\"scenario\": \"max-tokens-tax\""));
    assert_eq!(desk.names("runs"), ["healthy-baseline", "latest", "max-tokens-tax"]);
    assert_eq!(desk.names("runs/max-tokens-tax").len(), 1);
}

#[test]
fn what_is_asked_for_later_is_added() {
    let desk = Desk::new();
    desk.seawall(&format!("{RUN} --first 500")).ended(0);
    let plain = desk.names("runs/latest");
    let said = desk.seawall(&format!("{RUN} --first 500 --png --record --twice")).ended(0);
    assert!(!said.out.contains("unchanged"), "{}", said.out);
    let all = desk.names("runs/latest");
    let more: Vec<&String> = all.iter().filter(|name| !plain.contains(name)).collect();
    let drawn = plain.iter().filter_map(|name| name.strip_suffix(".svg"));
    let mut wanted: Vec<String> = drawn.map(|name| format!("{name}.png")).collect();
    wanted.push("record".to_owned());
    wanted.sort();
    assert_eq!(more, wanted.iter().collect::<Vec<_>>());
    let png = fs::read(desk.path("runs/latest/demand.png")).expect("it was drawn");
    assert!(png.starts_with(b"\x89PNG"));
    fs::remove_file(desk.path("runs/latest/report.html")).expect("it was there");
    assert!(!desk.seawall(&format!("{RUN} --first 500")).ended(0).out.contains("unchanged"));
    assert_eq!(desk.names("runs/latest"), all);
}

#[test]
fn an_edited_file_is_an_alarm() {
    let desk = Desk::new();
    desk.seawall(RUN).ended(0);
    let table = desk.text("runs/latest/deployments.csv");
    let desk = desk.with("runs/latest/deployments.csv", &table.replacen('0', "1", 1));
    let said = desk.seawall(RUN).ended(5);
    assert_eq!(said.out, "");
    let shown = "/deployments.csv is not what the same seed, files and engine gave now\nhint: ";
    assert!(said.err.contains(shown), "{}", said.err);
}

#[test]
fn runs_are_told_apart_by_all_they_were_given() {
    let router = Desk::new().seawall("print starter --as-written").out;
    let desk = Desk::new().with("router.toml", &router);
    let again = "--first 100";
    for line in ["", "-r starter", "-r router.toml", "-r ./router.toml", "--seed 1"] {
        desk.seawall(&format!("{RUN} {again} {line}")).ended(0);
    }
    let suite = "[suite]\nrouter = \"router.toml\"\n[slo]\nx = \"success.rate > 1 %\"\n";
    let desk = desk.with("seawall.toml", suite);
    for line in ["", "-r router.toml"] {
        desk.seawall(&format!("{RUN} {again} {line}")).ended(0);
    }
    assert_eq!(desk.names("runs/max-tokens-tax").len(), 7);
}

#[test]
fn a_scenario_called_latest_is_not_in_the_way_of_the_newest() {
    let text = Desk::new().seawall("print max-tokens-tax").out;
    let desk = Desk::new().with("latest.toml", &text);
    desk.seawall("run latest.toml --first 100").ended(0);
    desk.seawall("run latest.toml --first 200").ended(0);
    assert_eq!(desk.names("runs"), ["latest", "latest-scenario"]);
    assert_eq!(desk.names("runs/latest-scenario").len(), 2);
}

#[test]
fn two_processes_may_write_the_same_run_at_once() {
    let desk = Desk::new();
    for _ in 0..4 {
        let children: Vec<Child> = (0..3)
            .map(|_| desk.command(&format!("{RUN} --first 200 --record")))
            .map(|mut command| command.spawn().expect("it can be started"))
            .collect();
        for child in children {
            Said::from(child.wait_with_output().expect("it ends")).ended(0);
        }
        assert_eq!(desk.names("runs"), ["latest", "max-tokens-tax"]);
        assert_eq!(desk.names("runs/max-tokens-tax").len(), 1);
        fs::remove_dir_all(desk.path("runs")).expect("it was there");
    }
}

#[cfg(unix)]
#[test]
fn a_run_that_is_stopped_leaves_nothing_behind() {
    let desk = Desk::new();
    let line = "run closed-form/mm1 -r closed-form/bare";
    let mut child = desk.command(line).spawn().expect("it can be started");
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!(child.try_wait().expect("it can be asked"), None, "ten million calls take longer");
    // As Ctrl-C would, but a shell that runs this in the background may have it ignore that.
    let kill = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
    assert!(kill.expect("there is `kill`").success());
    assert_eq!(child.wait().expect("it ends").code(), None);
    assert_eq!(desk.names("."), [""; 0]);
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let desk = Desk::new();
    for line in [RUN, "print viral-spike", "schema router", "run --help", "check x.toml"] {
        let desk = Desk::new().with("x.toml", &desk.seawall("print starter").out);
        let mut child = desk.command(line).spawn().expect("it can be started");
        drop(child.stdout.take());
        let said = Said::from(child.wait_with_output().expect("it ends")).ended(0);
        assert_eq!(said.err, "", "{line}");
    }
}

#[test]
fn there_is_no_colour_where_nobody_sees_it() {
    let desk = Desk::new();
    let mut command = desk.command("run thousand-rps --first 100");
    command.env("CLICOLOR_FORCE", "1").env("TERM", "xterm-256color");
    let said = Said::from(command.output().expect("it can be started")).ended(0);
    assert!(!said.out.contains('\x1b') && !said.err.contains('\x1b'));
}

/// The second process has no standard input, so it cannot read what the first one did.
#[cfg(unix)]
#[test]
fn a_second_process_that_fails_is_told_of_and_leaves_nothing() {
    let router = Desk::new().seawall("print starter").out;
    let desk = Desk::new().with("router.toml", &router);
    let mut command = desk.command(&format!("{RUN} -r /dev/stdin --twice --first 100"));
    let stdin = fs::File::open(desk.path("router.toml")).expect("it was written");
    let said = Said::from(command.stdin(stdin).output().expect("it can be started")).ended(7);
    assert!(said.err.starts_with("the second run did not come to its end\n"), "{}", said.err);
    assert_eq!(desk.names("runs"), ["latest", "max-tokens-tax"]);
}

/// The same run must write the same bytes on another day, on another machine, in another folder.
#[cfg(unix)]
#[test]
fn no_artefact_knows_the_day_the_machine_or_the_folder() {
    let scenario = Desk::new().seawall("print azure-conversation").out;
    let router = Desk::new().seawall("print starter").out;
    let csv = "arrival_s,input_tokens,output_tokens\n0,10,20\n1,20,30\n2,30,40\n";
    let desk = Desk::new().with("s.toml", &scenario).with("r.toml", &router).with("calls.csv", csv);
    let home = desk.0.path().display().to_string();
    let line = format!("run {home}/s.toml -r {home}/r.toml --trace {home}/calls.csv");
    let said = desk.seawall(&format!("{line} --record --png --out {home}/elsewhere"));
    // On the screen the command is to be copied, so there it knows.
    assert!(said.out.contains(&format!("seawall run {home}/s.toml -r {home}/r.toml")), "{said:?}");
    let today = first_word("date", "+%Y-%m-%d");
    let host = first_word("uname", "-n");
    let names = desk.names("elsewhere/latest");
    assert!(names.len() > 12, "{names:?}");
    for name in names {
        let bytes = fs::read(desk.path("elsewhere/latest").join(&name)).expect("it is there");
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains(&home), "{name} knows {home}");
        assert!(!text.contains(&today), "{name} knows {today}");
        // A short name may be a word of ours.
        assert!(host.len() < 8 || !text.contains(&host), "{name} knows {host}");
    }
}

#[cfg(unix)]
fn first_word(program: &str, argument: &str) -> String {
    let output = Command::new(program).arg(argument).output().expect("every Unix has it");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
