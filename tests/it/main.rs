//! The integration tests: one binary, one module per subject.

mod adaptive;
mod breaker;
#[cfg(not(debug_assertions))]
mod closed_form;
mod conformance;
mod conformance_choice;
mod conformance_cooldown;
mod conformance_fallbacks;
mod conformance_hedges;
mod conformance_limits;
mod conformance_retries;
mod conformance_tables;
mod conformance_timeouts;
mod cooldown;
mod failing;
mod frugal;
mod ladder;
mod metamorphic;
mod peers;
mod play;
mod queue;
mod replicas;
mod revise;
mod routing;
mod shares;
mod staleness;
mod strategies;
mod subjects;
mod swarm;
mod tidy;
mod worst;
