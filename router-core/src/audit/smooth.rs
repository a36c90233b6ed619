//! What `weighted` with `catch_up` owes to whom.
//!
//! The books of credit are kept by what the router did, and say whom it had to choose: the eligible
//! member to whom most is owed. They are closed where they cannot tell who was held up, until a
//! revision opens them anew.

use alloc::vec::Vec;

use super::choice::Choice;
use super::chosen::{Field, Judged, Ties, bits};
use super::flight::Flight;
use super::health::enforced;
use super::{Answer, Auditor};
use crate::{Config, Group, GroupId, Reason, Strategy};

/// Selections that one is owed, or owes, before a group lends no more.
const MOST: i128 = 100;
/// A breaker's whole share.
const WHOLE: u64 = 1024;

/// By group, what is owed to each of its members; `None` once that is not known any more.
#[derive(Clone, Debug)]
pub(super) struct Credits(Vec<Option<Vec<i128>>>);

impl Credits {
    pub(super) fn new(config: &Config) -> Self {
        Self(config.groups().iter().map(|group| Some(nothing(group))).collect())
    }

    /// The account of a group, to be put back; none where weights do not hold over time.
    pub(super) fn take(&mut self, config: &Config, group: GroupId) -> Option<Vec<i128>> {
        self.0[group.index()].take_if(|_| catches_up(config.group(group)))
    }

    pub(super) fn put(&mut self, config: &Config, group: GroupId, account: Option<Vec<i128>>) {
        if catches_up(config.group(group)) {
            self.0[group.index()] = account;
        }
    }

    /// Who has other members, weights, tiers or another strategy owes nothing any more.
    pub(super) fn reconfigure(&mut self, last: &Config, next: &Config) {
        let terms = |group: &Group| {
            let members = group.members.iter().map(|m| (m.deployment, m.weight, m.tier));
            (group.strategy, group.present, members.collect::<Vec<_>>())
        };
        self.0.resize(next.groups().len(), None);
        for (place, group) in next.groups().iter().enumerate() {
            let before = last.groups().get(place);
            if before.is_none_or(|before| terms(before) != terms(group)) {
                self.0[place] = Some(nothing(group));
            }
        }
    }
}

/// Whether a group's weights hold over time.
fn catches_up(group: &Group) -> bool {
    group.strategy == (Strategy::Weighted { catch_up: true })
}

fn nothing(group: &Group) -> Vec<i128> {
    group.members.iter().map(|_| 0).collect()
}

impl Auditor {
    /// Whether who is chosen is who is owed most; settles the account of its group, which is left
    /// empty where that is not known.
    pub(super) fn is_owed(
        &self,
        flight: &Flight,
        choice: &Choice,
        books: &mut Option<Vec<i128>>,
    ) -> Judged {
        let mut account = books.take()?;
        let field = self.field(flight, choice)?;
        let held_up = self.held_up(field)?;
        let group = field.group;
        let shares: Vec<i128> =
            (0..account.len()).map(|member| self.share(field, member).into()).collect();
        let sum = |members: u64| bits(members).map(|member| shares[member]).sum::<i128>();
        let limit = MOST * sum(field.eligible | held_up);
        let lends = bits(field.eligible).all(|member| account[member] > -limit);
        let earns = bits(held_up).filter(|&member| lends && account[member] < limit);
        let round = earns.fold(field.eligible, |round, member| round | 1 << member);
        for member in bits(round) {
            account[member] += shares[member];
        }
        let due = sum(round);
        let known = self.config.group(group);
        for member in bits(field.eligible) {
            let ramp = self.health.ramp(known, group, member, flight.at);
            if enforced(known, member).is_some() && ramp < WHOLE && account[member] > due {
                forgive(&mut account, member, due);
            }
        }
        let most = bits(field.eligible).map(|member| account[member]).max().unwrap_or(0);
        let tied = bits(field.eligible).filter(|&member| account[member] == most);
        let tied = tied.fold(0_u64, |mask, member| mask | 1 << member);
        account[field.chosen] -= due;
        *books = Some(account);
        if field.eligible == 1 << field.chosen {
            return None;
        }
        if tied & 1 << field.chosen == 0 {
            return Some(Err(field.lost(tied.trailing_zeros() as usize, "what is owed")));
        }
        self.is_drawn(Field { eligible: tied, ..field }, Ties::Alike).or(Some(Ok(())))
    }

    /// Who would be chosen among, were it not for a rest, a breaker or a limit; `None` if that
    /// cannot be told. What the router said of them decides where the books are open.
    fn held_up(&self, field: Field<'_>) -> Option<u64> {
        let Field { flight, group, eligible, .. } = field;
        let members = &self.config.group(group).members;
        let tier = bits(eligible).next().map(|member| members[member].tier);
        let tried = if group == flight.group { flight.tried } else { 0 };
        let told = flight.selected.map(|selected| selected.held_up);
        let mut held_up = 0;
        for (index, member) in self.config.group(group).present() {
            let bit = 1 << index;
            let beside = member.weight > 0 && Some(member.tier) == tier && tried & bit == 0;
            let never = self.unfit(flight, group, index).is_some()
                || flight.barred.contains(&member.deployment);
            if !beside || never || eligible & bit != 0 {
                continue;
            }
            let out = self.could(flight, group, index, flight.at).not();
            match (out.and(self.affords(flight, member.deployment, flight.at)), told) {
                (Answer::Yes, _) => held_up |= bit,
                (Answer::No, _) => {}
                // A hedge says nothing of those that it does not go to.
                (Answer::Maybe, Some(told)) if flight.live.is_none() => held_up |= told & bit,
                (Answer::Maybe, _) => return None,
            }
        }
        Some(held_up)
    }
}

/// Whether a reason to be excluded passes by itself.
pub(super) const fn passes(reason: Reason) -> bool {
    match reason {
        Reason::Cooling | Reason::Open | Reason::Limit | Reason::Parallel => true,
        Reason::Disabled
        | Reason::Tags
        | Reason::Region
        | Reason::Context
        | Reason::Budget
        | Reason::Barred
        | Reason::Weight
        | Reason::Tried
        | Reason::Tier => false,
    }
}

/// A member is owed `most` and no more: what the others owe goes down by as much, each by its part
/// of all debts, rounded down; what that leaves goes to the first who owe anything.
fn forgive(account: &mut [i128], member: usize, most: i128) {
    let debts: Vec<i128> = account.iter().map(|credit| (-credit).max(0)).collect();
    let all: i128 = debts.iter().sum();
    if all == 0 {
        return;
    }
    let forgiven = (account[member] - most).min(all);
    account[member] = most;
    let parts: Vec<i128> = debts.iter().map(|debt| debt * forgiven / all).collect();
    let mut rest = forgiven - parts.iter().sum::<i128>();
    for ((credit, debt), part) in account.iter_mut().zip(debts).zip(parts) {
        let more = rest.min(debt - part);
        *credit += part + more;
        rest -= more;
    }
}
