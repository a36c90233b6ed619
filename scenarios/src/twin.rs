//! Built-in tables: a synthetic twin of a public trace, and its token lengths.

use std::sync::Arc;

use router_core::Span;
use sim::{Lengths, Segment, Shape};

/// The tables there are.
pub(crate) const NAMES: [&str; 1] = ["azure-conversation"];

/// The rate of arrivals of Microsoft's `AzureLLMInferenceTrace_conv` (16 November 2023, 19,366
/// calls in 3,501.7 s): seconds, then calls per second. Source: Azure Public Dataset, CC-BY-4.0,
/// <https://github.com/Azure/AzurePublicDataset>; described in Patel et al., "Splitwise", ISCA
/// 2024. These 21 stretches are the most likely Poisson ones with bounds at multiples of 10 s;
/// they give its index of dispersion over 10 s (3.98; the trace's is 3.87) and each minute's
/// count within 12 %.
const AZURE_CONVERSATION: [(f64, f64); 21] = [
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

/// Its prompt tokens at every twentieth of the calls. The last is not the longest (14,050) but
/// such that the mean is the trace's, 1,155, though the table is linear between its points.
const AZURE_INPUT: [u32; 21] = [
    2, 181, 207, 372, 387, 396, 403, 414, 703, 984, 1020, 1045, 1071, 1097, 1130, 1189, 1315, 1876,
    2734, 4083, 4972,
];

/// Its completion tokens likewise (the longest is 1,000; the mean is 211).
const AZURE_OUTPUT: [u32; 21] = [
    7, 41, 54, 67, 77, 85, 91, 96, 103, 113, 129, 151, 177, 217, 384, 395, 400, 411, 424, 451, 706,
];

/// The rates of the twin called `name`.
pub(crate) fn segments(name: &str) -> Option<Vec<Segment>> {
    (name == NAMES[0]).then(|| {
        let segment = |&(seconds, rate): &(f64, f64)| Segment {
            lasts: Span::from_millis((seconds * 1e3) as u64),
            shape: Shape::Flat(rate),
        };
        AZURE_CONVERSATION.iter().map(segment).collect()
    })
}

/// The prompt and completion lengths of the table called `name`. The two are drawn
/// independently: their rank correlation in the trace is 0.07.
pub(crate) fn lengths(name: &str) -> Option<(Lengths, Lengths)> {
    let table = |points: &[u32]| Lengths::Quantiles(Arc::from(points));
    (name == NAMES[0]).then(|| (table(&AZURE_INPUT), table(&AZURE_OUTPUT)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mean(points: &[u32]) -> f64 {
        let pieces = points.windows(2).map(|w| f64::from(w[0] + w[1]) / 2.0);
        pieces.sum::<f64>() / (points.len() - 1) as f64
    }

    #[test]
    fn the_twin_has_the_traces_count_length_and_means() {
        let calls: f64 = AZURE_CONVERSATION.iter().map(|&(seconds, rate)| seconds * rate).sum();
        assert!((calls - 19_366.0).abs() < 20.0, "{calls}");
        let seconds: f64 = AZURE_CONVERSATION.iter().map(|&(seconds, _)| seconds).sum();
        assert!((seconds - 3_501.7).abs() < 0.01, "{seconds}");
        assert!((mean(&AZURE_INPUT) - 1_154.7).abs() < 2.0, "{}", mean(&AZURE_INPUT));
        assert!((mean(&AZURE_OUTPUT) - 211.1).abs() < 1.0, "{}", mean(&AZURE_OUTPUT));
    }

    #[test]
    fn the_twins_counts_over_ten_seconds_are_dispersed_as_the_traces() {
        let mut expected = Vec::new();
        for (seconds, rate) in AZURE_CONVERSATION {
            expected.extend((0..(seconds / 10.0) as usize).map(|_| rate * 10.0));
        }
        let n = expected.len() as f64;
        let mean = expected.iter().sum::<f64>() / n;
        let variance = expected.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / (n - 1.0);
        // A Poisson count adds its mean to the variance of what it is expected to be.
        let dispersion = 1.0 + variance / mean;
        assert!((dispersion / 3.868 - 1.0).abs() < 0.15, "{dispersion}");
    }

    #[test]
    fn tables_ascend() {
        for table in [AZURE_INPUT, AZURE_OUTPUT] {
            assert!(table.is_sorted());
        }
        assert!(segments("nobody").is_none() && lengths("nobody").is_none());
    }
}
