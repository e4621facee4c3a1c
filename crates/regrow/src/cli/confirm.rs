//! Asking before something is destroyed.

use std::io::{self, IsTerminal as _, Write as _};

use super::args::Yes;
use super::exit::{Exit, Failure};
use super::output::{Output, printable, printable_lines};

/// Tells what is going to happen and returns only when somebody agreed to it, by `--yes` or by
/// typing `name`.
///
/// # Errors
/// When nobody can be asked, or when the answer was another.
pub(super) fn confirm(plan: &str, name: &str, yes: Yes, output: Output) -> Result<(), Failure> {
    if yes.yes {
        output.remark(plan);
        return Ok(());
    }
    // From here on somebody has to see it, even where remarks are not wanted.
    let mut stderr = io::stderr().lock();
    let failed = |error| Failure::unexpected("ask for confirmation", &error);
    writeln!(stderr, "{}", printable_lines(plan)).map_err(failed)?;
    if !io::stdin().is_terminal() || !stderr.is_terminal() {
        return Err(
            Failure::usage("nothing was done, because nobody can be asked here")
                .hint("add --yes to go on without being asked"),
        );
    }
    let asked = write!(stderr, "type {} to go on: ", printable(name));
    asked.and_then(|()| stderr.flush()).map_err(failed)?;
    let mut answer = String::new();
    let read = io::stdin().read_line(&mut answer);
    read.map_err(|error| Failure::unexpected("read the answer", &error))?;
    if answer.trim() == name {
        return Ok(());
    }
    Err(Failure::new(
        Exit::Usage,
        "nothing was done, because the answer was another",
    ))
}
