//! Who waits for one group, and in which order.
//!
//! Requests are nodes of doubly linked lists, one per lane; the lanes of one shelf (what asks for
//! the same tags and region) are a heap by whose turn it is, and all of them another by whose is
//! the longest. Everything is as large from the start as the queue may grow.

use alloc::vec;
use alloc::vec::Vec;

use super::heap::{Forest, NONE};
use crate::{Order, Span, Time};

/// What makes a lane.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Kin {
    pub(crate) class: u8,
    pub(crate) region: u16,
    pub(crate) subject: u32,
    pub(crate) tags: u64,
}

/// What a turn costs a lane of weight one. A clock of 64 bits takes 2^38 of them.
pub(crate) const TURN: u64 = 1 << 26;

#[derive(Clone, Copy, Debug)]
struct Node {
    slot: u32,
    lane: u32,
    before: u32,
    /// In a lane who follows; of a free node the next free one.
    after: u32,
}

/// Requests of the same kin. An empty one is remembered for a while, so that nobody gets ahead of
/// others by leaving a lane empty between two requests.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lane {
    pub(crate) kin: Kin,
    /// What a turn costs it.
    pub(crate) cost: u64,
    /// On its class's clock, when its next turn begins.
    pub(crate) start: u64,
    head: u32,
    tail: u32,
    pub(crate) len: u32,
    shelf: u32,
    /// The next lane of the same hash.
    alike: u32,
    /// Of an empty lane: who was emptied before and after it.
    older: u32,
    newer: u32,
}

/// Lanes that ask for the same tags and the same region.
#[derive(Clone, Copy, Debug)]
struct Shelf {
    tags: u64,
    region: u16,
    /// The lane whose turn it is.
    root: u32,
    /// The pass that found nobody for it.
    stuck: u64,
}

/// What is known of a class.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Class {
    pub(crate) waiting: u32,
    /// When the turn began that was taken last, and the latest that any lane's next one begins.
    pub(crate) clock: u64,
    pub(crate) latest: u64,
}

/// The queue of one group.
#[derive(Clone, Debug)]
pub(crate) struct Lanes {
    size: usize,
    order: Order,
    nodes: Vec<Node>,
    free: u32,
    pub(crate) lanes: Vec<Lane>,
    /// The empty lanes, in the order in which they became so.
    oldest: u32,
    newest: u32,
    /// By hash, the first of the lanes that have it.
    hashes: Vec<u32>,
    shelves: Vec<Shelf>,
    by_turn: Forest,
    by_length: Forest,
    longest: u32,
    pub(crate) classes: [Class; 8],
    /// How many turns were given out.
    pub(crate) sequence: u64,
    len: usize,
    /// When somebody left for an attempt, or the first came, and the mean time between two such.
    pub(crate) departed: Time,
    pub(crate) interval: Span,
}

impl Lanes {
    pub(crate) fn new(size: u32, order: Order) -> Self {
        let size = size as usize;
        let lanes = 2 * size;
        Self {
            size,
            order,
            nodes: Vec::with_capacity(size),
            free: NONE,
            lanes: Vec::with_capacity(lanes),
            oldest: NONE,
            newest: NONE,
            hashes: vec![NONE; lanes.next_power_of_two()],
            shelves: Vec::with_capacity(size),
            by_turn: Forest::with_capacity(lanes),
            by_length: Forest::with_capacity(lanes),
            longest: NONE,
            classes: [Class::default(); 8],
            sequence: 0,
            len: 0,
            departed: Time::ZERO,
            interval: Span::ZERO,
        }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) const fn is_full(&self) -> bool {
        self.len >= self.size
    }

    /// How many of a class and of more urgent ones wait.
    pub(crate) fn ahead(&self, class: u8) -> u32 {
        self.classes[..=usize::from(class)].iter().map(|class| class.waiting).sum()
    }

    /// The kin of a waiting request.
    pub(crate) fn kin(&self, place: u32) -> Kin {
        self.lanes[self.nodes[place as usize].lane as usize].kin
    }

    /// The last of all (see [`Self::victim`]), if more wait than there is room for: a revision
    /// left less.
    pub(crate) fn crowded_out(&self) -> Option<u32> {
        let longest = self.lanes.get(self.longest as usize)?;
        let last = self.nodes[longest.tail as usize].slot;
        (self.len > self.size).then_some(last)
    }

    /// Puts a request into its lane, which pays `cost` a turn, and tells its place. `precedes`
    /// says whether a waiting one's deadline is not after its own.
    pub(crate) fn join(
        &mut self,
        slot: u32,
        (kin, cost): (Kin, u64),
        now: Time,
        precedes: impl Fn(u32) -> bool,
    ) -> u32 {
        if self.is_empty() {
            self.departed = now;
        }
        let lane = self.lane(kin);
        let mut before = match self.order {
            Order::Lifo => NONE,
            Order::Fifo | Order::Deadline => self.lanes[lane as usize].tail,
        };
        while self.order == Order::Deadline && before != NONE {
            let node = self.nodes[before as usize];
            if precedes(node.slot) {
                break;
            }
            before = node.before;
        }
        let place = self.insert(slot, lane, before);
        self.len += 1;
        self.classes[usize::from(kin.class)].waiting += 1;
        let known = &mut self.lanes[lane as usize];
        known.cost = cost;
        if known.len == 1 {
            known.start = known.start.max(self.classes[usize::from(kin.class)].clock);
            self.revive(lane);
        } else {
            self.by_length.remove(&mut self.longest, lane);
        }
        self.measure(lane);
        place
    }

    /// Takes a request out, whether for an attempt (`served`) or for good.
    pub(crate) fn leave(&mut self, place: u32, served: bool) {
        let lane = self.nodes[place as usize].lane;
        self.unlink(place);
        self.len -= 1;
        let known = &mut self.lanes[lane as usize];
        let class = &mut self.classes[usize::from(known.kin.class)];
        class.waiting -= 1;
        if served {
            class.clock = class.clock.max(known.start);
            known.start = class.clock.saturating_add(known.cost);
            class.latest = class.latest.max(known.start);
        }
        if class.waiting == 0 {
            // Nobody owes a turn any more.
            class.clock = class.latest;
        }
        let (shelf, left) = (known.shelf as usize, known.len);
        self.by_length.remove(&mut self.longest, lane);
        if left > 0 {
            self.measure(lane);
        }
        if left == 0 || served {
            self.by_turn.remove(&mut self.shelves[shelf].root, lane);
        }
        if left == 0 {
            self.lay(lane);
        } else if served {
            self.queue_up(lane);
        }
    }

    /// Somebody left for an attempt: by and by the mean follows the last few intervals.
    pub(crate) fn note_departure(&mut self, now: Time) {
        let last = now.since(self.departed).as_nanos();
        let mean = self.interval.as_nanos();
        let next = if mean == 0 { last } else { mean - mean / 8 + last / 8 };
        (self.departed, self.interval) = (now, Span::from_nanos(next));
    }

    /// Who is to make room for a newcomer of this kin: of the least urgent class, of the lane that
    /// is the longest for its weight with the newcomer in it, the last; `None` if that is the
    /// newcomer. `precedes` is as in [`Self::join`].
    pub(crate) fn victim(
        &self,
        (kin, cost): (Kin, u64),
        precedes: impl Fn(u32) -> bool,
    ) -> Option<u32> {
        let longest = self.lanes.get(self.longest as usize)?;
        let own = self.find(kin).map(|lane| self.lanes[lane as usize]);
        let length = u64::from(own.map_or(0, |own| own.len) + 1) * cost;
        let longer = u64::from(longest.len) * longest.cost > length;
        if longest.kin.class > kin.class || longest.kin.class == kin.class && longer {
            return Some(self.nodes[longest.tail as usize].slot);
        }
        let last = self.nodes.get(own?.tail as usize).filter(|_| longest.kin.class == kin.class)?;
        let comes_last = match self.order {
            Order::Fifo => true,
            Order::Lifo => false,
            Order::Deadline => precedes(last.slot),
        };
        (!comes_last).then_some(last.slot)
    }

    /// Whether somebody waits whom a newcomer may not overtake: of its class or a more urgent one,
    /// who asks for the same tags and region, or for none.
    pub(crate) fn blocks(&self, kin: Kin) -> bool {
        self.shelves.iter().filter(|shelf| shelf.root != NONE).any(|shelf| {
            let ask = (shelf.tags, shelf.region);
            let first = self.lanes[shelf.root as usize].kin.class;
            first <= kin.class && (ask == (0, 0) || ask == (kin.tags, kin.region))
        })
    }

    /// Whose turn it is of those not found stuck in this pass: the request, and whether nothing
    /// may overtake it.
    pub(crate) fn first(&self, pass: u64) -> Option<(u32, bool)> {
        let open = self.shelves.iter().filter(|s| s.root != NONE && s.stuck != pass);
        let first = open.min_by_key(|shelf| self.by_turn.key(shelf.root))?;
        let head = self.lanes[first.root as usize].head;
        Some((self.nodes[head as usize].slot, first.tags == 0 && first.region == 0))
    }

    /// Nobody is there for the request at `place`, nor so for those that ask for the same.
    pub(crate) fn stick(&mut self, place: u32, pass: u64) {
        let lane = self.nodes[place as usize].lane;
        let shelf = self.lanes[lane as usize].shelf;
        self.shelves[shelf as usize].stuck = pass;
    }

    /// The requests of a lane, in order.
    pub(crate) fn slots(&self, lane: &Lane) -> impl Iterator<Item = u32> {
        let mut next = lane.head;
        core::iter::from_fn(move || {
            let node = self.nodes.get(next as usize)?;
            next = node.after;
            Some(node.slot)
        })
    }

    /// The turn of a lane that is not empty, among equals.
    pub(crate) fn turn(&self, lane: u32) -> u64 {
        self.by_turn.key(lane) as u64 & TURN_MASK
    }

    /// The empty lanes, oldest first.
    pub(crate) fn remembered(&self) -> impl Iterator<Item = u32> {
        let mut next = self.oldest;
        core::iter::from_fn(move || {
            let lane = self.lanes.get(next as usize)?;
            Some(core::mem::replace(&mut next, lane.newer))
        })
    }
}

/// How many bits of a key tell the turn among equals.
const TURN_BITS: u32 = 56;
const TURN_MASK: u64 = (1 << TURN_BITS) - 1;

/// The lists and heaps underneath.
impl Lanes {
    fn insert(&mut self, slot: u32, lane: u32, before: u32) -> u32 {
        let known = &mut self.lanes[lane as usize];
        known.len += 1;
        let after = match self.nodes.get(before as usize) {
            Some(node) => node.after,
            None => known.head,
        };
        let node = Node { slot, lane, before, after };
        let place = if self.free == NONE {
            self.nodes.push(node);
            (self.nodes.len() - 1) as u32
        } else {
            let place = self.free;
            self.free = core::mem::replace(&mut self.nodes[place as usize], node).after;
            place
        };
        match self.nodes.get_mut(before as usize) {
            Some(node) => node.after = place,
            None => known.head = place,
        }
        match self.nodes.get_mut(after as usize) {
            Some(node) => node.before = place,
            None => known.tail = place,
        }
        place
    }

    fn unlink(&mut self, place: u32) {
        let Node { lane, before, after, .. } = self.nodes[place as usize];
        let known = &mut self.lanes[lane as usize];
        known.len -= 1;
        match self.nodes.get_mut(before as usize) {
            Some(node) => node.after = after,
            None => known.head = after,
        }
        match self.nodes.get_mut(after as usize) {
            Some(node) => node.before = before,
            None => known.tail = before,
        }
        self.nodes[place as usize].after = core::mem::replace(&mut self.free, place);
    }

    const fn hash(&self, kin: Kin) -> usize {
        let small = (kin.class as u64) << 48 | (kin.region as u64) << 32 | kin.subject as u64;
        let mixed = (small ^ kin.tags.rotate_left(29)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (mixed >> 32) as usize & (self.hashes.len() - 1)
    }

    fn find(&self, kin: Kin) -> Option<u32> {
        let mut lane = self.hashes[self.hash(kin)];
        loop {
            let known = self.lanes.get(lane as usize)?;
            if known.kin == kin {
                return Some(lane);
            }
            lane = known.alike;
        }
    }

    /// The lane of this kin: a known one, a new one, or in place of the one emptied longest ago.
    fn lane(&mut self, kin: Kin) -> u32 {
        if let Some(lane) = self.find(kin) {
            return lane;
        }
        if self.lanes.len() < 2 * self.size || self.oldest == NONE {
            return self.open(kin);
        }
        let lane = self.oldest;
        self.forget(lane);
        self.lanes[lane as usize] = Lane::new(kin);
        self.enter(lane);
        lane
    }

    /// A new lane.
    fn open(&mut self, kin: Kin) -> u32 {
        let lane = self.lanes.len() as u32;
        self.by_turn.grow();
        self.by_length.grow();
        self.lanes.push(Lane::new(kin));
        self.enter(lane);
        lane
    }

    /// From here on a lane is found, and empty.
    fn enter(&mut self, lane: u32) {
        let hash = self.hash(self.lanes[lane as usize].kin);
        self.lanes[lane as usize].alike = core::mem::replace(&mut self.hashes[hash], lane);
        self.lay(lane);
    }

    /// Forgets an empty lane.
    fn forget(&mut self, lane: u32) {
        self.exhume(lane);
        let known = self.lanes[lane as usize];
        let hash = self.hash(known.kin);
        if self.hashes[hash] == lane {
            self.hashes[hash] = known.alike;
            return;
        }
        let mut other = self.hashes[hash];
        while self.lanes[other as usize].alike != lane {
            other = self.lanes[other as usize].alike;
        }
        self.lanes[other as usize].alike = known.alike;
    }

    /// An empty lane becomes the newest of them.
    fn lay(&mut self, lane: u32) {
        let newest = core::mem::replace(&mut self.newest, lane);
        let known = &mut self.lanes[lane as usize];
        (known.older, known.newer) = (newest, NONE);
        match self.lanes.get_mut(newest as usize) {
            Some(last) => last.newer = lane,
            None => self.oldest = lane,
        }
    }

    /// A lane is empty no more, or forgotten.
    fn exhume(&mut self, lane: u32) {
        let Lane { older, newer, .. } = self.lanes[lane as usize];
        match self.lanes.get_mut(older as usize) {
            Some(before) => before.newer = newer,
            None => self.oldest = newer,
        }
        match self.lanes.get_mut(newer as usize) {
            Some(after) => after.older = older,
            None => self.newest = older,
        }
    }

    /// A lane that was empty finds its shelf.
    fn revive(&mut self, lane: u32) {
        self.exhume(lane);
        let Kin { tags, region, .. } = self.lanes[lane as usize].kin;
        let same = |s: &Shelf| s.tags == tags && s.region == region;
        let known = self.shelves.iter().position(|shelf| shelf.root != NONE && same(shelf));
        let free = || self.shelves.iter().position(|shelf| shelf.root == NONE);
        let shelf = known.or_else(free).unwrap_or(self.shelves.len());
        if shelf == self.shelves.len() {
            self.shelves.push(Shelf { tags, region, root: NONE, stuck: 0 });
        } else if known.is_none() {
            self.shelves[shelf] = Shelf { tags, region, root: NONE, stuck: 0 };
        }
        self.lanes[lane as usize].shelf = shelf as u32;
        self.queue_up(lane);
    }

    /// A lane takes its place among those of its shelf.
    fn queue_up(&mut self, lane: u32) {
        self.sequence += 1;
        self.place(lane, self.sequence);
    }

    fn place(&mut self, lane: u32, turn: u64) {
        let Lane { kin, start, shelf, .. } = self.lanes[lane as usize];
        let key = u128::from(kin.class) << 120
            | u128::from(start) << TURN_BITS
            | u128::from(turn & TURN_MASK);
        self.by_turn.push(&mut self.shelves[shelf as usize].root, lane, key);
    }

    /// A lane takes its place by how long it is for its weight.
    fn measure(&mut self, lane: u32) {
        let Lane { kin, len, cost, .. } = self.lanes[lane as usize];
        let short = !(u64::from(len) * cost);
        let key = u128::from(!kin.class) << 120 | u128::from(short) << 32 | u128::from(lane);
        self.by_length.push(&mut self.longest, lane, key);
    }

    /// Puts back a lane that a snapshot tells of; lanes come in the order of their places.
    pub(crate) fn restore_lane(&mut self, kin: Kin, (cost, start): (u64, u64)) -> Option<u32> {
        self.find(kin).is_none().then(|| {
            let lane = self.open(kin);
            let known = &mut self.lanes[lane as usize];
            (known.cost, known.start) = (cost, start);
            lane
        })
    }

    /// Puts its requests, in their order, into a lane that was restored; tells their places.
    pub(crate) fn restore_slot(&mut self, lane: u32, slot: u32, turn: u64) -> Option<u32> {
        let known = self.lanes.get(lane as usize).filter(|_| !self.is_full())?;
        let (class, first) = (usize::from(known.kin.class), known.len == 0);
        let place = self.insert(slot, lane, known.tail);
        self.len += 1;
        self.classes[class].waiting += 1;
        if first {
            self.revive(lane);
            let shelf = self.lanes[lane as usize].shelf as usize;
            self.by_turn.remove(&mut self.shelves[shelf].root, lane);
            self.place(lane, turn);
        } else {
            self.by_length.remove(&mut self.longest, lane);
        }
        self.measure(lane);
        Some(place)
    }

    /// An empty lane that was restored becomes the newest of them.
    pub(crate) fn restore_memory(&mut self, lane: u32) -> Option<()> {
        self.lanes.get(lane as usize).filter(|known| known.len == 0)?;
        self.exhume(lane);
        self.lay(lane);
        Some(())
    }
}

impl Lane {
    const fn new(kin: Kin) -> Self {
        Self {
            kin,
            cost: TURN,
            start: 0,
            head: NONE,
            tail: NONE,
            len: 0,
            shelf: NONE,
            alike: NONE,
            older: NONE,
            newer: NONE,
        }
    }
}
