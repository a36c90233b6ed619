//! `--twice`: the same run in two processes, every byte compared.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{self, Command, Stdio};

use crate::exit::{Exit, Stop};
use crate::folder::first_difference;
use crate::say;
use crate::verb::run::Args;

/// Runs what `args` say in two fresh processes, recording everything, and compares.
///
/// # Errors
/// [`Exit::Nondeterminism`] with the first difference, if there is one.
pub(crate) fn prove(args: &Args) -> Result<(), Stop> {
    let aside = args.out.join(format!(".twice.{}", process::id()));
    let outcome = compare(args, &aside);
    // Both runs are copies of what this process writes; losing the folder loses nothing.
    let _ = std::fs::remove_dir_all(&aside);
    let files = outcome?;
    say(&format!("twice            two processes wrote the same bytes in {files} files\n"))
}

fn compare(args: &Args, aside: &Path) -> Result<usize, Stop> {
    let folders = [aside.join("one"), aside.join("two")];
    for folder in &folders {
        child(args, folder)?;
    }
    let [one, two] = folders.map(|folder| folder.join("latest"));
    let unreadable = |error| Stop::environment("cannot compare the two runs", &error);
    match first_difference(&one, &two).map_err(unreadable)? {
        None => Ok(std::fs::read_dir(&one).map_err(unreadable)?.count()),
        Some(difference) => {
            let message = format!("two runs of the same seed differ\n{difference}");
            Err(Stop { exit: Exit::Nondeterminism, message })
        }
    }
}

fn child(args: &Args, out: &PathBuf) -> Result<(), Stop> {
    let failed = |error| Stop::environment("cannot start another seawall", &error);
    let mut command = Command::new(env::current_exe().map_err(failed)?);
    command.arg("run").arg(&args.scenario).arg("--record").arg("--out").arg(out);
    if let Some(router) = &args.router {
        command.arg("--router").arg(router);
    }
    if let Some(seed) = args.seed {
        command.args(["--seed", &seed.to_string()]);
    }
    if let Some(trace) = &args.trace {
        command.arg("--trace").arg(trace);
    }
    if let Some(first) = args.first {
        command.args(["--first", &first.to_string()]);
    }
    let output = command.stdin(Stdio::null()).output().map_err(failed)?;
    if out.join("latest").exists() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(Stop { exit: Exit::Environment, message: format!("a run did not come to its end\n{said}") })
}
