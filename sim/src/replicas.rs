//! Several routers in one world, and the store over which they tell each other what they have used.
//!
//! To the world they are one: each request goes to one of them, at random, and so does all news of
//! it. Each has books of its own, is watched by itself, and publishes at an interval; what is
//! published reaches the others after a delay, unless it is lost or the store is down.

use std::collections::VecDeque;
use std::sync::Arc;

use router_core::{
    Brain, Config, Consumption, Counter, Input, Journal, Key, LimitId, Output, Outputs, Purpose,
    Rate, RequestId, Restart, Router, Seed, Time, TimerKind, Wakeup,
};

use crate::plan::{Effect, Fault, Plan, Replicated};
use crate::sample::Chance;

/// Which of a client's draws, of an entity that no call has: to which replica a request goes, and
/// whether what one publishes is lost.
const SPREAD: Counter = Counter { request: 0, entity: 1, attempt: 0, index: 0 };
const LOSS: Counter = Counter { request: 0, entity: 2, attempt: 0, index: 0 };

/// The routers of a world: one, or several that share their limits. Each is watched by a `W`.
#[derive(Clone, Debug)]
pub struct Replicas<W> {
    plan: Replicated,
    key: Key,
    loss: Chance,
    all: Vec<Replica<W>>,
    /// What was published and has not arrived, oldest first.
    mail: VecDeque<Mail>,
    /// The faults of the store, with their places in the plan.
    faults: Vec<(usize, Fault)>,
    meters: Vec<Option<Meter>>,
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
    /// For every limit on requests the most that all replicas together dispatched in any window
    /// beyond its burst and rate; zero if they kept to it.
    pub overshoot: Vec<(LimitId, u64)>,
    /// How many messages each fault of the plan kept from arriving.
    pub fired: Vec<u64>,
}

#[derive(Clone, Debug)]
struct Replica<W> {
    router: Router,
    watcher: W,
    /// When it publishes next, and how often it has.
    publishes: Time,
    published: u64,
    /// What the store last heard of it.
    known: Vec<Consumption>,
}

#[derive(Clone, Debug)]
struct Mail {
    at: Time,
    from: usize,
    news: Vec<Consumption>,
}

/// One bucket for all replicas, in exact integers: a request raises its level by the period, a
/// nanosecond lowers it by the amount.
#[derive(Clone, Copy, Debug)]
struct Meter {
    rate: Rate,
    level: u128,
    at: Time,
    /// The most that the level was above the burst.
    excess: u128,
}

impl Meter {
    const fn new(rate: Rate) -> Self {
        Self { rate, level: 0, at: Time::ZERO, excess: 0 }
    }

    fn take(&mut self, now: Time) {
        let Rate { amount, period, burst } = self.rate;
        let leaked = u128::from(amount) * u128::from(now.since(self.at).as_nanos());
        let period = u128::from(period.as_nanos());
        self.level = self.level.saturating_sub(leaked) + period;
        self.at = now;
        let depth = u128::from(burst.unwrap_or(amount)) * period;
        self.excess = self.excess.max(self.level.saturating_sub(depth));
    }

    /// In whole requests; what is less than one is the rounding of an instant.
    fn overshoot(&self) -> u64 {
        (self.excess / u128::from(self.rate.period.as_nanos())) as u64
    }
}

impl<W: Journal> Replicas<W> {
    /// The routers that `plan` asks for, all of `config`; each draws from `seed` in its own way, the
    /// first as a lone router would. `watch` is told each one's seed.
    pub fn new(
        plan: &Plan,
        config: &Arc<Config>,
        seed: u64,
        mut watch: impl FnMut(Seed) -> W,
    ) -> Self {
        let replicated = plan.replicas.unwrap_or(Replicated::LONE);
        let count = u64::from(replicated.count.max(1));
        let replica = |index: u64| {
            let seed = Seed::from_u64(seed ^ index << 48);
            Replica {
                router: Router::new(Arc::clone(config), seed, Time::ZERO),
                watcher: watch(seed),
                publishes: if count > 1 { Time::ZERO } else { Time::MAX },
                published: 0,
                known: Vec::new(),
            }
        };
        let faults = plan.faults.iter().cloned().enumerate();
        let several = count > 1;
        let meters = config.limits().iter().map(|limit| limit.whole.requests.map(Meter::new));
        Self {
            key: plan.seed.key(Purpose::Client),
            loss: Chance::new(replicated.loss),
            plan: replicated,
            all: (0..count).map(replica).collect(),
            mail: VecDeque::new(),
            faults: faults.filter(|(_, fault)| matches!(fault.effect, Effect::Store)).collect(),
            meters: if several { meters.collect() } else { Vec::new() },
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
        let meters = self.meters.iter().enumerate();
        let meters = meters.filter_map(|(index, meter)| Some((LimitId::at(index), (*meter)?)));
        let overshoot = meters.map(|(limit, meter)| (limit, meter.overshoot())).collect();
        (self.count() > 1).then(|| ReplicaLog { overshoot, ..self.log.clone() })
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
        match self.all.len() as u64 {
            1 => 0,
            count => self.key.below(count, counter) as usize,
        }
    }

    fn feed(&mut self, place: usize, now: Time, input: Input) {
        let Replica { router, watcher, .. } = &mut self.all[place];
        watcher.input(now, &input);
        let first = self.outputs.len();
        for output in router.handle(now, input) {
            watcher.output(now, &output);
            self.outputs.push(output);
        }
        if self.meters.is_empty() {
            return;
        }
        for output in &self.outputs[first..] {
            let Output::Dispatch(dispatch) = output else { continue };
            for limit in &router.config().deployment(dispatch.deployment).limits {
                if let Some(Some(meter)) = self.meters.get_mut(limit.index()) {
                    meter.take(now);
                }
            }
        }
    }

    /// What has arrived is told, who is to publish does, and then time passes for those who wait.
    fn tick(&mut self, now: Time) {
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
        if let Some((fault, _)) = self.faults.iter().find(|(_, fault)| down(fault)) {
            self.log.fired[*fault] += 1;
            self.log.lost += 1;
            return;
        }
        let request = number << 16 | place as u64;
        if self.loss.hit(|| self.key.word(Counter { request, ..LOSS })) {
            self.log.lost += 1;
            return;
        }
        let name = place as u16;
        let alive = Consumption::Alive { replica: name };
        let news: Vec<_> = replica.router.consumption(name).chain([alive]).collect();
        replica.known.clone_from(&news);
        self.mail.push_back(Mail { at: now + self.plan.delay, from: place, news });
    }
}

impl<W: Journal> Brain for Replicas<W> {
    fn handle(&mut self, now: Time, input: Input) -> Outputs<'_> {
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
        let own = self.all.iter().filter_map(|replica| replica.router.next_wakeup());
        let first = own.min_by_key(|wakeup| wakeup.at);
        let store = self.all.iter().map(|replica| replica.publishes);
        let store = store.chain(self.mail.front().map(|mail| mail.at)).min()?;
        match first {
            Some(wakeup) if wakeup.at <= store => Some(wakeup),
            // Nobody asks what for; news of the store is what a retry waits for, too.
            Some(_) | None if store < Time::MAX => {
                Some(Wakeup { at: store, reason: TimerKind::Retry })
            }
            Some(_) | None => None,
        }
    }

    /// All of them are started anew. What the store knows of one is given back to it, so that its
    /// counters go on.
    fn restart(&mut self, now: Time, restart: Restart) {
        for place in 0..self.all.len() {
            let replica = &mut self.all[place];
            replica.watcher.restart(now, restart);
            replica.router.restart(now, restart);
            let known = std::mem::take(&mut replica.known);
            for news in known {
                let Consumption::Used { limit, requests, input_tokens, output_tokens, .. } = news
                else {
                    continue;
                };
                let own = Consumption::Own { limit, requests, input_tokens, output_tokens };
                self.feed(place, now, Input::Peers(own));
            }
        }
    }
}
