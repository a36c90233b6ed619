//! A configuration that has been checked. Its fields are private, so one that exists holds.

mod check;
mod concern;
mod ladder;
mod names;
mod peers;
mod policy;
mod revise;
mod spec;
mod subject;
mod warn;
mod words;
mod worst;

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

pub use check::{ConfigError, Problem};
pub use ladder::{Ladder, Rung, RungSpec};
pub use peers::{OnOutage, PeersSpec};
pub use policy::{
    AdaptiveSpec, BreakerMode, BreakerSpec, BreakerWindow, ClassRest, FallbacksSpec, HedgeAfter,
    HedgeSpec, Jitter, Load, Order, QueueSpec, RestAfter, RetrySpec, Strategy, TagMatch,
};
pub use spec::{
    BackoffSpec, ClassRests, CooldownSpec, DeploymentSpec, GroupSpec, LimitSpec, MemberSpec, Price,
    Rate, RetryBudgetSpec, RouterSpec, Spec, TimeoutsSpec,
};
pub use subject::{BudgetSpec, BudgetUnit, Kind, Subject, SubjectSpec};

pub use concern::{Concern, Warning};
pub use worst::{Longest, WorstCase};

use crate::{DeploymentId, Detour, GroupId, LimitId, Ratio, Span};

/// A checked configuration: what a router trusts and an auditor holds it to.
#[derive(Clone, Debug)]
pub struct Config {
    router: RouterSpec,
    limits: Vec<Limit>,
    deployments: Vec<Deployment>,
    groups: Vec<Group>,
    kinds: Vec<Kind>,
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
    /// What this router may take of it: its part where replicas divide it.
    pub spec: LimitSpec,
    /// What all replicas may take of it together.
    pub whole: LimitSpec,
    /// Whether a revision has removed it: see [`Config::revise`].
    pub removed: bool,
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
    /// Whether a revision has removed it: it is sent nothing new.
    pub removed: bool,
    /// How many calls at once it is found to bear, if that is to be found out.
    pub adaptive: Option<AdaptiveSpec>,
}

/// A checked group.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Group {
    /// What clients ask for.
    pub name: String,
    /// What else they may call it.
    pub aliases: Vec<String>,
    /// Its members, 1 to 64, each deployment once; those that a revision has removed included.
    pub members: Vec<Member>,
    /// Which of them are members now, as a mask. A removed group's are those that are left for
    /// what it has in flight.
    pub present: u64,
    /// Whether a revision has removed it: it takes nothing new.
    pub removed: bool,
    /// Where new requests for it go if it is removed: what its name means now, if anything.
    pub heir: Option<GroupId>,
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
    /// What it gives instead of the full answer.
    pub ladder: Ladder,
    /// Its own fallbacks (else the router's), by [`Detour`].
    pub fallbacks: [Vec<GroupId>; Detour::ALL.len()],
    /// Whether a member is standby.
    pub has_standby: bool,
    /// Whether every member takes every request that asks for no tag and no region.
    pub is_plain: bool,
    /// Every group that a failure here may lead to over fallbacks of one kind, depth first, each
    /// once, itself not; by [`Detour`].
    pub chains: [Vec<GroupId>; Detour::ALL.len()],
    /// The most requests for it between first dispatch and end; [`u32::MAX`] if there is no bound.
    pub in_flight: u32,
    /// Where requests wait that nobody can take.
    pub queue: Option<Queue>,
    /// Whether it has a queue or a bound, so that not every request may go at once.
    pub is_gated: bool,
}

/// A checked queue: see [`QueueSpec`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Queue {
    /// The most that wait at once.
    pub size: u32,
    /// The longest wait; [`Span::MAX`] if there is no bound.
    pub timeout: Span,
    /// Who goes first within a lane.
    pub order: Order,
    /// Which of a request's subjects takes turns.
    pub fair: Option<u8>,
}

impl Group {
    /// Finds what follows from its members.
    fn look(&mut self) {
        let has_standby = self.present().any(|(_, m)| m.weight == 0);
        let is_plain = self.present().all(|(_, m)| {
            m.breaker != BreakerMode::ForcedOpen && m.context == u32::MAX && !m.is_default
        });
        (self.has_standby, self.is_plain) = (has_standby, is_plain);
    }

    /// Its members now, each with its place.
    pub fn present(&self) -> impl Iterator<Item = (usize, &Member)> + Clone {
        let members = self.members.iter().enumerate();
        // A group that is refused may have more members than there are bits.
        members.filter(|(index, _)| self.present.unbounded_shr(*index as u32) & 1 == 1)
    }

    /// Whether its hedges depend on how long its attempts take.
    pub(crate) fn notes_waits(&self) -> bool {
        match self.hedge.map(|hedge| hedge.after) {
            Some(HedgeAfter::Quantile(_)) => true,
            Some(HedgeAfter::Delay(_)) | None => false,
        }
    }

    /// How many members it has now.
    pub const fn size(&self) -> u32 {
        self.present.count_ones()
    }

    /// Every group that fallbacks of one kind lead to, depth first, each once.
    pub fn chain(&self, detour: Detour) -> &[GroupId] {
        &self.chains[detour as usize]
    }

    /// The members that have the tags asked for, as a mask: see [`TagMatch`].
    #[cold]
    pub fn tagged(&self, tags: u64) -> u64 {
        let mask = |is: &dyn Fn(&Member) -> bool| {
            let bits = self.present().filter(|(_, m)| is(m));
            bits.fold(0, |mask, (index, _)| mask | 1_u64 << index)
        };
        let wanted = match self.tag_match {
            TagMatch::Any => mask(&|m| m.tags & tags != 0),
            TagMatch::All => mask(&|m| tags != 0 && m.tags & tags == tags),
        };
        let default = mask(&|m| m.is_default);
        match (wanted, default, tags) {
            (0, 0, 0) => self.present,
            (0, default, _) => default,
            (wanted, ..) => wanted,
        }
    }
}

impl Queue {
    /// What makes those that wait line up anew if it changes.
    const fn shape(self) -> Self {
        Self { timeout: Span::ZERO, ..self }
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

    /// What a router that runs `self` goes on with when `spec` takes effect
    /// ([`crate::Input::Reconfigure`]). Names keep their numbers; new ones get the next; what
    /// `spec` does not name any more stays behind, removed, and gets its number back if it
    /// returns. So all that was learned stays with whom it was learned of, and what is in
    /// flight ends where it began.
    ///
    /// # Errors
    /// Everything that is wrong with `spec`, as [`Self::new`]; and where there would be too many
    /// with those that were removed.
    pub fn revise(&self, spec: &Spec) -> Result<Self, Vec<ConfigError>> {
        revise::revise(self, spec)
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

    /// Every limit: deployments' own in their order, then the shared ones in theirs; then what
    /// revisions have added.
    pub fn limits(&self) -> &[Limit] {
        &self.limits
    }

    /// Every deployment, in the order written, removed ones included; then what revisions have
    /// added.
    pub fn deployments(&self) -> &[Deployment] {
        &self.deployments
    }

    /// Every group, in the order written, removed ones included; then what revisions have added.
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
        self.groups.iter().position(|g| !g.removed && g.name == name).map(GroupId::at)
    }

    /// The group that a request for `model` goes to: the one of that name, else the one with that
    /// alias, else the one with the longest pattern that matches, else `router.default_group`.
    pub fn route(&self, model: &str) -> Option<GroupId> {
        let groups = self.groups.iter().enumerate().filter(|(_, group)| !group.removed);
        let names = groups.clone().map(|(_, g)| (g.name.as_str(), g.aliases.as_slice()));
        let found = names::resolve(names, model).and_then(|place| groups.clone().nth(place));
        let found = found.map(|(index, _)| GroupId::at(index));
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

    /// How many classes of requests there are, at least one.
    pub fn classes(&self) -> u8 {
        self.router.priorities.len().max(1) as u8
    }

    /// The class of a request of this priority; zero is the most urgent.
    pub fn class(&self, priority: u8) -> u8 {
        priority.min(self.classes() - 1)
    }

    /// The priority called `name`.
    pub fn priority(&self, name: &str) -> Option<u8> {
        self.router.priorities.iter().position(|known| known == name).map(|place| place as u8)
    }

    /// Whether those that wait for a group stay in their lanes when `next` follows.
    pub(crate) fn keeps_line(&self, next: &Self, group: GroupId) -> bool {
        let shape = |config: &Self| config.groups.get(group.index())?.queue.map(Queue::shape);
        let fair = shape(self).and_then(|queue| queue.fair);
        self.router.priorities == next.router.priorities
            && shape(self) == shape(next)
            && fair.is_none_or(|kind| self.weighs_alike(next, kind))
    }

    /// The class in `next` of those that wait in one of `self`: that of its name, else of its
    /// place, or the last.
    pub(crate) fn class_in(&self, next: &Self, class: u8) -> u8 {
        let name = self.router.priorities.get(usize::from(class));
        name.and_then(|name| next.priority(name)).unwrap_or_else(|| next.class(class))
    }

    /// The share of a subject's lane among those of its class; what has no entry weighs one.
    pub fn weight(&self, kind: u8, subject: u32) -> u32 {
        self.policy(kind.into(), subject).map_or(1, |subject| subject.weight)
    }

    /// Whether every subject of a kind weighs as much in `next`.
    fn weighs_alike(&self, next: &Self, kind: u8) -> bool {
        let entries = |config: &Self| {
            let kind = config.kinds.get(usize::from(kind));
            kind.map_or(0, |kind| kind.named.len() as u32)
        };
        let most = entries(self).max(entries(next));
        let mut all = (1..=most).chain([Kind::OTHERS]);
        all.all(|subject| self.weight(kind, subject) == next.weight(kind, subject))
    }

    /// The deployment called `name`.
    pub fn deployment_named(&self, name: &str) -> Option<DeploymentId> {
        let named = |d: &Deployment| !d.removed && d.name == name;
        self.deployments.iter().position(named).map(DeploymentId::at)
    }

    /// The kinds of subjects; the `i`-th is what [`crate::Request::subjects`] holds at place `i`.
    pub fn kinds(&self) -> &[Kind] {
        &self.kinds
    }

    /// What goes for a subject; `None` if nothing does.
    pub fn policy(&self, kind: usize, number: u32) -> Option<&Subject> {
        self.kinds.get(kind)?.subject(number)
    }

    /// The place of a kind and the number of the subject `name` among it; `None` if there is no
    /// such kind, or none of that name ever had an entry of its own.
    pub fn subject(&self, kind: &str, name: &str) -> Option<(usize, u32)> {
        let place = self.kinds.iter().position(|known| known.name == kind)?;
        Some((place, self.kinds[place].number(name)?))
    }

    /// The same for a router whose budgets' periods began so long before it was made.
    pub fn begun(self: Arc<Self>, periods_began: Span) -> Arc<Self> {
        if self.router.periods_began == periods_began {
            return self;
        }
        let mut config = (*self).clone();
        config.router.periods_began = periods_began;
        Arc::new(config)
    }

    /// Whether a router that runs `self` can go on with `next`: every name of `self` is in its
    /// place there, so that every number keeps its meaning. What [`Self::revise`] gives always
    /// fits. Policies, weights, rates, prices, timeouts and sizes may differ. When periods began is
    /// the business of the router that runs: of `next` it is passed over.
    pub fn fits(&self, next: &Self) -> bool {
        begins(&self.limits, &next.limits, |a, b| a.name == b.name && a.shared == b.shared)
            && begins(&self.deployments, &next.deployments, |a, b| a.name == b.name)
            && begins(&self.kinds, &next.kinds, |a, b| {
                let same = |a: &Subject, b: &Subject| a.name == b.name;
                a.name == b.name && begins(&a.named, &b.named, same)
            })
            && begins(&self.tags, &next.tags, |a, b| a == b)
            && begins(&self.regions, &next.regions, |a, b| a == b)
            && begins(&self.groups, &next.groups, |a, b| {
                let same = |a: &Member, b: &Member| a.deployment == b.deployment;
                a.name == b.name && begins(&a.members, &b.members, same)
            })
    }
}

/// Whether `whole` begins with what `part` is.
fn begins<T>(part: &[T], whole: &[T], same: impl Fn(&T, &T) -> bool) -> bool {
    part.len() <= whole.len() && part.iter().zip(whole).all(|(a, b)| same(a, b))
}
