//! Charts of lines: what was asked and answered, and how long it took.

use super::axis::{Scale, log_ticks, ticks};
use super::palette::{BOUND, GOOD, LANE, OTHERS, QUANTILES, TAKEN};
use super::plot::{Backdrop, Name, Plot};
use super::scene::{Point, Scene};
use crate::words;

const HEIGHT: f64 = 260.0;
/// A ratio of largest to smallest from which orders of magnitude are shown.
const WIDE: f64 = 10.0;

/// Calls per second, over time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rates {
    /// The width of a bin, in seconds.
    pub(crate) bin: f64,
    /// Calls that users meant to start.
    pub(crate) offered: Vec<f64>,
    /// Calls that reached a deployment.
    pub(crate) admitted: Vec<f64>,
    /// Calls answered in full.
    pub(crate) answered: Vec<f64>,
}

/// Offered, admitted, answered: what is grey above the green line was lost.
pub(crate) fn demand(title: &str, rates: &Rates, backdrop: &Backdrop) -> Scene {
    let remark = format!(
        "calls per second, by when they were meant to start; each point is the mean of {}",
        words::round_seconds(rates.bin)
    );
    let mut plot = Plot::new((title, &remark), backdrop, HEIGHT);
    let peak = rates.offered.iter().chain(&rates.admitted).chain(&rates.answered);
    let ticks = ticks(peak.fold(0.0, |a: f64, b| a.max(*b)), 4);
    let y = Scale::linear((0.0, ticks[ticks.len() - 1]), (plot.bottom, plot.top));
    plot.grid(y, &ticks, |v| if v == 0.0 { "0".to_owned() } else { words::round(v) + "/s" });
    if rates.offered.iter().all(|rate| *rate == 0.0) {
        plot.nothing("no calls");
        return plot.scene;
    }
    let line = |values: &[f64]| -> Vec<Point> {
        let middle = |i: usize| plot.x.at((i as f64 + 0.5) * rates.bin);
        values.iter().enumerate().map(|(i, v)| (middle(i), y.at(*v))).collect()
    };
    let (offered, admitted, answered) =
        (line(&rates.offered), line(&rates.admitted), line(&rates.answered));
    let mut ground = offered.clone();
    ground.extend([(offered[offered.len() - 1].0, plot.bottom), (offered[0].0, plot.bottom)]);
    plot.scene.area(ground, LANE, 0.55);
    let mut names = Vec::new();
    for (text, remark, points, colour, width) in [
        ("offered", "begun by users", offered, OTHERS, 1.5),
        ("admitted", "sent to a deployment", admitted, TAKEN, 1.5),
        ("answered", "in full", answered, GOOD, 2.0),
    ] {
        let end = points.last().map_or(plot.bottom, |p| p.1);
        let (text, remark) = (text.to_owned(), remark.to_owned());
        names.push(Name { text, remark, colour, y: end });
        let points: Vec<Option<Point>> = points.into_iter().map(Some).collect();
        plot.curve(&points, colour, width);
    }
    plot.names(&names);
    plot.scene
}

/// Quantiles of a latency over time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Latencies {
    /// The width of a bin, in seconds.
    pub(crate) bin: f64,
    /// p50, p95, p99 of each bin, in seconds; nothing where there was no call.
    pub(crate) quantiles: [Vec<Option<f64>>; 3],
    pub(crate) bounds: Vec<Bound>,
}

/// What an expectation allows.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Bound {
    pub(crate) label: String,
    /// In seconds.
    pub(crate) most: f64,
    /// When, in seconds from the start.
    pub(crate) during: Vec<(f64, f64)>,
}

/// p50, p95, p99, and the lines they were not to cross.
pub(crate) fn latency(title: &str, what: &str, data: &Latencies, backdrop: &Backdrop) -> Scene {
    let all: Vec<f64> = data.quantiles.iter().flatten().flatten().copied().collect();
    let drawn = || all.iter().chain(data.bounds.iter().map(|bound| &bound.most)).copied();
    let high = drawn().fold(0.0, f64::max);
    let low = drawn().filter(|s| *s > 0.0).fold(f64::INFINITY, f64::min);
    let log = low.is_finite() && high / low > WIDE;
    let scale = if log { "; logarithmic scale" } else { "" };
    let bin = words::round_seconds(data.bin);
    let remark = format!("{what}; each point: the calls that arrived in {bin}{scale}");
    let mut plot = Plot::new((title, &remark), backdrop, HEIGHT);
    let ticks = if log { log_ticks(low, high) } else { ticks(high, 4) };
    let (first, last) = (ticks[0], ticks[ticks.len() - 1]);
    let pixels = (plot.bottom, plot.top);
    let y =
        if log { Scale::log((first, last), pixels) } else { Scale::linear((first, last), pixels) };
    plot.grid(y, &ticks, words::round_seconds);
    if all.is_empty() {
        plot.nothing("no first token");
    }
    let mut names = Vec::new();
    let lines =
        [("p50", "half waited less"), ("p95", "95 % waited less"), ("p99", "99 % waited less")];
    for (((name, meaning), values), colour) in lines.iter().zip(&data.quantiles).zip(QUANTILES) {
        let points: Vec<Option<Point>> = values
            .iter()
            .enumerate()
            .map(|(i, v)| v.map(|v| (plot.x.at((i as f64 + 0.5) * data.bin), y.at(v))))
            .collect();
        if let Some(end) = points.iter().rev().flatten().next() {
            let (text, remark) = ((*name).to_owned(), (*meaning).to_owned());
            names.push(Name { text, remark, colour, y: end.1 });
        }
        plot.curve(&points, colour, 1.5);
    }
    for bound in &data.bounds {
        let at = y.at(bound.most);
        for (from, until) in &bound.during {
            plot.scene.dashes((plot.x.at(*from), plot.x.at(*until)), at, BOUND, 1.5);
        }
        let text = bound.label.clone();
        names.push(Name { text, remark: String::new(), colour: BOUND, y: at });
    }
    plot.names(&names);
    plot.scene
}
