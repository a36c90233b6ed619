use router_core::{CallEnd, Rate};

use super::*;
use crate::{Order, Reserves, RetryAfter};

/// One server of 100 ms; `n` calls, one each 10 ms.
fn one_server(n: u64, when_full: WhenFull, abandoned: Abandoned) -> Plan {
    let provider = Provider {
        connect: Span::ZERO,
        concurrency: Some(1),
        when_full,
        abandoned,
        ..constant(100)
    };
    plan(demand(10, n), vec![provider])
}

fn completions(world: &World<Script, Log>) -> Vec<(u64, u64)> {
    let answered = |c: &&Call| matches!(c.end, CallEnd::Answered(_));
    let calls = world.journal().calls.iter().filter(answered);
    calls.map(|c| (c.id.sequence(), c.ended.as_nanos() / 1_000_000)).collect()
}

#[test]
fn a_full_provider_refuses_or_lets_wait_up_to_its_bound() {
    let stops = Abandoned::Stops;
    let world = run(&one_server(4, WhenFull::Refuse, stops), Script::to(&[0]));
    assert_eq!(completions(&world), [(1, 110)]);
    assert!(world.journal().inputs.contains(&(20, "r2#1 server 503".into())));

    let fifo = WhenFull::Queue { bound: 2, order: Order::Fifo };
    let world = run(&one_server(4, fifo, stops), Script::to(&[0]));
    assert_eq!(completions(&world), [(1, 110), (2, 210), (3, 310)]);

    let lifo = WhenFull::Queue { bound: 2, order: Order::Lifo };
    let world = run(&one_server(4, lifo, stops), Script::to(&[0]));
    assert_eq!(completions(&world), [(1, 110), (3, 210), (2, 310)]);
}

#[test]
fn abandoned_work_runs_on_or_stops() {
    let queue = WhenFull::Queue { bound: 9, order: Order::Fifo };
    // Four calls at once, each dropped after 130 ms, so that only the first is in time. Where
    // they stop, the server is free for the call that comes at 200 ms; where they run on, it
    // still works on the second and the third, and that call is late too.
    let late = |abandoned| {
        let mut plan = one_server(4, queue, abandoned);
        plan.demands.push(demand(200, 1));
        let script = Script { total: Span::from_millis(130), ..Script::to(&[0]) };
        let world = run(&plan, script);
        assert_eq!(completions(&world)[0], (1, 110));
        let late = world.journal().calls.iter().find(|c| c.id.source() == 1).copied().unwrap();
        matches!(late.end, CallEnd::Answered(_)).then(|| late.ended.as_nanos() / 1_000_000)
    };
    assert_eq!(late(Abandoned::Stops), Some(300));
    assert_eq!(late(Abandoned::RunsOn), None);
}

#[test]
fn a_waiting_call_reports_its_connection_in_time() {
    let queue = WhenFull::Queue { bound: 9, order: Order::Fifo };
    let mut plan = one_server(2, queue, Abandoned::Stops);
    plan.providers[0].connect = Span::from_millis(5);
    let script = Script { connect: Span::from_millis(200), ..Script::to(&[0]) };
    assert_eq!(
        told(&plan, script),
        [
            "10 submit r1",
            "20 submit r2",
            "25 r2#1 Connected",
            "115 r1#1 complete 10+11",
            "215 r2#1 complete 10+11",
        ]
    );
}

#[test]
fn a_connection_is_reported_only_where_the_first_token_could_be_too_late_for_it() {
    for (connect_ms, connected) in [(109, true), (110, false), (200, false)] {
        let plan = plan(demand(1000, 1), vec![constant(100)]);
        let script = Script { connect: Span::from_millis(connect_ms), ..Script::to(&[0]) };
        let told = told(&plan, script);
        assert_eq!(told.contains(&"1010 r1#1 Connected".into()), connected, "{connect_ms}");
        assert_eq!(told.last().unwrap(), "1110 r1#1 complete 10+11");
    }
}

fn streaming(tokens: u32, per_token_ms: u64, growth: f64) -> Plan {
    let first_token = crate::FirstToken {
        median: Span::from_millis(100),
        sigma: 0.0,
        tail: Ratio::ZERO,
        tail_factor: 1.0,
        tail_shape: 1.0,
        max: Span::from_secs(60),
        per_input_token: Span::from_millis(1),
    };
    let median = Span::from_millis(per_token_ms);
    let per_token = crate::PerToken { median, sigma: 0.0, growth };
    let service = Service::Tokens { first_token, per_token };
    let demand = Demand { output: Lengths::Fixed(tokens), ..demand(1000, 1) };
    plan(demand, vec![Provider { service, ..constant(0) }])
}

#[test]
fn a_stream_shows_its_first_token_then_progress_each_heartbeat_then_its_end() {
    let script = Script { heartbeat: Span::from_secs(1), ..Script::to(&[0]) };
    assert_eq!(
        told(&streaming(241, 10, 0.0), script.clone()),
        [
            "1000 submit r1",
            "1120 r1#1 FirstToken",
            "2120 r1#1 Progress(101)",
            "3120 r1#1 Progress(201)",
            "3520 r1#1 complete 10+241",
        ]
    );
    // One that ends with a heartbeat needs none.
    assert_eq!(told(&streaming(101, 10, 0.0), script).len(), 3);
}

#[test]
fn a_call_that_does_not_stream_shows_only_its_connection_and_its_end() {
    let mut plan = streaming(241, 10, 0.0);
    plan.demands[0].stream = Ratio::ZERO;
    assert_eq!(
        told(&plan, Script::to(&[0])),
        ["1000 submit r1", "1010 r1#1 Connected", "3520 r1#1 complete 10+241"]
    );
    let world = run(&plan, Script::to(&[0]));
    let call = world.journal().calls[0];
    assert_eq!(call.first_token, Some(call.ended));
}

#[test]
fn tokens_come_slower_the_more_calls_are_in_service() {
    let mut plan = streaming(11, 10, 0.5);
    plan.demands[0].arrivals = Arrivals::Constant { gap: Span::ZERO, count: 3 };
    let world = run(&plan, Script::to(&[0]));
    // Three in service when they decode: 10 tokens of 20 ms each.
    let took: Vec<_> =
        world.journal().calls.iter().map(|c| c.ended.as_nanos() / 1_000_000).collect();
    assert_eq!(took, [320, 320, 320]);
}

#[test]
fn a_provider_fails_of_itself_as_often_as_it_says() {
    let mut provider = constant(10);
    provider.errors = Ratio::new(1, 4).unwrap();
    let world = run(&plan(demand(1, 4000), vec![provider]), Script::to(&[0]));
    assert!((890..1110).contains(&world.tally().failed), "{:?}", world.tally());
    assert!(world.journal().inputs.iter().any(|(_, what)| what.ends_with("server 500")));
}

#[test]
fn quotas_are_the_deployments_own_or_shared_by_number() {
    let requests = Some(Rate { amount: 2, period: Span::from_secs(60), burst: None });
    let quota = |shared| Quota { requests, shared, ..Quota::default() };
    for (numbers, failed) in [([None, None], 0), ([Some(3), Some(3)], 2), ([Some(3), Some(4)], 0)] {
        let providers = numbers.map(|n| Provider { quota: quota(n), ..constant(10) }).to_vec();
        let mut plan = plan(demand(100, 2), providers);
        plan.demands.push(demand(150, 2));
        let brain = BySource(Script::to(&[0]));
        let mut world = World::new(&plan, Driver::new(brain, Log::default()));
        world.run();
        assert_eq!(world.tally().failed, failed, "{numbers:?}");
    }
}

/// Sends requests of source `n` to deployment `n`.
#[derive(Debug)]
struct BySource(Script);

impl Brain for BySource {
    fn handle(&mut self, now: Time, input: Input) -> Outputs<'_> {
        if let Input::Submit(request) = &input {
            self.0.to = vec![usize::from(request.id.source())];
        }
        self.0.handle(now, input)
    }

    fn next_wakeup(&self) -> Option<Wakeup> {
        self.0.next_wakeup()
    }
}

#[test]
fn a_429_says_when_in_seconds_in_milliseconds_or_not_at_all() {
    for (retry_after, text) in [
        (RetryAfter::Seconds, "1110 r2#1 rate-limit 429 after 9s"),
        (RetryAfter::Millis, "1110 r2#1 rate-limit 429 after 8234ms"),
        (RetryAfter::Absent, "1110 r2#1 rate-limit 429"),
    ] {
        // Calls at 550 and 1100 ms; the bucket has the next one at 9333.5 ms.
        let period = Span::from_micros(8_783_500);
        let requests = Some(Rate { amount: 1, period, burst: None });
        let mut provider = constant(10);
        provider.quota = Quota { requests, retry_after, ..Quota::default() };
        assert_eq!(told(&plan(demand(550, 2), vec![provider]), Script::to(&[0]))[3], text);
    }
}

#[test]
fn an_abandoned_call_gives_back_what_it_did_not_produce() {
    // 100 tokens/day; each call reserves 60 and is dropped with nothing produced.
    let tokens = Some(Rate { amount: 100, period: Span::from_secs(86_400), burst: None });
    for (reserves, refused) in [(Reserves::Settles(60), 0), (Reserves::Keeps(60), 2)] {
        let mut provider = constant(5000);
        provider.quota = Quota { tokens, reserves, ..Quota::default() };
        let script = Script { total: Span::from_millis(100), ..Script::to(&[0]) };
        let world = run(&plan(demand(1000, 3), vec![provider]), script);
        let refusals = world.journal().inputs.iter().filter(|(_, t)| t.contains("429")).count();
        assert_eq!(refusals, refused);
    }
}
