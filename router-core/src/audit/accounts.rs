//! The auditor's own accounts of subjects.
//!
//! Rates are kept as those of deployments are. Money and tokens are whole numbers and periods a
//! function of time, so budgets are known exactly; only where it is open whether the router still
//! had a place for an account are they not.

mod said;

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use self::said::Said;
use super::Answer;
use super::limits::{Bucket, Take, rates};
use crate::{
    BudgetSpec, BudgetUnit, Config, DeploymentId, Level, Measure, Price, Request, Span, Subject,
    Time,
};

/// A subject: its kind and number.
pub(super) type Who = (u8, u32);

/// What an attempt costs: pico-dollars and tokens.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Spent {
    pub(super) pico: u64,
    pub(super) tokens: u64,
}

impl Spent {
    /// What so many tokens cost; what the provider read from its cache costs less.
    pub(super) fn new(price: Price, take: Take, cached: u64) -> Self {
        let cached = cached.min(take.input);
        let wide = u128::from(price.input) * u128::from(take.input - cached)
            + u128::from(price.cached) * u128::from(cached)
            + u128::from(price.output) * u128::from(take.output);
        Self { pico: u64::try_from(wide).unwrap_or(u64::MAX), tokens: take.input + take.output }
    }

    const fn of(self, unit: BudgetUnit) -> u64 {
        match unit {
            BudgetUnit::Usd => self.pico,
            BudgetUnit::Tokens => self.tokens,
        }
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Purse {
    period: u64,
    spent: u64,
    reserved: u64,
    /// What was spent of the next period by peers who are there already.
    early: u64,
    /// By level: what was said in this period, and what must be.
    said: [bool; 2],
    owed: [bool; 2],
}

impl Purse {
    fn turn(&mut self, spec: &BudgetSpec, elapsed: u64) {
        while self.period < elapsed / spec.period.as_nanos() {
            let early = core::mem::take(&mut self.early);
            if self.spent == 0 && early == 0 {
                self.period = elapsed / spec.period.as_nanos();
            } else {
                self.period += 1;
            }
            let debt = if spec.hard { self.spent.saturating_sub(spec.amount) } else { 0 };
            self.spent = debt.saturating_add(early);
            (self.said, self.owed) = ([false; 2], [false; 2]);
        }
    }

    fn pays(&self, spec: &BudgetSpec, cost: u64) -> bool {
        let all = u128::from(self.spent) + u128::from(self.reserved) + u128::from(cost);
        !spec.hard || cost == 0 || all <= u128::from(spec.amount)
    }

    /// Notes what must be told now that something was spent.
    fn note(&mut self, spec: &BudgetSpec) {
        let part = u128::from(self.spent) * u128::from(spec.soft.denominator());
        let soft = part >= u128::from(spec.amount) * u128::from(spec.soft.numerator());
        for (level, reached) in [soft, self.spent >= spec.amount].into_iter().enumerate() {
            self.owed[level] |= reached && !self.said[level];
        }
    }
}

#[derive(Clone, Debug)]
struct Book {
    buckets: [Bucket; 4],
    purses: [Purse; 2],
    /// Requests on it that are open, and those of them that were dispatched.
    held: u32,
    live: u32,
    /// Whether the router may have forgotten something of it.
    vague: bool,
}

/// Every subject's book.
#[derive(Clone, Debug)]
pub(super) struct Accounts {
    start: Time,
    books: BTreeMap<Who, Book>,
    /// What each peer said of each account last.
    said: BTreeMap<(Who, u16), Said>,
    /// From when on peers are silent for too long for anything to be taken of what they share.
    pub(super) closed_from: Time,
    /// Whom something was spent by within this input.
    spenders: Vec<Who>,
}

impl Accounts {
    pub(super) const fn new(start: Time, closed_from: Time) -> Self {
        Self {
            start,
            books: BTreeMap::new(),
            said: BTreeMap::new(),
            closed_from,
            spenders: Vec::new(),
        }
    }

    fn elapsed(&self, config: &Config, at: Time) -> u64 {
        (at.since(self.start) + config.router().periods_began).as_nanos()
    }

    /// On whose account a new request is: the subjects of which something is counted.
    pub(super) fn open(&mut self, config: &Config, request: &Request, at: Time) -> Vec<Who> {
        let mut found = Vec::new();
        for (kind, number) in request.subjects.into_iter().enumerate() {
            if config.policy(kind, number).is_some_and(Subject::is_metered) {
                let who = (kind as u8, number);
                self.book(config, who, at).held += 1;
                found.push(who);
            }
        }
        found
    }

    fn book(&mut self, config: &Config, who: Who, at: Time) -> &mut Book {
        let policy = config.policy(who.0.into(), who.1);
        let fresh = || {
            let rates = policy.map(|policy| rates(&policy.limit)).unwrap_or_default();
            let buckets = rates.map(|rate| Bucket::new(rate, at));
            Book { buckets, purses: [Purse::default(); 2], held: 0, live: 0, vague: false }
        };
        self.books.entry(who).or_insert_with(fresh)
    }

    /// A request is over; one that was dispatched had a place.
    pub(super) fn close(&mut self, accounts: &[Who], dispatched: bool) {
        for who in accounts {
            if let Some(book) = self.books.get_mut(who) {
                book.held = book.held.saturating_sub(1);
                book.live = book.live.saturating_sub(u32::from(dispatched));
            }
        }
    }

    /// An attempt starts.
    pub(super) fn reserve(
        &mut self,
        config: &Config,
        accounts: &[Who],
        at: Time,
        (take, cost): (Take, Spent),
    ) {
        for who in accounts {
            let book = self.book(config, *who, at);
            book.live += u32::from(take.requests > 0);
            for (bucket, n) in book.buckets.iter_mut().zip(take.amounts()) {
                bucket.charge(at, n);
            }
            self.set_aside(config, &[*who], cost);
        }
    }

    /// What an attempt reserves of budgets.
    pub(super) fn set_aside(&mut self, config: &Config, accounts: &[Who], cost: Spent) {
        for who in accounts {
            let Some(book) = self.books.get_mut(who) else { continue };
            for (spec, purse) in budgets(config, *who).iter().zip(&mut book.purses) {
                purse.reserved += cost.of(spec.unit);
            }
        }
    }

    /// An attempt is over.
    pub(super) fn settle(
        &mut self,
        config: &Config,
        accounts: &[Who],
        at: Time,
        (reserved, used): ((Take, Spent), (Take, Spent)),
        doubtful: bool,
    ) {
        let elapsed = self.elapsed(config, at);
        for who in accounts {
            let Some(book) = self.books.get_mut(who) else { continue };
            for (spec, purse) in budgets(config, *who).iter().zip(&mut book.purses) {
                purse.turn(spec, elapsed);
                purse.reserved = purse.reserved.saturating_sub(reserved.1.of(spec.unit));
                purse.spent = purse.spent.saturating_add(used.1.of(spec.unit));
                purse.note(spec);
            }
            book.correct(at, (reserved.0, used.0), doubtful);
            self.spenders.push(*who);
        }
    }

    /// Late news of an attempt that was charged for at `then`.
    pub(super) fn correct(
        &mut self,
        config: &Config,
        accounts: &[Who],
        (then, at): (Time, Time),
        (charged, used): ((Take, Spent), (Take, Spent)),
        doubtful: bool,
    ) {
        let (before, elapsed) = (self.elapsed(config, then), self.elapsed(config, at));
        for who in accounts {
            if !self.has_place(config, *who, at) {
                continue;
            }
            let book = self.book(config, *who, at);
            for (spec, purse) in budgets(config, *who).iter().zip(&mut book.purses) {
                purse.turn(spec, elapsed);
                let (was, is) = (charged.1.of(spec.unit), used.1.of(spec.unit));
                let same = before / spec.period.as_nanos() == purse.period;
                if is > was {
                    purse.spent = purse.spent.saturating_add(is - was);
                } else if same {
                    purse.spent = purse.spent.saturating_sub(was - is);
                }
                purse.note(spec);
            }
            book.correct(at, (charged.0, used.0), doubtful);
            self.spenders.push(*who);
        }
    }

    /// Whether the router can have a place for an account; it is vague if it may have none.
    fn has_place(&mut self, config: &Config, who: Who, at: Time) -> bool {
        let others = self.crowd(config, at, Some(who));
        let elapsed = self.elapsed(config, at);
        let book = self.book(config, who, at);
        let in_use = book.in_use(config, who, at, elapsed);
        let most = u64::from(config.router().accounts);
        let asks = !is_named(config, who) && in_use != Answer::Yes;
        book.vague |= asks && others.0 < most && others.1 >= most;
        !asks || others.0 < most
    }

    /// How many unnamed ones certainly have an account, and how many may have; but for one.
    pub(super) fn crowd(&mut self, config: &Config, at: Time, but: Option<Who>) -> (u64, u64) {
        let most = config.router().accounts as usize;
        if self.books.len() < most {
            return (0, 0);
        }
        let elapsed = self.elapsed(config, at);
        let mut counts = (0, 0);
        let mut whole = Vec::new();
        for (who, book) in self.books.iter_mut().filter(|(who, _)| !is_named(config, **who)) {
            let answer = book.in_use(config, *who, at, elapsed);
            if Some(*who) != but {
                counts.0 += u64::from(answer == Answer::Yes);
                counts.1 += u64::from(answer != Answer::No);
                if answer == Answer::No {
                    whole.push(*who);
                }
            }
        }
        // A book that says no more than a new one need not be kept.
        if whole.len() > most {
            for who in &whole {
                self.books.remove(who);
            }
        }
        counts
    }

    /// Whether the limits of every subject have room for an attempt; its request's first needs
    /// a place.
    pub(super) fn admits(&self, config: &Config, accounts: &[Who], at: Time, take: Take) -> Answer {
        let mut all = Answer::Yes;
        for who in accounts {
            for what in Measure::ALL {
                all = all.and(self.has_room(config, *who, what, at, take));
            }
        }
        all
    }

    /// Whether one part of a subject's limit has room.
    pub(super) fn has_room(
        &self,
        config: &Config,
        who: Who,
        what: Measure,
        at: Time,
        take: Take,
    ) -> Answer {
        let Some(book) = self.books.get(&who) else { return Answer::Yes };
        match what {
            Measure::Parallel => {
                let most = config.policy(who.0.into(), who.1).and_then(|p| p.limit.parallel);
                Answer::from(take.requests == 0 || most.is_none_or(|most| book.live < most))
            }
            Measure::Requests | Measure::Tokens | Measure::InputTokens | Measure::OutputTokens => {
                let index = what as usize;
                if at >= self.closed_from && book.buckets[index].is_rated() {
                    return Answer::No;
                }
                let answer = book.buckets[index].takes(at, take.amounts()[index]);
                if book.vague { answer.or(Answer::Maybe) } else { answer }
            }
        }
    }

    /// When every rate of every subject has room at the latest; `None` if never.
    pub(super) fn latest(&self, accounts: &[Who], at: Time, take: Take) -> Option<Time> {
        let books = accounts.iter().filter_map(|who| self.books.get(who));
        let mut buckets = books.clone().flat_map(|book| &book.buckets);
        if at >= self.closed_from && buckets.any(Bucket::is_rated) {
            return None;
        }
        books
            .flat_map(|book| book.buckets.iter().zip(take.amounts()))
            .try_fold(at, |latest, (bucket, n)| Some(latest.max(bucket.latest(at, n)?)))
    }

    /// Whether the budgets of every subject can pay for an attempt.
    pub(super) fn affords(
        &self,
        config: &Config,
        accounts: &[Who],
        at: Time,
        cost: Spent,
    ) -> Answer {
        accounts.iter().fold(Answer::Yes, |all, who| all.and(self.pays(config, *who, at, cost)))
    }

    pub(super) fn pays(&self, config: &Config, who: Who, at: Time, cost: Spent) -> Answer {
        let Some(book) = self.books.get(&who) else { return Answer::Yes };
        if at >= self.closed_from && is_paid(config, who, cost) {
            return Answer::No;
        }
        if book.vague {
            return Answer::Maybe;
        }
        let elapsed = self.elapsed(config, at);
        let mut purses = budgets(config, who).iter().zip(book.purses);
        Answer::from(purses.all(|(spec, mut purse)| {
            purse.turn(spec, elapsed);
            purse.pays(spec, cost.of(spec.unit))
        }))
    }

    /// When every budget can pay at the latest, if what is reserved is given back; `None` if one
    /// never can. Looked for period by period.
    pub(super) fn pays_at(
        &self,
        config: &Config,
        accounts: &[Who],
        at: Time,
        cost: Spent,
    ) -> Option<Time> {
        let elapsed = self.elapsed(config, at);
        let mut latest = at;
        if at >= self.closed_from && accounts.iter().any(|who| is_paid(config, *who, cost)) {
            return None;
        }
        for (who, book) in accounts.iter().filter_map(|who| Some((who, self.books.get(who)?))) {
            for (spec, purse) in budgets(config, *who).iter().zip(book.purses) {
                let cost = cost.of(spec.unit);
                let mut purse = Purse { reserved: 0, ..purse };
                purse.turn(spec, elapsed);
                if cost > spec.amount && spec.hard {
                    return None;
                }
                let mut then = elapsed;
                while !purse.pays(spec, cost) {
                    then = spec.period.as_nanos().saturating_mul(purse.period + 1);
                    purse.turn(spec, then);
                }
                latest = latest.max(at + Span::from_nanos(then - elapsed));
            }
        }
        Some(latest)
    }

    /// Whether it is to be told that a budget is used up so far.
    pub(super) fn owes(&self, who: Who, budget: u8, level: Level) -> bool {
        let purse = self.books.get(&who).and_then(|book| book.purses.get(usize::from(budget)));
        purse.is_some_and(|purse| purse.owed[level as usize])
    }

    /// The router says that a budget is used up so far; `refused` is what it kept somebody from.
    pub(super) fn told(
        &mut self,
        config: &Config,
        at: Time,
        (who, budget, level): (Who, u8, Level),
        spent: u64,
        refused: Option<(&[Who], &[Spent])>,
    ) -> bool {
        let elapsed = self.elapsed(config, at);
        let Some(book) = self.books.get_mut(&who) else { return false };
        let budget = usize::from(budget);
        let Some(spec) = budgets(config, who).get(budget) else { return false };
        let purse = &mut book.purses[budget];
        purse.turn(spec, elapsed);
        let owed = core::mem::take(&mut purse.owed[level as usize]);
        let again = core::mem::replace(&mut purse.said[level as usize], true);
        let refuses = refused.is_some_and(|(accounts, costs)| {
            level == Level::Hard
                && accounts.contains(&who)
                && costs.iter().any(|cost| !purse.pays(spec, cost.of(spec.unit)))
        });
        book.vague || purse.spent == spent && !again && (owed || refuses)
    }

    /// Somebody of whom something should have been told by now and was not.
    pub(super) fn unsaid(&mut self) -> Option<Who> {
        let mut found = None;
        for who in core::mem::take(&mut self.spenders) {
            let Some(book) = self.books.get_mut(&who).filter(|book| !book.vague) else { continue };
            for purse in &mut book.purses {
                if core::mem::take(&mut purse.owed) != [false; 2] {
                    found = Some(who);
                }
            }
        }
        found
    }

    /// Other policies take effect; what is reserved is entered anew by the caller.
    pub(super) fn reconfigure(&mut self, at: Time, old: &Config, next: &Config) {
        let elapsed = self.elapsed(old, at);
        self.unsay(old, next);
        for (who, book) in &mut self.books {
            let policy = next.policy(who.0.into(), who.1);
            let rates = policy.map(|policy| rates(&policy.limit)).unwrap_or_default();
            for (bucket, rate) in book.buckets.iter_mut().zip(rates) {
                bucket.reconfigure(at, rate);
            }
            for (index, purse) in book.purses.iter_mut().enumerate() {
                let (was, is) = (budgets(old, *who).get(index), budgets(next, *who).get(index));
                let kept = was.zip(is).filter(|(a, b)| (a.unit, a.period) == (b.unit, b.period));
                match (kept, is) {
                    (Some((was, _)), _) => {
                        purse.turn(was, elapsed);
                        purse.reserved = 0;
                    }
                    (None, Some(is)) => {
                        let period = elapsed / is.period.as_nanos();
                        *purse = Purse { period, ..Purse::default() };
                    }
                    (None, None) => *purse = Purse::default(),
                }
            }
        }
    }

    /// Whether nobody has a place.
    pub(super) fn idle(&self) -> bool {
        self.books.values().all(|book| book.live == 0 && book.held == 0)
    }
}

impl Book {
    fn correct(&mut self, at: Time, (from, to): (Take, Take), doubtful: bool) {
        // Requests are never given back.
        let amounts = from.amounts().into_iter().zip(to.amounts());
        for (bucket, (from, to)) in self.buckets.iter_mut().zip(amounts).skip(1) {
            bucket.settle(at, from, to, doubtful);
        }
    }

    /// Whether it says more than a new one would.
    fn in_use(&mut self, config: &Config, who: Who, at: Time, elapsed: u64) -> Answer {
        if self.held > 0 {
            return Answer::Yes;
        }
        let mut known = Answer::No;
        for (spec, purse) in budgets(config, who).iter().zip(&mut self.purses) {
            purse.turn(spec, elapsed);
            let is_used = purse.spent > 0 || purse.early > 0 || purse.said != [false; 2];
            known = known.or(Answer::from(is_used));
        }
        let rates = self.buckets.iter().fold(known, |known, b| known.or(b.is_whole(at).not()));
        if self.vague { rates.or(Answer::Maybe) } else { rates }
    }
}

/// Whether some budget of a subject's that refuses has to pay for this.
fn is_paid(config: &Config, who: Who, cost: Spent) -> bool {
    budgets(config, who).iter().any(|spec| spec.hard && cost.of(spec.unit) > 0)
}

fn budgets(config: &Config, who: Who) -> &[BudgetSpec] {
    config.policy(who.0.into(), who.1).map_or(&[], |policy| &policy.budgets)
}

fn is_named(config: &Config, who: Who) -> bool {
    config.kinds().get(usize::from(who.0)).is_some_and(|kind| who.1 as usize <= kind.named.len())
}

/// What an attempt at a deployment reserves.
pub(super) fn price(config: &Config, to: DeploymentId, take: Take) -> Spent {
    Spent::new(config.deployment(to).price, take, 0)
}
