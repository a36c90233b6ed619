//! The whole state of a router as lines of text, and back.
//!
//! A production recording is a ring of segments; each begins with a snapshot, so a wrapped ring
//! still replays. What follows from the flights (places taken, tables, timers) is not written
//! but built anew. Instants are nanoseconds.

mod accounts;
mod counts;
mod flights;
mod learned;
mod queues;
mod words;

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use core::fmt::{self, Write};

use words::{Lines, Words};

use crate::account::KINDS;
use crate::health::Rest;
use crate::limit::Used;
use crate::router::{Dropped, Router};
use crate::{Config, LimitId, Seed, Usage, fingerprint};

const HEADER: &str = "seawall-router 1";
/// The most keys that a deployment may ever have had.
const KEYS_MAX: u8 = 32;

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
        writeln!(out, "config {:#018x}", fingerprint(&self.config))?;
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
            let Used { counters: [requests, input, output], told, begun } = limit.used();
            writeln!(out, " {requests} {input} {output} {} {}", u8::from(told), u8::from(begun))?;
        }
        for state in &self.health.deployments {
            write!(out, "rest")?;
            rest(out, state.rest)?;
            match state.doubted_until {
                Some(until) => write!(out, " {}", until.as_nanos())?,
                None => write!(out, " -")?,
            }
            write!(out, " {}", state.keys.len())?;
            for key in &state.keys {
                rest(out, key.rest)?;
            }
            writeln!(out)?;
        }
        self.write_counts(out)?;
        self.write_adaptive(out)?;
        let (latest, slots) = self.budget.counts();
        write!(out, "budget {latest}")?;
        pairs(out, slots)?;
        self.write_learned(out)?;
        self.write_accounts(out)?;
        writeln!(out, "silence {}", self.peers.since.as_nanos())?;
        for (at, replica) in &self.peers.signs {
            writeln!(out, "sign {replica} {}", at.as_nanos())?;
        }
        for ((replica, limit), [requests, input, output]) in &self.peers.heard {
            writeln!(out, "peer {replica} {} {requests} {input} {output}", limit.index())?;
        }
        for (request, deployment) in &self.barred {
            writeln!(out, "barred {request} {}", deployment.index())?;
        }
        for Dropped { attempt, deployment, usage, subjects, pico, at } in &self.dropped {
            let Usage { input_tokens, cached_tokens, output_tokens } = usage;
            let index = deployment.index();
            write!(
                out,
                "dropped {attempt} {index} {input_tokens} {cached_tokens} {output_tokens}"
            )?;
            subjects.iter().try_for_each(|number| write!(out, " {number}"))?;
            writeln!(out, " {pico} {}", at.as_nanos())?;
        }
        // In the order in which their timers were armed, so that ties fall as before.
        let mut seated = self.seated().into_iter();
        seated.try_for_each(|slot| self.write_flight(out, self.flight(slot)))?;
        self.write_queues(out)
    }

    /// The router that wrote `text` with [`Self::snapshot`], under the same configuration (the
    /// text names it) and seed: from here on both give the same outputs. Of a router that was
    /// reconfigured that is the last [`Config::revise`] gave, not what its file alone would.
    ///
    /// # Errors
    /// The first line that is not as expected.
    pub fn restore(config: Arc<Config>, seed: Seed, text: &str) -> Result<Self, RestoreError> {
        let mut lines = Lines::new(text);
        lines.header()?;
        lines.must("config")?.exactly(
            &format!("{:#018x}", fingerprint(&config)),
            "the fingerprint of the configuration that is given",
        )?;
        let mut words = lines.must("clock")?;
        let (now, start) = (words.time()?, words.time()?);
        // A revision may have allowed fewer in flight than there were.
        let capacity = lines.count("flight").max(config.router().in_flight as usize);
        let mut router = Self::with_capacity(Arc::clone(&config), seed, start, capacity);
        router.now = now;
        router.draining = words.number::<u8>()? != 0;
        for limit in &mut router.limits {
            let mut words = lines.must("limit")?;
            let mut spent = [None; 4];
            for spent in &mut spent {
                *spent = words.maybe_time()?;
            }
            limit.restore(spent);
            let counters = [words.number()?, words.number()?, words.number()?];
            let (told, begun) = (words.number::<u8>()? != 0, words.number::<u8>()? != 0);
            limit.restore_used(Used { counters, told, begun });
        }
        for state in &mut router.health.deployments {
            let mut words = lines.must("rest")?;
            state.rest = words.rest()?;
            state.doubted_until = words.maybe_time()?;
            let keys = words.number::<u8>()?;
            if usize::from(keys) < state.keys.len() || keys > KEYS_MAX {
                return Err(words.error("as many keys as the deployment has, at least"));
            }
            state.remember(keys);
            for key in &mut state.keys {
                key.rest = words.rest()?;
            }
            state.refresh();
        }
        router.read_counts(&mut lines)?;
        router.read_adaptive(&mut lines)?;
        let mut words = lines.must("budget")?;
        let latest = words.number()?;
        let counts = words.pairs()?;
        if !router.budget.restore(latest, &counts) {
            return Err(words.error("as many counts as the retry budget's window has seconds"));
        }
        router.read_learned(&mut lines)?;
        router.read_accounts(&mut lines)?;
        router.peers.since = lines.must("silence")?.time()?;
        while let Some(mut words) = lines.may("sign") {
            let (replica, at) = (words.number()?, words.time()?);
            router.peers.signs.push((at, replica));
        }
        router.peers.look(&config);
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
            let mut subjects = [0; KINDS];
            for number in &mut subjects {
                *number = words.number()?;
            }
            let (pico, at) = (words.number()?, words.time()?);
            let dropped = Dropped { attempt, deployment, usage, subjects, pico, at };
            router.dropped.push_back(dropped);
        }
        while let Some(words) = lines.may("flight") {
            router.read_flight(words, &mut lines)?;
        }
        router.read_queues(&mut lines)?;
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
}

fn rest(out: &mut String, rest: Rest) -> fmt::Result {
    let Rest { until, asked, streak } = rest;
    write!(out, " {} {} {streak}", until.as_nanos(), asked.as_nanos())
}

fn pairs(out: &mut String, pairs: &[(u32, u32)]) -> fmt::Result {
    pairs.iter().try_for_each(|(a, b)| write!(out, " {a},{b}"))?;
    writeln!(out)
}
