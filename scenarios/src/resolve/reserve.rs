//! Whether what a router reserves for an answer has anything to do with the answers.

use std::sync::Arc;

use router_core::{Config, Detour, GroupId, RouterSpec};
use sim::{Lengths, TraceRow};

use super::Said;
use crate::written::Spanned;

/// How many tokens half of the answers have, or more.
pub(super) fn half(output: &Lengths, trace: Option<&Arc<[TraceRow]>>) -> u32 {
    match output {
        Lengths::Fixed(tokens) => *tokens,
        Lengths::LogNormal { median, .. } => *median as u32,
        Lengths::Quantiles(points) => points.get(points.len() / 2).copied().unwrap_or(0),
        Lengths::Trace => {
            let rows = trace.iter().flat_map(|rows| rows.iter());
            let mut lengths: Vec<u32> = rows.map(|row| row.output_tokens).collect();
            lengths.sort_unstable();
            lengths.get(lengths.len() / 2).copied().unwrap_or(0)
        }
    }
}

/// How far what is reserved for an answer may be from what answers have.
const RESERVE_SHORT: u32 = 2;
const RESERVE_LONG: u32 = 16;

/// Warns if what is reserved on token limits for answers is far from what they have: below it the
/// calls of a moment overshoot the limits, above it the limits stay unused.
pub(super) fn check(
    name: &Spanned<String>,
    group: GroupId,
    half: u32,
    config: &Config,
    said: &mut Said,
) {
    let groups = [group].into_iter().chain(config.group(group).chain(Detour::Any).iter().copied());
    let mut members = groups.flat_map(|group| &config.group(group).members);
    let counted = members.any(|member| {
        let limits = &config.deployment(member.deployment).limits;
        let mut limits = limits.iter().map(|limit| &config.limit(*limit).spec);
        limits.any(|limit| limit.tokens.is_some() || limit.output_tokens.is_some())
    });
    let reserve = config.router().output_reserve;
    // Too much of what nobody wrote is no choice, and harmless where calls are few.
    let is_usual = reserve == RouterSpec::default().output_reserve;
    let what = if reserve.saturating_mul(RESERVE_SHORT) <= half {
        format!("half of its answers have {half} tokens or more")
    } else if !is_usual && half.saturating_mul(RESERVE_LONG) <= reserve {
        format!("half of its answers have {half} tokens or fewer")
    } else {
        return;
    };
    let so = if reserve < half {
        "token limits are overshot by what is in flight"
    } else {
        "token limits turn calls away that would fit"
    };
    if counted {
        said.warn(format!(
            "demand `{}`: {what}, but `router.output_reserve` is {reserve}: {so}",
            name.value
        ));
    }
}
