//! From what the command line names to a world that can be run.

use std::path::Path;
use std::sync::Arc;

use router_core::Config;
use scenarios::resolve::{self, Asked, Expected, Fleet, Override, Resolved};
use scenarios::written::Mistake;
use scenarios::{file, router, scenario, suite};
use sha2::{Digest, Sha256};

use crate::exit::Stop;
use crate::source::{self, Source};

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
    pub(crate) resolved: Resolved,
    /// Expectations and objectives that can be asked of this router.
    pub(crate) expected: Vec<Expected>,
    /// Whether there were any, before this router was looked at.
    pub(crate) any_expected: bool,
    /// What does not apply to this router, each in a line.
    pub(crate) not_applicable: Vec<String>,
    /// What else a reader should know, each in a line.
    pub(crate) notes: Vec<String>,
    /// The trace's file name and the hash of its bytes.
    pub(crate) trace: Option<(String, String)>,
}

/// Reads, checks and resolves what is wanted.
pub(crate) fn prepare(wanted: &Wanted<'_>) -> Result<Prepared, Stop> {
    let scenario = source::scenario(wanted.scenario)?;
    let team = source::suite().map(|path| Source::file(&path)).transpose()?;
    let suite = team.as_ref().map(|source| suite::read(&source.name, &source.text)).transpose();
    let suite = suite.map_err(mistaken)?;
    let (router, mut notes) = match (wanted.router, &suite) {
        (Some(word), _) => (source::router(word)?, Vec::new()),
        (None, Some(suite)) => (source::router(&suite.router.value)?, Vec::new()),
        (None, None) => (source::router("starter")?, vec![STARTER_NOTE.to_owned()]),
    };
    let read =
        (scenario::read(&scenario.name, &scenario.text), router::read(&router.name, &router.text));
    let (spec, fleet) = match read {
        (Ok(spec), Ok(fleet)) => (spec, fleet),
        (spec, fleet) => {
            let both = spec.err().into_iter().chain(fleet.err());
            return Err(mistaken(both.flatten().collect::<Vec<_>>()));
        }
    };
    let (rows, trace) = match wanted.trace {
        Some(path) => read_trace(path).map(|(rows, trace)| (Some(rows), Some(trace)))?,
        None => (None, None),
    };
    let instead = Override { seed: wanted.seed, trace: rows };
    let seen = Fleet { config: &fleet.config, endpoints: &fleet.endpoints };
    let resolved = resolve::resolve(&spec, seen, &instead)
        .map_err(|mistakes| misplaced(&scenario, &mistakes))?;
    let mut expected = resolved.expectations.clone();
    let mut not_applicable = resolved.not_applicable.clone();
    let slo = suite.map(|suite| suite.slo).unwrap_or_default();
    if let Some(team) = &team {
        let (applies, does_not) = resolve::slos(&slo, &fleet.config, &resolved.frame)
            .map_err(|mistakes| misplaced(team, &mistakes))?;
        expected.extend(applies);
        not_applicable.extend(does_not);
    }
    notes.extend(fleet.warnings.iter().map(|w| format!("{}:{}: {}", w.file, w.line, w.message)));
    notes.extend(resolved.warnings.iter().cloned());
    Ok(Prepared {
        title: spec.title,
        question: spec.question,
        seed: wanted.seed.or(spec.seed).unwrap_or(1),
        config: fleet.config,
        any_expected: !spec.expectations.is_empty() || !slo.is_empty(),
        scenario,
        router,
        resolved,
        expected,
        not_applicable,
        notes,
        trace,
    })
}

const STARTER_NOTE: &str = "no router was named, so the starter router runs: name yours with -r, \
                            or see this one with `seawall print starter`";

impl Prepared {
    /// Every expectation, with the name of its test case.
    pub(crate) fn asked(&self) -> impl Iterator<Item = (&str, &Asked)> {
        self.expected
            .iter()
            .flat_map(|expected| expected.asked.iter().map(|asked| (expected.name.as_str(), asked)))
    }

    /// The hash of everything that is expected.
    pub(crate) fn expectations_hash(&self) -> String {
        let mut hash = Sha256::new();
        for (name, asked) in self.asked() {
            hash.update(format!("{name}\0{}\0", asked.text));
        }
        hex(&hash.finalize())
    }

    /// What a run is called: its digest names the engine and everything that it was given, so
    /// that runs of one name must have the same bytes.
    pub(crate) fn digest(&self, seeds: &str) -> String {
        let mut hash = Sha256::new();
        let trace = self.trace.as_ref().map_or("", |(_, hash)| hash.as_str());
        let expected = self.expectations_hash();
        let names = [self.scenario.name.as_str(), self.router.name.as_str()];
        let texts = [self.scenario.text.as_str(), self.router.text.as_str()];
        let rest = [env!("SEAWALL_ENGINE"), &expected, seeds, trace];
        for part in names.into_iter().chain(texts).chain(rest) {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part.as_bytes());
        }
        hex(&hash.finalize()[..4])
    }
}

/// The SHA-256 of a text, in hexadecimal.
pub(crate) fn sha256(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn mistaken(mistakes: Vec<scenarios::diagnostic::Diagnostic>) -> Stop {
    let texts: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
    Stop::usage(texts.join("\n"))
}

fn misplaced(source: &Source, mistakes: &[Mistake]) -> Stop {
    mistaken(file::show(&source.name, &source.text, mistakes))
}

/// A trace's rows, its file's name, and the hash of its bytes.
type Trace = (Arc<[sim::TraceRow]>, (String, String));

fn read_trace(path: &Path) -> Result<Trace, Stop> {
    let shown = path.display();
    let bytes = std::fs::read(path).map_err(|error| Stop::usage(format!("{shown}: {error}")))?;
    let rows = scenarios::trace::read(&bytes)
        .map_err(|bad| Stop::usage(format!("{shown} is not a trace:\n{bad}")))?;
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    Ok((rows, (name, hex(&Sha256::digest(&bytes)))))
}
