//! Limits: exact under concurrency, whole for whole streams, and never lenient after the fact.
//! Each test stands in `docs/conformance.md`.

use router_core::{
    Config, Failure, FailureKind, LimitSpec, Rate, Reason, Span, Spec, Strategy, Time, Upstream,
    Usage,
};
use tests::stage::{Stage, excluded, ms, sent, spec, spec_with_backup};

fn per(amount: u64, seconds: u64) -> Option<Rate> {
    Some(Rate { amount, period: Span::from_secs(seconds), burst: None })
}

/// One deployment with this limit.
fn limited(limit: LimitSpec) -> Spec {
    let mut spec = spec(&[1]);
    spec.deployments[0].limit = Some(limit);
    spec
}

/// Whether a request of so many tokens, half of which are the prompt's, is let through now.
fn passes(stage: &mut Stage, at: Time, n: u64, tokens: u32) -> bool {
    let outputs = stage.submit_with(at, n, |request| {
        request.input_tokens = tokens - tokens / 2;
        request.output_max = Some(tokens / 2);
    });
    sent(&outputs).is_some()
}

fn answer(stage: &mut Stage, at: Time, n: u64, tokens: u32) {
    let input_tokens = tokens - tokens / 2;
    let usage = Usage { input_tokens, cached_tokens: 0, output_tokens: tokens / 2 };
    stage.news(at, n, 1, Upstream::Complete(usage));
}

#[test]
fn of_twelve_at_once_of_1005_tokens_under_2000_a_minute_one_passes() {
    let mut stage = Stage::new(&limited(LimitSpec { tokens: per(2_000, 60), ..<_>::default() }));
    let passed = (0..12).filter(|n| passes(&mut stage, ms(0), *n, 1_005)).count();
    assert_eq!(passed, 1);
    // What it did not use is there again at once.
    answer(&mut stage, ms(10), 0, 105);
    assert!(passes(&mut stage, ms(10), 20, 1_005));
}

#[test]
fn four_deployments_of_six_a_minute_admit_twenty_four_of_twenty_four() {
    for strategy in [Strategy::default(), Strategy::LeastInFlight, Strategy::Usage] {
        let mut four = spec(&[1; 4]);
        four.groups[0].strategy = strategy;
        for deployment in &mut four.deployments {
            deployment.limit = Some(LimitSpec { requests: per(6, 60), ..<_>::default() });
        }
        let mut stage = Stage::new(&four);
        let passed = (0..40).filter(|n| passes(&mut stage, ms(0), *n, 10)).count();
        assert_eq!(passed, 24, "{strategy:?}");
    }
}

#[test]
fn no_window_of_a_minute_admits_twice_its_limit() {
    let mut stage = Stage::new(&limited(LimitSpec { requests: per(60, 60), ..<_>::default() }));
    let mut wave = |at: Time, from: u64| {
        let passed = (from..from + 100).filter(|n| {
            let passes = passes(&mut stage, at, *n, 10);
            answer(&mut stage, at, *n, 10);
            passes
        });
        passed.count()
    };
    // Across the boundary of a minute.
    assert_eq!(wave(ms(59_500), 0), 60);
    assert_eq!(wave(ms(60_500), 100), 1);
    assert_eq!(wave(ms(119_500), 200), 59);
}

#[test]
fn a_stream_holds_its_place_until_its_last_token() {
    let mut stage = Stage::new(&limited(LimitSpec { parallel: Some(1), ..<_>::default() }));
    assert!(sent(&stage.submit(ms(0), 1)).is_some());
    for (at, news) in [
        (100, Upstream::Connected),
        (200, Upstream::Headers(<_>::default())),
        (300, Upstream::FirstToken),
        (400, Upstream::Progress(50)),
    ] {
        stage.news(ms(at), 1, 1, news);
        let outputs = stage.submit(ms(at), at);
        assert_eq!((sent(&outputs), excluded(&outputs, Reason::Parallel)), (None, 1), "{news:?}");
    }
    stage.complete(ms(500), 1, 1, 100);
    assert!(sent(&stage.submit(ms(500), 2)).is_some());
}

#[test]
fn no_parallel_limit_follows_from_a_rate() {
    let rates = LimitSpec { requests: per(60, 60), tokens: per(1_000, 60), ..<_>::default() };
    let mut stage = Stage::new(&limited(rates));
    assert!((0..10).all(|n| passes(&mut stage, ms(0), n, 100)), "ten at once, within both rates");
}

#[test]
fn a_denied_request_leaves_the_bucket_as_it_was() {
    let mut stage = Stage::new(&limited(LimitSpec { tokens: per(1_000, 60), ..<_>::default() }));
    assert!(passes(&mut stage, ms(0), 1, 100));
    assert!(!passes(&mut stage, ms(0), 2, 950));
    assert!(passes(&mut stage, ms(0), 3, 100));
    assert!(!passes(&mut stage, ms(0), 4, 802));
    assert!(passes(&mut stage, ms(0), 5, 800));
}

#[test]
fn refill_is_not_lost_between_two_calls() {
    let mut stage = Stage::new(&limited(LimitSpec { tokens: per(60, 60), ..<_>::default() }));
    assert!(passes(&mut stage, ms(0), 0, 60));
    answer(&mut stage, ms(0), 0, 60);
    let mut units = 0;
    for n in 1..=30 {
        let at = ms(n * 1_999);
        if passes(&mut stage, at, n, 2) {
            answer(&mut stage, at, n, 2);
            units += 2;
        }
    }
    assert_eq!(units, 58, "of 59.97 that came in, in twos");
}

#[test]
fn an_overrun_is_debt_on_every_window_it_passed() {
    let mut two = limited(LimitSpec { tokens: per(1_000, 60), ..<_>::default() });
    two.limits.push(("day".into(), LimitSpec { tokens: per(2_000, 86_400), ..<_>::default() }));
    two.deployments[0].shared.push("day".into());
    let mut stage = Stage::new(&two);
    assert!(passes(&mut stage, ms(0), 1, 900));
    answer(&mut stage, ms(0), 1, 1_400);
    // The minute owes 400: it has room for 100 when 500 have come in.
    assert!(!passes(&mut stage, ms(29_999), 2, 100));
    // The day has 600 left, and one and a bit that came in meanwhile.
    assert!(!passes(&mut stage, ms(61_000), 3, 602));
    assert!(passes(&mut stage, ms(61_000), 4, 601));
}

#[test]
fn a_minute_in_debt_opens_when_it_is_paid() {
    let mut stage = Stage::new(&limited(LimitSpec { tokens: per(1_000, 60), ..<_>::default() }));
    assert!(passes(&mut stage, ms(0), 1, 900));
    answer(&mut stage, ms(0), 1, 1_400);
    assert!(!passes(&mut stage, ms(29_999), 2, 100));
    assert!(passes(&mut stage, ms(30_000), 3, 100));
}

#[test]
fn all_of_a_requests_limits_are_taken_or_none() {
    let mut both = limited(LimitSpec { requests: per(5, 60), ..<_>::default() });
    both.limits.push(("org".into(), LimitSpec { tokens: per(100, 60), ..<_>::default() }));
    both.deployments[0].shared.push("org".into());
    let mut stage = Stage::new(&both);
    assert!((0..50).all(|n| !passes(&mut stage, ms(0), n, 102)), "the tokens refuse them");
    assert_eq!((50..100).filter(|n| passes(&mut stage, ms(0), *n, 10)).count(), 5);
}

#[test]
fn a_fallbacks_limit_holds_for_those_who_fall_back() {
    let mut backup = spec_with_backup(&[1]);
    backup.deployments[1].limit = Some(LimitSpec { requests: per(3, 60), ..<_>::default() });
    let mut stage = Stage::new(&backup);
    for n in 0..10 {
        stage.submit(ms(0), n);
        stage.fail(ms(0), n, 1, Failure::new(FailureKind::Server, 500));
    }
    let spare = stage.dispatches().iter().filter(|(_, d)| d.deployment.index() == 1).count();
    assert_eq!(spare, 3);
}

#[test]
fn a_limit_of_zero_is_refused_where_it_is_written() {
    for limit in [
        LimitSpec { requests: per(0, 60), ..<_>::default() },
        LimitSpec { tokens: per(0, 60), ..<_>::default() },
        LimitSpec { parallel: Some(0), ..<_>::default() },
    ] {
        let errors = Config::new(&limited(limit)).expect_err("it admits nothing, ever");
        assert!(errors[0].to_string().contains("is 0, but must be between 1"), "{}", errors[0]);
    }
}
