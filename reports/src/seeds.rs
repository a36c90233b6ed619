//! What runs of several seeds say together.
//!
//! Each seed is one replication: its figures are independent of the others', which those of calls
//! within a run are not, so intervals are over seeds.

use statrs::distribution::{ContinuousCDF, Normal, StudentsT};

use crate::{Figures, Metric, Selectors, Verdict};

/// The confidence of every interval here.
pub const CONFIDENCE: f64 = 0.95;

/// A mean over seeds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// Over how many seeds.
    pub seeds: u64,
    /// The mean.
    pub mean: f64,
    /// The standard deviation between seeds (divisor n - 1), with two or more.
    pub deviation: Option<f64>,
    /// Half of the 95 % interval, with two or more: the mean is known to plus or minus this
    /// (Student's t with n - 1 degrees of freedom; Law, "Simulation Modeling and Analysis", 9.4.1).
    pub half: Option<f64>,
}

impl Estimate {
    /// The mean of `values`, one of each seed; none of none.
    pub fn of(values: &[f64]) -> Option<Self> {
        if values.is_empty() {
            return None;
        }
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let deviation = (values.len() > 1).then(|| {
            let squares: f64 = values.iter().map(|value| (value - mean) * (value - mean)).sum();
            (squares / (count - 1.0)).sqrt()
        });
        let half = deviation.map(|deviation| t(count - 1.0) * deviation / count.sqrt());
        Some(Self { seeds: values.len() as u64, mean, deviation, half })
    }

    /// The interval, where there is one.
    pub fn interval(&self) -> Option<(f64, f64)> {
        self.half.map(|half| (self.mean - half, self.mean + half))
    }
}

/// How likely an expectation holds, judged by the seeds it was decided in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Chance {
    /// Seeds in which it held.
    pub held: u64,
    /// Seeds in which it held or did not.
    pub decided: u64,
    /// Seeds without data.
    pub undecided: u64,
    /// The 95 % interval of the probability that it holds; see [`wilson`]. None if nothing was
    /// decided.
    pub interval: Option<(f64, f64)>,
}

impl Chance {
    /// From an expectation's verdicts, one of each seed.
    pub fn of(verdicts: &[Verdict]) -> Self {
        let count = |of| verdicts.iter().filter(|&&verdict| verdict == of).count() as u64;
        let (held, undecided) = (count(Verdict::Pass), count(Verdict::NoData));
        let decided = held + count(Verdict::Fail);
        Self { held, decided, undecided, interval: wilson(held, decided) }
    }

    /// The share of decided seeds in which it held.
    pub fn share(&self) -> Option<f64> {
        (self.decided > 0).then(|| self.held as f64 / self.decided as f64)
    }
}

/// Wilson's 95 % score interval of a probability, after `successes` of `trials` (Wilson 1927;
/// Newcombe 1998, method 3). Unlike the normal one it says something of 0 of 10 and 10 of 10.
pub fn wilson(successes: u64, trials: u64) -> Option<(f64, f64)> {
    if trials == 0 {
        return None;
    }
    let (n, p) = (trials as f64, successes as f64 / trials as f64);
    let z = settled(Normal::standard().inverse_cdf(f64::midpoint(1.0, CONFIDENCE)));
    let square = z * z / n;
    let middle = p + square / 2.0;
    let half = z * (p * (1.0 - p) / n + square / (4.0 * n)).sqrt();
    let edge = |sign: f64| (sign.mul_add(half, middle) / (1.0 + square)).clamp(0.0, 1.0);
    // The outer edges of nothing and everything are exact, whatever rounding says.
    let low = if successes == 0 { 0.0 } else { edge(-1.0) };
    let high = if successes == trials { 1.0 } else { edge(1.0) };
    Some((low, high))
}

/// [`Metric::HEADLINES`] over runs, one of each seed; a metric counts the runs that have it.
pub fn headlines<'a>(
    runs: impl IntoIterator<Item = &'a Figures>,
) -> Vec<(Metric, Option<Estimate>)> {
    let mut values = vec![Vec::new(); Metric::HEADLINES.len()];
    for run in runs {
        for (metric, values) in Metric::HEADLINES.iter().zip(&mut values) {
            values.extend(metric.measure(&Selectors::default(), run));
        }
    }
    let estimates = values.iter().map(|values| Estimate::of(values));
    Metric::HEADLINES.into_iter().zip(estimates).collect()
}

/// The two-sided 95 % quantile of Student's t.
fn t(freedom: f64) -> f64 {
    let t = StudentsT::new(0.0, 1.0, freedom).expect("at least one degree of freedom");
    settled(t.inverse_cdf(f64::midpoint(1.0, CONFIDENCE)))
}

/// A quantile to nine decimals: `statrs` uses logarithms of the platform, whose last bits differ.
fn settled(quantile: f64) -> f64 {
    (quantile * 1e9).round() / 1e9
}

#[cfg(test)]
mod tests {
    use crate::sample;

    use super::*;

    fn near(got: f64, wanted: f64, within: f64) {
        assert!((got - wanted).abs() <= within, "{got} for {wanted}");
    }

    #[test]
    fn t_has_the_values_of_the_tables() {
        let table = [(1.0, 12.706), (4.0, 2.776), (9.0, 2.262), (31.0, 2.040), (120.0, 1.980)];
        for (freedom, value) in table {
            near(t(freedom), value, 0.000_5);
        }
    }

    #[test]
    fn a_mean_over_seeds_has_its_t_interval() {
        // Law, "Simulation Modeling and Analysis", chapter 4: ten observations, mean 1.34,
        // variance 0.17; its 90 % half-width 0.24 is 0.295 at 95 %.
        let law = [1.20, 1.50, 1.68, 1.89, 0.95, 1.49, 1.58, 1.55, 0.50, 1.09];
        let estimate = Estimate::of(&law).unwrap();
        near(estimate.mean, 1.343, 1e-12);
        let deviation = estimate.deviation.unwrap();
        near(deviation * deviation, 0.17, 0.005);
        near(estimate.half.unwrap(), 0.24 * 2.262 / 1.833, 0.005);
        let (low, high) = estimate.interval().unwrap();
        near((low + high) / 2.0, estimate.mean, 1e-12);
    }

    #[test]
    fn one_seed_has_a_mean_and_no_interval_and_none_has_neither() {
        let one = Estimate::of(&[2.5]).unwrap();
        assert_eq!((one.mean, one.deviation, one.half), (2.5, None, None));
        assert_eq!(Estimate::of(&[]), None);
    }

    #[test]
    fn wilson_has_the_values_that_newcombe_printed() {
        // R. G. Newcombe, Statistics in Medicine 17 (1998) 857-872, table I, method 3.
        let table = [
            ((81, 263), (0.2553, 0.3662)),
            ((15, 148), (0.0624, 0.1605)),
            ((0, 20), (0.0, 0.1611)),
            ((1, 29), (0.0061, 0.1718)),
        ];
        for ((successes, trials), (low, high)) in table {
            let interval = wilson(successes, trials).unwrap();
            near(interval.0, low, 0.000_05);
            near(interval.1, high, 0.000_05);
            let mirrored = wilson(trials - successes, trials).unwrap();
            near(mirrored.0, 1.0 - high, 0.000_05);
        }
        assert_eq!(wilson(20, 20).unwrap().1, 1.0);
        assert_eq!(wilson(0, 0), None);
    }

    #[test]
    fn seeds_without_data_decide_nothing() {
        let chance = Chance::of(&[Verdict::Pass, Verdict::NoData, Verdict::Fail, Verdict::Pass]);
        assert_eq!((chance.held, chance.decided, chance.undecided), (2, 3, 1));
        assert_eq!(chance.share(), Some(2.0 / 3.0));
        assert_eq!(Chance::of(&[Verdict::NoData]).interval, None);
    }

    #[test]
    fn headlines_are_over_the_runs_that_have_them() {
        let config = sample::config(&[("chat", &[("a", 1, 0)])]);
        let mut runs = [(); 3].map(|()| Figures::new(&config, sample::frame()));
        for (run, attempts) in runs.iter_mut().zip([100, 140]) {
            (run.whole.calls.ended, run.whole.calls.attempts) = (100, attempts);
        }
        let headlines = headlines(&runs);
        let of = |name: &str| headlines.iter().find(|(metric, _)| metric.to_string() == name);
        let amplification = of("amplification").unwrap().1.unwrap();
        assert_eq!(amplification.seeds, 2);
        near(amplification.mean, 1.2, 1e-12);
        assert_eq!(of("ttft.p99").unwrap().1, None);
    }
}
