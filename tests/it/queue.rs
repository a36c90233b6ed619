//! Those that wait: whose turn it is under overload, and who is not held up by whom.

use std::sync::Arc;

use proptest::prelude::*;
use router_core::{
    AdaptiveSpec, BudgetSpec, BudgetUnit, Cause, Counter, DeploymentSpec, Failure, FailureKind,
    GroupId, GroupSpec, Input, LimitSpec, MemberSpec, Observation, Order, Outcome, Output, Price,
    Purpose, QueueSpec, Rate, RequestId, RungSpec, Seed, Span, Spec, SubjectSpec, Time, Upstream,
};
use tests::stage::{Stage, attempt, ms, retry_after, sent, spec};
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

/// Of those that a subject's calls in flight have reserved a budget from, whoever fits beside that in
/// the next period goes when it begins: nothing else happens then.
#[test]
fn who_waits_goes_when_a_budgets_next_period_has_room_beside_what_is_reserved() {
    let mut spec = spec(&[1, 0]);
    spec.deployments[1].price = Price { input: 1, cached: 1, output: 1 };
    let budget = BudgetSpec::new(BudgetUnit::Usd, 1_000, Span::from_secs(60));
    let org = SubjectSpec::new("org".into(), Some("first".into()));
    spec.subjects = vec![SubjectSpec { budgets: vec![budget], ..org }];
    spec.groups[0].queue = Some(QueueSpec { timeout: Span::from_secs(90), ..QueueSpec::new(2) });
    let mut stage = Stage::new(&spec);
    let asks = |stage: &mut Stage, at: u64, n: u64, output: u32| {
        stage.submit_with(ms(at), n, |request| {
            (request.subjects[0], request.output_max) = (1, Some(output));
        })
    };
    asks(&mut stage, 0, 1, 200);
    let outputs = stage.fail(ms(1), 1, 1, retry_after(FailureKind::RateLimit, 429, 600));
    assert_eq!(sent(&outputs), Some((1, Cause::Standby)));
    stage.complete(ms(2), 1, 2, 200);
    assert!(sent(&asks(&mut stage, 50_000, 2, 250)).is_some(), "300 are spent, and 350 reserved");
    stage.news(ms(50_001), 2, 1, Upstream::Connected);
    assert_eq!(sent(&asks(&mut stage, 50_002, 3, 300)), None, "400 more are too many");
    stage.wait(ms(61_000));
    let (at, last) = *stage.dispatches().last().expect("there were some");
    assert_eq!((at, last.attempt), (ms(60_000), attempt(3, 1)));
}

/// Whoever is too long for its own group is so for what is smaller.
#[test]
fn who_waits_for_a_wider_group_steps_down_to_no_smaller_one() {
    let run = |prompt: u32| {
        let mut spec = spec(&[1]);
        spec.deployments[0].context = Some(1_000);
        for name in ["wide", "mini"] {
            let limit = Some(LimitSpec { parallel: Some(1), ..LimitSpec::default() });
            spec.deployments.push(DeploymentSpec { limit, ..DeploymentSpec::new(name.into()) });
            let mut group = GroupSpec::new(name.into());
            let deployment = name.into();
            group.members.push(MemberSpec { deployment, weight: 1, tier: 0 });
            spec.groups.push(group);
        }
        spec.deployments[0].limit = spec.deployments[1].limit.clone();
        let chat = &mut spec.groups[0];
        chat.fallbacks.context_window = vec!["wide".into()];
        chat.queue = Some(QueueSpec { timeout: Span::from_secs(1), ..QueueSpec::new(2) });
        chat.ladder = vec![RungSpec::Full, RungSpec::Group("mini".into()), RungSpec::Static];
        let mut stage = Stage::new(&spec);
        stage.submit(ms(0), 1);
        stage.submit_with(ms(0), 2, |request| request.group = GroupId::at(1));
        stage.submit_with(ms(1), 3, |request| request.input_tokens = prompt);
        stage.wait(ms(2_000));
        let (_, last) = *stage.dispatches().last().expect("there were some");
        let degraded = (last.attempt == attempt(3, 1)).then_some(last.cause);
        (degraded, stage.outcome(3).map(|(_, outcome)| outcome))
    };
    assert_eq!(run(100), (Some(Cause::Degraded), None));
    assert_eq!(run(5_000), (None, Some(Outcome::Static)));
}

/// Arrival, not number, says who was first.
#[test]
fn who_lines_up_anew_does_so_in_order_of_arrival() {
    let mut spec = spec(&[1]);
    spec.groups[0].in_flight = Some(1);
    spec.groups[0].queue = Some(QueueSpec::new(4));
    let mut stage = Stage::new(&spec);
    for (at, n) in [(0, 1), (1, 9), (2, 5), (3, 7)] {
        stage.submit(ms(at), n);
    }
    spec.groups[0].queue = Some(QueueSpec::new(5));
    let next = stage.router.config().revise(&spec).expect("it is valid");
    stage.feed(ms(4), Input::Reconfigure(Arc::new(next)));
    for n in [1, 9, 5, 7] {
        stage.complete(ms(5), n, 1, 1);
    }
    let went = stage.dispatches().into_iter();
    let went: Vec<u64> = went.map(|(_, dispatch)| dispatch.attempt.request.sequence()).collect();
    assert_eq!(went, [1, 9, 5, 7]);
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
