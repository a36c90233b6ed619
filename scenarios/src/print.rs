//! The effective configuration: what was read, with every default, as a file again.

use crate::field::{Field, Kind, Table};
use crate::quantity::Quantity;
use crate::read::{Node, Section, Value};

/// The file that reads as `root`.
pub(crate) fn file(root: &Section) -> String {
    let mut printer = Printer { text: String::new(), explained: Vec::new() };
    printer.explain(root.table);
    for entry in &root.entries {
        match entry.node.as_ref().map(|node| &node.value) {
            Some(Value::Of(_) | Value::List(_)) => printer.entry("", root, entry.field, true),
            Some(Value::Table(_) | Value::Map(_)) | None => {}
        }
    }
    for entry in &root.entries {
        let name = entry.field.name;
        match entry.node.as_ref().map(|node| &node.value) {
            Some(Value::Table(section)) => printer.block(name, section),
            Some(Value::Map(map)) => printer.blocks(entry.field, map),
            Some(Value::Of(_) | Value::List(_)) | None => {}
        }
    }
    printer.text
}

struct Printer {
    text: String,
    /// Tables whose keys have been explained: once is enough.
    explained: Vec<&'static Table>,
}

impl Printer {
    /// Whether `table` is met for the first time; if so, says what it is.
    fn explain(&mut self, table: &'static Table) -> bool {
        let new = !self.explained.iter().any(|known| std::ptr::eq(*known, table));
        if new {
            self.explained.push(table);
            self.text.push_str(&format!("# {}\n", table.doc));
        }
        new
    }

    fn block(&mut self, path: &str, section: &Section) {
        self.text.push('\n');
        let new = self.explain(section.table);
        self.text.push_str(&format!("[{path}]\n"));
        self.entries("", section, new);
    }

    /// A table of tables, or a table of values under one header.
    fn blocks(&mut self, field: &Field, map: &[(crate::written::Spanned<String>, Node)]) {
        let mut headed = false;
        for (name, node) in map {
            if let Value::Table(section) = &node.value {
                self.block(&format!("{}.{}", field.name, key(&name.value)), section);
                continue;
            }
            if !headed {
                self.text.push_str(&format!("\n# {}\n[{}]\n", field.doc, field.name));
                headed = true;
            }
            self.text.push_str(&format!("{} = {}\n", key(&name.value), one_or_all(node)));
        }
    }

    fn entries(&mut self, path: &str, section: &Section, new: bool) {
        for entry in &section.entries {
            self.entry(path, section, entry.field, new);
        }
    }

    /// One key; a table in it becomes dotted keys, so that each has a line and a sentence.
    fn entry(&mut self, path: &str, section: &Section, field: &Field, new: bool) {
        let path = format!("{path}{}", field.name);
        let Some(node) = section.node(field.name) else {
            if new {
                self.text.push_str(&format!("# {path}: {} (not set)\n", field.doc));
            }
            return;
        };
        match &node.value {
            Value::Table(inner) => {
                let new = !self.explained.iter().any(|known| std::ptr::eq(*known, inner.table));
                if new {
                    self.explained.push(inner.table);
                }
                self.entries(&format!("{path}."), inner, new);
            }
            Value::Map(map) => {
                for (name, node) in map {
                    let path = format!("{path}.{}", key(&name.value));
                    self.line(&path, &inline(node), "");
                }
            }
            Value::Of(_) | Value::List(_) => {
                let default = if section.is_written(field.name) { "" } else { " (default)" };
                let doc = if new { field.doc } else { "" };
                let many = matches!(field.kind, Kind::Many(_));
                let value = if many { one_or_all(node) } else { inline(node) };
                self.line(&path, &value, format!("{doc}{default}").trim_start());
            }
        }
    }

    fn line(&mut self, path: &str, value: &str, comment: &str) {
        let line = format!("{path} = {value}");
        if comment.is_empty() {
            self.text.push_str(&format!("{line}\n"));
        } else {
            self.text.push_str(&format!("{line:44} # {comment}\n"));
        }
    }
}

/// A list of one as that one.
fn one_or_all(node: &Node) -> String {
    match &node.value {
        Value::List(list) if list.len() == 1 => inline(&list[0]),
        Value::Of(_) | Value::Table(_) | Value::Map(_) | Value::List(_) => inline(node),
    }
}

/// A value on one line.
fn inline(node: &Node) -> String {
    match &node.value {
        Value::Of(quantity) => of(quantity),
        Value::List(list) => {
            format!("[{}]", list.iter().map(inline).collect::<Vec<_>>().join(", "))
        }
        Value::Table(section) => braced(section.entries.iter().filter_map(|entry| {
            let node = entry.node.as_ref()?;
            Some(format!("{} = {}", entry.field.name, inline(node)))
        })),
        Value::Map(map) => braced(
            map.iter().map(|(name, node)| format!("{} = {}", key(&name.value), inline(node))),
        ),
    }
}

fn braced(entries: impl Iterator<Item = String>) -> String {
    let entries: Vec<String> = entries.collect();
    if entries.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", entries.join(", ")) }
}

fn of(quantity: &Quantity) -> String {
    match quantity {
        Quantity::Count(_) | Quantity::Decimal(_) | Quantity::Flag(_) => quantity.to_string(),
        Quantity::Text(_)
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
        | Quantity::Budget(_) => quoted(&quantity.to_string()),
    }
}

/// A key, quoted if it must be.
fn key(name: &str) -> String {
    let bare = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
    if !name.is_empty() && name.bytes().all(bare) { name.to_owned() } else { quoted(name) }
}

fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
