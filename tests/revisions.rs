//! Random revisions of a router's configuration while it runs, and restarts.

use std::sync::Arc;

use proptest::prelude::*;
use router_core::{
    Anew, Config, DeploymentSpec, GroupSpec, MemberSpec, Ratio, Restart, Span, Spec, Time,
};
use sim::{Effect, Fault, Reload, Rhythm};

use crate::world::{Setting, settings};

/// Settings in which names go and return, and the router is started anew now and then.
pub fn revised_settings() -> impl Strategy<Value = Setting> {
    let revision = (0_u64..4_000, any::<u8>(), any::<bool>());
    let revisions = prop::collection::vec(revision, 0..4);
    let restarts = prop::collection::vec((1_u64..4_000, any::<bool>()), 0..3);
    (settings(), revisions, restarts).prop_map(|(mut setting, mut revisions, restarts)| {
        revisions.sort_unstable();
        let specs = revisions.iter().map(|(_, gone, stranger)| {
            let spec = without(&setting.spec, *gone);
            if *stranger { with_a_stranger(&spec) } else { spec }
        });
        let specs: Vec<Spec> = specs.collect();
        let at = revisions.iter().map(|(at, ..)| *at);
        setting.plan.reloads = reloads(&setting.config(), at.zip(&specs));
        let faults = restarts.iter().enumerate().map(|(index, (at, kept))| {
            let from = Time::ZERO + Span::from_millis(*at);
            Fault {
                name: format!("restart {index}"),
                on: Vec::new(),
                from,
                until: Some(from + Span::from_millis(1)),
                rhythm: Rhythm::Steady,
                of: Ratio::ONE,
                effect: Effect::Restart(Anew {
                    with: if *kept { Restart::Restored } else { Restart::Empty },
                    replica: None,
                }),
            }
        });
        setting.plan.faults.extend(faults);
        setting
    })
}

/// When a router that begins with `first` becomes what, in milliseconds.
///
/// # Panics
/// If a specification is wrong.
pub fn reloads<'s>(
    first: &Arc<Config>,
    specs: impl IntoIterator<Item = (u64, &'s Spec)>,
) -> Vec<Reload> {
    let mut running = Arc::clone(first);
    let reload = |(at, spec): (u64, &Spec)| {
        running = Arc::new(running.revise(spec).expect("it is valid, and small"));
        let at = Time::ZERO + Span::from_millis(at);
        Reload { at, config: Arc::clone(&running), named: Vec::new() }
    };
    specs.into_iter().map(reload).collect()
}

/// The same without some of its deployments, as far as every group keeps a member of weight.
fn without(spec: &Spec, gone: u8) -> Spec {
    let mut next = spec.clone();
    for (index, deployment) in spec.deployments.iter().enumerate() {
        let is_it = |member: &MemberSpec| member.deployment == deployment.name;
        let spared = next
            .groups
            .iter()
            .any(|group| !group.members.iter().any(|m| !is_it(m) && m.weight > 0));
        if gone >> index & 1 == 1 && !spared {
            next.deployments.retain(|known| known.name != deployment.name);
            next.groups.iter_mut().for_each(|group| group.members.retain(|m| !is_it(m)));
        }
    }
    next
}

/// The same in another order, with a deployment and a group that nobody asks for.
pub fn with_a_stranger(spec: &Spec) -> Spec {
    let mut next = spec.clone();
    let stranger = "stranger".to_owned();
    next.deployments.push(DeploymentSpec::new(stranger.clone()));
    next.deployments.reverse();
    next.groups.iter_mut().for_each(|group| group.members.reverse());
    let mut group = GroupSpec::new("strangers".to_owned());
    group.members.push(MemberSpec { deployment: stranger, weight: 1, tier: 0 });
    next.groups.insert(0, group);
    next
}
