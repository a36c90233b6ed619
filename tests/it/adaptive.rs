//! A provider that is asked for twice what it can take: a limit that learns what that is, against
//! limits that somebody has guessed.

use std::sync::Arc;

use reports::{Calls, Fold};
use router_core::{Auditor, Driver, Router, Seed, Span, Time};
use scenarios::resolve::{Fleet, Override, resolve};
use sim::{Plan, World};

/// Twenty places, a call of 800 ms on average in each, so that 25 calls a second fit; 50 are
/// wanted. What finds no place waits, and what nobody waits for any more runs on.
const SCENARIO: &str = r#"
title = "Twice what fits"
question = "How many calls at once?"
[demand."*"]
normal = { rate = "50/s", lasts = "5 min", tokens = { input = 100, output = 41 }, client = "once" }
[provider."*"]
connect = "0 s"
service = { ttft = { median = "350 ms", sigma = 0.5, tail = "0 %", per_input_token = "0 s" }, per_token = { median = "10 ms", sigma = 0.2, growth = 0.0 } }
concurrency = 20
when_full = { queue = 100000, order = "fifo" }
abandoned = "runs-on"
quota = "unlimited"
[expect]
"some" = "success.rate > 0 %"
"#;

fn router(limit: &str) -> String {
    format!(
        r#"
[router]
attempts = 1
[deployment.only]
provider = "openai"
model = "gpt-4o-mini"
{limit}
[group.chat]
members = {{ only = 1 }}
timeouts = {{ first_token = "10 s" }}
cooldown = "off"
"#
    )
}

fn calls(limit: &str) -> Calls {
    let scenario = scenarios::scenario::read("scenario.toml", SCENARIO).expect("it is valid");
    let router = scenarios::router::read("router.toml", &router(limit)).expect("it is valid");
    let fleet = Fleet { config: &router.config, endpoints: &router.endpoints, then: &[] };
    let resolved = resolve(&scenario, fleet, &Override::default()).expect("it is valid");
    let seed = Seed::from_u64(7);
    let brain = Router::new(Arc::clone(&router.config), seed, Time::ZERO);
    let fold = Fold::new(Arc::clone(&router.config), resolved.frame);
    let auditor = Auditor::new(Arc::clone(&router.config), Time::ZERO);
    let plan = Plan { seed, ..resolved.plan };
    let mut world = World::new(&plan, Driver::new(brain, (fold, auditor)));
    world.run();
    let end = world.now();
    let (fold, auditor) = world.into_driver().into_journal();
    assert_eq!(auditor.violations(), []);
    fold.finish(end).whole.calls
}

/// Calls answered a second, and how long 99 % of those waited for their first token at most.
fn measured(limit: &str) -> (f64, Span) {
    let calls = calls(limit);
    let p99 = calls.ttft.p99().expect("some are answered");
    (calls.answered as f64 / 300.0, p99)
}

/// The few calls that too low a limit lets in are the fastest: everybody else is turned away.
#[test]
fn twice_what_fits_is_served_as_if_somebody_had_known_the_limit() {
    let (high, slow) = measured("limit = { parallel = 400 }");
    let (low, fast) = measured("limit = { parallel = 5 }");
    let (right, _) = measured("limit = { parallel = 20 }");
    for start in [5, 20, 100] {
        let (rate, p99) = measured(&format!("adaptive = {{ max = 400, start = {start} }}"));
        assert!(rate > right && rate > 4.0 * low && rate > 10.0 * high, "{start}: {rate}");
        assert!(p99 * 4 < slow && p99.scale(2, 5) < fast, "{start}: {p99} {slow} {fast}");
    }
}
