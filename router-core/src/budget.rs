//! The shared retry budget: over a sliding window, so many retries per request and per second.

use alloc::vec;
use alloc::vec::Vec;

use crate::{RetryBudgetSpec, Span, Time};

const SLOT: Span = Span::from_secs(1);

/// Counts requests and retries in slots of a second.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    start: Time,
    /// Requests and retries, by slot modulo the window.
    slots: Vec<(u32, u32)>,
    /// The slot of the latest count.
    latest: u64,
    requests: u64,
    retries: u64,
}

impl Budget {
    pub(crate) fn new(spec: &RetryBudgetSpec, start: Time) -> Self {
        let slots = (spec.window.as_nanos() / SLOT.as_nanos()).max(1) as usize;
        Self { start, slots: vec![(0, 0); slots], latest: 0, requests: 0, retries: 0 }
    }

    /// Moves on to the slot of `now`, forgetting what left the window, and says where it is.
    fn advance(&mut self, now: Time) -> usize {
        let slot = now.since(self.start).as_nanos() / SLOT.as_nanos();
        let len = self.slots.len() as u64;
        if slot > self.latest {
            for gone in (self.latest + 1)..=slot.min(self.latest + len) {
                let (requests, retries) = core::mem::take(&mut self.slots[(gone % len) as usize]);
                self.requests -= u64::from(requests);
                self.retries -= u64::from(retries);
            }
            self.latest = slot;
        }
        (self.latest % len) as usize
    }

    /// Counts a request.
    pub(crate) fn deposit(&mut self, now: Time) {
        let at = self.advance(now);
        self.slots[at].0 += 1;
        self.requests += 1;
    }

    /// Whether one more retry is allowed.
    pub(crate) fn allows(&mut self, spec: &RetryBudgetSpec, now: Time) -> bool {
        self.advance(now);
        let Some(ratio) = spec.ratio else { return true };
        let window = self.slots.len() as u128;
        let denominator = u128::from(ratio.denominator());
        u128::from(self.retries + 1) * denominator
            <= u128::from(self.requests) * u128::from(ratio.numerator())
                + u128::from(spec.per_second) * window * denominator
    }

    /// Counts a retry.
    pub(crate) fn withdraw(&mut self, now: Time) {
        let at = self.advance(now);
        self.slots[at].1 += 1;
        self.retries += 1;
    }

    /// The slot of the latest count and every slot's counts, for snapshots.
    pub(crate) fn counts(&self) -> (u64, &[(u32, u32)]) {
        (self.latest, &self.slots)
    }

    /// Puts back what [`Self::counts`] told; `false` if it is of another window.
    pub(crate) fn restore(&mut self, latest: u64, slots: &[(u32, u32)]) -> bool {
        if slots.len() != self.slots.len() {
            return false;
        }
        self.slots.copy_from_slice(slots);
        self.latest = latest;
        self.requests = slots.iter().map(|s| u64::from(s.0)).sum();
        self.retries = slots.iter().map(|s| u64::from(s.1)).sum();
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_stay_within_their_share_and_the_floor() {
        let spec = RetryBudgetSpec::default();
        let mut budget = Budget::new(&spec, Time::ZERO);
        let now = Time::from_secs(5);
        (0..50).for_each(|_| budget.deposit(now));
        let mut retries = 0;
        while budget.allows(&spec, now) {
            budget.withdraw(now);
            retries += 1;
        }
        assert_eq!(retries, 10 + 10, "20 % of 50, and 1/s over 10 s");
        assert!(!budget.allows(&spec, Time::from_secs(14)));
        assert!(budget.allows(&spec, Time::from_secs(15)));
    }
}
