//! Linking a number without a QR code: what callers say and hear about pairing codes and passkeys.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::error::ApiError;

/// The largest part of an assertion that is taken.
const MAX_ASSERTION_PART: usize = 8_192;

/// What `POST …/pairing-code` takes.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PairingCodeInputBody {
    /// The number to link: digits only, international, 7 to 15 of them.
    #[schema(pattern = "^[1-9][0-9]{6,14}$")]
    pub phone: String,
}

impl PairingCodeInputBody {
    /// Checks the number.
    ///
    /// # Errors
    /// `validation_error` for anything but 7 to 15 digits without a zero in front.
    pub fn validate(&self) -> Result<(), ApiError> {
        let digits = self.phone.bytes().all(|byte| byte.is_ascii_digit());
        if digits && (7..=15).contains(&self.phone.len()) && !self.phone.starts_with('0') {
            return Ok(());
        }
        let message = "Must be 7 to 15 digits, with the country code and no zero in front.";
        Err(ApiError::validation("phone", message))
    }
}

/// What `POST …/pairing-code` answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PairingCodeOutputBody {
    /// The code to type on the phone, `ABCD-1234`.
    pub code: String,
    /// When it stops being good, epoch milliseconds.
    pub expires_at: u64,
}

/// A pairing code that is out.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PairingCode {
    /// The number it is for.
    pub phone: String,
    /// Its eight letters.
    pub code: String,
    /// When it stops being good, epoch milliseconds.
    pub expires_at: u64,
}

impl std::fmt::Debug for PairingCode {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // A secret: whoever has it can be talked into typing it.
        formatter.debug_struct("PairingCode").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

impl PairingCode {
    /// As callers see it.
    #[must_use]
    pub fn shown(&self) -> PairingCodeOutputBody {
        let code = match self.code.split_at_checked(4) {
            Some((first, rest)) => format!("{first}-{rest}"),
            None => self.code.clone(),
        };
        PairingCodeOutputBody { code, expires_at: self.expires_at }
    }
}

/// How far a linking with a passkey has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PasskeyStage {
    /// WhatsApp wants `options` signed by the owner's passkey.
    Challenge,
    /// The signature is with WhatsApp.
    Submitted,
    /// The owner compares `code` with the one on the phone.
    Confirmation,
    /// Confirmed; WhatsApp links the number.
    Confirmed,
}

impl PasskeyStage {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Challenge => "challenge",
            Self::Submitted => "submitted",
            Self::Confirmation => "confirmation",
            Self::Confirmed => "confirmed",
        }
    }
}

/// What `GET …/passkey` answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PasskeyChallenge {
    /// What is to be done now.
    pub stage: PasskeyStage,
    /// Where the passkey has to be used: WhatsApp's own origin. A page of yours can't; a browser extension or an app
    /// can.
    pub origin: String,
    /// WhatsApp's `PublicKeyCredentialRequestOptions` (`WebAuthn`), for `navigator.credentials.get`; at `challenge`.
    #[schema(value_type = Option<Object>)]
    pub options: Option<Value>,
    /// The code the phone shows too, `ABCD-1234`; at `confirmation`.
    pub code: Option<String>,
    /// When it is given up, epoch milliseconds.
    pub expires_at: u64,
}

/// What `POST …/passkey` takes: `assertion` at `challenge`, `confirmed` at `confirmation`.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PasskeyInputBody {
    /// What `navigator.credentials.get` gave, as JSON (`WebAuthn`, `PublicKeyCredential.toJSON()`).
    pub assertion: Option<PasskeyAssertion>,
    /// Whether the code is the one on the phone; `false` gives the linking up.
    pub confirmed: Option<bool>,
}

impl PasskeyInputBody {
    /// The one answer in it.
    ///
    /// # Errors
    /// `validation_error` when it has none or two, or when the assertion is none.
    pub fn into_answer(self) -> Result<PasskeyAnswer, ApiError> {
        match (self.assertion, self.confirmed) {
            (Some(assertion), None) => {
                assertion.validate()?;
                Ok(PasskeyAnswer::Assertion(assertion))
            }
            (None, Some(confirmed)) => Ok(PasskeyAnswer::Confirmed(confirmed)),
            _ => Err(ApiError::validation("body", "Must have exactly one of assertion and confirmed.")),
        }
    }
}

/// An owner's answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PasskeyAnswer {
    /// The signature.
    Assertion(PasskeyAssertion),
    /// Whether the code is the one on the phone.
    Confirmed(bool),
}

/// A `WebAuthn` assertion; all its parts are base64url without padding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PasskeyAssertion {
    /// The credential's id.
    pub id: String,
    /// The same.
    pub raw_id: String,
    /// `public-key`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The signature and what was signed.
    pub response: PasskeyAssertionResponse,
}

/// The signature and what was signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PasskeyAssertionResponse {
    /// The client data.
    #[serde(rename = "clientDataJSON")]
    pub client_data_json: String,
    /// The authenticator data.
    pub authenticator_data: String,
    /// The signature.
    pub signature: String,
    /// The user handle, where the authenticator gave one.
    pub user_handle: Option<String>,
}

impl PasskeyAssertion {
    /// The credential's id.
    ///
    /// # Errors
    /// `validation_error` when it is no base64url.
    pub fn raw_id(&self) -> Result<Vec<u8>, ApiError> {
        decode("assertion.rawId", &self.raw_id)
    }

    fn validate(&self) -> Result<(), ApiError> {
        if self.kind != "public-key" {
            return Err(ApiError::validation("assertion.type", "Must be public-key."));
        }
        self.raw_id()?;
        decode("assertion.response.clientDataJSON", &self.response.client_data_json)?;
        decode("assertion.response.authenticatorData", &self.response.authenticator_data)?;
        decode("assertion.response.signature", &self.response.signature)?;
        Ok(())
    }
}

fn decode(field: &str, text: &str) -> Result<Vec<u8>, ApiError> {
    let bytes = URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok();
    bytes
        .filter(|bytes| !bytes.is_empty() && text.len() <= MAX_ASSERTION_PART)
        .ok_or_else(|| ApiError::validation(field, "Must be base64url, and not empty."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_7_to_15_digits_without_a_zero_in_front() {
        let is_good = |phone: &str| PairingCodeInputBody { phone: phone.to_owned() }.validate().is_ok();
        assert!(is_good("4915112345678") && is_good("1234567") && is_good("123456789012345"));
        for bad in [
            "",
            "123456",
            "1234567890123456",
            "+4915112345678",
            "0491511234",
            "49 151 123",
            "٤٩١٥١١٢٣٤٥",
            "1e10000",
        ] {
            assert!(!is_good(bad), "{bad}");
        }
    }

    #[test]
    fn a_code_is_shown_in_two_halves_and_never_debugged() {
        let code = PairingCode { phone: "1".into(), code: "ABCD1234".into(), expires_at: 5 };
        assert_eq!(code.shown().code, "ABCD-1234");
        assert!(!format!("{code:?}").contains("ABCD"));
        assert_eq!(PairingCode { code: "💥💥".into(), ..code }.shown().code, "💥-💥");
    }

    #[test]
    fn an_answer_is_one_answer_and_an_assertion_is_one() {
        let answer = |body: Value| {
            let body: Result<PasskeyInputBody, _> = serde_json::from_value(body);
            body.map_err(|_| None).and_then(|body| {
                body.into_answer().map_err(|error| error.error.details["field"].as_str().map(str::to_owned))
            })
        };
        let mut assertion = serde_json::json!({
            "id": "AQ", "rawId": "AQ", "type": "public-key",
            "response": {"clientDataJSON": "e30", "authenticatorData": "AQ", "signature": "AQ", "userHandle": null},
        });
        assert_eq!(answer(serde_json::json!({"confirmed": true})), Ok(PasskeyAnswer::Confirmed(true)));
        assert!(answer(serde_json::json!({"assertion": assertion})).is_ok());
        let field = |name: &str| Err(Some(name.to_owned()));
        assert_eq!(answer(serde_json::json!({})), field("body"));
        assert_eq!(answer(serde_json::json!({"assertion": assertion, "confirmed": true})), field("body"));
        assert_eq!(answer(serde_json::json!({"confirmed": 1})), Err(None));
        assertion["response"]["signature"] = "!".into();
        assert_eq!(
            answer(serde_json::json!({"assertion": assertion})),
            field("assertion.response.signature")
        );
        assertion["rawId"] = "".into();
        assert_eq!(answer(serde_json::json!({"assertion": assertion})), field("assertion.rawId"));
        assertion["type"] = "password".into();
        assert_eq!(answer(serde_json::json!({"assertion": assertion})), field("assertion.type"));
    }
}
