//! `series.csv` and `deployments.csv`: the figures behind the charts and the summary's tables.

use router_core::{Abandon, Cause, DeploymentId, FailureKind, Reason, Turn};

use crate::outs::{self, Stretches};
use crate::rows::{self, Rows};
use crate::{Figures, Membership, Part, Rungs, words};

/// Attempts dropped through no fault of the deployment. (The router's own timeouts are failures.)
const DROPPED: [(Abandon, &str); 3] = [
    (Abandon::Cancel, "by_client"),
    (Abandon::Deadline, "at_deadline"),
    (Abandon::Hedged, "outrun"),
];
/// What attempts are sent for, each with a column.
const CAUSES: [Cause; 8] = [
    Cause::Primary,
    Cause::Retry,
    Cause::Fallback,
    Cause::Hedge,
    Cause::Probe,
    Cause::Standby,
    Cause::Panic,
    Cause::Degraded,
];
/// What opens a breaker, each with a column.
const OPENERS: [Turn; 4] = [Turn::Consecutive, Turn::Failures, Turn::Slow, Turn::Probe];

/// The time series: a row per bin and group (what users saw, by arrival) and a row per bin and
/// deployment (attempts, by when they happened).
///
/// Of a deployment's attempts, `retried` are those that the retry budget pays for: not the first
/// of their request and in the group of the one before, hedges included. `resting_s` is how much
/// of the bin it rested, or all of its keys did; `not_closed_s` how much of it its breaker was
/// open, half-open or forced open, added up over its groups. `concurrency` is its adaptive limit as
/// last told by the end of the bin. Of a group's calls, `fresh`, `stale`, `smaller` and `static` are
/// those that a rung answered which is not the full answer; the first three are among `answered`.
/// `waiting` is the most of each class that waited in its queue at once, added up;
/// `longest_wait_ms` is of those that left it for an attempt in the bin, and `turned_away` counts
/// submissions that the queue or the group's bound refused in it.
pub fn series_csv(figures: &Figures) -> String {
    let mut table = Rows::new(&[
        "from_s",
        "kind",
        "name",
        "offered",
        "admitted",
        "dispatched",
        "answered",
        "failed",
        "ttft_p50_ms",
        "ttft_p95_ms",
        "ttft_p99_ms",
        "total_p50_ms",
        "total_p95_ms",
        "total_p99_ms",
        "retried",
        "hedges",
        "probes",
        "resting_s",
        "not_closed_s",
        "concurrency",
        "fresh",
        "stale",
        "smaller",
        "static",
        "waiting",
        "longest_wait_ms",
        "turned_away",
    ]);
    let out = Out::over_bins(figures);
    let none = String::new;
    for (i, bin) in figures.bins.iter().enumerate() {
        let from = rows::seconds(i as u64 * figures.frame.bin.as_nanos());
        for (name, calls) in figures.groups.iter().zip(&bin.groups) {
            let mut row = vec![from.clone(), "group".to_owned(), name.clone()];
            row.extend([calls.offered.to_string(), calls.admitted.to_string(), none()]);
            row.extend([calls.answered.to_string(), calls.failed.to_string()]);
            for histogram in [&calls.ttft, &calls.total] {
                let quantiles = [histogram.p50(), histogram.p95(), histogram.p99()];
                row.extend(quantiles.map(rows::maybe_millis));
            }
            row.extend(core::iter::repeat_with(none).take(6));
            let Rungs { fresh, stale, smaller, fixed } = calls.rungs;
            row.extend([fresh, stale, smaller, fixed].map(|n| n.to_string()));
            row.push(calls.waiting.iter().sum::<u32>().to_string());
            let longest = calls.longest_wait.into_iter().max().filter(|wait| !wait.is_zero());
            row.extend([rows::maybe_millis(longest), calls.turned_away.to_string()]);
            table.row(row);
        }
        for (d, (name, attempts)) in figures.deployments.iter().zip(&bin.deployments).enumerate() {
            let mut row = vec![from.clone(), "deployment".to_owned(), name.clone()];
            row.extend([none(), none(), attempts.dispatched.to_string()]);
            row.extend([attempts.answered.to_string(), attempts.failed.to_string()]);
            row.extend(core::iter::repeat_with(none).take(6));
            row.extend([attempts.retried, attempts.hedges, attempts.probes].map(|n| n.to_string()));
            row.extend([out[d].resting[i], out[d].not_closed[i]].map(rows::seconds));
            let limit = figures.concurrency_until(d, (i as u64 + 1) * figures.frame.bin.as_nanos());
            row.push(limit.map_or_else(none, |limit| limit.to_string()));
            row.extend(core::iter::repeat_with(none).take(7));
            table.row(row);
        }
    }
    table.finish()
}

/// A row per deployment for the whole run, then for each phase.
///
/// `retried` are attempts that the retry budget pays for: not the first of their request and in
/// the group of the one before, hedges included. `sent_*` are attempts by what they were for.
/// `hedges_won` and `hedges_lost` are of those sent here; `outrun_*` is what attempts here were
/// charged that the other one of a hedged request outran. `openings` are those of breakers that
/// hold, by what led to them, and `observed_openings` those of breakers that only observe.
/// `resting_s` is how long it rested, or all of its keys did; `not_closed_s` how long its breaker
/// was open, half-open or forced open. What breakers did is added up over its groups.
pub fn deployments_csv(figures: &Figures) -> String {
    let mut columns: Vec<String> = [
        "phase",
        "deployment",
        "dispatched",
        "share",
        "answered",
        "failed",
        "success",
        "ttft_p50_ms",
        "ttft_p95_ms",
        "ttft_p99_ms",
        "total_p50_ms",
        "total_p95_ms",
        "total_p99_ms",
        "input_tokens",
        "cached_tokens",
        "output_tokens",
        "cost_usd",
        "lost_in_attempts_s",
        "lost_in_waits_s",
        "spared",
        "pages",
        "retried",
        "hedges_won",
        "hedges_lost",
        "outrun_input_tokens",
        "outrun_output_tokens",
        "outrun_cost_usd",
        "openings",
        "observed_openings",
        "resting_s",
        "not_closed_s",
    ]
    .map(str::to_owned)
    .to_vec();
    columns.extend(CAUSES.map(|cause| format!("sent_{}", words::cause(cause))));
    columns.extend(OPENERS.map(|turn| format!("openings_{}", turn.name())));
    columns.extend(FailureKind::ALL.map(|kind| format!("failed_{}", column(kind.name()))));
    columns.extend(DROPPED.map(|(_, name)| format!("dropped_{name}")));
    columns.extend(Reason::ALL.map(|reason| format!("excluded_{}", column(reason.name()))));
    let mut table = Rows::new(&columns.iter().map(String::as_str).collect::<Vec<_>>());
    part(&mut table, figures, None, &figures.whole);
    for (phase, numbers) in figures.frame.phases.iter().zip(&figures.phases) {
        part(&mut table, figures, Some(&phase.name), numbers);
    }
    table.finish()
}

fn part(table: &mut Rows, figures: &Figures, during: Option<&str>, part: &Part) {
    let (phase, pieces) = (during.unwrap_or("whole"), &outs::pieces(figures, during));
    let all = part.dispatched();
    for (d, (name, attempts)) in figures.deployments.iter().zip(&part.deployments).enumerate() {
        let failed = attempts.failed();
        let mut row = vec![phase.to_owned(), name.clone(), attempts.dispatched.to_string()];
        row.push(rows::share(attempts.dispatched, all));
        row.extend([attempts.answered.to_string(), failed.to_string()]);
        row.push(rows::share(attempts.answered, attempts.answered + failed));
        for histogram in [&attempts.ttft, &attempts.total] {
            let quantiles = [histogram.p50(), histogram.p95(), histogram.p99()];
            row.extend(quantiles.map(rows::maybe_millis));
        }
        let tokens = [attempts.input_tokens, attempts.cached_tokens, attempts.output_tokens];
        row.extend(tokens.map(|n| n.to_string()));
        row.push(rows::dollars(attempts.cost_pico));
        let sum = |ns: fn(&crate::Lost) -> u64| {
            rows::seconds(attempts.lost.iter().map(ns).fold(0, u64::saturating_add))
        };
        row.extend([sum(|lost| lost.dead_ns), sum(|lost| lost.waited_ns)]);
        row.extend([attempts.spared.to_string(), attempts.pages.to_string()]);
        row.extend(policies(figures, (part, pieces), DeploymentId::at(d)));
        row.extend(attempts.failures.map(|n| n.to_string()));
        row.extend(DROPPED.map(|(why, _)| attempts.abandoned[why as usize].to_string()));
        row.extend(attempts.excluded.map(|n| n.to_string()));
        table.row(row);
    }
}

/// From `retried` to the last of the openings.
fn policies(
    figures: &Figures,
    (part, pieces): (&Part, &Stretches),
    deployment: DeploymentId,
) -> Vec<String> {
    let sum: Membership = part.over(figures, |member| member.deployment == deployment);
    let mut cells: Vec<String> = [
        sum.retried,
        sum.hedges_won,
        sum.hedges_lost,
        sum.outrun.input_tokens,
        sum.outrun.output_tokens,
    ]
    .map(|n| n.to_string())
    .to_vec();
    cells.push(rows::dollars(sum.outrun.cost_pico));
    cells.extend([sum.opened(), sum.observed.iter().sum()].map(|n: u64| n.to_string()));
    let resting = outs::within(&outs::resting(figures, deployment), pieces);
    let not_closed = members(figures, deployment)
        .map(|member| outs::within(&outs::not_closed(figures, member), pieces))
        .fold(0, u64::saturating_add);
    cells.extend([resting, not_closed].map(rows::seconds));
    cells.extend(CAUSES.map(|cause| sum.sent(cause).to_string()));
    cells.extend(OPENERS.map(|turn| sum.openings[turn as usize].to_string()));
    cells
}

/// The places of a deployment's memberships.
fn members(figures: &Figures, deployment: DeploymentId) -> impl Iterator<Item = usize> {
    let places = figures.members.iter().enumerate();
    places.filter(move |(_, member)| member.deployment == deployment).map(|(place, _)| place)
}

/// How long a deployment was out in each bin, in nanoseconds.
struct Out {
    resting: Vec<u64>,
    not_closed: Vec<u64>,
}

impl Out {
    /// By deployment.
    fn over_bins(figures: &Figures) -> Vec<Self> {
        let of = |deployment| {
            let bins = || vec![0; figures.bins.len()];
            let mut out = Self { resting: bins(), not_closed: bins() };
            let bin = figures.frame.bin;
            outs::spread(&outs::resting(figures, deployment), bin, &mut out.resting);
            for member in members(figures, deployment) {
                outs::spread(&outs::not_closed(figures, member), bin, &mut out.not_closed);
            }
            out
        };
        (0..figures.deployments.len()).map(|d| of(DeploymentId::at(d))).collect()
    }
}

/// A name as part of a column's name.
fn column(name: &str) -> String {
    name.replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::made_up::World;

    /// The value under `column` in the first row whose second cell is `name`.
    fn value<'a>(csv: &'a str, name: &str, column: &str) -> &'a str {
        let mut lines = csv.lines().map(|line| line.split(',').collect::<Vec<_>>());
        let heading = lines.next().unwrap();
        let at = heading.iter().position(|c| *c == column).unwrap();
        lines.find(|row| row[1] == name).unwrap()[at]
    }

    #[test]
    fn every_row_of_the_tables_is_as_long_as_its_heading() {
        for world in [World::typical(), World::silent(), World::blink()] {
            let figures = world.figures();
            for csv in [series_csv(&figures), deployments_csv(&figures)] {
                let mut reader = csv::Reader::from_reader(csv.as_bytes());
                assert!(reader.records().all(|row| row.is_ok()));
            }
        }
    }

    #[test]
    fn every_column_is_in_the_documentation() {
        let text = include_str!("../../docs/metrics.md");
        let section = |name: &str| -> String {
            let after = text.split_once(&format!("## `{name}`\n")).unwrap().1;
            after.split("\n## ").next().unwrap().to_owned()
        };
        let figures = World::blink().figures();
        let calls = crate::CallLog::new(router_core::Seed::from_u64(1)).csv((&[], &[]), &[]);
        let files = [
            ("series.csv", series_csv(&figures)),
            ("deployments.csv", deployments_csv(&figures)),
            ("requests.csv", calls),
            ("spend.csv", crate::spend_csv(&figures)),
        ];
        for (name, csv) in files {
            let told = section(name);
            for column in csv.lines().next().unwrap().split(',') {
                let start = column.split('_').next().unwrap();
                let known = told.contains(&format!("`{column}`"))
                    || told.contains(&format!("`{start}_*`"))
                    || told.contains(&format!("`{start}_p50_ms` to"));
                assert!(known, "{name}: {column}");
            }
        }
    }

    #[test]
    fn the_series_adds_up_to_the_whole() {
        let figures = World::typical().figures();
        let series = series_csv(&figures);
        let sum = |kind: &str, at: usize| -> u64 {
            let rows = series.lines().map(|line| line.split(',').collect::<Vec<_>>());
            rows.filter(|r| r[1] == kind).map(|r| r[at].parse::<u64>().unwrap()).sum()
        };
        assert_eq!(sum("group", 3), figures.whole.calls.offered);
        assert_eq!(sum("group", 6), figures.whole.calls.answered);
        assert_eq!(sum("deployment", 5), figures.whole.dispatched());
    }

    #[test]
    fn a_deployment_has_its_failures_by_kind() {
        let figures = World::typical().figures();
        let csv = deployments_csv(&figures);
        let of = |column| value(&csv, "az-eu", column).parse::<u64>().unwrap();
        let az = &figures.whole.deployments[0];
        assert_eq!(of("failed_rate_limit"), az.failures[FailureKind::RateLimit as usize]);
        assert_eq!(of("failed_rate_limit") + of("failed_server"), of("failed"));
        assert_eq!(of("dispatched"), az.dispatched);
    }
}
