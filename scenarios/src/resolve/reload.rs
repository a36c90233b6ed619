//! Other configurations that take effect while a scenario runs.

use std::sync::Arc;

use router_core::{Span, Time};
use sim::{Reload, Renumbered};

use super::{Fleet, Said};
use crate::quantity::Quantity;
use crate::written::ScenarioSpec;

/// When the router becomes what.
pub(super) fn reloads(
    scenario: &ScenarioSpec,
    (fleet, named): (Fleet<'_>, &[Vec<Renumbered>]),
    horizon: Time,
    said: &mut Said,
) -> Vec<Reload> {
    let mut last: Option<Span> = None;
    for written in &scenario.reloads {
        let at = written.at.value;
        if last.is_some_and(|last| at <= last) {
            let message = format!("at {} another router runs already", Quantity::Time(at));
            said.wrong_because(&written.at.at, message, "write them in the order of their time");
        }
        if Time::ZERO + at >= horizon {
            let router = &written.router.value;
            said.warn(format!("the router `{router}` takes effect after the last call"));
        }
        last = Some(at);
    }
    let both = scenario.reloads.iter().zip(fleet.then).zip(named);
    let reload = both.map(|((written, router), named)| Reload {
        at: Time::ZERO + written.at.value,
        config: Arc::clone(&router.config),
        named: named.clone(),
    });
    reload.collect()
}
