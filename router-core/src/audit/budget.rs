//! The auditor's own count of requests and retries.

use alloc::collections::VecDeque;

use crate::{Config, Time};

#[derive(Clone, Debug)]
pub(super) struct Budget {
    start: Time,
    /// Second, requests, retries.
    seconds: VecDeque<(u64, u64, u64)>,
}

impl Budget {
    pub(super) const fn new(start: Time) -> Self {
        Self { start, seconds: VecDeque::new() }
    }

    fn slide(&mut self, config: &Config, at: Time) -> &mut (u64, u64, u64) {
        let second = at.since(self.start).as_nanos() / 1_000_000_000;
        let window = window(config);
        while self.seconds.front().is_some_and(|old| second.saturating_sub(old.0) >= window) {
            self.seconds.pop_front();
        }
        if self.seconds.back().is_none_or(|last| last.0 < second) {
            self.seconds.push_back((second, 0, 0));
        }
        self.seconds.back_mut().expect("one was just pushed if there was none")
    }

    pub(super) fn request(&mut self, config: &Config, at: Time) {
        self.slide(config, at).1 += 1;
    }

    pub(super) fn retry(&mut self, config: &Config, at: Time) {
        self.slide(config, at).2 += 1;
    }

    /// Whether one more retry is within the budget.
    pub(super) fn allows(&mut self, config: &Config, at: Time) -> bool {
        let budget = config.router().retry_budget;
        let Some(ratio) = budget.ratio else { return true };
        self.slide(config, at);
        let (requests, retries) =
            self.seconds.iter().fold((0, 0), |sum, s| (sum.0 + s.1, sum.1 + s.2));
        let whole = u128::from(ratio.denominator());
        let floor = u128::from(budget.per_second) * u128::from(window(config)) * whole;
        u128::from(retries + 1) * whole
            <= u128::from(requests) * u128::from(ratio.numerator()) + floor
    }
}

const fn window(config: &Config) -> u64 {
    config.router().retry_budget.window.as_nanos() / 1_000_000_000
}
