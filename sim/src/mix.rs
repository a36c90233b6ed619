//! Which of several a call has: whose account it is on, or a label.

use std::sync::Arc;

/// What a number is drawn from, once per call: every try of it has the same.
#[derive(Clone, Debug)]
pub enum Mix {
    /// Always this one; zero is none.
    Always(u32),
    /// One of several, each with the word up to which it is the one; none above the last.
    Drawn(Arc<[(u64, u32)]>),
}

impl Mix {
    /// None.
    pub const NONE: Self = Self::Always(0);

    /// Each number for so many parts per million of the calls, at most a million in all; none for
    /// the others.
    ///
    /// # Panics
    /// If they are more than a million in all.
    pub fn shares(shares: impl IntoIterator<Item = (u32, u32)>) -> Self {
        let mut parts = 0_u64;
        let upto = shares.into_iter().filter(|(ppm, _)| *ppm > 0).map(|(ppm, number)| {
            parts += u64::from(ppm);
            assert!(parts <= 1_000_000, "shares are at most the whole");
            let words = (u128::from(parts) << 64) / 1_000_000;
            ((words - 1) as u64, number)
        });
        Self::Drawn(upto.collect())
    }

    /// Numbers `first` to `first + count - 1`, the kth with a weight of `k` to the power of
    /// minus `exponent`: Zipf's law. Zero is all alike.
    ///
    /// # Panics
    /// If there are none.
    pub fn zipf(count: u32, exponent: f64, first: u32) -> Self {
        assert!(count > 0, "a crowd is of somebody");
        let weight = |k: u32| libm::pow(f64::from(k), -exponent);
        let whole: f64 = (1..=count).map(weight).sum();
        let words = 18_446_744_073_709_551_616.0 / whole;
        let mut sum = 0.0;
        let upto = (1..=count).map(|k| {
            sum += weight(k);
            let upto = if k == count { u64::MAX } else { (sum * words) as u64 };
            (upto, first + (k - 1))
        });
        Self::Drawn(upto.collect())
    }

    /// Whether it is none, for sure.
    pub(crate) const fn is_none(&self) -> bool {
        matches!(self, Self::Always(0))
    }

    /// The number for a uniform word, which is asked for if it matters.
    pub(crate) fn draw(&self, word: impl FnOnce() -> u64) -> u32 {
        match self {
            Self::Always(number) => *number,
            Self::Drawn(upto) => {
                let word = word();
                let place = upto.partition_point(|(upto, _)| *upto < word);
                upto.get(place).map_or(0, |(_, number)| *number)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use router_core::{Counter, Purpose, Seed};

    use super::*;

    /// How often each number comes in a hundred thousand draws.
    fn counts(mix: &Mix, most: usize) -> Vec<u32> {
        let key = Seed::from_u64(1).key(Purpose::Client);
        let mut counts = vec![0; most + 1];
        for request in 0..100_000 {
            counts[mix.draw(|| key.word(Counter { request, ..Counter::default() })) as usize] += 1;
        }
        counts
    }

    #[test]
    fn each_has_its_share_and_the_rest_nobody() {
        let counts = counts(&Mix::shares([(700_000, 2), (0, 3), (200_000, 1)]), 3);
        // Four standard deviations of the least share are 380.
        for (count, share) in counts.iter().zip([10_000, 20_000, 70_000, 0_u32]) {
            assert!(count.abs_diff(share) < 600, "{counts:?}");
        }
        assert_eq!(counts[3], 0);
        let whole = Mix::shares([(400_000, 1), (600_000, 2)]);
        assert_eq!((whole.draw(|| 0), whole.draw(|| u64::MAX)), (1, 2));
        assert_eq!(Mix::NONE.draw(|| unreachable!()), 0);
    }

    #[test]
    fn the_kth_of_a_crowd_comes_a_kth_as_often() {
        let crowd = Mix::zipf(4, 1.0, 7);
        let counts = counts(&crowd, 10);
        // 12, 6, 4 and 3 of 25.
        for (count, share) in counts[7..].iter().zip([48_000, 24_000, 16_000, 12_000_u32]) {
            assert!(count.abs_diff(share) < 600, "{counts:?}");
        }
        assert_eq!((crowd.draw(|| 0), crowd.draw(|| u64::MAX)), (7, 10));
        let alike = Mix::zipf(2, 0.0, 1);
        assert_eq!((alike.draw(|| u64::MAX / 2), alike.draw(|| u64::MAX / 2 + 2)), (1, 2));
    }
}
