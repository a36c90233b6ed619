//! Heaps whose items are small numbers, several of them over the same items.
//!
//! Pairing heaps (Fredman, Sedgewick, Sleator and Tarjan, 1986): an item is added in constant
//! time and taken out, wherever it is, in logarithmic time, amortised. The links lie beside the
//! items' keys, so that however many heaps share them no room is needed but that.

use alloc::vec::Vec;

/// No item, or the heap of none.
pub(crate) const NONE: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
struct Links {
    child: u32,
    next: u32,
    /// The parent of a first child, else the sibling before.
    before: u32,
}

impl Links {
    const NONE: Self = Self { child: NONE, next: NONE, before: NONE };
}

/// Heaps over the same items, each in one of them at most. A heap is named by its first item.
#[derive(Clone, Debug)]
pub(crate) struct Forest {
    keys: Vec<u128>,
    links: Vec<Links>,
}

impl Forest {
    pub(crate) fn with_capacity(items: usize) -> Self {
        Self { keys: Vec::with_capacity(items), links: Vec::with_capacity(items) }
    }

    /// One more item, in no heap yet.
    pub(crate) fn grow(&mut self) {
        self.keys.push(0);
        self.links.push(Links::NONE);
    }

    pub(crate) fn key(&self, item: u32) -> u128 {
        self.keys[item as usize]
    }

    fn links(&mut self, item: u32) -> &mut Links {
        &mut self.links[item as usize]
    }

    /// Puts an item that is in no heap into this one.
    pub(crate) fn push(&mut self, root: &mut u32, item: u32, key: u128) {
        self.keys[item as usize] = key;
        *root = self.merge(*root, item);
    }

    /// Takes an item out of the heap it is in.
    pub(crate) fn remove(&mut self, root: &mut u32, item: u32) {
        let Links { child, next, before } = core::mem::replace(self.links(item), Links::NONE);
        let children = self.gather(child);
        if item == *root {
            *root = children;
            return;
        }
        let place = self.links(before);
        if place.child == item {
            place.child = next;
        } else {
            place.next = next;
        }
        if next != NONE {
            self.links(next).before = before;
        }
        *root = self.merge(*root, children);
    }

    /// One heap of two.
    fn merge(&mut self, a: u32, b: u32) -> u32 {
        if a == NONE || b == NONE {
            return a.min(b);
        }
        let (first, second) = if self.key(a) <= self.key(b) { (a, b) } else { (b, a) };
        let child = core::mem::replace(&mut self.links(first).child, second);
        *self.links(second) = Links { next: child, before: first, ..*self.links(second) };
        if child != NONE {
            self.links(child).before = second;
        }
        first
    }

    /// One heap of the siblings from `next` on: in pairs, then all pairs from the last on.
    fn gather(&mut self, mut next: u32) -> u32 {
        let mut pairs = NONE;
        while next != NONE {
            let (a, b) = (next, self.links(next).next);
            next = if b == NONE { NONE } else { self.links(b).next };
            for single in [a, b].into_iter().filter(|item| *item != NONE) {
                *self.links(single) = Links { child: self.links(single).child, ..Links::NONE };
            }
            let pair = self.merge(a, b);
            self.links(pair).next = pairs;
            pairs = pair;
        }
        let mut root = NONE;
        while pairs != NONE {
            let rest = core::mem::replace(&mut self.links(pairs).next, NONE);
            root = self.merge(root, pairs);
            pairs = rest;
        }
        root
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn two_heaps_over_the_same_items_agree_with_two_sorted_sets(
            steps in prop::collection::vec((0_u32..20, 0_usize..2, 0_u128..10), 0..400),
        ) {
            let mut forest = Forest::with_capacity(20);
            (0..20).for_each(|_| forest.grow());
            let mut roots = [NONE; 2];
            let mut sets: [BTreeSet<(u128, u32)>; 2] = [BTreeSet::new(), BTreeSet::new()];
            let mut homes: Vec<Option<(usize, u128)>> = [None; 20].into();
            for (item, heap, key) in steps {
                if let Some((heap, key)) = homes[item as usize].take() {
                    forest.remove(&mut roots[heap], item);
                    sets[heap].remove(&(key, item));
                } else {
                    let key = key << 8 | u128::from(item);
                    forest.push(&mut roots[heap], item, key);
                    sets[heap].insert((key, item));
                    homes[item as usize] = Some((heap, key));
                }
                for (root, set) in roots.iter().zip(&sets) {
                    let first = set.first().map_or(NONE, |(_, item)| *item);
                    prop_assert_eq!(*root, first);
                }
            }
        }
    }
}
