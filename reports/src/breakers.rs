//! Breakers as stretches of time: what each membership's was while it was not plainly closed.

use router_core::{BreakerMode, BreakerState, Config, Group, Time, Turn};

/// A stretch of time in which a membership's breaker was not plainly closed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Spell {
    /// Whose: its place in [`crate::Figures::members`].
    pub member: usize,
    /// What it was.
    pub kind: SpellKind,
    /// From when.
    pub from: Time,
    /// Until when; of what outlasts the run, up to the run's end.
    pub until: Time,
    /// What led to it; nothing for what an operator did.
    pub why: Option<Turn>,
    /// Whether it held; a breaker that only observes says what it would do.
    pub enforced: bool,
    /// How many times it had opened in a row.
    pub streak: u8,
}

/// What a breaker is while it is not plainly closed.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum SpellKind {
    /// Nothing passes.
    Open,
    /// Probes pass. An open one whose time is over is this, even before the first probe.
    HalfOpen,
    /// Closed again, with a share that ramps up.
    Ramping,
    /// An operator forced it open.
    Forced,
}

impl Spell {
    /// Whether its member was out: it held, and ordinary calls did not pass.
    pub const fn is_out(&self) -> bool {
        self.enforced
            && match self.kind {
                SpellKind::Open | SpellKind::HalfOpen | SpellKind::Forced => true,
                SpellKind::Ramping => false,
            }
    }
}

/// A breaker's turn, as [`router_core::Observation::Breaker`] tells it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turned {
    pub(crate) to: BreakerState,
    pub(crate) why: Turn,
    pub(crate) until: Option<Time>,
    pub(crate) streak: u8,
    pub(crate) enforced: bool,
}

/// The spells seen so far.
#[derive(Clone, Debug)]
pub(crate) struct Breakers {
    seen: Vec<Spell>,
    /// By membership.
    lanes: Vec<Lane>,
    /// How many members each group has, at most.
    sizes: Vec<usize>,
}

#[derive(Clone, Copy, Debug)]
struct Lane {
    mode: BreakerMode,
    /// What the breaker is, whether or not its mode lets that be seen; nothing if closed.
    now: Option<Spell>,
    /// The spell that may still be cut short, as a place among those seen.
    last: Option<usize>,
}

impl Breakers {
    pub(crate) fn new(config: &Config) -> Self {
        let lane = |mode| Lane { mode, now: None, last: None };
        let sizes: Vec<usize> = config.groups().iter().map(|group| group.members.len()).collect();
        let lanes = vec![lane(BreakerMode::Disabled); sizes.iter().sum()];
        let mut breakers = Self { seen: Vec::new(), lanes, sizes };
        breakers.reconfigure(Time::ZERO, config);
        breakers
    }

    /// From `now` on, modes are those of `config`. What a breaker is stays, seen or not.
    pub(crate) fn reconfigure(&mut self, now: Time, config: &Config) {
        for (member, mode) in self.modes(config).into_iter().enumerate() {
            if self.lanes[member].mode == mode {
                continue;
            }
            self.settle(member, now);
            self.lanes[member].mode = mode;
            let enforced = match mode {
                BreakerMode::Enforce => true,
                BreakerMode::Observe => false,
                BreakerMode::Disabled => continue,
                BreakerMode::ForcedOpen => {
                    let (kind, until) = (SpellKind::Forced, Time::MAX);
                    let (why, enforced, streak) = (None, true, 0);
                    let spell = Spell { member, kind, from: now, until, why, enforced, streak };
                    self.push(spell);
                    continue;
                }
            };
            match self.lanes[member].now {
                Some(spell) if spell.until > now => {
                    self.push(Spell { from: now, enforced, ..spell });
                }
                Some(spell) if spell.kind == SpellKind::Open && enforced => {
                    let (kind, until) = (SpellKind::HalfOpen, Time::MAX);
                    self.push(Spell { kind, from: now, until, enforced, ..spell });
                }
                Some(_) | None => {}
            }
        }
    }

    /// The mode of every membership; of those that there are not, not yet or not any more, none.
    fn modes(&self, config: &Config) -> Vec<BreakerMode> {
        let mut modes = Vec::with_capacity(self.lanes.len());
        for (index, size) in self.sizes.iter().enumerate() {
            let group = config.groups().get(index);
            modes.extend((0..*size).map(|place| {
                let is_there = |group: &&Group| group.present >> place & 1 == 1;
                let member = group.filter(is_there).and_then(|group| group.members.get(place));
                member.map_or(BreakerMode::Disabled, |member| member.breaker)
            }));
        }
        modes
    }

    /// Every breaker is closed from `now` on, and knows of nothing.
    #[cold]
    pub(crate) fn forget(&mut self, now: Time, config: &Config) {
        for member in 0..self.lanes.len() {
            self.settle(member, now);
            self.lanes[member] = Lane { mode: BreakerMode::Disabled, now: None, last: None };
        }
        self.reconfigure(now, config);
    }

    /// The breaker of `member` turned.
    #[cold]
    pub(crate) fn turn(&mut self, now: Time, member: usize, turned: Turned) {
        let Turned { to, why, until, streak, enforced } = turned;
        self.settle(member, now);
        let why = Some(why);
        let spell = |kind, until| Spell { member, kind, from: now, until, why, enforced, streak };
        let next = match to {
            BreakerState::Open => Some(spell(SpellKind::Open, until.unwrap_or(Time::MAX))),
            BreakerState::HalfOpen => Some(spell(SpellKind::HalfOpen, Time::MAX)),
            BreakerState::Closed => {
                until.filter(|ramped| *ramped > now).map(|until| spell(SpellKind::Ramping, until))
            }
        };
        self.lanes[member].now = next;
        if let Some(next) = next {
            self.push(next);
        }
    }

    /// Every spell up to `end`, in order of start.
    pub(crate) fn finish(mut self, end: Time) -> Vec<Spell> {
        for member in 0..self.lanes.len() {
            self.settle(member, end);
        }
        self.seen.retain(|spell| spell.from < spell.until);
        self.seen.sort_by_key(|spell| (spell.from, spell.member));
        self.seen
    }

    fn push(&mut self, spell: Spell) {
        // Half-open before its first probe and after it is one spell.
        if let Some(last) = self.lanes[spell.member].last
            && let same = &mut self.seen[last]
            && (same.kind, same.until) == (spell.kind, spell.from)
            && spell.kind == SpellKind::HalfOpen
        {
            same.until = spell.until;
            return;
        }
        self.lanes[spell.member].last = Some(self.seen.len());
        self.seen.push(spell);
    }

    /// What was seen of `member` ends by `now`: what lasts longer is cut, and an open one that
    /// outlived its time was half-open.
    fn settle(&mut self, member: usize, now: Time) {
        let Some(last) = self.lanes[member].last.take() else { return };
        let spell = self.seen[last];
        self.seen[last].until = spell.until.min(now);
        if spell.kind == SpellKind::Open && spell.enforced && spell.until < now {
            let why = Some(Turn::Waited);
            let (kind, from) = (SpellKind::HalfOpen, spell.until);
            self.push(Spell { kind, from, until: now, why, ..spell });
        }
    }
}

#[cfg(test)]
mod tests {
    use router_core::{BreakerSpec, DeploymentSpec, GroupSpec, MemberSpec, Spec};

    use super::*;

    /// Two members behind breakers, the first of which is in `mode`.
    fn config(mode: BreakerMode) -> Config {
        let mut spec = Spec::default();
        let mut group = GroupSpec::new("chat".to_owned());
        group.breaker = Some(BreakerSpec::default());
        for name in ["a", "b"] {
            let mut deployment = DeploymentSpec::new(name.to_owned());
            deployment.breaker = (name == "a").then_some(mode);
            spec.deployments.push(deployment);
            group.members.push(MemberSpec { deployment: name.to_owned(), weight: 1, tier: 0 });
        }
        spec.groups.push(group);
        Config::new(&spec).expect("a sample that holds")
    }

    fn s(s: u64) -> Time {
        Time::from_secs(s)
    }

    fn turned(to: BreakerState, why: Turn, until: Option<u64>) -> Turned {
        Turned { to, why, until: until.map(s), streak: 1, enforced: true }
    }

    /// What `a` was: from, until, and whether it held.
    fn spells(breakers: Breakers) -> Vec<(SpellKind, u64, u64, bool)> {
        let seen = breakers.finish(s(100));
        let secs = |t: Time| t.as_nanos() / 1_000_000_000;
        seen.iter().map(|p| (p.kind, secs(p.from), secs(p.until), p.enforced)).collect()
    }

    const OPEN: SpellKind = SpellKind::Open;
    const HALF: SpellKind = SpellKind::HalfOpen;
    const RAMP: SpellKind = SpellKind::Ramping;

    #[test]
    fn an_open_breaker_whose_time_is_over_is_half_open_before_its_first_probe() {
        let mut breakers = Breakers::new(&config(BreakerMode::Enforce));
        breakers.turn(s(10), 0, turned(BreakerState::Open, Turn::Consecutive, Some(20)));
        breakers.turn(s(23), 0, turned(BreakerState::HalfOpen, Turn::Waited, None));
        breakers.turn(s(25), 0, turned(BreakerState::Open, Turn::Probe, Some(45)));
        breakers.turn(s(45), 0, turned(BreakerState::HalfOpen, Turn::Waited, None));
        breakers.turn(s(50), 0, turned(BreakerState::Closed, Turn::Recovered, Some(80)));
        let seen = [
            (OPEN, 10, 20, true),
            (HALF, 20, 25, true),
            (OPEN, 25, 45, true),
            (HALF, 45, 50, true),
            (RAMP, 50, 80, true),
        ];
        assert_eq!(spells(breakers), seen);
    }

    #[test]
    fn a_ramp_is_cut_by_the_next_opening_and_what_lasts_by_the_end() {
        let mut breakers = Breakers::new(&config(BreakerMode::Enforce));
        breakers.turn(s(10), 0, turned(BreakerState::Closed, Turn::Recovered, Some(40)));
        breakers.turn(s(30), 0, turned(BreakerState::Open, Turn::Failures, Some(90)));
        let seen = [(RAMP, 10, 30, true), (OPEN, 30, 90, true), (HALF, 90, 100, true)];
        assert_eq!(spells(breakers), seen);
    }

    #[test]
    fn one_that_only_observes_is_closed_when_its_time_is_over() {
        let mut breakers = Breakers::new(&config(BreakerMode::Observe));
        let open = turned(BreakerState::Open, Turn::Slow, Some(20));
        breakers.turn(s(10), 0, Turned { enforced: false, ..open });
        assert_eq!(spells(breakers), [(OPEN, 10, 20, false)]);
    }

    #[test]
    fn an_operator_forces_it_open_and_lets_go_again() {
        let mut breakers = Breakers::new(&config(BreakerMode::ForcedOpen));
        breakers.reconfigure(s(30), &config(BreakerMode::Enforce));
        breakers.turn(s(40), 0, turned(BreakerState::Open, Turn::Failures, Some(60)));
        breakers.reconfigure(s(45), &config(BreakerMode::Disabled));
        breakers.reconfigure(s(50), &config(BreakerMode::Enforce));
        breakers.turn(s(60), 0, turned(BreakerState::HalfOpen, Turn::Waited, None));
        breakers.turn(s(61), 0, turned(BreakerState::Closed, Turn::Recovered, None));
        let seen = [
            (SpellKind::Forced, 0, 30, true),
            (OPEN, 40, 45, true),
            (OPEN, 50, 60, true),
            (HALF, 60, 61, true),
        ];
        assert_eq!(spells(breakers), seen);
    }
}
