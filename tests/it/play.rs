//! A stage with providers that play a part: what is dispatched ends by itself.

use std::collections::BTreeMap;

use router_core::{Brain as _, Dispatch, Failure, Output, Request, Span, Spec, Strategy, Time};
use tests::stage::{Stage, ms, spec};

/// What becomes of a call: after how long it is answered, or fails.
pub(crate) struct Fate {
    pub(crate) after: Span,
    pub(crate) failure: Option<Failure>,
}

impl Fate {
    pub(crate) const fn answer(after: u64) -> Self {
        Self { after: Span::from_millis(after), failure: None }
    }

    pub(crate) const fn fail(after: u64, failure: Failure) -> Self {
        Self { after: Span::from_millis(after), failure: Some(failure) }
    }
}

/// A stage, and the calls that will end.
pub(crate) struct Play<F> {
    pub(crate) stage: Stage,
    fate: F,
    ends: BTreeMap<(Time, u64), (u64, u8, Option<Failure>)>,
    read: usize,
    calls: u64,
    requests: u64,
}

impl<F: FnMut(Time, &Dispatch) -> Fate> Play<F> {
    pub(crate) fn new(spec: &Spec, fate: F) -> Self {
        let ends = BTreeMap::new();
        Self { stage: Stage::new(spec), fate, ends, read: 0, calls: 0, requests: 0 }
    }

    /// Submits the next request.
    pub(crate) fn submit(&mut self, now: Time, change: impl FnOnce(&mut Request)) {
        self.run_to(now);
        self.requests += 1;
        self.stage.submit_with(now, self.requests, change);
        self.schedule();
    }

    /// Submits requests from `from` to `to` (milliseconds), one every `gap`.
    pub(crate) fn stream(&mut self, from: u64, to: u64, gap: u64) {
        (from..to).step_by(gap as usize).for_each(|at| self.submit(ms(at), |_| {}));
    }

    /// Lets every call end that ends until `now`, and the router act on what is due before.
    pub(crate) fn run_to(&mut self, now: Time) {
        loop {
            let end = self.ends.first_key_value().map_or(Time::MAX, |((at, _), _)| *at);
            let wakeup = self.stage.router.next_wakeup().map_or(Time::MAX, |wakeup| wakeup.at);
            if wakeup < end.min(now) {
                self.stage.wait(wakeup);
            } else if let Some(end) = self.ends.first_entry().filter(|end| end.key().0 <= now) {
                let ((at, _), (n, ordinal, failure)) = end.remove_entry();
                match failure {
                    Some(failure) => self.stage.fail(at, n, ordinal, failure),
                    None => self.stage.complete(at, n, ordinal, 1),
                };
            } else {
                return;
            }
            self.schedule();
        }
    }

    fn schedule(&mut self) {
        for (at, output) in &self.stage.log[self.read..] {
            if let Output::Dispatch(dispatch) = output {
                let fate = (self.fate)(*at, dispatch);
                let attempt = dispatch.attempt;
                let end = (attempt.request.sequence(), attempt.ordinal, fate.failure);
                self.calls += 1;
                self.ends.insert((*at + fate.after, self.calls), end);
            }
        }
        self.read = self.stage.log.len();
    }

    /// How many calls each deployment was sent from `from` to before `to` (milliseconds).
    pub(crate) fn sent(&self, from: u64, to: u64) -> Vec<usize> {
        let mut counts = vec![0; self.stage.router.config().deployments().len()];
        for (at, dispatch) in self.stage.dispatches() {
            if at >= ms(from) && at < ms(to) {
                counts[dispatch.deployment.index()] += 1;
            }
        }
        counts
    }
}

/// [`spec`] under another strategy.
pub(crate) fn chosen_by(strategy: Strategy, weights: &[u32]) -> Spec {
    let mut spec = spec(weights);
    spec.groups[0].strategy = strategy;
    spec
}
