//! The lines and words of a snapshot that is being read.

use alloc::vec::Vec;
use core::str::{FromStr, SplitWhitespace};

use super::{HEADER, RestoreError};
use crate::health::Rest;
use crate::{Config, DeploymentId, Time};

/// The lines of a snapshot, read one after the other.
pub(super) struct Lines<'a> {
    lines: Vec<(usize, &'a str)>,
    next: usize,
}

impl<'a> Lines<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { lines: text.lines().enumerate().collect(), next: 0 }
    }

    pub(super) fn header(&mut self) -> Result<(), RestoreError> {
        match self.lines.first() {
            Some((_, HEADER)) => {
                self.next = 1;
                Ok(())
            }
            Some(_) | None => Err(RestoreError { line: 1, expected: HEADER }),
        }
    }

    /// The words of the next line, if it begins with `name`.
    pub(super) fn may(&mut self, name: &'static str) -> Option<Words<'a>> {
        let &(index, line) = self.lines.get(self.next)?;
        let mut words = line.split_whitespace();
        (words.next() == Some(name)).then(|| {
            self.next += 1;
            Words { words, line: index + 1 }
        })
    }

    pub(super) fn must(&mut self, name: &'static str) -> Result<Words<'a>, RestoreError> {
        let line = self.next + 1;
        self.may(name).ok_or(RestoreError { line, expected: name })
    }

    /// How many lines begin with `name`.
    pub(super) fn count(&self, name: &str) -> usize {
        self.lines.iter().filter(|(_, line)| line.split(' ').next() == Some(name)).count()
    }

    pub(super) fn end(&self) -> Result<(), RestoreError> {
        match self.lines.get(self.next) {
            Some((index, _)) => Err(RestoreError { line: index + 1, expected: "the end" }),
            None => Ok(()),
        }
    }
}

/// The words of one line.
pub(super) struct Words<'a> {
    words: SplitWhitespace<'a>,
    line: usize,
}

impl Words<'_> {
    pub(super) const fn error(&self, expected: &'static str) -> RestoreError {
        RestoreError { line: self.line, expected }
    }

    pub(super) fn parsed<T: FromStr>(&mut self, expected: &'static str) -> Result<T, RestoreError> {
        let error = self.error(expected);
        self.words.next().and_then(|word| word.parse().ok()).ok_or(error)
    }

    /// The next word, which must be `word`.
    pub(super) fn exactly(
        &mut self,
        word: &str,
        expected: &'static str,
    ) -> Result<(), RestoreError> {
        let error = self.error(expected);
        if self.words.next() == Some(word) { Ok(()) } else { Err(error) }
    }

    pub(super) fn number<T: FromStr>(&mut self) -> Result<T, RestoreError> {
        self.parsed("a number")
    }

    /// The next word, if there is one.
    pub(super) fn maybe_parsed<T: FromStr>(
        &mut self,
        expected: &'static str,
    ) -> Result<Option<T>, RestoreError> {
        let error = self.error(expected);
        self.words.next().map(|word| word.parse().map_err(|_| error)).transpose()
    }

    pub(super) fn maybe_number<T: FromStr>(&mut self) -> Result<Option<T>, RestoreError> {
        self.maybe_parsed("a number")
    }

    pub(super) fn below(
        &mut self,
        bound: usize,
        expected: &'static str,
    ) -> Result<usize, RestoreError> {
        let error = self.error(expected);
        self.number::<usize>().ok().filter(|n| *n < bound).ok_or(error)
    }

    pub(super) fn time(&mut self) -> Result<Time, RestoreError> {
        self.number().map(Time::from_nanos)
    }

    pub(super) fn maybe_time(&mut self) -> Result<Option<Time>, RestoreError> {
        let error = self.error("an instant or `-`");
        match self.words.next() {
            Some("-") => Ok(None),
            Some(word) => word.parse().map(|ns| Some(Time::from_nanos(ns))).map_err(|_| error),
            None => Err(error),
        }
    }

    pub(super) fn deployment(&mut self, config: &Config) -> Result<DeploymentId, RestoreError> {
        self.below(config.deployments().len(), "a deployment").map(DeploymentId::at)
    }

    pub(super) fn rest(&mut self) -> Result<Rest, RestoreError> {
        Ok(Rest { until: self.time()?, asked: self.time()?, streak: self.number()? })
    }

    /// What `read` makes of the words that are left.
    pub(super) fn all(
        mut self,
        expected: &'static str,
        read: impl FnOnce(&mut SplitWhitespace<'_>) -> Option<()>,
    ) -> Result<(), RestoreError> {
        let error = self.error(expected);
        read(&mut self.words).ok_or(error)
    }

    pub(super) fn pairs(&mut self) -> Result<Vec<(u32, u32)>, RestoreError> {
        let error = self.error("pairs of counts");
        let pair = |word: &str| {
            let (a, b) = word.split_once(',')?;
            Some((a.parse().ok()?, b.parse().ok()?))
        };
        self.words.by_ref().map(pair).collect::<Option<_>>().ok_or(error)
    }
}
