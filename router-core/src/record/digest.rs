//! A rolling digest over the fields of every timed input and output.
//!
//! Two runs that did the same have the same digest; the digest of two different runs is the same
//! with probability 2^-128 at best and is no protection against somebody who wants it to be.
//! It covers field words and never text, so that a nicer rendering changes no digest. Each event
//! is a head word (variant, presence of optional fields, small fields), the time, and as many
//! further words as the head says, so no two sequences of events give the same words.

use core::fmt;

use super::mix::{Mixer, pair};
use super::{RECORD_VERSION, fingerprint};
use crate::{
    Abandon, AttemptId, Cached, Consumption, Dispatch, End, Failure, Input, Journal, Observation,
    Outcome, Output, Rejection, Request, Restart, Rung, Span, Time, Upstream, Usage,
};

/// The rolling digest of a run: a [`Journal`] that keeps nothing else. Its value is written as 32
/// hexadecimal digits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Digest(Mixer);

impl Digest {
    /// Of nothing yet.
    pub const fn new() -> Self {
        Self(Mixer::new(RECORD_VERSION as u64))
    }

    /// Of everything so far.
    pub const fn value(self) -> u128 {
        self.0.value()
    }

    /// Starts an event: its head and its time.
    const fn event(&mut self, head: Head, now: Time) {
        self.0.word(head.0);
        self.0.time(now);
    }

    const fn usage(&mut self, usage: Usage) {
        self.0.word(pair(usage.input_tokens, usage.output_tokens));
        self.0.word(usage.cached_tokens as u64);
    }

    fn request(&mut self, now: Time, request: &Request) {
        let Request {
            id,
            group,
            subjects,
            properties,
            input_tokens,
            output_max,
            stream,
            tags,
            region,
            priority,
            deadline,
            affinity,
            cached,
        } = *request;
        let cached = match cached {
            Cached::None => 0,
            Cached::Stale => 1,
            Cached::Fresh => 2,
        };
        let head = Head::input(0)
            .byte(0, cached << 3 | u8::from(stream) << 2)
            .present(0, output_max.is_some())
            .present(1, deadline.is_some())
            .byte(1, priority);
        self.event(head, now);
        self.0.word(id.as_u64());
        self.0.word(pair(u32::from(region), group.index() as u32));
        self.0.word(pair(subjects[0], subjects[1]));
        self.0.word(pair(subjects[2], subjects[3]));
        let [a, b, c, d] = properties.map(u64::from);
        self.0.word(a << 48 | b << 32 | c << 16 | d);
        self.0.word(pair(input_tokens, output_max.unwrap_or(0)));
        self.0.word(tags);
        self.0.word(affinity);
        if let Some(deadline) = deadline {
            self.0.time(deadline);
        }
    }

    fn upstream(&mut self, now: Time, attempt: AttemptId, news: &Upstream) {
        let head = Head::input(2).byte(1, attempt.ordinal);
        match *news {
            Upstream::Connected => self.about(head.byte(0, 0), now, attempt),
            Upstream::Headers(quota) => {
                let head = head
                    .byte(0, 1 << 2)
                    .present(0, quota.requests_left.is_some())
                    .present(1, quota.tokens_left.is_some());
                self.about(head, now, attempt);
                let left = quota.requests_left.unwrap_or(0);
                self.0.word(pair(left, quota.tokens_left.unwrap_or(0)));
            }
            Upstream::FirstToken => self.about(head.byte(0, 2 << 2), now, attempt),
            Upstream::Progress(tokens) => {
                self.about(head.byte(0, 3 << 2), now, attempt);
                self.0.word(u64::from(tokens));
            }
            Upstream::Complete(usage) => {
                self.about(head.byte(0, 4 << 2), now, attempt);
                self.usage(usage);
            }
            Upstream::Fail(failure) => {
                self.about(head.byte(0, 5 << 2), now, attempt);
                self.failure(failure);
            }
        }
    }

    /// The head of an event about an attempt whose ordinal is in the head.
    const fn about(&mut self, head: Head, now: Time, attempt: AttemptId) {
        self.event(head, now);
        self.0.word(attempt.request.as_u64());
    }

    fn failure(&mut self, failure: Failure) {
        let Failure { kind, status, retry_after, should_retry, usage } = failure;
        let head = Head(u64::from(status) << 16)
            .byte(0, kind as u8)
            .present(0, retry_after.is_some())
            .present(1, usage.is_some())
            .present(2, should_retry.is_some())
            .present(3, should_retry == Some(true));
        self.0.word(head.0);
        if let Some(span) = retry_after {
            self.0.span(span);
        }
        if let Some(usage) = usage {
            self.usage(usage);
        }
    }

    fn peers(&mut self, now: Time, consumption: Consumption) {
        match consumption {
            Consumption::Used { replica, limit, requests, input_tokens, output_tokens } => {
                self.event(Head::input(5).byte(0, 0), now);
                self.0.word(pair(u32::from(replica), limit.index() as u32));
                self.0.word(requests);
                self.0.word(input_tokens);
                self.0.word(output_tokens);
            }
            Consumption::Alive { replica } => {
                self.event(Head::input(5).byte(0, 2 << 2), now);
                self.0.word(u64::from(replica));
            }
            Consumption::Own { limit, requests, input_tokens, output_tokens } => {
                self.event(Head::input(5).byte(0, 3 << 2), now);
                self.0.word(limit.index() as u64);
                self.0.word(requests);
                self.0.word(input_tokens);
                self.0.word(output_tokens);
            }
            Consumption::Taken {
                replica,
                kind,
                subject,
                since,
                requests,
                input_tokens,
                output_tokens,
            } => {
                self.event(Head::input(5).byte(0, 4 << 2).byte(1, kind), now);
                self.0.word(pair(u32::from(replica), subject));
                self.0.word(since.as_nanos());
                self.0.word(requests);
                self.0.word(input_tokens);
                self.0.word(output_tokens);
            }
            Consumption::Spent { replica, kind, subject, budget, period, spent } => {
                self.event(Head::input(5).byte(0, 5 << 2).byte(1, kind).byte(2, budget), now);
                self.0.word(pair(u32::from(replica), subject));
                self.0.word(period);
                self.0.word(spent);
            }
            Consumption::Resting { deployment, key, remaining, asked } => {
                let head = Head::input(5).byte(0, 1 << 2).byte(1, key.unwrap_or(0));
                self.event(head.present(0, key.is_some()).present(1, asked), now);
                self.0.word(deployment.index() as u64);
                self.0.span(remaining);
            }
        }
    }

    fn dispatch(&mut self, now: Time, dispatch: Dispatch) {
        let Dispatch { attempt, group, deployment, key, cause, connect, heartbeat } = dispatch;
        let head = Head::output(0).byte(0, cause as u8).byte(1, attempt.ordinal).byte(2, key);
        self.about(head, now, attempt);
        self.0.word(pair(group.index() as u32, deployment.index() as u32));
        self.0.span(connect);
        self.0.span(heartbeat);
    }

    fn finish(&mut self, now: Time, id: u64, outcome: Outcome) {
        let head = Head::output(3);
        match outcome {
            Outcome::Serve(attempt, usage) | Outcome::Partial(attempt, usage) => {
                let partial = matches!(outcome, Outcome::Partial(..));
                let head = head.byte(0, u8::from(partial)).byte(1, attempt.ordinal);
                self.event(head, now);
                self.0.word(id);
                self.0.word(attempt.request.as_u64());
                self.usage(usage);
            }
            Outcome::Exhaust(failure) => {
                self.event(head.byte(0, 2), now);
                self.0.word(id);
                self.failure(failure);
            }
            Outcome::Reject(why) => {
                let (number, earliest) = match why {
                    Rejection::Drain => (0, None),
                    Rejection::NoDeployment(earliest) => (1, earliest),
                    Rejection::Full => (2, None),
                    Rejection::Duplicate => (3, None),
                    Rejection::TooLong => (4, None),
                    Rejection::Subject { earliest, .. } => (5, earliest),
                    Rejection::Budget { earliest, .. } => (6, earliest),
                    Rejection::Accounts => (7, None),
                    Rejection::GroupFull => (8, None),
                    Rejection::QueueFull(earliest) => (9, Some(earliest)),
                    Rejection::QueueTimeout(earliest) => (10, Some(earliest)),
                    Rejection::Shed(earliest) => (11, Some(earliest)),
                };
                let of = match why {
                    Rejection::Subject { kind, what, .. } => kind << 3 | what as u8,
                    Rejection::Budget { kind, .. } => kind,
                    Rejection::Drain
                    | Rejection::NoDeployment(_)
                    | Rejection::Full
                    | Rejection::Duplicate
                    | Rejection::TooLong
                    | Rejection::Accounts
                    | Rejection::GroupFull
                    | Rejection::QueueFull(_)
                    | Rejection::QueueTimeout(_)
                    | Rejection::Shed(_) => 0,
                };
                let head = head.byte(0, 3).byte(1, number).byte(2, of);
                self.event(head.present(0, earliest.is_some()), now);
                self.0.word(id);
                if let Some(earliest) = earliest {
                    self.0.time(earliest);
                }
            }
            Outcome::Expire => {
                self.event(head.byte(0, 4), now);
                self.0.word(id);
            }
            Outcome::Cancel => {
                self.event(head.byte(0, 5), now);
                self.0.word(id);
            }
            Outcome::Cached { stale } => {
                self.event(head.byte(0, 6).present(0, stale), now);
                self.0.word(id);
            }
            Outcome::Static => {
                self.event(head.byte(0, 7), now);
                self.0.word(id);
            }
        }
    }

    fn observe(&mut self, now: Time, observation: Observation) {
        let head = |kind| Head::observation(kind);
        let of = |kind, attempt: AttemptId| head(kind).byte(1, attempt.ordinal);
        match observation {
            Observation::Excluded { attempt, group, reason, mask } => {
                self.about(of(0, attempt).byte(2, reason as u8), now, attempt);
                self.0.word(group.index() as u64);
                self.0.word(mask);
            }
            Observation::Selected { attempt, group, deployment, eligible } => {
                self.about(of(1, attempt), now, attempt);
                self.0.word(pair(group.index() as u32, deployment.index() as u32));
                self.0.word(eligible);
            }
            Observation::Stranded { attempt, group, earliest } => {
                self.about(of(2, attempt).present(0, earliest.is_some()), now, attempt);
                self.0.word(group.index() as u64);
                self.0.time(earliest.unwrap_or(Time::ZERO));
            }
            Observation::Waiting { attempt, until, why, deployment, failure } => {
                let why = (why as u8) << 4 | failure as u8;
                self.about(of(3, attempt).byte(2, why), now, attempt);
                self.0.word(deployment.index() as u64);
                self.0.time(until);
            }
            Observation::Ended { attempt, group, deployment, end, first_token, elapsed, usage } => {
                let (end, detail) = match end {
                    End::Answered => (0, 0),
                    End::Failed(kind) => (1, kind as u8),
                    End::Abandoned(why) => (2, why as u8),
                };
                let head = of(4, attempt).byte(2, end << 4 | detail);
                self.about(head.present(0, first_token.is_some()), now, attempt);
                self.0.word(pair(group.index() as u32, deployment.index() as u32));
                self.0.span(first_token.unwrap_or(Span::ZERO));
                self.0.span(elapsed);
                self.usage(usage);
            }
            Observation::Rested { deployment, key, until, failure, streak } => {
                let head = head(5).byte(1, failure as u8).byte(2, key.unwrap_or(0));
                self.event(head.present(0, key.is_some()), now);
                self.0.word(pair(u32::from(streak), deployment.index() as u32));
                self.0.time(until);
            }
            Observation::Spared { deployment, group } => {
                self.event(head(6), now);
                self.0.word(pair(group.index() as u32, deployment.index() as u32));
            }
            Observation::Page { deployment, key, failure } => {
                self.event(head(7).byte(1, failure as u8).byte(2, key), now);
                self.0.word(deployment.index() as u64);
            }
            Observation::GaveUp { request, why } => {
                self.event(head(8).byte(1, why as u8), now);
                self.0.word(request.as_u64());
            }
            Observation::Closed { request, group, attempts, first_token, elapsed } => {
                let head = head(9).byte(1, attempts).present(0, first_token.is_some());
                self.event(head, now);
                self.0.word(request.as_u64());
                self.0.word(group.index() as u64);
                self.0.span(first_token.unwrap_or(Span::ZERO));
                self.0.span(elapsed);
            }
            Observation::Late { attempt, corrected } => {
                self.about(of(10, attempt).present(0, corrected), now, attempt);
            }
            Observation::Misfit => self.event(head(11), now),
            Observation::Drained { deployment } => {
                self.event(head(14), now);
                self.0.word(deployment.index() as u64);
            }
            Observation::Budget { kind, subject, budget, level, spent } => {
                let head = head(15).byte(0, level as u8).byte(1, kind).byte(2, budget);
                self.event(head, now);
                self.0.word(u64::from(subject));
                self.0.word(spent);
            }
            Observation::Breaker { group, deployment, to, why, until, streak, enforced } => {
                let head = head(12).byte(0, to as u8).byte(1, why as u8).byte(2, streak);
                self.event(head.present(0, until.is_some()).present(1, enforced), now);
                self.0.word(pair(group.index() as u32, deployment.index() as u32));
                self.0.time(until.unwrap_or(Time::ZERO));
            }
            Observation::Stepped { request, rung } => {
                let (rung, group) = match rung {
                    Rung::Fresh => (0, 0),
                    Rung::Stale => (1, 0),
                    Rung::Group(group) => (2, group.index() as u64),
                    Rung::Static => (3, 0),
                };
                self.event(head(18).byte(1, rung), now);
                self.0.word(request.as_u64());
                self.0.word(group);
            }
            Observation::Queued { request, group, class, ahead } => {
                self.event(head(21).byte(1, class), now);
                self.0.word(request.as_u64());
                self.0.word(pair(group.index() as u32, ahead));
            }
            Observation::Dequeued { request, group, class, waited } => {
                self.event(head(22).byte(1, class), now);
                self.0.word(request.as_u64());
                self.0.word(group.index() as u64);
                self.0.span(waited);
            }
            Observation::Held { attempt, why } => {
                self.about(of(13, attempt).byte(2, why as u8), now, attempt);
            }
            Observation::Concurrency { deployment, limit } => {
                self.event(head(20), now);
                self.0.word(pair(limit, deployment.index() as u32));
            }
        }
    }
}

impl Default for Digest {
    fn default() -> Self {
        Self::new()
    }
}

impl Journal for Digest {
    fn restart(&mut self, now: Time, restart: Restart) {
        match restart {
            Restart::Restored => {}
            Restart::Empty => self.event(Head::input(7), now),
        }
    }

    #[inline]
    fn input(&mut self, now: Time, input: &Input) {
        match input {
            Input::Submit(request) => self.request(now, request),
            Input::Cancel(id) => {
                self.event(Head::input(1), now);
                self.0.word(id.as_u64());
            }
            Input::Upstream(attempt, news) => self.upstream(now, *attempt, news),
            Input::Tick => self.event(Head::input(3), now),
            Input::Reconfigure(config) => {
                self.event(Head::input(4), now);
                self.0.word(fingerprint(config));
            }
            Input::Peers(consumption) => self.peers(now, *consumption),
            Input::Drain => self.event(Head::input(6), now),
        }
    }

    #[inline]
    fn output(&mut self, now: Time, output: &Output) {
        match *output {
            Output::Dispatch(dispatch) => self.dispatch(now, dispatch),
            Output::Abandon(attempt, why) => self.abandon(now, attempt, why),
            Output::Commit(attempt) => {
                self.about(Head::output(2).byte(1, attempt.ordinal), now, attempt);
            }
            Output::Finish(id, outcome) => self.finish(now, id.as_u64(), outcome),
            Output::Observe(observation) => self.observe(now, observation),
        }
    }
}

impl Digest {
    const fn abandon(&mut self, now: Time, attempt: AttemptId, why: Abandon) {
        self.about(Head::output(1).byte(0, why as u8).byte(1, attempt.ordinal), now, attempt);
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.value())
    }
}

/// The first word of an event: its kind in the top 16 bits, then bytes of detail, then bits.
#[derive(Clone, Copy)]
struct Head(u64);

impl Head {
    const fn input(kind: u64) -> Self {
        Self(0x0100 << 48 | kind << 48)
    }

    const fn output(kind: u64) -> Self {
        Self(0x0200 << 48 | kind << 48)
    }

    const fn observation(kind: u64) -> Self {
        Self(0x0300 << 48 | kind << 48)
    }

    /// The `index`-th byte of detail, 0 to 2.
    const fn byte(self, index: u32, value: u8) -> Self {
        Self(self.0 | (value as u64) << (40 - 8 * index))
    }

    /// Whether something is there, in bit `index` of the lowest.
    const fn present(self, index: u32, present: bool) -> Self {
        Self(self.0 | (present as u64) << index)
    }
}

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use proptest::prelude::*;

    use super::*;
    use crate::record::arbitrary::{inputs, outputs};
    use crate::{DeploymentId, GroupId, Line, RequestId};

    #[test]
    fn the_digest_of_a_short_run_is_what_it_always_was() {
        let mut digest = Digest::new();
        assert_eq!(digest.to_string(), "8d47a4c71bb955259df1d072aa8eb0d6");
        let id = RequestId::new(0, 17, 0);
        let attempt = AttemptId { request: id, ordinal: 1 };
        let usage = Usage { input_tokens: 900, cached_tokens: 100, output_tokens: 40 };
        let at = Time::from_secs(12);
        digest.input(at, &Input::Submit(Request::new(id, GroupId::at(0), 900)));
        let dispatch = Dispatch {
            attempt,
            group: GroupId::at(0),
            deployment: DeploymentId::at(3),
            key: 0,
            cause: crate::Cause::Primary,
            connect: Span::from_secs(5),
            heartbeat: Span::from_secs(1),
        };
        digest.output(at, &Output::Dispatch(dispatch));
        digest.input(Time::from_secs(13), &Input::Upstream(attempt, Upstream::Complete(usage)));
        digest.output(Time::from_secs(13), &Output::Finish(id, Outcome::Serve(attempt, usage)));
        assert_eq!(digest.to_string(), "aec9e3fd4f39f9573528341e2ee000ef");
    }

    #[test]
    fn order_and_time_count() {
        let (tick, drain) = (Input::Tick, Input::Drain);
        let run = |inputs: [(u64, &Input); 2]| {
            let mut digest = Digest::new();
            inputs.iter().for_each(|(at, input)| digest.input(Time::from_nanos(*at), input));
            digest.value()
        };
        let plain = run([(1, &tick), (2, &drain)]);
        assert_ne!(plain, run([(1, &drain), (2, &tick)]));
        assert_ne!(plain, run([(1, &tick), (3, &drain)]));
    }

    /// The same line with each of its digits changed in turn, as far as that reads as another
    /// event: leading zeroes make another text, not another event.
    fn neighbours(line: &str, by: u8) -> impl Iterator<Item = Line> {
        let digits = line.bytes().enumerate().filter(|(_, byte)| byte.is_ascii_digit());
        digits.filter_map(move |(place, byte)| {
            let mut bytes = line.as_bytes().to_vec();
            bytes[place] = b'0' + (byte - b'0' + by) % 10;
            let other = Line::parse(core::str::from_utf8(&bytes).ok()?, &[]).ok()?;
            (other.to_string() != line).then_some(other)
        })
    }

    fn of(line: &Line) -> u128 {
        let mut digest = Digest::new();
        match line {
            Line::Input(at, input) => digest.input(*at, input),
            Line::Output(at, output) => digest.output(*at, output),
            Line::Version(_)
            | Line::Start(_)
            | Line::Config(_)
            | Line::Group(..)
            | Line::Deployment(..)
            | Line::Limit(..) => panic!("no event"),
        }
        digest.value()
    }

    proptest! {
        #[test]
        fn every_digit_of_an_event_counts(input in inputs(), output in outputs(), by in 1_u8..10) {
            let at = Time::from_secs(1);
            for line in [Line::Input(at, input), Line::Output(at, output)] {
                let digest = of(&line);
                for other in neighbours(&line.to_string(), by) {
                    prop_assert_ne!(digest, of(&other), "{} and {}", line, other);
                }
            }
        }
    }
}
