//! Whose money goes where, as it goes.

use std::collections::{BTreeMap, VecDeque};

use router_core::{
    AttemptId, BudgetUnit, Call, Config, DeploymentId, End, Input, Level, Observation, Rejection,
    Request, RequestId, Time, Upstream, Usage,
};

use super::{Fold, bin_of};
use crate::spend::{Bill, Budgets, Charge, Crowd, NEWS, Purse, Purses, TRACKS, Track, UsedUp};
use crate::{Frame, Names, Part, Payers};

/// How many attempts that were dropped are remembered for late news of them: as many as eight
/// routers remember.
const DROPPED_MAX: usize = 8 * 1_024;

/// On whose account a call is, by [`Names::place`], and how it is labelled.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Whose {
    subjects: [u32; 4],
    properties: [u16; 4],
}

/// Where an attempt is charged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Account {
    pub(super) at: Time,
    pub(super) home: usize,
    pub(super) member: usize,
    pub(super) deployment: usize,
    pub(super) whose: Whose,
    /// Whether the other attempt of a hedged request outran it.
    pub(super) outrun: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Ledger {
    /// Where each kind's, then each property's purses begin, and how many of it have names.
    places: Vec<(usize, u32)>,
    kinds: Vec<Names>,
    /// Calls under way that are on somebody's account or labelled.
    open: BTreeMap<RequestId, Whose>,
    /// By kind: every subject without a name that called.
    crowds: Vec<Purses>,
    budgets: Budgets,
    /// The period that each track is in, and what is spent in it.
    periods: Vec<(u64, u64)>,
    /// What a provider has just told of an attempt.
    told: Option<(AttemptId, Usage)>,
    /// Attempts that are charged what was seen of them, oldest first.
    dropped: VecDeque<(AttemptId, Account, Bill)>,
}

impl Ledger {
    pub(super) fn new(config: &Config, frame: &Frame, bins: usize) -> Self {
        let payers = &frame.payers;
        let named = payers.all().map(|names| names.names.len() as u32);
        let tracks = tracks(config, payers, bins);
        Self {
            places: payers.starts().into_iter().zip(named).collect(),
            kinds: payers.kinds.clone(),
            open: BTreeMap::new(),
            crowds: vec![Purses::default(); payers.kinds.len()],
            periods: vec![(0, 0); tracks.len()],
            budgets: Budgets {
                tracks,
                began: config.router().periods_began.as_nanos(),
                ..Budgets::default()
            },
            told: None,
            dropped: VecDeque::new(),
        }
    }

    pub(super) fn finish(self) -> (Vec<Crowd>, Budgets) {
        (self.crowds.into_iter().map(Crowd::of).collect(), self.budgets)
    }

    /// What comes is the consequence of `input`.
    #[inline]
    pub(super) fn hear(&mut self, input: &Input) {
        self.told = match input {
            Input::Upstream(attempt, Upstream::Complete(usage)) => Some((*attempt, *usage)),
            Input::Upstream(attempt, Upstream::Fail(failure)) => {
                failure.usage.map(|usage| (*attempt, usage))
            }
            Input::Upstream(
                _,
                Upstream::Connected
                | Upstream::Headers(_)
                | Upstream::FirstToken
                | Upstream::Progress(_),
            )
            | Input::Submit(_)
            | Input::Cancel(_)
            | Input::Tick
            | Input::Reconfigure(_)
            | Input::Peers(_)
            | Input::Drain => None,
        };
    }

    /// What was just told of an attempt.
    pub(super) fn told(&self, attempt: AttemptId) -> Option<Usage> {
        self.told.filter(|(told, _)| *told == attempt).map(|(_, usage)| usage)
    }

    /// Nobody told what an attempt used; perhaps somebody will.
    pub(super) fn remember(&mut self, attempt: AttemptId, account: Account, bill: Bill) {
        if self.dropped.len() == DROPPED_MAX {
            self.dropped.pop_front();
        }
        self.dropped.push_back((attempt, account, bill));
    }

    /// Where an attempt was charged for what was seen of it, and what; once.
    pub(super) fn recall(&mut self, attempt: AttemptId) -> Option<(Account, Bill)> {
        let place = self.dropped.iter().position(|(dropped, ..)| *dropped == attempt)?;
        self.dropped.remove(place).map(|(_, account, bill)| (account, bill))
    }

    /// On whose account a request is.
    pub(super) fn whose(&self, request: RequestId) -> Whose {
        if self.open.is_empty() {
            return Whose::default();
        }
        self.open.get(&request.call()).copied().unwrap_or_default()
    }

    pub(super) fn submitted(&mut self, request: &Request, part: &mut Part) {
        if self.places.is_empty() {
            return;
        }
        let Request { mut subjects, properties, .. } = *request;
        for (number, names) in subjects.iter_mut().zip(&self.kinds) {
            *number = names.place(*number);
        }
        let whose = Whose { subjects, properties };
        if whose != Whose::default() {
            self.open.insert(request.id.call(), whose);
        }
        self.each(whose, part, |purse| purse.submissions += 1);
    }

    /// A request was refused at once.
    pub(super) fn refused(&mut self, request: RequestId, why: Rejection, part: &mut Part) {
        let (kind, what) = match why {
            Rejection::Subject { kind, .. } => (usize::from(kind), 0),
            Rejection::Budget { kind, .. } => (usize::from(kind), 1),
            Rejection::Drain
            | Rejection::NoDeployment(_)
            | Rejection::Full
            | Rejection::Duplicate
            | Rejection::TooLong
            | Rejection::Accounts
            | Rejection::GroupFull
            | Rejection::QueueFull(_)
            | Rejection::QueueTimeout(_)
            | Rejection::Shed(_) => return,
        };
        if self.places.is_empty() {
            return;
        }
        let whose = self.whose(request);
        // Whoever else it is on account of has refused nothing.
        let own = |place: usize| place == kind || place >= self.kinds.len();
        for place in (0..self.places.len()).filter(|place| own(*place)) {
            let (start, named) = self.places[place];
            let number = whose.number(place, self.kinds.len());
            part.purses[start + number.min(named + 1) as usize].refused[what] += 1;
            if place < self.kinds.len() && number > named {
                self.crowds[place].of(number).refused[what] += 1;
            }
        }
    }

    /// A call is over, which arrived in `part`.
    pub(super) fn called(&mut self, call: &Call, part: &mut Part) {
        if self.places.is_empty() {
            return;
        }
        // Whose account a call is on that the router never sees, nobody says.
        let unseen = Whose { properties: call.properties, ..Whose::default() };
        let whose = self.open.remove(&call.id.call()).unwrap_or(unseen);
        let answered = call.end.is_answered();
        self.each(whose, part, |purse| {
            purse.calls += 1;
            purse.answered += u64::from(answered);
        });
    }

    /// An attempt is charged; `first` if for the first time.
    pub(super) fn charge(&mut self, whose: Whose, charge: Charge, first: bool, part: &mut Part) {
        if self.places.is_empty() {
            return;
        }
        self.each(whose, part, |purse| {
            purse.attempts += u64::from(first);
            charge.purse(purse);
        });
    }

    /// The same, for whose budgets are followed: `now`, in `bin`, for an attempt that ended at `at`.
    /// As the router does, it charges late news to the present period, and gives back only what
    /// was charged within it.
    pub(super) fn spend(
        &mut self,
        (whose, at): (Whose, Time),
        charge: Charge,
        (now, bin): (Time, Option<usize>),
    ) {
        let began = self.budgets.began;
        for (track, (period, spent)) in self.budgets.tracks.iter_mut().zip(&mut self.periods) {
            if whose.subjects[track.kind] != track.number {
                continue;
            }
            let budget = track.budget;
            let index = |at: Time| (at.as_nanos() + began) / budget.period.as_nanos();
            let passed = index(now) - *period;
            if passed > 0 {
                let paid = budget.amount.saturating_mul(passed);
                *spent = if budget.hard { spent.saturating_sub(paid) } else { 0 };
                *period += passed;
            }
            let worth = |bill: &Bill| match budget.unit {
                BudgetUnit::Usd => u64::try_from(bill.pico).unwrap_or(u64::MAX),
                BudgetUnit::Tokens => {
                    u64::from(bill.usage.input_tokens) + u64::from(bill.usage.output_tokens)
                }
            };
            let (from, to) = (worth(&charge.from), worth(&charge.to));
            if to >= from {
                *spent = spent.saturating_add(to - from);
            } else if index(at) == *period {
                *spent = spent.saturating_sub(from - to);
            }
            if let Some(bin) = bin {
                track.spent[bin] = Some(*spent);
            }
        }
    }

    /// A budget was used up, or is about to be.
    #[cold]
    pub(super) fn used_up(&mut self, at: Time, config: &Config, observation: &Observation) {
        let Observation::Budget { kind, subject: number, budget: index, level, spent } =
            *observation
        else {
            return;
        };
        let (kind, index) = (usize::from(kind), usize::from(index));
        let budgets = config.policy(kind, number).map(|policy| policy.budgets.as_slice());
        let Some(budget) = budgets.unwrap_or_default().get(index).copied() else { return };
        self.budgets.times[match level {
            Level::Soft => 0,
            Level::Hard => 1,
        }] += 1;
        if self.budgets.news.len() < NEWS {
            let number = self.kinds.get(kind).map_or(number, |names| names.place(number));
            self.budgets.news.push(UsedUp { at, kind, number, index, budget, level, spent });
        }
    }

    /// Every purse that a call of `whose` is counted in.
    fn each(&mut self, whose: Whose, part: &mut Part, count: impl Fn(&mut Purse)) {
        for (place, &(start, named)) in self.places.iter().enumerate() {
            let number = whose.number(place, self.kinds.len());
            count(&mut part.purses[start + number.min(named + 1) as usize]);
            if number > named && place < self.kinds.len() {
                count(self.crowds[place].of(number));
            }
        }
    }
}

impl Fold {
    /// An attempt is over, and charged `usage`.
    pub(super) fn bill(
        &mut self,
        (attempt, end): (AttemptId, End),
        (home, member, deployment): (usize, usize, DeploymentId),
        usage: Usage,
        outrun: bool,
    ) {
        let account = Account {
            at: self.cursor.now,
            home,
            member,
            deployment: deployment.index(),
            whose: self.ledger.whose(attempt.request),
            outrun,
        };
        let pico = u128::from(self.prices[deployment.index()].of(usage));
        let estimated = end != End::Answered && self.ledger.told(attempt).is_none();
        let bill = Bill { usage, pico, estimated };
        if bill.estimated {
            self.ledger.remember(attempt, account, bill);
        }
        self.charge(&account, Charge { from: Bill::default(), to: bill }, true);
    }

    /// An attempt is charged, or charged anew, where and when it ended. It is almost always the
    /// former, and the latter's differences are not worth their time then.
    #[inline(always)]
    fn charge(&mut self, to: &Account, charge: Charge, first: bool) {
        let part = self.segments.at(to.at);
        let group = &mut part.groups[to.home];
        charge.cost(&mut group.cost_pico);
        charge.estimated(&mut group.estimated_pico);
        let attempts = &mut part.deployments[to.deployment];
        charge.cost(&mut attempts.cost_pico);
        charge.estimated(&mut attempts.estimated_pico);
        charge.input(&mut attempts.input_tokens);
        charge.cached(&mut attempts.cached_tokens);
        charge.output(&mut attempts.output_tokens);
        let member = &mut part.memberships[to.member];
        charge.cost(&mut member.cost_pico);
        charge.input(&mut member.input_tokens);
        charge.cached(&mut member.cached_tokens);
        if to.outrun {
            charge.cost(&mut member.outrun.cost_pico);
            charge.input(&mut member.outrun.input_tokens);
            charge.output(&mut member.outrun.output_tokens);
        }
        self.ledger.charge(to.whose, charge, first, part);
        let bin =
            if to.at == self.cursor.now { self.cursor.bin } else { bin_of(&self.figures, to.at) };
        if let Some(bin) = bin {
            charge.cost(&mut self.figures.bins[bin].deployments[to.deployment].cost_pico);
        }
        let now = (self.cursor.now, self.cursor.bin);
        self.ledger.spend((to.whose, to.at), charge, now);
    }

    /// Late news told what an attempt used that was charged what was seen of it.
    #[cold]
    pub(super) fn correct(&mut self, attempt: AttemptId) {
        let Some(usage) = self.ledger.told(attempt) else { return };
        let Some((account, from)) = self.ledger.recall(attempt) else { return };
        let pico = u128::from(self.prices[account.deployment].of(usage));
        self.charge(&account, Charge { from, to: Bill { usage, pico, estimated: false } }, false);
    }
}

impl Whose {
    /// The number at a place among so many kinds, then properties.
    fn number(&self, place: usize, kinds: usize) -> u32 {
        match place.checked_sub(kinds) {
            None => self.subjects[place],
            Some(place) => self.properties[place].into(),
        }
    }
}

/// The budgets that are followed over time.
fn tracks(config: &Config, payers: &Payers, bins: usize) -> Vec<Track> {
    let named =
        payers.kinds.iter().enumerate().flat_map(|(kind, names)| {
            (1..=names.names.len() as u32).map(move |number| (kind, number))
        });
    let budgets = named.flat_map(|(kind, number)| {
        let policy = config.policy(kind, number);
        let budgets = policy.map(|policy| policy.budgets.clone()).unwrap_or_default();
        budgets.into_iter().map(move |budget| (kind, number, budget))
    });
    let spent = || vec![None; bins];
    let track = |(kind, number, budget)| Track { kind, number, budget, spent: spent() };
    budgets.take(TRACKS).map(track).collect()
}

#[cfg(test)]
mod tests;
