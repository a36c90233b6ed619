//! `seawall schema router|scenario|suite`

use clap::{Args as ClapArgs, ValueEnum};
use scenarios::file::FileKind;

use crate::exit::{Exit, Stop};
use crate::say;

/// What `schema` takes.
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// The kind of file.
    kind: Kind,
    /// Print a reference for people instead: every key with its unit, default and meaning.
    #[arg(long)]
    markdown: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    Router,
    Scenario,
    Suite,
}

pub(crate) fn run(args: &Args) -> Result<Exit, Stop> {
    let kind = match args.kind {
        Kind::Router => FileKind::Router,
        Kind::Scenario => FileKind::Scenario,
        Kind::Suite => FileKind::Suite,
    };
    say(&if args.markdown { kind.reference() } else { kind.schema() })?;
    Ok(Exit::Pass)
}
