//! Recorded arrivals: CSV files of when a call came and how many tokens it had.

use std::fmt;
use std::sync::Arc;

use csv::{ByteRecord, ReaderBuilder, Trim};
use router_core::Span;
use sim::TraceRow;

/// Reads a trace.
///
/// The first line names the columns, in any order and among others: `TIMESTAMP`, `ContextTokens`
/// and `GeneratedTokens` as in the Azure Public Dataset, or `arrival_s`, `input_tokens` and
/// `output_tokens`. A time is `YYYY-MM-DD HH:MM:SS` with up to nine decimals, or a number of
/// seconds; all count from the first row's.
///
/// # Errors
/// Every row that cannot be read, with its line: the first 20 in words, the rest as a count. A
/// row earlier than the one before is refused, for its place in the file numbers the call.
pub fn read(bytes: &[u8]) -> Result<Arc<[TraceRow]>, BadTrace> {
    let mut reader =
        ReaderBuilder::new().flexible(true).has_headers(false).trim(Trim::All).from_reader(bytes);
    let mut bad = BadTrace::default();
    let mut record = ByteRecord::new();
    let mut rows = Rows::default();
    let mut columns = None;
    loop {
        match reader.read_byte_record(&mut record) {
            Ok(false) => break,
            Ok(true) => {}
            Err(error) => {
                bad.add(reader.position().line(), error.to_string());
                break;
            }
        }
        // A blank line before a row belongs to no row; the reader counts it all the same.
        let line = record.position().map_or(0, csv::Position::line);
        let Some(columns) = &columns else {
            match Columns::find(&record) {
                Ok(found) => columns = Some(found),
                Err(message) => {
                    bad.add(line, message);
                    break;
                }
            }
            continue;
        };
        if let Err(message) = rows.add(columns, &record) {
            bad.add(line, message);
        }
    }
    if bad.rows.is_empty() && rows.rows.is_empty() {
        bad.add(1, "there are no rows".to_owned());
    }
    if bad.rows.is_empty() { Ok(rows.rows.into()) } else { Err(bad) }
}

/// What is wrong with a trace.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct BadTrace {
    /// The first rows that cannot be read.
    pub rows: Vec<BadRow>,
    /// How many more there are.
    pub more: u64,
}

/// A row that cannot be read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BadRow {
    /// Its line, counted from one.
    pub line: u64,
    /// Why.
    pub message: String,
}

impl BadTrace {
    /// How many rows are put in words.
    pub const SHOWN: usize = 20;

    fn add(&mut self, line: u64, message: String) {
        if self.rows.len() < Self::SHOWN {
            self.rows.push(BadRow { line, message });
        } else {
            self.more += 1;
        }
    }
}

impl fmt::Display for BadTrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, row) in self.rows.iter().enumerate() {
            let end = if index == 0 { "" } else { "\n" };
            write!(f, "{end}line {}: {}", row.line, row.message)?;
        }
        if self.more > 0 { write!(f, "\nand {} more rows", self.more) } else { Ok(()) }
    }
}

impl std::error::Error for BadTrace {}

/// The most tokens a call may have; more is a mistake in the file.
const TOKENS_MAX: u32 = 10_000_000;
/// The longest trace: a year.
const LONGEST_NS: u128 = 366 * 86_400 * 1_000_000_000;

/// Where the columns are.
struct Columns {
    time: usize,
    input: usize,
    output: usize,
}

impl Columns {
    fn find(header: &ByteRecord) -> Result<Self, String> {
        let find = |names: [&'static str; 2]| {
            let is = |cell: &[u8]| names.iter().any(|name| cell == name.as_bytes());
            header.iter().position(is).ok_or(names)
        };
        let time = find(["TIMESTAMP", "arrival_s"]);
        let input = find(["ContextTokens", "input_tokens"]);
        let output = find(["GeneratedTokens", "output_tokens"]);
        match (time, input, output) {
            (Ok(time), Ok(input), Ok(output)) => Ok(Self { time, input, output }),
            (time, input, output) => {
                let missing = [time.err(), input.err(), output.err()].into_iter().flatten();
                let names: Vec<String> =
                    missing.map(|[azure, own]| format!("`{azure}` (or `{own}`)")).collect();
                Err(format!("the header has no column {}", names.join(", ")))
            }
        }
    }
}

/// The rows so far.
#[derive(Default)]
struct Rows {
    rows: Vec<TraceRow>,
    first: Option<u128>,
    last: u128,
}

impl Rows {
    fn add(&mut self, columns: &Columns, record: &ByteRecord) -> Result<(), String> {
        let cell = |index: usize| record.get(index).unwrap_or_default();
        let ns = nanoseconds(cell(columns.time)).ok_or_else(|| {
            let shown = shown(cell(columns.time));
            format!("`{shown}` is no time; write `2023-11-16 18:15:46.6805900` or `46.68`")
        })?;
        let input_tokens = tokens("prompt", cell(columns.input), 0)?;
        let output_tokens = tokens("completion", cell(columns.output), 1)?;
        let first = *self.first.get_or_insert(ns);
        if ns < self.last {
            return Err("comes before the row above it; sort the file by time".to_owned());
        }
        if ns - first > LONGEST_NS {
            return Err("is more than a year after the first row".to_owned());
        }
        self.last = ns;
        let at = Span::from_nanos(u64::try_from(ns - first).expect("a year fits"));
        self.rows.push(TraceRow { at, input_tokens, output_tokens });
        Ok(())
    }
}

fn shown(cell: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(cell).chars().take(40).collect();
    text.escape_debug().to_string()
}

fn tokens(what: &str, cell: &[u8], least: u32) -> Result<u32, String> {
    let value = std::str::from_utf8(cell).ok().and_then(|text| text.parse::<u32>().ok());
    value.filter(|count| (least..=TOKENS_MAX).contains(count)).ok_or_else(|| {
        let shown = shown(cell);
        format!("`{shown}` {what} tokens; write a whole number from {least} to {TOKENS_MAX}")
    })
}

/// A time in nanoseconds, from some epoch of its own form.
fn nanoseconds(cell: &[u8]) -> Option<u128> {
    let text = std::str::from_utf8(cell).ok()?;
    let Some((date, clock)) = text.split_once([' ', 'T']) else {
        return decimal(text, 12);
    };
    let [year, month, day] = three(date, '-')?;
    let [year, month, day] = [whole(year, 4)?, whole(month, 2)?, whole(day, 2)?];
    let clock = clock.strip_suffix('Z').unwrap_or(clock);
    let [hour, minute, second] = three(clock, ':')?;
    let [hour, minute] = [whole(hour, 2)?, whole(minute, 2)?];
    let second = decimal(second, 2)?;
    let days = days_from_civil(year, month, day)?;
    // A leap second is the last second of its minute once more.
    if hour > 23 || minute > 59 || second >= 61_000_000_000 {
        return None;
    }
    let minutes = (days * 24 + hour) * 60 + minute;
    Some(u128::from(minutes) * 60_000_000_000 + second)
}

fn three(text: &str, between: char) -> Option<[&str; 3]> {
    let mut parts = text.split(between);
    let found = [parts.next()?, parts.next()?, parts.next()?];
    parts.next().is_none().then_some(found)
}

/// Digits only, at most `most` of them.
fn whole(text: &str, most: usize) -> Option<u64> {
    let digits = (1..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

/// `whole` or `whole.fraction` in billionths; decimals beyond the ninth must be zero.
fn decimal(text: &str, most: usize) -> Option<u128> {
    let (whole_part, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let (kept, beyond) = fraction.split_at_checked(9).unwrap_or((fraction, ""));
    if !beyond.bytes().all(|b| b == b'0') {
        return None;
    }
    let scale = 10_u128.pow(9 - u32::try_from(kept.len()).ok()?);
    let billionths = u128::from(whole(kept, 9)?) * scale;
    Some(u128::from(whole(whole_part, most)?) * 1_000_000_000 + billionths)
}

/// Days since some day long ago, in the Gregorian calendar.
fn days_from_civil(year: u64, month: u64, day: u64) -> Option<u64> {
    let century = year.is_multiple_of(100);
    let leap = year.is_multiple_of(if century { 400 } else { 4 });
    let longest = match month {
        2 => 28 + u64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if day == 0 || day > longest {
        return None;
    }
    // Years begin in March here, so that the leap day is the last of its year; 400 years on, the
    // calendar is the same, and nothing is below zero.
    let from_march = (month + 9) % 12;
    let year = year + 400 - u64::from(month <= 2);
    let before = year * 365 + year / 4 - year / 100 + year / 400;
    Some(before + (153 * from_march + 2) / 5 + day)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn row(at_ms: u64, input_tokens: u32, output_tokens: u32) -> TraceRow {
        TraceRow { at: Span::from_millis(at_ms), input_tokens, output_tokens }
    }

    #[test]
    fn the_azure_form_is_read_from_its_first_row_on() {
        let text = "TIMESTAMP,ContextTokens,GeneratedTokens\n\
                    2023-12-31 23:59:59.5000000,374,44\n\
                    2024-01-01 00:00:00.7500000,396,109\n";
        let rows = read(text.as_bytes()).unwrap();
        assert_eq!(&*rows, &[row(0, 374, 44), row(1_250, 396, 109)]);
    }

    #[test]
    fn seconds_and_other_columns_are_read_too() {
        let text = "user,output_tokens,arrival_s,input_tokens\r\nann,5,10.25,7\r\nbob,6,11,8\r\n";
        assert_eq!(&*read(text.as_bytes()).unwrap(), &[row(0, 7, 5), row(750, 8, 6)]);
    }

    #[test]
    fn every_bad_row_is_named_with_its_line() {
        let text = "arrival_s,input_tokens,output_tokens\n\
                    1,10,10\nnan,10,10\n2,-1,10\n3,10\n2.5,10,10\n1,10,10\n-1,2,3\n";
        let bad = read(text.as_bytes()).unwrap_err();
        let lines: Vec<u64> = bad.rows.iter().map(|row| row.line).collect();
        assert_eq!(lines, [3, 4, 5, 7, 8], "{bad}");
        assert!(bad.to_string().contains("line 7: comes before the row above it"), "{bad}");
    }

    #[test]
    fn beyond_twenty_bad_rows_are_counted() {
        let text = format!("arrival_s,input_tokens,output_tokens\n{}", "x,1,1\n".repeat(23));
        let bad = read(text.as_bytes()).unwrap_err();
        assert_eq!((bad.rows.len(), bad.more), (20, 3));
        assert!(bad.to_string().ends_with("and 3 more rows"));
    }

    #[test]
    fn a_missing_column_and_an_empty_file_are_said() {
        let bad = read(b"TIMESTAMP,ContextTokens\n1,2\n").unwrap_err();
        assert_eq!(
            bad.to_string(),
            "line 1: the header has no column `GeneratedTokens` (or `output_tokens`)"
        );
        assert!(read(b"").is_err());
        assert!(read(b"arrival_s,input_tokens,output_tokens\n").is_err());
    }

    #[test]
    fn days_follow_each_other_across_months_and_leap_years() {
        for (before, after) in [
            ("2024-02-28", "2024-02-29"),
            ("2024-02-29", "2024-03-01"),
            ("2023-02-28", "2023-03-01"),
            ("1999-12-31", "2000-01-01"),
            ("2100-02-28", "2100-03-01"),
        ] {
            let ns = |day: &str| nanoseconds(format!("{day} 12:00:00").as_bytes()).unwrap();
            assert_eq!(ns(after) - ns(before), 86_400_000_000_000, "{before}");
        }
        for wrong in ["2023-02-29", "2023-13-01", "2023-00-01", "2023-01-00", "2023-04-31"] {
            assert_eq!(nanoseconds(format!("{wrong} 12:00:00").as_bytes()), None, "{wrong}");
        }
    }

    /// The file is Microsoft's, so it is not here: `SEAWALL_TRACES` names the folder it is in.
    #[test]
    fn the_public_azure_trace_is_read_whole() {
        let Some(folder) = std::env::var_os("SEAWALL_TRACES") else {
            println!("skipped: SEAWALL_TRACES is not set");
            return;
        };
        let path = std::path::Path::new(&folder).join("AzureLLMInferenceTrace_conv.csv");
        let rows = read(&std::fs::read(&path).expect("the trace is there")).unwrap();
        assert_eq!(rows.len(), 19_366);
        assert_eq!(rows[1].at, Span::from_nanos(4_314_579_000));
        assert_eq!(rows.last().map(|row| row.at.as_millis()), Some(3_501_721));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = read(&bytes);
            let mut with_header = b"TIMESTAMP,ContextTokens,GeneratedTokens\n".to_vec();
            with_header.extend(&bytes);
            let _ = read(&with_header);
        }

        #[test]
        fn any_text_of_the_right_letters_is_a_time_or_none(text in "[0-9:T Z.+-]{0,32}") {
            let _ = nanoseconds(text.as_bytes());
        }
    }
}
