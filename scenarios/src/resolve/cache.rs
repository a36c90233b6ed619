//! Whether a response cache, the questions that fill it and the ladders that use it go together.

use router_core::{Config, Ratio};
use sim::Demand;

use super::Said;
use crate::written::ScenarioSpec;

pub(super) fn check(scenario: &ScenarioSpec, config: &Config, demands: &[Demand], said: &mut Said) {
    let some = |demand: &Demand| demand.repeats.as_ref().is_some_and(|r| r.share != Ratio::ZERO);
    let repeats = demands.iter().any(some);
    let asks = |demand: &&Demand| config.group(demand.group).ladder.caches();
    if scenario.cache.is_some() {
        if !repeats {
            said.warn("`cache`: no demand has `repeats`, or only with a share of 0 %, so no question is asked twice".to_owned());
        }
        if !demands.iter().any(|demand| asks(&demand)) {
            said.warn(
                "`cache`: no group that is asked for has `fresh` or `stale` in its `ladder`, so \
                 nothing is answered from it"
                    .to_owned(),
            );
        }
        return;
    }
    if repeats {
        said.warn("`repeats`: there is no `[cache]`, so asking again is like asking".to_owned());
    }
    for demand in demands.iter().filter(asks) {
        said.warn(format!(
            "`group.{}.ladder`: there is no `[cache]` in this scenario, so its cached rungs have \
             nothing",
            demand.name
        ));
    }
}
