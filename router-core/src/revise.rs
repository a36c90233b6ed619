//! Another configuration takes over while requests are in flight.
//!
//! Numbers keep their meaning ([`Config::fits`]), so state stays where it is and only grows. What
//! is in flight goes on under the new policies, at the members and keys it was dispatched to; what
//! is removed is sent nothing new.

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::budget::Budget;
use crate::flight::Try;
use crate::limit::Limit;
use crate::router::Router;
use crate::{Config, DeploymentId, LimitId, Observation, RequestId, Restart, Seed, Table, Time};

impl Router {
    #[cold]
    pub(crate) fn reconfigure(&mut self, next: Arc<Config>) {
        if !self.config.fits(&next) {
            self.observe(Observation::Misfit);
            return;
        }
        let next = next.begun(self.config.router().periods_began);
        let last = core::mem::replace(&mut self.config, next);
        let next = Arc::clone(&self.config);
        for (limit, checked) in self.limits.iter_mut().zip(next.limits()) {
            limit.revise(&checked.spec);
        }
        if last.router().peers != next.router().peers {
            self.peers.since = self.now;
        }
        self.peers.look(&next);
        let new = next.limits()[self.limits.len()..].iter();
        self.limits.extend(new.map(|limit| Limit::new(&limit.spec)));
        self.move_calls(&last, &next);
        self.revise_accounts(&last);
        self.credits.revise(&last, &next);
        self.estimates.revise(&next);
        self.asides.revise(&next);
        self.health.revise(&last, &next, (self.start, self.now));
        self.adaptives.revise(&next, self.now, |of| self.health.of(of).in_flight);
        if last.router().retry_budget.window != next.router().retry_budget.window {
            self.budget = Budget::new(&next.router().retry_budget, self.start);
        }
        self.make_room(next.router().in_flight as usize);
        // Timeouts may have changed: every live deadline moves with them, or begins to count.
        self.requeue(&last);
        for slot in self.seated() {
            if self.flight(slot).is_queued() {
                self.wait_anew(slot);
            } else {
                self.rearm(slot);
            }
        }
        for (index, deployment) in next.deployments().iter().enumerate() {
            let was_there = last.deployments().get(index).is_some_and(|known| !known.removed);
            if deployment.removed && was_there {
                self.tell_if_drained(DeploymentId::at(index));
            }
        }
        self.clear_queues();
    }

    /// Another process takes its place, with what a snapshot kept of it or with nothing.
    ///
    /// # Panics
    /// If something is in flight: no process would know of it.
    #[cold]
    pub(crate) fn begin_anew(&mut self, now: Time, restart: Restart) {
        assert!(self.in_flight() == 0, "cancel what is in flight before a restart");
        let (config, keys) = (Arc::clone(&self.config), self.keys);
        // The draws' keys are put back below, whatever the seed.
        let seed = Seed::from_u64(0);
        *self = match restart {
            Restart::Restored => {
                Self::restore(config, seed, &self.snapshot()).expect("it was just written")
            }
            // Periods end when they do, whoever counts them.
            Restart::Empty => {
                let began = config.router().periods_began + now.since(self.start);
                Self::new(config.begun(began), seed, now)
            }
        };
        self.keys = keys;
    }

    /// A removed deployment whose last call has ended is done.
    #[cold]
    pub(crate) fn tell_if_drained(&mut self, deployment: DeploymentId) {
        if self.health.of(deployment).in_flight == 0 {
            self.observe(Observation::Drained { deployment });
        }
    }

    /// The slots in use, in the order in which their timers were armed; those without one last, by
    /// id: another router may have the same requests in other slots.
    #[cold]
    pub(crate) fn seated(&self) -> Vec<u32> {
        let mut seated: Vec<u32> = (0..self.flights.len() as u32)
            .filter(|slot| self.slot_of(self.flight(*slot).id) == Some(*slot))
            .collect();
        seated.sort_by_key(|slot| {
            let order = self.timers.armed(*slot).map_or(u64::MAX, |(_, order)| order);
            (order, self.flight(*slot).id)
        });
        seated
    }

    /// Calls in flight where limits changed leave those that are not theirs any more, and are
    /// charged, whether they pass or not, on those that are now. Late news of attempts that were
    /// dropped there corrects nothing.
    fn move_calls(&mut self, last: &Config, next: &Config) {
        let of = |config: &Config, deployment: DeploymentId| -> Vec<LimitId> {
            config.deployment(deployment).limits.clone()
        };
        for slot in self.seated() {
            let flight = *self.flight(slot);
            let twin = self.twin(&flight).copied();
            for attempt in [Some(flight.lead), twin].into_iter().flatten().filter(Try::is_live) {
                let before = of(last, attempt.deployment);
                let after = of(next, attempt.deployment);
                for limit in before.iter().filter(|limit| !after.contains(limit)) {
                    self.limits[limit.index()].leave();
                }
                for limit in after.iter().filter(|limit| !before.contains(limit)) {
                    self.limits[limit.index()].reserve(flight.charge(), self.now);
                }
            }
        }
        self.dropped.retain(|dropped| of(last, dropped.deployment) == of(next, dropped.deployment));
    }

    /// Lets the tables grow to what may be in flight now. They never shrink.
    fn make_room(&mut self, most: usize) {
        if most <= self.slots.capacity() {
            return;
        }
        let mut slots = Table::with_capacity(most);
        let ids: Vec<(RequestId, u32)> =
            self.seated().into_iter().map(|slot| (self.flight(slot).id, slot)).collect();
        ids.into_iter().for_each(|(id, slot)| slots.insert(id.as_u64(), slot));
        self.slots = slots;
        self.flights.reserve_exact(most - self.flights.len());
        self.free.reserve_exact(most.saturating_sub(self.free.len()));
        self.timers.reserve(most);
    }
}
