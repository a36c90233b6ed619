//! From what a person wrote to what a router can trust, with every mistake at once.

mod fleet;
mod ladder;
mod policy;
mod problem;
mod subject;
#[cfg(test)]
mod tests;

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

pub(super) use fleet::TAGS_MAX;
pub use problem::{ConfigError, Problem};
pub(super) use subject::KINDS_MAX;

use super::{
    Config, Deployment, FallbacksSpec, Group, GroupSpec, Member, OnOutage, PeersSpec, RouterSpec,
    Spec, names,
};
use crate::{BreakerMode, DeploymentId, Detour, GroupId, Ratio, Span};

/// The longest time a file may name, but for "off": a year.
const LONGEST: Span = Span::from_secs(366 * 86_400);
pub(super) const MEMBERS_MAX: usize = 64;
pub(super) const GROUPS_MAX: usize = 64;
pub(super) const DEPLOYMENTS_MAX: usize = 4096;
/// As many processes as anybody runs of one gateway.
pub(crate) const REPLICAS_MAX: u64 = 1_000;
/// Aliases of one group.
const ALIASES_MAX: usize = 1_000;
/// Classes of requests.
const PRIORITIES_MAX: usize = 8;

struct Checker {
    errors: Vec<ConfigError>,
    tags: Vec<String>,
    regions: Vec<String>,
}

pub(super) fn check(spec: &Spec) -> Result<Config, Vec<ConfigError>> {
    let mut checker = Checker::new(spec);
    checker.router(spec);
    let (limits, deployments) = checker.deployments(spec);
    let groups = checker.groups(spec, &deployments);
    let kinds = checker.subjects(spec);
    if checker.errors.is_empty() {
        let Checker { tags, regions, .. } = checker;
        let router = spec.router.clone();
        Ok(Config { router, limits, deployments, groups, kinds, tags, regions })
    } else {
        Err(checker.errors)
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'/' | b'-'))
}

/// What a client may write for a group's name: more than a name, as model names have colons, and
/// perhaps one `*`.
fn is_alias(alias: &str) -> bool {
    let more = |c: char| matches!(c, ':' | '@' | '+' | '*');
    let plain = alias.replace(more, "-");
    is_name(&plain) && alias.matches('*').count() <= 1
}

impl Checker {
    /// Numbers tags and regions by name, so that the order of deployments means nothing.
    fn new(spec: &Spec) -> Self {
        let mut tags: Vec<String> =
            spec.deployments.iter().flat_map(|d| d.tags.iter().cloned()).collect();
        let mut regions: Vec<String> =
            spec.deployments.iter().filter_map(|d| d.region.clone()).collect();
        for names in [&mut tags, &mut regions] {
            names.sort_unstable();
            names.dedup();
        }
        Self { errors: Vec::new(), tags, regions }
    }

    fn fault(&mut self, path: impl Into<String>, problem: Problem) {
        self.errors.push(ConfigError { path: path.into(), problem });
    }

    fn range(&mut self, path: impl Into<String>, value: u64, least: u64, most: u64) {
        if value < least || value > most {
            self.fault(path, Problem::Range { value, least, most });
        }
    }

    fn span(&mut self, path: impl Into<String>, value: Span, least: Span, most: Span) {
        if value < least || value > most {
            self.fault(path, Problem::SpanRange { value, least, most });
        }
    }

    fn share(&mut self, path: impl Into<String>, value: Ratio) {
        if !value.is_share() {
            self.fault(path, Problem::Share);
        }
    }

    /// A share that something must reach; nothing would reach it at once.
    fn threshold(&mut self, path: impl Into<String>, value: Ratio) {
        if value.is_zero() {
            self.fault(path, Problem::Zero);
        } else {
            self.share(path, value);
        }
    }

    /// Names of one kind: well formed, and each once.
    fn names<'a>(&mut self, kind: &str, names: impl Iterator<Item = &'a str>) {
        let mut seen: Vec<&str> = Vec::new();
        for name in names {
            if !is_name(name) {
                self.fault(format!("{kind}.{name}"), Problem::Name);
            }
            if seen.contains(&name) {
                self.fault(format!("{kind}.{name}"), Problem::Twice);
            }
            seen.push(name);
        }
    }

    fn router(&mut self, spec: &Spec) {
        let router: &RouterSpec = &spec.router;
        let ms = Span::from_millis(1);
        if router.deadline != Span::MAX {
            self.span("router.deadline", router.deadline, ms, LONGEST);
        }
        self.range("router.attempts", u64::from(router.attempts), 1, 16);
        self.span("router.retry_after_max", router.retry_after_max, Span::ZERO, LONGEST);
        self.range("router.in_flight", u64::from(router.in_flight), 1, 1 << 22);
        self.range("router.output_reserve", u64::from(router.output_reserve), 0, 10_000_000);
        self.range("router.accounts", u64::from(router.accounts), 1, 1 << 20);
        self.span("router.periods_began", router.periods_began, Span::ZERO, LONGEST);
        let budget = &router.retry_budget;
        let path = "router.retry_budget";
        if let Some(ratio) = budget.ratio {
            self.range(path, u64::from(ratio.numerator() / ratio.denominator()), 0, 16);
        }
        self.range(path, u64::from(budget.per_second), 0, 1_000_000);
        let (least, most) = (Span::from_secs(1), Span::from_secs(600));
        let path = "router.retry_budget_window";
        self.span(path, budget.window, least, most);
        let fits = (least..=most).contains(&budget.window);
        if fits && !budget.window.as_nanos().is_multiple_of(least.as_nanos()) {
            self.fault(path, Problem::Uneven { value: budget.window, grain: least });
        }
        if let Some(name) = &router.default_group
            && !spec.groups.iter().any(|group| group.name == *name)
        {
            self.fault("router.default_group", unknown_group(name, spec));
        }
        let (_, errors) = lists("router", &router.fallbacks, spec);
        self.errors.extend(errors);
        if let Some(PeersSpec { replicas, stale, on_outage }) = router.peers {
            self.range("router.peers.replicas", u64::from(replicas), 1, REPLICAS_MAX);
            self.span("router.peers.stale", stale, ms, LONGEST);
            if replicas == 1 && on_outage == OnOutage::Closed {
                self.fault("router.peers.on_outage", Problem::NoPeers);
            }
        }
        self.priorities(&router.priorities);
    }

    fn priorities(&mut self, names: &[String]) {
        let path = "router.priorities";
        if names.len() > PRIORITIES_MAX {
            let (what, count, most) = ("priorities", names.len(), PRIORITIES_MAX);
            self.fault(path, Problem::TooMany { what, count, most });
        }
        for (index, name) in names.iter().enumerate() {
            let name = name.clone();
            if !is_name(&name) {
                self.fault(path, Problem::NameOf { kind: "priority", name });
            } else if names[..index].contains(&name) {
                self.fault(path, Problem::Repeated { name });
            }
        }
    }

    fn groups(&mut self, spec: &Spec, deployments: &[Deployment]) -> Vec<Group> {
        if spec.groups.is_empty() {
            self.fault("group", Problem::Empty("group"));
        }
        if spec.groups.len() > GROUPS_MAX {
            let (what, count, most) = ("groups", spec.groups.len(), GROUPS_MAX);
            self.fault("group", Problem::TooMany { what, count, most });
            return Vec::new();
        }
        self.names("group", spec.groups.iter().map(|g| g.name.as_str()));
        self.aliases(spec);
        // What is wrong there is said once, where the router itself is checked.
        let (usual, _) = lists("router", &spec.router.fallbacks, spec);
        let mut groups: Vec<Group> =
            spec.groups.iter().map(|g| self.group(g, &usual, spec, deployments)).collect();
        for detour in Detour::ALL {
            let edges: Vec<Vec<GroupId>> =
                groups.iter().map(|g| g.fallbacks[detour as usize].clone()).collect();
            for (index, group) in groups.iter_mut().enumerate() {
                let mut visited = 1_u64 << index;
                let chain = &mut group.chains[detour as usize];
                descend(GroupId::at(index), &edges, &mut visited, chain);
            }
        }
        groups
    }

    /// What groups are called besides their names: well formed, and nobody else's.
    fn aliases(&mut self, spec: &Spec) {
        let mut taken: Vec<(&str, &str)> =
            spec.groups.iter().map(|g| (g.name.as_str(), g.name.as_str())).collect();
        for group in &spec.groups {
            let path = format!("group.{}.aliases", group.name);
            if group.aliases.len() > ALIASES_MAX {
                let (what, count, most) = ("aliases", group.aliases.len(), ALIASES_MAX);
                self.fault(path.clone(), Problem::TooMany { what, count, most });
                continue;
            }
            for alias in &group.aliases {
                let name = alias.clone();
                if !is_alias(alias) {
                    self.fault(path.clone(), Problem::NameOf { kind: "alias", name });
                } else if let Some((_, owner)) = taken.iter().find(|(known, _)| known == alias) {
                    let owner = (*owner).to_string();
                    self.fault(path.clone(), Problem::Taken { name, owner });
                } else {
                    taken.push((alias, &group.name));
                }
            }
        }
    }

    fn group(
        &mut self,
        written: &GroupSpec,
        usual: &Lists,
        spec: &Spec,
        deployments: &[Deployment],
    ) -> Group {
        let path = format!("group.{}", written.name);
        let members = self.members(&path, written, spec, deployments);
        self.policies(&path, written, &spec.router);
        let (mut fallbacks, errors) = lists(&path, &written.fallbacks, spec);
        self.errors.extend(errors);
        for (own, usual) in fallbacks.iter_mut().zip(usual) {
            if own.is_empty() {
                own.clone_from(usual);
            }
        }
        let ladder = self.ladder(&path, written, spec);
        let present = u64::MAX.checked_shr(64 - members.len().min(64) as u32).unwrap_or(0);
        let queue = self.queue(&path, written, spec);
        let mut group = Group {
            name: written.name.clone(),
            aliases: written.aliases.clone(),
            members,
            present,
            removed: false,
            heir: None,
            strategy: written.strategy,
            timeouts: written.timeouts,
            tag_match: written.tag_match,
            retry: written.retry,
            backoff: written.backoff,
            cooldown: written.cooldown,
            breaker: written.breaker,
            ejected_max: written.ejected_max,
            panic: written.panic,
            hedge: written.hedge,
            ladder,
            fallbacks,
            has_standby: false,
            is_plain: false,
            chains: Default::default(),
            in_flight: written.in_flight.unwrap_or(u32::MAX),
            is_gated: queue.is_some() || written.in_flight.is_some(),
            queue,
        };
        group.look();
        group
    }

    fn members(
        &mut self,
        path: &str,
        written: &GroupSpec,
        spec: &Spec,
        deployments: &[Deployment],
    ) -> Vec<Member> {
        let path = format!("{path}.members");
        if written.members.is_empty() {
            self.fault(path.clone(), Problem::Empty("member"));
        } else if written.members.iter().all(|m| m.weight == 0) {
            self.fault(path.clone(), Problem::NoWeight);
        }
        if written.members.len() > MEMBERS_MAX {
            let (what, count, most) = ("members", written.members.len(), MEMBERS_MAX);
            self.fault(path.clone(), Problem::TooMany { what, count, most });
        }
        let mut members: Vec<Member> = Vec::new();
        for member in &written.members {
            let path = format!("{path}.{}", member.deployment);
            self.range(path.clone(), u64::from(member.weight), 0, 1_000_000);
            let known = || spec.deployments.iter().map(|d| d.name.to_string()).collect();
            let found = spec.deployments.iter().position(|d| d.name == member.deployment);
            let Some(index) = found.filter(|&index| index < DEPLOYMENTS_MAX) else {
                let (kind, name) = ("deployment", member.deployment.clone());
                self.fault(path, Problem::Unknown { kind, name, known: known() });
                continue;
            };
            let deployment = DeploymentId::at(index);
            if members.iter().any(|m| m.deployment == deployment) {
                self.fault(path, Problem::Twice);
            }
            let Some(known) = deployments.get(index) else { continue };
            let mode = spec.deployments[index].breaker;
            let own = written.breaker.map_or(BreakerMode::Disabled, |breaker| breaker.mode);
            members.push(Member {
                deployment,
                weight: member.weight,
                tier: member.tier,
                breaker: self::mode(mode, own, written.breaker.is_some()),
                context: known.context,
                tags: known.tags,
                region: known.region,
                is_default: spec.deployments[index].tags.iter().any(|tag| tag == "default"),
            });
        }
        members
    }
}

/// What a membership's breaker does: the operator's word on the deployment, else its group's.
pub(super) const fn mode(word: Option<BreakerMode>, own: BreakerMode, has: bool) -> BreakerMode {
    match word {
        Some(BreakerMode::ForcedOpen) => BreakerMode::ForcedOpen,
        Some(mode) if has => mode,
        Some(_) | None => own,
    }
}

fn unknown_group(name: &str, spec: &Spec) -> Problem {
    let known = spec.groups.iter().map(|g| g.name.clone()).collect();
    Problem::Unknown { kind: "group", name: name.to_string(), known }
}

/// The groups of one list of fallbacks for each [`Detour`].
type Lists = [Vec<GroupId>; Detour::ALL.len()];

/// The groups that fallbacks name, and the names that no group has.
fn lists(path: &str, written: &FallbacksSpec, spec: &Spec) -> (Lists, Vec<ConfigError>) {
    let groups = spec.groups.iter().map(|g| (g.name.as_str(), g.aliases.as_slice()));
    let FallbacksSpec { any, context_window, content_policy } = written;
    let lists = [
        (Detour::Any, "any", any),
        (Detour::ContextWindow, "context_window", context_window),
        (Detour::ContentPolicy, "content_policy", content_policy),
    ];
    let (mut found, mut errors) = (Lists::default(), Vec::new());
    for (detour, key, names) in lists {
        for name in names {
            match names::resolve(groups.clone(), name) {
                Some(place) => found[detour as usize].push(GroupId::at(place)),
                None => errors.push(ConfigError {
                    path: format!("{path}.fallbacks.{key}"),
                    problem: unknown_group(name, spec),
                }),
            }
        }
    }
    (found, errors)
}

/// Appends what is reachable from `group` over fallbacks, depth first, each once.
fn descend(group: GroupId, edges: &[Vec<GroupId>], visited: &mut u64, chain: &mut Vec<GroupId>) {
    for &next in &edges[group.index()] {
        if *visited & 1 << next.index() == 0 {
            *visited |= 1 << next.index();
            chain.push(next);
            descend(next, edges, visited, chain);
        }
    }
}
