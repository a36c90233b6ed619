//! The mixing function of digests and fingerprints.

use crate::{Ratio, Span, Time};

/// Two 64-bit lanes, each stepped per word by rotate, xor or add, and multiply: odd multipliers
/// make every step a bijection of the lane, so nothing that was once mixed in is forgotten. The
/// second lane reads the high half of the first, where the multiplication has mixed most.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Mixer {
    a: u64,
    b: u64,
}

/// 2^64 / golden ratio, and the two multipliers of MurmurHash3's 128-bit variant.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;
const FIRST: u64 = 0x87C3_7B91_1142_53D5;
const SECOND: u64 = 0x4CF5_AD43_2745_937F;

impl Mixer {
    pub(super) const fn new(seed: u64) -> Self {
        Self { a: GOLDEN ^ seed, b: GOLDEN.rotate_left(32) ^ seed }
    }

    #[inline]
    pub(super) const fn word(&mut self, word: u64) {
        self.a = (self.a.rotate_left(29) ^ word).wrapping_mul(FIRST);
        self.b = self.b.rotate_left(23).wrapping_add(word ^ self.a >> 32).wrapping_mul(SECOND);
    }

    pub(super) const fn time(&mut self, time: Time) {
        self.word(time.as_nanos());
    }

    pub(super) const fn span(&mut self, span: Span) {
        self.word(span.as_nanos());
    }

    pub(super) const fn ratio(&mut self, ratio: Ratio) {
        self.word(pair(ratio.numerator(), ratio.denominator()));
    }

    /// An optional word of which no presence bit was kept.
    pub(super) fn option(&mut self, word: Option<u64>) {
        self.word(u64::from(word.is_some()));
        self.word(word.unwrap_or(0));
    }

    /// Both lanes through MurmurHash3's finaliser, crosswise.
    pub(super) const fn value(self) -> u128 {
        let a = avalanche(self.a.wrapping_add(self.b));
        let b = avalanche(self.b ^ a.rotate_left(32));
        (a as u128) << 64 | b as u128
    }
}

const fn avalanche(mut word: u64) -> u64 {
    word = (word ^ word >> 33).wrapping_mul(0xFF51_AFD7_ED55_8CCD);
    word = (word ^ word >> 33).wrapping_mul(0xC4CE_B9FE_1A85_EC53);
    word ^ word >> 33
}

pub(super) const fn pair(high: u32, low: u32) -> u64 {
    (high as u64) << 32 | low as u64
}
