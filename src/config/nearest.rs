//! The name that someone probably meant.

/// The nearest of `names`, if it is near enough to be meant: about one letter in three may differ.
pub(super) fn nearest<'a>(
    wrong: &str,
    names: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    names
        .into_iter()
        .map(|name| {
            (
                distance(wrong, name).min(distance_to_end(wrong, name)),
                name,
            )
        })
        .min()
        .filter(|(distance, name)| *distance <= 1.max(name.len() / 3))
        .map(|(_, name)| name)
}

/// Somebody may have left out the table in front of a key.
fn distance_to_end(wrong: &str, name: &str) -> usize {
    let end = name.rsplit_once('.').map_or(name, |(_, end)| end);
    distance(wrong, end)
}

/// Letters to insert, delete or replace to make one name of the other (Levenshtein), row by row.
pub(crate) fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (above, letter) in left.chars().enumerate() {
        let mut diagonal = above;
        row[0] = above + 1;
        for (at, other) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *other);
            diagonal = row[at + 1];
            row[at + 1] = replaced.min(diagonal + 1).min(row[at] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 3] = ["listen", "log.spares", "log.segment_bytes"];

    #[test]
    fn a_slip_of_the_finger_finds_the_name_that_was_meant() {
        assert_eq!(nearest("lisen", NAMES), Some("listen"));
        assert_eq!(nearest("logs.spare", NAMES), Some("log.spares"));
        assert_eq!(nearest("segment_bytes", NAMES), Some("log.segment_bytes"));
    }

    #[test]
    fn what_resembles_nothing_gets_no_advice() {
        assert_eq!(nearest("quorum", NAMES), None);
    }
}
