//! A circuit breaker: closed, it judges ended calls; open, it passes nothing; half-open, it
//! passes a few probes.
//!
//! Who calls it says which attempt it hears of and when that was dispatched: what was dispatched
//! before the present state began says nothing to it, so the wake of an outage neither opens a
//! breaker again nor uses up its probes.

use core::fmt;
use core::str::FromStr;

use crate::health::Length;
use crate::window::Window;
use crate::{BreakerMode, BreakerSpec, BreakerState, BreakerWindow, Span, Time, Turn};

/// The least share of a breaker that ramps up, in 1024ths.
const SHARE_MIN: u64 = 102;
/// All of it.
pub(crate) const SHARE_FULL: u64 = 1024;

/// What a breaker says of its membership's place in a selection, if it is enforced.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Standing {
    /// It may be chosen.
    Closed,
    /// It may not, until then.
    Open(Time),
    /// It may for a probe, if one is free. So stands an open one whose time is over.
    HalfOpen { free: bool },
}

/// What an ended attempt says to its breaker.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heard {
    pub(crate) dispatched: Time,
    /// Whether it was dispatched as a probe, with [`Breaker::probe`].
    pub(crate) probe: bool,
    pub(crate) verdict: Verdict,
    /// Whether it was slow; without a verdict it counts only if it was.
    pub(crate) slow: bool,
}

/// What an ended attempt says of its deployment's health.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Verdict {
    Good,
    Failed,
    None,
}

/// What came of hearing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Turned {
    /// It would have opened, but may not go out.
    Spared,
    /// It changed its state.
    To { state: BreakerState, why: Turn, until: Option<Time>, streak: u8 },
}

/// One membership's breaker.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Breaker {
    state: State,
    /// Calls, failed calls and slow calls.
    window: Window<3>,
    /// Failures in a row.
    consecutive: u32,
    /// How many times it opened in a row.
    streak: u8,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    /// Without a ramp `ramp_until` is `since`.
    Closed {
        since: Time,
        ramp_until: Time,
    },
    Open {
        since: Time,
        until: Time,
    },
    HalfOpen {
        since: Time,
        in_flight: u32,
        successes: u32,
    },
}

impl Breaker {
    /// A closed one, of a router that was made at `start`, that has heard nothing before now.
    pub(crate) fn new(spec: &BreakerSpec, start: Time, now: Time) -> Self {
        let window = window(spec, start);
        let state = State::Closed { since: now, ramp_until: now };
        Self { state, window, consecutive: 0, streak: 0 }
    }

    /// Its window is another from now on, and empty. It stays in its state.
    pub(crate) fn count_anew(&mut self, spec: &BreakerSpec, start: Time) {
        self.window = window(spec, start);
    }

    /// It is enforced from now on and was not before: it is closed, and has heard nothing.
    pub(crate) fn begin(&mut self, now: Time) {
        self.state = State::Closed { since: now, ramp_until: now };
        self.streak = 0;
        self.forget();
    }

    /// Where its membership stands.
    pub(crate) const fn standing(&self, spec: &BreakerSpec, now: Time) -> Standing {
        match self.state {
            State::Closed { .. } => Standing::Closed,
            State::Open { until, .. } if now.as_nanos() < until.as_nanos() => Standing::Open(until),
            State::Open { .. } => Standing::HalfOpen { free: true },
            State::HalfOpen { in_flight, .. } => {
                Standing::HalfOpen { free: in_flight < spec.probes }
            }
        }
    }

    /// Its membership's share of its weight, in 1024ths: less than all while it ramps up.
    pub(crate) fn share(&self, now: Time) -> u64 {
        match self.state {
            State::Closed { since, ramp_until } if now < ramp_until => {
                let (done, ramp) = (now.since(since).as_nanos(), ramp_until.since(since));
                let share = u128::from(done) * u128::from(SHARE_FULL);
                ((share / u128::from(ramp.as_nanos())) as u64).max(SHARE_MIN)
            }
            State::Closed { .. } | State::Open { .. } | State::HalfOpen { .. } => SHARE_FULL,
        }
    }

    /// How many times it opened in a row.
    pub(crate) const fn streak(&self) -> u8 {
        self.streak
    }

    /// A probe is dispatched; says whether it is the first, which turns an open one half-open.
    pub(crate) fn probe(&mut self, now: Time) -> bool {
        match &mut self.state {
            State::Closed { .. } => panic!("a closed breaker has no probes"),
            State::Open { until, .. } => {
                assert!(*until <= now, "an open breaker passes nothing before its time");
                self.state = State::HalfOpen { since: now, in_flight: 1, successes: 0 };
                true
            }
            State::HalfOpen { in_flight, .. } => {
                *in_flight += 1;
                false
            }
        }
    }

    /// An attempt of its membership ended. `may_go_out` says whether the group can spare the
    /// membership; `jitter` draws how much longer than its length an open time is.
    pub(crate) fn hear(
        &mut self,
        spec: &BreakerSpec,
        mode: BreakerMode,
        now: Time,
        heard: &Heard,
        may_go_out: impl FnOnce() -> bool,
        jitter: impl FnOnce(Span) -> Span,
    ) -> Option<Turned> {
        match mode {
            BreakerMode::Enforce => {}
            BreakerMode::Observe => self.lapse(now),
            BreakerMode::Disabled | BreakerMode::ForcedOpen => {
                self.release(heard);
                return None;
            }
        }
        match self.state {
            State::Closed { since, ramp_until } => {
                if heard.dispatched < since || !heard.counts() {
                    return None;
                }
                let why = self.count(spec, now, heard)?;
                if !may_go_out() {
                    return Some(Turned::Spared);
                }
                let streak = if now >= ramp_until { 1 } else { self.streak.saturating_add(1) };
                Some(self.open(spec, now, why, streak, jitter))
            }
            State::Open { .. } => None,
            State::HalfOpen { successes, .. } => {
                if !self.release(heard) || !heard.counts() {
                    return None;
                }
                if heard.slow || heard.verdict == Verdict::Failed {
                    let streak = self.streak.saturating_add(1);
                    return Some(self.open(spec, now, Turn::Probe, streak, jitter));
                }
                self.succeed(spec, now, successes + 1)
            }
        }
    }

    /// One that only observes is never half-open: its open time ends by itself.
    fn lapse(&mut self, now: Time) {
        let over = match self.state {
            State::Closed { .. } => return,
            State::Open { until, .. } if now < until => return,
            State::Open { until, .. } => until,
            // It was enforced when it turned so.
            State::HalfOpen { since, .. } => since,
        };
        self.state = State::Closed { since: over, ramp_until: over };
    }

    /// Gives back the place of a probe of the present phase; says whether it was one.
    fn release(&mut self, heard: &Heard) -> bool {
        match &mut self.state {
            State::HalfOpen { since, in_flight, .. }
                if heard.probe && heard.dispatched >= *since =>
            {
                assert!(*in_flight > 0, "a probe ends once");
                *in_flight -= 1;
                true
            }
            State::Closed { .. } | State::Open { .. } | State::HalfOpen { .. } => false,
        }
    }

    /// Counts a call, and says what it trips on, if it does.
    fn count(&mut self, spec: &BreakerSpec, now: Time, heard: &Heard) -> Option<Turn> {
        let failed = heard.verdict == Verdict::Failed;
        self.window.count(now, [1, failed.into(), heard.slow.into()]);
        match heard.verdict {
            Verdict::Good => self.consecutive = 0,
            Verdict::Failed => self.consecutive = self.consecutive.saturating_add(1),
            Verdict::None => {}
        }
        if spec.consecutive > 0 && self.consecutive >= spec.consecutive {
            return Some(Turn::Consecutive);
        }
        let [calls, failed, slow] = *self.window.totals();
        if calls < u64::from(spec.calls_min) {
            return None;
        }
        if spec.failures.is_some_and(|share| share.reached_by(failed, calls)) {
            return Some(Turn::Failures);
        }
        spec.slow.is_some_and(|share| share.reached_by(slow, calls)).then_some(Turn::Slow)
    }

    fn open(
        &mut self,
        spec: &BreakerSpec,
        now: Time,
        why: Turn,
        streak: u8,
        jitter: impl FnOnce(Span) -> Span,
    ) -> Turned {
        let length = Length::Growing { first: spec.open, factor: spec.grow, max: spec.max };
        let length = length.of(streak);
        // It ends after it began, so that no two phases begin at one instant.
        let until = now + (length + jitter(length)).max(Span::from_nanos(1));
        self.state = State::Open { since: now, until };
        self.streak = streak;
        self.forget();
        Turned::To { state: BreakerState::Open, why, until: Some(until), streak }
    }

    /// One more probe succeeded.
    fn succeed(&mut self, spec: &BreakerSpec, now: Time, so_far: u32) -> Option<Turned> {
        if so_far < spec.successes {
            if let State::HalfOpen { successes, .. } = &mut self.state {
                *successes = so_far;
            }
            return None;
        }
        let ramp_until = now + spec.ramp;
        self.state = State::Closed { since: now, ramp_until };
        self.forget();
        let (why, until) = (Turn::Recovered, Some(ramp_until));
        Some(Turned::To { state: BreakerState::Closed, why, until, streak: self.streak })
    }

    fn forget(&mut self) {
        self.window.clear();
        self.consecutive = 0;
    }

    /// Takes the place of a probe: for a flight that a snapshot brings back.
    pub(crate) fn occupy(&mut self, dispatched: Time) {
        match &mut self.state {
            State::HalfOpen { since, in_flight, .. } if dispatched >= *since => *in_flight += 1,
            State::Closed { .. } | State::Open { .. } | State::HalfOpen { .. } => {}
        }
    }

    /// Writes it as words, each with a space before it: the number of its state, since when, what
    /// else belongs to that, then what it has counted. The places of probes are not written.
    pub(crate) fn write(&self, out: &mut impl fmt::Write) -> fmt::Result {
        let (number, since, more) = match self.state {
            State::Closed { since, ramp_until } => (0, since, ramp_until.as_nanos()),
            State::Open { since, until } => (1, since, until.as_nanos()),
            State::HalfOpen { since, successes, .. } => (2, since, successes.into()),
        };
        write!(out, " {number} {} {more} {} {}", since.as_nanos(), self.consecutive, self.streak)?;
        self.window.write(out)
    }

    /// Puts back what [`Self::write`] wrote into a new breaker of the same specification; `None`
    /// if the words are not of that kind.
    pub(crate) fn restore<'a>(&mut self, mut words: impl Iterator<Item = &'a str>) -> Option<()> {
        fn number<'a, T: FromStr>(words: &mut impl Iterator<Item = &'a str>) -> Option<T> {
            words.next()?.parse().ok()
        }
        let kind: u8 = number(&mut words)?;
        let since = Time::from_nanos(number(&mut words)?);
        let more: u64 = number(&mut words)?;
        self.state = match kind {
            0 if since.as_nanos() <= more => {
                State::Closed { since, ramp_until: Time::from_nanos(more) }
            }
            1 => State::Open { since, until: Time::from_nanos(more) },
            2 => State::HalfOpen { since, in_flight: 0, successes: more.try_into().ok()? },
            _ => return None,
        };
        self.consecutive = number(&mut words)?;
        self.streak = number(&mut words)?;
        self.window.restore(words)
    }
}

fn window(spec: &BreakerSpec, start: Time) -> Window<3> {
    match spec.window {
        BreakerWindow::Time(window) => Window::of_time(window, start),
        BreakerWindow::Calls(calls) => Window::of_calls(calls),
    }
}

impl Heard {
    const fn counts(&self) -> bool {
        match self.verdict {
            Verdict::Good | Verdict::Failed => true,
            Verdict::None => self.slow,
        }
    }
}

#[cfg(test)]
mod tests;
