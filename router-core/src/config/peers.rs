//! Other replicas of the router: what they share, and what happens when they fall silent.

use super::{BudgetSpec, LimitSpec, Rate};
use crate::Span;

/// How several replicas of this router keep to one set of limits.
///
/// Messages ([`crate::Consumption`]) tell each what the others have used; how they travel is the
/// driver's business. Calls at once change faster than any message, so `parallel` is divided
/// among the replicas in any case.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PeersSpec {
    /// How many replicas there are, this one included; 1 to 1,000.
    pub replicas: u16,
    /// After how long without a word of a peer that is an outage. 5 s: five messages of one a
    /// second, so that a lost one or two are none.
    pub stale: Span,
    /// What happens then.
    pub on_outage: OnOutage,
}

impl PeersSpec {
    /// So many replicas, and the defaults.
    pub const fn new(replicas: u16) -> Self {
        Self { replicas, stale: Span::from_secs(5), on_outage: OnOutage::Open }
    }

    /// What one replica may take of a limit. Any window still admits what is left of the burst at
    /// most, so that all shares together never exceed the whole.
    pub(super) fn share(&self, whole: &LimitSpec) -> LimitSpec {
        let replicas = self.replicas.max(1);
        let rate = |rate: Option<Rate>| match self.on_outage {
            OnOutage::Closed | OnOutage::Open => rate,
            OnOutage::Share => rate.map(|Rate { amount, period, burst }| Rate {
                amount,
                period: period * u64::from(replicas),
                burst: Some(burst.unwrap_or(amount) / u64::from(replicas)),
            }),
        };
        LimitSpec {
            requests: rate(whole.requests),
            tokens: rate(whole.tokens),
            input_tokens: rate(whole.input_tokens),
            output_tokens: rate(whole.output_tokens),
            parallel: whole.parallel.map(|most| most / u32::from(replicas)),
        }
    }

    /// What one replica may spend of a budget.
    pub(super) fn part(&self, whole: BudgetSpec) -> BudgetSpec {
        match self.on_outage {
            OnOutage::Closed | OnOutage::Open => whole,
            OnOutage::Share => {
                BudgetSpec { amount: whole.amount / u64::from(self.replicas.max(1)), ..whole }
            }
        }
    }
}

/// What a replica does about rates when it does not know what its peers use.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum OnOutage {
    /// It sends nothing that takes from a rate: no limit is overshot, and little is served.
    Closed,
    /// It goes on with what it knows: everything is served, and limits may be overshot by as many
    /// times as there are peers.
    Open,
    /// Nothing, as it needs no word of them: each replica has an equal part of every limit, from
    /// the start. No limit is overshot, and what one does not use is lost to the others.
    Share,
}

impl OnOutage {
    /// Every one, in order of number.
    pub const ALL: [Self; 3] = [Self::Closed, Self::Open, Self::Share];

    /// What people and files call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::Share => "share",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up_to_no_more_than_the_whole() {
        let rate = |amount, burst| Some(Rate { amount, period: Span::from_secs(60), burst });
        let whole = LimitSpec {
            requests: rate(10, None),
            tokens: rate(900, Some(30)),
            parallel: Some(11),
            ..LimitSpec::default()
        };
        let peers = PeersSpec { on_outage: OnOutage::Share, ..PeersSpec::new(3) };
        let share = peers.share(&whole);
        let three = Span::from_secs(180);
        assert_eq!(share.requests, Some(Rate { amount: 10, period: three, burst: Some(3) }));
        assert_eq!(share.tokens, Some(Rate { amount: 900, period: three, burst: Some(10) }));
        assert_eq!((share.input_tokens, share.parallel), (None, Some(3)));
        let told = PeersSpec::new(3).share(&whole);
        assert_eq!((told.requests, told.parallel), (whole.requests, Some(3)));
    }
}
