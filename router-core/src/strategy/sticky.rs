//! What belongs together stays together.

use super::fixed::minus_log2;
use super::{Choice, Draw, least};
use crate::router::Router;
use crate::{Counter, Key, Purpose, Seed};

/// The key of the places on which affinities fall. It is the same for every router, whatever its
/// seed: replicas must agree on it, and so must a router with the one it was before a restart.
pub(crate) fn places() -> Key {
    Seed::from_u64(0).key(Purpose::Sticky)
}

impl Router {
    /// Weighted rendezvous: of all -log2(u) / share, with u uniform by affinity and deployment,
    /// the least wins, which each does with a probability in proportion to its share
    /// (exponential clocks; Schindelhauer and Schomaker, "Weighted distributed hash tables",
    /// SPAA 2005). Who leaves moves only what it had, and a share that grows only takes.
    #[inline(never)]
    pub(super) fn sticky(&self, choice: Choice<'_>) -> usize {
        let affinity = self.aside(choice.flight).affinity;
        if affinity == 0 {
            return self.by_weight(choice, Draw::One);
        }
        let nearest = least(choice.eligible, |member| {
            let entity = self.member(choice.group, member).index() as u32;
            let counter = Counter { request: affinity, entity, ..Counter::default() };
            let distance = minus_log2(self.keys.sticky.word(counter));
            (distance.into(), self.share(choice.group, member))
        });
        nearest.trailing_zeros() as usize
    }
}
