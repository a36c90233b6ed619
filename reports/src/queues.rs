//! What became of requests at the queues and bounds of their groups.

use std::collections::BTreeMap;

use router_core::{Config, GroupId, Rejection, RequestId, Span};

use crate::expect::Selectors;
use crate::table::{Side, Table};
use crate::words::{self, NONE, count, percent, secs};
use crate::{Calls, Figures, Fine, Part, RANKS};

/// What bounds one group's requests.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Bounds {
    /// The most on their way at once, if there is a bound.
    pub in_flight: Option<u32>,
    /// The most that wait at once; zero without a queue.
    pub size: u32,
}

/// What became of the submissions of one class, by the instant at which it did.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct InClass {
    /// Submissions.
    pub submissions: u64,
    /// Those that waited.
    pub waited: u64,
    /// How long those waited that left the queue for an attempt.
    pub wait: Fine,
    /// Those that a bound turned away, by [`Door`].
    pub turned_away: [u64; Door::ALL.len()],
}

/// Why a bound turns a request away.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Door {
    /// Its group is full and has no queue.
    Group,
    /// The queue is full.
    Queue,
    /// It waited as long as it may.
    Time,
    /// It waited, and made room for another.
    Shed,
}

/// How many wait, by group and class, and who does.
#[derive(Clone, Debug)]
pub(crate) struct Lines {
    /// Whether any group has a queue or a bound; if not, nothing of this is looked at.
    pub(crate) any: bool,
    who: BTreeMap<RequestId, (GroupId, u8)>,
    waiting: Vec<[u32; RANKS]>,
    /// The class that each source's requests are of.
    classes: Vec<u8>,
    /// The last bin that knows how many wait.
    bin: usize,
}

impl Door {
    /// All, in the order in which tables name them.
    pub const ALL: [Self; 4] = [Self::Group, Self::Queue, Self::Time, Self::Shed];

    /// Which of them a rejection names, if any.
    pub const fn of(rejection: Rejection) -> Option<Self> {
        match rejection {
            Rejection::GroupFull => Some(Self::Group),
            Rejection::QueueFull(_) => Some(Self::Queue),
            Rejection::QueueTimeout(_) => Some(Self::Time),
            Rejection::Shed(_) => Some(Self::Shed),
            Rejection::Drain
            | Rejection::NoDeployment(_)
            | Rejection::Full
            | Rejection::Duplicate
            | Rejection::TooLong
            | Rejection::Subject { .. }
            | Rejection::Budget { .. }
            | Rejection::Accounts => None,
        }
    }

    /// In words that follow a count.
    const fn told(self) -> &'static str {
        match self {
            Self::Group => "group full",
            Self::Queue => "queue full",
            Self::Time => "waited too long",
            Self::Shed => "pushed out",
        }
    }
}

impl InClass {
    /// Adds everything that `other` counted.
    pub fn merge(&mut self, other: &Self) {
        self.submissions += other.submissions;
        self.waited += other.waited;
        self.wait.merge(&other.wait);
        for (mine, theirs) in self.turned_away.iter_mut().zip(other.turned_away) {
            *mine += theirs;
        }
    }

    /// What became of each, only what there was: the sum is all of them.
    fn ways(&self) -> Vec<(u64, &'static str)> {
        let [group, queue, time, shed] = self.turned_away;
        let at_once = self.submissions.saturating_sub(self.waited + group + queue);
        let else_left = self.waited.saturating_sub(self.wait.count() + time + shed);
        let mut ways = vec![
            (at_once, "never waited"),
            (self.wait.count(), "waited, and went"),
            (group, Door::Group.told()),
            (queue, Door::Queue.told()),
            (time, Door::Time.told()),
            (shed, Door::Shed.told()),
            (else_left, "left, or were refused, in the queue"),
        ];
        ways.retain(|(n, _)| *n > 0);
        ways
    }

    /// Those that some bound turned away.
    pub fn refused(&self) -> u64 {
        self.turned_away.iter().sum()
    }
}

impl Calls {
    /// What became of submissions at queues and bounds: of one class, or of all.
    pub fn in_class(&self, class: Option<u8>) -> InClass {
        let chosen = self.classes.iter().enumerate();
        let chosen =
            chosen.filter(|(place, _)| class.is_none_or(|class| usize::from(class) == *place));
        chosen.fold(InClass::default(), |mut sum, (_, one)| {
            sum.merge(one);
            sum
        })
    }

    pub(crate) fn class(&mut self, class: u8) -> &mut InClass {
        let place = usize::from(class);
        if self.classes.len() <= place {
            self.classes.resize_with(place + 1, InClass::default);
        }
        &mut self.classes[place]
    }
}

impl Bounds {
    /// By group.
    pub(crate) fn of(config: &Config) -> Vec<Option<Self>> {
        let groups = config.groups().iter().map(|group| {
            let in_flight = (group.in_flight < u32::MAX).then_some(group.in_flight);
            let size = group.queue.map_or(0, |queue| queue.size);
            group.is_gated.then_some(Self { in_flight, size })
        });
        groups.collect()
    }
}

/// Whether some group has a queue or a bound.
pub(crate) fn is_gated(config: &Config) -> bool {
    config.groups().iter().any(|group| group.is_gated)
}

impl Lines {
    pub(crate) fn new(config: &Config, whole: &Config) -> Self {
        Self {
            any: is_gated(config) || is_gated(whole),
            who: BTreeMap::new(),
            waiting: vec![[0; RANKS]; whole.groups().len()],
            classes: Vec::new(),
            bin: 0,
        }
    }

    /// A submission of a class.
    pub(crate) fn submitted(
        &mut self,
        part: &mut Part,
        (id, group): (RequestId, GroupId),
        class: u8,
    ) {
        let source = usize::from(id.source());
        if self.classes.len() <= source {
            self.classes.resize(source + 1, class);
        }
        self.classes[source] = class;
        part.groups[group.index()].class(class).submissions += 1;
    }

    /// It waits.
    pub(crate) fn queued(
        &mut self,
        (figures, bin): (&mut Figures, Option<usize>),
        (id, group, class): (RequestId, GroupId, u8),
    ) {
        self.left((figures, bin), id);
        self.who.insert(id, (group, class));
        self.catch_up(figures, bin);
        let waiting = &mut self.waiting[group.index()][usize::from(class)];
        *waiting += 1;
        if let Some(bin) = bin {
            let most = &mut figures.bins[bin].groups[group.index()].waiting[usize::from(class)];
            *most = (*most).max(*waiting);
        }
    }

    /// It waits no more, if it did.
    pub(crate) fn left(&mut self, (figures, bin): (&mut Figures, Option<usize>), id: RequestId) {
        let Some((group, class)) = self.who.remove(&id) else { return };
        self.catch_up(figures, bin);
        self.waiting[group.index()][usize::from(class)] -= 1;
    }

    /// A bound turned a submission away.
    pub(crate) fn refused(&self, part: &mut Part, (id, home): (RequestId, usize), door: Door) {
        let class = self.classes[usize::from(id.source())];
        part.groups[home].class(class).turned_away[door as usize] += 1;
    }

    /// Nothing changed until now: as many waited in every bin since the last that knows.
    pub(crate) fn catch_up(&mut self, figures: &mut Figures, bin: Option<usize>) {
        let last = bin.unwrap_or(figures.bins.len() - 1);
        for bin in self.bin + 1..=last {
            for (calls, waiting) in figures.bins[bin].groups.iter_mut().zip(&self.waiting) {
                calls.waiting = *waiting;
            }
        }
        self.bin = self.bin.max(last);
    }
}

impl Part {
    /// A submission left its group's queue for an attempt.
    pub(crate) fn went(&mut self, home: usize, class: u8, waited: Span) {
        self.groups[home].class(class).wait.record(waited);
    }

    /// A submission waits.
    pub(crate) fn waits(&mut self, home: usize, class: u8) {
        self.groups[home].class(class).waited += 1;
    }
}

/// What `of` names of the submissions in `part`.
pub(crate) fn chosen(figures: &Figures, part: &Part, of: &Selectors) -> InClass {
    let group = of.group.as_deref().and_then(|name| figures.group_named(name));
    let calls = group.map_or(&part.calls, |group| &part.groups[group.index()]);
    let class = of.class.as_ref();
    let class = class.and_then(|name| figures.classes.iter().position(|known| known == name));
    calls.in_class(class.map(|class| class as u8))
}

/// What became of these submissions, each way with its count.
pub(crate) fn ways(figures: &Figures, part: &Part, of: &Selectors) -> Vec<(u64, &'static str)> {
    chosen(figures, part, of).ways()
}

/// A row per group with a queue or a bound and class of its requests.
pub(crate) fn queues(figures: &Figures) -> Table {
    let mut table = Table::new(&[
        ("queue", Side::Left),
        ("class", Side::Left),
        ("requests", Side::Right),
        ("waited", Side::Right),
        ("wait\np50", Side::Right),
        ("p95", Side::Right),
        ("longest", Side::Right),
        ("at once\nmost", Side::Right),
        ("refused", Side::Right),
        ("why", Side::Left),
    ]);
    for (g, bounds) in figures.bounds.iter().enumerate() {
        let Some(bounds) = bounds else { continue };
        for (class, one) in figures.whole.groups[g].classes.iter().enumerate() {
            if one.submissions == 0 {
                continue;
            }
            let share = |n: u64| percent(n as f64 / one.submissions as f64);
            let cell = |span: Option<Span>| {
                span.map_or_else(|| NONE.to_owned(), |span| words::brief(secs(span.as_nanos())))
            };
            let most = figures.bins.iter().map(|bin| bin.groups[g].waiting[class]).max();
            let most = most.unwrap_or(0);
            let since = Door::ALL.into_iter().zip(one.turned_away).filter(|(_, n)| *n > 0);
            let since: Vec<String> =
                since.map(|(door, n)| format!("{} {}", count(n), door.told())).collect();
            table.row(vec![
                figures.groups[g].clone(),
                figures.classes.get(class).cloned().unwrap_or_else(|| "all".to_owned()),
                count(one.submissions),
                share(one.waited),
                cell(one.wait.p50()),
                cell(one.wait.p95()),
                cell(one.wait.max()),
                if bounds.size > 0 {
                    format!("{} of {}", count(most.into()), count(bounds.size.into()))
                } else {
                    NONE.to_owned()
                },
                share(one.refused()),
                if since.is_empty() { NONE.to_owned() } else { since.join(", ") },
            ]);
        }
    }
    table
}
