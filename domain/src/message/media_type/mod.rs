//! What a file is, told from its bytes, which a stranger made: nothing here trusts a length, and nothing panics. Only
//! what WhatsApp shows as more than a document is told apart, and what people mistake for it.

mod archive;
mod boxes;
mod bytes;
mod names;
mod ogg;
mod picture;

pub use bytes::File;
pub use names::{contradicts, extension, is_media_type, name_in, of_name};

/// Opus in Ogg, as WhatsApp spells the type of a voice note.
pub const OPUS: &str = "audio/ogg; codecs=opus";

/// How far into a file readers of PDF look for its beginning (ISO 32000, implementation notes).
const PDF_JUNK: usize = 1_024;
/// As much of a file's beginning is looked at.
const HEAD: usize = 4_096;

/// The media type of a file, where its bytes tell.
#[must_use]
pub fn sniff(file: &dyn File) -> Option<&'static str> {
    let head = file.read(0, HEAD);
    match head.as_ref() {
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some("image/png"),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some("image/gif"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("image/webp"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'A', b'V', b'E', ..] => Some("audio/wav"),
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => Some(boxes::kind(&head, file)),
        [b'O', b'g', b'g', b'S', ..] => Some(ogg::kind(&head)),
        [0x1a, 0x45, 0xdf, 0xa3, ..] => Some("video/webm"),
        [b'f', b'L', b'a', b'C', ..] => Some("audio/flac"),
        [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => Some(archive::kind(&head, file)),
        [b'#', b'!', b'A', b'M', b'R', b'\n', ..] => Some("audio/amr"),
        [b'#', b'!', b'A', b'M', b'R', b'-', b'W', b'B', b'\n', ..] => Some("audio/amr-wb"),
        [b'A', b'D', b'I', b'F', ..] => Some("audio/aac"),
        [b'I', b'D', b'3', ..] => Some(behind_id3(&head, file)),
        [0xff, second, third, ..] => frame(*second, *third),
        bytes => {
            bytes.windows(5).take(PDF_JUNK).any(|window| window == b"%PDF-").then_some("application/pdf")
        }
    }
}

/// The header of a frame of MPEG audio: MP3, or AAC in ADTS.
fn frame(second: u8, third: u8) -> Option<&'static str> {
    let (version, layer) = ((second >> 3) & 3, (second >> 1) & 3);
    if second & 0xf6 == 0xf0 && (third >> 2) & 0xf < 13 {
        return Some("audio/aac");
    }
    let (bitrate, rate) = (third >> 4, (third >> 2) & 3);
    let is_mp3 = second & 0xe0 == 0xe0 && version != 1 && layer == 1;
    (is_mp3 && bitrate != 0xf && rate != 3).then_some("audio/mpeg")
}

/// An ID3 tag stands before MP3, rarely before AAC.
fn behind_id3(head: &[u8], file: &dyn File) -> &'static str {
    let length = bytes::at::<4>(head, 6).map(|size| {
        size.iter().fold(0_u64, |sum, byte| (sum << 7) | u64::from(byte & 0x7f)).saturating_add(10)
    });
    let behind = length.map(|length| file.read(length, 3));
    match behind.as_deref() {
        Some([0xff, second, third, ..]) => frame(*second, *third).unwrap_or("audio/mpeg"),
        _ => "audio/mpeg",
    }
}

/// Width and height of a picture or a video, in pixels, as they are stored (a video: as it is turned).
#[must_use]
pub fn dimensions(file: &dyn File) -> Option<(u32, u32)> {
    let head = file.read(0, HEAD);
    let found = match sniff(file)? {
        "image/jpeg" => picture::jpeg(file),
        "image/png" => picture::png(&head),
        "image/gif" => picture::gif(&head),
        "image/webp" => picture::webp(&head),
        "video/mp4" | "video/3gpp" | "video/quicktime" => boxes::Movie::of(file).dimensions,
        _ => None,
    };
    found.filter(|(width, height)| *width > 0 && *height > 0)
}

/// How long a recording or a video plays, in milliseconds.
#[must_use]
pub fn duration_ms(file: &dyn File) -> Option<u64> {
    match sniff(file)? {
        OPUS => ogg::duration_ms(&file.read(0, HEAD), file),
        "video/mp4" | "video/3gpp" | "video/quicktime" | "audio/mp4" => boxes::Movie::of(file).duration_ms,
        _ => None,
    }
}

/// Whether a WebP moves.
#[must_use]
pub fn is_animated(file: &dyn File) -> bool {
    picture::is_animated(&file.read(0, HEAD))
}
