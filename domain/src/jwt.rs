//! Login JWTs, read strictly: what a token says before its signature is checked, and whether what it says holds.
//!
//! Nothing is believed until the signature is verified, which needs the runtime's cryptography and happens in the
//! Worker; this module decides with which key and algorithm, and does everything else. The algorithm is the
//! key's, never the token's (RFC 8725, 3.1); a header that brings its own key is refused (RFC 8725, 3.10).

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::strict_json;

/// A longer token is refused before anything of it is read.
pub const MAX_TOKEN_BYTES: usize = 8 * 1024;
/// How far clocks may differ, in seconds.
pub const LEEWAY_SECONDS: u64 = 60;

/// Why a token opens no door. For the log of the operator only: callers get one and the same answer.
pub type Refused = &'static str;

/// A frontend whose tokens are accepted.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Issuer {
    /// The `iss` of its tokens.
    pub issuer: String,
    /// The `aud` its tokens must have.
    pub audience: String,
    /// Where its public keys are.
    pub jwks_url: String,
}

/// Reads `AUTH_ISSUERS`: a JSON array of `{issuer, audience, jwksUrl}`.
///
/// # Errors
/// With what is wrong, for the operator.
pub fn issuers(text: &str) -> Result<Vec<Issuer>, String> {
    let issuers: Vec<Issuer> = serde_json::from_str(text)
        .map_err(|error| format!("AUTH_ISSUERS is not a list of issuers: {error}"))?;
    for (place, issuer) in issuers.iter().enumerate() {
        if issuer.issuer.is_empty() || issuer.audience.is_empty() {
            return Err(format!("AUTH_ISSUERS[{place}]: issuer and audience must not be empty"));
        }
        let local = ["http://127.0.0.1", "http://localhost", "http://[::1]"];
        let is_local = local
            .iter()
            .any(|host| issuer.jwks_url.strip_prefix(host).is_some_and(|rest| rest.starts_with([':', '/'])));
        if !issuer.jwks_url.starts_with("https://") && !is_local {
            return Err(format!("AUTH_ISSUERS[{place}]: jwksUrl must be https (http for this machine only)"));
        }
        if issuers.iter().take(place).any(|other| other.issuer == issuer.issuer) {
            return Err(format!("AUTH_ISSUERS[{place}]: the issuer is listed twice"));
        }
    }
    Ok(issuers)
}

/// The signature algorithms that are accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// Ed25519 (RFC 8037).
    EdDsa,
    /// ECDSA over P-256 with SHA-256 (RFC 7518).
    Es256,
    /// RSASSA-PKCS1-v1_5 with SHA-256, keys of 2048 bits at least (RFC 7518).
    Rs256,
}

impl Algorithm {
    /// The name in a token's header.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::EdDsa => "EdDSA",
            Self::Es256 => "ES256",
            Self::Rs256 => "RS256",
        }
    }
}

/// A public key of a frontend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Its name.
    pub kid: String,
    /// What it verifies, decided by the key alone.
    pub algorithm: Algorithm,
    /// The key, reduced to what verification needs.
    pub jwk: Value,
}

/// Reads a JWK set (RFC 7517). Keys that can't verify a login are left out: without a name, for encryption,
/// symmetric, of an unknown kind, or too short. So is a private key: what is published is not secret.
///
/// # Errors
/// When it is no JWK set.
pub fn keys(text: &str) -> Result<Vec<Key>, Refused> {
    #[derive(Deserialize)]
    struct Set {
        keys: Vec<Map<String, Value>>,
    }
    let set: Set = serde_json::from_str(text).map_err(|_| "not a JWK set")?;
    Ok(set.keys.iter().filter_map(key).collect())
}

fn key(jwk: &Map<String, Value>) -> Option<Key> {
    let text = |name: &str| jwk.get(name).and_then(Value::as_str);
    let kid = text("kid").filter(|kid| !kid.is_empty() && kid.len() <= 256)?;
    if text("use").is_some_and(|purpose| purpose != "sig") || jwk.contains_key("d") {
        return None;
    }
    if let Some(operations) = jwk.get("key_ops") {
        operations.as_array()?.iter().find(|operation| operation.as_str() == Some("verify"))?;
    }
    let (algorithm, members): (_, &[&str]) = match (text("kty")?, text("crv")) {
        ("OKP", Some("Ed25519")) => (Algorithm::EdDsa, &["kty", "crv", "x"]),
        ("EC", Some("P-256")) => (Algorithm::Es256, &["kty", "crv", "x", "y"]),
        ("RSA", None) => (Algorithm::Rs256, &["kty", "n", "e"]),
        _ => return None,
    };
    if text("alg").is_some_and(|alg| alg != algorithm.name()) {
        return None;
    }
    let bytes = |name: &str| text(name).and_then(|value| URL_SAFE_NO_PAD.decode(value).ok());
    let sound = match algorithm {
        Algorithm::EdDsa => bytes("x")?.len() == 32,
        Algorithm::Es256 => bytes("x")?.len() == 32 && bytes("y")?.len() == 32,
        Algorithm::Rs256 => (256..=1024).contains(&bytes("n")?.len()) && bytes("e").is_some(),
    };
    let reduced: Map<String, Value> =
        members.iter().filter_map(|name| Some(((*name).to_owned(), jwk.get(*name)?.clone()))).collect();
    sound.then(|| Key { kid: kid.to_owned(), algorithm, jwk: Value::Object(reduced) })
}

/// A token that has been read but not verified.
#[derive(Clone, Debug)]
pub struct Token {
    /// The algorithm it claims; only ever compared with its key's.
    pub algorithm: Algorithm,
    /// The key it names.
    pub kid: String,
    /// The issuer it names.
    pub issuer: String,
    /// The bytes that are signed.
    pub signed: Vec<u8>,
    /// The signature.
    pub signature: Vec<u8>,
    claims: Map<String, Value>,
}

/// Whether a credential has the shape of a JWT rather than of an API key.
#[must_use]
pub fn looks_like_one(credential: &str) -> bool {
    credential.starts_with("eyJ") || credential.bytes().filter(|byte| *byte == b'.').count() == 2
}

/// Reads a token.
///
/// # Errors
/// For everything that is not a compact JWS with unambiguous JSON and an algorithm and header we accept.
pub fn read(token: &str) -> Result<Token, Refused> {
    if token.len() > MAX_TOKEN_BYTES {
        return Err("too long");
    }
    let mut parts = token.split('.');
    let (Some(header_part), Some(claims_part), Some(signature_part), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err("not three parts");
    };
    let header = object(header_part)?;
    let foreign = ["jku", "jwk", "x5u", "x5c", "x5t", "x5t#S256", "crit", "b64", "zip", "cty"];
    if header.keys().any(|name| foreign.contains(&name.as_str())) {
        return Err("a header that brings its own rules");
    }
    let algorithm = match header.get("alg").and_then(Value::as_str) {
        Some("EdDSA") => Algorithm::EdDsa,
        Some("ES256") => Algorithm::Es256,
        Some("RS256") => Algorithm::Rs256,
        _ => return Err("an algorithm that is not accepted"),
    };
    match header.get("typ").map(Value::as_str) {
        None => {}
        Some(Some(kind)) if ["jwt", "at+jwt"].contains(&kind.to_ascii_lowercase().as_str()) => {}
        Some(_) => return Err("not a JWT"),
    }
    let kid = header.get("kid").and_then(Value::as_str).filter(|kid| !kid.is_empty() && kid.len() <= 256);
    let kid = kid.ok_or("no kid")?.to_owned();
    let claims = object(claims_part)?;
    let issuer = claims.get("iss").and_then(Value::as_str).ok_or("no issuer")?.to_owned();
    let signature =
        URL_SAFE_NO_PAD.decode(signature_part).map_err(|_| "a signature that is not base64url")?;
    let sound = match algorithm {
        Algorithm::EdDsa | Algorithm::Es256 => signature.len() == 64,
        Algorithm::Rs256 => (256..=1024).contains(&signature.len()),
    };
    if !sound {
        return Err("a signature of the wrong length");
    }
    let signed = format!("{header_part}.{claims_part}").into_bytes();
    Ok(Token { algorithm, kid, issuer, signed, signature, claims })
}

fn object(part: &str) -> Result<Map<String, Value>, Refused> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| "not base64url")?;
    let text = std::str::from_utf8(&bytes).map_err(|_| "not UTF-8")?;
    strict_json::object(text).map_err(|_| "not an unambiguous JSON object")
}

/// A person, as a verified token describes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// The user's id.
    pub user: String,
    /// The organization they act for, if they chose one.
    pub organization: Option<String>,
    /// Their role in it.
    pub role: Option<Role>,
    /// Whether they run the platform.
    pub is_super_admin: bool,
    /// When the login ends, epoch seconds.
    pub until: u64,
}

/// A role in an organization.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Made it.
    Owner,
    /// Runs it.
    Admin,
    /// Works in it.
    Member,
}

impl Token {
    /// Checks what a token says, after its signature was verified.
    ///
    /// # Errors
    /// When it is another frontend's, for another audience, not valid at `now` (epoch seconds), or says nothing
    /// about a person.
    pub fn person(&self, issuer: &Issuer, now: u64) -> Result<Person, Refused> {
        if self.issuer != issuer.issuer {
            return Err("another issuer");
        }
        let for_us = match self.claims.get("aud") {
            Some(Value::String(audience)) => *audience == issuer.audience,
            Some(Value::Array(audiences)) => {
                audiences.iter().any(|audience| audience.as_str() == Some(&issuer.audience))
            }
            _ => false,
        };
        if !for_us {
            return Err("another audience");
        }
        let expires = self.moment("exp")?.ok_or("never expires")?;
        if now >= expires.saturating_add(LEEWAY_SECONDS) {
            return Err("expired");
        }
        if self.moment("nbf")?.is_some_and(|begins| now.saturating_add(LEEWAY_SECONDS) < begins) {
            return Err("not valid yet");
        }
        if self.moment("iat")?.is_some_and(|issued| now.saturating_add(LEEWAY_SECONDS) < issued) {
            return Err("issued in the future");
        }
        let user = self.text("sub")?.ok_or("nobody")?.to_owned();
        let organization = self.text("activeOrganizationId")?.map(str::to_owned);
        let role = match self.text("orgRole")? {
            Some("owner") => Some(Role::Owner),
            Some("admin") => Some(Role::Admin),
            Some("member") => Some(Role::Member),
            _ => None,
        };
        let is_super_admin = self.text("role")? == Some("super_admin");
        Ok(Person { user, organization, role, is_super_admin, until: expires.saturating_add(LEEWAY_SECONDS) })
    }

    /// A `NumericDate`: seconds, a fraction allowed (RFC 7519, 2).
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked: finite, 0 to 2^53")]
    fn moment(&self, name: &str) -> Result<Option<u64>, Refused> {
        match self.claims.get(name) {
            None => Ok(None),
            Some(value) => match value.as_f64() {
                Some(seconds) if (0.0..=9_007_199_254_740_992.0).contains(&seconds) => {
                    Ok(Some(seconds as u64))
                }
                _ => Err("a time that is none"),
            },
        }
    }

    fn text(&self, name: &str) -> Result<Option<&str>, Refused> {
        match self.claims.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if !text.is_empty() && text.len() <= 255 => Ok(Some(text)),
            Some(_) => Err("a claim of the wrong kind"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const NOW: u64 = 1_700_000_000;

    fn issuer() -> Issuer {
        Issuer {
            issuer: "https://app".into(),
            audience: "gateway".into(),
            jwks_url: "https://app/jwks".into(),
        }
    }

    fn part(json: &str) -> String {
        URL_SAFE_NO_PAD.encode(json)
    }

    fn token(header: &str, claims: &str) -> String {
        format!("{}.{}.{}", part(header), part(claims), URL_SAFE_NO_PAD.encode([7; 64]))
    }

    const HEADER: &str = r#"{"alg":"EdDSA","kid":"k1"}"#;

    fn claims(change: impl FnOnce(&mut Map<String, Value>)) -> String {
        let mut claims = json!({"iss": "https://app", "aud": "gateway", "sub": "user", "exp": NOW + 600,
            "nbf": NOW - 1, "activeOrganizationId": "org", "orgRole": "admin"});
        change(claims.as_object_mut().unwrap());
        claims.to_string()
    }

    fn person(claims: &str) -> Result<Person, Refused> {
        read(&token(HEADER, claims))?.person(&issuer(), NOW)
    }

    #[test]
    fn a_good_token_tells_of_a_person() {
        assert_eq!(
            person(&claims(|_| {})),
            Ok(Person {
                user: "user".into(),
                organization: Some("org".into()),
                role: Some(Role::Admin),
                is_super_admin: false,
                until: NOW + 600 + LEEWAY_SECONDS,
            })
        );
    }

    #[test]
    fn every_bent_header_is_refused() {
        for header in [
            r#"{"alg":"none","kid":"k1"}"#,
            r#"{"alg":"None","kid":"k1"}"#,
            r#"{"alg":"nOnE","kid":"k1"}"#,
            r#"{"alg":"HS256","kid":"k1"}"#,
            r#"{"alg":"eddsa","kid":"k1"}"#,
            r#"{"alg":["EdDSA"],"kid":"k1"}"#,
            r#"{"kid":"k1"}"#,
            r#"{"alg":"EdDSA"}"#,
            r#"{"alg":"EdDSA","kid":""}"#,
            r#"{"alg":"EdDSA","kid":7}"#,
            r#"{"alg":"EdDSA","kid":"k1","jku":"https://evil/jwks"}"#,
            r#"{"alg":"EdDSA","kid":"k1","jwk":{"kty":"OKP"}}"#,
            r#"{"alg":"EdDSA","kid":"k1","x5u":"https://evil"}"#,
            r#"{"alg":"EdDSA","kid":"k1","x5c":[]}"#,
            r#"{"alg":"EdDSA","kid":"k1","crit":["exp"]}"#,
            r#"{"alg":"EdDSA","kid":"k1","cty":"JWT"}"#,
            r#"{"alg":"EdDSA","kid":"k1","alg":"none"}"#,
            r#"{"alg":"EdDSA","kid":"k1","typ":"JWE"}"#,
            "[]",
            "",
        ] {
            assert!(read(&token(header, &claims(|_| {}))).is_err(), "{header}");
        }
    }

    #[test]
    fn every_bent_claim_is_refused() {
        type Change = fn(&mut Map<String, Value>);
        let changes: [(&str, Change); 16] = [
            ("another issuer", |claims| drop(claims.insert("iss".into(), json!("https://evil")))),
            ("no issuer", |claims| drop(claims.remove("iss"))),
            ("another audience", |claims| drop(claims.insert("aud".into(), json!("other")))),
            ("no audience", |claims| drop(claims.remove("aud"))),
            ("another audience in a list", |claims| drop(claims.insert("aud".into(), json!(["other"])))),
            ("expired", |claims| drop(claims.insert("exp".into(), json!(NOW - 60)))),
            ("never expires", |claims| drop(claims.remove("exp"))),
            ("expires as text", |claims| drop(claims.insert("exp".into(), json!("9999999999")))),
            ("expires before time", |claims| drop(claims.insert("exp".into(), json!(-1)))),
            ("not valid yet", |claims| drop(claims.insert("nbf".into(), json!(NOW + 61)))),
            ("issued in the future", |claims| drop(claims.insert("iat".into(), json!(NOW + 61)))),
            ("nobody", |claims| drop(claims.remove("sub"))),
            ("an empty user", |claims| drop(claims.insert("sub".into(), json!("")))),
            ("a numeric user", |claims| drop(claims.insert("sub".into(), json!(7)))),
            ("organizations in a list", |claims| {
                drop(claims.insert("activeOrganizationId".into(), json!(["org"])));
            }),
            ("a role that is a list", |claims| drop(claims.insert("role".into(), json!(["super_admin"])))),
        ];
        for (name, change) in changes {
            assert!(person(&claims(change)).is_err(), "{name}");
        }
    }

    #[test]
    fn the_leeway_is_a_minute_and_no_more() {
        let expires =
            |at: u64| person(&claims(|claims| drop(claims.insert("exp".into(), json!(at))))).is_ok();
        assert!(expires(NOW - 59));
        assert!(!expires(NOW - 60));
    }

    #[test]
    fn duplicate_names_long_tokens_and_loose_encodings_are_refused() {
        let good = token(HEADER, &claims(|_| {}));
        assert!(read(&good).is_ok());
        let twice =
            r#"{"iss":"https://app","iss":"https://evil","aud":"gateway","sub":"u","exp":9999999999}"#;
        assert!(read(&token(HEADER, twice)).is_err());
        assert!(
            read(&token(HEADER, &claims(|claims| drop(claims.insert("x".into(), json!("y".repeat(9_000)))))))
                .is_err()
        );
        for bent in [
            format!("{good}="),
            format!("{good}."),
            format!(".{good}"),
            good.replace('.', ".."),
            good.rsplit_once('.').unwrap().0.to_owned() + ".",
            good.rsplit_once('.').unwrap().0.to_owned(),
            good.clone() + "AA",
            format!(" {good}"),
            // The last character of 64 bytes carries four bits of nothing: they must be zero.
            format!("{}x", good.chars().take(good.len() - 1).collect::<String>()),
        ] {
            assert!(read(&bent).is_err(), "{bent}");
        }
    }

    #[test]
    fn a_role_that_is_unknown_is_no_role() {
        let role = |role: &str| {
            person(&claims(|claims| drop(claims.insert("orgRole".into(), json!(role))))).unwrap().role
        };
        assert_eq!((role("owner"), role("OWNER"), role("superuser")), (Some(Role::Owner), None, None));
    }

    #[test]
    fn only_keys_that_can_verify_a_login_are_kept() {
        let x = URL_SAFE_NO_PAD.encode([1; 32]);
        let n = URL_SAFE_NO_PAD.encode([200; 256]);
        let short = URL_SAFE_NO_PAD.encode([200; 128]);
        let set = json!({"keys": [
            {"kty": "OKP", "crv": "Ed25519", "x": x, "kid": "ed", "use": "sig", "alg": "EdDSA"},
            {"kty": "EC", "crv": "P-256", "x": x, "y": x, "kid": "ec", "key_ops": ["verify"]},
            {"kty": "RSA", "n": n, "e": "AQAB", "kid": "rsa"},
            {"kty": "OKP", "crv": "Ed25519", "x": x},
            {"kty": "OKP", "crv": "Ed25519", "x": x, "kid": "enc", "use": "enc"},
            {"kty": "OKP", "crv": "Ed25519", "x": x, "kid": "private", "d": x},
            {"kty": "OKP", "crv": "Ed25519", "x": x, "kid": "swapped", "alg": "RS256"},
            {"kty": "OKP", "crv": "X25519", "x": x, "kid": "x25519"},
            {"kty": "oct", "k": x, "kid": "symmetric"},
            {"kty": "RSA", "n": short, "e": "AQAB", "kid": "short"},
            {"kty": "EC", "crv": "P-256", "x": x, "y": x, "kid": "sign only", "key_ops": ["sign"]},
        ]});
        let kept = keys(&set.to_string()).unwrap();
        assert_eq!(
            kept.iter().map(|key| (key.kid.as_str(), key.algorithm)).collect::<Vec<_>>(),
            [("ed", Algorithm::EdDsa), ("ec", Algorithm::Es256), ("rsa", Algorithm::Rs256)]
        );
        assert_eq!(kept[0].jwk, json!({"kty": "OKP", "crv": "Ed25519", "x": x}));
        assert!(keys("[]").is_err());
    }

    #[test]
    fn a_configuration_that_cannot_work_is_refused_with_what_is_wrong() {
        let one = |issuer: &str, url: &str| {
            format!(r#"[{{"issuer":"{issuer}","audience":"gateway","jwksUrl":"{url}"}}]"#)
        };
        assert_eq!(issuers("[]"), Ok(vec![]));
        assert!(issuers(&one("https://app", "https://app/jwks")).is_ok());
        assert!(issuers(&one("https://app", "http://127.0.0.1:3000/jwks")).is_ok());
        for wrong in [
            String::new(),
            "{}".into(),
            one("", "https://app/jwks"),
            one("https://app", "http://app/jwks"),
            one("https://app", "http://127.0.0.1.evil/jwks"),
            one("https://app", "file:///etc/passwd"),
            r#"[{"issuer":"a","audience":"b","jwksUrl":"https://x","extra":1}]"#.into(),
            r#"[{"issuer":"a","audience":"b","jwksUrl":"https://x"},{"issuer":"a","audience":"b","jwksUrl":"https://x"}]"#.into(),
        ] {
            assert!(issuers(&wrong).is_err(), "{wrong}");
        }
    }
}
