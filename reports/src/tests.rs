//! Whole reports: what they look like, and that nothing breaks them.

use proptest::prelude::*;
use router_core::{FailureKind, Span, Time};

use crate::made_up::{World, tripping};
use crate::table::PAGE;
use crate::words::count;
use crate::{
    AnswerCache, Expectation, Figures, Judged, Report, RunFile, Rungs, Spell, SpellKind, sample,
};

const EXPECTED: [(&str, &str); 6] = [
    ("users are answered", "success.rate >= 99.5 %"),
    ("chat feels fast", "ttft.p99 {during=spike} < 2 s"),
    ("it heals, no storm", "recovery(brownout) < 60 s"),
    ("it heals, no storm", "amplification < 1.2"),
    ("weights hold", "share {deployment=az-eu} > 60 %"),
    ("money", "cost.per_1k < 0.3 USD"),
];

fn judged(figures: &Figures, expected: &[(&str, &str)]) -> Vec<Judged> {
    let judge = |(name, text): &(&str, &str)| {
        let expectation = Expectation::parse(text).expect("an expectation of these tests");
        let judgement = expectation.judge(figures);
        Judged { name: (*name).to_owned(), team: None, expectation, judgement }
    };
    expected.iter().map(judge).collect()
}

pub(crate) fn report<'a>(figures: &'a Figures, judged: &'a [Judged]) -> Report<'a> {
    Report {
        title: "A reel goes viral while the biggest deployment browns out",
        question: "Does chat hold, and does it heal?",
        scenario: "viral-spike",
        router: "starter",
        seed: 7,
        figures,
        judged,
        not_applicable: &[],
        notes: &[],
        replay: "seawall run viral-spike --seed 7",
        artefacts: "runs/viral-spike/7-0123456789ab",
    }
}

#[test]
fn the_summary_of_a_typical_run() {
    let figures = World::typical().figures();
    let judged = judged(&figures, &EXPECTED);
    let mut report = report(&figures, &judged);
    let notes = ["the quota of `oai` is unknown, so the router's own limit stands in".to_owned()];
    let foreign = ["expectation `share {deployment=gpu} < 1 %`: no deployment `gpu`".to_owned()];
    (report.notes, report.not_applicable) = (&notes, &foreign);
    insta::assert_snapshot!("summary_typical", report.summary(false));
    insta::assert_snapshot!("junit_typical", report.junit());
    insta::assert_snapshot!("run_typical", RunFile::of(&report).to_json());
}

#[test]
fn the_summary_of_a_run_in_which_nothing_happened() {
    let figures = World::silent().figures();
    let judged = judged(&figures, &EXPECTED);
    insta::assert_snapshot!("summary_silent", report(&figures, &judged).summary(false));
}

#[test]
fn the_summary_of_a_lone_deployment_in_colours() {
    let figures = World::alone().figures();
    let judged = judged(&figures, &EXPECTED[..1]);
    let plain = report(&figures, &judged).summary(false);
    let colour = report(&figures, &judged).summary(true);
    insta::assert_snapshot!("summary_alone", plain);
    assert!(colour.contains("\x1b[1;32mPASS\x1b[0m"), "{colour}");
    let mut bare = colour.clone();
    for code in ["0", "1", "2", "1;31", "1;32", "1;33"] {
        bare = bare.replace(&format!("\x1b[{code}m"), "");
    }
    assert_eq!(bare, plain, "colours only colour");
}

#[test]
fn a_chart_is_the_same_text_every_time() {
    let figures = World::blink().figures();
    let judged = judged(&figures, &EXPECTED[1..2]);
    let chart = |name| report(&figures, &judged).chart(name).expect("it is always drawn").svg();
    insta::assert_snapshot!("chart_latency", chart("latency"));
    insta::assert_snapshot!("chart_rests", chart("rests"));
    assert_eq!(chart("share"), chart("share"));
}

#[test]
fn every_world_gets_the_charts_it_has_data_for() {
    let names = |world: World| -> Vec<String> {
        let figures = world.figures();
        report(&figures, &[]).charts().into_iter().map(|chart| chart.name).collect()
    };
    let all = ["demand", "latency", "share", "rests", "lost-time", "failures"];
    assert_eq!(names(World::typical()), all);
    assert_eq!(names(World::silent()), all[..5]);
    let tripping = tripping();
    let charts = report(&tripping, &[]).charts();
    let names: Vec<&str> = charts.iter().map(|chart| chart.name.as_str()).collect();
    assert_eq!(names[3..7], ["spend", "rests", "breakers", "lost-time"]);
}

#[test]
fn what_answered_calls_is_stacked_where_a_cache_or_a_ladder_was_of_use() {
    let mut figures = World::calm().figures();
    assert!(report(&figures, &[]).chart("answers").is_none());
    figures.cache = Some(AnswerCache::default());
    let chart = |figures: &Figures| report(figures, &[]).chart("answers").expect("there is one");
    let ended = figures.whole.calls.ended;
    assert!(chart(&figures).title().starts_with(&format!("Of {} calls ", count(ended))));
    figures.cache = None;
    let rungs = Rungs { fresh: ended / 2, stale: 9, smaller: 8, fixed: 7 };
    figures.whole.calls.rungs = rungs;
    figures.bins[0].groups[0].rungs = rungs;
    figures.bins[0].groups[0].answered = ended;
    let svg = chart(&figures).svg();
    for text in ["fresh", "full answer", "stale", "smaller group", "static text"] {
        assert!(svg.contains(text), "{text}");
    }
    assert!(chart(&figures).title().contains(" were answered from the cache, "));
    // Where there is no such call there is no name.
    figures.whole.calls.rungs.stale = 0;
    assert!(!chart(&figures).svg().contains("past its time to live"));
    assert!(!chart(&figures).svg().contains('…'));
}

#[test]
fn the_summary_says_what_the_cache_did() {
    let mut figures = World::calm().figures();
    let cache = AnswerCache { fresh: 900, stale: 60, missed: 40, waited: 30, ..<_>::default() };
    figures.cache = Some(AnswerCache { filled: 70, flushed: 50, ..cache });
    let summary = report(&figures, &[]).summary(false);
    let words: Vec<&str> = summary.split_whitespace().collect();
    let told = "cache of 1,000 tries with a question that others ask 90.0 % found a fresh answer, 60 a \
                stale one, 40 none, 30 waited for an identical try under way; 70 answers kept, 50 \
                flushed";
    assert!(words.join(" ").contains(told), "{summary}");
}

#[test]
fn the_summary_of_a_run_of_breakers_hedges_standby_and_panic() {
    let figures = tripping();
    let expected = [
        ("few hedges", "hedges.share < 1 %"),
        ("hedges pay", "hedges.won > 90 %"),
        ("breakers stay closed", "breaker.openings <= 3"),
        ("most stay in", "ejected.max < 40 %"),
        ("no panic", "panic.time < 3 s"),
        ("the budget holds", "retries.share < 10 %"),
    ];
    let judged = judged(&figures, &expected);
    insta::assert_snapshot!("summary_tripping", report(&figures, &judged).summary(false));
}

#[test]
fn the_ribbon_explains_each_state_and_names_what_only_observes() {
    let figures = tripping();
    let chart = report(&figures, &[]).chart("breakers").expect("breakers turned");
    let title = "az-eu's breaker opened 5 times and was out for 5 min 34 s, with 11 probes; \
                 2 others opened too";
    assert_eq!(chart.title(), title);
    let svg = chart.svg();
    for text in [
        "half-open: probes only",
        "closed, share ramps up",
        "forced open",
        "would be open: only observes",
        "resting",
        "2 openings, if it held",
        "never opened",
        "brownout on az-eu",
    ] {
        assert!(svg.contains(text), "{text}");
    }
}

#[test]
fn a_ribbon_explains_only_what_it_shows() {
    let mut figures = World::calm().figures();
    let (from, until) = (Time::from_secs(600), Time::from_secs(700));
    let (kind, streak) = (SpellKind::Open, 1);
    figures.spells =
        vec![Spell { member: 1, kind, from, until, why: None, enforced: true, streak }];
    figures.whole.memberships[1].openings[0] = 1;
    let report = report(&figures, &[]);
    let chart = report.chart("breakers").expect("a breaker opened");
    assert_eq!(chart.title(), "oai's breaker opened once and was out for 1 min 40 s");
    assert!(!chart.svg().contains("half-open"));
    let summary = report.summary(false);
    assert!(summary.contains("a column is 30.0 s: # open\n"), "{summary}");
    let row = format!("\noai  {}####{}\n", ".".repeat(20), ".".repeat(36));
    assert!(summary.contains(&row), "{summary}");
}

#[test]
fn a_chart_says_in_its_title_what_it_shows() {
    let title = |world: World, name: &str| -> String {
        let figures = world.figures();
        let chart = report(&figures, &[]).chart(name).expect("it is always drawn");
        chart.title().to_owned()
    };
    assert_eq!(title(World::silent(), "demand"), "No call was offered");
    assert_eq!(title(World::silent(), "latency"), "No call got a first token");
    assert_eq!(title(World::silent(), "share"), "No attempt was dispatched");
    assert_eq!(title(World::calm(), "rests"), "No deployment ever rested");
    assert_eq!(title(World::alone(), "share"), "the-only-one got every one of chat's attempts");
    let lost = title(World::typical(), "lost-time");
    assert!(lost.ends_with("of the lost time went into backoff after 429s on az-eu"), "{lost}");
}

#[test]
fn captions_say_what_is_not_in_the_picture() {
    let mut figures = World::typical().figures();
    let svg = |figures: &Figures, name: &str| {
        report(figures, &[]).chart(name).expect("there is data").svg()
    };
    figures.whole.calls.ended = figures.whole.calls.ttft.count();
    assert!(svg(&figures, "latency").contains("for half of the calls,"));
    figures.whole.calls.ended += 12;
    (figures.whole.calls.failed, figures.whole.calls.rejected) = (12, 5);
    let latency = svg(&figures, "latency");
    assert!(latency.contains("for half of calls that had one,"));
    assert!(latency.contains("to its first token (12 calls had none); each point:"));
    let failures = svg(&figures, "failures");
    assert!(failures.contains("the router tried again after none of them"), "{failures}");
    assert!(failures.contains("calls 12 failed (5 of them untried)"), "{failures}");
    assert!(svg(&figures, "lost-time").contains(" per call on average"));
    assert!(svg(&figures, "demand").contains("sent to a deployment"));
    // No caption is cut short.
    for chart in report(&figures, &[]).charts() {
        let caption = chart.svg().lines().find(|line| line.ends_with('…')).map(str::to_owned);
        assert_eq!(caption, None, "{}", chart.name);
    }
}

#[test]
fn sixty_four_deployments_are_shown_by_the_few_that_matter() {
    let mut figures = World::crowd().figures();
    let chart = |name| report(&figures, &[]).chart(name).expect("it is always drawn").svg();
    assert!(chart("share").contains("57 others"));
    assert!(chart("rests").contains("54 more, none of which ever rested"));
    let summary = report(&figures, &[]).summary(false);
    assert!(summary.lines().all(|line| line.chars().count() <= PAGE), "{summary}");
    assert!(summary.contains("t-63"), "a name cut short keeps its number");
    let (kind, from, until) = (SpellKind::HalfOpen, Time::ZERO, Time::from_secs(9_000));
    let spell = Spell { member: 0, kind, from, until, why: None, enforced: true, streak: 1 };
    figures.spells = (20..60).map(|member| Spell { member, ..spell }).collect();
    let svg = report(&figures, &[]).chart("breakers").expect("breakers turned").svg();
    assert!(svg.contains("40 more, 26 of which were out at times"));
}

#[test]
fn every_group_that_was_asked_for_has_its_own_shares() {
    let config = sample::config(&[
        ("a/b", &[("one", 3, 0), ("two", 1, 0)]),
        ("a_b", &[("three", 1, 0)]),
        ("idle", &[("two", 1, 0)]),
    ]);
    let mut figures = Figures::new(&config, sample::frame());
    figures.whole.groups[..2].iter_mut().for_each(|calls| calls.offered = 9);
    // `two` is in a group that nobody asked for as well.
    figures.bins[0].members = vec![1, 3, 5, 90];
    figures.whole.members = vec![1, 3, 5, 90];
    let charts = report(&figures, &[]).charts();
    let titles: Vec<(&str, &str)> =
        charts.iter().map(|chart| (chart.name.as_str(), chart.title())).collect();
    assert_eq!(
        titles[2..4],
        [
            ("share-a_b", "one got 25.0 % of a/b's attempts; its weight asks for 75 %"),
            ("share-a_b-1", "three got every one of a_b's attempts"),
        ]
    );
}

#[test]
fn a_share_is_one_of_its_group_whoever_helps() {
    let config = sample::config(&[
        ("chat", &[("az", 2, 0), ("oai", 1, 0)]),
        ("backup", &[("haiku", 1, 0), ("idle", 1, 0)]),
    ]);
    let mut figures = Figures::new(&config, sample::frame());
    figures.whole.groups[0].offered = 9;
    figures.bins[0].members = vec![60, 40, 100, 0];
    figures.whole.members = vec![60, 40, 100, 0];
    for (attempts, n) in figures.whole.deployments.iter_mut().zip([60, 40, 100, 0]) {
        attempts.dispatched = n;
    }
    let report = report(&figures, &[]);
    let chart = report.chart("share").expect("it is always drawn");
    assert_eq!(chart.title(), "az got 60.0 % of chat's attempts; its weight asks for 66.7 %");
    let svg = chart.svg();
    for text in ["60.0 %, weight 66.7 %", "haiku (backup)", "50.0 % of all attempts"] {
        assert!(svg.contains(text), "{text}");
    }
    assert!(!svg.contains("idle"), "who did nothing has no place in the stack");
    assert!(report.summary(false).contains("60.0 %  66.7 %"), "the table says the same");
}

#[test]
fn a_picture_is_written_at_twice_the_size() {
    let figures = World::blink().figures();
    let chart = report(&figures, &[]).chart("rests").expect("it is always drawn");
    let bytes = chart.png();
    assert_eq!(&bytes[1..4], b"PNG");
    let width = u32::from_be_bytes(bytes[16..20].try_into().expect("four bytes"));
    assert_eq!(width, 2_000);
    assert_eq!(bytes, chart.png(), "the same bytes every time");
}

#[test]
fn run_json_comes_back_as_it_was() {
    let figures = World::blink().figures();
    let judged = judged(&figures, &EXPECTED);
    let run = RunFile::of(&report(&figures, &judged));
    assert_eq!(RunFile::from_json(&run.to_json()).expect("its own text"), run);
    assert!(RunFile::from_json("{}").is_err());
}

#[test]
fn names_with_markup_stay_text_everywhere() {
    let mut figures = World::typical().figures();
    figures.deployments[0] = "<script>alert(1)</script>\u{1}&\"'".to_owned();
    figures.groups[0] = "<b>".to_owned();
    figures.frame.faults[0].name = "</text><svg onload=x>".to_owned();
    let mut judged = judged(&figures, &EXPECTED);
    judged[0].name = "<i>]]>".to_owned();
    let mut report = report(&figures, &judged);
    let notes = ["<img src=x>".to_owned()];
    (report.title, report.question, report.scenario) = ("<u>", "\"><script>", "a\"b<c>");
    (report.router, report.replay, report.notes) = ("'<r>", "run '<x>' && rm", &notes);
    let html = report.html();
    assert_eq!(html.matches("<script").count(), 0);
    for raw in ["<img src=x>", "<svg onload", "<i>]]>", "<u>", "<c>"] {
        assert!(!html.contains(raw), "{raw}");
    }
    well_formed(&report.junit());
    report.charts().iter().for_each(|chart| well_formed(&chart.svg()));
    assert!(!report.summary(false).contains('\u{1}'));
}

#[test]
fn a_page_needs_nothing_from_anywhere() {
    let figures = World::typical().figures();
    let judged = judged(&figures, &EXPECTED);
    let html = report(&figures, &judged).html();
    for outside in ["<script", "<link", "<img", "url(http", "src=\"", "@import"] {
        assert!(!html.contains(outside), "{outside}");
    }
    let named = "http://www.w3.org/2000/svg";
    assert_eq!(html.matches("http").count(), html.matches(named).count());
    assert!(html.contains("<h2>2 of 6 expectations failed</h2>"), "the answer comes first");
}

/// Whether tags nest, attributes are quoted and no character is one that XML refuses.
fn well_formed(xml: &str) {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = xml;
    while let Some(start) = rest.find('<') {
        let text = &rest[..start];
        assert!(!text.contains('>') || open.is_empty(), "a stray bracket in {text}");
        let end = start + rest[start..].find('>').expect("a tag ends");
        let tag = &rest[start + 1..end];
        assert_eq!(tag.matches('"').count() % 2, 0, "a stray quote in {tag}");
        let name = tag.split([' ', '\n']).next().expect("the first piece");
        if let Some(closed) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(closed), "in {tag}");
        } else if !tag.ends_with('/') && !tag.starts_with('?') {
            open.push(name);
        }
        rest = &rest[end + 1..];
    }
    assert!(open.is_empty(), "{open:?} stay open");
    assert!(xml.chars().all(|c| c == '\n' || !c.is_control()), "a control character");
    for (at, _) in xml.match_indices('&') {
        let known = ["&amp;", "&lt;", "&gt;", "&quot;", "&apos;", "&#39;"];
        assert!(known.iter().any(|k| xml[at..].starts_with(k)), "a stray ampersand");
    }
}

fn worlds() -> impl Strategy<Value = (World, Vec<String>)> {
    let stretch = || proptest::option::of((0_u64..90, 1_u64..90).prop_map(|(a, b)| (a, a + b)));
    let weights = prop::collection::vec(1_u32..9, 1..12);
    let rate = prop_oneof![Just(0.0), 0.01..3.0];
    let names = prop::collection::vec(".{0,40}", 3);
    (weights, 1_u64..100, rate, stretch(), stretch(), names).prop_map(
        |(weights, horizon, rate, spike, fault, names)| {
            let weights = weights.into_iter().enumerate();
            let weights = weights.map(|(i, weight)| (format!("d{i}"), weight)).collect();
            (World { weights, horizon, rate, spike, fault }, names)
        },
    )
}

fn spells() -> impl Strategy<Value = Vec<Spell>> {
    let kinds =
        [SpellKind::Open, SpellKind::HalfOpen, SpellKind::Ramping, SpellKind::Forced].to_vec();
    let kind = prop::sample::select(kinds);
    let spell = (0..12_usize, kind, 0..150_u64, 1..90_u64, any::<bool>()).prop_map(
        |(member, kind, from, long, enforced)| {
            let (from, until) = (Time::from_secs(from), Time::from_secs(from + long));
            Spell { member, kind, from, until, why: None, enforced, streak: 1 }
        },
    );
    prop::collection::vec(spell, 0..20)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn no_world_breaks_a_report(
        (world, names) in worlds(),
        odd in any::<[u32; 4]>(),
        spells in spells(),
    ) {
        let mut figures = world.figures();
        let members = figures.members.len();
        figures.spells = spells;
        figures.spells.iter_mut().for_each(|spell| spell.member %= members);
        figures.whole.memberships[0].openings[1] = u64::from(odd[1]);
        figures.whole.memberships[0].observed[2] = u64::from(odd[2]);
        figures.whole.memberships[0].causes = [u64::from(odd[3]); crate::CAUSES];
        figures.whole.memberships[0].outrun.waited_ns = u64::from(odd[0]);
        figures.deployments[0].clone_from(&names[0]);
        figures.groups[0].clone_from(&names[1]);
        if let Some(fault) = figures.frame.faults.first_mut() {
            fault.name.clone_from(&names[2]);
        }
        let a = &mut figures.whole.deployments[0];
        a.failures[FailureKind::Idle as usize] = u64::from(odd[0]);
        a.lost[FailureKind::Idle as usize].dead_ns = u64::from(odd[1]) << (odd[2] % 31);
        figures.whole.calls.left = u64::from(odd[2]);
        figures.stranded.any = u64::from(odd[3]);
        figures.resting[0] = Span::from_secs(u64::from(odd[0]));
        figures.end = Time::from_secs(u64::from(odd[3]));
        let judged = judged(&figures, &EXPECTED);
        let report = report(&figures, &judged);
        for line in report.summary(false).lines() {
            let wide = line.chars().count();
            prop_assert!(wide <= PAGE || !line.contains(' '), "{wide} columns: {line}");
        }
        for chart in report.charts() {
            well_formed(&chart.svg());
        }
        well_formed(&report.junit());
        for csv in [report.series_csv(), report.deployments_csv()] {
            let mut reader = csv::Reader::from_reader(csv.as_bytes());
            prop_assert!(reader.records().all(|row| row.is_ok()));
        }
        prop_assert!(report.html().ends_with("</html>\n"));
    }
}
