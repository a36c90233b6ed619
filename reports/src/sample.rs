//! Small configurations and frames for tests.

use router_core::{
    Config, DeploymentId, DeploymentSpec, GroupSpec, MemberSpec, Price, Span, Spec, Time,
};

use crate::{FaultBand, Frame, Phase};

/// A member's name, weight and tier.
pub(crate) type Member = (&'static str, u32, u8);

/// Groups by name, each with its members' names, weights and tiers. A prompt token costs one
/// pico-dollar and a completion token two.
pub(crate) fn config(groups: &[(&str, &[Member])]) -> Config {
    config_priced(groups, Price { input: 1, cached: 1, output: 2 })
}

/// The same, at another price.
pub(crate) fn config_priced(groups: &[(&str, &[Member])], price: Price) -> Config {
    Config::new(&spec(groups, price)).expect("a sample that holds")
}

/// What it is made of.
pub(crate) fn spec(groups: &[(&str, &[Member])], price: Price) -> Spec {
    let mut spec = Spec::default();
    for (name, members) in groups {
        let mut group = GroupSpec::new((*name).to_owned());
        for &(deployment, weight, tier) in *members {
            if !spec.deployments.iter().any(|known| known.name == deployment) {
                let mut new = DeploymentSpec::new(deployment.to_owned());
                new.keys = 2;
                new.price = price;
                spec.deployments.push(new);
            }
            group.members.push(MemberSpec { deployment: deployment.to_owned(), weight, tier });
        }
        spec.groups.push(group);
    }
    spec
}

/// Ten minutes in bins of ten seconds: `normal` for all of it, `spike` from 120 s to 180 s and
/// again from 300 s to 310 s, and the fault `brownout` on the first deployment in the first spike.
pub(crate) fn frame() -> Frame {
    let s = Time::from_secs;
    let phase = |name: &str, pieces: &[(Time, Time)]| Phase {
        name: name.to_owned(),
        pieces: pieces.to_vec(),
    };
    Frame {
        horizon: s(600),
        bin: Span::from_secs(10),
        phases: vec![
            phase("normal", &[(s(0), s(600))]),
            phase("spike", &[(s(120), s(180)), (s(300), s(310))]),
        ],
        faults: vec![FaultBand {
            name: "brownout".to_owned(),
            from: s(120),
            until: Some(s(180)),
            on: vec![DeploymentId::at(0)],
        }],
        payers: crate::Payers::default(),
    }
}
