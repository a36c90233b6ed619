//! Why requests are refused.

use crate::Time;

/// Why a request was never tried.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Rejection {
    /// The router is draining.
    Drain,
    /// Nothing can take it before this time; `None` if nothing ever could. The present instant
    /// if only calls in flight are in the way: when one ends cannot be known.
    NoDeployment(Option<Time>),
    /// The prompt fits nobody's context window.
    TooLong,
    /// As many requests are in flight as `router.in_flight` allows.
    Full,
    /// The driver used a number that is in flight.
    Duplicate,
    /// A limit of a subject has no room for it.
    Subject {
        /// Of which kind the subject is.
        kind: u8,
        /// Which part of its limit.
        what: Measure,
        /// When all limits of all its subjects would have room, if nothing else changes; `None` if
        /// they never will. The present instant if only requests in flight are in the way.
        earliest: Option<Time>,
    },
    /// A subject's budget has no room for it, wherever it might go.
    Budget {
        /// Of which kind the subject is.
        kind: u8,
        /// As for [`Self::Subject`]: the end of a period.
        earliest: Option<Time>,
    },
    /// A subject without an entry of its own, and as many of them have accounts as
    /// `router.accounts` allows.
    Accounts,
    /// As many requests for the group are in flight as its `in_flight` allows, and it has no
    /// queue.
    GroupFull,
    /// The group's queue holds as many as it may. The time worth trying.
    QueueFull(Time),
    /// It waited in the group's queue for as long as that allows. The time worth trying.
    QueueTimeout(Time),
    /// It waited in the group's queue, which was full, and made room for another. The time worth
    /// trying.
    Shed(Time),
}

/// A part of a subject's limit.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(u8)]
pub enum Measure {
    /// Requests per period.
    Requests,
    /// Prompt and completion tokens together, per period.
    Tokens,
    /// Prompt tokens per period.
    InputTokens,
    /// Completion tokens per period.
    OutputTokens,
    /// Requests at once.
    Parallel,
}

impl Measure {
    /// Every one, in the order in which they are looked at.
    pub const ALL: [Self; 5] =
        [Self::Requests, Self::Tokens, Self::InputTokens, Self::OutputTokens, Self::Parallel];

    /// What people and files call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Tokens => "tokens",
            Self::InputTokens => "input_tokens",
            Self::OutputTokens => "output_tokens",
            Self::Parallel => "parallel",
        }
    }
}
