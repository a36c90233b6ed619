//! Where a request goes when its group does not serve it.

use crate::flight::{DEGRADED, Flight};
use crate::router::Router;
use crate::select::Eligibility;
use crate::{Cause, Detour, GroupId, Observation, Rejection, Time};

/// What a group, or a chain of them, had to offer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Nobody {
    /// When somebody could serve, if nothing else changes.
    pub(crate) earliest: Option<Time>,
    /// What alone keeps everybody from it, if one thing does.
    pub(crate) unfit: Unfit,
}

/// What keeps a request from everybody that might take such a one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Unfit {
    /// Nothing in particular.
    Not,
    /// What time does not change, but for length alone.
    Kind,
    /// Its length.
    Length,
    /// A budget of its subject of this kind.
    Budget(u8),
}

impl Nobody {
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            earliest: self.earliest.into_iter().chain(other.earliest).min(),
            unfit: self.unfit.and(other.unfit),
        }
    }

    /// Why a request is refused that nobody will ever take, or that cannot pay for anybody.
    pub(crate) const fn refusal(self) -> Option<Rejection> {
        let earliest = self.earliest;
        match (self.unfit, earliest) {
            (Unfit::Length, _) => Some(Rejection::TooLong),
            (Unfit::Budget(kind), _) => Some(Rejection::Budget { kind, earliest }),
            (Unfit::Not | Unfit::Kind, None) => Some(Rejection::NoDeployment(None)),
            (Unfit::Not | Unfit::Kind, Some(_)) => None,
        }
    }
}

impl Unfit {
    /// What is too long for some and too dear for all others could be paid for, some day.
    const fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Not, _) | (_, Self::Not) => Self::Not,
            (Self::Budget(kind), _) | (_, Self::Budget(kind)) => Self::Budget(kind),
            (Self::Length, Self::Length) => Self::Length,
            (Self::Kind | Self::Length, Self::Kind | Self::Length) => Self::Kind,
        }
    }
}

impl Router {
    /// Says that nobody of a group is eligible, and from when somebody is.
    #[cold]
    pub(crate) fn strand(&mut self, slot: u32, group: GroupId, found: &Eligibility) -> Nobody {
        let flight = *self.flight(slot);
        let earliest = self.earliest(&flight, group);
        self.observe(Observation::Stranded { attempt: flight.next_attempt(), group, earliest });
        Nobody { earliest, unfit: self.unfitness(&flight, group, found) }
    }

    /// What alone keeps a request from everybody of a group.
    pub(crate) fn unfitness(&self, flight: &Flight, group: GroupId, found: &Eligibility) -> Unfit {
        let known = self.config.group(group);
        match found.unfit(known) {
            Unfit::Budget(_) => Unfit::Budget(self.refusing_kind(flight, known)),
            unfit @ (Unfit::Not | Unfit::Kind | Unfit::Length) => unfit,
        }
    }

    /// Dispatches in the first group that `detour` leads to, was not visited and can serve; else
    /// tells what they had to offer, or `None` if there is no such group.
    #[cold]
    pub(crate) fn fall_back(&mut self, slot: u32, detour: Detour) -> Result<(), Option<Nobody>> {
        let flight = *self.flight(slot);
        let mut seen = flight.visited;
        let mut nobody: Option<Nobody> = None;
        while let Some(group) = self.next_group(&flight, detour, seen) {
            seen |= 1 << group.index();
            let found = self.eligibility(&flight, group);
            self.explain(&flight, group, &found);
            if found.eligible != 0 {
                self.dispatch(slot, group, &found, Cause::Fallback);
                return Ok(());
            }
            let here = self.strand(slot, group, &found);
            nobody = Some(nobody.map_or(here, |others| others.and(here)));
        }
        Err(nobody)
    }

    /// The next group that a request may go to: those that the present one leads to, then those
    /// that the group asked for leads to. From a rung of a ladder nothing leads back up.
    fn next_group(&self, flight: &Flight, detour: Detour, seen: u64) -> Option<GroupId> {
        if flight.lead.is(DEGRADED) {
            return None;
        }
        let present = self.config.group(flight.group()).chain(detour);
        let home = self.config.group(flight.home()).chain(detour);
        let mut chain = present.iter().chain(home).copied();
        chain.find(|group| seen & 1 << group.index() == 0)
    }
}
