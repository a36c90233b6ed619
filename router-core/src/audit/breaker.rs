//! The auditor's own breakers.
//!
//! A breaker opens for a random time within a known interval. As long as the router does not say
//! when it ends, only a probe shows that it is over. Calls count in the order in which they end.

use alloc::collections::VecDeque;

use super::rest::{jittered, stretched_by};
use super::{Answer, rest};
use crate::{BreakerMode, BreakerSpec, BreakerState, BreakerWindow, Span, Time, Turn};

/// A window of time is this many slots.
const SLOTS: u64 = 10;

/// What an ended call says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Verdict {
    Good,
    Failed,
    /// Neither, but it was waited for in vain: that may have been slow.
    Left,
    /// Nothing at all.
    None,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Closed {
        since: Time,
        ramp_until: Time,
    },
    /// Until some instant from `least` to `greatest`.
    Open {
        least: Time,
        greatest: Time,
    },
    HalfOpen {
        since: Time,
        probes: u32,
        successes: u32,
    },
}

/// Calls, failed ones and slow ones.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    /// The slot of time, or the number of the call.
    at: u64,
    calls: u64,
    failed: u64,
    slow: u64,
}

/// What a breaker judges.
#[derive(Clone, Debug, Default)]
struct Window {
    tallies: VecDeque<Tally>,
    sum: Tally,
    counted: u64,
}

impl Window {
    fn count(&mut self, spec: &BreakerSpec, age: Span, failed: bool, slow: bool) {
        self.counted += 1;
        let (at, length) = match spec.window {
            BreakerWindow::Time(span) => (age.as_nanos() / (span.as_nanos() / SLOTS).max(1), SLOTS),
            BreakerWindow::Calls(calls) => (self.counted, u64::from(calls)),
        };
        while let Some(old) = self.tallies.front().filter(|old| at - old.at >= length) {
            self.sum.calls -= old.calls;
            self.sum.failed -= old.failed;
            self.sum.slow -= old.slow;
            self.tallies.pop_front();
        }
        if self.tallies.back().is_none_or(|last| last.at < at) {
            self.tallies.push_back(Tally { at, ..Tally::default() });
        }
        let last = self.tallies.back_mut().expect("one was just pushed if there was none");
        for tally in [last, &mut self.sum] {
            tally.calls += 1;
            tally.failed += u64::from(failed);
            tally.slow += u64::from(slow);
        }
    }
}

/// The breaker of one membership.
#[derive(Clone, Debug)]
pub(super) struct Breaker {
    state: State,
    window: Window,
    consecutive: u32,
    /// How many times it opened in a row.
    streak: u8,
    /// A turn of which nothing was said yet.
    pub(super) turned: Option<(BreakerState, Turn)>,
}

impl Breaker {
    pub(super) fn new(start: Time) -> Self {
        Self {
            state: State::Closed { since: start, ramp_until: start },
            window: Window::default(),
            consecutive: 0,
            streak: 0,
            turned: None,
        }
    }

    pub(super) const fn is_closed(&self) -> bool {
        match self.state {
            State::Closed { .. } => true,
            State::Open { .. } | State::HalfOpen { .. } => false,
        }
    }

    pub(super) const fn is_half_open(&self) -> bool {
        match self.state {
            State::HalfOpen { .. } => true,
            State::Closed { .. } | State::Open { .. } => false,
        }
    }

    /// Whether it is certainly open still.
    pub(super) fn is_open(&self, at: Time) -> bool {
        matches!(self.state, State::Open { least, .. } if least > at)
    }

    /// Its window is another from now on, and empty.
    pub(super) fn count_anew(&mut self) {
        self.window = Window::default();
    }

    /// Its share of its membership's weight, in 1024ths: from a tenth to the whole.
    pub(super) fn ramp(&self, at: Time) -> u64 {
        match self.state {
            State::Closed { since, ramp_until } if at < ramp_until => {
                let all = u128::from(ramp_until.since(since).as_nanos());
                let done = u128::from(at.since(since).as_nanos()) * 1024 / all;
                (done as u64).max(102)
            }
            State::Closed { .. } | State::Open { .. } | State::HalfOpen { .. } => 1024,
        }
    }

    /// Whether it lets a call through.
    pub(super) fn admits(&self, spec: &BreakerSpec, at: Time) -> Answer {
        match self.state {
            State::Closed { .. } => Answer::Yes,
            State::Open { least, greatest } => rest::within(least, greatest, at).not(),
            State::HalfOpen { probes, .. } => (probes < spec.probes).into(),
        }
    }

    /// When it lets a call through at the latest, if nothing else happens; at once, if only
    /// probes in flight are in the way.
    pub(super) fn latest(&self, at: Time) -> Time {
        match self.state {
            State::Closed { .. } | State::HalfOpen { .. } => at,
            State::Open { greatest, .. } => greatest.max(at),
        }
    }

    /// A call goes out in spite of what it says (`panic`) or not; whether that is a probe.
    pub(super) fn dispatched(&mut self, at: Time, panic: bool) -> bool {
        match &mut self.state {
            State::Open { least, .. } if *least <= at && !panic => {
                self.state = State::HalfOpen { since: at, probes: 1, successes: 0 };
                true
            }
            State::HalfOpen { probes, .. } if !panic => {
                *probes += 1;
                true
            }
            State::Closed { .. } | State::Open { .. } | State::HalfOpen { .. } => false,
        }
    }

    /// A call that was dispatched at `from` ended. What it would trip the breaker for, if it
    /// would.
    pub(super) fn ended(
        &mut self,
        spec: &BreakerSpec,
        mode: BreakerMode,
        call: Call,
        now: Time,
    ) -> Option<Turn> {
        match mode {
            BreakerMode::Enforce => {}
            BreakerMode::Observe => self.lapse(now),
            BreakerMode::Disabled | BreakerMode::ForcedOpen => {
                self.give_back(&call);
                return None;
            }
        }
        let given_back = self.give_back(&call);
        match &mut self.state {
            State::Closed { since, .. } if call.from >= *since && call.counts() => {
                self.count(spec, call)
            }
            State::HalfOpen { successes, .. } if given_back && call.counts() => {
                if call.verdict == Verdict::Failed || call.slow {
                    return Some(Turn::Probe);
                }
                *successes += 1;
                if *successes >= spec.successes {
                    self.close(now, now + spec.ramp);
                    self.turned = Some((BreakerState::Closed, Turn::Recovered));
                }
                None
            }
            State::Closed { .. } | State::Open { .. } | State::HalfOpen { .. } => None,
        }
    }

    /// One that only observes is not half-open: it closes by itself when its time is over, which
    /// the next call to end shows.
    fn lapse(&mut self, now: Time) {
        match self.state {
            State::Open { greatest, .. } if greatest <= now => self.close(greatest, greatest),
            State::HalfOpen { since, .. } => self.close(since, since),
            State::Closed { .. } | State::Open { .. } => {}
        }
    }

    /// A probe of the present phase is over, whatever it says.
    fn give_back(&mut self, call: &Call) -> bool {
        match &mut self.state {
            State::HalfOpen { since, probes, .. } if call.probe && call.from >= *since => {
                *probes = probes.saturating_sub(1);
                true
            }
            State::Closed { .. } | State::Open { .. } | State::HalfOpen { .. } => false,
        }
    }

    fn close(&mut self, since: Time, ramp_until: Time) {
        self.state = State::Closed { since, ramp_until };
        (self.window, self.consecutive) = (Window::default(), 0);
    }

    fn count(&mut self, spec: &BreakerSpec, call: Call) -> Option<Turn> {
        let failed = call.verdict == Verdict::Failed;
        match call.verdict {
            Verdict::Failed => self.consecutive = self.consecutive.saturating_add(1),
            Verdict::Good => self.consecutive = 0,
            Verdict::Left | Verdict::None => {}
        }
        self.window.count(spec, call.age, failed, call.slow);
        let Tally { calls, failed, slow, .. } = self.window.sum;
        let enough = calls >= u64::from(spec.calls_min);
        if spec.consecutive > 0 && self.consecutive >= spec.consecutive {
            Some(Turn::Consecutive)
        } else if enough && spec.failures.is_some_and(|share| share.reached_by(failed, calls)) {
            Some(Turn::Failures)
        } else if enough && spec.slow.is_some_and(|share| share.reached_by(slow, calls)) {
            Some(Turn::Slow)
        } else {
            None
        }
    }

    /// It opens.
    pub(super) fn trip(&mut self, spec: &BreakerSpec, why: Turn, now: Time) {
        self.streak = match self.state {
            State::Closed { ramp_until, .. } if now >= ramp_until => 1,
            State::Closed { .. } | State::Open { .. } | State::HalfOpen { .. } => {
                self.streak.saturating_add(1)
            }
        };
        let length = stretched_by(spec.open, spec.grow, spec.max, self.streak);
        let (least, greatest) = (now + length, now + jittered(length, spec.jitter));
        self.state = State::Open { least, greatest };
        (self.window, self.consecutive) = (Window::default(), 0);
        self.turned = Some((BreakerState::Open, why));
    }

    /// Whether the books bear out what the router says of it.
    pub(super) fn claim(&mut self, now: Time, said: Said) -> bool {
        let Said { to, why, until, streak } = said;
        if to == BreakerState::HalfOpen {
            let over = matches!(self.state, State::Open { least, .. } if least <= now);
            return over && (why, until, streak) == (Turn::Waited, None, self.streak);
        }
        let agreed = self.turned.take() == Some((to, why)) && streak == self.streak;
        match (&mut self.state, until) {
            (State::Closed { ramp_until, .. }, Some(until)) => agreed && until == *ramp_until,
            (State::Open { least, greatest }, Some(until)) => {
                let holds = agreed && *least <= until && until <= *greatest;
                if holds {
                    (*least, *greatest) = (until, until);
                }
                holds
            }
            (State::HalfOpen { .. }, Some(_)) | (_, None) => false,
        }
    }
}

/// A call that ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    /// When it was dispatched, and whether as a probe.
    pub(super) from: Time,
    pub(super) probe: bool,
    pub(super) verdict: Verdict,
    pub(super) slow: bool,
    /// How long after the router's start it ended.
    pub(super) age: Span,
}

impl Call {
    const fn counts(self) -> bool {
        match self.verdict {
            Verdict::Good | Verdict::Failed => true,
            Verdict::Left => self.slow,
            Verdict::None => false,
        }
    }
}

/// What the router says of a breaker.
#[derive(Clone, Copy, Debug)]
pub(super) struct Said {
    pub(super) to: BreakerState,
    pub(super) why: Turn,
    pub(super) until: Option<Time>,
    pub(super) streak: u8,
}
