//! Scales and their ticks: round numbers, few of them, each with its unit.

use crate::words;

/// From values to pixels along one axis.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
    log: bool,
}

impl Scale {
    /// Evenly from `low` at pixel `from` to `high` at pixel `to`.
    pub(crate) fn linear((low, high): (f64, f64), (from, to): (f64, f64)) -> Self {
        let high = if high > low { high } else { low + 1.0 };
        Self { low, high, from, to, log: false }
    }

    /// By orders of magnitude; `low` must be above zero.
    pub(crate) fn log((low, high): (f64, f64), (from, to): (f64, f64)) -> Self {
        assert!(low > 0.0, "a logarithm needs something above zero");
        let high = if high > low { high } else { low * 10.0 };
        Self { low, high, from, to, log: true }
    }

    /// The pixel of `value`; a value beyond an end is drawn at the end.
    pub(crate) fn at(&self, value: f64) -> f64 {
        let share = if self.log {
            libm::log10(value.max(self.low) / self.low) / libm::log10(self.high / self.low)
        } else {
            (value - self.low) / (self.high - self.low)
        };
        self.from + share.clamp(0.0, 1.0) * (self.to - self.from)
    }
}

/// Round numbers from zero up to the first that is at least `high`: about `wanted` of them.
pub(crate) fn ticks(high: f64, wanted: usize) -> Vec<f64> {
    let high = if high.is_finite() && high > 0.0 { high } else { 1.0 };
    let rough = high / wanted.max(1) as f64;
    let decade = libm::exp10(libm::log10(rough).floor());
    let step = [1.0, 2.0, 2.5, 5.0, 10.0]
        .into_iter()
        .map(|m| m * decade)
        .find(|step| *step >= rough * 0.999)
        .unwrap_or(10.0 * decade);
    let last = (high / step * 0.999_999).ceil().max(1.0) as usize;
    (0..=last).map(|i| i as f64 * step).collect()
}

/// 1, 2 and 5 (or 1 alone, over many decades) times powers of ten that enclose `low..=high`.
pub(crate) fn log_ticks(low: f64, high: f64) -> Vec<f64> {
    let (first, last) = (libm::log10(low).floor() as i32, libm::log10(high).ceil() as i32);
    let steps: &[f64] = if last - first > 3 { &[1.0] } else { &[1.0, 2.0, 5.0] };
    let all: Vec<f64> = (first..=last)
        .flat_map(|decade| steps.iter().map(move |s| s * libm::exp10(decade.into())))
        .collect();
    let below = all.iter().rposition(|t| *t <= low * 1.000_001).unwrap_or(0);
    let above = all.iter().position(|t| *t >= high * 0.999_999).unwrap_or(all.len() - 1);
    all[below..=above.max(below)].to_vec()
}

/// Ticks of a time axis of `horizon` seconds, each with its label: at most `most` of them.
pub(crate) fn time_ticks(horizon: f64, most: usize) -> Vec<(f64, String)> {
    const STEPS: [f64; 23] = [
        1.0,
        2.0,
        5.0,
        10.0,
        15.0,
        30.0,
        60.0,
        120.0,
        300.0,
        600.0,
        900.0,
        1200.0,
        1800.0,
        3600.0,
        7200.0,
        10_800.0,
        14_400.0,
        21_600.0,
        43_200.0,
        86_400.0,
        172_800.0,
        604_800.0,
        2_592_000.0,
    ];
    let fits = |step: &f64| horizon / step < most as f64;
    let step = match STEPS.iter().find(|s| fits(s)) {
        Some(step) if horizon >= 1.0 => *step,
        Some(_) => ticks(horizon, 4)[1],
        None => (horizon / most as f64 / 2_592_000.0).ceil() * 2_592_000.0,
    };
    let last = (horizon / step * 1.000_001).floor() as usize;
    (0..=last).map(|i| i as f64 * step).map(|s| (s, clock(s, step))).collect()
}

/// An instant on an axis whose ticks are `step` seconds apart.
fn clock(s: f64, step: f64) -> String {
    if s == 0.0 {
        return "0".to_owned();
    }
    if s < 60.0 || step < 1.0 {
        return words::round_seconds(s);
    }
    if s >= 86_400.0 && step >= 86_400.0 {
        return format!("day {}", s / 86_400.0);
    }
    let (hours, minutes, rest) =
        ((s / 3600.0).floor(), (s % 3600.0 / 60.0).floor(), (s % 60.0).round());
    match (hours > 0.0, minutes > 0.0, rest > 0.0) {
        (false, _, false) => format!("{minutes} min"),
        (false, _, true) => format!("{minutes}:{rest:02} min"),
        (true, false, _) => format!("{hours} h"),
        (true, true, _) => format!("{hours} h {minutes:02}"),
    }
}

/// Moves labels of `height` apart: wanted places to real ones, in the same order, within
/// `low..=high` if they fit at all.
pub(crate) fn spread(wanted: &[f64], height: f64, (low, high): (f64, f64)) -> Vec<f64> {
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by(|a, b| wanted[*a].total_cmp(&wanted[*b]).then(a.cmp(b)));
    let mut places = wanted.to_vec();
    let mut floor = low;
    for &i in &order {
        places[i] = places[i].max(floor);
        floor = places[i] + height;
    }
    let mut ceiling = high;
    for &i in order.iter().rev() {
        places[i] = places[i].min(ceiling);
        ceiling = places[i] - height;
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_reach_the_top() {
        assert_eq!(ticks(83.0, 4), [0.0, 25.0, 50.0, 75.0, 100.0]);
        assert_eq!(ticks(8.0, 4), [0.0, 2.0, 4.0, 6.0, 8.0]);
        assert_eq!(ticks(f64::NAN, 4).len(), 5);
    }

    #[test]
    fn log_ticks_enclose_what_is_drawn() {
        assert_eq!(log_ticks(0.3, 9.1), [0.2, 0.5, 1.0, 2.0, 5.0, 10.0]);
        assert_eq!(log_ticks(0.001, 60.0), [0.001, 0.01, 0.1, 1.0, 10.0, 100.0]);
        assert!(log_ticks(1.0, 1.0).len() == 1);
    }

    #[test]
    fn time_ticks_are_sensible_at_every_length() {
        let labels = |s| -> Vec<String> { time_ticks(s, 9).into_iter().map(|(_, l)| l).collect() };
        assert_eq!(labels(10.0), ["0", "2 s", "4 s", "6 s", "8 s", "10 s"]);
        assert_eq!(labels(7200.0)[..4], ["0", "15 min", "30 min", "45 min"]);
        assert_eq!(labels(7200.0)[4..6], ["1 h", "1 h 15"]);
        assert_eq!(labels(86_400.0)[1], "3 h");
        assert!(labels(1e9).len() < 15 && labels(0.01).len() < 15);
    }

    #[test]
    fn labels_move_apart_and_stay_inside() {
        let places = spread(&[10.0, 11.0, 12.0, 99.0], 14.0, (0.0, 100.0));
        assert_eq!(places, [10.0, 24.0, 38.0, 99.0]);
        assert_eq!(spread(&[99.0, 99.0], 14.0, (0.0, 100.0)), [86.0, 100.0]);
    }
}
