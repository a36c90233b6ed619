//! Log-linear histograms of spans.
//!
//! Why our own and not `hdrhistogram`: two resolutions whose shape is known at compile time, so
//! that recording is a shift and an increment; no allocation before the first sample; whole
//! integers throughout, so that merging in any order gives the same bytes.

use router_core::{Ratio, Span};

/// The histogram of expectations and tables: from 1 us to 4.9 hours, a quantile within 0.8 %.
pub type Fine = Histogram<6, 10, 34>;

/// The histogram of time series: from 1 ms to 18 minutes, a quantile within 1.6 %.
pub type Coarse = Histogram<5, 20, 20>;

/// Counts of spans in buckets: `2^SUB` to each power of two, over a unit of `2^UNIT` ns.
///
/// A quantile is the middle of its bucket, so it is off by at most one part in `2^(SUB+1)`, or
/// by half a unit where that is more. Count, mean, least and greatest are exact. Spans of
/// `2^TOP` units and more share the last bucket.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Histogram<const SUB: u32, const UNIT: u32, const TOP: u32> {
    /// Empty until the first sample.
    counts: Vec<u32>,
    count: u64,
    sum_ns: u128,
    min_ns: u64,
    max_ns: u64,
}

impl<const SUB: u32, const UNIT: u32, const TOP: u32> Histogram<SUB, UNIT, TOP> {
    pub(crate) const BUCKETS: usize = ((TOP - SUB + 1) << SUB) as usize;

    /// Counts one span.
    pub fn record(&mut self, span: Span) {
        if self.counts.is_empty() {
            self.counts = vec![0; Self::BUCKETS];
            self.min_ns = u64::MAX;
        }
        let ns = span.as_nanos();
        // A bucket of four thousand million samples stays there rather than starting anew.
        let bucket = &mut self.counts[Self::bucket_of(ns)];
        *bucket = bucket.saturating_add(1);
        self.count += 1;
        self.sum_ns += u128::from(ns);
        self.min_ns = self.min_ns.min(ns);
        self.max_ns = self.max_ns.max(ns);
    }

    /// Adds everything that `other` counted.
    pub fn merge(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        if self.count == 0 {
            self.clone_from(other);
            return;
        }
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine = mine.saturating_add(*theirs);
        }
        self.count += other.count;
        self.sum_ns += other.sum_ns;
        self.min_ns = self.min_ns.min(other.min_ns);
        self.max_ns = self.max_ns.max(other.max_ns);
    }

    /// How many samples.
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The sum of all samples, in nanoseconds.
    pub const fn sum_ns(&self) -> u128 {
        self.sum_ns
    }

    /// The mean, rounded down.
    pub fn mean(&self) -> Option<Span> {
        let mean = self.sum_ns.checked_div(u128::from(self.count))?;
        Some(Span::from_nanos(u64::try_from(mean).expect("a mean is at most the greatest")))
    }

    /// The least.
    pub fn min(&self) -> Option<Span> {
        (self.count > 0).then(|| Span::from_nanos(self.min_ns))
    }

    /// The greatest.
    pub fn max(&self) -> Option<Span> {
        (self.count > 0).then(|| Span::from_nanos(self.max_ns))
    }

    /// The sample of rank `ceil(q * count)`, counted from one (the "nearest rank" quantile).
    pub fn quantile(&self, q: Ratio) -> Option<Span> {
        let rank = q.of_ceil(self.count).clamp(1, self.count.max(1));
        let mut seen = 0;
        for (bucket, &count) in self.counts.iter().enumerate() {
            seen += u64::from(count);
            if seen >= rank {
                let ns = Self::middle_of(bucket).clamp(self.min_ns, self.max_ns);
                return Some(Span::from_nanos(if rank == self.count { self.max_ns } else { ns }));
            }
        }
        None
    }

    /// The median.
    pub fn p50(&self) -> Option<Span> {
        self.quantile(Ratio::from_ppm(500_000))
    }

    /// What 95 % of the samples do not exceed.
    pub fn p95(&self) -> Option<Span> {
        self.quantile(Ratio::from_ppm(950_000))
    }

    /// What 99 % of the samples do not exceed.
    pub fn p99(&self) -> Option<Span> {
        self.quantile(Ratio::from_ppm(990_000))
    }

    const fn bucket_of(ns: u64) -> usize {
        let units = ns >> UNIT;
        let top = (1 << TOP) - 1;
        let units = if units > top { top } else { units };
        let shift = (units | 1 << SUB).ilog2() - SUB;
        ((shift << SUB) as u64 + (units >> shift)) as usize
    }

    const fn middle_of(bucket: usize) -> u64 {
        let shift = (bucket >> SUB).saturating_sub(1) as u32;
        let units = (bucket as u64 - ((shift as u64) << SUB)) << shift;
        (units << UNIT) + ((1_u64 << shift << UNIT) >> 1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn filled<const S: u32, const U: u32, const T: u32>(ns: &[u64]) -> Histogram<S, U, T> {
        let mut histogram = Histogram::default();
        ns.iter().for_each(|&ns| histogram.record(Span::from_nanos(ns)));
        histogram
    }

    fn off(got: u64, exact: u64) -> u64 {
        got.abs_diff(exact)
    }

    #[test]
    fn nothing_recorded_has_no_quantile() {
        let empty = Fine::default();
        assert_eq!((empty.p50(), empty.mean(), empty.min(), empty.max()), (None, None, None, None));
        assert!(empty.is_empty());
    }

    #[test]
    fn buckets_follow_each_other_without_gap_or_overlap() {
        for bucket in 1..Fine::BUCKETS {
            let (before, here) = (Fine::middle_of(bucket - 1), Fine::middle_of(bucket));
            assert!(before < here, "bucket {bucket}");
            assert_eq!(Fine::bucket_of(here), bucket);
        }
        assert_eq!(Fine::bucket_of(u64::MAX), Fine::BUCKETS - 1);
        assert_eq!(Coarse::bucket_of(u64::MAX), Coarse::BUCKETS - 1);
    }

    #[test]
    fn one_sample_is_every_quantile_exactly() {
        let one = filled::<6, 10, 34>(&[1_234_567_891]);
        for ppm in [0, 1, 500_000, 1_000_000] {
            assert_eq!(one.quantile(Ratio::from_ppm(ppm)), Some(Span::from_nanos(1_234_567_891)));
        }
    }

    #[test]
    fn the_median_of_an_even_count_is_the_lower_of_the_middle_two() {
        let four = filled::<6, 10, 34>(&[1_000_000, 2_000_000, 3_000_000, 4_000_000]);
        let p50 = four.p50().unwrap().as_nanos();
        assert!(off(p50, 2_000_000) <= 2_000_000 / 128, "{p50}");
        assert_eq!(four.mean(), Some(Span::from_micros(2_500)));
    }

    proptest! {
        #[test]
        fn a_quantile_is_within_its_stated_error(
            mut ns in prop::collection::vec(0..15_000_000_000_000_u64, 1..200),
            ppm in 0..=1_000_000_u32,
        ) {
            let fine = filled::<6, 10, 34>(&ns);
            let coarse = filled::<5, 20, 20>(&ns);
            ns.sort_unstable();
            let q = Ratio::from_ppm(ppm);
            let exact = ns[q.of_ceil(ns.len() as u64).max(1) as usize - 1];
            let got = fine.quantile(q).unwrap().as_nanos();
            prop_assert!(off(got, exact) <= (exact / 128).max(512) + 1, "{got} for {exact}");
            if exact < 1 << 40 {
                let got = coarse.quantile(q).unwrap().as_nanos();
                prop_assert!(off(got, exact) <= (exact / 64).max(1 << 19) + 1, "{got} for {exact}");
            }
            prop_assert_eq!(fine.min().unwrap().as_nanos(), ns[0]);
            prop_assert_eq!(fine.max().unwrap().as_nanos(), *ns.last().unwrap());
            prop_assert_eq!(fine.sum_ns(), ns.iter().map(|&ns| u128::from(ns)).sum::<u128>());
        }

        #[test]
        fn merging_is_recording_everything_in_one(
            a in prop::collection::vec(0..u64::MAX, 0..50),
            b in prop::collection::vec(0..u64::MAX, 0..50),
        ) {
            let mut merged = filled::<6, 10, 34>(&a);
            merged.merge(&filled(&b));
            let mut both = a.clone();
            both.extend(&b);
            prop_assert_eq!(merged, filled(&both));
        }
    }
}
