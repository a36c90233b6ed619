//! Quantities, printed so that they read back as the same value.

use std::fmt;

use router_core::{BreakerWindow, BudgetUnit, Rate, Span};

use super::{Budget, Crowd, Frequency, Quantity, Spend, TIMES, Trip, Verdict};

/// A time in its largest whole unit: `10 min`, `1500 ms`; [`Span::MAX`] is `off`.
fn span(span: Span) -> String {
    match span {
        Span::MAX => "off".to_owned(),
        Span::ZERO => "0 s".to_owned(),
        _ => {
            let (count, unit) = largest(span);
            format!("{count} {unit}")
        }
    }
}

fn largest(span: Span) -> (u64, &'static str) {
    let ns = span.as_nanos();
    let fits = TIMES.iter().find(|(_, unit)| ns.is_multiple_of(*unit));
    fits.map_or((ns, "ns"), |(names, unit)| (ns / unit, names[0]))
}

/// What follows the bar: `min`, or `10 s`.
fn period(span: Span) -> String {
    match largest(span) {
        (1, "d") => "day".to_owned(),
        (1, unit) => unit.to_owned(),
        (count, unit) => format!("{count} {unit}"),
    }
}

/// `value / per` as a decimal fraction without trailing zeros; `per` is a power of ten.
fn decimal(value: u64, per: u64) -> String {
    let (whole, part) = (value / per, value % per);
    if part == 0 {
        return whole.to_string();
    }
    let width = per.ilog10() as usize;
    let part = format!("{part:0width$}");
    format!("{whole}.{}", part.trim_end_matches('0'))
}

fn amount(count: u64) -> String {
    match count {
        0 => "0".to_owned(),
        n if n.is_multiple_of(1_000_000) => format!("{}M", n / 1_000_000),
        n if n.is_multiple_of(1_000) => format!("{}k", n / 1_000),
        n => n.to_string(),
    }
}

fn percent(ppm: u32) -> String {
    format!("{} %", decimal(u64::from(ppm), 10_000))
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Time(time) => f.write_str(&span(*time)),
            Self::Rate(Rate { amount: count, period: time, burst }) => {
                write!(f, "{}/{}", amount(*count), period(*time))?;
                burst.map_or(Ok(()), |burst| write!(f, " burst {}", amount(burst)))
            }
            Self::Frequency(Frequency { micros, period: time }) => {
                write!(f, "{}/{}", decimal(*micros, 1_000_000), period(*time))
            }
            Self::Share(ppm) => f.write_str(&percent(*ppm)),
            Self::Factor(micros) => write!(f, "x{}", decimal(*micros, 1_000_000)),
            Self::Price(pico) => write!(f, "{} USD/Mtok", decimal(*pico, 1_000_000)),
            Self::Trip(None) | Self::Budget(None) => f.write_str("off"),
            Self::Trip(Some(Trip { failures, calls_min, window })) => {
                write!(f, "{} of {calls_min} in {}", percent(*failures), span(*window))
            }
            Self::Verdict(None) => f.write_str("never"),
            Self::Verdict(Some(Verdict { failures, calls_min, window })) => {
                write!(f, "{} of {calls_min} in ", percent(*failures))?;
                match window {
                    BreakerWindow::Time(window) => f.write_str(&span(*window)),
                    BreakerWindow::Calls(kept) => write!(f, "{kept} calls"),
                }
            }
            Self::Quantile(ppm) => write!(f, "p{}", decimal(u64::from(*ppm), 10_000)),
            Self::Crowd(Crowd { count, exponent: 0 }) => f.write_str(&amount((*count).into())),
            Self::Crowd(Crowd { count, exponent }) => {
                let exponent = decimal((*exponent).into(), 1_000_000);
                write!(f, "{} zipf {exponent}", amount((*count).into()))
            }
            Self::Spend(Spend { unit, amount: count, period: time }) => match unit {
                BudgetUnit::Usd => {
                    write!(f, "{} USD/{}", decimal(*count, 1_000_000_000_000), period(*time))
                }
                BudgetUnit::Tokens => write!(f, "{} tokens/{}", amount(*count), period(*time)),
            },
            Self::Budget(Some(Budget { ratio, per_second })) => {
                write!(f, "{} + {per_second}/s", percent(*ratio))
            }
            Self::Count(count) => write!(f, "{count}"),
            Self::Decimal(micros) => f.write_str(&decimal(*micros, 1_000_000)),
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}
