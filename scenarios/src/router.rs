//! Router files: what the gateway and the simulator both load.

mod group;
mod subject;
mod warn;

use std::sync::Arc;

use router_core::{
    AdaptiveSpec, Config, ConfigError, DeploymentSpec, LimitSpec, OnOutage, PeersSpec, Price,
    Problem, RouterSpec, Span, Spec,
};

use crate::diagnostic::{Diagnostic, did_you_mean};
use crate::field::ROUTER_FILE;
use crate::price;
use crate::quantity::{Budget, Quantity};
use crate::read::{Reader, Section, Value};
use crate::written::{Endpoint, Mistake};

/// A router file, read and checked.
#[derive(Clone, Debug)]
pub struct RouterFile {
    /// The configuration as written, defaults filled in.
    pub spec: Spec,
    /// The same, checked.
    pub config: Arc<Config>,
    /// What the outside world must know of each deployment, in their order.
    pub endpoints: Vec<Endpoint>,
    /// What is allowed, but worth a look.
    pub warnings: Vec<Diagnostic>,
}

/// Reads the router file `text`, which is called `file` in messages.
///
/// # Errors
/// Everything that is wrong with it, in the order of the file.
pub fn read(file: &str, text: &str) -> Result<RouterFile, Vec<Diagnostic>> {
    read_section(file, text).map(|(router, _)| router)
}

/// Reads the router file `text` as what takes effect while `running` runs: numbers are by name, and
/// what is there no more is removed ([`Config::revise`]). Endpoints are in that order.
///
/// # Errors
/// As [`read`], and if there is not enough room beside the removed ones.
pub fn revise(running: &RouterFile, file: &str, text: &str) -> Result<RouterFile, Vec<Diagnostic>> {
    let (mut reader, mut root) = Reader::read(file, text, &ROUTER_FILE);
    settle(&mut root);
    let (spec, own) = interpret(&root, &mut reader);
    let both = Config::new(&spec).and_then(|own| Ok((own, running.config.revise(&spec)?)));
    let (alone, config) = match both {
        Ok(both) => both,
        Err(errors) => return Err(refused(reader, &spec, &errors)),
    };
    let warnings = warn::all(&reader, &spec, &alone, &own);
    let endpoints = config.deployments().iter().enumerate().map(|(index, known)| {
        let place = spec.deployments.iter().position(|d| d.name == known.name);
        place.map_or_else(|| running.endpoints[index].clone(), |place| own[place].clone())
    });
    let endpoints = endpoints.collect();
    reader.finish(RouterFile { spec, config: Arc::new(config), endpoints, warnings })
}

/// What the core says of a file that it refuses, each where it stands.
fn refused(mut reader: Reader<'_>, spec: &Spec, errors: &[ConfigError]) -> Vec<Diagnostic> {
    let errors: Vec<&ConfigError> = errors.iter().filter(|error| is_news(&reader, error)).collect();
    errors.into_iter().for_each(|error| complain(&mut reader, spec, error));
    reader.finish(()).expect_err("a refused configuration is complained about")
}

/// A router, and its file's values for `print`.
pub(crate) fn read_section(
    file: &str,
    text: &str,
) -> Result<(RouterFile, Section), Vec<Diagnostic>> {
    let (mut reader, mut root) = Reader::read(file, text, &ROUTER_FILE);
    settle(&mut root);
    let (spec, endpoints) = interpret(&root, &mut reader);
    let config = match Config::new(&spec) {
        Ok(config) => config,
        Err(errors) => return Err(refused(reader, &spec, &errors)),
    };
    let warnings = warn::all(&reader, &spec, &config, &endpoints);
    reader.finish((RouterFile { spec, config: Arc::new(config), endpoints, warnings }, root))
}

/// Defaults that depend on what is written: prices, and times that must not contradict it.
fn settle(root: &mut Section) {
    for deployment in root.sections_mut("deployment") {
        let word = |name| deployment.get::<String>(name).unwrap_or_default();
        let known = price::lookup(&word("provider"), &word("model"));
        if let Some(adaptive) = deployment.section_mut("adaptive") {
            let [least, most] = ["min", "max"].map(|name| adaptive.get(name).unwrap_or(1_u64));
            let start = u64::from(AdaptiveSpec::START).min(most).max(least);
            adaptive.settle("start", Quantity::Count(start));
        }
        if let Some(price) = known.filter(|_| !deployment.is_written("price")) {
            let [input, cached, output] = [price.input, price.cached, price.output];
            let values = [("input", input), ("cached", cached), ("output", output)];
            let values = values.map(|(name, pico)| (name, Quantity::Price(pico)));
            deployment.fill_table("price", &values);
        }
    }
    root.sections_mut("group").for_each(group::settle);
}

fn interpret(root: &Section, reader: &mut Reader<'_>) -> (Spec, Vec<Endpoint>) {
    let mut spec = Spec::default();
    if let Some(section) = root.section("router") {
        spec.router = router(section);
    }
    spec.limits = root.sections("limit").map(|(n, s)| (n.value.clone(), limit(s))).collect();
    let mut endpoints = Vec::new();
    for (name, section) in root.sections("deployment") {
        let endpoint = endpoint(section);
        spec.deployments.push(deployment(&name.value, section, &endpoint, reader));
        endpoints.push(endpoint);
    }
    for (name, section) in root.sections("group") {
        spec.groups.push(group::group(&name.value, section, reader));
    }
    for (name, section) in root.sections("subject") {
        spec.subjects.extend(subject::subject(&name.value, section));
    }
    (spec, endpoints)
}

fn router(section: &Section) -> RouterSpec {
    let budget: Option<Budget> = section.need("retry_budget");
    RouterSpec {
        deadline: section.need("deadline"),
        attempts: section.need("attempts"),
        retry_budget: Budget::spec(budget, section.need("retry_budget_window")),
        retry_after_max: section.need("retry_after_max"),
        in_flight: section.need("in_flight"),
        output_reserve: section.need("output_reserve"),
        accounts: section.need("accounts"),
        periods_began: section.need("periods_began"),
        default_group: section.get("default_group"),
        fallbacks: group::fallbacks(section),
        peers: section.section("peers").map(|peers| PeersSpec {
            replicas: peers.get("replicas").unwrap_or(1),
            stale: peers.need("stale"),
            on_outage: peers
                .word("on_outage", &OnOutage::ALL.map(|it| (it.name(), it)))
                .unwrap_or(OnOutage::Open),
        }),
        priorities: group::texts(section, "priorities"),
    }
}

fn limit(section: &Section) -> LimitSpec {
    LimitSpec {
        requests: section.get("requests"),
        tokens: section.get("tokens"),
        input_tokens: section.get("input_tokens"),
        output_tokens: section.get("output_tokens"),
        parallel: section.get("parallel"),
    }
}

fn endpoint(section: &Section) -> Endpoint {
    Endpoint {
        provider: section.get("provider").unwrap_or_default(),
        model: section.get("model").unwrap_or_default(),
        region: section.get("region"),
        endpoint: section.get("endpoint"),
        keys: section.texts("keys").into_iter().map(|key| key.value).collect(),
    }
}

fn deployment(
    name: &str,
    section: &Section,
    endpoint: &Endpoint,
    reader: &mut Reader<'_>,
) -> DeploymentSpec {
    let mut spec = DeploymentSpec::new(name.to_owned());
    // Without a key (a model of one's own) there is still one thing that can rest.
    spec.keys = u8::try_from(endpoint.keys.len().max(1)).unwrap_or(u8::MAX);
    for node in section.list("limit") {
        match &node.value {
            Value::Table(_) if spec.limit.is_some() => reader.report(Mistake {
                at: node.at.clone(),
                message: format!("`deployment.{name}.limit` has two limits of its own"),
                hint: Some("put them in one table; names of shared limits go beside it".into()),
            }),
            Value::Table(own) => spec.limit = Some(limit(own)),
            Value::Of(Quantity::Text(shared)) => spec.shared.push(shared.clone()),
            Value::Of(_) | Value::Map(_) | Value::List(_) => {}
        }
    }
    spec.price = section.section("price").map_or(Price::FREE, |price| {
        let input = price.get("input").unwrap_or_default();
        Price {
            input,
            cached: price.get("cached").unwrap_or(input),
            output: price.get("output").unwrap_or_default(),
        }
    });
    spec.adaptive = section.section("adaptive").map(|adaptive| {
        let [min, max] = ["min", "max"].map(|name| adaptive.get(name).unwrap_or(1));
        AdaptiveSpec { min, max, start: adaptive.get("start").unwrap_or(min) }
    });
    spec.context = section.get("context");
    spec.tags = group::texts(section, "tags");
    spec.region.clone_from(&endpoint.region);
    spec.breaker = section.word("breaker", &group::BREAKER_MODES);
    spec
}

/// Whether a mistake that the core found is more than the echo of one already reported.
fn is_news(reader: &Reader<'_>, error: &ConfigError) -> bool {
    let (key, value) = reader.place(&error.path);
    !reader.is_broken() && !reader.complained(&key) && !reader.complained(&value)
}

/// Puts a mistake that the core found where it stands in the file.
fn complain(reader: &mut Reader<'_>, spec: &Spec, error: &ConfigError) {
    let ConfigError { path, problem } = error;
    let (key, value) = reader.place(path);
    let first = first_too_many(spec, error);
    let named = if let Problem::Unknown { name, .. }
    | Problem::NameOf { name, .. }
    | Problem::Taken { name, .. }
    | Problem::Repeated { name }
    | Problem::OwnRung { name }
    | Problem::Unreached { name, .. }
    | Problem::AboveFull { name } = problem
    {
        Some(name)
    } else {
        None
    };
    let of_key = matches!(
        problem,
        Problem::Empty(_)
            | Problem::NoWeight
            | Problem::TooMany { .. }
            | Problem::Crowded { .. }
            | Problem::Name
    );
    let at = if let Some(name) = named {
        // A rung names a group behind a word.
        let rung = || reader.place_of_text(path, &format!("group:{name}"));
        reader.place_of_text(path, name).or_else(rung).unwrap_or(key)
    } else if let Some(first) = first {
        reader.place(&first).0
    } else if of_key {
        key
    } else {
        value
    };
    let hint = if let Problem::Unknown { name, known, .. } = problem {
        let subject = || format!("`[subject.\"{name}=*\"]` makes it one");
        let unasked = known.is_empty() && path.ends_with(".fair");
        let near = || did_you_mean(name, known.iter().map(String::as_str));
        Some(if unasked { subject() } else { near() })
    } else if matches!(problem, Problem::Empty(_)) {
        Some("`seawall init` writes a router to start from".to_owned())
    } else if let Problem::Uneven { value, grain } = problem {
        let steps = value.as_nanos() / grain.as_nanos();
        let [below, above] = [steps, steps + 1].map(|steps| Quantity::Time(*grain * steps));
        Some(format!("write `{below}` or `{above}`"))
    } else if let Problem::HedgeTooLate { end, .. } = problem {
        Some(format!("write less than `{}`, or a quantile like `p95`", Quantity::Time(*end)))
    } else if matches!(problem, Problem::BudgetBelow { .. }) {
        Some("a request without `max_tokens` reserves `router.output_reserve`".to_owned())
    } else if let Problem::Indivisible { replicas, .. } = problem {
        Some(format!("at least {replicas}, or fewer replicas in `router.peers`"))
    } else if matches!(problem, Problem::NoPeers) {
        Some("leave `router.peers` out, or count the other replicas, too".to_owned())
    } else if matches!(problem, Problem::NeverTrips) {
        Some("write `breaker = \"disabled\"`, or let it count something".to_owned())
    } else {
        None
    };
    let is_sentence = named.is_some()
        || matches!(problem, Problem::Name | Problem::NoWeight | Problem::Order(..));
    let message = if matches!(problem, Problem::SpanRange { value: Span::MAX, .. }) {
        format!("`{path}` takes more than a year to refill")
    } else if is_sentence {
        problem.to_string()
    } else {
        format!("`{path}` {problem}")
    };
    reader.report(Mistake { at, message, hint });
}

/// The first of a group's members, of the groups or of the deployments that is one too many.
fn first_too_many(spec: &Spec, error: &ConfigError) -> Option<String> {
    let Problem::TooMany { most, .. } = error.problem else { return None };
    let name = match error.path.as_str() {
        "deployment" => &spec.deployments.get(most)?.name,
        "group" => &spec.groups.get(most)?.name,
        path => {
            let group = path.strip_prefix("group.")?.strip_suffix(".members")?;
            let group = spec.groups.iter().find(|known| known.name == group)?;
            &group.members.get(most)?.deployment
        }
    };
    Some(format!("{}.{name}", error.path))
}
