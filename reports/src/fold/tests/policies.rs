//! Breakers, hedges, standby and panic, told by hand.

use router_core::{BreakerState, FailureClass, Hold, Turn};

use super::*;
use crate::SpellKind;

const B: DeploymentId = DeploymentId::at(1);
const OUTRUN: End = End::Abandoned(Abandon::Hedged);

fn turned(to: BreakerState, why: Turn, until_s: Option<u64>, enforced: bool) -> Observation {
    let until = until_s.map(Time::from_secs);
    Observation::Breaker { group: CHAT, deployment: A, to, why, until, streak: 1, enforced }
}

/// A request whose first attempt, on `a`, gets a hedge on `b` 400 ms later.
fn hedged(told: &mut Told, id: RequestId, at_ms: u64) {
    told.at_ms(at_ms).submit(id, CHAT).dispatch(id, 1, (CHAT, A), Cause::Primary);
    told.at_ms(at_ms + 400).tick().dispatch(id, 2, (CHAT, B), Cause::Hedge);
}

#[test]
fn a_hedge_that_is_first_wins_and_the_loser_is_no_failure() {
    let mut told = Told::new();
    hedged(&mut told, r(1), 1_000);
    told.at_ms(1_600).tick().ended(r(1), A, OUTRUN, 600);
    told.at_ms(2_000).tick().ended_as((r(1), 2), B, End::Answered, 600);
    let whole = told.figures().whole;
    let (a, b) = (&whole.memberships[0], &whole.memberships[1]);
    assert_eq!((b.sent(Cause::Hedge), b.retried, b.hedges_won, b.hedges_lost), (1, 1, 1, 0));
    assert_eq!((a.outrun.attempts, a.outrun.input_tokens, a.outrun.cost_pico), (1, 10, 10));
    assert_eq!(a.outrun.waited_ns, 400_000_000, "what it took until the hedge was sent");
    let on_a = &whole.deployments[0];
    assert_eq!((on_a.failed(), on_a.success()), (0, None));
    assert_eq!(on_a.abandoned[Abandon::Hedged as usize], 1);
}

#[test]
fn a_hedge_that_is_outrun_loses_what_it_cost_and_no_time() {
    let mut told = Told::new();
    hedged(&mut told, r(1), 1_000);
    told.at_ms(1_600).tick().ended_as((r(1), 2), B, OUTRUN, 200);
    told.at_ms(2_000).tick().ended(r(1), A, End::Answered, 1_000);
    let b = told.figures().whole.memberships.remove(1);
    assert_eq!((b.hedges_won, b.hedges_lost), (0, 1));
    assert_eq!((b.outrun.attempts, b.outrun.cost_pico, b.outrun.waited_ns), (1, 10, 0));
}

#[test]
fn time_of_two_attempts_at_once_is_lost_once() {
    let failed = End::Failed(FailureKind::Server);
    let dead = |told: &Told| {
        let whole = told.figures().whole;
        [0, 1].map(|d| whole.deployments[d].lost[FailureKind::Server as usize].dead_ns / 1_000_000)
    };
    let mut first_fails = Told::new();
    hedged(&mut first_fails, r(1), 1_000);
    first_fails.at_ms(1_700).tick().ended(r(1), A, failed, 700);
    first_fails.at_ms(2_000).tick().ended_as((r(1), 2), B, failed, 600);
    assert_eq!(dead(&first_fails), [400, 600], "1,000 ms from the first dispatch to the end");
    let mut hedge_fails = Told::new();
    hedged(&mut hedge_fails, r(1), 1_000);
    hedge_fails.at_ms(1_700).tick().ended_as((r(1), 2), B, failed, 300);
    hedge_fails.at_ms(2_000).tick().ended(r(1), A, failed, 1_000);
    assert_eq!(dead(&hedge_fails), [1_000, 0]);
    let b = &hedge_fails.figures().whole.memberships[1];
    assert_eq!((b.hedges_won, b.hedges_lost, b.outrun.attempts), (0, 0, 0));
}

#[test]
fn a_hedge_held_back_is_counted_for_the_group_that_was_asked_for() {
    let mut told = Told::new();
    let attempt = AttemptId { request: r(1), ordinal: 2 };
    told.submit(r(1), CHAT).say(Observation::Held { attempt, why: Hold::Utilisation });
    let groups = told.figures().whole.groups;
    assert_eq!(groups[0].held, [0, 0, 0, 0, 1, 0]);
    assert_eq!(groups[1].held, [0; 6]);
}

#[test]
fn a_retry_is_told_by_its_group_whatever_its_cause() {
    let retried = |told: &Told| {
        told.figures().whole.memberships.iter().map(|m| m.retried).collect::<Vec<_>>()
    };
    let failed = End::Failed(FailureKind::Server);
    let mut told = Told::new();
    // At once: in the group asked for, and as a fallback.
    told.submit(r(1), CHAT).dispatch(r(1), 1, (CHAT, A), Cause::Panic).ended(r(1), A, failed, 1);
    told.dispatch(r(1), 2, (CHAT, A), Cause::Panic);
    assert_eq!(retried(&told), [1, 0, 0]);
    told.ended_as((r(1), 2), A, failed, 1).dispatch(r(1), 3, (BACKUP, C), Cause::Standby);
    assert_eq!(retried(&told), [1, 0, 0], "another group's standby is a fallback");
    // After a wait away from home: only the second stays where it was.
    told.ended_as((r(1), 3), C, failed, 1).waiting(r(1), 100, Wait::Backoff);
    told.at_ms(100).tick().dispatch(r(1), 4, (BACKUP, C), Cause::Probe);
    assert_eq!(retried(&told), [1, 0, 1]);
    told.at_ms(200).tick().submit(r(2), CHAT).dispatch(r(2), 1, (CHAT, A), Cause::Primary);
    told.ended(r(2), A, failed, 1).waiting(r(2), 100, Wait::Backoff);
    told.at_ms(300).tick().dispatch(r(2), 2, (BACKUP, C), Cause::Probe);
    assert_eq!(retried(&told), [1, 0, 1]);
    // A first attempt is none, wherever it goes.
    told.submit(r(3), CHAT).dispatch(r(3), 1, (CHAT, A), Cause::Probe);
    assert_eq!(retried(&told), [1, 0, 1]);
}

#[test]
fn openings_are_counted_by_cause_and_apart_if_they_are_only_observed() {
    let mut told = Told::new();
    told.at_ms(130_000).say(turned(BreakerState::Open, Turn::Failures, Some(140), true));
    told.at_ms(140_000).say(turned(BreakerState::HalfOpen, Turn::Waited, None, true));
    told.at_ms(141_000).say(turned(BreakerState::Open, Turn::Probe, Some(161), true));
    told.at_ms(200_000).say(turned(BreakerState::Open, Turn::Slow, Some(210), false));
    let figures = told.figures();
    let a = &figures.whole.memberships[0];
    assert_eq!((a.opened(), a.openings[Turn::Probe as usize]), (2, 1));
    assert_eq!(a.observed[Turn::Slow as usize], 1);
    assert_eq!(figures.phase("spike").unwrap().memberships[0].opened(), 2);
    let kinds: Vec<SpellKind> = figures.spells.iter().map(|spell| spell.kind).collect();
    let (open, half) = (SpellKind::Open, SpellKind::HalfOpen);
    assert_eq!(kinds, [open, half, open, half, open]);
}

#[test]
fn what_probes_standby_and_panic_lost_is_told_apart() {
    let mut told = Told::new();
    let failed = End::Failed(FailureKind::Server);
    for (n, cause) in
        [Cause::Probe, Cause::Standby, Cause::Panic, Cause::Primary].iter().enumerate()
    {
        let (id, ms) = (r(n as u64), 100 << n);
        told.submit(id, CHAT).dispatch(id, 1, (CHAT, A), *cause).ended(id, A, failed, ms);
    }
    let figures = told.figures();
    let lost = figures.whole.deployments[0].lost[FailureKind::Server as usize];
    let ms = [lost.probing_ns, lost.standby_ns, lost.panic_ns, lost.dead_ns].map(|n| n / 1_000_000);
    assert_eq!(ms, [100, 200, 400, 1_500]);
    assert_eq!((figures.panicked.any, figures.panicked.groups), (1, vec![1, 0]));
}

#[test]
fn failures_have_their_class_and_those_of_a_request_none() {
    let mut told = Told::new();
    told.submit(r(1), CHAT);
    for kind in [FailureKind::Connect, FailureKind::Reset, FailureKind::InvalidOutput] {
        told.ended(r(1), A, End::Failed(kind), 1);
    }
    told.ended(r(1), A, End::Failed(FailureKind::ContextWindow), 1);
    let failures = told.figures().whole.memberships[0].failures;
    assert_eq!(failures[FailureClass::Connection as usize], 2);
    assert_eq!(failures[FailureClass::Invalid as usize], 1);
    assert_eq!(failures[crate::CLASSES - 1], 1);
}
