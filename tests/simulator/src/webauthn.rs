//! `WebAuthn` assertions over P-256: how the owner's authenticator makes one, and how WhatsApp checks it.

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use p256::ecdsa::signature::{Signer as _, Verifier as _};
use p256::ecdsa::{Signature, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::rng;

/// Whom passkeys for WhatsApp are made for.
pub const RELYING_PARTY: &str = "whatsapp.com";
/// Where they can be used: the only page WhatsApp takes an assertion from.
pub const ORIGIN: &str = "https://web.whatsapp.com";
const GET: &str = "webauthn.get";
const PUBLIC_KEY: &str = "public-key";
const USER_PRESENT: u8 = 1;
const USER_VERIFIED: u8 = 4;
/// Of authenticator data: the hash of the relying party, the flags, the counter.
const SHORTEST_DATA: usize = 37;

/// What `navigator.credentials.get()` is asked for, as far as an authenticator minds.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestOptions {
    challenge: String,
    #[serde(default)]
    rp_id: Option<String>,
}

#[derive(Deserialize, Serialize)]
struct ClientData {
    r#type: String,
    challenge: String,
    origin: String,
    #[serde(default, rename = "crossOrigin")]
    cross_origin: bool,
}

/// `PublicKeyCredential.toJSON()`, as far as it is checked.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    id: String,
    raw_id: String,
    r#type: String,
    response: Response,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Response {
    #[serde(rename = "clientDataJSON")]
    client_data: String,
    authenticator_data: String,
    signature: String,
    user_handle: Option<String>,
}

/// An account's passkey.
pub struct Passkey {
    key: SigningKey,
    id: Vec<u8>,
    user_handle: Vec<u8>,
}

impl Passkey {
    /// Comes from nothing but the seed and the number, so that nobody has to keep it.
    pub fn of(seed: u64, number: &str) -> Result<Self> {
        let mut rng = rng::derive(seed, "passkey", number);
        Ok(Self {
            key: SigningKey::from_slice(&rng::bytes::<32>(&mut rng))?,
            id: rng::bytes::<16>(&mut rng).to_vec(),
            user_handle: rng::bytes::<32>(&mut rng).to_vec(),
        })
    }

    pub fn id(&self) -> &[u8] {
        &self.id
    }

    /// What the owner's browser makes of a request on a page of this origin.
    pub fn assert(&self, options: &RequestOptions, origin: &str) -> Result<Value> {
        let client_data = serde_json::to_vec(&ClientData {
            r#type: GET.to_owned(),
            challenge: options.challenge.trim_end_matches('=').to_owned(),
            origin: origin.to_owned(),
            cross_origin: false,
        })?;
        let relying_party = options.rp_id.as_deref().unwrap_or(RELYING_PARTY);
        // A passkey that is synced between devices has no counter.
        let mut data = Sha256::digest(relying_party).to_vec();
        data.extend([USER_PRESENT | USER_VERIFIED, 0, 0, 0, 0]);
        let signature: Signature = self.key.sign(&signed_part(&data, &client_data));
        let encode = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        Ok(json!({
            "id": encode(&self.id),
            "rawId": encode(&self.id),
            "type": PUBLIC_KEY,
            "authenticatorAttachment": "platform",
            "clientExtensionResults": {},
            "response": {
                "clientDataJSON": encode(&client_data),
                "authenticatorData": encode(&data),
                "signature": encode(signature.to_der().as_bytes()),
                "userHandle": encode(&self.user_handle),
            },
        }))
    }

    /// Whether this is an assertion of this passkey for this challenge.
    pub fn verify(&self, challenge: &[u8], credential_id: &[u8], assertion: &[u8]) -> Result<()> {
        let shown: Shown =
            serde_json::from_slice(assertion).context("the assertion is not what toJSON() gives")?;
        ensure!(shown.r#type == PUBLIC_KEY, "not a public key");
        ensure!(credential_id == self.id, "another credential");
        ensure!(decode(&shown.raw_id)? == self.id && decode(&shown.id)? == self.id, "another id");
        let client_data = decode(&shown.response.client_data)?;
        let said: ClientData = serde_json::from_slice(&client_data).context("client data")?;
        ensure!(said.r#type == GET, "client data of another ceremony");
        ensure!(decode(&said.challenge)? == challenge, "another challenge");
        ensure!(said.origin == ORIGIN, "made on {}", said.origin);
        let data = decode(&shown.response.authenticator_data)?;
        ensure!(data.len() >= SHORTEST_DATA, "authenticator data is too short");
        let (relying_party, rest) = data.split_at(32);
        ensure!(relying_party == Sha256::digest(RELYING_PARTY).as_slice(), "for another relying party");
        let flags = rest.first().copied().unwrap_or_default();
        ensure!(flags & USER_PRESENT != 0 && flags & USER_VERIFIED != 0, "nobody was there");
        if let Some(user_handle) = &shown.response.user_handle {
            ensure!(decode(user_handle)? == self.user_handle, "another user");
        }
        let signature = Signature::from_der(&decode(&shown.response.signature)?).context("signature")?;
        VerifyingKey::from(&self.key).verify(&signed_part(&data, &client_data), &signature)?;
        Ok(())
    }
}

fn signed_part(authenticator_data: &[u8], client_data: &[u8]) -> Vec<u8> {
    [authenticator_data, Sha256::digest(client_data).as_slice()].concat()
}

fn decode(text: &str) -> Result<Vec<u8>> {
    BASE64_URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).context("base64url")
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHALLENGE: &[u8] = b"sixteen bytes or so";

    fn options(challenge: &[u8]) -> RequestOptions {
        RequestOptions {
            challenge: BASE64_URL_SAFE_NO_PAD.encode(challenge),
            rp_id: Some(RELYING_PARTY.to_owned()),
        }
    }

    #[test]
    fn an_assertion_holds_for_its_challenge_origin_party_and_key_alone() {
        let passkey = Passkey::of(1, "5511999990001").unwrap();
        let check = |assertion: &Value| {
            passkey.verify(CHALLENGE, passkey.id(), assertion.to_string().as_bytes()).is_ok()
        };
        let good = passkey.assert(&options(CHALLENGE), ORIGIN).unwrap();
        assert!(check(&good));
        assert!(!check(&passkey.assert(&options(b"yesterday's"), ORIGIN).unwrap()));
        assert!(!check(&passkey.assert(&options(CHALLENGE), "https://gateway.example").unwrap()));
        let mut elsewhere = options(CHALLENGE);
        elsewhere.rp_id = Some("gateway.example".to_owned());
        assert!(!check(&passkey.assert(&elsewhere, ORIGIN).unwrap()));
        let mut tampered = good.clone();
        let others = Passkey::of(1, "5511999990002").unwrap();
        let theirs = others.assert(&options(CHALLENGE), ORIGIN).unwrap();
        tampered["response"]["signature"] = theirs["response"]["signature"].clone();
        assert!(!check(&tampered));
        assert!(!check(&theirs));
        assert!(passkey.verify(CHALLENGE, b"another", good.to_string().as_bytes()).is_err());
    }
}
