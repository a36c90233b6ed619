//! Random worlds, in which the router and the auditor must agree.

use std::format;
use std::string::{String, ToString};
use std::sync::Arc;
use std::vec::Vec;

use proptest::prelude::*;

use crate::{
    Abandon, AttemptId, Auditor, BackoffSpec, ClassRests, Config, Consumption, CooldownSpec,
    DeploymentId, DeploymentSpec, Dispatch, Driver, Effects, Failure, FailureKind, GroupId,
    GroupSpec, Input, Invariant, Jitter, LimitId, LimitSpec, MemberSpec, Observation, Outcome,
    Purpose, Rate, Ratio, Recorder, Request, RequestId, Router, Seed, Span, Spec, Strategy, Stream,
    Time, TimeoutsSpec, Upstream, Usage,
};

/// Draws for a world.
struct Dice(Stream);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0.below(bound)
    }

    /// Once in `n` times.
    fn once_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }

    fn ms(&mut self, bound: u64) -> Span {
        Span::from_millis(1 + self.below(bound))
    }

    fn ratio(&mut self) -> Ratio {
        Ratio::from_ppm(self.below(1_000_001) as u32)
    }

    fn rate(&mut self, scale: u64) -> Option<Rate> {
        let amount = 1 + self.below(scale);
        let burst = self.once_in(2).then(|| 1 + self.below(2 * scale));
        self.once_in(2).then(|| Rate { amount, period: self.ms(3_000), burst })
    }

    fn limit(&mut self) -> LimitSpec {
        let mut limit = LimitSpec::default();
        match self.below(5) {
            0 => limit.requests = self.rate(20),
            1 => limit.tokens = self.rate(20_000),
            2 => limit.parallel = Some(1 + self.below(4) as u32),
            3 => {
                limit.input_tokens = self.rate(10_000);
                limit.output_tokens = self.rate(10_000);
            }
            _ => {
                limit.requests = self.rate(30);
                limit.parallel = Some(1 + self.below(8) as u32);
            }
        }
        limit
    }

    fn cooldown(&mut self) -> CooldownSpec {
        let rest = self.ms(3_000);
        CooldownSpec {
            enabled: !self.once_in(5),
            failures: self.ratio(),
            calls_min: 1 + self.below(6) as u32,
            window: self.ms(20_000) + Span::from_millis(10),
            rest,
            grow: self.pick(&[1, 2, 3]),
            max: rest + self.ms(20_000),
            jitter: if self.once_in(2) { Ratio::ZERO } else { self.ratio() },
            lone: self.once_in(2),
            classes: ClassRests::default(),
        }
    }

    fn timeouts(&mut self) -> TimeoutsSpec {
        let total = if self.once_in(6) { Span::MAX } else { self.ms(20_000) };
        let mut part = |bound| if self.once_in(6) { Span::MAX } else { self.ms(bound).min(total) };
        let (connect, first_token, idle) = (part(500), part(5_000), part(2_000));
        TimeoutsSpec { connect, first_token, idle, total, partial: self.once_in(2) }
    }

    fn group(&mut self, index: u64, deployments: u64, groups: u64) -> GroupSpec {
        let mut group = GroupSpec::new(format!("g{index}"));
        for deployment in 0..deployments {
            if self.once_in(2) || (deployment + 1 == deployments && group.members.is_empty()) {
                let weight = if self.once_in(5) { 0 } else { 1 + self.below(5) as u32 };
                let tier = self.pick(&[0, 0, 1]);
                let deployment = format!("d{deployment}");
                group.members.push(MemberSpec { deployment, weight, tier });
            }
        }
        group.members[0].weight = group.members[0].weight.max(1);
        group.strategy = self.pick(&[Strategy::default(), Strategy::LeastInFlight]);
        group.timeouts = self.timeouts();
        let base = self.ms(500);
        let jitter = self.pick(&[Jitter::Full]);
        group.backoff = BackoffSpec { base, factor: self.pick(&[1, 2, 3]), max: base * 4, jitter };
        group.cooldown = self.cooldown();
        for other in 0..groups {
            if other != index && self.once_in(3) {
                group.fallbacks.any.push(format!("g{other}"));
            }
        }
        group
    }

    fn spec(&mut self) -> Spec {
        let mut spec = Spec::default();
        let (deployments, groups) = (1 + self.below(5), 1 + self.below(3));
        if self.once_in(2) {
            spec.limits.push(("shared".into(), self.limit()));
        }
        for index in 0..deployments {
            let mut deployment = DeploymentSpec::new(format!("d{index}"));
            deployment.keys = self.pick(&[1, 1, 2, 3]);
            deployment.limit = self.once_in(2).then(|| self.limit());
            if !spec.limits.is_empty() && self.once_in(2) {
                deployment.shared.push("shared".into());
            }
            spec.deployments.push(deployment);
        }
        for index in 0..groups {
            let group = self.group(index, deployments, groups);
            spec.groups.push(group);
        }
        spec.router.deadline = if self.once_in(4) { Span::MAX } else { self.ms(30_000) };
        spec.router.attempts = 1 + self.below(5) as u8;
        spec.router.retry_after_max = self.ms(10_000);
        spec.router.in_flight = self.pick(&[4, 64, 1_024]);
        spec.router.output_reserve = self.below(600) as u32;
        let budget = &mut spec.router.retry_budget;
        budget.ratio = (!self.once_in(4)).then(|| self.ratio());
        budget.per_second = self.below(3) as u32;
        budget.window = Span::from_secs(1 + self.below(10));
        spec
    }

    /// The same names and sizes, other policies.
    fn respec(&mut self, spec: &Spec) -> Spec {
        let mut next = spec.clone();
        for limit in next.deployments.iter_mut().filter_map(|d| d.limit.as_mut()) {
            if self.once_in(2) {
                *limit = self.limit();
            }
        }
        for group in &mut next.groups {
            let window = group.cooldown.window;
            if self.once_in(2) {
                group.cooldown = CooldownSpec { window, ..self.cooldown() };
            }
            for member in &mut group.members[1..] {
                member.weight = self.below(4) as u32;
            }
            group.timeouts.partial ^= true;
        }
        if self.once_in(8) {
            next.router.in_flight += 1;
        }
        next.router.attempts = 1 + self.below(5) as u8;
        next.router.output_reserve = self.below(600) as u32;
        next
    }

    fn failure(&mut self) -> Failure {
        let kind = if self.once_in(3) {
            self.pick(&FailureKind::ALL)
        } else {
            self.pick(&[FailureKind::Server, FailureKind::RateLimit, FailureKind::Reset])
        };
        let mut failure = Failure::new(kind, 500);
        failure.retry_after = self.once_in(4).then(|| {
            // Whole milliseconds, odd nanoseconds, and longer than 32 bits of milliseconds.
            let units = [1_000_000, 999_999, 1_000_000_000_000];
            let unit = self.pick(&units);
            Span::from_nanos(unit * self.below(12_000))
        });
        failure.should_retry = self.once_in(8).then(|| self.once_in(2));
        failure.usage = self.once_in(8).then(|| self.usage());
        failure
    }

    fn usage(&mut self) -> Usage {
        let tokens = self.pick(&[100, 1_000, 5_000]);
        let (input, output) = (self.below(tokens) as u32, self.below(tokens) as u32);
        Usage { input_tokens: input, cached_tokens: 0, output_tokens: output }
    }

    fn news(&mut self, tokens: &mut Option<u32>, ill: bool) -> Upstream {
        let failure = self.failure();
        // What has been heard of cannot fail to connect.
        let plausible = failure.kind != FailureKind::Connect || tokens.is_none();
        match self.below(if ill { 4 } else { 10 }) {
            0..=1 if plausible && (ill || self.once_in(2)) => Upstream::Fail(failure),
            0..=3 => Upstream::Complete(self.usage()),
            news => {
                let seen = tokens.get_or_insert(0);
                match news {
                    4 => Upstream::Connected,
                    5 => Upstream::Headers(crate::Quota::default()),
                    6 => Upstream::FirstToken,
                    _ => {
                        *seen += self.below(200) as u32;
                        Upstream::Progress(*seen)
                    }
                }
            }
        }
    }
}

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
    spec: Spec,
    driver: Driver<Router, Journals>,
    world: World,
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
            Auditor::new(Arc::clone(&config), start),
        );
        let driver = Driver::new(Router::new(config, seed, start), journals);
        let world = World::default();
        Self { dice, spec, driver, world, now: start, wakeup: None, submitted: 0, ill: 0 }
    }

    fn feed(&mut self, input: Input) {
        let wakeup = self.driver.step(self.now, input, &mut self.world);
        self.wakeup = wakeup.map(|wakeup| wakeup.at);
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
        let input = self.input();
        self.feed(input);
    }

    fn input(&mut self) -> Input {
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
                self.ill = dice.below(1 << self.spec.deployments.len());
                Input::Tick
            }
            36 if dice.once_in(4) => {
                let next = dice.respec(&self.spec);
                Input::Reconfigure(Arc::new(Config::new(&next).expect("still valid")))
            }
            37 if dice.once_in(4) => {
                let deployment = dice.below(self.spec.deployments.len() as u64) as usize;
                let keys = u64::from(self.spec.deployments[deployment].keys);
                Input::Peers(Consumption::Resting {
                    deployment: DeploymentId::at(deployment),
                    key: dice.once_in(2).then(|| dice.below(keys) as u8),
                    remaining: dice.ms(2_000),
                })
            }
            38 if dice.once_in(4) && !self.driver.brain().config().limits().is_empty() => {
                let limits = self.driver.brain().config().limits().len() as u64;
                Input::Peers(Consumption::Used {
                    replica: dice.below(2) as u16,
                    limit: LimitId::at(dice.below(limits) as usize),
                    requests: dice.below(20),
                    input_tokens: dice.below(5_000),
                    output_tokens: dice.below(5_000),
                })
            }
            39 if dice.once_in(100) => Input::Drain,
            _ => Input::Tick,
        }
    }

    fn submit(&mut self) -> Input {
        let dice = &mut self.dice;
        let id = match self.world.open.last() {
            Some(&open) if dice.once_in(50) => open,
            Some(_) | None => {
                self.submitted += 1;
                RequestId::new(0, self.submitted, 0)
            }
        };
        let group = GroupId::at(dice.below(self.spec.groups.len() as u64) as usize);
        let mut request = Request::new(id, group, dice.below(2_000) as u32);
        request.stream = !dice.once_in(4);
        request.output_max = dice.once_in(2).then(|| dice.below(1_000) as u32);
        request.deadline = dice.once_in(4).then(|| self.now + Span::from_millis(dice.below(9_000)));
        if !self.world.open.contains(&id) {
            self.world.open.push(id);
        }
        Input::Submit(request)
    }

    /// Answers everything, waits for everything, and lets the auditor close its books.
    fn end(mut self) -> Journals {
        while self.driver.brain().in_flight() > 0 {
            if let Some((attempt, ..)) = self.world.live.pop() {
                self.feed(Input::Upstream(attempt, Upstream::Complete(Usage::default())));
            } else if let Some(at) = self.wakeup {
                self.now = self.now.max(at);
                self.feed(Input::Tick);
            } else {
                break;
            }
        }
        let mut journals = self.driver.into_journal();
        journals.1.at_rest();
        journals
    }
}

fn run(seed: u64, steps: u32) -> Journals {
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
        let (record, auditor) = run(seed, steps);
        if let Some(violation) = auditor.violations().first() {
            let record = record.finish().unwrap_or_default();
            let upto = violation.at.to_string();
            let upto = record.rfind(&upto).unwrap_or(record.len());
            let tail: Vec<&str> = record[..upto].lines().rev().take(60).collect();
            let tail = tail.into_iter().rev().collect::<Vec<&str>>().join("\n");
            prop_assert!(false, "{}\n{tail}\nof {} violations", violation, auditor.total());
        }
    }
}

#[test]
fn random_worlds_reach_every_premise() {
    let mut met = [0; Invariant::ALL.len()];
    for seed in 0..40 {
        let (_, auditor) = run(seed, 1_000);
        for (sum, count) in met.iter_mut().zip(auditor.premises()) {
            *sum += count;
        }
    }
    for (invariant, count) in Invariant::ALL.iter().zip(met) {
        assert!(count > 0, "{invariant} was never put to the test");
    }
}
