//! Where an attempt may go.

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;

use super::able::Able;
use super::flight::{Attempt, Failed, Flight, Selected};
use super::health::{Place, enforced};
use super::limits::Take;
use super::{Answer, Auditor, Invariant, accounts, limits, payer};
use crate::{Cause, Config, Detour, Dispatch, OnOutage, Rejection, Rung};

/// An upstream call to judge, and what the books say of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Choice {
    dispatch: Dispatch,
    pub(super) place: Place,
    /// Whether it counts as a retry, and whether the budget allows one.
    retry: bool,
    affordable: bool,
    able: Able,
}

impl Auditor {
    /// The router opens an upstream call.
    pub(super) fn dispatched(&mut self, dispatch: Dispatch) {
        let id = dispatch.attempt;
        let config = Arc::clone(&self.config);
        let Some(flight) = self.flights.get(&id.request) else { return };
        let at = flight.at;
        let retry = flight.attempts > 0 && dispatch.group == flight.group;
        let affordable = self.budget.allows(&config, at);
        if retry {
            self.premise(Invariant::RetryBudget);
            self.budget.retry(&config, at);
        }
        let Dispatch { group, deployment, key, .. } = dispatch;
        let (mut owed, mut settled) = (self.credits.take(&config, group), None);
        let Some(flight) = self.flights.get(&id.request) else { return };
        let members = &config.group(group).members;
        let member = members.iter().position(|m| m.deployment == deployment);
        let place = Place { group, member: member.unwrap_or(usize::MAX), deployment, key };
        let mut judged = false;
        let breach = self
            .too_many(flight, dispatch)
            .or_else(|| self.pushes_in(flight, dispatch.group))
            .or_else(|| self.too_late(flight, dispatch))
            .or_else(|| self.misstep(flight, dispatch))
            .or_else(|| self.astray(flight, dispatch, member))
            .or_else(|| {
                let able = self.able(flight, group, member?, at);
                let choice = Choice { dispatch, place, retry, affordable, able };
                self.unwelcome(flight, choice)
                    .or_else(|| {
                        let hedge = dispatch.cause == Cause::Hedge;
                        hedge.then(|| self.unhedged(flight, dispatch, able)).flatten()
                    })
                    .or_else(|| self.second_best(flight, choice))
                    .or_else(|| self.unaffordable(flight, choice))
                    .or_else(|| self.misnamed(flight, choice))
                    .or_else(|| {
                        settled = owed.take();
                        let chosen = self.chosen(flight, &choice);
                        let chosen = chosen.or_else(|| self.is_owed(flight, &choice, &mut settled));
                        judged = chosen.is_some();
                        let detail = chosen?.err()?;
                        Some((Invariant::Chosen, format!("{id}: {detail}")))
                    })
            });
        if let Some((invariant, detail)) = breach {
            let to = member.map(|_| (place, dispatch.cause));
            let invariant = to.map_or(invariant, |to| self.of_old(invariant, flight, to));
            self.breach(invariant, Some(id.request), || detail);
        }
        if judged {
            self.premise(Invariant::Chosen);
        }
        self.credits.put(&config, group, settled);
        self.start(&config, dispatch, place);
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
            Some(Rejection::NoDeployment(_)) => {
                return Some((Invariant::Removed, format!("{id}: its group was removed")));
            }
            Some(
                Rejection::TooLong
                | Rejection::Duplicate
                | Rejection::Subject { .. }
                | Rejection::Budget { .. }
                | Rejection::Accounts
                | Rejection::GroupFull
                | Rejection::QueueFull(_)
                | Rejection::QueueTimeout(_)
                | Rejection::Shed(_),
            )
            | None => {}
        }
        if let Some(live) = &flight.live
            && dispatch.cause != Cause::Hedge
        {
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
        if let Some((committed, _)) = flight.committed {
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

    /// Whether the configuration leads there at all.
    fn astray(
        &self,
        flight: &Flight,
        dispatch: Dispatch,
        member: Option<usize>,
    ) -> Option<(Invariant, String)> {
        let Dispatch { attempt: id, group, deployment, key, cause, .. } = dispatch;
        if let Some(why) = self.gone(dispatch, member) {
            let name = &self.config.deployment(deployment).name;
            return Some((Invariant::Removed, format!("{id}: `{name}` {why}")));
        }
        let deployment = self.config.deployment(deployment);
        let group_name = &self.config.group(group).name;
        if member.is_none() || key >= deployment.keys {
            let detail = format!("{id}: `{group_name}` has no such member or key");
            return Some((Invariant::OnlyEligible, detail));
        }
        let detoured = flight.failed.as_ref().is_some_and(Failed::is_detoured);
        let hedge = cause == Cause::Hedge;
        let stays = group == flight.group && (hedge || !detoured);
        let falls_back =
            !hedge && self.candidates(flight, self.detour(flight)).any(|open| open == group);
        if stays || falls_back || self.steps(flight, group) {
            return None;
        }
        let refused = flight.kept != Detour::Any;
        let invariant = if refused { Invariant::FinalFailures } else { Invariant::OnlyEligible };
        Some((invariant, format!("{id}: nothing leads it to `{group_name}`")))
    }

    /// Whether the chosen member may take it.
    fn unwelcome(&self, flight: &Flight, choice: Choice) -> Option<(Invariant, String)> {
        let Choice { dispatch, place, able, .. } = choice;
        let (config, at, id) = (&*self.config, flight.at, dispatch.attempt);
        let Place { group, member, deployment, .. } = place;
        let name = &config.deployment(deployment).name;
        if let Some(reason) = self.unfit(flight, group, member) {
            let detail = format!("{id}: `{name}` is out for `{reason}`");
            return Some((Invariant::OnlyEligible, detail));
        }
        if flight.barred.contains(&deployment) {
            let detail = format!("{id}: `{name}` has failed it for good");
            return Some((Invariant::FinalFailures, detail));
        }
        let panic = dispatch.cause == Cause::Panic;
        match self.health.forbids(place, at, panic) {
            Some(true) => {
                let detail = format!("{id}: `{name}` asked for time that has not passed");
                return Some((Invariant::RetryAfter, detail));
            }
            Some(false) => {
                return Some((Invariant::OnlyEligible, format!("{id}: `{name}` rests")));
            }
            None => {}
        }
        if panic && self.health.panics(config, group, at) == Answer::No {
            let detail = format!("{id}: enough of its group are healthy");
            return Some((Invariant::OnlyEligible, detail));
        }
        if !panic && self.health.admits(config, group, member, at) == Answer::No {
            let breaker = &self.health.breakers[group.index()][member];
            return Some(if breaker.is_half_open() {
                (Invariant::Probes, format!("{id}: `{name}` has all its probes in flight"))
            } else {
                (Invariant::OnlyEligible, format!("{id}: the breaker of `{name}` is open"))
            });
        }
        if self.limits.full(config, deployment) {
            return Some((Invariant::Parallel, format!("{id}: `{name}` is full")));
        }
        if self.limits.closed(config, deployment, at) {
            let detail = format!("{id}: `{name}` has a rate, and peers that share it are silent");
            return Some((Invariant::Peers, detail));
        }
        if self.is_saturated(deployment) {
            return Some((Invariant::Adaptive, format!("{id}: `{name}` bears no more calls")));
        }
        if self.limits.take(config, deployment, at, flight.take()) == Answer::No {
            let detail = format!("{id}: a rate of `{name}` cannot take it");
            return Some((Invariant::RateLimits, detail));
        }
        if let Some(breach) = self.unpaid(flight, dispatch) {
            return Some(breach);
        }
        debug_assert!(panic || able.awake != Answer::No, "each way of being out was looked at");
        None
    }

    /// Whether another should have been chosen: a group before this one, a member that was not
    /// tried, a weighted one, a lower tier.
    fn second_best(&self, flight: &Flight, choice: Choice) -> Option<(Invariant, String)> {
        let Choice { dispatch, place, affordable, .. } = choice;
        let (id, group, at) = (dispatch.attempt, place.group, flight.at);
        let said = |what: String| Some((Invariant::OnlyEligible, format!("{id}: {what}")));
        // Who steps down before its first attempt is looked into as that.
        if group != flight.group && (flight.attempts > 0 || !self.steps(flight, group)) {
            let spare = if flight.woken { 0 } else { flight.tried };
            let allowed = affordable && (flight.woken || flight.may_retry(&self.config));
            let here = flight.attempts == 0 || allowed;
            if here && self.somebody(flight, flight.group, spare, at).is_some() {
                return said("falls back though its group could take it".into());
            }
            if let Some(other) = self.elsewhere(flight, Some(group), at) {
                let name = &self.config.group(other).name;
                return said(format!("falls back past `{name}`, which could take it"));
            }
        }
        let members = &self.config.group(group).members;
        let chosen = &members[place.member];
        let tried = if group == flight.group { flight.tried } else { 0 };
        let again = tried & 1 << place.member != 0;
        let name = |index: usize| &self.config.deployment(members[index].deployment).name;
        for (index, member) in self.config.group(group).present() {
            let fresh = tried & 1 << index == 0;
            let lower = member.tier < chosen.tier;
            let weighted = chosen.weight == 0 && member.weight > 0 && member.tier == chosen.tier;
            let better = (fresh && (again || weighted)) || (lower && (again || fresh));
            if better && self.could(flight, group, index, at) == Answer::Yes {
                return said(format!("`{}` comes after `{}`", name(place.member), name(index)));
            }
        }
        None
    }

    /// Whether a retry is one too many.
    fn unaffordable(&self, flight: &Flight, choice: Choice) -> Option<(Invariant, String)> {
        let Choice { dispatch, retry, affordable, .. } = choice;
        let id = dispatch.attempt;
        if retry && !affordable {
            return Some((Invariant::RetryBudget, format!("{id}: the retry budget is spent")));
        }
        let asked = retry && !flight.woken && flight.live.is_none();
        (asked && !flight.may_retry(&self.config)).then(|| {
            let detail = format!("{id}: its group retries failures like the last no more");
            (Invariant::RetryBudget, detail)
        })
    }

    /// Whether it is called what it is, and is who was selected.
    fn misnamed(&self, flight: &Flight, choice: Choice) -> Option<(Invariant, String)> {
        let Choice { dispatch, place, able, .. } = choice;
        let Dispatch { attempt: id, cause, .. } = dispatch;
        let group = self.config.group(place.group);
        let half_open = enforced(group, place.member).is_some()
            && !self.health.breakers[place.group.index()][place.member].is_closed();
        let right = if cause == Cause::Panic && able.awake != Answer::Yes {
            Cause::Panic
        } else if half_open {
            Cause::Probe
        } else if group.members[place.member].weight == 0 {
            Cause::Standby
        } else if flight.live.is_some() {
            Cause::Hedge
        } else if self.steps(flight, place.group) {
            Cause::Degraded
        } else if place.group != flight.group {
            Cause::Fallback
        } else if flight.attempts > 0 {
            Cause::Retry
        } else {
            Cause::Primary
        };
        if cause != right {
            let detail = format!("{id}: is said to be `{cause:?}`, not `{right:?}`");
            return Some((Invariant::ClaimsHold, detail));
        }
        let down = self.steps(flight, place.group).then_some(Rung::Group(place.group));
        if flight.told_rung.is_some_and(|rung| Some(rung) != down) {
            return Some((Invariant::ClaimsHold, format!("{id}: another rung was told of")));
        }
        let Selected { group: told, deployment, eligible, .. } = flight.selected?;
        if (told, deployment) != (place.group, place.deployment) {
            return Some((Invariant::ClaimsHold, format!("{id}: another was selected")));
        }
        let mut others = (0..group.members.len())
            .filter(|&index| eligible & 1 << index != 0 && index != place.member);
        let able = |index| self.could(flight, place.group, index, flight.at) != Answer::No;
        let wrong = others.find(|&index| !able(index))?;
        let name = &self.config.deployment(group.members[wrong].deployment).name;
        Some((Invariant::ClaimsHold, format!("{id}: `{name}` is said to be eligible")))
    }

    /// Enters an attempt into the books.
    fn start(&mut self, config: &Config, dispatch: Dispatch, place: Place) {
        let Dispatch { attempt: id, cause, .. } = dispatch;
        let Place { group, member, deployment, .. } = place;
        let members = &config.group(group).members;
        let detour = self.flights.get(&id.request).map_or(Detour::Any, |f| self.detour(f));
        let steps = self.flights.get(&id.request).is_some_and(|f| self.steps(f, group));
        if steps {
            self.premise(Invariant::Ladder);
        }
        let Some(flight) = self.flights.get_mut(&id.request) else { return };
        let hedge = cause == Cause::Hedge;
        let second = hedge.then(|| flight.second.take()).flatten();
        let lost = if hedge { second.map(|second| *second) } else { flight.live.take() };
        if let Some(lost) = lost {
            self.limits.release(config, lost.place.deployment);
        }
        let at = flight.at;
        let probe = enforced(config.group(group), member).is_some() && {
            let breaker = &mut self.health.breakers[group.index()][member];
            breaker.dispatched(at, cause == Cause::Panic)
        };
        if flight.attempts == 0 {
            self.queues.set_out(config, flight);
        }
        let reserved = flight.take();
        let first = flight.attempts == 0;
        let cost = accounts::price(config, deployment, reserved);
        flight.enter(Attempt {
            id,
            place,
            at,
            timeouts: config.group(group).timeouts,
            stream: flight.request.stream,
            heard: false,
            sign: None,
            first: None,
            tokens: 0,
            reserved,
            cost,
            epoch: self.epoch,
            probe,
        });
        if flight.attempts == 0 && group != flight.group {
            // What the router itself finds too long for its group is kept to those fallbacks.
            flight.kept = detour;
        }
        if steps {
            flight.rung = Some(group);
        }
        (flight.gave_up, flight.told_rung) = (None, None);
        if group != flight.group {
            (flight.group, flight.tried) = (group, 0);
        }
        flight.visited |= 1 << group.index();
        flight.tried |= 1_u64.checked_shl(member as u32).unwrap_or(0);
        flight.attempts = flight.attempts.saturating_add(1);
        flight.hedged |= hedge;
        flight.hedge = self.hedges.due(config, group, flight.request.stream, at);
        (flight.deciding, flight.woken) = (false, false);
        (flight.waiting, flight.scan, flight.selected) = (None, None, None);
        let capped = flight.attempts == config.router().attempts;
        self.limits.reserve(config, deployment, at, reserved);
        let take = Take { requests: u64::from(first), ..reserved };
        self.accounts.reserve(config, &flight.accounts, at, (take, cost));
        let (subject, budget) = payer::kinds(config, &flight.accounts);
        self.adaptive.dispatched(deployment, self.limits.in_flight(deployment));
        let (rated, parallel) = limits::kinds(config, deployment);
        let closes = config.router().peers.is_some_and(|peers| peers.on_outage == OnOutage::Closed);
        for (invariant, met) in [
            (Invariant::AttemptCap, capped),
            (Invariant::OnlyEligible, members.len() > 1),
            (Invariant::Removed, config.group(group).size() < members.len() as u32),
            (Invariant::RateLimits, rated),
            (Invariant::Peers, rated && closes),
            (Invariant::Parallel, parallel),
            (Invariant::Subjects, subject),
            (Invariant::Budgets, budget),
            (Invariant::Adaptive, config.deployment(deployment).adaptive.is_some()),
            (Invariant::Probes, probe),
            (Invariant::Hedges, hedge),
        ] {
            if met {
                self.premise(invariant);
            }
        }
    }
}
