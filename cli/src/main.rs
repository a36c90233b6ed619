//! `seawall`: a flight simulator for LLM traffic routing. One file per verb.

mod engine;
mod exit;
mod folder;
mod landed;
mod later;
mod prepare;
mod progress;
mod replay;
mod source;
mod verb;
mod worst;

use std::env;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::exit::Stop;

/// A flight simulator for LLM traffic routing.
///
/// Write the router's configuration once, crash it in virtual time, then deploy the same code.
#[derive(Debug, Parser)]
#[command(
    name = "seawall",
    version,
    max_term_width = 100,
    after_help = "Try `seawall run viral-spike`, then `seawall init` for a router of your own."
)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Fly a scenario against a router, and say what held and why.
    Run(Box<verb::run::Args>),
    /// Tell what happened to one call of a run, or where a metric of it went.
    Explain(verb::explain::Args),
    /// Find everything that is wrong with files, each mistake with its place.
    Check(verb::check::Args),
    /// Print a file with every default filled in and explained.
    Print(verb::print::Args),
    /// Print the JSON Schema of a kind of file, for your editor.
    Schema(verb::schema::Args),
    /// Write a router to start from, a suite and a CI workflow.
    Init(verb::init::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.verb {
        Verb::Run(args) => verb::run::run(&args),
        Verb::Explain(args) => verb::explain::run(&args),
        Verb::Check(args) => verb::check::run(&args),
        Verb::Print(args) => verb::print::run(&args),
        Verb::Schema(args) => verb::schema::run(&args),
        Verb::Init(args) => verb::init::run(&args),
    };
    let exit = done.unwrap_or_else(|Stop { exit, message }| {
        say_error(&message);
        exit
    });
    ExitCode::from(exit.code())
}

/// Prints to standard output. A reader that has gone away (`seawall ... | head`) is no error.
pub(crate) fn say(text: &str) -> Result<(), Stop> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Stop::environment("cannot write to standard output", &error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Whether standard output takes colours: it is a terminal, and nobody said <https://no-color.org>.
pub(crate) fn colour() -> bool {
    io::stdout().is_terminal() && env::var_os("NO_COLOR").is_none_or(|said| said.is_empty())
}

/// Prints a message to standard error, where nobody may be listening.
pub(crate) fn say_error(message: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", message.trim_end());
}
