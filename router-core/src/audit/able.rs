//! Who could take a request.

use super::flight::Flight;
use super::{Answer, Auditor};
use crate::{BreakerMode, Detour, GroupId, Reason, Time};

/// Whether a member could take a request, whatever it tried before.
#[derive(Clone, Copy, Debug)]
pub(super) struct Able {
    /// Whether it neither rests nor has an open breaker.
    pub(super) awake: Answer,
    /// Whether its group is in panic, and nothing forbids it to serve all the same.
    pub(super) rescued: Answer,
    /// Whether everything else is well.
    pub(super) fits: Answer,
}

impl Able {
    const NOT: Self = Self { awake: Answer::No, rescued: Answer::No, fits: Answer::No };

    pub(super) const fn at_all(self) -> Answer {
        self.awake.or(self.rescued).and(self.fits)
    }

    pub(super) const fn without_panic(self) -> Answer {
        self.awake.and(self.fits)
    }
}

impl Auditor {
    /// What keeps a member from taking this request that time never changes.
    pub(super) fn unfit(&self, flight: &Flight, group: GroupId, index: usize) -> Option<Reason> {
        let group = self.config.group(group);
        let (member, request) = (&group.members[index], &flight.request);
        let output = u64::from(request.output_max.unwrap_or(0));
        let tagged = request.tags != 0 || !self.config.tags().is_empty();
        if member.breaker == BreakerMode::ForcedOpen {
            Some(Reason::Disabled)
        } else if tagged && group.tagged(request.tags) >> index & 1 == 0 {
            Some(Reason::Tags)
        } else if request.region != 0 && request.region != member.region {
            Some(Reason::Region)
        } else if u64::from(request.input_tokens) + output > u64::from(member.context) {
            Some(Reason::Context)
        } else {
            None
        }
    }

    pub(super) fn able(&self, flight: &Flight, group: GroupId, index: usize, at: Time) -> Able {
        let config = &*self.config;
        let deployment = config.group(group).members[index].deployment;
        if self.unfit(flight, group, index).is_some()
            || flight.barred.contains(&deployment)
            || self.is_full(deployment)
            || self.limits.closed(config, deployment, at)
        {
            return Able::NOT;
        }
        let fits = self.limits.take(config, deployment, at, flight.take());
        let fits = fits.and(self.affords(flight, deployment, at));
        if fits == Answer::No {
            return Able::NOT;
        }
        let rested = self.health.resting(deployment, at).not();
        let awake = rested.and(self.health.admits(config, group, index, at));
        let rescued = match awake {
            Answer::Yes => Answer::No,
            Answer::No | Answer::Maybe => self.health.rescues(config, group, deployment, at),
        };
        Able { awake, rescued, fits }
    }

    pub(super) fn could(&self, flight: &Flight, group: GroupId, index: usize, at: Time) -> Answer {
        self.able(flight, group, index, at).at_all()
    }

    /// Some member of a group, but for `spare`, that could certainly take this request. Whether a
    /// weighted one or a standby: if somebody of either kind could, somebody is eligible.
    pub(super) fn somebody(
        &self,
        flight: &Flight,
        group: GroupId,
        spare: u64,
        at: Time,
    ) -> Option<usize> {
        let members = self.config.group(group).present().map(|(index, _)| index);
        members
            .filter(|index| spare & 1 << index == 0)
            .find(|&index| self.could(flight, group, index, at) == Answer::Yes)
    }

    /// Whether certainly nobody of the present group could take this request.
    pub(super) fn nobody(&self, flight: &Flight, at: Time) -> bool {
        let mut members = self.config.group(flight.group).present();
        members.all(|(index, _)| self.could(flight, flight.group, index, at) == Answer::No)
    }

    /// Where a request goes if its group does not serve it.
    pub(super) fn detour(&self, flight: &Flight) -> Detour {
        match &flight.failed {
            Some(_) => flight.kept,
            None if self.too_small(flight, flight.request.group) => Detour::ContextWindow,
            None => Detour::Any,
        }
    }

    /// Whether a request is too long for every member of a group that might take such a one.
    fn too_small(&self, flight: &Flight, group: GroupId) -> bool {
        let members = self.config.group(group).present();
        let mut unfit = members.map(|(index, _)| self.unfit(flight, group, index));
        unfit.clone().all(|reason| reason.is_some())
            && unfit.any(|reason| reason == Some(Reason::Context))
    }

    /// Whether a request is too long for everybody it might go to.
    pub(super) fn too_long(&self, flight: &Flight) -> bool {
        let home = flight.request.group;
        self.too_small(flight, home)
            && self
                .candidates(flight, Detour::ContextWindow)
                .all(|group| self.too_small(flight, group))
    }

    /// The groups that a request may still fall back to, in their order; some may come twice.
    pub(super) fn candidates(
        &self,
        flight: &Flight,
        detour: Detour,
    ) -> impl Iterator<Item = GroupId> {
        let visited = flight.visited;
        let present = self.config.group(flight.group).chain(detour);
        let home = self.config.group(flight.request.group).chain(detour);
        let both = present.iter().chain(home).copied();
        // From a rung of a ladder nothing leads back up.
        let free = flight.rung.is_none();
        both.filter(move |group| free && visited & 1 << group.index() == 0)
    }

    /// Some group that a request may fall back to, before `end`, with somebody who could
    /// certainly take it.
    pub(super) fn elsewhere(
        &self,
        flight: &Flight,
        end: Option<GroupId>,
        at: Time,
    ) -> Option<GroupId> {
        self.candidates(flight, self.detour(flight))
            .take_while(|&group| Some(group) != end)
            .find(|&group| self.somebody(flight, group, 0, at).is_some())
    }

    /// When somebody of a group can take this request at the latest, if nothing else happens.
    pub(super) fn latest(&self, flight: &Flight, group: GroupId) -> Option<Time> {
        let (config, at) = (&*self.config, flight.at);
        let take = flight.take();
        let members = config.group(group).present();
        members
            .filter(|(index, _)| self.unfit(flight, group, *index).is_none())
            .filter(|(_, m)| !flight.barred.contains(&m.deployment))
            .filter(|(_, m)| !self.is_full(m.deployment))
            .filter(|(_, m)| !self.limits.closed(config, m.deployment, at))
            .filter_map(|(index, m)| {
                let limits = self.limits.latest(config, m.deployment, at, take)?;
                let opens = self.health.opens(config, group, index, at);
                let limits = limits.max(self.affords_at(flight, m.deployment)?);
                Some(limits.max(self.health.latest(m.deployment, at)).max(opens))
            })
            .min()
    }
}
