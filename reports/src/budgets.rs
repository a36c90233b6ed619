//! Budgets of subjects, in words: how much they are, and when they were used up.

use std::collections::BTreeMap;

use router_core::{BudgetSpec, BudgetUnit, Level, Time};

use crate::words::{count, dollars, percent, seconds, secs, tokens};
use crate::{Budgets, Figures, UsedUp};

/// The most budgets that a sentence names.
const NAMED: usize = 4;

/// When the period that `at` is in ends, if the first had lasted for `began` when the run did.
pub(crate) fn rolls(budget: BudgetSpec, began: u64, at: Time) -> Time {
    let period = budget.period.as_nanos();
    let next = (at.as_nanos() + began) / period + 1;
    Time::from_nanos(next.saturating_mul(period).saturating_sub(began))
}

/// How far one is used up, in words that follow its name.
pub(crate) const fn used(budget: BudgetSpec, level: Level, spent: u64) -> &'static str {
    match (level, budget.hard) {
        (Level::Soft, _) => "is nearly used up",
        (Level::Hard, true) if spent < budget.amount => "has too little left for a call",
        (Level::Hard, true) => "is used up, and more is refused",
        (Level::Hard, false) => "is used up; it refuses nobody",
    }
}

/// So much of what a budget counts.
pub(crate) fn amount(unit: BudgetUnit, amount: u64) -> String {
    match unit {
        BudgetUnit::Usd => dollars(amount.into()),
        BudgetUnit::Tokens => format!("{} tokens", tokens(amount)),
    }
}

/// What it is: `$10.00 a day`.
pub(crate) fn named(budget: BudgetSpec) -> String {
    let BudgetSpec { unit, amount: most, period, .. } = budget;
    let per = match period.as_nanos() / 1_000_000_000 {
        86_400 => "a day".to_owned(),
        3_600 => "an hour".to_owned(),
        60 => "a minute".to_owned(),
        _ => format!("per {}", seconds(secs(period.as_nanos()))),
    };
    format!("{} {per}", amount(unit, most))
}

/// Whose it is, as expectations select it: `org=acme`.
pub(crate) fn whose(figures: &Figures, kind: usize, number: u32) -> String {
    match figures.frame.payers.kinds.get(kind) {
        Some(names) => format!("{}={}", names.name, names.of(number)),
        None => format!("#{number}"),
    }
}

/// Which budgets were used up and when; else which were about to be.
pub(crate) fn fact(figures: &Figures) -> Option<String> {
    let Budgets { news, times, .. } = &figures.budgets;
    let (level, all) = match times {
        [0, 0] => return None,
        [soft, 0] => (Level::Soft, *soft),
        [_, hard] => (Level::Hard, *hard),
    };
    let mut by: BTreeMap<(usize, u32, usize), (&UsedUp, u64)> = BTreeMap::new();
    for one in news.iter().filter(|one| one.level == level) {
        by.entry((one.kind, one.number, one.index)).or_insert((one, 0)).1 += 1;
    }
    let mut by: Vec<(&UsedUp, u64)> = by.into_values().collect();
    by.sort_by_key(|(one, _)| one.at);
    let others = by.len().saturating_sub(NAMED);
    let mut texts: Vec<String> = by.iter().take(NAMED).map(|one| told(figures, *one)).collect();
    if others > 0 {
        texts.push(format!("{} others", count(others as u64)));
    }
    let what = if level == Level::Hard { "used up" } else { "nearly used up" };
    let kept = if all > news.len() as u64 { " at least" } else { "" };
    Some(format!("{what}{kept} {} in all: {}", told_times(all), texts.join("; ")))
}

fn told_times(n: u64) -> String {
    match n {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        n => format!("{} times", count(n)),
    }
}

fn told(figures: &Figures, (one, times): (&UsedUp, u64)) -> String {
    let UsedUp { at, kind, number, budget, level, .. } = *one;
    let (whose, budget_name) = (whose(figures, kind, number), named(budget));
    let of = match level {
        Level::Soft => format!(
            "{} of ",
            percent(f64::from(budget.soft.numerator()) / f64::from(budget.soft.denominator()))
        ),
        Level::Hard => String::new(),
    };
    let first =
        if times > 1 { format!(", {} and first", told_times(times)) } else { String::new() };
    let nobody = if budget.hard { "" } else { " (it refuses nobody)" };
    format!("{of}{budget_name} of {whose}{nobody}{first} after {}", seconds(secs(at.as_nanos())))
}
