//! The exact answers, by formulas and small computations that know nothing of our code.

use statrs::distribution::{ContinuousCDF, Discrete, Normal, Poisson};

/// Kleinrock, "Queueing Systems" I (1975), 3.6: the share of calls refused by `servers` that
/// `load` Erlangs are offered to, whatever the law of the service (Sevast'yanov 1957).
pub(super) fn erlang_b(servers: u32, load: f64) -> f64 {
    (1..=servers).fold(1.0, |b, n| load * b / (f64::from(n) + load * b))
}

/// The same, 3.5 (Erlang C): the share of calls that wait.
pub(super) fn erlang_c(servers: u32, load: f64) -> f64 {
    let (b, rho) = (erlang_b(servers, load), load / f64::from(servers));
    b / (1.0 - rho + rho * b)
}

/// Kleinrock, 3.5, cut off at the last place: what share of `load` Erlangs is refused by so many
/// servers and places to wait, and how many service times the others wait on average.
pub(super) fn full_queue(servers: u32, places: u32, load: f64) -> (f64, f64) {
    let weight = |n: &u32| -> f64 { (1..=*n).map(|k| load / f64::from(k.min(servers))).product() };
    let weights: Vec<f64> = (0..=servers + places).map(|n| weight(&n)).collect();
    let all: f64 = weights.iter().sum();
    let refused = weights[weights.len() - 1] / all;
    let waiting = (0..=places).map(|n| f64::from(n) * weights[(servers + n) as usize] / all);
    // Little's law, of those that get in.
    (refused, waiting.sum::<f64>() / (load * (1.0 - refused)))
}

/// The share that M/D/1 with so many places loses, from its embedded Markov chain.
pub(super) fn md1_loss(load: f64, places: usize) -> f64 {
    // Arrivals within one service, by number.
    let arrive: Vec<f64> = (0..=places)
        .scan((-load).exp(), |p, k| {
            let now = *p;
            *p *= load / (k as f64 + 1.0);
            Some(now)
        })
        .collect();
    // Weights of the number left behind by a departure, up from none (Gross and Harris,
    // "Fundamentals of Queueing Theory", 5.1.7).
    let mut left = vec![1.0];
    for n in 0..places - 1 {
        let above = (1..=n).map(|i| left[i] * arrive[n - i + 1]).sum::<f64>();
        left.push((left[n] - left[0] * arrive[n] - above) / arrive[0]);
    }
    let total: f64 = left.iter().sum();
    1.0 - 1.0 / (left[0] / total + load)
}

/// E[(N - size)+] / mean for N Poisson of this mean.
pub(super) fn beyond_window(mean: f64, size: u64) -> f64 {
    let law = Poisson::new(mean).expect("a mean is positive");
    (size + 1..size + 200).map(|n| law.pmf(n) * (n - size) as f64).sum::<f64>() / mean
}

/// Attempts a second at the fixed point of `demand` calls a second, three attempts each, of which
/// the share 1 - capacity / X is refused: X = demand * (1 + p + p^2).
pub(super) fn retry_fixed_point(demand: f64, capacity: f64) -> f64 {
    let more = |x: f64| {
        let p = 1.0 - capacity / x;
        demand * (1.0 + p + p * p) - x
    };
    root(more, demand, 3.0 * demand)
}

/// What the share `beyond` of calls exceeds, in medians, of lognormal times of sigma 1, where a
/// second attempt is made at the 95th percentile d (Dean and Barroso, "The Tail at Scale", 2013):
/// the first exceeds t, and the second, which began at d, t - d.
pub(super) fn hedged_quantile(beyond: f64) -> f64 {
    let normal = Normal::standard();
    let exceeds = |t: f64| if t <= 0.0 { 1.0 } else { 1.0 - normal.cdf(t.ln()) };
    let d = normal.inverse_cdf(0.95).exp();
    root(|t| exceeds(t) * exceeds(t - d) - beyond, d, 100.0)
}

/// Calls until `k` failures in a row (Feller, "An Introduction to Probability Theory" I, XIII.7).
pub(super) fn calls_until_run(k: i32, p: f64) -> f64 {
    (1.0 - p.powi(k)) / ((1.0 - p) * p.powi(k))
}

/// A breaker that opens after five failures in a row for 30 s and closes after one good probe, at
/// ten calls a second: the share of time closed, and the share of calls let through. A renewal
/// process (Ross, "Stochastic Processes", 3.6): a cycle is closed for so many calls, then takes
/// 1 / (1 - p) rounds of 30 s and the wait for a call to probe with.
pub(super) fn breaker(p: f64) -> (f64, f64) {
    let rate = 10.0;
    let (calls, rounds) = (calls_until_run(5, p), 1.0 / (1.0 - p));
    let cycle = calls / rate + rounds * (30.0 + 1.0 / rate);
    (calls / rate / cycle, (calls + rounds) / (rate * cycle))
}

/// Calls until, of the last `window`, the first that many in all included, `trips` failed: a scan
/// statistic, by its Markov chain (Fu, "Distribution of the scan statistic", J. Appl. Prob. 2001).
/// Its state is which of the last `window - 1` calls failed.
pub(super) fn calls_until_scan(window: u32, trips: u32, p: f64) -> f64 {
    let mask = (1_usize << (window - 1)) - 1;
    let mut now = vec![0.0; mask + 1];
    let mut next = now.clone();
    now[0] = 1.0;
    let (mut calls, mut hazard) = (0.0, 0.0);
    for call in 1..=20 * window {
        let left: f64 = now.iter().sum();
        calls += left;
        next.fill(0.0);
        let mut tripped = 0.0;
        for (state, &weight) in now.iter().enumerate().filter(|(_, weight)| **weight > 0.0) {
            for (failed, chance) in [(0, 1.0 - p), (1, p)] {
                let last = state << 1 | failed;
                if call >= window && last.count_ones() >= trips {
                    tripped += weight * chance;
                } else {
                    next[last & mask] += weight * chance;
                }
            }
        }
        hazard = tripped / left;
        std::mem::swap(&mut now, &mut next);
    }
    // By now it trips at the same rate for ever.
    calls + now.iter().sum::<f64>() / hazard
}

/// Where `f` is zero, between two places at which its signs differ.
fn root(f: impl Fn(f64) -> f64, low: f64, high: f64) -> f64 {
    let rises = f(low) < 0.0;
    let halves = (0..100).fold((low, high), |(low, high), _| {
        let middle = f64::midpoint(low, high);
        if (f(middle) < 0.0) == rises { (middle, high) } else { (low, middle) }
    });
    halves.0
}

#[test]
fn the_exact_answers_are_those_that_are_published_or_worked_out_elsewhere() {
    let near = |value: f64, known: f64| assert!((value / known - 1.0).abs() < 1e-5, "{value}");
    near(erlang_b(6, 5.0), 0.191_847);
    near(erlang_b(6, 2.5), 0.028_234_3);
    near(erlang_c(10, 8.0), 0.409_180);
    near(md1_loss(1.2, 10), 0.170_911);
    near(beyond_window(8.0, 10), 0.053_233);
    near(retry_fixed_point(150.0, 100.0), 326.117);
    near(retry_fixed_point(100.0, 80.0), 192.680);
    near(retry_fixed_point(101.0, 100.0), 127.345);
    near(hedged_quantile(0.01), 6.666_58);
    near(hedged_quantile(0.001), 9.312_95);
    near(breaker(0.3).0, 0.576_964);
    near(breaker(0.3).1, 0.578_369);
    near(breaker(0.5).0, 0.093_373_5);
    near(breaker(0.5).1, 0.096_385_5);
    // A window in which all must fail is a run, and one of two needs no more than a failure.
    near(calls_until_scan(5, 5, 0.3), calls_until_run(5, 0.3));
    near(calls_until_scan(2, 1, 0.1), 2.0 + 0.81 / 0.1);
}
