//! What the auditor knows of one request.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::accounts::{Spent, Who};
use super::health::Place;
use super::limits::Take;
use super::queue::Kin;
use crate::{
    Abandon, AttemptId, Config, DeploymentId, Detour, End, Failure, FailureClass, FailureKind,
    GiveUp, GroupId, Outcome, Rejection, Request, Rung, Scope, Span, Time, TimeoutsSpec, Usage,
};

/// An attempt in flight.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempt {
    pub(super) id: AttemptId,
    pub(super) place: Place,
    /// When it started.
    pub(super) at: Time,
    pub(super) timeouts: TimeoutsSpec,
    pub(super) stream: bool,
    /// Whether anything was heard of it, and of its tokens when last.
    pub(super) heard: bool,
    pub(super) sign: Option<Time>,
    /// When its first token came.
    pub(super) first: Option<Time>,
    pub(super) tokens: u32,
    pub(super) reserved: Take,
    /// What that costs its subjects' budgets.
    pub(super) cost: Spent,
    /// Under which configuration it started.
    pub(super) epoch: u32,
    /// Whether it is a half-open breaker's.
    pub(super) probe: bool,
}

impl Attempt {
    /// When a timeout of this kind strikes, if it is armed.
    pub(super) fn timer(&self, why: Abandon) -> Option<Time> {
        let (from, span) = match why {
            Abandon::Connect => (Some(self.at).filter(|_| !self.heard), self.timeouts.connect),
            Abandon::FirstToken => {
                let waits = self.stream && self.sign.is_none();
                (Some(self.at).filter(|_| waits), self.timeouts.first_token)
            }
            Abandon::Idle => (self.sign.filter(|_| self.stream), self.timeouts.idle),
            Abandon::Total => (Some(self.at), self.timeouts.total),
            Abandon::Cancel | Abandon::Deadline | Abandon::Hedged => (None, Span::MAX),
        };
        from.filter(|_| span != Span::MAX).map(|from| from + span)
    }

    /// When the first of its timeouts strikes.
    fn due(&self) -> Time {
        [Abandon::Connect, Abandon::FirstToken, Abandon::Idle, Abandon::Total]
            .into_iter()
            .filter_map(|why| self.timer(why))
            .min()
            .unwrap_or(Time::MAX)
    }

    /// A token, or several, were seen at `now`.
    pub(super) fn seen(&mut self, now: Time, tokens: u32) {
        self.heard = true;
        self.sign = Some(now);
        self.first = self.first.or(Some(now));
        self.tokens = self.tokens.max(tokens);
    }

    /// What it used if nobody said: nothing if it never connected.
    pub(super) fn used(&self, connected: bool) -> Take {
        let used = Take { output: u64::from(self.tokens), ..self.reserved };
        if connected { used } else { Take { input: 0, output: 0, ..used } }
    }
}

/// What is billed, as taken from a limit.
pub(super) fn billed(usage: Usage) -> Take {
    let (input, output) = (u64::from(usage.input_tokens), u64::from(usage.output_tokens));
    Take { requests: 1, input, output }
}

/// What an attempt used: tokens, and how many of them the provider read from its cache.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Used {
    pub(super) take: Take,
    pub(super) cached: u64,
}

impl From<Take> for Used {
    fn from(take: Take) -> Self {
        Self { take, cached: 0 }
    }
}

impl From<Usage> for Used {
    fn from(usage: Usage) -> Self {
        Self { take: billed(usage), cached: usage.cached_tokens.into() }
    }
}

/// How an attempt failed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failed {
    pub(super) failure: Failure,
}

impl Failed {
    /// Whether trying again is pointless or unwanted.
    pub(super) fn is_final(&self) -> bool {
        let refused = self.failure.kind == FailureKind::BadRequest;
        self.failure.should_retry.map_or(refused, |wanted| !wanted)
    }

    /// Where it leads to, if anywhere.
    pub(super) fn detour(&self) -> Detour {
        match self.failure.should_retry {
            Some(true) => Detour::Any,
            Some(false) | None => self.failure.kind.detour(),
        }
    }

    /// Whether the group that failed is not to be tried again.
    pub(super) fn is_detoured(&self) -> bool {
        self.detour() != Detour::Any
    }
}

/// An attempt that ended, and what it used.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ended {
    pub(super) id: AttemptId,
    pub(super) group: GroupId,
    pub(super) deployment: DeploymentId,
    pub(super) at: Time,
    pub(super) end: End,
    pub(super) used: Take,
    pub(super) elapsed: Span,
}

/// An open request.
#[derive(Clone, Debug)]
pub(super) struct Flight {
    pub(super) request: Request,
    /// On whose account it is.
    pub(super) accounts: Vec<Who>,
    pub(super) submitted: Time,
    pub(super) deadline: Time,
    /// The completion tokens to reserve, as configured when it came.
    output: u32,
    /// The group being tried, and its members that this visit tried.
    pub(super) group: GroupId,
    pub(super) tried: u64,
    pub(super) visited: u64,
    pub(super) barred: Vec<DeploymentId>,
    pub(super) attempts: u8,
    /// The older, or only, attempt in flight, and the other.
    pub(super) live: Option<Attempt>,
    pub(super) second: Option<Box<Attempt>>,
    /// When a hedge is due, at least and at most.
    pub(super) hedge: Option<(Time, Time)>,
    /// Whether one was made or held back.
    pub(super) hedged: bool,
    pub(super) waiting: Option<Time>,
    /// Until when it may wait in a queue, if it does, and since when that holds; of which kin it
    /// is there; whether it left for its first attempt.
    pub(super) queued: Option<(Time, Time)>,
    pub(super) kin: Option<Kin>,
    pub(super) called: bool,
    /// How many attempts were allowed when its last wait began: a new configuration with fewer
    /// does not end that wait.
    pub(super) planned: u8,
    /// Who spoke to the client, and from when on.
    pub(super) committed: Option<(AttemptId, Time)>,
    pub(super) failed: Option<Failed>,
    /// Which fallbacks it is kept to: those of the narrowest kind of its failures.
    pub(super) kept: Detour,
    /// How often it failed, by class.
    pub(super) failures: [u8; FailureClass::ALL.len()],
    /// The attempts that ended last, the later first.
    ended: [Option<Ended>; 2],
    pub(super) answer: Option<(AttemptId, Usage)>,
    /// The attempt that was answered while another lives.
    pub(super) won: Option<Box<(Attempt, Used)>>,
    /// Cut by its total timeout after its first token.
    pub(super) cut: Option<AttemptId>,
    pub(super) cancelled: bool,
    /// Why it must be turned away at once.
    pub(super) refused: Option<Rejection>,
    pub(super) gave_up: Option<GiveUp>,
    /// What the cache spares it, as it was when it came.
    pub(super) spared: Option<Outcome>,
    /// The smaller group that its ladder led it to, and the rung that it is said to be on next.
    pub(super) rung: Option<GroupId>,
    pub(super) told_rung: Option<Rung>,
    /// Whether something happened to it that the router must answer within this input; when
    /// that is, and which deadline it was (the same, if it was none).
    pub(super) deciding: bool,
    pub(super) at: Time,
    pub(super) since: Time,
    /// Whether that was the end of a wait.
    pub(super) woken: bool,
    /// The choice being told: whom it excludes, and whom it took of which members.
    pub(super) scan: Option<Scan>,
    pub(super) selected: Option<Selected>,
    /// When its timeouts were last changed: what a change has moved into the past is due then.
    floor: Time,
    /// Under which instant it stands in the auditor's list of deadlines.
    pub(super) listed: Time,
}

/// Whom a choice in a group is told to exclude, and for what passes by itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scan {
    pub(super) group: GroupId,
    pub(super) told: u64,
    pub(super) held_up: u64,
}

/// Whom it took of which members, and whom it excluded for what passes by itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Selected {
    pub(super) group: GroupId,
    pub(super) deployment: DeploymentId,
    pub(super) eligible: u64,
    pub(super) held_up: u64,
}

impl Flight {
    pub(super) fn new(config: &Config, request: Request, at: Time) -> Self {
        let deadline = match config.router().deadline {
            Span::MAX => Time::MAX,
            span => at + span,
        };
        Self {
            request,
            accounts: Vec::new(),
            submitted: at,
            deadline: request.deadline.unwrap_or(Time::MAX).min(deadline),
            output: request.output_max.unwrap_or_else(|| config.router().output_reserve),
            group: request.group,
            tried: 0,
            visited: 1 << request.group.index(),
            barred: Vec::new(),
            attempts: 0,
            live: None,
            second: None,
            hedge: None,
            hedged: false,
            waiting: None,
            queued: None,
            kin: None,
            called: false,
            planned: 0,
            committed: None,
            failed: None,
            kept: Detour::Any,
            failures: [0; FailureClass::ALL.len()],
            ended: [None; 2],
            answer: None,
            won: None,
            cut: None,
            cancelled: false,
            refused: None,
            gave_up: None,
            spared: None,
            rung: None,
            told_rung: None,
            deciding: true,
            at,
            since: at,
            woken: false,
            scan: None,
            selected: None,
            floor: Time::ZERO,
            listed: Time::MAX,
        }
    }

    /// The next instant at which something must happen to it.
    pub(super) fn due(&self) -> Time {
        if self.deciding {
            return Time::MAX;
        }
        let hedge = self.hedge_due().filter(|(least, most)| least == most);
        self.due_but_hedge().min(hedge.map_or(Time::MAX, |(due, _)| due))
    }

    /// The same, but for a hedge: one whose deadline has come as well is passed over.
    pub(super) fn due_but_hedge(&self) -> Time {
        if self.deciding {
            return Time::MAX;
        }
        let attempt = self.lives().map(Attempt::due).min().unwrap_or(Time::MAX);
        let wait = self.waiting.into_iter().chain(self.patience()).min().unwrap_or(Time::MAX);
        self.deadline.min(attempt.max(self.floor)).min(wait)
    }

    /// When its wait in a queue ends: what a new configuration has made too long ends at once.
    pub(super) fn patience(&self) -> Option<Time> {
        self.queued.map(|(until, since)| until.max(since))
    }

    /// New timeouts hold from now on, for calls in flight, too: counted as ever, but none is due
    /// before now.
    pub(super) fn retime(&mut self, config: &Config, now: Time) {
        self.floor = now;
        for live in self.live.iter_mut().chain(self.second.as_deref_mut()) {
            live.timeouts = config.group(live.place.group).timeouts;
        }
    }

    /// Whether a change has moved a timeout of it into the past: the next input acts on that,
    /// whenever it comes.
    pub(super) fn is_moved(&self) -> bool {
        self.lives().any(|live| live.due() < self.floor)
    }

    /// When a hedge is due, if one may still be.
    pub(super) fn hedge_due(&self) -> Option<(Time, Time)> {
        let waits = self.live.is_some_and(|live| live.sign.is_none()) && self.second.is_none();
        self.hedge.filter(|_| waits && !self.hedged)
    }

    /// Whoever is in flight.
    pub(super) fn lives(&self) -> impl Iterator<Item = &Attempt> {
        self.live.iter().chain(self.second.as_deref())
    }

    pub(super) fn find_mut(&mut self, id: AttemptId) -> Option<&mut Attempt> {
        self.live.iter_mut().chain(self.second.as_deref_mut()).find(|live| live.id == id)
    }

    /// An attempt starts beside what is in flight, if anything is.
    pub(super) fn enter(&mut self, attempt: Attempt) {
        if self.live.is_none() {
            self.live = Some(attempt);
        } else {
            self.second = Some(Box::new(attempt));
        }
    }

    /// An attempt is in flight no more.
    pub(super) fn leave(&mut self, id: AttemptId) -> Option<Attempt> {
        if let Some(second) = self.second.take_if(|second| second.id == id) {
            return Some(*second);
        }
        let left = self.live.take_if(|live| live.id == id)?;
        self.live = self.second.take().map(|second| *second);
        Some(left)
    }

    pub(super) fn note_end(&mut self, ended: Ended) {
        self.ended = [Some(ended), self.ended[0]];
    }

    /// Whether something is known of an end that was not told.
    pub(super) fn has_ended(&self, id: AttemptId) -> bool {
        self.ended.iter().flatten().any(|ended| ended.id == id)
    }

    /// What is known of an end, once.
    pub(super) fn end_of(&mut self, id: AttemptId) -> Option<Ended> {
        let mut ends = self.ended.iter_mut();
        ends.find_map(|end| end.take_if(|ended| ended.id == id))
    }

    /// Whether the group it is in retries what it failed with last.
    pub(super) fn may_retry(&self, config: &Config) -> bool {
        let Some(failed) = &self.failed else { return true };
        let class = counted(&failed.failure);
        let most = &config.group(self.group).retry;
        !failed.is_detoured() && self.failures[class as usize] <= most.most(class)
    }

    /// Whether its next deadline was missed, and that was told.
    pub(super) fn was_told(&self) -> bool {
        self.due() != self.listed
    }

    /// What an attempt of it reserves.
    pub(super) fn take(&self) -> Take {
        let input = u64::from(self.request.input_tokens);
        Take { requests: 1, input, output: u64::from(self.output) }
    }

    /// The live attempt failed, or was given up for a reason that counts as a failure.
    pub(super) fn fail(&mut self, attempt: &Attempt, failure: Failure) {
        let deployment = attempt.place.deployment;
        if failure.kind.scope() == Scope::Deployment {
            self.barred.push(deployment);
        }
        if failure.kind.class().is_some() || failure.should_retry == Some(true) {
            let count = &mut self.failures[counted(&failure) as usize];
            *count = count.saturating_add(1);
        }
        let failed = Failed { failure };
        self.kept = self.kept.max(failed.detour());
        self.failed = Some(failed);
    }
}

/// The class that a failure counts under if it is retried: what no class has is the server's.
fn counted(failure: &Failure) -> FailureClass {
    failure.kind.class().unwrap_or(FailureClass::Server)
}

/// What a timeout counts as.
pub(super) const fn timeout(why: Abandon) -> Option<FailureKind> {
    match why {
        Abandon::Connect => Some(FailureKind::Connect),
        Abandon::FirstToken => Some(FailureKind::FirstToken),
        Abandon::Idle => Some(FailureKind::Idle),
        Abandon::Total => Some(FailureKind::Total),
        Abandon::Cancel | Abandon::Deadline | Abandon::Hedged => None,
    }
}
