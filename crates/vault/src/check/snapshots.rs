//! Verifies snapshots: that pages and segments agree with the packs they refer to, and that
//! everything adds up from the documents' own hashes to the manifest. What snapshots share is
//! verified once.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::packs::{PackProblems, read_footer};
use super::segments::{Places, SegmentsVerified};
use super::{CheckOptions, Findings, describe};
use crate::error::Error;
use crate::fingerprint::{Fingerprint, Sum};
use crate::frame::FrameKind;
use crate::id::{PackId, PageId};
use crate::manifest::{CollectionManifest, Manifest, PageReference};
use crate::pack::{self, Footer};
use crate::page::{BlockReference, Page, Run};
use crate::reader::read_page;
use crate::repository::Inner;
use crate::sidecar::{self, Sidecar};

/// Footers kept at a time; neighbouring pages refer to the same packs.
const FOOTERS_MAX: usize = 256;

/// Sidecars kept at a time while a page is added up.
const SIDECARS_MAX: usize = 16;

/// Pages verified so far, by where they lie and what is said of them.
type Pages = HashMap<(PackId, u32, PageId, u64, u64), PageOutcome>;

/// What came of verifying a page.
#[derive(Default)]
struct PageOutcome {
    /// (object, reason)
    problems: Vec<(String, String)>,
    packs: Vec<PackId>,
    bytes: u64,
    fingerprint: Fingerprint,
    /// Where its documents lie; only where data is read.
    places: Places,
}

/// What was verified of snapshots so far.
#[derive(Default)]
pub(super) struct Verified {
    pages: Pages,
    pub(super) segments: SegmentsVerified,
}

/// Verifies one snapshot.
pub(super) struct SnapshotCheck<'a> {
    pub(super) repository: &'a Arc<Inner>,
    pub(super) options: &'a CheckOptions,
    pub(super) bad: &'a HashMap<PackId, PackProblems>,
    pub(super) verified: &'a mut Verified,
    pub(super) findings: &'a mut Findings,
    footers: HashMap<PackId, Footer>,
    footers_by_age: VecDeque<PackId>,
}

impl<'a> SnapshotCheck<'a> {
    pub(super) fn new(
        repository: &'a Arc<Inner>,
        options: &'a CheckOptions,
        bad: &'a HashMap<PackId, PackProblems>,
        verified: &'a mut Verified,
        findings: &'a mut Findings,
    ) -> SnapshotCheck<'a> {
        SnapshotCheck {
            repository,
            options,
            bad,
            verified,
            findings,
            footers: HashMap::new(),
            footers_by_age: VecDeque::new(),
        }
    }

    pub(super) async fn run(mut self, manifest: &Manifest) {
        for id in &manifest.packs {
            if let Some(reason) = self
                .bad
                .get(id)
                .and_then(|problems| problems.whole.as_ref())
            {
                self.findings
                    .add(&pack::object_name(*id), reason, [manifest.snapshot]);
            }
        }
        let mut totals = (0, 0);
        let mut names = std::collections::HashSet::new();
        for collection in &manifest.collections {
            if !names.insert((&collection.database, &collection.name)) {
                self.findings
                    .manifest(manifest, "a collection is in it twice");
            }
            self.collection(manifest, collection).await;
            totals.0 += collection.documents;
            totals.1 += collection.bytes;
        }
        if totals != (manifest.totals.documents, manifest.totals.bytes) {
            self.findings
                .manifest(manifest, "its totals are not those of its collections");
        }
    }

    async fn collection(&mut self, manifest: &Manifest, collection: &CollectionManifest) {
        let namespace = format!("{}.{}", collection.database, collection.name);
        let mut fingerprint = Fingerprint::default();
        let mut bytes = 0;
        let mut whole = true;
        let mut places = Places::default();
        for reference in &collection.pages {
            let sums = (reference.documents, reference.bytes);
            let key = (
                reference.pack,
                reference.ordinal,
                reference.id,
                sums.0,
                sums.1,
            );
            if !self.verified.pages.contains_key(&key) {
                let outcome = self.page(reference).await;
                self.verified.pages.insert(key, outcome);
            }
            let outcome = &self.verified.pages[&key];
            for (object, reason) in &outcome.problems {
                self.findings.add(object, reason, [manifest.snapshot]);
            }
            for pack in outcome.packs.iter().chain([&reference.pack]) {
                if manifest.packs.binary_search(pack).is_err() {
                    let reason = format!("{namespace} needs the pack {pack}, which is not listed");
                    self.findings.manifest(manifest, &reason);
                }
            }
            if reference
                .packs
                .as_ref()
                .is_some_and(|packs| *packs != outcome.packs)
                && outcome.problems.is_empty()
            {
                let reason =
                    format!("{namespace} has a page that lies in other packs than it says");
                self.findings.manifest(manifest, &reason);
            }
            whole &= outcome.problems.is_empty();
            places.add(outcome.places);
            fingerprint.merge(outcome.fingerprint);
            bytes += outcome.bytes;
        }
        let agrees = (fingerprint, bytes) == (collection.fingerprint(), collection.bytes);
        if whole && !agrees {
            let reason = format!("{namespace} is not what its pages add up to");
            self.findings.manifest(manifest, &reason);
        }
        self.segments(manifest, collection, whole.then_some(places))
            .await;
    }

    /// Verifies a page against the packs it refers to; adds it up from sidecars where data is read.
    async fn page(&mut self, reference: &PageReference) -> PageOutcome {
        let mut outcome = PageOutcome::default();
        let object = pack::object_name(reference.pack);
        let problems = self.bad.get(&reference.pack);
        let reason =
            problems.and_then(|bad| bad.frames.get(&reference.ordinal).or(bad.whole.as_ref()));
        if let Some(reason) = reason {
            outcome.problems.push((object, reason.clone()));
            return outcome;
        }
        self.findings.bytes_read += u64::from(reference.length);
        let page = match read_page(self.repository, reference).await {
            Ok(page) => page,
            Err(error) => {
                outcome.problems.push(describe(&error));
                return outcome;
            }
        };
        outcome.packs = page.packs.clone();
        outcome.bytes = page.bytes;
        outcome.fingerprint = Fingerprint {
            documents: page.documents,
            sum: page.sum,
        };
        let wrong = |reason: String| {
            (
                object.clone(),
                format!("Page frame {}: {reason}", reference.ordinal),
            )
        };
        if let Some(reason) = overlap(&page.runs) {
            outcome.problems.push(wrong(reason));
        }
        for block in &page.blocks {
            if let Err(problem) = self.block(&page, block).await {
                outcome.problems.push(problem);
            }
        }
        if self.options.read_data && outcome.problems.is_empty() {
            match self.add_up(&page).await {
                Ok((sum, bytes, places))
                    if (sum, bytes) == (outcome.fingerprint.sum, outcome.bytes) =>
                {
                    outcome.places = places;
                }
                Ok(_) => outcome
                    .problems
                    .push(wrong("its sums are not those of its runs".to_owned())),
                Err(error) => outcome.problems.push(describe(&error)),
            }
        }
        outcome
    }

    /// Compares what a page says of a block with what the footer of its pack says.
    async fn block(&mut self, page: &Page, block: &BlockReference) -> Result<(), (String, String)> {
        let pack = page.pack_of(block);
        let object = pack::object_name(pack);
        if let Some(problems) = self.bad.get(&pack) {
            let frames = [block.ordinal, block.sidecar_ordinal];
            let reason = frames
                .iter()
                .find_map(|ordinal| problems.frames.get(ordinal));
            if let Some(reason) = reason.or(problems.whole.as_ref()) {
                return Err((object, reason.clone()));
            }
        }
        let footer = self.footer(pack).await.map_err(|error| describe(&error))?;
        let listed = footer
            .frames
            .get(block.ordinal as usize)
            .is_some_and(|frame| {
                (frame.kind, frame.offset, frame.length)
                    == (FrameKind::Block as u8, block.offset, block.length)
                    && (frame.raw_length, frame.documents) == (block.raw_length, block.documents)
                    && frame.id == block.id.0
            });
        let sidecar = footer
            .frames
            .get(block.sidecar_ordinal as usize)
            .is_some_and(|frame| {
                (frame.kind, frame.id) == (FrameKind::Sidecar as u8, block.id.0)
                    && (frame.offset, frame.length) == (block.sidecar_offset, block.sidecar_length)
                    && (frame.documents, frame.strip_documents)
                        == (block.documents, block.strip_documents)
            });
        if listed && sidecar {
            return Ok(());
        }
        Err((
            object,
            format!("frame {} is not what a page says", block.ordinal),
        ))
    }

    pub(super) async fn footer(&mut self, id: PackId) -> Result<&Footer, Error> {
        if !self.footers.contains_key(&id) {
            let length = self.repository.store.length(&pack::object_name(id)).await?;
            let (footer, bytes_read) = read_footer(self.repository, id, length).await?;
            self.findings.bytes_read += bytes_read;
            if self.footers_by_age.len() == FOOTERS_MAX {
                let oldest = self.footers_by_age.pop_front();
                oldest.and_then(|oldest| self.footers.remove(&oldest));
            }
            self.footers_by_age.push_back(id);
            self.footers.insert(id, footer);
        }
        Ok(&self.footers[&id])
    }

    /// Adds up the runs of a page from its sidecars, which were compared with the blocks before.
    async fn add_up(&mut self, page: &Page) -> Result<(Sum, u64, Places), Error> {
        let keys = &self.repository.hash_keys;
        let nobody = keys.identity(b"");
        let mut fingerprint = Fingerprint::default();
        let mut places = Places::default();
        let mut bytes = 0;
        // Runs go back and forth between old and new blocks.
        let mut recent: VecDeque<(u32, Sidecar)> = VecDeque::new();
        for run in &page.runs {
            if let Some(at) = recent.iter().position(|(block, _)| *block == run.block) {
                let found = recent.remove(at);
                recent.extend(found);
            } else {
                let block = &page.blocks[run.block as usize];
                let sidecar = self.sidecar(page.pack_of(block), block).await?;
                recent.push_back((run.block, sidecar));
                if recent.len() > SIDECARS_MAX {
                    recent.pop_front();
                }
            }
            let (_, sidecar) = recent.back().expect("put there above");
            let range = run.first as usize..(run.first + run.count) as usize;
            let (of_run, bytes_of_run) = sidecar.sum(keys, range.clone());
            fingerprint.merge(of_run);
            bytes += bytes_of_run;
            let block = &page.blocks[run.block as usize];
            let place = (page.pack_of(block), block.ordinal);
            for (identity, document) in sidecar.identities()[range].iter().zip(run.first..) {
                if *identity != nobody {
                    places.note(keys, identity, place, document);
                }
            }
        }
        Ok((fingerprint.sum, bytes, places))
    }

    async fn sidecar(&mut self, pack: PackId, block: &BlockReference) -> Result<Sidecar, Error> {
        let seal = self.repository.pack_seal(pack);
        let end = block.sidecar_offset + u64::from(block.sidecar_length);
        let sealed = self
            .repository
            .store
            .get_range(seal.object(), block.sidecar_offset..end)
            .await?;
        self.findings.bytes_read += sealed.len() as u64;
        let (ordinal, strips) = (block.sidecar_ordinal, block.strips());
        sidecar::open(&seal, ordinal, &strips, strips.all(), &sealed)
    }
}

/// Returns what is wrong where two runs of a page share a document.
fn overlap(runs: &[Run]) -> Option<String> {
    let mut sorted: Vec<&Run> = runs.iter().collect();
    sorted.sort_unstable_by_key(|run| (run.block, run.first));
    sorted.windows(2).find_map(|pair| {
        let (one, next) = (pair[0], pair[1]);
        let shared = one.block == next.block && one.first + one.count > next.first;
        shared.then(|| format!("documents of block {} are in it twice", one.block))
    })
}
