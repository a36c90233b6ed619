//! One call at a provider, from dispatch to its end.

use std::num::{NonZeroU16, NonZeroU64};

use router_core::{AttemptId, FailureKind, RequestId, Span, Time, Upstream};

use crate::slab::Link;

/// A call at a provider.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attempt {
    pub(crate) request: RequestId,
    pub(crate) input: u32,
    pub(crate) output: u32,
    /// Completion tokens that its quota counted in advance, and in which window.
    pub(crate) reserved: u32,
    pub(crate) window: u16,
    pub(crate) deployment: u16,
    /// The fault that waits for its answer, plus one.
    pub(crate) doom: Option<NonZeroU16>,
    /// The next of the same request.
    pub(crate) sibling: Link,
    /// Which of the heartbeats seen.
    pub(crate) beat: u8,
    pub(crate) ordinal: u8,
    pub(crate) flags: u8,
    pub(crate) stage: Stage,
}

/// The router dropped it.
pub(crate) const DROPPED: u8 = 1;
/// Its tokens are wanted as they come.
pub(crate) const STREAMS: u8 = 2;
/// The agenda holds an event of it, so its slot is not free before that.
pub(crate) const DUE: u8 = 4;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Stage {
    /// It fails at its next event, with this `x-should-retry` and this `Retry-After` in
    /// nanoseconds plus one.
    Failing(FailureKind, u16, Option<bool>, Option<NonZeroU64>),
    /// Nothing will ever come of it.
    Hung,
    /// It waits for its turn; its connection may be reported meanwhile.
    Queued,
    /// In service; the connection is reported at its next event, the first token comes then.
    Connecting { first_at: Time },
    /// In service; the first token comes at its next event.
    Prefill,
    /// In service, token by token.
    Decode { first_at: Time, per_token: u32 },
    /// In service, but nothing comes after these tokens.
    Stalled { tokens: u32 },
    /// A fault that just began broke it; about to be told.
    Broken,
    /// Over, but for an event in the agenda.
    Dead,
}

/// What is asked of a provider, beyond the dispatch itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask {
    pub(crate) input: u32,
    pub(crate) output: u32,
    pub(crate) output_max: Option<u32>,
    pub(crate) stream: bool,
    pub(crate) sibling: Link,
}

/// News of an attempt, and whether it was the last.
#[derive(Clone, Copy, Debug)]
pub(crate) struct News {
    pub(crate) attempt: AttemptId,
    pub(crate) upstream: Upstream,
    pub(crate) last: bool,
}

impl Attempt {
    pub(crate) const fn id(&self) -> AttemptId {
        AttemptId { request: self.request, ordinal: self.ordinal }
    }

    /// When the last token comes.
    pub(crate) fn done(&self, first_at: Time, per_token: u32) -> Time {
        first_at + Span::from_nanos(u64::from(per_token)) * u64::from(self.output.saturating_sub(1))
    }

    /// How many tokens there are by now.
    pub(crate) fn produced(&self, now: Time) -> u32 {
        match self.stage {
            Stage::Decode { first_at, per_token } => {
                let more = now.since(first_at).as_nanos().checked_div(u64::from(per_token));
                more.map_or(self.output, |more| {
                    more.saturating_add(1).min(self.output.into()) as u32
                })
            }
            Stage::Stalled { tokens } => tokens,
            Stage::Failing(..) | Stage::Hung | Stage::Queued | Stage::Connecting { .. } => 0,
            Stage::Prefill | Stage::Broken | Stage::Dead => 0,
        }
    }
}
