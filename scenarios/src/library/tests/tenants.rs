//! A tenant gets an entry of its own while a scenario runs.

use std::collections::BTreeMap;

use router_core::{Input, Journal, Kind, Outcome, Output, Rejection, RequestId, Router, Time};

use super::*;

const SCENARIO: &str = "
[demand.\"*\"]
normal = { rate = \"20/s\", lasts = \"2 min\", tokens = { input = 100, output = 20 }, client = \"once\" }
subjects = { org = { initech = \"10 %\", acme = \"50 %\", globex = \"30 %\" } }
[provider.\"*\"]
service = { constant = \"100 ms\" }
concurrency = \"unlimited\"
[[reconfigure]]
at = \"1 min\"
router = \"next\"
[expect]
\"users are answered\" = \"success.rate >= 1 %\"
";

const ROUTER: &str = "
[deployment.a]
provider = \"acme\"
model = \"m\"
[group.chat]
members = { a = 1 }
[subject.\"org=initech\"]
limit = { requests = \"1000/s\" }
";

const ENTRY: &str = "
[subject.\"org=acme\"]
budget = \"12k tokens/h\"
";

/// By number of the organisation: when its requests came, and whether a budget refused them.
#[derive(Default)]
struct Seen {
    orgs: BTreeMap<RequestId, (Time, u32)>,
    refused: BTreeMap<u32, u32>,
    served: BTreeMap<u32, u32>,
}

impl Journal for Seen {
    fn input(&mut self, now: Time, input: &Input) {
        if let Input::Submit(request) = input {
            self.orgs.insert(request.id, (now, request.subjects[0]));
        }
    }

    fn output(&mut self, _: Time, output: &Output) {
        if let Output::Finish(id, outcome) = output {
            let (_, org) = self.orgs[id];
            let refused = matches!(outcome, Outcome::Reject(Rejection::Budget { .. }));
            let counts = if refused { &mut self.refused } else { &mut self.served };
            *counts.entry(org).or_default() += 1;
        }
    }
}

#[test]
fn a_tenant_is_held_to_a_budget_that_comes_with_a_reload() {
    let scenario = Entry { name: "tenants", text: SCENARIO };
    let router = Entry { name: "router", text: ROUTER };
    let next = [ENTRY, ROUTER].concat();
    let revised = |first: &RouterFile, _: &_| -> Vec<RouterFile> {
        vec![crate::router::revise(first, "next", &next).expect("it is valid")]
    };
    let (file, resolved) = prepared_for(scenario, router, revised);
    let seed = resolved.plan.seed;
    let brain = Router::new(file.config, seed, Time::ZERO);
    let mut world = World::new(&resolved.plan, Driver::new(brain, Seen::default()));
    world.run();
    let seen = world.into_driver().into_journal();
    let minute = Time::from_secs(60);
    let (initech, acme, acme_before, globex) = (1, 2, Kind::OTHERS, Kind::OTHERS + 1);
    let numbers = |late: bool| {
        let all = seen.orgs.values().filter(|(at, _)| (*at >= minute) == late);
        let mut numbers: Vec<u32> = all.map(|(_, org)| *org).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    };
    assert_eq!(numbers(false), [0, initech, acme_before, globex]);
    assert_eq!(numbers(true), [0, initech, acme, globex]);
    // A hundred calls of a hundred and twenty tokens, each of which reserves more than it takes.
    assert!((90..=100).contains(&seen.served[&acme]), "{:?}", seen.served);
    assert!(seen.served[&acme_before] > 500, "{:?}", seen.served);
    assert_eq!(seen.refused.keys().collect::<Vec<_>>(), [&acme]);
}
