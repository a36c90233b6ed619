//! Whether, and how soon, users are as well off as before a fault.

use std::fmt;

use router_core::{Span, Time};

use crate::{Beat, FaultBand, Figures};

/// How long before a fault the baseline begins.
const BASELINE: Span = Span::from_secs(60);
/// The fewest calls that make a baseline.
const BASELINE_CALLS: u64 = 200;
/// How long users must be well off.
const WINDOW: Span = Span::from_secs(30);

/// The time from a fault's own end to the first instant from which, for 30 s, calls fare about
/// as they did in the 60 s before the fault: their success is at most one point lower, their p95
/// time to first token at most 1.2 times and their attempts per call at most 1.1 times as much.
///
/// The window counts as a whole; instants are beats of [`crate::Pulse`]. Faults that never end
/// are part of the world as it is, and so of the baseline.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Recovery {
    /// So long after the fault's end.
    After(Span),
    /// Not within the horizon.
    Never,
    /// It cannot be said.
    NoData(Unknown),
}

/// Why a time to recover cannot be said.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unknown {
    /// No fault has this name.
    NoFault,
    /// The fault never ends.
    Endless,
    /// Too few calls came in the 60 s before it: this many.
    FewCalls(u64),
    /// None of those calls saw a first token.
    NoFirstToken,
    /// It ends less than 30 s before the last arrivals.
    TooLate,
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoFault => f.write_str("there is no such fault"),
            Self::Endless => f.write_str("the fault never ends"),
            Self::FewCalls(calls) => write!(
                f,
                "the baseline, 60 s before the fault, needs {BASELINE_CALLS} calls and has {calls}"
            ),
            Self::NoFirstToken => f.write_str("no call of the baseline was answered"),
            Self::TooLate => f.write_str("the fault ends less than 30 s before the horizon"),
        }
    }
}

impl Figures {
    /// How soon users recovered from the fault called `name`.
    pub fn recovery(&self, name: &str) -> Recovery {
        match self.frame.faults.iter().find(|fault| fault.name == name) {
            Some(fault) => self.recovery_from(fault),
            None => Recovery::NoData(Unknown::NoFault),
        }
    }

    /// The last fault that ends, if users never recovered from it: what went wrong in the world
    /// is over, and what it started in the system is not (a metastable failure).
    pub fn unrecovered(&self) -> Option<&FaultBand> {
        let faults = self.frame.faults.iter().filter(|fault| fault.until.is_some());
        let last = faults.max_by_key(|fault| fault.until)?;
        (self.recovery_from(last) == Recovery::Never).then_some(last)
    }

    fn recovery_from(&self, fault: &FaultBand) -> Recovery {
        let Some(healed) = fault.until else { return Recovery::NoData(Unknown::Endless) };
        let baseline: Beat = self.beats_within(fault.from - BASELINE, fault.from).iter().sum();
        if baseline.ended < BASELINE_CALLS {
            return Recovery::NoData(Unknown::FewCalls(baseline.ended));
        }
        let Some(p95) = baseline.ttft.p95() else {
            return Recovery::NoData(Unknown::NoFirstToken);
        };
        let after = self.beats_within(healed, self.frame.horizon);
        let length = (WINDOW.as_nanos() / self.pulse.step.as_nanos()) as usize;
        if after.len() < length {
            return Recovery::NoData(Unknown::TooLate);
        }
        let first = self.first_beat_from(healed) as u64;
        match after.windows(length).position(|window| is_well(window, &baseline, p95)) {
            Some(beats) => {
                let at = Time::ZERO + self.pulse.step * (first + beats as u64);
                Recovery::After(at.since(healed))
            }
            None => Recovery::Never,
        }
    }

    /// The beats that lie wholly within `from..until`.
    fn beats_within(&self, from: Time, until: Time) -> &[Beat] {
        let end = (until.as_nanos() / self.pulse.step.as_nanos()) as usize;
        let end = end.min(self.pulse.beats.len());
        &self.pulse.beats[self.first_beat_from(from).min(end)..end]
    }

    fn first_beat_from(&self, from: Time) -> usize {
        from.as_nanos().div_ceil(self.pulse.step.as_nanos()) as usize
    }
}

/// Whether calls of `window` fare about as well as those of `baseline`. Without calls there is
/// no saying so.
fn is_well(window: &[Beat], baseline: &Beat, p95: Span) -> bool {
    let sum = |count: fn(&Beat) -> u64| -> u128 { window.iter().map(count).sum::<u64>().into() };
    let [ended, answered, attempts] =
        [sum(|beat| beat.ended), sum(|beat| beat.answered), sum(|beat| beat.attempts)];
    let [was_ended, was_answered, was_attempts] =
        [baseline.ended, baseline.answered, baseline.attempts].map(u128::from);
    // answered / ended >= was_answered / was_ended - 1/100, and so on, in whole numbers.
    let succeeds = 100 * answered * was_ended + ended * was_ended >= 100 * was_answered * ended;
    let spares = 10 * attempts * was_ended <= 11 * was_attempts * ended;
    if ended == 0 || !succeeds || !spares {
        return false;
    }
    let window: Beat = window.iter().sum();
    window.ttft.p95().is_some_and(|now| now.scale(5, 1) <= p95.scale(6, 1))
}

#[cfg(test)]
mod tests {
    use crate::sample;

    use super::*;

    /// Ten calls a second for ten minutes; `shape` says what a call that arrives in a second
    /// meets: whether it is answered, its milliseconds to first token, its attempts. The fault
    /// lasts from 120 s to 180 s.
    fn run(shape: impl Fn(u64) -> (bool, u64, u64)) -> Figures {
        let config = sample::config(&[("chat", &[("a", 1, 0)])]);
        let mut figures = Figures::new(&config, sample::frame());
        for (second, beat) in (0..).zip(&mut figures.pulse.beats) {
            let (answered, ttft_ms, attempts) = shape(second);
            *beat = Beat { ended: 10, attempts: 10 * attempts, ..Beat::default() };
            if answered {
                beat.answered = 10;
                (0..10).for_each(|_| beat.ttft.record(Span::from_millis(ttft_ms)));
            }
        }
        figures
    }

    fn until(second: u64, bad: (bool, u64, u64)) -> impl Fn(u64) -> (bool, u64, u64) {
        move |at| if (120..second).contains(&at) { bad } else { (true, 500, 1) }
    }

    #[test]
    fn a_fault_nobody_notices_is_recovered_from_at_once() {
        let figures = run(|_| (true, 500, 1));
        assert_eq!(figures.recovery("brownout"), Recovery::After(Span::ZERO));
        assert!(figures.unrecovered().is_none());
    }

    #[test]
    fn recovery_ends_when_the_last_of_three_signs_is_well() {
        // Two seconds without a single answer are 6.7 % of a window, one second 3.3 %: the window
        // must begin after them. A window of which 5 % is slow has a p95 that is not.
        let failing = run(until(200, (false, 500, 1)));
        assert_eq!(failing.recovery("brownout"), Recovery::After(Span::from_secs(20)));
        let slow = run(until(200, (true, 700, 1)));
        assert_eq!(slow.recovery("brownout"), Recovery::After(Span::from_secs(19)));
        let storming = run(until(200, (true, 500, 2)));
        assert_eq!(storming.recovery("brownout"), Recovery::After(Span::from_secs(17)));
    }

    #[test]
    fn small_differences_from_the_baseline_are_no_illness() {
        let figures = run(until(600, (true, 580, 1)));
        assert_eq!(figures.recovery("brownout"), Recovery::After(Span::ZERO));
    }

    #[test]
    fn a_system_that_stays_ill_after_the_last_fault_is_told() {
        let figures = run(until(600, (true, 500, 3)));
        assert_eq!(figures.recovery("brownout"), Recovery::Never);
        assert_eq!(figures.unrecovered().map(|fault| fault.name.as_str()), Some("brownout"));
    }

    #[test]
    fn well_for_less_than_thirty_seconds_is_not_recovered() {
        let relapse = |at| match at {
            120..180 | 205..260 => (false, 500, 1),
            _ => (true, 500, 1),
        };
        assert_eq!(run(relapse).recovery("brownout"), Recovery::After(Span::from_secs(80)));
    }

    #[test]
    fn without_evidence_nothing_is_said() {
        let mut figures = run(|_| (true, 500, 1));
        assert_eq!(figures.recovery("x"), Recovery::NoData(Unknown::NoFault));
        let mut thin = figures.clone();
        thin.pulse.beats[60..=100].fill(Beat::default());
        assert_eq!(thin.recovery("brownout"), Recovery::NoData(Unknown::FewCalls(190)));
        figures.frame.faults[0].until = Some(Time::from_secs(571));
        assert_eq!(figures.recovery("brownout"), Recovery::NoData(Unknown::TooLate));
        figures.frame.faults[0].until = None;
        assert_eq!(figures.recovery("brownout"), Recovery::NoData(Unknown::Endless));
        assert!(figures.unrecovered().is_none());
        let dead = run(|_| (false, 500, 1));
        assert_eq!(dead.recovery("brownout"), Recovery::NoData(Unknown::NoFirstToken));
    }

    #[test]
    fn only_the_last_fault_that_ends_can_leave_the_system_ill() {
        let mut figures = run(until(400, (false, 500, 1)));
        let mut endless = figures.frame.faults[0].clone();
        endless.until = None;
        let mut last = figures.frame.faults[0].clone();
        (last.name, last.until) = ("last".to_owned(), Some(Time::from_secs(500)));
        figures.frame.faults.extend([endless, last]);
        assert_eq!(figures.recovery("brownout"), Recovery::After(Span::from_secs(220)));
        assert_eq!(figures.recovery("last"), Recovery::After(Span::ZERO));
        assert!(figures.unrecovered().is_none());
    }
}
