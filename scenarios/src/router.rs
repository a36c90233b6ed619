//! Router files: what the gateway and the simulator both load.

use std::sync::Arc;

use router_core::{
    BackoffSpec, Config, ConfigError, CooldownSpec, DeploymentSpec, GroupSpec, LimitSpec,
    MemberSpec, Price, Problem, Ratio, RouterSpec, Span, Spec, Strategy, TimeoutsSpec,
};

use crate::diagnostic::{Diagnostic, did_you_mean, nearest, sorted};
use crate::field::ROUTER_FILE;
use crate::price;
use crate::quantity::{Budget, Quantity, Trip};
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
        Err(errors) => {
            let errors: Vec<&ConfigError> =
                errors.iter().filter(|error| is_news(&reader, error)).collect();
            errors.into_iter().for_each(|error| complain(&mut reader, &spec, error));
            reader.finish(())?;
            unreachable!("a refused configuration is complained about");
        }
    };
    let warnings = warnings(&reader, &spec, &endpoints);
    reader.finish((RouterFile { spec, config: Arc::new(config), endpoints, warnings }, root))
}

/// Defaults that depend on what is written: prices, and times that must not contradict it.
fn settle(root: &mut Section) {
    for deployment in root.sections_mut("deployment") {
        let word = |name| deployment.get::<String>(name).unwrap_or_default();
        let known = price::lookup(&word("provider"), &word("model"));
        if let Some(price) = known.filter(|_| !deployment.is_written("price")) {
            let [input, cached, output] = [price.input, price.cached, price.output];
            let values = [("input", input), ("cached", cached), ("output", output)];
            let values = values.map(|(name, pico)| (name, Quantity::Price(pico)));
            deployment.fill_table("price", &values);
        }
    }
    for group in root.sections_mut("group") {
        if let Some(times) = group.section_mut("timeouts") {
            let total: Span = times.need("total");
            for name in ["connect", "first_token", "idle"] {
                let time: Span = times.need(name);
                times.fill(name, Quantity::Time(time.min(total)));
            }
        }
        if let Some(rests) = group.section_mut("cooldown") {
            let rest: Span = rests.need("rest");
            let max: Span = rests.need("max");
            rests.fill("max", Quantity::Time(max.max(rest)));
        }
        if let Some(waits) = group.section_mut("backoff") {
            let base: Span = waits.need("base");
            let max: Span = waits.need("max");
            waits.fill("max", Quantity::Time(max.max(base)));
        }
    }
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
    spec.groups = root.sections("group").map(|(n, s)| group(&n.value, s)).collect();
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
        ..RouterSpec::default()
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
    spec
}

fn group(name: &str, section: &Section) -> GroupSpec {
    let mut spec = GroupSpec::new(name.to_owned());
    spec.members = section
        .sections("members")
        .map(|(name, member)| MemberSpec {
            deployment: name.value.clone(),
            weight: member.need("weight"),
            tier: member.need("tier"),
        })
        .collect();
    let words = [("weighted", Strategy::default()), ("least-in-flight", Strategy::LeastInFlight)];
    spec.strategy = section.word("strategy", &words).unwrap_or(spec.strategy);
    if let Some(times) = section.section("timeouts") {
        spec.timeouts = TimeoutsSpec {
            connect: times.need("connect"),
            first_token: times.need("first_token"),
            idle: times.need("idle"),
            total: times.need("total"),
            partial: times
                .word("on_total", &[("error", false), ("partial", true)])
                .unwrap_or(false),
        };
    }
    if let Some(backoff) = section.section("backoff") {
        spec.backoff = BackoffSpec {
            base: backoff.need("base"),
            factor: backoff.need("factor"),
            max: backoff.need("max"),
            ..spec.backoff
        };
    }
    if let Some(rests) = section.section("cooldown") {
        spec.cooldown = cooldown(rests);
    }
    spec.ejected_max = section.need("ejected_max");
    if let Some(fallbacks) = section.section("fallbacks") {
        spec.fallbacks.any = fallbacks.texts("any").into_iter().map(|name| name.value).collect();
    }
    spec
}

fn cooldown(section: &Section) -> CooldownSpec {
    let after: Option<Trip> = section.need("after");
    let default = CooldownSpec::default();
    CooldownSpec {
        enabled: after.is_some(),
        failures: after.map_or(default.failures, |trip| Ratio::from_ppm(trip.failures)),
        calls_min: after.map_or(default.calls_min, |trip| trip.calls_min),
        window: after.map_or(default.window, |trip| trip.window),
        rest: section.need("rest"),
        grow: section.need("grow"),
        max: section.need("max"),
        jitter: section.need("jitter"),
        lone: section.need("lone"),
        ..default
    }
}

/// Whether a mistake that the core found is more than the echo of one already reported.
fn is_news(reader: &Reader<'_>, error: &ConfigError) -> bool {
    let (key, value) = reader.place(&error.path);
    !reader.is_broken() && !reader.complained(&key) && !reader.complained(&value)
}

/// Puts a mistake that the core found where it stands in the file.
fn complain(reader: &mut Reader<'_>, spec: &Spec, error: &ConfigError) {
    let path = &error.path;
    let (key, value) = reader.place(path);
    let problem = &error.problem;
    let at = if let Problem::Unknown { name, .. } = problem {
        reader.place_of_text(path, name).unwrap_or(key)
    } else if let Some(first) = first_too_many(spec, error) {
        reader.place(&first).0
    } else if matches!(
        problem,
        Problem::Empty(_) | Problem::NoWeight | Problem::TooMany { .. } | Problem::Name
    ) {
        key
    } else {
        value
    };
    let is_sentence = matches!(
        problem,
        Problem::Unknown { .. } | Problem::Name | Problem::NoWeight | Problem::Order(..)
    );
    let (message, hint) = if let Problem::Unknown { name, known, .. } = problem {
        let known = known.iter().map(String::as_str);
        (problem.to_string(), Some(did_you_mean(name, known)))
    } else if let Problem::SpanRange { value, least, most } = problem {
        let [shown, least, most] = [value, least, most].map(|span| Quantity::Time(*span));
        let message = if *value == Span::MAX {
            format!("`{path}` takes more than a year to refill")
        } else {
            format!("`{path}` is {shown}, but must be between {least} and {most}")
        };
        (message, None)
    } else if is_sentence {
        (problem.to_string(), None)
    } else {
        let empty = matches!(problem, Problem::Empty(_));
        let hint = empty.then(|| "`seawall init` writes a router to start from".to_owned());
        (format!("`{path}` {problem}"), hint)
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

/// Prices that are not known, and fallbacks that come back to where they started: harmless, as
/// each group is visited once.
fn warnings(reader: &Reader<'_>, spec: &Spec, endpoints: &[Endpoint]) -> Vec<Diagnostic> {
    let priceless = spec.deployments.iter().zip(endpoints).filter(|(deployment, _)| {
        let path = format!("deployment.{}.price", deployment.name);
        deployment.price == Price::FREE && reader.is_absent(&path)
    });
    let unpriced = priceless.map(|(deployment, endpoint)| {
        let Endpoint { provider, model, .. } = endpoint;
        let mut models = price::models(provider).peekable();
        let (key, meant) = if models.peek().is_some() {
            ("model", nearest(model, models))
        } else {
            ("provider", nearest(provider, price::providers()))
        };
        let (_, at) = reader.place(&format!("deployment.{}.{key}", deployment.name));
        let meant = meant.map(|known| format!("; did you mean the {key} `{known}`?"));
        let (name, meant) = (&deployment.name, meant.unwrap_or_default());
        let message = format!("the price of `{name}` is not known, so it counts as free{meant}");
        let warning = reader.source().diagnostic(at, message).warning();
        if key == "provider" && meant.is_empty() {
            let mut known: Vec<&str> = price::providers().collect();
            known.dedup();
            return warning.hint(format!("{PRICE}; providers known: `{}`", known.join("`, `")));
        }
        warning.hint(PRICE)
    });
    let mut walk = Walk { reader, spec, left: Vec::new(), stack: Vec::new(), found: Vec::new() };
    spec.groups.iter().for_each(|group| walk.enter(group));
    sorted(walk.found.into_iter().chain(unpriced).collect())
}

const PRICE: &str = "write `price = { input = \"0.15 USD/Mtok\", output = \"0.6 USD/Mtok\" }`";

/// A depth-first walk over fallbacks.
struct Walk<'w, 't> {
    reader: &'w Reader<'t>,
    spec: &'w Spec,
    /// Groups whose fallbacks have all been followed.
    left: Vec<&'w str>,
    /// The way here.
    stack: Vec<&'w str>,
    found: Vec<Diagnostic>,
}

impl<'w> Walk<'w, '_> {
    fn enter(&mut self, group: &'w GroupSpec) {
        if self.left.contains(&group.name.as_str()) {
            return;
        }
        self.stack.push(&group.name);
        for name in &group.fallbacks.any {
            if self.stack.contains(&name.as_str()) {
                let path = format!("group.{}.fallbacks", group.name);
                let place = self.reader.place_of_text(&path, name);
                let at = place.unwrap_or_else(|| self.reader.place(&path).1);
                let message =
                    format!("`{}` falls back to `{name}`, where it came from", group.name);
                let warning = self.reader.source().diagnostic(at, message).warning();
                self.found
                    .push(warning.hint("a request visits each group once, so this does nothing"));
            } else if let Some(next) = self.spec.groups.iter().find(|group| group.name == *name) {
                self.enter(next);
            }
        }
        self.stack.pop();
        self.left.push(&group.name);
    }
}
