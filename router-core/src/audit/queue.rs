//! Who waits for whom: the auditor's own queues.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

mod refused;
mod revised;

use super::flight::Flight;
use super::{Answer, Auditor, Invariant};
use crate::{
    Config, GroupId, Input, Observation, Order, Outcome, Output, Rejection, Request, RequestId,
    Span, Time,
};

/// Class, subject, tags and region.
pub(super) type Kin = (u8, u32, u64, u16);

/// What a turn costs a lane of weight one.
const TURN: u64 = 1 << 26;

#[derive(Clone, Debug, Default)]
struct Lane {
    requests: VecDeque<RequestId>,
    cost: u64,
    /// When its next turn begins on the class's clock, and how many turns were given out before.
    start: u64,
    turn: u64,
}

/// The queue of one group.
#[derive(Clone, Debug, Default)]
struct Line {
    lanes: BTreeMap<Kin, Lane>,
    /// The empty ones, in the order in which they became so.
    emptied: VecDeque<Kin>,
    /// By class: when the last turn began, and the latest that is known.
    clocks: [(u64, u64); 8],
    turns: u64,
    departed: Time,
    interval: u64,
}

impl Line {
    fn len(&self) -> usize {
        self.lanes.values().map(|lane| lane.requests.len()).sum()
    }

    fn waiting(&self, upto: u8) -> usize {
        let lanes = self.lanes.iter().filter(|(kin, _)| kin.0 <= upto);
        lanes.map(|(_, lane)| lane.requests.len()).sum()
    }

    fn in_class(&self, class: u8) -> usize {
        let lanes = self.lanes.iter().filter(|(kin, _)| kin.0 == class);
        lanes.map(|(_, lane)| lane.requests.len()).sum()
    }

    /// Whoever is first of those that ask for the same tags and region, in their order, with
    /// whether nothing may overtake it.
    fn firsts(&self) -> Vec<(RequestId, bool)> {
        let mut best: BTreeMap<(u64, u16), (u8, u64, u64, RequestId)> = BTreeMap::new();
        for ((class, _, tags, region), lane) in &self.lanes {
            let Some(first) = lane.requests.front() else { continue };
            let key = (*class, lane.start, lane.turn, *first);
            let known = best.entry((*tags, *region)).or_insert(key);
            *known = key.min(*known);
        }
        let mut firsts: Vec<_> = best.into_iter().map(|(ask, key)| (key, ask == (0, 0))).collect();
        firsts.sort_unstable();
        firsts.into_iter().map(|((_, _, _, id), plain)| (id, plain)).collect()
    }

    fn join(&mut self, size: usize, kin: Kin, cost: u64, now: Time) -> &mut Lane {
        if self.len() == 0 {
            self.departed = now;
        }
        if !self.lanes.contains_key(&kin) && self.lanes.len() >= 2 * size {
            let oldest = self.emptied.pop_front();
            oldest.and_then(|oldest| self.lanes.remove(&oldest));
        }
        self.emptied.retain(|empty| *empty != kin);
        let lane = self.lanes.entry(kin).or_default();
        lane.cost = cost;
        if lane.requests.is_empty() {
            self.turns += 1;
            lane.turn = self.turns;
            lane.start = lane.start.max(self.clocks[usize::from(kin.0)].0);
        }
        lane
    }

    fn leave(&mut self, kin: Kin, id: RequestId, served: bool) {
        let Some(lane) = self.lanes.get_mut(&kin) else { return };
        lane.requests.retain(|waiting| *waiting != id);
        let (clock, latest) = &mut self.clocks[usize::from(kin.0)];
        if served {
            *clock = lane.start.max(*clock);
            lane.start = *clock + lane.cost;
            *latest = lane.start.max(*latest);
        }
        if lane.requests.is_empty() {
            self.emptied.push_back(kin);
        } else if served {
            self.turns += 1;
            lane.turn = self.turns;
        }
        if self.in_class(kin.0) == 0 {
            let (clock, latest) = &mut self.clocks[usize::from(kin.0)];
            *clock = *latest;
        }
    }
}

/// Every group's queue, and how many requests of each are on their way.
#[derive(Clone, Debug)]
pub(super) struct Queues {
    lines: Vec<Line>,
    busy: Vec<u32>,
    /// Who was submitted last, and who left a full queue within this input: to make room for it.
    newcomer: Option<RequestId>,
    yielded: Option<(GroupId, Kin)>,
}

impl Queues {
    pub(super) fn new(config: &Config) -> Self {
        let groups = config.groups().len();
        let (lines, busy) = (vec![Line::default(); groups], vec![0; groups]);
        Self { lines, busy, newcomer: None, yielded: None }
    }

    pub(super) const fn came(&mut self, id: RequestId) {
        self.newcomer = Some(id);
    }

    /// Another input comes.
    pub(super) const fn turn_page(&mut self) {
        self.yielded = None;
    }

    /// A request is dispatched for the first time.
    pub(super) fn set_out(&mut self, config: &Config, flight: &mut Flight) {
        let home = flight.request.group.index();
        self.busy[home] += 1;
        if flight.queued.take().is_some() {
            self.put_out(config, flight);
        }
    }

    /// Who waits leaves, not because it is its turn.
    fn put_out(&mut self, config: &Config, flight: &Flight) {
        let (home, kin) = (flight.request.group, flight.kin(config));
        let line = &mut self.lines[home.index()];
        if line.len() >= room(config, home) {
            self.yielded = Some((home, kin));
        }
        line.leave(kin, flight.request.id, false);
    }

    /// Whether somebody waits, or did until it made room, whom such a newcomer may not overtake.
    fn block(&self, home: GroupId, newcomer: Kin) -> bool {
        let yielded = self.yielded.filter(|(group, _)| *group == home);
        let blocked = self.lines[home.index()].blocks(newcomer);
        blocked || yielded.is_some_and(|(_, kin)| holds_up(kin, newcomer))
    }

    /// A request is over.
    pub(super) fn over(&mut self, config: &Config, flight: &Flight) {
        let home = flight.request.group.index();
        if flight.attempts > 0 {
            self.busy[home] = self.busy[home].saturating_sub(1);
        }
        if flight.queued.is_some() {
            self.put_out(config, flight);
        }
    }

    pub(super) fn is_full(&self, config: &Config, home: GroupId) -> bool {
        self.busy[home.index()] >= config.group(home).in_flight
    }

    /// Whether somebody waits for a group.
    pub(super) fn has_line(&self, home: GroupId) -> bool {
        self.lines[home.index()].len() > 0
    }
}

fn kin(config: &Config, request: &Request) -> Kin {
    let subject = subject(config, request);
    (config.class(request.priority), subject, request.tags, request.region)
}

/// Whose turn a request waits for.
fn subject(config: &Config, request: &Request) -> u32 {
    let fair = config.group(request.group).queue.and_then(|queue| queue.fair);
    fair.map_or(0, |kind| request.subjects[usize::from(kind)])
}

fn cost(config: &Config, request: &Request) -> u64 {
    let fair = config.group(request.group).queue.and_then(|queue| queue.fair);
    let weight = |kind: u8| config.weight(kind, request.subjects[usize::from(kind)]);
    TURN / u64::from(fair.map_or(1, weight))
}

/// How many may wait for a group.
fn room(config: &Config, home: GroupId) -> usize {
    config.group(home).queue.map_or(0, |queue| queue.size as usize)
}

/// Until when a request may wait.
fn patience(config: &Config, flight: &Flight) -> Time {
    match config.group(flight.request.group).queue {
        Some(queue) if queue.timeout != Span::MAX => flight.submitted + queue.timeout,
        Some(_) | None => Time::MAX,
    }
}

type Said = Option<(Invariant, String)>;

impl Auditor {
    /// A queued request is mentioned, of which no deadline has come: it goes, or is refused.
    pub(super) fn called(&mut self, id: RequestId, output: &Output) {
        let goes = matches!(output, Output::Observe(Observation::Dequeued { .. }));
        // By more than rounding may move a rate's instant.
        let before = self.now - Span::from_micros(1);
        let free = |auditor: &Self, at: Time| {
            auditor.flights.get(&id).map_or(Answer::No, |flight| match flight.is_doomed(self.now) {
                true => Answer::No,
                false => auditor.takes(flight, at),
            })
        };
        // What could go before this instant did not wait for the input of this instant.
        let was_free = free(self, before);
        let first = match &self.pending {
            Some(Input::Cancel(request)) if !goes => *request != id,
            // These take effect before anybody goes.
            Some(Input::Reconfigure(_) | Input::Peers(_)) => false,
            Some(_) if goes => was_free != Answer::No,
            Some(_) | None => true,
        };
        if !first {
            self.apply();
        }
        let Some(flight) = self.flights.get_mut(&id) else { return };
        flight.deciding = true;
        (flight.at, flight.since) = (self.now, self.now);
        self.touched.push(id);
        self.list(id);
        if !goes && self.flights.get(&id).is_some_and(|flight| self.steps_early(flight, output)) {
            self.apply();
        }
    }

    /// A request that waits is said to make room for the newcomer, or to be refused by its subjects:
    /// if nothing spoke for that before the input of this instant, the input did.
    pub(super) fn turns_down(&mut self, id: RequestId, outcome: Outcome) {
        let Outcome::Reject(why) = outcome else { return };
        let Some(flight) = self.flights.get(&id).filter(|flight| flight.queued.is_some()) else {
            return;
        };
        let wrong = match why {
            Rejection::Subject { kind, what, earliest } => {
                self.is_refused(flight, kind, what, earliest).is_some()
            }
            Rejection::Budget { kind, earliest } => {
                self.is_too_dear(flight, kind, earliest).is_some()
            }
            Rejection::Drain
            | Rejection::NoDeployment(_)
            | Rejection::TooLong
            | Rejection::Full
            | Rejection::Duplicate
            | Rejection::Accounts
            | Rejection::GroupFull
            | Rejection::QueueFull(_)
            | Rejection::QueueTimeout(_) => false,
            Rejection::Shed(_) => true,
        };
        if wrong {
            self.apply();
        }
    }

    /// Whether somebody could take a request that waits for its first attempt.
    fn takes(&self, flight: &Flight, at: Time) -> Answer {
        let home = flight.request.group;
        if self.queues.is_full(&self.config, home) {
            return Answer::No;
        }
        let groups = core::iter::once(home).chain(self.candidates(flight, self.detour(flight)));
        let all = groups.flat_map(|group| {
            let members = self.config.group(group).present();
            members.map(move |(index, _)| self.could(flight, group, index, at))
        });
        all.fold(Answer::No, Answer::or).and(self.credit(flight, at))
    }

    /// A request is said to wait in its group's queue.
    pub(super) fn lines_up(&mut self, id: RequestId, said: &Observation) {
        self.premise(Invariant::WorkConservation);
        let Observation::Queued { group, class, ahead, .. } = *said else { return };
        let Some(flight) = self.flights.get(&id) else { return };
        let breach = self.misplaced(flight, group, class, ahead);
        if let Some((invariant, detail)) = breach {
            self.breach(invariant, Some(id), || detail);
        }
        let Some(flight) = self.flights.get_mut(&id) else { return };
        let config = &*self.config;
        let home = flight.request.group;
        let Some(queue) = config.group(home).queue else { return };
        flight.queued = Some((patience(config, flight), self.now));
        (flight.deciding, flight.scan) = (false, None);
        let kin = kin(config, &flight.request);
        flight.kin = Some(kin);
        let (cost, deadline) = (cost(config, &flight.request), flight.deadline);
        let line = &mut self.queues.lines[home.index()];
        let lane = line.join(queue.size as usize, kin, cost, self.now);
        let later = |other: &RequestId| {
            self.flights.get(other).is_some_and(|other| other.deadline > deadline)
        };
        lane.insert(queue.order, id, later);
    }

    /// Why a request should not wait in that queue, or not like that.
    fn misplaced(&self, flight: &Flight, group: GroupId, class: u8, ahead: u32) -> Said {
        let home = flight.request.group;
        let line = &self.queues.lines[home.index()];
        let Some(queue) = self.config.group(home).queue.filter(|_| group == home) else {
            return Some((Invariant::QueueBound, "waits where there is no queue for it".into()));
        };
        if line.len() >= queue.size as usize {
            let detail = format!("waits beside {} others", line.len());
            return Some((Invariant::QueueBound, detail));
        }
        let (right, before) = (self.config.class(flight.request.priority), line.waiting(class));
        if class != right || ahead as usize != before {
            let detail = format!("is of class {right} with {before} ahead, not {class}, {ahead}");
            return Some((Invariant::ClaimsHold, detail));
        }
        if flight.attempts > 0 || flight.queued.is_some() {
            return Some((Invariant::Conservation, "waits for a second time".into()));
        }
        if self.is_hopeless(flight) {
            return Some((Invariant::WorkConservation, "waits, though it fits nowhere".into()));
        }
        let held_up = self.queues.block(home, kin(&self.config, &flight.request));
        let idles = !held_up && self.takes(flight, self.now) == Answer::Yes;
        idles.then(|| (Invariant::WorkConservation, "waits, though it could go at once".into()))
    }

    /// A request is said to leave its queue for its first attempt.
    pub(super) fn goes(&mut self, id: RequestId, said: &Observation) {
        let Observation::Dequeued { group, class, waited, .. } = *said else { return };
        let Some(flight) = self.flights.get(&id) else { return };
        let home = flight.request.group;
        let kin = flight.kin(&self.config);
        let right = (home, kin.0, self.now.since(flight.submitted));
        if (group, class, waited) != right || flight.queued.is_none() {
            self.breach(Invariant::ClaimsHold, Some(id), || format!("does not leave as {said:?}"));
        }
        let Some(flight) = self.flights.get(&id).filter(|flight| flight.queued.is_some()) else {
            return;
        };
        let others = self.queues.lines[home.index()].len() > 1;
        let breach = self.overtakes(flight);
        let late = flight.is_doomed(self.now);
        if late {
            self.breach(Invariant::Punctual, Some(id), || "leaves when its wait is over".into());
        }
        if others {
            self.premise(Invariant::QueueOrder);
        }
        if let Some(detail) = breach {
            self.breach(Invariant::QueueOrder, Some(id), || detail);
        }
        let line = &mut self.queues.lines[home.index()];
        line.leave(kin, id, true);
        let last = self.now.since(line.departed).as_nanos();
        line.departed = self.now;
        line.interval = match line.interval {
            0 => last,
            mean => mean - mean / 8 + last / 8,
        };
        if let Some(flight) = self.flights.get_mut(&id) {
            flight.queued = None;
            flight.deciding = true;
            flight.called = true;
        }
    }

    /// Whom a request goes before that it should not.
    fn overtakes(&self, flight: &Flight) -> Option<String> {
        let id = flight.request.id;
        let ask = (flight.request.tags, flight.request.region);
        for (first, plain) in self.queues.lines[flight.request.group.index()].firsts() {
            if first == id {
                return None;
            }
            let other = self.flights.get(&first)?;
            if plain || ask == (other.request.tags, other.request.region) {
                return Some(format!("goes before {first}"));
            }
            if !other.is_doomed(self.now) && self.takes(other, self.now) == Answer::Yes {
                return Some(format!("goes before {first}, which somebody could take"));
            }
        }
        Some("goes, though others of its lane are first".into())
    }

    /// Nobody waits whom somebody could take, as far as nothing may overtake those that wait, and
    /// no more than there is room for.
    pub(super) fn nobody_idles(&mut self) {
        for home in (0..self.queues.lines.len()).map(GroupId::at) {
            let (now, waiting) = (self.now, self.queues.lines[home.index()].len());
            if let Some((first, why)) = self.idler(home) {
                self.breach(Invariant::WorkConservation, Some(first), || {
                    format!("still waits at {now}, though {why}")
                });
            }
            let size = room(&self.config, home);
            if waiting > size {
                let name = self.config.group(home).name.clone();
                self.breach(Invariant::QueueBound, None, || {
                    format!("{waiting} wait for `{name}`, which has room for {size}")
                });
            }
        }
    }

    /// Somebody who waits for a group and whom nobody is ahead of, though somebody could take it, or
    /// nobody ever will.
    fn idler(&self, home: GroupId) -> Option<(RequestId, &'static str)> {
        if !self.queues.has_line(home) || self.queues.is_full(&self.config, home) {
            return None;
        }
        for (first, plain) in self.queues.lines[home.index()].firsts() {
            let flight = self.flights.get(&first)?;
            if !flight.is_doomed(self.now) && self.takes(flight, self.now) == Answer::Yes {
                return Some((first, "somebody could take it"));
            }
            if !flight.is_doomed(self.now) && self.is_hopeless(flight) {
                return Some((first, "nobody ever will take it"));
            }
            if plain {
                break;
            }
        }
        None
    }

    /// Whether time changes nothing about what keeps a request from everybody it may go to.
    fn is_hopeless(&self, flight: &Flight) -> bool {
        let home = flight.request.group;
        let mut groups = core::iter::once(home).chain(self.candidates(flight, self.detour(flight)));
        groups.all(|group| {
            let mut members = self.config.group(group).present();
            members.all(|(index, _)| self.unfit(flight, group, index).is_some())
        })
    }

    /// Why a first attempt should not be made yet.
    pub(super) fn pushes_in(&self, flight: &Flight, group: GroupId) -> Said {
        let home = flight.request.group;
        if flight.attempts > 0 {
            return None;
        }
        if self.queues.is_full(&self.config, home) {
            let name = &self.config.group(home).name;
            return Some((Invariant::Parallel, format!("goes, though `{name}` is full")));
        }
        let line = &self.queues.lines[home.index()];
        let waits = !(flight.called || self.steps(flight, group))
            && line.blocks(kin(&self.config, &flight.request));
        waits.then(|| (Invariant::QueueOrder, "goes before those that wait".into()))
    }
}

impl Lane {
    fn insert(&mut self, order: Order, id: RequestId, later: impl Fn(&RequestId) -> bool) {
        let place = match order {
            Order::Fifo => self.requests.len(),
            Order::Lifo => 0,
            Order::Deadline => self.requests.iter().position(later).unwrap_or(self.requests.len()),
        };
        self.requests.insert(place, id);
    }

    /// How long it is for its weight.
    fn length(&self) -> u64 {
        self.requests.len() as u64 * self.cost
    }
}

impl Line {
    /// Who might make room for a newcomer: the last of the longest lanes of the least urgent
    /// class, the newcomer's counted with it. Nobody if it is the newcomer who does.
    fn gives_way(
        &self,
        newcomer: (Kin, u64),
        comes_last: impl Fn(RequestId) -> bool,
    ) -> Vec<RequestId> {
        let (kin, cost) = newcomer;
        let (last, longest) = self.longest();
        let own = self.lanes.get(&kin);
        let length = (own.map_or(0, |lane| lane.requests.len() as u64) + 1) * cost;
        if kin.0 < last || kin.0 == last && length < longest {
            return self.lasts();
        }
        let tail = own.and_then(|lane| lane.requests.back()).filter(|_| kin.0 == last);
        tail.copied().into_iter().filter(|tail| !comes_last(*tail)).collect()
    }

    /// The least urgent class of those that wait, and its longest lane's length.
    fn longest(&self) -> (u8, u64) {
        let full = self.lanes.iter().filter(|(_, lane)| !lane.requests.is_empty());
        full.map(|(kin, lane)| (kin.0, lane.length())).max().unwrap_or_default()
    }

    /// The last of each of the longest lanes of the least urgent class.
    fn lasts(&self) -> Vec<RequestId> {
        let longest = self.longest();
        let lanes = self.lanes.iter().filter(|(kin, lane)| (kin.0, lane.length()) == longest);
        lanes.filter_map(|(_, lane)| lane.requests.back().copied()).collect()
    }

    /// Whether somebody waits whom such a newcomer may not overtake.
    fn blocks(&self, newcomer: Kin) -> bool {
        let mut full = self.lanes.iter().filter(|(_, lane)| !lane.requests.is_empty());
        full.any(|(kin, _)| holds_up(*kin, newcomer))
    }
}

/// Whether a newcomer may not overtake who is of this kin.
fn holds_up(kin: Kin, (class, _, tags, region): Kin) -> bool {
    kin.0 <= class && ((kin.2, kin.3) == (0, 0) || (kin.2, kin.3) == (tags, region))
}

impl Flight {
    fn kin(&self, config: &Config) -> Kin {
        self.kin.unwrap_or_else(|| kin(config, &self.request))
    }

    /// Whether its deadline or the end of its wait has come.
    fn is_doomed(&self, now: Time) -> bool {
        self.deadline <= now || self.queued.is_some_and(|(until, _)| until < now)
    }
}
