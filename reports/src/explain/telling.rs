//! A story as a page of text: what came of the call, how, and where its time and money went.

use router_core::{Abandon, Call, CallEnd, Config, DeploymentId, RequestId, Span, Time, Wait};

use super::say;
use super::story::{Line, Story};
use super::sums::{self, Measure, Part, Row};
use super::trail::{Death, Toll, Trail};
use crate::Frame;
use crate::page::{Ink, Page};
use crate::words::{count, dollars};

/// Where the text of an event begins.
const EVENTS: usize = 22;

/// What else is known of a run that an explanation names.
#[derive(Clone, Copy, Debug)]
pub struct Setting<'a> {
    /// What is run: `viral-spike, router starter, seed 7`.
    pub run: &'a str,
    /// What the run is looked at through.
    pub frame: &'a Frame,
    /// What the numbers of a request's properties stand for: each property's name and labels.
    pub properties: &'a [(String, Vec<String>)],
    /// What people type to have something of this run explained, without the something.
    pub command: &'a str,
}

impl Story {
    /// The story, once the run is over; none if there is no such call.
    pub fn text(&self, setting: &Setting<'_>, colour: bool) -> Option<String> {
        if let Some(call) = &self.shared {
            return Some(shared(call, setting, colour));
        }
        let request = self.request()?;
        let mut page = Page::new(colour);
        let first = self.lines.first().map_or(Time::ZERO, |line| line.at);
        let title = match &self.over {
            Some((call, _)) => format!("{}: {}", self.subject(), ended(call)),
            None => format!("{}: still under way when the run was stopped", self.subject()),
        };
        let when = format!("asked {}{}", say::clock(first), during(setting.frame, first));
        let labels = labels(request.properties, setting.properties);
        page.head(&title, &format!("{when}{labels}"), setting.run);
        page.line(Ink::Dim, &format!("{:>9} {:>10}", "run clock", "since then"));
        let mut before = None;
        for line in &self.lines {
            event(&mut page, first, line, before);
            before = Some(line.at);
        }
        let accounts = self.accounts(request, setting.frame);
        if !accounts.is_empty() {
            page.gap();
            accounts.iter().for_each(|text| page.item((Ink::Plain, ""), 0, text));
        }
        if let Some((call, trail)) = &self.over {
            page.gap();
            spent(&mut page, self.config(), call, trail);
            paid(&mut page, self.config(), trail);
        }
        Some(page.finish())
    }

    /// The calls there are, for people who asked for one that there is not.
    pub fn range(&self) -> String {
        let each = self.latest.iter().enumerate().filter(|(_, latest)| **latest > 0);
        let each: Vec<String> = each
            .map(|(source, latest)| {
                let id = |sequence| RequestId::new(source as u16, sequence, 0);
                format!("{} to {}", id(1), id(*latest))
            })
            .collect();
        super::story::listed(&each, "and")
    }
}

/// A call of which the router never heard.
fn shared(call: &Call, setting: &Setting<'_>, colour: bool) -> String {
    let mut page = Page::new(colour);
    let when = format!("asked {}{}", say::clock(call.arrived), during(setting.frame, call.arrived));
    let labels = labels(call.properties, setting.properties);
    page.head(&format!("{}: {}", call.id, ended(call)), &format!("{when}{labels}"), setting.run);
    let waited = say::span(call.ended.since(call.arrived));
    let identical = "an identical call under way (`cache.single_flight`)";
    let text = match call.end {
        CallEnd::Answered(_)
        | CallEnd::Degraded(_)
        | CallEnd::Cached { .. }
        | CallEnd::Static
        | CallEnd::Partial(_) => {
            format!(
                "the router never saw it: for {waited} it waited for {identical}, and shared \
                     what that got"
            )
        }
        CallEnd::Failed(_) | CallEnd::Left => {
            format!(
                "the router never saw it: it waited for {identical} that came to this, or the \
                     application lost it"
            )
        }
    };
    page.item((Ink::Plain, ""), 0, &text);
    page.finish()
}

fn event(page: &mut Page, first: Time, line: &Line, before: Option<Time>) {
    let label = if before == Some(line.at) {
        String::new()
    } else {
        let since = say::millis(line.at.since(first));
        let since = format!("+{}.{:03} s", since / 1_000, since % 1_000);
        format!("{:>9} {since:>10}", say::clock(line.at))
    };
    let indent = EVENTS + 2 * line.depth;
    page.item((Ink::Dim, &label), indent, &line.text);
}

/// How a call ended, and when.
fn ended(call: &Call) -> String {
    let took = say::span(call.ended.since(call.arrived));
    let first = call.first_token.map(|at| say::span(at.since(call.arrived)));
    let first = first.map_or_else(
        || ", without a token".to_owned(),
        |first| format!(", the first token after {first}"),
    );
    match call.end {
        CallEnd::Answered(_) => format!("answered in {took}{first}"),
        CallEnd::Degraded(_) => format!("answered by a smaller group in {took}{first}"),
        CallEnd::Cached { stale: false } => format!("answered from the cache after {took}"),
        CallEnd::Cached { stale: true } => format!("answered from the cache, stale, after {took}"),
        CallEnd::Static => format!("answered with the static text after {took}"),
        CallEnd::Partial(_) => format!("answered in part, in {took}{first}"),
        CallEnd::Failed(status) => format!("failed with {status} after {took}{first}"),
        CallEnd::Left => format!("its user left after {took}{first}"),
    }
}

/// The phases that an instant is in.
fn during(frame: &Frame, at: Time) -> String {
    let holds =
        |pieces: &[(Time, Time)]| pieces.iter().any(|(from, until)| *from <= at && at < *until);
    let phases = frame.phases.iter().filter(|phase| holds(&phase.pieces));
    let phases: Vec<String> = phases.map(|phase| format!("`{}`", phase.name)).collect();
    if phases.is_empty() {
        " into the run".to_owned()
    } else {
        format!(" into the run, during {}", super::story::listed(&phases, "and"))
    }
}

fn labels(labels: [u16; 4], known: &[(String, Vec<String>)]) -> String {
    let named = labels.into_iter().zip(known).filter_map(|(label, (name, labels))| {
        let label = labels.get(usize::from(label).checked_sub(1)?)?;
        Some(format!("{name} {label}"))
    });
    let named: Vec<String> = named.collect();
    if named.is_empty() { String::new() } else { format!("; {}", named.join(", ")) }
}

/// Where its time went: a table that adds up.
fn spent(page: &mut Page, config: &Config, call: &Call, trail: &Trail) {
    let all = call.ended.since(call.arrived);
    if all.is_zero() {
        return;
    }
    let mut rows: Vec<(String, Span)> = Vec::new();
    let mut tolls = trail.tolls(call.arrived, call.ended);
    tolls.reverse();
    for (toll, span) in tolls {
        let name = toll_name(config, toll);
        match rows.iter_mut().find(|(known, _)| *known == name) {
            Some((_, sum)) => *sum = *sum + span,
            None => rows.push((name, span)),
        }
    }
    let row = |(name, span): (String, Span)| Row {
        name,
        remark: String::new(),
        part: Part::Of(span.as_nanos().into()),
    };
    let rows: Vec<Row> = rows.into_iter().map(row).collect();
    sums::table(page, "where its time went", &rows, Measure::seconds(1), "together");
}

/// What it cost, if anything, and how much of that brought no answer.
fn paid(page: &mut Page, config: &Config, trail: &Trail) {
    let price = |id: DeploymentId| config.deployment(id).price;
    let each = trail
        .charges()
        .map(|(leg, usage)| (leg.death().is_some(), price(leg.deployment).of(usage)));
    let (mut all, mut wasted) = (0_u128, 0_u128);
    let mut attempts = 0;
    for (died, pico) in each {
        all += u128::from(pico);
        wasted += if died { u128::from(pico) } else { 0 };
        attempts += 1;
    }
    if all > 0 {
        let lost = if wasted == all {
            ", none of which answered".to_owned()
        } else if wasted > 0 {
            format!(", {} of it for attempts that did not answer", dollars(wasted))
        } else {
            String::new()
        };
        let what = if attempts == 1 { "attempt" } else { "attempts" };
        page.line(
            Ink::Plain,
            &format!("cost {} for {} {what}{lost}", dollars(all), count(attempts)),
        );
    }
}

/// What a piece of time went into.
pub(super) fn toll_name(config: &Config, toll: Toll) -> String {
    let name = |id: DeploymentId| config.deployment(id).name.as_str();
    match toll {
        Toll::Dead(death, id) => format!("{} on {}", dead(death), name(id)),
        Toll::Waited(why, kind, id) => {
            let (what, kind) = (waited(why), say::a(kind));
            format!("{what} after {kind} on {}", name(id))
        }
        Toll::Queue => "the queue".to_owned(),
        Toll::Client => "the client's own wait before it tried again".to_owned(),
        Toll::Connecting(id) => format!("connecting to {}", name(id)),
        Toll::FirstToken(id) => format!("{} up to its first token", name(id)),
        Toll::Streaming(id) => format!("{} writing the answer", name(id)),
        Toll::Own => "the router itself".to_owned(),
    }
}

/// What a wait was for.
pub(super) const fn waited(why: Wait) -> &'static str {
    match why {
        Wait::Backoff => "backoff",
        Wait::RetryAfter => "Retry-After",
        Wait::Eligible => "waiting for somebody",
    }
}

/// What people call an attempt that did not answer.
pub(super) fn dead(death: Death) -> String {
    match death {
        Death::Failed(kind) => say::a(kind),
        Death::Cut => "an attempt cut by a restart of the router".to_owned(),
        Death::Dropped(Abandon::Hedged) | Death::Outrun => "an outrun attempt".to_owned(),
        Death::Dropped(Abandon::Cancel) => "an attempt whose client left".to_owned(),
        Death::Dropped(Abandon::Deadline) => "an attempt cut by the deadline".to_owned(),
        Death::Dropped(why) => format!("an attempt dropped as {}", say::dropped(why)),
    }
}
