//! What `check` says of the worst case, held to random worlds.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use router_core::{Config, Input, Journal, Observation, Output, Ratio, RequestId, Time};
use tests::world::{settings, swarm};

/// Holds every request that ends to what was said of its group.
#[derive(Debug)]
struct Judge {
    config: Arc<Config>,
    /// Whether a request in flight streams.
    streams: BTreeMap<RequestId, bool>,
    exceeded: Vec<String>,
    /// Requests that made as many attempts as any could, and more than one; that took as long
    /// as any could.
    met: [u64; 2],
}

impl Journal for Judge {
    fn input(&mut self, _: Time, input: &Input) {
        if let Input::Submit(request) = input {
            self.streams.insert(request.id, request.stream);
        }
    }

    fn output(&mut self, _: Time, output: &Output) {
        let Output::Observe(Observation::Closed { request, group, attempts, elapsed, .. }) = output
        else {
            return;
        };
        let Some(streams) = self.streams.remove(request) else { return };
        let worst = self.config.worst_case(*group);
        let latency = if streams { worst.stream.latency } else { worst.whole.latency };
        let made = u32::from(*attempts);
        if made > worst.attempts || *elapsed > latency {
            self.exceeded.push(format!("{request}: {made} attempts, {elapsed}: {worst:?}"));
        }
        self.met[0] += u64::from(made == worst.attempts && made > 1);
        self.met[1] += u64::from(*elapsed == latency);
    }
}

#[test]
fn no_request_costs_more_than_the_worst_case() {
    let met = Arc::new(Mutex::new([0_u64; 4]));
    let counted = Arc::clone(&met);
    // Without a retry budget the bounds are others: nothing waits, and fallbacks are all there is.
    let settings = (settings(), any::<bool>()).prop_map(|(mut setting, is_paid)| {
        if !is_paid {
            setting.spec.router.retry_budget.ratio = Some(Ratio::ZERO);
            setting.spec.router.retry_budget.per_second = 0;
        }
        (setting, is_paid)
    });
    let ran = TestRunner::new(swarm(300)).run(&settings, move |(setting, is_paid)| {
        let config = setting.config();
        let judge = Judge { config, streams: BTreeMap::new(), exceeded: Vec::new(), met: [0; 2] };
        let judge = setting.run(judge).into_driver().into_journal();
        prop_assert_eq!(judge.exceeded, Vec::<String>::new());
        let mut counted = counted.lock().expect("no other test holds it");
        let counted = &mut counted[2 * usize::from(is_paid)..];
        counted.iter_mut().zip(judge.met).for_each(|(all, one)| *all += one);
        Ok(())
    });
    if let Err(failure) = ran {
        panic!("{failure}");
    }
    // A bound that nothing comes near would say nothing.
    let met = met.lock().expect("the run is over");
    assert!(met.iter().all(|met| *met > 50), "{met:?}");
}
