//! The next configuration of a router that runs: numbers by name.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::check::{self, DEPLOYMENTS_MAX, GROUPS_MAX, KINDS_MAX, MEMBERS_MAX, TAGS_MAX};
use super::{
    BreakerMode, Config, ConfigError, Deployment, Group, Kind, Limit, Member, Problem, Queue,
    RouterSpec, Spec, Subject,
};
use crate::{DeploymentId, GroupId, LimitId};

/// Where the names of two lists are in the list of both: the old ones where they were, then the
/// new ones in their order.
struct Places {
    /// By place in the new list.
    of_new: Vec<usize>,
    /// The place in the new list, if it is there, of everything.
    new_of: Vec<Option<usize>>,
}

impl Places {
    fn of<K: Ord>(old: impl Iterator<Item = K>, new: impl Iterator<Item = K>) -> Self {
        let known: BTreeMap<K, usize> =
            old.enumerate().map(|(place, name)| (name, place)).collect();
        let mut new_of = alloc::vec![None; known.len()];
        let mut of_new = Vec::new();
        for (index, name) in new.enumerate() {
            let place = known.get(&name).copied().unwrap_or(new_of.len());
            if place == new_of.len() {
                new_of.push(None);
            }
            new_of[place] = Some(index);
            of_new.push(place);
        }
        Self { of_new, new_of }
    }

    /// How many of the old ones are not among the new.
    fn removed(&self) -> usize {
        self.new_of.iter().filter(|place| place.is_none()).count()
    }

    /// What is wrong at `path` if there may be `most` of them.
    fn crowded(&self, path: String, what: &'static str, most: usize) -> Option<ConfigError> {
        let (count, removed) = (self.new_of.len(), self.removed());
        let problem = Problem::Crowded { what, count, removed, most };
        (count > most).then_some(ConfigError { path, problem })
    }

    /// Everything: `new` where it is there, else what `old` becomes.
    fn merge<T: Clone>(&self, old: &[T], new: &[T], removed: impl Fn(&T) -> T) -> Vec<T> {
        let place = |(place, index): (usize, &Option<usize>)| match index {
            Some(index) => new[*index].clone(),
            None => removed(&old[place]),
        };
        self.new_of.iter().enumerate().map(place).collect()
    }
}

pub(super) fn revise(last: &Config, spec: &Spec) -> Result<Config, Vec<ConfigError>> {
    let next = check::check(spec)?;
    let reviser = Reviser::new(last, &next);
    let (limits, deployments) = (reviser.limits(), reviser.deployments());
    let mut errors = reviser.crowded();
    let groups = reviser.groups(spec, &deployments, &mut errors);
    let kinds = kinds(last, &next, &reviser.kinds, &mut errors);
    if !errors.is_empty() {
        return Err(errors);
    }
    let name = |known: &String| known.clone();
    let tags = reviser.tags.merge(&last.tags, &next.tags, name);
    let regions = reviser.regions.merge(&last.regions, &next.regions, name);
    // When periods began is a fact about the router that runs.
    let periods_began = last.router.periods_began;
    let router = RouterSpec { periods_began, ..next.router.clone() };
    let mut config = Config { router, limits, deployments, groups, kinds, tags, regions };
    for index in 0..config.groups.len() {
        if config.groups[index].removed {
            let heir = config.route(&config.groups[index].name);
            config.groups[index].heir = heir;
        }
    }
    Ok(config)
}

/// Kinds of subjects and their names, the old ones where they were. Whoever has no entry any more is
/// like all others.
fn kinds(
    last: &Config,
    next: &Config,
    places: &Places,
    errors: &mut Vec<ConfigError>,
) -> Vec<Kind> {
    errors.extend(places.crowded("subject".into(), "kinds of subjects", KINDS_MAX));
    let gone = |known: &Kind| Kind {
        name: known.name.clone(),
        named: known.named.iter().map(Subject::gone).collect(),
        others: None,
    };
    let mut kinds = places.merge(&last.kinds, &next.kinds, gone);
    for (kind, old) in kinds.iter_mut().zip(&last.kinds) {
        let both = Places::of(
            old.named.iter().map(|subject| subject.name.as_str()),
            kind.named.iter().map(|subject| subject.name.as_str()),
        );
        let path = format!("subject.{}", kind.name);
        errors.extend(both.crowded(path, "subjects of one kind", Kind::OTHERS as usize - 1));
        kind.named = both.merge(&old.named, &kind.named, Subject::gone);
    }
    kinds
}

/// A configuration, the one that follows, and where everything goes.
struct Reviser<'a> {
    last: &'a Config,
    next: &'a Config,
    limits: Places,
    deployments: Places,
    groups: Places,
    tags: Places,
    regions: Places,
    kinds: Places,
}

impl<'a> Reviser<'a> {
    fn new(last: &'a Config, next: &'a Config) -> Self {
        fn limits(config: &Config) -> impl Iterator<Item = (bool, &str)> {
            config.limits.iter().map(|limit| (limit.shared, limit.name.as_str()))
        }
        fn deployments(config: &Config) -> impl Iterator<Item = &str> {
            config.deployments.iter().map(|deployment| deployment.name.as_str())
        }
        fn groups(config: &Config) -> impl Iterator<Item = &str> {
            config.groups.iter().map(|group| group.name.as_str())
        }
        fn kinds(config: &Config) -> impl Iterator<Item = &str> {
            config.kinds.iter().map(|kind| kind.name.as_str())
        }
        Self {
            limits: Places::of(limits(last), limits(next)),
            deployments: Places::of(deployments(last), deployments(next)),
            groups: Places::of(groups(last), groups(next)),
            tags: Places::of(last.tags.iter(), next.tags.iter()),
            regions: Places::of(last.regions.iter(), next.regions.iter()),
            kinds: Places::of(kinds(last), kinds(next)),
            last,
            next,
        }
    }

    /// What there is too much of, members aside.
    fn crowded(&self) -> Vec<ConfigError> {
        let all = [
            self.deployments.crowded("deployment".into(), "deployments", DEPLOYMENTS_MAX),
            self.groups.crowded("group".into(), "groups", GROUPS_MAX),
            self.tags.crowded("deployment".into(), "different tags", TAGS_MAX),
        ];
        all.into_iter().flatten().collect()
    }

    fn limits(&self) -> Vec<Limit> {
        let removed = |limit: &Limit| Limit { removed: true, ..limit.clone() };
        self.limits.merge(&self.last.limits, &self.next.limits, removed)
    }

    /// A removed one keeps its limits: its calls in flight are settled there.
    fn deployments(&self) -> Vec<Deployment> {
        let removed = |known: &Deployment| Deployment { removed: true, ..known.clone() };
        let renumbered = |known: &Deployment| Deployment {
            limits: known.limits.iter().map(|limit| self.limit(*limit)).collect(),
            tags: self.tags_of(known.tags),
            region: self.region(known.region),
            ..known.clone()
        };
        let next: Vec<Deployment> = self.next.deployments.iter().map(renumbered).collect();
        self.deployments.merge(&self.last.deployments, &next, removed)
    }

    fn groups(
        &self,
        spec: &Spec,
        deployments: &[Deployment],
        errors: &mut Vec<ConfigError>,
    ) -> Vec<Group> {
        let places = self.groups.new_of.iter().enumerate();
        let groups = places.map(|(place, index)| {
            let old = self.last.groups.get(place);
            match index.map(|index| &self.next.groups[index]) {
                Some(next) => self.group(old, next, errors),
                None => self.removed(&self.last.groups[place], spec, deployments),
            }
        });
        groups.collect()
    }

    fn group(&self, old: Option<&Group>, next: &Group, errors: &mut Vec<ConfigError>) -> Group {
        let old = old.map_or(&[][..], |group| &group.members);
        let renumbered = |member: &Member| Member {
            deployment: self.deployment(member.deployment),
            tags: self.tags_of(member.tags),
            region: self.region(member.region),
            ..*member
        };
        let new: Vec<Member> = next.members.iter().map(renumbered).collect();
        let name = |member: &Member| member.deployment;
        let places = Places::of(old.iter().map(name), new.iter().map(name));
        let path = format!("group.{}.members", next.name);
        errors.extend(places.crowded(path, "members", MEMBERS_MAX));
        let present = places.of_new.iter().filter(|place| **place < MEMBERS_MAX);
        let lists = |lists: &[Vec<GroupId>; 3]| {
            lists.each_ref().map(|groups| groups.iter().map(|id| self.group_id(*id)).collect())
        };
        Group {
            members: places.merge(old, &new, |member| Member { weight: 0, ..*member }),
            present: present.fold(0, |mask, place| mask | 1 << place),
            fallbacks: lists(&next.fallbacks),
            chains: lists(&next.chains),
            ladder: next.ladder.map_groups(|id| Some(self.group_id(id))),
            queue: next.queue.map(|queue| Queue {
                fair: queue.fair.map(|kind| self.kinds.of_new[usize::from(kind)] as u8),
                ..queue
            }),
            ..next.clone()
        }
    }

    /// A group that is not there any more goes on with what it has in flight: as it was, but for
    /// deployments and fallbacks that are not there either.
    fn removed(&self, old: &Group, spec: &Spec, deployments: &[Deployment]) -> Group {
        let mut group = Group { removed: true, heir: None, ..old.clone() };
        let own = group.breaker.map_or(BreakerMode::Disabled, |breaker| breaker.mode);
        for (index, member) in group.members.iter_mut().enumerate() {
            let known = &deployments[member.deployment.index()];
            let Some(written) = spec.deployments.iter().find(|d| d.name == known.name) else {
                group.present &= !(1 << index);
                member.weight = 0;
                continue;
            };
            (member.context, member.tags) = (known.context, known.tags);
            member.region = known.region;
            member.is_default = written.tags.iter().any(|tag| tag == "default");
            member.breaker = check::mode(written.breaker, own, group.breaker.is_some());
        }
        let is_there = |id: &GroupId| self.groups.new_of[id.index()].is_some();
        for list in group.fallbacks.iter_mut().chain(&mut group.chains) {
            list.retain(is_there);
        }
        group.ladder = group.ladder.map_groups(|id| Some(id).filter(is_there));
        group.look();
        group
    }

    fn limit(&self, id: LimitId) -> LimitId {
        LimitId::at(self.limits.of_new[id.index()])
    }

    fn deployment(&self, id: DeploymentId) -> DeploymentId {
        DeploymentId::at(self.deployments.of_new[id.index()])
    }

    fn group_id(&self, id: GroupId) -> GroupId {
        GroupId::at(self.groups.of_new[id.index()])
    }

    /// Tags beyond the 64th are complained about elsewhere.
    fn tags_of(&self, tags: u64) -> u64 {
        let bits = (0..64).filter(|bit| tags >> bit & 1 == 1);
        bits.fold(0, |mask, bit| {
            mask | 1_u64.checked_shl(self.tags.of_new[bit] as u32).unwrap_or(0)
        })
    }

    fn region(&self, region: u16) -> u16 {
        let place = usize::from(region).checked_sub(1);
        place.map_or(0, |place| self.regions.of_new[place] as u16 + 1)
    }
}
