//! The integration tests: one binary, one module per subject.

mod breaker;
#[cfg(not(debug_assertions))]
mod closed_form;
mod cooldown;
mod failing;
mod frugal;
mod metamorphic;
mod routing;
mod swarm;
mod tidy;
