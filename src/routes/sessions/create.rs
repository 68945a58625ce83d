//! `POST /api/v1/sessions`

use axum::extract::State;
use axum::response::Response;
use gateway_domain::error::ApiError;
use gateway_domain::session::{CreateSessionInputBody, WASession};
use gateway_object::calls::session::Call;
use http::StatusCode;
use worker::Env;

use super::{json, present};
use crate::audit::About;
use crate::auth::Allowed;
use crate::directory::{Directory, NewSession};
use crate::error::Refusal;
use crate::idempotency::NewId;
use crate::request::OptionalJson;
use crate::session_object::SessionObject;

/// Makes a session. It is `stopped`; with `start: true` pairing begins at once and it is `starting`.
#[utoipa::path(post, path = "/api/v1/sessions", operation_id = "createSession", tag = "Sessions",
    request_body = CreateSessionInputBody,
    responses((status = 201, body = WASession), (status = 400, body = ApiError), (status = 401, body = ApiError),
              (status = 403, body = ApiError), (status = 503, body = ApiError)))]
#[worker::send]
pub async fn create(
    State(env): State<Env>,
    Allowed { principal, .. }: Allowed,
    NewId { id, may_exist }: NewId,
    OptionalJson(body): OptionalJson<CreateSessionInputBody>,
) -> Result<Response, Refusal> {
    body.validate()?;
    let directory = Directory::of(&env, &principal.organization)?;
    let session = NewSession {
        id: &id,
        label: body.label.as_deref(),
        auto_read: body.auto_read.unwrap_or(false),
        presence_typing: body.presence_typing.unwrap_or(false),
        rate_per_min: body.rate_per_min.unwrap_or(0),
        rate_per_hour: body.rate_per_hour.unwrap_or(0),
        region: body.region.as_deref(),
        connected: body.start.unwrap_or(false),
        user: principal.user(),
    };
    let made = if may_exist { directory.session(&id).await? } else { None };
    let row = match made {
        Some(row) => row,
        None => directory.insert_session(&session).await?,
    };
    let observed =
        if session.connected { Some(SessionObject::of(&env, &row).call(Call::Start).await?) } else { None };
    let mut response = json(StatusCode::CREATED, &present(&env, row, observed))?;
    response.extensions_mut().insert(About::made("sessions", &id));
    Ok(response)
}
