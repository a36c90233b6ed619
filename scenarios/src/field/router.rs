//! The keys of `router.toml`. Defaults are `router-core`'s own (a test compares them), where
//! their sources stand.

use super::{
    Keys, Kind, RATE, SHARE, TIME, TIMEOUT, Table, count, given, later, nested, optional, required,
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
        later("tenant", "limits and budgets of a tenant"),
        later("budget", "money per period, by property"),
        later("subjects", "what a request is charged to"),
        later("properties", "labels of requests in figures"),
        later("store", "what replicas share"),
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
        later("queue", "admission when nothing is free"),
        later("panic", "what happens when everything is out"),
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

static DEPLOYMENT: Table = Table {
    doc: "A model behind an endpoint, with its keys and limits.",
    fields: &[
        required("provider", Kind::Text, "the dialect it speaks, and the preset that plays it"),
        required("model", Kind::Text, "the model, as the provider calls it"),
        optional("region", Kind::Text, "where it is; faults may select it"),
        optional("endpoint", Kind::Endpoint, "where to send: a URL or a reference"),
        nested("keys", Kind::Many(&Kind::Secret), "references to its keys"),
        nested(
            "limit",
            Kind::Many(&Kind::Either(&[Kind::Text, Kind::Table(&LIMIT)])),
            "its own limit, names of shared ones, or a list of both",
        ),
        optional("price", Kind::Table(&PRICE), "what tokens cost; else the built-in table's"),
        later("context", "the context window, in tokens"),
        later("tags", "what requests may ask for"),
        later("disabled", "takes no traffic"),
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

static GROUP: Table = Table {
    doc: "What clients ask for, and who serves it.",
    fields: &[
        required(
            "members",
            Kind::Map(Keys::Name, &Kind::Short(&MEMBER, "weight")),
            "deployments and their weights",
        ),
        given(
            "strategy",
            Kind::Choice(&["weighted", "least-in-flight"]),
            "weighted",
            "how one of the eligible is chosen",
        ),
        nested("timeouts", Kind::Table(&TIMEOUTS), "how long to wait for what, per attempt"),
        nested("backoff", Kind::Table(&BACKOFF), "waits before trying again"),
        nested("cooldown", Kind::Short(&COOLDOWN, "after"), "when a deployment rests"),
        given("ejected_max", SHARE, "50 %", "the most of a group that may be out for its failures"),
        nested("fallbacks", Kind::Short(&FALLBACKS, "any"), "groups to try when nobody can serve"),
        later("aliases", "other names of the group"),
        later("breaker", "opens after failures, closes after probes"),
        later("retry", "what is retried how often"),
        later("hedge", "a second attempt before the first fails"),
        later("queue", "admission when nothing is free"),
        later("ladder", "what to answer when nothing is left"),
        later("panic", "what happens when everything is out"),
        later("priority", "who goes first"),
    ],
};

static MEMBER: Table = Table {
    doc: "A deployment's place in a group.",
    fields: &[
        given("weight", count(0, 1_000_000), "1", "its share; zero takes no traffic"),
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

static BACKOFF: Table = Table {
    doc: "Waits before trying again, uniform from zero to a growing bound.",
    fields: &[
        given("base", TIME, "500 ms", "the first bound"),
        given("factor", count(1, 16), "2", "what each further attempt multiplies it by"),
        given("max", TIME, "8 s", "the largest bound"),
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
    ],
};

static FALLBACKS: Table = Table {
    doc: "Groups to try when nobody in this one can serve, by kind of failure.",
    fields: &[
        nested("any", Kind::Many(&Kind::Text), "whatever failed, in this order"),
        later("context_window", "when the prompt is too long"),
        later("content_policy", "when the content is refused"),
    ],
};
