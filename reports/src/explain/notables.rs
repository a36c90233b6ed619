//! The calls of a run that are worth a look, and the metrics.

use std::collections::BTreeMap;

use router_core::{
    Anew, Call, CallEnd, Cause, Input, Journal, Observation, Outcome, Output, RequestId, Span, Time,
};

use super::say;
use super::telling::Setting;
use crate::Figures;
use crate::expect::{Expectation, Verdict};
use crate::page::{Ink, Page};
use crate::report::word;
use crate::run_file::RunFile;
use crate::words::count;

/// A journal that looks out for calls of each kind that is worth a look.
#[derive(Clone, Debug, Default)]
pub struct Notables {
    slowest: Option<(Span, RequestId)>,
    longest: Option<(Span, RequestId)>,
    most_attempts: Option<(u16, RequestId)>,
    most_tries: Option<(u8, RequestId)>,
    /// The failed one with most attempts.
    failed: Option<(u16, RequestId)>,
    failed_status: u16,
    /// The first of each.
    rejected: Option<RequestId>,
    left: Option<RequestId>,
    causes: BTreeMap<Cause, RequestId>,
    held: Option<RequestId>,
    cut: Option<RequestId>,
    calls: u64,
}

impl Notables {
    /// What is worth a look, each with the command that shows it.
    pub fn text(
        &self,
        setting: &Setting<'_>,
        (file, figures): (&RunFile, &Figures),
        colour: bool,
    ) -> String {
        let mut page = Page::new(colour);
        page.head(
            &format!("{} calls; which should be explained?", count(self.calls)),
            "",
            setting.run,
        );
        let command = setting.command;
        let mut rows: Vec<(String, String)> = Vec::new();
        let mut row = |what: String, id: Option<RequestId>| {
            rows.extend(id.map(|id| (what, format!("{command} {id}"))));
        };
        let span = |found: Option<(Span, RequestId)>| {
            found.map_or_else(String::new, |(span, _)| say::span(span))
        };
        row(format!("the slowest first token, {}", span(self.slowest)), self.slowest.map(|s| s.1));
        let longest = self.longest.filter(|(_, id)| Some(*id) != self.slowest.map(|s| s.1));
        row(format!("the longest of all, {}", span(longest)), longest.map(|s| s.1));
        let attempts = self.failed.map_or(0, |(n, _)| n);
        row(
            format!("one that failed, with {} after {attempts} attempts", self.failed_status),
            self.failed.map(|f| f.1),
        );
        row("one rejected without an attempt".to_owned(), self.rejected);
        row("one whose user left".to_owned(), self.left);
        let most = self.most_attempts.filter(|(n, _)| *n > 1);
        row(format!("the most attempts, {}", most.map_or(0, |(n, _)| n)), most.map(|m| m.1));
        let most = self.most_tries.filter(|(n, _)| *n > 1);
        row(
            format!("the most tries by its client, {}", most.map_or(0, |(n, _)| n)),
            most.map(|m| m.1),
        );
        for (cause, id) in &self.causes {
            if let Some(what) = first_of(*cause) {
                row(what.to_owned(), Some(*id));
            }
        }
        row("the first whose hedge was held back".to_owned(), self.held);
        row("the first that a restart of the router cut".to_owned(), self.cut);
        columns(&mut page, &rows);
        page.gap();
        page.line(
            Ink::Bold,
            "or where a metric went, here and with selectors such as {during=...}",
        );
        columns(&mut page, &metrics((file, figures), command));
        page.finish()
    }

    fn over(&mut self, call: &Call) {
        self.calls += 1;
        let took = call.ended.since(call.arrived);
        if let Some(first) = call.first_token {
            self.slowest = self.slowest.max(Some((first.since(call.arrived), call.id)));
        }
        self.longest = self.longest.max(Some((took, call.id)));
        let more = |best: Option<(u16, RequestId)>, n: u16| best.is_none_or(|(most, _)| n > most);
        if more(self.most_attempts, call.attempts) {
            self.most_attempts = Some((call.attempts, call.id));
        }
        if self.most_tries.is_none_or(|(most, _)| call.tries > most) {
            self.most_tries = Some((call.tries, call.id));
        }
        match call.end {
            CallEnd::Failed(status) if more(self.failed, call.attempts) && call.attempts > 0 => {
                (self.failed, self.failed_status) = (Some((call.attempts, call.id)), status);
            }
            CallEnd::Left => _ = self.left.get_or_insert(call.id),
            CallEnd::Failed(_)
            | CallEnd::Answered(_)
            | CallEnd::Degraded(_)
            | CallEnd::Cached { .. }
            | CallEnd::Static
            | CallEnd::Partial(_) => {}
        }
    }
}

impl Journal for Notables {
    fn input(&mut self, _: Time, _: &Input) {}

    fn output(&mut self, _: Time, output: &Output) {
        match output {
            Output::Dispatch(dispatch) => {
                self.causes
                    .entry(dispatch.cause)
                    .or_insert_with(|| dispatch.attempt.request.call());
            }
            Output::Finish(request, Outcome::Reject(_)) => {
                self.rejected.get_or_insert_with(|| request.call());
            }
            Output::Observe(Observation::Held { attempt, .. }) => {
                self.held.get_or_insert_with(|| attempt.request.call());
            }
            Output::Observe(_) | Output::Finish(..) | Output::Abandon(..) | Output::Commit(_) => {}
        }
    }

    fn cut(&mut self, _: Time, request: RequestId, _: Anew) {
        self.cut.get_or_insert_with(|| request.call());
    }

    fn call(&mut self, _: Time, call: &Call) {
        self.over(call);
    }
}

const fn first_of(cause: Cause) -> Option<&'static str> {
    match cause {
        // The most attempts show it.
        Cause::Primary | Cause::Retry => None,
        Cause::Fallback => Some("the first that fell back to another group"),
        Cause::Hedge => Some("the first that was hedged"),
        Cause::Probe => Some("the first that probed a half-open breaker"),
        Cause::Standby => Some("the first that went to a standby member"),
        Cause::Panic => Some("the first sent to one that was out, in panic"),
        Cause::Degraded => Some("the first that its ladder sent to a smaller group"),
    }
}

/// The metrics that are expected of the run, those that failed first, else the usual ones.
fn metrics((file, figures): (&RunFile, &Figures), command: &str) -> Vec<(String, String)> {
    let mut rows: Vec<(String, String)> = Vec::new();
    let expected = file.verdicts.iter().filter_map(|v| Expectation::parse(&v.expectation).ok());
    let judged: Vec<_> = expected.map(|expected| (expected.judge(figures), expected)).collect();
    for wanted in [Verdict::Fail, Verdict::NoData, Verdict::Pass] {
        for (judgement, expected) in judged.iter().filter(|(j, _)| j.verdict == wanted) {
            let text = judgement.text.as_str();
            let measured = [", wanted", "; wanted"].iter().find_map(|mark| text.split_once(mark));
            let measured = measured.map_or(text, |(measured, _)| measured);
            let shown = format!("{}  {measured}", word(wanted));
            let metric = format!("{}{}", expected.metric, expected.of);
            let what = format!("{command} {}", quoted(&metric));
            if !rows.iter().any(|(_, known)| *known == what) {
                rows.push((shown, what));
            }
        }
    }
    if rows.is_empty() {
        for metric in ["success.rate", "ttft.p99", "amplification", "cost.per_1k"] {
            rows.push((metric.to_owned(), format!("{command} {metric}")));
        }
    }
    rows.truncate(12);
    rows
}

/// A metric as one word of a shell.
fn quoted(metric: &str) -> String {
    if metric.contains([' ', '{', '(']) { format!("'{metric}'") } else { metric.to_owned() }
}

/// What there is, and the command that shows it, each whole.
fn columns(page: &mut Page, rows: &[(String, String)]) {
    let width = rows.iter().map(|(what, _)| what.chars().count()).max().unwrap_or(0);
    for (what, command) in rows {
        if width + command.chars().count() + 4 <= crate::table::PAGE {
            page.line(Ink::Plain, &format!("  {what:<width$}  {command}"));
        } else {
            page.line(Ink::Plain, &format!("  {what}"));
            page.line(Ink::Plain, &format!("      {command}"));
        }
    }
}
