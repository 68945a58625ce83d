//! Errors as answers: every non-2xx has the contract's envelope.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use gateway_domain::error::{ApiError, ErrorCode};
use http::{HeaderValue, StatusCode, header};

/// An error on its way out.
#[derive(Debug)]
pub struct Refusal(pub ApiError);

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        Self(error)
    }
}

impl From<Refusal> for Response {
    fn from(refusal: Refusal) -> Self {
        let Refusal(error) = refusal;
        let mut response = Self::new(Body::from(error.body()));
        *response.status_mut() =
            StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        // For the audit log.
        response.extensions_mut().insert(error.error.code);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if error.error.code == ErrorCode::Unauthorized {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) =
            error.error.details.get("retryAfterSeconds").and_then(serde_json::Value::as_u64)
        {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        } else if error.error.code == ErrorCode::GatewayUnavailable
            && !error.error.details.contains_key("outboxId")
        {
            // Not where a message may be on its way: repeating that blindly could send it twice.
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
        }
        response
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        self.into()
    }
}

/// A failure of ours: the cause goes to the log, the caller gets `internal`.
pub fn internal(what: &str, error: &impl std::fmt::Display) -> Refusal {
    worker::console_error!("{what}: {error}");
    Refusal(ApiError::internal())
}

/// The directory can't be reached: the caller may try again.
pub fn directory_unavailable(error: &impl std::fmt::Display) -> Refusal {
    worker::console_error!("directory: {error}");
    Refusal(ApiError::unavailable("The directory can't be reached right now."))
}
