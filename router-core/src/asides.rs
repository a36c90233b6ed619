//! What only some flights have, so that the others need no room for it.

use alloc::vec::Vec;

use crate::account::{KINDS, Payer};
use crate::flight::{Aside, NEVER, Try};
use crate::{Cached, Config, Request, Strategy};

/// [`Aside`]s under small numbers; freed ones are used again, last freed first.
#[derive(Clone, Debug)]
pub(crate) struct Asides {
    slots: Vec<Aside>,
    free: Vec<u32>,
    /// Whether some group keeps together what belongs together.
    sticky: bool,
    /// How many kinds of subjects there are.
    kinds: usize,
    /// The groups, as a set, whose ladders ask what the cache holds when a request has failed.
    laddered: u64,
}

/// For how many there is room from the start where no policy looks at them.
const ROOM: usize = 1024;

impl Asides {
    /// Room for every flight if some policy looks at them.
    pub(crate) fn new(config: &Config) -> Self {
        let mut asides =
            Self { slots: Vec::new(), free: Vec::new(), sticky: false, kinds: 0, laddered: 0 };
        asides.revise(config);
        asides
    }

    /// Other policies may look at them now.
    pub(crate) fn revise(&mut self, config: &Config) {
        self.sticky = config.groups().iter().any(|group| match group.strategy {
            Strategy::Sticky => true,
            Strategy::Weighted { .. }
            | Strategy::LeastInFlight
            | Strategy::PowerOfTwo(_)
            | Strategy::Latency { .. }
            | Strategy::Usage
            | Strategy::Cost => false,
        });
        let groups = config.groups().iter().enumerate();
        self.laddered = groups
            .filter(|(_, group)| group.ladder.remembers())
            .fold(0, |set, (index, _)| set | 1 << index);
        let hedges = config.groups().iter().any(|group| group.hedge.is_some());
        let told = !config.tags().is_empty() || !config.regions().is_empty();
        self.kinds = config.kinds().len();
        let most = config.router().in_flight as usize;
        let room = if self.sticky || hedges || told || self.kinds > 0 || self.laddered != 0 {
            most
        } else {
            most.min(ROOM)
        };
        self.slots.reserve_exact(room.saturating_sub(self.slots.len()));
        self.free.reserve_exact(room.saturating_sub(self.free.len()));
    }

    /// Whether there is something to keep of a request. Most requests have nothing, and an
    /// [`Aside`] is large enough to be felt if each is asked.
    #[inline]
    pub(crate) const fn wants(&self, request: &Request) -> bool {
        let [a, b, c, d] = request.subjects;
        request.tags != 0
            || request.region != 0
            || self.sticky && request.affinity != 0
            || self.kinds > 0 && a | b | c | d != 0
            || self.asks(request) && !matches!(request.cached, Cached::None)
    }

    /// Whether the ladder of a request's group asks for the cache's word when it has failed.
    const fn asks(&self, request: &Request) -> bool {
        self.laddered >> request.group.index() & 1 != 0
    }

    /// What there is to keep of a request. Its affinity, its subjects and the cache's word only if
    /// somebody looks at them.
    pub(crate) const fn of(&self, request: &Request) -> Aside {
        let Request { tags, affinity, region, subjects, cached, .. } = *request;
        let cached = if self.asks(request) { cached } else { Cached::None };
        let affinity = if self.sticky { affinity } else { 0 };
        let mut payer = Payer::NONE;
        let mut kind = 0;
        while kind < self.kinds && kind < KINDS {
            payer.subjects[kind] = subjects[kind];
            kind += 1;
        }
        Aside { tags, affinity, region, payer, cached, twin: None }
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
