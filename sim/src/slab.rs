//! Slots that are used again.

/// A link from one slot to another, or to none. Three bytes: the agenda numbers no more slots,
/// and every call in flight holds four of them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Link([u8; 3]);

impl Link {
    pub(crate) const NONE: Self = Self([u8::MAX; 3]);

    /// # Panics
    /// At slot 2^24 - 1, which [`crate::World::is_crowded`] warns of.
    pub(crate) fn to(slot: u32) -> Self {
        assert!(slot < 0xFF_FFFF, "at most 2^24 calls at once");
        let [a, b, c, _] = slot.to_le_bytes();
        Self([a, b, c])
    }

    pub(crate) fn slot(self) -> Option<u32> {
        let Self([a, b, c]) = self;
        (self != Self::NONE).then_some(u32::from_le_bytes([a, b, c, 0]))
    }
}

/// An empty bucket of an [`Index`].
const NONE: u32 = u32::MAX;

/// Values under small numbers that stay theirs until removed. Freed slots are used again, last
/// freed first, so that a world at rest touches little memory and allocates nothing.
#[derive(Clone, Debug)]
pub(crate) struct Slab<T> {
    slots: Vec<T>,
    free: Vec<u32>,
}

impl<T: Copy> Slab<T> {
    pub(crate) fn new() -> Self {
        Self { slots: Vec::with_capacity(1024), free: Vec::with_capacity(1024) }
    }

    pub(crate) fn insert(&mut self, value: T) -> u32 {
        if let Some(slot) = self.free.pop() {
            self.slots[slot as usize] = value;
            return slot;
        }
        self.slots.push(value);
        u32::try_from(self.slots.len() - 1).expect("slots are counted in 32 bits")
    }

    /// Gives a slot back. What is in it stays readable until it is used again.
    pub(crate) fn remove(&mut self, slot: u32) {
        self.free.push(slot);
    }

    /// How many slots there are, used or not.
    pub(crate) fn capacity(&self) -> u32 {
        self.slots.len() as u32
    }
}

impl<T> std::ops::Index<u32> for Slab<T> {
    type Output = T;

    fn index(&self, slot: u32) -> &T {
        &self.slots[slot as usize]
    }
}

impl<T> std::ops::IndexMut<u32> for Slab<T> {
    fn index_mut(&mut self, slot: u32) -> &mut T {
        &mut self.slots[slot as usize]
    }
}

/// From a number to its slot: open addressing with linear probing and a fixed hash, never
/// iterated. It holds only slots; whoever asks says which number a slot stands for.
#[derive(Clone, Debug)]
pub(crate) struct Index {
    buckets: Vec<u32>,
    used: usize,
}

impl Index {
    pub(crate) fn new() -> Self {
        Self { buckets: vec![NONE; 2048], used: 0 }
    }

    /// The bucket where a probe for `key` starts: Fibonacci hashing (Knuth, TAOCP 3, 6.4) of eight
    /// consecutive calls at a time to a cache line of 16 buckets, of which they take every other.
    fn home(&self, key: u64) -> usize {
        let shift = 64 + 4 - self.buckets.len().trailing_zeros();
        let line = (key >> 11).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> shift;
        ((line << 4) | ((key >> 7) & 14)) as usize
    }

    pub(crate) fn find(&self, key: u64, key_of: impl Fn(u32) -> u64) -> Option<u32> {
        let mask = self.buckets.len() - 1;
        let mut at = self.home(key);
        loop {
            match self.buckets[at] {
                NONE => return None,
                slot if key_of(slot) == key => return Some(slot),
                _ => at = (at + 1) & mask,
            }
        }
    }

    /// Adds a slot whose number is not in here yet. Twice the buckets at half full.
    pub(crate) fn insert(&mut self, key: u64, slot: u32, key_of: impl Fn(u32) -> u64) {
        if (self.used + 1) * 2 > self.buckets.len() {
            let doubled = vec![NONE; self.buckets.len() * 2];
            for old in std::mem::replace(&mut self.buckets, doubled) {
                if old != NONE {
                    self.put(key_of(old), old);
                }
            }
        }
        self.put(key, slot);
        self.used += 1;
    }

    fn put(&mut self, key: u64, slot: u32) {
        let mask = self.buckets.len() - 1;
        let mut at = self.home(key);
        while self.buckets[at] != NONE {
            at = (at + 1) & mask;
        }
        self.buckets[at] = slot;
    }

    /// Takes a number out and closes the gap (Knuth, TAOCP 3, 6.4, algorithm R), so that
    /// probes stay short without tombstones.
    pub(crate) fn remove(&mut self, key: u64, key_of: impl Fn(u32) -> u64) {
        let mask = self.buckets.len() - 1;
        let mut gap = self.home(key);
        loop {
            match self.buckets[gap] {
                NONE => return,
                slot if key_of(slot) == key => break,
                _ => gap = (gap + 1) & mask,
            }
        }
        self.used -= 1;
        let mut at = gap;
        loop {
            at = (at + 1) & mask;
            let slot = self.buckets[at];
            if slot == NONE {
                self.buckets[gap] = NONE;
                return;
            }
            let home = self.home(key_of(slot));
            // It may move into the gap only if its home is not between the gap and itself.
            if at.wrapping_sub(home) & mask >= at.wrapping_sub(gap) & mask {
                self.buckets[gap] = slot;
                gap = at;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_link_leads_where_it_was_put_or_nowhere() {
        for slot in [0, 1, 255, 256, 65_536, 0xFF_FFFE] {
            assert_eq!(Link::to(slot).slot(), Some(slot));
        }
        assert_eq!(Link::NONE.slot(), None);
    }

    #[test]
    fn an_index_agrees_with_a_map() {
        let (mut index, mut keys, mut map) = (Index::new(), Slab::new(), BTreeMap::new());
        let mut word = 1_u64;
        for _ in 0..200_000 {
            word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let key = word >> 52;
            let present = map.get(&key).copied();
            match present {
                None => {
                    let slot = keys.insert(key);
                    index.insert(key, slot, |slot| keys[slot]);
                    map.insert(key, slot);
                }
                Some(slot) if word & 1 == 0 => {
                    index.remove(key, |slot| keys[slot]);
                    keys.remove(slot);
                    map.remove(&key);
                }
                Some(_) => {}
            }
            let probe = word >> 20 & 0xFFF;
            assert_eq!(index.find(probe, |slot| keys[slot]), map.get(&probe).copied());
        }
        assert!(map.len() > 1500 && index.used == map.len(), "{}", map.len());
    }
}
