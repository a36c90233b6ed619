//! What retries, hedges, breakers, standby and panic came to.

use router_core::{GroupId, Time};

use super::judge::Measured;
use super::{Metric, Selectors, Sent, Shared, Unit};
use crate::outs::{self, Stretches};
use crate::{ExpectedShare, Figures, Membership, Part, Replicas, Seconds};

/// Of the memberships that `of` names, in `part`, which is what `of` names too.
pub(super) fn measure(metric: &Metric, of: &Selectors, figures: &Figures, part: &Part) -> Measured {
    let group = of.group.as_ref().map(|name| figures.group_named(name));
    let deployment = of.deployment.as_ref().map(|name| figures.deployment_named(name));
    let belongs = |member: &ExpectedShare| {
        group.is_none_or(|group| group == Some(member.group))
            && deployment.is_none_or(|deployment| deployment == Some(member.deployment))
    };
    let group = group.flatten();
    let sum = part.over(figures, belongs);
    let during = of.during.as_deref();
    match metric {
        Metric::Sent(what) => {
            let sent = match what.cause() {
                Some(cause) => sum.sent(cause),
                None => sum.retried,
            };
            ratio(sent.into(), sum.dispatched().into(), "nothing was dispatched")
        }
        Metric::HedgesWon => {
            let sent = sent_hedges(&sum);
            ratio(sum.hedges_won.into(), sent.into(), "no hedge was sent")
        }
        Metric::HedgesCost => {
            let nothing =
                if figures.priced { "nothing was charged" } else { "nothing has a price" };
            ratio(sum.outrun.cost_pico, sum.cost_pico, nothing)
        }
        Metric::Cached => {
            ratio(sum.cached_tokens.into(), sum.input_tokens.into(), "no prompt was charged")
        }
        Metric::Failures(class) => {
            let ended = sum.answered + sum.failures.iter().sum::<u64>();
            let failed = sum.failures[*class as usize];
            ratio(failed.into(), ended.into(), "no attempt was answered or failed")
        }
        Metric::Openings => ratio(sum.opened().into(), 1, ""),
        Metric::Ejected => ejected(figures, belongs, &outs::pieces(figures, during)),
        Metric::EjectedMax => ejected_at_once(figures, group, &outs::pieces(figures, during)),
        Metric::PanicTime => clock(&figures.panicked, group),
        Metric::StrandedTime => clock(&figures.stranded, group),
        Metric::AppRestarts => match &figures.application {
            Some(app) => ratio(app.restarts.len() as u128, 1, ""),
            None => Measured::Nothing(NO_APPLICATION.to_owned()),
        },
        Metric::Overshoot(shared) => overshoot(figures.replicas.as_ref(), *shared),
        Metric::AppDown => match &figures.application {
            Some(app) => {
                let (down, all) = app.down(figures.end);
                ratio(down, all, "no time passed")
            }
            None => Measured::Nothing(NO_APPLICATION.to_owned()),
        },
        Metric::SuccessRate
        | Metric::Ttft(_)
        | Metric::Total(_)
        | Metric::CostPer1k
        | Metric::Amplification
        | Metric::Share
        | Metric::Rung(_)
        | Metric::Degraded
        | Metric::QueueWait(_)
        | Metric::Queued
        | Metric::Shed
        | Metric::CostTotal
        | Metric::CostShare
        | Metric::CostEstimated
        | Metric::Refused
        | Metric::Recovery(_) => unreachable!("it is measured on calls or on one deployment"),
    }
}

fn overshoot(replicas: Option<&Replicas>, shared: Shared) -> Measured {
    let Some(replicas) = replicas else {
        return Measured::Nothing("the scenario has no `[replicas]`".to_owned());
    };
    match (replicas.worst(shared), shared) {
        (None, _) => Measured::Nothing(shared.what().to_owned()),
        (Some((_, pico)), Shared::Money) => Measured::Value { parts: u128::from(*pico), wholes: 1 },
        (Some((_, most)), Shared::Requests | Shared::Tokens | Shared::BudgetTokens) => {
            ratio((*most).into(), 1, "")
        }
    }
}

const NO_APPLICATION: &str = "the scenario has no `[app]`";

fn sent_hedges(sum: &Membership) -> u64 {
    Sent::Hedges.cause().map_or(0, |cause| sum.sent(cause))
}

fn ratio(part: u128, whole: u128, nothing: &str) -> Measured {
    match whole {
        0 => Measured::Nothing(nothing.to_owned()),
        wholes => Measured::Value { parts: part * u128::from(Unit::Times.grains()), wholes },
    }
}

fn ejected(
    figures: &Figures,
    belongs: impl Fn(&ExpectedShare) -> bool,
    pieces: &[(Time, Time)],
) -> Measured {
    let members = figures.members.iter().enumerate().filter(|(_, member)| belongs(member));
    let long: u64 = pieces.iter().map(|(from, until)| until.since(*from).as_nanos()).sum();
    let (long, mut out, mut all) = (u128::from(long), 0_u128, 0_u128);
    for (member, _) in members {
        out += u128::from(outs::within(&outs::out(figures, member), pieces));
        all += long;
    }
    ratio(out, all, "it takes time to be out")
}

/// Of `group`, or of the group that fared worst.
fn ejected_at_once(figures: &Figures, group: Option<GroupId>, pieces: &[(Time, Time)]) -> Measured {
    let groups = (0..figures.groups.len()).map(GroupId::at);
    let shares = groups.filter(|one| group.is_none_or(|group| group == *one)).map(|group| {
        let members = figures.members.iter().enumerate().filter(|(_, m)| m.group == group);
        let outs: Vec<Stretches> = members.map(|(i, _)| outs::out(figures, i)).collect();
        (outs::most_at_once(&outs, pieces) as u128, outs.len() as u128)
    });
    let worst = shares.max_by(|a, b| (a.0 * b.1).cmp(&(b.0 * a.1)));
    let (out, all) = worst.unwrap_or_default();
    ratio(out, all, "it has no members")
}

fn clock(seconds: &Seconds, group: Option<GroupId>) -> Measured {
    let counted = group.map_or(seconds.any, |group| seconds.groups[group.index()]);
    Measured::Value { parts: u128::from(counted) * u128::from(Unit::Seconds.grains()), wholes: 1 }
}
