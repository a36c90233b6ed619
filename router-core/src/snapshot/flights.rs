//! The flights of a snapshot: a line each, with what some have beside it on lines of their own.

use alloc::string::String;
use alloc::sync::Arc;
use core::fmt::{self, Write as _};

use super::RestoreError;
use super::accounts::write_payer;
use super::words::{Lines, Words};
use crate::account::Payer;
use crate::flight::{Aside, FLAGS, Flight, NEVER, PROBE, Phase, Tally, Try};
use crate::router::Router;
use crate::{Cached, FailureKind, RequestId};

impl Router {
    pub(super) fn write_flight(&self, out: &mut String, flight: &Flight) -> fmt::Result {
        let Flight { id, submitted, deadline, tried, visited, lead, .. } = flight;
        write!(out, "flight {id} {} {}", submitted.as_nanos(), deadline.as_nanos())?;
        let Flight { input_tokens, output_reserve, retry_after_ms, .. } = flight;
        write!(out, " {tried} {visited} {input_tokens} {output_reserve} {retry_after_ms}")?;
        let Flight { tally, status, home, kind, aside, .. } = flight;
        write!(out, " {} {status} {home} {}", tally.0, *kind as u8)?;
        // Where it is in its queue is told by its line there.
        let seen = if flight.is_queued() { 0 } else { lead.seen };
        write_try(out, &Try { seen, ..*lead })?;
        if !self.asides.get(*aside).is_none() {
            let Aside { tags, affinity, region, payer, cached, twin } = self.aside(flight);
            writeln!(out, "aside {tags} {affinity} {region} {}", *cached as u8)?;
            if *payer != Payer::NONE {
                write_payer(out, payer)?;
            }
            if let Some(twin) = twin {
                write!(out, "twin")?;
                write_try(out, twin)?;
            }
        }
        Ok(())
    }

    pub(super) fn read_flight(
        &mut self,
        mut words: Words<'_>,
        lines: &mut Lines<'_>,
    ) -> Result<(), RestoreError> {
        let mut flight = self.flight_of(&mut words)?;
        if flight.is_queued() {
            // Its line tells where it is.
            flight.lead.seen = NEVER;
        }
        if self.slots.len() == self.slots.capacity() || self.slot_of(flight.id).is_some() {
            return Err(words.error("no more requests than fit, each once"));
        }
        let mut aside = Aside::NONE;
        if let Some(mut words) = lines.may("aside") {
            (aside.tags, aside.affinity) = (words.number()?, words.number()?);
            aside.region = words.number()?;
            aside.cached = match words.below(3, "what the cache holds")? {
                0 => Cached::None,
                1 => Cached::Stale,
                _ => Cached::Fresh,
            };
        }
        if let Some(mut words) = lines.may("payer") {
            aside.payer = self.read_payer(&mut words, flight.tally.made() > 0)?;
        }
        if let Some(mut words) = lines.may("twin") {
            let twin = self.try_of(&mut words)?;
            if !flight.is_live() || twin.group != flight.lead.group {
                return Err(words.error("a second attempt beside a live one of its group"));
            }
            aside.twin = Some(twin);
        }
        let slot = self.seat(flight);
        self.put_aside(slot, aside);
        let (config, seated) = (Arc::clone(&self.config), *self.flight(slot));
        self.set_aside(&config, &seated, [Some(seated.lead), aside.twin]);
        for attempt in [Some(flight.lead), aside.twin].into_iter().flatten() {
            if attempt.is_live() {
                for limit in &self.config.deployment(attempt.deployment).limits {
                    self.limits[limit.index()].occupy();
                }
                self.health.occupy(attempt.deployment, attempt.key);
                if attempt.is(PROBE) {
                    self.occupy_probe(&attempt);
                }
            }
        }
        if flight.tally.made() > 0 {
            self.queues.set_out(flight.home());
        }
        self.rearm(slot);
        Ok(())
    }
}

fn write_try(out: &mut String, attempt: &Try) -> fmt::Result {
    let Try { dispatched, mark, seen, first_token_us, deployment, .. } = attempt;
    write!(out, " {} {} {seen}", dispatched.as_nanos(), mark.as_nanos())?;
    let Try { group, member, ordinal, key, phase, flags, .. } = attempt;
    write!(out, " {first_token_us} {} {group} {member}", deployment.index())?;
    writeln!(out, " {ordinal} {key} {} {flags}", *phase as u8)
}

impl Router {
    fn flight_of(&self, words: &mut Words<'_>) -> Result<Flight, RestoreError> {
        let config = &self.config;
        Ok(Flight {
            id: words.parsed::<RequestId>("a request")?,
            submitted: words.time()?,
            deadline: words.time()?,
            tried: words.number()?,
            visited: words.number()?,
            input_tokens: words.number()?,
            output_reserve: words.number()?,
            retry_after_ms: words.number()?,
            aside: NEVER,
            tally: Tally(words.number()?),
            status: words.number()?,
            home: words.below(config.groups().len(), "a group")? as u8,
            kind: FailureKind::ALL[words.below(FailureKind::ALL.len(), "a kind of failure")?],
            lead: self.try_of(words)?,
        })
    }

    fn try_of(&self, words: &mut Words<'_>) -> Result<Try, RestoreError> {
        let config = &self.config;
        let attempt = Try {
            dispatched: words.time()?,
            mark: words.time()?,
            seen: words.number()?,
            first_token_us: words.number()?,
            deployment: words.deployment(config)?,
            group: words.below(config.groups().len(), "a group")? as u8,
            member: words.number()?,
            ordinal: words.number()?,
            key: words.number()?,
            phase: match words.below(5, "a phase")? {
                0 => Phase::Connecting,
                1 => Phase::Connected,
                2 => Phase::Streaming,
                3 => Phase::Waiting,
                _ => Phase::Queued,
            },
            flags: words.below(usize::from(FLAGS) + 1, "flags")? as u8,
        };
        let fits = usize::from(attempt.member) < config.group(attempt.group()).members.len()
            && usize::from(attempt.key) < self.health.of(attempt.deployment).keys.len();
        if fits { Ok(attempt) } else { Err(words.error("a member of the group and a key it has")) }
    }
}
