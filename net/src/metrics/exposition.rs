//! The text format of Prometheus, written line by line.

use core::fmt::{self, Write};
use core::time::Duration;

/// What a figure is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// It only grows; its name ends in `_total`.
    Counter,
    /// It goes up and down.
    Gauge,
}

/// A figure.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Value {
    /// A number.
    Count(u64),
    /// A time, in seconds.
    Seconds(Duration),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Seconds(time) => write!(f, "{}.{:09}", time.as_secs(), time.subsec_nanos()),
        }
    }
}

/// Figures, on their way out.
pub struct Exposition<'a, W>(&'a mut W);

impl<'a, W: Write> Exposition<'a, W> {
    /// Figures that go to `output`. An error of that ends them, and is given back.
    pub fn new(output: &'a mut W) -> Self {
        Self(output)
    }

    /// Figures of one name. Each name comes once: all figures of a family are written before the next one begins.
    ///
    /// # Errors
    ///
    /// If the output takes no more.
    pub fn family(
        &mut self,
        name: &'static str,
        kind: Kind,
        help: &'static str,
    ) -> Result<Family<'_, W>, fmt::Error> {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        write!(self.0, "# HELP {name} ")?;
        escape(self.0, help, Quotes::Kept)?;
        writeln!(self.0, "\n# TYPE {name} {kind}")?;
        Ok(Family { name, output: self.0 })
    }
}

/// Figures of one name, which differ in labels.
pub struct Family<'a, W> {
    name: &'static str,
    output: &'a mut W,
}

impl<W: Write> Family<'_, W> {
    /// Writes a figure. The values of labels may be any text.
    ///
    /// # Errors
    ///
    /// If the output takes no more.
    pub fn sample(&mut self, labels: &[(&'static str, &str)], value: Value) -> fmt::Result {
        self.output.write_str(self.name)?;
        let mut before = '{';
        for (name, value) in labels {
            write!(self.output, "{before}{name}=\"")?;
            escape(self.output, value, Quotes::Escaped)?;
            self.output.write_char('"')?;
            before = ',';
        }
        if !labels.is_empty() {
            self.output.write_char('}')?;
        }
        writeln!(self.output, " {value}")
    }
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Quotes {
    Kept,
    Escaped,
}

fn escape(output: &mut impl Write, text: &str, quotes: Quotes) -> fmt::Result {
    for char in text.chars() {
        match char {
            '\\' => output.write_str("\\\\")?,
            '\n' => output.write_str("\\n")?,
            '"' if quotes == Quotes::Escaped => output.write_str("\\\"")?,
            char => output.write_char(char)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn figures_look_as_prometheus_has_them() {
        let mut text = String::new();
        let mut all = Exposition::new(&mut text);
        let mut exits = all.family("roost_exits_total", Kind::Counter, "Exits of a vCPU.").unwrap();
        exits.sample(&[("vm", "we\"b\n\\"), ("vcpu", "0")], Value::Count(7)).unwrap();
        exits.sample(&[("vm", "db"), ("vcpu", "1")], Value::Count(u64::MAX)).unwrap();
        let mut uptime =
            all.family("roost_uptime_seconds", Kind::Gauge, "Since \"boot\".").unwrap();
        uptime.sample(&[], Value::Seconds(Duration::from_millis(1500))).unwrap();
        let expected = r#"# HELP roost_exits_total Exits of a vCPU.
# TYPE roost_exits_total counter
roost_exits_total{vm="we\"b\n\\",vcpu="0"} 7
roost_exits_total{vm="db",vcpu="1"} 18446744073709551615
# HELP roost_uptime_seconds Since "boot".
# TYPE roost_uptime_seconds gauge
roost_uptime_seconds 1.500000000
"#;
        assert_eq!(text, expected);
    }

    proptest! {
        #[test]
        fn a_label_is_one_line_whatever_it_is(value in any::<String>()) {
            let mut text = String::new();
            let mut all = Exposition::new(&mut text);
            let mut family = all.family("a", Kind::Gauge, "b").unwrap();
            family.sample(&[("c", &value)], Value::Count(1)).unwrap();
            prop_assert_eq!(text.split('\n').count(), 4);
        }
    }
}
