//! Second attempts beside slow first ones.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use super::able::Able;
use super::flight::{Attempt, Flight};
use super::{Answer, Auditor, Invariant};
use crate::{
    AttemptId, BreakerMode, Config, Dispatch, GroupId, HedgeAfter, Hold, RequestId, Span, Time,
};

/// How many samples a running quantile needs.
const ENOUGH: u64 = 100;

/// The times to first token, or to the end, that a group has shown.
#[derive(Clone, Copy, Debug)]
struct Samples {
    seen: u64,
    least: Span,
    greatest: Span,
}

/// When hedges are due. A running quantile is not computed again; it lies among its samples.
#[derive(Clone, Debug)]
pub(super) struct Hedges {
    /// By group: of calls that do not stream, and of those that do.
    samples: Vec<[Samples; 2]>,
}

const NONE: Samples = Samples { seen: 0, least: Span::MAX, greatest: Span::ZERO };

impl Hedges {
    pub(super) fn new(config: &Config) -> Self {
        Self { samples: vec![[NONE; 2]; config.groups().len()] }
    }

    /// There may be more groups now.
    pub(super) fn reconfigure(&mut self, config: &Config) {
        self.samples.resize(config.groups().len(), [NONE; 2]);
    }

    /// An attempt took this long, or was given up after so long.
    pub(super) fn sample(&mut self, attempt: &Attempt, now: Time) {
        let samples = &mut self.samples[attempt.place.group.index()][usize::from(attempt.stream)];
        let took = now.since(attempt.at);
        samples.seen += 1;
        samples.least = samples.least.min(took);
        samples.greatest = samples.greatest.max(took);
    }

    /// When a hedge is due beside an attempt that starts now: at least and at most.
    pub(super) fn due(
        &self,
        config: &Config,
        group: GroupId,
        stream: bool,
        now: Time,
    ) -> Option<(Time, Time)> {
        match config.group(group).hedge?.after {
            HedgeAfter::Delay(delay) => Some((now + delay, now + delay)),
            HedgeAfter::Quantile(_) => {
                let samples = &self.samples[group.index()][usize::from(stream)];
                // A bucket of the router's histogram may be off by some of its own width.
                let least = now + samples.least.scale(1, 2);
                let greatest = now + samples.greatest * 2 + Span::from_nanos(2);
                (samples.seen >= ENOUGH).then_some((least, greatest))
            }
        }
    }
}

impl Auditor {
    /// Why there should be no second attempt, or not this one.
    pub(super) fn unhedged(
        &self,
        flight: &Flight,
        dispatch: Dispatch,
        able: Able,
    ) -> Option<(Invariant, String)> {
        let (id, group, at) = (dispatch.attempt, dispatch.group, flight.at);
        let said = |what: &str| Some((Invariant::Hedges, format!("{id}: {what}")));
        if let Some(what) = Self::no_hedge_is_due(flight, at) {
            return said(&what);
        }
        if self.draining {
            return said("hedges while the router drains");
        }
        if self.utilised(group, at) == Answer::Yes {
            return said("hedges though too much of its group is in use");
        }
        let members = &self.config.group(group).members;
        let index = members.iter().position(|m| m.deployment == dispatch.deployment)?;
        if flight.tried & 1 << index != 0 {
            return said("hedges where the request is or was already");
        }
        if members[index].weight == 0
            || !self.health.is_closed(self.config.group(group), group, index)
            || able.awake == Answer::No
        {
            return said("hedges to a member that is standby or out");
        }
        None
    }

    fn no_hedge_is_due(flight: &Flight, at: Time) -> Option<String> {
        let Some(first) = &flight.live else { return Some("hedges beside nothing".into()) };
        if flight.second.is_some() || flight.hedged {
            return Some("hedges, not for the first time".into());
        }
        if first.sign.is_some() {
            return Some(format!("hedges after {} has spoken", first.id));
        }
        match flight.hedge {
            Some((least, _)) if least > at => Some(format!("hedges at {at}, before {least}")),
            Some(_) => None,
            None => Some("hedges, which its group does not".into()),
        }
    }

    /// A hedge is said to be due and held back.
    pub(super) fn held(&mut self, id: AttemptId, why: Hold) {
        self.premise(Invariant::Hedges);
        self.premise(Invariant::ClaimsHold);
        let request = id.request;
        let Some(flight) = self.flights.get(&request) else { return };
        let due = Self::no_hedge_is_due(flight, flight.at);
        let made = flight.attempts;
        let next = id.ordinal == made.saturating_add(1);
        let holds = self.hold_is_so(request, why);
        if let Some(what) = due.or_else(|| (!next).then(|| "is not the next".into())) {
            self.breach(Invariant::Hedges, Some(request), || format!("{id}, held back, {what}"));
        } else if !holds {
            self.breach(Invariant::ClaimsHold, Some(request), || {
                format!("{id} is held back for `{}`, which does not hold", why.name())
            });
        }
        if let Some(flight) = self.flights.get_mut(&request) {
            flight.hedged = true;
            (flight.deciding, flight.scan) = (false, None);
        }
    }

    /// Whether a reason to hold a hedge back may hold, and none before it does for certain.
    fn hold_is_so(&mut self, id: RequestId, why: Hold) -> bool {
        for hold in Hold::ALL {
            let answer = self.holds_back(id, hold);
            if hold == why {
                return answer != Answer::No;
            }
            if answer == Answer::Yes {
                return false;
            }
        }
        false
    }

    fn holds_back(&mut self, id: RequestId, why: Hold) -> Answer {
        let Some(flight) = self.flights.get(&id) else { return Answer::Maybe };
        match why {
            Hold::Drain => self.draining.into(),
            Hold::Attempts => (flight.attempts >= self.config.router().attempts).into(),
            Hold::Budget => {
                let at = flight.at;
                let allows = self.budget.allows(&self.config, at);
                Answer::from(!allows)
            }
            Hold::Subject => self.has_credit(flight).not(),
            Hold::Utilisation => self.utilised(flight.group, flight.at),
            Hold::Nobody => self.is_there_for_a_hedge(flight).not(),
        }
    }

    /// Whether somebody else of its group is there for a request's hedge.
    fn is_there_for_a_hedge(&self, flight: &Flight) -> Answer {
        let (id, at) = (flight.group, flight.at);
        let group = self.config.group(id);
        let mut found = Answer::No;
        for (index, member) in group.present() {
            if flight.tried & 1 << index != 0
                || member.weight == 0
                || !self.health.is_closed(group, id, index)
            {
                continue;
            }
            let lower = |other: usize| {
                group.members[other].tier < member.tier
                    && flight.tried & 1 << other == 0
                    && self.could(flight, id, other, at) != Answer::No
            };
            let answer = self.able(flight, id, index, at).without_panic();
            found = match answer {
                Answer::Yes if group.present().any(|(other, _)| lower(other)) => {
                    found.or(Answer::Maybe)
                }
                Answer::Yes | Answer::No | Answer::Maybe => found.or(answer),
            };
        }
        found
    }

    /// Whether too much of a group's parallel limits is in use for a hedge: over its weighted members
    /// that are not out, of each with such a limit the one with the least room. Where two have as
    /// little, either may be meant.
    fn utilised(&self, id: GroupId, at: Time) -> Answer {
        let group = self.config.group(id);
        let Some(hedge) = &group.hedge else { return Answer::No };
        let most = hedge.utilisation_max;
        let rests = |index: usize| self.health.resting(group.members[index].deployment, at);
        let serves = |index: usize| {
            let member = &group.members[index];
            let closed = member.breaker != BreakerMode::ForcedOpen
                && self.health.is_closed(group, id, index);
            member.weight > 0 && closed && rests(index) != Answer::Yes
        };
        let present = group.present().map(|(index, _)| index);
        let serving: Vec<usize> = present.filter(|index| serves(*index)).collect();
        let reached = |last: bool| {
            let (mut used, mut all) = (0, 0);
            for &index in &serving {
                let deployment = group.members[index].deployment;
                let limits = &self.config.deployment(deployment).limits;
                let mut tightest: Option<(u32, u32)> = None;
                let written = limits.iter().filter_map(|&limit| {
                    let most = self.config.limit(limit).spec.parallel?;
                    Some((self.limits.live(limit), most))
                });
                for (live, most) in written.chain(self.found_places(deployment)) {
                    let room = |(live, most): (u32, u32)| most.saturating_sub(live);
                    let least = tightest.is_none_or(|tightest| {
                        let (here, there) = (room((live, most)), room(tightest));
                        here < there || last && here == there
                    });
                    if least {
                        tightest = Some((live, most));
                    }
                }
                if let Some((live, most)) = tightest {
                    used += u64::from(live);
                    all += u64::from(most);
                }
            }
            all > 0 && most.reached_by(used, all)
        };
        if serving.iter().any(|index| rests(*index) == Answer::Maybe) {
            return Answer::Maybe;
        }
        match (reached(false), reached(true)) {
            (true, true) => Answer::Yes,
            (false, false) => Answer::No,
            (true, false) | (false, true) => Answer::Maybe,
        }
    }
}
