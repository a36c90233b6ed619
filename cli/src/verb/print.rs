//! `seawall print FILE`, `seawall print -r ROUTER`

use clap::Args as ClapArgs;
use scenarios::file::FileKind;

use crate::exit::{Exit, Stop};
use crate::prepare::mistaken;
use crate::say;
use crate::source::{self, Kind};

/// What `print` takes.
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// A file, or a scenario or router of the library (`viral-spike`, `starter`).
    #[arg(required_unless_present = "router")]
    file: Option<String>,
    /// Print this router: where a scenario has the same name, it needs to be said.
    #[arg(short, long, value_name = "ROUTER", conflicts_with = "file")]
    router: Option<String>,
    /// Print the file as it was written, without the defaults.
    #[arg(long)]
    as_written: bool,
}

pub(crate) fn run(args: &Args) -> Result<Exit, Stop> {
    let source = match (&args.router, &args.file) {
        (Some(router), _) => Kind::Router.source(router)?,
        (None, Some(file)) => source::either(file)?,
        (None, None) => unreachable!("clap asks for one of them"),
    };
    if args.as_written {
        say(&source.text)?;
        return Ok(Exit::Pass);
    }
    let printed = FileKind::of(&source.text).print(&source.name, &source.text);
    say(&printed.map_err(mistaken)?)?;
    Ok(Exit::Pass)
}
