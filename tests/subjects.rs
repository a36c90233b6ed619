//! Random subjects, who may use little, and what a token costs them.

use proptest::prelude::*;
use router_core::{BudgetSpec, BudgetUnit, LimitSpec, Price, Spec, SubjectSpec};
use sim::Mix;

use crate::world::{limits, millis, percent};

/// Who a router knows, and what its deployments cost.
#[derive(Clone, Debug)]
pub struct Subjects {
    subjects: Vec<SubjectSpec>,
    accounts: u32,
    prices: [Price; 5],
}

impl Subjects {
    /// Gives them to a router.
    pub fn adorn(self, spec: &mut Spec) {
        let Self { subjects, accounts, prices } = self;
        spec.subjects = subjects;
        if spec.subjects.is_empty() {
            let queues = spec.groups.iter_mut().filter_map(|group| group.queue.as_mut());
            queues.for_each(|queue| queue.fair = None);
        }
        spec.router.accounts = accounts;
        for (deployment, price) in spec.deployments.iter_mut().zip(prices) {
            deployment.price = price;
        }
    }
}

fn budgets() -> impl Strategy<Value = BudgetSpec> {
    let flags = (any::<bool>(), prop::bool::weighted(0.8));
    (flags, 1_u64..40, millis(1_000..9_000), percent(1..=100)).prop_map(
        |((usd, hard), times, period, soft)| {
            // Above what a request reserves at least, at ten pico-dollars a token at most.
            let (unit, least) =
                if usd { (BudgetUnit::Usd, 6_000) } else { (BudgetUnit::Tokens, 600) };
            BudgetSpec { unit, amount: least * times, period, soft, hard }
        },
    )
}

fn subject(kind: &'static str, name: Option<&'static str>) -> impl Strategy<Value = SubjectSpec> {
    let budgets = prop::collection::vec(budgets(), 0..=2);
    (prop::option::of(limits()), budgets, 1_u32..4).prop_map(move |(limit, budgets, weight)| {
        let limit = limit.unwrap_or_else(LimitSpec::default);
        SubjectSpec {
            limit,
            budgets,
            weight,
            ..SubjectSpec::new(kind.into(), name.map(Into::into))
        }
    })
}

/// None, or two kinds.
pub fn subjects() -> impl Strategy<Value = Subjects> {
    let org = (subject("org", Some("acme")), subject("org", None));
    let some = (org, subject("user", None)).prop_map(|((a, b), c)| vec![a, b, c]);
    let price = (0_u64..3, 0_u64..=10).prop_map(|(input, output)| Price {
        input,
        cached: input / 2,
        output,
    });
    let accounts = prop::sample::select(vec![2_u32, 6, 100]);
    (prop_oneof![Just(Vec::new()), some], accounts, prop::array::uniform5(price))
        .prop_map(|(subjects, accounts, prices)| Subjects { subjects, accounts, prices })
}

/// On whose account calls are: `acme`, another or nobody; and one of a few users.
pub fn payers() -> impl Strategy<Value = [Mix; 4]> {
    (0_u32..=600_000, 0_u32..=400_000, 1_u32..9).prop_map(|(acme, other, users)| {
        let org = Mix::shares([(acme, 1), (other, 2)]);
        [org, Mix::zipf(users, 1.0, 1), Mix::Always(3), Mix::NONE]
    })
}
