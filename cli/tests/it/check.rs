//! `check` and `print`: every kind of mistake, each said once with its place.

use std::fmt::Write as _;

use crate::Desk;

const ROUTER: &str = r#"[deployment.oai]
provider = "openai"
model = "gpt-4o-mini"

[group.chat]
members = { oai = 1 }
"#;

const SCENARIO: &str = r#"[demand."*".normal]
rate = "1/s"
lasts = "1 min"
"#;

#[test]
fn each_mistake_is_said_with_its_place_and_nothing_is_written() {
    let crowd: String = (0..65).fold(String::new(), |mut text, i| {
        write!(text, "[deployment.d{i}]\nprovider = \"openai\"\nmodel = \"gpt-4o\"\n")
            .expect("a string takes everything");
        text
    });
    let members: Vec<String> = (0..65).map(|i| format!("d{i} = 1")).collect();
    let crowd = format!("{crowd}[group.chat]\nmembers = {{ {} }}\n", members.join(", "));
    let router = |line: &str| format!("{ROUTER}{line}\n");
    let scenario = |lines: &str| format!("{SCENARIO}{lines}\n");
    let cases = [
        ("unit", router("timeouts = { total = \"60 sec\" }")),
        ("name", router("weigth = 3")),
        ("reference", router("fallbacks = \"chta\"")),
        ("nan", router("timeouts = { total = nan }")),
        ("negative", router("timeouts = { total = \"-1 s\" }")),
        ("overflow", router("timeouts = { total = \"99999999999999999999 d\" }")),
        ("empty-group", ROUTER.replace("oai = 1", "")),
        ("crowd", crowd),
        ("syntax", "[group.chat\n".to_owned()),
        ("phase", scenario("[expect]\nx = \"ttft.p95 {during=spike} < 2\"")),
        ("fault", scenario("[expect]\nx = \"recovery(storm) < 2 s\"")),
        ("late", scenario("[fault.x]\non = \"bigest\"\nerrors = \"130 %\"")),
        ("spike", scenario("spike = { at = \"1 s\" }")),
        ("suite", "[suite]\nrouter = \"x.toml\"\nscenarios = [\"viral-spyke\"]\n".to_owned()),
    ];
    let mut gallery = String::new();
    for (name, text) in cases {
        let file = format!("{name}.toml");
        let desk = Desk::new().with(&file, &text);
        let said = desk.seawall(&format!("check {file}")).ended(2);
        assert_eq!((said.err.as_str(), desk.names(".")), ("", vec![file]));
        gallery += &said.out;
        gallery.push('\n');
    }
    insta::assert_snapshot!(gallery);
}

#[test]
fn bytes_that_are_no_text_and_files_that_are_not_there_hide_nothing_else() {
    let desk = Desk::new().with("bad.toml", "[group.chat]\nweigth = 1\n").with("x.csv", "a,b\n");
    std::fs::write(desk.path("binary.toml"), b"[group]\n\xff\xfe").expect("it can be written");
    let said = desk.seawall("check none.toml binary.toml x.csv viral-spyke bad.toml").ended(2);
    insta::assert_snapshot!(said.whole());
}

#[test]
fn a_scenario_is_tried_against_the_router_it_is_checked_with() {
    let lines = "[fault.x]\non = \"gpu\"\noutage = \"503\"\nat = \"1 s\"\n\
                 [expect]\nx = \"share {deployment=oai} > 1 %\"\n";
    let desk = Desk::new()
        .with("mine.toml", ROUTER)
        .with("bad.toml", "[group.chat]\n")
        .with("world.toml", &format!("{SCENARIO}{lines}"));
    let mut gallery = String::new();
    for (line, code) in [
        ("check world.toml", 0),
        ("check world.toml -r mine.toml", 0),
        ("check world.toml -r bad.toml", 2),
        ("check world.toml -r none.toml", 2),
        ("check viral-spike starter", 0),
    ] {
        let said = desk.seawall(line).ended(code);
        gallery += &format!("$ seawall {line}\n{}\n\n", said.whole());
    }
    insta::assert_snapshot!(gallery);
}

#[test]
fn what_print_says_is_right_itself() {
    let desk = Desk::new();
    for (words, kind) in [
        ("viral-spike", "scenario"),
        ("starter", "router"),
        ("-r thousand-rps", "router"),
        ("thousand-rps", "scenario"),
    ] {
        let printed = desk.seawall(&format!("print {words}")).ended(0).out;
        let desk = Desk::new().with("printed.toml", &printed);
        let said = desk.seawall("check printed.toml").ended(0);
        assert!(said.out.contains(&format!("printed.toml: a valid {kind}")), "{}", said.out);
        let as_written = desk.seawall(&format!("print {words} --as-written")).ended(0).out;
        assert!(printed.len() > as_written.len(), "{words}");
    }
    let unknown = desk.seawall("print startr").ended(2);
    insta::assert_snapshot!(unknown.err);
}

#[test]
fn there_is_nothing_to_check_in_an_empty_folder() {
    let said = Desk::new().seawall("check").ended(2);
    assert!(said.err.starts_with("there is no seawall.toml in this folder\nhint: "), "{said:?}");
}

#[test]
fn the_help_of_run_says_what_each_flag_does() {
    let said = Desk::new().seawall("run --help").ended(0);
    insta::assert_snapshot!(said.out);
}
