//! Realtime tickets: minted by somebody the door let in, shown once by a browser instead of a credential.

use gateway_domain::api_key::hash;
use gateway_domain::error::ApiError;
use gateway_domain::ticket::{LIFETIME_MS, RealtimeTicket, looks_like_one, mint};
use gateway_object::callers::shut_out;
use gateway_object::calls::reader::{Caller as Reader, Filter};
use http::HeaderMap;
use serde::{Deserialize, Serialize};
use worker::{D1Type, Env};

use super::attempts::Attempt;
use super::{Allowed, Credential, Failure, Organization};
use crate::configuration::{now, random};
use crate::directory::{Directory, asking};
use crate::error::{Refusal, internal};

/// What a ticket opens, and for whom.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Scope {
    /// What is read.
    pub filter: Filter,
    /// Whose credential it was minted with.
    pub caller: Reader,
}

/// Mints a ticket.
///
/// # Errors
/// 503 when the directory can't be asked.
pub async fn issue(env: &Env, caller: &Allowed, filter: Filter) -> Result<RealtimeTicket, Refusal> {
    let scope = Scope { filter, caller: caller.principal.reader() };
    let scope = serde_json::to_string(&scope).map_err(|error| internal("a ticket", &error))?;
    let (ticket, expires_at) = (mint(random()), now() + LIFETIME_MS);
    let directory = Directory::of(env, &caller.principal.organization)?;
    directory.insert_ticket(&hash(&ticket), &scope, expires_at).await?;
    Ok(RealtimeTicket { ticket, expires_at })
}

/// Takes a ticket: it is good once.
///
/// # Errors
/// 401 for what opens nothing, 429 for too much of it, 503 when the directory can't be asked.
pub async fn redeem(
    env: &Env,
    headers: &HeaderMap,
    ticket: Option<&str>,
) -> Result<(Organization, Scope), Refusal> {
    let ticket = ticket.filter(|ticket| looks_like_one(ticket)).ok_or_else(ApiError::unauthorized)?;
    let attempt = Attempt::of(headers, &Credential(ticket.to_owned()));
    attempt.permit()?;
    match take(env, ticket).await {
        Ok(taken) => Ok(taken),
        Err(failure) => Err(attempt.failed(env, failure).await),
    }
}

async fn take(env: &Env, ticket: &str) -> Result<(Organization, Scope), Failure> {
    #[derive(Deserialize)]
    struct Row {
        organization_id: String,
        scope: String,
        expires_at: f64,
    }
    let hash = hash(ticket);
    // Gone and read in one statement: of two that come at once, one opens.
    let statement =
        "DELETE FROM realtime_ticket WHERE hash = ?1 RETURNING organization_id, scope, expires_at";
    #[allow(clippy::disallowed_methods, reason = "whose it is nobody knows before the ticket is found")]
    let row = asking(false, || async {
        env.d1("DB")?.prepare(statement).bind_refs(&D1Type::Text(&hash))?.first::<Row>(None).await
    });
    #[allow(clippy::cast_precision_loss, reason = "a date, far below 2^53")]
    let row = row.await?.filter(|row| row.expires_at > now() as f64).ok_or(Failure::Guess)?;
    let scope: Scope = serde_json::from_str(&row.scope).map_err(|_| Failure::Guess)?;
    // Revoked within the seconds since.
    if let Some(key) = &scope.caller.key {
        let out = shut_out(env, &row.organization_id, std::slice::from_ref(key)).await;
        if out.is_ok_and(|out| !out.is_empty()) {
            return Err(Failure::Genuine);
        }
    }
    Ok((Organization::of_caller(row.organization_id), scope))
}
