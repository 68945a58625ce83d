//! Login JWTs of people, minted by a frontend.

use gateway_domain::access::Capability;
use gateway_domain::error::ApiError;
use gateway_domain::jwt::{self, Issuer, Role, Token};
use worker::Env;

use super::{Caller, Principal, jwks, signature};
use crate::configuration::{now, variable};
use crate::error::Refusal;

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
/// 401 with one body for every token that does not open the door; 503 while its frontend can't be asked for keys.
pub async fn authenticate(env: &Env, credential: &str) -> Result<Principal, Refusal> {
    let issuers = issuers(env).map_err(|error| {
        worker::console_error!("{error}");
        ApiError::unavailable("The gateway's configuration is broken: see /readyz.")
    })?;
    let token = jwt::read(credential).map_err(refused)?;
    let issuer = issuers
        .iter()
        .find(|issuer| issuer.issuer == token.issuer)
        .ok_or_else(|| refused("another issuer"))?;
    verify(env, issuer, &token).await?;
    let person = token.person(issuer, now() / 1_000).map_err(refused)?;
    let capabilities = match (person.is_super_admin, person.role) {
        (true, _) | (false, Some(Role::Owner | Role::Admin)) => Capability::ALL.to_vec(),
        (false, Some(Role::Member)) => vec![Capability::Read, Capability::Send],
        (false, None) => vec![],
    };
    Ok(Principal {
        organization: person.organization.unwrap_or_default(),
        caller: Caller::Person { user: person.user, is_super_admin: person.is_super_admin },
        capabilities,
    })
}

async fn verify(env: &Env, issuer: &Issuer, token: &Token) -> Result<(), Refusal> {
    let key = match jwks::find(env, issuer, &token.kid).await {
        jwks::Found::Key(key) => key,
        jwks::Found::Unknown => return Err(refused("an unknown key")),
        jwks::Found::Unreachable => {
            return Err(ApiError::unavailable(
                "The login can't be checked right now: its issuer is out of reach.",
            )
            .into());
        }
    };
    if key.algorithm != token.algorithm {
        return Err(refused("an algorithm that is not its key's"));
    }
    if signature::is_genuine(&key, token).await { Ok(()) } else { Err(refused("a wrong signature")) }
}

fn refused(reason: &'static str) -> Refusal {
    worker::console_log!("a login was refused: {reason}");
    ApiError::unauthorized().into()
}
