//! When a membership was out: resting, its breaker not closed, or forced open. That is what
//! `ejected_max` and `panic` of a group speak of.

use router_core::{DeploymentId, Span, Time};

use crate::{Figures, rests};

/// Stretches of time: from, until; ascending and apart.
pub(crate) type Stretches = Vec<(Time, Time)>;

/// When `member`, a place in [`Figures::members`], was out.
pub(crate) fn out(figures: &Figures, member: usize) -> Stretches {
    let Some(place) = figures.members.get(member) else { return Vec::new() };
    let mut all = resting(figures, place.deployment);
    all.extend(not_closed(figures, member));
    union(all)
}

/// When `deployment` rested, or all of its keys did.
pub(crate) fn resting(figures: &Figures, deployment: DeploymentId) -> Stretches {
    let keys = figures.keys.get(deployment.index()).copied().map_or(1, usize::from);
    let rests = figures.rests.iter().filter(|rest| rest.deployment == deployment);
    rests::unable(rests, keys, Time::MAX)
}

/// When the breaker of `member` was not closed, and that held.
pub(crate) fn not_closed(figures: &Figures, member: usize) -> Stretches {
    let own = figures.spells.iter().filter(|spell| spell.member == member && spell.is_out());
    own.map(|spell| (spell.from, spell.until)).collect()
}

/// How much of `stretches` is within `pieces`, in nanoseconds.
pub(crate) fn within(stretches: &[(Time, Time)], pieces: &[(Time, Time)]) -> u64 {
    let both = stretches.iter().flat_map(|a| pieces.iter().map(move |b| (a, b)));
    both.map(|(a, b)| b.1.min(a.1).since(b.0.max(a.0)).as_nanos()).sum()
}

/// Adds to each bin, `bin` long, how much of it is in `stretches`, in nanoseconds.
pub(crate) fn spread(stretches: &[(Time, Time)], bin: Span, bins: &mut [u64]) {
    let long = bin.as_nanos();
    for &(from, until) in stretches {
        let first = (from.as_nanos() / long) as usize;
        for (i, sum) in bins.iter_mut().enumerate().skip(first) {
            let start = i as u64 * long;
            if until.as_nanos() <= start {
                break;
            }
            let (low, high) = (from.as_nanos().max(start), until.as_nanos().min(start + long));
            *sum += high - low;
        }
    }
}

/// The most of so many that are out at once within `pieces`.
pub(crate) fn most_at_once(outs: &[Stretches], pieces: &[(Time, Time)]) -> usize {
    let mut edges: Vec<(Time, bool)> = Vec::new();
    for &(from, until) in outs.iter().flatten() {
        for &(start, end) in pieces {
            let (from, until) = (from.max(start), until.min(end));
            if from < until {
                edges.extend([(from, true), (until, false)]);
            }
        }
    }
    // Ends come before starts at one instant.
    edges.sort_unstable();
    let (mut now, mut most) = (0_usize, 0_usize);
    for (_, goes) in edges {
        now = if goes { now + 1 } else { now.saturating_sub(1) };
        most = most.max(now);
    }
    most
}

/// The stretches of the run that `during` names, up to the horizon; all of it if nothing is named.
pub(crate) fn pieces(figures: &Figures, during: Option<&str>) -> Stretches {
    let horizon = figures.frame.horizon;
    let Some(name) = during else { return vec![(Time::ZERO, horizon)] };
    let phase = figures.frame.phases.iter().find(|phase| phase.name == name);
    let pieces = phase.map_or(&[][..], |phase| &phase.pieces);
    pieces.iter().map(|&(from, until)| (from.min(horizon), until.min(horizon))).collect()
}

fn union(mut all: Stretches) -> Stretches {
    all.sort_unstable();
    let mut apart: Stretches = Vec::with_capacity(all.len());
    for (from, until) in all.into_iter().filter(|(from, until)| from < until) {
        match apart.last_mut().filter(|last| last.1 >= from) {
            Some(last) => last.1 = last.1.max(until),
            None => apart.push((from, until)),
        }
    }
    apart
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(pairs: &[(u64, u64)]) -> Stretches {
        pairs.iter().map(|&(a, b)| (Time::from_secs(a), Time::from_secs(b))).collect()
    }

    #[test]
    fn what_overlaps_is_out_once() {
        let all = union(s(&[(10, 20), (5, 12), (20, 25), (30, 30), (40, 41)]));
        assert_eq!(all, s(&[(5, 25), (40, 41)]));
        assert_eq!(within(&all, &s(&[(0, 10), (24, 50)])), 7_000_000_000);
    }

    #[test]
    fn bins_get_what_is_in_them() {
        let mut bins = [0; 3];
        spread(&s(&[(5, 12), (13, 14), (29, 90)]), Span::from_secs(10), &mut bins);
        assert_eq!(bins.map(|ns| ns / 1_000_000_000), [5, 3, 1]);
    }

    #[test]
    fn the_most_at_once_is_looked_for_where_it_is_asked_for() {
        let outs = [s(&[(0, 10)]), s(&[(5, 20)]), s(&[(8, 9), (20, 30)])];
        assert_eq!(most_at_once(&outs, &s(&[(0, 100)])), 3);
        assert_eq!(most_at_once(&outs, &s(&[(9, 19)])), 2);
        assert_eq!(most_at_once(&outs, &s(&[(15, 100)])), 1);
        assert_eq!(most_at_once(&outs, &s(&[(90, 100)])), 0);
    }
}
