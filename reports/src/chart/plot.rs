//! What all charts over time share: title, bands of faults, axes, names at the ends of lines.

use plotters::style::RGBColor;

use super::axis::{Scale, spread, time_ticks};
use super::fonts;
use super::palette::{AXIS, GRID, INK, PAPER, SOFT};
use super::scene::{Point, Scene, Style};

/// Every chart's width, in logical pixels.
pub(crate) const WIDTH: f64 = 1000.0;
const LEFT: f64 = 64.0;
pub(crate) const EDGE: f64 = 16.0;
/// For names to the right of a plot: alike in all, so that charts below each other share one axis.
pub(crate) const ROOM: f64 = 176.0;
const LANE: f64 = 19.0;
const LANES_MAX: usize = 5;

/// A named stretch of time above the plot, and perhaps behind it.
#[derive(Clone, Debug)]
pub(crate) struct Band {
    pub(crate) label: String,
    /// Seconds.
    pub(crate) from: f64,
    /// Seconds.
    pub(crate) until: f64,
    pub(crate) colour: RGBColor,
    /// How strongly it shades the plot below.
    pub(crate) shade: f64,
    /// Whether its borders are drawn where something would hide them.
    pub(crate) marked: bool,
}

/// What charts over time are drawn against.
#[derive(Clone, Debug)]
pub(crate) struct Backdrop {
    /// How long the axis is, in seconds.
    pub(crate) horizon: f64,
    pub(crate) bands: Vec<Band>,
}

/// A chart over time that waits for its lines.
pub(crate) struct Plot {
    pub(crate) scene: Scene,
    /// Seconds to pixels.
    pub(crate) x: Scale,
    pub(crate) left: f64,
    pub(crate) right: f64,
    pub(crate) top: f64,
    pub(crate) bottom: f64,
}

/// Title and remark of a chart, at its upper left.
pub(crate) fn heading(scene: &mut Scene, title: &str, remark: &str) {
    scene.title = title.to_owned();
    let fitted = fonts::fit(title, 17.0, true, WIDTH - 2.0 * EDGE);
    scene.text((EDGE, 22.0), &fitted, Style::new(17.0, INK).bold());
    let fitted = fonts::fit(remark, 12.5, false, WIDTH - 2.0 * EDGE);
    scene.text((EDGE, 45.0), &fitted, Style::new(12.5, SOFT));
}

/// Colours and what they stand for, in one row at the upper right of a chart.
pub(crate) fn key(scene: &mut Scene, entries: &[(String, RGBColor)]) {
    let mut x = WIDTH - EDGE;
    for (name, colour) in entries.iter().rev() {
        scene.text((x, 45.0), name, Style::new(12.5, INK).end());
        x -= fonts::width(name, 12.5, false) + 6.0;
        scene.rect((x - 10.0, 40.0), (x, 50.0), *colour, 1.0);
        x -= 26.0;
    }
}

impl Plot {
    /// An empty plot `height` high.
    pub(crate) fn new((title, remark): (&str, &str), backdrop: &Backdrop, height: f64) -> Self {
        let (left, right) = (LEFT, WIDTH - EDGE - ROOM);
        let horizon = if backdrop.horizon > 0.0 { backdrop.horizon } else { 1.0 };
        let x = Scale::linear((0.0, horizon), (left, right));
        let lanes = lanes(&backdrop.bands, x, right);
        let deep = lanes.iter().map(|lane| lane.place + 1).max().unwrap_or(0);
        let top = 66.0 + deep as f64 * LANE;
        let bottom = top + height;
        let mut scene = Scene::new(WIDTH, bottom + 34.0);
        heading(&mut scene, title, remark);
        for (band, lane) in backdrop.bands.iter().zip(&lanes) {
            let y = 62.0 + (lane.place + 1) as f64 * LANE;
            draw_band(&mut scene, band, lane, (y, bottom));
        }
        for (at, label) in time_ticks(horizon, 9) {
            let at = x.at(at);
            scene.line(vec![(at, bottom), (at, bottom + 4.0)], AXIS, 1.0);
            scene.text((at, bottom + 16.0), &label, Style::new(12.0, SOFT).middle());
        }
        Self { scene, x, left, right, top, bottom }
    }

    /// Level lines and their labels; the first tick is the axis.
    pub(crate) fn grid(&mut self, y: Scale, ticks: &[f64], label: impl Fn(f64) -> String) {
        for tick in ticks {
            let at = y.at(*tick);
            let colour = if at >= self.bottom - 0.5 { AXIS } else { GRID };
            self.scene.line(vec![(self.left, at), (self.right, at)], colour, 1.0);
            let style = Style::new(12.0, SOFT).end();
            self.scene.text((self.left - 8.0, at), &label(*tick), style);
        }
    }

    /// A line through what there is, interrupted where there is nothing.
    pub(crate) fn curve(&mut self, points: &[Option<Point>], colour: RGBColor, width: f64) {
        let mut piece = Vec::new();
        for point in points.iter().chain([&None]) {
            match point {
                Some(point) => piece.push(*point),
                None if piece.len() > 1 => {
                    self.scene.line(core::mem::take(&mut piece), colour, width);
                }
                // A value with no neighbours is still a value.
                None => {
                    for (x, y) in piece.drain(..) {
                        self.scene.rect((x - 1.5, y - 1.5), (x + 1.5, y + 1.5), colour, 1.0);
                    }
                }
            }
        }
    }

    /// Marks the bands once more, over what hides their shade.
    pub(crate) fn veil(&mut self, bands: &[Band]) {
        for band in bands.iter().filter(|band| band.marked) {
            let (from, to) = (self.x.at(band.from), self.x.at(band.until));
            self.scene.rect((from, self.top), (to, self.bottom), PAPER, 0.22);
            for x in [from, to] {
                self.scene.line(vec![(x, self.top), (x, self.bottom)], band.colour, 1.0);
            }
        }
    }

    /// Names at the right ends of lines, moved apart where lines meet. A name's second line is
    /// a remark.
    pub(crate) fn names(&mut self, names: &[Name]) {
        let height = if names.iter().any(|n| !n.remark.is_empty()) { 30.0 } else { 16.0 };
        let wanted: Vec<f64> = names.iter().map(|n| n.y).collect();
        let places = spread(&wanted, height, (self.top + 6.0, self.bottom - height / 2.0 + 4.0));
        let room = ROOM - 22.0;
        for (name, y) in names.iter().zip(places) {
            let (from, to) = ((self.right + 3.0, name.y), (self.right + 18.0, y));
            self.scene.line(vec![from, to], name.colour, 1.0);
            let text = fonts::fit(&name.text, 12.5, true, room);
            let style = Style::new(12.5, readable(name.colour)).bold();
            self.scene.text((self.right + 22.0, y), &text, style);
            let remark = fonts::fit(&name.remark, 11.5, false, room);
            if !remark.is_empty() {
                let at = (self.right + 22.0, y + 14.0);
                self.scene.text(at, &remark, Style::new(11.5, SOFT));
            }
        }
    }

    /// Says in the middle of the plot why it is empty.
    pub(crate) fn nothing(&mut self, why: &str) {
        let middle = ((self.left + self.right) / 2.0, (self.top + self.bottom) / 2.0);
        let half = fonts::width(why, 13.0, false) / 2.0 + 8.0;
        let (low, high) = ((middle.0 - half, middle.1 - 11.0), (middle.0 + half, middle.1 + 11.0));
        self.scene.rect(low, high, PAPER, 1.0);
        self.scene.text(middle, why, Style::new(13.0, SOFT).middle());
    }
}

/// What a line is called, where it ends.
pub(crate) struct Name {
    pub(crate) text: String,
    pub(crate) remark: String,
    pub(crate) colour: RGBColor,
    /// In pixels.
    pub(crate) y: f64,
}

/// A colour of lines, dark enough for letters on paper.
pub(crate) fn readable(colour: RGBColor) -> RGBColor {
    let RGBColor(r, g, b) = colour;
    let bright = (u32::from(r) * 299 + u32::from(g) * 587 + u32::from(b) * 114) / 1000;
    if bright <= 125 {
        return colour;
    }
    let darker = |c: u8| (u32::from(c) * 125 / bright) as u8;
    RGBColor(darker(r), darker(g), darker(b))
}

/// Where a band's label and bar go.
struct LanePlace {
    place: usize,
    bar: (f64, f64),
    text: f64,
    /// Whether there was room for its name.
    named: bool,
}

fn lanes(bands: &[Band], x: Scale, right: f64) -> Vec<LanePlace> {
    let mut ends = [f64::NEG_INFINITY; LANES_MAX];
    let mut places = Vec::with_capacity(bands.len());
    for band in bands {
        let from = x.at(band.from);
        let bar = (from, x.at(band.until).max(from + 2.0));
        let wide = fonts::width(&band.label, 11.5, true);
        let text = from.min(right - wide).max(LEFT);
        let (low, high) = (from.min(text), bar.1.max(text + wide));
        let free = ends.iter().position(|end| *end + 10.0 <= low);
        let place = free.unwrap_or(LANES_MAX - 1);
        ends[place] = ends[place].max(high);
        places.push(LanePlace { place, bar, text, named: free.is_some() });
    }
    places
}

fn draw_band(scene: &mut Scene, band: &Band, lane: &LanePlace, (y, bottom): (f64, f64)) {
    let (from, to) = lane.bar;
    if band.shade > 0.0 {
        scene.rect((from, y), (to, bottom), band.colour, band.shade);
    }
    scene.rect((from, y - 2.5), (to, y), band.colour, 1.0);
    if lane.named {
        let style = Style::new(11.5, readable(band.colour)).bold();
        scene.text((lane.text, y - 9.5), &band.label, style);
    }
}

/// The ground between two stacked areas.
pub(crate) fn seam(scene: &mut Scene, points: Vec<Point>) {
    scene.line(points, PAPER, 0.5);
}
