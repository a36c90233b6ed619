//! Rates by the generic cell rate algorithm, and parallel counts.
//!
//! A rate is one word: the *theoretical arrival time* up to which its allowance is spent (ITU-T
//! I.371, annex A, "virtual scheduling"). It is exact, slides by nature, and tells the earliest
//! time at which something would pass.

use crate::peers::grown;
use crate::{LimitSpec, Measure, Rate, Span, Time, Usage};

/// What one attempt reserves, and is later settled for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Charge {
    pub(crate) requests: u64,
    pub(crate) input: u64,
    pub(crate) output: u64,
}

impl Charge {
    pub(crate) fn of(usage: Usage) -> Self {
        let (input, output) = (usage.input_tokens.into(), usage.output_tokens.into());
        Self { requests: 0, input, output }
    }
}

/// One rate's bucket.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    amount: u64,
    period: u64,
    /// How far the spent time may run ahead of now: the burst's worth.
    depth: u64,
    /// Up to when the allowance is spent.
    spent: Time,
}

impl Bucket {
    fn new(rate: Rate) -> Self {
        let (amount, period) = (rate.amount, rate.period.as_nanos());
        let mut bucket = Self { amount, period, depth: 0, spent: Time::ZERO };
        bucket.depth = bucket.cost(rate.burst.unwrap_or(rate.amount)).as_nanos();
        bucket
    }

    /// How much time `n` is worth, rounded up.
    fn cost(&self, n: u64) -> Span {
        let ns = match n.checked_mul(self.period) {
            Some(product) => product.div_ceil(self.amount),
            None => {
                let wide = u128::from(n) * u128::from(self.period);
                u64::try_from(wide.div_ceil(u128::from(self.amount))).unwrap_or(u64::MAX)
            }
        };
        Span::from_nanos(ns)
    }

    /// Whether `n` passes at `now`: `ceil(n * period / amount) <= room`, without the division.
    fn admits(&self, n: u64, now: Time) -> bool {
        let room = self.depth.saturating_sub(self.spent.since(now).as_nanos());
        n == 0
            || u128::from(n) * u128::from(self.period) <= u128::from(room) * u128::from(self.amount)
    }

    /// Takes `n`, or as much as it has when it is whole.
    fn take_most(&mut self, n: u64, now: Time) {
        if n > 0 {
            let cost = self.cost(n).min(Span::from_nanos(self.depth));
            self.spent = self.spent.max(now) + cost;
        }
    }

    /// Takes `n`, whether it passes or not.
    fn take(&mut self, n: u64, now: Time) {
        if n > 0 {
            self.spent = self.spent.max(now) + self.cost(n);
        }
    }

    /// Corrects what was charged for `charged` to what `used` costs, to the nanosecond. An
    /// overrun becomes debt; what is given back never lifts the bucket above its burst.
    fn correct(&mut self, charged: u64, used: u64, now: Time) {
        let (charged, used) = (self.cost(charged), self.cost(used));
        if used > charged {
            let more = used.as_nanos() - charged.as_nanos();
            self.spent = self.spent.max(now) + Span::from_nanos(more);
        } else {
            let back = Span::from_nanos(charged.as_nanos() - used.as_nanos());
            self.spent = (self.spent - back).max(self.spent.min(now));
        }
    }

    /// The share of the burst that is left, with 32 bits below the point, rounded down.
    fn unused(&self, now: Time) -> u64 {
        let room = self.depth.saturating_sub(self.spent.since(now).as_nanos());
        if self.depth == 0 { 0 } else { ((u128::from(room) << 32) / u128::from(self.depth)) as u64 }
    }

    /// When `n` passes, if nothing else is taken; `None` if it never does.
    fn earliest(&self, n: u64, now: Time) -> Option<Time> {
        let cost = self.cost(n).as_nanos();
        if n == 0 {
            return Some(now);
        }
        (cost <= self.depth).then(|| now.max(self.spent - Span::from_nanos(self.depth - cost)))
    }
}

/// One limit's state.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limit {
    requests: Option<Bucket>,
    tokens: Option<Bucket>,
    input: Option<Bucket>,
    output: Option<Bucket>,
    parallel_max: u32,
    parallel: u32,
    used: Used,
}

/// What this replica has used of a limit since it was started: requests, input and output tokens.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Used {
    pub(crate) counters: [u64; 3],
    /// Whether the store has told what it had used before.
    pub(crate) told: bool,
    /// Whether it has sent something itself.
    pub(crate) begun: bool,
}

impl Limit {
    pub(crate) fn new(spec: &LimitSpec) -> Self {
        Self {
            requests: spec.requests.map(Bucket::new),
            tokens: spec.tokens.map(Bucket::new),
            input: spec.input_tokens.map(Bucket::new),
            output: spec.output_tokens.map(Bucket::new),
            parallel_max: spec.parallel.unwrap_or(u32::MAX),
            parallel: 0,
            used: Used::default(),
        }
    }

    /// The same state under another specification.
    pub(crate) fn revise(&mut self, spec: &LimitSpec) {
        let spent = self.spent();
        let (parallel, used) = (self.parallel, self.used);
        *self = Self::new(spec);
        self.restore(spent);
        (self.parallel, self.used) = (parallel, used);
    }

    /// The buckets and what `charge` means to each.
    fn each(&self, charge: Charge) -> [(Option<&Bucket>, u64); 4] {
        [
            (self.requests.as_ref(), charge.requests),
            (self.tokens.as_ref(), charge.input + charge.output),
            (self.input.as_ref(), charge.input),
            (self.output.as_ref(), charge.output),
        ]
    }

    fn each_mut(&mut self, charge: Charge) -> [(Option<&mut Bucket>, u64); 4] {
        [
            (self.requests.as_mut(), charge.requests),
            (self.tokens.as_mut(), charge.input + charge.output),
            (self.input.as_mut(), charge.input),
            (self.output.as_mut(), charge.output),
        ]
    }

    /// Whether every rate admits `charge`.
    pub(crate) fn admits(&self, charge: Charge, now: Time) -> bool {
        self.each(charge).into_iter().all(|(bucket, n)| bucket.is_none_or(|b| b.admits(n, now)))
    }

    /// Whether one more call fits beside those in flight.
    pub(crate) const fn has_room(&self) -> bool {
        self.parallel < self.parallel_max
    }

    /// How many places are in use, of how many; `None` without such a limit.
    pub(crate) fn places(&self) -> Option<(u32, u32)> {
        (self.parallel_max != u32::MAX).then_some((self.parallel, self.parallel_max))
    }

    /// The share of places that is free, with 32 bits below the point; all, if there is no limit.
    pub(crate) fn unused_places(places: Option<(u32, u32)>) -> u64 {
        places.map_or(1 << 32, |(used, most)| {
            (u64::from(most.saturating_sub(used)) << 32) / u64::from(most.max(1))
        })
    }

    /// The least share that a rate or the calls at once have left, with 32 bits below the point.
    pub(crate) fn unused(&self, now: Time) -> u64 {
        let rates = [&self.requests, &self.tokens, &self.input, &self.output].into_iter().flatten();
        let places = Self::unused_places(self.places());
        rates.map(|rate| rate.unused(now)).fold(places, u64::min)
    }

    /// When every rate admits `charge`; `None` if one never does.
    pub(crate) fn earliest(&self, charge: Charge, now: Time) -> Option<Time> {
        let each = self.each(charge).into_iter();
        each.filter_map(|(bucket, n)| bucket.map(|b| b.earliest(n, now)))
            .try_fold(now, |latest, at| at.map(|at| latest.max(at)))
    }

    /// Takes `charge` and a place.
    pub(crate) fn reserve(&mut self, charge: Charge, now: Time) {
        self.charge(charge, now);
        self.parallel += 1;
        self.used.begun = true;
        self.count(charge, false);
    }

    /// Hears what this replica had used before it was started anew. The first word says where its
    /// counters stood; what they have grown by since then is charged.
    pub(crate) fn resume(&mut self, counters: [u64; 3], now: Time) {
        if self.used.begun {
            return;
        }
        let [requests, input, output] = grown(&mut self.used.counters, counters);
        if self.used.told {
            self.charge(Charge { requests, input, output }, now);
        }
        self.used.told = true;
    }

    /// Whether it has a rate.
    pub(crate) fn is_rated(&self) -> bool {
        let rates = [&self.requests, &self.tokens, &self.input, &self.output];
        rates.into_iter().any(Option::is_some)
    }

    /// Takes `charge`, whether it passes or not: an overrun becomes debt.
    pub(crate) fn charge(&mut self, charge: Charge, now: Time) {
        for (bucket, n) in self.each_mut(charge) {
            if let Some(bucket) = bucket {
                bucket.take(n, now);
            }
        }
    }

    /// Takes `charge`, but of each rate no more than its burst: older use has come back.
    pub(crate) fn charge_most(&mut self, charge: Charge, now: Time) {
        for (bucket, n) in self.each_mut(charge) {
            if let Some(bucket) = bucket {
                bucket.take_most(n, now);
            }
        }
    }

    /// Counts what is taken for somebody to tell; from nothing on if all rates are `whole`.
    pub(crate) fn count(&mut self, charge: Charge, whole: bool) {
        if whole {
            self.used.counters = [0; 3];
        }
        let Charge { requests, input, output } = charge;
        for (counter, more) in self.used.counters.iter_mut().zip([requests, input, output]) {
            *counter = counter.saturating_add(more);
        }
    }

    /// The first part of it that is a rate.
    pub(crate) fn first_rate(&self) -> Option<Measure> {
        let rates = [&self.requests, &self.tokens, &self.input, &self.output];
        let first = rates.into_iter().zip(Measure::ALL).find(|(rate, _)| rate.is_some());
        first.map(|(_, measure)| measure)
    }

    /// Takes a place without a charge: for a flight that a snapshot brings back.
    pub(crate) const fn occupy(&mut self) {
        self.parallel += 1;
    }

    /// Gives a place back, and keeps the charge.
    pub(crate) fn leave(&mut self) {
        assert!(self.parallel > 0, "a release pairs with a reservation");
        self.parallel -= 1;
    }

    /// Which part of it is in the way of `charge` and, if one is needed, of a further place.
    pub(crate) fn obstacle(&self, charge: Charge, place: bool, now: Time) -> Option<Measure> {
        let rates = self.each(charge).into_iter().zip(Measure::ALL);
        let mut short = rates.filter(|((bucket, n), _)| bucket.is_some_and(|b| !b.admits(*n, now)));
        let full = (place && !self.has_room()).then_some(Measure::Parallel);
        short.next().map(|(_, measure)| measure).or(full)
    }

    /// When every rate is whole again, if nothing else is taken; the past, if that is so now.
    pub(crate) fn whole_at(&self) -> Time {
        self.spent().into_iter().flatten().max().unwrap_or(Time::ZERO)
    }

    /// Gives the place back, and corrects what was `reserved` to what was `used`.
    pub(crate) fn settle(&mut self, reserved: Charge, used: Charge, now: Time) {
        self.leave();
        self.correct(reserved, used, now);
    }

    /// Corrects what was `charged` to what was `used`; requests are never given back.
    pub(crate) fn correct(&mut self, charged: Charge, used: Charge, now: Time) {
        let [_, input, output] = &mut self.used.counters;
        *input = input.saturating_add(used.input).saturating_sub(charged.input);
        *output = output.saturating_add(used.output).saturating_sub(charged.output);
        let charged = Charge { requests: 0, ..charged };
        let used = self.each(used).map(|(_, n)| n);
        for ((bucket, charged), used) in self.each_mut(charged).into_iter().zip(used).skip(1) {
            if let Some(bucket) = bucket {
                bucket.correct(charged, used, now);
            }
        }
    }

    /// Up to when each rate is spent, in the order of the specification.
    pub(crate) fn spent(&self) -> [Option<Time>; 4] {
        [self.requests, self.tokens, self.input, self.output].map(|b| b.map(|b| b.spent))
    }

    /// What this replica has used.
    pub(crate) const fn used(&self) -> Used {
        self.used
    }

    /// Puts back what [`Self::used`] told.
    pub(crate) const fn restore_used(&mut self, used: Used) {
        self.used = used;
    }

    /// Puts back what [`Self::spent`] told; rates that are not there any more are passed over.
    pub(crate) fn restore(&mut self, spent: [Option<Time>; 4]) {
        let buckets = [&mut self.requests, &mut self.tokens, &mut self.input, &mut self.output];
        for (bucket, spent) in buckets.into_iter().zip(spent) {
            if let (Some(bucket), Some(spent)) = (bucket, spent) {
                bucket.spent = spent;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn per_minute(amount: u64) -> Bucket {
        Bucket::new(Rate { amount, period: Span::from_secs(60), burst: None })
    }

    #[test]
    fn of_ten_at_once_under_six_a_minute_six_pass_then_one_per_ten_seconds() {
        let mut bucket = per_minute(6);
        let now = Time::from_secs(100);
        let passed = (0..10).filter(|_| {
            let admitted = bucket.admits(1, now);
            if admitted {
                bucket.take(1, now);
            }
            admitted
        });
        assert_eq!(passed.count(), 6);
        assert_eq!(bucket.earliest(1, now), Some(Time::from_secs(110)));
        assert!(!bucket.admits(1, Time::from_nanos(110_000_000_000 - 1)));
        assert!(bucket.admits(1, Time::from_secs(110)));
    }

    #[test]
    fn a_refund_never_lifts_a_bucket_above_its_burst() {
        let mut bucket = per_minute(6);
        let now = Time::from_secs(100);
        bucket.take(2, now);
        bucket.correct(600, 0, now);
        assert!(bucket.admits(6, now) && !bucket.admits(7, now));
    }

    #[test]
    fn the_scarcest_of_a_limits_parts_tells_what_is_left() {
        let rate = |amount| Some(Rate { amount, period: Span::from_secs(60), burst: None });
        let spec = LimitSpec {
            requests: rate(8),
            tokens: rate(1_000),
            parallel: Some(10),
            ..LimitSpec::default()
        };
        let mut limit = Limit::new(&spec);
        let quarters = |limit: &Limit, s| limit.unused(Time::from_secs(s)) >> 30;
        assert_eq!(quarters(&limit, 0), 4);
        limit.reserve(Charge { requests: 1, input: 200, output: 300 }, Time::ZERO);
        assert_eq!(quarters(&limit, 0), 2, "half of the tokens");
        assert_eq!(quarters(&limit, 15), 3, "of which half has come back");
        limit.charge(Charge { requests: 100, input: 0, output: 0 }, Time::ZERO);
        assert_eq!(quarters(&limit, 0), 0, "a debt leaves nothing");
        assert_eq!(Limit::new(&LimitSpec::default()).unused(Time::ZERO), 1 << 32);
    }

    #[test]
    fn an_overrun_is_debt() {
        let mut bucket = per_minute(6);
        bucket.take(12, Time::ZERO);
        assert_eq!(bucket.earliest(1, Time::ZERO), Some(Time::from_secs(70)));
        assert_eq!(bucket.earliest(7, Time::ZERO), None);
    }
}
