//! The media hosts' HTTP, on the simulator's own port: `/mms/…` takes files and `/v/…` gives them, under a prefix that
//! names the host, or under none for the first.

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::download::{damaged_file, sent};
use super::transfer::{assembled, dropped, faults, matches, name_of_token, refused};
use super::{Fetched, Record, bare};
use crate::faults::{Kind, Transfer};
use crate::world::World;

/// The largest file WhatsApp takes is a document of 2 GB; nobody here has one.
const LARGEST_FILE: usize = 300 << 20;

/// What an upload says in its URL.
#[derive(Deserialize)]
pub struct Upload {
    #[serde(default)]
    auth: String,
    resume: Option<String>,
    file_offset: Option<usize>,
}

pub fn router() -> Router<Arc<World>> {
    Router::new()
        .route("/mms/{kind}/{token}", post(upload_here))
        .route("/v/{*path}", get(download_here))
        .route("/mmg/{host}/mms/{kind}/{token}", post(upload))
        .route("/mmg/{host}/v/{*path}", get(download))
        .layer(DefaultBodyLimit::max(LARGEST_FILE))
}

async fn upload_here(
    state: State<Arc<World>>,
    Path((kind, token)): Path<(String, String)>,
    query: Query<Upload>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    upload(state, Path((1, kind, token)), query, headers, body).await
}

async fn upload(
    State(world): State<Arc<World>>,
    Path((host, kind, token)): Path<(usize, String, String)>,
    Query(query): Query<Upload>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let media = &world.media;
    let peer = media.passes.holder(&query.auth);
    if let Some(wrong) = faults(&world, host, Transfer::Upload, peer.as_ref()).await {
        return wrong;
    }
    let expired =
        |kind: &Kind| if let Kind::MediaAuthExpired { status } = kind { Some(*status) } else { None };
    let refusal = peer.as_ref().map_or(Some(401), |peer| world.faults.take(Some(peer), expired));
    let (Some(peer), None) = (peer, refusal) else {
        media.passes.revoke(&query.auth);
        return refused(refusal.unwrap_or(401), "no such credentials, or they have expired");
    };
    let Some(name) = name_of_token(&token) else { return refused(400, "not a token") };
    if query.resume.is_some() {
        return Json(progress(&world, &name, &headers)).into_response();
    }
    let cut = |kind: &Kind| if let Kind::MediaCut { bytes } = kind { Some(*bytes) } else { None };
    if let Some(cut) = world.faults.take(Some(&peer), cut) {
        media.keep_part(&name, body.slice(..cut.min(body.len())));
        return dropped();
    }
    let Some(whole) = assembled(&media.part(&name), query.file_offset, body) else {
        return refused(416, "there is less of it than that");
    };
    if !matches(&token, &whole) {
        return refused(400, "not the file the token is for");
    }
    let stored = media.store(&kind, whole, Some(peer));
    Json(whereabouts(&stored, &headers, &world, None)).into_response()
}

/// How much of a file is there.
fn progress(world: &World, name: &str, headers: &HeaderMap) -> Value {
    match world.media.find(name) {
        Some((_, blob, _)) if blob.record.gone.is_none() => {
            whereabouts(&blob.record, headers, world, Some("complete"))
        }
        _ => json!({ "resume": world.media.part(name).len().to_string() }),
    }
}

fn whereabouts(record: &Record, headers: &HeaderMap, world: &World, resume: Option<&str>) -> Value {
    let asked = headers.get(header::HOST).and_then(|host| host.to_str().ok()).map(ToOwned::to_owned);
    let authority = asked.unwrap_or_else(|| world.media.authority());
    let path = &record.direct_path;
    let url = format!("https://{authority}{path}");
    json!({ "url": url, "direct_path": path, "handle": bare(path), "resume": resume })
}

async fn download_here(state: State<Arc<World>>, uri: Uri, headers: HeaderMap) -> Response {
    fetch(&state, 1, uri.path(), &uri, &headers).await
}

async fn download(
    State(world): State<Arc<World>>,
    Path((host, path)): Path<(usize, String)>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    fetch(&world, host, &format!("/v/{path}"), &uri, &headers).await
}

async fn fetch(world: &World, host: usize, path: &str, uri: &Uri, headers: &HeaderMap) -> Response {
    // A client may put its credentials behind the path's own query, with a second question mark: they aren't needed.
    let query = uri.query().unwrap_or_default();
    let auth = query.split(['&', '?']).find_map(|pair| pair.strip_prefix("auth="));
    let peer = auth.and_then(|auth| world.media.passes.holder(auth));
    if let Some(wrong) = faults(world, host, Transfer::Download, peer.as_ref()).await {
        return wrong;
    }
    match world.media.fetch(path) {
        Ok(Fetched { bytes, download, under_way }) => {
            let damaged = |kind: &Kind| match kind {
                Kind::MediaCorrupt { damage, download: only } if only.is_none_or(|only| only == download) => {
                    Some(*damage)
                }
                _ => None,
            };
            match world.faults.take(peer.as_ref(), damaged) {
                Some(damage) => damaged_file(&bytes, damage, &under_way),
                None => sent(&bytes, headers, &under_way),
            }
        }
        Err(status) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::NOT_FOUND);
            refused(status.as_u16(), "no such file, or no longer")
        }
    }
}
