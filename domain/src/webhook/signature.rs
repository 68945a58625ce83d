//! The headers by which a receiver knows a delivery: those of Standard Webhooks 1.0, and those that receivers of this
//! API have always looked at.

use std::fmt::Write;

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Sha256, Sha512};

use super::Secret;

/// The headers of one attempt. `secrets` are the newest first: after a rotation two sign for a while. A receiver that
/// looks at `X-Webhook-Hmac` gets the newest one's only, for there is no place for two.
#[must_use]
pub fn headers(
    secrets: &[Secret],
    id: &str,
    request_id: &str,
    now: u64,
    body: &str,
) -> Vec<(&'static str, String)> {
    let seconds = now / 1_000;
    let signatures: Vec<String> =
        secrets.iter().map(|secret| signature(&secret.key(), id, seconds, body)).collect();
    let mut headers = vec![
        ("webhook-id", id.to_owned()),
        ("webhook-timestamp", seconds.to_string()),
        ("webhook-signature", signatures.join(" ")),
        ("x-webhook-request-id", request_id.to_owned()),
        ("x-webhook-timestamp", now.to_string()),
    ];
    if let Some(newest) = secrets.first() {
        headers.push(("x-webhook-hmac", hmac(newest, body)));
        headers.push(("x-webhook-hmac-algorithm", "sha512".to_owned()));
    }
    headers
}

/// Standard Webhooks 1.0, "Signature scheme", symmetric.
fn signature(key: &[u8], id: &str, seconds: u64, body: &str) -> String {
    // HMAC takes a key of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return String::new() };
    mac.update(format!("{id}.{seconds}.{body}").as_bytes());
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

fn hmac(secret: &Secret, body: &str) -> String {
    let Ok(mut mac) = Hmac::<Sha512>::new_from_slice(secret.reveal().as_bytes()) else {
        return String::new();
    };
    mac.update(body.as_bytes());
    mac.finalize().into_bytes().iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const BODY: &str = r#"{"test": 2432232314}"#;

    fn secret(text: &str) -> Secret {
        Secret::parse(text.to_owned()).unwrap()
    }

    fn of(secrets: &[Secret]) -> Vec<(&'static str, String)> {
        headers(secrets, ID, "request", 1_614_265_330_123, BODY)
    }

    /// The vector of the Standard Webhooks libraries' own tests.
    #[test]
    fn the_signature_is_the_standards() {
        let headers = of(&[secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")]);
        assert_eq!(
            headers.get(..5),
            Some(
                &[
                    ("webhook-id", ID.to_owned()),
                    ("webhook-timestamp", "1614265330".to_owned()),
                    ("webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=".to_owned()),
                    ("x-webhook-request-id", "request".to_owned()),
                    ("x-webhook-timestamp", "1614265330123".to_owned()),
                ][..]
            )
        );
    }

    /// Made with Python's `hmac`.
    const HMAC_OF_VECTOR: &str = "29b735f30694bb57c767b097fc984006299ba0a13640bf3870df6c36d865575a5cc93a1e505c4456e0d409740e0cfc6d2209bd017b23d911ce2d705618cdb84f";

    #[test]
    fn the_older_header_is_hex_over_the_body_alone_with_the_secret_as_it_was_given() {
        let headers = of(&[secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")]);
        assert_eq!(headers.get(5), Some(&("x-webhook-hmac", HMAC_OF_VECTOR.to_owned())));
        assert_eq!(headers.get(6), Some(&("x-webhook-hmac-algorithm", "sha512".to_owned())));
    }

    #[test]
    fn after_a_rotation_both_sign_the_newest_first() {
        let (newest, before) = (secret("0123456789abcdef"), secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"));
        let signature = of(&[newest.clone(), before]).remove(2).1;
        let both: Vec<&str> = signature.split(' ').collect();
        assert_eq!(both.len(), 2);
        assert_eq!(both.first().copied(), Some(of(&[newest]).remove(2).1.as_str()));
        assert_eq!(both.last().copied(), Some("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="));
    }
}
