//! Everything that is wrong with a scenario is said in one go, and nothing twice.

use crate::library::STARTER;
use crate::resolve::{Fleet, Override, read_and_resolve};
use crate::router;

/// What is said of `text`, each as `LINE: MESSAGE`.
fn said(text: &str) -> Vec<String> {
    let router = router::read("starter.toml", STARTER.text).expect("it is right");
    let fleet = Fleet { config: &router.config, endpoints: &router.endpoints, then: &[] };
    let found = read_and_resolve("file.toml", text, fleet, &Override::default());
    let found = found.err().unwrap_or_default();
    found.iter().map(|found| format!("{}: {}", found.line, found.message)).collect()
}

#[test]
fn what_reading_shows_does_not_hide_what_resolving_shows() {
    let text = r#"titel = "x"
[demand."*"]
normal = { rate = "0/s", lasts = "0 s", tokens = "long", client = "curl" }
output_max = 0
[provider."vendor:"]
errors = "200 %"
[fault.dark]
on = "biggset:1"
lasts = "0 s"
outage = "200"
[fault.spike]
on = "biggest"
answers = ["ok", "no"]
[expect]
a = "success.rate >= 99"
b = "recovery(drak) < 1 min"
"#;
    let expected = [
        "1: unknown key `titel` at the top of the file",
        "3: `demand.*.normal.rate`: `0/s` is out of range",
        "3: `demand.*.normal.lasts`: `0 s` is out of range",
        "3: there is no table of token lengths `long`",
        "3: there is no client `curl`",
        "4: `demand.*.output_max`: 0 is out of range",
        "5: `vendor:` selects nothing",
        "6: `provider.vendor:.errors`: `200 %` is more than 100 %",
        "8: `biggset:1` selects nothing",
        "9: `fault.dark.lasts`: `0 s` is out of range",
        "10: `200` is no outage",
        "11: `spike` already names a phase of every run",
        "13: `no` is no answer",
        "15: `99` needs a unit: `%`",
        "16: this scenario has no fault `drak`",
    ];
    assert_eq!(said(text), expected);
}

#[test]
fn what_could_not_be_read_is_not_missed() {
    let calls = "[demand.\"*\"]\nnormal = { rate = \"8/s\", lasts = \"1 h\" }\n";
    for (text, expected) in [
        ("", "1: nobody calls"),
        ("demand = 3", "1: `demand` is an integer; expected a table"),
        ("[demnad.x]", "1: unknown key `demnad` at the top of the file"),
        ("demand.x = 3", "1: `demand.x` is an integer; expected a table"),
        ("[demand.\"*\"]\n", "1: `normal` needs a `rate` and how long it `lasts`"),
        ("[demand.\"*\"]\nnormal = 3", "2: `demand.*.normal` is an integer; expected a table"),
        (
            "[demand.\"*\".normal]\nrate = 8\nlasts = \"1 h\"",
            "2: `demand.*.normal.rate`: `8` has no unit",
        ),
        (
            &format!("{calls}[fualt.x]\n[expect]\na = \"recovery(x) < 1 s\""),
            "3: unknown key `fualt` at the top of the file",
        ),
        (
            &format!("{calls}[fault]\nx = 3\n[expect]\na = \"recovery(x) < 1 s\""),
            "4: `fault.x` is an integer; expected a table",
        ),
        (&format!("{calls}[fault.x]\noutage = \"503\""), "3: [fault.x] needs `on`"),
        (
            &format!("{calls}[fault.x]\non = \"*\"\noutgae = \"503\""),
            "5: unknown key `outgae` in [fault.x]",
        ),
        (
            &format!("{calls}[fault.x]\non = \"*\"\nanswers = [503]"),
            "5: `fault.x.answers` is an integer; expected a text in quotes",
        ),
        (
            &format!("{calls}[provider.x.service]\nconstant = \"1\""),
            "4: `provider.x.service.constant`: `1` has no unit",
        ),
        (
            &format!("{calls}[demand.chat.normal]\ntokens = {{ input = [1, \"2\"], output = 1 }}"),
            "4: `demand.chat.normal.tokens.input` is a string; expected a whole number",
        ),
    ] {
        assert_eq!(said(text), [expected], "{text}");
    }
}

#[test]
fn of_what_is_no_toml_nothing_else_is_said() {
    let found = said("[demand.\"*\"]\nnormal = { rate = }\n[fault.x]\nlasts = \"0 s\"\n");
    assert!(found.iter().all(|line| !line.contains("needs") && !line.contains("calls")));
    assert_eq!(said("[router]\nattempts = 3"), ["1: this is a router file, not a scenario"]);
}

#[test]
fn a_flush_is_of_the_cache_and_of_all_of_it() {
    let text = |cache: &str, fault: &str| {
        format!(
            "[demand.\"*\"]\nnormal = {{ rate = \"8/s\", lasts = \"1 h\" }}\n\
             repeats = {{ keys = 9 }}\n[fault.wipe]\n{fault}\n{cache}\n[expect]\n\
             a = \"success.rate > 0 %\"\n"
        )
    };
    let cache = "[cache]\nttl = \"1 min\"";
    let flush = "on = \"cache\"\ncache_flush = true";
    assert_eq!(said(&text(cache, flush)), Vec::<String>::new());
    assert_eq!(said(&text("", flush)), ["4: there is no `[cache]` to flush"]);
    let of = "on = \"biggest\"\nof = \"50 %\"\ncache_flush = true";
    let expected = ["5: `biggest` is not what is flushed", "6: a cache is flushed or not"];
    assert_eq!(said(&text(cache, of)), expected);
    let both = "on = \"cache\"\ncache_flush = true\noutage = \"503\"";
    assert_eq!(said(&text(cache, both)).len(), 1, "{:?}", said(&text(cache, both)));
    let nothing = "on = \"cache\"\ncache_flush = false";
    assert_eq!(said(&text(cache, nothing)), ["4: this fault does nothing"]);
}
