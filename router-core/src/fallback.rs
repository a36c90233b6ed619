//! Where a request goes when its group does not serve it.

use crate::flight::Flight;
use crate::router::Router;
use crate::select::Eligibility;
use crate::{Cause, Detour, GroupId, Observation, Time};

/// What a group, or a chain of them, had to offer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Nobody {
    /// When somebody could serve, if nothing else changes.
    pub(crate) earliest: Option<Time>,
    /// Whether the prompt is too long for everybody.
    pub(crate) too_long: bool,
}

impl Nobody {
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            earliest: self.earliest.into_iter().chain(other.earliest).min(),
            too_long: self.too_long && other.too_long,
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
        Nobody { earliest, too_long: found.is_too_long(self.config.group(group)) }
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
    /// that the group asked for leads to.
    fn next_group(&self, flight: &Flight, detour: Detour, seen: u64) -> Option<GroupId> {
        let present = self.config.group(flight.group()).chain(detour);
        let home = self.config.group(flight.home()).chain(detour);
        let mut chain = present.iter().chain(home).copied();
        chain.find(|group| seen & 1 << group.index() == 0)
    }
}
