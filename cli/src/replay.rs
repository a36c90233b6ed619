//! The command that repeats a run, and the folder that is named after it.

use std::path::Path;
use std::thread;

use crate::prepare::Prepared;
use crate::say_error;
use crate::source::portable;
use crate::verb::run::Args;

/// A run as the command line asks for it.
#[derive(Clone, Debug)]
pub(crate) struct Command {
    /// As it stands in artefacts: the same wherever the run's files are kept.
    pub(crate) portable: String,
    /// As it stands on the screen: it works in this folder, on this machine.
    pub(crate) here: String,
    /// Its seeds, and how far they went.
    pub(crate) scope: String,
    /// How many calls it stops after, if it does.
    pub(crate) first: Option<u64>,
    /// The name of the file that its arrivals come from, if they come from one.
    pub(crate) trace: Option<String>,
    /// Of all it was given.
    pub(crate) digest: String,
}

impl Command {
    /// Of the seed `first`, or of `count` seeds from it on.
    pub(crate) fn of(args: &Args, prepared: &Prepared, first: u64, count: Option<u32>) -> Self {
        let scope = match (count, args.first) {
            (Some(count), _) => format!("{first}x{count}"),
            (None, Some(calls)) => format!("{first}-first{calls}"),
            (None, None) => first.to_string(),
        };
        let write = |file: fn(&str) -> String, trace: fn(&Path) -> String| {
            let mut words = vec!["seawall run".to_owned(), file(&prepared.scenario.name)];
            words.extend(args.router.as_deref().map(|router| format!("-r {}", file(router))));
            words.push(format!("--seed {first}"));
            words.extend(count.map(|count| format!("--seeds {count}")));
            words.extend(args.first.map(|calls| format!("--first {calls}")));
            words.extend(args.trace.as_deref().map(|path| format!("--trace {}", trace(path))));
            words.extend(prepared.trace.as_deref().map(|hash| format!("# sha256 {hash}")));
            words.join(" ")
        };
        let here = write(quoted, |path| quoted(&path.to_string_lossy()));
        let portable = write(|word| quoted(portable(word)), |path| quoted(&file_name(path)));
        let digest = prepared.digest(&portable);
        let trace = args.trace.as_deref().map(file_name);
        Self { portable, here, scope, first: args.first, trace, digest }
    }

    /// Says how to repeat the run.
    pub(crate) fn tell(&self) {
        say_error(&format!("replay: {}", self.here));
    }

    /// What the run's folder is called: its seeds, and the digest of all it was given.
    pub(crate) fn folder(&self) -> String {
        format!("{}-{}", self.scope, self.digest)
    }
}

/// Does something if it is dropped by a panic: a panic that cannot be repeated teaches nothing.
pub(crate) struct OnPanic<F: Fn()>(pub(crate) F);

impl<F: Fn()> Drop for OnPanic<F> {
    fn drop(&mut self) {
        if thread::panicking() {
            (self.0)();
        }
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// A word as a shell takes it.
pub(crate) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./:+,@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::{OnPanic, quoted};

    #[test]
    fn only_a_panic_is_told_of() {
        let told = Cell::new(0);
        drop(OnPanic(|| told.set(told.get() + 1)));
        assert_eq!(told.get(), 0);
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let _guard = OnPanic(|| told.set(told.get() + 1));
            panic!("as a broken router would");
        }));
        assert!(panicked.is_err());
        assert_eq!(told.get(), 1);
    }

    #[test]
    fn words_are_quoted_only_where_a_shell_needs_it() {
        assert_eq!(quoted("../routers/eu-1.toml"), "../routers/eu-1.toml");
        assert_eq!(quoted("my router.toml"), "'my router.toml'");
        assert_eq!(quoted("it's.toml"), r"'it'\''s.toml'");
        assert_eq!(quoted(""), "''");
    }
}
