//! What inputs do to the books.

use alloc::boxed::Box;
use alloc::format;
use alloc::sync::Arc;

use super::accounts::Spent;
use super::flight::{Attempt, Ended, Flight, Used, timeout};
use super::health::Place;
use super::{Abandoned, Auditor, Invariant, REMEMBERED};
use crate::{
    Abandon, AttemptId, Cached, Config, Consumption, End, Failure, FailureKind, Group, Input,
    Rejection, Request, RequestId, Strategy, Time, Upstream,
};

impl Auditor {
    /// The turn of the input that was held back, if it has not come yet.
    pub(super) fn apply(&mut self) {
        let Some(input) = self.pending.take() else { return };
        self.front = self.front.max(self.now);
        match input {
            Input::Submit(request) => self.submitted(request),
            Input::Cancel(id) => {
                self.overdue(id);
                if self.begin(id) {
                    let flight = self.flights.get_mut(&id).expect("it has just begun");
                    flight.cancelled = true;
                }
            }
            Input::Upstream(attempt, news) => self.heard(attempt, news),
            Input::Tick => {}
            Input::Reconfigure(next) => {
                if self.config.fits(&next) {
                    self.reconfigured(next);
                }
            }
            Input::Peers(consumption) => self.peer(consumption),
            Input::Drain => self.draining = true,
        }
    }

    /// Something happens now to an open request that the router must answer at once.
    fn begin(&mut self, id: RequestId) -> bool {
        let Some(flight) = self.flights.get_mut(&id) else { return false };
        flight.deciding = true;
        (flight.at, flight.since) = (self.now, self.now);
        flight.waiting = None;
        self.touched.push(id);
        self.list(id);
        true
    }

    /// Whether a deadline of `id` should have been acted on before this input.
    fn overdue(&mut self, id: RequestId) {
        let Some(flight) = self.flights.get(&id) else { return };
        // There was no time left for a hedge if the request's own deadline has come as well.
        let late = flight.deadline <= self.now;
        let due = if late { flight.due_but_hedge() } else { flight.due() };
        if due < self.now && !flight.was_told() {
            self.breach(Invariant::Punctual, Some(id), || {
                format!("had a deadline at {due} that nothing answered")
            });
        }
    }

    fn submitted(&mut self, mut request: Request) {
        let id = request.id;
        // What a removed group's name means now, if anything.
        request.group = self.config.group(request.group).heir.unwrap_or(request.group);
        let sticky = |group: &Group| group.strategy == Strategy::Sticky;
        if request.affinity != 0 && !self.config.groups().iter().any(sticky) {
            // It is forgotten where no group looks at it.
            request.affinity = 0;
        }
        self.premise(Invariant::Conservation);
        if self.flights.contains_key(&id) {
            self.breach(Invariant::Conservation, Some(id), || {
                "was submitted while open, and that was not rejected".into()
            });
            return;
        }
        let mut flight = Flight::new(&self.config, request, self.now);
        let removed = self.config.group(request.group).removed;
        flight.spared = self.spares(&flight).filter(|_| !self.draining && !removed);
        if !self.config.group(request.group).ladder.remembers() {
            // It is forgotten where no rung below asks.
            flight.request.cached = Cached::None;
        }
        // Of whom it is of a kind that nothing goes for is forgotten, too.
        let kinds = self.config.kinds().len();
        flight.request.subjects[kinds..].fill(0);
        if self.draining {
            self.premise(Invariant::DrainHolds);
            flight.refused = Some(Rejection::Drain);
        } else if removed {
            self.premise(Invariant::Removed);
            flight.refused = Some(Rejection::NoDeployment(None));
        } else if self.flights.len() >= self.config.router().in_flight as usize {
            self.premise(Invariant::Parallel);
            flight.refused = Some(Rejection::Full);
        } else if flight.deadline > self.now && flight.spared.is_none() {
            // What comes too late, or is answered from the cache, earns no retries.
            self.budget.request(&self.config, self.now);
            flight.accounts = self.accounts.open(&self.config, &request, self.now);
        }
        self.flights.insert(id, flight);
        self.queues.came(id);
        self.touched.push(id);
    }

    fn heard(&mut self, id: AttemptId, news: Upstream) {
        let now = self.now;
        self.overdue(id.request);
        let live = self.flights.get_mut(&id.request).and_then(|flight| flight.find_mut(id));
        let Some(attempt) = live else { return self.heard_late(id, news) };
        match news {
            Upstream::Connected | Upstream::Headers(_) => attempt.heard = true,
            Upstream::FirstToken => attempt.seen(now, 1),
            Upstream::Progress(tokens) => attempt.seen(now, tokens),
            Upstream::Complete(usage) => {
                self.begin(id.request);
                let used = Used::from(usage);
                let Some(attempt) = self.leave(id, End::Answered, |_| used) else { return };
                let Some(flight) = self.flights.get_mut(&id.request) else { return };
                flight.answer = Some((id, usage));
                if flight.live.is_some() {
                    // The other is dropped and settled first: a refund that empties a limit and
                    // an overrun do not commute.
                    flight.won = Some(Box::new((attempt, used)));
                } else {
                    self.won(&attempt, used);
                }
            }
            Upstream::Fail(failure) => {
                self.begin(id.request);
                let connected = failure.kind != FailureKind::Connect;
                let used = |attempt: &Attempt| match failure.usage {
                    Some(usage) => Used::from(usage),
                    None => attempt.used(connected).into(),
                };
                self.fail(id, failure, used);
            }
        }
        self.list(id.request);
    }

    /// An attempt was answered, and no other lives.
    pub(super) fn won(&mut self, attempt: &Attempt, used: Used) {
        if attempt.stream && attempt.first.is_none() {
            // Its first token came with all the others.
            self.responded(attempt);
        }
        self.settle_for(attempt, used, self.now);
        if attempt.stream {
            let in_flight = self.limits.in_flight(attempt.place.deployment);
            self.adaptive.streamed(attempt, used.take.output, self.now, in_flight);
        } else {
            self.responded(attempt);
        }
        let config = Arc::clone(&self.config);
        self.expected.answered(attempt, used.take.output, self.now);
        self.health.completed(&config, attempt, self.now);
        if !attempt.stream || attempt.first.is_none() {
            self.hedges.sample(attempt, self.now);
        }
    }

    /// An attempt failed for a reason that speaks of its deployment.
    fn fail(&mut self, id: AttemptId, failure: Failure, used: impl FnOnce(&Attempt) -> Used) {
        let end = End::Failed(failure.kind);
        let Some(attempt) = self.over(id, end, used) else { return };
        let Some(flight) = self.flights.get_mut(&id.request) else { return };
        flight.fail(&attempt, failure);
        if flight.live.is_some() {
            // The request goes on with the other.
            flight.deciding = false;
        }
        let at = flight.at;
        if failure.retry_after.is_some() {
            self.premise(Invariant::RetryAfter);
        }
        let config = Arc::clone(&self.config);
        self.expected.failed(&config, &attempt, failure.kind, self.now);
        let left = self.limits.in_flight(attempt.place.deployment);
        self.adaptive.failed(&attempt, &failure, self.now, left);
        self.health.failed(&config, &attempt, at, &failure);
    }

    /// Ends an attempt and settles what it used.
    fn over(
        &mut self,
        id: AttemptId,
        end: End,
        used: impl FnOnce(&Attempt) -> Used,
    ) -> Option<Attempt> {
        let mut known = Used::default();
        let attempt = self.leave(id, end, |attempt| {
            known = used(attempt);
            known
        })?;
        let at = self.flights.get(&id.request)?.at;
        self.settle_for(&attempt, known, at);
        Some(attempt)
    }

    /// Settles what an attempt that is over used.
    fn settle_for(&mut self, attempt: &Attempt, used: Used, at: Time) {
        let (deployment, doubtful) = (attempt.place.deployment, attempt.epoch != self.epoch);
        self.limits.release(&self.config, deployment);
        self.limits.settle(&self.config, deployment, at, (attempt.reserved, used.take), doubtful);
        let Some(flight) = self.flights.get(&attempt.id.request) else { return };
        let cost = Spent::new(self.config.deployment(deployment).price, used.take, used.cached);
        let both = ((attempt.reserved, attempt.cost), (used.take, cost));
        self.accounts.settle(&self.config, &flight.accounts, at, both, doubtful);
    }

    /// Ends an attempt.
    fn leave(
        &mut self,
        id: AttemptId,
        end: End,
        used: impl FnOnce(&Attempt) -> Used,
    ) -> Option<Attempt> {
        let flight = self.flights.get_mut(&id.request)?;
        let attempt = flight.leave(id)?;
        let used = used(&attempt).take;
        let Attempt { place: Place { group, deployment, .. }, at, .. } = attempt;
        let elapsed = flight.at.since(at);
        flight.note_end(Ended { id, group, deployment, at, end, used, elapsed });
        Some(attempt)
    }

    /// News of an attempt that is over: it may correct the books, once.
    fn heard_late(&mut self, id: AttemptId, news: Upstream) {
        let usage = match news {
            Upstream::Complete(usage) => Some(usage),
            Upstream::Fail(failure) => failure.usage,
            Upstream::Connected
            | Upstream::Headers(_)
            | Upstream::FirstToken
            | Upstream::Progress(_) => None,
        };
        let known = self.abandoned.iter().position(|abandoned| abandoned.id == id);
        self.late = Some((id, usage.is_some() && known.is_some()));
        if let (Some(usage), Some(place)) = (usage, known)
            && let Some(abandoned) = self.abandoned.remove(place)
        {
            let Abandoned { deployment, accounts, at, charged, epoch, .. } = abandoned;
            let doubtful = epoch != self.epoch;
            let (config, now, used) = (&*self.config, self.now, Used::from(usage));
            self.limits.settle(config, deployment, now, (charged.0, used.take), doubtful);
            let cost = Spent::new(config.deployment(deployment).price, used.take, used.cached);
            let both = (charged, (used.take, cost));
            self.accounts.correct(config, &accounts, (at, now), both, doubtful);
        }
    }

    /// The router says that there was late news.
    pub(super) fn confessed(&mut self, id: AttemptId, corrected: bool) {
        self.apply();
        match self.late.take() {
            Some((attempt, expected)) if attempt == id => {
                self.premise(Invariant::RateLimits);
                if expected != corrected {
                    self.breach(Invariant::RateLimits, Some(id.request), || {
                        let not = if expected { "not " } else { "" };
                        format!("{id}: its late news has {not}corrected the books")
                    });
                }
            }
            Some(_) | None => self.breach(Invariant::Conservation, Some(id.request), || {
                format!("{id}: there was no late news of it")
            }),
        }
    }

    fn peer(&mut self, consumption: Consumption) {
        self.heed(consumption);
        self.accounts.closed_from = self.limits.closed_from(&self.config);
    }

    fn heed(&mut self, consumption: Consumption) {
        match consumption {
            Consumption::Used { replica, limit, requests, input_tokens, output_tokens } => {
                let now = [requests, input_tokens, output_tokens];
                self.limits.peer(&self.config, self.now, (replica, limit), now);
            }
            Consumption::Alive { replica } => self.limits.alive(self.now, replica),
            Consumption::Own { limit, requests, input_tokens, output_tokens } => {
                let now = [requests, input_tokens, output_tokens];
                self.limits.own(self.now, limit, now);
            }
            Consumption::Taken {
                replica,
                kind,
                subject,
                since,
                requests,
                input_tokens,
                output_tokens,
            } => {
                self.limits.alive(self.now, replica);
                let taken = (since, [requests, input_tokens, output_tokens]);
                let config = Arc::clone(&self.config);
                self.accounts.hear_taken(&config, ((kind, subject), replica), taken, self.now);
            }
            Consumption::Spent { replica, kind, subject, budget, period, spent } => {
                self.limits.alive(self.now, replica);
                let spent = (usize::from(budget), period, spent);
                let config = Arc::clone(&self.config);
                self.accounts.hear_spent(&config, ((kind, subject), replica), spent, self.now);
            }
            Consumption::Resting { deployment, key, remaining, asked } => {
                let config = Arc::clone(&self.config);
                self.health.peer(&config, self.now, (deployment, key), (remaining, asked));
            }
        }
    }

    /// The router drops an attempt.
    pub(super) fn dropped(&mut self, id: AttemptId, why: Abandon) {
        let Some(flight) = self.flights.get(&id.request) else { return };
        let Some(live) = flight.lives().find(|live| live.id == id).copied() else {
            return self.breach(Invariant::NothingLeaks, Some(id.request), || {
                format!("{id} is abandoned, but is not in flight")
            });
        };
        let speaks = |other: &Attempt| other.id != id && other.stream && other.sign.is_some();
        let first = flight.answer.is_some() || flight.lives().any(speaks);
        let due = match why {
            Abandon::Cancel => flight.cancelled.then_some(flight.at),
            Abandon::Deadline => Some(flight.deadline),
            Abandon::Hedged => first.then_some(flight.at),
            Abandon::Connect | Abandon::FirstToken | Abandon::Idle | Abandon::Total => {
                live.timer(why)
            }
        };
        if why == Abandon::Hedged {
            self.premise(Invariant::Hedges);
            if due.is_none() {
                self.breach(Invariant::Hedges, Some(id.request), || {
                    format!("{id} is abandoned for another that was not first")
                });
            }
        } else if due.is_none_or(|due| due > self.now) {
            self.breach(Invariant::TimeMonotone, Some(id.request), || {
                let due = due.map_or_else(|| "never due".into(), |due| format!("due at {due}"));
                format!("{id} is abandoned for `{why:?}`, which is {due}")
            });
        }
        let connected = why != Abandon::Connect;
        let charged = live.used(connected);
        if let Some(kind) = timeout(why) {
            self.fail(id, Failure::new(kind, 504), |_| charged.into());
            let config: &Config = &self.config;
            if let Some(flight) = self.flights.get_mut(&id.request) {
                let partial = config.group(live.place.group).timeouts.partial;
                if why == Abandon::Total && partial && flight.committed.is_some() {
                    flight.cut = Some(id);
                }
            }
        } else {
            let now = self.now;
            let config = Arc::clone(&self.config);
            self.over(id, End::Abandoned(why), |_| charged.into());
            self.health.abandoned(&config, &live, now);
            if why == Abandon::Hedged {
                self.expected.outrun(&live, now);
                self.hedges.sample(&live, now);
            }
        }
        if self.abandoned.len() == REMEMBERED {
            self.abandoned.pop_front();
        }
        let (deployment, epoch, at) = (live.place.deployment, self.epoch, self.now);
        let accounts = self.flights.get(&id.request).map(|flight| flight.accounts.clone());
        let accounts = accounts.unwrap_or_default();
        let charged = (charged, Spent::new(self.config.deployment(deployment).price, charged, 0));
        self.abandoned.push_back(Abandoned { id, deployment, accounts, at, charged, epoch });
    }
}
