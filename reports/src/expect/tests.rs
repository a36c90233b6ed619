//! Expectations that hold, that do not, that cannot be said, and that nobody can read.

use std::fmt::Write as _;

use proptest::prelude::*;
use router_core::{Config, DeploymentId, FailureKind, Span, Time};

use crate::{Figures, Rest, Spell, SpellKind, sample};

use super::*;

fn read(text: &str) -> Expectation {
    Expectation::parse(text).unwrap_or_else(|mistake| panic!("{text}: {mistake}"))
}

fn config() -> Config {
    sample::config(&[("chat", &[("az-eu", 7, 0), ("oai", 3, 0)]), ("backup", &[("oai", 1, 0)])])
}

/// 2,000 calls of `chat` of 1 ms to 2 s, 1,990 of them answered, with 2,400 attempts for 3 USD.
fn figures() -> Figures {
    let mut figures = Figures::new(&config(), sample::frame());
    let part = &mut figures.whole;
    let calls = &mut part.groups[0];
    (calls.ended, calls.answered, calls.attempts) = (2_000, 1_990, 2_400);
    calls.cost_pico = 3_000_000_000_000;
    calls.rungs = crate::Rungs { fresh: 800, stale: 90, smaller: 100, fixed: 5 };
    for ms in 1..=2_000 {
        calls.ttft.record(Span::from_millis(ms));
    }
    part.calls = calls.clone();
    let az = &mut part.deployments[0];
    (az.dispatched, az.answered) = (600, 450);
    az.failures[0] = 50;
    (0..999).for_each(|_| az.ttft.record(Span::from_millis(1)));
    part.members = vec![600, 200, 1_600];
    policies(&mut figures);
    figures
}

/// 100 hedges to `oai` in `chat`, 60 of which won, a breaker that opened three times and was out
/// for 60 s (of which 30 s in the spike), and a rest that meets it for 10 s.
fn policies(figures: &mut Figures) {
    let az = &mut figures.whole.memberships[0];
    az.causes[Cause::Primary as usize] = 600;
    (az.openings, az.answered, az.cost_pico) = ([2, 0, 0, 1, 0, 0], 450, 900);
    az.failures[FailureClass::Invalid as usize] = 5;
    az.failures[FailureClass::Server as usize] = 45;
    let oai = &mut figures.whole.memberships[1];
    oai.causes = [100, 0, 0, 100, 0, 0, 0, 0];
    (oai.retried, oai.hedges_won, oai.hedges_lost, oai.cost_pico) = (100, 60, 30, 100);
    oai.outrun.cost_pico = 40;
    figures.whole.memberships[2].causes[Cause::Standby as usize] = 1_600;
    let (from, until) = (Time::from_secs(90), Time::from_secs(150));
    let (kind, why, streak) = (SpellKind::Open, None, 1);
    figures.spells.push(Spell { member: 0, kind, from, until, why, enforced: true, streak });
    let (deployment, from, until) =
        (DeploymentId::at(1), Time::from_secs(95), Time::from_secs(105));
    let failure = FailureKind::Server;
    figures.rests.push(Rest { deployment, key: None, from, until, failure, streak });
    figures.panicked.groups[0] = 5;
}

fn judged(text: &str) -> String {
    let judgement = read(text).judge(&figures());
    let verdict = match judgement.verdict {
        Verdict::Pass => "PASS",
        Verdict::Fail => "FAIL",
        Verdict::NoData => "NO DATA",
    };
    format!("{verdict}  {}", judgement.text)
}

#[test]
fn expectations_are_judged_and_say_why() {
    let gallery = [
        "success.rate >= 99.5 %",
        "success.rate > 99.5 %",
        "success.rate {group=chat} >= 99.6 %",
        "success.rate {deployment=az-eu} < 90 %",
        "success.rate {group=backup} >= 1 %",
        "success.rate {group=nowhere} >= 1 %",
        "success.rate {during=night} >= 1 %",
        "ttft.p99 < 2 s",
        "ttft.p50 <= 0.9 s",
        "ttft.p99.9 < 2 s",
        "ttft.p99 {deployment=az-eu} < 2 s",
        "ttft.mean <= 1000.5 ms",
        "ttft.mean < 1000.5 ms",
        "ttft.max < 0.5 min",
        "total.mean < 1 h",
        "cost.per_1k < 2 USD",
        "cost.per_1k {deployment=az-eu} < 2 USD",
        "amplification < 1.2",
        "amplification <= 1.2",
        "share {deployment=az-eu} >= 70 %",
        "share {deployment=oai} >= 70 %",
        "share {deployment=oai, group=chat} >= 70 %",
        "recovery(brownout) < 60 s",
        "recovery(flood) < 60 s",
        "retries.share < 10 %",
        "hedges.share {group=chat} <= 5 %",
        "hedges.share {deployment=az-eu} <= 5 %",
        "hedges.share {group=chat, deployment=oai} < 20 %",
        "hedges.share {during=spike} < 20 %",
        "hedges.won >= 50 %",
        "hedges.won {deployment=az-eu} >= 50 %",
        "hedges.cost < 3 %",
        "cached.share {deployment=az-eu} >= 30 %",
        "probes.share < 1 %",
        "standby.share {group=backup} < 1 %",
        "panic.share < 1 %",
        "failures.invalid {deployment=az-eu} < 1 %",
        "failures.timeout < 1 %",
        "breaker.openings <= 3",
        "breaker.openings {deployment=oai} < 1",
        "ejected.share {deployment=az-eu} < 10 %",
        "ejected.share {group=chat, during=spike} < 50 %",
        "ejected.max {group=chat} <= 50 %",
        "ejected.max {during=spike} < 50 %",
        "panic.time {group=chat} < 5 s",
        "stranded.time < 1 s",
        "rungs.fresh >= 50 %",
        "rungs.full > 10 %",
        "rungs.degraded {group=chat} < 5 %",
        "rungs.static {group=backup} < 5 %",
    ];
    insta::assert_snapshot!(gallery.map(judged).join("\n"));
}

#[test]
fn what_is_measured_is_in_shares_seconds_dollars_and_factors() {
    let measured = |text: &str| read(text).judge(&figures()).measured.unwrap();
    assert_eq!(measured("success.rate >= 1 %"), 0.995);
    assert_eq!(measured("ttft.max < 1 ms"), 2.0);
    assert_eq!(measured("amplification < 1"), 1.2);
    assert!((measured("cost.per_1k < 2 USD") - 3.0 / 1.99).abs() < 1e-12);
    let none = Metric::Amplification.measure(&Selectors::default(), &figures());
    assert_eq!(none, Some(1.2));
    assert_eq!(Metric::Total(Stat::Mean).measure(&Selectors::default(), &figures()), None);
}

#[test]
fn a_recovery_that_never_comes_fails_and_measures_nothing() {
    let mut figures = figures();
    for (second, beat) in (0..).zip(&mut figures.pulse.beats) {
        (beat.ended, beat.attempts) = (10, 10);
        if second < 120 {
            beat.answered = 10;
            beat.ttft.record(Span::from_millis(1));
        }
    }
    let judgement = read("recovery(brownout) < 60 s").judge(&figures);
    assert_eq!((judgement.verdict, judgement.measured), (Verdict::Fail, None));
    assert_eq!(judgement.text, "recovery(brownout) not within the horizon, wanted < 60 s");
}

#[test]
fn a_quantile_takes_ten_samples_beyond_it() {
    let mut figures = figures();
    figures.whole.calls.ttft = crate::Fine::default();
    let verdict = |figures: &Figures, text: &str| read(text).judge(figures).verdict;
    for _ in 0..19 {
        figures.whole.calls.ttft.record(Span::from_millis(1));
    }
    assert_eq!(verdict(&figures, "ttft.p50 < 1 s"), Verdict::NoData);
    assert_eq!(verdict(&figures, "ttft.mean < 1 s"), Verdict::Pass);
    figures.whole.calls.ttft.record(Span::from_millis(1));
    assert_eq!(verdict(&figures, "ttft.p50 < 1 s"), Verdict::Pass);
    assert_eq!(verdict(&figures, "ttft.p51 < 1 s"), Verdict::NoData);
}

#[test]
fn an_expectation_applies_to_routers_that_have_what_it_names() {
    let applies = |text: &str| read(text).applies(&config());
    assert!(applies("success.rate > 1 %"));
    assert!(applies("success.rate {group=backup} > 1 %"));
    assert!(applies("share {deployment=oai} > 1 %"));
    assert!(applies("share {deployment=az-eu, group=chat} > 1 %"));
    assert!(!applies("share {deployment=az-eu, group=backup} > 1 %"));
    assert!(!applies("success.rate {group=embed} > 1 %"));
    assert!(!applies("share {deployment=haiku} > 1 %"));
}

#[test]
fn an_expectation_names_its_fault() {
    assert_eq!(read("recovery( brownout ) <60s").fault(), Some("brownout"));
    assert_eq!(read("amplification<1.2").fault(), None);
}

#[test]
fn mistakes_have_their_place_and_a_hint() {
    let gallery = [
        "",
        "  ",
        "sucess.rate >= 99 %",
        "success.rat >= 99 %",
        "success >= 99 %",
        "latency.p99 < 1 s",
        "cost < 1 USD",
        "ttft < 2 s",
        "ttft.p100 < 2 s",
        "queue.wait < 2 s",
        "queue.length < 2 s",
        "queue.wait.p95 {deployment=a} < 2 s",
        "success.rate {class=batch} > 1 %",
        "ttft.p0 < 2 s",
        "ttft.P99 < 2 s",
        "ttft.average < 2 s",
        "tfft.p99 < 2 s",
        "recovery < 60 s",
        "recovery() < 60 s",
        "recovery(brownout < 60 s",
        "recovery(brownout) {group=chat} < 60 s",
        "ttft.p99 {gruop=chat} < 2 s",
        "ttft.p99 {tenant=x} < 2 s",
        "ttft.p99 {} < 2 s",
        "ttft.p99 {group} < 2 s",
        "ttft.p99 {group=} < 2 s",
        "ttft.p99 {group=chat during=spike} < 2 s",
        "ttft.p99 {group=chat < 2 s",
        "ttft.p99 {group=chat, group=x} < 2 s",
        "ttft.p99 {group=chat, deployment=x} < 2 s",
        "amplification {deployment=x} < 2",
        "share >= 60 %",
        "share {group=chat} >= 60 %",
        "ttft.p99 2 s",
        "ttft.p99 => 2 s",
        "ttft.p99 == 2 s",
        "ttft.p99 ≤ 2 s",
        "ttft.p99 <",
        "ttft.p99 < fast",
        "ttft.p99 < 2",
        "ttft.p99 < 2 sec",
        "ttft.p99 < 2 %",
        "ttft.p99 < -2 s",
        "ttft.p99 < 2..5 s",
        "ttft.p99 < 1e3 s",
        "ttft.p99 < NaN s",
        "ttft.p99 < 0.0000000001 s",
        "ttft.p99 < 1000000.1 s",
        "ttft.p99 < 99999999999999999999999 s",
        "success.rate >= 99",
        "success.rate >= 101 %",
        "cost.per_1k < 2 usd",
        "cost.per_1k < 2 $",
        "amplification < 1.2x",
        "ttft.p99 < 2 s always",
        "hedge.share < 5 %",
        "hedges < 5 %",
        "breaker < 3",
        "breaker.opening < 3",
        "breaker.openings < 3 s",
        "eject.share < 3 %",
        "failures.timeouts < 3 %",
        "failures.dns < 3 %",
        "ejected.max {deployment=x} < 50 %",
        "panic.time {deployment=x} < 5 s",
        "stranded.time {during=x} < 5 s",
        "ttft.p99 {org=acme} < 2 s",
        "cost.total {org} < 2 USD",
        "cost.total {org=} < 2 USD",
        "cost.total {org=acme, team=red} < 2 USD",
        "cost.total {org=acme, group=chat} < 2 USD",
        "cost.total < 2 s",
        "cost.totl < 2 USD",
        "cost.share < 20 %",
        "refused.share {deployment=x} < 2 %",
    ];
    let mut shown = String::new();
    for text in gallery {
        let mistake = Expectation::parse(text).unwrap_err();
        let before = text[..mistake.at.start].chars().count();
        let carets = text[mistake.at.clone()].chars().count().max(1);
        let (indent, carets) = (" ".repeat(before), "^".repeat(carets));
        writeln!(shown, "|{text}\n|{indent}{carets} {}", mistake.message).unwrap();
        if let Some(hint) = mistake.hint {
            writeln!(shown, "|{indent}hint: {hint}").unwrap();
        }
    }
    insta::assert_snapshot!(shown);
}

#[test]
fn every_metric_is_in_the_documentation() {
    let text = include_str!("../../../docs/metrics.md");
    for name in parse::metrics() {
        let told =
            if name == "recovery" { "`recovery(FAULT)`".to_owned() } else { format!("`{name}`") };
        assert!(text.contains(&told), "{told}");
    }
}

fn names() -> impl Strategy<Value = String> {
    "[a-z][a-z0-9_./:-]{0,8}"
}

fn metrics() -> impl Strategy<Value = Metric> {
    let stats =
        prop_oneof![(1..1_000_000_u32).prop_map(Stat::Quantile), Just(Stat::Mean), Just(Stat::Max)];
    prop_oneof![
        Just(Metric::SuccessRate),
        stats.clone().prop_map(Metric::Ttft),
        stats.clone().prop_map(Metric::Total),
        Just(Metric::CostPer1k),
        Just(Metric::Amplification),
        Just(Metric::Share),
        names().prop_map(Metric::Recovery),
        prop::sample::select(Sent::ALL.to_vec()).prop_map(Metric::Sent),
        prop::sample::select(FailureClass::ALL.to_vec()).prop_map(Metric::Failures),
        Just(Metric::HedgesWon),
        Just(Metric::HedgesCost),
        Just(Metric::Cached),
        Just(Metric::Openings),
        Just(Metric::Ejected),
        Just(Metric::EjectedMax),
        Just(Metric::PanicTime),
        Just(Metric::StrandedTime),
        Just(Metric::AppRestarts),
        Just(Metric::AppDown),
        prop::sample::select(Shared::ALL.to_vec()).prop_map(Metric::Overshoot),
        prop::sample::select(Given::ALL.to_vec()).prop_map(Metric::Rung),
        Just(Metric::Degraded),
        stats.prop_map(Metric::QueueWait),
        Just(Metric::Queued),
        Just(Metric::Shed),
        Just(Metric::CostTotal),
        Just(Metric::CostShare),
        Just(Metric::CostEstimated),
        Just(Metric::Refused),
    ]
}

fn expectations() -> impl Strategy<Value = Expectation> {
    let ops = prop_oneof![Just(Op::Less), Just(Op::AtMost), Just(Op::More), Just(Op::AtLeast)];
    let some = || prop::option::of(names());
    let numbers = (0..=1_000_000_000_000_000_u64, any::<prop::sample::Index>());
    (metrics(), (some(), names(), any::<bool>(), some()), ops, numbers).prop_map(
        |(metric, (group, deployment, on_deployment, during), op, (billionths, unit))| {
            let all = Selectors { group, during, ..Selectors::default() };
            let of = match metric {
                Metric::Recovery(_)
                | Metric::AppRestarts
                | Metric::AppDown
                | Metric::Overshoot(_) => Selectors::default(),
                Metric::Share => Selectors { deployment: Some(deployment), ..all },
                Metric::Amplification | Metric::EjectedMax | Metric::Rung(_) | Metric::Degraded => {
                    all
                }
                Metric::PanicTime | Metric::StrandedTime => Selectors { during: None, ..all },
                Metric::QueueWait(_) | Metric::Queued | Metric::Shed => {
                    Selectors { class: on_deployment.then_some(deployment), ..all }
                }
                Metric::Sent(_)
                | Metric::HedgesWon
                | Metric::HedgesCost
                | Metric::Cached
                | Metric::Failures(_)
                | Metric::Openings
                | Metric::Ejected => {
                    Selectors { deployment: on_deployment.then_some(deployment), ..all }
                }
                Metric::SuccessRate
                | Metric::Ttft(_)
                | Metric::Total(_)
                | Metric::CostPer1k
                | Metric::CostShare
                | Metric::CostTotal
                | Metric::CostEstimated
                    if on_deployment =>
                {
                    Selectors { group: None, deployment: Some(deployment), ..all }
                }
                Metric::Ttft(_) | Metric::Total(_) => all,
                Metric::Refused if all.group.is_some() => all,
                Metric::CostShare
                | Metric::SuccessRate
                | Metric::CostPer1k
                | Metric::CostTotal
                | Metric::CostEstimated
                | Metric::Refused => {
                    let whose = Some(Whose { key: "org".to_owned(), name: deployment });
                    Selectors { group: None, whose, ..all }
                }
            };
            let fits = |unit: &Unit| unit.dimension() == metric.dimension();
            let units: Vec<Unit> = Unit::ALL.into_iter().filter(fits).collect();
            let unit = *unit.get(&units);
            let most = if unit == Unit::Percent { 100_000_000_000 } else { u64::MAX };
            Expectation {
                metric,
                of,
                op,
                bound: Quantity { billionths: billionths.min(most), unit },
            }
        },
    )
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(expectation in expectations()) {
        let text = expectation.to_string();
        prop_assert_eq!(Expectation::parse(&text), Ok(expectation), "{}", text);
    }

    #[test]
    fn no_text_breaks_the_reader(text in any::<String>()) {
        if let Err(mistake) = Expectation::parse(&text) {
            prop_assert!(text.get(mistake.at).is_some());
        }
    }

    #[test]
    fn no_damage_breaks_the_reader(
        expectation in expectations(),
        at in any::<prop::sample::Index>(),
        junk in "[ -~éß%]{0,3}",
    ) {
        let mut text = expectation.to_string();
        let at = at.index(text.len());
        text.replace_range(at..at + 1, &junk);
        if let Err(mistake) = Expectation::parse(&text) {
            prop_assert!(text.get(mistake.at).is_some());
        }
    }

    #[test]
    fn every_expectation_can_be_judged(expectation in expectations()) {
        let judgement = expectation.judge(&figures());
        prop_assert!(judgement.measured.is_none_or(f64::is_finite));
    }
}
