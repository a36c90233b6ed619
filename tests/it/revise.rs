//! Configurations that follow one another while requests are in flight.

use std::sync::Arc;

use proptest::prelude::*;
use router_core::{
    BreakerSpec, BreakerWindow, Cause, Config, DeploymentId, DeploymentSpec, FailureKind, GroupId,
    GroupSpec, Input, LimitSpec, MemberSpec, Observation, Order, Outcome, Output, Problem,
    QueueSpec, Rate, Rejection, Request, RequestId, Router, Seed, Span, Spec, Strategy,
};
use tests::revisions::{reloads, with_a_stranger};
use tests::stage::{Stage, ms, retry_after, sent, spec, spec_with_backup};
use tests::world::{settings, swarm};

/// `spec` takes effect.
fn revise(stage: &mut Stage, at: u64, spec: &Spec) -> Vec<Output> {
    let next = stage.router.config().revise(spec).expect("it is valid");
    stage.feed(ms(at), Input::Reconfigure(Arc::new(next)))
}

fn without(spec: &Spec, name: &str) -> Spec {
    let mut spec = spec.clone();
    spec.deployments.retain(|deployment| deployment.name != name);
    spec.groups.iter_mut().for_each(|group| group.members.retain(|m| m.deployment != name));
    spec
}

fn with(spec: &Spec, name: &str) -> Spec {
    let mut spec = spec.clone();
    spec.deployments.insert(0, DeploymentSpec::new(name.into()));
    let member = MemberSpec { deployment: name.into(), weight: 1, tier: 0 };
    spec.groups[0].members.insert(0, member);
    spec
}

fn drained(deployment: usize) -> Output {
    Output::Observe(Observation::Drained { deployment: DeploymentId::at(deployment) })
}

#[test]
fn names_keep_their_numbers_whatever_the_order_of_the_file() {
    let mut first = spec_with_backup(&[1, 1]);
    let own = LimitSpec { parallel: Some(3), ..LimitSpec::default() };
    first.deployments[1].limit = Some(own.clone());
    first.deployments[0].tags = vec!["m".into()];
    let first_config = Config::new(&first).expect("it is valid");
    let mut next = with(&without(&first, "d0"), "new");
    next.deployments[0].limit = Some(own);
    next.deployments[0].tags = vec!["a".into(), "z".into()];
    next.groups.reverse();
    let config = first_config.revise(&next).expect("it is valid");
    assert!(first_config.fits(&config) && !config.fits(&first_config));
    let names: Vec<&str> = config.deployments().iter().map(|d| d.name.as_str()).collect();
    assert_eq!(names, ["d0", "d1", "spare", "new"]);
    let removed: Vec<bool> = config.deployments().iter().map(|d| d.removed).collect();
    assert_eq!(removed, [true, false, false, false]);
    assert_eq!(config.deployment_named("d0"), None);
    let limits: Vec<&str> = config.limits().iter().map(|limit| limit.name.as_str()).collect();
    assert_eq!(limits, ["d1", "new"]);
    assert_eq!(config.tags(), ["m", "a", "z"]);
    assert_eq!(config.deployments()[3].tags, 0b110);
    let chat = config.group(config.group_named("chat").expect("it is there"));
    let members: Vec<usize> = chat.members.iter().map(|m| m.deployment.index()).collect();
    assert_eq!((members, chat.present), (vec![0, 1, 3], 0b110));
    assert_eq!(config.group_named("chat"), Some(GroupId::at(0)), "as it was");
    assert_eq!(chat.fallbacks[0], [GroupId::at(1)]);
    // It returns, and is who it was.
    let back = config.revise(&first).expect("it is valid");
    assert_eq!(back.deployment_named("d0"), Some(DeploymentId::at(0)));
    assert_eq!(back.deployment_named("new"), None);
    assert_eq!(back.groups()[0].present, 0b011);
}

#[test]
fn what_does_not_fit_beside_the_removed_ones_is_refused_with_what_to_do() {
    let full = Config::new(&spec(&[1; 64])).expect("it is valid");
    let mut other = without(&spec(&[1; 64]), "d7");
    other = with(&other, "one-more");
    let errors = full.revise(&other).expect_err("there are 65 with the removed one");
    let (what, count, removed, most) = ("members", 65, 1, 64);
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0].problem, Problem::Crowded { what, count, removed, most });
    assert_eq!(
        errors[0].to_string(),
        "group.chat.members: would have 65 members with the 1 that were removed while the router \
         ran; at most 64 are kept, and a router that is started anew with this file forgets the \
         removed ones"
    );
    assert!(Config::new(&other).is_ok());
    let mistakes = full.revise(&spec(&[0])).expect_err("it is wrong of itself");
    assert!(mistakes.iter().any(|mistake| mistake.problem == Problem::NoWeight));
}

#[test]
fn a_removed_deployment_finishes_what_it_has_and_gets_nothing_new() {
    let mut stage = Stage::new(&spec(&[1, 0]));
    stage.submit(ms(0), 1);
    stage.submit(ms(0), 2);
    assert_eq!(revise(&mut stage, 1, &without(&with(&spec(&[1, 0]), "new"), "d0")), []);
    for n in 10..50 {
        assert_eq!(sent(&stage.submit(ms(2), n)), Some((2, Cause::Primary)));
    }
    let ended = stage.complete(ms(3), 1, 1, 1);
    assert!(matches!(stage.outcome(1), Some((_, Outcome::Serve(..)))));
    assert!(!ended.contains(&drained(0)), "another is in flight");
    let ended = stage.crash(ms(4), 2, 1);
    assert!(ended.contains(&drained(0)));
    assert_eq!(sent(&ended), Some((2, Cause::Retry)), "not where it was");
    // Without calls it has drained at once, and each removal is told of once.
    let out = revise(&mut stage, 5, &without(&spec(&[1, 0]), "d1"));
    assert_eq!(out, [drained(1)], "and `new` has forty calls");
    assert_eq!(revise(&mut stage, 6, &without(&spec(&[1, 0]), "d1")), []);
}

#[test]
fn rests_debts_and_open_breakers_outlive_a_revision_and_an_absence() {
    let mut guarded = spec(&[1, 1]);
    let rate = Rate { amount: 1, period: Span::from_secs(60), burst: None };
    guarded.deployments[0].limit = Some(LimitSpec { requests: Some(rate), ..LimitSpec::default() });
    guarded.groups[0].breaker = Some(BreakerSpec { consecutive: 1, ..BreakerSpec::default() });
    let mut stage = Stage::new(&guarded);
    // One of them rests for 50 s; the other has the request after it.
    let (first, _) = sent(&stage.submit(ms(0), 1)).expect("somebody is there");
    stage.fail(ms(0), 1, 1, retry_after(FailureKind::RateLimit, 429, 50));
    stage.complete(ms(0), 1, 2, 1);
    stage.submit(ms(0), 2);
    let rests = format!("d{first}");
    revise(&mut stage, 1, &with(&guarded, "new"));
    revise(&mut stage, 2, &without(&with(&guarded, "new"), &rests));
    revise(&mut stage, 3, &without(&guarded, "new"));
    for n in 10..40 {
        let to = sent(&stage.submit(ms(49_999), n));
        assert!(to.is_none_or(|(to, _)| to != first), "it rests still, and {to:?}");
    }
    let debt = stage.router.snapshot();
    assert!(debt.contains("limit 60000000000"), "the one request of the minute is spent:\n{debt}");

    let mut stage = Stage::new(&guarded);
    let (open, _) = sent(&stage.submit(ms(0), 1)).expect("somebody is there");
    stage.crash(ms(0), 1, 1);
    let mut other = with(&guarded, "new");
    let breaker = other.groups[0].breaker.as_mut().expect("it has one");
    breaker.window = BreakerWindow::Calls(50);
    revise(&mut stage, 1, &other);
    for n in 10..40 {
        let to = sent(&stage.submit(ms(9_999), n)).map(|(to, _)| to);
        assert_ne!(to, Some(open), "a window of another length does not close it");
    }
}

#[test]
fn calls_in_flight_count_at_once_where_a_limit_now_covers_them() {
    let mut stage = Stage::new(&spec(&[1]));
    stage.submit(ms(0), 1);
    stage.submit(ms(0), 2);
    let mut limited = spec(&[1]);
    limited.limits.push(("org".into(), LimitSpec { parallel: Some(3), ..LimitSpec::default() }));
    limited.deployments[0].shared.push("org".into());
    revise(&mut stage, 1, &limited);
    assert!(sent(&stage.submit(ms(2), 3)).is_some());
    assert!(sent(&stage.submit(ms(2), 4)).is_none(), "three are in flight");
    stage.complete(ms(3), 1, 1, 1);
    assert!(sent(&stage.submit(ms(4), 5)).is_some());
    revise(&mut stage, 5, &spec(&[1]));
    for n in 6..20 {
        assert!(sent(&stage.submit(ms(6), n)).is_some(), "nothing is limited any more");
    }
    revise(&mut stage, 7, &limited);
    for (n, at) in [2, 3].into_iter().chain(5..20).zip(8..) {
        stage.complete(ms(at), n, 1, 1);
    }
    assert!(sent(&stage.submit(ms(40), 40)).is_some());
}

#[test]
fn of_fewer_keys_the_first_ones_are_used() {
    let mut two = spec(&[1]);
    two.deployments[0].keys = 2;
    let mut stage = Stage::new(&two);
    let keys = |stage: &Stage| -> Vec<u8> {
        stage.dispatches().iter().map(|(_, dispatch)| dispatch.key).collect()
    };
    stage.submit(ms(0), 1);
    stage.submit(ms(0), 2);
    revise(&mut stage, 1, &spec(&[1]));
    stage.submit(ms(2), 3);
    // What is known of the other outlives a snapshot, and its call ends.
    let config = Arc::clone(stage.router.config());
    let text = stage.router.snapshot();
    let back = Router::restore(config, Seed::from_u64(7), &text).expect("it was just written");
    assert_eq!(back.snapshot(), text);
    stage.router = back;
    stage.complete(ms(3), 2, 1, 1);
    revise(&mut stage, 4, &two);
    stage.submit(ms(5), 4);
    assert_eq!(keys(&stage), [0, 1, 0, 1]);
}

#[test]
fn a_snapshot_is_read_under_the_revision_it_was_taken_under_only() {
    let mut stage = Stage::new(&spec(&[1, 1]));
    revise(&mut stage, 1, &without(&spec(&[1, 1]), "d0"));
    let text = stage.router.snapshot();
    let alone = Config::new(&without(&spec(&[1, 1]), "d0")).expect("it is valid");
    let error = Router::restore(Arc::new(alone), Seed::from_u64(7), &text).expect_err("it differs");
    assert_eq!(
        error.to_string(),
        "snapshot, line 2: expected the fingerprint of the configuration that is given"
    );
}

#[test]
fn a_removed_groups_requests_go_where_its_name_leads_now() {
    let both = spec_with_backup(&[1]);
    let mut stage = Stage::new(&both);
    stage.submit(ms(0), 1);
    stage.submit(ms(0), 2);
    let mut fewer = both.clone();
    fewer.groups.remove(0);
    revise(&mut stage, 1, &fewer);
    let submit = |stage: &mut Stage, at: u64, n: u64| {
        let request = Request::new(RequestId::new(0, n, 0), GroupId::at(0), 100);
        stage.feed(ms(at), Input::Submit(request))
    };
    submit(&mut stage, 2, 10);
    assert_eq!(
        stage.outcome(10).map(|(_, outcome)| outcome),
        Some(Outcome::Reject(Rejection::NoDeployment(None))),
    );
    // What is in flight goes on: at its own members, then along its fallbacks.
    let retried = stage.crash(ms(3), 1, 1);
    assert!(sent(&retried).is_some_and(|(to, _)| to == 1), "{retried:?}");
    fewer.groups[0].aliases.push("ch*".into());
    revise(&mut stage, 4, &fewer);
    assert_eq!(sent(&submit(&mut stage, 5, 11)), Some((1, Cause::Primary)));
    assert_eq!(stage.router.config().route("chat"), Some(GroupId::at(1)));
    // It returns.
    revise(&mut stage, 6, &both);
    assert_eq!(sent(&submit(&mut stage, 7, 12)), Some((0, Cause::Primary)));
}

#[test]
fn fewer_may_be_in_flight_and_more() {
    let mut few = spec(&[1]);
    few.router.in_flight = 2;
    let mut stage = Stage::new(&few);
    let full = |stage: &mut Stage, at: u64, n: u64| sent(&stage.submit(ms(at), n)).is_none();
    assert_eq!([1, 2, 3].map(|n| full(&mut stage, 0, n)), [false, false, true]);
    few.router.in_flight = 100;
    revise(&mut stage, 1, &few);
    assert!((10..108).all(|n| !full(&mut stage, 2, n)) && full(&mut stage, 2, 200));
    few.router.in_flight = 50;
    revise(&mut stage, 3, &few);
    assert!(full(&mut stage, 4, 300));
    let text = stage.router.snapshot();
    let config = Arc::clone(stage.router.config());
    let back = Router::restore(config, Seed::from_u64(7), &text).expect("all hundred fit");
    assert_eq!(back.in_flight(), 100);
    for n in 10..61 {
        stage.complete(ms(5), n, 1, 1);
    }
    assert!(!full(&mut stage, 6, 400));
}

#[test]
fn a_group_with_a_new_member_owes_nobody_anything_and_others_do() {
    let mut two = spec_with_backup(&[1, 1]);
    two.groups.push(GroupSpec { name: "other".into(), ..two.groups[0].clone() });
    for group in &mut two.groups {
        group.strategy = Strategy::Weighted { catch_up: true };
    }
    let mut stage = Stage::new(&two);
    for n in 1..4 {
        let other = stage.router.config().group_named("other").expect("it is there");
        stage.submit(ms(0), 2 * n);
        stage.submit_with(ms(0), 2 * n + 1, |request| request.group = other);
    }
    let credits = |stage: &Stage| -> Vec<String> {
        let text = stage.router.snapshot();
        let lines = text.lines().filter(|line| line.starts_with("credits"));
        lines.filter_map(|line| line.split(' ').nth(1).map(str::to_owned)).collect()
    };
    assert_eq!(credits(&stage), ["0", "2"]);
    revise(&mut stage, 1, &with(&two, "new"));
    assert_eq!(credits(&stage), ["2"]);
}

/// One request of `chat` at a time on its way, the others wait.
fn queueing(queue: Option<QueueSpec>) -> Spec {
    let mut spec = spec(&[1]);
    spec.router.priorities = vec!["now".into(), "later".into()];
    spec.groups[0].in_flight = Some(1);
    spec.groups[0].queue = queue;
    spec
}

/// Request 1 is on its way, 2 to 5 wait, 3 of them behind the others.
fn waiting() -> Stage {
    let mut stage = Stage::new(&queueing(Some(QueueSpec::new(4))));
    for n in 1..=5 {
        stage.submit_with(ms(n), n, |request| request.priority = u8::from(n == 3));
    }
    assert_eq!(stage.dispatches().len(), 1);
    stage
}

/// Who goes when, each served at once.
fn served(stage: &mut Stage) -> Vec<u64> {
    let mut served = Vec::new();
    while let Some((_, dispatch)) = stage.dispatches().get(served.len()) {
        let n = dispatch.attempt.request.sequence();
        stage.complete(ms(20 + n), n, 1, 1);
        served.push(n);
    }
    served
}

#[test]
fn who_waits_lines_up_as_the_new_file_says() {
    let mut other = QueueSpec::new(8);
    other.order = Order::Lifo;
    for (file, order) in [
        (queueing(Some(QueueSpec::new(4))), [1, 2, 4, 5, 3]),
        (queueing(Some(other)), [1, 5, 4, 2, 3]),
        (without_class(queueing(Some(QueueSpec::new(4)))), [1, 2, 3, 4, 5]),
    ] {
        let mut stage = waiting();
        assert_eq!(revise(&mut stage, 10, &file), []);
        assert_eq!(served(&mut stage), order);
    }
}

fn without_class(mut spec: Spec) -> Spec {
    spec.router.priorities.pop();
    spec
}

#[test]
fn of_a_smaller_queue_the_last_are_refused_and_of_none_whoever_cannot_go() {
    let refused = |outputs: &[Output]| -> Vec<u64> {
        let refused = |output: &Output| match output {
            Output::Finish(id, Outcome::Reject(Rejection::QueueFull(at))) => {
                assert!(*at >= ms(10));
                Some(id.sequence())
            }
            Output::Finish(..)
            | Output::Dispatch(_)
            | Output::Abandon(..)
            | Output::Commit(_)
            | Output::Observe(_) => None,
        };
        outputs.iter().filter_map(refused).collect()
    };
    let mut stage = waiting();
    let out = revise(&mut stage, 10, &queueing(Some(QueueSpec::new(2))));
    assert_eq!((refused(&out), served(&mut stage)), (vec![3, 5], vec![1, 2, 4]));
    let mut stage = waiting();
    assert_eq!(refused(&revise(&mut stage, 10, &queueing(None))), [3, 5, 4, 2]);
    assert_eq!(stage.router.in_flight(), 1);
    // With room for another two it is two that are left over.
    let mut stage = waiting();
    let mut wider = queueing(None);
    wider.groups[0].in_flight = Some(3);
    let out = revise(&mut stage, 10, &wider);
    assert_eq!(sent(&out), Some((0, Cause::Primary)));
    assert_eq!((refused(&out), stage.dispatches().len()), (vec![3, 5], 3));
}

#[test]
fn a_new_groups_queue_holds_and_who_waits_for_a_removed_group_is_served() {
    let mut stage = waiting();
    let mut next = queueing(None);
    next.groups[0].name = "other".into();
    next.groups[0].queue = Some(QueueSpec::new(1));
    assert_eq!(revise(&mut stage, 10, &next), []);
    let other = stage.router.config().group_named("other").expect("it is there");
    let outs = [6, 7, 8].map(|n| {
        let request = Request::new(RequestId::new(0, n, 0), other, 100);
        stage.feed(ms(11), Input::Submit(request))
    });
    assert_eq!(sent(&outs[0]), Some((0, Cause::Primary)));
    assert!(matches!(outs[1][..], [Output::Observe(Observation::Queued { .. })]));
    assert!(matches!(stage.outcome(8), Some((_, Outcome::Reject(Rejection::QueueFull(_))))));
    let mut all = served(&mut stage);
    all.sort_unstable();
    assert_eq!(all, [1, 2, 3, 4, 5, 6, 7]);
}

proptest! {
    #![proptest_config(swarm(60))]
    /// Debts, rests, breakers, windows, estimates, credits, timers: a revision that touches none of
    /// what a run uses changes nothing of the run, whatever comes and goes beside it.
    #[test]
    fn a_revision_of_what_nobody_uses_changes_nothing(
        setting in settings(),
        at in prop::collection::vec(0_u64..4_000, 1..4),
    ) {
        let plain = setting.tape().outputs;
        let both = [with_a_stranger(&setting.spec), setting.spec.clone()];
        let mut at = at;
        at.sort_unstable();
        let mut revised = setting.clone();
        revised.plan.reloads = reloads(&setting.config(), at.into_iter().zip(both.iter().cycle()));
        let mut tape = revised.tape();
        let strange = |output: &Output| {
            matches!(output, Output::Observe(Observation::Drained { .. } | Observation::Misfit))
        };
        let told = tape.outputs.iter().filter(|(_, output)| strange(output)).count();
        tape.outputs.retain(|(_, output)| !strange(output));
        prop_assert!(told <= 1, "the stranger drains at once, and nothing is a misfit");
        prop_assert_eq!(tape.outputs, plain);
    }
}
