//! A chart before it is drawn: marks at logical coordinates, and one painter for every format.

use plotters::coord::Shift;
use plotters::drawing::DrawingAreaErrorKind;
use plotters::element::{PathElement, Polygon, Rectangle, Text};
use plotters::prelude::{BitMapBackend, DrawingArea, DrawingBackend, IntoDrawingArea, SVGBackend};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, FontStyle, IntoFont, RGBColor, ShapeStyle, TextStyle};

use super::fonts::{self, FAMILY, LINE_HEIGHT};
use super::palette::PAPER;
use super::png;
use crate::words;

/// Coordinates become this many device pixels: plotters' are whole numbers, and a line over
/// hours of traffic needs finer ones.
const SCALE: f64 = 2.0;

/// A point, in logical pixels from the upper left.
pub(crate) type Point = (f64, f64);

/// Where a text stands relative to its point.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Anchor {
    /// To the right of it.
    Start,
    /// Centred on it.
    Middle,
    /// To the left of it.
    End,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Mark {
    Area { points: Vec<Point>, colour: RGBColor, opacity: f64 },
    Line { points: Vec<Point>, colour: RGBColor, width: f64 },
    Rect { from: Point, to: Point, colour: RGBColor, opacity: f64 },
    Text { at: Point, text: String, size: f64, bold: bool, colour: RGBColor, anchor: Anchor },
}

/// A chart's marks, in the order they are painted.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Scene {
    pub(crate) width: f64,
    pub(crate) height: f64,
    /// What a reader who cannot see it is told.
    pub(crate) title: String,
    pub(crate) marks: Vec<Mark>,
}

impl Scene {
    pub(crate) const fn new(width: f64, height: f64) -> Self {
        Self { width, height, title: String::new(), marks: Vec::new() }
    }

    pub(crate) fn area(&mut self, points: Vec<Point>, colour: RGBColor, opacity: f64) {
        self.marks.push(Mark::Area { points, colour, opacity });
    }

    pub(crate) fn line(&mut self, points: Vec<Point>, colour: RGBColor, width: f64) {
        self.marks.push(Mark::Line { points, colour, width });
    }

    /// A level line of dashes.
    pub(crate) fn dashes(&mut self, (from, to): (f64, f64), y: f64, colour: RGBColor, width: f64) {
        const DASH: f64 = 5.0;
        const GAP: f64 = 4.0;
        let mut x = from;
        while x < to {
            self.line(vec![(x, y), ((x + DASH).min(to), y)], colour, width);
            x += DASH + GAP;
        }
    }

    pub(crate) fn rect(&mut self, from: Point, to: Point, colour: RGBColor, opacity: f64) {
        self.marks.push(Mark::Rect { from, to, colour, opacity });
    }

    pub(crate) fn text(&mut self, at: Point, text: &str, style: Style) {
        let Style { size, bold, colour, anchor } = style;
        self.marks.push(Mark::Text { at, text: words::clean(text), size, bold, colour, anchor });
    }

    /// As SVG. It names the typeface and does not carry it.
    pub(crate) fn svg(&self) -> String {
        let mut text = String::new();
        let size = self.device();
        paint(self, &SVGBackend::with_string(&mut text, size).into_drawing_area())
            .expect("a string takes every mark");
        // Half the size in front of the same view box: device pixels become logical ones again.
        let fine = format!("<svg width=\"{}\" height=\"{}\"", size.0, size.1);
        let plain = format!(
            "<svg role=\"img\" aria-label=\"{}\" width=\"{}\" height=\"{}\"",
            words::escape(&self.title),
            self.width,
            self.height
        );
        assert!(text.starts_with(&fine), "plotters begins with the size");
        text.replacen(&fine, &plain, 1)
    }

    /// As PNG, at twice the logical size.
    pub(crate) fn png(&self) -> Vec<u8> {
        let (width, height) = self.device();
        let mut rgb = vec![0; width as usize * height as usize * 3];
        paint(self, &BitMapBackend::with_buffer(&mut rgb, (width, height)).into_drawing_area())
            .expect("memory takes every pixel");
        png::encode(&rgb, width)
    }

    fn device(&self) -> (u32, u32) {
        ((self.width * SCALE).round() as u32, (self.height * SCALE).round() as u32)
    }
}

/// How a text looks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    pub(crate) size: f64,
    pub(crate) bold: bool,
    pub(crate) colour: RGBColor,
    pub(crate) anchor: Anchor,
}

impl Style {
    pub(crate) const fn new(size: f64, colour: RGBColor) -> Self {
        Self { size, bold: false, colour, anchor: Anchor::Start }
    }

    pub(crate) const fn bold(self) -> Self {
        Self { bold: true, ..self }
    }

    pub(crate) const fn middle(self) -> Self {
        Self { anchor: Anchor::Middle, ..self }
    }

    pub(crate) const fn end(self) -> Self {
        Self { anchor: Anchor::End, ..self }
    }
}

type Painted<DB> = Result<(), DrawingAreaErrorKind<<DB as DrawingBackend>::ErrorType>>;

fn paint<DB: DrawingBackend>(scene: &Scene, area: &DrawingArea<DB, Shift>) -> Painted<DB> {
    fonts::register();
    area.fill(&PAPER)?;
    for mark in &scene.marks {
        paint_mark(mark, area)?;
    }
    area.present()
}

fn paint_mark<DB: DrawingBackend>(mark: &Mark, area: &DrawingArea<DB, Shift>) -> Painted<DB> {
    match mark {
        Mark::Area { points, colour, opacity } => {
            area.draw(&Polygon::new(device_points(points), colour.mix(*opacity).filled()))
        }
        Mark::Line { points, colour, width } => {
            let width = (width * SCALE).round().max(1.0) as u32;
            let stroke = ShapeStyle { color: colour.to_rgba(), filled: false, stroke_width: width };
            area.draw(&PathElement::new(device_points(points), stroke))
        }
        Mark::Rect { from, to, colour, opacity } => {
            let corners = [device_point(*from), device_point(*to)];
            area.draw(&Rectangle::new(corners, colour.mix(*opacity).filled()))
        }
        Mark::Text { at, text, size, bold, colour, anchor } => {
            let style = if *bold { FontStyle::Bold } else { FontStyle::Normal };
            let font = (FAMILY, size * SCALE * LINE_HEIGHT, style).into_font();
            let side = match anchor {
                Anchor::Start => HPos::Left,
                Anchor::Middle => HPos::Center,
                Anchor::End => HPos::Right,
            };
            let style = TextStyle::from(font).color(colour).pos(Pos::new(side, VPos::Center));
            area.draw(&Text::new(text.as_str(), device_point(*at), style))
        }
    }
}

fn device_points(points: &[Point]) -> Vec<(i32, i32)> {
    points.iter().copied().map(device_point).collect()
}

fn device_point((x, y): Point) -> (i32, i32) {
    ((x * SCALE).round() as i32, (y * SCALE).round() as i32)
}
