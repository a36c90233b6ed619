//! What a run is looked at through: its length, its bins and its named stretches of time.

use router_core::{DeploymentId, Span, Time};

/// The frame that figures are gathered in, known before the run.
#[derive(Clone, Debug)]
pub struct Frame {
    /// When the last arrival may come; series are binned over this.
    pub horizon: Time,
    /// The width of a bin of the time series.
    pub bin: Span,
    /// Stretches of time that expectations may name with `during=`: `normal`, `spike`, and every
    /// fault. A call belongs to those that its arrival falls in.
    pub phases: Vec<Phase>,
    /// The faults, in the scenario's order: bands in charts, and what `recovery(...)` names.
    pub faults: Vec<FaultBand>,
}

/// A named stretch of time, perhaps in several pieces.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Phase {
    /// What `during=` calls it.
    pub name: String,
    /// Its pieces: from, until (exclusive).
    pub pieces: Vec<(Time, Time)>,
}

/// A fault, as charts and recovery see it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FaultBand {
    /// What the scenario calls it.
    pub name: String,
    /// From when.
    pub from: Time,
    /// Until when; to the end if absent.
    pub until: Option<Time>,
    /// Where.
    pub on: Vec<DeploymentId>,
}
