//! What the router says of rests, breakers and those that were spared, after a call has ended.
//!
//! The books know what should follow. Where a random end leaves it open whether too many were out
//! for another to go, the router's word decides, and so does its silence. What follows for certain
//! must be told.

use alloc::format;
use alloc::sync::Arc;

use super::breaker::Said;
use super::health::{Due, Health, Place};
use super::rest::Rest;
use super::{Auditor, Invariant};
use crate::{
    BreakerMode, BreakerState, Config, DeploymentId, FailureKind, GroupId, Observation, Time, Turn,
};

/// What an ended call may lead to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Aftermath {
    place: Place,
    kind: Option<FailureKind>,
    at: Time,
    /// The rests of the deployment and of the key before.
    before: (Rest, Rest),
    /// How many rests it leads to, and of how many was told for which.
    pub(super) rests: u8,
    told: u8,
    told_of: (bool, bool),
    /// How many times it is spared for certain.
    pub(super) spared: u8,
    /// What it leads to unless it is spared.
    pub(super) rest: Option<Due>,
    pub(super) trip: Option<Turn>,
    /// Whether a person may be called, and whether one must be.
    pub(super) page: bool,
    pub(super) pages: bool,
}

impl Aftermath {
    pub(super) const fn new(
        place: Place,
        kind: Option<FailureKind>,
        at: Time,
        before: (Rest, Rest),
    ) -> Self {
        Self {
            place,
            kind,
            at,
            before,
            rests: 0,
            told: 0,
            told_of: (false, false),
            spared: 0,
            rest: None,
            trip: None,
            page: false,
            pages: false,
        }
    }
}

impl Health {
    /// It was not spared: it rests, and its breaker trips.
    fn not_spared(&mut self, config: &Config) {
        let Some(after) = &mut self.aftermath else { return };
        let (place, at) = (after.place, after.at);
        let (rest, trip) = (after.rest.take(), after.trip.take());
        if let Some(due) = rest {
            self.rests(config, place, at, due);
        }
        if let (Some(why), Some(spec)) = (trip, &config.group(place.group).breaker) {
            self.breakers[place.group.index()][place.member].trip(spec, why, at);
        }
    }

    /// Nothing more is said of what the last call led to.
    pub(super) fn close_aftermath(&mut self, config: &Config) {
        if self.aftermath.is_none() {
            return;
        }
        let doubted = self.aftermath.as_ref().is_some_and(|after| after.trip.is_some());
        self.not_spared(config);
        let Some(after) = self.aftermath.take() else { return };
        let Place { deployment, key, group, member } = after.place;
        if let Some(breaker) = self.breakers[group.index()].get_mut(member)
            && breaker.turned.take().is_some()
            && !doubted
        {
            self.untold = Some((deployment, "its breaker turned"));
        }
        if after.spared > 0 {
            self.untold = Some((deployment, "it was spared"));
        }
        if after.pages {
            self.untold = Some((deployment, "somebody should look at its key"));
        }
        for (told, of, before) in
            [(after.told_of.0, None, after.before.0), (after.told_of.1, Some(key), after.before.1)]
        {
            if after.rests > 0
                && !told
                && let Some(rest) = self.rest(deployment, of)
                && !rest.stay(&before)
            {
                self.untold = Some((deployment, "it rests"));
            }
        }
    }

    /// Whether the call that ended last was to be spared.
    fn was_spared(&mut self, deployment: DeploymentId, group: GroupId) -> bool {
        let Some(after) = &mut self.aftermath else { return false };
        after.spared += u8::from(after.rest.take().is_some());
        after.spared += u8::from(after.trip.take().is_some());
        let place = (after.place.deployment, after.place.group);
        let holds = after.spared > 0 && place == (deployment, group);
        after.spared = after.spared.saturating_sub(1);
        holds
    }

    /// Whether somebody is to look at a key.
    fn pages(&mut self, deployment: DeploymentId, key: u8, failure: FailureKind) -> bool {
        let Some(after) = &mut self.aftermath else { return false };
        after.pages = false;
        let place = (after.place.deployment, after.place.key, after.kind);
        core::mem::take(&mut after.page) && place == (deployment, key, Some(failure))
    }

    /// Whether a deployment or key rests as is said.
    fn rested(&mut self, config: &Config, said: Rested) -> bool {
        let Rested { deployment, key, until, failure, streak } = said;
        if let Some(after) = &mut self.aftermath
            && after.rest.is_some()
        {
            let trip = after.trip.take();
            self.not_spared(config);
            if let Some(after) = &mut self.aftermath {
                after.trip = trip;
            }
        }
        let Some(after) = &mut self.aftermath else { return false };
        let right = after.place.deployment == deployment
            && key.is_none_or(|key| key == after.place.key)
            && after.kind == Some(failure)
            && after.told < after.rests;
        if !right {
            return false;
        }
        after.told += 1;
        let last = after.told == after.rests;
        match key {
            None => after.told_of.0 = true,
            Some(_) => after.told_of.1 = true,
        }
        self.rest(deployment, key).is_some_and(|rest| rest.claim(until, streak, last))
    }
}

impl Auditor {
    /// An observation about a deployment, not about a request.
    pub(super) fn told(&mut self, observation: &Observation) {
        let config = Arc::clone(&self.config);
        let holds = match *observation {
            Observation::Rested { deployment, key, until, failure, streak } => {
                let said = Rested { deployment, key, until, failure, streak };
                self.health.rested(&config, said)
            }
            Observation::Spared { deployment, group } => self.health.was_spared(deployment, group),
            Observation::Page { deployment, key, failure } => {
                self.health.pages(deployment, key, failure)
            }
            Observation::Breaker { group, deployment, to, why, until, streak, enforced } => {
                let said = Said { to, why, until, streak };
                self.turned(&config, (group, deployment), said, enforced)
            }
            Observation::Budget { kind, subject, budget, level, spent } => {
                self.used_up(((kind, subject), budget, level), spent)
            }
            Observation::Concurrency { deployment, limit } => {
                return self.told_limit(deployment, limit);
            }
            Observation::Excluded { .. }
            | Observation::Selected { .. }
            | Observation::Stranded { .. }
            | Observation::Waiting { .. }
            | Observation::Queued { .. }
            | Observation::Dequeued { .. }
            | Observation::Ended { .. }
            | Observation::Held { .. }
            | Observation::GaveUp { .. }
            | Observation::Stepped { .. }
            | Observation::Closed { .. }
            | Observation::Late { .. }
            | Observation::Drained { .. }
            | Observation::Misfit => return,
        };
        self.premise(Invariant::ClaimsHold);
        if !holds {
            self.breach(Invariant::ClaimsHold, None, || {
                format!("the books do not bear out {observation:?}")
            });
        }
    }

    /// Whether a breaker turned as is said.
    fn turned(
        &mut self,
        config: &Config,
        (id, deployment): (GroupId, DeploymentId),
        said: Said,
        enforced: bool,
    ) -> bool {
        let members = &config.group(id).members;
        let Some(index) = members.iter().position(|m| m.deployment == deployment) else {
            return false;
        };
        let right = match members[index].breaker {
            BreakerMode::Enforce => enforced,
            BreakerMode::Observe => !enforced,
            BreakerMode::Disabled | BreakerMode::ForcedOpen => false,
        };
        if said.to == BreakerState::Open {
            self.health.not_spared(config);
        }
        right && self.health.breakers[id.index()][index].claim(self.now, said)
    }
}

/// What the router says of a rest.
#[derive(Clone, Copy, Debug)]
struct Rested {
    deployment: DeploymentId,
    key: Option<u8>,
    until: Time,
    failure: FailureKind,
    streak: u8,
}
