//! Figures in what guests and the shell print.

use std::collections::BTreeMap;

use serde_json::Value;

/// The minimum of each benchmark in the probe's output: `probe: bench NAME min=M avg=A n=N`.
pub(crate) fn benchmarks(text: &str) -> BTreeMap<String, f64> {
    let mut found = BTreeMap::new();
    for line in text.lines() {
        let Some((_, rest)) = line.split_once("probe: bench ") else { continue };
        let mut words = rest.split_whitespace();
        let name = words.next().unwrap_or_default();
        let minimum = words.find_map(|word| word.strip_prefix("min="));
        if let Some(minimum) = minimum.and_then(|text| text.parse().ok()) {
            found.insert(name.to_owned(), minimum);
        }
    }
    found
}

/// The JSON documents in the output of the shell, one a line.
pub(crate) fn documents(text: &str) -> Vec<Value> {
    text.lines()
        .map(str::trim)
        .filter(|line| line.starts_with(['{', '[']))
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

/// The value of a field of the nth document that has it.
pub(crate) fn field(documents: &[Value], name: &str, index: usize) -> Option<f64> {
    documents.iter().filter_map(|document| document.get(name)?.as_f64()).nth(index)
}

/// What the guest's init says of its counter, in ticks.
pub(crate) fn counter(text: &str) -> Option<f64> {
    let (_, rest) = text.split_once("counter: ")?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{benchmarks, counter, documents, field};

    #[test]
    fn the_minimum_of_a_benchmark_is_found_in_a_line_with_a_prefix() {
        let text = "\r\nvm: probe: bench ipi-self min=98.5 avg=99.0 n=1000\r\nprobe: done\r\n";
        assert_eq!(benchmarks(text)["ipi-self"], 98.5);
    }

    #[test]
    fn documents_are_told_from_other_lines() {
        let text = "roost> uptime --json\r\n{\"uptime_ns\":12}\r\nroost> mem --json\r\n{\"free_bytes\":5}\r\n";
        let documents = documents(text);
        assert_eq!(documents.len(), 2);
        assert_eq!(field(&documents, "free_bytes", 0), Some(5.0));
        assert_eq!(field(&documents, "free_bytes", 1), None);
    }

    #[test]
    fn a_counter_is_found_among_other_lines() {
        assert_eq!(counter("boot\r\ncounter: 4711\r\nWelcome"), Some(4711.0));
    }
}
