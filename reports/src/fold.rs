//! From a run's inputs and outputs to its figures, as they happen.

use std::sync::Arc;

use router_core::{
    Call, CallEnd, Config, DeploymentId, Dispatch, End, FailureKind, GiveUp, GroupId, Input,
    Journal, Observation, Outcome, Output, Price, RequestId, Span, Time, Usage, Wait,
};

use crate::figures::has_price;
use crate::rests::Rests;
use crate::segments::Segments;
use crate::{Figures, Frame, Part, rejection_index};

const SECOND_NS: u64 = 1_000_000_000;

/// A journal that counts everything and remembers nothing of any single request.
///
/// It must see a run from its first input, and it takes a source (the first 16 bits of a
/// [`RequestId`]) to ask for one group, as the simulator's demands do: that is how the cost of
/// an attempt finds the group that was asked for. No event allocates, but for the first one of a
/// bin, source, status or histogram, and for rests.
#[derive(Clone, Debug)]
pub struct Fold {
    config: Arc<Config>,
    prices: Vec<Price>,
    /// Everything but its parts, its rests and its end.
    figures: Figures,
    segments: Segments,
    rests: Rests,
    /// Where each group's members begin in [`Figures::members`].
    first_member: Vec<usize>,
    /// The group that each source asks for.
    homes: Vec<GroupId>,
    cursor: Cursor,
    /// The attempt that just failed, until its consequence is known.
    failed: Option<(RequestId, FailureKind)>,
    /// The request that just found nobody in a group, until its consequence is known.
    stranded: Option<RequestId>,
    /// The last second counted as stranded: by group, then for any.
    stranded_at: Vec<Option<u64>>,
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
        let mut first_member = vec![0];
        for group in config.groups() {
            first_member.push(first_member[first_member.len() - 1] + group.members.len());
        }
        Self {
            prices: config.deployments().iter().map(|deployment| deployment.price).collect(),
            segments: Segments::new(&config, &frame),
            rests: Rests::new(&config),
            first_member,
            homes: Vec::new(),
            cursor: Cursor { now: Time::ZERO, bin: Some(0) },
            failed: None,
            stranded: None,
            stranded_at: vec![None; config.groups().len() + 1],
            figures: Figures::new(&config, frame),
            config,
        }
    }

    /// Ends the run at `end`, or at the last event if that is later.
    pub fn finish(self, end: Time) -> Figures {
        let mut figures = self.figures;
        figures.end = end.max(self.cursor.now);
        (figures.whole, figures.phases) = self.segments.finish(&self.config, &figures.frame);
        (figures.resting, figures.rests) = self.rests.finish(figures.end);
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

    fn submit(&mut self, id: RequestId, group: GroupId) {
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

    fn dispatch(&mut self, dispatch: &Dispatch) {
        let deployment = dispatch.deployment.index();
        let attempts = &mut self.part().deployments[deployment];
        attempts.dispatched += 1;
        attempts.causes[dispatch.cause as usize] += 1;
        if let Some(bin) = self.cursor.bin {
            self.figures.bins[bin].deployments[deployment].dispatched += 1;
        }
        self.try_again(dispatch.attempt.request);
    }

    /// A request goes on after its failure, if that is what just happened.
    fn try_again(&mut self, request: RequestId) {
        if let Some((_, kind)) = self.failed.take_if(|(failed, _)| *failed == request) {
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
            Outcome::Reject(why) => outcomes.rejected[rejection_index(*why)] += 1,
            Outcome::Expire => outcomes.expired += 1,
            Outcome::Cancel => outcomes.cancelled += 1,
        }
        self.resolve_stranded(request, matches!(outcome, Outcome::Reject(_)));
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
            Observation::Selected { attempt, group, deployment, .. } => {
                self.resolve_stranded(attempt.request, false);
                self.selected(group, deployment);
            }
            Observation::Stranded { attempt, .. } => self.stranded = Some(attempt.request),
            Observation::Waiting { attempt, until, why, deployment, failure } => {
                let planned = until.since(self.cursor.now);
                self.waiting(attempt.request, why, planned, (deployment, failure));
            }
            Observation::Ended {
                attempt,
                group: _,
                deployment,
                end,
                first_token,
                elapsed,
                usage,
            } => self.ended(attempt.request, deployment, end, (first_token, elapsed), usage),
            Observation::Rested { deployment, key, until, failure, streak } => {
                self.rests.rest(self.cursor.now, (deployment, key), until, (failure, streak));
            }
            Observation::Spared { deployment, .. } => {
                self.part().deployments[deployment.index()].spared += 1;
            }
            // Not in any figure yet.
            Observation::Breaker { .. } | Observation::Held { .. } => {}
            Observation::Page { deployment, .. } => {
                self.part().deployments[deployment.index()].pages += 1;
            }
            Observation::GaveUp { request, why } => {
                let home = self.home(request);
                self.part().groups[home].gave_up[why as usize] += 1;
                self.failed = None;
                self.resolve_stranded(request, matches!(why, GiveUp::Stranded | GiveUp::Deadline));
            }
            // The user's view comes with `call`, over all tries.
            Observation::Closed { .. } => {}
            Observation::Late { .. } => self.figures.late += 1,
            Observation::Misfit => self.figures.misfits += 1,
        }
    }

    fn selected(&mut self, group: GroupId, deployment: DeploymentId) {
        let (first, end) = (self.first_member[group.index()], self.first_member[group.index() + 1]);
        let members = &self.figures.members[first..end];
        if let Some(member) = members.iter().position(|member| member.deployment == deployment) {
            self.part().members[first + member] += 1;
            if let Some(bin) = self.cursor.bin {
                self.figures.bins[bin].members[first + member] += 1;
            }
        }
    }

    fn waiting(
        &mut self,
        request: RequestId,
        why: Wait,
        planned: Span,
        (deployment, failure): (DeploymentId, FailureKind),
    ) {
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
        request: RequestId,
        deployment: DeploymentId,
        end: End,
        (first_token, elapsed): (Option<Span>, Span),
        usage: Usage,
    ) {
        let home = self.home(request);
        let cost = u128::from(self.prices[deployment.index()].of(usage));
        let part = self.segments.current();
        part.groups[home].cost_pico += cost;
        let attempts = &mut part.deployments[deployment.index()];
        attempts.cost_pico += cost;
        attempts.input_tokens += u64::from(usage.input_tokens);
        attempts.cached_tokens += u64::from(usage.cached_tokens);
        attempts.output_tokens += u64::from(usage.output_tokens);
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
                let lost = &mut attempts.lost[kind as usize];
                lost.dead_ns = lost.dead_ns.saturating_add(elapsed.as_nanos());
                self.failed = Some((request, kind));
            }
            End::Abandoned(why) => {
                attempts.abandoned[why as usize] += 1;
                attempts.abandoned_ns = attempts.abandoned_ns.saturating_add(elapsed.as_nanos());
            }
        }
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
        let second = Some(self.cursor.now.as_nanos() / SECOND_NS);
        let home = self.home(request);
        let any = self.stranded_at.len() - 1;
        if self.stranded_at[home] != second {
            self.stranded_at[home] = second;
            self.figures.stranded.groups[home] += 1;
        }
        if self.stranded_at[any] != second {
            self.stranded_at[any] = second;
            self.figures.stranded.any += 1;
        }
    }

    fn called(&mut self, call: &Call) {
        let group = call.group.index();
        let ttft = call.first_token.map(|first_token| first_token.since(call.arrived));
        let total = call.ended.since(call.arrived);
        let answered = matches!(call.end, CallEnd::Answered(_));
        let attempts = u64::from(call.attempts);

        let calls = &mut self.segments.at(call.arrived).groups[group];
        calls.ended += 1;
        calls.admitted += u64::from(attempts > 0);
        calls.attempts += attempts;
        calls.tries += u64::from(call.tries);
        calls.client_wait_ns = calls.client_wait_ns.saturating_add(call.client_wait.as_nanos());
        match call.end {
            CallEnd::Answered(_) => {
                calls.answered += 1;
                calls.total.record(total);
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
        in_bin.admitted += u64::from(attempts > 0);
        in_bin.answered += u64::from(answered);
        in_bin.failed += u64::from(!answered);
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

/// The bin of an instant; none after the horizon. The last arrival may come at the horizon.
fn bin_of(figures: &Figures, at: Time) -> Option<usize> {
    (at <= figures.frame.horizon).then(|| {
        let bin = at.as_nanos() / figures.frame.bin.as_nanos();
        (bin as usize).min(figures.bins.len() - 1)
    })
}

impl Journal for Fold {
    fn input(&mut self, now: Time, input: &Input) {
        self.advance(now);
        self.failed = None;
        self.stranded = None;
        match input {
            Input::Submit(request) => self.submit(request.id, request.group),
            Input::Reconfigure(next) if self.config.fits(next) => {
                self.prices.clear();
                self.prices.extend(next.deployments().iter().map(|deployment| deployment.price));
                self.figures.priced |= has_price(next);
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

#[cfg(test)]
mod driven;
#[cfg(test)]
mod tests;
