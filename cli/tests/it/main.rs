//! The program as people use it: real processes, in folders of their own.

mod check;
mod codes;
mod explain;
mod folder;
mod init;
mod library;
mod record;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// A folder to work in, and the program.
struct Desk(TempDir);

/// What the program said, and how it ended.
#[derive(Debug)]
struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Desk {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder to work in"))
    }

    /// The same, with a file more.
    fn with(self, name: &str, text: &str) -> Self {
        fs::write(self.path(name), text).expect("it can be written");
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// What a folder holds, hidden files included, in order.
    fn names(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(folder)).expect("it is a folder");
        let mut names: Vec<String> = entries
            .map(|entry| entry.expect("it is there").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    /// `seawall` with these words, ready to start here.
    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_seawall"));
        command.args(line.split_whitespace()).current_dir(self.0.path());
        command.env("COLUMNS", "100").env_remove("NO_COLOR");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs `seawall` with these words.
    fn seawall(&self, line: &str) -> Said {
        Said::from(self.command(line).output().expect("it can be started"))
    }
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("it speaks UTF-8");
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

impl Said {
    /// Itself, if it ended so.
    fn ended(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        self
    }

    /// All of it, for a snapshot. The hash in a folder's name changes with every source file.
    fn whole(&self) -> String {
        let Self { code, out, err } = self;
        let code = code.map_or_else(|| "none".to_owned(), |code| code.to_string());
        let text = format!("{out}--- stderr\n{err}--- exit {code}\n");
        text.lines().map(without_hash).collect::<Vec<_>>().join("\n")
    }
}

/// A line without the hash that ends a run's folder.
fn without_hash(line: &str) -> String {
    let is_hash = |word: &str| word.len() == 12 && word.bytes().all(|b| b.is_ascii_hexdigit());
    match line.rsplit_once('-') {
        Some((before, hash)) if is_hash(hash) => format!("{before}-HASH"),
        Some(_) | None => line.to_owned(),
    }
}
