//! The application between the users and the gateway: replicas, each with so many connections,
//! which a call holds until it is over.
//!
//! A liveness probe waits for a connection like any call. A slow provider therefore fills every
//! replica with calls that wait for it, the probes starve, the replicas are restarted with all
//! that was under way on them, and those that are left take the whole load: one provider takes
//! down what never spoke to it.

use std::collections::{BTreeMap, VecDeque};

use router_core::{Counter, Key, RequestId, Time};

use crate::agenda::{Agenda, Due};
use crate::plan::Application;

/// Which of a client's draws: to which replica a call goes.
const REPLICA: u32 = 3;

/// What became of the application over a run.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct AppLog {
    /// Every restart, in order of time: when, and of which replica.
    pub restarts: Vec<(Time, u16)>,
    /// Calls that no replica could take: when.
    pub refused: Vec<Time>,
    /// Calls that died with a replica: when.
    pub cut: Vec<Time>,
}

/// What is to be done for a call that the application let go on, or let down.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Turn {
    /// It has a connection now.
    Goes(RequestId),
    /// Its replica is gone.
    Dies(RequestId),
}

/// What the application makes of an arrival.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Entry {
    /// It has a connection.
    Goes,
    /// It waits for one.
    Waits,
    /// Nobody has room for it.
    Refused,
}

#[derive(Clone, Debug)]
pub(crate) struct App {
    plan: Application,
    key: Key,
    replicas: Vec<Replica>,
    /// Where each call is that is not over.
    home: BTreeMap<RequestId, u16>,
    /// What the world is to do next, at this very instant.
    pub(crate) turns: VecDeque<Turn>,
    pub(crate) log: AppLog,
}

#[derive(Clone, Debug, Default)]
struct Replica {
    down: bool,
    /// Connections in use.
    busy: u32,
    line: VecDeque<Waiting>,
    /// Probes in a row that failed.
    failures: u32,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Waiting {
    Call(RequestId),
    /// And since when.
    Probe(Time),
}

/// What the agenda holds for a replica.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Event {
    Probe,
    ProbeFails,
    Back,
}

/// An event's replica and kind in one payload.
const fn due(event: Event, replica: u16) -> Due {
    Due::App((replica as u32) << 2 | event as u32)
}

impl App {
    pub(crate) fn new(plan: Application, key: Key, agenda: &mut Agenda) -> Self {
        if let Some(probe) = plan.probe {
            // They were not all started at the same instant.
            for replica in 0..plan.replicas {
                let share = u64::from(replica) + 1;
                let at = probe.every.scale(share, plan.replicas.into());
                agenda.schedule(Time::ZERO + at, due(Event::Probe, replica));
            }
        }
        Self {
            plan,
            key,
            replicas: vec![Replica::default(); plan.replicas.into()],
            home: BTreeMap::new(),
            turns: VecDeque::new(),
            log: AppLog::default(),
        }
    }

    /// A call arrives: it goes to one of the replicas that are up, at random.
    pub(crate) fn enter(&mut self, now: Time, call: RequestId) -> Entry {
        let up = self.replicas.iter().filter(|replica| !replica.down).count() as u64;
        if up == 0 {
            self.log.refused.push(now);
            return Entry::Refused;
        }
        let counter = Counter { request: call.as_u64(), index: REPLICA, ..Counter::default() };
        let drawn = self.key.below(up, counter) as usize;
        let mut all = self.replicas.iter_mut().enumerate().filter(|(_, replica)| !replica.down);
        let (index, replica) = all.nth(drawn).expect("one of those that are up");
        let entry = if replica.busy < self.plan.pool {
            replica.busy += 1;
            Entry::Goes
        } else if replica.line.len() < self.plan.backlog as usize {
            replica.line.push_back(Waiting::Call(call));
            Entry::Waits
        } else {
            self.log.refused.push(now);
            return Entry::Refused;
        };
        self.home.insert(call, index as u16);
        entry
    }

    /// A call is over, however it ended: its connection, or its place in line, is free.
    pub(crate) fn leave(&mut self, call: RequestId) {
        let Some(index) = self.home.remove(&call) else { return };
        let replica = &mut self.replicas[usize::from(index)];
        match replica.line.iter().position(|&waiting| waiting == Waiting::Call(call)) {
            Some(place) => {
                replica.line.remove(place);
            }
            None => replica.busy -= 1,
        }
        while replica.busy < self.plan.pool {
            match replica.line.pop_front() {
                None => break,
                Some(Waiting::Probe(_)) => replica.failures = 0,
                Some(Waiting::Call(next)) => {
                    replica.busy += 1;
                    self.turns.push_back(Turn::Goes(next));
                }
            }
        }
    }

    /// Something falls due on a replica.
    pub(crate) fn due(&mut self, now: Time, agenda: &mut Agenda, payload: u32) {
        let index = (payload >> 2) as u16;
        let replica = &mut self.replicas[usize::from(index)];
        match payload & 3 {
            kind if kind == Event::Back as u32 => replica.down = false,
            kind if kind == Event::Probe as u32 => {
                let Some(probe) = self.plan.probe else { return };
                agenda.schedule(now + probe.every, due(Event::Probe, index));
                if replica.down {
                    return;
                }
                if replica.busy < self.plan.pool {
                    replica.failures = 0;
                } else if replica.line.len() < self.plan.backlog as usize {
                    replica.line.push_back(Waiting::Probe(now));
                    agenda.schedule(now + probe.timeout, due(Event::ProbeFails, index));
                } else {
                    self.fail_probe(now, agenda, index);
                }
            }
            _ => {
                let Some(probe) = self.plan.probe else { return };
                let asked = Waiting::Probe(now - probe.timeout);
                if let Some(place) = replica.line.iter().position(|&waiting| waiting == asked) {
                    replica.line.remove(place);
                    self.fail_probe(now, agenda, index);
                }
            }
        }
    }

    fn fail_probe(&mut self, now: Time, agenda: &mut Agenda, index: u16) {
        let Some(probe) = self.plan.probe else { return };
        let replica = &mut self.replicas[usize::from(index)];
        replica.failures += 1;
        if replica.failures < probe.failures {
            return;
        }
        *replica = Replica { down: true, ..Replica::default() };
        agenda.schedule(now + self.plan.restart, due(Event::Back, index));
        self.log.restarts.push((now, index));
        let here = |(&call, &home): (&RequestId, &u16)| (home == index).then_some(call);
        let dying: Vec<RequestId> = self.home.iter().filter_map(here).collect();
        for call in dying {
            self.home.remove(&call);
            self.log.cut.push(now);
            self.turns.push_back(Turn::Dies(call));
        }
    }
}
