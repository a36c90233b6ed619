//! `--seeds N`: the same scenario under many seeds, with intervals.

use std::io::IsTerminal;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use reports::{Expectation, SeedRun, SeedsReport};

use crate::engine::{Flown, Watch, fly};
use crate::exit::{Exit, Stop};
use crate::folder::{Artefacts, Placed, place};
use crate::prepare::Prepared;
use crate::verb::run::{Args, Run, replay, run_name};
use crate::{progress, say, say_error};

/// Runs seeds `S..S+N`, spread over the machine's cores; one seed is one thread's work, and the
/// results are put in order of seed, so the number of cores changes nothing.
pub(crate) fn run(args: &Args, prepared: &Prepared) -> Result<Exit, Stop> {
    let count = u64::from(args.seeds.unwrap_or(1));
    let expected: Vec<(String, Expectation)> = prepared
        .asked()
        .map(|(name, asked)| (name.to_owned(), asked.expectation.clone()))
        .collect();
    let landed = spread(prepared, count, &expected, args);
    let exit = landed.iter().map(|(_, exit)| *exit).max().unwrap_or(Exit::Pass);
    let bad = |(_, exit): &&(SeedRun, Exit)| !matches!(exit, Exit::Pass | Exit::Undecided);
    let shown = landed.iter().find(bad).map_or(prepared.seed, |(run, _)| run.seed);
    let runs: Vec<SeedRun> = landed.into_iter().map(|(run, _)| run).collect();
    let first = prepared.seed;
    let command = replay(args, prepared, first).replacen(
        &format!("--seed {first}"),
        &format!("--seed {first} --seeds {count}"),
        1,
    );
    let report = SeedsReport {
        title: &prepared.title,
        question: &prepared.question,
        scenario: &prepared.scenario.name,
        router: &prepared.router.name,
        expected: &expected,
        runs: &runs,
        notes: &prepared.notes,
        replay: &command,
        artefacts: "",
    };
    // One seed is kept whole: the first that failed, else the first. It runs once more for that.
    let watch = Watch { record: args.record, calls: true, first: None };
    let flown: Flown = fly(prepared, shown, watch, |_, _| {});
    let one = Run::new(args, prepared, shown, &flown);
    let mut artefacts: Artefacts = one.artefacts(args.png);
    artefacts.insert("seeds.csv".to_owned(), report.csv().into_bytes());
    artefacts.insert("seeds.txt".to_owned(), report.summary(false).into_bytes());
    let name = run_name(args, prepared, &format!("{first}x{count}"));
    let (folder, placed) = place(&args.out, &prepared.scenario.stem, &name, &artefacts)?;
    let shown_folder = folder.display().to_string();
    let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    say(&SeedsReport { artefacts: &shown_folder, ..report.clone() }.summary(colour))?;
    if placed == Placed::Unchanged {
        say("unchanged        the same runs were there, byte for byte\n")?;
    }
    if exit != Exit::Pass {
        say_error(&format!("seed {shown} is kept whole in {shown_folder}"));
        one.complain(&folder);
    }
    Ok(exit)
}

fn spread(
    prepared: &Prepared,
    count: u64,
    expected: &[(String, Expectation)],
    args: &Args,
) -> Vec<(SeedRun, Exit)> {
    let next = AtomicU64::new(0);
    let landed = Mutex::new(Vec::new());
    let bar = progress::bar(count, "flying", "seeds");
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..cores.min(usize::try_from(count).unwrap_or(cores)) {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= count {
                        break;
                    }
                    let seed = prepared.seed.wrapping_add(index);
                    let flown = fly(prepared, seed, Watch::default(), |_, _| {});
                    let digest = format!("{:032x}", flown.digest);
                    let exit = Run::new(args, prepared, seed, &flown).exit;
                    let run = SeedRun::of(seed, digest, &flown.figures, expected);
                    // A poisoned lock means that another seed's thread panicked, which the scope
                    // passes on.
                    if let Ok(mut landed) = landed.lock() {
                        landed.push((index, (run, exit)));
                    }
                    bar.inc(1);
                }
            });
        }
    });
    bar.finish_and_clear();
    let mut landed = landed.into_inner().unwrap_or_default();
    landed.sort_by_key(|(index, _)| *index);
    landed.into_iter().map(|(_, run)| run).collect()
}
