//! Money by whom it was spent, against books kept on the side.

use std::sync::Arc;

use router_core::{
    Abandon, AttemptId, BudgetSpec, Call, CallEnd, Cause, DeploymentId, Dispatch, End, Failure,
    FailureKind, GroupId, Journal, Kind, LimitSpec, Observation, Outcome, Output, Price, Rate,
    Span, Spec, SubjectSpec,
};

use super::*;
use crate::spend::Who;
use crate::{Figures, LARGEST, Names, sample, spending};

const IN: u64 = 150_000;
const CACHED: u64 = 75_000;
const OUT: u64 = 600_000;

fn names(name: &str, names: &[&str], own: usize) -> Names {
    let names: Vec<String> = names.iter().map(|&n| n.to_owned()).collect();
    let others = (own as u32 + 1..=names.len() as u32).collect();
    Names { name: name.to_owned(), names, own, others }
}

/// Organisations, of which `acme` has an entry and a limit, `globex` has a name and `*` a budget;
/// users without names; two tiers.
fn payers() -> Payers {
    Payers {
        kinds: vec![names("org", &["acme", "globex"], 1), names("user", &[], 0)],
        properties: vec![names("tier", &["free", "paid, \"gold\" & <größer>"], 2)],
    }
}

/// The number of an organisation in that order, from 1; zero is none.
const fn org(place: u32) -> u32 {
    if place < 2 { place } else { Kind::OTHERS + place - 2 }
}

/// The number of a user.
const fn user(place: u32) -> u32 {
    if place == 0 { 0 } else { Kind::OTHERS + place - 1 }
}

fn config() -> Config {
    let price = Price { input: IN, cached: CACHED, output: OUT };
    let mut spec = Spec::default();
    for name in ["a", "b"] {
        let deployment = router_core::DeploymentSpec::new(name.to_owned());
        spec.deployments.push(router_core::DeploymentSpec { price, ..deployment });
    }
    let mut group = router_core::GroupSpec::new("chat".to_owned());
    for (deployment, weight) in [("a", 1), ("b", 1)] {
        let deployment = deployment.to_owned();
        group.members.push(router_core::MemberSpec { deployment, weight, tier: 0 });
    }
    spec.groups.push(group);
    let org = |name: Option<&str>| SubjectSpec::new("org".to_owned(), name.map(str::to_owned));
    let rate = Rate { amount: 30, period: Span::from_secs(60), burst: None };
    let limit = LimitSpec { requests: Some(rate), ..LimitSpec::default() };
    spec.subjects.push(SubjectSpec { limit, ..org(Some("acme")) });
    let budget = BudgetSpec::new(BudgetUnit::Usd, 20_000_000_000, Span::from_secs(120));
    spec.subjects.push(SubjectSpec { budgets: vec![budget], ..org(None) });
    spec.subjects.push(SubjectSpec::new("user".to_owned(), None));
    Config::new(&spec).expect("it holds")
}

/// A router of this configuration, told to a fold, and books.
struct Run {
    router: router_core::Router,
    fold: Fold,
    now: Time,
    dispatched: Vec<Dispatch>,
    refused: u64,
}

impl Run {
    fn new() -> Self {
        let config = Arc::new(config());
        let frame = Frame { payers: payers(), ..sample::frame() };
        let seed = router_core::Seed::from_u64(5);
        Self {
            router: router_core::Router::new(Arc::clone(&config), seed, Time::ZERO),
            fold: Fold::new(config, frame),
            now: Time::ZERO,
            dispatched: Vec::new(),
            refused: 0,
        }
    }

    fn feed(&mut self, input: Input) {
        use router_core::Brain;
        self.fold.input(self.now, &input);
        for output in self.router.handle(self.now, input) {
            self.fold.output(self.now, &output);
            match output {
                Output::Dispatch(dispatch) => self.dispatched.push(dispatch),
                Output::Finish(_, Outcome::Reject(_)) => self.refused += 1,
                Output::Finish(..)
                | Output::Abandon(..)
                | Output::Commit(_)
                | Output::Observe(_) => {}
            }
        }
    }

    /// A call of so many tokens that is answered, or refused, at once.
    fn call(&mut self, n: u64, subjects: [u32; 4], tier: u16, usage: Usage) {
        let id = RequestId::new(0, n, 0);
        let before = self.refused;
        let mut request = Request::new(id, GroupId::at(0), usage.input_tokens);
        (request.subjects, request.properties[0]) = (subjects, tier);
        request.output_max = Some(usage.output_tokens + 10);
        self.feed(Input::Submit(request));
        let answered = self.refused == before;
        if answered {
            let attempt = self.dispatched[self.dispatched.len() - 1].attempt;
            self.feed(Input::Upstream(attempt, Upstream::Complete(usage)));
        }
        self.over(n, if answered { CallEnd::Answered(usage) } else { CallEnd::Failed(429) });
    }

    fn over(&mut self, n: u64, end: CallEnd) {
        let (now, properties) = (self.now, [0; 4]);
        let call = Call {
            id: RequestId::new(0, n, 0),
            group: GroupId::at(0),
            properties,
            arrived: now,
            first_token: None,
            ended: now,
            end,
            tries: 1,
            attempts: 1,
            client_wait: Span::ZERO,
            unseen: false,
        };
        self.fold.call(now, &call);
    }

    fn finish(self) -> Figures {
        self.fold.finish(Time::from_secs(600))
    }
}

const fn usage(input_tokens: u32, cached_tokens: u32, output_tokens: u32) -> Usage {
    Usage { input_tokens, cached_tokens, output_tokens }
}

/// Two minutes and more of calls of four organisations, nobody among them, and many users.
fn busy() -> (Run, u128, u64) {
    let (mut run, mut pico, mut dice) = (Run::new(), 0_u128, 7_u64);
    for n in 0..2_000 {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        run.now = Time::ZERO + Span::from_millis(100 * n);
        let pick = |shift: u32, below: u64| (dice >> shift) % below;
        let subjects = [org(pick(60, 5) as u32), user(pick(50, 400) as u32), 0, 0];
        let (input, output) = (100 + pick(30, 900), pick(20, 300));
        let cached = pick(10, 100);
        let answered = run.refused;
        let usage = usage(input as u32, cached as u32, output as u32);
        run.call(n, subjects, pick(40, 3) as u16, usage);
        if run.refused == answered {
            pico += u128::from((input - cached) * IN + cached * CACHED + output * OUT);
        }
    }
    let refused = run.refused;
    (run, pico, refused)
}

#[test]
fn money_is_the_same_sum_by_whomever_it_was_spent() {
    let (run, pico, refused) = busy();
    let figures = run.finish();
    let total = spending::total(&figures.whole);
    assert_eq!((total.cost_pico, total.estimated_pico), (pico, 0));
    assert_eq!((total.calls, total.submissions), (2_000, 2_000));
    assert_eq!((total.calls - total.answered, total.refused.iter().sum()), (refused, refused));
    assert!(total.refused.iter().all(|n| *n > 50), "{:?}", total.refused);
    assert_eq!(figures.payers().count(), 3);
    for part in figures.phases.iter().chain([&figures.whole]) {
        for (place, names) in figures.payers() {
            for most in [0, 1, 3, LARGEST, 1_000] {
                let mut sum = Purse::default();
                for row in figures.spenders(part, place, most) {
                    sum.merge(&row.purse);
                }
                let mut total = spending::total(part);
                if names.name == "user" {
                    // No user refused anything.
                    total.refused = [0, 0];
                }
                assert_eq!(sum, total, "{} {most}", names.name);
            }
        }
    }
}

#[test]
fn beyond_the_largest_all_others_are_one_row() {
    let (run, ..) = busy();
    let figures = run.finish();
    let rows = figures.spenders(&figures.whole, 1, LARGEST);
    assert_eq!(rows.len(), LARGEST + 2);
    let costs: Vec<u128> = rows[..LARGEST].iter().map(|row| row.purse.cost_pico).collect();
    assert!(costs.is_sorted_by(|a, b| a >= b));
    let called = figures.crowds[1].count;
    assert!((350..400).contains(&called), "{called} of 399 users called");
    assert_eq!(rows[LARGEST].who, Who::Others(called - LARGEST as u64));
    assert_eq!(rows[LARGEST + 1].who, Who::None);
    assert_eq!(figures.crowds[1].largest.len(), LARGEST);
    let payers = &figures.frame.payers;
    let purse = |name| figures.whole.purse(payers, 0, name).map(|purse| purse.calls);
    let by_name = |row: &crate::spend::Row| match &row.who {
        Who::One(name) => (name.clone(), row.purse.calls),
        Who::Others(_) | Who::None => (String::new(), 0),
    };
    let rows: BTreeMap<String, u64> =
        figures.spenders(&figures.whole, 0, 10).iter().map(by_name).collect();
    assert_eq!((purse("acme"), purse("globex")), (Some(rows["acme"]), Some(rows["globex"])));
    assert_eq!(purse("*"), Some(rows["globex"] + rows["#1"] + rows["#2"]), "all but acme");
    assert_eq!(purse("initech"), None);
}

#[test]
fn what_no_provider_told_is_an_estimate_until_one_tells() {
    let mut run = Run::new();
    let id = |n| RequestId::new(0, n, 0);
    let submit = |n| {
        Input::Submit(Request {
            subjects: [org(2), 0, 0, 0],
            ..Request::new(id(n), GroupId::at(0), 1_000)
        })
    };
    run.feed(submit(1));
    run.feed(Input::Cancel(id(1)));
    run.over(1, CallEnd::Left);
    // The second fails and says what it used, and no other attempt is made of a bad request.
    run.feed(submit(2));
    let attempt = run.dispatched[1].attempt;
    let failure = Failure::new(FailureKind::BadRequest, 400);
    let failure = Failure { usage: Some(usage(700, 0, 0)), ..failure };
    run.feed(Input::Upstream(attempt, Upstream::Fail(failure)));
    run.over(2, CallEnd::Failed(400));
    let so_far = run.fold.clone().finish(Time::from_secs(600));
    let total = spending::total(&so_far.whole);
    let seen = u128::from(1_000 * IN);
    assert_eq!((total.cost_pico, total.estimated_pico), (seen + u128::from(700 * IN), seen));
    // A minute later, in another phase, the first is told of after all; a second time changes
    // nothing.
    run.now = Time::from_secs(125);
    for _ in 0..2 {
        let attempt = run.dispatched[0].attempt;
        run.feed(Input::Upstream(attempt, Upstream::Complete(usage(1_000, 200, 50))));
    }
    let figures = run.finish();
    let total = spending::total(&figures.whole);
    let told = u128::from(800 * IN + 200 * CACHED + 50 * OUT) + u128::from(700 * IN);
    assert_eq!((total.cost_pico, total.estimated_pico), (told, 0));
    assert_eq!((total.output_tokens, total.cached_tokens), (50, 200));
    assert_eq!(figures.whole.calls.cost_pico, told);
    let globex = figures.whole.purse(&figures.frame.payers, 0, "globex").expect("it has a name");
    assert_eq!((globex.cost_pico, globex.estimated_pico, globex.attempts), (told, 0, 2));
    let bins: u128 =
        figures.bins.iter().flat_map(|bin| &bin.deployments).map(|d| d.cost_pico).sum();
    assert_eq!((bins, figures.late), (told, 2));
    let spike = spending::total(&figures.phases[1]);
    assert!(spike.is_empty(), "it is charged when the attempt ended");
    // What was followed is the budget of all but acme.
    let track = &figures.budgets.tracks[0];
    let then = seen as u64 + 700 * IN;
    assert_eq!((track.kind, track.number, track.spent[0]), (0, 2, Some(then)));
    // 200 cached for less, and 50 more: 15 m$ more, in the period in which it is told.
    assert_eq!(track.spent[12], Some(50 * OUT - 200 * (IN - CACHED)));
}

#[test]
fn a_budget_is_followed_from_period_to_period() {
    let mut run = Run::new();
    // 9 m$ each; of 20 m$ the third call of a period has too little left.
    let dear = usage(20_000, 0, 10_000);
    for (n, at) in [0, 10, 20, 119, 120, 130].into_iter().enumerate() {
        run.now = Time::from_secs(at);
        run.call(n as u64, [org(2), 0, 0, 0], 0, dear);
    }
    let figures = run.finish();
    let spent: Vec<Option<u64>> = figures.budgets.tracks[0].spent[..14].to_vec();
    let m = |n: u64| Some(n * 1_000_000_000);
    let mut wanted = vec![None; 14];
    (wanted[0], wanted[1], wanted[12], wanted[13]) = (m(9), m(18), m(9), m(18));
    assert_eq!(spent, wanted);
    let soft = figures.budgets.news.iter().filter(|news| news.level == Level::Soft);
    let soft: Vec<(Time, u64)> = soft.map(|news| (news.at, news.spent)).collect();
    assert_eq!(soft, [10, 130].map(|at| (Time::from_secs(at), 18_000_000_000)));
    assert_eq!(figures.budgets.times[1], 1, "it refused somebody in the first period");
}

#[test]
fn without_subjects_and_labels_nothing_is_told_apart() {
    let mut run = Run::new();
    for n in 0..10 {
        run.call(n, [0; 4], 0, usage(10, 0, 10));
    }
    let figures = run.finish();
    assert_eq!(figures.payers().count(), 0);
    assert!(spending::spenders(&figures).is_empty());
    let csv = spending::spend_csv(&figures);
    assert!(!csv.contains("subject") && !csv.contains("property"), "{csv}");
    // Nor is anything kept of a call that is over.
    let mut run = Run::new();
    run.call(1, [org(1), user(7), 0, 0], 2, usage(10, 0, 10));
    assert!(run.fold.ledger.open.is_empty());
}

#[test]
fn labels_of_any_form_are_written_as_they_are() {
    let mut run = Run::new();
    run.call(1, [1, 0, 0, 0], 2, usage(10, 0, 10));
    run.call(2, [1, 0, 0, 0], 1, usage(10, 0, 10));
    let figures = run.finish();
    let csv = spending::spend_csv(&figures);
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    let label = "paid, \"gold\" & <größer>";
    let of_label = rows.iter().find(|row| &row[3] == label).expect("it has a row");
    assert_eq!((&of_label[1], &of_label[2], &of_label[4]), ("property", "tier", "1"));
    let shown = crate::summary::summary(&crate::tests::report(&figures, &[]), false);
    assert!(shown.contains(&format!("tier={label} ")), "{shown}");
    let html = crate::tests::report(&figures, &[]).html();
    assert!(html.contains("tier=paid, &quot;gold&quot; &amp; &lt;größer&gt;"));
}

#[test]
fn the_rows_of_the_file_add_up_to_its_first() {
    let (run, ..) = busy();
    let figures = run.finish();
    let csv = spending::spend_csv(&figures);
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    // Twelve decimals, so that they are exact.
    let number = |cell: &str| cell.replace('.', "").parse::<u128>().unwrap_or(0);
    for phase in ["whole", "normal", "spike"] {
        let of = |by: &str, name: &str| -> Vec<u128> {
            let own = rows.iter().filter(|r| &r[0] == phase && &r[1] == by && &r[2] == name);
            let sum = |column: usize| own.clone().map(|row| number(&row[column])).sum();
            [5, 6, 7, 10, 11, 12, 13, 14, 15].map(sum).to_vec()
        };
        let total = of("total", "");
        assert!(phase == "spike" || total.iter().take(8).all(|sum| *sum > 0), "{total:?}");
        for (by, name) in [("subject", "org"), ("subject", "user"), ("property", "tier")] {
            assert_eq!(of(by, name), total, "{phase} {name}");
        }
        let deployments = of("deployment", "");
        assert_eq!((deployments[1], &deployments[3..]), (total[1], &total[3..]), "{phase}");
    }
    let dollars = crate::words::dollars(number(&rows[0][14]));
    let shown = crate::summary::summary(&crate::tests::report(&figures, &[]), false);
    assert!(shown.contains(&format!("\ncost             {dollars},")), "{shown}");
}

#[test]
fn an_attempt_that_its_hedge_outran_is_corrected_there_too() {
    let mut told = Fold::new(Arc::new(config()), Frame { payers: payers(), ..sample::frame() });
    let (id, group) = (RequestId::new(0, 1, 0), GroupId::at(0));
    told.input(Time::ZERO, &Input::Submit(Request::new(id, group, 10)));
    let attempt = |ordinal| AttemptId { request: id, ordinal };
    for (ordinal, cause) in [(1, Cause::Primary), (2, Cause::Hedge)] {
        let deployment = DeploymentId::at(usize::from(ordinal) - 1);
        let (connect, heartbeat) = (Span::from_secs(5), Span::from_secs(5));
        let dispatch = Dispatch {
            attempt: attempt(ordinal),
            group,
            deployment,
            key: 0,
            cause,
            connect,
            heartbeat,
        };
        told.output(Time::ZERO, &Output::Dispatch(dispatch));
    }
    told.output(
        Time::ZERO,
        &Output::Observe(Observation::Ended {
            attempt: attempt(1),
            group,
            deployment: DeploymentId::at(0),
            end: End::Abandoned(Abandon::Hedged),
            first_token: None,
            elapsed: Span::ZERO,
            usage: usage(10, 0, 0),
        }),
    );
    told.input(Time::ZERO, &Input::Upstream(attempt(1), Upstream::Complete(usage(10, 0, 100))));
    let late = Observation::Late { attempt: attempt(1), corrected: true };
    told.output(Time::ZERO, &Output::Observe(late));
    let whole = told.finish(Time::from_secs(600)).whole;
    let outrun = whole.memberships[0].outrun;
    let pico = u128::from(10 * IN + 100 * OUT);
    assert_eq!((outrun.attempts, outrun.output_tokens, outrun.cost_pico), (1, 100, pico));
    assert_eq!((whole.memberships[0].cost_pico, whole.deployments[0].cost_pico), (pico, pico));
}

/// A metric as expectations name it, and why it would fail.
fn asked(figures: &Figures, text: &str) -> (f64, Option<String>) {
    let expectation = crate::Expectation::parse(text).expect("it is one");
    assert_eq!(expectation.unknown_payer(text, &figures.frame.payers), None);
    let measured = expectation.judge(figures).measured.expect("there is data");
    (measured, crate::blame::why(figures, &expectation))
}

#[test]
fn what_is_asked_of_a_subject_or_label_is_what_its_purse_says() {
    let (run, ..) = busy();
    let figures = run.finish();
    let purse = |place, name| figures.whole.purse(&figures.frame.payers, place, name).unwrap();
    let usd = |pico: u128| pico as f64 / 1e12;
    let (acme, free) = (purse(0, "acme"), purse(2, "free"));
    let near = |a: f64, b: f64| assert!((a - b).abs() <= b.abs() * 1e-12, "{a} {b}");
    near(asked(&figures, "cost.total {org=acme} < 1 USD").0, usd(acme.cost_pico));
    let total = spending::total(&figures.whole);
    near(asked(&figures, "cost.total < 1 USD").0, usd(total.cost_pico));
    near(asked(&figures, "cost.total {group=chat} < 1 USD").0, usd(total.cost_pico));
    let shares = ["cost.share {org=acme} < 1 %", "cost.share {org=*} < 1 %"];
    let shares: f64 = shares.map(|text| asked(&figures, text).0).iter().sum();
    let nobody = figures.whole.purses[0].cost_pico as f64 / total.cost_pico as f64;
    near(shares + nobody, 1.0);
    let shares = ["cost.share {deployment=a} < 1 %", "cost.share {deployment=b} < 1 %"];
    near(shares.map(|text| asked(&figures, text).0).iter().sum(), 1.0);
    let success = free.answered as f64 / free.calls as f64;
    near(asked(&figures, "success.rate {tier=free} > 1 %").0, success);
    near(asked(&figures, "cost.per_1k {tier=free} < 1 USD").0, {
        usd(free.cost_pico) * 1_000.0 / free.answered as f64
    });
    let refused = acme.refused[0] as f64 / acme.submissions as f64;
    let (share, why) = asked(&figures, "refused.share {org=acme} < 1 %");
    near(share, refused);
    assert_eq!(why, Some(format!("{} tries refused over a limit", acme.refused[0])));
    assert_eq!(asked(&figures, "cost.estimated {org=acme} < 1 %").0, 0.0);
    // Of phases, too.
    let spike = figures.phases[1].purse(&figures.frame.payers, 0, "globex").unwrap();
    let (cost, _) = asked(&figures, "cost.total {org=globex, during=spike} < 1 USD");
    near(cost, usd(spike.cost_pico));
    assert!(spike.cost_pico > 0 && spike.cost_pico < purse(0, "globex").cost_pico);
    let (_, why) = asked(&figures, "cost.total < 1 USD");
    let why = why.expect("somebody spent most");
    assert!(why.contains(" % of it went to tier="), "{why}");
    let (_, why) = asked(&figures, "refused.share < 1 %");
    let why = why.expect("somebody was refused");
    assert!(why.starts_with("of org=") && why.contains("refused over a"), "{why}");
}

#[test]
fn who_is_unknown_is_asked_for_with_the_nearest_that_is_not() {
    let said = |text: &str| {
        let expectation = crate::Expectation::parse(text).expect("it is one");
        let mistake = expectation.unknown_payer(text, &payers()).expect("it is unknown");
        (text[mistake.at].to_owned(), mistake.message, mistake.hint.unwrap_or_default())
    };
    let (at, message, hint) = said("cost.total {during=spike, org=acne} < 1 USD");
    assert_eq!((at.as_str(), hint.as_str()), ("acne", "did you mean `acme`?"));
    assert_eq!(message, "no subject of `org` is called `acne`");
    let (at, message, hint) = said("cost.total {ogr=acme} < 1 USD");
    assert_eq!((at.as_str(), hint.as_str()), ("ogr", "did you mean `org`?"));
    assert_eq!(message, "no kind of subject and no property is called `ogr`");
    assert_eq!(said("success.rate {gruop=chat} > 1 %").2, "did you mean `group`?");
    assert_eq!(said("cost.total {tier=silver} < 1 USD").1, "no label of `tier` is called `silver`");
    assert!(said("cost.total {user=7} < 1 USD").2.contains("`user=*` is all of them"));
    assert_eq!(said("cost.total {tier=*} < 1 USD").0, "*", "labels have no entries");
}

#[test]
fn who_gets_an_entry_on_the_way_is_one_subject() {
    let mut names = names("org", &["acme", "globex", "initech"], 2);
    // `globex` gets an entry on the way: it was the first of the others before.
    names.others = vec![2, 3];
    let places =
        [0, 1, 2, Kind::OTHERS, Kind::OTHERS + 1, Kind::OTHERS + 2].map(|n| names.place(n));
    assert_eq!(places, [0, 1, 2, 2, 3, 4]);
    assert_eq!(names.of(4), "#1");
}
