//! Comma-separated rows whose numbers have a fixed form: whole-number arithmetic throughout, so
//! that every machine writes the same digits.

use router_core::Span;

/// Rows under a heading.
pub(crate) struct Rows(csv::Writer<Vec<u8>>);

impl Rows {
    pub(crate) fn new(columns: &[&str]) -> Self {
        let mut rows = Self(csv::Writer::from_writer(Vec::new()));
        rows.row(columns.iter().map(|name| (*name).to_owned()).collect());
        rows
    }

    /// One more row, as long as the first.
    pub(crate) fn row(&mut self, cells: Vec<String>) {
        let cells = cells.iter().map(|cell| crate::words::clean(cell));
        self.0.write_record(cells.map(String::into_bytes)).expect("rows are equally long");
    }

    /// All of it.
    pub(crate) fn finish(self) -> String {
        let bytes = self.0.into_inner().expect("memory takes every row");
        String::from_utf8(bytes).expect("every cell was text")
    }
}

/// Nanoseconds as seconds, to the microsecond.
pub(crate) fn seconds(ns: u64) -> String {
    fixed(u128::from(ns), 1_000_000_000, 6)
}

/// As milliseconds, to the microsecond.
pub(crate) fn millis(span: Span) -> String {
    fixed(u128::from(span.as_nanos()), 1_000_000, 3)
}

/// As milliseconds, or nothing.
pub(crate) fn maybe_millis(span: Option<Span>) -> String {
    span.map_or_else(String::new, millis)
}

/// Pico-dollars as dollars, to the millionth.
pub(crate) fn dollars(pico: u128) -> String {
    fixed(pico, 1_000_000_000_000, 6)
}

/// Pico-dollars as dollars, all of them.
pub(crate) fn exact_dollars(pico: u128) -> String {
    fixed(pico, 1_000_000_000_000, 12)
}

/// `part` of `whole`, to the millionth; nothing if there is no whole.
pub(crate) fn share(part: u64, whole: u64) -> String {
    ratio(part.into(), whole.into())
}

/// The same, of money.
pub(crate) fn ratio(part: u128, whole: u128) -> String {
    if whole == 0 { String::new() } else { fixed(part, whole, 6) }
}

/// `n / unit`, rounded to `decimals`, halves up.
fn fixed(n: u128, unit: u128, decimals: u32) -> String {
    let scale = 10_u128.pow(decimals);
    let (whole, rest) = (n / unit, n % unit);
    let part = (rest * scale + unit / 2) / unit;
    let (whole, part) = if part == scale { (whole + 1, 0) } else { (whole, part) };
    format!("{whole}.{part:0width$}", width = decimals as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_fixed_and_rounded() {
        assert_eq!(seconds(1_999_999_500), "2.000000");
        assert_eq!(millis(Span::from_nanos(612_345_678)), "612.346");
        assert_eq!(dollars(4_120_000_000), "0.004120");
        assert_eq!((share(1, 3), share(3, 3), share(0, 0)), {
            ("0.333333".to_owned(), "1.000000".to_owned(), String::new())
        });
    }
}
