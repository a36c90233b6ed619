//! Subjects and labels by number.

use reports::{Names, Payers};
use router_core::{Config, Kind, Subject};
use sim::{Mix, Renumbered};

use super::demand::Demands;
use super::{Property, Said};
use crate::written::{DemandSpec, MixSpec, ScenarioSpec, Spanned};

/// What a scenario calls subjects, beyond those that the router has entries for.
pub(super) struct Subjects<'a> {
    /// The router at the start, and with all that reloads bring.
    first: &'a Config,
    whole: &'a Config,
    /// By kind: names that the router does not have at the start. They are numbered where none of
    /// its own ever are, and whoever has no name after them.
    extra: Vec<Vec<String>>,
}

impl<'a> Subjects<'a> {
    pub(super) fn new(scenario: &ScenarioSpec, first: &'a Config, whole: &'a Config) -> Self {
        let mut extra = vec![Vec::new(); whole.kinds().len()];
        let all = scenario.demands.iter().flat_map(|(_, demand)| &demand.subjects);
        for (kind, mix) in all {
            let place = whole.kinds().iter().position(|known| known.name == kind.value);
            let (Some(place), MixSpec::Shares(shares)) = (place, mix) else { continue };
            for (name, _) in shares {
                let known: &mut Vec<String> = &mut extra[place];
                let new = first.subject(&kind.value, &name.value).is_none()
                    && !known.contains(&name.value);
                if new {
                    known.push(name.value.clone());
                }
            }
        }
        Self { first, whole, extra }
    }

    /// Who has an entry of its own from the revision `next` of `last` on.
    pub(super) fn named(&self, last: &Config, next: &Config) -> Vec<Renumbered> {
        let all = self.whole.kinds().iter().zip(&self.extra).enumerate();
        let named = all.flat_map(|(kind, (known, extra))| {
            let anew = (Kind::OTHERS..).zip(extra).filter_map(|(from, name)| {
                let before = last.subject(&known.name, name).is_none();
                let (_, to) = next.subject(&known.name, name).filter(|_| before)?;
                Some(Renumbered { kind, from, to })
            });
            anew.collect::<Vec<_>>()
        });
        named.collect()
    }

    /// By kind: what the numbers from [`Kind::OTHERS`] on stand for.
    pub(super) fn into_names(self) -> Vec<Vec<String>> {
        self.extra
    }

    /// On whose account a demand's calls are.
    pub(super) fn of(&self, demand: &str, spec: &DemandSpec, said: &mut Said) -> [Mix; 4] {
        let mut mixes = [Mix::NONE; 4];
        for (kind, mix) in &spec.subjects {
            let kinds = self.whole.kinds();
            if let MixSpec::Shares(shares) = mix {
                check(shares, said);
            }
            let Some(place) = kinds.iter().position(|known| known.name == kind.value) else {
                let kind = &kind.value;
                said.not_applicable(format!(
                    "demand `{demand}`: this router has no subjects of kind `{kind}`"
                ));
                continue;
            };
            let extra = &self.extra[place];
            mixes[place] = match mix {
                MixSpec::Shares(shares) => share(shares, |name| {
                    let own = self.first.subject(&kind.value, name).map(|(_, number)| number);
                    let extra = || extra.iter().position(|known| known == name);
                    own.or_else(|| Some(Kind::OTHERS + extra()? as u32)).unwrap_or(0)
                }),
                MixSpec::Crowd(crowd) => {
                    let exponent = f64::from(crowd.exponent) / 1e6;
                    Mix::zipf(crowd.count, exponent, Kind::OTHERS + extra.len() as u32)
                }
                MixSpec::One(_) => Mix::NONE,
            };
        }
        mixes
    }
}

fn share(shares: &[(Spanned<String>, Spanned<u32>)], number: impl Fn(&str) -> u32) -> Mix {
    let mut left = 1_000_000;
    Mix::shares(shares.iter().map(|(name, ppm)| {
        let ppm = ppm.value.min(left);
        left -= ppm;
        (ppm, number(&name.value))
    }))
}

/// Shares are of one whole.
fn check(shares: &[(Spanned<String>, Spanned<u32>)], said: &mut Said) {
    let mut sum = 0_u64;
    for (_, ppm) in shares {
        let before = sum;
        sum += u64::from(ppm.value);
        if before <= 1_000_000 && sum > 1_000_000 {
            said.wrong(&ppm.at, "with the shares before it, this is more than 100 %");
        }
    }
}

/// A demand's labels by number. A property keeps its place through the whole scenario.
pub(super) fn properties(
    spec: &DemandSpec,
    known: &mut Vec<Property>,
    said: &mut Said,
) -> [Mix; 4] {
    let mut mixes = [Mix::NONE; 4];
    for (name, mix) in &spec.properties {
        let place = known.iter().position(|p| p.name == name.value).unwrap_or_else(|| {
            known.push(Property { name: name.value.clone(), labels: Vec::new() });
            known.len() - 1
        });
        if place >= mixes.len() {
            said.wrong(&name.at, "requests carry at most four properties");
            continue;
        }
        let labels = &mut known[place].labels;
        mixes[place] = match mix {
            MixSpec::One(label) => Mix::Always(number(labels, label, said)),
            MixSpec::Shares(shares) => {
                check(shares, said);
                let numbers: Vec<u32> =
                    shares.iter().map(|(label, _)| number(labels, label, said)).collect();
                let place = |name: &str| shares.iter().position(|(label, _)| label.value == name);
                share(shares, |name| place(name).map_or(0, |place| numbers[place]))
            }
            MixSpec::Crowd(_) => Mix::NONE,
        };
    }
    mixes
}

/// What the numbers of subjects and labels stand for.
pub(super) fn payers(config: &Config, demands: &Demands, said: &mut Said) -> Payers {
    let own = |subject: &Subject| subject.name.clone();
    let kinds = config.kinds().iter().enumerate().map(|(place, kind)| {
        let mut names: Vec<String> = kind.named.iter().map(own).collect();
        let extra = demands.subjects.get(place).into_iter().flatten();
        let others = extra.map(|name| {
            let place = names.iter().position(|known| known == name).unwrap_or_else(|| {
                names.push(name.clone());
                names.len() - 1
            });
            place as u32 + 1
        });
        let others = others.collect();
        Names { name: kind.name.clone(), names, own: kind.named.len(), others }
    });
    let properties = demands.properties.iter().map(|property| Names {
        name: property.name.clone(),
        names: property.labels.clone(),
        own: property.labels.len(),
        others: Vec::new(),
    });
    let kinds: Vec<Names> = kinds.collect();
    let properties: Vec<Names> = properties.take(4).collect();
    for Names { name, .. } in &properties {
        if kinds.iter().any(|kind| kind.name == *name) {
            said.warn(format!(
                "`{name}` is a kind of subject and a property: in expectations it is the kind"
            ));
        }
    }
    Payers { kinds, properties }
}

/// The number of a label among those known.
fn number(labels: &mut Vec<String>, label: &Spanned<String>, said: &mut Said) -> u32 {
    let index = labels.iter().position(|known| *known == label.value).unwrap_or_else(|| {
        labels.push(label.value.clone());
        labels.len() - 1
    });
    let number = u16::try_from(index + 1).unwrap_or_else(|_| {
        said.wrong(&label.at, "a property has at most 65,535 labels");
        0
    });
    number.into()
}
