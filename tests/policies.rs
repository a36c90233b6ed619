//! Random policies of a group: whatever a router can be told to do beyond plain routing.

use proptest::prelude::*;
use router_core::{
    BreakerMode, BreakerSpec, BreakerWindow, ClassRest, ClassRests, FallbacksSpec, GroupSpec,
    HedgeAfter, HedgeSpec, Jitter, Load, Ratio, RestAfter, RetrySpec, Span, Strategy as Choice,
    TagMatch,
};

use crate::world::{millis, percent};

/// Random policies, to be given to a group by [`Policies::adorn`].
#[derive(Clone, Debug)]
pub struct Policies {
    strategy: Choice,
    retry: RetrySpec,
    jitter: Jitter,
    classes: ClassRests,
    breaker: Option<BreakerSpec>,
    ejected_max: Ratio,
    panic: Ratio,
    hedge: Option<HedgeSpec>,
    tag_match: TagMatch,
}

impl Policies {
    /// Gives them to a group.
    pub fn adorn(self, group: &mut GroupSpec) {
        let Self { strategy, retry, jitter, classes, breaker, .. } = self;
        group.strategy = strategy;
        group.retry = retry;
        group.backoff.jitter = jitter;
        group.cooldown.classes = classes;
        group.breaker = breaker;
        let Self { ejected_max, panic, hedge, tag_match, .. } = self;
        group.ejected_max = ejected_max;
        group.panic = panic;
        group.hedge = hedge.filter(|hedge| match hedge.after {
            HedgeAfter::Delay(delay) => delay < group.timeouts.first_token,
            HedgeAfter::Quantile(_) => true,
        });
        group.tag_match = tag_match;
    }
}

/// Some of them, each now and then.
pub fn policies() -> impl Strategy<Value = Policies> {
    let choice = (strategies(), prop::array::uniform6(prop_oneof![2 => Just(15_u8), 1 => 0..3_u8]));
    let jitter = prop::sample::select(vec![Jitter::Full, Jitter::Equal, Jitter::Constant]);
    let out = (prop::option::weighted(0.5, breakers()), percent(0..=100));
    let panic = prop_oneof![2 => Just(Ratio::ZERO), 1 => percent(1..=100)];
    let hedge = prop::option::weighted(0.4, hedges());
    let tags = prop::sample::select(vec![TagMatch::Any, TagMatch::All]);
    (choice, jitter, classes(), out, panic, hedge, tags).prop_map(
        |((strategy, most), jitter, classes, (breaker, ejected_max), panic, hedge, tag_match)| {
            let retry = RetrySpec { most };
            Policies {
                strategy,
                retry,
                jitter,
                classes,
                breaker,
                ejected_max,
                panic,
                hedge,
                tag_match,
            }
        },
    )
}

fn strategies() -> impl Strategy<Value = Choice> {
    prop::sample::select(vec![
        Choice::Weighted { catch_up: false },
        Choice::Weighted { catch_up: true },
        Choice::LeastInFlight,
        Choice::PowerOfTwo(Load::InFlight),
        Choice::PowerOfTwo(Load::PeakEwma),
        Choice::LATENCY,
        Choice::Usage,
        Choice::Cost,
        Choice::Sticky,
    ])
}

fn classes() -> impl Strategy<Value = ClassRests> {
    let after = prop_oneof![
        3 => Just(RestAfter::Common),
        2 => (1_u32..4).prop_map(RestAfter::Count),
        1 => Just(RestAfter::Never),
    ];
    let rest = (after, prop::option::of(millis(1..800)));
    let rest = rest.prop_map(|(after, rest)| ClassRest { after, rest });
    prop::array::uniform4(rest).prop_map(|[rate_limit, server, connection, timeout]| ClassRests {
        rate_limit,
        server,
        connection,
        timeout,
    })
}

fn breakers() -> impl Strategy<Value = BreakerSpec> {
    let modes = prop_oneof![
        6 => Just(BreakerMode::Enforce),
        1 => Just(BreakerMode::Observe),
        1 => Just(BreakerMode::Disabled),
    ];
    let window = prop_oneof![
        millis(100..5_000).prop_map(BreakerWindow::Time),
        (5_u32..40).prop_map(BreakerWindow::Calls),
    ];
    let trips = (1_u32..6, prop::option::of(percent(1..=100)), 1_u32..6);
    let slow = prop::option::of((millis(5..400), percent(1..=100)));
    let open = (millis(1..800), 1_u8..4, millis(800..3_000), percent(0..=50));
    let back = (1_u32..4, 1_u32..4, prop_oneof![Just(Span::ZERO), millis(1..3_000)]);
    (modes, window, trips, slow, open, back).prop_map(
        |(mode, window, (consecutive, failures, calls_min), slow, open, back)| BreakerSpec {
            mode,
            consecutive,
            failures,
            slow_over: slow.map_or(Span::MAX, |slow| slow.0),
            slow: slow.map(|slow| slow.1),
            window,
            calls_min: calls_min.min(5),
            open: open.0,
            grow: open.1,
            max: open.2,
            jitter: open.3,
            probes: back.0,
            successes: back.1,
            ramp: back.2,
        },
    )
}

fn hedges() -> impl Strategy<Value = HedgeSpec> {
    let after = prop_oneof![
        millis(5..300).prop_map(HedgeAfter::Delay),
        percent(20..=95).prop_map(HedgeAfter::Quantile),
    ];
    (after, percent(20..=100))
        .prop_map(|(after, utilisation_max)| HedgeSpec { after, utilisation_max })
}

/// Random fallbacks among `count` groups.
pub fn fallbacks(count: usize) -> impl Strategy<Value = FallbacksSpec> {
    let list = prop::collection::vec(0..count, 0..3);
    prop::array::uniform3(list).prop_map(|lists| {
        let [any, context_window, content_policy] =
            lists.map(|list| list.into_iter().map(|other| format!("g{other}")).collect());
        FallbacksSpec { any, context_window, content_policy }
    })
}
