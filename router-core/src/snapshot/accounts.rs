//! The accounts of a snapshot: a line for each that says more than a new one would.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write as _};

use super::RestoreError;
use super::words::{Lines, Words};
use crate::account::{Heard, Payer, Spend};
use crate::flight::NEVER;
use crate::limit::Used;
use crate::router::Router;

/// As many bits as there are [`crate::Level`]s.
const TOLD: usize = 4;

impl Router {
    pub(super) fn write_accounts(&self, out: &mut String) -> fmt::Result {
        let clock = self.clock();
        let known = self.accounts.accounts.iter().filter(|a| a.is_known(&self.config, clock));
        let mut known: Vec<_> = known.collect();
        // Places mean nothing, so that whoever was restored writes the same.
        known.sort_unstable_by_key(|account| (account.kind, account.number));
        for account in known {
            write!(out, "account {} {}", account.kind, account.number)?;
            for spent in account.limit.spent() {
                match spent {
                    Some(spent) => write!(out, " {}", spent.as_nanos())?,
                    None => write!(out, " -")?,
                }
            }
            let [requests, input, output] = account.limit.used().counters;
            write!(out, " {} {requests} {input} {output}", account.since.as_nanos())?;
            for Spend { period, spent, told, own, ahead, .. } in account.spends {
                write!(out, " {period} {spent} {told} {own} {ahead}")?;
            }
            writeln!(out)?;
        }
        for ((kind, number, replica), Heard { since, counters, spends }) in &self.accounts.heard {
            write!(out, "heard {kind} {number} {replica}")?;
            match since {
                Some(since) => write!(out, " {}", since.as_nanos())?,
                None => write!(out, " -")?,
            }
            counters.iter().try_for_each(|counter| write!(out, " {counter}"))?;
            spends.iter().try_for_each(|(period, spent)| write!(out, " {period} {spent}"))?;
            writeln!(out)?;
        }
        Ok(())
    }

    pub(super) fn read_accounts(&mut self, lines: &mut Lines<'_>) -> Result<(), RestoreError> {
        while let Some(mut words) = lines.may("account") {
            let kind = words.below(self.config.kinds().len(), "a kind of subject")?;
            let number = words.number()?;
            let place = self.open(kind, number, &words)?;
            let account = self.accounts.of_mut(place);
            let mut spent = [None; 4];
            for spent in &mut spent {
                *spent = words.maybe_time()?;
            }
            account.limit.restore(spent);
            account.since = words.time()?;
            let counters = [words.number()?, words.number()?, words.number()?];
            account.limit.restore_used(Used { counters, ..Used::default() });
            for spend in &mut account.spends {
                let (period, spent) = (words.number()?, words.number()?);
                let told = words.below(TOLD, "levels")? as u8;
                let (own, ahead) = (words.number()?, words.number()?);
                *spend = Spend { period, spent, reserved: 0, told, own, ahead };
            }
        }
        while let Some(mut words) = lines.may("heard") {
            let kind = words.below(self.config.kinds().len(), "a kind of subject")? as u8;
            let whom = (kind, words.number()?, words.number()?);
            let mut heard = Heard { since: words.maybe_time()?, ..Heard::default() };
            for counter in &mut heard.counters {
                *counter = words.number()?;
            }
            for (period, spent) in &mut heard.spends {
                (*period, *spent) = (words.number()?, words.number()?);
            }
            self.accounts.heard.insert(whom, heard);
        }
        Ok(())
    }

    fn open(&mut self, kind: usize, number: u32, words: &Words<'_>) -> Result<u32, RestoreError> {
        let clock = self.clock();
        if number == 0 {
            return Err(words.error("a subject's number"));
        }
        let place = self.accounts.find(kind, number);
        Ok(place.unwrap_or_else(|| self.accounts.seat(&self.config, kind, number, clock)))
    }

    /// On whose account a flight is; one that was dispatched has a place there.
    pub(super) fn read_payer(
        &mut self,
        words: &mut Words<'_>,
        dispatched: bool,
    ) -> Result<Payer, RestoreError> {
        let mut payer = Payer::NONE;
        for number in &mut payer.subjects {
            *number = words.number()?;
        }
        for reserved in &mut payer.reserved {
            *reserved = words.number()?;
        }
        let open = words.below(1 << self.config.kinds().len(), "a set of kinds")?;
        for kind in (0..payer.subjects.len()).filter(|kind| open & 1 << kind != 0) {
            let place = self.open(kind, payer.subjects[kind], words)?;
            self.accounts.hold(place);
            if dispatched {
                self.accounts.of_mut(place).limit.occupy();
            }
            payer.places[kind] = place;
        }
        Ok(payer)
    }
}

pub(super) fn write_payer(out: &mut String, payer: &Payer) -> fmt::Result {
    write!(out, "payer")?;
    payer.subjects.iter().try_for_each(|number| write!(out, " {number}"))?;
    payer.reserved.iter().try_for_each(|pico| write!(out, " {pico}"))?;
    let places = payer.places.iter().enumerate().filter(|(_, place)| **place != NEVER);
    writeln!(out, " {}", places.fold(0, |open, (kind, _)| open | 1 << kind))
}
