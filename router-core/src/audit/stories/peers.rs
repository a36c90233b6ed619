//! Stories of other replicas.

use std::vec::Vec;

use super::{Scene, nothing_breaks, spec};
use crate::{
    Cause, Consumption, Input, Invariant, LimitId, LimitSpec, OnOutage, PeersSpec, Rate, Reason,
    Rejection, Span, Spec,
};

/// Two calls a second on `d0`, of which a burst of 4, among three replicas.
fn replicas(on_outage: OnOutage) -> Spec {
    let mut spec = spec();
    let rate = Rate { amount: 2, period: Span::from_secs(1), burst: Some(4) };
    spec.deployments[0].limit = Some(LimitSpec { requests: Some(rate), ..LimitSpec::default() });
    let stale = Span::from_secs(1);
    spec.router.peers = Some(PeersSpec { stale, on_outage, ..PeersSpec::new(3) });
    spec
}

/// [`replicas`] that send nothing there once they have heard nothing for a second.
pub(super) fn closing() -> Spec {
    replicas(OnOutage::Closed)
}

impl Scene {
    fn alive(&mut self, replica: u16) -> &mut Self {
        self.hears(&Input::Peers(Consumption::Alive { replica }))
    }

    fn used(&mut self, replica: u16, requests: u64) -> &mut Self {
        let (limit, input_tokens, output_tokens) = (LimitId::at(0), 0, 0);
        let used = Consumption::Used { replica, limit, requests, input_tokens, output_tokens };
        self.hears(&Input::Peers(used))
    }

    fn own(&mut self, requests: u64) -> &mut Self {
        let (limit, input_tokens, output_tokens) = (LimitId::at(0), 0, 0);
        let own = Consumption::Own { limit, requests, input_tokens, output_tokens };
        self.hears(&Input::Peers(own))
    }
}

fn broken(spec: &Spec, tell: &dyn Fn(&mut Scene)) -> Vec<Invariant> {
    let mut scene = Scene::new(spec);
    tell(&mut scene);
    scene.broken()
}

#[test]
fn silence_is_an_outage_from_when_the_last_but_so_many_was_heard() {
    let closed = [Invariant::Peers];
    let spec = closing();
    let sent = |scene: &mut Scene, ms| _ = scene.at(ms).begins(1, 0).serves(1, 1);
    // One of two is not enough, whoever says how often that it is there.
    let one = |s: &mut Scene| _ = s.at(900).alive(7).used(7, 0).alive(7);
    assert_eq!(broken(&spec, &|s| (one(s), sent(s, 999)).1), []);
    assert_eq!(broken(&spec, &|s| (one(s), sent(s, 1_000)).1), closed);
    let both = |s: &mut Scene| _ = s.at(800).alive(7).at(900).used(8, 0);
    assert_eq!(broken(&spec, &|s| (both(s), sent(s, 1_799)).1), []);
    assert_eq!(broken(&spec, &|s| (both(s), sent(s, 1_800)).1), closed);
    // What has no rate is served as ever, and who keeps to rates of its own, too.
    let other = |s: &mut Scene| {
        let out = s.at(9_000).submit(1).excludes(1, 1, Reason::Limit, 1);
        _ = out.goes(1, 1, 1, Cause::Primary).serves(1, 1);
    };
    assert_eq!(broken(&spec, &other), []);
    for policy in [OnOutage::Open, OnOutage::Share] {
        let spec = replicas(policy);
        assert_eq!(broken(&spec, &|s| sent(s, 9_000)), [], "{}", policy.name());
        assert_eq!(broken(&spec, &other), [Invariant::WorkConservation], "{}", policy.name());
    }
}

#[test]
fn nobody_knows_when_silence_ends() {
    let mut spec = closing();
    spec.groups.truncate(1);
    spec.groups[0].members.truncate(1);
    spec.groups[0].fallbacks.any.clear();
    let mut scene = Scene::new(&spec);
    scene.at(1_000).submit(1).rejects(1, Rejection::NoDeployment(None));
    nothing_breaks(&mut scene);
    let mut scene = Scene::new(&spec);
    scene.at(999).submit(1).rejects(1, Rejection::NoDeployment(None));
    assert_eq!(scene.broken(), [Invariant::WorkConservation]);
}

#[test]
fn another_configuration_counts_silence_anew_only_if_it_says_otherwise_of_peers() {
    let mut patient = closing();
    patient.router.peers =
        Some(PeersSpec { stale: Span::from_secs(2), ..patient.router.peers.unwrap() });
    let run = |next: &Spec, ms| {
        let mut scene = Scene::new(&closing());
        scene.at(900).revises(next).at(ms).begins(1, 0).serves(1, 1).broken()
    };
    assert_eq!(run(&closing(), 999), []);
    assert_eq!(run(&closing(), 1_000), [Invariant::Peers]);
    assert_eq!(run(&patient, 2_899), []);
    assert_eq!(run(&patient, 2_900), [Invariant::Peers]);
}

#[test]
fn a_share_is_a_part_of_the_burst_and_what_others_use_of_theirs_is_their_own() {
    let spec = replicas(OnOutage::Share);
    let two = |s: &mut Scene| _ = s.begins(1, 0).serves(1, 1).begins(2, 0).serves(2, 1);
    let one = |s: &mut Scene| _ = s.used(7, 0).used(7, 100).begins(1, 0).serves(1, 1);
    assert_eq!(broken(&spec, &one), []);
    assert_eq!(broken(&spec, &two), [Invariant::RateLimits]);
    assert_eq!(broken(&replicas(OnOutage::Open), &two), []);
    assert_eq!(broken(&replicas(OnOutage::Open), &one), [Invariant::RateLimits]);
}

#[test]
fn what_was_used_before_a_restart_counts_until_something_is_sent() {
    let spec = replicas(OnOutage::Open);
    let first = |s: &mut Scene| _ = s.own(100).own(103).begins(1, 0).serves(1, 1);
    assert_eq!(broken(&spec, &first), []);
    let second = |s: &mut Scene| (first(s), _ = s.begins(2, 0).serves(2, 1)).1;
    assert_eq!(broken(&spec, &second), [Invariant::RateLimits]);
    let late = |s: &mut Scene| {
        _ = s.own(100).begins(1, 0).serves(1, 1).own(103).begins(2, 0).serves(2, 1);
    };
    assert_eq!(broken(&spec, &late), []);
}
