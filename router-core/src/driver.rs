//! The one loop body every driver runs.

use alloc::vec::Vec;

use crate::{
    Abandon, AttemptId, Call, Dispatch, Input, Observation, Outcome, Output, RequestId, Time,
    TimerKind,
};

/// When a brain wants [`Input::Tick`], and what for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Wakeup {
    /// When.
    pub at: Time,
    /// What for.
    pub reason: TimerKind,
}

/// Something that routes: [`crate::Router`], or a model of another router put into the same
/// world.
pub trait Brain {
    /// Feeds one input: the only mutation.
    fn handle(&mut self, now: Time, input: Input) -> Outputs<'_>;
    /// When the brain next needs [`Input::Tick`]. Sleeping exactly until then is enough.
    fn next_wakeup(&self) -> Option<Wakeup>;
    /// Its process ends, and another begins. Nothing is in flight: what was, was cancelled. A
    /// brain without a word on this remembers everything.
    fn restart(&mut self, _now: Time, _anew: Anew) {}
    /// Which of the routers that this stands for has a request, the first being 0.
    fn replica_of(&self, _request: RequestId) -> u16 {
        0
    }
}

/// Who is started anew, and with what.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Anew {
    /// What it begins with.
    pub with: Restart,
    /// Which of several routers alone, the first being 0; absent, all at once.
    pub replica: Option<u16>,
}

/// What a router that is started anew begins with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Restart {
    /// What a snapshot kept of the one before.
    Restored,
    /// Nothing.
    Empty,
}

/// The outputs of one input, in the order they are to be performed.
///
/// It borrows the brain, so the next input cannot be fed before these are seen.
/// Outputs left undrained are not lost; the next call yields them first.
#[derive(Debug)]
#[must_use = "outputs are instructions: perform them before the next input"]
pub struct Outputs<'a> {
    list: &'a mut Vec<Output>,
    next: usize,
}

impl<'a> Outputs<'a> {
    /// Lends out a list of outputs.
    pub const fn new(list: &'a mut Vec<Output>) -> Self {
        Self { list, next: 0 }
    }

    /// Those that are still to be performed.
    pub fn rest(&self) -> &[Output] {
        &self.list[self.next..]
    }

    /// The next output where it lies: it is large, and whoever looks at it once needs no copy.
    pub fn next_ref(&mut self) -> Option<&Output> {
        let output = self.list.get(self.next)?;
        self.next += 1;
        Some(output)
    }
}

impl Iterator for Outputs<'_> {
    type Item = Output;

    fn next(&mut self) -> Option<Output> {
        self.next_ref().copied()
    }
}

impl Drop for Outputs<'_> {
    /// Takes what was seen off the list.
    fn drop(&mut self) {
        if self.next == self.list.len() {
            self.list.clear();
        } else {
            self.list.drain(..self.next);
        }
    }
}

/// What a driver can do. The simulator schedules events; the gateway does I/O.
pub trait Effects {
    /// Opens an upstream call.
    fn dispatch(&mut self, now: Time, dispatch: Dispatch);
    /// Drops an upstream call.
    fn abandon(&mut self, now: Time, attempt: AttemptId, why: Abandon);
    /// Releases an attempt's bytes to the client.
    fn commit(&mut self, now: Time, attempt: AttemptId);
    /// Answers a client.
    fn finish(&mut self, now: Time, request: RequestId, outcome: Outcome);
    /// Passes news to whoever is watching.
    fn observe(&mut self, now: Time, observation: Observation);
}

/// Sees every input before the brain does and every output before it is performed: the
/// recorder, the auditor, the metrics, or several of them in a tuple.
pub trait Journal {
    /// About to be handled.
    fn input(&mut self, now: Time, input: &Input);
    /// About to be performed.
    fn output(&mut self, now: Time, output: &Output);
    /// A user's call is over. Told by drivers that know their clients' own retries: the
    /// simulator does; a gateway tells one call per request.
    fn call(&mut self, _now: Time, _call: &Call) {}
    /// The brain is started anew. From a snapshot it goes on as if nothing had happened.
    fn restart(&mut self, _now: Time, _restart: Restart) {}
    /// The process that has this request is about to be started anew: its connections are cut,
    /// of which the brain hears as if its client left.
    fn cut(&mut self, _now: Time, _request: RequestId, _anew: Anew) {}
}

impl Journal for () {
    fn input(&mut self, _: Time, _: &Input) {}
    fn output(&mut self, _: Time, _: &Output) {}
}

impl<J: Journal> Journal for Option<J> {
    fn input(&mut self, now: Time, input: &Input) {
        if let Some(journal) = self {
            journal.input(now, input);
        }
    }

    fn output(&mut self, now: Time, output: &Output) {
        if let Some(journal) = self {
            journal.output(now, output);
        }
    }

    fn call(&mut self, now: Time, call: &Call) {
        if let Some(journal) = self {
            journal.call(now, call);
        }
    }

    fn restart(&mut self, now: Time, restart: Restart) {
        if let Some(journal) = self {
            journal.restart(now, restart);
        }
    }

    fn cut(&mut self, now: Time, request: RequestId, anew: Anew) {
        if let Some(journal) = self {
            journal.cut(now, request, anew);
        }
    }
}

impl<A: Journal, B: Journal> Journal for (A, B) {
    fn input(&mut self, now: Time, input: &Input) {
        self.0.input(now, input);
        self.1.input(now, input);
    }

    fn output(&mut self, now: Time, output: &Output) {
        self.0.output(now, output);
        self.1.output(now, output);
    }

    fn call(&mut self, now: Time, call: &Call) {
        self.0.call(now, call);
        self.1.call(now, call);
    }

    fn restart(&mut self, now: Time, restart: Restart) {
        self.0.restart(now, restart);
        self.1.restart(now, restart);
    }

    fn cut(&mut self, now: Time, request: RequestId, anew: Anew) {
        self.0.cut(now, request, anew);
        self.1.cut(now, request, anew);
    }
}

/// A brain and its journal, stepped by whoever owns the clock.
#[derive(Clone, Debug)]
pub struct Driver<B, J = ()> {
    brain: B,
    journal: J,
}

impl<B: Brain, J: Journal> Driver<B, J> {
    /// Drives `brain`, writing to `journal`.
    pub const fn new(brain: B, journal: J) -> Self {
        Self { brain, journal }
    }

    /// The brain.
    pub const fn brain(&self) -> &B {
        &self.brain
    }

    /// What the journal holds.
    pub const fn journal(&self) -> &J {
        &self.journal
    }

    /// Takes the journal out, at the end.
    pub fn into_journal(self) -> J {
        self.journal
    }

    /// Tells the journal that a user's call is over.
    pub fn call(&mut self, now: Time, call: &Call) {
        self.journal.call(now, call);
    }

    /// Tells the journal that a request is cut, since the brain is about to be started anew.
    pub fn cut(&mut self, now: Time, request: RequestId, anew: Anew) {
        self.journal.cut(now, request, anew);
    }

    /// Starts the brain anew, with nothing in flight, and tells the journal. If it stands for
    /// several routers and but one of them is meant, it is the others' brain as before.
    pub fn restart(&mut self, now: Time, anew: Anew) {
        if anew.replica.is_none() {
            self.journal.restart(now, anew.with);
        }
        self.brain.restart(now, anew);
    }

    /// Feeds one input, performs everything it asks for, and says when to wake.
    pub fn step(&mut self, now: Time, input: Input, effects: &mut impl Effects) -> Option<Wakeup> {
        self.journal.input(now, &input);
        let mut outputs = self.brain.handle(now, input);
        while let Some(output) = outputs.next_ref() {
            self.journal.output(now, output);
            match *output {
                Output::Dispatch(dispatch) => effects.dispatch(now, dispatch),
                Output::Abandon(attempt, why) => effects.abandon(now, attempt, why),
                Output::Commit(attempt) => effects.commit(now, attempt),
                Output::Finish(request, outcome) => effects.finish(now, request, outcome),
                Output::Observe(observation) => effects.observe(now, observation),
            }
        }
        drop(outputs);
        self.brain.next_wakeup()
    }
}
