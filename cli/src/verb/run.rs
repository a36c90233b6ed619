//! `seawall run SCENARIO`

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;
use reports::{Engine, Hashes, Judged, Report, RunFile, Verdict};

use crate::engine::{Flown, Watch, fly};
use crate::exit::{Exit, Stop};
use crate::folder::{Artefacts, Placed, place};
use crate::prepare::{Prepared, Wanted, prepare, sha256};
use crate::verb::{seeds, twice};
use crate::{progress, say, say_error};

/// What `run` takes.
#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct Args {
    /// A scenario of the library (`viral-spike`) or a file.
    pub(crate) scenario: String,
    /// The router: a file, or one of the library (`starter`). Without it, the one that
    /// `seawall.toml` names, else the starter.
    #[arg(short, long, value_name = "ROUTER")]
    pub(crate) router: Option<String>,
    /// The root of every draw, instead of the scenario's.
    #[arg(long, value_name = "S")]
    pub(crate) seed: Option<u64>,
    /// Run this many seeds, from the first on, and give intervals.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=100_000))]
    pub(crate) seeds: Option<u32>,
    /// Run in two processes and compare every byte.
    #[arg(long, conflicts_with = "seeds")]
    pub(crate) twice: bool,
    /// Take arrivals and token counts from this CSV file.
    #[arg(long, value_name = "FILE")]
    pub(crate) trace: Option<PathBuf>,
    /// Write every timed input and output of the router.
    #[arg(long)]
    pub(crate) record: bool,
    /// Write every chart as PNG too.
    #[arg(long)]
    pub(crate) png: bool,
    /// Where runs are kept.
    #[arg(long, value_name = "DIR", default_value = "runs")]
    pub(crate) out: PathBuf,
    /// Open the report when it is written.
    #[arg(long)]
    pub(crate) open: bool,
    /// Stop after so many calls have arrived, and judge nothing.
    #[arg(long, value_name = "CALLS", conflicts_with = "seeds")]
    pub(crate) first: Option<u64>,
}

/// How many violations, and then how many events before the first, are shown.
const SHOWN: usize = 12;

pub(crate) fn run(args: &Args) -> Result<Exit, Stop> {
    let prepared = prepare(&Wanted {
        scenario: &args.scenario,
        router: args.router.as_deref(),
        seed: args.seed,
        trace: args.trace.as_deref(),
    })?;
    if args.seeds.is_some() {
        return seeds::run(args, &prepared);
    }
    if args.twice {
        twice::prove(args)?;
    }
    let flown = watched(args, &prepared);
    let run = Run::new(args, &prepared, prepared.seed, &flown);
    let artefacts = run.artefacts(args.png);
    let name = run_name(args, &prepared, &prepared.seed.to_string());
    let (folder, placed) = place(&args.out, &prepared.scenario.stem, &name, &artefacts)?;
    let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    say(&run.report(&folder.display().to_string()).summary(colour))?;
    if placed == Placed::Unchanged {
        say("unchanged        the same run was there, byte for byte\n")?;
    }
    run.complain(&folder);
    if args.open {
        open(&folder.join("report.html"));
    }
    Ok(run.exit)
}

/// The folder of a run: its seeds, and the digest of all it was given.
pub(crate) fn run_name(args: &Args, prepared: &Prepared, seeds: &str) -> String {
    let scope =
        args.first.map_or_else(|| seeds.to_owned(), |first| format!("{seeds}-first{first}"));
    format!("{scope}-{}", prepared.digest(&scope))
}

/// Runs one seed with everything on, showing progress.
fn watched(args: &Args, prepared: &Prepared) -> Flown {
    let watch = Watch { record: args.record, calls: true, first: args.first };
    let bar =
        progress::bar(prepared.resolved.frame.horizon.as_nanos() / 1_000_000_000, "flying", "s");
    let flown = fly(prepared, prepared.seed, watch, |now, horizon| {
        bar.set_position(now.min(horizon).as_nanos() / 1_000_000_000);
    });
    bar.finish_and_clear();
    flown
}

/// One run of one seed, judged.
pub(crate) struct Run<'a> {
    prepared: &'a Prepared,
    flown: &'a Flown,
    seed: u64,
    judged: Vec<Judged>,
    notes: Vec<String>,
    replay: String,
    pub(crate) exit: Exit,
}

impl<'a> Run<'a> {
    pub(crate) fn new(args: &Args, prepared: &'a Prepared, seed: u64, flown: &'a Flown) -> Self {
        let judge = |(name, asked): (&str, &scenarios::resolve::Asked)| Judged {
            name: name.to_owned(),
            expectation: asked.expectation.clone(),
            judgement: asked.expectation.judge(&flown.figures),
        };
        let judged: Vec<Judged> = match args.first {
            Some(_) => Vec::new(),
            None => prepared.asked().map(judge).collect(),
        };
        let mut notes = prepared.notes.clone();
        notes.extend(flown.calls.as_ref().and_then(reports::CallLog::remark));
        let unfired = prepared.resolved.plan.faults.iter().zip(&flown.fired);
        let unfired: Vec<&str> = unfired
            .filter(|(_, fired)| **fired == 0)
            .map(|(fault, _)| fault.name.as_str())
            .collect();
        notes.extend(unfired.iter().map(|name| format!("the fault `{name}` touched no call")));
        let replay = replay(args, prepared, seed);
        let mut run = Self { prepared, flown, seed, judged, notes, replay, exit: Exit::Pass };
        run.exit = run.decide(args.first.is_some(), !unfired.is_empty());
        run
    }

    fn decide(&self, partial: bool, unfired: bool) -> Exit {
        let any = |verdict| self.judged.iter().any(|j| j.judgement.verdict == verdict);
        let none_left = self.prepared.any_expected && self.judged.is_empty();
        if self.flown.violated > 0 {
            Exit::Invariant
        } else if partial {
            Exit::Pass
        } else if self.flown.figures.unrecovered().is_some() {
            Exit::Metastable
        } else if any(Verdict::Fail) {
            Exit::Failed
        } else if any(Verdict::NoData) || unfired || none_left {
            Exit::Undecided
        } else {
            Exit::Pass
        }
    }

    pub(crate) fn report<'b>(&'b self, artefacts: &'b str) -> Report<'b> {
        Report {
            title: &self.prepared.title,
            question: &self.prepared.question,
            scenario: &self.prepared.scenario.name,
            router: &self.prepared.router.name,
            seed: self.seed,
            figures: &self.flown.figures,
            judged: &self.judged,
            not_applicable: &self.prepared.not_applicable,
            notes: &self.notes,
            replay: &self.replay,
            artefacts,
        }
    }

    /// Every file of the run's folder.
    pub(crate) fn artefacts(&self, png: bool) -> Artefacts {
        // What is written must not depend on where it is written to.
        let report = self.report("");
        let mut files = Artefacts::new();
        let mut put = |name: &str, text: String| files.insert(name.to_owned(), text.into_bytes());
        put("summary.txt", report.summary(false));
        put("report.html", report.html());
        put("series.csv", report.series_csv());
        put("deployments.csv", report.deployments_csv());
        put("junit.xml", report.junit());
        put("run.json", self.run_file(&report).to_json());
        if let Some(calls) = &self.flown.calls {
            let properties = self.prepared.resolved.properties.iter();
            let properties: Vec<(String, Vec<String>)> =
                properties.map(|p| (p.name.clone(), p.labels.clone())).collect();
            put("requests.csv", calls.csv(&self.flown.figures.groups, &properties));
        }
        if let Some(record) = &self.flown.record {
            put("record", record.clone());
        }
        for chart in report.charts() {
            put(&format!("{}.svg", chart.name), chart.svg());
        }
        if png {
            for chart in report.charts() {
                let name = format!("{}.png", chart.name);
                files.insert(name, chart.png());
            }
        }
        files
    }

    fn run_file(&self, report: &Report<'_>) -> RunFile {
        let prepared = self.prepared;
        RunFile {
            engine: Engine {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                sources: env!("SEAWALL_ENGINE").to_owned(),
            },
            hashes: Hashes {
                scenario: sha256(&prepared.scenario.text),
                router: sha256(&prepared.router.text),
                expectations: prepared.expectations_hash(),
                trace: prepared.trace.as_ref().map(|(_, hash)| hash.clone()),
            },
            digest: format!("{:032x}", self.flown.digest),
            exit: self.exit.code(),
            ..RunFile::of(report)
        }
    }

    /// What went wrong, on standard error: the verdict, how to see it again, where to look.
    pub(crate) fn complain(&self, folder: &Path) {
        let what = match self.exit {
            Exit::Pass => return,
            Exit::Failed => "an expectation failed".to_owned(),
            Exit::Undecided => "undecided: too little happened to judge by".to_owned(),
            Exit::Metastable => {
                let fault = self.flown.figures.unrecovered().map(|f| f.name.as_str());
                format!("no recovery after `{}` healed", fault.unwrap_or_default())
            }
            Exit::Invariant => {
                let violations = self.flown.violations.iter().take(SHOWN);
                let lines: Vec<String> = violations.map(|v| format!("  {v}")).collect();
                let count = self.flown.violated;
                format!("an invariant of the router was violated ({count})\n{}", lines.join("\n"))
            }
            Exit::Usage | Exit::Environment | Exit::Nondeterminism => {
                unreachable!("a run that was judged ended otherwise")
            }
        };
        say_error(&format!("{what}\nreplay: {}\nfiles: {}", self.replay, folder.display()));
    }
}

/// The command that runs one seed again. A trace is named by its file's name.
pub(crate) fn replay(args: &Args, prepared: &Prepared, seed: u64) -> String {
    let mut command = format!("seawall run {}", args.scenario);
    if let Some(router) = &args.router {
        command += &format!(" -r {router}");
    }
    command += &format!(" --seed {seed}");
    if let Some((name, hash)) = &prepared.trace {
        command += &format!(" --trace {name} # sha256 {hash}");
    }
    command
}

/// Opens a page with whatever this system opens pages with.
fn open(page: &Path) {
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
