//! A real router, an unreliable world of a few lines, and books kept on the side.

use std::collections::BTreeMap;
use std::sync::Arc;

use router_core::{
    Abandon, AttemptId, Counter, Driver, Effects, Failure, Purpose, Request, Router, Seed, Upstream,
};

use crate::sample;

use super::*;

/// What an attempt is told and after how many milliseconds, and the books.
#[derive(Default)]
struct World {
    news: BTreeMap<(Time, u64), Input>,
    sequence: u64,
    dispatched: Vec<u64>,
    again: u64,
    abandoned: u64,
    served: u64,
    unserved: u64,
    tokens: u64,
}

impl World {
    fn send(&mut self, at: Time, input: Input) {
        self.sequence += 1;
        self.news.insert((at, self.sequence), input);
    }
}

impl Effects for World {
    fn dispatch(&mut self, now: Time, dispatch: Dispatch) {
        self.dispatched[dispatch.deployment.index()] += 1;
        self.again += u64::from(dispatch.attempt.ordinal > 1);
        let counter = Counter {
            request: dispatch.attempt.request.as_u64(),
            entity: 0,
            attempt: dispatch.attempt.ordinal,
            index: 0,
        };
        let draw = Seed::from_u64(1).key(Purpose::Select).below(1_000, counter);
        let at = now + Span::from_millis(1 + draw);
        let fail = |kind, status| Upstream::Fail(Failure::new(kind, status));
        let news = match draw % 10 {
            0..3 => fail(FailureKind::Server, 500),
            3 => fail(FailureKind::RateLimit, 429),
            4 => fail(FailureKind::BadRequest, 400),
            // Silence, until the router's own timeout.
            5 => return,
            _ => {
                self.send(now, Input::Upstream(dispatch.attempt, Upstream::FirstToken));
                let output_tokens = draw as u32;
                self.tokens += draw;
                Upstream::Complete(Usage { input_tokens: 10, cached_tokens: 0, output_tokens })
            }
        };
        self.send(at, Input::Upstream(dispatch.attempt, news));
    }

    fn abandon(&mut self, _: Time, _: AttemptId, _: Abandon) {
        self.abandoned += 1;
    }

    fn commit(&mut self, _: Time, _: AttemptId) {}

    fn finish(&mut self, _: Time, _: RequestId, outcome: Outcome) {
        let served = u64::from(matches!(outcome, Outcome::Serve(..)));
        self.served += served;
        self.unserved += 1 - served;
    }

    fn observe(&mut self, _: Time, _: Observation) {}
}

#[test]
fn figures_of_a_real_router_agree_with_books_kept_on_the_side() {
    let config = Arc::new(sample::config(&[
        ("chat", &[("a", 7, 0), ("b", 3, 0)]),
        ("backup", &[("c", 1, 0)]),
    ]));
    let router = Router::new(Arc::clone(&config), Seed::from_u64(1), Time::ZERO);
    let mut driver = Driver::new(router, Fold::new(config, sample::frame()));
    let mut world = World { dispatched: vec![0; 3], ..World::default() };
    for sequence in 0..2_000 {
        let group = GroupId::at(usize::from(sequence % 5 == 0));
        let id = RequestId::new(group.index() as u16, sequence, 0);
        let at = Time::ZERO + Span::from_millis(sequence * 100);
        world.send(at, Input::Submit(Request::new(id, group, 10)));
    }
    let mut wakeup: Option<Time> = None;
    loop {
        let next = world.news.first_key_value().map(|(&(at, _), _)| at);
        let (now, input) = match (next, wakeup) {
            (Some(at), Some(wakeup)) if wakeup < at => (wakeup, Input::Tick),
            (Some(at), _) => (at, world.news.pop_first().unwrap().1),
            (None, Some(wakeup)) => (wakeup, Input::Tick),
            (None, None) => break,
        };
        wakeup = driver.step(now, input, &mut world).map(|wakeup| wakeup.at);
    }
    let figures = driver.into_journal().finish(Time::from_secs(600));

    let whole = &figures.whole;
    let dispatched: Vec<u64> = whole.deployments.iter().map(|a| a.dispatched).collect();
    assert_eq!(dispatched, world.dispatched);
    assert_eq!(whole.members.iter().sum::<u64>(), whole.dispatched());
    let over = |a: &crate::Attempts| a.answered + a.failed() + a.abandoned.iter().sum::<u64>();
    assert!(whole.deployments.iter().all(|a| over(a) == a.dispatched), "every attempt ended");
    assert!(world.abandoned > 100, "silence was met");
    assert_eq!(
        whole.deployments.iter().map(|a| a.output_tokens).sum::<u64>(),
        world.tokens,
        "each answer was charged what it told"
    );
    let cost: u128 = whole.deployments.iter().map(|a| a.cost_pico).sum();
    assert_eq!(whole.calls.cost_pico, cost);
    let outcomes = whole.calls.outcomes;
    assert_eq!(outcomes.served, world.served);
    assert_eq!(world.served + world.unserved, 2_000);
    assert_eq!((whole.calls.offered, whole.calls.submissions), (2_000, 2_000));
    // Each further attempt was announced by a failure; some that waited then gave up.
    let tried_again: u64 = whole.calls.tried_again.iter().sum();
    let gave_up: u64 = whole.calls.gave_up.iter().sum();
    assert!(world.again > 100 && world.again <= tried_again, "{} {tried_again}", world.again);
    let failed: u64 = whole.deployments.iter().map(crate::Attempts::failed).sum();
    assert!(tried_again + gave_up >= failed && tried_again <= failed);
    assert_eq!(outcomes.exhausted, gave_up);
    assert!(!figures.rests.is_empty(), "something rested");
}
