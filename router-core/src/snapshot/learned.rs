//! What a router has learned, for the strategies that ask: estimates and credits.

use alloc::string::String;
use core::fmt::{self, Write as _};

use super::RestoreError;
use super::words::Lines;
use crate::adaptive::PARTS;
use crate::router::Router;

/// No account holds as much: 100 rounds of 64 members of the largest weight are below 2^43.
const CREDIT_BOUND: i64 = 1 << 53;

impl Router {
    pub(super) fn write_adaptive(&self, out: &mut String) -> fmt::Result {
        for (deployment, parts) in self.adaptives.parts() {
            write!(out, "adaptive {deployment}")?;
            parts.iter().try_for_each(|part| write!(out, " {part}"))?;
            writeln!(out)?;
        }
        Ok(())
    }

    pub(super) fn read_adaptive(&mut self, lines: &mut Lines<'_>) -> Result<(), RestoreError> {
        while let Some(mut words) = lines.may("adaptive") {
            let deployment = words.deployment(&self.config)?;
            let mut parts = [0; PARTS];
            for part in &mut parts {
                *part = words.number()?;
            }
            if !self.adaptives.restore(deployment, parts) {
                return Err(words.error("an adaptive limit within its bounds"));
            }
        }
        Ok(())
    }

    pub(super) fn write_learned(&self, out: &mut String) -> fmt::Result {
        for (deployment, averages) in self.estimates.known() {
            write!(out, "estimate {deployment}")?;
            averages.as_flattened().iter().try_for_each(|part| write!(out, " {part}"))?;
            writeln!(out)?;
        }
        for (group, account) in self.credits.open() {
            write!(out, "credits {group}")?;
            account.iter().try_for_each(|credit| write!(out, " {credit}"))?;
            writeln!(out)?;
        }
        Ok(())
    }

    pub(super) fn read_learned(&mut self, lines: &mut Lines<'_>) -> Result<(), RestoreError> {
        while let Some(mut words) = lines.may("estimate") {
            let deployment = words.deployment(&self.config)?.index();
            let mut averages = [[0; 3]; 5];
            for part in averages.as_flattened_mut() {
                *part = words.number()?;
            }
            if !self.estimates.restore(deployment, averages) {
                return Err(words.error("counts of samples"));
            }
        }
        while let Some(mut words) = lines.may("credits") {
            let group = words.below(self.config.groups().len(), "a group")?;
            for credit in self.credits.of_mut(group) {
                let read: i64 = words.number()?;
                if read.abs_diff(0) > CREDIT_BOUND as u64 {
                    return Err(words.error("a credit"));
                }
                *credit = read;
            }
        }
        Ok(())
    }
}
