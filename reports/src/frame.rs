//! What a run is looked at through: its length, its bins and its named stretches of time.

use router_core::{DeploymentId, Kind, Span, Time};

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
    /// On whose account calls are, and what they are labelled with.
    pub payers: Payers,
}

/// On whose account calls are, and what they are labelled with: what spending is told apart by.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Payers {
    /// The kinds of subjects, in the places of [`router_core::Request::subjects`].
    pub kinds: Vec<Names>,
    /// The properties, in the places of [`router_core::Request::properties`].
    pub properties: Vec<Names>,
}

/// The subjects of one kind, or the labels of one property, that have names.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Names {
    /// What the kind or the property is called.
    pub name: String,
    /// Everybody with a name, counted from 1. Whoever comes after them has none.
    pub names: Vec<String>,
    /// How many of the first have, or once had, an entry of their own in the router's file.
    pub own: usize,
    /// Where the numbers from [`Kind::OTHERS`] on that have names stand among them, in order.
    pub others: Vec<u32>,
}

impl Names {
    /// The place, counted from 1, of whom a request or an observation names by `number`. (One
    /// subject has two numbers in a run if it gets an entry of its own on the way.)
    pub(crate) fn place(&self, number: u32) -> u32 {
        let Some(other) = number.checked_sub(Kind::OTHERS) else { return number };
        let unnamed = || self.names.len() as u32 + 1 + other - self.others.len() as u32;
        self.others.get(other as usize).copied().unwrap_or_else(unnamed)
    }
}

impl Payers {
    /// What the subject of a kind is called that a request names by `number`: `org=acme`; `org=#3`
    /// for the third without a name.
    pub fn whose(&self, kind: usize, number: u32) -> String {
        match self.kinds.get(kind) {
            Some(names) => format!("{}={}", names.name, names.of(names.place(number))),
            None => format!("#{number}"),
        }
    }

    /// The kind or property called `key`: its place among kinds, then properties, and its names.
    pub fn find(&self, key: &str) -> Option<(usize, &Names)> {
        let mut all = self.kinds.iter().chain(&self.properties).enumerate();
        all.find(|(_, names)| names.name == key)
    }
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
