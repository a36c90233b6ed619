//! What can be said of any of our files, whatever its kind.

use toml::de::DeTable;

use crate::diagnostic::{Diagnostic, Source, sorted};
use crate::field::{ROUTER_FILE, SCENARIO_FILE, SUITE_FILE, Table};
use crate::written::Mistake;
use crate::{print, router, scenario, schema, suite};

/// Which of our files one is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FileKind {
    /// `router.toml`.
    Router,
    /// A scenario.
    Scenario,
    /// `seawall.toml`.
    Suite,
}

impl FileKind {
    /// Every kind, in the order in which people meet them.
    pub const ALL: [Self; 3] = [Self::Router, Self::Scenario, Self::Suite];

    /// What `text` is, going by its keys at the top: the kind that knows most of them, a router
    /// before a scenario before a suite.
    pub fn of(text: &str) -> Self {
        let (root, _) = DeTable::parse_recoverable(text);
        Self::guess(root.get_ref())
    }

    /// The same of a file that is already TOML.
    pub(crate) fn guess(root: &DeTable<'_>) -> Self {
        // Fewest unknown, not most known: of equals the first is taken.
        let unknown = |kind: &Self| root.len() - kind.known(root);
        Self::ALL.into_iter().min_by_key(unknown).unwrap_or(Self::Router)
    }

    /// How many of the keys at the top of `root` this kind has.
    pub(crate) fn known(self, root: &DeTable<'_>) -> usize {
        root.keys().filter(|key| self.table().field(key.get_ref()).is_some()).count()
    }

    /// Its keys.
    pub fn table(self) -> &'static Table {
        match self {
            Self::Router => &ROUTER_FILE,
            Self::Scenario => &SCENARIO_FILE,
            Self::Suite => &SUITE_FILE,
        }
    }

    /// What one is called.
    pub(crate) const fn noun(self) -> &'static str {
        match self {
            Self::Router => "a router file",
            Self::Scenario => "a scenario",
            Self::Suite => "a suite",
        }
    }

    /// A JSON Schema (draft 2020-12) of such files, as text.
    pub fn schema(self) -> String {
        schema::text(self.table())
    }

    /// Every key with its unit, default and sentence, as Markdown.
    pub fn reference(self) -> String {
        schema::reference(self.table())
    }

    /// What `text` amounts to: the same file with every default filled in and every key
    /// explained. It reads back as the same thing.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn print(self, file: &str, text: &str) -> Result<String, Vec<Diagnostic>> {
        let section = match self {
            Self::Router => router::read_section(file, text)?.1,
            Self::Scenario => scenario::read_section(file, text)?.1,
            Self::Suite => suite::read_section(file, text)?.1,
        };
        Ok(print::file(&section))
    }

    /// What is wrong with `text`, and what is only worth a look.
    pub fn check(self, file: &str, text: &str) -> Vec<Diagnostic> {
        match self {
            Self::Router => router::read(file, text).map_or_else(|e| e, |router| router.warnings),
            Self::Scenario => scenario::read(file, text).err().unwrap_or_default(),
            Self::Suite => suite::read(file, text).err().unwrap_or_default(),
        }
    }
}

/// The bytes of a file as text.
///
/// # Errors
/// If they are not UTF-8: where they cease to be.
pub fn utf8<'b>(file: &str, bytes: &'b [u8]) -> Result<&'b str, Vec<Diagnostic>> {
    std::str::from_utf8(bytes).map_err(|error| {
        let good = &bytes[..error.valid_up_to()];
        let good = std::str::from_utf8(good).expect("it is valid up to there");
        let message = "this is not text: the file must be UTF-8";
        vec![Source::new(file, good).diagnostic(good.len()..good.len(), message)]
    })
}

/// Mistakes found after reading, shown in the file's text.
pub fn show(file: &str, text: &str, mistakes: &[Mistake]) -> Vec<Diagnostic> {
    let source = Source::new(file, text);
    sorted(mistakes.iter().map(|mistake| source.show(mistake)).collect())
}
