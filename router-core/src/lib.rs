//! The routing brain, without the network.
#![no_std]
#![deny(clippy::float_arithmetic)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod config;
mod driver;
mod event;
mod id;
mod observation;
mod prng;
mod record;
mod time;
mod timers;

pub use config::{
    BackoffSpec, Config, ConfigError, CooldownSpec, Deployment, DeploymentSpec, Group, GroupSpec,
    Limit, LimitSpec, Member, MemberSpec, Price, Problem, Rate, RetryBudgetSpec, RouterSpec, Spec,
    Strategy, TimeoutsSpec,
};
pub use driver::{Brain, Driver, Effects, Journal, Outputs, Wakeup};
pub use event::{
    Abandon, Cached, Cause, Consumption, Dispatch, Failure, FailureKind, Input, Outcome, Output,
    Quota, Rejection, Request, Scope, Upstream, Usage,
};
pub use id::{AttemptId, BadId, DeploymentId, GroupId, LimitId, RequestId};
pub use observation::{Call, CallEnd, End, GiveUp, Observation, Reason, Wait};
pub use prng::{Counter, Key, Purpose, Ratio, Seed, Stream};
pub use record::{BadLine, Digest, Line, RECORD_VERSION, Recorder, fingerprint};
pub use time::{BadTime, Span, Time};
pub use timers::TimerKind;
