//! What can be odd about a configuration that is right, in words.

use alloc::string::String;
use core::fmt;

use super::RestAfter;
use super::words::{Percent, Thousands, Time};
use crate::{FailureClass, Ratio, Span};

/// One thing worth a look, and where.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Warning {
    /// The path in the file: `group.chat.hedge`.
    pub path: String,
    /// What is odd there.
    pub concern: Concern,
}

/// What can be odd about a configuration that is right. Names are as in the file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Concern {
    /// A group hedges, but has fewer than two members that a hedge may go to.
    HedgeAlone {
        /// The group.
        group: String,
        /// How many there are.
        members: usize,
    },
    /// A group hedges, but nothing says how busy it is.
    HedgeBlind {
        /// The group.
        group: String,
        /// Retries per request and per second, which also pay hedges; `None`: no bound.
        budget: Option<(Ratio, u32)>,
    },
    /// A group hedges, but the retry budget that pays hedges is nothing.
    HedgeUnpaid {
        /// The group.
        group: String,
    },
    /// A group hedges, but a request has one attempt.
    HedgeLast {
        /// The group.
        group: String,
    },
    /// A fallback for prompts that are too long takes none that is longer.
    ContextNoLarger {
        /// The group.
        group: String,
        /// The most tokens it takes.
        here: u32,
        /// The fallback.
        fallback: String,
        /// The most tokens that takes.
        there: u32,
    },
    /// No fallback of a group takes prompts as long as the group does.
    ContextShrinks {
        /// The group.
        group: String,
        /// The most tokens it takes.
        here: u32,
        /// The most tokens any of its fallbacks takes.
        there: u32,
    },
    /// Rate limits rest a key for longer than its quota takes to refill.
    RestTooLong {
        /// The deployment whose quota refills fastest.
        deployment: String,
        /// For how many others of the group this holds.
        others: usize,
        /// What it takes.
        after: RestAfter,
        /// The first rest.
        rest: Span,
        /// The longest that rests in a row grow to.
        longest: Span,
        /// When its slowest limit is whole again.
        refill: Span,
    },
    /// A limit keeps a window from ever holding the calls that a verdict needs.
    FewCalls {
        /// Whose verdict: `breaker` or `cooldown`.
        of: &'static str,
        /// The deployment whose limits admit least.
        deployment: String,
        /// For how many others of the group this holds.
        others: usize,
        /// The fewest calls that are judged.
        calls_min: u32,
        /// The window.
        window: Span,
        /// The most calls that the deployment's limits admit in it.
        most: u64,
    },
    /// A group may not lose enough members to panic.
    PanicMoot {
        /// The group.
        group: String,
        /// Below which share of healthy members it panics.
        panic: Ratio,
        /// How many members count.
        members: usize,
        /// How many of them may be out for their failures.
        out: u64,
    },
    /// A group panics whenever it may not use one of its members.
    PanicAtOnce {
        /// The group.
        group: String,
        /// Below which share of healthy members it panics.
        panic: Ratio,
        /// How many members count.
        members: usize,
    },
    /// A timeout that the deadline comes before.
    TimeoutMoot {
        /// Which: `timeouts.total`.
        timeout: &'static str,
        /// How long it is.
        after: Span,
        /// `router.deadline`.
        deadline: Span,
    },
    /// A group retries a class of failures more often than a request has attempts.
    RetryMoot {
        /// The group.
        group: String,
        /// The class.
        class: FailureClass,
        /// How often.
        retries: u8,
        /// `router.attempts`.
        attempts: u8,
    },
    /// Every member of a group that has a weight is forced open.
    AllForced {
        /// The group.
        group: String,
        /// How many they are.
        members: usize,
    },
    /// The default group is for names that nothing matches, and something matches every name.
    DefaultMoot {
        /// The group whose alias is `*`.
        group: String,
    },
    /// A budget counts dollars, but something it might pay for costs nothing in this file.
    Unpriced {
        /// The subject: `org=acme`.
        subject: String,
        /// The first such deployment.
        deployment: String,
        /// How many others there are.
        others: usize,
    },
    /// An adaptive limit may grow beyond what a limit of calls at once allows.
    AdaptiveMoot {
        /// The deployment.
        deployment: String,
        /// How far it may grow.
        max: u32,
        /// What is allowed.
        parallel: u32,
    },
    /// A request that waits in a group's queue meets its deadline before the queue's timeout.
    QueuePastDeadline {
        /// The group.
        group: String,
        /// The queue's timeout.
        timeout: Span,
        /// `router.deadline`.
        deadline: Span,
    },
    /// Nothing but the deadline ends a wait in a group's queue.
    QueueWithoutTimeout {
        /// The group.
        group: String,
        /// `router.deadline`.
        deadline: Span,
    },
    /// A subject weighs something, but no queue takes turns by its kind.
    WeightMoot {
        /// The subject.
        subject: String,
        /// What it weighs.
        weight: u32,
        /// Its kind.
        kind: String,
    },
    /// Requests have classes, but no group has a queue.
    PrioritiesMoot,
    /// A member without limits among others, in a group that goes by what is unused.
    UsageUnlimited {
        /// The deployment.
        deployment: String,
    },
}

impl fmt::Display for Concern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HedgeAlone { group, members } => write!(
                f,
                "`{group}` hedges, but {} member with a weight is in service: there is nobody \
                 else for a second attempt",
                if *members == 0 { "no" } else { "only one" }
            ),
            Self::HedgeBlind { group, budget: Some((ratio, per_second)) } => write!(
                f,
                "`{group}` hedges, but none of its members has a `parallel` limit, so how busy it \
                 is cannot be seen: only the retry budget ({} + {per_second}/s) bounds hedges",
                Percent(*ratio)
            ),
            Self::HedgeBlind { group, budget: None } => write!(
                f,
                "`{group}` hedges, but none of its members has a `parallel` limit and \
                 `router.retry_budget` is off: every slow request makes a hedge"
            ),
            Self::HedgeUnpaid { group } => write!(
                f,
                "`{group}` hedges, but hedges are paid from `router.retry_budget`, which is \
                 0 % + 0/s: none is made"
            ),
            Self::HedgeLast { group } => {
                write!(f, "`{group}` hedges, but `router.attempts` is 1: no hedge is made")
            }
            Self::ContextNoLarger { group, here, fallback, there } => write!(
                f,
                "what is too long for `{group}` ({} tokens) falls back to `{fallback}`, which takes \
                 {}",
                Thousands(*here),
                Thousands(*there)
            ),
            Self::ContextShrinks { group, here, there } => write!(
                f,
                "`{group}` takes {} tokens, but its fallbacks {} at most: what is longer finds \
                 nobody there",
                Thousands(*here),
                Thousands(*there)
            ),
            Self::RestTooLong { deployment, others, after, rest, longest, refill } => {
                match after {
                    RestAfter::Count(1) => f.write_str("one rate limit rests")?,
                    RestAfter::Count(count) => write!(f, "{count} rate limits rest")?,
                    RestAfter::Common | RestAfter::Never => f.write_str("rate limits rest")?,
                }
                write!(f, " a key of `{deployment}`{} for {}", Others(*others), Time(*rest))?;
                if longest > rest {
                    write!(f, ", and for up to {} in a row", Time(*longest))?;
                }
                write!(f, ", but its quota is whole again after {}", Time(*refill))
            }
            Self::FewCalls { of, deployment, others, calls_min, window, most } => write!(
                f,
                "the {of} judges no fewer than {calls_min} calls in {}, but the limit of \
                 `{deployment}`{} admits {most} in that time: it never acts there",
                Time(*window),
                Others(*others)
            ),
            Self::PanicMoot { group, panic, members, out } => write!(
                f,
                "`{group}` panics when less than {} of its {members} members are healthy, but \
                 `ejected_max` lets failures take out {out}: only rate limits and dead keys can \
                 bring it about",
                Percent(*panic)
            ),
            Self::PanicAtOnce { group, panic, members: 1 } => write!(
                f,
                "`{group}` panics when less than {} of its members are healthy, and only one has \
                 a weight: its rests and its breaker never hold",
                Percent(*panic)
            ),
            Self::PanicAtOnce { group, panic, members } => write!(
                f,
                "`{group}` panics when less than {} of its {members} members are healthy, which \
                 is as soon as one is not: what rests for its failures is used all the same",
                Percent(*panic)
            ),
            Self::TimeoutMoot { timeout, after, deadline } => write!(
                f,
                "`{timeout}` is {}, but requests end after {} (`router.deadline`): it never acts",
                Time(*after),
                Time(*deadline)
            ),
            Self::RetryMoot { group, class, retries, attempts } => write!(
                f,
                "`{group}` retries `{}` failures {retries} times, but `router.attempts` is \
                 {attempts}, the first one included",
                class.name()
            ),
            Self::AllForced { group, members: 1 } => {
                write!(f, "`{group}` is out of service: its member with a weight is forced open")
            }
            Self::AllForced { group, members } => write!(
                f,
                "`{group}` is out of service: all {members} members with a weight are forced open"
            ),
            Self::DefaultMoot { group } => {
                write!(f, "no name goes to the default group: `*` means `{group}`")
            }
            Self::Unpriced { subject, deployment, others } => write!(
                f,
                "a budget of `{subject}` counts dollars, but `{deployment}`{} costs nothing here: \
                 what it serves is never counted",
                Others(*others)
            ),
            Self::AdaptiveMoot { deployment, max, parallel } => write!(
                f,
                "the adaptive limit of `{deployment}` may grow to {max}, but its limits allow \
                 {parallel} calls at once"
            ),
            Self::QueuePastDeadline { group, timeout, deadline } => write!(
                f,
                "who waits for `{group}` is let go after {}, but `router.deadline` is {}: nobody \
                 waits that long",
                Time(*timeout),
                Time(*deadline)
            ),
            Self::QueueWithoutTimeout { group, deadline } => write!(
                f,
                "nothing ends a wait for `{group}` before `router.deadline` ({}): in an overload \
                 everybody waits for so long, and most for nothing",
                Time(*deadline)
            ),
            Self::WeightMoot { subject, weight, kind } => write!(
                f,
                "`{subject}` weighs {weight}, but no queue takes turns by `{kind}`: it means nothing"
            ),
            Self::PrioritiesMoot => f.write_str(
                "requests have classes, but no group has a queue: nobody goes before another",
            ),
            Self::UsageUnlimited { deployment } => write!(
                f,
                "`{deployment}` has no limit, so all of it is always unused: `usage` prefers it \
                 to every member that has one"
            ),
        }
    }
}

/// ` (and 3 others)`, or nothing.
struct Others(usize);

impl fmt::Display for Others {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => Ok(()),
            1 => f.write_str(" (and 1 other)"),
            others => write!(f, " (and {others} others)"),
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.concern)
    }
}
