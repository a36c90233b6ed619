//! Random revisions: names that go, come, return and change places.

use std::format;
use std::string::String;

use super::{Dice, prune};
use crate::{BreakerSpec, MemberSpec, Span, Spec, SubjectSpec};

/// How many names of each kind there are in the world.
const DEPLOYMENTS: u64 = 7;
const GROUPS: u64 = 5;

impl Dice {
    /// Other names, sizes and windows.
    pub(in super::super) fn rename(&mut self, spec: &mut Spec) {
        self.limits(spec);
        self.deployments(spec);
        self.groups(spec);
        self.named(spec);
        if self.once_in(4) {
            spec.router.retry_budget.window = Span::from_secs(1 + self.below(10));
        }
        prune(spec);
    }

    /// Whoever has an entry of its own may lose it, get one, or get it back.
    fn named(&mut self, spec: &mut Spec) {
        if spec.subjects.is_empty() && !self.once_in(4) {
            return;
        }
        for kind in ["org", "user"] {
            let others = self.once_in(2).then_some(None);
            for name in (0..3).map(|name| Some(format!("s{name}"))).chain(others) {
                let known = spec.subjects.iter().position(|s| s.kind == kind && s.name == name);
                match known {
                    Some(place) if self.once_in(3) => drop(spec.subjects.remove(place)),
                    None if self.once_in(3) => {
                        let mut subject = SubjectSpec::new(kind.into(), name);
                        self.subject(&mut subject);
                        spec.subjects.push(subject);
                    }
                    Some(_) | None => {}
                }
            }
        }
        let turn = self.below(1 + spec.subjects.len() as u64) as usize;
        spec.subjects.rotate_left(turn);
    }

    fn limits(&mut self, spec: &mut Spec) {
        if !spec.limits.is_empty() && self.once_in(4) {
            spec.limits.clear();
            spec.deployments.iter_mut().for_each(|d| d.shared.clear());
        } else if spec.limits.is_empty() && self.once_in(4) {
            spec.limits.push(("shared".into(), self.limit()));
        }
    }

    fn deployments(&mut self, spec: &mut Spec) {
        let shares = !spec.limits.is_empty();
        for index in 0..DEPLOYMENTS {
            let name = format!("d{index}");
            match spec.deployments.iter().position(|d| d.name == name) {
                Some(place) if spec.deployments.len() > 1 && self.once_in(4) => {
                    spec.deployments.remove(place);
                }
                Some(place) if self.once_in(3) => {
                    spec.deployments[place] = self.deployment(index, shares);
                }
                Some(_) => {}
                None if self.once_in(4) => spec.deployments.push(self.deployment(index, shares)),
                None => {}
            }
        }
        let turn = self.below(spec.deployments.len() as u64) as usize;
        spec.deployments.rotate_left(turn);
    }

    fn groups(&mut self, spec: &mut Spec) {
        for index in 0..GROUPS {
            let name = format!("g{index}");
            match spec.groups.iter().position(|group| group.name == name) {
                Some(place) if spec.groups.len() > 1 && self.once_in(5) => {
                    spec.groups.remove(place);
                    if self.once_in(2) {
                        spec.groups[0].aliases.push(name);
                    }
                }
                Some(_) => {}
                None if self.once_in(5) => {
                    let group = self.group(index, 1, GROUPS);
                    spec.groups.push(group);
                }
                None => {}
            }
        }
        let turn = self.below(spec.groups.len() as u64) as usize;
        spec.groups.rotate_left(turn);
        let names: std::vec::Vec<String> = spec.groups.iter().map(|g| g.name.clone()).collect();
        spec.router.default_group = self.once_in(3).then(|| names[0].clone());
        for group in &mut spec.groups {
            group.aliases.retain(|alias| !names.contains(alias));
            let lists = &mut group.fallbacks;
            for list in [&mut lists.any, &mut lists.context_window, &mut lists.content_policy] {
                list.retain(|name| names.contains(name));
            }
            if self.once_in(4) {
                group.cooldown.window = self.ms(20_000) + Span::from_millis(10);
            }
            if self.once_in(4) {
                group.breaker = self.once_in(2).then(|| self.breaker());
            } else if let Some(breaker) = group.breaker.filter(|_| self.once_in(4)) {
                group.breaker = Some(BreakerSpec { mode: breaker.mode, ..self.breaker() });
            }
            let known =
                |member: &MemberSpec| spec.deployments.iter().any(|d| d.name == member.deployment);
            group.members.retain(known);
            for deployment in &spec.deployments {
                let place = group.members.iter().position(|m| m.deployment == deployment.name);
                match place {
                    Some(place) if self.once_in(6) => {
                        group.members.remove(place);
                    }
                    Some(_) => {}
                    None if self.once_in(3) => {
                        let weight = self.below(4) as u32;
                        let tier = self.pick(&[0, 0, 1]);
                        let deployment = deployment.name.clone();
                        group.members.push(MemberSpec { deployment, weight, tier });
                    }
                    None => {}
                }
            }
            if group.members.is_empty() {
                let deployment = spec.deployments[0].name.clone();
                group.members.push(MemberSpec { deployment, weight: 1, tier: 0 });
            }
            group.members[0].weight = group.members[0].weight.max(1);
        }
    }
}
