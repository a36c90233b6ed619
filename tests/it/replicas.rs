//! Replicas that tell each other what subjects have used, step by step.

use router_core::{
    BudgetSpec, BudgetUnit, Consumption, Input, Kind, Level, LimitSpec, Observation, OnOutage,
    Outcome, PeersSpec, Rate, Rejection, Router, Seed, Span, Spec, SubjectSpec, Time,
};
use tests::stage::{Stage, ms, sent, spec};

const ACME: u32 = 1;
/// What a request of `org=acme` reserves and uses: a hundred tokens of prompt and of answer.
const TOKENS: u64 = 200;

/// `org=acme` may use so many tokens a minute, and each other organisation 60 requests a minute.
fn shared(replicas: u16, budget: u64, on_outage: OnOutage) -> Spec {
    let mut spec = spec(&[1]);
    let budget = BudgetSpec::new(BudgetUnit::Tokens, budget, Span::from_secs(60));
    let acme = SubjectSpec::new("org".into(), Some("acme".into()));
    spec.subjects.push(SubjectSpec { budgets: vec![budget], ..acme });
    let rate = Rate { amount: 60, period: Span::from_secs(60), burst: None };
    let limit = LimitSpec { requests: Some(rate), ..LimitSpec::default() };
    spec.subjects.push(SubjectSpec { limit, ..SubjectSpec::new("org".into(), None) });
    let stale = Span::from_secs(1);
    spec.router.peers = Some(PeersSpec { stale, on_outage, ..PeersSpec::new(replicas) });
    spec
}

struct Fleet {
    spec: Spec,
    stages: Vec<Stage>,
    names: Vec<u16>,
    /// What the store has been told last.
    store: Vec<Vec<Consumption>>,
    submitted: u64,
}

impl Fleet {
    fn new(spec: &Spec, count: u16) -> Self {
        Self {
            spec: spec.clone(),
            stages: (0..count).map(|_| Stage::new(spec)).collect(),
            names: (0..count).collect(),
            store: vec![Vec::new(); usize::from(count)],
            submitted: 0,
        }
    }

    /// Each tells all others what it has used.
    fn publish(&mut self, at: Time) {
        for from in 0..self.stages.len() {
            let replica = self.names[from];
            let news = self.stages[from].router.consumption(replica);
            let news: Vec<_> = news.chain([Consumption::Alive { replica }]).collect();
            self.store[from].clone_from(&news);
            for to in (0..self.stages.len()).filter(|to| *to != from) {
                for said in &news {
                    self.stages[to].feed(at, Input::Peers(*said));
                }
            }
        }
    }

    /// Its process ends, and another one begins under another name: it hears all that the store
    /// remembers, of its former self as well.
    fn restart(&mut self, place: usize, at: Time) {
        self.stages[place] = Stage::new(&self.spec);
        self.names[place] += 100;
        for said in self.store.iter().flatten() {
            self.stages[place].feed(at, Input::Peers(*said));
        }
    }

    /// Whether a request is let through there; it is answered at once.
    fn passes(&mut self, place: usize, at: Time, org: u32) -> bool {
        self.submitted += 1;
        let (n, stage) = (self.submitted, &mut self.stages[place]);
        let outputs = stage.submit_with(at, n, |request| {
            request.output_max = Some(100);
            request.subjects[0] = org;
        });
        let passes = sent(&outputs).is_some();
        if passes {
            stage.complete(at, n, 1, 100);
        }
        passes
    }

    /// Each of so many requests goes to the next replica; how many tokens are used in all.
    fn spends(&mut self, from: Time, requests: u64, told: bool) -> u64 {
        let mut spent = 0;
        for n in 0..requests {
            let at = from + Span::from_millis(n);
            let place = n as usize % self.stages.len();
            spent += TOKENS * u64::from(self.passes(place, at, ACME));
            if told {
                self.publish(at);
            }
        }
        spent
    }
}

#[test]
fn what_one_spends_of_a_budget_the_others_cannot_spend() {
    for (on_outage, told, untold) in [
        (OnOutage::Open, 10_000, 30_000),
        (OnOutage::Closed, 10_000, 30_000),
        (OnOutage::Share, 9_600, 9_600),
    ] {
        let spec = shared(3, 10_000, on_outage);
        let spent = |news| Fleet::new(&spec, 3).spends(ms(1), 300, news);
        assert_eq!((spent(true), spent(false)), (told, untold), "{}", on_outage.name());
    }
}

#[test]
fn a_period_ends_for_all_at_once_and_what_is_late_or_early_counts_where_it_belongs() {
    let mut fleet = Fleet::new(&shared(2, 2_000, OnOutage::Open), 2);
    assert_eq!(fleet.spends(ms(1), 40, true), 2_000);
    let late: Vec<Consumption> = fleet.stages[0].router.consumption(0).collect();
    assert!(!fleet.passes(1, ms(59_999), ACME));
    // Word of the period that is over changes nothing in the next, and may come twice.
    let mut next = Fleet { submitted: 500, ..fleet };
    late.iter().for_each(|said| drop(next.stages[1].feed(ms(60_000), Input::Peers(*said))));
    assert_eq!(next.spends(ms(60_000), 40, true), 2_000);
    // Word of one that has not begun here counts when it does.
    let spent = |period| {
        let (replica, kind, subject, budget) = (7, 0, ACME, 0);
        Input::Peers(Consumption::Spent { replica, kind, subject, budget, period, spent: 1_900 })
    };
    next.stages[0].feed(ms(119_000), spent(2));
    assert!(!next.passes(0, ms(120_000), ACME));
    next.stages[0].feed(ms(120_000), spent(4));
    assert!(next.passes(0, ms(240_000), ACME), "of what is two periods ahead nothing is believed");
}

#[test]
fn a_rate_binds_what_all_replicas_send_for_somebody_without_a_name() {
    let globex = Kind::OTHERS + 7;
    let mut fleet = Fleet::new(&shared(3, 2_000, OnOutage::Open), 3);
    let mut passed = 0;
    for n in 0..120 {
        passed += u64::from(fleet.passes(n % 3, ms(1), globex));
        fleet.publish(ms(1));
    }
    assert_eq!(passed, 60);
    // Whoever hears of it for the first time takes it for what is recent: a burst, and no more.
    fleet.stages.push(Stage::new(&fleet.spec));
    fleet.names.push(9);
    fleet.store.push(Vec::new());
    fleet.publish(ms(1));
    assert!(!fleet.passes(3, ms(1), globex));
    assert!(fleet.passes(3, ms(1_001), globex));
}

#[test]
fn one_of_four_that_restarts_in_mid_period_overspends_nothing() {
    let restore = |stage: &mut Stage| {
        let (text, config) = (stage.router.snapshot(), stage.router.config().clone());
        let seed = Seed::from_u64(7);
        stage.router = Router::restore(config, seed, &text).expect("just written");
    };
    for on_outage in [OnOutage::Closed, OnOutage::Share] {
        let spec = shared(4, 40_000, on_outage);
        let mut fleet = Fleet::new(&spec, 4);
        fleet.publish(ms(0));
        let before = fleet.spends(ms(1), 120, true);
        assert_eq!(before, 24_000);
        match on_outage {
            OnOutage::Closed => fleet.restart(2, ms(30_000)),
            OnOutage::Share | OnOutage::Open => restore(&mut fleet.stages[2]),
        }
        fleet.publish(ms(30_000));
        let after = fleet.spends(ms(30_001), 400, true);
        assert_eq!(before + after, 40_000, "{}", on_outage.name());
        assert_eq!(fleet.spends(ms(60_000), 400, true), 40_000, "{}", on_outage.name());
    }
}

#[test]
fn who_hears_nothing_spends_nothing_that_is_shared_if_it_closes() {
    let spec = shared(3, 10_000, OnOutage::Closed);
    let refusal = |org: u32| {
        let mut fleet = Fleet::new(&spec, 3);
        assert!(fleet.passes(0, ms(999), org));
        assert!(!fleet.passes(0, ms(1_000), org));
        let refusal = fleet.stages[0].outcome(2).map(|(_, outcome)| outcome);
        fleet.publish(ms(1_001));
        assert!(fleet.passes(0, ms(1_001), org));
        refusal
    };
    let (kind, earliest) = (0, None);
    let what = router_core::Measure::Requests;
    let rate = Outcome::Reject(Rejection::Subject { kind, what, earliest });
    assert_eq!(refusal(Kind::OTHERS), Some(rate));
    assert_eq!(refusal(ACME), Some(Outcome::Reject(Rejection::Budget { kind, earliest })));
}

#[test]
fn whoever_hears_that_a_budget_is_used_up_tells_it() {
    let mut fleet = Fleet::new(&shared(2, 2_000, OnOutage::Open), 2);
    (0..8).for_each(|n| assert!(fleet.passes(0, ms(n), ACME)));
    fleet.publish(ms(9));
    let told = |stage: &Stage| -> Vec<(Level, u64)> {
        let levels = stage.observations().filter_map(|observation| {
            let Observation::Budget { level, spent, .. } = observation else { return None };
            Some((level, spent))
        });
        levels.collect()
    };
    assert_eq!(told(&fleet.stages[1]), [(Level::Soft, 1_600)]);
    assert_eq!(told(&fleet.stages[0]), told(&fleet.stages[1]));
}
