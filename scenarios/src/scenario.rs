//! Scenario files: who asks, what answers, what goes wrong, what is expected.

use reports::Expectation;
use router_core::{Ratio, Restart};
use sim::{
    Abandoned, Algorithm, Application, Order, Probe, PromptCache, Repeats, Replicated,
    ResponseCache, RetryAfter, StoreFault, WhenFull,
};

use crate::diagnostic::Diagnostic;
use crate::field::SCENARIO_FILE;
use crate::quantity::Quantity;
use crate::read::{Node, Reader, Section, Value, texts};
use crate::resolve::placed;
use crate::written::{
    ClientSpec, DemandSpec, FaultSpec, FirstTokenSpec, FlapSpec, LengthSpec, Mistake, MixSpec,
    Most, NormalSpec, PerTokenSpec, Process, ProviderSpec, QuotaSpec, RandomSpec, ReloadSpec,
    ReservesSpec, Revoked, ScenarioSpec, ServiceSpec, Spanned, SpikeSpec, StormSpec,
    StreamErrorSpec, TokensSpec,
};

/// Reads the scenario file `text`, which is called `file` in messages.
///
/// # Errors
/// Everything that is wrong with it, in the order of the file.
pub fn read(file: &str, text: &str) -> Result<ScenarioSpec, Vec<Diagnostic>> {
    read_section(file, text).map(|(scenario, _)| scenario)
}

/// A scenario, and its file's values for `print`.
pub(crate) fn read_section(
    file: &str,
    text: &str,
) -> Result<(ScenarioSpec, Section), Vec<Diagnostic>> {
    let (reader, scenario, root) = partly(file, text);
    reader.finish((scenario, root))
}

/// What can be read of a scenario; the reader knows what cannot.
pub(crate) fn partly<'t>(file: &'t str, text: &'t str) -> (Reader<'t>, ScenarioSpec, Section) {
    let (mut reader, root) = Reader::read(file, text, &SCENARIO_FILE);
    let demands = root.sections("demand").map(|(name, s)| (name.clone(), demand(s)));
    let providers =
        root.sections("provider").map(|(name, s)| (name.clone(), provider(s, &mut reader)));
    let providers = providers.collect();
    let app = root.section("app").and_then(|section| app(section, &mut reader));
    let scenario = ScenarioSpec {
        title: root.need("title"),
        question: root.need("question"),
        seed: root.get("seed"),
        demonstrates_failure: root.word("demonstrates", &[("failure", true)]).unwrap_or(false),
        demands: demands.collect(),
        providers,
        app,
        replicas: root.section("replicas").and_then(replicas),
        cache: root.node("cache").and_then(cache),
        faults: root.sections("fault").map(|(name, s)| (name.clone(), fault(s))).collect(),
        reloads: root.list("reconfigure").iter().filter_map(reload).collect(),
        expectations: expectations(root.map("expect"), &mut reader),
    };
    (reader, scenario, root)
}

/// Named expectations, each text understood.
pub(crate) fn expectations(
    map: &[(Spanned<String>, Node)],
    reader: &mut Reader<'_>,
) -> Vec<(Spanned<String>, Vec<Spanned<String>>)> {
    let mut read = Vec::new();
    for (name, node) in map {
        let texts = match &node.value {
            Value::List(list) => texts(list),
            Value::Of(_) | Value::Table(_) | Value::Map(_) => Vec::new(),
        };
        if texts.is_empty() && !reader.complained(&node.at) {
            let message = format!("`{}` expects nothing", name.value);
            let hint = Some("write `\"success.rate >= 99.5 %\"`".to_owned());
            reader.report(Mistake { at: node.at.clone(), message, hint });
        }
        for text in &texts {
            if let Err(mistake) = Expectation::parse(&text.value) {
                reader.report(placed(text, mistake));
            }
        }
        read.push((name.clone(), texts));
    }
    read
}

fn reload(node: &Node) -> Option<ReloadSpec> {
    let Value::Table(section) = &node.value else { return None };
    Some(ReloadSpec { at: section.spanned("at")?, router: section.spanned("router")? })
}

fn demand(section: &Section) -> DemandSpec {
    let mixes = |name| section.map(name).iter().filter_map(mix).collect();
    DemandSpec {
        group: section.spanned("group"),
        normal: section.section("normal").map(normal).unwrap_or_default(),
        spike: section.section("spike").and_then(spike),
        output_max: section.spanned("output_max"),
        stream: section.node("stream").and_then(streams),
        tags: section.texts("tags"),
        region: section.spanned("region"),
        priority: section.spanned("priority"),
        conversations: section.get("conversations"),
        repeats: section.node("repeats").and_then(repeats),
        patience: section.spanned("patience"),
        subjects: mixes("subjects"),
        properties: mixes("properties"),
    }
}

fn app(section: &Section, reader: &mut Reader<'_>) -> Option<Application> {
    let probe = section.section("probe").map(|probe| {
        let (every, timeout) = (probe.need("every"), probe.need("timeout"));
        if timeout >= every
            && let Some(node) = probe.node("timeout")
        {
            let message = format!(
                "a probe that may wait {} still waits when the next comes, after {}",
                Quantity::Time(timeout),
                Quantity::Time(every)
            );
            let hint = Some("make `timeout` less than `every`".to_owned());
            reader.report(Mistake { at: node.at.clone(), message, hint });
        }
        Probe { every, timeout, failures: probe.need("failures") }
    });
    Some(Application {
        replicas: section.get::<u32>("replicas")? as u16,
        pool: section.get("pool")?,
        backlog: section.need("backlog"),
        probe,
        restart: section.need("restart"),
    })
}

/// Its place is that of the skew, if it says one.
fn replicas(section: &Section) -> Option<Spanned<Replicated>> {
    let replicas = Replicated {
        // A count that is wrong has its own mistake, and there are replicas all the same.
        count: section.get("count").unwrap_or(1_000),
        publish: section.need("publish"),
        delay: section.need("delay"),
        loss: section.need("loss"),
        evict: section.need("evict"),
        skew: section.need("skew"),
    };
    let at = section.node("skew").map_or(0..0, |node| node.at.clone());
    Some(Spanned::new(replicas, at))
}

/// Which subject of a kind, or which label, calls have.
fn mix((name, node): &(Spanned<String>, Node)) -> Option<(Spanned<String>, MixSpec)> {
    let mix = match &node.value {
        Value::Map(map) => {
            let share = |(name, node): &(Spanned<String>, Node)| match node.value {
                Value::Of(Quantity::Share(ppm)) => {
                    Some((name.clone(), Spanned::new(ppm, node.at.clone())))
                }
                Value::Of(_) | Value::Table(_) | Value::Map(_) | Value::List(_) => None,
            };
            MixSpec::Shares(map.iter().filter_map(share).collect())
        }
        Value::Of(Quantity::Crowd(crowd)) => MixSpec::Crowd(*crowd),
        Value::Of(_) | Value::Table(_) | Value::List(_) => {
            MixSpec::One(Spanned::new(node.value.of()?, node.at.clone()))
        }
    };
    Some((name.clone(), mix))
}

fn cache(node: &Node) -> Option<Spanned<ResponseCache>> {
    let Value::Table(section) = &node.value else { return None };
    let cache = ResponseCache {
        ttl: section.get("ttl")?,
        stale_for: section.need("stale_for"),
        size: section.need("size"),
        single_flight: section.need("single_flight"),
    };
    Some(Spanned::new(cache, node.at.clone()))
}

fn repeats(node: &Node) -> Option<Spanned<Repeats>> {
    let Value::Table(section) = &node.value else { return None };
    let repeats = Repeats {
        keys: section.get("keys")?,
        zipf: section.get("zipf").unwrap_or(1.0),
        share: section.need("share"),
    };
    Some(Spanned::new(repeats, node.at.clone()))
}

/// The share of calls that stream.
fn streams(node: &Node) -> Option<Ratio> {
    let flag = |all: bool| if all { Ratio::ONE } else { Ratio::ZERO };
    node.value.of().map(flag).or_else(|| node.value.of())
}

fn normal(section: &Section) -> NormalSpec {
    let words = [("poisson", Process::Poisson), ("constant", Process::Constant)];
    let process = section.word("process", &words);
    let process = process.zip(section.node("process"));
    NormalSpec {
        arrivals: section.spanned("arrivals"),
        rate: section.spanned("rate"),
        lasts: section.spanned("lasts"),
        process: process.map(|(process, node)| Spanned::new(process, node.at.clone())),
        tokens: section.node("tokens").and_then(tokens),
        client: section.node("client").and_then(client),
    }
}

fn spike(section: &Section) -> Option<SpikeSpec> {
    Some(SpikeSpec {
        at: section.spanned("at")?,
        peak: section.spanned("peak")?,
        rise: section.spanned("rise")?,
        hold: section.spanned("hold")?,
        half_life: section.spanned("half_life")?,
    })
}

fn tokens(node: &Node) -> Option<TokensSpec> {
    match &node.value {
        Value::Of(Quantity::Text(name)) => {
            Some(TokensSpec::Table(Spanned::new(name.clone(), node.at.clone())))
        }
        Value::Table(section) => Some(TokensSpec::Lengths {
            input: length(section.node("input")?)?,
            output: length(section.node("output")?)?,
        }),
        Value::Of(_) | Value::Map(_) | Value::List(_) => None,
    }
}

fn length(node: &Node) -> Option<Spanned<LengthSpec>> {
    let length = match &node.value {
        Value::Of(_) => LengthSpec::Fixed(node.value.of()?),
        Value::List(list) => {
            let point = |one: &Node| Some(Spanned::new(one.value.of()?, one.at.clone()));
            LengthSpec::Quantiles(list.iter().filter_map(point).collect())
        }
        Value::Table(section) => LengthSpec::LogNormal {
            median: section.spanned("median")?,
            sigma: section.get("sigma")?,
            max: section.get("max")?,
        },
        Value::Map(_) => return None,
    };
    Some(Spanned::new(length, node.at.clone()))
}

fn client(node: &Node) -> Option<ClientSpec> {
    match &node.value {
        Value::Of(Quantity::Text(name)) => {
            Some(ClientSpec::Named(Spanned::new(name.clone(), node.at.clone())))
        }
        Value::Table(section) => Some(ClientSpec::Custom {
            tries: section.spanned("tries"),
            backoff: section.get("backoff"),
            backoff_max: section.get("backoff_max"),
            jitter_from: section.spanned("jitter_from"),
            retry_after_max: section.get("retry_after_max"),
            timeout: section.spanned("timeout"),
        }),
        Value::Of(_) | Value::Map(_) | Value::List(_) => None,
    }
}

fn provider(section: &Section, reader: &mut Reader<'_>) -> ProviderSpec {
    let most = |name: &str| {
        section.node(name).map(|node| match node.value.of() {
            Some(count) => Most::Of(count),
            None => only(node, "unlimited", Most::Unlimited),
        })
    };
    let words = [("runs-on", Abandoned::RunsOn), ("stops", Abandoned::Stops)];
    let abandoned = section.word("abandoned", &words);
    ProviderSpec {
        connect: section.get("connect"),
        service: section.section("service").and_then(|s| service(s, reader)),
        concurrency: most("concurrency"),
        when_full: section.node("when_full").and_then(when_full),
        abandoned,
        quota: section.node("quota").map(quota),
        context: most("context"),
        prompt_cache: section.node("prompt_cache").and_then(prompt_cache),
        errors: section.spanned("errors"),
    }
}

/// Exactly one of the three ways to say how long an answer takes.
fn service(section: &Section, reader: &mut Reader<'_>) -> Option<ServiceSpec> {
    let (ttft, per_token) = (section.section("ttft"), section.section("per_token"));
    let exponential = section.get("exponential").map(ServiceSpec::Exponential);
    let constant = section.get("constant").map(ServiceSpec::Constant);
    let tokens = (ttft.is_some() || per_token.is_some()).then(|| ServiceSpec::Tokens {
        ttft: ttft.map(first_token).unwrap_or_default(),
        per_token: per_token.map(per_token_spec).unwrap_or_default(),
    });
    let mut ways = [exponential, constant, tokens].into_iter().flatten();
    let way = ways.next();
    if ways.next().is_some() || way.is_none() && !section.flawed {
        let message = "a service is `exponential`, or `constant`, or `ttft` and `per_token`";
        let hint = Some("write one of them: `{ exponential = \"100 ms\" }`".to_owned());
        reader.report(Mistake { at: section.at.clone(), message: message.to_owned(), hint });
    }
    way
}

fn first_token(section: &Section) -> FirstTokenSpec {
    FirstTokenSpec {
        median: section.get("median"),
        sigma: section.get("sigma"),
        tail: section.get("tail"),
        tail_factor: section.get("tail_factor"),
        tail_shape: section.get("tail_shape"),
        max: section.get("max"),
        per_input_token: section.get("per_input_token"),
    }
}

fn per_token_spec(section: &Section) -> PerTokenSpec {
    PerTokenSpec {
        median: section.get("median"),
        sigma: section.get("sigma"),
        growth: section.get("growth"),
    }
}

fn when_full(node: &Node) -> Option<WhenFull> {
    match &node.value {
        Value::Of(_) => Some(only(node, "refuse", WhenFull::Refuse)),
        Value::Table(section) => {
            let order = section.word("order", &[("fifo", Order::Fifo), ("lifo", Order::Lifo)])?;
            Some(WhenFull::Queue { bound: section.get("queue")?, order })
        }
        Value::Map(_) | Value::List(_) => None,
    }
}

fn prompt_cache(node: &Node) -> Option<Option<PromptCache>> {
    match &node.value {
        Value::Of(_) => Some(only(node, "off", None)),
        Value::Table(section) => {
            let (lasts, least) = (section.get("lasts")?, section.get("least")?);
            Some(Some(PromptCache { lasts, least }))
        }
        Value::Map(_) | Value::List(_) => None,
    }
}

/// What stands for the one word that `node` may hold beside a table or a number.
fn only<T>(node: &Node, word: &str, meaning: T) -> T {
    assert_eq!(node.value.of::<String>().as_deref(), Some(word), "the only word there is");
    meaning
}

fn quota(node: &Node) -> QuotaSpec {
    let Value::Table(section) = &node.value else {
        return only(node, "unlimited", QuotaSpec { unlimited: true, ..QuotaSpec::default() });
    };
    let algorithms = [("bucket", Algorithm::Bucket), ("window", Algorithm::Window)];
    let reserves = [
        ("keeps", ReservesSpec::Keeps),
        ("settles", ReservesSpec::Settles),
        ("nothing", ReservesSpec::Nothing),
    ];
    let forms = [
        ("seconds", RetryAfter::Seconds),
        ("millis", RetryAfter::Millis),
        ("absent", RetryAfter::Absent),
    ];
    QuotaSpec {
        unlimited: false,
        requests: section.get("requests"),
        tokens: section.get("tokens"),
        input_tokens: section.get("input_tokens"),
        output_tokens: section.get("output_tokens"),
        algorithm: section.word("algorithm", &algorithms),
        reserves: section.word("reserves", &reserves),
        retry_after: section.word("retry_after", &forms),
        shared: section.get("shared"),
    }
}

fn fault(section: &Section) -> FaultSpec {
    let after = |name| part(section, name, |breaks| breaks.get("after"));
    let revoked = section.node("revoked_key").map(|node| match node.value.of() {
        Some(key) => Revoked::Key(key),
        None => only(node, "all", Revoked::All),
    });
    FaultSpec {
        on: section.texts("on"),
        at: section.spanned("at"),
        lasts: section.spanned("lasts"),
        flap: part(section, "flap", |flap| {
            Some(FlapSpec { period: flap.get("period")?, duty: flap.get("duty")? })
        }),
        at_random: part(section, "at_random", |random| {
            Some(RandomSpec { up: random.get("up")?, down: random.get("down")? })
        }),
        of: section.spanned("of"),
        outage: section.spanned("outage"),
        errors: section.spanned("errors"),
        ttft: section.spanned("ttft"),
        per_token: section.spanned("per_token"),
        delay: section.spanned("delay"),
        stall: after("stall"),
        cut: after("cut"),
        truncated: after("truncated"),
        in_stream_error: part(section, "in_stream_error", |error| {
            Some(StreamErrorSpec { after: error.get("after")?, status: error.get("status")? })
        }),
        rate_limits: part(section, "rate_limits", |storm| {
            Some(StormSpec { retry_after: storm.get("retry_after") })
        }),
        quota_spent: section.word("quota_spent", &[("402", 402), ("429", 429)]),
        revoked_key: revoked,
        garbage: section.spanned("garbage"),
        cache_flush: section.spanned("cache_flush"),
        restart: section
            .word("restart", &[("restored", Restart::Restored), ("empty", Restart::Empty)])
            .zip(section.node("restart"))
            .map(|(restart, node)| Spanned::new(restart, node.at.clone())),
        replica: section.spanned("replica"),
        store: section.word("store", &[("down", StoreFault::Down), ("evict", StoreFault::Evict)]),
        answers: section
            .node("answers")
            .map(|node| Spanned::new(section.texts("answers"), node.at.clone())),
    }
}

/// What is read of the table at `name`, with its place.
fn part<T>(
    section: &Section,
    name: &str,
    read: impl FnOnce(&Section) -> Option<T>,
) -> Option<Spanned<T>> {
    let inner = section.section(name)?;
    Some(Spanned::new(read(inner)?, section.node(name)?.at.clone()))
}
