//! Zip archives, and the documents that are some.

use super::bytes::{File, at, le16, le32, tail};

/// As many entries as are looked at.
const MOST_ENTRIES: usize = 512;
/// As much of the list of entries.
const MOST_LIST: usize = 256 * 1024;
/// As far from the end as the list of entries can be announced: behind it comes a comment.
const TAIL: usize = 22 + 65_535;

const DOCX: &str = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";
const XLSX: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";
const PPTX: &str = "application/vnd.openxmlformats-officedocument.presentationml.presentation";

/// Types that say so themselves, in a first entry of the name `mimetype`.
const TOLD: [&str; 4] = [
    "application/vnd.oasis.opendocument.text",
    "application/vnd.oasis.opendocument.spreadsheet",
    "application/vnd.oasis.opendocument.presentation",
    "application/epub+zip",
];

pub(super) fn kind(head: &[u8], file: &dyn File) -> &'static str {
    told(head).or_else(|| office(file)).unwrap_or("application/zip")
}

fn told(bytes: &[u8]) -> Option<&'static str> {
    let [name, extra] = [26, 28].map(|offset| le16(bytes, offset).map(usize::from));
    let start = 30_usize.checked_add(name?)?.checked_add(extra?)?;
    let length = usize::try_from(le32(bytes, 18)?).ok()?;
    let is_told = bytes.get(30..30_usize.checked_add(name?)?)? == b"mimetype";
    let content = bytes.get(start..start.checked_add(length)?).filter(|_| is_told)?;
    TOLD.into_iter().find(|told| told.as_bytes() == content)
}

fn office(file: &dyn File) -> Option<&'static str> {
    let tail = tail(file, TAIL);
    let end = tail.get(tail.windows(4).rposition(|window| window == [b'P', b'K', 5, 6])?..)?;
    let list = file.read(le32(end, 16)?.into(), MOST_LIST);
    let mut entry = list.as_ref();
    let mut found = None;
    let mut has_types = false;
    for _ in 0..MOST_ENTRIES {
        if at::<4>(entry, 0) != Some([b'P', b'K', 1, 2]) {
            break;
        }
        let [name, extra, comment] = [28, 30, 32].map(|offset| le16(entry, offset).map(usize::from));
        let name = entry.get(46..46_usize.checked_add(name?)?)?;
        has_types |= name == b"[Content_Types].xml";
        for (folder, kind) in [("word/", DOCX), ("xl/", XLSX), ("ppt/", PPTX)] {
            found = found.or_else(|| name.starts_with(folder.as_bytes()).then_some(kind));
        }
        entry = entry.get(46_usize.checked_add(name.len())?.checked_add(extra?)?.checked_add(comment?)?..)?;
    }
    found.filter(|_| has_types)
}
