//! Who spent what, as a table and as `spend.csv`.

use crate::rows::{self, Rows};
use crate::spend::{LARGEST, Row, Who};
use crate::table::{Side, Table};
use crate::words::{NONE, count, dollars, percent, tokens};
use crate::{Attempts, Calls, Figures, Names, Part, Purse, Whose};

/// How many of a kind or property stand by themselves in a summary.
const SHOWN: usize = 8;

/// Who spent what: subjects by kind, then labels by property; empty if calls have neither.
pub(crate) fn spenders(figures: &Figures) -> Table {
    let rows: Vec<(String, Purse)> = figures
        .payers()
        .flat_map(|(place, names)| {
            let rows = figures.spenders(&figures.whole, place, SHOWN).into_iter();
            rows.map(move |Row { who, purse }| (called(&names.name, &who), purse))
        })
        .collect();
    let refused: [u64; 2] = [0, 1].map(|what| rows.iter().map(|(_, p)| p.refused[what]).sum());
    let mut columns =
        vec![("who spent what", Side::Left), ("calls", Side::Right), ("answered", Side::Right)];
    let measured: &[&str] =
        if figures.priced { &["cost", "share", "per 1,000"] } else { &["tokens in", "out"] };
    columns.extend(measured.iter().map(|name| (*name, Side::Right)));
    for (n, name) in refused.iter().zip(["over limit", "over budget"]) {
        if *n > 0 {
            columns.push((name, Side::Right));
        }
    }
    let mut table = Table::new(&columns);
    let all = total(&figures.whole).cost_pico;
    let none = || NONE.to_owned();
    for (name, purse) in rows {
        let mut row = vec![name, count(purse.calls)];
        row.push(share(purse.answered.into(), purse.calls.into()).map_or_else(none, percent));
        if figures.priced {
            row.push(dollars(purse.cost_pico));
            row.push(share(purse.cost_pico, all).map_or_else(none, percent));
            row.push(per_1k(&purse).map_or_else(none, dollars));
        } else {
            row.extend([purse.input_tokens, purse.output_tokens].map(tokens));
        }
        let told = purse.refused.iter().zip(refused).filter(|(_, any)| *any > 0);
        row.extend(told.map(|(n, _)| count(*n)));
        table.row(row);
    }
    table
}

/// `spend.csv`: who spent what, over the whole run and in each phase.
///
/// A row for everything, each deployment, each subject and each label. Of a kind of subjects or a
/// property the [`LARGEST`] stand by themselves, and all others in one row; subjects without a name
/// do so over the whole run only. `name` is `*` for so many others together, and empty for calls
/// on nobody's account and for everything. `cost_usd` and `estimated_usd` are exact.
pub fn spend_csv(figures: &Figures) -> String {
    let mut table = Rows::new(&[
        "phase",
        "by",
        "of",
        "name",
        "count",
        "calls",
        "answered",
        "submissions",
        "over_limit",
        "over_budget",
        "attempts",
        "input_tokens",
        "cached_tokens",
        "output_tokens",
        "cost_usd",
        "estimated_usd",
        "share",
        "usd_per_1k",
    ]);
    part(&mut table, figures, "whole", &figures.whole);
    for (phase, numbers) in figures.frame.phases.iter().zip(&figures.phases) {
        part(&mut table, figures, &phase.name, numbers);
    }
    table.finish()
}

fn part(table: &mut Rows, figures: &Figures, phase: &str, part: &Part) {
    let total = total(part);
    let mut row = |by: [&str; 3], count: u64, purse: &Purse, of_calls: bool| {
        let mut cells: Vec<String> = [phase, by[0], by[1], by[2]].map(str::to_owned).to_vec();
        let [limit, budget] = purse.refused;
        let calls = |n: u64| if of_calls { n.to_string() } else { String::new() };
        cells.push(count.to_string());
        cells.extend([calls(purse.calls), purse.answered.to_string(), calls(purse.submissions)]);
        cells.extend([limit, budget].map(calls));
        cells.push(purse.attempts.to_string());
        let tokens = [purse.input_tokens, purse.cached_tokens, purse.output_tokens];
        cells.extend(tokens.map(|n| n.to_string()));
        cells.extend([purse.cost_pico, purse.estimated_pico].map(rows::exact_dollars));
        cells.push(rows::ratio(purse.cost_pico, total.cost_pico));
        cells.push(per_1k(purse).map_or_else(String::new, rows::dollars));
        table.row(cells);
    };
    row(["total", "", ""], 1, &total, true);
    for (name, attempts) in figures.deployments.iter().zip(&part.deployments) {
        row(["deployment", "", name], 1, &of_attempts(attempts), false);
    }
    for (place, names) in figures.payers() {
        let by = if place < figures.frame.payers.kinds.len() { "subject" } else { "property" };
        for Row { who, purse } in figures.spenders(part, place, LARGEST) {
            let (name, count) = match &who {
                Who::One(name) => (name.as_str(), 1),
                Who::Others(count) => ("*", *count),
                Who::None => ("", 0),
            };
            row([by, &names.name, name], count, &purse, true);
        }
    }
}

/// What all calls came to.
pub(crate) fn total(part: &Part) -> Purse {
    let mut total = Purse::default();
    part.deployments.iter().for_each(|attempts| total.merge(&of_attempts(attempts)));
    let Purse { calls, answered, submissions, refused, .. } = of_calls(&part.calls);
    Purse { calls, answered, submissions, refused, ..total }
}

/// What calls came to, but for tokens and attempts, which are counted by deployment.
pub(crate) fn of_calls(calls: &Calls) -> Purse {
    let rejected = |place: usize| calls.outcomes.rejected[place];
    Purse {
        calls: calls.ended,
        answered: calls.answered,
        submissions: calls.submissions,
        refused: [rejected(crate::figures::SUBJECT), rejected(crate::figures::BUDGET)],
        cost_pico: calls.cost_pico,
        estimated_pico: calls.estimated_pico,
        ..Purse::default()
    }
}

/// What a deployment's attempts came to.
pub(crate) fn of_attempts(attempts: &Attempts) -> Purse {
    Purse {
        answered: attempts.answered,
        attempts: attempts.answered + attempts.failed() + attempts.abandoned.iter().sum::<u64>(),
        input_tokens: attempts.input_tokens,
        cached_tokens: attempts.cached_tokens,
        output_tokens: attempts.output_tokens,
        cost_pico: attempts.cost_pico,
        estimated_pico: attempts.estimated_pico,
        ..Purse::default()
    }
}

/// What was refused of one subject's or label's calls.
pub(crate) fn refusals(figures: &Figures, part: &Part, whose: &Whose) -> Option<String> {
    let payers = &figures.frame.payers;
    let purse = part.purse(payers, payers.find(&whose.key)?.0, &whose.name)?;
    told(purse.refused)
}

/// Whom most was refused to, of those subjects that are told apart.
pub(crate) fn most_refused(figures: &Figures, part: &Part) -> Option<String> {
    let rows = figures.payers().take_while(|(place, _)| *place < figures.frame.payers.kinds.len());
    let rows = rows.flat_map(|(place, names)| {
        let rows = figures.spenders(part, place, LARGEST).into_iter();
        rows.map(move |Row { who, purse }| (called(&names.name, &who), purse.refused))
    });
    let (name, refused) = rows.max_by_key(|(_, refused)| refused.iter().sum::<u64>())?;
    Some(format!("of {name}, {}", told(refused)?))
}

fn told([limit, budget]: [u64; 2]) -> Option<String> {
    let tries = |n: u64| if n == 1 { "try" } else { "tries" };
    match (limit, budget) {
        (0, 0) => None,
        (n, 0) => Some(format!("{} {} refused over a limit", count(n), tries(n))),
        (0, n) => Some(format!("{} {} refused over a budget", count(n), tries(n))),
        (n, m) => {
            let all = n + m;
            Some(format!(
                "{} {} refused, {} over a limit and {} over a budget",
                count(all),
                tries(all),
                count(n),
                count(m)
            ))
        }
    }
}

/// Who spent most: of the kind or property in which somebody stands out most, else which deployment.
pub(crate) fn largest(figures: &Figures, part: &Part) -> Option<String> {
    let all = total(part).cost_pico;
    let first = |(place, names): (usize, &Names)| {
        let rows = figures.spenders(part, place, 1);
        let Row { who: Who::One(name), purse } = rows.into_iter().next()? else { return None };
        Some((purse.cost_pico, format!("{}={name}", names.name)))
    };
    let mut who: Vec<(u128, String)> = figures.payers().filter_map(first).collect();
    // Of equals the first.
    who.reverse();
    let who = who.into_iter().max_by_key(|(pico, _)| *pico);
    let deployments = figures.deployments.iter().zip(&part.deployments);
    let deployments = deployments.map(|(name, attempts)| (attempts.cost_pico, name.clone()));
    let (pico, name) = who.or_else(|| deployments.rev().max_by_key(|(pico, _)| *pico))?;
    Some(format!("{} of it went to {name}", percent(share(pico, all)?)))
}

/// As expectations select it.
pub(crate) fn called(kind: &str, who: &Who) -> String {
    match who {
        Who::One(name) => format!("{kind}={name}"),
        Who::Others(1) => format!("{kind}: 1 other"),
        Who::Others(n) => format!("{kind}: {} others", count(*n)),
        Who::None => format!("{kind}: none"),
    }
}

fn share(part: u128, whole: u128) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// What a thousand answers cost.
fn per_1k(purse: &Purse) -> Option<u128> {
    (purse.answered > 0).then(|| purse.cost_pico * 1_000 / u128::from(purse.answered))
}
