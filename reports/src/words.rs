//! Numbers as people read them: three significant digits, a unit, the same text everywhere.

use router_core::{Cause, Hold, Reason, Turn};

/// What stands where there is no number.
pub(crate) const NONE: &str = "-";

/// `value` to three significant digits, without an exponent: `0.0123`, `9.13`, `71.0`, `12,300`.
pub(crate) fn sig3(value: f64) -> String {
    if !value.is_finite() {
        return NONE.to_owned();
    }
    if value == 0.0 {
        return "0".to_owned();
    }
    let decimals = |v: f64| {
        // The exponent of the value once rounded: 9.996 is 10.0, not 10.00.
        let text = format!("{:.2e}", v.abs());
        let exponent: i32 = text.split_once('e').and_then(|(_, e)| e.parse().ok()).unwrap_or(0);
        2 - exponent
    };
    match decimals(value) {
        d if d > 9 => "0".to_owned(),
        d if d > 0 => format!("{value:.0$}", d.unsigned_abs() as usize),
        d => {
            let unit = libm::exp10((-d).into());
            let whole = (value / unit).round() * unit;
            grouped(&format!("{whole:.0}"))
        }
    }
}

/// Six significant digits, without an exponent: for files.
pub(crate) fn sig6(value: f64) -> String {
    let rounded: f64 = format!("{value:.5e}").parse().expect("a float as just written");
    rounded.to_string()
}

/// A round number, as on an axis: no zeros after the point.
pub(crate) fn round(value: f64) -> String {
    let text = format!("{value:.6}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    let (whole, part) = text.split_once('.').map_or((text, ""), |(w, p)| (w, p));
    if part.is_empty() { grouped(whole) } else { format!("{}.{part}", grouped(whole)) }
}

/// A round length of time, as on an axis: `50 ms`, `2 s`, `5 min`.
pub(crate) fn round_seconds(s: f64) -> String {
    if s == 0.0 {
        return "0".to_owned();
    }
    for (unit, name) in [(60.0, "min"), (1.0, "s"), (1e-3, "ms")] {
        if s >= unit * 0.999 && (unit < 60.0 || s % 60.0 == 0.0) {
            return format!("{} {name}", round(s / unit));
        }
    }
    format!("{} µs", round(s * 1e6))
}

/// A whole number, its thousands set apart: `19,366`.
pub(crate) fn count(n: u64) -> String {
    grouped(&n.to_string())
}

/// A share as a percentage: `97.3 %`, `100 %` only if it is exactly that.
pub(crate) fn percent(share: f64) -> String {
    if !share.is_finite() {
        return NONE.to_owned();
    }
    let percent = share * 100.0;
    if share == 0.0 || share == 1.0 {
        return format!("{percent:.0} %");
    }
    if percent.abs() < 0.01 {
        return "<0.01 %".to_owned();
    }
    if share < 1.0 && percent >= 99.95 {
        // What misses is the point: 99.99 % and 99.999 % differ tenfold.
        let missing = 1.0 - share;
        let decimals = if missing >= 1e-4 { 2 } else { 3 };
        return format!("{:.1$} %", (percent).min(99.999), decimals);
    }
    if (99.0..100.0).contains(&percent) {
        return format!("{percent:.2} %");
    }
    if percent.abs() < 10.0 { format!("{percent:.2} %") } else { format!("{percent:.1} %") }
}

/// A length of time given in seconds: `340 µs`, `612 ms`, `9.13 s`, `4 min 20 s`, `2 h 5 min`.
pub(crate) fn seconds(s: f64) -> String {
    if !s.is_finite() {
        return NONE.to_owned();
    }
    // Histograms tell less than a microsecond from none, and nobody else does.
    if s.abs() < 0.000_000_999_5 {
        return "0 s".to_owned();
    }
    if s < 0.000_999_5 {
        return format!("{} µs", sig3(s * 1e6));
    }
    if s < 0.999_5 {
        return format!("{} ms", sig3(s * 1e3));
    }
    if s < 99.95 {
        return format!("{} s", sig3(s));
    }
    let whole = s.round();
    let (hours, minutes, rest) =
        ((whole / 3600.0).floor(), (whole % 3600.0 / 60.0).floor(), whole % 60.0);
    let two = |a: f64, unit: &str, b: f64, small: &str| {
        if b == 0.0 { format!("{a:.0} {unit}") } else { format!("{a:.0} {unit} {b:.0} {small}") }
    };
    if hours == 0.0 { two(minutes, "min", rest, "s") } else { two(hours, "h", minutes, "min") }
}

/// The same in one unit and at most eight columns, for tables: `260 s`, `16.7 min`, `2.08 h`.
pub(crate) fn brief(s: f64) -> String {
    match s {
        s if s < 99.95 || !s.is_finite() => seconds(s),
        s if s < 999.5 => sig3(s) + " s",
        s if s < 5_997.0 => sig3(s / 60.0) + " min",
        s => sig3(s / 3600.0) + " h",
    }
}

/// Nanoseconds as seconds.
pub(crate) fn secs(ns: u64) -> f64 {
    ns as f64 / 1e9
}

/// Pico-dollars as dollars: `$12.30`, `$0.00412`.
pub(crate) fn dollars(pico: u128) -> String {
    let usd = pico as f64 / 1e12;
    if usd != 0.0 && usd < 0.995 { format!("${}", sig3(usd)) } else { format!("${}", cents(usd)) }
}

fn cents(usd: f64) -> String {
    let text = format!("{usd:.2}");
    let (whole, part) = text.split_once('.').unwrap_or((&text, "00"));
    format!("{}.{part}", grouped(whole))
}

/// A number of tokens: `812`, `48.2k`, `1.93M`.
pub(crate) fn tokens(n: u64) -> String {
    let value = n as f64;
    for (unit, suffix) in [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")] {
        if value >= unit * 0.999_5 {
            return sig3(value / unit) + suffix;
        }
    }
    n.to_string()
}

pub(crate) fn grouped(digits: &str) -> String {
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits), |rest| ("-", rest));
    let mut text = String::with_capacity(digits.len() + digits.len() / 3 + 1);
    text.push_str(sign);
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(c);
    }
    text
}

/// `text` with what XML, a terminal or a line of CSV cannot carry replaced.
pub(crate) fn clean(text: &str) -> String {
    let bad = |c: char| c.is_control() || matches!(c, '\u{FFFE}' | '\u{FFFF}');
    text.chars().map(|c| if bad(c) { '\u{FFFD}' } else { c }).collect()
}

/// `text` cleaned and escaped for XML and HTML, inside or outside of attributes.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in clean(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

/// Why a member could not be chosen, in words that follow `since`.
pub(crate) const fn reason(reason: Reason) -> &'static str {
    match reason {
        Reason::Disabled => "an operator had forced its breaker open",
        Reason::Tags => "it lacked a tag asked for, or `default` where none fits",
        Reason::Region => "it is in another region than asked for",
        Reason::Context => "the prompt was too long for it",
        Reason::Budget => "a budget could not pay for it there",
        Reason::Barred => "a final failure had met the request there",
        Reason::Cooling => "it rested",
        Reason::Open => "its breaker was open",
        Reason::Limit => "its rate limit was used up",
        Reason::Parallel => "its parallel limit was used up",
        Reason::Weight => "it is standby, and a weighted member was left",
        Reason::Tried => "the request had tried it already",
        Reason::Tier => "a lower tier was eligible",
    }
}

/// Why a hedge was held back, in words that follow `since`.
pub(crate) const fn hold(hold: Hold) -> &'static str {
    match hold {
        Hold::Drain => "the router drained",
        Hold::Attempts => "all attempts were made",
        Hold::Budget => "the retry budget was spent",
        Hold::Subject => "its subject was over a limit",
        Hold::Utilisation => "too much was in use",
        Hold::Nobody => "nobody else was free",
    }
}

/// What turned a breaker, as the thing that did.
pub(crate) const fn turn(turn: Turn) -> &'static str {
    match turn {
        Turn::Consecutive => "failures in a row",
        Turn::Failures => "too many failures",
        Turn::Slow => "too many slow calls",
        Turn::Probe => "a bad probe",
        Turn::Waited => "its time was over",
        Turn::Recovered => "good probes",
    }
}

/// What an attempt was for, as part of a column's name.
pub(crate) const fn cause(cause: Cause) -> &'static str {
    match cause {
        Cause::Primary => "primary",
        Cause::Retry => "retry",
        Cause::Fallback => "fallback",
        Cause::Hedge => "hedge",
        Cause::Probe => "probe",
        Cause::Standby => "standby",
        Cause::Panic => "panic",
        Cause::Degraded => "degraded",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_significant_digits() {
        for (value, text) in [
            (0.0, "0"),
            (0.012_345, "0.0123"),
            (0.999_6, "1.00"),
            (9.126, "9.13"),
            (9.996, "10.0"),
            (71.04, "71.0"),
            (812.4, "812"),
            (12_345.0, "12,300"),
            (999_600.0, "1,000,000"),
            (-4.2, "-4.20"),
            (f64::NAN, "-"),
        ] {
            assert_eq!(sig3(value), text);
        }
    }

    #[test]
    fn shares_never_round_up_to_all() {
        for (share, text) in [
            (1.0, "100 %"),
            (0.0, "0 %"),
            (0.999_999_9, "99.999 %"),
            (0.999_93, "99.993 %"),
            (0.999_6, "99.96 %"),
            (0.998_97, "99.90 %"),
            (0.973, "97.3 %"),
            (0.071_2, "7.12 %"),
            (0.000_01, "<0.01 %"),
        ] {
            assert_eq!(percent(share), text);
        }
    }

    #[test]
    fn times_and_money_name_their_unit() {
        for (s, text) in [
            (0.000_34, "340 µs"),
            (0.612, "612 ms"),
            (0.999_7, "1.00 s"),
            (9.13, "9.13 s"),
            (260.0, "4 min 20 s"),
            (7_500.0, "2 h 5 min"),
            (3_600.0, "1 h"),
        ] {
            assert_eq!(seconds(s), text);
        }
        assert_eq!((brief(260.0), brief(1_000.0)), ("260 s".to_owned(), "16.7 min".to_owned()));
        assert_eq!(dollars(12_300_000_000_000), "$12.30");
        assert_eq!(dollars(4_120_000_000), "$0.00412");
        assert_eq!(dollars(1_234_567_890_000_000_000), "$1,234,567.89");
        assert_eq!((tokens(812), tokens(48_211), tokens(1_930_000)), {
            ("812".to_owned(), "48.2k".to_owned(), "1.93M".to_owned())
        });
    }

    #[test]
    fn markup_in_names_is_harmless() {
        assert_eq!(escape("<a & \"b\"'\u{1}>"), "&lt;a &amp; &quot;b&quot;&#39;\u{FFFD}&gt;");
    }
}
