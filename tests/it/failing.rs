//! What happens when attempts fail: retries, waits, fallbacks, rests, timeouts.

use std::sync::Arc;

use router_core::{
    Abandon, Brain, Cause, Config, Consumption, DeploymentId, DeploymentSpec, End, Failure,
    FailureClass, FailureKind, GiveUp, GroupSpec, Input, LimitSpec, MemberSpec, Observation,
    Outcome, Output, Rate, Ratio, Reason, RequestId, RetryBudgetSpec, Span, Time, Upstream, Usage,
    Wait,
};
use tests::stage::{Stage, attempt, excluded, ms, retry_after, sent, spec, spec_with_backup};

fn gave_up(stage: &Stage) -> Vec<GiveUp> {
    let why = |observation| {
        let Observation::GaveUp { why, .. } = observation else { return None };
        Some(why)
    };
    stage.observations().filter_map(why).collect()
}

fn rests(stage: &Stage) -> Vec<(usize, Time, u8)> {
    let rest = |observation| {
        let Observation::Rested { deployment, until, streak, .. } = observation else {
            return None;
        };
        Some((deployment.index(), until, streak))
    };
    stage.observations().filter_map(rest).collect()
}

#[test]
fn a_failed_attempt_is_tried_elsewhere_at_once() {
    let mut stage = Stage::new(&spec(&[1, 1]));
    let (first, _) = sent(&stage.submit(ms(0), 1)).expect("somebody is there");
    let outputs = stage.crash(ms(100), 1, 1);
    assert_eq!(sent(&outputs), Some((1 - first, Cause::Retry)));
    assert_eq!(excluded(&outputs, Reason::Tried), 1 << first);
}

#[test]
fn alone_it_waits_its_backoff_and_tries_again() {
    for n in 0..50 {
        let mut stage = Stage::new(&spec(&[1]));
        stage.submit(ms(0), n);
        stage.crash(ms(100), n, 1);
        stage.wait(ms(600));
        stage.crash(ms(700), n, 2);
        stage.wait(ms(1_700));
        let times: Vec<Time> = stage.dispatches().iter().map(|(at, _)| *at).collect();
        assert_eq!(times.len(), 3);
        assert!(ms(100) <= times[1] && times[1] <= ms(600), "0.5 s at most: {}", times[1]);
        assert!(ms(700) <= times[2] && times[2] <= ms(1_700), "1 s at most: {}", times[2]);
    }
}

#[test]
fn after_the_last_attempt_nobody_waits() {
    let mut stage = Stage::new(&spec(&[1, 1, 1, 1]));
    stage.submit(ms(0), 1);
    (1..=3).for_each(|ordinal| drop(stage.crash(ms(u64::from(ordinal)), 1, ordinal)));
    let failure = Failure::new(FailureKind::Server, 500);
    assert_eq!(stage.outcome(1), Some((ms(3), Outcome::Exhaust(failure))));
    assert_eq!(gave_up(&stage), [GiveUp::Attempts]);
}

#[test]
fn a_retry_after_rests_the_deployment_and_the_request_waits_for_it() {
    let mut stage = Stage::new(&spec(&[1]));
    stage.submit(ms(0), 1);
    let outputs = stage.fail(ms(100), 1, 1, retry_after(FailureKind::RateLimit, 429, 7));
    assert_eq!(rests(&stage), [(0, ms(7_100), 1)]);
    let waits = outputs.iter().find_map(|output| {
        let Output::Observe(Observation::Waiting { until, why, .. }) = output else { return None };
        Some((*until, *why))
    });
    assert_eq!(waits, Some((ms(7_100), Wait::RetryAfter)));
    stage.submit(ms(7_099), 2);
    stage.wait(ms(7_100));
    let times: Vec<Time> = stage.dispatches().iter().map(|(at, _)| *at).collect();
    assert_eq!(times, [ms(0), ms(7_100)]);
}

#[test]
fn a_retry_after_is_believed_up_to_its_cap() {
    let mut stage = Stage::new(&spec(&[1, 1]));
    let (sick, _) = sent(&stage.submit(ms(0), 1)).expect("somebody is there");
    stage.fail(ms(0), 1, 1, retry_after(FailureKind::RateLimit, 429, 86_400));
    assert_eq!(rests(&stage), [(sick, ms(120_000), 1)]);
}

#[test]
fn a_later_rest_extends_and_an_earlier_one_does_not_shorten() {
    let mut stage = Stage::new(&spec(&[1]));
    (1..=3).for_each(|n| drop(stage.submit(ms(0), n)));
    stage.fail(ms(0), 1, 1, retry_after(FailureKind::RateLimit, 429, 10));
    stage.fail(ms(0), 2, 1, retry_after(FailureKind::RateLimit, 429, 1));
    stage.fail(ms(0), 3, 1, retry_after(FailureKind::RateLimit, 429, 30));
    assert_eq!(rests(&stage), [(0, ms(10_000), 1), (0, ms(30_000), 1)]);
    assert!(sent(&stage.submit(ms(29_999), 4)).is_none());
    assert!(sent(&stage.submit(ms(30_000), 5)).is_some());
}

#[test]
fn rests_in_a_row_grow_and_an_answer_ends_the_row() {
    let mut stage = Stage::new(&spec(&[1]));
    let mut now = 0;
    let mut limited = |stage: &mut Stage, n: u64| {
        stage.submit(ms(now), n);
        stage.fail(ms(now), n, 1, Failure::new(FailureKind::RateLimit, 429));
        let (_, until, streak) = *rests(stage).last().expect("it rests");
        let length = until.since(ms(now));
        now = until.as_nanos() / 1_000_000 + 1_000_000;
        (length, streak)
    };
    let lengths: Vec<_> = (1..=6).map(|n| limited(&mut stage, n)).collect();
    let expected = [5, 10, 20, 40, 60, 60].map(Span::from_secs);
    assert_eq!(lengths, expected.into_iter().zip(1..).collect::<Vec<_>>());
    let well = ms(rests(&stage)[5].1.as_nanos() / 1_000_000 + 700_000);
    stage.submit(well, 7);
    stage.complete(well, 7, 1, 1);
    assert_eq!(limited(&mut stage, 8), (Span::from_secs(5), 1));
}

#[test]
fn a_refused_key_rests_alone_and_somebody_is_paged() {
    let mut keys = spec(&[1]);
    keys.deployments[0].keys = 2;
    let mut stage = Stage::new(&keys);
    stage.submit(ms(0), 1);
    stage.fail(ms(0), 1, 1, Failure::new(FailureKind::Authentication, 401));
    assert!(stage.observations().any(|o| matches!(o, Observation::Page { key: 0, .. })));
    assert_eq!(gave_up(&stage), [GiveUp::Stranded], "this request is barred from the deployment");
    stage.submit(ms(1), 2);
    assert_eq!(stage.dispatches().last().map(|(_, d)| d.key), Some(1));
}

#[test]
fn a_key_that_is_refused_while_it_rests_for_less_pages_somebody_once() {
    let mut stage = Stage::new(&spec(&[1]));
    (1..=4).for_each(|n| drop(stage.submit(ms(0), n)));
    stage.fail(ms(1), 1, 1, retry_after(FailureKind::RateLimit, 429, 60));
    for (at, n) in (2..).zip(2..=4) {
        stage.fail(ms(at), n, 1, Failure::new(FailureKind::Authentication, 401));
    }
    let paged = stage.observations().filter(|o| matches!(o, Observation::Page { .. }));
    assert_eq!(paged.count(), 1);
}

#[test]
fn a_refused_key_that_asks_for_time_rests_alone_too() {
    let mut keys = spec(&[1]);
    keys.deployments[0].keys = 2;
    let mut stage = Stage::new(&keys);
    stage.submit(ms(0), 1);
    stage.fail(ms(0), 1, 1, retry_after(FailureKind::Authentication, 401, 10));
    stage.submit(ms(1), 2);
    assert_eq!(stage.dispatches().last().map(|(_, d)| d.key), Some(1));
}

#[test]
fn what_is_final_for_a_deployment_is_tried_elsewhere() {
    let mut stage = Stage::new(&spec(&[1, 1]));
    let (first, _) = sent(&stage.submit(ms(0), 1)).expect("somebody is there");
    let outputs = stage.fail(ms(0), 1, 1, Failure::new(FailureKind::QuotaSpent, 429));
    assert_eq!(sent(&outputs), Some((1 - first, Cause::Retry)));
    assert_eq!(excluded(&outputs, Reason::Barred), 1 << first);
}

#[test]
fn what_is_final_for_the_request_is_not_tried_again() {
    for kind in [FailureKind::BadRequest, FailureKind::ContextWindow, FailureKind::ContentPolicy] {
        let mut stage = Stage::new(&spec_with_backup(&[1, 1]));
        stage.submit(ms(0), 1);
        stage.fail(ms(0), 1, 1, Failure::new(kind, 400));
        assert_eq!(gave_up(&stage), [GiveUp::Final], "{kind:?}");
        assert_eq!(stage.dispatches().len(), 1);
    }
}

#[test]
fn the_provider_may_overrule_the_taxonomy() {
    let told = |kind, status, should_retry| Failure {
        should_retry: Some(should_retry),
        ..Failure::new(kind, status)
    };
    let mut stage = Stage::new(&spec(&[1, 1]));
    stage.submit(ms(0), 1);
    stage.fail(ms(0), 1, 1, told(FailureKind::Server, 503, false));
    assert_eq!(gave_up(&stage), [GiveUp::Final]);
    stage.submit(ms(0), 2);
    stage.fail(ms(0), 2, 1, told(FailureKind::BadRequest, 400, true));
    assert_eq!(stage.dispatches().len(), 3);
    // Not without end: it counts under `server`.
    let mut spec = spec(&[1, 1]);
    spec.groups[0].retry.most[FailureClass::Server as usize] = 0;
    let mut stage = Stage::new(&spec);
    stage.submit(ms(0), 1);
    stage.fail(ms(0), 1, 1, told(FailureKind::BadRequest, 400, true));
    assert_eq!(gave_up(&stage), [GiveUp::Retries]);
}

#[test]
fn enough_failures_rest_a_deployment_but_never_more_than_half_of_its_group() {
    let mut stage = Stage::new(&spec(&[1, 1]));
    let mut crash_all = |from: u64, to: u64| {
        for n in from..to {
            stage.submit(ms(n), n);
            (1..=3).for_each(|ordinal| drop(stage.crash(ms(n), n, ordinal)));
        }
        (rests(&stage).len(), stage.observations().any(|o| matches!(o, Observation::Spared { .. })))
    };
    assert_eq!(crash_all(0, 3), (0, false), "fewer than ten calls are not judged");
    assert_eq!(crash_all(3, 30), (1, true), "one rests; the other is spared");
}

#[test]
fn a_lone_deployment_is_spared_unless_there_is_a_fallback() {
    for (spec, resting) in [(spec(&[1]), 0), (spec_with_backup(&[1]), 1)] {
        let mut stage = Stage::new(&spec);
        for n in 0..12 {
            stage.submit(ms(n), n);
            stage.crash(ms(n), n, 1);
        }
        let rested: Vec<_> = rests(&stage).into_iter().filter(|(d, ..)| *d == 0).collect();
        assert_eq!(rested.len(), resting);
    }
}

#[test]
fn a_fallback_comes_before_a_wait_and_each_group_serves_once() {
    let mut cycle = spec_with_backup(&[1]);
    cycle.groups[1].fallbacks.any.push("chat".into());
    cycle.router.attempts = 8;
    let mut stage = Stage::new(&cycle);
    stage.submit(ms(0), 1);
    assert_eq!(sent(&stage.crash(ms(1), 1, 1)), Some((1, Cause::Fallback)));
    assert_eq!(sent(&stage.crash(ms(2), 1, 2)), None, "chat was visited: it waits here");
    stage.wait(ms(2_000));
    assert_eq!(
        stage.dispatches().last().map(|(_, d)| (d.deployment.index(), d.cause)),
        Some((1, Cause::Retry))
    );
}

#[test]
fn what_was_refused_for_its_content_never_reaches_the_generic_fallbacks() {
    let mut spec = spec_with_backup(&[1]);
    for name in ["lax", "laxer"] {
        spec.deployments.push(DeploymentSpec::new(name.into()));
        let mut group = GroupSpec::new(name.into());
        group.members.push(MemberSpec { deployment: name.into(), weight: 1, tier: 0 });
        spec.groups.push(group);
    }
    spec.groups[0].fallbacks.content_policy.push("lax".into());
    spec.groups[2].fallbacks.any.push("backup".into());
    spec.router.attempts = 8;
    let refused = Failure::new(FailureKind::ContentPolicy, 400);
    for (laxer, after) in [(false, None), (true, Some((3, Cause::Fallback)))] {
        if laxer {
            spec.groups[2].fallbacks.content_policy.push("laxer".into());
        }
        let mut stage = Stage::new(&spec);
        stage.submit(ms(0), 1);
        assert_eq!(sent(&stage.fail(ms(1), 1, 1, refused)), Some((2, Cause::Fallback)));
        assert_eq!(sent(&stage.crash(ms(2), 1, 2)), after, "not to `backup`");
        stage.wait(ms(60_000));
        assert!(stage.dispatches().iter().all(|(_, d)| d.deployment.index() != 1));
    }
}

#[test]
fn what_is_too_long_by_our_own_count_never_reaches_the_generic_fallbacks() {
    let mut spec = spec_with_backup(&[1]);
    for name in ["long", "longer"] {
        spec.deployments.push(DeploymentSpec::new(name.into()));
        let mut group = GroupSpec::new(name.into());
        group.members.push(MemberSpec { deployment: name.into(), weight: 1, tier: 0 });
        group.fallbacks.any.push("backup".into());
        spec.groups[0].fallbacks.context_window.push(name.into());
        spec.groups.push(group);
    }
    spec.deployments[0].context = Some(8_000);
    let next = |input_tokens: u32| {
        let mut stage = Stage::new(&spec);
        stage.submit_with(ms(0), 1, |request| request.input_tokens = input_tokens);
        sent(&stage.crash(ms(1), 1, 1))
    };
    assert_eq!(next(8_000), Some((1, Cause::Fallback)));
    assert_eq!(next(8_001), Some((3, Cause::Fallback)), "not to `backup` by way of an outage");
}

#[test]
fn a_waiting_request_falls_back_though_the_budget_is_spent() {
    let mut spec = spec_with_backup(&[1]);
    let mut stage = Stage::new(&spec);
    let rests = |deployment, seconds| {
        let (deployment, remaining) = (DeploymentId::at(deployment), Span::from_secs(seconds));
        Input::Peers(Consumption::Resting { deployment, key: None, remaining, asked: false })
    };
    stage.feed(ms(0), rests(1, 2));
    stage.submit(ms(0), 1);
    stage.fail(ms(0), 1, 1, retry_after(FailureKind::RateLimit, 429, 2));
    stage.feed(ms(1_000), rests(0, 60));
    spec.router.retry_budget.ratio = Some(Ratio::ZERO);
    spec.router.retry_budget.per_second = 0;
    let next = Config::new(&spec).expect("the test's configuration is valid");
    stage.feed(ms(1_000), Input::Reconfigure(Arc::new(next)));
    stage.wait(ms(3_000));
    let last = stage.dispatches().last().map(|(at, d)| (*at, d.deployment.index(), d.cause));
    assert_eq!(last, Some((ms(2_000), 1, Cause::Fallback)));
}

#[test]
fn who_can_never_be_served_here_waits_for_who_can_elsewhere() {
    let mut stage = Stage::new(&spec_with_backup(&[1]));
    stage.submit(ms(0), 1);
    assert_eq!(sent(&stage.crash(ms(1), 1, 1)), Some((1, Cause::Fallback)));
    stage.fail(ms(2), 1, 2, retry_after(FailureKind::RateLimit, 429, 3));
    stage.submit(ms(3), 2);
    stage.fail(ms(4), 2, 1, Failure::new(FailureKind::Authentication, 401));
    assert_eq!(gave_up(&stage), [], "the spare is back in three seconds");
    stage.wait(ms(3_600));
    let mut spare =
        stage.dispatches().into_iter().filter(|(_, d)| d.attempt.request == attempt(2, 1).request);
    let last = spare.next_back().map(|(_, d)| (d.deployment.index(), d.cause));
    assert_eq!(last, Some((1, Cause::Fallback)));
}

#[test]
fn a_full_deployment_is_looked_at_again_but_not_at_once() {
    let mut eager = spec(&[1, 1]);
    eager.groups[0].backoff.base = Span::ZERO;
    eager.groups[0].members[1].tier = 1;
    eager.deployments[0].limit = Some(LimitSpec { parallel: Some(1), ..LimitSpec::default() });
    let mut stage = Stage::new(&eager);
    stage.submit(ms(0), 1);
    stage.submit(ms(0), 2);
    stage.fail(ms(1), 2, 1, retry_after(FailureKind::RateLimit, 429, 60));
    assert_eq!(stage.router.next_wakeup().map(|w| w.at), Some(ms(2)));
    stage.complete(ms(5), 1, 1, 1);
    stage.wait(ms(5));
    let last = stage.dispatches().last().map(|(at, d)| (*at, d.deployment.index()));
    assert_eq!(last, Some((ms(5), 0)));
}

#[test]
fn a_retry_after_of_zero_says_nothing() {
    let mut stage = Stage::new(&spec(&[1, 1]));
    let (sick, _) = sent(&stage.submit(ms(0), 1)).expect("somebody is there");
    stage.fail(ms(0), 1, 1, retry_after(FailureKind::RateLimit, 429, 0));
    assert_eq!(rests(&stage), [(sick, ms(5_000), 1)], "as without one");
}

#[test]
fn what_a_refused_key_is_told_to_wait_other_keys_need_not() {
    let mut keys = spec(&[1]);
    keys.deployments[0].keys = 2;
    let mut stage = Stage::new(&keys);
    stage.submit(ms(0), 1);
    stage.fail(ms(0), 1, 1, retry_after(FailureKind::QuotaSpent, 429, 100));
    stage.submit(ms(1), 2);
    assert_eq!(stage.dispatches().last().map(|(_, d)| d.key), Some(1));
}

#[test]
fn retries_stay_within_the_shared_budget() {
    let mut tight = spec(&[1, 1]);
    let ratio = Ratio::new(1, 10);
    tight.router.retry_budget =
        RetryBudgetSpec { ratio, per_second: 0, window: Span::from_secs(10) };
    tight.groups[0].cooldown.enabled = false;
    let mut stage = Stage::new(&tight);
    for n in 0..100 {
        stage.submit(ms(n), n);
        stage.crash(ms(n), n, 1);
    }
    let retries = stage.dispatches().iter().filter(|(_, d)| d.cause == Cause::Retry).count();
    assert_eq!(retries, 10);
    assert!(gave_up(&stage).contains(&GiveUp::Budget));
}

#[test]
fn each_timeout_drops_the_attempt_at_its_instant() {
    let quiet: &[(u64, Upstream)] = &[];
    let connected = &[(1_000, Upstream::Connected)];
    let token = &[(1_000, Upstream::FirstToken)];
    let alive: Vec<_> =
        (0..60).map(|k| (k * 10_000 + 1_000, Upstream::Progress(1 + k as u32))).collect();
    for (news, why, at) in [
        (quiet, Abandon::Connect, 5_000),
        (connected, Abandon::FirstToken, 30_000),
        (token, Abandon::Idle, 21_000),
        (&alive[..], Abandon::Total, 600_000),
    ] {
        let mut longer = spec(&[1]);
        longer.router.deadline = Span::MAX;
        longer.router.attempts = 1;
        longer.groups[0].timeouts.idle = Span::from_secs(20);
        let mut stage = Stage::new(&longer);
        stage.submit(ms(0), 1);
        for (at, news) in news {
            stage.news(ms(*at), 1, 1, *news);
        }
        stage.wait(ms(1_000_000));
        let dropped: Vec<_> = stage
            .log
            .iter()
            .filter(|(_, output)| matches!(output, Output::Abandon(..)))
            .copied()
            .collect();
        assert_eq!(dropped, [(ms(at), Output::Abandon(attempt(1, 1), why))]);
        assert_eq!(stage.outcome(1).map(|(when, _)| when), Some(ms(at)));
    }
}

#[test]
fn news_exactly_at_a_deadline_is_in_time() {
    let mut stage = Stage::new(&spec(&[1]));
    stage.submit(ms(0), 1);
    assert_eq!(stage.news(ms(5_000), 1, 1, Upstream::Connected), []);
    let outputs = stage.news(ms(30_000), 1, 1, Upstream::FirstToken);
    assert_eq!(outputs, [Output::Commit(attempt(1, 1))]);
}

#[test]
fn it_is_in_time_whatever_else_the_instant_brings() {
    let mut stage = Stage::new(&spec(&[1]));
    stage.submit(ms(0), 1);
    stage.submit(ms(0), 2);
    for n in [2, 1] {
        assert_eq!(stage.news(ms(5_000), n, 1, Upstream::Connected), []);
    }
}

#[test]
fn without_streaming_only_connect_and_total_count_and_the_end_commits() {
    let mut stage = Stage::new(&spec(&[1]));
    stage.submit_with(ms(0), 1, |r| r.stream = false);
    stage.news(ms(1), 1, 1, Upstream::Connected);
    stage.wait(ms(300_000));
    let outputs = stage.complete(ms(300_000), 1, 1, 10);
    assert_eq!(outputs[0], Output::Commit(attempt(1, 1)));
    assert!(matches!(stage.outcome(1), Some((_, Outcome::Serve(..)))));
}

#[test]
fn after_a_token_reached_the_client_nothing_is_tried_again() {
    let mut stage = Stage::new(&spec(&[1, 1]));
    stage.submit(ms(0), 1);
    stage.news(ms(1), 1, 1, Upstream::FirstToken);
    stage.fail(ms(2), 1, 1, Failure::new(FailureKind::Reset, 0));
    assert_eq!((stage.dispatches().len(), gave_up(&stage)), (1, vec![GiveUp::Committed]));
}

#[test]
fn a_total_timeout_may_keep_what_came() {
    let mut partial = spec(&[1]);
    partial.groups[0].timeouts.total = Span::from_secs(30);
    partial.groups[0].timeouts.partial = true;
    let mut stage = Stage::new(&partial);
    stage.submit(ms(0), 1);
    stage.news(ms(1_000), 1, 1, Upstream::FirstToken);
    stage.news(ms(15_000), 1, 1, Upstream::Progress(40));
    stage.wait(ms(30_000));
    let usage = Usage { input_tokens: 100, cached_tokens: 0, output_tokens: 40 };
    assert_eq!(stage.outcome(1), Some((ms(30_000), Outcome::Partial(attempt(1, 1), usage))));
}

#[test]
fn at_its_deadline_a_request_is_over_and_no_provider_is_blamed() {
    let mut short = spec(&[1]);
    short.router.deadline = Span::from_secs(3);
    let mut stage = Stage::new(&short);
    stage.submit(ms(0), 1);
    stage.wait(ms(10_000));
    assert_eq!(stage.outcome(1), Some((ms(3_000), Outcome::Expire)));
    let end = End::Abandoned(Abandon::Deadline);
    assert!(
        stage.observations().any(|o| matches!(o, Observation::Ended { end: e, .. } if e == end))
    );
}

#[test]
fn nobody_waits_past_the_deadline() {
    let mut short = spec(&[1]);
    short.router.deadline = Span::from_secs(3);
    let mut stage = Stage::new(&short);
    stage.submit(ms(0), 1);
    let failure = retry_after(FailureKind::RateLimit, 429, 5);
    stage.fail(ms(100), 1, 1, failure);
    assert_eq!(stage.outcome(1), Some((ms(100), Outcome::Exhaust(failure))));
    assert_eq!(gave_up(&stage), [GiveUp::Deadline]);
}

#[test]
fn a_client_that_leaves_takes_its_attempt_along() {
    let mut stage = Stage::new(&spec(&[1]));
    stage.submit(ms(0), 1);
    let outputs = stage.feed(ms(5), Input::Cancel(RequestId::new(0, 1, 0)));
    assert_eq!(outputs[0], Output::Abandon(attempt(1, 1), Abandon::Cancel));
    assert_eq!(stage.outcome(1), Some((ms(5), Outcome::Cancel)));
    assert_eq!(stage.feed(ms(6), Input::Cancel(RequestId::new(0, 1, 0))), []);
}

#[test]
fn late_news_corrects_the_books_once() {
    let mut tight = spec(&[1]);
    let tokens = Some(Rate { amount: 1_000, period: Span::from_secs(60), burst: None });
    tight.deployments[0].limit = Some(LimitSpec { tokens, ..LimitSpec::default() });
    let mut stage = Stage::new(&tight);
    stage.submit_with(ms(0), 1, |r| r.output_max = Some(900));
    stage.feed(ms(0), Input::Cancel(RequestId::new(0, 1, 0)));
    // Settled for its 100 prompt tokens; then it turns out to have produced 800 more.
    let usage = Usage { input_tokens: 100, cached_tokens: 0, output_tokens: 800 };
    for corrected in [true, false] {
        let outputs = stage.news(ms(0), 1, 1, Upstream::Complete(usage));
        let late = Observation::Late { attempt: attempt(1, 1), corrected };
        assert_eq!(outputs, [Output::Observe(late)]);
    }
    assert!(sent(&stage.submit_with(ms(0), 2, |r| r.output_max = Some(1))).is_none());
    assert!(sent(&stage.submit_with(ms(0), 3, |r| r.output_max = Some(0))).is_some());
}
