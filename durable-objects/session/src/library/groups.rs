//! Groups the number is in, and who else is.

use gateway_sql::{Sql, SqlError};
use serde::Serialize;
use whatsapp_rust::{GroupMetadata, GroupParticipant, Jid, ParticipantType};

use super::contacts::{Person, Source};
use super::{Library, rows, whole};

/// A group as WhatsApp shows it to its members.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// Its JID.
    pub jid: String,
    /// What it is called.
    pub subject: Option<String>,
    /// What it is about.
    pub description: Option<String>,
    /// Who founded it.
    pub owner: Option<String>,
    /// When, epoch milliseconds.
    pub created: Option<u64>,
    /// Whether only admins may write.
    pub announce: bool,
    /// Whether only admins may change it.
    pub locked: bool,
    /// How many are in it, by WhatsApp's count.
    pub participant_count: u64,
    /// Who is in it.
    pub members: Vec<Member>,
}

/// Somebody in a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Member {
    /// Their LID, or the JID of their number where WhatsApp does not tell the LID.
    pub jid: String,
    /// Their number, where it tells that.
    pub phone: Option<String>,
    /// `member`, `admin` or `superadmin`.
    pub role: &'static str,
    /// What they are labelled in this group.
    pub tag: Option<String>,
}

impl Member {
    fn of(participant: &GroupParticipant) -> Self {
        let addresses = [Some(&participant.jid), participant.lid.as_ref(), participant.phone_number.as_ref()];
        let person = Person::at(addresses.into_iter().flatten());
        let label = participant.details.as_ref().and_then(|details| details.participant_label.as_ref());
        Self {
            jid: person.lid.unwrap_or_else(|| participant.jid.to_non_ad_string()),
            phone: person.phone,
            role: match participant.participant_type {
                ParticipantType::Member => "member",
                ParticipantType::Admin => "admin",
                ParticipantType::SuperAdmin => "superadmin",
            },
            tag: label.map(ToString::to_string),
        }
    }

    fn person(&self) -> Person {
        let lid = Some(self.jid.clone()).filter(|jid| jid.ends_with("@lid"));
        Person { lid, phone: self.phone.clone(), ..Person::default() }
    }
}

impl Group {
    /// The group in the client library's answer.
    #[must_use]
    pub fn of(metadata: &GroupMetadata) -> Self {
        let listed = u64::try_from(metadata.participants.len()).unwrap_or(u64::MAX);
        Self {
            jid: metadata.id.to_non_ad_string(),
            subject: Some(metadata.subject.clone()).filter(|subject| !subject.is_empty()),
            description: metadata.description.clone(),
            owner: metadata.creator.as_ref().map(Jid::to_non_ad_string),
            created: metadata.creation_time.map(|seconds| seconds.saturating_mul(1_000)),
            announce: metadata.is_announcement,
            locked: metadata.is_locked,
            participant_count: metadata.size.map_or(listed, u64::from).max(listed),
            members: metadata.participants.iter().map(Member::of).collect(),
        }
    }

    /// Whether everybody in it is listed: only then is who is not listed gone.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        u64::try_from(self.members.len()).is_ok_and(|listed| listed >= self.participant_count)
    }
}

impl<S: Sql> Library<S> {
    /// Puts a group as it is now in the place of what was known of it; its members become contacts, all but `own`.
    ///
    /// # Errors
    /// When the database fails.
    pub fn replace_group(&self, group: &Group, own: &Person, pull: &str, now: u64) -> Result<(), SqlError> {
        self.0.query(
            "INSERT INTO chat_group (jid, subject, description, owner, created, announce, locked, participant_count, \
                members, joined, first_seen, updated, pull) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 0, 1, ?9, ?9, ?10) \
             ON CONFLICT (jid) DO UPDATE SET subject = ?2, description = ?3, owner = ?4, created = ?5, announce = ?6, \
                locked = ?7, participant_count = ?8, joined = 1, updated = ?9, pull = ?10",
            &[
                (&group.jid).into(),
                group.subject.as_ref().into(),
                group.description.as_ref().into(),
                group.owner.as_ref().into(),
                group.created.map_or(gateway_sql::Value::Null, whole),
                group.announce.into(),
                group.locked.into(),
                whole(group.participant_count),
                whole(now),
                pull.into(),
            ],
        )?;
        let members = rows(&group.members)?;
        self.0.query(
            "INSERT INTO group_member (group_jid, jid, phone, role, tag, first_seen, last_seen) \
             SELECT ?1, value ->> 'jid', value ->> 'phone', value ->> 'role', value ->> 'tag', ?3, ?3 \
             FROM json_each(?2) WHERE true \
             ON CONFLICT (group_jid, jid) DO UPDATE SET phone = COALESCE(excluded.phone, phone), \
                role = excluded.role, tag = excluded.tag, last_seen = excluded.last_seen",
            &[(&group.jid).into(), members.clone(), whole(now)],
        )?;
        if group.is_complete() {
            self.0.query(
                "DELETE FROM group_member WHERE group_jid = ?1 \
                 AND jid NOT IN (SELECT value ->> 'jid' FROM json_each(?2))",
                &[(&group.jid).into(), members],
            )?;
        }
        self.0.query(
            "UPDATE chat_group SET members = (SELECT COUNT(*) FROM group_member WHERE group_jid = ?1) WHERE jid = ?1",
            &[(&group.jid).into()],
        )?;
        let people: Vec<Person> =
            group.members.iter().map(Member::person).filter(|person| !person.is(own)).collect();
        self.meet(&people, Source::Group, None, now)
    }

    /// All groups were pulled: the number is in no other any more. What those were called stays, for their chats.
    ///
    /// # Errors
    /// When the database fails.
    pub fn leave_other_groups(&self, pull: &str) -> Result<(), SqlError> {
        let others = "joined = 1 AND pull IS NOT ?1";
        self.0.query(
            &format!(
                "DELETE FROM group_member WHERE group_jid IN (SELECT jid FROM chat_group WHERE {others})"
            ),
            &[pull.into()],
        )?;
        self.0.query(
            &format!("UPDATE chat_group SET joined = 0, members = 0 WHERE {others}"),
            &[pull.into()],
        )?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::library::in_memory;
    use gateway_sql::native::NativeSql;

    fn member(lid: u32, role: &'static str) -> Member {
        Member { jid: format!("{lid}@lid"), phone: Some(format!("49{lid}")), role, tag: None }
    }

    fn group(jid: &str, members: Vec<Member>) -> Group {
        let participant_count = members.len() as u64;
        Group { jid: jid.into(), subject: Some("A".into()), participant_count, members, ..Group::default() }
    }

    fn column(library: &Library<NativeSql>, statement: &str) -> Vec<String> {
        let rows = library.0.query(statement, &[]).unwrap();
        rows.iter().map(|row| row.text(0).unwrap()).collect()
    }

    fn members(library: &Library<NativeSql>) -> Vec<String> {
        column(
            library,
            "SELECT group_jid || ' ' || jid || ' ' || role || ' ' || first_seen || ' ' || last_seen \
             FROM group_member ORDER BY group_jid, jid",
        )
    }

    #[test]
    fn a_group_is_replaced_and_who_left_is_gone() {
        let library = in_memory();
        let own = Person::default();
        let before = group("1@g.us", vec![member(1, "superadmin"), member(2, "member"), member(3, "member")]);
        library.replace_group(&before, &own, "a", 10).unwrap();
        let after = Group {
            subject: Some("B".into()),
            announce: true,
            ..group("1@g.us", vec![member(1, "superadmin"), member(3, "admin"), member(4, "member")])
        };
        library.replace_group(&after, &own, "b", 20).unwrap();
        assert_eq!(
            members(&library),
            ["1@g.us 1@lid superadmin 10 20", "1@g.us 3@lid admin 10 20", "1@g.us 4@lid member 20 20"]
        );
        let shown = "SELECT jid || subject || announce || members || first_seen || updated FROM chat_group";
        assert_eq!(column(&library, shown), ["1@g.usB131020"]);
        // Who left a group is known all the same.
        assert_eq!(column(&library, "SELECT source FROM contact").len(), 4);
    }

    #[test]
    fn a_list_that_is_not_complete_removes_nobody() {
        let library = in_memory();
        let own = Person::default();
        let all = group("1@g.us", (1..=5).map(|lid| member(lid, "member")).collect());
        library.replace_group(&all, &own, "a", 10).unwrap();
        let part = Group { participant_count: 5, ..group("1@g.us", vec![member(1, "admin")]) };
        assert!(!part.is_complete());
        library.replace_group(&part, &own, "b", 20).unwrap();
        assert_eq!(members(&library).len(), 5);
        assert_eq!(column(&library, "SELECT CAST(members AS TEXT) FROM chat_group"), ["5"]);
    }

    #[test]
    fn a_group_the_number_has_left_keeps_its_name_and_no_members() {
        let library = in_memory();
        let own = Person::default();
        library.replace_group(&group("1@g.us", vec![member(1, "member")]), &own, "a", 10).unwrap();
        library.replace_group(&group("2@g.us", vec![member(1, "member")]), &own, "a", 10).unwrap();
        library.replace_group(&group("2@g.us", vec![member(1, "member")]), &own, "b", 20).unwrap();
        library.leave_other_groups("b").unwrap();
        assert_eq!(members(&library), ["2@g.us 1@lid member 10 20"]);
        assert_eq!(
            column(&library, "SELECT jid || joined FROM chat_group ORDER BY jid"),
            ["1@g.us0", "2@g.us1"]
        );
        // Back in it.
        library.replace_group(&group("1@g.us", vec![member(1, "member")]), &own, "c", 30).unwrap();
        assert_eq!(column(&library, "SELECT jid FROM chat_group WHERE joined = 1").len(), 2);
    }

    #[test]
    fn the_number_itself_is_a_member_and_no_contact() {
        let library = in_memory();
        let own = Person { lid: Some("1@lid".into()), phone: Some("491".into()), ..Person::default() };
        let many = group("1@g.us", (1..=300).map(|lid| member(lid, "member")).collect());
        library.replace_group(&many, &own, "a", 10).unwrap();
        assert_eq!(members(&library).len(), 300);
        let contacts = column(&library, "SELECT jid FROM contact WHERE source = 'group'");
        assert_eq!(contacts.len(), 299);
        assert!(!contacts.contains(&"1@lid".to_owned()));
    }

    #[test]
    fn whatsapps_answer_becomes_a_group() {
        let lid: Jid = "7@lid".parse().unwrap();
        let phone: Jid = "4917@s.whatsapp.net".parse().unwrap();
        let participant = |jid: &Jid, phone_number: Option<&Jid>, participant_type| GroupParticipant {
            jid: jid.clone(),
            phone_number: phone_number.cloned(),
            lid: None,
            username: None,
            participant_type,
            details: None,
        };
        let metadata = GroupMetadata {
            id: "1@g.us".parse().unwrap(),
            subject: "Choir".into(),
            creator: Some(lid.clone()),
            creation_time: Some(2),
            is_locked: true,
            size: Some(3),
            participants: vec![
                participant(&lid, Some(&phone), ParticipantType::SuperAdmin),
                participant(&phone, None, ParticipantType::Member),
            ],
            ..GroupMetadata::default()
        };
        let group = Group::of(&metadata);
        assert_eq!((group.owner.as_deref(), group.created), (Some("7@lid"), Some(2_000)));
        assert_eq!((group.participant_count, group.is_complete(), group.locked), (3, false, true));
        let listed: Vec<_> = group
            .members
            .iter()
            .map(|member| (member.jid.as_str(), member.phone.as_deref(), member.role))
            .collect();
        assert_eq!(
            listed,
            [("7@lid", Some("4917"), "superadmin"), ("4917@s.whatsapp.net", Some("4917"), "member")]
        );
    }
}
