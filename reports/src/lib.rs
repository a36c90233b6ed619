//! From observations to figures, verdicts, tables and charts.

mod figures;
mod fold;
mod frame;
mod histogram;
mod rests;
#[cfg(test)]
mod sample;
mod segments;
mod share;

pub use figures::{
    ABANDONS, Attempts, AttemptsInBin, Beat, Bin, CAUSES, Calls, CallsInBin, Figures, GIVE_UPS,
    KINDS, Lost, Outcomes, Part, Pulse, REASONS, REJECTIONS, Rest, StrandedSeconds, WAITS, Waited,
    rejection_index,
};
pub use fold::Fold;
pub use frame::{FaultBand, Frame, Phase};
pub use histogram::{Coarse, Fine, Histogram};
pub use share::ExpectedShare;
