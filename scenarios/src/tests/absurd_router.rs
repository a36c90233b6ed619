//! Policies at the ends of their ranges, and beyond: a router is refused, or it routes.

use proptest::prelude::*;
use router_core::{GroupId, Span};

use super::absurd::{Writer, run};
use crate::file::FileKind;
use crate::router;

/// One line of each of these, or none; `<t>` and so on become numbers.
const ROUTER: [&[&str]; 6] = [
    &["deadline = \"<t>\"", "deadline = \"off\""],
    &["retry_budget = \"<s> + <c>/s\"", "retry_budget = \"off\"", "retry_budget = \"<s>\""],
    &["attempts = <a>"],
    &["retry_after_max = \"<t>\""],
    &[
        "peers = { replicas = <c>, stale = \"<t>\", on_outage = \"closed\" }",
        "peers = { replicas = <a>, on_outage = \"share\" }",
    ],
    &["default_group = \"backup\"", "fallbacks = [\"chat\", \"backup\", \"mine\"]"],
];
const DEPLOYMENT: [&[&str]; 5] = [
    &["limit = { requests = \"<r>\", parallel = <c> }", "limit = { tokens = \"<r>\" }"],
    &["context = <c>"],
    &["adaptive = {}", "adaptive = <c>", "adaptive = { start = <a> }"],
    &["tags = [\"default\"]", "tags = [\"a\", \"b\"]"],
    &["breaker = \"observe-only\"", "breaker = \"forced-open\"", "breaker = \"disabled\""],
];
const GROUP: [&[&str]; 10] = [
    &[
        "ladder = [\"fresh\", \"full\", \"stale\", \"static\"]",
        "ladder = [\"stale\", \"full\", \"static\"]",
    ],
    &[
        "strategy = \"smooth\"",
        "strategy = { by = \"latency\", explore = \"<s>\" }",
        "strategy = { by = \"power-of-two\", load = \"peak-ewma\" }",
        "strategy = \"cost\"",
        "strategy = \"usage\"",
        "strategy = \"sticky\"",
    ],
    &["timeouts = { first_token = \"<t>\", total = \"<t>\" }", "timeouts = { total = \"<t>\" }"],
    &["retry = { server = <a>, timeout = <a>, rate_limit = <a> }"],
    &["backoff = { base = \"<t>\", factor = <a>, jitter = \"constant\" }", "backoff.max = \"<t>\""],
    &[
        "cooldown = { after = \"<s> of <c> in <t>\", rest = \"<t>\", grow = <a>, jitter = \"<s>\" }",
        "cooldown = { server = <c>, timeout = { after = \"common\", rest = \"<t>\" } }",
        "cooldown = { rate_limit = { after = <c>, rest = \"<t>\" }, max = \"<t>\" }",
    ],
    &[
        "breaker = { after = \"<s> of <c> in <t>\", open = \"<t>\", max = \"<t>\" }",
        "breaker = { consecutive = <c>, probes = <c>, successes = <c>, ramp = \"<t>\" }",
        "breaker = { after = \"<s> of <c> in <c> calls\", grow = <a>, jitter = \"<s>\" }",
        "breaker = { slow = { over = \"<t>\", share = \"<s>\" }, after = \"never\" }",
        "breaker = false",
    ],
    &["ejected_max = \"<s>\"", "ejected_max = \"<s>\"\npanic = \"<s>\""],
    &[
        "hedge = \"<t>\"",
        "hedge = { after = \"p99.9999\", utilisation_max = \"<s>\" }",
        "hedge = { after = \"p0.0001\" }",
    ],
    &["fallbacks = \"backup\"", "fallbacks.context_window = [\"backup\", \"mine\"]"],
];

const WORLD: &str = "[demand.\"*\".normal]\nrate = \"20/s\"\nlasts = \"5 s\"\n\
    [fault.late]\non = \"az\"\noutage = \"503\"\n[expect]\na = \"success.rate >= 0 %\"\n";

fn file(picks: Vec<usize>) -> String {
    let mut writer = Writer::new("[router]\n", picks.into_iter());
    writer.some(&ROUTER);
    for name in ["oai", "az", "haiku"] {
        writer.line(&format!(
            "[deployment.{name}]\nprovider = \"openai\"\nmodel = \"gpt-4o-mini\"\nkeys = \"env:K\""
        ));
        writer.some(&DEPLOYMENT);
    }
    writer.line("[group.chat]\nmembers = { oai = 3, az = 1 }\naliases = [\"mine\", \"*\"]");
    writer.some(&GROUP);
    writer.line("[group.backup]\nmembers = { haiku = 1, oai = 0 }");
    writer.some(&GROUP);
    writer.into_text()
}

/// Whether the file was taken; if so, it reads as printed, all is said of it that there is to
/// say, and it routed for a while.
fn routed(text: &str) -> bool {
    let Ok(file) = router::read("router.toml", text) else {
        return false;
    };
    let printed = FileKind::Router.print("router.toml", text).expect("it was read");
    let again = router::read("router.toml", &printed).map(|file| format!("{:?}", file.spec));
    assert_eq!(again, Ok(format!("{:?}", file.spec)), "{printed}");
    for group in 0..file.config.groups().len() {
        let worst = file.config.worst_case(GroupId::at(group));
        assert!(worst.attempts >= 1 && worst.stream.latency > Span::ZERO, "{worst:?}");
    }
    run(file, WORLD)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn a_router_of_absurd_policies_is_refused_or_routes(
        picks in prop::collection::vec(0..1_000_usize, 160),
    ) {
        routed(&file(picks));
    }
}

#[test]
fn routers_of_absurd_policies_route_now_and_then() {
    let files =
        (0..200_usize).map(|n| file((0..160).map(|i| (n * 7_919 + i * 104_729) % 997).collect()));
    let routed = files.filter(|text| routed(text)).count();
    assert!((20..180).contains(&routed), "{routed} of 200 routed");
}
