//! Several routers in one world, and the store over which they tell each other what they have used.
//!
//! To the world they are one: each request goes to one of them, at random, and so does all news of
//! it. Each has books of its own, is watched by itself, and publishes at an interval; what is
//! published reaches the others after a delay, unless it is lost or the store is down.

mod meter;

use std::collections::VecDeque;
use std::sync::Arc;

use router_core::{
    Anew, Brain, Config, Consumption, Counter, DeploymentId, Input, Journal, Key, LimitSpec,
    Observation, Output, Outputs, Purpose, RequestId, Restart, Router, Seed, Span, Time, TimerKind,
    Wakeup,
};

use self::meter::Meters;
pub use self::meter::Overshoot;
use crate::plan::{Effect, Fault, Plan, Replicated, StoreFault};
use crate::sample::Chance;

/// Which of a client's draws, of an entity that no call has: to which replica a request goes, and
/// whether what one publishes is lost.
const SPREAD: Counter = Counter { request: 0, entity: 1, attempt: 0, index: 0 };
const LOSS: Counter = Counter { request: 0, entity: 2, attempt: 0, index: 0 };
const EVICT: Counter = Counter { request: 0, entity: 3, attempt: 0, index: 0 };

/// The routers of a world: one, or several that share their limits. Each is watched by a `W`.
#[derive(Clone, Debug)]
pub struct Replicas<W> {
    plan: Replicated,
    key: Key,
    loss: Chance,
    evict: Chance,
    all: Vec<Replica<W>>,
    /// What was published and has not arrived, oldest first.
    mail: VecDeque<Mail>,
    /// When the store is down, and when it throws all away, with the faults' places in the plan.
    outages: Vec<(usize, Fault)>,
    evictions: Vec<(usize, Time)>,
    /// How far back the store has to remember: what was used before that has come back.
    horizon: Span,
    /// For how long it remembers who is no more: until each of their periods is over.
    keeps: Span,
    /// What all take together, if there are several.
    meters: Option<Box<Meters>>,
    log: ReplicaLog,
    outputs: Vec<Output>,
}

/// What became of the replicas and their store.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ReplicaLog {
    /// Messages of one replica to all others that arrived.
    pub delivered: u64,
    /// Those that were lost by chance, or as the store was down.
    pub lost: u64,
    /// By how much they overshot what they share.
    pub overshoot: Overshoot,
    /// How many messages each fault of the plan kept from arriving.
    pub fired: Vec<u64>,
}

#[derive(Clone, Debug)]
struct Replica<W> {
    router: Router,
    watcher: W,
    /// What the others know it by.
    name: u16,
    /// When it publishes next, and how often it has.
    publishes: Time,
    published: u64,
    /// The rests that it has begun: of what, until when.
    rests: Vec<(DeploymentId, Option<u8>, Time)>,
    /// What the store remembers of it, oldest first.
    known: VecDeque<Word>,
    /// The same of those that it was before it was started anew.
    former: Vec<VecDeque<Word>>,
}

/// What was published, and when.
type Word = (Time, Vec<Consumption>);

#[derive(Clone, Debug)]
struct Mail {
    at: Time,
    from: usize,
    news: Vec<Consumption>,
}

impl<W: Journal> Replicas<W> {
    /// The routers that `plan` asks for, all of `config`; each draws from `seed` in its own way, the
    /// first as a lone router would. `watch` is told each one's seed and configuration.
    pub fn new(
        plan: &Plan,
        config: &Arc<Config>,
        seed: u64,
        mut watch: impl FnMut(Seed, &Arc<Config>) -> W,
    ) -> Self {
        let replicated = plan.replicas.unwrap_or(Replicated::LONE);
        let count = u64::from(replicated.count.max(1));
        let replica = |index: u64| {
            let seed = Seed::from_u64(seed ^ index << 48);
            let began = config.router().periods_began + replicated.ahead(index);
            let config = Arc::clone(config).begun(began);
            Replica {
                watcher: watch(seed, &config),
                router: Router::new(config, seed, Time::ZERO),
                name: index as u16,
                publishes: if count > 1 { Time::ZERO } else { Time::MAX },
                published: 0,
                rests: Vec::new(),
                known: VecDeque::new(),
                former: Vec::new(),
            }
        };
        let of_store = |what: StoreFault| {
            let faults = plan.faults.iter().cloned().enumerate();
            faults.filter(move |(_, f)| matches!(f.effect, Effect::Store(is) if is == what))
        };
        let evictions = of_store(StoreFault::Evict).map(|(place, fault)| (place, fault.from));
        let mut evictions: Vec<(usize, Time)> = evictions.filter(|_| count > 1).collect();
        let configs = || plan.reloads.iter().map(|next| &next.config).chain([config]);
        // The next one last.
        evictions.sort_by_key(|(_, at)| core::cmp::Reverse(*at));
        Self {
            key: plan.seed.key(Purpose::Client),
            loss: Chance::new(replicated.loss),
            evict: Chance::new(replicated.evict),
            plan: replicated,
            all: (0..count).map(replica).collect(),
            mail: VecDeque::new(),
            outages: of_store(StoreFault::Down).collect(),
            evictions,
            horizon: configs().map(horizon).max().unwrap_or_default(),
            keeps: configs().map(keeps).max().unwrap_or_default(),
            meters: (count > 1).then(|| Box::new(Meters::new(config))),
            log: ReplicaLog { fired: vec![0; plan.faults.len()], ..ReplicaLog::default() },
            outputs: Vec::new(),
        }
    }

    /// How many there are.
    pub const fn count(&self) -> usize {
        self.all.len()
    }

    /// What became of them; `None` of a lone one.
    pub fn log(&self) -> Option<ReplicaLog> {
        let overshoot = self.meters.as_ref()?.overshoot();
        Some(ReplicaLog { overshoot, ..self.log.clone() })
    }

    /// The routers.
    pub fn routers(&self) -> impl Iterator<Item = &Router> {
        self.all.iter().map(|replica| &replica.router)
    }

    /// Who watched them.
    pub fn watchers(&self) -> impl Iterator<Item = &W> {
        self.all.iter().map(|replica| &replica.watcher)
    }

    /// To whom a request goes: a client that tries again may meet another.
    fn place(&self, request: RequestId) -> usize {
        let counter = Counter { request: request.as_u64(), ..SPREAD };
        self.key.below(self.all.len() as u64, counter) as usize
    }

    fn feed(&mut self, place: usize, now: Time, input: Input) {
        let Replica { router, watcher, rests, .. } = &mut self.all[place];
        watcher.input(now, &input);
        if let Some(meters) = &mut self.meters {
            meters.input(router.config(), now, &input);
        }
        let first = self.outputs.len();
        for output in router.handle(now, input) {
            watcher.output(now, &output);
            self.outputs.push(output);
        }
        let Some(meters) = &mut self.meters else { return };
        for output in &self.outputs[first..] {
            meters.output(router.config(), now, output);
            if let Output::Observe(Observation::Rested { deployment, key, until, .. }) = *output {
                rests.push((deployment, key, until));
            }
        }
    }

    /// What has arrived is told, who is to publish does, and then time passes for those who wait.
    fn tick(&mut self, now: Time) {
        while let Some((fault, _)) = self.evictions.pop_if(|(_, at)| *at <= now) {
            self.log.fired[fault] += self.mail.len() as u64;
            self.log.lost += self.mail.len() as u64;
            self.mail.clear();
            self.all.iter_mut().for_each(Replica::is_forgotten);
        }
        while self.mail.front().is_some_and(|mail| mail.at <= now) {
            let Some(mail) = self.mail.pop_front() else { break };
            for place in (0..self.all.len()).filter(|place| *place != mail.from) {
                for news in &mail.news {
                    self.feed(place, now, Input::Peers(*news));
                }
            }
            self.log.delivered += 1;
        }
        for place in 0..self.all.len() {
            if self.all[place].publishes <= now {
                self.publish(place, now);
            }
            if self.all[place].router.next_wakeup().is_some_and(|wakeup| wakeup.at <= now) {
                self.feed(place, now, Input::Tick);
            }
        }
    }

    fn publish(&mut self, place: usize, now: Time) {
        let count = self.all.len() as u64;
        let replica = &mut self.all[place];
        // All at once when they start; then they take turns.
        let first = self.plan.publish.scale(place as u64 + 1, count);
        let rest = if replica.published == 0 { first } else { self.plan.publish };
        replica.publishes = now + rest;
        let number = replica.published;
        replica.published += 1;
        if replica.router.config().router().peers.is_none() {
            // It was not told that there are others.
            return;
        }
        let down = |fault: &Fault| now >= fault.from && fault.until.is_none_or(|until| now < until);
        if let Some((fault, _)) = self.outages.iter().find(|(_, fault)| down(fault)) {
            self.log.fired[*fault] += 1;
            self.log.lost += 1;
            return;
        }
        let request = number << 16 | place as u64;
        if self.loss.hit(|| self.key.word(Counter { request, ..LOSS })) {
            self.log.lost += 1;
            return;
        }
        let news = replica.news(now);
        if self.evict.hit(|| self.key.word(Counter { request, ..EVICT })) {
            replica.is_forgotten();
            self.log.lost += 1;
            return;
        }
        // Of what is older than the horizon the latest will do.
        while replica.known.get(1).is_some_and(|(at, _)| *at + self.horizon <= now) {
            replica.known.pop_front();
        }
        replica.known.push_back((now, news.clone()));
        self.mail.push_back(Mail { at: now + self.plan.delay, from: place, news });
    }

    /// What the store remembers is given back to a replica that is started anew: of itself, so
    /// that its counters go on, and of all others, dead and alive.
    fn give_back(&mut self, place: usize, now: Time) {
        let horizon = self.horizon;
        let ends = |replica: &Replica<W>| -> Vec<Consumption> {
            let each = replica.former.iter().chain([&replica.known]).flat_map(|words| {
                let last = words.back();
                // What they grew by before that has come back.
                let recent = last.is_some_and(|(at, _)| *at + horizon > now);
                words.front().filter(|_| recent).into_iter().chain(last)
            });
            each.flat_map(|(_, news)| news.clone()).collect()
        };
        for (from, news) in self.all.iter().map(ends).enumerate().collect::<Vec<_>>() {
            for said in news {
                let own = |said| match said {
                    Consumption::Used { limit, requests, input_tokens, output_tokens, .. } => {
                        Consumption::Own { limit, requests, input_tokens, output_tokens }
                    }
                    Consumption::Own { .. }
                    | Consumption::Alive { .. }
                    | Consumption::Taken { .. }
                    | Consumption::Spent { .. }
                    | Consumption::Resting { .. } => said,
                };
                let said = if from == place { own(said) } else { said };
                self.feed(place, now, Input::Peers(said));
            }
        }
    }
}

impl<W> Replica<W> {
    /// The store has thrown away what it was told.
    fn is_forgotten(&mut self) {
        self.known.clear();
        self.former.clear();
    }

    /// It has forgotten all: it is another one, of which nobody has heard.
    fn is_another(&mut self, name: u16, now: Time, keeps: Span) {
        (self.name, self.publishes) = (name, now);
        self.rests.clear();
        let mut words = std::mem::take(&mut self.known);
        // Its first word and its last are all that will be asked for.
        while words.len() > 2 {
            words.remove(1);
        }
        self.former.push(words);
        let is_over = |(at, _): &Word| *at + keeps <= now;
        self.former.retain(|words| words.back().is_some_and(|last| !is_over(last)));
    }

    /// All that it has to say of itself now.
    fn news(&mut self, now: Time) -> Vec<Consumption> {
        self.rests.retain(|(_, _, until)| *until > now);
        let rests = self.rests.iter();
        let rests =
            rests.filter_map(|(of, key, until)| self.router.resting(now, (*of, *key), *until));
        let alive = Consumption::Alive { replica: self.name };
        self.router.consumption(self.name).chain(rests).chain([alive]).collect()
    }
}

/// For how long what is used of a rate is missing from it.
fn horizon(config: &Arc<Config>) -> Span {
    config.limits().iter().map(|limit| longest(&limit.whole)).max().unwrap_or_default()
}

/// For how long what a subject has used or spent is missing, too.
fn keeps(config: &Arc<Config>) -> Span {
    let subjects = config.kinds().iter().flat_map(|kind| kind.named.iter().chain(&kind.others));
    let each = subjects.flat_map(|subject| {
        let budgets = subject.budgets.iter().map(|budget| budget.period);
        budgets.chain([longest(&subject.limit)])
    });
    each.max().unwrap_or_default().max(horizon(config))
}

/// The longest period of its rates.
fn longest(limit: &LimitSpec) -> Span {
    let rates = [limit.requests, limit.tokens, limit.input_tokens, limit.output_tokens];
    rates.into_iter().flatten().map(|rate| rate.period).max().unwrap_or_default()
}

impl<W: Journal> Brain for Replicas<W> {
    fn handle(&mut self, now: Time, input: Input) -> Outputs<'_> {
        if self.all.len() == 1 {
            // Its outputs need not be gathered.
            let Replica { router, watcher, .. } = &mut self.all[0];
            watcher.input(now, &input);
            let outputs = router.handle(now, input);
            outputs.rest().iter().for_each(|output| watcher.output(now, output));
            return outputs;
        }
        match &input {
            Input::Submit(request) => self.feed(self.place(request.id), now, input),
            Input::Cancel(request) => self.feed(self.place(*request), now, input),
            Input::Upstream(attempt, _) => self.feed(self.place(attempt.request), now, input),
            Input::Tick => self.tick(now),
            Input::Reconfigure(_) | Input::Peers(_) | Input::Drain => {
                (0..self.all.len()).for_each(|place| self.feed(place, now, input.clone()));
            }
        }
        Outputs::new(&mut self.outputs)
    }

    fn next_wakeup(&self) -> Option<Wakeup> {
        if let [lone] = self.all.as_slice() {
            return lone.router.next_wakeup();
        }
        let own = self.all.iter().filter_map(|replica| replica.router.next_wakeup());
        let first = own.min_by_key(|wakeup| wakeup.at);
        let store = self.all.iter().map(|replica| replica.publishes);
        let store = store.chain(self.mail.front().map(|mail| mail.at));
        let store = store.chain(self.evictions.iter().map(|(_, at)| *at)).min()?;
        match first {
            Some(wakeup) if wakeup.at <= store => Some(wakeup),
            // Nobody asks what for; news of the store is what a retry waits for, too.
            Some(_) | None if store < Time::MAX => {
                Some(Wakeup { at: store, reason: TimerKind::Retry })
            }
            Some(_) | None => None,
        }
    }

    fn replica_of(&self, request: RequestId) -> u16 {
        self.place(request) as u16
    }

    /// All of them are started anew, or one. Who has forgotten all gets another name, for its
    /// subjects' use counts from nothing, and publishes at once.
    fn restart(&mut self, now: Time, anew: Anew) {
        let count = self.all.len();
        let meant = |place: &usize| anew.replica.is_none_or(|one| usize::from(one) == *place);
        let places: Vec<usize> = (0..count).filter(meant).collect();
        for place in &places {
            let replica = &mut self.all[*place];
            replica.watcher.restart(now, anew.with);
            replica.router.restart(now, anew);
        }
        match anew.with {
            Restart::Restored => {}
            Restart::Empty => {
                places.iter().for_each(|place| self.give_back(*place, now));
                for place in places {
                    let replica = &mut self.all[place];
                    if replica.publishes < Time::MAX {
                        let name = replica.name.wrapping_add(count as u16);
                        replica.is_another(name, now, self.keeps);
                    }
                }
            }
        }
    }
}
