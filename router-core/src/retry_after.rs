//! `Retry-After`, however a provider spells it.

use crate::Span;

/// What a provider's answer says of when to come back, as it is written there.
///
/// The more exact one is believed: milliseconds, then the standard header, then the body. The
/// OpenAI and Anthropic SDKs read the two headers in that order too (`_base_client.py`). One that
/// says zero says nothing of when to come back, so another that does is not hidden by it (those
/// SDKs stop at the zero, and back off as if nothing had been said).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct RetryAfter<'a> {
    /// The header `retry-after-ms`, which Azure OpenAI sends: milliseconds, perhaps with a
    /// fraction.
    pub millis: Option<&'a str>,
    /// The header `Retry-After` (RFC 9110, 10.2.3): seconds or a date. The fractions and units
    /// that providers write all the same are understood: `1.5`, `37s`, `6m0s`, `11.054s`.
    pub header: Option<&'a str>,
    /// The `retryDelay` of a `google.rpc.RetryInfo` in the body, as Gemini sends it: `37s`.
    pub delay: Option<&'a str>,
}

impl RetryAfter<'_> {
    /// How long to wait, if the wall clock shows `unix_now` seconds since 1970 (which only dates
    /// need). A date that has passed is no time at all; what is too long to be told is
    /// [`Span::MAX`]; parts of a nanosecond are dropped. Zero only if nothing says more; `None` if
    /// nothing is said, or nothing that can be understood.
    pub fn span(self, unix_now: u64) -> Option<Span> {
        let millis = self.millis.and_then(|text| decimal(text.trim(), MILLI));
        let [header, delay] = [self.header, self.delay].map(|text| wait(text?, unix_now));
        let said = [millis, header, delay].into_iter().flatten();
        said.clone().find(|span| !span.is_zero()).or_else(|| said.min())
    }
}

const MILLI: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MILLI;
const DAY: u64 = 86_400;
/// A mean year of the Gregorian calendar, in seconds.
const YEAR: u64 = 31_556_952;

/// Units of a duration, as Go prints them; `m` comes after `ms`, which it begins.
const UNITS: [(&str, u64); 7] = [
    ("ms", MILLI),
    ("us", 1_000),
    ("\u{b5}s", 1_000),
    ("ns", 1),
    ("h", 3_600 * SECOND),
    ("m", 60 * SECOND),
    ("s", SECOND),
];

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Seconds, a duration with units, or a date.
fn wait(text: &str, unix_now: u64) -> Option<Span> {
    let text = text.trim();
    let date = || date(text, unix_now).map(|date| Span::from_secs(date.saturating_sub(unix_now)));
    decimal(text, SECOND).or_else(|| duration(text)).or_else(date)
}

/// A decimal number of `unit` nanoseconds, all of `text`.
fn decimal(text: &str, unit: u64) -> Option<Span> {
    number(text, unit).filter(|(_, rest)| rest.is_empty()).map(|(span, _)| span)
}

/// Numbers with units, one after the other.
fn duration(text: &str) -> Option<Span> {
    let mut rest = text;
    let mut total = Span::ZERO;
    loop {
        let unit_at = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(unit_at);
        let tail = tail.trim_start();
        let (unit, tail) =
            UNITS.iter().find_map(|(name, unit)| Some((*unit, tail.strip_prefix(name)?)))?;
        total = total + decimal(number, unit)?;
        rest = tail.trim_start();
        if rest.is_empty() {
            return Some(total);
        }
    }
}

/// The decimal number that `text` begins with, times `unit` nanoseconds, and what follows it.
fn number(text: &str, unit: u64) -> Option<(Span, &str)> {
    let (whole, rest) = digits(text);
    let (part, rest) = rest.strip_prefix('.').map_or(("", rest), digits);
    if whole.is_empty() && part.is_empty() {
        return None;
    }
    let value = |digits: &str| {
        digits
            .bytes()
            .fold(0_u64, |n, digit| n.saturating_mul(10).saturating_add(u64::from(digit - b'0')))
    };
    // Beyond 18 digits a fraction of an hour, the longest unit, is below a nanosecond.
    let part = &part[..part.len().min(18)];
    let fraction = Span::from_nanos(unit).scale(value(part), 10_u64.pow(part.len() as u32));
    Some((Span::from_nanos(unit) * value(whole) + fraction, rest))
}

fn digits(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text.split_at(end)
}

/// The three dates of RFC 9110, 5.6.7, in seconds since 1970 (zero if before). What day of the
/// week they say it is makes no difference.
fn date(text: &str, unix_now: u64) -> Option<u64> {
    let mut words = [""; 6];
    let mut count = 0;
    for word in text.split_ascii_whitespace() {
        *words.get_mut(count)? = word;
        count += 1;
    }
    let (day, month, year, clock) = match (words, count) {
        // Sun, 06 Nov 1994 08:49:37 GMT
        ([weekday, day, month, year, clock, "GMT"], 6) if weekday.ends_with(',') => {
            (day, month, four_digits(year)?, clock)
        }
        // Sunday, 06-Nov-94 08:49:37 GMT
        ([weekday, date, clock, "GMT", ..], 4) if weekday.ends_with(',') => {
            let (day, rest) = date.split_once('-')?;
            let (month, year) = rest.split_once('-')?;
            (day, month, two_digits(year, unix_now)?, clock)
        }
        // Sun Nov  6 08:49:37 1994
        ([_, month, day, clock, year, _], 5) => (day, month, four_digits(year)?, clock),
        _ => return None,
    };
    let month = MONTHS.iter().position(|name| *name == month)? as u64 + 1;
    let days = days_since_1970(below(day, 32)?, month, year)?;
    let seconds = seconds_of_day(clock)?;
    Some(days.saturating_mul(DAY).saturating_add(seconds))
}

fn seconds_of_day(clock: &str) -> Option<u64> {
    let (hours, rest) = clock.split_once(':')?;
    let (minutes, seconds) = rest.split_once(':')?;
    // 60 is a leap second.
    Some(below(hours, 24)? * 3_600 + below(minutes, 60)? * 60 + below(seconds, 61)?)
}

/// One or two digits, below `bound`.
fn below(text: &str, bound: u64) -> Option<u64> {
    let is_number = matches!(text.len(), 1 | 2) && digits(text).1.is_empty();
    text.parse().ok().filter(|number| is_number && *number < bound)
}

fn four_digits(year: &str) -> Option<u64> {
    let is_number = year.len() == 4 && digits(year).1.is_empty();
    year.parse().ok().filter(|_| is_number)
}

/// Of the years that end so, the latest that is no more than 50 years ahead (RFC 9110, 5.6.7).
fn two_digits(year: &str, unix_now: u64) -> Option<u64> {
    let ending = below(year, 100).filter(|_| year.len() == 2)?;
    let latest = 1970 + unix_now / YEAR + 50;
    Some(latest - (latest - ending) % 100)
}

/// Days from 1970 to a day of the Gregorian calendar; zero if before, `None` if there is no such
/// day. Years count from March, so that a leap day is a year's last (Hinnant,
/// "chrono-compatible low-level date algorithms", `days_from_civil`).
fn days_since_1970(day: u64, month: u64, year: u64) -> Option<u64> {
    let longest = match month {
        2 => 28 + u64::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    if day == 0 || day > longest {
        return None;
    }
    let (year, month) =
        if month > 2 { (year, month - 3) } else { (year.checked_sub(1)?, month + 9) };
    let leap_days = year / 4 - year / 100 + year / 400;
    let days = year.saturating_mul(365).saturating_add(leap_days + (153 * month + 2) / 5 + day - 1);
    Some(days.saturating_sub(719_468))
}

const fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use std::string::String;

    use proptest::prelude::*;

    use super::*;

    /// Sun, 06 Nov 1994 08:49:37 GMT, the RFC's own example.
    const THEN: u64 = 784_111_777;

    fn header(text: &str) -> Option<Span> {
        RetryAfter { header: Some(text), ..RetryAfter::default() }.span(THEN)
    }

    #[test]
    fn every_form_that_providers_write_is_understood() {
        for (text, ms) in [
            ("7", 7_000),
            ("0", 0),
            ("1.5", 1_500),
            (".5", 500),
            ("20.", 20_000),
            ("  7\t", 7_000),
            ("37s", 37_000),
            ("11.054s", 11_054),
            ("6m0s", 360_000),
            ("1h2m", 3_720_000),
            ("1h 2m 3s", 3_723_000),
            ("20 s", 20_000),
            ("850ms", 850),
            ("1s500ms", 1_500),
            ("1.5h", 5_400_000),
            ("120us", 0),
        ] {
            let found = header(text);
            assert_eq!(found.map(Span::as_millis), Some(ms), "{text}");
        }
        assert_eq!(header("1\u{b5}s"), Some(Span::from_micros(1)));
        assert_eq!(header("3.000000001s"), Some(Span::from_nanos(3_000_000_001)));
        assert_eq!(header("0.0000000001"), Some(Span::ZERO));
    }

    #[test]
    fn the_three_dates_of_the_rfc_are_the_same_instant() {
        for (text, seconds) in [
            ("Sun, 06 Nov 1994 08:49:37 GMT", 0),
            ("Sunday, 06-Nov-94 08:49:37 GMT", 0),
            ("Sun Nov  6 08:49:37 1994", 0),
            ("Sun, 06 Nov 1994 08:50:07 GMT", 30),
            ("Mon, 07 Nov 1994 08:49:37 GMT", 86_400),
            ("Sun, 06 Nov 1994 08:49:36 GMT", 0),
            ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
            ("Tue, 29 Feb 2000 00:00:00 GMT", 951_782_400 - THEN),
            ("Fri, 31 Dec 9999 23:59:59 GMT", 253_402_300_799 - THEN),
        ] {
            assert_eq!(header(text), Some(Span::from_secs(seconds)), "{text}");
        }
    }

    #[test]
    fn a_year_of_two_digits_is_at_most_fifty_years_ahead() {
        let years = [94, 95, 44, 45].map(|year| two_digits(&format!("{year}"), THEN));
        assert_eq!(years, [1994, 1995, 2044, 1945].map(Some));
    }

    #[test]
    fn what_cannot_be_understood_says_nothing() {
        for text in [
            "",
            " ",
            ".",
            "-1",
            "+1",
            "-0",
            "1e3",
            "inf",
            "NaN",
            "soon",
            "7 8",
            "7x",
            "5mm",
            "s",
            "1.2.3",
            "1,5",
            "6m0",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 Nov 1994 08:49:37 CET",
            "Sun, 6 November 1994 08:49:37 GMT",
            "Sun, 31 Nov 1994 08:49:37 GMT",
            "Wed, 29 Feb 1995 08:49:37 GMT",
            "Sun, 06 Nov 94 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:00:00 GMT",
            "Sun, 00 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-1994 08:49:37 GMT",
            "Sun Nov 6 08:49:37 1994 GMT extra",
        ] {
            assert_eq!(header(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_too_long_to_be_told_is_for_ever() {
        for text in ["99999999999", "99999999999999999999999", "9999999999h", "1h99999999999s"] {
            assert_eq!(header(text), Some(Span::MAX), "{text}");
        }
    }

    #[test]
    fn the_more_exact_spelling_is_believed() {
        let said = |millis, header, delay| RetryAfter { millis, header, delay }.span(THEN);
        let ms = |ms| Some(Span::from_millis(ms));
        assert_eq!(
            said(Some("1500.7"), Some("3"), Some("37s")),
            Some(Span::from_micros(1_500_700))
        );
        assert_eq!(said(Some("soon"), Some("3"), Some("37s")), ms(3_000));
        assert_eq!(said(Some("-1"), Some("soon"), Some("37s")), ms(37_000));
        assert_eq!(said(Some("1"), Some("3"), None), ms(1));
        assert_eq!(said(Some("37s"), None, None), None, "milliseconds have no unit");
        assert_eq!(said(None, None, None), None);
    }

    #[test]
    fn a_zero_hides_no_longer_wait() {
        let said = |millis, header, delay| RetryAfter { millis, header, delay }.span(THEN);
        let ms = |ms| Some(Span::from_millis(ms));
        assert_eq!(said(Some("0"), Some("3"), None), ms(3_000));
        assert_eq!(said(Some("0.0"), Some("0"), Some("37s")), ms(37_000));
        assert_eq!(said(None, Some("Sun, 06 Nov 1994 08:49:36 GMT"), Some("2s")), ms(2_000));
        assert_eq!(said(Some("0"), None, None), ms(0));
        assert_eq!(said(Some("0"), Some("0"), Some("soon")), ms(0));
    }

    /// A date as the RFC prefers it, worked out day by day.
    fn written(seconds: u64) -> String {
        let (mut days, clock) = (seconds / DAY, seconds % DAY);
        let length = |year: u64, month: usize| match month {
            1 => 28 + u64::from(is_leap(year)),
            3 | 5 | 8 | 10 => 30,
            _ => 31,
        };
        let (mut year, mut month) = (1970, 0);
        while days >= length(year, month) {
            days -= length(year, month);
            (year, month) = if month == 11 { (year + 1, 0) } else { (year, month + 1) };
        }
        let (hour, minute, second) = (clock / 3_600, clock / 60 % 60, clock % 60);
        let (day, month) = (days + 1, MONTHS[month]);
        format!("Mon, {day:02} {month} {year} {hour:02}:{minute:02}:{second:02} GMT")
    }

    proptest! {
        #[test]
        fn a_date_is_as_far_away_as_it_says(now in 0_u64..10_000_000_000, ahead in 0_u64..1_000_000_000) {
            let text = written(now + ahead);
            let said = RetryAfter { header: Some(&text), ..RetryAfter::default() };
            prop_assert_eq!(said.span(now), Some(Span::from_secs(ahead)), "{}", text);
            prop_assert_eq!(said.span(now + ahead + 1), Some(Span::ZERO));
        }

        #[test]
        fn seconds_are_exact_to_the_nanosecond(ns in 0..10_u64.pow(18)) {
            let (whole, part) = (ns / SECOND, ns % SECOND);
            let span = Some(Span::from_nanos(ns));
            prop_assert_eq!(header(&format!("{whole}.{part:09}")), span);
            prop_assert_eq!(header(&format!("{whole}.{part:09}s")), span);
            let (minutes, seconds) = (whole / 60, whole % 60);
            prop_assert_eq!(header(&format!("{minutes}m{seconds}.{part:09}s")), span);
        }

        #[test]
        fn no_text_is_too_much(text in ".{0,40}", unix_now: u64) {
            let said = Some(text.as_str());
            RetryAfter { millis: said, header: said, delay: said }.span(unix_now);
        }

        #[test]
        fn no_text_of_its_own_letters_is_too_much(
            text in "[0-9.:, hmsunGMTNovDec-]{0,40}",
            unix_now: u64,
        ) {
            let said = Some(text.as_str());
            RetryAfter { millis: said, header: said, delay: said }.span(unix_now);
        }
    }
}
