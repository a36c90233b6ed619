//! What a summary and a report say of breakers, hedges, standby and panic: nothing if nothing of
//! it happened.

use router_core::{Cause, Hold, Time, Turn};

use crate::membership::{Membership, name};
use crate::outs;
use crate::table::{PAGE, Side, Table};
use crate::words::{self, NONE, count, dollars, percent, seconds, secs, tokens};
use crate::{Figures, SpellKind};

/// How many columns of a terminal the run takes.
const RIBBON: usize = 60;

/// How each breaker fared that was ever not plainly closed.
pub(crate) fn breakers(figures: &Figures) -> Table {
    let mut table = Table::new(&[
        ("breaker", Side::Left),
        ("openings", Side::Right),
        ("out", Side::Right),
        ("probes", Side::Right),
        ("why", Side::Left),
    ]);
    for member in turned(figures) {
        let Some(counts) = figures.whole.memberships.get(member) else { continue };
        table.row(vec![
            name(figures, member),
            count(counts.opened()),
            match out_ns(figures, member) {
                0 => NONE.to_owned(),
                ns => words::brief(secs(ns)),
            },
            count(counts.sent(Cause::Probe)),
            why(figures, member, counts),
        ]);
    }
    table
}

/// The members whose breakers were ever not plainly closed.
pub(crate) fn turned(figures: &Figures) -> Vec<usize> {
    let mut members: Vec<usize> = figures.spells.iter().map(|spell| spell.member).collect();
    members.sort_unstable();
    members.dedup();
    members
}

/// How long a member's breaker was not closed, up to the horizon.
pub(crate) fn out_ns(figures: &Figures, member: usize) -> u64 {
    outs::within(&outs::not_closed(figures, member), &outs::pieces(figures, None))
}

fn why(figures: &Figures, member: usize, counts: &Membership) -> String {
    let told = |counts: &[u64]| -> Vec<String> {
        let turns = counts.iter().zip(Turn::ALL).filter(|(n, _)| **n > 0);
        turns.map(|(n, turn)| format!("{} after {}", count(*n), words::turn(turn))).collect()
    };
    let mut parts = told(&counts.openings);
    let observed = told(&counts.observed);
    if !observed.is_empty() {
        parts.push(format!("only observing: {}", observed.join(", ")));
    }
    let forced = |spell: &&crate::Spell| spell.member == member && spell.kind == SpellKind::Forced;
    if figures.spells.iter().any(|spell| forced(&spell)) {
        parts.push("forced open by an operator".to_owned());
    }
    if parts.is_empty() { NONE.to_owned() } else { parts.join(", ") }
}

/// A line for each breaker that was ever not plainly closed, and what its letters mean.
pub(crate) fn ribbon(figures: &Figures) -> Vec<String> {
    let members = turned(figures);
    if members.is_empty() {
        return Vec::new();
    }
    let names: Vec<String> = members.iter().map(|member| name(figures, *member)).collect();
    let widest = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    let room = widest.min(PAGE - RIBBON - 2);
    let rows: Vec<String> = members.iter().map(|member| marks(figures, *member)).collect();
    let mut lines = legend(figures, &rows.concat());
    for (name, row) in names.iter().zip(&rows) {
        let name = crate::table::cut(name, room);
        let space = " ".repeat(room - name.chars().count());
        lines.push(format!("{name}{space}  {row}"));
    }
    lines
}

/// What a letter of a ribbon says, the most telling first.
const MARKS: [(char, &str); 6] = [
    ('X', "forced open"),
    ('#', "open"),
    ('?', "half-open"),
    ('r', "resting"),
    ('/', "ramping up"),
    ('o', "would be open"),
];

fn legend(figures: &Figures, marks: &str) -> Vec<String> {
    let step = secs(figures.frame.horizon.as_nanos()) / RIBBON as f64;
    let used = MARKS.iter().filter(|(mark, _)| marks.contains(*mark));
    let used: Vec<String> = used.map(|(mark, what)| format!("{mark} {what}")).collect();
    let text = format!("a column is {}: {}", seconds(step), used.join(", "));
    crate::table::wrap(&text, PAGE)
}

fn marks(figures: &Figures, member: usize) -> String {
    let mut row = [MARKS.len(); RIBBON];
    let mut mark = |from: Time, until: Time, rank: usize| {
        let long = figures.frame.horizon.as_nanos().max(1);
        let column = |at: u128| (at * RIBBON as u128 / u128::from(long)) as usize;
        let (from, last) = (u128::from(from.as_nanos()), u128::from(until.as_nanos()));
        let last = column(last.saturating_sub(1)).min(RIBBON - 1);
        for cell in row.iter_mut().take(last + 1).skip(column(from)) {
            *cell = (*cell).min(rank);
        }
    };
    for spell in figures.spells.iter().filter(|spell| spell.member == member) {
        let rank = match (spell.kind, spell.enforced) {
            (SpellKind::Forced, _) => 0,
            (SpellKind::Open, true) => 1,
            (SpellKind::HalfOpen, _) => 2,
            (SpellKind::Ramping, _) => 4,
            (SpellKind::Open, false) => 5,
        };
        mark(spell.from, spell.until, rank);
    }
    if let Some(place) = figures.members.get(member) {
        for (from, until) in outs::resting(figures, place.deployment) {
            mark(from, until, 3);
        }
    }
    row.iter().map(|rank| MARKS.get(*rank).map_or('.', |(mark, _)| *mark)).collect()
}

/// Topics and sentences on what policies did beyond plain routing.
pub(crate) fn facts(figures: &Figures) -> Vec<(&'static str, String)> {
    let sum = figures.whole.over(figures, |_| true);
    let mut facts = Vec::new();
    let held: u64 = figures.whole.calls.held.iter().sum();
    if sum.sent(Cause::Hedge) > 0 || held > 0 {
        facts.push(("hedges", hedges(figures, &sum, held)));
    }
    if sum.sent(Cause::Standby) > 0 {
        let n = sum.sent(Cause::Standby);
        let share = percent(n as f64 / sum.dispatched() as f64);
        facts.push(("standby", format!("{} attempts, {share} of all", count(n))));
    }
    if sum.sent(Cause::Panic) > 0 {
        facts.push((
            "panic",
            format!(
                "{} attempts were sent to members that were out, in {} seconds of the clock",
                count(sum.sent(Cause::Panic)),
                count(figures.panicked.any)
            ),
        ));
    }
    facts
}

fn hedges(figures: &Figures, sum: &Membership, held: u64) -> String {
    let sent = sum.sent(Cause::Hedge);
    let mut parts = Vec::new();
    if sent > 0 {
        let share = percent(sent as f64 / sum.dispatched() as f64);
        parts.push(format!(
            "{} sent ({share} of all attempts), {} were first, {} were not",
            count(sent),
            count(sum.hedges_won),
            count(sum.hedges_lost)
        ));
        let lost = &sum.outrun;
        let charged = tokens(lost.input_tokens + lost.output_tokens);
        let money = if figures.priced && sum.cost_pico > 0 {
            let share = percent(lost.cost_pico as f64 / sum.cost_pico as f64);
            format!(" for {}, {share} of the cost", dollars(lost.cost_pico))
        } else {
            String::new()
        };
        parts.push(format!("those dropped took {charged} tokens{money}"));
    }
    if held > 0 {
        let reasons = figures.whole.calls.held.iter().zip(Hold::ALL).filter(|(n, _)| **n > 0);
        let reasons: Vec<(u64, &str)> = reasons.map(|(n, why)| (*n, words::hold(why))).collect();
        parts.push(match reasons.as_slice() {
            [(n, why)] => format!("{} held back since {why}", count(*n)),
            several => {
                let each = several.iter().map(|(n, why)| format!("{} since {why}", count(*n)));
                format!("{} held back: {}", count(held), each.collect::<Vec<_>>().join(", "))
            }
        });
    }
    parts.join("; ")
}
