//! Stories of those that wait.

use super::*;
use crate::{Order, QueueSpec, Rung, RungSpec};

/// One request of `chat` at a time on its way; `size` may wait for 5 s.
pub(super) fn queueing(size: u32) -> Spec {
    let mut spec = spec();
    spec.router.priorities = ["now".into(), "later".into()].into();
    spec.groups[0].in_flight = Some(1);
    spec.groups[0].queue = Some(QueueSpec::new(size));
    spec
}

impl Scene {
    fn ranks(&mut self, id: u64, priority: u8) -> &mut Self {
        let request = Request::new(request(id), GroupId::at(0), 100);
        self.hears(&Input::Submit(Request { priority, ..request }))
    }

    fn asks(&mut self, id: u64, tags: u64) -> &mut Self {
        let request = Request::new(request(id), GroupId::at(0), 100);
        self.hears(&Input::Submit(Request { tags, ..request }))
    }

    fn comes(&mut self, id: u64, (priority, tags): (u8, u64)) -> &mut Self {
        let request = Request::new(request(id), GroupId::at(0), 100);
        self.hears(&Input::Submit(Request { priority, tags, ..request }))
    }

    pub(super) fn lines_up(&mut self, id: u64, class: u8, ahead: u32) -> &mut Self {
        let (request, group) = (request(id), GroupId::at(0));
        self.says(Output::Observe(Observation::Queued { request, group, class, ahead }))
    }

    pub(super) fn leaves(&mut self, id: u64, class: u8, ms: u64) -> &mut Self {
        let (request, group, waited) = (request(id), GroupId::at(0), Span::from_millis(ms));
        self.says(Output::Observe(Observation::Dequeued { request, group, class, waited }))
    }

    /// It leaves at once when another is served.
    pub(super) fn follows(&mut self, id: u64, class: u8, ms: u64) -> &mut Self {
        self.leaves(id, class, ms).goes(id, 1, 0, Cause::Primary).serves(id, 1)
    }
}

const fn ms(ms: u64) -> Time {
    Time::from_nanos(ms * 1_000_000)
}

#[test]
fn who_waits_goes_in_order_when_another_is_served() {
    let run = |order: Order, then: &dyn Fn(&mut Scene)| {
        let mut spec = queueing(3);
        spec.groups[0].queue.as_mut().unwrap().order = order;
        let mut scene = Scene::new(&spec);
        scene.begins(1, 0).submit_until(2, ms(90_000)).lines_up(2, 0, 0);
        scene.submit_until(3, ms(80_000)).lines_up(3, 0, 1).at(1_000).serves(1, 1);
        then(&mut scene);
        scene.broken()
    };
    let first = |scene: &mut Scene| _ = scene.follows(2, 0, 1_000).follows(3, 0, 1_000);
    let last = |scene: &mut Scene| _ = scene.follows(3, 0, 1_000).follows(2, 0, 1_000);
    for (order, right, wrong) in [
        (Order::Fifo, &first as &dyn Fn(&mut Scene), &last as &dyn Fn(&mut Scene)),
        (Order::Lifo, &last, &first),
        (Order::Deadline, &last, &first),
    ] {
        assert_eq!(run(order, right), [], "{order:?}");
        assert_eq!(run(order, wrong), [Invariant::QueueOrder], "{order:?}");
    }
}

#[test]
fn the_more_urgent_goes_first_and_takes_the_place_of_another() {
    let full = |id: u64| {
        let mut scene = Scene::new(&queueing(2));
        scene.begins(1, 0).ranks(2, 1).lines_up(2, 1, 0).ranks(3, 1).lines_up(3, 1, 1);
        scene.ranks(4, 0).rejects(id, Rejection::Shed(ms(0)));
        scene
    };
    let mut scene = full(3);
    scene.lines_up(4, 0, 0).at(1).serves(1, 1).follows(4, 0, 1).follows(2, 1, 1);
    nothing_breaks(&mut scene);
    let mut scene = full(3);
    scene.lines_up(4, 0, 0).at(1).serves(1, 1).follows(2, 1, 1).follows(4, 0, 1);
    assert_eq!(scene.broken(), [Invariant::QueueOrder]);
    let mut scene = full(2);
    scene.lines_up(4, 0, 0).at(1).serves(1, 1).follows(4, 0, 1).follows(3, 1, 1);
    assert_eq!(scene.broken(), [Invariant::WorkConservation], "another came last");
}

#[test]
fn a_newcomer_waits_only_for_those_that_it_may_not_overtake() {
    const BLUE: u64 = 1;
    // `d0` is for who asks for it, `d1` for all others; one call at a time each.
    let mut spec = queueing(3);
    (spec.groups[0].in_flight, spec.groups[0].queue) = (None, Some(QueueSpec::new(3)));
    spec.groups[0].members.truncate(2);
    spec.groups[0].fallbacks.any.clear();
    for (index, tag) in [(0, "blue"), (1, "default")] {
        let limit = LimitSpec { parallel: Some(1), ..LimitSpec::default() };
        spec.deployments[index].limit = Some(limit);
        spec.deployments[index].tags = [tag.into()].into();
    }
    let run = |first: (u8, u64), next: (u8, u64), waits: bool| {
        let (home, free) = if first.1 == BLUE { (0, 1) } else { (1, 0) };
        let mut scene = Scene::new(&spec);
        scene.comes(1, (0, first.1)).goes(1, 1, home, Cause::Primary);
        scene.comes(2, first).lines_up(2, first.0, 0).comes(3, next);
        if waits {
            scene.lines_up(3, next.0, u32::from(first.0 <= next.0));
        } else {
            scene.goes(3, 1, free, Cause::Primary).at(1).serves(3, 1);
        }
        scene.at(1).serves(1, 1).leaves(2, first.0, 1).goes(2, 1, home, Cause::Primary);
        if waits {
            scene.leaves(3, next.0, 1).goes(3, 1, free, Cause::Primary).serves(3, 1);
        }
        scene.serves(2, 1).broken()
    };
    let idle = [Invariant::WorkConservation];
    for (first, next) in [((1, 0), (0, BLUE)), ((1, BLUE), (1, 0)), ((0, BLUE), (1, 0))] {
        assert_eq!(run(first, next, false), [], "{next:?} after {first:?}");
        assert!(run(first, next, true).starts_with(&idle), "{next:?} after {first:?}");
    }
    for (first, next) in [((1, 0), (1, BLUE)), ((0, 0), (1, BLUE))] {
        assert_eq!(run(first, next, true), [], "{next:?} after {first:?}");
        assert_eq!(run(first, next, false), [Invariant::QueueOrder], "{next:?} after {first:?}");
    }
}

#[test]
fn a_newcomer_that_made_somebody_leave_had_to_wait_for_it() {
    let mut spec = queueing(1);
    spec.groups[0].in_flight = None;
    spec.groups[0].queue.as_mut().unwrap().order = Order::Lifo;
    spec.groups[0].members.truncate(1);
    spec.groups[0].fallbacks.any.clear();
    let rate = Rate { amount: 1_000, period: Span::from_secs(10), burst: None };
    let limit = LimitSpec { input_tokens: Some(rate), ..LimitSpec::default() };
    spec.deployments[0].limit = Some(limit);
    let mut scene = Scene::new(&spec);
    let large = Request::new(request(2), GroupId::at(0), 950);
    scene.begins(1, 0).hears(&Input::Submit(large)).lines_up(2, 0, 0);
    scene.submit(3).rejects(2, Rejection::Shed(ms(0))).lines_up(3, 0, 0);
    scene.leaves(3, 0, 0).goes(3, 1, 0, Cause::Primary).serves(3, 1).serves(1, 1);
    nothing_breaks(&mut scene);
    // With nobody there before it, it might have gone at once.
    let mut scene = Scene::new(&spec);
    scene.begins(1, 0).submit(3).lines_up(3, 0, 0);
    scene.leaves(3, 0, 0).goes(3, 1, 0, Cause::Primary).serves(3, 1).serves(1, 1);
    assert_eq!(scene.broken(), [Invariant::WorkConservation]);
}

#[test]
fn who_has_become_hopeless_is_refused_at_once() {
    let mut spec = queueing(2);
    spec.groups[0].in_flight = None;
    spec.groups[0].members.truncate(1);
    spec.groups[0].fallbacks.any.clear();
    let limit = LimitSpec { parallel: Some(1), ..LimitSpec::default() };
    spec.deployments[0].limit = Some(limit);
    let mut short = spec.clone();
    short.deployments[0].context = Some(99);
    let run = |refused: bool| {
        let mut scene = Scene::new(&spec);
        scene.begins(1, 0).submit(2).lines_up(2, 0, 0).at(1).revises(&short);
        if refused {
            scene.rejects(2, Rejection::TooLong).serves(1, 1);
        } else {
            scene.serves(1, 1).at(5_000).hears(&Input::Tick);
            scene.rejects(2, Rejection::QueueTimeout(scene.now));
        }
        scene.broken()
    };
    assert_eq!(run(true), []);
    assert_eq!(run(false), [Invariant::WorkConservation]);
}

#[test]
fn nobody_is_turned_away_from_a_queue_that_has_room() {
    let run = |waiting: u64, why: Rejection| {
        let mut scene = Scene::new(&queueing(2));
        scene.begins(1, 0);
        for id in 0..waiting {
            scene.submit(10 + id).lines_up(10 + id, 0, id as u32);
        }
        scene.submit(2).rejects(2, why).at(1).serves(1, 1);
        (0..waiting).for_each(|id| _ = scene.follows(10 + id, 0, 1));
        scene.broken()
    };
    let wrong = [Invariant::WorkConservation];
    assert_eq!(run(2, Rejection::QueueFull(ms(0))), []);
    assert_eq!(run(1, Rejection::QueueFull(ms(0))), wrong);
    assert_eq!(run(2, Rejection::GroupFull), wrong);
    assert_eq!(run(2, Rejection::NoDeployment(Some(ms(0)))), wrong);
    assert_eq!(run(2, Rejection::Shed(ms(0))), wrong);
}

#[test]
fn a_wait_ends_neither_early_nor_late() {
    let run = |at: u64, then: &dyn Fn(&mut Scene)| {
        let mut scene = Scene::new(&queueing(2));
        scene.begins(1, 0).news(1, 1, Upstream::FirstToken).says(Output::Commit(attempt(1, 1)));
        scene.submit(2).lines_up(2, 0, 0).at(at).hears(&Input::Tick);
        then(&mut scene);
        scene.serves(1, 1).broken()
    };
    let ends = |scene: &mut Scene| _ = scene.rejects(2, Rejection::QueueTimeout(scene.now));
    let waits = |scene: &mut Scene| _ = scene.at(6_000);
    assert_eq!(run(5_000, &ends), []);
    assert_eq!(run(4_999, &ends), [Invariant::TimeMonotone]);
    assert!(run(5_000, &waits).contains(&Invariant::Punctual));
}

#[test]
fn nobody_waits_whom_somebody_could_take_nor_goes_where_nobody_may() {
    let mut scene = Scene::new(&queueing(2));
    scene.begins(1, 0).submit(2).lines_up(2, 0, 0).at(1).serves(1, 1).at(2).hears(&Input::Tick);
    scene.leaves(2, 0, 2).goes(2, 1, 0, Cause::Primary).serves(2, 1);
    assert_eq!(scene.broken(), [Invariant::WorkConservation]);
    let mut scene = Scene::new(&queueing(2));
    scene.submit(1).lines_up(1, 0, 0).at(1).hears(&Input::Tick).follows(1, 0, 1);
    assert_eq!(scene.broken(), [Invariant::WorkConservation]);
    let mut scene = Scene::new(&queueing(2));
    scene.begins(1, 0).begins(2, 0).serves(1, 1).serves(2, 1);
    assert_eq!(scene.broken(), [Invariant::Parallel]);
    // A newcomer goes before somebody who waits.
    let mut scene = Scene::new(&queueing(2));
    scene.begins(1, 0).submit(2).lines_up(2, 0, 0).at(1).serves(1, 1).begins(3, 0).serves(3, 1);
    scene.follows(2, 0, 1);
    let broken = scene.broken();
    assert!(broken.contains(&Invariant::QueueOrder), "{broken:?}");
}

#[test]
fn subjects_take_turns_by_their_weights() {
    let run = |weight: u32, order: [u64; 8]| {
        let mut spec = queueing(8);
        let subject = |name: &str| SubjectSpec::new("org".into(), Some(name.into()));
        spec.subjects = [SubjectSpec { weight, ..subject("large") }, subject("small")].into();
        spec.groups[0].queue.as_mut().unwrap().fair = Some("org".into());
        let mut scene = Scene::new(&spec);
        scene.begins(1, 0);
        for (ahead, id) in [11, 12, 13, 14, 15, 21, 22, 23].into_iter().enumerate() {
            scene.submit_for(id, (id / 10) as u32).lines_up(id, 0, ahead as u32);
        }
        scene.at(1).serves(1, 1);
        order.iter().for_each(|id| _ = scene.follows(*id, 0, 1));
        scene.broken()
    };
    // A third of a turn is rounded down, so that the third such turn is before the whole one.
    let right = [
        (1, [11, 21, 12, 22, 13, 23, 14, 15]),
        (2, [11, 21, 12, 22, 13, 14, 23, 15]),
        (3, [11, 21, 12, 13, 14, 22, 15, 23]),
    ];
    for (weight, order) in right {
        assert_eq!(run(weight, order), [], "{weight}");
        for (_, other) in right.into_iter().filter(|(other, _)| *other != weight) {
            assert_eq!(run(weight, other), [Invariant::QueueOrder], "{weight}: {other:?}");
        }
    }
}

#[test]
fn only_those_that_ask_for_something_may_be_overtaken() {
    let run = |then: &dyn Fn(&mut Scene)| {
        let mut spec = queueing(3);
        spec.groups[0].in_flight = None;
        for (name, parallel) in [(0, 1), (1, 2), (2, 1), (3, 1)] {
            let limit = LimitSpec { parallel: Some(parallel), ..LimitSpec::default() };
            spec.deployments[name].limit = Some(limit);
        }
        spec.deployments[0].tags = ["blue".into()].into();
        spec.groups[0].members.truncate(2);
        spec.groups[0].fallbacks.any.clear();
        let mut scene = Scene::new(&spec);
        // `d0` is busy, and so is `d1` twice.
        scene.begins(1, 0).begins(2, 1).begins(3, 1);
        scene.asks(4, 1).lines_up(4, 0, 0).submit(5).lines_up(5, 0, 1).at(1).serves(2, 1);
        then(&mut scene);
        scene.broken()
    };
    let overtakes = |scene: &mut Scene| {
        scene.leaves(5, 0, 1).goes(5, 1, 1, Cause::Primary).serves(5, 1).serves(1, 1);
        scene.follows(4, 0, 1).serves(3, 1);
    };
    assert_eq!(run(&overtakes), []);
    let idles = |scene: &mut Scene| {
        scene.serves(1, 1).follows(4, 0, 1).leaves(5, 0, 1).goes(5, 1, 1, Cause::Primary);
        scene.serves(5, 1).serves(3, 1);
    };
    assert_eq!(run(&idles), [Invariant::WorkConservation]);
}

#[test]
fn who_waits_lines_up_anew_and_the_last_leave_a_smaller_queue() {
    let run = |next: &Spec, then: &dyn Fn(&mut Scene)| {
        let mut scene = Scene::new(&queueing(3));
        scene.begins(1, 0).submit(2).lines_up(2, 0, 0).at(1).ranks(3, 1).lines_up(3, 1, 1);
        scene.at(2).submit(4).lines_up(4, 0, 1).at(1_000).revises(next);
        then(&mut scene);
        scene.broken()
    };
    let goes = |order: [u64; 3]| {
        move |scene: &mut Scene| {
            scene.serves(1, 1);
            order.iter().for_each(|id| {
                _ = scene.follows(*id, u8::from(*id == 3), 1_000 - [0, 1, 2][*id as usize - 2]);
            });
        }
    };
    let mut other = queueing(3);
    other.groups[0].queue.as_mut().unwrap().order = Order::Lifo;
    assert_eq!(run(&other, &goes([4, 2, 3])), []);
    assert_eq!(run(&other, &goes([2, 4, 3])), [Invariant::QueueOrder]);
    // The classes trade places, and so do those in them.
    let mut other = queueing(3);
    other.router.priorities.reverse();
    let turned = |scene: &mut Scene| {
        scene.serves(1, 1).follows(3, 0, 999).follows(2, 1, 1_000).follows(4, 1, 998);
    };
    assert_eq!(run(&other, &turned), []);
    assert!(run(&other, &goes([2, 4, 3])).contains(&Invariant::QueueOrder));

    let leave = |ids: &'static [u64]| {
        move |scene: &mut Scene| {
            for id in ids {
                scene.rejects(*id, Rejection::QueueFull(scene.now));
            }
            scene.serves(1, 1);
            for (id, class, ms) in [(2, 0, 1_000), (4, 0, 998), (3, 1, 999)] {
                if !ids.contains(&id) {
                    scene.follows(id, class, ms);
                }
            }
        }
    };
    assert_eq!(run(&queueing(2), &leave(&[3])), []);
    assert_eq!(run(&queueing(2), &leave(&[4])), [Invariant::WorkConservation], "not the last");
    assert_eq!(run(&queueing(2), &leave(&[3, 4])), [Invariant::WorkConservation], "one is enough");
    assert_eq!(run(&queueing(2), &leave(&[])), [Invariant::QueueBound]);
    assert_eq!(run(&queueing(3), &leave(&[3])), [Invariant::WorkConservation]);
    let mut none = queueing(3);
    none.groups[0].queue = None;
    assert_eq!(run(&none, &leave(&[3, 4, 2])), []);
    assert!(run(&none, &leave(&[3, 4])).contains(&Invariant::QueueBound));
}

#[test]
fn nobody_is_refused_by_a_revision_that_lets_it_go() {
    let mut wider = queueing(1);
    wider.groups[0].in_flight = Some(2);
    let run = |then: &dyn Fn(&mut Scene)| {
        let mut scene = Scene::new(&queueing(2));
        scene.begins(1, 0).submit(2).lines_up(2, 0, 0).submit(3).lines_up(3, 0, 1);
        scene.at(1).revises(&wider);
        then(&mut scene);
        scene.serves(1, 1).broken()
    };
    let right = |scene: &mut Scene| {
        scene.leaves(2, 0, 1).goes(2, 1, 1, Cause::Primary).serves(2, 1);
        scene.leaves(3, 0, 1).goes(3, 1, 1, Cause::Primary).serves(3, 1);
    };
    assert_eq!(run(&right), []);
    let wrong = |scene: &mut Scene| {
        scene.rejects(3, Rejection::QueueFull(ms(1)));
        scene.leaves(2, 0, 1).goes(2, 1, 1, Cause::Primary).serves(2, 1);
    };
    assert_eq!(run(&wrong), [Invariant::WorkConservation]);
}

/// Below its full answer `chat` has `backup`, which is no fallback of it, and a static text.
fn laddered(size: u32) -> Spec {
    let mut spec = queueing(size);
    spec.groups[0].fallbacks.any.clear();
    let mini = RungSpec::Group("backup".into());
    spec.groups[0].ladder = [RungSpec::Full, mini, RungSpec::Static].into();
    spec
}

#[test]
fn who_has_a_place_to_wait_steps_down_only_when_the_wait_is_over() {
    let run = |at: u64, then: &dyn Fn(&mut Scene)| {
        let mut scene = Scene::new(&laddered(2));
        scene.begins(1, 0).news(1, 1, Upstream::FirstToken).says(Output::Commit(attempt(1, 1)));
        scene.submit(2).lines_up(2, 0, 0).at(at).hears(&Input::Tick);
        then(&mut scene);
        scene.serves(1, 1).broken()
    };
    let ends = |scene: &mut Scene| _ = scene.steps(2, Rung::Static).ends(2, Outcome::Static);
    let fails = |scene: &mut Scene| _ = scene.rejects(2, Rejection::QueueTimeout(scene.now));
    let visits = |scene: &mut Scene| {
        let mini = Rung::Group(GroupId::at(1));
        scene.steps(2, mini).goes(2, 1, 3, Cause::Degraded).serves(2, 1);
    };
    assert_eq!(run(5_000, &ends), []);
    assert_eq!(run(4_000, &ends), [Invariant::Ladder]);
    assert_eq!(run(5_000, &fails), [Invariant::Ladder], "there is a text for it");
    // Its group is full, so it may start nowhere.
    assert!(!run(5_000, &visits).is_empty());
}

#[test]
fn who_finds_the_queue_full_steps_down_and_so_does_who_makes_room() {
    let run = |waiting: u64, then: &dyn Fn(&mut Scene)| {
        let mut scene = Scene::new(&laddered(2));
        scene.begins(1, 0);
        for id in 0..waiting {
            scene.ranks(10 + id, 1).lines_up(10 + id, 1, id as u32);
        }
        then(&mut scene);
        scene.at(1).serves(1, 1);
        for (id, class) in [(2, 0), (10, 1), (11, 1)] {
            if scene.auditor.flights.contains_key(&request(id)) {
                scene.follows(id, class, 1);
            }
        }
        scene.broken()
    };
    let text = |id: u64| {
        move |scene: &mut Scene| {
            _ = scene.ranks(2, 1).steps(id, Rung::Static).ends(id, Outcome::Static)
        }
    };
    assert_eq!(run(2, &text(2)), []);
    assert_eq!(run(1, &text(2)), [Invariant::Ladder], "there is room to wait");
    let urgent = |id: u64| {
        move |scene: &mut Scene| {
            scene.ranks(2, 0).steps(id, Rung::Static).ends(id, Outcome::Static).lines_up(2, 0, 0);
        }
    };
    assert_eq!(run(2, &urgent(11)), []);
    assert_eq!(run(2, &urgent(10)), [Invariant::Ladder], "another came last");
}
