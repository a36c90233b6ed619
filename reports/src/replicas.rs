//! What became of the replicas of the router.

use crate::words::{count, dollars};
use crate::{Figures, Shared};

/// Several routers over one set of limits.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Replicas {
    /// How many there are.
    pub count: u16,
    /// What they told each other: messages of one to all others that arrived, and that did not.
    pub delivered: u64,
    /// See [`Self::delivered`].
    pub lost: u64,
    /// For each limit on requests, by name, the most that all together sent in any window beyond
    /// its burst and what its rate grants in that time.
    pub overshoot: Vec<(String, u64)>,
    /// The same of each limit on tokens.
    pub tokens: Vec<(String, u64)>,
    /// For each subject with a budget of dollars, the most pico-dollars beyond it.
    pub money: Vec<(String, u64)>,
    /// The same of budgets of tokens.
    pub budget_tokens: Vec<(String, u64)>,
}

impl Replicas {
    /// The worst of all limits or budgets.
    pub(crate) fn worst(&self, shared: Shared) -> Option<&(String, u64)> {
        let all = match shared {
            Shared::Requests => &self.overshoot,
            Shared::Tokens => &self.tokens,
            Shared::Money => &self.money,
            Shared::BudgetTokens => &self.budget_tokens,
        };
        // Of equals the first.
        all.iter().rev().max_by_key(|(_, most)| *most)
    }
}

/// A line for the summary, if there were several.
pub(crate) fn fact(figures: &Figures) -> Option<String> {
    let replicas = figures.replicas.as_ref()?;
    let told = match (replicas.delivered, replicas.lost) {
        (0, 0) => "told each other nothing".to_owned(),
        (delivered, 0) => format!("{} messages arrived", count(delivered)),
        (delivered, lost) => {
            format!("{} messages arrived, {} did not", count(delivered), count(lost))
        }
    };
    let requests = match replicas.worst(Shared::Requests) {
        None => "no limit on requests".to_owned(),
        Some((_, 0)) => "no limit on requests was overshot".to_owned(),
        Some((name, 1)) => format!("`{name}` was overshot by 1 request"),
        Some((name, most)) => format!("`{name}` was overshot by {} requests", count(*most)),
    };
    let others = [Shared::Tokens, Shared::Money, Shared::BudgetTokens].into_iter();
    let others = others.filter_map(|shared| {
        let (name, most) = replicas.worst(shared).filter(|(_, most)| *most > 0)?;
        Some(match shared {
            Shared::Requests | Shared::Tokens => {
                format!(", `{name}` by {} tokens", count(*most))
            }
            Shared::Money => format!(", the budget of `{name}` by {}", dollars((*most).into())),
            Shared::BudgetTokens => {
                format!(", the budget of `{name}` by {} tokens", count(*most))
            }
        })
    });
    let others: String = others.collect();
    Some(format!("{}: {told}; {requests}{others}", count(replicas.count.into())))
}
