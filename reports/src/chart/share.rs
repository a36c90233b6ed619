//! Who served: each deployment's share over time, against the weight that was asked for.

use plotters::style::RGBColor;

use super::axis::Scale;
use super::palette::{INK, OTHERS, SERIES};
use super::plot::{Backdrop, Name, Plot, seam};
use super::scene::{Point, Scene};
use crate::words;

const HEIGHT: f64 = 280.0;

/// What was dispatched to each of a group's deployments.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shares {
    /// The width of a bin, in seconds.
    pub(crate) bin: f64,
    pub(crate) rows: Vec<ShareRow>,
}

/// One deployment's part.
#[derive(Clone, Debug, Default)]
pub(crate) struct ShareRow {
    pub(crate) name: String,
    /// Attempts per bin.
    pub(crate) attempts: Vec<u64>,
    /// The share its weight asks for, if it has one.
    pub(crate) weight: Option<f64>,
}

impl ShareRow {
    /// Attempts in all.
    pub(crate) fn total(&self) -> u64 {
        self.attempts.iter().sum()
    }
}

/// Stacked shares; dashes stand where the weights would put the borders.
pub(crate) fn share(title: &str, shares: &Shares, backdrop: &Backdrop) -> Scene {
    let few = shares.rows.len() <= SERIES.len();
    let marked = few && shares.rows.iter().any(|row| row.weight.is_some());
    let dashes = if marked { "; dashes: where the weights would put the borders" } else { "" };
    let remark = format!(
        "share of the attempts dispatched, in bins of {}{dashes}",
        words::round_seconds(shares.bin)
    );
    let mut plot = Plot::new((title, &remark), backdrop, HEIGHT);
    let y = Scale::linear((0.0, 1.0), (plot.bottom, plot.top));
    let ticks = [0.0, 0.25, 0.5, 0.75, 1.0];
    plot.grid(y, &ticks, |v| format!("{:.0} %", v * 100.0));
    let rows = gather(&shares.rows);
    let bins = rows.iter().map(|row| row.attempts.len()).max().unwrap_or(0);
    let at = |row: &ShareRow, bin: usize| row.attempts.get(bin).copied().unwrap_or(0);
    let sums: Vec<u64> = (0..bins).map(|b| rows.iter().map(|row| at(row, b)).sum()).collect();
    let all: u64 = sums.iter().sum();
    if all == 0 {
        plot.nothing("nothing was dispatched");
        return plot.scene;
    }
    let mut below = vec![0_u64; bins];
    let mut names = Vec::new();
    let (mut asked, mut borders) = (0.0, Vec::new());
    for (i, row) in rows.iter().enumerate() {
        let colour = colour_of(i, rows.len(), shares.rows.len());
        let above: Vec<u64> = below.iter().enumerate().map(|(b, low)| low + at(row, b)).collect();
        for run in runs(&sums) {
            stack(&mut plot, y, shares.bin, (&below, &above, &sums), run, colour);
        }
        names.push(name(row, colour, all, middle_of_end(&below, &above, &sums, y)));
        asked += row.weight.unwrap_or(0.0);
        if row.weight.is_some() && asked < 0.999 {
            borders.push(asked);
        }
        below = above;
    }
    plot.veil(&backdrop.bands);
    for border in borders.into_iter().filter(|_| marked) {
        plot.scene.dashes((plot.left, plot.right), y.at(border), INK, 1.0);
    }
    plot.names(&names);
    plot.scene
}

/// The rows that get a colour of their own, and the rest as one.
fn gather(rows: &[ShareRow]) -> Vec<ShareRow> {
    if rows.len() <= SERIES.len() {
        return rows.to_vec();
    }
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_by_key(|i| (core::cmp::Reverse(rows[*i].total()), *i));
    let (mut kept, rest) = (order[..SERIES.len() - 1].to_vec(), &order[SERIES.len() - 1..]);
    kept.sort_unstable();
    let mut gathered: Vec<ShareRow> = kept.iter().map(|i| rows[*i].clone()).collect();
    let bins = rows.iter().map(|row| row.attempts.len()).max().unwrap_or(0);
    let mut others = ShareRow {
        name: format!("{} others", rest.len()),
        attempts: vec![0; bins],
        weight: rest.iter().map(|i| rows[*i].weight).sum(),
    };
    for row in rest.iter().map(|i| &rows[*i]) {
        for (sum, n) in others.attempts.iter_mut().zip(&row.attempts) {
            *sum += n;
        }
    }
    gathered.push(others);
    gathered
}

/// The colour of the `i`-th of `drawn` rows, of which the last may stand for several.
fn colour_of(i: usize, drawn: usize, rows: usize) -> RGBColor {
    if rows > drawn && i + 1 == drawn { OTHERS } else { SERIES[i % SERIES.len()] }
}

/// Stretches of bins in which anything was dispatched.
fn runs(sums: &[u64]) -> Vec<(usize, usize)> {
    let mut runs = Vec::new();
    let mut from = None;
    for (bin, sum) in sums.iter().chain([&0]).enumerate() {
        match (from, *sum > 0) {
            (None, true) => from = Some(bin),
            (Some(start), false) => {
                runs.push((start, bin));
                from = None;
            }
            (None, false) | (Some(_), true) => {}
        }
    }
    runs
}

fn stack(
    plot: &mut Plot,
    y: Scale,
    bin: f64,
    (below, above, sums): (&[u64], &[u64], &[u64]),
    (from, until): (usize, usize),
    colour: RGBColor,
) {
    let share = |values: &[u64], b: usize| y.at(values[b] as f64 / sums[b] as f64);
    // Each run reaches to the borders of its first and last bin.
    let edge = |values: &[u64]| -> Vec<Point> {
        let first = (plot.x.at(from as f64 * bin), share(values, from));
        let last = (plot.x.at(until as f64 * bin), share(values, until - 1));
        let inner = (from..until).map(|b| (plot.x.at((b as f64 + 0.5) * bin), share(values, b)));
        [first].into_iter().chain(inner).chain([last]).collect()
    };
    let (low, high) = (edge(below), edge(above));
    let outline = high.iter().chain(low.iter().rev()).copied().collect();
    plot.scene.area(outline, colour, 0.88);
    seam(&mut plot.scene, high);
}

/// The middle of a row's area in the last bin that has any.
fn middle_of_end(below: &[u64], above: &[u64], sums: &[u64], y: Scale) -> f64 {
    let bin = sums.iter().rposition(|sum| *sum > 0).unwrap_or(0);
    let middle = (below[bin] + above[bin]) as f64 / 2.0 / sums[bin].max(1) as f64;
    y.at(middle)
}

fn name(row: &ShareRow, colour: RGBColor, all: u64, y: f64) -> Name {
    let got = words::percent(row.total() as f64 / all as f64);
    let asked = row.weight.map_or_else(String::new, |w| format!(", weight {}", words::percent(w)));
    Name { text: row.name.clone(), remark: format!("{got}{asked}"), colour, y }
}
