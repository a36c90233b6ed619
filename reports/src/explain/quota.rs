//! The router's limits, followed from outside: which of them refused, and until when.

use std::collections::BTreeMap;

use router_core::{
    AttemptId, Config, DeploymentId, Dispatch, Input, LimitId, LimitSpec, Observation, Output,
    Rate, Request, RequestId, Span, Time, Upstream, Usage,
};

/// What an attempt takes of each of a limit's four rates: requests, tokens, prompt tokens,
/// completion tokens.
type Take = [u64; 4];

const NAMES: [&str; 4] = ["requests", "tokens", "prompt tokens", "completion tokens"];

/// How far the allowance of each rate is spent, and how many calls are under way.
#[derive(Clone, Copy, Debug, Default)]
struct Book {
    spent: [Time; 4],
    live: u32,
}

/// Every limit's book, kept by the same arithmetic as the router's (the generic cell rate
/// algorithm) from what a journal sees.
#[derive(Clone, Debug)]
pub(super) struct Quotas {
    books: Vec<Book>,
    /// Prompt tokens and reserved completion tokens of the requests in flight.
    asked: BTreeMap<RequestId, (u32, u32)>,
    /// What attempts were charged for that the router dropped, for late news of them.
    dropped: BTreeMap<AttemptId, (DeploymentId, Usage)>,
    /// Late news: what it says was used.
    told: Option<Usage>,
    dropping: Option<AttemptId>,
}

/// Why a limit has no place for a call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Refusal {
    pub(super) limit: LimitId,
    /// Which of its rates.
    pub(super) what: &'static str,
    pub(super) rate: Rate,
    /// How much of it is wanted.
    pub(super) wanted: u64,
    /// When there will be a place; none if there never is.
    pub(super) place: Option<Time>,
}

impl Quotas {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            books: vec![Book::default(); config.limits().len()],
            asked: BTreeMap::new(),
            dropped: BTreeMap::new(),
            told: None,
            dropping: None,
        }
    }

    pub(super) fn input(&mut self, config: &Config, input: &Input) {
        self.told = None;
        match input {
            Input::Submit(request) => {
                self.asked.insert(request.id, asked(config, request));
            }
            Input::Upstream(_, Upstream::Complete(usage)) => self.told = Some(*usage),
            Input::Upstream(_, Upstream::Fail(failure)) => self.told = failure.usage,
            Input::Upstream(
                _,
                Upstream::Connected
                | Upstream::Headers(_)
                | Upstream::FirstToken
                | Upstream::Progress(_),
            )
            | Input::Cancel(_)
            | Input::Tick
            | Input::Reconfigure(_)
            | Input::Peers(_)
            | Input::Drain => {}
        }
    }

    /// There may be more limits now.
    pub(super) fn reconfigure(&mut self, config: &Config) {
        self.books.resize(config.limits().len(), Book::default());
    }

    pub(super) fn output(&mut self, config: &Config, now: Time, output: &Output) {
        match output {
            Output::Dispatch(dispatch) => self.reserve(config, now, dispatch),
            Output::Abandon(attempt, _) => self.dropping = Some(*attempt),
            Output::Finish(request, _) => {
                self.asked.remove(request);
            }
            Output::Observe(Observation::Ended { attempt, deployment, usage, .. }) => {
                self.settle(config, now, (*attempt, *deployment), *usage);
            }
            Output::Observe(Observation::Late { attempt, corrected: true }) => {
                self.correct(config, now, *attempt);
            }
            Output::Observe(_) | Output::Commit(_) => {}
        }
    }

    /// What an attempt of `request` reserves: prompt tokens, and completion tokens at most.
    pub(super) fn asked(&self, request: RequestId) -> (u32, u32) {
        self.asked.get(&request).copied().unwrap_or_default()
    }

    fn reserve(&mut self, config: &Config, now: Time, dispatch: &Dispatch) {
        let take = take(1, self.asked(dispatch.attempt.request));
        for (spec, book) in books(&mut self.books, config, dispatch.deployment) {
            book.live += 1;
            for ((rate, spent), n) in rates(spec).into_iter().zip(&mut book.spent).zip(take) {
                if let Some(rate) = rate.filter(|_| n > 0) {
                    *spent = (*spent).max(now) + cost(rate, n);
                }
            }
        }
    }

    fn settle(
        &mut self,
        config: &Config,
        now: Time,
        (attempt, deployment): (AttemptId, DeploymentId),
        used: Usage,
    ) {
        let reserved = take(0, self.asked(attempt.request));
        for (_, book) in books(&mut self.books, config, deployment) {
            book.live = book.live.saturating_sub(1);
        }
        self.move_to(config, now, deployment, (reserved, usage(used)));
        if self.dropping.take_if(|dropped| *dropped == attempt).is_some() {
            self.dropped.insert(attempt, (deployment, used));
        }
    }

    fn correct(&mut self, config: &Config, now: Time, attempt: AttemptId) {
        let dropped = self.dropped.remove(&attempt);
        if let (Some((deployment, charged)), Some(used)) = (dropped, self.told) {
            self.move_to(config, now, deployment, (usage(charged), usage(used)));
        }
    }

    /// Corrects what was charged to what was used.
    fn move_to(
        &mut self,
        config: &Config,
        now: Time,
        deployment: DeploymentId,
        (charged, used): (Take, Take),
    ) {
        for (spec, book) in books(&mut self.books, config, deployment) {
            let each =
                rates(spec).into_iter().zip(&mut book.spent).zip(charged.into_iter().zip(used));
            for ((rate, spent), (charged, used)) in each {
                let Some(rate) = rate else { continue };
                let (charged, used) = (cost(rate, charged), cost(rate, used));
                if used > charged {
                    let more = Span::from_nanos(used.as_nanos() - charged.as_nanos());
                    *spent = (*spent).max(now) + more;
                } else {
                    let back = Span::from_nanos(charged.as_nanos() - used.as_nanos());
                    *spent = (*spent - back).max((*spent).min(now));
                }
            }
        }
    }

    /// The rate of `deployment`'s limits that keeps `request` out the longest.
    pub(super) fn refusal(
        &self,
        config: &Config,
        now: Time,
        deployment: DeploymentId,
        request: RequestId,
    ) -> Option<Refusal> {
        let take = take(1, self.asked(request));
        let limits = config.deployment(deployment).limits.iter();
        let each = limits.flat_map(|&limit| {
            let book = &self.books[limit.index()];
            let rates = rates(&config.limit(limit).spec).into_iter().zip(NAMES);
            let rates = rates.zip(book.spent).zip(take);
            rates.filter_map(move |(((rate, what), spent), wanted)| {
                let rate = rate.filter(|_| wanted > 0)?;
                let place = place(rate, spent, wanted, now);
                (place != Some(now)).then_some(Refusal { limit, what, rate, wanted, place })
            })
        });
        each.max_by_key(|refusal| refusal.place.unwrap_or(Time::MAX))
    }

    /// The parallel limit of `deployment` that is full, and its places.
    pub(super) fn full(&self, config: &Config, deployment: DeploymentId) -> Option<(LimitId, u32)> {
        let limits = config.deployment(deployment).limits.iter();
        let mut full = limits.filter_map(|&limit| {
            let most = config.limit(limit).spec.parallel?;
            (self.books[limit.index()].live >= most).then_some((limit, most))
        });
        full.next()
    }
}

fn asked(config: &Config, request: &Request) -> (u32, u32) {
    let reserve = config.router().output_reserve;
    (request.input_tokens, request.output_max.unwrap_or(reserve))
}

fn take(requests: u64, (input, output): (u32, u32)) -> Take {
    let (input, output) = (u64::from(input), u64::from(output));
    [requests, input + output, input, output]
}

fn usage(usage: Usage) -> Take {
    take(0, (usage.input_tokens, usage.output_tokens))
}

const fn rates(spec: &LimitSpec) -> [Option<Rate>; 4] {
    [spec.requests, spec.tokens, spec.input_tokens, spec.output_tokens]
}

fn books<'b>(
    books: &'b mut [Book],
    config: &'b Config,
    deployment: DeploymentId,
) -> impl Iterator<Item = (&'b LimitSpec, &'b mut Book)> {
    let limits = &config.deployment(deployment).limits;
    let books = books.iter_mut().enumerate().map(|(index, book)| (LimitId::at(index), book));
    let own = books.filter(|(id, _)| limits.contains(id));
    own.map(|(id, book)| (&config.limit(id).spec, book))
}

/// How much time `n` of a rate is worth, rounded up.
fn cost(rate: Rate, n: u64) -> Span {
    let wide = u128::from(n) * u128::from(rate.period.as_nanos());
    Span::from_nanos(u64::try_from(wide.div_ceil(u128::from(rate.amount))).unwrap_or(u64::MAX))
}

/// When `n` pass, if nothing else is taken; `None` if they never do.
fn place(rate: Rate, spent: Time, n: u64, now: Time) -> Option<Time> {
    let depth = cost(rate, rate.burst.unwrap_or(rate.amount)).as_nanos();
    let cost = cost(rate, n).as_nanos();
    (cost <= depth).then(|| now.max(spent - Span::from_nanos(depth - cost)))
}
