//! Verdicts as JUnit XML, which every continuous integration can read.

use crate::expect::{Expectation, Verdict};
use crate::report::Report;
use crate::seeds_report::SeedsReport;
use crate::words::{clean, escape};

/// A suite named after the scenario, with a case for each expectation. What could not be judged is
/// an error, since a check that checked nothing is no success; what does not apply is skipped.
pub(crate) fn document(report: &Report<'_>) -> String {
    let names: Vec<(&str, &Expectation)> =
        report.judged.iter().map(|j| (j.name.as_str(), &j.expectation)).collect();
    let judged = report.judged.iter().enumerate().map(|(i, judged)| {
        let message = judged.judgement.text.clone();
        let outcome = match judged.judgement.verdict {
            Verdict::Pass => Outcome::Pass,
            Verdict::Fail => {
                let why = report.why(judged).map_or_else(String::new, |why| clean(&why) + "\n");
                Outcome::Fail { message, text: why + &clean(report.replay) }
            }
            Verdict::NoData => Outcome::NoData(message),
        };
        Case { name: case_name(&names, i), outcome }
    });
    let foreign = report.not_applicable.iter();
    let foreign = foreign.map(|line| Case { name: line.clone(), outcome: Outcome::NotApplicable });
    let cases: Vec<Case> = judged.chain(foreign).collect();
    let seed = report.seed.to_string();
    let properties = [("router", report.router), ("seed", &seed), ("replay", report.replay)];
    suite(report.scenario, &properties, &cases)
}

/// The same of several seeds: what failed in any of them is a failure, and says how many it held
/// in; what any seed had no data for is an error.
pub(crate) fn seeds(report: &SeedsReport<'_>) -> String {
    let names: Vec<(&str, &Expectation)> =
        report.expected.iter().map(|(name, e)| (name.as_str(), e)).collect();
    let case = |i: usize| {
        let (chance, expectation) = (report.chance(i), names[i].1);
        let (held, of) = (chance.held, chance.decided);
        let message = format!("held in {held} of {of} seeds, wanted {expectation}");
        let outcome = if held < of {
            let text = format!("{}\n{}", report.failed_with(i), clean(report.replay));
            Outcome::Fail { message, text }
        } else if of == 0 {
            Outcome::NoData(format!("no seed has data; wanted {expectation}"))
        } else if chance.undecided > 0 {
            Outcome::NoData(format!("{message}; without data: {}", chance.undecided))
        } else {
            Outcome::Pass
        };
        Case { name: case_name(&names, i), outcome }
    };
    let cases: Vec<Case> = (0..names.len()).map(case).collect();
    let first = report.runs.first().map_or(0, |run| run.seed);
    let seeds = format!("{} from {first}", report.runs.len());
    let properties = [("router", report.router), ("seeds", &seeds), ("replay", report.replay)];
    suite(report.scenario, &properties, &cases)
}

struct Case {
    name: String,
    outcome: Outcome,
}

enum Outcome {
    Pass,
    Fail { message: String, text: String },
    NoData(String),
    NotApplicable,
}

fn suite(name: &str, properties: &[(&str, &str)], cases: &[Case]) -> String {
    let tests = cases.len();
    let count = |of: fn(&Outcome) -> bool| cases.iter().filter(|case| of(&case.outcome)).count();
    let failures = count(|outcome| matches!(outcome, Outcome::Fail { .. }));
    let errors = count(|outcome| matches!(outcome, Outcome::NoData(_)));
    let skipped = count(|outcome| matches!(outcome, Outcome::NotApplicable));
    let suite = escape(name);
    let mut xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <testsuites>\n\
         <testsuite name=\"{suite}\" tests=\"{tests}\" failures=\"{failures}\" \
         errors=\"{errors}\" skipped=\"{skipped}\">\n\
         <properties>\n"
    );
    for (name, value) in properties {
        xml.push_str(&format!("<property name=\"{name}\" value=\"{}\"/>\n", escape(value)));
    }
    xml.push_str("</properties>\n");
    for Case { name, outcome } in cases {
        xml.push_str(&format!("<testcase classname=\"{suite}\" name=\"{}\"", escape(name)));
        let inside = match outcome {
            Outcome::Pass => {
                xml.push_str("/>\n");
                continue;
            }
            Outcome::Fail { message, text } => {
                // Its line breaks are ours and stay; those of its parts are replaced already.
                let lines: Vec<String> = text.lines().map(escape).collect();
                let text = lines.join("\n");
                format!("<failure message=\"{}\">{text}</failure>", escape(message))
            }
            Outcome::NoData(message) => {
                format!("<error type=\"no data\" message=\"{}\"/>", escape(message))
            }
            Outcome::NotApplicable => {
                "<skipped message=\"does not apply to this router\"/>".to_owned()
            }
        };
        xml.push_str(&format!(">\n{inside}\n</testcase>\n"));
    }
    xml.push_str("</testsuite>\n</testsuites>\n");
    xml
}

/// The expectation's name; with what it expects, if several share the name.
fn case_name(names: &[(&str, &Expectation)], i: usize) -> String {
    let (name, expectation) = names[i];
    let alike = names.iter().filter(|(other, _)| *other == name).count();
    if alike > 1 { format!("{name}: {expectation}") } else { name.to_owned() }
}
