//! Whom a strategy chooses among the eligible.
//!
//! What `weighted` with `catch_up` owes to whom is kept elsewhere. What chance decides (a draw by weight, a tie, which two of many) is judged if the
//! auditor knows the router's seed; if not, only what no draw can lead to: of two, the busier is
//! never chosen, so nobody is who is busier than each of the others. Where roundings or an
//! estimate leave open who is better, either may be chosen.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::choice::Choice;
use super::expect::{Ask, Range, Until};
use super::flight::{Flight, Selected};
use super::{Answer, Auditor, limits};
use crate::{Counter, DeploymentId, GroupId, Load, Purpose, Seed, Strategy, Usage};

/// One, with 32 bits below the point.
const ONE: u64 = 1 << 32;
/// Which of an attempt's draws: of one, of another beside it, of whether to explore.
const FIRST: u32 = 0;
const SECOND: u32 = 1;
const EXPLORE: u32 = 2;

/// What speaks against a member: so much, for its share.
#[derive(Clone, Copy, Debug)]
struct Cost {
    member: usize,
    value: (u128, u128),
    share: u64,
}

impl Cost {
    fn less(&self, other: &Self) -> Answer {
        let (mine, theirs) = (u128::from(self.share), u128::from(other.share));
        if self.value.1 * theirs < other.value.0 * mine {
            Answer::Yes
        } else if self.value.0 * theirs >= other.value.1 * mine {
            Answer::No
        } else {
            Answer::Maybe
        }
    }
}

/// A choice among several.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field<'a> {
    pub(super) flight: &'a Flight,
    pub(super) group: GroupId,
    pub(super) eligible: u64,
    pub(super) chosen: usize,
}

/// How ties are broken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Ties {
    Alike,
    ByWeight,
}

/// Whether a choice is right, and what is wrong with it; `None` if that cannot be judged.
pub(super) type Judged = Option<Result<(), String>>;

impl Auditor {
    /// Whether the strategy chooses this member.
    pub(super) fn chosen(&self, flight: &Flight, choice: &Choice) -> Judged {
        let field = self.field(flight, choice)?;
        let Field { group, eligible, chosen, .. } = field;
        let others = eligible & !(1 << chosen);
        if eligible == others {
            return Some(Err(field.said("is not among those that it may be")));
        }
        if others == 0 {
            return None;
        }
        match self.config.group(group).strategy {
            Strategy::Weighted { catch_up: false } => self.is_drawn(field, Ties::ByWeight),
            // Its books are looked into.
            Strategy::Weighted { catch_up: true } => None,
            Strategy::Sticky if flight.request.affinity == 0 => {
                self.is_drawn(field, Ties::ByWeight)
            }
            Strategy::Sticky => Some(self.is_nearest(field)),
            Strategy::Latency { explore }
                if !explore.is_zero() && self.draws?.chance(explore, field.counter(EXPLORE)) =>
            {
                self.is_drawn(field, Ties::ByWeight)
            }
            strategy @ (Strategy::LeastInFlight
            | Strategy::PowerOfTwo(_)
            | Strategy::Latency { .. }
            | Strategy::Usage
            | Strategy::Cost) => self.is_best(self.sound(field), strategy),
        }
    }

    /// Among whom a member was chosen, if that is known.
    pub(super) fn field<'a>(&self, flight: &'a Flight, choice: &Choice) -> Option<Field<'a>> {
        let (group, chosen) = (choice.place.group, choice.place.member);
        let eligible = match flight.selected {
            Some(Selected { group: told, eligible, .. }) if told == group => eligible,
            Some(_) | None => self.eligible(flight, group)?,
        };
        Some(Field { flight, group, eligible, chosen })
    }

    /// Whether a strategy that looks at load chooses so.
    fn is_best(&self, field: Field<'_>, strategy: Strategy) -> Judged {
        if field.eligible & 1 << field.chosen == 0 {
            return Some(Err(field.said("is in doubt, and somebody is not")));
        }
        match strategy {
            Strategy::LeastInFlight => Some(self.is_least(field, &self.loads(field), Ties::Alike)),
            Strategy::PowerOfTwo(load) => Some(self.is_better_of_two(field, load)),
            Strategy::Latency { .. } => {
                let costs = self.delays(field, Until::Response);
                Some(self.is_least(field, &costs, Ties::Alike))
            }
            Strategy::Usage => Some(self.is_least(field, &self.uses(field), Ties::ByWeight)),
            Strategy::Cost => self.is_cheapest(field),
            Strategy::Weighted { .. } | Strategy::Sticky => None,
        }
    }

    /// The same choice among those that are not in doubt; if all are, among all.
    fn sound<'a>(&self, field: Field<'a>) -> Field<'a> {
        let doubtful = |&member: &usize| {
            let deployment = self.whose(field.group, member);
            let in_flight = self.limits.in_flight(deployment);
            self.expected.is_doubtful(deployment, in_flight, field.flight.at)
        };
        let doubtful = bits(field.eligible).filter(doubtful);
        let sound = field.eligible & !doubtful.fold(0, |mask, member| mask | 1 << member);
        Field { eligible: if sound == 0 { field.eligible } else { sound }, ..field }
    }

    /// Who is eligible by the books, if they are certain of everybody.
    fn eligible(&self, flight: &Flight, group: GroupId) -> Option<u64> {
        if flight.live.is_some() {
            return None;
        }
        let members = &self.config.group(group).members;
        let mut able = 0;
        for (index, _) in self.config.group(group).present() {
            match self.could(flight, group, index, flight.at) {
                Answer::Yes => able |= 1 << index,
                Answer::No => {}
                Answer::Maybe => return None,
            }
        }
        let tried = if group == flight.group { flight.tried } else { 0 };
        let serves = |tier: u8| {
            let mut fresh = bits(able & !tried);
            fresh.any(|index| members[index].weight > 0 && members[index].tier == tier)
        };
        let idle = bits(able).filter(|&i| members[i].weight == 0 && serves(members[i].tier));
        able &= !idle.fold(0, |mask, index| mask | 1 << index);
        able = if able & !tried == 0 { able } else { able & !tried };
        let lowest = bits(able).map(|index| members[index].tier).min();
        let lowest = bits(able).filter(|&index| Some(members[index].tier) == lowest);
        Some(lowest.fold(0, |mask, index| mask | 1 << index))
    }

    fn whose(&self, group: GroupId, member: usize) -> DeploymentId {
        self.config.group(group).members[member].deployment
    }

    /// What a deployment would have in flight with one call more.
    fn load(&self, group: GroupId, member: usize) -> u128 {
        u128::from(self.limits.in_flight(self.whose(group, member))) + 1
    }

    /// A member's weight, in 1024ths; less while its breaker's share ramps up.
    pub(super) fn share(&self, field: Field<'_>, member: usize) -> u64 {
        let group = self.config.group(field.group);
        let weight = u64::from(group.members[member].weight.max(1));
        weight * self.health.ramp(group, field.group, member, field.flight.at)
    }

    fn loads(&self, field: Field<'_>) -> Vec<Cost> {
        let cost = |member| {
            let load = self.load(field.group, member);
            Cost { member, value: (load, load), share: self.share(field, member) }
        };
        bits(field.eligible).map(cost).collect()
    }

    /// The draw of one among some, if the seed is known.
    fn draw(&self, field: Field<'_>, among: u64, ties: Ties, index: u32) -> Option<usize> {
        let share = |member| match ties {
            Ties::Alike => 1,
            Ties::ByWeight => self.share(field, member),
        };
        let all: u64 = bits(among).map(share).sum();
        let mut left = self.draws.filter(|_| all > 0)?.below(all, field.counter(index));
        bits(among).find(|&member| {
            let here = left < share(member);
            left = left.saturating_sub(share(member));
            here
        })
    }

    /// Whether chance, if it is known, decides so.
    pub(super) fn is_drawn(&self, field: Field<'_>, ties: Ties) -> Judged {
        let drawn = self.draw(field, field.eligible, ties, FIRST)?;
        Some(if drawn == field.chosen { Ok(()) } else { Err(field.lost(drawn, "the draw")) })
    }

    /// Whether nobody costs less, and among equals it is the one that is drawn.
    fn is_least(&self, field: Field<'_>, costs: &[Cost], ties: Ties) -> Result<(), String> {
        let Some(mine) = costs.iter().find(|cost| cost.member == field.chosen) else {
            return Err(field.said("is not among those that count"));
        };
        let better = costs.iter().find(|cost| cost.less(mine) == Answer::Yes);
        if let Some(better) = better {
            return Err(field.lost(better.member, "the strategy"));
        }
        let certain = |cost: &Cost| costs.iter().all(|other| other.less(cost) == Answer::No);
        let doubtful = |cost: &&Cost| {
            costs.iter().all(|other| other.less(cost) != Answer::Yes) && !certain(cost)
        };
        if costs.iter().any(|cost| doubtful(&cost)) {
            return Ok(());
        }
        let tied = costs.iter().filter(|cost| certain(cost));
        let tied = tied.fold(0, |mask, cost| mask | 1 << cost.member);
        let drawn = self.draw(field, tied, ties, FIRST).unwrap_or(field.chosen);
        if drawn == field.chosen { Ok(()) } else { Err(field.lost(drawn, "the tie")) }
    }

    fn is_better_of_two(&self, field: Field<'_>, load: Load) -> Result<(), String> {
        let less = |one: usize, other: usize| {
            let field = Field { eligible: 1 << one | 1 << other, ..field };
            let costs = match load {
                Load::InFlight => self.loads(field),
                Load::PeakEwma => self.delays(field, Until::Peak),
            };
            let of = |member| costs.iter().find(|cost| cost.member == member);
            match (of(one), of(other)) {
                (Some(one), Some(other)) => one.less(other),
                (one, _) => Answer::from(one.is_some()),
            }
        };
        let first = self.draw(field, field.eligible, Ties::ByWeight, FIRST);
        let others = |first: usize| field.eligible & !(1 << first);
        let second = first.and_then(|one| self.draw(field, others(one), Ties::ByWeight, SECOND));
        if let (Some(first), Some(second)) = (first, second) {
            let right: u64 = match less(second, first) {
                Answer::Yes => 1 << second,
                Answer::No => 1 << first,
                Answer::Maybe => 1 << first | 1 << second,
            };
            let lost = || field.lost(right.trailing_zeros() as usize, "the draw of two");
            return if right & 1 << field.chosen == 0 { Err(lost()) } else { Ok(()) };
        }
        let mut rest = bits(others(field.chosen)).peekable();
        if rest.peek().is_some() && rest.all(|m| less(m, field.chosen) == Answer::Yes) {
            Err(field.said("is worse than each of the others"))
        } else {
            Ok(())
        }
    }

    /// What of their scarcest limit is used.
    fn uses(&self, field: Field<'_>) -> Vec<Cost> {
        let cost = |member| {
            let deployment = self.whose(field.group, member);
            let used = self.limits.used(&self.config, deployment, field.flight.at);
            let places = self.found_places(deployment).map(limits::used_places);
            let Range { least, most } = used.with(places.unwrap_or_default(), u64::max);
            Cost { member, value: (least.into(), most.into()), share: 1 }
        };
        bits(field.eligible).map(cost).collect()
    }

    /// Expected times, by the calls in flight and the share.
    fn delays(&self, field: Field<'_>, until: Until) -> Vec<Cost> {
        let cost = |(member, span): (usize, Range)| {
            let load = self.load(field.group, member);
            let value = (u128::from(span.least) * load, u128::from(span.most) * load);
            Cost { member, value, share: self.share(field, member) }
        };
        self.forecast(field, until).into_iter().map(cost).collect()
    }

    /// How long each may take of whom something is to be expected.
    fn forecast(&self, field: Field<'_>, until: Until) -> Vec<(usize, Range)> {
        let Field { flight, group, eligible, .. } = field;
        let (stream, output, now) = (flight.request.stream, flight.take().output, flight.at);
        let ask = Ask { until, stream, output, now };
        let known =
            bits(eligible).filter_map(|m| Some((m, self.expected.of(self.whose(group, m), ask)?)));
        let known: Vec<(usize, (Range, Range))> = known.collect();
        let half = Range {
            least: known.iter().map(|(_, (known, _))| known.least / 2).min().unwrap_or(0),
            most: known.iter().map(|(_, (known, _))| known.most.div_ceil(2)).min().unwrap_or(0),
        };
        if known.is_empty() {
            return bits(eligible).map(|member| (member, Range::exactly(1))).collect();
        }
        let span = |(known, faded): (Range, Range)| {
            faded.with(known.with(half, u64::min), u64::max).with(Range::exactly(1), u64::max)
        };
        let mut spans: Vec<_> = known.iter().map(|(member, of)| (*member, span(*of))).collect();
        let middle = |of: &dyn Fn(&Range) -> u64| {
            let mut sorted: Vec<u64> = spans.iter().map(|(_, span)| of(span)).collect();
            sorted.sort_unstable();
            sorted[(sorted.len() - 1) / 2]
        };
        let median = Range { least: middle(&|span| span.least), most: middle(&|span| span.most) };
        let few = 2 * spans.len() < eligible.count_ones() as usize;
        let seen = spans.iter().fold(0, |mask, (member, _)| mask | 1 << member);
        let unseen = bits(eligible & !seen).filter(|&m| few || self.load(group, m) == 1);
        spans.extend(unseen.map(|member| (member, median)));
        spans
    }

    /// The least price of those in time; without one, whoever is expected first.
    fn is_cheapest(&self, field: Field<'_>) -> Judged {
        let Field { flight, group, chosen, .. } = field;
        let left = flight.deadline.since(flight.at).as_nanos();
        let mut ends = self.forecast(field, Until::End);
        let in_time = |span: Range| match (span.most <= left, span.least <= left) {
            (true, _) => Answer::Yes,
            (false, true) => Answer::Maybe,
            (false, false) => Answer::No,
        };
        ends.sort_unstable_by_key(|(member, _)| *member);
        let Some(mine) = ends.iter().find(|(member, _)| *member == chosen).map(|end| end.1) else {
            return Some(Err(field.said("is busy, and nothing is known of it")));
        };
        let usage = Usage {
            input_tokens: flight.request.input_tokens,
            cached_tokens: 0,
            output_tokens: u32::try_from(flight.take().output).unwrap_or(u32::MAX),
        };
        let price = |member| {
            let price = self.config.deployment(self.whose(group, member)).price.of(usage);
            Cost { member, value: (price.into(), price.into()), share: 1 }
        };
        if ends.iter().any(|(_, span)| in_time(*span) == Answer::Maybe) {
            let mut sure = ends.iter().filter(|(_, span)| in_time(*span) == Answer::Yes);
            let late = in_time(mine) == Answer::No;
            let better = |m: usize| late || price(m).less(&price(chosen)) == Answer::Yes;
            let lost = sure.find(|(member, _)| better(*member));
            return lost.map(|(member, _)| Err(field.lost(*member, "the strategy")));
        }
        let prompt = ends.iter().filter(|(_, span)| in_time(*span) == Answer::Yes);
        let prices: Vec<Cost> = prompt.map(|(member, _)| price(*member)).collect();
        if !prices.is_empty() {
            return Some(self.is_least(field, &prices, Ties::ByWeight));
        }
        let cost = |&(member, span): &(usize, Range)| Cost {
            member,
            value: (span.least.into(), span.most.into()),
            share: 1,
        };
        let ends: Vec<Cost> = ends.iter().map(cost).collect();
        Some(self.is_least(field, &ends, Ties::Alike))
    }

    /// Weighted rendezvous: the least logarithm for its share.
    fn is_nearest(&self, field: Field<'_>) -> Result<(), String> {
        let key = Seed::from_u64(0).key(Purpose::Sticky);
        let costs = bits(field.eligible).map(|member| {
            let entity = self.whose(field.group, member).index() as u32;
            let request = field.flight.request.affinity;
            let distance = minus_log2(key.word(Counter { request, entity, ..Counter::default() }));
            let value = (distance.saturating_sub(4).into(), (distance + 4).into());
            Cost { member, value, share: self.share(field, member) }
        });
        let costs: Vec<Cost> = costs.collect();
        let Some(mine) = costs.iter().find(|cost| cost.member == field.chosen) else {
            return Ok(());
        };
        match costs.iter().find(|cost| cost.less(mine) == Answer::Yes) {
            Some(nearer) => Err(field.lost(nearer.member, "its affinity")),
            None => Ok(()),
        }
    }
}

impl Field<'_> {
    fn counter(&self, index: u32) -> Counter {
        Counter {
            request: self.flight.request.id.as_u64(),
            entity: self.group.index() as u32,
            attempt: self.flight.attempts + 1,
            index,
        }
    }

    fn said(&self, what: &str) -> String {
        format!("member {} of {:b} {what}", self.chosen, self.eligible)
    }

    pub(super) fn lost(&self, to: usize, by: &str) -> String {
        self.said(&format!("is chosen, though {by} falls on member {to}"))
    }
}

/// The members of a mask.
pub(super) fn bits(mask: u64) -> impl Iterator<Item = usize> + Clone {
    (0..64).filter(move |member| mask & 1 << member != 0)
}

/// -log2(word / 2^64) with 32 bits below the point, bit by bit: squaring doubles a logarithm.
fn minus_log2(word: u64) -> u64 {
    let word = word.max(1);
    let zeros = word.leading_zeros();
    let (mut number, mut log) = (u128::from(word << zeros), 0_u64);
    for _ in 0..32 {
        number = (number * number) >> 63;
        let passes = number >> 64;
        number >>= passes;
        log = log << 1 | passes as u64;
    }
    (u64::from(zeros) + 1) * ONE - log
}
