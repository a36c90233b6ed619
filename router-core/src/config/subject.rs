//! On whose account requests are made, and what that account allows.

use alloc::string::String;
use alloc::vec::Vec;

use super::LimitSpec;
use crate::{Ratio, Span};

/// What the subjects of one kind and name may use, as written.
#[derive(Clone, Debug)]
pub struct SubjectSpec {
    /// What kind of subject: user, organisation, feature, ... Kinds are numbered in the order in
    /// which they are first mentioned; a request names one subject of each at most.
    pub kind: String,
    /// Which one; `None`: every one of the kind that has no entry of its own.
    pub name: Option<String>,
    /// How much at once; `parallel` counts requests, from their first dispatch to their end.
    pub limit: LimitSpec,
    /// How much in all, per period; 2 at most.
    pub budgets: Vec<BudgetSpec>,
    /// Its share of a queue that is fair between subjects of its kind, 1 to 1,000,000.
    pub weight: u32,
}

impl SubjectSpec {
    /// Subjects without limits and budgets.
    pub const fn new(kind: String, name: Option<String>) -> Self {
        Self { kind, name, limit: NO_LIMIT, budgets: Vec::new(), weight: 1 }
    }
}

const NO_LIMIT: LimitSpec = LimitSpec {
    requests: None,
    tokens: None,
    input_tokens: None,
    output_tokens: None,
    parallel: None,
};

/// So much per period.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct BudgetSpec {
    /// Of what.
    pub unit: BudgetUnit,
    /// How much, in pico-dollars or tokens.
    pub amount: u64,
    /// Per how long. Periods follow each other without a gap; see [`super::RouterSpec::periods_began`].
    pub period: Span,
    /// From which share on somebody is told. 80 %: a fifth of it is left to act in.
    pub soft: Ratio,
    /// Whether requests that do not fit are refused; else somebody is told, and that is all.
    pub hard: bool,
}

impl BudgetSpec {
    /// A budget that refuses, and tells from 80 % on.
    pub const fn new(unit: BudgetUnit, amount: u64, period: Span) -> Self {
        Self { unit, amount, period, soft: Ratio::from_ppm(800_000), hard: true }
    }
}

/// What a budget counts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum BudgetUnit {
    /// Money, in pico-dollars.
    Usd,
    /// Prompt and completion tokens.
    Tokens,
}

/// A checked kind of subject.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Kind {
    /// What people call it.
    pub name: String,
    /// Those that have or had an entry of their own; the first is number 1.
    pub named: Vec<Subject>,
    /// What goes for all others.
    pub others: Option<Subject>,
}

/// What one subject may use, or each of several.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Subject {
    /// Its name; empty for what goes for all others.
    pub name: String,
    /// How much at once.
    pub limit: LimitSpec,
    /// How much per period.
    pub budgets: Vec<BudgetSpec>,
    /// Its share of a fair queue.
    pub weight: u32,
    /// Whether it has no entry any more. It keeps its number, and is like all others.
    pub removed: bool,
}

impl Subject {
    /// One that has no entry any more.
    pub(super) fn gone(&self) -> Self {
        let (limit, budgets) = (LimitSpec::default(), Vec::new());
        Self { name: self.name.clone(), limit, budgets, weight: 1, removed: true }
    }

    /// Whether anything is counted for it.
    pub const fn is_metered(&self) -> bool {
        let LimitSpec { requests, tokens, input_tokens, output_tokens, parallel } = &self.limit;
        requests.is_some()
            || tokens.is_some()
            || input_tokens.is_some()
            || output_tokens.is_some()
            || parallel.is_some()
            || !self.budgets.is_empty()
    }
}

impl Kind {
    /// The first number that no entry ever has: a driver numbers whoever has none from here on, so
    /// that entries may come while the router runs.
    pub const OTHERS: u32 = 65_536;

    /// What goes for the subject of this number; zero is none.
    pub fn subject(&self, number: u32) -> Option<&Subject> {
        let place = (number as usize).checked_sub(1)?;
        let own = self.named.get(place).filter(|subject| !subject.removed);
        own.or(self.others.as_ref())
    }

    /// The number of the subject called `name`, if it has an entry of its own or had one.
    pub fn number(&self, name: &str) -> Option<u32> {
        self.named.iter().position(|known| known.name == name).map(|place| place as u32 + 1)
    }
}
