//! The rows of `requests.csv`: every call of a short run; of a long one, a fair sample.

use std::collections::BTreeMap;

use router_core::{
    AttemptId, Call, CallEnd, Cause, Counter, DeploymentId, GroupId, Input, Journal, Key,
    Observation, Outcome, Output, Purpose, RequestId, Rung, Seed, Time, Usage,
};

use crate::{Given, rows};

/// How many answered calls, and as many others, are kept.
pub const ROWS: usize = 100_000;

/// A journal that keeps calls one by one: up to [`ROWS`] that were answered and up to [`ROWS`]
/// that were not. Where there are more, half of them are dropped, then half of what is left, and
/// so on; which half is drawn by the call's number, so the rest is a fair sample and the same
/// calls are kept under every router.
#[derive(Clone, Debug)]
pub struct CallLog {
    key: Key,
    answered: Kept,
    others: Kept,
    /// The attempt that was over last.
    ended: Option<(AttemptId, DeploymentId)>,
    /// Of calls under way that were hedged or are about to end: what is known of their attempts.
    aside: BTreeMap<RequestId, Aside>,
}

/// What a call does not say of its attempts.
#[derive(Clone, Copy, Debug, Default)]
struct Aside {
    /// How many were hedges.
    hedges: u16,
    /// Whose answer the user got, or what of one, and where it was made.
    winner: Option<(AttemptId, DeploymentId)>,
    /// The smaller group that it was sent to last.
    smaller: Option<GroupId>,
}

impl CallLog {
    /// An empty log; `seed` decides which calls a sample holds.
    pub fn new(seed: Seed) -> Self {
        Self::with_room(seed, ROWS)
    }

    fn with_room(seed: Seed, room: usize) -> Self {
        let kept = Kept { room, halvings: 0, calls: Vec::new(), dropped: 0 };
        Self {
            key: seed.key(Purpose::Sample),
            answered: kept.clone(),
            others: kept,
            ended: None,
            aside: BTreeMap::new(),
        }
    }

    /// The calls that were kept, by arrival, then by number.
    pub fn calls(&self) -> Vec<Call> {
        self.kept().into_iter().map(|(call, _)| call).collect()
    }

    fn kept(&self) -> Vec<(Call, Aside)> {
        let both = self.answered.calls.iter().chain(&self.others.calls);
        let mut calls: Vec<(Call, Aside)> = both.map(|(_, call, aside)| (*call, *aside)).collect();
        calls.sort_by_key(|(call, _)| (call.arrived, call.id));
        calls
    }

    /// How many calls were dropped.
    pub const fn dropped(&self) -> u64 {
        self.answered.dropped + self.others.dropped
    }

    /// What was kept, in a sentence, if not everything was.
    pub fn remark(&self) -> Option<String> {
        let part = |kept: &Kept| match kept.halvings {
            0 => "all".to_owned(),
            n => format!("1 in {}", 1_u64 << n),
        };
        (self.dropped() > 0).then(|| {
            format!(
                "requests.csv holds {} of the answered calls and {} of the others; {} are left out",
                part(&self.answered),
                part(&self.others),
                crate::words::count(self.dropped())
            )
        })
    }

    /// `requests.csv`. `groups` and `deployments` are their names; `properties` are named in their
    /// places, each with its labels, the first of which is number one. What has no name shows as
    /// its number.
    pub fn csv(
        &self,
        (groups, deployments): (&[String], &[String]),
        properties: &[(String, Vec<String>)],
    ) -> String {
        let mut table = rows::Rows::new(&[
            "id",
            "group",
            "arrived_s",
            "ttft_ms",
            "total_ms",
            "end",
            "status",
            "tries",
            "attempts",
            "client_wait_ms",
            "input_tokens",
            "output_tokens",
            "properties",
            "hedges",
            "winner",
            "deployment",
            "rung",
        ]);
        for (call, aside) in self.kept() {
            let mut row = row(&call, groups, properties);
            row.extend(aside.cells(deployments));
            row.push(aside.rung(&call.end, groups));
            table.row(row);
        }
        table.finish()
    }
}

impl Journal for CallLog {
    fn input(&mut self, _: Time, _: &Input) {}

    fn output(&mut self, _: Time, output: &Output) {
        match output {
            Output::Dispatch(dispatch) if dispatch.cause == Cause::Hedge => {
                let aside = self.aside.entry(dispatch.attempt.request.call()).or_default();
                aside.hedges += 1;
            }
            Output::Observe(Observation::Ended { attempt, deployment, .. }) => {
                self.ended = Some((*attempt, *deployment));
            }
            Output::Observe(Observation::Stepped { request, rung: Rung::Group(group) }) => {
                self.aside.entry(request.call()).or_default().smaller = Some(*group);
            }
            // What ended its request ended just before.
            Output::Finish(request, Outcome::Serve(winner, _) | Outcome::Partial(winner, _)) => {
                let aside = self.aside.entry(request.call()).or_default();
                aside.winner = self.ended.filter(|(ended, _)| ended == winner);
            }
            Output::Dispatch(_)
            | Output::Observe(_)
            | Output::Finish(..)
            | Output::Abandon(..)
            | Output::Commit(_) => {}
        }
    }

    fn call(&mut self, _: Time, call: &Call) {
        let draw = self.key.word(Counter { request: call.id.as_u64(), ..Counter::default() });
        let kept = if call.end.is_answered() { &mut self.answered } else { &mut self.others };
        let aside = self.aside.remove(&call.id).unwrap_or_default();
        kept.take(draw, *call, aside);
    }
}

/// Calls of one kind, with their draws.
#[derive(Clone, Debug)]
struct Kept {
    room: usize,
    /// A call is kept if its draw has this many leading zeros.
    halvings: u32,
    calls: Vec<(u64, Call, Aside)>,
    dropped: u64,
}

impl Kept {
    fn take(&mut self, draw: u64, call: Call, aside: Aside) {
        if draw.leading_zeros() < self.halvings {
            self.dropped += 1;
            return;
        }
        self.calls.push((draw, call, aside));
        while self.calls.len() > self.room && self.halvings < 63 {
            self.halvings += 1;
            let before = self.calls.len();
            self.calls.retain(|(draw, ..)| draw.leading_zeros() >= self.halvings);
            self.dropped += (before - self.calls.len()) as u64;
        }
    }
}

impl Aside {
    fn cells(self, deployments: &[String]) -> [String; 3] {
        let name = |id: DeploymentId| {
            deployments.get(id.index()).cloned().unwrap_or_else(|| id.index().to_string())
        };
        let (winner, place) = match self.winner {
            Some((attempt, place)) => (attempt.to_string(), name(place)),
            None => (String::new(), String::new()),
        };
        [self.hedges.to_string(), winner, place]
    }

    /// The rung that answered, as a ladder has it; without its name if it answered an identical
    /// call. Nothing if none did.
    fn rung(self, end: &CallEnd, groups: &[String]) -> String {
        let given = match end {
            CallEnd::Answered(_) => Given::Full,
            CallEnd::Cached { stale: false } => Given::Fresh,
            CallEnd::Cached { stale: true } => Given::Stale,
            CallEnd::Static => Given::Static,
            CallEnd::Degraded(_) => {
                let name = self.smaller.and_then(|group| groups.get(group.index()));
                return name.map_or_else(|| "group".to_owned(), |name| format!("group:{name}"));
            }
            CallEnd::Partial(_) | CallEnd::Failed(_) | CallEnd::Left => return String::new(),
        };
        given.name().to_owned()
    }
}

fn row(call: &Call, groups: &[String], properties: &[(String, Vec<String>)]) -> Vec<String> {
    let (end, status, usage) = match call.end {
        CallEnd::Answered(usage) => ("answered", "200".to_owned(), usage),
        CallEnd::Degraded(usage) => ("degraded", "200".to_owned(), usage),
        CallEnd::Cached { stale } => {
            (if stale { "stale" } else { "cached" }, "200".to_owned(), Usage::default())
        }
        CallEnd::Static => ("static", "200".to_owned(), Usage::default()),
        CallEnd::Partial(usage) => ("partial", "200".to_owned(), usage),
        CallEnd::Failed(status) => ("failed", status.to_string(), Usage::default()),
        CallEnd::Left => ("left", String::new(), Usage::default()),
    };
    let group = call.group.index();
    let labelled = call.properties.iter().enumerate().filter(|(_, label)| **label != 0);
    let labelled: Vec<String> = labelled
        .map(|(place, label)| {
            let number = || label.to_string();
            let Some((name, labels)) = properties.get(place) else { return number() };
            let label = labels.get(usize::from(*label) - 1).cloned().unwrap_or_else(number);
            format!("{name}={label}")
        })
        .collect();
    let id: RequestId = call.id;
    vec![
        id.to_string(),
        groups.get(group).cloned().unwrap_or_else(|| group.to_string()),
        rows::seconds(call.arrived.as_nanos()),
        call.first_token.map_or_else(String::new, |first| rows::millis(first.since(call.arrived))),
        rows::millis(call.ended.since(call.arrived)),
        end.to_owned(),
        status,
        call.tries.to_string(),
        call.attempts.to_string(),
        rows::millis(call.client_wait),
        usage.input_tokens.to_string(),
        usage.output_tokens.to_string(),
        labelled.join(";"),
    ]
}

#[cfg(test)]
mod tests {
    use router_core::Span;

    use super::*;

    fn call(sequence: u64, end: CallEnd) -> Call {
        Call {
            id: RequestId::new(0, sequence, 0),
            group: GroupId::at(0),
            properties: [1, 0, 9, 0],
            arrived: Time::from_secs(sequence),
            first_token: Some(Time::from_nanos(sequence * 1_000_000_000 + 612_345_678)),
            ended: Time::from_secs(sequence + 4),
            end,
            tries: 1,
            attempts: 2,
            client_wait: Span::from_millis(500),
            unseen: false,
        }
    }

    const USAGE: Usage = Usage { input_tokens: 900, cached_tokens: 0, output_tokens: 200 };

    #[test]
    fn a_row_says_what_the_user_saw() {
        let mut log = CallLog::new(Seed::from_u64(7));
        log.call(Time::ZERO, &call(17, CallEnd::Answered(USAGE)));
        log.call(Time::ZERO, &call(3, CallEnd::Failed(429)));
        let tier = ("tier".to_owned(), vec!["free".to_owned()]);
        let csv = log.csv((&["a, \"b\"".to_owned()], &[]), &[tier]);
        let lines: Vec<&str> = csv.lines().collect();
        let (group, times) = ("\"a, \"\"b\"\"\"", "612.346,4000.000");
        let end = "failed,429,1,2,500.000,0,0,tier=free;9,0,,,";
        assert_eq!(lines[1], format!("r3,{group},3.000000,{times},{end}"));
        let end = "answered,200,1,2,500.000,900,200,tier=free;9,0,,,full";
        assert_eq!(lines[2], format!("r17,{group},17.000000,{times},{end}"));
        assert_eq!((lines.len(), log.remark()), (3, None));
    }

    #[test]
    fn a_row_says_which_attempt_won_and_how_many_were_hedges() {
        let mut log = CallLog::new(Seed::from_u64(7));
        // The client's second try; its first was hedged too.
        for (again, won) in [(0, None), (1, Some(2))] {
            let request = RequestId::new(0, 17, again);
            let attempt = |ordinal| AttemptId { request, ordinal };
            for (ordinal, cause) in [(1, Cause::Primary), (2, Cause::Hedge)] {
                log.output(Time::ZERO, &dispatch(attempt(ordinal), cause));
            }
            for ordinal in [1, 2] {
                log.output(Time::ZERO, &ended(attempt(ordinal), usize::from(ordinal) - 1));
            }
            if let Some(ordinal) = won {
                let served = Outcome::Serve(attempt(ordinal), USAGE);
                log.output(Time::ZERO, &Output::Finish(request, served));
            }
        }
        log.call(Time::ZERO, &call(17, CallEnd::Answered(USAGE)));
        assert!(log.aside.is_empty());
        let csv = log.csv((&[], &["left".to_owned(), "right".to_owned()]), &[]);
        assert!(csv.ends_with(",1;9,2,r17.1#2,right,full\n"), "{csv}");
    }

    #[test]
    fn a_row_names_the_rung_that_answered() {
        let mut log = CallLog::new(Seed::from_u64(7));
        let (fresh, stale) = (CallEnd::Cached { stale: false }, CallEnd::Cached { stale: true });
        let lower = [CallEnd::Static, CallEnd::Degraded(USAGE), CallEnd::Degraded(USAGE)];
        let ends = [CallEnd::Answered(USAGE), fresh, stale].into_iter().chain(lower);
        let stepped = Observation::Stepped {
            request: RequestId::new(0, 5, 0),
            rung: Rung::Group(GroupId::at(1)),
        };
        log.output(Time::ZERO, &Output::Observe(stepped));
        for (n, end) in (1..).zip(ends.chain([CallEnd::Failed(503)])) {
            log.call(Time::ZERO, &call(n, end));
        }
        let csv = log.csv((&["chat".to_owned(), "mini".to_owned()], &[]), &[]);
        let rungs: Vec<_> = csv.lines().map(|line| line.rsplit(',').next().unwrap()).collect();
        // The last but one shared the answer of an identical call.
        assert_eq!(rungs, ["rung", "full", "fresh", "stale", "static", "group:mini", "group", ""]);
    }

    fn dispatch(attempt: AttemptId, cause: Cause) -> Output {
        let (group, deployment) = (GroupId::at(0), DeploymentId::at(0));
        let (connect, heartbeat) = (Span::from_secs(5), Span::from_secs(5));
        Output::Dispatch(router_core::Dispatch {
            attempt,
            group,
            deployment,
            key: 0,
            cause,
            connect,
            heartbeat,
        })
    }

    fn ended(attempt: AttemptId, at: usize) -> Output {
        Output::Observe(Observation::Ended {
            attempt,
            group: GroupId::at(0),
            deployment: DeploymentId::at(at),
            end: router_core::End::Answered,
            first_token: None,
            elapsed: Span::from_secs(1),
            usage: USAGE,
        })
    }

    #[test]
    fn beyond_its_room_a_log_keeps_failures_and_a_fair_sample() {
        let mut log = CallLog::with_room(Seed::from_u64(7), 1_000);
        for n in 0..10_000 {
            let end = if n % 20 == 0 { CallEnd::Left } else { CallEnd::Answered(USAGE) };
            log.call(Time::ZERO, &call(n, end));
        }
        assert_eq!(log.others.calls.len(), 500);
        let kept = log.answered.calls.len();
        assert!((450..=750).contains(&kept), "1 in 16 of 9,500 is about 594, not {kept}");
        assert_eq!(log.dropped(), 9_500 - kept as u64);
        let early = log.answered.calls.iter().filter(|(_, c, _)| c.id.sequence() < 5_000).count();
        assert!((kept * 2 / 5..=kept * 3 / 5).contains(&early), "{early} of {kept}");
        let remark = log.remark().unwrap();
        assert!(remark.contains("1 in 16 of the answered calls and all of the others"), "{remark}");
    }

    #[test]
    fn a_sample_does_not_depend_on_the_order_in_which_calls_end() {
        let fill = |order: &mut dyn Iterator<Item = u64>| {
            let mut log = CallLog::with_room(Seed::from_u64(7), 100);
            order.for_each(|n| log.call(Time::ZERO, &call(n, CallEnd::Answered(USAGE))));
            log.csv((&[], &[]), &[])
        };
        assert_eq!(fill(&mut (0..5_000)), fill(&mut (0..5_000).rev()));
    }
}
