//! What the test runner prints, read: how many tests passed, and which ones failed and why, so that
//! the last lines of a long run say what is to be looked at.

use std::fmt;

/// How many lines of what a failed test said are kept.
const LINES_MAX: usize = 6;

/// The closing lines of the test runner, added up, and what failed tests said.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct TestReport {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) left_out: u64,
    failures: Vec<Failure>,
    /// Whether lines are those of the last failure.
    is_in_failure: bool,
}

/// A test that failed, and the first lines of its panic or error.
#[derive(Debug, PartialEq, Eq)]
struct Failure {
    name: String,
    /// Empty until that begins.
    said: Vec<String>,
}

impl TestReport {
    /// Reads the next line of what the runner prints.
    pub(crate) fn add(&mut self, line: &str) {
        if let Some(result) = line.strip_prefix("test result: ") {
            self.is_in_failure = false;
            self.add_result(result);
        } else if let Some(name) = failed_name(line) {
            self.is_in_failure = true;
            self.failures.push(Failure {
                name: name.to_owned(),
                said: Vec::new(),
            });
        } else if let Some(failure) = self.failures.last_mut().filter(|_| self.is_in_failure) {
            self.is_in_failure = !failure.ends_with(line);
            if self.is_in_failure {
                failure.add(line);
            }
        }
    }

    /// Adds `ok. 5 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 2.56s`.
    fn add_result(&mut self, result: &str) {
        let (_, counts) = result.split_once(". ").unwrap_or_default();
        for count in counts.split("; ") {
            let Some((number, what)) = count.split_once(' ') else {
                continue;
            };
            let Ok(number) = number.parse::<u64>() else {
                continue;
            };
            match what {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" | "filtered out" => self.left_out += number,
                _ => {}
            }
        }
    }
}

/// Returns the name in `---- some::test stdout ----`, which stands before what a failed test said.
fn failed_name(line: &str) -> Option<&str> {
    line.strip_prefix("---- ")?.strip_suffix(" stdout ----")
}

impl Failure {
    /// Answers whether the message ends before this line.
    fn ends_with(&self, line: &str) -> bool {
        let is_over = line.is_empty() || line == "stack backtrace:" || line.starts_with("note: ");
        self.said.len() == LINES_MAX || (is_over && !self.said.is_empty())
    }

    fn add(&mut self, line: &str) {
        let is_reason = line.contains("panicked at") || line.starts_with("Error: ");
        if is_reason || !self.said.is_empty() {
            self.said.push(line.to_owned());
        }
    }
}

impl fmt::Display for TestReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} tests failed", self.failed)?;
        for failure in &self.failures {
            write!(formatter, "\n{}", failure.name)?;
            for line in &failure.said {
                write!(formatter, "\n    {line}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(lines: &[&str]) -> TestReport {
        let mut report = TestReport::default();
        lines.iter().for_each(|line| report.add(line));
        report
    }

    #[test]
    fn closing_lines_are_added_up() {
        let report = report(&[
            "running 3 tests",
            "test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 4 filtered out; x",
            "test result: FAILED. 1 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out",
        ]);
        assert_eq!((report.passed, report.failed, report.left_out), (3, 3, 5));
        assert_eq!(report.to_string(), "3 tests failed");
    }

    #[test]
    fn failed_tests_are_named_with_what_they_said() {
        let report = report(&[
            "---- store::is_whole stdout ----",
            "something printed",
            "",
            "thread 'store::is_whole' (7) panicked at src/store.rs:1:2:",
            "assertion failed",
            "note: run with `RUST_BACKTRACE=1`",
            "",
            "---- store::is_small stdout ----",
            "Error: too large",
            "",
            "test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out",
            "panicked at nobody",
        ]);
        assert_eq!(
            report.to_string(),
            "2 tests failed\n\
             store::is_whole\n    \
                 thread 'store::is_whole' (7) panicked at src/store.rs:1:2:\n    \
                 assertion failed\n\
             store::is_small\n    \
                 Error: too large"
        );
    }
}
