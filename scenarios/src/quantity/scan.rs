//! Decimal numbers, exactly.

use super::Problem;

/// A decimal number: `digits / 10^decimals`.
pub(super) struct Number {
    digits: u128,
    decimals: u32,
}

/// More digits than any quantity has use for; keeps `10^decimals` within its type.
const DIGITS_MAX: usize = 27;

/// The number that `text` begins with, and the rest.
pub(super) fn number(text: &str) -> Result<(Number, &str), Problem> {
    let text = text.trim_start();
    if text.starts_with(['-', '\u{2212}']) {
        return Err(Problem::Negative);
    }
    let digits_in = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let (whole, rest) = text.split_at(digits_in(text));
    if whole.is_empty() {
        let word = text.split_whitespace().next().unwrap_or_default();
        return Err(Problem::NoNumber(word.chars().take(40).collect()));
    }
    let (part, rest) = match rest.strip_prefix('.') {
        Some(rest) if digits_in(rest) > 0 => rest.split_at(digits_in(rest)),
        Some(_) => return Err(Problem::NoNumber(format!("{whole}."))),
        None => ("", rest),
    };
    if whole.len() + part.len() > DIGITS_MAX {
        return Err(Problem::TooLarge);
    }
    let fold = |sum: u128, digit: u8| sum * 10 + u128::from(digit - b'0');
    let digits = whole.bytes().chain(part.bytes()).fold(0, fold);
    let decimals = u32::try_from(part.len()).map_err(|_| Problem::TooLarge)?;
    Ok((Number { digits, decimals }, rest))
}

impl Number {
    /// This times `unit`, if it comes out whole; `grain` names what one is.
    pub(super) fn times(&self, unit: u64, grain: &'static str) -> Result<u64, Problem> {
        let product = self.digits.checked_mul(u128::from(unit)).ok_or(Problem::TooLarge)?;
        let scale = 10_u128.pow(self.decimals);
        if product % scale != 0 {
            return Err(Problem::TooFine(grain));
        }
        u64::try_from(product / scale).map_err(|_| Problem::TooLarge)
    }
}
