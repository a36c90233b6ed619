//! The one table of fields: every key a file may have, its unit, its default, its sentence.
//!
//! The reader, did-you-mean, `print`, `schema` and the reference all follow it, so a key cannot
//! be read and yet be missing from the documentation.

mod router;
mod scenario;
mod suite;

pub use router::ROUTER_FILE;
pub use scenario::SCENARIO_FILE;
pub use suite::SUITE_FILE;

use crate::quantity::{Quantity, Unit};

/// A table of a file.
#[derive(Debug)]
pub struct Table {
    /// What it is, in one line.
    pub doc: &'static str,
    /// Its keys, in the order in which they are printed.
    pub fields: &'static [Field],
}

/// A key of a table.
#[derive(Debug)]
pub struct Field {
    /// The key.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// What its absence means.
    pub absent: Absent,
    /// What it is, in one line.
    pub doc: &'static str,
}

/// What a key holds.
#[derive(Debug)]
pub enum Kind {
    /// A text with a unit.
    Quantity(Unit),
    /// The same, from this to that, both written with their unit.
    Within(Unit, &'static str, &'static str),
    /// A number of things.
    Count {
        /// The fewest.
        least: u64,
        /// The most.
        most: u64,
    },
    /// A number with decimals, from this to that, without a unit: a shape parameter.
    Decimal(&'static str, &'static str),
    /// `true` or `false`.
    Flag,
    /// A text.
    Text,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A reference to a secret, `env:NAME` or `file:PATH`; never the secret.
    Secret,
    /// A URL without credentials, or a reference as above.
    Endpoint,
    /// A table with keys of its own.
    Table(&'static Table),
    /// Such a table, or short: what stands for this one of its keys.
    Short(&'static Table, &'static str),
    /// A table whose keys the author chooses.
    Map(Keys, &'static Self),
    /// One, or a list of them.
    Many(&'static Self),
    /// A list of them.
    List(&'static Self),
    /// The first of these that has the shape of what is written.
    Either(&'static [Self]),
    /// Not in this version: refused, with its place.
    Later,
    /// No key, but what people may write for one: refused, its sentence being the hint.
    Elsewhere,
}

/// Which keys an author may choose.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Keys {
    /// Letters, digits and `. _ / -`.
    Name,
    /// `KIND=NAME`, or `KIND=*` for all others of a kind.
    Subject,
    /// Anything.
    Any,
}

/// What the absence of a key means.
#[derive(Debug)]
pub enum Absent {
    /// A mistake.
    Refused,
    /// That there is none.
    Nothing,
    /// This.
    Is(&'static str),
    /// The table or list, empty: the defaults of its keys.
    Empty,
}

impl Table {
    /// The key called `name`.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// The keys of this version.
    pub fn now(&self) -> impl Iterator<Item = &Field> + Clone {
        self.fields.iter().filter(|field| !matches!(field.kind, Kind::Later | Kind::Elsewhere))
    }
}

impl Field {
    /// What its absence stands for, if a value.
    pub(crate) fn default_value(&self) -> Option<Quantity> {
        let Absent::Is(text) = self.absent else {
            return None;
        };
        let value = self.kind.value(text);
        assert!(value.is_some(), "the default of `{}` is not of its kind", self.name);
        value
    }
}

impl Kind {
    /// The scalar that `text` is as one of these; `None` if it is none.
    fn value(&self, text: &str) -> Option<Quantity> {
        match self {
            Self::Quantity(unit) | Self::Within(unit, ..) => unit.parse(text).ok(),
            Self::Count { .. } => text.parse().ok().map(Quantity::Count),
            Self::Flag => text.parse().ok().map(Quantity::Flag),
            Self::Text => Some(Quantity::Text(text.to_owned())),
            Self::Choice(words) => words.contains(&text).then(|| Quantity::Text(text.to_owned())),
            Self::Either(kinds) => kinds.iter().find_map(|kind| kind.value(text)),
            Self::Decimal(..)
            | Self::Secret
            | Self::Endpoint
            | Self::Table(_)
            | Self::Short(..)
            | Self::Map(..)
            | Self::Many(_)
            | Self::List(_)
            | Self::Later
            | Self::Elsewhere => None,
        }
    }

    /// The words it takes, perhaps among other things.
    pub(crate) fn words(&self) -> &'static [&'static str] {
        if let Self::Choice(words) = self {
            return words;
        }
        let kinds: &'static [Self] = if let Self::Either(kinds) = self { kinds } else { &[] };
        let choices = kinds.iter().map(Self::words);
        choices.max_by_key(|words| words.len()).unwrap_or_default()
    }

    /// What one should write, for `expected ...`.
    pub(crate) fn noun(&self) -> String {
        match self {
            Self::Quantity(unit) | Self::Within(unit, ..) => {
                format!("{}, like `\"{}\"`", unit.noun(), first(unit))
            }
            Self::Count { .. } => "a whole number".to_owned(),
            Self::Decimal(..) => "a number".to_owned(),
            Self::Flag => "`true` or `false`".to_owned(),
            Self::Text => "a text in quotes".to_owned(),
            Self::Choice(words) => match words {
                [word] => format!("`\"{word}\"`"),
                _ => format!("one of `\"{}\"`", words.join("\"`, `\"")),
            },
            Self::Secret => "a reference like `\"env:NAME\"`".to_owned(),
            Self::Endpoint => "a URL or a reference like `\"env:NAME\"`".to_owned(),
            Self::Table(_) | Self::Map(..) => "a table".to_owned(),
            Self::Short(table, name) => {
                let inner = table.field(name).map(|field| field.kind.noun());
                format!("a table or {}", inner.unwrap_or_default())
            }
            Self::Many(kind) => format!("{} or a list of such", kind.noun()),
            Self::List(kind) => format!("a list, each {}", kind.noun()),
            Self::Either(kinds) => kinds.iter().map(Self::noun).collect::<Vec<_>>().join(" or "),
            Self::Later | Self::Elsewhere => "nothing".to_owned(),
        }
    }
}

/// The first of a unit's examples.
fn first(unit: &Unit) -> &'static str {
    let example = unit.example();
    example.split_once('`').map_or(example, |(first, _)| first)
}

/// A key that must be there.
const fn required(name: &'static str, kind: Kind, doc: &'static str) -> Field {
    Field { name, kind, absent: Absent::Refused, doc }
}

/// A key that may be absent.
const fn optional(name: &'static str, kind: Kind, doc: &'static str) -> Field {
    Field { name, kind, absent: Absent::Nothing, doc }
}

/// A key with a default.
const fn given(name: &'static str, kind: Kind, default: &'static str, doc: &'static str) -> Field {
    Field { name, kind, absent: Absent::Is(default), doc }
}

/// A table or list that is empty if absent.
const fn nested(name: &'static str, kind: Kind, doc: &'static str) -> Field {
    Field { name, kind, absent: Absent::Empty, doc }
}

/// A key of a later version.
const fn later(name: &'static str, doc: &'static str) -> Field {
    Field { name, kind: Kind::Later, absent: Absent::Nothing, doc }
}

/// What is no key here.
const fn elsewhere(name: &'static str, hint: &'static str) -> Field {
    Field { name, kind: Kind::Elsewhere, absent: Absent::Nothing, doc: hint }
}

const TIME: Kind = Kind::Quantity(Unit::Time);
const TIMEOUT: Kind = Kind::Quantity(Unit::Timeout);
const RATE: Kind = Kind::Quantity(Unit::Rate);
const SHARE: Kind = Kind::Quantity(Unit::Share);

const fn count(least: u64, most: u64) -> Kind {
    Kind::Count { least, most }
}
