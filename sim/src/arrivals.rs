//! When calls arrive: one at a time, each drawn when the one before it arrives.

use router_core::{Purpose, Seed, Span, Stream, Time};

use crate::plan::{Arrivals, Plan, Segment, Shape};
use crate::sample;

/// One demand's arrivals, generated lazily. The only draws in the world that are sequential:
/// each demand has a stream of its own, so another demand changes nothing of it.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    stream: Stream,
    /// Of a count or a trace: how many came; of segments: which one.
    place: usize,
    /// Of segments: when the current one began.
    began: Time,
    last: Time,
}

impl Clock {
    pub(crate) fn new(seed: Seed, source: u32) -> Self {
        let stream = seed.stream(Purpose::Arrivals, source);
        Self { stream, place: 0, began: Time::ZERO, last: Time::ZERO }
    }

    /// The next arrival, if there is one.
    ///
    /// # Panics
    /// If a trace goes back in time.
    pub(crate) fn next(&mut self, arrivals: &Arrivals) -> Option<Time> {
        let next = match arrivals {
            Arrivals::Constant { gap, count } => {
                let more = (self.place as u64) < *count;
                self.place += usize::from(more);
                more.then(|| self.last + *gap)
            }
            Arrivals::Trace(rows) => {
                let row = rows.get(self.place)?;
                self.place += 1;
                Some(Time::ZERO + row.at)
            }
            Arrivals::Poisson(segments) => self.thinned(segments),
        }?;
        assert!(next >= self.last, "a trace's rows are in order of time");
        self.last = next;
        Some(next)
    }

    /// Lewis and Shedler's thinning, segment by segment with each segment's own greatest rate.
    /// A Poisson process forgets, so starting anew at each border changes nothing.
    fn thinned(&mut self, segments: &[Segment]) -> Option<Time> {
        let mut at = self.last;
        loop {
            let segment = segments.get(self.place)?;
            let most = segment.shape.greatest();
            let end = self.began + segment.lasts;
            loop {
                if most <= 0.0 {
                    break;
                }
                let gap = sample::exponential(self.stream.word()) / most;
                at = at + sample::nanos(gap * 1e9);
                if at >= end {
                    break;
                }
                let accepted = match segment.shape {
                    Shape::Flat(_) => true,
                    Shape::Ramp { .. } | Shape::Decay { .. } => {
                        let rate = segment.shape.rate(at.since(self.began), segment.lasts);
                        sample::unit(self.stream.word()) * most < rate
                    }
                };
                if accepted {
                    return Some(at);
                }
            }
            self.place += 1;
            self.began = end;
            at = end;
        }
    }
}

impl Shape {
    /// The rate `after` the start of a segment that `lasts` so long, in calls per second.
    pub fn rate(&self, after: Span, lasts: Span) -> f64 {
        let after = after.as_nanos() as f64;
        match *self {
            Self::Flat(rate) => rate,
            Self::Ramp { from, to } => from + (to - from) * after / lasts.as_nanos() as f64,
            Self::Decay { from, floor, half_life } => {
                floor + (from - floor) * libm::exp2(-after / half_life.as_nanos() as f64)
            }
        }
    }

    /// The greatest rate over any segment of this shape, in calls per second.
    pub fn greatest(&self) -> f64 {
        match *self {
            Self::Flat(rate) => rate,
            Self::Ramp { from, to } => from.max(to),
            Self::Decay { from, floor, .. } => from.max(floor),
        }
    }
}

impl Arrivals {
    /// When the last call may come.
    pub fn horizon(&self) -> Time {
        match self {
            Self::Constant { gap, count } => Time::ZERO + *gap * *count,
            Self::Poisson(segments) => segments.iter().fold(Time::ZERO, |t, s| t + s.lasts),
            Self::Trace(rows) => rows.last().map_or(Time::ZERO, |row| Time::ZERO + row.at),
        }
    }
}

impl Plan {
    /// When the last call may come.
    pub fn horizon(&self) -> Time {
        self.demands.iter().map(|d| d.arrivals.horizon()).max().unwrap_or(Time::ZERO)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::plan::TraceRow;

    fn all(arrivals: &Arrivals, seed: u64) -> Vec<Time> {
        let mut clock = Clock::new(Seed::from_u64(seed), 3);
        std::iter::from_fn(|| clock.next(arrivals)).collect()
    }

    #[test]
    fn constant_arrivals_come_at_exact_intervals() {
        let arrivals = Arrivals::Constant { gap: Span::from_millis(250), count: 3 };
        let expected: Vec<_> =
            [250, 500, 750].map(|ms| Time::ZERO + Span::from_millis(ms)).to_vec();
        assert_eq!(all(&arrivals, 1), expected);
        assert_eq!(arrivals.horizon(), expected[2]);
    }

    #[test]
    fn a_trace_arrives_as_recorded_and_may_have_ties() {
        let row = |ms| TraceRow { at: Span::from_millis(ms), input_tokens: 1, output_tokens: 1 };
        let arrivals = Arrivals::Trace(Arc::new([row(0), row(7), row(7), row(9)]));
        let at: Vec<_> = all(&arrivals, 1).iter().map(|t| t.as_nanos() / 1_000_000).collect();
        assert_eq!(at, [0, 7, 7, 9]);
    }

    #[test]
    fn each_segment_gets_the_calls_its_rate_asks_for() {
        let hour = Span::from_secs(3600);
        let segment = |shape| Segment { lasts: hour, shape };
        let half_life = Span::from_secs(900);
        let arrivals = Arrivals::Poisson(vec![
            segment(Shape::Flat(2.0)),
            segment(Shape::Flat(0.0)),
            segment(Shape::Ramp { from: 1.0, to: 7.0 }),
            segment(Shape::Decay { from: 8.0, floor: 1.0, half_life }),
        ]);
        // The integral of each rate over its hour; the decay's is
        // 3600 + 7 * 900 / ln 2 * (1 - 2^-4) = 12121.
        let expected = [7200.0, 0.0, 14_400.0, 12_121.0_f64];
        let times = all(&arrivals, 5);
        for (i, mean) in expected.iter().enumerate() {
            let from = Time::from_secs(3600 * i as u64);
            let count = times.iter().filter(|&&t| t >= from && t < from + hour).count() as f64;
            assert!((count - mean).abs() <= 4.0 * mean.sqrt(), "segment {i}: {count} of {mean}");
        }
        // And within the ramp, the second half has 5.5 / 8 of them.
        let from = Time::from_secs(7200);
        let half = from + Span::from_secs(1800);
        let late = times.iter().filter(|&&t| t >= half && t < from + hour).count() as f64;
        assert!((late - 9900.0).abs() < 4.0 * 9900_f64.sqrt(), "{late}");
    }
}
