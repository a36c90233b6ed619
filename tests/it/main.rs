//! The integration tests: one binary, one module per subject.

#[cfg(not(debug_assertions))]
mod closed_form;
mod failing;
mod frugal;
mod metamorphic;
mod routing;
mod swarm;
mod tidy;
