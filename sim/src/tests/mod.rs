//! The world as a router sees it: against a small scripted brain.

mod app;
mod breaks;
mod cache;
mod client;
mod fault;
mod hedge;
mod provider;
mod response;
mod whole;

use std::collections::BTreeMap;

use router_core::{
    Abandon, AttemptId, Brain, Cached, Call, Cause, DeploymentId, Dispatch, Driver, Failure,
    FailureKind, GroupId, Input, Journal, Outcome, Output, Outputs, Rate, Ratio, RequestId, Seed,
    Span, Time, TimerKind, Upstream, Wakeup,
};

use crate::{
    Abandoned, Arrivals, Client, Demand, Effect, Fault, Lengths, Mix, Plan, Provider, Quota,
    Rhythm, Service, WhenFull, World,
};

/// A brain that does what it is told: attempt `n` of a request goes to deployment `to[n - 1]`
/// (the last, if there are no more), at once, until `to` is used up.
#[derive(Clone, Debug)]
pub(super) struct Script {
    pub(super) to: Vec<usize>,
    /// Which key.
    pub(super) key: u8,
    /// Connect timeout.
    pub(super) connect: Span,
    /// Total timeout.
    pub(super) total: Span,
    pub(super) heartbeat: Span,
    flights: BTreeMap<RequestId, Flight>,
    out: Vec<Output>,
}

#[derive(Clone, Copy, Debug)]
struct Flight {
    ordinal: u8,
    since: Time,
    connected: bool,
    committed: bool,
}

impl Script {
    pub(super) fn to(to: &[usize]) -> Self {
        Self {
            to: to.to_vec(),
            key: 0,
            connect: Span::from_secs(5),
            total: Span::from_secs(3600),
            heartbeat: Span::from_secs(10),
            flights: BTreeMap::new(),
            out: Vec::new(),
        }
    }

    fn dispatch(&mut self, now: Time, request: RequestId, ordinal: u8) {
        let flight = Flight { ordinal, since: now, connected: false, committed: false };
        self.flights.insert(request, flight);
        let to = self.to.get(usize::from(ordinal) - 1).or_else(|| self.to.last()).unwrap();
        self.out.push(Output::Dispatch(Dispatch {
            attempt: AttemptId { request, ordinal },
            group: GroupId::at(0),
            deployment: DeploymentId::at(*to),
            key: self.key,
            cause: Cause::Primary,
            connect: self.connect,
            heartbeat: self.heartbeat,
        }));
    }

    fn finish(&mut self, request: RequestId, outcome: Outcome) {
        self.flights.remove(&request);
        self.out.push(Output::Finish(request, outcome));
    }

    fn fail(&mut self, now: Time, request: RequestId, flight: Flight, failure: Failure) {
        if usize::from(flight.ordinal) < self.to.len() && !flight.committed {
            self.dispatch(now, request, flight.ordinal + 1);
        } else {
            self.finish(request, Outcome::Exhaust(failure));
        }
    }

    fn news(&mut self, now: Time, attempt: AttemptId, news: Upstream) {
        let request = attempt.request;
        let flight = self.flights.get_mut(&request).expect("no news of a request that is over");
        assert_eq!(flight.ordinal, attempt.ordinal, "no news of an attempt that is over");
        flight.connected = true;
        let committed = flight.committed;
        match news {
            Upstream::Connected | Upstream::Headers(_) | Upstream::Progress(_) => {}
            Upstream::FirstToken => {
                flight.committed = true;
                self.out.push(Output::Commit(attempt));
            }
            Upstream::Complete(usage) => {
                if !committed {
                    self.out.push(Output::Commit(attempt));
                }
                self.finish(request, Outcome::Serve(attempt, usage));
            }
            Upstream::Fail(failure) => {
                let flight = *flight;
                self.fail(now, request, flight, failure);
            }
        }
    }

    fn deadline(&self, flight: &Flight) -> (Time, Abandon) {
        let total = (flight.since + self.total, Abandon::Total);
        let connect = (flight.since + self.connect, Abandon::Connect);
        if flight.connected || total.0 <= connect.0 { total } else { connect }
    }

    fn tick(&mut self, now: Time) {
        let due: Vec<_> = self
            .flights
            .iter()
            .map(|(&request, flight)| (request, *flight, self.deadline(flight)))
            .filter(|&(.., (at, _))| at <= now)
            .collect();
        for (request, flight, (_, why)) in due {
            let attempt = AttemptId { request, ordinal: flight.ordinal };
            self.out.push(Output::Abandon(attempt, why));
            let connect = why == Abandon::Connect;
            let kind = if connect { FailureKind::Connect } else { FailureKind::Total };
            self.fail(now, request, flight, Failure::new(kind, 504));
        }
    }
}

impl Brain for Script {
    fn handle(&mut self, now: Time, input: Input) -> Outputs<'_> {
        match input {
            Input::Submit(request) if request.cached == Cached::Fresh => {
                self.finish(request.id, Outcome::Cached { stale: false });
            }
            Input::Submit(request) => self.dispatch(now, request.id, 1),
            Input::Cancel(request) => {
                let ordinal = self.flights[&request].ordinal;
                let attempt = AttemptId { request, ordinal };
                self.out.push(Output::Abandon(attempt, Abandon::Cancel));
                self.finish(request, Outcome::Cancel);
            }
            Input::Upstream(attempt, news) => self.news(now, attempt, news),
            Input::Tick => self.tick(now),
            Input::Reconfigure(_) | Input::Peers(_) | Input::Drain => {}
        }
        Outputs::new(&mut self.out)
    }

    fn next_wakeup(&self) -> Option<Wakeup> {
        let at = self.flights.values().map(|flight| self.deadline(flight).0).min()?;
        Some(Wakeup { at, reason: TimerKind::Total })
    }
}

/// Everything that passed, as text, and how each call ended.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Log {
    pub(super) inputs: Vec<(u64, String)>,
    pub(super) calls: Vec<Call>,
}

impl Journal for Log {
    fn input(&mut self, now: Time, input: &Input) {
        let text = match input {
            Input::Submit(request) => format!("submit {}", request.id),
            Input::Cancel(request) => format!("cancel {request}"),
            Input::Upstream(attempt, Upstream::Fail(failure)) => {
                let wait = failure.retry_after.map_or(String::new(), |w| format!(" after {w}"));
                let again =
                    failure.should_retry.map_or("", |yes| if yes { " again" } else { " no" });
                let billed = failure.usage.map_or(String::new(), |usage| {
                    format!(" for {}+{}", usage.input_tokens, usage.output_tokens)
                });
                let (kind, status) = (failure.kind.name(), failure.status);
                format!("{attempt} {kind} {status}{wait}{again}{billed}")
            }
            Input::Upstream(attempt, Upstream::Complete(usage)) => {
                format!("{attempt} complete {}+{}", usage.input_tokens, usage.output_tokens)
            }
            Input::Upstream(attempt, news) => format!("{attempt} {news:?}"),
            Input::Tick | Input::Reconfigure(_) | Input::Peers(_) | Input::Drain => {
                format!("{input:?}")
            }
        };
        self.inputs.push((now.as_nanos() / 1_000_000, text));
    }

    fn output(&mut self, _: Time, _: &Output) {}

    fn call(&mut self, _: Time, call: &Call) {
        self.calls.push(*call);
    }
}

/// `count` calls, one each `gap_ms`, the first at that time; ten tokens in, eleven out.
pub(super) fn demand(gap_ms: u64, count: u64) -> Demand {
    Demand {
        name: "chat".into(),
        group: GroupId::at(0),
        arrivals: Arrivals::Constant { gap: Span::from_millis(gap_ms), count },
        input: Lengths::Fixed(10),
        output: Lengths::Fixed(11),
        output_max: None,
        stream: Ratio::ONE,
        tags: 0,
        region: 0,
        priority: 0,
        conversations: 0,
        repeats: None,
        client: Client::ONCE,
        patience: None,
        subjects: [Mix::NONE; 4],
        properties: [Mix::NONE; 4],
    }
}

/// 10 ms to connect, then exactly `ms`, whole at once.
pub(super) fn constant(ms: u64) -> Provider {
    Provider {
        connect: Span::from_millis(10),
        service: Service::Constant { time: Span::from_millis(ms) },
        concurrency: None,
        when_full: WhenFull::Refuse,
        abandoned: Abandoned::Stops,
        quota: Quota::default(),
        context: None,
        prompt_cache: None,
        errors: Ratio::ZERO,
    }
}

pub(super) fn plan(demand: Demand, providers: Vec<Provider>) -> Plan {
    Plan {
        seed: Seed::from_u64(7),
        demands: vec![demand],
        providers,
        faults: Vec::new(),
        app: None,
        cache: None,
        replicas: None,
        reloads: Vec::new(),
    }
}

/// On deployment 0, from and until these milliseconds, for everyone.
pub(super) fn fault(from_ms: u64, until_ms: u64, effect: Effect) -> Fault {
    Fault {
        name: "trouble".into(),
        on: vec![DeploymentId::at(0)],
        from: Time::ZERO + Span::from_millis(from_ms),
        until: Some(Time::ZERO + Span::from_millis(until_ms)),
        rhythm: Rhythm::Steady,
        of: Ratio::ONE,
        effect,
    }
}

/// Runs to the end.
pub(super) fn run(plan: &Plan, brain: Script) -> World<Script, Log> {
    let mut world = World::new(plan, Driver::new(brain, Log::default()));
    world.run();
    assert_eq!(world.tally().in_flight, 0, "everything drains");
    world
}

/// What the router was told, as `milliseconds what`.
pub(super) fn told(plan: &Plan, brain: Script) -> Vec<String> {
    let world = run(plan, brain);
    world.journal().inputs.iter().map(|(ms, what)| format!("{ms} {what}")).collect()
}
