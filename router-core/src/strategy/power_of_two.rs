//! The better of two that chance proposes.

use super::{Choice, Draw, Shape, least};
use crate::Load;
use crate::router::Router;

impl Router {
    /// Draws two by weight, without replacement, and takes the one with the lesser load for its
    /// share; the first of equals.
    #[inline(never)]
    pub(super) fn power_of_two(&self, choice: Choice<'_>, load: Load) -> usize {
        let first = self.by_weight(choice, Draw::One);
        let others = choice.among(choice.eligible & !(1 << first));
        if others.eligible == 0 {
            return first;
        }
        let second = self.by_weight(others, Draw::Other);
        let two = choice.among(1 << first | 1 << second);
        let lesser = match load {
            Load::InFlight => least(two.eligible, |member| {
                let load = self.load(self.member(two.group, member));
                (load.into(), self.share(two.group, member))
            }),
            Load::PeakEwma => {
                let shape = Shape::of(two.flight);
                self.least_latency(two, |estimate, now| estimate.peak(shape, now))
            }
        };
        if lesser & 1 << first != 0 { first } else { second }
    }
}
