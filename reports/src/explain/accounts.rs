//! On whose account a call is: what its subjects' limits and budgets have to do with it.

use router_core::{LimitSpec, Measure, Rate, Rejection, Request, Time};

use super::say;
use super::story::Story;
use crate::words::count;
use crate::{Frame, budgets};

impl Story {
    /// How much the limit is that a request was refused for; nothing if it was for something else.
    pub(super) fn of_limit(&self, why: Rejection) -> String {
        let Rejection::Subject { kind, what, .. } = why else { return String::new() };
        let number = self.request().map_or(0, |request| request.subjects[usize::from(kind)]);
        let Some(policy) = self.config().policy(kind.into(), number) else { return String::new() };
        let LimitSpec { requests, tokens, input_tokens, output_tokens, parallel } = policy.limit;
        let rate = |rate: Option<Rate>, of: &str| {
            rate.map(|Rate { amount, period, .. }| {
                format!("{} {of} in {}", count(amount), say::span(period))
            })
        };
        let limit = match what {
            Measure::Requests => rate(requests, "requests"),
            Measure::Tokens => rate(tokens, "tokens"),
            Measure::InputTokens => rate(input_tokens, "prompt tokens"),
            Measure::OutputTokens => rate(output_tokens, "completion tokens"),
            Measure::Parallel => parallel.map(|most| format!("{} at once", count(most.into()))),
        };
        limit.map(|limit| format!("; it has {limit}")).unwrap_or_default()
    }

    /// On whose account the call is, and how far budgets were used up when it ended, each in a line.
    pub(super) fn accounts(&self, request: &Request, frame: &Frame) -> Vec<String> {
        let began = self.config().router().periods_began.as_nanos();
        let mut texts = Vec::new();
        for (kind, number) in request.subjects.iter().enumerate().filter(|(_, n)| **n > 0) {
            let whose = frame.payers.whose(kind, *number);
            let policy = self.config().policy(kind, *number);
            let budgets = policy.map(|policy| policy.budgets.as_slice()).unwrap_or_default();
            if budgets.is_empty() {
                texts.push(format!("on account of {whose}"));
            }
            for (index, budget) in budgets.iter().enumerate() {
                let name = budgets::named(*budget);
                let told = self.budgets.get(&(kind as u8, *number, index as u8));
                // What is told of a period is over with it.
                let end = self.lines.last().map_or(Time::ZERO, |line| line.at);
                let told = told.filter(|(at, ..)| end < budgets::rolls(*budget, began, *at));
                texts.push(match told {
                    None => {
                        let share = say::ratio(budget.soft);
                        format!("on account of {whose}: less than {share} of its {name} was spent")
                    }
                    Some(&(at, level, spent)) => {
                        let next = budgets::rolls(*budget, began, at);
                        format!(
                            "on account of {whose}: its {name} {} since {}, with {} spent; the \
                             next period begins at {}",
                            budgets::used(*budget, level, spent),
                            say::clock(at),
                            budgets::amount(budget.unit, spent),
                            say::clock(next)
                        )
                    }
                });
            }
        }
        texts
    }
}
