//! Who was out, for how long and why: behind a breaker, or resting.

use router_core::{DeploymentId, GroupId, Time};

use super::account::largest;
use super::breakdown::Breakdown;
use super::say;
use super::sums::{self, Measure};
use crate::blame::several;
use crate::expect::{Metric, Selectors};
use crate::outs::{self, Stretches};
use crate::page::{Ink, Page};
use crate::table::{Side, Table};
use crate::words::{self, count, percent, seconds, secs};
use crate::{Figures, Rest, Spell, SpellKind, membership};

/// The most stretches that are listed one by one.
pub(super) const LISTED: usize = 12;

/// One thing that took a member out, and when.
struct Out {
    from: Time,
    until: Time,
    text: String,
    /// How many rests in a row it was, if it was not the first.
    row: Option<u8>,
}

impl Breakdown {
    /// Where `ejected.share` or `ejected.max` went.
    pub(super) fn absent(&self, page: &mut Page, figures: &Figures) {
        let pieces = outs::pieces(figures, self.of.during.as_deref());
        let group = if let Metric::EjectedMax = self.metric {
            self.most_at_once(page, figures, &pieces)
        } else {
            self.group
        };
        let belongs = |i: &usize| {
            let member = &figures.members[*i];
            group.is_none_or(|own| own == member.group)
                && self.deployment.is_none_or(|own| own == member.deployment)
        };
        let members: Vec<usize> = (0..figures.members.len()).filter(belongs).collect();
        let outs = outs_of(figures, &members, &pieces);
        if outs.is_empty() {
            page.line(Ink::Plain, "nobody was out: no breaker opened, and nobody rested");
            return;
        }
        let (parts, out) = parts(figures, &members, &pieces);
        if let Metric::Ejected = self.metric {
            let long = outs::within(&pieces, &pieces);
            let all = u128::from(long) * members.len() as u128;
            let span = |ns: u128| seconds(ns as f64 / 1e9);
            let (who, time) = (plural(members.len(), "member"), span(u128::from(long)));
            let text = format!(
                "{who} for {time}; they were out for {} in all, which is {} of {}",
                span(out),
                percent(out as f64 / all.max(1) as f64),
                span(all)
            );
            page.item((Ink::Plain, ""), 0, &text);
            page.gap();
        }
        let rows = largest(parts, |n| if n > 0 { times(n) } else { String::new() });
        let heading = "what they were out for; a rest counts where no breaker was open";
        sums::table(page, heading, &rows, Measure::seconds(1), "together");
        page.gap();
        listed(page, outs);
    }

    /// When the most of a group were out, and who; the group that fared worst.
    fn most_at_once(
        &self,
        page: &mut Page,
        figures: &Figures,
        pieces: &Stretches,
    ) -> Option<GroupId> {
        let groups = (0..figures.groups.len()).map(GroupId::at);
        let groups = groups.filter(|one| self.group.is_none_or(|group| group == *one));
        let each = groups.map(|group| {
            let members: Vec<usize> =
                (0..figures.members.len()).filter(|i| figures.members[*i].group == group).collect();
            let all: Vec<Stretches> = members.iter().map(|i| outs::out(figures, *i)).collect();
            (outs::most_at_once(&all, pieces), members, all, group)
        });
        let (most, members, all, group) =
            each.max_by(|a, b| (a.0 * b.1.len()).cmp(&(b.0 * a.1.len())))?;
        if most == 0 {
            return Some(group);
        }
        let at = instants(&all, pieces).find(|at| out_at(&all, *at).count() == most);
        let who: Vec<String> = out_at(&all, at.unwrap_or_default())
            .map(|place| membership::name(figures, members[place]))
            .collect();
        let text = format!(
            "{} of the {} of `{}` were out at once, first at {}: {}",
            count(most as u64),
            plural(members.len(), "member"),
            figures.groups[group.index()],
            say::clock(at.unwrap_or_default()),
            super::story::listed(&who, "and")
        );
        page.item((Ink::Plain, ""), 0, &text);
        page.gap();
        Some(group)
    }

    /// Who of `group` was out at some time of a stretch, and why.
    pub(super) fn out_in(figures: &Figures, group: GroupId, (from, until): (Time, Time)) -> String {
        let belongs = |i: &usize| figures.members[*i].group == group;
        let members: Vec<usize> = (0..figures.members.len()).filter(belongs).collect();
        let outs = outs_of(figures, &members, &[(from, until)]);
        // The same words once, however often they apply.
        let mut told: Vec<(String, u64)> = Vec::new();
        for Out { text, .. } in outs {
            match told.iter_mut().find(|(known, _)| *known == text) {
                Some((_, n)) => *n += 1,
                None => told.push((text, 1)),
            }
        }
        told.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
        let told = told.into_iter().map(|(text, n)| match n {
            1 => text,
            n => format!("{text} ({})", times(n)),
        });
        told.collect::<Vec<_>>().join("; ")
    }
}

/// What kept the members that `of` names out the longest, in words, and which part of the time
/// that they were out.
pub(crate) fn absence(figures: &Figures, of: &Selectors) -> Option<(f64, String)> {
    let pieces = outs::pieces(figures, of.during.as_deref());
    let group = of.group.as_ref().map(|name| figures.group_named(name));
    let deployment = of.deployment.as_ref().map(|name| figures.deployment_named(name));
    let belongs = |i: &usize| {
        let member = &figures.members[*i];
        group.is_none_or(|own| own == Some(member.group))
            && deployment.is_none_or(|own| own == Some(member.deployment))
    };
    let members: Vec<usize> = (0..figures.members.len()).filter(belongs).collect();
    let (parts, out) = parts(figures, &members, &pieces);
    // The first of equals.
    let (what, (most, _)) = parts.into_iter().rev().max_by_key(|(_, (ns, _))| *ns)?;
    Some((most as f64 / out.max(1) as f64, what))
}

/// What took these members out within `pieces`, by start.
fn outs_of(figures: &Figures, members: &[usize], pieces: &[(Time, Time)]) -> Vec<Out> {
    let during =
        |from: Time, until: Time| pieces.iter().any(|piece| from.max(piece.0) < until.min(piece.1));
    let own = |spell: &&Spell| members.contains(&spell.member) && spell.is_out();
    let spells = figures.spells.iter().filter(own);
    let spells = spells.map(|spell| {
        let (from, until) = (spell.from, spell.until);
        Out { from, until, text: of_spell(figures, spell), row: None }
    });
    let is_of = |id: DeploymentId| members.iter().any(|i| figures.members[*i].deployment == id);
    let rests = figures.rests.iter().filter(|rest| is_of(rest.deployment));
    let rests = rests.map(|rest| {
        let (from, until) = (rest.from, rest.until);
        let row = (rest.streak > 1).then_some(rest.streak);
        Out { from, until, text: of_rest(figures, rest), row }
    });
    let mut outs: Vec<Out> =
        spells.chain(rests).filter(|out| during(out.from, out.until)).collect();
    outs.sort_by_key(|out| out.from);
    outs
}

fn of_spell(figures: &Figures, spell: &Spell) -> String {
    let name = membership::name(figures, spell.member);
    let after = spell.why.map_or_else(String::new, |why| format!(", after {}", words::turn(why)));
    match spell.kind {
        SpellKind::Forced => format!("the breaker of {name} was forced open by an operator"),
        SpellKind::Open => format!("the breaker of {name} was open{after}"),
        SpellKind::HalfOpen => format!("the breaker of {name} was half-open"),
        SpellKind::Ramping => format!("the share of {name} ramped up"),
    }
}

fn of_rest(figures: &Figures, rest: &Rest) -> String {
    let d = rest.deployment.index();
    let name = &figures.deployments[d];
    let keys = figures.keys.get(d).copied().unwrap_or(1);
    let who = match (rest.key, keys) {
        (Some(key), 2..) => format!("{name}'s key {} of {keys}", key + 1),
        (Some(_) | None, _) => name.clone(),
    };
    format!("{who} rested after {}", say::a(rest.failure))
}

/// Parts of a table: a name, and nanoseconds with how often.
type Parts = Vec<(String, (u128, u64))>;

/// How long members were out for each cause, and in all.
fn parts(figures: &Figures, members: &[usize], pieces: &[(Time, Time)]) -> (Parts, u128) {
    let (mut parts, mut all) = (Parts::new(), 0);
    for &member in members {
        let name = membership::name(figures, member);
        let out = u128::from(outs::within(&outs::out(figures, member), pieces));
        let mut rest = out;
        for (kind, what) in [
            (SpellKind::Open, "open"),
            (SpellKind::HalfOpen, "half-open"),
            (SpellKind::Forced, "forced open"),
        ] {
            let own = |s: &&Spell| s.member == member && s.kind == kind && s.is_out();
            let spells = figures.spells.iter().filter(own).map(|s| (s.from, s.until));
            let spells: Stretches = spells.collect();
            let ns = u128::from(outs::within(&spells, pieces));
            rest = rest.saturating_sub(ns);
            let n = overlapping(&spells, pieces);
            parts.push((format!("the breaker of {name} {what}"), (ns, n)));
        }
        let deployment = figures.members[member].deployment;
        // Of a deployment with several keys, those that left it without one that works.
        let mut resting = outs::resting(figures, deployment);
        resting.retain(|stretch| overlapping(&[*stretch], pieces) > 0);
        let rests = figures.rests.iter().filter(|rest| rest.deployment == deployment);
        let rests: Vec<&Rest> =
            rests.filter(|rest| overlapping(&[(rest.from, rest.until)], &resting) > 0).collect();
        let mut kinds: Vec<_> = rests.iter().map(|rest| rest.failure).collect();
        kinds.sort_unstable();
        kinds.dedup();
        let kinds: Vec<&str> = kinds.into_iter().map(several).collect();
        let why = super::story::listed(&kinds, "and");
        parts.push((format!("rests of {name}, after {why}"), (rest, rests.len() as u64)));
        all += out;
    }
    parts.retain(|(_, (ns, _))| *ns > 0);
    (parts, all)
}

fn overlapping(stretches: &[(Time, Time)], pieces: &[(Time, Time)]) -> u64 {
    let within = |s: &&(Time, Time)| pieces.iter().any(|p| s.0.max(p.0) < s.1.min(p.1));
    stretches.iter().filter(within).count() as u64
}

/// Where the number of those that are out can grow.
fn instants<'a>(
    all: &'a [Stretches],
    pieces: &'a [(Time, Time)],
) -> impl Iterator<Item = Time> + 'a {
    let mut instants: Vec<Time> = all
        .iter()
        .flatten()
        .flat_map(|(from, until)| {
            pieces.iter().filter_map(move |piece| {
                let at = (*from).max(piece.0);
                (at < (*until).min(piece.1)).then_some(at)
            })
        })
        .collect();
    instants.sort_unstable();
    instants.into_iter()
}

fn out_at(all: &[Stretches], at: Time) -> impl Iterator<Item = usize> + '_ {
    let is_out = move |own: &Stretches| own.iter().any(|(from, until)| *from <= at && at < *until);
    all.iter().enumerate().filter(move |(_, own)| is_out(own)).map(|(place, _)| place)
}

/// The longest one by one, in order of time.
fn listed(page: &mut Page, mut outs: Vec<Out>) {
    let all = outs.len();
    let long = |out: &Out| out.until.since(out.from);
    outs.sort_by_key(|out| std::cmp::Reverse(long(out)));
    let rest = outs.split_off(LISTED.min(all));
    outs.sort_by_key(|out| out.from);
    let mut table =
        Table::new(&[("from", Side::Right), ("for", Side::Right), ("what", Side::Left)]);
    for out in outs {
        let until = out.until;
        let long = if until == Time::MAX { "ever".to_owned() } else { say::span(long(&out)) };
        let row = out.row.map_or_else(String::new, |n| format!(", rest {n} in a row"));
        table.row(vec![say::clock(out.from), long, out.text + &row]);
    }
    let title = if rest.is_empty() { "when, and why" } else { "when, and why: the longest" };
    page.line(Ink::Bold, title);
    page.table(table);
    if let Some(longest) = rest.iter().map(long).max() {
        let n = count(rest.len() as u64);
        let most = words::brief(secs(longest.as_nanos()));
        page.line(Ink::Dim, &format!("and {n} more, none longer than {most}"));
    }
}

fn plural(n: usize, what: &str) -> String {
    format!("{} {what}{}", count(n as u64), if n == 1 { "" } else { "s" })
}

fn times(n: u64) -> String {
    match n {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        n => format!("{} times", count(n)),
    }
}
