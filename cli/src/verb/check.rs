//! `seawall check FILE... [-r ROUTER]`

use std::mem;
use std::path::Path;

use clap::Args as ClapArgs;
use scenarios::diagnostic::{Diagnostic, Severity};
use scenarios::file::{FileKind, show};
use scenarios::resolve::{Fleet, Override, read_and_resolve};
use scenarios::router::{self, RouterFile};
use scenarios::suite::Suite;
use scenarios::written::Mistake;
use scenarios::{scenario, suite};

use crate::exit::{Exit, Stop};
use crate::later::later;
use crate::prepare::STARTER;
use crate::source::{self, Kind, Source, beside, is_path};
use crate::{say, say_error, worst};

/// What `check` takes.
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// Routers, scenarios, suites, traces (`.csv`); without any, `seawall.toml` and what it names.
    files: Vec<String>,
    /// Check scenarios against this router; else the one `seawall.toml` names, else the starter.
    #[arg(short, long, value_name = "ROUTER")]
    router: Option<String>,
}

pub(crate) fn run(args: &Args) -> Result<Exit, Stop> {
    let team = source::suite();
    let given = args.router.iter().filter(|word| is_path(word));
    let mut words: Vec<String> = given.chain(&args.files).cloned().collect();
    if words.is_empty() {
        let Some(team) = &team else {
            let hint = "hint: name the files to check, or write a suite with `seawall init`";
            return Err(Stop::usage(format!("there is no seawall.toml in this folder\n{hint}")));
        };
        words.push(team.display().to_string());
    }
    let given = args.router.as_deref().map(|word| Kind::Router.source(word)).transpose()?;
    let usual = match &given {
        Some(source) => Router::read(source),
        None => team.as_deref().map_or_else(|| Router::named(STARTER), Router::of_team),
    };
    let mut checker = Checker { given: given.is_some(), router: usual, wrong: false };
    words.iter().try_for_each(|word| checker.word(word))?;
    Ok(if checker.wrong { Exit::Usage } else { Exit::Pass })
}

/// The router that scenarios are checked against.
struct Router {
    name: String,
    /// None if it is wrong itself, which is said when its own turn comes.
    file: Option<RouterFile>,
}

impl Router {
    fn read(source: &Source) -> Self {
        Self { name: source.name.clone(), file: router::read(&source.name, &source.text).ok() }
    }

    fn named(word: &str) -> Self {
        let source = Kind::Router.source(word);
        source.map_or_else(|_| Self { name: word.to_owned(), file: None }, |s| Self::read(&s))
    }

    fn of_team(path: &Path) -> Self {
        let source = Source::file(path).ok();
        let suite = source.and_then(|source| suite::read(&source.name, &source.text).ok());
        Self::named(suite.as_ref().map_or(STARTER, |suite| &suite.router.value))
    }
}

/// Goes through files and says what it finds.
struct Checker {
    /// Whether the router was named for all scenarios alike.
    given: bool,
    router: Router,
    wrong: bool,
}

/// What there is to say about a file besides its verdict.
#[derive(Default)]
struct Findings {
    found: Vec<Diagnostic>,
    /// What is worth knowing but stands nowhere in the file, each in a line.
    remarks: Vec<String>,
}

impl Checker {
    fn word(&mut self, word: &str) -> Result<(), Stop> {
        let path = Path::new(word);
        let done = if path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("csv")) {
            source::trace(path).and_then(|trace| {
                say(&format!("{word}: a valid trace of {} calls\n", trace.rows.len()))
            })
        } else {
            source::either(word).and_then(|source| self.source(&source))
        };
        match done {
            // One file that cannot be read does not hide the mistakes of the next.
            Err(Stop { exit: Exit::Usage, message }) => {
                self.wrong = true;
                say_error(&message);
                Ok(())
            }
            done => done,
        }
    }

    fn source(&mut self, source: &Source) -> Result<(), Stop> {
        let (name, text) = (&source.name, &source.text);
        let kind = FileKind::of(text);
        let check = || Findings { found: kind.check(name, text), remarks: Vec::new() };
        let (noun, mut findings, suite) = match kind {
            FileKind::Router => ("router", check(), None),
            FileKind::Scenario => ("scenario", self.meet(source), None),
            FileKind::Suite => ("suite", check(), suite::read(name, text).ok()),
        };
        if let Some(suite) = &suite {
            findings.found.extend(show(name, text, &absent(source, suite)));
        }
        let Findings { found, remarks } = findings;
        let errors = found.iter().filter(|d| d.severity == Severity::Error).count();
        let warnings = found.len() - errors + remarks.len();
        found.iter().try_for_each(|diagnostic| say(&format!("{diagnostic}\n")))?;
        remarks.iter().try_for_each(|line| say(&format!("{name}: warning: {line}\n")))?;
        say(&format!("{name}: {}\n", verdict(noun, errors, warnings)))?;
        if let (FileKind::Router, Ok(router)) = (kind, router::read(name, text)) {
            say(&worst::table(&router.config))?;
        }
        self.wrong |= errors > 0;
        suite.map_or(Ok(()), |suite| self.members(source, &suite))
    }

    /// Brings a scenario together with the router, where more mistakes may show.
    fn meet(&self, source: &Source) -> Findings {
        let name = &self.router.name;
        let Some(router) = &self.router.file else {
            let found = scenario::read(&source.name, &source.text).err().unwrap_or_default();
            let remark = format!("not tried against {name}, which cannot be read");
            return Findings { found, remarks: vec![remark] };
        };
        let then = match later(source, router) {
            Ok(later) => later.into_iter().map(|(_, router)| router).collect::<Vec<_>>(),
            Err(found) => return Findings { found, remarks: Vec::new() },
        };
        let fleet = Fleet { config: &router.config, endpoints: &router.endpoints, then: &then };
        match read_and_resolve(&source.name, &source.text, fleet, &Override::default()) {
            Err(found) => Findings { found, remarks: Vec::new() },
            Ok((_, resolved)) => {
                let absent = resolved.not_applicable.iter();
                let absent = absent.map(|line| format!("does not apply to {name}: {line}"));
                let remarks = resolved.warnings.iter().cloned().chain(absent).collect();
                Findings { found: Vec::new(), remarks }
            }
        }
    }

    /// Checks what a suite names, against its own router unless another was named.
    fn members(&mut self, source: &Source, suite: &Suite) -> Result<(), Stop> {
        let router = beside(source, &suite.router.value);
        let own = if self.given { None } else { Some(Router::named(&router)) };
        let usual = own.map(|own| mem::replace(&mut self.router, own));
        let scenarios = suite.scenarios.iter().map(|scenario| beside(source, &scenario.value));
        // What is not there has been said.
        let scenarios =
            scenarios.filter(|word| is_file(word) || Kind::Scenario.source(word).is_ok());
        let router = Some(router).filter(|word| is_file(word));
        let done = router.into_iter().chain(scenarios).try_for_each(|word| self.word(&word));
        if let Some(usual) = usual {
            self.router = usual;
        }
        done
    }
}

fn is_file(word: &str) -> bool {
    Path::new(word).is_file()
}

/// What a suite names that is not there.
fn absent(source: &Source, suite: &Suite) -> Vec<Mistake> {
    let router = [(Kind::Router, &suite.router)].into_iter();
    let named = router.chain(suite.scenarios.iter().map(|scenario| (Kind::Scenario, scenario)));
    let missing = named.filter_map(|(kind, word)| {
        let path = beside(source, &word.value);
        if is_file(&path) || kind.source(&path).is_ok() {
            return None;
        }
        let (message, hint) = kind.unknown(&word.value);
        Some(Mistake { at: word.at.clone(), message, hint: Some(hint) })
    });
    missing.collect()
}

fn verdict(kind: &str, errors: usize, warnings: usize) -> String {
    let plural = |count: usize, word: &str| match count {
        1 => format!("1 {word}"),
        _ => format!("{count} {word}s"),
    };
    match (errors, warnings) {
        (0, 0) => format!("a valid {kind}"),
        (0, _) => format!("a valid {kind}, {}", plural(warnings, "warning")),
        (_, 0) => format!("{}, read as a {kind}", plural(errors, "mistake")),
        (_, _) => {
            let (errors, warnings) = (plural(errors, "mistake"), plural(warnings, "warning"));
            format!("{errors} and {warnings}, read as a {kind}")
        }
    }
}
