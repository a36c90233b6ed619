//! Made-up figures for tests of tables and charts: typical, small and ugly ones.

use router_core::{
    Config, DeploymentId, DeploymentSpec, FailureKind, GroupSpec, MemberSpec, Price, Span, Spec,
    Time,
};

use crate::{FaultBand, Figures, Frame, Phase, Rest};

mod breakers;

pub(crate) use breakers::tripping;

/// A generator for tests alone (splitmix64).
struct Dice(u64);

impl Dice {
    fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    }

    fn unit(&mut self) -> f64 {
        (self.word() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn below(&mut self, n: u64) -> u64 {
        self.word() % n.max(1)
    }
}

/// What to make up.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) weights: Vec<(String, u32)>,
    /// Seconds.
    pub(crate) horizon: u64,
    pub(crate) rate: f64,
    pub(crate) spike: Option<(u64, u64)>,
    /// Of the first deployment.
    pub(crate) fault: Option<(u64, u64)>,
}

fn named(weights: &[(&str, u32)]) -> Vec<(String, u32)> {
    weights.iter().map(|(name, weight)| ((*name).to_owned(), *weight)).collect()
}

impl World {
    pub(crate) fn typical() -> Self {
        Self {
            weights: named(&[("az-eu", 7), ("az-us", 2), ("oai", 3), ("haiku", 1)]),
            horizon: 7_200,
            rate: 8.0,
            spike: Some((1_200, 3_600)),
            fault: Some((1_560, 2_100)),
        }
    }

    pub(crate) fn alone() -> Self {
        let weights = named(&[("the-only-one", 1)]);
        Self { weights, horizon: 600, rate: 2.0, spike: None, fault: Some((100, 160)) }
    }

    pub(crate) fn crowd() -> Self {
        let weights = (0..64).map(|i| (format!("deployment-{i:02}"), 1 + i % 5)).collect();
        let fault = Some((30_000, 36_000));
        Self { weights, horizon: 86_400, rate: 1.0, spike: Some((28_000, 50_000)), fault }
    }

    pub(crate) fn calm() -> Self {
        let weights = named(&[("az-eu", 7), ("oai", 3)]);
        Self { weights, horizon: 1_800, rate: 5.0, spike: None, fault: None }
    }

    pub(crate) fn silent() -> Self {
        Self { rate: 0.0, ..Self::typical() }
    }

    pub(crate) fn blink() -> Self {
        let weights = named(&[("a", 1), ("b", 1)]);
        Self { weights, horizon: 10, rate: 30.0, spike: Some((3, 5)), fault: Some((4, 6)) }
    }

    pub(crate) fn config(&self) -> Config {
        let mut spec = Spec::default();
        let mut group = GroupSpec::new("chat".to_owned());
        for (name, weight) in &self.weights {
            let mut new = DeploymentSpec::new(name.clone());
            new.price = Price { input: 150_000, cached: 75_000, output: 600_000 };
            spec.deployments.push(new);
            let (deployment, weight) = (name.clone(), *weight);
            group.members.push(MemberSpec { deployment, weight, tier: 0 });
        }
        spec.groups.push(group);
        Config::new(&spec).expect("a made-up configuration holds")
    }

    fn frame(&self) -> Frame {
        let s = Time::from_secs;
        let mut phases = Vec::new();
        if let Some((from, until)) = self.spike {
            let pieces = vec![(s(from), s(until))];
            phases.push(Phase { name: "spike".to_owned(), pieces });
        }
        let faults = self.fault.map(|(from, until)| FaultBand {
            name: "brownout".to_owned(),
            from: s(from),
            until: Some(s(until)),
            on: vec![DeploymentId::at(0)],
        });
        let bin = Span::from_millis((self.horizon * 1000 / 720).max(500));
        let faults = faults.into_iter().collect();
        let payers = crate::Payers::default();
        Frame { horizon: s(self.horizon), bin, phases, faults, payers }
    }

    /// Calls of this world, each tried up to three times.
    pub(crate) fn figures(&self) -> Figures {
        let config = self.config();
        let mut figures = Figures::new(&config, self.frame());
        let mut dice = Dice(7);
        let mut now = 0.0;
        let inside = |part: Option<(u64, u64)>, t: f64| {
            part.is_some_and(|(from, until)| from as f64 <= t && t < until as f64)
        };
        loop {
            let mut rate = self.rate;
            if let Some((from, until)) = self.spike.filter(|_| inside(self.spike, now)) {
                let through = (now - from as f64) / (until - from) as f64;
                rate *= 1.0 + 9.0 * (through * 6.0).min(1.0) * (1.0 - through);
            }
            now += (0.4 + 1.2 * dice.unit()) / rate;
            // Without a rate, the first call comes never.
            if now >= self.horizon as f64 {
                break;
            }
            self.call(&mut figures, &mut dice, now, inside(self.fault, now), rate);
        }
        self.rests(&mut figures, &mut dice);
        figures
    }

    fn call(&self, f: &mut Figures, dice: &mut Dice, now: f64, ill: bool, rate: f64) {
        let bin = ((now * 1e9) as u64 / f.frame.bin.as_nanos()) as usize;
        let bin = bin.min(f.bins.len() - 1);
        let in_spike = self.spike.is_some_and(|(a, b)| a as f64 <= now && now < b as f64);
        let (mut waited, mut answered, mut attempts) = (0.0, None, 0);
        while attempts < 3 && answered.is_none() {
            attempts += 1;
            match self.attempt(f, dice, (bin, in_spike), ill, rate) {
                Some(ttft) => answered = Some(waited + ttft),
                None => waited += 0.9,
            }
        }
        let ttft = answered.map(|ttft: f64| Span::from_nanos((ttft * 1e9) as u64));
        ended(f, (now, bin, in_spike), ttft, attempts);
    }

    /// An attempt's seconds to first token, unless it fails.
    fn attempt(
        &self,
        f: &mut Figures,
        dice: &mut Dice,
        (bin, in_spike): (usize, bool),
        ill: bool,
        rate: f64,
    ) -> Option<f64> {
        let sum: u64 = self.weights.iter().map(|w| u64::from(w.1)).sum();
        let mut draw = dice.below(sum);
        let place = self.weights.iter().position(|w| {
            let here = draw < u64::from(w.1);
            draw = draw.saturating_sub(u64::from(w.1));
            here
        });
        let d = place.unwrap_or(0);
        let fails = dice.unit() < if ill && d == 0 { 0.3 } else { 0.002 };
        let slow = if ill && d == 0 { 4.0 } else { 1.0 + rate / 60.0 };
        let long = dice.unit();
        let ttft = 0.25 * slow * (1.0 + long + 4.0 * long * long * long * long * long);
        let kind = if dice.below(4) == 0 { FailureKind::Server } else { FailureKind::RateLimit };
        let parts = [Some(&mut f.whole), f.phases.first_mut().filter(|_| in_spike)];
        for part in parts.into_iter().flatten() {
            part.members[d] += 1;
            let a = &mut part.deployments[d];
            a.dispatched += 1;
            if fails {
                a.failures[kind as usize] += 1;
                a.lost[kind as usize].dead_ns += 200_000_000;
                a.lost[kind as usize].waited_ns += 700_000_000;
            } else {
                a.answered += 1;
                a.ttft.record(Span::from_nanos((ttft * 1e9) as u64));
                a.total.record(Span::from_nanos(((ttft + 3.0) * 1e9) as u64));
                a.input_tokens += 900;
                a.output_tokens += 200;
                a.cost_pico += 255_000_000;
            }
        }
        f.bins[bin].members[d] += 1;
        let at = &mut f.bins[bin].deployments[d];
        at.dispatched += 1;
        at.failed += u64::from(fails);
        at.answered += u64::from(!fails);
        (!fails).then_some(ttft)
    }

    fn rests(&self, f: &mut Figures, dice: &mut Dice) {
        if self.rate == 0.0 {
            return;
        }
        let mut rest = |d: usize, key, from: u64, length: u64, failure| {
            let (from, until) = (Time::from_secs(from), Time::from_secs(from + length));
            let deployment = DeploymentId::at(d);
            f.rests.push(Rest { deployment, key, from, until, failure, streak: 1 });
            f.resting[d] = Span::from_nanos(f.resting[d].as_nanos() + length * 1_000_000_000);
        };
        if let Some((from, until)) = self.fault {
            let mut at = from + (until - from) / 20;
            while at < until {
                let length = 1 + dice.below((until - from) / 10);
                rest(0, None, at, length, FailureKind::Server);
                at += length + 1 + dice.below((until - from) / 15);
            }
        }
        if let Some((from, until)) = self.spike {
            for d in 1..self.weights.len().min(9) {
                for _ in 0..6 {
                    let at = from + dice.below(until - from);
                    let key = (d == 2).then_some(1);
                    let length = 1 + dice.below(self.horizon / 100);
                    rest(d, key, at, length, FailureKind::RateLimit);
                }
            }
            let from = self.horizon / 2;
            let last = self.weights.len() - 1;
            rest(last, None, from, self.horizon / 10, FailureKind::Authentication);
        }
        f.rests.sort_by_key(|rest| rest.from);
    }
}

/// Counts a call that arrived at `now` and got its first token after `ttft`, if ever.
fn ended(
    f: &mut Figures,
    (now, bin, in_spike): (f64, usize, bool),
    ttft: Option<Span>,
    attempts: u64,
) {
    let beat = (now * 1e9) as u64 / f.pulse.step.as_nanos();
    if let Some(beat) = f.pulse.beats.get_mut(beat as usize) {
        beat.ended += 1;
        beat.answered += u64::from(ttft.is_some());
        beat.attempts += attempts;
        ttft.into_iter().for_each(|ttft| beat.ttft.record(ttft));
    }
    let group = &mut f.bins[bin].groups[0];
    group.offered += 1;
    group.admitted += 1;
    group.answered += u64::from(ttft.is_some());
    group.failed += u64::from(ttft.is_none());
    ttft.into_iter().for_each(|ttft| group.ttft.record(ttft));
    let parts = [Some(&mut f.whole), f.phases.first_mut().filter(|_| in_spike)];
    for part in parts.into_iter().flatten() {
        for calls in [&mut part.calls, &mut part.groups[0]] {
            calls.offered += 1;
            calls.submissions += 1;
            calls.tries += 1;
            calls.ended += 1;
            calls.admitted += 1;
            calls.attempts += attempts;
            calls.cost_pico += 255_000_000;
            if let Some(ttft) = ttft {
                calls.answered += 1;
                calls.ttft.record(ttft);
                calls.total.record(ttft + Span::from_secs(3));
            } else {
                calls.failed += 1;
                calls.count_status(429, 1);
            }
        }
    }
}
