//! Stories of strategies: whom they may choose, and whom not. Of what is due and does not come.

use super::*;
use crate::{Load, MemberSpec, Price, Seed};

/// The group `chat` of `d0`, `d1` and `d2`, all weighted, with another strategy.
fn choosing(strategy: Strategy) -> Spec {
    let mut spec = spec();
    spec.groups[0].strategy = strategy;
    spec.groups[0].members[2].weight = 1;
    spec
}

/// Whom a request after these may be sent to, of `d0`, `d1` and `d2`.
fn allowed(make: impl Fn() -> Scene, request: Request) -> Vec<usize> {
    let allows = |to: &usize| {
        let mut scene = make();
        let id = request.id;
        let attempt = AttemptId { request: id, ordinal: 1 };
        scene.hears(&Input::Submit(request)).says(Output::Dispatch(Dispatch {
            attempt,
            group: request.group,
            deployment: DeploymentId::at(*to),
            key: 0,
            cause: Cause::Primary,
            connect: Span::from_secs(5),
            heartbeat: Span::from_secs(1),
        }));
        let violations = scene.auditor.violations().iter();
        let broken: Vec<Invariant> = violations.map(|violation| violation.invariant).collect();
        assert!(broken.is_empty() || broken == [Invariant::Chosen], "{broken:?}");
        broken.is_empty()
    };
    (0..3).filter(allows).collect()
}

/// Whom the next may be sent to, once calls to these are under way.
fn allowed_after(spec: &Spec, calls: &[usize]) -> Vec<usize> {
    let make = || {
        let mut scene = Scene::new(spec);
        for (id, to) in calls.iter().enumerate() {
            scene.begins(id as u64, *to);
        }
        scene
    };
    allowed(make, next())
}

fn next() -> Request {
    Request::new(request(99), GroupId::at(0), 100)
}

#[test]
fn the_least_busy_for_its_weight_is_chosen() {
    let mut spec = choosing(Strategy::LeastInFlight);
    spec.groups[0].members[2].weight = 3;
    let busy = |calls: &[usize]| allowed_after(&spec, calls);
    assert_eq!(busy(&[]), [2]);
    assert_eq!(busy(&[2, 2]), [0, 1, 2]);
    assert_eq!(busy(&[2, 2, 1]), [0, 2]);
    assert_eq!(busy(&[2, 2, 0, 1, 2]), [0, 1, 2][2..]);
}

#[test]
fn the_busiest_of_all_never_wins_against_another() {
    let spec = choosing(Strategy::PowerOfTwo(Load::InFlight));
    let make = |seed: Option<u64>| {
        let mut scene = Scene::new(&spec);
        if let Some(seed) = seed {
            scene.auditor = scene.auditor.clone().with_seed(Seed::from_u64(seed));
        }
        // Whatever was drawn for these.
        scene.auditor.violations.clear();
        scene
    };
    let two = |seed: Option<u64>| {
        let busy = || {
            let mut scene = make(None);
            scene.begins(1, 1).begins(2, 0).begins(3, 0);
            scene.auditor.violations.clear();
            scene.auditor.draws = make(seed).auditor.draws;
            scene
        };
        allowed(busy, next())
    };
    assert_eq!(two(None), [1, 2]);
    let drawn: Vec<Vec<usize>> = (0..30).map(|seed| two(Some(seed))).collect();
    assert!(drawn.iter().all(|to| to == &[1] || to == &[2]), "{drawn:?}");
    assert!(drawn.iter().any(|to| to == &[1]) && drawn.iter().any(|to| to == &[2]));
}

#[test]
fn a_draw_by_weight_falls_where_the_seed_says() {
    let mut spec = choosing(Strategy::Weighted { catch_up: false });
    spec.groups[0].members[1].weight = 1_000;
    assert_eq!(allowed(|| Scene::new(&spec), next()), [0, 1, 2], "without the seed");
    let drawn = (0..30).map(|seed| {
        let make = || {
            let mut scene = Scene::new(&spec);
            scene.auditor = scene.auditor.with_seed(Seed::from_u64(seed));
            scene
        };
        allowed(make, next())
    });
    assert!(drawn.filter(|to| to == &[1]).count() > 25);
}

#[test]
fn the_least_used_is_chosen() {
    let mut spec = choosing(Strategy::Usage);
    let rate = |amount| {
        let rate = Rate { amount, period: Span::from_secs(10), burst: None };
        Some(LimitSpec { requests: Some(rate), ..LimitSpec::default() })
    };
    let places = LimitSpec { parallel: Some(4), ..LimitSpec::default() };
    spec.deployments[0].limit = rate(10);
    spec.deployments[1].limit = Some(places);
    spec.deployments[2].limit = rate(2);
    let make = |ms: u64| {
        let mut scene = Scene::new(&spec);
        // A tenth of `d0`'s rate is used, a quarter of `d1`'s places, half of `d2`'s rate.
        scene.begins(1, 0).begins(2, 1).begins(3, 2).at(ms);
        scene
    };
    assert_eq!(allowed(|| make(0), next()), [0]);
    assert_eq!(allowed(|| make(4_500), next()), [0]);
    assert_eq!(allowed(|| make(4_999), next()), [0], "half of it has come back");
}

/// `d0` has failed, which counts as 30 s; `d1` has answered in 1 s, `d2` in 2 s.
fn known(spec: &Spec) -> Scene {
    let mut scene = Scene::new(spec);
    scene.begins(1, 0).fails(1, 1, RESET).goes(1, 2, 1, Cause::Retry);
    scene.at(1_000).serves(1, 2);
    scene.begins(2, 2).at(3_000).serves(2, 1);
    scene.auditor.violations.clear();
    scene
}

#[test]
fn the_soonest_is_chosen_and_what_is_old_is_forgotten() {
    let spec = choosing(Strategy::Latency { explore: Ratio::ZERO });
    let at = |ms: u64| {
        let make = || {
            let mut scene = known(&spec);
            scene.at(ms);
            scene
        };
        allowed(make, next())
    };
    assert_eq!(at(3_000), [1]);
    assert_eq!(at(12_000), [1]);
    assert_eq!(at(120_000), [0, 1, 2], "half of the best is the least that is expected");
    let make = || {
        let mut scene = known(&spec);
        scene.begins(5, 1).begins(6, 1);
        scene
    };
    assert_eq!(allowed(make, next()), [2], "two more calls are in flight at `d1`");
}

#[test]
fn what_was_never_seen_counts_as_the_median_for_one_call_at_a_time() {
    let mut spec = choosing(Strategy::Cost);
    for (deployment, output) in spec.deployments.iter_mut().zip([2, 3, 1]) {
        deployment.price = Price { output, ..Price::FREE };
    }
    // `d0` takes a second, `d1` eight; of `d2` nothing is known but that it has calls in flight.
    let until = |calls: u64, ms: u64| {
        let make = || {
            let mut scene = Scene::new(&spec);
            scene.begins(1, 0).begins(2, 1);
            scene.news(2, 1, Upstream::Connected).at(1_000).serves(1, 1).at(8_000).serves(2, 1);
            for id in 0..calls {
                scene.begins(10 + id, 2);
            }
            scene.auditor.violations.clear();
            scene
        };
        allowed(make, Request { deadline: Some(Time::from_nanos(ms * 1_000_000)), ..next() })
    };
    assert_eq!(until(0, 100_000), [2]);
    assert_eq!(until(1, 100_000), [0], "one call is enough to learn of it");
    assert_eq!(until(0, 8_700), [2], "the lesser of the two is their median");
}

#[test]
fn the_cheapest_in_time_is_chosen() {
    let mut spec = choosing(Strategy::Cost);
    for (deployment, output) in spec.deployments.iter_mut().zip([1, 3, 2]) {
        deployment.price = Price { output, ..Price::FREE };
    }
    let until = |now: u64, ms: u64| {
        let make = || {
            let mut scene = known(&spec);
            scene.at(now);
            scene
        };
        let deadline = Some(Time::from_nanos(ms * 1_000_000));
        allowed(make, Request { deadline, ..next() })
    };
    assert_eq!(until(3_000, 300_000), [2], "`d0` is in doubt for ten seconds");
    assert_eq!(until(13_000, 300_000), [0]);
    assert_eq!(until(13_000, 23_000), [2], "`d0` would take twelve seconds");
    assert_eq!(until(13_000, 13_800), [1], "and `d2` one");
    let make = || Scene::new(&spec);
    assert_eq!(allowed(make, next()), [0], "where nothing is known the price decides");
}

#[test]
fn an_affinity_has_one_place_and_more_weight_has_more_of_them() {
    let of = |weights: [u32; 3]| {
        let mut spec = choosing(Strategy::Sticky);
        for (member, weight) in spec.groups[0].members.iter_mut().zip(weights) {
            *member = MemberSpec { weight, ..member.clone() };
        }
        let places = (1..=60).map(|affinity| {
            let places = allowed(|| Scene::new(&spec), Request { affinity, ..next() });
            assert_eq!(places.len(), 1, "{affinity}");
            places[0]
        });
        places.filter(|place| *place == 1).count()
    };
    let (alike, most) = (of([1, 1, 1]), of([1, 20, 1]));
    assert!((8..=32).contains(&alike) && (45..=60).contains(&most), "{alike} and {most}");
    let spec = choosing(Strategy::Sticky);
    assert_eq!(allowed(|| Scene::new(&spec), next()), [0, 1, 2], "without affinity");
}

#[test]
fn who_is_said_to_be_eligible_is() {
    let spec = choosing(Strategy::LeastInFlight);
    let run = |eligible: u64| {
        let mut scene = Scene::new(&spec);
        scene.begins(1, 1).fails(1, 1, busy(10)).goes(1, 2, 0, Cause::Retry).submit(2);
        for (reason, mask) in [(Reason::Cooling, 0b10), (Reason::Tier, 0b111 & !eligible & !0b10)] {
            if mask & !eligible != 0 {
                scene.excludes(2, 1, reason, mask);
            }
        }
        let (attempt, group, deployment) = (attempt(2, 1), GroupId::at(0), DeploymentId::at(2));
        scene.says(Output::Observe(Observation::Selected { attempt, group, deployment, eligible }));
        scene.goes(2, 1, 2, Cause::Primary).serves(2, 1).serves(1, 2).broken()
    };
    assert_eq!(run(0b101), []);
    assert_eq!(run(0b111), [Invariant::ClaimsHold], "`d1` rests");
    assert_eq!(run(0b100), [Invariant::WorkConservation], "nothing keeps `d0` out");
}

#[test]
fn nothing_that_is_due_passes_in_silence() {
    let mut patient = spec();
    patient.groups[0].timeouts.connect = Span::MAX;
    let silence = |spec: &Spec, ms: u64, tell: &dyn Fn(&mut Scene)| {
        let mut scene = Scene::new(spec);
        tell(&mut scene);
        scene.at(ms).hears(&Input::Tick).at(ms + 1).hears(&Input::Tick);
        scene.auditor.settle();
        let found = scene.auditor.violations().iter().map(|violation| violation.invariant);
        found.collect::<Vec<_>>()
    };
    let mut alone = spec();
    alone.groups[0].members.truncate(1);
    alone.groups[0].fallbacks.any.clear();
    let waits =
        |s: &mut Scene| _ = s.begins(1, 0).fails(1, 1, RESET).waits(1, 2, 400, Wait::Backoff);
    assert_eq!(silence(&alone, 399, &waits), [Invariant::Punctual], "at 400");
    assert_eq!(silence(&alone, 398, &waits), []);
    let begins = |s: &mut Scene| _ = s.begins(1, 0);
    assert_eq!(silence(&patient, 29_998, &begins), []);
    assert_eq!(silence(&patient, 29_999, &begins), [Invariant::Punctual], "first token");
    let speaks = |s: &mut Scene| {
        s.begins(1, 0).news(1, 1, Upstream::FirstToken).says(Output::Commit(attempt(1, 1)));
    };
    assert_eq!(silence(&patient, 19_999, &speaks), [Invariant::Punctual], "idle");
    let until = |s: &mut Scene| {
        s.submit_until(1, Time::from_secs(3)).goes(1, 1, 0, Cause::Primary);
    };
    assert_eq!(silence(&patient, 2_999, &until), [Invariant::Punctual], "its deadline");
    assert_eq!(silence(&patient, 2_998, &until), []);
}

#[test]
fn new_timeouts_hold_for_calls_in_flight() {
    let run = |at: u64, total: u64, then: &dyn Fn(&mut Scene)| {
        let mut next = spec();
        next.groups[0].timeouts.connect = Span::from_secs(total);
        let mut scene = Scene::new(&spec());
        scene.begins(1, 0).at(at);
        scene.hears(&Input::Reconfigure(Arc::new(Config::new(&next).unwrap())));
        then(&mut scene);
        scene.broken()
    };
    let drops = |s: &mut Scene| {
        s.says(Output::Abandon(attempt(1, 1), Abandon::Connect));
        s.goes(1, 2, 1, Cause::Retry).serves(1, 2);
    };
    let at = |ms: u64| move |s: &mut Scene| drops(s.at(ms).hears(&Input::Tick));
    // Of five seconds, to two: already over at 3 s, and acted on by whatever comes next.
    assert_eq!(run(3_000, 2, &at(3_000)), []);
    assert_eq!(run(3_000, 2, &at(3_001)), []);
    let late = |s: &mut Scene| _ = s.hears(&Input::Tick).at(3_001).serves(1, 1);
    assert_eq!(run(3_000, 2, &late), [Invariant::Punctual]);
    // To four, and to seven.
    assert_eq!(run(3_000, 4, &at(4_000)), []);
    assert_eq!(run(3_000, 4, &at(3_999)), [Invariant::TimeMonotone]);
    assert_eq!(run(3_000, 7, &at(5_000)), [Invariant::TimeMonotone]);
    assert_eq!(run(3_000, 7, &|s| _ = s.at(6_999).serves(1, 1)), []);
}

#[test]
fn a_breaker_that_becomes_enforced_begins_closed() {
    let mut observing = breaking();
    observing.deployments[0].breaker = Some(BreakerMode::Observe);
    let run = |excluded: bool| {
        let mut scene = Scene::new(&observing);
        scene.begins(1, 0).fails(1, 1, RESET).goes(1, 2, 1, Cause::Retry).serves(1, 2);
        scene.hears(&Input::Reconfigure(Arc::new(Config::new(&breaking()).unwrap()))).submit(2);
        if excluded {
            scene.excludes(2, 1, Reason::Open, 1).goes(2, 1, 1, Cause::Primary);
        } else {
            scene.goes(2, 1, 0, Cause::Primary);
        }
        scene.serves(2, 1).broken()
    };
    assert_eq!(run(false), []);
    assert_eq!(run(true), [Invariant::WorkConservation]);
}

#[test]
fn a_router_that_tells_of_itself_leaves_nothing_out() {
    let run = |talks: bool| {
        let mut scene = Scene::new(&breaking());
        scene.begins(1, 1);
        if talks {
            let (request, group) = (request(1), GroupId::at(0));
            let elapsed = Span::ZERO;
            scene.news(1, 1, Upstream::Complete(USAGE)).says(Output::Commit(attempt(1, 1)));
            let closed = Observation::Closed {
                request,
                group,
                attempts: 1,
                first_token: Some(Span::ZERO),
                elapsed,
            };
            scene.says(Output::Observe(closed));
            scene.says(Output::Finish(request, Outcome::Serve(attempt(1, 1), USAGE)));
        } else {
            scene.serves(1, 1);
        }
        scene.begins(2, 0).fails(2, 1, RESET).goes(2, 2, 1, Cause::Retry).serves(2, 2);
        scene.broken()
    };
    assert_eq!(run(false), []);
    assert_eq!(run(true), [Invariant::ClaimsHold], "the breaker of `d0` turned");
}

#[test]
fn a_peers_rest_that_was_asked_for_holds_in_panic_and_no_longer_than_ours_would() {
    let mut spec = spec();
    spec.groups[0].panic = Ratio::ONE;
    let run = |asked: bool, seconds: u64, cause: Cause| {
        let mut scene = Scene::new(&spec);
        let (deployment, remaining) = (DeploymentId::at(0), Span::from_secs(1 << 20));
        let rest = crate::Consumption::Resting { deployment, key: None, remaining, asked };
        scene.hears(&Input::Peers(rest)).at(seconds * 1_000).submit(1);
        scene.goes(1, 1, 0, cause).serves(1, 1).broken()
    };
    assert_eq!(run(false, 1, Cause::Panic), []);
    assert_eq!(run(true, 1, Cause::Panic), [Invariant::RetryAfter]);
    assert_eq!(run(true, 3_599, Cause::Panic), [Invariant::RetryAfter]);
    assert_eq!(run(true, 3_600, Cause::Primary), []);
    assert_eq!(run(false, 59, Cause::Primary), [Invariant::OnlyEligible]);
    assert_eq!(run(false, 60, Cause::Primary), []);
}

#[test]
fn weights_that_hold_over_time_choose_whom_most_is_owed() {
    let mut spec = choosing(Strategy::Weighted { catch_up: true });
    spec.groups[0].members[0].weight = 3;
    let after = |calls: &[usize]| allowed_after(&spec, calls);
    // 3:1:1, which sums to five.
    assert_eq!(after(&[]), [0]);
    assert_eq!(after(&[0]), [1, 2], "the seed is not known, so either");
    assert_eq!(after(&[0, 1]), [0]);
    assert_eq!(after(&[0, 1, 0]), [2]);
    assert_eq!(after(&[0, 1, 0, 2]), [0]);
    assert_eq!(after(&[0, 1, 0, 2, 0]), [0], "and around again");
}
