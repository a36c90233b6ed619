//! `--twice`: the same run in a second process, every byte compared.

use std::env;
use std::fs;
use std::io::Read;
use std::path::PathBuf;
use std::process::{self, Child, Command, Stdio};

use crate::engine::{Stretch, Watch, fly};
use crate::exit::{Exit, Stop};
use crate::folder::{Artefacts, first_difference, read_all};
use crate::prepare::Prepared;
use crate::verb::run::Args;

/// The same run in another process, which writes beside this one's runs until it is dropped.
pub(crate) struct Twin {
    child: Child,
    aside: PathBuf,
}

impl Twin {
    /// Starts what `args` say in a fresh process.
    pub(crate) fn start(args: &Args) -> Result<Self, Stop> {
        let failed = |error| Stop::environment("cannot start another seawall", &error);
        let aside = args.out.join(format!(".twice.{}", process::id()));
        let mut command = Command::new(env::current_exe().map_err(failed)?);
        command.arg("run").args(&args.scenario).arg("--out").arg(&aside);
        command.args(args.router.iter().flat_map(|router| ["--router", router]));
        command.args(args.seed.iter().flat_map(|seed| ["--seed".to_owned(), seed.to_string()]));
        command.args(args.first.iter().flat_map(|n| ["--first".to_owned(), n.to_string()]));
        if let Some(trace) = &args.trace {
            command.arg("--trace").arg(trace);
        }
        let flags = [(args.record, "--record"), (args.png, "--png")];
        command.args(flags.iter().filter(|(on, _)| *on).map(|(_, flag)| flag));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        Ok(Self { child: command.spawn().map_err(failed)?, aside })
    }

    /// Waits for it, compares with `ours`, and says how many files are the same.
    ///
    /// # Errors
    /// [`Exit::Nondeterminism`] with the first difference, if there is one.
    pub(crate) fn prove(
        self,
        args: &Args,
        prepared: &Prepared,
        ours: &Artefacts,
    ) -> Result<usize, Stop> {
        let theirs = self.finish()?;
        let Some(found) = first_difference(ours, &theirs) else { return Ok(theirs.len()) };
        let event = if args.record { None } else { first_event(args, prepared)? };
        let found = event.unwrap_or(found);
        let message = format!("two runs of the same seed differ\n{found}");
        Err(Stop { exit: Exit::Nondeterminism, message })
    }

    /// What it wrote.
    fn finish(mut self) -> Result<Artefacts, Stop> {
        let failed = |error| Stop::environment("cannot read the second run", &error);
        let mut said = String::new();
        if let Some(mut stderr) = self.child.stderr.take() {
            stderr.read_to_string(&mut said).map_err(failed)?;
        }
        self.child.wait().map_err(failed)?;
        let latest = self.aside.join("latest");
        if !latest.exists() {
            let message = format!("the second run did not come to its end\n{said}");
            return Err(Stop { exit: Exit::Environment, message });
        }
        read_all(&latest).map_err(failed)
    }
}

impl Drop for Twin {
    fn drop(&mut self) {
        // All of this may be over already, and what it wrote is a copy: losing it loses nothing.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.aside);
    }
}

/// Runs both once more, recording, to show the first event that differs.
fn first_event(args: &Args, prepared: &Prepared) -> Result<Option<String>, Stop> {
    let twin = Twin::start(&Args { record: true, ..args.clone() })?;
    let watch = Watch { record: Some(Stretch::WHOLE), calls: false, first: args.first };
    let record = fly(prepared, prepared.seed, watch, |_, _| {})?.record.unwrap_or_default();
    let only = |record: Vec<u8>| Artefacts::from([("record".to_owned(), record)]);
    let theirs = twin.finish()?.remove("record").unwrap_or_default();
    Ok(first_difference(&only(record.into_bytes()), &only(theirs)))
}
