//! What deliveries are signed with, in the notations of Standard Webhooks.

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};

use crate::error::ApiError;

/// What a secret begins with whose key is written in base64.
const PREFIX: &str = "whsec_";

/// A webhook's secret. It is shown once, on purpose, and never in a log.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(…)")
    }
}

impl Secret {
    /// A new one.
    #[must_use]
    pub fn mint(random: [u8; 32]) -> Self {
        Self(format!("{PREFIX}{}", STANDARD.encode(random)))
    }

    /// One of a caller's choice.
    ///
    /// # Errors
    /// `validation_error`; what is wrong with the secret is not repeated.
    pub fn parse(text: String) -> Result<Self, ApiError> {
        let is_one = match text.strip_prefix(PREFIX) {
            Some(key) => STANDARD.decode(key).is_ok_and(|key| (24..=64).contains(&key.len())),
            None => {
                (16..=255).contains(&text.len()) && text.bytes().all(|byte| (0x21..=0x7e).contains(&byte))
            }
        };
        if is_one {
            return Ok(Self(text));
        }
        let message =
            "Must be whsec_ and the base64 of 24 to 64 bytes, or 16 to 255 visible ASCII characters.";
        Err(ApiError::validation("secret", message))
    }

    /// One that was stored.
    pub(super) fn stored(text: String) -> Self {
        Self(text)
    }

    /// As its owner knows it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// The key of a Standard Webhooks signature.
    #[must_use]
    pub fn key(&self) -> Vec<u8> {
        let encoded = self.0.strip_prefix(PREFIX).and_then(|key| STANDARD.decode(key).ok());
        encoded.unwrap_or_else(|| self.0.clone().into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Secret, ApiError> {
        Secret::parse(text.to_owned())
    }

    #[test]
    fn a_minted_one_is_one_of_the_standards() {
        let secret = Secret::mint([7; 32]);
        assert_eq!(secret.reveal(), "whsec_BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=");
        assert_eq!(secret.key(), [7; 32]);
        assert_eq!(parse(secret.reveal()), Ok(secret));
    }

    #[test]
    fn one_of_a_callers_choice_is_base64_or_as_it_is() {
        assert_eq!(parse("0123456789abcdef").unwrap().key(), b"0123456789abcdef");
        assert_eq!(parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap().key().len(), 24);
        let of = |length: usize| format!("whsec_{}", STANDARD.encode(vec![1; length]));
        for (length, fine) in [(23, false), (24, true), (64, true), (65, false), (0, false)] {
            assert_eq!(parse(&of(length)).is_ok(), fine, "{length}");
        }
        let (longest, too_long) = ("x".repeat(255), "x".repeat(256));
        assert!(parse(&longest).is_ok() && parse(&too_long).is_err());
        for wrong in [
            "",
            "0123456789abcde",
            "0123456789abcdef 0123456789abcdef",
            "0123456789abcdeä",
            "0123456789abcde\n",
            "whsec_",
            "whsec_0123456789abcdef",
            "whsec_not base64 at all!!",
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwA",
        ] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn it_does_not_print() {
        assert_eq!(format!("{:?}", Secret::mint([7; 32])), "Secret(…)");
        assert!(!parse("a secret with spaces").unwrap_err().body().contains("spaces"));
    }
}
