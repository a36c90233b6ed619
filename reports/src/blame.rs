//! What most of the lost time, or most of the failures, was made of.

use core::cmp::Reverse;

use router_core::{DeploymentId, FailureClass, FailureKind, Hold, Reason, Turn};

use crate::expect::{Expectation, Metric, Op, Sent};
use crate::words::{self, count, percent, seconds, secs};
use crate::{Calls, Figures, Membership, Part, explain, membership, outs, queues, rungs, spending};

/// Below this share of all waiting, lost time explains nothing.
const TELLING: f64 = 0.1;

/// One cause and what it cost.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Blame {
    /// In words that follow `... of the lost time went into` or `... of the failures were`.
    pub cause: String,
    /// Nanoseconds, or failures.
    pub amount: u128,
}

impl Blame {
    /// The share and the words of the greatest of `blames`, which are sorted.
    pub fn first(blames: &[Self]) -> Option<(f64, &str)> {
        let all: u128 = blames.iter().map(|blame| blame.amount).sum();
        let first = blames.first().filter(|_| all > 0)?;
        Some((first.amount as f64 / all as f64, &first.cause))
    }
}

/// Where calls lost time in `part`: in attempts that failed, in waiting after them, and in slow
/// attempts until the hedge that overtook them was sent; the greatest first, in nanoseconds.
pub fn lost_time(figures: &Figures, part: &Part) -> Vec<Blame> {
    let mut blames = Vec::new();
    for (name, attempts) in figures.deployments.iter().zip(&part.deployments) {
        for (kind, lost) in FailureKind::ALL.into_iter().zip(&attempts.lost) {
            let (what, on) = (several(kind), on(figures, name));
            let mut add = |cause, ns| blames.push(Blame { cause, amount: u128::from(ns) });
            add(format!("backoff after {what}{on}"), lost.waited_ns);
            let odd = [
                (lost.probing_ns, "met by probes"),
                (lost.standby_ns, "met by standby"),
                (lost.panic_ns, "met in panic"),
            ];
            let mut plain = lost.dead_ns;
            for (ns, how) in odd {
                add(format!("{what} {how}{on}"), ns);
                plain = plain.saturating_sub(ns);
            }
            add(format!("{what}{on}"), plain);
        }
        let of = figures.deployment_named(name);
        let outrun = part.over(figures, |member| Some(member.deployment) == of).outrun;
        let cause = format!("slow attempts that a hedge overtook{}", on(figures, name));
        blames.push(Blame { cause, amount: u128::from(outrun.waited_ns) });
    }
    let client = part.calls.client_wait_ns;
    let cause = "clients waiting to try again".to_owned();
    blames.push(Blame { cause, amount: u128::from(client) });
    sorted(blames)
}

/// Which attempts failed in `part`, most first.
pub fn failures(figures: &Figures, part: &Part) -> Vec<Blame> {
    failures_where(figures, part, |_, _| true)
}

fn failures_where(
    figures: &Figures,
    part: &Part,
    counts: impl Fn(usize, FailureKind) -> bool,
) -> Vec<Blame> {
    let mut blames = Vec::new();
    for (d, (name, attempts)) in figures.deployments.iter().zip(&part.deployments).enumerate() {
        let kinds = FailureKind::ALL.into_iter().zip(&attempts.failures);
        for (kind, n) in kinds.filter(|(kind, _)| counts(d, *kind)) {
            let cause = several(kind).to_owned() + &on(figures, name);
            blames.push(Blame { cause, amount: u128::from(*n) });
        }
    }
    sorted(blames)
}

/// What most of the trouble was made of that `expectation` failed for.
pub(crate) fn why(figures: &Figures, expectation: &Expectation) -> Option<String> {
    let during = expectation.of.during.as_deref();
    let part = match during {
        Some(name) => figures.phase(name)?,
        None => &figures.whole,
    };
    let deployment =
        expectation.of.deployment.as_deref().and_then(|name| figures.deployment_named(name));
    if let Some(whose) = &expectation.of.whose {
        return spending::refusals(figures, part, whose);
    }
    let why = match &expectation.metric {
        Metric::SuccessRate if deployment.is_some() => None,
        Metric::SuccessRate => {
            let group = expectation.of.group.as_deref().and_then(|name| figures.group_named(name));
            let calls = group.map_or(&part.calls, |group| &part.groups[group.index()]);
            let app = figures.application.as_ref();
            // Whose they were is not known.
            let lost = app.filter(|_| group.is_none());
            let lost = lost.map_or(0, |app| app.lost(&outs::pieces(figures, during)));
            let never = match app {
                Some(_) if group.is_some() => "rejected, or lost in the application",
                Some(_) | None => "rejected without an attempt",
            };
            unanswered(figures, part, calls, (lost, never))
        }
        Metric::Ttft(_) | Metric::Total(_) => slow(figures, part),
        Metric::Amplification | Metric::Recovery(_) => failed(figures, part),
        Metric::CostPer1k => dear(figures, part),
        Metric::Share => excluded(part, deployment?.index()),
        Metric::Openings => opened(figures, part),
        Metric::Ejected | Metric::EjectedMax => absent(figures, expectation),
        Metric::Sent(Sent::Standby | Sent::Panic) | Metric::PanicTime | Metric::StrandedTime => {
            hindered(part)
        }
        Metric::Sent(Sent::Hedges) if matches!(expectation.op, Op::More | Op::AtLeast) => {
            held(part)
        }
        Metric::Sent(Sent::Hedges) => overtaken(figures, part),
        Metric::HedgesWon | Metric::HedgesCost => outrun(figures, part),
        Metric::Rung(_) | Metric::Degraded => {
            let group = expectation.of.group.as_deref().and_then(|name| figures.group_named(name));
            let calls = group.map_or(&part.calls, |group| &part.groups[group.index()]);
            return given(calls);
        }
        Metric::QueueWait(_) | Metric::Queued | Metric::Shed => {
            let ways = queues::ways(figures, part, &expectation.of).into_iter();
            let ways: Vec<_> = ways.map(|(n, what)| format!("{} {what}", count(n))).collect();
            return (!ways.is_empty()).then(|| ways.join(", "));
        }
        Metric::AppRestarts | Metric::AppDown => slowest(figures, part),
        // What was overshot went well, so far.
        Metric::Overshoot(_) => return None,
        Metric::Failures(class) => of_class(figures, part, deployment, *class),
        Metric::Sent(Sent::Retries | Sent::Probes) => None,
        Metric::CostTotal | Metric::CostShare => {
            let all = expectation.of.group.is_none() && deployment.is_none();
            return spending::largest(figures, part).filter(|_| all);
        }
        Metric::Refused => return spending::most_refused(figures, part),
        Metric::CostEstimated => None,
        // No failure of an attempt says why it went where nothing is kept.
        Metric::Cached => return None,
    };
    why.or_else(|| failed(figures, part))
}

/// How calls ended that got no whole answer, each way with its count; and, if some were tried,
/// which failures that were. `lost` of them were lost in the application, which had no room or died
/// under them.
fn unanswered(
    figures: &Figures,
    part: &Part,
    calls: &Calls,
    (lost, never): (u64, &str),
) -> Option<String> {
    let tried = calls.failed.saturating_sub(calls.rejected.max(lost));
    let mut ways = vec![
        (lost, "lost in the application"),
        (calls.rejected.saturating_sub(lost), never),
        (tried, "failed after attempts"),
        (calls.left, "left by their users"),
        (calls.partial, "answered only in part"),
    ];
    ways.retain(|(n, _)| *n > 0);
    ways.sort_by_key(|(n, _)| Reverse(*n));
    let all: u64 = ways.iter().map(|(n, _)| n).sum();
    let what = if all == 1 { "call" } else { "calls" };
    let ways = match ways.as_slice() {
        [] => return None,
        [(_, how)] if all == 1 => format!(", {how}"),
        [(_, how)] => format!(", all {how}"),
        several => {
            let each = several.iter().map(|(n, how)| format!("{} {how}", count(*n)));
            format!(": {}", each.collect::<Vec<_>>().join(", "))
        }
    };
    let ways = format!("{} {what} without a whole answer{ways}", count(all));
    match failed(figures, part).filter(|_| tried > 0) {
        Some(failed) => Some(format!("{ways}; {failed}")),
        None => Some(ways),
    }
}

/// What calls were given, each way with its count.
fn given(calls: &Calls) -> Option<String> {
    let ways = rungs::given(calls).into_iter().map(|(n, what)| format!("{} {what}", count(n)));
    let ways = ways.collect::<Vec<_>>().join(", ");
    (calls.ended > 0).then(|| format!("{} calls: {ways}", count(calls.ended)))
}

fn failed(figures: &Figures, part: &Part) -> Option<String> {
    let failures = failures(figures, part);
    let (share, cause) = Blame::first(&failures)?;
    Some(format!("{} of the failed attempts were {cause}", percent(share)))
}

/// Which failures those of a class were.
fn of_class(
    figures: &Figures,
    part: &Part,
    deployment: Option<DeploymentId>,
    class: FailureClass,
) -> Option<String> {
    let failures = failures_where(figures, part, |d, kind| {
        kind.class() == Some(class) && deployment.is_none_or(|own| own.index() == d)
    });
    let (share, cause) = Blame::first(&failures)?;
    Some(format!("{} of them were {cause}", percent(share)))
}

/// What kept members out the longest.
fn absent(figures: &Figures, expectation: &Expectation) -> Option<String> {
    let (share, what) = explain::absence(figures, &expectation.of)?;
    Some(format!("{} of the time that members were out: {what}", percent(share)))
}

/// Lost time if that is a tenth of all waiting, else the slowest deployment.
fn slow(figures: &Figures, part: &Part) -> Option<String> {
    let lost = lost_time(figures, part);
    let all: u128 = lost.iter().map(|blame| blame.amount).sum();
    if all as f64 >= TELLING * part.calls.ttft.sum_ns() as f64
        && let Some((share, cause)) = Blame::first(&lost)
    {
        return Some(format!("{} of the lost time went into {cause}", percent(share)));
    }
    let slowest = slowest(figures, part)?;
    Some(format!("little of it was lost to failures: {slowest}"))
}

/// The deployment that lets its callers wait longest.
fn slowest(figures: &Figures, part: &Part) -> Option<String> {
    // What hardly served anybody explains nothing.
    let served = part.deployments.iter().map(|d| d.ttft.count()).sum::<u64>() / 20;
    let slowest = figures.deployments.iter().zip(&part.deployments);
    let slowest = slowest.filter(|(_, d)| d.ttft.count() >= served);
    let (p99, name) = slowest.filter_map(|(name, d)| Some((d.ttft.p99()?, name))).max()?;
    let time = seconds(secs(p99.as_nanos()));
    Some(format!("{name} itself takes {time} at p99"))
}

fn dear(figures: &Figures, part: &Part) -> Option<String> {
    let costs: u128 = part.deployments.iter().map(|d| d.cost_pico).sum();
    let names = part.deployments.iter().zip(&figures.deployments);
    let (most, name) = names.map(|(d, name)| (d.cost_pico, name)).max()?;
    let share = (costs > 0).then(|| most as f64 / costs as f64)?;
    Some(format!("{} of the cost is {name}'s", percent(share)))
}

/// Whose breaker opened most, and why.
fn opened(figures: &Figures, part: &Part) -> Option<String> {
    let (share, name) = most(figures, part, Membership::opened)?;
    let most = part.memberships.iter().rev().max_by_key(|m| m.opened())?;
    let (_, why) = most.openings.iter().zip(Turn::ALL).rev().max_by_key(|(n, _)| **n)?;
    let why = words::turn(why);
    Some(format!("{share} of the breakers' openings were {name}'s, most after {why}"))
}

/// Why members could not be chosen, wherever.
fn hindered(part: &Part) -> Option<String> {
    let of = |reason: Reason| {
        let counts = part.deployments.iter().map(|d| d.excluded[reason as usize]);
        (counts.sum::<u64>(), reason)
    };
    // That somebody else was preferred hindered nobody.
    let hinders =
        |reason: &Reason| !matches!(reason, Reason::Weight | Reason::Tried | Reason::Tier);
    let reasons: Vec<(u64, Reason)> = Reason::ALL.into_iter().filter(hinders).map(of).collect();
    let all: u64 = reasons.iter().map(|(n, _)| n).sum();
    let (most, reason) = reasons.into_iter().rev().max_by_key(|(n, _)| *n)?;
    let share = (all > 0).then(|| most as f64 / all as f64)?;
    let why = words::reason(reason);
    Some(format!("of the times a member could not be chosen, {} were since {why}", percent(share)))
}

/// Beside whose slow attempts hedges were worth it.
fn overtaken(figures: &Figures, part: &Part) -> Option<String> {
    let overtaken = |m: &Membership| m.outrun.attempts.saturating_sub(m.hedges_lost);
    let (share, name) = most(figures, part, overtaken)?;
    Some(format!("{share} of the attempts that hedges overtook were {name}'s"))
}

/// Where hedges were sent for nothing.
fn outrun(figures: &Figures, part: &Part) -> Option<String> {
    let (share, name) = most(figures, part, |m| m.hedges_lost)?;
    Some(format!("{share} of the hedges that were not first had been sent to {name}"))
}

/// Who has most of what is counted, and which part of it.
fn most(
    figures: &Figures,
    part: &Part,
    of: impl Fn(&Membership) -> u64,
) -> Option<(String, String)> {
    let all: u64 = part.memberships.iter().map(&of).sum();
    let (i, most) = part.memberships.iter().map(of).enumerate().rev().max_by_key(|(_, n)| *n)?;
    (all > 0).then(|| (percent(most as f64 / all as f64), membership::name(figures, i)))
}

/// Why hedges were held back.
fn held(part: &Part) -> Option<String> {
    let held = &part.calls.held;
    let all: u64 = held.iter().sum();
    let (most, why) = held.iter().zip(Hold::ALL).rev().max_by_key(|(n, _)| **n)?;
    let share = (all > 0).then(|| *most as f64 / all as f64)?;
    let (n, why) = (count(all), words::hold(why));
    Some(format!("{n} hedges were held back, {} of them since {why}", percent(share)))
}

/// Why a deployment could not be chosen.
fn excluded(part: &Part, deployment: usize) -> Option<String> {
    let excluded = &part.deployments.get(deployment)?.excluded;
    let all: u64 = excluded.iter().sum();
    let (most, reason) = excluded.iter().zip(Reason::ALL).max_by_key(|(n, _)| **n)?;
    let share = (all > 0).then(|| *most as f64 / all as f64)?;
    let why = words::reason(reason);
    Some(format!("of the times it could not be chosen, {} were since {why}", percent(share)))
}

/// Where something happened; a router's only deployment needs no name. (The name comes last, as
/// one called `a` would turn into an article.)
fn on(figures: &Figures, name: &str) -> String {
    if figures.deployments.len() > 1 { format!(" on {name}") } else { String::new() }
}

fn sorted(mut blames: Vec<Blame>) -> Vec<Blame> {
    blames.retain(|blame| blame.amount > 0);
    blames.sort_by(|a, b| b.amount.cmp(&a.amount).then_with(|| a.cause.cmp(&b.cause)));
    blames
}

/// What people call several failures of a kind.
pub(crate) const fn several(kind: FailureKind) -> &'static str {
    match kind {
        FailureKind::RateLimit => "429s",
        FailureKind::QuotaSpent => "spent quotas",
        FailureKind::Server => "server errors",
        FailureKind::Connect => "connection failures",
        FailureKind::FirstToken => "first-token timeouts",
        FailureKind::Idle => "stalls",
        FailureKind::Total => "total timeouts",
        FailureKind::Reset => "broken connections",
        FailureKind::Truncated => "truncated answers",
        FailureKind::Authentication => "refused keys",
        FailureKind::NotFound => "missing models",
        FailureKind::BadRequest => "bad requests",
        FailureKind::ContextWindow => "over-long prompts",
        FailureKind::ContentPolicy => "content refusals",
        FailureKind::InvalidOutput => "invalid outputs",
    }
}

/// `n` failures of a kind: `1 first-token timeout`, `4,786 rate limits`.
pub(crate) fn counted(n: u64, kind: FailureKind) -> String {
    // `4,786 429s` would be two numbers.
    let several = if kind == FailureKind::RateLimit { "rate limits" } else { several(kind) };
    let what = if n == 1 { several.strip_suffix('s').unwrap_or(several) } else { several };
    format!("{} {what}", count(n))
}

#[cfg(test)]
mod tests {
    use crate::sample;

    use super::*;

    #[test]
    fn a_cause_names_its_deployment_last_and_only_if_there_is_another() {
        let blamed = |members: &[sample::Member]| {
            let config = sample::config(&[("chat", members)]);
            let mut figures = Figures::new(&config, sample::frame());
            let attempts = &mut figures.whole.deployments[0];
            attempts.failures[FailureKind::Connect as usize] = 3;
            attempts.lost[FailureKind::Connect as usize].waited_ns = 9;
            let expectation = Expectation::parse("amplification < 1.2").unwrap();
            let lost = lost_time(&figures, &figures.whole).remove(0).cause;
            (why(&figures, &expectation).unwrap(), lost)
        };
        let (failed, lost) = blamed(&[("a", 1, 0)]);
        assert_eq!(failed, "100 % of the failed attempts were connection failures");
        assert_eq!(lost, "backoff after connection failures");
        let (failed, lost) = blamed(&[("a", 1, 0), ("b", 1, 0)]);
        assert_eq!(failed, "100 % of the failed attempts were connection failures on a");
        assert_eq!(lost, "backoff after connection failures on a");
    }

    #[test]
    fn a_failed_success_names_every_way_that_calls_ended() {
        let config = sample::config(&[("chat", &[("a", 1, 0)]), ("code", &[("a", 1, 0)])]);
        let mut figures = Figures::new(&config, sample::frame());
        let calls = &mut figures.whole.calls;
        (calls.failed, calls.rejected, calls.left, calls.partial) = (1_030, 1_000, 4, 1);
        figures.whole.groups[1].failed = 1;
        figures.whole.groups[1].rejected = 1;
        figures.whole.deployments[0].failures[FailureKind::Server as usize] = 90;
        let why_of = |text: &str| why(&figures, &Expectation::parse(text).unwrap()).unwrap();
        assert_eq!(
            why_of("success.rate > 99 %"),
            "1,035 calls without a whole answer: 1,000 rejected without an attempt, 30 failed \
             after attempts, 4 left by their users, 1 answered only in part; 100 % of the failed \
             attempts were server errors"
        );
        assert_eq!(
            why_of("success.rate {group=code} > 99 %"),
            "1 call without a whole answer, rejected without an attempt"
        );
        let attempts = "100 % of the failed attempts were server errors";
        assert_eq!(why_of("success.rate {deployment=a} > 99 %"), attempts);
        // Of a class, whatever else failed more often.
        figures.whole.deployments[0].failures[FailureKind::Idle as usize] = 3;
        figures.whole.deployments[0].failures[FailureKind::Total as usize] = 1;
        let timeouts = Expectation::parse("failures.timeout < 1 %").unwrap();
        assert_eq!(why(&figures, &timeouts).unwrap(), "75.0 % of them were stalls");
    }
}
