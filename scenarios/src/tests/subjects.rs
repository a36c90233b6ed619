//! Subjects in router files and in scenarios.

use router_core::{BudgetSpec, BudgetUnit, Order, Ratio, Span};

use super::SMALL;
use crate::file::FileKind;
use crate::quantity::Unit;
use crate::resolve::{Fleet, Override, resolve, slos};
use crate::router;
use crate::written::{Mistake, Spanned};

const DAY: Span = Span::from_secs(86_400);

fn with(more: &str) -> String {
    format!("{SMALL}{more}")
}

fn complaints(more: &str) -> Vec<String> {
    let found = router::read("router.toml", &with(more)).expect_err("it is wrong");
    found.iter().map(|said| said.message.clone()).collect()
}

#[test]
fn subjects_are_read_as_they_are_written() {
    let text = with(
        r#"
[subject."org=*"]
limit = { requests = "600/min", parallel = 20 }
budget = ["50 USD/day", { amount = "20M tokens/day", soft = "90 %", hard = false }]
[subject."user=*"]
budget = "0.5 USD/h"
[subject."org=acme"]
weight = 3
"#,
    );
    let file = router::read("router.toml", &text).expect("it is right");
    let kinds: Vec<&str> = file.config.kinds().iter().map(|kind| kind.name.as_str()).collect();
    assert_eq!(kinds, ["org", "user"]);
    assert_eq!(file.config.subject("org", "acme"), Some((0, 1)));
    let others = file.config.policy(0, 2).expect("all others have an entry");
    let usd = BudgetSpec::new(BudgetUnit::Usd, 50_000_000_000_000, DAY);
    let tokens = BudgetSpec::new(BudgetUnit::Tokens, 20_000_000, DAY);
    let tokens = BudgetSpec { soft: Ratio::from_ppm(900_000), hard: false, ..tokens };
    assert_eq!(others.budgets, [usd, tokens]);
    assert_eq!((others.limit.parallel, others.weight), (Some(20), 1));
    let acme = file.config.policy(0, 1).expect("it has an entry");
    assert!(!acme.is_metered() && acme.weight == 3);
    assert_eq!(file.config.policy(1, 9).map(|user| user.budgets[0].amount), Some(500_000_000_000));
}

#[test]
fn what_no_subject_can_have_is_refused_with_its_numbers() {
    let budget = |text: &str| complaints(&format!("[subject.\"org=a\"]\nbudget = \"{text}\"\n"));
    assert_eq!(
        budget("0.0003 USD/day"),
        [
            "`subject.org=a.budget` is 0.0003 USD, but one request reserves at least 0.00030735 USD: \
          none would fit"
        ]
    );
    assert_eq!(
        budget("512 tokens/day"),
        ["`subject.org=a.budget` is 512 tokens, but one request reserves at least 513 tokens: \
          none would fit"]
    );
    for wrong in ["5 EUR/day", "5 USD", "0 USD/day", "5 USD/0 s", "1.5 tokens/day"] {
        assert_eq!(budget(wrong).len(), 1, "{wrong}");
    }
    let kinds: String = (0..5).map(|k| format!("[subject.\"k{k}=*\"]\n")).collect();
    let said = complaints(&kinds);
    assert_eq!(
        said,
        ["`subject.k4=*` is of one kind too many: a request is on account of 4 at most"]
    );
    let zero = complaints("[subject.\"org=a\"]\nlimit = { requests = \"0/min\" }\n");
    assert!(zero[0].contains("out of range"), "{zero:?}");
    let name = complaints("[subject.acme]\n");
    assert_eq!(name, ["`acme` is no kind and name of a subject"]);
    let soft = "budget = { amount = \"1 USD/day\", soft = \"101 %\" }\n";
    assert!(complaints(&format!("[subject.\"org=a\"]\n{soft}"))[0].contains("more than 100 %"));
    let none = complaints("[subject.\"org=a\"]\nbudget = { soft = \"10 %\" }\n");
    assert_eq!(none, ["[subject.org=a.budget] needs `amount`"]);
}

#[test]
fn dollars_for_what_has_no_price_are_warned_of() {
    let text = with("[subject.\"org=*\"]\nbudget = \"5 USD/day\"\n");
    let text = text.replace("gpt-4o-mini", "a-model-of-ones-own");
    let file = router::read("router.toml", &text).expect("it is right");
    let said: Vec<&str> = file.warnings.iter().map(|said| said.message.as_str()).collect();
    let expected = "a budget of `org=*` counts dollars, but `oai` costs nothing here: what it \
                    serves is never counted";
    assert!(said.contains(&expected), "{said:?}");
}

#[test]
fn budgets_and_crowds_are_printed_as_they_are_read() {
    for (unit, text) in [
        (Unit::Spend, "50 USD/day"),
        (Unit::Spend, "0.000001 USD/10 s"),
        (Unit::Spend, "20M tokens/h"),
        (Unit::Crowd, "10k zipf 1.1"),
        (Unit::Crowd, "7"),
    ] {
        assert_eq!(unit.parse(text).map(|read| read.to_string()), Ok(text.to_owned()));
    }
    for wrong in ["0", "2M", "10 zipf", "10 zipf 5", "many"] {
        assert!(Unit::Crowd.parse(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_queue_takes_turns_by_a_kind_of_subject_and_its_weights() {
    let queue = "queue = { size = 50, timeout = \"2 s\", order = \"lifo\", fair = \"org\" }\n";
    let more = "
        [subject.\"user=*\"]
        weight = 2
        [subject.\"org=acme\"]
        weight = 3
        [subject.\"org=small\"]
        ";
    let text = with(&format!("{queue}in_flight = 20\n{more}"));
    let file = router::read("router.toml", &text).expect("it is right");
    let group = &file.config.groups()[0];
    let queue = group.queue.expect("it is written");
    assert_eq!((queue.size, queue.timeout, queue.order), (50, Span::from_secs(2), Order::Lifo));
    assert_eq!((queue.fair, group.in_flight), (Some(1), 20), "`org` is mentioned after `user`");
    let weight = |kind, name| {
        let (_, subject) = file.config.subject("org", name).expect("it has an entry");
        file.config.weight(kind, subject)
    };
    assert_eq!((weight(1, "acme"), weight(1, "small"), file.config.weight(1, 9)), (3, 1, 1));
    assert_eq!(file.config.weight(0, 9), 2);
    let printed = FileKind::Router.print("router.toml", &text).expect("it was read");
    assert!(printed.contains("\nqueue.fair = \"org\" "), "{printed}");
    let again = router::read("router.toml", &printed).expect("what is printed is right");
    assert_eq!(format!("{:?}", again.spec), format!("{:?}", file.spec));
}

const PAID: &str = r#"
title = "Who pays"
[demand."*"]
normal = { rate = "1/s", lasts = "1 min", tokens = { input = 1, output = 1 }, client = "once" }
subjects.org = { acme = "50 %", globex = "50 %" }
subjects.team = { red = "100 %" }
properties.tier = "free"
[provider."*"]
quota = "unlimited"
[expect]
"#;

/// What resolving says: what does not apply, or what is wrong, each with what it stands under.
fn asked(router: &str, expected: &str) -> Result<Vec<String>, Vec<(String, String, String)>> {
    let router = router::read("router.toml", &with(router)).expect("it is right");
    let fleet = Fleet { config: &router.config, endpoints: &router.endpoints, then: &[] };
    let text = format!("{PAID}\"x\" = \"{expected}\"\n");
    let spec = crate::scenario::read("s.toml", &text).expect("it can be read");
    let found = resolve(&spec, fleet, &Override::default());
    found.map(|found| found.not_applicable).map_err(|wrong| {
        let place = |wrong: Mistake| {
            (text[wrong.at].to_owned(), wrong.message, wrong.hint.unwrap_or_default())
        };
        wrong.into_iter().map(place).collect()
    })
}

#[test]
fn expectations_name_subjects_and_labels_that_the_scenario_or_the_router_has() {
    let router = "[subject.\"org=initech\"]\n[subject.\"org=*\"]\n[subject.\"team=*\"]\n";
    for fine in ["org=acme", "org=globex", "org=initech", "org=*", "team=red", "tier=free"] {
        let expected = format!("cost.total {{{fine}}} < 1 USD");
        assert_eq!(asked(router, &expected), Ok(Vec::new()), "{fine}");
    }
    let wrong = |at: &str, message: &str, hint: &str| {
        Err(vec![(at.to_owned(), message.to_owned(), hint.to_owned())])
    };
    assert_eq!(
        asked(router, "cost.total {org=glbex} < 1 USD"),
        wrong("glbex", "no subject of `org` is called `glbex`", "did you mean `globex`?")
    );
    assert_eq!(
        asked(router, "success.rate {teir=free} > 1 %"),
        wrong(
            "teir",
            "no kind of subject and no property is called `teir`",
            "did you mean `tier`?"
        )
    );
    assert_eq!(
        asked(router, "cost.total {tier=fre} < 1 USD"),
        wrong("fre", "no label of `tier` is called `fre`", "did you mean `free`?")
    );
    // A router that does not know the kind is another matter.
    let said = asked("", "cost.total {org=acme} < 1 USD").expect("it is right");
    let last = said.last().expect("something does not apply");
    assert!(last.ends_with("this router has no subjects of kind `org`"), "{said:?}");
}

#[test]
fn what_a_team_expects_may_name_whom_only_some_scenarios_have() {
    let router = router::read("router.toml", &with("[subject.\"org=*\"]\n")).expect("it is right");
    let fleet = Fleet { config: &router.config, endpoints: &router.endpoints, then: &[] };
    let text = format!("{PAID}\"x\" = \"success.rate > 1 %\"\n");
    let spec = crate::scenario::read("s.toml", &text).expect("it can be read");
    let frame = resolve(&spec, fleet, &Override::default()).expect("it is right").frame;
    let slo = |text: &str| vec![(Spanned::new("x".to_owned(), 0..1), vec![at(text)])];
    let (asked, said) =
        slos(&slo("cost.total {org=acme} < 1 USD"), &router.config, &frame).unwrap();
    assert_eq!((asked.len(), said.len()), (1, 0));
    let (asked, said) =
        slos(&slo("cost.total {org=acne} < 1 USD"), &router.config, &frame).unwrap();
    assert_eq!(asked.len(), 0);
    assert!(said[0].ends_with("is called `acne`; did you mean `acme`?"), "{said:?}");
}

fn at(text: &str) -> Spanned<String> {
    Spanned::new(text.to_owned(), 0..text.len())
}
