//! The rows of `requests.csv`: every call of a short run; of a long one, a fair sample.

use router_core::{
    Call, CallEnd, Counter, Input, Journal, Key, Output, Purpose, RequestId, Seed, Time, Usage,
};

use crate::rows;

/// How many answered calls, and as many others, are kept.
pub const ROWS: usize = 100_000;

/// A journal that keeps calls one by one: up to [`ROWS`] that were answered and up to [`ROWS`]
/// that were not. Where there are more, half of them are dropped, then half of what is left, and
/// so on; which half is drawn by the call's number, so the rest is a fair sample and the same
/// calls are kept under every router.
#[derive(Clone, Debug)]
pub struct CallLog {
    key: Key,
    answered: Kept,
    others: Kept,
}

impl CallLog {
    /// An empty log; `seed` decides which calls a sample holds.
    pub fn new(seed: Seed) -> Self {
        Self::with_room(seed, ROWS)
    }

    fn with_room(seed: Seed, room: usize) -> Self {
        let kept = Kept { room, halvings: 0, calls: Vec::new(), dropped: 0 };
        Self { key: seed.key(Purpose::Sample), answered: kept.clone(), others: kept }
    }

    /// The calls that were kept, by arrival, then by number.
    pub fn calls(&self) -> Vec<Call> {
        let both = self.answered.calls.iter().chain(&self.others.calls);
        let mut calls: Vec<Call> = both.map(|(_, call)| *call).collect();
        calls.sort_by_key(|call| (call.arrived, call.id));
        calls
    }

    /// How many calls were dropped.
    pub const fn dropped(&self) -> u64 {
        self.answered.dropped + self.others.dropped
    }

    /// What was kept, in a sentence, if not everything was.
    pub fn remark(&self) -> Option<String> {
        let part = |kept: &Kept| match kept.halvings {
            0 => "all".to_owned(),
            n => format!("1 in {}", 1_u64 << n),
        };
        (self.dropped() > 0).then(|| {
            format!(
                "requests.csv holds {} of the answered calls and {} of the others; {} are left out",
                part(&self.answered),
                part(&self.others),
                crate::words::count(self.dropped())
            )
        })
    }

    /// `requests.csv`. `groups` are the groups' names; `properties` are named in their places,
    /// each with its labels, the first of which is number one. What has no name shows as its
    /// number.
    pub fn csv(&self, groups: &[String], properties: &[(String, Vec<String>)]) -> String {
        let mut table = rows::Rows::new(&[
            "id",
            "group",
            "arrived_s",
            "ttft_ms",
            "total_ms",
            "end",
            "status",
            "tries",
            "attempts",
            "client_wait_ms",
            "input_tokens",
            "output_tokens",
            "properties",
        ]);
        for call in self.calls() {
            table.row(row(&call, groups, properties));
        }
        table.finish()
    }
}

impl Journal for CallLog {
    fn input(&mut self, _: Time, _: &Input) {}

    fn output(&mut self, _: Time, _: &Output) {}

    fn call(&mut self, _: Time, call: &Call) {
        let draw = self.key.word(Counter { request: call.id.as_u64(), ..Counter::default() });
        let kept = match call.end {
            CallEnd::Answered(_) => &mut self.answered,
            CallEnd::Partial(_) | CallEnd::Failed(_) | CallEnd::Left => &mut self.others,
        };
        kept.take(draw, *call);
    }
}

/// Calls of one kind, with their draws.
#[derive(Clone, Debug)]
struct Kept {
    room: usize,
    /// A call is kept if its draw has this many leading zeros.
    halvings: u32,
    calls: Vec<(u64, Call)>,
    dropped: u64,
}

impl Kept {
    fn take(&mut self, draw: u64, call: Call) {
        if draw.leading_zeros() < self.halvings {
            self.dropped += 1;
            return;
        }
        self.calls.push((draw, call));
        while self.calls.len() > self.room && self.halvings < 63 {
            self.halvings += 1;
            let before = self.calls.len();
            self.calls.retain(|(draw, _)| draw.leading_zeros() >= self.halvings);
            self.dropped += (before - self.calls.len()) as u64;
        }
    }
}

fn row(call: &Call, groups: &[String], properties: &[(String, Vec<String>)]) -> Vec<String> {
    let (end, status, usage) = match call.end {
        CallEnd::Answered(usage) => ("answered", "200".to_owned(), usage),
        CallEnd::Partial(usage) => ("partial", "200".to_owned(), usage),
        CallEnd::Failed(status) => ("failed", status.to_string(), Usage::default()),
        CallEnd::Left => ("left", String::new(), Usage::default()),
    };
    let group = call.group.index();
    let labelled = call.properties.iter().enumerate().filter(|(_, label)| **label != 0);
    let labelled: Vec<String> = labelled
        .map(|(place, label)| {
            let number = || label.to_string();
            let Some((name, labels)) = properties.get(place) else { return number() };
            let label = labels.get(usize::from(*label) - 1).cloned().unwrap_or_else(number);
            format!("{name}={label}")
        })
        .collect();
    let id: RequestId = call.id;
    vec![
        id.to_string(),
        groups.get(group).cloned().unwrap_or_else(|| group.to_string()),
        rows::seconds(call.arrived.as_nanos()),
        call.first_token.map_or_else(String::new, |first| rows::millis(first.since(call.arrived))),
        rows::millis(call.ended.since(call.arrived)),
        end.to_owned(),
        status,
        call.tries.to_string(),
        call.attempts.to_string(),
        rows::millis(call.client_wait),
        usage.input_tokens.to_string(),
        usage.output_tokens.to_string(),
        labelled.join(";"),
    ]
}

#[cfg(test)]
mod tests {
    use router_core::{GroupId, Span};

    use super::*;

    fn call(sequence: u64, end: CallEnd) -> Call {
        Call {
            id: RequestId::new(0, sequence, 0),
            group: GroupId::at(0),
            properties: [1, 0, 9, 0],
            arrived: Time::from_secs(sequence),
            first_token: Some(Time::from_nanos(sequence * 1_000_000_000 + 612_345_678)),
            ended: Time::from_secs(sequence + 4),
            end,
            tries: 1,
            attempts: 2,
            client_wait: Span::from_millis(500),
        }
    }

    const USAGE: Usage = Usage { input_tokens: 900, cached_tokens: 0, output_tokens: 200 };

    #[test]
    fn a_row_says_what_the_user_saw() {
        let mut log = CallLog::new(Seed::from_u64(7));
        log.call(Time::ZERO, &call(17, CallEnd::Answered(USAGE)));
        log.call(Time::ZERO, &call(3, CallEnd::Failed(429)));
        let tier = ("tier".to_owned(), vec!["free".to_owned()]);
        let csv = log.csv(&["a, \"b\"".to_owned()], &[tier]);
        let lines: Vec<&str> = csv.lines().collect();
        let (group, times) = ("\"a, \"\"b\"\"\"", "612.346,4000.000");
        let end = "failed,429,1,2,500.000,0,0,tier=free;9";
        assert_eq!(lines[1], format!("r3,{group},3.000000,{times},{end}"));
        let end = "answered,200,1,2,500.000,900,200,tier=free;9";
        assert_eq!(lines[2], format!("r17,{group},17.000000,{times},{end}"));
        assert_eq!((lines.len(), log.remark()), (3, None));
    }

    #[test]
    fn beyond_its_room_a_log_keeps_failures_and_a_fair_sample() {
        let mut log = CallLog::with_room(Seed::from_u64(7), 1_000);
        for n in 0..10_000 {
            let end = if n % 20 == 0 { CallEnd::Left } else { CallEnd::Answered(USAGE) };
            log.call(Time::ZERO, &call(n, end));
        }
        assert_eq!(log.others.calls.len(), 500);
        let kept = log.answered.calls.len();
        assert!((450..=750).contains(&kept), "1 in 16 of 9,500 is about 594, not {kept}");
        assert_eq!(log.dropped(), 9_500 - kept as u64);
        let early = log.answered.calls.iter().filter(|(_, c)| c.id.sequence() < 5_000).count();
        assert!((kept * 2 / 5..=kept * 3 / 5).contains(&early), "{early} of {kept}");
        let remark = log.remark().unwrap();
        assert!(remark.contains("1 in 16 of the answered calls and all of the others"), "{remark}");
    }

    #[test]
    fn a_sample_does_not_depend_on_the_order_in_which_calls_end() {
        let fill = |order: &mut dyn Iterator<Item = u64>| {
            let mut log = CallLog::with_room(Seed::from_u64(7), 100);
            order.for_each(|n| log.call(Time::ZERO, &call(n, CallEnd::Answered(USAGE))));
            log.csv(&[], &[])
        };
        assert_eq!(fill(&mut (0..5_000)), fill(&mut (0..5_000).rev()));
    }
}
