//! One run, as people are told of it.

use router_core::Time;

use crate::chart::{self, Bound, Chart};
use crate::expect::{Expectation, Judgement, Metric, Op, Stat, Verdict};
use crate::words::secs;
use crate::{Figures, blame, html, junit, spending, summary, tables};

/// An expectation, what it is called, and what became of it.
#[derive(Clone, Debug)]
pub struct Judged {
    /// What the scenario or the team calls it.
    pub name: String,
    /// The file of the team's that holds every run to it; none if the scenario itself does.
    pub team: Option<String>,
    /// As written.
    pub expectation: Expectation,
    /// As judged.
    pub judgement: Judgement,
}

impl Judged {
    /// What it is called, and whose it is if it is not the scenario's: `answered (seawall.toml)`.
    pub(crate) fn title(&self) -> String {
        match &self.team {
            None => self.name.clone(),
            Some(file) => format!("{} ({file})", self.name),
        }
    }
}

/// Everything that a run's summary, charts and files are made of. The same report gives the same
/// bytes: it holds no clock, host name or path but those that the caller puts into its texts.
#[derive(Clone, Debug)]
pub struct Report<'a> {
    /// The scenario's title.
    pub title: &'a str,
    /// What the scenario asks; may be empty.
    pub question: &'a str,
    /// What the scenario is called.
    pub scenario: &'a str,
    /// What the router is called.
    pub router: &'a str,
    /// The run's seed.
    pub seed: u64,
    /// What happened.
    pub figures: &'a Figures,
    /// What was expected.
    pub judged: &'a [Judged],
    /// What does not apply to this router, each in a line: expectations, faults and so on that
    /// name what it does not have.
    pub not_applicable: &'a [String],
    /// What else a reader should know: warnings, approximations, rows left out.
    pub notes: &'a [String],
    /// The command that runs it again.
    pub replay: &'a str,
    /// Where its files are; may be empty.
    pub artefacts: &'a str,
}

impl Report<'_> {
    /// The summary for a terminal, at most 100 columns wide (longer words stay whole), with
    /// colours if `colour`.
    pub fn summary(&self, colour: bool) -> String {
        summary::summary(self, colour)
    }

    /// One page with everything on it, which needs nothing else: no script, no network.
    pub fn html(&self) -> String {
        html::page(self)
    }

    /// Every chart that the figures have something to say in.
    pub fn charts(&self) -> Vec<Chart> {
        chart::charts(self.figures, &self.bounds())
    }

    /// The chart of this name.
    pub fn chart(&self, name: &str) -> Option<Chart> {
        self.charts().into_iter().find(|chart| chart.name == name)
    }

    /// `series.csv`; see [`tables::series_csv`].
    pub fn series_csv(&self) -> String {
        tables::series_csv(self.figures)
    }

    /// `deployments.csv`; see [`tables::deployments_csv`].
    pub fn deployments_csv(&self) -> String {
        tables::deployments_csv(self.figures)
    }

    /// `spend.csv`; see [`spending::spend_csv`]. None if nothing has a price and calls are on
    /// nobody's account and without labels.
    pub fn spend_csv(&self) -> Option<String> {
        let any = self.figures.priced || self.figures.payers().next().is_some();
        any.then(|| spending::spend_csv(self.figures))
    }

    /// `junit.xml`: a test case for each expectation.
    pub fn junit(&self) -> String {
        junit::document(self)
    }

    /// How many expectations failed, and how many could not be judged.
    pub(crate) fn tally(&self) -> (usize, usize) {
        let of = |verdict| self.judged.iter().filter(|j| j.judgement.verdict == verdict).count();
        (of(Verdict::Fail), of(Verdict::NoData))
    }

    /// What most of the trouble behind a failed expectation was made of.
    pub(crate) fn why(&self, judged: &Judged) -> Option<String> {
        match judged.judgement.verdict {
            Verdict::Fail => blame::why(self.figures, &judged.expectation),
            Verdict::Pass | Verdict::NoData => None,
        }
    }

    /// Lines that the time to first token of users' calls was to stay under.
    fn bounds(&self) -> Vec<Bound> {
        let mut bounds = Vec::new();
        for Expectation { metric, of, op, bound } in self.judged.iter().map(|j| &j.expectation) {
            let Metric::Ttft(Stat::Quantile(500_000 | 950_000 | 990_000)) = metric else {
                continue;
            };
            if of.deployment.is_some() || matches!(op, Op::More | Op::AtLeast) {
                continue;
            }
            let frame = &self.figures.frame;
            let pieces = match &of.during {
                None => vec![(Time::ZERO, frame.horizon)],
                Some(name) => match frame.phases.iter().find(|phase| phase.name == *name) {
                    Some(phase) => phase.pieces.clone(),
                    None => continue,
                },
            };
            let at = |time: Time| secs(time.as_nanos());
            let during = pieces.into_iter().map(|(from, until)| (at(from), at(until))).collect();
            let stat = metric.to_string().replace("ttft.", "");
            let op = if *op == Op::AtMost { "≤" } else { "<" };
            let label = format!("wanted {stat} {op} {bound}");
            let grains = u128::from(bound.billionths) * u128::from(bound.unit.grains());
            let most = secs(u64::try_from(grains / 1_000_000_000).unwrap_or(u64::MAX));
            let bound = Bound { label, most, during };
            if !bounds.contains(&bound) {
                bounds.push(bound);
            }
        }
        bounds
    }
}

/// What a verdict is called.
pub(crate) const fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "PASS",
        Verdict::Fail => "FAIL",
        Verdict::NoData => "NO DATA",
    }
}
