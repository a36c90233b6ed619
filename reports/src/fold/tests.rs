//! Runs written by hand, and the exact figures they come to.

use std::sync::Arc;

use proptest::prelude::*;
use router_core::{Abandon, AttemptId, Cause, Failure, QueueSpec, Reason, Rejection, Request};

use crate::sample;

use super::*;

const CHAT: GroupId = GroupId::at(0);
const BACKUP: GroupId = GroupId::at(1);
const A: DeploymentId = DeploymentId::at(0);
const C: DeploymentId = DeploymentId::at(2);

/// A run told by hand.
struct Told {
    fold: Fold,
    now: Time,
}

impl Told {
    fn new() -> Self {
        let config =
            sample::config(&[("chat", &[("a", 7, 0), ("b", 3, 0)]), ("backup", &[("c", 1, 0)])]);
        Self { fold: Fold::new(Arc::new(config), sample::frame()), now: Time::ZERO }
    }

    fn at_ms(&mut self, ms: u64) -> &mut Self {
        self.now = Time::ZERO + Span::from_millis(ms);
        self
    }

    fn submit(&mut self, id: RequestId, group: GroupId) -> &mut Self {
        self.fold.input(self.now, &Input::Submit(Request::new(id, group, 10)));
        self
    }

    fn tick(&mut self) -> &mut Self {
        self.fold.input(self.now, &Input::Tick);
        self
    }

    fn say(&mut self, observation: Observation) -> &mut Self {
        self.fold.output(self.now, &Output::Observe(observation));
        self
    }

    fn finish(&mut self, id: RequestId, outcome: Outcome) -> &mut Self {
        self.fold.output(self.now, &Output::Finish(id, outcome));
        self
    }

    fn dispatch(
        &mut self,
        id: RequestId,
        ordinal: u8,
        (group, deployment): (GroupId, DeploymentId),
        cause: Cause,
    ) -> &mut Self {
        let attempt = AttemptId { request: id, ordinal };
        self.say(Observation::Selected { attempt, group, deployment, eligible: 1 });
        let dispatch = Dispatch {
            attempt,
            group,
            deployment,
            key: 0,
            cause,
            connect: Span::MAX,
            heartbeat: Span::MAX,
        };
        self.fold.output(self.now, &Output::Dispatch(dispatch));
        self
    }

    fn ended(
        &mut self,
        id: RequestId,
        deployment: DeploymentId,
        end: End,
        elapsed_ms: u64,
    ) -> &mut Self {
        self.ended_as((id, 1), deployment, end, elapsed_ms)
    }

    fn ended_as(
        &mut self,
        (request, ordinal): (RequestId, u8),
        deployment: DeploymentId,
        end: End,
        elapsed_ms: u64,
    ) -> &mut Self {
        let answered = end == End::Answered;
        self.say(Observation::Ended {
            attempt: AttemptId { request, ordinal },
            group: if deployment == C { BACKUP } else { CHAT },
            deployment,
            end,
            first_token: answered.then(|| Span::from_millis(elapsed_ms / 2)),
            elapsed: Span::from_millis(elapsed_ms),
            usage: Usage {
                input_tokens: 10,
                cached_tokens: 0,
                output_tokens: if answered { 5 } else { 0 },
            },
        })
    }

    fn waiting(&mut self, id: RequestId, ms: u64, why: Wait) -> &mut Self {
        self.say(Observation::Waiting {
            attempt: AttemptId { request: id, ordinal: 2 },
            until: self.now + Span::from_millis(ms),
            why,
            deployment: A,
            failure: FailureKind::RateLimit,
        })
    }

    fn stranded(&mut self, id: RequestId, group: GroupId) -> &mut Self {
        let attempt = AttemptId { request: id, ordinal: 1 };
        self.say(Observation::Stranded { attempt, group, earliest: None })
    }

    fn call(&mut self, id: RequestId, arrived_ms: u64, end: CallEnd, attempts: u16) -> &mut Self {
        let arrived = Time::ZERO + Span::from_millis(arrived_ms);
        let answered = matches!(end, CallEnd::Answered(_));
        let call = Call {
            id,
            group: CHAT,
            properties: [0; 4],
            arrived,
            first_token: answered.then(|| arrived + Span::from_millis(100)),
            ended: self.now,
            end,
            tries: 1,
            attempts,
            client_wait: Span::from_millis(7),
            unseen: false,
        };
        self.fold.call(self.now, &call);
        self
    }

    fn figures(&self) -> Figures {
        self.fold.clone().finish(Time::from_secs(600))
    }
}

mod policies;

fn r(sequence: u64) -> RequestId {
    RequestId::new(0, sequence, 0)
}

#[test]
fn a_retried_call_is_one_call_two_attempts_and_what_both_cost() {
    let mut told = Told::new();
    told.at_ms(1_000).submit(r(1), CHAT).dispatch(r(1), 1, (CHAT, A), Cause::Primary);
    told.at_ms(1_300).tick().ended(r(1), A, End::Failed(FailureKind::RateLimit), 300);
    told.waiting(r(1), 500, Wait::Backoff);
    told.at_ms(1_800).tick().dispatch(r(1), 2, (CHAT, A), Cause::Retry);
    told.at_ms(2_800).tick().ended(r(1), A, End::Answered, 1_000);
    let usage = Usage { input_tokens: 10, cached_tokens: 0, output_tokens: 5 };
    let attempt = AttemptId { request: r(1), ordinal: 2 };
    told.finish(r(1), Outcome::Serve(attempt, usage));
    told.call(r(1), 1_000, CallEnd::Answered(usage), 2);

    let figures = told.figures();
    let calls = &figures.whole.calls;
    assert_eq!((calls.offered, calls.ended, calls.admitted, calls.answered), (1, 1, 1, 1));
    assert_eq!((calls.submissions, calls.attempts, calls.outcomes.served), (1, 2, 1));
    assert_eq!(calls.cost_pico, 10 + (10 + 2 * 5));
    assert_eq!(calls.client_wait_ns, 7_000_000);
    assert_eq!(calls.ttft.max(), Some(Span::from_millis(100)));
    assert_eq!(calls.total.max(), Some(Span::from_millis(1_800)));
    assert_eq!(calls.waits[Wait::Backoff as usize].time_ns, 500_000_000);
    assert_eq!(calls.tried_again[FailureKind::RateLimit as usize], 1);

    let a = &figures.whole.deployments[A.index()];
    assert_eq!((a.dispatched, a.answered, a.failed()), (2, 1, 1));
    let a_in_chat = &figures.whole.memberships[0];
    assert_eq!((a_in_chat.sent(Cause::Primary), a_in_chat.sent(Cause::Retry)), (1, 1));
    assert_eq!((a_in_chat.retried, a_in_chat.answered), (1, 1));
    assert_eq!((a.input_tokens, a.output_tokens, a.cost_pico), (20, 5, 30));
    assert_eq!(a.success(), Some(0.5));
    let lost = a.lost[FailureKind::RateLimit as usize];
    assert_eq!((lost.dead_ns, lost.waited_ns), (300_000_000, 500_000_000));
    assert_eq!(figures.whole.members, [2, 0, 0]);

    let bin = &figures.bins[0];
    assert_eq!((bin.groups[0].offered, bin.groups[0].answered, bin.groups[0].failed), (1, 1, 0));
    assert_eq!(bin.deployments[0].dispatched, 2);
    assert_eq!((bin.deployments[0].answered, bin.deployments[0].failed), (1, 1));
    let beat = &figures.pulse.beats[1];
    assert_eq!((beat.ended, beat.answered, beat.attempts), (1, 1, 2));
}

#[test]
fn a_wait_renewed_at_its_end_is_one_retry() {
    let mut told = Told::new();
    told.submit(r(1), CHAT).ended(r(1), A, End::Failed(FailureKind::Server), 1);
    told.waiting(r(1), 500, Wait::Eligible);
    told.at_ms(500).tick().waiting(r(1), 300, Wait::Eligible);
    let calls = told.figures().whole.calls;
    assert_eq!(calls.tried_again[FailureKind::Server as usize], 1);
    assert_eq!(calls.waits[Wait::Eligible as usize].count, 2);
    assert_eq!(calls.waits[Wait::Eligible as usize].time_ns, 800_000_000);
}

#[test]
fn an_immediate_fallback_counts_as_trying_again_and_giving_up_does_not() {
    let mut told = Told::new();
    told.submit(r(1), CHAT).ended(r(1), A, End::Failed(FailureKind::Server), 1);
    told.dispatch(r(1), 2, (BACKUP, C), Cause::Fallback);
    told.submit(r(2), CHAT).ended(r(2), A, End::Failed(FailureKind::Server), 1);
    told.say(Observation::GaveUp { request: r(2), why: GiveUp::Budget });
    told.finish(r(2), Outcome::Exhaust(Failure::new(FailureKind::Server, 500)));
    told.submit(r(3), CHAT).dispatch(r(3), 1, (CHAT, A), Cause::Primary);
    let figures = told.figures();
    assert_eq!(figures.whole.calls.tried_again[FailureKind::Server as usize], 1);
    assert_eq!(figures.whole.calls.gave_up[GiveUp::Budget as usize], 1);
    assert_eq!(figures.whole.members, [1, 0, 1]);
}

#[test]
fn cost_of_a_fallback_belongs_to_the_group_that_was_asked_for() {
    let mut told = Told::new();
    told.submit(r(1), CHAT).dispatch(r(1), 1, (BACKUP, C), Cause::Fallback);
    told.ended(r(1), C, End::Answered, 10);
    let groups = told.figures().whole.groups;
    assert_eq!((groups[0].cost_pico, groups[1].cost_pico), (20, 0));
}

#[test]
fn calls_belong_to_the_phases_they_arrived_in_and_attempts_to_those_they_happened_in() {
    let mut told = Told::new();
    told.at_ms(119_999).submit(r(1), CHAT).dispatch(r(1), 1, (CHAT, A), Cause::Primary);
    told.at_ms(120_000).submit(r(2), CHAT).dispatch(r(2), 1, (CHAT, A), Cause::Primary);
    told.at_ms(130_000).tick().ended(r(1), A, End::Answered, 10_001);
    told.call(r(1), 119_999, CallEnd::Answered(Usage::default()), 1);
    told.at_ms(190_000).tick().ended(r(2), A, End::Failed(FailureKind::Idle), 70_000);
    told.call(r(2), 120_000, CallEnd::Failed(504), 1);
    told.at_ms(309_999).submit(r(3), CHAT).finish(r(3), Outcome::Reject(Rejection::Full));
    told.call(r(3), 309_999, CallEnd::Failed(429), 0);

    let figures = told.figures();
    let spike = figures.phase("spike").unwrap();
    assert_eq!((spike.calls.offered, spike.calls.ended, spike.calls.answered), (2, 2, 0));
    assert_eq!(spike.calls.statuses, [(429, 1), (504, 1)]);
    assert_eq!((spike.calls.failed, spike.calls.rejected, spike.calls.admitted), (2, 1, 1));
    let a = &spike.deployments[0];
    assert_eq!((a.dispatched, a.answered, a.failed()), (1, 1, 0));
    let normal = figures.phase("normal").unwrap();
    assert_eq!(*normal, figures.whole);
    assert_eq!((normal.calls.ended, normal.calls.outcomes.rejected[2]), (3, 1));
    assert_eq!(normal.calls.success(), Some(1.0 / 3.0));
}

#[test]
fn what_is_in_flight_at_the_end_is_censored() {
    let mut told = Told::new();
    told.submit(r(1), CHAT).submit(r(2), CHAT);
    told.submit(RequestId::new(0, 2, 1), CHAT);
    told.call(r(2), 0, CallEnd::Left, 1);
    let calls = told.figures().whole.calls;
    assert_eq!((calls.offered, calls.submissions, calls.left, calls.censored()), (2, 3, 1, 1));
}

#[test]
fn a_second_is_stranded_once_and_only_if_nobody_else_helped() {
    let mut told = Told::new();
    let none = Outcome::Reject(Rejection::NoDeployment(None));
    told.at_ms(1_100).submit(r(1), CHAT).stranded(r(1), CHAT).stranded(r(1), BACKUP);
    told.finish(r(1), none);
    told.at_ms(1_900).submit(r(2), CHAT).stranded(r(2), CHAT).finish(r(2), none);
    told.at_ms(2_100).submit(r(3), CHAT).stranded(r(3), CHAT);
    told.dispatch(r(3), 1, (BACKUP, C), Cause::Fallback);
    told.at_ms(31_000).submit(r(4), CHAT).stranded(r(4), CHAT).waiting(r(4), 9, Wait::Backoff);
    told.at_ms(4_100).submit(r(5), CHAT).stranded(r(5), CHAT).waiting(r(5), 9, Wait::Eligible);
    let other = RequestId::new(1, 1, 0);
    told.at_ms(4_200).submit(other, BACKUP).stranded(other, BACKUP);
    told.say(Observation::GaveUp { request: other, why: GiveUp::Stranded });
    let stranded = told.figures().stranded;
    assert_eq!((stranded.any, stranded.groups), (2, vec![2, 1]));
}

#[test]
fn exclusions_are_counted_for_each_member_of_the_mask() {
    let mut told = Told::new();
    let attempt = AttemptId { request: r(1), ordinal: 1 };
    told.submit(r(1), CHAT);
    told.say(Observation::Excluded { attempt, group: CHAT, reason: Reason::Cooling, mask: 0b11 });
    told.say(Observation::Excluded { attempt, group: BACKUP, reason: Reason::Limit, mask: 1 });
    told.say(Observation::Spared { deployment: A, group: CHAT });
    told.say(Observation::Page { deployment: C, key: 0, failure: FailureKind::QuotaSpent });
    told.say(Observation::Late { attempt, corrected: true });
    let figures = told.figures();
    let excluded = |deployment: usize, reason: Reason| {
        figures.whole.deployments[deployment].excluded[reason as usize]
    };
    assert_eq!([0, 1, 2].map(|d| excluded(d, Reason::Cooling)), [1, 1, 0]);
    assert_eq!([0, 1, 2].map(|d| excluded(d, Reason::Limit)), [0, 0, 1]);
    assert_eq!((figures.whole.deployments[0].spared, figures.whole.deployments[2].pages), (1, 1));
    assert_eq!(figures.late, 1);
}

#[test]
fn an_abandoned_attempt_is_no_failure_of_its_deployment() {
    let mut told = Told::new();
    told.submit(r(1), CHAT).dispatch(r(1), 1, (CHAT, A), Cause::Primary);
    told.at_ms(400).tick().ended(r(1), A, End::Abandoned(Abandon::Cancel), 400);
    let a = &told.figures().whole.deployments[0];
    assert_eq!((a.failed(), a.success(), a.abandoned_ns), (0, None, 400_000_000));
    assert_eq!((a.abandoned[Abandon::Cancel as usize], a.cost_pico), (1, 10));
}

#[test]
fn rests_are_intervals_and_add_up() {
    let mut told = Told::new();
    let rested = |key, s| Observation::Rested {
        deployment: A,
        key,
        until: Time::from_secs(s),
        failure: FailureKind::Server,
        streak: 1,
    };
    told.at_ms(10_000).say(rested(None, 15));
    told.at_ms(12_000).say(rested(None, 20));
    told.at_ms(595_000).say(rested(Some(1), 700)).say(rested(Some(0), 700));
    let figures = told.figures();
    assert_eq!(figures.rests.len(), 3);
    assert_eq!(figures.resting, [Span::from_secs(15), Span::ZERO, Span::ZERO]);
}

#[test]
fn a_call_at_the_horizon_is_in_the_last_bin_and_attempts_after_it_in_none() {
    let mut told = Told::new();
    told.at_ms(600_000).submit(r(1), CHAT);
    told.at_ms(601_000).tick().dispatch(r(1), 1, (CHAT, A), Cause::Primary);
    told.at_ms(602_000).tick().call(r(1), 600_000, CallEnd::Failed(500), 1);
    let figures = told.figures();
    assert_eq!(figures.end, Time::from_secs(602));
    let last = figures.bins.last().unwrap();
    assert_eq!((last.groups[0].offered, last.groups[0].failed), (1, 1));
    assert_eq!(last.deployments[0].dispatched, 0);
    assert_eq!(figures.whole.deployments[0].dispatched, 1);
    assert_eq!(figures.pulse.beats.last().unwrap().ended, 1);
}

#[test]
fn new_prices_hold_from_their_reconfiguration_on() {
    let mut told = Told::new();
    told.submit(r(1), CHAT).ended(r(1), A, End::Failed(FailureKind::Server), 1);
    let free = sample::config_priced(
        &[("chat", &[("a", 7, 0), ("b", 3, 0)]), ("backup", &[("c", 1, 0)])],
        Price::FREE,
    );
    told.fold.input(told.now, &Input::Reconfigure(Arc::new(free)));
    told.ended(r(1), A, End::Failed(FailureKind::Server), 1);
    let figures = told.figures();
    assert_eq!((figures.whole.calls.cost_pico, figures.priced), (10, true));
}

proptest! {
    /// However calls and attempts fall, every series and every phase adds up to the whole.
    #[test]
    fn what_is_counted_adds_up(
        mut calls in prop::collection::vec((0..600_000_u64, 0..90_000_u64, 0..4_u16), 0..60),
    ) {
        calls.sort_unstable_by_key(|&(arrived, lasts, _)| arrived + lasts);
        let mut told = Told::new();
        for (&(arrived, lasts, attempts), sequence) in calls.iter().zip(0..) {
            let id = r(sequence);
            told.at_ms(arrived + lasts).submit(id, CHAT);
            for ordinal in 1..=attempts {
                told.dispatch(id, ordinal as u8, (CHAT, A), Cause::Primary);
                told.ended(id, A, End::Answered, lasts);
            }
            let usage = Usage::default();
            let end = if attempts > 0 { CallEnd::Answered(usage) } else { CallEnd::Failed(429) };
            told.call(id, arrived, end, attempts);
        }
        let figures = told.figures();
        let whole = &figures.whole.calls;
        prop_assert_eq!(whole.ended, calls.len() as u64);
        prop_assert_eq!(figures.phase("normal").unwrap().calls.ended, whole.ended);
        let binned = |count: fn(&crate::CallsInBin) -> u64| -> u64 {
            figures.bins.iter().map(|bin| count(&bin.groups[0])).sum()
        };
        prop_assert_eq!(binned(|bin| bin.answered), whole.answered);
        prop_assert_eq!(binned(|bin| bin.failed), whole.failed);
        prop_assert_eq!(binned(|bin| bin.ttft.count()), whole.ttft.count());
        prop_assert_eq!(binned(|bin| bin.total.count()), whole.total.count());
        let beats: crate::Beat = figures.pulse.beats.iter().sum();
        prop_assert_eq!((beats.ended, beats.attempts), (whole.ended, whole.attempts));
        let in_spike = |&&(arrived, ..): &&(u64, u64, u16)| {
            (120_000..180_000).contains(&arrived) || (300_000..310_000).contains(&arrived)
        };
        let spike = &figures.phase("spike").unwrap().calls;
        prop_assert_eq!(spike.ended, calls.iter().filter(in_spike).count() as u64);
        prop_assert_eq!(figures.whole.members[0], figures.whole.deployments[0].dispatched);
    }
}

#[test]
fn who_waits_is_counted_by_class_and_bin() {
    let mut spec = sample::spec(&[("chat", &[("a", 1, 0)])], Price::FREE);
    spec.router.priorities = vec!["live".into(), "batch".into()];
    spec.groups[0].queue = Some(QueueSpec::new(10));
    let config = Arc::new(Config::new(&spec).expect("it is valid"));
    let mut told = Told { fold: Fold::new(config, sample::frame()), now: Time::ZERO };
    let id = |source: u16, n| RequestId::new(source, n, 0);
    let queued = |request, class| Observation::Queued { request, group: CHAT, class, ahead: 0 };
    let goes = |request, class, ms| {
        let waited = Span::from_millis(ms);
        Observation::Dequeued { request, group: CHAT, class, waited }
    };
    let submit = |told: &mut Told, request: RequestId| {
        let priority = request.source() as u8;
        let request = Request { priority, ..Request::new(request, CHAT, 10) };
        told.fold.input(told.now, &Input::Submit(request));
    };
    for n in 1..=3 {
        submit(told.at_ms(100 * n), id(0, n));
        submit(&mut told, id(1, n));
        told.say(queued(id(1, n), 1));
    }
    // Nobody comes or goes for a while; then one goes, one waited too long, one is cancelled.
    told.at_ms(25_000).say(goes(id(1, 1), 1, 2_400));
    let late = Rejection::QueueTimeout(Time::from_secs(9));
    told.at_ms(26_000).finish(id(1, 2), Outcome::Reject(late));
    told.at_ms(31_000).finish(id(1, 3), Outcome::Cancel);
    submit(told.at_ms(32_000), id(0, 4));
    told.finish(id(0, 4), Outcome::Reject(Rejection::QueueFull(Time::from_secs(9))));
    let figures = told.fold.finish(Time::from_secs(50));
    let [live, batch] = [0, 1].map(|class| figures.whole.groups[0].in_class(Some(class)));
    assert_eq!((live.submissions, live.waited, live.turned_away), (4, 0, [0, 1, 0, 0]));
    assert_eq!((batch.submissions, batch.waited, batch.turned_away), (3, 3, [0, 0, 1, 0]));
    assert_eq!((batch.wait.count(), batch.wait.max()), (1, Some(Span::from_millis(2_400))));
    assert_eq!(figures.whole.calls.in_class(None).refused(), 2);
    let waiting: Vec<u32> = figures.bins.iter().map(|bin| bin.groups[0].waiting[1]).collect();
    assert_eq!(waiting[..5], [3, 3, 3, 1, 0]);
    let refused: Vec<u64> = figures.bins.iter().map(|bin| bin.groups[0].turned_away).collect();
    assert_eq!(refused[..4], [0, 0, 1, 1]);
    let measure = |text| {
        let (metric, of) = crate::Expectation::parse_metric(text).expect("it is right");
        metric.measure(&of, &figures)
    };
    assert_eq!(measure("queue.wait.max"), Some(2.4));
    assert_eq!(measure("queued.share {class=batch}"), Some(1.0));
    assert_eq!(measure("shed.share {class=live}"), Some(0.25));
    assert_eq!(measure("shed.share {class=slow}"), None);
    assert_eq!(measure("shed.share {group=chat}"), Some(2.0 / 7.0));
}
