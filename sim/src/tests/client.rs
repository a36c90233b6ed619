use router_core::{CallEnd, Request};

use super::*;
use crate::{Algorithm, Outage, TraceRow};

fn openai(count: u64) -> Demand {
    Demand { client: Client::openai_python(), ..demand(1000, count) }
}

#[test]
fn a_client_tries_three_times_and_waits_as_the_sdk_does() {
    let mut plan = plan(openai(200), vec![constant(100)]);
    plan.faults.push(fault(0, 10_000_000, Effect::Outage(Outage::Status(500))));
    let world = run(&plan, Script::to(&[0]));
    let waits: Vec<_> = world.journal().calls.iter().map(|c| c.client_wait.as_millis()).collect();
    // 0.5 s and 1 s, each times (0.75, 1].
    assert!(waits.iter().all(|&ms| (1125..=1500).contains(&ms)), "{waits:?}");
    assert!(waits.iter().any(|&ms| ms < 1200) && waits.iter().any(|&ms| ms > 1420));
    assert_eq!((world.tally().calls, world.tally().submissions), (200, 600));
    let call = world.journal().calls[0];
    assert_eq!((call.end, call.tries, call.attempts), (CallEnd::Failed(500), 3, 3));
    assert!(world.journal().inputs.iter().any(|(_, what)| what == "submit r1.2"));
}

#[test]
fn a_retry_after_is_obeyed_up_to_two_minutes_and_beyond_it_the_call_fails() {
    for (seconds, tries, wait) in [(7, 3, 14), (120, 3, 240), (121, 1, 0)] {
        let mut plan = plan(openai(1), vec![constant(100)]);
        let storm = Effect::Storm { retry_after: Some(Span::from_secs(seconds)) };
        plan.faults.push(fault(0, 10_000_000, storm));
        let world = run(&plan, Script::to(&[0]));
        let call = world.journal().calls[0];
        assert_eq!((call.tries, call.client_wait), (tries, Span::from_secs(wait)));
        assert_eq!(call.end, CallEnd::Failed(429));
    }
}

#[test]
fn only_errors_that_may_pass_are_tried_again() {
    for (status, tries) in [(400, 1), (401, 1), (404, 1), (408, 3), (409, 3), (429, 3), (503, 3)] {
        let mut plan = plan(openai(1), vec![constant(100)]);
        plan.faults.push(fault(0, 10_000_000, Effect::Outage(Outage::Status(status))));
        let world = run(&plan, Script::to(&[0]));
        assert_eq!(world.journal().calls[0].tries, tries, "{status}");
    }
}

#[test]
fn a_try_that_takes_too_long_is_cancelled_and_tried_again() {
    let client = Client { timeout: Span::from_millis(500), ..Client::openai_python() };
    let mut plan = plan(Demand { client, ..demand(1000, 1) }, vec![constant(100)]);
    plan.faults.push(fault(0, 1200, Effect::Outage(Outage::BlackHole)));
    let world = run(&plan, Script::to(&[0]));
    let inputs = &world.journal().inputs;
    assert_eq!(inputs[1], (1500, "cancel r1".into()));
    assert_eq!(inputs[2].1, "submit r1.1");
    assert!((1875..=2000).contains(&inputs[2].0), "{inputs:?}");
    let call = world.journal().calls[0];
    assert!(matches!(call.end, CallEnd::Answered(_)), "{call:?}");
    assert_eq!((call.tries, call.arrived), (2, Time::from_secs(1)));
}

#[test]
fn tries_time_out_in_the_order_they_began_each_at_its_own_time() {
    let client = Client { timeout: Span::from_millis(700), ..Client::ONCE };
    let mut plan = plan(Demand { client, ..demand(100, 6) }, vec![constant(650)]);
    plan.faults.push(fault(150, 350, Effect::Outage(Outage::BlackHole)));
    let inputs = told(&plan, Script::to(&[0]));
    let cancelled: Vec<_> = inputs.iter().filter(|what| what.contains("cancel")).collect();
    assert_eq!(cancelled, ["900 cancel r2", "1000 cancel r3"]);
}

#[test]
fn an_impatient_user_leaves_without_a_first_token_and_only_then() {
    let patience = Some(Span::from_millis(300));
    let mut plan = plan(Demand { patience, ..demand(100, 9) }, vec![constant(200)]);
    plan.faults.push(fault(250, 550, Effect::Outage(Outage::BlackHole)));
    let world = run(&plan, Script::to(&[0]));
    let left: Vec<_> = world
        .journal()
        .calls
        .iter()
        .filter(|c| c.end == CallEnd::Left)
        .map(|c| (c.id.sequence(), c.ended.since(c.arrived).as_millis()))
        .collect();
    assert_eq!(left, [(3, 300), (4, 300), (5, 300)]);
    assert_eq!((world.tally().left, world.tally().answered), (3, 6));
}

#[test]
fn a_user_may_leave_while_the_client_waits_between_tries() {
    let patience = Some(Span::from_millis(300));
    let mut plan = plan(Demand { patience, ..openai(1) }, vec![constant(200)]);
    plan.faults.push(fault(0, 9000, Effect::Outage(Outage::Status(500))));
    let world = run(&plan, Script::to(&[0]));
    let call = world.journal().calls[0];
    assert_eq!((call.end, call.ended), (CallEnd::Left, Time::from_nanos(1_300_000_000)));
    assert_eq!(call.client_wait, Span::from_millis(290));
    assert_eq!(world.tally().submissions, 1);
}

#[test]
fn a_rejected_try_comes_back_when_the_router_named() {
    // The quota is the provider's; the script passes its 429 on, as a router would its own.
    let mut provider = constant(10);
    provider.quota.requests = Some(Rate { amount: 1, period: Span::from_secs(10), burst: None });
    provider.quota.algorithm = Algorithm::Window;
    let world = run(&plan(openai(2), vec![provider]), Script::to(&[0]));
    let second = world.journal().calls[1];
    // Refused at 2 s, told after 10 ms that the window ends in 8 s.
    assert_eq!((second.tries, second.client_wait), (2, Span::from_secs(8)));
    assert_eq!(second.ended, Time::from_nanos(10_030_000_000));
}

#[test]
fn a_trace_brings_its_own_times_and_tokens() {
    let row = |ms, input_tokens, output_tokens| TraceRow {
        at: Span::from_millis(ms),
        input_tokens,
        output_tokens,
    };
    let rows = [row(0, 100, 5), row(40, 200, 600), row(40, 300, 7)];
    let trace = Demand {
        arrivals: Arrivals::Trace(rows.into()),
        input: Lengths::Trace,
        output: Lengths::Trace,
        output_max: Some(500),
        ..demand(1, 1)
    };
    assert_eq!(
        told(&plan(trace, vec![constant(90)]), Script::to(&[0])),
        [
            "0 submit r1",
            "40 submit r2",
            "40 submit r3",
            "100 r1#1 complete 100+5",
            "140 r2#1 complete 200+500",
            "140 r3#1 complete 300+7",
        ]
    );
}

#[test]
fn a_stream_that_breaks_after_its_first_token_is_not_tried_again() {
    let first_token = crate::FirstToken {
        median: Span::from_millis(100),
        sigma: 0.0,
        tail: Ratio::ZERO,
        tail_factor: 1.0,
        tail_shape: 1.0,
        max: Span::from_secs(60),
        per_input_token: Span::ZERO,
    };
    let per_token = crate::PerToken { median: Span::from_millis(50), sigma: 0.0, growth: 0.0 };
    let service = Service::Tokens { first_token, per_token };
    // One outage begins before the first token, at 1110 ms, the other after it.
    for (from, tries) in [(1050, 3), (1300, 1)] {
        let mut plan = plan(openai(1), vec![Provider { service: service.clone(), ..constant(0) }]);
        plan.faults.push(fault(from, 60_000, Effect::Outage(Outage::Refuse)));
        let call = run(&plan, Script::to(&[0])).journal().calls[0];
        assert_eq!((call.end, call.tries), (CallEnd::Failed(502), tries));
        assert_eq!(call.first_token.is_some(), tries == 1);
    }
}

/// What was submitted.
#[derive(Debug, Default)]
struct Submitted(Vec<Request>);

impl Journal for Submitted {
    fn input(&mut self, _: Time, input: &Input) {
        if let Input::Submit(request) = input {
            self.0.push(*request);
        }
    }

    fn output(&mut self, _: Time, _: &Output) {}

    fn call(&mut self, _: Time, _: &Call) {}
}

fn submitted(plan: &Plan) -> Vec<Request> {
    let mut world = World::new(plan, Driver::new(Script::to(&[0]), Submitted::default()));
    world.run();
    world.into_driver().into_journal().0
}

#[test]
fn requests_carry_their_tags_region_and_conversation_through_all_tries() {
    let population = Demand { tags: 5, region: 2, conversations: 50, ..openai(4000) };
    let mut plan = plan(population, vec![constant(1)]);
    plan.providers[0].errors = Ratio::new(1, 2).unwrap();
    plan.demands.push(Demand { conversations: 1, ..demand(1, 3) });
    plan.demands.push(demand(1, 1));
    let requests = submitted(&plan);
    let mut counts = BTreeMap::new();
    let mut conversation_of = BTreeMap::new();
    for request in requests.iter().filter(|request| request.id.source() == 0) {
        assert_eq!((request.tags, request.region), (5, 2));
        let known = *conversation_of.entry(request.id.call()).or_insert(request.affinity);
        assert_eq!(known, request.affinity, "one conversation for all tries");
        *counts.entry(request.affinity).or_insert(0_u32) += u32::from(request.id.client_try() == 0);
    }
    assert!(requests.len() > 6000, "{} of 4000 calls are tried again", requests.len());
    // 80 of each, standard deviation 9.
    assert_eq!(counts.len(), 50);
    assert!(counts.values().all(|count| (40..120).contains(count)), "{counts:?}");
    let others: Vec<u64> =
        requests.iter().filter(|r| r.id.source() > 0).map(|r| r.affinity).collect();
    assert!(others.iter().all(|affinity| !counts.contains_key(affinity)), "{others:?}");
    assert_eq!(others.iter().filter(|&&affinity| affinity == 0).count(), 1, "{others:?}");
}

#[test]
fn a_share_of_the_calls_streams_and_a_call_keeps_to_it() {
    let population = Demand { stream: Ratio::new(4, 5).unwrap(), ..openai(4000) };
    let mut plan = plan(population, vec![fault::tokens()]);
    plan.providers[0].errors = Ratio::new(1, 2).unwrap();
    let mut streams = BTreeMap::new();
    for request in submitted(&plan) {
        assert_eq!(*streams.entry(request.id.call()).or_insert(request.stream), request.stream);
    }
    // 3200, standard deviation 25.
    let count = streams.values().filter(|&&streams| streams).count();
    assert!((3100..3300).contains(&count), "{count}");
    // And the provider keeps to what the request said.
    let world = run(&plan, Script::to(&[0]));
    let answered = |call: &&Call| matches!(call.end, CallEnd::Answered(_)) && streams[&call.id];
    let answered = world.journal().calls.iter().filter(answered).count();
    let told = world.journal().inputs.iter().filter(|(_, what)| what.ends_with("FirstToken"));
    assert_eq!(told.count(), answered);
}
