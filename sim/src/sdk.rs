//! What a client library makes of a gateway's answer.

use router_core::{
    CallEnd, Counter, Failure, FailureKind, Key, Outcome, Ratio, Rejection, RequestId, Span, Time,
};

use crate::plan::Client;

/// An error as a client sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<Span>,
    should_retry: Option<bool>,
}

impl Answer {
    pub(crate) const fn error(status: u16) -> Self {
        Self { status, retry_after: None, should_retry: None }
    }

    /// What the gateway answers: an error, or the end of the call.
    pub(crate) fn of(now: Time, outcome: Outcome) -> Result<Self, CallEnd> {
        match outcome {
            Outcome::Serve(_, usage) => Err(CallEnd::Answered(usage)),
            Outcome::Partial(_, usage) => Err(CallEnd::Partial(usage)),
            Outcome::Cached { stale } => Err(CallEnd::Cached { stale }),
            Outcome::Static => Err(CallEnd::Static),
            Outcome::Exhaust(failure) => Ok(Self {
                status: Self::status(&failure),
                retry_after: failure.retry_after,
                should_retry: failure.should_retry,
            }),
            Outcome::Reject(rejection) => Ok(match rejection {
                Rejection::Drain | Rejection::Full | Rejection::GroupFull => Self::error(503),
                // Nobody exceeded anything: the gateway itself has no room.
                Rejection::QueueFull(at) | Rejection::QueueTimeout(at) | Rejection::Shed(at) => {
                    Self { retry_after: Some(Self::wait(now, at)), ..Self::error(503) }
                }
                Rejection::Duplicate => Self::error(409),
                // What the providers themselves say of a prompt that fits no model.
                Rejection::TooLong => Self::error(400),
                Rejection::Accounts => Self::error(503),
                Rejection::NoDeployment(at)
                | Rejection::Subject { earliest: at, .. }
                | Rejection::Budget { earliest: at, .. } => {
                    Self { retry_after: at.map(|at| Self::wait(now, at)), ..Self::error(429) }
                }
            }),
            Outcome::Expire => Ok(Self::error(504)),
            // Nobody but this client cancels.
            Outcome::Cancel => Ok(Self::error(499)),
        }
    }

    /// In milliseconds, rounded up, so that who obeys is not early.
    const fn wait(now: Time, at: Time) -> Span {
        Span::from_millis(at.since(now).as_nanos().div_ceil(1_000_000))
    }

    /// The status of a failure: its own, or what a gateway says of a wire that failed it.
    fn status(failure: &Failure) -> u16 {
        if failure.status >= 400 {
            return failure.status;
        }
        match failure.kind {
            FailureKind::FirstToken | FailureKind::Idle | FailureKind::Total => 504,
            FailureKind::RateLimit | FailureKind::QuotaSpent => 429,
            FailureKind::Connect | FailureKind::Reset | FailureKind::Truncated => 502,
            FailureKind::Server | FailureKind::Authentication | FailureKind::NotFound => 502,
            FailureKind::InvalidOutput => 502,
            FailureKind::BadRequest | FailureKind::ContextWindow => 400,
            FailureKind::ContentPolicy => 400,
        }
    }

    /// Whether the OpenAI SDK would try again (`openai-python`, `_base_client._should_retry`):
    /// `x-should-retry` decides; else 408, 409, 429 and 5xx are tried again.
    pub(crate) fn invites_retry(self) -> bool {
        let by_status = matches!(self.status, 408 | 409 | 429) || self.status >= 500;
        self.should_retry.unwrap_or(by_status)
    }
}

impl Client {
    /// The OpenAI SDK for Python: 600 s a try and two retries; 0.5 s doubling to at most 8 s,
    /// times a uniform draw from (0.75, 1]; a `Retry-After` above zero and up to 120 s is
    /// obeyed, and a call that is told to wait longer fails.
    ///
    /// Source: <https://github.com/openai/openai-python> 2.x, `_constants.py` and
    /// `_base_client.py` (`_should_retry`, `_calculate_retry_timeout`).
    pub const fn openai_python() -> Self {
        Self {
            tries_max: 3,
            backoff: Span::from_millis(500),
            backoff_max: Span::from_secs(8),
            jitter_from: Ratio::from_ppm(750_000),
            retry_after_max: Span::from_secs(120),
            timeout: Span::from_secs(600),
        }
    }

    /// The wait after the `tries`-th failed try: at least the jittered share of the full wait,
    /// exclusively, and at most all of it.
    pub(crate) fn backoff_before(&self, tries: u8, key: Key, id: RequestId) -> Span {
        let doublings = u32::from(tries - 1).min(63);
        let full = (self.backoff * (1 << doublings)).min(self.backoff_max);
        let (num, den) = (self.jitter_from.numerator(), self.jitter_from.denominator());
        let spread =
            full.as_nanos() - full.scale(num.into(), den.into()).as_nanos().min(full.as_nanos());
        let off = if spread == 0 {
            0
        } else {
            key.below(spread, Counter { request: id.as_u64(), ..Counter::default() })
        };
        Span::from_nanos(full.as_nanos() - off)
    }
}

#[cfg(test)]
mod tests {
    use router_core::{AttemptId, Usage};

    use super::*;

    fn seen(outcome: Outcome) -> (u16, Option<Span>, bool) {
        let answer = Answer::of(Time::from_secs(10), outcome).expect("an error");
        (answer.status, answer.retry_after, answer.invites_retry())
    }

    #[test]
    fn a_rejection_says_when_to_come_back_rounded_up() {
        let at = Time::from_secs(12) + Span::from_nanos(1);
        let named = Outcome::Reject(Rejection::NoDeployment(Some(at)));
        assert_eq!(seen(named), (429, Some(Span::from_millis(2001)), true));
        let never = Outcome::Reject(Rejection::NoDeployment(None));
        assert_eq!(seen(never), (429, None, true));
        assert_eq!(seen(Outcome::Reject(Rejection::Drain)), (503, None, true));
        assert_eq!(seen(Outcome::Reject(Rejection::Full)), (503, None, true));
        assert_eq!(seen(Outcome::Reject(Rejection::TooLong)), (400, None, false));
    }

    #[test]
    fn a_failure_is_seen_by_its_own_status_or_as_a_gateway_says_it() {
        let failed = |kind, status| seen(Outcome::Exhaust(Failure::new(kind, status))).0;
        assert_eq!(failed(FailureKind::Server, 529), 529);
        assert_eq!(failed(FailureKind::Connect, 0), 502);
        assert_eq!(failed(FailureKind::Connect, 504), 504);
        assert_eq!(failed(FailureKind::Idle, 0), 504);
        // An error inside a stream that began with 200.
        assert_eq!(failed(FailureKind::Server, 200), 502);
        assert_eq!(seen(Outcome::Expire), (504, None, true));
        assert!(!seen(Outcome::Exhaust(Failure::new(FailureKind::BadRequest, 422))).2);
    }

    #[test]
    fn x_should_retry_overrides_the_status() {
        for (status, says) in [(500, false), (400, true)] {
            let failure =
                Failure { should_retry: Some(says), ..Failure::new(FailureKind::Server, status) };
            assert_eq!(seen(Outcome::Exhaust(failure)).2, says);
        }
    }

    #[test]
    fn answers_whole_or_partial_end_the_call() {
        let attempt = AttemptId { request: RequestId::new(0, 1, 0), ordinal: 1 };
        let usage = Usage { output_tokens: 3, ..Usage::default() };
        let end = |outcome| Answer::of(Time::ZERO, outcome).err();
        assert_eq!(end(Outcome::Serve(attempt, usage)), Some(CallEnd::Answered(usage)));
        assert_eq!(end(Outcome::Partial(attempt, usage)), Some(CallEnd::Partial(usage)));
    }

    #[test]
    fn waits_double_up_to_their_most() {
        let client = Client { jitter_from: Ratio::ONE, ..Client::openai_python() };
        let key = router_core::Seed::from_u64(1).key(router_core::Purpose::Client);
        let waits = [1, 2, 3, 4, 5, 6, 200]
            .map(|tries| client.backoff_before(tries, key, RequestId::new(0, 1, 0)).as_millis());
        assert_eq!(waits, [500, 1000, 2000, 4000, 8000, 8000, 8000]);
    }
}
