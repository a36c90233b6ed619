//! One deadline per flight, first armed first out within an instant, with real deletion.
//!
//! A four-ary heap of packed words that knows where each slot's entry is. A deadline that moves
//! (each sign of life moves one) leaves nothing behind, so the earliest entry always matters.

use alloc::vec::Vec;

use crate::Time;

/// What a wake-up is for; of several at one instant the first in this order acts.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(u8)]
pub enum TimerKind {
    /// A request's deadline.
    Deadline,
    /// An attempt must be whole.
    Total,
    /// A stream must have shown a sign of life.
    Idle,
    /// An attempt must have shown its first token.
    FirstToken,
    /// An attempt's connection must stand.
    Connect,
    /// A second attempt is due beside a slow first.
    Hedge,
    /// A waiting request may try again.
    Retry,
    /// A wait in a queue ends, or somebody may be there for who is first in it.
    Queue,
}

impl TimerKind {
    /// Every kind, in order of number.
    const ALL: [Self; 8] = [
        Self::Deadline,
        Self::Total,
        Self::Idle,
        Self::FirstToken,
        Self::Connect,
        Self::Hedge,
        Self::Retry,
        Self::Queue,
    ];
}

const ABSENT: u32 = u32::MAX;
const ARITY: usize = 4;

/// Deadlines by slot.
#[derive(Clone, Debug)]
pub(crate) struct Timers {
    /// Time (64 bits), arming sequence (39), kind (3), slot (22).
    heap: Vec<u128>,
    /// Where a slot's entry is.
    places: Vec<u32>,
    sequence: u64,
}

const SLOT_BITS: u32 = 22;
const SLOT_MASK: u32 = (1 << SLOT_BITS) - 1;
const KIND_MASK: u128 = 0b111 << SLOT_BITS;
const SEQUENCE_SHIFT: u32 = SLOT_BITS + 3;
/// Beyond it deadlines are numbered anew. At ten thousand of them a second that is in 1.7 years.
const SEQUENCE_MAX: u64 = (1 << (64 - SEQUENCE_SHIFT)) - 1;

const fn pack(at: Time, sequence: u64, kind: TimerKind, slot: u32) -> u128 {
    (at.as_nanos() as u128) << 64
        | (sequence as u128) << SEQUENCE_SHIFT
        | (kind as u128) << SLOT_BITS
        | slot as u128
}

const fn slot_of(entry: u128) -> u32 {
    entry as u32 & SLOT_MASK
}

const fn kind_of(entry: u128) -> TimerKind {
    TimerKind::ALL[((entry & KIND_MASK) >> SLOT_BITS) as usize]
}

const fn sequence_of(entry: u128) -> u64 {
    entry as u64 >> SEQUENCE_SHIFT
}

const fn time_of(entry: u128) -> Time {
    Time::from_nanos((entry >> 64) as u64)
}

impl Timers {
    /// An entry, and where it is.
    pub(crate) const BYTES_PER_SLOT: usize = size_of::<u128>() + size_of::<u32>();

    /// Timers for slots below `capacity`, which is 2^22 at most.
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        assert!(capacity <= 1 << SLOT_BITS, "a slot has 22 bits");
        Self {
            heap: Vec::with_capacity(capacity),
            places: Vec::with_capacity(capacity),
            sequence: 0,
        }
    }

    /// Makes room for slots below `capacity`, which is 2^22 at most.
    #[cold]
    pub(crate) fn reserve(&mut self, capacity: usize) {
        assert!(capacity <= 1 << SLOT_BITS, "a slot has 22 bits");
        self.heap.reserve_exact(capacity.saturating_sub(self.heap.len()));
        self.places.reserve_exact(capacity.saturating_sub(self.places.len()));
    }

    /// The earliest deadline, what it is for and whose it is.
    pub(crate) fn first(&self) -> Option<(Time, TimerKind, u32)> {
        self.heap.first().map(|&entry| (time_of(entry), kind_of(entry), slot_of(entry)))
    }

    /// Arms `slot` for `at`, instead of whatever it was armed for; [`Time::MAX`] disarms it.
    pub(crate) fn set(&mut self, slot: u32, at: Time, kind: TimerKind) {
        if at == Time::MAX {
            self.clear(slot);
            return;
        }
        let index = slot as usize;
        if index >= self.places.len() {
            self.places.resize(index + 1, ABSENT);
        }
        if self.sequence == SEQUENCE_MAX {
            self.number_anew();
        }
        let place = self.places[index];
        self.sequence += 1;
        let entry = pack(at, self.sequence, kind, slot);
        if place == ABSENT {
            self.heap.push(entry);
            self.rise(self.heap.len() - 1, entry);
        } else {
            let place = place as usize;
            let armed = self.heap[place];
            if time_of(armed) == at {
                self.heap[place] = armed & !KIND_MASK | entry & KIND_MASK;
                return;
            }
            if entry < self.heap[place] {
                self.rise(place, entry);
            } else {
                self.sink(place, entry);
            }
        }
    }

    /// Disarms `slot`.
    pub(crate) fn clear(&mut self, slot: u32) {
        let Some(&place) = self.places.get(slot as usize) else { return };
        if place == ABSENT {
            return;
        }
        self.places[slot as usize] = ABSENT;
        let place = place as usize;
        let Some(last) = self.heap.pop() else { return };
        if place < self.heap.len() {
            if last < self.heap[place] {
                self.rise(place, last);
            } else {
                self.sink(place, last);
            }
        }
    }

    /// The arming order of `slot`'s deadline among equal ones; for snapshots.
    pub(crate) fn armed(&self, slot: u32) -> Option<(Time, u64)> {
        let place = *self.places.get(slot as usize)?;
        let entry = *self.heap.get(place as usize)?;
        Some((time_of(entry), sequence_of(entry)))
    }

    /// Numbers the deadlines from one, in their order: sorted, they are a heap as well.
    fn number_anew(&mut self) {
        self.heap.sort_unstable();
        for place in 0..self.heap.len() {
            let entry = self.heap[place];
            let (at, kind, slot) = (time_of(entry), kind_of(entry), slot_of(entry));
            self.put(place, pack(at, place as u64 + 1, kind, slot));
        }
        self.sequence = self.heap.len() as u64;
    }

    fn put(&mut self, place: usize, entry: u128) {
        self.heap[place] = entry;
        self.places[slot_of(entry) as usize] = place as u32;
    }

    fn rise(&mut self, mut place: usize, entry: u128) {
        while place > 0 {
            let parent = (place - 1) / ARITY;
            if self.heap[parent] <= entry {
                break;
            }
            self.put(place, self.heap[parent]);
            place = parent;
        }
        self.put(place, entry);
    }

    fn sink(&mut self, mut place: usize, entry: u128) {
        loop {
            let child = place * ARITY + 1;
            let last = (child + ARITY).min(self.heap.len());
            let Some(least) = (child..last).min_by_key(|&c| self.heap[c]) else { break };
            if self.heap[least] >= entry {
                break;
            }
            self.put(place, self.heap[least]);
            place = least;
        }
        self.put(place, entry);
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn they_agree_with_a_sorted_list(
            steps in prop::collection::vec((0_u32..20, 0_u64..30, 0_usize..8), 0..300),
            left in prop::option::of(0_u64..200),
        ) {
            let mut timers = Timers::with_capacity(20);
            // Now and then the numbers run out midway.
            timers.sequence = left.map_or(0, |left| SEQUENCE_MAX - left);
            let mut list: Vec<(Time, u64, u32, TimerKind)> = Vec::new();
            for (order, (slot, at, kind)) in (0_u64..).zip(steps) {
                let (at, kind) = (Time::from_nanos(at), TimerKind::ALL[kind]);
                if at == Time::ZERO {
                    timers.clear(slot);
                    list.retain(|e| e.2 != slot);
                } else {
                    timers.set(slot, at, kind);
                    match list.iter_mut().find(|e| e.2 == slot && e.0 == at) {
                        Some(armed) => armed.3 = kind,
                        None => {
                            list.retain(|e| e.2 != slot);
                            list.push((at, order, slot, kind));
                        }
                    }
                }
                list.sort_unstable();
                prop_assert_eq!(timers.first(), list.first().map(|e| (e.0, e.3, e.2)));
            }
        }
    }
}
