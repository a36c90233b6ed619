//! From what the command line names to a world that can be run.

use std::path::Path;
use std::sync::Arc;

use router_core::Config;
use scenarios::resolve::{self, Asked, Expected, Fleet, Override, Resolved};
use scenarios::router::RouterFile;
use scenarios::written::Mistake;
use scenarios::{file, library, router, scenario, suite};
use sha2::{Digest, Sha256};

use crate::exit::Stop;
use crate::later::later;
use crate::source::{self, Kind, SUITE, Source, hex, portable};

/// Which world to make.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wanted<'a> {
    pub(crate) scenario: &'a str,
    pub(crate) router: Option<&'a str>,
    pub(crate) seed: Option<u64>,
    pub(crate) trace: Option<&'a Path>,
}

/// A scenario and a router, read, checked and brought together.
#[derive(Clone, Debug)]
pub(crate) struct Prepared {
    pub(crate) scenario: Source,
    pub(crate) router: Source,
    pub(crate) title: String,
    pub(crate) question: String,
    pub(crate) seed: u64,
    pub(crate) config: Arc<Config>,
    /// What the router runs on in the end: the same, or the last of what takes effect on the way.
    pub(crate) whole: Arc<Config>,
    /// The files of these.
    pub(crate) later: Vec<Source>,
    pub(crate) resolved: Resolved,
    /// Expectations of the scenario that can be asked of this router, then the team's.
    pub(crate) expected: Vec<Expected>,
    /// How many of them are the scenario's own.
    pub(crate) own: usize,
    /// Whether there were any, before this router was looked at.
    pub(crate) any_expected: bool,
    /// What does not apply to this router, each in a line.
    pub(crate) not_applicable: Vec<String>,
    /// What else a reader should know, each in a line.
    pub(crate) notes: Vec<String>,
    /// The hash of the trace's bytes.
    pub(crate) trace: Option<String>,
}

/// Reads, checks and resolves what is wanted.
pub(crate) fn prepare(wanted: &Wanted<'_>) -> Result<Prepared, Stop> {
    let scenario = Kind::Scenario.source(wanted.scenario)?;
    let team = source::suite().map(|path| Source::file(&path)).transpose()?;
    let suite = team.as_ref().map(|source| suite::read(&source.name, &source.text)).transpose();
    let suite = suite.map_err(mistaken)?;
    let (router, mut notes) = match (wanted.router, &suite) {
        (Some(word), _) => (Kind::Router.source(word)?, Vec::new()),
        (None, Some(suite)) => (Kind::Router.source(&suite.router.value)?, Vec::new()),
        (None, None) => (Kind::Router.source(STARTER)?, vec![STARTER_NOTE.to_owned()]),
    };
    let fleet = router::read(&router.name, &router.text).map_err(|wrong| {
        // Without a router a scenario can only be read.
        let read = scenario::read(&scenario.name, &scenario.text).err().unwrap_or_default();
        mistaken(read.into_iter().chain(wrong).collect())
    })?;
    let trace = wanted.trace.map(source::trace).transpose()?;
    let rows = trace.as_ref().map(|trace| Arc::clone(&trace.rows));
    let instead = Override { seed: wanted.seed, trace: rows };
    let later = later(&scenario, &fleet).map_err(mistaken)?;
    let (later, then): (Vec<Source>, Vec<RouterFile>) = later.into_iter().unzip();
    let whole = Arc::clone(&then.last().unwrap_or(&fleet).config);
    let seen = Fleet { config: &fleet.config, endpoints: &fleet.endpoints, then: &then };
    let (spec, resolved) =
        resolve::read_and_resolve(&scenario.name, &scenario.text, seen, &instead)
            .map_err(mistaken)?;
    let mut expected = resolved.expectations.clone();
    let own = expected.len();
    let mut not_applicable = resolved.not_applicable.clone();
    let slo = suite.map(|suite| suite.slo).unwrap_or_default();
    if let Some(team) = &team {
        let (applies, does_not) = resolve::slos(&slo, &whole, &resolved.frame)
            .map_err(|mistakes| misplaced(team, &mistakes))?;
        notes.extend(of_the_team(&applies));
        expected.extend(applies);
        not_applicable.extend(does_not);
    }
    notes.extend(meant_otherwise(&scenario.name, &router.name, spec.demonstrates_failure));
    let warnings = fleet.warnings.iter().chain(then.iter().flat_map(|router| &router.warnings));
    notes.extend(warnings.map(|w| format!("{}:{}: {}", portable(&w.file), w.line, w.message)));
    notes.extend(resolved.warnings.iter().cloned());
    Ok(Prepared {
        title: spec.title,
        question: spec.question,
        seed: wanted.seed.or(spec.seed).unwrap_or(1),
        config: fleet.config,
        whole,
        later,
        any_expected: !spec.expectations.is_empty() || !slo.is_empty(),
        scenario,
        router,
        resolved,
        expected,
        own,
        not_applicable,
        notes,
        trace: trace.map(|trace| trace.hash),
    })
}

/// The router that runs where none is named.
pub(crate) const STARTER: &str = "starter";

const STARTER_NOTE: &str = "no router was named, so the starter router runs: name yours with -r, \
                            or see this one with `seawall print starter`";

/// What to know before a scenario and a router that were not made for each other are judged.
fn meant_otherwise(scenario: &str, router: &str, demonstrates_failure: bool) -> Vec<String> {
    let mut notes = Vec::new();
    if demonstrates_failure && router == STARTER {
        let what = "this scenario demonstrates a failure: the starter router is not meant to pass";
        notes.push(what.to_owned());
    }
    if router != scenario && library::router(scenario).is_some() {
        notes.push(format!("this scenario has a router of its own: add `-r {scenario}`"));
    }
    notes
}

/// Whence expectations come that no scenario speaks of.
fn of_the_team(applies: &[Expected]) -> Option<String> {
    let names: Vec<String> = applies.iter().map(|one| format!("`{}`", one.name)).collect();
    let every = format!("`[slo]` of {SUITE}, which every run in its folder is held to");
    match names.as_slice() {
        [] => None,
        [one] => Some(format!("{one} is an objective of {every}")),
        [many @ .., last] => {
            Some(format!("{} and {last} are objectives of {every}", many.join(", ")))
        }
    }
}

impl Prepared {
    /// Every expectation, with the name of its test case.
    pub(crate) fn asked(&self) -> impl Iterator<Item = (&str, &Asked)> {
        self.of_whom().map(|(name, _, asked)| (name, asked))
    }

    /// The same, with the file that it is of if the scenario's is not.
    pub(crate) fn of_whom(&self) -> impl Iterator<Item = (&str, Option<&'static str>, &Asked)> {
        self.expected.iter().enumerate().flat_map(|(i, expected)| {
            let team = (i >= self.own).then_some(SUITE);
            expected.asked.iter().map(move |asked| (expected.name.as_str(), team, asked))
        })
    }

    /// The hash of everything that is expected.
    pub(crate) fn expectations_hash(&self) -> String {
        let mut hash = Sha256::new();
        for (name, asked) in self.asked() {
            hash.update(format!("{name}\0{}\0", asked.text));
        }
        hex(&hash.finalize())
    }

    /// A digest of everything that decides what a run writes: the engine, what it was given, and
    /// `command`, which repeats it. Runs of one digest must have the same bytes.
    pub(crate) fn digest(&self, command: &str) -> String {
        let mut hash = Sha256::new();
        let expected = self.expectations_hash();
        let texts = [env!("SEAWALL_ENGINE"), command, &self.scenario.text, &self.router.text];
        let names = [portable(&self.scenario.name), portable(&self.router.name)];
        let rest = [expected.as_str(), self.trace.as_deref().unwrap_or_default()];
        let lines = self.not_applicable.iter().chain(&self.notes).map(String::as_str);
        let later = self.later.iter();
        let later = later.flat_map(|source| [portable(&source.name), source.text.as_str()]);
        for part in texts.into_iter().chain(names).chain(rest).chain(lines).chain(later) {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        hex(&hash.finalize()[..6])
    }
}

/// The SHA-256 of a text, in hexadecimal.
pub(crate) fn sha256(text: &str) -> String {
    hex(&Sha256::digest(text))
}

pub(crate) fn mistaken(mistakes: Vec<scenarios::diagnostic::Diagnostic>) -> Stop {
    let texts: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
    Stop::usage(texts.join("\n"))
}

fn misplaced(source: &Source, mistakes: &[Mistake]) -> Stop {
    mistaken(file::show(&source.name, &source.text, mistakes))
}
