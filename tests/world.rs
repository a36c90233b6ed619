//! Small random routers in small hostile worlds: where limits are touched and timers tie.

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use router_core::{
    AdaptiveSpec, BackoffSpec, BreakerMode, Config, CooldownSpec, DeploymentSpec, FailureKind,
    GroupId, GroupSpec, LimitSpec, MemberSpec, OnOutage, PeersSpec, QueueSpec, Rate, Ratio,
    RetryBudgetSpec, RungSpec, Seed, Span, Spec, Time, TimeoutsSpec,
};
use sim::{
    Abandoned, Algorithm, Answer, Arrivals, BadEnd, Client, ComeBack, Demand, Effect, Fault,
    FirstToken, Lengths, Mix, Order, Outage, PerToken, Plan, PromptCache, Provider, Quota,
    Reserves, RetryAfter, Rhythm, Segment, Service, Shape, WhenFull,
};

use crate::policies::{fallbacks, policies};
use crate::subjects::{payers, subjects};

/// A router and a world for it.
#[derive(Clone, Debug)]
pub struct Setting {
    /// The router, as written.
    pub spec: Spec,
    /// The world.
    pub plan: Plan,
    /// The router's seed.
    pub seed: Seed,
}

/// How many random worlds are tried: the same ones on every machine and every day, unless
/// `PROPTEST_RNG_SEED` and `PROPTEST_CASES` ask for others.
pub fn swarm(cases: u32) -> ProptestConfig {
    let given = ProptestConfig::default();
    let rng_seed = match given.rng_seed {
        RngSeed::Random => RngSeed::Fixed(7),
        RngSeed::Fixed(seed) => RngSeed::Fixed(seed),
    };
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { given.cases } else { cases };
    ProptestConfig { cases, rng_seed, failure_persistence: None, ..given }
}

/// Random settings of a few hundred requests each.
pub fn settings() -> impl Strategy<Value = Setting> {
    (specs(), any::<u16>()).prop_flat_map(|(spec, seed)| {
        let seed = Seed::from_u64(u64::from(seed));
        plans(&spec, seed).prop_map(move |plan| Setting { spec: spec.clone(), plan, seed })
    })
}

pub(crate) fn millis(range: core::ops::Range<u64>) -> impl Strategy<Value = Span> {
    range.prop_map(Span::from_millis)
}

pub(crate) fn percent(range: core::ops::RangeInclusive<u32>) -> impl Strategy<Value = Ratio> {
    range.prop_map(|percent| Ratio::from_ppm(percent * 10_000))
}

fn rate(amounts: core::ops::Range<u64>) -> impl Strategy<Value = Option<Rate>> {
    let burst = prop::option::of(1_u64..200);
    let rate = (amounts, 1_u64..60, burst);
    prop::option::weighted(
        0.5,
        rate.prop_map(|(amount, secs, burst)| Rate {
            amount,
            period: Span::from_secs(secs),
            burst: burst.map(|burst| burst * amount.div_ceil(50)),
        }),
    )
}

/// Those with a window have an adaptive limit, too, whatever it is.
fn adaptive(context: Option<u32>) -> Option<AdaptiveSpec> {
    let max = 1 + context? % 30;
    Some(AdaptiveSpec { min: 1, max, start: 1 + max / 2 })
}

pub(crate) fn limits() -> impl Strategy<Value = LimitSpec> {
    let parallel = prop::option::weighted(0.5, 1_u32..12);
    let tokens = (rate(500..60_000), rate(500..60_000), rate(500..60_000));
    (rate(3..200), tokens, parallel).prop_map(|(requests, tokens, parallel)| LimitSpec {
        requests,
        tokens: tokens.0,
        input_tokens: tokens.1,
        output_tokens: tokens.2,
        parallel,
    })
}

fn timeouts() -> impl Strategy<Value = TimeoutsSpec> {
    let spans = (millis(20..300), millis(50..900), millis(50..900), millis(900..4_000));
    (spans, any::<bool>(), 0_u8..16).prop_map(
        |((connect, first_token, idle, total), partial, off)| {
            let or_off = |span: Span, bit: u8| if off & bit == bit { Span::MAX } else { span };
            TimeoutsSpec {
                connect: or_off(connect, 9),
                first_token: or_off(first_token, 10),
                idle: or_off(idle, 12),
                total,
                partial,
            }
        },
    )
}

fn cooldowns() -> impl Strategy<Value = CooldownSpec> {
    let window = (percent(1..=100), 1_u32..8, millis(100..5_000));
    let rest = (millis(1..800), 1_u8..4, millis(800..3_000), percent(0..=50));
    let flags = (any::<bool>(), prop::bool::weighted(0.8));
    (window, rest, flags).prop_map(|((failures, calls_min, window), rest, flags)| CooldownSpec {
        enabled: flags.1,
        failures,
        calls_min,
        window,
        rest: rest.0,
        grow: rest.1,
        max: rest.2,
        jitter: rest.3,
        lone: flags.0,
        ..CooldownSpec::default()
    })
}

/// A bound on the requests of a group, and a queue for the others.
fn waits() -> impl Strategy<Value = (Option<u32>, Option<QueueSpec>)> {
    use router_core::Order::{Deadline, Fifo, Lifo};
    let orders = prop_oneof![Just(Fifo), Just(Lifo), Just(Deadline)];
    let timeout = prop_oneof![5 => millis(20..2_000), 1 => Just(Span::MAX)];
    let fair = prop::option::of(prop::sample::select(vec!["org", "user"]));
    let queue = (1_u32..4, timeout, orders, fair).prop_map(|(size, timeout, order, fair)| {
        QueueSpec { size, timeout, order, fair: fair.map(Into::into) }
    });
    (prop::option::weighted(0.3, 1_u32..4), prop::option::weighted(0.5, queue))
}

fn groups(deployments: usize) -> impl Strategy<Value = Vec<GroupSpec>> {
    let member = (0_u32..6, 0_u8..3, prop::bool::weighted(0.7));
    let members = prop::collection::vec(member, deployments);
    let backoff = (millis(0..300), 1_u8..4, millis(300..1_000));
    let policy = (policies(), timeouts(), backoff, cooldowns());
    prop::collection::vec((members, policy, fallbacks(3), waits()), 1..4).prop_map(|groups| {
        let count = groups.len();
        groups
            .into_iter()
            .enumerate()
            .map(|(index, (members, policy, fallbacks, waits))| {
                let mut group = GroupSpec::new(format!("g{index}"));
                (group.in_flight, group.queue) = waits;
                let named = members.into_iter().enumerate().map(|(i, (weight, tier, there))| {
                    (MemberSpec { deployment: format!("d{i}"), weight, tier }, there || i == index)
                });
                group.members =
                    named.filter(|(_, there)| *there).map(|(member, _)| member).collect();
                if group.members.is_empty() {
                    let deployment = "d0".to_owned();
                    group.members.push(MemberSpec { deployment, weight: 1, tier: 0 });
                }
                if group.members.iter().all(|m| m.weight == 0) {
                    group.members[0].weight = 1;
                }
                let (policies, timeouts, (base, factor, max), cooldown) = policy;
                group.timeouts = timeouts;
                group.backoff = BackoffSpec { base, factor, max, ..BackoffSpec::default() };
                group.cooldown = cooldown;
                group.fallbacks = fallbacks;
                if index == 1 {
                    group.ladder = vec![RungSpec::Full, RungSpec::Static];
                }
                for list in [
                    &mut group.fallbacks.any,
                    &mut group.fallbacks.context_window,
                    &mut group.fallbacks.content_policy,
                ] {
                    list.retain(|name| (0..count).any(|index| *name == format!("g{index}")));
                }
                policies.adorn(&mut group);
                group
            })
            .collect()
    })
}

/// Peers that are never heard of.
fn peers() -> impl Strategy<Value = PeersSpec> {
    let policy = prop::sample::select(OnOutage::ALL.to_vec());
    (2_u16..4, millis(500..20_000), policy).prop_map(|(replicas, stale, on_outage)| PeersSpec {
        replicas,
        stale,
        on_outage,
    })
}

/// Random routers of at most five deployments and three groups.
pub fn specs() -> impl Strategy<Value = Spec> {
    let facts = (prop::bits::u8::masked(7), prop::option::of(1_u8..3), 0_u8..12);
    let context = prop::option::weighted(0.3, 60_u32..3_000);
    let deployment = (1_u8..4, prop::option::of(limits()), any::<bool>(), facts, context);
    let deployments = prop::collection::vec(deployment, 1..6);
    (deployments, prop::option::of(limits())).prop_flat_map(|(deployments, shared)| {
        let count = deployments.len();
        let budget = (prop::option::weighted(0.8, percent(0..=60)), 0_u32..4, 1_u64..12);
        let router = (millis(500..6_000), 1_u8..6, budget, 4_u32..64);
        let router = (router, prop::option::weighted(0.2, peers()));
        (router, groups(count), subjects()).prop_map(move |((router, peers), groups, subjects)| {
            let mut spec = Spec { groups, ..Spec::default() };
            let (deadline, attempts, (ratio, per_second, window), in_flight) = router;
            spec.router.deadline = deadline;
            spec.router.attempts = attempts;
            spec.router.retry_budget =
                RetryBudgetSpec { ratio, per_second, window: Span::from_secs(window) };
            spec.router.in_flight = in_flight;
            spec.router.priorities = ["now".to_owned(), "later".to_owned()].into();
            spec.router.retry_after_max = Span::from_secs(2);
            spec.limits = shared.iter().map(|limit| ("org".to_owned(), limit.clone())).collect();
            for (index, (keys, limit, shares, facts, context)) in deployments.iter().enumerate() {
                let mut deployment = DeploymentSpec::new(format!("d{index}"));
                deployment.keys = *keys;
                deployment.limit = limit.clone();
                deployment.adaptive = adaptive(*context);
                if *shares && shared.is_some() {
                    deployment.shared.push("org".to_owned());
                }
                let names = ["default", "paid", "fast"].into_iter().enumerate();
                let tags = names.filter(|(bit, _)| facts.0 & 1 << bit != 0);
                deployment.tags = tags.map(|(_, tag)| tag.to_owned()).collect();
                deployment.region = facts.1.map(|region| format!("r{region}"));
                deployment.breaker = match facts.2 {
                    0 => Some(BreakerMode::ForcedOpen),
                    1 => Some(BreakerMode::Observe),
                    2 => Some(BreakerMode::Disabled),
                    _ => None,
                };
                deployment.context = *context;
                spec.deployments.push(deployment);
            }
            subjects.adorn(&mut spec);
            spec.router.peers = peers;
            if Config::new(&spec).is_err() {
                // There is too little of some limit to divide.
                spec.router.peers = None;
            }
            spec
        })
    })
}

fn demands(groups: usize) -> impl Strategy<Value = Vec<Demand>> {
    let stream = prop_oneof![6 => Just(Ratio::ONE), 2 => Just(Ratio::ZERO), 2 => percent(1..=99)];
    let demand = (1.0..120.0_f64, 1_u64..5, stream, any::<bool>(), 1_u8..4);
    let patience = prop::option::weighted(0.3, millis(50..2_000));
    let wishes = (
        prop_oneof![3 => Just(0), 1 => 0_u64..8],
        prop_oneof![7 => Just(0), 1 => 0_u16..3],
        prop_oneof![Just(0), 1_u32..20],
        0_u8..3,
    );
    let demand = (demand, patience, prop::option::of(1_u32..400), (wishes, payers()));
    prop::collection::vec(demand, 1..=groups).prop_map(|demands| {
        let demands = demands.into_iter().enumerate();
        demands
            .map(|(index, (how, patience, output_max, (wishes, subjects)))| {
                let (rate, secs, stream, poisson, tries) = how;
                Demand {
                    name: format!("demand {index}"),
                    group: GroupId::at(index),
                    arrivals: if poisson {
                        let lasts = Span::from_secs(secs);
                        Arrivals::Poisson(vec![Segment { lasts, shape: Shape::Flat(rate) }])
                    } else {
                        // Round gaps: arrivals tie with each other and with timeouts.
                        let gap = Span::from_millis((1_000.0 / rate) as u64 + 1);
                        Arrivals::Constant { gap, count: secs * rate as u64 + 1 }
                    },
                    input: Lengths::LogNormal { median: 120.0, sigma: 1.0, max: 4_000 },
                    output: Lengths::LogNormal { median: 30.0, sigma: 1.0, max: 500 },
                    output_max,
                    stream,
                    tags: wishes.0,
                    region: wishes.1,
                    priority: wishes.3,
                    conversations: wishes.2,
                    repeats: None,
                    client: Client {
                        tries_max: tries,
                        backoff: Span::from_millis(50),
                        backoff_max: Span::from_millis(400),
                        jitter_from: Ratio::from_ppm(750_000),
                        retry_after_max: Span::from_secs(1),
                        timeout: Span::from_secs(3),
                    },
                    patience,
                    subjects,
                    properties: [Mix::NONE; 4],
                }
            })
            .collect()
    })
}

fn quotas() -> impl Strategy<Value = Quota> {
    let how = (any::<bool>(), 0_u8..3, 0_u8..3, prop::option::weighted(0.3, 0_u16..2));
    (rate(3..200), rate(500..60_000), how).prop_map(
        |(requests, tokens, (window, reserves, form, shared))| Quota {
            requests,
            tokens,
            algorithm: if window { Algorithm::Window } else { Algorithm::Bucket },
            reserves: [Reserves::Keeps(100), Reserves::Settles(100), Reserves::Nothing]
                [usize::from(reserves)],
            retry_after: [RetryAfter::Seconds, RetryAfter::Millis, RetryAfter::Absent]
                [usize::from(form)],
            // Sharers must agree on what they share, so only unbounded quotas are shared here.
            shared: if requests.is_none() && tokens.is_none() { shared } else { None },
            ..Quota::default()
        },
    )
}

fn providers(count: usize) -> impl Strategy<Value = Vec<Provider>> {
    let service = (millis(1..200), 0.0..1.0_f64, percent(0..=10), 0.0..0.2_f64, 0_u8..3);
    let concurrency = (prop::option::of(1_u32..10), 0_u32..8, any::<bool>(), any::<bool>());
    let context = prop::option::weighted(0.2, 200_u32..4_000);
    let kept = prop::option::weighted(0.3, (millis(1..3_000), 1_u32..300));
    let context = (context, kept);
    let provider = (service, concurrency, quotas(), percent(0..=30), any::<bool>(), context);
    prop::collection::vec(provider, count).prop_map(|providers| {
        let providers = providers.into_iter();
        providers
            .map(|((median, sigma, tail, growth, kind), places, quota, errors, stops, context)| {
                Provider {
                    connect: Span::from_millis(5),
                    service: match kind {
                        0 => Service::Exponential { mean: median },
                        1 => Service::Constant { time: median },
                        _ => Service::Tokens {
                            first_token: FirstToken {
                                median,
                                sigma,
                                tail,
                                tail_factor: 4.0,
                                tail_shape: 1.5,
                                max: Span::from_secs(20),
                                per_input_token: Span::from_micros(10),
                            },
                            per_token: PerToken {
                                median: Span::from_millis(5),
                                sigma: 0.2,
                                growth,
                            },
                        },
                    },
                    concurrency: places.0,
                    when_full: match (places.1, places.2) {
                        (0, _) => WhenFull::Refuse,
                        (bound, true) => WhenFull::Queue { bound, order: Order::Fifo },
                        (bound, false) => WhenFull::Queue { bound, order: Order::Lifo },
                    },
                    abandoned: if stops { Abandoned::Stops } else { Abandoned::RunsOn },
                    quota,
                    context: context.0,
                    prompt_cache: context.1.map(|(lasts, least)| PromptCache { lasts, least }),
                    errors,
                }
            })
            .collect()
    })
}

fn answer() -> impl Strategy<Value = Answer> {
    let after = prop_oneof![
        4 => millis(0..3_000),
        1 => (0_u64..3_000).prop_map(|n| Span::from_nanos(n * 999_999)),
        1 => (0_u64..9).prop_map(|days| Span::from_secs(days * 864_000)),
    ];
    let after = prop_oneof![
        5 => after.prop_map(ComeBack::In),
        1 => millis(0..5_000).prop_map(|at| ComeBack::At(Time::ZERO + at)),
    ];
    let should_retry = prop::option::weighted(0.2, any::<bool>());
    let fail = (0_usize..FailureKind::ALL.len(), prop::option::of(after), should_retry);
    prop::option::weighted(0.7, fail).prop_map(|fail| match fail {
        None => Answer::Ok,
        Some((kind, retry_after, should_retry)) => {
            Answer::Fail { status: 500, kind: FailureKind::ALL[kind], retry_after, should_retry }
        }
    })
}

/// What a fault may do.
pub fn effects() -> impl Strategy<Value = Effect> {
    prop_oneof![
        Just(Effect::Outage(Outage::Refuse)),
        Just(Effect::Outage(Outage::BlackHole)),
        Just(Effect::Outage(Outage::Status(503))),
        (percent(0..=80), 1.0..6.0_f64, 1.0..6.0_f64, millis(0..500)).prop_map(
            |(errors, first_token, per_token, delay)| {
                Effect::Brownout { errors, first_token, per_token, delay }
            }
        ),
        prop::option::of(millis(0..3_000)).prop_map(|retry_after| Effect::Storm { retry_after }),
        prop::collection::vec(answer(), 1..5).prop_map(Effect::Answers),
        (0_u32..60, bad_ends()).prop_map(|(after, end)| Effect::Breaks { after, end }),
        prop_oneof![Just(402), Just(429)].prop_map(Effect::QuotaSpent),
        prop::option::of(0_u8..3).prop_map(Effect::RevokedKey),
        Just(Effect::Garbage),
    ]
}

fn bad_ends() -> impl Strategy<Value = BadEnd> {
    prop_oneof![
        Just(BadEnd::Stall),
        Just(BadEnd::Cut),
        Just(BadEnd::Truncated),
        Just(BadEnd::Error(529)),
    ]
}

fn rhythms() -> impl Strategy<Value = Rhythm> {
    prop_oneof![
        3 => Just(Rhythm::Steady),
        1 => (millis(2..800), 1_u64..100).prop_map(|(period, percent)| {
            let on = Span::from_nanos(period.as_nanos() / 100 * percent);
            Rhythm::Flap { period, on }
        }),
        1 => (millis(1..800), millis(1..800)).prop_map(|(up, down)| Rhythm::Random { up, down }),
    ]
}

fn faults(deployments: usize) -> impl Strategy<Value = Vec<Fault>> {
    let times = (0_u64..4_000, prop::option::weighted(0.8, 1_u64..3_000));
    let fault = (prop::bits::u8::masked(31), times, percent(1..=100), effects(), rhythms());
    prop::collection::vec(fault, 0..4).prop_map(move |faults| {
        let faults = faults.into_iter().enumerate();
        faults
            .map(|(index, (mask, (from, lasts), of, effect, rhythm))| Fault {
                name: format!("fault {index}"),
                on: (0..deployments)
                    .filter(|d| mask & 1 << d != 0)
                    .map(router_core::DeploymentId::at)
                    .collect(),
                from: Time::from_nanos(from * 1_000_000),
                until: lasts.map(|lasts| Time::from_nanos((from + lasts) * 1_000_000)),
                rhythm,
                of,
                effect,
            })
            .collect()
    })
}

fn plans(spec: &Spec, seed: Seed) -> impl Strategy<Value = Plan> + use<> {
    let count = spec.deployments.len();
    (demands(spec.groups.len()), providers(count), faults(count)).prop_map(
        move |(demands, providers, faults)| Plan {
            seed,
            demands,
            providers,
            faults,
            app: None,
            cache: None,
            replicas: None,
            reloads: Vec::new(),
        },
    )
}
