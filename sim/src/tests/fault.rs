use router_core::{FailureKind, Ratio, Span};

use super::*;
use crate::{Answer, FirstToken, Outage, PerToken};

/// Exactly 100 ms to the first token, then exactly 10 ms each.
fn tokens() -> Provider {
    let first_token = FirstToken {
        median: Span::from_millis(100),
        sigma: 0.0,
        tail: Ratio::ZERO,
        tail_factor: 1.0,
        tail_shape: 1.0,
        max: Span::from_secs(60),
        per_input_token: Span::ZERO,
    };
    let per_token = PerToken { median: Span::from_millis(10), sigma: 0.0, growth: 0.0 };
    Provider { service: Service::Tokens { first_token, per_token }, ..constant(0) }
}

fn with(fault: Fault) -> Plan {
    Plan { faults: vec![fault], ..plan(demand(1000, 3), vec![tokens()]) }
}

#[test]
fn a_refusing_outage_breaks_streams_in_progress_and_refuses_new_calls() {
    let plan = with(fault(1200, 2500, Effect::Outage(Outage::Refuse)));
    assert_eq!(
        told(&plan, Script::to(&[0])),
        [
            "1000 submit r1",
            "1110 r1#1 FirstToken",
            "1200 r1#1 reset 0",
            "2000 submit r2",
            "2010 r2#1 connect 0",
            "3000 submit r3",
            "3110 r3#1 FirstToken",
            "3210 r3#1 complete 10+11",
        ]
    );
    let world = run(&plan, Script::to(&[0]));
    assert_eq!(world.fired(), [2]);
    let first = world.journal().calls[0];
    assert_eq!(first.end, router_core::CallEnd::Failed(502));
    assert!(first.first_token.is_some());
}

#[test]
fn a_status_outage_answers_with_its_status() {
    let plan = with(fault(900, 2500, Effect::Outage(Outage::Status(503))));
    let told = told(&plan, Script::to(&[0]));
    assert_eq!(told[1], "1010 r1#1 server 503");
    assert_eq!(told[3], "2010 r2#1 server 503");
}

#[test]
fn a_black_hole_leaves_it_to_the_connect_timeout_and_spares_streams_in_progress() {
    let plan = with(fault(1050, 2500, Effect::Outage(Outage::BlackHole)));
    let script = Script { connect: Span::from_millis(300), ..Script::to(&[0]) };
    assert_eq!(
        told(&plan, script)[..5],
        [
            "1000 submit r1",
            "1110 r1#1 FirstToken",
            "1210 r1#1 complete 10+11",
            "2000 submit r2",
            "2300 Tick",
        ]
    );
}

#[test]
fn a_brownout_fails_its_share_and_slows_the_rest() {
    let errors = Ratio::new(1, 3).unwrap();
    let brownout = Effect::Brownout { errors, first_token: 3.0, per_token: 2.0 };
    let mut plan = with(fault(0, 10_000_000, brownout));
    plan.demands[0] = demand(1000, 3000);
    let world = run(&plan, Script::to(&[0]));
    let failed = world.tally().failed;
    assert!((900..1100).contains(&failed), "{failed}");
    assert_eq!(world.fired(), [3000]);
    let slow = Span::from_millis(10 + 300 + 10 * 20);
    let calls = &world.journal().calls;
    let fast = Span::from_millis(10);
    assert!(calls.iter().all(|c| [slow, fast].contains(&c.ended.since(c.arrived))));
    assert!(calls.iter().any(|c| c.end == router_core::CallEnd::Failed(503)));
}

#[test]
fn a_storm_says_429_with_its_retry_after() {
    let storm = Effect::Storm { retry_after: Some(Span::from_secs(5)) };
    assert_eq!(
        told(&with(fault(0, 1500, storm)), Script::to(&[0]))[1],
        "1010 r1#1 rate-limit 429 after 5s"
    );
}

#[test]
fn answers_come_in_their_order_over_and_over() {
    let fail =
        |status, retry_after| Answer::Fail { status, kind: FailureKind::RateLimit, retry_after };
    let answers = vec![fail(429, Some(Span::ZERO)), fail(429, None), Answer::Ok];
    let mut plan = with(fault(0, 60_000, Effect::Answers(answers)));
    plan.demands[0] = demand(1000, 7);
    let world = run(&plan, Script::to(&[0]));
    let answered: Vec<_> = world.journal().calls.iter().map(|c| c.ended.since(c.arrived)).collect();
    let (short, whole) = (Span::from_millis(10), Span::from_millis(210));
    assert_eq!(answered, [short, short, whole, short, short, whole, short]);
    assert_eq!(world.journal().inputs[1].1, "r1#1 rate-limit 429 after 0s");
    assert_eq!(world.journal().inputs[3].1, "r2#1 rate-limit 429");
    assert_eq!(world.fired(), [7]);
}

#[test]
fn a_fault_touches_its_share_and_a_retry_is_drawn_anew() {
    let of = Ratio::new(1, 10).unwrap();
    let storm = Fault { of, ..fault(0, 100_000_000, Effect::Storm { retry_after: None }) };
    let mut plan = with(storm);
    plan.demands[0] = demand(100, 10_000);
    let world = run(&plan, Script::to(&[0, 0]));
    let failed = world.tally().failed;
    // One in a hundred fails twice: 100, standard deviation 10.
    assert!((60..140).contains(&failed), "{failed}");
    let [fired] = world.fired()[..] else { panic!("one fault, one count") };
    assert!((980..1220).contains(&fired), "{fired}");
}

#[test]
fn a_fault_that_touches_nobody_is_as_if_absent() {
    let mut plain = with(fault(0, 0, Effect::Outage(Outage::Refuse)));
    plain.demands[0] = Demand { client: Client::openai_python(), ..demand(30, 500) };
    plain.providers[0].errors = Ratio::new(1, 5).unwrap();
    plain.faults.clear();
    let absent = run(&plain, Script::to(&[0, 0]));
    let answers = vec![Answer::Fail { status: 500, kind: FailureKind::Server, retry_after: None }];
    for effect in [
        Effect::Outage(Outage::Refuse),
        Effect::Outage(Outage::BlackHole),
        Effect::Brownout { errors: Ratio::ONE, first_token: 9.0, per_token: 9.0 },
        Effect::Storm { retry_after: None },
        Effect::Answers(answers),
    ] {
        let fault = Fault { of: Ratio::ZERO, ..fault(300, 100_000, effect) };
        let with = run(&Plan { faults: vec![fault], ..plain.clone() }, Script::to(&[0, 0]));
        assert_eq!(with.journal(), absent.journal());
        assert_eq!((with.fired(), with.tally()), (vec![0], absent.tally()));
    }
}

#[test]
fn a_fault_is_over_at_its_end_exactly() {
    let plan = with(fault(1000, 2000, Effect::Outage(Outage::Status(500))));
    let told = told(&plan, Script::to(&[0]));
    assert_eq!(told[1], "1010 r1#1 server 500");
    assert_eq!(told[3], "2110 r2#1 FirstToken");
}

#[test]
fn calls_that_an_outage_breaks_are_told_of_at_once_and_in_order() {
    let mut plan = with(fault(1200, 1300, Effect::Outage(Outage::Refuse)));
    plan.demands.push(demand(1050, 1));
    plan.demands[0] = demand(1000, 1);
    assert_eq!(told(&plan, Script::to(&[0]))[4..], ["1200 r1#1 reset 0", "1200 1:r1#1 reset 0"]);
}
