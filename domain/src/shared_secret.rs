//! Secrets that are configured and shown as they are, compared in constant time.

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// Whether a shown secret is the configured one. How long it takes tells neither how much of it is right nor how long
/// the right one is: digests are compared, and all of each.
#[must_use]
pub fn is_same(shown: &str, configured: &str) -> bool {
    let digest = |text: &str| Sha256::digest(text.as_bytes());
    digest(shown).as_slice().ct_eq(digest(configured).as_slice()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_very_same_is_the_same() {
        assert!(is_same("secret", "secret"));
        for shown in ["", "Secret", "secret ", "secre", "secrets"] {
            assert!(!is_same(shown, "secret"), "{shown:?}");
        }
    }
}
