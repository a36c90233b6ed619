use router_core::CallEnd;

use super::*;
use crate::{FirstToken, Outage, PerToken, PromptCache};

/// 10 ms to connect, 100 ms and 1 ms for each prompt token to the first token, then 1 ms each.
fn reads_slowly(lasts: u64) -> Provider {
    let first_token = FirstToken {
        median: Span::from_millis(100),
        sigma: 0.0,
        tail: Ratio::ZERO,
        tail_factor: 1.0,
        tail_shape: 1.0,
        max: Span::from_secs(60),
        per_input_token: Span::from_millis(1),
    };
    let per_token = PerToken { median: Span::from_millis(1), sigma: 0.0, growth: 0.0 };
    let kept = PromptCache { lasts: Span::from_millis(lasts), least: 1_024 };
    Provider {
        service: Service::Tokens { first_token, per_token },
        prompt_cache: Some(kept),
        ..constant(0)
    }
}

/// One conversation's prompts of 2,000 tokens, one each 3 s.
fn turns(count: u64) -> Demand {
    Demand { conversations: 1, input: Lengths::Fixed(2_000), ..demand(3_000, count) }
}

/// When each call had its first token, and how many tokens of its prompt were cached.
fn seen(plan: &Plan) -> Vec<(u64, u32)> {
    let world = run(plan, Script::to(&[0, 1]));
    let calls = world.journal().calls.iter().map(|call| {
        let first = call.first_token.map_or(0, |first| first.as_nanos() / 1_000_000);
        let CallEnd::Answered(usage) = call.end else { panic!("{call:?}") };
        (first, usage.cached_tokens)
    });
    calls.collect()
}

#[test]
fn what_is_kept_is_not_read_again() {
    // 15 steps of 128 tokens are in the cache: 1,920; 80 are left to read.
    let plan = plan(turns(4), vec![reads_slowly(3_000)]);
    let first = (3_000 + 10 + 100 + 2_000, 0);
    let again = |at: u64| (at + 10 + 100 + 80, 1_920);
    assert_eq!(seen(&plan), [first, again(6_000), again(9_000), again(12_000)]);
}

#[test]
fn what_was_not_used_for_long_is_read_again() {
    // The second comes 890 ms after the first token of the first, which it began to be kept from;
    // the third comes 2,810 ms after that of the second.
    let plan = plan(turns(3), vec![reads_slowly(2_000)]);
    let whole = |at: u64| (at + 10 + 100 + 2_000, 0);
    assert_eq!(seen(&plan), [whole(3_000), (6_190, 1_920), whole(9_000)]);
}

#[test]
fn each_provider_keeps_its_own_and_only_of_conversations() {
    let cached =
        |plan: &Plan| -> Vec<u32> { seen(plan).into_iter().map(|(_, cached)| cached).collect() };
    let mut two = plan(turns(4), vec![reads_slowly(60_000), reads_slowly(60_000)]);
    // The second and the fourth go to the other one.
    for at in [5_000, 11_000] {
        two.faults.push(fault(at, at + 2_000, Effect::Outage(Outage::Status(503))));
    }
    assert_eq!(cached(&two), [0, 0, 1_920, 1_920]);
    let alone = plan(Demand { conversations: 0, ..turns(3) }, vec![reads_slowly(60_000)]);
    assert_eq!(cached(&alone), [0, 0, 0]);
    let short = Demand { input: Lengths::Fixed(1_023), ..turns(3) };
    assert_eq!(cached(&plan(short, vec![reads_slowly(60_000)])), [0, 0, 0]);
    let forgets = Provider { prompt_cache: None, ..reads_slowly(1) };
    assert_eq!(cached(&plan(turns(3), vec![forgets])), [0, 0, 0]);
}
