mod lessons;
mod replicas;
mod tenants;

use std::sync::Arc;

use reports::{Figures, Fold, Verdict};
use router_core::{Driver, Seed};
use sim::{Replicas, World};

use super::*;
use crate::resolve::{Fleet, Override, Resolved, resolve};
use crate::router::RouterFile;

/// The routers that a scenario's reloads name, each a revision of the one before.
fn later(first: &RouterFile, scenario: &crate::written::ScenarioSpec) -> Vec<RouterFile> {
    let mut then: Vec<RouterFile> = Vec::new();
    for reload in &scenario.reloads {
        let entry = router(&reload.router.value).expect("it is in the library");
        let running = then.last().unwrap_or(first);
        then.push(crate::router::revise(running, entry.name, entry.text).expect("it is valid"));
    }
    then
}

fn prepared(scenario: Entry, router: Entry) -> (RouterFile, Resolved) {
    prepared_for(scenario, router, later)
}

fn prepared_for(
    scenario: Entry,
    router: Entry,
    later: impl FnOnce(&RouterFile, &crate::written::ScenarioSpec) -> Vec<RouterFile>,
) -> (RouterFile, Resolved) {
    let shown = |found: Vec<_>| found.iter().map(ToString::to_string).collect::<String>();
    let file = crate::router::read(router.name, router.text).map_err(shown).unwrap();
    let spec = crate::scenario::read(scenario.name, scenario.text).map_err(shown).unwrap();
    let then = later(&file, &spec);
    let fleet = Fleet { config: &file.config, endpoints: &file.endpoints, then: &then };
    let resolved = resolve(&spec, fleet, &Override::default());
    let resolved = resolved.unwrap_or_else(|wrong| panic!("{}: {wrong:?}", scenario.name));
    (file, resolved)
}

/// What a scenario comes to on a router.
fn flown(scenario: Entry, router: Entry) -> (Figures, Resolved) {
    let (file, resolved) = prepared(scenario, router);
    let spec = crate::scenario::read(scenario.name, scenario.text).expect("it is valid");
    let brain = Replicas::new(&resolved.plan, &file.config, spec.seed.unwrap_or(1), |_, _| ());
    let last = resolved.plan.reloads.last();
    let whole = last.map_or_else(|| Arc::clone(&file.config), |last| Arc::clone(&last.config));
    let fold = Fold::across(file.config, &whole, resolved.frame.clone());
    let mut world = World::new(&resolved.plan, Driver::new(brain, fold));
    world.run();
    let end = world.now();
    let application = resolved.application(world.app());
    let replicas = resolved.replicas(world.driver().brain(), &whole);
    let cache = resolved.cache(world.cache());
    let figures = world.into_driver().into_journal().finish(end);
    (Figures { application, replicas, cache, ..figures }, resolved)
}

/// The expectations that do not hold.
fn unmet(scenario: Entry, router: Entry) -> Vec<String> {
    let (figures, resolved) = flown(scenario, router);
    let asked = resolved.expectations.iter().flat_map(|expected| &expected.asked);
    let judged = asked.map(|asked| asked.expectation.judge(&figures));
    judged.filter(|j| j.verdict != Verdict::Pass).map(|j| j.text).collect()
}

/// Whether the starter router is not meant to pass.
fn demonstrates_failure(scenario: Entry) -> bool {
    crate::scenario::read(scenario.name, scenario.text).unwrap().demonstrates_failure
}

#[test]
fn the_starter_router_passes_every_scenario_that_does_not_demonstrate_a_failure() {
    for scenario in scenarios().iter().filter(|scenario| !demonstrates_failure(**scenario)) {
        assert_eq!(unmet(*scenario, STARTER), Vec::<String>::new(), "{}", scenario.name);
    }
}

#[test]
fn every_scenario_passes_on_the_router_of_its_own() {
    let own = scenarios().iter().filter_map(|scenario| Some((scenario, router(scenario.name)?)));
    let mut seen = 0;
    for (scenario, router) in own {
        assert_eq!(unmet(*scenario, router), Vec::<String>::new(), "{}", scenario.name);
        seen += 1;
    }
    assert_eq!(seen, lessons().len() + 1);
}

/// The starter router with `old` replaced by `new`.
fn starter_but(old: &str, new: &str) -> Entry {
    assert!(STARTER.text.contains(old), "{old}");
    Entry { name: "careless", text: STARTER.text.replace(old, new).leak() }
}

/// A scenario that every router passes teaches nothing.
#[test]
fn each_scenario_catches_the_router_that_lacks_what_it_is_about() {
    let cooldown = "cooldown = { after = \"20 % of 10 in 30 s\", rest = \"5 s\", max = \"60 s\" }";
    let fallbacks = "fallbacks = \"backup\"";
    let first_token = "first_token = \"10 s\"";
    for (name, old, new, unmet_first) in [
        ("viral-spike", cooldown, "cooldown = \"off\"", "ttft.p95"),
        ("viral-spike", fallbacks, "", "success.rate"),
        ("primary-outage", cooldown, "cooldown = \"off\"", "ttft.p95"),
        ("rate-limit-storm", cooldown, "cooldown = \"off\"", "amplification"),
        ("azure-conversation", fallbacks, "", "success.rate"),
        ("healthy-baseline", first_token, "first_token = \"1 s\"", "amplification"),
        ("max-tokens-tax", fallbacks, "", "success.rate"),
        ("timeout-blow-up", first_token, "first_token = \"60 s\"", "ttft.max"),
        ("gray-streams", cooldown, "cooldown = \"off\"", "success.rate"),
        ("fast-fail-black-hole", cooldown, "cooldown = \"off\"", "failures.server"),
        ("fallback-cycle", cooldown, "cooldown = \"off\"", "amplification"),
        ("burst-herd", fallbacks, "strategy = \"sticky\"", "ttft.max"),
    ] {
        let unmet = unmet(find(name).unwrap(), starter_but(old, new));
        let first = unmet.first().map_or("nothing", String::as_str);
        assert!(first.starts_with(unmet_first), "{name} without {old}: {unmet:?}");
    }
}

#[test]
fn every_scenario_has_a_meaning_for_a_router_of_one_deployment() {
    let lonely = "[deployment.only]\nprovider = \"acme\"\nmodel = \"m\"\n\
                  [group.all]\nmembers = { only = 1 }\n";
    for scenario in scenarios() {
        let (_, resolved) = prepared(*scenario, Entry { name: "lonely", text: lonely });
        assert!(!resolved.expectations.is_empty(), "{}", scenario.name);
        assert!(resolved.warnings.iter().any(|warning| warning.contains("`acme`")));
    }
}

#[test]
fn everything_in_the_library_applies_to_its_router_without_a_warning() {
    let starter = scenarios().iter().filter(|scenario| !demonstrates_failure(**scenario));
    let starter = starter.map(|scenario| (*scenario, STARTER));
    let own = scenarios().iter().filter_map(|scenario| Some((*scenario, router(scenario.name)?)));
    let closed = closed_forms().iter().map(|form| (form.scenario, form.router));
    for (scenario, router) in starter.chain(own).chain(closed) {
        let (file, resolved) = prepared(scenario, router);
        // The mesh of `fallback-cycle` is what it is about.
        let is_odd = |warning: &&String| !warning.contains("where it came from");
        let odd: Vec<_> = file.warnings.iter().map(ToString::to_string).collect();
        assert_eq!(odd.iter().find(is_odd), None, "{}", router.name);
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
    for entry in routers() {
        assert_eq!(router(entry.name), Some(entry));
    }
    for lesson in lessons() {
        assert_eq!(find(lesson.scenario.name), Some(lesson.scenario));
        assert_eq!(router(lesson.scenario.name), Some(lesson.cured));
    }
    assert_eq!((find("starter"), router("viral-spike")), (None, None));
}
