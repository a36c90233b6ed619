//! From request to slot: open addressing with a fixed capacity and a fixed hash.
//!
//! It is never iterated, so the hash decides nothing but speed. Keys themselves live in the
//! caller's slots; a cell holds the slot's number alone, four bytes.

use alloc::vec;
use alloc::vec::Vec;

/// Finds the slot of a 64-bit key, such as [`crate::RequestId::as_u64`].
#[derive(Clone, Debug)]
pub struct Table {
    /// Slots plus one; zero is an empty cell.
    cells: Vec<u32>,
    /// How far a hash is shifted to become a line of cells.
    shift: u32,
    len: usize,
    capacity: usize,
}

/// How many cells fill a cache line of 64 bytes.
const LINE: usize = 16;

impl Table {
    /// A table for up to `capacity` keys (at most 2^30), at most half full.
    pub fn with_capacity(capacity: usize) -> Self {
        let cells = (capacity * 2).next_power_of_two().max(LINE * 2);
        let bits = cells.trailing_zeros();
        assert!(bits <= 31, "a table holds at most 2^30 keys");
        let shift = 64 - bits + LINE.trailing_zeros();
        Self { cells: vec![0; cells], shift, len: 0, capacity }
    }

    /// How many keys it holds.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether it holds none.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many keys it can hold.
    pub const fn capacity(&self) -> usize {
        self.capacity
    }

    /// Fibonacci hashing (Knuth, The Art of Computer Programming, volume 3, section 6.4) of eight
    /// consecutive requests at a time to a line of cells, of which they take every other one.
    /// Requests in flight are mostly neighbours, so the table stays in few cache lines, and the
    /// free cells between them end a search at once.
    const fn home(&self, key: u64) -> usize {
        let line = (key >> 11).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> self.shift;
        line as usize * LINE + ((key >> 7) & 14) as usize
    }

    fn place(&self, key: u64, key_of: impl Fn(u32) -> u64) -> Option<usize> {
        let mask = self.cells.len() - 1;
        let mut place = self.home(key);
        loop {
            let cell = self.cells[place];
            if cell == 0 {
                return None;
            }
            if key_of(cell - 1) == key {
                return Some(place);
            }
            place = (place + 1) & mask;
        }
    }

    /// The slot of `key`; `key_of` tells which key a slot holds.
    pub fn find(&self, key: u64, key_of: impl Fn(u32) -> u64) -> Option<u32> {
        self.place(key, key_of).map(|place| self.cells[place] - 1)
    }

    /// Remembers that `key`, which must not be there, is in `slot`.
    ///
    /// # Panics
    /// If the table is full.
    pub fn insert(&mut self, key: u64, slot: u32) {
        assert!(self.len < self.capacity, "the caller bounds what it inserts");
        let mask = self.cells.len() - 1;
        let mut place = self.home(key);
        while self.cells[place] != 0 {
            place = (place + 1) & mask;
        }
        self.cells[place] = slot + 1;
        self.len += 1;
    }

    /// Forgets `key` and gives its slot back. Later cells close the gap, so no tombstone stays.
    pub fn remove(&mut self, key: u64, key_of: impl Fn(u32) -> u64) -> Option<u32> {
        let mut gap = self.place(key, &key_of)?;
        let slot = self.cells[gap] - 1;
        let mask = self.cells.len() - 1;
        let mut next = (gap + 1) & mask;
        while self.cells[next] != 0 {
            let home = self.home(key_of(self.cells[next] - 1));
            // The cell may move back to the gap if its home is not after the gap.
            if (next.wrapping_sub(home) & mask) >= (next.wrapping_sub(gap) & mask) {
                self.cells[gap] = self.cells[next];
                gap = next;
            }
            next = (next + 1) & mask;
        }
        self.cells[gap] = 0;
        self.len -= 1;
        Some(slot)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_agrees_with_a_map(steps in prop::collection::vec((0_u64..40, any::<bool>()), 0..400)) {
            let mut table = Table::with_capacity(40);
            let mut map = BTreeMap::new();
            let spread = |k: u64| k << 8;
            for (key, add) in steps {
                let key_of = |slot: u32| spread(u64::from(slot));
                if add && !map.contains_key(&key) {
                    table.insert(spread(key), key as u32);
                    map.insert(key, ());
                } else if !add {
                    let gone = table.remove(spread(key), key_of);
                    prop_assert_eq!(gone.is_some(), map.remove(&key).is_some());
                }
                for probe in 0..40 {
                    let found = table.find(spread(probe), key_of);
                    prop_assert_eq!(found, map.get(&probe).map(|()| probe as u32));
                }
                prop_assert_eq!(table.len(), map.len());
            }
        }
    }
}
