//! Who asks: users, and the client libraries that ask on their behalf.

use std::collections::VecDeque;

use router_core::{
    AttemptId, Call, CallEnd, Counter, Key, Outcome, Purpose, Request, RequestId, Span, Time,
};

use crate::Mix;
use crate::agenda::{Agenda, Due};
use crate::arrivals::Clock;
use crate::cache::Conversations;
use crate::plan::{Arrivals, Demand, Lengths, Plan, Renumbered};
use crate::response::Questions;
use crate::sample::{self, Chance};
use crate::sdk::Answer;
use crate::slab::{Index, Link, Slab};

/// Every demand, and every user's call that is not over.
#[derive(Clone, Debug)]
pub(crate) struct Clients {
    sources: Vec<Source>,
    slots: Slab<Slot>,
    /// From a call's first number to its slot.
    index: Index,
    keys: Keys,
    conversations: Conversations,
    questions: Questions,
    /// Subjects that have another number by now than the one drawn.
    renumbered: Vec<Renumbered>,
    /// Calls that are not over.
    pub(crate) live: u32,
    /// Demands with an arrival to come.
    pub(crate) expected: u32,
}

#[derive(Clone, Copy, Debug)]
struct Keys {
    input: Key,
    output: Key,
    wait: Key,
}

#[derive(Clone, Debug)]
struct Source {
    demand: Demand,
    clock: Clock,
    streams: Chance,
    /// Whether a call of it is on anybody's account, and whether one has a label.
    billed: bool,
    labelled: bool,
    /// The number of the latest call; the first is 1.
    sequence: u64,
    /// The tries under way, oldest first: the same timeout for all, so they expire in order.
    oldest: Link,
    latest: Link,
    timeout_armed: bool,
    /// The first call whose user may still lose patience; they do so in order of arrival.
    patient: u64,
    patience_armed: bool,
}

/// A user's call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot {
    /// Of its latest try.
    id: RequestId,
    arrived: Time,
    /// When the current try, or the current wait, began.
    since: Time,
    /// When the first token reached the user; [`Time::MAX`] if none has.
    first_token: Time,
    pub(crate) input: u32,
    pub(crate) output: u32,
    /// Waits between tries so far, in microseconds.
    waited_us: u32,
    /// The next older and the next younger try under way.
    older: Link,
    younger: Link,
    /// The first of its attempts at providers that are not over.
    pub(crate) attempt: Link,
    pub(crate) attempts: u16,
    state: State,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    /// A try is under way.
    Trying,
    /// The same, in a smaller group than it asked for.
    Degraded,
    /// The user leaves; the router is being told.
    Leaving,
    /// The try took too long; the router is being told.
    TimedOut,
    /// The router is started anew, and what it had is cut.
    Severed,
    /// The client waits before its next try.
    Waiting,
    /// The application has no connection for it yet.
    Held,
    /// The application died under it; the router is being told.
    Cut,
    /// Over, but for an event in the agenda.
    Over,
}

/// What a client's clock made of a call.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Verdict {
    /// Nothing.
    Nothing,
    /// It is to be cancelled.
    Cancel(RequestId),
    /// It is over.
    Over(Call),
}

impl Clients {
    /// How many calls there are places for by now.
    pub(crate) fn seats(&self) -> u32 {
        self.slots.capacity()
    }

    pub(crate) fn new(plan: &Plan, agenda: &mut Agenda) -> Self {
        let source = |(index, demand): (usize, &Demand)| Source {
            demand: demand.clone(),
            clock: Clock::new(plan.seed, index as u32),
            streams: Chance::new(demand.stream),
            billed: !demand.subjects.iter().all(Mix::is_none),
            labelled: !demand.properties.iter().all(Mix::is_none),
            sequence: 0,
            oldest: Link::NONE,
            latest: Link::NONE,
            timeout_armed: false,
            patient: 1,
            patience_armed: false,
        };
        let mut clients = Self {
            sources: plan.demands.iter().enumerate().map(source).collect(),
            slots: Slab::new(),
            index: Index::new(),
            keys: Keys {
                input: plan.seed.key(Purpose::InputTokens),
                output: plan.seed.key(Purpose::OutputTokens),
                wait: plan.seed.key(Purpose::Client),
            },
            conversations: Conversations::new(plan),
            questions: Questions::new(plan),
            renumbered: Vec::new(),
            live: 0,
            expected: plan.demands.len() as u32,
        };
        for demand in 0..clients.expected {
            clients.expect(agenda, demand);
        }
        clients
    }

    /// Puts a demand's next arrival into the agenda.
    fn expect(&mut self, agenda: &mut Agenda, demand: u32) {
        let source = &mut self.sources[demand as usize];
        match source.clock.next(&source.demand.arrivals) {
            Some(at) => agenda.schedule(at, Due::Arrival(demand)),
            None => self.expected -= 1,
        }
    }

    pub(crate) fn find(&self, request: RequestId) -> Option<u32> {
        self.index.find(request.call().as_u64(), |slot| self.slots[slot].id.call().as_u64())
    }

    pub(crate) fn slot(&mut self, slot: u32) -> &mut Slot {
        &mut self.slots[slot]
    }

    pub(crate) fn demand(&self, source: u16) -> &Demand {
        &self.sources[usize::from(source)].demand
    }

    /// What a call asks; zero is what nobody else does.
    pub(crate) fn question(&self, request: RequestId) -> u64 {
        self.questions.of(request)
    }

    /// Whether a call streams.
    pub(crate) fn streams(&self, request: RequestId) -> bool {
        let chance = self.sources[usize::from(request.source())].streams;
        chance.hit(|| self.keys.wait.word(of_call(request, STREAMS)))
    }

    /// A call arrives; its slot. [`Self::submit`] makes its first try.
    pub(crate) fn arrive(&mut self, now: Time, agenda: &mut Agenda, demand: u32) -> u32 {
        self.expect(agenda, demand);
        let source = &mut self.sources[demand as usize];
        source.sequence += 1;
        let id = RequestId::new(demand as u16, source.sequence, 0);
        let question = self.questions.of(id);
        let [input, output] = self.keys.tokens(&source.demand, id, question);
        if let Some(patience) = source.demand.patience
            && !source.patience_armed
        {
            (source.patience_armed, source.patient) = (true, source.sequence);
            agenda.schedule(now + patience, Due::Patience(demand));
        }
        let slot = self.slots.insert(Slot {
            id,
            arrived: now,
            since: now,
            first_token: Time::MAX,
            input,
            output,
            waited_us: 0,
            older: Link::NONE,
            younger: Link::NONE,
            attempt: Link::NONE,
            attempts: 0,
            state: State::Held,
        });
        let slots = &self.slots;
        self.index.insert(id.as_u64(), slot, |slot| slots[slot].id.call().as_u64());
        self.live += 1;
        slot
    }

    /// A client's wait is over: its next try, unless its user left meanwhile.
    pub(crate) fn again(&mut self, now: Time, agenda: &mut Agenda, slot: u32) -> Option<Request> {
        let call = &mut self.slots[slot];
        if call.state == State::Over {
            self.slots.remove(slot);
            return None;
        }
        call.stop_waiting(now);
        call.id = RequestId::from_u64(call.id.as_u64() + 1);
        Some(self.submit(now, agenda, slot))
    }

    /// A call's next try.
    pub(crate) fn submit(&mut self, now: Time, agenda: &mut Agenda, slot: u32) -> Request {
        let call = &mut self.slots[slot];
        (call.since, call.state) = (now, State::Trying);
        let id = call.id;
        let request = self.request(slot);
        let source = &mut self.sources[usize::from(id.source())];
        let demand = &source.demand;
        let expires = now + demand.client.timeout;
        if expires < Time::MAX {
            self.slots[slot].older = source.latest;
            let link = Link::to(slot);
            match source.latest.slot() {
                None => source.oldest = link,
                Some(latest) => self.slots[latest].younger = link,
            }
            source.latest = link;
            if !source.timeout_armed {
                source.timeout_armed = true;
                agenda.schedule(expires, Due::Timeout(id.source().into()));
            }
        }
        request
    }

    /// What a call's present try asks for.
    pub(crate) fn request(&self, slot: u32) -> Request {
        let Slot { id, input, .. } = self.slots[slot];
        let source = &self.sources[usize::from(id.source())];
        let demand = &source.demand;
        Request {
            output_max: demand.output_max,
            stream: self.streams(id),
            subjects: self.subjects(source, id),
            properties: self.keys.labels(source, id),
            tags: demand.tags,
            region: demand.region,
            priority: demand.priority,
            affinity: self.conversations.of(id),
            ..Request::new(id, demand.group, input)
        }
    }

    /// On whose account a call is.
    fn subjects(&self, source: &Source, id: RequestId) -> [u32; 4] {
        if !source.billed {
            return [0; 4];
        }
        let mut subjects = self.keys.drawn(&source.demand.subjects, id, SUBJECTS);
        for Renumbered { kind, from, to } in &self.renumbered {
            if subjects[*kind] == *from {
                subjects[*kind] = *to;
            }
        }
        subjects
    }

    /// Some subjects have other numbers from now on.
    pub(crate) fn renumber(&mut self, named: &[Renumbered]) {
        self.renumbered.extend_from_slice(named);
    }

    /// Takes a try that is over out of its source's list.
    fn unlist(&mut self, slot: u32) {
        let Slot { id, older, younger, .. } = self.slots[slot];
        let source = &mut self.sources[usize::from(id.source())];
        match older.slot() {
            None if source.oldest.slot() == Some(slot) => source.oldest = younger,
            None => {}
            Some(older) => self.slots[older].younger = younger,
        }
        match younger.slot() {
            None if source.latest.slot() == Some(slot) => source.latest = older,
            None => {}
            Some(younger) => self.slots[younger].older = older,
        }
        (self.slots[slot].older, self.slots[slot].younger) = (Link::NONE, Link::NONE);
    }

    /// A demand's oldest try may have timed out. The one event per demand is armed for the
    /// oldest try of its time, so it may come early, but never late.
    pub(crate) fn timeout(&mut self, now: Time, agenda: &mut Agenda, demand: u32) -> Verdict {
        let source = &mut self.sources[demand as usize];
        let Some(slot) = source.oldest.slot() else {
            source.timeout_armed = false;
            return Verdict::Nothing;
        };
        source.timeout_armed = true;
        let timeout = source.demand.client.timeout;
        let oldest = &mut self.slots[slot];
        if oldest.since + timeout > now {
            agenda.schedule(oldest.since + timeout, Due::Timeout(demand));
            return Verdict::Nothing;
        }
        agenda.schedule(now, Due::Timeout(demand));
        oldest.state = State::TimedOut;
        let id = oldest.id;
        self.unlist(slot);
        Verdict::Cancel(id)
    }

    /// A demand's longest waiting user may leave.
    pub(crate) fn patience(&mut self, now: Time, agenda: &mut Agenda, demand: u32) -> Verdict {
        let source = &self.sources[demand as usize];
        let patience = source.demand.patience.unwrap_or(Span::MAX);
        let mut patient = source.patient;
        let waiting = loop {
            if patient > source.sequence {
                break None;
            }
            let slot = self.find(RequestId::new(demand as u16, patient, 0));
            if let Some(slot) = slot.filter(|&slot| self.slots[slot].first_token == Time::MAX) {
                break Some(slot);
            }
            patient += 1;
        };
        let due = waiting.map(|slot| self.slots[slot].arrived + patience);
        let leaves = due.is_some_and(|due| due <= now);
        let source = &mut self.sources[demand as usize];
        source.patient = patient + u64::from(leaves);
        source.patience_armed = due.is_some();
        let (Some(slot), Some(due)) = (waiting, due) else { return Verdict::Nothing };
        agenda.schedule(due.max(now), Due::Patience(demand));
        if !leaves {
            return Verdict::Nothing;
        }
        let call = &mut self.slots[slot];
        if call.state == State::Waiting {
            call.stop_waiting(now);
            call.state = State::Over;
            return Verdict::Over(self.end(now, slot, CallEnd::Left));
        }
        if call.state == State::Held {
            return Verdict::Over(self.close(now, slot, CallEnd::Left));
        }
        call.state = State::Leaving;
        Verdict::Cancel(call.id)
    }

    /// The application died under a call.
    pub(crate) fn cut(&mut self, now: Time, slot: u32) -> Verdict {
        let call = &mut self.slots[slot];
        match call.state {
            State::Held => Verdict::Over(self.close(now, slot, CallEnd::Failed(BAD_GATEWAY))),
            State::Waiting => {
                call.stop_waiting(now);
                call.state = State::Over;
                Verdict::Over(self.end(now, slot, CallEnd::Failed(BAD_GATEWAY)))
            }
            State::Trying | State::Degraded => {
                call.state = State::Cut;
                Verdict::Cancel(call.id)
            }
            State::Leaving | State::TimedOut | State::Severed | State::Cut | State::Over => {
                Verdict::Nothing
            }
        }
    }

    /// The application has no room for a call that just arrived.
    pub(crate) fn refuse(&mut self, now: Time, slot: u32) -> Call {
        self.close(now, slot, CallEnd::Failed(UNAVAILABLE))
    }

    /// The router is started anew: cuts every try under way that it has, and tells which in order
    /// of number.
    pub(crate) fn sever(&mut self, has: impl Fn(RequestId) -> bool) -> VecDeque<RequestId> {
        let mut cut = Vec::new();
        for slot in 0..self.slots.capacity() {
            let Slot { id, state, .. } = self.slots[slot];
            // A slot that was given back holds what is in the books no more.
            let live = matches!(state, State::Trying | State::Degraded);
            if live && self.find(id) == Some(slot) && has(id) {
                self.slots[slot].state = State::Severed;
                cut.push(id);
            }
        }
        cut.sort_unstable();
        cut.into()
    }

    /// A token reached the user.
    pub(crate) fn commit(&mut self, now: Time, attempt: AttemptId) {
        if let Some(slot) = self.find(attempt.request) {
            let call = &mut self.slots[slot];
            call.first_token = call.first_token.min(now);
        }
    }

    /// The router answered a try: the call is over, or its client tries again.
    pub(crate) fn finish(
        &mut self,
        now: Time,
        agenda: &mut Agenda,
        request: RequestId,
        outcome: Outcome,
    ) -> Option<Call> {
        let slot = self.find(request).filter(|&slot| self.slots[slot].id == request)?;
        self.unlist(slot);
        let seen = match self.slots[slot].state {
            State::Leaving => Err(CallEnd::Left),
            State::TimedOut => Ok(Answer::error(408)),
            State::Cut => Err(CallEnd::Failed(BAD_GATEWAY)),
            State::Severed => Ok(Answer::error(BAD_GATEWAY)),
            State::Trying => Answer::of(now, outcome),
            State::Degraded => Answer::of(now, outcome).map_err(|end| match end {
                CallEnd::Answered(usage) => CallEnd::Degraded(usage),
                CallEnd::Degraded(_)
                | CallEnd::Cached { .. }
                | CallEnd::Static
                | CallEnd::Partial(_)
                | CallEnd::Failed(_)
                | CallEnd::Left => end,
            }),
            State::Waiting | State::Held | State::Over => return None,
        };
        let end = match seen {
            Err(end) => end,
            Ok(answer) => {
                let Some(wait) = self.wait(slot, answer) else {
                    return Some(self.close(now, slot, CallEnd::Failed(answer.status)));
                };
                let call = &mut self.slots[slot];
                (call.state, call.since) = (State::Waiting, now);
                agenda.schedule(now + wait, Due::Again(slot));
                return None;
            }
        };
        if let CallEnd::Cached { .. } | CallEnd::Static = end {
            let call = &mut self.slots[slot];
            call.first_token = call.first_token.min(now);
        }
        Some(self.close(now, slot, end))
    }

    /// How long a client waits before it tries again; `None` if it does not.
    fn wait(&self, slot: u32, answer: Answer) -> Option<Span> {
        let call = &self.slots[slot];
        let client = &self.sources[usize::from(call.id.source())].demand.client;
        let tries = call.id.client_try().saturating_add(1);
        // A stream that broke after its first token is the application's to deal with.
        if tries >= client.tries_max || call.first_token < Time::MAX || !answer.invites_retry() {
            return None;
        }
        match answer.retry_after.filter(|wait| !wait.is_zero()) {
            Some(wait) => (wait <= client.retry_after_max).then_some(wait),
            None => Some(client.backoff_before(tries, self.keys.wait, call.id)),
        }
    }

    fn close(&mut self, now: Time, slot: u32, end: CallEnd) -> Call {
        let call = self.end(now, slot, end);
        self.slots.remove(slot);
        call
    }

    /// Takes a call out of the books; its slot is the caller's to give back.
    fn end(&mut self, now: Time, slot: u32, end: CallEnd) -> Call {
        let call = self.slots[slot];
        let slots = &self.slots;
        self.index.remove(call.id.call().as_u64(), |slot| slots[slot].id.call().as_u64());
        self.live -= 1;
        let source = &self.sources[usize::from(call.id.source())];
        Call {
            id: call.id.call(),
            group: source.demand.group,
            properties: self.keys.labels(source, call.id),
            arrived: call.arrived,
            first_token: (call.first_token < Time::MAX).then_some(call.first_token),
            ended: now,
            end,
            tries: call.id.client_try().saturating_add(1),
            attempts: call.attempts,
            client_wait: Span::from_micros(call.waited_us.into()),
            unseen: call.state == State::Held,
        }
    }
}

impl Slot {
    pub(crate) const fn id(&self) -> RequestId {
        self.id
    }

    /// Whether its try is in a smaller group than it asked for.
    pub(crate) fn is_degraded(&self) -> bool {
        self.state == State::Degraded
    }

    /// Its try goes on in a smaller group than it asked for.
    pub(crate) fn degrade(&mut self) {
        if self.state == State::Trying {
            self.state = State::Degraded;
        }
    }

    fn stop_waiting(&mut self, now: Time) {
        let us = now.since(self.since).as_nanos() / 1_000;
        self.waited_us = self.waited_us.saturating_add(u32::try_from(us).unwrap_or(u32::MAX));
    }
}

/// What a balancer says for a replica that died, and for one that has no room.
const BAD_GATEWAY: u16 = 502;
const UNAVAILABLE: u16 = 503;

/// Which of a client's draws; its waits are 0, its conversation 1, and 3 is the application's.
const STREAMS: u32 = 2;
/// The first of four, one for each kind of subject, and of properties.
const SUBJECTS: u32 = 4;
const PROPERTIES: u32 = 8;

/// A draw that is the same for every try of a call.
fn of_call(request: RequestId, index: u32) -> Counter {
    Counter { request: request.call().as_u64(), index, ..Counter::default() }
}

impl Keys {
    /// A number from each of four mixes.
    fn drawn(&self, mixes: &[Mix; 4], id: RequestId, first: u32) -> [u32; 4] {
        let draw =
            |kind: u32| mixes[kind as usize].draw(|| self.wait.word(of_call(id, first + kind)));
        [draw(0), draw(1), draw(2), draw(3)]
    }

    /// The labels of a call.
    fn labels(&self, source: &Source, id: RequestId) -> [u16; 4] {
        if !source.labelled {
            return [0; 4];
        }
        self.drawn(&source.demand.properties, id, PROPERTIES).map(|label| label as u16)
    }

    /// Prompt and completion tokens of a call; a provider stops at `max_tokens`.
    /// The same question has the same answer, as long each time.
    fn tokens(&self, demand: &Demand, id: RequestId, question: u64) -> [u32; 2] {
        let row = match &demand.arrivals {
            Arrivals::Trace(rows) => rows.get(id.sequence() as usize - 1),
            Arrivals::Constant { .. } | Arrivals::Poisson(_) => None,
        };
        let counter = match question {
            0 => Counter { request: id.as_u64(), ..Counter::default() },
            asked => Counter { request: asked, entity: 1, ..Counter::default() },
        };
        let drawn = |key: Key| key.word(counter);
        let length = |lengths: &Lengths, word, recorded| match lengths {
            Lengths::Fixed(tokens) => *tokens,
            &Lengths::LogNormal { median, sigma, max } => {
                let tokens = sample::lognormal(median, sigma, word);
                (libm::round(tokens) as u32).clamp(1, max.max(1))
            }
            Lengths::Quantiles(points) => sample::quantile(points, word),
            Lengths::Trace => recorded,
        };
        // Side by side: the processor works on both draws at once.
        let words = [drawn(self.input), drawn(self.output)];
        let input = length(&demand.input, words[0], row.map_or(0, |row| row.input_tokens));
        let output = length(&demand.output, words[1], row.map_or(0, |row| row.output_tokens));
        [input, demand.output_max.map_or(output, |most| output.min(most))]
    }
}
