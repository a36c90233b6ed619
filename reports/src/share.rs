//! The share of a group's attempts that each member should get.

use router_core::{Config, DeploymentId, GroupId};

/// A membership, and the share of its group's attempts that its weight asks for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ExpectedShare {
    /// Of which group.
    pub group: GroupId,
    /// Which member.
    pub deployment: DeploymentId,
    /// Its weight, as configured.
    pub weight: u32,
    /// Its tier, as configured.
    pub tier: u8,
    /// Its weight over those of its group's first tier that takes traffic, if it is of that tier,
    /// else zero: what a group in good health, whose limits do not bind, would show.
    pub share: f64,
}

impl ExpectedShare {
    /// Every membership, by group, then in the group's order.
    pub fn of(config: &Config) -> Vec<Self> {
        let mut shares = Vec::new();
        for (index, group) in config.groups().iter().enumerate() {
            let first = group.members.iter().filter(|m| m.weight > 0).map(|m| m.tier).min();
            let in_first = |tier: u8| Some(tier) == first;
            let of_first = group.members.iter().filter(|m| in_first(m.tier));
            let sum: u64 = of_first.map(|m| u64::from(m.weight)).sum();
            shares.extend(group.members.iter().map(|member| Self {
                group: GroupId::at(index),
                deployment: member.deployment,
                weight: member.weight,
                tier: member.tier,
                share: if in_first(member.tier) {
                    f64::from(member.weight) / sum as f64
                } else {
                    0.0
                },
            }));
        }
        shares
    }
}

#[cfg(test)]
mod tests {
    use crate::sample;

    use super::*;

    #[test]
    fn weights_are_shared_within_the_first_tier_that_takes_traffic() {
        let config = sample::config(&[
            ("chat", &[("a", 0, 0), ("b", 7, 1), ("c", 3, 1), ("d", 5, 2)]),
            ("alone", &[("a", 2, 3)]),
        ]);
        let shares: Vec<f64> = ExpectedShare::of(&config).iter().map(|s| s.share).collect();
        assert_eq!(shares, [0.0, 0.7, 0.3, 0.0, 1.0]);
    }
}
