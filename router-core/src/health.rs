//! Which deployments rest, and until when.
//!
//! Failures are counted per membership, under that group's policy; a rest is a fact about the
//! deployment (or one of its keys), so every group that shares it sees the same rest.

use alloc::vec::Vec;

use crate::{Config, CooldownSpec, DeploymentId, GroupId, Span, Time};

/// How many slots a failure window is counted in.
const SLOTS: u64 = 10;

/// A rest and how many came in a row.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Rest {
    pub(crate) until: Time,
    /// The part of it that a provider asked for.
    pub(crate) asked: Time,
    pub(crate) streak: u8,
}

impl Rest {
    const NONE: Self = Self { until: Time::ZERO, asked: Time::ZERO, streak: 0 };

    /// How many rests in a row there will be if one begins at `now`.
    const fn next_streak(self, now: Time) -> u8 {
        let resting = self.until.as_nanos() > now.as_nanos();
        if resting && self.streak > 0 { self.streak } else { self.streak.saturating_add(1) }
    }
}

/// Ended calls of one membership over its sliding window.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    width: u64,
    pub(crate) latest: u64,
    /// Answered and failed, by slot modulo [`SLOTS`].
    pub(crate) slots: [(u32, u32); SLOTS as usize],
}

impl Window {
    fn new(window: Span) -> Self {
        let width = (window.as_nanos() / SLOTS).max(1);
        Self { width, latest: 0, slots: [(0, 0); SLOTS as usize] }
    }

    fn count(&mut self, start: Time, now: Time, failed: bool) {
        let slot = now.since(start).as_nanos() / self.width;
        if slot > self.latest {
            for gone in (self.latest + 1)..=slot.min(self.latest + SLOTS) {
                self.slots[(gone % SLOTS) as usize] = (0, 0);
            }
            self.latest = slot;
        }
        let counts = &mut self.slots[(self.latest % SLOTS) as usize];
        if failed {
            counts.1 = counts.1.saturating_add(1);
        } else {
            counts.0 = counts.0.saturating_add(1);
        }
    }

    fn totals(&self) -> (u64, u64) {
        let sum = |f: fn(&(u32, u32)) -> u32| self.slots.iter().map(|s| u64::from(f(s))).sum();
        (sum(|s| s.0), sum(|s| s.1))
    }
}

/// One key's state.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyState {
    pub(crate) rest: Rest,
    /// Attempts in flight on it.
    pub(crate) in_flight: u32,
}

/// One deployment's state.
#[derive(Clone, Debug)]
pub(crate) struct DeploymentState {
    pub(crate) rest: Rest,
    pub(crate) keys: Vec<KeyState>,
    /// Attempts in flight on it.
    pub(crate) in_flight: u32,
    /// Until when all of its keys rest.
    cooling_until: Time,
}

impl DeploymentState {
    fn new(keys: u8) -> Self {
        let key = KeyState { rest: Rest::NONE, in_flight: 0 };
        let keys = alloc::vec![key; usize::from(keys)];
        Self { rest: Rest::NONE, keys, in_flight: 0, cooling_until: Time::ZERO }
    }

    /// Until when nothing may be sent to it; not after now if it is awake.
    pub(crate) const fn cooling_until(&self) -> Time {
        self.cooling_until
    }

    pub(crate) fn refresh(&mut self) {
        let keys = self.keys.iter().map(|k| k.rest.until).min().unwrap_or(Time::ZERO);
        self.cooling_until = keys.max(self.rest.until);
    }

    /// Whether it may be used although it rests: somebody panics, and no provider asked for this.
    pub(crate) fn may_be_pressed(&self, now: Time) -> bool {
        self.rest.asked <= now && self.keys.iter().any(|key| key.rest.asked <= now)
    }

    /// The key with the fewest attempts in flight of those that are awake, or, pressed, of those
    /// whose provider asked for nothing; the first of several.
    fn pick_key(&self, now: Time, pressed: bool) -> u8 {
        let end = |rest: Rest| if pressed { rest.asked } else { rest.until };
        let awake = self.keys.iter().enumerate().filter(|(_, k)| end(k.rest) <= now);
        awake.min_by_key(|(_, k)| k.in_flight).map_or(0, |(index, _)| index as u8)
    }

    fn rest_mut(&mut self, key: Option<u8>) -> &mut Rest {
        match key {
            Some(key) => &mut self.keys[usize::from(key)].rest,
            None => &mut self.rest,
        }
    }
}

/// How long a rest lasts.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Length {
    /// What the provider asked for.
    Asked(Span),
    /// The first of a row, growing by a factor up to a cap.
    Growing { first: Span, factor: u8, max: Span },
}

impl Length {
    /// Nth of a row, counted from one.
    fn of(self, streak: u8) -> Span {
        match self {
            Self::Asked(span) => span,
            Self::Growing { first, factor, max } => {
                let mut span = first;
                for _ in 1..streak {
                    if span >= max || factor == 1 {
                        break;
                    }
                    span = span * u64::from(factor);
                }
                span.min(max)
            }
        }
    }
}

/// The health of everything a router may send to.
#[derive(Clone, Debug)]
pub(crate) struct Health {
    pub(crate) deployments: Vec<DeploymentState>,
    /// By group, then member.
    pub(crate) windows: Vec<Vec<Window>>,
}

impl Health {
    pub(crate) fn new(config: &Config) -> Self {
        let windows = config.groups().iter().map(|group| {
            group.members.iter().map(|_| Window::new(group.cooldown.window)).collect()
        });
        Self {
            deployments: config
                .deployments()
                .iter()
                .map(|d| DeploymentState::new(d.keys))
                .collect(),
            windows: windows.collect(),
        }
    }

    pub(crate) fn of(&self, deployment: DeploymentId) -> &DeploymentState {
        &self.deployments[deployment.index()]
    }

    /// Takes a place on the best key of a deployment; `pressed` if it rests.
    pub(crate) fn seize(&mut self, deployment: DeploymentId, now: Time, pressed: bool) -> u8 {
        let state = &self.deployments[deployment.index()];
        let key = state.pick_key(now, pressed);
        self.occupy(deployment, key);
        key
    }

    /// Takes a place on a key without choosing: for a flight that a snapshot brings back.
    pub(crate) fn occupy(&mut self, deployment: DeploymentId, key: u8) {
        let state = &mut self.deployments[deployment.index()];
        state.in_flight += 1;
        state.keys[usize::from(key)].in_flight += 1;
    }

    /// Gives a place back.
    pub(crate) fn release(&mut self, deployment: DeploymentId, key: u8) {
        let state = &mut self.deployments[deployment.index()];
        assert!(state.in_flight > 0, "an end pairs with a dispatch");
        state.in_flight -= 1;
        state.keys[usize::from(key)].in_flight -= 1;
    }

    /// Counts an ended call of a membership.
    pub(crate) fn count(
        &mut self,
        group: GroupId,
        member: usize,
        start: Time,
        now: Time,
        failed: bool,
    ) {
        self.windows[group.index()][member].count(start, now, failed);
    }

    /// Whether a membership's window has enough calls, and enough of them failed.
    pub(crate) fn is_sick(&self, group: GroupId, member: usize, cooldown: &CooldownSpec) -> bool {
        let (answered, failed) = self.windows[group.index()][member].totals();
        let ended = answered + failed;
        ended >= u64::from(cooldown.calls_min) && cooldown.failures.reached_by(failed, ended)
    }

    /// Forgets a membership's window: what it said has led to a rest.
    pub(crate) fn forget(&mut self, group: GroupId, member: usize) {
        self.windows[group.index()][member].slots = [(0, 0); SLOTS as usize];
    }

    /// Rests a deployment, or one of its keys; a rest is only ever extended. `draw` gives the
    /// jitter for a length. Returns the new rest and whether it began just now, or `None` if
    /// the running one is at least as long.
    pub(crate) fn rest(
        &mut self,
        (deployment, key): (DeploymentId, Option<u8>),
        length: Length,
        now: Time,
        jitter: impl FnOnce(Span) -> Span,
    ) -> Option<(Rest, bool)> {
        let state = &mut self.deployments[deployment.index()];
        let rest = state.rest_mut(key);
        let begins = rest.until <= now;
        let streak = rest.next_streak(now);
        let span = length.of(streak);
        let until = now + span + jitter(span);
        if until <= rest.until {
            return None;
        }
        *rest = Rest { until, streak, ..*rest };
        let rest = *rest;
        state.refresh();
        Some((rest, begins))
    }

    /// Another replica rests it: the later end holds, and no row grows.
    pub(crate) fn rest_until(&mut self, deployment: DeploymentId, key: Option<u8>, until: Time) {
        let Some(state) = self.deployments.get_mut(deployment.index()) else { return };
        if key.is_some_and(|key| usize::from(key) >= state.keys.len()) {
            return;
        }
        let rest = state.rest_mut(key);
        rest.until = rest.until.max(until);
        state.refresh();
    }

    /// A call that was dispatched after the last rest was answered: the row is over.
    pub(crate) fn well(&mut self, deployment: DeploymentId, key: u8, dispatched: Time) {
        let state = &mut self.deployments[deployment.index()];
        for rest in [&mut state.rest, &mut state.keys[usize::from(key)].rest] {
            if dispatched >= rest.until {
                rest.streak = 0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rests_in_a_row_grow_to_their_cap() {
        let secs = Span::from_secs;
        let length = Length::Growing { first: secs(5), factor: 2, max: secs(60) };
        let spans: Vec<Span> = (1..=6).map(|streak| length.of(streak)).collect();
        assert_eq!(spans, [5, 10, 20, 40, 60, 60].map(secs));
    }

    #[test]
    fn a_window_forgets_what_left_it() {
        let mut window = Window::new(Span::from_secs(10));
        window.count(Time::ZERO, Time::from_secs(3), true);
        window.count(Time::ZERO, Time::from_secs(12), false);
        assert_eq!(window.totals(), (1, 1));
        window.count(Time::ZERO, Time::from_secs(13), false);
        assert_eq!(window.totals(), (2, 0));
        window.count(Time::ZERO, Time::from_secs(1_000), true);
        assert_eq!(window.totals(), (0, 1));
    }
}
