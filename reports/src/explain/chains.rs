//! The ways that calls went, as chains of causes: `429 on az-eu -> backoff -> answered by oai`.

use std::collections::BTreeMap;

use router_core::{Config, DeploymentId, RequestId, Span, Time, Wait};

use super::say;
use super::telling::{dead, waited};
use super::trail::{Death, Piece, Trail, Verdict};
use crate::words::{count, percent, seconds};

/// A step of a way.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Link {
    Died(Death, DeploymentId),
    Waited(Wait),
    Queued,
    Client,
    Ended(Verdict),
    /// The first token, or the answer.
    Won(DeploymentId),
}

/// Equal ways, counted.
#[derive(Clone, Debug, Default)]
pub(super) struct Chains {
    ways: BTreeMap<Vec<Link>, Way>,
    calls: u64,
}

#[derive(Clone, Debug)]
struct Way {
    calls: u64,
    ns: u128,
    /// How long each step took, over all calls.
    steps: Vec<u128>,
    /// The quickest call that went this way, and how long that took: the fewest surprises.
    example: (Span, RequestId),
}

impl Chains {
    /// One call more, which took `took` until `until`.
    pub(super) fn add(&mut self, id: RequestId, trail: &Trail, until: Time, took: Span) {
        let steps = steps(trail, until);
        let links: Vec<Link> = steps.iter().map(|(link, _)| *link).collect();
        self.calls += 1;
        let none = Way { calls: 0, ns: 0, steps: vec![0; links.len()], example: (took, id) };
        let way = self.ways.entry(links).or_insert(none);
        way.calls += 1;
        way.ns += u128::from(took.as_nanos());
        for (sum, (_, span)) in way.steps.iter_mut().zip(&steps) {
            *sum += u128::from(span.as_nanos());
        }
        way.example = way.example.min((took, id));
    }

    /// The commonest ways, each in a sentence or two.
    /// `won` is what the last deployment did: `answers in`.
    pub(super) fn told(
        &self,
        config: &Config,
        (most, won): (usize, &str),
        command: &str,
    ) -> Vec<(String, String)> {
        let mut ways: Vec<(&Vec<Link>, &Way)> = self.ways.iter().collect();
        ways.sort_by_key(|(_, way)| std::cmp::Reverse(way.calls));
        let ways = ways.into_iter().take(most);
        let told = ways.map(|(links, way)| {
            let mean = |ns: u128| seconds(ns as f64 / way.calls as f64 / 1e9);
            let steps = links.iter().zip(&way.steps);
            let steps: Vec<String> = steps
                .map(|(link, ns)| step(config, *link, (*ns, way.calls), (won, &mean)))
                .collect();
            let share = percent(way.calls as f64 / self.calls as f64);
            let (id, took) = (way.example.1, mean(way.ns));
            let below = match way.calls {
                1 => format!("1 call, {took}: {command} {id}"),
                n => format!("{} calls, {took} on average: {command} {id}", count(n)),
            };
            (share, format!("{}\n{below}", repeats(&steps).join(" -> ")))
        });
        told.collect()
    }

    /// How many calls went other ways than the `most` commonest.
    pub(super) fn others(&self, most: usize) -> (usize, u64) {
        let mut counts: Vec<u64> = self.ways.values().map(|way| way.calls).collect();
        counts.sort_unstable_by(|a, b| b.cmp(a));
        let rest = counts.get(most..).unwrap_or_default();
        (rest.len(), rest.iter().sum())
    }
}

/// The steps of a call up to `until`, in order of beginning.
fn steps(trail: &Trail, until: Time) -> Vec<(Link, Span)> {
    let mut steps = Vec::new();
    let mut won = None;
    for piece in &trail.pieces {
        match *piece {
            Piece::Attempt(leg) if leg.from > until => {}
            Piece::Attempt(leg) => match leg.won(until) {
                Some(at) => won = Some((Link::Won(leg.deployment), at.since(leg.from))),
                None => {
                    let end = leg.end.map_or(until, |(at, ..)| at.min(until));
                    let death = leg.death().unwrap_or(Death::Outrun);
                    steps.push((Link::Died(death, leg.deployment), end.since(leg.from)));
                }
            },
            Piece::Wait { why, from, until: end, .. } if from < until => {
                let span = end.unwrap_or(until).min(until).since(from);
                // Looking again and again is one wait.
                match steps.last_mut() {
                    Some((Link::Waited(before), sum)) if *before == why => *sum = *sum + span,
                    Some(_) | None => steps.push((Link::Waited(why), span)),
                }
            }
            Piece::Client { from, until: end } if from < until => {
                steps.push((Link::Client, end.min(until).since(from)));
            }
            // What was cut says so itself.
            Piece::Verdict(Verdict::Cut)
                if matches!(steps.last(), Some((Link::Died(Death::Cut, _), _))) => {}
            Piece::Verdict(verdict) if won.is_none() => {
                steps.push((Link::Ended(verdict), Span::ZERO))
            }
            Piece::Queue { from, until: end } if from < until => {
                steps.push((Link::Queued, end.unwrap_or(until).min(until).since(from)));
            }
            Piece::Wait { .. } | Piece::Queue { .. } | Piece::Client { .. } | Piece::Verdict(_) => {
            }
        }
    }
    steps.extend(won);
    steps
}

/// A step in words, with its mean time if that says something.
fn step(
    config: &Config,
    link: Link,
    (ns, calls): (u128, u64),
    (won, mean): (&str, &impl Fn(u128) -> String),
) -> String {
    let name = |id: DeploymentId| config.deployment(id).name.as_str();
    let long = ns >= u128::from(calls) * 1_000_000_000;
    match link {
        Link::Died(death, id) => {
            let what = dead(death);
            // A chain has no room for articles.
            let what = what.split_once(' ').map_or(what.as_str(), |(_, what)| what);
            let time = if long { format!(" ({})", mean(ns)) } else { String::new() };
            format!("{what} on {}{time}", name(id))
        }
        Link::Waited(why) => format!("{} {}", waited(why), mean(ns)),
        Link::Queued => format!("waits {} in the queue", mean(ns)),
        Link::Client => format!("client tries again after {}", mean(ns)),
        Link::Ended(verdict) => match verdict {
            Verdict::GaveUp(why) => format!("gave up: {}", say::gave_up_briefly(why)),
            Verdict::Rejected => "rejected: nobody could take it".to_owned(),
            Verdict::Expired => "deadline passed".to_owned(),
            Verdict::Cut => "cut by a restart of the router".to_owned(),
            Verdict::Cancelled => "client stopped waiting".to_owned(),
        },
        Link::Won(id) => format!("{} {won} {}", name(id), mean(ns)),
    }
}

/// Equal neighbours as one.
fn repeats(steps: &[String]) -> Vec<String> {
    let mut told: Vec<(String, usize)> = Vec::new();
    for step in steps {
        match told.last_mut() {
            Some((before, times)) if before == step => *times += 1,
            Some(_) | None => told.push((step.clone(), 1)),
        }
    }
    let word = |(step, times)| if times == 1 { step } else { format!("{times} x {step}") };
    told.into_iter().map(word).collect()
}
