//! Waiting for a job of the service, with a bar for whoever watches.
//!
//! The job does not need the one who waits: interrupting ends the waiting only, and the service
//! may be restarted meanwhile.

use std::cell::Cell;
use std::time::{Duration, Instant};

use api::regrow::{Drill, Progress, Restore, Snapshot};
use api::tenant::Status;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::de::DeserializeOwned;

use super::exit::{Exit, Failure};
use super::output::Output;
use super::session::Session;
use crate::client::ClientError;

/// The first pause between two looks; each later one is a tenth of the time that was waited.
const PAUSE_MIN: Duration = Duration::from_millis(50);

/// The longest pause between two looks.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// How long the service may be away, as for a restart, before the waiting is given up.
const ABSENCE_MAX: Duration = Duration::from_secs(60);

/// How often a bar is drawn anew while nothing is heard.
const TICK: Duration = Duration::from_millis(500);

/// What can be waited for.
pub(super) trait Job: DeserializeOwned {
    /// Returns where it stands.
    fn status(&self) -> Status;
    /// Returns how far it is, while it is at work.
    fn progress(&self) -> Option<&Progress>;
    /// Returns why it failed.
    fn failure(&self) -> Option<&str>;
}

macro_rules! job {
    ($($shape:ty)*) => {$(
        impl Job for $shape {
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
    )*};
}

job!(Snapshot Drill Restore);

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
            let why = format!("stopped waiting for {what}, which goes on");
            Err(Failure::new(Exit::Interrupted, why).hint(format!("wait again: {again}")))
        }
    }
}

async fn poll<J: Job>(session: &Session, path: &str, what: &str) -> Result<J, Failure> {
    let bar = Bar::new(session.output, what);
    let began = Instant::now();
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
            Err(error) if is_passing(&error) && last_answer.elapsed() < ABSENCE_MAX => {
                bar.words("the service does not answer, trying again");
            }
            Err(error) => return Err(error.into()),
        }
        // Whoever waits learns of the end a tenth too late at most, of a long job two seconds.
        let pause = began.elapsed() / 10;
        tokio::time::sleep(pause.clamp(PAUSE_MIN, PAUSE_MAX)).await;
    }
}

/// Returns whether the service may answer the same request a little later.
fn is_passing(error: &ClientError) -> bool {
    match error {
        ClientError::Unreachable { .. } => true,
        ClientError::Refused { status, .. } => *status >= 500,
        _ => false,
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
pub(super) struct Bar {
    bar: ProgressBar,
    style: Cell<&'static str>,
}

/// Nothing can be counted yet.
const WORDS: &str = "{prefix}  {msg}  {elapsed}";
/// How much there is to do is not known.
const COUNTED: &str = "{prefix}  {decimal_bytes}  {decimal_bytes_per_sec}  {elapsed}";
/// How much there is to do is known.
const MEASURED: &str =
    "{prefix}  {wide_bar} {decimal_bytes}/{decimal_total_bytes}  {decimal_bytes_per_sec}";

impl Bar {
    pub(super) fn new(output: Output, what: &str) -> Self {
        let hidden = ProgressDrawTarget::hidden();
        let bar = Self {
            bar: ProgressBar::with_draw_target(None, hidden),
            style: Cell::new(""),
        };
        bar.bar.set_prefix(what.to_owned());
        bar.words("waiting");
        // It is shown only now, so that it is never seen in another style.
        if output.is_watched() && !output.is_json() {
            bar.bar.set_draw_target(ProgressDrawTarget::stderr());
            bar.bar.enable_steady_tick(TICK);
        }
        bar
    }

    fn show(&self, job: &impl Job) {
        match (job.progress(), job.status()) {
            (Some(progress), _) => self.bytes(progress.bytes_done, progress.bytes_total),
            (None, Status::Pending) => self.words("pending"),
            (None, Status::Queued) => self.words("queued"),
            (None, _) => self.words("running"),
        }
    }

    /// Shows how many bytes are done, of how many where that is known.
    pub(super) fn bytes(&self, done: u64, total: Option<u64>) {
        match total.filter(|total| *total > 0) {
            Some(total) => {
                self.set_style(MEASURED);
                // What is expected is an estimate; the bar never claims more than all of it.
                self.bar.set_length(total.max(done));
            }
            None => self.set_style(COUNTED),
        }
        self.bar.set_position(done);
    }

    fn words(&self, words: &'static str) {
        self.set_style(WORDS);
        self.bar.set_message(words);
    }

    /// Reading a template takes longer than a piece of a download does.
    fn set_style(&self, template: &'static str) {
        if self.style.replace(template) != template {
            let style = ProgressStyle::with_template(template);
            self.bar
                .set_style(style.expect("the templates in this file are valid"));
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
