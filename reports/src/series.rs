//! Figures over time: the bins that charts are drawn from, and the beats that times to recover
//! are read from.

use std::iter::Sum;

use router_core::{Span, Time};

use crate::{Coarse, RANKS, Rungs};

/// A bin of the time series.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Bin {
    /// By [`router_core::GroupId`].
    pub groups: Vec<CallsInBin>,
    /// By [`router_core::DeploymentId`].
    pub deployments: Vec<AttemptsInBin>,
    /// Attempts dispatched by membership, beside [`crate::Figures::members`].
    pub members: Vec<u64>,
}

/// Calls of one group that arrived in a bin.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct CallsInBin {
    /// Calls begun.
    pub offered: u64,
    /// Calls that ended and were dispatched at least once.
    pub admitted: u64,
    /// Calls answered in full.
    pub answered: u64,
    /// Calls that ended otherwise: partial, failed or left, or with a static text.
    pub failed: u64,
    /// Calls that a rung answered which is not the full answer.
    pub rungs: Rungs,
    /// From arrival to first token.
    pub ttft: Coarse,
    /// From arrival to the end, of calls answered in full.
    pub total: Coarse,
    /// The most of each class that waited in the group's queue at once.
    pub waiting: [u32; RANKS],
    /// How long the longest of each class waited that left the queue for an attempt in this bin.
    pub longest_wait: [Span; RANKS],
    /// Submissions that the queue, or the group's bound, turned away in this bin.
    pub turned_away: u64,
}

/// Attempts on one deployment in a bin.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct AttemptsInBin {
    /// Dispatched in this bin.
    pub dispatched: u64,
    /// Answered in this bin.
    pub answered: u64,
    /// Failed in this bin.
    pub failed: u64,
    /// Of those dispatched, not the first of their request and in the group of the one before.
    pub retried: u64,
    /// Of those dispatched, hedges.
    pub hedges: u64,
    /// Of those dispatched, half-open breakers' probes.
    pub probes: u64,
    /// What those that ended in this bin cost, in pico-dollars.
    pub cost_pico: u128,
}

/// A fine series of all calls, by arrival, that sliding windows are laid over. Of 31 days, the
/// longest that scenarios may last, it takes at most 200 MB.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Pulse {
    /// The width of a beat: 1 s, or as much of 30 s as keeps the series to 7,200 beats; 30 s, a
    /// whole window of a recovery, where nothing does.
    pub step: Span,
    /// Beat `i` is the calls that arrived from `i * step`, up to the horizon.
    pub beats: Vec<Beat>,
}

impl Pulse {
    /// An empty series up to `horizon`.
    pub fn new(horizon: Time) -> Self {
        let horizon_s = horizon.as_nanos().div_ceil(1_000_000_000).max(1);
        // Divisors of 30, so that the window of a recovery is a whole number of beats.
        let fits = [1, 2, 3, 5, 6, 10, 15].into_iter().find(|step| horizon_s / step <= 7_200);
        let step = fits.unwrap_or(30);
        let beats = usize::try_from(horizon_s.div_ceil(step)).expect("a horizon that fits");
        Self { step: Span::from_secs(step), beats: vec![Beat::default(); beats] }
    }
}

/// The calls that arrived in one step of a [`Pulse`].
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Beat {
    /// Ended by the end of the run.
    pub ended: u64,
    /// Answered in full.
    pub answered: u64,
    /// Attempts made for them.
    pub attempts: u64,
    /// From arrival to first token.
    pub ttft: Coarse,
}

impl Beat {
    /// Adds everything that `other` counted.
    pub fn merge(&mut self, other: &Self) {
        self.ended += other.ended;
        self.answered += other.answered;
        self.attempts += other.attempts;
        self.ttft.merge(&other.ttft);
    }
}

impl<'a> Sum<&'a Self> for Beat {
    fn sum<I: Iterator<Item = &'a Self>>(beats: I) -> Self {
        beats.fold(Self::default(), |mut sum, beat| {
            sum.merge(beat);
            sum
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_run_has_a_coarser_pulse() {
        let day = Pulse::new(Time::from_secs(86_400));
        assert_eq!((day.step, day.beats.len()), (Span::from_secs(15), 5_760));
    }

    #[test]
    fn a_month_fits_in_memory() {
        let month = Pulse::new(Time::from_secs(31 * 86_400));
        assert_eq!(month.step, Span::from_secs(30), "a recovery's window is still whole beats");
        let full_beat = size_of::<Beat>() + Coarse::BUCKETS * size_of::<u32>();
        let bytes = month.beats.len() * full_beat;
        assert!(bytes <= 200_000_000, "{bytes}");
    }
}
