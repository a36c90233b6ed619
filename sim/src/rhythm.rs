//! When a fault is there.

use router_core::{Counter, Key, Span, Time};

use crate::plan::{Fault, Rhythm};
use crate::sample;

/// A stretch of time over which a fault is there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Stretch {
    pub(crate) from: Time,
    /// Exclusively; [`Time::MAX`] if it has no end.
    pub(crate) until: Time,
    /// Its place among the fault's.
    turn: u64,
}

/// The key of a fault's draws, and the fault's number.
pub(crate) type Draws = (Key, u32);

/// Which of a fault's draws. Those of its calls are 0 and 1.
const UP: u32 = 2;
const DOWN: u32 = 3;

impl Stretch {
    /// The first one of a fault, if there is any.
    pub(crate) fn first(fault: &Fault, draws: Draws) -> Option<Self> {
        let first = match fault.rhythm {
            Rhythm::Steady => Self { from: fault.from, until: Time::MAX, turn: 0 },
            Rhythm::Flap { on, .. } => Self { from: fault.from, until: fault.from + on, turn: 0 },
            Rhythm::Random { up, down } => Self::random(fault.from, [up, down], 0, draws),
        };
        first.within(fault)
    }

    /// The one after it, if there is any.
    pub(crate) fn next(self, fault: &Fault, draws: Draws) -> Option<Self> {
        let turn = self.turn + 1;
        let next = match fault.rhythm {
            Rhythm::Steady => return None,
            Rhythm::Flap { period, on } => {
                let from = self.from + period;
                Self { from, until: from + on, turn }
            }
            Rhythm::Random { up, down } => Self::random(self.until, [up, down], turn, draws),
        };
        next.within(fault)
    }

    fn random(after: Time, means: [Span; 2], turn: u64, (key, entity): Draws) -> Self {
        let draw = |mean: Span, index| {
            let word = key.word(Counter { request: turn, entity, attempt: 0, index });
            // Never nothing: two beginnings at one instant would be one.
            sample::nanos(sample::exponential(word) * mean.as_nanos() as f64)
                .max(Span::from_nanos(1))
        };
        let from = after + draw(means[0], UP);
        Self { from, until: from + draw(means[1], DOWN), turn }
    }

    fn within(self, fault: &Fault) -> Option<Self> {
        let until = self.until.min(fault.until.unwrap_or(Time::MAX));
        (self.from < until).then_some(Self { until, ..self })
    }
}

#[cfg(test)]
mod tests {
    use router_core::{DeploymentId, Purpose, Ratio, Seed};

    use super::*;
    use crate::plan::{Effect, Outage};

    fn all(rhythm: Rhythm, until_s: u64, entity: u32) -> Vec<(u64, u64)> {
        let fault = Fault {
            name: "trouble".into(),
            on: vec![DeploymentId::at(0)],
            from: Time::from_secs(100),
            until: Some(Time::from_secs(until_s)),
            rhythm,
            of: Ratio::ONE,
            effect: Effect::Outage(Outage::Refuse),
        };
        let draws = (Seed::from_u64(1).key(Purpose::Fault), entity);
        let stretches = std::iter::successors(Stretch::first(&fault, draws), |stretch| {
            stretch.next(&fault, draws)
        });
        stretches.map(|s| (s.from.as_nanos() / 1_000_000, s.until.as_nanos() / 1_000_000)).collect()
    }

    #[test]
    fn a_flapping_fault_is_there_at_the_start_of_each_period_and_never_past_its_end() {
        let (period, on) = (Span::from_secs(10), Span::from_secs(4));
        let flap = Rhythm::Flap { period, on };
        assert_eq!(all(flap, 122, 0), [(100_000, 104_000), (110_000, 114_000), (120_000, 122_000)]);
        assert_eq!(all(flap, 120, 0).len(), 2);
        assert_eq!(all(Rhythm::Steady, 122, 0), [(100_000, 122_000)]);
        assert_eq!(all(Rhythm::Steady, 100, 0), []);
    }

    #[test]
    fn a_random_fault_keeps_its_means_and_another_fault_has_other_times() {
        let random = Rhythm::Random { up: Span::from_secs(50), down: Span::from_secs(10) };
        let stretches = all(random, 600_100, 0);
        let down: u64 = stretches.iter().map(|(from, until)| until - from).sum();
        // Renewals of mean 60 s over 600,000 s: 10,000, standard deviation 85; down for a sixth
        // of the time.
        assert!((9_650..10_350).contains(&stretches.len()), "{}", stretches.len());
        assert!((96_000..104_000).contains(&(down / 1_000)), "{down}");
        assert!(stretches.windows(2).all(|pair| pair[0].1 <= pair[1].0));
        assert_ne!(all(random, 600_100, 1), stretches);
    }
}
