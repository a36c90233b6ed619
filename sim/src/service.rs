//! How long an answer takes.

use router_core::{Counter, DeploymentId, Key, Purpose, RequestId, Seed, Span};

use crate::plan::{FirstToken, PerToken, Provider, Service};
use crate::sample::{self, Chance};

/// A provider's service, with its probabilities ready to be drawn.
#[derive(Clone, Debug)]
pub(crate) struct Pace {
    service: Service,
    tail: Chance,
    errors: Chance,
}

impl Pace {
    pub(crate) fn new(provider: &Provider) -> Self {
        let tail = match &provider.service {
            Service::Tokens { first_token, .. } => first_token.tail,
            Service::Exponential { .. } | Service::Constant { .. } => router_core::Ratio::ZERO,
        };
        Self {
            service: provider.service.clone(),
            tail: Chance::new(tail),
            errors: Chance::new(provider.errors),
        }
    }

    /// Whether the first token comes with the last.
    pub(crate) const fn is_whole_at_once(&self) -> bool {
        match self.service {
            Service::Tokens { .. } => false,
            Service::Exponential { .. } | Service::Constant { .. } => true,
        }
    }
}

/// The keys of the providers' draws.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Draws {
    first_token: Key,
    per_token: Key,
    error: Key,
}

impl Draws {
    pub(crate) fn new(seed: Seed) -> Self {
        Self {
            first_token: seed.key(Purpose::FirstToken),
            per_token: seed.key(Purpose::PerToken),
            error: seed.key(Purpose::Error),
        }
    }

    /// Whether a call fails of itself.
    pub(crate) fn errs(
        &self,
        pace: &Pace,
        request: RequestId,
        ordinal: u8,
        deployment: DeploymentId,
    ) -> bool {
        pace.errors.hit(|| self.error.word(counter(request, ordinal, deployment, 0)))
    }

    /// From the start of work to the first token; to the whole answer if that is the same.
    pub(crate) fn first_token(
        &self,
        pace: &Pace,
        request: RequestId,
        ordinal: u8,
        deployment: DeploymentId,
        input: u32,
        slow: f64,
    ) -> Span {
        let words = |index| self.first_token.words(counter(request, ordinal, deployment, index));
        let ns = match &pace.service {
            Service::Tokens { first_token, .. } => {
                let &FirstToken { median, sigma, tail_factor, tail_shape, max, .. } = first_token;
                let [body, tail] = words(0);
                let mut ns = sample::lognormal(median.as_nanos() as f64, sigma, body);
                if pace.tail.hit(|| tail) {
                    ns *= tail_factor * sample::pareto(tail_shape, words(1)[0]);
                }
                let prefill = first_token.per_input_token * u64::from(input);
                ns.min(max.as_nanos() as f64) + prefill.as_nanos() as f64
            }
            Service::Exponential { mean } => {
                mean.as_nanos() as f64 * sample::exponential(words(0)[0])
            }
            Service::Constant { time } => time.as_nanos() as f64,
        };
        sample::nanos(ns * slow)
    }

    /// Nanoseconds from one token to the next, for a call that begins to decode as one of
    /// `in_service`. At most 4.29 s: the most that 32 bits hold.
    pub(crate) fn per_token(
        &self,
        pace: &Pace,
        request: RequestId,
        ordinal: u8,
        deployment: DeploymentId,
        in_service: u32,
        slow: f64,
    ) -> u32 {
        let Service::Tokens { per_token, .. } = &pace.service else { return 0 };
        let &PerToken { median, sigma, growth } = per_token;
        let word = self.per_token.word(counter(request, ordinal, deployment, 0));
        let alone = sample::lognormal(median.as_nanos() as f64, sigma, word);
        let load = 1.0 + growth * f64::from(in_service.saturating_sub(1));
        (alone * load * slow) as u32
    }
}

fn counter(request: RequestId, attempt: u8, deployment: DeploymentId, index: u32) -> Counter {
    Counter { request: request.as_u64(), entity: deployment.index() as u32, attempt, index }
}
