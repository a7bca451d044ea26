//! A figure, and its target.

use std::fmt::Write;

use serde_json::{Value, json};

/// What a figure counts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Unit {
    /// Executed instructions.
    Instructions,
    /// Bytes.
    Bytes,
    /// Hundredths of something else.
    Percent,
    /// How many for each request.
    PerRequest,
    /// Time on the wall.
    Milliseconds,
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Self::Instructions => "instructions",
            Self::Bytes => "bytes",
            Self::Percent => "percent",
            Self::PerRequest => "per request",
            Self::Milliseconds => "milliseconds",
        }
    }
}

/// One figure.
#[derive(Clone, Debug)]
pub(crate) struct Figure {
    /// Its name, the same in the table and in JSON.
    pub(crate) name: String,
    /// What it counts.
    pub(crate) unit: Unit,
    /// What was measured; `None` when the measurement failed.
    pub(crate) value: Option<f64>,
    /// The same without a hypervisor.
    pub(crate) bare: Option<f64>,
    /// The most that it may be.
    pub(crate) target: Option<f64>,
}

impl Figure {
    /// One that nothing bare compares with.
    pub(crate) fn without_bare(
        name: &str,
        unit: Unit,
        value: Option<f64>,
        target: Option<f64>,
    ) -> Self {
        Self { name: name.into(), unit, value, bare: None, target }
    }

    /// Whether it was measured, and is not above its target.
    pub(crate) fn is_met(&self) -> bool {
        self.value.is_some_and(|value| self.target.is_none_or(|target| value <= target))
    }
}

/// The figures for people.
pub(crate) fn to_table(figures: &[Figure]) -> String {
    let mut text = String::new();
    let row = [["figure", "bare", "Roost", "target"].map(String::from)];
    let rows = figures.iter().map(|figure| {
        let show =
            |value: Option<f64>| value.map_or("-".into(), |value| number(value, figure.unit));
        [figure.name.clone(), show(figure.bare), show(figure.value), show(figure.target)]
    });
    let rows: Vec<[String; 4]> = row.into_iter().chain(rows).collect();
    let width =
        |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths = [width(0), width(1), width(2), width(3)];
    for (index, row) in rows.iter().enumerate() {
        let verdict = match index.checked_sub(1).and_then(|index| figures.get(index)) {
            Some(figure) if !figure.is_met() => "  missed",
            _ => "",
        };
        let [name, bare, value, target] = row;
        let [name_width, bare_width, value_width, target_width] = widths;
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{name:name_width$}  {bare:>bare_width$}  {value:>value_width$}  {target:>target_width$}{verdict}"
        );
    }
    text
}

/// The figures for programs: one object with a list, on one line.
pub(crate) fn to_json(figures: &[Figure]) -> String {
    let list: Vec<Value> = figures
        .iter()
        .map(|figure| {
            json!({
                "name": figure.name,
                "unit": figure.unit.name(),
                "value": figure.value,
                "bare": figure.bare,
                "target": figure.target,
                "is_met": figure.is_met(),
            })
        })
        .collect();
    format!("{}\n", json!({ "figures": list }))
}

/// Groups of three digits; tenths only where they count.
fn number(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Percent => format!("{value:+.2} %"),
        Unit::PerRequest => format!("{value:.3}"),
        Unit::Milliseconds => format!("{value:.2} ms"),
        Unit::Instructions if value < 100.0 => format!("{value:.1}"),
        Unit::Instructions => grouped(value.round() as u64),
        Unit::Bytes => format!("{} KiB", grouped(value as u64 / 1024)),
    }
}

fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
