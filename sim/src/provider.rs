//! What answers: one fake provider per deployment.
//!
//! A call takes its place when it is dispatched; connecting is the first part of its service.
//! Every attempt has at most one event in the agenda.

use std::collections::VecDeque;
use std::num::NonZeroU64;

use router_core::{
    Abandon, AttemptId, DeploymentId, Dispatch, Failure, FailureKind, Span, Time, Upstream, Usage,
};

use crate::agenda::{Agenda, Due};
use crate::attempt::{Ask, Attempt, DROPPED, DUE, News, STREAMS, Stage};
use crate::cache::Conversations;
use crate::fault::{Doom, Fate, Faults, Flaw, Met, Victim};
use crate::plan::{Abandoned, BadEnd, Order, Plan, WhenFull};
use crate::quota::{Admission, Book, Refusal};
use crate::server::{self, Server};
use crate::service::Draws;
use crate::slab::Slab;

/// Every provider, and every call they work on.
#[derive(Clone, Debug)]
pub(crate) struct Providers {
    servers: Vec<Server>,
    books: Vec<Book>,
    pub(crate) faults: Faults,
    attempts: Slab<Attempt>,
    /// Whom the fault that began at this instant broke, until they are told.
    broken: VecDeque<u32>,
    /// The distinct heartbeats seen: attempts hold a number of this list.
    beats: Vec<Span>,
    draws: Draws,
    conversations: Conversations,
}

impl Providers {
    /// How many attempts there are places for by now.
    pub(crate) fn seats(&self) -> u32 {
        self.attempts.capacity()
    }

    pub(crate) fn new(plan: &Plan) -> Self {
        let (servers, books) = server::open(&plan.providers);
        Self {
            faults: Faults::new(plan.seed, &plan.faults, servers.len()),
            servers,
            books,
            attempts: Slab::new(),
            broken: VecDeque::new(),
            beats: Vec::new(),
            draws: Draws::new(plan.seed),
            conversations: Conversations::new(plan),
        }
    }

    pub(crate) fn attempt(&self, slot: u32) -> &Attempt {
        &self.attempts[slot]
    }

    pub(crate) fn attempt_mut(&mut self, slot: u32) -> &mut Attempt {
        &mut self.attempts[slot]
    }

    /// Takes a call and decides what becomes of it, as far as that can be known.
    pub(crate) fn dispatch(
        &mut self,
        now: Time,
        agenda: &mut Agenda,
        dispatch: &Dispatch,
        ask: Ask,
    ) -> u32 {
        let AttemptId { request, ordinal } = dispatch.attempt;
        let deployment = dispatch.deployment;
        let server = &self.servers[deployment.index()];
        let connected = now + server.connect;
        let room = server.context.saturating_sub(ask.input).max(1);
        let victim = Victim { request, ordinal, deployment };
        let Met { fate, doom } = self.faults.meets(now, connected, victim, dispatch.key);
        let beat = self.beat(dispatch.heartbeat);
        let slot = self.attempts.insert(Attempt {
            request,
            input: ask.input,
            output: ask.output.min(room),
            reserved: 0,
            window: 0,
            deployment: deployment.index() as u16,
            doom,
            sibling: ask.sibling,
            beat,
            ordinal,
            flags: if ask.stream { STREAMS } else { 0 },
            stage: Stage::Hung,
        });
        match fate.or_else(|| self.refuse(now, slot, ask.output_max)) {
            None => self.take(now, agenda, slot, dispatch.connect),
            Some(Fate::Hangs) => {}
            Some(Fate::Fails(Flaw { kind, status, retry_after, should_retry })) => {
                let plus_one =
                    retry_after.and_then(|r| NonZeroU64::new(r.as_nanos().saturating_add(1)));
                self.attempts[slot].stage = Stage::Failing(kind, status, should_retry, plus_one);
                self.schedule(agenda, slot, connected);
            }
        }
        slot
    }

    /// Why the provider itself does not take a call: its context window, its quota, its errors,
    /// its bounds.
    fn refuse(&mut self, now: Time, slot: u32, output_max: Option<u32>) -> Option<Fate> {
        let attempt = &mut self.attempts[slot];
        let server = &self.servers[usize::from(attempt.deployment)];
        if attempt.input.saturating_add(output_max.unwrap_or(0)) > server.context {
            return Some(Fate::Fails(Flaw::new(FailureKind::ContextWindow, 400, None)));
        }
        if let Some(book) = server.book {
            match self.books[book].admit(now, attempt.input, output_max) {
                Ok(Admission { reserved, window }) => {
                    (attempt.reserved, attempt.window) = (reserved, window);
                }
                Err(Refusal(retry_after)) => {
                    let flaw = Flaw::new(FailureKind::RateLimit, 429, retry_after);
                    return Some(Fate::Fails(flaw));
                }
            }
        }
        let deployment = DeploymentId::at(attempt.deployment.into());
        let status = if self.draws.errs(&server.pace, attempt.request, attempt.ordinal, deployment)
        {
            500
        } else if server.in_service >= server.concurrency && server.is_full() {
            503
        } else {
            return None;
        };
        self.settle(now, slot, 0);
        Some(Fate::Fails(Flaw::of_status(status)))
    }

    /// Begins to serve a call, or lets it wait.
    fn take(&mut self, now: Time, agenda: &mut Agenda, slot: u32, bound: Span) {
        let attempt = &self.attempts[slot];
        let server = &mut self.servers[usize::from(attempt.deployment)];
        let connected = now + server.connect;
        if server.in_service >= server.concurrency {
            server.queue.push_back(slot);
            self.attempts[slot].stage = Stage::Queued;
            if bound != Span::MAX {
                self.schedule(agenda, slot, connected);
            }
            return;
        }
        server.in_service += 1;
        let streams = attempt.flags & STREAMS != 0;
        let whole_at_once = server.pace.is_whole_at_once();
        let first_at = connected + self.first_token(now, slot);
        // Later news implies the connection; it is reported only where the router's connect
        // timeout could otherwise expire first.
        let first_news_known = streams || whole_at_once;
        if bound == Span::MAX || (first_news_known && first_at <= now + bound) {
            self.attempts[slot].stage = Stage::Prefill;
            self.schedule(agenda, slot, first_at);
        } else {
            self.attempts[slot].stage = Stage::Connecting { first_at };
            self.schedule(agenda, slot, connected);
        }
    }

    /// An attempt's event: moves it on, and says what there is to tell of it.
    pub(crate) fn news(&mut self, now: Time, agenda: &mut Agenda, slot: u32) -> Option<News> {
        let attempt = &mut self.attempts[slot];
        attempt.flags &= !DUE;
        let Attempt { request, ordinal, flags, .. } = *attempt;
        let told = flags & DROPPED == 0;
        let (upstream, last) = match attempt.stage {
            Stage::Dead => {
                self.attempts.remove(slot);
                return None;
            }
            Stage::Failing(kind, status, should_retry, plus_one) => {
                self.free(slot);
                let retry_after = plus_one.map(|ns| Span::from_nanos(ns.get() - 1));
                let failure = Failure { retry_after, should_retry, ..Failure::new(kind, status) };
                (Upstream::Fail(failure), true)
            }
            Stage::Queued => (Upstream::Connected, false),
            Stage::Connecting { first_at } => {
                attempt.stage = Stage::Prefill;
                self.schedule(agenda, slot, first_at.max(now));
                (Upstream::Connected, false)
            }
            Stage::Prefill => {
                let per_token = self.per_token(now, slot);
                self.keep(now, slot);
                let attempt = &mut self.attempts[slot];
                attempt.stage = Stage::Decode { first_at: now, per_token };
                let (end_at, bad_end) = self.end_of(slot, now, per_token);
                let shows_tokens = flags & STREAMS != 0;
                // An answer that breaks may come at once up to there, and still shows its start.
                let starts = shows_tokens && bad_end.is_some_and(|(tokens, _)| tokens > 0);
                if end_at == now && !starts {
                    (self.end(now, agenda, slot, bad_end)?, true)
                } else {
                    self.schedule_next(now, agenda, slot, end_at);
                    if !shows_tokens {
                        return None;
                    }
                    (Upstream::FirstToken, false)
                }
            }
            Stage::Decode { first_at, per_token } => {
                let so_far = attempt.produced(now);
                let (end_at, bad_end) = self.end_of(slot, first_at, per_token);
                if now >= end_at {
                    (self.end(now, agenda, slot, bad_end)?, true)
                } else {
                    self.schedule_next(now, agenda, slot, end_at);
                    (Upstream::Progress(so_far), false)
                }
            }
            Stage::Hung | Stage::Stalled { .. } | Stage::Broken => {
                unreachable!("none has an event of its own")
            }
        };
        told.then_some(News { attempt: AttemptId { request, ordinal }, upstream, last })
    }

    /// When an answer that began at `first_at` ends; if badly, after how many tokens and how.
    fn end_of(&self, slot: u32, first_at: Time, per_token: u32) -> (Time, Option<(u32, BadEnd)>) {
        let attempt = &self.attempts[slot];
        match attempt.doom.map(|doom| self.faults.doom(doom)) {
            Some(Doom::Breaks(tokens, end)) if tokens < attempt.output => {
                let took = Span::from_nanos(u64::from(per_token)) * u64::from(tokens);
                (first_at + took, Some((tokens, end)))
            }
            Some(Doom::Breaks(..) | Doom::Garbage) | None => {
                (attempt.done(first_at, per_token), None)
            }
        }
    }

    /// An answer ends. What the router is told, unless nothing is.
    fn end(
        &mut self,
        now: Time,
        agenda: &mut Agenda,
        slot: u32,
        bad_end: Option<(u32, BadEnd)>,
    ) -> Option<Upstream> {
        let Attempt { input, output, deployment, doom, flags, .. } = self.attempts[slot];
        let (heard, streams) = (flags & DROPPED == 0, flags & STREAMS != 0);
        let garbage = !streams && doom.is_some_and(|doom| self.faults.doom(doom) == Doom::Garbage);
        if let Some(doom) = doom.filter(|_| heard && (garbage || bad_end.is_some())) {
            self.faults.struck(doom);
        }
        if let Some((tokens, BadEnd::Stall)) = bad_end
            && heard
        {
            self.attempts[slot].stage = Stage::Stalled { tokens };
            return None;
        }
        let output = bad_end.map_or(output, |(tokens, _)| tokens);
        self.settle(now, slot, output);
        self.free(slot);
        self.servers[usize::from(deployment)].in_service -= 1;
        self.fill(now, agenda, deployment);
        let cache = self.servers[usize::from(deployment)].cache.as_mut();
        let cached_tokens = cache.map_or(0, |cache| cache.found(slot));
        let usage = Usage { input_tokens: input, cached_tokens, output_tokens: output };
        let failure = match bad_end {
            None if garbage => {
                let failure = Failure::new(FailureKind::InvalidOutput, 200);
                Failure { usage: Some(usage), ..failure }
            }
            None => return Some(Upstream::Complete(usage)),
            Some((_, BadEnd::Stall)) => return None,
            Some((_, BadEnd::Cut)) => Failure::new(FailureKind::Reset, 0),
            Some((_, BadEnd::Truncated)) => Failure::new(FailureKind::Truncated, 0),
            Some((_, BadEnd::Error(status))) => Failure::new(FailureKind::Server, status),
        };
        Some(Upstream::Fail(failure))
    }

    /// The router drops a call. Its socket is closed: nothing more is told of it, even if the
    /// provider works on. A call whose connection never stood stops in any case.
    pub(crate) fn abandon(&mut self, now: Time, agenda: &mut Agenda, slot: u32, why: Abandon) {
        let attempt = &mut self.attempts[slot];
        attempt.flags |= DROPPED;
        let deployment = attempt.deployment;
        let runs_on = match self.servers[usize::from(deployment)].abandoned {
            Abandoned::RunsOn => why != Abandon::Connect,
            Abandoned::Stops => false,
        };
        match attempt.stage {
            Stage::Failing(..) | Stage::Hung => self.retire(slot),
            Stage::Queued | Stage::Connecting { .. } | Stage::Prefill | Stage::Decode { .. } => {
                if !runs_on {
                    self.stop(now, slot);
                    self.retire(slot);
                    self.fill(now, agenda, deployment);
                }
            }
            Stage::Stalled { .. } => {
                self.stop(now, slot);
                self.retire(slot);
                self.fill(now, agenda, deployment);
            }
            // Its place in `broken` keeps the slot.
            Stage::Broken | Stage::Dead => {}
        }
    }

    /// Begins a fault that breaks calls in progress: those it touches are reset at once, before
    /// any other news of this instant.
    pub(crate) fn strike(&mut self, now: Time, agenda: &mut Agenda, fault: u32) {
        if let Some(at) = self.faults.next_beginning(now, fault) {
            agenda.schedule(at, Due::Fault(fault));
        }
        for slot in 0..self.attempts.capacity() {
            let Attempt { request, ordinal, deployment, flags, stage, .. } = self.attempts[slot];
            let in_progress = match stage {
                Stage::Queued | Stage::Connecting { .. } | Stage::Prefill => true,
                Stage::Decode { .. } | Stage::Stalled { .. } => true,
                Stage::Failing(..) | Stage::Hung | Stage::Broken | Stage::Dead => false,
            };
            let here = self.faults.on(fault).contains(&DeploymentId::at(deployment.into()));
            if !in_progress || !here || !self.faults.breaks(fault, request, ordinal) {
                continue;
            }
            self.stop(now, slot);
            if flags & DROPPED == 0 {
                self.attempts[slot].stage = Stage::Broken;
                self.broken.push_back(slot);
            } else {
                self.retire(slot);
            }
        }
        for at in 0..self.faults.on(fault).len() {
            let deployment = self.faults.on(fault)[at];
            self.fill(now, agenda, deployment.index() as u16);
        }
    }

    /// Whether calls broke that nobody was told of.
    pub(crate) fn has_broken(&self) -> bool {
        !self.broken.is_empty()
    }

    /// The next broken call to be told of.
    pub(crate) fn tell_broken(&mut self) -> Option<News> {
        loop {
            let slot = self.broken.pop_front()?;
            let Attempt { request, ordinal, flags, .. } = self.attempts[slot];
            self.retire(slot);
            if flags & DROPPED == 0 {
                let upstream = Upstream::Fail(Failure::new(FailureKind::Reset, 0));
                let attempt = AttemptId { request, ordinal };
                return Some(News { attempt, upstream, last: true });
            }
        }
    }

    /// Takes a call out of the queue or out of service and settles its quota; whoever calls
    /// decides about the slot and about who is next.
    fn stop(&mut self, now: Time, slot: u32) {
        let attempt = &self.attempts[slot];
        let produced = attempt.produced(now);
        let server = &mut self.servers[usize::from(attempt.deployment)];
        if let Stage::Queued = attempt.stage {
            let at = server.queue.iter().position(|&waiting| waiting == slot);
            server.queue.remove(at.expect("a queued call stands in its queue"));
        } else {
            server.in_service -= 1;
        }
        self.settle(now, slot, produced);
    }

    /// Serves who waits, while there is room.
    fn fill(&mut self, now: Time, agenda: &mut Agenda, deployment: u16) {
        loop {
            let server = &mut self.servers[usize::from(deployment)];
            if server.in_service >= server.concurrency {
                return;
            }
            let next = match server.when_full {
                WhenFull::Queue { order: Order::Fifo, .. } => server.queue.pop_front(),
                WhenFull::Queue { order: Order::Lifo, .. } => server.queue.pop_back(),
                WhenFull::Refuse => None,
            };
            let Some(slot) = next else { return };
            server.in_service += 1;
            let first_at = now + self.first_token(now, slot);
            let attempt = &mut self.attempts[slot];
            if attempt.flags & DUE != 0 {
                attempt.stage = Stage::Connecting { first_at };
            } else {
                attempt.stage = Stage::Prefill;
                self.schedule(agenda, slot, first_at);
            }
        }
    }

    fn settle(&mut self, now: Time, slot: u32, output: u32) {
        let Attempt { deployment, reserved, window, .. } = self.attempts[slot];
        if let Some(book) = self.servers[usize::from(deployment)].book {
            self.books[book].settle(now, Admission { reserved, window }, output);
        }
    }

    /// How long the first token takes once work begins.
    fn first_token(&mut self, now: Time, slot: u32) -> Span {
        let unread = self.unread(now, slot);
        let Attempt { request, ordinal, deployment, .. } = self.attempts[slot];
        let on = DeploymentId::at(deployment.into());
        let slow = self.faults.slow(now, Victim { request, ordinal, deployment: on });
        let pace = &self.servers[usize::from(deployment)].pace;
        let took = self.draws.first_token(pace, request, ordinal, on, unread, slow.first_token);
        took + slow.delay
    }

    /// How many tokens of a call's prompt are left to be read, where some may be kept.
    fn unread(&mut self, now: Time, slot: u32) -> u32 {
        let Attempt { request, input, deployment, .. } = self.attempts[slot];
        match &mut self.servers[usize::from(deployment)].cache {
            Some(cache) => input - cache.find(now, slot, self.conversations.of(request), input),
            None => input,
        }
    }

    /// A call's prompt was read, and may be kept.
    fn keep(&mut self, now: Time, slot: u32) {
        let Attempt { request, input, deployment, .. } = self.attempts[slot];
        if let Some(cache) = &mut self.servers[usize::from(deployment)].cache {
            cache.write(now, self.conversations.of(request), input);
        }
    }

    /// Nanoseconds from one token to the next, at the load of this moment.
    fn per_token(&mut self, now: Time, slot: u32) -> u32 {
        let Attempt { request, ordinal, deployment, .. } = self.attempts[slot];
        let on = DeploymentId::at(deployment.into());
        let slow = self.faults.slow(now, Victim { request, ordinal, deployment: on });
        let server = &self.servers[usize::from(deployment)];
        let (pace, load) = (&server.pace, server.in_service);
        self.draws.per_token(pace, request, ordinal, on, load, slow.per_token)
    }

    fn schedule(&mut self, agenda: &mut Agenda, slot: u32, at: Time) {
        self.attempts[slot].flags |= DUE;
        agenda.schedule(at, Due::News(slot));
    }

    /// The next sign of life, or the end.
    fn schedule_next(&mut self, now: Time, agenda: &mut Agenda, slot: u32, end_at: Time) {
        let attempt = &self.attempts[slot];
        let beat = self.beats[usize::from(attempt.beat)];
        let heard = attempt.flags & (STREAMS | DROPPED) == STREAMS && !beat.is_zero();
        self.schedule(agenda, slot, if heard { end_at.min(now + beat) } else { end_at });
    }

    fn beat(&mut self, beat: Span) -> u8 {
        let known = self.beats.iter().position(|&b| b == beat);
        let index = known.unwrap_or_else(|| {
            self.beats.push(beat);
            self.beats.len() - 1
        });
        u8::try_from(index).expect("a configuration has at most 64 groups")
    }

    /// Lets go of a call that is over: at once, or at the event the agenda still holds of it.
    fn retire(&mut self, slot: u32) {
        self.attempts[slot].stage = Stage::Dead;
        if self.attempts[slot].flags & DUE == 0 {
            self.attempts.remove(slot);
        }
    }

    /// Gives a slot back whose event was its last.
    fn free(&mut self, slot: u32) {
        self.attempts[slot].stage = Stage::Dead;
        self.attempts.remove(slot);
    }
}
