//! What a router was told and what it did, kept to be told again.

use std::sync::Arc;

use router_core::{Brain, Config, Driver, Input, Journal, Output, Router, Seed, Time};
use sim::World;

use crate::world::Setting;

/// Every timed input and output of a run.
#[derive(Clone, Debug, Default)]
pub struct Tape {
    /// What the router was told.
    pub inputs: Vec<(Time, Input)>,
    /// What it did.
    pub outputs: Vec<(Time, Output)>,
}

impl Journal for Tape {
    fn input(&mut self, now: Time, input: &Input) {
        self.inputs.push((now, input.clone()));
    }

    fn output(&mut self, now: Time, output: &Output) {
        self.outputs.push((now, *output));
    }
}

impl Setting {
    /// The configuration.
    ///
    /// # Panics
    /// If the specification is wrong, which random ones are not.
    pub fn config(&self) -> Arc<Config> {
        match Config::new(&self.spec) {
            Ok(config) => Arc::new(config),
            Err(errors) => panic!("a random specification is valid: {errors:?}"),
        }
    }

    /// Runs it with `journal`.
    pub fn run<J: Journal>(&self, journal: J) -> World<Router, J> {
        let router = Router::new(self.config(), self.seed, Time::ZERO);
        let mut world = World::new(&self.plan, Driver::new(router, journal));
        world.run();
        world
    }

    /// Runs it, keeping everything.
    pub fn tape(&self) -> Tape {
        self.run(Tape::default()).into_driver().into_journal()
    }
}

/// What `router` does when it is told `inputs`.
pub fn replay(router: &mut Router, inputs: &[(Time, Input)]) -> Vec<(Time, Output)> {
    let mut outputs = Vec::new();
    for (now, input) in inputs {
        outputs.extend(router.handle(*now, input.clone()).map(|output| (*now, output)));
    }
    outputs
}

/// A router of `config`, made at `start`, told `inputs`.
pub fn replay_from(
    config: &Arc<Config>,
    seed: Seed,
    start: Time,
    inputs: &[(Time, Input)],
) -> Vec<(Time, Output)> {
    replay(&mut Router::new(Arc::clone(config), seed, start), inputs)
}
