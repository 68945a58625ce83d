//! An inbound message meets what is known: people's names, the message it is about, whether it was told already.
//! What it changes is written here, and what is told returned; the caller writes that in the same run.

use gateway_domain::event::{ContactUpdatePayload, MediaMeta, MentionData, MessagePayload};
use gateway_sql::{Sql, SqlError};
use whatsapp_rust::waproto::whatsapp::Message;

use super::vote::{Ballot, Poll};
use super::{Change, Inbound, content, limits};
use crate::journal::{Journal, MessageRow};
use crate::library::contacts::Person;
use crate::messages::{Messages, Stored};
use crate::names::{Names, WhoIs};
use crate::polls::{Polls, Vote};
use crate::telling::Told;

/// The most people of one message whose names are looked up.
const MAX_NAMED: usize = 128;

/// Takes a message in; what is told of it, the message first. Nothing is told of what was told before, or of what its
/// sender has no right to.
///
/// # Errors
/// When the database fails or holds something else.
pub fn take_in<S: Sql>(
    journal: &Journal<S>,
    own: &Person,
    message: &Message,
    inbound: &mut Inbound,
) -> Result<Vec<Told>, SqlError> {
    let desk = Desk { journal, messages: journal.messages(), names: journal.names(), own };
    desk.settle(inbound);
    let is_news = match inbound.change.clone() {
        Change::New => desk.add(inbound, message)?,
        Change::Reaction => desk.is_first(inbound)?,
        Change::Edit => desk.edit(inbound)?,
        Change::Revoke { by_admin, author } => desk.revoke(inbound, by_admin, author.as_deref())?,
        Change::Vote(ballot) => desk.count(inbound, &ballot)?,
    };
    if !is_news {
        return Ok(vec![]);
    }
    let renamed = desk.renamed(&inbound.payload);
    Ok([Some(Told::new(inbound.event, &inbound.payload)), renamed].into_iter().flatten().collect())
}

/// Completes what is told of a message of ours with what is known, as it would be had it come in.
///
/// # Errors
/// When the database fails or holds something else.
pub fn complete<S: Sql>(journal: &Journal<S>, own: &Person, inbound: &mut Inbound) -> Result<(), SqlError> {
    let desk = Desk { journal, messages: journal.messages(), names: journal.names(), own };
    desk.settle(inbound);
    desk.complete_quote(inbound)
}

struct Desk<'a, S: Sql> {
    journal: &'a Journal<S>,
    messages: Messages<'a, S>,
    names: Names<'a, S>,
    own: &'a Person,
}

impl<S: Sql> Desk<'_, S> {
    /// Whom the stanza has by hidden id only goes by number where that is known.
    fn settle(&self, inbound: &mut Inbound) {
        let payload = &mut inbound.payload;
        if let Some(phone) = self.names.phone_of(&payload.chat_jid) {
            payload.chat_jid = phone;
        }
        let (jid, lid) = (&mut payload.sender_jid, &mut payload.sender_lid);
        self.settle_one(jid, lid);
        let (jid, lid) = (&mut payload.quoted_sender_jid, &mut payload.quoted_sender_lid);
        self.settle_one(jid, lid);
        for (jid, mentioned) in payload.mentions.iter_mut().take(MAX_NAMED) {
            let known = self.names.mentioned(&payload.chat_jid, jid);
            let short = |name: Option<String>| name.map(|name| limits::clip(&name, limits::SHORT));
            *mentioned = MentionData { push_name: short(known.push_name), tag: short(known.tag) };
        }
    }

    fn settle_one(&self, jid: &mut Option<String>, lid: &mut Option<String>) {
        let Some(hidden) = jid.clone().filter(|jid| jid.ends_with("@lid")) else { return };
        *jid = self.names.phone_of(&hidden).or(Some(hidden.clone()));
        lid.get_or_insert(hidden);
    }

    /// One more message.
    fn add(&self, inbound: &mut Inbound, message: &Message) -> Result<bool, SqlError> {
        self.complete_quote(inbound)?;
        let row = row(&inbound.payload);
        // The same sender may have been known by another name when it came first.
        let is_known = !self.twins(inbound, &row.id)?.is_empty();
        if is_known || !self.journal.insert_message(&row)? {
            return Ok(false);
        }
        self.messages.describe(&row, &inbound.payload, message)?;
        if let Some(poll) = &inbound.payload.poll {
            self.polls().opened(&row.chat, &row.sender, &row.id, poll)?;
        }
        Ok(true)
    }

    /// What the quote leaves out, the quoted message tells, if it is known.
    fn complete_quote(&self, inbound: &mut Inbound) -> Result<(), SqlError> {
        let chat = inbound.quoted_chat.as_deref();
        let chat = chat.map(|chat| self.names.phone_of(chat).unwrap_or_else(|| chat.to_owned()));
        let names = match (&chat, &inbound.quoted_chat) {
            (Some(chat), other) => [Some(chat.as_str()), other.as_deref()],
            _ => inbound.chat(),
        };
        let payload = &inbound.payload;
        let Some(id) = payload.quoted_message_id.as_deref() else { return Ok(()) };
        let found = self.messages.find(names, id)?;
        let sender = (payload.quoted_sender_jid.as_deref(), payload.quoted_sender_lid.as_deref());
        let quoted = found.into_iter().find(|one| sender.0.is_none() || one.is_by(sender.0, sender.1));
        let is_own = sender.0.is_some().then(|| self.is_own(sender.0, sender.1));
        let payload = &mut inbound.payload;
        payload.quoted_from_me = quoted.as_ref().map(|quoted| quoted.from_me).or(is_own);
        if let Some(quoted) = quoted {
            let body = quoted.body.as_ref().map(|body| limits::clip(body, limits::QUOTE));
            payload.quoted_body = payload.quoted_body.take().or(body);
            payload.quoted_sender_lid = payload.quoted_sender_lid.take().or(quoted.detail.sender_lid);
            payload.quoted_sender_jid = Some(quoted.sender);
        }
        Ok(())
    }

    /// A new text. Only who wrote a message can edit it; of one that is not known WhatsApp's word is taken.
    fn edit(&self, inbound: &mut Inbound) -> Result<bool, SqlError> {
        let Some(known) = self.own_target(inbound)? else { return Ok(false) };
        if !self.is_first(inbound)? {
            return Ok(false);
        }
        let payload = &mut inbound.payload;
        for stored in known {
            self.messages.edit(&stored, payload.body.as_deref(), payload.timestamp)?;
            // An edited caption may come without the picture.
            if stored.detail.has_media && payload.media == MediaMeta::default() {
                payload.has_media = true;
                payload.media = stored.detail.media;
            }
        }
        Ok(true)
    }

    /// A message taken back: by who sent it, or by an admin.
    fn revoke(&self, inbound: &mut Inbound, by_admin: bool, author: Option<&str>) -> Result<bool, SqlError> {
        let known = if by_admin {
            let target = inbound.payload.target_id.clone().unwrap_or_default();
            let mut found = self.messages.find(inbound.chat(), &target)?;
            let phone = author.and_then(|author| self.names.phone_of(author));
            found.retain(|stored| author.is_none() || stored.is_by(author, phone.as_deref()));
            found
        } else {
            let Some(known) = self.own_target(inbound)? else { return Ok(false) };
            known
        };
        if !self.is_first(inbound)? {
            return Ok(false);
        }
        for stored in &known {
            self.messages.revoke(stored, inbound.payload.timestamp)?;
            self.polls().withdrawn(&stored.chat, &stored.sender, &stored.id)?;
        }
        Ok(true)
    }

    /// A vote, with what was voted for where it can be read.
    fn count(&self, inbound: &mut Inbound, ballot: &Ballot) -> Result<bool, SqlError> {
        if !self.is_first(inbound)? {
            return Ok(false);
        }
        let target = inbound.payload.target_id.clone().unwrap_or_default();
        let voter = [inbound.payload.sender_jid.clone(), inbound.payload.sender_lid.clone()];
        let voters = self.all_names(voter.into_iter().flatten().collect(), inbound.payload.from_me);
        for stored in self.messages.find(inbound.chat(), &target)? {
            let (Some(question), Some(raw)) = (&stored.detail.poll, self.messages.raw(&stored)?) else {
                continue;
            };
            let Some(secret) = content::secret(&raw) else { continue };
            let creators = self.all_names(stored.names().map(str::to_owned).collect(), stored.from_me);
            let poll = Poll { id: &target, secret, options: &question.options, creators: &creators };
            if let Some(selected) = ballot.open(&poll, &voters) {
                let payload = &mut inbound.payload;
                let voter = payload.sender_jid.as_deref().unwrap_or_default();
                let vote = Vote { voter, names: &voters, chosen: &selected, at: payload.timestamp };
                self.polls().voted(&stored.chat, &stored.sender, &stored.id, &vote)?;
                payload.selected_options = Some(selected);
                break;
            }
        }
        Ok(true)
    }

    /// The messages of that id its sender wrote; `None` when there are some, and all by others.
    fn own_target(&self, inbound: &Inbound) -> Result<Option<Vec<Stored>>, SqlError> {
        let target = inbound.payload.target_id.as_deref().unwrap_or_default();
        let of_anybody = !self.messages.find(inbound.chat(), target)?.is_empty();
        let own = self.twins(inbound, target)?;
        Ok((!own.is_empty() || !of_anybody).then_some(own))
    }

    /// The messages of this id in this chat by this sender.
    fn twins(&self, inbound: &Inbound, id: &str) -> Result<Vec<Stored>, SqlError> {
        let payload = &inbound.payload;
        let mut found = self.messages.find(inbound.chat(), id)?;
        found.retain(|stored| stored.is_by(payload.sender_jid.as_deref(), payload.sender_lid.as_deref()));
        Ok(found)
    }

    /// Whether it is told for the first time.
    fn is_first(&self, inbound: &Inbound) -> Result<bool, SqlError> {
        let payload = &inbound.payload;
        let sender = payload.sender_lid.as_ref().or(payload.sender_jid.as_ref());
        let sender = sender.map(String::as_str).unwrap_or_default();
        // In a channel every edit has the id of the message.
        let at =
            if payload.target_id.as_ref() == Some(&payload.wa_message_id) { payload.timestamp } else { 0 };
        let chat = inbound.chat_lid.as_ref().unwrap_or(&payload.chat_jid);
        let (event, id) = (inbound.event, &payload.wa_message_id);
        self.messages.is_news(&format!("{event} {chat} {sender} {id} {at}"))
    }

    /// What somebody calls themselves is another name than the one that was known.
    fn renamed(&self, payload: &MessagePayload) -> Option<Told> {
        let (jid, name) = (payload.sender_jid.as_ref()?, payload.push_name.as_ref()?);
        let hidden = payload.sender_lid.as_ref().and_then(|lid| self.names.push_name(lid));
        let known = hidden.or_else(|| self.names.push_name(jid))?;
        (!payload.from_me && known != *name).then(|| {
            let update = ContactUpdatePayload {
                jid: jid.clone(),
                push_name: Some(name.clone()),
                ..ContactUpdatePayload::default()
            };
            Told::new("contact.update", &update)
        })
    }

    fn polls(&self) -> Polls<'_, S> {
        Polls::new(self.messages.sql())
    }

    fn own_names(&self) -> [Option<String>; 2] {
        let phone = self.own.phone.as_ref().map(|number| format!("{number}@s.whatsapp.net"));
        [phone, self.own.lid.clone()]
    }

    fn is_own(&self, jid: Option<&str>, lid: Option<&str>) -> bool {
        let own = self.own_names();
        [jid, lid].into_iter().flatten().any(|name| own.iter().flatten().any(|own| own == name))
    }

    /// Every name a person is known by, of whom these are some.
    fn all_names(&self, mut names: Vec<String>, is_own: bool) -> Vec<String> {
        let others =
            names.iter().filter_map(|name| self.names.phone_of(name).or_else(|| self.names.lid_of(name)));
        let others: Vec<String> = others.collect();
        let own = self.own_names().into_iter().flatten().filter(|_| is_own);
        names.extend(others.into_iter().chain(own));
        names.sort_unstable();
        names.dedup();
        names
    }
}

/// A message as the journal keeps it.
fn row(payload: &MessagePayload) -> MessageRow {
    MessageRow {
        chat: payload.chat_jid.clone(),
        sender: payload.sender_jid.clone().unwrap_or_default(),
        id: payload.wa_message_id.clone(),
        from_me: payload.from_me,
        kind: payload.r#type.clone(),
        body: payload.body.clone(),
        status: payload.from_me.then(|| "sent".to_owned()),
        timestamp: payload.timestamp,
    }
}
