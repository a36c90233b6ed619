//! Weights: what share each gets, at once and over time, and what stays together.

use std::sync::Arc;

use router_core::{
    BreakerMode, BreakerSpec, ClassRest, Config, Counter, Failure, FailureKind, Input, Load,
    Purpose, Ratio, RestAfter, Seed, Span, Spec, Strategy,
};
use tests::stage::{Stage, ms, retry_after, sent};

use crate::play::{Fate, Play, chosen_by};

/// Whether `hits` of `trials` with probability `share` lie within so many standard deviations:
/// (h - np)^2 <= z^2 np(1 - p), in whole numbers.
fn is_within(hits: usize, trials: usize, share: (usize, usize), z_squared: usize) -> bool {
    let [hits, trials, part, whole] = [hits, trials, share.0, share.1].map(|n| n as u128);
    let off = (hits * whole).abs_diff(trials * part);
    off * off <= z_squared as u128 * trials * part * (whole - part)
}

/// z^2 for two-sided intervals that one in 10^6 and one in 10^9 trials misses.
const ONE_IN_MILLION: usize = 24;
const ONE_IN_BILLION: usize = 38;

/// Twenty requests a second by 7:3, with one answer in a hundred a 429 and a rest of one second.
fn under_rate_limits(catch_up: bool) -> Vec<usize> {
    let mut spec = chosen_by(Strategy::Weighted { catch_up }, &[7, 3]);
    let cooldown = &mut spec.groups[0].cooldown;
    cooldown.rest = Span::from_secs(1);
    cooldown.grow = 1;
    cooldown.classes.rate_limit = ClassRest { after: RestAfter::Count(1), rest: None };
    let draws = Seed::from_u64(3).key(Purpose::Fault);
    let mut play = Play::new(&spec, move |_, dispatch| {
        let request = dispatch.attempt.request.as_u64();
        let counter = Counter { request, attempt: dispatch.attempt.ordinal, ..Counter::default() };
        if draws.chance(Ratio::from_ppm(10_000), counter) {
            Fate::fail(100, Failure::new(FailureKind::RateLimit, 429))
        } else {
            Fate::answer(100)
        }
    });
    play.stream(0, 1_000_000, 50);
    play.sent(0, 1_000_000)
}

/// LiteLLM's weights hold among the healthy alone: who rested never catches up, and 7:3 becomes
/// 14:86 where one call in ten of the heavy one is refused.
#[test]
fn with_catch_up_weights_hold_over_rests() {
    let counts = under_rate_limits(true);
    let all = counts.iter().sum();
    assert!(is_within(counts[0], all, (7, 10), ONE_IN_MILLION), "{counts:?}");
}

#[test]
fn without_catch_up_they_do_not() {
    let counts = under_rate_limits(false);
    let all = counts.iter().sum();
    assert!(!is_within(counts[0], all, (7, 10), ONE_IN_MILLION), "{counts:?}");
    assert!(counts[0] * 10 < all * 7, "{counts:?}");
}

/// Whom a stage of `spec` chooses for each of so many requests, one after the other.
fn chosen(stage: &mut Stage, requests: u64) -> Vec<usize> {
    let first = stage.log.len() as u64;
    (0..requests)
        .map(|n| {
            let (chosen, _) = sent(&stage.submit(ms(0), first + n)).expect("somebody is there");
            stage.complete(ms(0), first + n, 1, 1);
            chosen
        })
        .collect()
}

#[test]
fn catching_up_is_smooth_while_all_are_well() {
    let spec = chosen_by(Strategy::Weighted { catch_up: true }, &[5, 1, 1]);
    let mut stage = Stage::new(&spec);
    for round in chosen(&mut stage, 70).chunks(7) {
        let count = |member| round.iter().filter(|chosen| **chosen == member).count();
        assert_eq!([count(0), count(1), count(2)], [5, 1, 1]);
        assert!(round.windows(4).all(|four| four.iter().any(|m| *m != four[0])), "{round:?}");
    }
}

#[test]
fn at_most_a_hundred_selections_are_caught_up() {
    let spec = chosen_by(Strategy::Weighted { catch_up: true }, &[1, 1]);
    let mut stage = Stage::new(&spec);
    let (away, _) = sent(&stage.submit(ms(0), 1)).expect("somebody is there");
    stage.fail(ms(0), 1, 1, retry_after(FailureKind::RateLimit, 429, 100));
    stage.complete(ms(0), 1, 2, 1);
    (10..2_010).for_each(|n| {
        let (other, _) = sent(&stage.submit(ms(1), n)).expect("somebody is there");
        assert_ne!(other, away);
        stage.complete(ms(1), n, 1, 1);
    });
    let back = (3_000..3_400).map(|n| {
        let (chosen, _) = sent(&stage.submit(ms(100_001), n)).expect("somebody is there");
        chosen
    });
    let back: Vec<_> = back.collect();
    let alone = back.iter().take_while(|chosen| **chosen == away).count();
    assert!((198..=202).contains(&alone), "100 beyond its own half: {alone}");
    let later = back[alone..].iter().filter(|chosen| **chosen == away).count();
    assert!((later * 2).abs_diff(400 - alone) <= 2, "from then on half: {later}");
}

/// Whom affinities 1 to `count` are sent to, under `weights`; those in `out` are disabled.
fn placed(weights: &[u32], out: u64, count: u64) -> Vec<usize> {
    let mut stage = Stage::new(&chosen_by(Strategy::Sticky, weights));
    put_out(&mut stage, weights, out);
    place(&mut stage, 0, count)
}

fn put_out(stage: &mut Stage, weights: &[u32], out: u64) {
    let mut spec: Spec = chosen_by(Strategy::Sticky, weights);
    for (index, deployment) in spec.deployments.iter_mut().enumerate() {
        deployment.breaker = (out & 1 << index != 0).then_some(BreakerMode::ForcedOpen);
    }
    let config = Config::new(&spec).expect("it is valid");
    stage.feed(ms(0), Input::Reconfigure(Arc::new(config)));
}

fn place(stage: &mut Stage, from: u64, count: u64) -> Vec<usize> {
    (1..=count)
        .map(|affinity| {
            let n = from + affinity;
            let outputs = stage.submit_with(ms(0), n, |request| request.affinity = affinity);
            stage.complete(ms(0), n, 1, 1);
            stage.log.clear();
            sent(&outputs).expect("somebody is there").0
        })
        .collect()
}

#[test]
fn affinities_fall_by_weight() {
    let weights = [5, 3, 2, 1];
    let placed = placed(&weights, 0, 100_000);
    for (member, weight) in weights.into_iter().enumerate() {
        let hits = placed.iter().filter(|place| **place == member).count();
        let share = (weight as usize, 11);
        assert!(is_within(hits, placed.len(), share, ONE_IN_BILLION), "{member}: {hits}");
    }
}

#[test]
fn who_leaves_moves_only_what_it_had_and_gets_it_back() {
    let weights = [5, 3, 2, 1];
    let mut stage = Stage::new(&chosen_by(Strategy::Sticky, &weights));
    let before = place(&mut stage, 0, 20_000);
    put_out(&mut stage, &weights, 0b0010);
    let without = place(&mut stage, 20_000, 20_000);
    put_out(&mut stage, &weights, 0);
    let after = place(&mut stage, 40_000, 20_000);
    assert_eq!(before, after);
    assert!(before.iter().zip(&without).all(|(was, is)| *is != 1 && (was == is || *was == 1)));
    // What it had goes to the others by their weights: 5 of 8 to the first.
    let moved: Vec<_> = before.iter().zip(&without).filter(|(was, _)| **was == 1).collect();
    let to_first = moved.iter().filter(|(_, is)| **is == 0).count();
    assert!(is_within(to_first, moved.len(), (5, 8), ONE_IN_BILLION), "{to_first}");
}

#[test]
fn a_weight_that_grows_takes_no_more_than_it_must() {
    let (before, after) = (placed(&[4, 4, 4], 0, 50_000), placed(&[6, 4, 4], 0, 50_000));
    assert!(before.iter().zip(&after).all(|(was, is)| was == is || *is == 0));
    let moved = before.iter().zip(&after).filter(|(was, is)| was != is).count();
    // From 4/12 to 6/14: 2/21 of all.
    assert!(is_within(moved, before.len(), (2, 21), ONE_IN_BILLION), "{moved}");
}

#[test]
fn an_affinity_is_served_elsewhere_only_while_its_place_is_out() {
    let mut stage = Stage::new(&chosen_by(Strategy::Sticky, &[1, 1, 1]));
    let mut at = |now, n| {
        let outputs = stage.submit_with(ms(now), n, |request| request.affinity = 42);
        let chosen = sent(&outputs).expect("somebody is there").0;
        if now == 1_000 {
            stage.fail(ms(now), n, 1, retry_after(FailureKind::RateLimit, 429, 10));
            stage.complete(ms(now), n, 2, 1);
        } else {
            stage.complete(ms(now), n, 1, 1);
        }
        chosen
    };
    let home = at(0, 1);
    assert_eq!(at(1_000, 2), home);
    let shelter = at(2_000, 3);
    assert_ne!(shelter, home);
    assert_eq!([at(10_999, 4), at(11_000, 5), at(60_000, 6)], [shelter, home, home]);
}

#[test]
fn without_an_affinity_weights_decide() {
    let mut stage = Stage::new(&chosen_by(Strategy::Sticky, &[3, 1]));
    let chosen = chosen(&mut stage, 10_000);
    let hits = chosen.iter().filter(|chosen| **chosen == 0).count();
    assert!(is_within(hits, chosen.len(), (3, 4), ONE_IN_BILLION), "{hits}");
}

/// Of 1,000 calls at once on ten, chance alone gives somebody 100 and some standard deviations
/// of 9.5; two choices give nobody more than 100 and a few.
#[test]
fn two_choices_are_better_than_one() {
    let heaviest = |strategy| {
        let mut play = Play::new(&chosen_by(strategy, &[1; 10]), |_, _| Fate::answer(1_000));
        (0..1_000).for_each(|_| play.submit(ms(0), |_| {}));
        play.sent(0, 1).into_iter().max()
    };
    let one = heaviest(Strategy::Weighted { catch_up: false });
    let two = heaviest(Strategy::PowerOfTwo(Load::InFlight));
    assert!(one >= Some(108) && two <= Some(104), "{one:?} {two:?}");
}

#[test]
fn the_lesser_of_two_is_that_for_its_weight() {
    let spec = chosen_by(Strategy::PowerOfTwo(Load::InFlight), &[3, 1]);
    let mut play = Play::new(&spec, |_, _| Fate::answer(1_000));
    (0..400).for_each(|_| play.submit(ms(0), |_| {}));
    let counts = play.sent(0, 1);
    assert!(counts[0].abs_diff(300) <= 2, "{counts:?}");
}

/// How many of the next requests in a row go to others than `first`, each answered at once.
fn passed_over(stage: &mut Stage, at: u64, from: u64, first: usize) -> usize {
    let next = (from..from + 1_000).map(|n| {
        let (chosen, _) = sent(&stage.submit(ms(at), n)).expect("somebody is there");
        stage.complete(ms(at), n, 1, 1);
        chosen
    });
    next.take_while(|chosen| *chosen != first).count()
}

#[test]
fn whoever_serves_for_all_others_lends_a_hundred_selections() {
    let mut spec = chosen_by(Strategy::Weighted { catch_up: true }, &[1, 1, 1]);
    spec.groups[0].ejected_max = Ratio::ONE;
    let mut stage = Stage::new(&spec);
    stage.submit(ms(0), 1);
    for attempt in 1..=2 {
        stage.fail(ms(0), 1, attempt, retry_after(FailureKind::RateLimit, 429, 100));
    }
    stage.complete(ms(0), 1, 3, 1);
    let served: Vec<usize> = stage.dispatches().iter().map(|(_, d)| d.deployment.index()).collect();
    (10..2_010).for_each(|n| {
        let (only, _) = sent(&stage.submit(ms(1), n)).expect("somebody is there");
        assert_eq!(only, served[2]);
        stage.complete(ms(1), n, 1, 1);
    });
    // It owes a hundred rounds of three, of which each selection pays back one.
    let before = passed_over(&mut stage, 100_001, 3_000, served[2]);
    assert!((297..=303).contains(&before), "{before}");
}

/// What was owed to a member while its breaker was open would be a burst on what has just recovered.
#[test]
fn whoever_ramps_up_is_owed_one_selection_at_most() {
    let mut spec = chosen_by(Strategy::Weighted { catch_up: true }, &[1, 1]);
    spec.router.attempts = 1;
    spec.groups[0].cooldown.enabled = false;
    spec.groups[0].breaker =
        Some(BreakerSpec { consecutive: 3, jitter: Ratio::ZERO, ..BreakerSpec::default() });
    let mut stage = Stage::new(&spec);
    let mut failures = 0;
    for n in 1.. {
        let (chosen, _) = sent(&stage.submit(ms(0), n)).expect("somebody is there");
        if chosen == 0 {
            stage.crash(ms(0), n, 1);
            failures += 1;
        } else {
            stage.complete(ms(0), n, 1, 1);
        }
        if failures == 3 {
            break;
        }
    }
    let mut next = 100;
    let mut turns = |stage: &mut Stage, at, requests: u64| -> usize {
        next += requests;
        let to = |n| {
            let (chosen, _) = sent(&stage.submit(ms(at), n)).expect("somebody is there");
            stage.complete(ms(at), n, 1, 1);
            chosen
        };
        (next - requests..next).map(to).filter(|chosen| *chosen == 0).count()
    };
    assert_eq!(turns(&mut stage, 1_000, 60), 0, "it is open");
    // Three probes, and what chance adds at the beginning of its ramp.
    let first = turns(&mut stage, 10_500, 40);
    assert!((3..=8).contains(&first), "{first}");
    let whole = turns(&mut stage, 41_000, 100);
    assert!((49..=52).contains(&whole), "{whole}");
}
