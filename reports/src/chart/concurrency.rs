//! What adaptive limits were found to be, over time.

use super::at;
use super::axis::{Scale, ticks};
use super::palette::{OTHERS, SERIES};
use super::plot::{Backdrop, Name, Plot};
use super::scene::{Point, Scene};
use crate::{Figures, words};

const HEIGHT: f64 = 220.0;

/// A stair per deployment that has an adaptive limit.
pub(super) fn concurrency(figures: &Figures, backdrop: &Backdrop) -> Scene {
    let known = figures.concurrency.iter().zip(&figures.deployments);
    let known: Vec<_> = known.filter(|(limits, _)| !limits.is_empty()).collect();
    let most = known.iter().flat_map(|(limits, _)| limits.iter()).map(|(_, limit)| *limit).max();
    let title = match known.as_slice() {
        [(limits, name)] => {
            let last = limits.last().map_or(0, |(_, limit)| *limit);
            format!("`{name}` was found to bear {last} calls at once in the end")
        }
        all => format!("What {} deployments were found to bear", all.len()),
    };
    let remark = "adaptive limits of calls at once, each time that one changed by a tenth";
    let mut plot = Plot::new((&title, remark), backdrop, HEIGHT);
    let ticks = ticks(f64::from(most.unwrap_or(0)), 4);
    let y = Scale::linear((0.0, ticks[ticks.len() - 1]), (plot.bottom, plot.top));
    plot.grid(y, &ticks, words::round);
    let mut names = Vec::new();
    for (index, (limits, name)) in known.iter().enumerate() {
        let colour = SERIES.get(index).copied().unwrap_or(OTHERS);
        let mut points: Vec<Option<Point>> = Vec::new();
        let mut last = None;
        for &(from, limit) in limits.iter().filter(|(from, _)| *from <= figures.frame.horizon) {
            let x = plot.x.at(at(from));
            points.extend(last.map(|before| Some((x, before))));
            points.push(Some((x, y.at(f64::from(limit)))));
            last = Some(y.at(f64::from(limit)));
        }
        let end = last.unwrap_or(plot.bottom);
        points.push(Some((plot.x.at(at(figures.frame.horizon)), end)));
        plot.curve(&points, colour, 1.5);
        names.push(Name { text: (*name).clone(), remark: String::new(), colour, y: end });
    }
    plot.names(&names);
    plot.scene
}
