//! Who waited in the queues, how many at once and how long.

use router_core::Span;

use super::axis::{Scale, ticks};
use super::palette::{BOUND, OTHERS, SERIES};
use super::plot::{Backdrop, Name, Plot};
use super::scene::{Point, Scene};
use crate::words::{self, count, percent, seconds, secs};
use crate::{Bin, CallsInBin, Figures, InClass};

const HEIGHT: f64 = 220.0;

/// Requests of a class that waited in a group's queue.
struct Line<'a> {
    /// The class; the group where there is but one class; both where there are more of both.
    name: String,
    group: usize,
    class: usize,
    of: &'a InClass,
}

/// What is drawn: a line each of values and what is said of it.
struct Drawing {
    title: String,
    axis: &'static str,
    lines: Vec<(String, String, Vec<f64>)>,
    /// Lines not to be crossed.
    bounds: Vec<(String, f64)>,
    label: fn(f64) -> String,
}

/// A line per group and class of how many waited at once, and where the queue ends.
pub(super) fn waiting(figures: &Figures, backdrop: &Backdrop, merged: usize) -> Scene {
    let lines: Vec<(String, String, Vec<f64>)> = lines(figures)
        .map(|line| {
            let most = line.values(figures, merged, |bin, class| bin.waiting[class].into());
            (line.name, format!("{} waited", count(line.of.waited)), most)
        })
        .collect();
    let sizes = figures.bounds.iter().zip(&figures.groups);
    let sizes = sizes.filter_map(|(bounds, group)| Some((bounds.as_ref()?.size, group)));
    let sizes: Vec<_> = sizes.filter(|(size, _)| *size > 0).collect();
    // A bound far above everything would flatten what there is to see.
    let far = 4.0 * lines.iter().map(|(.., most)| largest(most)).fold(0.0, f64::max);
    let bounds = sizes.iter().filter(|(size, _)| f64::from(*size) <= far);
    let bounds = bounds.map(|(size, group)| {
        let text = if sizes.len() > 1 { format!("{group} is full") } else { "full".to_owned() };
        (text, f64::from(*size))
    });
    let bounds = bounds.collect();
    let each = lines.iter().map(|(name, _, most)| format!("{} of {name}", largest(most)));
    let share = share(figures, |one| one.waited);
    let title =
        format!("{share} of the requests waited in a queue, up to {} at once", listed(each));
    let axis = "requests in the queue, the most at once in each";
    draw(figures, merged, backdrop, Drawing { title, axis, lines, bounds, label: words::round })
}

/// A line per group and class of how long the longest of those waited that went.
pub(super) fn wait(figures: &Figures, backdrop: &Backdrop, merged: usize) -> Scene {
    let told = |span: Span| seconds(secs(span.as_nanos()));
    let longest: Vec<String> = lines(figures)
        .filter_map(|line| Some(format!("{} ({})", told(line.of.wait.max()?), line.name)))
        .collect();
    let refused = share(figures, InClass::refused);
    let title = if longest.is_empty() {
        format!("Nobody went from the queue to an attempt; {refused} of all were turned away")
    } else {
        let longest = listed(longest.into_iter());
        format!("They waited up to {longest} before they went; {refused} of all were turned away")
    };
    let lines = lines(figures).map(|line| {
        let value = |bin: &CallsInBin, class: usize| secs(bin.longest_wait[class].as_nanos());
        let longest = line.values(figures, merged, value);
        let half = line
            .of
            .wait
            .p50()
            .map_or_else(String::new, |half| format!("half less than {}", told(half)));
        (line.name, half, longest)
    });
    let (lines, bounds) = (lines.collect(), Vec::new());
    let axis = "time from submission to leaving the queue for an attempt, the longest in each";
    let label = words::round_seconds;
    draw(figures, merged, backdrop, Drawing { title, axis, lines, bounds, label })
}

/// The share of all submissions that `of` counts.
fn share(figures: &Figures, of: impl Fn(&InClass) -> u64) -> String {
    let all = figures.whole.calls.in_class(None);
    percent(of(&all) as f64 / all.submissions.max(1) as f64)
}

fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |a: f64, b| a.max(*b))
}

/// `a, b and c`.
fn listed(parts: impl Iterator<Item = String>) -> String {
    let parts: Vec<String> = parts.collect();
    match parts.as_slice() {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// Those that somebody waited in.
fn lines(figures: &Figures) -> impl Iterator<Item = Line<'_>> {
    let queues = figures.bounds.iter().filter(|b| b.is_some_and(|b| b.size > 0)).count();
    figures.whole.groups.iter().enumerate().flat_map(move |(group, calls)| {
        let classes = calls.classes.iter().enumerate().filter(|(_, of)| of.waited > 0);
        classes.map(move |(class, of)| {
            let its = &figures.groups[group];
            let name = match (figures.classes.get(class), queues) {
                (Some(class), 1) => class.clone(),
                (Some(class), _) => format!("{its}, {class}"),
                (None, _) => its.clone(),
            };
            Line { name, group, class, of }
        })
    })
}

impl Line<'_> {
    /// The largest value of each chunk of bins.
    fn values(
        &self,
        figures: &Figures,
        merged: usize,
        value: impl Fn(&CallsInBin, usize) -> f64,
    ) -> Vec<f64> {
        let of = |bins: &[Bin]| {
            let values = bins.iter().map(|bin| value(&bin.groups[self.group], self.class));
            values.fold(0.0, f64::max)
        };
        figures.bins.chunks(merged).map(of).collect()
    }
}

fn draw(figures: &Figures, merged: usize, backdrop: &Backdrop, drawing: Drawing) -> Scene {
    let Drawing { title, axis, lines, bounds, label } = drawing;
    let step = secs(figures.frame.bin.as_nanos()) * merged as f64;
    let axis = format!("{axis} {}", words::round_seconds(step));
    let mut plot = Plot::new((&title, &axis), backdrop, HEIGHT);
    let lows = bounds.iter().map(|(_, at)| *at);
    let peak = lines.iter().map(|(.., values)| largest(values)).chain(lows);
    let ticks = ticks(peak.fold(0.0, f64::max), 4);
    let y = Scale::linear((0.0, ticks[ticks.len() - 1]), (plot.bottom, plot.top));
    plot.grid(y, &ticks, label);
    let mut names = Vec::new();
    for (index, (text, remark, values)) in lines.into_iter().enumerate() {
        let colour = SERIES.get(index).copied().unwrap_or(OTHERS);
        let point = |(i, value): (usize, &f64)| -> Option<Point> {
            Some((plot.x.at((i as f64 + 0.5) * step), y.at(*value)))
        };
        let points: Vec<Option<Point>> = values.iter().enumerate().map(point).collect();
        let end = points.last().copied().flatten().map_or(plot.bottom, |(_, y)| y);
        plot.curve(&points, colour, 1.5);
        names.push(Name { text, remark, colour, y: end });
    }
    for (text, at) in bounds {
        let at = y.at(at);
        plot.scene.dashes((plot.left, plot.right), at, BOUND, 1.5);
        names.push(Name { text, remark: String::new(), colour: BOUND, y: at });
    }
    plot.names(&names);
    plot.scene
}
