//! Who calls, and what they may do.
//!
//! The [`door`] stands before every operation: it asks the table in `gateway_domain::access` what the operation needs,
//! who calls, and whether they may; then the handler runs. Two acceptors: login JWTs of people ([`login`]) and API
//! keys ([`api_key`]), told apart by their shape.

mod api_key;
mod attempts;
pub mod door;
mod failure;
mod jwks;
pub mod login;
mod metrics_token;
mod organization;
mod signature;
pub mod ticket;

pub use attempts::{LIMITERS, address};
use axum::extract::FromRequestParts;
pub use failure::Failure;
use gateway_domain::access::{Access, Capability};
use gateway_domain::error::ApiError;
use gateway_domain::jwt;
use http::request::Parts;
use http::{HeaderMap, header};
pub use metrics_token::Scraper;
pub use organization::Organization;
use worker::Env;

use crate::error::{Refusal, internal};

/// Who calls.
#[derive(Clone, Debug)]
pub struct Principal {
    /// The organization they act for; empty for a person who chose none.
    pub organization: Organization,
    /// A person or a key.
    pub caller: Caller,
    /// When a person's login ends, epoch milliseconds.
    pub until: Option<u64>,
    /// The key that was shown.
    shown: Option<gateway_object::calls::reader::Key>,
    capabilities: Vec<Capability>,
}

/// What kind of caller.
#[derive(Clone, Debug)]
pub enum Caller {
    /// A person who logged in at a frontend.
    Person {
        /// The frontend's id of the user.
        user: String,
        /// Whether they run the platform.
        is_super_admin: bool,
    },
    /// A script or service: a key has no user.
    Key {
        /// The key's id, which is no secret.
        id: String,
    },
}

impl Principal {
    /// The user, where there is one.
    pub fn user(&self) -> Option<&str> {
        match &self.caller {
            Caller::Person { user, .. } => Some(user),
            Caller::Key { .. } => None,
        }
    }

    /// The id of the key, where there is one.
    pub fn key(&self) -> Option<&str> {
        match &self.caller {
            Caller::Key { id } => Some(id),
            Caller::Person { .. } => None,
        }
    }

    /// Who holds a WebSocket open.
    pub fn reader(&self) -> gateway_object::calls::reader::Caller {
        gateway_object::calls::reader::Caller { key: self.shown.clone(), until: self.until }
    }

    /// The first of these capabilities that they don't have.
    pub fn lacks(&self, wanted: &[Capability]) -> Option<Capability> {
        wanted.iter().copied().find(|wanted| !self.capabilities.contains(wanted))
    }

    /// Whether they may look across organizations.
    pub fn is_super_admin(&self) -> bool {
        matches!(self.caller, Caller::Person { is_super_admin: true, .. })
    }
}

/// A caller the door let in.
#[derive(Clone)]
pub struct Allowed {
    /// The caller.
    pub principal: Principal,
    /// What they showed at the door.
    pub credential: Credential,
    /// What was asked of them.
    pub access: Access,
}

impl FromRequestParts<Env> for Allowed {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &Env) -> Result<Self, Refusal> {
        // Nobody else puts it there: a handler that asks for a caller can't be reached around the door.
        parts
            .extensions
            .get::<Self>()
            .cloned()
            .ok_or_else(|| internal("the door", &"a public operation asks for its caller"))
    }
}

/// Whether a caller may.
///
/// # Errors
/// 403.
pub fn admit(access: Access, principal: &Principal) -> Result<(), ApiError> {
    // Who acts for no organization has nothing to act on.
    let has = |capability| {
        principal.capabilities.contains(&capability) && !principal.organization.as_str().is_empty()
    };
    let may = match access {
        Access::Public => true,
        Access::Needs(capability) => has(capability),
        Access::NeedsAcross(capability) => has(capability) || principal.is_super_admin(),
        Access::SuperAdmin => principal.is_super_admin(),
        // Nobody's login and no key.
        Access::MetricsToken | Access::Ticket => false,
    };
    if may { Ok(()) } else { Err(ApiError::forbidden(access.name())) }
}

/// A caller's credential. Whoever stays long is asked for it again.
#[derive(Clone)]
pub struct Credential(String);

impl Credential {
    /// `Authorization: Bearer …` or `X-Api-Key`; two that contradict are none.
    ///
    /// # Errors
    /// 401 when there is none.
    pub fn of(headers: &HeaderMap) -> Result<Self, ApiError> {
        credential(headers).map(Self)
    }

    /// Whose it is.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn authenticate(&self, env: &Env) -> Result<Principal, Failure> {
        if jwt::looks_like_one(&self.0) {
            login::authenticate(env, &self.0).await
        } else {
            api_key::authenticate(env, &self.0).await
        }
    }
}

fn credential(headers: &HeaderMap) -> Result<String, ApiError> {
    let mut bearers = headers.get_all(header::AUTHORIZATION).iter();
    let bearer = match (bearers.next(), bearers.next()) {
        (None, _) => None,
        (Some(value), None) => {
            Some(value.to_str().ok().and_then(bearer_token).ok_or_else(ApiError::unauthorized)?)
        }
        (Some(_), Some(_)) => return Err(ApiError::unauthorized()),
    };
    let key = match headers.get("x-api-key") {
        None => None,
        Some(value) => Some(value.to_str().map_err(|_| ApiError::unauthorized())?.trim()),
    };
    // A login is a Bearer token and nothing else.
    if key.is_some_and(jwt::looks_like_one) {
        return Err(ApiError::unauthorized());
    }
    match (bearer, key) {
        (Some(bearer), Some(key)) if bearer != key => Err(ApiError::unauthorized()),
        (Some(credential), _) | (None, Some(credential)) if !credential.is_empty() => {
            Ok(credential.to_owned())
        }
        _ => Err(ApiError::unauthorized()),
    }
}

fn bearer_token(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
