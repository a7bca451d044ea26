//! Slips of the finger: whether two words are nearly the same.

/// Words that differ more are different words.
const MOST: usize = 2;
/// Words that are longer, in bytes, are like no other.
const LONGEST: usize = 31;

type Row = [usize; LONGEST + 1];

/// How many letters must be changed, added, left out or swapped with their neighbour to make one
/// word of the other (the optimal string alignment distance), if they are two at most.
pub(crate) fn distance(a: &str, b: &str) -> Option<usize> {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    // Most words differ so much in length that the rest is not worth looking at.
    if a.len().abs_diff(b.len()) > MOST || b.len() > LONGEST {
        return None;
    }
    let mut before: Row = [0; LONGEST + 1];
    let mut last: Row = core::array::from_fn(|index| index);
    for (i, &from) in a.iter().enumerate() {
        let mut row: Row = [i + 1; LONGEST + 1];
        for (j, &to) in b.iter().enumerate() {
            let mut least = (at(&last, j) + usize::from(from != to))
                .min(at(&last, j + 1) + 1)
                .min(at(&row, j) + 1);
            let is_swap =
                i > 0 && j > 0 && a.get(i - 1) == Some(&to) && b.get(j - 1) == Some(&from);
            if is_swap {
                least = least.min(at(&before, j - 1) + 1);
            }
            if let Some(cell) = row.get_mut(j + 1) {
                *cell = least;
            }
        }
        before = core::mem::replace(&mut last, row);
    }
    Some(at(&last, b.len())).filter(|&distance| distance <= MOST)
}

fn at(row: &Row, index: usize) -> usize {
    row.get(index).copied().unwrap_or(usize::MAX / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn swaps_count_once() {
        assert_eq!(distance("help", "hlep"), Some(1));
        assert_eq!(distance("help", "help"), Some(0));
        assert_eq!(distance("", "ab"), Some(2));
        assert_eq!(distance("lsit", "list"), Some(1));
    }

    #[test]
    fn what_differs_more_is_something_else() {
        assert_eq!(distance("kitten", "sitting"), None);
        assert_eq!(distance("", "abc"), None);
        assert_eq!(distance(&"x".repeat(32), &"x".repeat(32)), None);
    }
}
