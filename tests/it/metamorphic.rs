//! What changes nothing, and what changes only names or times.

use std::sync::Arc;

use proptest::prelude::*;
use router_core::{
    Brain, Config, DeploymentId, Digest, GroupId, Input, LimitSpec, Observation, Outcome, Output,
    Ratio, Rejection, RequestId, Router, Span, Strategy as Choice, Time,
};
use sim::{Effect, Fault, Outage, Rhythm};
use tests::tape::{Tape, replay, replay_from};
use tests::world::{Setting, effects, settings, swarm};

/// Every instant that an output names, moved.
fn moved(output: Output, by: Span) -> Output {
    let later = |time: Time| if time == Time::MAX { time } else { time + by };
    match output {
        Output::Finish(id, Outcome::Reject(rejection)) => {
            let rejection = match rejection {
                Rejection::NoDeployment(earliest) => Rejection::NoDeployment(earliest.map(later)),
                Rejection::Subject { kind, what, earliest } => {
                    Rejection::Subject { kind, what, earliest: earliest.map(later) }
                }
                Rejection::Budget { kind, earliest } => {
                    Rejection::Budget { kind, earliest: earliest.map(later) }
                }
                Rejection::QueueFull(at) => Rejection::QueueFull(later(at)),
                Rejection::QueueTimeout(at) => Rejection::QueueTimeout(later(at)),
                Rejection::Shed(at) => Rejection::Shed(later(at)),
                Rejection::Drain
                | Rejection::Full
                | Rejection::TooLong
                | Rejection::Duplicate
                | Rejection::Accounts
                | Rejection::GroupFull => rejection,
            };
            Output::Finish(id, Outcome::Reject(rejection))
        }
        Output::Observe(Observation::Stranded { attempt, group, earliest }) => {
            let earliest = earliest.map(later);
            Output::Observe(Observation::Stranded { attempt, group, earliest })
        }
        Output::Observe(Observation::Waiting { attempt, until, why, deployment, failure }) => {
            let until = later(until);
            Output::Observe(Observation::Waiting { attempt, until, why, deployment, failure })
        }
        Output::Observe(Observation::Rested { deployment, key, until, failure, streak }) => {
            let until = later(until);
            Output::Observe(Observation::Rested { deployment, key, until, failure, streak })
        }
        Output::Observe(Observation::Breaker {
            group,
            deployment,
            to,
            why,
            until,
            streak,
            enforced,
        }) => {
            let until = until.map(later);
            let moved =
                Observation::Breaker { group, deployment, to, why, until, streak, enforced };
            Output::Observe(moved)
        }
        Output::Dispatch(_)
        | Output::Abandon(..)
        | Output::Commit(_)
        | Output::Finish(..)
        | Output::Observe(_) => output,
    }
}

/// Every deployment that an output names, renamed.
fn renamed(output: Output, name: impl Fn(DeploymentId) -> DeploymentId) -> Output {
    let mut output = output;
    match &mut output {
        Output::Dispatch(dispatch) => dispatch.deployment = name(dispatch.deployment),
        Output::Observe(
            Observation::Selected { deployment, .. }
            | Observation::Waiting { deployment, .. }
            | Observation::Ended { deployment, .. }
            | Observation::Rested { deployment, .. }
            | Observation::Breaker { deployment, .. }
            | Observation::Spared { deployment, .. }
            | Observation::Concurrency { deployment, .. }
            | Observation::Page { deployment, .. }
            | Observation::Drained { deployment },
        ) => *deployment = name(*deployment),
        Output::Abandon(..)
        | Output::Commit(_)
        | Output::Finish(..)
        | Output::Observe(
            Observation::Excluded { .. }
            | Observation::Stranded { .. }
            | Observation::Held { .. }
            | Observation::Queued { .. }
            | Observation::Dequeued { .. }
            | Observation::GaveUp { .. }
            | Observation::Stepped { .. }
            | Observation::Closed { .. }
            | Observation::Late { .. }
            | Observation::Budget { .. }
            | Observation::Misfit,
        ) => {}
    }
    output
}

/// The requests that were submitted, and those that finished, each as often as it was, in order.
fn ends(inputs: &[(Time, Input)], outputs: &[(Time, Output)]) -> (Vec<RequestId>, Vec<RequestId>) {
    let submitted = inputs.iter().filter_map(|(_, input)| {
        let Input::Submit(request) = input else { return None };
        Some(request.id)
    });
    let finished = outputs.iter().filter_map(|(_, output)| {
        let Output::Finish(id, _) = output else { return None };
        Some(*id)
    });
    let (mut submitted, mut finished): (Vec<_>, Vec<_>) = (submitted.collect(), finished.collect());
    submitted.sort_unstable();
    finished.sort_unstable();
    (submitted, finished)
}

proptest! {
    #![proptest_config(swarm(150))]

    #[test]
    fn a_record_replays(setting in settings()) {
        let tape = setting.tape();
        let replayed = replay_from(&setting.config(), setting.seed, Time::ZERO, &tape.inputs);
        prop_assert_eq!(replayed, tape.outputs);
    }

    #[test]
    fn every_request_finishes_once(setting in settings()) {
        let Tape { inputs, outputs } = setting.tape();
        let (submitted, finished) = ends(&inputs, &outputs);
        prop_assert_eq!(submitted, finished);
    }

    #[test]
    fn ticks_nobody_asked_for_change_nothing(
        setting in settings(),
        extra in prop::collection::vec(any::<u32>(), 0..100),
    ) {
        let tape = setting.tape();
        let end = tape.inputs.last().map_or(1, |(at, _)| at.as_nanos());
        let mut noisy = tape.inputs.clone();
        for part in extra {
            let at = Time::from_nanos(((u128::from(part) * u128::from(end)) >> 32) as u64);
            // At an instant with news a driver sends the news first, so none is put there.
            if tape.inputs.binary_search_by_key(&at, |(at, _)| *at).is_err() {
                noisy.push((at, Input::Tick));
            }
        }
        noisy.sort_by_key(|(at, _)| *at);
        let replayed = replay_from(&setting.config(), setting.seed, Time::ZERO, &noisy);
        prop_assert_eq!(replayed, tape.outputs);
    }

    #[test]
    fn late_ticks_lose_nothing(setting in settings(), keep in 0_u32..10) {
        let tape = setting.tape();
        let end = tape.inputs.last().map_or(Time::ZERO, |(at, _)| *at);
        let mut count = 0_u32;
        let mut sparse: Vec<_> = tape.inputs.into_iter().filter(|(_, input)| {
            count = count.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            !matches!(input, Input::Tick) || (count >> 24) % 10 < keep
        }).collect();
        sparse.extend((1..100).map(|k| (end + Span::from_millis(200 * k), Input::Tick)));
        let mut router = Router::new(setting.config(), setting.seed, Time::ZERO);
        let outputs = replay(&mut router, &sparse);
        let (submitted, finished) = ends(&sparse, &outputs);
        prop_assert_eq!(submitted, finished);
        prop_assert_eq!((router.in_flight(), router.next_wakeup()), (0, None));
    }

    #[test]
    fn the_epoch_means_nothing(setting in settings(), shift in 0_u64..u64::MAX / 4) {
        let tape = setting.tape();
        let by = Span::from_nanos(shift);
        let inputs: Vec<_> = tape.inputs.iter().map(|(at, i)| (*at + by, i.clone())).collect();
        let outputs: Vec<_> = tape.outputs.iter().map(|(at, o)| (*at + by, moved(*o, by))).collect();
        let replayed = replay_from(&setting.config(), setting.seed, Time::ZERO + by, &inputs);
        prop_assert_eq!(replayed, outputs);
    }

    #[test]
    fn names_mean_nothing(setting in settings()) {
        let mut setting = setting;
        // What is drawn per deployment follows the numbering: jitter, and who keeps whom.
        for group in &mut setting.spec.groups {
            group.cooldown.jitter = Ratio::ZERO;
            if let Some(breaker) = &mut group.breaker {
                breaker.jitter = Ratio::ZERO;
            }
            if group.strategy == Choice::Sticky {
                group.strategy = Choice::default();
            }
        }
        let tape = setting.tape();
        let mut spec = setting.spec.clone();
        let last = spec.deployments.len() - 1;
        spec.deployments.reverse();
        let config = Arc::new(Config::new(&spec).expect("only the order is another"));
        let replayed = replay_from(&config, setting.seed, Time::ZERO, &tape.inputs);
        let name = |id: DeploymentId| DeploymentId::at(last - id.index());
        let outputs: Vec<_> = tape.outputs.iter().map(|(at, o)| (*at, renamed(*o, name))).collect();
        prop_assert_eq!(replayed, outputs);
    }

    #[test]
    fn a_restored_router_goes_on_as_the_one_it_was(setting in settings(), cut in any::<prop::sample::Index>()) {
        let tape = setting.tape();
        let cut = cut.index(tape.inputs.len() + 1);
        let mut router = Router::new(setting.config(), setting.seed, Time::ZERO);
        replay(&mut router, &tape.inputs[..cut]);
        let text = router.snapshot();
        let mut restored = Router::restore(setting.config(), setting.seed, &text)
            .expect("it was just written");
        prop_assert_eq!(restored.snapshot(), text);
        prop_assert_eq!(restored.next_wakeup(), router.next_wakeup());
        let rest = &tape.inputs[cut..];
        prop_assert_eq!(replay(&mut restored, rest), replay(&mut router, rest));
    }

    #[test]
    fn a_damaged_snapshot_is_refused_or_read_but_never_panics(
        setting in settings(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let tape = setting.tape();
        let mut router = Router::new(setting.config(), setting.seed, Time::ZERO);
        replay(&mut router, &tape.inputs[..tape.inputs.len() / 2]);
        let mut bytes = router.snapshot().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(text) = String::from_utf8(bytes) {
            let _ = Router::restore(setting.config(), setting.seed, &text);
        }
    }

    #[test]
    fn a_fault_that_touches_nobody_changes_nothing(setting in settings()) {
        let digest = |setting: &Setting| setting.run(Digest::new()).journal().value();
        let mut with = setting.clone();
        with.plan.faults.push(Fault {
            name: "nothing".into(),
            on: (0..with.plan.providers.len()).map(DeploymentId::at).collect(),
            from: Time::ZERO,
            until: None,
            rhythm: Rhythm::Steady,
            of: Ratio::ZERO,
            effect: Effect::Outage(Outage::Refuse),
        });
        prop_assert_eq!(digest(&with), digest(&setting));
    }

    /// Two halves that share no deployment, limit or retry budget: what happens to one changes
    /// nothing for the other.
    #[test]
    fn a_fault_of_one_group_leaves_another_alone(setting in settings(), effect in effects()) {
        let mut calm = setting;
        calm.spec.router.retry_budget.ratio = None;
        calm.spec.router.in_flight = 4_096;
        // What subjects use is one for all groups; turns they take in each.
        for subject in &mut calm.spec.subjects {
            (subject.limit, subject.budgets) = (LimitSpec::default(), Vec::new());
        }
        let split = calm.spec.clone();
        let (one, other) = (calm.spec.deployments.len(), calm.spec.groups.len());
        for mut deployment in split.deployments {
            deployment.name = format!("other-{}", deployment.name);
            deployment.shared.clear();
            calm.spec.deployments.push(deployment);
        }
        for mut group in split.groups {
            group.name = format!("other-{}", group.name);
            group.members.iter_mut().for_each(|m| m.deployment = format!("other-{}", m.deployment));
            for list in [
                &mut group.fallbacks.any,
                &mut group.fallbacks.context_window,
                &mut group.fallbacks.content_policy,
            ] {
                list.iter_mut().for_each(|name| *name = format!("other-{name}"));
            }
            calm.spec.groups.push(group);
        }
        calm.plan.providers.extend(calm.plan.providers.clone());
        for mut demand in calm.plan.demands.clone() {
            demand.group = GroupId::at(demand.group.index() + other);
            calm.plan.demands.push(demand);
        }
        let sources = calm.plan.demands.len() / 2;
        let mut sick = calm.clone();
        sick.plan.faults.push(Fault {
            name: "of one half".into(),
            on: (0..one).map(DeploymentId::at).collect(),
            from: Time::ZERO,
            until: None,
            rhythm: Rhythm::Steady,
            of: Ratio::ONE,
            effect,
        });
        let of_the_other = |setting: &Setting| -> Vec<(Time, RequestId, Outcome)> {
            let outputs = setting.tape().outputs;
            let finished = outputs.into_iter().filter_map(|(at, output)| {
                let Output::Finish(id, outcome) = output else { return None };
                (usize::from(id.source()) >= sources).then_some((at, id, outcome))
            });
            finished.collect()
        };
        let ends = of_the_other(&calm);
        prop_assume!(!ends.is_empty());
        let differs = ends.iter().zip(&of_the_other(&sick)).find(|(a, b)| a != b).map(|(a, b)| (*a, *b));
        prop_assert_eq!(differs, None);
    }

    #[test]
    fn the_same_seed_gives_the_same_run(setting in settings()) {
        let digest = || setting.run(Digest::new()).journal().value();
        prop_assert_eq!(digest(), digest());
    }
}
