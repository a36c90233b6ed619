//! Another configuration takes over while requests wait.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::{Kin, Lanes, turn};
use crate::flight::Flight;
use crate::router::Router;
use crate::{Config, GroupId, Order, Rejection, RequestId, Time};

impl Router {
    /// Those that wait line up anew where their queue, or the classes, changed.
    pub(crate) fn requeue(&mut self, last: &Config) {
        let next = Arc::clone(&self.config);
        let seated = self.seated();
        let flights = seated.iter().map(|slot| self.flight(*slot));
        let busy: Vec<GroupId> =
            flights.filter(|flight| flight.tally.made() > 0).map(Flight::home).collect();
        self.queues.revise(&next, busy.into_iter());
        for group in (0..next.groups().len()).map(GroupId::at) {
            if !last.keeps_line(&next, group) {
                self.line_up_anew(last, group);
            }
        }
    }

    /// Everybody who waits for a group comes again, in order of arrival. A queue that is gone
    /// becomes one without room, so that whoever can still goes in its turn.
    fn line_up_anew(&mut self, last: &Config, group: GroupId) {
        let next = Arc::clone(&self.config);
        let spec = next.group(group).queue;
        let old = self.queues.of[group.index()].take();
        let fair = spec.and_then(|queue| queue.fair);
        let mut all: Vec<(Time, RequestId, u32, Kin)> = Vec::new();
        for lane in old.iter().flat_map(|old| &old.lanes) {
            let class = last.class_in(&next, lane.kin.class);
            for slot in old.iter().flat_map(|old| old.slots(lane)) {
                let flight = self.flight(slot);
                let subject = fair.map_or(0, |kind| self.payer(flight).subjects[usize::from(kind)]);
                let kin = Kin { class, subject, ..lane.kin };
                all.push((flight.submitted, flight.id, slot, kin));
            }
        }
        if spec.is_none() && all.is_empty() {
            return;
        }
        all.sort_unstable_by_key(|(came, id, ..)| (*came, *id));
        let mut lanes =
            spec.map_or_else(|| Lanes::new(0, Order::Fifo), |q| Lanes::new(q.size, q.order));
        for (_, _, slot, kin) in all {
            let deadline = self.flight(slot).deadline;
            let precedes = |other: u32| self.flight(other).deadline <= deadline;
            let place = lanes.join(slot, (kin, turn(&next, fair, kin.subject)), self.now, precedes);
            self.flight_mut(slot).lead.seen = place;
        }
        if let Some(old) = old {
            (lanes.departed, lanes.interval) = (old.departed, old.interval);
        }
        self.queues.of[group.index()] = Some(lanes);
    }

    /// Whoever can goes. Of queues that have less room than before the last are refused, one by
    /// one: each may have held up another.
    pub(crate) fn clear_queues(&mut self) {
        self.pump();
        for group in (0..self.config.groups().len()).map(GroupId::at) {
            let crowded = |router: &Self| router.queues.of(group)?.crowded_out();
            while let Some(slot) = crowded(self) {
                self.turn_out(slot, Rejection::QueueFull);
                self.pump();
            }
            if self.config.group(group).queue.is_none() {
                self.queues.of[group.index()] = None;
            }
        }
    }
}
