//! `run.json`: which run this was, what came of it, and how to repeat it.

use serde::{Deserialize, Serialize};

use crate::expect::Expectation;
use crate::report::{Report, word};
use crate::{Figures, words};

/// The version of `run.json`'s form.
pub const RUN_FILE_FORMAT: u32 = 1;

/// A run's identity card, filled in by whoever made the run. Hashes are lower-case hexadecimal.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct RunFile {
    /// [`RUN_FILE_FORMAT`].
    pub format: u32,
    /// What the scenario is called.
    pub scenario: String,
    /// Its title.
    pub title: String,
    /// What it asks.
    pub question: String,
    /// What the router is called.
    pub router: String,
    /// The run's seed. A reader that keeps numbers as floats should read `replay` instead.
    pub seed: u64,
    /// How many calls it was stopped after, if it was.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub first: Option<u64>,
    /// The name of the file that its arrivals came from, if they came from one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub trace: Option<String>,
    /// What made it.
    pub engine: Engine,
    /// What went into it.
    pub hashes: Hashes,
    /// The rolling digest over everything that happened, in order.
    pub digest: String,
    /// What came of each expectation.
    pub verdicts: Vec<RunVerdict>,
    /// What did not apply to this router, each in a line.
    pub not_applicable: Vec<String>,
    /// What the process exited with.
    pub exit: u8,
    /// The command that runs it again.
    pub replay: String,
    /// Totals, so that a reader need not add up tables.
    pub totals: Totals,
}

/// The program that made a run.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Engine {
    /// Its version.
    pub version: String,
    /// A hash of its sources.
    pub sources: String,
}

/// Hashes of what went into a run.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Hashes {
    /// The scenario, resolved.
    pub scenario: String,
    /// The router's configuration.
    pub router: String,
    /// The expectations of the scenario and the team.
    pub expectations: String,
    /// The trace, if there was one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub trace: Option<String>,
}

/// What came of an expectation.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct RunVerdict {
    /// What it is called.
    pub name: String,
    /// The file of the team's that asks for it; none if the scenario does.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub team: Option<String>,
    /// As written.
    pub expectation: String,
    /// `PASS`, `FAIL` or `NO DATA`.
    pub verdict: String,
    /// What was measured, to six significant digits: a share of one, seconds, USD, or a factor.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub measured: Option<String>,
    /// In words.
    pub text: String,
    /// What most of the trouble was made of.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub why: Option<String>,
}

/// What a run adds up to.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Totals {
    /// Calls begun.
    pub calls: u64,
    /// Calls answered in full.
    pub answered: u64,
    /// Calls still in flight at the end.
    pub censored: u64,
    /// Submissions by clients.
    pub submissions: u64,
    /// Attempts dispatched.
    pub attempts: u64,
    /// When the last event happened, in nanoseconds.
    pub end_ns: u64,
}

impl Totals {
    fn of(figures: &Figures) -> Self {
        let calls = &figures.whole.calls;
        Self {
            calls: calls.offered,
            answered: calls.answered,
            censored: calls.censored(),
            submissions: calls.submissions,
            attempts: figures.whole.dispatched(),
            end_ns: figures.end.as_nanos(),
        }
    }

    fn told(&self) -> String {
        let Self { calls, answered, censored, submissions, attempts, end_ns } = self;
        format!(
            "{calls} calls, {answered} answered, {censored} in flight at the end, {submissions} \
             submissions, {attempts} attempts, over at {end_ns} ns"
        )
    }
}

impl RunFile {
    /// The part of it that follows from `report`; the rest is empty, for the caller to fill in.
    pub fn of(report: &Report<'_>) -> Self {
        let verdict = |judged: &crate::Judged| RunVerdict {
            name: judged.name.clone(),
            team: judged.team.clone(),
            expectation: judged.expectation.to_string(),
            verdict: word(judged.judgement.verdict).to_owned(),
            measured: judged.judgement.measured.map(words::sig6),
            text: judged.judgement.text.clone(),
            why: report.why(judged),
        };
        Self {
            format: RUN_FILE_FORMAT,
            scenario: report.scenario.to_owned(),
            title: report.title.to_owned(),
            question: report.question.to_owned(),
            router: report.router.to_owned(),
            seed: report.seed,
            first: None,
            trace: None,
            engine: Engine::default(),
            hashes: Hashes::default(),
            digest: String::new(),
            verdicts: report.judged.iter().map(verdict).collect(),
            not_applicable: report.not_applicable.to_vec(),
            exit: 0,
            replay: report.replay.to_owned(),
            totals: Totals::of(report.figures),
        }
    }

    /// What it says that is not so, each in a line, if `figures` are those of the run flown again:
    /// verdicts, what was measured, totals. Words are not compared: another version of seawall
    /// may have better ones.
    pub fn untrue(&self, figures: &Figures) -> Vec<String> {
        let mut untrue = Vec::new();
        for said in &self.verdicts {
            let name = &said.name;
            let Ok(expectation) = Expectation::parse(&said.expectation) else {
                untrue.push(format!("`{name}`: `{}` is no expectation", said.expectation));
                continue;
            };
            let judged = expectation.judge(figures);
            let (verdict, measured) = (word(judged.verdict), judged.measured.map(words::sig6));
            if said.verdict != verdict || said.measured != measured {
                let value = |measured: &Option<String>| match measured {
                    Some(value) => format!(" ({value})"),
                    None => String::new(),
                };
                untrue.push(format!(
                    "`{name}`: {}{} there, {verdict}{} in truth",
                    said.verdict,
                    value(&said.measured),
                    value(&measured)
                ));
            }
        }
        let totals = Totals::of(figures);
        if self.totals != totals {
            let (said, is) = (self.totals.told(), totals.told());
            untrue.push(format!("the totals: {said} there, {is} in truth"));
        }
        untrue
    }

    /// As text: indented, keys in the order of this type, a line break at the end.
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("names and numbers are JSON");
        text.push('\n');
        text
    }

    /// From [`Self::to_json`].
    ///
    /// # Errors
    /// If `text` is no such file.
    pub fn from_json(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }
}
