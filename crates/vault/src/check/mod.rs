//! Verifies a repository, independently of the writer: shares with it only the parsing of bytes.
//! First each pack on its own, then each snapshot down to its pages. Never stops at the first
//! problem, never repairs, and never takes a sum from where it was written without adding it up
//! again.

mod packs;
mod segments;
mod snapshots;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use self::packs::PackProblems;
use self::snapshots::{SnapshotCheck, Verified};
use crate::checkpoint;
use crate::error::Error;
use crate::header;
use crate::id::{PackId, SnapshotId};
use crate::manifest::{self, Manifest};
use crate::pack;
use crate::repository::Inner;

/// What to look at.
#[derive(Clone, Debug, Default)]
pub struct CheckOptions {
    /// Read every byte of every referenced pack and recompute all hashes and fingerprints, instead
    /// of the structure only.
    pub read_data: bool,
}

/// What was looked at and what was wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// Snapshots checked.
    pub snapshots: u64,
    /// Packs that they refer to.
    pub packs: u64,
    /// Live documents over all snapshots.
    pub documents: u64,
    /// Bytes read from the object store.
    pub bytes_read: u64,
    /// Packs that neither a snapshot nor a checkpoint refers to; not a problem, the sweep removes
    /// them.
    pub packs_unreferenced: u64,
    /// What was wrong, by object; empty when the repository is sound.
    pub problems: Vec<Problem>,
}

/// Something wrong with one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Full name of the object.
    pub object: String,
    /// What is wrong with it.
    pub reason: String,
    /// Every snapshot that refers to what is damaged; empty where none does.
    pub snapshots: Vec<SnapshotId>,
}

/// How often a repository is verified of which manifests vanish meanwhile.
const ATTEMPTS_MAX: u32 = 3;

/// Verifies the repository. Where a manifest vanishes after it was listed (its snapshot is
/// forgotten, or packs are written anew), it begins again.
pub(crate) async fn check(
    repository: &Arc<Inner>,
    options: CheckOptions,
) -> Result<CheckReport, Error> {
    let mut attempt = 1;
    loop {
        let (report, has_vanished) = check_once(repository, &options).await?;
        if !has_vanished || attempt == ATTEMPTS_MAX {
            return Ok(report);
        }
        attempt += 1;
    }
}

/// Answers also whether a manifest vanished.
async fn check_once(
    repository: &Arc<Inner>,
    options: &CheckOptions,
) -> Result<(CheckReport, bool), Error> {
    let store = &repository.store;
    let present: HashMap<PackId, u64> = store
        .list("packs")
        .await?
        .into_iter()
        .filter_map(|listed| Some((pack::parse_object_name(&listed.name)?, listed.bytes)))
        .collect();
    let generations = repository.generations().await?;
    let mut findings = Findings::default();
    check_header(repository, generations.keys().copied(), &mut findings).await;

    let mut referenced: HashSet<PackId> = HashSet::new();
    let mut manifests = Vec::new();
    let mut has_vanished = false;
    for (snapshot, generations) in generations {
        for generation in generations {
            match repository.read_manifest(snapshot, generation).await {
                Ok(manifest) => {
                    referenced.extend(&manifest.packs);
                    manifests.push((snapshot, generation));
                }
                Err(error) => {
                    has_vanished |= matches!(error, Error::Missing { .. });
                    findings.error(&error, [snapshot]);
                }
            }
        }
    }
    // What an unfinished snapshot goes on from is looked at as well, but it harms no snapshot.
    let needed = &referenced | &checkpointed(repository, &mut findings).await?;
    let packs = packs::check(repository, &needed, &present, options, &mut findings).await;
    let mut report = CheckReport {
        snapshots: manifests
            .iter()
            .map(|(snapshot, _)| snapshot)
            .collect::<HashSet<_>>()
            .len() as u64,
        packs: referenced.len() as u64,
        packs_unreferenced: present.keys().filter(|id| !needed.contains(id)).count() as u64,
        ..CheckReport::default()
    };
    remember(repository, &needed, &packs, options);
    let mut verified = Verified::default();
    for (snapshot, generation) in manifests {
        // Read again rather than kept: manifests of large clusters are large, and there are many.
        match repository.read_manifest(snapshot, generation).await {
            Ok(manifest) => {
                report.documents += manifest.totals.documents;
                let check =
                    SnapshotCheck::new(repository, options, &packs, &mut verified, &mut findings);
                check.run(&manifest).await;
            }
            Err(error) => {
                has_vanished |= matches!(error, Error::Missing { .. });
                findings.error(&error, [snapshot]);
            }
        }
    }
    findings.unattributed(&packs);
    report.bytes_read = findings.bytes_read;
    report.problems = findings.into_problems();
    Ok((report, has_vanished))
}

/// Returns the packs that checkpoints refer to.
async fn checkpointed(
    repository: &Inner,
    findings: &mut Findings,
) -> Result<HashSet<PackId>, Error> {
    let mut packs = HashSet::new();
    for (_, found) in checkpoint::read_all(repository).await? {
        match found {
            Ok(checkpoint) => packs.extend(checkpoint.packs),
            Err(error) => findings.error(&error, []),
        }
    }
    Ok(packs)
}

/// Keeps in mind which packs are damaged, so that no snapshot is written upon them, and which were
/// read whole.
fn remember(
    repository: &Inner,
    referenced: &HashSet<PackId>,
    bad: &HashMap<PackId, PackProblems>,
    options: &CheckOptions,
) {
    for id in referenced {
        if let Some(problems) = bad.get(id) {
            let reasons = problems.whole.iter().chain(problems.frames.values());
            let reason = reasons.map(String::as_str).next().unwrap_or_default();
            repository.note_damage(*id, &Error::corrupt(pack::object_name(*id), reason));
        } else if options.read_data {
            repository.damage.clear(*id);
        }
    }
}

async fn check_header(
    repository: &Inner,
    snapshots: impl IntoIterator<Item = SnapshotId>,
    findings: &mut Findings,
) {
    let result = match repository.store.get(header::OBJECT).await {
        Ok(object) => header::verify(&object, repository.id),
        Err(error) => Err(error),
    };
    if let Err(error) = result {
        findings.error(&error, snapshots);
    }
}

/// What was found so far, each problem once with all snapshots it harms.
#[derive(Default)]
struct Findings {
    bytes_read: u64,
    problems: BTreeMap<(String, String), BTreeSet<SnapshotId>>,
}

impl Findings {
    fn add(&mut self, object: &str, reason: &str, snapshots: impl IntoIterator<Item = SnapshotId>) {
        let problem = self
            .problems
            .entry((object.to_owned(), reason.to_owned()))
            .or_default();
        problem.extend(snapshots);
    }

    fn error(&mut self, error: &Error, snapshots: impl IntoIterator<Item = SnapshotId>) {
        let (object, reason) = describe(error);
        self.add(&object, &reason, snapshots);
    }

    fn manifest(&mut self, manifest: &Manifest, reason: &str) {
        let object = manifest::object_name(manifest.snapshot, manifest.generation);
        self.add(&object, reason, [manifest.snapshot]);
    }

    /// Notes what is wrong with parts of packs that no snapshot turned out to refer to.
    fn unattributed(&mut self, packs: &HashMap<PackId, PackProblems>) {
        for (id, problems) in packs {
            let object = pack::object_name(*id);
            for reason in problems.whole.iter().chain(problems.frames.values()) {
                self.add(&object, reason, []);
            }
        }
    }

    fn into_problems(self) -> Vec<Problem> {
        self.problems
            .into_iter()
            .map(|((object, reason), snapshots)| Problem {
                object,
                reason,
                snapshots: snapshots.into_iter().collect(),
            })
            .collect()
    }
}

/// Returns the object concerned and what is wrong with it, without naming it twice.
fn describe(error: &Error) -> (String, String) {
    let object = error.object().unwrap_or("the repository").to_owned();
    let reason = match error {
        Error::Corrupt { reason, .. } => reason.clone(),
        Error::Missing { .. } => "it is missing".to_owned(),
        Error::Unavailable { source, .. } => format!("it cannot be read: {source}"),
        other => other.to_string(),
    };
    (object, reason)
}
