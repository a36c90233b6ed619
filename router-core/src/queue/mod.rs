//! Requests that nobody can take now, and who of them goes next.

mod heap;
mod lanes;
mod revise;
mod serve;

use alloc::vec;
use alloc::vec::Vec;

use lanes::TURN;
pub(crate) use lanes::{Kin, Lanes};

use crate::{Config, Group, GroupId, Time};

/// The queues of every group, and how many requests of each are on their way.
#[derive(Clone, Debug)]
pub(crate) struct Queues {
    of: Vec<Option<Lanes>>,
    /// By group asked for, the requests between first dispatch and end; kept only if some group
    /// bounds them.
    busy: Vec<u32>,
    counts: bool,
    /// The groups for which somebody waits.
    pub(crate) waiting: u64,
    /// Whether something happened that may let somebody go.
    pub(crate) stirred: bool,
    /// Unless something happens, nobody can go before.
    pub(crate) asleep: Time,
    /// How many times was looked for somebody who can go.
    pass: u64,
}

impl Queues {
    pub(crate) fn new(config: &Config) -> Self {
        let groups = config.groups().iter();
        let lanes = groups.map(|group| group.queue.map(|q| Lanes::new(q.size, q.order)));
        Self {
            of: lanes.collect(),
            busy: vec![0; config.groups().len()],
            counts: counts(config),
            waiting: 0,
            stirred: false,
            asleep: Time::MAX,
            pass: 0,
        }
    }

    /// Another configuration takes effect, under which so many requests of each group are on
    /// their way.
    fn revise(&mut self, config: &Config, busy: impl Iterator<Item = GroupId>) {
        self.counts = counts(config);
        self.of.resize_with(config.groups().len(), || None);
        self.busy.clear();
        self.busy.resize(config.groups().len(), 0);
        busy.for_each(|group| self.busy[group.index()] += 1);
        self.stirred = true;
    }

    /// A request of a group was dispatched for the first time.
    pub(crate) fn set_out(&mut self, home: GroupId) {
        if self.counts {
            self.busy[home.index()] += 1;
        }
    }

    /// A request that had set out is over.
    pub(crate) fn come_home(&mut self, home: GroupId) {
        if self.counts {
            self.busy[home.index()] -= 1;
        }
    }

    /// Whether somebody waits for a group.
    pub(crate) const fn waits_for(&self, group: GroupId) -> bool {
        self.waiting & 1 << group.index() != 0
    }

    /// Whether as many requests of a group are on their way as may be.
    pub(crate) fn is_full(&self, id: GroupId, group: &Group) -> bool {
        self.busy[id.index()] >= group.in_flight
    }

    pub(crate) fn of(&self, group: GroupId) -> Option<&Lanes> {
        self.of[group.index()].as_ref()
    }

    pub(crate) fn of_mut(&mut self, group: GroupId) -> &mut Lanes {
        self.of[group.index()].as_mut().expect("who waits has a queue to wait in")
    }

    /// Every queue there is.
    pub(crate) fn all(&self) -> impl Iterator<Item = (GroupId, &Lanes)> {
        let queues = self.of.iter().enumerate();
        queues.filter_map(|(group, lanes)| Some((GroupId::at(group), lanes.as_ref()?)))
    }
}

/// What a turn costs the lane of a subject of the kind that takes turns.
fn turn(config: &Config, fair: Option<u8>, subject: u32) -> u64 {
    TURN / u64::from(fair.map_or(1, |kind| config.weight(kind, subject)))
}

fn counts(config: &Config) -> bool {
    config.groups().iter().any(|group| group.in_flight < u32::MAX)
}
