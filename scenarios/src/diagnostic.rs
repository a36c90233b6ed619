//! What is wrong with a file, said to a person: place, message, line, carets, hint.

use std::fmt;
use std::ops::Range;

use crate::written::Mistake;

/// One thing to say about one place in a file.
///
/// `Display` is plain text and needs no colour:
/// ```text
/// router.toml:14:1: unknown key `weigth` in [group.chat]
///    14 | weigth = 3
///       | ^^^^^^
/// hint: did you mean `weight`?
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Diagnostic {
    /// Whether the file can be used nevertheless.
    pub severity: Severity,
    /// The file, as it was named.
    pub file: String,
    /// The line, from one.
    pub line: usize,
    /// The character in the line, from one.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// The line itself, secrets starred, and how many characters of it the carets mark.
    excerpt: (String, usize),
}

/// Whether a file can be used nevertheless.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Severity {
    /// It cannot.
    Error,
    /// It can, but somebody should look.
    Warning,
}

impl Diagnostic {
    /// With a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(printable(&hint.into()));
        self
    }

    /// As a warning.
    #[must_use]
    pub fn warning(mut self) -> Self {
        self.severity = Severity::Warning;
        self
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let warning = match self.severity {
            Severity::Error => "",
            Severity::Warning => "warning: ",
        };
        let Self { file, line, column, message, .. } = self;
        writeln!(f, "{file}:{line}:{column}: {warning}{message}")?;
        let (text, width) = &self.excerpt;
        let (text, column) = window(text, *column);
        let under: String =
            text.chars().take(column - 1).map(|c| if c == '\t' { c } else { ' ' }).collect();
        let most = text.chars().count().saturating_sub(column - 1).max(1);
        writeln!(f, "{line:5} | {}", text.trim_end())?;
        writeln!(f, "      | {under}{}", "^".repeat((*width).clamp(1, most)))?;
        match &self.hint {
            Some(hint) => writeln!(f, "hint: {hint}"),
            None => Ok(()),
        }
    }
}

/// Very long lines are cut so that the carets stay in sight; dots stand where.
fn window(text: &str, column: usize) -> (String, usize) {
    const WIDTH: usize = 100;
    const BEFORE: usize = 40;
    let count = text.chars().count();
    if count <= WIDTH {
        return (text.to_owned(), column);
    }
    let skipped = (column - 1).saturating_sub(BEFORE);
    let shown = text.chars().skip(skipped).take(WIDTH).enumerate();
    let cut = |at: usize| skipped > 0 && at < 3 || skipped + WIDTH < count && at >= WIDTH - 3;
    (shown.map(|(at, c)| if cut(at) { '.' } else { c }).collect(), column - skipped)
}

/// A file's name and text, and what of it must not be shown.
pub(crate) struct Source<'t> {
    name: &'t str,
    text: &'t str,
    secrets: Vec<Range<usize>>,
}

impl<'t> Source<'t> {
    pub(crate) const fn new(name: &'t str, text: &'t str) -> Self {
        Self { name, text, secrets: Vec::new() }
    }

    /// Stars `at` in every excerpt made from now on.
    pub(crate) fn hide(&mut self, at: Range<usize>) {
        self.secrets.push(at);
    }

    /// Says `mistake` where it is.
    pub(crate) fn show(&self, mistake: &Mistake) -> Diagnostic {
        let shown = self.diagnostic(mistake.at.clone(), mistake.message.clone());
        Diagnostic { hint: mistake.hint.as_deref().map(printable), ..shown }
    }

    /// Says `message` about `at`.
    pub(crate) fn diagnostic(&self, at: Range<usize>, message: impl Into<String>) -> Diagnostic {
        let start = floor(self.text, at.start);
        let end = floor(self.text, at.end).max(start);
        let from = self.text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let to = self.text[start..].find('\n').map_or(self.text.len(), |n| start + n);
        let to = start + self.text[start..to].trim_end_matches('\r').len();
        let width = self.text[start..end.min(to)].chars().count();
        Diagnostic {
            severity: Severity::Error,
            file: self.name.to_owned(),
            line: self.text[..from].matches('\n').count() + 1,
            column: self.text[from..start].chars().count() + 1,
            message: printable(&message.into()),
            hint: None,
            excerpt: (self.shown(from..to), width),
        }
    }

    /// A line of the file as it may be shown.
    fn shown(&self, line: Range<usize>) -> String {
        let text = &self.text[line.clone()];
        let speaks_of_keys = text.to_ascii_lowercase().contains("key");
        let mut quoted = None;
        let mut shown = String::new();
        for (offset, c) in text.char_indices() {
            let at = line.start + offset;
            // A line that speaks of keys may hold one that is not understood as such.
            match quoted {
                None if c == '"' || c == '\'' => quoted = Some((c, is_harmless(&text[offset..]))),
                Some((quote, _)) if c == quote => quoted = None,
                _ => {
                    let in_string = matches!(quoted, Some((_, false))) && speaks_of_keys;
                    let secret = self.secrets.iter().any(|secret| secret.contains(&at));
                    shown.push(if in_string || secret { '*' } else { visible(c) });
                    continue;
                }
            }
            shown.push(c);
        }
        shown
    }
}

/// Whether a quoted text may be shown: it begins as a reference to a secret, or is a percentage.
fn is_harmless(quoted: &str) -> bool {
    let inner = &quoted[1..];
    let share = inner.find(['"', '\'']).and_then(|end| inner[..end].strip_suffix('%'));
    let is_share = |share: &str| share.chars().all(|c| c.is_ascii_digit() || "-. ".contains(c));
    inner.starts_with("env:") || inner.starts_with("file:") || share.is_some_and(is_share)
}

/// A text that cannot steer a terminal.
fn printable(text: &str) -> String {
    text.chars().map(visible).collect()
}

fn visible(c: char) -> char {
    if c.is_control() && c != '\t' { char::REPLACEMENT_CHARACTER } else { c }
}

fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
}

/// Sorted by place, each once.
pub(crate) fn sorted(mut found: Vec<Diagnostic>) -> Vec<Diagnostic> {
    found.sort_by_key(|d| (d.line, d.column));
    found.dedup();
    found
}

/// The one of `known` that `word` was probably meant to be.
pub(crate) fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let most = (word.chars().count() / 3).max(1);
    let near = known.into_iter().map(|name| (distance(word, name), name));
    near.filter(|(distance, _)| *distance <= most).min_by_key(|(d, _)| *d).map(|(_, name)| name)
}

/// A hint for a word that is none of `known`.
pub fn did_you_mean<'k>(word: &str, known: impl Iterator<Item = &'k str> + Clone) -> String {
    if let Some(name) = nearest(word, known.clone()) {
        return format!("did you mean `{name}`?");
    }
    let names: Vec<String> = known.take(12).map(|name| format!("`{name}`")).collect();
    if names.is_empty() {
        "there is none yet".to_owned()
    } else {
        format!("known: {}", names.join(", "))
    }
}

/// Edits from one word to another: insert, delete, replace, or swap two neighbours.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) =
        (a.chars().take(64).collect(), b.chars().take(64).collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}
