//! From observations to figures, verdicts, tables and charts.

mod figures;
mod frame;
mod histogram;
#[cfg(test)]
mod sample;
mod share;

pub use figures::{
    ABANDONS, Attempts, AttemptsInBin, Beat, Bin, CAUSES, Calls, CallsInBin, Figures, GIVE_UPS,
    KINDS, Lost, Outcomes, Part, Pulse, REASONS, REJECTIONS, Rest, StrandedSeconds, WAITS, Waited,
    rejection_index,
};
pub use frame::{FaultBand, Frame, Phase};
pub use histogram::{Coarse, Fine, Histogram};
pub use share::ExpectedShare;
