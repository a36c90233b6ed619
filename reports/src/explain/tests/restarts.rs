//! Stories of calls that a restart of the router cuts, and where their time is found.

use router_core::{Anew, Restart};

use super::super::Breakdown;
use super::*;
use crate::expect::{Metric, Selectors};

const BROKEN: &str = "the client's connection breaks, which is a 502 to it";

/// A call with one attempt under way, or with a wait for the next one, is cut after two seconds.
fn cut(told: &mut Told<impl Journal>, (restart, replica): (Restart, Option<u16>), waits: bool) {
    told.at(1_000).hear(Input::Submit(Request::new(id(17), CHAT, 900)));
    told.dispatch(attempt(1), 0, Cause::Primary, 15);
    if waits {
        let failure = FailureKind::Server;
        told.at(2_000).end(attempt(1), 0, End::Failed(failure), 1_000, 0);
        let (deployment, until, why) = (DeploymentId::at(0), ms(9_000), Wait::Backoff);
        let attempt = attempt(2);
        told.see(Observation::Waiting { attempt, until, why, deployment, failure });
    }
    told.at(3_000);
    told.0.cut(ms(3_000), id(17), Anew { with: restart, replica });
    told.hear(Input::Cancel(id(17)));
    if !waits {
        told.end(attempt(1), 0, End::Abandoned(Abandon::Cancel), 2_000, 0);
    }
    told.say(Output::Finish(id(17), Outcome::Cancel));
    if replica.is_none() {
        told.0.restart(ms(3_000), restart);
    }
}

fn lines(told: &Told<Story>) -> Vec<&str> {
    told.0.lines.iter().skip(2).map(|line| line.text.as_str()).collect()
}

#[test]
fn a_call_that_a_restart_cuts_is_told_so_and_with_what_the_router_begins() {
    let story = || Told(Story::new(config([7, 2, 3, 1]), id(17)), Time::ZERO);
    for (restart, how) in [
        (Restart::Empty, "without what it knew"),
        (Restart::Restored, "from a snapshot with all that it knew"),
    ] {
        let mut told = story();
        cut(&mut told, (restart, None), false);
        let anew = format!("the router is started anew, {how}: this call is cut");
        assert_eq!(lines(&told)[0], anew);
        assert!(lines(&told)[1].starts_with("cut after 2.00 s"), "{:?}", lines(&told));
        assert_eq!(lines(&told)[2..], [BROKEN]);
        // While its client waits, and when it is back, another restart is told as such.
        told.at(4_000).0.restart(ms(4_000), restart);
        assert_eq!(
            lines(&told).last(),
            Some(&format!("the router is started anew, {how}").as_str())
        );
        let again = RequestId::new(0, 17, 1);
        told.at(5_000).hear(Input::Submit(Request::new(again, CHAT, 900)));
        told.at(6_000).hear(Input::Cancel(again));
        assert_eq!(lines(&told).last(), Some(&"the client stops waiting"));
        let text = text(told, &call(1_000, None, 6_000, CallEnd::Left));
        assert!(text.contains("\n  an attempt cut by a restart of the router on az-eu "), "{text}");
    }
    let mut told = story();
    cut(&mut told, (Restart::Empty, Some(1)), true);
    let anew = "replica 2 of the router is started anew, without what it knew: this call is cut";
    assert!(lines(&told).contains(&anew), "{:?}", lines(&told));
    assert!(lines(&told)[0].starts_with("server error after 1.00 s"));
    assert_eq!(lines(&told).last(), Some(&BROKEN));
}

#[test]
fn what_a_restart_cuts_has_a_row_of_its_own_among_what_failed() {
    let explained = |waits: bool| {
        let frame = sample::frame();
        let metric = (Metric::SuccessRate, Selectors::default());
        let gather = Breakdown::new(config([7, 2, 3, 1]), &frame, metric, 10);
        let mut told = Told(gather.expect("it is there"), Time::ZERO);
        cut(&mut told, (Restart::Empty, Some(1)), waits);
        told.0.call(ms(3_000), &call(1_000, None, 3_000, CallEnd::Failed(502)));
        let (found, _) = told.0.settled();
        let rows: Vec<String> = found
            .ends
            .keys()
            .map(|end| super::super::account::ending_name(&told.0.config, *end))
            .collect();
        let chains = found.chains.told(&told.0.config, (5, "answers in"), "explain");
        let chains: Vec<String> = chains.into_iter().map(|(_, text)| text).collect();
        (rows.join("; "), chains.join("; ").lines().next().unwrap_or_default().to_owned())
    };
    let (row, chain) = explained(false);
    assert_eq!(row, "an attempt cut by a restart of the router on az-eu");
    assert_eq!(chain, "attempt cut by a restart of the router on az-eu (2.00 s)");
    let (row, chain) = explained(true);
    assert_eq!(row, "a server error on az-eu, then cut by a restart of the router");
    let way = "server error on az-eu (1.00 s) -> backoff 1.00 s -> cut by a restart of the router";
    assert_eq!(chain, way);
}
