//! Where an attempt may go.

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;

use super::flight::{Attempt, Failed, Flight};
use super::health::Place;
use super::{Answer, Auditor, Invariant, limits};
use crate::{Cause, Config, Dispatch, GroupId, Rejection, Time};

impl Auditor {
    /// Whether a member of a group could take this request, whatever it tried before.
    pub(super) fn could(&self, flight: &Flight, group: GroupId, index: usize, at: Time) -> Answer {
        let config = &*self.config;
        let member = &config.group(group).members[index];
        if member.weight == 0
            || flight.barred.contains(&member.deployment)
            || self.limits.full(config, member.deployment)
        {
            return Answer::No;
        }
        let rested = self.health.resting(member.deployment, at).not();
        rested.and(self.limits.take(config, member.deployment, at, flight.take()))
    }

    /// Some member of a group, but for `spare`, that could certainly take this request.
    pub(super) fn somebody(
        &self,
        flight: &Flight,
        group: GroupId,
        spare: u64,
        at: Time,
    ) -> Option<usize> {
        (0..self.config.group(group).members.len())
            .filter(|index| spare & 1 << index == 0)
            .find(|&index| self.could(flight, group, index, at) == Answer::Yes)
    }

    /// Some group of the chain, before `end` and not visited, with somebody who could certainly
    /// take this request.
    pub(super) fn elsewhere(
        &self,
        flight: &Flight,
        end: Option<GroupId>,
        at: Time,
    ) -> Option<GroupId> {
        let chain = self.config.group(flight.request.group).chain(crate::Detour::Any);
        chain
            .iter()
            .copied()
            .take_while(|&group| Some(group) != end)
            .filter(|group| flight.visited & 1 << group.index() == 0)
            .find(|&group| self.somebody(flight, group, 0, at).is_some())
    }

    /// The router opens an upstream call.
    pub(super) fn dispatched(&mut self, dispatch: Dispatch) {
        let id = dispatch.attempt;
        let config = Arc::clone(&self.config);
        let Some(flight) = self.flights.get(&id.request) else { return };
        let at = flight.at;
        let retry = matches!(dispatch.cause, Cause::Retry);
        let affordable = self.budget.allows(&config, at);
        if retry {
            self.premise(Invariant::RetryBudget);
            self.budget.retry(&config, at);
        }
        let Some(flight) = self.flights.get(&id.request) else { return };
        let group = destination(&config, flight, dispatch);
        let breach = self
            .too_many(flight, dispatch)
            .or_else(|| self.too_late(flight, dispatch))
            .or_else(|| self.unwelcome(flight, dispatch, group))
            .or_else(|| self.second_best(flight, dispatch, group, affordable))
            .or_else(|| {
                let detail = || format!("{id}: the retry budget is spent");
                (retry && !affordable).then(|| (Invariant::RetryBudget, detail()))
            });
        if let Some((invariant, detail)) = breach {
            self.breach(invariant, Some(id.request), || detail);
        }
        self.start(&config, dispatch, group.unwrap_or_else(|| dispatch_home(&config, dispatch)));
    }

    /// Bounds on attempts as such.
    fn too_many(&self, flight: &Flight, dispatch: Dispatch) -> Option<(Invariant, String)> {
        let id = dispatch.attempt;
        let most = self.config.router().attempts.max(flight.planned);
        match flight.refused {
            Some(Rejection::Drain) => {
                return Some((Invariant::DrainHolds, format!("{id}: the router drains")));
            }
            Some(Rejection::Full) => {
                return Some((Invariant::Parallel, format!("{id}: `router.in_flight` is reached")));
            }
            Some(Rejection::NoDeployment(_) | Rejection::TooLong | Rejection::Duplicate) | None => {
            }
        }
        if let Some(live) = &flight.live {
            return Some((Invariant::AttemptCap, format!("{id}: {} is still in flight", live.id)));
        }
        if flight.attempts >= most {
            return Some((Invariant::AttemptCap, format!("{id}: only {most} are allowed")));
        }
        if id.ordinal != flight.attempts + 1 {
            let detail = format!("{id}: {} attempts were made before", flight.attempts);
            return Some((Invariant::AttemptCap, detail));
        }
        None
    }

    /// What has happened to the request before.
    fn too_late(&self, flight: &Flight, dispatch: Dispatch) -> Option<(Invariant, String)> {
        let id = dispatch.attempt;
        let Flight { at, deadline, .. } = *flight;
        if let Some(committed) = flight.committed {
            let detail = format!("{id}: {committed} has spoken to the client");
            return Some((Invariant::CommitIsFinal, detail));
        }
        if flight.failed.as_ref().is_some_and(Failed::is_final) {
            return Some((Invariant::FinalFailures, format!("{id}: its last failure was final")));
        }
        if at >= deadline {
            let detail = format!("{id} starts at {at}, not before {deadline}");
            return Some((Invariant::Deadline, detail));
        }
        if let Some(until) = flight.waiting {
            let detail = format!("{id} starts at {at}, though it waits until {until}");
            return Some((Invariant::TimeMonotone, detail));
        }
        None
    }

    /// Whether the chosen member may take it.
    fn unwelcome(
        &self,
        flight: &Flight,
        dispatch: Dispatch,
        group: Option<GroupId>,
    ) -> Option<(Invariant, String)> {
        let Dispatch { attempt: id, deployment, key, cause, .. } = dispatch;
        let (config, at) = (&*self.config, flight.at);
        let name = &config.deployment(deployment).name;
        let Some(group) = group else {
            let detail = format!("{id}: cause {cause:?} does not lead to `{name}`");
            return Some((Invariant::OnlyEligible, detail));
        };
        let members = &config.group(group).members;
        if members.iter().any(|m| m.deployment == deployment && m.weight == 0) {
            return Some((Invariant::OnlyEligible, format!("{id}: `{name}` has weight 0")));
        }
        if flight.barred.contains(&deployment) {
            let detail = format!("{id}: `{name}` has failed it for good");
            return Some((Invariant::FinalFailures, detail));
        }
        match self.health.forbids(Place { group, deployment, key }, at) {
            Some(true) => {
                let detail = format!("{id}: `{name}` asked for time that has not passed");
                return Some((Invariant::RetryAfter, detail));
            }
            Some(false) => {
                return Some((Invariant::OnlyEligible, format!("{id}: `{name}` rests")));
            }
            None => {}
        }
        if self.limits.full(config, deployment) {
            return Some((Invariant::Parallel, format!("{id}: `{name}` is full")));
        }
        if self.limits.take(config, deployment, at, flight.take()) == Answer::No {
            let detail = format!("{id}: a rate of `{name}` cannot take it");
            return Some((Invariant::RateLimits, detail));
        }
        None
    }

    /// Whether another should have been chosen: a group earlier in the chain, a member that was
    /// not tried, a lower tier.
    fn second_best(
        &self,
        flight: &Flight,
        dispatch: Dispatch,
        group: Option<GroupId>,
        affordable: bool,
    ) -> Option<(Invariant, String)> {
        let (id, group, at) = (dispatch.attempt, group?, flight.at);
        let said = |what: String| Some((Invariant::OnlyEligible, format!("{id}: {what}")));
        if dispatch.cause == Cause::Fallback {
            let here = flight.attempts == 0 || affordable;
            if here && self.somebody(flight, flight.group, flight.tried, at).is_some() {
                return said("falls back though its group could take it".into());
            }
            if let Some(other) = self.elsewhere(flight, Some(group), at) {
                let name = &self.config.group(other).name;
                return said(format!("falls back past `{name}`, which could take it"));
            }
        }
        let members = &self.config.group(group).members;
        let chosen = members.iter().position(|m| m.deployment == dispatch.deployment)?;
        let tried = if dispatch.cause == Cause::Fallback { 0 } else { flight.tried };
        let again = tried & 1 << chosen != 0;
        let name = |index: usize| &self.config.deployment(members[index].deployment).name;
        for (index, member) in members.iter().enumerate() {
            let fresh = tried & 1 << index == 0;
            let lower = member.tier < members[chosen].tier;
            let better = (again && fresh) || (lower && (again || fresh));
            if better && self.could(flight, group, index, at) == Answer::Yes {
                return said(format!("`{}` comes after `{}`", name(chosen), name(index)));
            }
        }
        None
    }

    /// Enters an attempt into the books.
    fn start(&mut self, config: &Config, dispatch: Dispatch, group: GroupId) {
        let Dispatch { attempt: id, deployment, key, cause, .. } = dispatch;
        let members = &config.group(group).members;
        let full = members.iter().any(|m| m.weight == 0 || m.deployment != deployment);
        let Some(flight) = self.flights.get_mut(&id.request) else { return };
        if let Some(lost) = flight.live.take() {
            self.limits.release(config, lost.place.deployment);
        }
        let reserved = flight.take();
        let attempt = Attempt {
            id,
            place: Place { group, deployment, key },
            at: flight.at,
            timeouts: config.group(group).timeouts,
            stream: flight.request.stream,
            heard: false,
            sign: None,
            tokens: 0,
            reserved,
            epoch: self.epoch,
        };
        if group != flight.group || cause == Cause::Fallback {
            (flight.group, flight.tried) = (group, 0);
        }
        flight.visited |= 1 << group.index();
        if let Some(index) = members.iter().position(|m| m.deployment == deployment) {
            flight.tried |= 1 << index;
        }
        flight.attempts = flight.attempts.saturating_add(1);
        flight.live = Some(attempt);
        (flight.deciding, flight.woken) = (false, false);
        (flight.waiting, flight.scan, flight.selected) = (None, None, None);
        let capped = flight.attempts == config.router().attempts;
        self.limits.reserve(config, deployment, attempt.at, reserved);
        let (rated, parallel) = limits::kinds(config, deployment);
        for (invariant, met) in [
            (Invariant::AttemptCap, capped),
            (Invariant::OnlyEligible, full),
            (Invariant::RateLimits, rated),
            (Invariant::Parallel, parallel),
        ] {
            if met {
                self.premise(invariant);
            }
        }
    }
}

/// Which group an attempt is made in, if its cause leads to its deployment at all.
fn destination(config: &Config, flight: &Flight, dispatch: Dispatch) -> Option<GroupId> {
    let serves = |group: &GroupId| {
        config.group(*group).members.iter().any(|m| m.deployment == dispatch.deployment)
    };
    let keys = config.deployment(dispatch.deployment).keys;
    let home = flight.request.group;
    let group = match dispatch.cause {
        Cause::Primary => Some(home).filter(|_| flight.attempts == 0),
        Cause::Retry => Some(flight.group).filter(|_| flight.attempts > 0),
        Cause::Fallback => {
            let chain = config.group(home).chain(crate::Detour::Any).iter().copied();
            let mut open = chain.filter(|group| flight.visited & 1 << group.index() == 0);
            match flight.selected {
                Some((group, deployment)) if deployment == dispatch.deployment => {
                    open.find(|&open| open == group)
                }
                Some(_) | None => open.find(serves),
            }
        }
        // No policy sends anything for these.
        Cause::Hedge | Cause::Probe | Cause::Standby | Cause::Panic => None,
    };
    group.filter(serves).filter(|_| dispatch.key < keys)
}

/// Some group with the deployment, for the books of an attempt that should not be.
fn dispatch_home(config: &Config, dispatch: Dispatch) -> GroupId {
    let serves =
        |group: &crate::Group| group.members.iter().any(|m| m.deployment == dispatch.deployment);
    GroupId::at(config.groups().iter().position(serves).unwrap_or(0))
}
