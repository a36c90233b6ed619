//! What the figures of a run say of a metric that is counted rather than gathered call by call.

use router_core::{Cause, FailureKind, Reason, Turn};

use super::account::largest;
use super::breakdown::Breakdown;
use super::sums::{self, Measure};
use super::telling::Setting;
use crate::expect::{Metric, Sent};
use crate::page::{Ink, Page};
use crate::words;
use crate::{ExpectedShare, Figures, Membership, Part, blame, membership, queues, rungs};

/// Parts of a table: a name, and how much.
type Parts = Vec<(String, (u128, u64))>;

const COUNT: Measure = Measure { grain: 1, decimals: 0, before: "", after: "" };

impl Breakdown {
    pub(super) fn counted(&self, page: &mut Page, figures: &Figures, setting: &Setting<'_>) {
        let part = match &self.of.during {
            Some(name) => figures.phase(name),
            None => Some(&figures.whole),
        };
        let Some(part) = part else { return };
        if self.of.whose.is_some() {
            return self.spent(page, figures, part);
        }
        let (heading, parts) = match &self.metric {
            Metric::CostTotal | Metric::CostShare | Metric::CostEstimated | Metric::Refused => {
                return self.spent(page, figures, part);
            }
            Metric::Recovery(fault) => return recovery(page, fault, setting),
            Metric::PanicTime | Metric::StrandedTime => return self.moments(page, figures),
            Metric::Ejected | Metric::EjectedMax => return self.absent(page, figures),
            Metric::Share => {
                ("how often somebody could not be chosen, and why", self.excluded(figures, part))
            }
            Metric::Sent(wanted) => {
                ("attempts, by what they were for", self.sent(figures, part, *wanted))
            }
            Metric::HedgesWon => ("hedges, and what became of them", self.hedged(figures, part)),
            Metric::Failures(class) => {
                let of_class = |kind: FailureKind| kind.class() == Some(*class);
                ("failed attempts of this class", self.failed(figures, part, of_class))
            }
            Metric::Openings => ("how often breakers opened", self.outs(figures, part)),
            Metric::SuccessRate
            | Metric::Ttft(_)
            | Metric::Total(_)
            | Metric::CostPer1k
            | Metric::Amplification
            | Metric::HedgesCost
            | Metric::Cached
            | Metric::AppRestarts
            | Metric::Overshoot(_)
            | Metric::AppDown => return,
            Metric::Rung(_) | Metric::Degraded => {
                ("calls, by what they were given", self.given(part))
            }
            Metric::QueueWait(_) | Metric::Queued | Metric::Shed => {
                let ways = queues::ways(figures, part, &self.of).into_iter();
                let ways = parts(ways.map(|(n, what)| (what.to_owned(), n)));
                ("submissions, by what became of them at the queue", ways)
            }
        };
        if parts.is_empty() {
            page.line(Ink::Plain, "there was nothing of that kind");
            return;
        }
        sums::table(page, heading, &largest(parts, |_| String::new()), COUNT, "together");
        let all_of_it = self.of.during.is_none() && self.of.deployment.is_none();
        if all_of_it && self.metric == Metric::Sent(Sent::Panic) {
            page.gap();
            self.moments(page, figures);
        }
    }

    /// The memberships that the metric is of, by place.
    fn own<'f>(
        &self,
        figures: &'f Figures,
        part: &'f Part,
    ) -> impl Iterator<Item = (usize, &'f Membership)> {
        let (group, deployment) = (self.group, self.deployment);
        let belongs = move |member: &ExpectedShare| {
            group.is_none_or(|own| own == member.group)
                && deployment.is_none_or(|own| own == member.deployment)
        };
        let all = figures.members.iter().zip(&part.memberships).enumerate();
        all.filter(move |(_, (member, _))| belongs(member)).map(|(i, (_, counts))| (i, counts))
    }

    fn given(&self, part: &Part) -> Parts {
        let calls = self.group.map_or(&part.calls, |group| &part.groups[group.index()]);
        parts(rungs::given(calls).into_iter().map(|(n, what)| (what.to_owned(), n)))
    }

    fn excluded(&self, figures: &Figures, part: &Part) -> Parts {
        let own = part.deployments.iter().enumerate();
        let own = own.filter(|(d, _)| self.deployment.is_none_or(|id| id.index() == *d));
        let each = own.flat_map(|(d, attempts)| {
            let reasons = Reason::ALL.into_iter().zip(attempts.excluded);
            reasons.map(move |(why, n)| {
                (format!("{}: {}", figures.deployments[d], words::reason(why)), n)
            })
        });
        parts(each)
    }

    /// The attempts that were sent for `wanted`, by where to, and all others.
    fn sent(&self, figures: &Figures, part: &Part, wanted: Sent) -> Parts {
        let own: Vec<(usize, &Membership)> = self.own(figures, part).collect();
        let each = own.iter().flat_map(|(i, counts)| {
            let name = membership::name(figures, *i);
            match wanted {
                Sent::Retries => vec![(format!("retries and hedges to {name}"), counts.retried)],
                Sent::Hedges => hedges(&name, counts),
                Sent::Probes => vec![(format!("probes of {name}"), counts.sent(Cause::Probe))],
                Sent::Standby => {
                    vec![(format!("to {name} on standby"), counts.sent(Cause::Standby))]
                }
                Sent::Panic => vec![(format!("to {name} in panic"), counts.sent(Cause::Panic))],
            }
        });
        let told: Vec<(String, u64)> = each.collect();
        let all: u64 = own.iter().map(|(_, counts)| counts.dispatched()).sum();
        let rest = all.saturating_sub(told.iter().map(|(_, n)| n).sum());
        parts(told.into_iter().chain([("all other attempts".to_owned(), rest)]))
    }

    fn hedged(&self, figures: &Figures, part: &Part) -> Parts {
        let each = self.own(figures, part);
        parts(each.flat_map(|(i, counts)| hedges(&membership::name(figures, i), counts)))
    }

    fn failed(
        &self,
        figures: &Figures,
        part: &Part,
        belongs: impl Fn(FailureKind) -> bool,
    ) -> Parts {
        let own = part.deployments.iter().enumerate();
        let own = own.filter(|(d, _)| self.deployment.is_none_or(|id| id.index() == *d));
        let each = own.flat_map(|(d, attempts)| {
            let kinds = FailureKind::ALL.into_iter().zip(attempts.failures);
            let kinds = kinds.filter(|(kind, _)| belongs(*kind));
            let name = &figures.deployments[d];
            kinds
                .map(move |(kind, n)| (format!("{} on {name}", blame::several(kind)), n))
                .collect::<Vec<_>>()
        });
        parts(each)
    }

    fn outs(&self, figures: &Figures, part: &Part) -> Parts {
        let openings = self.own(figures, part).flat_map(|(i, counts)| {
            let name = membership::name(figures, i);
            let turns = Turn::ALL.into_iter().zip(counts.openings);
            turns.map(move |(why, n)| {
                (format!("the breaker of {name}, after {}", words::turn(why)), n)
            })
        });
        parts(openings)
    }
}

/// The hedges sent to a member, by what became of them.
fn hedges(name: &str, counts: &Membership) -> Vec<(String, u64)> {
    let over = counts.hedges_won + counts.hedges_lost;
    let failed = counts.sent(Cause::Hedge).saturating_sub(over);
    vec![
        (format!("hedges to {name} that had their token first"), counts.hedges_won),
        (format!("hedges to {name} that were outrun"), counts.hedges_lost),
        (format!("hedges to {name} of which neither holds"), failed),
    ]
}

fn parts(each: impl Iterator<Item = (String, u64)>) -> Parts {
    each.filter(|(_, n)| *n > 0).map(|(name, n)| (name, (u128::from(n), n))).collect()
}

/// How long users were unwell is a matter of all that they met.
fn recovery(page: &mut Page, fault: &str, setting: &Setting<'_>) {
    let text = "a recovery is how long users were unwell after a fault had ended; what they met \
                meanwhile:";
    page.item((Ink::Plain, ""), 0, text);
    for metric in ["success.rate", "ttft.p99", "amplification"] {
        page.line(Ink::Plain, &format!("  {} '{metric} {{during={fault}}}'", setting.command));
    }
}
