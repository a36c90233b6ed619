//! Who gets a request: shares, tiers, limits, and the bounds of the router itself.

use router_core::{
    Brain, Cause, Consumption, Input, LimitId, LimitSpec, Observation, Outcome, Output, Rate,
    Ratio, Reason, Rejection, Span, Strategy, Time, Upstream, Usage,
};
use tests::stage::{Stage, attempt, excluded, ms, sent, spec, spec_with_backup};

fn per_minute(amount: u64) -> Option<Rate> {
    Some(Rate { amount, period: Span::from_secs(60), burst: None })
}

#[test]
fn a_request_is_sent_committed_and_answered() {
    let mut stage = Stage::new(&spec(&[1]));
    assert_eq!(sent(&stage.submit(ms(0), 1)), Some((0, Cause::Primary)));
    let outputs = stage.news(ms(500), 1, 1, Upstream::FirstToken);
    assert_eq!(outputs, [Output::Commit(attempt(1, 1))]);
    stage.complete(ms(900), 1, 1, 20);
    let usage = Usage { input_tokens: 100, cached_tokens: 0, output_tokens: 20 };
    assert_eq!(stage.outcome(1), Some((ms(900), Outcome::Serve(attempt(1, 1), usage))));
    assert_eq!((stage.router.in_flight(), stage.router.next_wakeup()), (0, None));
}

#[test]
fn shares_follow_weights() {
    let mut stage = Stage::new(&spec(&[7, 3]));
    let count = 20_000;
    for n in 0..count {
        stage.submit(ms(n), n);
        stage.complete(ms(n), n, 1, 1);
    }
    let first = stage.dispatches().iter().filter(|(_, d)| d.deployment.index() == 0).count() as f64;
    // Five standard deviations of a binomial.
    let (mean, deviation) = (0.7 * count as f64, (0.21 * count as f64).sqrt());
    assert!((first - mean).abs() < 5.0 * deviation, "{first} of {count}");
}

#[test]
fn sixty_at_once_never_herd() {
    let mut three = spec(&[1, 1, 1]);
    three.groups[0].strategy = Strategy::LeastInFlight;
    let mut stage = Stage::new(&three);
    let mut counts = [0; 3];
    for n in 0..60 {
        let (deployment, _) = sent(&stage.submit(ms(0), n)).expect("all are idle");
        counts[deployment] += 1;
    }
    assert_eq!(counts, [20; 3]);
}

#[test]
fn least_in_flight_heeds_weights() {
    let mut two = spec(&[3, 1]);
    two.groups[0].strategy = Strategy::LeastInFlight;
    let mut stage = Stage::new(&two);
    (0..400).for_each(|n| drop(stage.submit(ms(0), n)));
    let heavy = stage.dispatches().iter().filter(|(_, d)| d.deployment.index() == 0).count();
    assert_eq!(heavy, 300);
}

#[test]
fn a_higher_tier_serves_only_when_the_lower_cannot() {
    let mut tiers = spec(&[1, 1]);
    tiers.groups[0].members[1].tier = 1;
    tiers.deployments[0].limit = Some(LimitSpec { parallel: Some(1), ..LimitSpec::default() });
    let mut stage = Stage::new(&tiers);
    let outputs = stage.submit(ms(0), 1);
    assert_eq!((sent(&outputs), excluded(&outputs, Reason::Tier)), (Some((0, Cause::Primary)), 2));
    let outputs = stage.submit(ms(0), 2);
    assert_eq!(sent(&outputs), Some((1, Cause::Primary)));
    assert_eq!(excluded(&outputs, Reason::Parallel), 1);
}

#[test]
fn weight_zero_takes_nothing() {
    let mut stage = Stage::new(&spec(&[0, 1]));
    let outputs = stage.submit(ms(0), 1);
    assert_eq!(
        (sent(&outputs), excluded(&outputs, Reason::Weight)),
        (Some((1, Cause::Primary)), 1)
    );
}

#[test]
fn of_ten_at_once_under_six_a_minute_six_pass_and_the_rest_hear_when() {
    let mut six = spec(&[1]);
    six.deployments[0].limit = Some(LimitSpec { requests: per_minute(6), ..LimitSpec::default() });
    let mut stage = Stage::new(&six);
    for n in 0..10 {
        stage.submit(ms(0), n);
    }
    assert_eq!(stage.dispatches().len(), 6);
    let earliest = Some(Time::from_secs(10));
    let reject = Outcome::Reject(Rejection::NoDeployment(earliest));
    assert!((6..10).all(|n| stage.outcome(n) == Some((ms(0), reject))));
    assert!(sent(&stage.submit(ms(9_999), 10)).is_none());
    assert!(sent(&stage.submit(ms(10_000), 11)).is_some());
}

#[test]
fn tokens_are_reserved_so_that_concurrent_requests_do_not_overshoot() {
    let mut two_thousand = spec(&[1]);
    two_thousand.deployments[0].limit =
        Some(LimitSpec { tokens: per_minute(2_000), ..LimitSpec::default() });
    let mut stage = Stage::new(&two_thousand);
    for n in 0..12 {
        stage.submit_with(ms(0), n, |r| r.output_max = Some(900));
    }
    assert_eq!(stage.dispatches().len(), 2, "each may take 100 + 900 tokens");
    // Half of the second's reservation comes back when it turns out to be short.
    stage.complete(ms(0), 1, 1, 400);
    assert!(sent(&stage.submit_with(ms(0), 20, |r| r.output_max = Some(401))).is_none());
    assert!(sent(&stage.submit_with(ms(0), 21, |r| r.output_max = Some(400))).is_some());
}

#[test]
fn an_overrun_becomes_debt() {
    let mut tight = spec(&[1]);
    tight.deployments[0].limit =
        Some(LimitSpec { output_tokens: per_minute(600), ..LimitSpec::default() });
    let mut stage = Stage::new(&tight);
    stage.submit_with(ms(0), 1, |r| r.output_max = Some(100));
    stage.complete(ms(0), 1, 1, 1_200);
    // 1,200 at 600 a minute are spent until 120 s; one more fits a minute before that.
    assert!(sent(&stage.submit_with(ms(60_000), 2, |r| r.output_max = Some(1))).is_none());
    assert!(sent(&stage.submit_with(ms(60_100), 3, |r| r.output_max = Some(1))).is_some());
}

#[test]
fn a_shared_limit_counts_once_for_all_who_share_it() {
    let mut shared = spec(&[1, 1]);
    let limit = LimitSpec { requests: per_minute(4), ..LimitSpec::default() };
    shared.limits.push(("org".into(), limit));
    shared.deployments.iter_mut().for_each(|d| d.shared.push("org".into()));
    let mut stage = Stage::new(&shared);
    let passed = (0..9).filter(|n| sent(&stage.submit(ms(0), *n)).is_some()).count();
    assert_eq!(passed, 4);
}

#[test]
fn a_denied_request_consumes_nothing() {
    let mut both = spec(&[1]);
    both.deployments[0].limit = Some(LimitSpec {
        requests: per_minute(2),
        tokens: per_minute(1_000),
        ..LimitSpec::default()
    });
    let mut stage = Stage::new(&both);
    for n in 0..5 {
        assert!(sent(&stage.submit_with(ms(0), n, |r| r.output_max = Some(5_000))).is_none());
    }
    assert!(sent(&stage.submit_with(ms(0), 6, |r| r.output_max = Some(400))).is_some());
    assert!(sent(&stage.submit_with(ms(0), 7, |r| r.output_max = Some(400))).is_some());
}

#[test]
fn what_could_never_pass_is_rejected_without_a_time() {
    let mut small = spec(&[1]);
    small.deployments[0].limit =
        Some(LimitSpec { tokens: per_minute(500), ..LimitSpec::default() });
    let mut stage = Stage::new(&small);
    stage.submit_with(ms(0), 1, |r| r.output_max = Some(5_000));
    let reject = Outcome::Reject(Rejection::NoDeployment(None));
    assert_eq!(stage.outcome(1), Some((ms(0), reject)));
}

#[test]
fn a_parallel_limit_opens_when_a_call_ends() {
    let mut one = spec(&[1]);
    one.deployments[0].limit = Some(LimitSpec { parallel: Some(1), ..LimitSpec::default() });
    let mut stage = Stage::new(&one);
    assert!(sent(&stage.submit(ms(0), 1)).is_some());
    assert!(sent(&stage.submit(ms(1), 2)).is_none());
    stage.complete(ms(2), 1, 1, 5);
    assert!(sent(&stage.submit(ms(2), 3)).is_some());
}

#[test]
fn another_group_serves_when_nobody_here_can() {
    let mut full = spec_with_backup(&[1]);
    full.deployments[0].limit = Some(LimitSpec { parallel: Some(1), ..LimitSpec::default() });
    let mut stage = Stage::new(&full);
    assert_eq!(sent(&stage.submit(ms(0), 1)), Some((0, Cause::Primary)));
    assert_eq!(sent(&stage.submit(ms(0), 2)), Some((1, Cause::Fallback)));
}

#[test]
fn beyond_its_bound_of_requests_in_flight_the_router_rejects() {
    let mut two = spec(&[1]);
    two.router.in_flight = 2;
    let mut stage = Stage::new(&two);
    (0..3).for_each(|n| drop(stage.submit(ms(0), n)));
    assert_eq!(stage.outcome(2), Some((ms(0), Outcome::Reject(Rejection::Full))));
    stage.complete(ms(1), 0, 1, 1);
    assert!(sent(&stage.submit(ms(1), 3)).is_some());
}

#[test]
fn a_number_in_flight_is_not_taken_twice() {
    let mut stage = Stage::new(&spec(&[1]));
    stage.submit(ms(0), 1);
    let outputs = stage.submit(ms(1), 1);
    assert!(
        outputs
            .iter()
            .any(|o| matches!(o, Output::Finish(_, Outcome::Reject(Rejection::Duplicate))))
    );
    stage.complete(ms(2), 1, 1, 1);
    assert_eq!(stage.dispatches().len(), 1);
}

#[test]
fn a_draining_router_takes_no_more_and_finishes_what_it_has() {
    let mut stage = Stage::new(&spec(&[1, 1]));
    stage.submit(ms(0), 1);
    stage.feed(ms(1), Input::Drain);
    stage.submit(ms(2), 2);
    assert_eq!(stage.outcome(2), Some((ms(2), Outcome::Reject(Rejection::Drain))));
    assert_eq!(sent(&stage.crash(ms(3), 1, 1)).map(|(_, cause)| cause), Some(Cause::Retry));
    stage.complete(ms(4), 1, 2, 1);
    assert!(matches!(stage.outcome(1), Some((_, Outcome::Serve(..)))));
}

#[test]
fn what_a_peer_used_counts_here_once_however_often_it_says_so() {
    let mut ten = spec(&[1]);
    ten.deployments[0].limit = Some(LimitSpec { requests: per_minute(10), ..LimitSpec::default() });
    let mut stage = Stage::new(&ten);
    let used = |requests| {
        Input::Peers(Consumption::Used {
            replica: 3,
            limit: LimitId::at(0),
            requests,
            input_tokens: 0,
            output_tokens: 0,
        })
    };
    // What it had used before it was first heard of may be hours old.
    for requests in [1_000, 1_004, 1_007, 1_007, 1_004] {
        stage.feed(ms(0), used(requests));
    }
    let passed = (0..10).filter(|n| sent(&stage.submit(ms(0), *n)).is_some()).count();
    assert_eq!(passed, 3);
}

#[test]
fn a_peers_rest_is_kept_here_too() {
    let mut stage = Stage::new(&spec(&[1, 1]));
    let deployment = stage.router.config().deployment_named("d0").expect("it is there");
    let remaining = Span::from_secs(5);
    stage.feed(
        ms(0),
        Input::Peers(Consumption::Resting { deployment, key: None, remaining, asked: false }),
    );
    (0..40).for_each(|n| drop(stage.submit(ms(4_999), n)));
    assert!(stage.dispatches().iter().all(|(_, d)| d.deployment.index() == 1));
    (40..80).for_each(|n| drop(stage.submit(ms(5_000), n)));
    assert!(stage.dispatches().iter().any(|(_, d)| d.deployment.index() == 0));
}

#[test]
fn a_peers_rest_is_as_firm_as_its_provider_was_and_as_long_as_ours_would_be() {
    let mut alone = spec(&[1]);
    alone.groups[0].panic = Ratio::ONE;
    let serves = |asked: bool, seconds: u64| {
        let mut stage = Stage::new(&alone);
        let deployment = stage.router.config().deployment_named("d0").expect("it is there");
        let remaining = Span::from_secs(1 << 20);
        let rest = Consumption::Resting { deployment, key: None, remaining, asked };
        stage.feed(ms(0), Input::Peers(rest));
        sent(&stage.submit(ms(seconds * 1_000), 1)).map(|(_, cause)| cause)
    };
    assert_eq!(serves(false, 1), Some(Cause::Panic));
    assert_eq!(serves(false, 60), Some(Cause::Primary), "the longest of our cooldown");
    assert_eq!(serves(true, 1), None);
    assert_eq!(serves(true, 3_599), None);
    assert_eq!(serves(true, 3_600), Some(Cause::Primary), "the longest for a person to mend");
}

#[test]
fn timeouts_that_are_configured_anew_hold_for_calls_in_flight() {
    let mut patient = spec(&[1, 0]);
    patient.router.attempts = 1;
    patient.router.deadline = Span::MAX;
    let timeouts = &mut patient.groups[0].timeouts;
    (timeouts.connect, timeouts.first_token) = (Span::MAX, Span::MAX);
    (timeouts.idle, timeouts.total) = (Span::MAX, Span::MAX);
    let ends = |connect: u64| {
        let mut stage = Stage::new(&patient);
        stage.submit(ms(0), 1);
        assert_eq!(stage.router.next_wakeup(), None, "nothing could have woken it");
        let mut next = patient.clone();
        next.groups[0].timeouts.connect = Span::from_millis(connect);
        let config = router_core::Config::new(&next).expect("valid");
        stage.feed(ms(5_000), Input::Reconfigure(std::sync::Arc::new(config)));
        stage.wait(ms(60_000));
        let mut told = stage.observations();
        told.find_map(|observation| {
            let Observation::Closed { elapsed, .. } = observation else { return None };
            Some(elapsed.as_millis())
        })
    };
    assert_eq!(ends(7_000), Some(7_000), "counted from the dispatch");
    assert_eq!(ends(2_000), Some(5_000), "which was long ago");
}

#[test]
fn a_new_configuration_with_every_name_in_its_place_takes_over_and_another_is_refused() {
    let mut stage = Stage::new(&spec(&[1, 0]));
    stage.submit(ms(0), 1);
    let change = |weights: &[u32]| {
        let config = router_core::Config::new(&spec(weights)).expect("valid");
        Input::Reconfigure(std::sync::Arc::new(config))
    };
    assert_eq!(stage.feed(ms(1), change(&[0, 1])), []);
    assert_eq!(sent(&stage.submit(ms(2), 2)), Some((1, Cause::Primary)));
    assert_eq!(stage.feed(ms(3), change(&[0, 1, 1])), [], "one more, after the others");
    let refused = stage.feed(ms(3), change(&[0, 1]));
    assert_eq!(refused, [Output::Observe(Observation::Misfit)]);
    stage.complete(ms(4), 1, 1, 1);
    assert!(matches!(stage.outcome(1), Some((_, Outcome::Serve(..)))));
}
