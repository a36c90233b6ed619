//! What the auditor knows of one request.

use alloc::vec::Vec;

use super::health::Place;
use super::limits::Take;
use crate::{
    Abandon, AttemptId, Config, DeploymentId, Failure, FailureKind, GiveUp, GroupId, Rejection,
    Request, Scope, Span, Time, TimeoutsSpec, Usage,
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
    pub(super) tokens: u32,
    pub(super) reserved: Take,
    /// Under which configuration it started.
    pub(super) epoch: u32,
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

/// How an attempt failed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failed {
    pub(super) failure: Failure,
    pub(super) ordinal: u8,
}

impl Failed {
    /// Whether trying again is pointless or unwanted.
    pub(super) fn is_final(&self) -> bool {
        self.failure.should_retry == Some(false)
            || (self.failure.kind.scope() == Scope::Request
                && self.failure.should_retry != Some(true))
    }
}

/// An open request.
#[derive(Clone, Debug)]
pub(super) struct Flight {
    pub(super) request: Request,
    pub(super) deadline: Time,
    /// The completion tokens to reserve, as configured when it came.
    output: u32,
    /// The group being tried, and its members that this visit tried.
    pub(super) group: GroupId,
    pub(super) tried: u64,
    pub(super) visited: u64,
    pub(super) barred: Vec<DeploymentId>,
    pub(super) attempts: u8,
    pub(super) live: Option<Attempt>,
    pub(super) waiting: Option<Time>,
    /// How many attempts were allowed when its last wait began: a new configuration with fewer
    /// does not end that wait.
    pub(super) planned: u8,
    pub(super) committed: Option<AttemptId>,
    pub(super) failed: Option<Failed>,
    /// The attempt that ended last, and what it used.
    pub(super) ended: Option<(Attempt, Take)>,
    pub(super) answer: Option<(AttemptId, Usage)>,
    /// Cut by its total timeout after its first token.
    pub(super) cut: Option<AttemptId>,
    pub(super) cancelled: bool,
    /// Why it must be turned away at once.
    pub(super) refused: Option<Rejection>,
    pub(super) gave_up: Option<GiveUp>,
    /// Whether something happened to it that the router must answer within this input; when
    /// that is, and which deadline it was (the same, if it was none).
    pub(super) deciding: bool,
    pub(super) at: Time,
    pub(super) since: Time,
    /// Whether that was the end of a wait.
    pub(super) woken: bool,
    /// The choice being told: its group, whom it excludes, and whom it took.
    pub(super) scan: Option<(GroupId, u64)>,
    pub(super) selected: Option<(GroupId, DeploymentId)>,
    /// Under which instant it stands in the auditor's list of deadlines.
    pub(super) listed: Time,
}

impl Flight {
    pub(super) fn new(config: &Config, request: Request, at: Time) -> Self {
        let deadline = match config.router().deadline {
            Span::MAX => Time::MAX,
            span => at + span,
        };
        Self {
            request,
            deadline: request.deadline.unwrap_or(Time::MAX).min(deadline),
            output: request.output_max.unwrap_or_else(|| config.router().output_reserve),
            group: request.group,
            tried: 0,
            visited: 1 << request.group.index(),
            barred: Vec::new(),
            attempts: 0,
            live: None,
            waiting: None,
            planned: 0,
            committed: None,
            failed: None,
            ended: None,
            answer: None,
            cut: None,
            cancelled: false,
            refused: None,
            gave_up: None,
            deciding: true,
            at,
            since: at,
            woken: false,
            scan: None,
            selected: None,
            listed: Time::MAX,
        }
    }

    /// The next instant at which something must happen to it.
    pub(super) fn due(&self) -> Time {
        if self.deciding {
            return Time::MAX;
        }
        let attempt = self.live.as_ref().map_or(Time::MAX, Attempt::due);
        self.deadline.min(attempt).min(self.waiting.unwrap_or(Time::MAX))
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
        self.failed = Some(Failed { failure, ordinal: attempt.id.ordinal });
    }
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
