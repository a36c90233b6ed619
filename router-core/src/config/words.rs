//! Times and shares as the files write them, for messages.

use alloc::format;
use core::fmt;

use crate::{Ratio, Span};

/// A time in its largest whole unit: `10 min`.
pub(super) struct Time(pub(super) Span);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [
            ("d", 86_400_000_000_000),
            ("h", 3_600_000_000_000),
            ("min", 60_000_000_000),
            ("s", 1_000_000_000),
            ("ms", 1_000_000),
            ("us", 1_000),
        ];
        let ns = self.0.as_nanos();
        match units.into_iter().find(|(_, unit)| ns.is_multiple_of(*unit)) {
            _ if self.0.is_zero() => f.write_str("0 s"),
            _ if self.0 == Span::MAX => f.write_str("off"),
            Some((name, unit)) => write!(f, "{} {name}", ns / unit),
            None => write!(f, "{ns} ns"),
        }
    }
}

/// A share in per cent, with as many decimals as it has, four at most.
pub(super) struct Percent(pub(super) Ratio);

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ppm = self.0.of_ceil(1_000_000);
        let part = format!(".{:04}", ppm % 10_000);
        let part = part.trim_end_matches('0').trim_end_matches('.');
        write!(f, "{}{part} %", ppm / 10_000)
    }
}

/// A number of things: `128,000`.
pub(super) struct Thousands(pub(super) u32);

impl fmt::Display for Thousands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = format!("{}", self.0);
        for (index, digit) in digits.chars().enumerate() {
            if index > 0 && (digits.len() - index) % 3 == 0 {
                f.write_str(",")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}
