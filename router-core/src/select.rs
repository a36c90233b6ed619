//! Who could serve a request, and why the others could not.

use crate::fallback::Unfit;
use crate::flight::{Flight, NEVER};
use crate::router::Router;
use crate::{BreakerMode, Cause, Group, GroupId, Member, Observation, Output, Reason, Time};

/// Who of a group could serve a request, and why the others could not.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Eligibility {
    /// Who could, of the lowest tier that has somebody.
    pub(crate) eligible: u64,
    /// Who could, were it not for standby, tries and tiers.
    able: u64,
    /// Of these, who is out and used all the same, and who is behind a half-open breaker.
    panicked: u64,
    probes: u64,
    standby: u64,
    excluded: [u64; Reason::ALL.len()],
    /// The reasons that hold or held for anyone.
    reasons: u16,
}

impl Eligibility {
    fn exclude(&mut self, reason: Reason, mask: u64) {
        self.excluded[reason as usize] |= mask;
        self.reasons |= 1 << reason as u16;
    }

    /// Whether somebody could whom this request has not tried.
    pub(crate) const fn is_fresh(&self, tried: u64) -> bool {
        self.eligible & !tried != 0
    }

    /// Who is neither out, nor to be probed, nor standby.
    pub(crate) const fn ordinary(&self) -> u64 {
        !(self.panicked | self.probes | self.standby)
    }

    /// Who is held up by what passes by itself: a rest, a breaker, a limit.
    pub(crate) const fn held_up(&self) -> u64 {
        self.excluded[Reason::Cooling as usize]
            | self.excluded[Reason::Open as usize]
            | self.excluded[Reason::Limit as usize]
            | self.excluded[Reason::Parallel as usize]
    }

    /// What alone keeps the request from every member, if one thing does; of a budget, not yet
    /// whose.
    pub(crate) fn unfit(&self, group: &Group) -> Unfit {
        let all = group.present;
        let of = |reason: Reason| self.excluded[reason as usize];
        let (too_long, too_dear) = (of(Reason::Context), of(Reason::Budget));
        let others = of(Reason::Disabled) | of(Reason::Tags) | of(Reason::Region);
        if too_dear != 0 && others | too_long | too_dear | of(Reason::Barred) == all {
            Unfit::Budget(0)
        } else if too_long != 0 && others | too_long == all {
            Unfit::Length
        } else if others | too_long | of(Reason::Barred) == all {
            Unfit::Kind
        } else {
            Unfit::Not
        }
    }

    /// What a dispatch to `member` is told as: what is out of the ordinary about the member, else
    /// what led to it.
    pub(crate) const fn cause(&self, member: usize, otherwise: Cause) -> Cause {
        let bit = 1 << member;
        if self.panicked & bit != 0 {
            Cause::Panic
        } else if self.probes & bit != 0 {
            Cause::Probe
        } else if self.standby & bit != 0 {
            Cause::Standby
        } else {
            otherwise
        }
    }
}

impl Router {
    /// Looks at every member of a group on behalf of a flight.
    pub(crate) fn eligibility(&self, flight: &Flight, group_id: GroupId) -> Eligibility {
        let mut found = Eligibility::default();
        let group = self.config.group(group_id);
        let unfit = if flight.aside == NEVER {
            if group.is_plain { 0 } else { self.unfit(flight, group, &mut found) }
        } else {
            self.unfit_aside(flight, group, &mut found)
        };
        for (bit, member) in members(group, group.present & !unfit) {
            let index = bit.trailing_zeros() as usize;
            let breaks = member.breaker == BreakerMode::Enforce;
            if breaks && !self.is_closed(group_id, index) {
                found.probes |= bit;
            }
            let obstacle = if self.is_barred(flight.id, member.deployment) {
                Some(Reason::Barred)
            } else if self.health.of(member.deployment).cooling_until() > self.now {
                Some(Reason::Cooling)
            } else if breaks && self.is_shut(group_id, index) {
                Some(Reason::Open)
            } else {
                self.shortage(flight, member)
            };
            match obstacle {
                Some(reason) => found.exclude(reason, bit),
                None => found.able |= bit,
            }
        }
        if !group.panic.is_zero() {
            self.panic(flight, group_id, &mut found);
        }
        found.narrow(group, if group_id == flight.group() { flight.tried } else { 0 });
        found
    }

    /// The same of a request that has something beside its slot, and whom its subjects' budgets
    /// have no room for.
    #[inline(never)]
    fn unfit_aside(&self, flight: &Flight, group: &Group, found: &mut Eligibility) -> u64 {
        let plain = group.is_plain && self.aside(flight).asks_for_all();
        let unfit = if plain { 0 } else { self.unfit(flight, group, found) };
        let dear = self.unaffordable(flight, group) & group.present & !unfit;
        if dear != 0 {
            found.exclude(Reason::Budget, dear);
        }
        unfit | dear
    }

    /// Who could not serve this request at any time: excludes them, and gives their mask.
    #[cold]
    fn unfit(&self, flight: &Flight, group: &Group, found: &mut Eligibility) -> u64 {
        let aside = self.aside(flight);
        let tagged = group.tagged(aside.tags);
        let mut unfit = 0;
        for (bit, member) in members(group, group.present) {
            let reason = if member.breaker == BreakerMode::ForcedOpen {
                Reason::Disabled
            } else if tagged & bit == 0 {
                Reason::Tags
            } else if aside.region != 0 && aside.region != member.region {
                Reason::Region
            } else if flight.length() > u64::from(member.context) {
                Reason::Context
            } else {
                continue;
            };
            found.exclude(reason, bit);
            unfit |= bit;
        }
        unfit
    }

    /// Whether a limit has no room. Asked of every member for every attempt: a call for each would
    /// be a tenth of the answer's cost.
    #[inline(always)]
    fn shortage(&self, flight: &Flight, member: &Member) -> Option<Reason> {
        if self.is_withheld(member.deployment) {
            return Some(Reason::Limit);
        }
        let charge = flight.charge();
        let mut full = self.is_saturated(member.deployment);
        for limit in &self.config.deployment(member.deployment).limits {
            let limit = &self.limits[limit.index()];
            if !limit.admits(charge, self.now) {
                return Some(Reason::Limit);
            }
            full |= !limit.has_room();
        }
        full.then_some(Reason::Parallel)
    }

    /// If too few of a group are healthy, those that are out are used all the same, but for what
    /// a provider asked for.
    #[cold]
    fn panic(&self, flight: &Flight, group_id: GroupId, found: &mut Eligibility) {
        let group = self.config.group(group_id);
        let weighted = group
            .present()
            .filter(|(_, member)| member.weight > 0 && member.breaker != BreakerMode::ForcedOpen);
        let (mut all, mut healthy) = (0_u64, 0_u64);
        for (index, member) in weighted {
            all += 1;
            healthy += u64::from(!self.is_out(group_id, index, member));
        }
        if all == 0 || group.panic.reached_by(healthy, all) {
            return;
        }
        let out = found.excluded[Reason::Cooling as usize] | found.excluded[Reason::Open as usize];
        for (bit, member) in members(group, out) {
            if self.health.of(member.deployment).may_be_pressed(self.now)
                && self.shortage(flight, member).is_none()
            {
                found.able |= bit;
                found.panicked |= bit;
            }
        }
        for reason in [Reason::Cooling, Reason::Open] {
            found.excluded[reason as usize] &= !found.panicked;
        }
    }

    /// Whether a member rests, or stands behind a breaker that is not closed.
    pub(crate) fn is_out(&self, group: GroupId, index: usize, member: &Member) -> bool {
        self.health.of(member.deployment).cooling_until() > self.now
            || match member.breaker {
                BreakerMode::ForcedOpen => true,
                BreakerMode::Enforce => !self.is_closed(group, index),
                BreakerMode::Observe | BreakerMode::Disabled => false,
            }
    }

    /// When somebody of a group could serve, if nothing else changes: never where only a word of
    /// a silent peer would help. A full parallel limit or a
    /// probe in flight opens at no time that could be told; it counts as now, so that the wait is
    /// the backoff alone.
    #[cold]
    pub(crate) fn earliest(&self, flight: &Flight, group_id: GroupId) -> Option<Time> {
        self.returns(flight, group_id, false).min()
    }

    /// When somebody of a group could serve, as [`Self::earliest`] has it, and when time alone may
    /// next let somebody serve who cannot now: where calls in flight are in the way, that is no
    /// time that could be told.
    #[cold]
    pub(crate) fn chances(&self, flight: &Flight, group_id: GroupId) -> [Option<Time>; 2] {
        let least = |known: Option<Time>, at| Some(known.map_or(at, |known: Time| known.min(at)));
        let mut chances = [None; 2];
        let panics = !self.config.group(group_id).panic.is_zero();
        for at in self.returns(flight, group_id, false) {
            chances[0] = least(chances[0], at);
            if at > self.now {
                chances[1] = least(chances[1], at);
            }
        }
        if panics {
            let pressed = self.returns(flight, group_id, true);
            chances[1] = pressed.filter(|at| *at > self.now).fold(chances[1], least);
        }
        if flight.aside != NEVER {
            // A budget's next period may have room beside what is reserved.
            let members = self.config.group(group_id).present();
            let paid = members.filter_map(|(_, m)| self.affords_at(flight, m.deployment, true));
            chances[1] = paid.filter(|at| *at > self.now).fold(chances[1], least);
        }
        chances
    }

    /// When each member of a group that may ever serve a request could, if nothing else changes;
    /// or, `pressed`, if its group were in panic.
    fn returns(
        &self,
        flight: &Flight,
        group_id: GroupId,
        pressed: bool,
    ) -> impl Iterator<Item = Time> {
        let charge = flight.charge();
        let group = self.config.group(group_id);
        let aside = self.aside(flight);
        let tagged = group.tagged(aside.tags);
        let (id, length) = (flight.id, flight.length());
        let able = group.present().filter(move |(index, member)| {
            member.breaker != BreakerMode::ForcedOpen
                && tagged & 1 << index != 0
                && (aside.region == 0 || aside.region == member.region)
                && length <= u64::from(member.context)
                && !self.is_barred(id, member.deployment)
                && !self.is_withheld(member.deployment)
        });
        able.filter_map(move |(index, member)| {
            let state = self.health.of(member.deployment);
            let rest = if pressed { state.asked_until() } else { state.cooling_until() };
            let mut awake = self.now.max(rest);
            if member.breaker == BreakerMode::Enforce && !pressed {
                awake = awake.max(self.shut_until(group_id, index));
            }
            if flight.aside != NEVER {
                awake = awake.max(self.affords_at(flight, member.deployment, false)?);
            }
            let limits = &self.config.deployment(member.deployment).limits;
            limits.iter().try_fold(awake, |latest, limit| {
                let at = self.limits[limit.index()].earliest(charge, self.now)?;
                Some(latest.max(at))
            })
        })
    }

    /// Tells why members were excluded.
    pub(crate) fn explain(&mut self, flight: &Flight, group: GroupId, found: &Eligibility) {
        let attempt = flight.next_attempt();
        let mut reasons = found.reasons;
        while reasons != 0 {
            let reason = Reason::ALL[reasons.trailing_zeros() as usize];
            reasons &= reasons - 1;
            let mask = found.excluded[reason as usize];
            if mask != 0 {
                let told = Observation::Excluded { attempt, group, reason, mask };
                self.outputs.push(Output::Observe(told));
                if reason == Reason::Budget {
                    let config = alloc::sync::Arc::clone(&self.config);
                    self.tell_refusals(flight, config.group(group), mask);
                }
            }
        }
    }
}

impl Eligibility {
    /// From who is able to who is eligible: standby serves only where no weighted member of its
    /// tier is left for the request, tried members only if there is no other, and of what remains
    /// the lowest tier.
    fn narrow(&mut self, group: &Group, tried: u64) {
        let mut rest = self.able;
        if group.has_standby {
            self.standby = members(group, rest)
                .filter(|(_, member)| member.weight == 0)
                .fold(0, |mask, (bit, _)| mask | bit);
            let served = |tier: u8| {
                members(group, rest & !self.standby & !tried).any(|(_, m)| m.tier == tier)
            };
            let idle = members(group, self.standby).filter(|(_, member)| served(member.tier));
            let mask = idle.fold(0, |mask, (bit, _)| mask | bit);
            self.exclude(Reason::Weight, mask);
            rest &= !mask;
        }
        if rest & tried != 0 && rest & !tried != 0 {
            self.exclude(Reason::Tried, rest & tried);
            rest &= !tried;
        }
        if rest & (rest.wrapping_sub(1)) != 0 {
            let lowest = members(group, rest).map(|(_, m)| m.tier).min();
            let above = members(group, rest).filter(|(_, m)| Some(m.tier) != lowest);
            let mask = above.fold(0, |mask, (bit, _)| mask | bit);
            self.exclude(Reason::Tier, mask);
            rest &= !mask;
        }
        self.eligible = rest;
    }
}

/// The members of a mask, each with its bit.
pub(crate) fn members(group: &Group, mask: u64) -> impl Iterator<Item = (u64, &Member)> {
    let mut left = mask;
    core::iter::from_fn(move || {
        let index = left.trailing_zeros() as usize;
        let member = group.members.get(index).filter(|_| left != 0)?;
        left &= left - 1;
        Some((1 << index, member))
    })
}
