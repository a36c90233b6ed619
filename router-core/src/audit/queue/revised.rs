//! Those that wait when another configuration takes over.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::{Line, cost, patience, room, subject};
use crate::audit::Auditor;
use crate::{Config, GroupId, Order, RequestId, Time};

impl Auditor {
    /// Who waits waits as the new configuration has it. Where the queue or the classes changed,
    /// everybody lines up again in order of arrival, whether there is room or not.
    pub(in crate::audit) fn requeue(&mut self, last: &Config) {
        let config = Arc::clone(&self.config);
        let groups = config.groups().len();
        self.queues.lines.resize_with(groups, Line::default);
        self.queues.busy.resize(groups, 0);
        for group in (0..groups).map(GroupId::at) {
            if !last.keeps_line(&config, group) {
                self.line_up_anew(last, group);
            }
        }
        let now = self.now;
        for flight in self.flights.values_mut().filter(|flight| flight.queued.is_some()) {
            flight.queued = Some((patience(&config, flight), now));
        }
    }

    fn line_up_anew(&mut self, last: &Config, home: GroupId) {
        let config = Arc::clone(&self.config);
        let old = core::mem::take(&mut self.queues.lines[home.index()]);
        let order = config.group(home).queue.map_or(Order::Fifo, |queue| queue.order);
        let waiting = self.flights.values_mut().filter(|flight| flight.queued.is_some());
        let waiting = waiting.filter(|flight| flight.request.group == home);
        let mut waiting: Vec<(Time, RequestId)> = waiting
            .map(|flight| {
                if let Some(kin) = &mut flight.kin {
                    (kin.0, kin.1) =
                        (last.class_in(&config, kin.0), subject(&config, &flight.request));
                }
                (flight.submitted, flight.request.id)
            })
            .collect();
        waiting.sort_unstable();
        let mut line = Line::default();
        for (_, id) in waiting {
            let Some(flight) = self.flights.get(&id) else { continue };
            let (kin, cost) = (flight.kin(&config), cost(&config, &flight.request));
            let lane = line.join(room(&config, home), kin, cost, self.now);
            let later = |other: &RequestId| {
                self.flights.get(other).is_some_and(|other| other.deadline > flight.deadline)
            };
            lane.insert(order, id, later);
        }
        if last.groups().get(home.index()).is_some_and(|group| group.queue.is_some()) {
            (line.departed, line.interval) = (old.departed, old.interval);
        }
        self.queues.lines[home.index()] = line;
    }
}
