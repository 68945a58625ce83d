//! What a send answers, and what becomes of one that waits.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::error::ErrorDetail;

/// What a send answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SendResult {
    /// `sync` or `async`.
    pub mode: String,
    /// The outbox entry: of an asynchronous send, and where an entry is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outbox_id: Option<String>,
    /// Whether an earlier answer to the same `Idempotency-Key` was replayed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replayed: Option<bool>,
    /// `sent` once WhatsApp's server has acknowledged it; of an outbox entry also `queued`, `sending` or `failed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// The server's time of acknowledgement, epoch milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<u64>,
    /// The message's id on WhatsApp.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wa_message_id: Option<String>,
}

/// An outbox entry: what is known of a send, and why it failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OutboxEntry {
    /// The send.
    #[serde(flatten)]
    pub send: SendResult,
    /// Why it was not sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorDetail>,
}

/// Where an outbox entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OutboxStatus {
    /// It waits its turn.
    Queued,
    /// It may be on its way; its id on WhatsApp is chosen.
    Sending,
    /// WhatsApp's server has acknowledged it.
    Sent,
    /// It was refused, or given up.
    Failed,
}

impl OutboxStatus {
    const ALL: [Self; 4] = [Self::Queued, Self::Sending, Self::Sent, Self::Failed];

    /// The status, as callers see it and as it is stored.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Sending => "sending",
            Self::Sent => "sent",
            Self::Failed => "failed",
        }
    }

    /// The status of a stored name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name() == name)
    }

    /// Whether it stays as it is.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Sent | Self::Failed)
    }
}

impl SendResult {
    /// A synchronous send that WhatsApp's server has acknowledged.
    #[must_use]
    pub fn sent(wa_message_id: impl Into<String>, timestamp: u64) -> Self {
        Self {
            mode: "sync".to_owned(),
            outbox_id: None,
            replayed: None,
            status: Some(OutboxStatus::Sent.name().to_owned()),
            timestamp: Some(timestamp),
            wa_message_id: Some(wa_message_id.into()),
        }
    }

    /// What is known of an outbox entry.
    #[must_use]
    pub fn entry(
        outbox_id: impl Into<String>,
        status: OutboxStatus,
        wa_message_id: Option<String>,
        timestamp: Option<u64>,
    ) -> Self {
        Self {
            mode: "async".to_owned(),
            outbox_id: Some(outbox_id.into()),
            replayed: None,
            status: Some(status.name().to_owned()),
            timestamp,
            wa_message_id,
        }
    }

    /// The same answer, once more.
    #[must_use]
    pub fn replayed(self) -> Self {
        Self { replayed: Some(true), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn answers_are_the_contracts() {
        let sent = SendResult::sent("3EB0", 1_700_000_000_000);
        let body =
            json!({"mode":"sync","status":"sent","timestamp":1_700_000_000_000_u64,"waMessageId":"3EB0"});
        assert_eq!(json!(sent), body);
        assert_eq!(json!(sent.replayed())["replayed"], json!(true));
        let queued =
            SendResult::entry("01ARZ3NDEKTSV4RRFFQ69G5FAV", OutboxStatus::Queued, Some("3EB0".into()), None);
        assert_eq!(
            json!(queued),
            json!({"mode":"async","outboxId":"01ARZ3NDEKTSV4RRFFQ69G5FAV","status":"queued","waMessageId":"3EB0"})
        );
        let failed = SendResult::entry("x", OutboxStatus::Failed, Some("3EB0".into()), None);
        assert_eq!(
            json!(failed),
            json!({"mode":"async","outboxId":"x","status":"failed","waMessageId":"3EB0"})
        );
    }

    #[test]
    fn a_status_is_read_again_from_its_name() {
        for status in OutboxStatus::ALL {
            assert_eq!(OutboxStatus::parse(status.name()), Some(status));
            assert_eq!(json!(status), json!(status.name()));
        }
        assert_eq!(OutboxStatus::parse("delivered"), None);
        assert_eq!(OutboxStatus::ALL.map(OutboxStatus::is_final), [false, false, true, true]);
    }
}
