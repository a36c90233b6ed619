//! What became of one membership's attempts and of its breaker: a deployment may do well in one
//! group and badly in another.

use router_core::{Cause, FailureClass, FailureKind, GroupId, Turn};

use crate::{CAUSES, ExpectedShare, Figures, Part};

/// How many places [`Membership::failures`] has: every [`FailureClass`], and one for failures that
/// are final for their request and have no class.
pub const CLASSES: usize = FailureClass::ALL.len() + 1;
/// How many [`Turn`]s of a breaker there are.
pub const TURNS: usize = Turn::ALL.len();

/// The place of a failure in [`Membership::failures`].
pub const fn class_index(kind: FailureKind) -> usize {
    match kind.class() {
        Some(class) => class as usize,
        None => FailureClass::ALL.len(),
    }
}

/// Attempts of one member of a group and the turns of its breaker, by the instant of each.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Membership {
    /// Attempts dispatched, by [`Cause`].
    pub causes: [u64; CAUSES],
    /// Of those, not the first of their request and in the group of the one before, whatever
    /// their cause: what the retry budget pays for. Hedges are among them.
    pub retried: u64,
    /// Attempts answered in full.
    pub answered: u64,
    /// What all attempts cost, in pico-dollars.
    pub cost_pico: u128,
    /// Prompt tokens charged.
    pub input_tokens: u64,
    /// Of those, read from the provider's cache.
    pub cached_tokens: u64,
    /// Attempts that failed, by [`class_index`].
    pub failures: [u64; CLASSES],
    /// Of the hedges sent here, those that had their token before the attempt beside them.
    pub hedges_won: u64,
    /// Of the hedges sent here, those that the attempt beside them outran. (A hedge that
    /// failed, or whose other attempt failed, neither won nor lost.)
    pub hedges_lost: u64,
    /// Attempts dropped here since the other one of a hedged request was first.
    pub outrun: Outrun,
    /// How often its breaker opened and held, by [`Turn`].
    pub openings: [u64; TURNS],
    /// How often a breaker that only observes would have opened, by [`Turn`].
    pub observed: [u64; TURNS],
}

/// Attempts that lost to the other one of a hedged request: what hedging costs.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Outrun {
    /// How many.
    pub attempts: u64,
    /// Prompt tokens charged.
    pub input_tokens: u64,
    /// Completion tokens charged.
    pub output_tokens: u64,
    /// What they cost, in pico-dollars.
    pub cost_pico: u128,
    /// How long calls had waited for them before the hedge that won was sent, in nanoseconds.
    pub waited_ns: u64,
}

impl Membership {
    /// Attempts dispatched.
    pub fn dispatched(&self) -> u64 {
        self.causes.iter().sum()
    }

    /// Attempts dispatched for `cause`.
    pub const fn sent(&self, cause: Cause) -> u64 {
        self.causes[cause as usize]
    }

    /// How often its breaker opened and held.
    pub fn opened(&self) -> u64 {
        self.openings.iter().sum()
    }

    /// Adds everything that `other` counted.
    pub fn merge(&mut self, other: &Self) {
        add(&mut self.causes, &other.causes);
        self.retried += other.retried;
        self.answered += other.answered;
        self.cost_pico += other.cost_pico;
        self.input_tokens += other.input_tokens;
        self.cached_tokens += other.cached_tokens;
        add(&mut self.failures, &other.failures);
        self.hedges_won += other.hedges_won;
        self.hedges_lost += other.hedges_lost;
        self.outrun.attempts += other.outrun.attempts;
        self.outrun.input_tokens += other.outrun.input_tokens;
        self.outrun.output_tokens += other.outrun.output_tokens;
        self.outrun.cost_pico += other.outrun.cost_pico;
        self.outrun.waited_ns = self.outrun.waited_ns.saturating_add(other.outrun.waited_ns);
        add(&mut self.openings, &other.openings);
        add(&mut self.observed, &other.observed);
    }
}

impl Part {
    /// The sum over those memberships of `figures` that `belongs` takes.
    pub fn over(&self, figures: &Figures, belongs: impl Fn(&ExpectedShare) -> bool) -> Membership {
        let mut sum = Membership::default();
        for (member, counts) in figures.members.iter().zip(&self.memberships) {
            if belongs(member) {
                sum.merge(counts);
            }
        }
        sum
    }
}

/// What a membership is called: the deployment's name, with the group's if it is in several.
pub(crate) fn name(figures: &Figures, member: usize) -> String {
    let Some(place) = figures.members.get(member) else { return String::new() };
    let name = figures.deployments.get(place.deployment.index()).cloned().unwrap_or_default();
    let in_groups = figures.members.iter().filter(|m| m.deployment == place.deployment).count();
    match group(figures, place.group) {
        Some(group) if in_groups > 1 => format!("{name} ({group})"),
        Some(_) | None => name,
    }
}

fn group(figures: &Figures, group: GroupId) -> Option<&str> {
    figures.groups.get(group.index()).map(String::as_str)
}

fn add(mine: &mut [u64], theirs: &[u64]) {
    for (mine, theirs) in mine.iter_mut().zip(theirs) {
        *mine += theirs;
    }
}
