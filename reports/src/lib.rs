//! From observations to figures, verdicts, tables and charts.

mod application;
mod blame;
mod breaker_facts;
mod breakers;
mod budgets;
mod calls;
mod chart;
mod expect;
mod explain;
mod facts;
mod figures;
mod fold;
mod frame;
mod histogram;
mod html;
mod junit;
#[cfg(test)]
mod made_up;
mod membership;
mod outs;
mod page;
mod queues;
mod recovery;
mod replicas;
mod report;
mod rests;
mod rows;
mod run_file;
mod rungs;
#[cfg(test)]
mod sample;
mod seeds;
mod seeds_report;
mod segments;
mod series;
mod share;
mod spend;
mod spending;
mod summary;
mod table;
mod tables;
#[cfg(test)]
mod tests;
mod words;

pub use application::Application;
pub use blame::{Blame, failures, lost_time};
pub use breakers::{Spell, SpellKind};
pub use calls::{CallLog, ROWS};
pub use chart::{Chart, Staleness, staleness};
pub use expect::{
    Expectation, Judgement, Metric, Mistake, Op, Quantity, Selectors, Sent, Shared, Stat, Verdict,
    Whose,
};
pub use explain::{Breakdown, Notables, Setting, Story};
pub use figures::{
    ABANDONS, Attempts, CAUSES, Calls, Figures, GIVE_UPS, HOLDS, KINDS, Lost, Outcomes, Part,
    RANKS, REASONS, REJECTIONS, Rest, Seconds, WAITS, Waited, rejection_index,
};
pub use fold::Fold;
pub use frame::{FaultBand, Frame, Names, Payers, Phase};
pub use histogram::{Coarse, Fine, Histogram};
pub use membership::{CLASSES, Membership, Outrun, TURNS, class_index};
pub use queues::{Bounds, Door, InClass};
pub use recovery::{Recovery, Unknown};
pub use replicas::Replicas;
pub use report::{Judged, Report};
pub use run_file::{Engine, Hashes, RUN_FILE_FORMAT, RunFile, RunVerdict, Totals};
pub use rungs::{AnswerCache, Given, Rungs};
pub use seeds::{CONFIDENCE, Chance, Estimate, headlines, wilson};
pub use seeds_report::{SeedRun, SeedsReport};
pub use series::{AttemptsInBin, Beat, Bin, CallsInBin, Pulse};
pub use share::ExpectedShare;
pub use spend::{Budgets, Crowd, LARGEST, NEWS, Purse, TRACKS, Track, UsedUp};
pub use spending::spend_csv;
pub use tables::{deployments_csv, series_csv};
