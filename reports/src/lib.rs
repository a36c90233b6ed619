//! From observations to figures, verdicts, tables and charts.

mod expect;
mod figures;
mod fold;
mod frame;
mod histogram;
mod recovery;
mod rests;
#[cfg(test)]
mod sample;
mod seeds;
mod segments;
mod series;
mod share;

pub use expect::{Expectation, Judgement, Metric, Mistake, Op, Quantity, Selectors, Stat, Verdict};
pub use figures::{
    ABANDONS, Attempts, CAUSES, Calls, Figures, GIVE_UPS, KINDS, Lost, Outcomes, Part, REASONS,
    REJECTIONS, Rest, StrandedSeconds, WAITS, Waited, rejection_index,
};
pub use fold::Fold;
pub use frame::{FaultBand, Frame, Phase};
pub use histogram::{Coarse, Fine, Histogram};
pub use recovery::{Recovery, Unknown};
pub use seeds::{CONFIDENCE, Chance, Estimate, headlines, wilson};
pub use series::{AttemptsInBin, Beat, Bin, CallsInBin, Pulse};
pub use share::ExpectedShare;
