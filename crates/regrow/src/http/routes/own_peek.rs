//! Looking into snapshots. What is found is sent while it is found: an answer is lines.

use std::convert::Infallible;

use api::regrow::peek::{
    Change, CollectionDifference, CompareLine, CompareSnapshots, Compared, DocumentDetail,
    DocumentDifference, FindDocuments, FindLine, LINES, Matched, Presence, write_document,
    write_line,
};
use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use engine::{DiffRequest, Differs, FindRequest, Found, Pieces, Written};
use futures::StreamExt as _;
use serde_json::value::RawValue;

use super::super::error::{Answer, Failure};
use super::super::extract::{Ask, Payload, Place, project_id, snapshot_id};
use super::snapshot_of;

/// Finds the documents of one collection of a snapshot that match a filter.
#[utoipa::path(
    post,
    path = "/groups/{groupId}/clusters/{clusterName}/snapshots/{snapshotId}/find",
    context_path = api::REGROW_V1,
    operation_id = "findDocuments",
    tag = "Regrow Snapshots",
    request_body = FindDocuments,
    responses((
        status = 200,
        description = "Lines, of which the last is `end` or `error`.",
        body = FindLine,
        content_type = "application/x-ndjson",
    )),
)]
pub(crate) async fn find(
    ask: Ask,
    Place((group, name, id)): Place<(String, String, String)>,
    Payload(body): Payload,
) -> Answer {
    let wanted = FindDocuments::parse(&body)?;
    let written = match wanted.canonical {
        _ if wanted.count_only == Some(true) => None,
        Some(true) => Some(Written::Canonical),
        _ => Some(Written::Relaxed),
    };
    let request = FindRequest {
        project: project_id(&group)?,
        cluster: name,
        snapshot: snapshot_id(&id)?,
        database: wanted.database,
        collection: wanted.collection,
        filter: serde_json::Value::Object(wanted.filter).to_string(),
        limit: wanted.limit,
        written,
    };
    let found = ask.engine().peek().find(ask.caller(), &request).await?;
    Ok(lines(found, |piece, out| match piece {
        Found::Documents(documents) => {
            for document in documents {
                write_document(&document, out);
            }
        }
        Found::Progress(documents) => write_line(&FindLine::Progress(Matched { documents }), out),
        Found::End(documents) => write_line(&FindLine::End(Matched { documents }), out),
    }))
}

/// Compares a snapshot with another one of the same cluster.
#[utoipa::path(
    post,
    path = "/groups/{groupId}/clusters/{clusterName}/snapshots/{snapshotId}/compare",
    context_path = api::REGROW_V1,
    operation_id = "compareSnapshots",
    tag = "Regrow Snapshots",
    request_body = CompareSnapshots,
    responses((
        status = 200,
        description = "Lines, of which the last is `end` or `error`.",
        body = CompareLine,
        content_type = "application/x-ndjson",
    )),
)]
pub(crate) async fn compare(
    ask: Ask,
    Place((group, name, id)): Place<(String, String, String)>,
    Payload(body): Payload,
) -> Answer {
    let wanted = CompareSnapshots::parse(&body)?;
    let request = DiffRequest {
        project: project_id(&group)?,
        cluster: name,
        first: snapshot_of(wanted.other_snapshot_id),
        second: snapshot_id(&id)?,
        namespace: wanted.database.zip(wanted.collection),
        written: wanted.documents.map(|_| match wanted.canonical {
            Some(true) => Written::Canonical,
            _ => Written::Relaxed,
        }),
        whole: wanted.documents == Some(DocumentDetail::Whole),
    };
    let differs = ask.engine().peek().diff(ask.caller(), &request).await?;
    Ok(lines(differs, |piece, out| match piece {
        Differs::Documents(documents) => {
            for document in documents {
                write_line(&CompareLine::Document(document_line(document)), out);
            }
        }
        Differs::Collection(collection) => {
            write_line(&CompareLine::Collection(collection_line(collection)), out);
        }
        Differs::Progress => write_line(&CompareLine::Progress {}, out),
        Differs::End(collections) => {
            write_line(&CompareLine::End(Compared { collections }), out);
        }
    }))
}

fn document_line(difference: engine::DocumentDifference) -> DocumentDifference {
    let raw = |json: String| RawValue::from_string(json).expect("the engine writes JSON");
    DocumentDifference {
        after: difference.after.map(raw),
        before: difference.before.map(raw),
        change: match difference.change {
            engine::Change::Added => Change::Added,
            engine::Change::Changed => Change::Changed,
            engine::Change::Removed => Change::Removed,
        },
        id: raw(difference.id),
        namespace: difference.namespace,
    }
}

fn collection_line(difference: engine::CollectionDifference) -> CollectionDifference {
    CollectionDifference {
        added: difference.documents.added,
        changed: difference.documents.changed,
        collection: difference.collection,
        database: difference.database,
        indexes_differ: difference.indexes,
        options_differ: difference.options,
        presence: match difference.presence {
            engine::Presence::Both => Presence::Both,
            engine::Presence::First => Presence::First,
            engine::Presence::Second => Presence::Second,
        },
        recreated: difference.recreated,
        removed: difference.documents.removed,
    }
}

/// Sends pieces as lines; an error becomes the last one.
fn lines<T: Send + 'static>(
    pieces: Pieces<T>,
    mut write: impl FnMut(T, &mut Vec<u8>) + Send + 'static,
) -> Response {
    let lines = pieces.map(move |piece| {
        let mut out = Vec::new();
        match piece {
            Ok(piece) => write(piece, &mut out),
            Err(error) => {
                let document = Failure::from(error).0.document();
                write_line(&FindLine::Error(document), &mut out);
            }
        }
        Ok::<_, Infallible>(Bytes::from(out))
    });
    let mut response = Response::new(Body::from_stream(lines));
    *response.status_mut() = StatusCode::OK;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(LINES));
    response
}
