//! Who spent what: money and tokens by subject and by property, and how budgets were used up.

use std::collections::BTreeMap;

use router_core::{BudgetSpec, Level, Time, Usage};

use crate::{Figures, Names, Part, Payers};

/// How many of a kind or property stand by themselves where all are listed: those that spent most.
/// All others are one row.
pub const LARGEST: usize = 100;
/// How many budgets are followed over time: the first of those of subjects that have names.
pub const TRACKS: usize = 32;
/// How many times that a budget was used up are kept one by one.
pub const NEWS: usize = 10_000;

/// What somebody's calls came to.
///
/// Attempts and money belong to the instant at which an attempt ended, submissions and refusals to
/// that of each, calls to that at which they arrived.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Purse {
    /// Calls that were over by the end.
    pub calls: u64,
    /// Of those, answered.
    pub answered: u64,
    /// Tries of clients.
    pub submissions: u64,
    /// Of those, refused at once: for a limit, and for a budget, of this subject.
    pub refused: [u64; 2],
    /// Attempts that ended.
    pub attempts: u64,
    /// Prompt tokens charged.
    pub input_tokens: u64,
    /// Of those, read from a provider's cache.
    pub cached_tokens: u64,
    /// Completion tokens charged.
    pub output_tokens: u64,
    /// What all attempts cost, in pico-dollars.
    pub cost_pico: u128,
    /// Of that, what no provider told: attempts that failed or were dropped are charged what was
    /// seen of them.
    pub estimated_pico: u128,
}

impl Purse {
    /// Adds everything that `other` counted.
    pub const fn merge(&mut self, other: &Self) {
        self.calls += other.calls;
        self.answered += other.answered;
        self.submissions += other.submissions;
        self.refused[0] += other.refused[0];
        self.refused[1] += other.refused[1];
        self.attempts += other.attempts;
        self.input_tokens += other.input_tokens;
        self.cached_tokens += other.cached_tokens;
        self.output_tokens += other.output_tokens;
        self.cost_pico += other.cost_pico;
        self.estimated_pico += other.estimated_pico;
    }

    /// Takes off what `part` counted, which was counted here too.
    const fn part(&mut self, part: &Self) {
        self.calls -= part.calls;
        self.answered -= part.answered;
        self.submissions -= part.submissions;
        self.refused[0] -= part.refused[0];
        self.refused[1] -= part.refused[1];
        self.attempts -= part.attempts;
        self.input_tokens -= part.input_tokens;
        self.cached_tokens -= part.cached_tokens;
        self.output_tokens -= part.output_tokens;
        self.cost_pico -= part.cost_pico;
        self.estimated_pico -= part.estimated_pico;
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What the largest are the largest by: money; of what is free, tokens, then tries.
    const fn size(&self) -> (u128, u64, u64) {
        (self.cost_pico, self.input_tokens + self.output_tokens, self.submissions)
    }
}

/// Subjects without names, of one kind.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Crowd {
    /// How many of them called.
    pub count: u64,
    /// The [`LARGEST`] over the whole run, by number, the largest first.
    pub largest: Vec<(u32, Purse)>,
}

/// The purses of subjects without names, of one kind, by number. Who numbers them does so from the
/// first on, so almost all stand in a list, and none is looked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Purses {
    near: Vec<Purse>,
    far: BTreeMap<u32, Purse>,
}

impl Purses {
    /// Numbers below this stand in the list: a million purses are 117 MB.
    const NEAR: u32 = 1 << 20;

    pub(crate) fn of(&mut self, number: u32) -> &mut Purse {
        if number >= Self::NEAR {
            return self.far.entry(number).or_default();
        }
        let place = number as usize;
        if self.near.len() <= place {
            self.near.resize(place + 1, Purse::default());
        }
        &mut self.near[place]
    }

    /// Those in which anything was counted.
    fn used(self) -> impl Iterator<Item = (u32, Purse)> {
        let all = (0..).zip(self.near).chain(self.far);
        all.filter(|(_, purse)| !purse.is_empty())
    }
}

impl Crowd {
    pub(crate) fn of(purses: Purses) -> Self {
        let mut largest: Vec<(u32, Purse)> = purses.used().collect();
        let count = largest.len() as u64;
        largest.sort_by_key(|(number, purse)| (core::cmp::Reverse(purse.size()), *number));
        largest.truncate(LARGEST);
        Self { count, largest }
    }
}

/// A budget over time.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Track {
    /// The subject's kind, by its place.
    pub kind: usize,
    /// Its number.
    pub number: u32,
    /// The budget, as the run began with it.
    pub budget: BudgetSpec,
    /// What was spent in the period that each charge fell in, after the last charge of each bin.
    pub spent: Vec<Option<u64>>,
}

/// A budget was used up, or the share of it from which on that is told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct UsedUp {
    /// When.
    pub at: Time,
    /// The subject's kind, by its place.
    pub kind: usize,
    /// Its number.
    pub number: u32,
    /// Which of its budgets, counted from zero.
    pub index: usize,
    /// That budget, as it was then.
    pub budget: BudgetSpec,
    /// How far.
    pub level: Level,
    /// What was spent in the period: pico-dollars or tokens.
    pub spent: u64,
}

/// How budgets were used up.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Budgets {
    /// Budgets over time, [`TRACKS`] at most.
    pub tracks: Vec<Track>,
    /// For how long first periods had lasted when the run began, in nanoseconds.
    pub began: u64,
    /// Each time, in order; the first [`NEWS`].
    pub news: Vec<UsedUp>,
    /// How often shares from which on it is told were reached, and how often all was used up.
    pub times: [u64; 2],
}

/// What an attempt is charged.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Bill {
    pub(crate) usage: Usage,
    pub(crate) pico: u128,
    /// Whether no provider told it.
    pub(crate) estimated: bool,
}

impl Bill {
    const fn estimate(&self) -> u128 {
        if self.estimated { self.pico } else { 0 }
    }
}

/// A bill that takes the place of another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Charge {
    pub(crate) from: Bill,
    pub(crate) to: Bill,
}

impl Charge {
    pub(crate) const fn cost(&self, sum: &mut u128) {
        *sum = *sum + self.to.pico - self.from.pico;
    }

    pub(crate) const fn estimated(&self, sum: &mut u128) {
        *sum = *sum + self.to.estimate() - self.from.estimate();
    }

    pub(crate) const fn input(&self, sum: &mut u64) {
        *sum = *sum + self.to.usage.input_tokens as u64 - self.from.usage.input_tokens as u64;
    }

    pub(crate) const fn cached(&self, sum: &mut u64) {
        *sum = *sum + self.to.usage.cached_tokens as u64 - self.from.usage.cached_tokens as u64;
    }

    pub(crate) const fn output(&self, sum: &mut u64) {
        *sum = *sum + self.to.usage.output_tokens as u64 - self.from.usage.output_tokens as u64;
    }

    pub(crate) const fn purse(&self, purse: &mut Purse) {
        self.cost(&mut purse.cost_pico);
        self.estimated(&mut purse.estimated_pico);
        self.input(&mut purse.input_tokens);
        self.cached(&mut purse.cached_tokens);
        self.output(&mut purse.output_tokens);
    }
}

/// One row of who spent what.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Row {
    pub(crate) who: Who,
    pub(crate) purse: Purse,
}

/// Whom a row is about.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Who {
    /// One of them.
    One(String),
    /// So many others together.
    Others(u64),
    /// Calls on nobody's account, or without a label.
    None,
}

impl Payers {
    /// How many purses there are: for each kind and property one for none, one for each name, and
    /// one for all without a name.
    pub(crate) fn purses(&self) -> usize {
        self.all().map(|names| names.names.len() + 2).sum()
    }

    /// Where each kind's, then each property's purses begin.
    pub(crate) fn starts(&self) -> Vec<usize> {
        let begin = |next: &mut usize, names: &Names| {
            let start = *next;
            *next += names.names.len() + 2;
            Some(start)
        };
        self.all().scan(0, begin).collect()
    }

    /// Kinds, then properties.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Names> {
        self.kinds.iter().chain(&self.properties)
    }
}

impl Part {
    /// The purses of the kind or property at `place`: none, by name, those without names.
    fn purses_of(&self, payers: &Payers, place: usize) -> &[Purse] {
        let starts = payers.starts();
        let end = starts.get(place + 1).copied().unwrap_or(self.purses.len());
        starts.get(place).and_then(|start| self.purses.get(*start..end)).unwrap_or_default()
    }

    /// What the calls of `name` came to, of the kind or property at `place`; of `*`, those of every
    /// subject without an entry of its own. Nothing if there is no such name.
    pub(crate) fn purse(&self, payers: &Payers, place: usize, name: &str) -> Option<Purse> {
        let names = payers.all().nth(place)?;
        let purses = self.purses_of(payers, place);
        if name == "*" {
            let mut sum = Purse::default();
            purses.get(1 + names.own..)?.iter().for_each(|purse| sum.merge(purse));
            return Some(sum);
        }
        let number = names.names.iter().position(|known| known == name)?;
        purses.get(number + 1).copied()
    }
}

impl Figures {
    /// The kinds and properties that any call has.
    pub(crate) fn payers(&self) -> impl Iterator<Item = (usize, &Names)> {
        let payers = &self.frame.payers;
        payers.all().enumerate().filter(|(place, _)| {
            let purses = self.whole.purses_of(payers, *place);
            purses.iter().skip(1).any(|purse| !purse.is_empty())
        })
    }

    /// Who of the kind or property at `place` spent what in `part`: the `most` largest, the others,
    /// and nobody. Those without names are told apart over the whole run alone.
    pub(crate) fn spenders(&self, part: &Part, place: usize, most: usize) -> Vec<Row> {
        let payers = &self.frame.payers;
        let Some(names) = payers.all().nth(place) else { return Vec::new() };
        let [none, named @ .., crowd] = part.purses_of(payers, place) else { return Vec::new() };
        let whole = core::ptr::eq(part, &self.whole);
        let crowds = self.crowds.get(place).filter(|_| whole);
        let named = named.iter().enumerate().filter(|(_, purse)| !purse.is_empty());
        let mut all: Vec<(usize, Purse)> = named.map(|(n, purse)| (n + 1, *purse)).collect();
        let mut rest = *crowd;
        for (number, purse) in crowds.iter().flat_map(|crowd| &crowd.largest) {
            rest.part(purse);
            all.push((*number as usize, *purse));
        }
        all.sort_by_key(|(number, purse)| (core::cmp::Reverse(purse.size()), *number));
        let unnamed = self.crowds.get(place).map_or(0, |crowd| crowd.count);
        let apart = crowds.map_or(0, |crowd| crowd.largest.len() as u64);
        let mut others = if rest.is_empty() { 0 } else { unnamed - apart };
        for (_, purse) in all.get(most..).unwrap_or_default() {
            rest.merge(purse);
            others += 1;
        }
        all.truncate(most);
        let one = |(number, purse): (usize, Purse)| Row { who: names.called(number), purse };
        let mut rows: Vec<Row> = all.into_iter().map(one).collect();
        if !rest.is_empty() {
            rows.push(Row { who: Who::Others(others), purse: rest });
        }
        if !none.is_empty() {
            rows.push(Row { who: Who::None, purse: *none });
        }
        rows
    }
}

impl Names {
    /// Who has a number, which is not zero: a name, or `#3`, the third of those without one.
    fn called(&self, number: usize) -> Who {
        let name = self.names.get(number - 1).cloned();
        Who::One(name.unwrap_or_else(|| format!("#{}", number - self.names.len())))
    }

    /// What the subject of a number is called.
    pub(crate) fn of(&self, number: u32) -> String {
        match self.called(number.max(1) as usize) {
            Who::One(name) => name,
            Who::Others(_) | Who::None => unreachable!("a number is of somebody"),
        }
    }
}
