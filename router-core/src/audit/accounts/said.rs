//! What peers have said of accounts: it counts there like what was used here.

use super::{Accounts, Purse, Who, budgets};
use crate::audit::limits::growth;
use crate::{BudgetSpec, Config, OnOutage, Subject, Time};

/// What one peer said of one account last.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Said {
    taken: Option<(Time, [u64; 3])>,
    spent: [(u64, u64); 2],
}

/// Whether what peers use of a subject's limits and budgets counts here.
fn counts(config: &Config, who: Who) -> bool {
    let peers = config.router().peers;
    peers.is_some_and(|peers| peers.on_outage != OnOutage::Share)
        && config.policy(who.0.into(), who.1).is_some_and(Subject::is_metered)
}

impl Accounts {
    /// A peer has taken so much since then.
    pub(in super::super) fn hear_taken(
        &mut self,
        config: &Config,
        from: (Who, u16),
        (since, now): (Time, [u64; 3]),
        at: Time,
    ) {
        let who = from.0;
        if !counts(config, who) || !self.has_place(config, who, at) {
            return;
        }
        let said = &mut self.said.entry(from).or_default().taken;
        let first = said.is_none();
        let last = said.get_or_insert((since, [0; 3]));
        if since > last.0 {
            *last = (since, [0; 3]);
        } else if since < last.0 {
            return;
        }
        let take = growth(&mut last.1, now);
        let book = self.book(config, who, at);
        for (bucket, n) in book.buckets.iter_mut().zip(take.amounts()) {
            if first {
                bucket.charge_most(at, n);
            } else {
                bucket.charge(at, n);
            }
        }
    }

    /// A peer has spent so much of a budget in a period.
    pub(in super::super) fn hear_spent(
        &mut self,
        config: &Config,
        from: (Who, u16),
        (budget, period, spent): (usize, u64, u64),
        at: Time,
    ) {
        let who = from.0;
        let elapsed = self.elapsed(config, at);
        let Some(spec) = budgets(config, who).get(budget).filter(|_| counts(config, who)) else {
            return;
        };
        let present = elapsed / spec.period.as_nanos();
        let timely = period == present || period == present + 1;
        if !timely || !self.has_place(config, who, at) {
            return;
        }
        let last = &mut self.said.entry(from).or_default().spent[budget];
        if period < last.0 {
            return;
        }
        let before = if period == last.0 { last.1 } else { 0 };
        *last = (period, spent.max(before));
        let more = spent.saturating_sub(before);
        let purses = &mut self.book(config, who, at).purses;
        let each = |purses: &mut [Purse; 2], act: &dyn Fn(&mut Purse, &BudgetSpec)| {
            budgets(config, who).iter().zip(purses).for_each(|(spec, purse)| act(purse, spec));
        };
        each(purses, &|purse, spec| purse.turn(spec, elapsed));
        if period != present {
            purses[budget].early = purses[budget].early.saturating_add(more);
            return;
        }
        purses[budget].spent = purses[budget].spent.saturating_add(more);
        // What came early to another of its budgets is noticed now, too.
        each(purses, &|purse, spec| purse.note(spec));
        self.spenders.push(who);
    }

    /// A budget whose window is another one counts other periods.
    pub(super) fn unsay(&mut self, old: &Config, next: &Config) {
        for ((who, _), said) in &mut self.said {
            for (index, spent) in said.spent.iter_mut().enumerate() {
                let window = |config| budgets(config, *who).get(index).map(|b| (b.unit, b.period));
                if window(old) != window(next) {
                    *spent = (0, 0);
                }
            }
        }
    }
}
