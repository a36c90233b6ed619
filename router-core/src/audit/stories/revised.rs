//! Stories of configurations that follow one another.

use super::*;

/// As [`limited`], without `d1`.
pub(super) fn without_d1() -> Spec {
    let mut spec = limited();
    spec.deployments.remove(1);
    spec.groups[0].members.remove(1);
    spec
}

impl Scene {
    fn drains(&mut self, deployment: usize) -> &mut Self {
        let deployment = DeploymentId::at(deployment);
        self.says(Output::Observe(Observation::Drained { deployment }))
    }
}

/// An end that is told. So is the request's: then the router is held to tell the rest, too.
fn tells(scene: &mut Scene, id: u64, to: usize, ms: u64) {
    scene.says(Output::Observe(Observation::Ended {
        attempt: attempt(id, 1),
        group: GroupId::at(0),
        deployment: DeploymentId::at(to),
        end: End::Answered,
        first_token: Some(Span::from_millis(ms)),
        elapsed: Span::from_millis(ms),
        usage: USAGE,
    }));
}

/// A call at `d1`, which is removed under it; `drains` happens at its end.
fn removed_in_flight(drains: impl Fn(&mut Scene)) -> Scene {
    let mut scene = Scene::new(&limited());
    scene.begins(1, 1).at(1).revises(&without_d1());
    scene.at(7).news(1, 1, Upstream::Complete(USAGE)).says(Output::Commit(attempt(1, 1)));
    tells(&mut scene, 1, 1, 7);
    drains(&mut scene);
    let (request, attempt) = (request(1), attempt(1, 1));
    let (group, took) = (GroupId::at(0), Span::from_millis(7));
    let (attempts, first_token, elapsed) = (1, Some(took), took);
    let told = Observation::Closed { request, group, attempts, first_token, elapsed };
    scene.says(Output::Observe(told));
    scene.says(Output::Finish(request, Outcome::Serve(attempt, USAGE)));
    scene
}

#[test]
fn a_call_ends_where_it_began_and_the_removed_deployment_has_drained() {
    nothing_breaks(&mut removed_in_flight(|scene| {
        scene.drains(1);
    }));
}

#[test]
fn that_a_removed_deployment_has_drained_is_told_once() {
    assert_eq!(removed_in_flight(|_| {}).broken(), [Invariant::Removed]);
    let mut twice = removed_in_flight(|scene| {
        scene.drains(1).drains(1);
    });
    assert_eq!(twice.broken(), [Invariant::Removed]);
    let mut early = Scene::new(&limited());
    early.begins(1, 1).at(1).revises(&without_d1()).drains(1).at(2).serves(1, 1);
    assert_eq!(early.broken(), [Invariant::Removed]);
}

#[test]
fn a_failed_call_of_a_removed_deployment_goes_on_elsewhere_and_not_back() {
    let run = |to: usize| {
        let mut scene = Scene::new(&limited());
        scene.begins(1, 1).at(1).revises(&without_d1());
        scene.at(2).fails(1, 1, RESET).goes(1, 2, to, Cause::Retry).at(3).serves(1, 2);
        scene.broken()
    };
    assert_eq!(run(0), []);
    assert_eq!(run(1), [Invariant::Removed]);
}

#[test]
fn a_name_that_returns_is_who_it_was() {
    let mut scene = Scene::new(&limited());
    scene.begins(1, 1).at(1).fails(1, 1, busy(10)).goes(1, 2, 0, Cause::Retry).serves(1, 2);
    scene.at(2_000).revises(&without_d1()).drains(1).at(3_000).revises(&limited());
    scene.at(9_000).begins(2, 1).serves(2, 1);
    assert_eq!(scene.broken(), [Invariant::Survives]);
}

#[test]
fn a_limits_debt_and_an_open_breaker_survive() {
    let mut scene = Scene::new(&limited());
    scene.begins(1, 0).at(1).serves(1, 1).at(5_000).revises(&without_d1()).drains(1);
    scene.at(9_999).begins(2, 0).serves(2, 1);
    assert_eq!(scene.broken(), [Invariant::Survives]);

    let mut scene = Scene::new(&breaking());
    scene.begins(1, 0).fails(1, 1, RESET).goes(1, 2, 1, Cause::Retry).serves(1, 2);
    let mut more = breaking();
    more.deployments.insert(0, DeploymentSpec::new("new".into()));
    scene.at(5_000).revises(&more).at(9_999).begins(2, 0).serves(2, 1);
    assert_eq!(scene.broken(), [Invariant::Survives]);
}

#[test]
fn a_removed_group_takes_nothing_new() {
    let mut fewer = limited();
    fewer.groups.remove(0);
    let run = |fewer: &Spec, serves: bool| {
        let mut scene = Scene::new(&limited());
        scene.revises(fewer).at(1).submit(1);
        if serves {
            scene.goes(1, 1, 3, Cause::Primary).at(2).serves(1, 1);
        } else {
            scene.rejects(1, Rejection::NoDeployment(None));
        }
        scene.broken()
    };
    assert_eq!((run(&fewer, true), run(&fewer, false)), ([Invariant::Removed].into(), [].into()));
    fewer.groups[0].aliases.push("chat".into());
    let refused = [Invariant::WorkConservation].into();
    assert_eq!((run(&fewer, true), run(&fewer, false)), ([].into(), refused), "`backup` is `chat`");
}
