//! Quantities as people write them: `500/min`, `250 ms`, `20 %`, `x4`. Exact integers inside.

mod print;
mod range;
mod scan;

use std::fmt;

use router_core::{BreakerWindow, BudgetUnit, Rate, Ratio, RetryBudgetSpec, Span};

pub use range::decimal_within;
use scan::{Number, number};

/// What a text measures, and so which units it may carry.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unit {
    /// A length of time: `250 ms`.
    Time,
    /// A length of time, or `off`.
    Timeout,
    /// So many per period, perhaps with a burst: `500/min burst 50`.
    Rate,
    /// How often something happens, fractions allowed: `0.5/s`.
    Frequency,
    /// A share of a whole: `20 %`.
    Share,
    /// What something is multiplied by: `x4`.
    Factor,
    /// What tokens cost: `0.15 USD/Mtok`.
    Price,
    /// So many failures of at least so many calls: `50 % of 10 in 60 s`, or `off`.
    Trip,
    /// The same in a window of time or of calls: `50 % of 20 in 100 calls`, or `never`.
    Verdict,
    /// A length of time, or a quantile of what was seen: `p95`.
    Delay,
    /// What retries may add: `20 % + 2/s`, or `off`.
    Budget,
    /// So much money or so many tokens per period: `50 USD/day`, `20M tokens/day`.
    Spend,
    /// So many of whom some ask more than others: `10k zipf 1.1`.
    Crowd,
}

/// A quantity, read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Quantity {
    /// A length of time; [`Span::MAX`] is `off`.
    Time(Span),
    /// So many per period.
    Rate(Rate),
    /// How often something happens.
    Frequency(Frequency),
    /// Parts per million, at most a million.
    Share(u32),
    /// Millionths.
    Factor(u64),
    /// Pico-dollars per token.
    Price(u64),
    /// When to rest; `None` is `off`.
    Trip(Option<Trip>),
    /// When to trip; `None` is `never`.
    Verdict(Option<Verdict>),
    /// A quantile, in parts per million.
    Quantile(u32),
    /// What retries may add; `None` is `off`.
    Budget(Option<Budget>),
    /// So much per period.
    Spend(Spend),
    /// So many, of whom some ask more than others.
    Crowd(Crowd),
    /// A plain number of things.
    Count(u64),
    /// A plain number, in millionths.
    Decimal(u64),
    /// Yes or no.
    Flag(bool),
    /// A text without a quantity in it.
    Text(String),
}

/// How often something happens.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Frequency {
    /// Millionths of an occurrence...
    pub micros: u64,
    /// ...in this time.
    pub period: Span,
}

impl Frequency {
    /// Occurrences per second, for the samplers of the simulator.
    pub fn per_second(self) -> f64 {
        self.micros as f64 * 1e3 / self.period.as_nanos() as f64
    }
}

/// So many failures of at least so many calls in a window.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Trip {
    /// The share of failures, in parts per million.
    pub failures: u32,
    /// The fewest calls that are judged.
    pub calls_min: u32,
    /// The window.
    pub window: Span,
}

/// So many failures of at least so many calls in a window of time or of calls.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Verdict {
    /// The share of failures, in parts per million.
    pub failures: u32,
    /// The fewest calls that are judged.
    pub calls_min: u32,
    /// The window.
    pub window: BreakerWindow,
}

/// What retries may add to the load.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Budget {
    /// Retries per request, in parts per million.
    pub ratio: u32,
    /// Retries per second that are always allowed.
    pub per_second: u32,
}

/// So many, of whom the kth asks with a weight of `k` to the power of minus the exponent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Crowd {
    /// How many.
    pub count: u32,
    /// The exponent, in millionths; zero is all alike.
    pub exponent: u32,
}

/// So much money or so many tokens per period.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Spend {
    /// Of what.
    pub unit: BudgetUnit,
    /// Pico-dollars or tokens.
    pub amount: u64,
    /// Per how long.
    pub period: Span,
}

impl Budget {
    /// What the router is configured with; `None` (`off`) bounds nothing.
    pub fn spec(budget: Option<Self>, window: Span) -> RetryBudgetSpec {
        let ratio = budget.map(|b| Ratio::from_ppm(b.ratio));
        RetryBudgetSpec { ratio, per_second: budget.map_or(0, |b| b.per_second), window }
    }
}

/// Why a text is no quantity of its unit.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Bad {
    /// What is wrong, without the place.
    pub reason: String,
    /// What to write instead.
    pub hint: String,
}

impl fmt::Display for Bad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for Bad {}

impl Unit {
    /// How such a quantity is written.
    pub const fn example(self) -> &'static str {
        match self {
            Self::Time => "60 s",
            Self::Timeout => "60 s` or `off",
            Self::Rate => "500/min",
            Self::Frequency => "8/s",
            Self::Share => "20 %",
            Self::Factor => "x4",
            Self::Price => "0.15 USD/Mtok",
            Self::Trip => "50 % of 10 in 60 s` or `off",
            Self::Verdict => "50 % of 20 in 30 s` or `never",
            Self::Delay => "p95` or `800 ms",
            Self::Budget => "20 % + 2/s` or `off",
            Self::Spend => "50 USD/day` or `20M tokens/day",
            Self::Crowd => "10k zipf 1.1",
        }
    }

    /// What it is, in words: `a time`.
    pub const fn noun(self) -> &'static str {
        match self {
            Self::Time | Self::Timeout => "a time",
            Self::Rate => "a rate",
            Self::Frequency => "a frequency",
            Self::Share => "a share",
            Self::Factor => "a factor",
            Self::Price => "a price",
            Self::Trip | Self::Verdict => "a share of failures",
            Self::Delay => "a time or a quantile",
            Self::Budget => "a retry budget",
            Self::Spend => "a budget",
            Self::Crowd => "a crowd",
        }
    }

    /// A regular expression (ECMA 262) that every such text matches.
    pub const fn pattern(self) -> &'static str {
        match self {
            Self::Time => r"^\s*[0-9.]+\s*(ns|us|ms|s|min|h|d)\s*$",
            Self::Timeout => r"^\s*(off|[0-9.]+\s*(ns|us|ms|s|min|h|d))\s*$",
            Self::Rate => r"^\s*[0-9.]+\s*[kMG]?\s*/.+$",
            Self::Frequency => r"^\s*[0-9.]+\s*[kMG]?\s*/.+$",
            Self::Share => r"^\s*[0-9.]+\s*%\s*$",
            Self::Factor => r"^\s*x\s*[0-9.]+\s*$",
            Self::Price => r"^\s*[0-9.]+\s*USD/Mtok\s*$",
            Self::Trip => r"^\s*(off|[0-9.]+\s*%\s+of\s+[0-9]+\s+in\s+.+)\s*$",
            Self::Verdict => r"^\s*(never|off|[0-9.]+\s*%\s+of\s+[0-9]+[kM]?\s+in\s+.+)\s*$",
            Self::Delay => r"^\s*(p\s*[0-9.]+|[0-9.]+\s*(ns|us|ms|s|min|h|d))\s*$",
            Self::Crowd => r"^\s*[0-9.]+\s*[kM]?(\s+zipf\s+[0-9.]+)?\s*$",
            Self::Spend => r"^\s*[0-9.]+\s*[kMG]?\s*(USD|tokens)\s*/.+$",
            Self::Budget => r"^\s*(off|[0-9.]+\s*%(\s*\+\s*[0-9]+/s)?)\s*$",
        }
    }

    /// What `text` says.
    ///
    /// # Errors
    /// If it is no such quantity: a missing or unknown unit, no number, a negative one, or one
    /// that is too large or too fine to be held exactly; a rate or a share of failures
    /// also if no limit or cooldown could be so.
    pub fn parse(self, text: &str) -> Result<Quantity, Bad> {
        let off = text.trim() == "off";
        let read = match self {
            Self::Timeout if off => Ok(Quantity::Time(Span::MAX)),
            Self::Trip if off => Ok(Quantity::Trip(None)),
            Self::Verdict if off || text.trim() == "never" => Ok(Quantity::Verdict(None)),
            Self::Delay if text.trim_start().starts_with('p') => {
                quantile(text).map(Quantity::Quantile)
            }
            Self::Budget if off => Ok(Quantity::Budget(None)),
            Self::Time | Self::Timeout | Self::Delay => span(text).map(Quantity::Time),
            Self::Rate => rate(text).and_then(range::admissible).map(Quantity::Rate),
            Self::Frequency => frequency(text).map(Quantity::Frequency),
            Self::Share => share(text).map(Quantity::Share),
            Self::Factor => factor(text).map(Quantity::Factor),
            Self::Price => price(text).map(Quantity::Price),
            Self::Trip => {
                trip(text).and_then(range::sensible).map(|trip| Quantity::Trip(Some(trip)))
            }
            Self::Verdict => {
                verdict(text).and_then(range::judicious).map(|v| Quantity::Verdict(Some(v)))
            }
            Self::Crowd => crowd(text).and_then(range::countable).map(Quantity::Crowd),
            Self::Spend => spend(text).and_then(range::spendable).map(Quantity::Spend),
            Self::Budget => budget(text).map(|budget| Quantity::Budget(Some(budget))),
        };
        read.map_err(|problem| problem.explain(self, text))
    }
}

/// A plain number with at most six decimals, in millionths.
///
/// # Errors
/// If it is none, or negative, or does not fit.
pub fn decimal(text: &str) -> Result<Quantity, Bad> {
    let read = number(text).and_then(|(number, rest)| match rest {
        "" => number.times(1_000_000, "a millionth"),
        _ => Err(Problem::NoNumber(text.to_owned())),
    });
    let hint = "write a number like `0.5`".to_owned();
    read.map(Quantity::Decimal)
        .map_err(|problem| Bad { hint, ..problem.explain(Unit::Factor, text) })
}

/// What went wrong, before it is put in words.
enum Problem {
    /// Nothing of the kind.
    Form,
    NoNumber(String),
    Negative,
    NoUnit(&'static str),
    UnknownUnit(String, &'static str),
    TooLarge,
    TooFine(&'static str),
    Zero,
    AboveOne,
    /// Which parts of it are out of range, and from what to what each may be.
    Parts(Vec<(&'static str, &'static str)>),
    TooSlow,
}

impl Problem {
    fn explain(self, unit: Unit, text: &str) -> Bad {
        let shown: String = text.trim().chars().take(40).collect();
        let example = format!("write it like `{}`", unit.example());
        let (reason, hint) = match self {
            Self::Form => (format!("`{shown}` is not {}", unit.noun()), example),
            Self::NoNumber(word) => (format!("`{word}` is not a number"), example),
            Self::Negative => (format!("`{shown}` is negative"), example),
            Self::NoUnit("%") if fraction(text).is_some() => {
                let [of_one, of_hundred] = fraction(text).unwrap_or_default().map(Quantity::Share);
                let hint = format!("write `{of_one}`, or `{of_hundred}` if that is meant");
                (format!("`{shown}` has no unit"), hint)
            }
            Self::NoUnit(unit) => {
                let joint = if unit.starts_with('/') { "" } else { " " };
                (format!("`{shown}` has no unit"), format!("write `{shown}{joint}{unit}`"))
            }
            Self::UnknownUnit(word, known) => {
                (format!("`{word}` is not a unit of {}", unit.noun()), format!("units: {known}"))
            }
            Self::TooLarge => (format!("`{shown}` is too large"), example),
            Self::TooFine(grain) => {
                (format!("`{shown}` is finer than {grain}"), "write fewer decimals".to_owned())
            }
            Self::Zero => (format!("`{shown}` is per no time at all"), example),
            Self::AboveOne => {
                let hint = "a share is between `0 %` and `100 %`".to_owned();
                (format!("`{shown}` is more than 100 %"), hint)
            }
            Self::Parts(parts) => {
                let names: Vec<&str> = parts.iter().map(|(part, _)| *part).collect();
                let is = if names.len() == 1 { "is" } else { "are" };
                let reason = format!("the {} of `{shown}` {is} out of range", names.join(", the "));
                let range = |(part, range): &(_, _)| format!("the {part} must be {range}");
                (reason, parts.iter().map(range).collect::<Vec<_>>().join(", "))
            }
            Self::TooSlow => {
                let hint = "write a smaller burst or a larger rate".to_owned();
                (format!("`{shown}` takes more than a year to refill"), hint)
            }
        };
        Bad { reason, hint }
    }
}

/// Nanoseconds per unit of time; the first name is the one that is printed.
const TIMES: [(&[&str], u64); 7] = [
    (&["d", "day", "days"], 86_400_000_000_000),
    (&["h", "hour", "hours"], 3_600_000_000_000),
    (&["min", "minute", "minutes"], 60_000_000_000),
    (&["s", "second", "seconds"], 1_000_000_000),
    (&["ms"], 1_000_000),
    (&["us"], 1_000),
    (&["ns"], 1),
];
const TIME_UNITS: &str = "`ns`, `us`, `ms`, `s`, `min`, `h`, `d`";

fn unit_of_time(word: &str, missing: &'static str) -> Result<u64, Problem> {
    if word.is_empty() {
        return Err(Problem::NoUnit(missing));
    }
    let found = TIMES.iter().find(|(names, _)| names.contains(&word));
    found.map(|(_, ns)| *ns).ok_or_else(|| Problem::UnknownUnit(word.to_owned(), TIME_UNITS))
}

fn span(text: &str) -> Result<Span, Problem> {
    let (number, rest) = number(text)?;
    let unit = unit_of_time(rest.trim(), "s")?;
    let ns = number.times(unit, "1 ns")?;
    // The largest is kept for "off".
    if ns == u64::MAX { Err(Problem::TooLarge) } else { Ok(Span::from_nanos(ns)) }
}

/// What follows the bar of a rate: a unit of time, or a time.
fn period(text: &str) -> Result<Span, Problem> {
    let text = text.trim();
    let period = if text.starts_with(|c: char| c.is_ascii_digit() || c == '-') {
        span(text)?
    } else {
        Span::from_nanos(unit_of_time(text, "/s")?)
    };
    if period.is_zero() { Err(Problem::Zero) } else { Ok(period) }
}

/// A number of things, thousands as `k`, millions as `M`: also what remains after it.
fn amount(text: &str) -> Result<(Number, u64, &str), Problem> {
    let (number, rest) = number(text)?;
    let rest = rest.trim_start();
    for (letter, times) in [('k', 1_000), ('M', 1_000_000), ('G', 1_000_000_000)] {
        if let Some(rest) = rest.strip_prefix(letter) {
            return Ok((number, times, rest.trim()));
        }
    }
    Ok((number, 1, rest.trim()))
}

fn whole(text: &str) -> Result<u64, Problem> {
    let (number, times, rest) = amount(text)?;
    if rest.is_empty() { number.times(times, "one") } else { Err(Problem::Form) }
}

fn rate(text: &str) -> Result<Rate, Problem> {
    let (text, burst) = match text.split_once("burst") {
        Some((text, burst)) => (text, Some(whole(burst)?)),
        None => (text, None),
    };
    let (number, times, rest) = amount(text)?;
    let after = per(rest, "/min")?;
    Ok(Rate { amount: number.times(times, "one")?, period: period(after)?, burst })
}

fn per<'t>(rest: &'t str, missing: &'static str) -> Result<&'t str, Problem> {
    if rest.is_empty() {
        return Err(Problem::NoUnit(missing));
    }
    let known = "`/s`, `/min`, `/h`, `/day`";
    rest.strip_prefix('/').ok_or_else(|| Problem::UnknownUnit(rest.to_owned(), known))
}

fn frequency(text: &str) -> Result<Frequency, Problem> {
    let (number, times, rest) = amount(text)?;
    let after = per(rest, "/s")?;
    let micros = number.times(times * 1_000_000, "a millionth")?;
    Ok(Frequency { micros, period: period(after)? })
}

/// Parts per million, perhaps above one.
fn percent(text: &str) -> Result<u32, Problem> {
    let (number, rest) = number(text)?;
    match rest.trim() {
        "" => Err(Problem::NoUnit("%")),
        "%" => {
            let ppm = number.times(10_000, "0.0001 %")?;
            u32::try_from(ppm).map_err(|_| Problem::TooLarge)
        }
        other => Err(Problem::UnknownUnit(other.to_owned(), "`%`")),
    }
}

/// What a number that is no more than one means as a share of one, and as one of a hundred.
fn fraction(text: &str) -> Option<[u32; 2]> {
    let of = |whole| number(text).and_then(|(number, _)| number.times(whole, "")).ok();
    let [of_one, of_hundred] = [of(1_000_000)?, of(10_000)?];
    let is_fraction = (1..=1_000_000).contains(&of_one);
    is_fraction.then_some([of_one as u32, of_hundred as u32])
}

fn share(text: &str) -> Result<u32, Problem> {
    match percent(text)? {
        0..=1_000_000 => percent(text),
        _ => Err(Problem::AboveOne),
    }
}

fn factor(text: &str) -> Result<u64, Problem> {
    let digits = text.trim().strip_prefix('x').ok_or(Problem::Form)?;
    let (number, rest) = number(digits)?;
    if rest.trim().is_empty() { number.times(1_000_000, "a millionth") } else { Err(Problem::Form) }
}

fn price(text: &str) -> Result<u64, Problem> {
    let (number, rest) = number(text)?;
    match rest.trim() {
        "" => Err(Problem::NoUnit("USD/Mtok")),
        // A dollar per million tokens is a million pico-dollars per token.
        "USD/Mtok" => number.times(1_000_000, "a pico-dollar per token"),
        other => Err(Problem::UnknownUnit(other.to_owned(), "`USD/Mtok`")),
    }
}

fn crowd(text: &str) -> Result<Crowd, Problem> {
    let (count, exponent) = match text.split_once("zipf") {
        Some((count, exponent)) => {
            let (number, rest) = number(exponent)?;
            if !rest.trim().is_empty() {
                return Err(Problem::Form);
            }
            (count, number.times(1_000_000, "a millionth")?)
        }
        None => (text, 0),
    };
    let exponent = u32::try_from(exponent).map_err(|_| Problem::TooLarge)?;
    Ok(Crowd { count: number_of(count)?, exponent })
}

fn spend(text: &str) -> Result<Spend, Problem> {
    let (number, times, rest) = amount(text)?;
    let units = "`USD/day`, `tokens/day` and the like";
    let (unit, after) = rest.split_once('/').ok_or(Problem::NoUnit("USD/day"))?;
    let (unit, amount) = match unit.trim() {
        // A dollar is a million million pico-dollars.
        "USD" => {
            let pico = times.checked_mul(1_000_000_000_000).ok_or(Problem::TooLarge)?;
            (BudgetUnit::Usd, number.times(pico, "a pico-dollar")?)
        }
        "tokens" => (BudgetUnit::Tokens, number.times(times, "one")?),
        other => return Err(Problem::UnknownUnit(other.to_owned(), units)),
    };
    Ok(Spend { unit, amount, period: period(after)? })
}

fn trip(text: &str) -> Result<Trip, Problem> {
    let (failures, calls_min, window) = judged(text)?;
    Ok(Trip { failures, calls_min, window: span(window)? })
}

/// A share of failures, the fewest calls, and what follows `in`.
fn judged(text: &str) -> Result<(u32, u32, &str), Problem> {
    let (failures, rest) = text.split_once(" of ").ok_or(Problem::Form)?;
    let (calls, window) = rest.split_once(" in ").ok_or(Problem::Form)?;
    Ok((share(failures)?, number_of(calls)?, window))
}

fn number_of(text: &str) -> Result<u32, Problem> {
    u32::try_from(whole(text)?).map_err(|_| Problem::TooLarge)
}

/// As [`trip`], but the window may be one of calls.
fn verdict(text: &str) -> Result<Verdict, Problem> {
    let (failures, calls_min, window) = judged(text)?;
    let window = match window.trim_end().strip_suffix("calls") {
        Some(kept) => BreakerWindow::Calls(number_of(kept)?),
        None => BreakerWindow::Time(span(window)?),
    };
    Ok(Verdict { failures, calls_min, window })
}

/// `p95`, in parts per million; neither the least nor the greatest.
fn quantile(text: &str) -> Result<u32, Problem> {
    let digits = text.trim().strip_prefix('p').ok_or(Problem::Form)?;
    let (number, rest) = number(digits)?;
    if !rest.trim().is_empty() {
        return Err(Problem::Form);
    }
    let ppm = number.times(10_000, "p0.0001")?;
    match u32::try_from(ppm) {
        Ok(ppm @ 1..1_000_000) => Ok(ppm),
        Ok(_) | Err(_) => Err(Problem::Parts(vec![("quantile", "above p0 and below p100")])),
    }
}

fn budget(text: &str) -> Result<Budget, Problem> {
    let Some((ratio, floor)) = text.split_once('+') else {
        return Ok(Budget { ratio: percent(text)?, per_second: 0 });
    };
    let floor = rate(floor)?;
    if floor.period != Span::from_secs(1) || floor.burst.is_some() {
        return Err(Problem::UnknownUnit(text.trim().to_owned(), "`%` and `/s`"));
    }
    let per_second = u32::try_from(floor.amount).map_err(|_| Problem::TooLarge)?;
    Ok(Budget { ratio: percent(ratio)?, per_second })
}
