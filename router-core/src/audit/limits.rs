//! The auditor's own buckets.
//!
//! A leaking bucket in exact integers: `n` units of a rate raise its level by `n * period`, a
//! nanosecond lowers it by `amount`, and it may not rise above `burst * period`. The router
//! rounds every increment up to whole nanoseconds of its own formulation, so the auditor keeps
//! two levels: `low` as if increments were exact and decrements rounded, `high` the other way
//! round. Something certainly fits if it fits the high level and certainly does not if it does
//! not fit the low one.

use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;

use super::Answer;
use super::expect::Range;
use crate::{Config, DeploymentId, LimitId, LimitSpec, OnOutage, PeersSpec, Rate, Time};

/// What one attempt takes from each kind of rate.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Take {
    pub(super) requests: u64,
    pub(super) input: u64,
    pub(super) output: u64,
}

impl Take {
    /// In the order of [`rates`].
    pub(super) const fn amounts(self) -> [u64; 4] {
        let tokens = self.input.saturating_add(self.output);
        [self.requests, tokens, self.input, self.output]
    }
}

pub(super) const fn rates(limit: &LimitSpec) -> [Option<Rate>; 4] {
    [limit.requests, limit.tokens, limit.input_tokens, limit.output_tokens]
}

/// One, with 32 bits below the point.
const ONE: u64 = 1 << 32;

#[derive(Clone, Debug)]
pub(super) struct Bucket {
    rate: Option<Rate>,
    low: u128,
    high: u128,
    /// When the levels were right.
    at: Time,
    /// When a rate that was taken out of the configuration would have run empty.
    empty: Time,
}

/// `n` of the rate in level units, and what rounding up to whole nanoseconds adds to that.
fn cost(rate: Rate, n: u64) -> (u128, u128) {
    let exact = u128::from(n).saturating_mul(u128::from(rate.period.as_nanos()));
    let amount = u128::from(rate.amount);
    (exact, (amount - exact % amount) % amount)
}

impl Bucket {
    pub(super) const fn new(rate: Option<Rate>, at: Time) -> Self {
        Self { rate, low: 0, high: 0, at, empty: Time::ZERO }
    }

    fn levels(&self, rate: Rate, at: Time) -> (u128, u128) {
        let leaked = u128::from(rate.amount) * u128::from(at.since(self.at).as_nanos());
        (self.low.saturating_sub(leaked), self.high.saturating_sub(leaked))
    }

    fn leak(&mut self, rate: Rate, at: Time) {
        (self.low, self.high) = self.levels(rate, at);
        self.at = self.at.max(at);
    }

    pub(super) fn charge(&mut self, at: Time, n: u64) {
        let Some(rate) = self.rate.filter(|_| n > 0) else { return };
        self.leak(rate, at);
        let (exact, rounding) = cost(rate, n);
        self.low = self.low.saturating_add(exact);
        self.high = self.high.saturating_add(exact).saturating_add(rounding);
    }

    /// From a reservation to what was used. If the reservation was made under another
    /// configuration, either level moves only in its own direction.
    pub(super) fn settle(&mut self, at: Time, reserved: u64, used: u64, doubtful: bool) {
        let Some(rate) = self.rate.filter(|_| reserved != used) else { return };
        let before = (self.low, self.high, self.at);
        self.leak(rate, at);
        // The router corrects by the difference of two costs, each rounded up, so by up to a
        // nanosecond more or less than the exact difference.
        let ((was, _), (is, _)) = (cost(rate, reserved), cost(rate, used));
        let slack = u128::from(rate.amount);
        if is > was {
            self.low = self.low.saturating_add((is - was).saturating_sub(slack));
            self.high = self.high.saturating_add(is - was).saturating_add(slack);
        } else {
            self.low = self.low.saturating_sub(was - is).saturating_sub(slack);
            self.high = self.high.saturating_sub((was - is).saturating_sub(slack));
        }
        if doubtful {
            let after = (self.low, self.high);
            (self.low, self.high, self.at) = before;
            self.leak(rate, at);
            (self.low, self.high) = (self.low.min(after.0), self.high.max(after.1));
        }
    }

    /// What a peer took, of which it is not known how long ago.
    pub(super) fn charge_most(&mut self, at: Time, n: u64) {
        let burst = self.rate.map_or(0, |rate| rate.burst.unwrap_or(rate.amount));
        self.charge(at, n.min(burst));
    }

    pub(super) const fn is_rated(&self) -> bool {
        self.rate.is_some()
    }

    pub(super) fn takes(&self, at: Time, n: u64) -> Answer {
        let Some(rate) = self.rate.filter(|_| n > 0) else { return Answer::Yes };
        let burst = rate.burst.unwrap_or(rate.amount);
        let (low, high) = self.levels(rate, at);
        let (exact, rounding) = cost(rate, n);
        let (depth, slack) = cost(rate, burst);
        if n > burst || low.saturating_add(exact) > depth + slack {
            Answer::No
        } else if high.saturating_add(exact + rounding) <= depth {
            Answer::Yes
        } else {
            Answer::Maybe
        }
    }

    /// Which share of the burst is used.
    fn used(&self, at: Time) -> Range {
        let Some(rate) = self.rate else { return Range::default() };
        let (low, high) = self.levels(rate, at);
        let (depth, slack) = cost(rate, rate.burst.unwrap_or(rate.amount));
        let whole = depth + slack;
        if whole == 0 || whole >= 1 << 95 {
            return Range { least: if whole == 0 { ONE } else { 0 }, most: ONE };
        }
        let share = |level: u128| ((level.min(whole) << 32).div_ceil(whole)) as u64;
        Range { least: share(low), most: share(high) }
    }

    /// Whether nothing is taken that has not come back.
    pub(super) fn is_whole(&self, at: Time) -> Answer {
        let Some(rate) = self.rate else { return Answer::Yes };
        match self.levels(rate, at) {
            (_, 0) => Answer::Yes,
            (0, _) => Answer::Maybe,
            _ => Answer::No,
        }
    }

    /// When `n` fit at the latest, if nothing else happens; `None` if they never do.
    pub(super) fn latest(&self, at: Time, n: u64) -> Option<Time> {
        let Some(rate) = self.rate.filter(|_| n > 0) else { return Some(at) };
        let burst = rate.burst.unwrap_or(rate.amount);
        if n > burst {
            return None;
        }
        let (_, high) = self.levels(rate, at);
        let (exact, rounding) = cost(rate, n);
        let excess = high.saturating_add(exact + rounding).saturating_sub(cost(rate, burst).0);
        let wait = excess.div_ceil(u128::from(rate.amount));
        let wait = u64::try_from(wait).unwrap_or(u64::MAX);
        Some(at + crate::Span::from_nanos(wait))
    }

    /// The level in time is what a change of rates keeps.
    pub(super) fn reconfigure(&mut self, at: Time, next: Option<Rate>) {
        let full = |amount: u64, ns: u128| u128::from(amount).saturating_mul(ns);
        match (self.rate, next) {
            (Some(old), Some(new)) if old != new => {
                self.leak(old, at);
                let amount = u128::from(old.amount);
                self.low = full(new.amount, self.low / amount);
                self.high = full(new.amount, self.high.div_ceil(amount));
            }
            (Some(old), None) => {
                self.leak(old, at);
                let ns = self.high.div_ceil(u128::from(old.amount));
                let ns = u64::try_from(ns).unwrap_or(u64::MAX);
                self.empty = at + crate::Span::from_nanos(ns);
            }
            (None, Some(new)) => {
                self.low = 0;
                self.high = full(new.amount, u128::from(self.empty.since(at).as_nanos()));
                self.at = at;
            }
            (Some(_), Some(_)) | (None, None) => {}
        }
        self.rate = next;
    }
}

/// What the auditor knows of one limit.
#[derive(Clone, Debug)]
struct Book {
    buckets: [Bucket; 4],
    /// Attempts in flight on it.
    live: u32,
    /// What this replica is told that it had used before it was started anew.
    own: Option<[u64; 3]>,
    /// Whether it has sent something since: then it is told no more.
    begun: bool,
}

impl Book {
    fn new(limit: &crate::Limit, at: Time) -> Self {
        let buckets = rates(&limit.spec).map(|rate| Bucket::new(rate, at));
        Self { buckets, live: 0, own: None, begun: false }
    }

    fn charge(&mut self, at: Time, take: Take) {
        for (bucket, n) in self.buckets.iter_mut().zip(take.amounts()) {
            bucket.charge(at, n);
        }
    }

    fn reserve(&mut self, at: Time, take: Take) {
        self.charge(at, take);
        self.live += 1;
        self.begun = true;
    }
}

/// Every limit's book.
#[derive(Clone, Debug)]
pub(super) struct Limits {
    books: Vec<Book>,
    /// Attempts in flight at each deployment.
    in_flight: Vec<u32>,
    /// What each replica said last that it had used of each limit.
    peers: BTreeMap<(u16, LimitId), [u64; 3]>,
    /// When each replica was last heard of, and from when silence counts.
    heard: BTreeMap<u16, Time>,
    silence: Time,
}

impl Limits {
    pub(super) fn new(config: &Config, start: Time) -> Self {
        Self {
            books: config.limits().iter().map(|limit| Book::new(limit, start)).collect(),
            in_flight: vec![0; config.deployments().len()],
            peers: BTreeMap::new(),
            heard: BTreeMap::new(),
            silence: start,
        }
    }

    pub(super) fn reconfigure(&mut self, at: Time, last: &Config, next: &Config) {
        if last.router().peers != next.router().peers {
            self.silence = at;
        }
        for (book, limit) in self.books.iter_mut().zip(next.limits()) {
            for (bucket, rate) in book.buckets.iter_mut().zip(rates(&limit.spec)) {
                bucket.reconfigure(at, rate);
            }
        }
        let new = next.limits()[self.books.len()..].iter();
        self.books.extend(new.map(|limit| Book::new(limit, at)));
        self.in_flight.resize(next.deployments().len(), 0);
    }

    /// A call in flight that took from some limits takes from others from now on.
    pub(super) fn transfer(&mut self, (from, to): (&[LimitId], &[LimitId]), at: Time, take: Take) {
        for limit in from.iter().filter(|limit| !to.contains(limit)) {
            let book = &mut self.books[limit.index()];
            book.live = book.live.saturating_sub(1);
        }
        for limit in to.iter().filter(|limit| !from.contains(limit)) {
            self.books[limit.index()].reserve(at, take);
        }
    }

    /// Whether anything of any rate is used now.
    pub(super) fn are_used(&self, at: Time) -> bool {
        let mut buckets = self.books.iter().flat_map(|book| &book.buckets);
        buckets.any(|bucket| bucket.rate.is_some_and(|rate| bucket.levels(rate, at).0 > 0))
    }

    pub(super) fn reserve(&mut self, config: &Config, to: DeploymentId, at: Time, take: Take) {
        self.in_flight[to.index()] += 1;
        for limit in &config.deployment(to).limits {
            self.books[limit.index()].reserve(at, take);
        }
    }

    /// An attempt is over: its place is free again.
    pub(super) fn release(&mut self, config: &Config, of: DeploymentId) {
        let in_flight = &mut self.in_flight[of.index()];
        *in_flight = in_flight.saturating_sub(1);
        for limit in &config.deployment(of).limits {
            let book = &mut self.books[limit.index()];
            book.live = book.live.saturating_sub(1);
        }
    }

    /// What an attempt used stands in for what was charged for it so far.
    pub(super) fn settle(
        &mut self,
        config: &Config,
        of: DeploymentId,
        at: Time,
        (charged, used): (Take, Take),
        doubtful: bool,
    ) {
        for limit in &config.deployment(of).limits {
            let amounts = charged.amounts().into_iter().zip(used.amounts());
            for (bucket, (charged, used)) in
                self.books[limit.index()].buckets.iter_mut().zip(amounts)
            {
                bucket.settle(at, charged, used, doubtful);
            }
        }
    }

    /// What a peer has used since it was last heard of counts here, unless each has its own part.
    pub(super) fn peer(
        &mut self,
        config: &Config,
        at: Time,
        (replica, limit): (u16, LimitId),
        now: [u64; 3],
    ) {
        self.alive(at, replica);
        let Some(book) = self.books.get_mut(limit.index()) else { return };
        // What it had used before it was first heard of may be long past.
        let last = self.peers.entry((replica, limit)).or_insert(now);
        let take = growth(last, now);
        if config.router().peers.is_none_or(|peers| peers.on_outage != OnOutage::Share) {
            book.charge(at, take);
        }
    }

    pub(super) fn alive(&mut self, at: Time, replica: u16) {
        self.heard.insert(replica, at);
    }

    /// What this replica itself used before it was started anew.
    pub(super) fn own(&mut self, at: Time, limit: LimitId, now: [u64; 3]) {
        let Some(book) = self.books.get_mut(limit.index()).filter(|book| !book.begun) else {
            return;
        };
        match &mut book.own {
            Some(last) => {
                let take = growth(last, now);
                book.charge(at, take);
            }
            none => *none = Some(now),
        }
    }

    /// From when on peers are silent for too long for anything to be sent that takes from a rate.
    pub(super) fn closed_from(&self, config: &Config) -> Time {
        let Some(PeersSpec { replicas, stale, on_outage: OnOutage::Closed }) =
            config.router().peers
        else {
            return Time::MAX;
        };
        let mut heard: Vec<Time> = self.heard.values().copied().collect();
        heard.sort_unstable_by(|a, b| b.cmp(a));
        let last = heard.get(usize::from(replicas) - 2).copied();
        last.map_or(self.silence, |last| last.max(self.silence)) + stale
    }

    /// Whether they are, for `to`.
    pub(super) fn closed(&self, config: &Config, to: DeploymentId, at: Time) -> bool {
        at >= self.closed_from(config) && kinds(config, to).0
    }

    /// Whether every rate of every limit of `to` can take this now.
    pub(super) fn take(&self, config: &Config, to: DeploymentId, at: Time, take: Take) -> Answer {
        let mut all = Answer::Yes;
        for limit in &config.deployment(to).limits {
            for (bucket, n) in self.books[limit.index()].buckets.iter().zip(take.amounts()) {
                all = all.and(bucket.takes(at, n));
            }
        }
        all
    }

    /// When every rate can take this at the latest; `None` if never.
    pub(super) fn latest(
        &self,
        config: &Config,
        to: DeploymentId,
        at: Time,
        take: Take,
    ) -> Option<Time> {
        let mut latest = at;
        for limit in &config.deployment(to).limits {
            for (bucket, n) in self.books[limit.index()].buckets.iter().zip(take.amounts()) {
                latest = latest.max(bucket.latest(at, n)?);
            }
        }
        Some(latest)
    }

    /// Whether some limit of `to` has as many calls in flight as it allows.
    pub(super) fn full(&self, config: &Config, to: DeploymentId) -> bool {
        config.deployment(to).limits.iter().any(|&limit| {
            let most = config.limit(limit).spec.parallel;
            most.is_some_and(|most| self.books[limit.index()].live >= most)
        })
    }

    /// How many calls are in flight on a limit.
    pub(super) fn live(&self, limit: LimitId) -> u32 {
        self.books[limit.index()].live
    }

    /// How many calls are in flight at a deployment.
    pub(super) fn in_flight(&self, of: DeploymentId) -> u32 {
        self.in_flight.get(of.index()).copied().unwrap_or(0)
    }

    /// Which share of its scarcest limit a deployment has used, with 32 bits below the point.
    pub(super) fn used(&self, config: &Config, of: DeploymentId, at: Time) -> Range {
        let mut used = Range::default();
        for &limit in &config.deployment(of).limits {
            let book = &self.books[limit.index()];
            for bucket in &book.buckets {
                used = used.with(bucket.used(at), u64::max);
            }
            if let Some(most) = config.limit(limit).spec.parallel {
                used = used.with(used_places((book.live, most)), u64::max);
            }
        }
        used
    }

    /// Whether nothing is in flight on any limit.
    pub(super) fn idle(&self) -> bool {
        self.books.iter().all(|book| book.live == 0)
    }
}

/// By how much counters are above the last ones, which become the greater of both.
pub(super) fn growth(last: &mut [u64; 3], now: [u64; 3]) -> Take {
    let [requests, input, output] =
        core::array::from_fn(|index| now[index].saturating_sub(last[index]));
    *last = core::array::from_fn(|index| now[index].max(last[index]));
    Take { requests, input, output }
}

/// Which share of so many places is in use, with 32 bits below the point.
pub(super) fn used_places((live, most): (u32, u32)) -> Range {
    let left = (u64::from(most.saturating_sub(live)) << 32) / u64::from(most.max(1));
    Range::exactly(ONE - left)
}

/// Whether `to` has a rate to keep, and whether it has a parallel limit.
pub(super) fn kinds(config: &Config, to: DeploymentId) -> (bool, bool) {
    let limits = &config.deployment(to).limits;
    let mut specs = limits.iter().map(|&limit| &config.limit(limit).spec);
    let rated = specs.clone().any(|spec| rates(spec).iter().any(Option::is_some));
    (rated, specs.any(|spec| spec.parallel.is_some()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Span;

    fn bucket() -> Bucket {
        // 6 a minute: one drains per 10 s.
        let rate = Rate { amount: 6, period: Span::from_secs(60), burst: None };
        Bucket::new(Some(rate), Time::ZERO)
    }

    #[test]
    fn a_bucket_takes_its_burst_at_once_and_then_one_per_interval() {
        let mut bucket = bucket();
        for _ in 0..6 {
            assert_eq!(bucket.takes(Time::ZERO, 1), Answer::Yes);
            bucket.charge(Time::ZERO, 1);
        }
        assert_eq!(bucket.takes(Time::from_nanos(9_999_999_999), 1), Answer::No);
        assert_eq!(bucket.takes(Time::from_secs(10), 1), Answer::Yes);
        assert_eq!(bucket.latest(Time::ZERO, 2), Some(Time::from_secs(20)));
        assert_eq!(bucket.latest(Time::ZERO, 7), None);
    }

    #[test]
    fn a_refund_never_lifts_a_bucket_above_its_burst() {
        let mut bucket = bucket();
        bucket.charge(Time::ZERO, 2);
        bucket.settle(Time::from_secs(15), 2, 0, false);
        assert_eq!(bucket.takes(Time::from_secs(15), 6), Answer::Yes);
        assert_eq!(bucket.takes(Time::from_secs(15), 7), Answer::No);
    }

    #[test]
    fn what_rounding_may_decide_is_left_open() {
        let rate = Rate { amount: 7, period: Span::from_secs(1), burst: Some(2) };
        let mut bucket = Bucket::new(Some(rate), Time::ZERO);
        bucket.charge(Time::ZERO, 2);
        // Exactly a seventh of a second is no whole number of nanoseconds.
        assert_eq!(bucket.takes(Time::from_nanos(142_857_140), 1), Answer::No);
        assert_eq!(bucket.takes(Time::from_nanos(142_857_143), 1), Answer::Maybe);
        assert_eq!(bucket.takes(Time::from_nanos(142_857_146), 1), Answer::Yes);
    }

    #[test]
    fn a_change_of_rate_keeps_the_time_to_empty() {
        let mut bucket = bucket();
        bucket.charge(Time::ZERO, 6);
        let next = Rate { amount: 60, period: Span::from_secs(60), burst: None };
        bucket.reconfigure(Time::from_secs(30), Some(next));
        assert_eq!(bucket.takes(Time::from_secs(30), 30), Answer::Yes);
        assert_eq!(bucket.takes(Time::from_secs(30), 31), Answer::No);
    }
}
