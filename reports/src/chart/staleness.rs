//! What replicas overshoot a limit by, against how old their news of each other is.

use plotters::style::RGBColor;

use super::Chart;
use super::axis::{Scale, ticks};
use super::palette::{GOOD, QUANTILES, TAKEN};
use super::plot::{Backdrop, Name, Plot};
use super::scene::Point;
use crate::words;

const HEIGHT: f64 = 320.0;

/// So many replicas at several ages of their news.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Staleness {
    /// How many there are.
    pub replicas: u16,
    /// The age in seconds, what was measured, and what may be at most, in order of age.
    pub points: Vec<(f64, f64, f64)>,
}

/// Measured points, joined, and dashed lines that they may not cross.
pub fn staleness(title: &str, remark: &str, all: &[Staleness]) -> Chart {
    let points = || all.iter().flat_map(|curve| &curve.points);
    let horizon = points().map(|(age, ..)| *age).fold(0.0, f64::max);
    let high = points().map(|(_, measured, bound)| measured.max(*bound)).fold(1.0, f64::max);
    let mut plot = Plot::new((title, remark), &Backdrop { horizon, bands: Vec::new() }, HEIGHT);
    let ticks = ticks(high, 5);
    let y = Scale::linear((0.0, ticks[ticks.len() - 1]), (plot.bottom, plot.top));
    plot.grid(y, &ticks, words::round);
    let colours = [TAKEN, GOOD, QUANTILES[2]];
    let mut names = Vec::new();
    for (curve, colour) in all.iter().zip(colours.into_iter().cycle()) {
        let x = plot.x;
        let at = |(age, value): (f64, f64)| -> Point { (x.at(age), y.at(value)) };
        let bounds: Vec<Point> =
            curve.points.iter().map(|(age, _, most)| at((*age, *most))).collect();
        for pair in bounds.windows(2) {
            dashed(&mut plot, (pair[0], pair[1]), colour);
        }
        let measured: Vec<Point> =
            curve.points.iter().map(|(age, is, _)| at((*age, *is))).collect();
        plot.scene.line(measured.clone(), colour, 1.0);
        for (x, y) in &measured {
            plot.scene.rect((x - 3.5, y - 3.5), (x + 3.5, y + 3.5), colour, 1.0);
        }
        let end = |points: &[Point]| points.last().map_or(plot.bottom, |point| point.1);
        let text = format!("{} replicas", curve.replicas);
        names.push(Name { text, remark: "measured".to_owned(), colour, y: end(&measured) });
        let text = format!("at most, of {}", curve.replicas);
        names.push(Name { text, remark: String::new(), colour, y: end(&bounds) });
    }
    plot.names(&names);
    Chart { name: "staleness".to_owned(), scene: plot.scene }
}

/// A line of dashes from one point to another.
fn dashed(plot: &mut Plot, (from, to): (Point, Point), colour: RGBColor) {
    const DASH: f64 = 6.0;
    let (across, up) = (to.0 - from.0, to.1 - from.1);
    let length = (across * across + up * up).sqrt();
    let at = |along: f64| {
        let part = (along / length).min(1.0);
        (from.0 + across * part, from.1 + up * part)
    };
    let mut along = 0.0;
    while along < length {
        plot.scene.line(vec![at(along), at(along + DASH)], colour, 1.2);
        along += DASH * 1.7;
    }
}
