//! Where money went, and what came of the calls of one who pays.

use super::account::largest;
use super::breakdown::Breakdown;
use super::sums::{self, Measure};
use crate::expect::{Metric, purse};
use crate::page::{Ink, Page};
use crate::spend::{LARGEST, Row};
use crate::spending::{called, total};
use crate::words::{count, dollars, percent, seconds, secs, tokens};
use crate::{Figures, Part, Purse, budgets};

/// The most turns of a budget that are told one by one.
const TURNS: usize = 8;

impl Breakdown {
    /// Where money or refusals went; or, if somebody is named, what became of their calls.
    pub(super) fn spent(&self, page: &mut Page, figures: &Figures, part: &Part) {
        let named = [&self.of.group, &self.of.deployment].into_iter().any(Option::is_some);
        if named || self.of.whose.is_some() {
            if let Ok(purse) = purse(&self.of, figures, part) {
                own(page, &purse, total(part).cost_pico);
            }
            self.turns(page, figures);
            return;
        }
        let refused = self.metric == Metric::Refused;
        let measure = if refused {
            Measure { grain: 1, decimals: 0, before: "", after: "" }
        } else {
            Measure { grain: 100_000_000, decimals: 4, before: "$", after: "" }
        };
        let estimated = self.metric == Metric::CostEstimated;
        let of = |purse: &Purse| {
            if refused {
                u128::from(purse.refused.iter().sum::<u64>())
            } else if estimated {
                purse.estimated_pico
            } else {
                purse.cost_pico
            }
        };
        let mut table = |heading: String, rows: Vec<(String, Purse)>| {
            let rows = rows.into_iter().map(|(name, purse)| (name, (of(&purse), purse.calls)));
            let rows: Vec<_> = rows.filter(|(_, (sum, _))| *sum > 0).collect();
            if !rows.is_empty() {
                page.gap();
                sums::table(page, &heading, &largest(rows, |_| String::new()), measure, "together");
            }
        };
        if !refused {
            let names = figures.deployments.iter().zip(&part.deployments);
            let rows = names.map(|(name, a)| (name.clone(), crate::spending::of_attempts(a)));
            table("by deployment".to_owned(), rows.collect());
        }
        for (place, names) in figures.payers() {
            let rows = figures.spenders(part, place, LARGEST).into_iter();
            let rows = rows.map(|Row { who, purse }| (called(&names.name, &who), purse));
            table(format!("by {}", names.name), rows.collect());
        }
    }

    /// When budgets of the one who is named were used up.
    fn turns(&self, page: &mut Page, figures: &Figures) {
        let Some(whose) = &self.of.whose else { return };
        let name = format!("{}={}", whose.key, whose.name);
        let all = figures.budgets.news.iter();
        let own = all.filter(|one| budgets::whose(figures, one.kind, one.number) == name);
        for one in own.take(TURNS) {
            let (spent, budget) =
                (budgets::amount(one.budget.unit, one.spent), budgets::named(one.budget));
            let what = budgets::used(one.budget, one.level, one.spent);
            let at = seconds(secs(one.at.as_nanos()));
            let next = budgets::rolls(one.budget, figures.budgets.began, one.at);
            let next = seconds(secs(next.as_nanos()));
            page.item(
                (Ink::Plain, ""),
                0,
                &format!("{at}: {budget} {what}: {spent} spent; the next period begins at {next}"),
            );
        }
    }
}

fn own(page: &mut Page, purse: &Purse, all: u128) {
    let Purse { calls, answered, submissions, refused: [limit, budget], .. } = *purse;
    if submissions > 0 {
        let text = format!(
            "{} calls ended, {} of them answered; of {} tries {} were refused over a limit and {} \
             over a budget",
            count(calls),
            count(answered),
            count(submissions),
            count(limit),
            count(budget)
        );
        page.item((Ink::Plain, ""), 0, &text);
    }
    if purse.attempts > 0 {
        let text = format!(
            "{} attempts: {} tokens in, {} of them cached, and {} out",
            count(purse.attempts),
            tokens(purse.input_tokens),
            tokens(purse.cached_tokens),
            tokens(purse.output_tokens)
        );
        page.item((Ink::Plain, ""), 0, &text);
    }
    if purse.cost_pico > 0 {
        let share = percent(purse.cost_pico as f64 / all.max(1) as f64);
        let text = format!(
            "{} in all, {share} of everything; {} of it estimated, of attempts that failed or were \
             dropped",
            dollars(purse.cost_pico),
            dollars(purse.estimated_pico)
        );
        page.item((Ink::Plain, ""), 0, &text);
    }
}
