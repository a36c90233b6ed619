//! Ladders, as the auditor sees them.

use std::vec;

use super::*;
use crate::{Cached, Rung, RungSpec};

/// The group `chat` falls back to nobody; below its full answer are a stale one, `backup` and a
/// static text, above it a fresh one.
fn laddered() -> Spec {
    let mut spec = spec();
    spec.groups[0].fallbacks.any.clear();
    spec.groups[0].ladder = vec![
        RungSpec::Fresh,
        RungSpec::Full,
        RungSpec::Stale,
        RungSpec::Group("backup".into()),
        RungSpec::Static,
    ];
    spec
}

/// A static text, though there is somebody who could take it.
pub(super) fn too_low() -> Scene {
    let mut scene = Scene::new(&laddered());
    scene.submit(1).ends(1, Outcome::Static);
    scene
}

const STALE: Outcome = Outcome::Cached { stale: true };
const FRESH: Outcome = Outcome::Cached { stale: false };

impl Scene {
    fn submit_cached(&mut self, id: u64, cached: Cached) -> &mut Self {
        let request = Request::new(request(id), GroupId::at(0), 100);
        self.hears(&Input::Submit(Request { cached, ..request }))
    }

    pub(super) fn ends(&mut self, id: u64, outcome: Outcome) -> &mut Self {
        self.says(Output::Finish(request(id), outcome))
    }

    pub(super) fn steps(&mut self, id: u64, rung: Rung) -> &mut Self {
        let request = request(id);
        self.says(Output::Observe(Observation::Stepped { request, rung }))
    }

    /// Every attempt fails, at each of the three members.
    fn fails_all(&mut self, id: u64) -> &mut Self {
        self.goes(id, 1, 0, Cause::Primary).fails(id, 1, RESET);
        self.goes(id, 2, 1, Cause::Retry).fails(id, 2, RESET);
        let why = GiveUp::Retries;
        self.says(Output::Observe(Observation::GaveUp { request: request(id), why }))
    }
}

/// Two tries in its group, and room for more elsewhere.
fn twice() -> Scene {
    let mut spec = laddered();
    spec.router.attempts = 4;
    spec.groups.iter_mut().for_each(|group| group.retry.most = [1; 6]);
    Scene::new(&spec)
}

#[test]
fn a_cached_answer_is_given_if_the_request_says_that_there_is_one() {
    let run = |cached, outcome| {
        let mut scene = Scene::new(&laddered());
        scene.submit_cached(1, cached).ends(1, outcome).broken()
    };
    assert_eq!(run(Cached::Fresh, FRESH), []);
    assert_eq!(run(Cached::Fresh, STALE), [Invariant::Ladder]);
    assert_eq!(run(Cached::Stale, FRESH), [Invariant::Ladder]);
    assert_eq!(run(Cached::Stale, STALE), [Invariant::Ladder], "somebody could take it");
    assert_eq!(run(Cached::None, FRESH), [Invariant::Ladder]);
    let mut scene = Scene::new(&laddered());
    scene.submit_cached(1, Cached::Fresh).goes(1, 1, 0, Cause::Primary).serves(1, 1);
    assert_eq!(scene.broken(), [Invariant::Ladder], "it asks a provider all the same");
}

#[test]
fn what_fails_goes_down_rung_by_rung() {
    let run = |cached, steps: &dyn Fn(&mut Scene)| {
        let mut scene = twice();
        scene.submit_cached(1, cached).fails_all(1);
        steps(&mut scene);
        scene.broken()
    };
    let backup = Rung::Group(GroupId::at(1));
    let mini = |scene: &mut Scene| {
        scene.steps(1, backup).goes(1, 3, 3, Cause::Degraded).serves(1, 3);
    };
    let stale = |scene: &mut Scene| {
        scene.steps(1, Rung::Stale).ends(1, STALE);
    };
    assert_eq!(run(Cached::Stale, &stale), []);
    assert_eq!(run(Cached::Stale, &mini), [Invariant::Ladder], "past the stale one");
    assert_eq!(run(Cached::None, &mini), []);
    let text = |scene: &mut Scene| {
        scene.steps(1, Rung::Static).ends(1, Outcome::Static);
    };
    assert_eq!(run(Cached::None, &text), [Invariant::Ladder], "past the smaller group");
    let error = |scene: &mut Scene| {
        scene.ends(1, Outcome::Exhaust(RESET));
    };
    assert_eq!(run(Cached::None, &error), [Invariant::Ladder]);
    let all = |scene: &mut Scene| {
        scene.steps(1, backup).goes(1, 3, 3, Cause::Degraded).fails(1, 3, RESET);
        let why = GiveUp::Retries;
        scene.says(Output::Observe(Observation::GaveUp { request: request(1), why }));
        scene.steps(1, Rung::Static).ends(1, Outcome::Static);
    };
    assert_eq!(run(Cached::None, &all), []);
    let misled = |scene: &mut Scene| {
        scene.steps(1, Rung::Static).goes(1, 3, 3, Cause::Degraded).serves(1, 3);
    };
    assert_eq!(run(Cached::None, &misled), [Invariant::ClaimsHold]);
    let misnamed = |scene: &mut Scene| {
        scene.goes(1, 3, 3, Cause::Fallback).serves(1, 3);
    };
    assert_eq!(run(Cached::None, &misnamed), [Invariant::ClaimsHold]);
}

#[test]
fn nobody_goes_down_before_the_full_answer_is_given_up() {
    let mut scene = twice();
    scene.submit_cached(1, Cached::Stale).goes(1, 1, 0, Cause::Primary).fails(1, 1, RESET);
    assert_eq!(scene.ends(1, STALE).broken(), [Invariant::Ladder]);
    let mut scene = twice();
    scene.submit(1).goes(1, 1, 0, Cause::Primary).fails(1, 1, REFUSED);
    let why = GiveUp::Final;
    scene.says(Output::Observe(Observation::GaveUp { request: request(1), why }));
    assert_eq!(scene.ends(1, Outcome::Static).broken(), [Invariant::Ladder], "it is final");
}

#[test]
fn a_deadline_leaves_what_calls_nobody() {
    let run = |outcome| {
        let mut scene = Scene::new(&laddered());
        scene.submit_until(1, Time::from_secs(1)).goes(1, 1, 0, Cause::Primary);
        scene.at(1_000).hears(&Input::Tick);
        scene.says(Output::Abandon(attempt(1, 1), Abandon::Deadline)).ends(1, outcome).broken()
    };
    assert_eq!(run(Outcome::Static), []);
    assert_eq!(run(Outcome::Expire), [Invariant::Ladder]);
    assert_eq!(run(STALE), [Invariant::Ladder]);
}

#[test]
fn whoever_is_out_of_time_on_arrival_is_not_owed_a_rung() {
    let run = |deadline| {
        let mut spec = laddered();
        spec.router.in_flight = 1;
        let mut scene = Scene::new(&spec);
        scene.submit(1).goes(1, 1, 0, Cause::Primary).submit_until(2, deadline);
        scene.ends(2, Outcome::Reject(Rejection::Full)).serves(1, 1).broken()
    };
    assert_eq!(run(Time::ZERO), []);
    assert_eq!(run(Time::from_secs(1)), [Invariant::Ladder]);
}
