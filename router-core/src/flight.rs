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

/// A request in flight. Its size is what most of the router's memory is made of; see
/// [`crate::Router::BYTES_PER_REQUEST`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flight {
    pub(crate) id: RequestId,
    pub(crate) submitted: Time,
    pub(crate) deadline: Time,
    /// When the live or last attempt was dispatched.
    pub(crate) dispatched: Time,
    /// The stream's last sign of life, or when the wait ends.
    pub(crate) mark: Time,
    /// Members of the present group that were tried.
    pub(crate) tried: u64,
    /// Groups that were dispatched in, the home group included.
    pub(crate) visited: u64,
    pub(crate) input_tokens: u32,
    pub(crate) output_reserve: u32,
    /// Output tokens seen of the live attempt.
    pub(crate) seen: u32,
    /// From the dispatch of the committed attempt to its first token, in microseconds;
    /// [`NEVER`] until then.
    pub(crate) first_token_us: u32,
    /// The last failure's `Retry-After` in milliseconds, rounded up; [`NEVER`] if it had none.
    pub(crate) retry_after_ms: u32,
    pub(crate) deployment: DeploymentId,
    /// The last failure's.
    pub(crate) status: u16,
    /// The group asked for, and the present one; a configuration has 64 at most.
    pub(crate) home: u8,
    pub(crate) group: u8,
    /// The deployment's place in the present group.
    pub(crate) member: u8,
    /// Of the live or last attempt, counted from one.
    pub(crate) ordinal: u8,
    pub(crate) key: u8,
    pub(crate) phase: Phase,
    /// The last failure's.
    pub(crate) kind: FailureKind,
    pub(crate) flags: u8,
}

/// No such span.
pub(crate) const NEVER: u32 = u32::MAX;
/// Flag: the client wants tokens as they come.
pub(crate) const STREAMS: u8 = 1;
/// Flags: the provider said whether to try again, and that it should be.
pub(crate) const TOLD: u8 = 2;
pub(crate) const TRY_AGAIN: u8 = 4;

impl Flight {
    pub(crate) fn new(request: &Request, now: Time, deadline: Time, output_reserve: u32) -> Self {
        let home = request.group.index();
        Self {
            id: request.id,
            submitted: now,
            deadline,
            dispatched: now,
            mark: now,
            tried: 0,
            visited: 1 << home,
            input_tokens: request.input_tokens,
            output_reserve: request.output_max.unwrap_or(output_reserve),
            seen: 0,
            first_token_us: NEVER,
            retry_after_ms: NEVER,
            deployment: DeploymentId::at(0),
            status: 0,
            home: home as u8,
            group: home as u8,
            member: 0,
            ordinal: 0,
            key: 0,
            phase: Phase::Waiting,
            kind: FailureKind::Server,
            flags: if request.stream { STREAMS } else { 0 },
        }
    }

    pub(crate) fn attempt(&self) -> AttemptId {
        AttemptId { request: self.id, ordinal: self.ordinal }
    }

    /// The attempt that would be next.
    pub(crate) fn next_attempt(&self) -> AttemptId {
        AttemptId { request: self.id, ordinal: self.ordinal + 1 }
    }

    /// The group asked for.
    pub(crate) const fn home(&self) -> GroupId {
        GroupId::at(self.home as usize)
    }

    /// The group that the live or last attempt was made in.
    pub(crate) const fn group(&self) -> GroupId {
        GroupId::at(self.group as usize)
    }

    pub(crate) const fn streams(&self) -> bool {
        self.flags & STREAMS != 0
    }

    pub(crate) const fn is_committed(&self) -> bool {
        self.first_token_us != NEVER
    }

    /// The client gets its first token.
    pub(crate) fn commit(&mut self, now: Time) {
        let us = now.since(self.dispatched).as_nanos() / 1_000;
        self.first_token_us = u32::try_from(us).unwrap_or(NEVER - 1).min(NEVER - 1);
    }

    /// From the dispatch of the committed attempt to its first token.
    pub(crate) fn first_token(&self) -> Option<Span> {
        self.is_committed().then(|| Span::from_micros(self.first_token_us.into()))
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
        let after = (self.retry_after_ms != NEVER).then_some(self.retry_after_ms);
        let told = self.flags & TOLD != 0;
        Failure {
            kind: self.kind,
            status: self.status,
            retry_after: after.map(|ms| Span::from_millis(ms.into())),
            should_retry: told.then_some(self.flags & TRY_AGAIN != 0),
            usage: None,
        }
    }

    pub(crate) fn note(&mut self, failure: &Failure) {
        self.kind = failure.kind;
        self.status = failure.status;
        self.retry_after_ms = failure.retry_after.map_or(NEVER, |span| {
            let ms = span.as_nanos().div_ceil(1_000_000);
            u32::try_from(ms).unwrap_or(NEVER - 1).min(NEVER - 1)
        });
        self.flags &= STREAMS;
        self.flags |= match failure.should_retry {
            None => 0,
            Some(false) => TOLD,
            Some(true) => TOLD | TRY_AGAIN,
        };
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
                if self.streams() && self.phase == Phase::Streaming {
                    earlier(self.mark + timeouts.idle, TimerKind::Idle);
                }
                if self.streams() && self.phase != Phase::Streaming {
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
