//! Providers as they are known to behave, each number with its public source.
//!
//! A preset carries the algorithm of a quota and the shape of latencies, never the size of a
//! quota: that is an account's own. What all of them share:
//!
//! - First tokens are a lognormal body and a heavy tail, since no single family fits the
//!   measurements of <https://github.com/ray-project/llmperf-leaderboard> (December 2023): bodies
//!   have a sigma of 0.12 to 0.26, and yet one deployment's p50 of 0.55 s goes with a p99 of 53 s.
//!   The parameters are fitted so that the quantiles of `connect` plus first token meet the ones
//!   cited; that the longest takes 60 s is an assumption.
//! - A prompt token adds 0.1 ms: prefill of a 70 B model on H100s (tensor parallel 8) in the
//!   profile of Patel et al., "Splitwise", ISCA 2024
//!   (<https://github.com/shashwatj07/SageServe>).
//! - That profile's time per token grows by 1 % with each other call in a batch. A hosted model
//!   runs on many machines, of which nobody says how many; a hundred are assumed here, so a call
//!   of one's own adds 0.01 %.
//! - 50 ms to connect is an assumption: two round trips of 25 ms.
//! - Without `max_tokens` a quota reserves 512 tokens: an assumption, the same as the router's.
//! - They do not fail of themselves: <https://github.com/ScaleVoice/LatencyLab> (April 2024) saw
//!   no failure in 255 calls to five healthy deployments. What goes wrong is a scenario's fault.
//! - They stop when a client hangs up: an assumption, for none of them documents it;
//!   <https://github.com/vercel/ai/issues/577> saw OpenAI do so.

use router_core::{Ratio, Span};

use crate::plan::{
    Abandoned, Algorithm, FirstToken, PerToken, Provider, Quota, Reserves, RetryAfter, Service,
    WhenFull,
};

/// The names that [`preset`] knows.
pub const PRESETS: [&str; 3] = ["openai", "azure-openai", "anthropic"];

/// What a request without `max_tokens` reserves, in tokens.
const UNNAMED: u32 = 512;

/// The provider called `name`, if it is one of [`PRESETS`]; its quota has no sizes yet.
pub fn preset(name: &str) -> Option<Provider> {
    match name {
        "openai" => Some(openai()),
        "azure-openai" => Some(azure_openai()),
        "anthropic" => Some(anthropic()),
        _ => None,
    }
}

/// OpenAI.
///
/// First token: GPT-4o mini over 24 h on <https://modelstats.ai>: p50, p95, p99 of 536, 844 and
/// 4461 ms; these parameters give 534, 867 and 4564. Per token: gpt-3.5-turbo-0125 in LatencyLab,
/// 15.3 ms at the median, sigma 0.19. Quota: <https://platform.openai.com/docs/guides/rate-limits>:
/// a call counts as its `max_tokens` or more when it arrives; refusals in public ("Limit 30000,
/// Used 22999, Requested 12528. Please try again in 11.054s") are the arithmetic of a bucket
/// that refills continuously, in milliseconds. Nothing there says that the excess is given back.
fn openai() -> Provider {
    let tail = Tail { share: Ratio::from_ppm(22_000), factor: 6.0, shape: 2.0 };
    Provider {
        service: tokens(480, 0.28, tail, 15_300, 0.19),
        quota: Quota {
            algorithm: Algorithm::Bucket,
            reserves: Reserves::Keeps(UNNAMED),
            retry_after: RetryAfter::Millis,
            ..Quota::default()
        },
        ..hosted()
    }
}

/// Azure OpenAI, standard deployments.
///
/// First token: gpt-3.5-turbo-0613 in LatencyLab, p50 1.00 s and p95 1.28 s (at OpenAI itself
/// 0.46 s at the median); 48 calls cannot show a tail, so it is OpenAI's, and the body is narrow
/// enough for p95 to be 1.31 s with it. Per token: the same deployment, 13.3 ms, sigma 0.29.
/// Quota: <https://learn.microsoft.com/azure/ai-services/openai/how-to/quota>: a running count of
/// prompt, `max_tokens` and `best_of` that starts anew each minute and is never corrected.
/// "Please retry after 7 seconds": whole seconds. (That page also spreads requests per minute
/// over windows of 1 or 10 s; a scenario says so with its quota's period.)
fn azure_openai() -> Provider {
    let tail = Tail { share: Ratio::from_ppm(22_000), factor: 6.0, shape: 2.0 };
    Provider {
        service: tokens(950, 0.15, tail, 13_300, 0.29),
        quota: Quota {
            algorithm: Algorithm::Window,
            reserves: Reserves::Keeps(UNNAMED),
            retry_after: RetryAfter::Seconds,
            ..Quota::default()
        },
        ..hosted()
    }
}

/// Anthropic.
///
/// First token: Claude Haiku 4.5 over 24 h on <https://modelstats.ai>: p50, p95, p99 of 541, 1591
/// and 4117 ms; these parameters give 544, 1529 and 3982. Per token: no public measurement at
/// hand, so a hosted 70 B model's in llmperf (Fireworks, 21.6 ms), with a sigma of 0.2. Quota:
/// <https://docs.anthropic.com/en/api/rate-limits>: token buckets, "continuously replenished";
/// completion tokens are "evaluated in real time", `max_tokens` does not factor in;
/// `retry-after` in whole seconds.
fn anthropic() -> Provider {
    let tail = Tail { share: Ratio::from_ppm(60_000), factor: 2.5, shape: 1.8 };
    Provider {
        service: tokens(475, 0.50, tail, 21_600, 0.20),
        quota: Quota {
            algorithm: Algorithm::Bucket,
            reserves: Reserves::Nothing,
            retry_after: RetryAfter::Seconds,
            ..Quota::default()
        },
        ..hosted()
    }
}

/// Which share of calls is in the tail, and how far out.
struct Tail {
    share: Ratio,
    factor: f64,
    shape: f64,
}

/// First tokens after `median_ms`, further ones each `per_token_us`.
fn tokens(median_ms: u64, sigma: f64, tail: Tail, per_token_us: u64, spread: f64) -> Service {
    Service::Tokens {
        first_token: FirstToken {
            median: Span::from_millis(median_ms),
            sigma,
            tail: tail.share,
            tail_factor: tail.factor,
            tail_shape: tail.shape,
            max: Span::from_secs(60),
            per_input_token: Span::from_micros(100),
        },
        per_token: PerToken {
            median: Span::from_micros(per_token_us),
            sigma: spread,
            growth: 0.000_1,
        },
    }
}

/// What the module says of all of them.
fn hosted() -> Provider {
    Provider {
        connect: Span::from_millis(50),
        service: Service::Constant { time: Span::ZERO },
        concurrency: None,
        when_full: WhenFull::Refuse,
        abandoned: Abandoned::Stops,
        quota: Quota::default(),
        context: None,
        prompt_cache: None,
        errors: Ratio::ZERO,
    }
}

#[cfg(test)]
mod tests {
    use router_core::{DeploymentId, RequestId, Seed};

    use super::*;
    use crate::service::{Draws, Pace};

    #[test]
    fn first_tokens_have_the_published_quantiles() {
        let published = [
            ("openai", [536.0, 844.0, 4461.0]),
            ("azure-openai", [999.0, 1284.0, f64::NAN]),
            ("anthropic", [541.0, 1591.0, 4117.0]),
        ];
        for (name, quantiles) in published {
            let provider = preset(name).unwrap();
            let (draws, pace) = (Draws::new(Seed::from_u64(1)), Pace::new(&provider));
            let mut ms: Vec<f64> = (0..100_000)
                .map(|n| {
                    let id = RequestId::new(0, n, 0);
                    let first = draws.first_token(&pace, id, 1, DeploymentId::at(0), 0, 1.0);
                    (provider.connect + first).as_nanos() as f64 / 1e6
                })
                .collect();
            ms.sort_by(f64::total_cmp);
            for (at, expected) in [0.5, 0.95, 0.99].into_iter().zip(quantiles) {
                let got = ms[(at * ms.len() as f64) as usize];
                // Ten percent: the published ones are of 48 to 288 calls.
                assert!(
                    expected.is_nan() || (got / expected - 1.0).abs() < 0.1,
                    "{name} {at} {got}"
                );
            }
        }
    }

    #[test]
    fn presets_have_no_quota_of_their_own() {
        for name in PRESETS {
            let quota = preset(name).unwrap().quota;
            let rates = [quota.requests, quota.tokens, quota.input_tokens, quota.output_tokens];
            assert_eq!(rates, [None; 4], "{name}");
        }
        assert!(preset("acme").is_none());
    }
}
