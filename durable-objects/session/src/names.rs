//! By which name people go. WhatsApp addresses the same person by number or by hidden id (LID); here they go by
//! their number where anything tells it: the stanza, the keys' memory, or the library.

use gateway_domain::event::MentionData;
use gateway_sql::{Row, Sql, Value};
use whatsapp_rust::{Jid, Server};

/// Knows whose number is behind a hidden id.
pub trait WhoIs {
    /// The JID of the number behind a LID, both without a device.
    fn phone_of(&self, lid: &str) -> Option<String>;

    /// By which JID that one goes.
    fn name(&self, jid: &Jid) -> String {
        let plain = jid.to_non_ad_string();
        if jid.server == Server::Lid { self.phone_of(&plain).unwrap_or(plain) } else { plain }
    }
}

/// The names over the object's database. What can't be read there is not known: a name is not worth a lost message.
pub struct Names<'sql, S>(&'sql S);

impl<'sql, S: Sql> Names<'sql, S> {
    /// The names in this database.
    pub fn new(sql: &'sql S) -> Self {
        Self(sql)
    }

    /// What somebody is known to call themselves.
    #[must_use]
    pub fn push_name(&self, jid: &str) -> Option<String> {
        self.contact(jid)?.optional_text(1).ok()?
    }

    /// The hidden id behind a number's JID.
    #[must_use]
    pub fn lid_of(&self, phone: &str) -> Option<String> {
        let digits = phone.strip_suffix("@s.whatsapp.net")?;
        let learned = "SELECT lid || '@lid' FROM key_lid_mapping WHERE phone_number = ?1 \
                       ORDER BY updated_at DESC, position DESC LIMIT 1";
        let known = "SELECT jid FROM contact WHERE phone = ?1 AND jid LIKE '%@lid' LIMIT 1";
        let row = self.first(learned, &[digits.into()]).or_else(|| self.first(known, &[digits.into()]))?;
        row.text(0).ok()
    }

    /// The name a chat goes by: somebody's number where it is known.
    #[must_use]
    pub fn settled(&self, chat: &str) -> String {
        self.phone_of(chat).unwrap_or_else(|| chat.to_owned())
    }

    /// What is known of somebody who is mentioned in a chat.
    #[must_use]
    pub fn mentioned(&self, chat: &str, jid: &str) -> MentionData {
        let contact = self.contact(jid);
        // Members of groups go by their LID, as contacts do.
        let member = contact.as_ref().and_then(|row| row.text(0).ok()).unwrap_or_else(|| jid.to_owned());
        let label = self.first(
            "SELECT tag FROM group_member WHERE group_jid = ?1 AND jid = ?2",
            &[chat.into(), member.into()],
        );
        MentionData {
            push_name: contact.and_then(|row| row.optional_text(1).ok()?),
            tag: label.and_then(|row| row.optional_text(0).ok()?),
        }
    }

    /// JID and chosen name.
    fn contact(&self, jid: &str) -> Option<Row> {
        let by_jid = || self.first("SELECT jid, push_name FROM contact WHERE jid = ?1", &[jid.into()]);
        let Some(digits) = jid.strip_suffix("@s.whatsapp.net") else { return by_jid() };
        let by_number = "SELECT jid, push_name FROM contact WHERE phone = ?1 ORDER BY last_seen DESC LIMIT 1";
        self.first(by_number, &[digits.into()]).or_else(by_jid)
    }

    fn first(&self, statement: &str, bindings: &[Value]) -> Option<Row> {
        self.0.query(statement, bindings).ok()?.into_iter().next()
    }
}

impl<S: Sql> WhoIs for Names<'_, S> {
    fn phone_of(&self, lid: &str) -> Option<String> {
        let user = lid.strip_suffix("@lid")?;
        let learned = self.first("SELECT phone_number FROM key_lid_mapping WHERE lid = ?1", &[user.into()]);
        let known = || self.first("SELECT phone FROM contact WHERE jid = ?1", &[lid.into()]);
        let number = learned.or_else(known)?.optional_text(0).ok()??;
        Some(format!("{number}@s.whatsapp.net"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keystore::Keystore;
    use gateway_sql::native::NativeSql;

    fn with_ann(sql: &NativeSql) {
        crate::schema::migrate(sql).unwrap();
        let ann = "INSERT INTO contact (jid, phone, push_name, source, first_seen, last_seen) \
                   VALUES ('7@lid', '4917', 'Ann', 'dm', 1, 1)";
        sql.query(ann, &[]).unwrap();
    }

    #[test]
    fn a_number_is_known_from_the_library_and_from_the_keys() {
        let file = std::env::temp_dir().join(format!("gateway-names-{}.sqlite", std::process::id()));
        let open = || NativeSql::open(&file).unwrap();
        let sql = open();
        let names = Names::new(&sql);
        assert_eq!(names.phone_of("7@lid"), None, "there is no table yet");
        with_ann(&sql);
        assert_eq!(names.phone_of("7@lid").as_deref(), Some("4917@s.whatsapp.net"));
        Keystore::open(open()).unwrap();
        let learned = "INSERT INTO key_lid_mapping (lid, phone_number, created_at, updated_at, learning_source) \
                       VALUES ('8', '4918', 1, 1, 'usync')";
        sql.query(learned, &[]).unwrap();
        assert_eq!(names.name(&"8:2@lid".parse().unwrap()), "4918@s.whatsapp.net");
        assert_eq!(names.lid_of("4918@s.whatsapp.net").as_deref(), Some("8@lid"));
        assert_eq!(names.lid_of("4917@s.whatsapp.net").as_deref(), Some("7@lid"));
        assert_eq!((names.lid_of("4919@s.whatsapp.net"), names.lid_of("7@lid")), (None, None));
        assert_eq!(names.name(&"9:2@lid".parse().unwrap()), "9@lid");
        assert_eq!(names.name(&"1-2@g.us".parse().unwrap()), "1-2@g.us");
        std::fs::remove_file(file).unwrap();
    }

    #[test]
    fn who_is_mentioned_has_a_name_and_a_label() {
        let sql = NativeSql::in_memory().unwrap();
        with_ann(&sql);
        let member = "INSERT INTO group_member (group_jid, jid, role, tag, first_seen, last_seen) \
                      VALUES ('1@g.us', '7@lid', 'member', 'Alto', 1, 1)";
        sql.query(member, &[]).unwrap();
        let names = Names::new(&sql);
        let known = MentionData { push_name: Some("Ann".into()), tag: Some("Alto".into()) };
        assert_eq!(names.mentioned("1@g.us", "7@lid"), known);
        assert_eq!(names.mentioned("1@g.us", "4917@s.whatsapp.net"), known);
        assert_eq!(names.mentioned("1@g.us", "9@lid"), MentionData::default());
    }
}
