//! What a summary and a report say beside their verdicts: tables and sentences.

use router_core::{FailureKind, Span};

use crate::blame::counted;
use crate::table::{Side, Table};
use crate::words::{self, NONE, count, dollars, percent, seconds, secs, sig3, tokens};
use crate::{Attempts, Calls, Figures, Fine, Given, Recovery};
use crate::{application, breaker_facts, budgets, replicas, rungs};

/// The most deployments that a sentence names.
const NAMED: usize = 4;

/// How each deployment fared.
pub(crate) fn deployments(figures: &Figures) -> Table {
    let mut table = Table::new(&[
        ("deployment", Side::Left),
        ("attempts", Side::Right),
        ("share", Side::Right),
        ("weight", Side::Right),
        ("success", Side::Right),
        ("first token\np50", Side::Right),
        ("p95", Side::Right),
        ("p99", Side::Right),
        ("total\np50", Side::Right),
        ("p95", Side::Right),
        ("p99", Side::Right),
    ]);
    for (d, name) in figures.deployments.iter().enumerate() {
        let Some(attempts) = figures.whole.deployments.get(d) else { continue };
        let (share, weight) = shares(figures, d);
        let name = match elsewhere(figures, d) {
            Some(group) => format!("{name} ({group})"),
            None => name.clone(),
        };
        let mut row = vec![name, count(attempts.dispatched), share, weight];
        row.push(attempts.success().map_or_else(|| NONE.to_owned(), percent));
        row.extend(quantiles(&attempts.ttft));
        row.extend(quantiles(&attempts.total));
        table.row(row);
    }
    table
}

/// What each deployment cost, and how it failed.
pub(crate) fn costs(figures: &Figures) -> Table {
    let mut columns = vec![
        ("deployment", Side::Left),
        ("tokens in", Side::Right),
        ("out", Side::Right),
        ("cost", Side::Right),
        ("rested", Side::Right),
        ("failed attempts", Side::Left),
    ];
    let caches = figures.whole.deployments.iter().any(|attempts| attempts.cached_tokens > 0);
    if caches {
        columns.insert(2, ("cached", Side::Right));
    }
    let mut table = Table::new(&columns);
    for (d, name) in figures.deployments.iter().enumerate() {
        let Some(attempts) = figures.whole.deployments.get(d) else { continue };
        let rested = figures.resting.get(d).copied().unwrap_or(Span::ZERO);
        let mut row = vec![
            name.clone(),
            tokens(attempts.input_tokens),
            tokens(attempts.output_tokens),
            if figures.priced { dollars(attempts.cost_pico) } else { NONE.to_owned() },
            cell(rested),
            failures(attempts),
        ];
        if caches {
            let share = attempts.cached_share();
            row.insert(2, share.map_or_else(|| NONE.to_owned(), percent));
        }
        table.row(row);
    }
    table
}

/// A topic and what there is to say of it, in order of interest.
pub(crate) fn facts(figures: &Figures) -> Vec<(&'static str, String)> {
    let calls = &figures.whole.calls;
    let mut facts = vec![("calls", ended(figures))];
    if !calls.ttft.is_empty() {
        facts.push(("first token", spread(&calls.ttft)));
    }
    if !calls.total.is_empty() {
        facts.push(("whole answer", spread(&calls.total)));
    }
    if let Some(amplification) = calls.amplification() {
        facts.push((
            "amplification",
            format!(
                "{} attempts per call: {} calls, {} submissions, {} attempts",
                sig3(amplification),
                count(calls.ended),
                count(calls.tries),
                count(calls.attempts)
            ),
        ));
    }
    facts.push(("cost", cost(figures)));
    facts.extend(budgets::fact(figures).map(|fact| ("budgets", fact)));
    facts.extend(application::fact(figures).map(|fact| ("application", fact)));
    facts.extend(replicas::fact(figures).map(|fact| ("replicas", fact)));
    facts.extend(rungs::fact(figures).map(|fact| ("cache", fact)));
    facts.push(("nobody eligible", stranded(figures)));
    facts.push(("rests", rests(figures)));
    facts.extend(breaker_facts::facts(figures));
    for fault in &figures.frame.faults {
        facts.push(("recovery", format!("{}: {}", fault.name, recovery(figures, &fault.name))));
    }
    if calls.censored() > 0 {
        facts.push((
            "at the end",
            format!(
                "{} calls were still in flight; no rate or latency counts them",
                count(calls.censored())
            ),
        ));
    }
    facts
}

/// The group it serves, if that is not the first that was asked for.
fn elsewhere(figures: &Figures, d: usize) -> Option<&str> {
    let asked = |calls: &Calls| calls.offered > 0;
    let home = figures.whole.groups.iter().position(asked)?;
    let own = || figures.members.iter().filter(|m| m.deployment.index() == d);
    if own().any(|member| member.group.index() == home) {
        return None;
    }
    figures.groups.get(own().next()?.group.index()).map(String::as_str)
}

/// Its share of the attempts of each group it is in, and the one its weight asks for.
fn shares(figures: &Figures, d: usize) -> (String, String) {
    let counts = &figures.whole.members;
    let mut texts = (Vec::new(), Vec::new());
    for (i, member) in figures.members.iter().enumerate() {
        if member.deployment.index() != d {
            continue;
        }
        let group = figures.members.iter().zip(counts).filter(|(m, _)| m.group == member.group);
        let all: u64 = group.map(|(_, n)| n).sum();
        let got = counts.get(i).copied().unwrap_or(0);
        let none = || NONE.to_owned();
        texts.0.push(if all > 0 { percent(got as f64 / all as f64) } else { none() });
        texts.1.push(if member.share > 0.0 { percent(member.share) } else { none() });
    }
    let join = |texts: Vec<String>| {
        if texts.is_empty() { NONE.to_owned() } else { texts.join(" / ") }
    };
    (join(texts.0), join(texts.1))
}

fn quantiles(histogram: &Fine) -> [String; 3] {
    [histogram.p50(), histogram.p95(), histogram.p99()]
        .map(|span| span.map_or_else(|| NONE.to_owned(), cell))
}

/// In a table.
fn cell(span: Span) -> String {
    words::brief(secs(span.as_nanos()))
}

/// In a sentence.
fn time(span: Span) -> String {
    seconds(secs(span.as_nanos()))
}

fn failures(attempts: &Attempts) -> String {
    let mut kinds: Vec<(u64, FailureKind)> =
        attempts.failures.iter().copied().zip(FailureKind::ALL).filter(|(n, _)| *n > 0).collect();
    kinds.sort_by_key(|(n, kind)| (core::cmp::Reverse(*n), *kind));
    let texts: Vec<String> = kinds.into_iter().map(|(n, kind)| counted(n, kind)).collect();
    if texts.is_empty() { "none".to_owned() } else { texts.join(", ") }
}

fn ended(figures: &Figures) -> String {
    let calls = &figures.whole.calls;
    let over = time(figures.frame.horizon.since(router_core::Time::ZERO));
    let Some(success) = calls.success() else {
        return match calls.offered {
            0 => format!("none in {over}"),
            n => format!("{} in {over}, none of which ended", count(n)),
        };
    };
    let mut parts = vec![match by_rung(calls) {
        Some(rungs) => format!("{} answered ({rungs})", percent(success)),
        None => format!("{} answered in full", percent(success)),
    }];
    if calls.rungs.fixed > 0 {
        parts.push(format!("{} with a static text", count(calls.rungs.fixed)));
    }
    if calls.partial > 0 {
        parts.push(format!("{} in part", count(calls.partial)));
    }
    if calls.failed > 0 {
        let statuses: Vec<String> =
            calls.statuses.iter().map(|(status, n)| format!("{} x {status}", count(*n))).collect();
        let statuses = statuses.join(", ");
        let rejected = match calls.rejected {
            0 => String::new(),
            n => format!("; {} never reached a deployment", count(n)),
        };
        parts.push(format!("{} failed ({statuses}{rejected})", count(calls.failed)));
    }
    if calls.left > 0 {
        parts.push(format!("{} left before an answer", count(calls.left)));
    }
    format!("{} in {over}: {}", count(calls.offered), parts.join(", "))
}

/// Who was answered by what, as shares of all calls that ended, if not all were in full.
fn by_rung(calls: &Calls) -> Option<String> {
    let answered = Given::ALL.into_iter().filter(|given| *given != Given::Static);
    let each = answered.map(|given| (given.of(&calls.rungs, calls.answered), given));
    let each: Vec<String> = each
        .filter(|(n, _)| *n > 0)
        .map(|(n, given)| format!("{} {}", percent(n as f64 / calls.ended as f64), given.told()))
        .collect();
    calls.rungs.any().then(|| each.join("; "))
}

fn spread(histogram: &Fine) -> String {
    let [p50, p95, p99] = quantiles(histogram);
    let max = histogram.max().map_or_else(|| NONE.to_owned(), time);
    format!("p50 {p50}, p95 {p95}, p99 {p99}, longest {max}")
}

fn cost(figures: &Figures) -> String {
    if !figures.priced {
        return "unknown: no deployment has a price".to_owned();
    }
    let calls = &figures.whole.calls;
    let pico: u128 = figures.whole.deployments.iter().map(|d| d.cost_pico).sum();
    let per_1k = match calls.answered {
        0 => String::new(),
        n => format!(", {} per 1,000 answered calls", dollars(pico * 1000 / u128::from(n))),
    };
    let estimated = match calls.estimated_pico {
        0 => String::new(),
        pico => {
            format!("; {} estimated (failed or dropped)", dollars(pico))
        }
    };
    dollars(pico) + &per_1k + &estimated
}

fn stranded(figures: &Figures) -> String {
    let stranded = &figures.stranded;
    if stranded.any == 0 {
        return "never".to_owned();
    }
    let groups: Vec<String> = figures
        .groups
        .iter()
        .zip(&stranded.groups)
        .filter(|(_, s)| **s > 0)
        .map(|(name, s)| format!("{name} {}", count(*s)))
        .collect();
    let by_group =
        if figures.groups.len() > 1 { format!(" ({})", groups.join(", ")) } else { String::new() };
    format!("in {} seconds of the clock a request found nobody{by_group}", count(stranded.any))
}

fn rests(figures: &Figures) -> String {
    if figures.rests.is_empty() {
        return "none".to_owned();
    }
    let mut by: Vec<(usize, usize)> = (0..figures.deployments.len())
        .map(|d| (figures.rests.iter().filter(|r| r.deployment.index() == d).count(), d))
        .filter(|(n, _)| *n > 0)
        .collect();
    by.sort_by_key(|(n, d)| (core::cmp::Reverse(*n), *d));
    let mut texts: Vec<String> = by
        .iter()
        .take(NAMED)
        .map(|(n, d)| {
            let rested = figures.resting.get(*d).copied().unwrap_or(Span::ZERO);
            format!("{} {} ({})", figures.deployments[*d], count(*n as u64), time(rested))
        })
        .collect();
    if by.len() > NAMED {
        texts.push(format!("{} others", by.len() - NAMED));
    }
    format!("{}: {}", count(figures.rests.len() as u64), texts.join(", "))
}

fn recovery(figures: &Figures, fault: &str) -> String {
    match figures.recovery(fault) {
        Recovery::After(span) if span.is_zero() => "users were well as soon as it ended".to_owned(),
        Recovery::After(span) => format!("users were well again {} after it ended", time(span)),
        Recovery::Never => "users were not well again within the horizon".to_owned(),
        Recovery::NoData(why) => format!("no data: {why}"),
    }
}

#[cfg(test)]
mod tests {
    use router_core::Price;

    use crate::sample;

    use super::*;

    #[test]
    fn without_any_price_a_cost_of_nothing_is_not_told_as_one() {
        let told = |price| {
            let config = sample::config_priced(&[("chat", &[("a", 1, 0)])], price);
            let figures = Figures::new(&config, sample::frame());
            let (_, rows) = costs(&figures).lines();
            (rows[0].contains("$0.00"), cost(&figures))
        };
        let unknown = "unknown: no deployment has a price".to_owned();
        assert_eq!(told(Price::FREE), (false, unknown));
        assert_eq!(told(Price { output: 1, ..Price::FREE }), (true, "$0.00".to_owned()));
    }
}
