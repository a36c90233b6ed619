//! What was read, defaults filled in.

use std::ops::Range;

use router_core::{Rate, Ratio, Span};

use crate::field::{Field, Kind, Table};
use crate::quantity::{Budget, Crowd, Frequency, Quantity, Spend, Trip, Verdict};
use crate::written::Spanned;

/// A value and where it stands; a default stands where its table does.
pub(crate) type Node = Spanned<Value>;

/// What a key holds.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Of(Quantity),
    Table(Section),
    Map(Vec<(Spanned<String>, Node)>),
    List(Vec<Node>),
}

/// A table, one entry for each field of this version.
#[derive(Clone, Debug)]
pub(crate) struct Section {
    pub(crate) table: &'static Table,
    pub(crate) entries: Vec<Entry>,
    pub(crate) at: Range<usize>,
    /// Whether something in it was complained about, so that what seems absent may be there.
    pub(crate) flawed: bool,
}

/// A field and what it holds.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) field: &'static Field,
    /// Whether the file says so, not the default.
    pub(crate) written: bool,
    pub(crate) node: Option<Node>,
}

/// What a quantity is once it is known which kind it is.
pub(crate) trait Take: Sized {
    fn take(quantity: &Quantity) -> Option<Self>;
}

macro_rules! take {
    ($($of:ty: $pattern:pat => $value:expr;)*) => {$(
        impl Take for $of {
            fn take(quantity: &Quantity) -> Option<Self> {
                if let $pattern = quantity { $value } else { None }
            }
        }
    )*};
}

take! {
    Span: Quantity::Time(span) => Some(*span);
    Rate: Quantity::Rate(rate) => Some(*rate);
    Frequency: Quantity::Frequency(frequency) => Some(*frequency);
    Ratio: Quantity::Share(ppm) => Some(Self::from_ppm(*ppm));
    Option<Trip>: Quantity::Trip(trip) => Some(*trip);
    Option<Verdict>: Quantity::Verdict(verdict) => Some(*verdict);
    Spend: Quantity::Spend(spend) => Some(*spend);
    Crowd: Quantity::Crowd(crowd) => Some(*crowd);
    Option<Budget>: Quantity::Budget(budget) => Some(*budget);
    u64: Quantity::Count(count) | Quantity::Price(count) => Some(*count);
    u32: Quantity::Count(count) => (*count).try_into().ok();
    u16: Quantity::Count(count) => (*count).try_into().ok();
    u8: Quantity::Count(count) => (*count).try_into().ok();
    bool: Quantity::Flag(flag) => Some(*flag);
    String: Quantity::Text(text) => Some(text.clone());
}

/// Factors, decimals and calls per second, as the simulator's samplers want them.
impl Take for f64 {
    fn take(quantity: &Quantity) -> Option<Self> {
        if let Quantity::Factor(micros) | Quantity::Decimal(micros) = quantity {
            return Some(*micros as Self / 1e6);
        }
        Frequency::take(quantity).map(Frequency::per_second)
    }
}

impl Value {
    /// The quantity, if it is one of this type.
    pub(crate) fn of<T: Take>(&self) -> Option<T> {
        match self {
            Self::Of(quantity) => T::take(quantity),
            Self::Table(_) | Self::Map(_) | Self::List(_) => None,
        }
    }
}

impl Section {
    /// What `name` holds.
    ///
    /// # Panics
    /// If the table has no such field.
    pub(crate) fn node(&self, name: &str) -> Option<&Node> {
        let entry = self.entries.iter().find(|entry| entry.field.name == name);
        entry.unwrap_or_else(|| panic!("no field `{name}`")).node.as_ref()
    }

    pub(crate) fn set(&mut self, name: &str, node: Node) {
        for entry in self.entries.iter_mut().filter(|entry| entry.field.name == name) {
            entry.written = true;
            entry.node = Some(node.clone());
        }
    }

    /// Another default for `name`, if the file does not say.
    pub(crate) fn fill(&mut self, name: &str, quantity: Quantity) {
        let entries = self.entries.iter_mut().filter(|e| e.field.name == name && !e.written);
        for node in entries.filter_map(|entry| entry.node.as_mut()) {
            node.value = Value::Of(quantity.clone());
        }
    }

    /// A default for `name`, which has none by itself, if the file does not say.
    pub(crate) fn settle(&mut self, name: &str, quantity: Quantity) {
        let at = self.at.clone();
        let entry = self.entries.iter_mut().find(|entry| entry.field.name == name);
        if let Some(entry) = entry.filter(|entry| entry.node.is_none()) {
            entry.node = Some(Spanned::new(Value::Of(quantity), at));
        }
    }

    /// A default for the table at `name`, for those of its keys that are in `values`.
    pub(crate) fn fill_table(&mut self, name: &str, values: &[(&str, Quantity)]) {
        let at = self.at.clone();
        let entry = self.entries.iter_mut().find(|entry| entry.field.name == name);
        if let Some(entry) = entry
            && let Kind::Table(table) = entry.field.kind
        {
            let value = |field: &Field| {
                let (_, value) = values.iter().find(|(name, _)| *name == field.name)?;
                Some(Spanned::new(Value::Of(value.clone()), at.clone()))
            };
            let entries =
                table.now().map(|field| Entry { field, written: false, node: value(field) });
            let section = Self { table, entries: entries.collect(), at: at.clone(), flawed: false };
            entry.node = Some(Spanned::new(Value::Table(section), at.clone()));
        }
    }

    /// Whether the file says what `name` is.
    pub(crate) fn is_written(&self, name: &str) -> bool {
        self.entries.iter().any(|entry| entry.field.name == name && entry.written)
    }

    /// The quantity at `name`.
    pub(crate) fn get<T: Take>(&self, name: &str) -> Option<T> {
        self.node(name)?.value.of()
    }

    /// What the word at `name` stands for.
    ///
    /// # Panics
    /// If the field has a word that is not among `meanings`.
    pub(crate) fn word<T: Copy>(&self, name: &str, meanings: &[(&str, T)]) -> Option<T> {
        let meaning = |word: &str| meanings.iter().find(|(known, _)| *known == word);
        // All of them, so that a word added to the table cannot be forgotten here.
        let words = self.table.field(name).map_or(&[][..], |field| field.kind.words());
        let forgotten = words.iter().find(|word| meaning(word).is_none());
        assert_eq!(forgotten, None, "a word of `{name}` has no meaning");
        meaning(&self.get::<String>(name)?).map(|(_, meaning)| *meaning)
    }

    /// The quantity at `name`, with its place.
    pub(crate) fn spanned<T: Take>(&self, name: &str) -> Option<Spanned<T>> {
        let node = self.node(name)?;
        Some(Spanned::new(node.value.of()?, node.at.clone()))
    }

    /// The quantity at `name`, which has a default.
    pub(crate) fn need<T: Take>(&self, name: &str) -> T {
        self.get(name).unwrap_or_else(|| panic!("`{name}` has a default of its kind"))
    }

    /// The table at `name`.
    pub(crate) fn section(&self, name: &str) -> Option<&Self> {
        match &self.node(name)?.value {
            Value::Table(section) => Some(section),
            Value::Of(_) | Value::Map(_) | Value::List(_) => None,
        }
    }

    /// The table at `name`, to be changed.
    pub(crate) fn section_mut(&mut self, name: &str) -> Option<&mut Self> {
        let entry = self.entries.iter_mut().find(|entry| entry.field.name == name)?;
        match &mut entry.node.as_mut()?.value {
            Value::Table(section) => Some(section),
            Value::Of(_) | Value::Map(_) | Value::List(_) => None,
        }
    }

    /// The tables of the map at `name`, to be changed.
    pub(crate) fn sections_mut(&mut self, name: &str) -> impl Iterator<Item = &mut Self> {
        let entry = self.entries.iter_mut().find(|entry| entry.field.name == name);
        let map = match entry.and_then(|entry| entry.node.as_mut()).map(|node| &mut node.value) {
            Some(Value::Map(map)) => map.as_mut_slice(),
            Some(Value::Of(_) | Value::Table(_) | Value::List(_)) | None => &mut [],
        };
        map.iter_mut().filter_map(|(_, node)| match &mut node.value {
            Value::Table(section) => Some(section),
            Value::Of(_) | Value::Map(_) | Value::List(_) => None,
        })
    }

    /// The entries of the map at `name`; none if there is none.
    pub(crate) fn map(&self, name: &str) -> &[(Spanned<String>, Node)] {
        match self.node(name).map(|node| &node.value) {
            Some(Value::Map(map)) => map,
            Some(Value::Of(_) | Value::Table(_) | Value::List(_)) | None => &[],
        }
    }

    /// The tables of the map at `name`, with their names.
    pub(crate) fn sections(&self, name: &str) -> impl Iterator<Item = (&Spanned<String>, &Self)> {
        self.map(name).iter().filter_map(|(name, node)| match &node.value {
            Value::Table(section) => Some((name, section)),
            Value::Of(_) | Value::Map(_) | Value::List(_) => None,
        })
    }

    /// The members of the list at `name`; none if there is none.
    pub(crate) fn list(&self, name: &str) -> &[Node] {
        match self.node(name).map(|node| &node.value) {
            Some(Value::List(list)) => list,
            Some(Value::Of(_) | Value::Table(_) | Value::Map(_)) | None => &[],
        }
    }

    /// The texts of the list at `name`, with their places.
    pub(crate) fn texts(&self, name: &str) -> Vec<Spanned<String>> {
        texts(self.list(name))
    }
}

/// The texts among `nodes`, with their places.
pub(crate) fn texts(nodes: &[Node]) -> Vec<Spanned<String>> {
    let text = |node: &Node| Some(Spanned::new(node.value.of()?, node.at.clone()));
    nodes.iter().filter_map(text).collect()
}
