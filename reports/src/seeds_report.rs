//! What the runs of several seeds say together, as text and as `seeds.csv`.

use crate::expect::{Dimension, Expectation, Judgement, Metric, Verdict};
use crate::page::{INDENT, Ink, Page};
use crate::report::word;
use crate::rows::Rows;
use crate::table::{Side, Table};
use crate::words::{NONE, percent, seconds, sig3};
use crate::{Chance, Estimate, Figures, Selectors, junit};

/// One seed's run, or as much of it as several seeds together need.
#[derive(Clone, Debug, PartialEq)]
pub struct SeedRun {
    /// Its seed.
    pub seed: u64,
    /// Its digest.
    pub digest: String,
    /// What became of each expectation, in the order of [`SeedsReport::expected`].
    pub judgements: Vec<Judgement>,
    /// [`Metric::HEADLINES`]: shares of one, seconds, USD, factors.
    pub headlines: Vec<Option<f64>>,
}

impl SeedRun {
    /// What several seeds need of this one.
    pub fn of(
        seed: u64,
        digest: String,
        figures: &Figures,
        expected: &[(String, Expectation)],
    ) -> Self {
        let everything = Selectors::default();
        Self {
            seed,
            digest,
            judgements: expected
                .iter()
                .map(|(_, expectation)| expectation.judge(figures))
                .collect(),
            headlines: Metric::HEADLINES.iter().map(|m| m.measure(&everything, figures)).collect(),
        }
    }

    /// Whether an expectation failed.
    pub fn failed(&self) -> bool {
        self.judgements.iter().any(|judgement| judgement.verdict == Verdict::Fail)
    }
}

/// Runs of several seeds, as people are told of them.
#[derive(Clone, Debug)]
pub struct SeedsReport<'a> {
    /// The scenario's title.
    pub title: &'a str,
    /// What the scenario asks; may be empty.
    pub question: &'a str,
    /// What the scenario is called.
    pub scenario: &'a str,
    /// What the router is called.
    pub router: &'a str,
    /// What was expected: a name and an expectation each.
    pub expected: &'a [(String, Expectation)],
    /// The runs, by seed.
    pub runs: &'a [SeedRun],
    /// What else a reader should know.
    pub notes: &'a [String],
    /// The command that runs them again.
    pub replay: &'a str,
    /// Where their files are; may be empty.
    pub artefacts: &'a str,
}

impl SeedsReport<'_> {
    /// The summary for a terminal, at most 100 columns wide, with colours if `colour`.
    pub fn summary(&self, colour: bool) -> String {
        let mut page = Page::new(colour);
        let seeds = match (self.runs.first(), self.runs.len()) {
            (None, _) => "no seeds".to_owned(),
            (Some(run), 1) => format!("seed {}", run.seed),
            (Some(run), n) => format!("{n} seeds from {}", run.seed),
        };
        let run = format!("{}, router {}, {seeds}", self.scenario, self.router);
        page.head(self.title, self.question, &run);
        if self.expected.is_empty() {
            page.line(Ink::Dim, "nothing was expected of these runs");
            page.gap();
        }
        page.table(self.expectations());
        let failed: Vec<String> =
            self.runs.iter().filter(|run| run.failed()).map(|run| run.seed.to_string()).collect();
        if let Some((first, rest)) = failed.split_first() {
            let others = match rest {
                [] => String::new(),
                [one] => format!(", then {one}"),
                many => format!(", and {} others", many.len()),
            };
            let text = format!("in {} of {}: seed {first}{others}", failed.len(), self.runs.len());
            page.item((Ink::Red, "FAIL"), INDENT, &text);
            page.gap();
        }
        page.table(self.headlines());
        page.notes(self.notes);
        page.ends(self.replay, self.artefacts);
        page.finish()
    }

    /// `seeds.csv`: a row for each seed, with its digest, headlines, and the verdict and the
    /// measured value of each expectation. Values have six significant digits.
    pub fn csv(&self) -> String {
        let mut columns = vec!["seed".to_owned(), "digest".to_owned()];
        columns.extend(Metric::HEADLINES.iter().map(|m| m.to_string() + unit(m)));
        for (name, expectation) in self.expected {
            columns.push(format!("{name}: {expectation}"));
            columns.push(format!("{name}: measured{}", unit(&expectation.metric)));
        }
        let mut rows = Rows::new(&columns.iter().map(String::as_str).collect::<Vec<_>>());
        let number = |value: Option<f64>| value.map_or_else(String::new, crate::words::sig6);
        for run in self.runs {
            let mut row = vec![run.seed.to_string(), run.digest.clone()];
            row.extend(run.headlines.iter().map(|value| number(*value)));
            for i in 0..self.expected.len() {
                let judgement = run.judgements.get(i);
                row.push(judgement.map_or_else(String::new, |j| word(j.verdict).to_owned()));
                row.push(number(judgement.and_then(|j| j.measured)));
            }
            rows.row(row);
        }
        rows.finish()
    }

    /// `junit.xml`: a test case for each expectation, which fails if any seed failed it.
    pub fn junit(&self) -> String {
        junit::seeds(self)
    }

    /// How likely the `i`-th expectation holds.
    pub(crate) fn chance(&self, i: usize) -> Chance {
        let of = |run: &SeedRun| run.judgements.get(i).map(|judgement| judgement.verdict);
        Chance::of(&self.runs.iter().filter_map(of).collect::<Vec<_>>())
    }

    /// How often the `i`-th expectation holds, and which seeds failed it first.
    pub(crate) fn failed_with(&self, i: usize) -> String {
        /// As many as one looks into.
        const FEW: usize = 10;
        let failed = |run: &&SeedRun| {
            run.judgements.get(i).is_some_and(|judgement| judgement.verdict == Verdict::Fail)
        };
        let seeds: Vec<String> =
            self.runs.iter().filter(failed).map(|run| run.seed.to_string()).collect();
        let more = match seeds.len().saturating_sub(FEW) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let few = seeds[..seeds.len().min(FEW)].join(", ");
        let chance = interval(&self.chance(i));
        format!("P(holds), 95 %: {chance}\nfailed with seed {few}{more}")
    }

    fn expectations(&self) -> Table {
        let mut table = Table::new(&[
            ("expectation", Side::Left),
            ("held in", Side::Right),
            ("P(holds), 95 %", Side::Right),
            ("mean", Side::Right),
            ("± 95 %", Side::Right),
            ("wanted", Side::Left),
        ]);
        for (i, (name, expectation)) in self.expected.iter().enumerate() {
            let of = |run: &SeedRun| run.judgements.get(i).cloned();
            let judgements: Vec<Judgement> = self.runs.iter().filter_map(of).collect();
            let chance = self.chance(i);
            let measured: Vec<f64> = judgements.iter().filter_map(|j| j.measured).collect();
            let [mean, half] = estimate(&expectation.metric, Estimate::of(&measured));
            let held = match chance.decided {
                0 => "no data".to_owned(),
                decided => format!("{} of {decided}", chance.held),
            };
            let chance = interval(&chance);
            table.row(vec![name.clone(), held, chance, mean, half, expectation.to_string()]);
        }
        table
    }

    fn headlines(&self) -> Table {
        let mut table = Table::new(&[
            ("over the seeds", Side::Left),
            ("mean", Side::Right),
            ("± 95 %", Side::Right),
            ("least", Side::Right),
            ("most", Side::Right),
        ]);
        for (i, metric) in Metric::HEADLINES.iter().enumerate() {
            let of = |run: &SeedRun| run.headlines.get(i).copied().flatten();
            let values: Vec<f64> = self.runs.iter().filter_map(of).collect();
            let [mean, half] = estimate(metric, Estimate::of(&values));
            let least = values.iter().copied().reduce(f64::min);
            let most = values.iter().copied().reduce(f64::max);
            let shown = |v: Option<f64>| v.map_or_else(|| NONE.to_owned(), |v| value(metric, v));
            table.row(vec![metric.to_string(), mean, half, shown(least), shown(most)]);
        }
        table
    }
}

fn interval(chance: &Chance) -> String {
    chance.interval.map_or_else(
        || NONE.to_owned(),
        |(low, high)| format!("{} to {}", percent(low).replace(" %", ""), percent(high)),
    )
}

/// A mean and half of its interval.
fn estimate(metric: &Metric, estimate: Option<Estimate>) -> [String; 2] {
    let none = || NONE.to_owned();
    let Some(Estimate { mean, half, .. }) = estimate else { return [none(), none()] };
    [value(metric, mean), half.map_or_else(none, |half| value(metric, half))]
}

fn value(metric: &Metric, value: f64) -> String {
    match metric.dimension() {
        Dimension::Share => percent(value),
        Dimension::Time => seconds(value),
        Dimension::Money => format!("${}", sig3(value)),
        Dimension::Factor => sig3(value),
    }
}

/// What a column of a metric's values is in, where that needs saying.
const fn unit(metric: &Metric) -> &'static str {
    match metric.dimension() {
        Dimension::Share | Dimension::Factor => "",
        Dimension::Time => " (s)",
        Dimension::Money => " (USD)",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::made_up::World;

    fn expected() -> Vec<(String, Expectation)> {
        let texts = [
            ("users are answered, whatever happens", "success.rate >= 99.88 %"),
            ("chat feels fast", "ttft.p50 < 710 ms"),
            ("it heals", "recovery(nothing) < 60 s"),
        ];
        let parse = |text| Expectation::parse(text).unwrap();
        texts.map(|(name, text)| (name.to_owned(), parse(text))).to_vec()
    }

    fn runs(expected: &[(String, Expectation)]) -> Vec<SeedRun> {
        let run = |seed: u64| {
            let mut world = World::typical();
            world.rate += 0.1 * (seed - 7) as f64;
            SeedRun::of(seed, format!("{seed:08x}"), &world.figures(), expected)
        };
        (7..12).map(run).collect()
    }

    fn report<'a>(expected: &'a [(String, Expectation)], runs: &'a [SeedRun]) -> SeedsReport<'a> {
        SeedsReport {
            title: "A reel goes viral",
            question: "",
            scenario: "viral-spike",
            router: "starter",
            expected,
            runs,
            notes: &[],
            replay: "seawall run viral-spike --seed 7 --seeds 5",
            artefacts: "",
        }
    }

    #[test]
    fn several_seeds_give_means_and_chances() {
        let expected = expected();
        let runs = runs(&expected);
        insta::assert_snapshot!("seeds_summary", report(&expected, &runs).summary(false));
        insta::assert_snapshot!("seeds_csv", report(&expected, &runs).csv());
        insta::assert_snapshot!("seeds_junit", report(&expected, &runs).junit());
    }

    #[test]
    fn a_seed_without_data_is_an_error_unless_another_fails() {
        let expected = expected();
        let mut runs = runs(&expected);
        for i in [0, 1] {
            runs[0].judgements[i].verdict = Verdict::NoData;
        }
        let xml = report(&expected, &runs).junit();
        assert!(xml.contains("failures=\"1\" errors=\"2\""), "{xml}");
        let told = "held in 4 of 4 seeds, wanted success.rate &gt;= 99.88 %; without data: 1";
        assert!(xml.contains(told), "{xml}");
    }

    #[test]
    fn no_seeds_or_one_or_no_expectation_break_nothing() {
        let expected = expected();
        let runs = runs(&expected);
        for (expected, runs) in [(&expected[..], &runs[..1]), (&expected, &[]), (&[], &runs)] {
            let text = report(expected, runs).summary(true);
            assert!(text.contains("viral-spike") && !text.contains("NaN"), "{text}");
            assert!(report(expected, runs).csv().starts_with("seed,digest,success.rate,"));
            let tests = format!("tests=\"{}\"", expected.len());
            assert!(report(expected, runs).junit().contains(&tests));
        }
    }
}
