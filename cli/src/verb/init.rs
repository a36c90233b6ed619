//! `seawall init`

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;
use scenarios::library;

use crate::exit::{Exit, Stop};
use crate::say;

/// What `init` takes.
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// The folder to write them into.
    #[arg(default_value = ".", value_name = "DIR")]
    folder: PathBuf,
}

const WORKFLOW: &str = include_str!("init/workflow.yml");
const SUITE: &str = include_str!("init/seawall.toml");

pub(crate) fn run(args: &Args) -> Result<Exit, Stop> {
    let files = [
        ("router.toml", library::STARTER.text),
        ("seawall.toml", SUITE),
        (".github/workflows/seawall.yml", WORKFLOW),
    ];
    let there: Vec<&str> = files
        .iter()
        .map(|(name, _)| *name)
        .filter(|name| args.folder.join(name).exists())
        .collect();
    if !there.is_empty() {
        let hint = "hint: nothing was written; move them away, or name another folder";
        return Err(Stop::usage(format!("there already: {}\n{hint}", there.join(", "))));
    }
    let mut written: Vec<PathBuf> = Vec::new();
    for (name, text) in files {
        let path = args.folder.join(name);
        let done = path.parent().map_or(Ok(()), fs::create_dir_all);
        if let Err(error) = done.and_then(|()| fs::write(&path, text)) {
            // Half a start is worse than none, and would be in the way of the next try.
            written.iter().for_each(|path| drop(fs::remove_file(path)));
            return Err(Stop::environment(&format!("cannot write {}", path.display()), &error));
        }
        written.push(path);
    }
    for path in &written {
        say(&format!("wrote {}\n", path.display()))?;
    }
    let there = if args.folder == Path::new(".") { "" } else { "in that folder, " };
    say(&format!("next: {there}seawall run viral-spike --open\n"))?;
    Ok(Exit::Pass)
}
