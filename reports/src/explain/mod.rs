//! What happened to one call, and where a metric went: told from a run that is flown again with
//! a journal that listens for it.

mod absent;
mod account;
mod accounts;
mod breakdown;
mod chains;
mod counted;
mod moments;
mod notables;
mod quota;
mod say;
mod spent;
mod steps;
mod story;
mod sums;
mod telling;
#[cfg(test)]
mod tests;
mod trail;
mod whereabouts;
mod wording;

pub(crate) use absent::absence;
pub use breakdown::Breakdown;
pub use notables::Notables;
pub use story::Story;
pub use telling::Setting;
