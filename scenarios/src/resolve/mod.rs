//! What a scenario means for one router: demand, providers and faults by number, and the frame
//! that figures are gathered in.
//!
//! A scenario names no deployment unless it must, so it runs against any router. What selects
//! nothing here is not wrong: it does not apply, and says so.

mod demand;
mod expect;
mod fault;
mod frame;
mod provider;
mod select;
#[cfg(test)]
mod tests;

use core::ops::Range;
use std::sync::Arc;

pub(crate) use expect::placed;
use reports::{Expectation, Frame};
use router_core::{Config, Seed};
use sim::{Plan, TraceRow};

use crate::written::{Endpoint, Mistake, ScenarioSpec, Spanned};

/// A scenario, resolved for one router.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The world.
    pub plan: Plan,
    /// What it is looked at through.
    pub frame: Frame,
    /// The expectations that can be asked of this router.
    pub expectations: Vec<Expected>,
    /// What selects nothing in this router, each in one line.
    pub not_applicable: Vec<String>,
    /// What was assumed, each in one line.
    pub warnings: Vec<String>,
    /// What the numbers of [`sim::Demand::properties`] stand for, by their place there; at most
    /// four.
    pub properties: Vec<Property>,
}

/// A named expectation: all that is asked must hold.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Expected {
    /// The name of the test case.
    pub name: String,
    /// What is asked, at least one.
    pub asked: Vec<Asked>,
}

/// One expectation.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Asked {
    /// As written.
    pub text: String,
    /// As read.
    pub expectation: Expectation,
}

/// A property of requests and its labels.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Property {
    /// What files call it.
    pub name: String,
    /// Its labels; number 1 is the first, zero means none.
    pub labels: Vec<String>,
}

/// What the command line says instead of the file.
#[derive(Clone, Debug, Default)]
pub struct Override {
    /// `--seed`.
    pub seed: Option<u64>,
    /// `--trace`: the arrivals of the first demand that names a twin, else of the first.
    pub trace: Option<Arc<[TraceRow]>>,
}

/// A router, as its scenario sees it.
#[derive(Clone, Copy, Debug)]
pub struct Fleet<'a> {
    /// What the core knows.
    pub config: &'a Config,
    /// What it does not, one per deployment in the configuration's order.
    pub endpoints: &'a [Endpoint],
}

/// Gives `scenario` its meaning for the router `fleet`. Its values are as the reader leaves them:
/// each in the range that the table of fields gives its key.
///
/// # Errors
/// Every mistake of the file that shows only here, each with its place.
///
/// # Panics
/// If there is not one endpoint per deployment.
pub fn resolve(
    scenario: &ScenarioSpec,
    fleet: Fleet<'_>,
    instead: &Override,
) -> Result<Resolved, Vec<Mistake>> {
    assert_eq!(fleet.config.deployments().len(), fleet.endpoints.len(), "one endpoint each");
    let mut said = Said::default();
    let demands = demand::demands(scenario, fleet, instead, &mut said);
    let providers = provider::providers(scenario, fleet, &mut said);
    let horizon = demands.horizon;
    let faults = fault::faults(scenario, fleet, horizon, &mut said);
    let frame = frame::frame(horizon, &demands.spikes, &faults);
    let known: Vec<&str> = scenario.faults.iter().map(|(name, _)| name.value.as_str()).collect();
    let written = &scenario.expectations;
    let expectations = expect::expectations(written, fleet.config, &frame, Some(&known), &mut said);
    said.mistakes()?;
    let seed = Seed::from_u64(instead.seed.or(scenario.seed).unwrap_or(1));
    Ok(Resolved {
        plan: Plan { seed, demands: demands.demands, providers, faults },
        frame,
        expectations,
        not_applicable: said.not_applicable,
        warnings: said.warnings,
        properties: demands.properties,
    })
}

/// Reads the SLOs of a suite for a run of `config` that is looked at through `frame`: what applies,
/// and what does not, each in one line.
///
/// # Errors
/// Every text that is no expectation, with its place in the suite's file.
pub fn slos(
    written: &[(Spanned<String>, Vec<Spanned<String>>)],
    config: &Config,
    frame: &Frame,
) -> Result<(Vec<Expected>, Vec<String>), Vec<Mistake>> {
    let mut said = Said::default();
    let expected = expect::expectations(written, config, frame, None, &mut said);
    said.mistakes()?;
    Ok((expected, said.not_applicable))
}

/// What there is to say about a scenario and a router.
#[derive(Default)]
struct Said {
    mistakes: Vec<Mistake>,
    not_applicable: Vec<String>,
    warnings: Vec<String>,
}

impl Said {
    /// All mistakes so far, in the order of the file.
    fn mistakes(&mut self) -> Result<(), Vec<Mistake>> {
        if self.mistakes.is_empty() {
            return Ok(());
        }
        self.mistakes.sort_by_key(|mistake| mistake.at.start);
        Err(core::mem::take(&mut self.mistakes))
    }

    fn wrong(&mut self, at: &Range<usize>, message: impl Into<String>) {
        self.mistakes.push(Mistake { at: at.clone(), message: message.into(), hint: None });
    }

    fn wrong_because(
        &mut self,
        at: &Range<usize>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        let (at, message, hint) = (at.clone(), message.into(), Some(hint.into()));
        self.mistakes.push(Mistake { at, message, hint });
    }

    fn not_applicable(&mut self, what: impl Into<String>) {
        self.not_applicable.push(what.into());
    }

    fn warn(&mut self, what: impl Into<String>) {
        self.warnings.push(what.into());
    }
}
