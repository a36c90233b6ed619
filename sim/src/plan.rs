//! What a world is made of: demand, providers, faults. Plain data, resolved for one router's
//! configuration; `scenarios` makes it from files.

mod fault;

use std::sync::Arc;

pub use fault::{Answer, BadEnd, ComeBack, Effect, Fault, Outage, Rhythm, StoreFault};
use router_core::{Config, GroupId, Rate, Ratio, Seed, Span, Time};

use crate::Mix;

/// A world, ready to be run against a router of one configuration.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The root of every draw of the world (the router has its own, of the same number).
    pub seed: Seed,
    /// Who asks for what, when. A demand's place in this list is its requests' source.
    pub demands: Vec<Demand>,
    /// What answers, one per deployment in the configuration's order.
    pub providers: Vec<Provider>,
    /// What goes wrong.
    pub faults: Vec<Fault>,
    /// When the router is told to run on another configuration, in order of time.
    pub reloads: Vec<Reload>,
    /// What stands between the users and the router, if anything.
    pub app: Option<Application>,
    /// The answers that the gateway keeps, if it keeps any.
    pub cache: Option<ResponseCache>,
    /// How many replicas of the router there are, if there are several: see [`crate::Replicas`].
    pub replicas: Option<Replicated>,
}

/// Replicas of the router, and the store over which they tell each other what they have used.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Replicated {
    /// How many, at least one. A request goes to any of them, at random.
    pub count: u16,
    /// How often each publishes its counters.
    pub publish: Span,
    /// How long it takes until the others have them.
    pub delay: Span,
    /// Which share of what is published reaches nobody.
    pub loss: Ratio,
    /// After which share of them the store throws a replica's counters away, before anybody reads
    /// them.
    pub evict: Ratio,
    /// By how much the clock of the last replica is ahead of the first one's; those between are
    /// spread evenly. A router's own time is a monotonic clock's, so skew shows only in when the
    /// periods of budgets begin.
    pub skew: Span,
}

impl Replicated {
    /// One router, which has nobody to tell anything.
    pub(crate) const LONE: Self = Self {
        count: 1,
        publish: Span::MAX,
        delay: Span::ZERO,
        loss: Ratio::ZERO,
        evict: Ratio::ZERO,
        skew: Span::ZERO,
    };

    /// By how much the clock of one of them is ahead.
    pub(crate) fn ahead(&self, place: u64) -> Span {
        self.skew.scale(place, u64::from(self.count - 1).max(1))
    }

    /// How old at most is what a replica knows of another, but for what is lost.
    pub fn staleness(&self) -> Span {
        self.publish + self.delay
    }
}

/// Another configuration for the router.
#[derive(Clone, Debug)]
pub struct Reload {
    /// From when on.
    pub at: Time,
    /// Which, a revision of the one before ([`Config::revise`]).
    pub config: Arc<Config>,
    /// Whose number is another one from then on, since they have an entry of their own now.
    pub named: Vec<Renumbered>,
}

/// A subject that has another number.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Renumbered {
    /// Of which kind it is.
    pub kind: usize,
    /// The number that it had.
    pub from: u32,
    /// The one that it has.
    pub to: u32,
}

/// The application that users talk to and that asks the gateway: a few replicas, each with so
/// many connections. A call holds one until it is over, its client library's waits included.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Application {
    /// How many replicas, at least one. A call goes to one of those that are up, at random.
    pub replicas: u16,
    /// The calls that a replica works on at once.
    pub pool: u32,
    /// The calls that may wait at a replica beyond these; the next is refused: 503.
    pub backlog: u32,
    /// Whether and how replicas are probed.
    pub probe: Option<Probe>,
    /// How long a replica is gone that failed its probes, from the restart on. What was under way
    /// on it dies: 502.
    pub restart: Span,
}

/// Answers that the gateway keeps, by question. What it has for a request is told to the router
/// (`Request::cached`), whose ladder says what becomes of that; full answers fill it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ResponseCache {
    /// How long an answer is fresh, from when it came.
    pub ttl: Span,
    /// For how long after that it is there, and stale.
    pub stale_for: Span,
    /// The most answers; beyond, the one that was not asked for the longest goes.
    pub size: u32,
    /// Whether calls wait for an identical one under way, and get what that gets.
    pub single_flight: bool,
}

/// Questions that many ask.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Repeats {
    /// How many there are, at least one.
    pub keys: u32,
    /// The kth has a weight of `k` to the power of minus this (Zipf's law); zero: all alike.
    pub zipf: f64,
    /// The share of calls that ask one of them; the others ask what nobody else does.
    pub share: Ratio,
}

/// A liveness probe: it waits for a connection like a call, and gives it back at once.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Probe {
    /// From one to the next.
    pub every: Span,
    /// How long one may wait; less than `every`.
    pub timeout: Span,
    /// After how many failures in a row the replica is restarted.
    pub failures: u32,
}

/// One population of users and how it arrives.
#[derive(Clone, Debug)]
pub struct Demand {
    /// What people call it.
    pub name: String,
    /// The group it asks for.
    pub group: GroupId,
    /// When.
    pub arrivals: Arrivals,
    /// Prompt lengths, in tokens.
    pub input: Lengths,
    /// Completion lengths, in tokens.
    pub output: Lengths,
    /// The `max_tokens` every request names, if any.
    pub output_max: Option<u32>,
    /// The share of calls that stream.
    pub stream: Ratio,
    /// The tags that every request asks for, as `Config::tag` numbers them.
    pub tags: u64,
    /// The region that every request asks for, as `Config::region` numbers it; zero means any.
    pub region: u16,
    /// The class that every request is of, a place in `router.priorities`.
    pub priority: u8,
    /// Each call belongs to one of so many conversations, which its request names as its affinity.
    /// Zero: to none.
    pub conversations: u32,
    /// What calls ask, if many ask the same.
    pub repeats: Option<Repeats>,
    /// What their client library does.
    pub client: Client,
    /// How long a user waits for the first token before leaving; for ever if absent.
    pub patience: Option<Span>,
    /// On whose account calls are, by kind of subject.
    pub subjects: [Mix; 4],
    /// Labels of calls, by property; below 65,536.
    pub properties: [Mix; 4],
}

/// When calls arrive.
#[derive(Clone, Debug)]
pub enum Arrivals {
    /// At exact intervals: `count` calls, the first at `gap`.
    Constant {
        /// Between two.
        gap: Span,
        /// How many.
        count: u64,
    },
    /// A Poisson process whose rate follows these segments, one after the other.
    Poisson(Vec<Segment>),
    /// A recorded one.
    Trace(Arc<[TraceRow]>),
}

/// A stretch of time and the rate of arrivals over it, in calls per second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Segment {
    /// How long.
    pub lasts: Span,
    /// How the rate goes.
    pub shape: Shape,
}

/// How a rate goes over a segment, in calls per second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shape {
    /// It stays.
    Flat(f64),
    /// It changes evenly.
    Ramp {
        /// At the start.
        from: f64,
        /// At the end.
        to: f64,
    },
    /// It falls towards a floor, halving its distance every half-life.
    Decay {
        /// At the start.
        from: f64,
        /// What it falls towards.
        floor: f64,
        /// In how long half of the distance is gone.
        half_life: Span,
    },
}

/// A recorded call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TraceRow {
    /// After the start.
    pub at: Span,
    /// Prompt tokens.
    pub input_tokens: u32,
    /// Completion tokens.
    pub output_tokens: u32,
}

/// How token counts are distributed.
#[derive(Clone, Debug)]
pub enum Lengths {
    /// All alike.
    Fixed(u32),
    /// Lognormal, rounded, at least 1 and at most `max`.
    LogNormal {
        /// The middle value.
        median: f64,
        /// Standard deviation of the logarithm.
        sigma: f64,
        /// The longest.
        max: u32,
    },
    /// Piecewise linear between equally spaced quantiles, the first being the minimum and the
    /// last the maximum; 2 to 21 points, ascending.
    Quantiles(Arc<[u32]>),
    /// What the trace's row says (only with [`Arrivals::Trace`]).
    Trace,
}

/// What a client library does when a try fails.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Client {
    /// How many tries in all, at least one.
    pub tries_max: u8,
    /// Before the second try.
    pub backoff: Span,
    /// Each further wait is twice the last, at most this.
    pub backoff_max: Span,
    /// Waits are multiplied by a uniform draw from this share up to one.
    pub jitter_from: Ratio,
    /// A `Retry-After` above zero and up to this is obeyed; above it the call fails at once.
    pub retry_after_max: Span,
    /// How long one try may take.
    pub timeout: Span,
}

impl Client {
    /// A client that tries once and waits ten minutes.
    pub const ONCE: Self = Self {
        tries_max: 1,
        backoff: Span::ZERO,
        backoff_max: Span::ZERO,
        jitter_from: Ratio::ONE,
        retry_after_max: Span::ZERO,
        timeout: Span::from_secs(600),
    };
}

/// What answers for one deployment.
#[derive(Clone, Debug)]
pub struct Provider {
    /// How long a connection takes.
    pub connect: Span,
    /// How long an answer takes.
    pub service: Service,
    /// How many calls it works on at once; no bound if absent.
    pub concurrency: Option<u32>,
    /// What happens to a call beyond that.
    pub when_full: WhenFull,
    /// What happens to a call that the router drops.
    pub abandoned: Abandoned,
    /// What it admits.
    pub quota: Quota,
    /// The context window in tokens, prompt and completion together; no bound if absent. A prompt
    /// that does not fit, with the `max_tokens` named if any, is refused; a completion stops at it.
    pub context: Option<u32>,
    /// What it keeps of prompts; nothing if absent.
    pub prompt_cache: Option<PromptCache>,
    /// The share of calls that fail of themselves: with a 500, once connected and admitted.
    pub errors: Ratio,
}

/// What a provider keeps of prompts. A later call of the same conversation pays the cached price for
/// what it has in common with one that was answered here, and does not wait for that to be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PromptCache {
    /// How long after its last use.
    pub lasts: Span,
    /// The shortest prompt that is kept, in tokens.
    pub least: u32,
}

/// How long an answer takes, once work on it begins.
#[derive(Clone, Debug)]
pub enum Service {
    /// A language model's: prefill, then token by token.
    Tokens {
        /// To the first token.
        first_token: FirstToken,
        /// From one token to the next.
        per_token: PerToken,
    },
    /// Exponential in all, the first token coming with the last. For closed forms.
    Exponential {
        /// On average.
        mean: Span,
    },
    /// The same each time, the first token coming with the last. For closed forms.
    Constant {
        /// Each time.
        time: Span,
    },
}

/// Time to first token: a lognormal body, and now and then a heavy tail.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FirstToken {
    /// The body's median, at no load.
    pub median: Span,
    /// The body's standard deviation of the logarithm.
    pub sigma: f64,
    /// The share of calls in the tail.
    pub tail: Ratio,
    /// A tail call takes this many times its body, times a Pareto draw.
    pub tail_factor: f64,
    /// The Pareto draw's shape (its scale is one).
    pub tail_shape: f64,
    /// The longest it takes.
    pub max: Span,
    /// What each prompt token adds.
    pub per_input_token: Span,
}

/// Time from one token to the next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PerToken {
    /// The median over calls, at no load; all tokens of a call are alike.
    pub median: Span,
    /// Its standard deviation of the logarithm.
    pub sigma: f64,
    /// What each other call in service adds, as a share: at load `b` times `1 + growth (b - 1)`.
    pub growth: f64,
}

/// What happens to a call beyond a provider's concurrency.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum WhenFull {
    /// It waits, if fewer than `bound` do; else it is refused.
    Queue {
        /// How many may wait.
        bound: u32,
        /// Who goes next.
        order: Order,
    },
    /// It is refused: 503.
    Refuse,
}

/// Who goes next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Order {
    /// The longest waiting.
    Fifo,
    /// The latest to come.
    Lifo,
}

/// What happens to a call that the router drops.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Abandoned {
    /// The provider works on to the end of it.
    RunsOn,
    /// The provider notices, and stops.
    Stops,
}

/// What a provider admits, and how it counts and refuses.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Quota {
    /// Requests.
    pub requests: Option<Rate>,
    /// Prompt and completion tokens together.
    pub tokens: Option<Rate>,
    /// Prompt tokens.
    pub input_tokens: Option<Rate>,
    /// Completion tokens.
    pub output_tokens: Option<Rate>,
    /// How it counts.
    pub algorithm: Algorithm,
    /// What a call's completion counts as when it arrives.
    pub reserves: Reserves,
    /// How it says when to come back.
    pub retry_after: RetryAfter,
    /// Deployments with the same number share one quota, that of the first of them; their own if
    /// absent.
    pub shared: Option<u16>,
}

/// How a quota counts.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Algorithm {
    /// A bucket that refills continuously.
    #[default]
    Bucket,
    /// A count that starts anew with each period, from time zero; a rate's `burst` is not used.
    Window,
}

/// What a call's completion counts as when it arrives.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Reserves {
    /// Its `max_tokens`, or this many if it names none; never given back.
    Keeps(u32),
    /// The same, corrected to the truth at the end.
    Settles(u32),
    /// Nothing; real tokens are counted as they are produced, at the end.
    #[default]
    Nothing,
}

/// How a 429 says when to come back.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum RetryAfter {
    /// In whole seconds, rounded up.
    #[default]
    Seconds,
    /// In milliseconds, rounded up.
    Millis,
    /// Not at all.
    Absent,
}
