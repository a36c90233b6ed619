//! When each deployment rested, and why.

use plotters::style::RGBColor;

use super::fonts;
use super::palette::{ACCOUNT, FAILING, INK, LANE, RATE, SOFT};
use super::plot::{Backdrop, Plot, ROOM, key};
use super::scene::{Scene, Style};

/// The most lanes that are drawn: beyond it, those that rested come first.
const LANES: usize = 24;
const LANE_HEIGHT: f64 = 24.0;

/// What a rest was for.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Cause {
    /// A rate limit was hit.
    Rate,
    /// Too much failed or took too long.
    Failures,
    /// A key was refused, money is spent, or the model is gone.
    Account,
    /// A replica of the application failed its probes.
    Restart,
}

impl Cause {
    const ALL: [Self; 4] = [Self::Rate, Self::Failures, Self::Account, Self::Restart];

    const fn look(self) -> (&'static str, RGBColor) {
        match self {
            Self::Rate => ("rate limit", RATE),
            Self::Failures => ("failures", FAILING),
            Self::Account => ("key, money or model refused", ACCOUNT),
            Self::Restart => ("down: its probes failed", FAILING),
        }
    }
}

/// One deployment's rests.
#[derive(Clone, Debug, Default)]
pub(crate) struct RestLane {
    pub(crate) name: String,
    /// From, until (seconds), what for, and whether all of the deployment rested.
    pub(crate) rests: Vec<(f64, f64, Cause, bool)>,
}

/// A lane per deployment; colour where it rested, half as high where only one of its keys did.
pub(crate) fn rests(title: &str, lanes: &[RestLane], backdrop: &Backdrop) -> Scene {
    let keys = lanes.iter().flat_map(|lane| &lane.rests).any(|(.., whole)| !whole);
    let remark = if keys {
        "a lane per deployment, coloured while it rests; half-high: only a key of it does"
    } else {
        "a lane per deployment, coloured while it rests"
    };
    draw((title, remark), lanes, backdrop)
}

/// A lane per replica of the application; colour where it was down.
pub(crate) fn replicas(title: &str, lanes: &[RestLane], backdrop: &Backdrop) -> Scene {
    draw(
        (title, "a lane per replica of the application, coloured while it is down"),
        lanes,
        backdrop,
    )
}

fn draw(heading: (&str, &str), lanes: &[RestLane], backdrop: &Backdrop) -> Scene {
    let mut order: Vec<usize> = (0..lanes.len()).collect();
    if lanes.len() > LANES {
        order.sort_by_key(|i| (lanes[*i].rests.is_empty(), *i));
    }
    let rested = order.iter().filter(|i| !lanes[**i].rests.is_empty()).count();
    let shown = if lanes.len() > LANES { rested.min(LANES) } else { lanes.len() };
    let hidden = order.split_off(shown);
    let all = || lanes.iter().flat_map(|lane| &lane.rests);
    let foot = if hidden.is_empty() { 0.0 } else { LANE_HEIGHT };
    let height = order.len().max(1) as f64 * LANE_HEIGHT + foot;
    let mut plot = Plot::new(heading, backdrop, height);
    for (place, i) in order.iter().enumerate() {
        let middle = plot.top + (place as f64 + 0.5) * LANE_HEIGHT;
        draw_lane(&mut plot, &lanes[*i], middle);
    }
    if lanes.is_empty() {
        plot.nothing("no deployments");
    }
    if !hidden.is_empty() {
        let resting = hidden.iter().filter(|i| !lanes[**i].rests.is_empty()).count();
        let text = match resting {
            0 => format!("{} more, none of which ever rested", hidden.len()),
            n => format!("{} more, {n} of which rested", hidden.len()),
        };
        let at = (plot.left, plot.bottom - LANE_HEIGHT / 2.0);
        plot.scene.text(at, &text, Style::new(12.0, SOFT));
    }
    let causes: Vec<(String, RGBColor)> = Cause::ALL
        .into_iter()
        .filter(|cause| all().any(|(_, _, c, _)| c == cause))
        .map(|cause| (cause.look().0.to_owned(), cause.look().1))
        .collect();
    key(&mut plot.scene, &causes);
    plot.scene
}

fn draw_lane(plot: &mut Plot, lane: &RestLane, middle: f64) {
    const HALF: f64 = LANE_HEIGHT * 0.32;
    plot.scene.rect((plot.left, middle - 0.75), (plot.right, middle + 0.75), LANE, 1.0);
    let mut rests = lane.rests.clone();
    rests.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)).then(a.2.cmp(&b.2)));
    for (from, until, cause, whole) in rests {
        let from = plot.x.at(from);
        let until = plot.x.at(until).max(from + 1.0);
        let above = if whole { HALF } else { 0.0 };
        plot.scene.rect((from, middle - above), (until, middle + HALF), cause.look().1, 1.0);
    }
    let name = fonts::fit(&lane.name, 12.5, true, ROOM - 22.0);
    let rested = !lane.rests.is_empty();
    let style = Style::new(12.5, if rested { INK } else { SOFT });
    let style = if rested { style.bold() } else { style };
    plot.scene.text((plot.right + 22.0, middle), &name, style);
}
