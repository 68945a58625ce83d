//! Who calls, and what they may do.
//!
//! A handler names the capability it needs in its arguments, `Allowed<Manage>`; it can't be called without it.
//! Two acceptors: login JWTs of people ([`login`]) and API keys ([`api_key`]), told apart by their shape.

mod api_key;
mod jwks;
pub mod login;
mod signature;

use std::marker::PhantomData;

use axum::extract::FromRequestParts;
use gateway_domain::api_key::Capability;
use gateway_domain::error::ApiError;
use gateway_domain::jwt;
use http::request::Parts;
use http::{HeaderMap, header};
use worker::Env;
use worker::send::SendFuture;

use crate::error::Refusal;

/// Who calls.
#[derive(Clone, Debug)]
pub struct Principal {
    /// The organization they act for; empty for a person who chose none.
    pub organization: String,
    /// A person or a key.
    pub caller: Caller,
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

    /// The first of these capabilities that they don't have.
    pub fn lacks(&self, wanted: &[Capability]) -> Option<Capability> {
        wanted.iter().copied().find(|wanted| !self.capabilities.contains(wanted))
    }

    /// Whether they may look across organizations.
    pub fn is_super_admin(&self) -> bool {
        matches!(self.caller, Caller::Person { is_super_admin: true, .. })
    }
}

/// A capability as a type.
pub trait Needs {
    /// The capability.
    const CAPABILITY: Capability;
    /// Whether a super_admin may, for any organization and without acting for one.
    const ACROSS_ORGANIZATIONS: bool = false;
}

/// `manage`, and a super_admin's reading of any session.
pub enum ReadSession {}
impl Needs for ReadSession {
    const CAPABILITY: Capability = Capability::Manage;
    const ACROSS_ORGANIZATIONS: bool = true;
}

/// `manage`
pub enum Manage {}
impl Needs for Manage {
    const CAPABILITY: Capability = Capability::Manage;
}

/// `send`
pub enum Send {}
impl Needs for Send {
    const CAPABILITY: Capability = Capability::Send;
}

/// `events`
pub enum Events {}
impl Needs for Events {
    const CAPABILITY: Capability = Capability::Events;
}

/// A caller who has the capability.
pub struct Allowed<N> {
    /// The caller.
    pub principal: Principal,
    /// What they showed at the door.
    pub credential: Credential,
    needs: PhantomData<fn() -> N>,
}

impl<N: Needs> FromRequestParts<Env> for Allowed<N> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, env: &Env) -> Result<Self, Refusal> {
        let credential = Credential(credential(&parts.headers)?);
        let principal = SendFuture::new(credential.admit::<N>(env)).await?;
        Ok(Self { principal, credential, needs: PhantomData })
    }
}

/// A caller's credential. Whoever stays long is asked for it again.
pub struct Credential(String);

impl Credential {
    /// The caller, if they have the capability.
    ///
    /// # Errors
    /// 401 without valid credentials, 403 without the capability, 503 when that can't be known right now.
    pub async fn admit<N: Needs>(&self, env: &Env) -> Result<Principal, Refusal> {
        let principal = authenticate(env, &self.0).await?;
        let may = if N::ACROSS_ORGANIZATIONS && principal.is_super_admin() {
            true
        } else {
            // Who acts for no organization has nothing to act on.
            principal.capabilities.contains(&N::CAPABILITY) && !principal.organization.is_empty()
        };
        if may { Ok(principal) } else { Err(ApiError::forbidden(N::CAPABILITY.name()).into()) }
    }
}

async fn authenticate(env: &Env, credential: &str) -> Result<Principal, Refusal> {
    if jwt::looks_like_one(credential) {
        login::authenticate(env, credential).await
    } else {
        api_key::authenticate(env, credential).await
    }
}

/// `Authorization: Bearer …` or `X-Api-Key`; two that contradict are none.
fn credential(headers: &HeaderMap) -> Result<String, Refusal> {
    let mut bearers = headers.get_all(header::AUTHORIZATION).iter();
    let bearer = match (bearers.next(), bearers.next()) {
        (None, _) => None,
        (Some(value), None) => {
            Some(value.to_str().ok().and_then(bearer_token).ok_or_else(ApiError::unauthorized)?)
        }
        (Some(_), Some(_)) => return Err(ApiError::unauthorized().into()),
    };
    let key = match headers.get("x-api-key") {
        None => None,
        Some(value) => Some(value.to_str().map_err(|_| ApiError::unauthorized())?.trim()),
    };
    // A login is a Bearer token and nothing else.
    if key.is_some_and(jwt::looks_like_one) {
        return Err(ApiError::unauthorized().into());
    }
    match (bearer, key) {
        (Some(bearer), Some(key)) if bearer != key => Err(ApiError::unauthorized().into()),
        (Some(credential), _) | (None, Some(credential)) if !credential.is_empty() => {
            Ok(credential.to_owned())
        }
        _ => Err(ApiError::unauthorized().into()),
    }
}

fn bearer_token(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// A super_admin: a person who runs the platform, never a key.
pub struct SuperAdmin(pub Principal);

impl FromRequestParts<Env> for SuperAdmin {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, env: &Env) -> Result<Self, Refusal> {
        let credential = credential(&parts.headers)?;
        let principal = SendFuture::new(authenticate(env, &credential)).await?;
        if principal.is_super_admin() {
            Ok(Self(principal))
        } else {
            Err(ApiError::forbidden("super_admin").into())
        }
    }
}
