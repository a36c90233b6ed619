//! From a run's inputs and outputs to its figures, as they happen.

use std::sync::Arc;

use router_core::{
    AttemptId, BreakerState, Call, CallEnd, Cause, Config, DeploymentId, Dispatch, End,
    FailureKind, GiveUp, GroupId, Input, Journal, Observation, Outcome, Output, Price, Request,
    RequestId, Restart, Span, Time, Usage, Wait,
};

use self::asides::Asides;
use self::ledger::Ledger;
use crate::breakers::{Breakers, Turned};
use crate::figures::has_price;
use crate::queues::{Door, Lines, is_gated};
use crate::rests::Rests;
use crate::segments::Segments;
use crate::{Figures, Frame, Part, Seconds, class_index, rejection_index};

const SECOND_NS: u64 = 1_000_000_000;

/// A journal that counts everything and remembers nothing of any single request.
///
/// It must see a run from its first input, and it takes a source (the first 16 bits of a
/// [`RequestId`]) to ask for one group, as the simulator's demands do: that is how the cost of
/// an attempt finds the group that was asked for. No event allocates, but for the first one of a
/// bin, source, status or histogram, and for rests, breakers and attempts out of the
/// ordinary.
#[derive(Clone, Debug)]
pub struct Fold {
    config: Arc<Config>,
    /// What the figures' shape is of.
    whole: Arc<Config>,
    prices: Vec<Price>,
    /// Everything but its parts, its rests, its breakers' spells and its end.
    figures: Figures,
    segments: Segments,
    rests: Rests,
    breakers: Breakers,
    asides: Asides,
    lines: Lines,
    ledger: Ledger,
    /// Where each group's members begin in [`Figures::members`].
    first_member: Vec<usize>,
    /// The deployments of these members, close together.
    deployments: Vec<DeploymentId>,
    /// The group that each source asks for.
    homes: Vec<GroupId>,
    cursor: Cursor,
    /// The attempt that just failed, until its consequence is known.
    failed: Option<(RequestId, GroupId, FailureKind)>,
    /// The request that just found nobody in a group, until its consequence is known.
    stranded: Option<RequestId>,
    /// The last second counted as stranded: by group, then for any.
    stranded_at: Vec<Option<u64>>,
    /// The same, as panicked.
    panicked_at: Vec<Option<u64>>,
}

/// Where now is.
#[derive(Clone, Copy, Debug)]
struct Cursor {
    now: Time,
    bin: Option<usize>,
}

impl Fold {
    /// A fold of a run of `config`, seen through `frame`.
    ///
    /// # Panics
    /// If [`Frame::bin`] is zero.
    pub fn new(config: Arc<Config>, frame: Frame) -> Self {
        let whole = Arc::clone(&config);
        Self::across(config, &whole, frame)
    }

    /// A fold of a run that begins with `config` and ends with `whole`, which has every name that
    /// there is on the way ([`Config::revise`]): figures have its shape.
    ///
    /// # Panics
    /// As [`Self::new`]; and if `whole` is no revision of `config`.
    pub fn across(config: Arc<Config>, whole: &Arc<Config>, frame: Frame) -> Self {
        assert!(config.fits(whole), "a run ends with a revision of what it began with");
        let mut first_member = vec![0];
        for group in whole.groups() {
            first_member.push(first_member[first_member.len() - 1] + group.members.len());
        }
        let mut figures = Figures::new(whole, frame);
        for (keys, deployment) in figures.keys.iter_mut().zip(config.deployments()) {
            *keys = deployment.keys.max(*keys);
        }
        figures.priced |= has_price(&config);
        for (limits, deployment) in figures.concurrency.iter_mut().zip(config.deployments()) {
            limits.extend(deployment.adaptive.map(|adaptive| (Time::ZERO, adaptive.start)));
        }
        let mut breakers = Breakers::new(whole);
        breakers.reconfigure(Time::ZERO, &config);
        Self {
            prices: prices(&config, whole),
            segments: Segments::new(whole, &figures.frame),
            rests: Rests::new(&figures.keys),
            breakers,
            asides: Asides::default(),
            lines: Lines::new(&config, whole),
            ledger: Ledger::new(&config, &figures.frame, figures.bins.len()),
            first_member,
            deployments: whole
                .groups()
                .iter()
                .flat_map(|group| group.members.iter().map(|member| member.deployment))
                .collect(),
            homes: Vec::new(),
            cursor: Cursor { now: Time::ZERO, bin: Some(0) },
            failed: None,
            stranded: None,
            stranded_at: vec![None; whole.groups().len() + 1],
            panicked_at: vec![None; whole.groups().len() + 1],
            figures,
            whole: Arc::clone(whole),
            config,
        }
    }

    /// Ends the run at `end`, or at the last event if that is later.
    pub fn finish(mut self, end: Time) -> Figures {
        let mut figures = self.figures;
        self.lines.catch_up(&mut figures, None);
        figures.end = end.max(self.cursor.now);
        (figures.whole, figures.phases) = self.segments.finish(&self.whole, &figures.frame);
        (figures.resting, figures.rests) = self.rests.finish(figures.end);
        figures.spells = self.breakers.finish(figures.end);
        (figures.crowds, figures.budgets) = self.ledger.finish();
        figures
    }

    fn advance(&mut self, now: Time) {
        if now != self.cursor.now {
            self.cursor = Cursor { now, bin: bin_of(&self.figures, now) };
            self.segments.advance(now);
        }
    }

    fn part(&mut self) -> &mut Part {
        self.segments.current()
    }

    fn home(&self, request: RequestId) -> usize {
        self.homes[usize::from(request.source())].index()
    }

    fn submit(&mut self, request: &Request) {
        let (id, group) = (request.id, request.group);
        if self.lines.any {
            let class = self.config.class(request.priority);
            self.lines.submitted(self.segments.current(), (id, group), class);
        }
        self.ledger.submitted(request, self.segments.current());
        let source = usize::from(id.source());
        if self.homes.len() <= source {
            self.homes.resize(source + 1, group);
        }
        self.homes[source] = group;
        let first = u64::from(id.client_try() == 0);
        let calls = &mut self.part().groups[group.index()];
        calls.submissions += 1;
        calls.offered += first;
        if let Some(bin) = self.cursor.bin {
            self.figures.bins[bin].groups[group.index()].offered += first;
        }
    }

    /// The place of a membership.
    fn member(&self, group: GroupId, deployment: DeploymentId) -> usize {
        let (first, end) = (self.first_member[group.index()], self.first_member[group.index() + 1]);
        let members = &self.deployments[first..end];
        let place = members.iter().position(|member| *member == deployment);
        first + place.expect("what happens in a group happens to a member of it")
    }

    fn dispatch(&mut self, dispatch: &Dispatch) {
        let deployment = dispatch.deployment.index();
        let member = self.member(dispatch.group, dispatch.deployment);
        let retried = u64::from(self.is_retry(dispatch));
        self.asides.dispatched(dispatch, member, self.cursor.now);
        let part = self.part();
        part.deployments[deployment].dispatched += 1;
        part.members[member] += 1;
        let counts = &mut part.memberships[member];
        counts.causes[dispatch.cause as usize] += 1;
        counts.retried += retried;
        if let Some(bin) = self.cursor.bin {
            let bin = &mut self.figures.bins[bin];
            bin.members[member] += 1;
            let in_bin = &mut bin.deployments[deployment];
            in_bin.dispatched += 1;
            in_bin.retried += retried;
            in_bin.hedges += u64::from(dispatch.cause == Cause::Hedge);
            in_bin.probes += u64::from(dispatch.cause == Cause::Probe);
        }
        if dispatch.cause == Cause::Panic {
            let now = self.cursor.now;
            count_second(&mut self.figures.panicked, &mut self.panicked_at, dispatch.group, now);
        }
        self.try_again(dispatch.attempt.request);
    }

    /// Whether an attempt is not the first and in the group of the one before it.
    fn is_retry(&self, dispatch: &Dispatch) -> bool {
        let request = dispatch.attempt.request;
        match dispatch.cause {
            Cause::Primary | Cause::Fallback | Cause::Degraded => false,
            Cause::Retry | Cause::Hedge => true,
            Cause::Probe | Cause::Standby | Cause::Panic if dispatch.attempt.ordinal <= 1 => false,
            // These say what is odd about the member, and not what led to it. Nobody falls back
            // to the group that was asked for.
            Cause::Probe | Cause::Standby | Cause::Panic => {
                let failed = self.failed.filter(|(failed, ..)| *failed == request);
                let before =
                    failed.map(|(_, group, _)| group).or_else(|| self.asides.away(request));
                let home = || self.homes[usize::from(request.source())];
                before.unwrap_or_else(home) == dispatch.group
            }
        }
    }

    /// A request goes on after its failure, if that is what just happened.
    fn try_again(&mut self, request: RequestId) {
        if let Some((.., kind)) = self.failed.take_if(|(failed, ..)| *failed == request) {
            let home = self.home(request);
            self.part().groups[home].tried_again[kind as usize] += 1;
        }
    }

    fn finished(&mut self, request: RequestId, outcome: &Outcome) {
        let home = self.home(request);
        let outcomes = &mut self.part().groups[home].outcomes;
        match outcome {
            Outcome::Serve(..) => outcomes.served += 1,
            Outcome::Partial(..) => outcomes.partial += 1,
            Outcome::Exhaust(_) => outcomes.exhausted += 1,
            Outcome::Reject(why) => {
                outcomes.rejected[rejection_index(*why)] += 1;
                self.ledger.refused(request, *why, self.segments.current());
            }
            Outcome::Expire => outcomes.expired += 1,
            Outcome::Cancel => outcomes.cancelled += 1,
            Outcome::Cached { stale } => outcomes.cached[usize::from(*stale)] += 1,
            Outcome::Static => outcomes.fixed += 1,
        }
        self.resolve_stranded(request, matches!(outcome, Outcome::Reject(_)));
        self.asides.finished(request);
        self.leaves_line(request);
        if let Outcome::Reject(why) = outcome
            && let Some(door) = Door::of(*why)
        {
            self.lines.refused(self.segments.current(), (request, home), door);
            if let Some(bin) = self.cursor.bin {
                self.figures.bins[bin].groups[home].turned_away += 1;
            }
        }
    }

    /// A request waits no more, if it did.
    fn leaves_line(&mut self, request: RequestId) {
        if self.lines.any {
            self.lines.left((&mut self.figures, self.cursor.bin), request);
        }
    }

    fn observe(&mut self, observation: &Observation) {
        match *observation {
            Observation::Excluded { group, reason, mut mask, .. } => {
                let first = self.first_member[group.index()];
                while mask != 0 {
                    let member = first + mask.trailing_zeros() as usize;
                    mask &= mask - 1;
                    let deployment = self.figures.members[member].deployment.index();
                    self.part().deployments[deployment].excluded[reason as usize] += 1;
                }
            }
            Observation::Selected { attempt, .. } => self.resolve_stranded(attempt.request, false),
            Observation::Stranded { attempt, .. } => self.stranded = Some(attempt.request),
            Observation::Waiting { attempt, until, why, deployment, failure } => {
                let planned = until.since(self.cursor.now);
                self.waiting(attempt.request, why, planned, (deployment, failure));
            }
            Observation::Ended { attempt, group, deployment, end, first_token, elapsed, usage } => {
                self.ended(attempt, (group, deployment), end, (first_token, elapsed), usage)
            }
            Observation::Rested { deployment, key, until, failure, streak } => {
                self.rests.rest(self.cursor.now, (deployment, key), until, (failure, streak));
            }
            Observation::Spared { deployment, .. } => {
                self.part().deployments[deployment.index()].spared += 1;
            }
            Observation::Breaker { group, deployment, to, why, until, streak, enforced } => {
                let turned = Turned { to, why, until, streak, enforced };
                self.turned(group, deployment, turned);
            }
            Observation::Concurrency { deployment, limit } => {
                let now = self.cursor.now;
                self.figures.concurrency[deployment.index()].push((now, limit));
            }
            Observation::Queued { request, group, class, .. } => {
                let (home, bin) = (self.home(request), self.cursor.bin);
                self.part().waits(home, class);
                self.lines.queued((&mut self.figures, bin), (request, group, class));
                self.resolve_stranded(request, true);
            }
            Observation::Dequeued { request, class, waited, .. } => {
                let home = self.home(request);
                self.part().went(home, class, waited);
                if let Some(bin) = self.cursor.bin {
                    let calls = &mut self.figures.bins[bin].groups[home];
                    let longest = &mut calls.longest_wait[usize::from(class)];
                    *longest = waited.max(*longest);
                }
                self.lines.left((&mut self.figures, self.cursor.bin), request);
            }
            Observation::Held { attempt, why } => {
                let home = self.home(attempt.request);
                self.part().groups[home].held[why as usize] += 1;
            }
            Observation::Page { deployment, .. } => {
                self.part().deployments[deployment.index()].pages += 1;
            }
            Observation::GaveUp { request, why } => {
                let home = self.home(request);
                self.part().groups[home].gave_up[why as usize] += 1;
                self.failed = None;
                self.resolve_stranded(request, matches!(why, GiveUp::Stranded | GiveUp::Deadline));
            }
            // How it ends says the same, or the next dispatch.
            Observation::Stepped { request, .. } => self.leaves_line(request),
            // The user's view comes with `call`, over all tries.
            Observation::Closed { .. } => {}
            Observation::Budget { .. } => {
                self.ledger.used_up(self.cursor.now, &self.config, observation);
            }
            Observation::Late { attempt, .. } => {
                self.figures.late += 1;
                self.correct(attempt);
            }
            Observation::Misfit => self.figures.misfits += 1,
            Observation::Drained { .. } => {}
        }
    }

    #[cold]
    fn turned(&mut self, group: GroupId, deployment: DeploymentId, turned: Turned) {
        let member = self.member(group, deployment);
        self.breakers.turn(self.cursor.now, member, turned);
        if turned.to == BreakerState::Open {
            let counts = &mut self.part().memberships[member];
            let openings =
                if turned.enforced { &mut counts.openings } else { &mut counts.observed };
            openings[turned.why as usize] += 1;
        }
    }

    #[cold]
    fn waiting(
        &mut self,
        request: RequestId,
        why: Wait,
        planned: Span,
        (deployment, failure): (DeploymentId, FailureKind),
    ) {
        if let Some((_, group, _)) = self.failed.filter(|(failed, ..)| *failed == request)
            && group.index() != self.home(request)
        {
            self.asides.waits_away(request, group);
        }
        self.try_again(request);
        self.resolve_stranded(request, why != Wait::Backoff);
        let (home, planned_ns) = (self.home(request), planned.as_nanos());
        let part = self.part();
        let waited = &mut part.groups[home].waits[why as usize];
        waited.count += 1;
        waited.time_ns = waited.time_ns.saturating_add(planned_ns);
        let lost = &mut part.deployments[deployment.index()].lost[failure as usize];
        lost.waited_ns = lost.waited_ns.saturating_add(planned_ns);
    }

    fn ended(
        &mut self,
        attempt: AttemptId,
        (group, deployment): (GroupId, DeploymentId),
        end: End,
        (first_token, elapsed): (Option<Span>, Span),
        usage: Usage,
    ) {
        let (home, member) = (self.home(attempt.request), self.member(group, deployment));
        let ending = self.asides.ended(attempt, end, elapsed, self.cursor.now);
        self.bill((attempt, end), (home, member, deployment), usage, ending.is_race());
        let part = self.segments.current();
        ending.count_race(part, member);
        let (attempts, counts) =
            (&mut part.deployments[deployment.index()], &mut part.memberships[member]);
        if let Some(first_token) = first_token {
            attempts.ttft.record(first_token);
        }
        let (mut answered, mut failed) = (0, 0);
        match end {
            End::Answered => {
                answered = 1;
                attempts.answered += 1;
                attempts.total.record(elapsed);
            }
            End::Failed(kind) => {
                failed = 1;
                attempts.failures[kind as usize] += 1;
                counts.failures[class_index(kind)] += 1;
                attempts.lost[kind as usize].merge(&ending.lost());
                self.failed = Some((attempt.request, group, kind));
            }
            End::Abandoned(why) => {
                attempts.abandoned[why as usize] += 1;
                attempts.abandoned_ns = attempts.abandoned_ns.saturating_add(elapsed.as_nanos());
            }
        }
        counts.answered += answered;
        if let Some(bin) = self.cursor.bin {
            let in_bin = &mut self.figures.bins[bin].deployments[deployment.index()];
            in_bin.answered += answered;
            in_bin.failed += failed;
        }
    }

    /// The request that found nobody in one group was, or was not, helped by another.
    fn resolve_stranded(&mut self, request: RequestId, in_vain: bool) {
        if self.stranded.take_if(|stranded| *stranded == request).is_none() || !in_vain {
            return;
        }
        let (now, home) = (self.cursor.now, self.homes[usize::from(request.source())]);
        count_second(&mut self.figures.stranded, &mut self.stranded_at, home, now);
    }

    fn called(&mut self, call: &Call) {
        let group = call.group.index();
        let ttft = call.first_token.map(|first_token| first_token.since(call.arrived));
        let total = call.ended.since(call.arrived);
        let answered = call.end.is_answered();
        let attempts = u64::from(call.attempts);

        let part = self.segments.at(call.arrived);
        self.ledger.called(call, part);
        let calls = &mut part.groups[group];
        // What the router is told of was counted when it was.
        let unseen = u64::from(call.unseen);
        calls.offered += unseen;
        calls.ended += 1;
        calls.admitted += u64::from(attempts > 0);
        calls.attempts += attempts;
        calls.tries += u64::from(call.tries);
        calls.client_wait_ns = calls.client_wait_ns.saturating_add(call.client_wait.as_nanos());
        calls.answered += u64::from(answered);
        match call.end {
            CallEnd::Answered(_) => calls.total.record(total),
            CallEnd::Degraded(_) | CallEnd::Cached { .. } | CallEnd::Static => {
                calls.rungs.count(&call.end);
                if answered {
                    calls.total.record(total);
                }
            }
            CallEnd::Partial(_) => calls.partial += 1,
            CallEnd::Failed(status) => {
                calls.failed += 1;
                calls.rejected += u64::from(attempts == 0);
                calls.count_status(status, 1);
            }
            CallEnd::Left => calls.left += 1,
        }
        if let Some(ttft) = ttft {
            calls.ttft.record(ttft);
        }

        let Some(bin) = bin_of(&self.figures, call.arrived) else { return };
        let in_bin = &mut self.figures.bins[bin].groups[group];
        in_bin.offered += unseen;
        in_bin.admitted += u64::from(attempts > 0);
        in_bin.answered += u64::from(answered);
        in_bin.failed += u64::from(!answered);
        in_bin.rungs.count(&call.end);
        let pulse = &mut self.figures.pulse;
        let beat = (call.arrived.as_nanos() / pulse.step.as_nanos()) as usize;
        let last = pulse.beats.len() - 1;
        let beat = &mut pulse.beats[beat.min(last)];
        beat.ended += 1;
        beat.answered += u64::from(answered);
        beat.attempts += attempts;
        if answered {
            in_bin.total.record(total);
        }
        if let Some(ttft) = ttft {
            in_bin.ttft.record(ttft);
            beat.ttft.record(ttft);
        }
    }
}

/// Counts the second of `now`, for `group` and for any, unless `last` says that it is counted.
fn count_second(seconds: &mut Seconds, last: &mut [Option<u64>], group: GroupId, now: Time) {
    let second = Some(now.as_nanos() / SECOND_NS);
    let any = last.len() - 1;
    if last[group.index()] != second {
        last[group.index()] = second;
        seconds.groups[group.index()] += 1;
    }
    if last[any] != second {
        last[any] = second;
        seconds.any += 1;
    }
}

/// What everything costs under `config`; what comes later, as it will.
fn prices(config: &Config, whole: &Config) -> Vec<Price> {
    let later = &whole.deployments()[config.deployments().len()..];
    config.deployments().iter().chain(later).map(|deployment| deployment.price).collect()
}

/// The bin of an instant; none after the horizon. The last arrival may come at the horizon.
fn bin_of(figures: &Figures, at: Time) -> Option<usize> {
    (at <= figures.frame.horizon).then(|| {
        let bin = at.as_nanos() / figures.frame.bin.as_nanos();
        (bin as usize).min(figures.bins.len() - 1)
    })
}

impl Journal for Fold {
    fn restart(&mut self, now: Time, restart: Restart) {
        self.advance(now);
        match restart {
            Restart::Restored => {}
            Restart::Empty => {
                self.rests.forget(now);
                self.breakers.forget(now, &self.config);
            }
        }
    }

    fn input(&mut self, now: Time, input: &Input) {
        self.advance(now);
        self.failed = None;
        self.stranded = None;
        self.ledger.hear(input);
        match input {
            Input::Submit(request) => self.submit(request),
            Input::Reconfigure(next) if self.config.fits(next) => {
                assert!(next.fits(&self.whole), "what a run becomes is known before it");
                self.prices = prices(next, &self.whole);
                self.figures.priced |= has_price(next);
                self.breakers.reconfigure(now, next);
                self.lines.any |= is_gated(next);
                self.config = Arc::clone(next);
            }
            Input::Reconfigure(_)
            | Input::Cancel(_)
            | Input::Upstream(..)
            | Input::Tick
            | Input::Peers(_)
            | Input::Drain => {}
        }
    }

    fn output(&mut self, now: Time, output: &Output) {
        self.advance(now);
        match output {
            Output::Observe(observation) => self.observe(observation),
            Output::Dispatch(dispatch) => self.dispatch(dispatch),
            Output::Finish(request, outcome) => self.finished(*request, outcome),
            // The end of the attempt says what these were about.
            Output::Abandon(..) | Output::Commit(_) => {}
        }
    }

    fn call(&mut self, now: Time, call: &Call) {
        self.advance(now);
        self.called(call);
    }
}

mod asides;
#[cfg(test)]
mod driven;
mod ledger;
#[cfg(test)]
mod tests;
