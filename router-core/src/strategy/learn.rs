//! What the ends of attempts teach the estimates.

use super::Facts;
use super::estimate::blames;
use crate::flight::{STREAMS, Try};
use crate::router::Router;
use crate::{FailureKind, Usage};

impl Router {
    /// The first token of a stream came.
    pub(crate) fn learn_first_token(&mut self, attempt: &Try) {
        if !self.estimates.are_wanted() {
            return;
        }
        let facts = self.facts(attempt, attempt.seen);
        self.estimates.first_token(self.now, &facts);
    }

    /// An attempt was answered.
    pub(crate) fn learn_answer(&mut self, ended: &Try, usage: Usage) {
        if !self.estimates.are_wanted() {
            return;
        }
        let facts = self.facts(ended, usage.output_tokens);
        self.estimates.answered(self.now, &facts);
    }

    /// An attempt failed.
    pub(crate) fn learn_failure(&mut self, ended: &Try, kind: FailureKind) {
        if blames(kind.class()) {
            self.health.doubt(ended.deployment, self.now);
        }
        if !self.estimates.are_wanted() {
            return;
        }
        let timeouts = &self.config.group(ended.group()).timeouts;
        let timeout = if ended.is(STREAMS) { timeouts.first_token } else { timeouts.total };
        let facts = self.facts(ended, ended.seen);
        self.estimates.failed(self.now, &facts, kind.class(), timeout);
    }

    /// An attempt was dropped since the other of its request was first.
    pub(crate) fn learn_outrun(&mut self, lost: &Try) {
        if !self.estimates.are_wanted() {
            return;
        }
        let facts = self.facts(lost, lost.seen);
        self.estimates.outrun(self.now, &facts);
    }

    fn facts(&self, attempt: &Try, output_tokens: u32) -> Facts {
        Facts {
            deployment: attempt.deployment,
            streams: attempt.is(STREAMS),
            first_token: attempt.first_token(),
            elapsed: self.now.since(attempt.dispatched),
            output_tokens,
        }
    }
}
