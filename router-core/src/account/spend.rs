//! What was spent of one budget.

use crate::{BudgetSpec, BudgetUnit, Price, Span, Usage};

/// A budget's state. It rolls over when it is looked at: that is a function of time alone.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Spend {
    /// Which period the rest is of, counted from the one in which time began.
    pub(crate) period: u64,
    /// Pico-dollars or tokens.
    pub(crate) spent: u64,
    /// What attempts in flight have reserved; it is of no period.
    pub(crate) reserved: u64,
    /// What of `spent` this replica has spent itself.
    pub(crate) own: u64,
    /// What replicas whose clocks are ahead have spent of the period that follows.
    pub(crate) ahead: u64,
    /// Which levels were told of in this period, as a set.
    pub(crate) told: u8,
}

/// What an attempt costs a budget of either unit.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Cost {
    pub(crate) pico: u64,
    pub(crate) tokens: u64,
}

impl Cost {
    pub(crate) fn of(usage: Usage, price: Price) -> Self {
        let tokens = u64::from(usage.input_tokens) + u64::from(usage.output_tokens);
        Self { pico: price.of(usage), tokens }
    }

    pub(crate) const fn in_unit(self, unit: BudgetUnit) -> u64 {
        match unit {
            BudgetUnit::Usd => self.pico,
            BudgetUnit::Tokens => self.tokens,
        }
    }
}

impl Spend {
    /// How it stands `elapsed` after its first period began. What a budget that refuses has been
    /// overrun by is carried on; one that only tells begins anew.
    pub(crate) fn rolled(mut self, spec: &BudgetSpec, elapsed: Span) -> Self {
        let period = index(spec, elapsed);
        if period > self.period {
            let ahead = core::mem::take(&mut self.ahead);
            let earned = spec.amount.saturating_mul(period - self.period - 1);
            self.spent = match (spec.hard, period - self.period) {
                (true, _) => self.carried(spec).saturating_add(ahead).saturating_sub(earned),
                (false, 1) => ahead,
                (false, _) => 0,
            };
            (self.period, self.told, self.own) = (period, 0, 0);
        }
        self
    }

    /// What the next period begins with.
    const fn carried(&self, spec: &BudgetSpec) -> u64 {
        if spec.hard { self.spent.saturating_sub(spec.amount) } else { 0 }
    }

    /// A peer has spent so much more in a period; tells whether it counts in this one.
    pub(crate) fn hear(&mut self, period: u64, more: u64) -> bool {
        if period == self.period {
            self.spent = self.spent.saturating_add(more);
        } else if period == self.period + 1 {
            self.ahead = self.ahead.saturating_add(more);
        }
        period == self.period
    }

    /// Whether `cost` more may be reserved. What costs nothing always may.
    pub(crate) fn admits(&self, spec: &BudgetSpec, cost: u64) -> bool {
        let all = self.spent.saturating_add(self.reserved).saturating_add(cost);
        !spec.hard || cost == 0 || all <= spec.amount
    }

    /// After how much time, counted like `elapsed`, `cost` is admitted beside what is reserved;
    /// `None` if time alone never does that.
    pub(crate) fn earliest(&self, spec: &BudgetSpec, cost: u64, elapsed: Span) -> Option<Span> {
        let all = cost.saturating_add(self.reserved);
        if self.admits(spec, cost) {
            Some(elapsed)
        } else if all > spec.amount {
            None
        } else {
            let next = self.carried(spec).saturating_add(self.ahead);
            let over = next.saturating_add(all).saturating_sub(spec.amount);
            let periods = over.div_ceil(spec.amount).saturating_add(1);
            Some(spec.period * self.period.saturating_add(periods))
        }
    }

    /// When nothing of it is left to remember at the earliest, counted like `elapsed`; zero if that
    /// is so now.
    pub(crate) fn whole_at(&self, spec: &BudgetSpec) -> Span {
        if self.spent == 0 && self.told == 0 && self.ahead == 0 {
            return Span::ZERO;
        }
        let periods = if spec.hard { self.spent.div_ceil(spec.amount).max(1) } else { 1 };
        spec.period * self.period.saturating_add(periods)
    }
}

/// Which period it is.
pub(crate) const fn index(spec: &BudgetSpec, elapsed: Span) -> u64 {
    elapsed.as_nanos() / spec.period.as_nanos()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten a minute.
    fn budget() -> BudgetSpec {
        BudgetSpec::new(BudgetUnit::Tokens, 10, Span::from_secs(60))
    }

    #[test]
    fn a_window_rolls_and_an_overrun_is_carried_into_the_next() {
        let (spec, secs) = (budget(), Span::from_secs);
        let spent = Spend { spent: 25, told: 3, ..Spend::default() };
        assert_eq!(spent.rolled(&spec, secs(59)), spent);
        let next = spent.rolled(&spec, secs(60));
        assert_eq!((next.period, next.spent, next.told), (1, 15, 0));
        assert_eq!(spent.rolled(&spec, secs(120)).spent, 5);
        assert_eq!(spent.rolled(&spec, secs(60)).rolled(&spec, secs(185)).spent, 0);
        let ahead = Spend { ahead: 8, own: 5, ..spent };
        let next = ahead.rolled(&spec, secs(60));
        assert_eq!((next.spent, next.ahead, next.own), (23, 0, 0));
        assert_eq!(ahead.rolled(&spec, secs(120)).spent, 13);
        let told = BudgetSpec { hard: false, ..spec };
        assert_eq!(spent.rolled(&told, secs(60)).spent, 0, "what refuses nothing forgives all");
        assert_eq!(ahead.rolled(&told, secs(60)).spent, 8);
        assert_eq!(ahead.rolled(&told, secs(120)).spent, 0);
    }

    #[test]
    fn what_is_reserved_counts_and_what_is_free_passes() {
        let spec = budget();
        let spend = Spend { spent: 4, reserved: 4, ..Spend::default() };
        assert!(spend.admits(&spec, 2) && !spend.admits(&spec, 3));
        let debt = Spend { spent: 40, ..Spend::default() };
        assert!(debt.admits(&spec, 0) && !debt.admits(&spec, 1));
        assert!(debt.admits(&BudgetSpec { hard: false, ..spec }, 100));
    }

    #[test]
    fn the_earliest_time_is_the_end_of_the_period_that_pays_the_debt() {
        let (spec, secs) = (budget(), Span::from_secs);
        let now = secs(70);
        let earliest = |spent, cost| {
            let spend = Spend { spent, period: 1, ..Spend::default() };
            spend.earliest(&spec, cost, now)
        };
        assert_eq!(earliest(8, 2), Some(now), "only reservations can be in the way");
        assert_eq!(earliest(8, 3), Some(secs(120)));
        assert_eq!(earliest(17, 3), Some(secs(120)));
        assert_eq!(earliest(18, 3), Some(secs(180)));
        assert_eq!(earliest(0, 11), None);
        let cases = [(8, 3, 0), (17, 3, 0), (18, 3, 0), (99, 10, 0), (8, 3, 9)];
        for ((spent, cost, ahead), reserved) in cases.into_iter().flat_map(|c| [(c, 0), (c, 5)]) {
            let spend = Spend { spent, reserved, period: 1, ahead, ..Spend::default() };
            if cost + reserved > spec.amount {
                assert_eq!(spend.earliest(&spec, cost, now), None, "time alone does not help");
                continue;
            }
            let at = spend.earliest(&spec, cost, now).unwrap();
            let before = Span::from_nanos(at.as_nanos() - 1);
            assert!(spend.rolled(&spec, at).admits(&spec, cost));
            assert!(!spend.rolled(&spec, before).admits(&spec, cost));
        }
    }
}
