//! Stories of subjects, their limits and budgets.

use super::*;
use crate::{Consumption, Level};

/// The first tenant has a request per 10 s, the second a budget of 1,000 tokens a minute; all
/// others have accounts, two at most, for a request at once.
pub(super) fn metered() -> Spec {
    let mut spec = spec();
    let subject = |name: Option<&str>| SubjectSpec::new("org".into(), name.map(Into::into));
    let rate = Rate { amount: 1, period: Span::from_secs(10), burst: None };
    let requests = LimitSpec { requests: Some(rate), ..LimitSpec::default() };
    let budget = BudgetSpec::new(BudgetUnit::Tokens, 1_000, Span::from_secs(60));
    let parallel = LimitSpec { parallel: Some(1), ..LimitSpec::default() };
    spec.subjects = [
        SubjectSpec { limit: requests, ..subject(Some("first")) },
        SubjectSpec { budgets: [budget].into(), ..subject(Some("second")) },
        SubjectSpec { limit: parallel, ..subject(None) },
    ]
    .into();
    spec.router.accounts = 2;
    spec
}

/// The second tenant's first request serves, having used so many output tokens.
fn spends(output_tokens: u32) -> Scene {
    let mut scene = Scene::new(&metered());
    scene.submit_for(1, 2).goes(1, 1, 0, Cause::Primary);
    let usage = Usage { output_tokens, ..USAGE };
    let attempt = attempt(1, 1);
    scene.at(1).news(1, 1, Upstream::Complete(usage)).says(Output::Commit(attempt));
    scene.says(Output::Observe(Observation::Ended {
        attempt,
        group: GroupId::at(0),
        deployment: DeploymentId::at(0),
        end: End::Answered,
        first_token: Some(Span::from_millis(1)),
        elapsed: Span::from_millis(1),
        usage,
    }));
    scene
}

fn ends(scene: &mut Scene, output_tokens: u32) -> &mut Scene {
    let usage = Usage { output_tokens, ..USAGE };
    scene.says(Output::Finish(request(1), Outcome::Serve(attempt(1, 1), usage)))
}

fn tells(scene: &mut Scene, level: Level, spent: u64) -> &mut Scene {
    let (kind, subject, budget) = (0, 2, 0);
    scene.says(Output::Observe(Observation::Budget { kind, subject, budget, level, spent }))
}

fn dear(scene: &mut Scene, id: u64) -> &mut Scene {
    scene.submit_for(id, 2);
    for (group, mask) in [(0, 7), (1, 1)] {
        let (attempt, group) = (attempt(id, 1), GroupId::at(group));
        let reason = Reason::Budget;
        scene.says(Output::Observe(Observation::Excluded { attempt, group, reason, mask }));
    }
    scene
}

#[test]
fn a_subject_is_refused_until_its_rate_is_there_again() {
    let run = |tenant: u32, what: Measure, earliest: u64| {
        let mut scene = Scene::new(&metered());
        scene.submit_for(1, 1).goes(1, 1, 0, Cause::Primary).at(1).serves(1, 1);
        let earliest = Some(Time::from_nanos(earliest * 1_000_000));
        scene.submit_for(2, tenant).rejects(2, Rejection::Subject { kind: 0, what, earliest });
        scene.broken()
    };
    assert_eq!(run(1, Measure::Requests, 10_000), []);
    assert_eq!(run(1, Measure::Requests, 10_001), [Invariant::WorkConservation]);
    assert_eq!(run(1, Measure::Tokens, 10_000), [Invariant::WorkConservation]);
    assert_eq!(run(2, Measure::Requests, 10_000), [Invariant::WorkConservation]);
}

#[test]
fn what_a_budget_has_no_room_for_is_refused_until_its_period_ends() {
    let run = |spent: u32, earliest: u64| {
        let mut scene = spends(spent);
        if spent >= 700 {
            tells(&mut scene, Level::Soft, u64::from(spent) + 100);
        }
        if spent >= 900 {
            tells(&mut scene, Level::Hard, u64::from(spent) + 100);
        }
        ends(&mut scene, spent);
        let earliest = Some(Time::from_secs(earliest));
        dear(&mut scene, 2).rejects(2, Rejection::Budget { kind: 0, earliest });
        scene.broken()
    };
    assert_eq!(run(600, 60), []);
    assert_eq!(run(600, 61), [Invariant::WorkConservation]);
    assert_eq!(run(100, 60), [Invariant::WorkConservation], "612 more would fit");
    assert_eq!(run(1_500, 120), [], "what was overrun is paid by the next period");
}

#[test]
fn a_budget_is_told_of_when_it_is_used_up_and_once() {
    let run = |output: u32, told: &[(Level, u64)]| {
        let mut scene = spends(output);
        told.iter().for_each(|(level, spent)| {
            tells(&mut scene, *level, *spent);
        });
        ends(&mut scene, output).broken()
    };
    let (soft, hard) = (Level::Soft, Level::Hard);
    assert_eq!(run(699, &[]), []);
    assert_eq!(run(700, &[(soft, 800)]), []);
    assert_eq!(run(900, &[(soft, 1_000), (hard, 1_000)]), []);
    let wrong: [&[(Level, u64)]; 4] =
        [&[], &[(soft, 799)], &[(soft, 800), (soft, 800)], &[(soft, 800), (hard, 800)]];
    for told in wrong {
        assert_eq!(run(700, told), [Invariant::ClaimsHold], "{told:?}");
    }
    assert_eq!(run(100, &[(soft, 200)]), [Invariant::ClaimsHold]);
}

#[test]
fn as_many_have_accounts_as_there_is_room_for() {
    let run = |open: u32| {
        let mut scene = Scene::new(&metered());
        for tenant in 0..open {
            let id = u64::from(tenant);
            scene.submit_for(id, 10 + tenant).goes(id, 1, 0, Cause::Primary);
        }
        scene.submit_for(9, 20).rejects(9, Rejection::Accounts).at(1);
        (0..u64::from(open)).for_each(|id| {
            scene.serves(id, 1);
        });
        scene.broken()
    };
    assert_eq!(run(2), []);
    assert_eq!(run(1), [Invariant::WorkConservation]);
}

#[test]
fn a_budget_asked_in_vain_says_nothing_of_the_input_that_follows() {
    // What is due before a peer's word is done: of three steps the second tells of a budget.
    let run = |excluded: bool| {
        let mut spec = metered();
        let after = HedgeAfter::Delay(Span::from_millis(10));
        spec.groups[0].hedge = Some(HedgeSpec { after, ..HedgeSpec::default() });
        spec.groups[0].timeouts.connect = Span::from_millis(20);
        let mut scene = Scene::new(&spec);
        scene.submit_for(1, 2).goes(1, 1, 0, Cause::Primary);
        let peers = Consumption::Alive { replica: 1 };
        scene.at(30).hears(&Input::Peers(peers));
        if excluded {
            scene.excludes(1, 2, Reason::Budget, 7);
        }
        tells(&mut scene, Level::Hard, 0);
        let (attempt, why) = (attempt(1, 2), crate::Hold::Nobody);
        scene.says(Output::Observe(Observation::Held { attempt, why }));
        scene.says(Output::Abandon(super::attempt(1, 1), Abandon::Connect));
        scene.goes(1, 2, 1, Cause::Retry).serves(1, 2).broken()
    };
    assert_eq!(run(true), []);
    assert!(run(false).contains(&Invariant::ClaimsHold));
}
