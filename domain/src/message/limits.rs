//! How much a message may have of everything. "AB" is WhatsApp Web's own default of the named server setting, as the
//! client library lists them (`wacore::iq::abprops`); "Cloud API" is Meta's documentation of WhatsApp's hosted API;
//! "ours" is where WhatsApp states nothing.

use crate::outbound_address;

/// A text, in characters: what WhatsApp's own clients let one type.
pub const MAX_TEXT_CHARS: usize = 65_536;
/// A caption, in characters (Cloud API).
pub const MAX_CAPTION_CHARS: usize = 1_024;
/// Who is mentioned: a full group (WhatsApp's help pages: 1024 members).
pub const MAX_MENTIONS: usize = 1_024;
/// A message's id, in characters (ours; WhatsApp's have 12 to 32).
pub const MAX_MESSAGE_ID_CHARS: usize = 128;

/// A poll's question, in characters (AB `poll_name_length`).
pub const MAX_POLL_NAME_CHARS: usize = 255;
/// The options of a poll, at least: one is no choice (WhatsApp Web refuses it).
pub const MIN_POLL_OPTIONS: usize = 2;
/// The options of a poll, at most (AB `poll_option_count`).
pub const MAX_POLL_OPTIONS: usize = 12;
/// One of them, in characters (AB `poll_option_length`).
pub const MAX_POLL_OPTION_CHARS: usize = 100;
/// For how long after a message was sent its text can be changed, in milliseconds (WhatsApp's help pages: 15 minutes).
pub const EDIT_WINDOW_MS: u64 = 15 * 60_000;
/// The largest whole number that survives JSON: the latest time there is.
pub const MAX_TIME: u64 = 9_007_199_254_740_991;

/// A place's name, in characters (ours).
pub const MAX_LOCATION_NAME_CHARS: usize = 1_000;
/// A contact's name, in characters (ours).
pub const MAX_CONTACT_NAME_CHARS: usize = 256;
/// A vCard, in bytes (ours: room for a small picture).
pub const MAX_VCARD_BYTES: usize = 65_536;

/// A file, given or fetched; and all that are given in one request. They are never held in memory whole, but wait in a
/// database (ours: what the contract's 88 MiB of base64 are; WhatsApp takes documents of 2 GB).
pub const MAX_FILE_BYTES: usize = 64 * 1024 * 1024;
/// The body of a request to send: such files in base64, and what stands around them (the contract's "Errors").
pub const MAX_BODY_BYTES: usize = 88 * 1024 * 1024;
/// What of that is no file (the contract's "Errors": a body without media).
pub const MAX_REST_BYTES: usize = 1024 * 1024;
/// A picture (AB `default_media_limit_mb`).
pub const MAX_IMAGE_BYTES: usize = 16 * 1024 * 1024;
/// A sticker (ours; the Cloud API takes 100 KB, 500 KB of an animated one, and phones show somewhat more).
pub const MAX_STICKER_BYTES: usize = 1024 * 1024;
/// An address to fetch a file from, in bytes (ours).
pub const MAX_MEDIA_URL_BYTES: usize = outbound_address::MAX_BYTES;
/// A file's name, in characters (ours: what file systems take).
pub const MAX_FILENAME_CHARS: usize = 255;
/// A media type, in characters (RFC 6838, 4.2: 127 for either half).
pub const MAX_MIMETYPE_CHARS: usize = 255;
/// The files of an album, at least (AB `album_v2_min_items_to_send_album_with_caption`).
pub const MIN_ALBUM_MEDIAS: usize = 2;
/// The files of an album, at most (AB `media_picker_select_limit`).
pub const MAX_ALBUM_MEDIAS: usize = 30;

/// A reaction, in bytes (ours: the longest emoji of Unicode, two people kissing, has 35).
pub const MAX_EMOJI_BYTES: usize = 64;
