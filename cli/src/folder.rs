//! Where a run's artefacts go: written aside, compared with what is there, then moved in place.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process;

use crate::exit::{Exit, Stop};

/// Artefacts that a run has only when asked for; they are compared where both runs have them.
const OPTIONAL: [&str; 2] = ["record", ".png"];

/// A run's artefacts, by file name.
pub(crate) type Artefacts = BTreeMap<String, Vec<u8>>;

/// What became of them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Placed {
    /// They are new.
    Written,
    /// The very same bytes were there.
    Unchanged,
}

fn is_optional(name: &str) -> bool {
    OPTIONAL.iter().any(|ending| name.ends_with(ending))
}

/// Puts `artefacts` into `base/scenario/run`, and points `base/latest` at it.
///
/// # Errors
/// [`Exit::Nondeterminism`] if the folder holds other bytes, since its name says that they must
/// be the same; [`Exit::Environment`] if anything cannot be written. Then nothing is left behind.
pub(crate) fn place(
    base: &Path,
    scenario: &str,
    run: &str,
    artefacts: &Artefacts,
) -> Result<(PathBuf, Placed), Stop> {
    let folder = base.join(scenario).join(run);
    let placed = if folder.is_dir() {
        settle(&folder, artefacts)?
    } else {
        let aside = base.join(scenario).join(format!(".{run}.{}", process::id()));
        let written = write_all(&aside, artefacts).and_then(|()| fs::rename(&aside, &folder));
        match written {
            Ok(()) => Placed::Written,
            Err(error) => {
                // Best effort: the folder aside is ours alone, and the error is what matters.
                let _ = fs::remove_dir_all(&aside);
                if folder.is_dir() {
                    // Another process was first; what it wrote must be the same.
                    settle(&folder, artefacts)?
                } else {
                    return Err(cannot_write(&folder, &error));
                }
            }
        }
    };
    let target = Path::new(scenario).join(run);
    point(base, &target).map_err(|error| cannot_write(&base.join("latest"), &error))?;
    Ok((folder, placed))
}

fn cannot_write(path: &Path, error: &io::Error) -> Stop {
    Stop::environment(&format!("cannot write {}", path.display()), error)
}

fn write_all(folder: &Path, artefacts: &Artefacts) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    artefacts.iter().try_for_each(|(name, bytes)| fs::write(folder.join(name), bytes))
}

/// Compares with what is there; optional artefacts that are missing there are added.
fn settle(folder: &Path, artefacts: &Artefacts) -> Result<Placed, Stop> {
    let mut placed = Placed::Unchanged;
    for (name, bytes) in artefacts {
        let path = folder.join(name);
        match fs::read(&path) {
            Ok(there) if there == *bytes => {}
            Ok(_) => {
                let message = format!(
                    "{} differs from what the same seed and files gave before\n\
                     hint: this is a bug of seawall's; `--twice --record` shows the first event \
                     that differs",
                    path.display()
                );
                return Err(Stop { exit: Exit::Nondeterminism, message });
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound && is_optional(name) => {
                fs::write(&path, bytes).map_err(|error| cannot_write(&path, &error))?;
                placed = Placed::Written;
            }
            Err(error) => {
                return Err(Stop::environment(&format!("cannot read {}", path.display()), &error));
            }
        }
    }
    Ok(placed)
}

/// `base/latest` becomes `target`: a link where there are links, else a text that names it.
fn point(base: &Path, target: &Path) -> io::Result<()> {
    let aside = base.join(format!(".latest.{}", process::id()));
    match fs::remove_file(&aside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    #[cfg(unix)]
    std::os::unix::fs::symlink(target, &aside)?;
    #[cfg(not(unix))]
    fs::write(&aside, target.display().to_string())?;
    fs::rename(&aside, base.join("latest"))
}

/// The first difference of two folders of artefacts: which file, and how.
pub(crate) fn first_difference(one: &Path, other: &Path) -> io::Result<Option<String>> {
    let names = |folder: &Path| -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(folder)? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        Ok(names)
    };
    let (ours, theirs) = (names(one)?, names(other)?);
    if ours != theirs {
        return Ok(Some(format!("one run wrote {ours:?}, the other {theirs:?}")));
    }
    // The record comes first: it shows the event, where the others only show its consequences.
    let mut ordered = ours;
    ordered.sort_by_key(|name| name != "record");
    for name in ordered {
        let (a, b) = (fs::read(one.join(&name))?, fs::read(other.join(&name))?);
        if a != b {
            return Ok(Some(differing_line(&name, &a, &b)));
        }
    }
    Ok(None)
}

fn differing_line(name: &str, a: &[u8], b: &[u8]) -> String {
    let lines = |bytes: &[u8]| -> Vec<String> {
        String::from_utf8_lossy(bytes).lines().map(str::to_owned).collect()
    };
    let (a, b) = (lines(a), lines(b));
    let same = a.iter().zip(&b).take_while(|(a, b)| a == b).count();
    let show = |lines: &[String]| lines.get(same).map_or("(the end)", String::as_str).to_owned();
    format!("{name}, line {}:\n  {}\n  {}", same + 1, show(&a), show(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn artefacts(text: &str) -> Artefacts {
        Artefacts::from([("summary.txt".to_owned(), text.as_bytes().to_vec())])
    }

    #[test]
    fn the_same_bytes_are_unchanged_and_others_are_an_alarm() {
        let base = tempfile::tempdir().expect("a folder to write to");
        let place = |text| place(base.path(), "spike", "7-abc", &artefacts(text));
        assert_eq!(place("one").expect("it can be written").1, Placed::Written);
        assert_eq!(place("one").expect("it is there").1, Placed::Unchanged);
        assert_eq!(place("two").expect_err("it differs").exit, Exit::Nondeterminism);
        let latest = fs::read(base.path().join("latest/summary.txt")).expect("it is pointed at");
        assert_eq!(latest, b"one");
    }

    #[test]
    fn what_cannot_be_written_leaves_nothing_behind() {
        let base = tempfile::tempdir().expect("a folder to write to");
        fs::write(base.path().join("spike"), "a file in the way").expect("it can be written");
        let stop = place(base.path(), "spike", "7-abc", &artefacts("one")).expect_err("in the way");
        assert_eq!(stop.exit, Exit::Environment);
        assert_eq!(fs::read_dir(base.path()).expect("it is there").count(), 1);
    }

    #[test]
    fn the_first_differing_line_is_shown() {
        let (a, b) = (tempfile::tempdir().expect("one"), tempfile::tempdir().expect("two"));
        fs::write(a.path().join("record"), "1\n2\n3\n").expect("written");
        fs::write(b.path().join("record"), "1\n2\n4\n").expect("written");
        let found = first_difference(a.path(), b.path()).expect("both can be read");
        assert_eq!(found.as_deref(), Some("record, line 3:\n  3\n  4"));
    }
}
