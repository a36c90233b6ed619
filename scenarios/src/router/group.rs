//! What a group's keys mean to the core.

use router_core::{
    BackoffSpec, BreakerMode, BreakerSpec, ClassRest, ClassRests, CooldownSpec, FailureClass,
    FallbacksSpec, GroupSpec, HedgeAfter, HedgeSpec, Jitter, Load, MemberSpec, Order, QueueSpec,
    Ratio, RestAfter, RetrySpec, RungSpec, Span, Strategy, TagMatch, TimeoutsSpec,
};

use crate::diagnostic::did_you_mean;
use crate::quantity::{Quantity, Trip, Verdict};
use crate::read::{Reader, Section, Value};
use crate::written::{Mistake, Spanned};

/// Defaults that depend on what is written: times that must not contradict it, and what only
/// some strategies have.
pub(super) fn settle(group: &mut Section) {
    if let Some(times) = group.section_mut("timeouts") {
        let total: Span = times.need("total");
        for name in ["connect", "first_token", "idle"] {
            let time: Span = times.need(name);
            times.fill(name, Quantity::Time(time.min(total)));
        }
    }
    if let Some(rests) = group.section_mut("cooldown") {
        let classes = ["rate_limit", "server", "connection", "timeout"];
        let own = classes.iter().filter_map(|class| rests.section(class)?.get::<Span>("rest"));
        let longest: Span = own.chain([rests.need("rest")]).max().unwrap_or(Span::ZERO);
        let max: Span = rests.need("max");
        rests.fill("max", Quantity::Time(max.max(longest)));
    }
    for (table, first) in [("backoff", "base"), ("breaker", "open")] {
        if let Some(times) = group.section_mut(table) {
            let (first, max): (Span, Span) = (times.need(first), times.need("max"));
            times.fill("max", Quantity::Time(max.max(first)));
        }
    }
    if let Some(strategy) = group.section_mut("strategy") {
        match strategy.get::<String>("by").as_deref() {
            Some("weighted") => strategy.settle("catch_up", Quantity::Flag(false)),
            Some("latency") => {
                if let Strategy::Latency { explore } = Strategy::LATENCY {
                    let ppm = explore.of_ceil(1_000_000) as u32;
                    strategy.settle("explore", Quantity::Share(ppm));
                }
            }
            Some("power-of-two") => strategy.settle("load", Quantity::Text("in-flight".into())),
            Some(_) | None => {}
        }
    }
}

pub(super) fn group(name: &str, section: &Section, reader: &mut Reader<'_>) -> GroupSpec {
    let mut spec = GroupSpec::new(name.to_owned());
    spec.aliases = texts(section, "aliases");
    let members = section.sections("members").map(|(name, member)| MemberSpec {
        deployment: name.value.clone(),
        weight: member.need("weight"),
        tier: member.need("tier"),
    });
    spec.members = members.collect();
    if let Some(written) = section.section("strategy") {
        spec.strategy = strategy(name, written, reader);
    }
    let words = [("any", TagMatch::Any), ("all", TagMatch::All)];
    spec.tag_match = section.word("tag_match", &words).unwrap_or_default();
    if let Some(times) = section.section("timeouts") {
        spec.timeouts = timeouts(times);
    }
    if let Some(retry) = section.section("retry") {
        spec.retry = RetrySpec { most: FailureClass::ALL.map(|class| retry.need(class.name())) };
    }
    if let Some(written) = section.section("backoff") {
        spec.backoff = backoff(written);
    }
    if let Some(rests) = section.section("cooldown") {
        spec.cooldown = cooldown(rests);
    }
    spec.breaker = section.section("breaker").map(breaker);
    spec.ejected_max = section.need("ejected_max");
    spec.panic = section.need("panic");
    spec.hedge = section.section("hedge").map(hedge);
    spec.fallbacks = fallbacks(section);
    spec.in_flight = section.get("in_flight");
    spec.queue = section.section("queue").and_then(queue);
    let rungs = ladder(name, section, reader);
    if !rungs.is_empty() {
        spec.ladder = rungs;
    }
    spec
}

/// What an operator's or a group's word on a breaker means.
pub(super) const BREAKER_MODES: [(&str, BreakerMode); 4] = [
    ("on", BreakerMode::Enforce),
    ("observe-only", BreakerMode::Observe),
    ("disabled", BreakerMode::Disabled),
    ("forced-open", BreakerMode::ForcedOpen),
];

/// The table `fallbacks` of a group or of the router.
pub(super) fn fallbacks(section: &Section) -> FallbacksSpec {
    section.section("fallbacks").map_or_else(FallbacksSpec::default, |lists| FallbacksSpec {
        any: texts(lists, "any"),
        context_window: texts(lists, "context_window"),
        content_policy: texts(lists, "content_policy"),
    })
}

pub(super) fn texts(section: &Section, name: &str) -> Vec<String> {
    section.texts(name).into_iter().map(|text| text.value).collect()
}

/// The rungs of a ladder; what is none is reported.
fn ladder(group: &str, section: &Section, reader: &mut Reader<'_>) -> Vec<RungSpec> {
    let words = ["fresh", "full", "stale", "group:NAME", "static"];
    let mut rungs = Vec::new();
    for Spanned { value, at } in section.texts("ladder") {
        rungs.push(match value.as_str() {
            "fresh" => RungSpec::Fresh,
            "full" => RungSpec::Full,
            "stale" => RungSpec::Stale,
            "static" => RungSpec::Static,
            other => match other.strip_prefix("group:") {
                Some(name) => RungSpec::Group(name.trim().to_owned()),
                None => {
                    let message = format!("`group.{group}.ladder`: there is no rung `{other}`");
                    let hint = Some(did_you_mean(other, words.into_iter()));
                    reader.report(Mistake { at, message, hint });
                    continue;
                }
            },
        });
    }
    rungs
}

fn strategy(group: &str, section: &Section, reader: &mut Reader<'_>) -> Strategy {
    let by: String = section.need("by");
    for (key, of) in [("catch_up", "weighted"), ("explore", "latency"), ("load", "power-of-two")] {
        if let Some(Spanned { at, .. }) = section.node(key).filter(|_| by != of) {
            reader.report(Mistake {
                at: at.clone(),
                message: format!("`group.{group}.strategy.{key}` means nothing to `{by}`"),
                hint: Some(format!("it is for `by = \"{of}\"`")),
            });
        }
    }
    let loads = [("in-flight", Load::InFlight), ("peak-ewma", Load::PeakEwma)];
    let load = section.word("load", &loads).unwrap_or_default();
    let words = [
        ("weighted", Strategy::Weighted { catch_up: section.get("catch_up").unwrap_or_default() }),
        ("smooth", Strategy::Weighted { catch_up: true }),
        ("least-in-flight", Strategy::LeastInFlight),
        ("power-of-two", Strategy::PowerOfTwo(load)),
        ("latency", Strategy::Latency { explore: section.get("explore").unwrap_or(Ratio::ZERO) }),
        ("usage", Strategy::Usage),
        ("cost", Strategy::Cost),
        ("sticky", Strategy::Sticky),
    ];
    section.word("by", &words).unwrap_or_default()
}

fn timeouts(times: &Section) -> TimeoutsSpec {
    let words = [("error", false), ("partial", true)];
    TimeoutsSpec {
        connect: times.need("connect"),
        first_token: times.need("first_token"),
        idle: times.need("idle"),
        total: times.need("total"),
        partial: times.word("on_total", &words).unwrap_or_default(),
    }
}

fn backoff(section: &Section) -> BackoffSpec {
    let words = [("full", Jitter::Full), ("equal", Jitter::Equal), ("constant", Jitter::Constant)];
    BackoffSpec {
        base: section.need("base"),
        factor: section.need("factor"),
        max: section.need("max"),
        jitter: section.word("jitter", &words).unwrap_or_default(),
    }
}

fn cooldown(section: &Section) -> CooldownSpec {
    let after: Option<Trip> = section.need("after");
    let default = CooldownSpec::default();
    let class = |name, usual| section.section(name).map_or(usual, |class| class_rest(class, usual));
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
        classes: ClassRests {
            rate_limit: class("rate_limit", default.classes.rate_limit),
            server: class("server", default.classes.server),
            connection: class("connection", default.classes.connection),
            timeout: class("timeout", default.classes.timeout),
        },
    }
}

fn class_rest(section: &Section, usual: ClassRest) -> ClassRest {
    let words = [("common", RestAfter::Common), ("never", RestAfter::Never)];
    let count = section.get("after").map(RestAfter::Count);
    let after = count.or_else(|| section.word("after", &words)).unwrap_or(usual.after);
    ClassRest { after, rest: section.get("rest") }
}

fn breaker(section: &Section) -> BreakerSpec {
    let after: Option<Verdict> = section.need("after");
    let default = BreakerSpec::default();
    let flag = |on| if on { BreakerMode::Enforce } else { BreakerMode::Disabled };
    let mode = section.get("mode").map(flag).or_else(|| section.word("mode", &BREAKER_MODES));
    let slow = section.section("slow");
    BreakerSpec {
        mode: mode.unwrap_or_default(),
        consecutive: section.need("consecutive"),
        failures: after.map(|verdict| Ratio::from_ppm(verdict.failures)),
        slow_over: slow.and_then(|slow| slow.get("over")).unwrap_or(Span::MAX),
        slow: slow.and_then(|slow| slow.get("share")),
        window: after.map_or(default.window, |verdict| verdict.window),
        calls_min: after.map_or(default.calls_min, |verdict| verdict.calls_min),
        open: section.need("open"),
        grow: section.need("grow"),
        max: section.need("max"),
        jitter: section.need("jitter"),
        probes: section.need("probes"),
        successes: section.need("successes"),
        ramp: section.need("ramp"),
    }
}

/// A queue; one without a size was complained about.
fn queue(section: &Section) -> Option<QueueSpec> {
    let words = [("fifo", Order::Fifo), ("lifo", Order::Lifo), ("deadline", Order::Deadline)];
    Some(QueueSpec {
        timeout: section.need("timeout"),
        order: section.word("order", &words).unwrap_or_default(),
        fair: section.get("fair"),
        ..QueueSpec::new(section.get("size")?)
    })
}

fn hedge(section: &Section) -> HedgeSpec {
    let after = section.node("after").map(|node| &node.value);
    HedgeSpec {
        after: match after {
            Some(Value::Of(Quantity::Quantile(ppm))) => HedgeAfter::Quantile(Ratio::from_ppm(*ppm)),
            _ => HedgeAfter::Delay(section.need("after")),
        },
        utilisation_max: section.need("utilisation_max"),
    }
}
