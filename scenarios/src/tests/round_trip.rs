//! What is printed reads back; arbitrary bytes are refused without a panic.

use std::fmt::Write as _;

use proptest::prelude::*;
use router_core::{LimitSpec, Price, Rate, Ratio, Span, Spec};

use super::SMALL;
use super::policies::{Policies, policies};
use crate::file::{FileKind, utf8};
use crate::quantity::Quantity;
use crate::{router, scenario, suite};

/// A number of the file, and the same in words: `member_of` picks, `text` writes.
#[derive(Clone, Debug)]
struct Written {
    keys: u8,
    weights: Vec<u32>,
    tier: u8,
    spans: [u64; 6],
    rate: (u64, u64, Option<u64>),
    ppm: [u32; 4],
    small: [u8; 3],
    flags: [bool; 6],
    price: [u32; 3],
    policies: Policies,
}

fn written() -> impl Strategy<Value = Written> {
    let weights = prop::collection::vec(1..1_000_000_u32, 1..6);
    // Ascending, so that no first-token timeout is longer than the total.
    let spans = prop::array::uniform6(2..5_000_000_u64).prop_map(|mut spans| {
        spans.sort_unstable();
        spans
    });
    // What takes a year to refill is refused.
    let rate = (1..1_000_000_u64, 1..100_000_u64, prop::option::of(1..300_000_u64));
    let ppm = prop::array::uniform4(1..=1_000_000_u32);
    let small = prop::array::uniform3(1..=16_u8);
    let price = (any::<[u32; 3]>(), policies());
    (1..=32_u8, weights, any::<u8>(), spans, rate, ppm, small, any::<[bool; 6]>(), price).prop_map(
        |(keys, weights, tier, spans, rate, ppm, small, flags, (price, policies))| Written {
            keys,
            weights,
            tier,
            spans,
            rate,
            ppm,
            small,
            flags,
            price,
            policies,
        },
    )
}

fn time(ms: u64) -> Span {
    Span::from_millis(ms)
}

impl Written {
    fn rate(&self) -> Rate {
        let (amount, ms, burst) = self.rate;
        Rate { amount, period: time(ms), burst }
    }

    /// What the text must be read as.
    fn spec(&self) -> Spec {
        let text = self.text();
        let mut spec = router::read("router.toml", SMALL).expect("it is right").spec;
        let [a, b, c, d, e, f] = self.spans.map(time);
        let off = |on: bool, span: Span| if on { span } else { Span::MAX };
        spec.router.deadline = off(self.flags[0], f);
        spec.router.attempts = self.small[0];
        spec.router.retry_budget.ratio = self.flags[1].then(|| Ratio::from_ppm(self.ppm[0]));
        spec.router.retry_budget.per_second = if self.flags[1] { u32::from(self.tier) } else { 0 };
        spec.router.retry_after_max = e;
        self.policies.adorn_router(&mut spec.router);
        let limit =
            LimitSpec { tokens: Some(self.rate()), parallel: Some(9), ..LimitSpec::default() };
        spec.limits = vec![("shared".to_owned(), limit.clone())];
        let mut deployment = spec.deployments.remove(0);
        deployment.keys = self.keys;
        deployment.limit = self.flags[2].then_some(limit);
        deployment.shared = vec!["shared".to_owned()];
        let [input, cached, output] = self.price.map(u64::from);
        deployment.price = Price { input, cached, output };
        self.policies.adorn_deployment(&mut deployment);
        let mut group = spec.groups.remove(0);
        let mut member = group.members.remove(0);
        member.tier = self.tier;
        for (index, weight) in self.weights.iter().enumerate() {
            deployment.name = format!("d.{index}");
            member.deployment.clone_from(&deployment.name);
            member.weight = *weight;
            spec.deployments.push(deployment.clone());
            group.members.push(member.clone());
        }
        group.timeouts.connect = off(self.flags[4], a);
        group.timeouts.first_token = b;
        group.timeouts.idle = c;
        group.timeouts.total = d;
        group.timeouts.partial = self.flags[5];
        group.backoff.base = a;
        group.backoff.factor = self.small[1];
        group.backoff.max = b;
        group.cooldown.enabled = self.flags[4];
        if self.flags[4] {
            group.cooldown.failures = Ratio::from_ppm(self.ppm[1]);
            group.cooldown.calls_min = 1 + u32::from(self.tier);
            group.cooldown.window = Span::from_secs(30);
        }
        group.cooldown.rest = c;
        group.cooldown.grow = self.small[2];
        group.cooldown.max = d;
        group.cooldown.jitter = Ratio::from_ppm(self.ppm[2]);
        group.ejected_max = Ratio::from_ppm(self.ppm[3]);
        group.cooldown.lone = self.flags[5];
        group.fallbacks.any = vec!["chat".to_owned()];
        self.policies.adorn(&mut group, a);
        spec.groups.push(group);
        assert!(!text.is_empty(), "there is something to read");
        spec
    }

    fn text(&self) -> String {
        let [a, b, c, d, e, f] = self.spans.map(|ms| Quantity::Time(time(ms)).to_string());
        let off = |on: bool, text: &str| if on { text.to_owned() } else { "off".to_owned() };
        let ppm = self.ppm.map(|ppm| Quantity::Share(ppm).to_string());
        let limit = format!("{{ tokens = \"{}\", parallel = 9 }}", Quantity::Rate(self.rate()));
        let budget = off(self.flags[1], &format!("{} + {}/s", ppm[0], self.tier));
        let mut text = format!(
            "[router]\ndeadline = \"{}\"\nattempts = {}\nretry_budget = \"{budget}\"\n\
             retry_after_max = \"{e}\"\n{}[limit]\nshared = {limit}\n",
            off(self.flags[0], &f),
            self.small[0],
            self.policies.router_text(),
        );
        let own = if self.flags[2] { format!("{limit}, ") } else { String::new() };
        let keys = vec!["\"env:KEY\""; usize::from(self.keys)].join(", ");
        let prices = self.price.map(|pico| Quantity::Price(u64::from(pico)));
        let mut members = String::new();
        for (index, weight) in self.weights.iter().enumerate() {
            write!(
                text,
                "[deployment.\"d.{index}\"]\nprovider = \"openai\"\nmodel = \"gpt-4o-mini\"\n\
                 keys = [{keys}]\nlimit = [{own}\"shared\"]\n\
                 price = {{ input = \"{}\", cached = \"{}\", output = \"{}\" }}\n{}",
                prices[0],
                prices[1],
                prices[2],
                self.policies.deployment_text(),
            )
            .expect("a string takes everything");
            write!(members, "\"d.{index}\" = {{ weight = {weight}, tier = {} }}, ", self.tier)
                .expect("a string takes everything");
        }
        let after = format!("{} of {} in 30 s", ppm[1], 1 + u32::from(self.tier));
        let after = off(self.flags[4], &after);
        let on_total = if self.flags[5] { "partial" } else { "error" };
        write!(
            text,
            "[group.chat]\nmembers = {{ {} }}\n{}fallbacks = {{ any = \"chat\"{} }}\n\
             timeouts = {{ connect = \"{}\", first_token = \"{b}\", idle = \"{c}\", \
             total = \"{d}\", on_total = \"{on_total}\" }}\n\
             backoff = {{ base = \"{a}\", factor = {}, max = \"{b}\", jitter = \"{}\" }}\n\
             cooldown = {{ after = \"{after}\", rest = \"{c}\", grow = {}, max = \"{d}\", \
             jitter = \"{}\", lone = {}{} }}\nejected_max = \"{}\"\n",
            members.trim_end_matches(", "),
            self.policies.group_text(),
            self.policies.fallbacks_text(),
            off(self.flags[4], &a),
            self.small[1],
            self.policies.jitter_text(),
            self.small[2],
            ppm[2],
            self.flags[5],
            self.policies.cooldown_text(time(self.spans[0])),
            ppm[3],
        )
        .expect("a string takes everything");
        text
    }
}

fn shown(found: &[crate::diagnostic::Diagnostic]) -> String {
    found.iter().map(ToString::to_string).collect()
}

/// Every parser, over text that may be anything.
fn read_all(text: &str) {
    for kind in FileKind::ALL {
        let found = kind.check("file.toml", text);
        found.iter().for_each(|diagnostic| assert!(!diagnostic.to_string().is_empty()));
        if let Ok(printed) = kind.print("file.toml", text) {
            assert_eq!(kind.print("file.toml", &printed).map(|_| ()), Ok(()), "{printed}");
        }
    }
    let _ = FileKind::of(text);
}

proptest! {
    #[test]
    fn any_router_is_read_as_written_and_again_as_printed(written in written()) {
        let text = written.text();
        let file = router::read("router.toml", &text).map_err(|found| {
            TestCaseError::fail(format!("{}\n{text}", shown(&found)))
        })?;
        prop_assert_eq!(format!("{:?}", file.spec), format!("{:?}", written.spec()));
        let printed = FileKind::Router.print("router.toml", &text).expect("it was read");
        let again = router::read("router.toml", &printed).map_err(|found| {
            TestCaseError::fail(format!("{}\n{printed}", shown(&found)))
        })?;
        prop_assert_eq!(format!("{:?}", file.spec), format!("{:?}", again.spec));
        prop_assert_eq!(file.endpoints, again.endpoints);
    }

    #[test]
    fn arbitrary_bytes_panic_nowhere(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(text) = utf8("file.toml", &bytes) {
            read_all(text);
        }
        read_all(&String::from_utf8_lossy(&bytes));
    }

    /// Bytes that look like our files get further in.
    #[test]
    fn broken_files_panic_nowhere(
        words in prop::collection::vec(prop::sample::select(WORDS), 0..60),
    ) {
        read_all(&words.concat());
    }

    #[test]
    fn a_file_with_a_hole_panics_nowhere(from in 0..EXAMPLES.len(), length in 0..40_usize) {
        let hole = |index: usize| !(from..from + length).contains(&index);
        let text: String =
            EXAMPLES.char_indices().filter(|(i, _)| hole(*i)).map(|(_, c)| c).collect();
        read_all(&text);
    }
}

const WORDS: &[&str] = &[
    "[",
    "]",
    "[[",
    "]]",
    "{",
    "}",
    "\n",
    "\n",
    "\n",
    "=",
    "=",
    ".",
    ",",
    "\"",
    "'",
    "\"\"\"",
    " ",
    "router",
    "group",
    "deployment",
    "limit",
    "chat",
    "members",
    "weight",
    "timeouts",
    "cooldown",
    "keys",
    "fallbacks",
    "demand",
    "normal",
    "spike",
    "fault",
    "expect",
    "suite",
    "slo",
    "\"60 s\"",
    "\"x4\"",
    "\"env:A\"",
    "1",
    "-1",
    "nan",
    "1e9",
    "true",
    "1979-05-27",
    "99999999999999999999",
    "0x",
    "\u{fc}",
    "#",
    "\\",
    "\r",
    "[group.chat]\n",
    "[deployment.a]\n",
    "members = { a = 1 }\n",
];

const EXAMPLES: &str = include_str!("examples.toml");

const SCENARIO: &str = include_str!("scenario.toml");

#[test]
fn a_scenario_is_read_as_written_and_again_as_printed() {
    let read = scenario::read("spike.toml", SCENARIO).map_err(|found| shown(&found));
    let read = read.unwrap_or_else(|found| panic!("{found}"));
    insta::assert_debug_snapshot!(read);
    let printed = FileKind::Scenario.print("spike.toml", SCENARIO).expect("it was read");
    insta::assert_snapshot!(printed);
    let again = scenario::read("spike.toml", &printed).map_err(|found| shown(&found));
    let again = again.unwrap_or_else(|found| panic!("{found}"));
    assert_eq!(without_places(&format!("{read:?}")), without_places(&format!("{again:?}")));
}

/// A debug text without `at: 1..2`, which differ between a file and its print.
fn without_places(debug: &str) -> String {
    debug
        .split("at: ")
        .map(|part| part.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.'))
        .collect()
}

#[test]
fn a_router_is_printed_with_its_defaults() {
    let printed = FileKind::Router.print("router.toml", SMALL).expect("it is right");
    insta::assert_snapshot!(printed);
}

#[test]
fn a_suite_is_read_as_written_and_again_as_printed() {
    let text = "[suite]\nscenarios = [\"viral-spike\", \"mine.toml\"]\n\
        [slo]\n\"users are answered\" = \"success.rate >= 99.5 %\"\n\
        cheap = [\"cost.per_1k < 2 USD\", \"amplification < 1.2\"]\n";
    let read = suite::read("seawall.toml", text).expect("it is right");
    assert_eq!((read.router.value.as_str(), read.slo.len()), ("router.toml", 2));
    assert_eq!(read.scenarios[1].value, "mine.toml");
    assert_eq!(&text[read.slo[1].1[1].at.clone()], "\"amplification < 1.2\"");
    let printed = FileKind::Suite.print("seawall.toml", text).expect("it was read");
    let again = suite::read("seawall.toml", &printed).expect("what is printed is right");
    assert_eq!(without_places(&format!("{read:?}")), without_places(&format!("{again:?}")));
}
