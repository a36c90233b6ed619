//! The catalogue, and what is said of a breach.

use alloc::string::String;
use core::fmt;

use crate::{RequestId, Time};

/// What must hold of every run. A policy that does not exist has no invariant.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(u8)]
pub enum Invariant {
    /// Every request finishes once, with what happened to it.
    Conservation,
    /// Attempts stay within `router.attempts`.
    AttemptCap,
    /// Retries stay within the shared budget.
    RetryBudget,
    /// Only eligible members are dispatched to.
    OnlyEligible,
    /// Of the eligible the one is chosen that the strategy chooses.
    Chosen,
    /// A half-open breaker's probes stay within its permits.
    Probes,
    /// A hedge is due, and the only one.
    Hedges,
    /// Rates and bursts hold.
    RateLimits,
    /// Nothing that takes from a rate is sent while peers are silent.
    Peers,
    /// Parallel limits hold.
    Parallel,
    /// Subjects' limits hold.
    Subjects,
    /// Budgets that refuse hold.
    Budgets,
    /// Limits that are learned are learned right, and hold.
    Adaptive,
    /// Nothing happens after a deadline.
    Deadline,
    /// A provider's `Retry-After` is honoured.
    RetryAfter,
    /// Final failures are final.
    FinalFailures,
    /// One answer speaks to the client.
    CommitIsFinal,
    /// Nothing is left behind.
    NothingLeaks,
    /// What a revision has removed is left alone.
    Removed,
    /// What was learned survives a revision.
    Survives,
    /// What is refused or kept waiting is so for a reason that holds.
    WorkConservation,
    /// Time goes forward, and nothing fires early.
    TimeMonotone,
    /// Nothing fires late.
    Punctual,
    /// Less than the full answer is given by the ladder, rung by rung.
    Ladder,
    /// A queue holds no more than it may, and turns away only when it is full.
    QueueBound,
    /// Who waits goes in order.
    QueueOrder,
    /// A draining router takes nothing new.
    DrainHolds,
    /// What the router says of itself is so.
    ClaimsHold,
}

impl Invariant {
    /// Every invariant.
    pub const ALL: [Self; 28] = [
        Self::Conservation,
        Self::AttemptCap,
        Self::RetryBudget,
        Self::OnlyEligible,
        Self::Chosen,
        Self::Probes,
        Self::Hedges,
        Self::RateLimits,
        Self::Peers,
        Self::Parallel,
        Self::Subjects,
        Self::Budgets,
        Self::Adaptive,
        Self::Deadline,
        Self::RetryAfter,
        Self::FinalFailures,
        Self::CommitIsFinal,
        Self::NothingLeaks,
        Self::Removed,
        Self::Survives,
        Self::WorkConservation,
        Self::TimeMonotone,
        Self::Punctual,
        Self::Ladder,
        Self::QueueBound,
        Self::QueueOrder,
        Self::DrainHolds,
        Self::ClaimsHold,
    ];

    /// What it says, in a sentence.
    pub const fn says(self) -> &'static str {
        match self {
            Self::Conservation => {
                "every submitted request finishes exactly once, with what happened to it, and is \
                 never mentioned again"
            }
            Self::AttemptCap => {
                "a request has one attempt at a time, but for a hedge beside it, and never more \
                 in all than `router.attempts`"
            }
            Self::RetryBudget => {
                "retries and hedges never exceed the shared retry budget, nor retries what the \
                 group allows after failures of that class"
            }
            Self::OnlyEligible => {
                "nothing is dispatched to a member that is disabled, unfit, resting, behind an \
                 open breaker, standby, in a higher tier or was tried while another is eligible, \
                 unless its group is in panic; or outside the group and its fallbacks in their \
                 order"
            }
            Self::Chosen => {
                "of several who are eligible the one is sent to that its group's strategy \
                 chooses, as far as inputs and configuration decide that"
            }
            Self::Probes => "a half-open breaker never has more probes in flight than permits",
            Self::Hedges => {
                "a request is hedged once at most, when that is due and nothing holds it back, \
                 before any token, and to a healthy member that it has not tried; the loser is \
                 dropped when the other is first"
            }
            Self::RateLimits => {
                "requests and tokens dispatched stay within each rate and its burst; an overrun \
                 becomes debt, and a refund never lifts a bucket above its burst"
            }
            Self::Peers => {
                "nothing that takes from a rate is dispatched while fewer of the other replicas \
                 are heard than there are, where the configuration closes for that"
            }
            Self::Parallel => {
                "calls in flight never exceed a parallel limit, nor requests `router.in_flight` or \
                 their group's `in_flight`"
            }
            Self::Subjects => {
                "what is dispatched on a subject's account stays within each rate of its limit, \
                 its requests in flight within its places, and accounts within `router.accounts`"
            }
            Self::Budgets => {
                "what is spent and reserved on a subject's account never exceeds a budget that \
                 refuses, but for what attempts used beyond their reservation, which later \
                 periods pay for"
            }
            Self::Adaptive => {
                "an adaptive limit moves as the first tokens, answers and failures of its \
                 deployment say, within its bounds, and nothing is dispatched above it"
            }
            Self::Deadline => "no attempt starts and no answer comes after the request's deadline",
            Self::RetryAfter => {
                "nothing is dispatched where a provider's `Retry-After`, capped, has not passed, \
                 in panic or not"
            }
            Self::FinalFailures => {
                "a failure that is final for a request is not retried, and one that is final for \
                 a deployment is not tried there again; prompts that are too long and content \
                 that is refused go only to the fallbacks for them"
            }
            Self::CommitIsFinal => {
                "one attempt is committed, once, when it has something to say, and after that \
                 nothing is dispatched for its request"
            }
            Self::NothingLeaks => {
                "no attempt outlives its request, and an idle router has nothing in flight on \
                 any limit"
            }
            Self::Removed => {
                "nothing new is dispatched to a deployment or member that a revision of the \
                 configuration has removed, nor taken by a removed group, and when the last call \
                 of a removed deployment has ended that is told, once"
            }
            Self::Survives => {
                "a limit's debt, a rest and an open breaker survive a revision of the configuration"
            }
            Self::WorkConservation => {
                "every exclusion, wait, refusal and surrender names a bound that is exhausted at \
                 that instant, and nobody waits in a queue whom somebody could take"
            }
            Self::TimeMonotone => {
                "time never goes back, deadlines are acted on in their order and none early"
            }
            Self::Punctual => "a deadline that has come is acted on by the next input",
            Self::Ladder => {
                "a cached answer is one that the request says is there; it, a static text or a \
                 smaller group is given only where the ladder says so and nothing above it has \
                 anything, and no error while some rung has"
            }
            Self::QueueBound => {
                "a queue never holds more than its size, and nobody waits where there is none"
            }
            Self::QueueOrder => {
                "of those that wait nobody goes before one of a more urgent class, of a lane whose \
                 turn it is or ahead in its lane, unless that one asks for tags or a region that \
                 nobody has free, and no newcomer before any of them"
            }
            Self::DrainHolds => "after a drain every new request is rejected",
            Self::ClaimsHold => {
                "causes, rests, breakers, hedges held back and whoever is spared or paged for are \
                 as the router says"
            }
        }
    }

    /// What tables and messages call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Conservation => "conservation",
            Self::AttemptCap => "attempt-cap",
            Self::RetryBudget => "retry-budget",
            Self::OnlyEligible => "only-eligible",
            Self::Chosen => "chosen",
            Self::Probes => "probes",
            Self::Hedges => "hedges",
            Self::RateLimits => "rate-limits",
            Self::Peers => "peers",
            Self::Parallel => "parallel",
            Self::Subjects => "subjects",
            Self::Budgets => "budgets",
            Self::Adaptive => "adaptive",
            Self::Deadline => "deadline",
            Self::RetryAfter => "retry-after",
            Self::FinalFailures => "final-failures",
            Self::CommitIsFinal => "commit-is-final",
            Self::NothingLeaks => "nothing-leaks",
            Self::Removed => "removed",
            Self::Survives => "survives",
            Self::WorkConservation => "work-conservation",
            Self::TimeMonotone => "time-monotone",
            Self::Punctual => "punctual",
            Self::Ladder => "ladder",
            Self::QueueBound => "queue-bound",
            Self::QueueOrder => "queue-order",
            Self::DrainHolds => "drain-holds",
            Self::ClaimsHold => "claims-hold",
        }
    }
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One breach of an [`Invariant`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Violation {
    /// Of which.
    pub invariant: Invariant,
    /// When it was seen: the time of the input that was being handled.
    pub at: Time,
    /// Whose request it concerns, if one's.
    pub request: Option<RequestId>,
    /// What was seen, in words.
    pub detail: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: ", self.at, self.invariant)?;
        if let Some(request) = self.request {
            write!(f, "{request} ")?;
        }
        f.write_str(&self.detail)
    }
}
