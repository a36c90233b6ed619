//! How many calls at once a deployment bears, learned from how long they take.
//!
//! After Gradient2 of Netflix's concurrency-limits (`Gradient2Limit.java`, Apache-2.0): how long
//! calls take now is held against how long they usually take, and by how much they got slower the
//! limit shrinks; it grows only while it is used. Here, too: two gradients of a stream (to its
//! first token, and per token), of which the smaller holds; windows that count only what was
//! dispatched since the limit last shrank; and a baseline that is learned where the deployment is
//! at ease, so that an overload that lasts never becomes what is usual. DESIGN.md argues for each.

use alloc::vec::Vec;

use crate::flight::{STREAMS, Try};
use crate::router::Router;
use crate::{
    AdaptiveSpec, Config, DeploymentId, Failure, FailureKind, Observation, Span, Time, Usage,
};

/// One, with 16 bits below the point.
const ONE: u64 = 1 << 16;
/// The fewest samples that say something, and the shortest time they are gathered for: the window
/// of Netflix's `WindowedLimit` (10 samples, 1 s).
const SAMPLES_MIN: u32 = 10;
const WINDOW: Span = Span::from_secs(1);
/// The fewest output tokens of an answer that tell how long one takes.
const TOKENS_MIN: u32 = 16;
/// Of how many windows at ease the baseline is an average.
const EASES: u32 = 16;
/// For how long the limit is above what would be at ease before it is halved to look: after it
/// fell by a quarter, and otherwise; and how many times as long as the last look took.
const SOON: Span = Span::from_secs(30);
const LATE: Span = Span::from_secs(120);
const PAUSE: u64 = 8;

/// What of a call is measured.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Of {
    /// Of streams, to the first token.
    FirstToken = 0,
    /// Of streams, per output token after the first.
    Token = 1,
    /// Of what does not stream, the whole.
    Whole = 2,
}

/// One of the times that are measured, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Series {
    /// Of the window: the sum and number of samples.
    sum: u64,
    count: u32,
    /// What is usual, an average of so many windows at ease; nothing is if there was none.
    usual: u64,
    eases: u32,
}

impl Series {
    /// The window's average, if there are enough samples; they are forgotten.
    fn take(&mut self) -> Option<u64> {
        if self.count < SAMPLES_MIN {
            return None;
        }
        let average = self.sum / u64::from(self.count);
        (self.sum, self.count) = (0, 0);
        Some(average)
    }

    /// How much faster it is usually, from a half to one: up to half as slow again is usual, too
    /// (Gradient2's `rttTolerance` of 1.5).
    fn gradient(&self, now: u64) -> u64 {
        if self.eases == 0 || now == 0 {
            return ONE;
        }
        let ratio = u128::from(self.usual) * u128::from(3 * ONE / 2) / u128::from(now);
        (ratio.min(ONE.into()) as u64).max(ONE / 2)
    }

    /// Moves what is usual towards a window's average by one part in so many, rounded towards
    /// what it was.
    const fn learn(&mut self, now: u64, parts: u32) {
        let parts = parts as u64;
        if now >= self.usual {
            self.usual += (now - self.usual) / parts;
        } else {
            self.usual -= (self.usual - now) / parts;
        }
    }
}

/// One deployment's limit and what it is learned from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Adaptive {
    spec: AdaptiveSpec,
    /// With 16 bits below the point; within the bounds.
    limit: u64,
    /// When the present window began, and the most calls in flight since then.
    begun: Time,
    peak: u32,
    /// Only attempts that were dispatched from then on count.
    since: Time,
    /// When it was last at ease, and the highest limit since.
    eased: Time,
    height: u64,
    /// Since when it is halved to look, and how long the last look took.
    looking: Option<Time>,
    look: Span,
    /// What was last told.
    told: u32,
    series: [Series; 3],
}

impl Adaptive {
    fn new(spec: AdaptiveSpec, now: Time, in_flight: u32) -> Self {
        let limit = u64::from(spec.start) << 16;
        Self {
            spec,
            limit,
            begun: now,
            peak: in_flight,
            since: now,
            eased: now,
            height: limit,
            looking: None,
            look: Span::ZERO,
            told: spec.start,
            series: [Series::default(); 3],
        }
    }

    /// The most calls at once, as of now.
    pub(crate) fn most(&self) -> u32 {
        let whole = (self.limit >> 16) as u32;
        if self.looking.is_some() { (whole / 2).max(self.spec.min) } else { whole }
    }

    fn bounds(&self) -> (u64, u64) {
        (u64::from(self.spec.min) << 16, u64::from(self.spec.max) << 16)
    }

    /// The limit if it has changed by a tenth since it was last told.
    fn news(&mut self) -> Option<u32> {
        let most = self.most();
        let changed = most != self.told && 10 * most.abs_diff(self.told) >= self.told;
        changed.then(|| {
            self.told = most;
            most
        })
    }

    fn sample(&mut self, of: Of, took: u64, now: Time, in_flight: u32) -> Option<u32> {
        let series = &mut self.series[of as usize];
        series.sum = series.sum.saturating_add(took);
        series.count += 1;
        if series.count < SAMPLES_MIN || now.since(self.begun) < WINDOW {
            return None;
        }
        self.close(now, in_flight);
        self.news()
    }

    /// The window is over: what it says moves the limit, or, at ease, what is usual.
    #[inline(never)]
    fn close(&mut self, now: Time, in_flight: u32) {
        let at_ease = u64::from(self.peak) << 17 <= self.limit;
        let looked = self.looking.take();
        let mut gradient = ONE;
        for series in &mut self.series {
            let Some(average) = series.take() else { continue };
            gradient = gradient.min(series.gradient(average));
            if looked.is_some() && series.eases > 0 {
                series.learn(average, 2);
            } else if looked.is_some() || at_ease || series.eases == 0 {
                series.eases = (series.eases + 1).min(EASES);
                series.learn(average, series.eases);
            }
        }
        if let Some(from) = looked {
            self.look = now.since(from);
            self.series.iter_mut().for_each(|series| (series.sum, series.count) = (0, 0));
        }
        if looked.is_some() || at_ease {
            (self.eased, self.height) = (now, self.limit);
        } else if gradient < ONE {
            self.shrink(self.limit * (ONE - gradient) / (2 * ONE), now);
            let fallen = self.limit <= self.height / 4 * 3 || self.limit == self.bounds().0;
            let least = if fallen { SOON } else { LATE };
            if now.since(self.eased) >= least.max(self.look * PAUSE) {
                self.looking = Some(now);
            }
        } else {
            // Half the square root of the limit: with 16 bits below the point its root has 8.
            self.limit = (self.limit + (self.limit.isqrt() << 7)).min(self.bounds().1);
            self.height = self.height.max(self.limit);
        }
        (self.begun, self.peak) = (now, in_flight);
    }

    /// What was dispatched before now says nothing of the smaller limit.
    fn shrink(&mut self, by: u64, now: Time) {
        self.limit = (self.limit - by).max(self.bounds().0);
        self.since = now;
        self.series.iter_mut().for_each(|series| (series.sum, series.count) = (0, 0));
    }
}

/// An attempt of which something is known now.
#[derive(Clone, Copy, Debug)]
struct Heard {
    deployment: DeploymentId,
    dispatched: Time,
    now: Time,
    /// At its deployment, as of now.
    in_flight: u32,
}

/// The limits of those deployments that have one; empty if none has.
#[derive(Clone, Debug, Default)]
pub(crate) struct Adaptives(Vec<Option<Adaptive>>);

impl Adaptives {
    pub(crate) fn new(config: &Config, now: Time) -> Self {
        let mut all = Self::default();
        all.revise(config, now, |_| 0);
        all
    }

    /// Whether anyone has one.
    #[inline]
    const fn is_some(&self) -> bool {
        !self.0.is_empty()
    }

    /// Other bounds hold. Who had a limit keeps it, within them; if
    /// that changes it, it counts as told.
    pub(crate) fn revise(
        &mut self,
        config: &Config,
        now: Time,
        in_flight: impl Fn(DeploymentId) -> u32,
    ) {
        let deployments = config.deployments();
        if deployments.iter().all(|deployment| deployment.adaptive.is_none()) {
            self.0.clear();
            return;
        }
        self.0.resize(deployments.len(), None);
        for (index, (known, next)) in self.0.iter_mut().zip(deployments).enumerate() {
            *known = next.adaptive.map(|spec| match *known {
                Some(known) => {
                    let mut next = Adaptive { spec, ..known };
                    let (least, most) = next.bounds();
                    next.limit = next.limit.clamp(least, most);
                    next.height = next.height.clamp(next.limit, most);
                    if next.most() != known.most() {
                        next.told = next.most();
                    }
                    next
                }
                None => Adaptive::new(spec, now, in_flight(DeploymentId::at(index))),
            });
        }
    }

    #[inline]
    pub(crate) fn of(&self, deployment: DeploymentId) -> Option<&Adaptive> {
        self.0.get(deployment.index())?.as_ref()
    }

    #[inline]
    fn of_mut(&mut self, deployment: DeploymentId) -> Option<&mut Adaptive> {
        self.0.get_mut(deployment.index())?.as_mut()
    }

    /// A call is dispatched, and so many are in flight with it.
    fn dispatched(&mut self, deployment: DeploymentId, in_flight: u32) {
        if let Some(adaptive) = self.of_mut(deployment) {
            adaptive.peak = adaptive.peak.max(in_flight);
        }
    }

    /// A stream's first token came, or what does not stream was answered. The limit if it is to
    /// be told anew.
    fn responded(&mut self, heard: Heard, of: Of) -> Option<u32> {
        let Heard { deployment, dispatched, now, in_flight } = heard;
        let adaptive = self.of_mut(deployment).filter(|a| dispatched >= a.since)?;
        adaptive.sample(of, now.since(dispatched).as_nanos(), now, in_flight)
    }

    /// A stream was answered: `tokens` in all, the first of them after so long.
    fn streamed(&mut self, heard: Heard, first: Span, tokens: u32) -> Option<u32> {
        let Heard { deployment, dispatched, now, in_flight } = heard;
        let adaptive = self.of_mut(deployment).filter(|a| dispatched >= a.since)?;
        let took =
            (now.since(dispatched).as_nanos() / 1_000).saturating_sub(first.as_nanos() / 1_000);
        if tokens < TOKENS_MIN || took == 0 {
            return None;
        }
        let each = took.saturating_mul(1_000) / u64::from(tokens - 1);
        adaptive.sample(Of::Token, each, now, in_flight)
    }

    /// An attempt failed; if for overload, the limit shrinks by a tenth (`AIMDLimit`'s back-off
    /// ratio), once for all that were dispatched before it did.
    fn failed(&mut self, heard: Heard, failure: &Failure) -> Option<u32> {
        let Heard { deployment, dispatched, now, in_flight } = heard;
        let adaptive = self.of_mut(deployment).filter(|a| dispatched >= a.since)?;
        if !is_overload(failure) {
            return None;
        }
        adaptive.shrink(adaptive.limit / 10, now);
        (adaptive.begun, adaptive.peak) = (now, in_flight);
        adaptive.news()
    }

    /// Every limit, with its parts for a snapshot.
    pub(crate) fn parts(&self) -> impl Iterator<Item = (usize, [u64; PARTS])> {
        let known = self.0.iter().enumerate();
        known.filter_map(|(index, adaptive)| Some((index, adaptive.as_ref()?.parts())))
    }

    /// Puts back what [`Self::parts`] told of a deployment; says whether it could be so.
    pub(crate) fn restore(&mut self, deployment: DeploymentId, parts: [u64; PARTS]) -> bool {
        let Some(adaptive) = self.of_mut(deployment) else { return false };
        adaptive.restore(parts).is_some()
    }
}

impl Router {
    /// Whether a deployment has as many calls in flight as its adaptive limit allows.
    #[inline]
    pub(crate) fn is_saturated(&self, deployment: DeploymentId) -> bool {
        self.adaptives
            .of(deployment)
            .is_some_and(|adaptive| self.health.of(deployment).in_flight >= adaptive.most())
    }

    /// How many places of a deployment's adaptive limit are in use, of how many.
    pub(crate) fn adaptive_places(&self, deployment: DeploymentId) -> Option<(u32, u32)> {
        let adaptive = self.adaptives.of(deployment)?;
        Some((self.health.of(deployment).in_flight, adaptive.most()))
    }

    /// An attempt was dispatched.
    #[inline]
    pub(crate) fn adapt_to_load(&mut self, deployment: DeploymentId) {
        if self.adaptives.is_some() {
            self.adaptives.dispatched(deployment, self.health.of(deployment).in_flight);
        }
    }

    /// A stream's first token came.
    #[inline]
    pub(crate) fn adapt_to_first_token(&mut self, attempt: &Try) {
        if self.adaptives.is_some() {
            let most = |router: &Self| router.adaptives.of(attempt.deployment).map(Adaptive::most);
            let (heard, before) = (self.heard(attempt), most(self));
            let news = self.adaptives.responded(heard, Of::FirstToken);
            // No call has ended, and still there may be a place for somebody who waits.
            self.queues.stirred |= most(self) > before;
            self.tell_limit(attempt.deployment, news);
        }
    }

    /// An attempt was answered.
    #[inline]
    pub(crate) fn adapt_to_answer(&mut self, ended: &Try, usage: Usage) {
        if self.adaptives.is_some() {
            let heard = self.heard(ended);
            let news = match ended.first_token().filter(|_| ended.is(STREAMS)) {
                Some(first) => self.adaptives.streamed(heard, first, usage.output_tokens),
                None => self.adaptives.responded(heard, Of::Whole),
            };
            self.tell_limit(ended.deployment, news);
        }
    }

    /// An attempt failed.
    #[inline]
    pub(crate) fn adapt_to_failure(&mut self, ended: &Try, failure: &Failure) {
        if self.adaptives.is_some() {
            let heard = self.heard(ended);
            let news = self.adaptives.failed(heard, failure);
            self.tell_limit(ended.deployment, news);
        }
    }

    fn heard(&self, attempt: &Try) -> Heard {
        let Try { deployment, dispatched, .. } = *attempt;
        Heard {
            deployment,
            dispatched,
            now: self.now,
            in_flight: self.health.of(deployment).in_flight,
        }
    }

    fn tell_limit(&mut self, deployment: DeploymentId, limit: Option<u32>) {
        if let Some(limit) = limit {
            self.observe(Observation::Concurrency { deployment, limit });
        }
    }
}

/// Whether a failure says that the deployment has too much to do.
const fn is_overload(failure: &Failure) -> bool {
    match failure.kind {
        FailureKind::RateLimit
        | FailureKind::FirstToken
        | FailureKind::Idle
        | FailureKind::Total => true,
        // 529: Anthropic's `overloaded_error`.
        FailureKind::Server => matches!(failure.status, 503 | 504 | 529),
        FailureKind::Connect
        | FailureKind::Reset
        | FailureKind::Truncated
        | FailureKind::QuotaSpent
        | FailureKind::Authentication
        | FailureKind::NotFound
        | FailureKind::InvalidOutput
        | FailureKind::BadRequest
        | FailureKind::ContextWindow
        | FailureKind::ContentPolicy => false,
    }
}

/// How many numbers a limit is written as.
pub(crate) const PARTS: usize = 10 + 3 * 4;

impl Adaptive {
    fn parts(&self) -> [u64; PARTS] {
        let Self { limit, begun, peak, since, eased, height, looking, look, told, .. } = *self;
        let mut parts = [0; PARTS];
        let [whether, from] = looking.map_or([0, 0], |from| [1, from.as_nanos()]);
        let (begun, since, eased) = (begun.as_nanos(), since.as_nanos(), eased.as_nanos());
        let (peak, told) = (peak.into(), told.into());
        let own = [limit, begun, peak, since, eased, height, whether, from, look.as_nanos(), told];
        parts[..10].copy_from_slice(&own);
        for (part, series) in parts[10..].chunks_mut(4).zip(self.series) {
            let Series { sum, count, usual, eases } = series;
            part.copy_from_slice(&[sum, count.into(), usual, eases.into()]);
        }
        parts
    }

    fn restore(&mut self, parts: [u64; PARTS]) -> Option<()> {
        let (least, most) = self.bounds();
        let [limit, begun, peak, since, eased, height, whether, from, look, told] =
            *parts.first_chunk()?;
        if limit < least || limit > most || height > most {
            return None;
        }
        (self.limit, self.height) = (limit, height);
        [self.begun, self.since, self.eased] = [begun, since, eased].map(Time::from_nanos);
        (self.peak, self.told) = (peak.try_into().ok()?, told.try_into().ok()?);
        self.looking = (whether != 0).then(|| Time::from_nanos(from));
        self.look = Span::from_nanos(look);
        for (series, part) in self.series.iter_mut().zip(parts[10..].chunks(4)) {
            let [sum, count, usual, eases] = *part.first_chunk()?;
            let (count, eases) = (count.try_into().ok()?, eases.try_into().ok()?);
            *series = Series { sum, count, usual, eases };
        }
        Some(())
    }
}

#[cfg(test)]
mod tests;
