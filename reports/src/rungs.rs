//! What calls were given: the full answer, something from another rung of a ladder, or nothing.

use router_core::CallEnd;

use crate::words::{count, percent};
use crate::{Calls, Figures};

/// Calls that a rung answered which is not the full answer.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Rungs {
    /// From the cache, within its time to live, or with what an identical call under way got.
    pub fresh: u64,
    /// From the cache, past its time to live.
    pub stale: u64,
    /// By a smaller group.
    pub smaller: u64,
    /// With a static text.
    pub fixed: u64,
}

/// What a call may be given, from the best to the worst.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Given {
    /// `fresh`: an answer from the cache within its time to live, or what an identical call under
    /// way got.
    Fresh,
    /// `full`: the answer of the group asked for, or of its fallbacks.
    Full,
    /// `stale`: an answer from the cache past its time to live.
    Stale,
    /// `smaller`: the answer of a smaller group that a ladder leads down to.
    Smaller,
    /// `static`: a text that answers no question.
    Static,
}

impl Given {
    /// All, from the best to the worst.
    pub const ALL: [Self; 5] = [Self::Fresh, Self::Full, Self::Stale, Self::Smaller, Self::Static];

    /// What it is called in files and expectations.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Full => "full",
            Self::Stale => "stale",
            Self::Smaller => "smaller",
            Self::Static => "static",
        }
    }

    /// In words that follow `41 %`.
    pub(crate) const fn told(self) -> &'static str {
        match self {
            Self::Fresh => "from the cache",
            Self::Full => "in full",
            Self::Stale => "from the cache, stale",
            Self::Smaller => "by a smaller group",
            Self::Static => "with a static text",
        }
    }

    /// How many of the calls were given this, of which so many were answered in whatever way.
    pub const fn of(self, rungs: &Rungs, answered: u64) -> u64 {
        match self {
            Self::Fresh => rungs.fresh,
            Self::Full => answered.saturating_sub(rungs.fresh + rungs.stale + rungs.smaller),
            Self::Stale => rungs.stale,
            Self::Smaller => rungs.smaller,
            Self::Static => rungs.fixed,
        }
    }
}

impl Rungs {
    /// Of these, given less than was asked for.
    pub const fn degraded(&self) -> u64 {
        self.stale + self.smaller + self.fixed
    }

    /// Whether any rung but the full answer was of use.
    pub const fn any(&self) -> bool {
        self.fresh + self.degraded() > 0
    }

    /// Counts a call that ended like this, if a rung answered it.
    pub const fn count(&mut self, end: &CallEnd) {
        match end {
            CallEnd::Degraded(_) => self.smaller += 1,
            CallEnd::Cached { stale: false } => self.fresh += 1,
            CallEnd::Cached { stale: true } => self.stale += 1,
            CallEnd::Static => self.fixed += 1,
            CallEnd::Answered(_) | CallEnd::Partial(_) | CallEnd::Failed(_) | CallEnd::Left => {}
        }
    }

    /// Adds everything that `other` counted.
    pub const fn merge(&mut self, other: &Self) {
        self.fresh += other.fresh;
        self.stale += other.stale;
        self.smaller += other.smaller;
        self.fixed += other.fixed;
    }
}

/// What calls were given, and how many got nothing whole; only what there was.
pub(crate) fn given(calls: &Calls) -> Vec<(u64, &'static str)> {
    let each = Given::ALL.into_iter().map(|given| (given.of(&calls.rungs, calls.answered), given));
    let mut ways: Vec<(u64, &str)> = each.map(|(n, given)| (n, given.told())).collect();
    let nothing = calls.ended.saturating_sub(calls.answered + calls.rungs.fixed);
    ways.push((nothing, "not answered"));
    ways.retain(|(n, _)| *n > 0);
    ways
}

/// What the gateway's response cache did over a run.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct AnswerCache {
    /// Tries that asked what others ask and found a fresh answer.
    pub fresh: u64,
    /// Those that found a stale one.
    pub stale: u64,
    /// Those that found none.
    pub missed: u64,
    /// Those that waited for an identical one under way.
    pub waited: u64,
    /// Answers that it took in.
    pub filled: u64,
    /// Answers that had to go for others.
    pub evicted: u64,
    /// Answers that a flush threw away.
    pub flushed: u64,
}

/// A line for the summary, if there was a cache.
pub(crate) fn fact(figures: &Figures) -> Option<String> {
    let cache = figures.cache.as_ref()?;
    let AnswerCache { fresh, stale, missed, waited, filled, evicted, flushed } = *cache;
    let asked = fresh + stale + missed;
    if asked == 0 {
        return Some("nobody asked what others ask".to_owned());
    }
    let share = percent(fresh as f64 / asked as f64);
    let some = |n: u64, what: &str| match n {
        0 => String::new(),
        n => format!(", {} {what}", count(n)),
    };
    let looked = format!(
        "of {} tries with a question that others ask {share} found a fresh answer{}{}{}",
        count(asked),
        some(stale, "a stale one"),
        some(missed, "none"),
        some(waited, "waited for an identical try under way"),
    );
    let kept = format!(
        "{} answers kept{}{}",
        count(filled),
        some(evicted, "evicted for want of room"),
        some(flushed, "flushed")
    );
    Some(format!("{looked}; {kept}"))
}
