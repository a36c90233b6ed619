//! Stories of breakers, panic, hedges, detours and what is said of them.

use super::*;
use crate::{
    BreakerState, ClassRest, Detour, FailureClass, HedgeAfter, HedgeSpec, Hold, RestAfter, Turn,
};

impl Scene {
    fn observes(&mut self, observation: Observation) -> &mut Self {
        self.says(Output::Observe(observation))
    }

    /// What is said of the breaker of `d0`.
    fn turns(&mut self, to: BreakerState, why: Turn, until: Option<u64>, streak: u8) -> &mut Self {
        let until = until.map(|ms| Time::from_nanos(ms * 1_000_000));
        let (group, deployment) = (GroupId::at(0), DeploymentId::at(0));
        let enforced = true;
        self.observes(Observation::Breaker { group, deployment, to, why, until, streak, enforced })
    }

    fn rests(&mut self, ms: u64, failure: FailureKind, streak: u8) -> &mut Self {
        let until = Time::from_nanos(ms * 1_000_000);
        let deployment = DeploymentId::at(0);
        self.observes(Observation::Rested { deployment, key: None, until, failure, streak })
    }

    fn spares(&mut self) -> &mut Self {
        let (deployment, group) = (DeploymentId::at(0), GroupId::at(0));
        self.observes(Observation::Spared { deployment, group })
    }

    fn holds(&mut self, id: u64, ordinal: u8, why: Hold) -> &mut Self {
        self.observes(Observation::Held { attempt: attempt(id, ordinal), why })
    }

    /// An attempt at `d0` breaks as soon as it is made, and that is told.
    fn breaks(&mut self, id: u64) -> &mut Self {
        self.fails(id, 1, RESET).observes(Observation::Ended {
            attempt: attempt(id, 1),
            group: GroupId::at(0),
            deployment: DeploymentId::at(0),
            end: End::Failed(FailureKind::Reset),
            first_token: None,
            elapsed: Span::ZERO,
            usage: Usage { output_tokens: 0, ..USAGE },
        })
    }

    /// `d0` fails request 1, which `d1` then serves.
    fn stumbles(&mut self) -> &mut Self {
        self.begins(1, 0).breaks(1)
    }

    fn recovers(&mut self) -> &mut Self {
        self.goes(1, 2, 1, Cause::Retry).serves(1, 2)
    }
}

#[test]
fn a_breaker_admits_a_probe_between_its_least_and_greatest_end() {
    let mut spec = breaking();
    spec.groups[0].breaker.as_mut().unwrap().jitter = Ratio::ONE;
    // Open from 0 s until somewhere between 10 s and 20 s; said to be until 15 s, or not.
    let run = |ms: u64, excluded: bool, said: bool| {
        let mut scene = Scene::new(&spec);
        scene.stumbles();
        if said {
            scene.turns(BreakerState::Open, Turn::Consecutive, Some(15_000), 1);
        }
        scene.recovers().at(ms).submit(2);
        if excluded {
            scene.excludes(2, 1, Reason::Open, 1).goes(2, 1, 1, Cause::Primary);
        } else {
            scene.goes(2, 1, 0, Cause::Probe);
        }
        scene.serves(2, 1).broken()
    };
    for said in [false, true] {
        assert_eq!(run(9_999, false, said), [Invariant::OnlyEligible]);
        assert_eq!(run(9_999, true, said), []);
        assert_eq!(run(15_000, false, said), []);
        assert_eq!(run(20_000, false, said), []);
        assert_eq!(run(20_000, true, said), [Invariant::WorkConservation]);
    }
    assert_eq!(run(14_999, false, false), []);
    assert_eq!(run(14_999, false, true), [Invariant::OnlyEligible]);
    assert_eq!(run(15_000, true, false), []);
    assert_eq!(run(15_000, true, true), [Invariant::WorkConservation]);
}

#[test]
fn a_breaker_closes_after_enough_probes_and_opens_for_longer_after_a_bad_one() {
    let mut spec = breaking();
    spec.groups[0].breaker.as_mut().unwrap().successes = 2;
    let probed = || {
        let mut scene = Scene::new(&spec);
        scene.stumbles().turns(BreakerState::Open, Turn::Consecutive, Some(10_000), 1).recovers();
        scene.at(10_000).submit(2).turns(BreakerState::HalfOpen, Turn::Waited, None, 1);
        scene.goes(2, 1, 0, Cause::Probe);
        scene
    };
    let mut scene = probed();
    scene.serves(2, 1).submit(3).goes(3, 1, 0, Cause::Probe);
    scene.news(3, 1, Upstream::Complete(USAGE)).says(Output::Commit(attempt(3, 1)));
    // It ramps up for 30 s.
    scene.turns(BreakerState::Closed, Turn::Recovered, Some(40_000), 1);
    scene.says(Output::Finish(request(3), Outcome::Serve(attempt(3, 1), USAGE)));
    scene.begins(4, 0).serves(4, 1);
    nothing_breaks(&mut scene);

    let reopened = |until: u64, at: u64| {
        let mut scene = probed();
        scene.breaks(2).turns(BreakerState::Open, Turn::Probe, Some(until), 2);
        scene.goes(2, 2, 1, Cause::Retry).serves(2, 2);
        scene.at(at).submit(3).goes(3, 1, 0, Cause::Probe).serves(3, 1).broken()
    };
    assert_eq!(reopened(30_000, 30_000), []);
    assert_eq!(reopened(30_000, 29_999), [Invariant::OnlyEligible]);
    assert_eq!(reopened(20_000, 30_000), [Invariant::ClaimsHold]);

    let mut scene = probed();
    scene.serves(2, 1).turns(BreakerState::Closed, Turn::Recovered, Some(40_000), 1);
    assert_eq!(scene.broken(), [Invariant::ClaimsHold]);
}

#[test]
fn a_breaker_that_only_observes_stops_nobody_and_says_so() {
    let mut spec = breaking();
    spec.deployments[0].breaker = Some(BreakerMode::Observe);
    let run = |enforced: bool| {
        let mut scene = Scene::new(&spec);
        let (group, deployment) = (GroupId::at(0), DeploymentId::at(0));
        let (to, why) = (BreakerState::Open, Turn::Consecutive);
        let until = Some(Time::from_secs(10));
        let said = Observation::Breaker { group, deployment, to, why, until, streak: 1, enforced };
        scene.stumbles().observes(said).recovers().begins(2, 0).serves(2, 1).broken()
    };
    assert_eq!(run(false), []);
    assert_eq!(run(true), [Invariant::ClaimsHold]);
}

#[test]
fn a_group_in_panic_serves_with_those_that_are_out_but_for_a_retry_after() {
    let mut spec = spec();
    spec.groups[0].cooldown.calls_min = 1;
    spec.groups[0].ejected_max = Ratio::ONE;
    let run = |panic: u32, failure: Failure, cause: Cause| {
        let mut spec = spec.clone();
        spec.groups[0].panic = Ratio::from_ppm(panic);
        let mut scene = Scene::new(&spec);
        scene.begins(1, 0).fails(1, 1, failure);
        scene.recovers().submit(2).goes(2, 1, 0, cause).serves(2, 1).broken()
    };
    // One of two is healthy: panic below 100 %, not below 50 %.
    assert_eq!(run(1_000_000, RESET, Cause::Panic), []);
    assert_eq!(run(500_000, RESET, Cause::Panic), [Invariant::OnlyEligible]);
    assert_eq!(run(1_000_000, RESET, Cause::Primary), [Invariant::OnlyEligible]);
    assert_eq!(run(1_000_000, busy(10), Cause::Panic), [Invariant::RetryAfter]);
    let spent = Failure::new(FailureKind::QuotaSpent, 402);
    assert_eq!(run(1_000_000, spent, Cause::Panic), [Invariant::OnlyEligible]);
    // Nobody rests after a failure that is nobody's fault, so that is no panic.
    let invalid = Failure::new(FailureKind::InvalidOutput, 200);
    assert_eq!(run(1_000_000, invalid, Cause::Panic), [Invariant::OnlyEligible]);
    assert_eq!(run(1_000_000, invalid, Cause::Primary), []);
}

#[test]
fn a_standby_serves_when_the_weighted_are_out_or_tried() {
    let run = |cause: Cause| {
        let mut scene = Scene::new(&spec());
        scene.stumbles().goes(1, 2, 1, Cause::Retry).fails(1, 2, RESET);
        scene.goes(1, 3, 2, cause).serves(1, 3).broken()
    };
    assert_eq!(run(Cause::Standby), []);
    assert_eq!(run(Cause::Retry), [Invariant::ClaimsHold]);
}

#[test]
fn a_rest_is_told_as_it_is_and_a_spared_one_rests_not() {
    let run = |ejected_max: Ratio, say: &dyn Fn(&mut Scene)| {
        let mut spec = spec();
        spec.groups[0].cooldown.calls_min = 1;
        spec.groups[0].ejected_max = ejected_max;
        let mut scene = Scene::new(&spec);
        say(scene.stumbles());
        scene.recovers().broken()
    };
    let wrong = [Invariant::ClaimsHold];
    assert_eq!(run(Ratio::ONE, &|s| _ = s.rests(5_000, FailureKind::Reset, 1)), []);
    assert_eq!(run(Ratio::ONE, &|s| _ = s.rests(5_001, FailureKind::Reset, 1)), wrong);
    assert_eq!(run(Ratio::ONE, &|s| _ = s.rests(4_999, FailureKind::Reset, 1)), wrong);
    assert_eq!(run(Ratio::ONE, &|s| _ = s.rests(5_000, FailureKind::Reset, 2)), wrong);
    assert_eq!(run(Ratio::ONE, &|s| _ = s.rests(5_000, FailureKind::Server, 1)), wrong);
    assert_eq!(run(Ratio::ONE, &|s| _ = s.spares()), wrong);
    assert_eq!(run(Ratio::ZERO, &|s| _ = s.spares()), []);
    assert_eq!(run(Ratio::ZERO, &|s| _ = s.spares().spares()), wrong);
    assert_eq!(run(Ratio::ZERO, &|s| _ = s.rests(5_000, FailureKind::Reset, 1)), wrong);
}

#[test]
fn a_class_of_failure_rests_after_its_own_count_and_for_its_own_time() {
    let mut spec = spec();
    let class = ClassRest { after: RestAfter::Count(2), rest: Some(Span::from_secs(2)) };
    spec.groups[0].cooldown.classes.connection = class;
    spec.groups[0].cooldown.calls_min = 1;
    let run = |failures: u64, ms: u64| {
        let mut scene = Scene::new(&spec);
        for id in 1..=failures {
            scene.begins(id, 0).fails(id, 1, RESET).goes(id, 2, 1, Cause::Retry).serves(id, 2);
        }
        scene.at(ms).begins(9, 0).serves(9, 1).broken()
    };
    assert_eq!(run(1, 0), []);
    assert_eq!(run(2, 1_999), [Invariant::OnlyEligible]);
    assert_eq!(run(2, 2_000), []);
}

#[test]
fn of_two_attempts_the_first_to_speak_wins() {
    let hedged = || {
        let mut scene = Scene::new(&hedging());
        scene.begins(1, 0).at(1_000).hears(&Input::Tick).goes(1, 2, 1, Cause::Hedge);
        scene
    };
    for winner in [1, 2] {
        let mut scene = hedged();
        scene.news(1, winner, Upstream::FirstToken).wins(1, winner, 3 - winner);
        scene.serves(1, winner);
        nothing_breaks(&mut scene);
        let mut scene = hedged();
        let (whole, won) = (Upstream::Complete(USAGE), attempt(1, winner));
        scene.news(1, winner, whole).wins(1, winner, 3 - winner);
        scene.says(Output::Finish(request(1), Outcome::Serve(won, USAGE)));
        nothing_breaks(&mut scene);
    }
    // One failing leaves the request to the other.
    let mut scene = hedged();
    scene.fails(1, 1, REFUSED).serves(1, 2);
    nothing_breaks(&mut scene);
    let mut scene = hedged();
    scene.fails(1, 1, RESET).goes(1, 3, 2, Cause::Standby).serves(1, 2);
    scene.broken();
    assert_eq!(scene.auditor.violations()[0].invariant, Invariant::AttemptCap);
    // Nobody is dropped for another that has not spoken, and none speaks beside another.
    let mut scene = hedged();
    scene.says(Output::Abandon(attempt(1, 1), Abandon::Hedged)).serves(1, 2);
    assert_eq!(scene.broken(), [Invariant::Hedges]);
    let mut scene = hedged();
    scene.news(1, 1, Upstream::FirstToken).says(Output::Commit(attempt(1, 1)));
    scene.says(Output::Abandon(attempt(1, 2), Abandon::Hedged)).serves(1, 1);
    assert_eq!(scene.broken(), [Invariant::Hedges]);
}

#[test]
fn a_hedge_goes_only_where_it_helps_and_pays_for_itself() {
    let run = |spec: &Spec, to: usize| {
        let mut scene = Scene::new(spec);
        scene.begins(1, 0).at(1_000).hears(&Input::Tick).goes(1, 2, to, Cause::Hedge);
        scene.news(1, 1, Upstream::FirstToken).wins(1, 1, 2).serves(1, 1).broken()
    };
    assert_eq!(run(&hedging(), 1), []);
    for to in [0, 2] {
        assert_eq!(run(&hedging(), to), [Invariant::Hedges], "d{to}");
    }
    let mut full = hedging();
    full.deployments[0].limit = Some(LimitSpec { parallel: Some(1), ..LimitSpec::default() });
    assert_eq!(run(&full, 1), [Invariant::Hedges]);
    let mut poor = hedging();
    poor.router.retry_budget.ratio = Some(Ratio::ZERO);
    poor.router.retry_budget.per_second = 0;
    assert_eq!(run(&poor, 1), [Invariant::RetryBudget]);
    let mut capped = hedging();
    capped.router.attempts = 1;
    assert_eq!(run(&capped, 1), [Invariant::AttemptCap]);
    // Not while the group is told to do without.
    assert_eq!(run(&spec(), 1), [Invariant::Hedges]);
}

#[test]
fn a_hedge_is_held_back_for_what_holds_and_once() {
    for why in Hold::ALL {
        let mut scene = Scene::new(&hedging());
        scene.begins(1, 0).at(1_000).hears(&Input::Tick).holds(1, 2, why).serves(1, 1);
        assert_eq!(scene.broken(), [Invariant::ClaimsHold], "{}", why.name());
    }
    let mut scene = Scene::new(&hedging());
    scene.begins(1, 0).hears(&Input::Drain).at(1_000).hears(&Input::Tick);
    scene.holds(1, 2, Hold::Drain).at(1_500).serves(1, 1);
    nothing_breaks(&mut scene);
    let mut scene = Scene::new(&hedging());
    scene.begins(1, 0).hears(&Input::Drain).at(1_000).hears(&Input::Tick);
    scene.holds(1, 2, Hold::Drain).holds(1, 2, Hold::Drain).serves(1, 1);
    assert_eq!(scene.broken(), [Invariant::Hedges]);
    // A hedge that is due and neither made nor held back.
    let mut scene = Scene::new(&hedging());
    scene.begins(1, 0).at(1_000).hears(&Input::Tick).at(1_001).serves(1, 1);
    assert_eq!(scene.broken(), [Invariant::Punctual]);
}

#[test]
fn a_prompt_that_is_too_long_goes_only_to_the_fallbacks_for_it() {
    let long = Failure::new(FailureKind::ContextWindow, 400);
    let run = |detour: Detour, then: &dyn Fn(&mut Scene)| {
        let mut spec = spec();
        let fallbacks = &mut spec.groups[0].fallbacks;
        fallbacks.any.clear();
        match detour {
            Detour::Any => fallbacks.any.push("backup".into()),
            Detour::ContextWindow => fallbacks.context_window.push("backup".into()),
            Detour::ContentPolicy => fallbacks.content_policy.push("backup".into()),
        }
        let mut scene = Scene::new(&spec);
        scene.begins(1, 0).fails(1, 1, long);
        then(&mut scene);
        scene.broken()
    };
    let away = |scene: &mut Scene| _ = scene.goes(1, 2, 3, Cause::Fallback).serves(1, 2);
    let again = |scene: &mut Scene| _ = scene.goes(1, 2, 1, Cause::Retry).serves(1, 2);
    let ends = |scene: &mut Scene| _ = scene.gives_up(1, GiveUp::Final, long);
    for detour in Detour::ALL {
        let own = detour == Detour::ContextWindow;
        let (final_, idle) = ([Invariant::FinalFailures], [Invariant::WorkConservation]);
        assert_eq!(run(detour, &away), if own { &[][..] } else { &final_[..] });
        assert_eq!(run(detour, &again), final_);
        assert_eq!(run(detour, &ends), if own { &idle[..] } else { &[][..] });
    }
}

#[test]
fn a_prompt_that_fits_nowhere_is_refused_as_too_long_and_no_other() {
    let run = |contexts: [u32; 4], why: Rejection| {
        let mut spec = spec();
        for (deployment, context) in spec.deployments.iter_mut().zip(contexts) {
            deployment.context = Some(context);
        }
        spec.groups[0].fallbacks.context_window.push("backup".into());
        let mut scene = Scene::new(&spec);
        scene.submit(1).rejects(1, why).broken()
    };
    let idle = [Invariant::WorkConservation];
    assert_eq!(run([99; 4], Rejection::TooLong), []);
    assert_eq!(run([99; 4], Rejection::NoDeployment(None)), idle);
    assert_eq!(run([99, 99, 99, 100], Rejection::TooLong), idle);
    assert_eq!(run([99, 99, 100, 99], Rejection::TooLong), idle);
}

#[test]
fn failures_of_a_class_are_retried_as_often_as_the_group_says() {
    let mut spec = spec();
    spec.groups[0].retry.most[FailureClass::Connection as usize] = 0;
    let run = |then: &dyn Fn(&mut Scene)| {
        let mut scene = Scene::new(&spec);
        then(scene.stumbles());
        scene.broken()
    };
    assert_eq!(run(&|s| _ = s.recovers()), [Invariant::RetryBudget]);
    assert_eq!(run(&|s| _ = s.goes(1, 2, 3, Cause::Fallback).serves(1, 2)), []);
    let surrender = |s: &mut Scene| _ = s.gives_up(1, GiveUp::Retries, RESET);
    assert_eq!(run(&surrender), [Invariant::WorkConservation]);
    spec.groups[0].fallbacks.any.clear();
    let mut scene = Scene::new(&spec);
    surrender(scene.stumbles());
    nothing_breaks(&mut scene);
}

#[test]
fn a_hedge_by_quantile_is_not_due_before_enough_was_seen() {
    let mut spec = hedging();
    let after = HedgeAfter::Quantile(Ratio::from_ppm(500_000));
    spec.groups[0].hedge = Some(HedgeSpec { after, ..HedgeSpec::default() });
    let run = |seen: u64, ms: u64| {
        let mut scene = Scene::new(&spec);
        for id in 1..=seen {
            scene.at(id * 1_000).begins(id, 0).at(id * 1_000 + 100).serves(id, 1);
        }
        scene.at(500_000).begins(900, 0).at(500_000 + ms).hears(&Input::Tick);
        scene.goes(900, 2, 1, Cause::Hedge).news(900, 1, Upstream::FirstToken);
        scene.wins(900, 1, 2).serves(900, 1).broken()
    };
    assert_eq!(run(100, 100), []);
    assert_eq!(run(100, 10), [Invariant::Hedges]);
    assert_eq!(run(99, 100), [Invariant::Hedges]);
}

#[test]
fn names_and_order_of_the_catalogue_agree() {
    for (index, invariant) in Invariant::ALL.into_iter().enumerate() {
        assert_eq!(invariant as usize, index);
        assert!(!invariant.says().is_empty() && !invariant.name().is_empty());
    }
}
