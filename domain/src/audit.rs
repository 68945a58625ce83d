//! The audit log's entries: who did what to which resource, when, from where, and with what outcome. No entry has
//! anything in it that opens a door: no body, no query, no credential.

use serde::Serialize;
use utoipa::ToSchema;

use crate::credential;
use crate::error::ErrorCode;
use crate::ids;

/// No key's id is longer; a frontend's are of its own making.
pub const MAX_KEY_ID_BYTES: usize = 128;

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

    /// What an entry says: an answer that is no success and yet no error was about what it began.
    #[must_use]
    pub const fn recorded(status: u16, has_error: bool) -> Self {
        if has_error { Self::of(status) } else { Self::Success }
    }
}

/// The resource a path names, as `collection/id`: `/api/v1/sessions/X/qr` and `/api/v1/sessions/X:stop` are
/// `sessions/X`. A path may carry any text, a pasted secret too: what can't be an id names nothing.
#[must_use]
pub fn resource(path: &str) -> Option<String> {
    let path = path.strip_prefix("/api/v1/")?;
    let path = path.strip_prefix("admin/").unwrap_or(path);
    let mut segments = path.split('/');
    let (collection, segment) = (segments.next()?, segments.next()?);
    let id = credential::decoded(segment.split(':').next()?);
    let id = match collection {
        "api-keys" => key_id(&id)?,
        _ => ids::parse(&id)?,
    };
    Some(format!("{collection}/{id}"))
}

/// A key's id, which a frontend may have made of anything.
fn key_id(text: &str) -> Option<String> {
    let could_be = (1..=MAX_KEY_ID_BYTES).contains(&text.len())
        && !text.contains(|letter: char| letter.is_control() || letter == char::REPLACEMENT_CHARACTER)
        && !credential::is_in(text);
    could_be.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "01ARZ3NDEKTSV4RRFFQ69G5FAV";

    #[test]
    fn a_path_names_its_resource() {
        let session = format!("sessions/{ID}");
        for path in [
            format!("/api/v1/sessions/{ID}"),
            format!("/api/v1/sessions/{ID}/qr"),
            format!("/api/v1/sessions/{ID}:stop"),
            format!("/api/v1/admin/sessions/{ID}:backfill"),
            format!("/api/v1/sessions/{}", ID.to_lowercase()),
            format!("/api/v1/sessions/{}", ID.replacen('0', "%30", 1)),
        ] {
            assert_eq!(resource(&path).as_deref(), Some(session.as_str()), "{path}");
        }
        for path in ["k", "k:rotate", "%6b", "%6B:rotate"] {
            assert_eq!(
                resource(&format!("/api/v1/api-keys/{path}")).as_deref(),
                Some("api-keys/k"),
                "{path}"
            );
        }
        for path in ["sessions", "admin/sessions", "sessions/", "api-keys/", "api-keys/:rotate"] {
            assert_eq!(resource(&format!("/api/v1/{path}")), None, "{path}");
        }
        assert_eq!(resource("/healthz"), None);
    }

    #[test]
    fn what_is_no_id_names_no_resource() {
        let key = crate::api_key::mint([7; 32]);
        let encoded: String = key.bytes().fold(String::new(), |all, byte| format!("{all}%{byte:02X}"));
        let long = "x".repeat(MAX_KEY_ID_BYTES + 1);
        for text in
            [key.as_str(), &encoded, "wa_x", "eyJhbGciOiJFZERTQSJ9.e30.c2ln", &long, "%00", "%FF", "a%0Ab"]
        {
            for path in [text.to_owned(), format!("{text}:rotate"), format!("{text}/x")] {
                for collection in ["api-keys", "sessions", "webhooks"] {
                    assert_eq!(
                        resource(&format!("/api/v1/{collection}/{path}")),
                        None,
                        "{collection}/{path}"
                    );
                }
            }
        }
        assert_eq!(resource("/api/v1/sessions/no-such-thing"), None);
    }

    #[test]
    fn a_status_tells_the_outcome() {
        assert_eq!(Outcome::of(204), Outcome::Success);
        assert_eq!(Outcome::of(403), Outcome::Denied);
        for status in [302, 400, 401, 404, 409, 500, 503] {
            assert_eq!(Outcome::of(status), Outcome::Failure, "{status}");
            assert_eq!(Outcome::recorded(status, true), Outcome::Failure, "{status}");
        }
        assert_eq!(Outcome::recorded(404, false), Outcome::Success);
    }
}
