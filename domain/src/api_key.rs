//! API keys: what is kept of them, and what they allow. The layout is better-auth's api-key plugin's.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;
use sha2::{Digest, Sha256};

/// What an operation needs and a caller may have (the contract's "Who calls").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capability {
    /// Reading chats, contacts, messages.
    Read,
    /// Sending and changing things on WhatsApp.
    Send,
    /// Sessions, webhooks, keys.
    Manage,
    /// The event log and its streams.
    Events,
}

impl Capability {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Read, Self::Send, Self::Manage, Self::Events];

    /// The capability's name in a key's permissions and in `operations.json`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Send => "send",
            Self::Manage => "manage",
            Self::Events => "events",
        }
    }
}

/// What the store keeps of a key: `base64url(SHA-256(key))`, unpadded.
#[must_use]
pub fn hash(key: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(key.as_bytes()))
}

/// A key no longer than this is worth a look-up.
pub const MAX_KEY_BYTES: usize = 512;

/// The capabilities a key's `permissions` column grants: `{"gateway":["read", …]}`. What can't be read grants
/// nothing.
#[must_use]
pub fn granted(permissions: Option<&str>) -> Vec<Capability> {
    #[derive(Deserialize)]
    struct Permissions {
        #[serde(default)]
        gateway: Vec<String>,
    }
    let Some(Ok(permissions)) = permissions.map(serde_json::from_str::<Permissions>) else {
        return Vec::new();
    };
    Capability::ALL
        .into_iter()
        .filter(|capability| permissions.gateway.iter().any(|name| name == capability.name()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_unpadded_base64url_of_sha256() {
        // SHA-256("abc"), FIPS 180-2 appendix B.1, in base64url.
        assert_eq!(hash("abc"), "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0");
    }

    #[test]
    fn permissions_that_cannot_be_read_grant_nothing() {
        for damaged in [
            None,
            Some(""),
            Some("null"),
            Some("[]"),
            Some("{\"gateway\":\"read\"}"),
            Some("{\"other\":[\"read\"]}"),
        ] {
            assert_eq!(granted(damaged), Vec::new(), "{damaged:?}");
        }
        assert_eq!(
            granted(Some("{\"gateway\":[\"events\",\"fly\",\"read\"]}")),
            vec![Capability::Read, Capability::Events]
        );
    }
}
