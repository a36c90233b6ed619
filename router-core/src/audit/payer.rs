//! On whose account requests are: what their subjects' limits and budgets let happen.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::accounts::{self, Spent, Who};
use super::flight::{Attempt, Flight};
use super::limits::{self, Take};
use super::{Answer, Auditor, Invariant};
use crate::{Config, DeploymentId, Dispatch, GroupId, Input, Level, Measure, RequestId, Time};

impl Auditor {
    /// Whether the limits of a request's subjects have room for its next attempt.
    pub(super) fn has_credit(&self, flight: &Flight) -> Answer {
        self.credit(flight, flight.at)
    }

    /// The same at an instant.
    pub(super) fn credit(&self, flight: &Flight, at: Time) -> Answer {
        self.accounts.admits(&self.config, &flight.accounts, at, next(flight))
    }

    /// Whether their budgets can pay for it at a deployment.
    pub(super) fn affords(&self, flight: &Flight, to: DeploymentId, at: Time) -> Answer {
        if flight.accounts.is_empty() {
            return Answer::Yes;
        }
        let cost = accounts::price(&self.config, to, flight.take());
        self.accounts.affords(&self.config, &flight.accounts, at, cost)
    }

    /// When they can, at the latest.
    pub(super) fn affords_at(&self, flight: &Flight, to: DeploymentId) -> Option<Time> {
        let cost = accounts::price(&self.config, to, flight.take());
        self.accounts.pays_at(&self.config, &flight.accounts, flight.at, cost)
    }

    /// Why an attempt may not be charged to its request's subjects.
    pub(super) fn unpaid(
        &self,
        flight: &Flight,
        dispatch: Dispatch,
    ) -> Option<(Invariant, String)> {
        let Dispatch { attempt: id, deployment, .. } = dispatch;
        if self.has_credit(flight) == Answer::No {
            let detail = format!("{id}: a limit of its subjects cannot take it");
            return Some((Invariant::Subjects, detail));
        }
        let name = &self.config.deployment(deployment).name;
        (self.affords(flight, deployment, flight.at) == Answer::No).then(|| {
            let detail = format!("{id}: a budget of its subjects cannot pay `{name}`");
            (Invariant::Budgets, detail)
        })
    }

    /// Whether a subject is in the way as is said, and no longer than is said.
    pub(super) fn is_refused(
        &self,
        flight: &Flight,
        kind: u8,
        what: Measure,
        earliest: Option<Time>,
    ) -> Option<String> {
        let Some(who) = flight.accounts.iter().find(|who| who.0 == kind) else {
            return Some(format!("is on no account of kind {kind}"));
        };
        let (at, take) = (flight.at, next(flight));
        if self.accounts.has_room(&self.config, *who, what, at, take) == Answer::Yes {
            return Some(format!("is refused for the {} of its subject", what.name()));
        }
        let latest = self.accounts.latest(&flight.accounts, at, take);
        let wrong = match (latest, earliest) {
            (None, None) => false,
            (Some(latest), Some(said)) => said < at || said > latest,
            (Some(_), None) | (None, Some(_)) => true,
        };
        wrong.then(|| format!("is told to come back at {earliest:?}, not {latest:?}"))
    }

    /// Whether budgets alone keep a request from everybody it may go to.
    pub(super) fn too_dear(&self, flight: &Flight) -> Answer {
        let mut dear = Answer::No;
        for group in self.open_groups(flight) {
            for (index, member) in self.config.group(group).present() {
                let deployment = member.deployment;
                if self.unfit(flight, group, index).is_some() || flight.barred.contains(&deployment)
                {
                    continue;
                }
                match self.affords(flight, deployment, flight.at) {
                    Answer::Yes => return Answer::No,
                    Answer::No => dear = dear.or(Answer::Yes),
                    Answer::Maybe => dear = Answer::Maybe,
                }
            }
        }
        dear
    }

    /// The groups that a new request may go to.
    fn open_groups(&self, flight: &Flight) -> Vec<GroupId> {
        let candidates = self.candidates(flight, self.detour(flight));
        core::iter::once(flight.request.group).chain(candidates).collect()
    }

    /// Whether the budget of this kind is in the way, with everybody, and until when.
    pub(super) fn is_too_dear(
        &self,
        flight: &Flight,
        kind: u8,
        earliest: Option<Time>,
    ) -> Option<String> {
        if flight.queued.is_none() && self.has_credit(flight) == Answer::No {
            return Some("is not told that its subject's limit is in the way".into());
        }
        if self.too_dear(flight) == Answer::No {
            return Some("is refused for a budget that is not in its way".into());
        }
        let refuses = |who: &Who| {
            let groups = self.open_groups(flight);
            let mut members = groups.iter().flat_map(|group| self.config.group(*group).present());
            members.any(|(_, member)| {
                let cost = accounts::price(&self.config, member.deployment, flight.take());
                self.accounts.pays(&self.config, *who, flight.at, cost) != Answer::Yes
            })
        };
        if !flight.accounts.iter().any(|who| who.0 == kind && refuses(who)) {
            return Some(format!("is refused for a budget of kind {kind}, which has room"));
        }
        self.is_stranded(flight, earliest)
    }

    /// Whether there is no place for an account of a request.
    pub(super) fn is_crowded(&mut self, id: RequestId) -> Option<String> {
        self.premise(Invariant::Subjects);
        let at = self.flights.get(&id)?.at;
        let (_, most) = self.accounts.crowd(&self.config, at, None);
        let room = u64::from(self.config.router().accounts);
        (most <= room).then(|| format!("has no account, though only {most} are in use"))
    }

    /// The router says how far a budget is used up.
    pub(super) fn used_up(&mut self, (who, budget, level): (Who, u8, Level), spent: u64) -> bool {
        // What was due before the input may have spent it, or asked it in vain just now; else what
        // the input says has.
        let owed = self.accounts.owes(who, budget, level);
        if !owed && self.dear.is_none() && matches!(self.pending, Some(Input::Peers(_))) {
            self.apply();
        }
        self.premise(Invariant::Budgets);
        let config = alloc::sync::Arc::clone(&self.config);
        let dear = self.dear.and_then(|(id, group, mask)| {
            let flight = self.flights.get(&id)?;
            let members = config.group(group).members.iter().enumerate();
            let refused = members.filter(|(index, _)| mask & 1 << index != 0);
            let take = flight.take();
            let costs = refused.map(|(_, m)| accounts::price(&config, m.deployment, take));
            Some((flight.accounts.as_slice(), costs.collect::<Vec<Spent>>()))
        });
        let dear = dear.as_ref().map(|(accounts, costs)| (*accounts, costs.as_slice()));
        self.accounts.told(&config, self.now, (who, budget, level), spent, dear)
    }

    /// Other policies take effect: what is in flight is reserved under them.
    pub(super) fn reprice(&mut self, last: &Config) {
        let next = &self.config;
        self.accounts.reconfigure(self.now, last, next);
        for flight in self.flights.values() {
            let cost = |live: &Attempt| live.cost;
            for cost in flight.lives().map(cost) {
                self.accounts.set_aside(next, &flight.accounts, cost);
            }
        }
    }
}

/// What a request's next attempt takes of its subjects' limits: requests are counted once.
fn next(flight: &Flight) -> Take {
    Take { requests: u64::from(flight.attempts == 0), ..flight.take() }
}

/// Whether subjects have limits to keep, and whether budgets.
pub(super) fn kinds(config: &Config, accounts: &[Who]) -> (bool, bool) {
    let policies = accounts.iter().filter_map(|who| config.policy(who.0.into(), who.1));
    policies.fold((false, false), |(limited, budgeted), policy| {
        let rated = limits::rates(&policy.limit).iter().any(Option::is_some);
        let limited = limited || rated || policy.limit.parallel.is_some();
        (limited, budgeted || policy.budgets.iter().any(|budget| budget.hard))
    })
}
