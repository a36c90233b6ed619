//! What a run comes to, in numbers: plain data that tables, charts and verdicts are made of.
//!
//! Two rules say where anything is counted. What a *user* saw (offered, answered, time to first
//! token) belongs to the instant at which the call arrived. What happened to an *attempt*
//! (dispatched, failed, charged) belongs to the instant at which it happened.

use router_core::{
    Abandon, Config, DeploymentId, FailureKind, GiveUp, GroupId, Hold, Price, Reason, Rejection,
    Span, Time,
};

use crate::{
    AnswerCache, Application, AttemptsInBin, Bin, Bounds, Budgets, CallsInBin, Crowd,
    ExpectedShare, Fine, Frame, InClass, Membership, Pulse, Purse, Replicas, Rungs, Spell,
};

/// How many [`FailureKind`]s there are.
pub const KINDS: usize = FailureKind::ALL.len();
/// How many [`Reason`]s of exclusion there are.
pub const REASONS: usize = Reason::ALL.len();
/// How many [`router_core::Cause`]s of an attempt there are.
pub const CAUSES: usize = 8;
/// How many ways there are to [`Abandon`] an attempt.
pub const ABANDONS: usize = Abandon::Hedged as usize + 1;
/// How many reasons there are to [`GiveUp`].
pub const GIVE_UPS: usize = GiveUp::Drain as usize + 1;
/// How many kinds of [`router_core::Wait`] there are.
pub const WAITS: usize = 3;
/// How many reasons there are to hold a hedge back.
pub const HOLDS: usize = Hold::ALL.len();
/// How many kinds of [`Rejection`] there are.
pub const REJECTIONS: usize = 12;
/// How many classes of requests there may be.
pub const RANKS: usize = 8;

/// The place of refusals for a subject's limit in [`Outcomes::rejected`].
pub(crate) const SUBJECT: usize = 5;
/// That of those for a budget.
pub(crate) const BUDGET: usize = 6;

/// Everything a run is judged and shown by.
#[derive(Clone, Debug)]
pub struct Figures {
    /// What it was looked at through.
    pub frame: Frame,
    /// When the run ended: what was in flight then is censored.
    pub end: Time,
    /// The groups' names, by [`GroupId`].
    pub groups: Vec<String>,
    /// The deployments' names, by [`DeploymentId`].
    pub deployments: Vec<String>,
    /// How many keys each deployment has, by [`DeploymentId`].
    pub keys: Vec<u8>,
    /// Whether any deployment had a price; if not, costs are zero and say nothing.
    pub priced: bool,
    /// Who belongs to which group, with which share; by group, then in the group's order.
    pub members: Vec<ExpectedShare>,
    /// The whole run.
    pub whole: Part,
    /// Each of [`Frame::phases`], in order.
    pub phases: Vec<Part>,
    /// The time series: bin `i` is the instants from `i * frame.bin`, up to the horizon. Attempts
    /// that happen after the horizon are in none.
    pub bins: Vec<Bin>,
    /// The finer series that times to recover are read from.
    pub pulse: Pulse,
    /// Every rest, in order of start; contiguous ones of one key are one.
    pub rests: Vec<Rest>,
    /// How long each deployment could take nothing since it or all of its keys rested, up to
    /// [`Self::end`]; by [`DeploymentId`].
    pub resting: Vec<Span>,
    /// Every stretch of time in which a membership's breaker was not plainly closed, in order
    /// of start.
    pub spells: Vec<Spell>,
    /// The adaptive limit of each deployment, from when on it was what; nothing of those that
    /// have none. By [`DeploymentId`].
    pub concurrency: Vec<Vec<(Time, u32)>>,
    /// When nobody was eligible.
    pub stranded: Seconds,
    /// When an attempt was sent to a member that was out, since too many were; by the group that
    /// panicked.
    pub panicked: Seconds,
    /// Late news of attempts that had ended.
    pub late: u64,
    /// New configurations that were refused.
    pub misfits: u64,
    /// By kind of subject: those without names.
    pub crowds: Vec<Crowd>,
    /// How budgets of subjects were used up.
    pub budgets: Budgets,
    /// The application between the users and the router, if there was one.
    pub application: Option<Application>,
    /// The replicas of the router, if there were several.
    pub replicas: Option<Replicas>,
    /// The response cache of the gateway, if there was one.
    pub cache: Option<AnswerCache>,
    /// What bounds each group's requests, by [`GroupId`]; as of the last configuration.
    pub bounds: Vec<Option<Bounds>>,
    /// The names of the classes of requests, the most urgent first; none if there is but one.
    pub classes: Vec<String>,
}

impl Figures {
    /// Figures of a run in which nothing happened, with every list at its length.
    ///
    /// # Panics
    /// If [`Frame::bin`] is zero.
    pub fn new(config: &Config, frame: Frame) -> Self {
        let part = Part::new(config, &frame);
        let (groups, deployments) = (config.groups().len(), config.deployments().len());
        assert!(!frame.bin.is_zero(), "a bin of a time series takes time");
        let bins = frame.horizon.as_nanos().div_ceil(frame.bin.as_nanos()).max(1);
        let bin = Bin {
            groups: vec![CallsInBin::default(); groups],
            deployments: vec![AttemptsInBin::default(); deployments],
            members: part.members.clone(),
        };
        Self {
            end: frame.horizon,
            groups: config.groups().iter().map(|group| group.name.clone()).collect(),
            deployments: config.deployments().iter().map(|d| d.name.clone()).collect(),
            keys: config.deployments().iter().map(|d| d.keys).collect(),
            priced: has_price(config),
            members: ExpectedShare::of(config),
            phases: vec![part.clone(); frame.phases.len()],
            whole: part,
            bins: vec![bin; usize::try_from(bins).expect("as many bins as fit in memory")],
            pulse: Pulse::new(frame.horizon),
            rests: Vec::new(),
            resting: vec![Span::ZERO; deployments],
            spells: Vec::new(),
            concurrency: vec![Vec::new(); deployments],
            stranded: Seconds::new(groups),
            panicked: Seconds::new(groups),
            late: 0,
            misfits: 0,
            crowds: Vec::new(),
            budgets: Budgets::default(),
            application: None,
            replicas: None,
            cache: None,
            bounds: Bounds::of(config),
            classes: config.router().priorities.clone(),
            frame,
        }
    }

    /// The adaptive limit of the `deployment`th, as last told before `ns` from the start.
    pub(crate) fn concurrency_until(&self, deployment: usize, ns: u64) -> Option<u32> {
        let limits = self.concurrency.get(deployment)?;
        let known = limits.partition_point(|(from, _)| from.as_nanos() < ns);
        limits[..known].last().map(|(_, limit)| *limit)
    }

    /// The phase called `name`.
    pub fn phase(&self, name: &str) -> Option<&Part> {
        let index = self.frame.phases.iter().position(|phase| phase.name == name)?;
        self.phases.get(index)
    }

    /// The group called `name`.
    pub fn group_named(&self, name: &str) -> Option<GroupId> {
        self.groups.iter().position(|group| group == name).map(GroupId::at)
    }

    /// The deployment called `name`.
    pub fn deployment_named(&self, name: &str) -> Option<DeploymentId> {
        self.deployments.iter().position(|deployment| deployment == name).map(DeploymentId::at)
    }
}

/// Whether anything costs anything.
pub(crate) fn has_price(config: &Config) -> bool {
    config.deployments().iter().any(|deployment| deployment.price != Price::FREE)
}

/// A stretch of the run: all of it, or a phase.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Part {
    /// Calls of all groups.
    pub calls: Calls,
    /// Calls by the group they asked for, by [`GroupId`].
    pub groups: Vec<Calls>,
    /// Attempts, by [`DeploymentId`].
    pub deployments: Vec<Attempts>,
    /// Attempts dispatched by membership, beside [`Figures::members`].
    pub members: Vec<u64>,
    /// More of each membership, in the same places.
    pub memberships: Vec<Membership>,
    /// By kind of subject, then by property: of none, of each of [`crate::Names::names`], and of all
    /// without a name.
    pub purses: Vec<Purse>,
}

impl Part {
    /// A stretch in which nothing happened.
    pub fn new(config: &Config, frame: &Frame) -> Self {
        let members = config.groups().iter().map(|group| group.members.len()).sum();
        Self {
            calls: Calls::default(),
            groups: vec![Calls::default(); config.groups().len()],
            deployments: vec![Attempts::default(); config.deployments().len()],
            members: vec![0; members],
            memberships: vec![Membership::default(); members],
            purses: vec![Purse::default(); frame.payers.purses()],
        }
    }

    /// Attempts dispatched, over all deployments.
    pub fn dispatched(&self) -> u64 {
        self.deployments.iter().map(|attempts| attempts.dispatched).sum()
    }
}

/// What users saw, and what the router did with what they submitted.
///
/// A call is one intent of a user, over all tries of the client; a submission is one such try.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Calls {
    /// Calls begun (first tries submitted).
    pub offered: u64,
    /// Calls that were over by the end. `offered - ended` are censored.
    pub ended: u64,
    /// Of those, dispatched at least once.
    pub admitted: u64,
    /// Of those, answered in full: the goodput, and what `success.rate` counts.
    pub answered: u64,
    /// Answered by a rung of a ladder that is not the full answer; all but the static texts are
    /// among those answered.
    pub rungs: Rungs,
    /// Answered in part, marked as such.
    pub partial: u64,
    /// Failed, rejected ones included.
    pub failed: u64,
    /// Failed without a single dispatch.
    pub rejected: u64,
    /// The failed by HTTP status, in order of status.
    pub statuses: Vec<(u16, u64)>,
    /// Calls whose user gave up first.
    pub left: u64,
    /// Attempts the router made for calls that ended.
    pub attempts: u64,
    /// Submissions that clients made for calls that ended.
    pub tries: u64,
    /// How long clients waited between their tries, in nanoseconds.
    pub client_wait_ns: u64,
    /// From arrival to first token, of calls that had one.
    pub ttft: Fine,
    /// From arrival to the end, of calls answered in full.
    pub total: Fine,
    /// Submissions, by the instant of each.
    pub submissions: u64,
    /// How submissions ended, by the instant of each end.
    pub outcomes: Outcomes,
    /// What attempts made for these calls cost, in pico-dollars, by the instant of each end;
    /// failed and abandoned attempts included.
    pub cost_pico: u128,
    /// Of that, what no provider told: of attempts that failed or were dropped, what was seen.
    pub estimated_pico: u128,
    /// Waits of the router between attempts, by [`router_core::Wait`].
    pub waits: [Waited; WAITS],
    /// Failed submissions not tried again, by [`GiveUp`].
    pub gave_up: [u64; GIVE_UPS],
    /// Failures of attempts after which the router tried again or waited to, by [`FailureKind`].
    pub tried_again: [u64; KINDS],
    /// Hedges that were due and held back, by [`Hold`].
    pub held: [u64; HOLDS],
    /// What became of submissions at the group's queue and bound, by class; empty if it has
    /// neither.
    pub classes: Vec<InClass>,
}

impl Calls {
    /// Calls still in flight at the end.
    pub const fn censored(&self) -> u64 {
        self.offered.saturating_sub(self.ended)
    }

    /// The share of ended calls that were answered in full.
    pub fn success(&self) -> Option<f64> {
        share(self.answered, self.ended)
    }

    /// Attempts per call.
    pub fn amplification(&self) -> Option<f64> {
        share(self.attempts, self.ended)
    }

    /// Adds everything that `other` counted.
    pub fn merge(&mut self, other: &Self) {
        self.offered += other.offered;
        self.ended += other.ended;
        self.admitted += other.admitted;
        self.answered += other.answered;
        self.rungs.merge(&other.rungs);
        self.partial += other.partial;
        self.failed += other.failed;
        self.rejected += other.rejected;
        for &(status, count) in &other.statuses {
            self.count_status(status, count);
        }
        self.left += other.left;
        self.attempts += other.attempts;
        self.tries += other.tries;
        self.client_wait_ns = self.client_wait_ns.saturating_add(other.client_wait_ns);
        self.ttft.merge(&other.ttft);
        self.total.merge(&other.total);
        self.submissions += other.submissions;
        self.outcomes.merge(&other.outcomes);
        self.cost_pico += other.cost_pico;
        self.estimated_pico += other.estimated_pico;
        for (mine, theirs) in self.waits.iter_mut().zip(&other.waits) {
            mine.count += theirs.count;
            mine.time_ns = mine.time_ns.saturating_add(theirs.time_ns);
        }
        add(&mut self.gave_up, &other.gave_up);
        add(&mut self.tried_again, &other.tried_again);
        add(&mut self.held, &other.held);
        for (class, theirs) in other.classes.iter().enumerate() {
            self.class(class as u8).merge(theirs);
        }
    }

    /// Counts `count` calls that failed with `status`.
    pub fn count_status(&mut self, status: u16, count: u64) {
        match self.statuses.binary_search_by_key(&status, |&(status, _)| status) {
            Ok(at) => self.statuses[at].1 += count,
            Err(at) => self.statuses.insert(at, (status, count)),
        }
    }
}

/// How submissions ended.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Outcomes {
    /// Answered in full.
    pub served: u64,
    /// Answered in part.
    pub partial: u64,
    /// Tried and not answered.
    pub exhausted: u64,
    /// Never tried, by [`rejection_index`].
    pub rejected: [u64; REJECTIONS],
    /// Out of time.
    pub expired: u64,
    /// The client left.
    pub cancelled: u64,
    /// Answered from the cache: fresh, and stale.
    pub cached: [u64; 2],
    /// Answered with a static text.
    pub fixed: u64,
}

impl Outcomes {
    fn merge(&mut self, other: &Self) {
        self.served += other.served;
        self.partial += other.partial;
        self.exhausted += other.exhausted;
        add(&mut self.rejected, &other.rejected);
        self.expired += other.expired;
        self.cancelled += other.cancelled;
        add(&mut self.cached, &other.cached);
        self.fixed += other.fixed;
    }
}

/// The place of a rejection in [`Outcomes::rejected`]: drain, no deployment, full, duplicate,
/// too long, a subject's limit, a budget, no account, group full, queue full, queue timeout, shed.
pub const fn rejection_index(rejection: Rejection) -> usize {
    match rejection {
        Rejection::Drain => 0,
        Rejection::NoDeployment(_) => 1,
        Rejection::Full => 2,
        Rejection::Duplicate => 3,
        Rejection::TooLong => 4,
        Rejection::Subject { .. } => SUBJECT,
        Rejection::Budget { .. } => BUDGET,
        Rejection::Accounts => 7,
        Rejection::GroupFull => 8,
        Rejection::QueueFull(_) => 9,
        Rejection::QueueTimeout(_) => 10,
        Rejection::Shed(_) => 11,
    }
}

/// Waits of one kind.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Waited {
    /// How many.
    pub count: u64,
    /// How long in all, as planned when each began, in nanoseconds.
    pub time_ns: u64,
}

/// What became of the attempts on a deployment.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Attempts {
    /// Dispatched.
    pub dispatched: u64,
    /// Answered in full.
    pub answered: u64,
    /// Failed, by [`FailureKind`]; the router's own timeouts included.
    pub failures: [u64; KINDS],
    /// Dropped through no fault of the deployment, by [`Abandon`].
    pub abandoned: [u64; ABANDONS],
    /// From dispatch to first token, of attempts that had one.
    pub ttft: Fine,
    /// From dispatch to the end, of attempts answered in full.
    pub total: Fine,
    /// Prompt tokens charged.
    pub input_tokens: u64,
    /// Of those, read from the provider's cache.
    pub cached_tokens: u64,
    /// Completion tokens charged.
    pub output_tokens: u64,
    /// What they cost, in pico-dollars.
    pub cost_pico: u128,
    /// Of that, what no provider told: of attempts that failed or were dropped, what was seen.
    pub estimated_pico: u128,
    /// Time that requests lost here, by [`FailureKind`].
    pub lost: [Lost; KINDS],
    /// How long abandoned attempts had run, in nanoseconds.
    pub abandoned_ns: u64,
    /// How often it could not be chosen, by [`Reason`].
    pub excluded: [u64; REASONS],
    /// Times it was not taken out for its failures, since too many were out or it stands alone.
    pub spared: u64,
    /// Times a person was asked to look.
    pub pages: u64,
}

impl Attempts {
    /// Attempts that failed.
    pub fn failed(&self) -> u64 {
        self.failures.iter().sum()
    }

    /// The share of attempts that were answered, of those that were answered or failed.
    pub fn success(&self) -> Option<f64> {
        share(self.answered, self.answered + self.failed())
    }

    /// The share of the prompt tokens charged that came from the provider's cache.
    pub fn cached_share(&self) -> Option<f64> {
        share(self.cached_tokens, self.input_tokens)
    }

    /// Adds everything that `other` counted.
    pub fn merge(&mut self, other: &Self) {
        self.dispatched += other.dispatched;
        self.answered += other.answered;
        add(&mut self.failures, &other.failures);
        add(&mut self.abandoned, &other.abandoned);
        self.ttft.merge(&other.ttft);
        self.total.merge(&other.total);
        self.input_tokens += other.input_tokens;
        self.cached_tokens += other.cached_tokens;
        self.output_tokens += other.output_tokens;
        self.cost_pico += other.cost_pico;
        self.estimated_pico += other.estimated_pico;
        for (mine, theirs) in self.lost.iter_mut().zip(&other.lost) {
            mine.merge(theirs);
        }
        self.abandoned_ns = self.abandoned_ns.saturating_add(other.abandoned_ns);
        add(&mut self.excluded, &other.excluded);
        self.spared += other.spared;
        self.pages += other.pages;
    }
}

/// Time lost to one kind of failure on one deployment.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Lost {
    /// In attempts that then failed, from dispatch to failure, in nanoseconds; but for what ran
    /// beside the other attempt of a hedged request.
    pub dead_ns: u64,
    /// Of that, in half-open breakers' probes.
    pub probing_ns: u64,
    /// Of that, in attempts on standby.
    pub standby_ns: u64,
    /// Of that, in attempts sent to it although it was out, since too many were.
    pub panic_ns: u64,
    /// In waits of the router after such a failure, as planned, in nanoseconds.
    pub waited_ns: u64,
}

impl Lost {
    /// Adds everything that `other` counted.
    pub const fn merge(&mut self, other: &Self) {
        self.dead_ns = self.dead_ns.saturating_add(other.dead_ns);
        self.probing_ns = self.probing_ns.saturating_add(other.probing_ns);
        self.standby_ns = self.standby_ns.saturating_add(other.standby_ns);
        self.panic_ns = self.panic_ns.saturating_add(other.panic_ns);
        self.waited_ns = self.waited_ns.saturating_add(other.waited_ns);
    }
}

/// A stretch of time in which a deployment or a key of it was sent nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rest {
    /// Which deployment.
    pub deployment: DeploymentId,
    /// Which of its keys; all of them if absent.
    pub key: Option<u8>,
    /// From when.
    pub from: Time,
    /// Until when; it may be past the end of the run.
    pub until: Time,
    /// After which failure it began.
    pub failure: FailureKind,
    /// How many rests in a row, as of its last extension.
    pub streak: u8,
}

/// Whole seconds of the clock in which something happened at least once.
///
/// A second is stranded if a request found nobody in any group it may go to, so that it was
/// rejected, was given up for it, or had to wait for somebody to become eligible. (A backoff
/// before somebody who is eligible is not that.)
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Seconds {
    /// Anywhere.
    pub any: u64,
    /// By [`GroupId`]; where it is about requests, of the group they asked for.
    pub groups: Vec<u64>,
}

impl Seconds {
    fn new(groups: usize) -> Self {
        Self { any: 0, groups: vec![0; groups] }
    }
}

fn add(mine: &mut [u64], theirs: &[u64]) {
    for (mine, theirs) in mine.iter_mut().zip(theirs) {
        *mine += theirs;
    }
}

fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

#[cfg(test)]
mod tests {
    use crate::sample;

    use super::*;

    #[test]
    fn figures_of_nothing_have_every_list_at_its_length() {
        let config = sample::config(&[("chat", &[("a", 1, 0), ("b", 1, 0)])]);
        let figures = Figures::new(&config, sample::frame());
        assert_eq!((figures.bins.len(), figures.pulse.beats.len()), (60, 600));
        assert_eq!((figures.phases.len(), figures.whole.members.len()), (2, 2));
        assert_eq!(figures.whole.calls.success(), None);
    }

    #[test]
    fn statuses_stay_in_order() {
        let mut calls = Calls::default();
        for status in [504, 429, 504] {
            calls.count_status(status, 1);
        }
        assert_eq!(calls.statuses, [(429, 1), (504, 2)]);
    }
}
