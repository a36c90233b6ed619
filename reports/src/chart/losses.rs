//! Where the time or the calls went: one bar per cause and deployment.

use plotters::style::RGBColor;

use super::axis::Scale;
use super::fonts;
use super::palette::{AXIS, FAILING, GRID, INK, OTHERS, SOFT};
use super::plot::{WIDTH, heading};
use super::scene::{Scene, Style};
use crate::words;

const BARS: usize = 10;
const BAR_HEIGHT: f64 = 28.0;

/// One cause and what it cost.
#[derive(Clone, Debug)]
pub(crate) struct Loss {
    pub(crate) cause: String,
    pub(crate) amount: f64,
}

/// Bars, longest first, each with its amount and its share of the whole.
pub(crate) fn losses(
    (title, remark): (&str, &str),
    losses: &[Loss],
    unit: impl Fn(f64) -> String,
    ticks: impl Fn(f64) -> Vec<(f64, String)>,
) -> Scene {
    let mut rows: Vec<&Loss> = losses.iter().filter(|loss| loss.amount > 0.0).collect();
    rows.sort_by(|a, b| b.amount.total_cmp(&a.amount).then_with(|| a.cause.cmp(&b.cause)));
    let all: f64 = rows.iter().map(|loss| loss.amount).sum();
    let mut bars: Vec<(String, f64, RGBColor)> =
        rows.iter().take(BARS).map(|loss| (loss.cause.clone(), loss.amount, FAILING)).collect();
    if rows.len() > BARS {
        let rest = rows[BARS..].iter().map(|loss| loss.amount).sum();
        let others = match rows.len() - BARS {
            1 => "one other cause".to_owned(),
            n => format!("{n} other causes"),
        };
        bars.push((others, rest, OTHERS));
    }
    let names = bars.iter().map(|(name, ..)| fonts::width(name, 12.5, false));
    let left = (names.fold(0.0, f64::max) + 32.0).clamp(120.0, 380.0);
    let (top, right) = (66.0, WIDTH - 150.0);
    let bottom = top + bars.len().max(2) as f64 * BAR_HEIGHT;
    let mut scene = Scene::new(WIDTH, bottom + 34.0);
    heading(&mut scene, title, remark);
    if bars.is_empty() {
        let at = (WIDTH / 2.0, (top + bottom) / 2.0);
        scene.text(at, "nothing was lost", Style::new(13.0, SOFT).middle());
        return scene;
    }
    let longest = bars.iter().map(|(_, amount, _)| *amount).fold(0.0, f64::max);
    let x = Scale::linear((0.0, longest), (left, right));
    for (tick, label) in ticks(longest) {
        let at = x.at(tick);
        scene.line(vec![(at, top), (at, bottom)], if tick == 0.0 { AXIS } else { GRID }, 1.0);
        scene.text((at, bottom + 16.0), &label, Style::new(12.0, SOFT).middle());
    }
    for (i, (name, amount, colour)) in bars.iter().enumerate() {
        let middle = top + (i as f64 + 0.5) * BAR_HEIGHT;
        let end = x.at(*amount).max(left + 1.0);
        scene.rect((left, middle - 8.5), (end, middle + 8.5), *colour, 0.9);
        let fitted = fonts::fit(name, 12.5, false, left - 28.0);
        scene.text((left - 10.0, middle), &fitted, Style::new(12.5, INK).end());
        let amount_text = unit(*amount);
        scene.text((end + 8.0, middle), &amount_text, Style::new(12.5, INK).bold());
        let beside = end + 14.0 + fonts::width(&amount_text, 12.5, true);
        let part = words::percent(*amount / all);
        scene.text((beside, middle), &part, Style::new(12.0, SOFT));
    }
    scene
}
