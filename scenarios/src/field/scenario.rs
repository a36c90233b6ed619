//! The keys of a scenario file.

use super::{Keys, Kind, RATE, SHARE, Table, count, given, nested, optional, required};
use crate::quantity::Unit;

const FREQUENCY: Kind = Kind::Within(Unit::Frequency, "1/31 d", "1M/s");
const FACTOR: Kind = Kind::Within(Unit::Factor, "x0.001", "x10000");
const TOKENS: Kind = count(1, 10_000_000);
/// A time that may be nothing. Far below the clock's 584 years, so that what is added up of many
/// stays on it.
const WAIT: Kind = Kind::Within(Unit::Time, "0 s", "31 d");
/// A time that is not nothing.
const LASTS: Kind = Kind::Within(Unit::Time, "1 ms", "31 d");
/// At 10, one standard deviation is a factor of 22,000; nothing measured comes near.
const SIGMA: Kind = Kind::Decimal("0", "10");
const TAIL: Kind = Kind::Decimal("0.001", "1000");

/// A scenario, whole.
pub static SCENARIO_FILE: Table = Table {
    doc: "A scenario: who asks, what answers, what goes wrong, what is expected.",
    fields: &[
        given("title", Kind::Text, "", "what happens, in one line"),
        given("question", Kind::Text, "", "what the run answers"),
        optional("seed", count(0, u64::MAX), "the root of every draw; 1 unless given"),
        optional(
            "demonstrates",
            Kind::Choice(&["failure"]),
            "that the starter router is not meant to pass",
        ),
        nested(
            "demand",
            Kind::Map(Keys::Any, &Kind::Table(&DEMAND)),
            "who asks, by group or other name of a model; `\"*\"` is the router's first group",
        ),
        nested(
            "provider",
            Kind::Map(Keys::Any, &Kind::Table(&PROVIDER)),
            "what answers, by selector, where it differs from the preset",
        ),
        optional(
            "app",
            Kind::Table(&APP),
            "the application between the users and the gateway; without it users ask the gateway \
             themselves",
        ),
        optional(
            "cache",
            Kind::Table(&CACHE),
            "the answers that the gateway keeps; without it none, and no `ladder` finds any",
        ),
        nested("fault", Kind::Map(Keys::Name, &Kind::Table(&FAULT)), "what goes wrong"),
        optional(
            "reconfigure",
            Kind::List(&Kind::Table(&RECONFIGURE)),
            "other router files that take effect on the way, in order",
        ),
        nested(
            "expect",
            Kind::Map(Keys::Any, &Kind::Many(&Kind::Text)),
            "what must hold, by test case",
        ),
        optional(
            "replicas",
            Kind::Table(&REPLICAS),
            "several routers, and the store over which they tell each other what they have used",
        ),
    ],
};

static APP: Table = Table {
    doc: "The application that users talk to: a call holds one of its connections until it is over.",
    fields: &[
        required("replicas", count(1, 1_000), "how many instances there are"),
        required("pool", count(1, 1_000_000), "the calls that one works on at once"),
        given("backlog", count(0, 1_000_000), "100", "the calls that may wait at one beyond these"),
        optional(
            "probe",
            Kind::Table(&PROBE),
            "the liveness probe; without it nobody is restarted",
        ),
        given("restart", LASTS, "30 s", "how long an instance is gone that failed its probe"),
    ],
};

static CACHE: Table = Table {
    doc: "Answers that the gateway keeps, by question (`repeats`); a group's `ladder` uses them.",
    fields: &[
        required("ttl", LASTS, "how long an answer is fresh"),
        given("stale_for", WAIT, "0 s", "for how long after that it is there, and stale"),
        given("size", count(1, 1_000_000), "100000", "answers; who was not asked for longest goes"),
        given(
            "single_flight",
            Kind::Flag,
            "false",
            "whether calls wait for an identical one under way, and get what that gets",
        ),
    ],
};

static REPEATS: Table = Table {
    doc: "Questions that many ask.",
    fields: &[
        required("keys", count(1, 1_000_000), "how many there are"),
        optional(
            "zipf",
            SIGMA,
            "the kth is asked for as often as k to the minus this; 1 if absent",
        ),
        given("share", SHARE, "100 %", "the calls that ask one of them; nobody else asks the rest"),
    ],
};

static REPLICAS: Table = Table {
    doc: "Replicas of the router. Each request goes to any of them; each tells the others what it \
          has used, if its file has `router.peers`.",
    fields: &[
        required("count", count(1, 1_000), "how many there are"),
        given("publish", LASTS, "1 s", "how often each publishes what it has used"),
        given("delay", WAIT, "50 ms", "how long until the others have it"),
        given("loss", SHARE, "0 %", "the share of what is published that reaches nobody"),
        given("evict", SHARE, "0 %", "the share that the store throws away before it is read"),
        given("skew", WAIT, "0 s", "by how much their clocks differ at most"),
    ],
};

/// What it leaves out is as Kubernetes has it (`periodSeconds`, `timeoutSeconds`,
/// `failureThreshold`): <https://kubernetes.io/docs/concepts/configuration/liveness-readiness-startup-probes/>.
static PROBE: Table = Table {
    doc: "A liveness probe waits for a connection like a call; what it leaves out is as in Kubernetes.",
    fields: &[
        given("every", LASTS, "10 s", "from one to the next"),
        given("timeout", LASTS, "1 s", "how long one may wait"),
        given("failures", count(1, 1_000), "3", "in a row, and the instance is restarted"),
    ],
};

static RECONFIGURE: Table = Table {
    doc: "Another router file takes effect: what has the same name stays what it is.",
    fields: &[
        required("at", LASTS, "from when on"),
        required("router", Kind::Text, "a file, beside this one, or a router of the library"),
    ],
};

static DEMAND: Table = Table {
    doc: "One population of users of a group.",
    fields: &[
        optional("group", Kind::Text, "what they ask for, if that is not the demand's name"),
        nested("normal", Kind::Table(&NORMAL), "the usual traffic"),
        optional("spike", Kind::Table(&SPIKE), "what comes on top"),
        optional("output_max", count(1, 10_000_000), "the `max_tokens` every request names"),
        optional("stream", Kind::Either(STREAM), "whether, or how many of, answers are streamed"),
        nested("tags", Kind::Many(&Kind::Text), "what every request asks for by tag"),
        optional("region", Kind::Text, "where every request must be served"),
        optional(
            "conversations",
            count(1, u32::MAX as u64),
            "how many there are; each call belongs to one, and asks to stay with it",
        ),
        optional("repeats", Kind::Table(&REPEATS), "questions that many ask; for the `[cache]`"),
        optional("patience", LASTS, "how long a user waits for the first token"),
        nested(
            "subjects",
            Kind::Map(Keys::Name, &Kind::Either(CROWD)),
            "on whose account calls are, by kind: shares by name, or so many others",
        ),
        nested(
            "properties",
            Kind::Map(Keys::Name, &Kind::Either(LABELS)),
            "labels, four at most: one for all calls, or shares",
        ),
        optional("priority", Kind::Text, "the class of every request, one of `router.priorities`"),
    ],
};

const SHARES: Kind = Kind::Map(Keys::Name, &SHARE);
const CROWD: &[Kind] = &[Kind::Quantity(Unit::Crowd), SHARES];
const LABELS: &[Kind] = &[Kind::Text, SHARES];

/// True unless given; the first of these is what a flag is.
const STREAM: &[Kind] = &[Kind::Flag, SHARE];

static NORMAL: Table = Table {
    doc: "The usual traffic: `arrivals`, or `rate` and `lasts`.",
    fields: &[
        optional("arrivals", Kind::Text, "a built-in twin of a public trace"),
        optional("rate", FREQUENCY, "calls per time"),
        optional("lasts", LASTS, "how long calls keep coming"),
        optional("process", Kind::Choice(&["poisson", "constant"]), "how calls follow each other"),
        optional("tokens", Kind::Either(&[Kind::Text, Kind::Table(&LENGTHS)]), "how long they are"),
        optional(
            "client",
            Kind::Either(&[Kind::Text, Kind::Table(&CLIENT)]),
            "what the client library does when a try fails",
        ),
    ],
};

static LENGTHS: Table = Table {
    doc: "Prompt and completion lengths, in tokens.",
    fields: &[
        required("input", Kind::Either(LENGTH), "of the prompt"),
        required("output", Kind::Either(LENGTH), "of the completion"),
    ],
};

const LENGTH: &[Kind] = &[TOKENS, Kind::List(&TOKENS), Kind::Table(&LOG_NORMAL)];

static LOG_NORMAL: Table = Table {
    doc: "Lognormal token counts.",
    fields: &[
        required("median", TOKENS, "the middle value"),
        required("sigma", SIGMA, "the standard deviation of the logarithm"),
        required("max", TOKENS, "the longest"),
    ],
};

static CLIENT: Table = Table {
    doc: "A client library; what it leaves out is as in `openai-python`.",
    fields: &[
        optional("tries", count(1, 255), "how many tries in all"),
        optional("backoff", WAIT, "before the second try"),
        optional("backoff_max", WAIT, "the longest wait"),
        optional("jitter_from", SHARE, "waits are multiplied by a draw from this up to one"),
        optional("retry_after_max", WAIT, "above it the call fails at once"),
        optional("timeout", LASTS, "of one try"),
    ],
};

static SPIKE: Table = Table {
    doc: "The rate rises evenly to the peak, holds, and decays to normal.",
    fields: &[
        required("at", WAIT, "when the rise begins"),
        required("peak", FREQUENCY, "the rate at the peak, normal calls included"),
        required("rise", WAIT, "how long until the peak"),
        required("hold", WAIT, "how long it stays"),
        required("half_life", LASTS, "in how long half of the excess is gone"),
    ],
};

static PROVIDER: Table = Table {
    doc: "What answers, where it differs from the preset.",
    fields: &[
        optional("connect", WAIT, "how long a connection takes"),
        optional("service", Kind::Table(&SERVICE), "how long an answer takes"),
        optional("concurrency", Kind::Either(CONCURRENCY), "how many calls are served at once"),
        optional("when_full", Kind::Either(WHEN_FULL), "what happens to a call beyond that"),
        optional(
            "abandoned",
            Kind::Choice(&["runs-on", "stops"]),
            "what happens to a call that the router drops",
        ),
        optional("quota", Kind::Either(QUOTA_KINDS), "what it admits"),
        optional(
            "context",
            Kind::Either(CONTEXT),
            "tokens of prompt and completion together; the deployment's unless given",
        ),
        optional(
            "prompt_cache",
            Kind::Either(PROMPT_CACHE),
            "what it keeps of prompts, for calls of the same conversation; nothing unless given",
        ),
        optional("errors", SHARE, "the share of calls that fail with a 500"),
    ],
};

const PROMPT_CACHE: &[Kind] = &[Kind::Choice(&["off"]), Kind::Table(&KEPT)];
const CONTEXT: &[Kind] = &[count(1, 1_000_000_000), Kind::Choice(&["unlimited"])];

const CONCURRENCY: &[Kind] = &[count(1, u32::MAX as u64), Kind::Choice(&["unlimited"])];
const WHEN_FULL: &[Kind] = &[Kind::Choice(&["refuse"]), Kind::Table(&QUEUE)];
const QUOTA_KINDS: &[Kind] = &[Kind::Choice(&["unlimited"]), Kind::Table(&QUOTA)];

static KEPT: Table = Table {
    doc: "Prompts are kept: what one has in common with an earlier one is cheaper, and read at once.",
    fields: &[
        given("lasts", LASTS, "5 min", "how long, after the last use"),
        given("least", TOKENS, "1024", "the shortest prompt that is kept, in tokens"),
    ],
};

static QUEUE: Table = Table {
    doc: "Calls beyond the concurrency wait.",
    fields: &[
        required("queue", count(0, u32::MAX as u64), "how many may wait"),
        given("order", Kind::Choice(&["fifo", "lifo"]), "fifo", "who goes next"),
    ],
};

static SERVICE: Table = Table {
    doc: "How long an answer takes: `exponential`, `constant`, or `ttft` and `per_token`.",
    fields: &[
        optional("exponential", WAIT, "exponential in all, with this mean"),
        optional("constant", WAIT, "the same each time"),
        optional("ttft", Kind::Table(&FIRST_TOKEN), "to the first token"),
        optional("per_token", Kind::Table(&PER_TOKEN), "from one token to the next"),
    ],
};

static FIRST_TOKEN: Table = Table {
    doc: "Time to first token: a lognormal body and a heavy tail.",
    fields: &[
        optional("median", WAIT, "the body's median, at no load"),
        optional("sigma", SIGMA, "the body's standard deviation of the logarithm"),
        optional("tail", SHARE, "the share of calls in the tail"),
        optional("tail_factor", TAIL, "a tail call takes this many times its body"),
        optional("tail_shape", TAIL, "the shape of the tail's Pareto draw"),
        optional("max", WAIT, "the longest it takes"),
        optional(
            "per_input_token",
            Kind::Within(Unit::Time, "0 s", "1 s"),
            "what each prompt token adds",
        ),
    ],
};

/// An answer's time per token is held in 32 bits of nanoseconds: 4.29 s at most.
static PER_TOKEN: Table = Table {
    doc: "Time from one token to the next.",
    fields: &[
        optional(
            "median",
            Kind::Within(Unit::Time, "0 s", "4 s"),
            "the median over calls, at no load",
        ),
        optional("sigma", SIGMA, "its standard deviation of the logarithm"),
        optional("growth", SIGMA, "what each other call in service adds, as a share"),
    ],
};

static QUOTA: Table = Table {
    doc: "What a provider admits; without a size, the router's own limit for it.",
    fields: &[
        optional("requests", RATE, "requests per period"),
        optional("tokens", RATE, "prompt and completion tokens per period"),
        optional("input_tokens", RATE, "prompt tokens per period"),
        optional("output_tokens", RATE, "completion tokens per period"),
        optional("algorithm", Kind::Choice(&["bucket", "window"]), "how it counts"),
        optional(
            "reserves",
            Kind::Choice(&["keeps", "settles", "nothing"]),
            "what a call's completion counts as when it arrives",
        ),
        optional(
            "retry_after",
            Kind::Choice(&["seconds", "millis", "absent"]),
            "how a 429 says when to come back",
        ),
        optional("shared", Kind::Flag, "whether all that are selected take from one quota"),
    ],
};

static FAULT: Table = Table {
    doc: "Something that goes wrong: where, when, and one effect.",
    fields: &[
        required(
            "on",
            Kind::Many(&Kind::Text),
            "where, all together: `biggest`, `vendor:`, `region:`, `group:`, `tier:`, a name",
        ),
        optional("at", WAIT, "from when; the start unless given"),
        optional("lasts", LASTS, "how long; to the end unless given"),
        optional("flap", Kind::Table(&FLAP), "there in a part of each period only"),
        optional("at_random", Kind::Table(&AT_RANDOM), "comes and goes at random"),
        optional("of", SHARE, "the share of the calls it touches; all unless given"),
        optional("outage", Kind::Text, "`refuse`, `black-hole` or a status such as `503`"),
        optional("errors", SHARE, "of a brownout: the share that fails with a 503"),
        optional("ttft", FACTOR, "of a brownout: times the first token's time"),
        optional("per_token", FACTOR, "of a brownout: times the time per token"),
        optional("delay", WAIT, "of a brownout: added to the first token's time"),
        optional("stall", Kind::Table(&BREAKS), "answers stop, and their connections stand"),
        optional("cut", Kind::Table(&BREAKS), "connections are reset"),
        optional("truncated", Kind::Table(&BREAKS), "answers end without their terminator"),
        optional("in_stream_error", Kind::Table(&STREAM_ERROR), "an error in a token's place"),
        optional("rate_limits", Kind::Table(&STORM), "429s though no quota is exceeded"),
        optional(
            "quota_spent",
            Kind::Choice(&["402", "429"]),
            "the account has no money: this status, and no word on when to come back",
        ),
        optional(
            "revoked_key",
            Kind::Either(REVOKED),
            "401s on one of a deployment's keys, counted from 0, or on `all`",
        ),
        optional(
            "garbage",
            Kind::Flag,
            "answers that are not streamed are not what was asked for, and are billed",
        ),
        optional(
            "cache_flush",
            Kind::Flag,
            "of `on = \"cache\"`: the gateway's answers are thrown away as it begins",
        ),
        optional(
            "restart",
            Kind::Choice(&["restored", "empty"]),
            "of `on = \"router\"`: it is started anew, from a snapshot or knowing nothing, and its \
             connections are cut",
        ),
        optional(
            "replica",
            count(1, 1_000),
            "with `restart`: which of `[replicas]` alone, 1 being the first; all at once unless given",
        ),
        optional(
            "store",
            Kind::Choice(&["down", "evict"]),
            "of `on = \"store\"`: what replicas publish reaches nobody, or what they published so far \
             is thrown away",
        ),
        optional(
            "answers",
            Kind::List(&Kind::Text),
            "met in turn: `ok`, or a status and perhaps a failure's name, `retry-after=`, \
             `retry-after-ms=` or `x-should-retry=`",
        ),
    ],
};

const REVOKED: &[Kind] = &[count(0, 31), Kind::Choice(&["all"])];
/// From one change of a fault to the next: so many are drawn or walked through.
const TURN: Kind = Kind::Within(Unit::Time, "1 s", "31 d");

static FLAP: Table = Table {
    doc: "A fault that is there at the start of each period.",
    fields: &[
        required("period", TURN, "from one beginning to the next"),
        given("duty", SHARE, "50 %", "the share of it over which the fault is there"),
    ],
};

static AT_RANDOM: Table = Table {
    doc: "Exponential times, the same ones for all that the fault is on. At first it is not there.",
    fields: &[
        required("up", TURN, "how long it is not there, on average"),
        required("down", TURN, "how long it is there, on average"),
    ],
};

static BREAKS: Table = Table {
    doc: "Answers that begin as usual and break when the next token is due.",
    fields: &[given("after", count(0, 10_000_000), "0", "how many tokens come before")],
};

static STREAM_ERROR: Table = Table {
    doc: "Answers that begin as usual, and then an error.",
    fields: &[
        given("after", count(0, 10_000_000), "0", "how many tokens come before"),
        given("status", count(400, 599), "529", "what the error tells"),
    ],
};

static STORM: Table = Table {
    doc: "429s though no quota is exceeded.",
    fields: &[optional("retry_after", WAIT, "what they say; nothing unless given")],
};
