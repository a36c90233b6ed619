//! What became of the replicas of the router.

use crate::Figures;
use crate::words::count;

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
}

impl Replicas {
    /// The worst of all limits.
    pub(crate) fn worst(&self) -> Option<&(String, u64)> {
        // Of equals the first.
        self.overshoot.iter().rev().max_by_key(|(_, most)| *most)
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
    let overshoot = match replicas.worst() {
        None => "no limit on requests".to_owned(),
        Some((_, 0)) => "no limit on requests was overshot".to_owned(),
        Some((name, 1)) => format!("`{name}` was overshot by 1 request"),
        Some((name, most)) => format!("`{name}` was overshot by {} requests", count(*most)),
    };
    Some(format!("{}: {told}; {overshoot}", count(replicas.count.into())))
}
