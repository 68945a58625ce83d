//! Headers of an owner's choice. They can't be what the protocol lives by, nor what a receiver believes because the
//! gateway says it.

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::error::ApiError;

const MOST: usize = 20;
const MAX_NAME_BYTES: usize = 64;
const MAX_VALUE_BYTES: usize = 1_024;

/// The protocol's (RFC 9110, 9112; `fetch` sets some of them itself), and what the body is.
const TAKEN: [&str; 16] = [
    "host",
    "connection",
    "keep-alive",
    "upgrade",
    "te",
    "trailer",
    "transfer-encoding",
    "expect",
    "via",
    "date",
    "http2-settings",
    "content-type",
    "content-length",
    "content-encoding",
    "content-range",
    "user-agent",
];
/// Proxies', Cloudflare's, browsers', and ours.
const TAKEN_BEGINNINGS: [&str; 5] = ["proxy-", "cf-", "sec-", "webhook-", "x-webhook-"];

/// Names and values.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
pub struct CustomHeaders(BTreeMap<String, String>);

impl CustomHeaders {
    /// Checks them.
    ///
    /// # Errors
    /// `validation_error` with what is wrong.
    pub fn checked(self) -> Result<Self, ApiError> {
        let wrong = |message: String| Err(ApiError::validation("customHeaders", message));
        if self.0.len() > MOST {
            return wrong(format!("Must be {MOST} at most."));
        }
        let mut seen = HashSet::new();
        for (name, value) in &self.0 {
            if !is_name(name) {
                return wrong(format!(
                    "A name must be 1 to {MAX_NAME_BYTES} letters, digits or hyphens and the like."
                ));
            }
            let folded = name.to_ascii_lowercase();
            if TAKEN.contains(&folded.as_str())
                || TAKEN_BEGINNINGS.iter().any(|beginning| folded.starts_with(beginning))
            {
                return wrong(format!("{name} is the protocol's or the gateway's own."));
            }
            if !is_value(value) {
                return wrong(format!(
                    "{name} must be visible ASCII, with spaces inside, and {MAX_VALUE_BYTES} characters at most."
                ));
            }
            if !seen.insert(folded) {
                return wrong(format!("{name} is there twice."));
            }
        }
        Ok(self)
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// A token (RFC 9110, 5.6.2).
fn is_name(name: &str) -> bool {
    (1..=MAX_NAME_BYTES).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// Spaces at the ends would be lost on the way.
fn is_value(value: &str) -> bool {
    value.len() <= MAX_VALUE_BYTES
        && value.bytes().all(|byte| (0x20..=0x7e).contains(&byte))
        && value.trim_matches(' ').len() == value.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, &str)]) -> Result<CustomHeaders, ApiError> {
        let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        CustomHeaders(pairs.collect()).checked()
    }

    #[test]
    fn plain_headers_are_taken() {
        let name = "x".repeat(64);
        let value = "v".repeat(1_024);
        for (name, value) in [
            ("Authorization", "Bearer abc.def"),
            ("X-Tenant", "a b"),
            ("x_y.z~", "!\"#"),
            ("X-Empty", ""),
            ("Accept", "*/*"),
            ("X-Web", "hook"),
            (name.as_str(), value.as_str()),
        ] {
            assert!(of(&[(name, value)]).is_ok(), "{name}");
        }
    }

    #[test]
    fn the_protocols_and_the_gateways_own_are_refused_in_any_case() {
        for name in [
            "Host",
            "hOST",
            "Content-Length",
            "content-type",
            "Content-Encoding",
            "Transfer-Encoding",
            "Connection",
            "Keep-Alive",
            "Upgrade",
            "TE",
            "Trailer",
            "Expect",
            "User-Agent",
            "Proxy-Authorization",
            "Proxy-Connection",
            "CF-Connecting-IP",
            "cf-worker",
            "Sec-Fetch-Mode",
            "webhook-id",
            "Webhook-Signature",
            "WEBHOOK-TIMESTAMP",
            "X-Webhook-Hmac",
            "x-webhook-anything",
        ] {
            assert!(of(&[(name, "x")]).is_err(), "{name}");
        }
    }

    #[test]
    fn what_is_no_header_is_refused() {
        let (long_name, long_value) = ("x".repeat(65), "v".repeat(1_025));
        for (name, value) in [
            ("", "x"),
            ("X A", "x"),
            ("X:A", "x"),
            ("X-Ä", "x"),
            ("X\n", "x"),
            (long_name.as_str(), "x"),
            ("X-A", "a\r\nX-B: c"),
            ("X-A", "a\nb"),
            ("X-A", "a\tb"),
            ("X-A", "a\0"),
            ("X-A", "ä"),
            ("X-A", " a"),
            ("X-A", "a "),
            ("X-A", " "),
            ("X-A", long_value.as_str()),
        ] {
            assert!(of(&[(name, value)]).is_err(), "{name:?}: {value:?}");
        }
        assert!(of(&[("X-A", "1"), ("x-a", "2")]).is_err());
        let many: Vec<String> = (0..21).map(|number| format!("X-{number}")).collect();
        let pairs: Vec<(&str, &str)> = many.iter().map(|name| (name.as_str(), "x")).collect();
        assert!(of(&pairs).is_err());
        assert!(of(&pairs[..20]).is_ok());
    }
}
