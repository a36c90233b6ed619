//! Where the limits have most left.

use super::fixed::ONE;
use super::{Choice, Draw, least};
use crate::DeploymentId;
use crate::limit::Limit;
use crate::router::Router;

impl Router {
    /// The largest unused share; ties by weight.
    #[inline(never)]
    pub(super) fn by_usage(&self, choice: Choice<'_>) -> usize {
        let most = least(choice.eligible, |member| {
            let used = ONE - self.unused(self.member(choice.group, member));
            (used.into(), 1)
        });
        self.by_weight(choice.among(most), Draw::One)
    }

    /// The least share that one of its limits has left; all, if it has none.
    fn unused(&self, deployment: DeploymentId) -> u64 {
        let limits = self.config.deployment(deployment).limits.iter();
        let written = limits.map(|limit| self.limits[limit.index()].unused(self.now));
        let learned = self.adaptive_places(deployment);
        let learned = learned.map(|places| Limit::unused_places(Some(places)));
        written.chain(learned).min().unwrap_or(ONE)
    }
}
