//! A synthetic twin of a public trace: its arrivals and its token lengths.
//!
//! The trace is `AzureLLMInferenceTrace_conv` of the Azure Public Dataset
//! (<https://github.com/Azure/AzurePublicDataset>, CC-BY-4.0): 19,366 calls to a conversation
//! service at Microsoft in 3,501.7 s on 16 November 2023, described in Patel et al., "Splitwise:
//! Efficient generative LLM inference using phase splitting", ISCA 2024. What stands here are
//! parameters fitted to it, not its rows.

use router_core::Span;

use crate::plan::{Lengths, Segment, Shape};

/// Stretches of seconds and their calls per second: the most likely Poisson ones with bounds at
/// multiples of ten seconds. Within a stretch the trace is nearly Poisson; what disperses its
/// counts is that the rate moves.
const RATES: [(f64, f64); 21] = [
    (20.0, 1.55),
    (20.0, 2.9),
    (100.0, 4.62),
    (170.0, 5.588),
    (170.0, 4.388),
    (630.0, 5.076),
    (210.0, 5.876),
    (310.0, 6.723),
    (370.0, 7.838),
    (130.0, 6.585),
    (80.0, 7.987),
    (230.0, 5.343),
    (110.0, 6.064),
    (30.0, 4.3),
    (230.0, 5.917),
    (20.0, 3.4),
    (30.0, 4.967),
    (60.0, 3.433),
    (550.0, 4.258),
    (20.0, 2.35),
    (11.7, 0.853),
];

/// Prompt tokens at every twentieth of the calls. The last is not the longest (14,050) but such
/// that the mean is the trace's although the table is linear between its points.
const INPUT: [u32; 21] = [
    2, 181, 207, 372, 387, 396, 403, 414, 703, 984, 1020, 1045, 1071, 1097, 1130, 1189, 1315, 1876,
    2734, 4083, 4972,
];

/// Completion tokens likewise (the longest is 1,000).
const OUTPUT: [u32; 21] = [
    7, 41, 54, 67, 77, 85, 91, 96, 103, 113, 129, 151, 177, 217, 384, 395, 400, 411, 424, 451, 706,
];

/// When the trace's calls arrive: a Poisson process whose rate moves as the trace's.
pub fn azure_conversation() -> Vec<Segment> {
    let segment = |&(seconds, rate): &(f64, f64)| Segment {
        lasts: Span::from_millis((seconds * 1e3) as u64),
        shape: Shape::Flat(rate),
    };
    RATES.iter().map(segment).collect()
}

/// How long the trace's prompts are. Drawn independently of the completions: their rank
/// correlation in the trace is 0.07.
pub fn azure_conversation_input() -> Lengths {
    Lengths::Quantiles(INPUT.into())
}

/// How long the trace's completions are.
pub fn azure_conversation_output() -> Lengths {
    Lengths::Quantiles(OUTPUT.into())
}

#[cfg(test)]
mod tests {
    use router_core::{Counter, Purpose, Seed};

    use super::*;
    use crate::arrivals::Clock;
    use crate::plan::Arrivals;
    use crate::sample;

    /// The trace's calls in each of its whole minutes.
    const MINUTES: [u32; 58] = [
        191, 265, 329, 353, 307, 273, 268, 261, 322, 298, 301, 302, 345, 326, 283, 279, 280, 308,
        343, 351, 351, 343, 408, 396, 386, 398, 432, 480, 476, 453, 448, 507, 438, 413, 423, 418,
        465, 311, 329, 316, 333, 355, 319, 360, 334, 375, 330, 249, 221, 249, 265, 280, 256, 254,
        242, 260, 246, 225,
    ];
    const SEEDS: u64 = 32;

    /// Calls in each whole stretch of this many seconds.
    fn counts(seed: u64, seconds: u64) -> Vec<f64> {
        let mut clock = Clock::new(Seed::from_u64(seed), 0);
        let arrivals = Arrivals::Poisson(azure_conversation());
        let mut counts = vec![0.0; 3_501 / seconds as usize];
        while let Some(at) = clock.next(&arrivals) {
            if let Some(count) = counts.get_mut((at.as_nanos() / 1_000_000_000 / seconds) as usize)
            {
                *count += 1.0;
            }
        }
        counts
    }

    #[test]
    fn minutes_have_the_traces_counts_within_fifteen_percent() {
        let mut mean = [0.0; 58];
        for seed in 0..SEEDS {
            for (sum, count) in mean.iter_mut().zip(counts(seed, 60)) {
                *sum += count / SEEDS as f64;
            }
        }
        for (minute, (twin, real)) in mean.iter().zip(MINUTES).enumerate() {
            let off = twin / f64::from(real) - 1.0;
            assert!(off.abs() < 0.15, "minute {minute}: {twin} against {real}");
        }
        let (twin, real) = (mean.iter().sum::<f64>(), MINUTES.iter().sum::<u32>());
        assert!((twin / f64::from(real) - 1.0).abs() < 0.01, "{twin} against {real}");
    }

    /// Variance over mean of the counts in ten seconds: 3.87 in the trace.
    #[test]
    fn ten_seconds_are_dispersed_as_the_traces_within_fifteen_percent() {
        let dispersion = |seed| {
            let counts = counts(seed, 10);
            let n = counts.len() as f64;
            let mean = counts.iter().sum::<f64>() / n;
            counts.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / (n - 1.0) / mean
        };
        let mean = (0..SEEDS).map(dispersion).sum::<f64>() / SEEDS as f64;
        assert!((mean / 3.87 - 1.0).abs() < 0.15, "{mean}");
    }

    #[test]
    fn tokens_have_the_traces_means_and_quantiles() {
        let key = Seed::from_u64(1).key(Purpose::InputTokens);
        let word = |request| key.word(Counter { request, ..Counter::default() });
        for (points, mean, median) in [(INPUT, 1_154.7, 1_020), (OUTPUT, 211.1, 129)] {
            assert!(points.is_sorted());
            let mut drawn: Vec<_> =
                (0..100_000).map(|n| sample::quantile(&points, word(n))).collect();
            let got = drawn.iter().map(|&t| f64::from(t)).sum::<f64>() / 1e5;
            assert!((got / mean - 1.0).abs() < 0.02, "{got} against {mean}");
            drawn.sort_unstable();
            assert!(drawn[50_000].abs_diff(median) <= median / 50, "{}", drawn[50_000]);
        }
    }
}
