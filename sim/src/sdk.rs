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
            Outcome::Exhaust(failure) => Ok(Self {
                status: Self::status(&failure),
                retry_after: failure.retry_after,
                should_retry: failure.should_retry,
            }),
            Outcome::Reject(rejection) => Ok(match rejection {
                Rejection::Drain | Rejection::Full => Self::error(503),
                Rejection::Duplicate => Self::error(409),
                // In milliseconds, rounded up, so that who obeys is not early.
                Rejection::NoDeployment(at) => Self {
                    retry_after: at
                        .map(|at| Span::from_millis(at.since(now).as_nanos().div_ceil(1_000_000))),
                    ..Self::error(429)
                },
            }),
            Outcome::Expire => Ok(Self::error(504)),
            // Nobody but this client cancels.
            Outcome::Cancel => Ok(Self::error(499)),
        }
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
