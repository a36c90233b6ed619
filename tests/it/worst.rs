//! What `check` says of the worst case, held to random worlds.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use router_core::{
    Config, Input, Journal, Observation, Output, Price, Ratio, RequestId, RetrySpec, Time,
};
use tests::world::{Setting, settings, swarm};

/// What is known of a request in flight.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    streams: bool,
    /// The longest prompt and answer that one of its calls was charged for.
    longest: [u64; 2],
    /// What its calls cost so far, in pico-dollars.
    cost: u64,
}

/// Holds every request that ends to what was said of its group.
#[derive(Debug)]
struct Judge {
    config: Arc<Config>,
    flights: BTreeMap<RequestId, Seen>,
    exceeded: Vec<String>,
    /// Requests that made as many attempts as any could, and more than one; of those, where that
    /// is fewer than `router.attempts`; that took as long as any could; that cost as much.
    met: [u64; 4],
}

impl Journal for Judge {
    fn input(&mut self, _: Time, input: &Input) {
        if let Input::Submit(request) = input {
            let seen = Seen { streams: request.stream, ..Seen::default() };
            self.flights.insert(request.id, seen);
        }
    }

    fn output(&mut self, _: Time, output: &Output) {
        if let Output::Observe(Observation::Ended { attempt, deployment, usage, .. }) = output {
            let Some(flight) = self.flights.get_mut(&attempt.request) else { return };
            let used = [usage.input_tokens, usage.output_tokens].map(u64::from);
            let longest = flight.longest.iter_mut().zip(used);
            longest.for_each(|(longest, used)| *longest = used.max(*longest));
            flight.cost += self.config.deployment(*deployment).price.of(*usage);
        }
        let Output::Observe(Observation::Closed { request, group, attempts, elapsed, .. }) = output
        else {
            return;
        };
        let Some(Seen { streams, longest, cost }) = self.flights.remove(request) else { return };
        let worst = self.config.worst_case(*group);
        let latency = if streams { worst.stream.latency } else { worst.whole.latency };
        let made = u32::from(*attempts);
        let price = worst.price.input * longest[0] + worst.price.output * longest[1];
        if made > worst.attempts || *elapsed > latency || cost > price {
            let what = format!("{made} attempts, {elapsed}, {cost} of {price}");
            self.exceeded.push(format!("{request}: {what}: {worst:?}"));
        }
        let most = made == worst.attempts && made > 1;
        let fewer = worst.attempts < u32::from(self.config.router().attempts);
        let met = [most, most && fewer, *elapsed == latency, cost == price && cost > 0];
        self.met.iter_mut().zip(met).for_each(|(count, met)| *count += u64::from(met));
    }
}

/// What may be retried: as the world says; next to nothing; nothing, for want of a budget.
const RETRIES: usize = 3;

fn hold(setting: &mut Setting, retries: usize) {
    let spec = &mut setting.spec;
    for (deployment, dear) in spec.deployments.iter_mut().zip(1..) {
        deployment.price = Price { input: 6 - dear, cached: 1, output: 2 * dear };
        // What keeps calls away keeps them from the bounds.
        deployment.adaptive = None;
    }
    if retries > 0 {
        spec.router.attempts += 3;
    }
    if retries == 1 {
        for (group, retried) in spec.groups.iter_mut().zip(1..) {
            let mut most = [0; 6];
            (most[retried], most[5]) = (1, 0);
            group.retry = RetrySpec { most };
        }
    }
    if retries == 2 {
        spec.router.retry_budget.ratio = Some(Ratio::ZERO);
        spec.router.retry_budget.per_second = 0;
    }
}

#[test]
fn no_request_costs_more_than_the_worst_case() {
    let met = Arc::new(Mutex::new([[0_u64; 4]; RETRIES]));
    let counted = Arc::clone(&met);
    // With few retries, or none, the bounds are others: fallbacks are all there is, or nearly.
    let settings = (settings(), 0..RETRIES).prop_map(|(mut setting, retries)| {
        hold(&mut setting, retries);
        (setting, retries)
    });
    let ran = TestRunner::new(swarm(1_200)).run(&settings, move |(setting, retries)| {
        let config = setting.config();
        let flights = BTreeMap::new();
        let judge = Judge { config, flights, exceeded: Vec::new(), met: [0; 4] };
        let judge = setting.run(judge).into_driver().into_journal();
        prop_assert_eq!(judge.exceeded, Vec::<String>::new());
        let mut counted = counted.lock().expect("no other test holds it");
        let counted = &mut counted[retries];
        counted.iter_mut().zip(judge.met).for_each(|(all, one)| *all += one);
        Ok(())
    });
    if let Err(failure) = ran {
        panic!("{failure}");
    }
    // A bound that nothing comes near would say nothing.
    let met = met.lock().expect("the run is over");
    let enough = |met: &[u64; 4], fewer: bool| {
        let wanted = met.iter().enumerate().filter(|(which, _)| *which != 1 || fewer);
        wanted.map(|(_, met)| *met).all(|met| met > 50)
    };
    assert!(met.iter().zip([false, true, true]).all(|(met, fewer)| enough(met, fewer)), "{met:?}");
}
