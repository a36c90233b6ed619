//! Demand by number: which group, how calls arrive, how long they are, who waits for them.

use core::ops::Range;
use std::sync::Arc;

use router_core::{Config, GroupId, Ratio, Span, Time};
use sim::{Arrivals, Client, Demand, Lengths, Renumbered, Segment, Shape, TraceRow};

use super::mix::{self, Subjects};
use super::{Fleet, Override, Property, Said, reserve};
use crate::diagnostic::{did_you_mean, nearest};
use crate::read::WHOLE;
use crate::written::{
    ClientSpec, DemandSpec, LengthSpec, Mistake, NormalSpec, Process, ScenarioSpec, Spanned,
    SpikeSpec, TokensSpec,
};

/// All demand, and what its arrivals say of time.
pub(super) struct Demands {
    pub(super) demands: Vec<Demand>,
    /// When the last arrival may come.
    pub(super) horizon: Time,
    /// The most calls that may come, about.
    calls: f64,
    /// Each spike from the start of its rise until an eighth of the excess is left.
    pub(super) spikes: Vec<(Time, Time)>,
    pub(super) properties: Vec<Property>,
    /// By kind: names of subjects that the router does not have at the start.
    pub(super) subjects: Vec<Vec<String>>,
    /// By reload: who has an entry of its own from then on.
    pub(super) named: Vec<Vec<Renumbered>>,
}

/// The built-in twin of a public trace, which is also a table of token lengths.
const AZURE: &str = "azure-conversation";

/// More calls than this in a run are a mistake in a unit.
const CALLS_MAX: f64 = 1e9;
/// An eighth of the excess is left after three half-lives.
const SPIKE_HALF_LIVES: u64 = 3;

pub(super) fn demands(
    scenario: &ScenarioSpec,
    fleet: Fleet<'_>,
    instead: &Override,
    said: &mut Said,
) -> Demands {
    let mut all = Demands {
        demands: Vec::new(),
        horizon: Time::ZERO,
        calls: 0.0,
        spikes: Vec::new(),
        properties: Vec::new(),
        subjects: Vec::new(),
        named: Vec::new(),
    };
    let subjects = Subjects::new(scenario, fleet.config, fleet.whole().config);
    let traced = traced(scenario, instead);
    for (index, (name, spec)) in scenario.demands.iter().enumerate() {
        let trace = traced.as_ref().filter(|(at, _)| *at == index).map(|(_, rows)| rows);
        demand(name, spec, (fleet, &subjects), trace, &mut all, said);
    }
    let revisions = fleet.then.iter().map(|router| &*router.config);
    let each = core::iter::once(fleet.config).chain(revisions.clone()).zip(revisions);
    all.named = each.map(|(last, next)| subjects.named(last, next)).collect();
    all.subjects = subjects.into_names();
    if all.demands.is_empty() && said.is_silent() {
        match scenario.demands.first() {
            Some((name, spec)) => {
                let asked = spec.group.as_ref().unwrap_or(name);
                let any = "`[demand.\"*\"]` is for a router's first group, whatever its name";
                let hint = match near(&asked.value, fleet.config) {
                    Some(meant) => format!("did you mean `{meant}`? {any}"),
                    None => any.to_owned(),
                };
                let message = "this router has none of the groups that calls are for";
                said.wrong_because(&asked.at, message, hint);
            }
            None => {
                let hint = Some("add a `[demand.\"*\"]`".to_owned());
                said.lacks(&WHOLE, Mistake { at: WHOLE, message: "nobody calls".to_owned(), hint });
            }
        }
    }
    all
}

/// The demand whose arrivals a trace takes the place of.
fn traced(scenario: &ScenarioSpec, instead: &Override) -> Option<(usize, Arc<[TraceRow]>)> {
    let rows = instead.trace.clone()?;
    let twin = scenario.demands.iter().position(|(_, spec)| spec.normal.arrivals.is_some());
    Some((twin.unwrap_or(0), rows))
}

fn demand(
    name: &Spanned<String>,
    spec: &DemandSpec,
    (fleet, subjects): (Fleet<'_>, &Subjects<'_>),
    trace: Option<&Arc<[TraceRow]>>,
    all: &mut Demands,
    said: &mut Said,
) {
    let asked = spec.group.as_ref().unwrap_or(name);
    let group = match asked.value.as_str() {
        "*" => Some(GroupId::at(0)),
        model => fleet.config.route(model),
    };
    let wishes = wishes(spec, fleet.config, said);
    let properties = mix::properties(spec, &mut all.properties, said);
    let subjects = subjects.of(&name.value, spec, said);
    let client = client(spec.normal.client.as_ref(), said);
    let (input, output) = lengths(&spec.normal, said);
    let written = arrivals(name, spec, said);
    let Some(group) = group else {
        let (name, asked) = (&name.value, &asked.value);
        let meant = near(asked, fleet.config).map(|meant| format!("; did you mean `{meant}`?"));
        let meant = meant.unwrap_or_default();
        said.not_applicable(format!("demand `{name}`: there is no group `{asked}` here{meant}"));
        return;
    };
    warn_of_nobody(name, group, wishes, fleet.config, said);
    let Some((mut arrivals, mut horizon, mut spike)) = written else { return };
    let (mut input, mut output) = (input, output);
    if let Some(rows) = trace {
        if spec.spike.is_some() {
            said.warn(format!("demand `{}`: its spike gives way to the trace", name.value));
        }
        horizon = rows.last().map_or(Time::ZERO, |row| Time::ZERO + row.at);
        (input, output) = (Lengths::Trace, Lengths::Trace);
        arrivals = Arrivals::Trace(rows.clone());
        spike = None;
    }
    let before = all.calls;
    all.calls += calls(spec);
    if let Some(lasts) = spec.normal.lasts.as_ref().filter(|_| before <= CALLS_MAX)
        && all.calls > CALLS_MAX
    {
        said.wrong(&lasts.at, "with the demands before it, this makes more than a billion calls");
    }
    if spec.output_max.is_none() {
        reserve::check(name, group, reserve::half(&output, trace), fleet.config, said);
    }
    all.horizon = all.horizon.max(horizon);
    all.spikes.extend(spike);
    all.demands.push(Demand {
        name: fleet.config.group(group).name.clone(),
        group,
        arrivals,
        input,
        output,
        output_max: spec.output_max.as_ref().map(|most| most.value),
        stream: spec.stream.unwrap_or(Ratio::ONE),
        tags: wishes.0,
        region: wishes.1,
        priority: priority(spec, fleet.config, said),
        conversations: spec.conversations.unwrap_or(0),
        repeats: spec.repeats.as_ref().map(|repeats| repeats.value),
        client,
        patience: spec.patience.as_ref().map(|patience| patience.value),
        subjects,
        properties,
    });
}

/// The tags and the region that requests ask for, by number. Names that no deployment has are
/// mistakes: nobody could serve such a request.
fn wishes(spec: &DemandSpec, config: &Config, said: &mut Said) -> (u64, u16) {
    let mut unknown = |what: &str, written: &Spanned<String>, known: &[String]| {
        let message = format!("no deployment here has the {what} `{}`", written.value);
        let hint = did_you_mean(&written.value, known.iter().map(String::as_str));
        said.wrong_because(&written.at, message, hint);
    };
    let mut tags = 0;
    for tag in &spec.tags {
        match config.tag(&tag.value) {
            Some(bit) => tags |= bit,
            None => unknown("tag", tag, config.tags()),
        }
    }
    let region = spec.region.as_ref().map_or(0, |region| {
        config.region(&region.value).unwrap_or_else(|| {
            unknown("region", region, config.regions());
            0
        })
    });
    (tags, region)
}

/// The class of requests, by number; the most urgent unless said.
fn priority(spec: &DemandSpec, config: &Config, said: &mut Said) -> u8 {
    let Some(written) = &spec.priority else { return 0 };
    config.priority(&written.value).unwrap_or_else(|| {
        let known = &config.router().priorities;
        let message = format!("`router.priorities` has no `{}`", written.value);
        let hint = did_you_mean(&written.value, known.iter().map(String::as_str));
        said.wrong_because(&written.at, message, hint);
        0
    })
}

/// Warns if no member of the group has what requests ask for.
fn warn_of_nobody(
    name: &Spanned<String>,
    group: GroupId,
    (tags, region): (u64, u16),
    config: &Config,
    said: &mut Said,
) {
    let group = config.group(group);
    let tagged = group.tagged(tags);
    let members = group.members.iter().enumerate();
    let mut fitting =
        members.filter(|(at, m)| tagged & 1 << at != 0 && (region == 0 || m.region == region));
    if fitting.next().is_none() {
        let (count, group) = (group.members.len(), &group.name);
        said.warn(format!(
            "demand `{}`: none of the {count} members of `{group}` has its tags and its region",
            name.value
        ));
    }
}

/// The group that is nearly called `name`.
fn near<'c>(name: &str, config: &'c Config) -> Option<&'c str> {
    let groups = config.groups().iter();
    let names = groups.flat_map(|group| [&group.name].into_iter().chain(&group.aliases));
    nearest(name, names.map(String::as_str))
}

/// When the last call comes, and when a spike begins and is over.
type Written = (Arrivals, Time, Option<(Time, Time)>);

fn arrivals(name: &Spanned<String>, spec: &DemandSpec, said: &mut Said) -> Option<Written> {
    let normal = &spec.normal;
    if let Some(twin) = &normal.arrivals {
        return twin_arrivals(twin, spec, said);
    }
    let (Some(rate), Some(lasts)) = (&normal.rate, &normal.lasts) else {
        let message = "`normal` needs a `rate` and how long it `lasts`".to_owned();
        let hint = Some("normal = { rate = \"8/s\", lasts = \"1 h\" }".to_owned());
        said.lacks(&name.at, Mistake { at: name.at.clone(), message, hint });
        return None;
    };
    let before = said.mistakes.len();
    if calls(spec) > CALLS_MAX {
        said.wrong(&lasts.at, "this makes more than a billion calls");
    }
    let process = normal.process.as_ref().map_or(Process::Poisson, |process| process.value);
    if let Some(spike) = &spec.spike {
        check_spike(spike, rate.value, lasts.value, said);
        if process == Process::Constant {
            said.wrong(&spike.at.at, "a spike needs `process = \"poisson\"`");
        }
    }
    if said.mistakes.len() > before {
        return None;
    }
    let end = Time::ZERO + lasts.value;
    match process {
        Process::Constant => {
            let gap = Span::from_nanos((1e9 / rate.value) as u64);
            let count = lasts.value.as_nanos() / gap.as_nanos().max(1);
            Some((Arrivals::Constant { gap, count }, end, None))
        }
        Process::Poisson => {
            let (segments, stretch) = segments(rate.value, lasts.value, spec.spike.as_ref());
            Some((Arrivals::Poisson(segments), end, stretch))
        }
    }
}

/// The most calls that a demand may make, about; none counted of a twin.
fn calls(spec: &DemandSpec) -> f64 {
    let (Some(rate), Some(lasts)) = (&spec.normal.rate, &spec.normal.lasts) else { return 0.0 };
    let peak = spec.spike.as_ref().map_or(rate.value, |spike| spike.peak.value);
    peak * lasts.value.as_nanos() as f64 / 1e9
}

fn twin_arrivals(twin: &Spanned<String>, spec: &DemandSpec, said: &mut Said) -> Option<Written> {
    let normal = &spec.normal;
    if let Some(spike) = &spec.spike {
        said.wrong(&spike.at.at, "a twin of a trace has its own course, without a spike");
    }
    let named = [normal.rate.as_ref().map(|rate| &rate.at), normal.lasts.as_ref().map(|l| &l.at)];
    for at in named.into_iter().flatten() {
        said.wrong(at, "a twin of a trace brings its own `rate` and how long it `lasts`");
    }
    if let Some(process) = normal.process.as_ref().filter(|p| p.value == Process::Constant) {
        said.wrong(&process.at, "a twin of a trace is a Poisson process");
    }
    if twin.value != AZURE {
        let message = format!("there is no twin `{}`", twin.value);
        said.wrong_because(&twin.at, message, format!("known: `{AZURE}`"));
        return None;
    }
    let segments = sim::azure_conversation();
    let lasts = segments.iter().fold(Span::ZERO, |all, segment| all + segment.lasts);
    Some((Arrivals::Poisson(segments), Time::ZERO + lasts, None))
}

fn check_spike(spike: &SpikeSpec, rate: f64, lasts: Span, said: &mut Said) {
    if spike.peak.value <= rate {
        said.wrong(&spike.peak.at, "a peak is above the normal rate");
    }
    let over = spike.at.value + spike.rise.value + spike.hold.value;
    if over > lasts {
        let message = "the spike has not passed its peak when the demand ends";
        said.wrong_because(&spike.at.at, message, "let `normal` last longer");
    }
}

/// The course of a rate, and the stretch that counts as spike.
fn segments(
    rate: f64,
    lasts: Span,
    spike: Option<&SpikeSpec>,
) -> (Vec<Segment>, Option<(Time, Time)>) {
    let Some(spike) = spike else {
        return (vec![Segment { lasts, shape: Shape::Flat(rate) }], None);
    };
    let (peak, half_life) = (spike.peak.value, spike.half_life.value);
    let at = Time::ZERO + spike.at.value;
    let decay = at + spike.rise.value + spike.hold.value;
    let rest = (Time::ZERO + lasts).since(decay);
    let mut course = vec![
        Segment { lasts: spike.at.value, shape: Shape::Flat(rate) },
        Segment { lasts: spike.rise.value, shape: Shape::Ramp { from: rate, to: peak } },
        Segment { lasts: spike.hold.value, shape: Shape::Flat(peak) },
        Segment { lasts: rest, shape: Shape::Decay { from: peak, floor: rate, half_life } },
    ];
    course.retain(|segment| !segment.lasts.is_zero());
    (course, Some((at, decay + half_life * SPIKE_HALF_LIVES)))
}

fn lengths(normal: &NormalSpec, said: &mut Said) -> (Lengths, Lengths) {
    let azure = || (sim::azure_conversation_input(), sim::azure_conversation_output());
    match &normal.tokens {
        None => azure(),
        Some(TokensSpec::Table(name)) => {
            if name.value != AZURE {
                let message = format!("there is no table of token lengths `{}`", name.value);
                said.wrong_because(&name.at, message, format!("known: `{AZURE}`"));
            }
            azure()
        }
        Some(TokensSpec::Lengths { input, output }) => (length(input, said), length(output, said)),
    }
}

fn length(written: &Spanned<LengthSpec>, said: &mut Said) -> Lengths {
    match &written.value {
        LengthSpec::Fixed(count) => Lengths::Fixed(*count),
        LengthSpec::LogNormal { median, sigma, max } => {
            if median.value > *max {
                let message = format!("the median is more than `max`, which is {max}");
                said.wrong(&median.at, message);
            }
            Lengths::LogNormal { median: f64::from(median.value), sigma: *sigma, max: *max }
        }
        LengthSpec::Quantiles(points) => {
            quantiles(points, &written.at, said);
            Lengths::Quantiles(points.iter().map(|point| point.value).collect())
        }
    }
}

/// Equally spaced quantiles, least to greatest.
fn quantiles(points: &[Spanned<u32>], at: &Range<usize>, said: &mut Said) {
    const MOST: usize = 21;
    let hint = "write 2 to 21 numbers, least to greatest: the quantiles at equal distances";
    if points.len() < 2 {
        let message = format!("a list of {} is no distribution", points.len());
        said.wrong_because(at, message, hint);
    }
    if let Some(point) = points.get(MOST) {
        let message = format!("this list has {} numbers; at most {MOST} are allowed", points.len());
        said.wrong_because(&point.at, message, hint);
    }
    if let Some(pair) = points.windows(2).find(|pair| pair[0].value > pair[1].value) {
        let message = format!("{} is less than {} before it", pair[1].value, pair[0].value);
        said.wrong_because(&pair[1].at, message, hint);
    }
}

fn client(written: Option<&ClientSpec>, said: &mut Said) -> Client {
    match written {
        None => Client::ONCE,
        Some(ClientSpec::Named(name)) => match name.value.as_str() {
            "openai-python" => Client::openai_python(),
            "once" => Client::ONCE,
            other => {
                let message = format!("there is no client `{other}`");
                said.wrong_because(&name.at, message, "known: `openai-python`, `once`, or a table");
                Client::ONCE
            }
        },
        Some(ClientSpec::Custom {
            tries,
            backoff,
            backoff_max,
            jitter_from,
            retry_after_max,
            timeout,
        }) => {
            let usual = Client::openai_python();
            Client {
                tries_max: tries.as_ref().map_or(usual.tries_max, |tries| tries.value),
                backoff: backoff.unwrap_or(usual.backoff),
                backoff_max: backoff_max.unwrap_or(usual.backoff_max),
                jitter_from: jitter_from.as_ref().map_or(usual.jitter_from, |from| from.value),
                retry_after_max: retry_after_max.unwrap_or(usual.retry_after_max),
                timeout: timeout.as_ref().map_or(usual.timeout, |timeout| timeout.value),
            }
        }
    }
}
