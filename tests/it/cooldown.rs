//! When something rests, and how long: by class of failure, and as providers ask. Where a test
//! names another project, that is where the fault was seen.

use router_core::{
    Cause, ClassRest, Consumption, DeploymentId, DeploymentSpec, Failure, FailureKind, GroupSpec,
    Input, MemberSpec, Ratio, Reason, RestAfter, RetryAfter, Span, Spec,
};
use tests::stage::{Stage, excluded, ms, retry_after, sent, spec, spec_with_backup};

use super::breaker::{class, crash_all, primary, rests, secs};

/// LiteLLM 1.80 and 1.109 (issue 40130): a first `Retry-After: 1` and then one of 30 are recorded
/// as 30 and released after 1, since what is kept cannot be extended.
#[test]
fn a_rest_extends_to_the_later_end() {
    let mut stage = Stage::new(&primary());
    (1..=2).for_each(|n| drop(stage.submit(ms(0), n)));
    stage.fail(ms(0), 1, 1, retry_after(FailureKind::RateLimit, 429, 1));
    stage.fail(ms(0), 2, 1, retry_after(FailureKind::RateLimit, 429, 30));
    assert_eq!(sent(&stage.submit(ms(29_999), 3)), Some((1, Cause::Primary)));
    assert_eq!(sent(&stage.submit(ms(30_000), 4)), Some((0, Cause::Primary)));
}

/// LiteLLM 1.80: a `Retry-After` of 0 means no cooldown at all, fractions and `retry-after-ms` are
/// ignored, and 3,600 s are believed.
#[test]
fn a_retry_after_rests_as_long_as_it_says_within_reason() {
    let said = |header, millis| RetryAfter { header, millis, delay: None }.span(0);
    for (retry_after, until) in [
        (said(Some("0"), None), 5_000),
        (said(Some("1.5"), None), 1_500),
        (said(Some("1"), Some("1500.0")), 1_500),
        (said(Some("3600"), None), 120_000),
        (said(Some("soon"), None), 5_000),
    ] {
        let mut stage = Stage::new(&primary());
        stage.submit(ms(0), 1);
        let limited = Failure::new(FailureKind::RateLimit, 429);
        stage.fail(ms(0), 1, 1, Failure { retry_after, ..limited });
        assert_eq!(rests(&stage), [(0, Some(0), ms(until))], "{retry_after:?}");
    }
}

#[test]
fn a_retry_after_of_zero_rests_nothing_by_itself() {
    let mut spec = primary();
    spec.groups[0].cooldown.classes.rate_limit = class(RestAfter::Never);
    let mut stage = Stage::new(&spec);
    for (n, kind) in [FailureKind::RateLimit, FailureKind::Server].into_iter().enumerate() {
        stage.submit(ms(0), n as u64);
        stage.fail(ms(0), n as u64, 1, retry_after(kind, 503, 0));
    }
    assert_eq!(rests(&stage), []);
}

/// agentgateway's page on failover (2026) says that `Retry-After` overrides the configured time;
/// its `health.rs` does the opposite. Ours: what the provider asked for is what a rate limit
/// rests, shorter or longer; for ill health the later end holds.
#[test]
fn what_a_provider_asks_for_goes_before_what_is_configured() {
    let mut spec = primary();
    spec.groups[0].cooldown.rest = Span::from_secs(30);
    for seconds in [7, 90] {
        let mut stage = Stage::new(&spec);
        stage.submit(ms(0), 1);
        stage.fail(ms(0), 1, 1, retry_after(FailureKind::RateLimit, 429, seconds));
        assert_eq!(rests(&stage), [(0, Some(0), secs(seconds))]);
    }
    for (seconds, until) in [(7, vec![30]), (90, vec![30, 90])] {
        let mut stage = Stage::new(&spec);
        crash_all(&mut stage, ms(0), 0..9);
        stage.submit(ms(0), 9);
        stage.fail(ms(0), 9, 1, retry_after(FailureKind::Server, 503, seconds));
        let expected: Vec<_> = until.into_iter().map(|until| (0, None, secs(until))).collect();
        assert_eq!(rests(&stage), expected);
    }
}

/// LiteLLM (issue 40405): a lone deployment is protected from its cooldown though a fallback
/// waits for its traffic.
#[test]
fn a_lone_primary_with_a_fallback_rests() {
    let mut spec = spec_with_backup(&[1]);
    spec.router.attempts = 1;
    let mut stage = Stage::new(&spec);
    crash_all(&mut stage, ms(0), 0..10);
    assert_eq!(rests(&stage), [(0, None, ms(5_000))]);
    assert_eq!(sent(&stage.submit(ms(0), 10)), Some((1, Cause::Fallback)));
}

/// LiteLLM 1.80 and 1.109: allowed failures are counted for as long as a cooldown lasts, so with
/// one of a second a failure every 0.6 s never leads to one.
#[test]
fn allowed_failures_count_within_the_window_however_short_the_rest() {
    let mut spec = primary();
    spec.groups[0].cooldown.rest = Span::from_secs(1);
    spec.groups[0].cooldown.classes.server = class(RestAfter::Count(3));
    let mut stage = Stage::new(&spec);
    (0..3).for_each(|n| crash_all(&mut stage, ms(n * 600), n..n + 1));
    assert_eq!(rests(&stage), [(0, None, ms(2_200))]);
}

/// LiteLLM 1.80: of allowed failures 0 counts as 3, and 3, being the default, as not set.
#[test]
fn a_count_of_failures_is_that_count() {
    for most in 1..=5 {
        for (kind, key) in [(FailureKind::RateLimit, Some(0)), (FailureKind::Server, None)] {
            let mut spec = primary();
            spec.groups[0].cooldown.classes.rate_limit = class(RestAfter::Count(most));
            spec.groups[0].cooldown.classes.server = class(RestAfter::Count(most));
            let mut stage = Stage::new(&spec);
            for n in 1..=u64::from(most) {
                assert_eq!(rests(&stage), []);
                stage.submit(ms(n), n);
                stage.fail(ms(n), n, 1, Failure::new(kind, 500));
            }
            assert_eq!(rests(&stage), [(0, key, ms(5_000 + u64::from(most)))]);
        }
    }
}

/// LiteLLM 1.80: what led to a cooldown stays in its counters, so that the first failure after it
/// leads to the next.
#[test]
fn what_led_to_a_rest_is_forgotten() {
    for (after, most) in [(RestAfter::Count(3), 3), (RestAfter::Common, 10)] {
        let mut spec = primary();
        spec.groups[0].cooldown.classes.server = class(after);
        let mut stage = Stage::new(&spec);
        crash_all(&mut stage, ms(0), 0..most);
        crash_all(&mut stage, ms(5_000), most..2 * most - 1);
        assert_eq!(rests(&stage), [(0, None, ms(5_000))]);
        crash_all(&mut stage, ms(5_000), 2 * most..2 * most + 1);
        assert_eq!(rests(&stage).len(), 2);
    }
}

#[test]
fn classes_count_apart_and_a_class_may_rest_longer_or_never() {
    let mut spec = primary();
    let classes = &mut spec.groups[0].cooldown.classes;
    classes.timeout = class(RestAfter::Never);
    classes.connection = ClassRest { after: RestAfter::Count(4), rest: Some(Span::from_secs(50)) };
    let mut stage = Stage::new(&spec);
    let mut fail = |kind, requests: core::ops::Range<u64>| {
        for n in requests {
            stage.submit(ms(0), n);
            stage.fail(ms(0), n, 1, Failure::new(kind, 500));
        }
        rests(&stage)
    };
    assert_eq!(fail(FailureKind::FirstToken, 0..100), []);
    assert_eq!(fail(FailureKind::Server, 100..109), [], "nine are not judged");
    assert_eq!(fail(FailureKind::Reset, 109..112), [], "nor do these make up a tenth");
    assert_eq!(fail(FailureKind::Truncated, 112..113), [(0, None, secs(50))]);
}

/// LiteLLM 1.80: at most 200 cooldowns are kept, and those that end first are evicted first.
#[test]
fn however_many_rest_none_is_forgotten() {
    let mut many = Spec::default();
    for group in 0..5 {
        let mut written =
            GroupSpec::new(if group == 0 { "chat".into() } else { format!("g{group}") });
        for member in 0..64 {
            let deployment = format!("d{group}-{member}");
            many.deployments.push(DeploymentSpec::new(deployment.clone()));
            written.members.push(MemberSpec { deployment, weight: 1, tier: 0 });
        }
        many.groups.push(written);
    }
    let mut stage = Stage::new(&many);
    for deployment in 0..320 {
        let remaining = Span::from_secs(30 + deployment as u64);
        let deployment = DeploymentId::at(deployment);
        let rests = Consumption::Resting { deployment, key: None, remaining, asked: false };
        stage.feed(ms(0), Input::Peers(rests));
    }
    let outputs = stage.submit(ms(29_999), 1);
    assert_eq!(excluded(&outputs, Reason::Cooling), u64::MAX);
    assert!(sent(&stage.submit(ms(30_000), 2)).is_some());
}

#[test]
fn a_group_that_panics_uses_what_is_out_but_for_what_was_asked() {
    let mut spec = spec(&[1, 1]);
    spec.router.attempts = 1;
    spec.groups[0].panic = Ratio::from_ppm(500_000);
    spec.groups[0].ejected_max = Ratio::ONE;
    spec.groups[0].cooldown.classes.server = class(RestAfter::Count(1));
    let panicking = |failure: [Failure; 2]| {
        let mut stage = Stage::new(&spec);
        for (n, failure) in failure.into_iter().enumerate() {
            let n = n as u64;
            stage.submit(ms(0), n);
            stage.fail(ms(0), n, 1, failure);
        }
        sent(&stage.submit(ms(1), 2))
    };
    let crash = Failure::new(FailureKind::Server, 500);
    let asks = retry_after(FailureKind::Server, 503, 9);
    let refused = Failure::new(FailureKind::Authentication, 401);
    let pressed = panicking([crash, crash]).expect("somebody is pressed");
    assert_eq!(pressed.1, Cause::Panic);
    assert!(panicking([asks, asks]).is_none());
    assert!(panicking([refused, refused]).is_none());
    assert_eq!(panicking([refused, crash]).map(|(_, cause)| cause), Some(Cause::Panic));
}
