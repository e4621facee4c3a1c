//! Restores and downloads between clusters of any tier, with progress and report.

use api::List;
use api::link::{self, Link};
use api::regrow::{
    CollectionAction, CollectionReport, DownloadFormat, Proof, Rename, Restore, RestoreMode,
    Selection, StartDownload, StartRestore,
};
use api::tenant::DeliveryType;
use axum::http::StatusCode;
use engine::RestoreRequest;
use model::{Delivery, RestoreJob, Status};

use super::super::error::{Answer, Failure};
use super::super::extract::{Ask, Payload, Place, project_id};
use super::backups::{OWN, OfCluster, OneOfCluster};
use super::own_snapshots::progress;
use super::{date, project_of, snapshot_of, status, wire_id};

/// Returns the restores and downloads of one cluster, the newest first.
#[utoipa::path(
    get,
    path = "/groups/{groupId}/clusters/{clusterName}/restores",
    context_path = api::REGROW_V1,
    operation_id = "listRestores",
    tag = "Regrow Restores",
    responses((status = 200, description = "One page.", body = List<Restore>)),
)]
pub(crate) async fn list(ask: Ask, Place(place): Place<OfCluster>) -> Answer {
    let (_, listed) = ask.restores(OWN, &place).await?;
    ask.list(listed, |job| wire(&ask, &job, None))
}

/// Returns one restore or download, with its progress while it is at work, and its report.
#[utoipa::path(
    get,
    path = "/groups/{groupId}/clusters/{clusterName}/restores/{restoreId}",
    context_path = api::REGROW_V1,
    operation_id = "getRestore",
    tag = "Regrow Restores",
    responses((status = 200, description = "The job.", body = Restore)),
)]
pub(crate) async fn get(ask: Ask, Place(place): Place<OneOfCluster>) -> Answer {
    let (_, job) = ask.restore(OWN, &place).await?;
    let progress = progress_of(&ask, &job).await?;
    ask.found(&wire(&ask, &job, progress))
}

/// Asks for one snapshot to be put onto a target cluster, whose data it replaces.
#[utoipa::path(
    post,
    path = "/groups/{groupId}/clusters/{clusterName}/restores",
    context_path = api::REGROW_V1,
    operation_id = "startRestore",
    tag = "Regrow Restores",
    request_body = StartRestore,
    responses((status = 201, description = "The job.", body = Restore)),
)]
pub(crate) async fn restore(
    ask: Ask,
    Place((group, name)): Place<(String, String)>,
    Payload(body): Payload,
) -> Answer {
    let request = StartRestore::parse(&body)?;
    let request = RestoreRequest {
        project: project_id(&group)?,
        cluster: name,
        family: OWN.family,
        snapshot: snapshot_of(request.snapshot_id),
        target_project: request.target_group_id.map(project_of),
        target: request.target_cluster_name,
        mode: request.mode.map(mode_of),
        selection: request.selection.map(selection_of),
        reads_whole: request.read_whole,
    };
    let (_, job) = ask.start_restore(OWN, &request).await?;
    ask.one(StatusCode::CREATED, &wire(&ask, &job, None))
}

/// Offers one snapshot for download; the answer has the link, unless data files have to be built.
#[utoipa::path(
    post,
    path = "/groups/{groupId}/clusters/{clusterName}/downloads",
    context_path = api::REGROW_V1,
    operation_id = "startDownload",
    tag = "Regrow Restores",
    request_body = StartDownload,
    responses((status = 201, description = "The job with the link.", body = Restore)),
)]
pub(crate) async fn download(
    ask: Ask,
    Place((group, name)): Place<OfCluster>,
    Payload(body): Payload,
) -> Answer {
    let of = (project_id(&group)?, name.as_str());
    let body = StartDownload::parse(&body)?;
    let snapshot = snapshot_of(body.snapshot_id);
    let format = body.format.map(|format| match format {
        DownloadFormat::Dump => engine::DownloadFormat::Dump,
        DownloadFormat::DataFiles => engine::DownloadFormat::DataFiles,
    });
    let (_, job) = ask.start_download(OWN, of, snapshot, format).await?;
    ask.one(StatusCode::CREATED, &wire(&ask, &job, None))
}

/// Returns how far a restore or drill at work is.
pub(super) async fn progress_of(
    ask: &Ask,
    job: &RestoreJob,
) -> Result<Option<model::Progress>, Failure> {
    if job.status != Status::Running {
        return Ok(None);
    }
    Ok(ask.engine().restores().progress(job.id).await?)
}

fn wire(ask: &Ask, job: &RestoreJob, now: Option<model::Progress>) -> Restore {
    let url = ask.own_cluster_url(job.project_id, &job.cluster_name);
    Restore {
        cluster_name: job.cluster_name.clone(),
        created_at: date(job.created_at),
        delivery_type: match job.delivery {
            Delivery::Restore | Delivery::Drill => DeliveryType::Restore,
            Delivery::Download | Delivery::DataFiles => DeliveryType::Download,
        },
        expires_at: date(job.expires_at),
        failure_reason: job.failure.clone(),
        finished_at: job.finished_at.map(date),
        group_id: wire_id!(job.project_id),
        id: wire_id!(job.id),
        links: vec![
            Link::to_self(format!("{url}/restores/{}", job.id)),
            Link::new(
                link::SNAPSHOT,
                format!("{url}/snapshots/{}", job.snapshot_id),
            ),
            Link::new(link::CLUSTER, url),
        ],
        mode: job.chosen.as_ref().map(|chosen| wire_mode(chosen.mode)),
        mode_reason: job.chosen.as_ref().map(|chosen| chosen.because.clone()),
        progress: now.map(progress),
        report: job
            .report
            .as_ref()
            .map(|report| report.collections.iter().map(row).collect()),
        requested_mode: job.mode.map(wire_mode),
        selection: job.selection.clone().map(wire_selection),
        snapshot_id: wire_id!(job.snapshot_id),
        snapshot_url: ask.download_url(job),
        status: status(job.status),
        target_cluster_name: job.target_name.clone(),
        target_group_id: wire_id!(job.target_project_id),
    }
}

pub(super) fn row(collection: &model::CollectionReport) -> CollectionReport {
    CollectionReport {
        action: match collection.action {
            model::CollectionAction::Loaded => CollectionAction::Loaded,
            model::CollectionAction::LoadedAtTheFlip => CollectionAction::LoadedAtTheFlip,
            model::CollectionAction::Rewound => CollectionAction::Rewound,
            model::CollectionAction::Merged => CollectionAction::Merged,
            model::CollectionAction::View => CollectionAction::View,
            model::CollectionAction::Dropped => CollectionAction::Dropped,
        },
        bytes: collection.size_bytes,
        changed: collection.changed,
        documents: collection.documents,
        namespace: collection.namespace.clone(),
        proof: match collection.proof {
            model::Proof::ReadBack => Proof::ReadBack,
            model::Proof::History => Proof::History,
            model::Proof::Catalog => Proof::Catalog,
        },
        verified: collection.verified,
    }
}

fn mode_of(mode: RestoreMode) -> model::RestoreMode {
    match mode {
        RestoreMode::Safe => model::RestoreMode::Safe,
        RestoreMode::InPlace => model::RestoreMode::InPlace,
        RestoreMode::Rewind => model::RestoreMode::Rewind,
    }
}

fn wire_mode(mode: model::RestoreMode) -> RestoreMode {
    match mode {
        model::RestoreMode::Safe => RestoreMode::Safe,
        model::RestoreMode::InPlace => RestoreMode::InPlace,
        model::RestoreMode::Rewind => RestoreMode::Rewind,
    }
}

fn selection_of(selection: Selection) -> model::Selection {
    let rename = selection.rename.into_iter().map(|one| model::Rename {
        from: one.from,
        to: one.to,
    });
    model::Selection {
        include: selection.include,
        exclude: selection.exclude,
        rename: rename.collect(),
        into: selection.into,
        query: selection.query,
    }
}

fn wire_selection(selection: model::Selection) -> Selection {
    let rename = selection.rename.into_iter().map(|one| Rename {
        from: one.from,
        to: one.to,
    });
    Selection {
        exclude: selection.exclude,
        include: selection.include,
        into: selection.into,
        query: selection.query,
        rename: rename.collect(),
    }
}
