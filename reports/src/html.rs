//! `report.html`: one file with everything on it, that needs no network and no script.

use crate::chart::fonts::{REGULAR, SEMIBOLD, base64};
use crate::expect::Verdict;
use crate::report::{Report, word};
use crate::table::{Side, Table};
use crate::words::escape;
use crate::{breaker_facts, facts, queues, spending};

/// How a page looks; charts are drawn dark on light, and turned over where a reader prefers that.
const STYLE: &str = include_str!("page.css");

pub(crate) fn page(report: &Report<'_>) -> String {
    let title = escape(report.title);
    let mut html = String::with_capacity(512 * 1024);
    html.push_str("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    html.push_str("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    html.push_str("<meta name=\"color-scheme\" content=\"light dark\">\n");
    html.push_str(&format!("<title>{title}</title>\n<style>\n"));
    for (weight, font) in [("400", REGULAR), ("600 700", SEMIBOLD)] {
        html.push_str(&format!(
            "@font-face{{font-family:Inter;font-weight:{weight};\
             src:url(data:font/otf;base64,{}) format(\"opentype\")}}\n",
            base64(font)
        ));
    }
    html.push_str(STYLE);
    html.push_str("</style>\n</head>\n<body>\n<main>\n");
    header(&mut html, report);
    verdicts(&mut html, report);
    html.push_str("<section>\n<h2>What happened</h2>\n<dl>\n");
    for (topic, text) in facts::facts(report.figures) {
        html.push_str(&format!("<dt>{}</dt><dd>{}</dd>\n", escape(topic), escape(&text)));
    }
    html.push_str("</dl>\n</section>\n<section>\n<h2>Over time</h2>\n");
    for chart in report.charts() {
        let svg = chart.svg();
        let name = escape(&chart.name);
        html.push_str(&format!("<figure id=\"{name}\">\n{}\n</figure>\n", svg.trim_end()));
    }
    html.push_str("</section>\n<section>\n<h2>By deployment</h2>\n");
    table(&mut html, &facts::deployments(report.figures));
    table(&mut html, &facts::costs(report.figures));
    table(&mut html, &queues::queues(report.figures));
    table(&mut html, &breaker_facts::breakers(report.figures));
    html.push_str("</section>\n");
    let spenders = spending::spenders(report.figures);
    if !spenders.is_empty() {
        html.push_str("<section>\n<h2>Who spent what</h2>\n");
        table(&mut html, &spenders);
        html.push_str("</section>\n");
    }
    notes(&mut html, report);
    html.push_str("<section>\n<h2>Run it again</h2>\n");
    html.push_str(&format!("<pre><code>{}</code></pre>\n", escape(report.replay)));
    html.push_str(
        "<p class=\"soft\">The same seed, scenario and router give the same bytes.</p>\n",
    );
    html.push_str("</section>\n</main>\n</body>\n</html>\n");
    html
}

fn header(html: &mut String, report: &Report<'_>) {
    html.push_str("<header>\n");
    html.push_str(&format!(
        "<p class=\"run\">{} · router {} · seed {}</p>\n<h1>{}</h1>\n",
        escape(report.scenario),
        escape(report.router),
        report.seed,
        escape(report.title)
    ));
    if !report.question.is_empty() {
        html.push_str(&format!("<p class=\"question\">{}</p>\n", escape(report.question)));
    }
    html.push_str("</header>\n");
}

fn verdicts(html: &mut String, report: &Report<'_>) {
    html.push_str(&format!("<section>\n<h2>{}</h2>\n<ul class=\"verdicts\">\n", answer(report)));
    for wanted in [Verdict::Fail, Verdict::NoData, Verdict::Pass] {
        let class = match wanted {
            Verdict::Pass => "pass",
            Verdict::Fail => "fail",
            Verdict::NoData => "nodata",
        };
        for judged in report.judged.iter().filter(|j| j.judgement.verdict == wanted) {
            let why =
                report.why(judged).map_or_else(String::new, |why| format!("<br>{}", escape(&why)));
            html.push_str(&format!(
                "<li><b class=\"badge {class}\">{}</b><div><b>{}</b>\
                 <p>{}{why}</p></div></li>\n",
                word(wanted),
                escape(&judged.title()),
                escape(&judged.judgement.text)
            ));
        }
    }
    for line in report.not_applicable {
        html.push_str(&format!(
            "<li><b class=\"badge\">N/A</b><div><p>does not apply: {}</p></div></li>\n",
            escape(line)
        ));
    }
    html.push_str("</ul>\n</section>\n");
}

/// The verdicts, in a sentence.
fn answer(report: &Report<'_>) -> String {
    let of = match report.judged.len() {
        0 => return "Nothing was expected of this run".to_owned(),
        1 => "the only expectation".to_owned(),
        n => format!("{n} expectations"),
    };
    match report.tally() {
        (0, 0) if report.judged.len() == 1 => "The only expectation holds".to_owned(),
        (0, 0) => format!("All {of} hold"),
        (0, undecided) => format!("{undecided} of {of} could not be judged"),
        (failed, 0) => format!("{failed} of {of} failed"),
        (failed, undecided) => format!("{failed} of {of} failed, {undecided} could not be judged"),
    }
}

fn table(html: &mut String, table: &Table) {
    if table.is_empty() {
        return;
    }
    html.push_str("<div class=\"scroll\"><table>\n<thead><tr>");
    let class = |side| if side == Side::Right { " class=\"n\"" } else { "" };
    for (name, side) in table.columns() {
        html.push_str(&format!("<th{}>{}</th>", class(*side), escape(&name.replace('\n', " "))));
    }
    html.push_str("</tr></thead>\n<tbody>\n");
    for row in table.rows() {
        html.push_str("<tr>");
        for (cell, (_, side)) in row.iter().zip(table.columns()) {
            html.push_str(&format!("<td{}>{}</td>", class(*side), escape(cell)));
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody>\n</table></div>\n");
}

fn notes(html: &mut String, report: &Report<'_>) {
    if report.notes.is_empty() {
        return;
    }
    html.push_str("<section>\n<h2>Notes</h2>\n<ul>\n");
    for note in report.notes {
        html.push_str(&format!("<li>{}</li>\n", escape(note)));
    }
    html.push_str("</ul>\n</section>\n");
}
