//! What happens to the session itself.

use serde::Serialize;
use utoipa::ToSchema;

use crate::lifecycle::Status;

/// `session.status`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct SessionStatusPayload {
    /// The new status.
    pub status: Status,
}

/// `auth.qr`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AuthQRPayload)]
pub struct AuthQrPayload {
    /// The raw string to encode in the picture.
    pub code: String,
    /// When it stops being valid, epoch milliseconds.
    pub expires_at: u64,
}

/// `auth.code`: a phone accepted the pairing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuthCodePayload {
    /// The new device's JID.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jid: Option<String>,
    /// The account's hidden id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lid: Option<String>,
    /// The name of a business account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub business_name: Option<String>,
    /// What the phone runs on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
}
