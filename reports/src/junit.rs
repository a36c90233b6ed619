//! Verdicts as JUnit XML, which every continuous integration can read.

use crate::expect::Verdict;
use crate::report::{Judged, Report};
use crate::words::escape;

/// A suite named after the scenario, with a case for each expectation. What could not be judged is
/// an error, since a check that checked nothing is no success; what does not apply is skipped.
pub(crate) fn document(report: &Report<'_>) -> String {
    let (failures, errors) = report.tally();
    let skipped = report.not_applicable.len();
    let tests = report.judged.len() + skipped;
    let suite = escape(report.scenario);
    let mut xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <testsuites>\n\
         <testsuite name=\"{suite}\" tests=\"{tests}\" failures=\"{failures}\" \
         errors=\"{errors}\" skipped=\"{skipped}\">\n\
         <properties>\n"
    );
    let seed = report.seed.to_string();
    for (name, value) in [("router", report.router), ("seed", &seed), ("replay", report.replay)] {
        xml.push_str(&format!("<property name=\"{name}\" value=\"{}\"/>\n", escape(value)));
    }
    xml.push_str("</properties>\n");
    for judged in report.judged {
        let name = escape(&case_name(report, judged));
        xml.push_str(&format!("<testcase classname=\"{suite}\" name=\"{name}\""));
        let text = escape(&judged.judgement.text);
        match judged.judgement.verdict {
            Verdict::Pass => xml.push_str("/>\n"),
            Verdict::Fail => {
                let why = report.why(judged).map_or_else(String::new, |why| escape(&why) + "\n");
                xml.push_str(&format!(
                    ">\n<failure message=\"{text}\">{why}{}</failure>\n</testcase>\n",
                    escape(report.replay)
                ));
            }
            Verdict::NoData => {
                xml.push_str(&format!(
                    ">\n<error type=\"no data\" message=\"{text}\"/>\n</testcase>\n"
                ));
            }
        }
    }
    for line in report.not_applicable {
        xml.push_str(&format!(
            "<testcase classname=\"{suite}\" name=\"{}\">\n\
             <skipped message=\"does not apply to this router\"/>\n</testcase>\n",
            escape(line)
        ));
    }
    xml.push_str("</testsuite>\n</testsuites>\n");
    xml
}

/// The expectation's name; with what it expects, if several share the name.
fn case_name(report: &Report<'_>, judged: &Judged) -> String {
    let alike = report.judged.iter().filter(|other| other.name == judged.name).count();
    if alike > 1 { format!("{}: {}", judged.name, judged.expectation) } else { judged.name.clone() }
}
