//! The files people write: routers, scenarios, suites.

pub mod written;
