//! The integration tests: one binary, one module per subject.

mod failing;
mod routing;
mod tidy;
