//! A page of text for a terminal, perhaps with colours.

use crate::table::{PAGE, Table, wrap};
use crate::words::clean;

/// Where the text of a verdict begins.
pub(crate) const INDENT: usize = 9;
/// Where the text of a fact begins.
pub(crate) const FACTS: usize = 17;

/// A page that grows downwards. Texts are cleaned of what a terminal would obey.
pub(crate) struct Page {
    text: String,
    colour: bool,
}

/// How a piece of text stands out.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ink {
    Plain,
    Bold,
    Dim,
    Green,
    Red,
    Yellow,
}

impl Ink {
    /// As "select graphic rendition" numbers it (ECMA-48).
    const fn code(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Bold => Some("1"),
            Self::Dim => Some("2"),
            Self::Green => Some("1;32"),
            Self::Red => Some("1;31"),
            Self::Yellow => Some("1;33"),
        }
    }
}

impl Page {
    pub(crate) const fn new(colour: bool) -> Self {
        Self { text: String::new(), colour }
    }

    /// Everything on it.
    pub(crate) fn finish(self) -> String {
        self.text
    }

    /// What was run, and what for.
    pub(crate) fn head(&mut self, title: &str, question: &str, run: &str) {
        for line in wrap(&clean(title), PAGE) {
            self.line(Ink::Bold, &line);
        }
        for line in wrap(&clean(question), PAGE).iter().filter(|line| !line.is_empty()) {
            self.line(Ink::Plain, line);
        }
        for line in wrap(&clean(run), PAGE) {
            self.line(Ink::Dim, &line);
        }
        self.gap();
    }

    /// `label`, and `text` wrapped to the right of it.
    pub(crate) fn item(&mut self, (ink, label): (Ink, &str), indent: usize, text: &str) {
        for (i, line) in wrap(&clean(text), PAGE - indent).iter().enumerate() {
            let label = if i == 0 { label } else { "" };
            self.put(ink, label);
            let space = indent.saturating_sub(label.chars().count());
            self.text.push_str(&" ".repeat(space));
            self.line(Ink::Plain, line);
        }
    }

    /// A table and an empty line, if it has rows.
    pub(crate) fn table(&mut self, table: Table) {
        if table.is_empty() {
            return;
        }
        let (heading, lines) = table.map(clean).lines();
        heading.iter().for_each(|line| self.line(Ink::Dim, line));
        lines.iter().for_each(|line| self.line(Ink::Plain, line));
        self.gap();
    }

    pub(crate) fn notes(&mut self, notes: &[String]) {
        for note in notes {
            self.item((Ink::Yellow, "note"), FACTS, note);
        }
    }

    /// How to run it again, and where the rest is.
    pub(crate) fn ends(&mut self, replay: &str, artefacts: &str) {
        self.gap();
        for (label, text) in [("replay", replay), ("files", artefacts)] {
            if !text.is_empty() {
                // One line however long, to be copied.
                self.put(Ink::Dim, label);
                self.text.push_str(&" ".repeat(FACTS - label.len()));
                self.line(Ink::Plain, &clean(text));
            }
        }
    }

    pub(crate) fn line(&mut self, ink: Ink, text: &str) {
        self.put(ink, text);
        self.text.push('\n');
    }

    /// One empty line, however often it is asked for.
    pub(crate) fn gap(&mut self) {
        if !self.text.ends_with("\n\n") {
            self.text.push('\n');
        }
    }

    fn put(&mut self, ink: Ink, text: &str) {
        match ink.code().filter(|_| self.colour && !text.is_empty()) {
            Some(code) => self.text.push_str(&format!("\x1b[{code}m{text}\x1b[0m")),
            None => self.text.push_str(text),
        }
    }
}
