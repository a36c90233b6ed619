//! The keys of `router.toml`. Defaults are `router-core`'s own (a test compares them), where
//! their sources stand.

use super::{
    Keys, Kind, RATE, SHARE, TIME, TIMEOUT, Table, count, elsewhere, given, later, nested,
    optional, required,
};
use crate::quantity::Unit;

/// `router.toml`, whole.
pub static ROUTER_FILE: Table = Table {
    doc: "A router: what it may send where, and what it does when that fails.",
    fields: &[
        nested("router", Kind::Table(&ROUTER), "bounds of the whole router"),
        nested("limit", Kind::Map(Keys::Name, &Kind::Table(&LIMIT)), "limits that are shared"),
        nested(
            "deployment",
            Kind::Map(Keys::Name, &Kind::Table(&DEPLOYMENT)),
            "a model behind an endpoint",
        ),
        nested("group", Kind::Map(Keys::Name, &Kind::Table(&GROUP)), "what clients ask for"),
        nested(
            "subject",
            Kind::Map(Keys::Subject, &Kind::Table(&SUBJECT)),
            "what `KIND=NAME`, or each other one of a kind (`KIND=*`), may use",
        ),
        elsewhere("tenant", "write `[subject.\"tenant=NAME\"]`"),
        elsewhere("budget", "`budget` is a key of each `[subject.\"KIND=NAME\"]`"),
        elsewhere("subjects", "write `[subject.\"KIND=NAME\"]`; demand says who asks"),
        later("properties", "labels of requests in figures"),
        elsewhere("store", "what replicas do without word of each other is `router.peers`"),
    ],
};

static ROUTER: Table = Table {
    doc: "Bounds of the whole router.",
    fields: &[
        given("deadline", TIMEOUT, "10 min", "the most time a request may take"),
        given("attempts", count(1, 16), "3", "the most attempts of a request, fallbacks included"),
        given(
            "retry_budget",
            Kind::Quantity(Unit::Budget),
            "20 % + 1/s",
            "retries per request, plus so many per second",
        ),
        given("retry_budget_window", TIME, "10 s", "the window of the retry budget"),
        given("retry_after_max", TIME, "2 min", "the longest `Retry-After` that is believed"),
        given("in_flight", count(1, 1 << 22), "65536", "the most requests at once"),
        given(
            "output_reserve",
            count(0, 10_000_000),
            "512",
            "output tokens reserved for a request that names no maximum",
        ),
        given(
            "accounts",
            count(1, 1 << 20),
            "16384",
            "accounts kept for subjects without an entry of their own",
        ),
        given(
            "periods_began",
            TIME,
            "0 s",
            "how long before the start the periods of budgets began",
        ),
        optional("default_group", Kind::Text, "the group for names that no group has or claims"),
        nested(
            "fallbacks",
            Kind::Short(&FALLBACKS, "any"),
            "those of groups that name none of their own, list by list",
        ),
        optional("peers", Kind::Table(&PEERS), "other replicas of it that keep to the same limits"),
        nested(
            "priorities",
            Kind::Many(&Kind::Text),
            "classes of requests, the most urgent first; eight at most",
        ),
        elsewhere("queue", "`queue` is a key of each group"),
        elsewhere("panic", "`panic` is a key of each group"),
    ],
};

static PEERS: Table = Table {
    doc: "Replicas of the router that keep to the same limits. `parallel` is divided among them.",
    fields: &[
        required("replicas", count(1, 1_000), "how many there are, this one included"),
        given("stale", TIME, "5 s", "after how long without a word of one that is an outage"),
        given(
            "on_outage",
            Kind::Choice(&["closed", "open", "share"]),
            "open",
            "then send nothing that takes from a rate, or go on; or have each replica keep to its \
             part of every rate from the start",
        ),
    ],
};

static LIMIT: Table = Table {
    doc: "Limits that hold together: a request takes from all of them or from none.",
    fields: &[
        optional("requests", RATE, "requests per period"),
        optional("tokens", RATE, "prompt and completion tokens per period"),
        optional("input_tokens", RATE, "prompt tokens per period"),
        optional("output_tokens", RATE, "completion tokens per period"),
        optional("parallel", count(1, 1_000_000), "calls at once"),
    ],
};

static SUBJECT: Table = Table {
    doc: "What a subject may use, over all deployments. An overrun is paid by what comes after it.",
    fields: &[
        nested(
            "limit",
            Kind::Table(&LIMIT),
            "how much at once; `parallel` counts requests from their first attempt to their end",
        ),
        nested(
            "budget",
            Kind::Many(&Kind::Short(&SPEND, "amount")),
            "how much per period, reservations included; two at most",
        ),
        given("weight", count(1, 1_000_000), "1", "its share of a queue that is fair by its kind"),
    ],
};

static SPEND: Table = Table {
    doc: "So much per period.",
    fields: &[
        required("amount", Kind::Quantity(Unit::Spend), "dollars or tokens per period"),
        given("soft", SHARE, "80 %", "from which share on somebody is told"),
        given("hard", Kind::Flag, "true", "whether what does not fit is refused, not only told of"),
    ],
};

static DEPLOYMENT: Table = Table {
    doc: "A model behind an endpoint, with its keys and limits.",
    fields: &[
        required("provider", Kind::Text, "the dialect it speaks, and the preset that plays it"),
        required("model", Kind::Text, "the model, as the provider calls it"),
        optional("region", Kind::Text, "where it is; requests may ask for it, faults select it"),
        optional("endpoint", Kind::Endpoint, "where to send: a URL or a reference"),
        nested("keys", Kind::Many(&Kind::Secret), "references to its keys"),
        nested(
            "limit",
            Kind::Many(&Kind::Either(&[Kind::Text, Kind::Table(&LIMIT)])),
            "its own limit, names of shared ones, or a list of both",
        ),
        optional(
            "adaptive",
            Kind::Short(&ADAPTIVE, "max"),
            "a limit of calls at once that is learned from how long they take; none if absent",
        ),
        optional("price", Kind::Table(&PRICE), "what tokens cost; else the built-in table's"),
        optional(
            "context",
            count(1, 1_000_000_000),
            "its context window in tokens, prompt and completion; no bound if absent",
        ),
        nested("tags", Kind::Many(&Kind::Text), "what requests may ask for; see `tag_match`"),
        optional(
            "breaker",
            Kind::Choice(BREAKER_MODES),
            "an operator's word on its breakers in all groups; `forced-open` takes it out",
        ),
        elsewhere("disabled", "write `breaker = \"forced-open\"`"),
    ],
};

static ADAPTIVE: Table = Table {
    doc: "A limit of calls at once that shrinks when answers get slower, and grows while they do not.",
    fields: &[
        given("min", count(1, 1_000_000), "1", "the least it shrinks to"),
        given("max", count(1, 1_000_000), "200", "the most it grows to"),
        optional(
            "start",
            count(1, 1_000_000),
            "what it is at first; else 20, as far as `min` and `max` allow",
        ),
    ],
};

static PRICE: Table = Table {
    doc: "What tokens cost.",
    fields: &[
        required("input", Kind::Quantity(Unit::Price), "a prompt token"),
        optional("cached", Kind::Quantity(Unit::Price), "one from the cache; else as `input`"),
        required("output", Kind::Quantity(Unit::Price), "a completion token"),
    ],
};

/// What a breaker's verdicts do.
const BREAKER_MODES: &[&str] = &["on", "observe-only", "disabled", "forced-open"];

static GROUP: Table = Table {
    doc: "What clients ask for, and who serves it.",
    fields: &[
        nested(
            "aliases",
            Kind::Many(&Kind::Text),
            "what else clients may call it: names, or patterns with one `*`; the longest wins",
        ),
        required(
            "members",
            Kind::Map(Keys::Name, &Kind::Short(&MEMBER, "weight")),
            "deployments and their weights",
        ),
        nested("strategy", Kind::Short(&STRATEGY, "by"), "how one of the eligible is chosen"),
        given(
            "tag_match",
            Kind::Choice(&["any", "all"]),
            "any",
            "whether a member needs any or all of the tags asked for",
        ),
        nested("timeouts", Kind::Table(&TIMEOUTS), "how long to wait for what, per attempt"),
        nested("retry", Kind::Table(&RETRY), "how often what is retried"),
        nested("backoff", Kind::Table(&BACKOFF), "waits before trying again"),
        nested("cooldown", Kind::Short(&COOLDOWN, "after"), "when a deployment rests"),
        optional(
            "breaker",
            Kind::Short(&BREAKER, "mode"),
            "takes a member out after failures until probes succeed; never if absent",
        ),
        given("ejected_max", SHARE, "50 %", "the most of a group that may be out for its failures"),
        given(
            "panic",
            SHARE,
            "0 %",
            "if less of it is healthy, all are used, but for what a provider asked for",
        ),
        optional(
            "hedge",
            Kind::Short(&HEDGE, "after"),
            "a second attempt beside a slow first; the first token wins; never if absent",
        ),
        nested("fallbacks", Kind::Short(&FALLBACKS, "any"), "groups to try when nobody can serve"),
        optional(
            "in_flight",
            count(1, 1 << 22),
            "the most of its requests between first dispatch and end; no bound if absent",
        ),
        optional(
            "queue",
            Kind::Short(&QUEUE, "size"),
            "where requests wait that nobody can take; refused at once if absent",
        ),
        nested(
            "ladder",
            Kind::Many(&Kind::Text),
            "what may be given instead of the full answer: `fresh`, `full`, `stale`, \
             `group:NAME`, `static`; only `full` if empty",
        ),
        elsewhere("priority", "`priorities` is a key of `[router]`, `priority` of a demand"),
    ],
};

static MEMBER: Table = Table {
    doc: "A deployment's place in a group.",
    fields: &[
        given(
            "weight",
            count(0, 1_000_000),
            "1",
            "its share; zero is standby: it serves when nobody else of its tier can",
        ),
        given("tier", count(0, 255), "0", "the lowest tier with somebody eligible serves"),
    ],
};

static TIMEOUTS: Table = Table {
    doc: "How long to wait for what, per attempt.",
    fields: &[
        given("connect", TIMEOUT, "5 s", "for the connection"),
        given("first_token", TIMEOUT, "30 s", "from dispatch to the first token"),
        given("idle", TIMEOUT, "20 s", "between two signs of life of a stream"),
        given("total", TIMEOUT, "10 min", "from dispatch to the end"),
        given(
            "on_total",
            Kind::Choice(&["error", "partial"]),
            "error",
            "a total timeout after the first token: fail, or keep what came",
        ),
    ],
};

static STRATEGY: Table = Table {
    doc: "How one of the eligible is chosen.",
    fields: &[
        given(
            "by",
            Kind::Choice(&[
                "weighted",
                "smooth",
                "least-in-flight",
                "power-of-two",
                "latency",
                "usage",
                "cost",
                "sticky",
            ]),
            "weighted",
            "by what; `smooth` is `weighted` with `catch_up`",
        ),
        optional(
            "catch_up",
            Kind::Flag,
            "of `weighted`: whether who could not serve catches up; false unless given",
        ),
        optional(
            "explore",
            SHARE,
            "of `latency`: the requests that go anywhere to keep estimates fresh; 1 % unless given",
        ),
        optional(
            "load",
            Kind::Choice(&["in-flight", "peak-ewma"]),
            "of `power-of-two`: what is compared; `in-flight` unless given",
        ),
    ],
};

static RETRY: Table = Table {
    doc: "How often failures of a class are retried in the group, per request; 15 is as often as \
          `router.attempts` allows.",
    fields: &[
        given("rate_limit", count(0, 15), "15", "429s"),
        given("server", count(0, 15), "15", "errors that the provider answers with"),
        given("connection", count(0, 15), "15", "connections that fail, break or end early"),
        given("timeout", count(0, 15), "15", "timeouts of an attempt"),
        given("account", count(0, 15), "15", "refused keys, spent quotas, missing models"),
        given("invalid", count(0, 15), "1", "answers that are not what was asked for"),
    ],
};

static BACKOFF: Table = Table {
    doc: "Waits before trying again, drawn below a bound that grows with each attempt.",
    fields: &[
        given("base", TIME, "500 ms", "the first bound"),
        given("factor", count(1, 16), "2", "what each further attempt multiplies it by"),
        given("max", TIME, "8 s", "the largest bound"),
        given(
            "jitter",
            Kind::Choice(&["full", "equal", "constant"]),
            "full",
            "from zero, from half the bound, or the base less up to a quarter",
        ),
    ],
};

static COOLDOWN: Table = Table {
    doc: "When a deployment rests, and how long.",
    fields: &[
        given(
            "after",
            Kind::Quantity(Unit::Trip),
            "50 % of 10 in 1 min",
            "failures, of at least so many calls in a window",
        ),
        given("rest", TIME, "5 s", "the first rest"),
        given("grow", count(1, 16), "2", "what each further rest in a row multiplies it by"),
        given("max", TIME, "1 min", "the longest rest nobody asked for"),
        given("jitter", SHARE, "10 %", "rests last up to this much longer, at random"),
        given("lone", Kind::Flag, "false", "whether a group's only deployment may rest"),
        nested("rate_limit", Kind::Short(&RATE_LIMIT_REST, "after"), "429s without `Retry-After`"),
        nested("server", Kind::Short(&CLASS_REST, "after"), "errors that the provider answers"),
        nested("connection", Kind::Short(&CLASS_REST, "after"), "connections that fail or break"),
        nested("timeout", Kind::Short(&CLASS_REST, "after"), "timeouts of an attempt"),
        elsewhere("ejected_max", "`ejected_max` is a key of the group, beside `cooldown`"),
    ],
};

/// What it takes for failures of one class to rest a deployment.
const REST_AFTER: Kind = Kind::Either(&[count(1, 1_000_000), Kind::Choice(&["common", "never"])]);
const REST_AFTER_DOC: &str = "so many in the window, `never`, or `common`: they count in `after`";
const CLASS_REST_DOC: &str = "its first rest; else the cooldown's";

static CLASS_REST: Table = Table {
    doc: "When failures of one class rest a deployment.",
    fields: &[
        given("after", REST_AFTER, "common", REST_AFTER_DOC),
        optional("rest", TIME, CLASS_REST_DOC),
    ],
};

static RATE_LIMIT_REST: Table = Table {
    doc: "When rate limits without `Retry-After` rest a key.",
    fields: &[
        given("after", REST_AFTER, "1", REST_AFTER_DOC),
        optional("rest", TIME, CLASS_REST_DOC),
    ],
};

static BREAKER: Table = Table {
    doc: "Takes a member out after failures until probes succeed.",
    fields: &[
        given(
            "mode",
            Kind::Either(&[Kind::Choice(BREAKER_MODES), Kind::Flag]),
            "on",
            "whether its verdicts hold; `true` is `on`, `false` is `disabled`",
        ),
        given("consecutive", count(0, 1_000_000), "5", "failures in a row that trip it; 0: never"),
        given(
            "after",
            Kind::Quantity(Unit::Verdict),
            "50 % of 20 in 30 s",
            "failures, of at least so many calls in a window, that trip it",
        ),
        optional("slow", Kind::Table(&SLOW), "slow calls that trip it, in the window of `after`"),
        given("open", TIME, "10 s", "how long it stays open at first"),
        given("grow", count(1, 16), "2", "what each further opening in a row multiplies it by"),
        given("max", TIME, "5 min", "the longest it stays open"),
        given("jitter", SHARE, "10 %", "it stays open up to this much longer, at random"),
        given("probes", count(1, 10_000), "1", "probes in flight while half-open"),
        given("successes", count(1, 10_000), "3", "probes in a row that close it"),
        given("ramp", TIME, "30 s", "how long its share grows back after it closed"),
    ],
};

static SLOW: Table = Table {
    doc: "Slow calls that trip a breaker.",
    fields: &[
        required("over", TIME, "a call is slow if its first token (else its end) takes longer"),
        required("share", SHARE, "the share of slow calls that trips it"),
    ],
};

static HEDGE: Table = Table {
    doc: "A second attempt beside a slow first one.",
    fields: &[
        given(
            "after",
            Kind::Quantity(Unit::Delay),
            "p95",
            "a time, or a quantile of the group's own times to first token",
        ),
        given(
            "utilisation_max",
            SHARE,
            "80 %",
            "none while this much of the group's parallel limits is in use",
        ),
    ],
};

static QUEUE: Table = Table {
    doc: "Where requests wait that nobody can take: the more urgent class first, then in turns.",
    fields: &[
        required("size", count(1, 1 << 22), "the most that wait at once"),
        given("timeout", TIMEOUT, "5 s", "the longest wait"),
        given(
            "order",
            Kind::Choice(&["fifo", "lifo", "deadline"]),
            "fifo",
            "who goes first: who came first, who came last, whose deadline is the earliest",
        ),
        optional("fair", Kind::Text, "the kind of subject that takes turns, each by its weight"),
    ],
};

static FALLBACKS: Table = Table {
    doc: "Groups to try when nobody in this one can serve, by kind of failure.",
    fields: &[
        nested("any", Kind::Many(&Kind::Text), "whatever else failed, in this order"),
        nested("context_window", Kind::Many(&Kind::Text), "when the prompt is too long"),
        nested("content_policy", Kind::Many(&Kind::Text), "when the content is refused"),
    ],
};
