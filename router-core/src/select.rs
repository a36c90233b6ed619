//! Who could serve, and who does.

use crate::flight::Flight;
use crate::limit::Charge;
use crate::router::Router;
use crate::{Counter, Group, GroupId, Member, Observation, Output, Reason, Strategy, Time};

/// Who of a group could serve a request, and why the others could not.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Eligibility {
    /// Who could, of the lowest tier that has somebody.
    pub(crate) eligible: u64,
    /// Who of all tiers could, were it not for tries and tiers.
    able: u64,
    excluded: [u64; Reason::ALL.len()],
}

impl Eligibility {
    fn exclude(&mut self, reason: Reason, mask: u64) {
        self.excluded[reason as usize] |= mask;
    }

    /// Whether somebody could whom this request has not tried.
    pub(crate) const fn is_fresh(&self, tried: u64) -> bool {
        self.eligible & !tried != 0
    }
}

impl Router {
    /// Looks at every member of a group on behalf of a flight.
    pub(crate) fn eligibility(&self, flight: &Flight, group_id: GroupId) -> Eligibility {
        let mut found = Eligibility::default();
        let group = self.config.group(group_id);
        let charge = flight.charge();
        for (index, member) in group.members.iter().enumerate() {
            let bit = 1_u64 << index;
            match self.obstacle(flight, member, charge) {
                Some(reason) => found.exclude(reason, bit),
                None => found.able |= bit,
            }
        }
        let mut rest = found.able;
        let tried = if group_id == flight.group() { flight.tried } else { 0 };
        if rest & tried != 0 && rest & !tried != 0 {
            found.exclude(Reason::Tried, rest & tried);
            rest &= !tried;
        }
        if rest & (rest.wrapping_sub(1)) != 0 {
            let lowest = members(group, rest).map(|(_, m)| m.tier).min();
            let above = members(group, rest).filter(|(_, m)| Some(m.tier) != lowest);
            let mask = above.fold(0, |mask, (bit, _)| mask | bit);
            found.exclude(Reason::Tier, mask);
            rest &= !mask;
        }
        found.eligible = rest;
        found
    }

    /// The first reason why a member could not serve.
    fn obstacle(&self, flight: &Flight, member: &Member, charge: Charge) -> Option<Reason> {
        if member.weight == 0 {
            return Some(Reason::Weight);
        }
        if self.is_barred(flight.id, member.deployment) {
            return Some(Reason::Barred);
        }
        if self.health.of(member.deployment).cooling_until() > self.now {
            return Some(Reason::Cooling);
        }
        let limits = &self.config.deployment(member.deployment).limits;
        if limits.iter().any(|l| !self.limits[l.index()].admits(charge, self.now)) {
            return Some(Reason::Limit);
        }
        if limits.iter().any(|l| !self.limits[l.index()].has_room()) {
            return Some(Reason::Parallel);
        }
        None
    }

    /// When somebody of a group could serve, if nothing else changes. A full parallel limit opens
    /// at no time that could be told; it counts as now, so that the wait is the backoff alone.
    pub(crate) fn earliest(&self, flight: &Flight, group_id: GroupId) -> Option<Time> {
        let charge = flight.charge();
        let members = self.config.group(group_id).members.iter();
        let able = members.filter(|m| m.weight > 0 && !self.is_barred(flight.id, m.deployment));
        able.filter_map(|member| {
            let awake = self.now.max(self.health.of(member.deployment).cooling_until());
            let limits = &self.config.deployment(member.deployment).limits;
            limits.iter().try_fold(awake, |latest, limit| {
                let at = self.limits[limit.index()].earliest(charge, self.now)?;
                Some(latest.max(at))
            })
        })
        .min()
    }

    /// Tells why members were excluded.
    pub(crate) fn explain(&mut self, flight: &Flight, group: GroupId, found: &Eligibility) {
        let attempt = flight.next_attempt();
        for reason in Reason::ALL {
            let mask = found.excluded[reason as usize];
            if mask != 0 {
                let told = Observation::Excluded { attempt, group, reason, mask };
                self.outputs.push_back(Output::Observe(told));
            }
        }
    }

    /// Chooses one of the eligible, by the group's strategy.
    pub(crate) fn pick(&self, flight: &Flight, group_id: GroupId, eligible: u64) -> usize {
        let group = self.config.group(group_id);
        let counter = Counter {
            request: flight.id.as_u64(),
            entity: group_id.index() as u32,
            attempt: flight.ordinal + 1,
            index: 0,
        };
        match group.strategy {
            Strategy::Weighted { .. }
            | Strategy::PowerOfTwo(_)
            | Strategy::Latency { .. }
            | Strategy::Usage
            | Strategy::Cost
            | Strategy::Sticky => {
                let total = members(group, eligible).map(|(_, m)| u64::from(m.weight)).sum();
                let mut draw = self.keys.select.below(total, counter);
                let hit = members(group, eligible).find(|(_, m)| {
                    let weight = u64::from(m.weight);
                    let here = draw < weight;
                    draw = draw.wrapping_sub(weight);
                    here
                });
                hit.map_or(0, |(bit, _)| bit.trailing_zeros() as usize)
            }
            Strategy::LeastInFlight => {
                let load = |m: &Member| u64::from(self.health.of(m.deployment).in_flight) + 1;
                // a/w < b/v, without the division
                let lighter = |a: &Member, b: &Member| {
                    load(a) * u64::from(b.weight) < load(b) * u64::from(a.weight)
                };
                let mut tied = 0_u64;
                let mut best: Option<&Member> = None;
                for (bit, member) in members(group, eligible) {
                    match best {
                        Some(b) if lighter(b, member) => {}
                        Some(b) if !lighter(member, b) => tied |= bit,
                        Some(_) | None => {
                            best = Some(member);
                            tied = bit;
                        }
                    }
                }
                let nth = self.keys.select.below(u64::from(tied.count_ones()), counter);
                (0..nth).for_each(|_| tied &= tied - 1);
                tied.trailing_zeros() as usize
            }
        }
    }
}

/// The members of a mask, each with its bit.
fn members(group: &Group, mask: u64) -> impl Iterator<Item = (u64, &Member)> {
    let mut left = mask;
    core::iter::from_fn(move || {
        let index = left.trailing_zeros() as usize;
        let member = group.members.get(index).filter(|_| left != 0)?;
        left &= left - 1;
        Some((1 << index, member))
    })
}
