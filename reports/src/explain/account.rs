//! A breakdown as a page of text: what the metric is, where it went, the commonest ways.

use router_core::{Config, DeploymentId};

use super::breakdown::{Breakdown, Ending, Found, Gather, Spent, Sums, Tail, beyond};
use super::say;
use super::sums::{self, Measure, Part, Row};
use super::telling::{Setting, dead, toll_name};
use super::trail::{Death, Toll, Verdict, Why};
use crate::expect::Stat;
use crate::page::{Ink, Page};
use crate::words::{count, seconds};
use crate::{Figures, blame};

/// The most rows of a part of a table, and the most ways.
const ROWS: usize = 8;
const WAYS: usize = 3;

/// What the time of calls goes into. There is always a row for each: that a part is nothing is
/// an answer too.
const PARTS: [&str; 6] = [
    "attempts that did not answer",
    "the router waiting before another",
    "clients waiting to try again",
    "the provider that answered",
    "the queue",
    "the router itself",
];

const fn part_of(toll: Toll) -> &'static str {
    match toll {
        Toll::Dead(..) => PARTS[0],
        Toll::Waited(..) => PARTS[1],
        Toll::Client => PARTS[2],
        Toll::Connecting(_) | Toll::FirstToken(_) | Toll::Streaming(_) => PARTS[3],
        Toll::Queue => PARTS[4],
        Toll::Own => PARTS[5],
    }
}

impl Breakdown {
    /// Where the metric went, once the run is over and `figures` are its figures.
    pub fn text(&self, figures: &Figures, setting: &Setting<'_>, colour: bool) -> String {
        let mut page = Page::new(colour);
        let value = self.metric.told(&self.of, figures);
        page.head(&format!("{}{}{value}", self.metric, self.of), "", setting.run);
        let (found, tail) = self.settled();
        match self.gather {
            Gather::First(stat) | Gather::Whole(stat) => {
                self.times(&mut page, stat, (&found, &tail), setting);
            }
            Gather::Failures => self.failures(&mut page, &found, setting),
            Gather::Attempts => self.by_cause(&mut page, &found),
            Gather::Costs => self.costs(&mut page, &found),
            Gather::Nothing => self.counted(&mut page, figures, setting),
        }
        page.finish()
    }

    /// What is counted, in words.
    const fn samples(&self) -> &'static str {
        if self.deployment.is_some() { "attempts" } else { "calls" }
    }

    fn times(
        &self,
        page: &mut Page,
        stat: Stat,
        (found, tail): (&Found, &Tail),
        setting: &Setting<'_>,
    ) {
        let (samples, n) = (self.samples(), beyond(stat, tail.count));
        if n == 0 {
            page.line(Ink::Plain, &format!("none of the {samples} count"));
            return;
        }
        let span = |ns: u128| seconds(ns as f64 / 1e9);
        let mean = span(tail.sum / u128::from(n));
        let had = if let Gather::First(_) = self.gather {
            "had a first token"
        } else {
            "were answered in full"
        };
        let all = format!("{} {samples} {had}", count(tail.count));
        let range = format!("from {} to {}", say::span(tail.least), say::span(tail.greatest));
        let text = match stat {
            Stat::Quantile(_) => {
                format!("{all}; the {} slowest took {range}, {mean} on average", count(n))
            }
            Stat::Mean => format!("{all}; they took {range}"),
            Stat::Max => format!("{all}; this is the slowest"),
        };
        page.item((Ink::Plain, ""), 0, &text);
        page.gap();
        let rows = self.rows(&found.times, n);
        let whose =
            if n == 1 { String::new() } else { format!(", on average over these {}", count(n)) };
        let heading = format!("where their time went{whose}");
        sums::table(page, &heading, &rows, Measure::seconds(n), "together");
        if self.deployment.is_none() {
            self.ways(page, found, setting);
        }
    }

    /// The rows of a table of times, by what they are lost to and then by where.
    fn rows(&self, times: &Sums<Toll>, n: u64) -> Vec<Row> {
        let parts: &[&str] = if self.deployment.is_some() { &PARTS[3..4] } else { &PARTS };
        let mut rows = Vec::new();
        for name in parts {
            rows.push(Row { name: (*name).to_owned(), remark: String::new(), part: Part::Sum });
            let own = times.iter().filter(|(toll, _)| part_of(**toll) == *name);
            let own = own.map(|(toll, sum)| (toll_name(&self.config, *toll), *sum));
            let of = |calls| match n {
                1 => String::new(),
                _ => format!("in {} of them", count(calls)),
            };
            rows.extend(largest(own.collect(), of));
        }
        rows
    }

    fn failures(&self, page: &mut Page, found: &Found, setting: &Setting<'_>) {
        let (samples, all) = (self.samples(), found.all);
        let failed = all - found.answered;
        let how = match failed {
            0 => "each with a whole answer".to_owned(),
            n => format!("and {} of them without a whole answer", count(n)),
        };
        page.item((Ink::Plain, ""), 0, &format!("{} {samples} ended, {how}", count(all)));
        if found.ends.is_empty() {
            return;
        }
        page.gap();
        let own = found.ends.iter();
        let own = own.map(|(end, sum)| (ending_name(&self.config, *end), *sum));
        let rows = largest(own.collect(), |_| String::new());
        let measure = Measure { grain: 1, decimals: 0, before: "", after: "" };
        sums::table(page, "how they ended", &rows, measure, "together");
        if self.deployment.is_none() {
            self.ways(page, found, setting);
        }
    }

    fn by_cause(&self, page: &mut Page, found: &Found) {
        let dispatched: u128 = found.whys.values().map(|(n, _)| n).sum();
        let dispatched = count(u64::try_from(dispatched).unwrap_or(u64::MAX));
        page.item(
            (Ink::Plain, ""),
            0,
            &format!("{} calls ended, after {dispatched} attempts", count(found.all)),
        );
        if found.all == 0 {
            return;
        }
        page.gap();
        let own = found.whys.iter().map(|(why, (n, _))| {
            (why_name(&self.config, *why), (*n * 10_000, u64::try_from(*n).unwrap_or(u64::MAX)))
        });
        let rows = largest(own.collect(), count);
        let grain = u128::from(found.all);
        let measure = Measure { grain, decimals: 4, before: "", after: "" };
        sums::table(page, "attempts per call, by what led to them", &rows, measure, "together");
    }

    fn costs(&self, page: &mut Page, found: &Found) {
        let (samples, n) = (self.samples(), found.answered);
        page.item((Ink::Plain, ""), 0, &format!("{} {samples} were answered", count(n)));
        if n == 0 || found.costs.is_empty() {
            return;
        }
        page.gap();
        let mut rows = Vec::new();
        for name in ["answers", "attempts that failed", "attempts that were dropped"] {
            rows.push(Row { name: name.to_owned(), remark: String::new(), part: Part::Sum });
            let belongs = |spent| match spent {
                Spent::Answers => name == "answers",
                Spent::Failed(_) => name == "attempts that failed",
                Spent::Hedged | Spent::Dropped => name == "attempts that were dropped",
            };
            let own = found.costs.iter().filter(|((spent, _), _)| belongs(*spent));
            let own = own.map(|((spent, id), (pico, calls))| {
                (spent_name(&self.config, *spent, *id), (*pico * 1_000, *calls))
            });
            rows.extend(largest(own.collect(), plural));
        }
        let all: u128 = found.costs.values().map(|(pico, _)| pico * 1_000).sum();
        // From cents on, four decimals are enough.
        let decimals = if all / u128::from(n) < 10_000_000_000 { 6 } else { 4 };
        let grain = u128::from(n) * 10_u128.pow(12 - decimals);
        let measure = Measure { grain, decimals: decimals as usize, before: "$", after: "" };
        let heading = format!("per 1,000 answered {samples}");
        sums::table(page, &heading, &rows, measure, "together");
    }

    /// The commonest ways that calls went, each with one to look at.
    fn ways(&self, page: &mut Page, found: &Found, setting: &Setting<'_>) {
        let won = if let Gather::First(_) = self.gather {
            "has its first token in"
        } else {
            "answers in"
        };
        page.gap();
        page.line(Ink::Bold, "the commonest ways there, and a call that went each");
        for (share, text) in found.chains.told(&self.config, (WAYS, won), setting.command) {
            for (i, line) in text.lines().enumerate() {
                let label = if i == 0 { format!("{share:>8}") } else { String::new() };
                page.item((Ink::Plain, &label), 10, line);
            }
        }
        let (ways, calls) = found.chains.others(WAYS);
        if ways > 0 {
            let what = if ways == 1 { "way" } else { "ways" };
            page.line(
                Ink::Dim,
                &format!("          {} went {} other {what}", count(calls), count(ways as u64)),
            );
        }
    }
}

pub(super) fn plural(attempts: u64) -> String {
    format!("{} attempt{}", count(attempts), if attempts == 1 { "" } else { "s" })
}

/// The largest parts as rows; what is left over makes one row.
pub(super) fn largest(
    mut parts: Vec<(String, (u128, u64))>,
    remark: impl Fn(u64) -> String,
) -> Vec<Row> {
    parts.sort_by_key(|(_, (sum, _))| std::cmp::Reverse(*sum));
    let rest = if parts.len() > ROWS { parts.split_off(ROWS - 1) } else { Vec::new() };
    let row = |(name, (sum, calls)): (String, (u128, u64))| Row {
        name,
        remark: remark(calls),
        part: Part::Of(sum),
    };
    let mut rows: Vec<Row> = parts.into_iter().map(row).collect();
    if !rest.is_empty() {
        let sum = rest.iter().map(|(_, (sum, _))| sum).sum();
        let name = format!("{} smaller parts", rest.len());
        rows.push(Row { name, remark: String::new(), part: Part::Of(sum) });
    }
    rows
}

pub(super) fn ending_name(config: &Config, ending: Ending) -> String {
    let on = |id: DeploymentId| config.deployment(id).name.as_str();
    let verdict = |verdict: Option<Verdict>| match verdict {
        None => String::new(),
        Some(Verdict::Cut) => ", then cut by a restart of the router".to_owned(),
        Some(Verdict::GaveUp(why)) => format!(": {}", say::gave_up_briefly(why)),
        Some(Verdict::Rejected) => ", then rejected: nobody could take it".to_owned(),
        Some(Verdict::Expired) => ", then its deadline passed".to_owned(),
        Some(Verdict::Cancelled) => ", then its client stopped waiting".to_owned(),
    };
    match ending {
        Ending::After(Some((Death::Cut, id)), Some(Verdict::Cut)) => {
            format!("{} on {}", dead(Death::Cut), on(id))
        }
        Ending::After(Some((death, id)), said) => {
            let what = dead(death);
            format!("{what} on {}{}", on(id), verdict(said))
        }
        Ending::After(None, Some(Verdict::Rejected)) => "rejected: nobody could take it".to_owned(),
        Ending::After(None, Some(Verdict::Expired)) => "its deadline passed".to_owned(),
        Ending::After(None, Some(Verdict::Cut)) => {
            "no attempt, cut by a restart of the router".to_owned()
        }
        Ending::After(None, said) => format!("no attempt{}", verdict(said)),
        Ending::Partial => "cut by the total timeout, what came was kept".to_owned(),
        Ending::Left => "its user left".to_owned(),
    }
}

fn why_name(config: &Config, why: Why) -> String {
    let after = |before: Option<(router_core::FailureKind, DeploymentId)>| match before {
        Some((kind, id)) => {
            format!(" after {} on {}", say::a(kind), config.deployment(id).name)
        }
        None => ", nobody of the own group being there".to_owned(),
    };
    match why {
        Why::First => "first attempts".to_owned(),
        Why::ClientTry => "first attempts of clients' further tries".to_owned(),
        Why::Hedge => "hedges".to_owned(),
        Why::Retry(before) => format!("retries{}", after(before)),
        Why::Fallback(before) => format!("fallbacks{}", after(before)),
    }
}

fn spent_name(config: &Config, spent: Spent, id: DeploymentId) -> String {
    let name = config.deployment(id).name.as_str();
    match spent {
        Spent::Answers => name.to_owned(),
        Spent::Failed(kind) => format!("{} on {name}", blame::several(kind)),
        Spent::Hedged => format!("outrun attempts on {name}"),
        Spent::Dropped => format!("attempts on {name} whose client left, or too late"),
    }
}
