//! Numbers at the ends of their ranges, and beyond: a file is refused, or its world runs.

use std::sync::Arc;

use proptest::prelude::*;
use router_core::{Driver, Router, Time};
use sim::World;

use super::SMALL;
use crate::resolve::{Fleet, Override, read_and_resolve};
use crate::router::{self, RouterFile};

/// What may be written for each kind of number: first what is in its range somewhere, then what is
/// in none.
const KINDS: [(char, &[&str], &[&str]); 8] = [
    ('t', &["1 ms", "90 ms", "2 s", "1 h", "31 d"], &["0 s", "1 ns", "32 d", "213503 d"]),
    (
        'r',
        &["1/31 d", "1/31 d burst 11", "5/s", "1/ms", "1000G/ms burst 1000G", "1000G/31 d"],
        &["0/min", "1/min burst 0", "1/31 d burst 12", "1/ns", "18446744073709551615/ns"],
    ),
    ('f', &["1/31 d", "3/s", "900/s", "1M/s"], &["0/s", "0.000001/day", "9G/s"]),
    ('s', &["0 %", "50 %", "100 %"], &["101 %"]),
    ('x', &["x0.001", "x3", "x10000"], &["x0", "x0.000001", "x99999999"]),
    ('n', &["0.001", "1.5", "10"], &["0", "0.0001", "1001", "1e300"]),
    ('a', &["1", "2", "9"], &["0", "17", "300"]),
    ('c', &["1", "40", "255"], &["0", "10000000", "4294967295"]),
];

/// One line of each of these, or none; `<t>` and so on become numbers.
const DEMAND: [&[&str]; 7] = [
    &["spike = { at = \"<t>\", peak = \"<f>\", rise = \"<t>\", hold = \"<t>\", \
       half_life = \"<t>\" }"],
    &["patience = \"<t>\""],
    &[
        "stream = \"<s>\"",
        "conversations = <c>",
        "repeats = { keys = <c>, zipf = <n>, share = \"<s>\" }",
    ],
    &["output_max = <c>"],
    &["normal.process = \"constant\""],
    &[
        "normal.tokens = { input = <c>, output = { median = <c>, sigma = <n>, max = <c> } }",
        "normal.tokens = { input = [<c>, <c>], output = [1, <c>] }",
    ],
    &[
        "normal.client = { tries = <c>, backoff = \"<t>\", backoff_max = \"<t>\" }",
        "normal.client = { jitter_from = \"<s>\", retry_after_max = \"<t>\", timeout = \"<t>\" }",
    ],
];
const PROVIDER: [&[&str]; 7] = [
    &["connect = \"<t>\""],
    &["concurrency = <c>"],
    &["when_full = { queue = <c> }", "prompt_cache = { lasts = \"<t>\", least = <c> }"],
    &["errors = \"<s>\"", "context = <c>"],
    &[
        "quota = { requests = \"<r>\", tokens = \"<r>\", algorithm = \"window\" }",
        "quota = { requests = \"<r>\", input_tokens = \"<r>\", output_tokens = \"<r>\" }",
    ],
    &[
        "service.exponential = \"<t>\"",
        "service.ttft = { median = \"<t>\", sigma = <n>, tail = \"<s>\", max = \"<t>\" }",
        "service.ttft = { tail_factor = <n>, tail_shape = <n>, per_input_token = \"<t>\" }",
    ],
    &["service.per_token = { median = \"<t>\", sigma = <n>, growth = <n> }"],
];
const FAULTS: [&[&str]; 8] = [
    &[
        "[cache]\nttl = \"<t>\"\nstale_for = \"<t>\"\nsize = <c>\nsingle_flight = true\n\
         [fault.flushed]\non = \"cache\"\nat = \"<t>\"\nlasts = \"<t>\"\ncache_flush = true\n\
         flap = { period = \"<t>\" }",
        "[cache]\nttl = \"<t>\"\nsize = <c>",
    ],
    &["[fault.slow]\non = \"*\"\nat = \"<t>\"\nlasts = \"<t>\"\nttft = \"<x>\""],
    &["[fault.slower]\non = \"*\"\nof = \"<s>\"\nttft = \"<x>\"\nper_token = \"<x>\""],
    &["[fault.storm]\non = \"*\"\nof = \"<s>\"\nrate_limits.retry_after = \"<t>\""],
    &[
        "[fault.late]\non = \"*\"\ndelay = \"<t>\"\nflap = { period = \"<t>\", duty = \"<s>\" }",
        "[fault.now-and-then]\non = \"*\"\noutage = \"503\"\n\
         at_random = { up = \"<t>\", down = \"<t>\" }",
    ],
    &[
        "[fault.stops]\non = \"*\"\nof = \"<s>\"\nstall = { after = <c> }",
        "[fault.breaks]\non = \"*\"\nof = \"<s>\"\nin_stream_error = { after = <c> }",
    ],
    &["[fault.revoked]\non = \"*\"\nrevoked_key = <c>", "[fault.junk]\non = \"*\"\ngarbage = true"],
    &[
        "[fault.dark]\non = \"*\"\nat = \"<t>\"\noutage = \"refuse\"",
        "[fault.answers]\non = \"*\"\nof = \"<s>\"\nanswers = [\"429 retry-after=<t>\", \"ok\"]",
    ],
];

/// What is written, from the choices of a generator.
pub(super) struct Writer<I> {
    text: String,
    picks: I,
}

impl<I: Iterator<Item = usize>> Writer<I> {
    pub(super) fn new(text: &str, picks: I) -> Self {
        Self { text: text.to_owned(), picks }
    }

    pub(super) fn into_text(self) -> String {
        self.text
    }

    fn pick(&mut self, of: usize) -> usize {
        self.picks.next().unwrap_or_default() % of
    }

    /// One in thirty numbers is in no range.
    pub(super) fn line(&mut self, line: &str) {
        let mut rest = line;
        while let Some((before, after)) = rest.split_once('<') {
            let kind = KINDS.iter().find(|(kind, ..)| after.starts_with(*kind));
            let (_, good, bad) = kind.expect("a kind of number");
            let from = if self.pick(30) == 29 { bad } else { good };
            let number = from[self.pick(from.len())];
            self.text.push_str(before);
            self.text.push_str(number);
            rest = &after[2..];
        }
        self.text.push_str(rest);
        self.text.push('\n');
    }

    pub(super) fn some(&mut self, lines: &[&[&str]]) {
        for choice in lines {
            if let Some(line) = choice.get(self.pick(2 * choice.len())) {
                self.line(line);
            }
        }
    }
}

/// Whether the file was taken; if so, its world ran for a while.
fn ran(text: &str) -> bool {
    let laddered = format!("{SMALL}ladder = [\"fresh\", \"full\", \"stale\", \"static\"]\n");
    run(router::read("router.toml", &laddered).expect("it is right"), text)
}

/// Whether a scenario was taken; if so, it ran for a while against `router`.
pub(super) fn run(router: RouterFile, text: &str) -> bool {
    let fleet = Fleet { config: &router.config, endpoints: &router.endpoints, then: &[] };
    let Ok((_, found)) = read_and_resolve("file.toml", text, fleet, &Override::default()) else {
        return false;
    };
    let brain = Router::new(Arc::clone(&router.config), found.plan.seed, Time::ZERO);
    let fold = reports::Fold::new(router.config, found.frame);
    let mut world = World::new(&found.plan, Driver::new(brain, fold));
    world.step_many(3_000);
    let end = world.now();
    let figures = world.into_driver().into_journal().finish(end);
    for asked in found.expectations.iter().flat_map(|expected| &expected.asked) {
        asked.expectation.judge(&figures);
    }
    true
}

fn file(picks: Vec<usize>) -> String {
    let text = "[expect]\na = \"success.rate >= 0 %\"\n[demand.\"*\"]\n";
    let mut writer = Writer::new(text, picks.into_iter());
    writer.line("normal.rate = \"<f>\"\nnormal.lasts = \"<t>\"");
    writer.some(&DEMAND);
    writer.line("[provider.\"*\"]");
    writer.some(&PROVIDER);
    writer.some(&FAULTS);
    writer.text
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn a_file_of_absurd_numbers_is_refused_or_runs(
        picks in prop::collection::vec(0..1_000_usize, 120),
    ) {
        ran(&file(picks));
    }
}

#[test]
fn files_of_absurd_numbers_run_now_and_then() {
    let files =
        (0..200_usize).map(|n| file((0..120).map(|i| (n * 7_919 + i * 104_729) % 997).collect()));
    let ran = files.filter(|text| ran(text)).count();
    assert!((20..180).contains(&ran), "{ran} of 200 ran");
}
