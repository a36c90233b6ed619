//! What a subject's keys mean to the core.

use router_core::{BudgetSpec, SubjectSpec};

use super::limit;
use crate::quantity::Spend;
use crate::read::{Section, Value};

/// The subject under the key `KIND=NAME`; a key of another form was complained about.
pub(super) fn subject(key: &str, section: &Section) -> Option<SubjectSpec> {
    let (kind, name) = key.split_once('=')?;
    let mut spec = SubjectSpec::new(kind.to_owned(), (name != "*").then(|| name.to_owned()));
    if let Some(written) = section.section("limit") {
        spec.limit = limit(written);
    }
    let budgets = section.list("budget").iter().filter_map(|node| match &node.value {
        Value::Table(written) => budget(written),
        Value::Of(_) | Value::Map(_) | Value::List(_) => None,
    });
    spec.budgets = budgets.collect();
    spec.weight = section.need("weight");
    Some(spec)
}

fn budget(section: &Section) -> Option<BudgetSpec> {
    let Spend { unit, amount, period } = section.get("amount")?;
    let (soft, hard) = (section.need("soft"), section.need("hard"));
    Some(BudgetSpec { unit, amount, period, soft, hard })
}
