use router_core::CallEnd;

use super::*;
use crate::{FirstToken, Order, PerToken, Segment, Shape};

/// Everything that draws, at once.
pub(super) fn busy(seed: u64) -> Plan {
    let first_token = FirstToken {
        median: Span::from_millis(300),
        sigma: 0.4,
        tail: Ratio::new(1, 50).unwrap(),
        tail_factor: 5.0,
        tail_shape: 1.5,
        max: Span::from_secs(30),
        per_input_token: Span::from_micros(50),
    };
    let per_token = PerToken { median: Span::from_millis(8), sigma: 0.2, growth: 0.01 };
    let provider = Provider {
        service: Service::Tokens { first_token, per_token },
        concurrency: Some(40),
        when_full: WhenFull::Queue { bound: 20, order: Order::Fifo },
        errors: Ratio::new(1, 50).unwrap(),
        abandoned: Abandoned::RunsOn,
        ..constant(0)
    };
    let shape = Shape::Ramp { from: 2.0, to: 30.0 };
    let demand = Demand {
        arrivals: Arrivals::Poisson(vec![Segment { lasts: Span::from_secs(60), shape }]),
        input: Lengths::LogNormal { median: 700.0, sigma: 1.0, max: 8000 },
        output: Lengths::Quantiles([1, 50, 100, 150, 400, 1000].into()),
        client: Client::openai_python(),
        patience: Some(Span::from_secs(4)),
        ..demand(1, 1)
    };
    let brownout = Effect::Brownout {
        errors: Ratio::new(1, 5).unwrap(),
        first_token: 4.0,
        per_token: 2.0,
        delay: Span::ZERO,
    };
    Plan {
        seed: Seed::from_u64(seed),
        faults: vec![fault(20_000, 40_000, brownout)],
        ..plan(demand, vec![provider.clone(), provider])
    }
}

fn script() -> Script {
    Script { total: Span::from_secs(10), ..Script::to(&[0, 1, 0]) }
}

#[test]
fn one_seed_is_one_run_and_another_seed_another() {
    let [a, b, c] = [1, 1, 2].map(|seed| run(&busy(seed), script()));
    assert!(a.journal() == b.journal() && a.tally() == b.tally() && a.fired() == b.fired());
    assert!(a.journal() != c.journal());
    let tally = a.tally();
    assert_eq!(tally.calls, tally.answered + tally.partial + tally.failed + tally.left);
    assert_eq!(tally.calls, a.journal().calls.len() as u64);
    // Every path was taken: retries of the client, users who left, the fault.
    assert!(tally.submissions > tally.calls && tally.left > 0 && a.fired()[0] > 0, "{tally:?}");
    assert!(tally.failed > 0 && tally.in_flight_peak > 10, "{tally:?}");
}

#[test]
fn another_demand_changes_no_arrival_and_no_draw_of_the_first() {
    let alone = busy(3);
    let mut both = alone.clone();
    both.demands.push(Demand { name: "other".into(), ..both.demands[0].clone() });
    let submitted = |plan: &Plan| -> Vec<_> {
        let world = run(plan, script());
        let mut firsts: Vec<_> =
            world.journal().calls.iter().map(|c| (c.id, c.arrived, c.id.source())).collect();
        firsts.retain(|&(.., source)| source == 0);
        firsts.sort_unstable();
        firsts
    };
    assert_eq!(submitted(&alone), submitted(&both));
    // Without load to couple them, nothing of the first's calls changes at all.
    let uncoupled = |mut plan: Plan| -> Vec<_> {
        for provider in &mut plan.providers {
            provider.concurrency = None;
            if let Service::Tokens { per_token, .. } = &mut provider.service {
                per_token.growth = 0.0;
            }
        }
        let world = run(&plan, script());
        let mut calls = world.journal().calls.clone();
        calls.retain(|c| c.id.source() == 0);
        calls.sort_unstable_by_key(|c| c.id);
        calls
    };
    assert_eq!(uncoupled(alone), uncoupled(both));
}

#[test]
fn news_of_an_instant_comes_before_its_tick() {
    // The answer and the total timeout fall on the same instant: the answer is in time.
    let plan = plan(demand(1000, 1), vec![constant(100)]);
    let script = Script { total: Span::from_millis(110), ..Script::to(&[0]) };
    let world = run(&plan, script);
    assert!(matches!(world.journal().calls[0].end, CallEnd::Answered(_)));
    assert_eq!(world.tally().ticks, 0);
}

#[test]
fn an_instant_goes_from_a_fault_to_news_to_leavers_to_arrivals() {
    let patience = Some(Span::from_millis(1000));
    let mut plan = plan(Demand { patience, ..demand(1000, 1) }, vec![constant(990), constant(1)]);
    // Answered at 2000 exactly; another call arrives and an outage of deployment 1 begins then.
    plan.demands.push(demand(2000, 1));
    plan.demands.push(Demand { patience, ..demand(1000, 1) });
    plan.faults.push(Fault {
        on: vec![DeploymentId::at(1)],
        ..fault(2000, 3000, Effect::Outage(crate::Outage::Refuse))
    });
    plan.providers[0].concurrency = Some(1);
    plan.providers[0].when_full = WhenFull::Queue { bound: 9, order: Order::Fifo };
    assert_eq!(
        told(&plan, Script::to(&[0]))[3..6],
        ["2000 r1#1 complete 10+11", "2000 cancel 2:r1", "2000 submit 1:r1"]
    );
}

#[test]
fn steps_add_up_to_a_run_and_progress_reaches_the_horizon() {
    let plan = busy(1);
    let mut world = World::new(&plan, Driver::new(script(), Log::default()));
    while world.step_many(1000) {
        let (now, horizon) = world.progress();
        assert_eq!(horizon, Time::from_secs(60));
        assert!(now <= world.now());
    }
    assert_eq!(world.journal(), run(&plan, script()).journal());
    assert!(world.now() > Time::from_secs(55));
}
