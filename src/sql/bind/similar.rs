//! The hint of a column that does not exist: the names that its writer may have meant.

use crate::sql::bind::scope::Item;

/// Names that differ in more places are not meant.
const DISTANCE_MAX: usize = 3;

/// PostgreSQL's choice: the one or two nearest columns, none if there are more of them.
struct Nearest<'n> {
    distance: usize,
    found: Vec<(&'n str, &'n str)>,
}

/// The hint for `column`, perhaps of the item called `table`, among what can be seen.
pub(super) fn hint<'n>(
    items: impl Iterator<Item = &'n Item>,
    table: Option<&str>,
    column: &str,
) -> Option<String> {
    let mut nearest = Nearest {
        distance: DISTANCE_MAX + 1,
        found: Vec::new(),
    };
    for item in items {
        let Some(name) = item.name.as_deref() else {
            continue;
        };
        let penalty = table.map_or(0, |table| distance(table, name));
        for candidate in &item.columns {
            nearest.offer(name, &candidate.name, column, penalty);
        }
    }
    match nearest.found.as_slice() {
        [(t, c)] => Some(format!(
            "Perhaps you meant to reference the column \"{t}.{c}\"."
        )),
        [(t, c), (u, d)] => Some(format!(
            "Perhaps you meant to reference the column \"{t}.{c}\" or the column \"{u}.{d}\"."
        )),
        _ => None,
    }
}

impl<'n> Nearest<'n> {
    fn offer(&mut self, table: &'n str, candidate: &'n str, column: &str, penalty: usize) {
        let apart = distance(candidate, column);
        if penalty > self.distance || apart > column.len() / 2 {
            return;
        }
        let apart = apart + penalty;
        if apart < self.distance {
            self.distance = apart;
            self.found = vec![(table, candidate)];
        } else if apart == self.distance {
            if self.found.len() == 2 {
                // Too many; only nearer ones count from now on.
                self.found.clear();
                self.distance = apart.saturating_sub(1);
            } else if !self.found.is_empty() || apart <= DISTANCE_MAX {
                self.found.push((table, candidate));
            }
        }
    }
}

/// Levenshtein's distance in characters.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let changed = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::distance;

    #[test]
    fn the_distance_counts_changed_inserted_and_missing_characters() {
        assert_eq!(distance("camel", "Camel"), 1);
        assert_eq!(distance("aa", "a"), 1);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "äb"), 2);
    }
}
