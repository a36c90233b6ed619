//! What answers for each deployment: its provider's preset, the router's own idea of the quota,
//! and what the scenario says differently.

use router_core::{Config, DeploymentId, LimitId, Ratio, Span};
use sim::{
    Abandoned, Algorithm, FirstToken, PRESETS, PerToken, Provider, Quota, Reserves, RetryAfter,
    Service, WhenFull, preset,
};

use super::select::{Selected, select};
use super::{Fleet, Said};
use crate::diagnostic::did_you_mean;
use crate::quantity::Quantity;
use crate::written::{
    FirstTokenSpec, Most, PerTokenSpec, ProviderSpec, QuotaSpec, ReservesSpec, ScenarioSpec,
    ServiceSpec,
};

/// What a request without `max_tokens` is taken to ask for, as `router.output_reserve` is by
/// default.
const OUTPUT_RESERVE: u32 = 512;
/// Quotas that a scenario shares are numbered from here, those of the router's limits below.
const SHARED_BY_SCENARIO: u16 = 1 << 15;

/// One provider per deployment.
pub(super) fn providers(
    scenario: &ScenarioSpec,
    fleet: Fleet<'_>,
    said: &mut Said,
) -> Vec<Provider> {
    let mut sized = vec![false; fleet.endpoints.len()];
    let mut shared = Vec::new();
    let mut providers: Vec<Provider> = fleet
        .endpoints
        .iter()
        .enumerate()
        .map(|(index, endpoint)| {
            let id = DeploymentId::at(index);
            let mut provider = preset(&endpoint.provider).unwrap_or_else(|| {
                let name = &fleet.config.deployment(id).name;
                let unknown = &endpoint.provider;
                let meant = did_you_mean(unknown, PRESETS.into_iter());
                said.warn(format!(
                    "deployment `{name}`: no preset for provider `{unknown}`, so it answers as a \
                     typical one, {}; {meant}",
                    typical_in_words()
                ));
                generic()
            });
            provider.context = Some(fleet.config.deployment(id).context).filter(|&c| c < u32::MAX);
            sized[index] = size(&mut provider.quota, id, fleet.config, &mut shared, said);
            provider
        })
        .collect();
    for (index, (name, spec)) in scenario.providers.iter().enumerate() {
        let Some(Selected { found, meant }) = select(name, fleet, said) else { continue };
        if found.is_empty() {
            said.not_applicable(format!("provider `{}`: there is none here{meant}", name.value));
        }
        for id in found {
            let number =
                SHARED_BY_SCENARIO.saturating_add(u16::try_from(index).unwrap_or(u16::MAX));
            sized[id.index()] |= differ(&mut providers[id.index()], spec, number);
        }
    }
    for (index, _) in sized.iter().enumerate().filter(|(_, sized)| !**sized) {
        let name = &fleet.config.deployment(DeploymentId::at(index)).name;
        said.warn(format!(
            "deployment `{name}`: neither the router nor the scenario says what its \
                           quota is, so it has none"
        ));
    }
    providers
}

/// A provider that nothing is known of, typical in every respect.
fn generic() -> Provider {
    let (first_token, per_token) = typical();
    Provider {
        connect: Span::from_millis(50),
        service: Service::Tokens { first_token, per_token },
        concurrency: None,
        when_full: WhenFull::Refuse,
        abandoned: Abandoned::RunsOn,
        quota: Quota {
            algorithm: Algorithm::Bucket,
            reserves: Reserves::Settles(OUTPUT_RESERVE),
            retry_after: RetryAfter::Seconds,
            ..Quota::default()
        },
        context: None,
        prompt_cache: None,
        errors: Ratio::ZERO,
    }
}

/// The middle of the endpoints that modelstats.ai probed (first token 0.64 s at the median, 1.1 to
/// 1.6 s at p95, a p99 several times the median), and the time per token of a hosted 70 B model in
/// ray-project/llmperf-leaderboard (21.6 ms at Fireworks). It grows with load as the presets' do.
fn typical() -> (FirstToken, PerToken) {
    let first_token = FirstToken {
        median: Span::from_millis(640),
        sigma: 0.3,
        tail: Ratio::from_ppm(10_000),
        tail_factor: 5.0,
        tail_shape: 2.0,
        max: Span::from_secs(60),
        per_input_token: Span::ZERO,
    };
    (first_token, PerToken { median: Span::from_micros(21_600), sigma: 0.15, growth: 0.000_1 })
}

fn typical_in_words() -> String {
    let (first_token, per_token) = typical();
    let [first, each] = [first_token.median, per_token.median].map(Quantity::Time);
    format!("with {first} to the first token and {each} per token")
}

/// Gives `quota` the size that the router itself believes in; false if it names none. A provider
/// has one quota, so of several limits the first shared one counts: it is the account's, while a
/// deployment's own limit beside it is a share that the router keeps to.
///
/// `shared` are the shared limits so far; a quota's number is its limit's place there, so it is less
/// than the number of deployments.
fn size(
    quota: &mut Quota,
    id: DeploymentId,
    config: &Config,
    shared: &mut Vec<LimitId>,
    said: &mut Said,
) -> bool {
    let deployment = config.deployment(id);
    let rated = deployment.limits.iter().filter(|&&id| {
        let limit = &config.limit(id).whole;
        let rates = [limit.requests, limit.tokens, limit.input_tokens, limit.output_tokens];
        rates.iter().any(Option::is_some)
    });
    let rated: Vec<_> = rated.copied().collect();
    let Some(&first) = rated.iter().find(|&&id| config.limit(id).shared).or_else(|| rated.first())
    else {
        return false;
    };
    let limit = config.limit(first);
    if rated.len() > 1 {
        said.warn(format!(
            "deployment `{}`: of its limits only `{}` is its provider's quota",
            deployment.name, limit.name
        ));
    }
    quota.requests = limit.whole.requests;
    quota.tokens = limit.whole.tokens;
    quota.input_tokens = limit.whole.input_tokens;
    quota.output_tokens = limit.whole.output_tokens;
    quota.shared = limit.shared.then(|| {
        let known = shared.iter().position(|known| *known == first);
        let number = known.unwrap_or_else(|| {
            shared.push(first);
            shared.len() - 1
        });
        u16::try_from(number).expect("a configuration has at most 4,096 deployments")
    });
    true
}

/// Changes what `spec` names; true if that says what the quota is.
fn differ(provider: &mut Provider, spec: &ProviderSpec, number: u16) -> bool {
    if let Some(connect) = spec.connect {
        provider.connect = connect;
    }
    match &spec.service {
        None => {}
        Some(ServiceSpec::Exponential(mean)) => {
            provider.service = Service::Exponential { mean: *mean };
        }
        Some(ServiceSpec::Constant(time)) => provider.service = Service::Constant { time: *time },
        Some(ServiceSpec::Tokens { ttft, per_token }) => tokens(provider, ttft, per_token),
    }
    match spec.concurrency {
        None => {}
        Some(Most::Unlimited) => provider.concurrency = None,
        Some(Most::Of(most)) => provider.concurrency = Some(most),
    }
    if let Some(when_full) = spec.when_full {
        provider.when_full = when_full;
    }
    if let Some(abandoned) = spec.abandoned {
        provider.abandoned = abandoned;
    }
    match spec.context {
        None => {}
        Some(Most::Unlimited) => provider.context = None,
        Some(Most::Of(tokens)) => provider.context = Some(tokens),
    }
    if let Some(kept) = spec.prompt_cache {
        provider.prompt_cache = kept;
    }
    if let Some(errors) = &spec.errors {
        provider.errors = errors.value;
    }
    spec.quota.as_ref().is_some_and(|quota| differ_in_quota(&mut provider.quota, quota, number))
}

fn differ_in_quota(quota: &mut Quota, spec: &QuotaSpec, number: u16) -> bool {
    let rates = [spec.requests, spec.tokens, spec.input_tokens, spec.output_tokens];
    let sized = spec.unlimited || rates.iter().any(Option::is_some);
    if sized {
        [quota.requests, quota.tokens, quota.input_tokens, quota.output_tokens] = rates;
        quota.shared = None;
    }
    if let Some(algorithm) = spec.algorithm {
        quota.algorithm = algorithm;
    }
    match spec.reserves {
        None => {}
        Some(ReservesSpec::Keeps) => quota.reserves = Reserves::Keeps(OUTPUT_RESERVE),
        Some(ReservesSpec::Settles) => quota.reserves = Reserves::Settles(OUTPUT_RESERVE),
        Some(ReservesSpec::Nothing) => quota.reserves = Reserves::Nothing,
    }
    if let Some(retry_after) = spec.retry_after {
        quota.retry_after = retry_after;
    }
    match spec.shared {
        None => {}
        Some(true) => quota.shared = Some(number),
        Some(false) => quota.shared = None,
    }
    sized
}

fn tokens(provider: &mut Provider, ttft: &FirstTokenSpec, per_token: &PerTokenSpec) {
    let (mut first, mut each) = match provider.service {
        Service::Tokens { first_token, per_token } => (first_token, per_token),
        Service::Exponential { .. } | Service::Constant { .. } => typical(),
    };
    first.median = ttft.median.unwrap_or(first.median);
    first.sigma = ttft.sigma.unwrap_or(first.sigma);
    first.tail = ttft.tail.unwrap_or(first.tail);
    first.tail_factor = ttft.tail_factor.unwrap_or(first.tail_factor);
    first.tail_shape = ttft.tail_shape.unwrap_or(first.tail_shape);
    first.max = ttft.max.unwrap_or(first.max);
    first.per_input_token = ttft.per_input_token.unwrap_or(first.per_input_token);
    each.median = per_token.median.unwrap_or(each.median);
    each.sigma = per_token.sigma.unwrap_or(each.sigma);
    each.growth = per_token.growth.unwrap_or(each.growth);
    provider.service = Service::Tokens { first_token: first, per_token: each };
}
