//! What happened inside, and why: the one source of every figure, chart and explanation.

use core::fmt;

use crate::{
    Abandon, AttemptId, DeploymentId, FailureKind, GroupId, RequestId, Rung, Span, Time, Usage,
};

/// Something a router decided or noticed.
///
/// Masks are sets over a group's members: bit `i` is member `i` of the group in the
/// configuration's order.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Observation {
    /// These members could not be chosen for this attempt, and this is why. One per reason
    /// that holds for anyone; a member appears under the first reason of [`Reason::ALL`] only.
    Excluded {
        /// The attempt; its ordinal is what it would have been if nothing was dispatched.
        attempt: AttemptId,
        /// Within which group.
        group: GroupId,
        /// Why.
        reason: Reason,
        /// Who.
        mask: u64,
    },
    /// A deployment was chosen and reserved.
    Selected {
        /// For which attempt.
        attempt: AttemptId,
        /// Within which group.
        group: GroupId,
        /// Which.
        deployment: DeploymentId,
        /// Who could have been.
        eligible: u64,
    },
    /// Nobody of this group was eligible.
    Stranded {
        /// For which attempt.
        attempt: AttemptId,
        /// Within which group.
        group: GroupId,
        /// When somebody will be, if nothing else changes; `None` if nobody ever could, and the
        /// present instant if only calls in flight are in the way.
        earliest: Option<Time>,
    },
    /// A request waits before its next attempt.
    Waiting {
        /// The attempt that will follow.
        attempt: AttemptId,
        /// Until when.
        until: Time,
        /// For what.
        why: Wait,
        /// Whose failure made it wait.
        deployment: DeploymentId,
        /// Which failure.
        failure: FailureKind,
    },
    /// A request that nobody can take now waits in its group's queue.
    Queued {
        /// Which.
        request: RequestId,
        /// Whose queue.
        group: GroupId,
        /// Its class.
        class: u8,
        /// How many of its class, and of more urgent ones, wait already.
        ahead: u32,
    },
    /// A request leaves its group's queue for its first attempt.
    Dequeued {
        /// Which.
        request: RequestId,
        /// Whose queue.
        group: GroupId,
        /// Its class.
        class: u8,
        /// How long it waited.
        waited: Span,
    },
    /// An attempt ended.
    Ended {
        /// Which.
        attempt: AttemptId,
        /// Within which group.
        group: GroupId,
        /// Where.
        deployment: DeploymentId,
        /// How.
        end: End,
        /// From dispatch to first token, if there was one.
        first_token: Option<Span>,
        /// From dispatch to the end.
        elapsed: Span,
        /// What was charged for it.
        usage: Usage,
    },
    /// A deployment, or one of its keys, rests.
    Rested {
        /// Which deployment.
        deployment: DeploymentId,
        /// Which of its keys; all of them if absent.
        key: Option<u8>,
        /// Until when.
        until: Time,
        /// After which failure.
        failure: FailureKind,
        /// How many rests in a row, this one and those that the provider asked for included.
        streak: u8,
    },
    /// A membership's breaker changed its state.
    Breaker {
        /// Within which group.
        group: GroupId,
        /// Which deployment.
        deployment: DeploymentId,
        /// To what.
        to: BreakerState,
        /// What led to it.
        why: Turn,
        /// Until when: it stays open, or its share ramps up; nothing for half-open.
        until: Option<Time>,
        /// How many times it opened in a row.
        streak: u8,
        /// Whether that holds; a breaker that only observes says what it would do.
        enforced: bool,
    },
    /// A deployment's adaptive limit has changed by a tenth or more since it was told last.
    Concurrency {
        /// Which.
        deployment: DeploymentId,
        /// How many calls at once it allows.
        limit: u32,
    },
    /// A hedge was due and held back.
    Held {
        /// The attempt that it would have been.
        attempt: AttemptId,
        /// Why.
        why: Hold,
    },
    /// A deployment's failures would have taken it out, but too many of its group are out
    /// already, or it stands alone.
    Spared {
        /// Which.
        deployment: DeploymentId,
        /// Within which group.
        group: GroupId,
    },
    /// A person should look: a key is refused or its money is spent.
    Page {
        /// Which deployment.
        deployment: DeploymentId,
        /// Which of its keys.
        key: u8,
        /// What it said.
        failure: FailureKind,
    },
    /// A failed request is not tried again, but for what its ladder leads to, and this is why.
    GaveUp {
        /// Which.
        request: RequestId,
        /// Why.
        why: GiveUp,
    },
    /// A rung of its group's ladder has something for a request: cached, static, or a smaller group
    /// that it is dispatched to next.
    Stepped {
        /// Which.
        request: RequestId,
        /// Which rung.
        rung: Rung,
    },
    /// A request's life, told when it ends; just before its [`crate::Output::Finish`].
    Closed {
        /// Which.
        request: RequestId,
        /// The group it asked for.
        group: GroupId,
        /// How many attempts it took.
        attempts: u8,
        /// From submission to the first token that reached the client, if one did.
        first_token: Option<Span>,
        /// From submission to its end.
        elapsed: Span,
    },
    /// A subject has used up a budget, or the share of it from which on that is told; once each
    /// per period.
    Budget {
        /// Of which kind the subject is.
        kind: u8,
        /// Its number.
        subject: u32,
        /// Which of its budgets, counted from zero.
        budget: u8,
        /// How far.
        level: Level,
        /// What was spent in the period, reservations not included: pico-dollars or tokens.
        spent: u64,
    },
    /// News of an attempt that had ended.
    Late {
        /// Which.
        attempt: AttemptId,
        /// Whether the books were corrected by it (at most once per attempt).
        corrected: bool,
    },
    /// A new configuration was refused, since it does not fit the running one.
    Misfit,
    /// A deployment that a revision has removed has nothing in flight any more.
    Drained {
        /// Which.
        deployment: DeploymentId,
    },
}

/// How far a budget is used up.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(u8)]
pub enum Level {
    /// The share is reached from which on that is told.
    Soft,
    /// All of it is spent, or what is left is too little for a request.
    Hard,
}

/// Why a member of a group could not be chosen, in the order in which reasons are looked for.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(u8)]
pub enum Reason {
    /// An operator forced its breaker open.
    Disabled,
    /// It has not the tags asked for.
    Tags,
    /// It is not in the region asked for.
    Region,
    /// The prompt, and the completion if its most is known, exceed its context window.
    Context,
    /// What the request reserves there does not fit a budget of its subjects.
    Budget,
    /// A failure that is final there has met this request.
    Barred,
    /// It rests, or all of its keys do.
    Cooling,
    /// Its breaker is open, or half-open with all probes in flight.
    Open,
    /// A rate limit of its own or a shared one.
    Limit,
    /// A parallel limit of its own or a shared one.
    Parallel,
    /// It is standby, and a weighted member of its tier is left.
    Weight,
    /// This request tried it already, and another is eligible.
    Tried,
    /// A lower tier has somebody eligible.
    Tier,
}

impl Reason {
    /// Every reason, in order.
    pub const ALL: [Self; 13] = [
        Self::Disabled,
        Self::Tags,
        Self::Region,
        Self::Context,
        Self::Budget,
        Self::Barred,
        Self::Cooling,
        Self::Open,
        Self::Limit,
        Self::Parallel,
        Self::Weight,
        Self::Tried,
        Self::Tier,
    ];

    /// What people call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::Tags => "tags",
            Self::Region => "region",
            Self::Context => "context",
            Self::Budget => "budget",
            Self::Barred => "barred",
            Self::Cooling => "cooling",
            Self::Open => "open",
            Self::Limit => "limit",
            Self::Parallel => "parallel",
            Self::Weight => "weight-0",
            Self::Tried => "tried",
            Self::Tier => "tier",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum End {
    /// The answer is whole.
    Answered,
    /// The provider or the wire failed.
    Failed(FailureKind),
    /// The router dropped it.
    Abandoned(Abandon),
}

/// Where a breaker is.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(u8)]
pub enum BreakerState {
    /// Calls pass and are judged.
    Closed,
    /// Nothing passes.
    Open,
    /// Probes pass.
    HalfOpen,
}

impl BreakerState {
    /// Every state, in order of number.
    pub const ALL: [Self; 3] = [Self::Closed, Self::Open, Self::HalfOpen];

    /// What people call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half-open",
        }
    }
}

/// What turned a breaker.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(u8)]
pub enum Turn {
    /// So many failures in a row.
    Consecutive,
    /// Too large a share of failures.
    Failures,
    /// Too large a share of slow calls.
    Slow,
    /// A probe failed or was slow.
    Probe,
    /// Its time was over, and a first probe goes out.
    Waited,
    /// Enough probes succeeded.
    Recovered,
}

impl Turn {
    /// Every one, in order of number.
    pub const ALL: [Self; 6] =
        [Self::Consecutive, Self::Failures, Self::Slow, Self::Probe, Self::Waited, Self::Recovered];

    /// What people call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Consecutive => "consecutive",
            Self::Failures => "failures",
            Self::Slow => "slow",
            Self::Probe => "probe",
            Self::Waited => "waited",
            Self::Recovered => "recovered",
        }
    }
}

/// Why a hedge was held back, in the order in which reasons are looked for.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(u8)]
pub enum Hold {
    /// The router drains.
    Drain,
    /// `router.attempts` were made.
    Attempts,
    /// The shared retry budget is spent.
    Budget,
    /// A limit of one of its subjects has no room for a further attempt.
    Subject,
    /// Too much of the group's parallel limits is in use.
    Utilisation,
    /// Nobody else of the group is there for it.
    Nobody,
}

impl Hold {
    /// Every one, in order of number.
    pub const ALL: [Self; 6] =
        [Self::Drain, Self::Attempts, Self::Budget, Self::Subject, Self::Utilisation, Self::Nobody];

    /// What people call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Drain => "drain",
            Self::Attempts => "attempts",
            Self::Budget => "budget",
            Self::Subject => "subject",
            Self::Utilisation => "utilisation",
            Self::Nobody => "nobody",
        }
    }
}

/// What a request waits for.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(u8)]
pub enum Wait {
    /// Its own backoff.
    Backoff,
    /// Somebody to be eligible, after a failure that brought a `Retry-After`.
    RetryAfter,
    /// Somebody to be eligible.
    Eligible,
}

/// Why a failed request is not tried again.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(u8)]
pub enum GiveUp {
    /// The failure is final for the request, or the provider said so.
    Final,
    /// A token had reached the client.
    Committed,
    /// `router.attempts` were made.
    Attempts,
    /// The group retries failures of this class no more often.
    Retries,
    /// The shared retry budget is spent.
    Budget,
    /// Its deadline comes before anything could be tried.
    Deadline,
    /// Nobody of the groups it may go to will ever be eligible.
    Stranded,
    /// The router drains, and nothing can be tried at once.
    Drain,
    /// A limit of one of its subjects has no room for a further attempt.
    Subject,
}

/// What a user saw of one call, over all of the client's own tries.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Call {
    /// The number of its first try.
    pub id: RequestId,
    /// The group asked for.
    pub group: GroupId,
    /// Labels that figures are broken down by.
    pub properties: [u16; 4],
    /// When the user meant it to start, whatever the client's backlog.
    pub arrived: Time,
    /// When its first token was there, if one was.
    pub first_token: Option<Time>,
    /// When it was over.
    pub ended: Time,
    /// How it ended.
    pub end: CallEnd,
    /// How often the client submitted it, at least once.
    pub tries: u8,
    /// How many attempts the router made of it, over all tries.
    pub attempts: u16,
    /// How long the client itself waited between tries.
    pub client_wait: Span,
    /// Whether its first try never came to the router: something before it gave the answer.
    pub unseen: bool,
}

/// How a user's call ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CallEnd {
    /// With the whole answer.
    Answered(Usage),
    /// With the whole answer of a smaller group, which its ladder led to.
    Degraded(Usage),
    /// With an answer that was made before, for the same question.
    Cached {
        /// Whether its time to live was over.
        stale: bool,
    },
    /// With a static text.
    Static,
    /// With part of an answer, marked as such.
    Partial(Usage),
    /// With an error of this HTTP status.
    Failed(u16),
    /// The user gave up first.
    Left,
}

impl CallEnd {
    /// Whether the user has an answer to the question, whoever made it and when: what counts as
    /// success. A static text answers no question, and part of an answer is not one.
    pub const fn is_answered(&self) -> bool {
        match self {
            Self::Answered(_) | Self::Degraded(_) | Self::Cached { .. } => true,
            Self::Static | Self::Partial(_) | Self::Failed(_) | Self::Left => false,
        }
    }
}
