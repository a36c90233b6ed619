//! An independent second opinion on a run.
//!
//! The [`Auditor`] is a [`Journal`] that knows the configuration, every input and every output,
//! and nothing else. It keeps its own naive books of rests, rates, budgets and deadlines, shares
//! no code with the router, and holds what the router does against the [`Invariant`]s. What the
//! router *says* (its observations) is only ever a claim to be checked, never a fact; where a
//! random end leaves the books open, a claim within that interval narrows it.
//!
//! Several things can happen within one input: first every deadline that lies before it, in
//! order and as of now, then the input itself, then the deadlines at its very instant. The
//! auditor therefore holds an input back until an output shows that the deadlines before it are
//! done, and finds from its own books what led to each output.

mod able;
mod accounts;
mod adaptive;
mod aftermath;
mod breaker;
mod budget;
mod choice;
mod chosen;
mod claims;
mod expect;
mod finish;
mod flight;
mod health;
mod hedge;
mod invariant;
mod ladder;
mod limits;
mod news;
mod payer;
mod queue;
mod rest;
mod revised;
mod smooth;
#[cfg(test)]
mod stories;
mod surrender;
#[cfg(test)]
mod swarm;
mod turn;

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

pub use invariant::{Invariant, Violation};

use crate::{
    AttemptId, Config, DeploymentId, GroupId, Input, Journal, Key, Observation, Output, Purpose,
    RequestId, Restart, Seed, Time,
};
use accounts::{Accounts, Spent, Who};
use adaptive::Adaptive;
use budget::Budget;
use expect::Expectations;
use flight::Flight;
use health::Health;
use hedge::Hedges;
use limits::{Limits, Take};
use queue::Queues;
use revised::Survivors;
use smooth::Credits;

/// What the books say of a question: a random end or a rounding may leave it open.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Answer {
    Yes,
    No,
    Maybe,
}

impl Answer {
    const fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::No, _) | (_, Self::No) => Self::No,
            (Self::Yes, Self::Yes) => Self::Yes,
            (Self::Maybe, _) | (_, Self::Maybe) => Self::Maybe,
        }
    }

    const fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Yes, _) | (_, Self::Yes) => Self::Yes,
            (Self::No, Self::No) => Self::No,
            (Self::Maybe, _) | (_, Self::Maybe) => Self::Maybe,
        }
    }

    const fn not(self) -> Self {
        match self {
            Self::Yes => Self::No,
            Self::No => Self::Yes,
            Self::Maybe => Self::Maybe,
        }
    }
}

impl From<bool> for Answer {
    fn from(yes: bool) -> Self {
        if yes { Self::Yes } else { Self::No }
    }
}

/// An abandoned attempt of which late news may still correct the books.
#[derive(Clone, Debug)]
struct Abandoned {
    id: AttemptId,
    deployment: DeploymentId,
    accounts: Vec<Who>,
    at: Time,
    charged: (Take, Spent),
    epoch: u32,
}

/// Of how many abandoned attempts a router remembers what it charged.
const REMEMBERED: usize = 1_024;
/// How many violations are kept in words; the others are only counted.
const KEPT: usize = 100;

/// Holds a run against the [`Invariant`]s.
///
/// Give it to a [`crate::Driver`] as its journal, or feed it a record line by line. It costs a
/// third of a microsecond per input with its outputs, and its memory grows with what is in flight,
/// not with what has been: a request that is over is simply not open, so that any word of it is
/// one too many.
#[derive(Clone, Debug)]
pub struct Auditor {
    config: Arc<Config>,
    /// How many times the configuration was replaced, and what was known when it last was.
    epoch: u32,
    survivors: Option<Box<Survivors>>,
    /// Removed deployments of which nothing was said since.
    undrained: BTreeSet<DeploymentId>,
    start: Time,
    now: Time,
    /// The latest deadline that was acted on, or the latest input.
    front: Time,
    /// The input being handled, until its turn has come.
    pending: Option<Input>,
    /// Whether that input is, or was, a tick: only a tick acts on deadlines at its own instant.
    ticked: bool,
    /// Whether the router tells of itself: one that tells how requests end is held to tell what
    /// became of deployments, too.
    told: bool,
    /// Of which attempt late news may be confessed, and whether it corrects the books.
    late: Option<(AttemptId, bool)>,
    draining: bool,
    flights: BTreeMap<RequestId, Flight>,
    /// The open requests by their next deadline.
    due: BTreeSet<(Time, RequestId)>,
    /// To whom something happened within this input.
    touched: Vec<RequestId>,
    limits: Limits,
    accounts: Accounts,
    /// Whom the exclusion just told was about, if it is for what they cost.
    dear: Option<(RequestId, GroupId, u64)>,
    adaptive: Adaptive,
    health: Health,
    hedges: Hedges,
    expected: Expectations,
    /// What the router draws its choices from, if that is known.
    draws: Option<Key>,
    queues: Queues,
    credits: Credits,
    budget: Budget,
    abandoned: VecDeque<Abandoned>,
    violations: Vec<Violation>,
    total: u64,
    premises: [u64; Invariant::ALL.len()],
}

impl Auditor {
    /// Audits a router that is made with `config` at `start`.
    pub fn new(config: Arc<Config>, start: Time) -> Self {
        let limits = Limits::new(&config, start);
        let closed_from = limits.closed_from(&config);
        Self {
            epoch: 0,
            survivors: None,
            undrained: BTreeSet::new(),
            start,
            now: start,
            front: start,
            pending: None,
            ticked: false,
            told: false,
            late: None,
            draining: false,
            flights: BTreeMap::new(),
            due: BTreeSet::new(),
            touched: Vec::new(),
            limits,
            accounts: Accounts::new(start, closed_from),
            dear: None,
            adaptive: Adaptive::new(&config, start),
            health: Health::new(&config, start),
            hedges: Hedges::new(&config),
            expected: Expectations::new(&config),
            draws: None,
            credits: Credits::new(&config),
            queues: Queues::new(&config),
            budget: Budget::new(start),
            abandoned: VecDeque::new(),
            violations: Vec::new(),
            total: 0,
            premises: [0; Invariant::ALL.len()],
            config,
        }
    }

    /// The router's seed: with it, what chance decides of a choice is judged, too.
    #[must_use]
    pub fn with_seed(self, seed: Seed) -> Self {
        Self { draws: Some(seed.key(Purpose::Select)), ..self }
    }

    /// The first violations, at most 100. What the last input led to is judged when the next one
    /// comes, or at [`Self::settle`].
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    /// How many violations there were.
    pub const fn total(&self) -> u64 {
        self.total
    }

    /// How often what each of [`Invariant::ALL`] speaks of came up. Zero: the run shows nothing
    /// about that one.
    pub const fn premises(&self) -> &[u64; Invariant::ALL.len()] {
        &self.premises
    }

    /// How many requests are open.
    pub fn open(&self) -> usize {
        self.flights.len()
    }

    /// Judges what the last input led to. Call it when a run stops.
    pub fn settle(&mut self) {
        if let Some((deployment, what)) = self.health.untold.take().filter(|_| self.told) {
            let name = self.config.deployment(deployment).name.clone();
            self.breach(Invariant::ClaimsHold, None, || {
                alloc::format!("of `{name}` it is not told that {what}")
            });
        }
        self.apply();
        self.miss_drained();
        if let Some(deployment) = self.adaptive.take_untold().filter(|_| self.told) {
            let name = self.config.deployment(deployment).name.clone();
            self.breach(Invariant::Adaptive, None, || {
                alloc::format!("the limit of `{name}` has changed, and that is not told")
            });
        }
        let config = Arc::clone(&self.config);
        if let Some((kind, number)) = self.accounts.unsaid() {
            self.breach(Invariant::ClaimsHold, None, || {
                alloc::format!("a budget of subject {number} of kind {kind} is used up, untold")
            });
        }
        for id in core::mem::take(&mut self.touched) {
            if let Some(flight) = self.flights.get_mut(&id).filter(|flight| flight.deciding) {
                flight.deciding = false;
                let detail = "is left without attempt, wait or outcome";
                self.breach(Invariant::Conservation, Some(id), || detail.into());
                self.list(id);
            }
        }
        while let Some(&(due, id)) = self.due.first().filter(|(due, _)| self.is_up(*due)) {
            self.due.remove(&(due, id));
            let (now, ticked) = (self.now, self.ticked);
            if let Some(flight) = self.flights.get_mut(&id) {
                flight.listed = Time::MAX;
                if flight.deadline == now && flight.due_but_hedge() == now && !ticked {
                    // There is no time left for the hedge that was due.
                    flight.hedged = true;
                    self.list(id);
                    continue;
                }
            }
            self.breach(Invariant::Punctual, Some(id), || {
                alloc::format!("had a deadline at {due} that nothing answered by {now}")
            });
        }
        self.nobody_idles();
        if self.flights.is_empty() && self.premises[Invariant::Conservation as usize] > 0 {
            self.premise(Invariant::NothingLeaks);
            if !self.limits.idle() || !self.accounts.idle() {
                let detail = "no request is open, but calls are in flight on some limit";
                self.breach(Invariant::NothingLeaks, None, || detail.into());
                self.limits = Limits::new(&config, self.now);
            }
        }
    }

    /// Judges that nothing is open any more. Call it when a run is over and has drained.
    pub fn at_rest(&mut self) {
        self.health.close_aftermath(&self.config);
        self.settle();
        let open: Vec<RequestId> = self.flights.keys().copied().collect();
        for id in open {
            self.breach(Invariant::Conservation, Some(id), || "never finished".into());
        }
    }

    /// Whether this input was to act on a deadline.
    fn is_up(&self, due: Time) -> bool {
        due < self.now || self.ticked && due == self.now
    }

    fn premise(&mut self, invariant: Invariant) {
        self.premises[invariant as usize] += 1;
    }

    fn breach(
        &mut self,
        invariant: Invariant,
        request: Option<RequestId>,
        detail: impl FnOnce() -> String,
    ) {
        self.total += 1;
        if self.violations.len() < KEPT {
            let detail = detail();
            self.violations.push(Violation { invariant, at: self.now, request, detail });
        }
    }

    /// Keeps the list of deadlines up to date with a flight.
    fn list(&mut self, id: RequestId) {
        let Some(flight) = self.flights.get_mut(&id) else { return };
        let due = flight.due();
        if due != flight.listed {
            self.due.remove(&(flight.listed, id));
            if due != Time::MAX {
                self.due.insert((due, id));
            }
            flight.listed = due;
        }
    }
}

/// Whom an output is about; rests, pages and misfits are about no request.
fn subject(output: &Output) -> Option<RequestId> {
    Some(match output {
        Output::Dispatch(dispatch) => dispatch.attempt.request,
        Output::Abandon(attempt, _) | Output::Commit(attempt) => attempt.request,
        Output::Finish(id, _) => *id,
        Output::Observe(observation) => match observation {
            Observation::Excluded { attempt, .. }
            | Observation::Selected { attempt, .. }
            | Observation::Stranded { attempt, .. }
            | Observation::Waiting { attempt, .. }
            | Observation::Ended { attempt, .. }
            | Observation::Held { attempt, .. }
            | Observation::Late { attempt, .. } => attempt.request,
            Observation::GaveUp { request, .. }
            | Observation::Stepped { request, .. }
            | Observation::Closed { request, .. }
            | Observation::Queued { request, .. }
            | Observation::Dequeued { request, .. } => *request,
            Observation::Rested { .. }
            | Observation::Breaker { .. }
            | Observation::Spared { .. }
            | Observation::Concurrency { .. }
            | Observation::Page { .. }
            | Observation::Drained { .. }
            | Observation::Budget { .. }
            | Observation::Misfit => return None,
        },
    })
}

impl Auditor {
    /// Another router begins with nothing: so do the books.
    fn begin_anew(&mut self, now: Time) {
        self.at_rest();
        let now = now.max(self.now);
        let began = self.config.router().periods_began + now.since(self.start);
        let fresh = Self::new(Arc::clone(&self.config).begun(began), now);
        let last = core::mem::replace(self, fresh);
        (self.violations, self.total, self.premises) = (last.violations, last.total, last.premises);
        (self.draws, self.told) = (last.draws, last.told);
    }
}

impl Journal for Auditor {
    fn restart(&mut self, now: Time, restart: Restart) {
        match restart {
            Restart::Restored => {}
            Restart::Empty => self.begin_anew(now),
        }
    }

    fn input(&mut self, now: Time, input: &Input) {
        self.health.close_aftermath(&self.config);
        self.settle();
        if now < self.now {
            let before = self.now;
            self.breach(Invariant::TimeMonotone, None, || {
                alloc::format!("an input at {now} follows one at {before}")
            });
        }
        self.now = self.now.max(now);
        self.late = None;
        self.queues.turn_page();
        self.dear = None;
        self.ticked = matches!(input, Input::Tick);
        self.pending = Some(input.clone());
    }

    fn output(&mut self, now: Time, output: &Output) {
        if now != self.now {
            let expected = self.now;
            self.breach(Invariant::TimeMonotone, subject(output), || {
                alloc::format!("an output at {now} follows an input at {expected}")
            });
        }
        if let Output::Observe(Observation::Late { attempt, corrected }) = output {
            return self.confessed(*attempt, *corrected);
        }
        if let Output::Observe(Observation::Drained { deployment }) = output {
            return self.drained(*deployment);
        }
        let Some(id) = subject(output) else {
            if let Output::Observe(observation) = output {
                self.told(observation);
            }
            return;
        };
        self.dear = None;
        if !matches!(output, Output::Observe(Observation::Ended { .. })) {
            self.health.close_aftermath(&self.config);
        }
        if self.is_duplicate(output) {
            if matches!(output, Output::Finish(..)) {
                self.pending = None;
            }
            return;
        }
        self.trigger(id, output);
        if !self.flights.contains_key(&id) {
            self.breach(Invariant::Conservation, Some(id), || {
                alloc::format!("is not open, yet there is `{output}`")
            });
            return;
        }
        match output {
            Output::Dispatch(dispatch) => self.dispatched(*dispatch),
            Output::Abandon(attempt, why) => self.dropped(*attempt, *why),
            Output::Commit(attempt) => self.committed(*attempt),
            Output::Finish(id, outcome) => self.finished(*id, *outcome),
            Output::Observe(observation) => self.claimed(id, *observation),
        }
        self.list(id);
    }
}
