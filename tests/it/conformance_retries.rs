//! Retries: never a sleep that cannot help, never a second call where another could be made, and
//! as many as were written. Each test stands in `docs/conformance.md`.

use router_core::{
    BackoffSpec, Cause, Config, Failure, FailureClass, FailureKind, GiveUp, Jitter, Outcome, Span,
};
use tests::stage::{Stage, ms, retry_after, sent, spec};

use crate::conformance::{attempts, gave_up, places, ruin};

#[test]
fn a_lone_deployments_last_failure_is_told_without_a_sleep() {
    for most in 1..=4 {
        let mut alone = spec(&[1]);
        alone.router.attempts = most;
        let mut stage = Stage::new(&alone);
        stage.submit(ms(0), 1);
        let made = ruin(&mut stage, 1, |_| retry_after(FailureKind::Server, 503, 3));
        let times: Vec<_> = made.iter().map(|(at, _)| *at).collect();
        let expected: Vec<_> = (0..u64::from(most)).map(|n| ms(3_000 * n)).collect();
        assert_eq!(times, expected, "only the waits that another attempt follows");
        assert_eq!(stage.outcome(1).map(|(at, _)| at), times.last().copied());
    }
}

#[test]
fn a_retry_never_returns_to_who_failed_while_another_is_left() {
    for (kind, status) in [
        (FailureKind::Server, 500),
        (FailureKind::Server, 408),
        (FailureKind::RateLimit, 429),
        (FailureKind::Authentication, 401),
        (FailureKind::NotFound, 404),
        (FailureKind::Connect, 0),
        (FailureKind::FirstToken, 0),
        (FailureKind::Truncated, 200),
        (FailureKind::InvalidOutput, 200),
    ] {
        let mut stage = Stage::new(&spec(&[1_000, 1, 1]));
        for n in 0..50 {
            // By then every rest is over.
            stage.submit(ms(n * 10_000_000), n);
            let made = ruin(&mut stage, n, |_| Failure::new(kind, status));
            let mut seen = places(&made);
            assert!(seen.len() >= 2, "{kind:?} is tried again");
            seen.sort_unstable();
            seen.dedup();
            assert_eq!(seen.len(), made.len(), "{kind:?} {status}");
        }
    }
}

#[test]
fn limited_for_longer_than_its_deadline_a_request_is_answered_at_once() {
    let mut short = spec(&[1, 1]);
    short.router.deadline = Span::from_secs(15);
    let mut stage = Stage::new(&short);
    stage.submit(ms(0), 1);
    let failure = retry_after(FailureKind::RateLimit, 429, 20);
    assert_eq!(ruin(&mut stage, 1, |_| failure).len(), 2);
    assert_eq!(stage.outcome(1), Some((ms(0), Outcome::Exhaust(failure))));
}

#[test]
fn with_time_enough_a_request_waits_for_the_first_to_come_back() {
    let mut stage = Stage::new(&spec(&[1, 1]));
    stage.submit(ms(0), 1);
    stage.fail(ms(0), 1, 1, retry_after(FailureKind::RateLimit, 429, 20));
    stage.fail(ms(0), 1, 2, retry_after(FailureKind::RateLimit, 429, 7));
    stage.wait(ms(60_000));
    let made = attempts(&stage, 1);
    assert_eq!((made[2].0, places(&made)[2]), (ms(7_000), places(&made)[1]));
}

#[test]
fn a_retry_after_of_more_than_a_minute_is_waited_for_too() {
    let mut stage = Stage::new(&spec(&[1]));
    stage.submit(ms(0), 1);
    stage.fail(ms(0), 1, 1, retry_after(FailureKind::RateLimit, 429, 90));
    stage.wait(ms(100_000));
    assert_eq!(attempts(&stage, 1)[1].0, ms(90_000));
}

#[test]
fn each_wait_is_that_of_the_last_failure() {
    let mut stage = Stage::new(&spec(&[1]));
    stage.submit(ms(0), 1);
    stage.fail(ms(0), 1, 1, retry_after(FailureKind::Server, 503, 1));
    stage.wait(ms(1_000));
    stage.fail(ms(1_000), 1, 2, retry_after(FailureKind::Server, 503, 7));
    stage.wait(ms(60_000));
    let times: Vec<_> = attempts(&stage, 1).iter().map(|(at, _)| *at).collect();
    assert_eq!(times, [ms(0), ms(1_000), ms(8_000)]);
}

#[test]
fn retries_of_zero_are_zero() {
    for kind in FailureKind::ALL {
        let Some(class) = kind.class() else { continue };
        for (most, calls) in [(0, 1), (1, 2)] {
            let mut strict = spec(&[1, 1, 1]);
            strict.groups[0].retry.most[class as usize] = most;
            let mut stage = Stage::new(&strict);
            stage.submit(ms(0), 1);
            assert_eq!(ruin(&mut stage, 1, |_| Failure::new(kind, 500)).len(), calls, "{kind:?}");
            assert_eq!(gave_up(&stage), [GiveUp::Retries], "{kind:?}");
        }
    }
}

#[test]
fn each_class_of_failure_has_its_own_count() {
    let mut wide = spec(&[1; 8]);
    wide.router.attempts = 8;
    wide.groups[0].retry.most[FailureClass::RateLimit as usize] = 2;
    wide.groups[0].retry.most[FailureClass::Server as usize] = 1;
    let (s, r) = (FailureKind::Server, FailureKind::RateLimit);
    for (script, calls) in [
        ([s, r, r, r, s], 4),
        ([r, r, s, s, s], 4),
        ([r, s, r, s, s], 4),
        ([s, s, s, s, s], 2),
        ([r, r, r, r, r], 3),
    ] {
        let mut stage = Stage::new(&wide);
        stage.submit(ms(0), 1);
        let made = ruin(&mut stage, 1, |dispatch| {
            Failure::new(script[usize::from(dispatch.attempt.ordinal) - 1], 500)
        });
        assert_eq!((made.len(), gave_up(&stage)), (calls, vec![GiveUp::Retries]), "{script:?}");
    }
}

#[test]
fn the_last_failure_is_the_answer() {
    let mut stage = Stage::new(&spec(&[1, 1, 1]));
    stage.submit(ms(0), 1);
    let statuses = [500, 502, 503];
    ruin(&mut stage, 1, |dispatch| {
        let status = statuses[usize::from(dispatch.attempt.ordinal) - 1];
        Failure::new(FailureKind::Server, status)
    });
    let failure = Failure::new(FailureKind::Server, 503);
    assert_eq!(stage.outcome(1), Some((ms(0), Outcome::Exhaust(failure))));
}

#[test]
fn clients_that_fail_together_come_back_apart() {
    let mut stage = Stage::new(&spec(&[1]));
    for n in 0..1_000 {
        stage.submit(ms(0), n);
        stage.crash(ms(0), n, 1);
    }
    stage.wait(ms(600));
    let retries: Vec<_> =
        stage.dispatches().into_iter().filter(|(_, d)| d.cause == Cause::Retry).collect();
    assert_eq!(retries.len(), 1_000);
    // Each tenth of the half second takes a tenth, give or take five standard deviations.
    for tenth in 0..10 {
        let within = ms(tenth * 50)..ms(tenth * 50 + 50);
        let count = retries.iter().filter(|(at, _)| within.contains(at)).count();
        assert!((50..=150).contains(&count), "{count} in tenth {tenth}");
    }
}

#[test]
fn a_retry_takes_no_time_while_another_deployment_is_left() {
    let mut slow = spec(&[1, 1]);
    slow.groups[0].backoff.base = Span::from_secs(8);
    let mut stage = Stage::new(&slow);
    stage.submit(ms(0), 1);
    let (first, _) = sent(&stage.crash(ms(100), 1, 1)).expect("the other is there");
    assert_eq!(first, places(&attempts(&stage, 1))[1]);
    assert!(sent(&stage.crash(ms(200), 1, 2)).is_none(), "both were tried: it waits");
}

#[test]
fn a_backoff_longer_than_its_cap_is_refused_where_it_is_written() {
    for (jitter, complaints) in [(Jitter::Full, 1), (Jitter::Equal, 1), (Jitter::Constant, 0)] {
        let mut long = spec(&[1]);
        long.groups[0].backoff =
            BackoffSpec { base: Span::from_secs(30), jitter, ..BackoffSpec::default() };
        let errors = Config::new(&long).err().unwrap_or_default();
        assert_eq!(errors.len(), complaints, "{jitter:?}");
        assert!(errors.iter().all(|error| error.path == "group.chat.backoff.base"));
    }
}

#[test]
fn a_constant_wait_is_as_long_as_it_says_or_up_to_a_quarter_less() {
    let mut long = spec(&[1]);
    let (base, jitter) = (Span::from_secs(30), Jitter::Constant);
    long.groups[0].backoff = BackoffSpec { base, jitter, ..BackoffSpec::default() };
    for n in 0..50 {
        let mut stage = Stage::new(&long);
        stage.submit(ms(0), n);
        stage.crash(ms(0), n, 1);
        stage.wait(ms(30_000));
        let (at, _) = attempts(&stage, n)[1];
        assert!((ms(22_500)..=ms(30_000)).contains(&at), "{at}");
    }
}

#[test]
fn an_answer_that_is_not_what_was_asked_for_is_asked_for_once_more() {
    let mut stage = Stage::new(&spec(&[1, 1, 1]));
    stage.submit_with(ms(0), 1, |request| request.stream = false);
    let made = ruin(&mut stage, 1, |_| Failure::new(FailureKind::InvalidOutput, 200));
    assert_eq!((made.len(), gave_up(&stage)), (2, vec![GiveUp::Retries]));
    assert_ne!(places(&made)[0], places(&made)[1]);
}
