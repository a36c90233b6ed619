//! Weights that hold over time: who could not serve catches up.
//!
//! Smooth weighted round robin (nginx's): at each selection every member earns its share, the one
//! with the most credit serves, and pays what all have earned. Credits sum to zero, so a member
//! that earns while it cannot serve is owed by those that serve for it.

use alloc::vec::Vec;

use super::{Choice, bits};
use crate::breaker::SHARE_FULL;
use crate::router::Router;
use crate::{BreakerMode, Config, Group, GroupId};

/// How many selections a member is owed at most, and how many one owes when its group stops
/// lending.
const CREDIT_MAX: i64 = 100;

/// By group, then member: selections owed to it, times the shares of all.
#[derive(Clone, Debug)]
pub(crate) struct Credits(Vec<Vec<i64>>);

impl Credits {
    /// Nobody owes anything.
    pub(crate) fn new(config: &Config) -> Self {
        let groups = config.groups().iter();
        Self(groups.map(|group| alloc::vec![0; group.members.len()]).collect())
    }

    /// Another configuration takes over: in a group with other members, tiers, weights or strategy
    /// nobody owes anything.
    #[cold]
    pub(crate) fn revise(&mut self, last: &Config, next: &Config) {
        let terms = |group: &Group| {
            let members = group.members.iter().map(|m| (m.deployment, m.weight, m.tier));
            (group.strategy, group.present, members.collect::<Vec<_>>())
        };
        self.0.resize(next.groups().len(), Vec::new());
        for (index, (account, after)) in self.0.iter_mut().zip(next.groups()).enumerate() {
            if last.groups().get(index).map(terms) != Some(terms(after)) {
                *account = alloc::vec![0; after.members.len()];
            }
        }
    }

    /// The accounts of every group in which something is owed.
    pub(crate) fn open(&self) -> impl Iterator<Item = (usize, &[i64])> {
        let groups = self.0.iter().enumerate();
        groups
            .filter(|(_, group)| group.iter().any(|credit| *credit != 0))
            .map(|(index, group)| (index, group.as_slice()))
    }

    /// The accounts of one group.
    pub(crate) fn of_mut(&mut self, group: usize) -> &mut [i64] {
        &mut self.0[group]
    }
}

impl Router {
    /// The eligible member with the most credit; ties at random. `absent` would serve as well,
    /// were it not for a rest, a breaker or a limit.
    #[inline(never)]
    pub(super) fn catching_up(&mut self, choice: Choice<'_>, absent: u64) -> usize {
        let mut shares = [0; 64];
        for member in bits(choice.eligible | absent) {
            shares[member] = self.share(choice.group, member) as i64;
        }
        let ramping = self.ramping(choice.group, choice.eligible);
        let account = self.credits.of_mut(choice.group.index());
        let all: i64 = shares.iter().sum();
        let lends = bits(choice.eligible).all(|m| account[m] > -CREDIT_MAX * all);
        let earns = |member: &usize| lends && account[*member] < CREDIT_MAX * all;
        let absent = bits(absent).filter(earns).fold(0, |mask, member| mask | 1 << member);
        let round: i64 = bits(choice.eligible | absent).map(|member| shares[member]).sum();
        for member in bits(choice.eligible | absent) {
            account[member] += shares[member];
        }
        // A member that recovers is owed one selection at most: it is to start slowly.
        for member in bits(ramping) {
            forgive(account, member, round);
        }
        let most = bits(choice.eligible).map(|member| account[member]).max();
        let richest = bits(choice.eligible).filter(|member| Some(account[*member]) == most);
        let richest = richest.fold(0, |mask, member| mask | 1 << member);
        let chosen = self.any(choice.among(richest));
        self.credits.of_mut(choice.group.index())[chosen] -= round;
        chosen
    }

    /// Which of `members` have less than their full share.
    fn ramping(&self, group: GroupId, members: u64) -> u64 {
        let ramps = bits(members).filter(|member| {
            let mode = self.config.group(group).members[*member].breaker;
            mode == BreakerMode::Enforce && self.ramp(group, *member) < SHARE_FULL
        });
        ramps.fold(0, |mask, member| mask | 1 << member)
    }
}

/// Lowers a member's credit to `most`. The others' debts go down by as much, in proportion.
fn forgive(account: &mut [i64], member: usize, most: i64) {
    let excess = i128::from(account[member] - most);
    let debts: i128 = account.iter().map(|credit| i128::from(*credit).min(0)).sum();
    if excess <= 0 || debts == 0 {
        return;
    }
    account[member] = most;
    let forgiven = excess.min(-debts);
    let mut left = forgiven;
    for credit in account.iter_mut().filter(|credit| **credit < 0) {
        // As much of its own debt as all are forgiven of theirs: never more than it owes.
        let part = i128::from(*credit) * forgiven / debts;
        *credit += part as i64;
        left -= part;
    }
    // What rounding has left over goes to those who still owe something.
    for credit in account.iter_mut().filter(|credit| **credit < 0) {
        let part = left.min(-i128::from(*credit));
        *credit += part as i64;
        left -= part;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_forgiven_is_forgiven_in_proportion() {
        let mut account = [900, -600, -300, 0];
        forgive(&mut account, 0, 300);
        assert_eq!(account, [300, -200, -100, 0]);
        forgive(&mut account, 0, 300);
        assert_eq!(account, [300, -200, -100, 0]);
    }

    #[test]
    fn what_does_not_divide_is_forgiven_all_the_same() {
        let mut account = [20, -7, -7, -6];
        forgive(&mut account, 0, 10);
        assert_eq!((account[0], account.iter().sum::<i64>()), (10, 0), "{account:?}");
        assert!(account[1..].iter().all(|credit| (-4..=-2).contains(credit)), "{account:?}");
    }

    #[test]
    fn nobody_is_forgiven_more_than_it_owes() {
        let mut account = [900, -50, 7];
        forgive(&mut account, 0, 300);
        assert_eq!(account, [300, 0, 7]);
    }
}
