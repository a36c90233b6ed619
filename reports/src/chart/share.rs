//! Who served: each deployment's share over time, against the weight that was asked for.

use plotters::style::RGBColor;

use super::axis::Scale;
use super::palette::{INK, OTHERS, SERIES};
use super::plot::{Backdrop, Name, Plot, seam};
use super::scene::{Point, Scene};
use crate::words;

const HEIGHT: f64 = 280.0;

/// What was dispatched to each member of a group, and to who helped out.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shares {
    /// What the group is called.
    pub(crate) group: String,
    /// The width of a bin, in seconds.
    pub(crate) bin: f64,
    /// The group's own members come first.
    pub(crate) rows: Vec<ShareRow>,
}

/// One member's part.
#[derive(Clone, Debug, Default)]
pub(crate) struct ShareRow {
    pub(crate) name: String,
    /// Attempts per bin.
    pub(crate) attempts: Vec<u64>,
    /// Attempts in all, those after the horizon included.
    pub(crate) total: u64,
    /// The share of its group that its weight asks for, if it has one.
    pub(crate) weight: Option<f64>,
    /// Whether it is a member of the group whose shares these are.
    pub(crate) own: bool,
}

/// Stacked shares; dashes stand where the weights would put the borders between the members.
pub(crate) fn share(title: &str, shares: &Shares, backdrop: &Backdrop) -> Scene {
    let few = shares.rows.len() <= SERIES.len();
    let marked = few && shares.rows.iter().any(|row| row.weight.is_some_and(|w| w < 1.0));
    let mut plot = Plot::new((title, &remark(shares, marked)), backdrop, HEIGHT);
    let y = Scale::linear((0.0, 1.0), (plot.bottom, plot.top));
    let ticks = [0.0, 0.25, 0.5, 0.75, 1.0];
    plot.grid(y, &ticks, |v| format!("{:.0} %", v * 100.0));
    let rows = gather(&shares.rows);
    let sums = per_bin(&rows);
    if sums.iter().all(|sum| *sum == 0) {
        plot.nothing("nothing was dispatched");
        return plot.scene;
    }
    let mut below = vec![0_u64; sums.len()];
    let mut names = Vec::new();
    for (i, row) in rows.iter().enumerate() {
        let colour = colour_of(i, rows.len(), shares.rows.len());
        let add = |(bin, low): (usize, &u64)| low + row.attempts.get(bin).copied().unwrap_or(0);
        let above: Vec<u64> = below.iter().enumerate().map(add).collect();
        for run in runs(&sums) {
            stack(&mut plot, y, shares.bin, (&below, &above, &sums), run, colour);
        }
        names.push(name(row, colour, &rows, middle_of_end(&below, &above, &sums, y)));
        below = above;
    }
    plot.veil(&backdrop.bands);
    if marked {
        borders(&mut plot, y, &rows);
    }
    plot.names(&names);
    plot.scene
}

/// What is drawn, in words.
fn remark(shares: &Shares, marked: bool) -> String {
    let (group, bin) = (&shares.group, words::round_seconds(shares.bin));
    let alone = shares.rows.iter().all(|row| row.own);
    let own = alone && !shares.rows.is_empty();
    let of = if own { format!("{group}'s") } else { "all".to_owned() };
    let dashes = match (marked, alone) {
        (false, _) => String::new(),
        (true, true) => "; dashes: its weights".to_owned(),
        (true, false) => format!("; dashes: {group}'s weights, had it served all"),
    };
    let beside =
        if alone { String::new() } else { format!("; numbers at its members: within {group}") };
    format!("share of {of} attempts, in steps of {bin}{dashes}{beside}")
}

/// Dashes where the weights would put the borders between a group's members.
fn borders(plot: &mut Plot, y: Scale, rows: &[ShareRow]) {
    let mut asked = 0.0;
    for weight in rows.iter().filter_map(|row| row.weight) {
        asked += weight;
        if asked < 0.999 {
            plot.scene.dashes((plot.left, plot.right), y.at(asked), INK, 1.0);
        }
    }
}

/// Attempts of all rows, bin by bin.
fn per_bin(rows: &[ShareRow]) -> Vec<u64> {
    let bins = rows.iter().map(|row| row.attempts.len()).max().unwrap_or(0);
    let mut sums = vec![0; bins];
    for row in rows {
        sums.iter_mut().zip(&row.attempts).for_each(|(sum, n)| *sum += n);
    }
    sums
}

/// The rows that get a colour of their own, and the rest as one.
fn gather(rows: &[ShareRow]) -> Vec<ShareRow> {
    if rows.len() <= SERIES.len() {
        return rows.to_vec();
    }
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_by_key(|i| (core::cmp::Reverse(rows[*i].total), *i));
    let rest = order.split_off(SERIES.len() - 1);
    order.sort_unstable();
    let mut gathered: Vec<ShareRow> = order.iter().map(|i| rows[*i].clone()).collect();
    let rest: Vec<ShareRow> = rest.iter().map(|i| rows[*i].clone()).collect();
    gathered.push(ShareRow {
        name: format!("{} others", rest.len()),
        attempts: per_bin(&rest),
        total: rest.iter().map(|row| row.total).sum(),
        weight: rest.iter().map(|row| row.weight).sum(),
        own: rest.iter().all(|row| row.own),
    });
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

/// What a weight asks for: `70 %`, `33.3 %`.
pub(super) fn asked(weight: f64) -> String {
    let percent = weight * 100.0;
    let whole = percent.round();
    if (percent - whole).abs() < 1e-9 { format!("{whole} %") } else { words::percent(weight) }
}

/// A member's name with its share of its group; that of a helper with its share of everything.
fn name(row: &ShareRow, colour: RGBColor, rows: &[ShareRow], y: f64) -> Name {
    let all =
        |own: bool| -> u64 { rows.iter().filter(|row| row.own || !own).map(|row| row.total).sum() };
    let got = words::percent(row.total as f64 / all(row.own).max(1) as f64);
    let beside = match row.weight {
        Some(weight) => format!(", weight {}", asked(weight)),
        None if row.own => String::new(),
        None => " of all attempts".to_owned(),
    };
    Name { text: row.name.clone(), remark: format!("{got}{beside}"), colour, y }
}
