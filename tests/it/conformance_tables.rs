//! The tables of `docs/conformance.md` say nothing that is not so: the tests that they name are
//! there, and those that were written for them stand in them. As in [`crate::tidy`], each check is
//! a function from text to complaints.

use std::collections::BTreeSet;

use crate::tidy::text_files;

/// Where a person reads it.
const PAGE: &str = "docs/conformance.md";
/// How many of the reference's tests are judged.
const FACTS: usize = 36;

#[test]
fn every_test_that_a_table_names_exists_and_every_row_says_something() {
    let page = &text_files(PAGE, "")[0].1;
    let complaints = unproven(page, &tests_of(&sources()));
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

#[test]
fn every_test_written_for_the_tables_stands_in_one() {
    let page = &text_files(PAGE, "")[0].1;
    let named: BTreeSet<String> = rows(page).iter().flat_map(|row| shown_by(row)).collect();
    let own = sources().into_iter().filter(|(path, _)| {
        path.starts_with("tests/it/conformance_") && !path.ends_with("_tables.rs")
    });
    let silent: Vec<String> =
        tests_of(&own.collect::<Vec<_>>()).into_iter().filter(|t| !named.contains(t)).collect();
    assert!(silent.is_empty(), "{PAGE} names none of\n{}", silent.join("\n"));
}

#[test]
fn a_row_without_a_test_or_with_one_that_is_gone_is_found() {
    let tests = BTreeSet::from(["it_holds".to_owned()]);
    let page = "| fault | where | ours free of it |\n|---|---|---|\n\
                | a | b | `it_holds` |\n| c | `d` | `it_held` |\n| e | f | |\n";
    let facts = "| n | theirs | here | why | shown by |\n|---|---|---|---|---|\n\
                 | 1 | `a` | shared | | `it_holds` |\n| 3 | `b` | different | | `it_holds` |\n\
                 | 4 | `c` | not ours | no such thing | |\n| 5 | `d` | perhaps | x | |\n";
    let mut wanted = vec![
        "no test is called `it_held`".to_owned(),
        "`e` names no test".to_owned(),
        "3 is different, and does not say why".to_owned(),
        "5 is `perhaps`".to_owned(),
        "`5` names no test".to_owned(),
        "2 is missing".to_owned(),
    ];
    wanted.extend((6..=FACTS).map(|n| format!("{n} is missing")));
    assert_eq!(unproven(&format!("{page}\n{facts}"), &tests), wanted);
}

#[test]
fn what_is_no_test_is_not_taken_for_one() {
    let code = "fn helper() {}\n#[test]\nfn one() {}\n\n    #[test]\n    fn two(n in 0..3) {}\n\
                #[test]\n#[cfg(x)]\nfn three() {}\nfn after() {}\n";
    let found = tests_of(&[("a.rs".into(), code.into())]);
    assert_eq!(found.into_iter().collect::<Vec<_>>(), ["one", "three", "two"]);
}

/// What the tables of `page` claim and cannot show.
fn unproven(page: &str, tests: &BTreeSet<String>) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut facts = BTreeSet::new();
    for row in rows(page) {
        let names = shown_by(&row);
        let gone = names.iter().filter(|name| !tests.contains(*name));
        complaints.extend(gone.map(|name| format!("no test is called `{name}`")));
        let [n, _, verdict, why, _] = row.as_slice() else {
            if names.is_empty() {
                complaints.push(format!("`{}` names no test", row[0]));
            }
            continue;
        };
        facts.extend(n.parse::<usize>().ok());
        match verdict.as_str() {
            "shared" => {}
            "different" | "not ours" if !why.is_empty() => {}
            "different" | "not ours" => {
                complaints.push(format!("{n} is {verdict}, and does not say why"));
            }
            other => complaints.push(format!("{n} is `{other}`")),
        }
        if names.is_empty() && verdict != "not ours" {
            complaints.push(format!("`{n}` names no test"));
        }
    }
    let missing = (1..=FACTS).filter(|n| !facts.contains(n));
    complaints.extend(missing.map(|n| format!("{n} is missing")));
    complaints
}

/// The cells of every row of every table, heads aside.
fn rows(page: &str) -> Vec<Vec<String>> {
    let cells = |line: &str| -> Option<Vec<String>> {
        let inner = line.strip_prefix('|')?.strip_suffix('|')?;
        Some(inner.split('|').map(|cell| cell.trim().to_owned()).collect())
    };
    let lines: Vec<Option<Vec<String>>> = page.lines().map(cells).collect();
    let is_rule = |row: &Option<Vec<String>>| {
        row.as_ref().is_some_and(|cells| cells.iter().all(|cell| cell == "---"))
    };
    let is_head = |place: usize| lines.get(place + 1).is_some_and(is_rule);
    let body = lines.iter().enumerate().filter(|(place, row)| !is_rule(row) && !is_head(*place));
    body.filter_map(|(_, row)| row.clone()).collect()
}

/// The tests that a row names: what is code in its last cell.
fn shown_by(row: &[String]) -> Vec<String> {
    let last = row.last().map_or("", String::as_str);
    last.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The names of all functions that are marked as tests.
fn tests_of(files: &[(String, String)]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (_, text) in files {
        let mut marked = false;
        for line in text.lines().map(str::trim) {
            if line == "#[test]" {
                marked = true;
            } else if let Some(rest) = line.strip_prefix("fn ").filter(|_| marked) {
                let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_');
                found.insert(rest[..end.unwrap_or(rest.len())].to_owned());
                marked = false;
            }
        }
    }
    found
}

fn sources() -> Vec<(String, String)> {
    let crates = ["router-core", "sim", "reports", "scenarios", "cli", "tests"];
    crates.iter().flat_map(|name| text_files(name, "rs")).collect()
}
