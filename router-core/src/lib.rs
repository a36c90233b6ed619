//! The routing brain, without the network.
//!
//! A [`Router`] is a value. It is told what happened ([`Input`]) and when ([`Time`]); it answers
//! with what to do ([`Output`]) and when it next wants to be woken ([`Brain::next_wakeup`]). It
//! opens no socket, reads no clock, spawns no task and draws randomness only from the [`Seed`] it
//! was built with, so one list of timed inputs always yields one list of outputs.
//!
//! # The contract
//! 1. Before an input, deadlines earlier than its instant act, in their order. Deadlines *at* an
//!    instant act on its tick, or before the first input of a later one. News that arrives exactly
//!    at a deadline is in time, and a late timer changes when things happen, never in what order.
//! 2. A late deadline acts as of the input's instant: rests, waits and timeouts that it begins
//!    count from there, so a starved driver cuts short nothing that it starts.
//! 3. An [`Input::Tick`] nobody asked for changes nothing and draws nothing.
//! 4. Sleeping exactly until the wake-up is enough. Drivers deliver all news of an instant
//!    before its tick.
//! 5. Requests are numbered by the driver and draws are keyed by those numbers, so leaving a
//!    request out of a record leaves the rest valid.
//! 6. After start-up the hot path allocates nothing: tables are sized from the [`Config`].
//!
//! # The loop
//! [`Driver::step`] turns outputs into calls on [`Effects`] and shows everything to a
//! [`Journal`]. What remains for a driver is the clock:
//!
//! ```
//! use std::sync::Arc;
//! use router_core::*;
//!
//! struct Wire(Vec<Dispatch>);
//! impl Effects for Wire {
//!     fn dispatch(&mut self, _: Time, dispatch: Dispatch) { self.0.push(dispatch) }
//!     fn abandon(&mut self, _: Time, _: AttemptId, _: Abandon) {}
//!     fn commit(&mut self, _: Time, _: AttemptId) {}
//!     fn finish(&mut self, _: Time, _: RequestId, outcome: Outcome) {
//!         assert!(matches!(outcome, Outcome::Serve(..)));
//!     }
//!     fn observe(&mut self, _: Time, _: Observation) {}
//! }
//!
//! let mut chat = GroupSpec::new("chat".into());
//! chat.members.push(MemberSpec { deployment: "oai".into(), weight: 1, tier: 0 });
//! let spec = Spec {
//!     deployments: vec![DeploymentSpec::new("oai".into())],
//!     groups: vec![chat],
//!     ..Spec::default()
//! };
//! let config = Arc::new(Config::new(&spec).expect("nothing is wrong with it"));
//! let group = config.group_named("chat").expect("it is there");
//! let router = Router::new(config, Seed::from_u64(7), Time::ZERO);
//! let (mut driver, mut wire) = (Driver::new(router, ()), Wire(Vec::new()));
//!
//! let id = RequestId::new(0, 1, 0);
//! let submit = Input::Submit(Request::new(id, group, 500));
//! let wakeup = driver.step(Time::ZERO, submit, &mut wire).expect("a timeout is armed");
//! assert_eq!((wakeup.at, wakeup.reason), (Time::from_secs(5), TimerKind::Connect));
//!
//! // The provider answers before the driver would have to wake the router.
//! let whole = Upstream::Complete(Usage { input_tokens: 500, ..Usage::default() });
//! let news = Input::Upstream(wire.0[0].attempt, whole);
//! assert!(driver.step(Time::from_secs(2), news, &mut wire).is_none());
//! ```
#![no_std]
#![deny(clippy::float_arithmetic)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod account;
mod adaptive;
mod asides;
mod attempt;
mod audit;
mod breaker;
mod budget;
mod config;
mod driver;
mod event;
mod fallback;
mod flight;
mod health;
mod hedge;
mod id;
mod judge;
mod ladder;
mod limit;
mod observation;
mod peers;
mod prng;
mod quantile;
mod queue;
mod record;
mod rejection;
mod retry;
mod retry_after;
mod revise;
mod router;
mod select;
mod snapshot;
mod strategy;
mod table;
mod time;
mod timers;
mod window;

pub use audit::{Auditor, Invariant, Violation};
pub use config::{
    AdaptiveSpec, BackoffSpec, BreakerMode, BreakerSpec, BreakerWindow, BudgetSpec, BudgetUnit,
    ClassRest, ClassRests, Concern, Config, ConfigError, CooldownSpec, Deployment, DeploymentSpec,
    FallbacksSpec, Group, GroupSpec, HedgeAfter, HedgeSpec, Jitter, Kind, Ladder, Limit, LimitSpec,
    Load, Longest, Member, MemberSpec, OnOutage, Order, PeersSpec, Price, Problem, Queue,
    QueueSpec, Rate, RestAfter, RetryBudgetSpec, RetrySpec, RouterSpec, Rung, RungSpec, Spec,
    Strategy, Subject, SubjectSpec, TagMatch, TimeoutsSpec, Warning, WorstCase,
};
pub use driver::{Anew, Brain, Driver, Effects, Journal, Outputs, Restart, Wakeup};
pub use event::{
    Abandon, Cause, Consumption, Detour, Dispatch, Failure, FailureClass, FailureKind, Input,
    Outcome, Output, Quota, Request, Scope, Upstream, Usage,
};
pub use id::{AttemptId, BadId, DeploymentId, GroupId, LimitId, RequestId};
pub use ladder::Cached;
pub use observation::{
    BreakerState, Call, CallEnd, End, GiveUp, Hold, Level, Observation, Reason, Turn, Wait,
};
pub use prng::{Counter, Key, Purpose, Ratio, Seed, Stream};
pub use record::{BadLine, Digest, Line, RECORD_VERSION, Recorder, fingerprint};
pub use rejection::{Measure, Rejection};
pub use retry_after::RetryAfter;
pub use router::Router;
pub use snapshot::RestoreError;
pub use table::Table;
pub use time::{BadTime, Span, Time};
pub use timers::TimerKind;
