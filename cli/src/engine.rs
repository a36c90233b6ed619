//! Running a world: the router, and everybody who watches it.

use std::sync::Arc;

use reports::{CallLog, Figures, Fold};
use router_core::{Auditor, Config, Digest, Driver, Recorder, Router, Seed, Time, Violation};
use sim::{Plan, World};

use crate::prepare::Prepared;

/// How closely a run is watched.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Watch {
    /// Keep every timed input and output.
    pub(crate) record: bool,
    /// Keep calls one by one.
    pub(crate) calls: bool,
    /// Stop when so many calls have arrived.
    pub(crate) first: Option<u64>,
}

/// What came of a run.
pub(crate) struct Flown {
    pub(crate) figures: Figures,
    /// Over every timed input and output.
    pub(crate) digest: u128,
    pub(crate) violations: Vec<Violation>,
    pub(crate) violated: u64,
    /// How often each fault of the plan touched a call.
    pub(crate) fired: Vec<u64>,
    pub(crate) calls: Option<CallLog>,
    pub(crate) record: Option<String>,
}

/// How many events pass between two looks at the clock.
const STRIDE: u64 = 16_384;

type Watchers = ((Fold, Auditor), (Digest, (Option<CallLog>, Option<Recorder<String>>)));

/// Runs the prepared world once, under `seed`. `progress` hears of virtual time now and then.
pub(crate) fn fly(
    prepared: &Prepared,
    seed: u64,
    watch: Watch,
    mut progress: impl FnMut(Time, Time),
) -> Flown {
    let seed = Seed::from_u64(seed);
    let plan = Plan { seed, ..prepared.resolved.plan.clone() };
    let config: &Arc<Config> = &prepared.config;
    let recorder = watch.record.then(|| Recorder::new(String::new(), config, Time::ZERO));
    let fold = Fold::new(Arc::clone(config), prepared.resolved.frame.clone());
    let auditor = Auditor::new(Arc::clone(config), Time::ZERO);
    let calls = watch.calls.then(|| CallLog::new(seed));
    let watchers: Watchers = ((fold, auditor), (Digest::new(), (calls, recorder)));
    let router = Router::new(Arc::clone(config), seed, Time::ZERO);
    let mut world = World::new(&plan, Driver::new(router, watchers));
    let enough = watch.first.unwrap_or(u64::MAX);
    while world.tally().calls < enough && world.step_many(STRIDE) {
        let (now, horizon) = world.progress();
        progress(now, horizon);
    }
    let (end, fired) = (world.now(), world.fired());
    let ((fold, mut auditor), (digest, (calls, recorder))) = world.into_driver().into_journal();
    if watch.first.is_none() {
        auditor.at_rest();
    }
    Flown {
        figures: fold.finish(end),
        digest: digest.value(),
        violations: auditor.violations().to_vec(),
        violated: auditor.total(),
        fired,
        calls,
        record: recorder.map(|recorder| recorder.finish().expect("a string takes every line")),
    }
}
