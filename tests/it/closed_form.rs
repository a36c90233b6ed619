//! Worlds whose answers are known exactly, run as scenario files through the router, the driver
//! and the world. They need tens of millions of requests, so they run in optimised builds only:
//! `cargo test --profile testrelease closed_form -- --nocapture` prints the table of
//! `docs/validation.md`.

use std::sync::Arc;

use reports::{Calls, Figures, Fold};
use router_core::{Driver, Router, Seed, Time};
use scenarios::library;
use scenarios::resolve::{Fleet, Override, resolve};
use sim::{Arrivals, Plan, World};
use statrs::distribution::{ContinuousCDF, StudentsT};

/// Independent seeds, each a part of the file's length.
const PARTS: u64 = 48;
/// Over so many seeds each, 95 % intervals are tried.
const BATCH: usize = 8;

/// Runs the parts of a case and gives what `measure` makes of each.
fn measured(name: &str, measure: impl Fn(&Calls) -> f64) -> Vec<f64> {
    let form = library::closed_forms().iter().find(|form| form.scenario.name == name);
    let form = form.expect("the library holds every case");
    let scenario = scenarios::scenario::read(name, form.scenario.text).expect("it is valid");
    let router = scenarios::router::read(form.router.name, form.router.text).expect("it is valid");
    let fleet = Fleet { config: &router.config, endpoints: &router.endpoints };
    let resolved = resolve(&scenario, fleet, &Override::default()).expect("it is valid");
    let mut plan = resolved.plan;
    for demand in &mut plan.demands {
        let Arrivals::Poisson(segments) = &mut demand.arrivals else { continue };
        segments.iter_mut().for_each(|s| s.lasts = s.lasts.scale(1, PARTS));
    }
    let mut frame = resolved.frame;
    frame.horizon = plan.horizon();
    let one = |part| {
        let seed = Seed::from_u64(1_000 + part);
        let fold = Fold::new(Arc::clone(&router.config), frame.clone());
        let brain = Router::new(Arc::clone(&router.config), seed, Time::ZERO);
        let plan = Plan { seed, ..plan.clone() };
        let mut world = World::new(&plan, Driver::new(brain, fold));
        world.run();
        let end = world.now();
        let figures: Figures = world.into_driver().into_journal().finish(end);
        measure(&figures.whole.calls)
    };
    (0..PARTS).map(one).collect()
}

/// Mean and half-width of the interval of this confidence over independent values.
fn interval(values: &[f64], confidence: f64) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    let error = (squares / (count - 1.0) / count).sqrt();
    let t = StudentsT::new(0.0, 1.0, count - 1.0).expect("there are several values");
    (mean, error * t.inverse_cdf(f64::midpoint(1.0, confidence)))
}

/// Holds the 99.9 % interval to the exact value, and its half-width to `most` of that value.
fn holds(name: &str, exact: f64, most: f64, measure: impl Fn(&Calls) -> f64) {
    let values = measured(name, measure);
    let (mean, half) = interval(&values, 0.999);
    let within = values.chunks(BATCH).filter(|batch| {
        let (mean, half) = interval(batch, 0.95);
        (mean - exact).abs() <= half
    });
    let batches = values.len() / BATCH;
    let (within, relative) = (within.count(), 100.0 * half / exact);
    println!(
        "{name}: exact {exact:.6}, measured {mean:.6} +- {relative:.2} %, {within} of {batches}"
    );
    assert!((mean - exact).abs() <= half, "{name}: {mean} is not {exact} +- {half}");
    assert!(half <= most * exact, "{name}: a half-width of {relative} % proves too little");
}

fn mean_total_ms(calls: &Calls) -> f64 {
    calls.total.sum_ns() as f64 / calls.total.count() as f64 / 1e6
}

fn lost(calls: &Calls) -> f64 {
    calls.failed as f64 / calls.ended as f64
}

/// Kleinrock, "Queueing Systems" I (1975), 3.2: 1 / (mu - lambda).
#[test]
fn closed_form_mm1() {
    holds("closed-form/mm1", 500.0, 0.01, mean_total_ms);
}

/// The same, 3.5 (Erlang C): C(10, 8) / (10 mu - lambda), beside the service itself.
#[test]
fn closed_form_mm10() {
    let (servers, load) = (10_u32, 8.0_f64);
    let terms: Vec<f64> = (1..=servers)
        .scan(1.0, |term, k| {
            *term *= load / f64::from(k);
            Some(*term)
        })
        .collect();
    let all_busy = terms[9] * 10.0 / (10.0 - load);
    let waits = all_busy / (1.0 + terms[..9].iter().sum::<f64>() + all_busy);
    assert!((waits - 0.409_18).abs() < 1e-5, "{waits}");
    holds("closed-form/mm10", 100.0 + 100.0 * waits / (10.0 - load), 0.01, mean_total_ms);
}

/// The same, 3.6 (Erlang B), by its recursion.
#[test]
fn closed_form_erlang_b() {
    let blocked = (1..=10).fold(1.0, |b, servers| 8.0 * b / (f64::from(servers) + 8.0 * b));
    holds("closed-form/erlang-b", blocked, 0.01, lost);
}

/// A bucket that drops is a queue of constant service with as many places as its burst, in which
/// nobody waits: the loss of M/D/1/10 at a load of 1.2, from its embedded Markov chain.
#[test]
fn closed_form_token_bucket() {
    let (load, places) = (1.2_f64, 10_usize);
    // Arrivals within one service, by number.
    let arrive: Vec<f64> = (0..=places)
        .scan((-load).exp(), |p, k| {
            let now = *p;
            *p *= load / (k as f64 + 1.0);
            Some(now)
        })
        .collect();
    // Weights of the number left behind by a departure, up from none (Gross and Harris,
    // "Fundamentals of Queueing Theory", 5.1.7).
    let mut left = vec![1.0];
    for n in 0..places - 1 {
        let above = (1..=n).map(|i| left[i] * arrive[n - i + 1]).sum::<f64>();
        left.push((left[n] - left[0] * arrive[n] - above) / arrive[0]);
    }
    let total: f64 = left.iter().sum();
    let lost_share = 1.0 - 1.0 / (left[0] / total + load);
    assert!((lost_share - 0.170_911).abs() < 1e-5, "{lost_share}");
    holds("closed-form/token-bucket", lost_share, 0.01, lost);
}

/// E[(N - 10)+] / 8 for N Poisson of mean 8.
#[test]
fn closed_form_fixed_window() {
    let mut p = (-8.0_f64).exp();
    let mut beyond = 0.0;
    for n in 1..200 {
        p *= 8.0 / f64::from(n);
        beyond += p * f64::from((n - 10).max(0));
    }
    holds("closed-form/fixed-window", beyond / 8.0, 0.01, lost);
}

/// (1 - p^3) / (1 - p) attempts, and p^3 never answered.
#[test]
fn closed_form_attempts() {
    let attempts = |calls: &Calls| calls.attempts as f64 / calls.ended as f64;
    holds("closed-form/attempts", 1.39, 0.01, attempts);
    holds("closed-form/attempts", 0.027, 0.02, lost);
}
