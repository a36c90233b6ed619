//! What the form of a quantity does not exclude: what is too little or too much to make sense.

use router_core::{Rate, Span};

use super::{Bad, Problem, Quantity, Unit, decimal};

/// As `router-core` bounds the limits of a router.
const AMOUNT_MAX: u64 = 1_000_000_000_000;
const AMOUNTS: &str = "from 1 to 1000G";
const PERIOD_LEAST: Span = Span::from_millis(1);
const PERIOD_MOST: Span = Span::from_secs(31 * 86_400);
const REFILL_MOST: Span = Span::from_secs(366 * 86_400);

/// Refuses a rate that no limit of a router could have.
pub(super) fn admissible(rate: Rate) -> Result<Rate, Problem> {
    let Rate { amount, period, burst } = rate;
    if !(1..=AMOUNT_MAX).contains(&amount) {
        return Err(Problem::PartRange("amount", AMOUNTS));
    }
    if period < PERIOD_LEAST || period > PERIOD_MOST {
        return Err(Problem::PartRange("period", "from 1 ms to 31 d"));
    }
    let Some(burst) = burst else { return Ok(rate) };
    if !(1..=AMOUNT_MAX).contains(&burst) {
        return Err(Problem::PartRange("burst", AMOUNTS));
    }
    // The bucket's depth in time must fit the clock.
    let refill = u128::from(burst) * u128::from(period.as_nanos()) / u128::from(amount);
    if refill > u128::from(REFILL_MOST.as_nanos()) { Err(Problem::TooSlow) } else { Ok(rate) }
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
        | Quantity::Budget(_)
        | Quantity::Flag(_)
        | Quantity::Text(_) => unreachable!("`{quantity}` is neither more nor less than another"),
    }
}
