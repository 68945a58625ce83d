//! `GET /api/v1/sessions/{session}/qr`

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use gateway_domain::error::ApiError;
use gateway_domain::lifecycle::Status;
use gateway_domain::session::Qr;
use gateway_object::calls::session::Call;
use http::{HeaderMap, StatusCode, header};
use worker::Env;

use super::{find, json};
use crate::audit::About;
use crate::auth::Allowed;
use crate::directory::{Directory, SessionRow};
use crate::error::{Refusal, internal};
use crate::qr_picture;
use crate::request::SessionId;
use crate::session_object::SessionObject;

/// Shows the QR code to scan: the raw string, or with `Accept: image/svg+xml` or `image/png` the picture.
/// No code yet: pairing starts and the answer is 404. A stale code is never returned.
#[utoipa::path(get, path = "/api/v1/sessions/{session}/qr", operation_id = "sessionQR", tag = "Sessions",
    params(("session" = String, Path, description = "The session's id.")),
    responses((status = 200, content((Qr = "application/json"), (String = "image/svg+xml"), (Vec<u8> = "image/png"))),
              (status = 400, body = ApiError, description = "Already paired."), (status = 401, body = ApiError),
              (status = 403, body = ApiError), (status = 404, body = ApiError), (status = 503, body = ApiError)))]
#[worker::send]
pub async fn qr(
    State(env): State<Env>,
    Allowed { principal, .. }: Allowed,
    SessionId(id): SessionId,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let row = find(&env, &principal, &id).await?;
    let qr: Qr = match SessionObject::of(&env, &row).call(Call::Qr).await {
        // No code yet: pairing starts, so a connection is what the owner wants.
        Err(Refusal(error)) if error == ApiError::not_found() && starts_pairing(&row) => {
            let noted = Directory::of(&env, &principal.organization)?.set_desired(&id, true, false).await;
            return Ok(About::begun().on(noted.err().unwrap_or(Refusal(error)).into()));
        }
        answered => answered?,
    };
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let picture = |kind, bytes| {
        ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-store")], bytes).into_response()
    };
    if accept.contains("image/svg+xml") {
        let svg = qr_picture::svg(&qr.code).ok_or_else(|| internal("qr", &"no picture"))?;
        return Ok(picture("image/svg+xml", svg.into_bytes()));
    }
    if accept.contains("image/png") {
        let png = qr_picture::png(&qr.code).ok_or_else(|| internal("qr", &"no picture"))?;
        return Ok(picture("image/png", png));
    }
    json(StatusCode::OK, &qr)
}

/// Whether asking for a code is what begins the pairing.
fn starts_pairing(row: &SessionRow) -> bool {
    !row.wants_connection() || row.status == Status::LoggedOut
}
