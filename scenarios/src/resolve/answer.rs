//! Scripted answers: a status, and what comes with it.

use router_core::{FailureKind, RetryAfter, Span, Time};
use sim::{Answer, ComeBack, Effect};

use super::Said;
use crate::written::Spanned;

/// As any other time of a scenario.
const WAIT_MAX: Span = Span::from_secs(31 * 86_400);

const HINT: &str = "write `ok`, or a status such as `429`, perhaps with `retry-after=1.5` (seconds \
                    up to 31 d, or a date), `retry-after-ms=250`, `x-should-retry=false`, or a \
                    failure's name such as `quota-spent`, `context` or `content-policy`";

pub(super) fn answers(texts: &Spanned<Vec<Spanned<String>>>, said: &mut Said) -> Option<Effect> {
    if texts.value.is_empty() {
        said.wrong(&texts.at, "there is no answer in the list");
    }
    let mut read = Vec::new();
    for text in &texts.value {
        match answer(&text.value) {
            Some(answer) => read.push(answer),
            None => {
                said.wrong_because(&text.at, format!("`{}` is no answer", text.value), HINT);
            }
        }
    }
    (read.len() == texts.value.len() && !read.is_empty()).then_some(Effect::Answers(read))
}

fn answer(text: &str) -> Option<Answer> {
    if text.trim() == "ok" {
        return Some(Answer::Ok);
    }
    let mut rest = text;
    let status: u16 = word(&mut rest)?.parse().ok()?;
    let by_status = kind_of(status)?;
    let (mut kind, mut retry_after, mut should_retry) = (None, None, None);
    while let Some(word) = word(&mut rest) {
        let twice = match word.split_once('=') {
            Some(("x-should-retry", "true")) => should_retry.replace(true).is_some(),
            Some(("x-should-retry", "false")) => should_retry.replace(false).is_some(),
            Some((header, value)) => retry_after.replace(come_back(header, value)?).is_some(),
            None => kind.replace(named(word)?).is_some(),
        };
        if twice {
            return None;
        }
    }
    let kind = kind.unwrap_or(by_status);
    Some(Answer::Fail { status, kind, retry_after, should_retry })
}

/// Takes the next word off `rest`. A date with its spaces is part of one.
fn word<'t>(rest: &mut &'t str) -> Option<&'t str> {
    let text = rest.trim_start();
    let dated =
        text.strip_prefix("retry-after=").filter(|value| value.starts_with(char::is_alphabetic));
    let date_ends = dated.and_then(|_| text.find("GMT")).map(|at| at + 3);
    let ends = date_ends.or_else(|| text.find(char::is_whitespace)).unwrap_or(text.len());
    let (word, after) = text.split_at(ends);
    *rest = after;
    (!word.is_empty()).then_some(word)
}

/// What a driver makes of a status without a body.
pub(super) fn kind_of(status: u16) -> Option<FailureKind> {
    match status {
        429 => Some(FailureKind::RateLimit),
        402 => Some(FailureKind::QuotaSpent),
        401 | 403 => Some(FailureKind::Authentication),
        404 => Some(FailureKind::NotFound),
        400 | 413 | 422 => Some(FailureKind::BadRequest),
        408 | 409 | 424 | 498 | 500..=599 => Some(FailureKind::Server),
        _ => None,
    }
}

/// The failure of this name, if it is one that a provider answers with.
fn named(word: &str) -> Option<FailureKind> {
    let word = if word == "context" { FailureKind::ContextWindow.name() } else { word };
    let kind = FailureKind::ALL.into_iter().find(|kind| kind.name() == word)?;
    match kind {
        FailureKind::RateLimit
        | FailureKind::QuotaSpent
        | FailureKind::Server
        | FailureKind::Authentication
        | FailureKind::NotFound
        | FailureKind::BadRequest
        | FailureKind::ContextWindow
        | FailureKind::ContentPolicy => Some(kind),
        FailureKind::Connect
        | FailureKind::FirstToken
        | FailureKind::Idle
        | FailureKind::Total
        | FailureKind::Reset
        | FailureKind::Truncated
        | FailureKind::InvalidOutput => None,
    }
}

/// When a provider says to come back, in every form that the router understands. A run begins with
/// the year 1970, so that a date names an instant of it.
fn come_back(header: &str, value: &str) -> Option<ComeBack> {
    let said = match header {
        "retry-after" => RetryAfter { header: Some(value), ..RetryAfter::default() },
        "retry-after-ms" => RetryAfter { millis: Some(value), ..RetryAfter::default() },
        _ => return None,
    };
    let wait = said.span(0)?;
    if value.starts_with(char::is_alphabetic) {
        // A wait is at most 31 days, and so is what a demand lasts.
        return (wait <= WAIT_MAX + WAIT_MAX).then(|| ComeBack::At(Time::ZERO + wait));
    }
    (wait <= WAIT_MAX).then_some(ComeBack::In(wait))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(
            text in "(429|[0-9]{0,5}| ?) (retry-after=|retry-after-ms=|x-should-retry=|.)?.{0,20}",
            date in "(Thu|Fri|.), [0-3][0-9] (Jan|Feb|.) [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT",
        ) {
            let _ = (answer(&text), answer(&format!("503 retry-after={date}")));
        }
    }

    fn fail(status: u16, kind: FailureKind) -> Answer {
        Answer::Fail { status, kind, retry_after: None, should_retry: None }
    }

    #[test]
    fn an_answer_is_a_status_and_perhaps_the_name_of_a_failure() {
        for (text, expected) in [
            ("ok", Answer::Ok),
            ("429", fail(429, FailureKind::RateLimit)),
            ("429 quota-spent", fail(429, FailureKind::QuotaSpent)),
            ("529", fail(529, FailureKind::Server)),
            ("400", fail(400, FailureKind::BadRequest)),
            ("400 context", fail(400, FailureKind::ContextWindow)),
            ("400 context-window", fail(400, FailureKind::ContextWindow)),
            ("400 content-policy", fail(400, FailureKind::ContentPolicy)),
        ] {
            assert_eq!(answer(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn retry_after_has_all_its_forms() {
        let ms = |ms| ComeBack::In(Span::from_millis(ms));
        let at = |seconds| ComeBack::At(Time::from_secs(seconds));
        for (text, expected) in [
            ("retry-after=5", ms(5_000)),
            ("retry-after=1.5", ms(1_500)),
            ("retry-after=5000ms", ms(5_000)),
            ("retry-after=0", ms(0)),
            ("retry-after-ms=250", ms(250)),
            ("retry-after-ms=0.5", ComeBack::In(Span::from_micros(500))),
            ("retry-after=Thu, 01 Jan 1970 00:01:30 GMT", at(90)),
            ("retry-after=Thursday, 01-Jan-70 00:01:30 GMT", at(90)),
            ("retry-after=1m30s", ms(90_000)),
            ("retry-after=Sun, 01 Mar 1970 12:00:00 GMT", at(59 * 86_400 + 43_200)),
            ("retry-after=Thu, 01 Jan 1970 00:00:00 GMT", at(0)),
        ] {
            let expected = Answer::Fail {
                status: 503,
                kind: FailureKind::Server,
                retry_after: Some(expected),
                should_retry: None,
            };
            assert_eq!(answer(&format!("503 {text}")), Some(expected), "{text}");
        }
        let all = answer(
            "429 retry-after=Thu, 01 Jan 1970 00:00:07 GMT quota-spent x-should-retry=false",
        );
        let expected = Answer::Fail {
            status: 429,
            kind: FailureKind::QuotaSpent,
            retry_after: Some(at(7)),
            should_retry: Some(false),
        };
        assert_eq!(all, Some(expected));
    }

    #[test]
    fn what_no_provider_answers_is_no_answer() {
        for wrong in [
            "",
            "OK",
            "200",
            "999",
            "429 soon",
            "429 reset",
            "200 invalid-output",
            "429 retry-after",
            "429 retry-after=",
            "429 retry-after=-1",
            "429 retry-after=2678401",
            "429 retry-after=1 retry-after-ms=2",
            "429 retry-after-ms=Thu, 01 Jan 1970 00:01:30 GMT",
            "429 retry-after=Thu, 01 Jan 1970 00:01:30",
            "429 retry-after=Thu, 32 Jan 1970 00:01:30 GMT",
            "429 retry-after=Sun, 29 Feb 1970 00:01:30 GMT",
            "429 retry-after=Mon, 01 Jun 1970 00:01:30 GMT",
            "429 x-should-retry=yes",
            "429 x-should-retry=true x-should-retry=true",
            "429 rate-limit server",
        ] {
            assert_eq!(answer(wrong), None, "{wrong}");
        }
    }
}
