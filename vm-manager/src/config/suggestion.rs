//! What somebody who mistyped a word may have meant.

/// The candidate that is nearest to `word`, if one is near enough: one slip of the finger, or two in
/// a word of five letters or more.
pub(crate) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let slips_allowed = if word.len() < 5 { 1 } else { 2 };
    candidates
        .into_iter()
        .filter_map(|candidate| Some((distance(word, candidate)?, candidate)))
        .filter(|&(slips, _)| slips <= slips_allowed)
        .min_by_key(|&(slips, _)| slips)
        .map(|(_, candidate)| candidate)
}

/// How many letters must be inserted, left out, replaced, or swapped with their neighbour to turn one
/// word into the other; `None` for words too long to be a slip. Letters are bytes here.
fn distance(one: &str, other: &str) -> Option<usize> {
    const LONGEST: usize = 63;
    let (one, other) = (one.as_bytes(), other.as_bytes());
    if one.len() > LONGEST || other.len() > LONGEST {
        return None;
    }
    // Rows of the table of distances between beginnings of the words: this one and the two before.
    let mut before_last = [0; LONGEST + 1];
    let mut last: [usize; LONGEST + 1] = core::array::from_fn(|column| column);
    let mut previous = None;
    for (row, &letter) in one.iter().enumerate() {
        let mut current = [0; LONGEST + 1];
        *current.first_mut()? = row + 1;
        for (column, &candidate) in other.iter().enumerate() {
            let cost = usize::from(letter != candidate);
            let replaced = last.get(column)? + cost;
            let inserted = current.get(column)? + 1;
            let left_out = last.get(column + 1)? + 1;
            let mut best = replaced.min(inserted).min(left_out);
            let before = column.checked_sub(1);
            if let (Some(before), Some(previous)) = (before, previous)
                && other.get(before) == Some(&letter)
                && previous == candidate
            {
                best = best.min(before_last.get(before)? + 1);
            }
            *current.get_mut(column + 1)? = best;
        }
        (before_last, last) = (last, current);
        previous = Some(letter);
    }
    last.get(other.len()).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_counted() {
        assert_eq!(distance("memory", "memory"), Some(0));
        assert_eq!(distance("memroy", "memory"), Some(1));
        assert_eq!(distance("", "abc"), Some(3));
        assert_eq!(distance("kitten", "sitting"), Some(3));
    }

    #[test]
    fn only_what_is_near_is_suggested() {
        let keys = ["name", "vcpus", "memory"];
        assert_eq!(nearest("memroy", keys), Some("memory"));
        assert_eq!(nearest("vcpu", keys), Some("vcpus"));
        assert_eq!(nearest("banana", keys), None);
        assert_eq!(nearest(&"x".repeat(10_000), keys), None);
    }
}
