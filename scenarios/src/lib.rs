//! The files people write: routers, scenarios, suites.

pub mod library;
pub mod price;
pub mod resolve;
pub mod trace;
mod twin;
pub mod written;
