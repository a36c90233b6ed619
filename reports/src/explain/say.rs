//! Words of an explanation that stand in several places.

use router_core::{
    Abandon, Anew, Cause, FailureKind, GiveUp, Hold, Rate, Ratio, Restart, RouterSpec, Span,
    Strategy, Time,
};

use crate::blame::several;
use crate::words::{count, percent, seconds, secs};

/// An instant of the run: minutes and seconds, and hours if there are any: `20:01.842`.
pub(super) fn clock(at: Time) -> String {
    let ms = millis(at.since(Time::ZERO));
    let (hours, minutes, ms) = (ms / 3_600_000, ms / 60_000 % 60, ms % 60_000);
    let rest = format!("{:02}.{:03}", ms / 1_000, ms % 1_000);
    if hours == 0 { format!("{minutes}:{rest}") } else { format!("{hours}:{minutes:02}:{rest}") }
}

/// Whole milliseconds, to the nearest.
pub(super) const fn millis(span: Span) -> u64 {
    (span.as_nanos() + 500_000) / 1_000_000
}

/// A length of time: `612 ms`, `9.13 s`.
pub(super) fn span(span: Span) -> String {
    if span == Span::MAX { "ever".to_owned() } else { seconds(secs(span.as_nanos())) }
}

/// A ratio as a percentage.
pub(super) fn ratio(ratio: Ratio) -> String {
    percent(f64::from(ratio.numerator()) / f64::from(ratio.denominator()))
}

/// A rate of something: `500 requests/min`.
pub(super) fn rate(rate: Rate, what: &str) -> String {
    let per = match rate.period.as_nanos() {
        1_000_000_000 => "s".to_owned(),
        60_000_000_000 => "min".to_owned(),
        3_600_000_000_000 => "h".to_owned(),
        86_400_000_000_000 => "day".to_owned(),
        _ => span(rate.period),
    };
    format!("{} {what}/{per}", count(rate.amount))
}

/// One failure: `429`, `server error 503`, `first-token timeout`.
pub(super) fn failed(kind: FailureKind, status: u16) -> String {
    let what = one(kind);
    match (kind, status) {
        (FailureKind::RateLimit, 429) | (_, 0) => what.to_owned(),
        (_, status) => format!("{what} {status}"),
    }
}

/// What people call one failure of a kind.
pub(super) fn one(kind: FailureKind) -> &'static str {
    let several = several(kind);
    several.strip_suffix('s').unwrap_or(several)
}

/// The same with its article.
pub(super) fn a(kind: FailureKind) -> String {
    let one = one(kind);
    let article = if one.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {one}")
}

/// Why an attempt was dropped, where it is no failure of it.
pub(super) const fn dropped(why: Abandon) -> &'static str {
    match why {
        Abandon::Cancel => "its client left",
        Abandon::Deadline => "the deadline came",
        Abandon::Hedged => "the other was first",
        Abandon::Connect => "no connection in time",
        Abandon::FirstToken => "no first token in time",
        Abandon::Idle => "stalled",
        Abandon::Total => "not whole in time",
    }
}

/// Who is started anew, and with what.
pub(super) fn anew(Anew { with, replica }: Anew) -> String {
    let who = replica.map_or_else(
        || "the router".to_owned(),
        |replica| format!("replica {} of the router", replica + 1),
    );
    let how = match with {
        Restart::Restored => "from a snapshot with all that it knew",
        Restart::Empty => "without what it knew",
    };
    format!("{who} is started anew, {how}")
}

/// What an attempt is besides the first.
pub(super) const fn cause(cause: Cause) -> Option<&'static str> {
    match cause {
        Cause::Primary => None,
        Cause::Retry => Some("a retry"),
        Cause::Fallback => Some("a fallback"),
        Cause::Hedge => Some("a hedge beside the slow one"),
        Cause::Probe => Some("a probe: its breaker is half-open"),
        Cause::Standby => Some("standby: no weighted member was left"),
        Cause::Panic => Some("panic: so many are out that it is used all the same"),
        Cause::Degraded => Some("a step down its ladder"),
    }
}

/// Why a request was not tried again.
pub(super) fn gave_up(why: GiveUp, router: &RouterSpec) -> String {
    match why {
        GiveUp::Final => "that failure is final: trying again is pointless".to_owned(),
        GiveUp::Committed => "tokens had reached the client, so nothing can be retried".to_owned(),
        GiveUp::Attempts => format!("it had its {} attempts (`router.attempts`)", router.attempts),
        GiveUp::Retries => "the group retries failures of this class no more often".to_owned(),
        GiveUp::Budget => {
            let budget = &router.retry_budget;
            let share = budget
                .ratio
                .map_or_else(String::new, |share| format!("{} of the requests and ", ratio(share)));
            let (per_second, window) = (budget.per_second, span(budget.window));
            format!("the retry budget is spent ({share}{per_second}/s, over {window})")
        }
        GiveUp::Deadline => "nothing can be tried before its deadline".to_owned(),
        GiveUp::Stranded => "nobody it may go to will ever be able to take it".to_owned(),
        GiveUp::Drain => "the router drains, and nobody can take it at once".to_owned(),
        GiveUp::Subject => {
            "a limit of one of its subjects has no room for another attempt".to_owned()
        }
    }
}

/// The same in a few words, for chains.
pub(super) const fn gave_up_briefly(why: GiveUp) -> &'static str {
    match why {
        GiveUp::Final => "final",
        GiveUp::Committed => "too late to retry",
        GiveUp::Attempts => "no attempt left",
        GiveUp::Retries => "no retry left for it",
        GiveUp::Budget => "no retry budget",
        GiveUp::Deadline => "no time before the deadline",
        GiveUp::Stranded => "nobody left, ever",
        GiveUp::Drain => "draining",
        GiveUp::Subject => "its subject is over a limit",
    }
}

/// Why a hedge was held back.
pub(super) const fn held(why: Hold) -> &'static str {
    match why {
        Hold::Drain => "the router drains",
        Hold::Attempts => "it had all of its attempts (`router.attempts`)",
        Hold::Budget => "the retry budget is spent",
        Hold::Subject => "a limit of one of its subjects has no room for it",
        Hold::Utilisation => "too much of the group's parallel limits is in use",
        Hold::Nobody => "nobody else of the group can take it",
    }
}

/// How one of several was chosen.
pub(super) const fn strategy(strategy: Strategy) -> &'static str {
    match strategy {
        Strategy::Weighted { catch_up: false } => "drawn by weight",
        Strategy::Weighted { catch_up: true } => "by weight, in turn",
        Strategy::LeastInFlight => "the fewest calls in flight per weight",
        Strategy::PowerOfTwo(_) => "the less loaded of two drawn by weight",
        Strategy::Latency { .. } => "the least expected latency",
        Strategy::Usage => "the largest unused share of its limits",
        Strategy::Cost => "the cheapest that should meet the deadline",
        Strategy::Sticky => "by the request's affinity",
    }
}
