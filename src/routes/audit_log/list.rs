//! `GET /api/v1/audit-log`

use axum::extract::State;
use axum::response::Response;
use gateway_domain::audit::AuditEntry;
use gateway_domain::error::ApiError;
use gateway_domain::page::{self, List};
use http::StatusCode;
use worker::Env;

use crate::auth::Allowed;
use crate::directory::Directory;
use crate::error::Refusal;
use crate::request::Query;
use crate::routes::sessions::json;
use crate::routes::sessions::list::Page;

/// Lists who did what in the organization, the newest first: every operation that manages something, whether it was
/// allowed and worked or not, and everything somebody who runs the platform did with the organization's things.
/// Entries are never changed, and kept for a year at least. A super_admin who acts for no organization reads the
/// platform's own log: what was done across organizations.
#[utoipa::path(get, path = "/api/v1/audit-log", operation_id = "listAuditLog", tag = "Audit",
    params(("limit" = Option<u32>, Query, description = "1 to 200; 50 when absent."),
           ("cursor" = Option<String>, Query, description = "The previous page's nextCursor.")),
    responses((status = 200, body = List<AuditEntry>), (status = 400, body = ApiError),
              (status = 401, body = ApiError), (status = 403, body = ApiError), (status = 503, body = ApiError)))]
#[worker::send]
pub async fn list(
    State(env): State<Env>,
    Allowed { principal, .. }: Allowed,
    query: Query,
) -> Result<Response, Refusal> {
    let wanted = Page::wanted(&query)?;
    let before = Some(wanted.after.as_str()).filter(|after| !after.is_empty());
    let directory = Directory::of(&env, &principal.organization)?;
    let mut data = directory.audit_log(before, wanted.limit + 1).await?;
    let more = data.len() > wanted.limit as usize;
    data.truncate(wanted.limit as usize);
    let next_cursor = data.last().filter(|_| more).map(|entry| page::cursor_after(&entry.id));
    json(StatusCode::OK, &List { data, next_cursor })
}
