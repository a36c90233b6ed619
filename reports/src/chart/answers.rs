//! What calls were given over time, rung by rung.

use plotters::style::RGBColor;

use super::axis::{Scale, ticks};
use super::palette::{FAULT, GOOD, OTHERS, SERIES};
use super::plot::{Backdrop, Name, Plot, seam};
use super::scene::{Point, Scene};
use crate::words::{self, count, percent, secs};
use crate::{Bin, Figures, Given, Rungs};

const HEIGHT: f64 = 260.0;

/// One layer: what it is, its colour, calls per second in each bin, and calls in all.
struct Layer {
    name: &'static str,
    remark: &'static str,
    colour: RGBColor,
    rates: Vec<f64>,
    total: u64,
}

/// Stacked calls per second, from the best that a call may be given to nothing.
pub(super) fn answers(figures: &Figures, backdrop: &Backdrop, merged: usize) -> Scene {
    let bin = secs(figures.frame.bin.as_nanos());
    let step = bin * merged as f64;
    let mut layers = layers(figures, merged, |i, bins| {
        // The last bin may end before it is full.
        (backdrop.horizon - i as f64 * step).clamp(bin * 0.01, bin * bins as f64)
    });
    layers.retain(|layer| layer.total > 0);
    let remark = format!(
        "calls per second, by when they arrived, stacked by what answered them; each point is the \
         mean of {}",
        words::round_seconds(step)
    );
    let mut plot = Plot::new((&title(figures), &remark), backdrop, HEIGHT);
    let bins = figures.bins.len().div_ceil(merged);
    let all: Vec<f64> =
        (0..bins).map(|i| layers.iter().map(|layer| layer.rates[i]).sum()).collect();
    let ticks = ticks(all.iter().fold(0.0, |a: f64, b| a.max(*b)), 4);
    let y = Scale::linear((0.0, ticks[ticks.len() - 1]), (plot.bottom, plot.top));
    plot.grid(y, &ticks, |v| if v == 0.0 { "0".to_owned() } else { words::round(v) + "/s" });
    if layers.is_empty() {
        plot.nothing("no call ended");
        return plot.scene;
    }
    let ended = figures.whole.calls.ended.max(1) as f64;
    let (mut below, mut names) = (vec![0.0; bins], Vec::new());
    for (place, layer) in layers.iter().enumerate() {
        let above: Vec<f64> =
            below.iter().zip(&layer.rates).map(|(low, rate)| low + rate).collect();
        let edge = |values: &[f64]| -> Vec<Point> {
            let at = |(i, value): (usize, &f64)| (plot.x.at((i as f64 + 0.5) * step), y.at(*value));
            values.iter().enumerate().map(at).collect()
        };
        let (low, high) = (edge(&below), edge(&above));
        let outline = high.iter().chain(low.iter().rev()).copied().collect();
        // Names stand in the order of the layers, of those that end in nothing, too.
        let end = (low[bins - 1].1 + high[bins - 1].1) / 2.0 - 0.01 * place as f64;
        plot.scene.area(outline, layer.colour, 0.88);
        seam(&mut plot.scene, high);
        let share = percent(layer.total as f64 / ended);
        let remark = format!("{share}, {}", layer.remark);
        names.push(Name { text: layer.name.to_owned(), remark, colour: layer.colour, y: end });
        below = above;
    }
    plot.veil(&backdrop.bands);
    plot.names(&names);
    plot.scene
}

/// Every layer, from the best to the worst; `wide` says how many seconds a chunk of bins is.
fn layers(figures: &Figures, merged: usize, wide: impl Fn(usize, usize) -> f64) -> Vec<Layer> {
    let calls = &figures.whole.calls;
    let rates = |of: &dyn Fn(&Rungs, u64, u64) -> u64| -> Vec<f64> {
        let rate = |(i, bins): (usize, &[Bin])| {
            let groups = bins.iter().flat_map(|bin| &bin.groups);
            let sum: u64 = groups.map(|g| of(&g.rungs, g.answered, g.failed)).sum();
            sum as f64 / wide(i, bins.len())
        };
        figures.bins.chunks(merged).enumerate().map(rate).collect()
    };
    let mut layers: Vec<Layer> = Given::ALL
        .into_iter()
        .map(|given| {
            let (name, remark, colour) = look(given);
            let total = given.of(&calls.rungs, calls.answered);
            let rates = rates(&|rungs, answered, _| given.of(rungs, answered));
            Layer { name, remark, colour, rates, total }
        })
        .collect();
    layers.push(Layer {
        name: "not answered",
        remark: "failed, partial, left",
        colour: FAULT,
        rates: rates(&|rungs, _, failed| failed.saturating_sub(rungs.fixed)),
        total: calls.ended.saturating_sub(calls.answered + calls.rungs.fixed),
    });
    layers
}

const fn look(given: Given) -> (&'static str, &'static str, RGBColor) {
    match given {
        Given::Fresh => ("fresh", "from the cache", GOOD),
        Given::Full => ("full answer", "by who was asked", SERIES[0]),
        Given::Stale => ("stale", "past its time to live", SERIES[5]),
        Given::Smaller => ("smaller group", "down the ladder", SERIES[3]),
        Given::Static => ("static text", "the same to all", OTHERS),
    }
}

fn title(figures: &Figures) -> String {
    let calls = &figures.whole.calls;
    if calls.ended == 0 {
        return "No call ended".to_owned();
    }
    let share = |n: u64| percent(n as f64 / calls.ended as f64);
    let of = |given: Given| given.of(&calls.rungs, calls.answered);
    let lower = calls.rungs.degraded();
    let mut parts = Vec::new();
    if of(Given::Fresh) > 0 {
        parts.push(format!("{} were answered from the cache", share(of(Given::Fresh))));
    }
    let in_full = if parts.is_empty() { "were answered in full" } else { "in full" };
    parts.push(format!("{} {in_full}", share(of(Given::Full))));
    if lower > 0 {
        parts.push(format!("{} by a lower rung", share(lower)));
    }
    let nothing = calls.ended.saturating_sub(calls.answered + calls.rungs.fixed);
    let none = if nothing > 0 { format!("; {} got none", share(nothing)) } else { String::new() };
    format!("Of {} calls {}{none}", count(calls.ended), parts.join(", "))
}
