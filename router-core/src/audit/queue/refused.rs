//! Who need not wait, or no longer: what its group's queue or bound refuses.

use alloc::format;
use alloc::vec::Vec;

use super::{Said, cost, kin, room};
use crate::audit::flight::Flight;
use crate::audit::{Answer, Auditor, Invariant};
use crate::{Observation, Order, Output, Rejection, RequestId, Span, Time};

fn wrong(what: &str) -> Said {
    Some((Invariant::WorkConservation, format!("is turned away, though {what}")))
}

impl Auditor {
    /// Whether a request may be refused for what its group's queue or bound says.
    pub(in crate::audit) fn is_turned_away(&self, flight: &Flight, why: Rejection) -> Said {
        let (said, at) = match why {
            Rejection::GroupFull => return self.has_place(flight),
            Rejection::QueueFull(at) => (self.has_room(flight), at),
            Rejection::QueueTimeout(at) => (self.may_wait(flight), at),
            Rejection::Shed(at) => (self.need_not_yield(flight), at),
            Rejection::Drain
            | Rejection::NoDeployment(_)
            | Rejection::TooLong
            | Rejection::Full
            | Rejection::Subject { .. }
            | Rejection::Budget { .. }
            | Rejection::Accounts
            | Rejection::Duplicate => return None,
        };
        said.or_else(|| self.misleads(flight, at))
    }

    /// Whether a request that was never tried has to wait, instead of what its ladder has below;
    /// `None` if neither queue nor bound says anything of that.
    pub(in crate::audit) fn has_to_wait(&self, flight: &Flight) -> Option<bool> {
        let has_queue = self.config.group(flight.request.group).queue.is_some();
        if flight.queued.is_none() && !has_queue {
            return self.has_place(flight).is_none().then_some(false);
        }
        let hopeless = self.too_dear(flight) != Answer::No
            || self.too_long(flight)
            || self.is_stranded(flight, None).is_none();
        let refused = self.has_room(flight).is_none()
            || self.may_wait(flight).is_none()
            || self.need_not_yield(flight).is_none();
        Some(!hopeless && !refused)
    }

    /// Whether a request that waits begins to step down, and nothing spoke for that before the input
    /// of this instant.
    pub(super) fn steps_early(&self, flight: &Flight, output: &Output) -> bool {
        let steps = match output {
            Output::Observe(
                Observation::Excluded { .. }
                | Observation::Selected { .. }
                | Observation::Stranded { .. }
                | Observation::Stepped { .. },
            )
            | Output::Dispatch(_) => true,
            Output::Observe(_) | Output::Abandon(..) | Output::Commit(_) | Output::Finish(..) => {
                false
            }
        };
        steps && self.has_credit(flight) == Answer::Yes && self.has_to_wait(flight) == Some(true)
    }

    /// Why its group's bound should not refuse a request.
    fn has_place(&self, flight: &Flight) -> Said {
        let home = flight.request.group;
        if self.config.group(home).queue.is_some() {
            return wrong("there is a queue");
        }
        if !self.queues.is_full(&self.config, home) {
            return wrong("its group is not full");
        }
        None
    }

    /// Why a queue should not be too full for a request, whether it waits there or comes.
    fn has_room(&self, flight: &Flight) -> Said {
        let home = flight.request.group;
        let line = &self.queues.lines[home.index()];
        if flight.queued.is_some() {
            if line.len() <= room(&self.config, home) || !line.lasts().contains(&flight.request.id)
            {
                return wrong("it has a place in the queue");
            }
            if self.idler(home).is_some() {
                return wrong("somebody could take who waits");
            }
            return None;
        }
        if self.config.group(home).queue.is_none() {
            return wrong("there is no queue");
        }
        if line.len() < room(&self.config, home) {
            return wrong("the queue is not full");
        }
        if !self.makes_room(flight).is_empty() {
            return wrong("others should make room");
        }
        if !line.blocks(kin(&self.config, &flight.request))
            && self.takes(flight, flight.at) == Answer::Yes
        {
            return wrong("somebody could take it at once");
        }
        None
    }

    /// Why a wait should not be over.
    fn may_wait(&self, flight: &Flight) -> Said {
        match flight.patience() {
            Some(end) if end <= self.now => None,
            Some(end) => {
                let detail = format!("has waited too long, it is said, but may until {end}");
                Some((Invariant::TimeMonotone, detail))
            }
            None => wrong("it does not wait"),
        }
    }

    /// Why a request that waits should not make room for the newcomer.
    fn need_not_yield(&self, flight: &Flight) -> Said {
        let home = flight.request.group;
        let newcomer = self.queues.newcomer.and_then(|id| self.flights.get(&id));
        let newcomer = newcomer.filter(|n| n.request.group == home && n.deciding);
        let Some(newcomer) = newcomer.filter(|_| flight.queued.is_some()) else {
            return wrong("nobody comes");
        };
        let full = self.queues.lines[home.index()].len() >= room(&self.config, home);
        if full && self.makes_room(newcomer).contains(&flight.request.id) {
            return None;
        }
        wrong("it should not make room")
    }

    /// Who might make room for a newcomer.
    fn makes_room(&self, flight: &Flight) -> Vec<RequestId> {
        let config = &*self.config;
        let (home, deadline) = (flight.request.group, flight.deadline);
        let order = config.group(home).queue.map_or(Order::Fifo, |queue| queue.order);
        let comes_last = |other: RequestId| match order {
            Order::Fifo => true,
            Order::Lifo => false,
            Order::Deadline => self.flights.get(&other).is_none_or(|o| o.deadline <= deadline),
        };
        let newcomer = (kin(config, &flight.request), cost(config, &flight.request));
        self.queues.lines[home.index()].gives_way(newcomer, comes_last)
    }

    /// Whether a time worth trying is none.
    fn misleads(&self, flight: &Flight, said: Time) -> Said {
        let line = &self.queues.lines[flight.request.group.index()];
        let (class, own) = (flight.kin(&self.config).0, usize::from(flight.queued.is_some()));
        let ahead = line.waiting(class) - own;
        let least = self.now + Span::from_nanos(line.interval) * (ahead as u64 + 1);
        let groups = core::iter::once(flight.request.group);
        let groups = groups.chain(self.candidates(flight, self.detour(flight)));
        let latest = groups.filter_map(|group| self.latest(flight, group)).min();
        let most = latest.map_or(Time::MAX, |latest| latest.max(least));
        let wrong = said < least || said > most;
        wrong.then(|| {
            let detail = format!("is told to come back at {said}, not from {least} to {most}");
            (Invariant::WorkConservation, detail)
        })
    }
}
