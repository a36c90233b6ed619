//! Another configuration takes over: what becomes of the books, and what must not be lost.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::budget::Budget;
use super::flight::{Attempt, Flight};
use super::health::{Health, Place};
use super::limits::Limits;
use super::{Answer, Auditor, Invariant};
use crate::{Cause, Config, DeploymentId, Dispatch, Input, LimitId, RequestId};

/// What was known when the present configuration took over.
#[derive(Clone, Debug)]
pub(super) struct Survivors {
    limits: Limits,
    health: Health,
}

impl Auditor {
    /// Another configuration holds. It moves the timeouts of calls in flight.
    pub(super) fn reconfigured(&mut self, next: Arc<Config>) {
        let next = next.begun(self.config.router().periods_began);
        let last = core::mem::replace(&mut self.config, next);
        let (now, config) = (self.now, Arc::clone(&self.config));
        self.limits.reconfigure(now, &last, &config);
        self.accounts.closed_from = self.limits.closed_from(&config);
        let limits = |config: &Config, of: DeploymentId| -> Vec<LimitId> {
            config.deployment(of).limits.clone()
        };
        let moved = |of: DeploymentId| limits(&last, of) != limits(&config, of);
        let lives = self.flights.values().flat_map(Flight::lives);
        for Attempt { place: Place { deployment, .. }, reserved, .. } in lives {
            if moved(*deployment) {
                let (from, to) = (limits(&last, *deployment), limits(&config, *deployment));
                self.limits.transfer((&from, &to), now, *reserved);
            }
        }
        self.abandoned.retain(|abandoned| !moved(abandoned.deployment));
        self.reprice(&last);
        self.health.reconfigure(now, &last, &config);
        self.adaptive.reconfigure(now, &config, |of| self.limits.in_flight(of));
        self.expected.reconfigure(&config);
        self.credits.reconfigure(&last, &config);
        self.hedges.reconfigure(&config);
        if last.router().retry_budget.window != config.router().retry_budget.window {
            self.budget = Budget::new(self.start);
        }
        self.epoch += 1;
        for flight in self.flights.values_mut() {
            flight.retime(&config, now);
        }
        self.requeue(&last);
        let open: Vec<RequestId> = self.flights.keys().copied().collect();
        open.into_iter().for_each(|id| self.list(id));
        for (index, deployment) in config.deployments().iter().enumerate() {
            let id = DeploymentId::at(index);
            let was_there = last.deployments().get(index).is_some_and(|known| !known.removed);
            if !deployment.removed {
                self.undrained.remove(&id);
            } else if was_there {
                self.undrained.insert(id);
            }
        }
        if self.health.is_marked(now) || self.limits.are_used(now) {
            self.premise(Invariant::Survives);
        }
        let (limits, health) = (self.limits.clone(), self.health.clone());
        self.survivors = Some(Box::new(Survivors { limits, health }));
    }

    /// A removed deployment is said to have no call in flight any more.
    pub(super) fn drained(&mut self, deployment: DeploymentId) {
        if !self.is_drained(deployment) && matches!(self.pending, Some(Input::Reconfigure(_))) {
            self.apply();
        }
        self.premise(Invariant::Removed);
        let holds = self.is_drained(deployment);
        self.undrained.remove(&deployment);
        if !holds {
            let name = self.name_of(deployment);
            self.breach(Invariant::Removed, None, || {
                format!("`{name}` is said to have drained, which it has not, or did before")
            });
        }
    }

    fn name_of(&self, deployment: DeploymentId) -> String {
        let known = self.config.deployments().get(deployment.index());
        known.map_or_else(String::new, |known| known.name.clone())
    }

    fn is_drained(&self, deployment: DeploymentId) -> bool {
        self.undrained.contains(&deployment) && self.limits.in_flight(deployment) == 0
    }

    /// Misses what should have been told of removed deployments.
    pub(super) fn miss_drained(&mut self) {
        let idle = self.undrained.iter().copied().find(|id| self.is_drained(*id));
        let Some(deployment) = idle else { return };
        self.undrained.remove(&deployment);
        if self.told {
            let name = self.name_of(deployment);
            self.breach(Invariant::Removed, None, || {
                format!("it is not told that `{name}` has drained")
            });
        }
    }

    /// Whether an attempt goes where the configuration has removed something.
    pub(super) fn gone(&self, dispatch: Dispatch, member: Option<usize>) -> Option<&'static str> {
        let group = self.config.group(dispatch.group);
        if self.config.deployment(dispatch.deployment).removed {
            Some("was removed")
        } else if member.is_some_and(|member| group.present >> member & 1 == 0) {
            Some("was removed from its group")
        } else {
            None
        }
    }

    /// What a breach is one of: of what was known before the present configuration, if that alone
    /// forbids it.
    pub(super) fn of_old(
        &self,
        breach: Invariant,
        flight: &Flight,
        to: (Place, Cause),
    ) -> Invariant {
        let (place, cause) = to;
        let Some(old) = self.survivors.as_deref() else { return breach };
        let (config, at) = (&*self.config, flight.at);
        let Place { group, member, deployment, .. } = place;
        let panic = cause == Cause::Panic;
        let rests = || old.health.forbids(place, at, panic).is_some();
        let open = || !panic && old.health.is_open(config, group, member, at);
        let spent = || old.limits.take(config, deployment, at, flight.take()) == Answer::No;
        let forbids = match breach {
            Invariant::RetryAfter => rests(),
            Invariant::OnlyEligible => {
                self.unfit(flight, group, member).is_none() && (rests() || open())
            }
            Invariant::RateLimits => spent(),
            Invariant::Conservation
            | Invariant::AttemptCap
            | Invariant::RetryBudget
            | Invariant::Chosen
            | Invariant::Probes
            | Invariant::Hedges
            | Invariant::Peers
            | Invariant::Parallel
            | Invariant::Subjects
            | Invariant::Budgets
            | Invariant::Adaptive
            | Invariant::Deadline
            | Invariant::FinalFailures
            | Invariant::CommitIsFinal
            | Invariant::NothingLeaks
            | Invariant::WorkConservation
            | Invariant::QueueOrder
            | Invariant::QueueBound
            | Invariant::Removed
            | Invariant::Survives
            | Invariant::TimeMonotone
            | Invariant::Punctual
            | Invariant::Ladder
            | Invariant::DrainHolds
            | Invariant::ClaimsHold => false,
        };
        if forbids { Invariant::Survives } else { breach }
    }
}
