//! What is nearly right for a router: names, selectors, reserves.

use super::*;
use crate::written::LengthSpec;

#[test]
fn what_is_nearly_here_is_asked_for() {
    for (on, meant) in [
        ("oia", "oai"),
        ("bgi", "big"),
        ("vendor:opnai", "vendor:openai"),
        ("openai", "vendor:openai"),
        ("group:chta", "group:chat"),
        ("region:eeu", "region:eu"),
        ("model:gpt-4o-mni", "model:gpt-4o-mini"),
    ] {
        let mut scenario = steady();
        scenario.faults.push((named("down"), outage(on)));
        let found = resolved(&scenario).unwrap();
        let line = format!("fault `down`: nothing here is `{on}`; did you mean `{meant}`?");
        assert_eq!(found.not_applicable, [line.as_str()]);
        // Beside what is here it would be lost silently.
        let mut both = outage(on);
        both.on.push(named("tier:0"));
        both.on.push(named("vendor:mistral"));
        scenario.faults = vec![(named("down"), both)];
        let found = resolved(&scenario).unwrap();
        assert!(found.warnings.contains(&line) && found.not_applicable.is_empty(), "{found:?}");
    }
    let mut scenario = steady();
    let demand = scenario.demands[0].1.clone();
    scenario.demands.push((named("chta"), demand));
    scenario.expectations.push((named("x"), vec![named("share {deployment=oia} > 1 %")]));
    let said = resolved(&scenario).unwrap().not_applicable;
    assert!(
        said.iter().any(|line| line.ends_with("`chta` here; did you mean `chat`?")),
        "{said:?}"
    );
    assert!(said.iter().any(|line| line.ends_with("deployment; did you mean `oai`?")), "{said:?}");
    scenario.demands.remove(0);
    let wrong = resolved(&scenario).unwrap_err();
    assert!(wrong[0].hint.as_deref().unwrap().starts_with("did you mean `chat`?"), "{wrong:?}");
}

#[test]
fn what_no_router_could_have_is_a_mistake() {
    for (on, hint) in [
        ("bigest", "did you mean `biggest`?"),
        ("vendr:openai", "did you mean `vendor:openai`?"),
        ("az-*", "write a deployment's name"),
        ("region:west europe", "write a deployment's name"),
    ] {
        let mut scenario = steady();
        scenario.faults.push((named("down"), outage(on)));
        scenario.providers.push((named(on), ProviderSpec::default()));
        let wrong = resolved(&scenario).unwrap_err();
        assert_eq!(wrong.len(), 2, "{wrong:?}");
        for mistake in wrong {
            assert_eq!(mistake.message, format!("`{on}` selects nothing"));
            assert!(mistake.hint.unwrap().starts_with(hint), "{on}");
        }
    }
}

#[test]
fn a_reserve_far_from_what_answers_have_is_warned_of() {
    let said = |tokens: u32, reserve: u32, most: Option<u32>| {
        let mut scenario = steady();
        let [input, output] = [100, tokens].map(|tokens| at(LengthSpec::Fixed(tokens)));
        let demand = &mut scenario.demands[0].1;
        demand.normal.tokens = Some(TokensSpec::Lengths { input, output });
        demand.output_max = most.map(at);
        let (config, endpoints) = reserving(reserve);
        let fleet = Fleet { config: &config, endpoints: &endpoints, then: &[] };
        let warnings = resolve(&scenario, fleet, &Override::default()).unwrap().warnings;
        warnings.into_iter().find(|line| line.contains("output_reserve"))
    };
    let all = [said(1, 512, None), said(63, 1_000, None), said(1_999, 1_000, None)];
    assert_eq!((all, said(9_000, 1_000, Some(9_000))), ([None, None, None], None));
    let short = said(2_000, 1_000, None).unwrap();
    assert!(short.contains("have 2000 tokens or more, but `router.output_reserve` is 1000"));
    assert!(said(62, 1_000, None).unwrap().contains("turn calls away"));
}
