//! A scenario file as read: names and quantities, each with its place in the text, nothing yet
//! decided about any router. The reader of files fills these; the resolver gives them their
//! meaning.

use core::ops::Range;

use router_core::{Rate, Ratio, Restart, Span};
use sim::{
    Abandoned, Algorithm, Application, PromptCache, Repeats, Replicated, ResponseCache, RetryAfter,
    StoreFault, WhenFull,
};

use crate::quantity::Crowd;

/// A value, and the bytes of the file that it was written in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Spanned<T> {
    /// What it is.
    pub value: T,
    /// Where it stands, in bytes from the start of the file.
    pub at: Range<usize>,
}

impl<T> Spanned<T> {
    /// `value`, which stands at `at`.
    pub const fn new(value: T, at: Range<usize>) -> Self {
        Self { value, at }
    }
}

/// One thing wrong with a file, and where.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Mistake {
    /// Where, in bytes from the start of the file.
    pub at: Range<usize>,
    /// What is wrong there: lower case, no full stop.
    pub message: String,
    /// What would be right.
    pub hint: Option<String>,
}

/// What the outside world must know of a deployment, and the core must not.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Endpoint {
    /// `provider`: the dialect it speaks, and the preset that plays it.
    pub provider: String,
    /// `model`, as the provider calls it.
    pub model: String,
    /// `region`, if the file says.
    pub region: Option<String>,
    /// `endpoint`, a reference such as `env:AZ_BASE`, if the file says.
    pub endpoint: Option<String>,
    /// `keys`, references such as `env:AZ_1`.
    pub keys: Vec<String>,
}

/// A scenario file.
#[derive(Clone, Debug, Default)]
pub struct ScenarioSpec {
    /// `title`: what happens, in one line.
    pub title: String,
    /// `question`: what the run answers.
    pub question: String,
    /// `seed`, 1 unless given.
    pub seed: Option<u64>,
    /// `demonstrates = "failure"`: the starter router is not meant to pass.
    pub demonstrates_failure: bool,
    /// `[demand.GROUP]`, `"*"` being the router's first group, in the order written.
    pub demands: Vec<(Spanned<String>, DemandSpec)>,
    /// `[provider.SELECTOR]`, in the order written; later ones win.
    pub providers: Vec<(Spanned<String>, ProviderSpec)>,
    /// `[app]`: the application between the users and the gateway.
    pub app: Option<Application>,
    /// `[replicas]`: several routers.
    pub replicas: Option<Spanned<Replicated>>,
    /// `[cache]`: the answers that the gateway keeps.
    pub cache: Option<Spanned<ResponseCache>>,
    /// `[fault.NAME]`, in the order written.
    pub faults: Vec<(Spanned<String>, FaultSpec)>,
    /// `[[reconfigure]]`: other router files that take effect, in the order written.
    pub reloads: Vec<ReloadSpec>,
    /// `[expect]`: a name, and one text or several that must all hold.
    pub expectations: Vec<(Spanned<String>, Vec<Spanned<String>>)>,
}

/// `[[reconfigure]]`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ReloadSpec {
    /// `at`: from when on.
    pub at: Spanned<Span>,
    /// `router`: a file, beside the scenario's own, or a router of the library.
    pub router: Spanned<String>,
}

/// `[demand.GROUP]`.
#[derive(Clone, Debug, Default)]
pub struct DemandSpec {
    /// `group` that calls ask for, where that is not the demand's name.
    pub group: Option<Spanned<String>>,
    /// `normal`: the usual traffic.
    pub normal: NormalSpec,
    /// `spike`: what comes on top.
    pub spike: Option<SpikeSpec>,
    /// `output_max`: the `max_tokens` every request names.
    pub output_max: Option<Spanned<u32>>,
    /// `stream`, the share of calls that do; `true` is all, and all do unless given.
    pub stream: Option<Ratio>,
    /// `tags` that every request asks for.
    pub tags: Vec<Spanned<String>>,
    /// `region` that every request asks for.
    pub region: Option<Spanned<String>>,
    /// The class that every request is of.
    pub priority: Option<Spanned<String>>,
    /// `conversations` that calls belong to.
    pub conversations: Option<u32>,
    /// `repeats`: questions that many ask.
    pub repeats: Option<Spanned<Repeats>>,
    /// `patience`: how long a user waits for the first token.
    pub patience: Option<Spanned<Span>>,
    /// `subjects`: on whose account calls are, by kind, in the order written.
    pub subjects: Vec<(Spanned<String>, MixSpec)>,
    /// `properties`: at most four by name, in the order written.
    pub properties: Vec<(Spanned<String>, MixSpec)>,
}

/// Which subject of a kind, or which label, calls have.
#[derive(Clone, Debug)]
pub enum MixSpec {
    /// All the same.
    One(Spanned<String>),
    /// Each by name for a share of the calls, in parts per million; none for the rest.
    Shares(Vec<(Spanned<String>, Spanned<u32>)>),
    /// So many without a name.
    Crowd(Crowd),
}

/// `normal = { ... }`: either `arrivals`, or `rate` and `lasts`.
#[derive(Clone, Debug, Default)]
pub struct NormalSpec {
    /// `arrivals`: the name of a built-in twin of a public trace.
    pub arrivals: Option<Spanned<String>>,
    /// `rate`, in calls per second.
    pub rate: Option<Spanned<f64>>,
    /// `lasts`: how long calls keep coming.
    pub lasts: Option<Spanned<Span>>,
    /// `process`, Poisson unless given.
    pub process: Option<Spanned<Process>>,
    /// `tokens`, those of `azure-conversation` unless given.
    pub tokens: Option<TokensSpec>,
    /// `client`, `once` unless given.
    pub client: Option<ClientSpec>,
}

/// How calls at a rate follow each other.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Process {
    /// `poisson`: independently.
    #[default]
    Poisson,
    /// `constant`: at equal intervals.
    Constant,
}

/// `spike = { ... }`: the rate rises evenly to the peak, holds, and decays to normal.
#[derive(Clone, Debug)]
pub struct SpikeSpec {
    /// `at`: when the rise begins.
    pub at: Spanned<Span>,
    /// `peak`, in calls per second, the normal ones included.
    pub peak: Spanned<f64>,
    /// `rise`: how long until the peak.
    pub rise: Spanned<Span>,
    /// `hold`: how long it stays.
    pub hold: Spanned<Span>,
    /// `half_life`: in how long half of the excess is gone.
    pub half_life: Spanned<Span>,
}

/// `tokens`.
#[derive(Clone, Debug)]
pub enum TokensSpec {
    /// The name of a built-in table.
    Table(Spanned<String>),
    /// `{ input = ..., output = ... }`.
    Lengths {
        /// Of the prompt.
        input: Spanned<LengthSpec>,
        /// Of the completion.
        output: Spanned<LengthSpec>,
    },
}

/// How many tokens.
#[derive(Clone, Debug, PartialEq)]
pub enum LengthSpec {
    /// A number: always so many.
    Fixed(u32),
    /// `{ median = ..., sigma = ..., max = ... }`.
    LogNormal {
        /// The middle value.
        median: Spanned<u32>,
        /// The standard deviation of the logarithm.
        sigma: f64,
        /// The longest.
        max: u32,
    },
    /// A list: the values at equally spaced quantiles, least to greatest.
    Quantiles(Vec<Spanned<u32>>),
}

/// `client`.
#[derive(Clone, Debug)]
pub enum ClientSpec {
    /// `openai-python` or `once`.
    Named(Spanned<String>),
    /// A table; what it leaves out is as in `openai-python`.
    Custom {
        /// `tries`, in all, 1 to 255.
        tries: Option<Spanned<u8>>,
        /// `backoff`, before the second try.
        backoff: Option<Span>,
        /// `backoff_max`.
        backoff_max: Option<Span>,
        /// `jitter_from`: waits are multiplied by a uniform draw from this up to one.
        jitter_from: Option<Spanned<Ratio>>,
        /// `retry_after_max`: above it the call fails at once.
        retry_after_max: Option<Span>,
        /// `timeout` of one try.
        timeout: Option<Spanned<Span>>,
    },
}

/// `[provider.SELECTOR]`: what differs from the preset.
#[derive(Clone, Debug, Default)]
pub struct ProviderSpec {
    /// `connect`.
    pub connect: Option<Span>,
    /// `service`.
    pub service: Option<ServiceSpec>,
    /// `concurrency`: a number or `"unlimited"`.
    pub concurrency: Option<Most>,
    /// `when_full`: `"refuse"` or `{ queue = BOUND, order = "fifo" | "lifo" }`.
    pub when_full: Option<WhenFull>,
    /// `abandoned`: `"runs-on"` or `"stops"`.
    pub abandoned: Option<Abandoned>,
    /// `quota`: `"unlimited"` or a table.
    pub quota: Option<QuotaSpec>,
    /// `context`: a number of tokens or `"unlimited"`.
    pub context: Option<Most>,
    /// `prompt_cache`: `"off"`, which is a `None` of its own, or `{ lasts = TIME, least = TOKENS }`.
    pub prompt_cache: Option<Option<PromptCache>>,
    /// `errors`: the share of calls that fail with a 500.
    pub errors: Option<Spanned<Ratio>>,
}

/// A bound that may be absent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Most {
    /// None.
    Unlimited,
    /// So many, at least one.
    Of(u32),
}

/// `service = { ... }`.
#[derive(Clone, Debug)]
pub enum ServiceSpec {
    /// `{ exponential = MEAN }`.
    Exponential(Span),
    /// `{ constant = TIME }`.
    Constant(Span),
    /// `{ ttft = { ... }, per_token = { ... } }`; what they leave out stays as it is.
    Tokens {
        /// `ttft`.
        ttft: FirstTokenSpec,
        /// `per_token`.
        per_token: PerTokenSpec,
    },
}

/// `ttft = { ... }`, each part as in [`sim::FirstToken`].
#[derive(Clone, Debug, Default)]
pub struct FirstTokenSpec {
    /// `median`.
    pub median: Option<Span>,
    /// `sigma`, at least zero.
    pub sigma: Option<f64>,
    /// `tail`, a share.
    pub tail: Option<Ratio>,
    /// `tail_factor`, above zero.
    pub tail_factor: Option<f64>,
    /// `tail_shape`, above zero.
    pub tail_shape: Option<f64>,
    /// `max`.
    pub max: Option<Span>,
    /// `per_input_token`.
    pub per_input_token: Option<Span>,
}

/// `per_token = { ... }`, each part as in [`sim::PerToken`].
#[derive(Clone, Debug, Default)]
pub struct PerTokenSpec {
    /// `median`.
    pub median: Option<Span>,
    /// `sigma`, at least zero.
    pub sigma: Option<f64>,
    /// `growth`, at least zero.
    pub growth: Option<f64>,
}

/// `quota`. If it names any size, the sizes are its own; else they are the router's own limit.
#[derive(Clone, Debug, Default)]
pub struct QuotaSpec {
    /// `quota = "unlimited"`.
    pub unlimited: bool,
    /// `requests`.
    pub requests: Option<Rate>,
    /// `tokens`.
    pub tokens: Option<Rate>,
    /// `input_tokens`.
    pub input_tokens: Option<Rate>,
    /// `output_tokens`.
    pub output_tokens: Option<Rate>,
    /// `algorithm`: `"bucket"` or `"window"`.
    pub algorithm: Option<Algorithm>,
    /// `reserves`: `"keeps"`, `"settles"` or `"nothing"`.
    pub reserves: Option<ReservesSpec>,
    /// `retry_after`: `"seconds"`, `"millis"` or `"absent"`.
    pub retry_after: Option<RetryAfter>,
    /// `shared`: whether everything selected takes from one quota.
    pub shared: Option<bool>,
}

/// What a call's completion counts as when it arrives, as in [`sim::Reserves`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ReservesSpec {
    /// `keeps`: its `max_tokens`, never given back.
    Keeps,
    /// `settles`: its `max_tokens`, corrected at the end.
    Settles,
    /// `nothing`.
    Nothing,
}

/// `[fault.NAME]`: where and when, and one effect.
#[derive(Clone, Debug, Default)]
pub struct FaultSpec {
    /// `on`: one selector or several.
    pub on: Vec<Spanned<String>>,
    /// `at`, the start unless given.
    pub at: Option<Spanned<Span>>,
    /// `lasts`, to the end unless given.
    pub lasts: Option<Spanned<Span>>,
    /// `flap = { period = ..., duty = ... }`.
    pub flap: Option<Spanned<FlapSpec>>,
    /// `at_random = { up = ..., down = ... }`.
    pub at_random: Option<Spanned<RandomSpec>>,
    /// `of`: the share of calls it touches, all unless given.
    pub of: Option<Spanned<Ratio>>,
    /// `outage`: `"refuse"`, `"black-hole"` or a status such as `"503"`.
    pub outage: Option<Spanned<String>>,
    /// `errors`, of a brownout: the share that fails with a 503.
    pub errors: Option<Spanned<Ratio>>,
    /// `ttft`, of a brownout: `"x4"`.
    pub ttft: Option<Spanned<f64>>,
    /// `per_token`, of a brownout: `"x2"`.
    pub per_token: Option<Spanned<f64>>,
    /// `delay`, of a brownout: before the first token.
    pub delay: Option<Spanned<Span>>,
    /// `stall = { after = TOKENS }`.
    pub stall: Option<Spanned<u32>>,
    /// `cut = { after = TOKENS }`.
    pub cut: Option<Spanned<u32>>,
    /// `truncated = { after = TOKENS }`.
    pub truncated: Option<Spanned<u32>>,
    /// `in_stream_error = { after = TOKENS, status = ... }`.
    pub in_stream_error: Option<Spanned<StreamErrorSpec>>,
    /// `rate_limits = { retry_after = ... }`: a storm of 429s.
    pub rate_limits: Option<Spanned<StormSpec>>,
    /// `quota_spent`: 402 or 429.
    pub quota_spent: Option<u16>,
    /// `revoked_key`: one of a deployment's keys, or `"all"`.
    pub revoked_key: Option<Revoked>,
    /// `garbage`: whether answers are worth nothing.
    pub garbage: Option<Spanned<bool>>,
    /// `cache_flush`: the gateway's answers are thrown away.
    pub cache_flush: Option<Spanned<bool>>,
    /// `restart`: the router itself is started anew.
    pub restart: Option<Spanned<Restart>>,
    /// `replica`: which router alone is started anew, the first being 1.
    pub replica: Option<Spanned<u16>>,
    /// `store`: what happens to what replicas publish.
    pub store: Option<StoreFault>,
    /// `answers`: `"ok"`, or a status and what comes with it, met in turn.
    pub answers: Option<Spanned<Vec<Spanned<String>>>>,
}

/// `rate_limits = { ... }`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct StormSpec {
    /// `retry_after`, absent unless given.
    pub retry_after: Option<Span>,
}

/// `flap = { ... }`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FlapSpec {
    /// `period`.
    pub period: Span,
    /// `duty`, a share of it.
    pub duty: Ratio,
}

/// `at_random = { ... }`, on average.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RandomSpec {
    /// `up`: how long the fault is not there.
    pub up: Span,
    /// `down`: how long it is.
    pub down: Span,
}

/// `in_stream_error = { ... }`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct StreamErrorSpec {
    /// `after` how many tokens.
    pub after: u32,
    /// `status`.
    pub status: u16,
}

/// `revoked_key`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Revoked {
    /// `"all"`.
    All,
    /// This one, counted from zero.
    Key(u8),
}
