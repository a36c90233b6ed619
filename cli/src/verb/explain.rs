//! `seawall explain [RUN] [r17 | METRIC]`

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args as ClapArgs;
use reports::{Breakdown, Expectation, Metric, Notables, RunFile, Selectors, Setting, Story};
use router_core::{Anew, AttemptId, Call, Input, Journal, Output, RequestId, Time};

use crate::engine::{Heard, Stretch, Watch, fly, listen};
use crate::exit::{Exit, Stop};
use crate::folder::{Artefacts, first_difference};
use crate::landed::{ROUTER, SCENARIO};
use crate::prepare::{Prepared, Wanted, prepare, sha256};
use crate::replay::quoted;
use crate::{colour, progress, say};

/// What `explain` takes.
#[derive(Clone, Debug, ClapArgs)]
#[command(after_help = "`seawall explain` alone names the calls of the latest run that are worth \
                        a look.")]
pub(crate) struct Args {
    /// The run: its folder, or `latest` (if left out); then a call such as `r17`, or a metric
    /// such as `ttft.p99` or `'success.rate {during=spike}'`.
    #[arg(value_name = "RUN] [r17 | METRIC")]
    words: Vec<String>,
    /// The CSV file that the run's arrivals came from, if it is not in this folder.
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
}

/// What is to be explained.
enum Subject {
    /// Nothing yet: what is worth a look?
    Open,
    Call(RequestId),
    /// A metric, or every one that the expectation of this name is about.
    Metrics(Vec<(Metric, Selectors)>),
}

/// Several journals that listen to one run.
struct Each(Vec<Breakdown>);

impl Journal for Each {
    fn input(&mut self, now: Time, input: &Input) {
        self.0.iter_mut().for_each(|one| one.input(now, input));
    }

    fn output(&mut self, now: Time, output: &Output) {
        self.0.iter_mut().for_each(|one| one.output(now, output));
    }

    fn call(&mut self, now: Time, call: &Call) {
        self.0.iter_mut().for_each(|one| one.call(now, call));
    }

    fn cut(&mut self, now: Time, request: RequestId, anew: Anew) {
        self.0.iter_mut().for_each(|one| one.cut(now, request, anew));
    }
}

pub(crate) fn run(args: &Args) -> Result<Exit, Stop> {
    let (run, rest) = match args.words.split_first() {
        Some((first, rest)) if names_a_run(first) => (first.as_str(), rest),
        Some(_) | None => (LATEST, args.words.as_slice()),
    };
    let past = Past::read(run, args)?;
    match past.subject(&rest.join(" "))? {
        Subject::Open => past.suggest(),
        Subject::Call(id) => past.tell(id),
        Subject::Metrics(metrics) => past.break_down(metrics),
    }
}

pub(crate) const LATEST: &str = "latest";
/// Where runs are kept unless somebody says otherwise.
pub(crate) const RUNS: &str = "runs";

/// Whether a word stands for a run rather than for something in it.
fn names_a_run(word: &str) -> bool {
    word == LATEST || word.contains(['/', '\\']) && !word.contains('{') || Path::new(word).is_dir()
}

/// A run of the past, ready to be flown again.
struct Past {
    folder: PathBuf,
    file: RunFile,
    prepared: Prepared,
    /// What people type to have something of it explained.
    command: String,
    properties: Vec<(String, Vec<String>)>,
}

impl Past {
    fn read(word: &str, args: &Args) -> Result<Self, Stop> {
        let folder = find(word)?;
        let path = folder.join("run.json");
        let text = fs::read_to_string(&path).map_err(|error| no_run(&path, &error))?;
        let file = RunFile::from_json(&text).map_err(|error| {
            Stop::usage(format!(
                "{}: {error}\nhint: run it again: {}",
                path.display(),
                "`seawall run`"
            ))
        })?;
        let own = |name| folder.join(name).to_string_lossy().into_owned();
        let (scenario, router) = (own(SCENARIO), own(ROUTER));
        let trace = args.trace.clone().or_else(|| file.trace.as_ref().map(PathBuf::from));
        let wanted = Wanted {
            scenario: &scenario,
            router: Some(&router),
            seed: Some(file.seed),
            trace: trace.as_deref(),
        };
        let prepared = prepare(&wanted).map_err(|stop| again(stop, &file))?;
        let properties = prepared.resolved.properties.iter();
        let properties = properties.map(|p| (p.name.clone(), p.labels.clone())).collect();
        let command = format!("seawall explain {}", shortest(word, &folder));
        Ok(Self { folder, file, prepared, command, properties })
    }

    /// What `words` name in this run.
    fn subject(&self, words: &str) -> Result<Subject, Stop> {
        let words = words.trim();
        if words.is_empty() {
            return Ok(Subject::Open);
        }
        let attempt = words.parse::<AttemptId>().map(|attempt| attempt.request);
        if let Ok(id) = words.parse::<RequestId>().or(attempt) {
            return Ok(Subject::Call(id));
        }
        let named = self.file.verdicts.iter().filter(|verdict| verdict.name == words);
        let mut texts: Vec<&str> = named.map(|verdict| verdict.expectation.as_str()).collect();
        if texts.is_empty() {
            texts.push(words);
        }
        let mut metrics = Vec::new();
        for text in texts {
            let whole = Expectation::parse(text).map(|expected| (expected.metric, expected.of));
            let metric = whole.or_else(|_| Expectation::parse_metric(text));
            let metric = metric.map_err(|mistake| {
                let hint = "hint: a call such as `r17`, a metric such as `ttft.p99`, or the name \
                            of an expectation";
                Stop::usage(format!("nothing of a run is called `{words}`: {mistake}\n{hint}"))
            })?;
            // Two bounds on one metric have one explanation.
            if !metrics.contains(&metric) {
                metrics.push(metric);
            }
        }
        Ok(Subject::Metrics(metrics))
    }

    /// What the run was, in a line.
    fn run(&self) -> String {
        let RunFile { scenario, router, seed, .. } = &self.file;
        format!("{scenario}, router {router}, seed {seed}")
    }

    fn setting<'a>(&'a self, run: &'a str) -> Setting<'a> {
        let frame = &self.prepared.resolved.frame;
        Setting { run, frame, properties: &self.properties, command: &self.command }
    }

    fn suggest(&self) -> Result<Exit, Stop> {
        let heard = self.listen(Notables::default())?;
        let run = (&self.file, &heard.figures);
        say(&heard.journal.text(&self.setting(&self.run()), run, colour()))?;
        Ok(Exit::Pass)
    }

    fn tell(&self, id: RequestId) -> Result<Exit, Stop> {
        let heard = self.listen(Story::new(Arc::clone(&self.prepared.config), id))?;
        match heard.journal.text(&self.setting(&self.run()), colour()) {
            Some(text) => say(&text).map(|()| Exit::Pass),
            None => {
                let range = heard.journal.range();
                let hint = format!("hint: `{}` names those worth a look", self.command);
                Err(Stop::usage(format!(
                    "there is no call `{}`: this run has {range}\n{hint}",
                    id.call()
                )))
            }
        }
    }

    fn break_down(&self, metrics: Vec<(Metric, Selectors)>) -> Result<Exit, Stop> {
        let (config, frame) = (&self.prepared.whole, &self.prepared.resolved.frame);
        let totals = &self.file.totals;
        let most = totals.calls.max(totals.attempts);
        let each = metrics
            .into_iter()
            .map(|metric| Breakdown::new(Arc::clone(config), frame, metric, most));
        let each = each.collect::<Result<Vec<_>, _>>().map_err(Stop::usage)?;
        let heard = self.listen(Each(each))?;
        let run = self.run();
        let texts = heard.journal.0.iter();
        let texts = texts.map(|one| one.text(&heard.figures, &self.setting(&run), colour()));
        say(&texts.collect::<Vec<_>>().join("\n"))?;
        Ok(Exit::Pass)
    }

    /// Flies the run again, told to `journal`, and makes sure that it is the same run.
    fn listen<J: Journal>(&self, journal: J) -> Result<Heard<J>, Stop> {
        let horizon = self.prepared.resolved.frame.horizon.as_nanos() / 1_000_000_000;
        let bar = progress::bar(horizon, "flying it again", "s");
        let moved = |now: Time, horizon: Time| {
            bar.set_position(now.min(horizon).as_nanos() / 1_000_000_000);
        };
        let heard = listen(&self.prepared, self.file.seed, self.file.first, journal, moved);
        bar.finish_and_clear();
        let heard = heard?;
        let digest = format!("{:032x}", heard.digest);
        if digest != self.file.digest {
            return Err(self.diverged(&digest));
        }
        let mut untrue = self.unsaid();
        untrue.extend(self.file.untrue(&heard.figures));
        if untrue.is_empty() { Ok(heard) } else { Err(self.edited(&untrue)) }
    }

    /// What the scenario expects and `run.json` has no verdict on, each in a line.
    fn unsaid(&self) -> Vec<String> {
        let judged = self.file.first.is_none();
        let own = self.prepared.of_whom().filter(|(_, team, _)| judged && team.is_none());
        let told = |name: &str, expectation: &str| {
            self.file.verdicts.iter().any(|v| v.name == name && v.expectation == expectation)
        };
        let own = own.map(|(name, _, asked)| (name, asked.expectation.to_string()));
        let unsaid = own.filter(|(name, expectation)| !told(name, expectation));
        unsaid
            .map(|(name, wanted)| format!("`{name}`: no verdict on `{wanted}` of {SCENARIO}"))
            .collect()
    }

    /// That the run is the same, and what stands in `run.json` is not what came of it.
    fn edited(&self, untrue: &[String]) -> Stop {
        let path = self.folder.join("run.json");
        let lines: String = untrue.iter().map(|line| format!("\n  {line}")).collect();
        let message = format!(
            "{} is not what came of this run{lines}\nhint: if somebody edited it, remove its \
             folder and run it anew: {}",
            path.display(),
            self.file.replay
        );
        Stop { exit: Exit::Nondeterminism, message }
    }

    /// What differs between the run as it was and as it is now.
    fn diverged(&self, digest: &str) -> Stop {
        let file = &self.file;
        let mut lines = vec![
            format!("flown again, {} is not the run that it was", self.folder.display()),
            format!("  its events: digest {} then, {digest} now", file.digest),
        ];
        let mut differs = |what: &str, then: &str, now: &str| {
            if then != now {
                lines.push(format!("  {what}: {} then, {} now", short(then), short(now)));
            }
        };
        differs("seawall's own sources", &file.engine.sources, env!("SEAWALL_ENGINE"));
        differs("scenario.toml", &file.hashes.scenario, &sha256(&self.prepared.scenario.text));
        differs("router.toml", &file.hashes.router, &sha256(&self.prepared.router.text));
        let trace = self.prepared.trace.as_deref().unwrap_or_default();
        differs("the trace", file.hashes.trace.as_deref().unwrap_or_default(), trace);
        lines.extend(self.first_event());
        lines.push(format!("hint: run it anew: {}", file.replay));
        Stop { exit: Exit::Nondeterminism, message: lines.join("\n") }
    }

    /// The first event that differs from the record, if the run kept one.
    fn first_event(&self) -> Option<String> {
        let then = fs::read(self.folder.join("record")).ok()?;
        let watch = Watch { record: Some(Stretch::WHOLE), calls: false, first: self.file.first };
        let now = fly(&self.prepared, self.file.seed, watch, |_, _| {}).ok()?.record?;
        let only = |record: Vec<u8>| Artefacts::from([("record".to_owned(), record)]);
        first_difference(&only(then), &only(now.into_bytes()))
    }
}

/// The folder that `word` stands for.
fn find(word: &str) -> Result<PathBuf, Stop> {
    let path = if word == LATEST { Path::new(RUNS).join(LATEST) } else { PathBuf::from(word) };
    // Where there are no links, `latest` is a text that names the folder.
    let named = if path.is_file() { fs::read_to_string(&path).ok() } else { None };
    let folder = match (named, path.parent()) {
        (Some(named), Some(parent)) => parent.join(named.trim()),
        (None | Some(_), _) => path,
    };
    if folder.is_dir() {
        return Ok(folder);
    }
    let hint = "hint: `seawall run viral-spike` first; a run is then `latest`, or its folder";
    Err(Stop::usage(format!("there is no run `{}`\n{hint}", folder.display())))
}

/// What people type for a run: `latest`, if it is that one.
fn shortest(word: &str, folder: &Path) -> String {
    let latest = find(LATEST).ok().and_then(|latest| latest.canonicalize().ok());
    let same = latest.is_some_and(|latest| folder.canonicalize().is_ok_and(|own| own == latest));
    if same { LATEST.to_owned() } else { quoted(word) }
}

fn no_run(path: &Path, error: &io::Error) -> Stop {
    let hint = "hint: a run's folder is the one that holds `run.json`, such as `runs/latest`";
    Stop::usage(format!("{}: {error}\n{hint}", path.display()))
}

fn again(stop: Stop, file: &RunFile) -> Stop {
    let hint = format!("hint: run it anew: {}", file.replay);
    Stop { message: format!("{}\n{hint}", stop.message.trim_end()), ..stop }
}

/// The beginning of a hash.
fn short(hash: &str) -> &str {
    match hash.get(..12) {
        Some(short) => short,
        None if hash.is_empty() => "none",
        None => hash,
    }
}
