//! Limits and deployments.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::{Checker, DEPLOYMENTS_MAX, LONGEST, Problem, is_name};
use crate::config::{
    AdaptiveSpec, Deployment, DeploymentSpec, Limit, LimitSpec, OnOutage, PeersSpec, Rate, Spec,
};
use crate::{LimitId, Span};

pub(in crate::config) const TAGS_MAX: usize = 64;
/// Tokens of a context window: a thousand times the largest of today.
const CONTEXT_MAX: u64 = 1_000_000_000;
const AMOUNT_MAX: u64 = 1_000_000_000_000;
const PARALLEL_MAX: u64 = 1_000_000;

impl Checker {
    pub(super) fn limit(&mut self, path: &str, limit: &LimitSpec, peers: Option<PeersSpec>) {
        let rates = [
            ("requests", limit.requests),
            ("tokens", limit.tokens),
            ("input_tokens", limit.input_tokens),
            ("output_tokens", limit.output_tokens),
        ];
        for (name, rate) in rates {
            if let Some(Rate { amount, period, burst }) = rate {
                self.range(format!("{path}.{name}"), amount, 1, AMOUNT_MAX);
                let least = Span::from_millis(1);
                self.span(format!("{path}.{name}"), period, least, Span::from_secs(31 * 86_400));
                if let Some(burst) = burst {
                    self.range(format!("{path}.{name}"), burst, 1, AMOUNT_MAX);
                    // The bucket's depth in time must fit the clock.
                    let depth = u128::from(burst) * u128::from(period.as_nanos());
                    if amount > 0 && depth / u128::from(amount) > u128::from(LONGEST.as_nanos()) {
                        let value = Span::MAX;
                        let problem =
                            Problem::SpanRange { value, least: Span::ZERO, most: LONGEST };
                        self.fault(format!("{path}.{name}"), problem);
                    }
                }
            }
        }
        if let Some(parallel) = limit.parallel {
            self.range(format!("{path}.parallel"), u64::from(parallel), 1, PARALLEL_MAX);
        }
        let Some(PeersSpec { replicas, on_outage, .. }) = peers else { return };
        let bursts = rates.map(|(name, rate)| (name, rate.map(|r| r.burst.unwrap_or(r.amount))));
        let shared = bursts.into_iter().filter(|_| on_outage == OnOutage::Share);
        let parallel = [("parallel", limit.parallel.map(u64::from))];
        for (name, value) in shared.chain(parallel) {
            if let Some(value) = value.filter(|value| (1..u64::from(replicas)).contains(value)) {
                self.fault(format!("{path}.{name}"), Problem::Indivisible { value, replicas });
            }
        }
    }

    pub(super) fn deployments(&mut self, spec: &Spec) -> (Vec<Limit>, Vec<Deployment>) {
        if spec.deployments.is_empty() {
            self.fault("deployment", Problem::Empty("deployment"));
        }
        if spec.deployments.len() > DEPLOYMENTS_MAX {
            let count = spec.deployments.len();
            let most = DEPLOYMENTS_MAX;
            self.fault("deployment", Problem::TooMany { what: "deployments", count, most });
            return (Vec::new(), Vec::new());
        }
        self.names("limit", spec.limits.iter().map(|(name, _)| name.as_str()));
        self.names("deployment", spec.deployments.iter().map(|d| d.name.as_str()));
        for (name, limit) in &spec.limits {
            self.limit(&format!("limit.{name}"), limit, spec.router.peers);
        }
        let peers = spec.router.peers;
        let limit = |name: &String, whole: &LimitSpec, shared| Limit {
            name: name.clone(),
            shared,
            spec: peers.map_or_else(|| whole.clone(), |peers| peers.share(whole)),
            whole: whole.clone(),
            removed: false,
        };
        let owners = spec.deployments.iter().filter_map(|d| Some((&d.name, d.limit.as_ref()?)));
        let mut limits: Vec<Limit> = owners.map(|(name, own)| limit(name, own, false)).collect();
        let own = limits.len();
        limits.extend(spec.limits.iter().map(|(name, whole)| limit(name, whole, true)));
        if let Some(extra) = self.tags.get(TAGS_MAX).cloned()
            && let Some(first) = spec.deployments.iter().find(|d| d.tags.contains(&extra))
        {
            let (what, count, most) =
                ("different tags, with those of the others", self.tags.len(), TAGS_MAX);
            let path = format!("deployment.{}.tags", first.name);
            self.fault(path, Problem::TooMany { what, count, most });
        }
        let mut next_own = 0;
        let deployments =
            spec.deployments.iter().map(|d| self.deployment(d, spec, own, &mut next_own)).collect();
        (limits, deployments)
    }

    fn deployment(
        &mut self,
        written: &DeploymentSpec,
        spec: &Spec,
        own: usize,
        next_own: &mut usize,
    ) -> Deployment {
        let path = format!("deployment.{}", written.name);
        self.range(format!("{path}.keys"), u64::from(written.keys), 1, 32);
        for (name, price) in [
            ("input", written.price.input),
            ("cached", written.price.cached),
            ("output", written.price.output),
        ] {
            self.range(format!("{path}.price.{name}"), price, 0, AMOUNT_MAX);
        }
        let mut limits = Vec::new();
        if let Some(limit) = &written.limit {
            self.limit(&format!("{path}.limit"), limit, spec.router.peers);
            limits.push(LimitId::at(*next_own));
            *next_own += 1;
        }
        if written.shared.len() > 3 {
            let (what, count, most) = ("shared limits", written.shared.len(), 3);
            self.fault(format!("{path}.limit"), Problem::TooMany { what, count, most });
        }
        for name in &written.shared {
            match spec.limits.iter().position(|(known, _)| known == name) {
                Some(index) if limits.contains(&LimitId::at(own + index)) => {
                    self.fault(format!("{path}.limit"), Problem::Twice);
                }
                Some(index) => limits.push(LimitId::at(own + index)),
                None => {
                    let known = spec.limits.iter().map(|(name, _)| name.clone()).collect();
                    let (kind, name) = ("limit", name.clone());
                    self.fault(format!("{path}.limit"), Problem::Unknown { kind, name, known });
                }
            }
        }
        if let Some(context) = written.context {
            self.range(format!("{path}.context"), context.into(), 1, CONTEXT_MAX);
        }
        if let Some(adaptive) = &written.adaptive {
            self.adaptive(&format!("{path}.adaptive"), adaptive);
        }
        let tags = self.tags(&format!("{path}.tags"), &written.tags);
        let region = written.region.as_deref();
        if let Some(name) = region.filter(|name| !is_name(name)) {
            let name = name.to_string();
            self.fault(format!("{path}.region"), Problem::NameOf { kind: "region", name });
        }
        Deployment {
            name: written.name.clone(),
            keys: written.keys,
            limits,
            price: written.price,
            context: written.context.unwrap_or(u32::MAX),
            tags,
            region: region.map_or(0, |region| number(&self.regions, region) as u16 + 1),
            removed: false,
            adaptive: written.adaptive,
        }
    }

    fn adaptive(&mut self, path: &str, adaptive: &AdaptiveSpec) {
        let AdaptiveSpec { min, max, start } = *adaptive;
        for (name, value) in [("min", min), ("max", max)] {
            self.range(format!("{path}.{name}"), value.into(), 1, PARALLEL_MAX);
        }
        if min > max {
            let (small, large) = (min.into(), max.into());
            self.fault(
                format!("{path}.min"),
                Problem::Range { value: small, least: 1, most: large },
            );
        } else {
            self.range(format!("{path}.start"), start.into(), min.into(), max.into());
        }
    }

    /// The tags of a deployment as a mask over all that there are.
    fn tags(&mut self, path: &str, names: &[String]) -> u64 {
        let mut mask = 0;
        for name in names {
            let bit = 1_u64.checked_shl(number(&self.tags, name) as u32).unwrap_or(0);
            let name = name.clone();
            if !is_name(&name) {
                self.fault(path, Problem::NameOf { kind: "tag", name });
            } else if mask & bit != 0 {
                self.fault(path, Problem::Repeated { name });
            }
            mask |= bit;
        }
        mask
    }
}

/// The place of `name` among `known`, where it is.
fn number(known: &[String], name: &str) -> usize {
    known.binary_search_by(|known| known.as_str().cmp(name)).unwrap_or(known.len())
}
