//! A router on an empty stage: tests say what happens, instant by instant, and read what it does.

use std::sync::Arc;

use router_core::{
    Anew, AttemptId, Auditor, Brain, Cause, Config, DeploymentSpec, Dispatch, Failure, FailureKind,
    GroupSpec, Input, Journal, MemberSpec, Observation, Outcome, Output, Reason, Request,
    RequestId, Restart, Router, Seed, Span, Spec, Time, Upstream, Usage,
};
use scenarios::library;
use scenarios::resolve::{Fleet, Override, Resolved, resolve};

/// A configuration of one group `chat` with members `d0`, `d1`, ... of these weights, no jitter
/// on rests and no bound on retries, so that instants in tests are round.
pub fn spec(weights: &[u32]) -> Spec {
    let mut spec = Spec::default();
    let mut chat = GroupSpec::new("chat".into());
    for (index, weight) in weights.iter().enumerate() {
        let deployment = format!("d{index}");
        spec.deployments.push(DeploymentSpec::new(deployment.clone()));
        chat.members.push(MemberSpec { deployment, weight: *weight, tier: 0 });
    }
    chat.cooldown.jitter = router_core::Ratio::ZERO;
    spec.groups.push(chat);
    spec.router.retry_budget.ratio = None;
    spec
}

/// [`spec`] and a group `backup` of one deployment `spare`, which `chat` falls back to.
pub fn spec_with_backup(weights: &[u32]) -> Spec {
    let mut spec = spec(weights);
    spec.deployments.push(DeploymentSpec::new("spare".into()));
    let mut backup = GroupSpec::new("backup".into());
    backup.members.push(MemberSpec { deployment: "spare".into(), weight: 1, tier: 0 });
    backup.cooldown.jitter = router_core::Ratio::ZERO;
    spec.groups.push(backup);
    spec.groups[0].fallbacks.any.push("backup".into());
    spec
}

/// What an organisation and each of ten thousand users may use, and who asks on their account.
const SUBJECTS: &str = "
    [subject.\"org=acme\"]
    limit = { requests = \"100k/min\", tokens = \"100M/min\", parallel = 20_000 }
    budget = [\"1000 USD/day\", { amount = \"1G tokens/day\", hard = false }]
    [subject.\"user=*\"]
    limit = { requests = \"10k/min\", tokens = \"10M/min\" }
    budget = \"10 USD/day\"
    ";
const BY_SUBJECT: &str = "
    [demand.\"*\".subjects]
    org = { acme = \"70 %\", other = \"30 %\" }
    user = \"10k zipf 0.8\"
    ";

/// The library's `thousand-rps`, resolved for its own router.
///
/// # Panics
/// If the library is broken.
pub fn thousand_rps() -> (Arc<Config>, Resolved) {
    thousand_rps_with("", "", "")
}

/// The same with a breaker, hedges at the 95th percentile and routing by latency.
///
/// # Panics
/// As above.
pub fn thousand_rps_with_policies() -> (Arc<Config>, Resolved) {
    thousand_rps_with("strategy = \"latency\"\nbreaker = \"on\"\nhedge = \"p95\"\n", "", "")
}

/// The same with subjects, and fewer places than calls at the peak, so that nearly a fifth wait in a
/// queue, where ten thousand users take turns.
///
/// # Panics
/// As above.
pub fn thousand_rps_with_queue() -> (Arc<Config>, Resolved) {
    let queue = "queue = { size = 2000, timeout = \"5 s\", fair = \"user\" }\n";
    thousand_rps_with(&format!("in_flight = 2750\n{queue}"), SUBJECTS, BY_SUBJECT)
}

/// The same on account of an organisation and of one of ten thousand users each, with rates,
/// places and budgets.
///
/// # Panics
/// As above.
pub fn thousand_rps_with_subjects() -> (Arc<Config>, Resolved) {
    thousand_rps_with("", SUBJECTS, BY_SUBJECT)
}

/// The same, with more lines in its first group and at the end of the router and the scenario.
fn thousand_rps_with(policies: &str, subjects: &str, demand: &str) -> (Arc<Config>, Resolved) {
    let entry = library::find("thousand-rps").expect("it is in the library");
    let text = format!("{}{demand}", entry.text);
    let scenario = scenarios::scenario::read(entry.name, &text).expect("it is valid");
    let entry = library::router("thousand-rps").expect("it is in the library");
    let group = "[group.chat]\n";
    let text = entry.text.replace(group, &format!("{group}{policies}"));
    let text = format!("{text}{subjects}");
    let router = scenarios::router::read(entry.name, &text).expect("it is valid");
    let fleet = Fleet { config: &router.config, endpoints: &router.endpoints, then: &[] };
    let resolved = resolve(&scenario, fleet, &Override::default()).expect("it is valid");
    (router.config, resolved)
}

/// So many milliseconds after the start.
pub const fn ms(ms: u64) -> Time {
    Time::from_nanos(ms * 1_000_000)
}

/// A failure with a `Retry-After` of so many seconds.
pub fn retry_after(kind: FailureKind, status: u16, seconds: u64) -> Failure {
    Failure { retry_after: Some(Span::from_secs(seconds)), ..Failure::new(kind, status) }
}

/// A router, all it has done, and a second opinion on it: a stage that is dropped panics if an
/// invariant was broken.
pub struct Stage {
    /// The router.
    pub router: Router,
    /// Every output since the start, with its instant.
    pub log: Vec<(Time, Output)>,
    auditor: Auditor,
    now: Time,
}

impl Drop for Stage {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.auditor.settle();
            let violations = self.auditor.violations();
            assert!(violations.is_empty(), "{violations:#?}");
        }
    }
}

impl Stage {
    /// A router of `spec` at time zero.
    ///
    /// # Panics
    /// If the specification is wrong.
    pub fn new(spec: &Spec) -> Self {
        let config = Arc::new(Config::new(spec).expect("the test's configuration is valid"));
        let seed = Seed::from_u64(7);
        let auditor = Auditor::new(Arc::clone(&config), Time::ZERO).with_seed(seed);
        let router = Router::new(config, seed, Time::ZERO);
        Self { router, log: Vec::new(), auditor, now: Time::ZERO }
    }

    /// Feeds one input at `now`, after waking the router as often as it asked for before, and
    /// returns what it did at `now`.
    pub fn feed(&mut self, now: Time, input: Input) -> Vec<Output> {
        self.run_to(now, false);
        self.raw(now, input)
    }

    fn raw(&mut self, now: Time, input: Input) -> Vec<Output> {
        // A step may be written down to be earlier than where the last one ended.
        let now = now.max(self.now);
        self.now = now;
        self.auditor.input(now, &input);
        let outputs: Vec<Output> = self.router.handle(now, input).collect();
        outputs.iter().for_each(|output| self.auditor.output(now, output));
        self.log.extend(outputs.iter().map(|output| (now, *output)));
        outputs
    }

    /// The router is started anew.
    pub fn restart(&mut self, now: Time, restart: Restart) {
        self.router.restart(now, Anew { with: restart, replica: None });
        self.auditor.restart(now, restart);
    }

    fn run_to(&mut self, now: Time, inclusive: bool) {
        while let Some(wakeup) = self.router.next_wakeup()
            && (wakeup.at < now || inclusive && wakeup.at == now)
        {
            self.raw(wakeup.at, Input::Tick);
        }
    }

    /// Lets time pass up to and including `now`.
    pub fn wait(&mut self, now: Time) {
        self.run_to(now, true);
    }

    /// Submits request number `n` (100 prompt tokens, `chat`).
    pub fn submit(&mut self, now: Time, n: u64) -> Vec<Output> {
        self.submit_with(now, n, |_| {})
    }

    /// Submits request number `n`, changed.
    pub fn submit_with(
        &mut self,
        now: Time,
        n: u64,
        change: impl FnOnce(&mut Request),
    ) -> Vec<Output> {
        let group = self.router.config().group_named("chat").expect("every stage has it");
        let mut request = Request::new(RequestId::new(0, n, 0), group, 100);
        change(&mut request);
        self.feed(now, Input::Submit(request))
    }

    /// News of attempt `ordinal` of request `n`.
    pub fn news(&mut self, now: Time, n: u64, ordinal: u8, news: Upstream) -> Vec<Output> {
        self.feed(now, Input::Upstream(attempt(n, ordinal), news))
    }

    /// The attempt fails.
    pub fn fail(&mut self, now: Time, n: u64, ordinal: u8, failure: Failure) -> Vec<Output> {
        self.news(now, n, ordinal, Upstream::Fail(failure))
    }

    /// The attempt fails with a plain 500.
    pub fn crash(&mut self, now: Time, n: u64, ordinal: u8) -> Vec<Output> {
        self.fail(now, n, ordinal, Failure::new(FailureKind::Server, 500))
    }

    /// The attempt is answered with so many completion tokens.
    pub fn complete(&mut self, now: Time, n: u64, ordinal: u8, output_tokens: u32) -> Vec<Output> {
        let usage = Usage { input_tokens: 100, cached_tokens: 0, output_tokens };
        self.news(now, n, ordinal, Upstream::Complete(usage))
    }

    /// Every dispatch so far, with its instant.
    pub fn dispatches(&self) -> Vec<(Time, Dispatch)> {
        let dispatch = |(at, output): &(Time, Output)| {
            let Output::Dispatch(dispatch) = output else { return None };
            Some((*at, *dispatch))
        };
        self.log.iter().filter_map(dispatch).collect()
    }

    /// How request `n` ended, and when.
    pub fn outcome(&self, n: u64) -> Option<(Time, Outcome)> {
        self.log.iter().find_map(|(at, output)| {
            let Output::Finish(id, outcome) = output else { return None };
            (*id == RequestId::new(0, n, 0)).then_some((*at, *outcome))
        })
    }

    /// Every observation so far.
    pub fn observations(&self) -> impl Iterator<Item = Observation> {
        self.log.iter().filter_map(|(_, output)| {
            let Output::Observe(observation) = output else { return None };
            Some(*observation)
        })
    }
}

/// Attempt `ordinal` of request `n`.
pub const fn attempt(n: u64, ordinal: u8) -> AttemptId {
    AttemptId { request: RequestId::new(0, n, 0), ordinal }
}

/// Where these outputs send to, and why.
pub fn sent(outputs: &[Output]) -> Option<(usize, Cause)> {
    outputs.iter().find_map(|output| {
        let Output::Dispatch(dispatch) = output else { return None };
        Some((dispatch.deployment.index(), dispatch.cause))
    })
}

/// Who was excluded for `why`, as these outputs say.
pub fn excluded(outputs: &[Output], why: Reason) -> u64 {
    outputs.iter().fold(0, |all, output| match *output {
        Output::Observe(Observation::Excluded { reason, mask, .. }) if reason == why => all | mask,
        Output::Dispatch(_)
        | Output::Abandon(..)
        | Output::Commit(_)
        | Output::Finish(..)
        | Output::Observe(_) => all,
    })
}
