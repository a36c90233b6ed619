//! The replicas of a router, and what its file says of them.

use router_core::{Config, Span};
use sim::Replicated;

use super::{Fleet, Said};
use crate::quantity::Quantity;
use crate::written::{ScenarioSpec, Spanned};

/// How many there are, and how they hear of each other.
pub(super) fn replicas(
    scenario: &ScenarioSpec,
    fleet: Fleet<'_>,
    said: &mut Said,
) -> Option<Replicated> {
    let Spanned { value: replicas, .. } = *scenario.replicas.as_ref()?;
    match fleet.config.router().peers {
        Some(peers) if peers.replicas != replicas.count => said.warn(format!(
            "`router.peers.replicas` is {}, but {} routers run",
            peers.replicas, replicas.count
        )),
        Some(peers) if peers.stale < replicas.staleness() => said.warn(format!(
            "`router.peers.stale` is {}, but news of the others is up to {} old",
            Quantity::Time(peers.stale),
            Quantity::Time(replicas.staleness())
        )),
        Some(_) | None => {}
    }
    if replicas.skew > Span::ZERO {
        skew(scenario, fleet, replicas.skew, said);
    }
    Some(replicas)
}

/// Clocks that differ by a whole period do not mean the same one by its number.
fn skew(scenario: &ScenarioSpec, fleet: Fleet<'_>, skew: Span, said: &mut Said) {
    let later = fleet.then.iter().map(|router| &*router.config);
    let all = later.chain([fleet.config]).filter_map(shortest);
    let Some((period, whose)) = all.min_by_key(|(period, _)| *period) else {
        let skew = Quantity::Time(skew);
        return said.not_applicable(format!(
            "replicas: their clocks differ by {skew}, but no subject of this router has a budget"
        ));
    };
    if skew >= period {
        let at = scenario.replicas.as_ref().map_or(0..0, |replicas| replicas.at.clone());
        let (skew, period) = (Quantity::Time(skew), Quantity::Time(period));
        said.wrong_because(
            &at,
            format!("clocks differ by {skew}, but the budget of `{whose}` is per {period}"),
            format!(
                "less than {period}: replicas must agree on which period it is, but for its ends"
            ),
        );
    }
}

/// The shortest period of a budget, and whose it is.
fn shortest(config: &Config) -> Option<(Span, String)> {
    let each = config.kinds().iter().flat_map(|kind| {
        let subjects = kind.named.iter().chain(&kind.others);
        subjects.flat_map(move |subject| {
            let name = if subject.name.is_empty() { "*" } else { subject.name.as_str() };
            let budgets = subject.budgets.iter();
            budgets.map(move |budget| (budget.period, format!("{}={name}", kind.name)))
        })
    });
    each.min_by_key(|(period, _)| *period)
}
