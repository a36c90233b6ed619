//! The auditor's own rests and failure windows.
//!
//! Rests end at a random time within a known interval, so the auditor keeps the interval: nothing
//! may go there before its least end, nobody may be excluded for it after its greatest. How long
//! the next rest is depends on whether the last one was over, which the interval may leave open;
//! then the least end follows the shorter alternative and the greatest the longer. Likewise a
//! trip that another's rest may or may not have spared: it moves the greatest end alone, and the
//! window that it may have cleared decides nothing until it has slid past.

use alloc::collections::VecDeque;
use alloc::vec;
use alloc::vec::Vec;

use super::Answer;
use crate::{Config, CooldownSpec, DeploymentId, Failure, FailureKind, GroupId, Ratio, Span, Time};

/// The rest of a deployment or key.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rest {
    least: Time,
    greatest: Time,
    /// The part of `least` that a provider asked for by `Retry-After`.
    asked: Time,
    /// How many rests in a row: at least and at most.
    streak: (u8, u8),
}

fn stretched(span: Span, jitter: Ratio) -> Span {
    span + span.scale(u64::from(jitter.numerator()), u64::from(jitter.denominator()))
}

impl Rest {
    fn resting(&self, at: Time) -> Answer {
        if self.least > at {
            Answer::Yes
        } else if self.greatest <= at {
            Answer::No
        } else {
            Answer::Maybe
        }
    }

    /// The provider said how long. Whether that counts in the streak is left open.
    fn asked(&mut self, at: Time, length: Span, jitter: Ratio) {
        self.streak.1 = match self.resting(at) {
            Answer::Yes => self.streak.1.max(1),
            Answer::No | Answer::Maybe => self.streak.1.saturating_add(1),
        };
        self.asked = self.asked.max(at + length);
        self.least = self.least.max(at + length);
        self.greatest = self.greatest.max(at + stretched(length, jitter));
    }

    /// A rest whose length grows with the streak; `certain` unless it may have been spared.
    fn grow(&mut self, at: Time, certain: bool, jitter: Ratio, length: impl Fn(u8) -> Span) {
        let (least, most) = self.streak;
        let resting = self.resting(at);
        let shortest = match resting {
            Answer::No => least.saturating_add(1),
            Answer::Yes | Answer::Maybe => least.max(1),
        };
        let longest = match resting {
            Answer::Yes => most.max(1),
            Answer::No | Answer::Maybe => most.saturating_add(1),
        };
        self.greatest = self.greatest.max(at + stretched(length(longest), jitter));
        self.streak.1 = longest;
        if certain {
            self.least = self.least.max(at + length(shortest));
            if resting == Answer::No {
                self.streak.0 = shortest;
            }
        }
    }

    /// A call that started at `dispatched` went well.
    fn recover(&mut self, dispatched: Time) {
        if dispatched >= self.greatest {
            self.streak = (0, 0);
        } else if dispatched >= self.least {
            self.streak.0 = 0;
        }
    }
}

/// The ended calls of one membership, by slot.
#[derive(Clone, Debug, Default)]
struct Window {
    slots: VecDeque<(u64, u64, u64)>,
    /// Until this slot, it is not known whether the window was cleared.
    murky: u64,
}

/// A window is this many slots.
const SLOTS: u64 = 10;

impl Window {
    fn record(&mut self, slot: u64, failed: bool) {
        while self.slots.front().is_some_and(|&(old, ..)| slot.saturating_sub(old) >= SLOTS) {
            self.slots.pop_front();
        }
        match self.slots.back_mut() {
            Some(last) if last.0 == slot => {
                last.1 += u64::from(failed);
                last.2 += 1;
            }
            Some(_) | None => self.slots.push_back((slot, u64::from(failed), 1)),
        }
    }

    /// Failed and ended calls, right after [`Self::record`].
    fn tally(&self) -> (u64, u64) {
        self.slots.iter().fold((0, 0), |sum, slot| (sum.0 + slot.1, sum.1 + slot.2))
    }
}

/// Where an attempt is, and which key it uses.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) group: GroupId,
    pub(super) deployment: DeploymentId,
    pub(super) key: u8,
}

/// Every rest and window.
#[derive(Clone, Debug)]
pub(super) struct Health {
    start: Time,
    deployments: Vec<Rest>,
    keys: Vec<Vec<Rest>>,
    windows: Vec<Vec<Window>>,
}

impl Health {
    pub(super) fn new(config: &Config, start: Time) -> Self {
        let deployments = config.deployments();
        Self {
            start,
            deployments: vec![Rest::default(); deployments.len()],
            keys: deployments.iter().map(|d| vec![Rest::default(); d.keys.into()]).collect(),
            windows: config
                .groups()
                .iter()
                .map(|group| vec![Window::default(); group.members.len()])
                .collect(),
        }
    }

    /// Whether all of a deployment's keys rest.
    pub(super) fn resting(&self, deployment: DeploymentId, at: Time) -> Answer {
        let whole = self.deployments[deployment.index()].resting(at);
        let keys = self.keys[deployment.index()].iter();
        keys.fold(Answer::Yes, |all, key| all.and(whole.or(key.resting(at))))
    }

    /// Whether this key may not be used: `Some(true)` if a provider asked for it.
    pub(super) fn forbids(&self, place: Place, at: Time) -> Option<bool> {
        let whole = &self.deployments[place.deployment.index()];
        let keys = &self.keys[place.deployment.index()];
        let key = keys.get(usize::from(place.key)).copied().unwrap_or_default();
        let asked = whole.asked > at || key.asked > at;
        (whole.least > at || key.least > at).then_some(asked)
    }

    /// When some key is free at the latest, if nothing else happens.
    pub(super) fn latest(&self, deployment: DeploymentId, at: Time) -> Time {
        let whole = self.deployments[deployment.index()].greatest;
        let first = self.keys[deployment.index()].iter().map(|key| key.greatest).min();
        first.unwrap_or_default().max(whole).max(at)
    }

    /// Another replica rests a deployment or one of its keys.
    pub(super) fn peer(
        &mut self,
        at: Time,
        deployment: DeploymentId,
        key: Option<u8>,
        remaining: Span,
    ) {
        let rest = match key {
            None => self.deployments.get_mut(deployment.index()),
            Some(key) => self
                .keys
                .get_mut(deployment.index())
                .and_then(|keys| keys.get_mut(usize::from(key))),
        };
        if let Some(rest) = rest {
            rest.least = rest.least.max(at + remaining);
            rest.greatest = rest.greatest.max(at + remaining);
        }
    }

    pub(super) fn completed(&mut self, config: &Config, place: Place, dispatched: Time, at: Time) {
        self.deployments[place.deployment.index()].recover(dispatched);
        if let Some(key) = self.key(place) {
            key.recover(dispatched);
        }
        self.count(config, place, at, false);
    }

    /// An attempt failed: who rests for it?
    pub(super) fn failed(&mut self, config: &Config, place: Place, at: Time, failure: &Failure) {
        let cooldown = &config.group(place.group).cooldown;
        let jitter = cooldown.jitter;
        let asked = failure.retry_after.filter(|span| !span.is_zero());
        let asked = asked.map(|span| span.min(config.router().retry_after_max));
        match failure.kind {
            FailureKind::RateLimit => {
                let Some(key) = self.key(place) else { return };
                if let Some(length) = asked {
                    key.asked(at, length, jitter);
                } else if cooldown.enabled {
                    key.grow(at, true, jitter, |streak| grown(cooldown, streak));
                }
            }
            FailureKind::QuotaSpent | FailureKind::Authentication => {
                let Some(key) = self.key(place) else { return };
                key.grow(at, true, jitter, |streak| spent(streak).max(asked.unwrap_or_default()));
            }
            FailureKind::NotFound => {
                let rest = &mut self.deployments[place.deployment.index()];
                rest.grow(at, true, jitter, |streak| spent(streak).max(asked.unwrap_or_default()));
            }
            FailureKind::Server
            | FailureKind::Connect
            | FailureKind::FirstToken
            | FailureKind::Idle
            | FailureKind::Total
            | FailureKind::Reset
            | FailureKind::Truncated => {
                if let Some(length) = asked {
                    self.deployments[place.deployment.index()].asked(at, length, jitter);
                }
            }
            FailureKind::BadRequest
            | FailureKind::ContextWindow
            | FailureKind::ContentPolicy
            | FailureKind::InvalidOutput => {}
        }
        if failure.kind.is_ill_health()
            && let Some((slot, member)) = self.count(config, place, at, true)
        {
            self.judge(config, place, at, slot, member);
        }
    }

    fn key(&mut self, place: Place) -> Option<&mut Rest> {
        self.keys[place.deployment.index()].get_mut(usize::from(place.key))
    }

    /// Counts an ended call, and says where.
    fn count(
        &mut self,
        config: &Config,
        place: Place,
        at: Time,
        failed: bool,
    ) -> Option<(u64, usize)> {
        let group = config.group(place.group);
        let member = group.members.iter().position(|m| m.deployment == place.deployment)?;
        let width = group.cooldown.window.as_nanos() / SLOTS;
        let slot = at.since(self.start).as_nanos() / width;
        self.windows[place.group.index()][member].record(slot, failed);
        Some((slot, member))
    }

    /// Whether the failures of a membership rest its deployment.
    fn judge(&mut self, config: &Config, place: Place, at: Time, slot: u64, member: usize) {
        let group = config.group(place.group);
        let cooldown = &group.cooldown;
        let window = &self.windows[place.group.index()][member];
        let murky = slot < window.murky;
        let (failed, ended) = window.tally();
        let reached =
            ended >= u64::from(cooldown.calls_min) && cooldown.failures.reached_by(failed, ended);
        if !cooldown.enabled || !(murky || reached) {
            return;
        }
        let spared = self.spared(config, place, at);
        if spared == Answer::Yes {
            return;
        }
        let certain = !murky && spared == Answer::No;
        let rest = &mut self.deployments[place.deployment.index()];
        rest.grow(at, certain, cooldown.jitter, |streak| grown(cooldown, streak));
        let window = &mut self.windows[place.group.index()][member];
        if certain {
            window.slots.clear();
        } else {
            window.murky = slot + SLOTS;
        }
    }

    /// Whether a group is too small or too tired for another of its members to rest.
    fn spared(&self, config: &Config, place: Place, at: Time) -> Answer {
        let group = config.group(place.group);
        let members = group.members.len();
        if members == 1 && group.chain(crate::Detour::Any).is_empty() && !group.cooldown.lone {
            return Answer::Yes;
        }
        let others = group.members.iter().filter(|m| m.deployment != place.deployment);
        let (mut least, mut most) = (1, 1);
        for other in others {
            match self.resting(other.deployment, at) {
                Answer::Yes => (least, most) = (least + 1, most + 1),
                Answer::Maybe => most += 1,
                Answer::No => {}
            }
        }
        let bound = group.ejected_max.of_ceil(members as u64);
        if least > bound {
            Answer::Yes
        } else if most <= bound {
            Answer::No
        } else {
            Answer::Maybe
        }
    }
}

/// The length of the `streak`-th rest in a row.
fn grown(cooldown: &CooldownSpec, streak: u8) -> Span {
    let mut length = cooldown.rest.min(cooldown.max);
    for _ in 1..streak {
        if length >= cooldown.max || cooldown.grow == 1 {
            break;
        }
        length = (length * u64::from(cooldown.grow)).min(cooldown.max);
    }
    length
}

/// The same for failures that only a person can mend: 5 minutes, doubling, at most an hour.
fn spent(streak: u8) -> Span {
    let doublings = u32::from(streak.saturating_sub(1).min(4));
    Span::from_secs((300_u64 << doublings).min(3_600))
}
