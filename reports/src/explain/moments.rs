//! The seconds of the clock that `stranded.time` and `panic.time` count: when they were, how often
//! what they are about happened in them, and why.

use std::collections::BTreeMap;

use router_core::{
    Cause, Config, DeploymentId, GiveUp, GroupId, Input, Observation, Outcome, Output, Reason,
    RequestId, Time, Wait,
};

use super::absent::LISTED;
use super::breakdown::Breakdown;
use super::say;
use crate::Figures;
use crate::expect::{Metric, Sent};
use crate::page::{Ink, Page};
use crate::table::{Side, Table};
use crate::words::{self, count, percent};

/// Seconds with less than this between them are told of together.
const NEAR_S: u64 = 5;
/// The most reasons that a line names.
const NAMED: usize = 4;
const SECOND_NS: u64 = 1_000_000_000;

/// What is listened for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Event {
    /// A request that finds nobody in any group it may go to.
    Stranded,
    /// An attempt sent to a member that is out, since too many are.
    Panic,
}

/// The seconds of the clock that saw an event, by group.
#[derive(Clone, Debug)]
pub(super) struct Moments {
    event: Option<Event>,
    group: Option<GroupId>,
    seconds: BTreeMap<(u64, GroupId), Second>,
    /// The group that each source asks for.
    homes: BTreeMap<u16, GroupId>,
    /// The request that is being selected for, and who cannot be chosen for it.
    about: Option<RequestId>,
    excluded: Vec<(DeploymentId, Reason)>,
    /// Whether it found nobody in the group asked last.
    nobody: bool,
}

#[derive(Clone, Debug, Default)]
struct Second {
    events: u64,
    reasons: BTreeMap<(DeploymentId, Reason), u64>,
}

/// Seconds near each other.
struct Stretch {
    from: u64,
    until: u64,
    group: GroupId,
    seconds: u64,
    of: Second,
}

impl Moments {
    pub(super) fn new(metric: &Metric, group: Option<GroupId>) -> Self {
        let event = if let Metric::StrandedTime = metric {
            Some(Event::Stranded)
        } else if let Metric::PanicTime | Metric::Sent(Sent::Panic) = metric {
            Some(Event::Panic)
        } else {
            None
        };
        Self {
            event,
            group,
            seconds: BTreeMap::new(),
            homes: BTreeMap::new(),
            about: None,
            excluded: Vec::new(),
            nobody: false,
        }
    }

    pub(super) fn input(&mut self, input: &Input) {
        if self.event != Some(Event::Stranded) {
            return;
        }
        self.forget();
        if let Input::Submit(request) = input {
            self.homes.insert(request.id.source(), request.group);
        }
    }

    pub(super) fn output(&mut self, config: &Config, now: Time, output: &Output) {
        match self.event {
            None => {}
            Some(Event::Panic) => {
                if let Output::Dispatch(dispatch) = output
                    && dispatch.cause == Cause::Panic
                {
                    self.count(now, dispatch.group, &[]);
                }
            }
            Some(Event::Stranded) => match output {
                Output::Observe(observation) => self.observe(config, now, observation),
                Output::Finish(request, outcome) => {
                    self.resolve(now, *request, matches!(outcome, Outcome::Reject(_)));
                }
                Output::Dispatch(_) | Output::Abandon(..) | Output::Commit(_) => {}
            },
        }
    }

    fn observe(&mut self, config: &Config, now: Time, observation: &Observation) {
        match *observation {
            Observation::Excluded { attempt, group, reason, mask } => {
                if self.about != Some(attempt.request) {
                    self.forget();
                    self.about = Some(attempt.request);
                }
                let members = config.group(group).members.iter().enumerate();
                let own = members.filter(|(i, _)| mask & 1 << i != 0);
                self.excluded.extend(own.map(|(_, member)| (member.deployment, reason)));
            }
            Observation::Selected { attempt, .. } => self.resolve(now, attempt.request, false),
            Observation::Stranded { attempt, .. } => {
                if self.about != Some(attempt.request) {
                    self.forget();
                    self.about = Some(attempt.request);
                }
                self.nobody = true;
            }
            Observation::Waiting { attempt, why, .. } => {
                self.resolve(now, attempt.request, why != Wait::Backoff);
            }
            Observation::Queued { request, .. } => self.resolve(now, request, true),
            Observation::GaveUp { request, why } => {
                self.resolve(now, request, matches!(why, GiveUp::Stranded | GiveUp::Deadline));
            }
            Observation::Ended { .. }
            | Observation::Dequeued { .. }
            | Observation::Rested { .. }
            | Observation::Breaker { .. }
            | Observation::Concurrency { .. }
            | Observation::Spared { .. }
            | Observation::Held { .. }
            | Observation::Page { .. }
            | Observation::Budget { .. }
            | Observation::Stepped { .. }
            | Observation::Closed { .. }
            | Observation::Late { .. }
            | Observation::Drained { .. }
            | Observation::Misfit => {}
        }
    }

    /// What came of the request that is being selected for.
    fn resolve(&mut self, now: Time, request: RequestId, in_vain: bool) {
        if self.about != Some(request) {
            return;
        }
        let home = self.homes.get(&request.source()).copied();
        if let Some(home) = home.filter(|_| self.nobody && in_vain) {
            let mut reasons = std::mem::take(&mut self.excluded);
            reasons.sort_unstable();
            reasons.dedup();
            self.count(now, home, &reasons);
        }
        self.forget();
    }

    fn forget(&mut self) {
        self.about = None;
        self.nobody = false;
        self.excluded.clear();
    }

    fn count(&mut self, now: Time, group: GroupId, reasons: &[(DeploymentId, Reason)]) {
        if self.group.is_some_and(|own| own != group) {
            return;
        }
        let second = self.seconds.entry((now.as_nanos() / SECOND_NS, group)).or_default();
        second.events += 1;
        for reason in reasons {
            *second.reasons.entry(*reason).or_default() += 1;
        }
    }

    fn stretches(&self) -> Vec<Stretch> {
        let mut stretches: Vec<Stretch> = Vec::new();
        for ((at, group), second) in &self.seconds {
            let near = |s: &&mut Stretch| s.group == *group && at - s.until < NEAR_S;
            match stretches.iter_mut().rev().find(near) {
                Some(stretch) => stretch.add(*at, second),
                None => {
                    let (from, until, group) = (*at, *at, *group);
                    let mut new = Stretch { from, until, group, seconds: 0, of: Second::default() };
                    new.add(*at, second);
                    stretches.push(new);
                }
            }
        }
        stretches
    }
}

impl Stretch {
    fn add(&mut self, at: u64, second: &Second) {
        self.until = at + 1;
        self.seconds += 1;
        self.of.events += second.events;
        for (reason, n) in &second.reasons {
            *self.of.reasons.entry(*reason).or_default() += n;
        }
    }

    fn ends(&self) -> (Time, Time) {
        (Time::from_secs(self.from), Time::from_secs(self.until))
    }
}

impl Breakdown {
    /// When it was, for how long, how often, and why.
    pub(super) fn moments(&self, page: &mut Page, figures: &Figures) {
        let mut stretches = self.moments.stretches();
        let stranded = self.moments.event == Some(Event::Stranded);
        let all: u64 = stretches.iter().map(|stretch| stretch.of.events).sum();
        if all == 0 {
            let what = if stranded {
                "request found nobody in any group it may go to"
            } else {
                "attempt was sent to a member that was out"
            };
            page.line(Ink::Plain, &format!("never: no {what}"));
            return;
        }
        let what = match (stranded, all) {
            (true, 1) => "request found nobody in any group it may go to",
            (true, _) => "requests found nobody in any group they may go to",
            (false, 1) => "attempt was sent to a member that was out, since too many were",
            (false, _) => "attempts were sent to members that were out, since too many were",
        };
        let times = match stretches.len() {
            1 => "in one stretch".to_owned(),
            n => format!("in {} stretches", count(n as u64)),
        };
        page.item((Ink::Plain, ""), 0, &format!("{} {what}, {times}", count(all)));
        self.thresholds(page, &stretches);
        page.gap();
        stretches.sort_by_key(|s| std::cmp::Reverse((s.of.events, s.seconds)));
        let rest = stretches.split_off(LISTED.min(stretches.len()));
        stretches.sort_by_key(|stretch| (stretch.from, stretch.group));
        let (counted, why) = if stranded {
            ("requests", "why nobody, with how many of them it kept out")
        } else {
            ("attempts", "who was out then")
        };
        let mut table = Table::new(&[
            ("from", Side::Right),
            ("to", Side::Right),
            ("seconds", Side::Right),
            ("group", Side::Left),
            (counted, Side::Right),
            (why, Side::Left),
        ]);
        for stretch in &stretches {
            let (from, until) = stretch.ends();
            table.row(vec![
                clock(from),
                clock(until),
                count(stretch.seconds),
                figures.groups[stretch.group.index()].clone(),
                count(stretch.of.events),
                if stranded {
                    reasons(figures, &stretch.of)
                } else {
                    Self::out_in(figures, stretch.group, stretch.ends())
                },
            ]);
        }
        page.table(table);
        let more: u64 = rest.iter().map(|stretch| stretch.of.events).sum();
        if more > 0 {
            let n = count(rest.len() as u64);
            let text = format!("and {} {counted} in {n} more stretches", count(more));
            page.line(Ink::Dim, &text);
        }
    }

    /// From when on the groups that panicked do.
    fn thresholds(&self, page: &mut Page, stretches: &[Stretch]) {
        if self.moments.event != Some(Event::Panic) {
            return;
        }
        let mut groups: Vec<GroupId> = stretches.iter().map(|stretch| stretch.group).collect();
        groups.sort_unstable();
        groups.dedup();
        for group in groups {
            let group = self.config.group(group);
            let (n, of) = (group.panic.numerator(), group.panic.denominator());
            if n == 0 {
                continue;
            }
            let below = percent(f64::from(n) / f64::from(of));
            let text = format!(
                "`{}` panics while less than {below} of its weighted members are well",
                group.name
            );
            page.item((Ink::Plain, ""), 0, &text);
        }
    }
}

/// A whole second of the clock.
fn clock(at: Time) -> String {
    say::clock(at).trim_end_matches(".000").to_owned()
}

fn reasons(figures: &Figures, second: &Second) -> String {
    let mut reasons: Vec<_> = second.reasons.iter().collect();
    reasons.sort_by_key(|(_, n)| std::cmp::Reverse(**n));
    let more = reasons.len().saturating_sub(NAMED);
    reasons.truncate(NAMED);
    let mut told: Vec<String> = reasons
        .into_iter()
        .map(|((deployment, why), n)| {
            let name = &figures.deployments[deployment.index()];
            format!("{name}: {} ({})", words::reason(*why), count(*n))
        })
        .collect();
    if more > 0 {
        told.push(format!("{more} other reasons"));
    }
    if told.is_empty() { "nobody of it is left".to_owned() } else { told.join("; ") }
}
