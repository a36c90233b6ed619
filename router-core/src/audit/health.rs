//! The auditor's own rests, failure windows and breakers.

use alloc::collections::VecDeque;
use alloc::vec;
use alloc::vec::Vec;

use super::Answer;
use super::aftermath::Aftermath;
use super::breaker::{Breaker, Call, Verdict};
use super::flight::Attempt;
use super::rest::{Growth, Rest};
use crate::{
    BreakerMode, BreakerSpec, ClassRest, Config, DeploymentId, Failure, FailureClass, FailureKind,
    Group, GroupId, Ratio, RestAfter, Span, Time, Turn,
};

/// The ended calls of one membership in one slot of its window.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    at: u64,
    answered: u64,
    failed: u64,
    /// Failures of the classes that are counted apart.
    classes: [u64; FailureClass::ALL.len()],
}

/// A window is this many slots.
const SLOTS: u64 = 10;

/// Where an attempt is, and which key it uses.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) group: GroupId,
    /// Its place in the group; beyond the last if it has none.
    pub(super) member: usize,
    pub(super) deployment: DeploymentId,
    pub(super) key: u8,
}

/// Every rest, window and breaker.
#[derive(Clone, Debug)]
pub(super) struct Health {
    start: Time,
    deployments: Vec<Rest>,
    /// How many keys each has, and the rests of all that it ever had.
    keys: Vec<(u8, Vec<Rest>)>,
    windows: Vec<Vec<VecDeque<Slot>>>,
    pub(super) breakers: Vec<Vec<Breaker>>,
    /// What the last call that ended may lead to, until what it led to has been told.
    pub(super) aftermath: Option<Aftermath>,
    /// What a call certainly led to, and nobody told.
    pub(super) untold: Option<(DeploymentId, &'static str)>,
}

impl Health {
    pub(super) fn new(config: &Config, start: Time) -> Self {
        let deployments = config.deployments();
        let groups = config.groups().iter();
        Self {
            start,
            deployments: vec![Rest::default(); deployments.len()],
            keys: deployments
                .iter()
                .map(|d| (d.keys, vec![Rest::default(); d.keys.into()]))
                .collect(),
            windows: groups.clone().map(|g| vec![VecDeque::new(); g.members.len()]).collect(),
            breakers: groups.map(|g| vec![Breaker::new(start); g.members.len()]).collect(),
            aftermath: None,
            untold: None,
        }
    }

    /// Whether all of a deployment's keys rest.
    pub(super) fn resting(&self, deployment: DeploymentId, at: Time) -> Answer {
        let whole = self.deployments[deployment.index()].resting(at);
        self.usable(deployment).fold(Answer::Yes, |all, key| all.and(whole.or(key.resting(at))))
    }

    /// Whether all of a deployment's keys rest in a way that panic leaves alone.
    fn is_firm(&self, deployment: DeploymentId, at: Time) -> Answer {
        let whole = self.deployments[deployment.index()].firm(at);
        self.usable(deployment).fold(Answer::Yes, |all, key| all.and(whole.or(key.firm(at))))
    }

    /// The rests of the keys that a deployment has now.
    fn usable(&self, deployment: DeploymentId) -> impl Iterator<Item = &Rest> {
        let (usable, keys) = &self.keys[deployment.index()];
        keys.iter().take(usize::from(*usable))
    }

    /// Whether this key may not be used, in panic or not: `Some(true)` if a provider asked for it.
    pub(super) fn forbids(&self, place: Place, at: Time, panic: bool) -> Option<bool> {
        let whole = &self.deployments[place.deployment.index()];
        let (_, keys) = &self.keys[place.deployment.index()];
        let key = keys.get(usize::from(place.key)).copied().unwrap_or_default();
        let rests = |rest: &Rest| {
            if panic { rest.firm(at) } else { rest.resting(at) }
        };
        let asked = whole.asked_for(at) || key.asked_for(at);
        (rests(whole).or(rests(&key)) == Answer::Yes).then_some(asked)
    }

    /// When some key is free at the latest, if nothing else happens.
    pub(super) fn latest(&self, deployment: DeploymentId, at: Time) -> Time {
        let whole = self.deployments[deployment.index()].greatest();
        let first = self.usable(deployment).map(Rest::greatest).min();
        first.unwrap_or_default().max(whole).max(at)
    }

    /// Whether a member's breaker lets a call through.
    pub(super) fn admits(&self, config: &Config, group: GroupId, index: usize, at: Time) -> Answer {
        match enforced(config.group(group), index) {
            Some(spec) => self.breakers[group.index()][index].admits(spec, at),
            None => Answer::Yes,
        }
    }

    /// When a member's breaker lets a call through at the latest.
    pub(super) fn opens(&self, config: &Config, group: GroupId, index: usize, at: Time) -> Time {
        match enforced(config.group(group), index) {
            Some(_) => self.breakers[group.index()][index].latest(at),
            None => at,
        }
    }

    /// Whether a member's breaker, if it has one that holds, is closed.
    pub(super) fn is_closed(&self, group: &Group, id: GroupId, index: usize) -> bool {
        enforced(group, index).is_none() || self.breakers[id.index()][index].is_closed()
    }

    /// What is left of a member's weight while its breaker recovers, in 1024ths.
    pub(super) fn ramp(&self, group: &Group, id: GroupId, index: usize, at: Time) -> u64 {
        match enforced(group, index) {
            Some(_) => self.breakers[id.index()][index].ramp(at),
            None => 1024,
        }
    }

    /// Whether so few of a group are healthy that those which are out serve all the same.
    pub(super) fn panics(&self, config: &Config, id: GroupId, at: Time) -> Answer {
        let group = config.group(id);
        if group.panic.is_zero() {
            return Answer::No;
        }
        let (mut all, mut least, mut most) = (0_u64, 0_u64, 0_u64);
        for (index, member) in group.present() {
            if member.weight == 0 || member.breaker == BreakerMode::ForcedOpen {
                continue;
            }
            all += 1;
            let healthy = self.resting(member.deployment, at).not();
            if self.is_closed(group, id, index) {
                least += u64::from(healthy == Answer::Yes);
                most += u64::from(healthy != Answer::No);
            }
        }
        let few = |healthy: u64| all > 0 && !group.panic.reached_by(healthy, all);
        match (few(most), few(least)) {
            (true, _) => Answer::Yes,
            (false, true) => Answer::Maybe,
            (false, false) => Answer::No,
        }
    }

    /// Whether a member that is out may serve in panic.
    pub(super) fn rescues(
        &self,
        config: &Config,
        group: GroupId,
        deployment: DeploymentId,
        at: Time,
    ) -> Answer {
        let panics = self.panics(config, group, at);
        if panics == Answer::No { panics } else { panics.and(self.is_firm(deployment, at).not()) }
    }

    /// Another replica rests a deployment or one of its keys: of that no more counts than this
    /// configuration would rest it.
    pub(super) fn peer(
        &mut self,
        config: &Config,
        at: Time,
        (deployment, key): (DeploymentId, Option<u8>),
        (remaining, asked): (Span, bool),
    ) {
        let most = if asked {
            config.router().retry_after_max.max(Span::from_secs(3_600))
        } else {
            let has = |group: &&Group| group.members.iter().any(|m| m.deployment == deployment);
            let own = config.groups().iter().filter(has);
            own.map(|group| group.cooldown.max).max().unwrap_or_default()
        };
        if let Some(rest) = self.rest(deployment, key) {
            rest.follow(at + remaining.min(most), asked);
        }
    }

    /// Another configuration holds. A breaker that it enforces and the last did not is closed, and
    /// has heard nothing; windows of another length are empty.
    pub(super) fn reconfigure(&mut self, at: Time, last: &Config, next: &Config) {
        let deployments = next.deployments();
        self.deployments.resize(deployments.len(), Rest::default());
        self.keys.resize(deployments.len(), (0, Vec::new()));
        for ((usable, keys), deployment) in self.keys.iter_mut().zip(deployments) {
            *usable = deployment.keys;
            let all = keys.len().max(deployment.keys.into());
            keys.resize(all, Rest::default());
        }
        self.windows.resize(next.groups().len(), Vec::new());
        self.breakers.resize(next.groups().len(), Vec::new());
        for (index, group) in next.groups().iter().enumerate() {
            let known = last.groups().get(index);
            let windows = &mut self.windows[index];
            if known.is_some_and(|known| known.cooldown.window != group.cooldown.window) {
                windows.iter_mut().for_each(VecDeque::clear);
            }
            windows.resize(group.members.len(), VecDeque::new());
            let breakers = &mut self.breakers[index];
            breakers.resize(group.members.len(), Breaker::new(at));
            let Some(known) = known else { continue };
            let members = breakers.iter_mut().enumerate().take(known.members.len());
            for (member, breaker) in members {
                let begins = enforced(known, member).is_none() && enforced(group, member).is_some();
                if begins || known.breaker.is_none() {
                    *breaker = Breaker::new(at);
                } else if known.breaker.map(|b| b.window) != group.breaker.map(|b| b.window) {
                    breaker.count_anew();
                }
            }
        }
    }

    /// Whether something rests now, or a breaker is open.
    pub(super) fn is_marked(&self, at: Time) -> bool {
        let keys = self.keys.iter().flat_map(|(_, keys)| keys);
        let mut rests = self.deployments.iter().chain(keys);
        rests.any(|rest| rest.resting(at) == Answer::Yes)
            || self.breakers.iter().flatten().any(|breaker| breaker.is_open(at))
    }

    /// Whether a member's breaker is certainly open.
    pub(super) fn is_open(&self, config: &Config, group: GroupId, index: usize, at: Time) -> bool {
        enforced(config.group(group), index).is_some()
            && self.breakers[group.index()][index].is_open(at)
    }

    pub(super) fn rest(&mut self, deployment: DeploymentId, key: Option<u8>) -> Option<&mut Rest> {
        match key {
            None => self.deployments.get_mut(deployment.index()),
            Some(key) => self.keys.get_mut(deployment.index())?.1.get_mut(usize::from(key)),
        }
    }

    /// An attempt was answered.
    pub(super) fn completed(&mut self, config: &Config, attempt: &Attempt, at: Time) {
        let place = attempt.place;
        self.begin(config, place, None, at);
        for key in [None, Some(place.key)] {
            if let Some(rest) = self.rest(place.deployment, key) {
                rest.recover(attempt.at);
            }
        }
        self.slot(config, place, at, |slot| slot.answered += 1);
        self.ended(config, attempt, Verdict::Good, at);
    }

    /// An attempt failed: who rests for it?
    pub(super) fn failed(
        &mut self,
        config: &Config,
        attempt: &Attempt,
        at: Time,
        failure: &Failure,
    ) {
        let place = attempt.place;
        self.begin(config, place, Some(failure.kind), at);
        let jitter = config.group(place.group).cooldown.jitter;
        let asked = failure.retry_after.filter(|span| !span.is_zero());
        let asked = asked.map(|span| span.min(config.router().retry_after_max));
        let key = Some(place.key);
        let (rested, verdict) = match failure.kind {
            FailureKind::RateLimit => {
                if asked.is_none() {
                    self.classed(config, place, FailureClass::RateLimit, at);
                }
                (key, Verdict::None)
            }
            FailureKind::QuotaSpent | FailureKind::Authentication | FailureKind::NotFound => {
                let key = key.filter(|_| failure.kind != FailureKind::NotFound);
                self.spent(place, key, at, Growth::spent(asked.unwrap_or_default()), jitter);
                (key, Verdict::None)
            }
            FailureKind::Server
            | FailureKind::Connect
            | FailureKind::FirstToken
            | FailureKind::Idle
            | FailureKind::Total
            | FailureKind::Reset
            | FailureKind::Truncated => {
                let class = failure.kind.class().expect("ill health has a class");
                self.classed(config, place, class, at);
                (None, Verdict::Failed)
            }
            FailureKind::InvalidOutput => (None, Verdict::None),
            FailureKind::BadRequest | FailureKind::ContextWindow | FailureKind::ContentPolicy => {
                return self.ended(config, attempt, Verdict::None, at);
            }
        };
        if let (Some(length), Some(rest)) = (asked, self.rest(place.deployment, rested)) {
            rest.ask(at, length, jitter);
            self.note(|after| after.rests += 1);
        }
        self.ended(config, attempt, verdict, at);
    }

    /// Something happened that only a person can mend.
    fn spent(&mut self, place: Place, key: Option<u8>, at: Time, growth: Growth, jitter: Ratio) {
        let Some(rest) = self.rest(place.deployment, key) else { return };
        let (may, must) = rest.is_short(at);
        rest.grow(at, jitter, growth);
        self.note(|after| {
            after.rests += 1;
            (after.page, after.pages) = (key.is_some() && may, key.is_some() && must);
        });
    }

    /// Counts an ended call in its membership's window.
    fn slot(
        &mut self,
        config: &Config,
        place: Place,
        at: Time,
        count: impl FnOnce(&mut Slot),
    ) -> Option<&mut VecDeque<Slot>> {
        let width = (config.group(place.group).cooldown.window.as_nanos() / SLOTS).max(1);
        let now = at.since(self.start).as_nanos() / width;
        let window = self.windows[place.group.index()].get_mut(place.member)?;
        while window.front().is_some_and(|old| now.saturating_sub(old.at) >= SLOTS) {
            window.pop_front();
        }
        if window.back().is_none_or(|last| last.at < now) {
            window.push_back(Slot { at: now, ..Slot::default() });
        }
        count(window.back_mut().expect("one was just pushed if there was none"));
        Some(window)
    }

    /// A failure that the group's cooldown has a word on.
    fn classed(&mut self, config: &Config, place: Place, class: FailureClass, at: Time) {
        let cooldown = &config.group(place.group).cooldown;
        let Some(ClassRest { after, rest: first }) = cooldown.classes.of(class) else { return };
        let which = class as usize;
        let reached = match after {
            RestAfter::Never => return,
            RestAfter::Common => {
                let Some(window) = self.slot(config, place, at, |slot| slot.failed += 1) else {
                    return;
                };
                let failed: u64 = window.iter().map(|slot| slot.failed).sum();
                let ended = failed + window.iter().map(|slot| slot.answered).sum::<u64>();
                ended >= u64::from(cooldown.calls_min)
                    && cooldown.failures.reached_by(failed, ended)
            }
            RestAfter::Count(most) => {
                let Some(window) = self.slot(config, place, at, |slot| slot.classes[which] += 1)
                else {
                    return;
                };
                window.iter().map(|slot| slot.classes[which]).sum::<u64>() >= u64::from(most)
            }
        };
        if !cooldown.enabled || !reached {
            return;
        }
        let counted = matches!(after, RestAfter::Count(_)).then_some(which);
        let key = (class == FailureClass::RateLimit).then_some(place.key);
        let due = Due { counted, key, growth: Growth::of(cooldown, first) };
        let spared = match (key, counted) {
            (Some(_), Some(_)) => Answer::No,
            (Some(_) | None, Some(_) | None) => {
                Answer::from(self.is_lone(config, place)).or(self.too_many_out(config, place, at))
            }
        };
        match spared {
            Answer::Yes => self.note(|after| after.spared += 1),
            Answer::No => self.rests(config, place, at, due),
            Answer::Maybe => self.note(|after| after.rest = Some(due)),
        }
    }

    /// A membership's failures rest its deployment, or the key.
    pub(super) fn rests(&mut self, config: &Config, place: Place, at: Time, due: Due) {
        let jitter = config.group(place.group).cooldown.jitter;
        for slot in &mut self.windows[place.group.index()][place.member] {
            match due.counted {
                Some(class) => slot.classes[class] = 0,
                None => (slot.answered, slot.failed) = (0, 0),
            }
        }
        if let Some(rest) = self.rest(place.deployment, due.key) {
            rest.grow(at, jitter, due.growth);
        }
        self.note(|after| after.rests += 1);
    }

    /// Whether a deployment stands alone, and is not to rest for that.
    fn is_lone(&self, config: &Config, place: Place) -> bool {
        let group = config.group(place.group);
        group.size() == 1 && group.chain(crate::Detour::Any).is_empty() && !group.cooldown.lone
    }

    /// Whether so many others of a group are out that this one must not go, too.
    pub(super) fn too_many_out(&self, config: &Config, place: Place, at: Time) -> Answer {
        let group = config.group(place.group);
        let (mut least, mut most) = (1, 1);
        for (index, other) in group.present().filter(|(i, _)| *i != place.member) {
            let gone = other.breaker == BreakerMode::ForcedOpen
                || !self.is_closed(group, place.group, index);
            match Answer::from(gone).or(self.resting(other.deployment, at)) {
                Answer::Yes => (least, most) = (least + 1, most + 1),
                Answer::Maybe => most += 1,
                Answer::No => {}
            }
        }
        let bound = group.ejected_max.of_ceil(group.size().into());
        if least > bound {
            Answer::Yes
        } else if most <= bound {
            Answer::No
        } else {
            Answer::Maybe
        }
    }

    /// An attempt was dropped for no fault of its deployment.
    pub(super) fn abandoned(&mut self, config: &Config, attempt: &Attempt, at: Time) {
        self.begin(config, attempt.place, None, at);
        self.ended(config, attempt, Verdict::Left, at);
    }

    /// An attempt is over: what does that say to its membership's breaker?
    fn ended(&mut self, config: &Config, attempt: &Attempt, verdict: Verdict, at: Time) {
        let place = attempt.place;
        let group = config.group(place.group);
        let (Some(spec), Some(member)) = (&group.breaker, group.members.get(place.member)) else {
            return;
        };
        let first = attempt.first.filter(|_| attempt.stream);
        let (until, shown) = (first.unwrap_or(at), first.is_some());
        let verdict = if verdict == Verdict::Left && shown { Verdict::None } else { verdict };
        let call = Call {
            from: attempt.at,
            probe: attempt.probe,
            verdict,
            slow: spec.slow.is_some() && until.since(attempt.at) > spec.slow_over,
            age: at.since(self.start),
        };
        let breaker = &mut self.breakers[place.group.index()][place.member];
        let Some(why) = breaker.ended(spec, member.breaker, call, at) else { return };
        let spared = match why {
            Turn::Probe => Answer::No,
            Turn::Consecutive | Turn::Failures | Turn::Slow | Turn::Waited | Turn::Recovered => {
                self.too_many_out(config, place, at)
            }
        };
        match spared {
            Answer::Yes => self.note(|after| after.spared += 1),
            Answer::No => self.breakers[place.group.index()][place.member].trip(spec, why, at),
            Answer::Maybe => self.note(|after| after.trip = Some(why)),
        }
    }

    fn begin(&mut self, config: &Config, place: Place, kind: Option<FailureKind>, at: Time) {
        self.close_aftermath(config);
        if kind.is_none() && config.group(place.group).breaker.is_none() {
            return;
        }
        let rest = |rest: Option<&mut Rest>| rest.copied().unwrap_or_default();
        let whole = rest(self.rest(place.deployment, None));
        let key = rest(self.rest(place.deployment, Some(place.key)));
        self.aftermath = Some(Aftermath::new(place, kind, at, (whole, key)));
    }

    fn note(&mut self, note: impl FnOnce(&mut Aftermath)) {
        if let Some(after) = &mut self.aftermath {
            note(after);
        }
    }
}

/// A rest that is due unless too many are out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Due {
    /// The class whose own count led to it.
    counted: Option<usize>,
    key: Option<u8>,
    growth: Growth,
}

/// The breaker that a membership must obey.
pub(super) fn enforced(group: &Group, index: usize) -> Option<&BreakerSpec> {
    group.breaker.as_ref().filter(|_| group.members[index].breaker == BreakerMode::Enforce)
}
