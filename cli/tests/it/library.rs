//! Every scenario of the library: the same bytes in two processes, in every build, and what it
//! says.

use reports::RunFile;
use scenarios::library;

use crate::Desk;

/// The digest is over everything that happened, in order, so equal digests mean equal runs: this
/// snapshot is met by debug and by release builds.
#[test]
fn every_scenario_is_the_same_run_in_every_process_and_build() {
    let desk = Desk::new();
    for scenario in library::scenarios() {
        let name = scenario.name;
        let router = library::router(name).map_or("starter", |router| router.name);
        let said = desk.seawall(&format!("run {name} -r {router} --twice"));
        assert!(said.out.contains("two processes wrote the same bytes in "), "{said:?}");
        let run = RunFile::from_json(&desk.text("runs/latest/run.json")).expect("it is one");
        assert_eq!(run.scenario, name);
        insta::assert_snapshot!(name, format!("{}\ndigest {}", said.whole(), run.digest));
    }
    assert!(desk.names("runs").iter().all(|name| !name.starts_with('.')), "nothing is left over");
}

#[test]
fn many_seeds_give_intervals_and_keep_one_run_whole() {
    let desk = Desk::new();
    let said = desk.seawall("run max-tokens-tax --seeds 4").ended(0);
    insta::assert_snapshot!(said.whole());
    let names = desk.names("runs/latest");
    for name in ["report.html", "run.json", "seeds.csv", "seeds.txt"] {
        assert!(names.iter().any(|known| known == name), "{name} is not among {names:?}");
    }
    let again = desk.seawall("run max-tokens-tax --seeds 4").ended(0);
    assert!(again.out.ends_with("byte for byte\n"), "{}", again.out);
}

#[test]
fn a_seed_is_said_instead_of_the_scenarios_in_decimal_or_hexadecimal() {
    let desk = Desk::new();
    let decimal = desk.seawall("run max-tokens-tax --seed 255").ended(0);
    let hexadecimal = desk.seawall("run max-tokens-tax --seed 0xff").ended(0);
    assert!(hexadecimal.out.ends_with("byte for byte\n"), "{}", hexadecimal.out);
    assert!(hexadecimal.out.starts_with(&decimal.out));
    assert!(decimal.out.contains("seed 255"));
}

#[test]
fn the_library_can_be_listed() {
    let desk = Desk::new();
    let listed = desk.seawall("run --list").ended(0);
    insta::assert_snapshot!(listed.out);
    let asked = desk.seawall("run").ended(2);
    assert!(asked.err.contains(&listed.out), "{}", asked.err);
}

#[test]
fn a_scenario_with_a_router_of_its_own_says_so() {
    let desk = Desk::new();
    let said = desk.seawall("run thousand-rps --first 1000").ended(0);
    let notes: Vec<&str> = said.out.lines().filter(|line| line.contains("scenario")).collect();
    insta::assert_snapshot!(notes.join("\n"));
}

#[test]
fn a_trace_takes_the_place_of_the_demand_and_is_named_by_its_hash() {
    let rows: String = (0..600).map(|i| format!("{},{},{}\n", i / 4, 400 + i, 80)).collect();
    let csv = format!("arrival_s,input_tokens,output_tokens\n{rows}");
    let desk = Desk::new().with("calls.csv", &csv);
    let said = desk.seawall("run azure-conversation --trace ./calls.csv");
    let run = RunFile::from_json(&desk.text("runs/latest/run.json")).expect("it is one");
    assert_eq!(run.totals.calls, 600, "{said:?}");
    let hash = run.hashes.trace.expect("there was a trace");
    let replay = |file| format!("azure-conversation --seed 17 --trace {file} # sha256 {hash}");
    assert_eq!(run.replay, format!("seawall run {}", replay("calls.csv")));
    assert!(said.out.contains(&replay("./calls.csv")), "{}", said.out);
}
