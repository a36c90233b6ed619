//! Where everything stands as a run goes on: who rests, whose breaker is open, what is in flight.
//! Kept from inputs and outputs alone, so that an explanation can name numbers that no single
//! observation carries.

use std::collections::BTreeMap;
use std::sync::Arc;

use router_core::{
    BreakerState, Config, DeploymentId, FailureKind, GroupId, Input, Member, Observation, Output,
    Reason, Request, RequestId, TagMatch, Time, Turn, Upstream,
};

use super::quota::{Quotas, Refusal};
use super::say;
use crate::words::count;

/// A rest, as it was told.
#[derive(Clone, Copy, Debug)]
struct Rest {
    since: Time,
    until: Time,
    failure: FailureKind,
    status: u16,
}

/// A breaker's last turn, as it was told.
#[derive(Clone, Copy, Debug)]
struct Turned {
    to: BreakerState,
    why: Turn,
    at: Time,
    until: Option<Time>,
}

/// Where everything stands.
#[derive(Clone, Debug)]
pub(super) struct Whereabouts {
    pub(super) config: Arc<Config>,
    /// Of each deployment as a whole, and of each of its keys.
    rests: Vec<(Option<Rest>, Vec<Option<Rest>>)>,
    breakers: BTreeMap<(GroupId, DeploymentId), Turned>,
    /// Attempts in flight, by deployment.
    pub(super) in_flight: Vec<u32>,
    quotas: Quotas,
    /// The status of the failure that is being heard of.
    status: u16,
}

impl Whereabouts {
    pub(super) fn new(config: Arc<Config>) -> Self {
        let rests = config.deployments().iter();
        Self {
            rests: rests.map(|d| (None, vec![None; usize::from(d.keys)])).collect(),
            breakers: BTreeMap::new(),
            in_flight: vec![0; config.deployments().len()],
            quotas: Quotas::new(&config),
            status: 0,
            config,
        }
    }

    pub(super) fn input(&mut self, input: &Input) {
        self.quotas.input(&self.config, input);
        self.status = match input {
            Input::Upstream(_, Upstream::Fail(failure)) => failure.status,
            Input::Upstream(..) | Input::Submit(_) | Input::Cancel(_) | Input::Tick => 0,
            Input::Reconfigure(_) | Input::Peers(_) | Input::Drain => 0,
        };
        if let Input::Reconfigure(next) = input
            && self.config.fits(next)
        {
            self.config = Arc::clone(next);
            self.in_flight.resize(next.deployments().len(), 0);
            self.rests.resize(next.deployments().len(), (None, Vec::new()));
            for ((_, keys), deployment) in self.rests.iter_mut().zip(next.deployments()) {
                keys.resize(keys.len().max(deployment.keys.into()), None);
            }
            self.quotas.reconfigure(next);
        }
    }

    pub(super) fn output(&mut self, now: Time, output: &Output) {
        self.quotas.output(&self.config, now, output);
        match output {
            Output::Dispatch(dispatch) => self.in_flight[dispatch.deployment.index()] += 1,
            Output::Observe(observation) => self.observe(now, observation),
            Output::Abandon(..) | Output::Commit(_) | Output::Finish(..) => {}
        }
    }

    fn observe(&mut self, now: Time, observation: &Observation) {
        match *observation {
            Observation::Ended { deployment, .. } => {
                let live = &mut self.in_flight[deployment.index()];
                *live = live.saturating_sub(1);
            }
            Observation::Rested { deployment, key, until, failure, streak: _ } => {
                let rest = Rest { since: now, until, failure, status: self.status };
                let (whole, keys) = &mut self.rests[deployment.index()];
                match key {
                    Some(key) => keys[usize::from(key)] = Some(rest),
                    None => *whole = Some(rest),
                }
            }
            Observation::Breaker { group, deployment, to, why, until, enforced: true, .. } => {
                self.breakers.insert((group, deployment), Turned { to, why, at: now, until });
            }
            Observation::Breaker { enforced: false, .. }
            | Observation::Excluded { .. }
            | Observation::Selected { .. }
            | Observation::Stranded { .. }
            | Observation::Waiting { .. }
            | Observation::Queued { .. }
            | Observation::Dequeued { .. }
            | Observation::Held { .. }
            | Observation::Concurrency { .. }
            | Observation::Spared { .. }
            | Observation::Page { .. }
            | Observation::Budget { .. }
            | Observation::GaveUp { .. }
            | Observation::Stepped { .. }
            | Observation::Closed { .. }
            | Observation::Late { .. }
            | Observation::Drained { .. }
            | Observation::Misfit => {}
        }
    }

    /// What an attempt of a request in flight reserves: prompt tokens, and completion tokens.
    pub(super) fn asked(&self, request: RequestId) -> (u32, u32) {
        self.quotas.asked(request)
    }

    /// The rate limit that keeps a request out of a deployment the longest, if one does.
    pub(super) fn refusal(
        &self,
        now: Time,
        deployment: DeploymentId,
        request: RequestId,
    ) -> Option<Refusal> {
        self.quotas.refusal(&self.config, now, deployment, request)
    }

    /// Why `member` cannot serve, with numbers. `tried` says what became of it before.
    pub(super) fn obstacle(
        &self,
        now: Time,
        (group, member): (GroupId, &Member),
        (request, reason): (&Request, Reason),
        tried: Option<&str>,
    ) -> String {
        let deployment = member.deployment;
        match reason {
            Reason::Disabled => "an operator forced its breaker open".to_owned(),
            Reason::Tags => self.other_tags(group, request),
            Reason::Region => self.other_region(member, request),
            Reason::Context => too_long(member, request),
            Reason::Budget => "a budget of its subjects cannot pay for it there".to_owned(),
            Reason::Barred => {
                let what = tried.map_or_else(String::new, |what| format!(" ({what})"));
                format!("it refused this request for good{what}")
            }
            Reason::Cooling => self.cooling(now, deployment),
            Reason::Open => self.open(now, group, deployment),
            Reason::Limit => self.limited(now, deployment, request.id),
            Reason::Parallel => self.full(deployment),
            Reason::Weight => "it is standby (weight 0), and another can serve".to_owned(),
            Reason::Tried => {
                let what = tried.map_or_else(String::new, |what| format!(" ({what})"));
                format!("tried already{what}")
            }
            Reason::Tier => format!("tier {}: a lower tier can serve", member.tier),
        }
    }

    /// The first obstacle of `member` that time or traffic will remove, if it has one.
    pub(super) fn passing(
        &self,
        now: Time,
        to: (GroupId, &Member),
        request: &Request,
    ) -> Option<String> {
        let deployment = to.1.deployment;
        let (whole, keys) = &self.rests[deployment.index()];
        let rests = |rest: &Option<Rest>| rest.is_some_and(|rest| rest.until > now);
        let turned = self.breakers.get(&(to.0, deployment));
        let open = turned.is_some_and(|turned| turned.until.is_some_and(|until| until > now));
        let open = open && turned.is_some_and(|turned| turned.to == BreakerState::Open);
        let limited = self.refusal(now, deployment, request.id).is_some();
        let reasons = [
            (Reason::Cooling, rests(whole) || keys.iter().all(rests)),
            (Reason::Open, open),
            (Reason::Limit, limited),
            (Reason::Parallel, self.quotas.full(&self.config, deployment).is_some()),
        ];
        let (reason, _) = reasons.into_iter().find(|(_, holds)| *holds)?;
        Some(self.obstacle(now, to, (request, reason), None))
    }

    fn other_tags(&self, group: GroupId, request: &Request) -> String {
        let group = self.config.group(group);
        let fits = group.members.iter().any(|m| match group.tag_match {
            TagMatch::Any => m.tags & request.tags != 0,
            TagMatch::All => m.tags & request.tags == request.tags,
        });
        let default = group.members.iter().any(|member| member.is_default);
        let why = match (request.tags, fits) {
            (0, _) => "the request has no tags, so it goes to those tagged `default`",
            (_, false) if default => {
                "nobody has the tags asked for, so it goes to those tagged `default`"
            }
            (_, true | false) => "it does not have the tags asked for",
        };
        why.to_owned()
    }

    fn other_region(&self, member: &Member, request: &Request) -> String {
        let name = |region: u16| {
            let index = usize::from(region).checked_sub(1);
            let name = index.and_then(|index| self.config.regions().get(index));
            name.map_or_else(|| "no region".to_owned(), |name| format!("`{name}`"))
        };
        format!("it is in {}, not in {}", name(member.region), name(request.region))
    }

    fn cooling(&self, now: Time, deployment: DeploymentId) -> String {
        let (whole, keys) = &self.rests[deployment.index()];
        let running = |rest: &Option<Rest>| rest.filter(|rest| rest.until > now);
        let key = keys.iter().map(running).min_by_key(|rest| rest.map(|rest| rest.until)).flatten();
        let whole = running(whole);
        let longest = whole.into_iter().chain(key).max_by_key(|rest| rest.until);
        let Some(rest) = longest else { return "cooling".to_owned() };
        let left = say::span(rest.until.since(now));
        let what = say::failed(rest.failure, rest.status);
        let after =
            format!("cooling for {left} more, after a {what} at {}", say::clock(rest.since));
        match (whole, keys.len()) {
            (None, 2..) => format!("all of its {} keys rest: {after}", keys.len()),
            (Some(_), _) | (None, _) => after,
        }
    }

    fn open(&self, now: Time, group: GroupId, deployment: DeploymentId) -> String {
        let Some(turned) = self.breakers.get(&(group, deployment)) else {
            return "its breaker is open".to_owned();
        };
        let since = say::clock(turned.at);
        let spec = self.config.group(group).breaker.unwrap_or_default();
        match turned.to {
            BreakerState::HalfOpen => {
                let probes = match spec.probes {
                    1 => "its one probe is".to_owned(),
                    n => format!("all of its {n} probes are"),
                };
                format!("breaker half-open since {since}, and {probes} in flight")
            }
            BreakerState::Open | BreakerState::Closed => {
                let why = self.turn(group, turned.why);
                let left = turned.until.filter(|until| *until > now);
                let left = left.map_or_else(String::new, |until| {
                    format!(", for {} more", say::span(until.since(now)))
                });
                format!("breaker open since {since}, {why}{left}")
            }
        }
    }

    /// What turned a breaker: `after 5 failures in a row`.
    pub(super) fn turn(&self, group: GroupId, why: Turn) -> String {
        let spec = self.config.group(group).breaker.unwrap_or_default();
        let share = |ratio: Option<router_core::Ratio>| {
            ratio.map_or_else(String::new, |ratio| format!(" ({} is enough)", say::ratio(ratio)))
        };
        match why {
            Turn::Consecutive => format!("after {} failures in a row", spec.consecutive),
            Turn::Failures => format!("as too many of its calls failed{}", share(spec.failures)),
            Turn::Slow => {
                let over = say::span(spec.slow_over);
                format!("as too many of its calls took over {over}{}", share(spec.slow))
            }
            Turn::Probe => "as its probe failed or was slow".to_owned(),
            Turn::Waited => "as its time was over".to_owned(),
            Turn::Recovered => format!("after {} good probes", spec.successes),
        }
    }

    fn limited(&self, now: Time, deployment: DeploymentId, request: RequestId) -> String {
        let Some(refusal) = self.refusal(now, deployment, request) else {
            return "over its rate limit".to_owned();
        };
        let limit = self.config.limit(refusal.limit);
        let whose = if limit.shared {
            format!("the limit `{}`", limit.name)
        } else {
            "its limit".to_owned()
        };
        let rate = say::rate(refusal.rate, refusal.what);
        let over = format!("over {whose} of {rate}");
        let wanted = match (refusal.what, refusal.wanted) {
            ("requests", _) => "the next place".to_owned(),
            (_, n) => format!("room for {}", count(n)),
        };
        match refusal.place {
            Some(at) => format!("{over}, {wanted} in {}", say::span(at.since(now))),
            None => format!("{over}: it never has {wanted}"),
        }
    }

    fn full(&self, deployment: DeploymentId) -> String {
        let Some((limit, most)) = self.quotas.full(&self.config, deployment) else {
            return "too many calls in flight".to_owned();
        };
        let limit = self.config.limit(limit);
        let whose =
            if limit.shared { format!(" of the limit `{}`", limit.name) } else { String::new() };
        format!("all {} places{whose} for calls in flight are taken", count(most.into()))
    }

    /// The part of its share that a member has now, if its breaker closed lately: 0 to 1.
    pub(super) fn ramp(&self, now: Time, group: GroupId, deployment: DeploymentId) -> Option<f64> {
        let turned = self.breakers.get(&(group, deployment))?;
        let until =
            turned.until.filter(|until| *until > now && turned.to == BreakerState::Closed)?;
        let whole = until.since(turned.at).as_nanos();
        Some((now.since(turned.at).as_nanos() as f64 / whole as f64).max(0.1))
    }
}

fn too_long(member: &Member, request: &Request) -> String {
    let output = request.output_max.unwrap_or(0);
    let wanted = u64::from(request.input_tokens) + u64::from(output);
    let (wanted, room) = (count(wanted), count(member.context.into()));
    format!("{wanted} tokens do not fit its context window of {room}")
}
