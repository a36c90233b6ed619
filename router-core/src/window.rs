//! Counts over a sliding window: of time, in ten slots, or of the last so many calls, in a slot
//! each. What slides out is taken off running totals, so nothing is ever summed.

use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use crate::{Span, Time};

/// How many slots a window of time has: it covers the last nine whole ones and the present one.
const SLOTS: u64 = 10;

/// `N` counters over one window. Its size is fixed when it is made.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Window<const N: usize> {
    pace: Pace,
    /// The slot of the latest count, counted from the start, and its place.
    latest: u64,
    at: usize,
    /// Before this instant nothing moves on; the beginning of time for windows of calls.
    turn: Time,
    /// By slot modulo their number.
    slots: Vec<[u32; N]>,
    totals: [u64; N],
}

/// What moves a window on to its next slot.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Pace {
    Time { start: Time, width: u64 },
    Calls,
}

impl<const N: usize> Window<N> {
    /// What was counted within `window`, its slots counted from `start`.
    pub(crate) fn of_time(window: Span, start: Time) -> Self {
        let width = (window.as_nanos() / SLOTS).max(1);
        Self::new(Pace::Time { start, width }, SLOTS as usize)
    }

    /// The last `calls` that were counted.
    pub(crate) fn of_calls(calls: u32) -> Self {
        Self::new(Pace::Calls, calls.max(1) as usize)
    }

    fn new(pace: Pace, slots: usize) -> Self {
        let turn = Time::ZERO;
        let slots = vec![[0; N]; slots];
        let mut window = Self { pace, latest: 0, at: 0, turn, slots, totals: [0; N] };
        window.settle();
        window
    }

    /// Counts one call; by so much each counter.
    pub(crate) fn count(&mut self, now: Time, more: [u32; N]) {
        self.move_on(now);
        let counts = self.slots[self.at].iter_mut();
        for ((count, total), more) in counts.zip(&mut self.totals).zip(more) {
            let grown = count.saturating_add(more);
            *total += u64::from(grown - *count);
            *count = grown;
        }
    }

    /// Counts one on one counter.
    pub(crate) fn count_one(&mut self, now: Time, counter: usize) {
        self.move_on(now);
        let count = &mut self.slots[self.at][counter];
        if *count < u32::MAX {
            *count += 1;
            self.totals[counter] += 1;
        }
    }

    /// Moves on to the slot of `now`.
    #[inline]
    fn move_on(&mut self, now: Time) {
        if now >= self.turn {
            self.advance(now);
        }
    }

    /// Moves on to the slot of `now`, forgetting what leaves the window.
    #[cold]
    fn advance(&mut self, now: Time) {
        let slot = match self.pace {
            Pace::Time { start, width } => now.since(start).as_nanos() / width,
            Pace::Calls => self.latest + 1,
        };
        let last = slot.min(self.latest.saturating_add(self.slots.len() as u64));
        for gone in (self.latest + 1)..=last {
            let at = self.place(gone);
            for (total, count) in self.totals.iter_mut().zip(&mut self.slots[at]) {
                *total -= u64::from(core::mem::take(count));
            }
        }
        self.latest = self.latest.max(slot);
        self.settle();
    }

    /// Finds what follows from the latest slot.
    fn settle(&mut self) {
        self.at = self.place(self.latest);
        self.turn = match self.pace {
            Pace::Time { start, width } => {
                start + Span::from_nanos(width) * self.latest.saturating_add(1)
            }
            Pace::Calls => Time::ZERO,
        };
    }

    fn place(&self, slot: u64) -> usize {
        (slot % self.slots.len() as u64) as usize
    }

    /// What the window holds as of its latest count.
    pub(crate) const fn totals(&self) -> &[u64; N] {
        &self.totals
    }

    /// Forgets one counter.
    #[cold]
    pub(crate) fn forget(&mut self, counter: usize) {
        self.slots.iter_mut().for_each(|slot| slot[counter] = 0);
        self.totals[counter] = 0;
    }

    /// Forgets all of them.
    #[cold]
    pub(crate) fn clear(&mut self) {
        self.slots.fill([0; N]);
        self.totals = [0; N];
    }

    /// Writes it as words, each with a space before it: the latest slot, then every slot that is
    /// not empty with its place.
    pub(crate) fn write(&self, out: &mut impl fmt::Write) -> fmt::Result {
        write!(out, " {}", self.latest)?;
        for (place, slot) in self.slots.iter().enumerate().filter(|(_, s)| **s != [0; N]) {
            write!(out, " {place}")?;
            slot.iter().try_for_each(|count| write!(out, ",{count}"))?;
        }
        Ok(())
    }

    /// Puts back what [`Self::write`] wrote into a new window of the same shape; `None` if the
    /// words are not of that kind.
    pub(crate) fn restore<'a>(&mut self, mut words: impl Iterator<Item = &'a str>) -> Option<()> {
        // Far more slots than there will ever be, and far from the end of the numbers.
        self.latest = words.next()?.parse().ok().filter(|latest| *latest < 1 << 62)?;
        self.settle();
        words.try_for_each(|word| {
            let mut numbers = word.split(',');
            let slot = self.slots.get_mut(numbers.next()?.parse::<usize>().ok()?)?;
            for (count, total) in slot.iter_mut().zip(&mut self.totals) {
                *count = numbers.next()?.parse().ok()?;
                *total += u64::from(*count);
            }
            numbers.next().is_none().then_some(())
        })
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::VecDeque;
    use alloc::string::String;

    use super::*;

    #[test]
    fn a_window_of_time_forgets_what_left_it() {
        let mut window = Window::of_time(Span::from_secs(10), Time::from_secs(100));
        window.count(Time::from_secs(103), [0, 1]);
        window.count(Time::from_secs(112), [1, 0]);
        assert_eq!(window.totals(), &[1, 1]);
        window.count(Time::from_secs(113), [1, 0]);
        assert_eq!(window.totals(), &[2, 0]);
        window.count(Time::from_secs(1_000), [0, 1]);
        assert_eq!(window.totals(), &[0, 1]);
    }

    #[test]
    fn a_steady_rate_fills_nine_tenths_of_the_window_at_least_at_every_instant() {
        // Helicone's gateway (`rolling_counter.rs`, 2025) counts the current lap only: of 200
        // calls a second it sees one just after each turn of a window of one second.
        let mut window = Window::of_time(Span::from_secs(1), Time::ZERO);
        for call in 0..2_000_u64 {
            window.count(Time::from_nanos(call * 5_000_000), [1]);
            let [total] = *window.totals();
            assert!(call < 200 || (180..=200).contains(&total), "{total} after {call}");
        }
    }

    #[test]
    fn a_window_of_calls_holds_the_last_so_many() {
        let mut window = Window::of_calls(7);
        let mut last = VecDeque::new();
        for call in 0..100_u32 {
            let failed = u32::from(call % 3 == 0 || call % 7 == 2);
            window.count(Time::ZERO, [1, failed]);
            last.push_back(failed);
            if last.len() > 7 {
                last.pop_front();
            }
            let failed = last.iter().copied().map(u64::from).sum();
            assert_eq!(window.totals(), &[last.len() as u64, failed]);
        }
    }

    #[test]
    fn one_counter_is_forgotten_and_the_others_stay() {
        let mut window = Window::of_time(Span::from_secs(10), Time::ZERO);
        (0..8).for_each(|second| window.count(Time::from_secs(second), [1, 2]));
        window.forget(0);
        assert_eq!(window.totals(), &[0, 16]);
        window.count(Time::from_secs(11), [1, 0]);
        assert_eq!(window.totals(), &[1, 12], "two slots left, and nothing was taken off twice");
        window.clear();
        window.count(Time::from_secs(30), [1, 1]);
        assert_eq!(window.totals(), &[1, 1]);
    }

    #[test]
    fn what_is_written_comes_back() {
        for empty in [Window::of_calls(5), Window::of_time(Span::from_secs(7), Time::ZERO)] {
            let mut window = empty.clone();
            (0..23).for_each(|n| window.count(Time::from_secs(n), [1, n as u32, 0]));
            let mut text = String::new();
            window.write(&mut text).unwrap();
            let mut back = empty.clone();
            assert_eq!(back.restore(text.split_whitespace()), Some(()));
            assert_eq!(back, window);
            for wrong in ["", "x", "3 99,1,1,1", "3 0,1,1", "3 0,1,1,1,1", "3 0,1,1,-1"] {
                assert_eq!(empty.clone().restore(wrong.split_whitespace()), None, "{wrong}");
            }
        }
    }
}
