//! Faults by number.

use router_core::{DeploymentId, Ratio, Span, Time};
use sim::{Effect, Fault, Rhythm};

use super::demand::Demands;
use super::effect::effect;
use super::select::{Selected, select};
use super::{Fleet, Said};
use crate::quantity::Quantity;
use crate::written::{FaultSpec, Mistake, ScenarioSpec, Spanned};

/// The faults that apply to this router.
pub(super) fn faults(
    scenario: &ScenarioSpec,
    fleet: Fleet<'_>,
    demands: &Demands,
    said: &mut Said,
) -> Vec<Fault> {
    let faults = scenario.faults.iter();
    faults.filter_map(|(name, spec)| fault((name, spec), scenario, fleet, demands, said)).collect()
}

fn fault(
    (name, spec): (&Spanned<String>, &FaultSpec),
    scenario: &ScenarioSpec,
    fleet: Fleet<'_>,
    demands: &Demands,
    said: &mut Said,
) -> Option<Fault> {
    check_name(name, said);
    let flushes = spec.cache_flush.as_ref().is_some_and(|flush| flush.value);
    let restarts = spec.restart.is_some() || flushes;
    let on = if flushes {
        of_cache(name, spec, scenario, said)
    } else if restarts {
        of_all(spec, "router", "restarted", said)
    } else if spec.store.is_some() {
        of_all(spec, "store", "down", said)
    } else {
        places(name, spec, fleet, said)
    };
    let effect = effect(name, spec, &demands.demands, said);
    let rhythm = rhythm(name, spec, demands.horizon, said);
    let from = Time::ZERO + spec.at.as_ref().map_or(Span::ZERO, |at| at.value);
    let of = spec.of.as_ref().map_or(Ratio::ONE, |of| of.value);
    let (mut on, effect) = (on?, effect?);
    replicated((name, spec), scenario, said);
    if spec.store.is_some() && rhythm != Rhythm::Steady {
        let hint = "leave out `flap` and `at_random`";
        said.wrong_because(
            &name.at,
            "a store is down from `at` on for as long as it `lasts`",
            hint,
        );
    }
    if on.is_empty() && !restarts && spec.store.is_none() {
        return None;
    }
    if let Effect::RevokedKey(Some(key)) = effect {
        on.retain(|&id| has_key(name, id, key, fleet, said));
        if on.is_empty() {
            return None;
        }
    }
    if from >= demands.horizon {
        // It stays in the world, where it touches no call: a run with it is undecided.
        said.warn(format!("the fault `{}` begins after the last call", name.value));
    }
    let until = spec.lasts.as_ref().map(|lasts| from + lasts.value);
    // A restart, or a flush, is over at once, unless there are several.
    let once = restarts && rhythm == Rhythm::Steady;
    let until = until.or_else(|| once.then(|| from + Span::from_millis(1)));
    Some(Fault { name: name.value.clone(), on, from, until, rhythm, of, effect })
}

/// Expectations name faults, in `recovery(...)` and `during=`.
fn check_name(name: &Spanned<String>, said: &mut Said) {
    let text = &name.value;
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    if text.is_empty() || !text.bytes().all(plain) {
        let message = format!("a fault cannot be called `{text}`");
        said.wrong_because(&name.at, message, "use letters, digits, `-` and `_`");
    }
    if text == "normal" || text == "spike" {
        said.wrong(&name.at, format!("`{text}` already names a phase of every run"));
    }
}

/// What speaks of replicas needs some.
fn replicated(
    (name, spec): (&Spanned<String>, &FaultSpec),
    scenario: &ScenarioSpec,
    said: &mut Said,
) {
    let hint = "add `[replicas]`, with how many there are";
    let count = scenario.replicas.as_ref().map(|replicas| replicas.value.count);
    match count {
        None if spec.store.is_some() => {
            said.wrong_because(&name.at, "without replicas there is no store", hint);
        }
        Some(1) if spec.store.is_some() => {
            let message = "`replicas.count` is 1: a lone router tells nobody, and has no store";
            said.wrong_because(&name.at, message, "let `count` be 2 or more");
        }
        Some(_) | None => {}
    }
    let Some(Spanned { value, at }) = &spec.replica else { return };
    if spec.restart.is_none() {
        let message = "`replica` says which router a `restart` is of, and this fault has none";
        return said.wrong_because(at, message, "leave it out, or give the fault a `restart`");
    }
    match count {
        None => said.wrong_because(at, "there is one router, and no replicas of it", hint),
        Some(count) if *value > count => {
            let message = format!("there is no replica {value}: {count} run");
            said.wrong_because(at, message, format!("write 1 to {count}"));
        }
        Some(_) => {}
    }
}

/// A restart is the router's, and all of it; so is a store's outage.
fn of_all(spec: &FaultSpec, whose: &str, what: &str, said: &mut Said) -> Option<Vec<DeploymentId>> {
    let mut right = true;
    for on in spec.on.iter().filter(|on| on.value != whose) {
        let message = format!("`{}` is not what is {what}", on.value);
        said.wrong_because(&on.at, message, format!("write `on = \"{whose}\"`"));
        right = false;
    }
    if let Some(of) = &spec.of {
        let hint = "leave out `of`: it is all or nothing";
        said.wrong_because(&of.at, format!("a {whose} is {what} or not"), hint);
        right = false;
    }
    right.then(Vec::new)
}

/// A flush is the cache's, and all of it.
fn of_cache(
    name: &Spanned<String>,
    spec: &FaultSpec,
    scenario: &ScenarioSpec,
    said: &mut Said,
) -> Option<Vec<DeploymentId>> {
    if scenario.cache.is_none() {
        let message = "there is no `[cache]` to flush";
        said.wrong_because(&name.at, message, "give the scenario a `[cache]`");
    }
    of_all(spec, "cache", "flushed", said)
}

fn places(
    name: &Spanned<String>,
    spec: &FaultSpec,
    fleet: Fleet<'_>,
    said: &mut Said,
) -> Option<Vec<DeploymentId>> {
    if spec.on.is_empty() {
        let hint = Some("on = \"biggest\"".to_owned());
        let message = "this fault is on nothing".to_owned();
        said.lacks(&name.at, Mistake { at: name.at.clone(), message, hint });
        return None;
    }
    let (mut on, mut absent, mut all_read) = (Vec::new(), Vec::new(), true);
    for text in &spec.on {
        match select(text, fleet, said) {
            Some(Selected { found, meant }) if found.is_empty() => absent.push((text, meant)),
            Some(Selected { found, .. }) => on.extend(found),
            None => all_read = false,
        }
    }
    on.sort_unstable();
    on.dedup();
    if !all_read {
        return None;
    }
    let name = &name.value;
    if on.is_empty() {
        let absent = absent.iter().map(|(text, meant)| format!("`{}`{meant}", text.value));
        let absent: Vec<String> = absent.collect();
        said.not_applicable(format!("fault `{name}`: nothing here is {}", absent.join(", ")));
    } else {
        // One of several may be for other routers, but not if it is nearly what is here.
        for (text, meant) in absent.into_iter().filter(|(_, meant)| !meant.is_empty()) {
            said.warn(format!("fault `{name}`: nothing here is `{}`{meant}", text.value));
        }
    }
    Some(on)
}

/// When a fault is there. What contradicts itself is a mistake; what is only unlikely to be met,
/// a warning.
fn rhythm(name: &Spanned<String>, spec: &FaultSpec, horizon: Time, said: &mut Said) -> Rhythm {
    let lasts = spec.lasts.as_ref().map(|lasts| lasts.value);
    match (&spec.flap, &spec.at_random) {
        (None, None) => Rhythm::Steady,
        (Some(flap), Some(_)) => {
            let message = "this fault flaps, and comes and goes at random";
            said.wrong_because(&flap.at, message, "leave out `flap` or `at_random`");
            Rhythm::Steady
        }
        (Some(flap), None) => {
            let (period, duty) = (flap.value.period, flap.value.duty);
            let on = period.scale(duty.numerator().into(), duty.denominator().into());
            if on.is_zero() || on == period {
                let what = if on.is_zero() { "there" } else { "gone" };
                let message = format!(
                    "this fault is never {what}: its duty is {}",
                    Quantity::Share(duty.numerator())
                );
                said.wrong_because(&flap.at, message, "write a `duty` between 0 % and 100 %");
            }
            if let Some(lasts) = lasts.filter(|&lasts| lasts < period) {
                let [period, lasts] = [period, lasts].map(Quantity::Time);
                let message =
                    format!("a fault that lasts {lasts} is over within its period of {period}");
                said.wrong_because(&flap.at, message, "let it last longer, or leave out `flap`");
            }
            Rhythm::Flap { period, on }
        }
        (None, Some(random)) => {
            let (up, down) = (random.value.up, random.value.down);
            let at = spec.at.as_ref().map_or(Span::ZERO, |at| at.value);
            let rest = horizon.since(Time::ZERO + at);
            let [mean, left] = [up, lasts.unwrap_or(rest)].map(Quantity::Time);
            if lasts.is_some_and(|lasts| lasts < up) {
                let message =
                    format!("this fault first comes after {mean} on average, but lasts {left}");
                said.wrong_because(&random.at, message, "let it last longer, or `up` be shorter");
            } else if rest < up {
                let name = &name.value;
                said.warn(format!(
                    "the fault `{name}` first comes after {mean} on average, and calls for {left} \
                     from its beginning"
                ));
            }
            Rhythm::Random { up, down }
        }
    }
}

/// Whether a deployment has this key, which is said if not.
fn has_key(
    name: &Spanned<String>,
    id: DeploymentId,
    key: u8,
    fleet: Fleet<'_>,
    said: &mut Said,
) -> bool {
    let deployment = fleet.config.deployment(id);
    let has = key < deployment.keys;
    if !has {
        let keys =
            if deployment.keys == 1 { "1 key" } else { &format!("{} keys", deployment.keys) };
        said.not_applicable(format!(
            "fault `{}`: `{}` has {keys}, so none is number {key} (the first is 0)",
            name.value, deployment.name
        ));
    }
    has
}
