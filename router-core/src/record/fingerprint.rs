//! A number for a configuration, by which records name it.

use super::RECORD_VERSION;
use super::mix::{Mixer, pair};
use crate::{
    AdaptiveSpec, BackoffSpec, BreakerMode, BreakerSpec, BreakerWindow, BudgetSpec, ClassRest,
    ClassRests, Config, CooldownSpec, Deployment, Group, HedgeAfter, HedgeSpec, Jitter, Kind,
    LimitSpec, Load, Member, Order, PeersSpec, Queue, Rate, RestAfter, RouterSpec, Rung, Span,
    Strategy, Subject, TagMatch, TimeoutsSpec,
};

/// A number for a configuration: equal configurations have equal ones, and different ones
/// differ but for accidents. Names count, since they decide what fits.
pub fn fingerprint(config: &Config) -> u64 {
    let mut mixer = Mixer::new(u64::from(RECORD_VERSION));
    let RouterSpec {
        deadline,
        attempts,
        retry_budget,
        retry_after_max,
        in_flight,
        output_reserve,
        accounts,
        periods_began,
        default_group,
        // What it means is in each group's own.
        fallbacks: _,
        peers,
        priorities,
    } = config.router();
    mixer.word(priorities.len() as u64);
    priorities.iter().for_each(|priority| name(&mut mixer, priority));
    name(&mut mixer, default_group.as_deref().unwrap_or_default());
    mixer.span(*deadline);
    mixer.word(pair(u32::from(*attempts), *in_flight));
    mixer.option(retry_budget.ratio.map(|r| pair(r.numerator(), r.denominator())));
    mixer.word(pair(retry_budget.per_second, *output_reserve));
    mixer.span(retry_budget.window);
    mixer.span(*retry_after_max);
    if !config.kinds().is_empty() {
        subject_words(&mut mixer, config, (*accounts, *periods_began));
    }
    if let Some(PeersSpec { replicas, stale, on_outage }) = *peers {
        mixer.word(pair(u32::from(replicas), on_outage as u32));
        mixer.span(stale);
    }
    mixer.word(config.limits().len() as u64);
    for limit in config.limits() {
        name(&mut mixer, &limit.name);
        mixer.word(u64::from(limit.shared));
        limit_words(&mut mixer, &limit.spec);
    }
    mixer.word(config.deployments().len() as u64);
    for deployment in config.deployments() {
        deployment_words(&mut mixer, deployment);
    }
    for known in [config.tags(), config.regions()] {
        mixer.word(known.len() as u64);
        known.iter().for_each(|known| name(&mut mixer, known));
    }
    mixer.word(config.groups().len() as u64);
    for group in config.groups() {
        group_words(&mut mixer, group);
    }
    removed_words(&mut mixer, config);
    (mixer.value() >> 64) as u64
}

/// What revisions have removed. Without any these are no words.
fn removed_words(mixer: &mut Mixer, config: &Config) {
    let mut removed = |kind: u32, index: usize| mixer.word(pair(kind, index as u32));
    let limits = config.limits().iter().enumerate().filter(|(_, limit)| limit.removed);
    limits.for_each(|(index, _)| removed(1, index));
    let deployments = config.deployments().iter().enumerate().filter(|(_, d)| d.removed);
    deployments.for_each(|(index, _)| removed(2, index));
    for (index, group) in config.groups().iter().enumerate() {
        if group.removed {
            removed(3, index);
        }
        let absent = (0..group.members.len()).filter(|member| group.present >> member & 1 == 0);
        absent.for_each(|member| removed(4, index << 6 | member));
    }
    for (kind, known) in config.kinds().iter().enumerate() {
        let gone = known.named.iter().enumerate().filter(|(_, subject)| subject.removed);
        gone.for_each(|(index, _)| removed(5, kind << 16 | index));
    }
}

fn name(mixer: &mut Mixer, name: &str) {
    mixer.word(name.len() as u64);
    name.bytes().for_each(|byte| mixer.word(u64::from(byte)));
}

fn limit_words(mixer: &mut Mixer, limit: &LimitSpec) {
    let LimitSpec { requests, tokens, input_tokens, output_tokens, parallel } = limit;
    for rate in [requests, tokens, input_tokens, output_tokens] {
        mixer.word(u64::from(rate.is_some()));
        if let Some(Rate { amount, period, burst }) = *rate {
            mixer.word(amount);
            mixer.span(period);
            mixer.option(burst);
        }
    }
    mixer.option(parallel.map(u64::from));
}

/// Kinds of subjects; a configuration without any has none of these words.
fn subject_words(mixer: &mut Mixer, config: &Config, (accounts, began): (u32, Span)) {
    mixer.word(pair(accounts, config.kinds().len() as u32));
    mixer.span(began);
    for Kind { name: called, named, others } in config.kinds() {
        name(mixer, called);
        mixer.word(pair(named.len() as u32, u32::from(others.is_some())));
        for Subject { name: called, limit, budgets, weight, removed: _ } in
            named.iter().chain(others)
        {
            name(mixer, called);
            limit_words(mixer, limit);
            mixer.word(pair(*weight, budgets.len() as u32));
            for BudgetSpec { unit, amount, period, soft, hard } in budgets {
                mixer.word(pair(*unit as u32, u32::from(*hard)));
                mixer.word(*amount);
                mixer.span(*period);
                mixer.ratio(*soft);
            }
        }
    }
}

fn deployment_words(mixer: &mut Mixer, deployment: &Deployment) {
    let Deployment {
        name: called,
        keys,
        limits,
        price,
        context,
        tags,
        region,
        removed: _,
        adaptive,
    } = deployment;
    name(mixer, called);
    let adapts = u32::from(adaptive.is_some()) << 16;
    mixer.word(pair(u32::from(*keys) | adapts, limits.len() as u32));
    if let Some(AdaptiveSpec { min, max, start }) = *adaptive {
        mixer.word(pair(min, max));
        mixer.word(u64::from(start));
    }
    limits.iter().for_each(|limit| mixer.word(limit.index() as u64));
    [price.input, price.cached, price.output, *tags].into_iter().for_each(|word| mixer.word(word));
    mixer.word(pair(*context, u32::from(*region)));
}

fn group_words(mixer: &mut Mixer, group: &Group) {
    let Group {
        name: called,
        aliases,
        members,
        // Told at the end; the heir follows from the names.
        present: _,
        removed: _,
        heir: _,
        strategy,
        timeouts,
        tag_match,
        retry,
        backoff,
        cooldown,
        breaker,
        ejected_max,
        panic,
        hedge,
        fallbacks,
        ladder,
        // These follow from the members and the fallbacks.
        has_standby: _,
        is_plain: _,
        chains: _,
        in_flight,
        queue,
        is_gated: _,
    } = group;
    name(mixer, called);
    mixer.word(aliases.len() as u64);
    aliases.iter().for_each(|alias| name(mixer, alias));
    strategy_words(mixer, *strategy);
    let TimeoutsSpec { connect, first_token, idle, total, partial } = *timeouts;
    [connect, first_token, idle, total].into_iter().for_each(|span| mixer.span(span));
    let match_all = match tag_match {
        TagMatch::Any => false,
        TagMatch::All => true,
    };
    mixer.word(u64::from(partial) << 1 | u64::from(match_all));
    retry.most.iter().for_each(|most| mixer.word(u64::from(*most)));
    let BackoffSpec { base, factor, max, jitter } = *backoff;
    let jitter = match jitter {
        Jitter::Full => 0,
        Jitter::Equal => 1,
        Jitter::Constant => 2,
    };
    mixer.word(pair(jitter, u32::from(factor)));
    [base, max].into_iter().for_each(|span| mixer.span(span));
    cooldown_words(mixer, cooldown);
    mixer.word(u64::from(breaker.is_some()));
    if let Some(breaker) = breaker {
        breaker_words(mixer, breaker);
    }
    [*ejected_max, *panic].into_iter().for_each(|ratio| mixer.ratio(ratio));
    mixer.word(u64::from(hedge.is_some()));
    if let Some(HedgeSpec { after, utilisation_max }) = *hedge {
        match after {
            HedgeAfter::Delay(span) => mixer.span(span),
            HedgeAfter::Quantile(ratio) => {
                mixer.word(u64::MAX);
                mixer.ratio(ratio);
            }
        }
        mixer.ratio(utilisation_max);
    }
    mixer.word(u64::from(*in_flight));
    mixer.word(u64::from(queue.is_some()));
    if let Some(Queue { size, timeout, order, fair }) = *queue {
        let order = match order {
            Order::Fifo => 0,
            Order::Lifo => 1,
            Order::Deadline => 2,
        };
        mixer.word(pair(size, order));
        mixer.span(timeout);
        mixer.option(fair.map(u64::from));
    }
    mixer.word(members.len() as u64);
    for Member { deployment, weight, tier, breaker, .. } in members {
        let mode = u32::from(mode_number(*breaker));
        mixer.word(pair(*weight, (deployment.index() as u32) << 8 | u32::from(*tier)));
        mixer.word(u64::from(mode));
    }
    for rungs in [&ladder.above, &ladder.below] {
        mixer.word(rungs.len() as u64);
        rungs.iter().for_each(|rung| mixer.word(rung_number(*rung)));
    }
    for fallbacks in fallbacks {
        mixer.word(fallbacks.len() as u64);
        fallbacks.iter().for_each(|group| mixer.word(group.index() as u64));
    }
}

const fn rung_number(rung: Rung) -> u64 {
    match rung {
        Rung::Fresh => 0,
        Rung::Stale => 1,
        Rung::Static => 2,
        Rung::Group(group) => 3 + group.index() as u64,
    }
}

fn strategy_words(mixer: &mut Mixer, strategy: Strategy) {
    match strategy {
        Strategy::Weighted { catch_up } => mixer.word(u64::from(catch_up)),
        Strategy::LeastInFlight => mixer.word(2),
        Strategy::PowerOfTwo(Load::InFlight) => mixer.word(3),
        Strategy::PowerOfTwo(Load::PeakEwma) => mixer.word(4),
        Strategy::Latency { explore } => {
            mixer.word(5);
            mixer.ratio(explore);
        }
        Strategy::Usage => mixer.word(6),
        Strategy::Cost => mixer.word(7),
        Strategy::Sticky => mixer.word(8),
    }
}

fn cooldown_words(mixer: &mut Mixer, cooldown: &CooldownSpec) {
    let CooldownSpec {
        enabled,
        failures,
        calls_min,
        window,
        rest,
        grow,
        max,
        jitter,
        lone,
        classes,
    } = *cooldown;
    mixer.word(u64::from(enabled) << 40 | u64::from(lone) << 32 | u64::from(calls_min));
    [failures, jitter].into_iter().for_each(|ratio| mixer.ratio(ratio));
    [window, rest, max].into_iter().for_each(|span| mixer.span(span));
    mixer.word(u64::from(grow));
    let ClassRests { rate_limit, server, connection, timeout } = classes;
    for ClassRest { after, rest } in [rate_limit, server, connection, timeout] {
        mixer.word(match after {
            RestAfter::Common => u64::MAX,
            RestAfter::Never => 0,
            RestAfter::Count(count) => u64::from(count) << 1 | 1,
        });
        mixer.option(rest.map(Span::as_nanos));
    }
}

const fn mode_number(mode: BreakerMode) -> u8 {
    match mode {
        BreakerMode::Enforce => 0,
        BreakerMode::Observe => 1,
        BreakerMode::Disabled => 2,
        BreakerMode::ForcedOpen => 3,
    }
}

fn breaker_words(mixer: &mut Mixer, breaker: &BreakerSpec) {
    let BreakerSpec {
        // Each member's own says what holds.
        mode: _,
        consecutive,
        failures,
        slow_over,
        slow,
        window,
        calls_min,
        open,
        grow,
        max,
        jitter,
        probes,
        successes,
        ramp,
    } = *breaker;
    mixer.word(pair(consecutive, calls_min));
    for ratio in [failures, slow, Some(jitter)] {
        mixer.option(ratio.map(|r| pair(r.numerator(), r.denominator())));
    }
    match window {
        BreakerWindow::Time(span) => mixer.span(span),
        BreakerWindow::Calls(calls) => mixer.word(u64::from(calls) | 1 << 63),
    }
    [slow_over, open, max, ramp].into_iter().for_each(|span| mixer.span(span));
    mixer.word(pair(probes, successes));
    mixer.word(u64::from(grow));
}
