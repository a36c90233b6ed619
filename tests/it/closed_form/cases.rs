//! What is measured of which file, and what it must be.

use router_core::{Cause, Span, Turn};

use super::run::Part;
use super::{theory, two_choices};

/// A file and what is measured of it.
pub(super) struct Case {
    /// The scenario, without its folder.
    pub(super) file: &'static str,
    /// Whether it takes too long to be run each time.
    pub(super) on_demand: bool,
    /// What is not looked at, at the beginning and the end of each part.
    pub(super) skip: Span,
    /// What is measured.
    pub(super) rows: Vec<Row>,
}

/// One measured value.
pub(super) struct Row {
    /// What it is.
    pub(super) what: &'static str,
    /// Where the exact value comes from.
    pub(super) formula: &'static str,
    /// How people read it.
    pub(super) unit: Unit,
    /// What it must be.
    pub(super) exact: f64,
    /// What it is in a part.
    pub(super) measure: fn(&Part) -> f64,
    /// The most that the half-width of the 99.9 % interval may be, as a share of the value.
    pub(super) most: f64,
    /// By what share of it the model itself may be off.
    pub(super) bias: f64,
}

/// How a value is written.
#[derive(Clone, Copy)]
pub(super) enum Unit {
    Number,
    Millis,
    Percent,
    /// A share so small that nothing of it can be seen.
    Never,
}

/// Every case.
pub(super) fn all() -> Vec<Case> {
    [queues(), limits(), waits(), retries(), hedges(), cooldowns(), breakers(), trips()]
        .into_iter()
        .flatten()
        .collect()
}

fn queues() -> Vec<Case> {
    let mm10 = 100.0 * (1.0 + theory::erlang_c(10, 8.0) / (10.0 - 8.0));
    let blocked = theory::erlang_b(10, 8.0);
    vec![
        case("mm1", 0)
            .shows("M/M/1 at 0.8: mean time in the system", "`1 / (mu - lambda)`")
            .millis(500.0, mean_total_ms),
        case("mm10", 0)
            .shows(
                "M/M/10 at 0.8: mean time in the system",
                "`1 / mu + C / (10 mu - lambda)`, Erlang C",
            )
            .millis(mm10, mean_total_ms),
        case("erlang-b", 0)
            .shows("10 servers, 8 Erlangs, no queue: refused", "Erlang B")
            .percent(blocked, lost),
        case("two-choices", 100)
            .shows(
                "10 queues at 0.9, the less busy of two: mean time in the system",
                "Markov chain",
            )
            .millis(100.0 * two_choices::mean_time(9.0), steady_total_ms),
    ]
}

fn limits() -> Vec<Case> {
    let shares = [(0.4, 1.2), (0.35, 1.05), (0.25, 0.75)];
    let rates = shares.into_iter().map(|(share, load)| share * theory::md1_loss(load, 10)).sum();
    let shares = [(0.6, 9.6), (0.4, 6.4)];
    let places = shares.into_iter().map(|(share, load)| share * theory::erlang_b(10, load)).sum();
    vec![
        case("token-bucket", 0)
            .shows("token bucket at 1.2 of its rate: refused", "loss of M/D/1/10")
            .percent(theory::md1_loss(1.2, 10), lost),
        case("fixed-window", 0)
            .shows("fixed window at 0.8 of its rate: refused", "`E[(N - 10)+] / 8`")
            .percent(theory::beyond_window(8.0, 10), lost),
        case("subject-rates", 0)
            .shows(
                "a rate for each of three subjects, at 1.2, 1.05 and 0.75 of it: refused",
                "loss of M/D/1/10, by share of the calls",
            )
            .percent(rates, lost),
        case("subject-places", 0)
            .shows(
                "ten places for each of two subjects, 9.6 and 6.4 Erlangs: refused",
                "Erlang B, by share of the calls",
            )
            .percent(places, lost),
    ]
}

fn waits() -> Vec<Case> {
    let (refused, wait) = theory::full_queue(10, 10, 10.0);
    vec![
        case("queue-full", 0)
            .shows(
                "10 servers and 10 places in the router's queue, 10 Erlangs: refused",
                "M/M/10/20",
            )
            .percent(refused, lost)
            .shows("the same: mean time in the system of the others", "M/M/10/20")
            .millis(100.0 * (1.0 + wait), mean_total_ms),
        case("queue-classes", 0)
            .shows(
                "M/M/1 at 0.6, a third urgent: mean wait of the urgent",
                "Cobham: `R / (1 - 0.2)`",
            )
            .millis(75.0, |part| mean_wait_ms(part, 0))
            .shows("the same: of the others", "Cobham: `R / ((1 - 0.2) (1 - 0.6))`")
            .millis(187.5, |part| mean_wait_ms(part, 1)),
    ]
}

fn retries() -> Vec<Case> {
    let fixed_point = |file, demand: f64, capacity: f64, [attempts, answered]: [_; 2]| {
        let exact = theory::retry_fixed_point(demand, capacity) / demand;
        case(file, 400)
            .shows(attempts, "`X = demand (1 + p + p^2)`, `p = 1 - C / X`")
            .number(exact, |part| ratio(part.steady().attempts, part.steady().ended))
            .biased(0.003)
            .shows(answered, "`C / demand`")
            .percent(capacity / demand, |part| ratio(part.steady().answered, part.steady().ended))
    };
    let each =
        |part: &Part| ratio(part.figures.whole.calls.attempts, part.figures.whole.calls.ended);
    vec![
        case("attempts", 0)
            .shows("attempts per call, each failing with 0.3", "`(1 - p^3) / (1 - p)`")
            .number(1.39, each)
            .shows("calls never answered, the same", "`p^3`")
            .percent(0.027, lost),
        fixed_point(
            "retries-150",
            150.0,
            100.0,
            ["150 calls for 100 places, three attempts: attempts per call", "the same: answered"],
        ),
        fixed_point(
            "retries-100",
            100.0,
            80.0,
            ["100 calls for 80 places: attempts per call", "the same: answered"],
        ),
        fixed_point(
            "retries-1010",
            1010.0,
            1000.0,
            ["1010 calls for 1000 places: attempts per call", "the same: answered"],
        )
        .on_demand(),
    ]
}

fn hedges() -> Vec<Case> {
    let tail = "`S(t) S(t - d)`, S lognormal";
    let median = 100.0;
    let hedges = |part: &Part| {
        let sent = part.figures.whole.memberships.iter().map(|m| m.causes[Cause::Hedge as usize]);
        ratio(sent.sum(), part.figures.whole.calls.ended)
    };
    vec![
        case("hedging", 0)
            .shows("second attempt at p95 of a lognormal time: p99", tail)
            .millis(median * theory::hedged_quantile(0.01), |part| part.quantile_ms(0.99))
            .shows("the same: p99.9", tail)
            .millis(median * theory::hedged_quantile(0.001), |part| part.quantile_ms(0.999))
            .shows("the same: second attempts per call", "`1 - 0.95`")
            .percent(0.05, hedges),
    ]
}

fn cooldowns() -> Vec<Case> {
    let formula = "Erlang B(6, rate p rest)";
    let nobody = |part: &Part| ratio(part.steady().rejected, part.steady().ended);
    vec![
        case("cooldown", 60)
            .shows("6 deployments, any failure rests 5 s, 100/s, 1 % fail: nobody left", formula)
            .percent(theory::erlang_b(6, 100.0 * 0.01 * 5.0), nobody)
            .within(0.035),
        case("cooldown-rare", 60)
            .shows("the same, 0.5 % fail", formula)
            .percent(theory::erlang_b(6, 100.0 * 0.005 * 5.0), nobody)
            .within(0.03)
            .on_demand(),
    ]
}

fn breakers() -> Vec<Case> {
    let renewal = |file, p, most, [closed, through]: [_; 2]| {
        case(file, 500)
            .shows(closed, "renewal: `(1 - p^5) / ((1 - p) p^5)` calls, then 30.1 s `/ (1 - p)`")
            .percent(theory::breaker(p).0, closed_share)
            .within(most)
            .shows(through, "the same")
            .percent(theory::breaker(p).1, |part| {
                let calls = part.steady();
                1.0 - ratio(calls.rejected, calls.ended)
            })
            .within(most)
    };
    vec![
        renewal(
            "breaker-30",
            0.3,
            0.011,
            [
                "breaker after 5 failures in a row, 30 % fail: time closed",
                "the same: calls let through",
            ],
        ),
        renewal(
            "breaker-50",
            0.5,
            0.03,
            ["the same, 50 % fail: time closed", "the same: calls let through"],
        ),
    ]
}

fn trips() -> Vec<Case> {
    let formula = "scan statistic, by its Markov chain";
    let scan = |window, failed, p| 1.0 / theory::calls_until_scan(window, failed, p);
    vec![
        case("trips-5", 0)
            .shows("breaker at 20 % of 10 calls, 5 % fail: openings per call heard", formula)
            .percent(scan(10, 2, 0.05), openings),
        case("trips-30", 0)
            .shows("breaker at 50 % of 20 calls, 30 % fail: openings per call heard", formula)
            .percent(scan(20, 10, 0.3), openings)
            .within(0.02),
        case("trips-1", 0)
            .shows("breaker at 50 % of 20 calls, 1 % fail: openings per call heard", formula)
            .never(scan(20, 10, 0.01), openings),
    ]
}

fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}

fn mean_total_ms(part: &Part) -> f64 {
    let total = &part.figures.whole.calls.total;
    total.sum_ns() as f64 / total.count() as f64 / 1e6
}

/// Of all of a class, those who did not wait included.
fn mean_wait_ms(part: &Part, class: u8) -> f64 {
    let class = part.figures.whole.calls.in_class(Some(class));
    class.wait.sum_ns() as f64 / class.submissions as f64 / 1e6
}

fn steady_total_ms(part: &Part) -> f64 {
    let total = &part.steady().total;
    total.sum_ns() as f64 / total.count() as f64 / 1e6
}

fn lost(part: &Part) -> f64 {
    ratio(part.figures.whole.calls.failed, part.figures.whole.calls.ended)
}

/// The share of time in which the breaker of the only membership was closed.
fn closed_share(part: &Part) -> f64 {
    let (from, until) = part.steady_time();
    let out = part.figures.spells.iter().filter(|spell| spell.is_out()).map(|spell| {
        spell.until.clamp(from, until).since(spell.from.clamp(from, until)).as_nanos()
    });
    1.0 - ratio(out.sum(), until.since(from).as_nanos())
}

/// How often the breaker of the only membership opened for its failures, per call it heard while
/// it was closed.
fn openings(part: &Part) -> f64 {
    let one = &part.figures.whole.memberships[0];
    let heard = part.figures.whole.dispatched() - one.causes[Cause::Probe as usize];
    ratio(one.openings[Turn::Failures as usize], heard)
}

const fn case(file: &'static str, skip_secs: u64) -> Case {
    Case { file, on_demand: false, skip: Span::from_secs(skip_secs), rows: Vec::new() }
}

impl Case {
    fn shows(mut self, what: &'static str, formula: &'static str) -> Self {
        self.rows.push(Row {
            what,
            formula,
            unit: Unit::Number,
            exact: 0.0,
            measure: |_| 0.0,
            most: 0.01,
            bias: 0.0,
        });
        self
    }

    fn last(mut self, change: impl FnOnce(&mut Row)) -> Self {
        change(self.rows.last_mut().expect("a case shows something"));
        self
    }

    fn number(self, exact: f64, measure: fn(&Part) -> f64) -> Self {
        self.last(|row| (row.unit, row.exact, row.measure) = (Unit::Number, exact, measure))
    }

    fn millis(self, exact: f64, measure: fn(&Part) -> f64) -> Self {
        self.last(|row| (row.unit, row.exact, row.measure) = (Unit::Millis, exact, measure))
    }

    fn percent(self, exact: f64, measure: fn(&Part) -> f64) -> Self {
        self.last(|row| (row.unit, row.exact, row.measure) = (Unit::Percent, exact, measure))
    }

    /// A share so small that nothing of it is ever seen.
    fn never(self, exact: f64, measure: fn(&Part) -> f64) -> Self {
        self.percent(exact, measure).last(|row| row.unit = Unit::Never)
    }

    /// Ten million calls make its interval no less than 1 %, but this.
    fn within(self, most: f64) -> Self {
        self.last(|row| row.most = most)
    }

    fn biased(self, bias: f64) -> Self {
        self.last(|row| row.bias = bias)
    }

    const fn on_demand(mut self) -> Self {
        self.on_demand = true;
        self
    }
}
