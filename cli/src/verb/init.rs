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
    /// Where to.
    #[arg(default_value = ".")]
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
    for (name, text) in files {
        write(&args.folder.join(name), text)?;
        say(&format!("wrote {}\n", args.folder.join(name).display()))?;
    }
    say("next: seawall run viral-spike -r router.toml --open\n")?;
    Ok(Exit::Pass)
}

fn write(path: &Path, text: &str) -> Result<(), Stop> {
    let folder = path.parent().map_or(Ok(()), fs::create_dir_all);
    folder
        .and_then(|()| fs::write(path, text))
        .map_err(|error| Stop::environment(&format!("cannot write {}", path.display()), &error))
}
