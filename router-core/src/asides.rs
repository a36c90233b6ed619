//! What only some flights have, so that the others need no room for it.

use alloc::vec::Vec;

use crate::flight::{Aside, NEVER, Try};
use crate::{Config, Strategy};

/// [`Aside`]s under small numbers; freed ones are used again, last freed first.
#[derive(Clone, Debug)]
pub(crate) struct Asides {
    slots: Vec<Aside>,
    free: Vec<u32>,
}

/// For how many there is room from the start where no policy looks at them.
const ROOM: usize = 1024;

impl Asides {
    /// Room for every flight if some policy looks at them.
    pub(crate) fn new(config: &Config) -> Self {
        let hedges = config.groups().iter().any(|group| {
            let sticky = match group.strategy {
                Strategy::Sticky => true,
                Strategy::Weighted { .. }
                | Strategy::LeastInFlight
                | Strategy::PowerOfTwo(_)
                | Strategy::Latency { .. }
                | Strategy::Usage
                | Strategy::Cost => false,
            };
            sticky || group.hedge.is_some()
        });
        let told = !config.tags().is_empty() || !config.regions().is_empty();
        let most = config.router().in_flight as usize;
        let room = if hedges || told { most } else { most.min(ROOM) };
        Self { slots: Vec::with_capacity(room), free: Vec::with_capacity(room) }
    }

    /// What is at `place`; nothing in particular at [`NEVER`].
    pub(crate) fn get(&self, place: u32) -> &Aside {
        if place == NEVER { &Aside::NONE } else { &self.slots[place as usize] }
    }

    /// What is at `place`, which is made if it is [`NEVER`].
    pub(crate) fn make(&mut self, place: &mut u32) -> &mut Aside {
        if *place == NEVER {
            *place = self.free.pop().unwrap_or_else(|| {
                self.slots.push(Aside::NONE);
                (self.slots.len() - 1) as u32
            });
        }
        &mut self.slots[*place as usize]
    }

    /// The twin at `place`, if there is such a place.
    pub(crate) fn twin_mut(&mut self, place: u32) -> Option<&mut Option<Try>> {
        self.slots.get_mut(place as usize).map(|aside| &mut aside.twin)
    }

    /// Gives a place back.
    pub(crate) fn free(&mut self, place: u32) {
        if place != NEVER {
            self.slots[place as usize] = Aside::NONE;
            self.free.push(place);
        }
    }
}
