//! A running quantile of times, in integers: two histograms of which the older is dropped each
//! minute, so that it speaks of the last one to two minutes.
//!
//! Buckets are log-linear: eight to each octave of microseconds. What is told is the upper end of
//! the bucket that the quantile is in, so it is never less than the true one of what was recorded
//! (within 1 us and 1 h), and more by an eighth at most, or by 1 us below 8 us.

use core::fmt;

use crate::{Ratio, Span, Time};

/// Each octave has two to this many buckets.
const BITS: u32 = 3;
/// What is longer is recorded as this: an hour, in microseconds.
const LONGEST: u64 = 3_600_000_000;
const BUCKETS: usize = bucket(LONGEST) + 1;
/// How long one histogram is filled.
const TURN: Span = Span::from_secs(60);
/// How many samples it takes to tell anything.
const ENOUGH: u64 = 100;
/// How many more to tell anew.
const STEP: u64 = 16;

/// A running quantile. Reading it costs nothing: it is found anew whenever the samples kept are
/// 100 or a multiple of 16 more, and when a histogram is dropped; a sample drops one if it is the
/// first of its minute, counted from the start, and both if the minute before had none.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Quantile {
    start: Time,
    /// The minute of the latest sample.
    turn: u64,
    /// Of this minute and the one before, by the minute modulo two.
    counts: [[u32; BUCKETS]; 2],
    samples: [u64; 2],
    value: Option<Span>,
}

impl Quantile {
    pub(crate) const fn new(start: Time) -> Self {
        Self { start, turn: 0, counts: [[0; BUCKETS]; 2], samples: [0; 2], value: None }
    }

    /// The quantile; `None` before it has 100 samples, or once they are all older than a minute
    /// and more.
    pub(crate) fn value(&self, now: Time) -> Option<Span> {
        let latest = self.start + TURN * (self.turn + 2);
        self.value.filter(|_| now < latest)
    }

    /// Records a time, and finds the quantile `share` anew when it is due.
    #[inline(never)]
    pub(crate) fn record(&mut self, share: Ratio, now: Time, time: Span) {
        let turned = self.turn_to(now.since(self.start).as_nanos() / TURN.as_nanos());
        let us = (time.as_nanos() / 1_000).min(LONGEST);
        let at = (self.turn % 2) as usize;
        let count = &mut self.counts[at][bucket(us)];
        *count = count.saturating_add(1);
        self.samples[at] += 1;
        let samples = self.samples[0] + self.samples[1];
        if samples < ENOUGH {
            self.value = None;
        } else if turned || (samples - ENOUGH).is_multiple_of(STEP) {
            self.value = Some(self.find(share, samples));
        }
    }

    /// Drops what is older than the minute before `turn`; says whether it moved on.
    fn turn_to(&mut self, turn: u64) -> bool {
        if turn <= self.turn {
            return false;
        }
        for gone in (self.turn + 1)..=turn.min(self.turn + 2) {
            self.counts[(gone % 2) as usize] = [0; BUCKETS];
            self.samples[(gone % 2) as usize] = 0;
        }
        self.turn = turn;
        true
    }

    /// The upper end of the bucket that the sample of rank `ceil(share * samples)` is in.
    fn find(&self, share: Ratio, samples: u64) -> Span {
        let rank = share.of_ceil(samples).clamp(1, samples);
        let [a, b] = &self.counts;
        let mut below = 0;
        let found = a.iter().zip(b).position(|(a, b)| {
            below += u64::from(*a) + u64::from(*b);
            below >= rank
        });
        Span::from_micros(lower_end(found.unwrap_or(BUCKETS - 1) + 1))
    }

    /// Writes it as words, each with a space before it: the minute, the value in nanoseconds or
    /// `-`, then every bucket that is not empty with its histogram and place.
    pub(crate) fn write(&self, out: &mut impl fmt::Write) -> fmt::Result {
        write!(out, " {}", self.turn)?;
        match self.value {
            Some(value) => write!(out, " {}", value.as_nanos())?,
            None => write!(out, " -")?,
        }
        for (histogram, counts) in self.counts.iter().enumerate() {
            let filled = counts.iter().enumerate().filter(|(_, count)| **count > 0);
            for (place, count) in filled {
                write!(out, " {histogram},{place},{count}")?;
            }
        }
        Ok(())
    }

    /// Puts back what [`Self::write`] wrote into a new one; `None` if the words are not of that
    /// kind.
    pub(crate) fn restore<'a>(&mut self, mut words: impl Iterator<Item = &'a str>) -> Option<()> {
        self.turn = words.next()?.parse().ok()?;
        self.value = match words.next()? {
            "-" => None,
            ns => Some(Span::from_nanos(ns.parse().ok()?)),
        };
        words.try_for_each(|word| {
            let (histogram, rest) = word.split_once(',')?;
            let (place, count) = rest.split_once(',')?;
            let histogram: usize = histogram.parse().ok()?;
            let counts = self.counts.get_mut(histogram)?;
            let bucket = counts.get_mut(place.parse::<usize>().ok()?)?;
            *bucket = count.parse().ok()?;
            self.samples[histogram] += u64::from(*bucket);
            Some(())
        })
    }
}

/// Which bucket a time is in.
const fn bucket(us: u64) -> usize {
    if us < 1 << BITS {
        return us as usize;
    }
    let octave = us.ilog2() - BITS;
    ((octave as usize) << BITS) + (us >> octave) as usize
}

/// Where a bucket begins, in microseconds.
const fn lower_end(bucket: usize) -> u64 {
    if bucket < 1 << BITS {
        return bucket as u64;
    }
    let octave = (bucket >> BITS) - 1;
    let within = bucket - (octave << BITS);
    (within as u64) << octave
}

#[cfg(test)]
mod tests {
    use alloc::string::String;
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    const P95: Ratio = Ratio::from_ppm(950_000);

    fn filled(samples: u64, time: Span) -> Quantile {
        let mut quantile = Quantile::new(Time::ZERO);
        (0..samples).for_each(|_| quantile.record(P95, Time::ZERO, time));
        quantile
    }

    #[test]
    fn buckets_follow_each_other_without_a_gap() {
        for at in 0..BUCKETS {
            assert_eq!(bucket(lower_end(at)), at);
            assert_eq!(bucket(lower_end(at + 1) - 1), at);
        }
        assert!(lower_end(BUCKETS) > LONGEST);
    }

    #[test]
    fn a_hundred_samples_say_something_and_fewer_nothing() {
        assert_eq!(filled(99, Span::from_secs(1)).value(Time::ZERO), None);
        assert!(filled(100, Span::from_secs(1)).value(Time::ZERO) >= Some(Span::from_secs(1)));
    }

    #[test]
    fn it_is_found_anew_every_sixteen_samples() {
        let mut quantile = filled(100, Span::from_millis(1));
        let before = quantile.value(Time::ZERO);
        for sample in 1..=16 {
            quantile.record(P95, Time::ZERO, Span::from_secs(9));
            assert_eq!(quantile.value(Time::ZERO) == before, sample < 16, "{sample}");
        }
    }

    #[test]
    fn what_is_two_minutes_old_is_forgotten() {
        let mut quantile = filled(100, Span::from_secs(9));
        let long = quantile.value(Time::ZERO);
        let record = |quantile: &mut Quantile, second, n| {
            let (now, time) = (Time::from_secs(second), Span::from_millis(1));
            (0..n).for_each(|_| quantile.record(P95, now, time));
        };
        record(&mut quantile, 60, 100);
        assert_eq!(quantile.value(Time::from_secs(60)), long, "the minute before still counts");
        record(&mut quantile, 120, 1);
        assert!(
            quantile.value(Time::from_secs(120)) < Some(Span::from_millis(2)),
            "found anew at the turn"
        );
        assert!(quantile.value(Time::from_secs(239)).is_some());
        assert_eq!(quantile.value(Time::from_secs(240)), None, "nothing new for a minute");
        record(&mut quantile, 240, 1);
        assert_eq!(
            quantile.value(Time::from_secs(240)),
            None,
            "a minute without samples: nothing is left"
        );
    }

    #[test]
    fn what_is_longer_than_an_hour_counts_as_an_hour() {
        let hour = Span::from_secs(3_600);
        let value = filled(100, Span::MAX).value(Time::ZERO);
        assert!(value >= Some(hour) && value <= Some(hour + hour.scale(1, 8)));
    }

    #[test]
    fn what_is_written_comes_back() {
        let mut quantile = filled(130, Span::from_secs(9));
        (0..7).for_each(|_| quantile.record(P95, Time::from_secs(60), Span::from_millis(3)));
        for quantile in [quantile, filled(3, Span::from_secs(1))] {
            let mut text = String::new();
            quantile.write(&mut text).unwrap();
            let mut back = Quantile::new(Time::ZERO);
            assert_eq!(back.restore(text.split_whitespace()), Some(()));
            assert_eq!(back, quantile);
        }
        for wrong in ["", "1", "1 x", "1 - 2,0,1", "1 - 0,999,1", "1 - 0,1", "1 - 0,1,-1"] {
            let mut quantile = Quantile::new(Time::ZERO);
            assert_eq!(quantile.restore(wrong.split_whitespace()), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn it_is_never_less_than_the_true_one_and_an_eighth_more_at_most(
            magnitudes in proptest::collection::vec((0_u32..32, any::<u32>()), 100),
            ppm in 1_u32..1_000_000,
        ) {
            let share = Ratio::from_ppm(ppm);
            let us = magnitudes.iter().map(|(shift, word)| u64::from(word >> shift));
            let mut times: Vec<u64> = us.map(|us| us.clamp(1, LONGEST)).collect();
            let mut quantile = Quantile::new(Time::ZERO);
            times.iter().for_each(|us| quantile.record(share, Time::ZERO, Span::from_micros(*us)));
            times.sort_unstable();
            let rank = share.of_ceil(100).max(1) as usize;
            let exact = Span::from_micros(times[rank - 1]);
            let told = quantile.value(Time::ZERO).expect("a hundred suffice");
            let most = exact + exact.scale(1, 8).max(Span::from_micros(1));
            prop_assert!(exact <= told && told <= most, "{exact} {told}");
        }
    }
}
