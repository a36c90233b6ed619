//! Subjects: what each may use, exactly, whatever happens at once, fails, ends or starts anew.

use std::sync::Arc;

use router_core::{
    BudgetSpec, BudgetUnit, DeploymentId, Failure, FailureKind, GiveUp, Input, Kind, Level,
    LimitSpec, Measure, Observation, Outcome, Price, Rate, Reason, Rejection, Router, Seed, Span,
    Spec, SubjectSpec, Time, Upstream, Usage,
};
use tests::stage::{Stage, attempt, excluded, ms, sent, spec, spec_with_backup};

fn per(amount: u64, seconds: u64) -> Option<Rate> {
    Some(Rate { amount, period: Span::from_secs(seconds), burst: None })
}

/// A pico-dollar per token of the prompt, and ten per token of the answer.
const DEAR: Price = Price { input: 1, cached: 0, output: 10 };

/// `org=acme` has number 1 of kind 0; every other organisation has the same.
fn metered(deployments: &[u32], limit: LimitSpec, budgets: &[BudgetSpec]) -> Spec {
    let mut spec = spec(deployments);
    for name in [Some("acme".to_owned()), None] {
        let subject = SubjectSpec::new("org".into(), name);
        let (limit, budgets) = (limit.clone(), budgets.to_vec());
        spec.subjects.push(SubjectSpec { limit, budgets, ..subject });
    }
    spec
}

/// So many tokens a minute.
fn tokens(amount: u64) -> BudgetSpec {
    BudgetSpec::new(BudgetUnit::Tokens, amount, Span::from_secs(60))
}

/// Whether a request of so many tokens, a hundred of which are the prompt's, is let through now.
fn passes(stage: &mut Stage, at: Time, n: u64, tokens: u32) -> bool {
    passes_for(stage, at, n, tokens, 1)
}

fn passes_for(stage: &mut Stage, at: Time, n: u64, tokens: u32, org: u32) -> bool {
    let outputs = stage.submit_with(at, n, |request| {
        request.output_max = Some(tokens - 100);
        request.subjects[0] = org;
    });
    sent(&outputs).is_some()
}

fn rejection(stage: &Stage, n: u64) -> Option<Rejection> {
    match stage.outcome(n)?.1 {
        Outcome::Reject(why) => Some(why),
        Outcome::Serve(..)
        | Outcome::Partial(..)
        | Outcome::Exhaust(_)
        | Outcome::Expire
        | Outcome::Cancel
        | Outcome::Cached { .. }
        | Outcome::Static => None,
    }
}

/// Written down and made anew, as by a restart.
fn restart(stage: &mut Stage) {
    let (text, config) = (stage.router.snapshot(), stage.router.config().clone());
    stage.router = Router::restore(config, Seed::from_u64(7), &text).expect("it was just written");
    assert_eq!(stage.router.snapshot(), text);
}

fn told(stage: &Stage) -> Vec<(u32, Level, u64)> {
    let told = stage.observations().filter_map(|observation| {
        let Observation::Budget { subject, level, spent, .. } = observation else { return None };
        Some((subject, level, spent))
    });
    told.collect()
}

#[test]
fn a_denied_request_consumes_nothing() {
    let limit = LimitSpec { tokens: per(1_000, 60), ..LimitSpec::default() };
    let mut stage = Stage::new(&metered(&[1], limit, &[tokens(10_000)]));
    assert!(passes(&mut stage, ms(0), 1, 600));
    for n in 2..50 {
        assert!(!passes(&mut stage, ms(0), n, 500), "400 are left");
    }
    let refused = Rejection::Subject { kind: 0, what: Measure::Tokens, earliest: Some(ms(6_000)) };
    assert_eq!(rejection(&stage, 2), Some(refused));
    assert!(passes(&mut stage, ms(0), 50, 400), "and are left still");
    // Nor does it take a place, or a request of another limit.
    let limit = LimitSpec { requests: per(2, 60), parallel: Some(1), ..LimitSpec::default() };
    let mut stage = Stage::new(&metered(&[1], limit, &[]));
    assert!(passes(&mut stage, ms(0), 1, 200) && !passes(&mut stage, ms(1), 2, 200));
    let (what, earliest) = (Measure::Parallel, Some(ms(1)));
    assert_eq!(rejection(&stage, 2), Some(Rejection::Subject { kind: 0, what, earliest }));
    stage.complete(ms(2), 1, 1, 10);
    assert!(passes(&mut stage, ms(2), 3, 200));
}

#[test]
fn of_twelve_at_once_none_overspends_a_budget() {
    for budget in [tokens(2_000), BudgetSpec::new(BudgetUnit::Usd, 9_150, Span::from_secs(60))] {
        let mut spec = metered(&[1], LimitSpec::default(), &[budget]);
        spec.deployments[0].price = DEAR;
        let mut stage = Stage::new(&spec);
        // Each reserves 1,005 tokens, and 100 + 9,050 pico-dollars.
        let passed = (0..12).filter(|n| passes(&mut stage, ms(0), *n, 1_005)).count();
        assert_eq!(passed, 1, "{budget:?}");
        let earliest = Some(ms(0));
        let why = Rejection::Budget { kind: 0, earliest };
        assert_eq!(rejection(&stage, 1), Some(why), "only what is in flight is in the way");
        // What it did not use is there again at once.
        stage.complete(ms(10), 0, 1, 5);
        assert!(passes(&mut stage, ms(10), 20, 990));
    }
}

#[test]
fn a_restart_does_not_refill_anything() {
    let limit = LimitSpec { requests: per(3, 60), parallel: Some(2), ..LimitSpec::default() };
    let mut stage = Stage::new(&metered(&[1], limit, &[tokens(2_000)]));
    for org in [1, 77] {
        let n = u64::from(org) * 10;
        assert!(passes_for(&mut stage, ms(0), n, 1_000, org));
        restart(&mut stage);
        assert!(!passes_for(&mut stage, ms(0), n + 1, 1_001, org), "the reservation is kept");
        stage.complete(ms(1), n, 1, 800);
        restart(&mut stage);
        assert!(!passes_for(&mut stage, ms(2), n + 2, 1_101, org), "900 are spent");
        assert!(passes_for(&mut stage, ms(2), n + 3, 1_100, org));
        restart(&mut stage);
        assert!(!passes_for(&mut stage, ms(2), n + 4, 101, org));
        stage.complete(ms(3), n + 3, 1, 0);
        assert!(passes_for(&mut stage, ms(3), n + 5, 200, org));
        restart(&mut stage);
        stage.complete(ms(4), n + 5, 1, 0);
        assert!(!passes_for(&mut stage, ms(4), n + 6, 200, org), "three requests were made");
        let what = Measure::Requests;
        let Some(Rejection::Subject { what: said, .. }) = rejection(&stage, n + 6) else {
            panic!("it is refused for its rate");
        };
        assert_eq!(said, what);
    }
}

#[test]
fn budget_windows_roll_when_they_are_due_and_not_before() {
    let mut spec = metered(&[1], LimitSpec::default(), &[tokens(1_000)]);
    // Periods began ten seconds before the router did.
    spec.router.periods_began = Span::from_secs(10);
    let mut stage = Stage::new(&spec);
    assert!(passes(&mut stage, ms(0), 1, 1_000));
    stage.complete(ms(1), 1, 1, 900);
    assert!(!passes(&mut stage, ms(49_999), 2, 101));
    let why = Rejection::Budget { kind: 0, earliest: Some(ms(50_000)) };
    assert_eq!(rejection(&stage, 2), Some(why));
    assert!(passes(&mut stage, ms(50_000), 3, 1_000));
    stage.complete(ms(50_001), 3, 1, 900);
    // Hours later it is one budget, not what was left of many.
    assert!(
        !passes(&mut stage, ms(9_000_000), 4, 1_001) && passes(&mut stage, ms(9_000_000), 5, 1_000)
    );
}

#[test]
fn resets_do_not_race() {
    // Calls that began before the end of a period end after it, together with new ones.
    let mut stage = Stage::new(&metered(&[1], LimitSpec::default(), &[tokens(3_000)]));
    for n in 0..3 {
        assert!(passes(&mut stage, ms(59_000), n, 1_000));
    }
    assert!(!passes(&mut stage, ms(60_000), 10, 101), "what is in flight is still reserved");
    for n in 0..3 {
        stage.complete(ms(60_001), n, 1, 400);
    }
    // They ended in the new period, and each counts there once: 1,500.
    assert!(
        !passes(&mut stage, ms(60_001), 11, 1_501) && passes(&mut stage, ms(60_001), 12, 1_500)
    );
}

#[test]
fn an_overrun_is_debt_on_every_window() {
    let limit =
        LimitSpec { tokens: per(1_000, 60), output_tokens: per(5_000, 600), ..<_>::default() };
    let long = BudgetSpec::new(BudgetUnit::Tokens, 2_000, Span::from_secs(600));
    let mut stage = Stage::new(&metered(&[1], limit, &[tokens(1_000), long]));
    assert!(passes(&mut stage, ms(0), 1, 900));
    // It was to use 900, and used 2,400.
    stage.complete(ms(0), 1, 1, 2_300);
    assert!(!passes(&mut stage, ms(60_000), 2, 101), "1,400 of the rate, 1,400 of the budget");
    assert!(!passes(&mut stage, ms(120_000), 3, 701), "the short budget owes 400");
    assert!(!passes(&mut stage, ms(180_000), 4, 101), "the long one owes 400");
    let why = Rejection::Budget { kind: 0, earliest: Some(ms(600_000)) };
    assert_eq!(rejection(&stage, 4), Some(why));
    assert!(passes(&mut stage, ms(600_000), 5, 600));
}

#[test]
fn failed_abandoned_and_late_calls_are_charged_what_they_used() {
    let mut stage = Stage::new(&metered(&[1, 1], LimitSpec::default(), &[tokens(2_000)]));
    stage.submit_with(ms(0), 1, |request| request.subjects[0] = 1);
    stage.news(ms(1), 1, 1, Upstream::Progress(50));
    // 150 tokens of the first attempt; the second is dropped after 100.
    stage.fail(ms(2), 1, 1, Failure::new(FailureKind::Reset, 0));
    assert!(stage.outcome(1).is_some(), "a token had come");
    stage.submit_with(ms(3), 2, |request| request.subjects[0] = 1);
    stage.feed(ms(4), Input::Cancel(attempt(2, 1).request));
    assert!(!passes(&mut stage, ms(5), 3, 1_751) && passes(&mut stage, ms(5), 4, 1_750));
    stage.fail(ms(6), 4, 1, Failure::new(FailureKind::BadRequest, 400));
    // Late news: it was 1,100 in truth, once.
    for at in [7, 8] {
        let usage = Usage { input_tokens: 100, cached_tokens: 0, output_tokens: 1_000 };
        stage.news(ms(at), 2, 1, Upstream::Complete(usage));
    }
    assert!(!passes(&mut stage, ms(9), 5, 651) && passes(&mut stage, ms(9), 6, 650));
}

#[test]
fn a_cheaper_member_serves_what_a_dearer_one_is_too_dear_for() {
    let budget = BudgetSpec::new(BudgetUnit::Usd, 12_000, Span::from_secs(60));
    let mut spec = spec_with_backup(&[1]);
    spec.subjects = metered(&[1], LimitSpec::default(), &[budget]).subjects;
    spec.deployments[0].price = DEAR;
    spec.deployments[1].price = Price { output: 1, ..DEAR };
    let mut stage = Stage::new(&spec);
    assert!(passes(&mut stage, ms(0), 1, 1_100));
    // 10,100 are reserved; 10,100 more would be too much, 1,100 are not.
    let outputs = stage.submit_with(ms(0), 2, |request| {
        request.output_max = Some(1_000);
        request.subjects[0] = 1;
    });
    assert_eq!(excluded(&outputs, Reason::Budget), 1);
    assert_eq!(sent(&outputs).map(|(to, _)| to), Some(1));
    assert!(!passes(&mut stage, ms(0), 3, 1_100), "800 are left");
    // Somebody else's account is another.
    assert!(passes_for(&mut stage, ms(0), 4, 1_100, 2));
}

#[test]
fn a_request_is_charged_to_all_of_its_subjects_or_to_none() {
    let mut spec = metered(&[1], LimitSpec { tokens: per(1_000, 60), ..<_>::default() }, &[]);
    let user = SubjectSpec::new("user".into(), None);
    let limit = LimitSpec { tokens: per(2_000, 60), ..<_>::default() };
    spec.subjects.push(SubjectSpec { limit, ..user });
    let mut stage = Stage::new(&spec);
    let mut ask = |n: u64, tokens: u32, subjects: [u32; 4]| {
        let outputs = stage.submit_with(ms(0), n, |request| {
            request.output_max = Some(tokens - 100);
            request.subjects = subjects;
        });
        sent(&outputs).is_some()
    };
    assert!(ask(1, 900, [1, 9, 0, 0]));
    for n in 2..20 {
        assert!(!ask(n, 900, [1, 9, 0, 0]), "the organisation is out");
    }
    assert!(ask(20, 1_000, [2, 9, 0, 0]), "the user is not");
    assert!(!ask(21, 101, [3, 9, 0, 0]) && ask(22, 100, [3, 9, 0, 0]));
    assert!(ask(23, 100_000, [0, 0, 0, 0]), "who is on nobody's account is not counted");
}

#[test]
fn a_retry_that_its_subject_cannot_pay_is_given_up() {
    let limit = LimitSpec { tokens: per(1_000, 60), ..<_>::default() };
    let mut stage = Stage::new(&metered(&[1, 1], limit, &[]));
    assert!(passes(&mut stage, ms(0), 1, 900));
    stage.crash(ms(1), 1, 1);
    assert_eq!(stage.outcome(1), None, "800 came back, so it is tried again");
    stage.crash(ms(2), 1, 2);
    assert!(passes(&mut stage, ms(2), 2, 600));
    stage.news(ms(3), 2, 1, Upstream::Connected);
    let usage = Some(Usage { input_tokens: 100, cached_tokens: 0, output_tokens: 400 });
    stage.fail(ms(4), 2, 1, Failure { usage, ..Failure::new(FailureKind::Server, 500) });
    let why = stage.observations().find_map(|observation| {
        let Observation::GaveUp { why, .. } = observation else { return None };
        Some(why)
    });
    assert_eq!(why, Some(GiveUp::Subject));
}

#[test]
fn somebody_is_told_once_a_period_how_far_a_budget_is_used_up() {
    let mut stage = Stage::new(&metered(&[1], LimitSpec::default(), &[tokens(1_000)]));
    assert!(passes(&mut stage, ms(0), 1, 500));
    stage.complete(ms(1), 1, 1, 400);
    assert_eq!(told(&stage), []);
    assert!(passes(&mut stage, ms(2), 2, 400));
    stage.complete(ms(3), 2, 1, 300);
    assert_eq!(told(&stage), [(1, Level::Soft, 900)]);
    for n in 3..9 {
        assert!(!passes(&mut stage, ms(4), n, 200));
    }
    assert_eq!(told(&stage), [(1, Level::Soft, 900), (1, Level::Hard, 900)]);
    assert!(passes(&mut stage, ms(60_000), 10, 1_000));
    stage.complete(ms(60_001), 10, 1, 900);
    assert_eq!(told(&stage)[2..], [(1, Level::Soft, 1_000), (1, Level::Hard, 1_000)]);
}

#[test]
fn what_only_tells_refuses_nothing_and_begins_anew() {
    let budget = BudgetSpec { hard: false, ..tokens(1_000) };
    let mut stage = Stage::new(&metered(&[1], LimitSpec::default(), &[budget]));
    for n in 0..5 {
        assert!(passes(&mut stage, ms(n), n, 1_000));
        stage.complete(ms(n), n, 1, 900);
    }
    assert_eq!(told(&stage), [(1, Level::Soft, 1_000), (1, Level::Hard, 1_000)]);
    assert!(passes(&mut stage, ms(60_000), 9, 900));
    stage.complete(ms(60_000), 9, 1, 700);
    assert_eq!(told(&stage)[2..], [(1, Level::Soft, 800)]);
}

#[test]
fn an_account_that_is_whole_again_makes_room_for_another() {
    let limit = LimitSpec { requests: per(1, 10), ..<_>::default() };
    let mut spec = metered(&[1], limit, &[]);
    spec.router.accounts = 2;
    let mut stage = Stage::new(&spec);
    assert!(passes_for(&mut stage, ms(0), 1, 200, 11) && passes_for(&mut stage, ms(1), 2, 200, 12));
    stage.complete(ms(2), 1, 1, 1);
    stage.complete(ms(2), 2, 1, 1);
    assert!(!passes_for(&mut stage, ms(9_999), 3, 200, 13));
    assert_eq!(rejection(&stage, 3), Some(Rejection::Accounts));
    assert!(passes_for(&mut stage, ms(9_999), 4, 200, 1), "a name of one's own needs no room");
    assert!(passes_for(&mut stage, ms(10_000), 5, 200, 13), "the first is whole again");
    assert!(!passes_for(&mut stage, ms(10_000), 6, 200, 11), "and the second is not");
}

#[test]
fn what_a_reconfiguration_changes_holds_at_once_and_what_was_spent_stays_spent() {
    let mut spec = metered(&[1], LimitSpec::default(), &[tokens(1_000)]);
    spec.deployments[0].price = DEAR;
    let mut stage = Stage::new(&spec);
    assert!(passes(&mut stage, ms(0), 1, 500) && passes(&mut stage, ms(0), 2, 400));
    stage.complete(ms(1), 1, 1, 400);
    let mut revise = |stage: &mut Stage, at: Time, budget: BudgetSpec| {
        spec.subjects.iter_mut().for_each(|subject| subject.budgets = vec![budget]);
        let config = Arc::new(router_core::Config::new(&spec).expect("it is right"));
        stage.feed(at, Input::Reconfigure(config));
    };
    revise(&mut stage, ms(2), tokens(1_100));
    assert!(!passes(&mut stage, ms(2), 3, 201) && passes(&mut stage, ms(2), 4, 200));
    // Another window starts empty; what is in flight is reserved there as well.
    let usd = BudgetSpec::new(BudgetUnit::Usd, 10_000, Span::from_secs(600));
    revise(&mut stage, ms(3), usd);
    // 3,100 and 1,100 are reserved.
    assert!(!passes(&mut stage, ms(3), 5, 671) && passes(&mut stage, ms(3), 6, 670));
    assert_eq!(stage.dispatches().last().map(|(_, d)| d.deployment), Some(DeploymentId::at(0)));
}

/// The router goes on with a revision by `spec`.
fn revise(stage: &mut Stage, at: Time, spec: &Spec) {
    let config = stage.router.config().revise(spec).expect("it is right");
    stage.feed(at, Input::Reconfigure(Arc::new(config)));
}

#[test]
fn a_tenant_gets_a_budget_while_the_router_runs_and_is_held_to_it_from_then_on() {
    let (acme, globex, globex_before) = (1, 2, Kind::OTHERS);
    let mut spec = metered(&[1], LimitSpec::default(), &[tokens(10_000)]);
    let mut stage = Stage::new(&spec);
    assert!(passes_for(&mut stage, ms(0), 1, 4_000, acme));
    assert!(passes_for(&mut stage, ms(0), 2, 9_000, globex_before));
    let others = spec.subjects.len();
    let named = SubjectSpec::new("org".into(), Some("globex".to_owned()));
    spec.subjects.insert(0, SubjectSpec { budgets: vec![tokens(1_000)], ..named });
    revise(&mut stage, ms(1), &spec);
    let config = Arc::clone(stage.router.config());
    let number = |name| config.subject("org", name).map(|(_, number)| number);
    assert_eq!((number("acme"), number("globex")), (Some(acme), Some(globex)));
    // Nobody else notices, and what is in flight stays on the account it was made on.
    assert!(!passes_for(&mut stage, ms(2), 3, 6_001, acme));
    assert!(passes_for(&mut stage, ms(2), 4, 1_000, globex));
    assert!(!passes_for(&mut stage, ms(2), 5, 200, globex));
    assert!(!passes_for(&mut stage, ms(2), 6, 1_001, globex_before));
    stage.complete(ms(3), 2, 1, 0);
    assert!(passes_for(&mut stage, ms(4), 7, 9_900, globex_before));
    stage.complete(ms(5), 4, 1, 800);
    assert!(!passes_for(&mut stage, ms(6), 8, 200, globex), "900 are spent");
    // Without an entry it is like all others, under its own number; and it gets that back.
    spec.subjects.remove(0);
    assert_eq!(spec.subjects.len(), others);
    revise(&mut stage, ms(7), &spec);
    assert!(passes_for(&mut stage, ms(8), 9, 9_000, globex), "900 of 10,000 are spent");
    stage.complete(ms(9), 9, 1, 0);
    let named = SubjectSpec::new("org".into(), Some("globex".to_owned()));
    spec.subjects.push(SubjectSpec { budgets: vec![tokens(1_100)], ..named });
    revise(&mut stage, ms(10), &spec);
    assert_eq!(stage.router.config().subject("org", "globex"), Some((0, globex)));
    assert!(!passes_for(&mut stage, ms(11), 10, 101, globex), "1,000 are spent");
    assert!(passes_for(&mut stage, ms(60_000), 11, 1_100, globex));
}

#[test]
fn of_ten_thousand_names_that_come_and_go_a_router_keeps_the_numbers() {
    let spec = |from: usize| {
        let mut spec = spec(&[1]);
        spec.subjects = (from..from + 10_000)
            .map(|n| SubjectSpec::new("org".into(), Some(format!("o{n}"))))
            .collect();
        spec
    };
    let mut config = router_core::Config::new(&spec(0)).expect("it is right");
    for from in 1..7 {
        match config.revise(&spec(from * 10_000)) {
            Ok(next) => {
                assert!(config.fits(&next) && from < 6, "{from}");
                config = next;
            }
            Err(errors) => {
                let said: Vec<String> = errors.iter().map(ToString::to_string).collect();
                assert_eq!(from, 6);
                assert!(said[0].contains("65535") && said[0].contains("70000"), "{said:?}");
            }
        }
    }
    assert_eq!(config.subject("org", "o59999"), Some((0, 60_000)));
}

#[test]
fn a_restart_that_forgets_all_moves_no_period() {
    let spec = metered(&[1], LimitSpec::default(), &[tokens(1_000)]);
    let mut stage = Stage::new(&spec);
    assert!(passes(&mut stage, ms(0), 1, 1_000));
    stage.complete(ms(1), 1, 1, 900);
    stage.restart(ms(50_000), router_core::Restart::Empty);
    assert!(passes(&mut stage, ms(50_001), 2, 1_000), "it knows of nothing");
    stage.complete(ms(50_002), 2, 1, 900);
    // A file says nothing of when periods began; the router that runs goes on with what it knows.
    revise(&mut stage, ms(50_003), &spec);
    assert!(!passes(&mut stage, ms(59_999), 3, 1_000));
    assert!(passes(&mut stage, ms(60_000), 4, 1_000));
}
