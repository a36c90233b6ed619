//! The most that one request may cost.

use alloc::vec::Vec;

use super::{BreakerMode, Config, Group, Jitter};
use crate::{Detour, GroupId, Ratio, Span};

/// The most that one request to a group may cost, whatever fails.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct WorstCase {
    /// The most upstream calls, hedges and fallbacks included: `router.attempts`. Without any
    /// retry budget it is one in each group that its fallbacks reach, if that is less.
    pub attempts: u32,
    /// How long a streaming request may take.
    pub stream: Longest,
    /// How long any other request may take.
    pub whole: Longest,
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
    /// timeout, and each is followed by the longest wait that its own failure can cause: backoff,
    /// `Retry-After` at its cap, a rest or an open breaker at its longest, jitter included.
    /// Waiting for limits, or for keys that a person must mend, is not in it. [`Span::MAX`] if a
    /// timeout is off.
    pub own: Span,
}

pub(super) fn worst_case(config: &Config, home: GroupId) -> WorstCase {
    let groups = reachable(config, home);
    let router = &config.router;
    let budget = &router.retry_budget;
    let is_paid = budget.per_second > 0 || budget.ratio.is_none_or(|r| r.numerator() > 0);
    let most = u32::from(router.attempts);
    // Unpaid, nothing is tried again and nothing waits: a fallback is free, but enters a group once.
    let attempts = if is_paid { most } else { most.min(groups.len() as u32) };
    let waits = is_paid && attempts > 1;
    let longest = |stream: bool| {
        let own = own(config, &groups, attempts, waits, stream);
        Longest { latency: if waits { router.deadline } else { own.min(router.deadline) }, own }
    };
    WorstCase { attempts, stream: longest(true), whole: longest(false) }
}

/// A group and every group that some mix of its fallbacks leads to.
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
    found.into_iter().map(|group| config.group(group)).collect()
}

/// [`Longest::own`]: any attempt may be in any of the groups, so each is as long as in the
/// slowest. A hedge runs beside its attempt and so ends before a retry after it would.
fn own(config: &Config, groups: &[&Group], attempts: u32, waits: bool, stream: bool) -> Span {
    let fails = |group: &&Group| {
        let times = &group.timeouts;
        if stream { times.first_token.min(times.total) } else { times.total }
    };
    let last = groups.iter().map(|group| group.timeouts.total).max().unwrap_or(Span::ZERO);
    let before = attempts.saturating_sub(1);
    if !waits {
        let mut fails: Vec<Span> = groups.iter().map(fails).collect();
        fails.sort_unstable_by(|a, b| b.cmp(a));
        return fails.into_iter().take(before as usize).fold(last, |sum, span| sum + span);
    }
    let fails = groups.iter().map(fails).max().unwrap_or(Span::ZERO);
    (1..=before).fold(last, |sum, attempt| {
        let wait = groups.iter().map(|group| wait(config, group, attempt)).max();
        sum + fails + wait.unwrap_or(Span::ZERO)
    })
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
    let enforces = group.members.iter().any(|member| match member.breaker {
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
        BackoffSpec, BreakerSpec, DeploymentSpec, GroupSpec, HedgeSpec, MemberSpec, Spec,
        TimeoutsSpec,
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
        assert_eq!(worst(&spec), WorstCase { attempts: 1, stream: once(120), whole: once(120) });
        spec.router.deadline = secs(50);
        let cut = Longest { latency: secs(50), own: secs(120) };
        assert_eq!(worst(&spec), WorstCase { attempts: 1, stream: cut, whole: cut });
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
