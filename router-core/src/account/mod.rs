//! On whose account requests are made: what each subject has used, and may use.
//!
//! Subjects that have or had an entry of their own have a fixed place; the others share a table of
//! `router.accounts` places. An account that is whole (its rates full, nothing spent in the period,
//! nobody in flight) says no more than a new one, so its place may be taken by another at any
//! time, and nobody can tell.

mod heard;
mod hook;
mod spend;

use alloc::collections::{BTreeMap, BinaryHeap};
use alloc::vec::Vec;
use core::cmp::Reverse;

pub(crate) use heard::{Heard, Whom};
pub(crate) use hook::Obstacle;
pub(crate) use spend::{Cost, Spend};

use crate::flight::NEVER;
use crate::limit::{Charge, Limit};
use crate::{Config, Level, LimitSpec, Observation, Span, Subject, Table, Time};

/// Budgets of one subject at most.
pub(crate) const BUDGETS: usize = 2;

/// Kinds of subjects at most.
pub(crate) const KINDS: usize = 4;

/// What one subject has used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Account {
    pub(crate) kind: u8,
    pub(crate) number: u32,
    /// Requests in flight on it, dispatched or not.
    held: u32,
    /// When its place may be taken, at the earliest; `None` if it stands on no list: it has an
    /// entry of its own, or somebody was in flight on it when the list was looked through.
    due: Option<Time>,
    pub(crate) limit: Limit,
    /// Since when its limit's counters count: then its rates were whole.
    pub(crate) since: Time,
    pub(crate) spends: [Spend; BUDGETS],
}

/// Now, and how long ago the first period of every budget began.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    pub(crate) now: Time,
    pub(crate) elapsed: Span,
    /// Whether peers are silent and nobody may take from what they share.
    pub(crate) closed: bool,
}

impl Clock {
    /// The instant at which so much has elapsed.
    fn at(self, elapsed: Span) -> Time {
        let ahead = elapsed.as_nanos().saturating_sub(self.elapsed.as_nanos());
        self.now + Span::from_nanos(ahead)
    }
}

/// Every account.
#[derive(Clone, Debug)]
pub(crate) struct Accounts {
    pub(crate) accounts: Vec<Account>,
    /// Where the named ones of each kind begin, and behind them the others.
    named: Vec<usize>,
    /// The places of the others by kind and number, and those that nobody has any more.
    places: Table,
    free: Vec<u32>,
    /// The others that may be whole, by when they are, at the earliest.
    idle: BinaryHeap<Reverse<(Time, u32)>>,
    /// What peers have said of each account, whether it has a place or not.
    pub(crate) heard: BTreeMap<Whom, Heard>,
}

const fn key(kind: u8, number: u32) -> u64 {
    (kind as u64) << 48 | (number as u64) << 8
}

impl Accounts {
    pub(crate) fn new(config: &Config) -> Self {
        let mut accounts = Vec::new();
        let mut named = Vec::new();
        for (kind, known) in config.kinds().iter().enumerate() {
            named.push(accounts.len());
            let numbers = 1..=known.named.len() as u32;
            let account = |number| Account::new(kind as u8, number, known.subject(number));
            accounts.extend(numbers.map(account));
        }
        named.push(accounts.len());
        let room = if named.len() > 1 { config.router().accounts as usize } else { 0 };
        accounts.reserve_exact(room);
        let (places, idle) = (Table::with_capacity(room), BinaryHeap::with_capacity(room));
        let (free, heard) = (Vec::with_capacity(room), BTreeMap::new());
        Self { accounts, named, places, free, idle, heard }
    }

    pub(crate) fn of(&self, place: u32) -> &Account {
        &self.accounts[place as usize]
    }

    pub(crate) fn of_mut(&mut self, place: u32) -> &mut Account {
        &mut self.accounts[place as usize]
    }

    /// Where a subject's account is, if it has one.
    pub(crate) fn find(&self, kind: usize, number: u32) -> Option<u32> {
        let (from, to) = (*self.named.get(kind)?, *self.named.get(kind + 1)?);
        let place = from + (number as usize).checked_sub(1)?;
        if place < to {
            return Some(place as u32);
        }
        self.places.find(key(kind as u8, number), |place| self.key_of(place))
    }

    fn is_named(&self, place: u32) -> bool {
        self.named.last().is_some_and(|&named| (place as usize) < named)
    }

    fn key_of(&self, place: u32) -> u64 {
        let account = self.of(place);
        key(account.kind, account.number)
    }

    /// A subject's account, which is made if there is none; `None` if there is no place for it:
    /// as many others say more than a new one would as may have places.
    pub(crate) fn open(
        &mut self,
        config: &Config,
        kind: usize,
        number: u32,
        clock: Clock,
    ) -> Option<u32> {
        let room = config.router().accounts as usize;
        loop {
            match self.find(kind, number) {
                // Beyond the room, after a change, whoever is whole gives its place up.
                Some(place)
                    if self.places.len() <= room
                        || self.is_named(place)
                        || self.of(place).is_known(config, clock) =>
                {
                    return Some(place);
                }
                None if self.places.len() < room => {
                    return Some(self.seat(config, kind, number, clock));
                }
                Some(_) | None => self.forget(config, clock)?,
            }
        }
    }

    /// A new account, whether there is room for it or not.
    pub(crate) fn seat(&mut self, config: &Config, kind: usize, number: u32, clock: Clock) -> u32 {
        if self.places.len() == self.places.capacity() {
            self.grow();
        }
        let fresh = Account::new(kind as u8, number, config.policy(kind, number));
        let fresh = Account { due: Some(clock.now), ..fresh };
        let place = match self.free.pop() {
            Some(place) => {
                *self.of_mut(place) = fresh;
                place
            }
            None => {
                self.accounts.push(fresh);
                (self.accounts.len() - 1) as u32
            }
        };
        self.places.insert(key(kind as u8, number), place);
        self.idle.push(Reverse((clock.now, place)));
        place
    }

    /// Nobody is forgotten because another configuration has less room.
    #[cold]
    fn grow(&mut self) {
        let mut places = Table::with_capacity(self.places.capacity() * 2 + 1);
        let named = self.named.last().copied().unwrap_or(0);
        for place in named as u32..self.accounts.len() as u32 {
            if !self.free.contains(&place) {
                places.insert(self.key_of(place), place);
            }
        }
        self.places = places;
    }

    /// Takes a whole account's place, if there is one. The list holds lower bounds, which are
    /// raised as they come up.
    fn forget(&mut self, config: &Config, clock: Clock) -> Option<()> {
        while let Some(&Reverse((due, place))) = self.idle.peek() {
            if due > clock.now {
                return None;
            }
            self.idle.pop();
            let account = &mut self.accounts[place as usize];
            if account.held > 0 {
                account.due = None;
                continue;
            }
            let whole = account.whole_at(config, clock);
            if whole > clock.now {
                account.due = Some(whole);
                self.idle.push(Reverse((whole, place)));
                continue;
            }
            let gone = self.key_of(place);
            let accounts = &self.accounts;
            let key_of = |p: u32| key(accounts[p as usize].kind, accounts[p as usize].number);
            self.places.remove(gone, key_of);
            self.free.push(place);
            return Some(());
        }
        None
    }

    /// A request is made on an account.
    pub(crate) fn hold(&mut self, place: u32) {
        self.of_mut(place).held += 1;
    }

    /// That request is over.
    pub(crate) fn release(&mut self, place: u32, now: Time) {
        let named = self.is_named(place);
        let account = self.of_mut(place);
        assert!(account.held > 0, "a release pairs with a hold");
        account.held -= 1;
        if account.held == 0 && account.due.is_none() && !named {
            account.due = Some(now);
            self.idle.push(Reverse((now, place)));
        }
    }

    /// An account was given something back while nobody was in flight on it: it may be whole
    /// earlier than was known.
    #[cold]
    pub(crate) fn relist(&mut self, place: u32, now: Time) {
        let account = self.of_mut(place);
        if account.due.is_some_and(|due| due > now) {
            account.due = Some(now);
            self.idle.retain(|Reverse((_, listed))| *listed != place);
            self.idle.push(Reverse((now, place)));
        }
    }

    /// The same under other policies, without what is reserved: that is entered anew by the
    /// caller. Names stay where they are, but kinds may be new, so the tables are as well.
    pub(crate) fn revised(&self, last: &Config, next: &Config, clock: Clock) -> Self {
        let mut revised = Self::new(next);
        let known = self.accounts.iter().filter(|account| account.is_known(last, clock));
        for account in known {
            let (kind, number) = (usize::from(account.kind), account.number);
            let place = revised.find(kind, number);
            let place = place.unwrap_or_else(|| revised.seat(next, kind, number, clock));
            let account = account.revised(last, next, clock);
            let due = revised.of(place).due;
            *revised.of_mut(place) = Account { due, ..account };
        }
        revised.take_heard(self, last, next);
        revised
    }
}

impl Account {
    fn new(kind: u8, number: u32, policy: Option<&Subject>) -> Self {
        let limit =
            policy.map_or_else(|| Limit::new(&LimitSpec::default()), |s| Limit::new(&s.limit));
        let (since, spends) = (Time::ZERO, [Spend::default(); BUDGETS]);
        Self { kind, number, held: 0, due: None, limit, since, spends }
    }

    /// The same under other policies: a window that changed starts empty.
    fn revised(&self, last: &Config, next: &Config, clock: Clock) -> Self {
        let (kind, number) = (usize::from(self.kind), self.number);
        let (was, is) = (last.policy(kind, number), next.policy(kind, number));
        let mut account = *self;
        let none = LimitSpec::default();
        account.limit.revise(is.map_or(&none, |subject| &subject.limit));
        for (index, spend) in account.spends.iter_mut().enumerate() {
            let budget = |subject: Option<&Subject>| subject?.budgets.get(index).copied();
            let window = |b: crate::BudgetSpec| (b.unit, b.period);
            *spend = match (budget(was), budget(is)) {
                (Some(was), Some(is)) if window(was) == window(is) => {
                    Spend { reserved: 0, ..spend.rolled(&was, clock.elapsed) }
                }
                (_, Some(is)) => {
                    Spend { period: spend::index(&is, clock.elapsed), ..Spend::default() }
                }
                (_, None) => Spend::default(),
            };
        }
        account
    }

    /// Whether there is something that a new account would not say.
    pub(crate) fn is_known(&self, config: &Config, clock: Clock) -> bool {
        self.held > 0 || self.whole_at(config, clock) > clock.now
    }

    /// When it will be whole, if nothing else is taken; at the latest now.
    fn whole_at(&self, config: &Config, clock: Clock) -> Time {
        let rates = self.limit.whole_at().max(clock.now);
        let Some(policy) = config.policy(self.kind.into(), self.number) else { return rates };
        let budgets = policy.budgets.iter().zip(&self.spends);
        let ends = budgets.map(|(spec, spend)| spend.rolled(spec, clock.elapsed).whole_at(spec));
        ends.max().map_or(rates, |end| rates.max(clock.at(end)))
    }

    /// Whether every budget that refuses can take `cost`.
    pub(crate) fn affords(&self, policy: &Subject, cost: Cost, clock: Clock) -> bool {
        policy.budgets.iter().zip(&self.spends).all(|(spec, spend)| {
            let cost = cost.in_unit(spec.unit);
            let withheld = clock.closed && spec.hard && cost > 0;
            !withheld && spend.rolled(spec, clock.elapsed).admits(spec, cost)
        })
    }

    /// When every budget can, if nothing else is spent, and what is reserved is given back or
    /// `stays`; `None` if one never can.
    pub(crate) fn affords_at(
        &self,
        policy: &Subject,
        cost: Cost,
        clock: Clock,
        stays: bool,
    ) -> Option<Time> {
        policy.budgets.iter().zip(&self.spends).try_fold(clock.now, |latest, (spec, spend)| {
            if clock.closed && spec.hard && cost.in_unit(spec.unit) > 0 {
                return None;
            }
            let spend = spend.rolled(spec, clock.elapsed);
            let spend = if stays { spend } else { Spend { reserved: 0, ..spend } };
            let at = spend.earliest(spec, cost.in_unit(spec.unit), clock.elapsed)?;
            Some(latest.max(clock.at(at)))
        })
    }

    /// Takes what an attempt reserves; its request's first also takes a place.
    pub(crate) fn reserve(
        &mut self,
        policy: Option<&Subject>,
        (charge, cost): (Charge, Cost),
        clock: Clock,
    ) {
        let whole = self.limit.whole_at() <= clock.now;
        if whole {
            self.since = clock.now;
        }
        self.limit.charge(charge, clock.now);
        self.limit.count(charge, whole);
        if charge.requests > 0 {
            self.limit.occupy();
        }
        self.set_aside(policy, cost);
    }

    /// Takes what an attempt reserves of budgets.
    pub(crate) fn set_aside(&mut self, policy: Option<&Subject>, cost: Cost) {
        for (spec, spend) in policy.iter().flat_map(|p| &p.budgets).zip(&mut self.spends) {
            spend.reserved = spend.reserved.saturating_add(cost.in_unit(spec.unit));
        }
    }

    /// From what an attempt reserved to what it used.
    pub(crate) fn settle(
        &mut self,
        policy: Option<&Subject>,
        (reserved, used): ((Charge, Cost), (Charge, Cost)),
        clock: Clock,
    ) {
        self.limit.correct(reserved.0, used.0, clock.now);
        for (spec, spend) in policy.iter().flat_map(|p| &p.budgets).zip(&mut self.spends) {
            *spend = spend.rolled(spec, clock.elapsed);
            spend.reserved = spend.reserved.saturating_sub(reserved.1.in_unit(spec.unit));
            spend.spent = spend.spent.saturating_add(used.1.in_unit(spec.unit));
            spend.own = spend.own.saturating_add(used.1.in_unit(spec.unit));
        }
    }

    /// From what an attempt was charged, at `charged_at`, to what it used. What a period that is
    /// over was charged too much is no gift to this one.
    pub(crate) fn correct(
        &mut self,
        policy: Option<&Subject>,
        (charged, used): ((Charge, Cost), (Charge, Cost)),
        charged_at: Span,
        clock: Clock,
    ) {
        self.limit.correct(charged.0, used.0, clock.now);
        for (spec, spend) in policy.iter().flat_map(|p| &p.budgets).zip(&mut self.spends) {
            *spend = spend.rolled(spec, clock.elapsed);
            let (was, is) = (charged.1.in_unit(spec.unit), used.1.in_unit(spec.unit));
            if is >= was {
                spend.spent = spend.spent.saturating_add(is - was);
                spend.own = spend.own.saturating_add(is - was);
            } else if spend::index(spec, charged_at) == spend.period {
                spend.spent = spend.spent.saturating_sub(was - is);
                spend.own = spend.own.saturating_sub(was - is);
            }
        }
    }

    /// What is to be told of its budgets after something was spent, each level once per period.
    pub(crate) fn news(&mut self, policy: Option<&Subject>, mut tell: impl FnMut(Observation)) {
        for (index, spec) in policy.iter().flat_map(|p| &p.budgets).enumerate().take(BUDGETS) {
            let spend = &mut self.spends[index];
            let reached = [
                (Level::Soft, spec.soft.reached_by(spend.spent, spec.amount)),
                (Level::Hard, spend.spent >= spec.amount),
            ];
            for (level, reached) in reached {
                if reached && spend.told & 1 << level as u8 == 0 {
                    spend.told |= 1 << level as u8;
                    tell(Observation::Budget {
                        kind: self.kind,
                        subject: self.number,
                        budget: index as u8,
                        level,
                        spent: spend.spent,
                    });
                }
            }
        }
    }

    /// The same, of those that have no room for `cost`.
    #[cold]
    pub(crate) fn refusals(
        &mut self,
        policy: &Subject,
        cost: Cost,
        clock: Clock,
        mut tell: impl FnMut(Observation),
    ) {
        for (index, spec) in policy.budgets.iter().enumerate().take(BUDGETS) {
            let spend = &mut self.spends[index];
            *spend = spend.rolled(spec, clock.elapsed);
            let hard = 1 << Level::Hard as u8;
            if !spend.admits(spec, cost.in_unit(spec.unit)) && spend.told & hard == 0 {
                spend.told |= hard;
                let (kind, subject, spent) = (self.kind, self.number, spend.spent);
                let (budget, level) = (index as u8, Level::Hard);
                tell(Observation::Budget { kind, subject, budget, level, spent });
            }
        }
    }
}

/// The accounts that a request is made on, and what its attempts reserve there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Payer {
    pub(crate) subjects: [u32; KINDS],
    /// Where the account of each is, or [`NEVER`].
    pub(crate) places: [u32; KINDS],
    /// What each of two live attempts reserves, in pico-dollars, by the lowest bit of its ordinal:
    /// a hedge comes right after the attempt that it is beside.
    pub(crate) reserved: [u64; 2],
}

impl Payer {
    pub(crate) const NONE: Self =
        Self { subjects: [0; KINDS], places: [NEVER; KINDS], reserved: [0; 2] };

    /// The places of its accounts, with their kinds.
    pub(crate) fn accounts(&self) -> impl Iterator<Item = (usize, u32)> + use<> {
        self.places.into_iter().enumerate().filter(|(_, place)| *place != NEVER)
    }
}
