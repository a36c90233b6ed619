//! Values without parts: what shape they have, and whether they are what their key holds.

use toml::de::{DeInteger, DeValue};

use crate::diagnostic::did_you_mean;
use crate::field::Kind;
use crate::foreign;
use crate::quantity::{Bad, Quantity};

/// Whether a thing of a router may be called so.
pub(crate) fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'/' | b'-'))
}

/// Whether it is `KIND=NAME` or `KIND=*`.
pub(super) fn is_subject(text: &str) -> bool {
    text.split_once('=').is_some_and(|(kind, name)| is_name(kind) && (name == "*" || is_name(name)))
}

/// Whether `text` says where a secret is, instead of being one.
pub(super) fn is_reference(text: &str) -> bool {
    let variable = |name: &str| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    text.strip_prefix("env:").is_some_and(variable)
        || text.strip_prefix("file:").is_some_and(|path| !path.trim().is_empty())
}

pub(super) fn is_url(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    rest.is_some_and(|rest| {
        !rest.is_empty() && !rest.contains(['@', '?', '#']) && !rest.contains(char::is_whitespace)
    })
}

/// Whether what is written may be meant as `kind`, going by its type alone.
pub(super) fn has_shape(kind: &Kind, written: &DeValue<'_>) -> bool {
    match kind {
        Kind::Quantity(_) | Kind::Within(..) => written.is_str(),
        Kind::Text | Kind::Choice(_) | Kind::Secret | Kind::Endpoint => written.is_str(),
        Kind::Count { .. } => written.is_integer(),
        Kind::Decimal(..) => written.is_float() || written.is_integer(),
        Kind::Flag => written.is_bool(),
        Kind::Table(_) | Kind::Map(..) => written.is_table(),
        Kind::List(_) => written.is_array(),
        Kind::Short(..) | Kind::Many(_) | Kind::Either(_) => true,
        Kind::Later | Kind::Elsewhere => false,
    }
}

/// A text of a kind that has a unit.
pub(super) fn measured(kind: &Kind, text: &str) -> Result<Quantity, Bad> {
    if let Kind::Within(unit, least, most) = kind {
        unit.parse_within(text, least, most)
    } else if let Kind::Quantity(unit) = kind {
        unit.parse(text)
    } else {
        unreachable!("only these have a unit")
    }
}

pub(super) fn counted(number: &DeInteger<'_>, least: u64, most: u64) -> Result<Quantity, Bad> {
    let digits = number.as_str().replace('_', "");
    let value = i128::from_str_radix(&digits, number.radix()).ok();
    let fits = value.and_then(|value| u64::try_from(value).ok());
    match fits.filter(|value| (least..=most).contains(value)) {
        Some(value) => Ok(Quantity::Count(value)),
        None => {
            let hint = format!("it must be between {least} and {most}");
            Err(Bad { reason: format!("{number} is out of range"), hint })
        }
    }
}

/// A whole number such as `128k` as TOML has it; `None` if it is none.
pub(super) fn written_out(text: &str) -> Option<String> {
    let (digits, zeros) = match text.trim().strip_suffix(['k', 'K']) {
        Some(digits) => (digits, "_000"),
        None => (text.trim().strip_suffix('M')?, "_000_000"),
    };
    let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| format!("{digits}{zeros}"))
}

pub(super) fn chosen(words: &[&'static str], text: &str) -> Result<Quantity, Bad> {
    if words.contains(&text) {
        return Ok(Quantity::Text(text.to_owned()));
    }
    let shown: String = text.chars().take(40).collect();
    let theirs = foreign::word(text);
    let hint = theirs.unwrap_or_else(|| did_you_mean(text, words.iter().copied()));
    Err(Bad { reason: format!("there is no `{shown}`"), hint })
}
