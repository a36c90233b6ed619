//! Calmer worlds, in which limits learn: servers that get slower with load and with time, and
//! enough calls to fill them.

use std::collections::BTreeSet;
use std::format;
use std::sync::Arc;
use std::vec::Vec;

use proptest::prelude::*;

use super::dice::Dice;
use crate::{
    Abandon, AdaptiveSpec, AttemptId, Auditor, Config, DeploymentSpec, Dispatch, Driver, Effects,
    Failure, FailureKind, GroupId, GroupSpec, HedgeAfter, HedgeSpec, Input, MemberSpec,
    Observation, Outcome, Purpose, Request, RequestId, Router, Seed, Span, Spec, Strategy, Time,
    Upstream, Usage,
};

const OUTPUT: u32 = 40;

/// What is still to happen, in order; a word with it: first tokens, or answers.
#[derive(Default)]
struct Servers {
    due: BTreeSet<(Time, AttemptId, bool)>,
    live: Vec<(AttemptId, usize)>,
    /// How long a first token takes at each, as of now.
    pace: Vec<Span>,
    draw: u64,
    told: Vec<(usize, u32)>,
}

impl Servers {
    fn end(&mut self, attempt: AttemptId) {
        self.live.retain(|(live, _)| *live != attempt);
        self.due.retain(|(_, due, _)| *due != attempt);
    }
}

impl Effects for Servers {
    fn dispatch(&mut self, now: Time, dispatch: Dispatch) {
        let (attempt, place) = (dispatch.attempt, dispatch.deployment.index());
        let beside = self.live.iter().filter(|(_, at)| *at == place).count() as u64;
        self.live.push((attempt, place));
        // Eight at once are served as fast as one; some calls are longer than others.
        self.draw = self.draw.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let first = self.pace[place].scale((beside + 1).max(8) * (8 + (self.draw >> 61)), 64);
        self.due.insert((now + first, attempt, false));
        self.due.insert((now + first * 3, attempt, true));
    }

    fn abandon(&mut self, _: Time, attempt: AttemptId, _: Abandon) {
        self.end(attempt);
    }

    fn commit(&mut self, _: Time, _: AttemptId) {}

    fn finish(&mut self, _: Time, _: RequestId, _: Outcome) {}

    fn observe(&mut self, _: Time, observation: Observation) {
        if let Observation::Concurrency { deployment, limit } = observation {
            self.told.push((deployment.index(), limit));
        }
    }
}

fn spec(dice: &mut Dice) -> Spec {
    let mut spec = Spec::default();
    let mut group = GroupSpec::new("g".into());
    for index in 0..1 + dice.below(2) {
        let mut deployment = DeploymentSpec::new(format!("d{index}"));
        let start = dice.pick(&[1, 4, 20]);
        deployment.adaptive =
            Some(AdaptiveSpec { min: dice.pick(&[1, 3]).min(start), max: 50, start });
        let deployment_name = deployment.name.clone();
        spec.deployments.push(deployment);
        group.members.push(MemberSpec { deployment: deployment_name, weight: 1, tier: 0 });
    }
    group.strategy = dice.pick(&[Strategy::default(), Strategy::Usage, Strategy::LeastInFlight]);
    let after = HedgeAfter::Delay(Span::from_millis(1_500));
    group.hedge = dice.once_in(3).then_some(HedgeSpec { after, ..HedgeSpec::default() });
    group.cooldown.enabled = false;
    spec.groups.push(group);
    spec
}

/// So many seconds of a world; the limits told in it, and what the auditor found.
fn run(seed: u64, seconds: u64) -> (Vec<(usize, u32)>, Auditor) {
    let seed = Seed::from_u64(seed);
    let mut dice = Dice(seed.stream(Purpose::Swarm, 1));
    let mut spec = spec(&mut dice);
    let config = Arc::new(Config::new(&spec).expect("it is valid"));
    let auditor = Auditor::new(Arc::clone(&config), Time::ZERO).with_seed(seed);
    let mut driver = Driver::new(Router::new(config, seed, Time::ZERO), auditor);
    let mut servers = Servers::default();
    let (mut now, mut next, mut turn, mut wanted) = (Time::ZERO, 0, Time::ZERO, 0);
    while now < Time::from_secs(seconds) {
        if now >= turn {
            // Every half minute or so another load, and other servers.
            servers.pace = spec.deployments.iter().map(|_| dice.ms(400)).collect();
            wanted = 1 + dice.below(60);
            turn = now + dice.ms(60_000);
            if dice.once_in(8) {
                let max = dice.pick(&[10, 50]);
                for adaptive in spec.deployments.iter_mut().filter_map(|d| d.adaptive.as_mut()) {
                    (adaptive.max, adaptive.start) = (max, adaptive.start.min(max));
                }
                let next = Config::new(&spec).expect("it is valid");
                driver.step(now, Input::Reconfigure(Arc::new(next)), &mut servers);
            }
            if dice.once_in(4) {
                let (text, config) = (driver.brain().snapshot(), driver.brain().config().clone());
                let router = Router::restore(config, seed, &text).expect("it was just written");
                driver = Driver::new(router, driver.into_journal());
            }
        }
        let open = driver.brain().in_flight() as u64;
        let (submits, due) = (open < wanted, servers.due.first().copied());
        let wakeup = driver.step(now, Input::Tick, &mut servers);
        let at = due.map_or(Time::MAX, |(at, ..)| at);
        if submits || at == Time::MAX {
            next += 1;
            let id = RequestId::new(0, next, 0);
            let mut request = Request::new(id, GroupId::at(0), 100);
            request.stream = !dice.once_in(3);
            driver.step(now, Input::Submit(request), &mut servers);
            now = now + dice.ms(40);
            continue;
        }
        if let Some(wakeup) = wakeup.filter(|wakeup| wakeup.at < at) {
            now = now.max(wakeup.at);
            continue;
        }
        let Some((at, attempt, whole)) = servers.due.pop_first() else { continue };
        now = now.max(at);
        let news = if dice.once_in(300) {
            servers.end(attempt);
            let kinds = [FailureKind::Server, FailureKind::RateLimit, FailureKind::Reset];
            Upstream::Fail(Failure::new(dice.pick(&kinds), dice.pick(&[500, 529])))
        } else if whole {
            servers.end(attempt);
            let usage = Usage { input_tokens: 100, cached_tokens: 0, output_tokens: OUTPUT };
            Upstream::Complete(usage)
        } else {
            Upstream::FirstToken
        };
        driver.step(now, Input::Upstream(attempt, news), &mut servers);
    }
    let mut auditor = driver.into_journal();
    auditor.settle();
    (servers.told, auditor)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 48,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]
    #[test]
    fn limits_that_learn_break_no_invariant(seed: u64) {
        let (_, auditor) = run(seed, 600);
        if let Some(violation) = auditor.violations().first() {
            prop_assert!(false, "{violation}\nof {} violations", auditor.total());
        }
    }
}

#[test]
fn calmer_worlds_see_limits_grow_shrink_and_halve() {
    let (mut grew, mut shrank, mut halved) = (0, 0, 0);
    for seed in 0..20 {
        let (told, _) = run(seed, 600);
        let mut last = [20_u32; 2];
        for (place, limit) in told {
            let before = core::mem::replace(&mut last[place], limit);
            grew += u32::from(limit > before);
            shrank += u32::from(limit < before && limit * 4 > before * 3);
            halved += u32::from(limit <= before / 2);
        }
    }
    assert!(grew > 100 && shrank > 100 && halved > 10, "{grew} {shrank} {halved}");
}
