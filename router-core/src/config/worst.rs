//! The most that one request may cost.

use alloc::vec::Vec;

use super::{BreakerMode, Config, Group, Jitter, Price};
use crate::{Detour, FailureClass, GroupId, Ratio, Span};

/// The most that one request to a group may cost, whatever fails.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct WorstCase {
    /// The most upstream calls, hedges and fallbacks included: `router.attempts`, or less if the
    /// groups that fallbacks reach, their retries by class and a hedge do not come to as many.
    pub attempts: u32,
    /// How long a streaming request may take.
    pub stream: Longest,
    /// How long any other request may take.
    pub whole: Longest,
    /// What a token of the request may cost, all of these calls together, each where that is
    /// dearest: of the prompt (`cached` if all of it is read from caches), and of the longest of
    /// their answers. Saturates; what has no price counts as free.
    pub price: Price,
}

/// The most time that one request may take.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Longest {
    /// From submission to its end: never more than this. It is the deadline if the request may
    /// ever wait, since what it waits for may be held up by other requests; [`Span::MAX`] if
    /// there is none.
    pub latency: Span,
    /// What its own timeouts and waits add up to, as if there were no deadline: every attempt
    /// but the last fails as late as it can before a token came, the last takes its total
    /// timeout, and each that may be retried is followed by the longest wait that its own failure
    /// can cause: backoff, `Retry-After` at its cap, a rest or an open breaker at its longest,
    /// jitter included. Before the first comes the timeout of the group's queue, if it has one.
    /// Waiting for limits after that, or for keys that a person must mend, is not in it.
    /// [`Span::MAX`] if a timeout is off.
    pub own: Span,
}

pub(super) fn worst_case(config: &Config, home: GroupId) -> WorstCase {
    let way = Way::from(config, home);
    // Nothing but a retry ever waits: a fallback and a hedge are made at once or not at all.
    let waits = way.retries > 0;
    let queued = config.group(home).queue.map_or(Span::ZERO, |queue| queue.timeout);
    let longest = |stream: bool| {
        let own = queued + way.own(config, stream);
        let deadline = config.router.deadline;
        Longest { latency: if waits { deadline } else { own.min(deadline) }, own }
    };
    let price = |each: fn(&Price) -> u64| {
        let dearest = |group: &Group| {
            let serve = group.present().filter(|(_, m)| m.breaker != BreakerMode::ForcedOpen);
            serve.map(|(_, m)| each(&config.deployment(m.deployment).price)).max().unwrap_or(0)
        };
        way.most(way.attempts, dearest)
    };
    WorstCase {
        attempts: way.attempts,
        stream: longest(true),
        whole: longest(false),
        price: Price {
            input: price(|price| price.input.max(price.cached)),
            cached: price(|price| price.cached),
            output: price(|price| price.output),
        },
    }
}

/// Where the calls of a request may go.
struct Way<'c> {
    /// Its group, and every group that some mix of fallbacks leads to: each is entered once.
    groups: Vec<&'c Group>,
    /// How often it may be tried again where it is, over all classes of failure.
    retries: u32,
    /// Whether a hedge may be made beside one of its attempts: one per request.
    hedges: bool,
    /// All its calls together.
    attempts: u32,
}

impl<'c> Way<'c> {
    fn from(config: &'c Config, home: GroupId) -> Self {
        let groups = reachable(config, home);
        let budget = &config.router.retry_budget;
        let is_paid = budget.per_second > 0 || budget.ratio.is_none_or(|r| r.numerator() > 0);
        // Each failure counts under its class for the whole request, whichever group retries it.
        let most = |class| groups.iter().map(|group| group.retry.most(class)).max().unwrap_or(0);
        let retries = FailureClass::ALL.into_iter().map(|class| u32::from(most(class))).sum();
        let router = u32::from(config.router.attempts);
        let retries = if is_paid && router > 1 { retries } else { 0 };
        let hedges = is_paid && groups.iter().any(|group| hedges(group));
        let attempts = router.min(groups.len() as u32 + retries + u32::from(hedges));
        Self { groups, retries: retries.min(attempts - 1), hedges, attempts }
    }

    /// What `count` of the calls come to, each where `each` is most: any retry may be in any of
    /// the groups.
    fn most(&self, count: u32, each: impl Fn(&Group) -> u64) -> u64 {
        let mut all: Vec<u64> = self.groups.iter().map(|group| each(group)).collect();
        let most = all.iter().copied().max().unwrap_or(0);
        if self.hedges {
            let hedging = self.groups.iter().filter(|group| hedges(group));
            all.extend(hedging.map(|group| each(group)).max());
        }
        all.extend((0..self.retries).map(|_| most));
        all.sort_unstable_by(|a, b| b.cmp(a));
        all.into_iter().take(count as usize).fold(0, u64::saturating_add)
    }

    /// [`Longest::own`]. A hedge begins before its attempt would fail, so it takes no longer than
    /// one more attempt after it. Of the waits, which grow, those that come last.
    fn own(&self, config: &Config, stream: bool) -> Span {
        let fails = |group: &Group| {
            let times = &group.timeouts;
            let end = if stream { times.first_token.min(times.total) } else { times.total };
            end.as_nanos()
        };
        let last = self.groups.iter().map(|group| group.timeouts.total).max();
        let before = self.attempts - 1;
        let calls = last.unwrap_or(Span::ZERO) + Span::from_nanos(self.most(before, fails));
        (before - self.retries + 1..=before).fold(calls, |sum, attempt| {
            let wait = self.groups.iter().map(|group| wait(config, group, attempt)).max();
            sum + wait.unwrap_or(Span::ZERO)
        })
    }
}

/// Whether a group may make a hedge: it has somebody else to send it to.
fn hedges(group: &Group) -> bool {
    group.hedge.is_some() && group.size() > 1
}

/// A group, every group that some mix of its fallbacks leads to, and those of its ladder.
fn reachable(config: &Config, home: GroupId) -> Vec<&Group> {
    let mut found = alloc::vec![home];
    let mut next = 0;
    while let Some(&group) = found.get(next) {
        for detour in Detour::ALL {
            for &fallback in &config.group(group).fallbacks[detour as usize] {
                if !found.contains(&fallback) {
                    found.push(fallback);
                }
            }
        }
        next += 1;
    }
    // A group of the ladder leads to no fallbacks.
    let rungs = config.group(home).ladder.groups().filter(|rung| !found.contains(rung));
    let rungs: Vec<GroupId> = rungs.collect();
    found.extend(rungs);
    found.into_iter().map(|group| config.group(group)).collect()
}

/// The longest wait that a failure of an attempt in `group` can cause by itself.
fn wait(config: &Config, group: &Group, attempt: u32) -> Span {
    let backoff = &group.backoff;
    let grown = || {
        let factor = u64::from(backoff.factor);
        (1..attempt).fold(backoff.base, |bound, _| bound * factor).min(backoff.max)
    };
    let backoff = match backoff.jitter {
        Jitter::Full | Jitter::Equal => grown(),
        Jitter::Constant => backoff.base,
    };
    let cooldown = &group.cooldown;
    let own = if cooldown.enabled { cooldown.max } else { Span::ZERO };
    let rest = jittered(own.max(config.router.retry_after_max), cooldown.jitter);
    let enforces = group.present().any(|(_, member)| match member.breaker {
        BreakerMode::Enforce => true,
        BreakerMode::Observe | BreakerMode::Disabled | BreakerMode::ForcedOpen => false,
    });
    let breaker = group.breaker.filter(|_| enforces);
    let open = breaker.map_or(Span::ZERO, |breaker| jittered(breaker.max, breaker.jitter));
    backoff.max(rest).max(open)
}

fn jittered(span: Span, jitter: Ratio) -> Span {
    span + span.scale(jitter.numerator().into(), jitter.denominator().into())
}

#[cfg(test)]
mod tests {
    use std::borrow::ToOwned;
    use std::vec;

    use super::*;
    use crate::{
        BackoffSpec, BreakerSpec, DeploymentSpec, GroupSpec, HedgeSpec, MemberSpec, QueueSpec,
        RetrySpec, Spec, TimeoutsSpec,
    };

    const fn secs(secs: u64) -> Span {
        Span::from_secs(secs)
    }

    /// `chat` falls back to `backup`, whose attempts are twice as long.
    fn spec() -> Spec {
        let mut spec = Spec::default();
        for (name, times) in [("chat", 1), ("backup", 2)] {
            spec.deployments.push(DeploymentSpec::new(name.to_owned()));
            let mut group = GroupSpec::new(name.to_owned());
            group.members.push(MemberSpec { deployment: name.to_owned(), weight: 1, tier: 0 });
            let (first_token, total) = (secs(10) * times, secs(60) * times);
            group.timeouts = TimeoutsSpec { first_token, total, ..TimeoutsSpec::default() };
            // Below the cap of `Retry-After`, but for the last.
            group.backoff = BackoffSpec { base: secs(5), max: secs(30), ..group.backoff };
            group.cooldown.jitter = Ratio::from_ppm(500_000);
            spec.groups.push(group);
        }
        spec.groups[0].fallbacks.any = vec!["backup".to_owned()];
        spec.router.retry_after_max = secs(4);
        spec.groups.iter_mut().for_each(|group| group.cooldown.max = secs(4));
        spec.groups.iter_mut().for_each(|group| group.cooldown.rest = secs(4));
        spec
    }

    fn worst(spec: &Spec) -> WorstCase {
        Config::new(spec).expect("it is right").worst_case(GroupId::at(0))
    }

    #[test]
    fn every_attempt_is_as_slow_as_can_be_and_waits_as_long_as_can_be() {
        let mut spec = spec();
        // Waits after three attempts: the rest is 4 s and half as much again, the backoff 5 s,
        // 10 s and 20 s. Two failures and the last attempt of a stream: 20 s, 20 s and 120 s.
        let found = worst(&spec);
        assert_eq!(found.attempts, 3);
        assert_eq!(found.stream, Longest { latency: secs(600), own: secs(6 + 10 + 2 * 20 + 120) });
        assert_eq!(found.whole, Longest { latency: secs(600), own: secs(6 + 10 + 3 * 120) });
        spec.router.attempts = 5;
        assert_eq!(worst(&spec).stream.own, secs(6 + 10 + 20 + 30 + 4 * 20 + 120));
        spec.groups[1].backoff.jitter = Jitter::Constant;
        spec.groups[0].backoff.jitter = Jitter::Constant;
        assert_eq!(worst(&spec).stream.own, secs(6 + 6 + 6 + 6 + 4 * 20 + 120));
        // 30 s and a tenth: longer than any backoff.
        spec.groups[1].breaker = Some(BreakerSpec { max: secs(30), ..BreakerSpec::default() });
        assert_eq!(worst(&spec).stream.own, secs(4 * 33 + 4 * 20 + 120));
        // A hedge is one of the attempts, and takes no longer than a retry.
        spec.groups[0].hedge = Some(HedgeSpec::default());
        assert_eq!((worst(&spec).attempts, worst(&spec).stream.own), (5, secs(332)));
        spec.groups[0].queue = Some(QueueSpec { timeout: secs(7), ..QueueSpec::new(9) });
        assert_eq!(worst(&spec).stream.own, secs(332 + 7), "it waits before its first attempt");
        spec.groups[1].queue = Some(QueueSpec { timeout: secs(70), ..QueueSpec::new(9) });
        assert_eq!(worst(&spec).stream.own, secs(332 + 7), "where it falls back to nothing waits");
    }

    #[test]
    fn without_a_retry_budget_each_group_is_asked_once_and_nothing_waits() {
        let mut spec = spec();
        spec.router.attempts = 9;
        spec.router.retry_budget.ratio = Some(Ratio::ZERO);
        spec.router.retry_budget.per_second = 0;
        let once = |own| Longest { latency: secs(own), own: secs(own) };
        let found = worst(&spec);
        assert_eq!((found.attempts, found.stream, found.whole), (2, once(140), once(240)));
        spec.router.attempts = 1;
        let found = worst(&spec);
        assert_eq!((found.attempts, found.stream, found.whole), (1, once(120), once(120)));
        spec.router.deadline = secs(50);
        let cut = Longest { latency: secs(50), own: secs(120) };
        let found = worst(&spec);
        assert_eq!((found.attempts, found.stream, found.whole), (1, cut, cut));
    }

    #[test]
    fn retries_by_class_bound_the_calls_and_the_waits() {
        let mut spec = spec();
        spec.router.attempts = 9;
        let none = RetrySpec { most: [0; FailureClass::ALL.len()] };
        let mut timeout = none;
        timeout.most[FailureClass::Timeout as usize] = 1;
        let retried = |spec: &mut Spec, [chat, backup]: [RetrySpec; 2]| {
            (spec.groups[0].retry, spec.groups[1].retry) = (chat, backup);
            worst(spec)
        };
        // Nothing is retried: one call in each group, and none of them waits.
        let found = retried(&mut spec, [none, none]);
        let once = |own| Longest { latency: secs(own), own: secs(own) };
        assert_eq!((found.attempts, found.stream, found.whole), (2, once(140), once(240)));
        // One retry, in either group, for the failures of one class: the same one.
        for retry in [[timeout, none], [none, timeout], [timeout, timeout]] {
            let found = retried(&mut spec, retry);
            // 20 s twice, 120 s, and a backoff of 10 s after the second.
            let own = Longest { latency: secs(600), own: secs(2 * 20 + 120 + 10) };
            assert_eq!((found.attempts, found.stream), (3, own));
        }
        // A hedge is one more, and may come first.
        spec.groups[0].members.push(MemberSpec { deployment: "backup".into(), weight: 1, tier: 0 });
        spec.groups[0].hedge = Some(HedgeSpec::default());
        let found = retried(&mut spec, [none, none]);
        assert_eq!((found.attempts, found.stream), (3, once(20 + 10 + 120)));
    }

    #[test]
    fn every_call_is_paid_where_it_is_dearest() {
        let mut spec = spec();
        let price = |input, cached, output| Price { input, cached, output };
        spec.deployments[0].price = price(5, 1, 20);
        spec.deployments[1].price = price(3, 4, 30);
        assert_eq!(worst(&spec).price, price(15, 12, 90));
        // Once in each group, if nothing is retried.
        spec.router.retry_budget.ratio = Some(Ratio::ZERO);
        spec.router.retry_budget.per_second = 0;
        assert_eq!(worst(&spec).price, price(5 + 4, 1 + 4, 20 + 30));
        spec.deployments[1].breaker = Some(BreakerMode::ForcedOpen);
        assert_eq!(worst(&spec).price, price(5, 1, 20));
    }

    #[test]
    fn what_is_off_takes_for_ever() {
        let mut spec = spec();
        spec.groups[1].timeouts.total = Span::MAX;
        assert_eq!(worst(&spec).whole, Longest { latency: secs(600), own: Span::MAX });
        spec.router.deadline = Span::MAX;
        assert_eq!(worst(&spec).stream, Longest { latency: Span::MAX, own: Span::MAX });
    }
}
