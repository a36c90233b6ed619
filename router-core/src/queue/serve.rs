//! Into a queue, and out of it.

use super::{Kin, turn};
use crate::account::Obstacle;
use crate::fallback::{Nobody, Unfit};
use crate::flight::{Flight, NEVER, Phase, REFUSED, TOO_LONG};
use crate::router::Router;
use crate::{Cause, Detour, GroupId, Observation, Outcome, Rejection, Request, Span, Time};

impl Router {
    /// Whether a new request may not look for its first attempt yet: others wait whom it may not
    /// overtake, or as many are on their way as may be. Then it waits as well, or is refused.
    #[inline(never)]
    pub(crate) fn must_wait(&mut self, slot: u32, request: &Request) -> bool {
        let home = request.group;
        let group = self.config.group(home);
        let blocked =
            || self.queues.waits_for(home) && self.lanes(home).blocks(self.kin(request).0);
        let may_go = !self.queues.is_full(home, group) && !blocked();
        if may_go {
            return false;
        }
        let has_queue = group.queue.is_some();
        let prospects = self.prospects(slot);
        match prospects.refusal() {
            Some(hopeless) => self.close(slot, Outcome::Reject(hopeless)),
            None if has_queue => self.line_up(slot, request, prospects.earliest),
            None => self.close(slot, Outcome::Reject(Rejection::GroupFull)),
        }
        true
    }

    /// A request that nobody can take now waits in its group's queue, if there is room for it or
    /// somebody makes room.
    #[cold]
    pub(crate) fn line_up(&mut self, slot: u32, request: &Request, earliest: Option<Time>) {
        let home = request.group;
        let own = self.kin(request);
        let class = own.0.class;
        let (now, deadline) = (self.now, self.flight(slot).deadline);
        if self.lanes(home).is_full() {
            let precedes = |other: u32| self.flight(other).deadline <= deadline;
            match self.lanes(home).victim(own, precedes) {
                Some(victim) => self.turn_out(victim, Rejection::Shed),
                None => {
                    let ahead = self.lanes(home).ahead(class);
                    let why = Rejection::QueueFull(self.worth_trying(home, ahead, earliest));
                    return self.close(slot, Outcome::Reject(why));
                }
            }
        }
        let ahead = self.lanes(home).ahead(class);
        let flights = &self.flights;
        let precedes = |other: u32| flights[other as usize].deadline <= deadline;
        let place = self.queues.of_mut(home).join(slot, own, now, precedes);
        self.queues.waiting |= 1 << home.index();
        self.queues.stirred = true;
        let flight = self.flight_mut(slot);
        (flight.lead.phase, flight.lead.seen) = (Phase::Queued, place);
        // Where it is kept to is seen when it goes.
        flight.lead.flags &= !(TOO_LONG | REFUSED);
        self.mark(slot, Time::MAX);
        let request = request.id;
        self.observe(Observation::Queued { request, group: home, class, ahead });
    }

    /// Which lane of its group's queue a request belongs to, and what a turn costs it.
    fn kin(&self, request: &Request) -> (Kin, u64) {
        let Request { group, tags, region, priority, .. } = *request;
        let fair = self.config.group(group).queue.and_then(|queue| queue.fair);
        let subject = fair.map_or(0, |kind| request.subjects[usize::from(kind)]);
        let kin = Kin { class: self.config.class(priority), region, subject, tags };
        (kin, turn(&self.config, fair, subject))
    }

    fn lanes(&self, group: GroupId) -> &super::Lanes {
        self.queues.of(group).expect("who waits has a queue to wait in")
    }

    /// Until when a request may wait in its group's queue.
    fn patience(&self, flight: &Flight) -> Time {
        let queue = self.config.group(flight.home()).queue;
        flight.submitted + queue.map_or(Span::MAX, |queue| queue.timeout)
    }

    /// The wait of a queued request ends when a new configuration says, but not before now.
    pub(crate) fn wait_anew(&mut self, slot: u32) {
        let (now, flight) = (self.now, self.flight(slot));
        let mark = self.patience(flight).min(flight.lead.mark).max(now);
        self.flight_mut(slot).lead.mark = mark;
        self.rearm(slot);
    }

    /// A queued request is looked into at `wake`, or at the end of its wait if that is earlier.
    fn mark(&mut self, slot: u32, wake: Time) {
        let mark = self.patience(self.flight(slot)).min(wake);
        if self.timers.armed(slot).is_none() || self.flight(slot).lead.mark != mark {
            self.flight_mut(slot).lead.mark = mark;
            self.rearm(slot);
        }
    }

    /// Takes a request out of its queue, for an attempt or for good.
    #[cold]
    pub(crate) fn leave_queue(&mut self, slot: u32, served: bool) {
        let flight = *self.flight(slot);
        let home = flight.home();
        let lanes = self.queues.of_mut(home);
        lanes.leave(flight.lead.seen, served);
        if lanes.is_empty() {
            self.queues.waiting &= !(1 << home.index());
        }
        self.queues.stirred = true;
        let lead = &mut self.flight_mut(slot).lead;
        (lead.phase, lead.seen) = (Phase::Waiting, 0);
    }

    /// The timer of a queued request: its wait is over, or somebody may be there for it.
    #[cold]
    pub(crate) fn look_up(&mut self, slot: u32) {
        let flight = self.flight(slot);
        if flight.lead.mark < self.patience(flight) {
            self.queues.stirred = true;
            self.mark(slot, Time::MAX);
        } else {
            self.turn_out(slot, Rejection::QueueTimeout);
        }
    }

    /// Refuses a request that waits.
    pub(super) fn turn_out(&mut self, slot: u32, why: impl FnOnce(Time) -> Rejection) {
        let flight = *self.flight(slot);
        let home = flight.home();
        let class = self.lanes(home).kin(flight.lead.seen).class;
        let ahead = self.lanes(home).ahead(class) - 1;
        let at = self.worth_trying(home, ahead, self.prospects(slot).earliest);
        self.close(slot, Outcome::Reject(why(at)));
    }

    /// When a refused request may be worth trying again: when those ahead have left, at the pace
    /// at which others have lately, but not before anybody could take it.
    fn worth_trying(&self, home: GroupId, ahead: u32, earliest: Option<Time>) -> Time {
        let wait = self.lanes(home).interval * u64::from(ahead + 1);
        (self.now + wait).max(earliest.unwrap_or(self.now))
    }

    /// What a request's group and its fallbacks may have to offer, at once or later.
    fn prospects(&self, slot: u32) -> Nobody {
        let flight = self.flight(slot);
        let home = flight.home();
        let mut here = self.outlook(flight, home);
        let detour = if here.unfit == Unfit::Length { Detour::ContextWindow } else { Detour::Any };
        for &group in self.config.group(home).chain(detour) {
            here = here.and(self.outlook(flight, group));
        }
        here
    }

    fn outlook(&self, flight: &Flight, id: GroupId) -> Nobody {
        let group = self.config.group(id);
        let plain = group.is_plain && flight.aside == NEVER;
        let unfit = match plain {
            true => Unfit::Not,
            false => self.unfitness(flight, id, &self.eligibility(flight, id)),
        };
        Nobody { earliest: self.earliest(flight, id), unfit }
    }

    /// Lets go whoever can: of several queues the one whose first came first, and of each queue
    /// in its order until nobody is there for somebody whom nothing may overtake.
    #[cold]
    pub(crate) fn pump(&mut self) {
        if !self.queues.stirred && self.now < self.queues.asleep {
            return;
        }
        (self.queues.stirred, self.queues.asleep) = (false, Time::MAX);
        self.queues.pass += 1;
        let pass = self.queues.pass;
        let mut open = self.queues.waiting;
        while let Some((slot, stops)) = self.next_in_line(&mut open, pass) {
            let home = self.flight(slot).home();
            if self.serve(slot) {
                continue;
            }
            let place = self.flight(slot).lead.seen;
            self.queues.of_mut(home).stick(place, pass);
            if stops {
                open &= !(1 << home.index());
            }
        }
        self.queues.stirred = false;
    }

    /// Of the queues that are `open`, the first of the one whose first came first.
    fn next_in_line(&self, open: &mut u64, pass: u64) -> Option<(u32, bool)> {
        let mut next: Option<(Time, u32, bool)> = None;
        let mut left = *open;
        while left != 0 {
            let bit = left & left.wrapping_neg();
            left &= !bit;
            let home = GroupId::at(bit.trailing_zeros() as usize);
            let full = self.queues.is_full(home, self.config.group(home));
            let first = if full { None } else { self.lanes(home).first(pass) };
            let Some((slot, stops)) = first else {
                *open &= !bit;
                continue;
            };
            let came = self.flight(slot).submitted;
            if next.is_none_or(|(earliest, ..)| came < earliest) {
                next = Some((came, slot, stops));
            }
        }
        next.map(|(_, slot, stops)| (slot, stops))
    }

    /// Dispatches a queued request if somebody can take it, or refuses it if nobody ever will;
    /// else tells that it is stuck, having seen to it that it is looked into when time alone may
    /// have changed that.
    fn serve(&mut self, slot: u32) -> bool {
        let flight = *self.flight(slot);
        let home = flight.home();
        if flight.deadline <= self.now || self.patience(&flight) < self.now {
            // Its end is due and will be acted on in its turn.
            return false;
        }
        let found = self.eligibility(&flight, home);
        let too_long = found.unfit(self.config.group(home)) == Unfit::Length;
        let detour = if too_long { Detour::ContextWindow } else { Detour::Any };
        let chain = || self.config.group(home).chain(detour).iter().copied();
        let elsewhere = || chain().any(|group| self.eligibility(&flight, group).eligible != 0);
        if found.eligible != 0 || elsewhere() {
            if flight.aside != NEVER
                && let Some(Obstacle { kind, what, earliest }) = self.obstacle(&flight)
            {
                let why = Rejection::Subject { kind, what, earliest };
                self.close(slot, Outcome::Reject(why));
                return true;
            }
            self.set_off(slot);
            self.explain(&flight, home, &found);
            if found.eligible != 0 {
                self.dispatch(slot, home, &found, Cause::Primary);
            } else {
                self.strand(slot, home, &found);
                self.flight_mut(slot).keep_to(detour);
                self.fall_back(slot, detour).expect("somebody there was eligible just now");
            }
            return true;
        }
        let (mut hope, mut wake) = (false, Time::MAX);
        for group in core::iter::once(home).chain(chain()) {
            let [earliest, later] = self.chances(&flight, group);
            hope |= earliest.is_some();
            wake = wake.min(later.unwrap_or(Time::MAX));
        }
        let dear = |why: &Rejection| matches!(why, Rejection::Budget { .. });
        let refusal = self.prospects(slot).refusal();
        if let Some(hopeless) = refusal.filter(|why| !hope || dear(why)) {
            self.close(slot, Outcome::Reject(hopeless));
            return true;
        }
        self.queues.asleep = self.queues.asleep.min(wake);
        self.mark(slot, wake);
        false
    }

    /// A queued request leaves for its first attempt.
    fn set_off(&mut self, slot: u32) {
        let (now, flight) = (self.now, *self.flight(slot));
        let group = flight.home();
        let class = self.lanes(group).kin(flight.lead.seen).class;
        self.leave_queue(slot, true);
        self.queues.of_mut(group).note_departure(now);
        let waited = now.since(flight.submitted);
        self.observe(Observation::Dequeued { request: flight.id, group, class, waited });
    }
}
