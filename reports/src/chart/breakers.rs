//! When each breaker was open, half-open, ramping up or forced open, and when its deployment
//! rested: each state has a shape of its own, so that colour only helps.

use plotters::style::RGBColor;

use super::fonts;
use super::palette::{ACCOUNT, GOOD, INK, LANE, PAPER, QUANTILES, RATE, SOFT};
use super::plot::{Backdrop, EDGE, Plot, ROOM, WIDTH};
use super::scene::{Point, Scene, Style};

/// The most lanes that are drawn: beyond it, those with something to show come first.
const LANES: usize = 24;
const LANE_HEIGHT: f64 = 38.0;
/// Of a lane: above and below its middle, the breaker's part, then the rests'.
const BAND: (f64, f64) = (-13.0, 5.0);
const REST: (f64, f64) = (8.0, 12.0);
const OPEN: RGBColor = QUANTILES[2];
const HALF_OPEN: RGBColor = QUANTILES[0];

/// What is drawn in a lane, in the order in which it is painted and explained.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum State {
    Open,
    HalfOpen,
    Ramping,
    Forced,
    /// A breaker that only observes would be open.
    Observed,
    Resting,
}

impl State {
    pub(crate) const ALL: [Self; 6] =
        [Self::Open, Self::HalfOpen, Self::Ramping, Self::Forced, Self::Observed, Self::Resting];

    const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::HalfOpen => "half-open: probes only",
            Self::Ramping => "closed, share ramps up",
            Self::Forced => "forced open",
            Self::Observed => "would be open: only observes",
            Self::Resting => "resting",
        }
    }
}

/// One membership's lane.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lane {
    pub(crate) name: String,
    /// What it comes to, in few words.
    pub(crate) remark: String,
    /// From, until (seconds) and what.
    pub(crate) states: Vec<(f64, f64, State)>,
}

/// A lane per membership.
pub(crate) fn breakers(title: &str, lanes: &[Lane], backdrop: &Backdrop) -> Scene {
    let mut order: Vec<usize> = (0..lanes.len()).collect();
    if lanes.len() > LANES {
        let turned = |lane: &Lane| lane.states.iter().any(|s| s.2 != State::Resting);
        order.sort_by_key(|i| (!turned(&lanes[*i]), lanes[*i].states.is_empty(), *i));
    }
    let hidden = order.split_off(order.len().min(LANES));
    let foot = if hidden.is_empty() { 0.0 } else { LANE_HEIGHT / 2.0 };
    let height = order.len() as f64 * LANE_HEIGHT + foot;
    let mut plot = Plot::new((title, ""), backdrop, height);
    for (place, i) in order.iter().enumerate() {
        let middle = plot.top + (place as f64 + 0.5) * LANE_HEIGHT;
        draw_lane(&mut plot, &lanes[*i], middle);
    }
    if !hidden.is_empty() {
        let busy = hidden.iter().filter(|i| !lanes[**i].states.is_empty()).count();
        let text = match busy {
            0 => format!("{} more, of which there is nothing to show", hidden.len()),
            n => format!("{} more, {n} of which were out at times", hidden.len()),
        };
        let at = (plot.left, plot.bottom - LANE_HEIGHT / 4.0);
        plot.scene.text(at, &text, Style::new(12.0, SOFT));
    }
    let shown = |state: &State| lanes.iter().flat_map(|lane| &lane.states).any(|s| s.2 == *state);
    let states: Vec<State> = State::ALL.into_iter().filter(shown).collect();
    key(&mut plot.scene, &states);
    plot.scene
}

/// What each shape stands for, in one row below the title.
fn key(scene: &mut Scene, states: &[State]) {
    let mut x = EDGE;
    for state in states {
        let low = if *state == State::Resting { 48.0 } else { 51.0 };
        let high = if *state == State::Resting { 43.0 } else { 38.0 };
        draw(scene, *state, (x, x + 26.0), (high, low));
        let style = Style::new(12.5, INK);
        scene.text((x + 33.0, 45.0), state.name(), style);
        x += 33.0 + fonts::width(state.name(), 12.5, false) + 20.0;
        assert!(x < WIDTH + 20.0, "every state fits in one row");
    }
}

fn draw_lane(plot: &mut Plot, lane: &Lane, middle: f64) {
    let floor = middle + BAND.1;
    plot.scene.rect((plot.left, floor), (plot.right, floor + 1.0), LANE, 1.0);
    let mut states = lane.states.clone();
    states.sort_by(|a, b| a.2.cmp(&b.2).then(a.0.total_cmp(&b.0)).then(a.1.total_cmp(&b.1)));
    // What is narrower than a pixel and in one that is painted adds nothing but bytes.
    let mut painted = (State::Resting, f64::NEG_INFINITY);
    for (from, until, state) in states {
        let from = plot.x.at(from);
        let until = plot.x.at(until).max(from + 1.0);
        if painted.0 == state && until <= painted.1 + 0.5 {
            continue;
        }
        painted = (state, until);
        let (high, low) = if state == State::Resting { REST } else { BAND };
        draw(&mut plot.scene, state, (from, until), (middle + high, middle + low));
    }
    let quiet = lane.states.is_empty();
    let name = fonts::fit(&lane.name, 12.5, true, ROOM - 22.0);
    let style = Style::new(12.5, if quiet { SOFT } else { INK });
    let style = if quiet { style } else { style.bold() };
    plot.scene.text((plot.right + 22.0, middle - 8.0), &name, style);
    let remark = fonts::fit(&lane.remark, 11.5, false, ROOM - 22.0);
    plot.scene.text((plot.right + 22.0, middle + 7.0), &remark, Style::new(11.5, SOFT));
}

/// One state from left to right, from top to floor.
fn draw(scene: &mut Scene, state: State, (left, right): (f64, f64), (top, floor): (f64, f64)) {
    let (from, to): (Point, Point) = ((left, top), (right, floor));
    match state {
        State::Open => scene.rect(from, to, OPEN, 1.0),
        State::HalfOpen => {
            scene.rect(from, to, HALF_OPEN, 0.55);
            stripes(scene, (left, right), (top, floor), (OPEN, 1.0));
        }
        State::Ramping => {
            let start = floor - (floor - top) * 0.1;
            let wedge = vec![(left, floor), (left, start), (right, top), (right, floor)];
            scene.area(wedge, GOOD, 0.75);
        }
        State::Forced => {
            scene.rect(from, to, ACCOUNT, 1.0);
            stripes(scene, (left, right), (top, floor), (PAPER, 1.5));
            stripes(scene, (left, right), (floor, top), (PAPER, 1.5));
        }
        State::Observed => {
            let frame = vec![from, (right, top), to, (left, floor), from];
            scene.rect(from, to, PAPER, 0.8);
            scene.line(frame, OPEN, 1.0);
        }
        State::Resting => scene.rect(from, to, RATE, 1.0),
    }
}

/// Slanted lines within a box.
fn stripes(
    scene: &mut Scene,
    (left, right): (f64, f64),
    (top, floor): (f64, f64),
    (colour, width): (RGBColor, f64),
) {
    const APART: f64 = 6.0;
    let wide = (floor - top).abs();
    // Stripes stand at the same places wherever a box begins, so that neighbours fit together.
    let mut foot = ((left - wide) / APART).ceil() * APART;
    while foot < right {
        let (low, high) = (foot.max(left), (foot + wide).min(right));
        let y = |x: f64| floor + (top - floor) * (x - foot) / wide;
        if low < high {
            scene.line(vec![(low, y(low)), (high, y(high))], colour, width);
        }
        foot += APART;
    }
}
