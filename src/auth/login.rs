//! Login JWTs of people, minted by a frontend.

use gateway_domain::access::Capability;
use gateway_domain::error::ApiError;
use gateway_domain::jwt::{self, Issuer, Role, Token};
use worker::Env;

use super::{Caller, Failure, Organization, Principal, jwks, signature};
use crate::configuration::{now, variable};

/// The frontends that are trusted.
///
/// # Errors
/// With what is wrong in `AUTH_ISSUERS`.
pub fn issuers(env: &Env) -> Result<Vec<Issuer>, String> {
    variable(env, "AUTH_ISSUERS").map_or_else(|| Ok(vec![]), |text| jwt::issuers(&text))
}

/// Who a token belongs to.
///
/// # Errors
/// A guess until a frontend's key has verified the signature, genuine from there on; unanswered while the frontend
/// can't be asked for its keys.
pub async fn authenticate(env: &Env, credential: &str) -> Result<Principal, Failure> {
    let issuers = issuers(env).map_err(|error| {
        worker::console_error!("{error}");
        unanswered("The gateway's configuration is broken: see /readyz.")
    })?;
    let token = jwt::read(credential).map_err(guess)?;
    let issuer =
        issuers.iter().find(|issuer| issuer.issuer == token.issuer).ok_or_else(|| guess("another issuer"))?;
    verify(env, issuer, &token).await?;
    let person = token.person(issuer, now() / 1_000).map_err(genuine)?;
    let capabilities = match (person.is_super_admin, person.role) {
        (true, _) | (false, Some(Role::Owner | Role::Admin)) => Capability::ALL.to_vec(),
        (false, Some(Role::Member)) => vec![Capability::Read, Capability::Send],
        (false, None) => vec![],
    };
    Ok(Principal {
        organization: Organization::of_caller(person.organization.unwrap_or_default()),
        caller: Caller::Person { user: person.user, is_super_admin: person.is_super_admin },
        until: Some(person.until.saturating_mul(1_000)),
        shown: None,
        capabilities,
    })
}

async fn verify(env: &Env, issuer: &Issuer, token: &Token) -> Result<(), Failure> {
    let key = match jwks::find(env, issuer, &token.kid).await {
        jwks::Found::Key(key) => key,
        jwks::Found::Unknown => return Err(guess("an unknown key")),
        jwks::Found::Unreachable => {
            return Err(unanswered("The login can't be checked right now: its issuer is out of reach."));
        }
    };
    if key.algorithm != token.algorithm {
        return Err(guess("an algorithm that is not its key's"));
    }
    if signature::is_genuine(&key, token).await { Ok(()) } else { Err(guess("a wrong signature")) }
}

fn guess(reason: &'static str) -> Failure {
    worker::console_log!("a login was refused: {reason}");
    Failure::Guess
}

fn genuine(reason: &'static str) -> Failure {
    worker::console_log!("a login was refused: {reason}");
    Failure::Genuine
}

fn unanswered(why: &str) -> Failure {
    Failure::Unanswered(ApiError::unavailable(why).into())
}
