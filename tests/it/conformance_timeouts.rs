//! Timeouts: each bounds what its name says, and the deadline bounds all of it. Each test stands
//! in `docs/conformance.md`.

use router_core::{Abandon, Cause, GroupId, Outcome, Output, Span, Spec, Upstream};
use tests::stage::{Stage, attempt, ms, sent, spec};

use crate::conformance::{attempts, graph};

/// What was dropped, when and why.
fn drops(stage: &Stage) -> Vec<(u64, Abandon)> {
    let dropped = |(at, output): &(router_core::Time, Output)| {
        let Output::Abandon(_, why) = output else { return None };
        Some((at.as_nanos() / 1_000_000, *why))
    };
    stage.log.iter().filter_map(dropped).collect()
}

fn one_attempt() -> Spec {
    let mut spec = spec(&[1]);
    spec.router.attempts = 1;
    spec
}

#[test]
fn a_dripping_answer_is_cut_by_the_total_timeout() {
    for stream in [true, false] {
        let mut short = one_attempt();
        short.groups[0].timeouts.total = Span::from_secs(1);
        short.groups[0].timeouts.connect = Span::from_secs(1);
        short.groups[0].timeouts.first_token = Span::from_secs(1);
        short.groups[0].timeouts.idle = Span::from_secs(1);
        let mut stage = Stage::new(&short);
        stage.submit_with(ms(0), 1, |request| request.stream = stream);
        for tenth in 1..=30 {
            stage.news(ms(tenth * 100), 1, 1, Upstream::Progress(tenth as u32));
        }
        assert_eq!(drops(&stage), [(1_000, Abandon::Total)], "stream: {stream}");
        assert!(matches!(stage.outcome(1), Some((_, Outcome::Exhaust(_)))));
    }
}

#[test]
fn a_late_first_token_and_a_gap_have_limits_of_their_own() {
    let mut apart = one_attempt();
    apart.groups[0].timeouts.first_token = Span::from_secs(3);
    apart.groups[0].timeouts.idle = Span::from_secs(1);
    // A first token after 2.9 s is in time, though the gap after it may last a second only.
    let mut stage = Stage::new(&apart);
    stage.submit(ms(0), 1);
    stage.news(ms(10), 1, 1, Upstream::Connected);
    stage.news(ms(2_900), 1, 1, Upstream::FirstToken);
    stage.news(ms(3_800), 1, 1, Upstream::Progress(5));
    stage.wait(ms(60_000));
    assert_eq!(drops(&stage), [(4_800, Abandon::Idle)]);

    let mut stage = Stage::new(&apart);
    stage.submit(ms(0), 1);
    stage.news(ms(10), 1, 1, Upstream::Connected);
    stage.wait(ms(60_000));
    assert_eq!(drops(&stage), [(3_000, Abandon::FirstToken)]);
}

#[test]
fn a_slow_first_token_is_tried_elsewhere() {
    let mut backup = graph(&[("chat", &["backup"]), ("backup", &[])]);
    backup.groups[0].timeouts.first_token = Span::from_secs(2);
    let mut stage = Stage::new(&backup);
    stage.submit(ms(0), 1);
    stage.news(ms(10), 1, 1, Upstream::Connected);
    stage.wait(ms(2_000));
    let made: Vec<_> = attempts(&stage, 1).iter().map(|(at, d)| (*at, d.cause)).collect();
    assert_eq!(made, [(ms(0), Cause::Primary), (ms(2_000), Cause::Fallback)]);
}

/// Three groups of one deployment each, and none of them ever says a word.
fn silence() -> Spec {
    let mut spec = graph(&[("chat", &["b", "c"]), ("b", &[]), ("c", &[])]);
    for group in &mut spec.groups {
        group.timeouts.connect = Span::from_secs(1);
        group.timeouts.first_token = Span::from_secs(1);
    }
    spec
}

#[test]
fn timeouts_of_one_second_in_three_groups_take_three_seconds() {
    let mut stage = Stage::new(&silence());
    stage.submit(ms(0), 1);
    stage.wait(ms(60_000));
    assert_eq!(attempts(&stage, 1).len(), 3);
    assert_eq!(stage.outcome(1).map(|(at, _)| at), Some(ms(3_000)));
}

#[test]
fn the_deadline_holds_over_all_retries_and_fallbacks() {
    let mut many = silence();
    many.router.attempts = 16;
    for (own, asked, ends) in [(5_000, None, 5_000), (5_000, Some(2_500), 2_500)] {
        many.router.deadline = Span::from_millis(own);
        let mut stage = Stage::new(&many);
        stage.submit_with(ms(0), 1, |request| request.deadline = asked.map(ms));
        stage.wait(ms(600_000));
        let end = stage.outcome(1).map(|(at, _)| at).expect("it ended");
        assert!(end <= ms(ends), "{end}");
        assert!(attempts(&stage, 1).iter().all(|(at, _)| *at < ms(ends)));
    }
}

#[test]
fn a_request_that_asks_for_more_time_than_the_router_gives_has_the_routers() {
    let mut short = spec(&[1]);
    short.router.deadline = Span::from_secs(3);
    let mut stage = Stage::new(&short);
    stage.submit_with(ms(0), 1, |request| request.deadline = Some(ms(60_000)));
    stage.wait(ms(60_000));
    assert_eq!(stage.outcome(1), Some((ms(3_000), Outcome::Expire)));
}

#[test]
fn by_default_no_request_outlives_ten_minutes() {
    let mut stage = Stage::new(&spec(&[1]));
    stage.submit(ms(0), 1);
    for second in 1..700 {
        stage.news(ms(second * 1_000), 1, 1, Upstream::Progress(second as u32));
    }
    assert_eq!(stage.outcome(1).map(|(at, _)| at), Some(ms(600_000)));
}

#[test]
fn each_attempt_has_the_timeouts_of_its_own_group() {
    let mut two = graph(&[("chat", &["slow"]), ("slow", &[])]);
    two.groups[0].timeouts.first_token = Span::from_secs(1);
    two.groups[1].timeouts.first_token = Span::from_secs(4);
    let mut stage = Stage::new(&two);
    stage.submit(ms(0), 1);
    stage.news(ms(10), 1, 1, Upstream::Connected);
    stage.wait(ms(1_000));
    stage.news(ms(1_010), 1, 2, Upstream::Connected);
    let outputs = stage.news(ms(4_900), 1, 2, Upstream::FirstToken);
    assert_eq!(outputs, [Output::Commit(attempt(1, 2))]);
    assert_eq!(attempts(&stage, 1)[1].1.group, GroupId::at(1));
    assert!(sent(&outputs).is_none());
}
