//! From what a caller asked for to what is sent.

use std::collections::BTreeSet;

use crate::error::ApiError;
use crate::event::{LocationData, PollData};
use crate::jid::Server;

use super::attach;
use super::fields::{chat, line, message_id, person, required, text};
use super::limits;
use super::outgoing::{Content, MediaKind, Outgoing};
use super::request::{MessageType, SendRequest};
use super::send_body::FileFound;

impl SendRequest {
    /// Checks the request and makes of it what is sent. `files` are those that were found in its body; what is in them is
    /// looked at by [`Outgoing::examine`].
    ///
    /// # Errors
    /// `validation_error` naming the field; `not_implemented` for what this version doesn't send to channels.
    pub fn into_outgoing(mut self, files: &[FileFound], now: u64) -> Result<Outgoing, ApiError> {
        let to = chat("to", &required("to", self.to.take())?)?;
        let kind = required("type", self.r#type)?;
        if let Some(field) = self.foreign_field(kind) {
            let message = format!("Does not belong to a message of type {}.", kind.name());
            return Err(ApiError::validation(field, message));
        }
        if to.server == Server::Newsletter {
            self.check_for_channel(kind)?;
        }
        let reply_to = self.reply_to.take().map(|id| message_id("replyTo", &id)).transpose()?;
        let mentions = mentions(self.mentions.take())?;
        let content = match kind {
            MessageType::Text => {
                Content::Text(text("text", required("text", self.text)?, limits::MAX_TEXT_CHARS)?)
            }
            MessageType::Poll => Content::Poll(self.into_poll(now)?),
            MessageType::Location => Content::Location(self.into_location()?),
            MessageType::Contact => Content::Contact(required("contact", self.contact)?.into_contact()?),
            MessageType::Image => self.into_media(MediaKind::Image, files)?,
            MessageType::Video => self.into_media(MediaKind::Video, files)?,
            MessageType::Audio => self.into_media(MediaKind::Audio, files)?,
            MessageType::Document => self.into_media(MediaKind::Document, files)?,
            MessageType::Sticker => self.into_media(MediaKind::Sticker, files)?,
            MessageType::Album => {
                Content::Album(attach::album(required("medias", self.medias)?, self.caption, files)?)
            }
        };
        Ok(Outgoing { to: to.to_string(), content, reply_to, mentions })
    }

    /// A channel is written to by its admins: nobody is answered or mentioned there. Its files are not encrypted, which
    /// the client library can't upload.
    fn check_for_channel(&self, kind: MessageType) -> Result<(), ApiError> {
        let not_there = [("replyTo", self.reply_to.is_some()), ("mentions", self.mentions.is_some())];
        if let Some((field, _)) = not_there.into_iter().find(|(_, given)| *given) {
            return Err(ApiError::validation(field, "Does not belong to a message to a channel."));
        }
        match kind {
            MessageType::Text | MessageType::Poll => Ok(()),
            MessageType::Location | MessageType::Contact => {
                Err(ApiError::validation("type", "WhatsApp's channels take no such messages."))
            }
            _ => {
                Err(ApiError::not_implemented("This version sends no files to channels.").with("field", "to"))
            }
        }
    }

    fn into_media(self, kind: MediaKind, files: &[FileFound]) -> Result<Content, ApiError> {
        Ok(Content::Media(attach::file(required("media", self.media)?, kind, self.caption, files)?))
    }

    fn into_poll(self, now: u64) -> Result<PollData, ApiError> {
        let name = line("name", required("name", self.name)?, limits::MAX_POLL_NAME_CHARS)?;
        let options = required("options", self.options)?;
        if !(limits::MIN_POLL_OPTIONS..=limits::MAX_POLL_OPTIONS).contains(&options.len()) {
            return Err(ApiError::validation("options", "Must be 2 to 12."));
        }
        let options = poll_options(options)?;
        let selectable_count = u32::try_from(self.selectable_count.unwrap_or(0)).ok();
        let selectable_count = selectable_count
            .filter(|count| usize::try_from(*count).is_ok_and(|count| count <= options.len()))
            .ok_or_else(|| {
                ApiError::validation("selectableCount", "Must be 0 (any number) to the number of options.")
            })?;
        let end_time = self.poll_end_time.map(|ends| {
            let ends = u64::try_from(ends).ok().filter(|ends| (now + 1..=limits::MAX_TIME).contains(ends));
            ends.ok_or_else(|| {
                ApiError::validation("pollEndTime", "Must be in the future, in epoch milliseconds.")
            })
        });
        let end_time = end_time.transpose()?;
        Ok(PollData { name, options, selectable_count, end_time, hide_votes: self.poll_hide_votes })
    }

    fn into_location(self) -> Result<LocationData, ApiError> {
        Ok(LocationData {
            latitude: degrees("latitude", self.latitude, 90.0)?,
            longitude: degrees("longitude", self.longitude, 180.0)?,
            name: (self.name).map(|name| line("name", name, limits::MAX_LOCATION_NAME_CHARS)).transpose()?,
            address: None,
        })
    }
}

fn degrees(field: &str, degrees: Option<f64>, most: f64) -> Result<f64, ApiError> {
    let degrees = required(field, degrees)?;
    if (-most..=most).contains(&degrees) {
        Ok(degrees)
    } else {
        Err(ApiError::validation(field, format!("Must be -{most} to {most} degrees.")))
    }
}

/// Options of a poll: a vote names them by hash, so two that are alike would be one.
pub(super) fn poll_options(options: Vec<String>) -> Result<Vec<String>, ApiError> {
    let mut known = BTreeSet::new();
    let mut checked = Vec::with_capacity(options.len());
    for (index, option) in options.into_iter().enumerate() {
        let field = format!("options[{index}]");
        let option = line(&field, option, limits::MAX_POLL_OPTION_CHARS)?;
        if !known.insert(option.clone()) {
            return Err(ApiError::validation(&field, "Stands there twice."));
        }
        checked.push(option);
    }
    Ok(checked)
}

fn mentions(mentions: Option<Vec<String>>) -> Result<Vec<String>, ApiError> {
    let mentions = mentions.unwrap_or_default();
    if mentions.len() > limits::MAX_MENTIONS {
        return Err(ApiError::validation("mentions", "Must be 1024 at most."));
    }
    let mut known = BTreeSet::new();
    let mut once = Vec::with_capacity(mentions.len());
    for (index, mention) in mentions.into_iter().enumerate() {
        let jid = person(&format!("mentions[{index}]"), &mention)?;
        if known.insert(jid.clone()) {
            once.push(jid);
        }
    }
    Ok(once)
}
