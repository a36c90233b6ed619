//! What a scenario means for one router: demand, providers and faults by number, and the frame
//! that figures are gathered in.
//!
//! A scenario names no deployment unless it must, so it runs against any router. What selects
//! nothing here is not wrong: it does not apply, and says so.

mod answer;
mod cache;
mod demand;
mod effect;
mod expect;
mod fault;
mod frame;
mod mix;
mod provider;
mod reload;
mod replicas;
mod reserve;
mod select;
#[cfg(test)]
mod tests;

use core::ops::Range;
use std::sync::Arc;

pub(crate) use expect::placed;
use reports::{AnswerCache, Application, Expectation, Frame, Replicas};
use router_core::{BudgetUnit, Config, Journal, LimitId, Seed};
use sim::{AppLog, CacheLog, Overshoot, Plan, TraceRow};

use crate::diagnostic::Diagnostic;
use crate::router::RouterFile;
use crate::scenario;
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

impl Resolved {
    /// What figures say of the replicas, from what they have logged.
    pub fn replicas<W: Journal>(
        &self,
        routers: &sim::Replicas<W>,
        config: &Config,
    ) -> Option<Replicas> {
        let (plan, log) = self.plan.replicas.zip(routers.log())?;
        let Overshoot { requests, tokens, budgets } = log.overshoot;
        let named = |all: Vec<(LimitId, u64)>| {
            let name = |(limit, most)| (config.limit(limit).name.clone(), most);
            all.into_iter().map(name).collect()
        };
        let of = |unit: BudgetUnit| {
            let all = budgets.iter().filter(|(_, (of, _))| *of == unit);
            let name = |kind: u8, number| self.frame.payers.whose(kind.into(), number);
            all.map(|((kind, number, _), (_, most))| (name(*kind, *number), *most)).collect()
        };
        Some(Replicas {
            count: plan.count,
            delivered: log.delivered,
            lost: log.lost,
            overshoot: named(requests),
            tokens: named(tokens),
            money: of(BudgetUnit::Usd),
            budget_tokens: of(BudgetUnit::Tokens),
        })
    }

    /// What figures say of the response cache, from what the world's `log` says of it.
    pub fn cache(&self, log: Option<&CacheLog>) -> Option<AnswerCache> {
        let CacheLog { fresh, stale, missed, waited, filled, evicted, flushed } = *log?;
        Some(AnswerCache { fresh, stale, missed, waited, filled, evicted, flushed })
    }

    /// What figures say of the application, from what the world's `log` says of it.
    pub fn application(&self, log: Option<&AppLog>) -> Option<Application> {
        let (plan, log) = self.plan.app.zip(log)?;
        Some(Application {
            replicas: plan.replicas,
            restart: plan.restart,
            restarts: log.restarts.clone(),
            refused: log.refused.clone(),
            cut: log.cut.clone(),
        })
    }
}

/// A router, as its scenario sees it.
#[derive(Clone, Copy, Debug)]
pub struct Fleet<'a> {
    /// What the core knows.
    pub config: &'a Config,
    /// What it does not, one per deployment in the configuration's order.
    pub endpoints: &'a [Endpoint],
    /// What it becomes at each of the scenario's `reconfigure`, in their order: revisions, one of
    /// the other ([`crate::router::revise`]).
    pub then: &'a [RouterFile],
}

impl Fleet<'_> {
    /// What it becomes in the end, which has every deployment that there is on the way.
    fn whole(self) -> Self {
        let last = self.then.last();
        last.map_or(self, |last| Fleet { config: &last.config, endpoints: &last.endpoints, ..self })
    }
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
    let resolved = resolve_all(scenario, fleet, instead, &mut said);
    said.all().map(|()| resolved)
}

/// Reads the scenario file `text`, which is called `file` in messages, and gives it its meaning for
/// the router `fleet`.
///
/// # Errors
/// Everything that is wrong with the file, in its order: what shows when it is read and what shows
/// when it is resolved. What is only the echo of another mistake is left out; so is all that
/// resolving would show if the file is no TOML at all.
///
/// # Panics
/// As [`resolve`].
pub fn read_and_resolve(
    file: &str,
    text: &str,
    fleet: Fleet<'_>,
    instead: &Override,
) -> Result<(ScenarioSpec, Resolved), Vec<Diagnostic>> {
    assert_eq!(fleet.config.deployments().len(), fleet.endpoints.len(), "one endpoint each");
    let (mut reader, scenario, _) = scenario::partly(file, text);
    if reader.is_foreign() {
        return Err(reader.finish(()).expect_err("it was complained about"));
    }
    let mut said = Said::default();
    let resolved = resolve_all(&scenario, fleet, instead, &mut said);
    let lacking = said.lacking.into_iter().filter(|(within, _)| !reader.is_flawed(within));
    let news = lacking.map(|(_, mistake)| mistake).chain(said.mistakes);
    // A place around a complaint holds what was read instead of the value that was refused.
    let news: Vec<Mistake> = news.filter(|mistake| !reader.complained(&mistake.at)).collect();
    news.into_iter().for_each(|mistake| reader.report(mistake));
    reader.finish((scenario, resolved))
}

fn resolve_all(
    scenario: &ScenarioSpec,
    fleet: Fleet<'_>,
    instead: &Override,
    said: &mut Said,
) -> Resolved {
    let demands = demand::demands(scenario, fleet, instead, said);
    let first = fleet;
    let fleet = first.whole();
    let providers = provider::providers(scenario, fleet, said);
    let keeps = providers.iter().any(|provider| provider.prompt_cache.is_some());
    if keeps && demands.demands.iter().all(|demand| demand.conversations == 0) {
        said.warn(
            "`prompt_cache`: no demand has `conversations`, so no call finds anything of its prompt"
                .to_owned(),
        );
    }
    cache::check(scenario, fleet.config, &demands.demands, said);
    let horizon = demands.horizon;
    let reloads = reload::reloads(scenario, (first, &demands.named), horizon, said);
    let faults = fault::faults(scenario, fleet, &demands, said);
    let payers = mix::payers(fleet.config, &demands, said);
    let frame = frame::frame(horizon, &demands.spikes, &faults, payers);
    let known: Vec<&str> = scenario.faults.iter().map(|(name, _)| name.value.as_str()).collect();
    let kinds = scenario.demands.iter().flat_map(|(_, demand)| &demand.subjects);
    let foreign = |kind: &&str| frame.payers.find(kind).is_none();
    let kinds: Vec<&str> = kinds.map(|(kind, _)| kind.value.as_str()).filter(foreign).collect();
    let known = expect::Known { faults: &known, kinds: &kinds };
    let written = &scenario.expectations;
    let expectations = expect::expectations(written, fleet.config, &frame, Some(known), said);
    let seed = Seed::from_u64(instead.seed.or(scenario.seed).unwrap_or(1));
    Resolved {
        plan: Plan {
            seed,
            demands: demands.demands,
            providers,
            faults,
            app: scenario.app,
            cache: scenario.cache.as_ref().map(|cache| cache.value),
            replicas: replicas::replicas(scenario, fleet, said),
            reloads,
        },
        frame,
        expectations,
        not_applicable: core::mem::take(&mut said.not_applicable),
        warnings: core::mem::take(&mut said.warnings),
        properties: demands.properties,
    }
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
    said.all()?;
    Ok((expected, said.not_applicable))
}

/// What there is to say about a scenario and a router.
#[derive(Default)]
struct Said {
    mistakes: Vec<Mistake>,
    /// Of something that is not there, and in which table it should be.
    lacking: Vec<(Range<usize>, Mistake)>,
    not_applicable: Vec<String>,
    warnings: Vec<String>,
}

impl Said {
    /// All mistakes so far, in the order of the file.
    fn all(&mut self) -> Result<(), Vec<Mistake>> {
        let mut all = core::mem::take(&mut self.mistakes);
        all.extend(self.lacking.drain(..).map(|(_, mistake)| mistake));
        all.sort_by_key(|mistake| mistake.at.start);
        if all.is_empty() { Ok(()) } else { Err(all) }
    }

    /// Whether nothing is wrong so far.
    const fn is_silent(&self) -> bool {
        self.mistakes.is_empty() && self.lacking.is_empty()
    }

    /// That something is missing in the table whose name is at `within`.
    fn lacks(&mut self, within: &Range<usize>, mistake: Mistake) {
        self.lacking.push((within.clone(), mistake));
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
