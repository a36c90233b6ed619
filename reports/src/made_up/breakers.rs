//! A run of which breakers, hedges, standby and panic are told as a router would tell them.

use std::sync::Arc;

use router_core::{
    Abandon, AttemptId, BreakerMode, BreakerSpec, BreakerState, Call, CallEnd, Cause, Config,
    DeploymentId, DeploymentSpec, Dispatch, End, FailureKind, GroupId, GroupSpec, Hold, Input,
    Journal, MemberSpec, Observation, Output, Price, Request, RequestId, Span, Spec, Time, Turn,
    Usage,
};

use super::Dice;
use crate::{FaultBand, Figures, Fold, Frame, Phase};

const CHAT: GroupId = GroupId::at(0);
const NAMES: [(&str, u32); 6] =
    [("az-eu", 6), ("az-us", 3), ("oai", 3), ("gpu", 2), ("old", 2), ("spare", 0)];
const HORIZON: u64 = 1_200;
const USAGE: Usage = Usage { input_tokens: 900, cached_tokens: 0, output_tokens: 200 };

fn config(old: BreakerMode) -> Arc<Config> {
    let mut spec = Spec::default();
    let mut group = GroupSpec::new("chat".to_owned());
    group.breaker = Some(BreakerSpec::default());
    for (name, weight) in NAMES {
        let mut new = DeploymentSpec::new(name.to_owned());
        new.price = Price { input: 150_000, cached: 75_000, output: 600_000 };
        new.breaker = match name {
            "gpu" => Some(BreakerMode::Observe),
            "old" => Some(old),
            _ => None,
        };
        spec.deployments.push(new);
        group.members.push(MemberSpec { deployment: name.to_owned(), weight, tier: 0 });
    }
    spec.groups.push(group);
    Arc::new(Config::new(&spec).expect("a made-up configuration holds"))
}

fn frame() -> Frame {
    let s = Time::from_secs;
    let band = |name: &str, from, until, on| FaultBand {
        name: name.to_owned(),
        from: s(from),
        until: Some(s(until)),
        on: vec![DeploymentId::at(on)],
    };
    Frame {
        horizon: s(HORIZON),
        bin: Span::from_secs(5),
        phases: vec![Phase { name: "brownout".to_owned(), pieces: vec![(s(300), s(600))] }],
        faults: vec![band("brownout", 300, 600, 0), band("slow", 700, 760, 1)],
        payers: crate::Payers::default(),
    }
}

/// Turns of breakers: when, whose, to what, why, until when, the streak.
type Told = (f64, usize, BreakerState, Turn, Option<f64>, u8);

const TURNS: [Told; 24] = {
    use BreakerState::{Closed, HalfOpen, Open};
    use Turn::{Consecutive, Failures, Probe, Recovered, Slow, Waited};
    [
        (306.0, 0, Open, Consecutive, Some(316.4), 1),
        (316.5, 0, HalfOpen, Waited, None, 1),
        (319.0, 0, Open, Probe, Some(340.0), 2),
        (335.0, 3, Open, Failures, Some(345.0), 1),
        (340.2, 0, HalfOpen, Waited, None, 2),
        (343.0, 0, Open, Probe, Some(384.0), 3),
        (352.0, 3, Open, Failures, Some(372.0), 1),
        (384.5, 0, HalfOpen, Waited, None, 3),
        (388.0, 0, Open, Probe, Some(468.0), 4),
        (400.0, 1, Open, Failures, Some(410.0), 1),
        (402.0, 2, Open, Failures, Some(412.0), 1),
        (410.3, 1, HalfOpen, Waited, None, 1),
        (412.5, 2, HalfOpen, Waited, None, 1),
        (416.0, 2, Closed, Recovered, Some(446.0), 1),
        (417.0, 1, Closed, Recovered, Some(447.0), 1),
        (468.3, 0, HalfOpen, Waited, None, 4),
        (472.0, 0, Open, Probe, Some(632.0), 5),
        (633.0, 0, HalfOpen, Waited, None, 5),
        (640.0, 0, Closed, Recovered, Some(670.0), 5),
        (715.0, 1, Open, Slow, Some(725.0), 1),
        (740.0, 1, HalfOpen, Waited, None, 1),
        (752.0, 1, Open, Probe, Some(772.0), 2),
        (772.5, 1, HalfOpen, Waited, None, 2),
        (781.0, 1, Closed, Recovered, Some(811.0), 2),
    ]
};

/// Tells a fold what a router says, in order.
struct Router {
    fold: Fold,
    now: Time,
    queue: Vec<(Time, Said)>,
    turned: usize,
}

/// What is yet to come.
#[derive(Clone, Copy)]
enum Said {
    Ended { attempt: AttemptId, on: usize, end: End, elapsed: f64 },
    Dispatch { attempt: AttemptId, on: usize, cause: Cause },
    Call(Call),
}

fn at(seconds: f64) -> Time {
    Time::from_nanos((seconds * 1e9) as u64)
}

fn span(seconds: f64) -> Span {
    Span::from_nanos((seconds * 1e9) as u64)
}

impl Router {
    fn say(&mut self, observation: Observation) {
        self.fold.output(self.now, &Output::Observe(observation));
    }

    /// Everything that comes up to `now`.
    fn advance(&mut self, now: Time) {
        self.queue.sort_by_key(|(at, _)| core::cmp::Reverse(*at));
        while let Some((due, said)) = self.queue.pop_if(|(due, _)| *due <= now) {
            self.turns(due);
            self.now = due;
            self.fold.input(due, &Input::Tick);
            self.tell(said);
        }
        self.turns(now);
        self.now = now;
    }

    fn turns(&mut self, now: Time) {
        while let Some(&(due, on, to, why, until, streak)) =
            TURNS.get(self.turned).filter(|turn| at(turn.0) <= now)
        {
            self.turned += 1;
            self.now = at(due);
            let (deployment, until, enforced) = (DeploymentId::at(on), until.map(at), on != 3);
            self.say(Observation::Breaker {
                group: CHAT,
                deployment,
                to,
                why,
                until,
                streak,
                enforced,
            });
        }
    }

    fn tell(&mut self, said: Said) {
        match said {
            Said::Ended { attempt, on, end, elapsed } => {
                let (first, usage) = match end {
                    End::Answered => (Some(span(elapsed / 3.0)), USAGE),
                    End::Failed(_) => (None, Usage::default()),
                    End::Abandoned(_) => (None, Usage { output_tokens: 0, ..USAGE }),
                };
                self.say(Observation::Ended {
                    attempt,
                    group: CHAT,
                    deployment: DeploymentId::at(on),
                    end,
                    first_token: first,
                    elapsed: span(elapsed),
                    usage,
                });
            }
            Said::Dispatch { attempt, on, cause } => {
                let dispatch = Dispatch {
                    attempt,
                    group: CHAT,
                    deployment: DeploymentId::at(on),
                    key: 0,
                    cause,
                    connect: Span::MAX,
                    heartbeat: Span::MAX,
                };
                self.fold.output(self.now, &Output::Dispatch(dispatch));
            }
            Said::Call(call) => self.fold.call(self.now, &call),
        }
    }

    /// Whether a breaker lets a call pass, and what such a call is called.
    fn passes(&self, on: usize, now: f64) -> Option<Cause> {
        if on == 4 && now < 800.0 {
            return None;
        }
        let last = TURNS[..self.turned].iter().rev().find(|turn| turn.1 == on && on != 3);
        match last.map(|turn| turn.2) {
            Some(BreakerState::Open) => None,
            Some(BreakerState::HalfOpen) => Some(Cause::Probe),
            Some(BreakerState::Closed) | None => Some(Cause::Primary),
        }
    }
}

/// 20 minutes: one breaker opens again and again, another for slow calls, one only observes and
/// one is forced open until an operator lets go.
pub(crate) fn tripping() -> Figures {
    let (fold, mut dice) = (Fold::new(config(BreakerMode::ForcedOpen), frame()), Dice(11));
    let mut router = Router { fold, now: Time::ZERO, queue: Vec::new(), turned: 0 };
    let mut let_go = false;
    for n in 0..HORIZON * 5 {
        let now = n as f64 / 5.0 + 0.15 * dice.unit();
        router.advance(at(now));
        if now > 800.0 && !let_go {
            let_go = true;
            router.fold.input(at(now), &Input::Reconfigure(config(BreakerMode::Enforce)));
        }
        if n % 125 == 0 && (820.0..950.0).contains(&now) {
            let until = at(now + 12.0);
            let (deployment, failure) = (DeploymentId::at(2), FailureKind::RateLimit);
            router.say(Observation::Rested { deployment, key: None, until, failure, streak: 1 });
        }
        let id = RequestId::new(0, n, 0);
        router.fold.input(at(now), &Input::Submit(Request::new(id, CHAT, 900)));
        request(&mut router, &mut dice, id, now);
    }
    router.advance(Time::from_secs(HORIZON + 60));
    router.fold.finish(Time::from_secs(HORIZON))
}

fn request(router: &mut Router, dice: &mut Dice, id: RequestId, now: f64) {
    let (mut start, mut ordinal, mut tried) = (now, 1, None);
    let end = loop {
        let attempt = AttemptId { request: id, ordinal };
        let (on, cause) = choose(router, dice, (start, tried), ordinal);
        router.queue.push((at(start), Said::Dispatch { attempt, on, cause }));
        let ill = (on == 0 && (300.0..600.0).contains(&start)) || (on == 3 && start < 375.0);
        let slow = on == 1 && (700.0..760.0).contains(&start);
        let elapsed = (1.0 + 2.0 * dice.unit()) * if slow { 6.0 } else { 1.0 };
        let mut push = |attempt, on, end, elapsed| {
            let said = Said::Ended { attempt, on, end, elapsed };
            router.queue.push((at(start + elapsed), said));
        };
        if dice.unit() < if ill { 0.6 } else { 0.004 } {
            let elapsed = elapsed / 4.0;
            push(attempt, on, End::Failed(FailureKind::Server), elapsed);
            (start, tried, ordinal) = (start + elapsed + 0.2, Some(on), ordinal + 1);
            if ordinal > 3 {
                break start;
            }
            continue;
        }
        if cause == Cause::Primary && on != 2 && dice.unit() < if slow { 0.5 } else { 0.03 } {
            hedge(router, dice, (attempt, on), start);
            break start + 2.4;
        }
        push(attempt, on, End::Answered, elapsed);
        break start + elapsed;
    };
    let ended = if ordinal > 3 { CallEnd::Failed(500) } else { CallEnd::Answered(USAGE) };
    let call = Call {
        id,
        group: CHAT,
        properties: [0; 4],
        arrived: at(now),
        first_token: (ordinal <= 3).then(|| at(start + (end - start) / 3.0)),
        ended: at(end),
        end: ended,
        tries: 1,
        attempts: u16::from(ordinal.min(3)),
        client_wait: Span::ZERO,
        unseen: false,
    };
    router.queue.push((at(end), Said::Call(call)));
}

/// A hedge 0.8 s after a slow attempt; three of four win. One in five is held back.
fn hedge(router: &mut Router, dice: &mut Dice, (first, on): (AttemptId, usize), start: f64) {
    let hedge = AttemptId { ordinal: first.ordinal + 1, ..first };
    let answered = |attempt, on, elapsed| Said::Ended { attempt, on, end: End::Answered, elapsed };
    if dice.below(5) == 0 {
        router.say(Observation::Held { attempt: hedge, why: Hold::Utilisation });
        router.queue.push((at(start + 2.4), answered(first, on, 2.4)));
        return;
    }
    let sent = Said::Dispatch { attempt: hedge, on: 2, cause: Cause::Hedge };
    router.queue.push((at(start + 0.8), sent));
    let end = End::Abandoned(Abandon::Hedged);
    let (loser, winner) = if dice.below(4) > 0 {
        let loser = Said::Ended { attempt: first, on, end, elapsed: 1.4 };
        (loser, answered(hedge, 2, 1.6))
    } else {
        (Said::Ended { attempt: hedge, on: 2, end, elapsed: 0.6 }, answered(first, on, 2.4))
    };
    router.queue.push((at(start + 1.4), loser));
    router.queue.push((at(start + 2.4), winner));
}

fn choose(
    router: &Router,
    dice: &mut Dice,
    (now, tried): (f64, Option<usize>),
    ordinal: u8,
) -> (usize, Cause) {
    let again = |cause| if cause == Cause::Primary && ordinal > 1 { Cause::Retry } else { cause };
    if (403.0..410.0).contains(&now) {
        return if dice.below(3) == 0 { (5, Cause::Standby) } else { (0, Cause::Panic) };
    }
    for _ in 0..50 {
        let mut draw = dice.below(16);
        let on = NAMES.iter().position(|(_, weight)| {
            let here = draw < u64::from(*weight);
            draw = draw.saturating_sub(u64::from(*weight));
            here
        });
        let Some(on) = on.filter(|on| Some(*on) != tried) else { continue };
        match router.passes(on, now) {
            // Of those that are half-open only now and then: a probe.
            Some(Cause::Probe) if dice.below(6) > 0 => {}
            Some(cause) => return (on, again(cause)),
            None => {}
        }
    }
    (5, Cause::Standby)
}
