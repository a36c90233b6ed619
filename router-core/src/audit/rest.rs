//! How long a deployment or key rests.
//!
//! Rests end at a random time within a known interval, so the auditor keeps the interval: nothing
//! may go there before its least end, nobody may be excluded for it after its greatest. How long
//! the next rest is depends on whether the last one was over, which the interval may leave open;
//! then the least end follows the shorter alternative and the greatest the longer. What the router
//! says of an end narrows the interval if it lies within.

use super::Answer;
use crate::{CooldownSpec, Ratio, Span, Time};

/// The rest of a deployment or key.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rest {
    least: Time,
    greatest: Time,
    /// The part of `least` that a provider asked for by `Retry-After`.
    asked: Time,
    /// The part that panic does not override, at least and at most: what was asked for, and what
    /// only a person can mend.
    firm: (Time, Time),
    /// How many rests in a row: at least and at most.
    streak: (u8, u8),
}

/// What makes a rest that grows with each further one in a row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Growth {
    first: Span,
    factor: u8,
    max: Span,
    /// It lasts this long in any case: what the provider asked for beside it.
    floor: Span,
    /// Whether only a person can mend what led to it.
    firm: bool,
}

impl Growth {
    /// The rests of a policy; `first` is the class's own first one.
    pub(super) fn of(cooldown: &CooldownSpec, first: Option<Span>) -> Self {
        let first = first.unwrap_or(cooldown.rest);
        let max = cooldown.max.max(first);
        Self { first, factor: cooldown.grow, max, floor: Span::ZERO, firm: false }
    }

    /// For what only a person can mend: 5 minutes, doubling, at most an hour.
    pub(super) fn spent(floor: Span) -> Self {
        let (first, max) = (Span::from_secs(300), Span::from_secs(3_600));
        Self { first, factor: 2, max, floor, firm: true }
    }

    fn length(&self, streak: u8) -> Span {
        stretched_by(self.first, self.factor, self.max, streak).max(self.floor)
    }
}

/// The length of the `nth` of a row whose first is `first`.
pub(super) fn stretched_by(first: Span, factor: u8, max: Span, nth: u8) -> Span {
    let mut length = first.min(max);
    for _ in 1..nth {
        if length >= max || factor == 1 {
            break;
        }
        length = (length * u64::from(factor)).min(max);
    }
    length
}

/// The longest that jitter makes of a span.
pub(super) fn jittered(span: Span, jitter: Ratio) -> Span {
    span + span.scale(u64::from(jitter.numerator()), u64::from(jitter.denominator()))
}

impl Rest {
    /// Whether it may end within two and a half minutes, and whether it must: what a person must
    /// mend rests for longer.
    pub(super) fn is_short(&self, at: Time) -> (bool, bool) {
        let short = |end: Time| end.since(at) < Span::from_secs(150);
        (short(self.least), short(self.greatest))
    }

    pub(super) fn resting(&self, at: Time) -> Answer {
        within(self.least, self.greatest, at)
    }

    /// Whether panic leaves it alone.
    pub(super) fn firm(&self, at: Time) -> Answer {
        within(self.firm.0, self.firm.1, at)
    }

    pub(super) fn asked_for(&self, at: Time) -> bool {
        self.asked > at
    }

    pub(super) const fn greatest(&self) -> Time {
        self.greatest
    }

    /// The provider said how long. Whether that counts in the streak is left open.
    pub(super) fn ask(&mut self, at: Time, length: Span, jitter: Ratio) {
        self.streak.1 = match self.resting(at) {
            Answer::Yes => self.streak.1.max(1),
            Answer::No | Answer::Maybe => self.streak.1.saturating_add(1),
        };
        self.asked = self.asked.max(at + length);
        self.extend(at + length, at + jittered(length, jitter), true);
    }

    /// A rest whose length grows with the streak.
    pub(super) fn grow(&mut self, at: Time, jitter: Ratio, growth: Growth) {
        let (least, most) = self.streak;
        let resting = self.resting(at);
        let shortest = match resting {
            Answer::No => least.saturating_add(1),
            Answer::Yes | Answer::Maybe => least.max(1),
        };
        let longest = match resting {
            Answer::Yes => most.max(1),
            Answer::No | Answer::Maybe => most.saturating_add(1),
        };
        let (short, long) = (growth.length(shortest), growth.length(longest));
        self.extend(at + short, at + jittered(long, jitter), growth.firm);
        self.streak.1 = longest;
        if resting == Answer::No {
            self.streak.0 = shortest;
        }
    }

    fn extend(&mut self, least: Time, greatest: Time, firm: bool) {
        self.least = self.least.max(least);
        self.greatest = self.greatest.max(greatest);
        if firm {
            self.firm = (self.firm.0.max(least), self.firm.1.max(greatest));
        }
    }

    /// A call that started at `dispatched` went well.
    pub(super) fn recover(&mut self, dispatched: Time) {
        if dispatched >= self.greatest {
            self.streak = (0, 0);
        } else if dispatched >= self.least {
            self.streak.0 = 0;
        }
    }

    /// Another replica rests it for so long; if it was asked to, in panic or not.
    pub(super) fn follow(&mut self, until: Time, asked: bool) {
        if asked {
            self.asked = self.asked.max(until);
        }
        self.extend(until, until, asked);
    }

    /// Whether the books bear out that it rests until then, the `streak`-th time in a row. If
    /// they do, it does; `last` says that nothing more follows for the same failure.
    pub(super) fn claim(&mut self, until: Time, streak: u8, last: bool) -> bool {
        let (fewest, most) = self.streak;
        let holds = until <= self.greatest
            && (until >= self.least || !last)
            && (fewest.max(1)..=most.max(1)).contains(&streak);
        if holds {
            self.least = self.least.max(until);
            if last {
                self.greatest = self.least;
            }
            self.streak = (streak, streak);
        }
        holds
    }

    /// Nothing was said of what may have prolonged it, so it is as it was `before`. Says whether
    /// it can be.
    pub(super) fn stay(&mut self, before: &Self) -> bool {
        let can = before.greatest >= self.least;
        if can {
            self.greatest = before.greatest;
            self.streak = before.streak;
        }
        can
    }
}

pub(super) fn within(least: Time, greatest: Time, at: Time) -> Answer {
    if least > at {
        Answer::Yes
    } else if greatest <= at {
        Answer::No
    } else {
        Answer::Maybe
    }
}
