//! What the chart of breakers is told: lanes, and a title that says the most.

use router_core::Cause;

use super::at;
use super::breakers::{self, Lane, State};
use super::plot::Backdrop;
use super::scene::Scene;
use crate::breaker_facts::{out_ns, turned};
use crate::words::{self, count, seconds, secs};
use crate::{Figures, SpellKind, membership, outs};

/// A lane for each member of the groups in which a breaker was ever not plainly closed.
pub(super) fn ribbon(figures: &Figures, backdrop: &Backdrop) -> Scene {
    let turned = turned(figures);
    let groups = || turned.iter().filter_map(|member| figures.members.get(*member));
    let beside = |i: &usize| groups().any(|member| member.group == figures.members[*i].group);
    let lanes: Vec<Lane> =
        (0..figures.members.len()).filter(beside).map(|member| lane(figures, member)).collect();
    breakers::breakers(&title(figures, &turned), &lanes, backdrop)
}

fn lane(figures: &Figures, member: usize) -> Lane {
    let horizon = figures.frame.horizon;
    let mut states = Vec::new();
    let own = figures.spells.iter().filter(|spell| spell.member == member);
    for spell in own.filter(|spell| spell.from < horizon) {
        let state = match (spell.kind, spell.enforced) {
            (SpellKind::Open, true) => State::Open,
            (SpellKind::Open, false) => State::Observed,
            (SpellKind::HalfOpen, _) => State::HalfOpen,
            (SpellKind::Ramping, _) => State::Ramping,
            (SpellKind::Forced, _) => State::Forced,
        };
        states.push((at(spell.from), at(spell.until), state));
    }
    let rests = outs::resting(figures, figures.members[member].deployment);
    let rests = rests.into_iter().filter(|(from, _)| *from < horizon);
    states.extend(rests.map(|(from, until)| (at(from), at(until), State::Resting)));
    Lane { name: membership::name(figures, member), remark: remark(figures, member), states }
}

fn remark(figures: &Figures, member: usize) -> String {
    let Some(counts) = figures.whole.memberships.get(member) else { return String::new() };
    let (opened, observed) = (counts.opened(), counts.observed.iter().sum::<u64>());
    let out = words::brief(secs(out_ns(figures, member)));
    match (opened, observed) {
        (0, 0) if out_ns(figures, member) > 0 => format!("forced open for {out}"),
        (0, 0) => "never opened".to_owned(),
        (0, 1) => "1 opening, if it held".to_owned(),
        (0, n) => format!("{} openings, if it held", count(n)),
        (1, _) => format!("1 opening, out {out}"),
        (n, _) => format!("{} openings, out {out}", count(n)),
    }
}

fn title(figures: &Figures, turned: &[usize]) -> String {
    let counts = |member: &usize| figures.whole.memberships.get(*member);
    let opened = |member: &usize| counts(member).map_or(0, crate::Membership::opened);
    // What an operator forces open is no news to anybody.
    let news = |member: &&usize| (opened(member) > 0, out_ns(figures, **member));
    let most = turned.iter().rev().max_by_key(news);
    let Some(most) = most else { return "No breaker ever opened".to_owned() };
    let name = membership::name(figures, *most);
    let time = seconds(secs(out_ns(figures, *most)));
    let times = |n: u64| match n {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        n => format!("{} times", count(n)),
    };
    let observed = counts(most).map_or(0, |counts| counts.observed.iter().sum());
    let others = match turned.iter().filter(|other| *other != most && opened(other) > 0).count() {
        0 => String::new(),
        1 => "; one other opened too".to_owned(),
        n => format!("; {n} others opened too"),
    };
    let probes = match counts(most).map_or(0, |counts| counts.sent(Cause::Probe)) {
        0 => String::new(),
        1 => ", with one probe".to_owned(),
        n => format!(", with {} probes", count(n)),
    };
    match (opened(most), observed) {
        (0, 0) => format!("{name} was forced open for {time}{others}"),
        (0, n) => format!("{name}'s breaker would have opened {}; it only observes", times(n)),
        (n, _) => {
            format!("{name}'s breaker opened {} and was out for {time}{probes}{others}", times(n))
        }
    }
}
