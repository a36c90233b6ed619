//! The keys of `seawall.toml`.

use super::{Keys, Kind, Table, given, later, nested};

/// `seawall.toml`, whole.
pub static SUITE_FILE: Table = Table {
    doc: "A team's router, scenarios and objectives.",
    fields: &[
        nested("suite", Kind::Table(&SUITE), "what is run and checked"),
        nested(
            "slo",
            Kind::Map(Keys::Any, &Kind::Many(&Kind::Text)),
            "what must hold in every scenario, by test case",
        ),
        later("budget", "what a run may cost"),
    ],
};

static SUITE: Table = Table {
    doc: "What is run and checked.",
    fields: &[
        given("router", Kind::Text, "router.toml", "the router, beside this file"),
        nested(
            "scenarios",
            Kind::Many(&Kind::Text),
            "names from the library, or files: what `check` looks at; `run` is given its own",
        ),
        later("seeds", "how many seeds of each scenario"),
    ],
};
