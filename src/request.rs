//! What handlers take out of a request: JSON bodies, queries, session ids. Foreign bytes become clear errors.

use std::collections::HashMap;

use axum::body::{Body, to_bytes};
use axum::extract::{FromRequest, FromRequestParts, Path};
use gateway_domain::error::ApiError;
use gateway_domain::ids;
use http::request::Parts;
use http::{HeaderMap, Request, header};
use serde::de::DeserializeOwned;
use worker::Env;

use crate::error::Refusal;
use crate::send_body::Files;

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

/// A JSON body and the files that were taken out of it (`send_body`).
pub struct JsonWithFiles<T>(pub T, pub Files);

impl<T: DeserializeOwned> FromRequest<Env> for JsonWithFiles<T> {
    type Rejection = Refusal;

    async fn from_request(mut request: Request<Body>, env: &Env) -> Result<Self, Refusal> {
        let files = request.extensions_mut().remove::<Files>().unwrap_or_default();
        let Json(body) = Json::from_request(request, env).await?;
        Ok(Self(body, files))
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

/// Whether a body is said to be JSON.
pub fn is_json(headers: &HeaderMap) -> bool {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    given.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
}

fn require_json(headers: &HeaderMap) -> Result<(), Refusal> {
    if is_json(headers) {
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
