//! Which expectations can be asked of this router, in this scenario.

use reports::{Expectation, Frame};
use router_core::Config;

use super::{Asked, Expected, Said};
use crate::diagnostic::nearest;
use crate::read::WHOLE;
use crate::written::{Mistake, Spanned};

/// What a scenario's own expectations may name.
#[derive(Clone, Copy)]
pub(super) struct Known<'a> {
    /// Its faults.
    pub(super) faults: &'a [&'a str],
    /// The kinds of subjects that its calls are on account of, whether the router has them or not.
    pub(super) kinds: &'a [&'a str],
}

/// Reads `written`, drops what does not apply, and says so.
///
/// `known` says what the file has, if it is a scenario's own: another name there is a mistake,
/// while an SLO may name what only some scenarios have.
pub(super) fn expectations(
    written: &[(Spanned<String>, Vec<Spanned<String>>)],
    config: &Config,
    frame: &Frame,
    known: Option<Known<'_>>,
    said: &mut Said,
) -> Vec<Expected> {
    let mut expected = Vec::new();
    for (name, texts) in written {
        let asked = texts.iter().filter_map(|text| asked(text, config, frame, known, said));
        let asked: Vec<Asked> = asked.collect();
        if !asked.is_empty() {
            expected.push(Expected { name: name.value.clone(), asked });
        }
    }
    expected
}

fn asked(
    text: &Spanned<String>,
    config: &Config,
    frame: &Frame,
    known: Option<Known<'_>>,
    said: &mut Said,
) -> Option<Asked> {
    let expectation = match Expectation::parse(&text.value) {
        Ok(expectation) => expectation,
        Err(mistake) => {
            said.mistakes.push(placed(text, mistake));
            return None;
        }
    };
    let fault = expectation.fault();
    let during = expectation.of.during.as_deref();
    let always = |name: &str| name == "normal" || name == "spike";
    if let Some(Known { faults: known, .. }) = known {
        let mut named = fault.into_iter().chain(during.filter(|name| !always(name)));
        if let Some(unknown) = named.find(|name| !known.contains(name)) {
            let message = format!("this scenario has no fault `{unknown}`");
            let hint = if !known.is_empty() {
                format!("it has `{}`", known.join("`, `"))
            } else if fault == Some(unknown) {
                "it has no faults".to_owned()
            } else {
                "`during=` may be `normal` or `spike`".to_owned()
            };
            said.lacks(&WHOLE, Mistake { at: text.at.clone(), message, hint: Some(hint) });
            return None;
        }
    }
    let payer = payer(text, &expectation, frame, known, said)?;
    let has_fault = |name: &str| frame.faults.iter().any(|fault| fault.name == name);
    let has_phase = |name: &str| frame.phases.iter().any(|phase| phase.name == name);
    let why = if payer.is_some() {
        payer
    } else if !expectation.applies(config) {
        Some(format!("this router has no such group or deployment{}", meant(&expectation, config)))
    } else if let Some(fault) = fault.filter(|name| !has_fault(name)) {
        Some(format!("there is no fault `{fault}` here"))
    } else {
        let phase = during.filter(|name| !has_phase(name));
        phase.map(|phase| format!("there is no phase `{phase}` here"))
    };
    if let Some(why) = why {
        said.not_applicable(format!("expectation `{}`: {why}", text.value));
        return None;
    }
    Some(Asked { text: text.value.clone(), expectation })
}

/// Whose money or success is asked for: why that does not apply here, if it does not; nothing at all
/// if it is a mistake.
fn payer(
    text: &Spanned<String>,
    expectation: &Expectation,
    frame: &Frame,
    known: Option<Known<'_>>,
    said: &mut Said,
) -> Option<Option<String>> {
    let Some(mistake) = expectation.unknown_payer(&text.value, &frame.payers) else {
        return Some(None);
    };
    let key = expectation.of.whose.as_ref().map_or("", |whose| whose.key.as_str());
    match known {
        Some(known) if known.kinds.contains(&key) => {
            Some(Some(format!("this router has no subjects of kind `{key}`")))
        }
        Some(_) => {
            said.mistakes.push(placed(text, mistake));
            None
        }
        None => {
            let hint = mistake.hint.filter(|hint| hint.starts_with("did you mean"));
            let hint = hint.map(|hint| format!("; {hint}")).unwrap_or_default();
            Some(Some(mistake.message + &hint))
        }
    }
}

/// What was probably meant by a name that nothing here has, as a half-sentence.
fn meant(expectation: &Expectation, config: &Config) -> String {
    let (group, deployment) = (&expectation.of.group, &expectation.of.deployment);
    let group = group.as_deref().filter(|name| config.group_named(name).is_none());
    let deployment = deployment.as_deref().filter(|name| config.deployment_named(name).is_none());
    let groups = config.groups().iter().map(|group| group.name.as_str());
    let deployments = config.deployments().iter().map(|deployment| deployment.name.as_str());
    let meant = [
        group.and_then(|name| nearest(name, groups)),
        deployment.and_then(|name| nearest(name, deployments)),
    ];
    let meant = meant.into_iter().flatten().next();
    meant.map(|meant| format!("; did you mean `{meant}`?")).unwrap_or_default()
}

/// Where in the file: a string in quotes without escapes is its text, one byte further on.
pub(crate) fn placed(text: &Spanned<String>, mistake: reports::Mistake) -> Mistake {
    let verbatim = text.at.len() == text.value.len() + 2;
    let start = text.at.start + 1;
    let at =
        if verbatim { start + mistake.at.start..start + mistake.at.end } else { text.at.clone() };
    Mistake { at, message: mistake.message, hint: mistake.hint }
}
