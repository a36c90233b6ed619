//! `docs/validation.md`: its table is written from what was measured. `SEAWALL_VALIDATION=write` writes
//! what is measured each time, `SEAWALL_VALIDATION=write-all` what takes long too.

use std::fs;

use super::cases::{Row, Unit};
use super::run::BATCH;
use super::{ENTRIES, Entry, Measured};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/validation.md");
/// Between these stands what is written by this module.
const MARKS: [&str; 2] = ["<!-- measured -->\n", "<!-- end of measured -->\n"];
const HEAD: &str = "| case | file | formula | exact | half-width allowed | measured | half-width (99.9 %) | in 95 % | run |\n\
                    |---|---|---|---|---|---|---|---|---|\n";
/// How many cells of a line say what is measured, before those that say what came of it.
const ASKED: usize = 5;
/// How many cells a line has.
const CELLS: usize = ASKED + 4;
/// The half-width that is allowed where nothing is said against it.
const USUAL: &str = "1 %";

fn wish(word: &str) -> bool {
    std::env::var_os("SEAWALL_VALIDATION").is_some_and(|asked| asked == word)
}

/// Whether what takes long is to be run too.
pub(super) fn all_are_asked_for() -> bool {
    wish("write-all")
}

#[test]
fn the_page_says_what_was_measured() {
    let old = fs::read_to_string(PAGE).expect("the page is there");
    let lines = ENTRIES.iter().flat_map(lines).collect::<Vec<_>>();
    let (new, complaints) = written(&old, &lines);
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    if wish("write") || wish("write-all") {
        fs::write(PAGE, new).expect("the page can be written");
    } else {
        let stale: Vec<&str> =
            new.lines().filter(|line| !old.lines().any(|known| known == *line)).collect();
        let stale = stale.join("\n");
        assert!(
            new == old,
            "run with `SEAWALL_VALIDATION=write`; docs/validation.md lacks\n{stale}"
        );
    }
}

/// A line of the table: what is measured, and what came of it if it was run.
#[derive(Debug)]
struct Line {
    asked: [String; ASKED],
    came: Option<[String; 4]>,
}

/// The lines of a case.
fn lines(entry: &Entry) -> Vec<Line> {
    let case = &entry.case;
    let measured = (!case.on_demand || all_are_asked_for()).then(|| entry.measured());
    let run = if case.on_demand {
        format!("on demand, {}", env!("CARGO_PKG_VERSION"))
    } else {
        "always".to_owned()
    };
    let line = |(at, row): (usize, &Row)| {
        let file = format!("`{}`", case.file);
        let exact = shown(row.exact, row.unit);
        let came = measured.map(|all| came(row, &all[at], run.clone()));
        let allowed = match row.unit {
            Unit::Never => "-".to_owned(),
            Unit::Number | Unit::Millis | Unit::Percent => {
                format!("{} %", (1_000.0 * row.most).round() / 10.0)
            }
        };
        Line { asked: [row.what.to_owned(), file, row.formula.to_owned(), exact, allowed], came }
    };
    case.rows.iter().enumerate().map(line).collect()
}

fn came(row: &Row, measured: &Measured, run: String) -> [String; 4] {
    if let Unit::Never = row.unit {
        return ["never".into(), "-".into(), "-".into(), run];
    }
    let mut half = format!("{:.2} %", 100.0 * measured.half / row.exact);
    if row.bias > 0.0 {
        half.push_str(&format!(", and {} % of the model", 100.0 * row.bias));
    }
    let (within, of) = measured.within;
    [shown(measured.mean, row.unit), half, format!("{within} of {of}"), run]
}

/// With five digits.
fn shown(value: f64, unit: Unit) -> String {
    let digits = |value: f64| {
        let before = value.log10().floor() as i32;
        format!("{value:.*}", usize::try_from(4 - before).unwrap_or(0))
    };
    match unit {
        Unit::Number => digits(value),
        Unit::Millis => format!("{} ms", digits(value)),
        Unit::Percent => format!("{} %", digits(100.0 * value)),
        Unit::Never => format!("{value:.1e}"),
    }
}

/// The page with these lines, and what is wrong with it. What was not run keeps what came of it
/// the last time, if it was asked the same.
fn written(old: &str, lines: &[Line]) -> (String, Vec<String>) {
    let [from, until] = MARKS.map(|mark| old.find(mark));
    let (Some(from), Some(until)) = (from, until) else {
        return (old.to_owned(), vec![format!("the page lacks {MARKS:?}")]);
    };
    let from = from + MARKS[0].len();
    let before: Vec<Vec<&str>> = old[from..until]
        .lines()
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    let (mut table, mut complaints) = (HEAD.to_owned(), Vec::new());
    let (mut held, mut tried) = (0, 0);
    let allowed: Vec<&str> = lines.iter().map(|line| line.asked[ASKED - 1].as_str()).collect();
    let bounded = allowed.iter().filter(|allowed| **allowed != "-").count();
    let usual = allowed.iter().filter(|allowed| **allowed == USUAL).count();
    for Line { asked, came } in lines {
        let known = before.iter().find(|cells| cells.len() == CELLS && cells[..ASKED] == asked[..]);
        let came: Vec<&str> = match (came, known) {
            (Some(came), _) => came.iter().map(String::as_str).collect(),
            (None, Some(known)) => known[ASKED..].to_vec(),
            (None, None) => {
                complaints.push(format!("{}: run with `SEAWALL_VALIDATION=write-all`", asked[0]));
                continue;
            }
        };
        if let Some((within, of)) = came[2].split_once(" of ") {
            held += within.parse::<usize>().unwrap_or(0);
            tried += of.parse::<usize>().unwrap_or(0);
        }
        table.push_str(&format!("| {} | {} |\n", asked.join(" | "), came.join(" | ")));
    }
    if held * 100 < tried * 86 {
        complaints
            .push(format!("only {held} of {tried} intervals of 95 % hold: they are too narrow"));
    }
    let expected = tried * 95 / 100;
    table.push_str(&format!(
        "\nOf {bounded} half-widths, {usual} may be at most {USUAL}, and the others what their rows \
         say. The test fails where one is wider.\n"
    ));
    table.push_str(&format!(
        "\nIn all, {held} of {tried} intervals of 95 % ({BATCH} seeds each) hold the exact value; \
         {expected} were to be expected.\n"
    ));
    (format!("{}{table}{}", &old[..from], &old[until..]), complaints)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(what: &str, came: Option<&str>) -> Line {
        let came = came.map(|mean| [mean, "1.00 %", "6 of 6", "always"].map(str::to_owned));
        Line { asked: [what, "`f`", "x", "2.0000", "1 %"].map(str::to_owned), came }
    }

    fn page(table: &str) -> String {
        format!("Words.\n{}{table}{}More.\n", MARKS[0], MARKS[1])
    }

    #[test]
    fn what_was_measured_replaces_what_stood_there_and_what_was_not_run_stays() {
        let (first, none) = written(&page(""), &[line("a", Some("1")), line("b", Some("2"))]);
        assert!(none.is_empty() && first.contains("| a | `f` | x | 2.0000 | 1 % | 1 |"), "{first}");
        let (again, _) = written(&first, &[line("a", Some("3")), line("b", None)]);
        assert!(again.contains("| 1 % | 3 |") && !again.contains("| 1 % | 1 |"), "{again}");
        assert!(again.contains("| b | `f` | x | 2.0000 | 1 % | 2 | 1.00 % | 6 of 6 | always |"));
        assert!(again.starts_with("Words.\n") && again.ends_with("More.\n"));
        assert!(again.contains("In all, 12 of 12 intervals"));
        assert!(again.contains("Of 2 half-widths, 2 may be at most 1 %"), "{again}");
        let mut wide = line("a", Some("1"));
        wide.asked[ASKED - 1] = "4 %".to_owned();
        let (wide, _) = written(&page(""), &[wide, line("b", Some("2"))]);
        assert!(wide.contains("Of 2 half-widths, 1 may be at most 1 %, and the others"), "{wide}");
    }

    #[test]
    fn a_page_that_cannot_be_right_is_found() {
        let (_, complaints) = written("nothing", &[]);
        assert_eq!(complaints.len(), 1);
        let (_, complaints) = written(&page(""), &[line("b", None)]);
        assert_eq!(complaints, ["b: run with `SEAWALL_VALIDATION=write-all`"]);
        let mut narrow = line("a", Some("1"));
        narrow.came.as_mut().expect("it was run")[2] = "3 of 6".to_owned();
        let (_, complaints) = written(&page(""), &[narrow]);
        assert_eq!(complaints, ["only 3 of 6 intervals of 95 % hold: they are too narrow"]);
    }
}
