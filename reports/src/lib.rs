//! From observations to figures, verdicts, tables and charts.

mod frame;

pub use frame::{FaultBand, Frame, Phase};
