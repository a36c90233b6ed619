//! A world of seeded clients, providers and faults, on virtual time.

mod agenda;
mod arrivals;
mod attempt;
mod client;
mod fault;
mod plan;
mod preset;
mod provider;
mod quota;
mod sample;
mod sdk;
mod service;
mod slab;
#[cfg(test)]
mod tests;
mod twin;
mod world;

pub use plan::{
    Abandoned, Algorithm, Answer, Arrivals, Client, Demand, Effect, Fault, FirstToken, Lengths,
    Order, Outage, PerToken, Plan, Provider, Quota, Reserves, RetryAfter, Segment, Service, Shape,
    TraceRow, WhenFull,
};
pub use preset::{PRESETS, preset};
pub use twin::{azure_conversation, azure_conversation_input, azure_conversation_output};
pub use world::{Tally, World};
