//! What a reviewer would otherwise have to remember: the arrows between the crates, what
//! `router-core` may use, and that nothing is left unfinished. Each check is a function from text
//! to complaints, so that each is also shown a sample which it must complain about.

use std::fs;
use std::path::Path;

use toml::de::{DeTable, DeValue};

/// Every crate of ours, and which of ours it may use.
const ARROWS: [(&str, &[&str]); 6] = [
    ("router-core", &[]),
    ("sim", &["router-core"]),
    ("reports", &["router-core"]),
    ("scenarios", &["router-core", "sim", "reports"]),
    ("cli", &["router-core", "sim", "reports", "scenarios"]),
    ("tests", &["router-core", "sim", "reports", "scenarios", "cli"]),
];

/// A file of code is read as a whole: about this long, and never longer than the second.
const LINES_GUIDE: usize = 450;
const LINES_MAX: usize = 600;

/// Where integers are the rule.
const EXACT: [&str; 1] = ["router-core"];
/// Where the order of everything follows from the seed.
const SEEDED: [&str; 2] = ["router-core", "sim"];
/// What gives the same bytes on every machine.
const SAME_BYTES: [&str; 2] = ["sim/src", "reports/src"];

const FLOATS: [&str; 2] = ["f32", "f64"];
const UNSEEDED: [&str; 6] =
    ["HashMap", "HashSet", "RandomState", "Instant", "SystemTime", "thread_rng"];
/// What the standard library takes from the platform, and `libm` gives everywhere alike. (Roots
/// and fused products are exact.)
const PLATFORM: [&str; 27] = [
    "exp", "exp2", "exp_m1", "ln", "ln_1p", "log", "log2", "log10", "powf", "powi", "cbrt",
    "hypot", "sin", "cos", "sin_cos", "tan", "asin", "acos", "atan", "atan2", "sinh", "cosh",
    "tanh", "asinh", "acosh", "atanh", "gamma",
];
const UNFINISHED: [&str; 6] =
    ["todo!", "unimplemented!", "dbg!", "#[ignore", "#[allow(", "#![allow("];

#[test]
fn no_crate_knows_a_higher_one() {
    hold(manifests().iter().flat_map(|(name, text)| against_arrows(name, text)).collect());
}

#[test]
fn the_arrows_name_every_crate_of_the_workspace() {
    let (_, root) = &text_files("Cargo.toml", "")[0];
    let mut members = strings(root, "workspace", "members");
    let mut known: Vec<String> = ARROWS.iter().map(|(name, _)| (*name).to_owned()).collect();
    members.sort();
    known.sort();
    assert_eq!(members, known);
}

#[test]
fn router_core_depends_on_rand_chacha_alone() {
    assert_eq!(dependencies(&manifest("router-core"), &["dependencies"]), ["rand_chacha"]);
}

#[test]
fn lints_and_dependencies_stand_in_one_place() {
    hold(manifests().iter().flat_map(|(name, text)| outside_workspace(name, text)).collect());
}

#[test]
fn every_dependency_has_its_reason_in_design() {
    let root = &text_files("Cargo.toml", "")[0].1;
    let design = &text_files("DESIGN.md", "")[0].1;
    hold(unreasoned(root, design));
}

#[test]
fn router_core_has_no_floats() {
    hold(each_file(&EXACT, |path, text| mentions(path, text, &FLOATS)));
}

#[test]
fn the_core_and_the_world_have_no_clock_and_no_unordered_map() {
    hold(each_file(&SEEDED, |path, text| mentions(path, text, &UNSEEDED)));
}

#[test]
fn bytes_that_are_promised_take_no_function_from_the_platform() {
    hold(each_file(&SAME_BYTES, from_platform));
}

#[test]
fn nothing_is_unfinished_or_silenced() {
    let all: Vec<&str> = ARROWS.iter().map(|(name, _)| *name).collect();
    hold(each_file(&all, left_over));
}

#[test]
fn no_file_of_code_is_longer_than_one_reads() {
    let all = ARROWS.iter().flat_map(|(name, _)| text_files(name, "rs"));
    let sizes: Vec<(String, usize)> = all.map(|(path, t)| (path, t.lines().count())).collect();
    hold(too_long(&sizes));
}

#[test]
fn nothing_names_the_machine_it_was_written_on() {
    let folders = ARROWS.iter().map(|(name, _)| *name).chain([".ci", ".cargo", "docs"]);
    let pages = ["README", "ARCHITECTURE", "DESIGN", "CONTRIBUTING", "CHANGELOG"];
    let pages = pages.map(|page| format!("{page}.md"));
    let places = folders.chain(pages.iter().map(String::as_str)).chain(["Cargo.toml"]);
    let files = places.flat_map(|place| text_files(place, ""));
    hold(files.flat_map(|(path, text)| machine_paths(&path, &text)).collect());
}

#[test]
fn ci_runs_the_command_that_the_readme_names() {
    for (file, text) in [&text_files("README.md", "")[0], &text_files(".ci/run", "")[0]] {
        assert!(text.contains("cargo test"), "{file} names no test command");
    }
}

#[test]
fn a_forbidden_arrow_is_found() {
    let up = "[dependencies]\nsim.workspace = true";
    assert_eq!(against_arrows("router-core", up), ["router-core may not use sim"]);
    assert_eq!(against_arrows("reports", up), ["reports may not use sim"]);
    let hidden = "[target.'cfg(unix)'.dev-dependencies]\ncli.workspace = true";
    assert_eq!(against_arrows("sim", hidden), ["sim may not use cli"]);
    assert_eq!(against_arrows("gateway", ""), ["gateway has no arrows: give it some"]);
    assert!(against_arrows("scenarios", up).is_empty());
}

#[test]
fn a_dependency_of_one_crate_alone_is_found() {
    let alone = "[dependencies]\na = \"1\"\nb = { workspace = true }\nc = { path = \"../c\" }\n";
    let wanted = [
        "x: `a` is not taken from the workspace",
        "x: `c` is not taken from the workspace",
        "x: no `[lints] workspace = true`",
    ];
    assert_eq!(outside_workspace("x", alone), wanted);
    assert!(outside_workspace("x", "[lints]\nworkspace = true").is_empty());
}

#[test]
fn a_dependency_without_a_reason_is_found() {
    let root = "[workspace.dependencies]\nsim = { path = \"sim\" }\nlibm = \"1\"\ncsv = \"1\"";
    assert_eq!(unreasoned(root, "- `libm`: why"), ["DESIGN.md gives no reason for `csv`"]);
}

#[test]
fn a_token_is_found_in_code_and_not_in_words() {
    let words = r##"
        // an f64 here, /* and */ "there"
        /* f64 */ let a = "f64 \" f64"; let b = r#"f64 " f64"#; let c = ('"', '\'', 'f');
        fn longer<'f64x>(of64: &'f64x str) {}
    "##;
    assert_eq!(mentions("w.rs", words, &FLOATS), Vec::<String>::new());
    let code = "fn a() {}\nlet half: f64 = '\"';\nlet b = 1_f32;";
    assert_eq!(mentions("c.rs", code, &FLOATS), ["c.rs:2: `f64`", "c.rs:3: `f32`"]);
    let clock = "use std::time::{Duration, Instant};";
    assert_eq!(mentions("t.rs", clock, &UNSEEDED), ["t.rs:1: `Instant`"]);
}

#[test]
fn a_function_of_the_platform_is_found() {
    let code = "let a = 2f64.powi(3)\n    .ln();\nlet b = map(f64::exp2);\nx.powf (y)";
    let wanted = ["p.rs:1: `powi`", "p.rs:2: `ln`", "p.rs:3: `exp2`", "p.rs:4: `powf`"];
    assert_eq!(from_platform("p.rs", code), wanted);
    let fine = "libm::exp2(x.sqrt()); Scale::log(a.exp, n.explain()); // x.ln()\nln(2u8.pow(2))";
    assert_eq!(from_platform("p.rs", fine), Vec::<String>::new());
}

#[test]
fn unfinished_work_is_found() {
    let code = "todo!()\n\"todo!\"\n#[ignore = \"slow\"]\n#![allow(dead_code)]";
    let wanted = ["u.rs:1: `todo!`", "u.rs:3: `#[ignore`", "u.rs:4: `#![allow(`"];
    assert_eq!(left_over("u.rs", code), wanted);
}

#[test]
fn a_long_file_is_found_and_longish_ones_are_told_with_it() {
    let sizes = [("a".to_owned(), 600), ("b".to_owned(), 450), ("c".to_owned(), 601)];
    assert_eq!(too_long(&sizes), ["a: 600 lines (guide: 450)", "c: 601 lines (at most 600)"]);
    assert!(too_long(&sizes[..2]).is_empty());
}

#[test]
fn a_machines_path_is_found_and_an_address_is_not() {
    let here = format!("see `/{}/me/x`", "home");
    assert_eq!(machine_paths("a.md", &here), ["a.md:1: a path of one machine"]);
    let there = format!("see https://example.org/{}/me and a/{}/b", "home", "tmp");
    assert!(machine_paths("a.md", &there).is_empty());
}

fn hold(complaints: Vec<String>) {
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

/// What `name`'s manifest uses that it must not know.
fn against_arrows(name: &str, manifest: &str) -> Vec<String> {
    let Some((_, allowed)) = ARROWS.iter().find(|(crate_name, _)| *crate_name == name) else {
        return vec![format!("{name} has no arrows: give it some")];
    };
    let kinds = ["dependencies", "dev-dependencies", "build-dependencies"];
    let ours = dependencies(manifest, &kinds).into_iter().filter(|used| {
        ARROWS.iter().any(|(crate_name, _)| crate_name == used) && !allowed.contains(&used.as_str())
    });
    ours.map(|used| format!("{name} may not use {used}")).collect()
}

/// What `name`'s manifest decides for itself.
fn outside_workspace(name: &str, manifest: &str) -> Vec<String> {
    let root = parse(manifest);
    let mut complaints = Vec::new();
    let kinds = ["dependencies", "dev-dependencies", "build-dependencies"];
    for table in dependency_tables(&root, &kinds) {
        for (key, value) in table {
            if !takes_workspace(value.get_ref()) {
                let key = key.get_ref();
                complaints.push(format!("{name}: `{key}` is not taken from the workspace"));
            }
        }
    }
    if !root.get("lints").is_some_and(|lints| takes_workspace(lints.get_ref())) {
        complaints.push(format!("{name}: no `[lints] workspace = true`"));
    }
    complaints
}

fn takes_workspace(value: &DeValue<'_>) -> bool {
    let flag = value.as_table().and_then(|table| table.get("workspace"));
    flag.is_some_and(|flag| flag.get_ref().as_bool() == Some(true))
}

/// Dependencies of the workspace's manifest that `design` does not name as code.
fn unreasoned(manifest: &str, design: &str) -> Vec<String> {
    let root = parse(manifest);
    let workspace = root.get("workspace").and_then(|w| w.get_ref().as_table());
    let all = workspace.and_then(|w| w.get("dependencies")).and_then(|d| d.get_ref().as_table());
    let theirs = all.expect("a workspace lists its dependencies").iter().filter(|(_, value)| {
        !value.get_ref().as_table().is_some_and(|table| table.contains_key("path"))
    });
    let names = theirs.map(|(key, _)| key.get_ref().to_string());
    let silent = names.filter(|name| !design.contains(&format!("`{name}`")));
    silent.map(|name| format!("DESIGN.md gives no reason for `{name}`")).collect()
}

/// Where `tokens` stand as words, or as suffixes of a number, of the code.
fn mentions(path: &str, source: &str, tokens: &[&str]) -> Vec<String> {
    let code = code_of(source);
    let mut complaints = Vec::new();
    for (line, text) in (1..).zip(code.lines()) {
        for word in text.split(|c: char| !c.is_alphanumeric() && c != '_') {
            let number = word.starts_with(|c: char| c.is_ascii_digit()) && !word.starts_with("0x");
            let hit = tokens.iter().find(|t| word == **t || number && word.ends_with(**t));
            complaints.extend(hit.map(|token| format!("{path}:{line}: `{token}`")));
        }
    }
    complaints
}

/// Where a method of [`PLATFORM`] is called, or named as one of a float.
fn from_platform(path: &str, source: &str) -> Vec<String> {
    let code = code_of(source);
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let mut complaints = Vec::new();
    for (line, text) in (1..).zip(code.lines()) {
        for name in PLATFORM {
            let called = |(at, _): (usize, &str)| {
                let (before, after) = (&text[..at], &text[at + name.len()..]);
                let method = before.ends_with('.') && after.trim_start().starts_with('(');
                let path = ["f64::", "f32::"].iter().any(|float| before.ends_with(float));
                method || path && !after.starts_with(is_part)
            };
            if text.match_indices(name).any(called) {
                complaints.push(format!("{path}:{line}: `{name}`"));
            }
        }
    }
    complaints
}

/// Where the code is unfinished, or a lint is silenced without a reason.
fn left_over(path: &str, source: &str) -> Vec<String> {
    let code = code_of(source);
    let lines = (1..).zip(code.lines());
    let hits = lines.flat_map(|(line, text)| {
        let found = UNFINISHED.iter().filter(move |mark| text.contains(**mark));
        found.map(move |mark| format!("{path}:{line}: `{mark}`"))
    });
    hits.collect()
}

/// Nothing unless some file is longer than it may be; then also those that soon will be.
fn too_long(sizes: &[(String, usize)]) -> Vec<String> {
    if sizes.iter().all(|(_, lines)| *lines <= LINES_MAX) {
        return Vec::new();
    }
    let long = sizes.iter().filter(|(_, lines)| *lines > LINES_GUIDE);
    long.map(|(path, lines)| {
        let over = *lines > LINES_MAX;
        let bound = if over { ("at most", LINES_MAX) } else { ("guide:", LINES_GUIDE) };
        format!("{path}: {lines} lines ({} {})", bound.0, bound.1)
    })
    .collect()
}

/// Where an absolute path of somebody's machine stands.
fn machine_paths(path: &str, text: &str) -> Vec<String> {
    let folders = ["home", "Users", "root", "tmp", "work"].map(|folder| format!("/{folder}/"));
    let begins = |line: &str, at: usize| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || "._-/}".contains(c))
    };
    let lines = (1..).zip(text.lines()).filter(|(_, line)| {
        folders.iter().any(|folder| line.match_indices(folder).any(|(at, _)| begins(line, at)))
    });
    lines.map(|(line, _)| format!("{path}:{line}: a path of one machine")).collect()
}

/// A source text without its comments and literals; every line stays where it is.
fn code_of(source: &str) -> String {
    let mut code = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let skipped = match first {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            '"' => quoted(rest),
            'r' => raw(rest),
            '\'' => character(rest),
            _ => 0,
        };
        if skipped == 0 {
            code.push(first);
            rest = &rest[first.len_utf8()..];
        } else {
            code.extend(rest[..skipped].matches('\n'));
            rest = &rest[skipped..];
        }
    }
    code
}

/// How long the string that `rest` begins with is.
fn quoted(rest: &str) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// How long the raw string that `rest` begins with is; zero if it is none.
fn raw(rest: &str) -> usize {
    let hashes = rest[1..].chars().take_while(|c| *c == '#').count();
    let Some(body) = rest[1 + hashes..].strip_prefix('"') else { return 0 };
    let end = format!("\"{}", "#".repeat(hashes));
    body.find(&end).map_or(rest.len(), |at| rest.len() - body.len() + at + end.len())
}

/// How long the character that `rest` begins with is; zero if it is a lifetime.
fn character(rest: &str) -> usize {
    let mut chars = rest.char_indices().skip(1);
    match (chars.next(), chars.next()) {
        (Some((_, '\\')), Some((at, escaped))) => {
            let body = at + escaped.len_utf8();
            rest[body..].find('\'').map_or(rest.len(), |end| body + end + 1)
        }
        (Some(_), Some((at, '\''))) => at + 1,
        _ => 0,
    }
}

fn parse(manifest: &str) -> DeTable<'_> {
    DeTable::parse(manifest).expect("cargo has read it").into_inner()
}

/// The names that the tables of these `kinds` hold, those of single targets included, sorted.
fn dependencies(manifest: &str, kinds: &[&str]) -> Vec<String> {
    let root = parse(manifest);
    let tables = dependency_tables(&root, kinds).into_iter().flatten();
    let mut names: Vec<String> = tables.map(|(key, _)| key.get_ref().to_string()).collect();
    names.sort();
    names
}

fn dependency_tables<'a, 'i>(root: &'a DeTable<'i>, kinds: &[&str]) -> Vec<&'a DeTable<'i>> {
    let targets = root.get("target").and_then(|target| target.get_ref().as_table());
    let targets = targets.into_iter().flatten().filter_map(|(_, t)| t.get_ref().as_table());
    let places: Vec<&DeTable<'i>> = targets.chain([root]).collect();
    let found = kinds.iter().flat_map(|kind| places.iter().filter_map(|place| place.get(*kind)));
    found.filter_map(|table| table.get_ref().as_table()).collect()
}

fn strings(manifest: &str, table: &str, key: &str) -> Vec<String> {
    let root = parse(manifest);
    let list = root.get(table).and_then(|t| t.get_ref().as_table()).and_then(|t| t.get(key));
    let list = list.and_then(|l| l.get_ref().as_array()).into_iter().flat_map(|l| l.iter());
    list.filter_map(|v| v.get_ref().as_str()).map(str::to_owned).collect()
}

fn manifest(name: &str) -> String {
    text_files(&format!("{name}/Cargo.toml"), "").remove(0).1
}

fn manifests() -> Vec<(String, String)> {
    ARROWS.iter().map(|(name, _)| ((*name).to_owned(), manifest(name))).collect()
}

fn each_file(crates: &[&str], check: impl Fn(&str, &str) -> Vec<String>) -> Vec<String> {
    let files = crates.iter().flat_map(|name| text_files(name, "rs"));
    files.flat_map(|(path, text)| check(&path, &text)).collect()
}

/// The text files under `place`, a file or a folder of the workspace, that end in `extension`
/// (in anything, if empty), by path. There is at least one.
pub(crate) fn text_files(place: &str, extension: &str) -> Vec<(String, String)> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("it has a workspace");
    let mut found = Vec::new();
    let mut open = vec![workspace.join(place)];
    while let Some(path) = open.pop() {
        if path.is_dir() {
            let entries = fs::read_dir(&path).expect("a folder can be listed");
            open.extend(entries.map(|entry| entry.expect("an entry can be read").path()));
        } else if extension.is_empty() || path.extension().is_some_and(|e| e == extension) {
            let bytes = fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            let name = path.strip_prefix(workspace).expect("it is below").display().to_string();
            found.extend(String::from_utf8(bytes).ok().map(|text| (name, text)));
        }
    }
    assert!(!found.is_empty(), "nothing is there: {place}");
    found.sort();
    found
}
