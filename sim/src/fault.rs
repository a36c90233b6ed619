//! What goes wrong, and whom it touches.

use std::num::NonZeroU16;

use router_core::{
    Anew, Counter, DeploymentId, FailureKind, Key, Purpose, RequestId, Seed, Span, Time,
};

use crate::plan::{Answer, BadEnd, ComeBack, Effect, Fault, Outage};
use crate::rhythm::Stretch;
use crate::sample::Chance;

/// Every fault of a world.
#[derive(Clone, Debug)]
pub(crate) struct Faults {
    all: Vec<Live>,
    /// Per deployment: which of them are on it.
    on: Vec<Vec<u32>>,
    key: Key,
}

#[derive(Clone, Debug)]
struct Live {
    fault: Fault,
    /// The stretch over which it is there now, or will be next.
    stretch: Option<Stretch>,
    of: Chance,
    errors: Chance,
    next_answer: usize,
    fired: u64,
}

/// A call, as far as faults look at it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Victim {
    pub(crate) request: RequestId,
    pub(crate) ordinal: u8,
    pub(crate) deployment: DeploymentId,
}

/// What faults do to a call that is dispatched.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Met {
    /// What becomes of it instead of an answer: of the first fault, in the plan's order, that
    /// decides.
    pub(crate) fate: Option<Fate>,
    /// The first fault that waits for its answer, plus one.
    pub(crate) doom: Option<NonZeroU16>,
}

/// How a call fares that is answered by a fault.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Fate {
    /// It hangs.
    Hangs,
    /// It fails.
    Fails(Flaw),
}

/// What awaits an answer that has begun.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Doom {
    /// After so many tokens, when the next one is due, this end.
    Breaks(u32, BadEnd),
    /// It comes whole and is worth nothing.
    Garbage,
}

/// How slow a call is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slow {
    /// Times its time to first token.
    pub(crate) first_token: f64,
    /// Times its time per token.
    pub(crate) per_token: f64,
    /// Plus this before the first token.
    pub(crate) delay: Span,
}

/// A failure without its usage: what is kept of it until it is told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Flaw {
    pub(crate) kind: FailureKind,
    pub(crate) status: u16,
    pub(crate) retry_after: Option<Span>,
    pub(crate) should_retry: Option<bool>,
}

impl Flaw {
    pub(crate) const fn new(kind: FailureKind, status: u16, retry_after: Option<Span>) -> Self {
        Self { kind, status, retry_after, should_retry: None }
    }

    /// What a driver makes of a bare status.
    pub(crate) const fn of_status(status: u16) -> Self {
        let kind = match status {
            429 => FailureKind::RateLimit,
            402 => FailureKind::QuotaSpent,
            401 | 403 => FailureKind::Authentication,
            404 => FailureKind::NotFound,
            400 | 413 | 422 => FailureKind::BadRequest,
            _ => FailureKind::Server,
        };
        Self::new(kind, status, None)
    }
}

/// Which of a fault's draws: whether it touches, and whether a brownout fails, the touched.
const TOUCHES: u32 = 0;
const FAILS: u32 = 1;

impl Faults {
    pub(crate) fn new(seed: Seed, faults: &[Fault], deployments: usize) -> Self {
        assert!(faults.len() < usize::from(u16::MAX), "a world has fewer faults than that");
        let key = seed.key(Purpose::Fault);
        let mut on = vec![Vec::new(); deployments];
        for (index, fault) in faults.iter().enumerate() {
            for deployment in &fault.on {
                on[deployment.index()].push(index as u32);
            }
        }
        let live = |(index, fault): (usize, &Fault)| Live {
            stretch: Stretch::first(fault, (key, index as u32)),
            of: Chance::new(fault.of),
            errors: match &fault.effect {
                Effect::Brownout { errors, .. } => Chance::new(*errors),
                Effect::Outage(_) | Effect::Storm { .. } | Effect::Answers(_) => Chance::NEVER,
                Effect::Breaks { .. } | Effect::QuotaSpent(_) => Chance::NEVER,
                Effect::RevokedKey(_) | Effect::Garbage => Chance::NEVER,
                Effect::Restart(_) | Effect::Store(_) | Effect::CacheFlush => Chance::NEVER,
            },
            fault: fault.clone(),
            next_answer: 0,
            fired: 0,
        };
        Self { all: faults.iter().enumerate().map(live).collect(), on, key }
    }

    /// How often a fault touched a call.
    pub(crate) fn fired(&self) -> impl ExactSizeIterator<Item = u64> {
        self.all.iter().map(|live| live.fired)
    }

    /// When faults first begin that break calls in progress. A fault that touches nothing has no
    /// beginning: with a share of zero it is as if it were absent.
    pub(crate) fn beginnings(&self) -> impl Iterator<Item = (u32, Time)> {
        self.all.iter().enumerate().filter_map(|(index, live)| match live.fault.effect {
            Effect::Restart(_) | Effect::CacheFlush => {
                live.stretch.map(|stretch| (index as u32, stretch.from))
            }
            Effect::Outage(Outage::Refuse | Outage::Status(_)) if !live.of.never() => {
                live.stretch.map(|stretch| (index as u32, stretch.from))
            }
            Effect::Outage(_) | Effect::Brownout { .. } | Effect::Storm { .. } => None,
            Effect::Answers(_) | Effect::Breaks { .. } | Effect::QuotaSpent(_) => None,
            Effect::RevokedKey(_) | Effect::Garbage | Effect::Store(_) => None,
        })
    }

    /// When a fault that begins now begins again.
    pub(crate) fn next_beginning(&mut self, now: Time, fault: u32) -> Option<Time> {
        let live = &mut self.all[fault as usize];
        live.is_on(now, self.key, fault);
        let next = live.stretch?.next(&live.fault, (self.key, fault))?;
        Some(next.from)
    }

    /// How a fault starts the router anew, if that is what it does.
    pub(crate) fn restart(&self, fault: u32) -> Option<Anew> {
        match self.all[fault as usize].fault.effect {
            Effect::Restart(anew) => Some(anew),
            Effect::Outage(_) | Effect::Brownout { .. } | Effect::Storm { .. } => None,
            Effect::Answers(_) | Effect::Breaks { .. } | Effect::QuotaSpent(_) => None,
            Effect::RevokedKey(_) | Effect::Garbage | Effect::Store(_) | Effect::CacheFlush => None,
        }
    }

    /// The router was started anew, and so many requests were cut.
    pub(crate) fn restarted(&mut self, fault: u32, cut: usize) {
        self.all[fault as usize].fired += cut as u64;
    }

    /// Whether a fault flushes the response cache.
    pub(crate) fn flushes(&self, fault: u32) -> bool {
        matches!(self.all[fault as usize].fault.effect, Effect::CacheFlush)
    }

    /// So many answers were thrown away.
    pub(crate) fn flushed(&mut self, fault: u32, answers: u64) {
        self.all[fault as usize].fired += answers;
    }

    /// Where a fault is.
    pub(crate) fn on(&self, fault: u32) -> &[DeploymentId] {
        &self.all[fault as usize].fault.on
    }

    /// Whether a fault that begins breaks this call in progress; counts it.
    pub(crate) fn breaks(&mut self, fault: u32, request: RequestId, ordinal: u8) -> bool {
        let touched = self.touches(fault, request, ordinal);
        self.all[fault as usize].fired += u64::from(touched);
        touched
    }

    /// What awaits a call that is dispatched now with this key, and would hear of a failure at
    /// `told`.
    pub(crate) fn meets(&mut self, now: Time, told: Time, victim: Victim, key: u8) -> Met {
        let Victim { request, ordinal, deployment } = victim;
        let mut met = Met::default();
        for at in 0..self.on[deployment.index()].len() {
            let index = self.on[deployment.index()][at];
            let live = &mut self.all[index as usize];
            if !live.is_on(now, self.key, index) || !self.touches(index, request, ordinal) {
                continue;
            }
            let draws = self.key;
            let live = &mut self.all[index as usize];
            let fate = match &live.fault.effect {
                Effect::Breaks { .. } | Effect::Garbage => {
                    met.doom = met.doom.or_else(|| NonZeroU16::new(index as u16 + 1));
                    continue;
                }
                Effect::Restart(_) | Effect::Store(_) | Effect::CacheFlush => continue,
                Effect::RevokedKey(Some(revoked)) if *revoked != key => continue,
                Effect::RevokedKey(_) => Some(Fate::Fails(Flaw::of_status(401))),
                Effect::QuotaSpent(status) => {
                    Some(Fate::Fails(Flaw::new(FailureKind::QuotaSpent, *status, None)))
                }
                Effect::Outage(Outage::Refuse) => {
                    Some(Fate::Fails(Flaw::new(FailureKind::Connect, 0, None)))
                }
                Effect::Outage(Outage::BlackHole) => Some(Fate::Hangs),
                Effect::Outage(Outage::Status(status)) => {
                    Some(Fate::Fails(Flaw::of_status(*status)))
                }
                Effect::Brownout { .. } => {
                    let fails = live.errors.hit(|| draw(draws, index, request, ordinal, FAILS));
                    fails.then(|| Fate::Fails(Flaw::of_status(503)))
                }
                Effect::Storm { retry_after } => {
                    Some(Fate::Fails(Flaw::new(FailureKind::RateLimit, 429, *retry_after)))
                }
                Effect::Answers(answers) => {
                    let answer = answers.get(live.next_answer);
                    live.next_answer = (live.next_answer + 1) % answers.len().max(1);
                    answer.and_then(|answer| answer.fate(told))
                }
            };
            live.fired += 1;
            if fate.is_some() {
                return Met { fate, ..met };
            }
        }
        met
    }

    /// What awaits the answer of a call with this [`Met::doom`].
    pub(crate) fn doom(&self, doom: NonZeroU16) -> Doom {
        match self.all[usize::from(doom.get() - 1)].fault.effect {
            Effect::Breaks { after, end } => Doom::Breaks(after, end),
            Effect::Garbage => Doom::Garbage,
            Effect::Outage(_) | Effect::Brownout { .. } | Effect::Storm { .. } => {
                unreachable!("not a fault that waits for answers")
            }
            Effect::Answers(_)
            | Effect::QuotaSpent(_)
            | Effect::RevokedKey(_)
            | Effect::Restart(_)
            | Effect::CacheFlush
            | Effect::Store(_) => {
                unreachable!("not a fault that waits for answers")
            }
        }
    }

    /// Counts that what awaited an answer came over it.
    pub(crate) fn struck(&mut self, doom: NonZeroU16) {
        self.all[usize::from(doom.get() - 1)].fired += 1;
    }

    /// How much brownouts slow a call now.
    pub(crate) fn slow(&mut self, now: Time, victim: Victim) -> Slow {
        let Victim { request, ordinal, deployment } = victim;
        let mut slow = Slow { first_token: 1.0, per_token: 1.0, delay: Span::ZERO };
        for at in 0..self.on[deployment.index()].len() {
            let index = self.on[deployment.index()][at];
            let live = &mut self.all[index as usize];
            if let Effect::Brownout { first_token, per_token, delay, .. } = live.fault.effect
                && live.is_on(now, self.key, index)
                && self.touches(index, request, ordinal)
            {
                slow.first_token *= first_token;
                slow.per_token *= per_token;
                slow.delay = slow.delay + delay;
            }
        }
        slow
    }

    /// Whether a fault touches an attempt: always the same answer, since the draw is keyed.
    fn touches(&self, fault: u32, request: RequestId, ordinal: u8) -> bool {
        let of = self.all[fault as usize].of;
        of.hit(|| draw(self.key, fault, request, ordinal, TOUCHES))
    }
}

impl Live {
    /// Whether it is there now. Time must not go back.
    fn is_on(&mut self, now: Time, key: Key, index: u32) -> bool {
        while let Some(stretch) = self.stretch
            && stretch.until <= now
        {
            self.stretch = stretch.next(&self.fault, (key, index));
        }
        self.stretch.is_some_and(|stretch| stretch.from <= now)
    }
}

impl Answer {
    /// What becomes of a call that hears this at `told`.
    fn fate(self, told: Time) -> Option<Fate> {
        match self {
            Self::Ok => None,
            Self::Fail { status, kind, retry_after, should_retry } => {
                let retry_after = retry_after.map(|back| match back {
                    ComeBack::In(wait) => wait,
                    ComeBack::At(at) => at.since(told),
                });
                Some(Fate::Fails(Flaw { kind, status, retry_after, should_retry }))
            }
        }
    }
}

fn draw(key: Key, fault: u32, request: RequestId, attempt: u8, index: u32) -> u64 {
    key.word(Counter { request: request.as_u64(), entity: fault, attempt, index })
}
