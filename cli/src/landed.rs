//! One seed's run, judged: what people and files are told of it.

use std::path::{Path, PathBuf};

use reports::{Engine, Hashes, Judged, Report, RunFile, Verdict};
use router_core::{Call, CallEnd};

use crate::engine::{Flown, Stretch, Watch, chain, fly};
use crate::exit::Exit;
use crate::folder::Artefacts;
use crate::prepare::{Prepared, sha256};
use crate::replay::{Command, quoted};
use crate::say_error;
use crate::source::portable;
use crate::verb::explain::{LATEST, RUNS};

/// How many violations, and then how many events before the first, are shown.
const SHOWN: usize = 12;

/// The names of what a run was given, in its folder.
pub(crate) const SCENARIO: &str = "scenario.toml";
pub(crate) const ROUTER: &str = "router.toml";

/// One run of one seed, judged.
pub(crate) struct Landed<'a> {
    prepared: &'a Prepared,
    flown: &'a Flown,
    command: &'a Command,
    seed: u64,
    judged: Vec<Judged>,
    notes: Vec<String>,
    /// Why it is undecided, if it is, each in a line.
    open: Vec<String>,
    /// What happened round the first violation, if there is one.
    window: Option<String>,
    pub(crate) exit: Exit,
}

impl<'a> Landed<'a> {
    /// Judges `flown`, which came of `seed` and is repeated by `command`.
    pub(crate) fn new(
        prepared: &'a Prepared,
        seed: u64,
        flown: &'a Flown,
        command: &'a Command,
    ) -> Self {
        let judged = judge(prepared, flown);
        let mut notes = prepared.notes.clone();
        notes.extend(flown.calls.as_ref().and_then(reports::CallLog::remark));
        if flown.partial {
            notes.push("it was stopped before its end, so nothing was judged".to_owned());
        }
        let silent = silent_faults(prepared, flown);
        notes.extend(silent.iter().cloned());
        let mut open = silent;
        let no_data = judged.iter().filter(|j| j.judgement.verdict == Verdict::NoData);
        open.extend(no_data.map(|j| format!("no data for `{}`", j.name)));
        if prepared.any_expected && judged.is_empty() && !flown.partial {
            open.push("nothing that is expected applies to this router".to_owned());
        }
        let window = flown.violations.first().map(|violation| {
            let record = Some(Stretch::around(violation.at));
            let again = fly(prepared, seed, Watch { record, ..Watch::default() }, |_, _| {});
            let again = again.expect("the same run came to its end before");
            again.record.expect("it was asked for")
        });
        let exit = decide(flown, &judged, &open);
        // No expectation speaks of these, and whoever reads a file later sees no exit code.
        match exit {
            Exit::Invariant | Exit::Metastable => notes.insert(0, verdict(exit, flown, &open)),
            Exit::Pass | Exit::Failed | Exit::Undecided => {}
            Exit::Usage | Exit::Environment | Exit::Nondeterminism => {}
        }
        Self { prepared, flown, command, seed, judged, notes, open, window, exit }
    }

    /// What a terminal shows.
    pub(crate) fn on_screen(&self, folder: &Path, colour: bool) -> String {
        let folder = folder.display().to_string();
        let scenario = &self.prepared.scenario.name;
        let router = &self.prepared.router.name;
        let replay = &self.command.here;
        let report = self.report();
        Report { scenario, router, replay, artefacts: &folder, ..report }.summary(colour)
    }

    /// The report of artefacts: what is written must not depend on where it is written to.
    fn report(&self) -> Report<'_> {
        Report {
            title: &self.prepared.title,
            question: &self.prepared.question,
            scenario: portable(&self.prepared.scenario.name),
            router: portable(&self.prepared.router.name),
            seed: self.seed,
            figures: &self.flown.figures,
            judged: &self.judged,
            not_applicable: &self.prepared.not_applicable,
            notes: &self.notes,
            replay: &self.command.portable,
            artefacts: "",
        }
    }

    /// Every file of the run's folder.
    pub(crate) fn artefacts(&self, png: bool) -> Artefacts {
        let report = self.report();
        let mut files = Artefacts::new();
        let mut put = |name: &str, text: String| files.insert(name.to_owned(), text.into_bytes());
        put("summary.txt", report.summary(false));
        // A run is explained by flying it again, long after its files may have changed.
        put(SCENARIO, self.prepared.scenario.text.clone());
        put(ROUTER, self.prepared.router.text.clone());
        put("report.html", report.html());
        put("series.csv", report.series_csv());
        put("deployments.csv", report.deployments_csv());
        if let Some(spend) = report.spend_csv() {
            put("spend.csv", spend);
        }
        put("junit.xml", report.junit());
        put("run.json", self.run_file(&report).to_json());
        if let Some(calls) = &self.flown.calls {
            let figures = &self.flown.figures;
            let properties = self.prepared.resolved.properties.iter();
            let properties: Vec<(String, Vec<String>)> =
                properties.map(|p| (p.name.clone(), p.labels.clone())).collect();
            put("requests.csv", calls.csv((&figures.groups, &figures.deployments), &properties));
        }
        if let Some(record) = &self.flown.record {
            put("record", record.clone());
        }
        if let Some(window) = &self.window {
            put("violation.record", window.clone());
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

    /// The command that explains what failed, or else the call that fared worst.
    pub(crate) fn worth_a_look(&self, out: &Path) -> Option<String> {
        let latest = if out == Path::new(RUNS) { PathBuf::from(LATEST) } else { out.join(LATEST) };
        let command = format!("seawall explain {}", quoted(&latest.to_string_lossy()));
        let failed = self.judged.iter().find(|j| j.judgement.verdict == Verdict::Fail);
        if let Some(Judged { expectation, .. }) = failed {
            let metric = format!("{}{}", expectation.metric, expectation.of);
            return Some(format!("{command} {}", quoted(&metric)));
        }
        let calls = self.flown.calls.as_ref()?.calls();
        let lost = calls.iter().filter(|call| matches!(call.end, CallEnd::Failed(_)));
        if let Some(call) = lost.max_by_key(|call| call.attempts) {
            return Some(format!("{command} {}  # one that failed", call.id));
        }
        let first = |call: &Call| call.first_token.map(|at| at.since(call.arrived));
        let slowest = calls.iter().max_by_key(|call| first(call))?;
        Some(format!("{command} {}  # the slowest", slowest.id))
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
                trace: prepared.trace.clone(),
            },
            digest: format!("{:032x}", self.flown.digest),
            exit: self.exit.code(),
            first: self.command.first,
            trace: self.command.trace.clone(),
            ..RunFile::of(report)
        }
    }

    /// Says on standard error what went wrong, if anything did.
    pub(crate) fn complain(&self, folder: &Path) {
        if self.exit != Exit::Pass {
            say_error(&self.complaint(folder));
        }
    }

    /// What went wrong: the verdict, how to see it again, how it came about, where to look.
    fn complaint(&self, folder: &Path) -> String {
        let mut lines = vec![verdict(self.exit, self.flown, &self.open)];
        let violations = self.flown.violations.iter().take(SHOWN);
        lines.extend(violations.map(|violation| format!("  {violation}")));
        lines.push(format!("replay: {}", self.command.here));
        if let (Some(window), Some(first)) = (&self.window, self.flown.violations.first()) {
            let events = chain(window, first, SHOWN);
            if !events.is_empty() {
                lines.push("how the first came about (more in `violation.record`):".to_owned());
            }
            lines.extend(events.into_iter().map(|line| format!("  {line}")));
        }
        lines.push(format!("files: {}", folder.display()));
        lines.join("\n")
    }
}

/// How a run ended, in a line.
fn verdict(exit: Exit, flown: &Flown, open: &[String]) -> String {
    match exit {
        Exit::Pass => "everything held".to_owned(),
        Exit::Failed => "an expectation failed".to_owned(),
        Exit::Undecided => format!("undecided: {}", open.join("; ")),
        Exit::Metastable => {
            let fault = flown.figures.unrecovered().map(|fault| fault.name.as_str());
            format!("metastable: no recovery after `{}` healed", fault.unwrap_or_default())
        }
        Exit::Invariant => {
            let count = flown.violated;
            let times = if count == 1 { "once".to_owned() } else { format!("{count} times") };
            format!("an invariant of the router was violated {times}: this is a bug of the router")
        }
        Exit::Usage | Exit::Environment | Exit::Nondeterminism => {
            unreachable!("a run that was judged ended otherwise")
        }
    }
}

/// Judges every expectation; none of a run that was stopped early.
fn judge(prepared: &Prepared, flown: &Flown) -> Vec<Judged> {
    if flown.partial {
        return Vec::new();
    }
    let asked = prepared.of_whom().map(|(name, team, asked)| Judged {
        name: name.to_owned(),
        team: team.map(str::to_owned),
        expectation: asked.expectation.clone(),
        judgement: asked.expectation.judge(&flown.figures),
    });
    asked.collect()
}

/// Faults that are to be seen, and were not.
fn silent_faults(prepared: &Prepared, flown: &Flown) -> Vec<String> {
    let faults = prepared.resolved.plan.faults.iter().zip(&flown.fired);
    let silent = faults.filter(|(_, fired)| **fired == 0);
    silent.map(|(fault, _)| format!("the fault `{}` touched no call", fault.name)).collect()
}

fn decide(flown: &Flown, judged: &[Judged], open: &[String]) -> Exit {
    if flown.violated > 0 {
        Exit::Invariant
    } else if flown.partial {
        Exit::Pass
    } else if flown.figures.unrecovered().is_some() {
        Exit::Metastable
    } else if judged.iter().any(|j| j.judgement.verdict == Verdict::Fail) {
        Exit::Failed
    } else if open.is_empty() {
        Exit::Pass
    } else {
        Exit::Undecided
    }
}

#[cfg(test)]
mod tests {
    use router_core::{Invariant, RequestId, Time, Violation};

    use super::*;
    use crate::prepare::{Wanted, prepare};

    /// No scenario can make the router break an invariant, so one is said to be broken.
    #[test]
    fn a_violation_is_told_with_its_replay_and_how_it_came_about() {
        let wanted = Wanted { scenario: "healthy-baseline", ..Wanted::default() };
        let prepared = prepare(&wanted).expect("it is in the library");
        let mut flown = fly(&prepared, 3, Watch::default(), |_, _| {}).expect("it fits");
        flown.violated = 2;
        flown.violations.push(Violation {
            invariant: Invariant::Conservation,
            at: Time::from_secs(60),
            request: Some(RequestId::new(0, 634, 0)),
            detail: "never finished".to_owned(),
        });
        let typed = "seawall run healthy-baseline --seed 3".to_owned();
        let (scope, digest) = ("3".to_owned(), "abc".to_owned());
        let (first, trace) = (None, None);
        let command = Command { portable: typed.clone(), here: typed, scope, first, trace, digest };
        let landed = Landed::new(&prepared, 3, &flown, &command);
        assert_eq!(landed.exit, Exit::Invariant);
        let files = landed.artefacts(false);
        let window = String::from_utf8_lossy(&files["violation.record"]);
        assert!(window.starts_with("seawall record 1\n"));
        let summary = String::from_utf8_lossy(&files["summary.txt"]);
        assert!(
            summary.contains("\nnote             an invariant of the router was violated 2 times")
        );
        insta::assert_snapshot!(landed.complaint(Path::new(&command.folder())));
    }
}
