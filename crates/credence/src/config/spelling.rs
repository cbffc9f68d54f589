//! Which known word a misspelt one stands for.

/// Words longer than this are nobody's misspelling of a key, and comparing them would cost more than they are
/// worth.
const WORD_LEN_MAX: usize = 64;

/// The word of `known` that `typed` most likely stands for: at most a third of its letters differ, and at
/// least one may.
pub(crate) fn meant<'k>(typed: &str, known: &[&'k str]) -> Option<&'k str> {
    let typed = typed.to_ascii_lowercase().replace('-', "_");
    let scored = known.iter().map(|word| (distance(&typed, word), *word));
    let (differing, word) = scored.min_by_key(|(differing, _)| *differing)?;
    (differing <= (word.len() / 3).max(1)).then_some(word)
}

/// Letters to insert, leave out, exchange, or swap with their neighbour, to get from one word to the other.
fn distance(left: &str, right: &str) -> usize {
    let (left, right): (Vec<char>, Vec<char>) = (left.chars().collect(), right.chars().collect());
    if left.len().max(right.len()) > WORD_LEN_MAX {
        return WORD_LEN_MAX;
    }
    let mut rows: Vec<Vec<usize>> = vec![(0..=right.len()).collect()];
    for i in 1..=left.len() {
        let mut row = vec![i];
        for j in 1..=right.len() {
            let exchanged = rows[i - 1][j - 1] + usize::from(left[i - 1] != right[j - 1]);
            let mut least = exchanged.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && left[i - 1] == right[j - 2] && left[i - 2] == right[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[left.len()][right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_count_single_slips() {
        for (left, right, slips) in [
            ("", "", 0),
            ("", "abc", 3),
            ("interface", "interface", 0),
            ("interfce", "interface", 1),
            ("intreface", "interface", 1),
            ("worker", "workers", 1),
            ("snapshot", "snapshots", 1),
            ("listen", "lists", 2),
        ] {
            assert_eq!(distance(left, right), slips, "{left} {right}");
            assert_eq!(distance(right, left), slips, "{right} {left}");
        }
    }

    #[test]
    fn the_nearest_word_is_meant_unless_it_is_far() {
        let known = ["interface", "workers", "queues", "lists", "alerts"];
        assert_eq!(meant("interfce", &known), Some("interface"));
        assert_eq!(meant("Workers", &known), Some("workers"));
        assert_eq!(meant("alert", &known), Some("alerts"));
        assert_eq!(meant("colour", &known), None);
        assert_eq!(meant("", &known), None);
        assert_eq!(meant("af-packet", &["auto", "af_packet", "pnet"]), Some("af_packet"));
        assert_eq!(meant(&"x".repeat(100_000), &known), None);
    }
}
