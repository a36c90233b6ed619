//! The table of fields for machines (JSON Schema) and for people (Markdown).

use serde_json::{Map, Value, json};

use crate::field::{Absent, Field, Keys, Kind, Table};
use crate::quantity::Quantity;

/// A JSON Schema, draft 2020-12.
pub(crate) fn text(table: &Table) -> String {
    let mut schema = self::table(table);
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    format!("{schema:#}\n")
}

fn table(table: &Table) -> Value {
    let mut properties = Map::new();
    for field in table.now() {
        let mut schema = kind(&field.kind);
        schema["description"] = json!(field.doc);
        if let Some(default) = default(field) {
            schema["default"] = default;
        }
        properties.insert(field.name.to_owned(), schema);
    }
    let refused = table.now().filter(|field| matches!(field.absent, Absent::Refused));
    json!({
        "type": "object",
        "description": table.doc,
        "properties": properties,
        "required": refused.map(|field| field.name).collect::<Vec<_>>(),
        "additionalProperties": false,
    })
}

fn default(field: &Field) -> Option<Value> {
    let Absent::Is(text) = field.absent else {
        return None;
    };
    Some(match field.default_value()? {
        Quantity::Count(count) => json!(count),
        Quantity::Flag(flag) => json!(flag),
        Quantity::Text(_)
        | Quantity::Decimal(_)
        | Quantity::Time(_)
        | Quantity::Rate(_)
        | Quantity::Frequency(_)
        | Quantity::Share(_)
        | Quantity::Factor(_)
        | Quantity::Price(_)
        | Quantity::Trip(_)
        | Quantity::Verdict(_)
        | Quantity::Quantile(_)
        | Quantity::Spend(_)
        | Quantity::Crowd(_)
        | Quantity::Budget(_) => json!(text),
    })
}

fn kind(of: &Kind) -> Value {
    match of {
        Kind::Quantity(unit) | Kind::Within(unit, ..) => {
            json!({ "type": "string", "pattern": unit.pattern() })
        }
        Kind::Count { least, most } => {
            json!({ "type": "integer", "minimum": least, "maximum": most })
        }
        Kind::Decimal(least, most) => {
            let number = |text: &str| text.parse::<f64>().expect("a bound is a number");
            json!({ "type": "number", "minimum": number(least), "maximum": number(most) })
        }
        Kind::Flag => json!({ "type": "boolean" }),
        Kind::Text => json!({ "type": "string" }),
        Kind::Choice(words) => json!({ "enum": words }),
        Kind::Secret => json!({ "type": "string", "pattern": "^(env:[A-Za-z0-9_]+|file:.+)$" }),
        Kind::Endpoint => {
            let pattern = r"^(env:[A-Za-z0-9_]+|file:.+|https?://[^@?#\s]+)$";
            json!({ "type": "string", "pattern": pattern })
        }
        Kind::Table(inner) => table(inner),
        Kind::Short(inner, name) => {
            let short = inner.field(name).map(|field| kind(&field.kind));
            json!({ "anyOf": [table(inner), short] })
        }
        Kind::Map(keys, inner) => match keys {
            Keys::Any => json!({ "type": "object", "additionalProperties": kind(inner) }),
            Keys::Subject => json!({
                "type": "object",
                "additionalProperties": kind(inner),
                "propertyNames": { "pattern": r"^[A-Za-z0-9._/-]+=(\*|[A-Za-z0-9._/-]+)$" },
            }),
            Keys::Name => json!({
                "type": "object",
                "additionalProperties": kind(inner),
                "propertyNames": { "pattern": "^[A-Za-z0-9._/-]+$" },
            }),
        },
        Kind::Many(inner) => {
            let one = kind(inner);
            json!({ "anyOf": [one, { "type": "array", "items": one }] })
        }
        Kind::List(inner) => json!({ "type": "array", "items": kind(inner) }),
        Kind::Either(kinds) => json!({ "anyOf": kinds.iter().map(kind).collect::<Vec<_>>() }),
        Kind::Later | Kind::Elsewhere => Value::Bool(false),
    }
}

/// Every table with its keys, in Markdown.
pub(crate) fn reference(root: &Table) -> String {
    let mut text = format!("{}\n", root.doc);
    section(root, "", &mut text);
    text
}

fn section(table: &Table, path: &str, text: &mut String) {
    let heading = if path.is_empty() { "Top of the file" } else { path };
    text.push_str(&format!("\n## {heading}\n\n"));
    if !path.is_empty() {
        text.push_str(&format!("{}\n\n", table.doc));
    }
    text.push_str("| key | holds | default | what it is |\n|---|---|---|---|\n");
    for field in table.fields {
        let default = match field.absent {
            Absent::Refused => "required".to_owned(),
            Absent::Is(text) if !text.is_empty() => format!("`{text}`"),
            Absent::Is(_) | Absent::Nothing | Absent::Empty => String::new(),
        };
        let holds = if matches!(field.kind, Kind::Later) {
            "not in this version".to_owned()
        } else if matches!(field.kind, Kind::Elsewhere) {
            "no key".to_owned()
        } else {
            field.kind.noun()
        };
        text.push_str(&format!("| `{}` | {holds} | {default} | {} |\n", field.name, field.doc));
    }
    for field in table.fields {
        let path =
            if path.is_empty() { field.name.to_owned() } else { format!("{path}.{}", field.name) };
        below(&field.kind, &path, text);
    }
}

fn below(kind: &Kind, path: &str, text: &mut String) {
    match kind {
        Kind::Table(table) | Kind::Short(table, _) => section(table, path, text),
        Kind::Map(_, kind) => below(kind, &format!("{path}.NAME"), text),
        Kind::Many(kind) | Kind::List(kind) => below(kind, path, text),
        Kind::Either(kinds) => kinds.iter().for_each(|kind| below(kind, path, text)),
        Kind::Quantity(_)
        | Kind::Within(..)
        | Kind::Count { .. }
        | Kind::Decimal(..)
        | Kind::Flag
        | Kind::Text
        | Kind::Choice(_)
        | Kind::Secret
        | Kind::Endpoint
        | Kind::Later
        | Kind::Elsewhere => {}
    }
}
