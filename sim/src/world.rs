//! The world: one agenda, one clock, one router.

use std::collections::VecDeque;
use std::sync::Arc;

use router_core::{
    Abandon, Anew, AttemptId, Brain, Call, CallEnd, Dispatch, Driver, Effects, Input, Journal,
    Observation, Outcome, Purpose, Request, RequestId, Rung, Time, Wakeup,
};

use crate::agenda::{Agenda, Due};
use crate::app::{App, AppLog, Entry, Turn};
use crate::attempt::Attempt;
use crate::attempt::{Ask, News};
use crate::client::{Clients, Slot, Verdict};
use crate::plan::{Plan, Reload};
use crate::provider::Providers;
use crate::response::{CacheLog, Responses, Way};
use crate::slab::Link;

/// Totals of a run so far.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Tally {
    /// Events of the world, wake-ups of the router included.
    pub events: u64,
    /// Of these, wake-ups.
    pub ticks: u64,
    /// Calls that users began.
    pub calls: u64,
    /// Requests that their clients submitted, each try counted.
    pub submissions: u64,
    /// Attempts that the router dispatched.
    pub dispatched: u64,
    /// Calls answered in full, by whatever rung of a ladder.
    pub answered: u64,
    /// Calls answered with a static text.
    pub fixed: u64,
    /// Calls answered in part.
    pub partial: u64,
    /// Calls that failed.
    pub failed: u64,
    /// Calls whose user left.
    pub left: u64,
    /// Calls not over yet.
    pub in_flight: u32,
    /// The most of them at once.
    pub in_flight_peak: u32,
}

/// What a call in flight takes of the world's tables, in bytes: the call, its attempt, the entry
/// in the agenda and two buckets of the index, which is at least half used after growth. What the
/// router takes for it comes on top ([`router_core::Router::BYTES_PER_REQUEST`]).
pub const BYTES_PER_CALL: usize =
    size_of::<Slot>() + size_of::<Attempt>() + size_of::<u128>() + 2 * size_of::<u32>();

/// A world and the router in it, ready to run.
///
/// It is over once the last arrival has come and every call has ended: what a provider still
/// works on for nobody, or a fault yet to begin, can change nothing for anyone.
#[derive(Clone, Debug)]
pub struct World<B, J> {
    driver: Driver<B, J>,
    net: Net,
    /// Beside the agenda, so that it can move without leaving stale events behind.
    wakeup: Option<Wakeup>,
    now: Time,
    horizon: Time,
    /// Ticks in a row at the same instant.
    stuck: u32,
}

/// A router that asks more often to be woken at an instant that it was just woken at is broken.
const STUCK: u32 = 100_000;

impl<B: Brain, J: Journal> World<B, J> {
    /// The world of `plan`, at time zero, routed by `driver`.
    ///
    /// # Panics
    /// If a quota's rate is of nothing or per no time. While running: if the router dispatches
    /// a request that is not in flight or to a deployment without a provider, if a trace goes back
    /// in time, if the router never stops asking to be woken at one instant, or beyond 2^24 calls
    /// at once (see [`Self::is_crowded`]).
    pub fn new(plan: &Plan, driver: Driver<B, J>) -> Self {
        let mut agenda = Agenda::new();
        let providers = Providers::new(plan);
        for (fault, at) in providers.faults.beginnings() {
            agenda.schedule(at, Due::Fault(fault));
        }
        for (index, reload) in plan.reloads.iter().enumerate() {
            agenda.schedule(reload.at, Due::Reload(index as u32));
        }
        let clients = Clients::new(plan, &mut agenda);
        let wakeup = driver.brain().next_wakeup();
        let key = plan.seed.key(Purpose::Client);
        let app = plan.app.map(|app| App::new(app, key, &mut agenda));
        let net = Net {
            agenda,
            clients,
            providers,
            app,
            responses: plan.cache.map(Responses::new),
            reloads: plan.reloads.clone(),
            cut: VecDeque::new(),
            restart: None,
            tally: Tally::default(),
            over: Vec::new(),
        };
        Self { driver, net, wakeup, now: Time::ZERO, horizon: plan.horizon(), stuck: 0 }
    }

    /// Handles one event; `false` when the world is over.
    ///
    /// All news of an instant, and all arrivals, go before the router's wake-up of that instant.
    pub fn step(&mut self) -> bool {
        let urgent = if self.net.is_urgent() { self.urgent() } else { None };
        let input = if let Some(input) = urgent {
            input
        } else if self.net.is_over() {
            return false;
        } else {
            match (self.net.agenda.peek(), self.wakeup) {
                (None, None) => return false,
                (Some(at), wakeup) if wakeup.is_none_or(|wakeup| at <= wakeup.at) => {
                    let (at, due) = self.net.agenda.pop().expect("an event was just seen");
                    (self.now, self.stuck) = (at, 0);
                    self.net.due(at, due, self.driver.brain())
                }
                (_, Some(Wakeup { at, .. })) => {
                    self.stuck = if at <= self.now { self.stuck + 1 } else { 0 };
                    assert!(self.stuck < STUCK, "the router never stops waking at {}", self.now);
                    self.now = self.now.max(at);
                    self.net.tally.ticks += 1;
                    Some(Input::Tick)
                }
                (Some(_), None) => unreachable!("without a wake-up the agenda goes first"),
            }
        };
        self.net.tally.events += 1;
        if let Some(input) = input {
            self.wakeup = self.driver.step(self.now, input, &mut self.net);
        }
        for call in self.net.over.drain(..) {
            self.driver.call(self.now, &call);
        }
        true
    }

    /// What goes before everything in the agenda, and what it means for the router; `None` if there
    /// was nothing.
    #[cold]
    fn urgent(&mut self) -> Option<Option<Input>> {
        if let Some(news) = self.net.providers.tell_broken() {
            return Some(Some(self.net.tell(news)));
        }
        if let Some(turn) = self.net.app.as_mut().and_then(|app| app.turns.pop_front()) {
            return Some(self.net.take(self.now, turn));
        }
        if let Some(input) = self.net.next_ready() {
            return Some(Some(input));
        }
        let anew = self.net.restart?;
        if let Some(request) = self.net.cut.pop_front() {
            self.driver.cut(self.now, request, anew);
            return Some(self.net.cancel(self.now, request));
        }
        self.net.restart = None;
        self.driver.restart(self.now, anew);
        self.wakeup = self.driver.brain().next_wakeup();
        Some(None)
    }

    /// Handles up to `events` of them; `false` when the world is over.
    pub fn step_many(&mut self, events: u64) -> bool {
        (0..events).all(|_| self.step())
    }

    /// Runs to the end.
    pub fn run(&mut self) {
        while self.step() {}
    }

    /// Whether there are nearly as many calls at once as a world can number: 2^24, less 2^16. A
    /// caller looks from time to time and stops; running on panics.
    pub fn is_crowded(&self) -> bool {
        let (calls, attempts) = (self.net.clients.seats(), self.net.providers.seats());
        calls.max(attempts) >= (1 << 24) - (1 << 16)
    }

    /// The time of the latest event.
    pub const fn now(&self) -> Time {
        self.now
    }

    /// How far the run is: the time of the latest event, and when the last call may arrive.
    /// The world may go on for a while after that, until every call is over.
    pub const fn progress(&self) -> (Time, Time) {
        (self.now, self.horizon)
    }

    /// Totals so far.
    pub fn tally(&self) -> Tally {
        let in_flight = self.net.clients.live;
        Tally { in_flight, ..self.net.tally }
    }

    /// How often each fault of the plan touched a call so far.
    pub fn fired(&self) -> Vec<u64> {
        self.net.providers.faults.fired().collect()
    }

    /// What became of the application so far; `None` if the plan has none.
    pub fn app(&self) -> Option<&AppLog> {
        self.net.app.as_ref().map(|app| &app.log)
    }

    /// What became of the response cache so far; `None` if the plan has none.
    pub fn cache(&self) -> Option<&CacheLog> {
        self.net.responses.as_ref().map(|responses| &responses.log)
    }

    /// The router and its journal.
    pub const fn driver(&self) -> &Driver<B, J> {
        &self.driver
    }

    /// What the journal holds.
    pub const fn journal(&self) -> &J {
        self.driver.journal()
    }

    /// Takes the router and its journal out, at the end.
    pub fn into_driver(self) -> Driver<B, J> {
        self.driver
    }
}

/// Everything outside the router: what its outputs act on.
#[derive(Clone, Debug)]
struct Net {
    agenda: Agenda,
    clients: Clients,
    providers: Providers,
    app: Option<App>,
    responses: Option<Responses>,
    reloads: Vec<Reload>,
    /// Requests whose connections are cut, since the router is about to be started anew; whether
    /// what it has learned is kept.
    cut: VecDeque<RequestId>,
    restart: Option<Anew>,
    tally: Tally,
    /// Calls that ended in this step, until the journal is told.
    over: Vec<Call>,
}

impl Net {
    const fn is_over(&self) -> bool {
        self.clients.live == 0 && self.clients.expected == 0
    }

    /// What an event means for the router, if anything.
    fn due(&mut self, now: Time, due: Due, brain: &impl Brain) -> Option<Input> {
        let verdict = match due {
            Due::Fault(fault) => {
                if let Some(anew) = self.providers.faults.restart(fault) {
                    let has = |id| anew.replica.is_none_or(|one| brain.replica_of(id) == one);
                    self.cut = self.clients.sever(has);
                    self.restart = Some(anew);
                    self.providers.faults.restarted(fault, self.cut.len());
                }
                if let (true, Some(responses)) =
                    (self.providers.faults.flushes(fault), &mut self.responses)
                {
                    let answers = responses.flush();
                    self.providers.faults.flushed(fault, answers);
                }
                self.providers.strike(now, &mut self.agenda, fault);
                return None;
            }
            Due::App(event) => {
                if let Some(app) = &mut self.app {
                    app.due(now, &mut self.agenda, event);
                }
                return None;
            }
            Due::Reload(index) => {
                let Reload { config, named, .. } = &self.reloads[index as usize];
                self.clients.renumber(named);
                return Some(Input::Reconfigure(Arc::clone(config)));
            }
            Due::News(slot) => {
                let news = self.providers.news(now, &mut self.agenda, slot)?;
                return Some(self.tell(news));
            }
            Due::Arrival(demand) => {
                let slot = self.clients.arrive(now, &mut self.agenda, demand);
                self.tally.calls += 1;
                self.tally.in_flight_peak = self.tally.in_flight_peak.max(self.clients.live);
                return self.enter(now, slot);
            }
            Due::Again(slot) => {
                let request = self.clients.again(now, &mut self.agenda, slot)?;
                return self.ask(now, request);
            }
            Due::Timeout(demand) => self.clients.timeout(now, &mut self.agenda, demand),
            Due::Patience(demand) => self.clients.patience(now, &mut self.agenda, demand),
        };
        self.act(now, verdict)
    }

    fn act(&mut self, now: Time, verdict: Verdict) -> Option<Input> {
        match verdict {
            Verdict::Nothing => None,
            Verdict::Cancel(request) => self.cancel(now, request),
            Verdict::Over(call) => {
                self.end(call);
                None
            }
        }
    }

    /// A call reaches the application, if there is one, and the router after it.
    fn enter(&mut self, now: Time, slot: u32) -> Option<Input> {
        if let Some(app) = &mut self.app {
            match app.enter(now, self.clients.slot(slot).id()) {
                Entry::Goes => {}
                Entry::Waits => return None,
                Entry::Refused => {
                    let call = self.clients.refuse(now, slot);
                    self.end(call);
                    return None;
                }
            }
        }
        self.submit(now, slot)
    }

    fn submit(&mut self, now: Time, slot: u32) -> Option<Input> {
        let request = self.clients.submit(now, &mut self.agenda, slot);
        self.ask(now, request)
    }

    /// A try reaches the gateway: it goes to the router with what the cache has for it, unless it
    /// waits for an identical one.
    fn ask(&mut self, now: Time, mut request: Request) -> Option<Input> {
        if let Some(responses) = &mut self.responses {
            let question = self.clients.question(request.id);
            match responses.ask(now, question, &mut request) {
                Way::Goes => {}
                Way::Waits => return None,
            }
        }
        self.tally.submissions += 1;
        Some(Input::Submit(request))
    }

    /// Whether something may go before what is in the agenda.
    fn is_urgent(&self) -> bool {
        self.providers.has_broken()
            || self.restart.is_some()
            || self.app.as_ref().is_some_and(|app| !app.turns.is_empty())
            || self.responses.as_ref().is_some_and(|responses| !responses.ready.is_empty())
    }

    /// A try that waited for an identical one goes to the router after all, at this instant.
    fn next_ready(&mut self) -> Option<Input> {
        let responses = self.responses.as_mut()?;
        let request = responses.ready.pop_front()?;
        if request.client_try() == 0 {
            responses.unseen.remove(&request.call());
        }
        let slot = self.clients.find(request)?;
        self.tally.submissions += 1;
        Some(Input::Submit(self.clients.request(slot)))
    }

    /// A try is given up: the router is told, if it knows of it.
    fn cancel(&mut self, now: Time, request: RequestId) -> Option<Input> {
        if self.responses.as_mut().is_some_and(|responses| responses.leave(request)) {
            self.answer(now, request, Outcome::Cancel);
            return None;
        }
        Some(Input::Cancel(request))
    }

    /// A try is over.
    fn answer(&mut self, now: Time, request: RequestId, outcome: Outcome) {
        if let Some(call) = self.clients.finish(now, &mut self.agenda, request, outcome) {
            self.end(call);
        }
    }

    /// A try is over: so are those that waited for it.
    fn share(&mut self, now: Time, request: RequestId, outcome: Outcome) {
        let Some(responses) = &mut self.responses else { return };
        let question = self.clients.question(request);
        let Some(slot) = self.clients.find(request) else { return };
        let degraded = self.clients.slot(slot).is_degraded();
        let asked = (request, question);
        let Some(shared) = responses.finished(now, asked, outcome, degraded) else { return };
        for follower in shared.followers {
            if degraded && let Some(slot) = self.clients.find(follower) {
                self.clients.slot(slot).degrade();
            }
            self.answer(now, follower, shared.outcome);
        }
    }

    /// What the application decided at this instant.
    fn take(&mut self, now: Time, turn: Turn) -> Option<Input> {
        match turn {
            Turn::Goes(call) => {
                let slot = self.clients.find(call)?;
                self.submit(now, slot)
            }
            Turn::Dies(call) => {
                let slot = self.clients.find(call)?;
                let verdict = self.clients.cut(now, slot);
                self.act(now, verdict)
            }
        }
    }

    fn tell(&mut self, news: News) -> Input {
        if news.last {
            self.unlink(news.attempt);
        }
        Input::Upstream(news.attempt, news.upstream)
    }

    /// Takes an attempt that is over out of its call's list and says where it was.
    fn unlink(&mut self, attempt: AttemptId) -> Option<u32> {
        let call = self.clients.find(attempt.request)?;
        let (mut before, mut link) = (None, self.clients.slot(call).attempt);
        while let Some(slot) = link.slot() {
            let at = self.providers.attempt(slot);
            let (id, next) = (at.id(), at.sibling);
            if id == attempt {
                match before {
                    None => self.clients.slot(call).attempt = next,
                    Some(before) => self.providers.attempt_mut(before).sibling = next,
                }
                return Some(slot);
            }
            (before, link) = (Some(slot), next);
        }
        None
    }

    fn end(&mut self, mut call: Call) {
        match call.end {
            CallEnd::Answered(_) | CallEnd::Degraded(_) | CallEnd::Cached { .. } => {
                self.tally.answered += 1;
            }
            CallEnd::Static => self.tally.fixed += 1,
            CallEnd::Partial(_) => self.tally.partial += 1,
            CallEnd::Failed(_) => self.tally.failed += 1,
            CallEnd::Left => self.tally.left += 1,
        }
        if let Some(app) = &mut self.app {
            app.leave(call.id);
        }
        if let Some(responses) = &mut self.responses {
            call.unseen |= responses.unseen.remove(&call.id);
        }
        self.over.push(call);
    }
}

impl Effects for Net {
    fn dispatch(&mut self, now: Time, dispatch: Dispatch) {
        let request = dispatch.attempt.request;
        let slot = self.clients.find(request).expect("only requests in flight are dispatched");
        self.tally.dispatched += 1;
        let demand = self.clients.demand(request.source());
        let output_max = demand.output_max;
        let stream = self.clients.streams(request);
        let call = self.clients.slot(slot);
        call.attempts = call.attempts.saturating_add(1);
        let sibling = call.attempt;
        let ask = Ask { input: call.input, output: call.output, output_max, stream, sibling };
        let attempt = self.providers.dispatch(now, &mut self.agenda, &dispatch, ask);
        self.clients.slot(slot).attempt = Link::to(attempt);
    }

    fn abandon(&mut self, now: Time, attempt: AttemptId, why: Abandon) {
        if let Some(slot) = self.unlink(attempt) {
            self.providers.abandon(now, &mut self.agenda, slot, why);
        }
    }

    fn commit(&mut self, now: Time, attempt: AttemptId) {
        self.clients.commit(now, attempt);
    }

    fn finish(&mut self, now: Time, request: RequestId, outcome: Outcome) {
        if self.responses.is_some() {
            self.share(now, request, outcome);
        }
        self.answer(now, request, outcome);
    }

    fn observe(&mut self, _: Time, observation: Observation) {
        if let Observation::Stepped { request, rung: Rung::Group(_) } = observation
            && let Some(slot) = self.clients.find(request)
        {
            self.clients.slot(slot).degrade();
        }
    }
}
