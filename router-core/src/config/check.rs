//! From what a person wrote to what a router can trust, with every mistake at once.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use super::{
    Config, CooldownSpec, Deployment, DeploymentSpec, FallbacksSpec, Group, GroupSpec, Limit,
    LimitSpec, Member, Rate, RouterSpec, Spec, names,
};
use crate::{BreakerMode, DeploymentId, Detour, GroupId, LimitId, Ratio, Span};

/// One thing wrong with a [`Spec`], and where.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ConfigError {
    /// The path in the file: `group.chat.members.az-eu`.
    pub path: String,
    /// What is wrong there.
    pub problem: Problem,
}

/// What can be wrong with a [`Spec`].
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Problem {
    /// A list that needs something has nothing.
    Empty(&'static str),
    /// More of something than there may be.
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many there are.
        count: usize,
        /// How many there may be.
        most: usize,
    },
    /// A number outside its range.
    Range {
        /// The number.
        value: u64,
        /// The least it may be.
        least: u64,
        /// The most it may be.
        most: u64,
    },
    /// A time outside its range.
    SpanRange {
        /// The time.
        value: Span,
        /// The least it may be.
        least: Span,
        /// The most it may be.
        most: Span,
    },
    /// A share above one.
    Share,
    /// Two things of one name.
    Twice,
    /// A name that nothing has.
    Unknown {
        /// What kind of thing it should be.
        kind: &'static str,
        /// The name.
        name: String,
        /// The names there are.
        known: Vec<String>,
    },
    /// A name that is not `[A-Za-z0-9._/-]+`.
    Name,
    /// Every weight is zero, so nothing can be chosen.
    NoWeight,
    /// The first must not be longer than the second.
    Order(&'static str, &'static str),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty(what) => write!(f, "needs at least one {what}"),
            Self::TooMany { what, count, most } => {
                write!(f, "has {count} {what}; at most {most} are allowed")
            }
            Self::Range { value, least, most } => {
                write!(f, "is {value}, but must be between {least} and {most}")
            }
            Self::SpanRange { value, least, most } => {
                write!(f, "is {value}, but must be between {least} and {most}")
            }
            Self::Share => f.write_str("is more than 100 %"),
            Self::Twice => f.write_str("is there twice"),
            Self::Unknown { kind, name, .. } => write!(f, "there is no {kind} `{name}`"),
            Self::Name => f.write_str("a name is made of letters, digits and `. _ / -`"),
            Self::NoWeight => f.write_str("every weight is zero, so nothing can be chosen"),
            Self::Order(a, b) => write!(f, "`{a}` must not be longer than `{b}`"),
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.problem)
    }
}

impl core::error::Error for ConfigError {}

/// The longest time a file may name, but for "off": a year.
const LONGEST: Span = Span::from_secs(366 * 86_400);
const MEMBERS_MAX: usize = 64;
const GROUPS_MAX: usize = 64;
const DEPLOYMENTS_MAX: usize = 4096;
const TAGS_MAX: usize = 64;
const AMOUNT_MAX: u64 = 1_000_000_000_000;

struct Checker {
    errors: Vec<ConfigError>,
    tags: Vec<String>,
    regions: Vec<String>,
}

pub(super) fn check(spec: &Spec) -> Result<Config, Vec<ConfigError>> {
    let mut checker = Checker::new(spec);
    checker.router(&spec.router);
    let (limits, deployments) = checker.deployments(spec);
    let groups = checker.groups(spec, &deployments);
    if checker.errors.is_empty() {
        let Checker { tags, regions, .. } = checker;
        Ok(Config { router: spec.router.clone(), limits, deployments, groups, tags, regions })
    } else {
        Err(checker.errors)
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'/' | b'-'))
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
        let mut checker = Self { errors: Vec::new(), tags, regions };
        if checker.tags.len() > TAGS_MAX {
            let (what, count, most) = ("different tags", checker.tags.len(), TAGS_MAX);
            checker.fault("deployment", Problem::TooMany { what, count, most });
        }
        checker
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

    fn router(&mut self, router: &RouterSpec) {
        let ms = Span::from_millis(1);
        if router.deadline != Span::MAX {
            self.span("router.deadline", router.deadline, ms, LONGEST);
        }
        self.range("router.attempts", u64::from(router.attempts), 1, 16);
        self.span("router.retry_after_max", router.retry_after_max, Span::ZERO, LONGEST);
        self.range("router.in_flight", u64::from(router.in_flight), 1, 1 << 22);
        self.range("router.output_reserve", u64::from(router.output_reserve), 0, 10_000_000);
        let budget = &router.retry_budget;
        let path = "router.retry_budget";
        if let Some(ratio) = budget.ratio {
            self.range(path, u64::from(ratio.numerator() / ratio.denominator()), 0, 16);
        }
        self.range(path, u64::from(budget.per_second), 0, 1_000_000);
        let (least, most) = (Span::from_secs(1), Span::from_secs(600));
        self.span("router.retry_budget_window", budget.window, least, most);
    }

    fn limit(&mut self, path: &str, limit: &LimitSpec) {
        let rates = [
            ("requests", limit.requests),
            ("tokens", limit.tokens),
            ("input_tokens", limit.input_tokens),
            ("output_tokens", limit.output_tokens),
        ];
        for (name, rate) in rates {
            if let Some(Rate { amount, period, burst }) = rate {
                self.range(format!("{path}.{name}"), amount, 1, AMOUNT_MAX);
                let least = Span::from_millis(1);
                self.span(format!("{path}.{name}"), period, least, Span::from_secs(31 * 86_400));
                if let Some(burst) = burst {
                    self.range(format!("{path}.{name}"), burst, 1, AMOUNT_MAX);
                    // The bucket's depth in time must fit the clock.
                    let depth = u128::from(burst) * u128::from(period.as_nanos());
                    if amount > 0 && depth / u128::from(amount) > u128::from(LONGEST.as_nanos()) {
                        let value = Span::MAX;
                        let problem =
                            Problem::SpanRange { value, least: Span::ZERO, most: LONGEST };
                        self.fault(format!("{path}.{name}"), problem);
                    }
                }
            }
        }
        if let Some(parallel) = limit.parallel {
            self.range(format!("{path}.parallel"), u64::from(parallel), 1, 1_000_000);
        }
    }

    fn deployments(&mut self, spec: &Spec) -> (Vec<Limit>, Vec<Deployment>) {
        if spec.deployments.is_empty() {
            self.fault("deployment", Problem::Empty("deployment"));
        }
        if spec.deployments.len() > DEPLOYMENTS_MAX {
            let count = spec.deployments.len();
            let most = DEPLOYMENTS_MAX;
            self.fault("deployment", Problem::TooMany { what: "deployments", count, most });
            return (Vec::new(), Vec::new());
        }
        self.names("limit", spec.limits.iter().map(|(name, _)| name.as_str()));
        self.names("deployment", spec.deployments.iter().map(|d| d.name.as_str()));
        for (name, limit) in &spec.limits {
            self.limit(&format!("limit.{name}"), limit);
        }
        let owners = spec.deployments.iter().filter(|d| d.limit.is_some());
        let mut limits: Vec<Limit> = owners
            .map(|d| Limit {
                name: d.name.clone(),
                shared: false,
                spec: d.limit.clone().unwrap_or_default(),
            })
            .collect();
        let own = limits.len();
        limits.extend(spec.limits.iter().map(|(name, limit)| Limit {
            name: name.clone(),
            shared: true,
            spec: limit.clone(),
        }));
        let mut next_own = 0;
        let deployments =
            spec.deployments.iter().map(|d| self.deployment(d, spec, own, &mut next_own)).collect();
        (limits, deployments)
    }

    fn deployment(
        &mut self,
        written: &DeploymentSpec,
        spec: &Spec,
        own: usize,
        next_own: &mut usize,
    ) -> Deployment {
        let path = format!("deployment.{}", written.name);
        self.range(format!("{path}.keys"), u64::from(written.keys), 1, 32);
        for (name, price) in [
            ("input", written.price.input),
            ("cached", written.price.cached),
            ("output", written.price.output),
        ] {
            self.range(format!("{path}.price.{name}"), price, 0, AMOUNT_MAX);
        }
        let mut limits = Vec::new();
        if let Some(limit) = &written.limit {
            self.limit(&format!("{path}.limit"), limit);
            limits.push(LimitId::at(*next_own));
            *next_own += 1;
        }
        if written.shared.len() > 3 {
            let (what, count, most) = ("shared limits", written.shared.len(), 3);
            self.fault(format!("{path}.limit"), Problem::TooMany { what, count, most });
        }
        for name in &written.shared {
            match spec.limits.iter().position(|(known, _)| known == name) {
                Some(index) if limits.contains(&LimitId::at(own + index)) => {
                    self.fault(format!("{path}.limit"), Problem::Twice);
                }
                Some(index) => limits.push(LimitId::at(own + index)),
                None => {
                    let known = spec.limits.iter().map(|(name, _)| name.clone()).collect();
                    let (kind, name) = ("limit", name.clone());
                    self.fault(format!("{path}.limit"), Problem::Unknown { kind, name, known });
                }
            }
        }
        let mut tags = 0;
        for tag in &written.tags {
            tags |= 1_u64.checked_shl(number(&self.tags, tag) as u32).unwrap_or(0);
        }
        let region = written.region.as_deref();
        Deployment {
            name: written.name.clone(),
            keys: written.keys,
            limits,
            price: written.price,
            context: written.context.unwrap_or(u32::MAX),
            tags,
            region: region.map_or(0, |region| number(&self.regions, region) as u16 + 1),
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
        let mut groups: Vec<Group> =
            spec.groups.iter().map(|g| self.group(g, spec, deployments)).collect();
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

    fn group(&mut self, written: &GroupSpec, spec: &Spec, deployments: &[Deployment]) -> Group {
        let path = format!("group.{}", written.name);
        let members = self.members(&path, written, spec, deployments);
        self.timeouts(&path, written);
        let ms = Span::from_millis(1);
        self.span(format!("{path}.backoff.base"), written.backoff.base, Span::ZERO, LONGEST);
        self.span(format!("{path}.backoff.max"), written.backoff.max, Span::ZERO, LONGEST);
        self.range(format!("{path}.backoff.factor"), u64::from(written.backoff.factor), 1, 16);
        self.cooldown(&format!("{path}.cooldown"), &written.cooldown, ms);
        let fallbacks = self.fallbacks(&path, written, spec);
        let has_standby = members.iter().any(|m| m.weight == 0);
        let has_default = members.iter().any(|m| m.is_default);
        Group {
            name: written.name.clone(),
            aliases: written.aliases.clone(),
            members,
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
            fallbacks,
            has_standby,
            has_default,
            chains: Default::default(),
        }
    }

    /// A group's own fallbacks, else the router's, by [`Detour`].
    fn fallbacks(
        &mut self,
        path: &str,
        written: &GroupSpec,
        spec: &Spec,
    ) -> [Vec<GroupId>; Detour::ALL.len()] {
        let lists = |spec: &FallbacksSpec| {
            [spec.any.clone(), spec.context_window.clone(), spec.content_policy.clone()]
        };
        let groups = spec.groups.iter().map(|g| (g.name.as_str(), g.aliases.as_slice()));
        let [own, router] = [lists(&written.fallbacks), lists(&spec.router.fallbacks)];
        let mut found: [Vec<GroupId>; Detour::ALL.len()] = Default::default();
        for (index, key) in ["any", "context_window", "content_policy"].into_iter().enumerate() {
            let (path, names) = if own[index].is_empty() {
                (format!("router.fallbacks.{key}"), &router[index])
            } else {
                (format!("{path}.fallbacks.{key}"), &own[index])
            };
            for name in names {
                match names::resolve(groups.clone(), name) {
                    Some(place) => found[index].push(GroupId::at(place)),
                    None => {
                        let known = spec.groups.iter().map(|g| g.name.clone()).collect();
                        let problem = Problem::Unknown { kind: "group", name: name.clone(), known };
                        let error = ConfigError { path: path.clone(), problem };
                        if !self.errors.contains(&error) {
                            self.errors.push(error);
                        }
                    }
                }
            }
        }
        found
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
                breaker: match mode {
                    Some(BreakerMode::ForcedOpen) => BreakerMode::ForcedOpen,
                    Some(mode) if written.breaker.is_some() => mode,
                    Some(_) | None => own,
                },
                context: known.context,
                tags: known.tags,
                region: known.region,
                is_default: spec.deployments[index].tags.iter().any(|tag| tag == "default"),
            });
        }
        members
    }

    fn timeouts(&mut self, path: &str, written: &GroupSpec) {
        let times = &written.timeouts;
        let named = [
            ("connect", times.connect),
            ("first_token", times.first_token),
            ("idle", times.idle),
            ("total", times.total),
        ];
        for (name, value) in named {
            if value != Span::MAX {
                let path = format!("{path}.timeouts.{name}");
                self.span(path, value, Span::from_millis(1), LONGEST);
            }
        }
        if times.total != Span::MAX {
            for (name, value) in &named[..3] {
                if *value != Span::MAX && *value > times.total {
                    let path = format!("{path}.timeouts.{name}");
                    self.fault(path, Problem::Order(name, "total"));
                }
            }
        }
    }

    fn cooldown(&mut self, path: &str, cooldown: &CooldownSpec, ms: Span) {
        self.share(format!("{path}.failures"), cooldown.failures);
        self.range(format!("{path}.calls_min"), u64::from(cooldown.calls_min), 1, 1_000_000);
        let (least, most) = (Span::from_millis(10), Span::from_secs(86_400));
        self.span(format!("{path}.window"), cooldown.window, least, most);
        self.span(format!("{path}.rest"), cooldown.rest, ms, LONGEST);
        self.span(format!("{path}.max"), cooldown.max, ms, LONGEST);
        self.range(format!("{path}.grow"), u64::from(cooldown.grow), 1, 16);
        self.share(format!("{path}.jitter"), cooldown.jitter);
        if cooldown.rest > cooldown.max {
            self.fault(format!("{path}.rest"), Problem::Order("rest", "max"));
        }
    }
}

/// The place of `name` among `known`, where it is.
fn number(known: &[String], name: &str) -> usize {
    known.iter().position(|known| known == name).unwrap_or(known.len())
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
