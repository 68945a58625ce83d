//! The beginnings of files, by their specifications.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

pub fn base64(bytes: &[u8]) -> String {
    BASE64_STANDARD.encode(bytes)
}

pub fn png(width: u32, height: u32) -> Vec<u8> {
    let mut file = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR".to_vec();
    file.extend(width.to_be_bytes());
    file.extend(height.to_be_bytes());
    file.extend(b"\x08\x06\0\0\0crc!");
    file
}

pub fn jpeg(width: u16, height: u16) -> Vec<u8> {
    let mut file = vec![0xff, 0xd8, 0xff, 0xe0, 0, 16];
    file.extend(b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0");
    // A table of Huffman codes, whose marker looks like a frame's, and fill bytes.
    file.extend([0xff, 0xc4, 0, 5, 1, 2, 3, 0xff, 0xff, 0xff, 0xc2, 0, 17, 8]);
    file.extend(height.to_be_bytes());
    file.extend(width.to_be_bytes());
    file.extend([3, 1, 0x22, 0, 2, 0x11, 1, 3, 0x11, 1, 0xff, 0xda]);
    file
}

pub fn gif(width: u16, height: u16) -> Vec<u8> {
    let mut file = b"GIF89a".to_vec();
    file.extend(width.to_le_bytes());
    file.extend(height.to_le_bytes());
    file.extend([0, 0, 0, 0x3b]);
    file
}

fn webp(chunk: [u8; 4], body: &[u8]) -> Vec<u8> {
    let length = |length: usize| u32::try_from(length).unwrap().to_le_bytes();
    let mut file = b"RIFF".to_vec();
    file.extend(length(body.len() + 12));
    file.extend(b"WEBP");
    file.extend(chunk);
    file.extend(length(body.len()));
    file.extend(body);
    file
}

pub fn lossy_webp(width: u16, height: u16) -> Vec<u8> {
    let mut body = vec![0x30, 1, 0, 0x9d, 0x01, 0x2a];
    // The upper bits ask for scaling.
    body.extend((width | 0x4000).to_le_bytes());
    body.extend(height.to_le_bytes());
    webp(*b"VP8 ", &body)
}

pub fn lossless_webp(width: u32, height: u32) -> Vec<u8> {
    let mut body = vec![0x2f];
    body.extend(((width - 1) | ((height - 1) << 14)).to_le_bytes());
    webp(*b"VP8L", &body)
}

pub fn extended_webp(width: u32, height: u32, animated: bool) -> Vec<u8> {
    let mut body = vec![if animated { 0x12 } else { 0x10 }, 0, 0, 0];
    body.extend(&(width - 1).to_le_bytes()[..3]);
    body.extend(&(height - 1).to_le_bytes()[..3]);
    webp(*b"VP8X", &body)
}

fn boxed(name: [u8; 4], body: &[u8]) -> Vec<u8> {
    let mut boxed = u32::try_from(body.len() + 8).unwrap().to_be_bytes().to_vec();
    boxed.extend(name);
    boxed.extend(body);
    boxed
}

/// A track: its handler, and (of a video) how it is shown.
pub struct Track {
    pub handler: &'static [u8; 4],
    pub width: u16,
    pub height: u16,
    pub turned: bool,
}

pub const SOUND: Track = Track { handler: b"soun", width: 0, height: 0, turned: false };

pub fn video(width: u16, height: u16, turned: bool) -> Track {
    Track { handler: b"vide", width, height, turned }
}

pub fn mp4(brand: [u8; 4], tracks: &[Track], scale: u32, duration: u64) -> Vec<u8> {
    let long = u32::try_from(duration).is_err();
    let time = |time: u64| -> Vec<u8> {
        if long { time.to_be_bytes().to_vec() } else { u32::try_from(time).unwrap().to_be_bytes().to_vec() }
    };
    let mut header = vec![u8::from(long), 0, 0, 0];
    header.extend([time(1), time(2)].concat());
    header.extend(scale.to_be_bytes());
    header.extend(time(duration));
    header.extend([0; 80]);
    let mut movie = boxed(*b"mvhd", &header);
    for track in tracks {
        let mut header = vec![u8::from(long), 0, 0, 7];
        header.extend([time(1), time(2), vec![0, 0, 0, 1], vec![0; 4], time(duration), vec![0; 16]].concat());
        let one = 0x1_0000_u32;
        let (straight, across) = if track.turned { (0, one) } else { (one, 0) };
        for number in [straight, across, 0, across, straight, 0, 0, 0, 0x4000_0000] {
            header.extend(number.to_be_bytes());
        }
        header.extend((u32::from(track.width) << 16).to_be_bytes());
        header.extend((u32::from(track.height) << 16).to_be_bytes());
        let handler = boxed(*b"hdlr", &[&[0; 8], &track.handler[..], &[0; 13]].concat());
        movie.extend(boxed(*b"trak", &[boxed(*b"tkhd", &header), boxed(*b"mdia", &handler)].concat()));
    }
    let kind = boxed(*b"ftyp", &[&brand[..], &[0, 0, 2, 0], b"isomiso2"].concat());
    // The media first, its length in 64 bits: what is asked for stands at the end of a large file.
    let media = [&[0, 0, 0, 1], &b"mdat"[..], &24_u64.to_be_bytes(), &[0xff; 8]].concat();
    [kind, media, boxed(*b"moov", &movie)].concat()
}

fn page(serial: u32, granule: u64, body: &[u8]) -> Vec<u8> {
    let mut page = b"OggS\0\0".to_vec();
    page.extend(granule.to_le_bytes());
    page.extend(serial.to_le_bytes());
    page.extend([0; 8]);
    page.extend([1, u8::try_from(body.len()).unwrap()]);
    page.extend(body);
    page
}

pub fn opus(milliseconds: u64) -> Vec<u8> {
    let head = b"OpusHead\x01\x01\x38\x01\x80\xbb\0\0\0\0\0";
    let last = milliseconds * 48 + 312;
    let pages = [
        page(7, 0, head),
        page(7, 0, b"OpusTags"),
        page(7, last, b"sound"),
        // Of another stream; without a position; and what only looks like a page.
        page(8, last * 2, b"other"),
        page(7, u64::MAX, b"OggS"),
    ];
    pages.concat()
}

pub fn vorbis() -> Vec<u8> {
    page(7, 0, b"\x01vorbis\0\0\0\0\x02\x44\xac\0\0")
}

/// A zip archive of files with these names and contents, not compressed.
pub fn zip(files: &[(&str, &str)]) -> Vec<u8> {
    let (mut archive, mut list) = (Vec::new(), Vec::new());
    let length = |text: &str| u16::try_from(text.len()).unwrap();
    for (name, content) in files {
        let sizes = [u32::from(length(content)).to_le_bytes(); 2].concat();
        let common =
            [&[20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4][..], &sizes, &length(name).to_le_bytes()].concat();
        let start = u32::try_from(archive.len()).unwrap();
        archive.extend([b"PK\x03\x04", &common[..], &[0, 0], name.as_bytes(), content.as_bytes()].concat());
        let rest = [&[0; 12][..], &start.to_le_bytes()].concat();
        list.extend([b"PK\x01\x02\x14\0", &common[..], &rest, name.as_bytes()].concat());
    }
    let start = u32::try_from(archive.len()).unwrap();
    archive.extend(&list);
    archive.extend(b"PK\x05\x06\0\0\0\0");
    archive.extend([u16::try_from(files.len()).unwrap().to_le_bytes(); 2].concat());
    archive.extend(u32::try_from(list.len()).unwrap().to_le_bytes());
    archive.extend(start.to_le_bytes());
    archive.extend(b"\x03\0end");
    archive
}
