//! Tables of parts that add up to what stands below them, to the last digit shown.

use crate::page::{Ink, Page};
use crate::table::{PAGE, columns, wrap};
use crate::words::{grouped, percent};

/// Widths of the numbers.
const AMOUNT: usize = 12;
const SHARE: usize = 9;

/// A row of a table.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) remark: String,
    pub(super) part: Part,
}

/// What a row counts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Part {
    /// What stands below it, up to the next of its kind.
    Sum,
    Of(u128),
}

/// How parts are shown: in so many decimals of a unit, each part over `of`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measure {
    /// What one unit of the last decimal is worth.
    pub(super) grain: u128,
    pub(super) decimals: usize,
    pub(super) before: &'static str,
    pub(super) after: &'static str,
}

impl Measure {
    /// Nanoseconds, over so many calls.
    pub(super) const fn seconds(of: u64) -> Self {
        Self { grain: of as u128 * 1_000_000, decimals: 3, before: "", after: " s" }
    }

    fn text(self, grains: u128) -> String {
        let unit = 10_u128.pow(u32::try_from(self.decimals).unwrap_or(0));
        let whole = grouped(&(grains / unit).to_string());
        let Self { before, after, decimals, .. } = self;
        if decimals == 0 {
            return format!("{before}{whole}{after}");
        }
        format!("{before}{whole}.{:0decimals$}{after}", grains % unit)
    }
}

/// The rows, and below them what they add up to.
pub(super) fn table(
    page: &mut Page,
    heading: &str,
    rows: &[Row],
    measure: Measure,
    together: &str,
) {
    let parts: Vec<u128> = rows
        .iter()
        .map(|row| match row.part {
            Part::Of(part) => part,
            Part::Sum => 0,
        })
        .collect();
    let shown = rounded(&parts, measure.grain);
    let nested = rows.iter().any(|row| row.part == Part::Sum);
    let below = |from: usize, each: &[u128]| -> u128 {
        let own = rows[from + 1..].iter().take_while(|row| row.part != Part::Sum).count();
        each[from + 1..=from + own].iter().sum()
    };
    let indent = |row: &Row| if nested && row.part != Part::Sum { 4 } else { 2 };
    let names = rows.iter().map(|row| indent(row) + columns(&row.name));
    let most = PAGE - AMOUNT - SHARE - 22;
    let width = names.chain([columns(together) + 2]).max().unwrap_or(0).min(most);
    let (all, sum): (u128, u128) = (parts.iter().sum(), shown.iter().sum());
    page.line(Ink::Bold, heading);
    for (i, row) in rows.iter().enumerate() {
        let (part, amount) = match row.part {
            Part::Of(part) => (part, shown[i]),
            Part::Sum => (below(i, &parts), below(i, &shown)),
        };
        let share = if all > 0 { percent(part as f64 / all as f64) } else { String::new() };
        let ink = if row.part == Part::Sum || !nested { Ink::Plain } else { Ink::Dim };
        let space = " ".repeat(indent(row));
        let mut names = wrap(&row.name, width - space.len());
        let (first, room) = (names.remove(0), width - space.len());
        let (amount, remark) = (measure.text(amount), &row.remark);
        let line = format!("{space}{first:<room$}{amount:>AMOUNT$}{share:>SHARE$}  {remark}");
        page.line(ink, line.trim_end());
        names.iter().for_each(|more| page.line(ink, &format!("{space}  {more}")));
    }
    let sum = measure.text(sum);
    page.line(Ink::Bold, &format!("  {together:<0$}{sum:>AMOUNT$}{1:>SHARE$}", width - 2, "100 %"));
}

/// Each part over `unit`, rounded so that together they are the rounded whole: the largest
/// remainders are rounded up (Hamilton's method).
fn rounded(parts: &[u128], unit: u128) -> Vec<u128> {
    let unit = unit.max(1);
    let all: u128 = parts.iter().sum();
    let mut shown: Vec<u128> = parts.iter().map(|part| part / unit).collect();
    let whole = (all + unit / 2) / unit;
    let missing = whole.saturating_sub(shown.iter().sum());
    let mut order: Vec<usize> = (0..parts.len()).collect();
    order.sort_by_key(|&i| std::cmp::Reverse(parts[i] % unit));
    for i in order.into_iter().take(usize::try_from(missing).unwrap_or(0)) {
        shown[i] += 1;
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounded_parts_add_up_to_the_rounded_whole() {
        assert_eq!(rounded(&[333, 333, 334], 100), [3, 3, 4]);
        assert_eq!(rounded(&[149, 149], 100), [2, 1]);
        assert_eq!(rounded(&[40, 40, 40], 100), [1, 0, 0]);
        assert_eq!(rounded(&[], 100), [0; 0]);
    }

    #[test]
    fn a_row_of_sums_is_what_is_shown_below_it() {
        let row = |name: &str, part| Row { name: name.to_owned(), remark: String::new(), part };
        let rows = [
            row("lost", Part::Sum),
            row("one", Part::Of(1_400_000)),
            row("two", Part::Of(1_400_000)),
            row("none", Part::Sum),
            row("rest", Part::Sum),
            row("three", Part::Of(1_200_000)),
        ];
        let mut page = Page::new(false);
        table(&mut page, "time", &rows, Measure::seconds(1), "all of it");
        let text = page.finish();
        let numbers: Vec<&str> =
            text.lines().filter_map(|l| l.split_whitespace().rev().nth(3)).collect();
        assert_eq!(
            numbers,
            ["0.003", "0.002", "0.001", "0.000", "0.001", "0.001", "0.004"],
            "{text}"
        );
    }
}
