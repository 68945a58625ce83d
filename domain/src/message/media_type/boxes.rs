//! MP4 and its kin: boxes in boxes (ISO/IEC 14496-12).

use super::bytes::{at, be32, be64};

/// As many boxes of one level as are looked at.
const MOST_BOXES: usize = 4_096;

/// What a file says of its tracks.
#[derive(Debug, Default)]
pub(super) struct Movie {
    pub dimensions: Option<(u32, u32)>,
    pub duration_ms: Option<u64>,
    has_video: bool,
    has_sound: bool,
}

/// The kind, by the brand; where that says nothing of it, by what tracks there are.
pub(super) fn kind(bytes: &[u8]) -> &'static str {
    match &at::<4>(bytes, 8).unwrap_or_default() {
        b"M4A " | b"M4B " | b"M4P " => "audio/mp4",
        b"qt  " => "video/quicktime",
        b"avif" | b"avis" => "image/avif",
        b"heic" | b"heix" | b"heim" | b"heis" | b"hevc" | b"hevx" | b"mif1" | b"msf1" => "image/heic",
        [b'3', b'g', ..] => "video/3gpp",
        _ => {
            let movie = Movie::of(bytes);
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
        let name = at::<4>(self.rest, 4)?;
        let (header, length) = match be32(self.rest, 0)? {
            0 => (8, self.rest.len()),
            1 => (16, usize::try_from(be64(self.rest, 8)?).unwrap_or(usize::MAX)),
            length => (8, usize::try_from(length).unwrap_or(usize::MAX)),
        };
        let length = length.min(self.rest.len());
        let body = self.rest.get(header..length)?;
        self.rest = self.rest.get(length..)?;
        Some((name, body))
    }
}

fn boxes(bytes: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    Boxes { rest: bytes }.take(MOST_BOXES)
}

fn first(bytes: &[u8], name: [u8; 4]) -> Option<&[u8]> {
    boxes(bytes).find_map(|(found, body)| (found == name).then_some(body))
}

impl Movie {
    pub(super) fn of(bytes: &[u8]) -> Self {
        let mut movie = Self::default();
        for (name, body) in first(bytes, *b"moov").into_iter().flat_map(boxes) {
            match &name {
                b"mvhd" => movie.duration_ms = duration_ms(body),
                b"trak" => movie.add(body),
                _ => {}
            }
        }
        movie
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
