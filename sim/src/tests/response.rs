use router_core::CallEnd;

use super::*;
use crate::{Repeats, ResponseCache, Segment, Shape};

const FRESH: CallEnd = CallEnd::Cached { stale: false };

/// All ask the same.
fn one_question(gap_ms: u64, count: u64) -> Demand {
    let repeats = Repeats { keys: 1, zipf: 1.0, share: Ratio::ONE };
    Demand { repeats: Some(repeats), ..demand(gap_ms, count) }
}

fn keeps(demand: Demand, ttl_ms: u64, single_flight: bool) -> Plan {
    let cache = ResponseCache {
        ttl: Span::from_millis(ttl_ms),
        stale_for: Span::ZERO,
        size: 1_000,
        single_flight,
    };
    // 100 ms, with 10 ms to connect.
    Plan { cache: Some(cache), ..plan(demand, vec![constant(90), constant(90)]) }
}

/// When each call ended, in milliseconds, and whether it was from the cache.
fn ends(plan: &Plan, brain: Script) -> Vec<(u64, bool)> {
    let world = run(plan, brain);
    let calls = world.journal().calls.iter();
    calls.map(|call| (call.ended.as_nanos() / 1_000_000, call.end == FRESH)).collect()
}

#[test]
fn an_answer_is_fresh_for_its_time_to_live() {
    // Asked at 1 s, there from 1.1 s until 3.1 s; at 4 s it is asked for anew.
    let plan = keeps(one_question(1_000, 5), 2_000, false);
    let whole = |at: u64| (at + 100, false);
    let expected = [whole(1_000), (2_000, true), (3_000, true), whole(4_000), (5_000, true)];
    assert_eq!(ends(&plan, Script::to(&[0])), expected);
}

#[test]
fn identical_calls_wait_for_the_one_under_way() {
    // One each 40 ms: the first is asked for at 40 ms, and there at 140 ms.
    let alone = keeps(one_question(40, 5), 1_000, false);
    let (own, held) = (|at| (at, false), |at| (at, true));
    // At 80 and 120 ms it is not there yet.
    let expected = [own(140), held(160), own(180), held(200), own(220)];
    assert_eq!(ends(&alone, Script::to(&[0])), expected);
    let together = keeps(one_question(40, 5), 1_000, true);
    let world = run(&together, Script::to(&[0]));
    assert_eq!(world.tally().dispatched, 1);
    let told = world.cache().map(|log| [log.fresh, log.stale, log.missed, log.waited, log.filled]);
    assert_eq!(told, Some([2, 0, 3, 2, 1]));
    // Of those that wait the router never hears.
    let unseen = world.journal().calls.iter().filter(|call| call.unseen).count();
    assert_eq!(unseen, 2);
    let expected = [held(140), held(140), own(140), held(160), held(200)];
    assert_eq!(ends(&together, Script::to(&[0])), expected);
}

#[test]
fn who_waits_shares_what_the_one_under_way_gets() {
    // Nobody answers: all fail when the first does, though the second has not waited as long.
    let mut plan = keeps(one_question(5, 2), 1_000, true);
    plan.faults = vec![fault(0, 10_000, Effect::Outage(crate::Outage::Status(500)))];
    let world = run(&plan, Script::to(&[0]));
    let calls = &world.journal().calls;
    assert!(calls.iter().all(|call| call.end == CallEnd::Failed(500)), "{calls:?}");
    assert_eq!((calls[0].ended, world.tally().dispatched), (calls[1].ended, 1));
}

#[test]
fn if_the_one_under_way_is_given_up_another_takes_its_place() {
    // The first user leaves at 100 ms, the second asks from then on.
    let mut demand = one_question(40, 2);
    demand.patience = Some(Span::from_millis(60));
    let mut plan = keeps(demand, 1_000, true);
    plan.demands.push(Demand { patience: None, ..one_question(50, 1) });
    // Of two demands questions are never the same.
    let world = run(&plan, Script::to(&[0]));
    assert_eq!(world.tally().left, 2, "{:?}", world.journal().calls);
    assert_eq!(world.tally().dispatched, 3);
    let calls = &world.journal().calls;
    assert!(calls.iter().any(|call| matches!(call.end, CallEnd::Answered(_))));
    assert!(calls.iter().all(|call| !call.unseen), "it waited, and then went itself");
}

#[test]
fn a_flush_throws_away_what_was_there() {
    let mut plan = keeps(one_question(1_000, 4), 60_000, false);
    let flush = fault(2_500, 2_501, Effect::CacheFlush);
    plan.faults = vec![Fault { on: Vec::new(), ..flush }];
    let world = run(&plan, Script::to(&[0]));
    assert_eq!(world.tally().dispatched, 2);
    assert_eq!((world.cache().unwrap().flushed, world.fired()), (1, vec![1]));
}

#[test]
fn of_more_questions_than_there_is_room_for_the_last_asked_stay() {
    let mut plan = keeps(one_question(200, 3_000), 3_600_000, false);
    plan.demands[0].repeats = Some(Repeats { keys: 50, zipf: 0.0, share: Ratio::ONE });
    plan.cache.as_mut().unwrap().size = 10;
    let world = run(&plan, Script::to(&[0]));
    let log = *world.cache().unwrap();
    assert_eq!(log.filled - log.evicted, 10);
    // Of questions that are all alike, as many are found as there is room for.
    let found = 3_000 - world.tally().dispatched;
    assert!(found.abs_diff(600) < 90, "{found}: four standard deviations");
}

/// Calls for the kth question come at `rate * p_k`; each time one is asked for and there, it is
/// found for the time to live, and then the next call asks anew: of `1 + rate * p_k * ttl` calls
/// one asks. (Jung, Berger and Balakrishnan, "Modeling TTL-based internet caches", INFOCOM 2003.)
#[test]
fn the_share_found_is_that_of_a_renewal_process() {
    let (keys, rate, ttl_s, calls) = (200_u32, 50.0, 20_u64, 200_000.0);
    let lasts = Span::from_secs((calls / rate) as u64);
    let demand = Demand {
        arrivals: Arrivals::Poisson(vec![Segment { lasts, shape: Shape::Flat(rate) }]),
        repeats: Some(Repeats { keys, zipf: 1.0, share: Ratio::ONE }),
        ..demand(1, 1)
    };
    let mut plan = keeps(demand, ttl_s * 1_000, false);
    let instant = Service::Constant { time: Span::from_nanos(1) };
    plan.providers = vec![Provider { connect: Span::ZERO, service: instant, ..constant(0) }];
    let world = run(&plan, Script::to(&[0]));
    let whole: f64 = (1..=keys).map(|k| 1.0 / f64::from(k)).sum();
    let found = |k: u32| {
        let share = 1.0 / f64::from(k) / whole;
        let asked = rate * share * ttl_s as f64;
        share * asked / (1.0 + asked)
    };
    let expected: f64 = (1..=keys).map(found).sum();
    let tally = world.tally();
    let share = 1.0 - tally.dispatched as f64 / tally.calls as f64;
    // Calls are nearly independent of each other: 0.11 % is one standard deviation of a share of
    // so many, and the cache starts empty: 200 calls, a thousandth.
    assert!((share - expected).abs() < 0.005, "{share}, not {expected}");
    assert!((0.5..0.95).contains(&expected), "{expected}");
}
