//! Sets of CPUs as a user types and reads them: `0,2-3`.

use crate::error::Error;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// Numbers from here on are no CPUs.
const END: u32 = 64;

/// Reads a set of CPUs into ascending numbers.
pub(crate) fn parse(text: &str) -> Result<Vec<u32>, Error> {
    let wrong = || {
        Error::new(format!("'{text}' is no set of CPUs: write it as 0,2-3; 'cpu list' shows them"))
    };
    let number = |text: &str| text.parse().ok().filter(|&cpu: &u32| cpu < END).ok_or_else(wrong);
    let mut cpus = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (number(first)?, number(last)?);
        if first > last {
            return Err(wrong());
        }
        cpus.extend(first..=last);
    }
    cpus.sort_unstable();
    cpus.dedup();
    Ok(cpus)
}

/// Shows ascending numbers as a set of CPUs.
pub(crate) fn show(cpus: &[u32]) -> String {
    let mut text = String::new();
    for run in cpus.chunk_by(|a, b| a.checked_add(1) == Some(*b)) {
        if !text.is_empty() {
            text.push(',');
        }
        match run {
            [first, .., last] => text.push_str(&format!("{first}-{last}")),
            [only] => text.push_str(&format!("{only}")),
            [] => {}
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_survive_a_round_trip() {
        for set in ["0", "0,2-3", "0-7", "1,3,5"] {
            assert_eq!(show(&parse(set).unwrap()), set);
        }
        assert_eq!(parse("3,2,0,2").unwrap(), [0, 2, 3]);
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in ["", "a", "3-1", "0,", "64", "0-99999999999", "-1", "1-"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
