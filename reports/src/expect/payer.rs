//! Money and success by subject and by label.

use super::judge::Measured;
use super::parse::{SELECTORS, did_you_mean, listed, places_of_whose};
use super::{Expectation, Metric, Mistake, Selectors, Unit};
use crate::spending::{of_attempts, of_calls, total};
use crate::{Figures, Part, Payers, Purse};

/// A subject or a label.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Whose {
    /// The kind of subject, or the property.
    pub key: String,
    /// Its name; `*` for every subject of the kind without an entry of its own.
    pub name: String,
}

impl Expectation {
    /// What is wrong with the subject or the label that it names, as `text` has it, if `payers`
    /// have none such.
    pub fn unknown_payer(&self, text: &str, payers: &Payers) -> Option<Mistake> {
        unknown(self.of.whose.as_ref()?, text, payers)
    }
}

impl Metric {
    /// Whether it is counted by subject and by label.
    pub(crate) const fn is_of_payers(&self) -> bool {
        match self {
            Self::SuccessRate
            | Self::CostPer1k
            | Self::CostTotal
            | Self::CostShare
            | Self::CostEstimated
            | Self::Refused => true,
            Self::Ttft(_)
            | Self::Total(_)
            | Self::Amplification
            | Self::Share
            | Self::Recovery(_)
            | Self::Sent(_)
            | Self::HedgesWon
            | Self::HedgesCost
            | Self::Cached
            | Self::Failures(_)
            | Self::Openings
            | Self::Ejected
            | Self::EjectedMax
            | Self::PanicTime
            | Self::StrandedTime
            | Self::AppRestarts
            | Self::AppDown
            | Self::Overshoot(_)
            | Self::Rung(_)
            | Self::Degraded
            | Self::QueueWait(_)
            | Self::Queued
            | Self::Shed => false,
        }
    }
}

/// What is wrong with a subject or label that `payers` do not have, as `text` names it.
fn unknown(whose: &Whose, text: &str, payers: &Payers) -> Option<Mistake> {
    let places = places_of_whose(text).unwrap_or_default();
    let (mistake, place) = find(whose, payers)?;
    Some(Mistake { at: places[place].clone(), ..mistake })
}

/// The same, where it is not known how it was named.
pub(crate) fn unknown_payer(whose: &Whose, payers: &Payers) -> Option<Mistake> {
    find(whose, payers).map(|(mistake, _)| mistake)
}

/// What is wrong, and with which of the two: the key or the name.
fn find(Whose { key, name }: &Whose, payers: &Payers) -> Option<(Mistake, usize)> {
    let Some((place, names)) = payers.find(key) else {
        let known = || SELECTORS.into_iter().chain(payers.all().map(|names| names.name.as_str()));
        let hint =
            did_you_mean(key, known()).unwrap_or_else(|| format!("one of {}", listed(known())));
        let message = format!("no kind of subject and no property is called `{key}`");
        return Some((Mistake { at: 0..0, message, hint: Some(hint) }, 0));
    };
    let is_kind = place < payers.kinds.len();
    if names.names.contains(name) || (is_kind && name == "*") {
        return None;
    }
    let what = if is_kind { "subject" } else { "label" };
    let known = names.names.iter().map(String::as_str);
    let hint = did_you_mean(name, known.clone()).or_else(|| match names.names.len() {
        0 => Some(format!("they have no names here; `{key}=*` is all of them")),
        1..=8 => Some(format!("one of {}", listed(known))),
        _ => None,
    });
    let message = format!("no {what} of `{key}` is called `{name}`");
    Some((Mistake { at: 0..0, message, hint }, 1))
}

/// What a metric of money, or of success by subject or label, comes to.
pub(super) fn measure(metric: &Metric, of: &Selectors, figures: &Figures, part: &Part) -> Measured {
    let purse = match purse(of, figures, part) {
        Ok(purse) => purse,
        Err(why) => return Measured::Nothing(why),
    };
    let ratio = |part: u128, whole: u128, nothing: &str| match whole {
        0 => Measured::Nothing(nothing.to_owned()),
        wholes => Measured::Value { parts: part * u128::from(Unit::Times.grains()), wholes },
    };
    let free = if figures.priced { "nothing was charged" } else { "nothing has a price" };
    match metric {
        Metric::SuccessRate => ratio(purse.answered.into(), purse.calls.into(), "no call ended"),
        Metric::CostPer1k => match purse.answered {
            0 => Measured::Nothing("nothing was answered".to_owned()),
            wholes => Measured::Value { parts: purse.cost_pico * 1_000, wholes: wholes.into() },
        },
        Metric::CostTotal if !figures.priced => Measured::Nothing(free.to_owned()),
        Metric::CostTotal => Measured::Value { parts: purse.cost_pico, wholes: 1 },
        Metric::CostShare => ratio(purse.cost_pico, total(part).cost_pico, free),
        Metric::CostEstimated => ratio(purse.estimated_pico, purse.cost_pico, free),
        Metric::Refused => {
            let refused: u64 = purse.refused.iter().sum();
            ratio(refused.into(), purse.submissions.into(), "nobody called")
        }
        Metric::Ttft(_)
        | Metric::Total(_)
        | Metric::Amplification
        | Metric::Share
        | Metric::Recovery(_)
        | Metric::Sent(_)
        | Metric::HedgesWon
        | Metric::HedgesCost
        | Metric::Cached
        | Metric::Failures(_)
        | Metric::Openings
        | Metric::Ejected
        | Metric::EjectedMax
        | Metric::PanicTime
        | Metric::StrandedTime
        | Metric::AppRestarts
        | Metric::AppDown
        | Metric::Overshoot(_)
        | Metric::Rung(_)
        | Metric::Degraded
        | Metric::QueueWait(_)
        | Metric::Queued
        | Metric::Shed => unreachable!("it is not counted by who pays"),
    }
}

/// What the calls or attempts that are named came to.
pub(crate) fn purse(of: &Selectors, figures: &Figures, part: &Part) -> Result<Purse, String> {
    if let Some(Whose { key, name }) = &of.whose {
        let payers = &figures.frame.payers;
        let (place, _) = payers.find(key).ok_or_else(|| format!("nothing here is by `{key}`"))?;
        let purse = part.purse(payers, place, name);
        return purse.ok_or_else(|| format!("nobody here is `{key}={name}`"));
    }
    if let Some(name) = &of.deployment {
        let id = figures.deployment_named(name);
        let id = id.ok_or_else(|| format!("this router has no deployment `{name}`"))?;
        return Ok(of_attempts(&part.deployments[id.index()]));
    }
    match &of.group {
        Some(name) => {
            let id = figures.group_named(name);
            let id = id.ok_or_else(|| format!("this router has no group `{name}`"))?;
            Ok(of_calls(&part.groups[id.index()]))
        }
        None => Ok(total(part)),
    }
}
