//! What a file cannot say, but a program can: every mistake at once, each at its path.

use std::borrow::ToOwned;
use std::string::ToString;
use std::vec;

use super::*;
use crate::{
    BreakerSpec, BreakerWindow, ClassRest, DeploymentSpec, GroupSpec, HedgeAfter, HedgeSpec,
    LimitSpec, MemberSpec, OnOutage, PeersSpec, Rate, RestAfter, Span, Strategy,
};

fn spec() -> Spec {
    let mut spec = Spec::default();
    spec.deployments.push(DeploymentSpec::new("oai".to_owned()));
    let mut group = GroupSpec::new("chat".to_owned());
    group.members.push(MemberSpec { deployment: "oai".to_owned(), weight: 1, tier: 0 });
    spec.groups.push(group);
    spec
}

fn said(spec: &Spec) -> Vec<String> {
    let errors = Config::new(spec).err().unwrap_or_default();
    errors.iter().map(ToString::to_string).collect()
}

#[test]
fn replicas_that_would_have_nothing_or_wait_for_nobody_are_refused() {
    let mut spec = spec();
    let rate = |amount, burst| Some(Rate { amount, period: Span::from_secs(60), burst });
    spec.deployments[0].limit = Some(LimitSpec {
        requests: rate(2, None),
        tokens: rate(900, Some(2)),
        parallel: Some(1),
        ..LimitSpec::default()
    });
    let peers = PeersSpec::new(3);
    let limit = "deployment.oai.limit";
    let nothing = "of which each of 3 replicas would have nothing";
    let parallel = format!("{limit}.parallel: is 1, {nothing}");
    let requests = format!("{limit}.requests: is 2, {nothing}");
    let tokens = format!("{limit}.tokens: is 2, {nothing}");
    spec.router.peers = Some(peers);
    assert_eq!(said(&spec), [parallel.as_str()]);
    spec.router.peers = Some(PeersSpec { on_outage: OnOutage::Share, ..peers });
    assert_eq!(said(&spec), [requests, tokens, parallel]);
    spec.deployments[0].limit = None;
    let stale = Span::ZERO;
    spec.router.peers = Some(PeersSpec { replicas: 0, stale, on_outage: OnOutage::Open });
    let said_of = said(&spec);
    assert_eq!(said_of[0], "router.peers.replicas: is 0, but must be between 1 and 1000");
    assert!(said_of[1].starts_with("router.peers.stale: is 0 s, but must be between 1 ms and "));
    spec.router.peers = Some(PeersSpec { on_outage: OnOutage::Closed, ..PeersSpec::new(1) });
    let alone = "router.peers.on_outage: closes when the other replicas are silent, but with \
                 `replicas = 1` there are none";
    assert_eq!(said(&spec), [alone]);
}

#[test]
fn every_policy_out_of_its_range_is_said_at_once() {
    let mut spec = spec();
    let above = Ratio::from_ppm(2_000_000);
    let group = &mut spec.groups[0];
    group.strategy = Strategy::Latency { explore: above };
    group.retry.most = [16; 6];
    group.cooldown.failures = Ratio::ZERO;
    group.cooldown.classes.server = ClassRest { after: RestAfter::Count(0), rest: None };
    group.cooldown.classes.timeout =
        ClassRest { after: RestAfter::Never, rest: Some(Span::from_secs(61)) };
    group.ejected_max = above;
    group.panic = above;
    group.hedge =
        Some(HedgeSpec { after: HedgeAfter::Quantile(Ratio::ONE), utilisation_max: above });
    group.breaker = Some(BreakerSpec {
        consecutive: 0,
        failures: None,
        slow: Some(Ratio::ZERO),
        window: BreakerWindow::Calls(5),
        open: Span::ZERO,
        grow: 0,
        probes: 0,
        successes: 0,
        ..BreakerSpec::default()
    });
    let paths = [
        "strategy.explore: is more than 100 %",
        "retry.rate_limit: is 16, but must be between 0 and 15",
        "retry.server: is 16, but must be between 0 and 15",
        "retry.connection: is 16, but must be between 0 and 15",
        "retry.timeout: is 16, but must be between 0 and 15",
        "retry.account: is 16, but must be between 0 and 15",
        "retry.invalid: is 16, but must be between 0 and 15",
        "cooldown.failures: is 0 %, which is always reached",
        "cooldown.server.after: is 0, but must be between 1 and 1000000",
        "cooldown.timeout.rest: `rest` must not be longer than `cooldown.max`",
        "breaker.slow.share: is 0 %, which is always reached",
        "breaker.slow: needs `over`: what a slow call takes",
        "breaker.after: judges at least 20 calls, but keeps the last 5 only",
        "breaker.open: is 0 s, but must be between 1 ms and 366 d",
        "breaker.grow: is 0, but must be between 1 and 16",
        "breaker.probes: is 0, but must be between 1 and 10000",
        "breaker.successes: is 0, but must be between 1 and 10000",
        "ejected_max: is more than 100 %",
        "panic: is more than 100 %",
        "hedge.utilisation_max: is more than 100 %",
        "hedge.after: is no quantile between 0 and 1, both excluded",
    ];
    assert_eq!(said(&spec), paths.map(|path| format!("group.chat.{path}")));
}

#[test]
fn a_hedge_must_come_before_the_first_thing_that_ends_its_attempt() {
    let mut spec = spec();
    let hedge = |ms| {
        let after = HedgeAfter::Delay(Span::from_millis(ms));
        Some(HedgeSpec { after, ..HedgeSpec::default() })
    };
    spec.groups[0].timeouts.first_token = Span::from_secs(2);
    for (ms, deadline, by) in [
        (1_999, 9, None),
        (2_000, 9, Some("2 s (`timeouts.first_token`)")),
        (1_000, 1, Some("1 s (`router.deadline`)")),
    ] {
        spec.groups[0].hedge = hedge(ms);
        spec.router.deadline = Span::from_secs(deadline);
        let said = said(&spec);
        assert_eq!(said.len(), usize::from(by.is_some()), "{said:?}");
        assert!(by.is_none_or(|by| said[0].contains(by)), "{said:?}");
    }
}

#[test]
fn a_window_that_would_be_cut_is_refused() {
    let mut spec = spec();
    for (ms, wrong) in [
        (1_000, None),
        (1_500, Some("1500 ms, but is counted in steps of 1 s")),
        (500, Some("500 ms, but must be between 1 s and 10 min")),
        (600_001, Some("600001 ms, but must be between 1 s and 10 min")),
    ] {
        spec.router.retry_budget.window = Span::from_millis(ms);
        let wrong = wrong.map(|wrong| format!("router.retry_budget_window: is {wrong}"));
        assert_eq!(said(&spec), Vec::from_iter(wrong));
    }
}

#[test]
fn names_lead_to_one_group_each() {
    let mut spec = spec();
    let mut other = spec.groups[0].clone();
    other.name = "other".to_owned();
    other.aliases = vec!["chat".to_owned(), "x*".to_owned(), "*".to_owned()];
    spec.groups.push(other);
    spec.groups[0].aliases = vec!["*".to_owned(), "x".to_owned(), "**".to_owned()];
    spec.router.default_group = Some("x".to_owned());
    spec.router.fallbacks.any = vec!["chat".to_owned(), "x-1".to_owned(), "nobody".to_owned()];
    assert_eq!(
        said(&spec),
        [
            "router.default_group: there is no group `x`",
            "group.chat.aliases: `**` is no alias: letters, digits, `. _ / - : @ +`, and one `*` \
             at most",
            "group.other.aliases: `chat` means group `chat` already",
            "group.other.aliases: `*` means group `chat` already",
        ]
    );
}

#[test]
fn what_the_router_falls_back_to_holds_for_groups_without_their_own() {
    let mut spec = spec();
    let mut other = spec.groups[0].clone();
    other.name = "other".to_owned();
    other.fallbacks.content_policy = vec!["chat".to_owned()];
    spec.groups.push(other);
    let lists = &mut spec.router.fallbacks;
    lists.content_policy = vec!["other".to_owned(), "nobody".to_owned()];
    assert_eq!(said(&spec), ["router.fallbacks.content_policy: there is no group `nobody`"]);
    spec.router.fallbacks.content_policy.pop();
    let config = Config::new(&spec).expect("it is right");
    let of = |group: usize| config.groups()[group].chain(Detour::ContentPolicy);
    assert_eq!((of(0), of(1)), (&[GroupId::at(1)][..], &[GroupId::at(0)][..]));
}
