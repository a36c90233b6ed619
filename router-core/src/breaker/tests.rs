use alloc::string::String;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::Ratio;

const FAILED: Verdict = Verdict::Failed;
const GOOD: Verdict = Verdict::Good;

const fn at(seconds: u64) -> Time {
    Time::from_secs(seconds)
}

/// Trips on three in a row, or on half of ten within 10 s; open for 10 s, then 20 s, 40 s at
/// most; two probes at once, two successes; a ramp of 30 s.
fn spec() -> BreakerSpec {
    BreakerSpec {
        consecutive: 3,
        window: BreakerWindow::Time(Span::from_secs(10)),
        calls_min: 10,
        max: Span::from_secs(40),
        jitter: Ratio::ZERO,
        probes: 2,
        successes: 2,
        ..BreakerSpec::default()
    }
}

/// A breaker and its specification.
struct Rig {
    breaker: Breaker,
    spec: BreakerSpec,
    mode: BreakerMode,
}

impl Rig {
    fn new(spec: BreakerSpec) -> Self {
        Self { breaker: Breaker::new(&spec, at(0), at(0)), spec, mode: BreakerMode::Enforce }
    }

    fn hear(&mut self, now: Time, heard: Heard) -> Option<Turned> {
        self.breaker.hear(&self.spec, self.mode, now, &heard, || true, |_| Span::ZERO)
    }

    /// A call that is dispatched and ends at once.
    fn call(&mut self, now: Time, verdict: Verdict) -> Option<Turned> {
        self.hear(now, Heard { dispatched: now, probe: false, verdict, slow: false })
    }

    /// A probe that is dispatched and ends at once.
    fn probe(&mut self, now: Time, verdict: Verdict) -> Option<Turned> {
        self.breaker.probe(now);
        self.hear(now, Heard { dispatched: now, probe: true, verdict, slow: false })
    }

    /// Fails until it opens.
    fn trip(&mut self, now: Time) -> Option<Turned> {
        (0..100).find_map(|_| self.call(now, FAILED))
    }

    fn standing(&self, now: Time) -> Standing {
        self.breaker.standing(&self.spec, now)
    }
}

fn open(why: Turn, until: Time, streak: u8) -> Option<Turned> {
    Some(Turned::To { state: BreakerState::Open, why, until: Some(until), streak })
}

fn closed(ramp_until: Time, streak: u8) -> Option<Turned> {
    let (state, until) = (BreakerState::Closed, Some(ramp_until));
    Some(Turned::To { state, why: Turn::Recovered, until, streak })
}

#[test]
fn it_opens_probes_and_closes_with_a_ramp() {
    let mut rig = Rig::new(spec());
    assert_eq!([rig.call(at(1), FAILED), rig.call(at(1), FAILED)], [None, None]);
    assert_eq!(rig.call(at(1), FAILED), open(Turn::Consecutive, at(11), 1));
    assert_eq!(rig.standing(at(10)), Standing::Open(at(11)));
    assert_eq!(rig.standing(at(11)), Standing::HalfOpen { free: true });
    assert_eq!((rig.breaker.probe(at(12)), rig.breaker.probe(at(12))), (true, false));
    assert_eq!(rig.standing(at(12)), Standing::HalfOpen { free: false });
    let good = Heard { dispatched: at(12), probe: true, verdict: GOOD, slow: false };
    assert_eq!(rig.hear(at(13), good), None);
    assert_eq!(rig.standing(at(13)), Standing::HalfOpen { free: true });
    assert_eq!(rig.hear(at(14), good), closed(at(44), 1));
    let shares = [14, 15, 29, 43, 44].map(|now| rig.breaker.share(at(now)));
    assert_eq!(shares, [102, 102, 512, 989, 1024]);
}

#[test]
fn a_success_ends_a_row_of_failures() {
    let mut rig = Rig::new(BreakerSpec { failures: None, ..spec() });
    for now in 0..100 {
        let verdicts = [FAILED, FAILED, GOOD].map(|verdict| rig.call(at(now), verdict));
        assert_eq!(verdicts, [None; 3]);
    }
}

#[test]
fn a_share_trips_when_it_is_reached_and_enough_calls_are_judged() {
    let mut rig = Rig::new(BreakerSpec { consecutive: 0, ..spec() });
    (0..5).for_each(|_| assert_eq!(rig.call(at(1), FAILED), None));
    (0..4).for_each(|_| assert_eq!(rig.call(at(2), GOOD), None));
    assert_eq!(rig.call(at(3), GOOD), open(Turn::Failures, at(13), 1), "5 of 10");
}

#[test]
fn a_window_of_calls_judges_the_last_so_many_however_old() {
    let window = BreakerWindow::Calls(10);
    let mut rig = Rig::new(BreakerSpec { consecutive: 0, window, ..spec() });
    (0..4).for_each(|hour| assert_eq!(rig.call(at(hour * 3_600), FAILED), None));
    (0..6).for_each(|_| assert_eq!(rig.call(at(20_000), GOOD), None));
    // The oldest failure leaves as the next comes: still four of ten.
    assert_eq!(rig.call(at(20_001), FAILED), None);
    (0..3).for_each(|_| assert_eq!(rig.call(at(20_001), GOOD), None));
    assert_eq!(rig.trip(at(20_002)), open(Turn::Failures, at(20_012), 1));
}

#[test]
fn slow_calls_trip_it_whether_they_succeed_or_are_given_up() {
    let slow = Some(Ratio::from_ppm(500_000));
    for verdict in [GOOD, Verdict::None] {
        let mut rig = Rig::new(BreakerSpec { slow, ..spec() });
        let mut call =
            |slow| rig.hear(at(1), Heard { dispatched: at(1), probe: false, verdict, slow });
        (0..9).for_each(|_| assert_eq!(call(true), None));
        assert_eq!(call(true), open(Turn::Slow, at(11), 1));
    }
}

#[test]
fn what_says_nothing_is_not_counted() {
    let mut rig = Rig::new(BreakerSpec { calls_min: 1, ..spec() });
    (0..100).for_each(|_| assert_eq!(rig.call(at(1), Verdict::None), None));
    assert_eq!(rig.call(at(1), FAILED), open(Turn::Failures, at(11), 1), "1 of 1, not of 101");
}

#[test]
fn a_probe_that_fails_or_is_slow_opens_it_for_longer_up_to_its_cap() {
    let mut rig = Rig::new(spec());
    rig.trip(at(0));
    assert_eq!(rig.probe(at(10), FAILED), open(Turn::Probe, at(30), 2));
    rig.breaker.probe(at(30));
    let slow = Heard { dispatched: at(30), probe: true, verdict: GOOD, slow: true };
    assert_eq!(rig.hear(at(31), slow), open(Turn::Probe, at(71), 3));
    assert_eq!(rig.probe(at(71), FAILED), open(Turn::Probe, at(111), 4), "40 s at most");
}

#[test]
fn a_probe_that_says_nothing_gives_its_place_back() {
    let mut rig = Rig::new(BreakerSpec { probes: 1, ..spec() });
    rig.trip(at(0));
    for now in 10..60 {
        assert_eq!(rig.standing(at(now)), Standing::HalfOpen { free: true });
        assert_eq!(rig.probe(at(now), Verdict::None), None);
    }
}

#[test]
fn a_row_of_openings_ends_with_the_ramp() {
    for (after, length, streak) in [(0, 20, 2), (29, 20, 2), (30, 10, 1)] {
        let mut rig = Rig::new(spec());
        rig.trip(at(0));
        rig.probe(at(10), GOOD);
        assert_eq!(rig.probe(at(10), GOOD), closed(at(40), 1));
        let now = 10 + after;
        assert_eq!(rig.trip(at(now)), open(Turn::Consecutive, at(now + length), streak));
    }
}

#[test]
fn what_was_dispatched_before_a_state_began_says_nothing_to_it() {
    let mut rig = Rig::new(spec());
    let early = Heard { dispatched: at(0), probe: false, verdict: FAILED, slow: false };
    rig.trip(at(1));
    let open = rig.breaker.clone();
    (0..100).for_each(|_| assert_eq!(rig.hear(at(2), early), None));
    assert_eq!(rig.breaker, open, "the rest of the herd does not prolong it");
    rig.breaker.probe(at(11));
    let half_open = rig.breaker.clone();
    (0..100).for_each(|_| assert_eq!(rig.hear(at(12), early), None));
    assert_eq!(rig.breaker, half_open, "nor take a probe's place");
    let good = Heard { dispatched: at(11), probe: true, verdict: GOOD, slow: false };
    rig.hear(at(12), good);
    assert_eq!(rig.probe(at(12), GOOD), closed(at(42), 1));
    (0..100).for_each(|_| assert_eq!(rig.hear(at(13), early), None));
    assert_eq!(rig.hear(at(13), good), None, "nor does a probe of then");
    assert_eq!(rig.standing(at(13)), Standing::Closed);
}

#[test]
fn a_probe_of_an_earlier_phase_neither_closes_it_nor_frees_a_place() {
    let mut rig = Rig::new(spec());
    rig.trip(at(0));
    rig.breaker.probe(at(10));
    rig.probe(at(10), FAILED);
    (0..2).for_each(|_| {
        rig.breaker.probe(at(30));
    });
    for verdict in [GOOD, FAILED, Verdict::None] {
        rig.hear(at(31), Heard { dispatched: at(10), probe: true, verdict, slow: false });
        assert_eq!(rig.standing(at(31)), Standing::HalfOpen { free: false });
    }
}

#[test]
fn one_that_only_observes_opens_and_closes_by_itself() {
    let mut rig = Rig::new(spec());
    rig.mode = BreakerMode::Observe;
    for now in [0, 10, 20] {
        assert_eq!(rig.trip(at(now)), open(Turn::Consecutive, at(now + 10), 1));
        (0..10).for_each(|_| assert_eq!(rig.call(at(now + 9), FAILED), None, "it hears nothing"));
    }
    let before = Heard { dispatched: at(29), probe: false, verdict: FAILED, slow: false };
    (0..10).for_each(|_| assert_eq!(rig.hear(at(31), before), None));
    assert_eq!(rig.breaker.share(at(30)), 1024, "nor does it ramp");
}

#[test]
fn one_that_is_switched_off_stays_as_it_is_but_loses_no_probe() {
    let mut rig = Rig::new(BreakerSpec { probes: 1, ..spec() });
    rig.trip(at(0));
    rig.breaker.probe(at(10));
    for mode in [BreakerMode::Disabled, BreakerMode::ForcedOpen] {
        rig.mode = mode;
        assert_eq!(rig.trip(at(11)), None);
    }
    rig.hear(at(12), Heard { dispatched: at(10), probe: true, verdict: GOOD, slow: false });
    rig.mode = BreakerMode::Enforce;
    assert_eq!(rig.standing(at(13)), Standing::HalfOpen { free: true });
    rig.mode = BreakerMode::Observe;
    assert_eq!(rig.trip(at(14)), open(Turn::Consecutive, at(24), 1));
}

#[test]
fn a_spared_one_stays_closed_and_says_so_at_every_call() {
    let mut rig = Rig::new(spec());
    (0..2).for_each(|_| assert_eq!(rig.call(at(0), FAILED), None));
    let failed = Heard { dispatched: at(0), probe: false, verdict: FAILED, slow: false };
    for _ in 0..10 {
        let turned = rig.breaker.hear(
            &rig.spec,
            rig.mode,
            at(0),
            &failed,
            || false,
            |_| panic!("nothing is drawn for what does not open"),
        );
        assert_eq!(turned, Some(Turned::Spared));
    }
    assert_eq!(rig.call(at(0), FAILED), open(Turn::Consecutive, at(10), 1));
}

#[test]
fn jitter_is_drawn_for_the_length_and_added_to_it() {
    let mut rig = Rig::new(spec());
    (0..2).for_each(|_| assert_eq!(rig.call(at(0), FAILED), None));
    let failed = Heard { dispatched: at(0), probe: false, verdict: FAILED, slow: false };
    let turned =
        rig.breaker.hear(&rig.spec, rig.mode, at(0), &failed, || true, |span| span.scale(1, 10));
    assert_eq!(turned, open(Turn::Consecutive, at(11), 1));
}

/// Kong's breaker (AI Gateway, 2026) counts failures since the last success that came
/// `fail_timeout` after a failure: three within 10 s trip it. At 100 calls a second of which one
/// in a thousand fails that takes half a minute, since no 10 s go by without a failure.
#[test]
fn rare_failures_among_many_calls_never_trip_it() {
    for spec in [BreakerSpec::default(), spec()] {
        let mut rig = Rig::new(spec);
        for call in 0..360_000_u64 {
            let verdict = if call % 1_000 == 999 { FAILED } else { GOOD };
            assert_eq!(rig.call(Time::from_nanos(call * 10_000_000), verdict), None);
        }
    }
}

#[test]
fn what_is_written_comes_back() {
    for window in [BreakerWindow::Calls(20), BreakerWindow::Time(Span::from_secs(60))] {
        let mut rig = Rig::new(BreakerSpec { window, ..spec() });
        let mut seen = Vec::new();
        let mut note = |rig: &Rig| seen.push(rig.breaker.clone());
        note(&rig);
        (0..2).for_each(|now| assert_eq!(rig.call(at(now), FAILED), None));
        note(&rig);
        rig.call(at(2), FAILED);
        note(&rig);
        rig.probe(at(12), GOOD);
        rig.breaker.probe(at(12));
        note(&rig);
        rig.probe(at(13), GOOD);
        note(&rig);
        for breaker in seen {
            let mut text = String::new();
            breaker.write(&mut text).unwrap();
            let mut back = Breaker::new(&rig.spec, at(0), at(0));
            assert_eq!(back.restore(text.split_whitespace()), Some(()));
            if let State::HalfOpen { since, in_flight, .. } = breaker.state {
                back.occupy(since - Span::from_nanos(1));
                (0..in_flight).for_each(|_| back.occupy(since));
            }
            assert_eq!(back, breaker);
        }
    }
    let mut breaker = Breaker::new(&spec(), at(0), at(0));
    for wrong in ["", "3 0 0 0 0 0", "2 0 5000000000 0 0 0", "0 0 0 0 0"] {
        assert_eq!(breaker.restore(wrong.split_whitespace()), None, "{wrong}");
    }
}

proptest! {
    /// Whatever comes in whatever order: no more probes than there are permits, no call while it
    /// is open, and once all has ended a probe is free.
    #[test]
    fn a_herd_never_exceeds_the_permits_and_no_permit_is_lost(
        steps in proptest::collection::vec((0_u8..6, 0_u64..20_000, 0_u8..3), 1..400),
        probes in 1_u32..4,
        successes in 1_u32..4,
    ) {
        let spec = BreakerSpec { probes, successes, ramp: Span::from_secs(5), ..spec() };
        let mut rig = Rig::new(spec);
        let mut now = at(0);
        let mut phase = at(0);
        let mut live: Vec<(Time, bool)> = Vec::new();
        for (step, wait, verdict) in steps {
            if step >= 3 && !live.is_empty() {
                let (dispatched, probe) = live.swap_remove(wait as usize % live.len());
                let verdict = [GOOD, FAILED, Verdict::None][usize::from(verdict)];
                rig.hear(now, Heard { dispatched, probe, verdict, slow: false });
                continue;
            }
            now = now + Span::from_millis(wait);
            match rig.standing(now) {
                Standing::Closed => live.push((now, false)),
                Standing::Open(until) => prop_assert!(until > now),
                Standing::HalfOpen { free: false } => {
                    let live = live.iter().filter(|(at, probe)| *probe && *at >= phase).count();
                    prop_assert_eq!(live, probes as usize);
                }
                Standing::HalfOpen { free: true } => {
                    if rig.breaker.probe(now) {
                        phase = now;
                    }
                    live.push((now, true));
                    let live = live.iter().filter(|(at, probe)| *probe && *at >= phase).count();
                    prop_assert!(live <= probes as usize);
                }
            }
        }
        for (dispatched, probe) in live {
            let verdict = Verdict::None;
            rig.hear(now, Heard { dispatched, probe, verdict, slow: false });
        }
        prop_assert_ne!(rig.standing(now), Standing::HalfOpen { free: false });
    }
}
