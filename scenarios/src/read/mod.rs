//! The one reader: a file's TOML against the table of fields. Everything wrong is reported at
//! once; what is wrong takes its default, so that one mistake is not reported as two.

mod scalar;
mod section;

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned as Toml;
use toml::de::{DeTable, DeValue};

use crate::diagnostic::{Diagnostic, Source, did_you_mean, nearest, sorted};
use crate::field::{Absent, Field, Keys, Kind, ROUTER_FILE, Table};
use crate::file::FileKind;
use crate::foreign;
use crate::quantity::{self, Bad, Quantity};
use crate::written::{Mistake, Spanned};

pub(crate) use scalar::is_name;
use scalar::{chosen, counted, has_shape, is_reference, is_subject, is_url, measured};
pub(crate) use section::{Entry, Node, Section, Value, texts};

/// A file while it is being read.
pub(crate) struct Reader<'t> {
    source: Source<'t>,
    /// Shown only at the end, when it is known what must not be shown.
    found: Vec<Mistake>,
    places: Places,
    /// Whether parts of the file could not be read at all.
    broken: bool,
    /// Whether it is no TOML, or another kind of file.
    foreign: bool,
    /// Whether it is a router, in which people may write what others call things.
    is_router: bool,
    /// The names of tables in which something was complained about, [`WHOLE`] for the file: what
    /// seems absent there may be what could not be read.
    flawed: Vec<Range<usize>>,
}

/// The place of what stands nowhere in particular.
pub(crate) const WHOLE: Range<usize> = 0..0;

/// Where things stand, by their path: the key and the value.
#[derive(Default)]
pub(crate) struct Places(BTreeMap<String, (Range<usize>, Range<usize>)>);

impl Places {
    /// Where `path` stands, or the nearest thing around it: its key and its value.
    fn find(&self, path: &str) -> Option<(Range<usize>, Range<usize>)> {
        let mut path = path;
        loop {
            if let Some(place) = self.0.get(path) {
                return Some(place.clone());
            }
            path = &path[..path.rfind('.')?];
        }
    }

    /// Where the text `text` stands in the list at `path`.
    fn text(&self, path: &str, text: &str) -> Option<Range<usize>> {
        let ending = format!("={text}");
        let below = self.0.iter().filter(|(key, _)| key.starts_with(path));
        below.filter(|(key, _)| key.ends_with(&ending)).map(|(_, (_, at))| at.clone()).next()
    }
}

impl<'t> Reader<'t> {
    /// Reads `text` as `table`; what is wrong is kept until [`Self::finish`].
    pub(crate) fn read(file: &'t str, text: &'t str, table: &'static Table) -> (Self, Section) {
        let (root, errors) = DeTable::parse_recoverable(text);
        let mut reader = Self {
            source: Source::new(file, text),
            found: Vec::new(),
            places: Places::default(),
            broken: !errors.is_empty(),
            foreign: !errors.is_empty(),
            is_router: std::ptr::eq(table, &ROUTER_FILE),
            flawed: Vec::new(),
        };
        let yaml = if errors.is_empty() { None } else { foreign::yaml(text) };
        if let Some(at) = yaml.clone() {
            let message = "this is YAML, as LiteLLM has it; a router is written in TOML";
            let hint = "`seawall init` writes one; a `model_name` is a `[group.NAME]`, and each of \
                        its entries a `[deployment.NAME]`";
            reader.complain(at, message, Some(hint.to_owned()));
        }
        for error in errors.into_iter().filter(|_| yaml.is_none()) {
            let message = error.message().trim().replace('\n', ", ");
            let message = message.trim_end_matches(", expected nothing");
            let at = error.span().unwrap_or(0..0);
            let whole = text.get(at.clone()).and_then(scalar::written_out);
            let hint = whole.map(|whole| format!("write `{whole}`"));
            reader.complain(at, message, hint);
        }
        if let Some(message) = another_kind(root.get_ref(), table).filter(|_| !reader.broken) {
            // Its keys are right where they belong; a message for each would say nothing.
            reader.complain(0..0, message, None);
            (reader.broken, reader.foreign) = (true, true);
            let section = reader.table(table, "", 0..0, &DeTable::new());
            return (reader, section);
        }
        let mut section = reader.table(table, "", 0..0, root.get_ref());
        section.at = 0..text.len();
        (reader, section)
    }

    /// Whether parts of the file could not be read at all: what seems missing may be there.
    pub(crate) const fn is_broken(&self) -> bool {
        self.broken
    }

    /// Whether nothing of the file can be relied on.
    pub(crate) const fn is_foreign(&self) -> bool {
        self.foreign
    }

    /// Whether something was complained about in the table whose name is at `name`.
    pub(crate) fn is_flawed(&self, name: &Range<usize>) -> bool {
        self.flawed.contains(name)
    }

    /// Reports a mistake of the reader's own or of whoever interprets the values.
    pub(crate) fn report(&mut self, mistake: Mistake) {
        self.found.push(mistake);
    }

    /// Everything that is wrong, sorted; else `value`.
    pub(crate) fn finish<T>(self, value: T) -> Result<T, Vec<Diagnostic>> {
        if self.found.is_empty() {
            return Ok(value);
        }
        Err(sorted(self.found.iter().map(|mistake| self.source.show(mistake)).collect()))
    }

    pub(crate) const fn source(&self) -> &Source<'t> {
        &self.source
    }

    /// The key and the value at `path`.
    pub(crate) fn place(&self, path: &str) -> (Range<usize>, Range<usize>) {
        self.places.find(path).unwrap_or((0..0, 0..0))
    }

    /// Whether the file has nothing at `path`.
    pub(crate) fn is_absent(&self, path: &str) -> bool {
        !self.places.0.contains_key(path)
    }

    /// The texts of the list at `path`, and where each stands.
    pub(crate) fn texts_at(&self, path: &str) -> Vec<(&str, Range<usize>)> {
        let below = self.places.0.iter();
        let texts = below.filter_map(|(key, (_, at))| {
            let text = key.strip_prefix(path)?.strip_prefix('=')?;
            Some((text, at.clone()))
        });
        texts.collect()
    }

    /// Where the text `text` stands in the list at `path`.
    pub(crate) fn place_of_text(&self, path: &str, text: &str) -> Option<Range<usize>> {
        self.places.text(path, text)
    }

    /// Whether something within `at` was complained about.
    pub(crate) fn complained(&self, at: &Range<usize>) -> bool {
        self.found.iter().any(|m| m.at.start >= at.start && m.at.end <= at.end)
    }

    fn complain(&mut self, at: Range<usize>, message: impl Into<String>, hint: Option<String>) {
        self.found.push(Mistake { at, message: message.into(), hint });
    }

    fn bad(&mut self, at: Range<usize>, path: &str, bad: Bad) {
        self.complain(at, format!("`{path}`: {}", bad.reason), Some(bad.hint));
    }

    fn table(
        &mut self,
        table: &'static Table,
        path: &str,
        at: Range<usize>,
        toml: &DeTable<'_>,
    ) -> Section {
        let before = self.found.len();
        let mut misspelt = Vec::new();
        for (key, value) in toml.iter() {
            let name = key.get_ref().as_ref();
            match table.field(name) {
                Some(Field { kind: Kind::Later, .. }) => {
                    self.complain(key.span(), format!("`{name}` is not in this version"), None);
                }
                Some(Field { kind: Kind::Elsewhere, doc, .. }) => {
                    let message = format!("`{name}` is no key of [{path}]");
                    self.complain(key.span(), message, Some((*doc).to_owned()));
                }
                Some(_) => {}
                None => {
                    // An unknown key may hold a secret under a name of somebody else's.
                    self.hide_texts(value);
                    self.broken |= path.is_empty();
                    if path.is_empty() && value.get_ref().is_table() {
                        self.flawed.push(WHOLE);
                    }
                    let place = if path.is_empty() {
                        "at the top of the file".to_owned()
                    } else {
                        format!("in [{path}]")
                    };
                    let known = table.now().map(|field| field.name);
                    misspelt.extend(nearest(name, known.clone()));
                    let theirs = foreign::key(name).filter(|_| self.is_router);
                    let hint = theirs.map_or_else(|| did_you_mean(name, known), str::to_owned);
                    self.complain(key.span(), format!("unknown key `{name}` {place}"), Some(hint));
                }
            }
        }
        let missing = table.now().filter(|field| {
            matches!(field.absent, Absent::Refused)
                && !toml.contains_key(field.name)
                && !misspelt.contains(&field.name)
        });
        self.missing(&missing.collect::<Vec<_>>(), path, &at);
        let entries = table.now().map(|field| {
            let node = self.field(field, path, &at, toml);
            Entry { field, written: toml.contains_key(field.name), node }
        });
        let entries = entries.collect();
        Section { table, entries, at: at.clone(), flawed: self.found.len() > before }
    }

    fn missing(&mut self, fields: &[&Field], path: &str, at: &Range<usize>) {
        // In a file that is broken they may only be unreadable.
        if fields.is_empty() || self.broken {
            return;
        }
        let names: Vec<String> = fields.iter().map(|field| format!("`{}`", field.name)).collect();
        let hints: Vec<String> =
            fields.iter().map(|field| format!("`{}`: {}", field.name, field.doc)).collect();
        let message = format!("[{path}] needs {}", names.join(", "));
        self.complain(at.clone(), message, Some(hints.join("; ")));
    }

    fn field(
        &mut self,
        field: &'static Field,
        path: &str,
        table_at: &Range<usize>,
        toml: &DeTable<'_>,
    ) -> Option<Node> {
        let path = join(path, field.name);
        if let Some((key, value)) = toml.get_key_value(field.name) {
            self.places.0.insert(path.clone(), (key.span(), value.span()));
            let read = self.value(&field.kind, &path, value);
            if read.is_some() {
                return read;
            }
            if matches!(field.kind, Kind::Map(..)) {
                self.flawed.push(WHOLE);
            }
        }
        self.absent(field, &path, table_at.clone())
    }

    /// What a field is when nothing (of use) is written.
    fn absent(&mut self, field: &'static Field, path: &str, at: Range<usize>) -> Option<Node> {
        let value = match field.absent {
            Absent::Refused | Absent::Nothing => return None,
            Absent::Is(_) => Value::Of(field.default_value()?),
            Absent::Empty => {
                if let Kind::Table(table) | Kind::Short(table, _) = field.kind {
                    Value::Table(self.table(table, path, at.clone(), &DeTable::new()))
                } else if matches!(field.kind, Kind::Map(..)) {
                    Value::Map(Vec::new())
                } else {
                    Value::List(Vec::new())
                }
            }
        };
        Some(Spanned::new(value, at))
    }

    fn value(&mut self, kind: &'static Kind, path: &str, toml: &Toml<DeValue<'_>>) -> Option<Node> {
        let at = toml.span();
        let value = match (kind, toml.get_ref()) {
            (Kind::Table(table) | Kind::Short(table, _), DeValue::Table(inner)) => {
                // A header may be followed by headers of its parts; its own span is the place.
                Value::Table(self.table(table, path, at.clone(), inner))
            }
            (Kind::Short(table, name), _) => {
                let field = table.field(name).expect("a short form stands for one of its keys");
                let before = self.found.len();
                let mut section = self.table(table, path, at.clone(), &DeTable::new());
                if table.now().all(|f| f.name == *name || !matches!(f.absent, Absent::Refused)) {
                    // What it lacks is what is written instead of it.
                    self.found.truncate(before);
                    section.flawed = false;
                }
                let inner = self.value(&field.kind, &join(path, name), toml)?;
                section.set(name, inner);
                Value::Table(section)
            }
            (Kind::Map(keys, kind), DeValue::Table(inner)) => {
                Value::Map(self.map(*keys, kind, path, inner))
            }
            (Kind::List(kind) | Kind::Many(kind), DeValue::Array(list)) => {
                Value::List(list.iter().filter_map(|one| self.value(kind, path, one)).collect())
            }
            (Kind::Many(kind), one) if has_shape(kind, one) => {
                Value::List(vec![self.value(kind, path, toml)?])
            }
            (Kind::Either(kinds), written) => {
                let Some(kind) = kinds.iter().find(|kind| has_shape(kind, written)) else {
                    self.mismatch(kind, path, toml);
                    return None;
                };
                return self.value(kind, path, toml);
            }
            _ => Value::Of(self.scalar(kind, path, toml)?),
        };
        Some(Spanned::new(value, at))
    }

    fn map(
        &mut self,
        keys: Keys,
        kind: &'static Kind,
        path: &str,
        toml: &DeTable<'_>,
    ) -> Vec<(Spanned<String>, Node)> {
        let mut read = Vec::new();
        for (key, value) in toml.iter() {
            let name = key.get_ref().as_ref();
            let path = join(path, name);
            self.places.0.insert(path.clone(), (key.span(), value.span()));
            if keys == Keys::Name && !is_name(name) {
                let message = format!("`{name}` is not a name");
                let hint = "a name is made of letters, digits and `. _ / -`".to_owned();
                self.complain(key.span(), message, Some(hint));
            }
            if keys == Keys::Subject && !is_subject(name) {
                let message = format!("`{name}` is no kind and name of a subject");
                let hint =
                    "write `[subject.\"org=acme\"]`, or `\"org=*\"` for all others".to_owned();
                self.complain(key.span(), message, Some(hint));
            }
            let before = self.found.len();
            match self.value(kind, &path, value) {
                Some(node) => read.push((Spanned::new(name.to_owned(), key.span()), node)),
                None if matches!(kind, Kind::Table(_)) => self.flawed.push(WHOLE),
                None => {}
            }
            if self.found.len() > before {
                self.flawed.push(key.span());
            }
        }
        read
    }

    fn scalar(
        &mut self,
        kind: &'static Kind,
        path: &str,
        toml: &Toml<DeValue<'_>>,
    ) -> Option<Quantity> {
        let at = toml.span();
        let read = match (kind, toml.get_ref()) {
            (Kind::Quantity(_) | Kind::Within(..), DeValue::String(text)) => measured(kind, text),
            // A bare number lacks a unit, which the unit's own parser says best.
            (Kind::Quantity(_) | Kind::Within(..), DeValue::Integer(number)) => {
                measured(kind, &number.to_string())
            }
            (Kind::Quantity(_) | Kind::Within(..), DeValue::Float(number)) => {
                measured(kind, number.as_str())
            }
            (Kind::Count { least, most }, DeValue::Integer(number)) => {
                counted(number, *least, *most)
            }
            (Kind::Decimal(least, most), DeValue::Float(number)) => {
                quantity::decimal_within(number.as_str(), least, most)
            }
            (Kind::Decimal(least, most), DeValue::Integer(number)) => {
                quantity::decimal_within(&number.to_string(), least, most)
            }
            (Kind::Flag, DeValue::Boolean(flag)) => Ok(Quantity::Flag(*flag)),
            (Kind::Text, DeValue::String(text)) => {
                let place = (at.clone(), at.clone());
                self.places.0.insert(format!("{path}={text}"), place);
                Ok(Quantity::Text(text.to_string()))
            }
            (Kind::Choice(words), DeValue::String(text)) => chosen(words, text),
            (Kind::Secret, DeValue::String(text)) => {
                if is_reference(text) {
                    Ok(Quantity::Text(text.to_string()))
                } else {
                    self.source.hide(at.clone());
                    Err(Bad {
                        reason: "a key must not stand in a file".to_owned(),
                        hint: KEY.to_owned(),
                    })
                }
            }
            (Kind::Endpoint, DeValue::String(text)) => {
                if is_reference(text) || is_url(text) {
                    Ok(Quantity::Text(text.to_string()))
                } else {
                    self.source.hide(at.clone());
                    let reason =
                        "this is neither a reference nor a URL without credentials".to_owned();
                    Err(Bad { reason, hint: URL.to_owned() })
                }
            }
            _ => {
                self.mismatch(kind, path, toml);
                return None;
            }
        };
        read.map_err(|bad| self.bad(at, path, bad)).ok()
    }

    fn mismatch(&mut self, kind: &Kind, path: &str, toml: &Toml<DeValue<'_>>) {
        if matches!(kind, Kind::Secret | Kind::Endpoint) {
            self.hide_texts(toml);
        }
        let found = match toml.get_ref().type_str() {
            word if word.starts_with(['a', 'e', 'i', 'o', 'u']) => format!("an {word}"),
            word => format!("a {word}"),
        };
        // Of what is no TOML, that has been said.
        if self.foreign && self.complained(&toml.span()) {
            return;
        }
        let message = format!("`{path}` is {found}; expected {}", kind.noun());
        self.complain(toml.span(), message, parts(kind));
    }

    /// Stars every text below `toml`.
    fn hide_texts(&mut self, toml: &Toml<DeValue<'_>>) {
        match toml.get_ref() {
            DeValue::Array(list) => list.iter().for_each(|one| self.hide_texts(one)),
            DeValue::Table(table) => table.values().for_each(|one| self.hide_texts(one)),
            DeValue::String(text) if text.len() > 12 => self.source.hide(toml.span()),
            DeValue::String(_)
            | DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_) => {}
        }
    }
}

/// What a table has in it, for who wrote none.
fn parts(kind: &Kind) -> Option<String> {
    if let Kind::Table(table) = kind {
        let keys: Vec<String> = table.now().map(|field| format!("`{}`", field.name)).collect();
        return Some(format!("its keys are {}", keys.join(", ")));
    }
    matches!(kind, Kind::Map(..)).then(|| "write `{ NAME = ... }`, with an entry for each".into())
}

/// That `root`, which should have been a `table`, is another of our files, if it is.
fn another_kind(root: &DeTable<'_>, table: &'static Table) -> Option<String> {
    let expected = FileKind::ALL.into_iter().find(|kind| std::ptr::eq(kind.table(), table))?;
    let kind = FileKind::guess(root);
    (kind.known(root) > expected.known(root))
        .then(|| format!("this is {}, not {}", kind.noun(), expected.noun()))
}

const KEY: &str =
    "name where it stands: `\"env:OPENAI_API_KEY\"` or `\"file:/run/secrets/openai\"`";
const URL: &str = "write `\"https://...\"`, `\"env:NAME\"` or `\"file:PATH\"`";

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}
