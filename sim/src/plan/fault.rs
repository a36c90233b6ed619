//! What goes wrong in a world.

use router_core::{Anew, DeploymentId, FailureKind, Ratio, Span, Time};

/// Something that goes wrong in the world, at all its deployments at once.
#[derive(Clone, Debug)]
pub struct Fault {
    /// What people call it.
    pub name: String,
    /// Where.
    pub on: Vec<DeploymentId>,
    /// From when.
    pub from: Time,
    /// Until when, exclusively; to the end if absent.
    pub until: Option<Time>,
    /// When it is there, between these.
    pub rhythm: Rhythm,
    /// Which share of the calls it touches.
    pub of: Ratio,
    /// What it does to them.
    pub effect: Effect,
}

/// When a fault is there, from its beginning to its end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Rhythm {
    /// All the time.
    Steady,
    /// In each period, at first; then not.
    Flap {
        /// From one beginning to the next.
        period: Span,
        /// Of this, how long it is there.
        on: Span,
    },
    /// It comes and goes at random: exponential times, drawn by the fault, so that all its
    /// deployments are struck together. At first it is not there.
    Random {
        /// How long it is not there, on average.
        up: Span,
        /// How long it is there, on average.
        down: Span,
    },
}

/// What happens to the store of the replicas.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum StoreFault {
    /// It is down: what is published reaches nobody.
    Down,
    /// As the fault begins it throws away all that it holds: what nobody has read yet, and what it
    /// would give back to a replica that is started anew.
    Evict,
}

/// What a fault does to the calls it touches.
#[derive(Clone, Debug)]
pub enum Effect {
    /// The router, or one of its replicas, is started anew, at each of the fault's beginnings, and
    /// its connections are cut.
    Restart(Anew),
    /// The response cache loses all that it holds, at each of the fault's beginnings.
    CacheFlush,
    /// The store of the replicas has a fault of its own.
    Store(StoreFault),
    /// They are not answered at all.
    Outage(Outage),
    /// Some fail, the rest are slow.
    Brownout {
        /// The share that fails, with a 503.
        errors: Ratio,
        /// What the time to first token is multiplied by.
        first_token: f64,
        /// What the time per token is multiplied by.
        per_token: f64,
        /// What is added to the time to first token.
        delay: Span,
    },
    /// They get a 429, though no quota is exceeded.
    Storm {
        /// With this `Retry-After`, if any.
        retry_after: Option<Span>,
    },
    /// They meet these answers, one after the other, over and over.
    Answers(Vec<Answer>),
    /// Their answers begin as usual, and after `after` tokens, when the next one is due, come to
    /// this end. Answers that are no longer than that are whole. What counts is when a call was
    /// dispatched: its answer may come to its end when the fault is over.
    Breaks {
        /// How many tokens come.
        after: u32,
        /// And then?
        end: BadEnd,
    },
    /// The account has no money left: this status (402 or 429), and no word on when to come back.
    QuotaSpent(u16),
    /// Calls that use this key get a 401; those that use any, if absent.
    RevokedKey(Option<u8>),
    /// Answers that are not streamed come whole, are billed, and are not what was asked for.
    /// Nobody between provider and user can tell of a stream, so those are not touched.
    Garbage,
}

/// How an outage looks from outside.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outage {
    /// Connections are refused. Calls in progress that it touches are reset as it begins.
    Refuse,
    /// Connections hang. Calls in progress go on: their connections stand.
    BlackHole,
    /// Every answer is this status. Calls in progress that it touches are reset as it begins.
    Status(u16),
}

/// How an answer that has begun ends before it is whole.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum BadEnd {
    /// Nothing more comes, and the connection stands. The call keeps its place at the provider
    /// until the router drops it.
    Stall,
    /// The connection is reset.
    Cut,
    /// It ends without its terminator.
    Truncated,
    /// An error in the place of the next token, which tells this status.
    Error(u16),
}

/// One scripted answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Answer {
    /// As if nothing were wrong.
    Ok,
    /// This failure.
    Fail {
        /// The HTTP status.
        status: u16,
        /// What a driver would make of it.
        kind: FailureKind,
        /// With this `Retry-After`, if any.
        retry_after: Option<ComeBack>,
        /// With this `x-should-retry`, if any.
        should_retry: Option<bool>,
    },
}

/// When a provider says to come back.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ComeBack {
    /// After so long.
    In(Span),
    /// At this time, which may be past.
    At(Time),
}
