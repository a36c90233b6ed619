//! How a run ends for whoever called it.

/// The exit codes, from the least to the worst of a suite.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Exit {
    /// Everything asked for holds.
    Pass,
    /// Bad usage, or an invalid file. Nothing was written.
    Usage,
    /// NO DATA, or a fault that never fired.
    Undecided,
    /// An expectation or objective failed.
    Failed,
    /// No recovery after the last fault healed.
    Metastable,
    /// The environment failed: a full disk, a folder that cannot be written.
    Environment,
    /// An invariant was violated.
    Invariant,
    /// Two runs of the same seed differ.
    Nondeterminism,
}

impl Exit {
    /// The process's exit code.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Pass => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Invariant => 3,
            Self::Metastable => 4,
            Self::Nondeterminism => 5,
            Self::Undecided => 6,
            Self::Environment => 7,
        }
    }
}

/// Why a verb could not go on, in words for people.
#[derive(Debug)]
pub(crate) struct Stop {
    pub(crate) exit: Exit,
    pub(crate) message: String,
}

impl Stop {
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, message: message.into() }
    }

    pub(crate) fn environment(what: &str, error: &std::io::Error) -> Self {
        Self { exit: Exit::Environment, message: format!("{what}: {error}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_of_a_suite_wins() {
        use Exit::{
            Environment, Failed, Invariant, Metastable, Nondeterminism, Pass, Undecided, Usage,
        };
        let order = [Nondeterminism, Invariant, Environment, Metastable, Failed, Undecided, Usage];
        assert!(order.is_sorted_by(|worse, better| worse > better));
        assert!(Usage > Pass);
    }
}
