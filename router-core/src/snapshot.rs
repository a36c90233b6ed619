//! The whole state of a router as lines of text, and back.
//!
//! A production recording is a ring of segments; each begins with a snapshot, so a wrapped ring
//! still replays. What follows from the flights (places taken, tables, timers) is not written
//! but built anew. Instants are nanoseconds.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt::{self, Write};
use core::str::{FromStr, SplitWhitespace};

use crate::flight::{Flight, Phase};
use crate::router::{Dropped, Router};
use crate::{Config, DeploymentId, FailureKind, LimitId, RequestId, Seed, Time, Usage};

const HEADER: &str = "seawall-router 1";

/// A text that is no snapshot of a router of this configuration.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RestoreError {
    /// The line, counted from one.
    pub line: usize,
    /// What was expected there.
    pub expected: &'static str,
}

impl fmt::Display for RestoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "snapshot, line {}: expected {}", self.line, self.expected)
    }
}

impl core::error::Error for RestoreError {}

impl Router {
    /// Writes the whole state. Outputs of the last input must have been drained.
    ///
    /// # Panics
    /// If outputs are still queued: they are instructions, and a snapshot would lose them.
    pub fn snapshot(&self) -> String {
        assert!(self.outputs.is_empty(), "perform the outputs before taking a snapshot");
        let mut text = String::new();
        self.write(&mut text).expect("a string takes whatever is written");
        text
    }

    fn write(&self, out: &mut String) -> fmt::Result {
        writeln!(out, "{HEADER}")?;
        let draining = u8::from(self.draining);
        writeln!(out, "clock {} {} {draining}", self.now.as_nanos(), self.start.as_nanos())?;
        for limit in &self.limits {
            write!(out, "limit")?;
            for spent in limit.spent() {
                match spent {
                    Some(spent) => write!(out, " {}", spent.as_nanos())?,
                    None => write!(out, " -")?,
                }
            }
            writeln!(out)?;
        }
        for state in &self.health.deployments {
            write!(out, "rest {} {}", state.rest.until.as_nanos(), state.rest.streak)?;
            for key in &state.keys {
                write!(out, " {} {}", key.rest.until.as_nanos(), key.rest.streak)?;
            }
            writeln!(out)?;
        }
        for window in self.health.windows.iter().flatten() {
            write!(out, "window {}", window.latest)?;
            pairs(out, &window.slots)?;
        }
        let (latest, slots) = self.budget.counts();
        write!(out, "budget {latest}")?;
        pairs(out, slots)?;
        for ((replica, limit), [requests, input, output]) in &self.peers.heard {
            writeln!(out, "peer {replica} {} {requests} {input} {output}", limit.index())?;
        }
        for (request, deployment) in &self.barred {
            writeln!(out, "barred {request} {}", deployment.index())?;
        }
        for Dropped { attempt, deployment, usage } in &self.dropped {
            let Usage { input_tokens, cached_tokens, output_tokens } = usage;
            let index = deployment.index();
            writeln!(
                out,
                "dropped {attempt} {index} {input_tokens} {cached_tokens} {output_tokens}"
            )?;
        }
        // In the order in which their timers were armed, so that ties fall as before.
        let mut seated: Vec<(u64, u32)> = (0..self.flights.len() as u32)
            .filter(|slot| self.slot_of(self.flight(*slot).id) == Some(*slot))
            .map(|slot| (self.timers.armed(slot).map_or(u64::MAX, |(_, order)| order), slot))
            .collect();
        seated.sort_unstable();
        seated.into_iter().try_for_each(|(_, slot)| write_flight(out, self.flight(slot)))
    }

    /// The router that wrote `text` with [`Self::snapshot`], under the same configuration and
    /// seed: from here on both give the same outputs.
    ///
    /// # Errors
    /// The first line that is not as expected.
    pub fn restore(config: Arc<Config>, seed: Seed, text: &str) -> Result<Self, RestoreError> {
        let mut lines = Lines { lines: text.lines().enumerate().collect(), next: 0 };
        lines.header()?;
        let mut words = lines.must("clock")?;
        let (now, start) = (words.time()?, words.time()?);
        let mut router = Self::new(Arc::clone(&config), seed, start);
        router.now = now;
        router.draining = words.number::<u8>()? != 0;
        for limit in &mut router.limits {
            let mut words = lines.must("limit")?;
            let mut spent = [None; 4];
            for spent in &mut spent {
                *spent = words.maybe_time()?;
            }
            limit.restore(spent);
        }
        for state in &mut router.health.deployments {
            let mut words = lines.must("rest")?;
            state.rest.until = words.time()?;
            state.rest.streak = words.number()?;
            for key in &mut state.keys {
                key.rest.until = words.time()?;
                key.rest.streak = words.number()?;
            }
            state.refresh();
        }
        for window in router.health.windows.iter_mut().flatten() {
            let mut words = lines.must("window")?;
            window.latest = words.number()?;
            let counts = words.pairs()?;
            let expected = RestoreError { line: words.line, expected: "ten pairs of counts" };
            window.slots = counts.try_into().map_err(|_| expected)?;
        }
        let mut words = lines.must("budget")?;
        let latest = words.number()?;
        let counts = words.pairs()?;
        if !router.budget.restore(latest, &counts) {
            return Err(words.error("as many counts as the retry budget's window has seconds"));
        }
        while let Some(words) = lines.may("peer") {
            router.read_peer(words)?;
        }
        while let Some(mut words) = lines.may("barred") {
            let request = words.parsed("a request")?;
            router.barred.push((request, words.deployment(&config)?));
        }
        while let Some(mut words) = lines.may("dropped") {
            let attempt = words.parsed("an attempt")?;
            let deployment = words.deployment(&config)?;
            let usage = Usage {
                input_tokens: words.number()?,
                cached_tokens: words.number()?,
                output_tokens: words.number()?,
            };
            router.dropped.push_back(Dropped { attempt, deployment, usage });
        }
        while let Some(words) = lines.may("flight") {
            router.read_flight(words)?;
        }
        lines.end()?;
        Ok(router)
    }

    fn read_peer(&mut self, mut words: Words<'_>) -> Result<(), RestoreError> {
        let replica = words.number()?;
        let limit = words.below(self.limits.len(), "a limit")?;
        let counters = [words.number()?, words.number()?, words.number()?];
        self.peers.heard.push(((replica, LimitId::at(limit)), counters));
        Ok(())
    }

    fn read_flight(&mut self, mut words: Words<'_>) -> Result<(), RestoreError> {
        let flight = read_flight(&mut words, &self.config)?;
        if self.slots.len() == self.slots.capacity() || self.slot_of(flight.id).is_some() {
            return Err(words.error("no more requests than fit, each once"));
        }
        let slot = self.seat(flight);
        if flight.is_live() {
            for limit in &self.config.deployment(flight.deployment).limits {
                self.limits[limit.index()].occupy();
            }
            let state = &mut self.health.deployments[flight.deployment.index()];
            state.in_flight += 1;
            state.keys[usize::from(flight.key)].in_flight += 1;
        }
        self.rearm(slot);
        Ok(())
    }
}

fn pairs(out: &mut String, pairs: &[(u32, u32)]) -> fmt::Result {
    pairs.iter().try_for_each(|(a, b)| write!(out, " {a},{b}"))?;
    writeln!(out)
}

fn write_flight(out: &mut String, flight: &Flight) -> fmt::Result {
    let Flight { id, submitted, deadline, dispatched, mark, tried, visited, .. } = flight;
    write!(out, "flight {id}")?;
    for time in [submitted, deadline, dispatched, mark] {
        write!(out, " {}", time.as_nanos())?;
    }
    let Flight { input_tokens, output_reserve, seen, first_token_us, retry_after_ms, .. } = flight;
    write!(out, " {tried} {visited} {input_tokens} {output_reserve} {seen}")?;
    let Flight { deployment, status, home, group, member, ordinal, key, .. } = flight;
    write!(out, " {first_token_us} {retry_after_ms} {} {status}", deployment.index())?;
    let Flight { phase, kind, flags, .. } = flight;
    write!(out, " {home} {group} {member} {ordinal} {key}")?;
    writeln!(out, " {} {} {flags}", *phase as u8, *kind as u8)
}

fn read_flight(words: &mut Words<'_>, config: &Config) -> Result<Flight, RestoreError> {
    let groups = config.groups().len();
    let flight = Flight {
        id: words.parsed::<RequestId>("a request")?,
        submitted: words.time()?,
        deadline: words.time()?,
        dispatched: words.time()?,
        mark: words.time()?,
        tried: words.number()?,
        visited: words.number()?,
        input_tokens: words.number()?,
        output_reserve: words.number()?,
        seen: words.number()?,
        first_token_us: words.number()?,
        retry_after_ms: words.number()?,
        deployment: words.deployment(config)?,
        status: words.number()?,
        home: words.below(groups, "a group")? as u8,
        group: words.below(groups, "a group")? as u8,
        member: words.number()?,
        ordinal: words.number()?,
        key: words.number()?,
        phase: match words.below(4, "a phase")? {
            0 => Phase::Connecting,
            1 => Phase::Connected,
            2 => Phase::Streaming,
            _ => Phase::Waiting,
        },
        kind: FailureKind::ALL[words.below(FailureKind::ALL.len(), "a kind of failure")?],
        flags: words.below(8, "flags")? as u8,
    };
    let fits = usize::from(flight.member) < config.group(flight.group()).members.len()
        && flight.key < config.deployment(flight.deployment).keys;
    if fits { Ok(flight) } else { Err(words.error("a member of the group and a key it has")) }
}

/// The lines of a snapshot, read one after the other.
struct Lines<'a> {
    lines: Vec<(usize, &'a str)>,
    next: usize,
}

impl<'a> Lines<'a> {
    fn header(&mut self) -> Result<(), RestoreError> {
        match self.lines.first() {
            Some((_, HEADER)) => {
                self.next = 1;
                Ok(())
            }
            Some(_) | None => Err(RestoreError { line: 1, expected: HEADER }),
        }
    }

    /// The words of the next line, if it begins with `name`.
    fn may(&mut self, name: &'static str) -> Option<Words<'a>> {
        let &(index, line) = self.lines.get(self.next)?;
        let mut words = line.split_whitespace();
        (words.next() == Some(name)).then(|| {
            self.next += 1;
            Words { words, line: index + 1 }
        })
    }

    fn must(&mut self, name: &'static str) -> Result<Words<'a>, RestoreError> {
        let line = self.next + 1;
        self.may(name).ok_or(RestoreError { line, expected: name })
    }

    fn end(&self) -> Result<(), RestoreError> {
        match self.lines.get(self.next) {
            Some((index, _)) => Err(RestoreError { line: index + 1, expected: "the end" }),
            None => Ok(()),
        }
    }
}

/// The words of one line.
struct Words<'a> {
    words: SplitWhitespace<'a>,
    line: usize,
}

impl Words<'_> {
    const fn error(&self, expected: &'static str) -> RestoreError {
        RestoreError { line: self.line, expected }
    }

    fn parsed<T: FromStr>(&mut self, expected: &'static str) -> Result<T, RestoreError> {
        let error = self.error(expected);
        self.words.next().and_then(|word| word.parse().ok()).ok_or(error)
    }

    fn number<T: FromStr>(&mut self) -> Result<T, RestoreError> {
        self.parsed("a number")
    }

    fn below(&mut self, bound: usize, expected: &'static str) -> Result<usize, RestoreError> {
        let error = self.error(expected);
        self.number::<usize>().ok().filter(|n| *n < bound).ok_or(error)
    }

    fn time(&mut self) -> Result<Time, RestoreError> {
        self.number().map(Time::from_nanos)
    }

    fn maybe_time(&mut self) -> Result<Option<Time>, RestoreError> {
        let error = self.error("an instant or `-`");
        match self.words.next() {
            Some("-") => Ok(None),
            Some(word) => word.parse().map(|ns| Some(Time::from_nanos(ns))).map_err(|_| error),
            None => Err(error),
        }
    }

    fn deployment(&mut self, config: &Config) -> Result<DeploymentId, RestoreError> {
        self.below(config.deployments().len(), "a deployment").map(DeploymentId::at)
    }

    fn pairs(&mut self) -> Result<Vec<(u32, u32)>, RestoreError> {
        let error = self.error("pairs of counts");
        let pair = |word: &str| {
            let (a, b) = word.split_once(',')?;
            Some((a.parse().ok()?, b.parse().ok()?))
        };
        self.words.by_ref().map(pair).collect::<Option<_>>().ok_or(error)
    }
}
