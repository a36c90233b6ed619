//! One request's life, in one slot.

use crate::account::Payer;
use crate::limit::Charge;
use crate::{
    AttemptId, Cached, Cause, DeploymentId, Detour, Failure, FailureClass, FailureKind, GroupId,
    Request, RequestId, Span, Time, TimeoutsSpec, TimerKind, Usage,
};

/// Where an attempt is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub(crate) enum Phase {
    /// It was dispatched and nothing was heard of it.
    Connecting,
    /// The connection stands, and no token came.
    Connected,
    /// Tokens come.
    Streaming,
    /// It is over, or was never made: the next one waits for its time.
    Waiting,
    /// It was never made: the request waits in its group's queue.
    Queued,
}

/// An attempt: the live one, the last one, or the second of a hedged request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Try {
    pub(crate) dispatched: Time,
    /// While tokens come, the last sign of life; before, when a hedge is due, or [`Time::MAX`];
    /// of a request that waits, when the wait ends or is looked into.
    pub(crate) mark: Time,
    /// Output tokens seen; of a request in a queue, its place there.
    pub(crate) seen: u32,
    /// From dispatch to the first token, in microseconds; [`NEVER`] until then.
    pub(crate) first_token_us: u32,
    pub(crate) deployment: DeploymentId,
    /// A configuration has 64 groups at most.
    pub(crate) group: u8,
    /// The deployment's place in the group.
    pub(crate) member: u8,
    /// Counted from one.
    pub(crate) ordinal: u8,
    pub(crate) key: u8,
    pub(crate) phase: Phase,
    pub(crate) flags: u8,
}

/// No such span.
pub(crate) const NEVER: u32 = u32::MAX;
/// Flag: the client wants tokens as they come.
pub(crate) const STREAMS: u8 = 1;
/// Flag: the client said how many tokens may come back.
pub(crate) const CAPPED: u8 = 2;
/// Flag: it is a half-open breaker's probe.
pub(crate) const PROBE: u8 = 4;
/// Flag: it is a hedge.
pub(crate) const HEDGE: u8 = 8;
/// Flags: some attempt of the request was refused for the prompt's length, or for its content.
pub(crate) const TOO_LONG: u8 = 16;
pub(crate) const REFUSED: u8 = 32;
/// Flag: the request is on a rung of its ladder, in a smaller group.
pub(crate) const DEGRADED: u8 = 64;
/// Flags that hold for the whole request.
const OF_REQUEST: u8 = STREAMS | CAPPED | TOO_LONG | REFUSED | DEGRADED;
/// Every flag.
pub(crate) const FLAGS: u8 = OF_REQUEST | PROBE | HEDGE;

impl Try {
    /// The group it is made in.
    pub(crate) const fn group(&self) -> GroupId {
        GroupId::at(self.group as usize)
    }

    pub(crate) const fn is(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    pub(crate) const fn is_live(&self) -> bool {
        match self.phase {
            Phase::Connecting | Phase::Connected | Phase::Streaming => true,
            Phase::Waiting | Phase::Queued => false,
        }
    }

    pub(crate) const fn is_committed(&self) -> bool {
        self.first_token_us != NEVER
    }

    /// The client gets its first token.
    pub(crate) fn commit(&mut self, now: Time) {
        let us = now.since(self.dispatched).as_nanos() / 1_000;
        self.first_token_us = u32::try_from(us).unwrap_or(NEVER - 1).min(NEVER - 1);
    }

    /// From its dispatch to its first token.
    pub(crate) fn first_token(&self) -> Option<Span> {
        self.is_committed().then(|| Span::from_micros(self.first_token_us.into()))
    }

    /// Its next deadline and what for; of several at one instant the earliest kind of
    /// [`TimerKind`]'s order.
    #[inline]
    fn due(&self, timeouts: &TimeoutsSpec) -> (Time, TimerKind) {
        let mut due = (self.dispatched + timeouts.total, TimerKind::Total);
        let mut earlier = |at: Time, kind: TimerKind| {
            if at < due.0 {
                due = (at, kind);
            }
        };
        match self.phase {
            Phase::Streaming => {
                if self.is(STREAMS) {
                    earlier(self.mark + timeouts.idle, TimerKind::Idle);
                }
            }
            Phase::Connecting | Phase::Connected => {
                if self.is(STREAMS) {
                    earlier(self.dispatched + timeouts.first_token, TimerKind::FirstToken);
                }
                if self.phase == Phase::Connecting {
                    earlier(self.dispatched + timeouts.connect, TimerKind::Connect);
                }
                earlier(self.mark, TimerKind::Hedge);
            }
            Phase::Waiting => due = (self.mark, TimerKind::Retry),
            Phase::Queued => due = (self.mark, TimerKind::Queue),
        }
        due
    }
}

/// Small numbers of a flight, packed: failures by class (4 bits each), attempts made (5 bits),
/// and three flags.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Tally(pub(crate) u32);

impl Tally {
    const MADE: u32 = 24;
    /// The provider said whether to try again.
    const TOLD: u32 = 1 << 29;
    /// It said that it should be.
    const TRY_AGAIN: u32 = 1 << 30;
    /// A hedge was made or held back.
    const HEDGED: u32 = 1 << 31;

    /// How many attempts were made.
    pub(crate) const fn made(self) -> u8 {
        (self.0 >> Self::MADE & 0x1F) as u8
    }

    fn add_attempt(&mut self) {
        assert!(self.made() < 16, "`router.attempts` is 16 at most");
        self.0 += 1 << Self::MADE;
    }

    /// How many failures of a class there were; 15 stands for all above.
    pub(crate) const fn failures(self, class: FailureClass) -> u8 {
        (self.0 >> (class as u32 * 4) & 0xF) as u8
    }

    fn add_failure(&mut self, class: FailureClass) {
        if self.failures(class) < 15 {
            self.0 += 1 << (class as u32 * 4);
        }
    }

    pub(crate) const fn hedged(self) -> bool {
        self.0 & Self::HEDGED != 0
    }
}

/// A request in flight. Its size is what most of the router's memory is made of; see
/// [`crate::Router::BYTES_PER_REQUEST`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flight {
    pub(crate) id: RequestId,
    pub(crate) submitted: Time,
    pub(crate) deadline: Time,
    /// Members of the present group that were tried.
    pub(crate) tried: u64,
    /// Groups that were dispatched in, the home group included.
    pub(crate) visited: u64,
    /// The live attempt, or the last. Of two it is the one that was dispatched first; the other
    /// is its aside's twin.
    pub(crate) lead: Try,
    pub(crate) input_tokens: u32,
    pub(crate) output_reserve: u32,
    /// The last failure's `Retry-After` in milliseconds, rounded up; [`NEVER`] if it had none.
    pub(crate) retry_after_ms: u32,
    /// Where in the router's asides it keeps what few requests have; [`NEVER`] if nowhere.
    pub(crate) aside: u32,
    pub(crate) tally: Tally,
    /// The last failure's.
    pub(crate) status: u16,
    /// The group asked for.
    pub(crate) home: u8,
    /// The last failure's.
    pub(crate) kind: FailureKind,
}

const _: () = assert!(size_of::<Flight>() == 96);

/// What only some requests have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Aside {
    pub(crate) tags: u64,
    pub(crate) affinity: u64,
    pub(crate) region: u16,
    pub(crate) payer: Payer,
    /// What the driver's cache holds for it, if a ladder may ask.
    pub(crate) cached: Cached,
    /// The second live attempt of a hedged request.
    pub(crate) twin: Option<Try>,
}

impl Aside {
    pub(crate) const NONE: Self = Self {
        tags: 0,
        affinity: 0,
        region: 0,
        payer: Payer::NONE,
        cached: Cached::None,
        twin: None,
    };

    /// Whether there is nothing to keep.
    pub(crate) fn is_none(&self) -> bool {
        self.asks_for_all()
            && self.affinity == 0
            && self.twin.is_none()
            && self.payer == Payer::NONE
            && self.cached == Cached::None
    }

    /// Whether everybody is fit for it, as far as tags and regions go.
    pub(crate) const fn asks_for_all(&self) -> bool {
        self.tags == 0 && self.region == 0
    }
}

impl Flight {
    pub(crate) fn new(request: &Request, now: Time, deadline: Time, output_reserve: u32) -> Self {
        let home = request.group.index();
        let streams = if request.stream { STREAMS } else { 0 };
        let capped = if request.output_max.is_some() { CAPPED } else { 0 };
        Self {
            id: request.id,
            submitted: now,
            deadline,
            tried: 0,
            visited: 1 << home,
            lead: Try {
                dispatched: now,
                mark: now,
                seen: 0,
                first_token_us: NEVER,
                deployment: DeploymentId::at(0),
                group: home as u8,
                member: 0,
                ordinal: 0,
                key: 0,
                phase: Phase::Waiting,
                flags: streams | capped,
            },
            input_tokens: request.input_tokens,
            output_reserve: request.output_max.unwrap_or(output_reserve),
            retry_after_ms: NEVER,
            aside: NEVER,
            tally: Tally::default(),
            status: 0,
            home: home as u8,
            kind: FailureKind::Server,
        }
    }

    /// The name of one of its attempts.
    pub(crate) const fn name(&self, attempt: &Try) -> AttemptId {
        AttemptId { request: self.id, ordinal: attempt.ordinal }
    }

    /// The attempt that would be next.
    pub(crate) const fn next_attempt(&self) -> AttemptId {
        AttemptId { request: self.id, ordinal: self.tally.made() + 1 }
    }

    /// The group asked for.
    pub(crate) const fn home(&self) -> GroupId {
        GroupId::at(self.home as usize)
    }

    /// The group that the live or last attempt was made in.
    pub(crate) const fn group(&self) -> GroupId {
        self.lead.group()
    }

    pub(crate) fn is_queued(&self) -> bool {
        self.lead.phase == Phase::Queued
    }

    pub(crate) const fn streams(&self) -> bool {
        self.lead.is(STREAMS)
    }

    pub(crate) const fn is_live(&self) -> bool {
        self.lead.is_live()
    }

    /// What an attempt of it reserves.
    pub(crate) fn charge(&self) -> Charge {
        let (input, output) = (self.input_tokens.into(), self.output_reserve.into());
        Charge { requests: 1, input, output }
    }

    /// The tokens that its answer and prompt may come to, as far as the client said.
    pub(crate) fn length(&self) -> u64 {
        let most = if self.lead.is(CAPPED) { self.output_reserve } else { 0 };
        u64::from(self.input_tokens) + u64::from(most)
    }

    /// What an attempt has used, if it ends without telling: nothing if it never connected.
    pub(crate) const fn usage_so_far(&self, attempt: &Try, connected: bool) -> Usage {
        let input_tokens = if connected { self.input_tokens } else { 0 };
        Usage { input_tokens, cached_tokens: 0, output_tokens: attempt.seen }
    }

    /// Its next attempt, counted as made. The caller makes it the lead or its twin.
    pub(crate) fn begin(&mut self, group: GroupId, member: usize, cause: Cause, now: Time) -> Try {
        if self.lead.group() != group {
            self.tried = 0;
            self.visited |= 1 << group.index();
        }
        self.tally.add_attempt();
        self.tried |= 1 << member;
        let mut flags = self.lead.flags & OF_REQUEST;
        flags |= if cause == Cause::Probe { PROBE } else { 0 };
        flags |= if cause == Cause::Hedge { HEDGE } else { 0 };
        Try {
            dispatched: now,
            mark: Time::MAX,
            seen: 0,
            first_token_us: NEVER,
            group: group.index() as u8,
            member: member as u8,
            ordinal: self.tally.made(),
            phase: Phase::Connecting,
            flags,
            ..self.lead
        }
    }

    /// One of its attempts is over: the other, if there is one, leads from here on.
    pub(crate) fn end(&mut self, ordinal: u8, twin: Option<Try>) {
        if self.lead.ordinal == ordinal {
            match twin {
                Some(twin) => self.lead = twin,
                None => self.lead.phase = Phase::Waiting,
            }
        }
    }

    /// From here on it goes only where fallbacks of this kind lead, or of a narrower one.
    pub(crate) const fn keep_to(&mut self, detour: Detour) {
        self.lead.flags |= match detour {
            Detour::Any => 0,
            Detour::ContextWindow => TOO_LONG,
            Detour::ContentPolicy => REFUSED,
        };
    }

    /// Which fallbacks it is kept to.
    pub(crate) const fn kept(&self) -> Detour {
        if self.lead.is(REFUSED) {
            Detour::ContentPolicy
        } else if self.lead.is(TOO_LONG) {
            Detour::ContextWindow
        } else {
            Detour::Any
        }
    }

    /// No further hedge is made for it.
    pub(crate) const fn hedge_done(&mut self) {
        self.tally.0 |= Tally::HEDGED;
    }

    /// The last failure, as the client may see it.
    pub(crate) fn failure(&self) -> Failure {
        let after = (self.retry_after_ms != NEVER).then_some(self.retry_after_ms);
        let told = self.tally.0 & Tally::TOLD != 0;
        Failure {
            kind: self.kind,
            status: self.status,
            retry_after: after.map(|ms| Span::from_millis(ms.into())),
            should_retry: told.then_some(self.tally.0 & Tally::TRY_AGAIN != 0),
            usage: None,
        }
    }

    /// Remembers a failure, and counts it under its class.
    pub(crate) fn note(&mut self, failure: &Failure) {
        self.kind = failure.kind;
        self.status = failure.status;
        self.retry_after_ms = failure.retry_after.map_or(NEVER, |span| {
            let ms = span.as_nanos().div_ceil(1_000_000);
            u32::try_from(ms).unwrap_or(NEVER - 1).min(NEVER - 1)
        });
        self.tally.0 &= !(Tally::TOLD | Tally::TRY_AGAIN);
        self.tally.0 |= match failure.should_retry {
            None => 0,
            Some(false) => Tally::TOLD,
            Some(true) => Tally::TOLD | Tally::TRY_AGAIN,
        };
        if let Some(class) = failure.retry_class() {
            self.tally.add_failure(class);
        }
    }

    /// Its next deadline, what for, and for which attempt. Of several at one instant the earliest
    /// kind of [`TimerKind`]'s order acts, the lead's first.
    #[inline]
    pub(crate) fn due(&self, timeouts: &TimeoutsSpec, twin: Option<&Try>) -> (Time, TimerKind, u8) {
        let (mut at, mut kind) = self.lead.due(timeouts);
        let mut ordinal = self.lead.ordinal;
        if let Some(twin) = twin {
            let other = twin.due(timeouts);
            if other.0 < at {
                ((at, kind), ordinal) = (other, twin.ordinal);
            }
        }
        if self.deadline <= at {
            (self.deadline, TimerKind::Deadline, 0)
        } else {
            (at, kind, ordinal)
        }
    }
}
