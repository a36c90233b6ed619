//! How one of the eligible is chosen, by the group's strategy.
//!
//! Whatever the strategy looks at (calls in flight, what limits have left), the one chosen is
//! charged before the next request is looked at. So requests that come at once never all see the
//! same least loaded deployment.

mod catch_up;
mod cost;
mod estimate;
mod fixed;
mod latency;
mod learn;
mod power_of_two;
mod sticky;
mod usage;

use core::cmp::Ordering;

pub(crate) use catch_up::Credits;
pub(crate) use estimate::Estimates;
pub(crate) use sticky::places;

use estimate::{Facts, Shape};

use crate::flight::Flight;
use crate::router::Router;
use crate::select::Eligibility;
use crate::{BreakerMode, Counter, DeploymentId, Group, GroupId, Strategy};

/// Which of an attempt's draws.
#[derive(Clone, Copy, Debug)]
#[repr(u32)]
enum Draw {
    /// Of one among several, by weight or alike.
    One = 0,
    /// Of another beside it.
    Other = 1,
    /// Of whether to explore.
    Explore = 2,
}

/// A group to choose in, and who of it may be chosen. At most 64 members: a mask has a bit each.
#[derive(Clone, Copy, Debug)]
struct Choice<'a> {
    flight: &'a Flight,
    group: GroupId,
    eligible: u64,
}

impl Choice<'_> {
    fn counter(&self, draw: Draw) -> Counter {
        Counter {
            request: self.flight.id.as_u64(),
            entity: self.group.index() as u32,
            attempt: self.flight.tally.made() + 1,
            index: draw as u32,
        }
    }

    /// The same choice among others.
    const fn among(self, eligible: u64) -> Self {
        Self { eligible, ..self }
    }
}

impl Router {
    /// Chooses one of the eligible, by the group's strategy. There must be one.
    pub(crate) fn pick(&mut self, flight: &Flight, group: GroupId, found: &Eligibility) -> usize {
        let choice = Choice { flight, group, eligible: found.eligible };
        match self.config.group(group).strategy {
            Strategy::Weighted { catch_up: false } => self.by_weight(choice, Draw::One),
            Strategy::Weighted { catch_up: true } => {
                let absent = self.absent(choice, found.held_up());
                self.catching_up(choice, absent)
            }
            Strategy::LeastInFlight => self.least_in_flight(self.sound(choice)),
            Strategy::PowerOfTwo(load) => self.power_of_two(self.sound(choice), load),
            Strategy::Latency { explore } => self.by_latency(choice, explore),
            Strategy::Usage => self.by_usage(self.sound(choice)),
            Strategy::Cost => self.by_cost(self.sound(choice)),
            Strategy::Sticky => self.sticky(choice),
        }
    }

    /// The same choice among those that are not in doubt; if all are, among all.
    fn sound<'a>(&self, choice: Choice<'a>) -> Choice<'a> {
        let doubtful = bits(choice.eligible)
            .filter(|m| self.health.of(self.member(choice.group, *m)).is_doubtful(self.now))
            .fold(0, |mask, member| mask | 1 << member);
        let sound = choice.eligible & !doubtful;
        if sound == 0 { choice } else { choice.among(sound) }
    }

    /// At random, in proportion to the shares.
    fn by_weight(&self, choice: Choice<'_>, draw: Draw) -> usize {
        let group = self.config.group(choice.group);
        let share = |member| self.share_in(group, choice.group, member);
        let total = bits(choice.eligible).map(share).sum();
        // Shares are weights times 1024, unless one ramps up, and that changes no draw: for a
        // whole number n, floor(1024 x) < 1024 n if and only if floor(x) < n.
        let mut draw = self.keys.select.below(total, choice.counter(draw));
        let hit = bits(choice.eligible).find(|member| {
            let share = share(*member);
            let here = draw < share;
            draw = draw.wrapping_sub(share);
            here
        });
        hit.expect("a draw below the sum of the shares falls on one of them")
    }

    #[inline(never)]
    fn least_in_flight(&self, choice: Choice<'_>) -> usize {
        let least = least(choice.eligible, |member| {
            let load = self.load(self.member(choice.group, member));
            (load.into(), self.share(choice.group, member))
        });
        self.any(choice.among(least))
    }

    /// At random, each alike.
    fn any(&self, choice: Choice<'_>) -> usize {
        let mut left = choice.eligible;
        let count = u64::from(left.count_ones());
        let nth = self.keys.select.below(count, choice.counter(Draw::One));
        (0..nth).for_each(|_| left &= left - 1);
        left.trailing_zeros() as usize
    }

    /// What a deployment would have in flight with one call more.
    fn load(&self, deployment: DeploymentId) -> u64 {
        u64::from(self.health.of(deployment).in_flight) + 1
    }

    /// What a member counts for among others: its weight, one for standby, in 1024ths; less while
    /// it recovers.
    fn share(&self, group: GroupId, member: usize) -> u64 {
        self.share_in(self.config.group(group), group, member)
    }

    #[inline]
    fn share_in(&self, known: &Group, group: GroupId, member: usize) -> u64 {
        let known = &known.members[member];
        let weight = u64::from(known.weight.max(1));
        match known.breaker {
            BreakerMode::Enforce => weight * self.ramp(group, member),
            BreakerMode::Observe | BreakerMode::Disabled | BreakerMode::ForcedOpen => weight * 1024,
        }
    }

    /// Of those held up for a while, who stands beside the eligible but for that: of their tier,
    /// not standby, and not tried by this request.
    #[inline(never)]
    fn absent(&self, choice: Choice<'_>, held_up: u64) -> u64 {
        let group = self.config.group(choice.group);
        let tier = bits(choice.eligible).next().map(|member| group.members[member].tier);
        let tried = if choice.group == choice.flight.group() { choice.flight.tried } else { 0 };
        let absent = bits(held_up & !tried).filter(|member| {
            let member = &group.members[*member];
            member.weight > 0 && Some(member.tier) == tier
        });
        absent.fold(0, |mask, member| mask | 1 << member)
    }

    fn member(&self, group: GroupId, member: usize) -> DeploymentId {
        self.config.group(group).members[member].deployment
    }
}

/// The members of a mask.
fn bits(mask: u64) -> impl Iterator<Item = usize> {
    let mut left = mask;
    core::iter::from_fn(move || {
        let member = left.trailing_zeros() as usize;
        (left != 0).then(|| {
            left &= left - 1;
            member
        })
    })
}

/// Those members of a mask whose `cost` is least for their share.
fn least(mask: u64, cost: impl Fn(usize) -> (u128, u64)) -> u64 {
    let (mut best, mut tied) = (None, 0);
    for member in bits(mask) {
        let (cost, share) = cost(member);
        // a / s < b / t, without the division
        let order = best.map_or(Ordering::Less, |(least, of): (u128, u64)| {
            (cost * u128::from(of)).cmp(&(least * u128::from(share)))
        });
        match order {
            Ordering::Less => {
                best = Some((cost, share));
                tied = 1 << member;
            }
            Ordering::Equal => tied |= 1 << member,
            Ordering::Greater => {}
        }
    }
    tied
}
