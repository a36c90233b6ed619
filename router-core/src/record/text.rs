//! Events as text: one description of each, from which writing and reading both follow.

use alloc::string::ToString;
use alloc::sync::Arc;
use core::fmt::{self, Write as _};
use core::str::FromStr;

use super::{BadLine, fingerprint};
use crate::{
    Abandon, AttemptId, BreakerState, Cached, Cause, Config, Consumption, DeploymentId, Dispatch,
    End, Failure, FailureKind, GiveUp, GroupId, Hold, Input, Level, LimitId, Measure, Observation,
    Outcome, Output, Quota, Reason, Rejection, Request, RequestId, Rung, Span, Time, Turn,
    Upstream, Usage, Wait,
};

/// The words of a line that is being read.
pub(super) struct Tokens<'a> {
    text: &'a str,
    /// Where the last word read starts, and where the next one does.
    last: usize,
    next: usize,
    configs: &'a [Arc<Config>],
}

impl<'a> Tokens<'a> {
    pub(super) const fn new(text: &'a str, configs: &'a [Arc<Config>]) -> Self {
        Self { text, last: 0, next: 0, configs }
    }

    /// The next word; there must be one.
    pub(super) fn token(&mut self, expected: &'static str) -> Result<&'a str, BadLine> {
        self.last = self.next.min(self.text.len());
        let rest = &self.text[self.last..];
        let word = rest.split(' ').next().unwrap_or_default();
        self.next = self.last + word.len() + 1;
        if word.is_empty() { Err(self.bad(expected)) } else { Ok(word) }
    }

    /// A complaint about the last word.
    pub(super) fn bad(&self, expected: &'static str) -> BadLine {
        let found = self.text[self.last..].split(' ').next().unwrap_or_default().to_string();
        BadLine { column: self.last.min(self.text.len()) + 1, expected, found }
    }

    pub(super) fn exactly(&mut self, word: &'static str) -> Result<(), BadLine> {
        if self.token(word)? == word { Ok(()) } else { Err(self.bad(word)) }
    }

    pub(super) fn parse<T: FromStr>(&mut self, expected: &'static str) -> Result<T, BadLine> {
        self.token(expected)?.parse().map_err(|_| self.bad(expected))
    }

    pub(super) fn fingerprint(&mut self) -> Result<u64, BadLine> {
        let expected = "a fingerprint such as `0x0123456789abcdef`";
        let word = self.token(expected)?;
        let digits = word.strip_prefix("0x").filter(|digits| digits.len() == 16);
        digits
            .and_then(|digits| u64::from_str_radix(digits, 16).ok())
            .ok_or_else(|| self.bad(expected))
    }

    pub(super) fn end(&mut self) -> Result<(), BadLine> {
        if self.next > self.text.len() {
            return Ok(());
        }
        self.last = self.next;
        Err(self.bad("the end of the line"))
    }

    /// The value of the next word, which must be `name=value`.
    fn value(&mut self, name: &str, expected: &'static str) -> Result<&'a str, BadLine> {
        let word = self.token(expected)?;
        word.strip_prefix(name)
            .and_then(|rest| rest.strip_prefix('='))
            .ok_or_else(|| self.bad(expected))
    }
}

/// Part of an event: one word or several, each written after a space. Words whose kind shows
/// (ids, names of an enum) stand alone; the others are written `name=value`.
pub(super) trait Field: Sized {
    fn write(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result;
    fn read(name: &'static str, tokens: &mut Tokens<'_>) -> Result<Self, BadLine>;
}

/// The value of a `name=value` word.
trait Value: Sized {
    /// What it is called when a name or value is missing.
    const EXPECTED: &'static str;
    fn put(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result;
    fn get(text: &str) -> Option<Self>;
}

impl<T: Value> Field for T {
    fn write(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, " {name}=")?;
        self.put(f)
    }

    fn read(name: &'static str, tokens: &mut Tokens<'_>) -> Result<Self, BadLine> {
        let text = tokens.value(name, T::EXPECTED)?;
        T::get(text).ok_or_else(|| tokens.bad(T::EXPECTED))
    }
}

macro_rules! values {
    ($($type:ty: $expected:literal;)+) => {$(
        impl Value for $type {
            const EXPECTED: &'static str = $expected;

            fn put(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{self}")
            }

            fn get(text: &str) -> Option<Self> {
                text.parse().ok()
            }
        }
    )+};
}

values! {
    u8: "a named number below 256";
    u16: "a named number below 65536";
    u32: "a named number below 4294967296";
    u64: "a named number below 18446744073709551616";
    bool: "a named `true` or `false`";
    Time: "a named time in seconds with nine decimals";
    Span: "a named span such as `1500ms`";
}

impl<T: Value> Value for Option<T> {
    const EXPECTED: &'static str = T::EXPECTED;

    fn put(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Some(value) => value.put(f),
            None => f.write_char('-'),
        }
    }

    fn get(text: &str) -> Option<Self> {
        if text == "-" { Some(None) } else { T::get(text).map(Some) }
    }
}

impl<T: Value + Copy + Default, const N: usize> Value for [T; N] {
    const EXPECTED: &'static str = "named numbers such as `0,0,0,0`";

    fn put(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, value) in self.iter().enumerate() {
            if index > 0 {
                f.write_char(',')?;
            }
            value.put(f)?;
        }
        Ok(())
    }

    fn get(text: &str) -> Option<Self> {
        let mut values = [T::default(); N];
        let mut words = text.split(',');
        for value in &mut values {
            *value = T::get(words.next()?)?;
        }
        words.next().is_none().then_some(values)
    }
}

impl Value for Usage {
    const EXPECTED: &'static str = "named tokens such as `usage=900/0/40` (input, cached, output)";

    fn put(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { input_tokens, cached_tokens, output_tokens } = self;
        write!(f, "{input_tokens}/{cached_tokens}/{output_tokens}")
    }

    fn get(text: &str) -> Option<Self> {
        let mut words = text.split('/');
        let mut next = || words.next()?.parse().ok();
        let (input_tokens, cached_tokens, output_tokens) = (next()?, next()?, next()?);
        words.next().is_none().then_some(Self { input_tokens, cached_tokens, output_tokens })
    }
}

macro_rules! ids {
    ($($type:ident: $expected:literal;)+) => {$(
        impl Field for $type {
            fn write(&self, _: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, " {self}")
            }

            fn read(_: &'static str, tokens: &mut Tokens<'_>) -> Result<Self, BadLine> {
                tokens.parse($expected)
            }
        }
    )+};
}

ids! {
    RequestId: "a request such as `r17`";
    AttemptId: "an attempt such as `r17#2`";
}

macro_rules! indexes {
    ($($type:ident: $letter:literal, $expected:literal;)+) => {$(
        impl Field for $type {
            fn write(&self, _: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, " {}{}", $letter, self.index())
            }

            fn read(_: &'static str, tokens: &mut Tokens<'_>) -> Result<Self, BadLine> {
                let digits = tokens.token($expected)?.strip_prefix($letter);
                let index = digits.and_then(|digits| digits.parse::<u16>().ok());
                index.map(|index| Self::at(index.into())).ok_or_else(|| tokens.bad($expected))
            }
        }
    )+};
}

indexes! {
    GroupId: 'g', "a group such as `g0`";
    DeploymentId: 'd', "a deployment such as `d0`";
    LimitId: 'l', "a limit such as `l0`";
}

impl Field for Arc<Config> {
    fn write(&self, _: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, " {:#018x}", fingerprint(self))
    }

    fn read(_: &'static str, tokens: &mut Tokens<'_>) -> Result<Self, BadLine> {
        let wanted = tokens.fingerprint()?;
        let found = tokens.configs.iter().find(|config| fingerprint(config) == wanted);
        let expected = "the fingerprint of a configuration at hand";
        found.cloned().ok_or_else(|| tokens.bad(expected))
    }
}

macro_rules! structs {
    ($($type:ident { $($part:ident),+ })+) => {$(
        impl Field for $type {
            fn write(&self, _: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let Self { $($part),+ } = self;
                $(Field::write($part, stringify!($part), f)?;)+
                Ok(())
            }

            fn read(_: &'static str, tokens: &mut Tokens<'_>) -> Result<Self, BadLine> {
                Ok(Self { $($part: Field::read(stringify!($part), tokens)?),+ })
            }
        }
    )+};
}

structs! {
    Request {
        id, group, subjects, properties, input_tokens, output_max, stream, tags, region, priority,
        deadline, affinity, cached
    }
    Quota { requests_left, tokens_left }
    Failure { kind, status, retry_after, should_retry, usage }
    Dispatch { attempt, group, deployment, key, cause, connect, heartbeat }
}

/// An enum: the name of its variant, then what that holds.
pub(super) trait Verb: Sized {
    const EXPECTED: &'static str;
    fn head(&self) -> &'static str;
    fn tail(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result;
    /// `None` if there is no such variant.
    fn variant(name: &str, tokens: &mut Tokens<'_>) -> Result<Option<Self>, BadLine>;
}

pub(super) fn read_verb<T: Verb>(tokens: &mut Tokens<'_>) -> Result<T, BadLine> {
    let name = tokens.token(T::EXPECTED)?;
    T::variant(name, tokens)?.ok_or_else(|| tokens.bad(T::EXPECTED))
}

macro_rules! enums {
    ($($type:ident, $expected:literal {
        $($name:literal = $variant:ident $(($($field:ident),+))? $({$($part:ident),+})?;)+
    })+) => {$(
        impl Verb for $type {
            const EXPECTED: &'static str = $expected;

            fn head(&self) -> &'static str {
                match self {
                    $(Self::$variant { .. } => $name,)+
                }
            }

            fn tail(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$variant $(($($field),+))? $({$($part),+})? => {
                        $($(Field::write($field, stringify!($field), _f)?;)+)?
                        $($(Field::write($part, stringify!($part), _f)?;)+)?
                    })+
                }
                Ok(())
            }

            fn variant(name: &str, _tokens: &mut Tokens<'_>) -> Result<Option<Self>, BadLine> {
                Ok(Some(match name {
                    $($name => Self::$variant
                        $(($(Field::read(stringify!($field), _tokens)?),+))?
                        $({$($part: Field::read(stringify!($part), _tokens)?),+})?,)+
                    _ => return Ok(None),
                }))
            }
        }

        impl Field for $type {
            fn write(&self, _: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, " {}", self.head())?;
                self.tail(f)
            }

            fn read(_: &'static str, tokens: &mut Tokens<'_>) -> Result<Self, BadLine> {
                read_verb(tokens)
            }
        }
    )+};
}

enums! {
    Input, "an input" {
        "submit" = Submit(request);
        "cancel" = Cancel(request);
        "upstream" = Upstream(attempt, news);
        "tick" = Tick;
        "reconfigure" = Reconfigure(config);
        "peers" = Peers(consumption);
        "drain" = Drain;
    }
    Cached, "`none`, `stale` or `fresh`" {
        "none" = None;
        "stale" = Stale;
        "fresh" = Fresh;
    }
    Upstream, "news of an attempt" {
        "connected" = Connected;
        "headers" = Headers(quota);
        "first-token" = FirstToken;
        "progress" = Progress(tokens);
        "complete" = Complete(usage);
        "fail" = Fail(failure);
    }
    FailureKind, "a kind of failure" {
        "rate-limit" = RateLimit;
        "quota-spent" = QuotaSpent;
        "server" = Server;
        "connect" = Connect;
        "first-token" = FirstToken;
        "idle" = Idle;
        "total" = Total;
        "reset" = Reset;
        "truncated" = Truncated;
        "authentication" = Authentication;
        "not-found" = NotFound;
        "bad-request" = BadRequest;
        "context-window" = ContextWindow;
        "content-policy" = ContentPolicy;
        "invalid-output" = InvalidOutput;
    }
    Consumption, "`used`, `alive`, `own`, `taken`, `spent` or `resting`" {
        "used" = Used { replica, limit, requests, input_tokens, output_tokens };
        "alive" = Alive { replica };
        "own" = Own { limit, requests, input_tokens, output_tokens };
        "taken" = Taken {
            replica, kind, subject, since, requests, input_tokens, output_tokens
        };
        "spent" = Spent { replica, kind, subject, budget, period, spent };
        "resting" = Resting { deployment, key, remaining, asked };
    }
    Output, "an output" {
        "dispatch" = Dispatch(dispatch);
        "abandon" = Abandon(attempt, why);
        "commit" = Commit(attempt);
        "finish" = Finish(request, outcome);
        "observe" = Observe(observation);
    }
    Cause, "a cause" {
        "primary" = Primary;
        "retry" = Retry;
        "fallback" = Fallback;
        "hedge" = Hedge;
        "probe" = Probe;
        "standby" = Standby;
        "panic" = Panic;
        "degraded" = Degraded;
    }
    Abandon, "why an attempt is abandoned" {
        "cancel" = Cancel;
        "connect" = Connect;
        "first-token" = FirstToken;
        "idle" = Idle;
        "total" = Total;
        "deadline" = Deadline;
        "hedged" = Hedged;
    }
    Outcome, "how a request ended" {
        "serve" = Serve(attempt, usage);
        "partial" = Partial(attempt, usage);
        "exhaust" = Exhaust(failure);
        "reject" = Reject(why);
        "expire" = Expire;
        "cancel" = Cancel;
        "cached" = Cached { stale };
        "static" = Static;
    }
    Rung, "a rung of a ladder" {
        "fresh" = Fresh;
        "stale" = Stale;
        "group" = Group(group);
        "static" = Static;
    }
    Rejection, "why a request was not tried" {
        "drain" = Drain;
        "no-deployment" = NoDeployment(earliest);
        "too-long" = TooLong;
        "full" = Full;
        "duplicate" = Duplicate;
        "subject" = Subject { kind, what, earliest };
        "budget" = Budget { kind, earliest };
        "accounts" = Accounts;
        "group-full" = GroupFull;
        "queue-full" = QueueFull(earliest);
        "queue-timeout" = QueueTimeout(earliest);
        "shed" = Shed(earliest);
    }
    Measure, "a part of a limit" {
        "requests" = Requests;
        "tokens" = Tokens;
        "input_tokens" = InputTokens;
        "output_tokens" = OutputTokens;
        "parallel" = Parallel;
    }
    Level, "how far a budget is used up" {
        "soft" = Soft;
        "hard" = Hard;
    }
    Observation, "an observation" {
        "excluded" = Excluded { attempt, group, reason, mask };
        "selected" = Selected { attempt, group, deployment, eligible };
        "stranded" = Stranded { attempt, group, earliest };
        "waiting" = Waiting { attempt, until, why, deployment, failure };
        "queued" = Queued { request, group, class, ahead };
        "dequeued" = Dequeued { request, group, class, waited };
        "ended" = Ended { attempt, group, deployment, end, first_token, elapsed, usage };
        "rested" = Rested { deployment, key, until, failure, streak };
        "breaker" = Breaker { group, deployment, to, why, until, streak, enforced };
        "concurrency" = Concurrency { deployment, limit };
        "held" = Held { attempt, why };
        "spared" = Spared { deployment, group };
        "page" = Page { deployment, key, failure };
        "gave-up" = GaveUp { request, why };
        "stepped" = Stepped { request, rung };
        "closed" = Closed { request, group, attempts, first_token, elapsed };
        "late" = Late { attempt, corrected };
        "misfit" = Misfit;
        "drained" = Drained { deployment };
        "budget" = Budget { kind, subject, budget, level, spent };
    }
    Reason, "a reason of exclusion" {
        "disabled" = Disabled;
        "tags" = Tags;
        "region" = Region;
        "context" = Context;
        "budget" = Budget;
        "barred" = Barred;
        "cooling" = Cooling;
        "open" = Open;
        "limit" = Limit;
        "parallel" = Parallel;
        "weight-0" = Weight;
        "tried" = Tried;
        "tier" = Tier;
    }
    BreakerState, "where a breaker is" {
        "closed" = Closed;
        "open" = Open;
        "half-open" = HalfOpen;
    }
    Turn, "what turned a breaker" {
        "consecutive" = Consecutive;
        "failures" = Failures;
        "slow" = Slow;
        "probe" = Probe;
        "waited" = Waited;
        "recovered" = Recovered;
    }
    Hold, "why a hedge is held back" {
        "drain" = Drain;
        "attempts" = Attempts;
        "budget" = Budget;
        "subject" = Subject;
        "utilisation" = Utilisation;
        "nobody" = Nobody;
    }
    End, "how an attempt ended" {
        "answered" = Answered;
        "failed" = Failed(kind);
        "abandoned" = Abandoned(why);
    }
    Wait, "what a request waits for" {
        "backoff" = Backoff;
        "retry-after" = RetryAfter;
        "eligible" = Eligible;
    }
    GiveUp, "why a request is given up" {
        "final" = Final;
        "committed" = Committed;
        "attempts" = Attempts;
        "retries" = Retries;
        "budget" = Budget;
        "deadline" = Deadline;
        "stranded" = Stranded;
        "drain" = Drain;
        "subject" = Subject;
    }
}

macro_rules! displays {
    ($($type:ident)+) => {$(
        /// As a line of a record says it, every field included.
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.head())?;
                self.tail(f)
            }
        }
    )+};
}

displays! { Input Output Observation }

macro_rules! from_strs {
    ($($type:ident)+) => {$(
        /// Reads what its `Display` writes.
        impl FromStr for $type {
            type Err = BadLine;

            fn from_str(text: &str) -> Result<Self, BadLine> {
                let mut tokens = Tokens::new(text, &[]);
                let read = read_verb(&mut tokens)?;
                tokens.end()?;
                Ok(read)
            }
        }
    )+};
}

from_strs! { Output Observation }
