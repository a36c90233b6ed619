//! What a person expects of a run, as written: `ttft.p99 {group=chat, during=spike} < 2 s`.
//!
//! ```text
//! expectation = metric [ "{" selector { "," selector } "}" ] op quantity
//! metric      = "success.rate" | "ttft." stat | "total." stat | "cost.per_1k"
//!             | "amplification" | "share" | "recovery(" fault ")"
//! stat        = "p" number | "mean" | "max"
//! selector    = ( "group" | "deployment" | "during" ) "=" name
//! op          = "<" | "<=" | ">" | ">="
//! quantity    = number ( "%" | "us" | "ms" | "s" | "min" | "h" | "USD" | nothing )
//! ```

mod judge;
mod nearest;
mod parse;
mod show;

use std::fmt;
use std::ops::Range;

use router_core::Config;

pub use judge::{Judgement, Verdict};

/// One expectation.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Expectation {
    /// What is measured.
    pub metric: Metric,
    /// Of what.
    pub of: Selectors,
    /// How it is compared.
    pub op: Op,
    /// With what.
    pub bound: Quantity,
}

/// What can be measured. Without a deployment it is measured on users' calls, over all tries of
/// their clients; with one, on the attempts made there.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Metric {
    /// `success.rate`: the share answered in full, of all calls that ended (of a deployment's
    /// attempts: of those that were answered or failed).
    SuccessRate,
    /// `ttft`: from arrival (dispatch) to first token, of those that had one.
    Ttft(Stat),
    /// `total`: from arrival (dispatch) to the end, of those answered in full.
    Total(Stat),
    /// `cost.per_1k`: what all attempts cost, failed ones included, per 1,000 answered calls
    /// (attempts).
    CostPer1k,
    /// `amplification`: attempts per call.
    Amplification,
    /// `share {deployment=...}`: the deployment's part of the attempts dispatched in the groups
    /// that it is a member of, or in the one group named.
    Share,
    /// `recovery(fault)`: see [`crate::Recovery`].
    Recovery(String),
}

/// A statistic of times.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Stat {
    /// `p99`, `p99.9`: a quantile in parts per million, more than none and less than all. It
    /// has a value only where at least ten samples lie beyond it on its thinner side (`p99`: 1,000
    /// samples, `p50`: 20), since fewer make it a matter of luck.
    Quantile(u32),
    /// `mean`.
    Mean,
    /// `max`.
    Max,
}

/// What a metric is measured of; everything if nothing is named.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Selectors {
    /// Calls that asked for this group.
    pub group: Option<String>,
    /// Attempts on this deployment.
    pub deployment: Option<String>,
    /// Calls that arrived, and attempts that ended, in this phase.
    pub during: Option<String>,
}

/// A comparison.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Op {
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>`
    More,
    /// `>=`
    AtLeast,
}

/// A number and its unit, as written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Quantity {
    /// In billionths of the unit, at most 10^15.
    pub(crate) billionths: u64,
    pub(crate) unit: Unit,
}

/// A unit of a [`Quantity`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Unit {
    Percent,
    Micros,
    Millis,
    Seconds,
    Minutes,
    Hours,
    Usd,
    Times,
}

/// What a metric is a number of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Dimension {
    Share,
    Time,
    Money,
    Factor,
}

/// What is wrong with an expectation as written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Mistake {
    /// Where, in bytes of the text; empty, at its end, for something missing there.
    pub at: Range<usize>,
    /// What.
    pub message: String,
    /// What might have been meant.
    pub hint: Option<String>,
}

impl Expectation {
    /// Reads an expectation.
    ///
    /// # Errors
    /// The first mistake in it.
    pub fn parse(text: &str) -> Result<Self, Mistake> {
        parse::expectation(text)
    }

    /// Whether a router of this configuration has the group and the deployment it names, and
    /// the one in the other for a share of a group; if not, it does not apply.
    pub fn applies(&self, config: &Config) -> bool {
        let group = self.of.group.as_deref().map(|name| config.group_named(name));
        let deployment = self.of.deployment.as_deref().map(|name| config.deployment_named(name));
        match (group, deployment) {
            (Some(None), _) | (_, Some(None)) => false,
            (Some(Some(group)), Some(Some(deployment))) => {
                config.group(group).members.iter().any(|member| member.deployment == deployment)
            }
            (None | Some(Some(_)), None) | (None, Some(Some(_))) => true,
        }
    }

    /// The fault that it names, if any.
    pub fn fault(&self) -> Option<&str> {
        match &self.metric {
            Metric::Recovery(fault) => Some(fault),
            Metric::SuccessRate
            | Metric::Ttft(_)
            | Metric::Total(_)
            | Metric::CostPer1k
            | Metric::Amplification
            | Metric::Share => None,
        }
    }
}

impl Metric {
    /// What every run is compared by: success, first token, total, cost, amplification.
    pub const HEADLINES: [Self; 8] = [
        Self::SuccessRate,
        Self::Ttft(Stat::Quantile(500_000)),
        Self::Ttft(Stat::Quantile(950_000)),
        Self::Ttft(Stat::Quantile(990_000)),
        Self::Total(Stat::Quantile(500_000)),
        Self::Total(Stat::Quantile(950_000)),
        Self::CostPer1k,
        Self::Amplification,
    ];

    pub(crate) const fn dimension(&self) -> Dimension {
        match self {
            Self::SuccessRate | Self::Share => Dimension::Share,
            Self::Ttft(_) | Self::Total(_) | Self::Recovery(_) => Dimension::Time,
            Self::CostPer1k => Dimension::Money,
            Self::Amplification => Dimension::Factor,
        }
    }
}

impl Unit {
    pub(crate) const ALL: [Self; 8] = [
        Self::Percent,
        Self::Micros,
        Self::Millis,
        Self::Seconds,
        Self::Minutes,
        Self::Hours,
        Self::Usd,
        Self::Times,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Percent => "%",
            Self::Micros => "us",
            Self::Millis => "ms",
            Self::Seconds => "s",
            Self::Minutes => "min",
            Self::Hours => "h",
            Self::Usd => "USD",
            Self::Times => "",
        }
    }

    pub(crate) const fn dimension(self) -> Dimension {
        match self {
            Self::Percent => Dimension::Share,
            Self::Micros | Self::Millis | Self::Seconds | Self::Minutes | Self::Hours => {
                Dimension::Time
            }
            Self::Usd => Dimension::Money,
            Self::Times => Dimension::Factor,
        }
    }

    /// In the finest grain of its dimension: billionths (shares, factors), ns, pico-dollars.
    pub(crate) const fn grains(self) -> u64 {
        match self {
            Self::Percent => 10_000_000,
            Self::Micros => 1_000,
            Self::Millis => 1_000_000,
            Self::Seconds | Self::Times => 1_000_000_000,
            Self::Minutes => 60_000_000_000,
            Self::Hours => 3_600_000_000_000,
            Self::Usd => 1_000_000_000_000,
        }
    }
}

impl fmt::Display for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{} {} {}", self.metric, self.of, self.op, self.bound)
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SuccessRate => f.write_str("success.rate"),
            Self::Ttft(stat) => write!(f, "ttft.{stat}"),
            Self::Total(stat) => write!(f, "total.{stat}"),
            Self::CostPer1k => f.write_str("cost.per_1k"),
            Self::Amplification => f.write_str("amplification"),
            Self::Share => f.write_str("share"),
            Self::Recovery(fault) => write!(f, "recovery({fault})"),
        }
    }
}

impl fmt::Display for Stat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Quantile(ppm) => {
                let fraction = format!("{:04}", ppm % 10_000);
                let fraction = fraction.trim_end_matches('0');
                let dot = if fraction.is_empty() { "" } else { "." };
                write!(f, "p{}{dot}{fraction}", ppm / 10_000)
            }
            Self::Mean => f.write_str("mean"),
            Self::Max => f.write_str("max"),
        }
    }
}

/// With a space before it, if there is anything: ` {group=chat}`.
impl fmt::Display for Selectors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named =
            [("group", &self.group), ("deployment", &self.deployment), ("during", &self.during)];
        let named: Vec<String> = named
            .into_iter()
            .filter_map(|(key, name)| name.as_ref().map(|name| format!("{key}={name}")))
            .collect();
        if named.is_empty() { Ok(()) } else { write!(f, " {{{}}}", named.join(", ")) }
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Less => "<",
            Self::AtMost => "<=",
            Self::More => ">",
            Self::AtLeast => ">=",
        })
    }
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

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, " (hint: {hint})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Mistake {}

#[cfg(test)]
mod tests;
