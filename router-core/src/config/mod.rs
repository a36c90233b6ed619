//! A configuration that has been checked. Its fields are private, so one that exists holds.

mod check;
mod concern;
mod names;
mod policy;
mod spec;
mod warn;
mod words;
mod worst;

use alloc::string::String;
use alloc::vec::Vec;

pub use check::{ConfigError, Problem};
pub use policy::{
    BreakerMode, BreakerSpec, BreakerWindow, ClassRest, FallbacksSpec, HedgeAfter, HedgeSpec,
    Jitter, Load, RestAfter, RetrySpec, Strategy, TagMatch,
};
pub use spec::{
    BackoffSpec, ClassRests, CooldownSpec, DeploymentSpec, GroupSpec, LimitSpec, MemberSpec, Price,
    Rate, RetryBudgetSpec, RouterSpec, Spec, TimeoutsSpec,
};

pub use concern::{Concern, Warning};
pub use worst::{Longest, WorstCase};

use crate::{DeploymentId, Detour, GroupId, LimitId, Ratio};

/// A checked configuration: what a router trusts and an auditor holds it to.
#[derive(Clone, Debug)]
pub struct Config {
    router: RouterSpec,
    limits: Vec<Limit>,
    deployments: Vec<Deployment>,
    groups: Vec<Group>,
    /// Tag and region names; a tag's bit and a region's number less one are its place.
    tags: Vec<String>,
    regions: Vec<String>,
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
    /// Its context window in tokens; [`u32::MAX`] if there is no bound.
    pub context: u32,
    /// Its tags, as [`Config::tag`] numbers them.
    pub tags: u64,
    /// Its region, as [`Config::region`] numbers it; zero if it names none.
    pub region: u16,
}

/// A checked group.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Group {
    /// What clients ask for.
    pub name: String,
    /// What else they may call it.
    pub aliases: Vec<String>,
    /// Its members, 1 to 64, each deployment once.
    pub members: Vec<Member>,
    /// How one of the eligible is chosen.
    pub strategy: Strategy,
    /// How long to wait for what.
    pub timeouts: TimeoutsSpec,
    /// How requested tags meet the deployments'.
    pub tag_match: TagMatch,
    /// How often what is retried.
    pub retry: RetrySpec,
    /// How long to wait before trying the same deployment again.
    pub backoff: BackoffSpec,
    /// When a deployment rests.
    pub cooldown: CooldownSpec,
    /// When a deployment is taken out until probes succeed.
    pub breaker: Option<BreakerSpec>,
    /// The most of the group that may be out for another to go out for its failures.
    pub ejected_max: Ratio,
    /// Below which share of healthy members all are used.
    pub panic: Ratio,
    /// When a second attempt starts beside a slow first.
    pub hedge: Option<HedgeSpec>,
    /// Its own fallbacks (else the router's), by [`Detour`].
    pub fallbacks: [Vec<GroupId>; Detour::ALL.len()],
    /// Whether a member is standby.
    pub has_standby: bool,
    /// Whether every member takes every request that asks for no tag and no region.
    pub is_plain: bool,
    /// Every group that a failure here may lead to over fallbacks of one kind, depth first, each
    /// once, itself not; by [`Detour`].
    pub chains: [Vec<GroupId>; Detour::ALL.len()],
}

impl Group {
    /// Every group that fallbacks of one kind lead to, depth first, each once.
    pub fn chain(&self, detour: Detour) -> &[GroupId] {
        &self.chains[detour as usize]
    }

    /// The members that have the tags asked for, as a mask: see [`TagMatch`].
    #[cold]
    pub fn tagged(&self, tags: u64) -> u64 {
        let mask = |is: &dyn Fn(&Member) -> bool| {
            let bits = self.members.iter().enumerate().filter(|(_, m)| is(m));
            bits.fold(0, |mask, (index, _)| mask | 1_u64 << index)
        };
        let wanted = match self.tag_match {
            TagMatch::Any => mask(&|m| m.tags & tags != 0),
            TagMatch::All => mask(&|m| tags != 0 && m.tags & tags == tags),
        };
        let default = mask(&|m| m.is_default);
        match (wanted, default, tags) {
            (0, 0, 0) => u64::MAX >> (64 - self.members.len()),
            (0, default, _) => default,
            (wanted, ..) => wanted,
        }
    }
}

/// A checked membership, with what selection must know of its deployment.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Member {
    /// Which deployment.
    pub deployment: DeploymentId,
    /// Its share; zero is standby.
    pub weight: u32,
    /// Its tier.
    pub tier: u8,
    /// What its breaker's verdicts do: the operator's word on the deployment, else the group's;
    /// [`BreakerMode::Disabled`] in a group without one.
    pub breaker: BreakerMode,
    /// The deployment's context window.
    pub context: u32,
    /// The deployment's tags.
    pub tags: u64,
    /// The deployment's region.
    pub region: u16,
    /// Whether it has the tag `default`.
    pub is_default: bool,
}

impl Config {
    /// Checks `spec`.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with its path in the file.
    pub fn new(spec: &Spec) -> Result<Self, Vec<ConfigError>> {
        check::check(spec)
    }

    /// What is allowed, but worth a look.
    pub fn warnings(&self) -> Vec<Warning> {
        warn::warnings(self)
    }

    /// The most that one request to `group` may cost.
    pub fn worst_case(&self, group: GroupId) -> WorstCase {
        worst::worst_case(self, group)
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

    /// The group that a request for `model` goes to: the one of that name, else the one with that
    /// alias, else the one with the longest pattern that matches, else `router.default_group`.
    pub fn route(&self, model: &str) -> Option<GroupId> {
        let names = self.groups.iter().map(|g| (g.name.as_str(), g.aliases.as_slice()));
        let found = names::resolve(names, model).map(GroupId::at);
        found.or_else(|| self.group_named(self.router.default_group.as_deref()?))
    }

    /// The bit of the tag `name`; `None` if no deployment has it.
    pub fn tag(&self, name: &str) -> Option<u64> {
        self.tags.iter().position(|known| known == name).map(|place| 1 << place)
    }

    /// The number of the region `name`; `None` if no deployment is there.
    pub fn region(&self, name: &str) -> Option<u16> {
        self.regions.iter().position(|known| known == name).map(|place| place as u16 + 1)
    }

    /// The names of the tags, the first being bit 0.
    pub fn tags(&self) -> &[String] {
        &self.tags
    }

    /// The names of the regions, the first being number 1.
    pub fn regions(&self) -> &[String] {
        &self.regions
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
                    && a.breaker.map(|b| b.window) == b.breaker.map(|b| b.window)
                    && a.members.len() == b.members.len()
                    && a.members.iter().zip(&b.members).all(|(a, b)| a.deployment == b.deployment)
            })
    }
}
