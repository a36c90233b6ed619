//! A world of seeded clients, providers and faults, on virtual time.

mod agenda;
mod arrivals;
mod client;
mod fault;
mod plan;
mod provider;
mod quota;
mod sample;
mod service;
mod slab;
#[cfg(test)]
mod tests;
mod world;

pub use plan::{
    Abandoned, Algorithm, Answer, Arrivals, Client, Demand, Effect, Fault, FirstToken, Lengths,
    Order, Outage, PerToken, Plan, Provider, Quota, Reserves, RetryAfter, Segment, Service, Shape,
    TraceRow, WhenFull,
};
pub use world::{Tally, World};
