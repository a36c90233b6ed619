//! A world of seeded clients, providers and faults, on virtual time.
//!
//! A [`Plan`] says what the world is made of; a [`World`] runs it against a router, event by
//! event, on one thread and without a clock:
//!
//! ```text
//! demand --arrival--> client --submit--> router --dispatch--> provider
//!                       ^                  |  ^                  |
//!                       +---- finish ------+  +------ news ------+
//! ```
//!
//! Every draw but arrivals is keyed by what it is for (request, deployment or fault, attempt),
//! so two routers meet the same world and an extra demand or fault disturbs no other draw.
//! Samplers are the crate's own, on `libm`, so a seed is one run on every platform.

mod agenda;
mod app;
mod arrivals;
mod attempt;
mod cache;
mod client;
mod fault;
mod mix;
mod plan;
mod preset;
mod provider;
mod quota;
mod replicas;
mod response;
mod rhythm;
mod sample;
mod sdk;
mod server;
mod service;
mod slab;
#[cfg(test)]
mod tests;
mod twin;
mod world;

pub use app::AppLog;
pub use mix::Mix;
pub use plan::{
    Abandoned, Algorithm, Answer, Application, Arrivals, BadEnd, Client, ComeBack, Demand, Effect,
    Fault, FirstToken, Lengths, Order, Outage, PerToken, Plan, Probe, PromptCache, Provider, Quota,
    Reload, Renumbered, Repeats, Replicated, Reserves, ResponseCache, RetryAfter, Rhythm, Segment,
    Service, Shape, StoreFault, TraceRow, WhenFull,
};
pub use preset::{PRESETS, preset};
pub use replicas::{Overshoot, ReplicaLog, Replicas};
pub use response::CacheLog;
pub use twin::{azure_conversation, azure_conversation_input, azure_conversation_output};
pub use world::{BYTES_PER_CALL, Tally, World};
