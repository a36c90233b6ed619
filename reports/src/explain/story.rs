//! One call's story: what was decided for it, by whom, on what grounds, and what came of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use router_core::{
    Anew, AttemptId, Call, Cause, Config, DeploymentId, Dispatch, Failure, GroupId, Input, Journal,
    Level, Observation, Outcome, Output, Request, RequestId, Restart, Span, Time, Upstream, Wait,
};

use super::say;
use super::steps::Steps;
use super::trail::{Trail, Trails};
use super::whereabouts::Whereabouts;
use super::wording::rejected;

/// A journal that listens for one call, over all tries of its client.
///
/// It must see a run from its first input.
#[derive(Clone, Debug)]
pub struct Story {
    subject: RequestId,
    pub(super) whereabouts: Whereabouts,
    trails: Trails,
    pub(super) lines: Vec<Line>,
    /// The latest try of the call.
    pub(super) request: Option<Request>,
    /// What became of its attempts so far, by member.
    pub(super) tried: Vec<(GroupId, DeploymentId, String)>,
    /// Who could not be chosen, until it is said who was.
    pub(super) reasons: Vec<String>,
    /// Who of the group that was asked last could not be chosen.
    pub(super) excluded: u64,
    /// Who was chosen, until it is said what for.
    pub(super) selected: Option<(GroupId, DeploymentId, u64)>,
    /// The failure that is being heard of.
    pub(super) heard: Option<Failure>,
    /// Whose failure's consequences are being told.
    pub(super) struck: Option<DeploymentId>,
    /// Attempts that live: when each was dispatched, and whether a token came.
    pub(super) live: Vec<(AttemptId, Time)>,
    finished: Option<Time>,
    /// Whether a restart of the router cuts its present try.
    pub(super) cut: bool,
    pub(super) steps: Steps,
    /// How far each budget was used up when that was told last, up to the end of the call: by kind,
    /// number and place.
    pub(super) budgets: BTreeMap<(u8, u32, u8), (Time, Level, u64)>,
    /// The call, if no try of it came to the router: it shared what an identical one got.
    pub(super) shared: Option<Call>,
    pub(super) over: Option<(Call, Trail)>,
    /// By source, the number of its latest call.
    pub(super) latest: Vec<u64>,
}

/// A line of the story.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Line {
    pub(super) at: Time,
    /// How far it stands to the right: consequences stand below what led to them.
    pub(super) depth: usize,
    pub(super) text: String,
}

impl Story {
    /// The story of the call that `subject` is a try of, in a run of `config`.
    pub fn new(config: Arc<Config>, subject: RequestId) -> Self {
        Self {
            subject: subject.call(),
            whereabouts: Whereabouts::new(config),
            trails: Trails::default(),
            lines: Vec::new(),
            request: None,
            tried: Vec::new(),
            reasons: Vec::new(),
            excluded: 0,
            selected: None,
            heard: None,
            struck: None,
            live: Vec::new(),
            finished: None,
            cut: false,
            steps: Steps::default(),
            budgets: BTreeMap::new(),
            shared: None,
            over: None,
            latest: Vec::new(),
        }
    }

    /// The call.
    pub const fn subject(&self) -> RequestId {
        self.subject
    }

    /// The call's latest try.
    pub(super) const fn request(&self) -> Option<&Request> {
        self.request.as_ref()
    }

    pub(super) fn config(&self) -> &Config {
        &self.whereabouts.config
    }

    /// The call's way so far.
    #[cfg(test)]
    pub(super) fn trail(mut self) -> Trail {
        self.trails.of(self.subject).map(std::mem::take).unwrap_or_default()
    }

    fn is_subject(&self, request: RequestId) -> bool {
        request.call() == self.subject
    }

    pub(super) fn line(&mut self, at: Time, depth: usize, text: String) {
        self.lines.push(Line { at, depth, text });
    }

    pub(super) fn name(&self, deployment: DeploymentId) -> String {
        self.whereabouts.config.deployment(deployment).name.clone()
    }

    pub(super) fn group(&self, group: GroupId) -> String {
        self.whereabouts.config.group(group).name.clone()
    }

    fn submitted(&mut self, now: Time, request: &Request) {
        let again = request.id.client_try();
        if let Some(finished) = self.finished.take() {
            let waited = say::span(now.since(finished));
            let id = request.id;
            self.line(now, 0, format!("the client tries again after {waited}, as {id}"));
        }
        if again == 0 {
            let text = self.asked(now, request);
            self.line(now, 0, text);
        }
        (self.request, self.cut) = (Some(*request), false);
        self.steps.submitted(now);
        self.tried.clear();
        self.reasons.clear();
        self.excluded = 0;
    }

    fn dispatched(&mut self, now: Time, dispatch: &Dispatch) {
        let Dispatch { attempt, group, deployment, cause, .. } = *dispatch;
        let to = self.name(deployment);
        let home = self.request.map(|request| request.group);
        let within = if home == Some(group) {
            String::new()
        } else {
            format!(" of `{}`", self.group(group))
        };
        let what = say::cause(cause).map_or_else(String::new, |what| format!(" ({what})"));
        if let (Cause::Hedge, Some((_, _, eligible))) = (cause, self.selected) {
            self.reasons.extend(self.unhedged(group, eligible));
        }
        let how =
            self.selected.take().map_or_else(String::new, |selected| self.chosen(now, selected));
        if cause == Cause::Hedge
            && let Some((slow, since)) = self.live.first()
        {
            let waited = say::span(now.since(*since));
            let text = format!("attempt {} had no token after {waited}", slow.ordinal);
            self.line(now, 0, text);
        }
        if cause == Cause::Fallback && self.reasons.is_empty() {
            self.reasons = self.unsaid(now);
        }
        self.line(now, 0, format!("attempt {}{what} goes to {to}{within}{how}", attempt.ordinal));
        self.tell_reasons(now);
        self.live.push((attempt, now));
        self.steps.dispatched(attempt.ordinal);
        self.tried.push((group, deployment, "under way".to_owned()));
    }

    /// The first token, or the whole of an answer in one piece, goes to the client.
    fn committed(&mut self, now: Time, attempt: AttemptId) {
        let streams = self.request.is_some_and(|request| request.stream);
        let Some((_, since)) = self.live.iter().find(|(live, _)| *live == attempt) else { return };
        if streams {
            let took = say::span(now.since(*since));
            let ordinal = if attempt.ordinal == 1 && self.live.len() == 1 {
                String::new()
            } else {
                format!("attempt {}: ", attempt.ordinal)
            };
            self.line(now, 1, format!("{ordinal}first token, {took} after its dispatch"));
        }
    }

    fn finish(&mut self, now: Time, outcome: &Outcome) {
        self.finished = Some(now);
        self.unsoftened(now, outcome);
        let text = match outcome {
            // The end of the attempt said it.
            Outcome::Serve(..) => return,
            Outcome::Partial(..) => "what came so far is kept as a partial answer".to_owned(),
            Outcome::Exhaust(failure) => {
                let after = failure.retry_after.map_or_else(String::new, |span| {
                    format!(", and to come back in {}", say::span(span))
                });
                let what = say::failed(failure.kind, failure.status);
                format!("the client is told of the last failure: {what}{after}")
            }
            Outcome::Reject(why) => {
                format!(
                    "rejected, without an attempt: {}",
                    rejected(now, *why, &self.whereabouts.config)
                ) + &self.of_limit(*why)
            }
            Outcome::Expire => "its deadline passed: the client is told 504".to_owned(),
            Outcome::Cancel if self.cut => {
                "the client's connection breaks, which is a 502 to it".to_owned()
            }
            Outcome::Cancel => "the router forgets it: its client left".to_owned(),
            // The rung said it.
            Outcome::Cached { .. } | Outcome::Static => return,
        };
        self.line(now, 0, text);
    }

    fn observe(&mut self, now: Time, observation: &Observation) {
        match *observation {
            Observation::Excluded { attempt, group, reason, mask } => {
                if self.is_subject(attempt.request) {
                    self.excluded(now, group, reason, mask);
                }
            }
            Observation::Selected { attempt, group, deployment, eligible } => {
                if self.is_subject(attempt.request) {
                    self.selected = Some((group, deployment, eligible));
                }
            }
            Observation::Stranded { attempt, group, earliest } => {
                if self.is_subject(attempt.request) {
                    self.steps.observe(now, observation);
                    self.stranded(now, group, earliest);
                }
            }
            Observation::Waiting { attempt, until, why, deployment, .. } => {
                if self.is_subject(attempt.request) {
                    self.waiting(now, attempt, (until.since(now), why), deployment);
                }
            }
            Observation::Queued { request, group, class, ahead } => {
                if self.is_subject(request) {
                    self.steps.observe(now, observation);
                    let text = self.queued(group, class, ahead);
                    self.line(now, 0, text);
                }
            }
            Observation::Dequeued { request, waited, .. } => {
                if self.is_subject(request) {
                    self.steps.observe(now, observation);
                    let text = format!("leaves the queue after {}", say::span(waited));
                    self.line(now, 0, text);
                }
            }
            Observation::Ended { attempt, .. } => {
                self.struck = None;
                if self.is_subject(attempt.request) {
                    self.steps.observe(now, observation);
                    self.ended(now, observation);
                }
            }
            Observation::Held { attempt, why } => {
                if self.is_subject(attempt.request) {
                    let text = format!("a hedge is due, and held back: {}", say::held(why));
                    self.line(now, 1, text);
                    self.tell_reasons_at(now, 2);
                }
            }
            Observation::GaveUp { request, why } => {
                if self.is_subject(request) {
                    self.steps.observe(now, observation);
                    let why = say::gave_up(why, self.whereabouts.config.router());
                    self.line(now, 0, format!("gives up: {why}"));
                    self.tell_reasons(now);
                }
            }
            Observation::Stepped { request, rung } => {
                if self.is_subject(request) {
                    self.stepped(now, rung);
                }
            }
            Observation::Late { attempt, corrected: true } => {
                if self.is_subject(attempt.request) {
                    let text = "late news: the provider tells what it used, and the books follow";
                    self.line(now, 1, format!("attempt {}: {text}", attempt.ordinal));
                }
            }
            Observation::Rested { .. }
            | Observation::Breaker { .. }
            | Observation::Concurrency { .. }
            | Observation::Spared { .. }
            | Observation::Page { .. } => self.consequence(now, observation),
            Observation::Late { corrected: false, .. }
            | Observation::Closed { .. }
            | Observation::Drained { .. }
            | Observation::Misfit => {}
            Observation::Budget { kind, subject, budget, level, spent } => {
                if self.over.is_none() {
                    self.budgets.insert((kind, subject, budget), (now, level, spent));
                }
            }
        }
    }

    fn stranded(&mut self, now: Time, group: GroupId, earliest: Option<Time>) {
        let group = self.group(group);
        let when = match earliest {
            None => ", and nobody ever will".to_owned(),
            Some(at) if at <= now => " until a call in flight ends".to_owned(),
            Some(at) => format!("; somebody will in {}", say::span(at.since(now))),
        };
        self.line(now, 0, format!("nobody of `{group}` can take it{when}"));
        self.tell_reasons(now);
    }

    fn tell_reasons(&mut self, now: Time) {
        self.tell_reasons_at(now, 1);
    }

    fn tell_reasons_at(&mut self, now: Time, depth: usize) {
        self.excluded = 0;
        for text in std::mem::take(&mut self.reasons) {
            self.line(now, depth, text);
        }
    }

    fn waiting(
        &mut self,
        now: Time,
        attempt: AttemptId,
        (long, why): (Span, Wait),
        deployment: DeploymentId,
    ) {
        let what = match why {
            Wait::Backoff => "backs off".to_owned(),
            Wait::RetryAfter => {
                format!(
                    "waits as {}'s Retry-After asks, for somebody to be there",
                    self.name(deployment)
                )
            }
            Wait::Eligible => "waits for somebody to be there".to_owned(),
        };
        let text = format!("{what}: {} before attempt {}", say::span(long), attempt.ordinal);
        self.line(now, 0, text);
    }
}

impl Journal for Story {
    fn restart(&mut self, now: Time, restart: Restart) {
        match restart {
            Restart::Restored => {}
            Restart::Empty => self.whereabouts = Whereabouts::new(self.whereabouts.config.clone()),
        }
        // Of what is cut it was said.
        let said = self.cut && self.finished == Some(now);
        if self.request.is_some() && self.over.is_none() && !said {
            let anew = Anew { with: restart, replica: None };
            self.line(now, 0, say::anew(anew));
        }
    }

    fn cut(&mut self, now: Time, request: RequestId, anew: Anew) {
        if self.is_subject(request) {
            self.line(now, 0, format!("{}: this call is cut", say::anew(anew)));
            self.cut = true;
        }
        self.trails.cut(request);
    }

    fn input(&mut self, now: Time, input: &Input) {
        self.whereabouts.input(input);
        (self.struck, self.heard) = (None, None);
        match input {
            Input::Submit(request) => {
                self.steps.opened();
                let source = usize::from(request.id.source());
                if self.latest.len() <= source {
                    self.latest.resize(source + 1, 0);
                }
                self.latest[source] = self.latest[source].max(request.id.sequence());
                if self.is_subject(request.id) {
                    self.trails.input(now, input);
                    self.submitted(now, request);
                }
            }
            Input::Upstream(attempt, news) if self.is_subject(attempt.request) => {
                self.trails.input(now, input);
                if let Upstream::Fail(failure) = news {
                    self.heard = Some(*failure);
                }
            }
            Input::Cancel(request) if self.is_subject(*request) && !self.cut => {
                self.line(now, 0, "the client stops waiting".to_owned());
            }
            Input::Upstream(..) | Input::Cancel(_) | Input::Tick => {}
            Input::Reconfigure(_) | Input::Peers(_) | Input::Drain => {}
        }
    }

    fn output(&mut self, now: Time, output: &Output) {
        match output {
            Output::Observe(observation) => self.observe(now, observation),
            Output::Dispatch(dispatch) if self.is_subject(dispatch.attempt.request) => {
                self.dispatched(now, dispatch);
            }
            Output::Commit(attempt) if self.is_subject(attempt.request) => {
                self.committed(now, *attempt);
            }
            Output::Finish(request, outcome) => {
                if self.is_subject(*request) {
                    self.finish(now, outcome);
                }
                self.steps.closed();
            }
            Output::Abandon(..) | Output::Dispatch(_) | Output::Commit(_) => {}
        }
        self.whereabouts.output(now, output);
        self.trails.output(now, output);
    }

    fn call(&mut self, _: Time, call: &Call) {
        if call.id == self.subject {
            self.shared = self.request.is_none().then_some(*call);
            self.over = self.trails.take(call).map(|trail| (*call, trail));
        }
    }
}

/// `a, b and c`.
pub(super) fn listed<T: AsRef<str>>(names: &[T], last: &str) -> String {
    let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    match names.as_slice() {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first @ .., end] => format!("{} {last} {end}", first.join(", ")),
    }
}
