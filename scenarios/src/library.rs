//! The files that come with the program: scenarios that run against any router, a router to start
//! from, and worlds whose answers are known in closed form.

#[cfg(test)]
mod tests;

/// A file of the library.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Entry {
    /// What the command line calls it.
    pub name: &'static str,
    /// Its text.
    pub text: &'static str,
}

/// A world whose answer is known, and the router that leaves it alone.
#[derive(Clone, Copy, Debug)]
pub struct ClosedForm {
    /// The scenario.
    pub scenario: Entry,
    /// The router.
    pub router: Entry,
}

/// A scenario about one policy, a router that has it, and one that does not.
#[derive(Clone, Copy, Debug)]
pub struct Lesson {
    /// The scenario.
    pub scenario: Entry,
    /// The router that passes it; it has the scenario's name.
    pub cured: Entry,
    /// The router that shows what it is about: `NAME-careless`.
    pub careless: Entry,
}

/// The router that runs where none is named.
pub const STARTER: Entry = entry("starter", include_str!("../routers/starter.toml"));

const THOUSAND: Entry = entry("thousand-rps", include_str!("../routers/thousand-rps.toml"));

/// A lesson from its three files.
macro_rules! lesson {
    ($name:literal) => {
        Lesson {
            scenario: entry($name, include_str!(concat!("../library/", $name, ".toml"))),
            cured: entry($name, include_str!(concat!("../routers/", $name, ".toml"))),
            careless: entry(
                concat!($name, "-careless"),
                include_str!(concat!("../routers/", $name, "-careless.toml")),
            ),
        }
    };
}

const LESSONS: [Lesson; 10] = [
    lesson!("timeout-blow-up"),
    lesson!("gray-streams"),
    lesson!("retry-storm"),
    lesson!("cooldown-cascade"),
    lesson!("failover-cascade"),
    lesson!("hedging"),
    lesson!("fast-fail-black-hole"),
    lesson!("fallback-cycle"),
    lesson!("weight-flapping"),
    lesson!("burst-herd"),
];

const SCENARIOS: [Entry; 17] = [
    entry("viral-spike", include_str!("../library/viral-spike.toml")),
    entry("primary-outage", include_str!("../library/primary-outage.toml")),
    entry("rate-limit-storm", include_str!("../library/rate-limit-storm.toml")),
    LESSONS[0].scenario,
    LESSONS[1].scenario,
    LESSONS[2].scenario,
    LESSONS[3].scenario,
    LESSONS[4].scenario,
    LESSONS[5].scenario,
    LESSONS[6].scenario,
    LESSONS[7].scenario,
    LESSONS[8].scenario,
    LESSONS[9].scenario,
    entry("azure-conversation", include_str!("../library/azure-conversation.toml")),
    entry("healthy-baseline", include_str!("../library/healthy-baseline.toml")),
    entry("max-tokens-tax", include_str!("../library/max-tokens-tax.toml")),
    entry("thousand-rps", include_str!("../library/thousand-rps.toml")),
];

const BARE: Entry = entry("closed-form/bare", include_str!("../routers/closed-form/bare.toml"));
const BUCKET: Entry =
    entry("closed-form/token-bucket", include_str!("../routers/closed-form/token-bucket.toml"));
const THREE: Entry =
    entry("closed-form/attempts", include_str!("../routers/closed-form/attempts.toml"));

const CLOSED_FORMS: [ClosedForm; 6] = [
    closed(entry("closed-form/mm1", include_str!("../library/closed-form/mm1.toml")), BARE),
    closed(entry("closed-form/mm10", include_str!("../library/closed-form/mm10.toml")), BARE),
    closed(
        entry("closed-form/erlang-b", include_str!("../library/closed-form/erlang-b.toml")),
        BARE,
    ),
    closed(
        entry("closed-form/token-bucket", include_str!("../library/closed-form/token-bucket.toml")),
        BUCKET,
    ),
    closed(
        entry("closed-form/fixed-window", include_str!("../library/closed-form/fixed-window.toml")),
        BARE,
    ),
    closed(
        entry("closed-form/attempts", include_str!("../library/closed-form/attempts.toml")),
        THREE,
    ),
];

/// The scenarios, in the order in which to meet them.
pub const fn scenarios() -> &'static [Entry] {
    &SCENARIOS
}

/// The scenarios that come with two routers of their own, in the same order.
pub const fn lessons() -> [Lesson; 10] {
    LESSONS
}

/// The worlds with known answers. They are found by name, but not offered.
pub const fn closed_forms() -> &'static [ClosedForm] {
    &CLOSED_FORMS
}

/// The scenario called `name`: `viral-spike`, `closed-form/mm1`.
pub fn find(name: &str) -> Option<Entry> {
    let closed = CLOSED_FORMS.iter().map(|form| form.scenario);
    SCENARIOS.into_iter().chain(closed).find(|entry| entry.name == name)
}

/// The routers that are offered.
pub fn routers() -> impl Iterator<Item = Entry> {
    let of_lessons = LESSONS.iter().flat_map(|lesson| [lesson.cured, lesson.careless]);
    [STARTER, THOUSAND].into_iter().chain(of_lessons)
}

/// The router called `name`: `starter`, `retry-storm-careless`, `closed-form/bare`.
pub fn router(name: &str) -> Option<Entry> {
    routers().chain([BARE, BUCKET, THREE]).find(|entry| entry.name == name)
}

const fn entry(name: &'static str, text: &'static str) -> Entry {
    Entry { name, text }
}

const fn closed(scenario: Entry, router: Entry) -> ClosedForm {
    ClosedForm { scenario, router }
}
