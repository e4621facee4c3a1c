//! How a command ends: the exit codes, and what is said on standard error when it fails.
//!
//! Scripts branch on the codes: a number that was given out keeps its meaning.

use std::error::Error;
use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;

use serde::Serialize;

use super::output::{Format, printable, printable_lines};

/// The exit codes; `docs/operations.md` lists them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// Something that has no code of its own: a full disk, a fault of the service, a bug.
    Unexpected = 1,
    /// The command line, the configuration file or the environment is wrong, or nobody could be
    /// asked for confirmation.
    Usage = 2,
    /// The service refused: not found, not valid, in conflict.
    Refused = 3,
    /// The service refused the API key, or the key's roles or access list do not allow it.
    Denied = 4,
    /// The snapshot or restore that was waited for failed.
    JobFailed = 5,
    /// The service did not answer.
    Unreachable = 6,
    /// `check` found something wrong.
    CheckFailed = 7,
    /// The data directory cannot be used: not initialised, initialised already, in use by
    /// another process, or its key is wrong.
    DataDirectory = 8,
    /// `diff` found differences.
    Different = 9,
    /// Interrupted while waiting; the job goes on.
    Interrupted = 130,
}

/// Why a command failed, in words for people and a code for programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    exit: Exit,
    code: Option<String>,
    message: String,
    hint: Option<String>,
}

/// What a program reads on standard error with `--output json`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    error: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_code: Option<&'a str>,
    exit_code: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'a str>,
}

impl Failure {
    /// Makes a failure of its message; what follows `hint:` in it is kept apart.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        let message: String = message.into();
        let (message, hint) = match message.split_once("; hint: ") {
            Some((message, hint)) => (message.to_owned(), Some(hint.to_owned())),
            None => (message, None),
        };
        Self {
            exit,
            code: None,
            message,
            hint,
        }
    }

    /// Makes a failure of an error and what led to it, with what was being done.
    pub fn unexpected(doing: &str, error: &dyn Error) -> Self {
        Self::new(Exit::Unexpected, format!("{doing}: {}", with_causes(error)))
    }

    /// Makes a failure about the command line.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// Makes the failure to write to `name`; it is none where the reader has seen enough, as in
    /// `regrow … | head`.
    pub(super) fn of_output(name: &str, error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::new(Exit::Done, "");
        }
        Self::unexpected(&format!("write {name}"), error)
    }

    /// Adds what somebody can do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint.get_or_insert(hint.into());
        self
    }

    /// Adds the code that the service gave.
    #[must_use]
    pub(super) fn code(mut self, code: impl Into<String>) -> Self {
        self.code = Some(code.into());
        self
    }

    /// Returns the exit code.
    pub fn exit(&self) -> Exit {
        self.exit
    }

    /// Says on standard error what went wrong, and returns the exit code for the process.
    pub fn report(&self, format: Format) -> ExitCode {
        if !self.message.is_empty() {
            let mut stderr = io::stderr().lock();
            let coloured = stderr.is_terminal() && std::env::var_os("NO_COLOR").is_none();
            // Where standard error is gone, nobody can be told.
            let _ = writeln!(stderr, "{}", self.written(format, coloured));
        }
        ExitCode::from(self.exit as u8)
    }

    fn written(&self, format: Format, coloured: bool) -> String {
        if format == Format::Json {
            let document = Document {
                error: &self.message,
                error_code: self.code.as_deref(),
                exit_code: self.exit as u8,
                hint: self.hint.as_deref(),
            };
            return serde_json::to_string(&document).expect("texts and a number can be written");
        }
        let (begin, end) = if coloured {
            ("\x1b[1;31m", "\x1b[0m")
        } else {
            ("", "")
        };
        let mut text = format!("{begin}error:{end} {}", printable_lines(&self.message));
        if let Some(code) = &self.code {
            text.push_str(&format!(" ({})", printable(code)));
        }
        if let Some(hint) = &self.hint {
            text.push_str(&format!("\nhint: {}", printable_lines(hint)));
        }
        text
    }
}

/// Returns an error and what led to it, in one line.
pub(super) fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Exit, Failure};
    use crate::cli::output::Format;

    #[test]
    fn a_failure_is_told_with_its_code_and_hint() {
        let failure = Failure::new(Exit::Refused, "no such cluster").code("CLUSTER_NOT_FOUND");
        let failure = failure.hint("look at `regrow cluster list`");
        let text = failure.written(Format::Table, false);
        assert_eq!(
            text,
            "error: no such cluster (CLUSTER_NOT_FOUND)\nhint: look at `regrow cluster list`"
        );
    }

    #[test]
    fn programs_get_one_object() {
        let failure = Failure::new(Exit::JobFailed, "it failed").hint("look at the log");
        assert_eq!(
            failure.written(Format::Json, true),
            r#"{"error":"it failed","exitCode":5,"hint":"look at the log"}"#
        );
    }

    #[test]
    fn a_hint_inside_a_message_goes_on_a_line_of_its_own() {
        let failure = Failure::new(Exit::DataDirectory, "in use; hint: stop it");
        assert_eq!(
            failure.written(Format::Table, false),
            "error: in use\nhint: stop it"
        );
    }

    #[test]
    fn a_message_from_elsewhere_cannot_steer_the_terminal() {
        let failure = Failure::new(Exit::Refused, "bad\x1b[2Jname");
        assert_eq!(
            failure.written(Format::Table, false),
            "error: bad\\u{1b}[2Jname"
        );
    }
}
