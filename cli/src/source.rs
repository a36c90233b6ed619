//! Finding what the command line names: scenarios and routers, by file or by name.

use std::fs;
use std::path::{Path, PathBuf};

use scenarios::library;

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
        let stem = path.file_stem().map_or_else(|| name.clone(), |s| s.to_string_lossy().into());
        Ok(Self { name, stem, text })
    }

    fn entry(entry: library::Entry) -> Self {
        let (name, text) = (entry.name.to_owned(), entry.text.to_owned());
        Self { stem: name.replace('/', "-"), name, text }
    }
}

/// Whether a word is meant as a file: it says so, or there is one.
fn is_path(word: &str) -> bool {
    let path = Path::new(word);
    path.extension().is_some() || path.is_file()
}

/// The scenario `word` names.
pub(crate) fn scenario(word: &str) -> Result<Source, Stop> {
    if is_path(word) {
        return Source::file(Path::new(word));
    }
    library::find(word).map(Source::entry).ok_or_else(|| {
        let names: Vec<&str> = library::scenarios().iter().map(|entry| entry.name).collect();
        Stop::usage(unknown("scenario", word, &names))
    })
}

/// The router `word` names.
pub(crate) fn router(word: &str) -> Result<Source, Stop> {
    if is_path(word) {
        return Source::file(Path::new(word));
    }
    library::router(word)
        .map(Source::entry)
        .ok_or_else(|| Stop::usage(unknown("router", word, &["starter", "thousand-rps"])))
}

fn unknown(kind: &str, word: &str, names: &[&str]) -> String {
    let hint = scenarios::diagnostic::did_you_mean(word, names.iter().copied());
    let known = names.join(", ");
    format!("there is no {kind} `{word}`, and no such file\nthere are: {known}\nhint: {hint}")
}

/// The suite file of this folder, if there is one.
pub(crate) fn suite() -> Option<PathBuf> {
    let path = PathBuf::from("seawall.toml");
    path.is_file().then_some(path)
}
