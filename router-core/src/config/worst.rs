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
