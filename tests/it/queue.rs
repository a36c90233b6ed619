//! Those that wait: whose turn it is under overload, and who is not held up by whom.

use proptest::prelude::*;
use router_core::{
    AdaptiveSpec, Cause, Counter, DeploymentSpec, Failure, FailureKind, GroupId, GroupSpec,
    LimitSpec, MemberSpec, Observation, Order, Output, Purpose, QueueSpec, Rate, RequestId,
    RungSpec, Seed, Span, Spec, SubjectSpec, Time, Upstream,
};
use tests::stage::{Stage, ms, sent, spec};
use tests::world::swarm;

use crate::play::{Fate, Play};

/// How long every call takes: at four at once a router serves 40 a second.
const SERVICE: u64 = 100;
const CAPACITY: u64 = 40;
const LASTS: u64 = 30;

/// One deployment, four requests at a time, and room for sixteen that wait. The first tenant weighs
/// `weights.0`, the second `weights.1`.
fn tenants(weights: (u32, u32), order: Order) -> Spec {
    let mut spec = spec(&[1]);
    let org = |name: &str, weight| SubjectSpec {
        weight,
        ..SubjectSpec::new("org".into(), Some(name.into()))
    };
    spec.subjects = vec![org("first", weights.0), org("second", weights.1)];
    let chat = &mut spec.groups[0];
    chat.in_flight = Some(4);
    chat.queue = Some(QueueSpec { order, fair: Some("org".into()), ..QueueSpec::new(16) });
    spec
}

/// What the two tenants ask for, in requests a second, and what becomes of each of it: when it
/// came, and how long it waited for its first attempt if it had one.
fn waits(spec: &Spec, rates: [u64; 2], seed: u64) -> [Vec<(Time, Option<Span>)>; 2] {
    let draws = Seed::from_u64(seed).key(Purpose::Arrivals);
    let mut arrivals: Vec<(u64, u32)> = Vec::new();
    for (tenant, rate) in (1..).zip(rates) {
        arrivals.extend((0..rate * LASTS).map(|request| {
            let counter = Counter { request, entity: tenant, ..Counter::default() };
            (draws.below(LASTS * 1_000_000_000, counter), tenant)
        }));
    }
    arrivals.sort_unstable();
    let mut play = Play::new(spec, |_, _| Fate::answer(SERVICE));
    for (at, tenant) in &arrivals {
        play.submit(Time::from_nanos(*at), |request| request.subjects[0] = *tenant);
    }
    play.run_to(ms(LASTS * 1_000));
    let mut first: Vec<Option<Time>> = vec![None; arrivals.len()];
    for (at, dispatch) in play.stage.dispatches() {
        first[dispatch.attempt.request.sequence() as usize - 1].get_or_insert(at);
    }
    [1, 2].map(|tenant| {
        let all = arrivals.iter().zip(&first).filter(|((_, of), _)| *of == tenant);
        let wait = |((at, _), first): (&(u64, u32), &Option<Time>)| {
            let at = Time::from_nanos(*at);
            (at, first.map(|first| first.since(at)))
        };
        all.map(wait).collect()
    })
}

/// How many of a tenant's were served of those that came after the first five seconds.
fn served(waits: &[(Time, Option<Span>)]) -> u64 {
    waits.iter().filter(|(at, wait)| *at >= ms(5_000) && wait.is_some()).count() as u64
}

/// The 95th percentile; who was not served waited for ever.
fn p95(waits: &[(Time, Option<Span>)]) -> Span {
    let mut all: Vec<Span> = waits.iter().map(|(_, wait)| wait.unwrap_or(Span::MAX)).collect();
    all.sort_unstable();
    all[all.len() * 95 / 100]
}

/// Whether the first got three quarters of all that was served, within a hundredth of it.
fn is_three_to_one(served: [u64; 2]) -> bool {
    let all = served[0] + served[1];
    (served[0] * 4).abs_diff(all * 3) * 25 <= all
}

#[test]
fn overloaded_tenants_are_served_by_weight_whatever_they_offer() {
    let mut seed = 0;
    for order in [Order::Fifo, Order::Lifo, Order::Deadline] {
        for first in [2, 10, 50] {
            for second in [2, 10, 50] {
                seed += 1;
                let rates = [first, second].map(|times| times * CAPACITY);
                let found = waits(&tenants((3, 1), order), rates, seed).map(|of| served(&of));
                let all = found[0] + found[1];
                assert!(all >= CAPACITY * (LASTS - 6), "{all} were served of {rates:?} a second");
                assert!(is_three_to_one(found), "{order:?}, {rates:?} a second: {found:?}");
            }
        }
    }
}

/// Without turns they get what they send.
#[test]
fn without_turns_who_sends_more_gets_more() {
    let mut spec = tenants((3, 1), Order::Fifo);
    spec.groups[0].queue.as_mut().expect("it is there").fair = None;
    let found = waits(&spec, [2, 50].map(|times| times * CAPACITY), 1).map(|of| served(&of));
    assert!(found[0] * 10 < found[1], "{found:?}");
}

/// What a quiet tenant, with half of its share to do, waits beside a noisy one of its weight: not
/// longer than alone on its share, but for one call of the other's that is there before it.
#[test]
fn a_noisy_tenant_holds_nobody_up_beyond_its_own_share() {
    let share = CAPACITY / 2;
    let beside = |fair: bool, times: u64, seed: u64| {
        let mut spec = tenants((1, 1), Order::Fifo);
        if !fair {
            spec.groups[0].queue.as_mut().expect("it is there").fair = None;
        }
        let [quiet, _] = waits(&spec, [share / 2, times * CAPACITY], seed);
        p95(&quiet)
    };
    for seed in 0..5 {
        let mut alone = tenants((1, 1), Order::Fifo);
        alone.groups[0].in_flight = Some(2);
        let [quiet, _] = waits(&alone, [share / 2, 0], seed);
        let most = p95(&quiet) + Span::from_millis(SERVICE);
        for times in [2, 10, 50] {
            let wait = beside(true, times, seed);
            assert!(wait <= most, "beside {times} times what there is it waits {wait}, not {most}");
            assert!(beside(false, times, seed) > most, "without turns it would be held up");
        }
    }
}

/// A limit that learns may grow when a first token comes: no call has ended, and still somebody may
/// go.
#[test]
fn who_waits_goes_as_soon_as_a_limit_that_learns_lets_it() {
    let mut spec = spec(&[1]);
    spec.deployments[0].adaptive = Some(AdaptiveSpec { min: 1, max: 20, start: 4 });
    spec.groups[0].queue = Some(QueueSpec::new(1));
    let mut stage = Stage::new(&spec);
    let stream = |stage: &mut Stage, at: u64, n: u64| {
        stage.submit_with(ms(at), n, |request| request.stream = true)
    };
    for n in 1..10 {
        stream(&mut stage, 100 * n, n);
        stage.news(ms(100 * n + 20), n, 1, Upstream::FirstToken);
        stage.complete(ms(100 * n + 30), n, 1, 1);
    }
    (10..14).for_each(|n| assert!(sent(&stream(&mut stage, 1_300, n)).is_some()));
    assert_eq!(sent(&stream(&mut stage, 1_300, 14)), None);
    // The tenth sample ends the window.
    let outputs = stage.news(ms(1_320), 10, 1, Upstream::FirstToken);
    assert_eq!(sent(&outputs), Some((0, Cause::Primary)), "{outputs:?}");
}

/// A request of a script: how long after the one before, how long its calls take, and whether the
/// first of them fails.
type Beat = (u64, u64, bool);

/// How a group lets requests wait.
type Waits = (u32, u64, Order, Option<u32>, u32, u64);

fn group_waits() -> impl Strategy<Value = Waits> {
    let order = prop::sample::select(vec![Order::Fifo, Order::Lifo, Order::Deadline]);
    let bound = prop::option::of(1_u32..5);
    (1_u32..6, 20_u64..3_000, order, bound, 1_u32..4, 1_u64..40)
}

fn script() -> impl Strategy<Value = Vec<Beat>> {
    let gap = prop_oneof![Just(0_u64), 1_u64..40, 100_u64..2_000];
    prop::collection::vec((gap, 1_u64..400, prop::bool::weighted(0.2)), 1..120)
}

/// The groups `chat` and `other`, each of two deployments of its own.
fn two_groups(waits: [Waits; 2]) -> Spec {
    let mut spec = tenants((3, 1), Order::Fifo);
    (spec.groups, spec.deployments) = (Vec::new(), Vec::new());
    for (name, (size, timeout, order, in_flight, parallel, rate)) in
        ["chat", "other"].into_iter().zip(waits)
    {
        let mut group = GroupSpec::new(name.into());
        group.in_flight = in_flight;
        let timeout = Span::from_millis(timeout);
        let fair = Some("org".into());
        group.queue = Some(QueueSpec { timeout, order, fair, ..QueueSpec::new(size) });
        group.ladder = vec![RungSpec::Full, RungSpec::Static];
        for index in 0..2 {
            let deployment = format!("{name}-{index}");
            let rate = Rate { amount: rate, period: Span::from_secs(2), burst: None };
            let limit = LimitSpec {
                requests: (index == 1).then_some(rate),
                parallel: Some(parallel),
                ..LimitSpec::default()
            };
            let limit = Some(limit);
            spec.deployments
                .push(DeploymentSpec { limit, ..DeploymentSpec::new(deployment.clone()) });
            group.members.push(MemberSpec { deployment, weight: 1, tier: 0 });
        }
        spec.groups.push(group);
    }
    spec
}

/// From where on the requests of `other` are numbered.
const OTHER: u64 = 1_000_000;

/// What is decided of `chat`, at which instants.
fn decided(spec: &Spec, scripts: [&[Beat]; 2]) -> Vec<(Time, Output)> {
    let beat = |sequence: u64| {
        let (script, place) = (scripts[usize::from(sequence >= OTHER)], sequence % OTHER);
        script[place as usize]
    };
    let mut play = Play::new(spec, |_, dispatch| {
        let (_, takes, fails) = beat(dispatch.attempt.request.sequence());
        if fails && dispatch.attempt.ordinal == 1 {
            Fate::fail(takes, Failure::new(FailureKind::Server, 500))
        } else {
            Fate::answer(takes)
        }
    });
    let mut requests: Vec<(u64, u64)> = Vec::new();
    for (base, script) in [0, OTHER].into_iter().zip(scripts) {
        let instants = script.iter().scan(0, |now, (gap, ..)| {
            *now += gap;
            Some(*now)
        });
        requests.extend(instants.zip(base..));
    }
    requests.sort_unstable();
    for (at, sequence) in requests {
        let group = GroupId::at(usize::from(sequence >= OTHER));
        play.submit(ms(at), |request| {
            (request.id, request.group) = (RequestId::new(0, sequence, 0), group);
            request.subjects[0] = 1 + sequence as u32 % 3;
        });
    }
    play.run_to(Time::MAX);
    let log = play.stage.log.iter().copied();
    log.filter(|(_, output)| request_of(output).is_some_and(|id| id.sequence() < OTHER)).collect()
}

/// Which request a decision is about.
fn request_of(output: &Output) -> Option<RequestId> {
    match output {
        Output::Dispatch(dispatch) => Some(dispatch.attempt.request),
        Output::Commit(attempt) | Output::Abandon(attempt, _) => Some(attempt.request),
        Output::Finish(request, _) => Some(*request),
        Output::Observe(
            Observation::Queued { request, .. } | Observation::Dequeued { request, .. },
        ) => Some(*request),
        Output::Observe(_) => None,
    }
}

proptest! {
    #![proptest_config(swarm(200))]

    /// Bulkheads: with deployments and a queue of its own a group decides the same, at the same
    /// instants, whatever is asked of another.
    #[test]
    fn a_group_with_deployments_of_its_own_never_feels_anothers_queue(
        waits in (group_waits(), group_waits()),
        own in script(),
        others in script(),
    ) {
        let spec = two_groups(waits.into());
        let beside = decided(&spec, [&own, &others]);
        let alone = decided(&spec, [&own, &[]]);
        let pairs = alone.iter().zip(&beside);
        let differs = pairs.filter(|(alone, beside)| alone != beside).map(|(a, b)| (*a, *b)).next();
        prop_assert_eq!(differs, None);
        prop_assert_eq!(alone.len(), beside.len());
    }
}
