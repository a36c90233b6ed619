//! Selectors: how a scenario speaks of deployments that it does not know.

use router_core::DeploymentId;

use super::{Fleet, Said};
use crate::diagnostic::nearest;
use crate::read::is_name;
use crate::written::Spanned;

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

/// What a selector selects here: if nothing, perhaps with what was meant instead, which is a
/// half-sentence that begins with a semicolon.
pub(super) struct Selected {
    pub(super) found: Vec<DeploymentId>,
    pub(super) meant: String,
}

/// What `text` selects in this router. What no router could have is a mistake, which is said.
pub(super) fn select(
    text: &Spanned<String>,
    fleet: Fleet<'_>,
    said: &mut Said,
) -> Option<Selected> {
    let written = text.value.as_str();
    let Some(selector) = Selector::parse(written).filter(Selector::is_possible) else {
        let message = format!("`{written}` selects nothing");
        match misspelt_kind(written) {
            Some(meant) => said.wrong_because(&text.at, message, did_you_mean(&meant)),
            None => said.wrong_because(&text.at, message, FORMS),
        }
        return None;
    };
    let found = selector.find(fleet);
    let meant = if found.is_empty() { selector.meant(fleet) } else { None };
    if meant.as_deref() == Some(BIGGEST) {
        let message = format!("`{written}` selects nothing");
        said.wrong_because(&text.at, message, did_you_mean(BIGGEST));
        return None;
    }
    let meant = meant.map(|meant| format!("; {}", did_you_mean(&meant)));
    Some(Selected { found, meant: meant.unwrap_or_default() })
}

fn did_you_mean(meant: &str) -> String {
    format!("did you mean `{meant}`?")
}

const BIGGEST: &str = "biggest";
const KINDS: [&str; 6] = ["vendor", "tier", "region", "group", "tag", "model"];

/// A selector of a kind that there is, for one of a kind that there is not.
fn misspelt_kind(text: &str) -> Option<String> {
    let (kind, value) = text.split_once(':')?;
    let meant = nearest(kind, KINDS).filter(|meant| *meant != kind)?;
    Some(format!("{meant}:{value}"))
}

/// What a selector may begin with.
const FORMS: &str = "write a deployment's name, `biggest`, `vendor:...`, `tier:...`, \
                               `region:...`, `group:...`, `tag:...`, `model:...` or `*`";

impl Selector {
    /// Reads a selector; `None` if it is none.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let Some((kind, value)) = text.split_once(':') else {
            return match text {
                "" => None,
                "*" => Some(Self::All),
                BIGGEST => Some(Self::Biggest),
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

    /// Whether some router could have what it means.
    fn is_possible(&self) -> bool {
        match self {
            Self::All | Self::Biggest | Self::Tier(_) | Self::Vendor(_) | Self::Model(_) => true,
            Self::Region(name) | Self::Group(name) | Self::Tag(name) | Self::Name(name) => {
                is_name(name)
            }
        }
    }

    /// What was probably meant by a selector that finds nothing here.
    fn meant(&self, fleet: Fleet<'_>) -> Option<String> {
        let config = fleet.config;
        let names = || config.deployments().iter().map(|deployment| deployment.name.as_str());
        let groups = || config.groups().iter().map(|group| group.name.as_str());
        let regions = || config.regions().iter().map(String::as_str);
        let tags = || config.tags().iter().map(String::as_str);
        let models = || fleet.endpoints.iter().map(|endpoint| endpoint.model.as_str());
        let vendors = || fleet.endpoints.iter().map(|endpoint| endpoint.provider.as_str());
        let near = |kind: &str, meant: Option<&str>| meant.map(|meant| format!("{kind}:{meant}"));
        match self {
            Self::All | Self::Biggest | Self::Tier(_) => None,
            Self::Vendor(vendor) => near("vendor", nearest(vendor, vendors())),
            Self::Region(region) => near("region", nearest(region, regions())),
            Self::Group(group) => near("group", nearest(group, groups())),
            Self::Tag(tag) => near("tag", nearest(tag, tags())),
            Self::Model(model) => near("model", nearest(model, models())),
            Self::Name(name) => {
                let of = |kind, known: bool| known.then(|| format!("{kind}:{name}"));
                of("group", groups().any(|known| known == name))
                    .or_else(|| of("vendor", vendors().any(|known| known == name)))
                    .or_else(|| of("region", regions().any(|known| known == name)))
                    .or_else(|| of("model", models().any(|known| known == name)))
                    .or_else(|| of("tag", tags().any(|known| known == name)))
                    .or_else(|| nearest(name, names().chain([BIGGEST])).map(str::to_owned))
            }
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
