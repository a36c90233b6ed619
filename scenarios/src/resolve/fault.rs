//! Faults by number.

use router_core::{DeploymentId, FailureKind, Ratio, Span, Time};
use sim::{Answer, ComeBack, Effect, Fault, Outage, Rhythm};

use super::select::{FORMS, Selector};
use super::{Fleet, Said};
use crate::written::{FaultSpec, Mistake, ScenarioSpec, Spanned};

/// The faults that apply to this router.
pub(super) fn faults(
    scenario: &ScenarioSpec,
    fleet: Fleet<'_>,
    horizon: Time,
    said: &mut Said,
) -> Vec<Fault> {
    let faults = scenario.faults.iter();
    faults.filter_map(|(name, spec)| fault(name, spec, fleet, horizon, said)).collect()
}

fn fault(
    name: &Spanned<String>,
    spec: &FaultSpec,
    fleet: Fleet<'_>,
    horizon: Time,
    said: &mut Said,
) -> Option<Fault> {
    check_name(name, said);
    let on = places(name, spec, fleet, said);
    let effect = effect(name, spec, said);
    let from = Time::ZERO + spec.at.as_ref().map_or(Span::ZERO, |at| at.value);
    let of = spec.of.as_ref().map_or(Ratio::ONE, |of| of.value);
    let (on, effect) = (on?, effect?);
    if on.is_empty() {
        let wanted: Vec<String> = spec.on.iter().map(|s| format!("`{}`", s.value)).collect();
        let wanted = wanted.join(", ");
        said.not_applicable(format!("fault `{}`: nothing here is {wanted}", name.value));
        return None;
    }
    if from >= horizon {
        // It stays in the world, where it touches no call: a run with it is undecided.
        said.warn(format!("the fault `{}` begins after the last call", name.value));
    }
    let until = spec.lasts.as_ref().map(|lasts| from + lasts.value);
    let rhythm = Rhythm::Steady;
    Some(Fault { name: name.value.clone(), on, from, until, rhythm, of, effect })
}

/// Expectations name faults, in `recovery(...)` and `during=`.
fn check_name(name: &Spanned<String>, said: &mut Said) {
    let text = &name.value;
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    if text.is_empty() || !text.bytes().all(plain) {
        let message = format!("a fault cannot be called `{text}`");
        said.wrong_because(&name.at, message, "use letters, digits, `-` and `_`");
    }
    if text == "normal" || text == "spike" {
        said.wrong(&name.at, format!("`{text}` already names a phase of every run"));
    }
}

fn places(
    name: &Spanned<String>,
    spec: &FaultSpec,
    fleet: Fleet<'_>,
    said: &mut Said,
) -> Option<Vec<DeploymentId>> {
    if spec.on.is_empty() {
        lacks(name, "this fault is on nothing", "on = \"biggest\"", said);
        return None;
    }
    let mut on = Vec::new();
    let mut all_read = true;
    for text in &spec.on {
        match Selector::parse(&text.value) {
            Some(selector) => on.extend(selector.find(fleet)),
            None => {
                all_read = false;
                let message = format!("`{}` selects nothing", text.value);
                said.wrong_because(&text.at, message, FORMS);
            }
        }
    }
    on.sort_unstable();
    on.dedup();
    all_read.then_some(on)
}

fn effect(name: &Spanned<String>, spec: &FaultSpec, said: &mut Said) -> Option<Effect> {
    let brownout = spec.errors.is_some() || spec.ttft.is_some() || spec.per_token.is_some();
    let named =
        [spec.outage.is_some(), brownout, spec.rate_limits.is_some(), spec.answers.is_some()];
    match named.iter().filter(|&&is| is).count() {
        1 => {}
        0 => {
            let hint = "give it `outage`, `rate_limits`, `answers`, or some of `errors`, `ttft` \
                        and `per_token`";
            lacks(name, "this fault does nothing", hint, said);
            return None;
        }
        _ => {
            let message = "this fault does several things at once";
            said.wrong_because(&name.at, message, "make each a fault of its own");
            return None;
        }
    }
    if let Some(text) = &spec.outage {
        let outage = outage(&text.value);
        if outage.is_none() {
            let message = format!("`{}` is no outage", text.value);
            let hint = "write `refuse`, `black-hole` or a status from 400 to 599";
            said.wrong_because(&text.at, message, hint);
        }
        return outage.map(Effect::Outage);
    }
    if let Some(storm) = &spec.rate_limits {
        return Some(Effect::Storm { retry_after: storm.value.retry_after });
    }
    if let Some(texts) = &spec.answers {
        return answers(texts, said);
    }
    Some(Effect::Brownout {
        errors: spec.errors.as_ref().map_or(Ratio::ZERO, |errors| errors.value),
        first_token: spec.ttft.as_ref().map_or(1.0, |times| times.value),
        per_token: spec.per_token.as_ref().map_or(1.0, |times| times.value),
        delay: Span::ZERO,
    })
}

fn lacks(name: &Spanned<String>, message: &str, hint: &str, said: &mut Said) {
    let (message, hint) = (message.to_owned(), Some(hint.to_owned()));
    said.lacks(&name.at, Mistake { at: name.at.clone(), message, hint });
}

fn outage(text: &str) -> Option<Outage> {
    match text {
        "refuse" => Some(Outage::Refuse),
        "black-hole" => Some(Outage::BlackHole),
        status => {
            let status = status.parse().ok()?;
            kind_of(status).map(|_| Outage::Status(status))
        }
    }
}

fn answers(texts: &Spanned<Vec<Spanned<String>>>, said: &mut Said) -> Option<Effect> {
    if texts.value.is_empty() {
        said.wrong(&texts.at, "there is no answer in the list");
    }
    let mut read = Vec::new();
    for text in &texts.value {
        match answer(&text.value) {
            Some(answer) => read.push(answer),
            None => {
                let message = format!("`{}` is no answer", text.value);
                let hint = "write `ok`, or a status such as `429`, perhaps with `retry-after=5` \
                            (seconds, up to 31 d) or a failure's name such as `quota-spent`";
                said.wrong_because(&text.at, message, hint);
            }
        }
    }
    (read.len() == texts.value.len() && !read.is_empty()).then_some(Effect::Answers(read))
}

/// As any other time of a scenario.
const WAIT_MAX: Span = Span::from_secs(31 * 86_400);

fn answer(text: &str) -> Option<Answer> {
    if text.trim() == "ok" {
        return Some(Answer::Ok);
    }
    let mut words = text.split_ascii_whitespace();
    let status: u16 = words.next()?.parse().ok()?;
    let mut kind = kind_of(status)?;
    let mut retry_after = None;
    for word in words {
        if let Some(wait) = word.strip_prefix("retry-after=") {
            let wait: Span = if wait.bytes().all(|b| b.is_ascii_digit()) {
                format!("{wait}s").parse().ok()?
            } else {
                wait.parse().ok()?
            };
            retry_after = Some(wait).filter(|wait| *wait <= WAIT_MAX);
            retry_after?;
        } else {
            kind = FailureKind::ALL.into_iter().find(|kind| kind.name() == word)?;
        }
    }
    let retry_after = retry_after.map(ComeBack::In);
    Some(Answer::Fail { status, kind, retry_after, should_retry: None })
}

/// What a driver makes of a status without a body.
fn kind_of(status: u16) -> Option<FailureKind> {
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(429|[0-9]{0,5}| ?)(retry-after=|.)?.{0,20}") {
            let _ = (answer(&text), outage(&text), Selector::parse(&text));
        }
    }

    #[test]
    fn an_answer_is_a_status_with_a_wait_or_a_kind() {
        let fail = |status, kind, retry_after| {
            Some(Answer::Fail { status, kind, retry_after, should_retry: None })
        };
        let five = Some(ComeBack::In(Span::from_secs(5)));
        assert_eq!(answer("ok"), Some(Answer::Ok));
        assert_eq!(answer("429 retry-after=5"), fail(429, FailureKind::RateLimit, five));
        assert_eq!(answer("429 retry-after=5000ms"), fail(429, FailureKind::RateLimit, five));
        assert_eq!(answer("429 quota-spent"), fail(429, FailureKind::QuotaSpent, None));
        assert_eq!(answer("529"), fail(529, FailureKind::Server, None));
        for wrong in [
            "",
            "OK",
            "200",
            "429 retry-after",
            "429 retry-after=-1",
            "429 soon",
            "999",
            "429 retry-after=2678401",
        ] {
            assert_eq!(answer(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_outage_is_a_way_of_not_answering() {
        assert_eq!(outage("503"), Some(Outage::Status(503)));
        assert_eq!(outage("black-hole"), Some(Outage::BlackHole));
        assert_eq!(outage("200"), None);
        assert_eq!(outage("off"), None);
    }
}
