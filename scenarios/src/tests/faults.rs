//! Each fault through a file: it strikes, or is refused with numbers.

use std::sync::Arc;

use router_core::{CallEnd, Driver, Input, Journal, Output, Router, Time, Upstream};
use sim::World;

use crate::resolve::{Fleet, Override, read_and_resolve};
use crate::router::{self, RouterFile};

const ROUTER: &str = r#"
[router]
attempts = 2
deadline = "30 s"
[deployment.a]
provider = "openai"
model = "gpt-4o-mini"
region = "eu"
keys = ["env:A1", "env:A2"]
[deployment.b]
provider = "anthropic"
model = "claude-haiku-4-5"
[group.chat]
members = { a = 1, b = 1 }
timeouts = { first_token = "5 s", idle = "5 s", total = "20 s" }
cooldown = { after = "off" }
"#;

/// A world of exact times: 100 ms to connect, 400 ms to the first token, 10 ms each.
const DEMAND: &str = r#"
[demand.chat]
normal.rate = "10/s"
normal.lasts = "60 s"
normal.process = "constant"
normal.tokens = { input = 100, output = 50 }
"#;
const PROVIDER: &str = r#"
[provider."*"]
connect = "100 ms"
service.ttft = { median = "400 ms", sigma = 0, tail = "0 %", per_input_token = "0 s" }
service.per_token = { median = "10 ms", sigma = 0, growth = 0 }
quota = "unlimited"
"#;

fn router() -> RouterFile {
    router::read("router.toml", ROUTER).expect("it is right")
}

/// What the router was told of failures, and how calls ended.
#[derive(Debug, Default)]
struct Heard {
    /// Each kind of failure, with status, `Retry-After` in milliseconds and `x-should-retry`.
    failures: Vec<String>,
    answered: u64,
}

impl Journal for Heard {
    fn input(&mut self, _: Time, input: &Input) {
        let Input::Upstream(_, Upstream::Fail(failure)) = input else { return };
        let wait = failure.retry_after.map_or(String::new(), |w| format!(" {}ms", w.as_millis()));
        let again = failure.should_retry.map_or(String::new(), |again| format!(" {again}"));
        let (kind, status) = (failure.kind.name(), failure.status);
        let billed = if failure.usage.is_some() { " billed" } else { "" };
        let said = format!("{kind} {status}{wait}{again}{billed}");
        if !self.failures.contains(&said) {
            self.failures.push(said);
        }
    }

    fn output(&mut self, _: Time, _: &Output) {}

    fn call(&mut self, _: Time, call: &router_core::Call) {
        self.answered += u64::from(matches!(call.end, CallEnd::Answered(_)));
    }
}

/// How often the fault struck, and what the router heard.
fn ran(demand: &str, fault: &str) -> (u64, Heard) {
    let file = router();
    let fleet = Fleet { config: &file.config, endpoints: &file.endpoints, then: &[] };
    let text = format!("{DEMAND}{demand}{PROVIDER}[fault.x]\n{fault}\n");
    let read = read_and_resolve("file.toml", &text, fleet, &Override::default());
    let (_, found) = read.unwrap_or_else(|wrong| panic!("{wrong:#?}"));
    let brain = Router::new(Arc::clone(&file.config), found.plan.seed, Time::ZERO);
    let mut world = World::new(&found.plan, Driver::new(brain, Heard::default()));
    world.run();
    let fired = world.fired();
    (fired[0], world.into_driver().into_journal())
}

#[test]
fn each_fault_strikes_and_is_counted() {
    let none: &[&str] = &[];
    for (demand, fault, heard) in [
        ("", "on = \"a\"\ndelay = \"6 s\"", none),
        ("", "on = \"a\"\nstall = {}", none),
        ("", "on = \"a\"\nstall = { after = 40 }", none),
        ("", "on = \"a\"\ncut = { after = 40 }", &["reset 0"]),
        ("", "on = \"a\"\ntruncated = { after = 1 }", &["truncated 0"]),
        ("", "on = \"a\"\nin_stream_error = { after = 3 }", &["server 529"]),
        ("", "on = \"a\"\nin_stream_error = { status = 500 }", &["server 500"]),
        ("", "on = \"a\"\nquota_spent = \"402\"", &["quota-spent 402"]),
        ("", "on = \"a\"\nquota_spent = \"429\"", &["quota-spent 429"]),
        ("", "on = \"a\"\nrevoked_key = 1", &["authentication 401"]),
        ("", "on = \"a\"\nrevoked_key = \"all\"", &["authentication 401"]),
        ("stream = \"50 %\"", "on = \"a\"\ngarbage = true", &["invalid-output 200 billed"]),
        (
            "",
            "on = \"a\"\noutage = \"500\"\nflap = { period = \"2 s\" }",
            &["server 500", "reset 0"],
        ),
        (
            "",
            "on = [\"region:eu\", \"vendor:anthropic\"]\nanswers = [\"400 context\"]\n\
             at_random = { up = \"5 s\", down = \"5 s\" }",
            &["context-window 400"],
        ),
        ("", "on = \"group:chat\"\nanswers = [\"400 content-policy\"]", &["content-policy 400"]),
        (
            "",
            "on = \"a\"\nof = \"10 %\"\nanswers = [\"503 retry-after=1.5 x-should-retry=false\", \
             \"503 retry-after-ms=250\", \"ok\", \"429 retry-after=Thu, 01 Jan 1970 00:00:00 GMT\"]",
            &["server 503 1500ms false", "server 503 250ms", "rate-limit 429 0ms"],
        ),
    ] {
        let (fired, found) = ran(demand, fault);
        assert!(fired > 0, "{fault}");
        let mut sorted = found.failures.clone();
        sorted.sort_unstable();
        let mut expected = heard.to_vec();
        expected.sort_unstable();
        assert_eq!(sorted, expected, "{fault}");
    }
}

#[test]
fn a_revoked_key_leaves_the_other_keys_and_deployments_at_work() {
    let (fired, heard) = ran("", "on = \"a\"\nrevoked_key = 0");
    // The key rests at the first 401, and the call is tried again elsewhere.
    assert!((1..10).contains(&fired), "{fired}");
    assert!(heard.answered > 590, "{}", heard.answered);
}

#[test]
fn a_provider_refuses_a_prompt_beyond_its_window() {
    let (_, heard) =
        ran("output_max = 60\n[provider.a]\ncontext = 150", "on = \"b\"\ndelay = \"1 s\"");
    assert_eq!(heard.failures, ["context-window 400"]);
}

/// What is said of a fault, or of a demand, that contradicts itself.
fn said(text: &str) -> Vec<String> {
    let file = router();
    let fleet = Fleet { config: &file.config, endpoints: &file.endpoints, then: &[] };
    let found = read_and_resolve("file.toml", text, fleet, &Override::default());
    match found {
        Err(wrong) => wrong.iter().map(|found| found.message.clone()).collect(),
        Ok((_, found)) => {
            let quota = |line: &&String| !line.contains("what its quota");
            found.warnings.iter().filter(quota).chain(&found.not_applicable).cloned().collect()
        }
    }
}

#[test]
fn contradictions_are_refused_with_their_numbers() {
    for (fault, expected) in [
        ("stall = { after = 50 }", "no answer has more than 50 tokens, so none breaks after 50"),
        ("stall = { after = 49 }", ""),
        (
            "garbage = true",
            "every answer is streamed, and garbage shows only in those that are not",
        ),
        ("garbage = false", "this fault does nothing"),
        ("cut = {}\nstall = {}", "this fault does several things at once"),
        (
            "cut = {}\nflap = { period = \"60 s\" }\nlasts = \"30 s\"",
            "a fault that lasts 30 s is over within its period of 1 min",
        ),
        (
            "cut = {}\nflap = { period = \"60 s\", duty = \"0 %\" }",
            "this fault is never there: its duty is 0 %",
        ),
        (
            "cut = {}\nflap = { period = \"60 s\", duty = \"100 %\" }",
            "this fault is never gone: its duty is 100 %",
        ),
        (
            "cut = {}\nflap = { period = \"60 s\" }\nat_random = { up = \"1 s\", down = \"1 s\" }",
            "this fault flaps, and comes and goes at random",
        ),
        (
            "cut = {}\nat_random = { up = \"1 min\", down = \"1 s\" }\nlasts = \"30 s\"",
            "this fault first comes after 1 min on average, but lasts 30 s",
        ),
        (
            "cut = {}\nat_random = { up = \"1 h\", down = \"1 s\" }\nat = \"10 s\"",
            "the fault `x` first comes after 1 h on average, and calls for 50 s from its beginning",
        ),
        ("revoked_key = 2", "fault `x`: `a` has 2 keys, so none is number 2 (the first is 0)"),
        ("answers = [\"429 reset\"]", "`429 reset` is no answer"),
    ] {
        let found = said(&format!("{DEMAND}[fault.x]\non = \"a\"\n{fault}\n"));
        let expected: Vec<&str> =
            Some(expected).filter(|text| !text.is_empty()).into_iter().collect();
        assert_eq!(found, expected, "{fault}");
    }
}
