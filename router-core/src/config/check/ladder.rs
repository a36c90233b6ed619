//! Whether a ladder can be stood on: one full answer, each rung once, and none out of reach.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::{Checker, Problem, unknown_group};
use crate::config::names;
use crate::{GroupId, GroupSpec, Ladder, Rung, RungSpec, Spec};

/// The most rungs of a ladder.
const RUNGS_MAX: usize = 16;

impl Checker {
    pub(super) fn ladder(&mut self, path: &str, written: &GroupSpec, spec: &Spec) -> Ladder {
        let path = format!("{path}.ladder");
        let mut ladder = Ladder::default();
        let rungs = &written.ladder;
        if rungs.len() > RUNGS_MAX {
            let (what, count, most) = ("rungs", rungs.len(), RUNGS_MAX);
            self.fault(path, Problem::TooMany { what, count, most });
            return ladder;
        }
        let full = rungs.iter().filter(|rung| **rung == RungSpec::Full).count();
        if full != 1 {
            self.fault(path.clone(), Problem::NotOneFull { count: full });
        }
        let mut below = false;
        let mut seen: Vec<Rung> = Vec::new();
        for rung in rungs {
            let rung = match rung {
                RungSpec::Full => {
                    below = true;
                    continue;
                }
                RungSpec::Fresh => Rung::Fresh,
                RungSpec::Stale => Rung::Stale,
                RungSpec::Static => Rung::Static,
                RungSpec::Group(name) => {
                    let groups =
                        spec.groups.iter().map(|g| (g.name.as_str(), g.aliases.as_slice()));
                    let Some(place) = names::resolve(groups, name) else {
                        self.fault(path.clone(), unknown_group(name, spec));
                        continue;
                    };
                    if spec.groups[place].name == written.name {
                        self.fault(
                            path.clone(),
                            Problem::OwnRung { name: format!("group:{name}") },
                        );
                    }
                    Rung::Group(GroupId::at(place))
                }
            };
            let name = || rung_name(rung, spec);
            let shadow = seen.iter().copied().find(|above| hides(*above, rung));
            if seen.contains(&rung) {
                self.fault(path.clone(), Problem::Repeated { name: name() });
            } else if let Some(above) = shadow {
                let above = rung_name(above, spec);
                self.fault(path.clone(), Problem::Unreached { name: name(), above });
            } else if !below && full == 1 && !rung.is_cache() {
                self.fault(path.clone(), Problem::AboveFull { name: name() });
            }
            seen.push(rung);
            let rungs = if below { &mut ladder.below } else { &mut ladder.above };
            rungs.push(rung);
        }
        ladder
    }
}

/// Whether a rung has something whenever another one has.
fn hides(above: Rung, rung: Rung) -> bool {
    match above {
        Rung::Static => true,
        Rung::Stale => rung == Rung::Fresh,
        Rung::Fresh | Rung::Group(_) => false,
    }
}

/// As files write it.
fn rung_name(rung: Rung, spec: &Spec) -> String {
    match rung {
        Rung::Fresh => "fresh".to_string(),
        Rung::Stale => "stale".to_string(),
        Rung::Static => "static".to_string(),
        Rung::Group(group) => format!("group:{}", spec.groups[group.index()].name),
    }
}
