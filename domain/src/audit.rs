//! The audit log's entries: who did what to which resource, when, from where, and with what outcome. No entry has
//! anything in it that opens a door: no body, no query, no credential.

use serde::Serialize;
use utoipa::ToSchema;

use crate::error::ErrorCode;

/// The longest name of a resource that is kept; a path may carry any text for an id.
const MAX_RESOURCE_CHARACTERS: usize = 160;

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditEntry {
    /// The entry's ULID; entries are listed by it, the newest first.
    pub id: String,
    /// Whose log it is: the organization the resource belongs to.
    pub organization_id: String,
    /// When it was answered, epoch milliseconds.
    pub timestamp: u64,
    /// Who.
    pub actor: Actor,
    /// What: the operation's id in the OpenAPI document.
    pub operation: String,
    /// To what, as `collection/id`: `sessions/01J…`, `api-keys/…`; null for an operation on no single resource.
    pub resource: Option<String>,
    /// From which IP address, where it is known.
    pub address: Option<String>,
    /// The request's `X-Request-Id`.
    pub request_id: String,
    /// How it ended.
    pub outcome: Outcome,
    /// The HTTP status of the answer.
    pub status: u16,
    /// The error's code; null when it worked.
    pub error_code: Option<String>,
}

/// Who acted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Actor {
    /// A person's login, or a key.
    #[serde(rename = "type")]
    pub kind: ActorKind,
    /// The user's id at the frontend, or the key's id.
    pub id: String,
    /// Whether it was somebody who runs the platform.
    pub super_admin: bool,
}

/// What kind of caller acted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ActorKind {
    /// A person, by the login JWT of a frontend.
    User,
    /// A script or service, by an API key.
    ApiKey,
}

impl ActorKind {
    /// Its name in the directory.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::ApiKey => "api_key",
        }
    }

    /// The kind of this name; what is unknown is taken for a key, which has fewer rights.
    #[must_use]
    pub fn named(name: &str) -> Self {
        if name == Self::User.name() { Self::User } else { Self::ApiKey }
    }
}

/// How an operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// 2xx: it was done.
    Success,
    /// 403: the caller may not.
    Denied,
    /// Anything else: it was not done, or nobody knows (503).
    Failure,
}

impl Outcome {
    /// What a status says.
    #[must_use]
    pub const fn of(status: u16) -> Self {
        match status {
            200..=299 => Self::Success,
            status if status == ErrorCode::Forbidden.status() => Self::Denied,
            _ => Self::Failure,
        }
    }
}

/// The resource a path names, as `collection/id`: `/api/v1/sessions/X/qr` and `/api/v1/sessions/X:stop` are
/// `sessions/X`. A path without an id names none.
#[must_use]
pub fn resource(path: &str) -> Option<String> {
    let path = path.strip_prefix("/api/v1/")?;
    let path = path.strip_prefix("admin/").unwrap_or(path);
    let mut segments = path.split('/');
    let (collection, id) = (segments.next()?, segments.next()?);
    let id = id.split(':').next().filter(|id| !id.is_empty())?;
    Some(format!("{collection}/{id}").chars().take(MAX_RESOURCE_CHARACTERS).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_its_resource() {
        for (path, named) in [
            ("/api/v1/sessions/01J", Some("sessions/01J")),
            ("/api/v1/sessions/01J/qr", Some("sessions/01J")),
            ("/api/v1/sessions/01J:stop", Some("sessions/01J")),
            ("/api/v1/admin/sessions/01J:backfill", Some("sessions/01J")),
            ("/api/v1/api-keys/k:rotate", Some("api-keys/k")),
            ("/api/v1/sessions", None),
            ("/api/v1/admin/sessions", None),
            ("/api/v1/sessions/", None),
            ("/healthz", None),
        ] {
            assert_eq!(resource(path).as_deref(), named, "{path}");
        }
        let long = resource(&format!("/api/v1/sessions/{}", "💥".repeat(4_000)));
        assert_eq!(long.map(|name| name.chars().count()), Some(MAX_RESOURCE_CHARACTERS));
    }

    #[test]
    fn a_status_tells_the_outcome() {
        assert_eq!(Outcome::of(204), Outcome::Success);
        assert_eq!(Outcome::of(403), Outcome::Denied);
        for status in [302, 400, 401, 404, 409, 500, 503] {
            assert_eq!(Outcome::of(status), Outcome::Failure, "{status}");
        }
    }
}
