//! Samplers: from a uniform 64-bit word to a number of some distribution.
//!
//! They call `libm`, never the platform, so a word means the same number everywhere; durations
//! are quantised to nanoseconds at once. Each takes exactly one word, so a draw that is keyed
//! for one purpose can never shift another.

use router_core::{Ratio, Span};

/// A uniform number in `[0, 1)`, from the upper 53 bits of `word`.
pub(crate) fn unit(word: u64) -> f64 {
    (word >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
}

/// An exponential number of mean one, by inversion.
pub(crate) fn exponential(word: u64) -> f64 {
    0.0 - libm::log(1.0 - unit(word))
}

/// A standard normal number, by inversion: Wichura's algorithm AS 241 (PPND16), "The percentage
/// points of the normal distribution", Applied Statistics 37(3), 1988; relative error 1e-16.
///
/// Inversion and not Box-Muller: one word each, and 85 % of draws need no logarithm.
pub(crate) fn normal(word: u64) -> f64 {
    // 52 bits and a half: neither zero nor one, and exact.
    let p = ((word >> 12) as f64 + 0.5) * (1.0 / (1_u64 << 52) as f64);
    let q = p - 0.5;
    if q.abs() <= 0.425 {
        let r = 0.180_625 - q * q;
        return q * ratio(r, &CENTRE);
    }
    let tail = if q < 0.0 { p } else { 1.0 - p };
    let r = libm::sqrt(-libm::log(tail));
    let z = if r <= 5.0 { ratio(r - 1.6, &MIDDLE) } else { ratio(r - 5.0, &FAR) };
    if q < 0.0 { -z } else { z }
}

/// A lognormal number: `median * exp(sigma * normal)`.
pub(crate) fn lognormal(median: f64, sigma: f64, word: u64) -> f64 {
    if sigma == 0.0 { median } else { median * exp(sigma * normal(word)) }
}

/// A Pareto number of scale one, by inversion: `(1 - u)^(-1 / shape)`.
pub(crate) fn pareto(shape: f64, word: u64) -> f64 {
    exp(exponential(word) / shape)
}

/// Nanoseconds as a span: rounded down, zero if negative or not a number, saturating.
pub(crate) fn nanos(ns: f64) -> Span {
    Span::from_nanos(ns as u64)
}

/// A point between equally spaced quantiles, linearly: the word picks a place from the first
/// of `points` (the minimum) to the last (the maximum).
///
/// # Panics
/// If there are no points.
pub(crate) fn quantile(points: &[u32], word: u64) -> u32 {
    let place = u128::from(word) * (points.len() - 1) as u128;
    let (segment, part) = ((place >> 64) as usize, place as u64);
    let low = u64::from(points[segment]);
    let Some(&high) = points.get(segment + 1) else { return points[segment] };
    let rise = u64::from(high).saturating_sub(low);
    // Half is added before the shift: rounding down would take half a token off every mean.
    (low + ((u128::from(part) * u128::from(rise) + (1 << 63)) >> 64) as u64) as u32
}

/// A probability, ready to be compared with words.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Chance(u128);

impl Chance {
    /// It never happens.
    pub(crate) const NEVER: Self = Self(0);

    /// From a share; above one counts as one.
    pub(crate) fn new(ratio: Ratio) -> Self {
        let whole = 1_u128 << 64;
        let part = (u128::from(ratio.numerator()) << 64) / u128::from(ratio.denominator());
        Self(part.min(whole))
    }

    /// Whether it never happens, whatever the word.
    pub(crate) const fn never(self) -> bool {
        self.0 == 0
    }

    /// Whether it happens for this word. The word is not asked for when it is sure either way,
    /// so certainty costs no draw.
    pub(crate) fn hit(self, word: impl FnOnce() -> u64) -> bool {
        match self.0 {
            0 => false,
            sure if sure == 1 << 64 => true,
            part => u128::from(word()) < part,
        }
    }
}

/// `e^x`, within 3e-16 of itself: `2^n` times the Taylor polynomial of what is left, at most
/// `ln 2 / 2` (Cody and Waite, "Software Manual for the Elementary Functions", 1980, chapter 6).
///
/// libm's takes three times as long, and four of them were a fifteenth of a request's time. Only
/// sums and products, which are the same everywhere.
fn exp(x: f64) -> f64 {
    if x.abs() > 700.0 {
        return libm::exp(x);
    }
    // Adding it rounds to an integer, which then stands in the lowest bits.
    const ROUND: f64 = (3_u64 << 51) as f64;
    const LN_2: [f64; 2] = [f64::from_bits(0x3FE6_2E42_FEE0_0000), 1.908_214_929_270_587_7e-10];
    let rounded = x * std::f64::consts::LOG2_E + ROUND;
    let n = rounded - ROUND;
    let r = (x - n * LN_2[0]) - n * LN_2[1];
    let c = &INVERSE_FACTORIALS;
    let (square, fourth) = (r * r, (r * r) * (r * r));
    let low = (c[0] + c[1] * r) + (c[2] + c[3] * r) * square;
    let middle = (c[4] + c[5] * r) + (c[6] + c[7] * r) * square;
    let high = (c[8] + c[9] * r) + (c[10] + c[11] * r) * square + c[12] * fourth;
    let power = f64::from_bits(rounded.to_bits().wrapping_add(1023) << 52);
    power * (low + (middle + high * fourth) * fourth)
}

/// Of 0 to 12.
const INVERSE_FACTORIALS: [f64; 13] = {
    let mut all = [1.0; 13];
    let (mut factorial, mut n) = (1.0, 1);
    while n < 13 {
        factorial *= n as f64;
        all[n] = 1.0 / factorial;
        n += 1;
    }
    all
};

/// Coefficients of a rational function: numerator and denominator, lowest power first.
type Rational = [[f64; 8]; 2];

/// By Estrin's scheme: a third of the latency of Horner's, which the four normal numbers of a
/// request would wait for one after the other.
fn ratio(x: f64, rational: &Rational) -> f64 {
    let square = x * x;
    let fourth = square * square;
    let estrin = |c: &[f64; 8]| {
        let low = (c[0] + c[1] * x) + (c[2] + c[3] * x) * square;
        let high = (c[4] + c[5] * x) + (c[6] + c[7] * x) * square;
        low + high * fourth
    };
    estrin(&rational[0]) / estrin(&rational[1])
}

const CENTRE: Rational = [
    [
        3.387_132_872_796_366_5,
        133.141_667_891_784_38,
        1_971.590_950_306_551_3,
        13_731.693_765_509_46,
        45_921.953_931_549_87,
        67_265.770_927_008_7,
        33_430.575_583_588_13,
        2_509.080_928_730_122_7,
    ],
    [
        1.0,
        42.313_330_701_600_91,
        687.187_007_492_057_9,
        5_394.196_021_424_751,
        21_213.794_301_586_597,
        39_307.895_800_092_71,
        28_729.085_735_721_943,
        5_226.495_278_852_854,
    ],
];
const MIDDLE: Rational = [
    [
        1.423_437_110_749_683_5,
        4.630_337_846_156_546,
        5.769_497_221_460_691,
        3.647_848_324_763_204_5,
        1.270_458_252_452_368_4,
        0.241_780_725_177_450_6,
        0.022_723_844_989_269_184,
        0.000_774_545_014_278_341_4,
    ],
    [
        1.0,
        2.053_191_626_637_759,
        1.676_384_830_183_803_8,
        0.689_767_334_985_1,
        0.148_103_976_427_480_08,
        0.015_198_666_563_616_457,
        0.000_547_593_808_499_534_5,
        1.050_750_071_644_416_9e-09,
    ],
];
const FAR: Rational = [
    [
        6.657_904_643_501_103,
        5.463_784_911_164_114,
        1.784_826_539_917_291_3,
        0.296_560_571_828_504_87,
        0.026_532_189_526_576_124,
        0.001_242_660_947_388_078_4,
        2.711_555_568_743_487_6e-05,
        2.010_334_399_292_288_1e-07,
    ],
    [
        1.0,
        0.599_832_206_555_888,
        0.136_929_880_922_735_8,
        0.014_875_361_290_850_615,
        0.000_786_869_131_145_613_3,
        1.846_318_317_510_054_8e-05,
        1.421_511_758_316_446e-07,
        2.044_263_103_389_939_7e-15,
    ],
];

#[cfg(test)]
mod tests {
    use router_core::{Counter, Purpose, Seed};

    use super::*;

    const WORDS: [u64; 6] =
        [0, 1 << 60, 0x5555_5555_5555_5555, 1 << 63, 0xF123_4567_89AB_CDEF, u64::MAX];

    fn keyed(count: u64) -> impl Iterator<Item = u64> {
        let key = Seed::from_u64(11).key(Purpose::FirstToken);
        (0..count).map(move |n| {
            let request = (n / 8) << 8;
            let (attempt, entity) = ((n % 4) as u8, (n / 4 % 2) as u32);
            key.word(Counter { request, entity, attempt, index: 0 })
        })
    }

    /// Kolmogorov-Smirnov's statistic times the root of the count: above 1.95 once in a
    /// thousand samples that are right.
    fn ks(mut sample: Vec<f64>, cdf: impl Fn(f64) -> f64) -> f64 {
        sample.sort_by(f64::total_cmp);
        let n = sample.len() as f64;
        let gap = |(i, &x): (usize, &f64)| {
            let at = cdf(x);
            (at - i as f64 / n).max((i as f64 + 1.0) / n - at)
        };
        sample.iter().enumerate().map(gap).fold(0.0, f64::max) * n.sqrt()
    }

    #[test]
    fn samplers_keep_their_golden_values() {
        let bits = |f: fn(u64) -> f64| WORDS.map(|word| f(word).to_bits());
        assert_eq!(bits(unit), GOLDEN[0]);
        assert_eq!(bits(exponential), GOLDEN[1]);
        assert_eq!(bits(normal), GOLDEN[2]);
        assert_eq!(bits(|word| lognormal(0.5, 0.7, word)), GOLDEN[3]);
        assert_eq!(bits(|word| pareto(1.5, word)), GOLDEN[4]);
        let table = [1, 10, 20, 1000];
        assert_eq!(WORDS.map(|word| quantile(&table, word)), [1, 3, 10, 15, 829, 1000]);
    }

    #[test]
    fn exp_is_exact_to_the_last_bits() {
        let check = |x: f64| {
            let exact = libm::exp(x);
            assert!((exp(x) / exact - 1.0).abs() <= 4.5e-16, "{x}: {} and {exact}", exp(x));
        };
        (0..200_000).for_each(|n| check((f64::from(n) - 100_000.0) / 145.3));
        keyed(200_000).for_each(|word| check(4.0 * normal(word)));
        [0.0, -0.0, 1e-300, 700.0, -700.0].into_iter().for_each(check);
        assert_eq!((exp(800.0), exp(-800.0)), (f64::INFINITY, 0.0));
        assert!(exp(f64::NAN).is_nan());
    }

    #[test]
    fn samples_follow_their_distributions() {
        let words: Vec<u64> = keyed(100_000).collect();
        let all = |f: &dyn Fn(u64) -> f64| words.iter().map(|&word| f(word)).collect::<Vec<_>>();
        let normal_cdf = |x: f64| 0.5 * libm::erfc(-x / std::f64::consts::SQRT_2);
        assert!(ks(all(&unit), |x| x) < 1.95);
        assert!(ks(all(&exponential), |x| 1.0 - libm::exp(-x)) < 1.95);
        assert!(ks(all(&normal), normal_cdf) < 1.95);
        assert!(
            ks(all(&|w| lognormal(3.0, 0.5, w)), |x| normal_cdf(libm::log(x / 3.0) / 0.5)) < 1.95
        );
        assert!(ks(all(&|w| pareto(1.5, w)), |x| 1.0 - libm::pow(x, -1.5)) < 1.95);
        // And the test can fail.
        assert!(ks(all(&normal), |x| normal_cdf(x - 0.02)) > 1.95);
    }

    #[test]
    fn moments_are_as_the_formulas_say() {
        let mean = |f: &dyn Fn(u64) -> f64| keyed(200_000).map(f).sum::<f64>() / 200_000.0;
        assert!((mean(&exponential) - 1.0).abs() < 0.01);
        assert!(
            mean(&normal).abs() < 0.01 && (mean(&|w| normal(w) * normal(w)) - 1.0).abs() < 0.015
        );
        // exp(sigma^2 / 2) times the median; shape / (shape - 1).
        assert!((mean(&|w| lognormal(1.0, 0.5, w)) - 1.1331).abs() < 0.01);
        assert!((mean(&|w| pareto(4.0, w)) - 4.0 / 3.0).abs() < 0.01);
        let tokens = mean(&|w| f64::from(quantile(&[0, 100, 400], w)));
        assert!((tokens - 150.0).abs() < 1.0, "{tokens}");
    }

    #[test]
    fn neighbouring_draws_do_not_resemble_each_other() {
        let words: Vec<u64> = keyed(50_000).collect();
        for lag in [1, 2, 4, 8, 64] {
            let pairs = words.iter().zip(&words[lag..]).map(|(&a, &b)| normal(a) * normal(b));
            let correlation = pairs.sum::<f64>() / (words.len() - lag) as f64;
            assert!(correlation.abs() < 4.0 / 223.0, "lag {lag}: {correlation}");
        }
    }

    #[test]
    fn each_bit_of_a_counter_flips_half_of_its_word() {
        let key = Seed::from_u64(3).key(Purpose::Fault);
        let counter =
            |n: u64| Counter { request: n, entity: n as u32 & 0xFF, attempt: 1, index: 2 };
        let mut flips = [0_u32; 64];
        for n in 0..64_u64 {
            let base = counter(n << 8);
            for bit in 0..64 {
                let near = Counter { request: base.request ^ 1 << bit, ..base };
                let changed = key.word(base) ^ key.word(near);
                assert!((12..=52).contains(&changed.count_ones()), "{bit}: {changed:x}");
                (0..64).for_each(|out| flips[out] += (changed >> out & 1) as u32);
            }
        }
        // 4,096 coin tosses each: 2,048, standard deviation 32.
        assert!(flips.iter().all(|n| (1900..2200).contains(n)), "{flips:?}");
    }

    #[test]
    fn a_chance_is_exact_at_both_ends() {
        let sure = |ratio| Chance::new(ratio).hit(|| panic!("certainty draws nothing"));
        assert!(!sure(Ratio::ZERO) && sure(Ratio::ONE) && sure(Ratio::new(5, 5).unwrap()));
        let half = Chance::new(Ratio::new(1, 2).unwrap());
        assert!(half.hit(|| (1 << 63) - 1) && !half.hit(|| 1 << 63));
    }

    /// Bits of unit, exponential, normal, lognormal(0.5, 0.7) and pareto(1.5) of [`WORDS`].
    const GOLDEN: [[u64; 6]; 5] = [
        [
            0,
            0x3FB0_0000_0000_0000,
            0x3FD5_5555_5555_5554,
            0x3FE0_0000_0000_0000,
            0x3FEE_2468_ACF1_3579,
            0x3FEF_FFFF_FFFF_FFFF,
        ],
        [
            0,
            0x3FB0_8598_B59E_3A07,
            0x3FD9_F323_ECBF_984A,
            0x3FE6_2E42_FEFA_39EF,
            0x4006_C555_B410_DFB2,
            0x4042_5E4F_7B27_37FA,
        ],
        [
            0xC020_6B48_528C_EA51,
            0xBFF8_8BC1_FBE1_DAB9,
            0xBFDB_9109_3BFD_FA28,
            0x3CB4_0D93_1FF6_2706,
            0x3FF9_2413_EA3E_6319,
            0x4020_6B48_528C_EA51,
        ],
        [
            0x3F5A_2900_EDC2_F05F,
            0x3FC5_DE10_727E_4FE4,
            0x3FD7_ABA1_9DBA_7284,
            0x3FE0_0000_0000_0001,
            0x3FF8_0803_5416_A26B,
            0x4063_925D_6AF0_E8C0,
        ],
        [
            0x3FF0_0000_0000_0000,
            0x3FF0_B414_5573_271D,
            0x3FF4_F747_439B_348A,
            0x3FF9_65FE_A53D_6E3C,
            0x401A_ADBD_2746_FDBB,
            0x4224_28A2_F98D_7282,
        ],
    ];
}
