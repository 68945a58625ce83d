//! What the control API is told to let a phone say.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use serde::Deserialize;
use waproto::whatsapp::Message;

/// A message to be written. Which fields count depends on its kind.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Request {
    pub to: String,
    kind: Option<String>,
    /// Instead of one that the phone makes up.
    pub id: Option<String>,
    pub text: Option<String>,
    /// Any other kind of message: the protobuf, in base64.
    message: Option<String>,

    /// The file, in base64.
    data: Option<String>,
    /// Instead, a file of so many bytes that nobody else has.
    pub length: Option<usize>,
    /// What the message says how long the file is, when that isn't true.
    pub file_length: Option<u64>,
    pub mimetype: Option<String>,
    pub caption: Option<String>,
    pub file_name: Option<String>,
    pub title: Option<String>,
    pub page_count: Option<u32>,
    pub width: Option<u32>,
    pub height: Option<u32>,
    pub seconds: Option<u32>,
    pub ptt: Option<bool>,
    pub ptv: Option<bool>,
    pub gif_playback: Option<bool>,
    pub animated: Option<bool>,
    pub view_once: Option<bool>,
    thumbnail: Option<String>,
    waveform: Option<String>,

    pub expected_image_count: Option<u32>,
    pub expected_video_count: Option<u32>,
    /// The album this is part of.
    pub album: Option<String>,

    pub latitude: Option<f64>,
    pub longitude: Option<f64>,
    /// Of a place or a poll.
    pub name: Option<String>,
    pub address: Option<String>,
    pub url: Option<String>,
    pub accuracy: Option<u32>,
    pub live: Option<bool>,

    pub display_name: Option<String>,
    pub vcard: Option<String>,
    pub contacts: Vec<Card>,

    /// Of a poll, or those voted for.
    pub options: Vec<String>,
    pub selectable_count: Option<u32>,
    pub version: Option<u8>,

    /// The message this is about.
    pub target: Option<String>,
    /// An edit that only those can read who have the original.
    pub encrypted: bool,
    /// The message this answers.
    pub quoted: Option<String>,
    pub mentions: Vec<String>,
    pub forwarded: Option<bool>,
    pub forwarding_score: Option<u32>,
    pub expiration: Option<u32>,
}

/// One of several contacts.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Card {
    pub display_name: Option<String>,
    pub vcard: Option<String>,
}

impl Request {
    /// The kind, which for a plain text and for a protobuf goes without saying.
    pub fn kind(&self) -> Result<&str, &'static str> {
        match (self.kind.as_deref(), &self.text, &self.message) {
            (Some(kind), _, None) => Ok(kind),
            (None, Some(_), None) => Ok("text"),
            (None, None, Some(_)) => Ok("protobuf"),
            _ => Err("either kind, text or message"),
        }
    }

    /// A text and nothing else, as it was before there were kinds.
    pub fn is_plain(&self) -> bool {
        self.kind.is_none() && !self.has_context()
    }

    pub fn has_context(&self) -> bool {
        self.quoted.is_some()
            || !self.mentions.is_empty()
            || self.forwarded.is_some()
            || self.forwarding_score.is_some()
            || self.expiration.is_some()
    }

    pub fn protobuf(&self) -> Result<Message, &'static str> {
        let bytes = decoded(self.message.as_ref())?.unwrap_or_default();
        waproto::codec::message_decode(&bytes)
            .map_err(|_| "message must be a protobuf of WhatsApp's, in base64")
    }

    pub fn data(&self) -> Result<Option<Vec<u8>>, &'static str> {
        decoded(self.data.as_ref())
    }

    pub fn thumbnail(&self) -> Result<Option<Vec<u8>>, &'static str> {
        decoded(self.thumbnail.as_ref())
    }

    pub fn waveform(&self) -> Result<Option<Vec<u8>>, &'static str> {
        decoded(self.waveform.as_ref())
    }
}

fn decoded(field: Option<&String>) -> Result<Option<Vec<u8>>, &'static str> {
    field.map(|text| BASE64.decode(text)).transpose().map_err(|_| "bytes must be in base64")
}
