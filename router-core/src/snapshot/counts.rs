//! What a snapshot says of memberships and groups: what was counted, and where breakers stand.

use alloc::string::String;
use core::fmt::{self, Write as _};

use super::RestoreError;
use super::words::Lines;
use crate::router::Router;

impl Router {
    pub(super) fn write_counts(&self, out: &mut String) -> fmt::Result {
        for membership in self.health.memberships.iter().flatten() {
            write!(out, "window")?;
            membership.window.write(out)?;
            writeln!(out)?;
            if let Some(breaker) = &membership.breaker {
                write!(out, "breaker")?;
                breaker.write(out)?;
                writeln!(out)?;
            }
        }
        for (group, waits) in self.health.waits.iter().enumerate() {
            for wait in waits.iter().filter(|_| self.config.groups()[group].notes_waits()) {
                write!(out, "waits")?;
                wait.write(out)?;
                writeln!(out)?;
            }
        }
        Ok(())
    }

    pub(super) fn read_counts(&mut self, lines: &mut Lines<'_>) -> Result<(), RestoreError> {
        for membership in self.health.memberships.iter_mut().flatten() {
            let window = &mut membership.window;
            lines.must("window")?.all("slots of counts", |words| window.restore(words))?;
            if let Some(breaker) = &mut membership.breaker {
                lines.must("breaker")?.all("a breaker's state", |words| breaker.restore(words))?;
            }
        }
        for group in 0..self.health.waits.len() {
            if self.config.groups()[group].notes_waits() {
                for wait in &mut self.health.waits[group] {
                    lines.must("waits")?.all("a histogram", |words| wait.restore(words))?;
                }
            }
        }
        Ok(())
    }
}
