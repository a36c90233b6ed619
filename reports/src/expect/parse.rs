//! Reading an expectation, and saying where it is wrong.

use std::ops::Range;

use router_core::FailureClass;

use super::nearest::nearest;
use super::{
    Dimension, Expectation, Metric, Mistake, Op, Quantity, Selectors, Sent, Shared, Stat, Unit,
    Whose,
};
use crate::Given;

/// Every metric, with the statistics that people mean most.
pub(super) fn metrics() -> Vec<String> {
    let times = |name: &str| ["p50", "p95", "p99", "mean"].map(|stat| format!("{name}.{stat}"));
    let users = [Metric::SuccessRate, Metric::CostPer1k, Metric::Amplification, Metric::Share];
    let mut names: Vec<String> = users.iter().map(Metric::to_string).collect();
    names.splice(1..1, times("ttft").into_iter().chain(times("total")));
    names.push("recovery".to_owned());
    names.extend(times("queue.wait"));
    names.extend(policies().map(|metric| metric.to_string()));
    names
}

/// Those of what the router's policies did.
fn policies() -> impl Iterator<Item = Metric> {
    let hedges = [Metric::HedgesWon, Metric::HedgesCost, Metric::Cached];
    let breakers = [Metric::Openings, Metric::Ejected, Metric::EjectedMax];
    let times = [Metric::PanicTime, Metric::StrandedTime];
    let sent = Sent::ALL.into_iter().map(Metric::Sent);
    let failures = FailureClass::ALL.into_iter().map(Metric::Failures);
    let app = [Metric::AppRestarts, Metric::AppDown];
    let money = [Metric::CostTotal, Metric::CostShare, Metric::CostEstimated, Metric::Refused];
    let shared = Shared::ALL.into_iter().map(Metric::Overshoot);
    let rungs = Given::ALL.into_iter().map(Metric::Rung).chain([Metric::Degraded]);
    let queues = [Metric::Queued, Metric::Shed];
    let policies = sent.chain(money).chain(hedges).chain(breakers).chain(times).chain(failures);
    policies.chain(app).chain(shared).chain(rungs).chain(queues)
}

pub(super) const SELECTORS: [&str; 4] = ["group", "deployment", "during", "class"];

/// No quantity needs more, and in whole billionths it leaves room to compare with.
const QUANTITY_MAX: u64 = 1_000_000;

pub(super) fn expectation(text: &str) -> Result<Expectation, Mistake> {
    let mut reader = Reader { text, at: 0 };
    let (metric, place) = reader.metric()?;
    let of = reader.selectors(&metric, &place)?;
    let op = reader.op()?;
    let bound = reader.quantity(&metric)?;
    let rest = reader.rest();
    if !rest.is_empty() {
        return mistake(rest, "nothing may follow the quantity", None);
    }
    Ok(Expectation { metric, of, op, bound })
}

pub(super) fn metric(text: &str) -> Result<(Metric, Selectors), Mistake> {
    let mut reader = Reader { text, at: 0 };
    let (metric, place) = reader.metric()?;
    let of = reader.selectors(&metric, &place)?;
    let rest = reader.rest();
    if !rest.is_empty() {
        return mistake(rest, "nothing may follow the metric and its selectors", None);
    }
    Ok((metric, of))
}

/// Where the key and the name of the subject or label stand in a text that was read.
pub(super) fn places_of_whose(text: &str) -> Option<[Range<usize>; 2]> {
    let mut reader = Reader { text, at: 0 };
    let (metric, place) = reader.metric().ok()?;
    reader.selectors(&metric, &place).ok()?;
    let mut reader = Reader { text, at: text.find('{')? + 1 };
    loop {
        let (key, at) = reader.name();
        reader.eat("=");
        let (_, name_at) = reader.name();
        if !SELECTORS.contains(&key) {
            return Some([at, name_at]);
        }
        if !reader.eat(",") {
            return None;
        }
    }
}

fn mistake<T>(
    at: Range<usize>,
    message: impl Into<String>,
    hint: Option<String>,
) -> Result<T, Mistake> {
    Err(Mistake { at, message: message.into(), hint })
}

pub(super) fn did_you_mean<'a>(
    wrong: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    nearest(wrong, known).map(|name| format!("did you mean `{name}`?"))
}

pub(super) fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn one_of_metrics() -> String {
    format!("one of {}", listed(metrics().iter().map(String::as_str)))
}

/// `word`, which begins with `head` and a dot, if it has one.
fn unknown_metric<T>(word: &str, head: &str, place: Range<usize>) -> Result<T, Mistake> {
    let known = metrics();
    let akin = || {
        let akin: Vec<&str> = known
            .iter()
            .filter(|name| name.split_once('.').is_some_and(|(start, _)| start == head))
            .map(String::as_str)
            .collect();
        match akin.as_slice() {
            [] => None,
            [one] => Some(format!("did you mean `{one}`?")),
            several => Some(format!("one of {}", listed(several.iter().copied()))),
        }
    };
    let near = did_you_mean(word, known.iter().map(String::as_str));
    let hint = near.or_else(akin).or_else(|| Some(one_of_metrics()));
    mistake(place, format!("no metric is called `{word}`"), hint)
}

const BY_CLASS: &str = "`queue.wait`, `queued.share` and `shed.share`";

/// Why `metric` takes no selector `key`, if it takes none.
fn refused(metric: &Metric, key: &str) -> Option<String> {
    let (deployment, during) = (key == "deployment", key == "during");
    match metric {
        Metric::QueueWait(_) | Metric::Queued | Metric::Shed if deployment => {
            Some(format!("`{metric}` is of requests, which no deployment has taken yet"))
        }
        Metric::QueueWait(_) | Metric::Queued | Metric::Shed => None,
        Metric::Recovery(_) => Some("a recovery is of all calls: it takes no selectors".to_owned()),
        Metric::Refused if deployment => {
            Some(format!("`{metric}` is of tries that reached no deployment"))
        }
        Metric::Amplification | Metric::Rung(_) | Metric::Degraded if deployment => {
            Some(format!("`{metric}` is of calls, which have no deployment"))
        }
        Metric::EjectedMax if deployment => Some(format!("`{metric}` is of a group's members")),
        Metric::PanicTime | Metric::StrandedTime if deployment => {
            Some(format!("`{metric}` is of a group, or of all"))
        }
        Metric::PanicTime | Metric::StrandedTime if during => {
            Some(format!("`{metric}` is of the whole run"))
        }
        _ if key == "class" => Some(format!("`{metric}` is not counted by class; {BY_CLASS} are")),
        Metric::Overshoot(_) => {
            Some(format!("`{metric}` is of all replicas and the whole run: it takes no selectors"))
        }
        Metric::AppRestarts | Metric::AppDown => {
            Some(format!("`{metric}` is of the whole application and run: it takes no selectors"))
        }
        Metric::SuccessRate
        | Metric::Ttft(_)
        | Metric::Total(_)
        | Metric::CostPer1k
        | Metric::Amplification
        | Metric::Share
        | Metric::Sent(_)
        | Metric::HedgesWon
        | Metric::HedgesCost
        | Metric::Cached
        | Metric::Failures(_)
        | Metric::Openings
        | Metric::Ejected
        | Metric::EjectedMax
        | Metric::PanicTime
        | Metric::StrandedTime
        | Metric::Rung(_)
        | Metric::Degraded
        | Metric::CostTotal
        | Metric::CostShare
        | Metric::CostEstimated
        | Metric::Refused => None,
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn skip_space(&mut self) {
        self.at = self.text.len() - self.text[self.at..].trim_start().len();
    }

    /// What is left, without the space round it.
    fn rest(&mut self) -> Range<usize> {
        self.skip_space();
        self.at..self.at + self.text[self.at..].trim_end().len()
    }

    /// Whether `mark` comes next; it is read if so.
    fn eat(&mut self, mark: &str) -> bool {
        self.skip_space();
        let here = self.text[self.at..].starts_with(mark);
        if here {
            self.at += mark.len();
        }
        here
    }

    /// The longest run of characters that `belongs` takes, perhaps empty.
    fn run(&mut self, belongs: impl Fn(char) -> bool) -> (&'a str, Range<usize>) {
        self.skip_space();
        let rest = &self.text[self.at..];
        let run = &rest[..rest.find(|c| !belongs(c)).unwrap_or(rest.len())];
        let place = self.at..self.at + run.len();
        self.at = place.end;
        (run, place)
    }

    /// A name: of a group, a deployment, a phase or a fault.
    fn name(&mut self) -> (&'a str, Range<usize>) {
        self.run(|c| !c.is_whitespace() && !c.is_control() && !"{}()=,<>".contains(c))
    }

    fn metric(&mut self) -> Result<(Metric, Range<usize>), Mistake> {
        let (word, place) = self.run(|c| c.is_alphanumeric() || "._-".contains(c));
        let metric = match word {
            "" => {
                return mistake(place, "expected a metric", Some(one_of_metrics()));
            }
            "success.rate" => Metric::SuccessRate,
            "cost.per_1k" => Metric::CostPer1k,
            "amplification" => Metric::Amplification,
            "share" => Metric::Share,
            "recovery" => return self.recovery(place),
            _ => match word.split_once('.').unwrap_or((word, "")) {
                ("ttft", name) => Metric::Ttft(stat("ttft", name, &place)?),
                ("total", name) => Metric::Total(stat("total", name, &place)?),
                ("queue", name) if name == "wait" || name.starts_with("wait.") => {
                    let name = name.strip_prefix("wait.").unwrap_or("");
                    Metric::QueueWait(stat("queue.wait", name, &place)?)
                }
                (head, _) => match policies().find(|metric| metric.to_string() == word) {
                    Some(metric) => metric,
                    None => return unknown_metric(word, head, place),
                },
            },
        };
        Ok((metric, place))
    }

    fn recovery(&mut self, place: Range<usize>) -> Result<(Metric, Range<usize>), Mistake> {
        let hint = || Some("write `recovery(fault)`".to_owned());
        if !self.eat("(") {
            return mistake(self.at..self.at, "`recovery` is from a fault: which?", hint());
        }
        let (fault, at) = self.name();
        if fault.is_empty() {
            return mistake(at, "expected the name of a fault", hint());
        }
        if !self.eat(")") {
            return mistake(self.at..self.at, "expected `)` after the fault's name", None);
        }
        Ok((Metric::Recovery(fault.to_owned()), place.start..self.at))
    }

    fn selectors(&mut self, metric: &Metric, of: &Range<usize>) -> Result<Selectors, Mistake> {
        let mut selectors = Selectors::default();
        self.skip_space();
        let opened = self.at;
        if self.eat("{") {
            loop {
                self.selector(metric, &mut selectors)?;
                if self.eat("}") {
                    break;
                }
                if !self.eat(",") {
                    let message = "expected `,` or `}` after a selector";
                    return mistake(self.at..self.at, message, None);
                }
            }
        }
        let at = opened..self.at;
        if *metric == Metric::Share && selectors.deployment.is_none() {
            let hint = Some("write `share {deployment=...}`".to_owned());
            return mistake(of.clone(), "`share` is a deployment's: which?", hint);
        }
        let Selectors { group, deployment, whose, .. } = &selectors;
        let nobody = group.is_none() && deployment.is_none() && whose.is_none();
        if *metric == Metric::CostShare && nobody {
            let hint = Some("write `cost.share {deployment=...}`, or `{org=...}`".to_owned());
            return mistake(of.clone(), "`cost.share` is somebody's: whose?", hint);
        }
        if whose.is_some() && (group.is_some() || deployment.is_some()) {
            let message = "subjects and labels are not told apart by group or deployment";
            return mistake(at, message, Some("name one of the two".to_owned()));
        }
        let both = selectors.group.is_some() && selectors.deployment.is_some();
        if both && !metric.is_of_memberships() {
            let message = format!("`{metric}` is of a group's calls or of a deployment's attempts");
            return mistake(at, message, Some("name one of the two".to_owned()));
        }
        Ok(selectors)
    }

    fn selector(&mut self, metric: &Metric, into: &mut Selectors) -> Result<(), Mistake> {
        let (key, at) = self.name();
        let slot = match key {
            "group" => &mut into.group,
            "deployment" => &mut into.deployment,
            "during" => &mut into.during,
            "class" => &mut into.class,
            "" => {
                return mistake(
                    at,
                    "expected a selector",
                    Some(format!("one of {}", listed(SELECTORS))),
                );
            }
            _ if metric.is_of_payers() => return self.whose((key, at), into),
            _ => {
                let others = || {
                    let known = listed(SELECTORS);
                    format!("one of {known}; subjects and labels are for money and success")
                };
                let hint = did_you_mean(key, SELECTORS).or_else(|| Some(others()));
                return mistake(at, format!("`{metric}` has no selector `{key}`"), hint);
            }
        };
        if let Some(why) = refused(metric, key) {
            return mistake(at, why, None);
        }
        if slot.is_some() {
            return mistake(at, format!("`{key}` stands here twice"), None);
        }
        *slot = Some(self.value(key)?);
        Ok(())
    }

    /// The subject or the label that a selector which has no other meaning names.
    fn whose(
        &mut self,
        (key, at): (&str, Range<usize>),
        into: &mut Selectors,
    ) -> Result<(), Mistake> {
        if let Some(first) = &into.whose {
            let message = format!("`{}` stands here already", first.key);
            let hint = Some("calls are told apart by one subject or label at a time".to_owned());
            return mistake(at, message, hint);
        }
        let name = self.value(key)?;
        into.whose = Some(Whose { key: key.to_owned(), name });
        Ok(())
    }

    /// What a selector is set to.
    fn value(&mut self, key: &str) -> Result<String, Mistake> {
        if !self.eat("=") {
            return mistake(self.at..self.at, format!("expected `=` after `{key}`"), None);
        }
        let (name, at) = self.name();
        if name.is_empty() {
            return mistake(at, format!("expected a name after `{key}=`"), None);
        }
        Ok(name.to_owned())
    }

    fn op(&mut self) -> Result<Op, Mistake> {
        let (mark, at) = self.run(|c| "<>=!≤≥~".contains(c));
        let hint = match mark {
            "<" => return Ok(Op::Less),
            "<=" => return Ok(Op::AtMost),
            ">" => return Ok(Op::More),
            ">=" => return Ok(Op::AtLeast),
            "=<" | "≤" => "did you mean `<=`?",
            "=>" | "≥" => "did you mean `>=`?",
            _ => "one of `<`, `<=`, `>`, `>=`",
        };
        let message = if mark.is_empty() {
            "expected a comparison".to_owned()
        } else {
            format!("no comparison is written `{mark}`")
        };
        mistake(at, message, Some(hint.to_owned()))
    }

    fn quantity(&mut self, metric: &Metric) -> Result<Quantity, Mistake> {
        let (number, at) = self.run(|c| c.is_ascii_digit() || "+-.".contains(c));
        if number.is_empty() {
            let (_, at) = self.run(|c| !c.is_whitespace());
            return mistake(at, "expected a number", None);
        }
        let billionths = billionths(number, &at)?;
        let (name, unit_at) = self.run(|c| c == '%' || c == '$' || c.is_alphabetic());
        let fits = |unit: &Unit| unit.dimension() == metric.dimension();
        let unit = match Unit::ALL.into_iter().filter(fits).find(|unit| unit.name() == name) {
            Some(unit) => unit,
            None if name.is_empty() => {
                let message = format!("`{number}` needs a unit: {}", units(metric));
                return mistake(at, message, None);
            }
            None if metric.dimension() == Dimension::Factor => {
                return mistake(unit_at, format!("`{metric}` has no unit"), None);
            }
            None => {
                let fitting = Unit::ALL.into_iter().filter(fits).map(Unit::name);
                let message = format!("`{metric}` is not in `{name}` but in {}", units(metric));
                return mistake(unit_at, message, did_you_mean(name, fitting));
            }
        };
        let hundred = 100 * 1_000_000_000;
        if unit == Unit::Percent && billionths > hundred {
            return mistake(at.start..unit_at.end, "a share is at most 100 %", None);
        }
        Ok(Quantity { billionths, unit })
    }
}

fn units(metric: &Metric) -> String {
    let fits = Unit::ALL.into_iter().filter(|unit| unit.dimension() == metric.dimension());
    listed(fits.map(Unit::name))
}

/// A decimal number in whole billionths.
fn billionths(number: &str, at: &Range<usize>) -> Result<u64, Mistake> {
    let wrong = |message: String| mistake(at.clone(), message, None);
    if number.starts_with('-') {
        return wrong(format!("`{number}` is negative, and nothing measured is"));
    }
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return wrong(format!("`{number}` is no number"));
    }
    if fraction.len() > 9 {
        return wrong(format!("`{number}` has more than 9 decimals"));
    }
    let most = || format!("`{number}` is more than {QUANTITY_MAX}");
    let Some(whole) = whole.parse::<u64>().ok().filter(|&whole| whole <= QUANTITY_MAX) else {
        return wrong(most());
    };
    let parts = format!("{fraction:0<9}").parse::<u64>().expect("nine digits fit");
    if whole == QUANTITY_MAX && parts > 0 {
        return wrong(most());
    }
    Ok(whole * 1_000_000_000 + parts)
}

/// The statistic `name` of the times called `metric`, which stand together at `place`.
fn stat(metric: &str, name: &str, place: &Range<usize>) -> Result<Stat, Mistake> {
    let at = (place.end - name.len())..place.end;
    let message = match name {
        "" => format!("which statistic of `{metric}`?"),
        "mean" => return Ok(Stat::Mean),
        "max" => return Ok(Stat::Max),
        _ => {
            if let Some(ppm) = name.strip_prefix('p').and_then(percentile) {
                return Ok(Stat::Quantile(ppm));
            }
            format!("`{name}` is no statistic of `{metric}`")
        }
    };
    let known = ["p50", "p90", "p95", "p99", "p99.9", "mean", "max"];
    let near = nearest(name, known).map(|name| format!("did you mean `{metric}.{name}`?"));
    mistake(at, message, near.or_else(|| Some(format!("one of {}", listed(known)))))
}

/// `99.9` in parts per million; more than nothing and less than all, at most four decimals.
fn percentile(text: &str) -> Option<u32> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || whole.len() > 2 || fraction.len() > 4 {
        return None;
    }
    let ppm: u32 = format!("{whole}{fraction:0<4}").parse().ok()?;
    (ppm > 0).then_some(ppm)
}
