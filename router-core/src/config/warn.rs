//! What is allowed, but probably not meant: policies that can do nothing, or the opposite.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::concern::{Concern, Warning};
use super::{
    BreakerMode, BreakerWindow, BudgetUnit, Config, CooldownSpec, Deployment, Group, Member, Price,
    Rate, RestAfter, RetrySpec, Strategy, TimeoutsSpec,
};
use crate::{DeploymentId, Detour, FailureClass, GroupId, Span};

pub(super) fn warnings(config: &Config) -> Vec<Warning> {
    let mut finder = Finder { config, found: Vec::new() };
    if config.router.default_group.is_some() {
        let any =
            config.groups.iter().find(|g| !g.removed && g.aliases.iter().any(|alias| alias == "*"));
        if let Some(any) = any {
            let concern = Concern::DefaultMoot { group: any.name.clone() };
            finder.found("router.default_group".into(), concern);
        }
    }
    config.deployments.iter().filter(|known| !known.removed).for_each(|d| finder.adaptive(d));
    for group in config.groups.iter().filter(|group| !group.removed) {
        finder.group(group);
    }
    finder.subjects();
    finder.turns();
    finder.found
}

struct Finder<'c> {
    config: &'c Config,
    found: Vec<Warning>,
}

impl Finder<'_> {
    fn found(&mut self, path: String, concern: Concern) {
        self.found.push(Warning { path, concern });
    }

    fn adaptive(&mut self, deployment: &Deployment) {
        let Some(adaptive) = deployment.adaptive else { return };
        let limits = deployment.limits.iter();
        let parallel = limits.filter_map(|limit| self.config.limit(*limit).spec.parallel).min();
        if let Some(parallel) = parallel.filter(|parallel| *parallel < adaptive.max) {
            let (deployment, max) = (deployment.name.clone(), adaptive.max);
            let path = format!("deployment.{deployment}.adaptive.max");
            self.found(path, Concern::AdaptiveMoot { deployment, max, parallel });
        }
    }

    fn group(&mut self, group: &Group) {
        let path = format!("group.{}", group.name);
        self.members(&path, group);
        self.timeouts(&path, group);
        self.retries(&path, group);
        self.rests(&path, group);
        self.breaker(&path, group);
        self.panic(&path, group);
        self.hedge(&path, group);
        self.contexts(&path, group);
        self.queue(&path, group);
    }

    /// Budgets of dollars that something is free of charge for.
    fn subjects(&mut self) {
        let free: Vec<&str> = {
            let deployments = self.config.deployments.iter().enumerate();
            let serves = |index| {
                let mut groups = self.config.groups.iter();
                groups.any(|g| g.members.iter().any(|m| m.deployment.index() == index))
            };
            let free = deployments.filter(|(index, d)| d.price == Price::FREE && serves(*index));
            free.map(|(_, deployment)| deployment.name.as_str()).collect()
        };
        let Some((&first, others)) = free.split_first() else { return };
        let config = self.config;
        for kind in &config.kinds {
            for known in kind.named.iter().chain(&kind.others) {
                if known.budgets.iter().any(|budget| budget.unit == BudgetUnit::Usd) {
                    let name = if known.name.is_empty() { "*" } else { &known.name };
                    let subject = format!("{}={name}", kind.name);
                    let path = format!("subject.{subject}.budget");
                    let (deployment, others) = (first.into(), others.len());
                    self.found(path, Concern::Unpriced { subject, deployment, others });
                }
            }
        }
    }

    /// Classes and weights, where nobody waits for a turn.
    fn turns(&mut self) {
        let config = self.config;
        let groups = config.groups.iter().filter(|group| !group.removed);
        let queues = groups.filter_map(|group| group.queue);
        if config.router.priorities.len() > 1 && queues.clone().next().is_none() {
            self.found("router.priorities".into(), Concern::PrioritiesMoot);
        }
        for (place, kind) in config.kinds.iter().enumerate() {
            if queues.clone().any(|queue| queue.fair == Some(place as u8)) {
                continue;
            }
            for known in kind.named.iter().chain(&kind.others).filter(|known| known.weight > 1) {
                let name = if known.name.is_empty() { "*" } else { &known.name };
                let subject = format!("{}={name}", kind.name);
                let path = format!("subject.{subject}.weight");
                let (weight, kind) = (known.weight, kind.name.clone());
                self.found(path, Concern::WeightMoot { subject, weight, kind });
            }
        }
    }

    fn deployment_name(&self, deployment: DeploymentId) -> String {
        self.config.deployment(deployment).name.clone()
    }

    fn members(&mut self, path: &str, group: &Group) {
        let weighted = present(group).filter(|m| m.weight > 0);
        let forced = weighted.clone().filter(|m| m.breaker == BreakerMode::ForcedOpen).count();
        if forced == weighted.count() {
            let concern = Concern::AllForced { group: group.name.clone(), members: forced };
            self.found(format!("{path}.members"), concern);
        }
        let limited = |m: DeploymentId| {
            let deployment = self.config.deployment(m);
            !deployment.limits.is_empty() || deployment.adaptive.is_some()
        };
        let members = present(group).map(|m| m.deployment);
        let (some, none): (Vec<_>, Vec<_>) = members.partition(|&m| limited(m));
        if group.strategy == Strategy::Usage && !some.is_empty() {
            for member in none {
                let deployment = self.deployment_name(member);
                let path = format!("{path}.members.{deployment}");
                self.found(path, Concern::UsageUnlimited { deployment });
            }
        }
    }

    fn retries(&mut self, path: &str, group: &Group) {
        let attempts = self.config.router.attempts;
        for class in FailureClass::ALL {
            let retries = group.retry.most(class);
            // As often as can be, or as nobody wrote.
            if retries != RetrySpec::default().most(class) && retries >= attempts {
                let group = group.name.clone();
                let concern = Concern::RetryMoot { group, class, retries, attempts };
                self.found(format!("{path}.retry.{}", class.name()), concern);
            }
        }
    }

    /// Rests for rate limits, against the quota that is waited for; and whether the window ever
    /// holds enough calls.
    fn rests(&mut self, path: &str, group: &Group) {
        let cooldown = &group.cooldown;
        if !cooldown.enabled {
            return;
        }
        let entry = cooldown.classes.rate_limit;
        let rest = entry.rest.unwrap_or(cooldown.rest);
        let longest = if cooldown.grow > 1 { cooldown.max } else { rest };
        let refill = |deployment| Some((self.rates(deployment).map(refill).max()?, deployment));
        let refills = present(group).filter_map(|member| refill(member.deployment));
        let short: Vec<_> = refills.filter(|(refill, _)| longest > *refill).collect();
        if let Some(&(refill, deployment)) = short.iter().min()
            && !rests_as_usual(cooldown)
            && entry.after != RestAfter::Never
        {
            let key = match entry.rest {
                _ if rest <= refill => "max",
                Some(_) => "rate_limit.rest",
                None => "rest",
            };
            let (deployment, others) = (self.deployment_name(deployment), short.len() - 1);
            let after = entry.after;
            let concern = Concern::RestTooLong { deployment, others, after, rest, longest, refill };
            self.found(format!("{path}.cooldown.{key}"), concern);
        }
        let members = present(group).map(|member| member.deployment);
        let path = format!("{path}.cooldown.after");
        self.few_calls(path, "cooldown", members, (cooldown.calls_min, cooldown.window));
    }

    fn breaker(&mut self, path: &str, group: &Group) {
        let Some(breaker) = &group.breaker else { return };
        let BreakerWindow::Time(window) = breaker.window else { return };
        if breaker.consecutive > 0 {
            return;
        }
        let judged = present(group).filter(|member| match member.breaker {
            BreakerMode::Enforce | BreakerMode::Observe => true,
            BreakerMode::Disabled | BreakerMode::ForcedOpen => false,
        });
        let path = format!("{path}.breaker.after");
        let members = judged.map(|member| member.deployment);
        self.few_calls(path, "breaker", members, (breaker.calls_min, window));
    }

    fn few_calls(
        &mut self,
        path: String,
        of: &'static str,
        members: impl Iterator<Item = DeploymentId>,
        (calls_min, window): (u32, Span),
    ) {
        let most = |deployment: DeploymentId| {
            let limits = self.config.deployment(deployment).limits.iter();
            let requests = limits.filter_map(|&limit| self.config.limit(limit).spec.requests);
            Some((requests.map(|rate| admitted(rate, window)).min()?, deployment))
        };
        let few: Vec<_> =
            members.filter_map(most).filter(|(most, _)| *most < u64::from(calls_min)).collect();
        if let Some(&(most, deployment)) = few.iter().min() {
            let (deployment, others) = (self.deployment_name(deployment), few.len() - 1);
            let concern = Concern::FewCalls { of, deployment, others, calls_min, window, most };
            self.found(path, concern);
        }
    }

    fn panic(&mut self, path: &str, group: &Group) {
        let members = weighted(group);
        let out = group.ejected_max.of_ceil(group.size().into()).min(members as u64);
        if group.panic.is_zero() || members == 0 {
            return;
        }
        let quiet = |out: u64| group.panic.reached_by(members as u64 - out, members as u64);
        let (name, panic) = (group.name.clone(), group.panic);
        let concern = if quiet(out) {
            Concern::PanicMoot { group: name, panic, members, out }
        } else if !quiet(1) {
            Concern::PanicAtOnce { group: name, panic, members }
        } else {
            return;
        };
        self.found(format!("{path}.panic"), concern);
    }

    /// Timeouts that somebody wrote, and that the deadline comes before.
    fn timeouts(&mut self, path: &str, group: &Group) {
        let deadline = self.config.router.deadline;
        let (own, usual) = (&group.timeouts, TimeoutsSpec::default());
        let times = [
            ("timeouts.connect", own.connect, usual.connect),
            ("timeouts.first_token", own.first_token, usual.first_token),
            ("timeouts.idle", own.idle, usual.idle),
            ("timeouts.total", own.total, usual.total),
        ];
        for (timeout, after, usual) in times {
            // A default is cut to the total, of which it is said once.
            let is_total = after == own.total && timeout != "timeouts.total";
            if after > deadline && after != Span::MAX && after != usual && !is_total {
                let concern = Concern::TimeoutMoot { timeout, after, deadline };
                self.found(format!("{path}.{timeout}"), concern);
            }
        }
    }

    fn hedge(&mut self, path: &str, group: &Group) {
        if group.hedge.is_none() {
            return;
        }
        let (name, members) = (group.name.clone(), weighted(group));
        let budget = &self.config.router.retry_budget;
        let pays = budget.ratio.map(|ratio| (ratio, budget.per_second));
        let sees = present(group).any(|member| {
            let deployment = self.config.deployment(member.deployment);
            let mut limits = deployment.limits.iter();
            deployment.adaptive.is_some()
                || limits.any(|&limit| self.config.limit(limit).spec.parallel.is_some())
        });
        let concern = if self.config.router.attempts == 1 {
            Concern::HedgeLast { group: name }
        } else if members < 2 {
            Concern::HedgeAlone { group: name, members }
        } else if pays.is_some_and(|(ratio, floor)| ratio.is_zero() && floor == 0) {
            Concern::HedgeUnpaid { group: name }
        } else if !sees {
            Concern::HedgeBlind { group: name, budget: pays }
        } else {
            return;
        };
        self.found(format!("{path}.hedge"), concern);
    }

    fn queue(&mut self, path: &str, group: &Group) {
        let Some(queue) = group.queue else { return };
        let (group, deadline) = (group.name.clone(), self.config.router.deadline);
        let timeout = queue.timeout;
        if timeout == Span::MAX {
            let concern = Concern::QueueWithoutTimeout { group, deadline };
            self.found(format!("{path}.queue"), concern);
        } else if timeout > deadline {
            let concern = Concern::QueuePastDeadline { group, timeout, deadline };
            self.found(format!("{path}.queue.timeout"), concern);
        }
    }

    fn contexts(&mut self, path: &str, group: &Group) {
        // Without a bound of its own nothing is known to be too long here.
        let Some(here) = self.longest(group) else { return };
        let [any, too_long] = [Detour::Any, Detour::ContextWindow].map(|detour| {
            // Whoever has the router's list very likely wrote none.
            let usual = self.usual(detour);
            let is_usual = !usual.is_empty() && group.fallbacks[detour as usize] == usual;
            format!("{}.fallbacks", if is_usual { "router" } else { path })
        });
        for &fallback in &group.fallbacks[Detour::ContextWindow as usize] {
            let fallback = self.config.group(fallback);
            let there = self.longest(fallback).filter(|there| *there <= here);
            if let Some(there) = there.filter(|_| fallback.name != group.name) {
                let (group, fallback) = (group.name.clone(), fallback.name.clone());
                let concern = Concern::ContextNoLarger { group, here, fallback, there };
                self.found(format!("{too_long}.context_window"), concern);
            }
        }
        let chain = group.chain(Detour::Any);
        let bounds: Option<Vec<u32>> =
            chain.iter().map(|&group: &GroupId| self.longest(self.config.group(group))).collect();
        let there = bounds.and_then(|bounds| bounds.into_iter().max());
        if let Some(there) = there.filter(|there| *there < here) {
            let concern = Concern::ContextShrinks { group: group.name.clone(), here, there };
            self.found(format!("{any}.any"), concern);
        }
    }

    /// The router's own list of fallbacks.
    fn usual(&self, detour: Detour) -> Vec<GroupId> {
        let lists = &self.config.router.fallbacks;
        let names = match detour {
            Detour::Any => &lists.any,
            Detour::ContextWindow => &lists.context_window,
            Detour::ContentPolicy => &lists.content_policy,
        };
        names.iter().filter_map(|name| self.config.route(name)).collect()
    }

    /// The most tokens that some member of a group takes; `None` if there is no bound.
    fn longest(&self, group: &Group) -> Option<u32> {
        present(group).map(|m| m.context).max().filter(|&most| most < u32::MAX)
    }

    /// Every rate that calls of a deployment take from.
    fn rates(&self, deployment: DeploymentId) -> impl Iterator<Item = Rate> {
        let limits = self.config.deployment(deployment).limits.iter();
        limits
            .flat_map(|&limit| {
                let spec = &self.config.limit(limit).spec;
                [spec.requests, spec.tokens, spec.input_tokens, spec.output_tokens]
            })
            .flatten()
    }
}

fn present(group: &Group) -> impl Iterator<Item = &Member> + Clone {
    group.present().map(|(_, member)| member)
}

/// Members that take traffic of their own, and that a hedge may go to.
fn weighted(group: &Group) -> usize {
    let serves = present(group).filter(|m| m.weight > 0);
    serves.filter(|m| m.breaker != BreakerMode::ForcedOpen).count()
}

/// Whether rests are as nobody wrote: those are short against most quotas, and no choice.
fn rests_as_usual(cooldown: &CooldownSpec) -> bool {
    let usual = CooldownSpec::default();
    cooldown.rest == usual.rest
        && cooldown.max == usual.max
        && cooldown.grow == usual.grow
        && cooldown.classes.rate_limit.rest.is_none()
}

/// How long a rate takes from empty to whole.
fn refill(rate: Rate) -> Span {
    rate.period.scale(rate.burst.unwrap_or(rate.amount), rate.amount)
}

/// The most that a rate admits in a window.
fn admitted(rate: Rate, window: Span) -> u64 {
    let (amount, period) = (u128::from(rate.amount), u128::from(rate.period.as_nanos()));
    let flow = amount * u128::from(window.as_nanos()) / period.max(1);
    rate.burst.unwrap_or(rate.amount).saturating_add(u64::try_from(flow).unwrap_or(u64::MAX))
}
