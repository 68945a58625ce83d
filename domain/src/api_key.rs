//! API keys: their shape, what is kept of them, what they allow, and the resource. What is kept has the layout of
//! better-auth's api-key plugin.
//!
//! A key of ours is `wa_`, 32 random letters, `_`, and six letters of checksum over all before: a typo or a
//! scanner's guess is noticed without asking the directory.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use crate::access::Capability;
use crate::checksum::{self, base62, checksum};
use crate::error::ApiError;

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

/// The `permissions` column that grants these capabilities and keeps what the key may do elsewhere: a frontend's
/// keys can name other resources than `gateway`.
#[must_use]
pub fn regranted(permissions: Option<&str>, capabilities: &[Capability]) -> String {
    let kept = permissions.and_then(|text| serde_json::from_str::<Map<String, Value>>(text).ok());
    let mut permissions = kept.unwrap_or_default();
    let names = Capability::ALL.into_iter().filter(|capability| capabilities.contains(capability));
    permissions.insert("gateway".to_owned(), json!(names.map(Capability::name).collect::<Vec<_>>()));
    Value::Object(permissions).to_string()
}

/// What every key of ours begins with.
pub const PREFIX: &str = "wa_";
/// 62^32 is more than 2^190.
const LETTERS: usize = 32;

/// A new key.
#[must_use]
pub fn mint(random: [u8; 32]) -> String {
    // Each half is far larger than 62^16, so that no letter is noticeably likelier than another.
    let (halves, _) = random.as_chunks::<16>();
    let letters: String = halves.iter().map(|half| base62(u128::from_be_bytes(*half), LETTERS / 2)).collect();
    let body = format!("{PREFIX}{letters}");
    format!("{body}_{}", checksum(&body))
}

/// What a key shows of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Our shape, and its checksum is right.
    OwnValid,
    /// Our shape, but it was never minted: the checksum is wrong.
    OwnDamaged,
    /// Another shape, such as that of a frontend's keys.
    Foreign,
}

/// The shape of a key.
#[must_use]
pub fn shape(key: &str) -> Shape {
    let is_letters = |text: &str, length: usize| {
        text.len() == length && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    let Some((body, sum)) = key.rsplit_once('_') else { return Shape::Foreign };
    let is_ours = body.strip_prefix(PREFIX).is_some_and(|letters| is_letters(letters, LETTERS))
        && is_letters(sum, checksum::LENGTH);
    match is_ours {
        false => Shape::Foreign,
        true if checksum(body) == sum => Shape::OwnValid,
        true => Shape::OwnDamaged,
    }
}

/// The beginning of a key, for people to tell their keys apart: what better-auth keeps of its own.
#[must_use]
pub fn start(key: &str) -> String {
    key.chars().take(6).collect()
}

/// The beginning of a key by which failures are counted. A stranger must not shut out a frontend's key with the little
/// of it that is shown; one of ours is looked up whatever is counted.
#[must_use]
pub fn counted_prefix(key: &str) -> String {
    match shape(key) {
        Shape::OwnValid | Shape::OwnDamaged => start(key),
        Shape::Foreign => key.chars().take(12).collect(),
    }
}

/// A key, as the API shows it: never its secret, nor the secret's hash.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApiKey {
    /// The key's id.
    pub id: String,
    /// The organization it belongs to.
    pub organization_id: String,
    /// A name for people; null for some that a frontend made.
    pub name: Option<String>,
    /// The beginning of the secret.
    pub start: Option<String>,
    /// What the secret begins with.
    pub prefix: Option<String>,
    /// What it may do.
    pub permissions: Vec<Capability>,
    /// Whether it works at all.
    pub enabled: bool,
    /// When it stops working, epoch milliseconds; null for never.
    pub expires_at: Option<u64>,
    /// When it was last used, epoch milliseconds, noted at most every ten minutes; null for not yet.
    pub last_used_at: Option<u64>,
    /// When it was made, epoch milliseconds.
    pub created_at: u64,
    /// When it last changed, epoch milliseconds.
    pub updated_at: u64,
    /// Until when the secret before the last rotation works, epoch milliseconds; null when it doesn't.
    pub previous_expires_at: Option<u64>,
}

/// A key with its secret: shown when it is made or rotated, and never again.
#[derive(Serialize, ToSchema)]
pub struct ApiKeyWithSecret {
    /// The key.
    #[serde(flatten)]
    pub api_key: ApiKey,
    /// The secret.
    pub key: String,
}

/// What `POST /api-keys` takes. A name or permissions that are missing are read as empty, and refused by name.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateApiKeyInputBody {
    /// A name for people, 1 to 100 characters.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 100, required = true)]
    pub name: String,
    /// What it may do: nothing that the caller may not.
    #[serde(default)]
    #[schema(min_items = 1, max_items = 4, required = true)]
    pub permissions: Vec<Capability>,
    /// Whether it works at once; it does when absent.
    pub enabled: Option<bool>,
    /// When it stops working, epoch milliseconds; never when absent.
    pub expires_at: Option<u64>,
}

/// What `PATCH /api-keys/{id}` takes: the fields to change.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UpdateApiKeyInputBody {
    /// A name for people, 1 to 100 characters.
    #[schema(min_length = 1, max_length = 100)]
    pub name: Option<String>,
    /// What it may do: nothing that the caller may not.
    #[schema(min_items = 1, max_items = 4)]
    pub permissions: Option<Vec<Capability>>,
    /// Whether it works at all.
    pub enabled: Option<bool>,
    /// When it stops working, epoch milliseconds; null for never.
    #[serde(default)]
    #[schema(value_type = Option<u64>)]
    pub expires_at: Expiry,
}

/// A change of when a key stops working.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Expiry {
    /// The field is absent: no change.
    #[default]
    Unchanged,
    /// `null`: it doesn't.
    Never,
    /// Epoch milliseconds.
    At(u64),
}

impl<'de> Deserialize<'de> for Expiry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::deserialize(deserializer).map(|at| at.map_or(Self::Never, Self::At))
    }
}

/// What `POST /api-keys/{id}:rotate` takes. It may be missing.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct RotateApiKeyInputBody {
    /// How long the secret that is replaced goes on working, in seconds, up to a week; a day when absent.
    #[schema(maximum = 604_800)]
    pub overlap_seconds: u32,
    /// Whether the secret before that one, if it still works, may stop at once; without it that is a conflict.
    pub end_previous: bool,
}

impl Default for RotateApiKeyInputBody {
    fn default() -> Self {
        Self { overlap_seconds: 86_400, end_previous: false }
    }
}

/// A week, in seconds.
const MAX_OVERLAP: u32 = 604_800;
/// The last moment a date can be (ECMA-262, "Time Values and Time Range").
const END_OF_TIME: u64 = 8_640_000_000_000_000;

impl CreateApiKeyInputBody {
    /// Checks the limits of every field.
    ///
    /// # Errors
    /// `validation_error` naming the first field that is out of them.
    pub fn validate(&self, now: u64) -> Result<(), ApiError> {
        check_name(&self.name)?;
        check_permissions(&self.permissions)?;
        self.expires_at.map_or(Ok(()), |at| check_expiry(at, now))
    }
}

impl UpdateApiKeyInputBody {
    /// Checks the limits of every field.
    ///
    /// # Errors
    /// `validation_error` naming the first field that is out of them.
    pub fn validate(&self, now: u64) -> Result<(), ApiError> {
        self.name.as_deref().map_or(Ok(()), check_name)?;
        self.permissions.as_deref().map_or(Ok(()), check_permissions)?;
        match self.expires_at {
            Expiry::At(at) => check_expiry(at, now),
            Expiry::Never | Expiry::Unchanged => Ok(()),
        }
    }

    /// Whether somebody may do more with the key afterwards than before. Switching it off and another name are
    /// always less.
    #[must_use]
    pub fn empowers(&self) -> bool {
        self.permissions.is_some() || self.enabled == Some(true) || self.expires_at != Expiry::Unchanged
    }
}

impl RotateApiKeyInputBody {
    /// Checks the limits of every field.
    ///
    /// # Errors
    /// `validation_error` naming the first field that is out of them.
    pub fn validate(&self) -> Result<(), ApiError> {
        if self.overlap_seconds <= MAX_OVERLAP {
            Ok(())
        } else {
            Err(ApiError::validation("overlapSeconds", "Must be 0 to 604800, which is a week."))
        }
    }
}

fn check_name(name: &str) -> Result<(), ApiError> {
    if (1..=100).contains(&name.chars().count()) && !name.chars().any(char::is_control) {
        Ok(())
    } else {
        Err(ApiError::validation("name", "Must be 1 to 100 characters, none of them a control character."))
    }
}

fn check_permissions(permissions: &[Capability]) -> Result<(), ApiError> {
    let once = |wanted: &Capability| permissions.iter().filter(|named| *named == wanted).count() == 1;
    if !permissions.is_empty() && permissions.iter().all(once) {
        Ok(())
    } else {
        Err(ApiError::validation("permissions", "Must name at least one, and none of them twice."))
    }
}

fn check_expiry(at: u64, now: u64) -> Result<(), ApiError> {
    if at > now && at <= END_OF_TIME {
        Ok(())
    } else {
        Err(ApiError::validation("expiresAt", "Must be in the future, in epoch milliseconds."))
    }
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

    #[test]
    fn other_resources_survive_a_change_of_permissions() {
        let read = [Capability::Read];
        for nothing in [None, Some(""), Some("null"), Some("[]"), Some("{")] {
            assert_eq!(regranted(nothing, &read), r#"{"gateway":["read"]}"#, "{nothing:?}");
        }
        let mixed = r#"{"files":["write"],"gateway":["manage"],"other":{"a":1}}"#;
        let all = [Capability::Events, Capability::Send];
        let regranted = regranted(Some(mixed), &all);
        let value: Value = serde_json::from_str(&regranted).unwrap();
        assert_eq!(
            value,
            json!({"files": ["write"], "gateway": ["send", "events"], "other": {"a": 1}}),
            "in the order of the capabilities"
        );
        assert_eq!(granted(Some(&regranted)), vec![Capability::Send, Capability::Events]);
    }

    /// Made with Python's `zlib.crc32` and a base62 of its own.
    const VECTORS: [&str; 3] = [
        "wa_00000000000000000000000000000000_2pnHq1",
        "wa_0123456789ABCDEFGHIJKLMNOPQRSTUV_1ruD0o",
        "wa_UVWXYZabcdefghijklmnopqrstuvwxyz_4UbIK8",
    ];

    #[test]
    fn our_shape_is_known_by_its_checksum() {
        for key in VECTORS {
            assert_eq!(shape(key), Shape::OwnValid, "{key}");
        }
        let key = VECTORS[1];
        for (position, letter) in key.char_indices().filter(|(position, _)| ![0, 1, 2, 35].contains(position))
        {
            for other in ['0', 'z', 'Q'].into_iter().filter(|other| *other != letter) {
                let mut damaged = key.to_owned();
                damaged.replace_range(position..=position, &other.to_string());
                assert_eq!(shape(&damaged), Shape::OwnDamaged, "{damaged}");
            }
        }
        // Two neighbours swapped: what fingers do.
        assert_eq!(shape("wa_1023456789ABCDEFGHIJKLMNOPQRSTUV_1ruD0o"), Shape::OwnDamaged);
    }

    #[test]
    fn other_shapes_are_foreign() {
        let better_auth = format!("wa_{}", "aZ".repeat(32));
        for key in [
            "",
            "_",
            "wa_",
            "wa__",
            better_auth.as_str(),
            "sk_0123456789ABCDEFGHIJKLMNOPQRSTUV_1ruD0o",
            "wa_0123456789ABCDEFGHIJKLMNOPQRSTU_1ruD0o",
            "wa_0123456789ABCDEFGHIJKLMNOPQRSTUV_1ruD0",
            "wa_0123456789ABCDEFGHIJKLMNOPQRSTUV_1ruD0o0",
            "wa_0123456789ABCDEFGHIJKLMNOPQRST-V_1ruD0o",
            "wa_0123456789ABCDEFGHIJKLMNOPQRSTÜ_1ruD0o",
            "wa_0123456789ABCDEFGHIJKLMNOPQRSTUV_ÄÄÄ",
            "wa_0123456789ABCDEFGHIJKLMNOPQRSTUV",
        ] {
            assert_eq!(shape(key), Shape::Foreign, "{key}");
        }
    }

    #[test]
    fn a_minted_key_is_all_of_its_randomness() {
        let random = std::array::from_fn(|index| u8::try_from(index).unwrap());
        let key = mint(random);
        assert!(key.starts_with("wa_7RiJxkEgOGusQGwpBGO3cQWJhXqJNbv5_"), "{key}");
        assert_eq!(shape(&key), Shape::OwnValid);
        assert_eq!(start(&key), "wa_7Ri");
        assert_eq!(counted_prefix(&key), "wa_7Ri");
        assert_eq!(counted_prefix("sk_0123456789"), "sk_012345678");
        assert_eq!(counted_prefix("kürzer"), "kürzer");
        assert!(mint([0; 32]) == VECTORS[0] && shape(&mint([255; 32])) == Shape::OwnValid);
        for position in 0..32 {
            let mut other = random;
            other[position] ^= 1;
            assert_ne!(mint(other), key, "byte {position}");
        }
    }

    #[test]
    fn limits_name_their_field() {
        let field = |body: &str| {
            let checked = serde_json::from_str::<UpdateApiKeyInputBody>(body).unwrap().validate(1_000);
            checked.err().map(|error| error.error.details["field"].as_str().unwrap().to_owned())
        };
        for fine in [
            "{}",
            r#"{"expiresAt":null}"#,
            r#"{"expiresAt":1001}"#,
            r#"{"permissions":["read","send","manage","events"]}"#,
        ] {
            assert_eq!(field(fine), None, "{fine}");
        }
        assert_eq!(field(r#"{"name":""}"#), Some("name".to_owned()));
        assert_eq!(field(r#"{"name":"a\u0000b"}"#), Some("name".to_owned()));
        assert_eq!(field(&format!(r#"{{"name":"{}"}}"#, "ü".repeat(100))), None);
        assert_eq!(field(&format!(r#"{{"name":"{}"}}"#, "ü".repeat(101))), Some("name".to_owned()));
        assert_eq!(field(r#"{"permissions":[]}"#), Some("permissions".to_owned()));
        assert_eq!(field(r#"{"permissions":["read","read"]}"#), Some("permissions".to_owned()));
        assert_eq!(field(r#"{"expiresAt":1000}"#), Some("expiresAt".to_owned()));
        assert_eq!(field(r#"{"expiresAt":8640000000000001}"#), Some("expiresAt".to_owned()));
        for (seconds, is_fine) in [(0, true), (604_800, true), (604_801, false)] {
            let body = RotateApiKeyInputBody { overlap_seconds: seconds, end_previous: false };
            assert_eq!(body.validate().is_ok(), is_fine, "{seconds}");
        }
    }

    #[test]
    fn an_update_tells_null_from_absent() {
        let expiry = |body: &str| serde_json::from_str::<UpdateApiKeyInputBody>(body).unwrap().expires_at;
        assert_eq!(expiry("{}"), Expiry::Unchanged);
        assert_eq!(expiry(r#"{"expiresAt":null}"#), Expiry::Never);
        assert_eq!(expiry(r#"{"expiresAt":5}"#), Expiry::At(5));
        assert!(serde_json::from_str::<UpdateApiKeyInputBody>(r#"{"expiresAt":"5"}"#).is_err());
        assert!(serde_json::from_str::<UpdateApiKeyInputBody>(r#"{"permissions":["fly"]}"#).is_err());
        assert!(serde_json::from_str::<RotateApiKeyInputBody>(r#"{"overlap":5}"#).is_err());
    }
}
