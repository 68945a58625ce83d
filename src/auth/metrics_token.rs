//! `METRICS_TOKEN`: what opens `/metrics`, and nothing else does.

use axum::extract::FromRequestParts;
use gateway_domain::error::ApiError;
use gateway_domain::shared_secret::is_same;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use http::request::Parts;
use worker::Env;

use super::attempts::Attempt;
use super::{Credential, Failure, bearer_token};
use crate::configuration::variable;
use crate::error::{Refusal, internal};

/// Somebody who showed the token.
#[derive(Clone)]
pub struct Scraper(());

impl Scraper {
    /// Looks at what is shown.
    ///
    /// # Errors
    /// 404 where no token is configured: then there are no metrics. 401 for everything but the token; 429 for too many
    /// of those.
    pub async fn admit(env: &Env, headers: &HeaderMap) -> Result<Self, Refusal> {
        let configured = variable(env, "METRICS_TOKEN").ok_or_else(ApiError::not_found)?;
        let mut shown = headers.get_all(AUTHORIZATION).iter();
        let (Some(shown), None) = (shown.next(), shown.next()) else {
            return Err(ApiError::unauthorized().into());
        };
        let token = shown.to_str().ok().and_then(bearer_token).ok_or_else(ApiError::unauthorized)?;
        let attempt = Attempt::of(headers, &Credential(token.to_owned()));
        attempt.permit()?;
        if is_same(token, &configured) {
            attempt.succeeded();
            Ok(Self(()))
        } else {
            Err(attempt.failed(env, Failure::Guess).await)
        }
    }
}

impl FromRequestParts<Env> for Scraper {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &Env) -> Result<Self, Refusal> {
        let admitted = parts.extensions.get::<Self>().cloned();
        admitted.ok_or_else(|| internal("the door", &"an operation for scrapers has another access"))
    }
}
