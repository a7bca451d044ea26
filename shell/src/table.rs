//! Tables of text: a header, and columns as wide as they need to be.

use crate::output::Output;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write};

/// Spaces between two columns.
const GAP: usize = 2;

/// A column's header, and how wide it is at least.
pub(crate) struct Column(pub(crate) &'static str, pub(crate) usize);

/// Prints rows under a header. The last column is not padded.
pub(crate) fn print(out: &mut Output, columns: &[Column], rows: &[Vec<String>]) -> fmt::Result {
    let widths: Vec<usize> = columns
        .iter()
        .enumerate()
        .map(|(index, Column(header, least))| {
            let cells =
                rows.iter().filter_map(|row| row.get(index)).map(|cell| cell.chars().count());
            cells.max().unwrap_or(0).max(*least).max(header.len())
        })
        .collect();
    print_row(out, &widths, columns.iter().map(|Column(header, _)| *header))?;
    rows.iter().try_for_each(|row| print_row(out, &widths, row.iter().map(String::as_str)))
}

fn print_row<'a>(
    out: &mut Output,
    widths: &[usize],
    cells: impl Iterator<Item = &'a str>,
) -> fmt::Result {
    // Padding waits for the next cell that has text, so that no line ends in blanks.
    let mut owed = 0;
    for (cell, width) in cells.zip(widths) {
        if !cell.is_empty() {
            write!(out, "{:owed$}{cell}", "")?;
            owed = 0;
        }
        owed += GAP + width.saturating_sub(cell.chars().count());
    }
    out.write_char('\n')
}

/// Prints words in as many columns as fit into `width` characters, down first.
pub(crate) fn print_words(out: &mut Output, words: &[String], width: usize) -> fmt::Result {
    let cell = words.iter().map(|word| word.chars().count()).max().unwrap_or(0) + GAP;
    let columns = (width / cell).max(1);
    let rows = words.len().div_ceil(columns);
    for row in 0..rows {
        let line: Vec<&str> =
            words.iter().skip(row).step_by(rows.max(1)).map(String::as_str).collect();
        let widths: Vec<usize> = line.iter().map(|_| cell - GAP).collect();
        print_row(out, &widths, line.into_iter())?;
    }
    Ok(())
}
