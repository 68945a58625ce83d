//! Ogg (RFC 3533), and Opus in it (RFC 7845).

use super::bytes::{File, at, le16, le32, le64, tail};

/// A page's header without its table of segments.
const HEADER: usize = 27;
/// As far from the end as the last page is looked for: two of the largest there are.
const TAIL: usize = 2 * 65_307;

pub(super) fn kind(head: &[u8]) -> &'static str {
    match first_packet(head) {
        Some([b'O', b'p', b'u', b's', b'H', b'e', b'a', b'd', ..]) => super::OPUS,
        Some([0x80, b't', b'h', b'e', b'o', b'r', b'a', ..]) => "video/ogg",
        _ => "audio/ogg",
    }
}

fn first_packet(bytes: &[u8]) -> Option<&[u8]> {
    let [segments] = at::<1>(bytes, HEADER - 1)?;
    bytes.get(HEADER + usize::from(segments)..)
}

/// The position of the last page that has one, less what is skipped at the beginning, in samples of 48 kHz.
pub(super) fn duration_ms(head: &[u8], file: &dyn File) -> Option<u64> {
    let serial = le32(head, 14)?;
    let skipped = u64::from(le16(first_packet(head)?, 10)?);
    let end = tail(file, TAIL);
    let mut tail = end.as_ref();
    loop {
        let start = tail.windows(4).rposition(|window| window == b"OggS")?;
        let page = tail.get(start..)?;
        let granule = le64(page, 6).filter(|granule| *granule != u64::MAX);
        if let Some(granule) = granule
            && le32(page, 14) == Some(serial)
            && at::<1>(page, 4) == Some([0])
        {
            return Some(granule.saturating_sub(skipped) / 48).filter(|duration| *duration > 0);
        }
        tail = tail.get(..start.checked_add(3)?)?;
    }
}
