//! Fallbacks: each group once, bounded in all, by the kind of failure, and never into the middle
//! of an answer. Each test stands in `docs/conformance.md`.

use router_core::{
    BreakerSpec, Cause, Config, DeploymentId, DeploymentSpec, Failure, FailureKind, GiveUp,
    GroupId, MemberSpec, Observation, Outcome, Output, Reason, Rejection, Span, Spec, Upstream,
};
use tests::stage::{Stage, excluded, ms, retry_after, sent, spec, spec_with_backup};

use crate::conformance::{attempts, gave_up, graph, names, places, ruin};

fn server() -> Failure {
    Failure::new(FailureKind::Server, 500)
}

fn mesh() -> Spec {
    graph(&[("chat", &["b", "c"]), ("b", &["c", "chat"]), ("c", &["chat", "b"])])
}

#[test]
fn a_full_mesh_of_three_groups_is_walked_once() {
    let mut stage = Stage::new(&mesh());
    stage.submit(ms(0), 1);
    assert_eq!(places(&ruin(&mut stage, 1, |_| server())), [0, 1, 2]);

    let mut once = mesh();
    once.router.attempts = 16;
    once.groups.iter_mut().for_each(|group| group.retry.most = [0; 6]);
    let mut stage = Stage::new(&once);
    stage.submit(ms(0), 1);
    assert_eq!(places(&ruin(&mut stage, 1, |_| server())), [0, 1, 2]);
    assert_eq!(gave_up(&stage), [GiveUp::Retries]);
}

#[test]
fn one_request_never_costs_more_than_its_attempts_whatever_the_graph() {
    for most in [1, 3, 16] {
        let mut wide = mesh();
        wide.router.attempts = most;
        let mut stage = Stage::new(&wide);
        stage.submit(ms(0), 1);
        let made = ruin(&mut stage, 1, |_| server());
        assert_eq!(made.len(), usize::from(most));
        let hops = made.iter().filter(|(_, d)| d.cause == Cause::Fallback).count();
        assert_eq!(hops, usize::from(most).min(3) - 1, "each group is entered once");
    }
}

#[test]
fn a_long_list_of_fallbacks_ends_with_the_attempts() {
    let mut list: Vec<String> = (1..=8).map(|n| format!("b{n}")).collect();
    list.insert(0, "chat".into());
    let edges: Vec<(&str, &[&str])> = list.iter().map(|name| (name.as_str(), &[][..])).collect();
    let mut eight = graph(&edges);
    eight.groups[0].fallbacks.any = list[1..].to_vec();
    let mut stage = Stage::new(&eight);
    stage.submit(ms(0), 1);
    assert_eq!(places(&ruin(&mut stage, 1, |_| server())), [0, 1, 2]);
}

#[test]
fn the_fallbacks_of_a_fallback_are_tried_before_the_rest_of_its_own() {
    let nested = graph(&[("chat", &["b", "d"]), ("b", &["c"]), ("c", &[]), ("d", &[])]);
    let mut stage = Stage::new(&nested);
    stage.submit(ms(0), 1);
    assert_eq!(places(&ruin(&mut stage, 1, |_| server())), [0, 1, 2]);
}

#[test]
fn a_cycle_of_default_and_own_fallbacks_ends_with_the_real_failure() {
    let mut cycle = graph(&[("chat", &["b"]), ("b", &[])]);
    cycle.router.fallbacks.any = names(&["chat", "b"]);
    cycle.groups.iter_mut().for_each(|group| group.retry.most = [0; 6]);
    let mut stage = Stage::new(&cycle);
    stage.submit(ms(0), 1);
    let made = ruin(&mut stage, 1, |dispatch| {
        Failure::new(FailureKind::Server, 500 + dispatch.deployment.index() as u16)
    });
    assert_eq!(places(&made), [0, 1]);
    let failure = Failure::new(FailureKind::Server, 501);
    assert_eq!(stage.outcome(1), Some((ms(0), Outcome::Exhaust(failure))));
}

#[test]
fn context_and_content_failures_go_where_they_are_configured_to_and_nowhere_else() {
    let mut kinds = graph(&[("chat", &["any"]), ("any", &[]), ("long", &[]), ("lax", &[])]);
    kinds.groups[0].fallbacks.context_window = names(&["long"]);
    kinds.groups[0].fallbacks.content_policy = names(&["lax"]);
    for (kind, place) in
        [(FailureKind::Server, 1), (FailureKind::ContextWindow, 2), (FailureKind::ContentPolicy, 3)]
    {
        let mut stage = Stage::new(&kinds);
        stage.submit(ms(0), 1);
        let outputs = stage.fail(ms(0), 1, 1, Failure::new(kind, 400));
        assert_eq!(sent(&outputs), Some((place, Cause::Fallback)), "{kind:?}");
        stage.fail(ms(0), 1, 2, Failure::new(kind, 400));
        if kind != FailureKind::Server {
            assert_eq!((attempts(&stage, 1).len(), gave_up(&stage)), (2, vec![GiveUp::Final]));
        }
    }
}

#[test]
fn another_groups_fallbacks_change_nothing_here() {
    for other in [&[][..], &["long"]] {
        let mut two = graph(&[("chat", &["backup"]), ("backup", &[]), ("long", &[]), ("x", &[])]);
        two.groups[3].fallbacks.context_window = names(other);
        two.groups[3].fallbacks.content_policy = names(other);
        for (kind, calls) in [
            (FailureKind::Server, 2),
            (FailureKind::ContextWindow, 1),
            (FailureKind::ContentPolicy, 1),
        ] {
            let mut stage = Stage::new(&two);
            stage.submit(ms(0), 1);
            stage.fail(ms(0), 1, 1, Failure::new(kind, 400));
            assert_eq!(attempts(&stage, 1).len(), calls, "{kind:?}, beside {other:?}");
        }
    }
}

#[test]
fn a_group_with_a_list_of_its_own_has_the_default_ones_for_the_other_kinds() {
    let mut mixed = graph(&[("chat", &["b"]), ("b", &[]), ("long", &[])]);
    mixed.router.fallbacks.any = names(&["long"]);
    mixed.router.fallbacks.context_window = names(&["long"]);
    for (kind, place) in [(FailureKind::Server, 1), (FailureKind::ContextWindow, 2)] {
        let mut stage = Stage::new(&mixed);
        stage.submit(ms(0), 1);
        let outputs = stage.fail(ms(0), 1, 1, Failure::new(kind, 400));
        assert_eq!(sent(&outputs), Some((place, Cause::Fallback)), "{kind:?}");
    }
}

#[test]
fn an_unknown_model_is_served_by_the_default_group_or_by_none() {
    let route =
        |spec: &Spec| Config::new(spec).expect("the test's configuration is valid").route("gpt-99");
    let mut two = graph(&[("chat", &[]), ("backup", &[])]);
    assert_eq!(route(&two), None);
    two.router.default_group = Some("backup".into());
    assert_eq!(route(&two), Some(GroupId::at(1)));
}

#[test]
fn names_then_aliases_then_the_longest_pattern_say_which_group_is_meant() {
    let mut three = graph(&[("chat", &[]), ("openai", &[]), ("mini", &[])]);
    three.groups[0].aliases = names(&["*", "gpt-4o"]);
    three.groups[1].aliases = names(&["openai/*"]);
    three.groups[2].aliases = names(&["openai/*-mini"]);
    let config = Config::new(&three).expect("the test's configuration is valid");
    for (model, place) in [
        ("chat", 0),
        ("gpt-4o", 0),
        ("openai/gpt-4o", 1),
        ("openai/gpt-4o-mini", 2),
        ("anthropic/claude", 0),
    ] {
        assert_eq!(config.route(model), Some(GroupId::at(place)), "{model}");
    }
}

#[test]
fn a_fallback_may_be_named_by_its_alias_or_pattern() {
    for name in ["spare-model", "openai/gpt-4o"] {
        let mut named = graph(&[("chat", &[name]), ("backup", &[])]);
        named.groups[1].aliases = names(&["spare-model", "openai/*"]);
        let mut stage = Stage::new(&named);
        stage.submit(ms(0), 1);
        assert_eq!(sent(&stage.crash(ms(0), 1, 1)), Some((1, Cause::Fallback)), "{name}");
    }
}

/// Five minutes of one request a second: a dead primary says so after 80 ms, a healthy spare
/// answers after 60 ms. How many calls the primary got.
fn outage(spec: &Spec) -> usize {
    let mut stage = Stage::new(spec);
    let mut dead_calls = 0;
    for n in 0..300 {
        let at = n * 1_000;
        let (place, _) = sent(&stage.submit(ms(at), n)).expect("the spare is there");
        let answered = if place == 0 {
            dead_calls += 1;
            let next = sent(&stage.crash(ms(at + 80), n, 1));
            assert_eq!(next, Some((1, Cause::Fallback)), "no wait, no second call to the dead");
            stage.complete(ms(at + 140), n, 2, 5);
            at + 140
        } else {
            stage.complete(ms(at + 60), n, 1, 5);
            at + 60
        };
        assert_eq!(stage.outcome(n).map(|(when, _)| when), Some(ms(answered)));
    }
    dead_calls
}

#[test]
fn behind_a_dead_primary_requests_take_the_fallbacks_time() {
    let cooldown = spec_with_backup(&[1]);
    // Ten calls before each rest of 5, 10, 20, 40, 60, 60 and 60 s.
    assert_eq!(outage(&cooldown), 70);
    let mut breaker = spec_with_backup(&[1]);
    breaker.groups[0].cooldown.enabled = false;
    breaker.groups[0].breaker = Some(BreakerSpec::default());
    let calls = outage(&breaker);
    assert!((6..=10).contains(&calls), "five to trip, then one probe for each opening: {calls}");
}

#[test]
fn a_fallback_with_too_small_a_window_is_never_sent_the_prompt() {
    let mut small = spec_with_backup(&[1]);
    small.deployments[0].context = Some(128_000);
    small.deployments[1].context = Some(8_000);
    for (input_tokens, output_max, fits) in [
        (7_000, None, true),
        (8_000, None, true),
        (8_001, None, false),
        (7_000, Some(1_000), true),
        (7_000, Some(1_001), false),
    ] {
        let mut stage = Stage::new(&small);
        stage.submit_with(ms(0), 1, |request| {
            (request.input_tokens, request.output_max) = (input_tokens, output_max);
        });
        let outputs = stage.crash(ms(0), 1, 1);
        assert_eq!(sent(&outputs), fits.then_some((1, Cause::Fallback)), "{input_tokens}");
        assert_eq!(excluded(&outputs, Reason::Context), u64::from(!fits));
    }
}

#[test]
fn a_prompt_too_long_for_its_group_goes_where_long_prompts_go_without_a_call() {
    let mut long = graph(&[("chat", &["any"]), ("any", &[]), ("long", &[])]);
    long.deployments[0].context = Some(8_000);
    long.deployments[2].context = Some(128_000);
    let submit = |spec: &Spec, tokens| {
        let mut stage = Stage::new(spec);
        let outputs = stage.submit_with(ms(0), 1, |request| request.input_tokens = tokens);
        (sent(&outputs), stage.outcome(1))
    };
    assert_eq!(submit(&long, 9_000), (None, Some((ms(0), Outcome::Reject(Rejection::TooLong)))));
    long.groups[0].fallbacks.context_window = names(&["long"]);
    assert_eq!(submit(&long, 8_000).0, Some((0, Cause::Primary)));
    assert_eq!(submit(&long, 9_000).0, Some((2, Cause::Fallback)));
    let too_long = Outcome::Reject(Rejection::TooLong);
    assert_eq!(submit(&long, 128_001), (None, Some((ms(0), too_long))));
    // Who would not take such a request in any case does not stand in the way.
    let mut spare = DeploymentSpec::new("spare".into());
    spare.context = Some(8_000);
    long.deployments[0].tags = vec!["default".into()];
    long.deployments.push(spare);
    long.groups[0].members.push(MemberSpec { deployment: "spare".into(), weight: 1, tier: 0 });
    assert_eq!(submit(&long, 9_000).0, Some((2, Cause::Fallback)));
}

/// What a stream can die of after its head.
const CUTS: [FailureKind; 4] =
    [FailureKind::Server, FailureKind::Reset, FailureKind::Truncated, FailureKind::Idle];

#[test]
fn no_answer_is_ever_spliced_of_two() {
    for kind in CUTS {
        let mut stage = Stage::new(&spec_with_backup(&[1, 1]));
        stage.submit(ms(0), 1);
        stage.news(ms(100), 1, 1, Upstream::FirstToken);
        stage.news(ms(200), 1, 1, Upstream::Progress(5));
        stage.fail(ms(300), 1, 1, Failure::new(kind, 200));
        stage.wait(ms(600_000));
        let commits = stage.log.iter().filter(|(_, o)| matches!(o, Output::Commit(_))).count();
        assert_eq!((commits, attempts(&stage, 1).len()), (1, 1), "{kind:?}");
        let failure = Failure::new(kind, 200);
        assert_eq!(stage.outcome(1), Some((ms(300), Outcome::Exhaust(failure))), "not a success");
    }
}

#[test]
fn a_stream_that_dies_before_its_first_token_is_tried_elsewhere() {
    for kind in CUTS.into_iter().chain([FailureKind::FirstToken]) {
        let mut stage = Stage::new(&spec_with_backup(&[1]));
        stage.submit(ms(0), 1);
        stage.news(ms(10), 1, 1, Upstream::Connected);
        let outputs = stage.fail(ms(100), 1, 1, Failure::new(kind, 200));
        assert_eq!(sent(&outputs), Some((1, Cause::Fallback)), "{kind:?}");
    }
}

#[test]
fn a_rest_holds_in_every_group_that_shares_the_deployment() {
    let mut shared = graph(&[("chat", &[]), ("other", &["chat"])]);
    shared.groups[1].members = shared.groups[0].members.clone();
    shared.deployments.truncate(1);
    let mut stage = Stage::new(&shared);
    stage.submit(ms(0), 1);
    stage.fail(ms(0), 1, 1, retry_after(FailureKind::RateLimit, 429, 10));
    let other = |request: &mut router_core::Request| request.group = GroupId::at(1);
    let outputs = stage.submit_with(ms(9_999), 2, other);
    assert_eq!((sent(&outputs), excluded(&outputs, Reason::Cooling)), (None, 1));
}

#[test]
fn a_request_tells_how_often_and_where_it_was_tried() {
    for (failures, causes) in [
        (0, &[Cause::Primary][..]),
        (1, &[Cause::Primary, Cause::Fallback]),
        (2, &[Cause::Primary, Cause::Fallback, Cause::Fallback]),
    ] {
        let mut stage = Stage::new(&graph(&[("chat", &["b", "c"]), ("b", &[]), ("c", &[])]));
        stage.submit(ms(0), 1);
        (1..=failures).for_each(|ordinal| drop(stage.crash(ms(0), 1, ordinal)));
        stage.complete(ms(0), 1, failures + 1, 1);
        let told = stage.observations().find_map(|observation| {
            let Observation::Closed { attempts, .. } = observation else { return None };
            Some(usize::from(attempts))
        });
        assert_eq!(told, Some(causes.len()));
        let made: Vec<Cause> = attempts(&stage, 1).iter().map(|(_, d)| d.cause).collect();
        assert_eq!(made, causes);
    }
}

#[test]
fn a_fallbacks_own_rests_and_limits_hold() {
    let mut limited = spec_with_backup(&[1]);
    limited.deployments[1].limit =
        Some(router_core::LimitSpec { parallel: Some(1), ..router_core::LimitSpec::default() });
    let mut stage = Stage::new(&limited);
    (1..=2).for_each(|n| drop(stage.submit(ms(0), n)));
    assert_eq!(sent(&stage.crash(ms(1), 1, 1)), Some((1, Cause::Fallback)));
    let outputs = stage.crash(ms(1), 2, 1);
    assert_eq!((sent(&outputs), excluded(&outputs, Reason::Parallel)), (None, 1));

    let mut stage = Stage::new(&spec_with_backup(&[1]));
    let deployment = DeploymentId::at(1);
    let remaining = Span::from_secs(10);
    let rest = router_core::Consumption::Resting { deployment, key: None, remaining, asked: false };
    stage.feed(ms(0), router_core::Input::Peers(rest));
    stage.submit(ms(0), 1);
    let outputs = stage.crash(ms(1), 1, 1);
    assert_eq!((sent(&outputs), excluded(&outputs, Reason::Cooling)), (None, 1));
}

#[test]
fn with_no_group_to_go_to_all_deployments_of_this_one_are_tried() {
    let mut stage = Stage::new(&spec(&[1, 1, 1]));
    stage.submit(ms(0), 1);
    let mut seen = places(&ruin(&mut stage, 1, |_| server()));
    seen.sort_unstable();
    assert_eq!(seen, [0, 1, 2]);
}
