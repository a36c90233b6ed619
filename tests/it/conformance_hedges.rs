//! Hedges: a second attempt elsewhere, the first token wins, and none where it would do harm.
//! Each test stands in `docs/conformance.md`.

use router_core::{
    Abandon, Cause, End, FailureKind, GiveUp, HedgeAfter, HedgeSpec, Hold, LimitSpec, Observation,
    Outcome, Output, Ratio, RetryBudgetSpec, Span, Spec, Upstream, Usage,
};
use tests::stage::{Stage, attempt, ms, retry_after, sent, spec};

use crate::conformance::{attempts, gave_up, places};

/// Members of these weights; a hedge after a second without a token.
fn hedged(weights: &[u32]) -> Spec {
    let mut spec = spec(weights);
    let after = HedgeAfter::Delay(Span::from_secs(1));
    spec.groups[0].hedge = Some(HedgeSpec { after, ..HedgeSpec::default() });
    spec
}

fn causes(stage: &Stage, n: u64) -> Vec<Cause> {
    attempts(stage, n).iter().map(|(_, dispatch)| dispatch.cause).collect()
}

fn holds(stage: &Stage) -> Vec<Hold> {
    let why = |observation| {
        let Observation::Held { why, .. } = observation else { return None };
        Some(why)
    };
    stage.observations().filter_map(why).collect()
}

#[test]
fn a_hedge_goes_elsewhere_and_the_first_token_wins() {
    for (winner, loser) in [(1, 2), (2, 1)] {
        let mut stage = Stage::new(&hedged(&[1, 1]));
        stage.submit(ms(0), 1);
        stage.wait(ms(1_000));
        let made = attempts(&stage, 1);
        assert_eq!((made.len(), made[1].0, made[1].1.cause), (2, ms(1_000), Cause::Hedge));
        assert_ne!(places(&made)[0], places(&made)[1]);
        let outputs = stage.news(ms(1_200), 1, winner, Upstream::FirstToken);
        assert_eq!(outputs[0], Output::Abandon(attempt(1, loser), Abandon::Hedged));
        assert_eq!(outputs.last(), Some(&Output::Commit(attempt(1, winner))));
        let ended = outputs.iter().find_map(|output| {
            let Output::Observe(Observation::Ended { end, usage, .. }) = output else {
                return None;
            };
            Some((*end, *usage))
        });
        let prompt = Usage { input_tokens: 100, cached_tokens: 0, output_tokens: 0 };
        assert_eq!(ended, Some((End::Abandoned(Abandon::Hedged), prompt)), "its prompt is paid");
        stage.complete(ms(2_000), 1, winner, 20);
        let served = stage.outcome(1).map(|(_, outcome)| outcome);
        assert!(matches!(served, Some(Outcome::Serve(by, _)) if by == attempt(1, winner)));
        assert_eq!(stage.router.in_flight(), 0);
    }
}

#[test]
fn of_a_hedged_request_that_does_not_stream_the_first_answer_wins() {
    let mut stage = Stage::new(&hedged(&[1, 1]));
    stage.submit_with(ms(0), 1, |request| request.stream = false);
    stage.wait(ms(1_000));
    stage.news(ms(1_100), 1, 1, Upstream::Connected);
    stage.news(ms(1_100), 1, 2, Upstream::Connected);
    let outputs = stage.complete(ms(3_000), 1, 2, 20);
    assert_eq!(outputs[0], Output::Abandon(attempt(1, 1), Abandon::Hedged));
    let served = stage.outcome(1).map(|(_, outcome)| outcome);
    assert!(matches!(served, Some(Outcome::Serve(by, _)) if by == attempt(1, 2)));
}

#[test]
fn whoever_has_a_token_in_time_is_not_hedged() {
    for (token, hedges) in [(999, 0), (1_000, 0), (1_001, 1)] {
        let mut stage = Stage::new(&hedged(&[1, 1]));
        stage.submit(ms(0), 1);
        stage.news(ms(token), 1, 1, Upstream::FirstToken);
        stage.wait(ms(5_000));
        assert_eq!(attempts(&stage, 1).len() - 1, hedges, "first token after {token} ms");
    }
}

#[test]
fn if_one_of_two_fails_the_other_goes_on_and_only_then_it_is_tried_again() {
    let mut wide = hedged(&[1, 1, 1]);
    wide.router.attempts = 3;
    for (first, second) in [(1, 2), (2, 1)] {
        let mut stage = Stage::new(&wide);
        stage.submit(ms(0), 1);
        stage.wait(ms(1_000));
        assert_eq!(sent(&stage.crash(ms(1_100), 1, first)), None);
        assert_eq!(stage.outcome(1), None);
        let outputs = stage.crash(ms(1_200), 1, second);
        assert_eq!(sent(&outputs).map(|(_, cause)| cause), Some(Cause::Retry));
        stage.crash(ms(1_300), 1, 3);
        assert_eq!(gave_up(&stage), [GiveUp::Attempts], "a hedge is an attempt");
        assert_eq!(causes(&stage, 1), [Cause::Primary, Cause::Hedge, Cause::Retry]);
        let mut seen = places(&attempts(&stage, 1));
        seen.sort_unstable();
        assert_eq!(seen, [0, 1, 2]);
    }
}

#[test]
fn a_request_is_hedged_once() {
    let mut wide = hedged(&[1; 8]);
    wide.router.attempts = 8;
    let mut stage = Stage::new(&wide);
    stage.submit(ms(0), 1);
    stage.wait(ms(1_000));
    stage.crash(ms(1_100), 1, 1);
    stage.crash(ms(1_100), 1, 2);
    stage.wait(ms(4_000));
    assert_eq!(causes(&stage, 1), [Cause::Primary, Cause::Hedge, Cause::Retry]);
}

#[test]
fn hedges_are_paid_from_the_retry_budget() {
    let mut tight = hedged(&[1, 1]);
    let ratio = Ratio::new(1, 10);
    tight.router.retry_budget =
        RetryBudgetSpec { ratio, per_second: 0, window: Span::from_secs(10) };
    let mut stage = Stage::new(&tight);
    (0..100).for_each(|n| drop(stage.submit(ms(0), n)));
    stage.wait(ms(1_000));
    assert_eq!(stage.dispatches().len(), 110);
    assert_eq!(holds(&stage), [Hold::Budget; 90]);
    // So a retry has nothing left to be paid from.
    stage.crash(ms(1_001), 50, 1);
    assert_eq!(gave_up(&stage), [GiveUp::Budget]);
}

#[test]
fn a_busy_group_is_not_hedged() {
    for (calls, hedges) in [(16, 0), (15, 1), (8, 8)] {
        let mut busy = hedged(&[1, 1]);
        for deployment in &mut busy.deployments {
            deployment.limit = Some(LimitSpec { parallel: Some(10), ..LimitSpec::default() });
        }
        let mut stage = Stage::new(&busy);
        (0..calls).for_each(|n| drop(stage.submit(ms(0), n)));
        stage.wait(ms(1_000));
        let made = stage.dispatches().iter().filter(|(_, d)| d.cause == Cause::Hedge).count();
        assert_eq!(made, hedges, "{calls} of 20 places were taken, and 16 are four fifths");
        assert_eq!(holds(&stage), vec![Hold::Utilisation; calls as usize - hedges]);
    }
}

/// 16 of 20 places are in use, not 16 of 40: neither who rests nor standby has any to offer.
#[test]
fn idle_places_of_who_is_out_make_no_room_for_hedges() {
    for (calls, hedges) in [(16, 0), (15, 1)] {
        let mut busy = hedged(&[1, 1, 1, 0]);
        for deployment in &mut busy.deployments {
            deployment.limit = Some(LimitSpec { parallel: Some(10), ..LimitSpec::default() });
        }
        let mut stage = Stage::new(&busy);
        let first = sent(&stage.submit(ms(0), 1_000)).expect("all are idle").0;
        stage.fail(ms(1), 1_000, 1, retry_after(FailureKind::RateLimit, 429, 100));
        stage.complete(ms(2), 1_000, 2, 1);
        (0..calls).for_each(|n| drop(stage.submit(ms(10), n)));
        stage.wait(ms(2_000));
        let later = stage.dispatches().into_iter().filter(|(at, _)| *at >= ms(10));
        let (hedged, plain): (Vec<_>, Vec<_>) = later.partition(|(_, d)| d.cause == Cause::Hedge);
        assert!(plain.iter().all(|(_, d)| d.deployment.index() != first));
        assert_eq!((plain.len(), hedged.len()), (calls as usize, hedges));
        assert_eq!(holds(&stage), vec![Hold::Utilisation; calls as usize - hedges]);
    }
}

#[test]
fn no_hedge_goes_to_a_standby_or_where_the_request_was() {
    for weights in [&[1][..], &[1, 0]] {
        let mut stage = Stage::new(&hedged(weights));
        stage.submit(ms(0), 1);
        stage.wait(ms(1_000));
        assert_eq!((attempts(&stage, 1).len(), holds(&stage)), (1, vec![Hold::Nobody]));
    }
}

#[test]
fn a_quantile_hedges_what_is_slower_than_most_once_enough_is_known() {
    for (known, hedges) in [(99, false), (128, true)] {
        let mut learnt = hedged(&[1, 1]);
        let after = HedgeAfter::Quantile(Ratio::from_ppm(900_000));
        learnt.groups[0].hedge = Some(HedgeSpec { after, ..HedgeSpec::default() });
        let mut stage = Stage::new(&learnt);
        // All but one in twenty take 100 ms; the others half a second.
        for n in 0..known {
            let token = if n % 20 == 0 { 500 } else { 100 };
            stage.submit(ms(n * 600), n);
            stage.news(ms(n * 600 + token), n, 1, Upstream::FirstToken);
            stage.complete(ms(n * 600 + 590), n, 1, 1);
        }
        let now = known * 600;
        stage.submit(ms(now), 1_000);
        stage.wait(ms(now + 4_000));
        let made = attempts(&stage, 1_000);
        assert_eq!(made.len() > 1, hedges, "{known}");
        if let Some((at, dispatch)) = made.get(1) {
            let waited = at.since(ms(now));
            let exact = Span::from_millis(100);
            assert!(waited >= exact && waited <= exact.scale(9, 8), "{waited}");
            assert_eq!(dispatch.cause, Cause::Hedge);
        }
    }
}
