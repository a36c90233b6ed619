//! Where a metric went: the calls that make it what it is, and what they met.

use std::collections::BTreeMap;
use std::sync::Arc;

use router_core::{
    Anew, Call, CallEnd, Config, DeploymentId, FailureKind, GroupId, Input, Journal, Output, Ratio,
    RequestId, Span, Time,
};

use super::chains::Chains;
use super::moments::Moments;
use super::trail::{Death, Leg, Toll, Trail, Trails, Verdict, Why};
use crate::Frame;
use crate::expect::{Metric, Selectors, Stat, unknown_payer};

/// A journal that gathers what makes a metric what it is.
///
/// It must see a run from its first input.
#[derive(Clone, Debug)]
pub struct Breakdown {
    pub(super) config: Arc<Config>,
    pub(super) metric: Metric,
    pub(super) gather: Gather,
    pub(super) of: Selectors,
    pub(super) group: Option<GroupId>,
    pub(super) deployment: Option<DeploymentId>,
    /// The pieces of the phase it is of.
    pieces: Option<Vec<(Time, Time)>>,
    trails: Trails,
    pub(super) moments: Moments,
    pub(super) tail: Tail,
    pub(super) found: Found,
}

/// What is gathered for a metric, call by call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Gather {
    /// The time to the first token.
    First(Stat),
    /// The time to the end of an answer.
    Whole(Stat),
    Failures,
    Attempts,
    Costs,
    /// The figures say it all.
    Nothing,
}

impl Gather {
    const fn of(metric: &Metric) -> Self {
        match metric {
            Metric::Ttft(stat) => Self::First(*stat),
            Metric::Total(stat) => Self::Whole(*stat),
            Metric::SuccessRate => Self::Failures,
            Metric::Amplification => Self::Attempts,
            Metric::CostPer1k | Metric::HedgesCost | Metric::Cached => Self::Costs,
            Metric::Share
            | Metric::Recovery(_)
            | Metric::Sent(_)
            | Metric::HedgesWon
            | Metric::Failures(_)
            | Metric::Openings
            | Metric::Ejected
            | Metric::EjectedMax
            | Metric::PanicTime
            | Metric::StrandedTime
            | Metric::AppRestarts
            | Metric::CostTotal
            | Metric::CostShare
            | Metric::CostEstimated
            | Metric::Refused
            | Metric::Overshoot(_)
            | Metric::AppDown
            | Metric::Rung(_)
            | Metric::Degraded
            | Metric::QueueWait(_)
            | Metric::Queued
            | Metric::Shed => Self::Nothing,
        }
    }
}

/// What was gathered.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    /// Calls (or attempts) that count, and those of them that were answered.
    pub(super) all: u64,
    pub(super) answered: u64,
    pub(super) times: Sums<Toll>,
    pub(super) ends: Sums<Ending>,
    pub(super) whys: Sums<Why>,
    pub(super) costs: Sums<(Spent, DeploymentId)>,
    pub(super) chains: Chains,
}

/// Sums by what they are of, and how many calls had a part in each.
pub(super) type Sums<K> = BTreeMap<K, (u128, u64)>;

/// How a call ended that was not answered.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Ending {
    /// After this failure or drop, for this reason.
    After(Option<(Death, DeploymentId)>, Option<Verdict>),
    Partial,
    Left,
}

/// What money was spent on.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Spent {
    Answers,
    Failed(FailureKind),
    Hedged,
    Dropped,
}

/// The samples at and beyond a quantile, of a number of samples that is not known yet.
#[derive(Clone, Debug)]
pub(super) struct Tail {
    stat: Option<Stat>,
    /// The most that can lie there.
    room: usize,
    kept: BTreeMap<(Span, RequestId, u8), Sample>,
    pub(super) count: u64,
    pub(super) least: Span,
    pub(super) greatest: Span,
    pub(super) sum: u128,
}

/// A call, or an attempt, and its way.
#[derive(Clone, Debug)]
struct Sample {
    id: RequestId,
    from: Time,
    until: Time,
    trail: Trail,
}

impl Breakdown {
    /// A breakdown of a metric of a run of `config`, in which at most `most` calls and as many
    /// attempts come.
    ///
    /// # Errors
    /// What the metric's selectors name and the run does not have, in a sentence.
    pub fn new(
        config: Arc<Config>,
        frame: &Frame,
        (metric, of): (Metric, Selectors),
        most: u64,
    ) -> Result<Self, String> {
        let missing = |kind: &str, name: &str, known: &mut dyn Iterator<Item = &str>| {
            let known: Vec<String> = known.take(12).map(|name| format!("`{name}`")).collect();
            let known = super::story::listed(&known, "and");
            format!("this run has no {kind} `{name}`\nhint: it has {known}")
        };
        let group = of.group.as_deref().map(|name| {
            let known = &mut config.groups().iter().map(|group| group.name.as_str());
            config.group_named(name).ok_or_else(|| missing("group", name, known))
        });
        let deployment = of.deployment.as_deref().map(|name| {
            let known = &mut config.deployments().iter().map(|d| d.name.as_str());
            config.deployment_named(name).ok_or_else(|| missing("deployment", name, known))
        });
        let pieces = of.during.as_deref().map(|name| {
            let found = frame.phases.iter().find(|phase| phase.name == name);
            let known = &mut frame.phases.iter().map(|phase| phase.name.as_str());
            found.map(|phase| phase.pieces.clone()).ok_or_else(|| missing("phase", name, known))
        });
        let (group, deployment) = (group.transpose()?, deployment.transpose()?);
        let pieces = pieces.transpose()?;
        if let Some(whose) = &of.whose
            && let Some(mistake) = unknown_payer(whose, &frame.payers)
        {
            let hint = mistake.hint.map(|hint| format!("\nhint: {hint}")).unwrap_or_default();
            return Err(format!("{}{hint}", mistake.message));
        }
        // Calls are not gathered by who pays: the figures say what there is to say.
        let gather = if of.whose.is_some() { Gather::Nothing } else { Gather::of(&metric) };
        Ok(Self {
            gather,
            tail: Tail::new(gather, most),
            trails: Trails::default(),
            moments: Moments::new(&metric, group),
            found: Found::default(),
            config,
            metric,
            of,
            group,
            deployment,
            pieces,
        })
    }

    /// Gathers what only the end of a run can tell.
    pub(super) fn settled(&self) -> (Found, Tail) {
        let (mut found, mut tail) = (self.found.clone(), self.tail.clone());
        for sample in tail.settle() {
            found.take(&sample, self.deployment.is_none());
        }
        (found, tail)
    }

    fn counts(&self, at: Time) -> bool {
        let within = |pieces: &Vec<(Time, Time)>| {
            pieces.iter().any(|(from, until)| *from <= at && at < *until)
        };
        self.pieces.as_ref().is_none_or(within)
    }

    fn called(&mut self, call: &Call, trail: Trail) {
        if self.group.is_some_and(|group| group != call.group) {
            return;
        }
        self.paid(&trail);
        match self.deployment {
            Some(deployment) => self.attempts(&trail, deployment),
            None if self.counts(call.arrived) => self.took(call, trail),
            None => {}
        }
    }

    fn took(&mut self, call: &Call, trail: Trail) {
        self.found.all += 1;
        let answered = call.end.is_answered();
        self.found.answered += u64::from(answered);
        match self.gather {
            Gather::First(_) => {
                if let Some(until) = call.first_token {
                    self.sample((call.id, 0), (call.arrived, until), trail);
                }
            }
            Gather::Whole(_) if answered => {
                self.sample((call.id, 0), (call.arrived, call.ended), trail);
            }
            Gather::Failures if !answered => {
                add(&mut self.found.ends, ending(call, &trail), 1);
                let took = call.ended.since(call.arrived);
                self.found.chains.add(call.id, &trail, call.ended, took);
            }
            Gather::Attempts => {
                trail.legs().for_each(|leg| add(&mut self.found.whys, leg.why, 1));
            }
            Gather::Whole(_) | Gather::Failures | Gather::Costs | Gather::Nothing => {}
        }
    }

    /// The attempts of a call on one deployment.
    fn attempts(&mut self, trail: &Trail, deployment: DeploymentId) {
        let ended = |leg: &&Leg| leg.end.is_some_and(|(at, ..)| self.counts(at));
        let legs = trail.legs().filter(|leg| leg.deployment == deployment).filter(ended);
        for leg in legs.copied().collect::<Vec<Leg>>() {
            let Some((end, ..)) = leg.end else { continue };
            let death = leg.death();
            // What was dropped for others' sake says nothing of the deployment.
            let judged = !matches!(death, Some(Death::Dropped(_) | Death::Outrun | Death::Cut));
            self.found.all += u64::from(judged);
            self.found.answered += u64::from(death.is_none());
            let until = match self.gather {
                Gather::First(_) => leg.committed,
                Gather::Whole(_) => death.is_none().then_some(end),
                Gather::Failures => {
                    if let Some(Death::Failed(_)) = death {
                        let died = death.map(|death| (death, deployment));
                        add(&mut self.found.ends, Ending::After(died, None), 1);
                    }
                    None
                }
                Gather::Attempts | Gather::Costs | Gather::Nothing => None,
            };
            if let Some(until) = until {
                let (id, alone) = (leg.attempt.request, Trail::of(leg));
                self.sample((id, leg.attempt.ordinal), (leg.from, until), alone);
            }
        }
    }

    /// One sample of a time. Those of a mean need not be kept.
    fn sample(&mut self, id: (RequestId, u8), (from, until): (Time, Time), trail: Trail) {
        let sample = Sample { id: id.0, from, until, trail };
        if let Some(sample) = self.tail.add(id.1, sample) {
            self.found.take(&sample, self.deployment.is_none());
        }
    }

    /// What attempts cost that ended in time.
    fn paid(&mut self, trail: &Trail) {
        if self.gather != Gather::Costs {
            return;
        }
        for (leg, usage) in trail.charges() {
            let at = leg.end.map_or(leg.from, |(at, ..)| at);
            if self.deployment.is_some_and(|own| own != leg.deployment) || !self.counts(at) {
                continue;
            }
            let spent = match leg.death() {
                None => Spent::Answers,
                Some(Death::Failed(kind)) => Spent::Failed(kind),
                Some(Death::Dropped(router_core::Abandon::Hedged) | Death::Outrun) => Spent::Hedged,
                Some(Death::Dropped(_) | Death::Cut) => Spent::Dropped,
            };
            let pico = self.config.deployment(leg.deployment).price.of(usage);
            add(&mut self.found.costs, (spent, leg.deployment), u128::from(pico));
        }
    }
}

impl Found {
    /// A sample that belongs to the part of the metric that is looked at.
    fn take(&mut self, sample: &Sample, is_call: bool) {
        let Sample { id, from, until, trail } = sample;
        let mut own: BTreeMap<Toll, u128> = BTreeMap::new();
        for (toll, span) in trail.tolls(*from, *until) {
            *own.entry(toll).or_default() += u128::from(span.as_nanos());
        }
        own.into_iter().for_each(|(toll, ns)| add(&mut self.times, toll, ns));
        if is_call {
            self.chains.add(*id, trail, *until, until.since(*from));
        }
    }
}

/// What made a call fail.
fn ending(call: &Call, trail: &Trail) -> Ending {
    match call.end {
        CallEnd::Partial(_) => Ending::Partial,
        CallEnd::Left => Ending::Left,
        CallEnd::Failed(_)
        | CallEnd::Answered(_)
        | CallEnd::Degraded(_)
        | CallEnd::Cached { .. }
        | CallEnd::Static => {
            let last = trail.legs().last().filter(|leg| trail.is_of_last_try(leg));
            let died = last.and_then(|leg| Some((leg.death()?, leg.deployment)));
            Ending::After(died, trail.verdict())
        }
    }
}

fn add<K: Ord>(sums: &mut Sums<K>, key: K, amount: u128) {
    let (sum, calls) = sums.entry(key).or_default();
    *sum += amount;
    *calls += 1;
}

impl Tail {
    fn new(gather: Gather, most: u64) -> Self {
        let stat = match gather {
            Gather::First(stat) | Gather::Whole(stat) => Some(stat),
            Gather::Failures | Gather::Attempts | Gather::Costs | Gather::Nothing => None,
        };
        let room = stat.map_or(0, |stat| beyond(stat, most) + 1);
        Self {
            stat,
            room: usize::try_from(room).unwrap_or(usize::MAX),
            kept: BTreeMap::new(),
            count: 0,
            least: Span::ZERO,
            greatest: Span::ZERO,
            sum: 0,
        }
    }

    /// Keeps a sample, or gives it back if it belongs there whatever else comes.
    fn add(&mut self, ordinal: u8, sample: Sample) -> Option<Sample> {
        self.count += 1;
        let took = sample.until.since(sample.from);
        if self.stat == Some(Stat::Mean) {
            self.least = if self.count == 1 { took } else { self.least.min(took) };
            self.greatest = self.greatest.max(took);
            self.sum += u128::from(took.as_nanos());
            return Some(sample);
        }
        let key = (took, sample.id, ordinal);
        let full = self.kept.len() >= self.room;
        if !full || self.kept.first_key_value().is_some_and(|(least, _)| key > *least) {
            self.kept.insert(key, sample);
            if full {
                self.kept.pop_first();
            }
        }
        None
    }

    /// The samples that lie there, now that their number is known.
    fn settle(&mut self) -> Vec<Sample> {
        let kept_none = self.count == 0 || self.stat == Some(Stat::Mean);
        let Some(stat) = self.stat.filter(|_| !kept_none) else { return Vec::new() };
        let wanted = usize::try_from(beyond(stat, self.count)).unwrap_or(usize::MAX);
        while self.kept.len() > wanted {
            self.kept.pop_first();
        }
        let kept = std::mem::take(&mut self.kept);
        let spans = || kept.keys().map(|(span, ..)| *span);
        self.least = spans().min().unwrap_or_default();
        self.greatest = spans().max().unwrap_or_default();
        self.sum = spans().map(|span| u128::from(span.as_nanos())).sum();
        kept.into_values().collect()
    }
}

/// How many of `count` samples lie at a statistic and beyond; all of them make a mean.
pub(super) fn beyond(stat: Stat, count: u64) -> u64 {
    match stat {
        // A quantile has the rank `ceil(q * count)`, counted from one.
        Stat::Quantile(ppm) => {
            count + 1 - Ratio::from_ppm(ppm).of_ceil(count).clamp(1, count.max(1))
        }
        Stat::Mean => count,
        Stat::Max => count.min(1),
    }
}

impl Journal for Breakdown {
    fn input(&mut self, now: Time, input: &Input) {
        self.trails.input(now, input);
        self.moments.input(input);
    }

    fn output(&mut self, now: Time, output: &Output) {
        self.trails.output(now, output);
        self.moments.output(&self.config, now, output);
    }

    fn cut(&mut self, _: Time, request: RequestId, _: Anew) {
        self.trails.cut(request);
    }

    fn call(&mut self, _: Time, call: &Call) {
        if let Some(trail) = self.trails.take(call) {
            self.called(call, trail);
        }
    }
}
