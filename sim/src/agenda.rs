//! What the world will do next, in a fixed order.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use router_core::Time;

/// Something that is due.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Due {
    /// A fault begins.
    Fault(u32),
    /// Something of the application's: see [`crate::app`].
    App(u32),
    /// The router gets another configuration.
    Reload(u32),
    /// An attempt has news.
    News(u32),
    /// A demand's oldest try may have timed out.
    Timeout(u32),
    /// A demand's longest waiting user may leave.
    Patience(u32),
    /// A demand's next call arrives.
    Arrival(u32),
    /// A call is tried again.
    Again(u32),
}

/// Events by time; within one instant changes of the world first, then news of providers,
/// then clients that leave, then clients that come; within these, first in, first out.
///
/// An event is one word of 128 bits (time 64, class 2, sequence 37, kind 1, payload 24), so a
/// comparison is one instruction or two. The router's wake-up is not in here: it moves with
/// every input, and each move would leave a stale event behind.
#[derive(Clone, Debug)]
pub(crate) struct Agenda {
    heap: BinaryHeap<Reverse<u128>>,
    sequence: u64,
    /// Whether the earliest event was taken and its place is still held. Most events lead to one
    /// other; it takes that place, which costs one walk through the heap instead of two.
    taken: bool,
}

const PAYLOAD_BITS: u32 = 24;
const SEQUENCE_BITS: u32 = 37;
/// What tells reloads from faults, of which there are fewer.
const RELOAD: u32 = 1 << 23;

impl Agenda {
    pub(crate) fn new() -> Self {
        Self { heap: BinaryHeap::with_capacity(1024), sequence: 0, taken: false }
    }

    /// # Panics
    /// At 2^24 concurrent calls, which [`crate::World::is_crowded`] warns of, or at 2^37 events,
    /// which take days.
    pub(crate) fn schedule(&mut self, at: Time, due: Due) {
        let (class, kind, payload) = match due {
            Due::Fault(index) => (0, 0, index),
            Due::App(event) => (0, 1, event),
            Due::Reload(index) => (0, 0, index | RELOAD),
            Due::News(slot) => (1, 0, slot),
            Due::Timeout(demand) => (2, 0, demand),
            Due::Patience(demand) => (2, 1, demand),
            Due::Arrival(demand) => (3, 0, demand),
            Due::Again(slot) => (3, 1, slot),
        };
        assert!(payload >> PAYLOAD_BITS == 0, "at most 2^24 calls at once");
        assert!(self.sequence >> SEQUENCE_BITS == 0, "at most 2^37 events");
        let low = class << 62
            | self.sequence << (PAYLOAD_BITS + 1)
            | kind << PAYLOAD_BITS
            | u64::from(payload);
        self.sequence += 1;
        let key = Reverse(u128::from(at.as_nanos()) << 64 | u128::from(low));
        if std::mem::take(&mut self.taken)
            && let Some(mut first) = self.heap.peek_mut()
        {
            *first = key;
            return;
        }
        self.heap.push(key);
    }

    /// Gives up the place of the event that was taken last.
    fn close(&mut self) {
        if std::mem::take(&mut self.taken) {
            self.heap.pop();
        }
    }

    /// When the next event is due.
    pub(crate) fn peek(&mut self) -> Option<Time> {
        self.close();
        self.heap.peek().map(|&Reverse(key)| Time::from_nanos((key >> 64) as u64))
    }

    pub(crate) fn pop(&mut self) -> Option<(Time, Due)> {
        self.close();
        let &Reverse(key) = self.heap.peek()?;
        self.taken = true;
        let low = key as u64;
        let payload = (low & ((1 << PAYLOAD_BITS) - 1)) as u32;
        let due = match (low >> 62, low >> PAYLOAD_BITS & 1) {
            (0, 0) if payload & RELOAD != 0 => Due::Reload(payload & !RELOAD),
            (0, 0) => Due::Fault(payload),
            (0, _) => Due::App(payload),
            (1, _) => Due::News(payload),
            (2, 0) => Due::Timeout(payload),
            (2, _) => Due::Patience(payload),
            (_, 0) => Due::Arrival(payload),
            (_, _) => Due::Again(payload),
        };
        Some((Time::from_nanos((key >> 64) as u64), due))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_goes_from_the_world_to_providers_to_leavers_to_comers() {
        let mut agenda = Agenda::new();
        let late = Time::from_secs(2);
        let order = [
            Due::App(6),
            Due::Fault(3),
            Due::News(5),
            Due::News(4),
            Due::Timeout(1),
            Due::Patience(0),
            Due::Timeout(2),
            Due::Again(9),
            Due::Arrival(7),
        ];
        agenda.schedule(late, Due::Fault(0));
        // Every class backwards, each class in its own order.
        for class in [7..9, 4..7, 2..4, 0..2] {
            for &due in &order[class] {
                agenda.schedule(Time::from_secs(1), due);
            }
        }
        for due in order {
            assert_eq!(agenda.pop(), Some((Time::from_secs(1), due)));
        }
        assert_eq!(agenda.peek(), Some(late));
        assert_eq!(agenda.pop(), Some((late, Due::Fault(0))));
        assert_eq!(agenda.pop(), None);
    }
}
