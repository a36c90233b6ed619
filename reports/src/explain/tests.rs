//! Explanations of a real router under limits, and of made-up events that say everything.

use std::sync::Arc;

use router_core::{
    Abandon, AttemptId, Brain, BreakerSpec, BreakerState, Call, CallEnd, Cause, Config,
    DeploymentId, DeploymentSpec, Dispatch, End, Failure, FailureKind, GiveUp, GroupId, GroupSpec,
    HedgeSpec, Hold, Input, Journal, LimitSpec, MemberSpec, Observation, Outcome, Output, Price,
    Rate, Reason, Request, RequestId, Router, Seed, Span, Spec, Time, TimeoutsSpec, Turn, Upstream,
    Usage, Wait,
};

use super::trail::{Death, Piece, Toll, Trails};
use super::whereabouts::Whereabouts;
use super::{Setting, Story};
use crate::sample;

mod outages;
mod restarts;
mod steps;

const CHAT: GroupId = GroupId::at(0);

fn id(sequence: u64) -> RequestId {
    RequestId::new(0, sequence, 0)
}

fn attempt(ordinal: u8) -> AttemptId {
    AttemptId { request: id(17), ordinal }
}

fn ms(ms: u64) -> Time {
    Time::from_nanos(ms * 1_000_000)
}

/// Deployments of one group `chat`, each with a weight; the third has a shared limit.
fn config(weights: [u32; 4]) -> Arc<Config> {
    let mut spec = Spec::default();
    let per_minute = |amount| Rate { amount, period: Span::from_secs(60), burst: None };
    spec.limits = vec![(
        "org".to_owned(),
        LimitSpec { requests: Some(per_minute(6)), ..LimitSpec::default() },
    )];
    let mut group = GroupSpec::new("chat".to_owned());
    group.breaker = Some(BreakerSpec::default());
    group.hedge = Some(HedgeSpec::default());
    for (name, weight) in ["az-eu", "az-us", "openai", "haiku"].into_iter().zip(weights) {
        let mut new = DeploymentSpec::new(name.to_owned());
        new.price = Price { input: 150_000, cached: 75_000, output: 600_000 };
        new.tags = vec!["eu".to_owned()];
        if name == "openai" {
            new.shared = vec!["org".to_owned()];
            new.limit = Some(LimitSpec {
                tokens: Some(per_minute(5_000)),
                parallel: Some(3),
                ..LimitSpec::default()
            });
        }
        spec.deployments.push(new);
        group.members.push(MemberSpec { deployment: name.to_owned(), weight, tier: 0 });
    }
    spec.groups.push(group);
    Arc::new(Config::new(&spec).expect("it holds"))
}

/// Whether the router would keep `request` out for a rate limit at `at`.
fn is_limited(router: &Router, at: Time, request: Request) -> bool {
    let mut router = router.clone();
    let limited = |output| {
        matches!(output, Output::Observe(Observation::Excluded { reason: Reason::Limit, .. }))
    };
    router.handle(at, Input::Submit(request)).any(limited)
}

#[test]
fn what_is_said_of_a_limit_is_when_the_router_lets_it_through() {
    let mut spec = Spec::default();
    let rate = |amount, s| Rate { amount, period: Span::from_secs(s), burst: None };
    let mut alone = DeploymentSpec::new("alone".to_owned());
    alone.limit = Some(LimitSpec {
        requests: Some(rate(20, 60)),
        tokens: Some(rate(30_000, 60)),
        output_tokens: Some(rate(8_000, 45)),
        ..LimitSpec::default()
    });
    spec.deployments.push(alone);
    // Nothing happens by itself between one look and the next.
    spec.router.deadline = Span::MAX;
    let mut group = GroupSpec::new("chat".to_owned());
    let never = Span::MAX;
    group.timeouts = TimeoutsSpec {
        connect: never,
        first_token: never,
        idle: never,
        total: never,
        partial: false,
    };
    group.members.push(MemberSpec { deployment: "alone".to_owned(), weight: 1, tier: 0 });
    spec.groups.push(group);
    let config = Arc::new(Config::new(&spec).expect("it holds"));
    let mut router = Router::new(Arc::clone(&config), Seed::from_u64(1), Time::ZERO);
    let mut here = Whereabouts::new(Arc::clone(&config));
    let mut refused = [0; 4];
    for n in 1..400_u64 {
        let at = ms(n * 1_700 + n % 7 * 100);
        // First many small requests, then long prompts, then long answers.
        let (input, output) = match n {
            ..130 => (n * 37 % 100, n * 53 % 90),
            130..260 => (1_500 + n * 37 % 3_000, n * 53 % 90),
            _ => (n * 37 % 100, n * 53 % 3_000),
        };
        let request = Request::new(id(n), CHAT, input as u32);
        let mut inputs = vec![Input::Submit(request)];
        // What is used is now more, now less than what was reserved; some calls are never over.
        let usage = Usage {
            input_tokens: request.input_tokens,
            cached_tokens: 0,
            output_tokens: output as u32,
        };
        let first = AttemptId { request: request.id, ordinal: 1 };
        match n % 5 {
            0 => inputs.push(Input::Cancel(request.id)),
            1 => {}
            _ => inputs.push(Input::Upstream(first, Upstream::Complete(usage))),
        }
        if n % 5 == 0 {
            inputs.push(Input::Upstream(first, Upstream::Complete(usage)));
        }
        for input in inputs {
            here.input(&input);
            let before = router.clone();
            for output in router.handle(at, input) {
                if let Output::Observe(Observation::Excluded { reason: Reason::Limit, .. }) = output
                {
                    let alone = DeploymentId::at(0);
                    let said = here.refusal(at, alone, request.id).expect("it was kept out");
                    let again = Request { id: id(1_000_000), ..request };
                    let place = said.place.expect("it fits some time");
                    assert!(!is_limited(&before, place, again), "{n}: there is a place");
                    let early = Time::from_nanos(place.as_nanos() - 2);
                    assert!(is_limited(&before, early, again), "{n}: and not before");
                    let which = ["requests", "tokens", "prompt tokens", "completion tokens"];
                    refused[which.iter().position(|w| *w == said.what).unwrap()] += 1;
                }
                here.output(at, &output);
            }
        }
    }
    assert!(refused[0] > 5 && refused[1] > 5 && refused[3] > 5, "{refused:?}");
}

/// A journal fed by hand.
struct Told<J>(J, Time);

impl<J: Journal> Told<J> {
    fn at(&mut self, at: u64) -> &mut Self {
        self.1 = ms(at);
        self
    }

    fn hear(&mut self, input: Input) -> &mut Self {
        self.0.input(self.1, &input);
        self
    }

    fn say(&mut self, output: Output) -> &mut Self {
        self.0.output(self.1, &output);
        self
    }

    fn see(&mut self, observation: Observation) -> &mut Self {
        self.say(Output::Observe(observation))
    }

    fn dispatch(
        &mut self,
        attempt: AttemptId,
        to: usize,
        cause: Cause,
        eligible: u64,
    ) -> &mut Self {
        self.select(attempt, to, eligible).send(attempt, to, cause)
    }

    fn select(&mut self, attempt: AttemptId, to: usize, eligible: u64) -> &mut Self {
        let deployment = DeploymentId::at(to);
        self.see(Observation::Selected { attempt, group: CHAT, deployment, eligible })
    }

    fn send(&mut self, attempt: AttemptId, to: usize, cause: Cause) -> &mut Self {
        let deployment = DeploymentId::at(to);
        let (connect, heartbeat) = (Span::from_secs(5), Span::from_secs(5));
        let group = CHAT;
        let dispatch = Dispatch { attempt, group, deployment, key: 0, cause, connect, heartbeat };
        self.say(Output::Dispatch(dispatch))
    }

    fn exclude(&mut self, attempt: AttemptId, reason: Reason, mask: u64) -> &mut Self {
        self.see(Observation::Excluded { attempt, group: CHAT, reason, mask })
    }

    fn end(&mut self, attempt: AttemptId, at: usize, end: End, ms: u64, tokens: u32) -> &mut Self {
        let usage = Usage { input_tokens: 900, cached_tokens: 0, output_tokens: tokens };
        self.see(Observation::Ended {
            attempt,
            group: CHAT,
            deployment: DeploymentId::at(at),
            end,
            first_token: None,
            elapsed: Span::from_millis(ms),
            usage,
        })
    }

    fn turn(&mut self, at: usize, to: BreakerState, why: Turn, until: Option<u64>) -> &mut Self {
        let (group, deployment) = (CHAT, DeploymentId::at(at));
        let until = until.map(ms);
        let (streak, enforced) = (1, true);
        self.see(Observation::Breaker { group, deployment, to, why, until, streak, enforced })
    }
}

fn failure(kind: FailureKind, status: u16, retry_after: u64) -> Failure {
    let retry_after = (retry_after > 0).then(|| Span::from_secs(retry_after));
    Failure { retry_after, ..Failure::new(kind, status) }
}

/// A request that meets about everything a router can say.
fn eventful() -> Told<Story> {
    let config = config([7, 2, 3, 0]);
    let mut told = Told(Story::new(config, id(17)), Time::ZERO);
    // What others met before it.
    told.at(40_200).turn(1, BreakerState::Open, Turn::Consecutive, Some(66_300));
    for n in 1..=6 {
        let other = AttemptId { request: id(n), ordinal: 1 };
        told.at(50_000).hear(Input::Submit(Request::new(id(n), CHAT, 10)));
        told.dispatch(other, 2, Cause::Primary, 15);
        told.at(51_000).end(other, 2, End::Answered, 1_000, 10);
    }
    let request = Request { tags: 1, output_max: Some(300), ..Request::new(id(17), CHAT, 900) };
    told.at(60_000).hear(Input::Submit(request));
    told.exclude(attempt(1), Reason::Open, 2).exclude(attempt(1), Reason::Limit, 4);
    told.exclude(attempt(1), Reason::Weight, 8);
    told.dispatch(attempt(1), 0, Cause::Primary, 1);
    let asked = failure(FailureKind::RateLimit, 429, 4);
    told.at(60_400).hear(Input::Upstream(attempt(1), Upstream::Fail(asked)));
    told.end(attempt(1), 0, End::Failed(FailureKind::RateLimit), 400, 0).see(Observation::Rested {
        deployment: DeploymentId::at(0),
        key: Some(0),
        until: ms(64_400),
        failure: FailureKind::RateLimit,
        streak: 2,
    });
    told.exclude(attempt(2), Reason::Cooling, 1);
    told.dispatch(attempt(2), 3, Cause::Standby, 8);
    told.at(62_400).see(Observation::Held { attempt: attempt(3), why: Hold::Utilisation });
    told.at(63_400).say(Output::Abandon(attempt(2), Abandon::FirstToken));
    told.end(attempt(2), 3, End::Failed(FailureKind::FirstToken), 3_000, 0);
    told.turn(3, BreakerState::Open, Turn::Failures, Some(73_400));
    told.see(Observation::Stranded {
        attempt: attempt(3),
        group: CHAT,
        earliest: Some(ms(64_400)),
    });
    told.see(Observation::Waiting {
        attempt: attempt(3),
        until: ms(64_400),
        why: Wait::Eligible,
        deployment: DeploymentId::at(3),
        failure: FailureKind::FirstToken,
    });
    told.at(64_400).hear(Input::Tick).exclude(attempt(3), Reason::Open, 8);
    told.dispatch(attempt(3), 0, Cause::Panic, 3);
    told.at(66_400).select(attempt(4), 1, 2);
    told.turn(1, BreakerState::HalfOpen, Turn::Waited, None).send(attempt(4), 1, Cause::Hedge);
    told.at(67_000).hear(Input::Upstream(attempt(4), Upstream::FirstToken));
    told.say(Output::Abandon(attempt(3), Abandon::Hedged));
    told.end(attempt(3), 0, End::Abandoned(Abandon::Hedged), 2_600, 0);
    told.say(Output::Commit(attempt(4)));
    let usage = Usage { input_tokens: 900, cached_tokens: 100, output_tokens: 80 };
    told.at(69_000).hear(Input::Upstream(attempt(4), Upstream::Complete(usage)));
    told.end(attempt(4), 1, End::Answered, 2_600, 80);
    told.turn(1, BreakerState::Closed, Turn::Recovered, Some(99_000));
    told.say(Output::Finish(id(17), Outcome::Serve(attempt(4), usage)));
    told
}

fn call(arrived: u64, first: Option<u64>, ended: u64, end: CallEnd) -> Call {
    Call {
        id: id(17),
        group: CHAT,
        properties: [0; 4],
        arrived: ms(arrived),
        first_token: first.map(ms),
        ended: ms(ended),
        end,
        tries: 1,
        attempts: 4,
        client_wait: Span::ZERO,
        unseen: false,
    }
}

fn text(mut told: Told<Story>, call: &Call) -> String {
    let now = told.1;
    told.0.call(now, call);
    let frame = sample::frame();
    let (run, command) = ("made up, router eventful, seed 7", "seawall explain latest");
    let setting = Setting { run, frame: &frame, properties: &[], command };
    told.0.text(&setting, false).expect("there is such a call")
}

#[test]
fn a_story_names_numbers_for_everything_a_router_decides() {
    let answered = CallEnd::Answered(Usage::default());
    let told = text(eventful(), &call(60_000, Some(67_000), 69_000, answered));
    insta::assert_snapshot!(told);
    assert!(told.lines().all(|line| line.chars().count() <= 100));
}

#[test]
fn a_story_of_failure_says_why_nothing_more_was_tried() {
    let mut told = Told(Story::new(config([7, 2, 3, 1]), id(17)), Time::ZERO);
    told.at(1_000).hear(Input::Submit(Request::new(id(17), CHAT, 900)));
    told.dispatch(attempt(1), 0, Cause::Probe, 15);
    let denied =
        Failure { should_retry: Some(false), ..failure(FailureKind::Authentication, 401, 0) };
    told.at(1_100).hear(Input::Upstream(attempt(1), Upstream::Fail(denied)));
    told.end(attempt(1), 0, End::Failed(FailureKind::Authentication), 100, 0);
    let (deployment, failure) = (DeploymentId::at(0), FailureKind::Authentication);
    told.see(Observation::Page { deployment, key: 0, failure });
    told.exclude(attempt(2), Reason::Barred, 1);
    told.see(Observation::GaveUp { request: id(17), why: GiveUp::Final });
    told.say(Output::Finish(id(17), Outcome::Exhaust(denied)));
    insta::assert_snapshot!(text(told, &call(1_000, None, 1_100, CallEnd::Failed(401))));
}

#[test]
fn time_is_counted_once_where_attempts_overlap() {
    let mut told = Told(Watched::default(), Time::ZERO);
    told.at(0).hear(Input::Submit(Request::new(id(17), CHAT, 10)));
    told.dispatch(attempt(1), 0, Cause::Primary, 15);
    told.at(2_000).dispatch(attempt(2), 1, Cause::Hedge, 15);
    told.at(3_000).end(attempt(1), 0, End::Failed(FailureKind::Server), 3_000, 0);
    told.at(5_000).end(attempt(2), 1, End::Failed(FailureKind::Reset), 3_000, 0);
    told.see(Observation::Waiting {
        attempt: attempt(3),
        until: ms(5_500),
        why: Wait::Backoff,
        deployment: DeploymentId::at(1),
        failure: FailureKind::Reset,
    });
    told.at(5_500).dispatch(attempt(3), 0, Cause::Retry, 15);
    told.at(6_500).dispatch(attempt(4), 1, Cause::Hedge, 15);
    told.at(7_000).hear(Input::Upstream(attempt(3), Upstream::Connected));
    told.at(7_500).say(Output::Commit(attempt(3)));
    told.end(attempt(4), 1, End::Abandoned(Abandon::Hedged), 1_000, 0);
    told.at(9_000).end(attempt(3), 0, End::Answered, 3_500, 0);
    let trail = told.0.0.take(&call(0, Some(7_500), 9_000, CallEnd::Left)).expect("it was seen");
    assert_eq!(trail.pieces.iter().filter(|p| matches!(p, Piece::Attempt(_))).count(), 4);
    let (a, b) = (DeploymentId::at(0), DeploymentId::at(1));
    let span = Span::from_millis;
    let mut first = vec![
        (Toll::FirstToken(a), span(500)),
        (Toll::Connecting(a), span(1_500)),
        (Toll::Waited(Wait::Backoff, FailureKind::Reset, b), span(500)),
        (Toll::Dead(Death::Failed(FailureKind::Reset), b), span(3_000)),
        (Toll::Dead(Death::Failed(FailureKind::Server), a), span(2_000)),
    ];
    assert_eq!(trail.tolls(Time::ZERO, ms(7_500)), first);
    first.insert(0, (Toll::Streaming(a), span(1_500)));
    assert_eq!(trail.tolls(Time::ZERO, ms(9_000)), first);
    // A hedge that wins was waited for in vain until it was sent.
    let trail = eventful().0.trail();
    let tolls = trail.tolls(ms(60_000), ms(67_000));
    assert_eq!(tolls[1], (Toll::Dead(Death::Dropped(Abandon::Hedged), a), span(2_000)));
    let all: u64 = tolls.iter().map(|(_, span)| span.as_millis()).sum();
    assert_eq!(all, 7_000);
    assert!(tolls.iter().all(|(toll, _)| *toll != Toll::Own));
}

#[derive(Default)]
struct Watched(Trails);

impl Journal for Watched {
    fn input(&mut self, now: Time, input: &Input) {
        self.0.input(now, input);
    }

    fn output(&mut self, now: Time, output: &Output) {
        self.0.output(now, output);
    }
}
