//! The files people write: routers, scenarios, suites.

pub mod diagnostic;
pub mod field;
pub mod file;
mod foreign;
pub mod library;
pub mod price;
mod print;
pub mod quantity;
mod read;
pub mod resolve;
pub mod router;
pub mod scenario;
mod schema;
pub mod suite;
#[cfg(test)]
mod tests;
pub mod trace;
pub mod written;
