//! The door: what happens between the router and every handler, in one place and in one order.
//!
//! The table says what the operation needs; limits on failed logins; authentication; capability; a body's files; the
//! idempotency key; the handler; the audit log. An operation that is not in the table can't be called.

use axum::body::Body;
use axum::extract::{Extension, MatchedPath};
use axum::middleware::Next;
use axum::response::Response;
use gateway_domain::access::{Access, Operation};
use http::Request;
use worker::Env;
use worker::send::SendFuture;

use super::attempts::Attempt;
use super::{Allowed, Credential, Organization, Principal, Scraper, admit};
use crate::audit;
use crate::error::{Refusal, internal};
use crate::idempotency;
use crate::routes;
use crate::send_body;

/// The operation whose body may have files in it.
const SENDS_FILES: &str = "sendMessage";

/// Lets a request through, or not.
pub async fn pass(
    Extension(env): Extension<Env>,
    path: MatchedPath,
    request: Request<Body>,
    next: Next,
) -> Response {
    let Some(operation) = routes::operation(request.method(), path.as_str()) else {
        return internal("the door", &format!("{} is in no table", path.as_str())).into();
    };
    SendFuture::new(escort(env, operation, request, next)).await
}

async fn escort(env: Env, operation: &'static Operation, mut request: Request<Body>, next: Next) -> Response {
    match operation.access {
        // A ticket is taken by the handler: it is used up by that.
        Access::Public | Access::Ticket => return next.run(request).await,
        Access::MetricsToken => {
            return match Scraper::admit(&env, request.headers()).await {
                Ok(scraper) => {
                    request.extensions_mut().insert(scraper);
                    next.run(request).await
                }
                Err(refusal) => refusal.into(),
            };
        }
        _ => {}
    }
    let (credential, principal) = match authenticate(&env, &request).await {
        Ok(caller) => caller,
        Err(refusal) => return refusal.into(),
    };
    let record = audit::Record::begin(operation, &principal, &request);
    let response = if let Err(error) = admit(operation.access, &principal) {
        Refusal(error).into()
    } else {
        let access = operation.access;
        let organization = principal.organization.clone();
        request.extensions_mut().insert(Allowed { principal, credential, access });
        run(&env, operation, &organization, request, next).await
    };
    // Of what was done the first answer's entry tells.
    if !idempotency::is_replay(&response) {
        record.end(&env, &response).await;
    }
    response
}

/// Runs the operation, once for each key; before that the files are taken out of its body, if it can have some.
async fn run(
    env: &Env,
    operation: &'static Operation,
    organization: &Organization,
    request: Request<Body>,
    next: Next,
) -> Response {
    if operation.id != SENDS_FILES {
        return idempotency::once(env, operation, organization, request, next).await;
    }
    let (request, lot) = match send_body::take_in(env, organization, request).await {
        Ok(taken) => taken,
        Err(refusal) => return refusal.into(),
    };
    let response = idempotency::once(env, operation, organization, request, next).await;
    if let Some(lot) = lot
        && (idempotency::is_replay(&response) || !response.status().is_success())
    {
        lot.refuse(env).await;
    }
    response
}

async fn authenticate(env: &Env, request: &Request<Body>) -> Result<(Credential, Principal), Refusal> {
    let credential = Credential::of(request.headers())?;
    let attempt = Attempt::of(request.headers(), &credential);
    attempt.permit()?;
    match credential.authenticate(env).await {
        Ok(principal) => {
            attempt.succeeded();
            Ok((credential, principal))
        }
        Err(failure) => Err(attempt.failed(env, failure).await),
    }
}
