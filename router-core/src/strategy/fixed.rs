//! Powers and logarithms of two in fixed point: 32 bits below the point.

use crate::Span;

/// One.
pub(crate) const ONE: u64 = 1 << 32;
/// Tables have so many steps from one power of two to the next, plus their end.
const STEPS: usize = 256;
/// 2^(-i/256).
static HALVES: [u64; STEPS + 1] = halves();
/// log2(1 + i/256), with 48 bits below the point.
static LOGS: [u64; STEPS] = logs();
/// 1 / ln 2, with 48 bits below the point.
const PER_LN2: u64 = 406_082_553_034_800;

/// 2^(-age / half): what is left after `age` of what halves every `half`. Linear between 256
/// points, hence at most one part in a million (2^-20) too large, and never too small by more
/// than a unit of 2^-31; zero from 64 halvings on.
pub(crate) const fn remains(age: Span, half: Span) -> u64 {
    let (age, half) = (age.as_nanos(), half.as_nanos());
    assert!(half > 0 && half < 1 << 34, "64 halvings shifted by 24 bits fit a word");
    if age >= 64 * half {
        return 0;
    }
    let halvings = (age << 24) / half;
    let (step, between) = ((halvings >> 16 & 0xFF) as usize, halvings & 0xFFFF);
    let drop = ((HALVES[step] - HALVES[step + 1]) * between) >> 16;
    (HALVES[step] - drop) >> (halvings >> 24)
}

/// `word * share`, where `share` is at most [`ONE`]; rounded down.
pub(crate) const fn part(word: u64, share: u64) -> u64 {
    ((word as u128 * share as u128) >> 32) as u64
}

/// -log2(word / 2^64), within two units of 2^-32; zero counts as one.
///
/// With the word as 2^k (1 + i/256)(1 + r): a table for i, and three terms of the series for r,
/// the fourth being below 2^-33.
pub(crate) const fn minus_log2(word: u64) -> u64 {
    let word = if word == 0 { 1 } else { word };
    let zeros = word.leading_zeros();
    let mantissa = word << zeros;
    let step = mantissa >> 55 & 0xFF;
    // r with 63 bits below the point, less than 2^-8.
    let r = ((mantissa & ((1 << 55) - 1)) << 8) / (256 + step);
    let square = ((r as u128 * r as u128) >> 63) as u64;
    let cube = ((square as u128 * r as u128) >> 63) as u64;
    let ln = r - square / 2 + cube / 3;
    let log = LOGS[step as usize] + ((ln as u128 * PER_LN2 as u128) >> 63) as u64;
    ((zeros as u64 + 1) << 32) - (log >> 16)
}

/// By square roots of one half, and their products.
const fn halves() -> [u64; STEPS + 1] {
    let mut table = [1_u128 << 63; STEPS + 1];
    let mut root = 1_u128 << 62;
    let mut stride = STEPS;
    while stride > 1 {
        root = (root << 63).isqrt();
        stride /= 2;
        let mut i = 0;
        while i <= STEPS {
            if i & stride != 0 {
                table[i] = (table[i] * root) >> 63;
            }
            i += 1;
        }
    }
    table[STEPS] = 1 << 62;
    let mut rounded = [0; STEPS + 1];
    let mut i = 0;
    while i <= STEPS {
        rounded[i] = ((table[i] + (1 << 30)) >> 31) as u64;
        i += 1;
    }
    rounded
}

const fn logs() -> [u64; STEPS] {
    let mut table = [0; STEPS];
    let mut i = 0;
    while i < STEPS {
        table[i] = log2_by_squaring(((STEPS + i) as u64) << 55, 48);
        i += 1;
    }
    table
}

/// log2 of a number of 1 to 2 (63 bits below the point) to so many bits, one by one: squaring
/// doubles the logarithm, and whether the square passes two is its next bit.
const fn log2_by_squaring(number: u64, bits: u32) -> u64 {
    let (mut number, mut log) = (number as u128, 0);
    let mut bit = 0;
    while bit < bits {
        number = (number * number) >> 63;
        let passes = (number >> 64) as u32;
        number >>= passes;
        log = log << 1 | passes as u64;
        bit += 1;
    }
    log
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Counter, Purpose, Seed};

    const HALF: Span = Span::from_secs(10);

    fn words(count: u64) -> impl Iterator<Item = u64> {
        let key = Seed::from_u64(1).key(Purpose::Sticky);
        (0..count).map(move |request| key.word(Counter { request, ..Counter::default() }))
    }

    #[test]
    fn what_halves_is_half_after_each_half_life() {
        for n in 0..64 {
            assert_eq!(remains(HALF * n, HALF), ONE >> n);
        }
        assert_eq!(remains(HALF * 64, HALF), 0);
        assert_eq!(remains(Span::MAX, HALF), 0);
        // 2^-0.5 = 0.70710678118...
        assert_eq!(remains(Span::from_secs(5), HALF), 3_037_000_500);
    }

    /// The exact value half-way between two points is their geometric mean.
    #[test]
    fn between_the_points_the_error_is_below_one_part_in_a_million() {
        for step in 0..STEPS {
            let exact = (u128::from(HALVES[step]) * u128::from(HALVES[step + 1])).isqrt() as u64;
            let line = u64::midpoint(HALVES[step], HALVES[step + 1]);
            assert!(line >= exact && (line - exact) << 20 < exact, "{step}: {line} {exact}");
        }
    }

    #[test]
    fn less_remains_of_what_is_older() {
        let mut last = ONE;
        for age in (0..200_000).map(|k| Span::from_micros(1_117 * k)) {
            let left = remains(age, HALF);
            assert!(left <= last, "{age}");
            last = left;
        }
    }

    #[test]
    fn the_logarithm_is_within_two_units() {
        for word in words(100_000) {
            let zeros = word.leading_zeros();
            let log = log2_by_squaring(word << zeros, 48) >> 16;
            let exact = ((u64::from(zeros) + 1) << 32) - log;
            assert!(minus_log2(word).abs_diff(exact) <= 2, "{word}");
        }
    }

    #[test]
    fn powers_of_two_have_whole_logarithms() {
        for k in 0..64 {
            assert_eq!(minus_log2(1 << k), (64 - k) << 32);
        }
        assert_eq!(minus_log2(0), 64 << 32);
        assert!(minus_log2(u64::MAX) <= 2);
    }

    #[test]
    fn a_larger_word_has_no_larger_logarithm() {
        for word in words(20_000) {
            let more = word.saturating_add(word >> 24);
            assert!(minus_log2(more) <= minus_log2(word) + 2);
            assert!(minus_log2(word) < minus_log2(word / 2));
        }
    }
}
