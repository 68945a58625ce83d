//! The ids of the gateway. Time and randomness are arguments: nothing here reads a clock.

use ulid::Ulid;

/// Mints a ULID: 48 bits of time, 80 bits of randomness (the ULID specification).
#[must_use]
pub fn mint(now_ms: u64, random: [u8; 10]) -> String {
    let random = random.iter().fold(0_u128, |sum, byte| (sum << 8) | u128::from(*byte));
    Ulid::from_parts(now_ms, random).to_string()
}

/// The canonical form of a ULID a caller named, or `None` when it is not one. Crockford's base32 is
/// case-insensitive; ours are upper-case.
#[must_use]
pub fn parse(text: &str) -> Option<String> {
    if text.len() != 26 {
        return None;
    }
    Ulid::from_string(text).ok().map(|id| id.to_string())
}

/// A caller's `X-Request-Id`: visible ASCII, 1 to 128 characters.
#[must_use]
pub fn is_request_id(text: &str) -> bool {
    (1..=128).contains(&text.len()) && text.bytes().all(|byte| (0x21..=0x7e).contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minted_id_parses_to_itself_and_orders_by_time() {
        let earlier = mint(1_000, [255; 10]);
        let later = mint(1_001, [0; 10]);
        assert!(earlier < later);
        assert_eq!(parse(&earlier.to_lowercase()), Some(earlier));
    }

    #[test]
    fn absurd_ids_are_no_ids() {
        for absurd in [
            "",
            "x",
            "01ARZ3NDEKTSV4RRFFQ69G5FA",
            "../../etc/passwd0000000000",
            "ÄÄÄÄÄÄÄÄÄÄÄÄÄ",
            &"0".repeat(27),
        ] {
            assert_eq!(parse(absurd), None, "{absurd}");
        }
    }

    #[test]
    fn request_ids_are_visible_ascii() {
        assert!(is_request_id("a-1_Z~!"));
        assert!(!is_request_id(""));
        assert!(!is_request_id("a b"));
        assert!(!is_request_id("a\u{7f}"));
        assert!(!is_request_id(&"x".repeat(129)));
    }
}
