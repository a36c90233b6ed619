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

/// What `deploy-mid-spike` goes on with.
const NEXT: Entry =
    entry("deploy-mid-spike-next", include_str!("../routers/deploy-mid-spike-next.toml"));

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

const LESSONS: [Lesson; 19] = [
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
    lesson!("cold-caches"),
    lesson!("app-restart-loop"),
    lesson!("deploy-mid-spike"),
    lesson!("replica-staleness"),
    lesson!("store-outage"),
    lesson!("fixed-window-herd"),
    lesson!("cache-flush"),
    lesson!("spend-runaway"),
    lesson!("noisy-tenant"),
];

const SCENARIOS: [Entry; 26] = [
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
    LESSONS[10].scenario,
    LESSONS[11].scenario,
    LESSONS[12].scenario,
    LESSONS[13].scenario,
    LESSONS[14].scenario,
    LESSONS[15].scenario,
    LESSONS[16].scenario,
    LESSONS[17].scenario,
    LESSONS[18].scenario,
    entry("azure-conversation", include_str!("../library/azure-conversation.toml")),
    entry("healthy-baseline", include_str!("../library/healthy-baseline.toml")),
    entry("max-tokens-tax", include_str!("../library/max-tokens-tax.toml")),
    entry("thousand-rps", include_str!("../library/thousand-rps.toml")),
];

/// A world of `library/closed-form` and its router of `routers/closed-form`.
macro_rules! closed_form {
    ($scenario:literal, $router:literal) => {
        ClosedForm {
            scenario: entry(
                concat!("closed-form/", $scenario),
                include_str!(concat!("../library/closed-form/", $scenario, ".toml")),
            ),
            router: entry(
                concat!("closed-form/", $router),
                include_str!(concat!("../routers/closed-form/", $router, ".toml")),
            ),
        }
    };
}

const CLOSED_FORMS: [ClosedForm; 22] = [
    closed_form!("mm1", "bare"),
    closed_form!("mm10", "bare"),
    closed_form!("erlang-b", "bare"),
    closed_form!("token-bucket", "token-bucket"),
    closed_form!("fixed-window", "bare"),
    closed_form!("subject-rates", "subjects"),
    closed_form!("subject-places", "subjects"),
    closed_form!("queue-full", "queue-full"),
    closed_form!("queue-classes", "queue-classes"),
    closed_form!("attempts", "attempts"),
    closed_form!("two-choices", "two-choices"),
    closed_form!("retries-150", "retries"),
    closed_form!("retries-100", "retries"),
    closed_form!("retries-1010", "retries"),
    closed_form!("hedging", "hedging"),
    closed_form!("cooldown", "cooldown"),
    closed_form!("cooldown-rare", "cooldown"),
    closed_form!("breaker-30", "breaker"),
    closed_form!("breaker-50", "breaker"),
    closed_form!("trips-5", "breaker-fifth"),
    closed_form!("trips-30", "breaker-half"),
    closed_form!("trips-1", "breaker-half"),
];

/// The scenarios, in the order in which to meet them.
pub const fn scenarios() -> &'static [Entry] {
    &SCENARIOS
}

/// The scenarios that come with two routers of their own, in the same order.
pub const fn lessons() -> [Lesson; 19] {
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
    [STARTER, THOUSAND].into_iter().chain(of_lessons).chain([NEXT])
}

/// The router called `name`: `starter`, `retry-storm-careless`, `closed-form/bare`.
pub fn router(name: &str) -> Option<Entry> {
    let closed = CLOSED_FORMS.iter().map(|form| form.router);
    routers().chain(closed).find(|entry| entry.name == name)
}

const fn entry(name: &'static str, text: &'static str) -> Entry {
    Entry { name, text }
}
