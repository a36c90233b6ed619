//! Where a run's artefacts go: written aside, compared with what is there, then moved in place.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process;

use crate::exit::{Exit, Stop};

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
        // What a killed process of the same number left behind.
        let _ = fs::remove_dir_all(&aside);
        let ours = missing(&aside);
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
                    // Removes empty folders only, so it cannot take what another process wrote.
                    ours.iter().for_each(|made| drop(fs::remove_dir(made)));
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

/// The folders on the way to `path` that are not there yet, the innermost first.
fn missing(path: &Path) -> Vec<PathBuf> {
    let real = path.ancestors().filter(|folder| !folder.as_os_str().is_empty());
    real.take_while(|folder| !folder.exists()).map(Path::to_path_buf).collect()
}

fn write_all(folder: &Path, artefacts: &Artefacts) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    artefacts.iter().try_for_each(|(name, bytes)| fs::write(folder.join(name), bytes))
}

/// Compares with what is there. What is not there is added: a record or a picture that the first
/// run was not asked for, or a file that somebody removed.
fn settle(folder: &Path, artefacts: &Artefacts) -> Result<Placed, Stop> {
    let mut placed = Placed::Unchanged;
    for (name, bytes) in artefacts {
        let path = folder.join(name);
        match fs::read(&path) {
            Ok(there) if there == *bytes => {}
            Ok(_) => return Err(differs(&path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                add(folder, name, bytes).map_err(|error| cannot_write(&path, &error))?;
                placed = Placed::Written;
            }
            Err(error) => {
                return Err(Stop::environment(&format!("cannot read {}", path.display()), &error));
            }
        }
    }
    Ok(placed)
}

fn differs(path: &Path) -> Stop {
    let message = format!(
        "{} is not what the same seed, files and engine gave now\n\
         hint: if somebody edited it, remove its folder; else this is a bug of seawall's, and \
         `--twice` shows the first event that differs",
        path.display()
    );
    Stop { exit: Exit::Nondeterminism, message }
}

/// Adds one file, whole from the first moment that another process can see it.
fn add(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let aside = folder.join(format!(".{name}.{}", process::id()));
    let added = fs::write(&aside, bytes).and_then(|()| fs::rename(&aside, folder.join(name)));
    if added.is_err() {
        let _ = fs::remove_file(&aside);
    }
    added
}

/// `base/latest` becomes `target`: a link where there are links, else a text that names it.
fn point(base: &Path, target: &Path) -> io::Result<()> {
    let aside = base.join(format!(".latest.{}", process::id()));
    // What a killed process of the same number left behind.
    let _ = fs::remove_file(&aside);
    #[cfg(unix)]
    std::os::unix::fs::symlink(target, &aside)?;
    #[cfg(not(unix))]
    fs::write(&aside, target.display().to_string())?;
    let pointed = fs::rename(&aside, base.join("latest"));
    if pointed.is_err() {
        let _ = fs::remove_file(&aside);
    }
    pointed
}

/// What `folder` holds.
pub(crate) fn read_all(folder: &Path) -> io::Result<Artefacts> {
    let entries = fs::read_dir(folder)?.map(|entry| {
        let entry = entry?;
        Ok((entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path())?))
    });
    entries.collect()
}

/// The first difference of two runs' artefacts: which file, and how.
pub(crate) fn first_difference(one: &Artefacts, other: &Artefacts) -> Option<String> {
    if !one.keys().eq(other.keys()) {
        let names = |run: &Artefacts| run.keys().cloned().collect::<Vec<_>>().join(", ");
        return Some(format!("one run wrote {}, the other {}", names(one), names(other)));
    }
    let mut pairs: Vec<_> = one.iter().zip(other.values()).collect();
    // The record comes first: it shows the event, where the others only show its consequences.
    pairs.sort_by_key(|((name, _), _)| *name != "record");
    let mut differing = pairs.into_iter().filter(|((_, a), b)| a != b);
    differing.next().map(|((name, a), b)| differing_line(name, a, b))
}

fn differing_line(name: &str, a: &[u8], b: &[u8]) -> String {
    let (a, b) = (String::from_utf8_lossy(a), String::from_utf8_lossy(b));
    let same = a.lines().zip(b.lines()).take_while(|(a, b)| a == b).count();
    let show = |text: &str| text.lines().nth(same).unwrap_or("(the end)").to_owned();
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
        let deeper = base.path().join("spike/of/runs");
        assert!(place(&deeper, "spike", "7-abc", &artefacts("one")).is_err());
        assert_eq!(fs::read_dir(base.path()).expect("it is there").count(), 1);
    }

    #[test]
    fn a_file_that_is_missing_is_added() {
        let base = tempfile::tempdir().expect("a folder to write to");
        let mut files = artefacts("one");
        place(base.path(), "spike", "7-abc", &files).expect("it can be written");
        files.insert("record".to_owned(), b"seawall record 1".to_vec());
        let (folder, placed) = place(base.path(), "spike", "7-abc", &files).expect("it is added");
        assert_eq!(placed, Placed::Written);
        assert_eq!(read_all(&folder).expect("it is there"), files);
    }

    #[test]
    fn the_first_differing_line_is_shown() {
        let run = |record: &str| {
            let mut files = artefacts(&record.len().to_string());
            files.insert("record".to_owned(), record.as_bytes().to_vec());
            files
        };
        let found = first_difference(&run("1\n2\n3\n"), &run("1\n2\n40\n"));
        assert_eq!(found.as_deref(), Some("record, line 3:\n  3\n  40"));
        assert_eq!(first_difference(&run("1"), &run("1")), None);
        let found = first_difference(&run("1"), &artefacts("1"));
        assert_eq!(
            found.as_deref(),
            Some("one run wrote record, summary.txt, the other summary.txt")
        );
    }
}
