//! The run cut at every edge of every phase, so that an event is counted once however many
//! phases it belongs to.

use router_core::{Config, Time};

use crate::{Calls, Frame, Part};

/// One part for each stretch between neighbouring edges.
#[derive(Clone, Debug)]
pub(crate) struct Segments {
    /// Where each begins, ascending, the first at zero.
    starts: Vec<Time>,
    parts: Vec<Part>,
    current: usize,
}

impl Segments {
    pub(crate) fn new(config: &Config, frame: &Frame) -> Self {
        let edges = frame.phases.iter().flat_map(|phase| &phase.pieces);
        let mut starts: Vec<Time> = edges.flat_map(|&(from, until)| [from, until]).collect();
        starts.push(Time::ZERO);
        starts.sort_unstable();
        starts.dedup();
        Self { parts: vec![Part::new(config, frame); starts.len()], starts, current: 0 }
    }

    /// Time has come to `now`, which is not before where it was.
    pub(crate) fn advance(&mut self, now: Time) {
        while self.starts.get(self.current + 1).is_some_and(|&start| start <= now) {
            self.current += 1;
        }
    }

    /// The part that now is in.
    pub(crate) fn current(&mut self) -> &mut Part {
        &mut self.parts[self.current]
    }

    /// The part that `past` is in.
    pub(crate) fn at(&mut self, past: Time) -> &mut Part {
        let mut segment = self.current;
        while self.starts[segment] > past {
            segment -= 1;
        }
        &mut self.parts[segment]
    }

    /// The whole, and each phase of `frame`.
    pub(crate) fn finish(self, config: &Config, frame: &Frame) -> (Part, Vec<Part>) {
        let sum = |belongs: &dyn Fn(Time) -> bool| {
            let mut sum = Part::new(config, frame);
            for (start, part) in self.starts.iter().zip(&self.parts) {
                if belongs(*start) {
                    merge(&mut sum, part);
                }
            }
            for group in &sum.groups {
                sum.calls.merge(group);
            }
            sum
        };
        let phases = frame.phases.iter().map(|phase| {
            sum(&|start| phase.pieces.iter().any(|&(from, until)| from <= start && start < until))
        });
        let phases = phases.collect();
        (sum(&|_| true), phases)
    }
}

fn merge(sum: &mut Part, part: &Part) {
    assert_eq!(part.calls, Calls::default(), "only groups are counted as events happen");
    for (sum, part) in sum.groups.iter_mut().zip(&part.groups) {
        sum.merge(part);
    }
    for (sum, part) in sum.deployments.iter_mut().zip(&part.deployments) {
        sum.merge(part);
    }
    for (sum, part) in sum.members.iter_mut().zip(&part.members) {
        *sum += part;
    }
    for (sum, part) in sum.memberships.iter_mut().zip(&part.memberships) {
        sum.merge(part);
    }
    for (sum, part) in sum.purses.iter_mut().zip(&part.purses) {
        sum.merge(part);
    }
}
