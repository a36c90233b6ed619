//! One request's life, in one slot.

use crate::limit::Charge;
use crate::{
    AttemptId, DeploymentId, Failure, FailureKind, GroupId, Request, RequestId, Span, Time,
    TimeoutsSpec, TimerKind, Usage,
};

/// Where a flight is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub(crate) enum Phase {
    /// An attempt was dispatched and nothing was heard of it.
    Connecting,
    /// The connection stands, and no token came.
    Connected,
    /// Tokens come.
    Streaming,
    /// No attempt lives; the next one waits for its time.
    Waiting,
}

/// A request in flight.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flight {
    pub(crate) id: RequestId,
    pub(crate) submitted: Time,
    pub(crate) deadline: Time,
    /// When the live attempt was dispatched.
    pub(crate) dispatched: Time,
    /// The stream's last sign of life, or when the wait ends.
    pub(crate) mark: Time,
    /// When the client got its first token; [`Time::MAX`] until then.
    pub(crate) first_token: Time,
    /// The last failure's `Retry-After`; [`Span::MAX`] if it had none.
    pub(crate) retry_after: Span,
    /// Members of the present group that were tried.
    pub(crate) tried: u64,
    /// Groups that were dispatched in, the home group included.
    pub(crate) visited: u64,
    pub(crate) input_tokens: u32,
    pub(crate) output_reserve: u32,
    /// Output tokens seen of the live attempt.
    pub(crate) seen: u32,
    pub(crate) deployment: DeploymentId,
    pub(crate) status: u16,
    pub(crate) home: GroupId,
    pub(crate) group: GroupId,
    /// The deployment's place in the present group.
    pub(crate) member: u8,
    /// Of the live or last attempt, counted from one.
    pub(crate) ordinal: u8,
    pub(crate) key: u8,
    pub(crate) phase: Phase,
    pub(crate) kind: FailureKind,
    pub(crate) should_retry: Option<bool>,
    pub(crate) stream: bool,
    pub(crate) committed: bool,
    /// Whether some failure was final for a deployment.
    pub(crate) barred: bool,
}

impl Flight {
    pub(crate) fn new(request: &Request, now: Time, deadline: Time, output_reserve: u32) -> Self {
        Self {
            id: request.id,
            submitted: now,
            deadline,
            dispatched: now,
            mark: now,
            first_token: Time::MAX,
            retry_after: Span::MAX,
            tried: 0,
            visited: 1 << request.group.index(),
            input_tokens: request.input_tokens,
            output_reserve: request.output_max.unwrap_or(output_reserve),
            seen: 0,
            deployment: DeploymentId::at(0),
            status: 0,
            home: request.group,
            group: request.group,
            member: 0,
            ordinal: 0,
            key: 0,
            phase: Phase::Waiting,
            kind: FailureKind::Server,
            should_retry: None,
            stream: request.stream,
            committed: false,
            barred: false,
        }
    }

    pub(crate) fn attempt(&self) -> AttemptId {
        AttemptId { request: self.id, ordinal: self.ordinal }
    }

    /// The attempt that would be next.
    pub(crate) fn next_attempt(&self) -> AttemptId {
        AttemptId { request: self.id, ordinal: self.ordinal + 1 }
    }

    pub(crate) const fn is_live(&self) -> bool {
        match self.phase {
            Phase::Connecting | Phase::Connected | Phase::Streaming => true,
            Phase::Waiting => false,
        }
    }

    /// What an attempt of it reserves.
    pub(crate) fn charge(&self) -> Charge {
        let (input, output) = (self.input_tokens.into(), self.output_reserve.into());
        Charge { requests: 1, input, output }
    }

    /// What the live attempt has used, if it ends without telling: nothing if it never connected.
    pub(crate) const fn usage_so_far(&self, connected: bool) -> Usage {
        let input_tokens = if connected { self.input_tokens } else { 0 };
        Usage { input_tokens, cached_tokens: 0, output_tokens: self.seen }
    }

    /// The last failure, as the client may see it.
    pub(crate) fn failure(&self) -> Failure {
        Failure {
            kind: self.kind,
            status: self.status,
            retry_after: (self.retry_after != Span::MAX).then_some(self.retry_after),
            should_retry: self.should_retry,
            usage: None,
        }
    }

    pub(crate) fn note(&mut self, failure: &Failure) {
        self.kind = failure.kind;
        self.status = failure.status;
        self.retry_after = failure.retry_after.unwrap_or(Span::MAX);
        self.should_retry = failure.should_retry;
    }

    /// Its next deadline and what for. Of several at one instant the earliest kind of
    /// [`TimerKind`]'s order acts.
    pub(crate) fn due(&self, timeouts: &TimeoutsSpec) -> (Time, TimerKind) {
        let mut due = (self.deadline, TimerKind::Deadline);
        let mut earlier = |at: Time, kind: TimerKind| {
            if at < due.0 {
                due = (at, kind);
            }
        };
        match self.phase {
            Phase::Waiting => earlier(self.mark, TimerKind::Retry),
            Phase::Connecting | Phase::Connected | Phase::Streaming => {
                earlier(self.dispatched + timeouts.total, TimerKind::Total);
                if self.stream && self.phase == Phase::Streaming {
                    earlier(self.mark + timeouts.idle, TimerKind::Idle);
                }
                if self.stream && self.phase != Phase::Streaming {
                    earlier(self.dispatched + timeouts.first_token, TimerKind::FirstToken);
                }
                if self.phase == Phase::Connecting {
                    earlier(self.dispatched + timeouts.connect, TimerKind::Connect);
                }
            }
        }
        due
    }
}
