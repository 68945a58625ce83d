//! `POST /api/v1/sessions/{session}/pairing-code`

use axum::extract::State;
use axum::response::Response;
use gateway_domain::error::ApiError;
use gateway_domain::linking::{PairingCodeInputBody, PairingCodeOutputBody};
use gateway_object::calls::session::Call;
use http::StatusCode;
use worker::Env;

use super::{find, json};
use crate::auth::Allowed;
use crate::directory::Directory;
use crate::error::Refusal;
use crate::request::{Json, SessionId};
use crate::session_object::SessionObject;

/// Gives a code to type on the phone (WhatsApp → Linked devices → Link with phone number instead), and begins pairing
/// where it has not begun. It is good for three minutes, through changes of the QR code and lost connections; asked
/// for again it is the same one, and for another number 409 until it has expired. `details.whatsappCode` is WhatsApp's
/// refusal, `retryAfterSeconds` when to try again.
#[utoipa::path(post, path = "/api/v1/sessions/{session}/pairing-code", operation_id = "sessionPairingCode", tag = "Sessions",
    params(("session" = String, Path, description = "The session's id.")),
    request_body = PairingCodeInputBody,
    responses((status = 200, body = PairingCodeOutputBody),
              (status = 400, body = ApiError, description = "No such number, or already paired."),
              (status = 401, body = ApiError), (status = 403, body = ApiError), (status = 404, body = ApiError),
              (status = 409, body = ApiError, description = "A code for another number is out, or WhatsApp does not allow it."),
              (status = 429, body = ApiError), (status = 503, body = ApiError)))]
#[worker::send]
pub async fn pairing_code(
    State(env): State<Env>,
    Allowed { principal, .. }: Allowed,
    SessionId(id): SessionId,
    Json(body): Json<PairingCodeInputBody>,
) -> Result<Response, Refusal> {
    body.validate()?;
    let row = find(&env, &principal, &id).await?;
    let call = Call::PairingCode { phone: body.phone };
    let code: PairingCodeOutputBody = SessionObject::of(&env, &row).call(call).await?;
    if !row.wants_connection() {
        Directory::of(&env, &principal.organization)?.set_desired(&id, true, false).await?;
    }
    json(StatusCode::OK, &code)
}
