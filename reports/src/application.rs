//! What became of the application between the users and the gateway.

use router_core::{Span, Time};

use crate::Figures;
use crate::words::{count, percent};

/// The application, and what happened to its replicas.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Application {
    /// How many replicas there are.
    pub replicas: u16,
    /// How long one is gone that is restarted.
    pub restart: Span,
    /// When which replica was restarted since its probes failed, in order of time.
    pub restarts: Vec<(Time, u16)>,
    /// When a call found no replica with room.
    pub refused: Vec<Time>,
    /// When a call died with its replica.
    pub cut: Vec<Time>,
}

impl Application {
    /// How long replicas were down until `end`, added up, in nanoseconds; and how long there were
    /// any, likewise.
    pub(crate) fn down(&self, end: Time) -> (u128, u128) {
        let each = self.restarts.iter().map(|&(at, _)| end.since(at).min(self.restart));
        let down = each.map(|span| u128::from(span.as_nanos())).sum();
        (down, u128::from(end.as_nanos()) * u128::from(self.replicas))
    }

    /// The calls that were refused, or died with a replica, within `pieces`.
    pub(crate) fn lost(&self, pieces: &[(Time, Time)]) -> u64 {
        let within = |at: &&Time| pieces.iter().any(|(from, until)| (from..until).contains(at));
        self.refused.iter().chain(&self.cut).filter(within).count() as u64
    }
}

/// A line for the summary, if there was an application.
pub(crate) fn fact(figures: &Figures) -> Option<String> {
    let app = figures.application.as_ref()?;
    let (down, all) = app.down(figures.end);
    let share = percent(down as f64 / (all as f64).max(1.0));
    let calls = |times: &[Time], what| match times.len() as u64 {
        0 => String::new(),
        1 => format!(", 1 call {what}"),
        n => format!(", {} calls {what}", count(n)),
    };
    let restarts = match app.restarts.len() as u64 {
        0 => "nobody was restarted".to_owned(),
        1 => format!("1 restart, down {share} of the time"),
        n => format!("{} restarts, down {share} of the time", count(n)),
    };
    let replicas = match app.replicas {
        1 => "1 replica".to_owned(),
        n => format!("{} replicas", count(n.into())),
    };
    let refused = calls(&app.refused, "found no room");
    let cut = calls(&app.cut, "died with a replica");
    Some(format!("{replicas}: {restarts}{refused}{cut}"))
}
