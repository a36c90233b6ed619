//! What a run has cost so far, and how budgets were used up.

use plotters::style::RGBColor;
use router_core::Level;

use super::at;
use super::axis::{Scale, ticks};
use super::palette::{BOUND, OTHERS, PAPER, SERIES};
use super::plot::{Backdrop, Name, Plot, readable, seam};
use super::scene::{Point, Scene, Style};
use crate::words::{self, count, dollars, percent, seconds, secs};
use crate::{Budgets, Figures, Track, UsedUp, budgets, spending};

const HEIGHT: f64 = 240.0;
/// The most budgets that are drawn, or marked, one by one.
const DRAWN: usize = 6;
/// Pico-dollars.
const USD: f64 = 1e12;

/// The bill over time, stacked by deployment; nothing if there is none.
pub(super) fn bill(figures: &Figures, backdrop: &Backdrop, merged: usize) -> Option<Scene> {
    let total = spending::total(&figures.whole).cost_pico;
    let rows = rows(figures, merged);
    let most: f64 = rows.iter().filter_map(|row| row.bill.last()).sum();
    if most <= 0.0 {
        return None;
    }
    let largest = spending::largest(figures, &figures.whole);
    let largest = largest.filter(|_| rows.len() > 1 || figures.payers().next().is_some());
    let largest = largest.map(|who| format!("; {who}")).unwrap_or_default();
    let title = format!("It cost {}{largest}", dollars(total));
    let bin = secs(figures.frame.bin.as_nanos()) * merged as f64;
    let marks = marks(&figures.budgets);
    let told = if marks.is_empty() { "" } else { "; upright: a budget is used up" };
    let remark = format!(
        "what all attempts have cost so far, in steps of {}{told}",
        words::round_seconds(bin)
    );
    let mut plot = Plot::new((&title, &remark), backdrop, HEIGHT);
    let ticks = ticks(most, 4);
    let y = Scale::linear((0.0, ticks[ticks.len() - 1]), (plot.bottom, plot.top));
    plot.grid(y, &ticks, |v| format!("${}", words::round(v)));
    let mut below = vec![0.0; figures.bins.len().div_ceil(merged) + 1];
    let mut names = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        let above: Vec<f64> = below.iter().zip(&row.bill).map(|(low, own)| low + own).collect();
        let x = |i: usize| plot.x.at((i as f64 * bin).min(backdrop.horizon));
        let edge = |values: &[f64]| -> Vec<Point> {
            values.iter().enumerate().map(|(i, value)| (x(i), y.at(*value))).collect()
        };
        let (low, high) = (edge(&below), edge(&above));
        let outline = high.iter().chain(low.iter().rev()).copied().collect();
        let colour = row.colour(index);
        plot.scene.area(outline, colour, 0.88);
        seam(&mut plot.scene, high);
        let ends =
            below.last().zip(above.last()).map_or(0.0, |(low, high)| f64::midpoint(*low, *high));
        let remark = format!("{}, {}", dollars(row.total), share(row.total, total));
        names.push(Name { text: row.name.clone(), remark, colour, y: y.at(ends) });
        below = above;
    }
    plot.veil(&backdrop.bands);
    for (place, one) in marks.into_iter().enumerate() {
        mark(&mut plot, figures, (place, one));
    }
    plot.names(&names);
    Some(plot.scene)
}

/// A deployment, or several that cost little.
struct Row {
    name: String,
    /// In dollars, at the borders of bins.
    bill: Vec<f64>,
    /// In pico-dollars, what came after the last bin included.
    total: u128,
    several: bool,
}

impl Row {
    fn colour(&self, index: usize) -> RGBColor {
        if self.several { OTHERS } else { SERIES[index % SERIES.len()] }
    }
}

/// Those that cost anything, in the router's order; of many, the dearest apart.
fn rows(figures: &Figures, merged: usize) -> Vec<Row> {
    let row = |(d, name): (usize, &String)| {
        let mut sum = 0_u128;
        let bins = figures.bins.chunks(merged).map(|bins| {
            sum += bins.iter().map(|bin| bin.deployments[d].cost_pico).sum::<u128>();
            sum as f64 / USD
        });
        let bill = core::iter::once(0.0).chain(bins).collect();
        let total = figures.whole.deployments[d].cost_pico;
        Row { name: name.clone(), bill, total, several: false }
    };
    let mut rows: Vec<Row> = figures.deployments.iter().enumerate().map(row).collect();
    rows.retain(|row| row.total > 0);
    if rows.len() <= SERIES.len() {
        return rows;
    }
    let mut order: Vec<u128> = rows.iter().map(|row| row.total).collect();
    order.sort_unstable_by(|a, b| b.cmp(a));
    let least = order[SERIES.len() - 2];
    let (mut apart, rest): (Vec<Row>, Vec<Row>) =
        rows.into_iter().partition(|row| row.total >= least);
    let mut bill = vec![0.0; figures.bins.len().div_ceil(merged) + 1];
    for row in &rest {
        bill.iter_mut().zip(&row.bill).for_each(|(sum, own)| *sum += own);
    }
    let name = format!("{} others", count(rest.len() as u64));
    let total = rest.iter().map(|row| row.total).sum();
    apart.push(Row { name, bill, total, several: true });
    apart
}

/// The first times that budgets were used up.
fn marks(budgets: &Budgets) -> Vec<&UsedUp> {
    let mut seen = Vec::new();
    let used = budgets.news.iter().filter(|one| one.level == Level::Hard);
    used.filter(|one| {
        let whose = (one.kind, one.number, one.index);
        let new = !seen.contains(&whose) && seen.len() < DRAWN;
        seen.extend(new.then_some(whose));
        new
    })
    .collect()
}

fn mark(plot: &mut Plot, figures: &Figures, (place, one): (usize, &UsedUp)) {
    let x = plot.x.at(at(one.at));
    plot.scene.line(vec![(x, plot.top), (x, plot.bottom)], BOUND, 1.5);
    let text = format!(
        "{} of {} used up",
        budgets::named(one.budget),
        budgets::whose(figures, one.kind, one.number)
    );
    let text = super::fonts::fit(&text, 11.5, true, 260.0);
    let wide = super::fonts::width(&text, 11.5, true);
    let y = plot.top + 10.0 + place as f64 * 16.0;
    let left = if x + 6.0 + wide > plot.right { x - 6.0 - wide } else { x + 6.0 };
    plot.scene.rect((left - 2.0, y - 8.0), (left + wide + 2.0, y + 8.0), PAPER, 0.85);
    plot.scene.text((left, y), &text, Style::new(11.5, readable(BOUND)).bold());
}

fn share(part: u128, whole: u128) -> String {
    percent(part as f64 / whole.max(1) as f64)
}

/// How much of each budget was spent in its period; nothing if none is followed or used.
pub(super) fn budgets(figures: &Figures, backdrop: &Backdrop) -> Option<Scene> {
    let Budgets { tracks, began, .. } = &figures.budgets;
    let peak = |track: &Track| {
        let most = track.spent.iter().flatten().max().copied().unwrap_or(0);
        most as f64 / track.budget.amount as f64
    };
    let mut used: Vec<(&Track, f64)> = tracks.iter().map(|track| (track, peak(track))).collect();
    used.retain(|(_, peak)| *peak > 0.0);
    used.sort_by(|a, b| b.1.total_cmp(&a.1));
    let (track, nearest) = *used.first()?;
    let all = used.len();
    used.truncate(DRAWN);
    let first = figures.budgets.news.iter().find(|one| one.level == Level::Hard);
    let title = match first {
        Some(one) => format!(
            "{} used up {} after {}",
            budgets::whose(figures, one.kind, one.number),
            budgets::named(one.budget),
            seconds(secs(one.at.as_nanos()))
        ),
        None => format!(
            "No budget was used up: {} came nearest, with {} of {}",
            budgets::whose(figures, track.kind, track.number),
            percent(nearest),
            budgets::named(track.budget)
        ),
    };
    let few = if all > DRAWN { format!("; the {DRAWN} of {all} most used") } else { String::new() };
    let remark = format!("spent of each budget in its period so far{few}; dashes: all of it");
    let mut plot = Plot::new((&title, &remark), backdrop, HEIGHT);
    let ticks = ticks(nearest.max(1.0) * 100.0, 4);
    let y = Scale::linear((0.0, ticks[ticks.len() - 1]), (plot.bottom, plot.top));
    plot.grid(y, &ticks, |v| format!("{} %", words::round(v)));
    let bin = figures.frame.bin.as_nanos();
    let mut names = Vec::new();
    for (index, (track, _)) in used.iter().enumerate() {
        let points = stairs(track, *began, bin);
        let amount = track.budget.amount as f64 / 100.0;
        let last = points.last().map_or(0.0, |(_, spent)| *spent as f64 / amount);
        let place = |(ns, spent): (u64, u64)| {
            Some((plot.x.at(secs(ns).min(backdrop.horizon)), y.at(spent as f64 / amount)))
        };
        let points: Vec<Option<Point>> = points.into_iter().map(place).collect();
        let colour = SERIES[index % SERIES.len()];
        plot.curve(&points, colour, 2.0);
        let remark = budgets::named(track.budget);
        let text = budgets::whose(figures, track.kind, track.number);
        names.push(Name { text, remark, colour, y: y.at(last) });
    }
    plot.scene.dashes((plot.left, plot.right), y.at(100.0), BOUND, 1.5);
    plot.names(&names);
    Some(plot.scene)
}

/// What was spent in the period, at instants in nanoseconds: up within it, and down at its end.
fn stairs(track: &Track, began: u64, bin: u64) -> Vec<(u64, u64)> {
    let Track { budget, spent, .. } = track;
    let period = budget.period.as_nanos();
    let (mut points, mut last) = (vec![(0, 0)], 0_u64);
    for (i, now) in spent.iter().enumerate() {
        let (from, until) = (i as u64 * bin, (i as u64 + 1) * bin);
        let passed = (until + began) / period - (from + began) / period;
        let end = ((until + began) / period * period).saturating_sub(began);
        if passed == 0 || end == until {
            last = now.unwrap_or(last);
            points.push((until, last));
        }
        if passed > 0 {
            let kept = last.saturating_sub(budget.amount.saturating_mul(passed));
            let fallen = if budget.hard { kept } else { 0 };
            points.extend([(end, last), (end, fallen)]);
            last = fallen;
            // Of a bin in which a period ends, what was spent after the last charge is known.
            if end < until {
                last = now.unwrap_or(last);
                points.push((until, last));
            }
        }
    }
    points
}

#[cfg(test)]
mod tests {
    use router_core::{BudgetSpec, BudgetUnit, Span};

    use super::*;

    #[test]
    fn what_is_spent_of_a_budget_falls_when_its_period_ends() {
        let budget = BudgetSpec::new(BudgetUnit::Tokens, 10, Span::from_nanos(40));
        let spent = vec![Some(4), None, Some(9), None, Some(12), Some(13)];
        let track = Track { kind: 0, number: 1, budget, spent };
        // The period began ten before the run did.
        let points = stairs(&track, 10, 10);
        let wanted =
            [(0, 0), (10, 4), (20, 4), (30, 9), (30, 9), (30, 0), (40, 0), (50, 12), (60, 13)];
        assert_eq!(points, wanted);
        // An overrun is carried on, and in the middle of a bin.
        let spent = vec![Some(14), None, Some(7)];
        let points = stairs(&Track { spent, ..track }, 10, 20);
        assert_eq!(points, [(0, 0), (20, 14), (30, 14), (30, 4), (40, 4), (60, 7)]);
    }
}
