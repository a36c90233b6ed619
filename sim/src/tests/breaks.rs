//! Faults that wait for an answer which has begun.

use super::fault::tokens;
use super::*;
use crate::BadEnd;

fn with(effect: Effect) -> Plan {
    Plan { faults: vec![fault(0, 1500, effect)], ..plan(demand(1000, 2), vec![tokens()]) }
}

fn breaks(after: u32, end: BadEnd) -> Plan {
    with(Effect::Breaks { after, end })
}

#[test]
fn an_answer_breaks_when_the_token_after_those_is_due() {
    for (end, said) in [
        (BadEnd::Cut, "reset 0"),
        (BadEnd::Truncated, "truncated 0"),
        (BadEnd::Error(529), "server 529"),
    ] {
        let plan = breaks(4, end);
        assert_eq!(
            told(&plan, Script::to(&[0])),
            [
                "1000 submit r1",
                "1110 r1#1 FirstToken",
                &format!("1150 r1#1 {said}"),
                "2000 submit r2",
                "2110 r2#1 FirstToken",
                "2210 r2#1 complete 10+11",
            ]
        );
        assert_eq!(run(&plan, Script::to(&[0])).fired(), [1]);
        // At once: in the place of the first token, and the next attempt may do better.
        let mut plan = breaks(0, end);
        plan.providers.push(constant(50));
        assert_eq!(
            told(&plan, Script::to(&[0, 1]))[1..3],
            [format!("1110 r1#1 {said}"), "1170 r1#2 complete 10+11".to_owned()]
        );
    }
}

#[test]
fn a_stalled_stream_shows_no_more_and_holds_its_place_until_it_is_dropped() {
    let script = Script { total: Span::from_millis(1500), ..Script::to(&[0]) };
    let script = Script { heartbeat: Span::from_millis(20), ..script };
    for abandoned in [Abandoned::RunsOn, Abandoned::Stops] {
        let mut plan = breaks(4, BadEnd::Stall);
        plan.demands[0] = demand(1000, 3);
        plan.providers[0] = Provider { concurrency: Some(1), abandoned, ..tokens() };
        assert_eq!(
            told(&plan, script.clone())[..8],
            [
                "1000 submit r1",
                "1110 r1#1 FirstToken",
                "1130 r1#1 Progress(3)",
                "2000 submit r2",
                "2010 r2#1 server 503",
                "2500 Tick",
                "3000 submit r3",
                "3110 r3#1 FirstToken",
            ]
        );
        assert_eq!(run(&plan, script.clone()).fired(), [1]);
    }
    let at_once = told(&breaks(0, BadEnd::Stall), script);
    assert_eq!(at_once[..3], ["1000 submit r1", "2000 submit r2", "2110 r2#1 FirstToken"]);
}

#[test]
fn a_stalled_stream_is_reset_by_an_outage_and_bills_what_came() {
    let tokens_a_day = |amount| Some(Rate { amount, period: Span::from_secs(86_400), burst: None });
    let mut plan = breaks(4, BadEnd::Stall);
    plan.faults.push(fault(1900, 1950, Effect::Outage(crate::Outage::Refuse)));
    plan.providers[0].quota = Quota { tokens: tokens_a_day(34), ..Quota::default() };
    // 10 + 4 of 34, then 10 more: in all 24; what came beyond is owed.
    let told = told(&plan, Script::to(&[0]));
    assert_eq!(told[2..4], ["1900 r1#1 reset 0", "2000 submit r2"]);
    assert_eq!(told.last().unwrap(), "2210 r2#1 complete 10+11");
    plan.providers[0].quota.tokens = tokens_a_day(23);
    assert!(super::told(&plan, Script::to(&[0]))[4].starts_with("2010 r2#1 rate-limit 429"));
}

#[test]
fn an_answer_no_longer_than_that_is_whole_and_does_not_count() {
    for end in [BadEnd::Stall, BadEnd::Cut, BadEnd::Truncated, BadEnd::Error(500)] {
        let world = run(&breaks(11, end), Script::to(&[0]));
        assert_eq!((world.tally().answered, world.fired()), (2, vec![0]));
        assert_eq!(run(&breaks(10, end), Script::to(&[0])).fired(), [1]);
    }
}

#[test]
fn an_answer_that_is_not_streamed_breaks_as_well_and_shows_nothing_before() {
    let mut plan = breaks(4, BadEnd::Error(500));
    plan.demands[0].stream = Ratio::ZERO;
    assert_eq!(
        told(&plan, Script::to(&[0]))[..3],
        ["1000 submit r1", "1010 r1#1 Connected", "1150 r1#1 server 500"]
    );
}

#[test]
fn one_that_comes_whole_at_once_still_shows_its_start_before_it_breaks() {
    let mut plan = breaks(4, BadEnd::Truncated);
    plan.providers[0] = constant(100);
    assert_eq!(
        told(&plan, Script::to(&[0]))[1..3],
        ["1110 r1#1 FirstToken", "1110 r1#1 truncated 0"]
    );
    plan.demands[0].stream = Ratio::ZERO;
    assert_eq!(told(&plan, Script::to(&[0]))[1], "1110 r1#1 truncated 0");
}

#[test]
fn work_that_runs_on_for_nobody_breaks_unheard_and_gives_its_place_back() {
    for end in [BadEnd::Stall, BadEnd::Cut] {
        let mut plan = breaks(4, end);
        plan.providers[0] =
            Provider { concurrency: Some(1), abandoned: Abandoned::RunsOn, ..tokens() };
        let script = Script { total: Span::from_millis(130), ..Script::to(&[0]) };
        let world = run(&plan, script);
        assert_eq!(world.fired(), [0], "{end:?}");
        // Dropped at 1130, broken at 1150, free for the second call.
        let told: Vec<_> = world.journal().inputs.iter().map(|(_, what)| what.as_str()).collect();
        assert_eq!(told[..3], ["submit r1", "r1#1 FirstToken", "Tick"]);
        assert_eq!(told[4], "r2#1 FirstToken");
    }
}

#[test]
fn garbage_is_billed_and_touches_only_what_is_not_streamed() {
    let mut plan = with(Effect::Garbage);
    let world = run(&plan, Script::to(&[0]));
    assert_eq!((world.tally().answered, world.fired()), (2, vec![0]));
    plan.demands[0].stream = Ratio::ZERO;
    assert_eq!(told(&plan, Script::to(&[0]))[2], "1210 r1#1 invalid-output 200 for 10+11");
    assert_eq!(run(&plan, Script::to(&[0])).fired(), [1]);
}

#[test]
fn the_first_fault_that_waits_for_an_answer_has_it_and_one_that_refuses_goes_before() {
    let mut plan = breaks(4, BadEnd::Cut);
    plan.faults.push(fault(0, 1500, Effect::Breaks { after: 1, end: BadEnd::Truncated }));
    assert_eq!(told(&plan, Script::to(&[0]))[2], "1150 r1#1 reset 0");
    plan.faults.push(fault(0, 1500, Effect::QuotaSpent(402)));
    assert_eq!(told(&plan, Script::to(&[0]))[1], "1010 r1#1 quota-spent 402");
    assert_eq!(run(&plan, Script::to(&[0])).fired(), [0, 0, 1]);
}
