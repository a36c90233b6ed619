//! The state machine: inputs, deadlines, and the flights between them.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::account::{Accounts, KINDS};
use crate::adaptive::Adaptives;
use crate::asides::Asides;
use crate::budget::Budget;
use crate::flight::{Aside, Flight, NEVER, Try};
use crate::health::Health;
use crate::limit::Limit;
use crate::peers::Peers;
use crate::queue::Queues;
use crate::strategy::{self, Credits, Estimates};
use crate::timers::Timers;
use crate::{
    Abandon, Anew, AttemptId, Brain, Cached, Config, DeploymentId, FailureKind, Input, Key,
    Observation, Outcome, Output, Outputs, Purpose, Rejection, Request, RequestId, Seed, Span,
    Table, Time, TimerKind, Usage, Wakeup,
};

/// For how many barred deployments there is room from the start. A failure that bars one is rare;
/// a day on which there are more grows the table a few times in all.
const BARRED_ROOM: usize = 1024;
/// How many dropped attempts are remembered for late news of them.
const DROPPED_MAX: usize = 1024;

/// Routes requests to deployments. See the crate's own page for the contract.
#[derive(Clone, Debug)]
pub struct Router {
    pub(crate) config: Arc<Config>,
    pub(crate) keys: Keys,
    /// When it was built: what windows are counted from.
    pub(crate) start: Time,
    pub(crate) now: Time,
    pub(crate) draining: bool,
    pub(crate) flights: Vec<Flight>,
    /// Slots of `flights` that are free.
    pub(crate) free: Vec<u32>,
    pub(crate) slots: Table,
    /// What only some of the flights have.
    pub(crate) asides: Asides,
    pub(crate) timers: Timers,
    pub(crate) limits: Vec<Limit>,
    pub(crate) accounts: Accounts,
    /// What deployments are found to bear.
    pub(crate) adaptives: Adaptives,
    pub(crate) health: Health,
    pub(crate) budget: Budget,
    pub(crate) peers: Peers,
    /// Who waits for a first attempt.
    pub(crate) queues: Queues,
    /// How long deployments take, and who is owed selections, for the strategies that ask.
    pub(crate) estimates: Estimates,
    pub(crate) credits: Credits,
    /// Deployments that a failure barred for a request in flight, sorted.
    pub(crate) barred: Vec<(RequestId, DeploymentId)>,
    /// Attempts dropped lately, oldest first.
    pub(crate) dropped: VecDeque<Dropped>,
    pub(crate) outputs: Vec<Output>,
}

/// The keys of a router's draws.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keys {
    pub(crate) select: Key,
    pub(crate) backoff: Key,
    pub(crate) rest: Key,
    pub(crate) sticky: Key,
}

impl Keys {
    pub(crate) fn new(seed: Seed) -> Self {
        Self {
            select: seed.key(Purpose::Select),
            backoff: seed.key(Purpose::Backoff),
            rest: seed.key(Purpose::Rest),
            sticky: strategy::places(),
        }
    }
}

/// An attempt that was dropped, and what it was charged for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dropped {
    pub(crate) attempt: AttemptId,
    pub(crate) deployment: DeploymentId,
    pub(crate) usage: Usage,
    /// On whose accounts, by kind; zero where on none.
    pub(crate) subjects: [u32; KINDS],
    /// What that was in pico-dollars, and when.
    pub(crate) pico: u64,
    pub(crate) at: Time,
}

impl Router {
    /// What a request in flight takes of the router's tables, in bytes: its slot, two cells of
    /// the index (which is half full at most) and its timer. The list of free slots does not
    /// count: a slot in use is not on it. A failure that bars a deployment for it takes 16 more.
    pub const BYTES_PER_REQUEST: usize =
        size_of::<Flight>() + 2 * size_of::<u32>() + Timers::BYTES_PER_SLOT;

    /// A router at rest. Its tables are as large as they will ever be, unless a revision allows
    /// more in flight.
    pub fn new(config: Arc<Config>, seed: Seed, now: Time) -> Self {
        let capacity = config.router().in_flight as usize;
        Self::with_capacity(config, seed, now, capacity)
    }

    /// A router at rest, with room for so many requests.
    pub(crate) fn with_capacity(
        config: Arc<Config>,
        seed: Seed,
        now: Time,
        capacity: usize,
    ) -> Self {
        Self {
            keys: Keys::new(seed),
            start: now,
            now,
            draining: false,
            flights: Vec::with_capacity(capacity),
            free: Vec::with_capacity(capacity),
            slots: Table::with_capacity(capacity),
            asides: Asides::new(&config),
            timers: Timers::with_capacity(capacity),
            limits: config.limits().iter().map(|l| Limit::new(&l.spec)).collect(),
            accounts: Accounts::new(&config),
            adaptives: Adaptives::new(&config, now),
            health: Health::new(&config, now),
            budget: Budget::new(&config.router().retry_budget, now),
            peers: Peers::new(&config, now),
            queues: Queues::new(&config),
            estimates: Estimates::new(&config),
            credits: Credits::new(&config),
            barred: Vec::with_capacity(BARRED_ROOM),
            dropped: VecDeque::with_capacity(DROPPED_MAX),
            outputs: Vec::with_capacity(4096),
            config,
        }
    }

    /// What it runs on.
    pub const fn config(&self) -> &Arc<Config> {
        &self.config
    }

    /// Requests not yet finished.
    pub const fn in_flight(&self) -> usize {
        self.slots.len()
    }

    /// Acts on every deadline before `limit`, in order. Then whoever waits may go, unless something
    /// comes that decides who may.
    fn fire_before(&mut self, limit: Time, lets_go: bool) {
        let mut fired = false;
        while let Some((at, _, slot)) = self.timers.first() {
            if at >= limit {
                break;
            }
            let (_, kind, ordinal) = self.due(slot);
            self.fire(slot, kind, ordinal);
            fired = true;
        }
        if fired && lets_go {
            self.call_next();
        }
    }

    /// Lets go whoever waits and can.
    fn call_next(&mut self) {
        if self.queues.waiting != 0 {
            self.pump();
        }
    }

    fn fire(&mut self, slot: u32, kind: TimerKind, ordinal: u8) {
        use FailureKind as Kind;
        match kind {
            TimerKind::Deadline => self.expire(slot),
            TimerKind::Retry => self.resume(slot),
            TimerKind::Total => self.time_out(slot, ordinal, Abandon::Total, Kind::Total),
            TimerKind::Idle => self.time_out(slot, ordinal, Abandon::Idle, Kind::Idle),
            TimerKind::FirstToken => {
                self.time_out(slot, ordinal, Abandon::FirstToken, Kind::FirstToken);
            }
            TimerKind::Connect => self.time_out(slot, ordinal, Abandon::Connect, Kind::Connect),
            TimerKind::Hedge => self.hedge(slot),
            TimerKind::Queue => self.look_up(slot),
        }
    }

    fn due(&self, slot: u32) -> (Time, TimerKind, u8) {
        let flight = self.flight(slot);
        flight.due(&self.config.group(flight.group()).timeouts, self.twin(flight))
    }

    /// Arms a flight's timer anew, after its phase or its marks changed.
    pub(crate) fn rearm(&mut self, slot: u32) {
        let (at, kind, _) = self.due(slot);
        self.timers.set(slot, at, kind);
    }

    /// What a flight has beside its slot.
    pub(crate) fn aside(&self, flight: &Flight) -> &Aside {
        self.asides.get(flight.aside)
    }

    /// The second live attempt of a hedged request.
    pub(crate) fn twin(&self, flight: &Flight) -> Option<&Try> {
        self.aside(flight).twin.as_ref()
    }

    pub(crate) fn flight(&self, slot: u32) -> &Flight {
        &self.flights[slot as usize]
    }

    pub(crate) fn flight_mut(&mut self, slot: u32) -> &mut Flight {
        &mut self.flights[slot as usize]
    }

    pub(crate) fn slot_of(&self, request: RequestId) -> Option<u32> {
        self.slots.find(request.as_u64(), |s| self.flights[s as usize].id.as_u64())
    }

    /// The slot of an attempt, if it lives.
    pub(crate) fn slot_of_live(&self, attempt: AttemptId) -> Option<u32> {
        let slot = self.slot_of(attempt.request)?;
        let flight = self.flight(slot);
        let twin = || self.twin(flight).is_some_and(|twin| twin.ordinal == attempt.ordinal);
        (flight.is_live() && (flight.lead.ordinal == attempt.ordinal || twin())).then_some(slot)
    }

    /// One of a flight's live attempts.
    #[inline]
    pub(crate) fn attempt_mut(&mut self, slot: u32, ordinal: u8) -> &mut Try {
        let flight = &mut self.flights[slot as usize];
        if flight.lead.ordinal == ordinal {
            return &mut flight.lead;
        }
        let twin = self.asides.make(&mut flight.aside).twin.as_mut();
        twin.expect("a live attempt is the lead or its twin")
    }

    pub(crate) fn observe(&mut self, observation: Observation) {
        self.outputs.push(Output::Observe(observation));
    }

    fn submit(&mut self, mut request: Request) {
        if let Some(heir) = self.config.group(request.group).heir {
            request.group = heir;
        }
        let request = &request;
        let refuse = |router: &mut Self, rejection| {
            router.close_unseated(request, Outcome::Reject(rejection));
        };
        if self.draining {
            return refuse(self, Rejection::Drain);
        }
        if self.slot_of(request.id).is_some() {
            return refuse(self, Rejection::Duplicate);
        }
        if self.config.group(request.group).removed {
            return refuse(self, Rejection::NoDeployment(None));
        }
        let now = self.now;
        let own = self.now + self.config.router().deadline;
        let deadline = request.deadline.unwrap_or(Time::MAX).min(own);
        if request.cached != Cached::None && self.is_spared(request, deadline) {
            return;
        }
        if self.slots.len() >= self.config.router().in_flight as usize {
            return self.turn_away(request, deadline, Rejection::Full);
        }
        if deadline <= now {
            return self.close_unseated(request, Outcome::Expire);
        }
        self.budget.deposit(now);
        let reserve = self.config.router().output_reserve;
        let slot = self.seat(Flight::new(request, now, deadline, reserve));
        if self.asides.wants(request) {
            self.put_aside(slot, self.asides.of(request));
        }
        self.launch(slot, request);
    }

    /// Puts a flight into a slot.
    pub(crate) fn seat(&mut self, flight: Flight) -> u32 {
        let slot = match self.free.pop() {
            Some(slot) => {
                self.flights[slot as usize] = flight;
                slot
            }
            None => {
                self.flights.push(flight);
                (self.flights.len() - 1) as u32
            }
        };
        self.slots.insert(flight.id.as_u64(), slot);
        slot
    }

    /// Keeps what only some flights have, if this one has any of it.
    #[inline(never)]
    pub(crate) fn put_aside(&mut self, slot: u32, aside: Aside) {
        if !aside.is_none() {
            *self.asides.make(&mut self.flights[slot as usize].aside) = aside;
        }
    }

    /// Ends a request that never had a slot.
    #[cold]
    pub(crate) fn close_unseated(&mut self, request: &Request, outcome: Outcome) {
        self.observe(Observation::Closed {
            request: request.id,
            group: request.group,
            attempts: 0,
            first_token: None,
            elapsed: Span::ZERO,
        });
        self.outputs.push(Output::Finish(request.id, outcome));
    }

    /// Ends a request: frees its slot and answers. A request that failed goes on if its ladder
    /// leads to a smaller group.
    pub(crate) fn close(&mut self, slot: u32, outcome: Outcome) {
        if self.flight(slot).is_queued() {
            self.leave_queue(slot, false);
        }
        let flight = *self.flight(slot);
        let outcome = if self.config.group(flight.home()).ladder.below.is_empty() {
            outcome
        } else {
            match self.step_down(slot, outcome) {
                Some(outcome) => outcome,
                None => return,
            }
        };
        if flight.tally.made() > 0 {
            self.queues.come_home(flight.home());
        }
        self.queues.stirred = true;
        self.timers.clear(slot);
        let flights = &self.flights;
        self.slots.remove(flight.id.as_u64(), |s| flights[s as usize].id.as_u64());
        self.free.push(slot);
        if !self.barred.is_empty() {
            let from = self.barred.partition_point(|(request, _)| *request < flight.id);
            let to = self.barred.partition_point(|(request, _)| *request <= flight.id);
            self.barred.drain(from..to);
        }
        if flight.aside != NEVER {
            self.release_accounts(&flight);
            self.asides.free(flight.aside);
        }
        let waited = flight.lead.dispatched.since(flight.submitted);
        self.observe(Observation::Closed {
            request: flight.id,
            group: flight.home(),
            attempts: flight.tally.made(),
            first_token: flight.lead.first_token().map(|span| waited + span),
            elapsed: self.now.since(flight.submitted),
        });
        self.outputs.push(Output::Finish(flight.id, outcome));
    }

    #[cold]
    fn expire(&mut self, slot: u32) {
        self.drop_all(slot, Abandon::Deadline);
        self.close(slot, Outcome::Expire);
    }

    #[cold]
    fn cancel(&mut self, request: RequestId) {
        let Some(slot) = self.slot_of(request) else { return };
        self.drop_all(slot, Abandon::Cancel);
        self.close(slot, Outcome::Cancel);
    }

    pub(crate) fn is_barred(&self, request: RequestId, deployment: DeploymentId) -> bool {
        !self.barred.is_empty() && self.barred.binary_search(&(request, deployment)).is_ok()
    }

    pub(crate) fn bar(&mut self, request: RequestId, deployment: DeploymentId) {
        let entry = (request, deployment);
        if let Err(place) = self.barred.binary_search(&entry) {
            self.barred.insert(place, entry);
        }
    }

    /// Remembers a dropped attempt, so that late news can correct its books once.
    pub(crate) fn remember(&mut self, dropped: Dropped) {
        if self.dropped.len() == DROPPED_MAX {
            self.dropped.pop_front();
        }
        self.dropped.push_back(dropped);
    }
}

impl Brain for Router {
    /// Deadlines before `now` act first, in their order. Those at `now` act on its tick, which
    /// comes after all news of the instant, or before the first input of a later instant: so
    /// news that comes exactly at a deadline is in time, whatever else the instant brings.
    fn handle(&mut self, now: Time, input: Input) -> Outputs<'_> {
        self.now = self.now.max(now);
        let decides = matches!(input, Input::Reconfigure(_) | Input::Peers(_));
        self.fire_before(self.now, !decides);
        match input {
            Input::Submit(request) => self.submit(request),
            Input::Cancel(request) => self.cancel(request),
            Input::Upstream(attempt, news) => self.hear(attempt, news),
            Input::Tick => self.fire_before(self.now + Span::from_nanos(1), true),
            Input::Reconfigure(config) => self.reconfigure(config),
            Input::Peers(consumption) => self.hear_peer(consumption),
            Input::Drain => self.draining = true,
        }
        self.call_next();
        Outputs::new(&mut self.outputs)
    }

    fn next_wakeup(&self) -> Option<Wakeup> {
        let (at, reason, _) = self.timers.first()?;
        Some(Wakeup { at, reason })
    }

    fn restart(&mut self, now: Time, anew: Anew) {
        self.begin_anew(now, anew.with);
    }
}
