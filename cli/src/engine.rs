//! Running a world: the router, and everybody who watches it.

use std::sync::Arc;

use reports::{CallLog, Figures, Fold};
use router_core::{
    Auditor, Config, Digest, Driver, Input, Journal, Output, Recorder, Restart, Seed, Span, Time,
    Violation,
};
use sim::{Plan, Replicas, World};

use crate::exit::{Exit, Stop};
use crate::prepare::Prepared;

/// How closely a run is watched.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Watch {
    /// Keep the timed inputs and outputs of this stretch, and fly no further than it.
    pub(crate) record: Option<Stretch>,
    /// Keep calls one by one.
    pub(crate) calls: bool,
    /// Stop when so many calls have arrived.
    pub(crate) first: Option<u64>,
}

/// A stretch of virtual time, both ends within.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Stretch {
    from: Time,
    until: Time,
}

impl Stretch {
    /// From the first event to the last.
    pub(crate) const WHOLE: Self = Self { from: Time::ZERO, until: Time::MAX };

    /// Ten seconds to either side: long enough for a cooldown to begin or a first token to come.
    pub(crate) fn around(at: Time) -> Self {
        let margin = Span::from_secs(10);
        Self { from: at - margin, until: at + margin }
    }

    fn holds(self, at: Time) -> bool {
        (self.from..=self.until).contains(&at)
    }
}

/// What came of a run.
pub(crate) struct Flown {
    pub(crate) figures: Figures,
    /// Over every timed input and output.
    pub(crate) digest: u128,
    /// Whether it was stopped before its end.
    pub(crate) partial: bool,
    pub(crate) violations: Vec<Violation>,
    pub(crate) violated: u64,
    /// How often each fault of the plan touched a call.
    pub(crate) fired: Vec<u64>,
    pub(crate) calls: Option<CallLog>,
    pub(crate) record: Option<String>,
}

/// How many events pass between two looks at the clock.
const STRIDE: u64 = 16_384;

type Watchers = (Fold, (Digest, (Option<CallLog>, Option<Window>)));

/// Runs the prepared world once, under `seed`. `progress` hears of virtual time now and then.
///
/// # Errors
/// If more calls are under way at once than a world can hold.
pub(crate) fn fly(
    prepared: &Prepared,
    seed: u64,
    watch: Watch,
    progress: impl FnMut(Time, Time),
) -> Result<Flown, Stop> {
    let config: &Arc<Config> = &prepared.config;
    let window = watch.record.map(|stretch| Window::new(stretch, config));
    let frame = prepared.resolved.frame.clone();
    let fold = Fold::across(Arc::clone(config), &prepared.whole, frame);
    let auditor =
        |seed, config: &Arc<Config>| Auditor::new(Arc::clone(config), Time::ZERO).with_seed(seed);
    let calls = watch.calls.then(|| CallLog::new(Seed::from_u64(seed)));
    let watchers: Watchers = (fold, (Digest::new(), (calls, window)));
    let until = watch.record.map_or(Time::MAX, |stretch| stretch.until);
    let world = drive(prepared, seed, (watchers, auditor), (watch.first, until), progress)?;
    let end = world.now();
    let application = prepared.resolved.application(world.app());
    let cache = prepared.resolved.cache(world.cache());
    let routers = world.driver().brain();
    let replicas = prepared.resolved.replicas(routers, &prepared.whole);
    // What a fault of the store touches are no calls, but messages.
    let lost = routers.log().map(|log| log.fired).unwrap_or_default();
    let lost = lost.into_iter().chain(std::iter::repeat(0));
    let fired = world.fired().into_iter().zip(lost).map(|(calls, lost)| calls + lost).collect();
    let mut auditors: Vec<Auditor> = routers.watchers().cloned().collect();
    let (fold, (digest, (calls, window))) = world.into_driver().into_journal();
    if watch.first.is_none() {
        auditors.iter_mut().for_each(Auditor::at_rest);
    }
    Ok(Flown {
        figures: Figures { application, replicas, cache, ..fold.finish(end) },
        digest: digest.value(),
        partial: watch.first.is_some(),
        violations: auditors.iter().flat_map(|auditor| auditor.violations().to_vec()).collect(),
        violated: auditors.iter().map(Auditor::total).sum(),
        fired,
        calls,
        record: window.map(Window::finish),
    })
}

/// What came of a run that somebody listened to.
pub(crate) struct Heard<J> {
    pub(crate) figures: Figures,
    pub(crate) digest: u128,
    pub(crate) journal: J,
}

/// Runs the same as [`fly`] does, told to `journal`.
///
/// # Errors
/// As for [`fly`].
pub(crate) fn listen<J: Journal>(
    prepared: &Prepared,
    seed: u64,
    first: Option<u64>,
    journal: J,
    progress: impl FnMut(Time, Time),
) -> Result<Heard<J>, Stop> {
    let frame = prepared.resolved.frame.clone();
    let fold = Fold::across(Arc::clone(&prepared.config), &prepared.whole, frame);
    let watchers = (fold, (Digest::new(), journal));
    let world =
        drive(prepared, seed, (watchers, |_, _: &Arc<Config>| ()), (first, Time::MAX), progress)?;
    let end = world.now();
    let application = prepared.resolved.application(world.app());
    let cache = prepared.resolved.cache(world.cache());
    let replicas = prepared.resolved.replicas(world.driver().brain(), &prepared.whole);
    let (fold, (digest, journal)) = world.into_driver().into_journal();
    let figures = Figures { application, replicas, cache, ..fold.finish(end) };
    Ok(Heard { figures, digest: digest.value(), journal })
}

/// Runs the world to its end, or until so many calls have arrived, or past `until`.
fn drive<J: Journal, W: Journal>(
    prepared: &Prepared,
    seed: u64,
    (journal, watch): (J, impl FnMut(Seed, &Arc<Config>) -> W),
    (first, until): (Option<u64>, Time),
    mut progress: impl FnMut(Time, Time),
) -> Result<World<Replicas<W>, J>, Stop> {
    let plan = Plan { seed: Seed::from_u64(seed), ..prepared.resolved.plan.clone() };
    let routers = Replicas::new(&plan, &prepared.config, seed, watch);
    let mut world = World::new(&plan, Driver::new(routers, journal));
    let enough = first.unwrap_or(u64::MAX);
    // A run that stops at a call stops at that very call.
    let stride = if first.is_some() { 1 } else { STRIDE };
    while world.tally().calls < enough && world.now() <= until && world.step_many(stride) {
        let (now, horizon) = world.progress();
        progress(now, horizon);
        if world.is_crowded() {
            let message = format!(
                "at {now} s there are 16 million calls at once, more than a run can hold\n\
                 hint: a lower rate, or clients and timeouts that wait less"
            );
            return Err(Stop { exit: Exit::Environment, message });
        }
    }
    Ok(world)
}

/// Records one stretch of a run.
struct Window {
    stretch: Stretch,
    recorder: Recorder<String>,
}

impl Window {
    fn new(stretch: Stretch, config: &Config) -> Self {
        Self { stretch, recorder: Recorder::new(String::new(), config, Time::ZERO) }
    }

    fn finish(self) -> String {
        self.recorder.finish().expect("a string takes every line")
    }
}

impl Journal for Window {
    fn restart(&mut self, now: Time, restart: Restart) {
        if self.stretch.holds(now) {
            self.recorder.restart(now, restart);
        }
    }

    fn input(&mut self, now: Time, input: &Input) {
        if self.stretch.holds(now) {
            self.recorder.input(now, input);
        }
    }

    fn output(&mut self, now: Time, output: &Output) {
        if self.stretch.holds(now) {
            self.recorder.output(now, output);
        }
    }
}

/// How a violation came about: the last lines of `record` up to it that speak of its request, or
/// of anything if it is no request's.
pub(crate) fn chain<'r>(record: &'r str, violation: &Violation, most: usize) -> Vec<&'r str> {
    let request = violation.request.map(|request| request.to_string());
    let concerns = |line: &str| {
        request.as_ref().is_none_or(|request| {
            line.split(' ').any(|word| word.split('#').next() == Some(request))
        })
    };
    let in_time = |line: &str| {
        let time = line.split(' ').next().and_then(|word| word.parse::<Time>().ok());
        time.is_some_and(|time| time <= violation.at)
    };
    let lines = record.lines().filter(|line| in_time(line) && concerns(line));
    let mut lines: Vec<&str> = lines.collect();
    lines.drain(..lines.len().saturating_sub(most));
    lines
}

#[cfg(test)]
mod tests {
    use router_core::{GroupId, Invariant, Request, RequestId, fingerprint};

    use super::*;
    use crate::prepare::{Wanted, prepare};

    #[test]
    fn a_window_is_a_piece_of_the_whole_record() {
        let wanted = Wanted { scenario: "rate-limit-storm", ..Wanted::default() };
        let prepared = prepare(&wanted).expect("it is in the library");
        let record = |stretch| {
            let watch = Watch { record: Some(stretch), first: Some(5_000), ..Watch::default() };
            fly(&prepared, 1, watch, |_, _| {}).expect("it fits").record.expect("it was asked for")
        };
        let (whole, window) =
            (record(Stretch::WHOLE), record(Stretch::around(Time::from_secs(60))));
        let header = format!("config {:#018x}\n", fingerprint(&prepared.config));
        let body = window.split_once(&header).expect("it begins as every record does").1;
        let times = body.lines().filter_map(|line| line.split(' ').next()?.parse::<Time>().ok());
        let times: Vec<Time> = times.collect();
        let (first, last) = (times[0], times[times.len() - 1]);
        assert!(first >= Time::from_secs(50) && last <= Time::from_secs(70), "{first} to {last}");
        let events = body.find("\n50.").expect("something happens in that second");
        assert!(whole.contains(&body[events..]));
    }

    #[test]
    fn the_chain_of_a_violation_is_its_requests_last_lines() {
        let wanted = Wanted { scenario: "healthy-baseline", ..Wanted::default() };
        let config = prepare(&wanted).expect("it is in the library").config;
        let mut window = Window::new(Stretch::WHOLE, &config);
        for second in 0..20 {
            for sequence in [1, 17] {
                let id = RequestId::new(0, sequence, 0);
                let request = Request::new(id, GroupId::at(0), second);
                window.input(Time::from_secs(u64::from(second)), &Input::Submit(request));
            }
        }
        let record = window.finish();
        let request = Some(RequestId::new(0, 1, 0));
        let at = Time::from_secs(15);
        let detail = String::new();
        let violation = Violation { invariant: Invariant::Conservation, at, request, detail };
        let lines = chain(&record, &violation, 12);
        assert_eq!(lines.len(), 12);
        assert!(lines[0].starts_with("4.000000000 < submit r1 "), "{}", lines[0]);
        assert!(lines[11].starts_with("15.000000000 < submit r1 "), "{}", lines[11]);
        let anyone = Violation { request: None, ..violation };
        assert_eq!(chain(&record, &anyone, 100).len(), 32);
    }
}
