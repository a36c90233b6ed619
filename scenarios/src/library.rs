//! The files that come with the program: scenarios that run against any router, a router to start
//! from, and worlds whose answers are known in closed form.

/// A file of the library.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Entry {
    /// What the command line calls it.
    pub name: &'static str,
    /// Its text.
    pub text: &'static str,
}

/// A world whose answer is known, and the router that leaves it alone.
#[derive(Clone, Copy, Debug)]
pub struct ClosedForm {
    /// The scenario.
    pub scenario: Entry,
    /// The router.
    pub router: Entry,
}

/// The router that runs where none is named.
pub const STARTER: Entry = entry("starter", include_str!("../routers/starter.toml"));

const THOUSAND: Entry = entry("thousand-rps", include_str!("../routers/thousand-rps.toml"));

const SCENARIOS: [Entry; 7] = [
    entry("viral-spike", include_str!("../library/viral-spike.toml")),
    entry("primary-outage", include_str!("../library/primary-outage.toml")),
    entry("rate-limit-storm", include_str!("../library/rate-limit-storm.toml")),
    entry("azure-conversation", include_str!("../library/azure-conversation.toml")),
    entry("healthy-baseline", include_str!("../library/healthy-baseline.toml")),
    entry("max-tokens-tax", include_str!("../library/max-tokens-tax.toml")),
    entry("thousand-rps", include_str!("../library/thousand-rps.toml")),
];

const BARE: Entry = entry("closed-form/bare", include_str!("../routers/closed-form/bare.toml"));
const BUCKET: Entry =
    entry("closed-form/token-bucket", include_str!("../routers/closed-form/token-bucket.toml"));
const THREE: Entry =
    entry("closed-form/attempts", include_str!("../routers/closed-form/attempts.toml"));

const CLOSED_FORMS: [ClosedForm; 6] = [
    closed(entry("closed-form/mm1", include_str!("../library/closed-form/mm1.toml")), BARE),
    closed(entry("closed-form/mm10", include_str!("../library/closed-form/mm10.toml")), BARE),
    closed(
        entry("closed-form/erlang-b", include_str!("../library/closed-form/erlang-b.toml")),
        BARE,
    ),
    closed(
        entry("closed-form/token-bucket", include_str!("../library/closed-form/token-bucket.toml")),
        BUCKET,
    ),
    closed(
        entry("closed-form/fixed-window", include_str!("../library/closed-form/fixed-window.toml")),
        BARE,
    ),
    closed(
        entry("closed-form/attempts", include_str!("../library/closed-form/attempts.toml")),
        THREE,
    ),
];

/// The scenarios, in the order in which to meet them.
pub const fn scenarios() -> &'static [Entry] {
    &SCENARIOS
}

/// The worlds with known answers. They are found by name, but not offered.
pub const fn closed_forms() -> &'static [ClosedForm] {
    &CLOSED_FORMS
}

/// The scenario called `name`: `viral-spike`, `closed-form/mm1`.
pub fn find(name: &str) -> Option<Entry> {
    let closed = CLOSED_FORMS.iter().map(|form| form.scenario);
    SCENARIOS.into_iter().chain(closed).find(|entry| entry.name == name)
}

/// The router called `name`: `starter`, `thousand-rps`, `closed-form/bare`.
pub fn router(name: &str) -> Option<Entry> {
    [STARTER, THOUSAND, BARE, BUCKET, THREE].into_iter().find(|entry| entry.name == name)
}

const fn entry(name: &'static str, text: &'static str) -> Entry {
    Entry { name, text }
}

const fn closed(scenario: Entry, router: Entry) -> ClosedForm {
    ClosedForm { scenario, router }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use reports::{Fold, Verdict};
    use router_core::{Driver, Router, Seed, Time};
    use sim::World;

    use super::*;
    use crate::resolve::{Fleet, Override, Resolved, resolve};
    use crate::router::RouterFile;

    fn prepared(scenario: Entry, router: Entry) -> (RouterFile, Resolved) {
        let shown = |found: Vec<_>| found.iter().map(ToString::to_string).collect::<String>();
        let file = crate::router::read(router.name, router.text).map_err(shown).unwrap();
        let spec = crate::scenario::read(scenario.name, scenario.text).map_err(shown).unwrap();
        let fleet = Fleet { config: &file.config, endpoints: &file.endpoints };
        let resolved = resolve(&spec, fleet, &Override::default());
        let resolved = resolved.unwrap_or_else(|wrong| panic!("{}: {wrong:?}", scenario.name));
        (file, resolved)
    }

    /// The expectations that do not hold.
    fn unmet(scenario: Entry, router: Entry) -> Vec<String> {
        let (file, resolved) = prepared(scenario, router);
        let brain = Router::new(Arc::clone(&file.config), resolved.plan.seed, Time::ZERO);
        let fold = Fold::new(file.config, resolved.frame);
        let mut world = World::new(&resolved.plan, Driver::new(brain, fold));
        world.run();
        let end = world.now();
        let figures = world.into_driver().into_journal().finish(end);
        let asked = resolved.expectations.iter().flat_map(|expected| &expected.asked);
        let judged = asked.map(|asked| asked.expectation.judge(&figures));
        judged.filter(|j| j.verdict != Verdict::Pass).map(|j| j.text).collect()
    }

    #[test]
    fn the_starter_router_passes_every_scenario_and_the_thousand_its_own() {
        for scenario in scenarios() {
            let router = if scenario.name == THOUSAND.name { THOUSAND } else { STARTER };
            assert_eq!(unmet(*scenario, router), Vec::<String>::new(), "{}", scenario.name);
        }
    }

    #[test]
    fn a_router_without_cooldowns_or_a_backup_fails_the_spike() {
        let careless: String = STARTER
            .text
            .lines()
            .filter(|line| !line.starts_with("cooldown") && !line.starts_with("fallbacks"))
            .flat_map(|line| [line, "\n"])
            .collect();
        let careless = Entry { name: "careless", text: careless.leak() };
        let spike = find("viral-spike").unwrap();
        let unmet = unmet(spike, careless);
        assert!(unmet.iter().any(|text| text.starts_with("success.rate")), "{unmet:?}");
        assert!(unmet.iter().any(|text| text.starts_with("ttft")), "{unmet:?}");
    }

    #[test]
    fn everything_in_the_library_applies_to_its_router_without_a_warning() {
        let starter = scenarios().iter().filter(|scenario| scenario.name != THOUSAND.name);
        let starter = starter.map(|scenario| (*scenario, STARTER));
        let closed = closed_forms().iter().map(|form| (form.scenario, form.router));
        for (scenario, router) in starter.chain(closed).chain([(SCENARIOS[6], THOUSAND)]) {
            let (file, resolved) = prepared(scenario, router);
            assert!(file.warnings.is_empty(), "{}", router.name);
            assert!(resolved.not_applicable.is_empty(), "{:?}", resolved.not_applicable);
            assert!(resolved.warnings.is_empty(), "{:?}", resolved.warnings);
            assert!(!resolved.expectations.is_empty(), "{}", scenario.name);
            let seed = crate::scenario::read(scenario.name, scenario.text).unwrap().seed.unwrap();
            assert_eq!(resolved.plan.seed, Seed::from_u64(seed));
        }
    }

    #[test]
    fn files_are_found_by_the_names_they_are_listed_under() {
        for entry in scenarios() {
            assert_eq!(find(entry.name), Some(*entry));
        }
        for form in closed_forms() {
            assert_eq!(find(form.scenario.name), Some(form.scenario));
            assert_eq!(router(form.router.name), Some(form.router));
        }
        assert_eq!(router("starter"), Some(STARTER));
        assert_eq!((find("starter"), router("viral-spike")), (None, None));
    }
}
