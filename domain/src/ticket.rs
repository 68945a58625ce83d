//! Realtime tickets: how a browser, which can't send a header with a WebSocket, opens one.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How long a ticket may be used, in milliseconds.
pub const LIFETIME_MS: u64 = 30_000;
const PREFIX: &str = "wat_";

/// `POST /api/v1/realtime/ticket`
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RealtimeTicketInputBody {
    /// The session whose log is read; the organization's when absent.
    #[serde(default)]
    pub session: Option<String>,
    /// Event types; all when absent.
    #[serde(default)]
    pub types: Option<Vec<String>>,
}

/// A ticket: good once, for what it was minted for.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RealtimeTicket {
    /// To open `GET /api/v1/realtime?ticket=…` with.
    pub ticket: String,
    /// Until when, epoch milliseconds.
    pub expires_at: u64,
}

/// A new ticket from 32 random bytes.
#[must_use]
pub fn mint(random: [u8; 32]) -> String {
    format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(random))
}

/// Whether a text may be a ticket at all.
#[must_use]
pub fn looks_like_one(text: &str) -> bool {
    text.strip_prefix(PREFIX)
        .is_some_and(|rest| URL_SAFE_NO_PAD.decode(rest).is_ok_and(|bytes| bytes.len() == 32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_known_by_its_shape() {
        assert!(looks_like_one(&mint([7; 32])));
        let beheaded = mint([7; 32]).split_off(1);
        for other in ["", "wat_", "wat_AAAA", "wa_0123", "wat_!", &beheaded] {
            assert!(!looks_like_one(other), "{other}");
        }
    }
}
