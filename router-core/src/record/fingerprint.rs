//! A number for a configuration, by which records name it.

use super::RECORD_VERSION;
use super::mix::{Mixer, pair};
use crate::{
    Config, CooldownSpec, Group, LimitSpec, Member, Rate, RouterSpec, Strategy, TimeoutsSpec,
};

/// A number for a configuration: equal configurations have equal ones, and different ones
/// differ but for accidents. Names count, since they decide what fits.
pub fn fingerprint(config: &Config) -> u64 {
    let mut mixer = Mixer::new(u64::from(RECORD_VERSION));
    let RouterSpec { deadline, attempts, retry_budget, retry_after_max, in_flight, output_reserve } =
        config.router();
    mixer.span(*deadline);
    mixer.word(pair(u32::from(*attempts), *in_flight));
    mixer.option(retry_budget.ratio.map(|r| pair(r.numerator(), r.denominator())));
    mixer.word(pair(retry_budget.per_second, *output_reserve));
    mixer.span(retry_budget.window);
    mixer.span(*retry_after_max);
    mixer.word(config.limits().len() as u64);
    for limit in config.limits() {
        name(&mut mixer, &limit.name);
        mixer.word(u64::from(limit.shared));
        limit_words(&mut mixer, &limit.spec);
    }
    mixer.word(config.deployments().len() as u64);
    for deployment in config.deployments() {
        name(&mut mixer, &deployment.name);
        mixer.word(pair(u32::from(deployment.keys), deployment.limits.len() as u32));
        deployment.limits.iter().for_each(|limit| mixer.word(limit.index() as u64));
        mixer.word(deployment.price.input);
        mixer.word(deployment.price.cached);
        mixer.word(deployment.price.output);
    }
    mixer.word(config.groups().len() as u64);
    for group in config.groups() {
        group_words(&mut mixer, group);
    }
    (mixer.value() >> 64) as u64
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

fn group_words(mixer: &mut Mixer, group: &Group) {
    let Group { name: called, members, strategy, timeouts, backoff, cooldown, fallbacks, chain: _ } =
        group;
    name(mixer, called);
    mixer.word(match strategy {
        Strategy::Weighted => 0,
        Strategy::LeastInFlight => 1,
    });
    let TimeoutsSpec { connect, first_token, idle, total, partial } = *timeouts;
    [connect, first_token, idle, total].into_iter().for_each(|span| mixer.span(span));
    mixer.word(u64::from(partial));
    mixer.span(backoff.base);
    mixer.word(u64::from(backoff.factor));
    mixer.span(backoff.max);
    let CooldownSpec {
        enabled,
        failures,
        calls_min,
        window,
        rest,
        grow,
        max,
        jitter,
        ejected_max,
        lone,
    } = *cooldown;
    mixer.word(u64::from(enabled) << 40 | u64::from(lone) << 32 | u64::from(calls_min));
    [failures, jitter, ejected_max].into_iter().for_each(|ratio| mixer.ratio(ratio));
    [window, rest, max].into_iter().for_each(|span| mixer.span(span));
    mixer.word(u64::from(grow));
    mixer.word(members.len() as u64);
    for Member { deployment, weight, tier } in members {
        mixer.word(pair(*weight, (deployment.index() as u32) << 8 | u32::from(*tier)));
    }
    mixer.word(fallbacks.len() as u64);
    fallbacks.iter().for_each(|group| mixer.word(group.index() as u64));
}
