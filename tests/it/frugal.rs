//! What a request costs in memory.

use std::sync::Arc;

use router_core::{Config, Driver, Input, Journal, Observation, Output, Router, Time};
use scenarios::resolve::Resolved;
use sim::World;
use tests::stage::{
    thousand_rps, thousand_rps_with_policies, thousand_rps_with_queue, thousand_rps_with_subjects,
};

#[test]
fn a_request_in_flight_takes_at_most_256_bytes() {
    let (core, sim) = (Router::BYTES_PER_REQUEST, sim::BYTES_PER_CALL);
    assert!(core + sim <= 256, "{core} B in the router and {sim} B in the world");
}

#[test]
fn a_request_allocates_nothing() {
    allocates_nothing(thousand_rps());
}

#[test]
fn a_request_allocates_nothing_with_breaker_hedges_and_estimates() {
    allocates_nothing(thousand_rps_with_policies());
}

#[test]
fn a_request_allocates_nothing_on_account_of_subjects() {
    allocates_nothing(thousand_rps_with_subjects());
}

#[test]
fn a_request_that_waits_in_a_queue_allocates_nothing() {
    let waited = allocates_nothing(thousand_rps_with_queue());
    assert!(waited >= 5_000, "only {waited} waited");
}

/// How many requests have waited in a queue.
#[derive(Debug, Default)]
struct Waits(u64);

impl Journal for Waits {
    fn input(&mut self, _: Time, _: &Input) {}

    fn output(&mut self, _: Time, output: &Output) {
        if let Output::Observe(Observation::Queued { .. }) = output {
            self.0 += 1;
        }
    }
}

/// After warm-up, which is when tables have grown to the run's peak. Tells how many of a hundred
/// thousand requests waited.
fn allocates_nothing((config, resolved): (Arc<Config>, Resolved)) -> u64 {
    let plan = resolved.plan;
    let router = Router::new(Arc::clone(&config), plan.seed, Time::ZERO);
    let mut world = World::new(&plan, Driver::new(router, Waits::default()));
    // Past the outage and most of the brownout, so that retries, rests and fallbacks are warm too.
    while world.tally().calls < 198_000 {
        world.step();
    }
    let (before, waited) = (world.tally().submissions, world.journal().0);
    let counted = allocation_counter::measure(|| {
        while world.tally().calls < 298_000 {
            world.step();
        }
    });
    let requests = world.tally().submissions - before;
    assert!(requests >= 100_000);
    assert_eq!(counted.count_total, 0, "over {requests} requests");
    world.journal().0 - waited
}
