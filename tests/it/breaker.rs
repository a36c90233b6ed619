//! When a breaker opens and how what was out comes back; how much of a group may be out. Where a
//! test names another project, that is where the fault was seen.

use std::sync::Arc;

use router_core::{
    BreakerMode, BreakerSpec, BreakerState, BreakerWindow, Cause, ClassRest, Config, Failure,
    FailureKind, Input, LimitSpec, Observation, Output, Rate, Ratio, Reason, RequestId, RestAfter,
    Router, Seed, Span, Spec, Time, Turn, Upstream,
};
use tests::stage::{Stage, excluded, ms, sent, spec};

/// A change of a breaker: whose, to what, why, until when.
type Change = (usize, BreakerState, Turn, Option<Time>);

const OPEN: BreakerState = BreakerState::Open;
const HALF_OPEN: BreakerState = BreakerState::HalfOpen;
const CLOSED: BreakerState = BreakerState::Closed;

pub(crate) const fn secs(seconds: u64) -> Time {
    Time::from_secs(seconds)
}

/// `d0` serves, and `d1` while `d0` cannot. One attempt per request, and no cooldown: what
/// happens is the breakers' doing. They open after three failures in a row, for 10 s.
fn guarded() -> Spec {
    let mut spec = primary();
    spec.groups[0].cooldown.enabled = false;
    spec.groups[0].breaker = Some(BreakerSpec {
        consecutive: 3,
        jitter: Ratio::ZERO,
        successes: 2,
        ..BreakerSpec::default()
    });
    spec
}

/// The same with cooldowns only.
pub(crate) fn primary() -> Spec {
    let mut spec = spec(&[1, 1]);
    spec.groups[0].members[1].tier = 1;
    spec.router.attempts = 1;
    spec
}

fn breaker(spec: &mut Spec) -> &mut BreakerSpec {
    spec.groups[0].breaker.as_mut().expect("it is guarded")
}

/// Submits and fails requests `from..to`, all at `now`.
pub(crate) fn crash_all(stage: &mut Stage, now: Time, requests: core::ops::Range<u64>) {
    for n in requests {
        stage.submit(now, n);
        stage.crash(now, n, 1);
    }
}

fn changes(stage: &Stage) -> Vec<Change> {
    let change = |observation| {
        let Observation::Breaker { deployment, to, why, until, .. } = observation else {
            return None;
        };
        Some((deployment.index(), to, why, until))
    };
    stage.observations().filter_map(change).collect()
}

pub(crate) fn rests(stage: &Stage) -> Vec<(usize, Option<u8>, Time)> {
    let rest = |observation| {
        let Observation::Rested { deployment, key, until, .. } = observation else { return None };
        Some((deployment.index(), key, until))
    };
    stage.observations().filter_map(rest).collect()
}

fn spared(stage: &Stage) -> usize {
    stage.observations().filter(|o| matches!(o, Observation::Spared { .. })).count()
}

fn reconfigure(stage: &mut Stage, now: Time, spec: &Spec) {
    let next = Config::new(spec).expect("the test's configuration is valid");
    assert_eq!(stage.feed(now, Input::Reconfigure(Arc::new(next))), []);
}

pub(crate) fn class(after: RestAfter) -> ClassRest {
    ClassRest { after, rest: None }
}

/// LiteLLM 1.80 and 1.109: an error chunk after five tokens, a connection cut after five, a first
/// token that never comes: none of them puts a deployment into cooldown.
#[test]
fn streams_that_fail_count_like_calls_that_fail() {
    for (kind, falls_due) in [
        (FailureKind::Server, None),
        (FailureKind::Reset, None),
        (FailureKind::Truncated, None),
        (FailureKind::Connect, Some(5)),
        (FailureKind::FirstToken, Some(30)),
        (FailureKind::Idle, Some(20)),
    ] {
        let mut spec = guarded();
        spec.groups[0].cooldown.enabled = true;
        breaker(&mut spec).consecutive = 10;
        let mut stage = Stage::new(&spec);
        for n in 0..10 {
            stage.submit(ms(0), n);
            if kind != FailureKind::Connect {
                stage.news(ms(0), n, 1, Upstream::Connected);
            }
            if kind != FailureKind::Connect && kind != FailureKind::FirstToken {
                stage.news(ms(0), n, 1, Upstream::FirstToken);
            }
        }
        match falls_due {
            Some(seconds) => stage.wait(secs(seconds)),
            None => (0..10).for_each(|n| drop(stage.fail(ms(0), n, 1, Failure::new(kind, 200)))),
        }
        let now = secs(falls_due.unwrap_or(0));
        let five = Span::from_secs(5);
        assert_eq!(rests(&stage), [(0, None, now + five)], "{kind:?}");
        let until = Some(now + five + five);
        assert_eq!(changes(&stage), [(0, OPEN, Turn::Consecutive, until)], "{kind:?}");
    }
}

#[test]
fn the_rule_for_a_lone_deployment_is_not_for_breakers() {
    let mut alone = spec(&[1]);
    alone.router.attempts = 1;
    alone.groups[0].breaker = guarded().groups[0].breaker;
    let mut stage = Stage::new(&alone);
    crash_all(&mut stage, ms(0), 0..3);
    assert_eq!(changes(&stage), [(0, OPEN, Turn::Consecutive, Some(ms(10_000)))]);
}

/// LiteLLM (issue 40958): what the router itself refuses for its own limits counts as a failure of
/// the deployment.
#[test]
fn what_the_router_refuses_is_nobodys_failure() {
    let mut spec = guarded();
    spec.groups[0].cooldown.enabled = true;
    let requests = Some(Rate { amount: 1, period: Span::from_secs(60), burst: None });
    for deployment in &mut spec.deployments {
        deployment.limit = Some(LimitSpec { requests, ..LimitSpec::default() });
    }
    let mut stage = Stage::new(&spec);
    (0..100).for_each(|n| drop(stage.submit(ms(0), n)));
    assert_eq!(stage.dispatches().len(), 2);
    assert_eq!((rests(&stage), changes(&stage)), (vec![], vec![]));
}

#[test]
fn what_the_request_itself_is_to_blame_for_is_nobodys_failure() {
    let mut spec = guarded();
    spec.groups[0].cooldown.enabled = true;
    let kinds = [
        FailureKind::BadRequest,
        FailureKind::ContextWindow,
        FailureKind::ContentPolicy,
        FailureKind::InvalidOutput,
    ];
    let mut stage = Stage::new(&spec);
    for n in 0..100 {
        stage.submit(ms(0), n);
        stage.fail(ms(0), n, 1, Failure::new(kinds[n as usize % 4], 400));
    }
    assert_eq!((rests(&stage), changes(&stage)), (vec![], vec![]));
}

/// LiteLLM 1.80 (issue 32574): of a request's failures only the first is accounted, so what it was
/// retried on never cools.
#[test]
fn every_attempt_of_a_request_counts_where_it_was_made() {
    let mut spec = guarded();
    spec.router.attempts = 2;
    spec.groups[0].ejected_max = Ratio::ONE;
    let mut stage = Stage::new(&spec);
    for n in 0..3 {
        stage.submit(ms(0), n);
        assert_eq!(sent(&stage.crash(ms(0), n, 1)), Some((1, Cause::Retry)));
        stage.crash(ms(0), n, 2);
    }
    let open = |deployment| (deployment, OPEN, Turn::Consecutive, Some(ms(10_000)));
    assert_eq!(changes(&stage), [open(0), open(1)]);
}

/// LiteLLM before 1.80 (issue 17418): one failure of one call is a failure rate of 100 %.
#[test]
fn one_failure_of_one_call_is_no_rate() {
    let mut spec = guarded();
    spec.groups[0].cooldown.enabled = true;
    breaker(&mut spec).consecutive = 0;
    let mut stage = Stage::new(&spec);
    crash_all(&mut stage, ms(0), 0..1);
    assert_eq!((rests(&stage), changes(&stage)), (vec![], vec![]));
}

/// Helicone's gateway (2025) takes a provider with fewer than twenty calls in its window for
/// healthy: one that was removed gets no calls, so it gets all of its traffic back at once, and
/// again each time it fails. In LiteLLM a dead one of two takes a user's request every 5 s.
#[test]
fn who_was_out_comes_back_through_probes() {
    let mut stage = Stage::new(&guarded());
    crash_all(&mut stage, ms(0), 0..3);
    assert_eq!(sent(&stage.submit(ms(9_999), 3)), Some((1, Cause::Primary)));
    let outputs = stage.submit(ms(10_000), 4);
    assert_eq!(sent(&outputs), Some((0, Cause::Probe)));
    let told = outputs.iter().position(|output| {
        matches!(output, Output::Observe(Observation::Breaker { to: BreakerState::HalfOpen, .. }))
    });
    let dispatched = outputs.iter().position(|output| matches!(output, Output::Dispatch(_)));
    assert!(told.is_some() && told < dispatched, "it turns before its probe goes out");
    let herd: Vec<_> = (5..105).map(|n| sent(&stage.submit(ms(10_001), n))).collect();
    assert!(herd.iter().all(|sent| *sent == Some((1, Cause::Primary))), "one probe at a time");
    stage.complete(ms(11_000), 4, 1, 1);
    assert_eq!(sent(&stage.submit(ms(11_000), 105)), Some((0, Cause::Probe)));
    stage.complete(ms(12_000), 105, 1, 1);
    assert_eq!(sent(&stage.submit(ms(12_000), 106)), Some((0, Cause::Primary)));
    let expected = [
        (0, OPEN, Turn::Consecutive, Some(ms(10_000))),
        (0, HALF_OPEN, Turn::Waited, None),
        (0, CLOSED, Turn::Recovered, Some(ms(42_000))),
    ];
    assert_eq!(changes(&stage), expected);
}

#[test]
fn its_share_ramps_up_from_a_tenth() {
    let mut even = spec(&[1, 1]);
    even.router.attempts = 1;
    even.groups[0].cooldown.enabled = false;
    even.groups[0].breaker = guarded().groups[0].breaker;
    let mut stage = Stage::new(&even);
    let mut next = 0;
    // How many of a thousand requests `d0` gets, which answers or fails.
    let mut thousand = |stage: &mut Stage, now, well: bool| {
        (0..1_000).fold(0, |hits, _| {
            next += 1;
            let (deployment, _) = sent(&stage.submit(now, next)).expect("somebody is there");
            if deployment == 0 && !well {
                stage.crash(now, next, 1);
            } else {
                stage.complete(now, next, 1, 1);
            }
            hits + usize::from(deployment == 0)
        })
    };
    assert_eq!(thousand(&mut stage, ms(0), false), 3);
    // The second probe closes it at 10 s; the ramp ends at 40 s.
    let tenth = thousand(&mut stage, ms(10_000), true);
    assert!((60..125).contains(&tenth), "102 of 1126: {tenth}");
    let third = thousand(&mut stage, ms(25_000), true);
    assert!((280..390).contains(&third), "512 of 1536: {third}");
    let half = thousand(&mut stage, ms(40_000), true);
    assert!((440..560).contains(&half), "all of it: {half}");
}

#[test]
fn a_dead_provider_takes_a_handful_of_requests_an_hour() {
    let mut stage = Stage::new(&guarded());
    for n in 0..36_000 {
        let now = ms(n * 100);
        if sent(&stage.submit(now, n)).is_some_and(|(deployment, _)| deployment == 0) {
            stage.crash(now, n, 1);
        } else {
            stage.complete(now, n, 1, 1);
        }
    }
    let tried = stage.dispatches().iter().filter(|(_, d)| d.deployment.index() == 0).count();
    // Three trip it; then 10, 20, 40, 80, 160 and 300 s, and 300 s again and again.
    assert_eq!(tried, 3 + 5 + (3_600 - 310) / 300);
}

#[test]
fn what_is_abandoned_frees_its_probe() {
    let mut spec = guarded();
    spec.router.deadline = Span::from_secs(2);
    let mut stage = Stage::new(&spec);
    crash_all(&mut stage, ms(0), 0..3);
    assert_eq!(sent(&stage.submit(ms(10_000), 3)), Some((0, Cause::Probe)));
    stage.feed(ms(10_001), Input::Cancel(RequestId::new(0, 3, 0)));
    assert_eq!(sent(&stage.submit(ms(10_001), 4)), Some((0, Cause::Probe)));
    stage.wait(ms(12_001));
    assert_eq!(sent(&stage.submit(ms(12_001), 5)), Some((0, Cause::Probe)));
    stage.fail(ms(12_001), 5, 1, Failure::new(FailureKind::BadRequest, 400));
    assert_eq!(sent(&stage.submit(ms(12_001), 6)), Some((0, Cause::Probe)));
}

#[test]
fn a_breaker_half_open_goes_on_in_a_restored_router() {
    let spec = guarded();
    let mut stage = Stage::new(&spec);
    crash_all(&mut stage, ms(0), 0..3);
    stage.submit(ms(10_000), 3);
    let text = stage.router.snapshot();
    let config = Arc::new(Config::new(&spec).expect("it is valid"));
    stage.router = Router::restore(config, Seed::from_u64(7), &text).expect("it is one");
    assert_eq!(stage.router.snapshot(), text);
    assert_eq!(sent(&stage.submit(ms(10_001), 4)), Some((1, Cause::Primary)), "one is in flight");
    stage.complete(ms(10_002), 3, 1, 1);
    assert_eq!(sent(&stage.submit(ms(10_003), 5)), Some((0, Cause::Probe)));
    stage.complete(ms(10_004), 5, 1, 1);
    assert_eq!(changes(&stage).last(), Some(&(0, CLOSED, Turn::Recovered, Some(ms(40_004)))));
}

#[test]
fn slow_streams_open_a_breaker_though_they_are_answered() {
    let mut spec = guarded();
    let slow = breaker(&mut spec);
    (slow.slow, slow.slow_over) = (Some(Ratio::ONE), Span::from_secs(1));
    slow.calls_min = 3;
    for (first_token, stream, opens) in
        [(1_001, true, true), (1_000, true, false), (500, true, false), (500, false, true)]
    {
        let mut stage = Stage::new(&spec);
        for n in 0..3 {
            stage.submit_with(ms(0), n, |r| r.stream = stream);
            stage.news(ms(0), n, 1, Upstream::Connected);
        }
        if stream {
            (0..3).for_each(|n| drop(stage.news(ms(first_token), n, 1, Upstream::FirstToken)));
        }
        (0..3).for_each(|n| drop(stage.complete(ms(9_000), n, 1, 1)));
        let expected = (0, OPEN, Turn::Slow, Some(ms(19_000)));
        let expected: &[Change] = if opens { &[expected] } else { &[] };
        assert_eq!(changes(&stage), expected, "first token after {first_token} ms");
    }
}

#[test]
fn what_does_not_stream_is_slow_by_its_end_to_the_nanosecond() {
    let mut spec = guarded();
    let slow = breaker(&mut spec);
    (slow.slow, slow.slow_over, slow.calls_min) = (Some(Ratio::ONE), Span::from_secs(1), 1);
    for (over, opens) in [(0, 0), (1, 1)] {
        let mut stage = Stage::new(&spec);
        stage.submit_with(ms(0), 0, |r| r.stream = false);
        stage.complete(Time::from_nanos(1_000_000_000 + over), 0, 1, 1);
        assert_eq!(changes(&stage).len(), opens);
    }
}

#[test]
fn who_waits_too_long_to_be_answered_says_that_it_is_slow() {
    let mut spec = guarded();
    let slow = breaker(&mut spec);
    (slow.slow, slow.slow_over) = (Some(Ratio::ONE), Span::from_secs(1));
    slow.calls_min = 3;
    for (leaves, token, opens) in [
        (1_001, None, true),
        (1_000, None, false),
        (1_100, Some(100), false),
        (1_100, Some(1_001), false),
    ] {
        let mut stage = Stage::new(&spec);
        (0..3).for_each(|n| drop(stage.submit(ms(0), n)));
        if let Some(token) = token {
            (0..3).for_each(|n| drop(stage.news(ms(token), n, 1, Upstream::FirstToken)));
        }
        for n in 0..3 {
            stage.feed(ms(leaves), Input::Cancel(RequestId::new(0, n, 0)));
        }
        assert_eq!(changes(&stage).len(), usize::from(opens), "{leaves} {token:?}");
    }
}

#[test]
fn one_that_only_observes_says_so_and_admits_everything() {
    let mut spec = guarded();
    breaker(&mut spec).mode = BreakerMode::Observe;
    let mut stage = Stage::new(&spec);
    crash_all(&mut stage, ms(0), 0..3);
    let told = stage
        .observations()
        .any(|o| matches!(o, Observation::Breaker { to: BreakerState::Open, enforced: false, .. }));
    assert!(told);
    assert_eq!(sent(&stage.submit(ms(1), 3)), Some((0, Cause::Primary)));
    stage.complete(ms(20_000), 3, 1, 1);
    assert_eq!(changes(&stage).len(), 1, "that it is over is not told");
}

#[test]
fn an_operators_word_goes_before_the_groups() {
    let mut spec = guarded();
    spec.deployments[0].breaker = Some(BreakerMode::ForcedOpen);
    let mut stage = Stage::new(&spec);
    let outputs = stage.submit(ms(0), 0);
    assert_eq!(sent(&outputs), Some((1, Cause::Primary)));
    assert_eq!(excluded(&outputs, Reason::Disabled), 1);
    spec.deployments[0].breaker = Some(BreakerMode::Disabled);
    reconfigure(&mut stage, ms(1), &spec);
    crash_all(&mut stage, ms(1), 1..50);
    assert_eq!(changes(&stage), []);
    assert_eq!(sent(&stage.submit(ms(2), 50)), Some((0, Cause::Primary)));
}

#[test]
fn a_breaker_that_becomes_enforced_has_heard_nothing() {
    for before in [BreakerMode::Disabled, BreakerMode::ForcedOpen, BreakerMode::Observe] {
        let mut spec = guarded();
        let mut stage = Stage::new(&spec);
        crash_all(&mut stage, ms(0), 0..3);
        assert_eq!(sent(&stage.submit(ms(0), 3)), Some((1, Cause::Primary)));
        spec.deployments[0].breaker = Some(before);
        reconfigure(&mut stage, ms(1), &spec);
        spec.deployments[0].breaker = None;
        reconfigure(&mut stage, ms(2), &spec);
        crash_all(&mut stage, ms(3), 4..6);
        assert_eq!(sent(&stage.submit(ms(3), 6)), Some((0, Cause::Primary)), "{before:?}");
        stage.crash(ms(3), 6, 1);
        let until = Some(ms(10_003));
        assert_eq!(changes(&stage).last(), Some(&(0, OPEN, Turn::Consecutive, until)), "not twice");
        breaker(&mut spec).window = BreakerWindow::Calls(50);
        let next = Arc::new(Config::new(&spec).expect("it is valid"));
        assert_eq!(stage.feed(ms(5), Input::Reconfigure(next)), [], "of another size");
        assert_eq!(sent(&stage.submit(ms(6), 7)), Some((1, Cause::Primary)), "and open still");
    }
}

#[test]
fn breakers_that_observed_take_nobody_out_when_they_become_enforced() {
    let mut spec = spec(&[1, 1]);
    spec.router.attempts = 1;
    spec.groups[0].cooldown.enabled = false;
    spec.groups[0].breaker = guarded().groups[0].breaker;
    breaker(&mut spec).mode = BreakerMode::Observe;
    let mut stage = Stage::new(&spec);
    crash_all(&mut stage, ms(0), 0..60);
    let mut open: Vec<_> = changes(&stage).iter().map(|(deployment, ..)| *deployment).collect();
    open.sort_unstable();
    assert_eq!((open, spared(&stage)), (vec![0, 1], 0), "both would be open");
    breaker(&mut spec).mode = BreakerMode::Enforce;
    reconfigure(&mut stage, ms(1), &spec);
    assert!(sent(&stage.submit(ms(2), 60)).is_some());
    crash_all(&mut stage, ms(3), 61..120);
    assert!(sent(&stage.submit(ms(4), 120)).is_some(), "half of the group may be out");
}

#[test]
fn no_more_of_a_group_go_out_than_may_whatever_takes_them_out() {
    let mut spec = spec(&[1, 1, 1, 1]);
    spec.router.attempts = 1;
    spec.groups[0].breaker = guarded().groups[0].breaker;
    spec.groups[0].cooldown.classes.server = class(RestAfter::Count(5));
    spec.deployments[0].breaker = Some(BreakerMode::ForcedOpen);
    let mut stage = Stage::new(&spec);
    crash_all(&mut stage, ms(0), 0..200);
    let opened: Vec<_> = changes(&stage).iter().map(|(deployment, ..)| *deployment).collect();
    assert_eq!(opened.len(), 1, "half of four, and one is forced open");
    assert_eq!(rests(&stage), [], "nor does anybody else rest");
    assert!(spared(&stage) > 100);
    let outputs = stage.submit(ms(0), 200);
    assert_eq!(excluded(&outputs, Reason::Open), 1 << opened[0]);
}

#[test]
fn a_request_that_nobody_can_serve_is_told_when_a_breaker_is_tried_again() {
    let mut alone = spec(&[1]);
    alone.router.attempts = 1;
    alone.groups[0].breaker = guarded().groups[0].breaker;
    let mut stage = Stage::new(&alone);
    crash_all(&mut stage, ms(0), 0..3);
    let earliest = |outputs: &[Output]| {
        outputs.iter().find_map(|output| {
            let Output::Observe(Observation::Stranded { earliest, .. }) = output else {
                return None;
            };
            *earliest
        })
    };
    assert_eq!(earliest(&stage.submit(ms(1), 3)), Some(ms(10_000)));
    stage.submit(ms(10_000), 4);
    assert_eq!(earliest(&stage.submit(ms(10_001), 5)), Some(ms(10_001)), "a probe is in flight");
}

#[test]
fn a_late_failure_of_the_herd_that_opened_it_does_not_open_it_longer() {
    let mut stage = Stage::new(&guarded());
    for n in 0..100 {
        stage.submit(ms(0), n);
        stage.news(ms(0), n, 1, Upstream::Connected);
    }
    (0..3).for_each(|n| drop(stage.crash(ms(1), n, 1)));
    (3..50).for_each(|n| drop(stage.crash(ms(5_000), n, 1)));
    assert_eq!(sent(&stage.submit(ms(10_001), 100)), Some((0, Cause::Probe)));
    (50..99).for_each(|n| drop(stage.crash(ms(10_002), n, 1)));
    stage.complete(ms(10_003), 100, 1, 1);
    stage.submit(ms(10_003), 101);
    stage.complete(ms(10_004), 101, 1, 1);
    stage.crash(ms(10_005), 99, 1);
    let states: Vec<_> = changes(&stage).iter().map(|(_, to, ..)| *to).collect();
    assert_eq!(states, [OPEN, HALF_OPEN, CLOSED]);
    assert_eq!(stage.outcome(99).map(|(at, _)| at), Some(ms(10_005)));
}
