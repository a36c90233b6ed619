//! Charts, each of which answers one question. Drawn by plotters; the same figures give the same
//! bytes on every machine.

mod answers;
mod axis;
mod breakers;
mod concurrency;
pub(crate) mod fonts;
mod lines;
mod losses;
mod money;
mod palette;
mod plot;
mod png;
mod queue;
mod rests;
mod ribbon;
mod scene;
mod share;
mod staleness;

use router_core::{FailureKind, Time};

pub(crate) use self::lines::Bound;
use self::lines::{Latencies, Rates};
use self::losses::Loss;
use self::plot::{Backdrop, Band};
use self::rests::{Cause, RestLane};
use self::scene::Scene;
use self::share::{ShareRow, Shares};
pub use self::staleness::{Staleness, staleness};
use crate::blame::{self, Blame};
use crate::words::{count, percent, seconds, secs};
use crate::{Application, Coarse, ExpectedShare, Figures};

/// Bins are merged until a series has no more than this many: finer is noise to the eye.
const BINS: usize = 240;
/// The same for quantiles, which need more calls in a bin to settle.
const QUANTILE_BINS: usize = 120;
/// A fault of at least this share of the run is part of its weather.
const ALWAYS: f64 = 0.95;
/// The most groups whose shares are drawn apart.
const SHARES: usize = 6;

/// A chart, ready to be written.
#[derive(Clone, Debug)]
pub struct Chart {
    /// What its file is called, without an extension.
    pub name: String,
    scene: Scene,
}

impl Chart {
    /// What it says, in a sentence.
    pub fn title(&self) -> &str {
        &self.scene.title
    }

    /// As SVG, which names the typeface Inter and does not carry it.
    pub fn svg(&self) -> String {
        self.scene.svg()
    }

    /// As PNG, with twice as many pixels as the SVG.
    pub fn png(&self) -> Vec<u8> {
        self.scene.png()
    }
}

/// Every chart that the figures have something to say in. `bounds` are lines that the time to
/// first token was not to cross.
pub(crate) fn charts(figures: &Figures, bounds: &[Bound]) -> Vec<Chart> {
    let backdrop = backdrop(figures);
    let merged = figures.bins.len().div_ceil(BINS).max(1);
    let mut charts = vec![
        chart("demand", demand(figures, &backdrop, merged)),
        chart("latency", latency(figures, &backdrop, bounds)),
    ];
    if figures.cache.is_some() || figures.whole.calls.rungs.any() {
        charts.push(chart("answers", answers::answers(figures, &backdrop, merged)));
    }
    charts.extend(shares(figures, &backdrop, merged));
    charts.extend(money::bill(figures, &backdrop, merged).map(|scene| chart("spend", scene)));
    charts.extend(money::budgets(figures, &backdrop).map(|scene| chart("budgets", scene)));
    charts.push(chart("rests", rests(figures, &backdrop)));
    if figures.concurrency.iter().any(|limits| !limits.is_empty()) {
        charts.push(chart("concurrency", concurrency::concurrency(figures, &backdrop)));
    }
    if figures.whole.calls.in_class(None).waited > 0 {
        charts.push(chart("queue", queue::waiting(figures, &backdrop, merged)));
        charts.push(chart("queue-wait", queue::wait(figures, &backdrop, merged)));
    }
    if let Some(app) = &figures.application {
        charts.push(chart("replicas", replicas(figures, app, &backdrop)));
    }
    if !figures.spells.is_empty() {
        charts.push(chart("breakers", ribbon::ribbon(figures, &backdrop)));
    }
    charts.push(chart("lost-time", lost_time(figures)));
    if figures.whole.deployments.iter().any(|d| d.failed() > 0) {
        charts.push(chart("failures", failures(figures)));
    }
    charts
}

fn chart(name: &str, scene: Scene) -> Chart {
    Chart { name: name.to_owned(), scene }
}

fn backdrop(figures: &Figures) -> Backdrop {
    let frame = &figures.frame;
    let horizon = at(frame.horizon);
    let mut bands = Vec::new();
    let faults = || frame.faults.iter();
    for phase in &frame.phases {
        if phase.name == "normal" || faults().any(|fault| fault.name == phase.name) {
            continue;
        }
        for &(from, until) in &phase.pieces {
            let (label, colour) = (phase.name.clone(), palette::SPIKE);
            bands.push(Band {
                label,
                from: at(from),
                until: at(until),
                colour,
                shade: 0.05,
                marked: false,
            });
        }
    }
    for fault in faults() {
        let place = match fault.on.as_slice() {
            // It is the router's, the cache's or the store's.
            [] => None,
            [one] => figures.deployments.get(one.index()).map(|name| format!(" on {name}")),
            many if many.len() < figures.deployments.len() => {
                Some(format!(" on {} deployments", many.len()))
            }
            _ => Some(" on all deployments".to_owned()),
        };
        let label = fault.name.clone() + &place.unwrap_or_default();
        let (from, until) = (at(fault.from), fault.until.map_or(horizon, at));
        // What lasts all the time tells no part of it from another.
        let marked = until - from < ALWAYS * horizon;
        let shade = if marked { 0.08 } else { 0.0 };
        bands.push(Band { label, from, until, colour: palette::FAULT, shade, marked });
    }
    bands.retain(|band| band.from < horizon && band.until > band.from);
    bands.iter_mut().for_each(|band| band.label = fonts::fit(&band.label, 11.5, true, 300.0));
    bands.sort_by(|a, b| a.from.total_cmp(&b.from));
    Backdrop { horizon, bands }
}

fn at(time: Time) -> f64 {
    secs(time.as_nanos())
}

fn demand(figures: &Figures, backdrop: &Backdrop, merged: usize) -> Scene {
    let bin = secs(figures.frame.bin.as_nanos());
    let calls = &figures.whole.calls;
    let mut rates = Rates { bin: bin * merged as f64, ..Rates::default() };
    for (i, bins) in figures.bins.chunks(merged).enumerate() {
        // The last bin may end before it is full.
        let from = i as f64 * rates.bin;
        let wide = (backdrop.horizon - from).clamp(bin * 0.01, bin * bins.len() as f64);
        let groups = || bins.iter().flat_map(|bin| &bin.groups);
        rates.offered.push(groups().map(|g| g.offered).sum::<u64>() as f64 / wide);
        rates.admitted.push(groups().map(|g| g.admitted).sum::<u64>() as f64 / wide);
        rates.answered.push(groups().map(|g| g.answered).sum::<u64>() as f64 / wide);
    }
    let title = match calls.success() {
        None => "No call was offered".to_owned(),
        Some(success) => {
            let peak = rates.offered.iter().fold(0.0_f64, |a, b| a.max(*b));
            format!(
                "Demand peaked at {} calls/s; of {} calls {} were answered in full",
                crate::words::sig3(peak),
                count(calls.offered),
                percent(success)
            )
        }
    };
    lines::demand(&title, &rates, backdrop)
}

fn latency(figures: &Figures, backdrop: &Backdrop, bounds: &[Bound]) -> Scene {
    let merged = figures.bins.len().div_ceil(QUANTILE_BINS).max(1);
    let bin = secs(figures.frame.bin.as_nanos()) * merged as f64;
    let mut data = Latencies { bin, bounds: bounds.to_vec(), ..Latencies::default() };
    for bins in figures.bins.chunks(merged) {
        let mut ttft = Coarse::default();
        for group in bins.iter().flat_map(|bin| &bin.groups) {
            ttft.merge(&group.ttft);
        }
        let [p50, p95, p99] = &mut data.quantiles;
        for (values, q) in [(p50, ttft.p50()), (p95, ttft.p95()), (p99, ttft.p99())] {
            values.push(q.map(|span| secs(span.as_nanos())));
        }
    }
    let ttft = &figures.whole.calls.ttft;
    // What never comes is in no quantile, and must not be taken for having come in time.
    let without = figures.whole.calls.ended.saturating_sub(ttft.count());
    let title = match (ttft.p50(), ttft.p95(), ttft.p99()) {
        (Some(p50), Some(p95), Some(p99)) => {
            let [p50, p95, p99] = [p50, p95, p99].map(|span| seconds(secs(span.as_nanos())));
            let of = if without > 0 { "calls that had one" } else { "the calls" };
            format!(
                "The first token came within {p50} for half of {of}, {p95} for 95 %, {p99} for 99 %"
            )
        }
        _ => "No call got a first token".to_owned(),
    };
    let missing = match without {
        0 => String::new(),
        n => format!(" ({} calls had none)", count(n)),
    };
    let what = format!("time from a call's arrival to its first token{missing}");
    lines::latency(&title, &what, &data, backdrop)
}

fn shares(figures: &Figures, backdrop: &Backdrop, merged: usize) -> Vec<Chart> {
    let offered: Vec<usize> = (0..figures.groups.len())
        .filter(|g| figures.whole.groups.get(*g).is_some_and(|calls| calls.offered > 0))
        .collect();
    if let [] | [_] = offered.as_slice() {
        let group = offered.first().copied();
        return vec![chart("share", share(figures, backdrop, merged, (group, true)))];
    }
    let mut charts: Vec<Chart> = Vec::new();
    for g in offered.into_iter().take(SHARES) {
        let mut name = format!("share-{}", file_name(&figures.groups[g]));
        if charts.iter().any(|chart| chart.name == name) {
            name = format!("{name}-{g}");
        }
        charts.push(chart(&name, share(figures, backdrop, merged, (Some(g), false))));
    }
    charts
}

/// Shares of the members of `group`, and of those of all other groups above them if `everybody`.
fn share(
    figures: &Figures,
    backdrop: &Backdrop,
    merged: usize,
    (group, everybody): (Option<usize>, bool),
) -> Scene {
    let row = |(i, member): (usize, &ExpectedShare)| {
        let merge = |bins: &[crate::Bin]| bins.iter().map(|bin| bin.members[i]).sum();
        let (deployment, its) = (member.deployment.index(), member.group.index());
        let (name, own) = (figures.deployments[deployment].clone(), Some(its) == group);
        ShareRow {
            name: if own { name } else { format!("{name} ({})", figures.groups[its]) },
            attempts: figures.bins.chunks(merged).map(merge).collect(),
            total: figures.whole.members[i],
            weight: (own && member.share > 0.0).then_some(member.share),
            own,
        }
    };
    let all: Vec<ShareRow> = figures.members.iter().enumerate().map(row).collect();
    let (mut rows, mut others): (Vec<ShareRow>, Vec<ShareRow>) =
        all.into_iter().partition(|row| row.own);
    others.retain(|row| everybody && row.total > 0);
    let group = group.map_or("", |group| &figures.groups[group]);
    let title = share_title(&rows, group);
    rows.append(&mut others);
    let bin = secs(figures.frame.bin.as_nanos()) * merged as f64;
    share::share(&title, &Shares { group: group.to_owned(), bin, rows }, backdrop)
}

/// Names the member of `group` whose share is farthest from its weight's.
fn share_title(rows: &[ShareRow], group: &str) -> String {
    /// Differences of less than two points are chance.
    const CHANCE: f64 = 0.02;
    let all: u64 = rows.iter().map(|row| row.total).sum();
    if rows.is_empty() {
        return "No attempt was dispatched".to_owned();
    }
    if all == 0 {
        return format!("None of {group}'s attempts was dispatched");
    }
    let got = |row: &ShareRow| row.total as f64 / all as f64;
    if let [one] = rows {
        return format!("{} got every one of {group}'s attempts", one.name);
    }
    let off = |row: &ShareRow| row.weight.map_or(0.0, |weight| (got(row) - weight).abs());
    // Of two members both are off by as much: the first is named, whatever rounding says.
    let grains = |row: &ShareRow| (off(row) * 1e9).round();
    let far = rows.iter().rev().max_by(|a, b| grains(a).total_cmp(&grains(b)));
    match far.and_then(|row| Some((row, row.weight?))) {
        Some((row, weight)) if off(row) > CHANCE => format!(
            "{} got {} of {group}'s attempts; its weight asks for {}",
            row.name,
            percent(got(row)),
            share::asked(weight)
        ),
        Some(_) => format!("{group}'s weights were kept: no share is off by 2 points or more"),
        None => format!("Who got how many of {group}'s attempts"),
    }
}

fn rests(figures: &Figures, backdrop: &Backdrop) -> Scene {
    let lane = |name: &String| RestLane { name: name.clone(), rests: Vec::new() };
    let mut lanes: Vec<RestLane> = figures.deployments.iter().map(lane).collect();
    for rest in figures.rests.iter().filter(|rest| rest.from < figures.frame.horizon) {
        if let Some(lane) = lanes.get_mut(rest.deployment.index()) {
            let cause = cause(rest.failure);
            let only_key = figures.keys.get(rest.deployment.index()) == Some(&1);
            let whole = rest.key.is_none() || only_key;
            lane.rests.push((at(rest.from), at(rest.until), cause, whole));
        }
    }
    let most = (0..lanes.len())
        .filter(|d| !lanes[*d].rests.is_empty())
        .max_by_key(|d| (figures.resting.get(*d).copied(), core::cmp::Reverse(*d)));
    let rested = lanes.iter().filter(|lane| !lane.rests.is_empty()).count();
    let title = match most {
        None => "No deployment ever rested".to_owned(),
        Some(d) => {
            let time = figures.resting.get(d).map_or(0, |span| span.as_nanos());
            let others = match (rested - 1, lanes.len()) {
                (_, 1) => String::new(),
                (0, _) => "; no other rested".to_owned(),
                (1, _) => "; one other rested too".to_owned(),
                (n, _) => format!("; {n} others rested too"),
            };
            let times = match lanes[d].rests.len() {
                1 => "once".to_owned(),
                2 => "twice".to_owned(),
                n => format!("{} times", count(n as u64)),
            };
            let name = &lanes[d].name;
            format!("{name} rested {times}, for {} in all{others}", seconds(secs(time)))
        }
    };
    rests::rests(&title, &lanes, backdrop)
}

fn replicas(figures: &Figures, app: &Application, backdrop: &Backdrop) -> Scene {
    let lane = |index| RestLane { name: format!("replica {index}"), rests: Vec::new() };
    let mut lanes: Vec<RestLane> = (1..=app.replicas).map(lane).collect();
    for &(from, replica) in app.restarts.iter().filter(|(from, _)| *from < figures.frame.horizon) {
        if let Some(lane) = lanes.get_mut(usize::from(replica)) {
            let until = (from + app.restart).min(figures.end);
            lane.rests.push((at(from), at(until), Cause::Restart, true));
        }
    }
    let lost = (app.refused.len() + app.cut.len()) as u64;
    let title = match (app.restarts.len() as u64, lost) {
        (0, 0) => "No replica of the application was restarted".to_owned(),
        (0, lost) => format!("The application had no room for {} calls", count(lost)),
        (1, lost) => format!("One restart of the application lost {} calls", count(lost)),
        (n, lost) => format!("{} restarts of the application lost {} calls", count(n), count(lost)),
    };
    rests::replicas(&title, &lanes, backdrop)
}

const fn cause(failure: FailureKind) -> Cause {
    match failure {
        FailureKind::RateLimit => Cause::Rate,
        FailureKind::Server
        | FailureKind::Connect
        | FailureKind::FirstToken
        | FailureKind::Idle
        | FailureKind::Total
        | FailureKind::Reset
        | FailureKind::Truncated
        | FailureKind::BadRequest
        | FailureKind::ContextWindow
        | FailureKind::ContentPolicy
        | FailureKind::InvalidOutput => Cause::Failures,
        FailureKind::QuotaSpent | FailureKind::Authentication | FailureKind::NotFound => {
            Cause::Account
        }
    }
}

fn lost_time(figures: &Figures) -> Scene {
    let lost = blame::lost_time(figures, &figures.whole);
    let title = match Blame::first(&lost) {
        None => "No time was lost to failures or waiting".to_owned(),
        Some((share, cause)) => format!("{} of the lost time went into {cause}", percent(share)),
    };
    let overtaken = figures.whole.memberships.iter().any(|m| m.outrun.waited_ns > 0);
    let what = if overtaken {
        "attempts that failed, waits after them, slow attempts until a hedge overtook them"
    } else {
        "attempts that failed, and waits after them"
    };
    let (calls, all) = (figures.whole.calls.ended, lost.iter().map(|b| b.amount).sum::<u128>());
    let mean = match calls {
        0 => String::new(),
        n => format!(", {} per call on average", seconds(all as f64 / n as f64 / 1e9)),
    };
    let remark = format!("{what}: time added up over all {} calls{mean}", count(calls));
    let short = |s: f64| if s >= 60.0 { seconds(s).replace(" 0 s", "") } else { seconds(s) };
    let ticks = |longest| axis::time_ticks(longest, 6);
    losses::losses((&title, &remark), &bars(&lost, 1e9), short, ticks)
}

fn failures(figures: &Figures) -> Scene {
    let failed = blame::failures(figures, &figures.whole);
    let all: u128 = failed.iter().map(|blame| blame.amount).sum();
    let title = match (Blame::first(&failed), all) {
        (None, _) => "No attempt failed".to_owned(),
        (Some((_, cause)), 1) => format!("One attempt failed, one of the {cause}"),
        (Some((share, cause)), _) => {
            format!("{} of the failed attempts were {cause}", percent(share))
        }
    };
    let calls = &figures.whole.calls;
    let again: u64 = calls.tried_again.iter().sum();
    let some = |n: u64| if n == 0 { "none".to_owned() } else { count(n) };
    let rejected = match calls.rejected {
        0 => String::new(),
        n => format!(" ({} of them untried)", count(n)),
    };
    let remark = format!(
        "{} of {} attempts failed; the router tried again after {} of them; of the users' {} \
         calls {} failed{rejected}",
        count(u64::try_from(all).unwrap_or(u64::MAX)),
        count(figures.whole.dispatched()),
        some(again),
        count(calls.ended),
        some(calls.failed)
    );
    let whole = |n: f64| count(n.round() as u64);
    let ticks = |most: f64| {
        let round = axis::ticks(most, 5).into_iter().filter(|n| *n <= most && n.fract() == 0.0);
        round.map(|n| (n, whole(n))).collect()
    };
    losses::losses((&title, &remark), &bars(&failed, 1.0), whole, ticks)
}

fn bars(blames: &[Blame], unit: f64) -> Vec<Loss> {
    let bar = |b: &Blame| Loss { cause: b.cause.clone(), amount: b.amount as f64 / unit };
    blames.iter().map(bar).collect()
}

/// `name`, fit for a file.
fn file_name(name: &str) -> String {
    let fit = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' };
    name.chars().map(fit).collect()
}
