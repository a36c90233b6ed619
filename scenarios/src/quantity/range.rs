//! What the form of a quantity does not exclude: what is too little or too much to make sense.

use std::ops::RangeInclusive;

use router_core::{BreakerWindow, Rate, Span};

use super::{Bad, Crowd, Problem, Quantity, Spend, Trip, Unit, Verdict, decimal};

/// As `router-core` bounds the limits of a router.
const AMOUNT_MAX: u64 = 1_000_000_000_000;
const AMOUNTS: &str = "from 1 to 1000G";
/// Ten million dollars.
const SPEND_MAX: u64 = 10_000_000_000_000_000_000;
const PERIOD_LEAST: Span = Span::from_millis(1);
const PERIOD_MOST: Span = Span::from_secs(31 * 86_400);
const WINDOWS: RangeInclusive<Span> = Span::from_millis(10)..=Span::from_secs(86_400);
/// Calls without a failure would reach a share of none.
const SHARES: &str = "from 0.0001 % to 100 %";
const REFILL_MOST: Span = Span::from_secs(366 * 86_400);

/// Refuses a rate that no limit of a router could have.
pub(super) fn admissible(rate: Rate) -> Result<Rate, Problem> {
    let Rate { amount, period, burst } = rate;
    let amounts = 1..=AMOUNT_MAX;
    parts(&[
        ("amount", AMOUNTS, amounts.contains(&amount)),
        ("period", "from 1 ms to 31 d", (PERIOD_LEAST..=PERIOD_MOST).contains(&period)),
        ("burst", AMOUNTS, burst.is_none_or(|burst| amounts.contains(&burst))),
    ])?;
    let Some(burst) = burst else { return Ok(rate) };
    // The bucket's depth in time must fit the clock.
    let refill = u128::from(burst) * u128::from(period.as_nanos()) / u128::from(amount);
    if refill > u128::from(REFILL_MOST.as_nanos()) { Err(Problem::TooSlow) } else { Ok(rate) }
}

/// Refuses a crowd of nobody, or one whose first is everybody.
pub(super) fn countable(crowd: Crowd) -> Result<Crowd, Problem> {
    parts(&[
        ("number", "from 1 to 1M", (1..=1_000_000).contains(&crowd.count)),
        ("exponent", "from 0 to 4", crowd.exponent <= 4_000_000),
    ])?;
    Ok(crowd)
}

/// Refuses a budget that no subject could have.
pub(super) fn spendable(spend: Spend) -> Result<Spend, Problem> {
    let most = Span::from_secs(366 * 86_400);
    parts(&[
        ("amount", "from above 0 to 10M USD", (1..=SPEND_MAX).contains(&spend.amount)),
        ("period", "from 1 s to 366 d", (Span::from_secs(1)..=most).contains(&spend.period)),
    ])?;
    Ok(spend)
}

/// Refuses what no cooldown of a router could have.
pub(super) fn sensible(trip: Trip) -> Result<Trip, Problem> {
    let Trip { failures, calls_min, window } = trip;
    parts(&[
        ("share", SHARES, failures > 0),
        ("number of calls", "from 1 to 1M", (1..=1_000_000).contains(&calls_min)),
        ("window", "from 10 ms to 1 d", WINDOWS.contains(&window)),
    ])?;
    Ok(trip)
}

/// Refuses what no breaker of a router could have.
pub(super) fn judicious(verdict: Verdict) -> Result<Verdict, Problem> {
    let Verdict { failures, calls_min, window } = verdict;
    let range = match window {
        BreakerWindow::Time(_) => "from 10 ms to 1 d",
        BreakerWindow::Calls(_) => "from 1 to 10k calls",
    };
    let fits = match window {
        BreakerWindow::Time(span) => WINDOWS.contains(&span),
        BreakerWindow::Calls(kept) => (1..=10_000).contains(&kept),
    };
    parts(&[
        ("share", SHARES, failures > 0),
        ("number of calls", "from 1 to 1M", (1..=1_000_000).contains(&calls_min)),
        ("window", range, fits),
    ])?;
    Ok(verdict)
}

/// Refuses the parts that are not in their range: what each is called, its range, whether it is.
fn parts(parts: &[(&'static str, &'static str, bool)]) -> Result<(), Problem> {
    let wrong = parts.iter().filter(|(.., fits)| !fits);
    let wrong: Vec<_> = wrong.map(|&(part, range, _)| (part, range)).collect();
    if wrong.is_empty() { Ok(()) } else { Err(Problem::Parts(wrong)) }
}

impl Unit {
    /// What `text` says, if that is between `least` and `most`, which are written likewise.
    ///
    /// # Errors
    /// As [`Self::parse`], and if it is not.
    ///
    /// # Panics
    /// If a bound is no such quantity.
    pub fn parse_within(self, text: &str, least: &str, most: &str) -> Result<Quantity, Bad> {
        let bound = |text: &str| self.parse(text).expect("a bound is of its unit");
        within(self.parse(text)?, text, [bound(least), bound(most)])
    }
}

/// A plain number with at most six decimals, in millionths, from `least` to `most`.
///
/// # Errors
/// If it is none, or negative, or not between them.
///
/// # Panics
/// If a bound is no such number.
pub fn decimal_within(text: &str, least: &str, most: &str) -> Result<Quantity, Bad> {
    let bound = |text: &str| decimal(text).expect("a bound is a number");
    within(decimal(text)?, text, [bound(least), bound(most)])
}

fn within(quantity: Quantity, text: &str, [least, most]: [Quantity; 2]) -> Result<Quantity, Bad> {
    if (size(&least)..=size(&most)).contains(&size(&quantity)) {
        return Ok(quantity);
    }
    let shown: String = text.trim().chars().take(40).collect();
    let hint = format!("it must be between `{least}` and `{most}`");
    Err(Bad { reason: format!("`{shown}` is out of range"), hint })
}

/// What quantities of one unit are ordered by.
fn size(quantity: &Quantity) -> u128 {
    match quantity {
        Quantity::Time(span) => span.as_nanos().into(),
        // The product of any two words fits, and 1e18 is less than one.
        Quantity::Frequency(often) => {
            u128::from(often.micros) * 1_000_000_000_000_000_000
                / u128::from(often.period.as_nanos())
        }
        Quantity::Share(ppm) => (*ppm).into(),
        Quantity::Factor(n) | Quantity::Price(n) | Quantity::Count(n) | Quantity::Decimal(n) => {
            (*n).into()
        }
        Quantity::Rate(_)
        | Quantity::Trip(_)
        | Quantity::Verdict(_)
        | Quantity::Quantile(_)
        | Quantity::Budget(_)
        | Quantity::Spend(_)
        | Quantity::Crowd(_)
        | Quantity::Flag(_)
        | Quantity::Text(_) => unreachable!("`{quantity}` is neither more nor less than another"),
    }
}
