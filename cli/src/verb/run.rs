//! `seawall run SCENARIO`

use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;

use crate::engine::{Flown, Stretch, Watch, fly};
use crate::exit::{Exit, Stop};
use crate::folder::{Placed, place};
use crate::landed::Landed;
use crate::prepare::{Prepared, Wanted, prepare};
use crate::replay::{Command, OnPanic};
use crate::verb::seeds;
use crate::verb::twice::Twin;
use crate::{colour, progress, say, say_error, source};

const AFTER_HELP: &str = "\
`seawall run --list` shows the scenarios that come with seawall.

Exit codes:
    0  every expectation held
    1  an expectation failed
    2  a file or a usage is wrong; nothing was written
    3  an invariant was violated: a bug of the router
    4  no recovery after the last fault healed
    5  two runs that should be the same were not
    6  undecided: no data for an expectation, or a fault that never fired
    7  the environment failed: disk full, no permission
  101  a panic
  130  stopped by Ctrl-C: no verdict, and no run half written";

/// What `run` takes.
#[derive(Clone, Debug, ClapArgs)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// What to fly: a scenario of the library, such as `viral-spike`, or a file.
    pub(crate) scenario: Option<String>,
    /// Fly this router: a file, or `starter`; else the one `seawall.toml` names, else the starter.
    #[arg(short, long, value_name = "ROUTER")]
    pub(crate) router: Option<String>,
    /// List the scenarios and routers of the library.
    #[arg(long, exclusive = true)]
    pub(crate) list: bool,
    /// Use this seed instead of the scenario's: decimal, or hexadecimal after `0x`.
    #[arg(long, value_name = "S", value_parser = seed)]
    pub(crate) seed: Option<u64>,
    /// Run N seeds, from the first on, and give means with intervals.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=100_000))]
    pub(crate) seeds: Option<u32>,
    /// Run in two processes, and prove that they write the same bytes.
    #[arg(long, conflicts_with = "seeds")]
    pub(crate) twice: bool,
    /// Take arrivals and token counts from this CSV file instead of the scenario's demand.
    #[arg(long, value_name = "FILE")]
    pub(crate) trace: Option<PathBuf>,
    /// Write `record` too: every timed input and output of the router.
    #[arg(long)]
    pub(crate) record: bool,
    /// Write the charts as PNG too.
    #[arg(long)]
    pub(crate) png: bool,
    /// Keep runs in this folder.
    #[arg(long, value_name = "DIR", default_value = "runs")]
    pub(crate) out: PathBuf,
    /// Open the report in a browser at the end.
    #[arg(long)]
    pub(crate) open: bool,
    /// Stop when N calls have arrived, and judge nothing.
    #[arg(long, value_name = "N", conflicts_with = "seeds")]
    pub(crate) first: Option<u64>,
}

/// A seed as typed.
fn seed(text: &str) -> Result<u64, String> {
    let hex = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    let read = hex.map_or_else(|| text.parse(), |digits| u64::from_str_radix(digits, 16));
    read.map_err(|_| "a seed is a whole number below 2^64, such as 7 or 0x5eed".to_owned())
}

pub(crate) fn run(args: &Args) -> Result<Exit, Stop> {
    if args.list {
        say(&source::catalogue())?;
        return Ok(Exit::Pass);
    }
    let Some(scenario) = &args.scenario else {
        let catalogue = source::catalogue();
        let hint = "hint: `seawall run viral-spike`, or the name of a file";
        return Err(Stop::usage(format!("run which scenario?\n{catalogue}{hint}")));
    };
    let prepared = prepare(&Wanted {
        scenario,
        router: args.router.as_deref(),
        seed: args.seed,
        trace: args.trace.as_deref(),
    })?;
    match args.seeds {
        Some(count) => seeds::run(args, &prepared, count),
        None => one(args, &prepared),
    }
}

/// Runs one seed.
fn one(args: &Args, prepared: &Prepared) -> Result<Exit, Stop> {
    let twin = args.twice.then(|| Twin::start(args)).transpose()?;
    let command = Command::of(args, prepared, prepared.seed, None);
    let flown = {
        let _guard = OnPanic(|| command.tell());
        watched(args, prepared)?
    };
    let landed = Landed::new(prepared, prepared.seed, &flown, &command);
    let artefacts = landed.artefacts(args.png);
    let proof = twin.map(|twin| twin.prove(args, prepared, &artefacts));
    let placed = place(&args.out, &prepared.scenario.stem, &command.folder(), &artefacts);
    // If two runs differ, that says more than that one of them differs from an older one.
    let same = proof.transpose()?;
    let (folder, placed) = placed?;
    say(&landed.on_screen(&folder, colour()))?;
    if let Some(next) = landed.worth_a_look(&args.out) {
        say(&format!("explain          {next}\n"))?;
    }
    if placed == Placed::Unchanged {
        say("unchanged        the same run was there, byte for byte\n")?;
    }
    if let Some(files) = same {
        say(&format!("twice            two processes wrote the same bytes in {files} files\n"))?;
    }
    landed.complain(&folder);
    if args.open {
        open(&folder.join("report.html"));
    }
    Ok(landed.exit)
}

/// Runs one seed with everything on, showing progress.
fn watched(args: &Args, prepared: &Prepared) -> Result<Flown, Stop> {
    if args.record && prepared.resolved.plan.replicas.is_some() {
        let message = "a record is of one router, and this scenario has `[replicas]`\n\
                       hint: leave out `--record`; `requests.csv` tells of every call";
        return Err(Stop::usage(message.to_owned()));
    }
    let record = args.record.then_some(Stretch::WHOLE);
    let watch = Watch { record, calls: true, first: args.first };
    let horizon = prepared.resolved.frame.horizon.as_nanos() / 1_000_000_000;
    let bar = progress::bar(horizon, "flying", "s");
    let flown = fly(prepared, prepared.seed, watch, |now, horizon| {
        bar.set_position(now.min(horizon).as_nanos() / 1_000_000_000);
    });
    bar.finish_and_clear();
    flown
}

/// Opens a page with whatever this system opens pages with.
pub(crate) fn open(page: &Path) {
    let program = match std::env::consts::OS {
        "macos" => "open",
        "windows" => "explorer",
        _ => "xdg-open",
    };
    let opened = std::process::Command::new(program).arg(page).status();
    if !opened.is_ok_and(|status| status.success()) {
        say_error(&format!("`{program}` could not open it; open {} yourself", page.display()));
    }
}

#[cfg(test)]
mod tests {
    use super::seed;

    #[test]
    fn a_seed_is_decimal_or_hexadecimal() {
        assert_eq!((seed("7"), seed("0x5eed"), seed("0XFF")), (Ok(7), Ok(0x5eed), Ok(255)));
        assert_eq!(seed("0xffffffffffffffff"), Ok(u64::MAX));
        for bad in ["", "0x", "-1", "7.0", "18446744073709551616", "5eed"] {
            assert!(seed(bad).is_err(), "{bad}");
        }
    }
}
