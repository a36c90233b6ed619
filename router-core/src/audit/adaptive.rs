//! The auditor's own learned limits: every sample of a window is kept until the window is over,
//! and everything is computed anew from them, in 65,536ths of a call.

use alloc::vec::Vec;

use super::flight::Attempt;
use super::{Auditor, Invariant};
use crate::{AdaptiveSpec, Config, DeploymentId, Failure, FailureKind, Span, Time};

const CALL: u128 = 65_536;
const ENOUGH: usize = 10;
const SECOND: Span = Span::from_secs(1);

/// What of a call takes time: the first token and each further one of streams, the whole of
/// others.
const FIRST: usize = 0;
const EACH: usize = 1;
const WHOLE: usize = 2;

/// What the auditor knows of one deployment's limit.
#[derive(Clone, Debug)]
struct Book {
    spec: AdaptiveSpec,
    /// In 65,536ths.
    limit: u128,
    /// Since the window began: the most calls in flight, and in nanoseconds what they took.
    began: Time,
    busiest: u32,
    samples: [Vec<u64>; 3],
    /// What is usual, and after how many windows at ease.
    usual: [(u128, u32); 3],
    shrank: Time,
    eased: Time,
    /// The highest since.
    top: u128,
    halved: Option<Time>,
    pause: Span,
    told: u32,
}

impl Book {
    fn new(spec: AdaptiveSpec, now: Time, in_flight: u32) -> Self {
        Self {
            spec,
            limit: CALL * u128::from(spec.start),
            began: now,
            busiest: in_flight,
            samples: [const { Vec::new() }; 3],
            usual: [(0, 0); 3],
            shrank: now,
            eased: now,
            top: CALL * u128::from(spec.start),
            halved: None,
            pause: Span::ZERO,
            told: spec.start,
        }
    }

    fn allows(&self) -> u32 {
        let whole = u32::try_from(self.limit / CALL).unwrap_or(u32::MAX);
        match self.halved {
            Some(_) if whole / 2 < self.spec.min => self.spec.min,
            Some(_) => whole / 2,
            None => whole,
        }
    }

    fn least(&self) -> u128 {
        CALL * u128::from(self.spec.min)
    }

    fn sample(&mut self, kind: usize, took: u64, now: Time, in_flight: u32) {
        self.samples[kind].push(took);
        if self.samples[kind].len() >= ENOUGH && now.since(self.began) >= SECOND {
            self.judge(now, in_flight);
        }
    }

    /// The average of every kind of which there are enough samples, which are used up.
    fn averages(&mut self) -> [Option<u128>; 3] {
        self.samples.each_mut().map(|samples| {
            (samples.len() >= ENOUGH).then(|| {
                let sum: u128 = samples.iter().map(|took| u128::from(*took)).sum();
                let count = samples.len() as u128;
                samples.clear();
                sum / count
            })
        })
    }

    /// A window is over.
    fn judge(&mut self, now: Time, in_flight: u32) {
        let averages = self.averages();
        let slowest = averages.iter().zip(self.usual).filter_map(|(average, (usual, known))| {
            let average = average.filter(|average| known > 0 && *average > 0)?;
            Some((CALL * 3 * usual / (2 * average)).clamp(CALL / 2, CALL))
        });
        let gradient = slowest.min().unwrap_or(CALL);
        let used = 2 * CALL * u128::from(self.busiest) > self.limit;
        let halved = self.halved.take();
        for (average, (usual, known)) in averages.into_iter().zip(&mut self.usual) {
            let Some(average) = average else { continue };
            let parts = match (halved, *known) {
                (Some(_), 1..) => 2,
                (None, 1..) if used => continue,
                (Some(_) | None, _) => {
                    *known = 16.min(*known + 1);
                    u128::from(*known)
                }
            };
            let step = average.abs_diff(*usual) / parts;
            *usual = if average < *usual { *usual - step } else { *usual + step };
        }
        (self.began, self.busiest) = (now, in_flight);
        if let Some(halved) = halved {
            self.pause = now.since(halved) * 8;
            self.samples.iter_mut().for_each(Vec::clear);
        }
        if halved.is_some() || !used {
            (self.eased, self.top) = (now, self.limit);
        } else if gradient == CALL {
            let most = CALL * u128::from(self.spec.max);
            self.limit = most.min(self.limit + 128 * self.limit.isqrt());
            self.top = self.top.max(self.limit);
        } else {
            self.shrink(self.limit * (CALL - gradient) / (2 * CALL), now);
            let low = self.limit == self.least() || self.limit <= self.top / 4 * 3;
            let wait = Span::from_secs(if low { 30 } else { 120 });
            if now.since(self.eased) >= wait.max(self.pause) {
                self.halved = Some(now);
            }
        }
    }

    fn shrink(&mut self, by: u128, now: Time) {
        self.limit = (self.limit - by).max(self.least());
        self.shrank = now;
        self.samples.iter_mut().for_each(Vec::clear);
    }

    /// Whether it is to be told anew.
    fn is_news(&self) -> bool {
        let (is, was) = (u64::from(self.allows()), u64::from(self.told));
        is != was && 10 * is.abs_diff(was) >= was
    }
}

/// Every deployment's.
#[derive(Clone, Debug)]
pub(super) struct Adaptive {
    books: Vec<Option<Book>>,
    /// Whose limit has changed by enough to be told, and was not told.
    untold: Option<DeploymentId>,
}

impl Adaptive {
    pub(super) fn new(config: &Config, start: Time) -> Self {
        let books = config.deployments().iter();
        let books = books.map(|d| d.adaptive.map(|spec| Book::new(spec, start, 0)));
        Self { books: books.collect(), untold: None }
    }

    pub(super) fn reconfigure(
        &mut self,
        now: Time,
        next: &Config,
        in_flight: impl Fn(DeploymentId) -> u32,
    ) {
        self.books.resize(next.deployments().len(), None);
        for (index, deployment) in next.deployments().iter().enumerate() {
            let book = &mut self.books[index];
            let Some(spec) = deployment.adaptive else {
                *book = None;
                continue;
            };
            let id = DeploymentId::at(index);
            let book = book.get_or_insert_with(|| Book::new(spec, now, in_flight(id)));
            let before = book.allows();
            book.spec = spec;
            let most = CALL * u128::from(spec.max);
            book.limit = book.limit.max(book.least()).min(most);
            book.top = book.top.max(book.limit).min(most);
            if book.allows() != before {
                book.told = book.allows();
            }
        }
    }

    /// How many calls at once `of` is found to bear.
    pub(super) fn allows(&self, of: DeploymentId) -> Option<u32> {
        Some(self.books.get(of.index())?.as_ref()?.allows())
    }

    pub(super) fn dispatched(&mut self, to: DeploymentId, in_flight: u32) {
        if let Some(book) = &mut self.books[to.index()] {
            book.busiest = book.busiest.max(in_flight);
        }
    }

    /// The book of an attempt's deployment, if that one counts.
    fn hears(&mut self, attempt: &Attempt) -> Option<&mut Book> {
        let book = self.books.get_mut(attempt.place.deployment.index())?.as_mut()?;
        (attempt.at >= book.shrank).then_some(book)
    }

    fn note(&mut self, of: DeploymentId) {
        let news = self.books[of.index()].as_ref().is_some_and(Book::is_news);
        self.untold = news.then_some(of).or(self.untold);
    }

    /// The first token of a stream, or the whole of anything else.
    pub(super) fn responded(&mut self, attempt: &Attempt, now: Time, in_flight: u32) {
        let kind = if attempt.stream { FIRST } else { WHOLE };
        if let Some(book) = self.hears(attempt) {
            book.sample(kind, now.since(attempt.at).as_nanos(), now, in_flight);
            self.note(attempt.place.deployment);
        }
    }

    /// A stream was answered.
    pub(super) fn streamed(&mut self, attempt: &Attempt, tokens: u64, now: Time, in_flight: u32) {
        let Some(first) = attempt.first else { return };
        let micros = |until: Time| until.since(attempt.at).as_nanos() / 1_000;
        let rest = micros(now) - micros(first);
        if tokens < 16 || rest == 0 {
            return;
        }
        if let Some(book) = self.hears(attempt) {
            book.sample(EACH, rest * 1_000 / (tokens - 1), now, in_flight);
            self.note(attempt.place.deployment);
        }
    }

    pub(super) fn failed(&mut self, attempt: &Attempt, failure: &Failure, now: Time, left: u32) {
        use FailureKind as Kind;
        let overload = match failure.kind {
            Kind::RateLimit | Kind::FirstToken | Kind::Idle | Kind::Total => true,
            Kind::Server => [503, 504, 529].contains(&failure.status),
            Kind::Connect | Kind::Reset | Kind::Truncated | Kind::InvalidOutput => false,
            Kind::QuotaSpent | Kind::Authentication | Kind::NotFound => false,
            Kind::BadRequest | Kind::ContextWindow | Kind::ContentPolicy => false,
        };
        if let Some(book) = self.hears(attempt).filter(|_| overload) {
            book.shrink(book.limit / 10, now);
            (book.began, book.busiest) = (now, left);
            self.note(attempt.place.deployment);
        }
    }

    /// Whether a limit is as is said, and is to be told.
    pub(super) fn claim(&mut self, of: DeploymentId, limit: u32) -> bool {
        self.untold.take_if(|untold| *untold == of);
        let Some(book) = &mut self.books[of.index()] else { return false };
        let right = book.is_news() && book.allows() == limit;
        book.told = limit;
        right
    }

    /// Whose limit has changed and was not told.
    pub(super) const fn take_untold(&mut self) -> Option<DeploymentId> {
        self.untold.take()
    }
}

impl Auditor {
    /// Whether a deployment has as many calls in flight as its limits allow.
    pub(super) fn is_full(&self, deployment: DeploymentId) -> bool {
        self.limits.full(&self.config, deployment) || self.is_saturated(deployment)
    }

    /// Whether it has as many as it was found to bear.
    pub(super) fn is_saturated(&self, deployment: DeploymentId) -> bool {
        let most = self.adaptive.allows(deployment);
        most.is_some_and(|most| self.limits.in_flight(deployment) >= most)
    }

    /// How many of the places that it was found to have are in use, of how many.
    pub(super) fn found_places(&self, of: DeploymentId) -> Option<(u32, u32)> {
        Some((self.limits.in_flight(of), self.adaptive.allows(of)?))
    }

    /// The first token of a stream, or the whole of anything else, came.
    pub(super) fn responded(&mut self, attempt: &Attempt) {
        let in_flight = self.limits.in_flight(attempt.place.deployment);
        self.adaptive.responded(attempt, self.now, in_flight);
    }

    /// The router tells an adaptive limit.
    pub(super) fn told_limit(&mut self, deployment: DeploymentId, limit: u32) {
        self.premise(Invariant::Adaptive);
        if !self.adaptive.claim(deployment, limit) {
            let name = self.config.deployment(deployment).name.clone();
            let found = self.adaptive.allows(deployment);
            self.breach(Invariant::Adaptive, None, || {
                alloc::format!("`{name}` is said to bear {limit} calls at once, not {found:?}")
            });
        }
    }
}
