//! Runs a scenario file over independent seeds, each a part of its length.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use reports::{Calls, Figures, Fold, Phase};
use router_core::{Call, CallEnd, Driver, Input, Journal, Output, Router, Seed, Span, Time};
use scenarios::library;
use scenarios::resolve::{Fleet, Override, resolve};
use sim::{Arrivals, Plan, World};
use statrs::distribution::{ContinuousCDF, StudentsT};

/// Independent seeds, each a part of the file's length.
pub(super) const PARTS: u64 = 48;
/// Over so many seeds each, 95 % intervals are tried.
pub(super) const BATCH: usize = 8;
/// The phase that begins and ends so long after and before the calls do.
const STEADY: &str = "steady";

/// What a part of a case came to.
pub(super) struct Part {
    /// All that is counted.
    pub(super) figures: Figures,
    /// From arrival to the end of every answered call, in order: a histogram's quantiles are too
    /// coarse here.
    pub(super) totals: Vec<Span>,
}

impl Part {
    /// Calls of the time in which nothing tells of the beginning or the end.
    pub(super) fn steady(&self) -> &Calls {
        &self.figures.phase(STEADY).expect("every part has it").calls
    }

    /// From when until when that is.
    pub(super) fn steady_time(&self) -> (Time, Time) {
        let phase = self.figures.frame.phases.iter().find(|phase| phase.name == STEADY);
        phase.expect("every part has it").pieces[0]
    }

    /// What this share of the calls does not exceed, in milliseconds.
    pub(super) fn quantile_ms(&self, share: f64) -> f64 {
        let rank = (self.totals.len() as f64 * share).ceil() as usize;
        self.totals[rank - 1].as_nanos() as f64 / 1e6
    }
}

/// The spans of answered calls.
struct Totals(Vec<Span>);

impl Journal for Totals {
    fn input(&mut self, _: Time, _: &Input) {}
    fn output(&mut self, _: Time, _: &Output) {}
    fn call(&mut self, _: Time, call: &Call) {
        if let CallEnd::Answered(_) = call.end {
            self.0.push(call.ended.since(call.arrived));
        }
    }
}

/// Runs the parts of a file and gives what `measure` makes of them; the first and last `skip` of
/// each are not steady.
pub(super) fn run<T: Send>(name: &str, skip: Span, measure: impl Fn(&Part) -> T + Sync) -> Vec<T> {
    let form = library::closed_forms().iter().find(|form| form.scenario.name == name);
    let form = form.expect("the library holds every case");
    let scenario = scenarios::scenario::read(name, form.scenario.text).expect("it is valid");
    let router = scenarios::router::read(form.router.name, form.router.text).expect("it is valid");
    let fleet = Fleet { config: &router.config, endpoints: &router.endpoints, then: &[] };
    let resolved = resolve(&scenario, fleet, &Override::default()).expect("it is valid");
    let mut plan = resolved.plan;
    for demand in &mut plan.demands {
        let Arrivals::Poisson(segments) = &mut demand.arrivals else { continue };
        segments.iter_mut().for_each(|s| s.lasts = s.lasts.scale(1, PARTS));
    }
    let mut frame = resolved.frame;
    frame.horizon = plan.horizon();
    let steady = (Time::ZERO + skip, Time::ZERO + frame.horizon.since(Time::ZERO + skip));
    frame.phases.push(Phase { name: STEADY.to_owned(), pieces: vec![steady] });
    let one = |part| {
        let seed = Seed::from_u64(1_000 + part);
        let fold = Fold::new(Arc::clone(&router.config), frame.clone());
        let brain = Router::new(Arc::clone(&router.config), seed, Time::ZERO);
        let plan = Plan { seed, ..plan.clone() };
        let mut world = World::new(&plan, Driver::new(brain, (fold, Totals(Vec::new()))));
        world.run();
        let end = world.now();
        let (fold, mut totals) = world.into_driver().into_journal();
        totals.0.sort_unstable();
        measure(&Part { figures: fold.finish(end), totals: totals.0 })
    };
    on_every_core(one)
}

/// What `one` gives for every part, in order.
fn on_every_core<T: Send>(one: impl Fn(u64) -> T + Sync) -> Vec<T> {
    let next = AtomicU64::new(0);
    let work = || {
        let parts = std::iter::repeat_with(|| next.fetch_add(1, Ordering::Relaxed));
        parts.take_while(|part| *part < PARTS).map(|part| (part, one(part))).collect::<Vec<_>>()
    };
    let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let mut all: Vec<(u64, T)> = thread::scope(|scope| {
        let hands: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        hands.into_iter().flat_map(|hand| hand.join().expect("a part has run")).collect()
    });
    all.sort_unstable_by_key(|(part, _)| *part);
    all.into_iter().map(|(_, one)| one).collect()
}

/// Mean and half-width of the interval of this confidence over independent values.
pub(super) fn interval(values: &[f64], confidence: f64) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    let error = (squares / (count - 1.0) / count).sqrt();
    let t = StudentsT::new(0.0, 1.0, count - 1.0).expect("there are several values");
    (mean, error * t.inverse_cdf(f64::midpoint(1.0, confidence)))
}
