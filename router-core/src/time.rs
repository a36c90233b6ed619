//! The one clock type, and the distance between two of its points.

use core::fmt;
use core::ops::{Add, Mul, Sub};
use core::str::FromStr;

const NANOS_PER_SEC: u64 = 1_000_000_000;

/// A point on the driver's clock: nanoseconds since an epoch of its choosing.
///
/// Written in seconds with nine decimals: `12.000000500`.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Time(u64);

impl Time {
    /// The driver's epoch.
    pub const ZERO: Self = Self(0);
    /// The end of time: later than anything that happens.
    pub const MAX: Self = Self(u64::MAX);

    /// `ns` nanoseconds after the epoch.
    pub const fn from_nanos(ns: u64) -> Self {
        Self(ns)
    }

    /// `s` seconds after the epoch; saturates.
    pub const fn from_secs(s: u64) -> Self {
        Self(s.saturating_mul(NANOS_PER_SEC))
    }

    /// Nanoseconds since the epoch.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// How long after `earlier` this is; zero if it is not after.
    pub const fn since(self, earlier: Self) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Span> for Time {
    type Output = Self;

    /// Saturates at [`Time::MAX`].
    fn add(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.0))
    }
}

impl Sub<Span> for Time {
    type Output = Self;

    /// Saturates at the epoch.
    fn sub(self, span: Span) -> Self {
        Self(self.0.saturating_sub(span.0))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:09}", self.0 / NANOS_PER_SEC, self.0 % NANOS_PER_SEC)
    }
}

impl FromStr for Time {
    type Err = BadTime;

    fn from_str(text: &str) -> Result<Self, BadTime> {
        let (whole, part) = text.split_once('.').ok_or(BadTime)?;
        if part.len() != 9 || !part.bytes().all(|b| b.is_ascii_digit()) {
            return Err(BadTime);
        }
        let whole: u64 = whole.parse().map_err(|_| BadTime)?;
        let part: u64 = part.parse().map_err(|_| BadTime)?;
        let ns = whole.checked_mul(NANOS_PER_SEC).and_then(|ns| ns.checked_add(part));
        ns.map(Self).ok_or(BadTime)
    }
}

/// A text that is no [`Time`] or [`Span`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct BadTime;

impl fmt::Display for BadTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected seconds with nine decimals, or nanoseconds such as `500ns`")
    }
}

impl core::error::Error for BadTime {}

/// A length of time in whole nanoseconds (584 years at most).
///
/// Why not [`core::time::Duration`]: a span is one word in every table slot and record, and
/// its arithmetic saturates, so an absurd configuration waits for ever instead of panicking.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Span(u64);

impl Span {
    /// No time at all.
    pub const ZERO: Self = Self(0);
    /// For ever.
    pub const MAX: Self = Self(u64::MAX);

    /// `ns` nanoseconds.
    pub const fn from_nanos(ns: u64) -> Self {
        Self(ns)
    }

    /// `us` microseconds; saturates.
    pub const fn from_micros(us: u64) -> Self {
        Self(us.saturating_mul(1_000))
    }

    /// `ms` milliseconds; saturates.
    pub const fn from_millis(ms: u64) -> Self {
        Self(ms.saturating_mul(1_000_000))
    }

    /// `s` seconds; saturates.
    pub const fn from_secs(s: u64) -> Self {
        Self(s.saturating_mul(NANOS_PER_SEC))
    }

    /// Whole nanoseconds.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Whole milliseconds, rounded down.
    pub const fn as_millis(self) -> u64 {
        self.0 / 1_000_000
    }

    /// Whether this is no time at all.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// This times `numerator / denominator`, rounded down; saturates.
    ///
    /// # Panics
    /// If `denominator` is zero.
    pub const fn scale(self, numerator: u64, denominator: u64) -> Self {
        let wide = self.0 as u128 * numerator as u128 / denominator as u128;
        if wide > u64::MAX as u128 { Self::MAX } else { Self(wide as u64) }
    }
}

impl Add for Span {
    type Output = Self;

    /// Saturates at [`Span::MAX`].
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Mul<u64> for Span {
    type Output = Self;

    /// Saturates at [`Span::MAX`].
    fn mul(self, times: u64) -> Self {
        Self(self.0.saturating_mul(times))
    }
}

/// Exact, in the largest unit that needs no fraction: `30s`, `1500ms`, `7ns`.
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, name) in [(NANOS_PER_SEC, "s"), (1_000_000, "ms"), (1_000, "us")] {
            if self.0.is_multiple_of(unit) {
                return write!(f, "{}{name}", self.0 / unit);
            }
        }
        write!(f, "{}ns", self.0)
    }
}

impl FromStr for Span {
    type Err = BadTime;

    fn from_str(text: &str) -> Result<Self, BadTime> {
        for (name, unit) in [("ns", 1), ("us", 1_000), ("ms", 1_000_000), ("s", NANOS_PER_SEC)] {
            if let Some(digits) = text.strip_suffix(name)
                && let Ok(count) = digits.parse::<u64>()
            {
                return count.checked_mul(unit).map(Self).ok_or(BadTime);
            }
        }
        Err(BadTime)
    }
}
