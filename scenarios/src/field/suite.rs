//! The keys of `seawall.toml`.

use super::{Keys, Kind, Table, count, given, later, nested};

/// `seawall.toml`, whole.
pub static SUITE_FILE: Table = Table {
    doc: "A team's router, scenarios and objectives.",
    fields: &[
        nested("suite", Kind::Table(&SUITE), "what is run"),
        nested(
            "slo",
            Kind::Map(Keys::Any, &Kind::Many(&Kind::Text)),
            "what must hold in every scenario, by test case",
        ),
        later("budget", "what a run may cost"),
    ],
};

static SUITE: Table = Table {
    doc: "What is run.",
    fields: &[
        given("router", Kind::Text, "router.toml", "the router, beside this file"),
        nested("scenarios", Kind::Many(&Kind::Text), "names from the library, or files"),
        given("seeds", count(1, 10_000), "1", "how many seeds of each scenario"),
    ],
};
