//! The closed vocabulary between a router and its driver.

use alloc::sync::Arc;

use crate::{
    AttemptId, Cached, Config, DeploymentId, GroupId, LimitId, Observation, Rejection, RequestId,
    Span, Time,
};

/// What a router needs to know of a request; the body stays with the driver.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Request {
    /// Its number, never reused.
    pub id: RequestId,
    /// The model group asked for.
    pub group: GroupId,
    /// On whose account: place `i` is of kind `i`, as [`Config::kinds`] numbers them and
    /// [`Config::subject`] those with an entry of their own; others have higher numbers, which
    /// the driver chooses and keeps. Zero means none.
    pub subjects: [u32; 4],
    /// Interned labels that figures are broken down by; zero means none.
    pub properties: [u16; 4],
    /// Prompt tokens, as estimated before the call.
    pub input_tokens: u32,
    /// The most tokens that may come back (`max_tokens`), if the client said.
    pub output_max: Option<u32>,
    /// Whether the client wants tokens as they come. If not, the first-token and idle timeouts
    /// are off and [`Output::Commit`] happens at completion.
    pub stream: bool,
    /// Tags asked for: a set over at most 64 names, as [`Config::tag`] numbers them.
    pub tags: u64,
    /// Region asked for, as [`Config::region`] numbers it; zero means any.
    pub region: u16,
    /// Its class, a place in `router.priorities`: zero is the most urgent.
    pub priority: u8,
    /// When the client stops caring.
    pub deadline: Option<Time>,
    /// What should stay together (a conversation, a prompt prefix); zero means nothing.
    pub affinity: u64,
    /// What the driver's cache holds for it: the driver's word, by which the group's ladder goes.
    pub cached: Cached,
}

impl Request {
    /// A plain streaming request: everything optional is absent.
    pub const fn new(id: RequestId, group: GroupId, input_tokens: u32) -> Self {
        Self {
            id,
            group,
            subjects: [0; 4],
            properties: [0; 4],
            input_tokens,
            output_max: None,
            stream: true,
            tags: 0,
            region: 0,
            priority: 0,
            deadline: None,
            affinity: 0,
            cached: Cached::None,
        }
    }
}

/// Something happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// A client asked for a completion.
    Submit(Request),
    /// The client went away.
    Cancel(RequestId),
    /// News of an attempt.
    Upstream(AttemptId, Upstream),
    /// Time passed. Always allowed; needed when [`crate::Brain::next_wakeup`] is due.
    Tick,
    /// New policies take effect; see [`Config::fits`] for what may change.
    Reconfigure(Arc<Config>),
    /// What other replicas of this router have used.
    Peers(Consumption),
    /// No new work; finish what is in flight.
    Drain,
}

/// News of an attempt. Later news implies earlier: a `FirstToken` says that the connection
/// stands, so a driver may leave out what it had no time to report.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Upstream {
    /// The connection stands.
    Connected,
    /// The response's head arrived, perhaps with what is left of the provider's quota.
    Headers(Quota),
    /// The first non-empty token arrived.
    FirstToken,
    /// The stream is alive; output tokens so far, cumulative. Reported at most once per
    /// [`Dispatch::heartbeat`].
    Progress(u32),
    /// The answer is whole.
    Complete(Usage),
    /// The provider or the wire failed.
    Fail(Failure),
}

/// What a provider says is left of its quota.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Quota {
    /// Requests left in the current window.
    pub requests_left: Option<u32>,
    /// Tokens left in the current window.
    pub tokens_left: Option<u32>,
}

/// Tokens billed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Usage {
    /// Prompt side, cached tokens included.
    pub input_tokens: u32,
    /// Of these, read from the provider's prompt cache.
    pub cached_tokens: u32,
    /// Completion side.
    pub output_tokens: u32,
}

/// Why an attempt failed, as the provider or the wire said it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Failure {
    /// What went wrong.
    pub kind: FailureKind,
    /// The HTTP status, zero if there was none.
    pub status: u16,
    /// The provider's `Retry-After`, however it was spelled.
    pub retry_after: Option<Span>,
    /// The provider's `x-should-retry`, which overrides the taxonomy.
    pub should_retry: Option<bool>,
    /// What the failed call is billed for, if known.
    pub usage: Option<Usage>,
}

impl Failure {
    /// A failure of which nothing but its kind and status is known.
    pub const fn new(kind: FailureKind, status: u16) -> Self {
        Self { kind, status, retry_after: None, should_retry: None, usage: None }
    }

    /// The class that retries of it count under: its kind's. What is refused for good and yet
    /// shall be tried again (`x-should-retry: true`) counts as the server's fault, so that
    /// nothing is retried without a count.
    pub(crate) const fn retry_class(&self) -> Option<FailureClass> {
        match (self.kind.class(), self.should_retry) {
            (None, Some(true)) => Some(FailureClass::Server),
            (class, _) => class,
        }
    }
}

/// What can go wrong with an attempt; [`FailureKind::scope`] says what follows from it.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(u8)]
pub enum FailureKind {
    /// 429: over the provider's rate.
    RateLimit,
    /// 402, or 429 for spent money or a spent day.
    QuotaSpent,
    /// 408, 409, 424, 498, 500, 502, 503, 504, 529, and errors inside a stream.
    Server,
    /// No connection, or none in time.
    Connect,
    /// No first token in time.
    FirstToken,
    /// The stream stalled.
    Idle,
    /// Not whole in time.
    Total,
    /// The connection broke.
    Reset,
    /// The stream ended without its terminator.
    Truncated,
    /// 401, 403.
    Authentication,
    /// 404.
    NotFound,
    /// 400, 413, 422.
    BadRequest,
    /// The prompt is too long for the model.
    ContextWindow,
    /// The provider refuses the content.
    ContentPolicy,
    /// A buffered answer that is not what was asked for: broken JSON, no such tool. It is paid
    /// for, and says nothing of the deployment's health.
    InvalidOutput,
}

/// Failures that policies treat alike.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(u8)]
pub enum FailureClass {
    /// [`FailureKind::RateLimit`].
    RateLimit,
    /// [`FailureKind::Server`].
    Server,
    /// [`FailureKind::Connect`], [`FailureKind::Reset`] and [`FailureKind::Truncated`].
    Connection,
    /// [`FailureKind::FirstToken`], [`FailureKind::Idle`] and [`FailureKind::Total`].
    Timeout,
    /// [`FailureKind::QuotaSpent`], [`FailureKind::Authentication`] and
    /// [`FailureKind::NotFound`].
    Account,
    /// [`FailureKind::InvalidOutput`].
    Invalid,
}

impl FailureClass {
    /// Every class, in order of number.
    pub const ALL: [Self; 6] = [
        Self::RateLimit,
        Self::Server,
        Self::Connection,
        Self::Timeout,
        Self::Account,
        Self::Invalid,
    ];

    /// What people and files call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RateLimit => "rate_limit",
            Self::Server => "server",
            Self::Connection => "connection",
            Self::Timeout => "timeout",
            Self::Account => "account",
            Self::Invalid => "invalid",
        }
    }
}

/// Which fallbacks a failure leads to.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(u8)]
pub enum Detour {
    /// Those for any failure.
    Any,
    /// Those for prompts that are too long.
    ContextWindow,
    /// Those for content that is refused.
    ContentPolicy,
}

impl Detour {
    /// Every one, in order of number.
    pub const ALL: [Self; 3] = [Self::Any, Self::ContextWindow, Self::ContentPolicy];
}

/// What a failure is final for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Scope {
    /// Nothing: it may pass, so anything may be tried again.
    Transient,
    /// The deployment's key: never again there for this request.
    Deployment,
    /// The request: trying again is pointless.
    Request,
}

impl FailureKind {
    /// Every kind, in order of number.
    pub const ALL: [Self; 15] = [
        Self::RateLimit,
        Self::QuotaSpent,
        Self::Server,
        Self::Connect,
        Self::FirstToken,
        Self::Idle,
        Self::Total,
        Self::Reset,
        Self::Truncated,
        Self::Authentication,
        Self::NotFound,
        Self::BadRequest,
        Self::ContextWindow,
        Self::ContentPolicy,
        Self::InvalidOutput,
    ];

    /// What people and files call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RateLimit => "rate-limit",
            Self::QuotaSpent => "quota-spent",
            Self::Server => "server",
            Self::Connect => "connect",
            Self::FirstToken => "first-token",
            Self::Idle => "idle",
            Self::Total => "total",
            Self::Reset => "reset",
            Self::Truncated => "truncated",
            Self::Authentication => "authentication",
            Self::NotFound => "not-found",
            Self::BadRequest => "bad-request",
            Self::ContextWindow => "context-window",
            Self::ContentPolicy => "content-policy",
            Self::InvalidOutput => "invalid-output",
        }
    }

    /// The class that policies know it by; `None` for what is final for the request.
    pub const fn class(self) -> Option<FailureClass> {
        match self {
            Self::RateLimit => Some(FailureClass::RateLimit),
            Self::Server => Some(FailureClass::Server),
            Self::Connect | Self::Reset | Self::Truncated => Some(FailureClass::Connection),
            Self::FirstToken | Self::Idle | Self::Total => Some(FailureClass::Timeout),
            Self::QuotaSpent | Self::Authentication | Self::NotFound => Some(FailureClass::Account),
            Self::InvalidOutput => Some(FailureClass::Invalid),
            Self::BadRequest | Self::ContextWindow | Self::ContentPolicy => None,
        }
    }

    /// Which fallbacks it leads to.
    pub const fn detour(self) -> Detour {
        match self {
            Self::ContextWindow => Detour::ContextWindow,
            Self::ContentPolicy => Detour::ContentPolicy,
            Self::RateLimit
            | Self::QuotaSpent
            | Self::Server
            | Self::Connect
            | Self::FirstToken
            | Self::Idle
            | Self::Total
            | Self::Reset
            | Self::Truncated
            | Self::Authentication
            | Self::NotFound
            | Self::BadRequest
            | Self::InvalidOutput => Detour::Any,
        }
    }

    /// What it is final for.
    pub const fn scope(self) -> Scope {
        match self {
            Self::RateLimit
            | Self::Server
            | Self::Connect
            | Self::FirstToken
            | Self::Idle
            | Self::Total
            | Self::Reset
            | Self::Truncated
            | Self::InvalidOutput => Scope::Transient,
            Self::QuotaSpent | Self::Authentication | Self::NotFound => Scope::Deployment,
            Self::BadRequest | Self::ContextWindow | Self::ContentPolicy => Scope::Request,
        }
    }

    /// Whether it speaks against the deployment's health: these fill its failure window.
    pub const fn is_ill_health(self) -> bool {
        match self {
            Self::Server
            | Self::Connect
            | Self::FirstToken
            | Self::Idle
            | Self::Total
            | Self::Reset
            | Self::Truncated => true,
            Self::RateLimit
            | Self::QuotaSpent
            | Self::Authentication
            | Self::NotFound
            | Self::BadRequest
            | Self::ContextWindow
            | Self::ContentPolicy
            | Self::InvalidOutput => false,
        }
    }
}

/// What another replica says of itself. Counters are cumulative and rests are what remains, so
/// a message that comes twice, late or out of order does no harm.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Consumption {
    /// It has used this much of a limit since it started.
    Used {
        /// Which replica.
        replica: u16,
        /// Of which limit.
        limit: LimitId,
        /// Requests, cumulative.
        requests: u64,
        /// Prompt tokens, cumulative.
        input_tokens: u64,
        /// Completion tokens, cumulative.
        output_tokens: u64,
    },
    /// It is there: for when it has nothing else to say. [`Self::Used`] says as much.
    Alive {
        /// Which replica.
        replica: u16,
    },
    /// What this very replica had used before it was started anew, as the store remembers it.
    /// It counts until something is sent that takes from the limit: from then on it is an echo.
    Own {
        /// Of which limit.
        limit: LimitId,
        /// Requests, cumulative.
        requests: u64,
        /// Prompt tokens, cumulative.
        input_tokens: u64,
        /// Completion tokens, cumulative.
        output_tokens: u64,
    },
    /// It has taken this much of a subject's rates since it last found them whole.
    Taken {
        /// Which replica.
        replica: u16,
        /// Of which kind the subject is.
        kind: u8,
        /// The subject's number.
        subject: u32,
        /// Since when, as that replica's clock says: from a later one on it counts from nothing.
        since: Time,
        /// Requests, cumulative.
        requests: u64,
        /// Prompt tokens, cumulative.
        input_tokens: u64,
        /// Completion tokens, cumulative.
        output_tokens: u64,
    },
    /// It has spent this much of a subject's budget in one period, or has reserved it.
    Spent {
        /// Which replica.
        replica: u16,
        /// Of which kind the subject is.
        kind: u8,
        /// The subject's number.
        subject: u32,
        /// Which of its budgets, in the order of the configuration.
        budget: u8,
        /// Which period; all replicas count them alike.
        period: u64,
        /// Pico-dollars or tokens, cumulative.
        spent: u64,
    },
    /// It rests a deployment.
    Resting {
        /// Which deployment.
        deployment: DeploymentId,
        /// Which of its keys; all of them if absent.
        key: Option<u8>,
        /// For how much longer. Of this no more counts than we would rest it ourselves.
        remaining: Span,
        /// Whether a provider asked for it, or only a person can mend what led to it: a panic
        /// does not override such a rest.
        asked: bool,
    },
}

/// Do something.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Output {
    /// Open an upstream call.
    Dispatch(Dispatch),
    /// Drop an upstream call; late news of it corrects the books once and is otherwise ignored.
    Abandon(AttemptId, Abandon),
    /// Let this attempt's bytes reach the client; from here on there is no retry.
    Commit(AttemptId),
    /// Answer the client. Always the last mention of a request.
    Finish(RequestId, Outcome),
    /// Tell whoever is watching.
    Observe(Observation),
}

/// An upstream call to open.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Dispatch {
    /// Its name.
    pub attempt: AttemptId,
    /// Within which group.
    pub group: GroupId,
    /// Where to.
    pub deployment: DeploymentId,
    /// Which of the deployment's keys to use: an index, never a value.
    pub key: u8,
    /// Why this attempt exists.
    pub cause: Cause,
    /// The connection must stand within this.
    pub connect: Span,
    /// Report [`Upstream::Progress`] at most this often, and only if the stream outlives it.
    pub heartbeat: Span,
}

/// Why an attempt exists. What is out of the ordinary about its member (a probe, standby, panic) is
/// told rather than what led to it; that it is a retry or a fallback still shows in its group.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(u8)]
pub enum Cause {
    /// The first.
    Primary,
    /// Same group, after a failure.
    Retry,
    /// Another group of the fallback chain.
    Fallback,
    /// A second one beside a slow first.
    Hedge,
    /// Also a half-open breaker's trial.
    Probe,
    /// To a member of weight zero, since no other was left.
    Standby,
    /// To a member that is out, since too many are: see [`crate::GroupSpec::panic`].
    Panic,
    /// To a smaller group, which its ladder leads to.
    Degraded,
}

/// Why an attempt is dropped.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(u8)]
pub enum Abandon {
    /// The client left.
    Cancel,
    /// No connection in time.
    Connect,
    /// No first token in time.
    FirstToken,
    /// The stream stalled.
    Idle,
    /// Not whole in time.
    Total,
    /// The request's deadline passed.
    Deadline,
    /// The other attempt of a hedged request was first.
    Hedged,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// Answered in full.
    Serve(AttemptId, Usage),
    /// Cut by the total timeout after its first token, and configured to keep what came.
    Partial(AttemptId, Usage),
    /// Tried and not answered; the last failure is what the client sees, without its usage and
    /// with its `Retry-After` in whole milliseconds: rounded up, 49.7 days at most.
    Exhaust(Failure),
    /// Never tried.
    Reject(Rejection),
    /// Its deadline passed.
    Expire,
    /// The client left first.
    Cancel,
    /// Answered from the driver's cache: with what [`Request::cached`] says that it holds.
    Cached {
        /// Whether its time to live is over.
        stale: bool,
    },
    /// Answered with the text that the driver keeps for such cases.
    Static,
}
