//! A configuration as written, unchecked. `Default`s are the documented ones, each with its
//! source; where none is named the choice is ours, and DESIGN.md argues for it.

use alloc::string::String;
use alloc::vec::Vec;

use super::SubjectSpec;
use super::ladder::RungSpec;
use super::peers::PeersSpec;
use super::policy::{
    AdaptiveSpec, BreakerMode, BreakerSpec, ClassRest, FallbacksSpec, HedgeSpec, Jitter, QueueSpec,
    RestAfter, RetrySpec, Strategy, TagMatch,
};
use crate::{FailureClass, Ratio, Span};

/// A configuration as written. Things refer to each other by name.
#[derive(Clone, Debug, Default)]
pub struct Spec {
    /// Bounds of the whole router.
    pub router: RouterSpec,
    /// Limits that deployments share, by name.
    pub limits: Vec<(String, LimitSpec)>,
    /// The deployments.
    pub deployments: Vec<DeploymentSpec>,
    /// The model groups.
    pub groups: Vec<GroupSpec>,
    /// On whose account requests are made.
    pub subjects: Vec<SubjectSpec>,
}

/// Bounds of the whole router.
#[derive(Clone, Debug)]
pub struct RouterSpec {
    /// The most time a request may take, if it brings no deadline of its own.
    /// 600 s: the OpenAI and Anthropic SDKs' own default timeout.
    pub deadline: Span,
    /// The most attempts of a request, over retries, fallbacks and hedges; 1 to 16.
    /// 3: what the OpenAI and Anthropic SDKs make (one try and two retries).
    pub attempts: u8,
    /// What retries may add to the load.
    pub retry_budget: RetryBudgetSpec,
    /// The longest `Retry-After` that is believed. 120 s: the OpenAI SDK believes no more.
    pub retry_after_max: Span,
    /// The most requests in flight; the next is rejected. Tables are sized by it at start-up.
    pub in_flight: u32,
    /// Output tokens reserved for a request that names no maximum.
    pub output_reserve: u32,
    /// For how many subjects without an entry of their own accounts are kept, 1 to 1,048,576. An
    /// account that is whole again needs none. Tables are sized by it at start-up.
    pub accounts: u32,
    /// How long before the router was made the periods of budgets began: the time since midnight
    /// on the first of the month, say.
    pub periods_began: Span,
    /// The group for names that no group has or claims.
    pub default_group: Option<String>,
    /// The fallbacks of groups that name none of their own, list by list; a group that would
    /// fall back to itself skips itself.
    pub fallbacks: FallbacksSpec,
    /// The other replicas that keep to the same limits; absent, what they say counts all the same.
    pub peers: Option<PeersSpec>,
    /// What the classes of requests are called, the most urgent first; 8 at most. A request's
    /// priority is a place in this list; what is beyond it counts as the last.
    pub priorities: Vec<String>,
}

impl Default for RouterSpec {
    fn default() -> Self {
        Self {
            deadline: Span::from_secs(600),
            attempts: 3,
            retry_budget: RetryBudgetSpec::default(),
            retry_after_max: Span::from_secs(120),
            in_flight: 65_536,
            output_reserve: 512,
            accounts: 16_384,
            periods_began: Span::ZERO,
            default_group: None,
            fallbacks: FallbacksSpec::default(),
            peers: None,
            priorities: Vec::new(),
        }
    }
}

/// What retries may add to the load: in any window, at most `ratio` of the requests submitted
/// in it plus `per_second` times its length.
///
/// Finagle's `RetryBudget` (20 % over 10 s) with a lower floor: its 10 retries per second never
/// bind at the rates of one application's traffic.
#[derive(Clone, Copy, Debug)]
pub struct RetryBudgetSpec {
    /// Retries per request; `None` means no bound.
    pub ratio: Option<Ratio>,
    /// Retries per second that are always allowed.
    pub per_second: u32,
    /// The sliding window, in whole seconds, 1 s to 600 s.
    pub window: Span,
}

impl Default for RetryBudgetSpec {
    fn default() -> Self {
        Self { ratio: Some(Ratio::from_ppm(200_000)), per_second: 1, window: Span::from_secs(10) }
    }
}

/// Limits that hold together: a request takes from all of them or from none.
#[derive(Clone, Debug, Default)]
pub struct LimitSpec {
    /// Requests per period.
    pub requests: Option<Rate>,
    /// Prompt and completion tokens together, per period.
    pub tokens: Option<Rate>,
    /// Prompt tokens per period.
    pub input_tokens: Option<Rate>,
    /// Completion tokens per period.
    pub output_tokens: Option<Rate>,
    /// Calls at once.
    pub parallel: Option<u32>,
}

/// So much per period; any window of length T admits at most `burst + amount * T / period`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rate {
    /// How much.
    pub amount: u64,
    /// Per how long.
    pub period: Span,
    /// How much at once; `amount` unless given.
    pub burst: Option<u64>,
}

/// A deployment as written.
#[derive(Clone, Debug)]
pub struct DeploymentSpec {
    /// What people call it.
    pub name: String,
    /// How many keys it has, 1 to 32. Endpoints and keys themselves never enter the core.
    pub keys: u8,
    /// Its own limits.
    pub limit: Option<LimitSpec>,
    /// The shared limits it takes from, by name; 3 at most.
    pub shared: Vec<String>,
    /// What its tokens cost.
    pub price: Price,
    /// Its context window in tokens, prompt and completion together; no bound if absent.
    pub context: Option<u32>,
    /// What requests may ask for by tag.
    pub tags: Vec<String>,
    /// Where it is.
    pub region: Option<String>,
    /// An operator's word on all of its breakers; their groups' own if absent. In a group
    /// without a breaker only [`BreakerMode::ForcedOpen`] means something.
    pub breaker: Option<BreakerMode>,
    /// A limit of calls at once that is learned, beside those that are written.
    pub adaptive: Option<AdaptiveSpec>,
}

impl DeploymentSpec {
    /// A deployment of one key, without limits or price.
    pub const fn new(name: String) -> Self {
        Self {
            name,
            keys: 1,
            limit: None,
            shared: Vec::new(),
            price: Price::FREE,
            context: None,
            tags: Vec::new(),
            region: None,
            breaker: None,
            adaptive: None,
        }
    }
}

/// What tokens cost, in pico-dollars each (USD per million tokens times a million).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Price {
    /// A prompt token.
    pub input: u64,
    /// A prompt token read from the provider's cache.
    pub cached: u64,
    /// A completion token.
    pub output: u64,
}

impl Price {
    /// Nothing costs anything.
    pub const FREE: Self = Self { input: 0, cached: 0, output: 0 };

    /// What `usage` costs, in pico-dollars; saturates.
    pub const fn of(self, usage: crate::Usage) -> u64 {
        let cached = if usage.cached_tokens < usage.input_tokens {
            usage.cached_tokens
        } else {
            usage.input_tokens
        };
        self.input
            .saturating_mul((usage.input_tokens - cached) as u64)
            .saturating_add(self.cached.saturating_mul(cached as u64))
            .saturating_add(self.output.saturating_mul(usage.output_tokens as u64))
    }
}

/// A model group as written.
#[derive(Clone, Debug)]
pub struct GroupSpec {
    /// What clients ask for.
    pub name: String,
    /// What else they may call it: exact names, or patterns with one `*`. Of several patterns
    /// that match the longest wins.
    pub aliases: Vec<String>,
    /// Who serves it; 1 to 64 members.
    pub members: Vec<MemberSpec>,
    /// How one of the eligible is chosen.
    pub strategy: Strategy,
    /// How long to wait for what.
    pub timeouts: TimeoutsSpec,
    /// How requested tags meet the deployments'.
    pub tag_match: TagMatch,
    /// How often what is retried.
    pub retry: RetrySpec,
    /// How long to wait before trying the same deployment again.
    pub backoff: BackoffSpec,
    /// When a deployment rests.
    pub cooldown: CooldownSpec,
    /// When a deployment is taken out until probes succeed; `None`: never.
    pub breaker: Option<BreakerSpec>,
    /// The most of a group that may be out (resting, or its breaker not closed; rounded up) for
    /// another to go out for its failures. Envoy ejects 10 % at most; one of two, here, is the
    /// smallest that still isolates a sick member of a pair.
    pub ejected_max: Ratio,
    /// If less than this share of the weighted members is neither resting nor behind a breaker
    /// that is not closed, all are used all the same, but for what a provider asked for. Zero:
    /// never. Envoy panics below 50 %.
    pub panic: Ratio,
    /// When a second attempt starts beside a slow first; `None`: never.
    pub hedge: Option<HedgeSpec>,
    /// Groups to try when nobody here can serve.
    pub fallbacks: FallbacksSpec,
    /// What may be given instead of the full answer, from the best to the worst; the full answer,
    /// which is there once, stands among them. At the end is always the error.
    pub ladder: Vec<RungSpec>,
    /// The most requests for this group between first dispatch and end, wherever they are served;
    /// `None`: as many as the router takes.
    pub in_flight: Option<u32>,
    /// Where requests wait that nobody can take; `None`: they are refused at once.
    pub queue: Option<QueueSpec>,
}

impl GroupSpec {
    /// A group with every policy at its default and no members yet.
    pub fn new(name: String) -> Self {
        Self {
            name,
            aliases: Vec::new(),
            members: Vec::new(),
            strategy: Strategy::default(),
            timeouts: TimeoutsSpec::default(),
            tag_match: TagMatch::default(),
            retry: RetrySpec::default(),
            backoff: BackoffSpec::default(),
            cooldown: CooldownSpec::default(),
            breaker: None,
            ejected_max: Ratio::from_ppm(500_000),
            panic: Ratio::from_ppm(0),
            hedge: None,
            fallbacks: FallbacksSpec::default(),
            ladder: alloc::vec![RungSpec::Full],
            in_flight: None,
            queue: None,
        }
    }
}

/// A deployment's place in a group.
#[derive(Clone, Debug)]
pub struct MemberSpec {
    /// Which deployment, by name.
    pub deployment: String,
    /// Its share among the eligible of its tier, at most 1,000,000. Zero is
    /// standby: it serves when no weighted member of its tier is left for a request.
    pub weight: u32,
    /// The lowest tier with somebody eligible serves.
    pub tier: u8,
}

/// How long to wait for what, per attempt; [`Span::MAX`] means for ever.
#[derive(Clone, Copy, Debug)]
pub struct TimeoutsSpec {
    /// For the connection. 5 s: the OpenAI and Anthropic SDKs.
    pub connect: Span,
    /// From dispatch to the first token. 30 s: past the worst p99 of the endpoints that
    /// modelstats.ai probes (4.8 s) by a factor of six.
    pub first_token: Span,
    /// Between two signs of life of a stream. 20 s: the longest gap of a stream that still ended
    /// well in LatencyLab's 306 calls is 18.9 s.
    pub idle: Span,
    /// From dispatch to the end. 600 s: the SDKs' own.
    pub total: Span,
    /// Whether a total timeout after the first token keeps what came (`partial`).
    pub partial: bool,
}

impl Default for TimeoutsSpec {
    fn default() -> Self {
        Self {
            connect: Span::from_secs(5),
            first_token: Span::from_secs(30),
            idle: Span::from_secs(20),
            total: Span::from_secs(600),
            partial: false,
        }
    }
}

/// Waits before trying again, drawn below a bound of `base * factor^n`, `max` at most, where `n`
/// is zero after the first attempt.
#[derive(Clone, Copy, Debug)]
pub struct BackoffSpec {
    /// The first bound. 0.5 s: the OpenAI SDK.
    pub base: Span,
    /// What each further attempt multiplies it by, 1 to 16. 2: the OpenAI SDK.
    pub factor: u8,
    /// The largest bound. 8 s: the OpenAI SDK.
    pub max: Span,
    /// How the wait is drawn below its bound.
    pub jitter: Jitter,
}

impl Default for BackoffSpec {
    fn default() -> Self {
        Self {
            base: Span::from_millis(500),
            factor: 2,
            max: Span::from_secs(8),
            jitter: Jitter::Full,
        }
    }
}

/// When a deployment rests, and how long.
#[derive(Clone, Copy, Debug)]
pub struct CooldownSpec {
    /// Whether anything rests at all. A provider's `Retry-After` is honoured regardless.
    pub enabled: bool,
    /// The share of failures within `window` that rests a deployment, reached or passed. 50 %:
    /// LiteLLM's, which must be passed.
    pub failures: Ratio,
    /// The fewest ended calls in the window that are judged. 10: twice LiteLLM's 5, which three
    /// failures in a quiet minute are enough for.
    pub calls_min: u32,
    /// The sliding window, counted in ten slots. 60 s: LiteLLM's.
    pub window: Span,
    /// The first rest. 5 s: LiteLLM's.
    pub rest: Span,
    /// What each further rest in a row multiplies it by, 1 to 16.
    pub grow: u8,
    /// The longest rest that was not asked for by the provider.
    pub max: Span,
    /// Rests last up to this much longer, at random, so that deployments do not return together.
    pub jitter: Ratio,
    /// Whether a group's only deployment, in a group without fallbacks, rests for its failures.
    /// For rate limits it rests in any case.
    pub lone: bool,
    /// What differs by class of failure. The classes without an entry of their own here:
    /// [`FailureClass::Account`] rests the key for 5 minutes, growing, as only a person can mend
    /// it; [`FailureClass::Invalid`] never rests anything.
    pub classes: ClassRests,
}

/// When which class of failure rests a deployment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ClassRests {
    /// Rate limits that bring no `Retry-After`.
    pub rate_limit: ClassRest,
    /// Errors that the provider answers with.
    pub server: ClassRest,
    /// Connections that fail, break or end early.
    pub connection: ClassRest,
    /// Timeouts of an attempt.
    pub timeout: ClassRest,
}

impl ClassRests {
    /// The entry of `class`, if it has one.
    pub const fn of(&self, class: FailureClass) -> Option<ClassRest> {
        match class {
            FailureClass::RateLimit => Some(self.rate_limit),
            FailureClass::Server => Some(self.server),
            FailureClass::Connection => Some(self.connection),
            FailureClass::Timeout => Some(self.timeout),
            FailureClass::Account | FailureClass::Invalid => None,
        }
    }
}

impl Default for ClassRests {
    /// One rate limit rests the key; everything else counts in the common window.
    fn default() -> Self {
        let common = ClassRest { after: RestAfter::Common, rest: None };
        Self {
            rate_limit: ClassRest { after: RestAfter::Count(1), rest: None },
            server: common,
            connection: common,
            timeout: common,
        }
    }
}

impl Default for CooldownSpec {
    fn default() -> Self {
        Self {
            enabled: true,
            failures: Ratio::from_ppm(500_000),
            calls_min: 10,
            window: Span::from_secs(60),
            rest: Span::from_secs(5),
            grow: 2,
            max: Span::from_secs(60),
            jitter: Ratio::from_ppm(100_000),
            lone: false,
            classes: ClassRests::default(),
        }
    }
}
