//! Two attempts of one request at once.

use router_core::{Call, CallEnd};

use super::whole::busy;
use super::*;
use crate::{BYTES_PER_CALL, Outage};

/// A brain that sends every request to two deployments at once and serves what comes first.
#[derive(Clone, Debug)]
struct Hedger {
    to: [usize; 2],
    /// Whether the first failure ends the request, or the last.
    gives_up: bool,
    /// Of each request, which attempts are live.
    live: BTreeMap<RequestId, [bool; 2]>,
    committed: BTreeMap<RequestId, u8>,
    out: Vec<Output>,
}

impl Hedger {
    fn to(to: [usize; 2]) -> Self {
        let (live, committed, out) = Default::default();
        Self { to, gives_up: false, live, committed, out }
    }

    fn abandon(&mut self, request: RequestId, but: Option<u8>, why: Abandon) {
        for ordinal in [1, 2].into_iter().filter(|&ordinal| Some(ordinal) != but) {
            let live = &mut self.live.get_mut(&request).unwrap()[usize::from(ordinal) - 1];
            if std::mem::take(live) {
                self.out.push(Output::Abandon(AttemptId { request, ordinal }, why));
            }
        }
    }

    fn commit(&mut self, attempt: AttemptId) {
        if self.committed.insert(attempt.request, attempt.ordinal).is_none() {
            self.abandon(attempt.request, Some(attempt.ordinal), Abandon::Hedged);
            self.out.push(Output::Commit(attempt));
        }
    }

    fn finish(&mut self, request: RequestId, outcome: Outcome) {
        self.live.remove(&request);
        self.committed.remove(&request);
        self.out.push(Output::Finish(request, outcome));
    }
}

impl Brain for Hedger {
    fn handle(&mut self, _: Time, input: Input) -> Outputs<'_> {
        match input {
            Input::Submit(request) => {
                self.live.insert(request.id, [true; 2]);
                for (ordinal, to) in (1..).zip(self.to) {
                    self.out.push(Output::Dispatch(Dispatch {
                        attempt: AttemptId { request: request.id, ordinal },
                        group: GroupId::at(0),
                        deployment: DeploymentId::at(to),
                        key: 0,
                        cause: if ordinal == 1 { Cause::Primary } else { Cause::Hedge },
                        connect: Span::MAX,
                        heartbeat: Span::from_secs(1),
                    }));
                }
            }
            Input::Cancel(request) => {
                self.abandon(request, None, Abandon::Cancel);
                self.finish(request, Outcome::Cancel);
            }
            Input::Upstream(attempt, news) => {
                let request = attempt.request;
                let live = self.live.get_mut(&request).expect("no news of a request that is over");
                let this = &mut live[usize::from(attempt.ordinal) - 1];
                assert!(*this, "no news of an attempt that is over: {attempt}");
                match news {
                    Upstream::Connected | Upstream::Headers(_) | Upstream::Progress(_) => {}
                    Upstream::FirstToken => self.commit(attempt),
                    Upstream::Complete(usage) => {
                        *this = false;
                        self.commit(attempt);
                        self.finish(request, Outcome::Serve(attempt, usage));
                    }
                    Upstream::Fail(failure) => {
                        *this = false;
                        if self.gives_up || *live == [false; 2] {
                            self.abandon(request, None, Abandon::Cancel);
                            self.finish(request, Outcome::Exhaust(failure));
                        }
                    }
                }
            }
            Input::Tick | Input::Reconfigure(_) | Input::Peers(_) | Input::Drain => {}
        }
        Outputs::new(&mut self.out)
    }

    fn next_wakeup(&self) -> Option<Wakeup> {
        None
    }
}

fn run(plan: &Plan, brain: Hedger) -> World<Hedger, Log> {
    let mut world = World::new(plan, Driver::new(brain, Log::default()));
    world.run();
    assert_eq!(world.tally().in_flight, 0, "everything drains");
    world
}

fn told(plan: &Plan, brain: Hedger) -> Vec<String> {
    let world = run(plan, brain);
    world.journal().inputs.iter().map(|(ms, what)| format!("{ms} {what}")).collect()
}

#[test]
fn the_loser_says_nothing_more_and_holds_its_place_only_where_work_runs_on() {
    for (abandoned, second) in [
        (Abandoned::RunsOn, "1210 r2#1 server 503"),
        (Abandoned::Stops, "1310 r2#2 complete 10+11"),
    ] {
        let slow = Provider { concurrency: Some(1), abandoned, ..constant(300) };
        let mut plan = plan(demand(1000, 1), vec![slow, constant(100)]);
        plan.demands[0].arrivals = Arrivals::Trace(
            [1000, 1200]
                .map(|ms| crate::TraceRow {
                    at: Span::from_millis(ms),
                    input_tokens: 1,
                    output_tokens: 1,
                })
                .into(),
        );
        let told = told(&plan, Hedger::to([0, 1]));
        assert_eq!(told[..2], ["1000 submit r1", "1110 r1#2 complete 10+11"]);
        assert_eq!(told[3], second);
        assert!(!told.iter().any(|line| line.contains("r1#1")), "{told:?}");
        assert_eq!(told.last().unwrap(), "1310 r2#2 complete 10+11");
    }
}

#[test]
fn one_that_fails_leaves_the_other() {
    let mut plan = plan(demand(1000, 1), vec![constant(100), constant(300)]);
    plan.faults = vec![fault(0, 5000, Effect::Outage(Outage::Status(500)))];
    assert_eq!(
        told(&plan, Hedger::to([0, 1])),
        ["1000 submit r1", "1010 r1#1 server 500", "1310 r1#2 complete 10+11"]
    );
    let calls = run(&plan, Hedger::to([0, 1])).journal().calls.clone();
    assert!(matches!(calls[0], Call { attempts: 2, end: CallEnd::Answered(_), .. }), "{calls:?}");
}

#[test]
fn of_two_that_end_at_one_instant_the_first_wins_and_the_second_is_not_heard() {
    let plan = plan(demand(1000, 1), vec![constant(100), constant(100)]);
    assert_eq!(told(&plan, Hedger::to([0, 1])), ["1000 submit r1", "1110 r1#1 complete 10+11"]);
}

#[test]
fn two_that_an_outage_breaks_are_each_told_of_unless_one_was_dropped_meanwhile() {
    let mut plan = plan(demand(1000, 1), vec![constant(1000)]);
    plan.faults = vec![fault(1500, 1600, Effect::Outage(Outage::Refuse))];
    let both = ["1000 submit r1", "1500 r1#1 reset 0", "1500 r1#2 reset 0"];
    assert_eq!(told(&plan, Hedger::to([0, 0])), both);
    let brain = Hedger { gives_up: true, ..Hedger::to([0, 0]) };
    assert_eq!(told(&plan, brain), both[..2]);
}

#[test]
fn a_busy_world_of_hedges_drains_and_is_one_run() {
    for abandoned in [Abandoned::RunsOn, Abandoned::Stops] {
        let mut plan = busy(1);
        plan.providers.iter_mut().for_each(|provider| provider.abandoned = abandoned);
        plan.faults.push(fault(30_000, 31_000, Effect::Outage(Outage::Refuse)));
        let [a, b] = [0, 0].map(|_| run(&plan, Hedger::to([0, 1])));
        assert!(a.journal() == b.journal() && a.tally() == b.tally());
        let tally = a.tally();
        assert_eq!(tally.dispatched, 2 * tally.submissions);
        assert_eq!(tally.calls, tally.answered + tally.failed + tally.left);
        assert!(tally.answered > 500 && tally.left > 0 && a.fired()[1] > 0, "{tally:?}");
    }
}

#[test]
fn a_call_in_flight_takes_128_bytes() {
    assert_eq!(BYTES_PER_CALL, 128);
}
