//! Finding what the command line names: scenarios and routers, by file or by name.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use scenarios::library;
use sha2::{Digest, Sha256};
use sim::TraceRow;

use crate::exit::Stop;

/// A text and where it came from.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// What messages call it: the path as typed, or the library's name.
    pub(crate) name: String,
    /// Its last part without an ending: what folders are called.
    pub(crate) stem: String,
    pub(crate) text: String,
}

impl Source {
    /// Reads a file.
    pub(crate) fn file(path: &Path) -> Result<Self, Stop> {
        let name = path.display().to_string();
        let bytes = fs::read(path).map_err(|error| Stop::usage(format!("{name}: {error}")))?;
        let text = scenarios::file::utf8(&name, &bytes)
            .map_err(|found| {
                Stop::usage(found.iter().map(ToString::to_string).collect::<String>())
            })?
            .to_owned();
        Ok(Self { stem: stem(path), name, text })
    }

    fn entry(entry: library::Entry) -> Self {
        let (name, text) = (entry.name.to_owned(), entry.text.to_owned());
        Self { stem: name.replace('/', "-"), name, text }
    }
}

/// What the folder of a scenario's runs is called. `latest` stands for the newest run.
fn stem(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    if stem.eq_ignore_ascii_case("latest") { format!("{stem}-scenario") } else { stem }
}

/// A path as artefacts name it: as it was typed, but never where on this machine a file is.
pub(crate) fn portable(word: &str) -> &str {
    let path = Path::new(word);
    let name = path.file_name().and_then(OsStr::to_str);
    name.filter(|_| path.is_absolute()).unwrap_or(word)
}

/// Whether a word is meant as a file: it says so, or there is one.
pub(crate) fn is_path(word: &str) -> bool {
    let path = Path::new(word);
    path.extension().is_some() || path.exists() && !path.is_dir()
}

/// A file as another names it: beside that one. Names of the library stay as they are.
pub(crate) fn beside(other: &Source, word: &str) -> String {
    let path = Path::new(&other.name).with_file_name(word);
    if is_path(word) || path.is_file() { path.display().to_string() } else { word.to_owned() }
}

/// What a word can name.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Scenario,
    Router,
}

impl Kind {
    /// What `word` names.
    pub(crate) fn source(self, word: &str) -> Result<Source, Stop> {
        if is_path(word) {
            return Source::file(Path::new(word)).map_err(|stop| self.without_ending(word, stop));
        }
        self.of_library(word).map(Source::entry).ok_or_else(|| {
            let (message, hint) = self.unknown(word);
            Stop::usage(format!("{message}\nhint: {hint}"))
        })
    }

    fn of_library(self, name: &str) -> Option<library::Entry> {
        match self {
            Self::Scenario => library::find(name),
            Self::Router => library::router(name),
        }
    }

    /// Hints at the library where a file of its name is not there.
    fn without_ending(self, word: &str, stop: Stop) -> Stop {
        let name = word.strip_suffix(".toml").filter(|_| !Path::new(word).exists());
        match name.and_then(|name| self.of_library(name)) {
            Some(entry) => {
                let hint = format!("hint: `{}` alone is the one of the library", entry.name);
                Stop { message: format!("{}\n{hint}", stop.message), ..stop }
            }
            None => stop,
        }
    }

    /// That nothing is called `word`, and what it was probably meant to be.
    pub(crate) fn unknown(self, word: &str) -> (String, String) {
        let (kind, known): (_, Vec<&str>) = match self {
            Self::Scenario => ("scenario", library::scenarios().iter().map(|e| e.name).collect()),
            Self::Router => ("router", library::routers().map(|e| e.name).collect()),
        };
        let hint = scenarios::diagnostic::did_you_mean(word, known.into_iter());
        (format!("there is no {kind} `{word}`, and no such file"), hint)
    }
}

/// The scenario or router `word` names.
pub(crate) fn either(word: &str) -> Result<Source, Stop> {
    let scenario = Kind::Scenario.source(word);
    scenario.or_else(|no_scenario| Kind::Router.source(word).map_err(|_| no_scenario))
}

/// The library, for people who ask what there is.
pub(crate) fn catalogue() -> String {
    let line = |entry: &library::Entry| {
        let title = scenarios::scenario::read(entry.name, entry.text).map(|spec| spec.title);
        format!("  {:22}{}\n", entry.name, title.unwrap_or_default())
    };
    let scenarios: String = library::scenarios().iter().map(line).collect();
    let [first, .., last] = library::lessons().map(|lesson| lesson.scenario.name);
    format!(
        "scenarios:\n{scenarios}routers:\n  starter\n  thousand-rps\n  NAME, NAME-careless   with and \
         without what NAME is about: {first} to {last}\n"
    )
}

/// Recorded arrivals.
#[derive(Clone, Debug)]
pub(crate) struct Trace {
    pub(crate) rows: Arc<[TraceRow]>,
    /// The SHA-256 of the file's bytes, in hexadecimal.
    pub(crate) hash: String,
}

/// Reads a trace.
pub(crate) fn trace(path: &Path) -> Result<Trace, Stop> {
    let name = path.display();
    let bytes = fs::read(path).map_err(|error| Stop::usage(format!("{name}: {error}")))?;
    let rows = scenarios::trace::read(&bytes).map_err(|bad| {
        let lines = bad.rows.iter().map(|row| format!("{name}:{}: {}\n", row.line, row.message));
        let more =
            if bad.more > 0 { format!("and {} more rows\n", bad.more) } else { String::new() };
        Stop::usage(lines.chain([more]).collect::<String>())
    })?;
    Ok(Trace { rows, hash: hex(&Sha256::digest(&bytes)) })
}

/// Bytes in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What the file of a team's router, objectives and suite is called.
pub(crate) const SUITE: &str = "seawall.toml";

/// The suite file of this folder, if there is one.
pub(crate) fn suite() -> Option<PathBuf> {
    let path = PathBuf::from(SUITE);
    path.is_file().then_some(path)
}
