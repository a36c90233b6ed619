//! What can be wrong with a configuration, in words.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::subject::worth;
use crate::config::words::Time;
use crate::{BudgetUnit, Span};

/// One thing wrong with a [`crate::Spec`], and where.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ConfigError {
    /// The path in the file: `group.chat.members.az-eu`.
    pub path: String,
    /// What is wrong there.
    pub problem: Problem,
}

/// What can be wrong with a [`crate::Spec`].
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Problem {
    /// A list that needs something has nothing.
    Empty(&'static str),
    /// More of something than there may be.
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many there are.
        count: usize,
        /// How many there may be.
        most: usize,
    },
    /// More of something than there may be, with those that were removed while the router ran.
    Crowded {
        /// Of what.
        what: &'static str,
        /// How many there would be.
        count: usize,
        /// How many of them were removed.
        removed: usize,
        /// How many there may be.
        most: usize,
    },
    /// A number outside its range.
    Range {
        /// The number.
        value: u64,
        /// The least it may be.
        least: u64,
        /// The most it may be.
        most: u64,
    },
    /// A time outside its range.
    SpanRange {
        /// The time.
        value: Span,
        /// The least it may be.
        least: Span,
        /// The most it may be.
        most: Span,
    },
    /// A time that is counted in whole ones of another.
    Uneven {
        /// The time.
        value: Span,
        /// What it must be a multiple of.
        grain: Span,
    },
    /// A share above one.
    Share,
    /// A share that must be reached, of zero.
    Zero,
    /// A quantile that is not between zero and one.
    Quantile,
    /// Two things of one name.
    Twice,
    /// A name of a list that is there twice.
    Repeated {
        /// The name.
        name: String,
    },
    /// A name that nothing has.
    Unknown {
        /// What kind of thing it should be.
        kind: &'static str,
        /// The name.
        name: String,
        /// The names there are.
        known: Vec<String>,
    },
    /// A name that is not `[A-Za-z0-9._/-]+`.
    Name,
    /// A name of something else that is not well formed.
    NameOf {
        /// Of what.
        kind: &'static str,
        /// The name.
        name: String,
    },
    /// What one group is called already.
    Taken {
        /// The name.
        name: String,
        /// The group.
        owner: String,
    },
    /// Every weight is zero, so nothing can be chosen.
    NoWeight,
    /// The first must not be longer than the second.
    Order(&'static str, &'static str),
    /// A breaker that judges by nothing.
    NeverTrips,
    /// A share of slow calls, without what a slow call is.
    SlowWithoutOver,
    /// A ladder without its full answer, or with several.
    NotOneFull {
        /// How many there are.
        count: usize,
    },
    /// A rung that leads to the group whose ladder it is.
    OwnRung {
        /// The name.
        name: String,
    },
    /// A rung under one that has something whenever it has.
    Unreached {
        /// The rung.
        name: String,
        /// The one above it.
        above: String,
    },
    /// A rung above the full answer that would always, or first, be taken.
    AboveFull {
        /// The rung.
        name: String,
    },
    /// More calls are needed for a verdict than are kept.
    FewCalls {
        /// How many are needed.
        calls_min: u32,
        /// How many are kept.
        kept: u32,
    },
    /// One kind of subject too many.
    Kinds {
        /// How many a request can name.
        most: usize,
    },
    /// A budget that no request fits into.
    BudgetBelow {
        /// Of what.
        unit: BudgetUnit,
        /// How much.
        amount: u64,
        /// The least that a request reserves.
        least: u64,
    },
    /// A limit of which the replicas' shares are nothing.
    Indivisible {
        /// What is divided.
        value: u64,
        /// Among how many.
        replicas: u16,
    },
    /// One replica that waits for a word of the others.
    NoPeers,
    /// A hedge that would start when its attempt has ended.
    HedgeTooLate {
        /// When it would start.
        after: Span,
        /// When the attempt ends.
        end: Span,
        /// What ends it.
        by: &'static str,
    },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty(what) => write!(f, "needs at least one {what}"),
            Self::TooMany { what, count, most } => {
                write!(f, "has {count} {what}; at most {most} are allowed")
            }
            Self::Crowded { what, count, removed, most } => write!(
                f,
                "would have {count} {what} with the {removed} that were removed while the router \
                 ran; at most {most} are kept, and a router that is started anew with this file \
                 forgets the removed ones"
            ),
            Self::Range { value, least, most } => {
                write!(f, "is {value}, but must be between {least} and {most}")
            }
            Self::SpanRange { value, least, most } => {
                let [value, least, most] = [value, least, most].map(|span| Time(*span));
                write!(f, "is {value}, but must be between {least} and {most}")
            }
            Self::Uneven { value, grain } => {
                write!(f, "is {}, but is counted in steps of {}", Time(*value), Time(*grain))
            }
            Self::Share => f.write_str("is more than 100 %"),
            Self::Zero => f.write_str("is 0 %, which is always reached"),
            Self::Quantile => f.write_str("is no quantile between 0 and 1, both excluded"),
            Self::Twice => f.write_str("is there twice"),
            Self::Repeated { name } => write!(f, "`{name}` is there twice"),
            Self::Unknown { kind, name, .. } => write!(f, "there is no {kind} `{name}`"),
            Self::Name => f.write_str("a name is made of letters, digits and `. _ / -`"),
            Self::NameOf { kind: "alias", name } => write!(
                f,
                "`{name}` is no alias: letters, digits, `. _ / - : @ +`, and one `*` at most"
            ),
            Self::NameOf { kind, name } => {
                write!(f, "`{name}` is no {kind}: letters, digits and `. _ / -`")
            }
            Self::Taken { name, owner } => {
                write!(f, "`{name}` means group `{owner}` already")
            }
            Self::NoWeight => f.write_str("every weight is zero, so nothing can be chosen"),
            Self::Order(a, b) => write!(f, "`{a}` must not be longer than `{b}`"),
            Self::NeverTrips => f.write_str(
                "can never trip: it counts no failures in a row, no share of failures and no \
                 share of slow calls",
            ),
            Self::SlowWithoutOver => f.write_str("needs `over`: what a slow call takes"),
            Self::NotOneFull { count: 0 } => {
                f.write_str("has no `full`: the answer that the group itself gives")
            }
            Self::NotOneFull { count } => write!(f, "has `full` {count} times; once is right"),
            Self::OwnRung { name } => {
                write!(f, "`{name}` is the group itself, which `full` stands for")
            }
            Self::Unreached { name, above } => {
                write!(f, "`{name}` is never reached: `{above}` above it always has something then")
            }
            Self::AboveFull { name } => {
                write!(f, "`{name}` stands above `full`, so it would be given instead: only")?;
                f.write_str(" `fresh` and `stale` may")
            }
            Self::FewCalls { calls_min, kept } => {
                write!(f, "judges at least {calls_min} calls, but keeps the last {kept} only")
            }
            Self::Kinds { most } => {
                write!(f, "is of one kind too many: a request is on account of {most} at most")
            }
            Self::BudgetBelow { unit, amount, least } => write!(
                f,
                "is {}, but one request reserves at least {}: none would fit",
                worth(*unit, *amount),
                worth(*unit, *least)
            ),
            Self::Indivisible { value, replicas } => {
                write!(f, "is {value}, of which each of {replicas} replicas would have nothing")
            }
            Self::NoPeers => f.write_str(
                "closes when the other replicas are silent, but with `replicas = 1` there are none",
            ),
            Self::HedgeTooLate { after, end, by } => write!(
                f,
                "is {}, but an attempt ends after {} (`{by}`), so no hedge would be made",
                Time(*after),
                Time(*end)
            ),
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.problem)
    }
}

impl core::error::Error for ConfigError {}
