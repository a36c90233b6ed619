//! Who may serve a request at all: tags, regions, tiers, windows, weights. Each test stands in
//! `docs/conformance.md`.

use router_core::{
    Cause, Failure, FailureKind, Outcome, Output, Reason, Rejection, Spec, TagMatch,
};
use tests::stage::{Stage, excluded, ms, retry_after, sent, spec};

use crate::conformance::{names, places, ruin};

/// Members with these tags each.
fn tagged(tags: &[&[&str]], how: TagMatch) -> Spec {
    let mut spec = spec(&vec![1; tags.len()]);
    for (deployment, tags) in spec.deployments.iter_mut().zip(tags) {
        deployment.tags = names(tags);
    }
    spec.groups[0].tag_match = how;
    spec
}

/// Who may serve a request with these tags; nobody if it is rejected.
fn served(spec: &Spec, tags: &[&str]) -> Vec<usize> {
    let mut stage = Stage::new(spec);
    let config = stage.router.config().clone();
    let tags = tags.iter().fold(0, |all, tag| all | config.tag(tag).expect("somebody has it"));
    let outputs = stage.submit_with(ms(0), 1, |request| request.tags = tags);
    let members = 0..spec.deployments.len();
    if sent(&outputs).is_none() {
        let none = Outcome::Reject(Rejection::NoDeployment(None));
        assert_eq!(stage.outcome(1), Some((ms(0), none)));
        return Vec::new();
    }
    members.filter(|member| excluded(&outputs, Reason::Tags) & 1 << member == 0).collect()
}

#[test]
fn tags_choose_by_any_or_by_all() {
    let tags: &[&[&str]] = &[&["paid"], &["paid", "eu"], &["free"]];
    let (any, all) = (tagged(tags, TagMatch::Any), tagged(tags, TagMatch::All));
    assert_eq!(served(&any, &["paid", "eu"]), [0, 1]);
    assert_eq!(served(&all, &["paid", "eu"]), [1]);
    assert_eq!(served(&all, &["free", "eu"]), [0; 0]);
    for spec in [any, all] {
        assert_eq!(served(&spec, &[]), [0, 1, 2], "who asks for nothing goes anywhere");
        assert_eq!(served(&spec, &["free"]), [2]);
    }
}

#[test]
fn what_matches_no_tag_goes_to_the_default_ones() {
    let tags: &[&[&str]] = &[&["paid"], &["default"], &["free"]];
    let spec = tagged(tags, TagMatch::All);
    assert_eq!(served(&spec, &["paid", "free"]), [1]);
    assert_eq!(served(&spec, &[]), [1], "and so does what asks for nothing");
}

#[test]
fn a_tagged_request_whose_deployments_rest_hears_when_they_are_back() {
    let spec = tagged(&[&["paid"], &["free"]], TagMatch::Any);
    let mut stage = Stage::new(&spec);
    let paid = stage.router.config().tag("paid").expect("somebody has it");
    stage.submit_with(ms(0), 1, |request| request.tags = paid);
    stage.fail(ms(0), 1, 1, retry_after(FailureKind::RateLimit, 429, 10));
    let outputs = stage.submit_with(ms(1_000), 2, |request| request.tags = paid);
    let back = Outcome::Reject(Rejection::NoDeployment(Some(ms(10_000))));
    assert_eq!(stage.outcome(2), Some((ms(1_000), back)));
    assert_eq!((excluded(&outputs, Reason::Cooling), excluded(&outputs, Reason::Tags)), (1, 2));
}

#[test]
fn only_the_region_asked_for_serves() {
    let mut regions = spec(&[1, 1, 1]);
    for (deployment, region) in regions.deployments.iter_mut().zip([Some("eu"), Some("us"), None]) {
        deployment.region = region.map(str::to_owned);
    }
    let mut stage = Stage::new(&regions);
    let eu = stage.router.config().region("eu").expect("somebody is there");
    for n in 0..50 {
        let outputs = stage.submit_with(ms(n), n, |request| request.region = eu);
        assert_eq!(
            (sent(&outputs), excluded(&outputs, Reason::Region)),
            (Some((0, Cause::Primary)), 6)
        );
    }
    // Not even when it fails is another one tried.
    let made = {
        stage.submit_with(ms(100), 100, |request| request.region = eu);
        ruin(&mut stage, 100, |_| Failure::new(FailureKind::Server, 500))
    };
    assert_eq!(places(&made), [0, 0, 0]);
}

#[test]
fn the_first_tier_serves_and_a_failure_of_any_kind_leads_to_the_next() {
    for (kind, status) in [
        (FailureKind::Server, 500),
        (FailureKind::RateLimit, 429),
        (FailureKind::NotFound, 404),
        (FailureKind::Authentication, 401),
        (FailureKind::Connect, 0),
    ] {
        let mut tiers = spec(&[1, 1, 1]);
        for (member, tier) in tiers.groups[0].members.iter_mut().zip([2, 0, 1]) {
            member.tier = tier;
        }
        let mut stage = Stage::new(&tiers);
        stage.submit(ms(0), 1);
        let made = ruin(&mut stage, 1, |_| Failure::new(kind, status));
        assert_eq!(places(&made), [1, 2, 0], "{kind:?}");
    }
}

#[test]
fn the_larger_window_takes_the_longer_prompt_and_one_too_long_for_all_is_told_so() {
    let mut windows = spec(&[1, 1]);
    windows.deployments[0].context = Some(8_000);
    windows.deployments[1].context = Some(32_000);
    let mut stage = Stage::new(&windows);
    for n in 0..50 {
        let outputs = stage.submit_with(ms(n), n, |request| request.input_tokens = 8_001);
        assert_eq!(sent(&outputs), Some((1, Cause::Primary)));
    }
    stage.submit_with(ms(50), 50, |request| request.input_tokens = 32_001);
    let too_long = Outcome::Reject(Rejection::TooLong);
    assert_eq!(stage.outcome(50), Some((ms(50), too_long)));
}

#[test]
fn a_full_member_and_too_small_ones_are_no_prompt_too_long() {
    let mut windows = spec(&[1, 1]);
    windows.deployments[0].context = Some(8_000);
    windows.deployments[1].limit =
        Some(router_core::LimitSpec { parallel: Some(1), ..router_core::LimitSpec::default() });
    let mut stage = Stage::new(&windows);
    stage.submit_with(ms(0), 1, |request| request.input_tokens = 9_000);
    stage.submit_with(ms(0), 2, |request| request.input_tokens = 9_000);
    let full = Outcome::Reject(Rejection::NoDeployment(Some(ms(0))));
    assert_eq!(stage.outcome(2), Some((ms(0), full)));
}

/// How many of a thousand requests each of three members of these weights gets.
fn counts(weights: [u32; 3]) -> [usize; 3] {
    let mut stage = Stage::new(&spec(&weights));
    let mut counts = [0; 3];
    for n in 0..1_000 {
        let (place, _) = sent(&stage.submit(ms(n), n)).expect("somebody is there");
        counts[place] += 1;
        stage.complete(ms(n), n, 1, 1);
    }
    counts
}

#[test]
fn weights_hold_whoever_stands_first() {
    for order in [[0, 1, 2], [1, 2, 0], [2, 0, 1]] {
        let got = counts(order.map(|place| [0, 100, 900][place]));
        let [none, tenth, most] = [0, 1, 2].map(|place| {
            got[order.iter().position(|at| *at == place).expect("each stands somewhere")]
        });
        // Five standard deviations of a binomial: 47.
        assert!(none == 0 && tenth.abs_diff(100) < 48 && most.abs_diff(900) < 48, "{got:?}");
    }
}

#[test]
fn no_rejection_is_without_its_reason() {
    let mut stage = Stage::new(&tagged(&[&["a"], &["b"]], TagMatch::All));
    let config = stage.router.config().clone();
    let both = config.tag("a").expect("it is there") | config.tag("b").expect("it is there");
    let outputs = stage.submit_with(ms(0), 1, |request| request.tags = both);
    assert_eq!(excluded(&outputs, Reason::Tags), 3);
    assert!(matches!(outputs.last(), Some(Output::Finish(_, Outcome::Reject(_)))));
}

#[test]
fn a_standby_serves_whom_no_weighted_member_of_its_tier_is_left_for() {
    let mut pair = spec(&[1, 0, 1]);
    pair.groups[0].members[2].tier = 1;
    let mut stage = Stage::new(&pair);
    for n in 0..50 {
        let outputs = stage.submit(ms(n), n);
        assert_eq!(sent(&outputs), Some((0, Cause::Primary)));
        assert_eq!(excluded(&outputs, Reason::Weight), 1 << 1);
        stage.complete(ms(n), n, 1, 1);
    }
    stage.submit(ms(50), 50);
    assert_eq!(sent(&stage.crash(ms(50), 50, 1)), Some((1, Cause::Standby)), "it has tried d0");
    assert_eq!(sent(&stage.crash(ms(50), 50, 2)), Some((2, Cause::Retry)));
    stage.submit(ms(51), 51);
    stage.fail(ms(51), 51, 1, retry_after(FailureKind::RateLimit, 429, 10));
    assert_eq!(sent(&stage.submit(ms(52), 52)), Some((1, Cause::Standby)), "d0 rests");
    assert_eq!(sent(&stage.submit(ms(10_051), 53)), Some((0, Cause::Primary)));
}
