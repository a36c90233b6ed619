//! Numbers as people read them.

use std::fmt;

use super::{Dimension, Quantity, Unit};

/// A measured value (shares and factors as such, seconds, USD) to three significant digits or a
/// few more: as many as it takes for `same` to say that what is shown would be judged alike.
pub(super) fn value(value: f64, dimension: Dimension, same: impl Fn(f64) -> bool) -> String {
    let (scale, unit) = match dimension {
        Dimension::Share => (100.0, " %"),
        Dimension::Time => match value {
            v if v > 0.0 && v < 0.001 => (1e6, " us"),
            v if v < 1.0 => (1e3, " ms"),
            v if v < 120.0 => (1.0, " s"),
            _ => (1.0 / 60.0, " min"),
        },
        Dimension::Money => (1.0, " USD"),
        Dimension::Factor => (1.0, ""),
    };
    let scaled = value * scale;
    let first = match scaled {
        v if v >= 100.0 => 0,
        v if v >= 10.0 => 1,
        v if v >= 1.0 => 2,
        _ => 3,
    };
    // A share a hair short of everything must not read as everything.
    let honest = |shown: f64| {
        same(shown / scale) && (dimension != Dimension::Share || shown < 100.0 || value >= 1.0)
    };
    for decimals in first..=9 {
        let shown = format!("{scaled:.decimals$}");
        if shown.parse().is_ok_and(honest) {
            let short = if decimals == 0 { &shown } else { trimmed(&shown) };
            return format!("{short}{unit}");
        }
    }
    format!("{scaled}{unit}")
}

fn trimmed(number: &str) -> &str {
    number.trim_end_matches('0').trim_end_matches('.')
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fraction = format!("{:09}", self.billionths % 1_000_000_000);
        let fraction = fraction.trim_end_matches('0');
        let dot = if fraction.is_empty() { "" } else { "." };
        write!(f, "{}{dot}{fraction}", self.billionths / 1_000_000_000)?;
        match self.unit {
            Unit::Times => Ok(()),
            Unit::Percent
            | Unit::Micros
            | Unit::Millis
            | Unit::Seconds
            | Unit::Minutes
            | Unit::Hours
            | Unit::Usd => write!(f, " {}", self.unit.name()),
        }
    }
}

/// A count with its thousands apart: `1,000`.
pub(super) fn count(count: u64) -> String {
    let digits = count.to_string();
    let mut shown = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(number: f64, dimension: Dimension) -> String {
        value(number, dimension, |_| true)
    }

    #[test]
    fn numbers_have_about_three_digits_and_the_unit_that_suits_them() {
        let times = [0.0, 0.000_25, 0.0123, 0.5, 9.1234, 75.04, 600.0, 7261.0];
        let shown = times.map(|seconds| plain(seconds, Dimension::Time));
        assert_eq!(
            shown,
            ["0 ms", "250 us", "12.3 ms", "500 ms", "9.12 s", "75 s", "10 min", "121 min"]
        );
        assert_eq!(plain(0.5, Dimension::Share), "50 %");
        assert_eq!(plain(1.234_567, Dimension::Factor), "1.23");
        assert_eq!(plain(0.001_234, Dimension::Money), "0.001 USD");
    }

    #[test]
    fn a_value_is_never_rounded_to_the_other_side_of_its_bound() {
        let below = |shown: f64| shown < 0.995;
        assert_eq!(value(0.994_999, Dimension::Share, below), "99.4999 %");
        assert_eq!(plain(0.999_98, Dimension::Share), "99.998 %");
        assert_eq!(plain(1.0, Dimension::Share), "100 %");
    }

    #[test]
    fn counts_have_their_thousands_apart() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
    }
}
