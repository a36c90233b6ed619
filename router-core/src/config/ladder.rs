//! A group's ladder: what it gives instead of the full answer.

use alloc::string::String;
use alloc::vec::Vec;

use crate::{Cached, GroupId, Outcome};

/// A rung of a ladder, as written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RungSpec {
    /// A cached answer within its time to live.
    Fresh,
    /// What the group and its fallbacks make of it: everything that is not about ladders.
    Full,
    /// A cached answer, within its time to live or past it.
    Stale,
    /// Another group, smaller and cheaper: its name or an alias.
    Group(String),
    /// A text that is always the same.
    Static,
}

/// A rung that is not the full answer.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Rung {
    /// A cached answer within its time to live.
    Fresh,
    /// A cached answer, within its time to live or past it.
    Stale,
    /// Another group.
    Group(GroupId),
    /// A text that is always the same.
    Static,
}

impl Rung {
    /// Whether it is a cached answer.
    pub const fn is_cache(&self) -> bool {
        match self {
            Self::Fresh | Self::Stale => true,
            Self::Group(_) | Self::Static => false,
        }
    }

    /// What it answers at once if the driver's cache holds `cached`; `None` if it has nothing, or
    /// is a group, which must be asked.
    pub const fn answer(self, cached: Cached) -> Option<Outcome> {
        match (self, cached) {
            (Self::Fresh | Self::Stale, Cached::Fresh) => Some(Outcome::Cached { stale: false }),
            (Self::Stale, Cached::Stale) => Some(Outcome::Cached { stale: true }),
            (Self::Static, _) => Some(Outcome::Static),
            (Self::Fresh | Self::Stale | Self::Group(_), _) => None,
        }
    }
}

/// A checked ladder, from the top: what spares the full answer, and what replaces it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Ladder {
    /// What is tried before anybody is asked: cached answers only.
    pub above: Vec<Rung>,
    /// What is tried when the full answer is not to be had.
    pub below: Vec<Rung>,
}

impl Ladder {
    /// Whether there is nothing but the full answer.
    pub const fn is_plain(&self) -> bool {
        self.above.is_empty() && self.below.is_empty()
    }

    /// Whether some rung is a cached answer.
    pub fn caches(&self) -> bool {
        self.above.iter().chain(&self.below).any(Rung::is_cache)
    }

    /// Whether a request must be remembered with what the cache holds for it.
    pub fn remembers(&self) -> bool {
        self.below.iter().any(Rung::is_cache)
    }

    /// The first rung above the full answer that has something.
    pub fn spares(&self, cached: Cached) -> Option<Rung> {
        self.above.iter().copied().find(|rung| rung.answer(cached).is_some())
    }

    /// The same, each group being what `map` makes of it; without the rung if that is nothing.
    pub(super) fn map_groups(&self, map: impl Fn(GroupId) -> Option<GroupId>) -> Self {
        let rung = |rung: &Rung| match *rung {
            Rung::Group(group) => map(group).map(Rung::Group),
            Rung::Fresh | Rung::Stale | Rung::Static => Some(*rung),
        };
        Self {
            above: self.above.iter().filter_map(rung).collect(),
            below: self.below.iter().filter_map(rung).collect(),
        }
    }

    /// The groups it leads down to.
    pub fn groups(&self) -> impl Iterator<Item = GroupId> {
        self.below.iter().filter_map(|rung| match rung {
            Rung::Group(group) => Some(*group),
            Rung::Fresh | Rung::Stale | Rung::Static => None,
        })
    }

    /// Where the rungs begin that are below a group's own; at the top if it has none.
    pub fn after(&self, group: GroupId) -> usize {
        let place = self.below.iter().position(|rung| *rung == Rung::Group(group));
        place.map_or(0, |place| place + 1)
    }
}
