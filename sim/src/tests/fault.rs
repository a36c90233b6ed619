use router_core::{FailureKind, Ratio, Span};

use super::*;
use crate::{Answer, BadEnd, ComeBack, FirstToken, Outage, PerToken};

/// Exactly 100 ms to the first token, then exactly 10 ms each.
pub(super) fn tokens() -> Provider {
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
    let delay = Span::from_millis(5);
    let brownout = Effect::Brownout { errors, first_token: 3.0, per_token: 2.0, delay };
    let mut plan = with(fault(0, 10_000_000, brownout));
    plan.demands[0] = demand(1000, 3000);
    let world = run(&plan, Script::to(&[0]));
    let failed = world.tally().failed;
    assert!((900..1100).contains(&failed), "{failed}");
    assert_eq!(world.fired(), [3000]);
    let slow = Span::from_millis(10 + 300 + 5 + 10 * 20);
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
    let fail = |retry_after| {
        let (kind, should_retry) = (FailureKind::RateLimit, None);
        Answer::Fail { status: 429, kind, retry_after, should_retry }
    };
    let answers = vec![fail(Some(ComeBack::In(Span::ZERO))), fail(None), Answer::Ok];
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
    let fail = Answer::Fail {
        status: 500,
        kind: FailureKind::Server,
        retry_after: None,
        should_retry: None,
    };
    let delay = Span::from_secs(1);
    for effect in [
        Effect::Outage(Outage::Refuse),
        Effect::Outage(Outage::BlackHole),
        Effect::Brownout { errors: Ratio::ONE, first_token: 9.0, per_token: 9.0, delay },
        Effect::Storm { retry_after: None },
        Effect::Answers(vec![fail]),
        Effect::Breaks { after: 0, end: BadEnd::Cut },
        Effect::QuotaSpent(429),
        Effect::RevokedKey(None),
        Effect::Garbage,
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

#[test]
fn spent_money_names_no_time_and_a_revoked_key_takes_out_the_key() {
    let plan = with(fault(0, 1500, Effect::QuotaSpent(429)));
    assert_eq!(told(&plan, Script::to(&[0]))[1], "1010 r1#1 quota-spent 429");

    for (revoked, key, fails) in [(Some(1), 1, true), (Some(1), 0, false), (None, 3, true)] {
        let plan = with(fault(0, 1500, Effect::RevokedKey(revoked)));
        let script = Script { key, ..Script::to(&[0]) };
        let told = told(&plan, script.clone());
        assert_eq!(told[1] == "1010 r1#1 authentication 401", fails, "{told:?}");
        assert_eq!(run(&plan, script).fired(), [u64::from(fails)]);
    }
}

#[test]
fn an_answer_says_when_to_come_back_and_whether() {
    let answer = |back: ComeBack, should_retry| Answer::Fail {
        status: 503,
        kind: FailureKind::Server,
        retry_after: Some(back),
        should_retry,
    };
    let at = |ms| ComeBack::At(Time::ZERO + Span::from_millis(ms));
    let answers = vec![
        answer(ComeBack::In(Span::from_millis(1500)), Some(false)),
        answer(at(5000), Some(true)),
        answer(at(1000), None),
    ];
    let told = told(&with(fault(0, 60_000, Effect::Answers(answers))), Script::to(&[0]));
    assert_eq!(told[1], "1010 r1#1 server 503 after 1500ms no");
    assert_eq!(told[3], "2010 r2#1 server 503 after 2990ms again");
    assert_eq!(told[5], "3010 r3#1 server 503 after 0s", "it is past");
}

#[test]
fn a_flapping_outage_begins_anew_each_time() {
    let (period, on) = (Span::from_millis(1000), Span::from_millis(100));
    let flap = Fault {
        rhythm: Rhythm::Flap { period, on },
        ..fault(1150, 3160, Effect::Outage(Outage::Refuse))
    };
    let mut plan = with(flap);
    plan.demands.push(demand(2200, 1));
    assert_eq!(
        told(&plan, Script::to(&[0])),
        [
            "1000 submit r1",
            "1110 r1#1 FirstToken",
            "1150 r1#1 reset 0",
            "2000 submit r2",
            "2110 r2#1 FirstToken",
            "2150 r2#1 reset 0",
            "2200 submit 1:r1",
            "2210 1:r1#1 connect 0",
            "3000 submit r3",
            "3110 r3#1 FirstToken",
            "3150 r3#1 reset 0",
        ]
    );
    assert_eq!(run(&plan, Script::to(&[0])).fired(), [4]);
}

#[test]
fn a_random_fault_strikes_all_its_deployments_together() {
    let second = Span::from_secs(1);
    let outage = Fault {
        on: [0, 1].map(DeploymentId::at).into(),
        rhythm: Rhythm::Random { up: second * 40, down: second * 20 },
        until: None,
        ..fault(0, 0, Effect::Outage(Outage::Status(500)))
    };
    let provider = Provider { connect: Span::ZERO, ..constant(10) };
    let providers = vec![provider.clone(), provider];
    let plan = Plan { faults: vec![outage], ..plan(demand(100, 60_000), providers) };
    let failed = |to: &[usize]| run(&plan, Script::to(to)).tally().failed;
    let [first, second, either] = [failed(&[0]), failed(&[1]), failed(&[0, 1])];
    // A third of 6,000 s, about 100 times; standard deviation 4 points.
    assert!((13_000..27_000).contains(&first), "{first}");
    assert_eq!((first, first), (second, either), "a second attempt elsewhere never helps");
}

#[test]
fn a_prompt_beyond_the_window_is_refused_and_a_completion_stops_at_it() {
    for (context, output_max, said) in [
        (9, None, "1010 r1#1 context-window 400"),
        (12, Some(3), "1010 r1#1 context-window 400"),
        (13, Some(3), "1110 r1#1 complete 10+3"),
        (12, None, "1110 r1#1 complete 10+2"),
        (99, None, "1110 r1#1 complete 10+11"),
    ] {
        let provider = Provider { context: Some(context), ..constant(100) };
        let demand = Demand { output_max, ..demand(1000, 1) };
        assert_eq!(told(&plan(demand, vec![provider]), Script::to(&[0]))[1], said);
    }
}
