//! What a fault does, by number.

use core::ops::Range;

use router_core::{Anew, Ratio, Restart, Span};
use sim::{BadEnd, Demand, Effect, Lengths, Outage};

use super::Said;
use super::answer::{answers, kind_of};
use crate::written::{FaultSpec, Mistake, Revoked, Spanned};

/// The one effect of a fault; `demands` are what it could touch.
pub(super) fn effect(
    name: &Spanned<String>,
    spec: &FaultSpec,
    demands: &[Demand],
    said: &mut Said,
) -> Option<Effect> {
    let mut named = all(spec, demands, said);
    match named.len() {
        0 => {
            let hint = "give it `outage`, `stall`, `cut`, `truncated`, `in_stream_error`, \
                        `rate_limits`, `quota_spent`, `revoked_key`, `garbage`, `restart`, `store`, `cache_flush`, \
                        `answers`, \
                        or some of `errors`, `ttft`, `per_token` and `delay`";
            let message = "this fault does nothing".to_owned();
            let mistake = Mistake { at: name.at.clone(), message, hint: Some(hint.to_owned()) };
            said.lacks(&name.at, mistake);
            None
        }
        1 => named.pop().flatten(),
        _ => {
            let message = "this fault does several things at once";
            said.wrong_because(&name.at, message, "make each a fault of its own");
            None
        }
    }
}

/// An entry for each effect that a fault has, empty if it is wrong.
fn all(spec: &FaultSpec, demands: &[Demand], said: &mut Said) -> Vec<Option<Effect>> {
    let brownout = spec.errors.is_some()
        || spec.ttft.is_some()
        || spec.per_token.is_some()
        || spec.delay.is_some();
    let brownout = brownout.then(|| {
        Some(Effect::Brownout {
            errors: spec.errors.as_ref().map_or(Ratio::ZERO, |errors| errors.value),
            first_token: spec.ttft.as_ref().map_or(1.0, |times| times.value),
            per_token: spec.per_token.as_ref().map_or(1.0, |times| times.value),
            delay: spec.delay.as_ref().map_or(Span::ZERO, |delay| delay.value),
        })
    });
    let error = spec.in_stream_error.as_ref();
    let bad_ends = [
        spec.stall.as_ref().map(|at| (at.value, BadEnd::Stall, &at.at)),
        spec.cut.as_ref().map(|at| (at.value, BadEnd::Cut, &at.at)),
        spec.truncated.as_ref().map(|at| (at.value, BadEnd::Truncated, &at.at)),
        error.map(|error| (error.value.after, BadEnd::Error(error.value.status), &error.at)),
    ];
    let bad_ends = bad_ends.into_iter().flatten();
    let mut named: Vec<Option<Effect>> =
        bad_ends.map(|(after, end, at)| breaks(after, end, at, demands, said)).collect();
    named.extend(brownout);
    named.extend(spec.outage.as_ref().map(|text| outage(text, said)));
    let storm = spec.rate_limits.as_ref().map(|storm| storm.value.retry_after);
    named.extend(storm.map(|retry_after| Some(Effect::Storm { retry_after })));
    named.extend(spec.quota_spent.map(|status| Some(Effect::QuotaSpent(status))));
    named.extend(spec.revoked_key.map(|revoked| match revoked {
        Revoked::All => Some(Effect::RevokedKey(None)),
        Revoked::Key(key) => Some(Effect::RevokedKey(Some(key))),
    }));
    let replica = spec.replica.as_ref().map(|replica| replica.value - 1);
    let anew = |with: &Spanned<Restart>| Some(Effect::Restart(Anew { with: with.value, replica }));
    named.extend(spec.restart.as_ref().map(anew));
    named.extend(spec.store.map(|store| Some(Effect::Store(store))));
    let flush = spec.cache_flush.as_ref().filter(|flush| flush.value);
    named.extend(flush.map(|_| Some(Effect::CacheFlush)));
    let garbage = spec.garbage.as_ref().filter(|garbage| garbage.value);
    named.extend(garbage.map(|written| garbage_effect(&written.at, demands, said)));
    named.extend(spec.answers.as_ref().map(|texts| answers(texts, said)));
    named
}

fn breaks(
    after: u32,
    end: BadEnd,
    at: &Range<usize>,
    demands: &[Demand],
    said: &mut Said,
) -> Option<Effect> {
    let longest = demands.iter().map(longest).max_by_key(|most| most.unwrap_or(u32::MAX));
    if let Some(Some(longest)) = longest
        && longest <= after
    {
        let message =
            format!("no answer has more than {longest} tokens, so none breaks after {after}");
        said.wrong_because(at, message, "what is no longer than `after` comes whole");
        return None;
    }
    Some(Effect::Breaks { after, end })
}

/// The most tokens that an answer may have, if that is known.
fn longest(demand: &Demand) -> Option<u32> {
    let longest = match &demand.output {
        Lengths::Fixed(tokens) => Some(*tokens),
        Lengths::LogNormal { max, .. } => Some(*max),
        Lengths::Quantiles(points) => points.last().copied(),
        Lengths::Trace => None,
    };
    [longest, demand.output_max].into_iter().flatten().min()
}

fn garbage_effect(at: &Range<usize>, demands: &[Demand], said: &mut Said) -> Option<Effect> {
    let streams = |demand: &Demand| demand.stream.numerator() >= demand.stream.denominator();
    if !demands.is_empty() && demands.iter().all(streams) {
        let message = "every answer is streamed, and garbage shows only in those that are not";
        said.wrong_because(at, message, "give a demand `stream = false`, or `stream = \"80 %\"`");
        return None;
    }
    Some(Effect::Garbage)
}

fn outage(written: &Spanned<String>, said: &mut Said) -> Option<Effect> {
    let outage = outage_of(&written.value);
    if outage.is_none() {
        let message = format!("`{}` is no outage", written.value);
        let hint = "write `refuse`, `black-hole` or a status from 400 to 599";
        said.wrong_because(&written.at, message, hint);
    }
    outage.map(Effect::Outage)
}

fn outage_of(text: &str) -> Option<Outage> {
    match text {
        "refuse" => Some(Outage::Refuse),
        "black-hole" => Some(Outage::BlackHole),
        status => {
            let status = status.parse().ok()?;
            kind_of(status).map(|_| Outage::Status(status))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_text_is_an_outage_or_refused(text in "(black-|[0-9]{0,5}).{0,20}") {
            let _ = outage_of(&text);
        }
    }

    #[test]
    fn an_outage_is_a_way_of_not_answering() {
        assert_eq!(outage_of("503"), Some(Outage::Status(503)));
        assert_eq!(outage_of("black-hole"), Some(Outage::BlackHole));
        assert_eq!(outage_of("200"), None);
        assert_eq!(outage_of("off"), None);
    }
}
