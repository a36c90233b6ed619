//! Worlds whose answers are known exactly, run as scenario files through the router, the driver
//! and the world. They need tens of millions of requests, so they run in optimised builds only.
//! `docs/validation.md` is written from what they come to, and compared with it on every run.

mod cases;
mod page;
mod run;
mod theory;
mod two_choices;

use std::sync::{LazyLock, OnceLock};

use scenarios::library;

use self::cases::{Case, Row, Unit};
use self::run::{BATCH, PARTS, interval};

/// What was measured of a row.
#[derive(Clone, Debug)]
struct Measured {
    mean: f64,
    /// Of the 99.9 % interval.
    half: f64,
    /// How many 95 % intervals hold the exact value, of how many.
    within: (usize, usize),
}

/// A case, and what it came to once it was run.
struct Entry {
    case: Case,
    measured: OnceLock<Vec<Measured>>,
}

static ENTRIES: LazyLock<Vec<Entry>> = LazyLock::new(|| {
    cases::all().into_iter().map(|case| Entry { case, measured: OnceLock::new() }).collect()
});

impl Entry {
    fn of(file: &str) -> &'static Self {
        ENTRIES.iter().find(|entry| entry.case.file == file).expect("there is such a case")
    }

    fn measured(&self) -> &[Measured] {
        self.measured.get_or_init(|| {
            let Case { file, skip, ref rows, .. } = self.case;
            let parts = run::run(&format!("closed-form/{file}"), skip, |part| {
                rows.iter().map(|row| (row.measure)(part)).collect::<Vec<f64>>()
            });
            let column = |at: usize| parts.iter().map(|part| part[at]).collect::<Vec<f64>>();
            rows.iter().enumerate().map(|(at, row)| Measured::of(row, &column(at))).collect()
        })
    }
}

impl Measured {
    fn of(row: &Row, values: &[f64]) -> Self {
        assert_eq!(values.len() as u64, PARTS);
        let (mean, half) = interval(values, 0.999);
        let batches = values.chunks(BATCH);
        let count = batches.len();
        let held = batches.filter(|batch| {
            let (mean, half) = interval(batch, 0.95);
            (mean - row.exact).abs() <= half
        });
        Self { mean, half, within: (held.count(), count) }
    }

    /// Why it does not show that the row is right.
    fn complaint(&self, row: &Row) -> Option<String> {
        let Self { mean, half, .. } = *self;
        let (what, exact) = (row.what, row.exact);
        if let Unit::Never = row.unit {
            return (mean > 0.0 || exact > 1e-9).then(|| format!("{what}: {mean}, and not never"));
        }
        if (mean - exact).abs() > half + row.bias * exact {
            return Some(format!("{what}: {mean} is not {exact} +- {half}"));
        }
        let relative = 100.0 * half / exact;
        (half > row.most * exact)
            .then(|| format!("{what}: a half-width of {relative:.2} % proves too little"))
    }
}

/// Holds every row of a file to its exact value, if the file is short enough to be run each time.
fn holds(file: &str) {
    let entry = Entry::of(file);
    if entry.case.on_demand && !page::all_are_asked_for() {
        return;
    }
    let found = entry.case.rows.iter().zip(entry.measured());
    let complaints: Vec<String> =
        found.filter_map(|(row, measured)| measured.complaint(row)).collect();
    assert!(complaints.is_empty(), "{file}:\n{}", complaints.join("\n"));
}

#[test]
fn every_closed_form_of_the_library_is_measured() {
    let files: Vec<String> =
        ENTRIES.iter().map(|entry| format!("closed-form/{}", entry.case.file)).collect();
    for form in library::closed_forms() {
        assert!(files.iter().any(|file| file == form.scenario.name), "{}", form.scenario.name);
    }
    assert_eq!(files.len(), library::closed_forms().len());
}

/// A test per file, so that they run side by side and are told apart.
macro_rules! each_holds {
    ($($test:ident: $file:literal,)*) => {
        $(#[test]
        fn $test() {
            holds($file);
        })*
        const TESTED: &[&str] = &[$($file),*];
    };
}

each_holds! {
    one_server_makes_calls_wait_as_long_as_it_must: "mm1",
    ten_servers_make_calls_wait_as_long_as_they_must: "mm10",
    ten_servers_without_a_queue_refuse_as_many_as_they_must: "erlang-b",
    two_choices_among_ten_queues_are_as_good_as_they_can_be: "two-choices",
    a_token_bucket_refuses_as_many_as_it_must: "token-bucket",
    a_fixed_window_refuses_as_many_as_it_must: "fixed-window",
    a_token_bucket_for_each_subject_refuses_as_many_as_it_must: "subject-rates",
    places_for_each_subject_refuse_as_many_as_they_must: "subject-places",
    a_full_queue_refuses_as_many_as_it_must: "queue-full",
    the_urgent_wait_as_much_less_as_they_must: "queue-classes",
    attempts_are_as_many_as_their_failures_make_them: "attempts",
    retries_for_a_quota_meet_their_fixed_point_at_150: "retries-150",
    retries_for_a_quota_meet_their_fixed_point_at_100: "retries-100",
    retries_for_a_quota_meet_their_fixed_point_at_1010: "retries-1010",
    hedges_cut_the_tail_as_far_as_they_can: "hedging",
    single_failures_rest_all_as_often_as_erlang_says: "cooldown",
    rare_single_failures_rest_all_as_often_as_erlang_says: "cooldown-rare",
    a_breaker_renews_itself_at_three_failures_in_ten: "breaker-30",
    a_breaker_renews_itself_at_five_failures_in_ten: "breaker-50",
    a_touchy_breaker_opens_falsely_as_often_as_its_chain_says: "trips-5",
    a_breaker_opens_on_a_sick_provider_as_often_as_its_chain_says: "trips-30",
    half_of_twenty_never_opens_at_one_failure_in_a_hundred: "trips-1",
}

#[test]
fn every_case_is_tested() {
    let files: Vec<&str> = ENTRIES.iter().map(|entry| entry.case.file).collect();
    assert!(files.iter().all(|file| TESTED.contains(file)));
}
