//! Where an answer is expected soonest.

use super::estimate::{Estimate, Expected};
use super::{Choice, Draw, Shape, bits, least};
use crate::flight::Flight;
use crate::router::Router;
use crate::{Ratio, Span, Time};

impl Shape {
    pub(super) fn of(flight: &Flight) -> Self {
        Self { streams: flight.streams(), output_tokens: flight.output_reserve }
    }
}

impl Router {
    /// The least expected response for the calls in flight and the share; now and then anyone.
    #[inline(never)]
    pub(super) fn by_latency(&self, choice: Choice<'_>, explore: Ratio) -> usize {
        let explores =
            !explore.is_zero() && self.keys.select.chance(explore, choice.counter(Draw::Explore));
        if explores {
            return self.by_weight(choice, Draw::One);
        }
        let shape = Shape::of(choice.flight);
        let least =
            self.least_latency(self.sound(choice), |estimate, now| estimate.response(shape, now));
        self.any(choice.among(least))
    }

    /// Those with the least expectation times calls in flight, for their shares.
    pub(super) fn least_latency(
        &self,
        choice: Choice<'_>,
        of: impl Fn(&Estimate, Time) -> Option<Expected>,
    ) -> u64 {
        let forecast = self.forecast(choice, of);
        least(forecast.usable, |member| {
            let load = self.load(self.member(choice.group, member));
            let cost = u128::from(forecast.spans[member].as_nanos()) * u128::from(load);
            (cost, self.share(choice.group, member))
        })
    }

    /// What to expect of each of the eligible.
    ///
    /// An estimate fades while nothing is heard, so that what was slow is tried again, but no
    /// further than to half of what the best is known for: what was not heard of for long gets
    /// twice the calls at most, never all of them.
    ///
    /// Who was never seen counts as the median of the seen, and where half or more were seen only
    /// while nothing is in flight there: one probe will tell, and the others can bear the rest.
    /// If nobody was seen, all are alike.
    pub(super) fn forecast(
        &self,
        choice: Choice<'_>,
        of: impl Fn(&Estimate, Time) -> Option<Expected>,
    ) -> Forecast {
        let mut forecast = Forecast { usable: 0, spans: [Span::ZERO; 64] };
        let (mut known, mut best) = ([Span::ZERO; 64], Span::MAX);
        for member in bits(choice.eligible) {
            let deployment = self.member(choice.group, member);
            if let Some(expected) = of(self.estimates.of(deployment), self.now) {
                forecast.usable |= 1 << member;
                forecast.spans[member] = expected.faded;
                known[member] = expected.known;
                best = best.min(expected.known);
            }
        }
        let seen = forecast.usable;
        if seen == 0 {
            return Forecast { usable: choice.eligible, spans: [Span::from_nanos(1); 64] };
        }
        let floor = best.scale(1, 2);
        for member in bits(seen) {
            let span = forecast.spans[member].max(known[member].min(floor));
            forecast.spans[member] = span.max(Span::from_nanos(1));
        }
        if seen == choice.eligible {
            return forecast;
        }
        let mut sorted = known;
        let count = seen.count_ones() as usize;
        sorted.iter_mut().zip(bits(seen)).for_each(|(span, m)| *span = forecast.spans[m]);
        sorted[..count].sort_unstable();
        let median = sorted[(count - 1) / 2];
        let few = 2 * count < choice.eligible.count_ones() as usize;
        for member in bits(choice.eligible & !seen) {
            if few || self.load(self.member(choice.group, member)) == 1 {
                forecast.usable |= 1 << member;
                forecast.spans[member] = median;
            }
        }
        forecast
    }
}

/// What to expect of each member of a choice.
#[derive(Debug)]
pub(super) struct Forecast {
    /// Of whom something is to be expected.
    pub(super) usable: u64,
    /// What, by member.
    pub(super) spans: [Span; 64],
}
