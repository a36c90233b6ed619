//! Choosing: nobody is herded, and what a strategy looks at heals by itself.
//!
//! Each is a way in which a well-known router goes wrong: LiteLLM in versions 1.80 and 1.109,
//! whose strategies look at figures that change only after the calls that are chosen by them.

use std::sync::Arc;

use router_core::{
    BreakerMode, Config, Failure, FailureKind, Input, LimitSpec, Load, Outcome, Price, Rate, Ratio,
    Reason, Rejection, Span, Spec, Strategy,
};
use tests::stage::{excluded, ms, sent};

use crate::play::{Fate, Play, chosen_by};

const LATENCY: Strategy = Strategy::Latency { explore: Ratio::ZERO };

/// Every strategy; those that go by figures of load alone, first.
const ALL: [Strategy; 9] = [
    Strategy::LeastInFlight,
    Strategy::Weighted { catch_up: true },
    LATENCY,
    Strategy::Usage,
    Strategy::PowerOfTwo(Load::InFlight),
    Strategy::PowerOfTwo(Load::PeakEwma),
    Strategy::Weighted { catch_up: false },
    Strategy::Cost,
    Strategy::Sticky,
];

fn per_minute(amount: u64) -> Option<Rate> {
    Some(Rate { amount, period: Span::from_secs(60), burst: None })
}

fn limited(spec: &mut Spec, requests: u64) {
    for deployment in &mut spec.deployments {
        let requests = per_minute(requests);
        deployment.limit = Some(LimitSpec { requests, ..LimitSpec::default() });
    }
}

fn crash() -> Failure {
    Failure::new(FailureKind::Server, 500)
}

#[test]
fn sixty_at_once_never_herd() {
    for (place, strategy) in ALL.into_iter().enumerate() {
        // None, one, two, ... of the four have answered before.
        for warm in 0..6 {
            let mut spec = chosen_by(strategy, &[1, 1, 1, 1]);
            limited(&mut spec, 100_000);
            let mut play = Play::new(&spec, |_, _| Fate::answer(100));
            play.stream(0, warm * 200, 200);
            (0..60).for_each(|n| play.submit(ms(10_000), |r| r.affinity = 1 + n));
            let counts = play.sent(10_000, 10_001);
            // By load alone all get about as much, and at most twice that where only half were
            // heard of. Chance gives more than 36 of 60 to none, in all but one of 10^9 trials.
            let most = [16, 18, 30, 18, 20, 30, 36, 36, 36][place];
            assert!(counts.iter().all(|n| *n <= most), "{strategy:?}, {warm}: {counts:?}");
        }
    }
}

/// LiteLLM's `least-busy` counts a call only after its choice: 30 of 30 go to the first.
#[test]
fn of_thirty_at_once_each_of_three_gets_ten() {
    let spec = chosen_by(Strategy::LeastInFlight, &[1, 1, 1]);
    let mut play = Play::new(&spec, |_, _| Fate::answer(100));
    (0..30).for_each(|_| play.submit(ms(0), |_| {}));
    assert_eq!(play.sent(0, 1), [10, 10, 10]);
}

/// Of equals LiteLLM takes the first: of idle deployments always the same.
#[test]
fn ties_are_spread() {
    for strategy in ALL {
        let mut spec = chosen_by(strategy, &[1, 1, 1]);
        limited(&mut spec, 100_000);
        let mut play = Play::new(&spec, |_, _| Fate::answer(0));
        for n in 0..300 {
            play.submit(ms(n * 1_000), |r| r.affinity = 1 + n);
        }
        let counts = play.sent(0, u64::MAX / 1_000_000);
        assert!(counts.iter().all(|n| (51..=151).contains(n)), "{strategy:?}: {counts:?}");
    }
}

/// LiteLLM's `usage-based-routing-v2` sends 60 of 60 to the one that was used least.
#[test]
fn usage_evens_out_and_then_shares() {
    let mut spec = chosen_by(Strategy::Usage, &[1, 1, 1, 1]);
    limited(&mut spec, 600);
    let mut play = Play::new(&spec, |_, _| Fate::answer(60_000));
    // Three used ten each: as the fourth is disabled, then not.
    spec.deployments[3].breaker = Some(BreakerMode::ForcedOpen);
    let mut warm = Play::new(&spec, |_, _| Fate::answer(60_000));
    (0..30).for_each(|_| warm.submit(ms(0), |_| {}));
    assert_eq!(warm.sent(0, 1), [10, 10, 10, 0]);
    spec.deployments[3].breaker = None;
    let config = Config::new(&spec).expect("it is valid");
    warm.stage.feed(ms(1), Input::Reconfigure(config.into()));
    (0..60).for_each(|_| warm.submit(ms(1), |_| {}));
    let mut counts = warm.sent(1, 2);
    assert!((22..=23).contains(&counts.remove(3)), "{counts:?}");
    assert!(counts.iter().all(|n| (12..=13).contains(n)), "{counts:?}");
    (0..60).for_each(|_| play.submit(ms(0), |_| {}));
    assert_eq!(play.sent(0, 1), [15, 15, 15, 15]);
}

/// LiteLLM admits 20 of 24 here (its issue 8430).
#[test]
fn usage_admits_all_that_the_limits_admit() {
    let mut spec = chosen_by(Strategy::Usage, &[1, 1, 1, 1]);
    limited(&mut spec, 6);
    let mut play = Play::new(&spec, |_, _| Fate::answer(1));
    (0..25).for_each(|_| play.submit(ms(0), |_| {}));
    assert_eq!(play.sent(0, 1), [6, 6, 6, 6]);
    let rejected = Outcome::Reject(Rejection::NoDeployment(Some(ms(10_000))));
    assert_eq!(play.stage.outcome(25), Some((ms(0), rejected)));
}

/// Strategies that look at load, at latency or at prices.
const WARY: [Strategy; 6] = [
    Strategy::LeastInFlight,
    Strategy::PowerOfTwo(Load::InFlight),
    Strategy::PowerOfTwo(Load::PeakEwma),
    LATENCY,
    Strategy::Usage,
    Strategy::Cost,
];

/// Three alike, the first of which has ten times the weight and is the cheapest; no cooldown.
fn tempting(strategy: Strategy) -> Spec {
    let mut spec = chosen_by(strategy, &[10, 1, 1]);
    limited(&mut spec, 100_000);
    spec.groups[0].cooldown.enabled = false;
    for (deployment, price) in spec.deployments.iter_mut().zip([1, 2, 2]) {
        deployment.price = Price { input: price, cached: 0, output: price };
    }
    spec
}

/// In LiteLLM only timeouts count: one that fails at once stays the fastest and the idlest, and 39
/// of 40 requests fail.
#[test]
fn what_fails_at_once_is_nobodys_favourite() {
    for strategy in WARY {
        // Answers take 2 s: once a second, 20 times, and 100 times.
        for gap in [1_000, 50, 10] {
            let mut play =
                Play::new(&tempting(strategy), |now, dispatch| match dispatch.deployment.index() {
                    0 if now >= ms(60_000) => Fate::fail(50, crash()),
                    _ => Fate::answer(2_000),
                });
            play.stream(0, 360_000, gap);
            let counts = play.sent(70_000, 360_000);
            let share = counts[0] as f64 / counts.iter().sum::<usize>() as f64;
            let most = if gap == 1_000 { 0.1 } else { 0.01 };
            assert!(share <= most, "{strategy:?} every {gap} ms: {counts:?}");
        }
    }
}

/// All that fail are alike, and one at a time finds out who no longer does.
#[test]
fn who_is_in_doubt_gets_its_share_back() {
    for strategy in WARY {
        let mut play =
            Play::new(&tempting(strategy), |now, dispatch| match dispatch.deployment.index() {
                0 if (ms(60_000)..ms(120_000)).contains(&now) => Fate::fail(50, crash()),
                _ => Fate::answer(2_000),
            });
        play.stream(0, 240_000, 50);
        let share = |from, to| {
            let counts = play.sent(from, to);
            counts[0] as f64 / counts.iter().sum::<usize>() as f64
        };
        let (before, during, after) =
            (share(30_000, 60_000), share(62_000, 120_000), share(190_000, 240_000));
        println!("{strategy:?} {before} {during} {after}");
        assert!(during < 0.05, "{strategy:?}: {before} {during} {after}");
        assert!(after > 0.9 * before, "{strategy:?}: {before} {during} {after}");
    }
}

#[test]
fn where_all_fail_all_are_tried() {
    for strategy in WARY {
        let mut play = Play::new(&tempting(strategy), |_, _| Fate::fail(50, crash()));
        play.stream(0, 60_000, 100);
        assert!(play.sent(0, 60_000).iter().all(|n| *n > 20), "{strategy:?}");
    }
}

/// LiteLLM forgets a sample after an hour: one that was slow for a while gets nothing meanwhile.
#[test]
fn a_recovered_deployment_gets_its_share_back() {
    let spec = chosen_by(LATENCY, &[1, 1, 1]);
    let mut play = Play::new(&spec, |now, dispatch| match dispatch.deployment.index() {
        0 if (ms(60_000)..ms(120_000)).contains(&now) => Fate::answer(5_000),
        0 => Fate::answer(50),
        _ => Fate::answer(200),
    });
    play.stream(0, 300_000, 50);
    let share = |from, to| {
        let counts = play.sent(from, to);
        counts[0] * 100 / counts.iter().sum::<usize>()
    };
    assert!(share(30_000, 60_000) > 60, "the fastest has most");
    assert!(share(65_000, 120_000) < 15, "slow, it has little");
    assert!(share(180_000, 300_000) > 60, "a minute after its recovery it has most again");
}

/// With LiteLLM the fastest of three got 1 of 100 requests, as its first call had set up the
/// client.
#[test]
fn one_odd_first_sample_heals() {
    let spec = chosen_by(LATENCY, &[1, 1, 1]);
    let mut first = true;
    let mut play = Play::new(&spec, |_, dispatch| match dispatch.deployment.index() {
        0 if core::mem::take(&mut first) => Fate::answer(3_000),
        0 => Fate::answer(50),
        _ => Fate::answer(100),
    });
    play.stream(0, 180_000, 50);
    let counts = play.sent(90_000, 180_000);
    assert!(counts[0] > counts[1] + counts[2], "{counts:?}");
}

/// What rested for long was not heard of for long. It is tried again, by one first.
#[test]
fn what_was_long_away_is_not_sent_everything() {
    let mut spec = chosen_by(LATENCY, &[1, 1, 1, 1]);
    limited(&mut spec, 1_000_000);
    let mut play = Play::new(&spec, |_, _| Fate::answer(100));
    play.stream(0, 10_000, 50);
    let asked = tests::stage::retry_after(FailureKind::RateLimit, 429, 100);
    let out = sent(&play.stage.submit(ms(10_100), 99_999)).map(|(deployment, _)| deployment);
    play.stage.fail(ms(10_100), 99_999, 1, asked);
    play.stream(11_000, 110_000, 50);
    (0..60).for_each(|_| play.submit(ms(110_500), |_| {}));
    let counts = play.sent(110_500, 110_501);
    let out = out.expect("somebody was sent to");
    assert_eq!(play.sent(20_000, 110_000)[out], 0, "it rests");
    assert_eq!(counts[out], 1, "{counts:?}, {out} was away");
}

#[test]
fn exploration_goes_anywhere_as_often_as_it_says() {
    let explore = Ratio::from_ppm(100_000);
    let spec = chosen_by(Strategy::Latency { explore }, &[1, 1]);
    let mut play = Play::new(&spec, |_, dispatch| match dispatch.deployment.index() {
        0 => Fate::answer(10),
        _ => Fate::answer(1_000),
    });
    play.stream(0, 4_000_000, 1_000);
    let counts = play.sent(0, 4_000_000);
    // One in twenty, 200 of 4,000, and a few as its estimate fades.
    assert!((120..=300).contains(&counts[1]), "{counts:?}");
}

fn priced(prices: &[(u64, u64)]) -> Spec {
    let mut spec = chosen_by(Strategy::Cost, &vec![1; prices.len()]);
    for (deployment, (input, output)) in spec.deployments.iter_mut().zip(prices) {
        deployment.price = Price { input: *input, cached: 0, output: *output };
    }
    spec
}

/// LiteLLM takes a price of zero for none, and assumes 5 dollars a token instead.
#[test]
fn nothing_is_cheaper_than_a_price_of_zero() {
    let mut play = Play::new(&priced(&[(1, 1), (0, 0), (2, 2)]), |_, _| Fate::answer(100));
    play.stream(0, 2_000, 100);
    assert_eq!(play.sent(0, 2_000), [0, 20, 0]);
}

/// What is cheap depends on what is asked: 100 tokens in, and as many out as may come.
#[test]
fn the_price_is_that_of_the_request() {
    let mut play = Play::new(&priced(&[(1, 20), (5, 5)]), |_, _| Fate::answer(100));
    play.submit(ms(0), |r| r.output_max = Some(10));
    play.submit(ms(0), |r| r.output_max = Some(100));
    assert_eq!(play.sent(0, 1), [1, 1]);
}

/// A cheap newcomer gets one call to show itself by, also when the others are too slow: a newcomer
/// that is busy is no better known than one that is not.
#[test]
fn a_burst_does_not_go_to_the_one_that_nobody_knows() {
    let mut spec = priced(&[(5, 5), (5, 5), (1, 1)]);
    spec.deployments[2].breaker = Some(BreakerMode::ForcedOpen);
    let mut play = Play::new(&spec, |_, _| Fate::answer(4_000));
    play.stream(0, 4_000, 500);
    spec.deployments[2].breaker = None;
    let next = Config::new(&spec).expect("the test's configuration is valid");
    play.stage.feed(ms(9_000), Input::Reconfigure(Arc::new(next)));
    for _ in 0..30 {
        play.submit(ms(9_000), |r| r.deadline = Some(ms(9_500)));
    }
    assert!(play.sent(9_000, 9_001)[2] <= 1, "{:?}", play.sent(9_000, 9_001));
}

/// LiteLLM always takes the first of the cheapest.
#[test]
fn of_equally_cheap_ones_none_is_preferred() {
    let mut play = Play::new(&priced(&[(1, 1), (1, 1), (2, 2)]), |_, _| Fate::answer(100));
    (0..60).for_each(|_| play.submit(ms(0), |_| {}));
    let counts = play.sent(0, 1);
    assert!(counts[2] == 0 && counts[0].abs_diff(counts[1]) <= 46, "{counts:?}");
}

#[test]
fn the_cheapest_over_its_limit_is_passed_over() {
    let mut spec = priced(&[(1, 1), (2, 2)]);
    spec.deployments[0].limit = Some(LimitSpec { requests: per_minute(6), ..LimitSpec::default() });
    let mut play = Play::new(&spec, |_, _| Fate::answer(100));
    (0..10).for_each(|_| play.submit(ms(0), |_| {}));
    assert_eq!(play.sent(0, 1), [6, 4]);
    let outputs = play.stage.submit(ms(0), 11);
    assert_eq!(excluded(&outputs, Reason::Limit), 0b01);
}

#[test]
fn the_cheapest_that_is_too_slow_for_the_deadline_is_passed_over() {
    let mut play = Play::new(&priced(&[(1, 1), (2, 2)]), |_, dispatch| {
        Fate::answer([8_000, 1_000][dispatch.deployment.index()])
    });
    play.submit(ms(0), |r| r.deadline = Some(ms(5_000)));
    assert_eq!(play.sent(0, 1), [1, 0], "nothing is known yet");
    // It does not connect within 5 s, which counts as 30; from 20 s on it may be tried again.
    play.submit(ms(5_001), |r| r.deadline = None);
    play.submit(ms(14_000), |_| {});
    assert_eq!(play.sent(14_000, 14_001), [0, 1], "it is in doubt");
    play.submit(ms(21_000), |r| r.deadline = Some(ms(26_000)));
    play.submit(ms(21_000), |_| {});
    assert_eq!(play.sent(21_000, 21_001), [1, 1]);
}
