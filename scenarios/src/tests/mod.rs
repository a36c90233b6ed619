//! Files good and bad, and arbitrary bytes.

mod absurd;
mod absurd_router;
mod at_once;
mod faults;
mod gallery;
mod policies;
mod quantities;
mod round_trip;
mod subjects;

use router_core::{GroupSpec, RouterSpec};

use crate::field::{Absent, Kind, Table};
use crate::file::{FileKind, show, utf8};
use crate::resolve::{Fleet, Override, resolve};
use crate::written::Mistake;
use crate::{library, router, scenario};

/// The example of the documentation, as short as it can be.
const SMALL: &str = r#"
[deployment.oai]
provider = "openai"
model = "gpt-4o-mini"
keys = ["env:OPENAI_API_KEY"]

[group.chat]
members = { oai = 1 }
"#;

#[test]
fn the_defaults_of_the_table_are_those_of_the_core() {
    let file = router::read("router.toml", SMALL).expect("it is right");
    assert_eq!(format!("{:?}", file.spec.router), format!("{:?}", RouterSpec::default()));
    let mut group = GroupSpec::new("chat".to_owned());
    group.members.clone_from(&file.spec.groups[0].members);
    assert_eq!(format!("{:?}", file.spec.groups[0]), format!("{group:?}"));
}

/// Every table below `table`, itself included.
fn tables(table: &'static Table) -> Vec<&'static Table> {
    fn below(kind: &'static Kind, found: &mut Vec<&'static Table>) {
        match kind {
            Kind::Table(table) | Kind::Short(table, _) => found.extend(tables(table)),
            Kind::Map(_, kind) | Kind::Many(kind) | Kind::List(kind) => below(kind, found),
            Kind::Either(kinds) => kinds.iter().for_each(|kind| below(kind, found)),
            Kind::Quantity(_)
            | Kind::Within(..)
            | Kind::Count { .. }
            | Kind::Decimal(..)
            | Kind::Flag
            | Kind::Text
            | Kind::Choice(_)
            | Kind::Secret
            | Kind::Endpoint
            | Kind::Later
            | Kind::Elsewhere => {}
        }
    }
    let mut found = vec![table];
    table.fields.iter().for_each(|field| below(&field.kind, &mut found));
    found
}

#[test]
fn every_default_is_of_its_kind_and_every_key_has_a_sentence() {
    for table in FileKind::ALL.into_iter().flat_map(|kind| tables(kind.table())) {
        for field in table.fields {
            assert!(!field.doc.is_empty(), "{}", field.name);
            let same = table.fields.iter().filter(|other| other.name == field.name).count();
            assert_eq!(same, 1, "{} is there twice", field.name);
            if let Absent::Is(text) = field.absent {
                let value = field.default_value().expect("it has one");
                assert_eq!(value.to_string(), text, "{} is printed otherwise", field.name);
            }
        }
    }
}

#[test]
fn a_file_is_known_by_its_keys() {
    assert_eq!(FileKind::of(SMALL), FileKind::Router);
    assert_eq!(FileKind::of("title = 'x'\n[fault.x]\n[provider.x]"), FileKind::Scenario);
    assert_eq!(FileKind::of("[slo]\n[suite]"), FileKind::Suite);
    assert_eq!(FileKind::of(""), FileKind::Router);
}

#[test]
fn bytes_that_are_no_text_are_refused_where_they_begin() {
    let found = utf8("router.toml", b"[router]\nx = \xFF").expect_err("it is no text");
    assert_eq!((found[0].line, found[0].column), (2, 5));
}

#[test]
fn any_place_of_a_file_can_be_shown() {
    let text = "a = 1\r\r\n\t\u{fc} \r x\n\n\r";
    for from in 0..=text.len() {
        for to in from..=text.len() + 1 {
            let mistake = Mistake { at: from..to, message: "here".to_owned(), hint: None };
            let shown = show("file.toml", text, &[mistake])[0].to_string();
            assert!(shown.contains('^') && !shown.contains('\r'), "{from}..{to}: {shown}");
        }
    }
}

#[test]
fn a_key_is_never_shown() {
    let secret = "sk-proj-AbCdEf0123456789";
    for text in [
        format!("[deployment.a]\nkeys = [\"{secret}\"]"),
        format!("[deployment.a]\nkeys = [\n  \"{secret}\",\n]"),
        format!("[deployment]\na = {{ x = 1, keys = \"{secret}\" }}"),
        format!("[deployment.a]\nkeys = {{ x = \"{secret}\" }}"),
        format!("[deployment.a]\napi_key = \"{secret}\""),
        format!("[deployment.a]\nendpoint = \"https://me:{secret}@host\""),
        format!("[deployment.a]\nkeys = [\"{secret}\""),
        format!("[deployment.a]\nsecret = \"{secret}\""),
        format!("[deployment.a]\nkeys = \"{secret}"),
        format!("[deployment.a]\nkeys = [\"env:A\", \"env:{secret}\"]"),
    ] {
        let found = router::read("router.toml", &text).expect_err("a key in a file is refused");
        let shown: String = found.iter().map(ToString::to_string).collect();
        assert!(!shown.contains("AbCdEf"), "{shown}");
    }
}

#[test]
fn a_loop_of_fallbacks_is_worth_a_warning() {
    let text = SMALL.to_owned()
        + "fallbacks = [\"backup\"]\n[group.backup]\nmembers = { oai = 1 }\nfallbacks = \"chat\"\n";
    let file = router::read("router.toml", &text).expect("it is harmless");
    let shown: Vec<String> = file.warnings.iter().map(ToString::to_string).collect();
    let expected = "router.toml:12:13: warning: `backup` falls back to `chat`, where it came from\n\
        \x20  12 | fallbacks = \"chat\"\n      |             ^^^^^^\n\
        hint: a request visits each group once, so this does nothing\n";
    assert_eq!(shown, [expected]);
}

#[test]
fn the_schemas_and_the_reference_name_every_key() {
    for kind in FileKind::ALL {
        let (schema, reference) = (kind.schema(), kind.reference());
        let parsed: serde_json::Value = serde_json::from_str(&schema).expect("it is JSON");
        assert_eq!(parsed["additionalProperties"], false);
        for field in tables(kind.table()).into_iter().flat_map(|table| table.fields) {
            assert!(reference.contains(&format!("| `{}` |", field.name)), "{}", field.name);
            if !matches!(field.kind, Kind::Later | Kind::Elsewhere) {
                assert!(schema.contains(&format!("\"{}\": {{", field.name)), "{}", field.name);
            }
        }
    }
}

#[test]
fn everything_in_the_library_is_read_and_again_as_printed() {
    let silent = |kind: FileKind, name: &str, text: &str| {
        let found: Vec<String> = kind.check(name, text).iter().map(ToString::to_string).collect();
        assert!(found.is_empty(), "{}\n{text}", found.concat());
    };
    let forms = library::closed_forms();
    let scenarios = library::scenarios().iter().copied().chain(forms.iter().map(|f| f.scenario));
    let routers = [library::STARTER].into_iter().chain(forms.iter().map(|form| form.router));
    let scenarios = scenarios.map(|entry| (FileKind::Scenario, entry));
    for (kind, entry) in scenarios.chain(routers.map(|entry| (FileKind::Router, entry))) {
        assert_eq!(FileKind::of(entry.text), kind, "{}", entry.name);
        silent(kind, entry.name, entry.text);
        silent(kind, entry.name, &kind.print(entry.name, entry.text).expect("it is right"));
    }
}

#[test]
fn every_scenario_of_the_library_has_a_meaning_for_the_starter_router() {
    let router = router::read("starter.toml", library::STARTER.text).expect("it is right");
    for entry in library::scenarios() {
        let scenario = scenario::read(entry.name, entry.text).expect("it is right");
        let fleet = Fleet { config: &router.config, endpoints: &router.endpoints, then: &[] };
        let resolved = resolve(&scenario, fleet, &Override::default());
        let resolved = resolved.map_err(|mistakes| show(entry.name, entry.text, &mistakes));
        assert!(!resolved.expect(entry.name).plan.demands.is_empty(), "{}", entry.name);
    }
}

#[test]
fn an_unknown_price_is_free_and_a_misspelt_name_is_said() {
    for (old, new, meant) in [
        ("\"openai\"", "\"opneai\"", "; did you mean the provider `openai`?"),
        ("gpt-4o-mini", "gpt-4o-mni", "; did you mean the model `gpt-4o-mini`?"),
        ("\"openai\"", "\"vllm\"", ""),
    ] {
        let file = router::read("router.toml", &SMALL.replacen(old, new, 1)).expect("it is right");
        let said: Vec<&str> = file.warnings.iter().map(|w| w.message.as_str()).collect();
        let free = "the price of `oai` is not known, so it counts as free";
        assert_eq!(said, [format!("{free}{meant}")]);
        let hint = file.warnings[0].hint.as_deref().unwrap_or_default();
        assert_eq!(hint.contains("known: `anthropic`, `azure-openai`,"), new.contains("vllm"));
    }
}

/// Every word that some key takes, by the key's name.
fn words(table: &'static Table) -> Vec<(&'static str, &'static str)> {
    fn of(kind: &'static Kind) -> &'static [&'static str] {
        if let Kind::Choice(words) = kind { words } else { &[] }
    }
    let fields = tables(table).into_iter().flat_map(|table| table.fields);
    let named = fields.flat_map(|field| {
        let either = if let Kind::Either(kinds) = field.kind { kinds } else { &[] };
        let kinds = [&field.kind].into_iter().chain(either);
        kinds.flat_map(of).map(|word| (field.name, *word))
    });
    named.collect()
}

fn restart(fault: &crate::written::FaultSpec) -> Option<router_core::Restart> {
    fault.restart.as_ref().map(|restart| restart.value)
}

#[test]
fn each_word_of_a_file_has_a_meaning_of_its_own() {
    let (mut seen, mut count) = (Vec::new(), 0);
    for (key, word) in words(&crate::field::SCENARIO_FILE) {
        let table = match key {
            "demonstrates" => String::new(),
            "process" => "demand.x.normal.".to_owned(),
            "order" => "provider.x.when_full.queue = 1\nprovider.x.when_full.".to_owned(),
            "algorithm" | "reserves" | "retry_after" => "provider.x.quota.".to_owned(),
            "quota_spent" | "revoked_key" | "restart" | "store" => {
                "fault.x.on = \"*\"\nfault.x.".to_owned()
            }
            _ => "provider.x.".to_owned(),
        };
        let spec = scenario::read("x", &format!("{table}{key} = \"{word}\"\n"));
        let spec = spec.unwrap_or_else(|wrong| panic!("{key} = {word}: {wrong:?}"));
        // Without places, which depend on how long the word is.
        let providers: Vec<_> = spec.providers.iter().map(|(_, spec)| spec).collect();
        let process = spec.demands.first().and_then(|(_, demand)| demand.normal.process.as_ref());
        let process = process.map(|process| process.value);
        let faults: Vec<_> = spec
            .faults
            .iter()
            .map(|(_, f)| (f.quota_spent, f.revoked_key, restart(f), f.store))
            .collect();
        let failure = spec.demonstrates_failure;
        seen.push(format!("{key} {process:?} {failure} {providers:?} {faults:?}"));
        count += 1;
    }
    seen.sort_unstable();
    seen.dedup();
    assert_eq!((seen.len(), count), (27, 27), "{seen:#?}");
}
