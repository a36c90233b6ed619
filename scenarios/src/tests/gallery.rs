//! A gallery of bad files: one clear message with its place for each mistake.

use std::fmt::Write as _;

use super::SMALL;
use crate::file::FileKind;

/// What is wrong, in which kind of file, with what text.
type Case = (&'static str, FileKind, String);

fn cases() -> Vec<Case> {
    use FileKind::Router;
    let mut cases = vec![
        ("empty", Router, String::new()),
        ("not TOML at all", Router, "model_list:\n  - model_name: gpt\n".to_owned()),
        (
            "two syntax errors",
            Router,
            "[router\nattempts = = 3\n[group.chat]\nmembers = {\n".into(),
        ),
        ("a scenario as a router", Router, "title = \"x\"\n[demand.chat]\n".to_owned()),
        ("a key twice", Router, "[router]\nattempts = 1\nattempts = 2\n".to_owned()),
    ];
    cases.extend(lines());
    cases.extend(policies());
    cases.extend(odd());
    cases.extend(fleets());
    cases.extend(worlds());
    cases.extend(absurd());
    cases
}

const LONG_LADDER: &str = "ladder = [\"full\", \"group:a\", \"group:b\", \"group:c\", \"group:d\", \
                           \"group:e\", \"group:f\", \"group:g\", \"group:h\", \"group:i\", \
                           \"group:j\", \"group:k\", \"group:l\", \"group:m\", \"group:n\", \
                           \"group:o\", \"static\"]";

/// Wrong lines of a group.
fn lines() -> Vec<Case> {
    let lines: [(&str, &str); 47] = [
        ("unknown key", "weigth = 3"),
        ("unknown key, far from any", "frobnicate = 3"),
        ("key of a later version", "priority = { after = \"50 % of 20 in 30 s\" }"),
        ("a rung that is none", "ladder = [\"full\", \"stael\"]"),
        ("a ladder without the full answer", "ladder = [\"fresh\", \"stale\"]"),
        ("a rung twice", "ladder = [\"full\", \"stale\", \"stale\"]"),
        ("a rung that is the group", "ladder = [\"full\", \"group:chat\", \"group:mini\"]"),
        ("a rung out of reach", "ladder = [\"full\", \"static\", \"stale\"]"),
        ("a rung above the full answer", "ladder = [\"static\", \"full\"]"),
        ("a queue of nobody", "queue = 0"),
        ("a queue without a bound", "queue = { timeout = \"5 s\", order = \"fifo\" }"),
        ("a queue of everybody", "queue = { size = 300_000, timeout = \"0 s\" }"),
        (
            "a queue of words",
            "queue = { size = 9, order = \"lifi\", fair = \"org\", fiar = \"a\" }",
        ),
        ("a group of nobody", "in_flight = 0"),
        ("a ladder that is a word", "ladder = \"static\""),
        ("a ladder that is a table", "ladder = { full = true }"),
        ("a rung of another case", "ladder = [\"Full\", \"STALE\", 3]"),
        ("the full answer twice", "ladder = [\"full\", \"stale\", \"full\"]"),
        ("a rung of no group", "ladder = [\"full\", \"group:caht\", \"group:\"]"),
        (
            "rungs below the last",
            "ladder = [\"stale\", \"fresh\", \"full\", \"static\", \"group:x\"]",
        ),
        ("seventeen rungs", LONG_LADDER),
        ("no unit", "timeouts = { total = \"60\" }"),
        ("no quotes", "timeouts = { total = 60 }"),
        ("nan", "timeouts = { total = nan }"),
        ("negative", "timeouts = { total = \"-60 s\" }"),
        ("overflow", "timeouts = { total = \"99999999999 d\" }"),
        ("longer than a year", "timeouts = { total = \"9999 d\" }"),
        ("wrong unit", "timeouts = { total = \"60 sec\" }"),
        ("wrong order", "timeouts = { first_token = \"60 s\", total = \"20 s\" }"),
        ("wrong word", "strategy = \"weighed\""),
        ("wrong type", "strategy = { weighted = true }"),
        ("unknown group", "fallbacks = [\"backup\", \"chta\"]"),
        ("not a list", "fallbacks = 3"),
        ("share above one", "cooldown = { jitter = \"110 %\" }"),
        ("cooldown that is none", "cooldown = \"50 % of many in 60 s\""),
        ("cooldown of no call", "cooldown = { after = \"50 % of 0 in 60 s\" }"),
        ("cooldown of nothing", "cooldown = { after = \"0 % of 0 in 0 s\" }"),
        ("cooldown window", "cooldown = { after = \"50 % of 5 in 1 ms\" }"),
        ("factor", "backoff = { factor = 17 }"),
        ("negative number", "backoff = { factor = -1 }"),
        ("number too long", "backoff = { factor = 99999999999999999999999 }"),
        ("number with decimals", "backoff = { factor = 1.5 }"),
        ("date", "backoff = { base = 1979-05-27 }"),
        ("three on a line", "backoff = { base = \"x\", factor = \"x\", mx = \"1 s\" }"),
        ("unicode before", "backoff = { \"\u{fc}ber\" = 1, fctor = 2 }"),
        ("boolean", "cooldown = { lone = \"yes\" }"),
        ("every kind of name", "aliases = [\"a b\", \"a*b*\", \"\", \"chat\", \"x\", \"x\"]"),
    ];
    lines.map(|(name, line)| (name, FileKind::Router, format!("{SMALL}{line}\n"))).to_vec()
}

/// Policies that contradict themselves or each other.
fn policies() -> Vec<Case> {
    let lines = [
        ("strategy misspelt", "strategy = { by = \"latncy\" }"),
        (
            "strategy of another's parts",
            "strategy = { by = \"cost\", explore = \"2 %\", load = 3 }",
        ),
        ("share to explore", "strategy = { by = \"latency\", explore = \"110 %\" }"),
        ("retries", "retry = { server = 16, conection = 1 }"),
        ("jitter", "backoff.jitter = \"ful\""),
        ("class of rests", "cooldown = { server = \"nver\", timeout = 0, connection = true }"),
        (
            "rest above the most",
            "cooldown = { max = \"9 s\", timeout = { after = 2, rest = \"1 min\" } }",
        ),
        ("key that moved", "cooldown = { ejected_max = \"10 %\" }"),
        ("breaker that never trips", "breaker = { consecutive = 0, after = \"never\" }"),
        ("breaker misspelt", "breaker = \"of\""),
        (
            "breaker of nothing",
            "breaker = { probes = 0, successes = 0, after = \"0 % of 0 in 0 calls\" }",
        ),
        ("breaker that forgets", "breaker = { after = \"50 % of 200 in 100 calls\" }"),
        ("breaker without a unit", "breaker = { after = \"50 % of 20 in 100\" }"),
        ("slow without over", "breaker = { slow = { share = \"80 %\" } }"),
        ("slow at once", "breaker = { slow = { over = \"0 s\", share = \"0 %\" } }"),
        ("open beyond the most", "breaker = { open = \"10 s\", max = \"5 s\" }"),
        ("hedge after the end", "hedge = \"30 s\"\ntimeouts = { first_token = \"10 s\" }"),
        (
            "hedge after the whole",
            "hedge = \"2 min\"\ntimeouts = { first_token = \"off\", total = \"1 min\" }",
        ),
        ("hedge after no quantile", "hedge = \"p100\""),
        ("hedge never", "hedge = { utilisation_max = \"0 %\", after = \"p0.00001\" }"),
        ("hedge of another form", "hedge = true"),
        ("panic", "panic = \"101 %\""),
        ("fallbacks of a kind", "fallbacks = { context_window = [\"lnog\"], content_polcy = [] }"),
        ("tags", "tag_match = \"both\""),
        ("fractions", "panic = 0.5\nejected_max = 1"),
        ("a number for a table", "retry = 2"),
        ("members in a list", "retry = {}\n[group.other]\nmembers = [\"oai\"]"),
    ];
    let line = |(name, line)| (name, FileKind::Router, format!("{SMALL}{line}\n"));
    let mut cases: Vec<Case> = lines.into_iter().map(line).collect();
    let top = |lines: &str| format!("{lines}\n{SMALL}");
    let deployment = |lines: &str| SMALL.replacen("keys", &format!("{lines}\nkeys"), 1);
    let kinds: String = (0..5).map(|k| format!("[subject.\"k{k}=*\"]\n")).collect();
    let crowd: Vec<String> = (0..65).map(|i| format!("\"t{i}\"")).collect();
    let crowd = format!("tags = [{}]", crowd.join(", "));
    for (name, text) in [
        ("default group", top("router.default_group = \"chta\"")),
        ("router's fallbacks", top("router.fallbacks = [\"backup\", \"chat\"]")),
        ("half a second", top("router.retry_budget_window = \"1.5 s\"")),
        ("router's panic", top("router.panic = \"50 %\"")),
        ("classes twice", top("router.priorities = [\"now\", \"now\", \"a b\"]")),
        ("router's queue", top("router.queue = 100")),
        (
            "turns by nobody",
            top("[subject.\"user=*\"]\nweight = 0\n[subject.\"org=acme\"]\nbudget = \"1 USD/day\"")
                + "queue = { size = 9, fair = \"orgs\" }\n",
        ),
        (
            "budgets of nobody",
            top(
                "[subject.\"org=a\"]\nbudget = \"0.0003 USD/day\"\n[subject.\"org=b\"]\nbudget = \"512 tokens/day\"\n[subject.\"org=c\"]\nbudget = \"0 USD/day\"",
            ),
        ),
        (
            "a subject that may do nothing",
            top("[subject.\"org=a\"]\nlimit = { requests = \"0/min\", parallel = 0 }"),
        ),
        ("five kinds of subjects", top(&kinds)),
        ("context of nothing", deployment("context = 0")),
        ("context in thousands", deployment("context = 128k")),
        ("tags of no name", deployment("tags = [\"e u\", \"x\", \"x\"]\nregion = \"\"")),
        ("65 tags", deployment(&crowd)),
        ("disabled", deployment("disabled = true\nbreaker = \"opened\"")),
    ] {
        cases.push((name, FileKind::Router, text));
    }
    cases
}

/// What is allowed, but worth a look.
fn odd() -> Vec<Case> {
    let fleet = |groups: &str| {
        let deployment = |name: &str, lines: &str| {
            format!(
                "[deployment.{name}]\nprovider = \"openai\"\nmodel = \"gpt-4o-mini\"\n{lines}\n"
            )
        };
        let quota = "limit = { requests = \"20/min\", tokens = \"40k/min\" }";
        let small = deployment("small", &format!("context = 32_000\n{quota}"));
        let large = deployment("large", "context = 128_000");
        let out = deployment("out", "breaker = \"forced-open\"");
        format!("{small}{large}{out}{groups}\n")
    };
    let group = |lines: &str| {
        fleet(&format!("[group.chat]\nmembers = {{ small = 1, large = 1 }}\n{lines}"))
    };
    let both = |here: &str, there: &str, lines: &str| {
        fleet(&format!(
            "[group.chat]\nmembers = {{ {here} = 1 }}\n{lines}\n\
             [group.other]\nmembers = {{ {there} = 1 }}"
        ))
    };
    let top = |line: &str, text: String| format!("{line}\n{text}");
    let one = "[group.chat]\nmembers = { large = 1, small = 0 }\nhedge = \"p95\"";
    [
        ("hedge alone", fleet(one)),
        ("hedge blind", group("hedge = \"p95\"")),
        ("hedge unbounded", top("router.retry_budget = \"off\"", group("hedge = \"p95\""))),
        ("hedge unpaid", top("router.retry_budget = \"0 %\"", group("hedge = \"p95\""))),
        ("hedge without attempts", top("router.attempts = 1", group("hedge = \"p95\""))),
        ("context no larger", both("large", "small", "fallbacks.context_window = \"other\"")),
        ("context shrinks", both("large", "small", "fallbacks = \"other\"")),
        (
            "context no larger for the router",
            top("router.fallbacks.context_window = \"other\"", both("large", "small", "")),
        ),
        ("rest beyond the quota", group("cooldown = { rest = \"5 min\" }")),
        ("rest of a class", group("cooldown = { rate_limit = { after = 1, rest = \"2 min\" } }")),
        ("rest that grows beyond the quota", group("cooldown = { max = \"10 min\" }")),
        (
            "short rest of a shorter quota",
            group("cooldown = { rest = \"4 s\" }").replace("0/min", "0/s").replace("k/min", "k/s"),
        ),
        (
            "rest after several",
            group("cooldown = { rate_limit = { after = 3, rest = \"2 min\" }, max = \"5 min\" }"),
        ),
        (
            "rest that does not grow",
            group("cooldown = { rate_limit = { after = 3, rest = \"2 min\" }, grow = 1 }"),
        ),
        (
            "keys with nothing to do",
            group(
                "backoff = { jitter = \"constant\", factor = 3, max = \"9 s\" }\n\
                 cooldown = { after = \"off\", server = 3, grow = 1 }",
            ),
        ),
        ("panic at once", group("panic = \"100 %\"")),
        ("panic of one", fleet("[group.chat]\nmembers = { large = 1 }\npanic = \"1 %\"")),
        (
            "timeouts beyond the deadline",
            top(
                "router.deadline = \"20 s\"",
                group("timeouts = { idle = \"30 s\", total = \"1 min\" }"),
            ),
        ),
        (
            "context no larger, one of several",
            both(
                "large",
                "small",
                "aliases = \"mine\"\nfallbacks.context_window = [\"mine\", \"other\"]",
            ),
        ),
        ("a wait beyond the deadline", top("router.deadline = \"4 s\"", group("queue = 100"))),
        ("a wait without an end", group("queue = { size = 100, timeout = \"off\" }")),
        (
            "turns that nobody takes",
            top("router.priorities = [\"a\", \"b\"]", group(""))
                + "[subject.\"org=a\"]\nweight = 3\n",
        ),
        ("cooldown of too many", group("cooldown = \"50 % of 60 in 1 min\"")),
        (
            "breaker of too many",
            group("breaker = { consecutive = 0, after = \"50 % of 60 in 5 s\" }"),
        ),
        ("panic moot", group("panic = \"20 %\"")),
        ("more retries than attempts", group("retry = { rate_limit = 3, server = 2 }")),
        ("all forced open", both("out", "large", "")),
        ("default group moot", top("router.default_group = \"chat\"", group("aliases = \"*\""))),
        ("usage without limits", group("strategy = \"usage\"")),
        (
            "a word on no breaker",
            group("").replacen("context", "breaker = \"observe-only\"\ncontext", 1),
        ),
        (
            "a loop by alias",
            both("small", "large", "aliases = \"mine\"\nfallbacks.content_policy = \"mine\""),
        ),
    ]
    .map(|(name, text)| (name, FileKind::Router, text))
    .to_vec()
}

/// Wrong groups and deployments.
fn fleets() -> Vec<Case> {
    use FileKind::Router;
    let fleet: String = (0..65)
        .map(|i| format!("[deployment.d{i}]\nprovider = \"openai\"\nmodel = \"gpt-4o\"\n"))
        .collect();
    let many: Vec<String> = (0..65).map(|i| format!("d{i} = 1")).collect();
    let group = |members: &str| {
        format!("{}members = {members}\n", SMALL.split("members").next().unwrap_or(""))
    };
    let deployment = |lines: &str| {
        format!(
            "{SMALL}[deployment.az]\nprovider = \"azure-openai\"\nmodel = \"gpt-4o\"\n{lines}\n"
        )
    };
    vec![
        ("no members", Router, group("{}")),
        ("no weight", Router, group("{ oai = 0 }")),
        ("unknown member", Router, group("{ oai = 1, oia = 1 }")),
        ("weight too large", Router, group("{ oai = 2000000 }")),
        ("65 members", Router, fleet + &group(&format!("{{ {} }}", many.join(", ")))),
        ("members missing", Router, group("{ oai = 1 }\n[group.backup]")),
        ("provider missing", Router, format!("{SMALL}[deployment.az]\nmodel = \"gpt-4o\"\n")),
        ("provider misspelt", Router, deployment("").replace("provider = \"az", "proivder = \"az")),
        ("table misspelt", Router, SMALL.replace("[group", "[gruop")),
        ("bad name", Router, SMALL.replace("[deployment.oai]", "[deployment.\"o i\"]")),
        ("no adaptive limit", Router, deployment("adaptive = 0")),
        (
            "adaptive limits that contradict",
            Router,
            deployment("adaptive = { min = 30, max = 20 }")
                + "[deployment.b]\nprovider = \"openai\"\nmodel = \"gpt-4o\"\n\
                   adaptive = { max = 20, start = 30, most = 40 }\n",
        ),
        (
            "adaptive limit above another",
            Router,
            deployment("limit = { parallel = 20 }\nadaptive = 50"),
        ),
        ("unknown model", Router, deployment("").replace("4o\"", "5o\"")),
        ("provider unknown", Router, SMALL.replace("\"openai\"", "\"opneai\"")),
        ("literal key", Router, deployment("keys = [\"env:A\", \"sk-0123456789\"]")),
        ("33 keys", Router, deployment(&format!("keys = [{}]", "\"env:A\",".repeat(33)))),
        ("endpoint with a password", Router, deployment("endpoint = \"https://a:b@host\"")),
        ("unknown limit", Router, deployment("limit = \"org\"")),
        ("two own limits", Router, deployment("limit = [{ parallel = 1 }, { parallel = 2 }]")),
        ("limit of nothing", Router, deployment("limit = { requests = \"0/min\" }")),
        ("limit too slow", Router, deployment("limit = { requests = \"1/d burst 100k\" }")),
        ("price without output", Router, deployment("price = { input = \"1 USD/Mtok\" }")),
        ("price without unit", Router, deployment("price = { input = \"1\", output = \"1 EUR\" }")),
    ]
}

/// Wrong scenarios and suites.
fn worlds() -> Vec<Case> {
    use FileKind::{Scenario, Suite};
    vec![
        ("fault without a place", Scenario, "[fault.x]\nerrors = \"30\"\n".to_owned()),
        ("fault misspelt", Scenario, "[fault.x]\non = \"biggest\"\nerors = \"3 %\"\n".to_owned()),
        ("spike in part", Scenario, "[demand.chat]\nspike = { at = \"1 s\" }\n".to_owned()),
        ("two services", Scenario, "[provider.x.service]\nconstant = \"1 s\"\nttft = {}\n".into()),
        ("no service", Scenario, "[provider.x]\nservice = {}\n".to_owned()),
        ("expects nothing", Scenario, "[expect]\nx = []\ny = 3\n".to_owned()),
        (
            "expectations",
            Scenario,
            "[expect]\nx = \"succes.rate >= 99 %\"\n\
             y = [\"ttft.p99 < 2\", \"ttft.p99 \\u003C 2\"]\n"
                .into(),
        ),
        (
            "a terminal's escape",
            Scenario,
            "[fault.\"\\u001b[31m\"]\non = \"x\"\r\nx = 1\r\n".to_owned(),
        ),
        ("factor without x", Scenario, "[fault.x]\non = []\nttft = 4\n".to_owned()),
        ("negative shape", Scenario, "[provider.x]\nservice.ttft.sigma = -0.5\n".to_owned()),
        (
            "an application of nothing",
            Scenario,
            "[app]\nreplicas = 0\nprobe = { every = \"1 s\", timeout = \"1 s\" }\n".to_owned(),
        ),
        ("suite", Suite, "[suite]\nseeds = 16\nscenario = \"x\"\n[slo]\nx = true\n".to_owned()),
    ]
}

/// Numbers that no world could have.
fn absurd() -> Vec<Case> {
    let lines = [
        ("quota of nothing", "provider.x.quota", "{ requests = \"0/min\", tokens = \"0/s\" }"),
        (
            "quota by direction",
            "provider.x.quota",
            "{ input_tokens = \"1/min burst 0\", output_tokens = \"18446744073709551615/ns\" }",
        ),
        ("spread", "provider.x.service", "{ ttft.sigma = 11, per_token.growth = 1e9 }"),
        ("tail", "provider.x.service.ttft", "{ tail_factor = 0, tail_shape = 1001 }"),
        ("slow tokens", "provider.x.service.per_token", "{ median = \"5 s\" }"),
        ("slow connection", "provider.x.connect", "\"99999 d\""),
        ("demand", "demand.x.normal", "{ rate = \"0/s\", lasts = \"32 d\" }"),
        ("demand of nothing", "demand.x", "{ normal.lasts = \"0 s\", patience = \"0 s\" }"),
        ("spike", "demand.x.spike", "{ peak = \"1G/s\", half_life = \"0 s\" }"),
        ("lengths", "demand.x.normal.tokens", "{ input = 0, output = [0, 1] }"),
        ("client", "demand.x.normal.client", "{ tries = 0, timeout = \"0 s\" }"),
        ("factors", "fault.x", "{ on = \"*\", ttft = \"x0\", per_token = \"x10001\" }"),
        ("fault's times", "fault.x", "{ on = \"*\", at = \"366 d\", lasts = \"0 s\" }"),
        ("storm", "fault.x", "{ on = \"*\", rate_limits.retry_after = \"366 d\" }"),
        ("flap", "fault.x", "{ on = \"*\", flap = { period = \"1 ms\", duty = \"101 %\" } }"),
        ("at random", "fault.x", "{ on = \"*\", at_random = { up = \"0 s\" } }"),
        ("key", "fault.x", "{ on = \"*\", revoked_key = 32 }"),
        ("money", "fault.x", "{ on = \"*\", quota_spent = \"403\" }"),
        ("tokens before a stall", "fault.x", "{ on = \"*\", stall = { after = -1 } }"),
        ("error in a stream", "fault.x", "{ on = \"*\", in_stream_error = { status = 200 } }"),
        ("stream", "demand.x", "{ stream = \"120 %\", conversations = 0 }"),
        ("context", "provider.x", "{ context = 0 }"),
        (
            "answers kept for no time, nowhere",
            "cache",
            "{ ttl = \"0 s\", size = 0, stale_for = \"-1 s\", single_flight = \"yes\", room = 3 }",
        ),
        (
            "answers kept for ever",
            "cache",
            "{ ttl = \"32 d\", size = 5_000_000, stale_for = \"1 y\" }",
        ),
        ("answers kept", "cache", "{ stale_for = \"1 min\" }"),
        ("a cache that is a word", "cache", "\"on\""),
        (
            "questions that nobody has",
            "demand.x.repeats",
            "{ keys = 0, zipf = -1, share = \"120 %\" }",
        ),
        ("questions of many", "demand.x.repeats", "{ keys = 2_000_000, zipf = 1e300 }"),
        ("questions of how many", "demand.x.repeats", "{ zipf = 11, share = 0.5 }"),
        ("a flush of something", "fault.x", "{ on = \"cache\", cache_flush = \"all\" }"),
        ("prompts kept", "provider.x.prompt_cache", "{ lasts = \"0 s\", least = 0, size = 5 }"),
    ];
    let case = |(name, key, value)| (name, FileKind::Scenario, format!("{key} = {value}\n"));
    lines.into_iter().map(case).collect()
}

#[test]
fn every_mistake_has_its_place_and_its_words() {
    let mut gallery = String::new();
    for (name, kind, text) in cases() {
        let found = kind.check("file.toml", &text);
        assert!(!found.is_empty(), "{name} is wrong, but nothing is said");
        writeln!(gallery, "----- {name}").expect("a string takes everything");
        for diagnostic in found {
            write!(gallery, "{diagnostic}").expect("a string takes everything");
        }
    }
    insta::assert_snapshot!(gallery);
}
