//! How a run is looked at: bins, phases and bands.

use reports::{FaultBand, Frame, Payers, Phase};
use router_core::{Span, Time};
use sim::Fault;

/// The frame of a run whose last arrival may come at `horizon`.
///
/// Phases may overlap: `spike` is every spike's stretch, `normal` the rest of the time, faults or
/// no faults, and each fault's name is its own stretch.
pub(super) fn frame(
    horizon: Time,
    spikes: &[(Time, Time)],
    faults: &[Fault],
    payers: Payers,
) -> Frame {
    // A piece ends before its end, but a call may come at the very horizon.
    let end = horizon + Span::from_nanos(1);
    let spikes = merged(spikes, end);
    let mut phases = vec![Phase { name: "normal".to_owned(), pieces: between(&spikes, end) }];
    if !spikes.is_empty() {
        phases.push(Phase { name: "spike".to_owned(), pieces: spikes });
    }
    phases.extend(faults.iter().map(|fault| {
        let until = fault.until.unwrap_or(end).min(end);
        Phase { name: fault.name.clone(), pieces: vec![(fault.from, until)] }
    }));
    let bands = faults.iter().map(|fault| FaultBand {
        name: fault.name.clone(),
        from: fault.from,
        until: fault.until,
        on: fault.on.clone(),
    });
    Frame { horizon, bin: bin(horizon), phases, faults: bands.collect(), payers }
}

/// Widths a person reads without arithmetic, in milliseconds; none is more than 2.5 times the one
/// before, so that one of them makes 240 to 720 bins of any run of 0.24 s to two years.
const WIDTHS_MS: [u64; 28] = [
    1,
    2,
    5,
    10,
    20,
    50,
    100,
    200,
    500,
    1_000,
    2_000,
    5_000,
    10_000,
    15_000,
    30_000,
    60_000,
    120_000,
    300_000,
    600_000,
    900_000,
    1_800_000,
    3_600_000,
    7_200_000,
    14_400_000,
    28_800_000,
    43_200_000,
    86_400_000,
    172_800_000,
];

/// The finest round width that makes at most 720 bins.
fn bin(horizon: Time) -> Span {
    let widths = WIDTHS_MS.map(Span::from_millis);
    let fits = |width: &Span| width.as_nanos().saturating_mul(720) >= horizon.as_nanos();
    widths.into_iter().find(fits).unwrap_or(widths[WIDTHS_MS.len() - 1])
}

/// Sorted, overlaps joined, nothing past the end.
fn merged(pieces: &[(Time, Time)], end: Time) -> Vec<(Time, Time)> {
    let mut sorted: Vec<(Time, Time)> =
        pieces.iter().map(|&(from, until)| (from, until.min(end))).collect();
    sorted.sort_unstable();
    let mut joined: Vec<(Time, Time)> = Vec::new();
    for (from, until) in sorted {
        match joined.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(until),
            Some(_) | None => joined.push((from, until)),
        }
    }
    joined.retain(|(from, until)| from < until);
    joined
}

/// What of the time before `end` is in none of `pieces`, which are sorted and apart.
fn between(pieces: &[(Time, Time)], end: Time) -> Vec<(Time, Time)> {
    let mut free = Vec::new();
    let mut from = Time::ZERO;
    for &(start, over) in pieces {
        free.push((from, start));
        from = over;
    }
    free.push((from, end));
    free.retain(|(from, until)| from < until);
    free
}

#[cfg(test)]
mod tests {
    use super::*;

    const END: Time = Time::from_nanos(100_000_000_001);

    const fn s(seconds: u64) -> Time {
        Time::from_secs(seconds)
    }

    #[test]
    fn runs_of_any_length_have_240_to_720_bins_of_a_round_width() {
        for ms in [240, 1_000, 3_501_700, 7_200_000, 86_400_000, 31_622_400_000_u64] {
            let horizon = Time::ZERO + Span::from_millis(ms);
            let bins = horizon.as_nanos().div_ceil(bin(horizon).as_nanos());
            assert!((240..=720).contains(&bins), "{ms} ms: {bins} bins");
        }
        assert_eq!(bin(s(7_200)), Span::from_secs(10));
    }

    #[test]
    fn normal_is_what_no_spike_covers() {
        let frame = frame(
            s(100),
            &[(s(40), s(60)), (s(10), s(20)), (s(55), s(200))],
            &[],
            Payers::default(),
        );
        assert_eq!(frame.phases[0].pieces, [(s(0), s(10)), (s(20), s(40))]);
        assert_eq!(frame.phases[1].pieces, [(s(10), s(20)), (s(40), END)]);
    }

    #[test]
    fn without_a_spike_all_is_normal_and_no_phase_is_called_spike() {
        let frame = frame(s(100), &[], &[], Payers::default());
        assert_eq!(frame.phases.len(), 1);
        assert_eq!(frame.phases[0].pieces, [(s(0), END)]);
    }
}
