//! What a story says of a choice, of an end, and of what followed from it.

use std::sync::Arc;

use router_core::{
    BreakerState, Config, DeploymentId, End, GroupId, Member, Observation, Reason, Rejection,
    Request, Span, Strategy, Time, Usage,
};

use super::say;
use super::story::{Story, listed};
use crate::words::{count, dollars, percent};

/// The most members that a line names.
const NAMED: usize = 6;

impl Story {
    pub(super) fn asked(&self, now: Time, request: &Request) -> String {
        let config = &self.whereabouts.config;
        let own = now + config.router().deadline;
        let deadline = request.deadline.unwrap_or(Time::MAX).min(own).since(now);
        let (input, output) = self.whereabouts.asked(request.id);
        let most = match request.output_max {
            Some(most) => format!("at most {} out", count(most.into())),
            None => format!("{} reserved for its answer", count(output.into())),
        };
        let mut parts = vec![
            format!(
                "asks for `{}`: {} tokens in, {most}",
                self.group(request.group),
                count(input.into())
            ),
            if request.stream { "as a stream".to_owned() } else { "in one piece".to_owned() },
        ];
        let tags = config.tags().iter().enumerate();
        let tags = tags.filter(|(bit, _)| request.tags & 1 << bit != 0);
        let tags: Vec<String> = tags.map(|(_, tag)| format!("`{tag}`")).collect();
        if !tags.is_empty() {
            parts.push(format!("tagged {}", tags.join(" and ")));
        }
        if let Some(region) = usize::from(request.region).checked_sub(1) {
            let region = config.regions().get(region).map_or("elsewhere", String::as_str);
            parts.push(format!("in `{region}`"));
        }
        parts.push(format!("within {}", say::span(deadline)));
        parts.join(", ")
    }

    /// For what, for how long and behind whom a request begins to wait.
    pub(super) fn queued(&self, group: GroupId, class: u8, ahead: u32) -> String {
        let config = &self.whereabouts.config;
        let class = config.router().priorities.get(usize::from(class));
        let class = class.map_or_else(String::new, |class| format!(" as `{class}`"));
        let ahead = match ahead {
            0 => "with nobody ahead".to_owned(),
            1 => "behind 1 other".to_owned(),
            others => format!("behind {others} others"),
        };
        let timeout = config.group(group).queue.map(|queue| queue.timeout);
        let most = timeout.filter(|timeout| *timeout != Span::MAX);
        let most =
            most.map_or_else(String::new, |most| format!(", for {} at most", say::span(most)));
        format!("waits in the queue{class}, {ahead}{most}")
    }

    /// Who could not be chosen, and why, in as few words as say it.
    pub(super) fn excluded(&mut self, now: Time, group_id: GroupId, reason: Reason, mask: u64) {
        self.excluded |= mask;
        let Some(request) = self.request else { return };
        let config = Arc::clone(&self.whereabouts.config);
        let members = config.group(group_id).members.iter().enumerate();
        let members = members.filter(|(index, _)| mask & 1 << index != 0);
        // Neighbours with the same words share a line.
        let mut told: Vec<(String, Vec<&str>)> = Vec::new();
        for (_, member) in members {
            let name = config.deployment(member.deployment).name.as_str();
            let known = self.tried.iter().rev();
            let mut known = known.filter(|(g, d, _)| (*g, *d) == (group_id, member.deployment));
            let tried = known.next().map(|(.., what)| what.as_str());
            let (to, what) = ((group_id, member), (&request, reason));
            let text = self.whereabouts.obstacle(now, to, what, tried);
            match told.iter_mut().find(|(known, _)| *known == text) {
                Some((_, names)) => names.push(name),
                None => told.push((text, vec![name])),
            }
        }
        let all = told.len();
        told.truncate(NAMED);
        for (text, names) in told {
            self.reasons.push(format!("not {}: {text}", listed(&names, "or")));
        }
        if all > NAMED {
            self.reasons.push(format!("nor {} others, {}", all - NAMED, plural(reason)));
        }
    }

    /// Why nobody of the group of the last attempt was tried once more. If only members were
    /// left that this request had tried, the router says nothing of the others.
    pub(super) fn unsaid(&self, now: Time) -> Vec<String> {
        let (Some(request), Some((group_id, ..))) = (self.request, self.tried.last()) else {
            return Vec::new();
        };
        let config = &self.whereabouts.config;
        let members = config.group(*group_id).members.iter();
        let told = members.filter_map(|member| {
            let name = &config.deployment(member.deployment).name;
            let tried = |(group, deployment, _): &&(GroupId, DeploymentId, String)| {
                (group, *deployment) == (group_id, member.deployment)
            };
            let why = match self.tried.iter().rev().find(tried) {
                Some((.., what)) => format!("tried already ({what})"),
                None => self.whereabouts.passing(now, (*group_id, member), &request)?,
            };
            Some(format!("not {name}: {why}"))
        });
        let told: Vec<String> = told.collect();
        if told.len() < config.group(*group_id).members.len() {
            let name = self.group(*group_id);
            let text = "the retry budget is spent, or its retries for such failures are";
            return vec![format!("not `{name}` again: {text}")];
        }
        told
    }

    /// Who could take an attempt and may not be sent a hedge, of which the router says nothing.
    pub(super) fn unhedged(&self, group: GroupId, eligible: u64) -> Option<String> {
        let config = &self.whereabouts.config;
        let members = config.group(group).members.iter().enumerate();
        let left = members.filter(|(i, _)| (eligible | self.excluded) & 1 << i == 0);
        let names: Vec<&str> =
            left.map(|(_, m)| config.deployment(m.deployment).name.as_str()).collect();
        let why = "a hedge goes to nobody who is out, half-open or standby";
        (!names.is_empty()).then(|| format!("not {}: {why}", listed(&names, "or")))
    }

    /// How it was chosen: `: drawn by weight, among az-us 2 and oai 3 (60.0 %)`.
    pub(super) fn chosen(
        &self,
        now: Time,
        (group_id, deployment, eligible): (GroupId, DeploymentId, u64),
    ) -> String {
        let config = &self.whereabouts.config;
        let group = config.group(group_id);
        let members = group.members.iter().enumerate();
        let able: Vec<_> =
            members.filter(|(i, _)| eligible & 1 << i != 0).map(|(_, m)| m).collect();
        if able.len() < 2 {
            return ", the only one that can take it".to_owned();
        }
        let weighted = matches!(group.strategy, Strategy::Weighted { .. });
        let weight = |member: &Member| {
            let ramp = self.whereabouts.ramp(now, group_id, member.deployment).unwrap_or(1.0);
            f64::from(member.weight.max(1)) * ramp
        };
        let all: f64 = able.iter().map(|member| weight(member)).sum();
        let mut names: Vec<String> = Vec::new();
        for member in &able {
            let mut name = self.name(member.deployment);
            if weighted {
                name += &format!(" {}", percent(weight(member) / all));
            } else {
                let live = self.whereabouts.in_flight[member.deployment.index()];
                // The chosen one was counted when it was dispatched.
                let live = live - u32::from(member.deployment == deployment).min(live);
                name += &format!(" ({live} in flight)");
            }
            if self.whereabouts.ramp(now, group_id, member.deployment).is_some() {
                name += " (ramping up)";
            }
            names.push(name);
        }
        let rest = names.len().saturating_sub(NAMED);
        names.truncate(NAMED);
        if rest > 0 {
            names.push(format!("{rest} others"));
        }
        format!(": {}, among {}", say::strategy(group.strategy), listed(&names, "and"))
    }

    pub(super) fn ended(&mut self, now: Time, ended: &Observation) {
        let Observation::Ended { attempt, group, deployment, end, first_token, elapsed, usage } =
            *ended
        else {
            return;
        };
        self.live.retain(|(live, _)| *live != attempt);
        let took = say::span(elapsed);
        let ordinal = if self.live.is_empty() && attempt.ordinal == 1 {
            String::new()
        } else {
            format!("attempt {}: ", attempt.ordinal)
        };
        let cost = self.charge(deployment, usage);
        let text = match end {
            End::Answered => {
                let tokens = tokens(usage);
                format!("{ordinal}the answer is whole {took} after its dispatch: {tokens}{cost}")
            }
            End::Failed(kind) => {
                let failure = self.heard.filter(|failure| failure.kind == kind);
                let what = say::failed(kind, failure.map_or(0, |failure| failure.status));
                let asked = failure.and_then(|failure| failure.retry_after);
                let asked = asked.map_or_else(String::new, |span| {
                    format!(", to be tried again in {}", say::span(span))
                });
                let after = first_token.map_or("", |_| ", after its first token");
                let told = failure.and_then(|failure| failure.should_retry);
                let told = match told {
                    Some(true) => ", which says `x-should-retry: true`",
                    Some(false) => ", which says `x-should-retry: false`",
                    None => "",
                };
                self.tried.push((group, deployment, what.clone()));
                format!("{ordinal}{what} after {took}{after}{asked}{told}{cost}")
            }
            End::Abandoned(_) if self.cut => {
                self.tried.push((group, deployment, "cut by a restart".to_owned()));
                format!("{ordinal}cut after {took}{cost}")
            }
            End::Abandoned(why) => {
                let why = say::dropped(why);
                self.tried.push((group, deployment, why.to_owned()));
                format!("{ordinal}dropped after {took}: {why}{cost}")
            }
        };
        self.struck = Some(deployment);
        self.line(now, 1, text);
    }

    /// What an attempt cost, if anything.
    pub(super) fn charge(&self, deployment: DeploymentId, usage: Usage) -> String {
        let pico = self.whereabouts.config.deployment(deployment).price.of(usage);
        if pico == 0 {
            return String::new();
        }
        format!(", {}", dollars(pico.into()))
    }

    /// What an end of one of its attempts meant for the deployment.
    pub(super) fn consequence(&mut self, now: Time, observation: &Observation) {
        let (deployment, text) = match *observation {
            Observation::Rested { deployment, key, until, streak, .. } => {
                let which = match (key, self.whereabouts.config.deployment(deployment).keys) {
                    (Some(key), 2..) => format!("key {} of ", key + 1),
                    (Some(_) | None, _) => String::new(),
                };
                let row =
                    if streak > 1 { format!(", rest {streak} in a row") } else { String::new() };
                let (name, long) = (self.name(deployment), say::span(until.since(now)));
                (
                    deployment,
                    format!("so {which}{name} rests for {long}, until {}{row}", say::clock(until)),
                )
            }
            Observation::Breaker { group, deployment, to, why, until, enforced, .. } => {
                let until = until.map_or_else(String::new, |until| {
                    let what = match to {
                        BreakerState::Closed => "its share ramps up",
                        BreakerState::Open | BreakerState::HalfOpen => "",
                    };
                    format!(", {what} until {}", say::clock(until)).replace(",  ", ", ")
                });
                let would = if enforced { "turns" } else { "would turn" };
                let (name, why) = (self.name(deployment), self.whereabouts.turn(group, why));
                (deployment, format!("the breaker of {name} {would} {}, {why}{until}", to.name()))
            }
            Observation::Concurrency { deployment, limit } => {
                let name = self.name(deployment);
                (deployment, format!("{name} is found to bear {limit} calls at once"))
            }
            Observation::Spared { deployment, group } => {
                let alone = self.whereabouts.config.group(group).members.len() == 1;
                let why = if alone { "it stands alone" } else { "too many of its group are out" };
                let name = self.name(deployment);
                (deployment, format!("{name} would rest for its failures, but is spared: {why}"))
            }
            Observation::Page { deployment, key, .. } => {
                let name = self.name(deployment);
                (deployment, format!("a person is paged: key {} of {name} is refused", key + 1))
            }
            Observation::Excluded { .. }
            | Observation::Selected { .. }
            | Observation::Stranded { .. }
            | Observation::Waiting { .. }
            | Observation::Queued { .. }
            | Observation::Dequeued { .. }
            | Observation::Ended { .. }
            | Observation::Held { .. }
            | Observation::GaveUp { .. }
            | Observation::Stepped { .. }
            | Observation::Closed { .. }
            | Observation::Late { .. }
            | Observation::Drained { .. }
            | Observation::Budget { .. }
            | Observation::Misfit => return,
        };
        let about_choice = self.selected.is_some_and(|(_, chosen, _)| chosen == deployment);
        if self.struck == Some(deployment) || about_choice {
            self.line(now, 1, text);
        }
    }
}

const TOLD: &str = ", which the client is told";

/// Why a request was never tried.
pub(super) fn rejected(now: Time, why: Rejection, config: &Config) -> String {
    let until = |earliest: Option<Time>| match earliest {
        Some(at) if at > now => {
            format!(" before {}, which the client is told", say::span(at.since(now)))
        }
        Some(_) => ", for what is in flight".to_owned(),
        None => ", ever".to_owned(),
    };
    match why {
        Rejection::Drain => "the router drains".to_owned(),
        Rejection::NoDeployment(None) => "nobody could ever take it".to_owned(),
        Rejection::NoDeployment(Some(at)) if at <= now => "nobody has a free place".to_owned(),
        Rejection::NoDeployment(Some(at)) => {
            format!("nobody can take it before {}{TOLD}", say::span(at.since(now)))
        }
        Rejection::GroupFull => "its group has `in_flight` requests on their way".to_owned(),
        Rejection::QueueFull(at) => {
            format!("the queue is full, and worth trying in {}{TOLD}", say::span(at.since(now)))
        }
        Rejection::QueueTimeout(at) => {
            let long = say::span(at.since(now));
            format!("it waited as long as the queue lets it, and is worth trying in {long}{TOLD}")
        }
        Rejection::Shed(at) => {
            let long = say::span(at.since(now));
            format!("it makes room in the queue for another, and is worth trying in {long}{TOLD}")
        }
        Rejection::TooLong => "the prompt fits nobody's context window".to_owned(),
        Rejection::Full => "the router has `router.in_flight` requests in flight".to_owned(),
        Rejection::Duplicate => "its number is in use".to_owned(),
        Rejection::Subject { kind, what, earliest } => {
            let what = what.name();
            format!("its {}'s limit has no `{what}` left{}", of_kind(config, kind), until(earliest))
        }
        Rejection::Budget { kind, earliest } => {
            format!("its {}'s budget cannot pay for it{}", of_kind(config, kind), until(earliest))
        }
        Rejection::Accounts => {
            let most = config.router().accounts;
            format!("{most} other subjects have accounts in use (`router.accounts`)")
        }
    }
}

/// What a kind of subject is called.
fn of_kind(config: &Config, kind: u8) -> &str {
    config.kinds().get(usize::from(kind)).map_or("subject", |kind| kind.name.as_str())
}

fn plural(reason: Reason) -> &'static str {
    match reason {
        Reason::Disabled => "which an operator disabled",
        Reason::Tags => "for their tags",
        Reason::Region => "for their region",
        Reason::Context => "for their context windows",
        Reason::Budget => "which a budget cannot pay",
        Reason::Barred => "which refused it",
        Reason::Cooling => "which cool",
        Reason::Open => "whose breakers are open",
        Reason::Limit => "over their limits",
        Reason::Parallel => "which are full",
        Reason::Weight => "which are standby",
        Reason::Tried => "tried already",
        Reason::Tier => "of higher tiers",
    }
}

fn tokens(usage: Usage) -> String {
    let cached = match usage.cached_tokens {
        0 => String::new(),
        n => format!(" ({} of them cached)", count(n.into())),
    };
    let (input, output) = (count(usage.input_tokens.into()), count(usage.output_tokens.into()));
    format!("{input} tokens in{cached}, {output} out")
}
