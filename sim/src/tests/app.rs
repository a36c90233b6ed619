use router_core::CallEnd;

use super::*;
use crate::{Application, Probe};

fn application(replicas: u16, pool: u32, backlog: u32, probe: Option<Probe>) -> Application {
    Application { replicas, pool, backlog, probe, restart: Span::from_secs(5) }
}

fn probe(every_s: u64, failures: u32) -> Option<Probe> {
    let every = Span::from_secs(every_s);
    Some(Probe { every, timeout: Span::from_millis(500), failures })
}

/// `count` calls, one each 100 ms, of 1 s each, through one application.
fn held(count: u64, app: Application) -> Plan {
    Plan { app: Some(app), ..plan(demand(100, count), vec![constant(1000)]) }
}

#[test]
fn calls_wait_for_a_connection_and_go_in_the_order_in_which_they_came() {
    let world = run(&held(4, application(1, 2, 10, None)), Script::to(&[0]));
    let submits = |(at, text): &(u64, String)| text.starts_with("submit").then_some(*at);
    let at: Vec<u64> = world.journal().inputs.iter().filter_map(submits).collect();
    // 10 ms to connect and 1 s of work; the third takes the first one's connection.
    assert_eq!(at, [100, 200, 1110, 1210]);
    let waits = world.journal().calls.iter().map(|call| call.ended.since(call.arrived).as_millis());
    assert_eq!(waits.collect::<Vec<_>>(), [1010, 1010, 1820, 1820]);
    assert_eq!(world.app().unwrap(), &crate::AppLog::default());
}

#[test]
fn beyond_the_backlog_calls_are_refused() {
    let world = run(&held(6, application(1, 2, 3, None)), Script::to(&[0]));
    let tally = world.tally();
    assert_eq!((tally.calls, tally.submissions, tally.answered, tally.failed), (6, 5, 5, 1));
    let ends = world.journal().calls.iter().map(|call| call.end);
    assert_eq!(ends.filter(|end| *end == CallEnd::Failed(503)).count(), 1);
    assert_eq!(world.app().unwrap().refused, [Time::ZERO + Span::from_millis(600)]);
}

#[test]
fn a_user_who_leaves_the_line_frees_the_place() {
    let mut plan = held(4, application(1, 1, 2, None));
    plan.demands[0].patience = Some(Span::from_millis(300));
    let world = run(&plan, Script::to(&[0]));
    // Nobody has a token within 300 ms; each goes to the provider when the one before leaves.
    let at: Vec<_> = world.journal().calls.iter().map(|call| (call.ended, call.end)).collect();
    assert!(at.iter().all(|(_, end)| *end == CallEnd::Left), "{at:?}");
    let submits = |(at, text): &(u64, String)| text.starts_with("submit").then_some(*at);
    let at: Vec<u64> = world.journal().inputs.iter().filter_map(submits).collect();
    assert_eq!(at, [100, 400, 500, 600]);
    assert!(world.app().unwrap().refused.is_empty(), "the line had room for the fourth");
}

#[test]
fn a_replica_whose_probes_starve_is_restarted_with_all_that_is_on_it() {
    // A call a tenth of a second on ten connections that are held for ever: full after a second.
    let mut plan = held(60, application(1, 10, 100, probe(1, 2)));
    plan.faults.push(fault(0, 100_000, Effect::Outage(crate::Outage::BlackHole)));
    plan.demands[0].client = Client { timeout: Span::from_secs(60), ..Client::ONCE };
    let script =
        || Script { total: Span::from_secs(60), connect: Span::from_secs(60), ..Script::to(&[0]) };
    let world = run(&plan, script());
    let log = world.app().unwrap();
    // Probes of 2 s and 3 s wait half a second each for nothing.
    assert_eq!(log.restarts, [(Time::ZERO + Span::from_millis(3500), 0)]);
    let cut = |call: &&Call| call.end == CallEnd::Failed(502);
    let died: Vec<_> = world.journal().calls.iter().filter(cut).collect();
    // Ten with a connection, of which the router is told, and 24 in line.
    assert_eq!((died.len(), log.cut.len()), (34, 34));
    assert!(died.iter().all(|call| call.ended == log.restarts[0].0));
    let told =
        world.journal().inputs.iter().filter(|(at, t)| *at == 3500 && t.starts_with("cancel"));
    assert_eq!(told.count(), 10);
    // Nobody is up for five seconds.
    assert_eq!(log.refused.len(), 26);
    // A pool that the calls do not fill has no such trouble.
    let roomy = Plan { app: Some(application(1, 100, 100, probe(1, 2))), ..plan };
    assert!(run(&roomy, script()).app().unwrap().restarts.is_empty());
}

#[test]
fn others_take_over_from_a_replica_that_is_down() {
    let mut plan = held(400, application(4, 20, 100, probe(10, 3)));
    plan.demands[0].client = Client::openai_python();
    let world = run(&plan, Script::to(&[0]));
    assert_eq!(world.tally().answered, 400);
    // One run is one world, and another seed another.
    let again = run(&plan, Script::to(&[0]));
    assert!(again.journal() == world.journal());
    plan.seed = Seed::from_u64(8);
    assert!(run(&plan, Script::to(&[0])).tally().answered == 400);
}
