//! Holding figures to an expectation.

use router_core::{Ratio, Span};

use super::{Dimension, Expectation, Metric, Op, Selectors, Stat, Unit, payer, policies, show};
use crate::queues;
use crate::{Attempts, Calls, ExpectedShare, Figures, Fine, InClass, Part, Recovery};

/// The fewest samples beyond a quantile for which it is said.
const BEYOND: u64 = 10;

/// Whether an expectation holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// It does.
    Pass,
    /// It does not.
    Fail,
    /// Too little happened to say so.
    NoData,
}

/// A verdict and its grounds.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// Whether it holds.
    pub verdict: Verdict,
    /// What was measured: a share of one, seconds, USD, or a factor; none if there is no data or
    /// if a recovery never came.
    pub measured: Option<f64>,
    /// In words: `ttft.p99 9.12 s, wanted < 2 s`.
    pub text: String,
}

/// What a metric comes to.
pub(super) enum Measured {
    /// `parts / wholes`, in grains of the metric's dimension.
    Value { parts: u128, wholes: u128 },
    /// Longer than can be seen.
    Never,
    /// Nothing, and why.
    Nothing(String),
}

impl Expectation {
    /// Judges a run by its figures. Values are compared exactly, not as they are shown.
    pub fn judge(&self, figures: &Figures) -> Judgement {
        let what = format!("{}{}", self.metric, self.of);
        let wanted = format!("wanted {} {}", self.op, self.bound);
        match measure(&self.metric, &self.of, figures) {
            Measured::Value { parts, wholes } => {
                let grains =
                    u128::from(self.bound.billionths) * u128::from(self.bound.unit.grains());
                let measured = parts.saturating_mul(1_000_000_000);
                let holds = self.op.holds(&measured, &grains.saturating_mul(wholes));
                let value = self.metric.in_units(parts, wholes);
                let bound = self.metric.in_units(grains, 1_000_000_000);
                let same = |shown: f64| self.op.holds(&shown, &bound) == holds;
                let shown = show::value(value, self.metric.dimension(), same);
                Judgement {
                    verdict: if holds { Verdict::Pass } else { Verdict::Fail },
                    measured: Some(value),
                    text: format!("{what} {shown}, {wanted}"),
                }
            }
            Measured::Never => Judgement {
                verdict: match self.op {
                    Op::Less | Op::AtMost => Verdict::Fail,
                    Op::More | Op::AtLeast => Verdict::Pass,
                },
                measured: None,
                text: format!("{what} not within the horizon, {wanted}"),
            },
            Measured::Nothing(why) => Judgement {
                verdict: Verdict::NoData,
                measured: None,
                text: format!("{what}: {why}; {wanted}"),
            },
        }
    }
}

impl Metric {
    /// What a run comes to: a share of one, seconds, USD, or a factor; none without data.
    pub fn measure(&self, of: &Selectors, figures: &Figures) -> Option<f64> {
        match measure(self, of, figures) {
            Measured::Value { parts, wholes } => Some(self.in_units(parts, wholes)),
            Measured::Never | Measured::Nothing(_) => None,
        }
    }

    /// What a run comes to, in words; why it comes to nothing, if it does.
    pub(crate) fn told(&self, of: &Selectors, figures: &Figures) -> String {
        match measure(self, of, figures) {
            Measured::Value { parts, wholes } => {
                let value = self.in_units(parts, wholes);
                format!(" is {}", show::value(value, self.dimension(), |_| true))
            }
            Measured::Never => ": not within the horizon".to_owned(),
            Measured::Nothing(why) => format!(": {why}"),
        }
    }

    /// A measured value as [`Judgement::measured`] has it.
    fn in_units(&self, parts: u128, wholes: u128) -> f64 {
        let unit = match self.dimension() {
            Dimension::Share | Dimension::Factor => Unit::Times,
            Dimension::Time => Unit::Seconds,
            Dimension::Money => Unit::Usd,
        };
        parts as f64 / (wholes as f64 * unit.grains() as f64)
    }
}

impl Op {
    fn holds<T: PartialOrd>(self, measured: &T, bound: &T) -> bool {
        match self {
            Self::Less => measured < bound,
            Self::AtMost => measured <= bound,
            Self::More => measured > bound,
            Self::AtLeast => measured >= bound,
        }
    }
}

/// What a metric is measured on.
enum Sample<'a> {
    Calls(&'a Calls),
    Attempts(&'a Attempts),
}

impl Sample<'_> {
    /// Answered, and over with a verdict on the router or the deployment.
    fn answered(&self) -> (u64, u64) {
        match self {
            Self::Calls(calls) => (calls.answered, calls.ended),
            Self::Attempts(attempts) => (attempts.answered, attempts.answered + attempts.failed()),
        }
    }

    const fn cost_pico(&self) -> u128 {
        match self {
            Self::Calls(calls) => calls.cost_pico,
            Self::Attempts(attempts) => attempts.cost_pico,
        }
    }

    const fn ttft(&self) -> &Fine {
        match self {
            Self::Calls(calls) => &calls.ttft,
            Self::Attempts(attempts) => &attempts.ttft,
        }
    }

    const fn total(&self) -> &Fine {
        match self {
            Self::Calls(calls) => &calls.total,
            Self::Attempts(attempts) => &attempts.total,
        }
    }
}

fn measure(metric: &Metric, of: &Selectors, figures: &Figures) -> Measured {
    let part = match &of.during {
        None => &figures.whole,
        Some(name) => match figures.phase(name) {
            Some(part) => part,
            None => return Measured::Nothing(format!("there is no phase `{name}`")),
        },
    };
    if of.whose.is_some() {
        return payer::measure(metric, of, figures, part);
    }
    let sample = match sample(of, figures, part) {
        Ok(sample) => sample,
        Err(why) => return Measured::Nothing(why),
    };
    let value = |parts: u128, wholes: u64, nothing: &str| match wholes {
        0 => Measured::Nothing(nothing.to_owned()),
        _ => Measured::Value { parts, wholes: u128::from(wholes) },
    };
    let ratio = |part: u64, whole: u64, nothing: &str| {
        value(u128::from(part) * u128::from(Unit::Times.grains()), whole, nothing)
    };
    match metric {
        Metric::SuccessRate => {
            let (answered, ended) = sample.answered();
            ratio(answered, ended, "nothing ended")
        }
        Metric::Ttft(stat) => statistic(*stat, sample.ttft()),
        Metric::Total(stat) => statistic(*stat, sample.total()),
        Metric::CostPer1k => {
            value(sample.cost_pico() * 1_000, sample.answered().0, "nothing was answered")
        }
        Metric::Amplification => match sample {
            Sample::Calls(calls) => ratio(calls.attempts, calls.ended, "no call ended"),
            Sample::Attempts(_) => Measured::Nothing("attempts have no attempts".to_owned()),
        },
        Metric::Rung(given) => match sample {
            Sample::Calls(calls) => {
                ratio(given.of(&calls.rungs, calls.answered), calls.ended, "no call ended")
            }
            Sample::Attempts(_) => Measured::Nothing("attempts take no rungs".to_owned()),
        },
        Metric::Degraded => match sample {
            Sample::Calls(calls) => ratio(calls.rungs.degraded(), calls.ended, "no call ended"),
            Sample::Attempts(_) => Measured::Nothing("attempts take no rungs".to_owned()),
        },
        Metric::QueueWait(stat) => match queued(of, figures, part) {
            Ok(one) => statistic(*stat, &one.wait),
            Err(why) => Measured::Nothing(why),
        },
        Metric::Queued | Metric::Shed => match queued(of, figures, part) {
            Ok(one) => {
                let part = if *metric == Metric::Shed { one.refused() } else { one.waited };
                ratio(part, one.submissions, "nothing was submitted")
            }
            Err(why) => Measured::Nothing(why),
        },
        Metric::Share => {
            let (own, all) = dispatched(of, figures, part);
            ratio(own, all, "nothing was dispatched")
        }
        Metric::Recovery(fault) => match figures.recovery(fault) {
            Recovery::After(span) => {
                Measured::Value { parts: u128::from(span.as_nanos()), wholes: 1 }
            }
            Recovery::Never => Measured::Never,
            Recovery::NoData(why) => Measured::Nothing(why.to_string()),
        },
        Metric::Sent(_)
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
        | Metric::Overshoot(_)
        | Metric::AppDown => policies::measure(metric, of, figures, part),
        Metric::CostTotal | Metric::CostShare | Metric::CostEstimated | Metric::Refused => {
            payer::measure(metric, of, figures, part)
        }
    }
}

fn sample<'a>(of: &Selectors, figures: &Figures, part: &'a Part) -> Result<Sample<'a>, String> {
    if let Some(name) = &of.deployment {
        let id = figures.deployment_named(name);
        let id = id.ok_or_else(|| format!("this router has no deployment `{name}`"))?;
        return Ok(Sample::Attempts(&part.deployments[id.index()]));
    }
    match &of.group {
        Some(name) => {
            let id = figures.group_named(name);
            let id = id.ok_or_else(|| format!("this router has no group `{name}`"))?;
            Ok(Sample::Calls(&part.groups[id.index()]))
        }
        None => Ok(Sample::Calls(&part.calls)),
    }
}

/// What became of submissions at queues and bounds.
fn queued(of: &Selectors, figures: &Figures, part: &Part) -> Result<InClass, String> {
    if figures.bounds.iter().all(Option::is_none) {
        return Err("no group has a `queue`, or a bound (`in_flight`)".to_owned());
    }
    match of.class.as_ref().filter(|name| !figures.classes.contains(name)) {
        Some(name) => Err(format!("this router has no priority `{name}`")),
        None => Ok(queues::chosen(figures, part, of)),
    }
}

/// The deployment's dispatches and all dispatches, in the groups that it is a member of or in
/// the one that is named.
fn dispatched(of: &Selectors, figures: &Figures, part: &Part) -> (u64, u64) {
    let deployment = of.deployment.as_ref().and_then(|name| figures.deployment_named(name));
    let group = of.group.as_ref().map(|name| figures.group_named(name));
    let is_own = |member: &ExpectedShare| Some(member.deployment) == deployment;
    let belongs = |member: &ExpectedShare| match group {
        Some(group) => Some(member.group) == group,
        None => figures.members.iter().any(|own| is_own(own) && own.group == member.group),
    };
    let (mut own, mut all) = (0, 0);
    for (member, dispatched) in figures.members.iter().zip(&part.members) {
        if belongs(member) {
            all += dispatched;
            own += if is_own(member) { *dispatched } else { 0 };
        }
    }
    (own, all)
}

fn statistic(stat: Stat, times: &Fine) -> Measured {
    let one = |span: Option<Span>| match span {
        Some(span) => Measured::Value { parts: u128::from(span.as_nanos()), wholes: 1 },
        None => Measured::Nothing("no samples".to_owned()),
    };
    match stat {
        Stat::Quantile(ppm) => {
            let needed = samples_for(ppm);
            if times.count() < needed {
                return Measured::Nothing(format!(
                    "{stat} needs {} samples, and there are {}",
                    show::count(needed),
                    show::count(times.count())
                ));
            }
            one(times.quantile(Ratio::from_ppm(ppm)))
        }
        Stat::Mean if times.is_empty() => one(None),
        Stat::Mean => Measured::Value { parts: times.sum_ns(), wholes: u128::from(times.count()) },
        Stat::Max => one(times.max()),
    }
}

/// How many samples it takes for ten to lie beyond a quantile on its thinner side.
fn samples_for(ppm: u32) -> u64 {
    let thinner = u64::from(ppm.min(1_000_000 - ppm)).max(1);
    (BEYOND * 1_000_000).div_ceil(thinner)
}
