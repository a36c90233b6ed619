//! What a provider admits: its own books, in integers.

use router_core::{Rate, Span, Time};

use crate::plan::{Algorithm, Quota, Reserves, RetryAfter};

/// The books of one quota, of a deployment's own or shared by several.
#[derive(Clone, Debug)]
pub(crate) struct Book {
    /// Of requests, tokens, prompt tokens, completion tokens; those without a rate are absent.
    meters: Vec<(Kind, Meter)>,
    reserves: Reserves,
    form: RetryAfter,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Requests,
    Tokens,
    Input,
    Output,
}

/// A call's admission, to be settled at its end.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Admission {
    /// Completion tokens counted in advance.
    pub(crate) reserved: u32,
    /// The lower bits of the number of the token window it was counted in.
    pub(crate) window: u16,
}

/// A refusal: when the same call would pass, in the form asked for; `None` if that is to say
/// nothing, or if it would never pass.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Refusal(pub(crate) Option<Span>);

impl Book {
    /// `None` if the quota bounds nothing.
    ///
    /// # Panics
    /// If a rate is of nothing or per no time.
    pub(crate) fn new(quota: &Quota) -> Option<Self> {
        let rates = [
            (Kind::Requests, quota.requests),
            (Kind::Tokens, quota.tokens),
            (Kind::Input, quota.input_tokens),
            (Kind::Output, quota.output_tokens),
        ];
        let meter = |rate: Rate| {
            assert!(rate.amount > 0 && !rate.period.is_zero(), "a rate is of something per time");
            match quota.algorithm {
                Algorithm::Bucket => Meter::Bucket { rate, full_at: 0 },
                Algorithm::Window => Meter::Window { rate, window: 0, used: 0 },
            }
        };
        let meters: Vec<_> =
            rates.into_iter().filter_map(|(kind, rate)| Some((kind, meter(rate?)))).collect();
        let (reserves, form) = (quota.reserves, quota.retry_after);
        (!meters.is_empty()).then_some(Self { meters, reserves, form })
    }

    /// Counts a call, or refuses it and counts nothing.
    pub(crate) fn admit(
        &mut self,
        now: Time,
        input: u32,
        output_max: Option<u32>,
    ) -> Result<Admission, Refusal> {
        let reserved = match self.reserves {
            Reserves::Keeps(unnamed) | Reserves::Settles(unnamed) => output_max.unwrap_or(unnamed),
            Reserves::Nothing => 0,
        };
        let mut wait = Some(Span::ZERO);
        for (kind, meter) in &self.meters {
            wait = wait.zip(meter.wait(now, kind.of(input, reserved))).map(|(a, b)| a.max(b));
        }
        if wait != Some(Span::ZERO) {
            return Err(Refusal(wait.and_then(|wait| spell(self.form, wait))));
        }
        let mut window = 0;
        for (kind, meter) in &mut self.meters {
            meter.add(now, kind.of(input, reserved));
            if matches!(kind, Kind::Tokens | Kind::Output) {
                window = meter.window();
            }
        }
        Ok(Admission { reserved, window })
    }

    /// Corrects a call's completion to what it really was, if this quota ever does.
    pub(crate) fn settle(&mut self, now: Time, admission: Admission, output: u32) {
        match self.reserves {
            Reserves::Keeps(_) => return,
            Reserves::Settles(_) | Reserves::Nothing => {}
        }
        for (kind, meter) in &mut self.meters {
            match kind {
                Kind::Requests | Kind::Input => {}
                Kind::Tokens | Kind::Output if output >= admission.reserved => {
                    meter.add(now, u64::from(output - admission.reserved));
                }
                Kind::Tokens | Kind::Output => {
                    let excess = u64::from(admission.reserved - output);
                    meter.give_back(now, excess, admission.window);
                }
            }
        }
    }
}

impl Kind {
    /// What a call costs on a meter of this kind.
    fn of(self, input: u32, reserved: u32) -> u64 {
        match self {
            Self::Requests => 1,
            Self::Tokens => u64::from(input) + u64::from(reserved),
            Self::Input => u64::from(input),
            Self::Output => u64::from(reserved),
        }
    }
}

/// A wait as a 429 spells it.
fn spell(form: RetryAfter, wait: Span) -> Option<Span> {
    match form {
        RetryAfter::Seconds => Some(Span::from_secs(wait.as_nanos().div_ceil(1_000_000_000))),
        RetryAfter::Millis => Some(Span::from_millis(wait.as_nanos().div_ceil(1_000_000))),
        RetryAfter::Absent => None,
    }
}

/// One count.
#[derive(Clone, Copy, Debug)]
enum Meter {
    /// Continuous refill, as the instant (ns) at which the bucket will be full again.
    Bucket { rate: Rate, full_at: u64 },
    /// Anew each period, from time zero.
    Window { rate: Rate, window: u64, used: u64 },
}

impl Meter {
    /// How long until `n` more would pass: zero if they pass now, `None` if they never do.
    fn wait(&self, now: Time, n: u64) -> Option<Span> {
        let now = now.as_nanos();
        match *self {
            _ if n == 0 => Some(Span::ZERO),
            Self::Bucket { rate, full_at } => {
                let burst = rate.burst.unwrap_or(rate.amount);
                let depth = cost(rate, burst);
                let after = full_at.max(now).saturating_add(cost(rate, n));
                (n <= burst)
                    .then(|| Span::from_nanos(after.saturating_sub(now.saturating_add(depth))))
            }
            Self::Window { rate, window, used } => {
                let period = rate.period.as_nanos();
                let current = now / period;
                let used = if current == window { used } else { 0 };
                let passes = used.saturating_add(n) <= rate.amount;
                let end = (current + 1).saturating_mul(period);
                let wait = if passes { 0 } else { end - now };
                (n <= rate.amount).then(|| Span::from_nanos(wait))
            }
        }
    }

    /// Counts `n`, whether or not they pass: what is over is owed.
    fn add(&mut self, now: Time, n: u64) {
        let now = now.as_nanos();
        match self {
            Self::Bucket { rate, full_at } => {
                *full_at = (*full_at).max(now).saturating_add(cost(*rate, n));
            }
            Self::Window { rate, window, used } => {
                let current = now / rate.period.as_nanos();
                if current != *window {
                    (*window, *used) = (current, 0);
                }
                *used = used.saturating_add(n);
            }
        }
    }

    /// Takes back `n` of what was counted. A bucket is never more than full, and a window that
    /// is over stays as it was.
    fn give_back(&mut self, now: Time, n: u64, counted_in: u16) {
        let now = now.as_nanos();
        match self {
            Self::Bucket { rate, full_at } => {
                *full_at = full_at.saturating_sub(cost(*rate, n)).max((*full_at).min(now));
            }
            Self::Window { rate, window, used } => {
                if *window == now / rate.period.as_nanos() && *window as u16 == counted_in {
                    *used = used.saturating_sub(n);
                }
            }
        }
    }

    /// The lower bits of the current window's number; zero for a bucket.
    fn window(&self) -> u16 {
        match *self {
            Self::Bucket { .. } => 0,
            Self::Window { window, .. } => window as u16,
        }
    }
}

/// How long a bucket takes to refill by `n`, rounded up.
fn cost(rate: Rate, n: u64) -> u64 {
    let period = rate.period.as_nanos();
    if let Some(product) = n.checked_mul(period) {
        return product.div_ceil(rate.amount);
    }
    let wide = (u128::from(n) * u128::from(period)).div_ceil(u128::from(rate.amount));
    u64::try_from(wide).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(amount: u64, seconds: u64) -> Rate {
        Rate { amount, period: Span::from_secs(seconds), burst: None }
    }

    fn at(ms: u64) -> Time {
        Time::ZERO + Span::from_millis(ms)
    }

    #[test]
    fn a_bucket_names_the_exact_wait_and_passes_then() {
        let quota = Quota { requests: Some(rate(6, 60)), ..Quota::default() };
        let millis = Quota { retry_after: RetryAfter::Millis, ..quota };
        let mut book = Book::new(&millis).unwrap();
        for _ in 0..6 {
            book.admit(at(500), 1, None).unwrap();
        }
        assert_eq!(book.admit(at(4500), 1, None), Err(Refusal(Some(Span::from_millis(6000)))));
        assert!(book.admit(at(10_499), 1, None).is_err());
        book.admit(at(10_500), 1, None).unwrap();
    }

    /// The arithmetic of OpenAI's messages: "Limit 30000, Used 22999, Requested 12528. Please
    /// try again in 11.054s."
    #[test]
    fn a_token_bucket_agrees_with_a_published_refusal() {
        let quota = Quota {
            tokens: Some(rate(30_000, 60)),
            retry_after: RetryAfter::Millis,
            ..Quota::default()
        };
        let mut book = Book::new(&quota).unwrap();
        book.admit(at(0), 22_999, None).unwrap();
        let refusal = book.admit(at(0), 12_528, None);
        assert_eq!(refusal, Err(Refusal(Some(Span::from_millis(11_054)))));
    }

    #[test]
    fn a_window_refuses_until_its_end_and_then_forgets() {
        let quota =
            Quota { tokens: Some(rate(100, 60)), algorithm: Algorithm::Window, ..Quota::default() };
        let mut book = Book::new(&quota).unwrap();
        book.admit(at(50_000), 90, None).unwrap();
        assert_eq!(book.admit(at(50_100), 20, None), Err(Refusal(Some(Span::from_secs(10)))));
        book.admit(at(60_000), 100, None).unwrap();
    }

    #[test]
    fn what_can_never_pass_names_no_time() {
        for algorithm in [Algorithm::Bucket, Algorithm::Window] {
            let quota = Quota { tokens: Some(rate(100, 60)), algorithm, ..Quota::default() };
            let mut book = Book::new(&quota).unwrap();
            assert_eq!(book.admit(at(0), 101, None), Err(Refusal(None)));
        }
    }

    #[test]
    fn reservations_are_kept_settled_or_counted_at_the_end() {
        for (reserves, passes_at_once, passes_settled) in [
            (Reserves::Keeps(60), false, false),
            (Reserves::Settles(60), false, true),
            (Reserves::Nothing, true, true),
        ] {
            for algorithm in [Algorithm::Bucket, Algorithm::Window] {
                let rate = rate(100, 86_400);
                let quota = Quota { tokens: Some(rate), algorithm, reserves, ..Quota::default() };
                let mut book = Book::new(&quota).unwrap();
                let admission = book.admit(at(0), 20, None).unwrap();
                assert_eq!(book.clone().admit(at(1), 25, Some(0)).is_ok(), passes_at_once);
                book.settle(at(2), admission, 10);
                // 30 of 100 are truly used.
                assert_eq!(book.clone().admit(at(3), 70, Some(0)).is_ok(), passes_settled);
                assert!(book.clone().admit(at(3), 71, Some(0)).is_err());
            }
        }
    }

    #[test]
    fn nothing_flows_back_into_a_window_that_is_over() {
        let quota = Quota {
            tokens: Some(rate(100, 60)),
            algorithm: Algorithm::Window,
            reserves: Reserves::Settles(50),
            ..Quota::default()
        };
        let mut book = Book::new(&quota).unwrap();
        let admission = book.admit(at(59_000), 10, None).unwrap();
        book.admit(at(61_000), 80, Some(20)).unwrap();
        book.settle(at(62_000), admission, 1);
        assert!(book.admit(at(63_000), 1, Some(0)).is_err());
    }

    #[test]
    fn a_refused_call_counts_nothing_anywhere() {
        let quota =
            Quota { requests: Some(rate(2, 60)), tokens: Some(rate(100, 60)), ..Quota::default() };
        let mut book = Book::new(&quota).unwrap();
        for _ in 0..5 {
            assert!(book.admit(at(0), 101, None).is_err());
        }
        book.admit(at(0), 50, None).unwrap();
        book.admit(at(0), 50, None).unwrap();
    }
}
