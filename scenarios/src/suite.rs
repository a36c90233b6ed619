//! `seawall.toml`: a team's router, scenarios and objectives.

use crate::diagnostic::Diagnostic;
use crate::field::SUITE_FILE;
use crate::read::{Reader, Section};
use crate::scenario::expectations;
use crate::written::Spanned;

/// A suite, as written.
#[derive(Clone, Debug)]
pub struct Suite {
    /// `suite.router`, beside this file.
    pub router: Spanned<String>,
    /// `suite.scenarios`: names from the library, or files, for `check` alone.
    pub scenarios: Vec<Spanned<String>>,
    /// `[slo]`: a name, and one expectation or several that must all hold.
    pub slo: Vec<(Spanned<String>, Vec<Spanned<String>>)>,
}

/// Reads the suite file `text`, which is called `file` in messages.
///
/// # Errors
/// Everything that is wrong with it, in the order of the file.
pub fn read(file: &str, text: &str) -> Result<Suite, Vec<Diagnostic>> {
    read_section(file, text).map(|(suite, _)| suite)
}

/// A suite, and its file's values for `print`.
pub(crate) fn read_section(file: &str, text: &str) -> Result<(Suite, Section), Vec<Diagnostic>> {
    let (mut reader, root) = Reader::read(file, text, &SUITE_FILE);
    let slo = expectations(root.map("slo"), &mut reader);
    let section = root.section("suite").expect("an absent table is an empty one");
    let suite = Suite {
        router: section.spanned("router").expect("it has a default"),
        scenarios: section.texts("scenarios"),
        slo,
    };
    reader.finish((suite, root))
}
