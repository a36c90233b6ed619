//! What peers have used on accounts of subjects: told to them, and heard of them.

use super::{Account, Accounts, BUDGETS, Clock};
use crate::limit::Charge;
use crate::peers::grown;
use crate::{Config, Consumption, Observation, OnOutage, Subject, Time};

/// What one peer has said of one account.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Heard {
    /// Of its rates: since when, and how much.
    pub(crate) since: Option<Time>,
    pub(crate) counters: [u64; 3],
    /// Of each budget the latest period, and what was spent in it.
    pub(crate) spends: [(u64, u64); BUDGETS],
}

/// Of how many pairs of an account and a peer it is remembered what was said last.
const HEARD_MAX: usize = 100_000;

/// A kind, a subject's number, and a replica.
pub(crate) type Whom = (u8, u32, u16);

/// Whether replicas count each other's use, and do not keep to parts.
pub(crate) fn is_told(config: &Config) -> bool {
    match config.router().peers.map(|peers| peers.on_outage) {
        Some(OnOutage::Open | OnOutage::Closed) => true,
        Some(OnOutage::Share) | None => false,
    }
}

impl Accounts {
    /// What this replica has used on accounts, for its driver to tell the others.
    pub(crate) fn consumption(
        &self,
        config: &Config,
        replica: u16,
        clock: Clock,
    ) -> impl Iterator<Item = Consumption> {
        let known = self.accounts.iter().filter(move |account| account.is_known(config, clock));
        known.flat_map(move |account| {
            let policy = config.policy(account.kind.into(), account.number);
            let policy = policy.filter(|_| is_told(config));
            let taken = policy.and_then(|_| account.taken(replica));
            let spent = policy.into_iter().flat_map(move |p| account.spent(p, replica, clock));
            taken.into_iter().chain(spent)
        })
    }

    /// Hears what a peer has taken of a subject's rates.
    pub(crate) fn hear_taken(
        &mut self,
        config: &Config,
        whom: Whom,
        (since, counters): (Time, [u64; 3]),
        clock: Clock,
    ) {
        let (kind, number, _) = whom;
        let policy = config.policy(kind.into(), number).filter(|_| is_told(config));
        if !policy.is_some_and(Subject::is_metered) {
            return;
        }
        let Some(place) = self.open(config, kind.into(), number, clock) else { return };
        let heard = self.heard_of(whom);
        let known = heard.since;
        if known.is_none_or(|known| known < since) {
            (heard.since, heard.counters) = (Some(since), [0; 3]);
        } else if known != Some(since) {
            return;
        }
        let [requests, input, output] = grown(&mut heard.counters, counters);
        let charge = Charge { requests, input, output };
        let limit = &mut self.of_mut(place).limit;
        if known.is_none() {
            // How much of it is recent cannot be known.
            limit.charge_most(charge, clock.now);
        } else {
            limit.charge(charge, clock.now);
        }
    }

    /// Hears what a peer has spent of a budget. What it spent in a period that is over here is of
    /// no use any more, and of one that is more than the next nothing is believed.
    pub(crate) fn hear_spent(
        &mut self,
        config: &Config,
        whom: Whom,
        (budget, period, spent): (u8, u64, u64),
        clock: Clock,
        tell: impl FnMut(Observation),
    ) {
        let (kind, number, _) = whom;
        let policy = config.policy(kind.into(), number).filter(|_| is_told(config));
        let Some((policy, index)) = policy.zip(Some(usize::from(budget))) else { return };
        let Some(spec) = policy.budgets.get(index) else { return };
        let present = super::spend::index(spec, clock.elapsed);
        if period < present || period > present + 1 {
            return;
        }
        let Some(place) = self.open(config, kind.into(), number, clock) else { return };
        let (known, before) = &mut self.heard_of(whom).spends[index];
        if period < *known {
            return;
        }
        let more = if period == *known { spent.saturating_sub(*before) } else { spent };
        *before = if period == *known { spent.max(*before) } else { spent };
        *known = period;
        let account = self.of_mut(place);
        for (spec, spend) in policy.budgets.iter().zip(&mut account.spends) {
            *spend = spend.rolled(spec, clock.elapsed);
        }
        if account.spends[index].hear(period, more) {
            account.news(Some(policy), tell);
        }
    }

    fn heard_of(&mut self, whom: Whom) -> &mut Heard {
        if self.heard.len() >= HEARD_MAX && !self.heard.contains_key(&whom) {
            self.heard.pop_first();
        }
        self.heard.entry(whom).or_default()
    }

    /// What was heard, under other policies: a window that changed counts other periods.
    pub(super) fn take_heard(&mut self, from: &Self, last: &Config, next: &Config) {
        for (whom, heard) in &from.heard {
            let (kind, number) = (usize::from(whom.0), whom.1);
            let window = |config: &Config, index: usize| {
                let budget = config.policy(kind, number)?.budgets.get(index).copied()?;
                Some((budget.unit, budget.period))
            };
            let mut heard = *heard;
            for (index, spend) in heard.spends.iter_mut().enumerate() {
                if window(last, index) != window(next, index) {
                    *spend = (0, 0);
                }
            }
            self.heard.insert(*whom, heard);
        }
    }
}

impl Account {
    fn taken(&self, replica: u16) -> Option<Consumption> {
        let [requests, input_tokens, output_tokens] = self.limit.used().counters;
        let is_used = self.limit.is_rated() && requests + input_tokens + output_tokens > 0;
        let (kind, subject, since) = (self.kind, self.number, self.since);
        is_used.then_some(Consumption::Taken {
            replica,
            kind,
            subject,
            since,
            requests,
            input_tokens,
            output_tokens,
        })
    }

    /// What is reserved is told like what is spent: it may be any moment now.
    fn spent(
        &self,
        policy: &Subject,
        replica: u16,
        clock: Clock,
    ) -> impl Iterator<Item = Consumption> {
        let (kind, subject) = (self.kind, self.number);
        let spends = policy.budgets.iter().zip(self.spends).enumerate();
        spends.filter_map(move |(budget, (spec, spend))| {
            let spend = spend.rolled(spec, clock.elapsed);
            let (budget, period) = (budget as u8, spend.period);
            let spent = spend.own.saturating_add(spend.reserved);
            let told = Consumption::Spent { replica, kind, subject, budget, period, spent };
            (spent > 0).then_some(told)
        })
    }
}
