//! What goes wrong, and whom it touches.

use router_core::{Counter, DeploymentId, FailureKind, Key, Purpose, RequestId, Seed, Span, Time};

use crate::plan::{Answer, Effect, Fault, Outage};
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
    of: Chance,
    errors: Chance,
    next_answer: usize,
    fired: u64,
}

/// How a call fares that is answered by a fault.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Fate {
    /// It hangs.
    Hangs,
    /// It fails.
    Fails(Flaw),
}

/// A failure without its usage: what is kept of it until it is told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Flaw {
    pub(crate) kind: FailureKind,
    pub(crate) status: u16,
    pub(crate) retry_after: Option<Span>,
}

impl Flaw {
    pub(crate) const fn new(kind: FailureKind, status: u16, retry_after: Option<Span>) -> Self {
        Self { kind, status, retry_after }
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
        let mut on = vec![Vec::new(); deployments];
        for (index, fault) in faults.iter().enumerate() {
            for deployment in &fault.on {
                on[deployment.index()].push(index as u32);
            }
        }
        let live = |fault: &Fault| Live {
            of: Chance::new(fault.of),
            errors: match &fault.effect {
                Effect::Brownout { errors, .. } => Chance::new(*errors),
                Effect::Outage(_) | Effect::Storm { .. } | Effect::Answers(_) => {
                    Chance::new(router_core::Ratio::ZERO)
                }
            },
            fault: fault.clone(),
            next_answer: 0,
            fired: 0,
        };
        Self { all: faults.iter().map(live).collect(), on, key: seed.key(Purpose::Fault) }
    }

    /// How often a fault touched a call.
    pub(crate) fn fired(&self) -> impl ExactSizeIterator<Item = u64> {
        self.all.iter().map(|live| live.fired)
    }

    /// When faults begin that break calls in progress. A fault that touches nothing has no
    /// beginning: with a share of zero it is as if it were absent.
    pub(crate) fn beginnings(&self) -> impl Iterator<Item = (u32, Time)> {
        self.all.iter().enumerate().filter_map(|(index, live)| match live.fault.effect {
            Effect::Outage(Outage::Refuse | Outage::Status(_)) if !live.of.never() => {
                Some((index as u32, live.fault.from))
            }
            Effect::Outage(_) | Effect::Brownout { .. } | Effect::Storm { .. } => None,
            Effect::Answers(_) => None,
        })
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

    /// What awaits a call that is dispatched now: the first fault, in the plan's order, that
    /// decides; `None` if none does.
    pub(crate) fn meets(
        &mut self,
        now: Time,
        deployment: DeploymentId,
        request: RequestId,
        ordinal: u8,
    ) -> Option<Fate> {
        for at in 0..self.on[deployment.index()].len() {
            let index = self.on[deployment.index()][at];
            if !self.all[index as usize].is_on(now) || !self.touches(index, request, ordinal) {
                continue;
            }
            let key = self.key;
            let live = &mut self.all[index as usize];
            live.fired += 1;
            let fate = match &live.fault.effect {
                Effect::Outage(Outage::Refuse) => {
                    Some(Fate::Fails(Flaw::new(FailureKind::Connect, 0, None)))
                }
                Effect::Outage(Outage::BlackHole) => Some(Fate::Hangs),
                Effect::Outage(Outage::Status(status)) => {
                    Some(Fate::Fails(Flaw::of_status(*status)))
                }
                Effect::Brownout { .. } => {
                    let fails = live.errors.hit(|| draw(key, index, request, ordinal, FAILS));
                    fails.then(|| Fate::Fails(Flaw::of_status(503)))
                }
                Effect::Storm { retry_after } => {
                    Some(Fate::Fails(Flaw::new(FailureKind::RateLimit, 429, *retry_after)))
                }
                Effect::Answers(answers) => {
                    let answer = answers.get(live.next_answer);
                    live.next_answer = (live.next_answer + 1) % answers.len().max(1);
                    answer.and_then(|answer| match *answer {
                        Answer::Ok => None,
                        Answer::Fail { status, kind, retry_after } => {
                            Some(Fate::Fails(Flaw::new(kind, status, retry_after)))
                        }
                    })
                }
            };
            if fate.is_some() {
                return fate;
            }
        }
        None
    }

    /// What brownouts multiply a call's time to first token and time per token by, now.
    pub(crate) fn slow(
        &self,
        now: Time,
        deployment: DeploymentId,
        request: RequestId,
        ordinal: u8,
    ) -> [f64; 2] {
        let mut times = [1.0, 1.0];
        for &index in &self.on[deployment.index()] {
            let live = &self.all[index as usize];
            if let Effect::Brownout { first_token, per_token, .. } = live.fault.effect
                && live.is_on(now)
                && self.touches(index, request, ordinal)
            {
                times = [times[0] * first_token, times[1] * per_token];
            }
        }
        times
    }

    /// Whether a fault touches an attempt: always the same answer, since the draw is keyed.
    fn touches(&self, fault: u32, request: RequestId, ordinal: u8) -> bool {
        let of = self.all[fault as usize].of;
        of.hit(|| draw(self.key, fault, request, ordinal, TOUCHES))
    }
}

impl Live {
    fn is_on(&self, now: Time) -> bool {
        self.fault.from <= now && self.fault.until.is_none_or(|until| now < until)
    }
}

fn draw(key: Key, fault: u32, request: RequestId, attempt: u8, index: u32) -> u64 {
    key.word(Counter { request: request.as_u64(), entity: fault, attempt, index })
}
