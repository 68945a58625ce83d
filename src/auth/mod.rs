//! Who calls, and what they may do.
//!
//! A handler names the capability it needs in its arguments, `Allowed<Manage>`; it can't be called without it.
//! This version accepts API keys; login JWTs come with their own issue.

mod api_key;

use std::marker::PhantomData;

use axum::extract::FromRequestParts;
use gateway_domain::api_key::Capability;
use gateway_domain::error::ApiError;
use http::request::Parts;
use http::{HeaderMap, header};
use worker::Env;
use worker::send::SendFuture;

use crate::error::Refusal;

/// Who calls.
#[derive(Clone, Debug)]
pub struct Principal {
    /// The organization they act for.
    pub organization: String,
    capabilities: Vec<Capability>,
}

/// A capability as a type.
pub trait Needs {
    /// The capability.
    const CAPABILITY: Capability;
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
    needs: PhantomData<fn() -> N>,
}

impl<N: Needs> FromRequestParts<Env> for Allowed<N> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, env: &Env) -> Result<Self, Refusal> {
        let key = credential(&parts.headers)?;
        let principal = SendFuture::new(api_key::authenticate(env, &key)).await?;
        if principal.capabilities.contains(&N::CAPABILITY) {
            Ok(Self { principal, needs: PhantomData })
        } else {
            Err(ApiError::forbidden(N::CAPABILITY.name()).into())
        }
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
