//! Subjects: their kinds, limits and budgets.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::{Checker, LONGEST, Problem, is_name};
use crate::config::{Kind, PeersSpec, Price, Spec, Subject, SubjectSpec};
use crate::{BudgetSpec, BudgetUnit, Span, Usage};

/// As many subjects as a request can name.
pub(in crate::config) const KINDS_MAX: usize = 4;
/// Entries of one kind.
const NAMED_MAX: usize = 10_000;
const BUDGETS_MAX: usize = 2;
/// Ten million dollars, or that many times a million tokens: what still fits the counters.
const BUDGET_MAX: u64 = 10_000_000_000_000_000_000;

impl Checker {
    pub(super) fn subjects(&mut self, spec: &Spec) -> Vec<Kind> {
        let kind = |name: &str| Kind { name: name.into(), named: Vec::new(), others: None };
        let mut kinds: Vec<Kind> = kinds(spec).into_iter().map(kind).collect();
        let least = |unit| least(spec, unit);
        let least = [least(BudgetUnit::Usd), least(BudgetUnit::Tokens)];
        if let Some(kind) = kinds.get(KINDS_MAX)
            && let Some(first) = spec.subjects.iter().find(|subject| subject.kind == kind.name)
        {
            self.fault(path(first), Problem::Kinds { most: KINDS_MAX });
        }
        for written in &spec.subjects {
            let path = path(written);
            let found = kinds.iter().position(|kind| kind.name == written.kind);
            let place = found.expect("every kind that is mentioned is there");
            let kind = &mut kinds[place];
            let twice = match &written.name {
                Some(name) => kind.number(name).is_some(),
                None => kind.others.is_some(),
            };
            let fine = is_name(&written.kind) && written.name.as_deref().is_none_or(is_name);
            if !fine {
                self.fault(path.clone(), Problem::Name);
            } else if twice {
                self.fault(path.clone(), Problem::Twice);
            }
            let subject = self.subject(&path, written, (least, spec.router.peers));
            match &written.name {
                Some(_) => kind.named.push(subject),
                None => kind.others = Some(subject),
            }
        }
        for kind in kinds.iter().filter(|kind| kind.named.len() > NAMED_MAX) {
            let (what, count, most) = ("subjects of one kind", kind.named.len(), NAMED_MAX);
            let path = format!("subject.{}={}", kind.name, kind.named[NAMED_MAX].name);
            self.fault(path, Problem::TooMany { what, count, most });
        }
        kinds
    }

    fn subject(
        &mut self,
        path: &str,
        written: &SubjectSpec,
        (least, peers): ([u64; 2], Option<PeersSpec>),
    ) -> Subject {
        self.limit(&format!("{path}.limit"), &written.limit, peers);
        self.range(format!("{path}.weight"), u64::from(written.weight), 1, 1_000_000);
        let path = format!("{path}.budget");
        if written.budgets.len() > BUDGETS_MAX {
            let (what, count, most) = ("budgets", written.budgets.len(), BUDGETS_MAX);
            self.fault(path.clone(), Problem::TooMany { what, count, most });
        }
        let part = |budget| peers.map_or(budget, |peers| peers.part(budget));
        let budgets: Vec<BudgetSpec> = written.budgets.iter().copied().map(part).collect();
        for budget in &budgets {
            self.budget(&path, budget, least);
        }
        let whole = &written.limit;
        Subject {
            name: written.name.clone().unwrap_or_default(),
            limit: peers.map_or_else(|| whole.clone(), |peers| peers.share(whole)),
            budgets,
            weight: written.weight,
            removed: false,
        }
    }

    fn budget(&mut self, path: &str, budget: &BudgetSpec, least: [u64; 2]) {
        let BudgetSpec { unit, amount, period, soft, hard: _ } = *budget;
        let least = least[unit as usize].max(1);
        if amount < least {
            self.fault(path, Problem::BudgetBelow { unit, amount, least });
        } else if amount > BUDGET_MAX {
            self.range(path, amount, 1, BUDGET_MAX);
        }
        self.span(path, period, Span::from_secs(1), LONGEST);
        self.threshold(path, soft);
    }
}

/// The kinds of subjects, numbered by their place here.
pub(super) fn kinds(spec: &Spec) -> Vec<&str> {
    let mut kinds: Vec<&str> = Vec::new();
    for subject in &spec.subjects {
        if !kinds.contains(&subject.kind.as_str()) {
            kinds.push(&subject.kind);
        }
    }
    kinds
}

/// Where a subject stands in a file.
fn path(written: &SubjectSpec) -> String {
    let name = written.name.as_deref().unwrap_or("*");
    format!("subject.{}={name}", written.kind)
}

/// The least that a request which names no maximum reserves anywhere.
fn least(spec: &Spec, unit: BudgetUnit) -> u64 {
    let output_tokens = spec.router.output_reserve;
    match unit {
        BudgetUnit::Tokens => u64::from(output_tokens) + 1,
        BudgetUnit::Usd => {
            let usage = Usage { input_tokens: 1, cached_tokens: 0, output_tokens };
            let serves = |name: &String| {
                spec.groups.iter().any(|g| g.members.iter().any(|m| m.deployment == *name))
            };
            let priced = spec.deployments.iter().filter(|d| serves(&d.name));
            // What is free by mistake is warned of; it says nothing of what a request costs.
            let priced = priced.filter(|d| d.price != Price::FREE);
            priced.map(|d| d.price.of(usage)).min().unwrap_or(0)
        }
    }
}

/// What a budget of so much is, as files write it.
pub(super) fn worth(unit: BudgetUnit, amount: u64) -> String {
    match unit {
        BudgetUnit::Tokens => format!("{amount} tokens"),
        BudgetUnit::Usd => {
            let (whole, part) = (amount / 1_000_000_000_000, amount % 1_000_000_000_000);
            let part = format!("{part:012}");
            let part = part.trim_end_matches('0');
            let point = if part.is_empty() { "" } else { "." };
            [&whole.to_string(), point, part, " USD"].concat()
        }
    }
}
