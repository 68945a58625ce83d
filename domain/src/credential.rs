//! What looks like a credential: people paste secrets where ids belong, and a log must not keep them.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use crate::api_key::{PREFIX, Shape, shape};
use crate::jwt;

/// Stands for what was left out of a log.
const MASK: &str = "***";

/// Whether a text has something in it that could open a door: a key of ours, a frontend's key, a login.
#[must_use]
pub fn is_in(text: &str) -> bool {
    let is_of_a_word =
        |letter: char| letter.is_alphanumeric() || letter == '_' || letter == '-' || letter == '.';
    text.split(|letter| !is_of_a_word(letter))
        .any(|word| word.starts_with(PREFIX) || shape(word) != Shape::Foreign || jwt::looks_like_one(word))
}

/// A path for a log: segments with a credential in them are masked, also where it is percent-encoded.
#[must_use]
pub fn masked(path: &str) -> Cow<'_, str> {
    let is_secret = |segment: &str| is_in(segment) || is_in(&decoded(segment));
    if !path.split('/').any(is_secret) {
        return Cow::Borrowed(path);
    }
    let segments = path.split('/').map(|segment| if is_secret(segment) { MASK } else { segment });
    Cow::Owned(segments.collect::<Vec<_>>().join("/"))
}

/// A path's segment as its caller meant it.
#[must_use]
pub fn decoded(segment: &str) -> Cow<'_, str> {
    percent_decode_str(segment).decode_utf8_lossy()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: &str = "wa_0123456789ABCDEFGHIJKLMNOPQRSTUV_1ruD0o";

    #[test]
    fn credentials_are_seen_and_ids_are_none() {
        for secret in [
            OURS,
            "wa_anything",
            "wa_",
            "Bearer wa_anything",
            "\"wa_anything\"",
            "key=wa_anything",
            "eyJhbGciOiJFZERTQSJ9.e30.c2ln",
            "eyJ",
            "a.b.c",
        ] {
            assert!(is_in(secret), "{secret}");
        }
        for id in ["", "01ARZ3NDEKTSV4RRFFQ69G5FAV", "k", "dGhpcyBpcyBhbiBpZA", "a.b", "iwa_x", "💥", "…"]
        {
            assert!(!is_in(id), "{id}");
        }
    }

    #[test]
    fn a_masked_path_keeps_everything_but_its_secrets() {
        for path in
            ["/api/v1/sessions/01ARZ3NDEKTSV4RRFFQ69G5FAV:start", "/", "", "/%zz/%", "/api/v1/api-keys/%66"]
        {
            assert_eq!(masked(path), path);
        }
        let encoded: String = OURS.bytes().fold(String::new(), |all, byte| format!("{all}%{byte:02x}"));
        for secret in [OURS, &encoded, &OURS.replace("wa_", "wa%5F"), "eyJhbGciOiJFZERTQSJ9.e30.c2ln"] {
            assert_eq!(masked(&format!("/api/v1/api-keys/{secret}:rotate")), "/api/v1/api-keys/***");
            assert_eq!(masked(&format!("/api/v1/sessions/{secret}/qr")), "/api/v1/sessions/***/qr");
        }
    }
}
