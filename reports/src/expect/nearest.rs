//! Which known name a wrong one was meant to be.

/// The known name nearest to `wrong`, if it is near: at most a third of its letters are wrong,
/// missing, one too many, or swapped with their neighbour, and some are right.
pub(super) fn nearest<'a>(
    wrong: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let wrong = wrong.to_lowercase();
    let near = known.into_iter().map(|name| (distance(&wrong, &name.to_lowercase()), name));
    let (distance, name) = near.min_by_key(|&(distance, _)| distance)?;
    let letters = name.chars().count();
    (distance <= (letters / 3).max(1) && distance < letters).then_some(name)
}

/// Edits from one to the other: the optimal string alignment distance.
fn distance(a: &str, b: &str) -> usize {
    // Nobody means a known name by something this long.
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().collect());
    let mut rows = vec![(0..=b.len()).collect::<Vec<usize>>()];
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let wrong = usize::from(a[i - 1] != b[j - 1]);
            row[j] = (rows[i - 1][j] + 1).min(row[j - 1] + 1).min(rows[i - 1][j - 1] + wrong);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(rows[i - 2][j - 2] + 1);
            }
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_finds_its_name() {
        let known = ["group", "deployment", "during"];
        assert_eq!(nearest("gruop", known), Some("group"));
        assert_eq!(nearest("deploment", known), Some("deployment"));
        assert_eq!(nearest("DURING", known), Some("during"));
        assert_eq!(nearest("tenant", known), None);
        assert_eq!(nearest("", known), None);
        assert_eq!(nearest("%", ["s", "min"]), None);
    }

    #[test]
    fn swapped_neighbours_are_one_edit() {
        assert_eq!(distance("tfft", "ttft"), 1);
        assert_eq!(distance("tftt", "ttft"), 1);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
    }
}
