//! The integration tests: one binary, one module per subject.

mod failing;
mod metamorphic;
mod routing;
mod tidy;
