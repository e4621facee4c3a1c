//! The table of contents of the API.

use api::{ApiError, Code};
use axum::extract::{Request, State};
use axum::http::{Method, Uri};
use axum::middleware::from_fn_with_state;
use axum::response::Response;
use axum::routing::get;
use axum::{Extension, Router};
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouterExt as _};
use utoipa_axum::routes;

use super::error::{Answer, Failure};
use super::extract::{Filters, Target};
use super::routes::{
    clusters, downloads, groups, health, key_access_list, org_keys, orgs, own_clusters, own_drills,
    own_peek, own_restores, own_retention, own_snapshots, project_access_list, project_keys, root,
    serverless, serverless_restores, serverless_snapshots, tenant_restores, tenant_snapshots,
};
use super::{Service, auth, frame};

const KEY_BLOCK: &str =
    "/api/atlas/v1.0/orgs/{orgId}/apiKeys/{apiUserId}/accessList/{ipAddress}/{prefix}";

/// Returns the whole service, ready to be served.
pub(super) fn router(service: Service) -> Router {
    let (api, _) = api().split_for_parts();
    let authenticated = api
        // An official client sends blocks with a bare slash.
        .route(
            KEY_BLOCK,
            get(key_access_list::get_block).delete(key_access_list::delete_block),
        )
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn_with_state(service.clone(), auth::authenticate))
        .layer(CompressionLayer::new().quality(CompressionLevel::Fastest));
    let open = Router::new()
        .route("/healthz", get(health::health))
        .route("/metrics", get(health::metrics))
        .route("/api/private/unauth/version", get(health::version))
        .route("/download/{token}/{file}", get(downloads::fetch))
        .method_not_allowed_fallback(wrong_method);
    open.merge(authenticated)
        .fallback(unknown_path)
        .layer(from_fn_with_state(service.clone(), frame::frame))
        .with_state(service)
}

/// Returns what the OpenAPI document describes.
pub(super) fn api() -> OpenApiRouter<Service> {
    atlas().merge(own())
}

/// Version 1.0 of the Atlas Administration API.
fn atlas() -> OpenApiRouter<Service> {
    OpenApiRouter::new()
        .routes(routes!(root::get))
        .routes(routes!(orgs::list).layer(Extension(Filters(&["name"]))))
        .routes(routes!(orgs::get))
        .routes(routes!(orgs::groups))
        .routes(routes!(org_keys::list, org_keys::create))
        .routes(routes!(org_keys::get, org_keys::delete))
        .routes(routes!(key_access_list::list, key_access_list::create))
        .routes(routes!(key_access_list::get, key_access_list::delete))
        .routes(routes!(groups::list, groups::create))
        .routes(routes!(groups::get, groups::delete))
        .routes(routes!(groups::by_name))
        .routes(routes!(project_keys::list, project_keys::create))
        .routes(routes!(project_keys::delete))
        .routes(routes!(
            project_access_list::list,
            project_access_list::create
        ))
        .routes(routes!(
            project_access_list::get,
            project_access_list::delete
        ))
        .routes(routes!(project_access_list::status))
        .routes(
            routes!(clusters::list)
                .layer(Extension(Filters(&["includeDeletedWithRetainedBackups"]))),
        )
        .routes(routes!(clusters::get))
        .routes(routes!(tenant_snapshots::list))
        .routes(routes!(tenant_snapshots::get))
        .routes(routes!(tenant_restores::download))
        .routes(routes!(tenant_restores::restore))
        .routes(routes!(tenant_restores::list))
        .routes(routes!(tenant_restores::get))
        .routes(routes!(serverless::list))
        .routes(routes!(serverless::get))
        .routes(routes!(serverless_snapshots::list))
        .routes(routes!(serverless_snapshots::get))
        .routes(routes!(
            serverless_restores::list,
            serverless_restores::create
        ))
        .routes(routes!(serverless_restores::get))
}

/// What Atlas has no request for.
fn own() -> OpenApiRouter<Service> {
    OpenApiRouter::new()
        .routes(routes!(own_clusters::list, own_clusters::attach))
        .routes(routes!(
            own_clusters::get,
            own_clusters::change,
            own_clusters::detach
        ))
        .routes(routes!(own_snapshots::list, own_snapshots::take))
        .routes(routes!(own_snapshots::get, own_snapshots::delete))
        .routes(routes!(own_peek::find))
        .routes(routes!(own_peek::compare))
        .routes(routes!(own_retention::get, own_retention::apply))
        .routes(routes!(own_restores::list, own_restores::restore))
        .routes(routes!(own_restores::get))
        .routes(routes!(own_restores::download))
        .routes(routes!(own_drills::list, own_drills::start))
        .routes(routes!(own_drills::get))
}

/// Returns the OpenAPI document as the routes alone make it.
pub(super) fn described() -> OpenApi {
    api().into_openapi()
}

async fn wrong_method(method: Method, request: Request) -> Answer {
    let target = Target::of(request.extensions());
    let parameters = [method.as_str(), target.path()];
    Err(Failure(ApiError::new(Code::MethodNotAllowed, parameters)))
}

/// Answers what no route does; below `/api` only to those who authenticate.
async fn unknown_path(State(service): State<Service>, request: Request) -> Response {
    let target = Target::of(request.extensions());
    if target.path().starts_with("/api/")
        && let Err(refusal) = auth::identify(&service, auth::Credentials::of(&request)).await
    {
        super::extract::drain(request.into_body()).await;
        return auth::refuse(&service, refusal);
    }
    let failure = Failure(ApiError::new(Code::ResourceNotFound, [target.path()]));
    axum::response::IntoResponse::into_response(failure)
}

/// Path and query exactly as the client sent them; beside a request whose path was changed.
#[derive(Debug, Clone)]
pub(super) struct AsSent(pub(super) Uri);

/// Takes a slash off the end of the path: some clients and pages of documentation put one there.
///
/// Has to run before the routes are looked at, and so outside of the router.
pub(super) fn without_last_slash(mut request: Request) -> Request {
    let sent = request.uri().clone();
    let path = sent.path().trim_end_matches('/');
    if path.is_empty() || path.len() == sent.path().len() {
        return request;
    }
    let target = match sent.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    let mut parts = sent.clone().into_parts();
    parts.path_and_query = target.parse().ok();
    if let Ok(trimmed) = Uri::from_parts(parts) {
        *request.uri_mut() = trimmed;
        request.extensions_mut().insert(AsSent(sent));
    }
    request
}
