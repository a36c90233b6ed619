//! `seawall check FILE...`

use std::path::PathBuf;

use clap::Args as ClapArgs;
use scenarios::diagnostic::Severity;
use scenarios::file::FileKind;

use crate::exit::{Exit, Stop};
use crate::say;
use crate::source::{self, Source};

/// What `check` takes.
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// Routers, scenarios or suites; without any, what `seawall.toml` of this folder names.
    files: Vec<PathBuf>,
}

pub(crate) fn run(args: &Args) -> Result<Exit, Stop> {
    let files = if args.files.is_empty() { suite_files()? } else { args.files.clone() };
    let mut exit = Exit::Pass;
    for path in &files {
        let source = Source::file(path)?;
        let kind = FileKind::of(&source.text);
        let found = kind.check(&source.name, &source.text);
        let errors = found.iter().filter(|d| d.severity == Severity::Error).count();
        found.iter().try_for_each(|diagnostic| say(&format!("{diagnostic}\n")))?;
        let warnings = found.len() - errors;
        say(&format!("{}: {}\n", source.name, verdict(kind, errors, warnings)))?;
        if errors > 0 {
            exit = Exit::Usage;
        }
    }
    Ok(exit)
}

fn verdict(kind: FileKind, errors: usize, warnings: usize) -> String {
    let plural = |count: usize, word: &str| match count {
        1 => format!("1 {word}"),
        _ => format!("{count} {word}s"),
    };
    let kind = match kind {
        FileKind::Router => "router",
        FileKind::Scenario => "scenario",
        FileKind::Suite => "suite",
    };
    match (errors, warnings) {
        (0, 0) => format!("a valid {kind}"),
        (0, _) => format!("a valid {kind}, {}", plural(warnings, "warning")),
        (_, 0) => format!("{}, read as a {kind}", plural(errors, "mistake")),
        (_, _) => {
            let (errors, warnings) = (plural(errors, "mistake"), plural(warnings, "warning"));
            format!("{errors} and {warnings}, read as a {kind}")
        }
    }
}

/// The suite of this folder, its router, and its scenarios that are files.
fn suite_files() -> Result<Vec<PathBuf>, Stop> {
    let Some(path) = source::suite() else {
        let hint = "hint: name the files to check, or write a suite with `seawall init`";
        return Err(Stop::usage(format!("there is no seawall.toml in this folder\n{hint}")));
    };
    let source = Source::file(&path)?;
    let mut files = vec![path];
    // A suite that cannot be read is reported when its own turn comes.
    if let Ok(suite) = scenarios::suite::read(&source.name, &source.text) {
        let words = suite.scenarios.into_iter().map(|scenario| scenario.value);
        let named = std::iter::once(suite.router.value).chain(words).map(PathBuf::from);
        files.extend(named.filter(|path| path.extension().is_some()));
    }
    Ok(files)
}
