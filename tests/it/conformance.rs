//! What the tests of `docs/conformance.md` share: configurations by their shape, and requests
//! that nothing goes right for.

use router_core::{
    Brain, DeploymentSpec, Dispatch, Failure, GiveUp, GroupSpec, MemberSpec, Observation, Ratio,
    Spec, Time,
};
use tests::stage::Stage;

/// Groups of one deployment each, named alike, and where each falls back to after any failure.
/// The first one is `chat`. As on every stage: no jitter on rests, no bound on retries.
pub(crate) fn graph(edges: &[(&str, &[&str])]) -> Spec {
    let mut spec = Spec::default();
    spec.router.retry_budget.ratio = None;
    for (name, fallbacks) in edges {
        let deployment = String::from(*name);
        spec.deployments.push(DeploymentSpec::new(deployment.clone()));
        let mut group = GroupSpec::new(deployment.clone());
        group.members.push(MemberSpec { deployment, weight: 1, tier: 0 });
        group.cooldown.jitter = Ratio::ZERO;
        group.fallbacks.any = names(fallbacks);
        spec.groups.push(group);
    }
    spec
}

/// Owned names.
pub(crate) fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// The attempts of request `n` so far.
pub(crate) fn attempts(stage: &Stage, n: u64) -> Vec<(Time, Dispatch)> {
    let own = |(_, dispatch): &(Time, Dispatch)| {
        dispatch.attempt == tests::stage::attempt(n, dispatch.attempt.ordinal)
    };
    stage.dispatches().into_iter().filter(own).collect()
}

/// Fails each attempt of request `n` in the instant of its dispatch, and lets time pass while it
/// waits, until it ends. Returns its attempts.
pub(crate) fn ruin(
    stage: &mut Stage,
    n: u64,
    failure: impl Fn(&Dispatch) -> Failure,
) -> Vec<(Time, Dispatch)> {
    let mut failed = 0;
    loop {
        let made = attempts(stage, n);
        if let Some((at, dispatch)) = made.get(failed) {
            stage.fail(*at, n, dispatch.attempt.ordinal, failure(dispatch));
            failed += 1;
        } else if stage.outcome(n).is_some() {
            return made;
        } else {
            let wakeup = stage.router.next_wakeup().expect("a request that waits has a time");
            stage.wait(wakeup.at);
        }
    }
}

/// Where attempts went, in their order.
pub(crate) fn places(attempts: &[(Time, Dispatch)]) -> Vec<usize> {
    attempts.iter().map(|(_, dispatch)| dispatch.deployment.index()).collect()
}

/// Why requests were given up so far.
pub(crate) fn gave_up(stage: &Stage) -> Vec<GiveUp> {
    let why = |observation| {
        let Observation::GaveUp { why, .. } = observation else { return None };
        Some(why)
    };
    stage.observations().filter_map(why).collect()
}

/// Which deployments went to rest so far, and until when.
pub(crate) fn rests(stage: &Stage) -> Vec<(usize, Time)> {
    let rest = |observation| {
        let Observation::Rested { deployment, until, .. } = observation else { return None };
        Some((deployment.index(), until))
    };
    stage.observations().filter_map(rest).collect()
}
