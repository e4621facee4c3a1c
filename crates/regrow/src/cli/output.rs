//! What is printed: tables and lists of facts for people, JSON for programs.
//!
//! Data goes to standard output and nothing else does. Colour only on a terminal, and it never
//! carries meaning. Texts that come from elsewhere must not steer the terminal.

use std::borrow::Cow;
use std::io::{self, IsTerminal as _, Write as _};

use clap::ValueEnum;
use serde::Serialize;

use super::exit::Failure;

/// How data is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// Tables for people.
    #[default]
    Table,
    /// One JSON document for programs.
    Json,
}

/// Where data and remarks go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Output {
    format: Format,
    coloured: bool,
    remarks_to_terminal: bool,
}

/// A list as programs get it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Listed<'a, T> {
    results: &'a [T],
    total_count: usize,
}

impl Output {
    /// Finds out what standard output and standard error are.
    pub(super) fn new(format: Format) -> Self {
        let colour_wanted = std::env::var_os("NO_COLOR").is_none();
        Self {
            format,
            coloured: colour_wanted && io::stdout().is_terminal(),
            remarks_to_terminal: io::stderr().is_terminal(),
        }
    }

    pub(super) fn is_json(self) -> bool {
        self.format == Format::Json
    }

    /// Returns whether somebody watches standard error, so that a progress bar makes sense.
    pub(super) fn is_watched(self) -> bool {
        self.remarks_to_terminal
    }

    /// Prints one thing: its wire form for programs, facts about it for people.
    pub(super) fn one<T: Serialize>(
        self,
        thing: &T,
        facts: impl FnOnce(&T) -> Facts,
    ) -> Result<(), Failure> {
        match self.format {
            Format::Json => self.json(thing),
            Format::Table => self.text(&facts(thing).written(self.coloured)),
        }
    }

    /// Prints a list: wire forms for programs, a table for people.
    pub(super) fn list<T: Serialize>(
        self,
        things: &[T],
        table: impl FnOnce(&[T]) -> Table,
    ) -> Result<(), Failure> {
        match self.format {
            Format::Json => self.json(&Listed {
                results: things,
                total_count: things.len(),
            }),
            Format::Table => self.text(&table(things).written(self.coloured)),
        }
    }

    /// Prints a document for programs.
    pub(super) fn json<T: Serialize>(self, document: &T) -> Result<(), Failure> {
        let failed = |error| Failure::unexpected("write JSON", &error);
        let mut text = serde_json::to_string_pretty(document).map_err(failed)?;
        text.push('\n');
        self.text(&text)
    }

    /// Prints a text as it is.
    pub(super) fn text(self, text: &str) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        let written = stdout
            .write_all(text.as_bytes())
            .and_then(|()| stdout.flush());
        written.map_err(|error| Failure::of_output("standard output", &error))
    }

    /// Tells people something that is not data; programs are spared it.
    pub(super) fn remark(self, text: &str) {
        if self.format == Format::Table {
            // Where standard error is gone, nobody can be told.
            let _ = writeln!(io::stderr(), "{}", printable_lines(text));
        }
    }
}

/// Facts about one thing, a line each.
#[derive(Debug, Default)]
pub(super) struct Facts(Vec<(&'static str, String)>);

impl Facts {
    /// Adds a fact.
    #[must_use]
    pub(super) fn fact(mut self, name: &'static str, value: impl ToString) -> Self {
        self.0.push((name, value.to_string()));
        self
    }

    /// Adds a fact where there is one.
    #[must_use]
    pub(super) fn maybe(self, name: &'static str, value: Option<impl ToString>) -> Self {
        match value {
            Some(value) => self.fact(name, value),
            None => self,
        }
    }

    fn written(&self, coloured: bool) -> String {
        let width = self.0.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        let mut text = String::new();
        for (name, value) in &self.0 {
            let value = printable(value);
            let value = painted(&value, coloured);
            text.push_str(&format!("{name:width$}  {value}\n"));
        }
        text
    }
}

/// On which side of its column a cell stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Left,
    Right,
}

/// A table with a head line.
#[derive(Debug)]
pub(super) struct Table {
    columns: Vec<(&'static str, Side)>,
    rows: Vec<Vec<String>>,
    when_empty: &'static str,
}

impl Table {
    /// Begins a table; columns whose name ends in `>` stand on the right.
    pub(super) fn new(columns: &[&'static str], when_empty: &'static str) -> Self {
        let side = |name: &'static str| match name.strip_suffix('>') {
            Some(name) => (name, Side::Right),
            None => (name, Side::Left),
        };
        Self {
            columns: columns.iter().map(|name| side(name)).collect(),
            rows: Vec::new(),
            when_empty,
        }
    }

    /// Adds a row with a cell for each column.
    pub(super) fn row(&mut self, cells: Vec<String>) {
        debug_assert_eq!(cells.len(), self.columns.len(), "a cell for each column");
        self.rows.push(
            cells
                .iter()
                .map(|cell| printable(cell).into_owned())
                .collect(),
        );
    }

    fn written(&self, coloured: bool) -> String {
        if self.rows.is_empty() {
            return format!("{}\n", self.when_empty);
        }
        let head: Vec<String> = self
            .columns
            .iter()
            .map(|(name, _)| (*name).to_owned())
            .collect();
        let width_of = |column: usize| {
            let cells = self.rows.iter().map(|row| row[column].chars().count());
            cells.chain([head[column].len()]).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.columns.len()).map(width_of).collect();
        let mut text = String::new();
        for row in std::iter::once(&head).chain(&self.rows) {
            let mut line = String::new();
            for (column, cell) in row.iter().enumerate() {
                let gap = " ".repeat(widths[column] - cell.chars().count());
                let cell = painted(cell, coloured);
                match self.columns[column].1 {
                    Side::Left => line.push_str(&format!("{cell}{gap}  ")),
                    Side::Right => line.push_str(&format!("{gap}{cell}  ")),
                }
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

/// Colours the words that say how something ended.
fn painted(word: &str, coloured: bool) -> Cow<'_, str> {
    let colour = match word {
        "COMPLETED" | "yes" if coloured => "32",
        "FAILED" | "NO" if coloured => "31",
        "RUNNING" | "QUEUED" | "PENDING" if coloured => "33",
        _ => return Cow::Borrowed(word),
    };
    Cow::Owned(format!("\x1b[{colour}m{word}\x1b[0m"))
}

/// Writes what could steer a terminal or break a line as an escape: `\n`, `\u{1b}`.
pub(super) fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(char::is_control) {
        return Cow::Borrowed(text);
    }
    let mut written = String::with_capacity(text.len() + 8);
    for letter in text.chars() {
        match letter.is_control() {
            true => written.extend(letter.escape_default()),
            false => written.push(letter),
        }
    }
    Cow::Owned(written)
}

/// The same for a text of several lines.
pub(super) fn printable_lines(text: &str) -> String {
    let lines: Vec<_> = text.split('\n').map(printable).collect();
    lines.join("\n")
}

/// Writes a size for people, in decimal units.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    // What is compared is tenths of the unit, rounded: 999,950 is 1.0 MB and not 1000.0 kB.
    let mut unit = 1000_u64;
    for name in UNITS {
        let tenths = (u128::from(bytes) * 10 + u128::from(unit) / 2) / u128::from(unit);
        if tenths < 10_000 || name == "PB" {
            return format!("{}.{} {name}", tenths / 10, tenths % 10);
        }
        unit *= 1000;
    }
    unreachable!("the last unit takes everything")
}

/// Writes a count for people, with a comma after each three digits.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Facts, Table, count, printable_lines, size};

    #[test]
    fn columns_are_as_wide_as_they_need_to_be() {
        let mut table = Table::new(&["NAME", "SIZE>", "STATUS"], "none");
        table.row(vec!["crow".into(), "1.0 kB".into(), "COMPLETED".into()]);
        table.row(vec!["Käfer-Vögel".into(), "17 B".into(), "FAILED".into()]);
        assert_eq!(
            table.written(false),
            "NAME           SIZE  STATUS\n\
             crow         1.0 kB  COMPLETED\n\
             Käfer-Vögel    17 B  FAILED\n"
        );
        let coloured = table.written(true);
        assert!(
            coloured.contains("17 B  \x1b[31mFAILED\x1b[0m\n"),
            "{coloured}"
        );
    }

    #[test]
    fn an_empty_table_says_so() {
        let table = Table::new(&["NAME"], "no clusters yet");
        assert_eq!(table.written(false), "no clusters yet\n");
    }

    #[test]
    fn facts_stand_under_each_other() {
        let facts = Facts::default().fact("id", 7).maybe("left out", None::<u8>);
        let facts = facts.maybe("status", Some("COMPLETED"));
        assert_eq!(facts.written(false), "id      7\nstatus  COMPLETED\n");
    }

    #[test]
    fn a_name_breaks_no_line_and_steers_no_terminal() {
        let facts = Facts::default().fact("rewound", "d.a\nstatus  COMPLETED\x1b[2J");
        let expected = "rewound  d.a\\nstatus  COMPLETED\\u{1b}[2J\n";
        assert_eq!(facts.written(false), expected);
        let mut table = Table::new(&["NAME"], "none");
        table.row(vec!["a\r\nb".into()]);
        assert_eq!(table.written(false), "NAME\na\\r\\nb\n");
        assert_eq!(printable_lines("one\ntwo\t"), "one\ntwo\\t");
    }

    #[test]
    fn sizes_and_counts_are_written_for_people() {
        let sizes = [
            0,
            999,
            1000,
            1_049,
            999_949,
            999_950,
            1_500_000_000,
            u64::MAX,
        ];
        let expected = [
            "0 B",
            "999 B",
            "1.0 kB",
            "1.0 kB",
            "999.9 kB",
            "1.0 MB",
            "1.5 GB",
            "18446.7 PB",
        ];
        assert_eq!(sizes.map(size), expected);
        let counts = [0, 999, 1_000, 12_345, 1_234_567];
        assert_eq!(
            counts.map(count),
            ["0", "999", "1,000", "12,345", "1,234,567"]
        );
    }
}
