//! How long the auditor expects a deployment to take, at least and at most.
//!
//! The same averages as `docs/routing.md` has them, computed another way, so each step is known
//! within a millionth: what follows is an interval, and what lies between is left open.

use alloc::vec;
use alloc::vec::Vec;

use super::flight::Attempt;
use crate::{Config, DeploymentId, FailureClass, FailureKind, Load, Span, Strategy, Time};

/// After how long a sample counts half.
const HALF: u128 = 10_000_000_000;
/// What a failure counts for without a timeout.
const NO_TIMEOUT: Span = Span::from_secs(60);
/// For how long after a failure nothing is sent to a deployment if others are left.
const DOUBT: Span = Span::from_secs(10);
/// One, with 32 bits below the point.
const ONE: u64 = 1 << 32;

/// A number, of which only the least and the most is known.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Range {
    pub(super) least: u64,
    pub(super) most: u64,
}

impl Range {
    pub(super) const fn exactly(value: u64) -> Self {
        Self { least: value, most: value }
    }

    /// The same operation at either end; it must never fall.
    pub(super) fn with(self, other: Self, of: impl Fn(u64, u64) -> u64) -> Self {
        Self { least: of(self.least, other.least), most: of(self.most, other.most) }
    }
}

fn part(word: u64, share: u64) -> u64 {
    ((u128::from(word) * u128::from(share)) >> 32) as u64
}

/// 2^(-age / half), as a product of square roots of one half; a millionth is left for whoever
/// computes it less exactly.
fn remains(age: Span) -> Range {
    let halvings = (u128::from(age.as_nanos()) << 32) / HALF;
    if halvings >> 32 >= 64 {
        return Range::exactly(0);
    }
    let (mut left, mut root) = (1_u128 << 63, 1_u128 << 62);
    for bit in (0..32).rev() {
        root = (root << 63).isqrt();
        if halvings >> bit & 1 == 1 {
            left = (left * root) >> 63;
        }
    }
    let exact = (left >> (31 + (halvings >> 32))) as u64;
    if age.is_zero() {
        return Range::exactly(ONE);
    }
    Range { least: exact.saturating_sub(4), most: (exact + (exact >> 20) + 4).min(ONE) }
}

/// An average whose weights halve, the first samples counting alike.
#[derive(Clone, Copy, Debug, Default)]
struct Average {
    value: Range,
    at: Time,
    samples: u32,
}

impl Average {
    fn observe(&mut self, now: Time, sample: Span) {
        self.samples = self.samples.saturating_add(1);
        let (left, sample) = (remains(now.since(self.at)), sample.as_nanos());
        let weight = |left: u64| (ONE - left).max(ONE / u64::from(self.samples));
        let (light, heavy) = (weight(left.most), weight(left.least));
        let moved = |value: u64, up: u64, down: u64| {
            if sample >= value {
                value + part(sample - value, up)
            } else {
                value - part(value - sample, down)
            }
        };
        let Range { least, most } = self.value;
        self.value.least = moved(least, light, heavy).saturating_sub(1);
        self.value.most = moved(most, heavy, light).saturating_add(1);
        self.at = self.at.max(now);
    }

    /// A sample above what is left of the value replaces it.
    fn peak(&mut self, now: Time, sample: Span) {
        if let Some((_, faded)) = self.expected(now) {
            let sample = sample.as_nanos();
            if faded.most < sample {
                self.value = Range::exactly(sample);
            } else if faded.least < sample {
                let Range { least, most } = self.value;
                self.value = Range { least: least.min(sample), most: most.max(sample) };
            }
        }
        self.observe(now, sample);
    }

    /// As last known, and faded.
    fn expected(&self, now: Time) -> Option<(Range, Range)> {
        let faded = self.value.with(remains(now.since(self.at)), part);
        (self.samples > 0).then_some((self.value, faded))
    }
}

/// What is expected of one deployment.
#[derive(Clone, Copy, Debug, Default)]
struct Expected {
    first: Average,
    per_token: Average,
    whole: Average,
    peak_first: Average,
    peak_whole: Average,
}

/// Which time is asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Until {
    /// What the client waits for, as an average or sensitive to peaks.
    Response,
    Peak,
    /// The end.
    End,
}

/// What is asked of a deployment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ask {
    pub(super) until: Until,
    pub(super) stream: bool,
    pub(super) output: u64,
    pub(super) now: Time,
}

impl Expected {
    fn of(&self, ask: Ask) -> Option<(Range, Range)> {
        let Ask { until, stream, output, now } = ask;
        let first = self.first.expected(now);
        let whole = self.whole.expected(now);
        let tokens = self.per_token.expected(now).unwrap_or_default();
        let all = |first: Range, each: Range| {
            first.with(each, |first, each| first.saturating_add(each.saturating_mul(output)))
        };
        let long = first.map(|(known, faded)| (all(known, tokens.0), all(faded, tokens.1)));
        match (until, stream) {
            (Until::Peak, _) => {
                let peak = if stream { self.peak_first } else { self.peak_whole };
                let plain = Ask { until: Until::Response, ..ask };
                peak.expected(now).or_else(|| self.of(plain))
            }
            (Until::Response, true) => first,
            (Until::End, true) => long.or(whole),
            (Until::Response | Until::End, false) => whole.or(long),
        }
    }

    fn sample(&mut self, stream: bool, now: Time, sample: Span) {
        let (average, peak) = if stream {
            (&mut self.first, &mut self.peak_first)
        } else {
            (&mut self.whole, &mut self.peak_whole)
        };
        average.observe(now, sample);
        peak.peak(now, sample);
    }
}

/// What is expected of every deployment, if some strategy asks.
#[derive(Clone, Debug)]
pub(super) struct Expectations {
    deployments: Vec<Expected>,
    wanted: bool,
    /// Of whom the last call to fail or be answered failed: until when nothing is sent there.
    doubted: Vec<Option<Time>>,
}

impl Expectations {
    pub(super) fn new(config: &Config) -> Self {
        let deployments = vec![Expected::default(); config.deployments().len()];
        let doubted = vec![None; deployments.len()];
        let mut expectations = Self { deployments, wanted: false, doubted };
        expectations.reconfigure(config);
        expectations
    }

    pub(super) fn reconfigure(&mut self, config: &Config) {
        self.deployments.resize(config.deployments().len(), Expected::default());
        self.doubted.resize(config.deployments().len(), None);
        self.wanted = config.groups().iter().any(|group| match group.strategy {
            Strategy::Latency { .. } | Strategy::Cost | Strategy::PowerOfTwo(Load::PeakEwma) => {
                true
            }
            Strategy::Weighted { .. }
            | Strategy::LeastInFlight
            | Strategy::PowerOfTwo(Load::InFlight)
            | Strategy::Usage
            | Strategy::Sticky => false,
        });
        if !self.wanted {
            self.deployments.fill(Expected::default());
        }
    }

    pub(super) fn of(&self, deployment: DeploymentId, ask: Ask) -> Option<(Range, Range)> {
        self.deployments[deployment.index()].of(ask)
    }

    /// Whether strategies that look at load pass it over, with so many calls in flight there.
    pub(super) fn is_doubtful(&self, deployment: DeploymentId, in_flight: u32, at: Time) -> bool {
        self.doubted[deployment.index()].is_some_and(|until| until > at || in_flight > 0)
    }

    fn about(&mut self, attempt: &Attempt) -> Option<&mut Expected> {
        self.deployments.get_mut(attempt.place.deployment.index()).filter(|_| self.wanted)
    }

    /// The first token of a stream came.
    pub(super) fn first_token(&mut self, attempt: &Attempt, now: Time) {
        if let Some(expected) = self.about(attempt) {
            expected.sample(true, now, micros(now.since(attempt.at)));
        }
    }

    /// An attempt was answered with so many tokens.
    pub(super) fn answered(&mut self, attempt: &Attempt, tokens: u64, now: Time) {
        self.doubted[attempt.place.deployment.index()] = None;
        if attempt.stream && attempt.first.is_none() {
            self.first_token(attempt, now);
        }
        let Some(expected) = self.about(attempt) else { return };
        let all = now.since(attempt.at);
        if !attempt.stream {
            expected.sample(false, now, all);
        } else if tokens > 1 {
            let first = micros(attempt.first.unwrap_or(now).since(attempt.at));
            let rest = all.as_nanos().saturating_sub(first.as_nanos());
            expected.per_token.observe(now, Span::from_nanos(rest / (tokens - 1)));
        }
    }

    /// An attempt failed.
    pub(super) fn failed(
        &mut self,
        config: &Config,
        attempt: &Attempt,
        kind: FailureKind,
        now: Time,
    ) {
        if matches!(kind.class(), Some(FailureClass::Invalid) | None) {
            return;
        }
        self.doubted[attempt.place.deployment.index()] = Some(now + DOUBT);
        let timeouts = &config.group(attempt.place.group).timeouts;
        let timeout = if attempt.stream { timeouts.first_token } else { timeouts.total };
        if let Some(expected) = self.about(attempt) {
            let counts = if timeout == Span::MAX { NO_TIMEOUT } else { timeout };
            expected.sample(attempt.stream, now, counts);
        }
    }

    /// The other of two attempts was first.
    pub(super) fn outrun(&mut self, lost: &Attempt, now: Time) {
        let Some(expected) = self.about(lost) else { return };
        let took = now.since(lost.at);
        let average = if lost.stream { expected.first } else { expected.whole };
        let faded = average.expected(now).map(|(_, faded)| faded);
        let before = *expected;
        if faded.is_none_or(|faded| took.as_nanos() > faded.least) {
            expected.sample(lost.stream, now, took);
        }
        if faded.is_some_and(|faded| (faded.least..faded.most).contains(&took.as_nanos())) {
            // It may have counted or not: from here on either is possible.
            expected.widen(&before);
        }
    }
}

impl Expected {
    /// Either this or `other` is so. The next samples forget which.
    fn widen(&mut self, other: &Self) {
        for (average, other) in [
            (&mut self.first, &other.first),
            (&mut self.whole, &other.whole),
            (&mut self.peak_first, &other.peak_first),
            (&mut self.peak_whole, &other.peak_whole),
        ] {
            average.value.least = average.value.least.min(other.value.least);
            average.value.most = average.value.most.max(other.value.most);
        }
    }
}

/// In whole microseconds, as times to first token are kept.
fn micros(span: Span) -> Span {
    Span::from_micros((span.as_nanos() / 1_000).min(u64::from(u32::MAX) - 1))
}
