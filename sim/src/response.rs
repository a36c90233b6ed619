//! The response cache of the gateway: answers to questions that were asked before.
//!
//! It holds an answer for its time to live, and for a while beyond it as a stale one; of more
//! questions than it has room for, those asked last stay. What it holds goes with a request as
//! [`Cached`], and what becomes of that is the router's ladder's to say. With single flight only
//! one of several identical calls is under way: the others wait for what it gets.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use router_core::{Cached, Counter, Key, Outcome, Purpose, Request, RequestId, Time, Usage};

use crate::mix::Mix;
use crate::plan::{Plan, Repeats, ResponseCache};
use crate::sample::Chance;

/// Which of a client's draws: whether a call asks what others ask, and what.
const REPEATS: u32 = 16;
const QUESTION: u32 = 17;

/// What each call asks.
#[derive(Clone, Debug)]
pub(crate) struct Questions {
    key: Key,
    /// By demand.
    sources: Vec<Option<Source>>,
}

#[derive(Clone, Debug)]
struct Source {
    share: Chance,
    question: Mix,
}

impl Questions {
    pub(crate) fn new(plan: &Plan) -> Self {
        let of = |repeats: &Option<Repeats>| {
            let Repeats { keys, zipf, share } = *repeats.as_ref()?;
            Some(Source { share: Chance::new(share), question: Mix::zipf(keys, zipf, 1) })
        };
        Self {
            key: plan.seed.key(Purpose::Client),
            sources: plan.demands.iter().map(|demand| of(&demand.repeats)).collect(),
        }
    }

    /// The question of a call, whatever its try; zero is one that nobody else asks.
    pub(crate) fn of(&self, request: RequestId) -> u64 {
        let source = request.source();
        let Some(Some(asked)) = self.sources.get(usize::from(source)) else { return 0 };
        let word = |index| {
            let request = request.call().as_u64();
            self.key.word(Counter { request, index, ..Counter::default() })
        };
        if !asked.share.hit(|| word(REPEATS)) {
            return 0;
        }
        u64::from(source) << 32 | u64::from(asked.question.draw(|| word(QUESTION)))
    }
}

/// What the cache did over a run.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct CacheLog {
    /// Tries with a question that others ask for which there was a fresh answer.
    pub fresh: u64,
    /// Those for which there was a stale one.
    pub stale: u64,
    /// Those for which there was none.
    pub missed: u64,
    /// Answers that it took in.
    pub filled: u64,
    /// Answers that had to go for others.
    pub evicted: u64,
    /// Answers that a flush threw away.
    pub flushed: u64,
    /// Tries that waited for an identical one.
    pub waited: u64,
}

/// What is to become of a try.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Way {
    /// It goes to the router.
    Goes,
    /// It waits for an identical one.
    Waits,
}

/// What a try's end means for those that wait for it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Shared {
    /// They get this, and whether it is less than was asked for.
    pub(crate) outcome: Outcome,
    pub(crate) followers: VecDeque<RequestId>,
}

#[derive(Clone, Debug)]
pub(crate) struct Responses {
    spec: ResponseCache,
    held: Held,
    /// By question, who is under way for it, and who waits.
    flying: BTreeMap<u64, Flying>,
    /// Of each try that waits: its question.
    waiting: BTreeMap<RequestId, u64>,
    /// Tries that go to the router after all, at this very instant: whom they waited for left.
    pub(crate) ready: VecDeque<RequestId>,
    /// Calls whose first try waited and did not go to the router after all.
    pub(crate) unseen: BTreeSet<RequestId>,
    pub(crate) log: CacheLog,
}

#[derive(Clone, Debug)]
struct Flying {
    leader: RequestId,
    followers: VecDeque<RequestId>,
}

impl Responses {
    pub(crate) fn new(spec: ResponseCache) -> Self {
        Self {
            spec,
            held: Held::new(),
            flying: BTreeMap::new(),
            waiting: BTreeMap::new(),
            ready: VecDeque::new(),
            unseen: BTreeSet::new(),
            log: CacheLog::default(),
        }
    }

    /// A try is about to go to the router: what the cache has for it.
    pub(crate) fn ask(&mut self, now: Time, question: u64, request: &mut Request) -> Way {
        if question == 0 {
            return Way::Goes;
        }
        let age = self.held.touch(question).map(|filled| now.since(filled));
        request.cached = match age {
            Some(age) if age < self.spec.ttl => Cached::Fresh,
            Some(age) if age < self.spec.ttl + self.spec.stale_for => Cached::Stale,
            Some(_) | None => Cached::None,
        };
        let count = match request.cached {
            Cached::Fresh => &mut self.log.fresh,
            Cached::Stale => &mut self.log.stale,
            Cached::None => &mut self.log.missed,
        };
        *count += 1;
        if request.cached == Cached::Fresh || !self.spec.single_flight {
            return Way::Goes;
        }
        match self.flying.get_mut(&question) {
            Some(flying) => {
                flying.followers.push_back(request.id);
                self.waiting.insert(request.id, question);
                self.log.waited += 1;
                if request.id.client_try() == 0 {
                    self.unseen.insert(request.id.call());
                }
                Way::Waits
            }
            None => {
                let flying = Flying { leader: request.id, followers: VecDeque::new() };
                self.flying.insert(question, flying);
                Way::Goes
            }
        }
    }

    /// A try that waits is given up by its client; whether it waited.
    pub(crate) fn leave(&mut self, request: RequestId) -> bool {
        let Some(question) = self.waiting.remove(&request) else { return false };
        if let Some(flying) = self.flying.get_mut(&question) {
            flying.followers.retain(|follower| *follower != request);
        }
        true
    }

    /// The router answered a try: what it is to the cache, and to those that waited for it.
    pub(crate) fn finished(
        &mut self,
        now: Time,
        (request, question): (RequestId, u64),
        outcome: Outcome,
        degraded: bool,
    ) -> Option<Shared> {
        if question == 0 {
            return None;
        }
        let full = matches!(outcome, Outcome::Serve(..)) && !degraded;
        if full {
            let evicted = self.held.put(question, now, self.spec.size as usize);
            self.log.filled += 1;
            self.log.evicted += u64::from(evicted);
        }
        self.flying.get(&question).filter(|flying| flying.leader == request)?;
        let mut flying = self.flying.remove(&question)?;
        if outcome == Outcome::Cancel {
            // Its own client gave it up, which is no answer: another takes its place.
            let leader = flying.followers.pop_front()?;
            self.waiting.remove(&leader);
            self.ready.push_back(leader);
            self.flying.insert(question, Flying { leader, followers: flying.followers });
            return None;
        }
        for follower in &flying.followers {
            self.waiting.remove(follower);
        }
        let outcome = match outcome {
            Outcome::Serve(attempt, _) if degraded => Outcome::Serve(attempt, Usage::default()),
            Outcome::Serve(..) => Outcome::Cached { stale: false },
            Outcome::Partial(attempt, _) => Outcome::Partial(attempt, Usage::default()),
            other @ (Outcome::Exhaust(_)
            | Outcome::Reject(_)
            | Outcome::Expire
            | Outcome::Cancel
            | Outcome::Cached { .. }
            | Outcome::Static) => other,
        };
        Some(Shared { outcome, followers: core::mem::take(&mut flying.followers) })
    }

    /// Everything is thrown away: so many answers.
    pub(crate) fn flush(&mut self) -> u64 {
        let answers = self.held.places.len() as u64;
        self.log.flushed += answers;
        self.held = Held::new();
        answers
    }
}

/// Answers by question, in the order in which they were last asked for.
#[derive(Clone, Debug)]
struct Held {
    entries: Vec<Entry>,
    places: BTreeMap<u64, usize>,
    /// The one asked for last, and the one that was not for the longest.
    newest: usize,
    oldest: usize,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    question: u64,
    filled: Time,
    newer: usize,
    older: usize,
}

/// No such place.
const NOWHERE: usize = usize::MAX;

impl Held {
    const fn new() -> Self {
        Self { entries: Vec::new(), places: BTreeMap::new(), newest: NOWHERE, oldest: NOWHERE }
    }

    /// When the answer came, if there is one; it was asked for now.
    fn touch(&mut self, question: u64) -> Option<Time> {
        let place = *self.places.get(&question)?;
        self.unlink(place);
        self.link(place);
        Some(self.entries[place].filled)
    }

    /// Keeps an answer of now; whether another had to go for it.
    fn put(&mut self, question: u64, now: Time, room: usize) -> bool {
        if self.touch(question).is_some() {
            self.entries[self.newest].filled = now;
            return false;
        }
        let entry = Entry { question, filled: now, newer: NOWHERE, older: NOWHERE };
        let full = self.entries.len() >= room;
        let place = if full {
            let place = self.oldest;
            self.unlink(place);
            self.places.remove(&self.entries[place].question);
            self.entries[place] = entry;
            place
        } else {
            self.entries.push(entry);
            self.entries.len() - 1
        };
        self.places.insert(question, place);
        self.link(place);
        full
    }

    fn unlink(&mut self, place: usize) {
        let Entry { newer, older, .. } = self.entries[place];
        match self.entries.get_mut(newer) {
            Some(newer) => newer.older = older,
            None => self.newest = older,
        }
        match self.entries.get_mut(older) {
            Some(older) => older.newer = newer,
            None => self.oldest = newer,
        }
    }

    /// Puts a place that is in no list at its new end.
    fn link(&mut self, place: usize) {
        let before = self.newest;
        (self.entries[place].older, self.entries[place].newer) = (before, NOWHERE);
        match self.entries.get_mut(before) {
            Some(before) => before.newer = place,
            None => self.oldest = place,
        }
        self.newest = place;
    }
}
