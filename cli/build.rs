//! Hashes the sources that decide what a run computes and writes, so that every artefact can say
//! which engine made it: two builds of the same sources have the same hash on every machine.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// Every crate, the fonts that charts are drawn with, and the versions of all that is used. The
/// library's files are not among them: a run hashes the texts that it was given.
const ENGINE: [&str; 7] = [
    "router-core/src",
    "sim/src",
    "scenarios/src",
    "reports/src",
    "reports/fonts",
    "cli/src",
    "Cargo.lock",
];

/// The endings of files that end up in the program.
const ENDINGS: [&str; 4] = ["rs", "css", "otf", "lock"];

fn main() -> io::Result<()> {
    let mut files = Vec::new();
    for name in ENGINE {
        let sources = Path::new("..").join(name);
        println!("cargo:rerun-if-changed={}", sources.display());
        collect(sources, &mut files)?;
    }
    files.sort();
    let mut hash = Sha256::new();
    for file in &files {
        let name = file.to_string_lossy().replace('\\', "/");
        hash.update(name.as_bytes());
        hash.update([0]);
        hash.update(unix(fs::read(file)?));
        hash.update([0]);
    }
    let hex: String = hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    println!("cargo:rustc-env=SEAWALL_ENGINE={hex}");
    Ok(())
}

/// A checkout may change the line ends of texts; the program is the same.
fn unix(bytes: Vec<u8>) -> Vec<u8> {
    match String::from_utf8(bytes) {
        Ok(text) => text.replace("\r\n", "\n").into_bytes(),
        Err(not_text) => not_text.into_bytes(),
    }
}

fn collect(path: PathBuf, files: &mut Vec<PathBuf>) -> io::Result<()> {
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            collect(entry?.path(), files)?;
        }
    } else if path.extension().is_some_and(|ending| ENDINGS.iter().any(|known| ending == *known)) {
        files.push(path);
    }
    Ok(())
}
