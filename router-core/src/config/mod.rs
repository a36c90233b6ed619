//! A configuration that has been checked. Its fields are private, so one that exists holds.

mod check;
mod spec;

use alloc::string::String;
use alloc::vec::Vec;

pub use check::{ConfigError, Problem};
pub use spec::{
    BackoffSpec, CooldownSpec, DeploymentSpec, GroupSpec, LimitSpec, MemberSpec, Price, Rate,
    RetryBudgetSpec, RouterSpec, Spec, Strategy, TimeoutsSpec,
};

use crate::{DeploymentId, GroupId, LimitId};

/// A checked configuration: what a router trusts and an auditor holds it to.
#[derive(Clone, Debug)]
pub struct Config {
    router: RouterSpec,
    limits: Vec<Limit>,
    deployments: Vec<Deployment>,
    groups: Vec<Group>,
}

/// A checked limit.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Limit {
    /// Its own name if it is shared, else its deployment's.
    pub name: String,
    /// Whether several deployments may take from it.
    pub shared: bool,
    /// What it holds.
    pub spec: LimitSpec,
}

/// A checked deployment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Deployment {
    /// What people call it.
    pub name: String,
    /// How many keys it has, at least one.
    pub keys: u8,
    /// Every limit it takes from, its own first.
    pub limits: Vec<LimitId>,
    /// What its tokens cost.
    pub price: Price,
}

/// A checked group.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Group {
    /// What clients ask for.
    pub name: String,
    /// Its members, 1 to 64, each deployment once.
    pub members: Vec<Member>,
    /// How one of the eligible is chosen.
    pub strategy: Strategy,
    /// How long to wait for what.
    pub timeouts: TimeoutsSpec,
    /// How long to wait before trying the same deployment again.
    pub backoff: BackoffSpec,
    /// When a deployment rests.
    pub cooldown: CooldownSpec,
    /// Its own fallbacks, as written.
    pub fallbacks: Vec<GroupId>,
    /// Every group a request for this one may fall back to, depth first, each once, itself not.
    pub chain: Vec<GroupId>,
}

/// A checked membership.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Member {
    /// Which deployment.
    pub deployment: DeploymentId,
    /// Its share.
    pub weight: u32,
    /// Its tier.
    pub tier: u8,
}

impl Config {
    /// Checks `spec`.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with its path in the file.
    pub fn new(spec: &Spec) -> Result<Self, Vec<ConfigError>> {
        check::check(spec)
    }

    /// Bounds of the whole router.
    pub const fn router(&self) -> &RouterSpec {
        &self.router
    }

    /// Every limit: deployments' own in their order, then the shared ones in theirs.
    pub fn limits(&self) -> &[Limit] {
        &self.limits
    }

    /// Every deployment, in the order written.
    pub fn deployments(&self) -> &[Deployment] {
        &self.deployments
    }

    /// Every group, in the order written.
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// One limit.
    pub fn limit(&self, id: LimitId) -> &Limit {
        &self.limits[id.index()]
    }

    /// One deployment.
    pub fn deployment(&self, id: DeploymentId) -> &Deployment {
        &self.deployments[id.index()]
    }

    /// One group.
    pub fn group(&self, id: GroupId) -> &Group {
        &self.groups[id.index()]
    }

    /// The group called `name`.
    pub fn group_named(&self, name: &str) -> Option<GroupId> {
        self.groups.iter().position(|g| g.name == name).map(GroupId::at)
    }

    /// The deployment called `name`.
    pub fn deployment_named(&self, name: &str) -> Option<DeploymentId> {
        self.deployments.iter().position(|d| d.name == name).map(DeploymentId::at)
    }

    /// Whether a router that runs `self` can go on with `next`: the same names in the same
    /// places, so that every id keeps its meaning, and the same table sizes. Policies, weights,
    /// rates, prices and timeouts may differ.
    pub fn fits(&self, next: &Self) -> bool {
        self.router.in_flight == next.router.in_flight
            && self.router.retry_budget.window == next.router.retry_budget.window
            && self.limits.len() == next.limits.len()
            && self.limits.iter().zip(&next.limits).all(|(a, b)| a.name == b.name)
            && self.deployments.len() == next.deployments.len()
            && self
                .deployments
                .iter()
                .zip(&next.deployments)
                .all(|(a, b)| a.name == b.name && a.keys == b.keys && a.limits == b.limits)
            && self.groups.len() == next.groups.len()
            && self.groups.iter().zip(&next.groups).all(|(a, b)| {
                a.name == b.name
                    && a.cooldown.window == b.cooldown.window
                    && a.members.len() == b.members.len()
                    && a.members.iter().zip(&b.members).all(|(a, b)| a.deployment == b.deployment)
            })
    }
}
