//! Tables of text for a terminal: numbers aligned, nothing wider than the page.

/// The widest line of a summary, in columns.
pub(crate) const PAGE: usize = 100;

/// Which side a column's cells stand on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Side {
    Left,
    Right,
}

/// Rows of cells under a heading.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    /// A name may stand above those of further columns, with a line break before its own part.
    columns: Vec<(String, Side)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(columns: &[(&str, Side)]) -> Self {
        let columns = columns.iter().map(|(name, side)| ((*name).to_owned(), *side)).collect();
        Self { columns, rows: Vec::new() }
    }

    /// One more row, with a cell for each column.
    pub(crate) fn row(&mut self, cells: Vec<String>) {
        assert_eq!(cells.len(), self.columns.len(), "a cell for each column");
        self.rows.push(cells);
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The same with every cell passed through `change`.
    pub(crate) fn map(mut self, change: impl Fn(&str) -> String) -> Self {
        self.rows.iter_mut().flatten().for_each(|cell| *cell = change(cell));
        self
    }

    /// Names and sides of the columns.
    pub(crate) fn columns(&self) -> &[(String, Side)] {
        &self.columns
    }

    /// The cells.
    pub(crate) fn rows(&self) -> &[Vec<String>] {
        &self.rows
    }

    /// The heading, and the lines below it. The first column gives way if the page is too
    /// narrow; a last column that stands left is wrapped within what is left of the page.
    pub(crate) fn lines(&self) -> (Vec<String>, Vec<String>) {
        let names: Vec<String> =
            self.columns.iter().map(|(name, _)| own(name).to_owned()).collect();
        let mut widths: Vec<usize> = names.iter().map(|name| columns(name)).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(columns(cell));
            }
        }
        let last = widths.len() - 1;
        let wraps = last > 0 && self.columns[last].1 == Side::Left;
        let others: usize = widths[1..if wraps { last } else { last + 1 }].iter().sum();
        let gaps = 2 * last;
        let least_last = if wraps { widths[last].min(PAGE / 4) } else { 0 };
        widths[0] = widths[0].min(PAGE.saturating_sub(others + gaps + least_last).max(8));
        if wraps {
            let rest = PAGE.saturating_sub(widths[0] + others + gaps).max(16);
            widths[last] = widths[last].min(rest);
        }
        let mut heading: Vec<String> = self.above(&widths).into_iter().collect();
        heading.extend(self.line(&names, &widths));
        (heading, self.rows.iter().flat_map(|row| self.line(row, &widths)).collect())
    }

    /// What stands above several columns' names, if anything does.
    fn above(&self, widths: &[usize]) -> Option<String> {
        let mut text = String::new();
        let mut at = 0;
        for ((name, _), width) in self.columns.iter().zip(widths) {
            if let Some((above, _)) = name.split_once('\n') {
                text.push_str(&" ".repeat(at - columns(&text).min(at)));
                text.push_str(above);
            }
            at += width + 2;
        }
        (!text.is_empty()).then_some(text)
    }

    fn line(&self, cells: &[String], widths: &[usize]) -> Vec<String> {
        let last = cells.len() - 1;
        let mut text = String::new();
        for (i, (cell, &width)) in cells.iter().zip(widths).enumerate().take(last) {
            let cell = if i == 0 { cut(cell, width) } else { cell.clone() };
            text.push_str(&pad(&cell, width, self.columns[i].1));
            text.push_str("  ");
        }
        let indent = columns(&text);
        if self.columns[last].1 == Side::Right || last == 0 {
            text.push_str(&pad(&cells[last], widths[last], self.columns[last].1));
            return vec![text.trim_end().to_owned()];
        }
        let mut lines = wrap(&cells[last], widths[last]);
        for (i, line) in lines.iter_mut().enumerate() {
            let before = if i == 0 { text.clone() } else { " ".repeat(indent) };
            *line = (before + line).trim_end().to_owned();
        }
        lines
    }
}

/// The part of a column's name that stands over it alone.
fn own(name: &str) -> &str {
    name.rsplit_once('\n').map_or(name, |(_, own)| own)
}

/// How many columns of a terminal `text` takes: one per character, which holds for the
/// alphabets of names that we know of.
pub(crate) fn columns(text: &str) -> usize {
    text.chars().count()
}

/// `text`, or its beginning, an ellipsis and its end: names tend to differ at their ends.
pub(crate) fn cut(text: &str, width: usize) -> String {
    let letters: Vec<char> = text.chars().collect();
    if letters.len() <= width {
        return text.to_owned();
    }
    let end = width.saturating_sub(1) / 2;
    let begin = width.saturating_sub(1) - end;
    letters[..begin].iter().chain(&['…']).chain(&letters[letters.len() - end..]).collect()
}

fn pad(text: &str, width: usize, side: Side) -> String {
    let space = " ".repeat(width.saturating_sub(columns(text)));
    match side {
        Side::Left => text.to_owned() + &space,
        Side::Right => space + text,
    }
}

/// `text` in lines of at most `width` columns, broken between words, but not between a number
/// and its unit; a longer word stays whole.
pub(crate) fn wrap(text: &str, width: usize) -> Vec<String> {
    const UNITS: [&str; 8] = ["%", "s", "ms", "us", "µs", "min", "h", "USD"];
    let mut words: Vec<String> = Vec::new();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let bare = word.trim_end_matches([',', ';', ')', '.', ':']);
        match words.last_mut().filter(|last| last.ends_with(|c: char| c.is_ascii_digit())) {
            Some(last) if UNITS.contains(&bare) => {
                last.push(' ');
                last.push_str(word);
            }
            Some(_) | None => words.push(word.to_owned()),
        }
    }
    let mut lines = vec![String::new()];
    for word in &words {
        let at = lines.len() - 1;
        let line = &mut lines[at];
        if line.is_empty() {
            line.push_str(word);
        } else if columns(line) + 1 + columns(word) <= width {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.clone());
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_right_and_remarks_wrap() {
        let mut table =
            Table::new(&[("name", Side::Left), ("n", Side::Right), ("remark", Side::Left)]);
        table.row(vec!["a".to_owned(), "1,200".to_owned(), "word ".repeat(40)]);
        table.row(vec!["b".to_owned(), "7".to_owned(), String::new()]);
        let (heading, lines) = table.lines();
        assert_eq!(heading, ["name      n  remark"]);
        assert!(lines[0].starts_with("a     1,200  word word"), "{}", lines[0]);
        assert!(lines[1].starts_with("             word"), "{}", lines[1]);
        assert_eq!(lines[lines.len() - 1], "b         7");
        assert!(lines.iter().all(|line| columns(line) <= PAGE));
    }

    #[test]
    fn a_name_may_stand_above_several_columns() {
        let columns = ["name", "total\np50", "p95"].map(|name| (name, Side::Right));
        let mut table = Table::new(&columns);
        table.row(["a", "1", "2"].map(str::to_owned).to_vec());
        assert_eq!(table.lines().0, ["      total", "name  p50  p95"]);
    }

    #[test]
    fn a_name_without_end_gives_way() {
        let mut table = Table::new(&[("name", Side::Left), ("n", Side::Right)]);
        table.row(vec!["x".repeat(300), "1".to_owned()]);
        let (_, lines) = table.lines();
        assert_eq!(columns(&lines[0]), PAGE);
        assert!(lines[0].contains('…'));
    }

    #[test]
    fn a_name_too_long_keeps_both_ends_and_a_number_its_unit() {
        assert_eq!(cut("deployment-07", 9), "depl…t-07");
        assert_eq!(wrap("wanted < 60 s; and more", 11), ["wanted <", "60 s; and", "more"]);
    }
}
