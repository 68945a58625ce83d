//! The error every operation can answer with, exactly as the contract's "Errors" has it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// What went wrong, in the contract's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// 400: the request is not well-formed; `details.field` names the field where there is one.
    ValidationError,
    /// 401: no credentials, or none that are valid.
    Unauthorized,
    /// 403: valid credentials without the capability.
    Forbidden,
    /// 404: no such thing, or not yours: the two answer alike.
    NotFound,
    /// 409: the resource is in a state that does not allow it.
    Conflict,
    /// 429: too many; `details.retryAfterSeconds` and `Retry-After` say when.
    RateLimited,
    /// 500: our fault.
    Internal,
    /// 501: the contract has it, this version does not.
    NotImplemented,
    /// 503: WhatsApp or a part of the gateway is out of reach; try again.
    GatewayUnavailable,
}

impl ErrorCode {
    /// The code, as callers see it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ValidationError => "validation_error",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
            Self::RateLimited => "rate_limited",
            Self::Internal => "internal",
            Self::NotImplemented => "not_implemented",
            Self::GatewayUnavailable => "gateway_unavailable",
        }
    }

    /// The HTTP status of the code.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::ValidationError => 400,
            Self::Unauthorized => 401,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::Conflict => 409,
            Self::RateLimited => 429,
            Self::Internal => 500,
            Self::NotImplemented => 501,
            Self::GatewayUnavailable => 503,
        }
    }
}

/// The inside of every error answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ErrorDetail {
    /// What went wrong, for programs.
    pub code: ErrorCode,
    /// What went wrong, for people.
    pub message: String,
    /// What else a program can use: the `field` of a `validation_error`, `retryAfterSeconds`, `status`.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schema(value_type = Object, required = false)]
    pub details: Map<String, Value>,
}

/// `{"error": {"code", "message", "details"}}`: the body of every non-2xx answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ApiError {
    /// The error.
    pub error: ErrorDetail,
}

impl ApiError {
    /// An error without details.
    #[must_use]
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { error: ErrorDetail { code, message: message.into(), details: Map::new() } }
    }

    /// The same error with one more detail.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.error.details.insert(name.to_owned(), value.into());
        self
    }

    /// The HTTP status to answer with.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.error.code.status()
    }

    /// A field that is missing, of the wrong type, or out of its limits.
    #[must_use]
    pub fn validation(field: &str, message: impl Into<String>) -> Self {
        Self::new(ErrorCode::ValidationError, message).with("field", field)
    }

    /// The one answer for what does not exist and for what belongs to another organization.
    #[must_use]
    pub fn not_found() -> Self {
        Self::new(ErrorCode::NotFound, "Not found.")
    }

    /// No credentials, or none that are valid: one body for every reason.
    #[must_use]
    pub fn unauthorized() -> Self {
        Self::new(ErrorCode::Unauthorized, "Valid credentials are required.")
    }

    /// Valid credentials without the capability.
    #[must_use]
    pub fn forbidden(capability: &str) -> Self {
        Self::new(ErrorCode::Forbidden, "The credentials lack the capability of this operation.")
            .with("capability", capability)
    }

    /// The resource's state does not allow it.
    #[must_use]
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Conflict, message)
    }

    /// Out of reach for now.
    #[must_use]
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::GatewayUnavailable, message)
    }

    /// In the contract, not in this version.
    #[must_use]
    pub fn not_implemented(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::NotImplemented, message)
    }

    /// Our fault; the cause goes to the log, not to the caller.
    #[must_use]
    pub fn internal() -> Self {
        Self::new(ErrorCode::Internal, "Something went wrong on our side.")
    }

    /// The body.
    #[must_use]
    pub fn body(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_envelope_is_the_contracts() {
        let error = ApiError::validation("to", "Must be a JID.");
        assert_eq!(
            error.body(),
            r#"{"error":{"code":"validation_error","message":"Must be a JID.","details":{"field":"to"}}}"#
        );
        assert_eq!(ApiError::not_found().body(), r#"{"error":{"code":"not_found","message":"Not found."}}"#);
    }
}
