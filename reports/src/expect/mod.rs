//! What a person expects of a run, as written: `ttft.p99 {group=chat, during=spike} < 2 s`.
//!
//! ```text
//! expectation = metric [ "{" selector { "," selector } "}" ] op quantity
//! metric      = "success.rate" | "ttft." stat | "total." stat | "cost.per_1k"
//!             | "amplification" | "share" | "recovery(" fault ")"
//!             | ( "retries" | "hedges" | "probes" | "standby" | "panic" ) ".share"
//!             | "hedges.won" | "hedges.cost" | "cached.share" | "failures." class
//!             | "breaker.openings" | "ejected.share" | "ejected.max"
//!             | "panic.time" | "stranded.time" | "rungs." rung
//!             | "queue.wait." stat | "queued.share" | "shed.share"
//!             | "cost.total" | "cost.share" | "cost.estimated" | "refused.share"
//! rung        = "fresh" | "full" | "stale" | "smaller" | "static" | "degraded"
//! class       = "rate_limit" | "server" | "connection" | "timeout" | "account" | "invalid"
//! stat        = "p" number | "mean" | "max"
//! selector    = ( "group" | "deployment" | "during" | "class" | kind | property ) "=" name
//! op          = "<" | "<=" | ">" | ">="
//! quantity    = number ( "%" | "us" | "ms" | "s" | "min" | "h" | "USD" | nothing )
//! ```

mod judge;
mod nearest;
mod parse;
mod payer;
mod policies;
mod show;

use std::fmt;
use std::ops::Range;

use router_core::{Cause, Config, FailureClass};

pub use judge::{Judgement, Verdict};
pub use payer::Whose;
pub(crate) use payer::{purse, unknown_payer};

use crate::Given;

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

/// What can be measured. From [`Self::SuccessRate`] to [`Self::Recovery`] it is measured on users'
/// calls, over all tries of their clients, or on the attempts made on the deployment that is named;
/// what follows is measured on attempts, breakers or seconds, in the group and on the deployment
/// that are named.
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
    /// `hedges.share` and its like: the part of the attempts dispatched that were sent for this.
    Sent(Sent),
    /// `hedges.won`: the part of the hedges that had their token first.
    HedgesWon,
    /// `hedges.cost`: the part of what all attempts cost that went into those that the other
    /// attempt of their hedged request outran.
    HedgesCost,
    /// `cached.share`: the part of the prompt tokens charged that came from a provider's cache.
    Cached,
    /// `failures.timeout` and its like: the part of the attempts answered or failed that failed in
    /// this way.
    Failures(FailureClass),
    /// `breaker.openings`: how often breakers opened and held.
    Openings,
    /// `ejected.share`: the part of the time that members were out: resting, behind a breaker that
    /// is open or half-open, or forced open. A mean over members, standby included.
    Ejected,
    /// `ejected.max`: the largest part of a group that was out at once.
    EjectedMax,
    /// `panic.time`: how many seconds of the clock saw an attempt sent to a member that was out,
    /// since too many were.
    PanicTime,
    /// `stranded.time`: how many seconds of the clock saw a request that found nobody.
    StrandedTime,
    /// `app.restarts`: how often a replica of the application was restarted.
    AppRestarts,
    /// `app.down`: the part of the time that replicas of the application were down: their mean.
    AppDown,
    /// `cost.total`: what all attempts cost, failed ones included.
    CostTotal,
    /// `cost.share`: of the money, what went to the one named.
    CostShare,
    /// `cost.estimated`: of the money, what no provider told: that of attempts which failed or were
    /// dropped.
    CostEstimated,
    /// `refused.share`: of the tries of clients, those refused at once for a limit or a budget of a
    /// subject; of a subject's, for one of its own.
    Refused,
    /// `limits.overshoot` and its like: what all replicas together took beyond what they share.
    Overshoot(Shared),
    /// `rungs.stale` and its like: the part of the calls that ended which was given this.
    Rung(Given),
    /// `rungs.degraded`: the part of the calls that ended which was given less than the full
    /// answer: a stale one, that of a smaller group, or a static text.
    Degraded,
    /// `queue.wait`: from submission to leaving the queue for an attempt, of submissions that did.
    QueueWait(Stat),
    /// `queued.share`: the part of the submissions that waited in a queue.
    Queued,
    /// `shed.share`: the part of the submissions that a queue, or their group's bound, turned away.
    Shed,
}

/// What an attempt was sent for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Sent {
    /// `retries`: not the first of its request, and in the group of the one before it, whatever
    /// it was beside that. Hedges are among them: the retry budget pays for both.
    Retries,
    /// `hedges`: beside a slow one.
    Hedges,
    /// `probes`: through a half-open breaker.
    Probes,
    /// `standby`: to a member of weight zero, since no other was left.
    Standby,
    /// `panic`: to a member that is out, since too many are.
    Panic,
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
    /// Submissions of this class, one of `router.priorities`.
    pub class: Option<String>,
    /// Calls on this account, or with this label.
    pub whose: Option<Whose>,
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

    /// Reads what an expectation is of, without a bound: `ttft.p99 {group=chat}`.
    ///
    /// # Errors
    /// The first mistake in it.
    pub fn parse_metric(text: &str) -> Result<(Metric, Selectors), Mistake> {
        parse::metric(text)
    }

    /// Whether a router of this configuration has the group, the deployment and the class it names, and
    /// the one in the other for a share of a group; if not, it does not apply.
    pub fn applies(&self, config: &Config) -> bool {
        if self.of.class.as_deref().is_some_and(|name| config.priority(name).is_none()) {
            return false;
        }
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
            | Metric::Share
            | Metric::Sent(_)
            | Metric::HedgesWon
            | Metric::HedgesCost
            | Metric::Cached
            | Metric::Failures(_)
            | Metric::Openings
            | Metric::Ejected
            | Metric::EjectedMax
            | Metric::PanicTime
            | Metric::StrandedTime
            | Metric::AppRestarts
            | Metric::AppDown
            | Metric::CostTotal
            | Metric::CostShare
            | Metric::CostEstimated
            | Metric::Refused
            | Metric::Overshoot(_)
            | Metric::Rung(_)
            | Metric::Degraded
            | Metric::QueueWait(_)
            | Metric::Queued
            | Metric::Shed => None,
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

    /// Whether a group and a deployment may be named together.
    pub(crate) const fn is_of_memberships(&self) -> bool {
        match self {
            Self::Share
            | Self::Sent(_)
            | Self::HedgesWon
            | Self::HedgesCost
            | Self::Cached
            | Self::Failures(_)
            | Self::Openings
            | Self::Ejected => true,
            Self::SuccessRate
            | Self::Ttft(_)
            | Self::Total(_)
            | Self::CostPer1k
            | Self::Amplification
            | Self::Recovery(_)
            | Self::EjectedMax
            | Self::PanicTime
            | Self::StrandedTime
            | Self::AppRestarts
            | Self::AppDown
            | Self::CostTotal
            | Self::CostShare
            | Self::CostEstimated
            | Self::Refused
            | Self::Overshoot(_)
            | Self::Rung(_)
            | Self::Degraded
            | Self::QueueWait(_)
            | Self::Queued
            | Self::Shed => false,
        }
    }

    pub(crate) const fn dimension(&self) -> Dimension {
        match self {
            Self::SuccessRate
            | Self::Share
            | Self::Sent(_)
            | Self::HedgesWon
            | Self::HedgesCost
            | Self::Cached
            | Self::Failures(_)
            | Self::Ejected
            | Self::EjectedMax
            | Self::CostShare
            | Self::CostEstimated
            | Self::Refused
            | Self::AppDown
            | Self::Rung(_)
            | Self::Degraded
            | Self::Queued
            | Self::Shed => Dimension::Share,
            Self::Ttft(_)
            | Self::Total(_)
            | Self::Recovery(_)
            | Self::PanicTime
            | Self::StrandedTime
            | Self::QueueWait(_) => Dimension::Time,
            Self::CostPer1k | Self::CostTotal | Self::Overshoot(Shared::Money) => Dimension::Money,
            Self::Amplification
            | Self::Openings
            | Self::AppRestarts
            | Self::Overshoot(Shared::Requests | Shared::Tokens | Shared::BudgetTokens) => {
                Dimension::Factor
            }
        }
    }
}

/// What replicas share, and may take too much of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Shared {
    /// `limits.overshoot`: the most requests that they sent in any window beyond a limit's burst and
    /// what its rate grants in that time; of the worst limit.
    Requests,
    /// `limits.overshoot.tokens`: the same of tokens, as reserved.
    Tokens,
    /// `budgets.overshoot`: the most dollars that were spent or reserved beyond a subject's budget
    /// when more was sent; of the worst.
    Money,
    /// `budgets.overshoot.tokens`: the same of budgets of tokens.
    BudgetTokens,
}

impl Shared {
    pub(crate) const ALL: [Self; 4] =
        [Self::Requests, Self::Tokens, Self::Money, Self::BudgetTokens];

    /// What a metric calls it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Requests => "limits.overshoot",
            Self::Tokens => "limits.overshoot.tokens",
            Self::Money => "budgets.overshoot",
            Self::BudgetTokens => "budgets.overshoot.tokens",
        }
    }

    /// What it is of.
    const fn what(self) -> &'static str {
        match self {
            Self::Requests => "no limit is on requests",
            Self::Tokens => "no limit is on tokens",
            Self::Money => "nobody with a budget of dollars has asked for anything",
            Self::BudgetTokens => "nobody with a budget of tokens has asked for anything",
        }
    }
}

impl Sent {
    pub(crate) const ALL: [Self; 5] =
        [Self::Retries, Self::Hedges, Self::Probes, Self::Standby, Self::Panic];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Retries => "retries",
            Self::Hedges => "hedges",
            Self::Probes => "probes",
            Self::Standby => "standby",
            Self::Panic => "panic",
        }
    }

    /// The cause that says so; none for what several causes may be.
    pub(crate) const fn cause(self) -> Option<Cause> {
        match self {
            Self::Retries => None,
            Self::Hedges => Some(Cause::Hedge),
            Self::Probes => Some(Cause::Probe),
            Self::Standby => Some(Cause::Standby),
            Self::Panic => Some(Cause::Panic),
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
            Self::Sent(what) => write!(f, "{}.share", what.name()),
            Self::HedgesWon => f.write_str("hedges.won"),
            Self::HedgesCost => f.write_str("hedges.cost"),
            Self::Cached => f.write_str("cached.share"),
            Self::Failures(class) => write!(f, "failures.{}", class.name()),
            Self::Openings => f.write_str("breaker.openings"),
            Self::Ejected => f.write_str("ejected.share"),
            Self::EjectedMax => f.write_str("ejected.max"),
            Self::PanicTime => f.write_str("panic.time"),
            Self::StrandedTime => f.write_str("stranded.time"),
            Self::AppRestarts => f.write_str("app.restarts"),
            Self::AppDown => f.write_str("app.down"),
            Self::Overshoot(shared) => f.write_str(shared.name()),
            Self::CostTotal => f.write_str("cost.total"),
            Self::CostShare => f.write_str("cost.share"),
            Self::CostEstimated => f.write_str("cost.estimated"),
            Self::Refused => f.write_str("refused.share"),
            Self::Rung(given) => write!(f, "rungs.{}", given.name()),
            Self::Degraded => f.write_str("rungs.degraded"),
            Self::QueueWait(stat) => write!(f, "queue.wait.{stat}"),
            Self::Queued => f.write_str("queued.share"),
            Self::Shed => f.write_str("shed.share"),
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
        let named = [
            ("group", &self.group),
            ("deployment", &self.deployment),
            ("during", &self.during),
            ("class", &self.class),
        ];
        let named = named.into_iter().filter_map(|(key, name)| Some((key, name.as_ref()?)));
        let whose = self.whose.iter().map(|whose| (whose.key.as_str(), &whose.name));
        let named: Vec<String> =
            whose.chain(named).map(|(key, name)| format!("{key}={name}")).collect();
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
