//! Pictures: width and height out of their headers.

use super::bytes::{File, at, be16, be32, le16, le24, le32};

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

pub(super) fn is_animated(bytes: &[u8]) -> bool {
    let is_webp = at::<4>(bytes, 8).is_some_and(|form| form == *b"WEBP");
    let is_extended = at::<4>(bytes, 12).is_some_and(|chunk| chunk == *b"VP8X");
    is_webp && is_extended && at::<1>(bytes, 20).is_some_and(|[flags]| flags & 0x02 != 0)
}

/// As many steps from one segment of a JPEG to the next; each may be a look into a database.
const MOST_SEGMENTS: usize = 512;
/// As much is looked at in one step: fill bytes, a marker, and a frame's header.
const STEP: usize = 1_024;

pub(super) fn jpeg(file: &dyn File) -> Dimensions {
    let mut offset = 2_u64;
    for _ in 0..MOST_SEGMENTS {
        let window = file.read(offset, STEP);
        let marks = window.iter().take_while(|byte| **byte == 0xff).count();
        if marks == window.len() && marks == STEP {
            offset = offset.checked_add(marks as u64)?;
            continue;
        }
        // Before a segment there may be any number of fill bytes; the last of them is its mark.
        let segment = window.get(marks.checked_sub(1)?..)?;
        let [_, marker] = at::<2>(segment, 0)?;
        offset = offset.checked_add(marks as u64)?.checked_add(1)?;
        match marker {
            // Markers without a length.
            0x01 | 0xd0..=0xd8 => {}
            // The frame's header, of whatever coding; the exceptions are tables and reserved.
            0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf => {
                let (height, width) = if segment.len() < 9 {
                    let header = file.read(offset, 7);
                    (be16(&header, 3)?, be16(&header, 5)?)
                } else {
                    (be16(segment, 5)?, be16(segment, 7)?)
                };
                return Some((width.into(), height.into()));
            }
            // The picture itself begins, or all ends, before a frame was announced.
            0xd9 | 0xda => return None,
            _ => {
                let length = file.read(offset, 2);
                offset = offset.checked_add(u64::from(be16(&length, 0)?.max(2)))?;
            }
        }
    }
    None
}
