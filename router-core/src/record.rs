//! Records: one line per timed input and output, written as they happen and read back exactly.
//!
//! ```text
//! seawall record 1
//! start 0.000000000
//! config 0x1f0c5a9e77d2b340
//! group g0 chat
//! deployment d0 az-eu
//! limit l0 az-eu
//! 12.000000500 < submit r17 g0 subjects=0,0,0,0 properties=0,0,0,0 input_tokens=900 ...
//! 12.000000500 > dispatch r17#1 d0 key=0 primary connect=5s heartbeat=1s
//! ```
//!
//! `<` is an input and `>` an output. Ids are indexes (`g0`, `d0`, `l0`), which the header gives
//! names to; what a revision adds gets its names just before it takes effect. A configuration is
//! named by its [`fingerprint`]; whoever reads a record back supplies the configurations it
//! mentions: of a router that was reconfigured those that [`Config::revise`] gave, one from the
//! other. Every field of every event is written, in a fixed
//! order, so a line says the same whatever the defaults are.

#[cfg(test)]
pub(crate) mod arbitrary;
mod digest;
mod fingerprint;
mod mix;
mod text;

use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

pub use digest::Digest;
pub use fingerprint::fingerprint;

use crate::{Config, DeploymentId, GroupId, Input, Journal, LimitId, Output, Restart, Time};
use text::{Field, Tokens};

/// The version of the format that this crate writes, and the only one it reads.
pub const RECORD_VERSION: u32 = 1;

/// One line of a record.
#[derive(Clone, Debug)]
pub enum Line {
    /// The first line: which version of the format follows.
    Version(u32),
    /// When the router was made; among inputs and outputs, when another took its place that knew
    /// nothing, under the configuration that ran.
    Start(Time),
    /// The [`fingerprint`] of the configuration it was made with.
    Config(u64),
    /// What people call a group.
    Group(GroupId, String),
    /// What people call a deployment.
    Deployment(DeploymentId, String),
    /// What people call a limit.
    Limit(LimitId, String),
    /// An input, and when it was handled.
    Input(Time, Input),
    /// An output, and when it was performed.
    Output(Time, Output),
}

impl Line {
    /// Reads one line, without its line break. `configs` holds the configurations that
    /// `reconfigure` lines may mention.
    ///
    /// # Errors
    /// The first thing in it that is not as it should be, and where.
    pub fn parse(text: &str, configs: &[Arc<Config>]) -> Result<Self, BadLine> {
        let mut tokens = Tokens::new(text, configs);
        let line = Self::read(&mut tokens)?;
        tokens.end()?;
        Ok(line)
    }

    fn read(tokens: &mut Tokens<'_>) -> Result<Self, BadLine> {
        let first = tokens.token("a time or the kind of a header line")?;
        Ok(match first {
            "seawall" => {
                tokens.exactly("record")?;
                let version = tokens.parse("the version `1`")?;
                if version != RECORD_VERSION {
                    return Err(tokens.bad("the version `1`"));
                }
                Self::Version(version)
            }
            "start" => Self::Start(tokens.parse("seconds with nine decimals")?),
            "config" => Self::Config(tokens.fingerprint()?),
            "group" => Self::Group(Field::read("", tokens)?, tokens.token("a name")?.to_string()),
            "deployment" => {
                Self::Deployment(Field::read("", tokens)?, tokens.token("a name")?.to_string())
            }
            "limit" => Self::Limit(Field::read("", tokens)?, tokens.token("a name")?.to_string()),
            time => {
                let what = "seconds with nine decimals, or the kind of a header line";
                let at = time.parse().map_err(|_| tokens.bad(what))?;
                match tokens.token("`<` or `>`")? {
                    "<" => Self::Input(at, text::read_verb(tokens)?),
                    ">" => Self::Output(at, text::read_verb(tokens)?),
                    _ => return Err(tokens.bad("`<` or `>`")),
                }
            }
        })
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(version) => write!(f, "seawall record {version}"),
            Self::Start(at) => write!(f, "start {at}"),
            Self::Config(fingerprint) => write!(f, "config {fingerprint:#018x}"),
            Self::Group(id, name) => write!(f, "group g{} {name}", id.index()),
            Self::Deployment(id, name) => write!(f, "deployment d{} {name}", id.index()),
            Self::Limit(id, name) => write!(f, "limit l{} {name}", id.index()),
            Self::Input(at, input) => write!(f, "{at} < {input}"),
            Self::Output(at, output) => write!(f, "{at} > {output}"),
        }
    }
}

/// What is wrong with a line of a record, and where.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BadLine {
    /// The byte at which the offending word starts, counted from one.
    pub column: usize,
    /// What should stand there.
    pub expected: &'static str,
    /// What does; empty at the end of the line.
    pub found: String,
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "column {}: expected {}, found ", self.column, self.expected)?;
        if self.found.is_empty() {
            f.write_str("the end of the line")
        } else {
            write!(f, "`{}`", self.found)
        }
    }
}

impl core::error::Error for BadLine {}

/// Writes a record: a header when it is made, then a line per timed input and output.
#[derive(Clone, Debug)]
pub struct Recorder<W> {
    sink: W,
    state: fmt::Result,
    /// Of groups, deployments and limits, as they were written.
    names: [Vec<String>; 3],
}

impl<W: fmt::Write> Recorder<W> {
    /// Writes the header of a run of `config` from `start` on.
    pub fn new(sink: W, config: &Config, start: Time) -> Self {
        let mut recorder = Self { sink, state: Ok(()), names: Default::default() };
        recorder.line(&Line::Version(RECORD_VERSION));
        recorder.line(&Line::Start(start));
        recorder.line(&Line::Config(fingerprint(config)));
        recorder.name(config);
        recorder
    }

    /// Writes the names that `config` adds to those that were written, if it only adds.
    fn name(&mut self, config: &Config) {
        let names = [
            config.groups().iter().map(|group| group.name.clone()).collect::<Vec<String>>(),
            config.deployments().iter().map(|deployment| deployment.name.clone()).collect(),
            config.limits().iter().map(|limit| limit.name.clone()).collect(),
        ];
        let mut known = self.names.iter().zip(&names);
        if !known.all(|(known, names)| names.starts_with(known)) {
            return;
        }
        let new = |kind: usize| names[kind].iter().enumerate().skip(self.names[kind].len());
        let groups = new(0).map(|(at, name)| Line::Group(GroupId::at(at), name.clone()));
        let deployments =
            new(1).map(|(at, name)| Line::Deployment(DeploymentId::at(at), name.clone()));
        let limits = new(2).map(|(at, name)| Line::Limit(LimitId::at(at), name.clone()));
        let lines: Vec<Line> = groups.chain(deployments).chain(limits).collect();
        lines.iter().for_each(|line| self.line(line));
        self.names = names;
    }

    /// Gives the sink back.
    ///
    /// # Errors
    /// If the sink refused a line; nothing was written after that one.
    pub fn finish(self) -> Result<W, fmt::Error> {
        self.state.map(|()| self.sink)
    }

    fn line(&mut self, line: &impl fmt::Display) {
        if self.state.is_ok() {
            self.state = writeln!(self.sink, "{line}");
        }
    }
}

impl<W: fmt::Write> Journal for Recorder<W> {
    /// A router that begins with nothing is made then; one that is restored goes on.
    fn restart(&mut self, now: Time, restart: Restart) {
        match restart {
            Restart::Restored => {}
            Restart::Empty => self.line(&Line::Start(now)),
        }
    }

    fn input(&mut self, now: Time, input: &Input) {
        if let Input::Reconfigure(next) = input {
            self.name(next);
        }
        self.line(&format_args!("{now} < {input}"));
    }

    fn output(&mut self, now: Time, output: &Output) {
        self.line(&format_args!("{now} > {output}"));
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::arbitrary::{inputs, outputs};
    use super::*;
    use crate::{DeploymentSpec, GroupSpec, MemberSpec, Request, RequestId, Spec};

    fn config() -> Arc<Config> {
        let mut group = GroupSpec::new("chat".into());
        group.members.push(MemberSpec { deployment: "az-eu".into(), weight: 1, tier: 0 });
        let deployments = [DeploymentSpec::new("az-eu".into())].into();
        let spec = Spec { deployments, groups: [group].into(), ..Spec::default() };
        Arc::new(Config::new(&spec).unwrap())
    }

    #[test]
    fn a_record_starts_with_its_names_and_reads_back_line_by_line() {
        let config = config();
        let at = Time::from_nanos(12_000_000_500);
        let mut recorder = Recorder::new(String::new(), &config, Time::ZERO);
        let request = Request::new(RequestId::new(0, 17, 0), GroupId::at(0), 900);
        recorder.input(at, &Input::Submit(request));
        recorder.input(at, &Input::Reconfigure(config.clone()));
        let text = recorder.finish().unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "seawall record 1");
        assert_eq!(lines[3], "group g0 chat");
        assert_eq!(lines[4], "deployment d0 az-eu");
        assert_eq!(
            lines[5],
            "12.000000500 < submit r17 g0 subjects=0,0,0,0 properties=0,0,0,0 input_tokens=900 \
             output_max=- stream=true tags=0 region=0 priority=0 deadline=- affinity=0 none"
        );
        for line in lines {
            let read = Line::parse(line, core::slice::from_ref(&config)).unwrap();
            assert_eq!(read.to_string(), line);
        }
    }

    #[test]
    fn a_bad_line_says_what_and_where() {
        let says = |text| Line::parse(text, &[]).unwrap_err().to_string();
        assert_eq!(
            says("12.000000500 < cancel d3"),
            "column 23: expected a request such as `r17`, found `d3`"
        );
        assert_eq!(
            says("1.000000000 >"),
            "column 14: expected an output, found the end of the line"
        );
        assert_eq!(
            says("1.000000000 < tick tock"),
            "column 20: expected the end of the line, found `tock`"
        );
        assert_eq!(says("seawall record 2"), "column 16: expected the version `1`, found `2`");
        assert_eq!(
            says("1.000000000 < reconfigure 0x0000000000000001"),
            "column 27: expected the fingerprint of a configuration at hand, found \
             `0x0000000000000001`"
        );
    }

    /// One valid line of text, damaged at one place.
    fn damaged() -> impl Strategy<Value = Vec<u8>> {
        let lines = (any::<u64>(), outputs())
            .prop_map(|(at, output)| Line::Output(Time::from_nanos(at), output).to_string());
        (lines, any::<prop::sample::Index>(), any::<u8>()).prop_map(|(line, index, byte)| {
            let mut bytes = line.into_bytes();
            let place = index.index(bytes.len());
            bytes[place] = byte;
            bytes
        })
    }

    proptest! {
        #[test]
        fn an_input_reads_back_as_it_was_written(at in any::<u64>(), input in inputs()) {
            let text = Line::Input(Time::from_nanos(at), input.clone()).to_string();
            let Line::Input(when, read) = Line::parse(&text, &[]).unwrap() else {
                panic!("{text} is an input");
            };
            prop_assert_eq!(when, Time::from_nanos(at));
            prop_assert_eq!(std::format!("{read:?}"), std::format!("{input:?}"));
        }

        #[test]
        fn an_output_reads_back_as_it_was_written(at in any::<u64>(), output in outputs()) {
            let text = Line::Output(Time::from_nanos(at), output).to_string();
            let Line::Output(when, read) = Line::parse(&text, &[]).unwrap() else {
                panic!("{text} is an output");
            };
            prop_assert_eq!(when, Time::from_nanos(at));
            prop_assert_eq!(read, output);
            prop_assert_eq!(output.to_string().parse::<Output>().unwrap(), output);
        }

        #[test]
        fn no_bytes_make_the_parser_panic(bytes in any::<Vec<u8>>(), line in damaged()) {
            for bytes in [bytes, line] {
                let text = String::from_utf8_lossy(&bytes);
                if let Err(bad) = Line::parse(&text, &[]) {
                    prop_assert!(bad.column <= text.len() + 1);
                    prop_assert!(text.is_char_boundary(bad.column - 1));
                }
            }
        }
    }
}
