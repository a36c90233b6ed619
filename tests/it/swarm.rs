//! The auditor, in random worlds: routers and worlds drawn together, all invariants held.

use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use router_core::{Auditor, Invariant, Time};
use tests::revisions::revised_settings;
use tests::world::{Setting, swarm};

/// Runs a setting under the auditor.
fn audited(setting: &Setting) -> Auditor {
    let auditor = Auditor::new(setting.config(), Time::ZERO).with_seed(setting.seed);
    let mut auditor = setting.run(auditor).into_driver().into_journal();
    auditor.at_rest();
    auditor
}

/// No invariant breaks, and each was put to the test: one whose premise never came up was shown
/// nothing of.
#[test]
fn in_random_worlds_no_invariant_breaks_and_each_is_tried() {
    let premises = Arc::new(Mutex::new([0_u64; Invariant::ALL.len()]));
    let counted = Arc::clone(&premises);
    let ran = TestRunner::new(swarm(400)).run(&revised_settings(), move |setting| {
        let auditor = audited(&setting);
        let broken: Vec<String> = auditor.violations().iter().map(ToString::to_string).collect();
        prop_assert_eq!(broken, Vec::<String>::new());
        let mut counted = counted.lock().expect("no other test holds it");
        counted.iter_mut().zip(auditor.premises()).for_each(|(all, one)| *all += one);
        Ok(())
    });
    if let Err(failure) = ran {
        panic!("{failure}");
    }
    let premises = premises.lock().expect("the run is over");
    // A world of this kind never drains its router; the auditor's own swarm does.
    let untried: Vec<_> = Invariant::ALL
        .iter()
        .zip(premises.iter())
        .filter(|(invariant, count)| **count == 0 && **invariant != Invariant::DrainHolds)
        .map(|(invariant, _)| invariant.says())
        .collect();
    assert!(untried.is_empty(), "never put to the test: {untried:?}");
}
