//! A second attempt beside a slow first: when it is due, whether it is made, who wins.

use crate::flight::{Flight, NEVER, Try};
use crate::router::Router;
use crate::{Abandon, Cause, End, GroupId, HedgeAfter, Hold, Observation, Time};

impl Router {
    /// When the hedge of an attempt that is dispatched now is due; [`Time::MAX`] if none is.
    pub(crate) fn hedge_due(&self, flight: &Flight, group: GroupId, cause: Cause) -> Time {
        if cause == Cause::Hedge || flight.tally.hedged() {
            return Time::MAX;
        }
        match self.config.group(group).hedge.map(|hedge| hedge.after) {
            None => Time::MAX,
            Some(HedgeAfter::Delay(delay)) => self.now + delay,
            Some(HedgeAfter::Quantile(_)) => {
                let delay = self.hedge_delay(group, flight.streams());
                delay.map_or(Time::MAX, |delay| self.now + delay)
            }
        }
    }

    /// A hedge is due. It is made or held back, once per request.
    #[cold]
    pub(crate) fn hedge(&mut self, slot: u32) {
        let flight = self.flight_mut(slot);
        flight.lead.mark = Time::MAX;
        flight.hedge_done();
        let flight = *flight;
        if flight.deadline <= self.now {
            // The timer came late: the deadline itself acts next.
            return self.rearm(slot);
        }
        if let Some(why) = self.holds(&flight) {
            return self.hold(slot, why);
        }
        let mut found = self.eligibility(&flight, flight.group());
        self.explain(&flight, flight.group(), &found);
        found.eligible &= found.ordinary() & !flight.tried;
        if found.eligible == 0 {
            return self.hold(slot, Hold::Nobody);
        }
        self.dispatch(slot, flight.group(), &found, Cause::Hedge);
    }

    #[cold]
    fn hold(&mut self, slot: u32, why: Hold) {
        self.rearm(slot);
        let attempt = self.flight(slot).next_attempt();
        self.observe(Observation::Held { attempt, why });
    }

    /// Why a hedge is held back, wherever it would go.
    fn holds(&mut self, flight: &Flight) -> Option<Hold> {
        let most = self.config.group(flight.group()).hedge.map(|hedge| hedge.utilisation_max);
        if self.draining {
            Some(Hold::Drain)
        } else if flight.tally.made() >= self.config.router().attempts {
            Some(Hold::Attempts)
        } else if !self.budget.allows(&self.config.router().retry_budget, self.now) {
            Some(Hold::Budget)
        } else if !self.is_unobstructed(flight) {
            Some(Hold::Subject)
        } else {
            let (used, places) = self.utilisation(flight.group());
            let busy = places > 0 && most.is_some_and(|most| most.reached_by(used, places));
            busy.then_some(Hold::Utilisation)
        }
    }

    /// How many places of a group's parallel limits are in use, of how many: of each member with
    /// such limits, those of the limit with the least room. Free places of those that are out or
    /// stand by are no help to anyone.
    fn utilisation(&self, group: GroupId) -> (u64, u64) {
        let members = self.config.group(group).present();
        let serving = members
            .filter(|(index, member)| member.weight > 0 && !self.is_out(group, *index, member));
        let tightest = serving.filter_map(|(_, member)| {
            let limits = self.config.deployment(member.deployment).limits.iter();
            let places = limits.filter_map(|limit| self.limits[limit.index()].places());
            let places = places.chain(self.adaptive_places(member.deployment));
            places.min_by_key(|(used, most)| most.saturating_sub(*used))
        });
        tightest.fold((0, 0), |(used, places), (more, most)| {
            (used + u64::from(more), places + u64::from(most))
        })
    }

    /// Seats the second live attempt of a request.
    #[cold]
    pub(crate) fn seat_twin(&mut self, slot: u32, attempt: Try) {
        let flight = &mut self.flights[slot as usize];
        self.asides.make(&mut flight.aside).twin = Some(attempt);
    }

    /// An attempt is over: of two, the other leads from here on.
    pub(crate) fn unseat(&mut self, slot: u32, ordinal: u8) {
        let flight = &mut self.flights[slot as usize];
        let twin = self.asides.twin_mut(flight.aside).and_then(Option::take);
        flight.end(ordinal, twin);
    }

    /// One attempt of a request has won: another that lives is dropped.
    pub(crate) fn drop_other(&mut self, slot: u32, winner: u8) {
        if self.flight(slot).aside != NEVER {
            self.drop_loser(slot, winner);
        }
    }

    #[inline(never)]
    fn drop_loser(&mut self, slot: u32, winner: u8) {
        let flight = self.flight(slot);
        let Some(twin) = self.twin(flight) else { return };
        let loser = if twin.ordinal == winner { flight.lead.ordinal } else { twin.ordinal };
        let end = End::Abandoned(Abandon::Hedged);
        let (lost, _) = self.drop_attempt(slot, loser, Abandon::Hedged, end);
        self.outrun(&lost);
        let id = self.flight(slot).id;
        self.let_go(id, &lost);
    }
}
