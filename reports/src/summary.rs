//! What a terminal shows at the end of a run: the answers, then why, then how to go on.

use crate::expect::Verdict;
use crate::page::{FACTS, INDENT, Ink, Page};
use crate::report::{Report, word};
use crate::words::clean;
use crate::{breaker_facts, facts, queues, spending};

pub(crate) fn summary(report: &Report<'_>, colour: bool) -> String {
    let run = format!("{}, router {}, seed {}", report.scenario, report.router, report.seed);
    let mut page = Page::new(colour);
    page.head(report.title, report.question, &run);
    verdicts(&mut page, report);
    page.table(facts::deployments(report.figures));
    page.table(facts::costs(report.figures));
    page.table(queues::queues(report.figures));
    page.table(spending::spenders(report.figures));
    page.table(breaker_facts::breakers(report.figures));
    let ribbon = breaker_facts::ribbon(report.figures);
    for (i, line) in ribbon.iter().enumerate() {
        page.line(if i == 0 { Ink::Dim } else { Ink::Plain }, &clean(line));
    }
    page.gap();
    for (topic, text) in facts::facts(report.figures) {
        page.item((Ink::Dim, topic), FACTS, &text);
    }
    page.notes(report.notes);
    page.ends(report.replay, report.artefacts);
    page.finish()
}

fn verdicts(page: &mut Page, report: &Report<'_>) {
    // What went wrong is read first.
    for wanted in [Verdict::Fail, Verdict::NoData, Verdict::Pass] {
        for judged in report.judged.iter().filter(|j| j.judgement.verdict == wanted) {
            let ink = match wanted {
                Verdict::Pass => Ink::Green,
                Verdict::Fail => Ink::Red,
                Verdict::NoData => Ink::Yellow,
            };
            let why = report.why(judged).map_or_else(String::new, |why| format!("; {why}"));
            let text = format!("{}: {}{why}", judged.title(), judged.judgement.text);
            page.item((ink, word(wanted)), INDENT, &text);
        }
    }
    for line in report.not_applicable {
        page.item((Ink::Dim, "-"), INDENT, &format!("does not apply: {line}"));
    }
    if report.judged.is_empty() && report.not_applicable.is_empty() {
        page.line(Ink::Dim, "nothing was expected of this run");
    }
    page.gap();
}
