//! A backfill: the contacts and groups of a number, pulled again from WhatsApp into the session's own tables.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A backfill and how far it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackfillJob {
    /// The job's ULID.
    pub id: String,
    /// Who owns the session.
    pub organization_id: String,
    /// The session.
    pub session_id: String,
    /// How it is going.
    pub status: BackfillStatus,
    /// How many people were pulled so far: those in the address book, and those there are chats with.
    pub contacts: u64,
    /// How many groups were pulled so far.
    pub groups: u64,
    /// How many memberships these groups have; somebody in two groups counts twice.
    pub group_members: u64,
    /// When it was started, epoch milliseconds.
    pub started_at: u64,
    /// When it ended, epoch milliseconds; absent while it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub finished_at: Option<u64>,
    /// Why it failed; absent when it did not. What it had pulled by then stays.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub error: Option<String>,
}

/// How a backfill is going.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BackfillStatus {
    /// It is being worked on, or will be once the session is connected.
    Running,
    /// Everything was pulled.
    Succeeded,
    /// It ended early: see `error`.
    Failed,
}

impl BackfillStatus {
    /// Its name in the API and in the session's tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
        }
    }

    /// The status of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Running, Self::Succeeded, Self::Failed].into_iter().find(|status| status.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_reads_as_the_contract_has_it() {
        let running = BackfillJob {
            id: "01J".to_owned(),
            organization_id: "acme".to_owned(),
            session_id: "01S".to_owned(),
            status: BackfillStatus::Running,
            contacts: 60,
            groups: 3,
            group_members: 312,
            started_at: 1,
            finished_at: None,
            error: None,
        };
        assert_eq!(
            serde_json::to_value(&running).unwrap(),
            serde_json::json!({"id": "01J", "organizationId": "acme", "sessionId": "01S", "status": "running",
                "contacts": 60, "groups": 3, "groupMembers": 312, "startedAt": 1})
        );
        let failed = BackfillJob {
            status: BackfillStatus::Failed,
            finished_at: Some(2),
            error: Some("x".to_owned()),
            ..running
        };
        let shown = serde_json::to_value(&failed).unwrap();
        assert_eq!((shown["status"].as_str(), shown["finishedAt"].as_u64()), (Some("failed"), Some(2)));
        assert_eq!(serde_json::from_value::<BackfillJob>(shown).unwrap(), failed);
    }

    #[test]
    fn a_status_is_found_by_its_name() {
        for status in [BackfillStatus::Running, BackfillStatus::Succeeded, BackfillStatus::Failed] {
            assert_eq!(BackfillStatus::named(status.name()), Some(status));
        }
        assert_eq!(BackfillStatus::named("lost"), None);
    }
}
