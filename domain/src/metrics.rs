//! What the platform measures of itself, in Prometheus' text format 0.0.4. Nothing here names a tenant.

use std::fmt::Write as _;

use crate::lifecycle::Status;
use crate::whatsapp_version::{Known, Version, Worries};

/// The content type of the text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

const STATUSES: [Status; 6] = [
    Status::Starting,
    Status::ScanQrCode,
    Status::Working,
    Status::Failed,
    Status::Stopped,
    Status::LoggedOut,
];

/// Sessions with the same status and the same reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Count {
    /// The status, as the contract spells it.
    pub status: String,
    /// The reason's code, where there is one.
    pub code: Option<String>,
    /// How many.
    pub sessions: u64,
    /// How many of them should have been heard of by now.
    pub stale: u64,
}

/// What is measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metrics {
    /// All sessions.
    pub counts: Vec<Count>,
    /// The pinned version.
    pub pinned: Option<Version>,
    /// What is known of the version.
    pub known: Option<Known>,
    /// Epoch milliseconds.
    pub now: u64,
}

impl Metrics {
    /// The text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = Text::default();
        self.sessions(&mut text);
        self.version(&mut text);
        text.0
    }

    fn sessions(&self, text: &mut Text) {
        let sum = |of: &dyn Fn(&Count) -> u64| self.counts.iter().map(of).sum::<u64>();
        text.gauge("wa_gateway_sessions", "Sessions by status, as last projected into the directory.");
        for status in STATUSES {
            let sessions = sum(&|count| if count.status == status.name() { count.sessions } else { 0 });
            text.sample("wa_gateway_sessions", &[("status", status.name())], sessions);
        }
        let by_reason = "wa_gateway_sessions_by_reason";
        text.gauge(by_reason, "Sessions that are failed or starting, by statusReason.code.");
        let told = [Status::Failed.name(), Status::Starting.name()];
        for count in self.counts.iter().filter(|count| told.contains(&count.status.as_str())) {
            if let Some(code) = &count.code {
                text.sample(by_reason, &[("status", &count.status), ("code", code)], count.sessions);
            }
        }
        let stale = "wa_gateway_sessions_stale";
        text.gauge(stale, "Live sessions whose object has not written its projection for 15 minutes.");
        text.sample(stale, &[], sum(&|count| count.stale));
        let outdated = "wa_gateway_sessions_client_outdated";
        text.gauge(outdated, "Sessions WhatsApp refuses for their client version (405).");
        let is_outdated = |count: &Count| {
            count.status == Status::Failed.name() && count.code.as_deref() == Some("client_outdated")
        };
        text.sample(outdated, &[], sum(&|count| if is_outdated(count) { count.sessions } else { 0 }));
    }

    fn version(&self, text: &mut Text) {
        let fetched = self.known.and_then(|known| known.fetched);
        let info = "wa_gateway_whatsapp_version_info";
        text.gauge(
            info,
            "The versions of WhatsApp Web: fetched is what its page says, pinned what is configured.",
        );
        let versions = [("fetched", fetched.map(|(version, _)| version)), ("pinned", self.pinned)];
        for (source, version) in versions {
            if let Some(version) = version {
                text.sample(info, &[("source", source), ("version", &version.to_string())], 1);
            }
        }
        let age = "wa_gateway_whatsapp_version_age_seconds";
        text.gauge(age, "Since WhatsApp's page last confirmed the fetched version.");
        if let Some((_, at)) = fetched {
            text.sample(age, &[], self.now.saturating_sub(at) / 1_000);
        }
        let worries = Worries::about(self.pinned, self.known.as_ref(), self.now);
        let stale = "wa_gateway_whatsapp_version_stale";
        text.gauge(
            stale,
            "1 when the version may soon be refused: not_refreshed for days, or pinned_behind the page.",
        );
        text.sample(stale, &[("reason", "not_refreshed")], u64::from(worries.not_refreshed));
        text.sample(stale, &[("reason", "pinned_behind")], u64::from(worries.pinned_behind));
    }
}

#[derive(Default)]
struct Text(String);

impl Text {
    fn gauge(&mut self, name: &str, help: &str) {
        let _infallible = write!(self.0, "# HELP {name} {help}\n# TYPE {name} gauge\n");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: u64) {
        let labels: Vec<String> =
            labels.iter().map(|(label, value)| format!("{label}=\"{}\"", escaped(value))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let _infallible = writeln!(self.0, "{name}{labels} {value}");
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(status: &str, code: Option<&str>, sessions: u64, stale: u64) -> Count {
        Count { status: status.to_owned(), code: code.map(str::to_owned), sessions, stale }
    }

    #[test]
    fn the_text_is_pinned() {
        let fetched = Version::parse("2.3000.1042742319").unwrap();
        let metrics = Metrics {
            counts: vec![
                count("working", None, 5, 1),
                count("starting", Some("network"), 2, 1),
                count("starting", None, 1, 0),
                count("failed", Some("client_outdated"), 3, 0),
                count("stopped", Some("qr_expired"), 4, 0),
            ],
            pinned: Version::parse("2.3000.1042742318"),
            known: Some(Known { fetched: Some((fetched, 10_000)), checked_at: 10_000 }),
            now: 70_000,
        };
        let text = metrics.text();
        let samples: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(
            samples,
            [
                r#"wa_gateway_sessions{status="starting"} 3"#,
                r#"wa_gateway_sessions{status="scan_qr_code"} 0"#,
                r#"wa_gateway_sessions{status="working"} 5"#,
                r#"wa_gateway_sessions{status="failed"} 3"#,
                r#"wa_gateway_sessions{status="stopped"} 4"#,
                r#"wa_gateway_sessions{status="logged_out"} 0"#,
                r#"wa_gateway_sessions_by_reason{status="starting",code="network"} 2"#,
                r#"wa_gateway_sessions_by_reason{status="failed",code="client_outdated"} 3"#,
                "wa_gateway_sessions_stale 2",
                "wa_gateway_sessions_client_outdated 3",
                r#"wa_gateway_whatsapp_version_info{source="fetched",version="2.3000.1042742319"} 1"#,
                r#"wa_gateway_whatsapp_version_info{source="pinned",version="2.3000.1042742318"} 1"#,
                "wa_gateway_whatsapp_version_age_seconds 60",
                r#"wa_gateway_whatsapp_version_stale{reason="not_refreshed"} 0"#,
                r#"wa_gateway_whatsapp_version_stale{reason="pinned_behind"} 1"#,
            ]
        );
        let names =
            ["# HELP ", "# TYPE "].map(|kind| text.lines().filter(|line| line.starts_with(kind)).count());
        assert_eq!(names, [7, 7]);
        assert!(text.ends_with('\n'));
    }

    #[test]
    fn what_is_not_known_is_not_made_up() {
        let metrics = Metrics { counts: vec![], pinned: None, known: None, now: 70_000 };
        let text = metrics.text();
        assert!(!text.contains("\nwa_gateway_whatsapp_version_info{"));
        assert!(!text.contains("\nwa_gateway_whatsapp_version_age_seconds "));
        assert!(text.contains("\nwa_gateway_whatsapp_version_stale{reason=\"not_refreshed\"} 1\n"));
        assert!(text.contains("\nwa_gateway_sessions{status=\"working\"} 0\n"));
    }

    #[test]
    fn a_label_can_not_break_out() {
        let mut text = Text::default();
        text.sample("name", &[("label", "a\"b\\c\nd")], 1);
        assert_eq!(text.0, "name{label=\"a\\\"b\\\\c\\nd\"} 1\n");
    }
}
