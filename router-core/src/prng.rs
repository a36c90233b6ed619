//! Seeded randomness, integers only.
//!
//! ChaCha8 expands a [`Seed`] once into one 64-bit [`Key`] per [`Purpose`] and drives the few
//! sequential [`Stream`]s. Every other draw is *keyed*: Philox4x32-10 of a counter that names
//! what the draw is for, so an extra draw somewhere changes no draw anywhere else.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng};

/// The root of every random draw.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Seed([u8; 32]);

impl Seed {
    /// Widens a short, human-sized seed.
    pub const fn from_u64(seed: u64) -> Self {
        let mut bytes = [0; 32];
        let short = seed.to_le_bytes();
        let mut i = 0;
        while i < 8 {
            bytes[i] = short[i];
            i += 1;
        }
        Self(bytes)
    }

    /// The key for keyed draws of one purpose.
    pub fn key(self, purpose: Purpose) -> Key {
        Key(self.stream(purpose, u32::MAX).word())
    }

    /// A sequential generator for one purpose and one entity (a demand, a swarm's world).
    pub fn stream(self, purpose: Purpose, entity: u32) -> Stream {
        let mut rng = ChaCha8Rng::from_seed(self.0);
        rng.set_stream((purpose as u64) << 32 | u64::from(entity));
        Stream(rng)
    }
}

/// What a draw is for. The numbers are part of every seed's meaning and never change.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u16)]
pub enum Purpose {
    /// Choosing among eligible deployments.
    Select = 1,
    /// Spreading a router's retries.
    Backoff = 2,
    /// Spreading the ends of rests.
    Rest = 3,
    /// Where affinities fall; of no router's own seed, see the sticky strategy.
    Sticky = 4,
    /// The order of arrivals (sequential, one stream per demand).
    Arrivals = 16,
    /// Prompt lengths.
    InputTokens = 17,
    /// Completion lengths.
    OutputTokens = 18,
    /// A client's own retry jitter.
    Client = 19,
    /// Time to first token.
    FirstToken = 22,
    /// Time per output token.
    PerToken = 23,
    /// Whether a call fails of itself.
    Error = 24,
    /// Whether a fault touches a call.
    Fault = 25,
    /// Which rows a sampled table keeps.
    Sample = 26,
    /// Random worlds of a property test or a swarm.
    Swarm = 28,
}

/// What one keyed draw is for: 128 bits, unique to it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counter {
    /// The request, as [`crate::RequestId::as_u64`].
    pub request: u64,
    /// The entity drawn for (a deployment, a fault), below 2^24.
    pub entity: u32,
    /// The attempt's ordinal; without it a retry would fail for ever.
    pub attempt: u8,
    /// Which of several draws.
    pub index: u32,
}

/// The key of one purpose's draws.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Key(u64);

impl Key {
    /// Two independent uniform words for `counter`.
    pub fn words(self, counter: Counter) -> [u64; 2] {
        assert!(counter.entity < 1 << 24, "an entity has 24 bits");
        let block = [
            counter.index,
            counter.entity << 8 | u32::from(counter.attempt),
            counter.request as u32,
            (counter.request >> 32) as u32,
        ];
        let [a, b, c, d] = philox4x32_10(block, [self.0 as u32, (self.0 >> 32) as u32]);
        [u64::from(b) << 32 | u64::from(a), u64::from(d) << 32 | u64::from(c)]
    }

    /// A uniform word for `counter`.
    pub fn word(self, counter: Counter) -> u64 {
        self.words(counter)[0]
    }

    /// A uniform integer in `0..bound`: multiply-shift of a 64-bit word, whose bias
    /// (`bound / 2^64`) no experiment of fewer than 2^40 draws could show.
    pub fn below(self, bound: u64, counter: Counter) -> u64 {
        assert!(bound > 0, "an empty range has no members");
        scale(self.word(counter), bound)
    }

    /// True with probability `ratio`.
    pub fn chance(self, ratio: Ratio, counter: Counter) -> bool {
        ratio.hit(self.word(counter))
    }
}

/// `word` as a fraction of 2^64, times `bound`.
fn scale(word: u64, bound: u64) -> u64 {
    ((u128::from(word) * u128::from(bound)) >> 64) as u64
}

/// Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
fn philox4x32_10(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..10 {
        let a = u64::from(counter[0]) * 0xD251_1F53;
        let b = u64::from(counter[2]) * 0xCD9E_8D57;
        counter = [
            (b >> 32) as u32 ^ counter[1] ^ key[0],
            b as u32,
            (a >> 32) as u32 ^ counter[3] ^ key[1],
            a as u32,
        ];
        key = [key[0].wrapping_add(0x9E37_79B9), key[1].wrapping_add(0xBB67_AE85)];
    }
    counter
}

/// A value-stable sequential generator (ChaCha8).
#[derive(Clone, Debug)]
pub struct Stream(ChaCha8Rng);

impl Stream {
    /// The next uniform word.
    pub fn word(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// The next uniform integer in `0..bound`; see [`Key::below`] for its bias.
    pub fn below(&mut self, bound: u64) -> u64 {
        assert!(bound > 0, "an empty range has no members");
        scale(self.word(), bound)
    }

    /// True with probability `ratio`.
    pub fn chance(&mut self, ratio: Ratio) -> bool {
        ratio.hit(self.word())
    }
}

/// An exact fraction, at most one when it is a probability.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Ratio {
    numerator: u32,
    denominator: u32,
}

impl Ratio {
    /// Nothing of it.
    pub const ZERO: Self = Self { numerator: 0, denominator: 1 };
    /// All of it.
    pub const ONE: Self = Self { numerator: 1, denominator: 1 };

    /// `numerator / denominator`; `None` if the denominator is zero.
    pub const fn new(numerator: u32, denominator: u32) -> Option<Self> {
        if denominator == 0 { None } else { Some(Self { numerator, denominator }) }
    }

    /// `ppm` parts per million.
    pub const fn from_ppm(ppm: u32) -> Self {
        Self { numerator: ppm, denominator: 1_000_000 }
    }

    /// Above the bar.
    pub const fn numerator(self) -> u32 {
        self.numerator
    }

    /// Below the bar, never zero.
    pub const fn denominator(self) -> u32 {
        self.denominator
    }

    /// Whether it is nothing, whatever it is nothing of: `0 / 7` is not *equal* to `0 / 1`.
    pub const fn is_zero(self) -> bool {
        self.numerator == 0
    }

    /// Whether this is at most one, as a probability or a share must be.
    pub const fn is_share(self) -> bool {
        self.numerator <= self.denominator
    }

    /// Whether `part / whole` is at least this.
    pub const fn reached_by(self, part: u64, whole: u64) -> bool {
        part as u128 * self.denominator as u128 >= whole as u128 * self.numerator as u128
    }

    /// This share of `whole`, rounded up.
    pub const fn of_ceil(self, whole: u64) -> u64 {
        (whole as u128 * self.numerator as u128).div_ceil(self.denominator as u128) as u64
    }

    /// Whether a uniform `word` falls within this share of all words.
    const fn hit(self, word: u64) -> bool {
        (word as u128 * self.denominator as u128) < (self.numerator as u128) << 64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The known-answer vectors that Random123 publishes (`kat_vectors`).
    #[test]
    fn philox_gives_its_published_vectors() {
        assert_eq!(
            philox4x32_10([0; 4], [0; 2]),
            [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]
        );
        assert_eq!(
            philox4x32_10([u32::MAX; 4], [u32::MAX; 2]),
            [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]
        );
        assert_eq!(
            philox4x32_10(
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
                [0xa409_3822, 0x299f_31d0]
            ),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }

    #[test]
    fn a_ratio_hits_as_often_as_it_says() {
        let key = Seed::from_u64(1).key(Purpose::Fault);
        let third = Ratio::new(1, 3).unwrap();
        let hits = (0..30_000)
            .filter(|&request| key.chance(third, Counter { request, ..Counter::default() }))
            .count();
        assert!((9_700..10_300).contains(&hits), "{hits}");
        assert!(Ratio::ONE.hit(u64::MAX) && !Ratio::ZERO.hit(0));
    }
}
