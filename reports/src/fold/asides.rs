//! What a request's later events must know of its earlier ones: of attempts out of the ordinary
//! while they run, and of waits in a group other than the one asked for. Ordinary requests leave
//! nothing here, so most of the time there is nothing to look up.

use std::collections::BTreeMap;

use router_core::{Abandon, AttemptId, Cause, Dispatch, End, GroupId, RequestId, Span, Time};

use crate::{Lost, Part};

#[derive(Clone, Debug, Default)]
pub(super) struct Asides {
    live: BTreeMap<AttemptId, Aside>,
    away: BTreeMap<RequestId, GroupId>,
}

/// An attempt that is not just a first one, a retry or a fallback.
#[derive(Clone, Copy, Debug)]
struct Aside {
    cause: Cause,
    sent: Time,
    /// Its place among memberships.
    member: usize,
    /// Of a hedge: whether the attempt beside it is over.
    alone: bool,
}

/// What the end of an attempt means beside itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ending {
    /// What the attempt was for, if that was out of the ordinary.
    cause: Option<Cause>,
    /// How much of it its call lost, should it have failed or been overtaken: what ran beside
    /// another attempt is not lost twice.
    lost: Span,
    /// Who won or lost, if it was dropped for the attempt beside it.
    race: Option<Race>,
}

/// How a hedged request's two attempts ended.
#[derive(Clone, Copy, Debug)]
enum Race {
    /// The hedge was first; it was sent to this membership.
    Won(usize),
    /// The hedge was dropped.
    Lost,
}

impl Asides {
    pub(super) fn dispatched(&mut self, dispatch: &Dispatch, member: usize, now: Time) {
        if !self.away.is_empty() {
            self.away.remove(&dispatch.attempt.request);
        }
        match dispatch.cause {
            Cause::Primary | Cause::Retry | Cause::Fallback | Cause::Degraded => {}
            Cause::Hedge | Cause::Probe | Cause::Standby | Cause::Panic => {
                let aside = Aside { cause: dispatch.cause, sent: now, member, alone: false };
                self.live.insert(dispatch.attempt, aside);
            }
        }
    }

    pub(super) fn ended(
        &mut self,
        attempt: AttemptId,
        end: End,
        elapsed: Span,
        now: Time,
    ) -> Ending {
        let mut ending = Ending { cause: None, lost: elapsed, race: None };
        if self.live.is_empty() {
            return ending;
        }
        let outrun = end == End::Abandoned(Abandon::Hedged);
        if let Some(own) = self.live.remove(&attempt) {
            ending.cause = Some(own.cause);
            if own.cause == Cause::Hedge {
                ending.lost = if own.alone { elapsed } else { Span::ZERO };
                ending.race = outrun.then_some(Race::Lost);
                return ending;
            }
        }
        // A hedge is always the attempt after the one that it was sent beside.
        let next = AttemptId { ordinal: attempt.ordinal.saturating_add(1), ..attempt };
        if let Some(hedge) = self.live.get_mut(&next).filter(|next| next.cause == Cause::Hedge) {
            hedge.alone = true;
            ending.lost = hedge
                .sent
                .since(Time::from_nanos(now.as_nanos().saturating_sub(elapsed.as_nanos())));
            ending.race = outrun.then_some(Race::Won(hedge.member));
        }
        ending
    }

    /// A request waits after an attempt in `group`, which it did not ask for.
    pub(super) fn waits_away(&mut self, request: RequestId, group: GroupId) {
        self.away.insert(request, group);
    }

    /// Where `request` waits, if that is not the group it asked for.
    pub(super) fn away(&self, request: RequestId) -> Option<GroupId> {
        self.away.get(&request).copied()
    }

    pub(super) fn finished(&mut self, request: RequestId) {
        if !self.away.is_empty() {
            self.away.remove(&request);
        }
    }
}

impl Ending {
    /// Whether the other one of its hedged request outran it.
    pub(super) const fn is_race(&self) -> bool {
        self.race.is_some()
    }

    /// Counts the attempt, on `member`, if so; its money is counted with all other.
    pub(super) fn count_race(&self, part: &mut Part, member: usize) {
        let Some(race) = self.race else { return };
        let outrun = &mut part.memberships[member].outrun;
        outrun.attempts += 1;
        match race {
            Race::Won(hedge) => {
                outrun.waited_ns = outrun.waited_ns.saturating_add(self.lost.as_nanos());
                part.memberships[hedge].hedges_won += 1;
            }
            Race::Lost => part.memberships[member].hedges_lost += 1,
        }
    }

    /// What the attempt cost its call, if it failed.
    pub(super) fn lost(&self) -> Lost {
        let dead_ns = self.lost.as_nanos();
        let lost = Lost { dead_ns, ..Lost::default() };
        match self.cause {
            Some(Cause::Probe) => Lost { probing_ns: dead_ns, ..lost },
            Some(Cause::Standby) => Lost { standby_ns: dead_ns, ..lost },
            Some(Cause::Panic) => Lost { panic_ns: dead_ns, ..lost },
            Some(
                Cause::Primary | Cause::Retry | Cause::Fallback | Cause::Hedge | Cause::Degraded,
            )
            | None => lost,
        }
    }
}
