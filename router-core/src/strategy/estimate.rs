//! How long a deployment takes, as its last attempts say.

use alloc::vec::Vec;

use super::fixed::{ONE, part, remains};
use crate::{Config, DeploymentId, FailureClass, Load, Span, Strategy, Time};

/// After how long a sample counts half. 10 s: Finagle's peak EWMA.
const HALF_LIFE: Span = Span::from_secs(10);
/// What a failure counts for where the timeout that it counts as is off.
const NO_TIMEOUT: Span = Span::from_secs(60);

/// A running average that time, not the number of samples, makes forget: samples of one spell
/// count by how much of it they stand for. The first few count alike, so that one odd first
/// sample weighs no more than the next.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Ewma {
    value: u64,
    updated: Time,
    /// Samples so far; none means that there is no value.
    count: u32,
}

impl Ewma {
    /// What [`Self::parts`] told.
    pub(crate) const fn of([value, updated, count]: [u64; 3]) -> Option<Self> {
        if count > u32::MAX as u64 {
            return None;
        }
        Some(Self { value, updated: Time::from_nanos(updated), count: count as u32 })
    }

    /// Its value, when it was last updated, and the number of samples.
    pub(crate) const fn parts(&self) -> [u64; 3] {
        [self.value, self.updated.as_nanos(), self.count as u64]
    }

    /// A sample moves the value by its weight: the share of the past that has faded since the
    /// last one, but at least what it is among all samples so far. Rounded towards the old value.
    pub(crate) fn observe(&mut self, now: Time, sample: Span) {
        self.count = self.count.saturating_add(1);
        let faded = ONE - remains(now.since(self.updated), HALF_LIFE);
        let weight = faded.max(ONE / u64::from(self.count));
        let sample = sample.as_nanos();
        if sample >= self.value {
            self.value += part(sample - self.value, weight);
        } else {
            self.value -= part(self.value - sample, weight);
        }
        self.updated = self.updated.max(now);
    }

    /// A sample above what is left of the value replaces it; others move it as ever.
    pub(crate) fn peak(&mut self, now: Time, sample: Span) {
        if self.at(now).is_some_and(|left| left < sample) {
            self.value = sample.as_nanos();
        }
        self.observe(now, sample);
    }

    /// The value, fading towards zero while nothing is heard; `None` without a sample.
    pub(crate) fn at(&self, now: Time) -> Option<Span> {
        self.expected(now).map(|expected| expected.faded)
    }

    fn expected(&self, now: Time) -> Option<Expected> {
        let left = remains(now.since(self.updated), HALF_LIFE);
        let faded = Span::from_nanos(part(self.value, left));
        (self.count > 0).then_some(Expected { known: Span::from_nanos(self.value), faded })
    }
}

/// A time to expect: as last known, and with what time has taken off it since.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Expected {
    pub(crate) known: Span,
    pub(crate) faded: Span,
}

impl Expected {
    fn and(self, other: Self, times: u64) -> Self {
        Self { known: self.known + other.known * times, faded: self.faded + other.faded * times }
    }
}

/// What is asked of a deployment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) streams: bool,
    pub(crate) output_tokens: u32,
}

/// What became of an attempt.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts {
    pub(crate) deployment: DeploymentId,
    pub(crate) streams: bool,
    /// From its dispatch to its first token, if one came.
    pub(crate) first_token: Option<Span>,
    /// From its dispatch until now.
    pub(crate) elapsed: Span,
    pub(crate) output_tokens: u32,
}

/// Whether a failure says that the next call may fail there too.
pub(super) const fn blames(class: Option<FailureClass>) -> bool {
    match class {
        Some(
            FailureClass::RateLimit
            | FailureClass::Server
            | FailureClass::Connection
            | FailureClass::Timeout
            | FailureClass::Account,
        ) => true,
        Some(FailureClass::Invalid) | None => false,
    }
}

/// What is known of one deployment.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Estimate {
    /// Of streams, to the first token.
    first: Ewma,
    /// Of streams, per output token after the first.
    per_token: Ewma,
    /// Of what does not stream.
    whole: Ewma,
    /// `first` and `whole`, where a sample above replaces the value.
    peak_first: Ewma,
    peak_whole: Ewma,
}

impl Estimate {
    fn averages(&mut self) -> [&mut Ewma; 5] {
        let Self { first, per_token, whole, peak_first, peak_whole } = self;
        [first, per_token, whole, peak_first, peak_whole]
    }

    fn first_or_whole(&mut self, streams: bool) -> (&mut Ewma, &mut Ewma) {
        if streams {
            (&mut self.first, &mut self.peak_first)
        } else {
            (&mut self.whole, &mut self.peak_whole)
        }
    }

    /// To what the client waits for: the first token of a stream, the whole of anything else.
    pub(crate) fn response(&self, shape: Shape, now: Time) -> Option<Expected> {
        if shape.streams { self.first.expected(now) } else { self.end(shape, now) }
    }

    /// As [`Self::response`], sensitive to peaks.
    pub(crate) fn peak(&self, shape: Shape, now: Time) -> Option<Expected> {
        let peak = if shape.streams { self.peak_first } else { self.peak_whole };
        peak.expected(now).or_else(|| self.response(shape, now))
    }

    /// To the end. What is not known of one kind of request is taken from the other.
    pub(crate) fn end(&self, shape: Shape, now: Time) -> Option<Expected> {
        let stream = || {
            let first = self.first.expected(now)?;
            let tokens = self.per_token.expected(now);
            Some(tokens.map_or(first, |t| first.and(t, shape.output_tokens.into())))
        };
        let whole = || self.whole.expected(now);
        if shape.streams { stream().or_else(whole) } else { whole().or_else(stream) }
    }
}

/// What is known of every deployment.
#[derive(Clone, Debug)]
pub(crate) struct Estimates {
    deployments: Vec<Estimate>,
    /// Whether some group looks at them at all.
    wanted: bool,
}

impl Estimates {
    pub(crate) fn new(config: &Config) -> Self {
        let deployments = alloc::vec![Estimate::default(); config.deployments().len()];
        let mut estimates = Self { deployments, wanted: false };
        estimates.revise(config);
        estimates
    }

    /// Other groups may look at them now. What is no longer kept up to date is forgotten.
    pub(crate) fn revise(&mut self, config: &Config) {
        self.deployments.resize(config.deployments().len(), Estimate::default());
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
            self.deployments.fill(Estimate::default());
        }
    }

    /// Whether some group looks at them; nothing is to be told to those that nobody wants.
    pub(crate) const fn are_wanted(&self) -> bool {
        self.wanted
    }

    pub(crate) fn of(&self, deployment: DeploymentId) -> &Estimate {
        &self.deployments[deployment.index()]
    }

    /// A stream's first token came.
    #[inline(never)]
    pub(crate) fn first_token(&mut self, now: Time, facts: &Facts) {
        if let Some(first_token) = facts.first_token.filter(|_| facts.streams) {
            self.sample(now, facts, first_token);
        }
    }

    /// An attempt was answered.
    #[inline(never)]
    pub(crate) fn answered(&mut self, now: Time, facts: &Facts) {
        if !facts.streams {
            self.sample(now, facts, facts.elapsed);
        } else if let Some(first) = facts.first_token
            && facts.output_tokens > 1
        {
            let rest = facts.elapsed.as_nanos().saturating_sub(first.as_nanos());
            let each = rest / u64::from(facts.output_tokens - 1);
            let estimate = &mut self.deployments[facts.deployment.index()];
            estimate.per_token.observe(now, Span::from_nanos(each));
        }
    }

    /// An attempt failed. It counts as if it had run into the timeout that a client would have
    /// waited for, so that failing fast never looks fast. `timeout` is that of the first token
    /// for streams, the total one otherwise.
    #[inline(never)]
    pub(crate) fn failed(
        &mut self,
        now: Time,
        facts: &Facts,
        class: Option<FailureClass>,
        timeout: Span,
    ) {
        if blames(class) {
            let timeout = if timeout == Span::MAX { NO_TIMEOUT } else { timeout };
            self.sample(now, facts, timeout);
        }
    }

    /// The other of two attempts won. This one has taken at least as long as it lived, so what it
    /// waited counts if it is more than was expected.
    #[inline(never)]
    pub(crate) fn outrun(&mut self, now: Time, facts: &Facts) {
        if facts.first_token.is_some() {
            return;
        }
        let estimate = &mut self.deployments[facts.deployment.index()];
        let (average, _) = estimate.first_or_whole(facts.streams);
        if average.at(now).is_none_or(|expected| facts.elapsed > expected) {
            self.sample(now, facts, facts.elapsed);
        }
    }

    fn sample(&mut self, now: Time, facts: &Facts, sample: Span) {
        let estimate = &mut self.deployments[facts.deployment.index()];
        let (average, peak) = estimate.first_or_whole(facts.streams);
        average.observe(now, sample);
        peak.peak(now, sample);
    }

    /// Every deployment of which something is known, with the parts of its averages.
    pub(crate) fn known(&self) -> impl Iterator<Item = (usize, [[u64; 3]; 5])> {
        let known = self.deployments.iter().enumerate();
        known.filter(|(_, estimate)| **estimate != Estimate::default()).map(|(index, estimate)| {
            let mut estimate = *estimate;
            (index, estimate.averages().map(|average| average.parts()))
        })
    }

    /// Puts back what [`Self::known`] told of a deployment; says whether it could be so.
    pub(crate) fn restore(&mut self, deployment: usize, parts: [[u64; 3]; 5]) -> bool {
        let averages = self.deployments[deployment].averages();
        averages.into_iter().zip(parts).all(|(average, parts)| {
            let read = Ewma::of(parts);
            *average = read.unwrap_or_default();
            read.is_some()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Span {
        Span::from_millis(ms)
    }

    fn at(ms: u64) -> Time {
        Time::ZERO + Span::from_millis(ms)
    }

    fn averaged(samples: &[(u64, u64)]) -> Ewma {
        let mut average = Ewma::default();
        samples.iter().for_each(|(when, sample)| average.observe(at(*when), ms(*sample)));
        average
    }

    #[test]
    fn nothing_is_expected_of_what_was_never_seen() {
        assert_eq!(Ewma::default().at(Time::MAX), None);
    }

    #[test]
    fn a_value_halves_every_ten_seconds_of_silence() {
        let average = averaged(&[(0, 800)]);
        for (when, left) in [(0, 800), (10_000, 400), (20_000, 200), (30_000, 100)] {
            assert_eq!(average.at(at(when)), Some(ms(left)));
        }
        assert_eq!(average.at(Time::MAX), Some(Span::ZERO));
    }

    #[test]
    fn a_sample_weighs_as_much_as_has_faded() {
        let ten: Vec<_> = (0..10).map(|k| (k, 1_000)).collect();
        for (later, expected) in [(10_000, 1_500), (20_000, 1_750), (30_000, 1_875)] {
            let mut average = averaged(&ten);
            average.observe(at(9 + later), ms(2_000));
            assert_eq!(average.at(at(9 + later)), Some(ms(expected)));
        }
    }

    #[test]
    fn the_first_samples_count_alike() {
        assert_eq!(averaged(&[(0, 400), (0, 200)]).at(at(0)), Some(ms(300)));
        let mut poisoned = alloc::vec![(0, 5_000)];
        poisoned.extend((1..50).map(|k| (k, 50)));
        let value = averaged(&poisoned).at(at(49)).expect("there are samples");
        assert!(value < ms(150), "{value}: it was 5 s for one of fifty");
    }

    #[test]
    fn a_larger_sample_never_makes_a_smaller_average() {
        let samples = [(0, 90), (700, 30), (1_400, 700), (9_000, 1), (40_000, 350)];
        let base = averaged(&samples);
        for place in 0..samples.len() {
            let mut more = samples;
            more[place].1 += 13;
            let more = averaged(&more);
            assert!(more.at(at(40_000)) >= base.at(at(40_000)));
        }
    }

    #[test]
    fn an_average_lies_between_its_samples() {
        let mut average = Ewma::default();
        let mut sample = 12_345_u64;
        for step in 0..1_000 {
            sample = sample.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1) >> 1;
            let span = Span::from_nanos(1_000_000 + sample % 9_000_001);
            average.observe(Time::from_nanos(step * (sample % 1_000_000_000)), span);
            assert!((1_000_000..=10_000_000).contains(&average.value));
        }
    }

    #[test]
    fn whatever_the_number_of_samples_a_change_is_known_half_after_ten_seconds() {
        for gap in [10, 100, 1_000] {
            let before: Vec<_> = (0..60_000 / gap).map(|k| (k * gap, 1_000)).collect();
            let mut average = averaged(&before);
            let change = 60_000 - gap;
            (1..=10_000 / gap).for_each(|k| average.observe(at(change + k * gap), ms(3_000)));
            let value = average.at(at(change + 10_000)).expect("there are samples");
            assert!(value >= ms(1_990) && value <= ms(2_320), "every {gap} ms: {value}");
        }
    }

    #[test]
    fn a_peak_is_believed_at_once_and_fades_as_slowly_as_ever() {
        let mut peak = Ewma::default();
        peak.peak(at(0), ms(100));
        peak.peak(at(1), ms(4_000));
        assert_eq!(peak.at(at(1)), Some(ms(4_000)));
        // Two samples before it: the third counts a third.
        peak.peak(at(1), ms(1_000));
        assert_eq!(peak.at(at(1)).map(Span::as_millis), Some(3_000));
    }

    fn latency() -> Estimates {
        let mut spec = crate::Spec::default();
        spec.deployments.push(crate::DeploymentSpec::new("d".into()));
        let mut group = crate::GroupSpec::new("g".into());
        group.strategy = Strategy::LATENCY;
        group.members.push(crate::MemberSpec { deployment: "d".into(), weight: 1, tier: 0 });
        spec.groups.push(group);
        Estimates::new(&Config::new(&spec).expect("it is valid"))
    }

    fn facts(streams: bool, first_token: Option<u64>, elapsed: u64, output_tokens: u32) -> Facts {
        let deployment = DeploymentId::at(0);
        let (first_token, elapsed) = (first_token.map(ms), ms(elapsed));
        Facts { deployment, streams, first_token, elapsed, output_tokens }
    }

    #[test]
    fn a_stream_teaches_its_first_token_and_its_pace() {
        let mut estimates = latency();
        let facts = facts(true, Some(400), 2_400, 101);
        estimates.first_token(at(400), &facts);
        estimates.answered(at(400), &facts);
        let known = estimates.of(DeploymentId::at(0));
        let shape = Shape { streams: true, output_tokens: 50 };
        let faded = |e: Option<Expected>| e.map(|e| e.faded);
        assert_eq!(faded(known.response(shape, at(400))), Some(ms(400)));
        assert_eq!(faded(known.end(shape, at(400))), Some(ms(400 + 50 * 20)));
        let whole = Shape { streams: false, ..shape };
        assert_eq!(faded(known.response(whole, at(400))), Some(ms(1_400)));
    }

    #[test]
    fn a_failure_counts_as_its_timeout_unless_it_says_nothing_of_the_deployment() {
        for (class, counts) in [
            (Some(FailureClass::RateLimit), true),
            (Some(FailureClass::Account), true),
            (Some(FailureClass::Invalid), false),
            (None, false),
        ] {
            let mut estimates = latency();
            estimates.failed(at(1), &facts(true, None, 1, 0), class, Span::MAX);
            let shape = Shape { streams: true, output_tokens: 1 };
            let known = estimates.of(DeploymentId::at(0)).response(shape, at(1));
            assert_eq!(known.map(|e| e.known), counts.then_some(NO_TIMEOUT));
        }
    }

    #[test]
    fn what_was_outrun_took_at_least_as_long_as_it_lived() {
        let mut estimates = latency();
        let shape = Shape { streams: true, output_tokens: 1 };
        for (waited, expected) in [(500, 500), (300, 500), (900, 700)] {
            estimates.outrun(at(1), &facts(true, None, waited, 0));
            let known = estimates.of(DeploymentId::at(0)).response(shape, at(1));
            assert_eq!(known.map(|e| e.known), Some(ms(expected)));
        }
    }
}
