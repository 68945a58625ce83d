//! MP4 and its kin: boxes in boxes (ISO/IEC 14496-12).

use std::borrow::Cow;

use super::bytes::{File, at, be32, be64};

/// As many boxes of one level as are looked at.
const MOST_BOXES: usize = 4_096;
/// As many of the whole file's, of which each may be a look into a database.
const MOST_TOP_BOXES: usize = 256;
/// As much as is looked at of what a file says of its tracks. Each begins with what is wanted of it; what makes some large
/// are tables behind that.
const MOST_MOVIE: usize = 4 * 1024 * 1024;

/// What a file says of its tracks.
#[derive(Debug, Default)]
pub(super) struct Movie {
    pub dimensions: Option<(u32, u32)>,
    pub duration_ms: Option<u64>,
    has_video: bool,
    has_sound: bool,
}

/// The kind, by the brand; where that says nothing of it, by what tracks there are.
pub(super) fn kind(head: &[u8], file: &dyn File) -> &'static str {
    match &at::<4>(head, 8).unwrap_or_default() {
        b"M4A " | b"M4B " | b"M4P " => "audio/mp4",
        b"qt  " => "video/quicktime",
        b"avif" | b"avis" => "image/avif",
        b"heic" | b"heix" | b"heim" | b"heis" | b"hevc" | b"hevx" | b"mif1" | b"msf1" => "image/heic",
        [b'3', b'g', ..] => "video/3gpp",
        _ => {
            let movie = Movie::of(file);
            if movie.has_sound && !movie.has_video { "audio/mp4" } else { "video/mp4" }
        }
    }
}

/// The boxes of one level, with what is in them as far as it is there.
struct Boxes<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Boxes<'a> {
    type Item = ([u8; 4], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (name, header, length) = head(self.rest, self.rest.len() as u64)?;
        let length = usize::try_from(length).unwrap_or(usize::MAX).min(self.rest.len());
        let body = self.rest.get(header..length)?;
        self.rest = self.rest.get(length..)?;
        Some((name, body))
    }
}

/// The name of a box that begins here, the length of its header, and its own; `rest` is what there is for one that goes on to
/// the end.
fn head(bytes: &[u8], rest: u64) -> Option<([u8; 4], usize, u64)> {
    let name = at::<4>(bytes, 4)?;
    Some(match be32(bytes, 0)? {
        0 => (name, 8, rest),
        1 => (name, 16, be64(bytes, 8)?),
        length => (name, 8, length.into()),
    })
}

/// What a file says of its tracks.
fn movie(file: &dyn File) -> Option<Cow<'_, [u8]>> {
    let mut offset = 0_u64;
    for _ in 0..MOST_TOP_BOXES {
        let begin = file.read(offset, 16);
        let rest = file.length().saturating_sub(offset);
        let (name, header, length) = head(&begin, rest)?;
        let body = usize::try_from(length.min(rest)).ok()?.checked_sub(header)?;
        if &name == b"moov" {
            return Some(file.read(offset.checked_add(header as u64)?, body.min(MOST_MOVIE)));
        }
        offset = offset.checked_add(length)?;
    }
    None
}

fn boxes(bytes: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    Boxes { rest: bytes }.take(MOST_BOXES)
}

fn first(bytes: &[u8], name: [u8; 4]) -> Option<&[u8]> {
    boxes(bytes).find_map(|(found, body)| (found == name).then_some(body))
}

impl Movie {
    pub(super) fn of(file: &dyn File) -> Self {
        let mut found = Self::default();
        let said = movie(file).unwrap_or_default();
        for (name, body) in boxes(&said) {
            match &name {
                b"mvhd" => found.duration_ms = duration_ms(body),
                b"trak" => found.add(body),
                _ => {}
            }
        }
        found
    }

    fn add(&mut self, track: &[u8]) {
        let handler = first(track, *b"mdia").and_then(|media| first(media, *b"hdlr"));
        match handler.and_then(|handler| at::<4>(handler, 8)).as_ref() {
            Some(b"vide") => {
                self.has_video = true;
                self.dimensions = self.dimensions.or_else(|| first(track, *b"tkhd").and_then(dimensions));
            }
            Some(b"soun") => self.has_sound = true,
            _ => {}
        }
    }
}

/// The second version of a box has its times in 64 bits.
fn is_long(body: &[u8]) -> Option<bool> {
    Some(at::<1>(body, 0)? == [1])
}

fn duration_ms(header: &[u8]) -> Option<u64> {
    let (scale, duration) = if is_long(header)? {
        (be32(header, 20)?, be64(header, 24).filter(|duration| *duration != u64::MAX)?)
    } else {
        let duration = be32(header, 16).filter(|duration| *duration != u32::MAX)?;
        (be32(header, 12)?, duration.into())
    };
    // A fragmented file says 0 here, and how long each fragment is.
    duration.checked_mul(1_000)?.checked_div(scale.into()).filter(|duration| *duration > 0)
}

fn dimensions(header: &[u8]) -> Option<(u32, u32)> {
    let matrix = if is_long(header)? { 52 } else { 40 };
    // Numbers of 16 bits and as many behind the point.
    let (width, height) = (be32(header, matrix + 36)? >> 16, be32(header, matrix + 40)? >> 16);
    // Turned by a quarter, as phones that are held upright write it.
    let is_turned = be32(header, matrix)? == 0 && be32(header, matrix + 16)? == 0;
    Some(if is_turned { (height, width) } else { (width, height) })
}
