//! What a router file says that is allowed, but worth a look.

use std::ops::Range;

use router_core::{
    BackoffSpec, BreakerMode, Concern, Config, CooldownSpec, GroupId, GroupSpec, Jitter, Price,
    RestAfter, Spec, Warning,
};

use super::Endpoint;
use crate::diagnostic::{Diagnostic, nearest, sorted};
use crate::price;
use crate::quantity::Quantity;
use crate::read::Reader;

/// Prices that are not known, and fallbacks that come back to where they started: harmless, as
/// each group is visited once.
pub(super) fn all(
    reader: &Reader<'_>,
    spec: &Spec,
    config: &Config,
    endpoints: &[Endpoint],
) -> Vec<Diagnostic> {
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
    let concerns = config.warnings().into_iter().map(|warning| {
        let at = place(reader, config, &warning);
        let said = reader.source().diagnostic(at, warning.concern.to_string()).warning();
        said.hint(hint(&warning.concern))
    });
    let idle = idle_words(reader, spec);
    let unused = unused(reader, spec);
    let loops = loops(reader, spec, config);
    sorted(concerns.chain(idle).chain(unused).chain(loops).chain(unpriced).collect())
}

/// Where a concern of the core stands. One of fallbacks stands at the entry that it is about, be
/// that the group's own or, if it has none of that kind, the router's.
fn place(reader: &Reader<'_>, config: &Config, warning: &Warning) -> Range<usize> {
    let (key, value) = reader.place(&warning.path);
    let of = |group: &str, kind: &str| {
        let lists = [format!("group.{group}.fallbacks"), "router.fallbacks".to_owned()];
        let mut lists = lists.into_iter().map(|list| format!("{list}.{kind}"));
        lists.find(|list| !reader.texts_at(list).is_empty())
    };
    if let Concern::ContextNoLarger { group, fallback, .. } = &warning.concern {
        let list = of(group, "context_window");
        let mut texts = list.iter().flat_map(|list| reader.texts_at(list));
        let meant = config.group_named(fallback);
        let entry = texts.find(|(text, _)| config.route(text) == meant);
        return entry.map_or(value, |(_, at)| at);
    }
    if let Concern::ContextShrinks { group, .. } = &warning.concern {
        return of(group, "any").map_or(value, |list| reader.place(&list).1);
    }
    if matches!(warning.concern, Concern::UsageUnlimited { .. }) { key } else { value }
}

/// What to do about a concern of the core.
fn hint(concern: &Concern) -> String {
    match concern {
        Concern::HedgeAlone { .. } => "give the group another member, or leave `hedge` out".into(),
        Concern::HedgeBlind { .. } => {
            "give its members `limit = { parallel = ... }`, and `utilisation_max` holds hedges back \
             when they do harm"
                .into()
        }
        Concern::HedgeUnpaid { .. } => "`retry_budget = \"20 % + 1/s\"` is the default".into(),
        Concern::HedgeLast { .. } => "a hedge is an attempt: allow 2 or more".into(),
        Concern::ContextNoLarger { .. } => {
            "name a group that takes more tokens, or leave it out".into()
        }
        Concern::ContextShrinks { group, .. } => {
            format!("add a fallback that takes as much as `{group}`")
        }
        Concern::RestTooLong { after, rest, longest, refill, .. } => {
            let after = match after {
                RestAfter::Count(after) => after.to_string(),
                RestAfter::Common | RestAfter::Never => "\"common\"".to_owned(),
            };
            let wanted = Quantity::Time(*refill);
            let shorter = if longest == rest {
                format!("`rate_limit = {{ after = {after}, rest = \"{wanted}\" }}`")
            } else if rest <= refill {
                format!("`max = \"{wanted}\"`")
            } else {
                format!("a `rest` and a `max` of {wanted} or less")
            };
            format!("write {shorter} in `cooldown`; a `Retry-After` is honoured in any case")
        }
        Concern::FewCalls { most, .. } => {
            format!("judge {} calls or fewer, or a longer window", (*most).max(1))
        }
        Concern::PanicMoot { .. } => "raise `ejected_max`, or leave `panic` out".into(),
        Concern::PanicAtOnce { members: 1, .. } => "leave `panic` out, or add members".into(),
        Concern::PanicAtOnce { .. } => "lower `panic`, or leave it out".into(),
        Concern::TimeoutMoot { deadline, .. } => format!(
            "write `{}` or less, or a longer `router.deadline`",
            Quantity::Time(*deadline)
        ),
        Concern::RetryMoot { retries, .. } => {
            format!("`router.attempts = {}` would allow it", retries.saturating_add(1))
        }
        Concern::AllForced { .. } => {
            "its requests go to standby members and fallbacks, or are rejected".into()
        }
        Concern::DefaultMoot { group } => {
            format!("leave one out: the default group or the alias `*` of `{group}`")
        }
        Concern::Unpriced { .. } => format!("{PRICE} of the deployment"),
        Concern::AdaptiveMoot { parallel, .. } => {
            format!("write `max = {parallel}`, or leave `parallel` out")
        }
        Concern::QueuePastDeadline { deadline, .. } => {
            format!("write `{}` or less", Quantity::Time(*deadline))
        }
        Concern::QueueWithoutTimeout { .. } => "write `timeout = \"5 s\"`, the default".into(),
        Concern::WeightMoot { kind, .. } => {
            format!("write `queue = {{ size = ..., fair = \"{kind}\" }}` in a group")
        }
        Concern::PrioritiesMoot => "write `queue = 100` in a group, or leave it out".into(),
        Concern::UsageUnlimited { .. } => "give it a limit".into(),
    }
}

/// Words on breakers of deployments that no group with a breaker has.
fn idle_words(reader: &Reader<'_>, spec: &Spec) -> Vec<Diagnostic> {
    let broken = |name: &str| {
        let mut groups = spec.groups.iter().filter(|group| group.breaker.is_some());
        groups.any(|group| group.members.iter().any(|member| member.deployment == name))
    };
    let idle = spec.deployments.iter().filter(|deployment| match deployment.breaker {
        Some(BreakerMode::ForcedOpen) | None => false,
        Some(BreakerMode::Enforce | BreakerMode::Observe | BreakerMode::Disabled) => {
            !broken(&deployment.name)
        }
    });
    let said = idle.map(|deployment| {
        let (_, at) = reader.place(&format!("deployment.{}.breaker", deployment.name));
        let message =
            format!("no group of `{}` has a breaker, so this does nothing", deployment.name);
        let warning = reader.source().diagnostic(at, message).warning();
        warning.hint("write `breaker = \"on\"` in the group")
    });
    said.collect()
}

/// Keys that another key of their table leaves nothing to do, where they are not at their default.
fn unused(reader: &Reader<'_>, spec: &Spec) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for group in &spec.groups {
        let (own, usual) = (&group.backoff, BackoffSpec::default());
        let waits =
            [("backoff.factor", own.factor != usual.factor), ("backoff.max", own.max != usual.max)];
        let (own, usual) = (&group.cooldown, CooldownSpec::default());
        let (classes, usuals) = (&own.classes, &usual.classes);
        let rests = [
            ("cooldown.rest", own.rest != usual.rest),
            ("cooldown.grow", own.grow != usual.grow),
            ("cooldown.max", own.max != usual.max),
            ("cooldown.jitter", own.jitter != usual.jitter),
            ("cooldown.lone", own.lone != usual.lone),
            ("cooldown.rate_limit", classes.rate_limit != usuals.rate_limit),
            ("cooldown.server", classes.server != usuals.server),
            ("cooldown.connection", classes.connection != usuals.connection),
            ("cooldown.timeout", classes.timeout != usuals.timeout),
        ];
        let waits = waits.into_iter().filter(|_| group.backoff.jitter == Jitter::Constant);
        let rests = rests.into_iter().filter(|_| !group.cooldown.enabled);
        let all = waits.map(|key| (key, CONSTANT)).chain(rests.map(|key| (key, OFF)));
        for ((key, differs), (why, hint)) in all {
            let path = format!("group.{}.{key}", group.name);
            if differs && !reader.is_absent(&path) {
                let message = format!("`{key}` does nothing: {why}");
                let warning = reader.source().diagnostic(reader.place(&path).0, message);
                found.push(warning.warning().hint(hint));
            }
        }
    }
    found
}

const CONSTANT: (&str, &str) =
    ("with `jitter = \"constant\"` waits do not grow", "leave it out, or write another `jitter`");
const OFF: (&str, &str) = (
    "with `after = \"off\"` nothing rests",
    "leave it out, or write `after`: so many failures in a window",
);

const PRICE: &str = "write `price = { input = \"0.15 USD/Mtok\", output = \"0.6 USD/Mtok\" }`";

/// Fallbacks that lead back to where they came from, for each kind of failure. Only what groups
/// write themselves: the router's own list is meant for all alike.
fn loops(reader: &Reader<'_>, spec: &Spec, config: &Config) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for key in ["any", "context_window", "content_policy"] {
        let (left, stack) = (Vec::new(), Vec::new());
        let mut walk = Walk { reader, spec, config, key, left, stack, found: Vec::new() };
        (0..spec.groups.len()).for_each(|group| walk.enter(GroupId::at(group)));
        found.extend(walk.found);
    }
    found
}

/// A depth-first walk over fallbacks of one kind.
struct Walk<'w, 't> {
    reader: &'w Reader<'t>,
    spec: &'w Spec,
    config: &'w Config,
    key: &'static str,
    /// Groups whose fallbacks have all been followed.
    left: Vec<GroupId>,
    /// The way here.
    stack: Vec<GroupId>,
    found: Vec<Diagnostic>,
}

impl Walk<'_, '_> {
    fn enter(&mut self, group_id: GroupId) {
        if self.left.contains(&group_id) {
            return;
        }
        self.stack.push(group_id);
        let group: &GroupSpec = &self.spec.groups[group_id.index()];
        let lists = &group.fallbacks;
        let names = match self.key {
            "any" => &lists.any,
            "context_window" => &lists.context_window,
            _ => &lists.content_policy,
        };
        for name in names {
            let Some(next) = self.config.route(name) else { continue };
            if self.stack.contains(&next) {
                let path = format!("group.{}.fallbacks", group.name);
                let place = self.reader.place_of_text(&path, name);
                let at = place.unwrap_or_else(|| self.reader.place(&path).1);
                let message =
                    format!("`{}` falls back to `{name}`, where it came from", group.name);
                let warning = self.reader.source().diagnostic(at, message).warning();
                self.found
                    .push(warning.hint("a request visits each group once, so this does nothing"));
            } else {
                self.enter(next);
            }
        }
        self.stack.pop();
        self.left.push(group_id);
    }
}
