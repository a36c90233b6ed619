//! Random worlds, in which the router and the auditor must agree.

use std::string::{String, ToString};
use std::sync::Arc;
use std::vec::Vec;

use proptest::prelude::*;

use self::dice::Dice;
use crate::{
    Abandon, AttemptId, Auditor, Brain, Cached, Config, Consumption, DeploymentId, Dispatch,
    Driver, Effects, GroupId, Input, Invariant, Kind, Line, Observation, Outcome, Purpose,
    Recorder, Request, RequestId, Router, Seed, Span, Spec, Time, Upstream, Usage,
};

mod dice;
mod learned;

/// What the world knows of the router's calls.
#[derive(Default)]
struct World {
    /// With the tokens it has seen, if it has heard anything.
    live: Vec<(AttemptId, DeploymentId, Option<u32>)>,
    gone: Vec<AttemptId>,
    open: Vec<RequestId>,
}

impl Effects for World {
    fn dispatch(&mut self, _: Time, dispatch: Dispatch) {
        self.live.push((dispatch.attempt, dispatch.deployment, None));
    }

    fn abandon(&mut self, _: Time, attempt: AttemptId, _: Abandon) {
        self.live.retain(|live| live.0 != attempt);
        self.gone.push(attempt);
    }

    fn commit(&mut self, _: Time, _: AttemptId) {}

    fn finish(&mut self, _: Time, request: RequestId, outcome: Outcome) {
        if outcome != Outcome::Reject(crate::Rejection::Duplicate) {
            self.open.retain(|open| *open != request);
        }
    }

    fn observe(&mut self, _: Time, _: Observation) {}
}

type Journals = (Recorder<String>, Auditor);

/// A run in a random world; what the auditor and the recorder have to say of it.
struct Run {
    dice: Dice,
    seed: Seed,
    spec: Spec,
    /// The first configuration, and all that followed.
    configs: Vec<Arc<Config>>,
    /// Always there, but while it is taken apart.
    driver: Option<Driver<Router, Journals>>,
    world: World,
    start: Time,
    now: Time,
    wakeup: Option<Time>,
    submitted: u64,
    /// Deployments that fail more often than not, as a set.
    ill: u64,
}

impl Run {
    fn new(seed: u64) -> Self {
        let seed = Seed::from_u64(seed);
        let mut dice = Dice(seed.stream(Purpose::Swarm, 0));
        let spec = dice.spec();
        let config = Arc::new(Config::new(&spec).expect("the dice make valid configurations"));
        let start = Time::from_nanos(dice.below(1 << 40));
        let journals = (
            Recorder::new(String::new(), &config, start),
            Auditor::new(Arc::clone(&config), start).with_seed(seed),
        );
        let driver = Some(Driver::new(Router::new(Arc::clone(&config), seed, start), journals));
        let world = World::default();
        Self {
            dice,
            seed,
            spec,
            configs: [config].into(),
            driver,
            world,
            start,
            now: start,
            wakeup: None,
            submitted: 0,
            ill: 0,
        }
    }

    fn feed(&mut self, input: Input) {
        let driver = self.driver.as_mut().expect("it is put back at once");
        let wakeup = driver.step(self.now, input, &mut self.world);
        self.wakeup = wakeup.map(|wakeup| wakeup.at);
    }

    fn router(&self) -> &Router {
        self.driver.as_ref().expect("it is put back at once").brain()
    }

    /// The router is written down, and another one made of that goes on.
    fn restart(&mut self) {
        let (text, config) = (self.router().snapshot(), Arc::clone(self.router().config()));
        let router = Router::restore(config, self.seed, &text).expect("it was just written");
        assert_eq!(router.snapshot(), text, "what is restored is what was written");
        let driver = self.driver.take().expect("it is put back at once");
        self.driver = Some(Driver::new(router, driver.into_journal()));
    }

    fn step(&mut self, pace: u64) {
        match self.dice.below(8) {
            0 => {}
            1 => self.now = self.wakeup.unwrap_or(self.now).max(self.now),
            // Past the wake-up, perhaps: a starved timer.
            2 => self.now = self.now + Span::from_millis(self.dice.below(20 * pace)),
            _ => {
                let next = self.now + Span::from_nanos(self.dice.below(pace * 1_000_000));
                while let Some(at) = self.wakeup.filter(|at| *at < next) {
                    self.now = self.now.max(at);
                    self.feed(Input::Tick);
                }
                self.now = next;
            }
        }
        if self.dice.once_in(50) {
            self.restart();
        }
        let input = self.input();
        self.feed(input);
    }

    fn input(&mut self) -> Input {
        let config = Arc::clone(self.router().config());
        let (limits, deployments) = (config.limits().len() as u64, config.deployments());
        let dice = &mut self.dice;
        match dice.below(40) {
            0..=11 => self.submit(),
            12..=31 if !self.world.live.is_empty() => {
                let index = dice.below(self.world.live.len() as u64) as usize;
                let (attempt, deployment, tokens) = &mut self.world.live[index];
                let ill = self.ill & 1 << deployment.index() != 0;
                let news = dice.news(tokens, ill);
                let attempt = *attempt;
                if matches!(news, Upstream::Complete(_) | Upstream::Fail(_)) {
                    self.world.live.swap_remove(index);
                }
                Input::Upstream(attempt, news)
            }
            32 if !self.world.gone.is_empty() => {
                let attempt = dice.pick(&self.world.gone);
                Input::Upstream(attempt, dice.news(&mut None, false))
            }
            33..=34 if !self.world.open.is_empty() => Input::Cancel(dice.pick(&self.world.open)),
            35 => {
                self.ill = dice.below(1 << deployments.len());
                Input::Tick
            }
            36 if dice.once_in(4) => self.reconfigure(),
            37 if dice.once_in(4) => {
                let deployment = dice.below(deployments.len() as u64) as usize;
                let keys = u64::from(deployments[deployment].keys);
                Input::Peers(Consumption::Resting {
                    deployment: DeploymentId::at(deployment),
                    key: dice.once_in(2).then(|| dice.below(keys) as u8),
                    remaining: dice.remaining(),
                    asked: dice.once_in(3),
                })
            }
            38 if dice.once_in(2) => {
                let elapsed = self.now.since(self.start) + config.router().periods_began;
                Input::Peers(dice.peer(limits, (self.now, elapsed)))
            }
            39 if dice.once_in(100) => Input::Drain,
            _ => Input::Tick,
        }
    }

    /// Other policies, and perhaps other names: some are removed, some come, some return.
    fn reconfigure(&mut self) -> Input {
        let running = Arc::clone(self.router().config());
        let mut next = self.dice.respec(&self.spec);
        if self.dice.once_in(2) {
            self.dice.rename(&mut next);
        }
        let config = if self.dice.once_in(8) {
            // Not a revision of what runs: a misfit, unless there is little to number.
            next.deployments.reverse();
            Config::new(&next).expect("still valid")
        } else {
            running.revise(&next).expect("still valid, and there are few names")
        };
        if running.fits(&config) {
            self.spec = next;
        }
        let config = Arc::new(config);
        self.configs.push(Arc::clone(&config));
        Input::Reconfigure(config)
    }

    fn submit(&mut self) -> Input {
        let groups = self.router().config().groups().len() as u64;
        let dice = &mut self.dice;
        let id = match self.world.open.last() {
            Some(&open) if dice.once_in(50) => open,
            Some(_) | None => {
                self.submitted += 1;
                RequestId::new(0, self.submitted, 0)
            }
        };
        let group = GroupId::at(dice.below(groups) as usize);
        let mut request = Request::new(id, group, dice.below(2_000) as u32);
        request.stream = !dice.once_in(4);
        request.output_max = dice.once_in(2).then(|| dice.below(1_000) as u32);
        request.tags = if dice.once_in(4) { dice.below(8) } else { 0 };
        request.region = if dice.once_in(4) { dice.below(3) as u16 } else { 0 };
        request.affinity = dice.below(3);
        let first = if dice.once_in(3) { Kind::OTHERS } else { 0 };
        request.subjects = [(); 4].map(|()| first + dice.below(5) as u32);
        request.cached = dice.pick(&[Cached::None, Cached::None, Cached::Stale, Cached::Fresh]);
        request.priority = dice.below(4) as u8;
        request.deadline = dice.once_in(4).then(|| self.now + Span::from_millis(dice.below(9_000)));
        if !self.world.open.contains(&id) {
            self.world.open.push(id);
        }
        Input::Submit(request)
    }

    /// Answers everything, waits for everything, and lets the auditor close its books.
    fn end(mut self) -> (Journals, Tape) {
        while self.router().in_flight() > 0 {
            if let Some((attempt, ..)) = self.world.live.pop() {
                self.feed(Input::Upstream(attempt, Upstream::Complete(Usage::default())));
            } else if let Some(at) = self.wakeup {
                self.now = self.now.max(at);
                self.feed(Input::Tick);
            } else {
                break;
            }
        }
        let driver = self.driver.take().expect("it is put back at once");
        let mut journals = driver.into_journal();
        journals.1.at_rest();
        (journals, Tape { seed: self.seed, configs: self.configs })
    }
}

/// What a record is replayed with.
struct Tape {
    seed: Seed,
    configs: Vec<Arc<Config>>,
}

impl Tape {
    /// Feeds the inputs of a record to a new router, which must say what is recorded.
    fn replay(&self, record: &str) {
        let mut router = None;
        let mut said = Vec::new();
        for text in record.lines() {
            match Line::parse(text, &self.configs).expect("a record reads back") {
                Line::Start(at) => {
                    router = Some(Router::new(Arc::clone(&self.configs[0]), self.seed, at));
                }
                Line::Input(at, input) => {
                    assert!(said.is_empty(), "recorded was not `{said:?}`");
                    let router = router.as_mut().expect("a record starts with its start");
                    let lines = router.handle(at, input).map(|out| Line::Output(at, out));
                    said = lines.map(|line| line.to_string()).collect();
                    said.reverse();
                }
                Line::Output(..) => assert_eq!(said.pop().as_deref(), Some(text)),
                Line::Version(_) | Line::Config(_) => {}
                Line::Group(..) | Line::Deployment(..) | Line::Limit(..) => {}
            }
        }
    }
}

fn run(seed: u64, steps: u32) -> (Journals, Tape) {
    let mut run = Run::new(seed);
    let pace = run.dice.pick(&[1, 20, 200]);
    for _ in 0..steps {
        run.step(pace);
    }
    run.end()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 256,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]
    #[test]
    fn a_router_in_a_random_world_breaks_no_invariant(seed: u64, steps in 1_u32..1_500) {
        let ((record, auditor), tape) = run(seed, steps);
        let record = record.finish().unwrap_or_default();
        if let Some(violation) = auditor.violations().first() {
            let upto = violation.at.to_string();
            let upto = record.rfind(&upto).unwrap_or(record.len());
            let tail: Vec<&str> = record[..upto].lines().rev().take(60).collect();
            let tail = tail.into_iter().rev().collect::<Vec<&str>>().join("\n");
            prop_assert!(false, "{}\n{tail}\nof {} violations", violation, auditor.total());
        }
        tape.replay(&record);
    }
}

#[test]
fn random_worlds_reach_every_premise() {
    let mut met = [0; Invariant::ALL.len()];
    for seed in 0..40 {
        let ((_, auditor), _) = run(seed, 1_000);
        for (sum, count) in met.iter_mut().zip(auditor.premises()) {
            *sum += count;
        }
    }
    for (invariant, count) in Invariant::ALL.iter().zip(met) {
        assert!(count > 0, "{invariant} was never put to the test");
    }
}
