//! Random policies of a router, and how a file writes them: in full or short.

use std::fmt::Write as _;

use proptest::prelude::*;
use router_core::{
    AdaptiveSpec, BreakerMode, BreakerSpec, BreakerWindow, ClassRest, DeploymentSpec, GroupSpec,
    HedgeAfter, HedgeSpec, Jitter, Load, OnOutage, Order, PeersSpec, QueueSpec, Ratio, RestAfter,
    RetrySpec, RouterSpec, RungSpec, Span, Strategy as Choice, TagMatch,
};

use crate::quantity::Quantity;

/// What a router may have beyond plain routing.
#[derive(Clone, Debug)]
pub(super) struct Policies {
    strategy: Choice,
    retry: RetrySpec,
    jitter: Jitter,
    /// Rate limits, server, connection, timeout; whether the class has a rest of its own.
    classes: [(RestAfter, bool); 4],
    breaker: Option<BreakerSpec>,
    hedge: Option<HedgeSpec>,
    panic: u32,
    tag_match: TagMatch,
    /// Whether lists and names are there, and which form is written.
    flags: [bool; 4],
    word: Option<BreakerMode>,
    ladder: usize,
    queue: usize,
}

/// Ladders as files write them, and what they mean; the first is as if nothing was written.
fn ladders() -> [(&'static str, Vec<RungSpec>); 4] {
    use RungSpec::{Fresh, Full, Stale, Static};
    [
        ("", vec![Full]),
        ("ladder = \"full\"\n", vec![Full]),
        (
            "ladder = [\"fresh\", \"full\", \"stale\", \"static\"]\n",
            vec![Fresh, Full, Stale, Static],
        ),
        ("ladder = [\"stale\", \"full\", \"static\"]\n", vec![Stale, Full, Static]),
    ]
}

/// Queues and bounds as files write them, and what they mean.
fn queues() -> [(&'static str, Option<u32>, Option<QueueSpec>); 4] {
    let all = QueueSpec { timeout: Span::MAX, order: Order::Deadline, ..QueueSpec::new(1) };
    [
        ("", None, None),
        ("in_flight = 60_000\n", Some(60_000), None),
        ("queue = 40\n", None, Some(QueueSpec::new(40))),
        (
            "queue = { size = 1, timeout = \"off\", order = \"deadline\" }\nin_flight = 1\n",
            Some(1),
            Some(all),
        ),
    ]
}

pub(super) fn policies() -> impl Strategy<Value = Policies> {
    let after = prop_oneof![
        Just(RestAfter::Common),
        (1..9_u32).prop_map(RestAfter::Count),
        Just(RestAfter::Never),
    ];
    let jitter = prop::sample::select(vec![Jitter::Full, Jitter::Equal, Jitter::Constant]);
    let retry = (prop::array::uniform6(0..=15_u8), jitter);
    let takes_out = (
        prop::array::uniform4((after, any::<bool>())),
        prop::option::of(breakers()),
        0..=1_000_000_u32,
    );
    let word = prop::option::of(prop::sample::select(MODES.map(|(mode, _)| mode).to_vec()));
    let tag_match = prop::sample::select(vec![TagMatch::Any, TagMatch::All]);
    let rest =
        (prop::option::of(hedges()), tag_match, any::<[bool; 4]>(), word, (0..4_usize, 0..4_usize));
    (strategies(), retry, takes_out, rest).prop_map(
        |(strategy, (most, jitter), (classes, breaker, panic), rest)| {
            let (hedge, tag_match, flags, word, (ladder, queue)) = rest;
            let retry = RetrySpec { most };
            Policies {
                strategy,
                retry,
                jitter,
                classes,
                breaker,
                hedge,
                panic,
                tag_match,
                flags,
                word,
                ladder,
                queue,
            }
        },
    )
}

fn strategies() -> impl Strategy<Value = Choice> {
    let others = vec![
        Choice::Weighted { catch_up: false },
        Choice::Weighted { catch_up: true },
        Choice::LeastInFlight,
        Choice::PowerOfTwo(Load::InFlight),
        Choice::PowerOfTwo(Load::PeakEwma),
        Choice::LATENCY,
        Choice::Usage,
        Choice::Cost,
        Choice::Sticky,
    ];
    let explore =
        (0..=1_000_000_u32).prop_map(|ppm| Choice::Latency { explore: Ratio::from_ppm(ppm) });
    prop_oneof![9 => prop::sample::select(others), 1 => explore]
}

fn breakers() -> impl Strategy<Value = BreakerSpec> {
    let span = || (1..5_000_000_u64).prop_map(Span::from_millis);
    let share = || (1..=1_000_000_u32).prop_map(Ratio::from_ppm);
    let window = prop_oneof![
        (10..86_400_000_u64).prop_map(|ms| BreakerWindow::Time(Span::from_millis(ms))),
        (100..=10_000_u32).prop_map(BreakerWindow::Calls),
    ];
    let failures = prop::option::of((share(), 1..=100_u32, window));
    let slow = prop::option::of((span(), share()));
    let mode = prop::sample::select(MODES.map(|(mode, _)| mode).to_vec());
    let counts = (1..9_u32, 1..=10_000_u32, 1..=10_000_u32, 1..=16_u8);
    let times = (span(), span(), span(), 0..=1_000_000_u32);
    let any = (mode, failures, slow, counts, times);
    let any = any.prop_map(|(mode, failures, slow, counts, (open, max, ramp, jitter))| {
        let default = BreakerSpec::default();
        BreakerSpec {
            mode,
            consecutive: counts.0,
            failures: failures.map(|failures| failures.0),
            calls_min: failures.map_or(default.calls_min, |failures| failures.1),
            window: failures.map_or(default.window, |failures| failures.2),
            slow_over: slow.map_or(Span::MAX, |slow| slow.0),
            slow: slow.map(|slow| slow.1),
            open: open.min(max),
            max: open.max(max),
            grow: counts.3,
            jitter: Ratio::from_ppm(jitter),
            probes: counts.1,
            successes: counts.2,
            ramp,
        }
    });
    prop_oneof![1 => Just(BreakerSpec::default()), 4 => any]
}

fn hedges() -> impl Strategy<Value = HedgeSpec> {
    let after = prop_oneof![
        Just(HedgeAfter::Delay(Span::from_millis(1))),
        (1..1_000_000_u32).prop_map(|ppm| HedgeAfter::Quantile(Ratio::from_ppm(ppm))),
    ];
    let any = (after, (1..=1_000_000_u32).prop_map(Ratio::from_ppm))
        .prop_map(|(after, utilisation_max)| HedgeSpec { after, utilisation_max });
    prop_oneof![1 => Just(HedgeSpec::default()), 4 => any]
}

const MODES: [(BreakerMode, &str); 4] = [
    (BreakerMode::Enforce, "on"),
    (BreakerMode::Observe, "observe-only"),
    (BreakerMode::Disabled, "disabled"),
    (BreakerMode::ForcedOpen, "forced-open"),
];

fn word(mode: BreakerMode) -> &'static str {
    MODES.iter().find(|(known, _)| *known == mode).expect("every mode has a word").1
}

fn share(ratio: Ratio) -> String {
    Quantity::Share(ratio.of_ceil(1_000_000) as u32).to_string()
}

fn time(span: Span) -> String {
    Quantity::Time(span).to_string()
}

fn names(list: &[&str]) -> Vec<String> {
    list.iter().map(|name| (*name).to_owned()).collect()
}

impl Policies {
    /// Gives them to a group called `chat`; a class's own rest is `rest`.
    pub(super) fn adorn(&self, group: &mut GroupSpec, rest: Span) {
        group.strategy = self.strategy;
        group.retry = self.retry;
        group.backoff.jitter = self.jitter;
        let [rate_limit, server, connection, timeout] = self
            .classes
            .map(|(after, has_rest)| ClassRest { after, rest: has_rest.then_some(rest) });
        let classes = &mut group.cooldown.classes;
        (classes.rate_limit, classes.server) = (rate_limit, server);
        (classes.connection, classes.timeout) = (connection, timeout);
        group.breaker = self.breaker;
        group.hedge = self.hedge;
        group.ladder = ladders()[self.ladder].1.clone();
        (_, group.in_flight, group.queue) = queues()[self.queue].clone();
        group.panic = Ratio::from_ppm(self.panic);
        group.tag_match = self.tag_match;
        if self.flags[0] {
            group.aliases = names(&["mine", "my/*:x"]);
            group.fallbacks.context_window = names(&["mine"]);
            group.fallbacks.content_policy = names(&["my/own:x", "chat"]);
        }
    }

    pub(super) fn adorn_router(&self, router: &mut RouterSpec) {
        if self.flags[1] {
            router.default_group = Some("chat".to_owned());
            router.fallbacks.any = names(&["chat"]);
            let stale = Span::from_secs(2);
            router.peers = Some(PeersSpec { replicas: 3, stale, on_outage: OnOutage::Closed });
        }
    }

    pub(super) fn adorn_deployment(&self, deployment: &mut DeploymentSpec) {
        deployment.breaker = self.word;
        if self.flags[2] {
            deployment.context = Some(128_000);
            let adaptive = AdaptiveSpec { min: 3, max: 90, start: 7 };
            deployment.adaptive =
                Some(if self.flags[3] { AdaptiveSpec::up_to(90) } else { adaptive });
            deployment.tags = names(&["default", "eu"]);
            deployment.region = Some("swedencentral".to_owned());
        }
    }

    /// Lines of `[router]`.
    pub(super) fn router_text(&self) -> &'static str {
        if self.flags[1] {
            "default_group = \"chat\"\nfallbacks = \"chat\"\n\
             peers = { replicas = 3, stale = \"2 s\", on_outage = \"closed\" }\n"
        } else {
            ""
        }
    }

    /// Lines of a deployment.
    pub(super) fn deployment_text(&self) -> String {
        let word = self.word.map(|mode| format!("breaker = \"{}\"\n", word(mode)));
        let facts = match (self.flags[2], self.flags[3]) {
            (true, true) => "adaptive = 90\n",
            (true, false) => "adaptive = { min = 3, max = 90, start = 7 }\n",
            (false, _) => "",
        };
        let facts = if self.flags[2] {
            facts.to_owned()
                + "context = 128_000\ntags = [\"default\", \"eu\"]\nregion = \"swedencentral\"\n"
        } else {
            facts.to_owned()
        };
        format!("{}{facts}", word.unwrap_or_default())
    }

    /// Keys of `cooldown`; a class's own rest is `rest`.
    pub(super) fn cooldown_text(&self, rest: Span) -> String {
        let mut text = String::new();
        let names = ["rate_limit", "server", "connection", "timeout"];
        for (name, (after, has_rest)) in names.into_iter().zip(self.classes) {
            let after = match after {
                RestAfter::Common => "\"common\"".to_owned(),
                RestAfter::Never => "\"never\"".to_owned(),
                RestAfter::Count(count) => count.to_string(),
            };
            let value = match (has_rest, self.flags[3]) {
                (true, _) => format!("{{ after = {after}, rest = \"{}\" }}", time(rest)),
                (false, true) => after,
                (false, false) => format!("{{ after = {after} }}"),
            };
            write!(text, ", {name} = {value}").expect("a string takes everything");
        }
        text
    }

    pub(super) fn jitter_text(&self) -> &'static str {
        match self.jitter {
            Jitter::Full => "full",
            Jitter::Equal => "equal",
            Jitter::Constant => "constant",
        }
    }

    /// Lines of a group.
    pub(super) fn group_text(&self) -> String {
        let match_word = match self.tag_match {
            TagMatch::Any => "any",
            TagMatch::All => "all",
        };
        let panic = Quantity::Share(self.panic);
        let mut text = format!(
            "strategy = {}\npanic = \"{panic}\"\ntag_match = \"{match_word}\"\n",
            self.strategy_text()
        );
        let classes = ["rate_limit", "server", "connection", "timeout", "account", "invalid"];
        let retries = classes.iter().zip(self.retry.most);
        let retries: Vec<String> = retries.map(|(name, most)| format!("{name} = {most}")).collect();
        text += &format!("retry = {{ {} }}\n", retries.join(", "));
        if let Some(breaker) = &self.breaker {
            text += &format!("breaker = {}\n", self.breaker_text(breaker));
        }
        if let Some(HedgeSpec { after, utilisation_max }) = self.hedge {
            let after = match after {
                HedgeAfter::Delay(delay) => time(delay),
                HedgeAfter::Quantile(share) => {
                    Quantity::Quantile(share.of_ceil(1_000_000) as u32).to_string()
                }
            };
            text += &match (utilisation_max == HedgeSpec::default().utilisation_max, self.flags[3])
            {
                (true, true) => format!("hedge = \"{after}\"\n"),
                _ => format!(
                    "hedge = {{ after = \"{after}\", utilisation_max = \"{}\" }}\n",
                    share(utilisation_max)
                ),
            };
        }
        text += ladders()[self.ladder].0;
        text += queues()[self.queue].0;
        if self.flags[0] {
            text += "aliases = [\"mine\", \"my/*:x\"]\n";
        }
        text
    }

    /// What `fallbacks` has besides `any`.
    pub(super) fn fallbacks_text(&self) -> &'static str {
        if self.flags[0] {
            ", context_window = \"mine\", content_policy = [\"my/own:x\", \"chat\"]"
        } else {
            ""
        }
    }

    fn strategy_text(&self) -> String {
        let short = |word: &str| match self.flags[3] {
            true => format!("\"{word}\""),
            false => format!("{{ by = \"{word}\" }}"),
        };
        match self.strategy {
            Choice::Weighted { catch_up: true } if self.flags[3] => short("smooth"),
            Choice::Weighted { catch_up: false } if self.flags[3] => short("weighted"),
            Choice::Weighted { catch_up } => {
                format!("{{ by = \"weighted\", catch_up = {catch_up} }}")
            }
            Choice::LeastInFlight => short("least-in-flight"),
            Choice::PowerOfTwo(Load::InFlight) => short("power-of-two"),
            Choice::PowerOfTwo(Load::PeakEwma) => {
                "{ by = \"power-of-two\", load = \"peak-ewma\" }".to_owned()
            }
            Choice::LATENCY => short("latency"),
            Choice::Latency { explore } => {
                format!("{{ by = \"latency\", explore = \"{}\" }}", share(explore))
            }
            Choice::Usage => short("usage"),
            Choice::Cost => short("cost"),
            Choice::Sticky => short("sticky"),
        }
    }

    fn breaker_text(&self, breaker: &BreakerSpec) -> String {
        if *breaker == BreakerSpec::default() {
            return if self.flags[3] { "true" } else { "{}" }.to_owned();
        }
        let after = breaker.failures.map_or_else(
            || "never".to_owned(),
            |failures| {
                let window = match breaker.window {
                    BreakerWindow::Time(window) => time(window),
                    BreakerWindow::Calls(calls) => format!("{calls} calls"),
                };
                format!("{} of {} in {window}", share(failures), breaker.calls_min)
            },
        );
        let slow = breaker.slow.map(|slow| {
            let over = time(breaker.slow_over);
            format!(", slow = {{ over = \"{over}\", share = \"{}\" }}", share(slow))
        });
        format!(
            "{{ mode = \"{}\", consecutive = {}, after = \"{after}\"{}, open = \"{}\", \
             max = \"{}\", grow = {}, jitter = \"{}\", probes = {}, successes = {}, \
             ramp = \"{}\" }}",
            word(breaker.mode),
            breaker.consecutive,
            slow.unwrap_or_default(),
            time(breaker.open),
            time(breaker.max),
            breaker.grow,
            share(breaker.jitter),
            breaker.probes,
            breaker.successes,
            time(breaker.ramp),
        )
    }
}
