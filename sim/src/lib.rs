//! A world of seeded clients, providers and faults, on virtual time.

mod plan;

pub use plan::{
    Abandoned, Algorithm, Answer, Arrivals, Client, Demand, Effect, Fault, FirstToken, Lengths,
    Order, Outage, PerToken, Plan, Provider, Quota, Reserves, RetryAfter, Segment, Service, Shape,
    TraceRow, WhenFull,
};
