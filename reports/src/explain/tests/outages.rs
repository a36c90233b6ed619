//! When, how long and why members were out, requests stranded and groups panicked; and what a
//! story says of tags and of hedges held back.

use super::*;
use crate::{
    Breakdown, Expectation, Figures, Fold, Frame, Judged, Report, Rest, RunFile, Spell, SpellKind,
};

fn setting<T>(frame: &Frame, then: impl FnOnce(&Setting<'_>) -> T) -> T {
    let (run, command) = ("made up, router made, seed 7", "seawall explain latest");
    then(&Setting { run, frame, properties: &[], command })
}

fn breakdown(config: &Arc<Config>, metric: &str) -> Breakdown {
    let metric = Expectation::parse_metric(metric).expect("a metric");
    Breakdown::new(Arc::clone(config), &sample::frame(), metric, 100).expect("it is there")
}

fn chat() -> Arc<Config> {
    Arc::new(sample::config(&[("chat", &[("a", 1, 0), ("b", 1, 0), ("c", 2, 0)])]))
}

/// Ten minutes in which the breaker of `a` opens for a minute while it rests, `b` rests twice,
/// once with one of its two keys, and `c` is well.
fn outages(config: &Config) -> Figures {
    let s = Time::from_secs;
    let mut figures = Figures::new(config, sample::frame());
    let spell = |kind, from, until, why| Spell {
        member: 0,
        kind,
        from: s(from),
        until: s(until),
        why: Some(why),
        enforced: true,
        streak: 1,
    };
    figures.spells = vec![
        spell(SpellKind::Open, 100, 160, Turn::Consecutive),
        spell(SpellKind::HalfOpen, 160, 165, Turn::Waited),
        spell(SpellKind::Ramping, 165, 195, Turn::Recovered),
    ];
    let rest = |d, key, from, until, failure| Rest {
        deployment: DeploymentId::at(d),
        key,
        from: s(from),
        until: s(until),
        failure,
        streak: 1,
    };
    figures.rests = vec![
        rest(0, None, 90, 120, FailureKind::RateLimit),
        rest(1, None, 110, 130, FailureKind::Server),
        rest(1, Some(1), 300, 310, FailureKind::Authentication),
    ];
    figures
}

#[test]
fn who_was_out_is_told_with_breakers_and_rests_each_with_when_and_why() {
    let config = chat();
    let figures = outages(&config);
    let text = |metric: &str| {
        setting(&figures.frame, |setting| breakdown(&config, metric).text(&figures, setting, false))
    };
    insta::assert_snapshot!("ejected_share", text("ejected.share"));
    insta::assert_snapshot!("ejected_max", text("ejected.max {group=chat}"));
    // What is told adds up to the metric, also of a part of the run and of one member.
    for (metric, out) in [
        ("ejected.share", "95.000 s"),
        ("ejected.share {deployment=a}", "75.000 s"),
        ("ejected.share {deployment=b, during=spike}", "10.000 s"),
    ] {
        let told = text(metric);
        let together = told.lines().find(|line| line.trim().starts_with("together"));
        assert!(together.is_some_and(|line| line.contains(out)), "{told}");
    }
    assert!(text("ejected.share {deployment=c}").contains("nobody was out"));
    let why = |expected: &str| {
        crate::blame::why(&figures, &Expectation::parse(expected).expect("it is one"))
    };
    let of_all = "63.2 % of the time that members were out: the breaker of a open";
    assert_eq!(why("ejected.share < 1 %").as_deref(), Some(of_all));
    let of_b = "100 % of the time that members were out: rests of b, after server errors";
    assert_eq!(why("ejected.share {deployment=b} < 1 %").as_deref(), Some(of_b));
}

/// Requests that find nobody, one that is helped, and one that panic helps.
fn hard_times(config: &Arc<Config>, metric: &str) -> (Breakdown, Figures) {
    let fold = Fold::new(Arc::clone(config), sample::frame());
    let mut told = Told((fold, breakdown(config, metric)), Time::ZERO);
    let of = |n: u64| AttemptId { request: id(n), ordinal: 1 };
    let earliest = Some(ms(60_000));
    for (n, at) in [(1, 10_000), (2, 10_400), (3, 12_000), (4, 40_000), (5, 41_000)] {
        told.at(at).hear(Input::Submit(Request::new(id(n), CHAT, 10)));
        told.exclude(of(n), Reason::Cooling, 1).exclude(of(n), Reason::Limit, 6);
        told.see(Observation::Stranded { attempt: of(n), group: CHAT, earliest });
        match n {
            // Somebody of another group helps.
            3 => told.dispatch(of(n), 0, Cause::Fallback, 1),
            5 => told.say(Output::Finish(
                id(n),
                Outcome::Reject(router_core::Rejection::NoDeployment(earliest)),
            )),
            _ => told.see(Observation::Waiting {
                attempt: of(n),
                until: ms(60_000),
                why: Wait::Eligible,
                deployment: DeploymentId::at(0),
                failure: FailureKind::RateLimit,
            }),
        };
    }
    told.at(90_000).hear(Input::Submit(Request::new(id(6), CHAT, 10)));
    told.dispatch(of(6), 0, Cause::Panic, 1);
    let (fold, breakdown) = told.0;
    let mut figures = fold.finish(Time::from_secs(600));
    // Whoever was out then stands in the figures.
    figures.rests = outages(config).rests;
    (breakdown, figures)
}

#[test]
fn stranded_and_panicked_seconds_are_told_with_when_how_often_and_why() {
    let config = chat();
    let text = |metric: &str| {
        let (breakdown, figures) = hard_times(&config, metric);
        setting(&figures.frame, |setting| breakdown.text(&figures, setting, false))
    };
    let stranded = text("stranded.time");
    insta::assert_snapshot!("stranded_time", stranded);
    // As many seconds as the metric counts.
    assert!(stranded.starts_with("stranded.time is 3 s"), "{stranded}");
    insta::assert_snapshot!("panic_time", text("panic.time"));
    assert!(text("panic.share").contains("1 attempt was sent to a member that was out"));
    let config = Arc::new(sample::config(&[
        ("chat", &[("a", 1, 0), ("b", 1, 0), ("c", 2, 0)]),
        ("rest", &[("a", 1, 0)]),
    ]));
    let (breakdown, figures) = hard_times(&config, "stranded.time {group=rest}");
    let never = setting(&figures.frame, |setting| breakdown.text(&figures, setting, false));
    assert!(never.contains("never: no request found nobody"), "{never}");
}

#[test]
fn a_request_without_tags_is_told_who_it_goes_to() {
    let mut spec = Spec::default();
    let mut group = GroupSpec::new("chat".to_owned());
    for (name, tag) in [("eu", "eu"), ("any", "default")] {
        let mut new = DeploymentSpec::new(name.to_owned());
        new.tags = vec![tag.to_owned()];
        spec.deployments.push(new);
        group.members.push(MemberSpec { deployment: name.to_owned(), weight: 1, tier: 0 });
    }
    spec.groups.push(group);
    let config = Arc::new(Config::new(&spec).expect("it holds"));
    let story = |tags: u64, left_out: u64| {
        let mut told = Told(Story::new(Arc::clone(&config), id(17)), Time::ZERO);
        let request = Request { tags, ..Request::new(id(17), CHAT, 10) };
        told.at(1_000).hear(Input::Submit(request));
        told.exclude(attempt(1), Reason::Tags, left_out);
        told.dispatch(attempt(1), 1, Cause::Primary, 2);
        text(told, &call(1_000, None, 2_000, CallEnd::Left))
    };
    let untagged = "not eu: the request has no tags, so it goes to those tagged `default`";
    assert!(story(0, 1).contains(untagged), "{}", story(0, 1));
    let eu = config.tag("eu").expect("it is known");
    assert!(story(eu, 2).contains("not any: it does not have the tags asked for"));
    let elsewhere = "not eu: nobody has the tags asked for, so it goes to those tagged `default`";
    assert!(story(1 << 9, 1).contains(elsewhere), "{}", story(1 << 9, 1));
}

#[test]
fn who_could_not_take_a_hedge_that_is_held_is_told_once() {
    let mut told = Told(Story::new(config([7, 2, 3, 1]), id(17)), Time::ZERO);
    told.at(1_000).hear(Input::Submit(Request::new(id(17), CHAT, 900)));
    told.dispatch(attempt(1), 0, Cause::Primary, 15);
    told.at(3_000).hear(Input::Tick).exclude(attempt(2), Reason::Parallel, 4);
    told.see(Observation::Held { attempt: attempt(2), why: Hold::Nobody });
    let failed = failure(FailureKind::Server, 500, 0);
    told.at(4_000).hear(Input::Upstream(attempt(1), Upstream::Fail(failed)));
    told.end(attempt(1), 0, End::Failed(FailureKind::Server), 3_000, 0);
    told.exclude(attempt(2), Reason::Parallel, 4).exclude(attempt(2), Reason::Tried, 1);
    told.dispatch(attempt(2), 1, Cause::Retry, 10);
    let told = text(told, &call(1_000, None, 5_000, CallEnd::Left));
    let lines: Vec<&str> = told.lines().collect();
    let held = lines.iter().position(|line| line.contains("held back")).expect("it is told");
    assert!(lines[held + 1].contains("not openai: too many calls in flight"), "{told}");
    assert_eq!(told.matches("not openai:").count(), 2, "once at each choice:\n{told}");
}

#[test]
fn what_run_json_says_is_compared_with_what_came() {
    let config = chat();
    let figures = outages(&config);
    let expectation = Expectation::parse("ejected.share < 1 %").expect("it is one");
    let judgement = expectation.judge(&figures);
    let judged = [Judged { name: "well".to_owned(), team: None, expectation, judgement }];
    let report = Report {
        title: "",
        question: "",
        scenario: "made-up",
        router: "made",
        seed: 7,
        figures: &figures,
        judged: &judged,
        not_applicable: &[],
        notes: &[],
        replay: "",
        artefacts: "",
    };
    let file = RunFile::of(&report);
    assert_eq!(file.untrue(&figures), [""; 0]);
    let mut edited = file.clone();
    edited.verdicts[0].verdict = "PASS".to_owned();
    let said = "`well`: PASS (0.0527778) there, FAIL (0.0527778) in truth";
    assert_eq!(edited.untrue(&figures), [said]);
    let mut edited = file.clone();
    edited.verdicts[0].measured = Some("0.001".to_owned());
    assert_eq!(edited.untrue(&figures).len(), 1);
    let mut edited = file.clone();
    edited.verdicts[0].expectation = "all is well".to_owned();
    assert_eq!(edited.untrue(&figures), ["`well`: `all is well` is no expectation"]);
    let mut edited = file;
    edited.totals.answered += 1;
    assert!(edited.untrue(&figures)[0].starts_with("the totals: "));
}
