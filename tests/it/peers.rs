//! Replicas of a router that keep to the same limits.

use router_core::{
    Consumption, Input, LimitId, LimitSpec, OnOutage, Outcome, PeersSpec, Rate, Rejection, Router,
    Seed, Span, Spec, Time, Upstream, Usage,
};
use tests::stage::{Stage, ms, spec};

/// So many requests a minute at `d0`.
fn limited(amount: u64, peers: Option<PeersSpec>) -> Spec {
    let mut spec = spec(&[1]);
    let rate = |amount| Some(Rate { amount, period: Span::from_secs(60), burst: None });
    let (requests, tokens) = (rate(amount), rate(1_000_000));
    spec.deployments[0].limit = Some(LimitSpec { requests, tokens, ..LimitSpec::default() });
    spec.router.peers = peers;
    spec
}

fn policy(on_outage: OnOutage) -> Option<PeersSpec> {
    Some(PeersSpec { stale: Span::from_secs(1), on_outage, ..PeersSpec::new(3) })
}

fn told(stage: &Stage) -> Vec<Consumption> {
    stage.router.consumption(4).collect()
}

fn used(requests: u64, input_tokens: u64, output_tokens: u64) -> Vec<Consumption> {
    let limit = LimitId::at(0);
    vec![Consumption::Used { replica: 4, limit, requests, input_tokens, output_tokens }]
}

fn own(requests: u64) -> Input {
    let (limit, input_tokens, output_tokens) = (LimitId::at(0), 0, 0);
    Input::Peers(Consumption::Own { limit, requests, input_tokens, output_tokens })
}

/// How many of twenty requests go out at `at`.
fn served(stage: &mut Stage, at: Time) -> usize {
    let before = stage.dispatches().len();
    let first = at.as_nanos();
    (first..first + 20).for_each(|id| drop(stage.submit(at, id)));
    stage.dispatches().len() - before
}

#[test]
fn a_replica_tells_what_it_has_reserved_and_then_what_it_has_used() {
    let mut stage = Stage::new(&limited(10, policy(OnOutage::Open)));
    assert_eq!(told(&stage), used(0, 0, 0));
    stage.submit(ms(0), 1);
    let Consumption::Used { requests: 1, input_tokens, output_tokens: 512, .. } = told(&stage)[0]
    else {
        panic!("{:?}", told(&stage));
    };
    let (_, dispatch) = stage.dispatches()[0];
    let usage = Usage { input_tokens: 70, cached_tokens: 0, output_tokens: 30 };
    stage.feed(ms(10), Input::Upstream(dispatch.attempt, Upstream::Complete(usage)));
    assert!(input_tokens > 0);
    assert_eq!(told(&stage), used(1, 70, 30));
    let text = stage.router.snapshot();
    let config = std::sync::Arc::clone(stage.router.config());
    let restored = Router::restore(config, Seed::from_u64(1), &text).expect("just written");
    assert_eq!(restored.consumption(4).collect::<Vec<_>>(), used(1, 70, 30));
}

#[test]
fn silence_closes_opens_or_never_mattered() {
    let late = ms(1_000);
    for (on_outage, before, after) in
        [(OnOutage::Closed, 12, 0), (OnOutage::Open, 12, 12), (OnOutage::Share, 4, 4)]
    {
        let spec = limited(12, policy(on_outage));
        let name = on_outage.name();
        assert_eq!(served(&mut Stage::new(&spec), ms(999)), before, "{name}");
        let mut stage = Stage::new(&spec);
        assert_eq!(served(&mut stage, late), after, "{name}");
        let refused = stage.outcome(late.as_nanos() + 19).map(|(_, outcome)| outcome);
        let Some(Outcome::Reject(Rejection::NoDeployment(earliest))) = refused else {
            panic!("{name}: {refused:?}");
        };
        assert_eq!(earliest.is_none(), on_outage == OnOutage::Closed, "{name}");
    }
    let mut stage = Stage::new(&limited(12, policy(OnOutage::Closed)));
    for replica in [8, 9] {
        stage.feed(late, Input::Peers(Consumption::Alive { replica }));
    }
    assert_eq!(served(&mut stage, late), 12, "both are back");
}

#[test]
fn a_restart_refills_nothing_that_the_store_remembers() {
    let spec = limited(12, None);
    let run = |news: &[u64]| {
        let mut stage = Stage::new(&spec);
        news.iter().for_each(|requests| drop(stage.feed(ms(0), own(*requests))));
        let served = served(&mut stage, ms(0));
        // What comes too late is an echo.
        stage.feed(ms(0), own(1 << 40));
        assert_eq!(served + self::served(&mut stage, ms(60_000)), served + 12);
        served
    };
    // What it had used a minute ago, and what it had used in the end.
    assert_eq!([run(&[]), run(&[500]), run(&[500, 508]), run(&[500, 508, 502])], [12, 12, 4, 4]);
    // Its counters go on where they were, so that its peers learn of what is new.
    let mut stage = Stage::new(&spec);
    stage.feed(ms(0), own(500));
    stage.submit(ms(0), 1);
    let Consumption::Used { requests, .. } = told(&stage)[0] else { panic!("it has a rate") };
    assert_eq!(requests, 501);
}
