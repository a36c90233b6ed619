//! How fast it is: `cargo bench -p tests`. The tables are of wall time on one core; the machine's
//! other work shows in their slowest and mean columns. The last line is of processor time, where
//! the system tells it: requests per core-second.

use std::collections::VecDeque;
use std::sync::Arc;

use divan::Bencher;
use divan::counter::ItemsCount;
use reports::Fold;
use router_core::{
    Abandon, AttemptId, Brain, Config, DeploymentSpec, Dispatch, Driver, Effects, GroupSpec, Input,
    LimitSpec, MemberSpec, Observation, Outcome, Rate, Request, RequestId, Router, Seed, Span,
    Spec, Time, Upstream, Usage,
};
use scenarios::resolve::Resolved;
use sim::World;
use tests::stage;

fn main() {
    divan::main();
    tell("thousand_rps", simulate);
    tell("thousand_rps_policies", simulate_policies);
    tell("thousand_rps_subjects", simulate_subjects);
    tell("thousand_rps_queue", simulate_queue);
}

#[expect(clippy::print_stdout, reason = "a benchmark speaks to its terminal")]
fn tell(name: &str, simulate: fn() -> u64) {
    let asked: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    if !asked.is_empty() && !asked.iter().any(|part| name.contains(part)) {
        return;
    }
    let (mut rates, mut requests) = (Vec::new(), 0);
    for _ in 0..10 {
        let before = processor_time();
        requests = simulate();
        let Some(time) = processor_time().zip(before).map(|(after, before)| after - before) else {
            return;
        };
        rates.push(requests * 1_000_000_000 / time.max(1));
    }
    rates.sort_unstable();
    let (median, best) = (rates[rates.len() / 2], rates[rates.len() - 1]);
    println!("{name}: {requests} requests, per core-second {median} (median), {best} (best)");
}

/// Nanoseconds this thread has run, as Linux tells it; `None` elsewhere.
fn processor_time() -> Option<u64> {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    told.split_whitespace().next()?.parse().ok()
}

/// Runs `thousand-rps` once and tells how many requests were submitted.
fn simulate() -> u64 {
    run(stage::thousand_rps())
}

/// Runs it with a breaker, hedges and routing by latency.
fn simulate_policies() -> u64 {
    run(stage::thousand_rps_with_policies())
}

/// Runs it with subjects, their limits and budgets.
fn simulate_subjects() -> u64 {
    run(stage::thousand_rps_with_subjects())
}

/// Runs it with subjects, fewer places than calls at the peak, and a queue.
fn simulate_queue() -> u64 {
    run(stage::thousand_rps_with_queue())
}

fn run((config, resolved): (Arc<Config>, Resolved)) -> u64 {
    let fold = Fold::new(Arc::clone(&config), resolved.frame.clone());
    let brain = Router::new(Arc::clone(&config), resolved.plan.seed, Time::ZERO);
    let mut world = World::new(&resolved.plan, Driver::new(brain, fold));
    world.run();
    let (submissions, end) = (world.tally().submissions, world.now());
    let figures = world.into_driver().into_journal().finish(end);
    assert!(
        figures.whole.calls.answered > 0,
        "a benchmark of failures would measure another thing"
    );
    submissions
}

/// The scenario `thousand-rps` on its six-deployment router: limits, rests, fallbacks, faults and
/// metrics on, the auditor off. Counted per request
/// submitted.
#[divan::bench(sample_count = 10, sample_size = 1)]
fn thousand_rps(bencher: Bencher<'_, '_>) {
    let requests = simulate();
    bencher.counter(ItemsCount::new(requests)).bench_local(simulate);
}

/// The same with a breaker, hedges at the 95th percentile and routing by latency.
#[divan::bench(sample_count = 10, sample_size = 1)]
fn thousand_rps_policies(bencher: Bencher<'_, '_>) {
    let requests = simulate_policies();
    bencher.counter(ItemsCount::new(requests)).bench_local(simulate_policies);
}

/// The same on account of an organisation and a user each, with limits and budgets.
#[divan::bench(sample_count = 10, sample_size = 1)]
fn thousand_rps_subjects(bencher: Bencher<'_, '_>) {
    let requests = simulate_subjects();
    bencher.counter(ItemsCount::new(requests)).bench_local(simulate_subjects);
}

/// The same with subjects, and fewer places than calls at the peak, so that nearly a fifth wait in a
/// queue in which ten thousand users take turns.
#[divan::bench(sample_count = 10, sample_size = 1)]
fn thousand_rps_queue(bencher: Bencher<'_, '_>) {
    let requests = simulate_queue();
    bencher.counter(ItemsCount::new(requests)).bench_local(simulate_queue);
}

/// Six deployments with limits of requests, tokens and calls at once, and a fallback group.
fn config() -> Arc<Config> {
    let rate = |amount| Some(Rate { amount, period: Span::from_secs(60), burst: None });
    let mut spec = Spec::default();
    for (index, weight) in [5, 4, 3, 2, 1, 1].into_iter().enumerate() {
        let mut deployment = DeploymentSpec::new(format!("d{index}"));
        deployment.limit = Some(LimitSpec {
            requests: rate(10_000_000),
            tokens: rate(10_000_000_000),
            parallel: Some(20_000),
            ..LimitSpec::default()
        });
        spec.deployments.push(deployment);
        let group = usize::from(index == 5);
        if group == spec.groups.len() {
            spec.groups.push(GroupSpec::new(["chat", "backup"][group].into()));
        }
        let deployment = format!("d{index}");
        spec.groups[group].members.push(MemberSpec { deployment, weight, tier: 0 });
    }
    spec.groups[0].fallbacks.any.push("backup".into());
    Arc::new(Config::new(&spec).expect("the benchmark's configuration is valid"))
}

/// Answers every call after a fixed time: first token, then the rest.
#[derive(Default)]
struct Echo {
    first: VecDeque<(Time, AttemptId)>,
    whole: VecDeque<(Time, AttemptId)>,
}

impl Effects for Echo {
    fn dispatch(&mut self, now: Time, dispatch: Dispatch) {
        self.first.push_back((now + Span::from_millis(500), dispatch.attempt));
        self.whole.push_back((now + Span::from_secs(4), dispatch.attempt));
    }
    fn abandon(&mut self, _: Time, _: AttemptId, _: Abandon) {}
    fn commit(&mut self, _: Time, _: AttemptId) {}
    fn finish(&mut self, _: Time, _: RequestId, _: Outcome) {}
    fn observe(&mut self, _: Time, _: Observation) {}
}

/// The router and its driver alone: a thousand requests a second, four seconds each, all well.
#[divan::bench(args = [200_000], sample_count = 10, sample_size = 1)]
fn router_alone(bencher: Bencher<'_, '_>, requests: u64) {
    let config = config();
    let group = config.group_named("chat").expect("it is there");
    bencher.counter(ItemsCount::new(requests)).bench_local(|| {
        let router = Router::new(Arc::clone(&config), Seed::from_u64(7), Time::ZERO);
        let (mut driver, mut echo) = (Driver::new(router, ()), Echo::default());
        for sequence in 0..requests {
            let now = Time::from_nanos(sequence * 1_000_000);
            loop {
                let first = echo.first.front().filter(|(at, _)| *at <= now).copied();
                let whole = echo.whole.front().filter(|(at, _)| *at <= now).copied();
                let (at, attempt, news) = match (first, whole) {
                    (Some((at, attempt)), other) if other.is_none_or(|(then, _)| at <= then) => {
                        echo.first.pop_front();
                        (at, attempt, Upstream::FirstToken)
                    }
                    (_, Some((at, attempt))) => {
                        echo.whole.pop_front();
                        let usage =
                            Usage { input_tokens: 800, cached_tokens: 0, output_tokens: 200 };
                        (at, attempt, Upstream::Complete(usage))
                    }
                    (_, None) => break,
                };
                driver.step(at, Input::Upstream(attempt, news), &mut echo);
            }
            let request = Request::new(RequestId::new(0, sequence, 0), group, 800);
            driver.step(now, Input::Submit(request), &mut echo);
        }
        driver.brain().next_wakeup()
    });
}
