//! For every invariant a story that breaks it and only it, and stories that break none.

mod chosen;
mod ladder;
mod peers;
mod policies;
mod queue;
mod revised;
mod subjects;

use std::sync::Arc;
use std::vec::Vec;

use self::peers::closing;
use self::revised::without_d1;
use crate::{
    Abandon, AdaptiveSpec, AttemptId, Auditor, BreakerMode, BreakerSpec, BudgetSpec, BudgetUnit,
    Cause, Config, DeploymentId, DeploymentSpec, Dispatch, End, Failure, FailureKind, GiveUp,
    GroupId, GroupSpec, HedgeAfter, HedgeSpec, Input, Invariant, Journal, LimitSpec, Measure,
    MemberSpec, Observation, Outcome, Output, Rate, Ratio, Reason, Rejection, Request, RequestId,
    Span, Spec, Strategy, SubjectSpec, Time, Upstream, Usage, Wait,
};

const USAGE: Usage = Usage { input_tokens: 100, cached_tokens: 0, output_tokens: 20 };

/// The group `chat` of `d0`, `d1` and, with weight 0, `d2`; it falls back to `backup` of `d3`.
fn spec() -> Spec {
    let mut spec = Spec::default();
    let mut chat = GroupSpec::new("chat".into());
    let mut backup = GroupSpec::new("backup".into());
    for (name, weight) in [("d0", 1), ("d1", 1), ("d2", 0), ("d3", 1)] {
        spec.deployments.push(DeploymentSpec::new(name.into()));
        let group = if name == "d3" { &mut backup } else { &mut chat };
        group.members.push(MemberSpec { deployment: name.into(), weight, tier: 0 });
    }
    chat.fallbacks.any.push("backup".into());
    chat.cooldown.jitter = Ratio::ZERO;
    spec.groups = [chat, backup].into();
    spec
}

/// What happens, instant by instant, before an auditor's eyes.
struct Scene {
    auditor: Auditor,
    now: Time,
}

fn request(id: u64) -> RequestId {
    RequestId::new(0, id, 0)
}

fn attempt(id: u64, ordinal: u8) -> AttemptId {
    AttemptId { request: request(id), ordinal }
}

impl Scene {
    fn new(spec: &Spec) -> Self {
        let config = Arc::new(Config::new(spec).unwrap());
        Self { auditor: Auditor::new(config, Time::ZERO), now: Time::ZERO }
    }

    fn at(&mut self, ms: u64) -> &mut Self {
        self.now = Time::from_nanos(ms * 1_000_000);
        self
    }

    fn hears(&mut self, input: &Input) -> &mut Self {
        self.auditor.input(self.now, input);
        self
    }

    fn says(&mut self, output: Output) -> &mut Self {
        self.auditor.output(self.now, &output);
        self
    }

    fn revises(&mut self, spec: &Spec) -> &mut Self {
        let next = self.auditor.config.revise(spec).unwrap();
        self.hears(&Input::Reconfigure(Arc::new(next)))
    }

    fn submit(&mut self, id: u64) -> &mut Self {
        self.hears(&Input::Submit(Request::new(request(id), GroupId::at(0), 100)))
    }

    /// A submission on account of a tenant.
    fn submit_for(&mut self, id: u64, tenant: u32) -> &mut Self {
        let request = Request::new(request(id), GroupId::at(0), 100);
        self.hears(&Input::Submit(Request { subjects: [tenant, 0, 0, 0], ..request }))
    }

    fn submit_until(&mut self, id: u64, deadline: Time) -> &mut Self {
        let request = Request::new(request(id), GroupId::at(0), 100);
        self.hears(&Input::Submit(Request { deadline: Some(deadline), ..request }))
    }

    fn news(&mut self, id: u64, ordinal: u8, news: Upstream) -> &mut Self {
        self.hears(&Input::Upstream(attempt(id, ordinal), news))
    }

    fn fails(&mut self, id: u64, ordinal: u8, failure: Failure) -> &mut Self {
        self.news(id, ordinal, Upstream::Fail(failure))
    }

    fn goes(&mut self, id: u64, ordinal: u8, to: usize, cause: Cause) -> &mut Self {
        self.says(Output::Dispatch(Dispatch {
            attempt: attempt(id, ordinal),
            group: GroupId::at(usize::from(to == 3)),
            deployment: DeploymentId::at(to),
            key: 0,
            cause,
            connect: Span::from_secs(5),
            heartbeat: Span::from_secs(1),
        }))
    }

    /// A submission and its first attempt.
    fn begins(&mut self, id: u64, to: usize) -> &mut Self {
        self.submit(id).goes(id, 1, to, Cause::Primary)
    }

    /// An attempt brings its request home.
    fn serves(&mut self, id: u64, ordinal: u8) -> &mut Self {
        let attempt = attempt(id, ordinal);
        let open = self.auditor.flights.get(&attempt.request);
        let committed = open.is_some_and(|flight| flight.committed.is_some());
        self.news(id, ordinal, Upstream::Complete(USAGE));
        if !committed {
            self.says(Output::Commit(attempt));
        }
        self.says(Output::Finish(attempt.request, Outcome::Serve(attempt, USAGE)))
    }

    /// One of two attempts is first.
    fn wins(&mut self, id: u64, winner: u8, loser: u8) -> &mut Self {
        self.says(Output::Abandon(attempt(id, loser), Abandon::Hedged))
            .says(Output::Commit(attempt(id, winner)))
    }

    fn gives_up(&mut self, id: u64, why: GiveUp, failure: Failure) -> &mut Self {
        let request = request(id);
        self.says(Output::Observe(Observation::GaveUp { request, why }))
            .says(Output::Finish(request, Outcome::Exhaust(failure)))
    }

    fn waits(&mut self, id: u64, ordinal: u8, ms: u64, why: Wait) -> &mut Self {
        self.says(Output::Observe(Observation::Waiting {
            attempt: attempt(id, ordinal),
            until: Time::from_nanos(ms * 1_000_000),
            why,
            deployment: DeploymentId::at(0),
            failure: FailureKind::Reset,
        }))
    }

    fn excludes(&mut self, id: u64, ordinal: u8, reason: Reason, mask: u64) -> &mut Self {
        let (attempt, group) = (attempt(id, ordinal), GroupId::at(0));
        self.says(Output::Observe(Observation::Excluded { attempt, group, reason, mask }))
    }

    fn rejects(&mut self, id: u64, why: Rejection) -> &mut Self {
        self.says(Output::Finish(request(id), Outcome::Reject(why)))
    }

    /// Which invariants were broken, each once.
    fn broken(&mut self) -> Vec<Invariant> {
        self.auditor.at_rest();
        let mut broken: Vec<Invariant> =
            self.auditor.violations().iter().map(|violation| violation.invariant).collect();
        broken.sort();
        broken.dedup();
        broken
    }
}

const RESET: Failure = Failure::new(FailureKind::Reset, 0);
const REFUSED: Failure = Failure::new(FailureKind::BadRequest, 400);

fn busy(seconds: u64) -> Failure {
    let retry_after = Some(Span::from_secs(seconds));
    Failure { retry_after, ..Failure::new(FailureKind::RateLimit, 429) }
}

/// One call per 10 s on `d0`, one call at a time on `d1`.
fn limited() -> Spec {
    let mut spec = spec();
    let rate = Rate { amount: 1, period: Span::from_secs(10), burst: None };
    spec.deployments[0].limit = Some(LimitSpec { requests: Some(rate), ..LimitSpec::default() });
    spec.deployments[1].limit = Some(LimitSpec { parallel: Some(1), ..LimitSpec::default() });
    spec
}

/// Hedges after a second.
fn hedging() -> Spec {
    let mut spec = spec();
    let after = HedgeAfter::Delay(Span::from_secs(1));
    spec.groups[0].hedge = Some(HedgeSpec { after, ..HedgeSpec::default() });
    spec
}

/// One failure opens a breaker for ten seconds.
fn breaking() -> Spec {
    let mut spec = spec();
    let breaker = BreakerSpec { consecutive: 1, jitter: Ratio::ZERO, ..BreakerSpec::default() };
    spec.groups[0].breaker = Some(breaker);
    spec
}

/// The breaker of `d0` opened ten seconds ago.
fn half_open() -> Scene {
    let mut scene = Scene::new(&breaking());
    scene.begins(1, 0).fails(1, 1, RESET).goes(1, 2, 1, Cause::Retry).serves(1, 2);
    scene.at(10_000);
    scene
}

/// A run that breaks this invariant and no other.
fn story(invariant: Invariant) -> Scene {
    let mut scene = Scene::new(&limited());
    match invariant {
        Invariant::Conservation => {
            scene.begins(1, 0).at(1).serves(1, 1);
            scene.says(Output::Finish(request(1), Outcome::Cancel));
        }
        Invariant::AttemptCap => {
            let mut spec = spec();
            spec.router.attempts = 1;
            scene = Scene::new(&spec);
            scene.begins(1, 0).at(1).fails(1, 1, RESET).goes(1, 2, 1, Cause::Retry);
            scene.serves(1, 2);
        }
        Invariant::RetryBudget => {
            let mut spec = spec();
            spec.router.retry_budget.ratio = Some(Ratio::ZERO);
            spec.router.retry_budget.window = Span::from_secs(1);
            scene = Scene::new(&spec);
            for id in [1, 2] {
                scene.begins(id, 0).fails(id, 1, RESET).goes(id, 2, 1, Cause::Retry);
            }
            scene.serves(1, 2).serves(2, 2);
        }
        Invariant::OnlyEligible => {
            scene.submit(1).goes(1, 1, 2, Cause::Standby).at(1).serves(1, 1);
        }
        Invariant::Chosen => {
            let mut spec = spec();
            spec.groups[0].strategy = Strategy::LeastInFlight;
            scene = Scene::new(&spec);
            scene.begins(1, 0).begins(2, 0).at(1).serves(1, 1).serves(2, 1);
        }
        Invariant::Probes => {
            scene = half_open();
            scene.submit(2).goes(2, 1, 0, Cause::Probe);
            scene.submit(3).goes(3, 1, 0, Cause::Probe);
            scene.serves(2, 1).serves(3, 1);
        }
        Invariant::Hedges => {
            scene = Scene::new(&hedging());
            scene.begins(1, 0).at(999).hears(&Input::Tick).goes(1, 2, 1, Cause::Hedge);
            scene.at(1_500).news(1, 1, Upstream::FirstToken).wins(1, 1, 2).serves(1, 1);
        }
        Invariant::RateLimits => {
            scene.begins(1, 0).begins(2, 0).at(1).serves(1, 1).serves(2, 1);
        }
        Invariant::Peers => {
            scene = Scene::new(&closing());
            scene.at(999).begins(1, 0).serves(1, 1).at(1_000).begins(2, 0).serves(2, 1);
        }
        Invariant::Parallel => {
            scene.begins(1, 1).begins(2, 1).at(1).serves(1, 1).serves(2, 1);
        }
        Invariant::Subjects => {
            scene = Scene::new(&subjects::metered());
            for id in [1, 2] {
                scene.submit_for(id, 1).goes(id, 1, 0, Cause::Primary);
            }
            scene.at(1).serves(1, 1).serves(2, 1);
        }
        Invariant::Budgets => {
            scene = Scene::new(&subjects::metered());
            for id in [1, 2] {
                scene.submit_for(id, 2).goes(id, 1, 0, Cause::Primary);
            }
            scene.at(1).serves(1, 1).serves(2, 1);
        }
        Invariant::Adaptive => {
            let mut spec = spec();
            spec.deployments[1].adaptive = Some(AdaptiveSpec { min: 1, max: 9, start: 1 });
            scene = Scene::new(&spec);
            scene.begins(1, 1).begins(2, 1).at(1).serves(1, 1).serves(2, 1);
        }
        Invariant::Deadline => {
            scene.submit_until(1, Time::from_secs(1)).goes(1, 1, 0, Cause::Primary);
            scene.at(1_000).fails(1, 1, RESET).goes(1, 2, 1, Cause::Retry);
            scene.says(Output::Abandon(attempt(1, 2), Abandon::Deadline));
            scene.says(Output::Finish(request(1), Outcome::Expire));
        }
        Invariant::RetryAfter => {
            scene.begins(1, 1).at(1).fails(1, 1, busy(10)).goes(1, 2, 0, Cause::Retry);
            scene.serves(1, 2).at(9_000).begins(2, 1).serves(2, 1);
        }
        Invariant::FinalFailures => {
            scene.begins(1, 0).at(1).fails(1, 1, REFUSED).goes(1, 2, 1, Cause::Retry);
            scene.serves(1, 2);
        }
        Invariant::CommitIsFinal => {
            scene.begins(1, 0).news(1, 1, Upstream::FirstToken);
            scene.says(Output::Commit(attempt(1, 1))).fails(1, 1, RESET);
            scene.goes(1, 2, 1, Cause::Retry).fails(1, 2, RESET);
            scene.gives_up(1, GiveUp::Committed, RESET);
        }
        Invariant::NothingLeaks => {
            scene.begins(1, 0).hears(&Input::Cancel(request(1)));
            scene.says(Output::Finish(request(1), Outcome::Cancel));
        }
        Invariant::Removed => {
            scene.revises(&without_d1()).at(1).begins(1, 1).at(2).serves(1, 1);
        }
        Invariant::Survives => {
            scene.begins(1, 1).at(1).fails(1, 1, busy(10)).goes(1, 2, 0, Cause::Retry);
            scene.serves(1, 2).at(5_000).revises(&limited()).at(9_000).begins(2, 1).serves(2, 1);
        }
        Invariant::WorkConservation => {
            scene.submit(1).rejects(1, Rejection::NoDeployment(None));
        }
        Invariant::TimeMonotone => {
            scene.begins(1, 0).at(4_999).hears(&Input::Tick);
            scene.says(Output::Abandon(attempt(1, 1), Abandon::Connect));
            scene.goes(1, 2, 1, Cause::Retry).serves(1, 2);
        }
        Invariant::Punctual => {
            scene.begins(1, 0).at(5_000).hears(&Input::Tick);
            scene.at(5_001).serves(1, 1);
        }
        Invariant::Ladder => scene = ladder::too_low(),
        Invariant::QueueBound => {
            scene = Scene::new(&queue::queueing(1));
            scene.begins(1, 0).submit(2).lines_up(2, 0, 0).submit(3).lines_up(3, 0, 1);
            scene.at(1).serves(1, 1).follows(2, 0, 1).follows(3, 0, 1);
        }
        Invariant::QueueOrder => {
            scene = Scene::new(&queue::queueing(2));
            scene.begins(1, 0).submit(2).lines_up(2, 0, 0).submit(3).lines_up(3, 0, 1);
            scene.at(1).serves(1, 1).follows(3, 0, 1).follows(2, 0, 1);
        }
        Invariant::DrainHolds => {
            scene.hears(&Input::Drain).begins(1, 0).at(1).serves(1, 1);
        }
        Invariant::ClaimsHold => {
            scene.submit(1).goes(1, 1, 0, Cause::Fallback).at(1).serves(1, 1);
        }
    }
    scene
}

#[test]
fn every_invariant_is_broken_by_its_story_and_by_no_other() {
    for invariant in Invariant::ALL {
        let mut scene = story(invariant);
        let broken = scene.broken();
        assert_eq!(broken, [invariant], "{:#?}", scene.auditor.violations());
    }
}

#[track_caller]
fn nothing_breaks(scene: &mut Scene) {
    let broken = scene.broken();
    assert!(broken.is_empty(), "{:#?}", scene.auditor.violations());
}

#[test]
fn a_failed_request_may_be_retried_and_served() {
    let mut scene = Scene::new(&limited());
    scene.begins(1, 0).at(1).fails(1, 1, RESET).goes(1, 2, 1, Cause::Retry).at(2).serves(1, 2);
    nothing_breaks(&mut scene);
}

#[test]
fn a_request_may_wait_for_its_backoff_and_fall_back() {
    let mut longer = spec();
    longer.router.attempts = 4;
    let mut scene = Scene::new(&longer);
    scene.begins(1, 0).fails(1, 1, RESET).goes(1, 2, 1, Cause::Retry);
    scene.fails(1, 2, busy(30)).goes(1, 3, 2, Cause::Standby);
    scene.at(1).fails(1, 3, busy(30)).goes(1, 4, 3, Cause::Fallback);
    scene.fails(1, 4, RESET).gives_up(1, GiveUp::Attempts, RESET);
    nothing_breaks(&mut scene);

    let mut alone = spec();
    alone.groups[0].members.truncate(1);
    alone.groups[0].fallbacks.any.clear();
    let mut scene = Scene::new(&alone);
    scene.begins(1, 0).at(1).fails(1, 1, RESET).waits(1, 2, 400, Wait::Backoff);
    scene.at(400).hears(&Input::Tick).goes(1, 2, 0, Cause::Retry).serves(1, 2);
    nothing_breaks(&mut scene);
}

#[test]
fn a_late_tick_acts_as_of_now() {
    let mut scene = Scene::new(&spec());
    scene.begins(1, 0).at(9_000).hears(&Input::Tick);
    scene.says(Output::Abandon(attempt(1, 1), Abandon::Connect));
    scene.goes(1, 2, 1, Cause::Retry).at(13_999).serves(1, 2);
    nothing_breaks(&mut scene);
}

#[test]
fn news_after_a_missed_deadline_comes_too_late() {
    let mut scene = Scene::new(&spec());
    scene.begins(1, 0).at(9_000).news(1, 1, Upstream::Complete(USAGE));
    scene.says(Output::Abandon(attempt(1, 1), Abandon::Connect));
    scene.goes(1, 2, 1, Cause::Retry);
    let (attempt, corrected) = (attempt(1, 1), true);
    scene.says(Output::Observe(Observation::Late { attempt, corrected })).serves(1, 2);
    nothing_breaks(&mut scene);
}

#[test]
fn a_request_that_is_open_is_refused_again() {
    let mut scene = Scene::new(&spec());
    scene.begins(1, 0).at(1).submit(1).rejects(1, Rejection::Duplicate).serves(1, 1);
    nothing_breaks(&mut scene);
}

#[test]
fn a_rest_ends_between_its_least_and_greatest_end() {
    let mut spec = spec();
    spec.groups[0].cooldown.jitter = Ratio::ONE;
    // Ten seconds asked for: it rests until somewhere between 10 s and 20 s.
    let run = |ms: u64, excluded: bool| {
        let mut scene = Scene::new(&spec);
        scene.begins(1, 0).fails(1, 1, busy(10)).goes(1, 2, 1, Cause::Retry).serves(1, 2);
        scene.at(ms).submit(2);
        if excluded {
            scene.excludes(2, 1, Reason::Cooling, 1).goes(2, 1, 1, Cause::Primary);
        } else {
            scene.goes(2, 1, 0, Cause::Primary);
        }
        scene.serves(2, 1).broken()
    };
    assert_eq!(run(9_999, false), [Invariant::RetryAfter]);
    assert_eq!(run(9_999, true), []);
    assert_eq!(run(15_000, false), []);
    assert_eq!(run(15_000, true), []);
    assert_eq!(run(20_000, false), []);
    assert_eq!(run(20_000, true), [Invariant::WorkConservation]);
}

#[test]
fn a_second_rest_in_a_row_is_longer_and_a_recovery_ends_the_row() {
    let mut spec = spec();
    let cooldown = &mut spec.groups[0].cooldown;
    (cooldown.calls_min, cooldown.failures) = (1, Ratio::ONE);
    let run = |recovers: bool, ms: u64| {
        let mut scene = Scene::new(&spec);
        // The first rest lasts 5 s.
        scene.begins(1, 0).fails(1, 1, RESET).goes(1, 2, 1, Cause::Retry).serves(1, 2);
        if recovers {
            scene.at(5_000).begins(2, 0).serves(2, 1);
            scene.at(65_000);
        } else {
            scene.at(5_000);
        }
        let start = if recovers { 65_000 } else { 5_000 };
        scene.begins(3, 0).fails(3, 1, RESET).goes(3, 2, 1, Cause::Retry).serves(3, 2);
        scene.at(start + ms).begins(4, 0).serves(4, 1).broken()
    };
    assert_eq!(run(false, 9_999), [Invariant::OnlyEligible]);
    assert_eq!(run(false, 10_000), []);
    assert_eq!(run(true, 4_999), [Invariant::OnlyEligible]);
    assert_eq!(run(true, 5_000), []);
}

#[test]
fn an_overrun_becomes_debt() {
    let mut spec = spec();
    let tokens = Some(Rate { amount: 1_000, period: Span::from_secs(10), burst: None });
    spec.deployments[0].limit = Some(LimitSpec { tokens, ..LimitSpec::default() });
    let run = |output_tokens: u32, ms: u64| {
        let mut scene = Scene::new(&spec);
        // It reserves 100 + 512 tokens.
        scene.begins(1, 0);
        let usage = Usage { output_tokens, ..USAGE };
        let attempt = attempt(1, 1);
        scene.news(1, 1, Upstream::Complete(usage)).says(Output::Commit(attempt));
        scene.says(Output::Finish(request(1), Outcome::Serve(attempt, usage)));
        scene.at(ms).begins(2, 0).serves(2, 1).broken()
    };
    assert_eq!(run(100, 0), []);
    assert_eq!(run(512, 0), [Invariant::RateLimits]);
    assert_eq!(run(512, 2_240), []);
    assert_eq!(run(1_512, 2_240), [Invariant::RateLimits]);
    assert_eq!(run(1_512, 12_240), []);
}

#[test]
fn no_reason_is_believed_that_does_not_hold() {
    for reason in Reason::ALL {
        let mut scene = Scene::new(&spec());
        scene.submit(1).excludes(1, 1, reason, 1).goes(1, 1, 1, Cause::Primary);
        scene.at(1).serves(1, 1);
        assert_eq!(scene.broken(), [Invariant::WorkConservation], "{reason}");
    }
    let whys = [
        GiveUp::Final,
        GiveUp::Committed,
        GiveUp::Attempts,
        GiveUp::Retries,
        GiveUp::Budget,
        GiveUp::Deadline,
        GiveUp::Stranded,
        GiveUp::Drain,
        GiveUp::Subject,
    ];
    for why in whys {
        let mut scene = Scene::new(&spec());
        scene.begins(1, 0).at(1).fails(1, 1, RESET).gives_up(1, why, RESET);
        assert_eq!(scene.broken(), [Invariant::WorkConservation], "{why:?}");
    }
    for why in [Wait::Backoff, Wait::RetryAfter, Wait::Eligible] {
        let mut scene = Scene::new(&spec());
        scene.begins(1, 0).at(1).fails(1, 1, RESET).waits(1, 2, 100, why);
        scene.at(100).hears(&Input::Tick).goes(1, 2, 1, Cause::Retry).serves(1, 2);
        assert_eq!(scene.broken(), [Invariant::WorkConservation], "{why:?}");
    }
    let (kind, what, earliest) = (0, Measure::Requests, Some(Time::ZERO));
    let whys = [
        Rejection::Drain,
        Rejection::Full,
        Rejection::NoDeployment(None),
        Rejection::Subject { kind, what, earliest },
        Rejection::Budget { kind, earliest },
        Rejection::Accounts,
    ];
    for why in whys {
        let mut scene = Scene::new(&spec());
        scene.submit(1).rejects(1, why);
        assert_eq!(scene.broken(), [Invariant::WorkConservation], "{why:?}");
    }
}

#[test]
fn an_end_is_told_once_and_as_it_was() {
    let run = |ms: u64, output_tokens: u32, times: u32| {
        let mut scene = Scene::new(&spec());
        let attempt = attempt(1, 1);
        scene.begins(1, 0).at(7).news(1, 1, Upstream::Complete(USAGE));
        scene.says(Output::Commit(attempt));
        for _ in 0..times {
            scene.says(Output::Observe(Observation::Ended {
                attempt,
                group: GroupId::at(0),
                deployment: DeploymentId::at(0),
                end: End::Answered,
                first_token: Some(Span::from_millis(7)),
                elapsed: Span::from_millis(ms),
                usage: Usage { output_tokens, ..USAGE },
            }));
        }
        scene.says(Output::Finish(request(1), Outcome::Serve(attempt, USAGE))).broken()
    };
    assert_eq!(run(7, 20, 1), []);
    assert_eq!(run(8, 20, 1), [Invariant::Conservation]);
    assert_eq!(run(7, 21, 1), [Invariant::Conservation]);
    assert_eq!(run(7, 20, 2), [Invariant::Conservation]);
}

#[test]
fn a_request_left_alone_is_missed() {
    let mut scene = Scene::new(&spec());
    scene.submit(1);
    assert_eq!(scene.broken(), [Invariant::Conservation]);
    let mut scene = Scene::new(&spec());
    scene.begins(1, 0);
    assert_eq!(scene.broken(), [Invariant::Conservation]);
}

#[test]
fn violations_are_counted_beyond_those_kept() {
    let mut scene = Scene::new(&spec());
    for id in 0..250 {
        scene.at(id).submit(id).goes(id, 1, 2, Cause::Standby).serves(id, 1);
    }
    assert_eq!(scene.broken(), [Invariant::OnlyEligible]);
    assert_eq!((scene.auditor.violations().len(), scene.auditor.total()), (100, 250));
}
