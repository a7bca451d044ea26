//! A VT100, as far as it is used here.

/// A screen that shows what it is sent, and answers questions.
pub(crate) struct Vt100 {
    rows: usize,
    columns: usize,
    cells: Vec<Vec<char>>,
    row: usize,
    column: usize,
    /// A character is in the last column, and the next one goes to the next line.
    is_wrapping: bool,
    saved: (usize, usize),
    parsed: Vec<u8>,
    utf8: Vec<u8>,
    /// What it types by itself.
    pub(crate) answers: Vec<u8>,
    pub(crate) bells: usize,
}

impl Vt100 {
    pub(crate) fn new(rows: usize, columns: usize) -> Self {
        Self {
            rows,
            columns,
            cells: vec![vec![' '; columns]; rows],
            row: 0,
            column: 0,
            is_wrapping: false,
            saved: (0, 0),
            parsed: Vec::new(),
            utf8: Vec::new(),
            answers: Vec::new(),
            bells: 0,
        }
    }

    /// What is on the screen, without the blanks at the ends of lines and the empty lines below.
    pub(crate) fn text(&self) -> String {
        let lines: Vec<String> =
            self.cells.iter().map(|line| line.iter().collect::<String>()).collect();
        lines.iter().map(|line| line.trim_end()).collect::<Vec<_>>().join("\n").trim_end().into()
    }

    /// One line of it, without the blanks at its end.
    pub(crate) fn line(&self, row: usize) -> String {
        self.cells[row].iter().collect::<String>().trim_end().into()
    }

    /// The last lines of the screen that are not empty.
    pub(crate) fn last_lines(&self, count: usize) -> String {
        let text = self.text();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(count)..].join("\n")
    }

    /// Where the cursor is: row and column, from 0.
    pub(crate) fn cursor(&self) -> (usize, usize) {
        (self.row, self.column)
    }

    pub(crate) fn show(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.byte(byte));
    }

    fn byte(&mut self, byte: u8) {
        if !self.parsed.is_empty() {
            self.parsed.push(byte);
            return self.sequence();
        }
        match byte {
            0x1b => self.parsed.push(byte),
            b'\r' => (self.column, self.is_wrapping) = (0, false),
            b'\n' => self.line_feed(),
            0x08 => (self.column, self.is_wrapping) = (self.column.saturating_sub(1), false),
            0x07 => self.bells += 1,
            0..=0x1f => panic!("unexpected control character {byte:#x}"),
            _ => {
                self.utf8.push(byte);
                let c = std::str::from_utf8(&self.utf8).ok().and_then(|text| text.chars().next());
                if let Some(c) = c {
                    self.utf8.clear();
                    self.put(c);
                }
            }
        }
    }

    fn put(&mut self, c: char) {
        if self.is_wrapping {
            self.column = 0;
            self.line_feed();
        }
        self.cells[self.row][self.column] = c;
        self.is_wrapping = self.column + 1 == self.columns;
        if !self.is_wrapping {
            self.column += 1;
        }
    }

    fn line_feed(&mut self) {
        self.is_wrapping = false;
        if self.row + 1 < self.rows {
            self.row += 1;
        } else {
            self.cells.remove(0);
            self.cells.push(vec![' '; self.columns]);
        }
    }

    fn sequence(&mut self) {
        let parsed = std::mem::take(&mut self.parsed);
        match parsed[..] {
            [0x1b, b'7'] => self.saved = (self.row, self.column),
            [0x1b, b'8'] => ((self.row, self.column), self.is_wrapping) = (self.saved, false),
            [0x1b, b'['] => self.parsed = parsed,
            [0x1b, b'[', ref parameters @ .., last @ 0x40..=0x7e] => self.control(parameters, last),
            [0x1b, b'[', ..] => self.parsed = parsed,
            _ => panic!("unexpected sequence {parsed:?}"),
        }
    }

    fn control(&mut self, parameters: &[u8], last: u8) {
        let text = std::str::from_utf8(parameters).unwrap();
        let mut numbers = text.split(';').map(|number| number.parse::<usize>().ok());
        let first = numbers.next().flatten();
        let second = numbers.next().flatten();
        let count = first.unwrap_or(1);
        match last {
            b'A' => self.row = self.row.saturating_sub(count),
            b'B' => self.row = (self.row + count).min(self.rows - 1),
            b'C' => self.column = (self.column + count).min(self.columns - 1),
            b'D' => self.column = self.column.saturating_sub(count),
            b'H' => {
                self.row = count.clamp(1, self.rows) - 1;
                self.column = second.unwrap_or(1).clamp(1, self.columns) - 1;
            }
            b'J' if first == Some(2) => self.cells = vec![vec![' '; self.columns]; self.rows],
            b'J' => {
                self.cells[self.row][self.column..].fill(' ');
                self.cells[self.row + 1..].iter_mut().for_each(|line| line.fill(' '));
            }
            b'K' => self.cells[self.row][self.column..].fill(' '),
            b'n' => {
                let report = format!("\x1b[{};{}R", self.row + 1, self.column + 1);
                self.answers.extend_from_slice(report.as_bytes());
            }
            b'm' | b'h' | b'l' => return,
            _ => panic!("unexpected sequence {parameters:?} {last}"),
        }
        self.is_wrapping = false;
    }
}
