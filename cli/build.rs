//! Hashes the sources that decide what a run computes, so that every artefact can say which
//! engine made it: two builds of the same sources have the same hash on every machine.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

const ENGINE: [&str; 4] = ["router-core", "sim", "scenarios", "reports"];

fn main() -> io::Result<()> {
    let mut files = Vec::new();
    for name in ENGINE {
        let sources = Path::new("..").join(name).join("src");
        println!("cargo:rerun-if-changed={}", sources.display());
        collect(&sources, &mut files)?;
    }
    files.sort();
    let mut hash = Sha256::new();
    for file in &files {
        let name = file.to_string_lossy().replace('\\', "/");
        hash.update(name.as_bytes());
        hash.update([0]);
        // A checkout may change line ends; the program is the same.
        hash.update(fs::read_to_string(file)?.replace("\r\n", "\n").as_bytes());
        hash.update([0]);
    }
    let hex: String = hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    println!("cargo:rustc-env=SEAWALL_ENGINE={hex}");
    Ok(())
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            files.push(path);
        }
    }
    Ok(())
}
