//! The command line: what was typed becomes requests to the service, answers become tables.
//!
//! `init`, `serve` and `check` work on the machine itself; everything else goes through the API
//! and can do nothing that the API cannot.

mod allocator;
mod args;
mod check;
mod cluster;
mod completions;
mod confirm;
mod diff;
mod download;
mod drill;
mod exit;
mod find;
mod init;
mod key;
mod openapi;
mod output;
mod project;
mod prune;
mod restore;
mod serve;
mod session;
mod snapshot;
mod watch;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser as _;
use clap::error::ErrorKind;

pub use args::Arguments;
pub use exit::{Exit, Failure};
pub use output::Format;

use args::{Command, InProject};
use output::Output;
use session::Session;

/// Why there is nothing to run: help was asked for, or the command line is wrong.
#[derive(Debug)]
pub struct Stopped {
    error: clap::Error,
    format: Format,
}

impl Stopped {
    /// Prints the help or what is wrong, and returns the exit code for the process.
    pub fn report(&self) -> ExitCode {
        let is_help = !self.error.use_stderr();
        if is_help || self.format == Format::Table || self.is_bare() {
            // Where the stream is gone, nobody can be told.
            let _ = self.error.print();
            let exit = if is_help { Exit::Done } else { Exit::Usage };
            return ExitCode::from(exit as u8);
        }
        Failure::usage(self.message()).report(self.format)
    }

    /// Returns what is wrong in one line, without the usage that people are shown below it.
    fn message(&self) -> String {
        let text = self.error.render().to_string();
        let text = text.split("\n\n").next().unwrap_or_default();
        let words: Vec<&str> = text
            .trim_start_matches("error: ")
            .split_whitespace()
            .collect();
        words.join(" ")
    }

    fn is_bare(&self) -> bool {
        self.error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    }
}

/// Reads a command line, of which the first word is the program's name.
///
/// # Errors
/// When help or the version is asked for, or when something is not understood.
pub fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Arguments, Stopped> {
    let words: Vec<OsString> = words.into_iter().collect();
    Arguments::try_parse_from(&words).map_err(|error| {
        // Nothing was understood, so it is looked for by hand.
        let is_json = |pair: &[OsString]| pair[0] == "--output" && pair[1] == "json";
        let is_wanted = words.windows(2).any(is_json) || words.contains(&"--output=json".into());
        let format = if is_wanted {
            Format::Json
        } else {
            Format::Table
        };
        Stopped { error, format }
    })
}

/// Does what was typed.
///
/// # Errors
/// With the exit code and the words for standard error.
pub async fn run(arguments: Arguments) -> Result<(), Failure> {
    let output = Output::new(arguments.output);
    match arguments.command {
        Command::Init(command) => init::run(command, output).await,
        Command::Serve(command) => serve::run(command, output).await,
        Command::Cluster(InProject { service, command }) => {
            cluster::run(command.action, &Session::new(service, output)?).await
        }
        Command::Snapshot(InProject { service, command }) => {
            snapshot::run(command.action, &Session::new(service, output)?).await
        }
        Command::Restore(InProject { service, command }) => {
            restore::run(command.action, &Session::new(service, output)?).await
        }
        Command::Drill(InProject { service, command }) => {
            drill::run(command, &Session::new(service, output)?).await
        }
        Command::Download(InProject { service, command }) => {
            download::run(command, &Session::new(service, output)?).await
        }
        Command::Diff(InProject { service, command }) => {
            diff::run(command, &Session::new(service, output)?).await
        }
        Command::Find(InProject { service, command }) => {
            find::run(command, &Session::new(service, output)?).await
        }
        Command::Prune(InProject { service, command }) => {
            prune::run(command, &Session::new(service, output)?).await
        }
        Command::Key(InProject { service, command }) => {
            key::run(command.action, &Session::new(service, output)?).await
        }
        Command::Project(InProject { service, command }) => {
            project::run(command.action, &Session::new(service, output)?).await
        }
        Command::Check(command) => check::run(command, output).await,
        Command::Completions(command) => completions::run(command, output),
        Command::OpenApi => openapi::run(output),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;
    use clap::error::ErrorKind;

    use super::args::{
        Arguments, ClusterAction, Command, DrillAction, RestoreAction, SnapshotAction, Tier,
    };
    use super::{Format, parse};

    fn read(line: &str) -> Arguments {
        let words = std::iter::once("regrow")
            .chain(line.split(' '))
            .map(Into::into);
        parse(words).unwrap_or_else(|stopped| panic!("{line}: {}", stopped.error))
    }

    fn check_refused(line: &str, kind: ErrorKind) {
        let words = std::iter::once("regrow")
            .chain(line.split(' '))
            .map(Into::into);
        let stopped = parse(words).expect_err(line);
        assert_eq!(stopped.error.kind(), kind, "{line}");
    }

    #[test]
    fn the_command_line_holds_together() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_command_line_that_others_script_is_understood() {
        let arguments = read("init --data-dir D --output json");
        assert_eq!(arguments.output, Format::Json);
        read("serve --data-dir D --listen 127.0.0.1:0");
        let add = read("cluster add shop --uri mongodb://h/ --tier serverless --output json");
        let Command::Cluster(add) = add.command else {
            panic!("another command")
        };
        let ClusterAction::Add(add) = add.command.action else {
            panic!("another action")
        };
        assert_eq!((add.tier, add.no_snapshot), (Tier::Serverless, false));
        read("cluster add shop --uri mongodb://h/ --tier M2 --no-snapshot");
        read("cluster add shop --uri-file - --tier m5");
        let take = read("snapshot take shop --wait --output json");
        let Command::Snapshot(take) = take.command else {
            panic!("another command")
        };
        assert!(matches!(
            take.command.action,
            SnapshotAction::Take { wait: true, .. }
        ));
        let start = read("restore start shop --snapshot latest --target copy --yes --wait");
        let Command::Restore(start) = start.command else {
            panic!("another command")
        };
        let RestoreAction::Start(start) = start.command.action else {
            panic!("another action")
        };
        assert!(start.yes.yes && start.wait);
        read("download shop --snapshot 5cc9b501e5dc7c8ab1e45d65 --to x.tar.gz --output json");
        read("download shop --snapshot latest --to x.tar.gz --format data-files");
        let drill = read("drill shop --target spare --yes --wait");
        let Command::Drill(drill) = drill.command else {
            panic!("another command")
        };
        assert_eq!(drill.command.start.cluster.as_deref(), Some("shop"));
        assert!(drill.command.action.is_none());
        let list = read("drill list shop --url http://h:1");
        let Command::Drill(list) = list.command else {
            panic!("another command")
        };
        assert!(matches!(
            list.command.action,
            Some(DrillAction::List { .. })
        ));
        read("cluster set shop --drill-every-days 7");
        read("find shop --snapshot latest shop.orders {\"a\":1} --limit 5 --canonical");
        read("find shop --snapshot latest shop.orders --count");
        read("diff shop 5cc9b501e5dc7c8ab1e45d65 latest shop.orders --documents --full");
        read("check --read-data --data-dir D");
        read("completions bash");
        read("openapi");
    }

    #[test]
    fn where_the_service_is_can_be_said_anywhere() {
        for line in [
            "cluster --url http://h:1 list",
            "cluster list --url http://h:1",
            "key access list k --url http://h:1",
        ] {
            let service = match read(line).command {
                Command::Cluster(command) => command.service,
                Command::Key(command) => command.service,
                _ => panic!("another command"),
            };
            assert_eq!(service.url.as_deref(), Some("http://h:1"));
        }
    }

    #[test]
    fn a_program_is_told_in_one_line_what_is_wrong() {
        let words = ["regrow", "restore", "show", "--output=json"].map(Into::into);
        let stopped = parse(words).unwrap_err();
        assert_eq!(stopped.format, Format::Json);
        assert_eq!(
            stopped.message(),
            "the following required arguments were not provided: <CLUSTER> <RESTORE>"
        );
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        check_refused(
            "cluster add shop --tier M2",
            ErrorKind::MissingRequiredArgument,
        );
        check_refused(
            "cluster add shop --uri u --tier M10",
            ErrorKind::InvalidValue,
        );
        check_refused(
            "cluster add shop --uri u --uri-file f --tier M2",
            ErrorKind::ArgumentConflict,
        );
        check_refused("cluster set shop", ErrorKind::MissingRequiredArgument);
        check_refused(
            "restore start shop --target x",
            ErrorKind::MissingRequiredArgument,
        );
        check_refused(
            "serve --listen nowhere --data-dir D",
            ErrorKind::ValueValidation,
        );
        check_refused(
            "serve --tls-key k --data-dir D",
            ErrorKind::MissingRequiredArgument,
        );
        check_refused(
            "key create --description d",
            ErrorKind::MissingRequiredArgument,
        );
        check_refused(
            "snapshot",
            ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand,
        );
        check_refused("drill", ErrorKind::MissingRequiredArgument);
        check_refused("fly", ErrorKind::InvalidSubcommand);
    }
}
