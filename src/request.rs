//! What handlers take out of a request: JSON bodies, queries, session ids. Foreign bytes become clear errors.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{FromRequest, FromRequestParts, Path};
use gateway_domain::error::ApiError;
use gateway_domain::ids;
use gateway_domain::message::limits;
use gateway_object::budget::Share;
use http::request::Parts;
use http::{HeaderMap, Request, header};
use serde::de::DeserializeOwned;
use worker::Env;
use worker::send::SendFuture;

use crate::error::Refusal;

/// The body, the text in it, and what that says.
const COPIES: usize = 3;
/// How long a request waits for memory.
const MEMORY_PATIENCE: Duration = Duration::from_secs(10);
/// The largest body of an operation without media (the contract's "Errors").
const MAX_BODY_BYTES: usize = 1024 * 1024;

/// A JSON body.
pub struct Json<T>(pub T);

impl<T: DeserializeOwned> FromRequest<Env> for Json<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request<Body>, _: &Env) -> Result<Self, Refusal> {
        let (parts, body) = request.into_parts();
        require_json(&parts.headers)?;
        let bytes = read(body).await?;
        parse(&bytes).map(Self)
    }
}

/// A JSON body that may have files in it. While it is read it has a share of the isolate's memory.
pub struct JsonWithFiles<T>(pub T, pub MemoryShare);

impl<T: DeserializeOwned> FromRequest<Env> for JsonWithFiles<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request<Body>, _: &Env) -> Result<Self, Refusal> {
        let (mut parts, body) = request.into_parts();
        require_json(&parts.headers)?;
        let share = match parts.extensions.remove::<MemoryShare>() {
            Some(share) => share,
            None => MemoryShare::of(&parts.headers).await?,
        };
        let bytes = to_bytes(body, limits::MAX_BODY_BYTES)
            .await
            .map_err(|_| ApiError::validation("body", BODY_WITH_FILES))?;
        parse(&bytes).map(|body| Self(body, share))
    }
}

/// What is wrong with a body that is larger than that.
pub const BODY_WITH_FILES: &str = "Must be whole, and 12 MiB at most.";

/// A share of the isolate's memory for a large body (docs/decisions/media.md).
#[derive(Clone)]
pub struct MemoryShare(Option<Arc<Share>>);

impl MemoryShare {
    /// A share for the request with these headers; small ones need none.
    ///
    /// # Errors
    /// 503 when there is no memory to be had soon.
    pub async fn of(headers: &HeaderMap) -> Result<Self, Refusal> {
        let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
        let announced = announced.and_then(|length| length.parse::<usize>().ok());
        let length = announced.unwrap_or(limits::MAX_BODY_BYTES).min(limits::MAX_BODY_BYTES);
        if length <= MAX_BODY_BYTES {
            return Ok(Self(None));
        }
        let share = SendFuture::new(Share::within(length.saturating_mul(COPIES), MEMORY_PATIENCE)).await;
        let share =
            share.ok_or_else(|| ApiError::unavailable("Too many files at once; try again shortly."))?;
        Ok(Self(Some(Arc::new(share))))
    }

    /// The body has been read: what is left is one copy of what it said.
    pub fn settle(&mut self) {
        if let Some(share) = self.0.as_mut().and_then(Arc::get_mut) {
            share.divide(COPIES);
        }
    }
}

/// A JSON body that may be missing: then it is the default.
pub struct OptionalJson<T>(pub T);

impl<T: DeserializeOwned + Default> FromRequest<Env> for OptionalJson<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request<Body>, _: &Env) -> Result<Self, Refusal> {
        let (parts, body) = request.into_parts();
        let bytes = read(body).await?;
        if bytes.is_empty() {
            return Ok(Self(T::default()));
        }
        require_json(&parts.headers)?;
        parse(&bytes).map(Self)
    }
}

fn require_json(headers: &HeaderMap) -> Result<(), Refusal> {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = given.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        Ok(())
    } else {
        Err(ApiError::validation("Content-Type", "Must be application/json.").into())
    }
}

async fn read(body: Body) -> Result<axum::body::Bytes, Refusal> {
    to_bytes(body, MAX_BODY_BYTES)
        .await
        .map_err(|_| ApiError::validation("body", "Must be whole, and 1 MiB at most.").into())
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refusal> {
    if std::str::from_utf8(bytes).is_err() {
        return Err(ApiError::validation("body", "Must be UTF-8.").into());
    }
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let parsed = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        let field = if path == "." { "body".to_owned() } else { path };
        ApiError::validation(&field, format!("Not as expected: {}.", error.inner()))
    })?;
    deserializer
        .end()
        .map_err(|_| ApiError::validation("body", "Must be one JSON value and nothing after it."))?;
    Ok(parsed)
}

/// The query, decoded. Of a name given twice the first counts.
pub struct Query(HashMap<String, String>);

impl Query {
    /// A parameter.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let mut query = HashMap::new();
        for (name, value) in form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()) {
            query.entry(name.into_owned()).or_insert_with(|| value.into_owned());
        }
        Ok(Self(query))
    }
}

/// The `{session}` of a path. What is no id names nothing: 404.
pub struct SessionId(pub String);

impl<S: Send + Sync> FromRequestParts<S> for SessionId {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let Path(named) = Path::<HashMap<String, String>>::from_request_parts(parts, state)
            .await
            .map_err(|_| ApiError::not_found())?;
        let id = named.get("session").and_then(|text| ids::parse(text)).ok_or_else(ApiError::not_found)?;
        Ok(Self(id))
    }
}
