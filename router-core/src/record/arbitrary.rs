//! Arbitrary events for property tests. `Reconfigure` is not among them: a record names a
//! configuration, it does not hold one.

use proptest::array::{uniform2, uniform4};
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;

use crate::{
    Abandon, AttemptId, BreakerState, Cached, Cause, Consumption, DeploymentId, Dispatch, End,
    Failure, FailureKind, GiveUp, GroupId, Hold, Input, Level, LimitId, Measure, Observation,
    Outcome, Output, Quota, Reason, Rejection, Request, RequestId, Rung, Span, Time, Turn,
    Upstream, Usage, Wait,
};

fn requests() -> impl Strategy<Value = RequestId> {
    any::<u64>().prop_map(RequestId::from_u64)
}

fn attempts() -> impl Strategy<Value = AttemptId> {
    (requests(), any::<u8>()).prop_map(|(request, ordinal)| AttemptId { request, ordinal })
}

fn times() -> impl Strategy<Value = Time> {
    any::<u64>().prop_map(Time::from_nanos)
}

fn spans() -> impl Strategy<Value = Span> {
    prop_oneof![
        any::<u64>().prop_map(Span::from_nanos),
        (0_u64..100_000).prop_map(Span::from_millis),
        Just(Span::MAX)
    ]
}

fn groups() -> impl Strategy<Value = GroupId> {
    (0_usize..64).prop_map(GroupId::at)
}

fn deployments() -> impl Strategy<Value = DeploymentId> {
    (0_usize..4096).prop_map(DeploymentId::at)
}

fn usages() -> impl Strategy<Value = Usage> {
    any::<[u32; 3]>().prop_map(|[input_tokens, cached_tokens, output_tokens]| Usage {
        input_tokens,
        cached_tokens,
        output_tokens,
    })
}

fn kinds() -> impl Strategy<Value = FailureKind> {
    select(&FailureKind::ALL)
}

fn failures() -> impl Strategy<Value = Failure> {
    (kinds(), any::<u16>(), of(spans()), any::<Option<bool>>(), of(usages())).prop_map(
        |(kind, status, retry_after, should_retry, usage)| Failure {
            kind,
            status,
            retry_after,
            should_retry,
            usage,
        },
    )
}

fn submissions() -> impl Strategy<Value = Request> {
    let cached = select(&[Cached::None, Cached::Stale, Cached::Fresh]);
    let labels = (uniform4(any::<u32>()), uniform4(any::<u16>()), any::<u64>(), any::<u64>());
    let sizes = (any::<u32>(), any::<Option<u32>>(), any::<bool>(), any::<u16>(), any::<u8>());
    (requests(), groups(), labels, sizes, of(times()), cached).prop_map(
        |(id, group, labels, sizes, deadline, cached)| {
            let (subjects, properties, tags, affinity) = labels;
            let (input_tokens, output_max, stream, region, priority) = sizes;
            Request {
                id,
                group,
                subjects,
                properties,
                input_tokens,
                output_max,
                stream,
                tags,
                region,
                priority,
                deadline,
                affinity,
                cached,
            }
        },
    )
}

fn news() -> impl Strategy<Value = Upstream> {
    prop_oneof![
        Just(Upstream::Connected),
        any::<[Option<u32>; 2]>().prop_map(|[requests_left, tokens_left]| Upstream::Headers(
            Quota { requests_left, tokens_left }
        )),
        Just(Upstream::FirstToken),
        any::<u32>().prop_map(Upstream::Progress),
        usages().prop_map(Upstream::Complete),
        failures().prop_map(Upstream::Fail),
    ]
}

fn consumptions() -> impl Strategy<Value = Consumption> {
    prop_oneof![
        (any::<u16>(), 0_usize..4096, any::<[u64; 3]>()).prop_map(
            |(replica, limit, [requests, input_tokens, output_tokens])| Consumption::Used {
                replica,
                limit: LimitId::at(limit),
                requests,
                input_tokens,
                output_tokens,
            }
        ),
        any::<u16>().prop_map(|replica| Consumption::Alive { replica }),
        (0_usize..4096, any::<[u64; 3]>()).prop_map(
            |(limit, [requests, input_tokens, output_tokens])| Consumption::Own {
                limit: LimitId::at(limit),
                requests,
                input_tokens,
                output_tokens,
            }
        ),
        (any::<(u16, u8, u32)>(), times(), any::<[u64; 3]>()).prop_map(
            |((replica, kind, subject), since, [requests, input_tokens, output_tokens])| {
                Consumption::Taken {
                    replica,
                    kind,
                    subject,
                    since,
                    requests,
                    input_tokens,
                    output_tokens,
                }
            }
        ),
        (any::<(u16, u8, u32)>(), any::<(u8, u64, u64)>()).prop_map(
            |((replica, kind, subject), (budget, period, spent))| Consumption::Spent {
                replica,
                kind,
                subject,
                budget,
                period,
                spent,
            }
        ),
        (deployments(), any::<Option<u8>>(), spans(), any::<bool>()).prop_map(
            |(deployment, key, remaining, asked)| Consumption::Resting {
                deployment,
                key,
                remaining,
                asked
            }
        ),
    ]
}

/// Every kind of input but `Reconfigure`.
pub(crate) fn inputs() -> impl Strategy<Value = Input> {
    prop_oneof![
        submissions().prop_map(Input::Submit),
        requests().prop_map(Input::Cancel),
        (attempts(), news()).prop_map(|(attempt, news)| Input::Upstream(attempt, news)),
        Just(Input::Tick),
        consumptions().prop_map(Input::Peers),
        Just(Input::Drain),
    ]
}

fn causes() -> impl Strategy<Value = Cause> {
    use Cause::{Degraded, Fallback, Hedge, Panic, Primary, Probe, Retry, Standby};
    select(&[Primary, Retry, Fallback, Hedge, Probe, Standby, Panic, Degraded])
}

fn abandons() -> impl Strategy<Value = Abandon> {
    use Abandon::{Cancel, Connect, Deadline, FirstToken, Hedged, Idle, Total};
    select(&[Cancel, Connect, FirstToken, Idle, Total, Deadline, Hedged])
}

fn dispatches() -> impl Strategy<Value = Dispatch> {
    (attempts(), groups(), deployments(), any::<u8>(), causes(), uniform2(spans())).prop_map(
        |(attempt, group, deployment, key, cause, [connect, heartbeat])| Dispatch {
            attempt,
            group,
            deployment,
            key,
            cause,
            connect,
            heartbeat,
        },
    )
}

fn outcomes() -> impl Strategy<Value = Outcome> {
    let rejections = prop_oneof![
        Just(Rejection::Drain),
        of(times()).prop_map(Rejection::NoDeployment),
        Just(Rejection::Full),
        Just(Rejection::Duplicate),
        Just(Rejection::TooLong),
        (0_u8..4, select(&Measure::ALL), of(times()))
            .prop_map(|(kind, what, earliest)| Rejection::Subject { kind, what, earliest }),
        (0_u8..4, of(times())).prop_map(|(kind, earliest)| Rejection::Budget { kind, earliest }),
        Just(Rejection::Accounts),
        prop_oneof![
            Just(Rejection::GroupFull),
            times().prop_map(Rejection::QueueFull),
            times().prop_map(Rejection::QueueTimeout),
            times().prop_map(Rejection::Shed),
        ],
    ];
    prop_oneof![
        (attempts(), usages()).prop_map(|(attempt, usage)| Outcome::Serve(attempt, usage)),
        (attempts(), usages()).prop_map(|(attempt, usage)| Outcome::Partial(attempt, usage)),
        failures().prop_map(Outcome::Exhaust),
        rejections.prop_map(Outcome::Reject),
        Just(Outcome::Expire),
        Just(Outcome::Cancel),
        any::<bool>().prop_map(|stale| Outcome::Cached { stale }),
        Just(Outcome::Static),
    ]
}

fn rungs() -> impl Strategy<Value = Rung> {
    prop_oneof![select(&[Rung::Fresh, Rung::Stale, Rung::Static]), groups().prop_map(Rung::Group),]
}

fn choices() -> impl Strategy<Value = Observation> {
    let waits = select(&[Wait::Backoff, Wait::RetryAfter, Wait::Eligible]);
    prop_oneof![
        (attempts(), groups(), select(&Reason::ALL), any::<u64>()).prop_map(
            |(attempt, group, reason, mask)| Observation::Excluded { attempt, group, reason, mask }
        ),
        (attempts(), groups(), deployments(), any::<u64>()).prop_map(
            |(attempt, group, deployment, eligible)| Observation::Selected {
                attempt,
                group,
                deployment,
                eligible,
            }
        ),
        (attempts(), groups(), of(times())).prop_map(|(attempt, group, earliest)| {
            Observation::Stranded { attempt, group, earliest }
        }),
        (attempts(), times(), waits, deployments(), kinds()).prop_map(
            |(attempt, until, why, deployment, failure)| Observation::Waiting {
                attempt,
                until,
                why,
                deployment,
                failure,
            }
        ),
        (requests(), groups(), any::<u8>(), any::<u32>()).prop_map(
            |(request, group, class, ahead)| Observation::Queued { request, group, class, ahead }
        ),
        (requests(), groups(), any::<u8>(), spans()).prop_map(|(request, group, class, waited)| {
            Observation::Dequeued { request, group, class, waited }
        }),
    ]
}

fn ends() -> impl Strategy<Value = Observation> {
    let ends = prop_oneof![
        Just(End::Answered),
        kinds().prop_map(End::Failed),
        abandons().prop_map(End::Abandoned),
    ];
    use GiveUp::{Attempts, Budget, Committed, Deadline, Drain, Final, Retries, Stranded, Subject};
    let whys =
        select(&[Final, Committed, Attempts, Retries, Budget, Deadline, Stranded, Drain, Subject]);
    prop_oneof![
        (attempts(), groups(), deployments(), ends, of(spans()), spans(), usages()).prop_map(
            |(attempt, group, deployment, end, first_token, elapsed, usage)| Observation::Ended {
                attempt,
                group,
                deployment,
                end,
                first_token,
                elapsed,
                usage,
            }
        ),
        (requests(), rungs()).prop_map(|(request, rung)| Observation::Stepped { request, rung }),
        (requests(), whys).prop_map(|(request, why)| Observation::GaveUp { request, why }),
        (requests(), groups(), any::<u8>(), of(spans()), spans()).prop_map(
            |(request, group, attempts, first_token, elapsed)| Observation::Closed {
                request,
                group,
                attempts,
                first_token,
                elapsed,
            }
        ),
        (attempts(), any::<bool>())
            .prop_map(|(attempt, corrected)| Observation::Late { attempt, corrected }),
    ]
}

fn breakers() -> impl Strategy<Value = Observation> {
    let state = (select(&BreakerState::ALL), select(&Turn::ALL), of(times()));
    (groups(), deployments(), state, any::<u8>(), any::<bool>()).prop_map(
        |(group, deployment, (to, why, until), streak, enforced)| Observation::Breaker {
            group,
            deployment,
            to,
            why,
            until,
            streak,
            enforced,
        },
    )
}

fn health() -> impl Strategy<Value = Observation> {
    prop_oneof![
        (deployments(), any::<Option<u8>>(), times(), kinds(), any::<u8>()).prop_map(
            |(deployment, key, until, failure, streak)| Observation::Rested {
                deployment,
                key,
                until,
                failure,
                streak,
            }
        ),
        breakers(),
        (deployments(), any::<u32>())
            .prop_map(|(deployment, limit)| Observation::Concurrency { deployment, limit }),
        (attempts(), select(&Hold::ALL))
            .prop_map(|(attempt, why)| Observation::Held { attempt, why }),
        (deployments(), groups())
            .prop_map(|(deployment, group)| Observation::Spared { deployment, group }),
        (deployments(), any::<u8>(), kinds())
            .prop_map(|(deployment, key, failure)| Observation::Page { deployment, key, failure }),
        Just(Observation::Misfit),
        deployments().prop_map(|deployment| Observation::Drained { deployment }),
        (0_u8..4, any::<u32>(), 0_u8..2, select(&[Level::Soft, Level::Hard]), any::<u64>())
            .prop_map(|(kind, subject, budget, level, spent)| Observation::Budget {
                kind,
                subject,
                budget,
                level,
                spent,
            }),
    ]
}

/// Every kind of output.
pub(crate) fn outputs() -> impl Strategy<Value = Output> {
    prop_oneof![
        2 => dispatches().prop_map(Output::Dispatch),
        1 => (attempts(), abandons()).prop_map(|(attempt, why)| Output::Abandon(attempt, why)),
        1 => attempts().prop_map(Output::Commit),
        2 => (requests(), outcomes()).prop_map(|(request, outcome)| Output::Finish(request, outcome)),
        2 => choices().prop_map(Output::Observe),
        2 => ends().prop_map(Output::Observe),
        1 => health().prop_map(Output::Observe),
    ]
}
