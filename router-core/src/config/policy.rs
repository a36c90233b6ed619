//! What a group does beyond plain routing, as written: strategies, breakers, hedges, retries by
//! class of failure. `Default`s carry their sources, as in [`super::spec`].

use alloc::string::String;
use alloc::vec::Vec;

use crate::{FailureClass, Ratio, Span};

/// How one of the eligible is chosen. Every strategy reserves what it selects, so requests that
/// come at once never all see the same "least loaded" deployment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Strategy {
    /// At random, in proportion to the weights.
    Weighted {
        /// Whether members that could not serve catch up afterwards: smooth weighted round robin
        /// (nginx's), with at most 100 selections of credit.
        catch_up: bool,
    },
    /// The one with the fewest calls in flight per weight; ties at random.
    LeastInFlight,
    /// The lesser load of two drawn by weight, without replacement (Mitzenmacher, "The power of
    /// two choices in randomized load balancing", 2001).
    PowerOfTwo(Load),
    /// The least expected latency times calls in flight, per weight. Failures count as latency.
    Latency {
        /// The share of requests that go anywhere instead, so that estimates stay fresh.
        explore: Ratio,
    },
    /// The one whose limits have the largest unused share; ties by weight.
    Usage,
    /// The cheapest that is expected to meet the deadline; ties by weight.
    Cost,
    /// Weighted rendezvous on the request's affinity, so that what shares a prompt cache stays
    /// together; by weight for requests without one.
    Sticky,
}

impl Strategy {
    /// [`Self::Latency`] with 1 % exploration: llm-d's router explores as much.
    pub const LATENCY: Self = Self::Latency { explore: Ratio::from_ppm(10_000) };
}

impl Default for Strategy {
    fn default() -> Self {
        Self::Weighted { catch_up: false }
    }
}

/// What [`Strategy::PowerOfTwo`] compares, per weight.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Load {
    /// Calls in flight.
    #[default]
    InFlight,
    /// Peak-sensitive latency times calls in flight (Finagle's "peak EWMA").
    PeakEwma,
}

/// How requested tags meet a deployment's. A request without tags, or with tags that nobody of
/// the group has, goes to the members tagged `default`; without such members the former goes to
/// anyone and the latter to no one.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum TagMatch {
    /// One of them suffices.
    #[default]
    Any,
    /// The deployment has all of them.
    All,
}

/// Groups to go to when this one does not serve, by kind of failure, each list in order. Names
/// or aliases.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct FallbacksSpec {
    /// After any failure but the two below.
    pub any: Vec<String>,
    /// When the prompt is too long.
    pub context_window: Vec<String>,
    /// When the content is refused.
    pub content_policy: Vec<String>,
}

/// How often failures of a class are retried in the group, per request; beyond that the request
/// falls back or gives up. `router.attempts` holds in any case.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RetrySpec {
    /// By [`FailureClass`], 0 to 15.
    pub most: [u8; FailureClass::ALL.len()],
}

impl RetrySpec {
    /// How often failures of `class` are retried.
    pub const fn most(&self, class: FailureClass) -> u8 {
        self.most[class as usize]
    }
}

impl Default for RetrySpec {
    /// As often as `router.attempts` allows; once for invalid output, which is paid for in full.
    fn default() -> Self {
        let mut most = [15; FailureClass::ALL.len()];
        most[FailureClass::Invalid as usize] = 1;
        Self { most }
    }
}

/// How a wait is drawn below its bound.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Jitter {
    /// Uniform from zero to the bound ("full jitter", AWS Architecture Blog, "Exponential
    /// backoff and jitter", 2015: the fewest calls of those compared there).
    #[default]
    Full,
    /// Uniform from half the bound to the bound ("equal jitter", ibid.).
    Equal,
    /// The base, whatever the attempt, less up to a quarter: as the OpenAI SDK jitters.
    Constant,
}

/// When failures of one class rest a deployment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ClassRest {
    /// What it takes.
    pub after: RestAfter,
    /// The first rest, if not the cooldown's.
    pub rest: Option<Span>,
}

/// What it takes for failures of a class to rest a deployment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RestAfter {
    /// They count in the common window, with other failures.
    Common,
    /// So many of the class within the window.
    Count(u32),
    /// They rest nothing. A provider's `Retry-After` is honoured regardless.
    Never,
}

/// A circuit breaker on each membership of a group.
///
/// Closed, it judges ended calls; open, it admits nothing; half-open, it admits a few probes and
/// closes after enough successes in a row, with a share that ramps up.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct BreakerSpec {
    /// What its verdicts do.
    pub mode: BreakerMode,
    /// So many failures in a row trip it; zero: never. 5: Envoy's `consecutive_5xx`.
    pub consecutive: u32,
    /// The share of failures in the window that trips it, reached or passed. 50 %: Hystrix and
    /// resilience4j.
    pub failures: Option<Ratio>,
    /// A call is slow if its first token (its end, if it does not stream) takes longer.
    pub slow_over: Span,
    /// The share of slow calls in the window that trips it, reached or passed.
    pub slow: Option<Ratio>,
    /// What is judged. 30 s: Polly's sampling duration.
    pub window: BreakerWindow,
    /// The fewest calls in the window that are judged. 20: Hystrix; resilience4j's 100 would
    /// take minutes to gather at the rates of one application.
    pub calls_min: u32,
    /// How long it stays open at first. 10 s: between Polly's and Hystrix' 5 s and Envoy's 30 s.
    pub open: Span,
    /// What each further opening in a row multiplies that by, 1 to 16.
    pub grow: u8,
    /// The longest it stays open. 300 s: Envoy's `max_ejection_time`.
    pub max: Span,
    /// It stays open up to this much longer, at random, so that breakers do not probe together.
    pub jitter: Ratio,
    /// How many probes may be in flight while half-open, at least 1.
    pub probes: u32,
    /// How many probes must succeed in a row, at least 1.
    pub successes: u32,
    /// How long its share ramps up after it closes, from a tenth (Envoy's slow start).
    pub ramp: Span,
}

impl Default for BreakerSpec {
    fn default() -> Self {
        Self {
            mode: BreakerMode::Enforce,
            consecutive: 5,
            failures: Some(Ratio::from_ppm(500_000)),
            slow_over: Span::MAX,
            slow: None,
            window: BreakerWindow::Time(Span::from_secs(30)),
            calls_min: 20,
            open: Span::from_secs(10),
            grow: 2,
            max: Span::from_secs(300),
            jitter: Ratio::from_ppm(100_000),
            probes: 1,
            successes: 3,
            ramp: Span::from_secs(30),
        }
    }
}

/// What a breaker's verdicts do.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum BreakerMode {
    /// They hold.
    #[default]
    Enforce,
    /// They are told and not acted on.
    Observe,
    /// There are none.
    Disabled,
    /// It is open, whatever happens, until an operator says otherwise.
    ForcedOpen,
}

/// Which calls a breaker judges.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum BreakerWindow {
    /// Those that ended within this time, counted in ten slots.
    Time(Span),
    /// The last so many, at most 10,000.
    Calls(u32),
}

/// A limit of calls at once that moves with how long calls take: see `docs/routing.md`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct AdaptiveSpec {
    /// The least it may be, 1 to 1,000,000.
    pub min: u32,
    /// The most it may be, 1 to 1,000,000.
    pub max: u32,
    /// What it is before anything is known, from `min` to `max`.
    pub start: u32,
}

impl AdaptiveSpec {
    /// What it is before anything is known, if the bounds allow: as Netflix's Gradient2 starts.
    pub const START: u32 = 20;

    /// From 1 up to `max`.
    pub const fn up_to(max: u32) -> Self {
        Self { min: 1, max, start: if max < Self::START { max } else { Self::START } }
    }
}

/// A second attempt beside a slow first one: the first token wins, the other is abandoned and
/// its cost accounted (Dean and Barroso, "The tail at scale", CACM 2013).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct HedgeSpec {
    /// When.
    pub after: HedgeAfter,
    /// No hedge while this much of the group's parallel limits is in use. Beyond about nine
    /// tenths, hedges slow down what they should speed up.
    pub utilisation_max: Ratio,
}

/// When a hedge is due, counted from the dispatch, if no token came.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum HedgeAfter {
    /// After a fixed time.
    Delay(Span),
    /// After a running quantile of the group's own times to first token (to the end, of requests
    /// that do not stream); not before 100 were seen.
    Quantile(Ratio),
}

impl Default for HedgeSpec {
    fn default() -> Self {
        Self {
            after: HedgeAfter::Quantile(Ratio::from_ppm(950_000)),
            utilisation_max: Ratio::from_ppm(800_000),
        }
    }
}

/// Where requests of a group wait while nobody can take them.
///
/// The more urgent class goes first; within a class the lanes take turns, each as often as it
/// weighs ("start-time fair queueing", Goyal, Vin and Cheng, 1996); within a lane `order` holds.
/// A lane is the requests of one subject (of the kind `fair`) that ask for the same tags and the
/// same region.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct QueueSpec {
    /// The most that wait at once, 1 to `router.in_flight`.
    pub size: u32,
    /// The longest wait; [`Span::MAX`]: as long as the deadline lets them. 5 s: a client of the
    /// OpenAI SDK tries again by itself after 8 s at most.
    pub timeout: Span,
    /// Who goes first within a lane.
    pub order: Order,
    /// The kind of subject that takes turns; `None`: everybody is of one.
    pub fair: Option<String>,
}

impl QueueSpec {
    /// A queue for so many, first come first served, for five seconds at most.
    pub const fn new(size: u32) -> Self {
        Self { size, timeout: Span::from_secs(5), order: Order::Fifo, fair: None }
    }
}

/// Who goes first of those that wait in a lane.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Order {
    /// Who came first.
    #[default]
    Fifo,
    /// Who came last: in an overload some are served in time rather than all too late.
    Lifo,
    /// Whose deadline is the earliest; of equal ones who came first.
    Deadline,
}
