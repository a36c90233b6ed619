//! The cheapest that is expected to be done in time.

use super::{Choice, Draw, Shape, bits, least};
use crate::router::Router;
use crate::{Price, Usage};

impl Router {
    /// The least price among those expected to end by the deadline; ties by weight. Without one
    /// the least expected end. Who was never seen is given the chance, and a price of zero is a
    /// price.
    #[inline(never)]
    pub(super) fn by_cost(&self, choice: Choice<'_>) -> usize {
        let shape = Shape::of(choice.flight);
        let end = |estimate: &super::estimate::Estimate, now| estimate.end(shape, now);
        let left = choice.flight.deadline.since(self.now);
        let forecast = self.forecast(choice, end);
        let in_time = bits(forecast.usable).filter(|member| forecast.spans[*member] <= left);
        let in_time = in_time.fold(0, |mask, member| mask | 1 << member);
        if in_time == 0 {
            let soonest = least(forecast.usable, |m| (forecast.spans[m].as_nanos().into(), 1));
            return self.any(choice.among(soonest));
        }
        let usage = Usage {
            input_tokens: choice.flight.input_tokens,
            cached_tokens: 0,
            output_tokens: choice.flight.output_reserve,
        };
        let cheapest = least(in_time, |member| {
            let deployment = self.member(choice.group, member);
            let price: Price = self.config.deployment(deployment).price;
            (price.of(usage).into(), 1)
        });
        self.by_weight(choice.among(cheapest), Draw::One)
    }
}
