mod nearly;

use router_core::{
    DeploymentSpec, GroupSpec, LimitSpec, MemberSpec, Rate, Ratio, RouterSpec, Span, Spec, Time,
};
use sim::{Arrivals, Effect, Mix, Shape};

use super::select::Selector;
use super::*;
use crate::written::{
    DemandSpec, FaultSpec, MixSpec, Most, NormalSpec, ProviderSpec, QuotaSpec, SpikeSpec,
    TokensSpec,
};

fn at<T>(value: T) -> Spanned<T> {
    Spanned::new(value, 7..9)
}

fn named(name: &str) -> Spanned<String> {
    at(name.to_owned())
}

/// `chat` of az (weight 3, tier 0), oai (3, 0) and big (9, tier 1); `backup` of haiku.
fn router() -> (Config, Vec<Endpoint>) {
    reserving(RouterSpec::default().output_reserve)
}

/// The same, which reserves so much for an answer.
fn reserving(output_reserve: u32) -> (Config, Vec<Endpoint>) {
    let rate = Rate { amount: 60, period: Span::from_secs(60), burst: None };
    let limit = LimitSpec { requests: Some(rate), ..LimitSpec::default() };
    let mut deployments: Vec<DeploymentSpec> =
        ["az", "oai", "big", "haiku"].map(|name| DeploymentSpec::new(name.to_owned())).into();
    deployments[0].limit = Some(limit.clone());
    deployments[0].tags = vec!["paid".to_owned()];
    deployments[0].region = Some("eu".to_owned());
    deployments[0].context = Some(128_000);
    deployments[2].region = Some("us".to_owned());
    deployments[2].context = Some(16_000);
    deployments[1].shared = vec!["org".to_owned()];
    deployments[2].shared = vec!["org".to_owned()];
    let member = |name: &str, weight, tier| MemberSpec { deployment: name.into(), weight, tier };
    let mut chat = GroupSpec::new("chat".to_owned());
    chat.aliases = vec!["gpt-*".to_owned()];
    chat.members = vec![member("az", 3, 0), member("oai", 3, 0), member("big", 9, 1)];
    let mut backup = GroupSpec::new("backup".to_owned());
    backup.members = vec![member("haiku", 1, 0)];
    let tokens = Some(Rate { amount: 60_000, ..rate });
    let limits = vec![("org".to_owned(), LimitSpec { tokens, ..limit })];
    let priorities = vec!["now".to_owned(), "later".to_owned()];
    let router = RouterSpec { output_reserve, priorities, ..RouterSpec::default() };
    let groups = vec![chat, backup];
    let spec = Spec { router, limits, deployments, groups, ..Spec::default() };
    let endpoint = |provider: &str, model: &str, region: Option<&str>| Endpoint {
        provider: provider.to_owned(),
        model: model.to_owned(),
        region: region.map(str::to_owned),
        ..Endpoint::default()
    };
    let endpoints = vec![
        endpoint("azure-openai", "gpt-4o-mini", Some("eu")),
        endpoint("openai", "gpt-4o-mini", None),
        endpoint("openai", "gpt-4o", Some("us")),
        endpoint("anthropic", "claude-haiku-4-5", None),
    ];
    (Config::new(&spec).unwrap(), endpoints)
}

fn steady() -> ScenarioSpec {
    let normal = NormalSpec {
        rate: Some(at(8.0)),
        lasts: Some(at(Span::from_secs(7_200))),
        ..NormalSpec::default()
    };
    ScenarioSpec {
        demands: vec![(named("*"), DemandSpec { normal, ..DemandSpec::default() })],
        ..ScenarioSpec::default()
    }
}

fn spiky() -> ScenarioSpec {
    let mut scenario = steady();
    let minutes = |count: u64| at(Span::from_secs(count * 60));
    scenario.demands[0].1.spike = Some(SpikeSpec {
        at: minutes(20),
        peak: at(80.0),
        rise: minutes(6),
        hold: minutes(10),
        half_life: minutes(10),
    });
    scenario
}

fn resolved(scenario: &ScenarioSpec) -> Result<Resolved, Vec<Mistake>> {
    let (config, endpoints) = router();
    let fleet = Fleet { config: &config, endpoints: &endpoints, then: &[] };
    resolve(scenario, fleet, &Override::default())
}

fn outage(on: &str) -> FaultSpec {
    FaultSpec { on: vec![named(on)], outage: Some(named("503")), ..FaultSpec::default() }
}

#[test]
fn selectors_find_by_name_weight_vendor_tier_region_and_model() {
    let (config, endpoints) = router();
    let fleet = Fleet { config: &config, endpoints: &endpoints, then: &[] };
    for (text, expected) in [
        ("*", &[0, 1, 2, 3][..]),
        ("oai", &[1]),
        ("biggest", &[0]),
        ("vendor:openai", &[1, 2]),
        ("vendor:azure", &[0]),
        ("vendor:azure-openai", &[0]),
        ("vendor:open", &[]),
        ("tier:0", &[0, 1, 3]),
        ("tier:1", &[2]),
        ("region:eu", &[0]),
        ("model:gpt-4o-mini", &[0, 1]),
        ("group:backup", &[3]),
        ("group:chat", &[0, 1, 2]),
        ("group:gone", &[]),
        ("tag:paid", &[0]),
        ("tag:gone", &[]),
        ("nobody", &[]),
    ] {
        let found = Selector::parse(text).unwrap().find(fleet);
        let found: Vec<usize> = found.into_iter().map(|id| id.index()).collect();
        assert_eq!(found, expected, "{text}");
    }
    for wrong in ["", "vendor:", "tier:x", "tier:300", "shape:round"] {
        assert_eq!(Selector::parse(wrong), None, "{wrong}");
    }
}

#[test]
fn a_spike_is_a_ramp_a_plateau_and_a_decay() {
    let found = resolved(&spiky()).unwrap();
    let Arrivals::Poisson(course) = &found.plan.demands[0].arrivals else { panic!("no course") };
    let half_life = Span::from_secs(600);
    let shapes: Vec<(u64, Shape)> =
        course.iter().map(|s| (s.lasts.as_nanos() / 1_000_000_000, s.shape)).collect();
    let expected = [
        (1_200, Shape::Flat(8.0)),
        (360, Shape::Ramp { from: 8.0, to: 80.0 }),
        (600, Shape::Flat(80.0)),
        (5_040, Shape::Decay { from: 80.0, floor: 8.0, half_life }),
    ];
    assert_eq!(shapes, expected);
    assert_eq!(found.frame.horizon, Time::from_secs(7_200));
    // From 20 min until three half-lives after 36 min.
    let spike = &found.frame.phases[1];
    assert_eq!(spike.pieces, [(Time::from_secs(1_200), Time::from_secs(3_960))]);
}

#[test]
fn what_selects_nothing_does_not_apply_and_is_said() {
    let mut scenario = steady();
    scenario.faults.push((named("gone"), outage("vendor:mistral")));
    scenario.faults.push((named("there"), outage("biggest")));
    scenario.providers.push((named("tier:7"), ProviderSpec::default()));
    let mut late = outage("biggest");
    late.at = Some(at(Span::from_secs(7_200)));
    scenario.faults.push((named("late"), late));
    let elsewhere = scenario.demands[0].1.clone();
    scenario.demands.push((named("images"), elsewhere));
    let found = resolved(&scenario).unwrap();
    assert_eq!(
        found.not_applicable,
        [
            "demand `images`: there is no group `images` here",
            "provider `tier:7`: there is none here",
            "fault `gone`: nothing here is `vendor:mistral`",
        ]
    );
    // One that comes too late is in the world, touches nobody, and leaves the run undecided.
    assert!(found.warnings.contains(&"the fault `late` begins after the last call".to_owned()));
    let faults: Vec<&str> = found.plan.faults.iter().map(|f| f.name.as_str()).collect();
    assert_eq!(faults, ["there", "late"]);
    assert_eq!(found.frame.faults.len(), 2);
}

#[test]
fn a_providers_quota_is_the_scenarios_else_the_routers_own_limit() {
    let mut scenario = steady();
    let quota = QuotaSpec {
        tokens: Some(Rate { amount: 5, period: Span::from_secs(1), burst: None }),
        ..QuotaSpec::default()
    };
    scenario
        .providers
        .push((named("big"), ProviderSpec { quota: Some(quota), ..ProviderSpec::default() }));
    let found = resolved(&scenario).unwrap();
    let quotas: Vec<_> = found.plan.providers.iter().map(|p| p.quota).collect();
    assert_eq!(quotas[0].requests.map(|r| r.amount), Some(60));
    assert_eq!(quotas[0].shared, None, "its own");
    assert!(quotas[1].shared.is_some(), "the organisation's");
    assert_eq!((quotas[2].requests, quotas[2].tokens.map(|r| r.amount)), (None, Some(5)));
    assert_eq!(quotas[2].shared, None);
    assert_eq!(quotas[3].requests, None);
    let unlimited: Vec<_> = found.warnings.iter().filter(|w| w.contains("quota")).collect();
    assert_eq!(unlimited.len(), 1, "{:?}", found.warnings);
    assert!(unlimited[0].contains("`haiku`"));
}

#[test]
fn every_mistake_is_reported_with_its_place() {
    let mut scenario = spiky();
    scenario.demands[0].1.normal.tokens = Some(TokensSpec::Table(named("azure")));
    scenario.demands[0].1.spike.as_mut().unwrap().peak = at(4.0);
    scenario.faults.push((named("nothing"), FaultSpec { outage: None, ..outage("biggest") }));
    let mut two = outage("biggest");
    two.ttft = Some(at(4.0));
    scenario.faults.push((named("two"), two));
    scenario.faults.push((named("spike"), outage("vendor:")));
    scenario.providers.push((named("vendor:"), ProviderSpec::default()));
    let mistakes = resolved(&scenario).unwrap_err();
    let messages: Vec<&str> = mistakes.iter().map(|m| m.message.as_str()).collect();
    assert_eq!(messages.len(), 7, "{messages:#?}");
    assert!(mistakes.iter().all(|mistake| mistake.at == (7..9)));
}

#[test]
fn without_any_demand_for_this_router_there_is_no_run() {
    let mut scenario = steady();
    scenario.demands[0].0 = named("images");
    assert!(resolved(&scenario).unwrap_err()[0].message.contains("none of the groups"));
    scenario.demands.clear();
    assert_eq!(resolved(&scenario).unwrap_err()[0].message, "nobody calls");
}

#[test]
fn several_populations_may_ask_for_one_group() {
    let mut scenario = steady();
    let normal = scenario.demands[0].1.normal.clone();
    let agent = DemandSpec { group: Some(named("chat")), normal, ..DemandSpec::default() };
    scenario.demands.push((named("agent"), agent));
    let found = resolved(&scenario).unwrap();
    assert_eq!(found.plan.demands.len(), 2);
    assert_eq!(found.plan.demands[0].group, found.plan.demands[1].group);
    scenario.demands[1].1.group = Some(named("chta"));
    let said = &resolved(&scenario).unwrap().not_applicable[0];
    assert!(said.ends_with("no group `chta` here; did you mean `chat`?"), "{said}");
}

#[test]
fn a_trace_takes_the_place_of_the_twin() {
    let mut scenario = steady();
    let normal = NormalSpec { arrivals: Some(named("azure-conversation")), ..Default::default() };
    scenario.demands.push((named("backup"), DemandSpec { normal, ..DemandSpec::default() }));
    let (config, endpoints) = router();
    let fleet = Fleet { config: &config, endpoints: &endpoints, then: &[] };
    let row = TraceRow { at: Span::from_secs(9_000), input_tokens: 1, output_tokens: 1 };
    let instead = Override { seed: Some(5), trace: Some(Arc::from([row])) };
    let found = resolve(&scenario, fleet, &instead).unwrap();
    assert!(matches!(found.plan.demands[0].arrivals, Arrivals::Poisson(_)));
    assert!(matches!(found.plan.demands[1].arrivals, Arrivals::Trace(_)));
    assert_eq!(found.frame.horizon, Time::from_secs(9_000));
}

#[test]
fn labels_are_numbered_by_property_across_demands() {
    let mut scenario = steady();
    let one = |label| MixSpec::One(named(label));
    scenario.demands[0].1.properties = vec![(named("feature"), one("chat"))];
    let mut other = scenario.demands[0].1.clone();
    other.properties = vec![(named("plan"), one("free")), (named("feature"), one("search"))];
    scenario.demands.push((named("backup"), other));
    let found = resolved(&scenario).unwrap();
    let numbers = |demand: usize| {
        found.plan.demands[demand].properties.clone().map(|mix| match mix {
            Mix::Always(number) => number,
            Mix::Drawn(_) => panic!("every call has the same"),
        })
    };
    assert_eq!((numbers(0), numbers(1)), ([1, 0, 0, 0], [2, 1, 0, 0]));
    assert_eq!(found.properties[0].labels, ["chat", "search"]);
}

#[test]
fn an_effect_keeps_its_factors() {
    let mut scenario = steady();
    let brownout = FaultSpec {
        outage: None,
        errors: Some(at(Ratio::from_ppm(300_000))),
        ttft: Some(at(4.0)),
        ..outage("biggest")
    };
    scenario.faults.push((named("brownout"), brownout));
    let found = resolved(&scenario).unwrap();
    let Effect::Brownout { errors, first_token, per_token, .. } = found.plan.faults[0].effect
    else {
        panic!("not a brownout")
    };
    assert_eq!((errors, first_token, per_token), (Ratio::from_ppm(300_000), 4.0, 1.0));
}

#[test]
fn expectations_apply_or_are_said_not_to() {
    let mut scenario = steady();
    scenario.faults.push((named("gone"), outage("vendor:mistral")));
    let texts = [
        "success.rate >= 99 %",
        "success.rate {group=images} >= 99 %",
        "recovery(gone) < 1 min",
        "ttft.p99 {during=spike} < 2 s",
    ];
    let texts = texts.map(named).into();
    scenario.expectations.push((named("holds"), texts));
    scenario.expectations.push((named("heals"), vec![named("recovery(gone) < 2 min")]));
    let found = resolved(&scenario).unwrap();
    assert_eq!(found.expectations.len(), 1);
    let asked: Vec<&str> = found.expectations[0].asked.iter().map(|a| a.text.as_str()).collect();
    assert_eq!(asked, ["success.rate >= 99 %"]);
    assert_eq!(found.not_applicable.len(), 5, "{:#?}", found.not_applicable);
}

#[test]
fn a_scenarios_expectation_of_a_fault_it_does_not_have_is_a_mistake() {
    let mut scenario = steady();
    let text = "recovery(brownout) < 1 min".to_owned();
    let place = 100..102 + text.len();
    let expected = vec![Spanned::new(text, place), at("ttft.p99 < soon".to_owned())];
    scenario.expectations.push((named("heals"), expected));
    let mistakes = resolved(&scenario).unwrap_err();
    let messages: Vec<&str> = mistakes.iter().map(|m| m.message.as_str()).collect();
    assert_eq!(messages.len(), 2, "{messages:?}");
    assert_eq!(messages[1], "this scenario has no fault `brownout`");
    // The same text as an SLO may wait for a scenario that has it.
    let (config, _) = router();
    let frame = resolved(&steady()).unwrap().frame;
    let slo = vec![(named("heals"), vec![named("recovery(brownout) < 1 min")])];
    let (expected, not_applicable) = slos(&slo, &config, &frame).unwrap();
    assert_eq!((expected.len(), not_applicable.len()), (0, 1));
}

#[test]
fn mistakes_stand_under_what_is_wrong() {
    let text = "\
[demand.\"*\"]
normal = { rate = \"8/s\", lasts = \"1 h\", tokens = \"azure-convo\", client = \"openai\" }
spike = { at = \"2 h\", peak = \"4/s\", rise = \"1 min\", hold = \"1 min\", half_life = \"1 min\" }

[fault.brownout]
on = \"vendr:openai\"
at = \"1 min\"
outage = \"200\"

[expect]
\"fast\" = [\"ttft.p99 {during=brownuot} < 2 s\"]
";
    let spec = scenario::read("bad.toml", text).unwrap();
    let shown = crate::file::show("bad.toml", text, &resolved(&spec).unwrap_err());
    let shown: Vec<String> = shown.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(shown.join("\n"));
}

#[test]
fn lengths_that_cannot_be_are_said_to_be_so_where_they_stand() {
    for (tokens, expected) in [
        (
            "{ input = { median = 9, sigma = 1, max = 8 }, output = 1 }",
            "x:1:51: the median is more than `max`, which is 8",
        ),
        ("{ input = [1, 3, 2, 1], output = 1 }", "x:1:47: 2 is less than 3 before it"),
        ("{ input = 1, output = [7] }", "x:1:52: a list of 1 is no distribution"),
    ] {
        let text = format!("demand.x.normal = {{ tokens = {tokens} }}");
        let spec = scenario::read("x", &text).unwrap();
        let shown = crate::file::show("x", &text, &resolved(&spec).unwrap_err());
        let shown = shown.iter().map(ToString::to_string).collect::<String>();
        assert!(shown.contains(expected), "{expected}\n{shown}");
    }
}

#[test]
fn all_demands_together_make_at_most_a_billion_calls() {
    let mut scenario = steady();
    scenario.demands[0].1.normal.rate = Some(at(1e5));
    assert!(resolved(&scenario).is_ok());
    let mut more = scenario.demands[0].clone();
    more.0 = named("backup");
    scenario.demands.push(more);
    let mistakes = resolved(&scenario).unwrap_err();
    assert!(mistakes[0].message.ends_with("more than a billion calls"), "{mistakes:?}");
}

#[test]
fn a_provider_nobody_knows_is_said_to_be_typical_and_what_it_may_have_been() {
    let (config, mut endpoints) = router();
    endpoints[1].provider = "opneai".to_owned();
    endpoints[2].provider = "acme".to_owned();
    let fleet = Fleet { config: &config, endpoints: &endpoints, then: &[] };
    let found = resolve(&steady(), fleet, &Override::default()).unwrap();
    let said = |name: &str| found.warnings.iter().find(|line| line.contains(name)).unwrap();
    let typical = "so it answers as a typical one, with 640 ms to the first token and 21600 us per \
                   token; ";
    assert!(said("opneai").ends_with(&format!("{typical}did you mean `openai`?")));
    let known = "known: `openai`, `azure-openai`, `anthropic`";
    assert!(said("acme").ends_with(&format!("{typical}{known}")), "{:?}", found.warnings);
}

#[test]
fn a_demand_is_for_any_name_that_the_router_routes() {
    let mut scenario = steady();
    scenario.demands[0].0 = named("gpt-4o");
    let found = resolved(&scenario).unwrap();
    assert_eq!((found.plan.demands[0].group.index(), found.not_applicable.len()), (0, 0));
    assert_eq!(found.plan.demands[0].name, "chat");
}

#[test]
fn what_requests_ask_for_is_known_by_number_and_what_nobody_has_is_a_mistake() {
    let mut scenario = steady();
    let demand = &mut scenario.demands[0].1;
    demand.tags = vec![named("paid")];
    demand.region = Some(named("us"));
    demand.priority = Some(named("later"));
    demand.conversations = Some(200);
    demand.stream = Some(Ratio::from_ppm(800_000));
    let found = resolved(&scenario).unwrap();
    let demand = &found.plan.demands[0];
    assert_eq!((demand.tags, demand.region, demand.conversations), (1, 2, 200));
    assert_eq!((demand.stream, demand.priority), (Ratio::from_ppm(800_000), 1));
    // Each is somewhere, but no member has both.
    let nobody = "demand `*`: none of the 3 members of `chat` has its tags and its region";
    assert!(found.warnings.contains(&nobody.to_owned()), "{:?}", found.warnings);
    scenario.demands[0].1.region = Some(named("eu"));
    let found = resolved(&scenario).unwrap();
    assert!(!found.warnings.iter().any(|line| line.contains("none of")), "{:?}", found.warnings);

    scenario.demands[0].1.tags.push(named("piad"));
    scenario.demands[0].1.region = Some(named("eu-west"));
    scenario.demands[0].1.priority = Some(named("latter"));
    let mistakes = resolved(&scenario).unwrap_err();
    let said: Vec<(&str, Option<&str>)> =
        mistakes.iter().map(|m| (m.message.as_str(), m.hint.as_deref())).collect();
    let expected = [
        ("no deployment here has the tag `piad`", Some("did you mean `paid`?")),
        ("no deployment here has the region `eu-west`", Some("known: `eu`, `us`")),
        ("`router.priorities` has no `latter`", Some("did you mean `later`?")),
    ];
    assert_eq!(said, expected);
}

#[test]
fn a_providers_window_is_the_deployments_unless_the_scenario_says() {
    let (config, endpoints) = router();
    let fleet = Fleet { config: &config, endpoints: &endpoints, then: &[] };
    let mut scenario = steady();
    for (name, context) in [("oai", Most::Of(8_000)), ("big", Most::Unlimited)] {
        let spec = ProviderSpec { context: Some(context), ..ProviderSpec::default() };
        scenario.providers.push((named(name), spec));
    }
    let found = resolve(&scenario, fleet, &Override::default()).unwrap();
    let windows: Vec<_> = found.plan.providers.iter().map(|provider| provider.context).collect();
    assert_eq!(windows, [Some(128_000), Some(8_000), None, None]);
}

#[test]
fn a_cache_that_no_conversation_finds_anything_in_is_told() {
    let mut scenario = steady();
    let kept = sim::PromptCache { lasts: Span::from_secs(300), least: 1_024 };
    let spec = |kept| ProviderSpec { prompt_cache: Some(kept), ..ProviderSpec::default() };
    scenario.providers.push((named("*"), spec(Some(kept))));
    scenario.providers.push((named("big"), spec(None)));
    let told = |scenario: &_| {
        let found = resolved(scenario).unwrap();
        let caches: Vec<_> = found.plan.providers.iter().map(|p| p.prompt_cache).collect();
        assert_eq!(caches.iter().filter(|cache| **cache == Some(kept)).count(), caches.len() - 1);
        found.warnings.iter().any(|line| line.contains("`prompt_cache`"))
    };
    assert!(told(&scenario));
    scenario.demands[0].1.conversations = Some(9);
    assert!(!told(&scenario));
}
