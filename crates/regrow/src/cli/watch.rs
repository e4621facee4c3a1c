//! Waiting for a job of the service, with a bar for whoever watches.
//!
//! The job does not need the one who waits: interrupting ends the waiting only, and the service
//! may be restarted meanwhile.

use std::time::{Duration, Instant};

use api::regrow::{Progress, Restore, Snapshot};
use api::tenant::Status;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::de::DeserializeOwned;

use super::exit::{Exit, Failure};
use super::output::Output;
use super::session::Session;
use crate::client::ClientError;

/// The first pause between two looks; each is half as long again as the one before.
const PAUSE_MIN: Duration = Duration::from_millis(100);

/// The longest pause between two looks.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// How long the service may be away, as for a restart, before the waiting is given up.
const ABSENCE_MAX: Duration = Duration::from_secs(60);

/// What can be waited for.
pub(super) trait Job: DeserializeOwned {
    /// Returns where it stands.
    fn status(&self) -> Status;
    /// Returns how far it is, while it is at work.
    fn progress(&self) -> Option<&Progress>;
    /// Returns why it failed.
    fn failure(&self) -> Option<&str>;
}

impl Job for Snapshot {
    fn status(&self) -> Status {
        self.status
    }

    fn progress(&self) -> Option<&Progress> {
        self.progress.as_ref()
    }

    fn failure(&self) -> Option<&str> {
        self.failure_reason.as_deref()
    }
}

impl Job for Restore {
    fn status(&self) -> Status {
        self.status
    }

    fn progress(&self) -> Option<&Progress> {
        self.progress.as_ref()
    }

    fn failure(&self) -> Option<&str> {
        self.failure_reason.as_deref()
    }
}

/// Waits until the job at `path` has ended, and returns it, whether it completed or failed.
///
/// `what` names it in remarks, `again` is the command that takes the waiting up again.
pub(super) async fn until_ended<J: Job>(
    session: &Session,
    path: &str,
    what: &str,
    again: &str,
) -> Result<J, Failure> {
    tokio::select! {
        ended = poll(session, path, what) => ended,
        _ = tokio::signal::ctrl_c() => {
            Err(Failure::new(Exit::Interrupted, format!("stopped waiting for {what}, which goes on"))
                .hint(format!("wait again: {again}")))
        }
    }
}

async fn poll<J: Job>(session: &Session, path: &str, what: &str) -> Result<J, Failure> {
    let bar = Bar::new(session.output, what);
    let mut pause = PAUSE_MIN;
    let mut last_answer = Instant::now();
    loop {
        match session.client.get::<J>(path).await {
            Ok(job) if matches!(job.status(), Status::Completed | Status::Failed) => {
                return Ok(job);
            }
            Ok(job) => {
                last_answer = Instant::now();
                bar.show(&job);
            }
            Err(ClientError::Unreachable { .. }) if last_answer.elapsed() < ABSENCE_MAX => {
                bar.away();
            }
            Err(error) => return Err(error.into()),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 3 / 2).min(PAUSE_MAX);
    }
}

/// Makes a failed job the failure of the command that waited for it.
pub(super) fn require_success<J: Job>(job: &J, what: &str) -> Result<(), Failure> {
    if job.status() == Status::Completed {
        return Ok(());
    }
    let reason = job.failure().unwrap_or("the service did not say why");
    Err(Failure::new(Exit::JobFailed, format!("{what} failed: {reason}")).code("JOB_FAILED"))
}

/// A bar on standard error that only a terminal shows.
pub(super) struct Bar(ProgressBar);

impl Bar {
    pub(super) fn new(output: Output, what: &str) -> Self {
        let target = if output.is_watched() && !output.is_json() {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(None, target);
        bar.set_prefix(what.to_owned());
        bar.set_style(style("{prefix}  {msg}  {elapsed}"));
        bar.set_message("waiting");
        bar.enable_steady_tick(Duration::from_millis(500));
        Self(bar)
    }

    fn show(&self, job: &impl Job) {
        let Some(progress) = job.progress() else {
            self.0.set_message(match job.status() {
                Status::Pending => "pending",
                Status::Queued => "queued",
                _ => "running",
            });
            return;
        };
        self.bytes(progress.bytes_done, progress.bytes_total);
    }

    /// Shows how many bytes are done, of how many where that is known.
    pub(super) fn bytes(&self, done: u64, total: Option<u64>) {
        match total.filter(|total| *total > 0) {
            Some(total) => {
                // What is expected is an estimate; the bar never claims more than all of it.
                self.0.set_length(total.max(done));
                self.0.set_style(style(
                    "{prefix}  {bar:30} {bytes}/{total_bytes}  {bytes_per_sec}",
                ));
            }
            None => self
                .0
                .set_style(style("{prefix}  {bytes}  {bytes_per_sec}  {elapsed}")),
        }
        self.0.set_position(done);
    }

    fn away(&self) {
        self.0.set_style(style("{prefix}  {msg}  {elapsed}"));
        self.0
            .set_message("the service does not answer, trying again");
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the templates in this file are valid")
}
