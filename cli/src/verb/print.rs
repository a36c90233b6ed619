//! `seawall print FILE`

use clap::Args as ClapArgs;
use scenarios::file::FileKind;

use crate::exit::{Exit, Stop};
use crate::source;
use crate::{say, say_error};

/// What `print` takes.
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// A file, or the name of a scenario or router of the library (`viral-spike`, `starter`).
    file: String,
    /// Print the file as it was written, without the defaults.
    #[arg(long)]
    as_written: bool,
}

pub(crate) fn run(args: &Args) -> Result<Exit, Stop> {
    let source = match source::scenario(&args.file) {
        Ok(source) => source,
        Err(no_scenario) => source::router(&args.file).map_err(|_| no_scenario)?,
    };
    if args.as_written {
        say(&source.text)?;
        return Ok(Exit::Pass);
    }
    match FileKind::of(&source.text).print(&source.name, &source.text) {
        Ok(text) => {
            say(&text)?;
            Ok(Exit::Pass)
        }
        Err(mistakes) => {
            mistakes.iter().for_each(|mistake| say_error(&format!("{mistake}\n")));
            Ok(Exit::Usage)
        }
    }
}
