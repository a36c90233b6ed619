use proptest::prelude::*;

use alloc::vec::Vec;

use super::*;
use crate::Spec;

const D: DeploymentId = DeploymentId::at(0);

/// A deployment with a limit, and the calls that it works on.
struct Bench {
    adaptives: Adaptives,
    now: Time,
    /// When each call in flight is dispatched and answered.
    calls: Vec<(Time, Time)>,
    /// The limits told, and when.
    told: Vec<(Time, u32)>,
}

/// How long a call takes beside so many others.
type Takes<'a> = &'a dyn Fn(u32) -> Span;

impl Bench {
    fn new(spec: AdaptiveSpec) -> Self {
        let mut written = Spec::default();
        let mut deployment = crate::DeploymentSpec::new("d".into());
        deployment.adaptive = Some(spec);
        written.deployments.push(deployment);
        let mut group = crate::GroupSpec::new("g".into());
        group.members.push(crate::MemberSpec { deployment: "d".into(), weight: 1, tier: 0 });
        written.groups.push(group);
        let config = Config::new(&written).expect("it is valid");
        let adaptives = Adaptives::new(&config, Time::ZERO);
        Self { adaptives, now: Time::ZERO, calls: Vec::new(), told: Vec::new() }
    }

    fn most(&self) -> u32 {
        self.adaptives.of(D).expect("it has a limit").most()
    }

    fn limit(&self) -> u32 {
        (self.adaptives.of(D).expect("it has a limit").limit >> 16) as u32
    }

    fn heard(&self, dispatched: Time) -> Heard {
        let in_flight = self.calls.len() as u32;
        Heard { deployment: D, dispatched, now: self.now, in_flight }
    }

    /// For so long there are always `wanted` calls to make.
    fn run(&mut self, seconds: u64, wanted: usize, takes: Takes<'_>) -> &mut Self {
        let end = self.now + Span::from_secs(seconds);
        while self.now < end {
            while self.calls.len() < wanted.min(self.most() as usize) {
                let in_flight = self.calls.len() as u32 + 1;
                // Not all at once, so that answers come one by one.
                let begun = self.now + Span::from_micros(u64::from(in_flight));
                self.calls.push((self.now, begun + takes(in_flight)));
                self.adaptives.dispatched(D, in_flight);
            }
            let next = (0..self.calls.len()).min_by_key(|i| self.calls[*i].1).expect("one waits");
            let (dispatched, answered) = self.calls.swap_remove(next);
            self.now = answered;
            let news = self.adaptives.responded(self.heard(dispatched), Of::Whole);
            self.told.extend(news.map(|limit| (self.now, limit)));
        }
        self
    }
}

const fn ms(ms: u64) -> Span {
    Span::from_millis(ms)
}

/// A server of so many places and a queue: a call that finds them full waits its turn.
fn queued(places: u32, service: Span) -> impl Fn(u32) -> Span {
    move |in_flight| service * u64::from(in_flight.div_ceil(places).max(1))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// What is used grows until it is twice what is wanted, and no further than it may.
    #[test]
    fn at_a_constant_time_it_grows_to_what_is_wanted_and_no_further_than_it_may(
        (min, start, max) in (1_u32..20, 0_u32..40, 0_u32..400)
            .prop_map(|(min, start, max)| (min, min + start, min + start + max)),
        wanted in 1_usize..150,
        service in 20_u64..2_000,
    ) {
        let mut bench = Bench::new(AdaptiveSpec { min, max, start });
        bench.run(4_000, wanted, &|_| ms(service));
        let (limit, wanted) = (bench.limit(), wanted as u32);
        prop_assert!(limit >= max.min(2 * wanted), "{limit} for {wanted} of {max}");
        // It stops growing with the first window that uses no more than half of it.
        let enough = 2 * wanted + wanted.isqrt() + 2;
        prop_assert!(limit <= max && limit <= enough.max(start), "{limit} for {wanted}");
    }

    #[test]
    fn it_never_leaves_its_bounds(
        seed: u64,
        (min, start, max) in (1_u32..5, 0_u32..20, 0_u32..40)
            .prop_map(|(min, start, max)| (min, min + start, min + start + max)),
    ) {
        let mut bench = Bench::new(AdaptiveSpec { min, max, start });
        let mut draw = seed;
        for _ in 0..200 {
            draw = draw.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
            let service = ms(1 + (draw >> 33) % 3_000);
            bench.run(5, 1 + (draw >> 50) as usize % 60, &|_| service);
            if draw >> 60 == 0 {
                let failure = Failure::new(FailureKind::RateLimit, 429);
                bench.adaptives.failed(bench.heard(bench.now), &failure);
            }
            prop_assert!((min..=max).contains(&bench.most()), "{}", bench.most());
            prop_assert!((min..=max).contains(&bench.limit()), "{}", bench.limit());
        }
    }

    /// However many more are wanted than fit, what waits at the server is about half of what is
    /// served, after an hour as after minutes: an overload never becomes what is usual.
    #[test]
    fn it_finds_what_a_server_holds_and_keeps_it(
        places in 4_u32..100,
        start in 1_u32..10,
        service in 50_u64..2_000,
    ) {
        let max = 10 * places;
        let mut bench = Bench::new(AdaptiveSpec { min: 1, max, start: start.min(places) });
        bench.run(1_200, max as usize, &queued(places, ms(service)));
        for _ in 0..60 {
            bench.run(60, max as usize, &queued(places, ms(service)));
            let limit = bench.limit();
            prop_assert!(limit >= places / 2 && limit <= 3 * places, "{limit} of {places}");
        }
    }
}

/// Each call takes its share of a server: beyond 20 at once all get slower.
fn shared(in_flight: u32) -> Span {
    ms(200 * u64::from(in_flight.max(20)) / 20)
}

#[test]
fn when_latency_doubles_under_load_it_shrinks_and_recovers_afterwards() {
    let mut bench = Bench::new(AdaptiveSpec { min: 2, max: 100, start: 20 });
    let before = bench.run(300, 20, &shared).limit();
    assert!(before >= 40, "{before}: twice the 20 that are wanted");
    let half = |in_flight: u32| shared(2 * in_flight);
    let during = bench.run(300, 40, &half).limit();
    assert!(during <= 24, "{during}: half the server is gone, and bears 10 of the 40");
    let after = bench.run(300, 20, &shared).limit();
    assert!(after >= 38, "{after}: all of it is back");
}

#[test]
fn what_is_slower_for_good_becomes_usual() {
    let mut bench = Bench::new(AdaptiveSpec { min: 2, max: 60, start: 20 });
    bench.run(120, 40, &|_| ms(300));
    assert_eq!(bench.limit(), 60);
    let slower = bench.run(600, 40, &|_| ms(900)).limit();
    assert_eq!(slower, 60, "fewer calls at once were no faster");
}

#[test]
fn overload_shrinks_it_by_a_tenth_once_for_all_that_were_in_flight() {
    let mut bench = Bench::new(AdaptiveSpec { min: 15, max: 100, start: 100 });
    let busy = Failure::new(FailureKind::Server, 529);
    let mut fail = |s, dispatched, failure: &Failure| {
        bench.now = Time::from_secs(s);
        let news = bench.adaptives.failed(bench.heard(Time::from_secs(dispatched)), failure);
        (bench.limit(), news)
    };
    assert_eq!(fail(1, 0, &busy), (90, Some(90)));
    assert_eq!(fail(2, 0, &busy), (90, None), "it was dispatched before");
    assert_eq!(fail(2, 1, &Failure::new(FailureKind::Server, 500)), (90, None), "no overload");
    assert_eq!(fail(3, 1, &Failure::new(FailureKind::FirstToken, 504)), (81, Some(81)));
    (4..40).for_each(|s| _ = fail(s, s - 1, &busy));
    assert_eq!(fail(40, 39, &busy), (15, None), "it never shrinks below its least");
}

#[test]
fn the_smaller_gradient_holds() {
    let grown = |each_ms: u64| {
        let mut bench = Bench::new(AdaptiveSpec { min: 1, max: 100, start: 10 });
        for second in 1..=22 {
            bench.now = Time::from_secs(10 * second);
            bench.adaptives.dispatched(D, 100);
            let sent = Time::from_secs(10 * second - 5);
            let each = if second > 20 { each_ms } else { 20 };
            for _ in 0..10 {
                let first = Span::from_millis(5_000 - each * 99);
                bench.adaptives.streamed(bench.heard(sent), first, 100);
                bench.adaptives.responded(bench.heard(sent), Of::FirstToken);
            }
        }
        bench.limit()
    };
    let (steady, slow) = (grown(20), grown(50));
    assert!(slow < steady, "{slow} {steady}: tokens that come slower shrink it");
}

#[test]
fn a_limit_is_told_when_it_has_changed_by_a_tenth() {
    let mut bench = Bench::new(AdaptiveSpec { min: 1, max: 100, start: 10 });
    bench.run(200, 100, &|_| ms(100));
    let mut last = 10_u32;
    for (_, limit) in &bench.told {
        assert!(10 * limit.abs_diff(last) >= last, "{last} {limit}");
        last = *limit;
    }
    assert!(bench.told.len() > 10 && last > 90, "{:?}", bench.told);
}
