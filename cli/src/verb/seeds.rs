//! `--seeds N`: the same scenario under many seeds, with intervals.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use reports::{Expectation, SeedRun, SeedsReport};

use crate::engine::{Stretch, Watch, fly};
use crate::exit::{Exit, Stop};
use crate::folder::{Placed, place};
use crate::landed::Landed;
use crate::prepare::Prepared;
use crate::replay::{Command, OnPanic};
use crate::source::portable;
use crate::verb::run::{Args, open};
use crate::{colour, progress, say, say_error};

/// Runs seeds `S..S+count`, spread over the machine's cores; one seed is one thread's work, and
/// the results are put in order of seed, so the number of cores changes nothing.
pub(crate) fn run(args: &Args, prepared: &Prepared, count: u32) -> Result<Exit, Stop> {
    let expected: Vec<(String, Expectation)> = prepared
        .asked()
        .map(|(name, asked)| (name.to_owned(), asked.expectation.clone()))
        .collect();
    let landed = spread(args, prepared, u64::from(count), &expected)?;
    // One seed is kept whole: the first that ended worst. It runs once more for that.
    let exit = landed.iter().map(|(_, exit)| *exit).max().unwrap_or(Exit::Pass);
    let worst = landed.iter().find(|(_, e)| *e == exit).map_or(prepared.seed, |(run, _)| run.seed);
    let runs: Vec<SeedRun> = landed.into_iter().map(|(run, _)| run).collect();
    let command = Command::of(args, prepared, prepared.seed, Some(count));
    let report = SeedsReport {
        title: &prepared.title,
        question: &prepared.question,
        scenario: portable(&prepared.scenario.name),
        router: portable(&prepared.router.name),
        expected: &expected,
        runs: &runs,
        notes: &prepared.notes,
        replay: &command.portable,
        artefacts: "",
    };
    let record = args.record.then_some(Stretch::WHOLE);
    let flown = fly(prepared, worst, Watch { record, calls: true, first: None }, |_, _| {})?;
    let alone = Command::of(args, prepared, worst, None);
    let one = Landed::new(prepared, worst, &flown, &alone);
    let mut artefacts = one.artefacts(args.png);
    artefacts.insert("seeds.csv".to_owned(), report.csv().into_bytes());
    // The whole of the seeds is what a CI asks about; one of them is told by its other files.
    artefacts.insert("junit.xml".to_owned(), report.junit().into_bytes());
    artefacts.insert("seeds.txt".to_owned(), report.summary(false).into_bytes());
    let (folder, placed) =
        place(&args.out, &prepared.scenario.stem, &command.folder(), &artefacts)?;
    let shown = folder.display().to_string();
    let (scenario, router) = (prepared.scenario.name.as_str(), prepared.router.name.as_str());
    let on_screen =
        SeedsReport { scenario, router, replay: &command.here, artefacts: &shown, ..report };
    say(&on_screen.summary(colour()))?;
    if placed == Placed::Unchanged {
        say("unchanged        the same runs were there, byte for byte\n")?;
    }
    if exit != Exit::Pass {
        say_error(&format!("seed {worst}:"));
        one.complain(&folder);
    }
    if args.open {
        open(&folder.join("report.html"));
    }
    Ok(exit)
}

fn spread(
    args: &Args,
    prepared: &Prepared,
    count: u64,
    expected: &[(String, Expectation)],
) -> Result<Vec<(SeedRun, Exit)>, Stop> {
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
                    let command = Command::of(args, prepared, seed, None);
                    let _guard = OnPanic(|| {
                        command.tell();
                        // The other threads need not go on.
                        next.store(count, Ordering::Relaxed);
                    });
                    let run = fly(prepared, seed, Watch::default(), |_, _| {}).map(|flown| {
                        let digest = format!("{:032x}", flown.digest);
                        let exit = Landed::new(prepared, seed, &flown, &command).exit;
                        (SeedRun::of(seed, digest, &flown.figures, expected), exit)
                    });
                    // A poisoned lock means that another seed's thread panicked, which the scope
                    // passes on.
                    if let Ok(mut landed) = landed.lock() {
                        landed.push((index, run));
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
