//! Pictures: width and height out of their headers.

use super::bytes::{at, be16, be32, le16, le24, le32};

type Dimensions = Option<(u32, u32)>;

pub(super) fn png(bytes: &[u8]) -> Dimensions {
    let is_header = at::<4>(bytes, 12)? == *b"IHDR";
    is_header.then_some((be32(bytes, 16)?, be32(bytes, 20)?))
}

pub(super) fn gif(bytes: &[u8]) -> Dimensions {
    Some((le16(bytes, 6)?.into(), le16(bytes, 8)?.into()))
}

pub(super) fn webp(bytes: &[u8]) -> Dimensions {
    match &at::<4>(bytes, 12)? {
        // Lossy: behind the frame's tag and its start code, two upper bits being for scaling.
        b"VP8 " if at::<3>(bytes, 23)? == [0x9d, 0x01, 0x2a] => {
            Some(((le16(bytes, 26)? & 0x3fff).into(), (le16(bytes, 28)? & 0x3fff).into()))
        }
        b"VP8L" if at::<1>(bytes, 20)? == [0x2f] => {
            let bits = le32(bytes, 21)?;
            Some(((bits & 0x3fff) + 1, ((bits >> 14) & 0x3fff) + 1))
        }
        b"VP8X" => Some((le24(bytes, 24)? + 1, le24(bytes, 27)? + 1)),
        _ => None,
    }
}

/// Whether a WebP moves.
#[must_use]
pub fn is_animated(bytes: &[u8]) -> bool {
    let is_webp = at::<4>(bytes, 8).is_some_and(|form| form == *b"WEBP");
    let is_extended = at::<4>(bytes, 12).is_some_and(|chunk| chunk == *b"VP8X");
    is_webp && is_extended && at::<1>(bytes, 20).is_some_and(|[flags]| flags & 0x02 != 0)
}

pub(super) fn jpeg(bytes: &[u8]) -> Dimensions {
    let mut offset = 2_usize;
    loop {
        let [mark, marker] = at::<2>(bytes, offset)?;
        match marker {
            _ if mark != 0xff => return None,
            // Fill bytes.
            0xff => offset = offset.checked_add(1)?,
            // Markers without a length.
            0x01 | 0xd0..=0xd8 => offset = offset.checked_add(2)?,
            // The frame's header, of whatever coding; the exceptions are tables and reserved.
            0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf => {
                let height = be16(bytes, offset.checked_add(5)?)?;
                return Some((be16(bytes, offset.checked_add(7)?)?.into(), height.into()));
            }
            // The picture itself begins, or all ends, before a frame was announced.
            0xd9 | 0xda => return None,
            _ => {
                let length = usize::from(be16(bytes, offset.checked_add(2)?)?);
                offset = offset.checked_add(2)?.checked_add(length.max(2))?;
            }
        }
    }
}
