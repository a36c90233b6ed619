//! Selectors: how a scenario speaks of deployments that it does not know.

use router_core::DeploymentId;

use super::Fleet;

/// Which deployments are meant.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Selector {
    /// `*`
    All,
    /// `biggest`: the largest weight of the first group's lowest tier, the first of equals.
    Biggest,
    /// `vendor:azure`: the provider of this name, or whose name goes on from it with a hyphen.
    Vendor(String),
    /// `tier:1`: a member of this tier in any group.
    Tier(u8),
    /// `region:eu`
    Region(String),
    /// `group:chat`: a member of this group, of any weight.
    Group(String),
    /// `tag:paid`
    Tag(String),
    /// `model:gpt-4o-mini`
    Model(String),
    /// The deployment of this name.
    Name(String),
}

/// What a selector may begin with.
pub(super) const FORMS: &str = "write a deployment's name, `biggest`, `vendor:...`, `tier:...`, \
                               `region:...`, `group:...`, `tag:...`, `model:...` or `*`";

impl Selector {
    /// Reads a selector; `None` if it is none.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let Some((kind, value)) = text.split_once(':') else {
            return match text {
                "" => None,
                "*" => Some(Self::All),
                "biggest" => Some(Self::Biggest),
                name => Some(Self::Name(name.to_owned())),
            };
        };
        if value.is_empty() {
            return None;
        }
        match kind {
            "vendor" => Some(Self::Vendor(value.to_owned())),
            "tier" => value.parse().ok().map(Self::Tier),
            "region" => Some(Self::Region(value.to_owned())),
            "group" => Some(Self::Group(value.to_owned())),
            "tag" => Some(Self::Tag(value.to_owned())),
            "model" => Some(Self::Model(value.to_owned())),
            _ => None,
        }
    }

    /// The deployments it means in this router, in the configuration's order.
    pub(super) fn find(&self, fleet: Fleet<'_>) -> Vec<DeploymentId> {
        let biggest = biggest(fleet);
        let all = (0..fleet.endpoints.len()).map(DeploymentId::at);
        all.filter(|&id| {
            let endpoint = &fleet.endpoints[id.index()];
            match self {
                Self::All => true,
                Self::Biggest => biggest == Some(id),
                Self::Vendor(vendor) => {
                    let rest = endpoint.provider.strip_prefix(vendor.as_str());
                    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
                }
                Self::Tier(tier) => {
                    let members = fleet.config.groups().iter().flat_map(|group| &group.members);
                    members.into_iter().any(|m| m.deployment == id && m.tier == *tier)
                }
                Self::Region(region) => endpoint.region.as_deref() == Some(region),
                Self::Group(group) => fleet.config.group_named(group).is_some_and(|group| {
                    fleet.config.group(group).members.iter().any(|m| m.deployment == id)
                }),
                Self::Tag(tag) => {
                    let bit = fleet.config.tag(tag).unwrap_or(0);
                    fleet.config.deployment(id).tags & bit != 0
                }
                Self::Model(model) => endpoint.model == *model,
                Self::Name(name) => fleet.config.deployment(id).name == *name,
            }
        })
        .collect()
    }
}

fn biggest(fleet: Fleet<'_>) -> Option<DeploymentId> {
    let members = &fleet.config.groups().first()?.members;
    let working = || members.iter().filter(|member| member.weight > 0);
    let lowest = working().map(|member| member.tier).min()?;
    let tier = working().filter(|member| member.tier == lowest);
    // `max_by_key` gives the last of equals.
    tier.rev().max_by_key(|member| member.weight).map(|member| member.deployment)
}
