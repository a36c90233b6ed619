//! Rests as intervals, and how long a deployment could take nothing.

use router_core::{DeploymentId, FailureKind, Span, Time};

use crate::Rest;

/// The rests seen so far.
#[derive(Clone, Debug)]
pub(crate) struct Rests {
    /// In order of start.
    seen: Vec<Rest>,
    /// The latest of each deployment as a whole and of each of its keys, as a place in `seen`.
    latest: Vec<Option<usize>>,
    /// Where each deployment's own begin in `latest`, and one past the end.
    first: Vec<usize>,
}

impl Rests {
    /// Of deployments with so many keys each.
    pub(crate) fn new(keys: &[u8]) -> Self {
        let mut first = vec![0];
        for keys in keys {
            first.push(first[first.len() - 1] + 1 + usize::from(*keys));
        }
        Self { seen: Vec::with_capacity(1_024), latest: vec![None; first[first.len() - 1]], first }
    }

    /// A rest from `now`, or the extension of one that lasts.
    #[cold]
    pub(crate) fn rest(
        &mut self,
        now: Time,
        (deployment, key): (DeploymentId, Option<u8>),
        until: Time,
        (failure, streak): (FailureKind, u8),
    ) {
        let slot = self.first[deployment.index()] + key.map_or(0, |key| 1 + usize::from(key));
        // A revision may have taken this key away, and what gave it is not known here.
        let slot = slot.min(self.first[deployment.index() + 1] - 1);
        if let Some(at) = self.latest[slot] {
            let rest = &mut self.seen[at];
            if rest.until >= now {
                rest.until = rest.until.max(until);
                rest.streak = streak;
                return;
            }
        }
        self.latest[slot] = Some(self.seen.len());
        self.seen.push(Rest { deployment, key, from: now, until, failure, streak });
    }

    /// Nobody knows of any rest from `now` on.
    #[cold]
    pub(crate) fn forget(&mut self, now: Time) {
        for rest in self.seen.iter_mut().filter(|rest| rest.until > now) {
            rest.until = now;
        }
        self.latest.fill(None);
    }

    /// How long each deployment, or all of its keys, rested up to `end`; and every rest.
    pub(crate) fn finish(self, end: Time) -> (Vec<Span>, Vec<Rest>) {
        let resting = (0..self.first.len() - 1)
            .map(|deployment| {
                let keys = self.first[deployment + 1] - self.first[deployment] - 1;
                let of = self.seen.iter().filter(|rest| rest.deployment.index() == deployment);
                let out = unable(of, keys, end);
                out.iter().fold(Span::ZERO, |sum, (from, until)| sum + until.since(*from))
            })
            .collect();
        (resting, self.seen)
    }
}

/// When a deployment of so many keys was out, given its rests: at any instant because it
/// rested itself, or because each of its keys did. Stretches may touch.
pub(crate) fn unable<'a>(
    rests: impl Iterator<Item = &'a Rest>,
    keys: usize,
    end: Time,
) -> Vec<(Time, Time)> {
    let mut edges: Vec<(Time, bool, bool)> = Vec::new();
    for rest in rests {
        edges.push((rest.from.min(end), true, rest.key.is_some()));
        edges.push((rest.until.min(end), false, rest.key.is_some()));
    }
    // Ends before starts at one instant: a count never passes the number of keys.
    edges.sort_unstable();
    let (mut whole, mut by_key) = (0_usize, 0_usize);
    let (mut out, mut since) = (Vec::new(), Time::ZERO);
    for (at, starts, of_key) in edges {
        if since < at && (whole > 0 || by_key == keys) {
            out.push((since, at));
        }
        since = at;
        let count = if of_key { &mut by_key } else { &mut whole };
        *count = if starts { *count + 1 } else { count.saturating_sub(1) };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: DeploymentId = DeploymentId::at(0);
    const WHY: (FailureKind, u8) = (FailureKind::RateLimit, 1);

    fn rests(of: &[(Option<u8>, u64, u64)], end_s: u64) -> (Span, Vec<Rest>) {
        let mut rests = Rests::new(&[2, 2]);
        for &(key, from_s, until_s) in of {
            rests.rest(Time::from_secs(from_s), (A, key), Time::from_secs(until_s), WHY);
        }
        let (resting, seen) = rests.finish(Time::from_secs(end_s));
        assert_eq!(resting[1], Span::ZERO, "the other deployment never rested");
        (resting[0], seen)
    }

    #[test]
    fn a_rest_that_is_extended_is_one_rest() {
        let (resting, seen) = rests(&[(None, 10, 20), (None, 15, 30), (None, 30, 31)], 100);
        assert_eq!(resting, Span::from_secs(21));
        assert_eq!(seen.len(), 1);
        assert_eq!((seen[0].from, seen[0].until), (Time::from_secs(10), Time::from_secs(31)));
    }

    #[test]
    fn a_deployment_is_out_only_while_all_of_its_keys_rest() {
        let (resting, seen) =
            rests(&[(Some(0), 10, 20), (Some(1), 15, 40), (Some(0), 30, 35)], 100);
        assert_eq!(resting, Span::from_secs(10));
        assert_eq!(seen.len(), 3);
    }

    #[test]
    fn rests_of_the_whole_and_of_its_keys_are_not_counted_twice() {
        let (resting, _) = rests(&[(Some(0), 10, 30), (Some(1), 10, 30), (None, 20, 40)], 100);
        assert_eq!(resting, Span::from_secs(30));
    }

    #[test]
    fn a_rest_past_the_end_counts_up_to_the_end() {
        assert_eq!(rests(&[(None, 90, 400)], 100).0, Span::from_secs(10));
    }
}
