//! One deadline per flight, first armed first out within an instant, with real deletion.
//!
//! A four-ary heap of packed words that knows where each slot's entry is. A deadline that moves
//! (each sign of life moves one) leaves nothing behind, so the earliest entry always matters.

use alloc::vec::Vec;

use crate::Time;

/// What a wake-up is for.
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
}

const ABSENT: u32 = u32::MAX;
const ARITY: usize = 4;

/// Deadlines by slot.
#[derive(Clone, Debug)]
pub(crate) struct Timers {
    /// Time (64 bits), arming sequence (40), slot (24).
    heap: Vec<u128>,
    /// Where a slot's entry is.
    places: Vec<u32>,
    sequence: u64,
}

const fn pack(at: Time, sequence: u64, slot: u32) -> u128 {
    (at.as_nanos() as u128) << 64 | (sequence as u128) << 24 | slot as u128
}

const fn slot_of(entry: u128) -> u32 {
    entry as u32 & 0xFF_FFFF
}

const fn time_of(entry: u128) -> Time {
    Time::from_nanos((entry >> 64) as u64)
}

impl Timers {
    /// An entry, and where it is.
    pub(crate) const BYTES_PER_SLOT: usize = size_of::<u128>() + size_of::<u32>();

    /// Timers for slots below `capacity`, which is below 2^24.
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        assert!(capacity < 1 << 24, "a slot has 24 bits");
        Self {
            heap: Vec::with_capacity(capacity),
            places: Vec::with_capacity(capacity),
            sequence: 0,
        }
    }

    /// The earliest deadline and whose it is.
    pub(crate) fn first(&self) -> Option<(Time, u32)> {
        self.heap.first().map(|&entry| (time_of(entry), slot_of(entry)))
    }

    /// Arms `slot` for `at`, instead of whatever it was armed for; [`Time::MAX`] disarms it.
    pub(crate) fn set(&mut self, slot: u32, at: Time) {
        if at == Time::MAX {
            self.clear(slot);
            return;
        }
        let index = slot as usize;
        if index >= self.places.len() {
            self.places.resize(index + 1, ABSENT);
        }
        let place = self.places[index];
        self.sequence += 1;
        assert!(self.sequence < 1 << 40, "2^40 deadlines last a million years of traffic");
        let entry = pack(at, self.sequence, slot);
        if place == ABSENT {
            self.heap.push(entry);
            self.rise(self.heap.len() - 1, entry);
        } else {
            let place = place as usize;
            if time_of(self.heap[place]) == at {
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
        Some((time_of(entry), (entry >> 24) as u64 & 0xFF_FFFF_FFFF))
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
        fn they_agree_with_a_sorted_list(steps in prop::collection::vec((0_u32..20, 0_u64..30), 0..300)) {
            let mut timers = Timers::with_capacity(20);
            let mut list: Vec<(Time, u64, u32)> = Vec::new();
            for (order, (slot, at)) in (0_u64..).zip(steps) {
                let at = Time::from_nanos(at);
                if at == Time::ZERO {
                    timers.clear(slot);
                    list.retain(|e| e.2 != slot);
                } else if !list.iter().any(|e| e.2 == slot && e.0 == at) {
                    timers.set(slot, at);
                    list.retain(|e| e.2 != slot);
                    list.push((at, order, slot));
                }
                list.sort_unstable();
                prop_assert_eq!(timers.first(), list.first().map(|e| (e.0, e.2)));
            }
        }
    }
}
