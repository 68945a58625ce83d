//! The preview of a picture that an image message carries, made from whatever bytes a caller sent.
//!
//! What is read is foreign and an isolate has one thread and 128 MB for all its sessions, so everything is bounded
//! before it is decoded: what a JPEG's decoder would hold and do is reckoned from its headers, and a PNG is averaged
//! row by row as it is inflated, so that only a few rows of it are ever held.

use std::io::Cursor;

use jpeg_decoder::{CodingProcess, PixelFormat};

/// The longer side of a preview, in pixels.
const SIDE: usize = 96;

/// The most a preview may take, in bytes. It travels inside the encrypted message.
const MAX_PREVIEW_BYTES: usize = 5 * 1024;

/// Tried in this order until the preview is small enough; only noise needs more than the first.
const QUALITIES: [u8; 3] = [50, 30, 10];

/// The largest file that is looked at: what WhatsApp takes as an image.
const MAX_FILE_BYTES: usize = 16 * 1024 * 1024;

/// The most a JPEG's decoder may hold. A progressive picture is held whole as coefficients, 3 bytes a pixel at the
/// usual 4:2:0 and 6 at 4:4:4: 8.3 megapixels (3840 × 2160) and 4.1. Any other is drawn at an eighth while it is read,
/// and [`MAX_BLOCK_VISITS`] bounds it first.
const MAX_JPEG_MEMORY: u64 = 25 * 1024 * 1024;

/// How many 8 × 8 blocks all scans of a JPEG may visit together: five scans over 25 megapixels at 4:2:0.
/// A visit takes up to 0.8 µs, and neither a picture nor a scan needs bytes for the blocks that it has.
const MAX_BLOCK_VISITS: u64 = 3_000_000;

/// The most pixels of a JPEG: drawing them stalls the isolate for all its sessions, for 6 ms a megapixel as phones take
/// them and 27 ms where every pixel is noise.
const MAX_JPEG_PIXELS: u64 = 25 * 1024 * 1024;

/// The longest side of a PNG. A JPEG can't say more.
const MAX_PNG_SIDE: u32 = 65_535;

/// The most pixels of a PNG: a second's work. A kilobyte of file makes up to a megabyte of rows.
const MAX_PNG_PIXELS: u64 = 16 * 1024 * 1024;

/// The most a PNG may inflate to: all its pixels as RGBA, or half of them with 16 bits a sample.
const MAX_PNG_INFLATED: u64 = 4 * MAX_PNG_PIXELS;

/// The most of a PNG that its decoder may keep. Its buffers, some rows each, come on top: 5 MB at the longest side.
const MAX_PNG_MEMORY: usize = 4 * 1024 * 1024;

/// How many rows of a large PNG are averaged for a row of the preview, at least. More change nothing that can be seen.
const ROWS_AVERAGED: usize = 8;

/// A JPEG preview of a picture (JPEG or PNG), at most 96 px on its longer side and 5 KiB; `None` when none can be made
/// within bounds.
#[must_use]
pub fn jpeg(bytes: &[u8]) -> Option<Vec<u8>> {
    if bytes.len() > MAX_FILE_BYTES {
        return None;
    }
    let picture = if bytes.starts_with(b"\x89PNG") { of_png(bytes) } else { of_jpeg(bytes) }?;
    encoded(&picture)
}

fn encoded(picture: &Picture) -> Option<Vec<u8>> {
    let width = u16::try_from(picture.width).ok()?;
    let height = u16::try_from(picture.height).ok()?;
    QUALITIES.iter().find_map(|&quality| {
        let mut file = Vec::new();
        let encoder = jpeg_encoder::Encoder::new(&mut file, quality);
        encoder.encode(picture.pixels.as_flattened(), width, height, jpeg_encoder::ColorType::Rgb).ok()?;
        (file.len() <= MAX_PREVIEW_BYTES).then_some(file)
    })
}

/// Red, green, blue.
type Pixel = [u8; 3];

/// Pixels row by row, `width` × `height` of them.
struct Picture {
    width: usize,
    height: usize,
    pixels: Vec<Pixel>,
}

impl Picture {
    /// As phones show it: `orientation` is EXIF's, and anything but 2 to 8 leaves the picture as it is.
    fn turned(self, orientation: u8) -> Option<Self> {
        let is_transposed = matches!(orientation, 5..=8);
        let is_mirrored = matches!(orientation, 2 | 3 | 7 | 8);
        let is_upside_down = matches!(orientation, 3 | 4 | 6 | 7);
        let (width, height) =
            if is_transposed { (self.height, self.width) } else { (self.width, self.height) };
        let mut pixels = Vec::with_capacity(self.pixels.len());
        for y in 0..height {
            for x in 0..width {
                let (from_x, from_y) = if is_transposed { (y, x) } else { (x, y) };
                let from_x = if is_mirrored { self.width - 1 - from_x } else { from_x };
                let from_y = if is_upside_down { self.height - 1 - from_y } else { from_y };
                pixels.push(*self.pixels.get(from_y * self.width + from_x)?);
            }
        }
        Some(Self { width, height, pixels })
    }
}

/// A large picture averaged into the cells of a small one as its pixels come, in any order.
struct Mosaic {
    width: usize,
    height: usize,
    /// Which cell a column of the large picture falls into.
    columns: Vec<usize>,
    /// Which row of cells a row of the large picture falls into is reckoned from its height.
    source_height: usize,
    cells: Vec<Cell>,
}

#[derive(Clone, Default)]
struct Cell {
    sums: [u64; 3],
    count: u64,
}

impl Mosaic {
    fn new(source_width: usize, source_height: usize) -> Option<Self> {
        if source_width == 0 || source_height == 0 {
            return None;
        }
        let longer = source_width.max(source_height);
        let scaled =
            |side: usize| side.checked_mul(SIDE.min(longer))?.checked_div(longer).map(|it| it.max(1));
        let (width, height) = (scaled(source_width)?, scaled(source_height)?);
        let columns = (0..source_width).map(|x| x * width / source_width).collect();
        Some(Self { width, height, columns, source_height, cells: vec![Cell::default(); width * height] })
    }

    /// Adds pixels of row `y`, each with its column.
    fn add(&mut self, y: usize, pixels: impl Iterator<Item = (usize, Pixel)>) {
        let row = y * self.height / self.source_height;
        let Some(cells) = self.cells.chunks_exact_mut(self.width).nth(row) else { return };
        for (x, pixel) in pixels {
            let Some(cell) = self.columns.get(x).and_then(|&column| cells.get_mut(column)) else { continue };
            for (sum, value) in cell.sums.iter_mut().zip(pixel) {
                *sum += u64::from(value);
            }
            cell.count += 1;
        }
    }

    fn picture(self) -> Picture {
        let average = |cell: &Cell| {
            cell.sums.map(|sum| {
                let value = (sum + cell.count / 2).checked_div(cell.count);
                value.and_then(|value| u8::try_from(value).ok()).unwrap_or(u8::MAX)
            })
        };
        let pixels = self.cells.iter().map(average).collect();
        Picture { width: self.width, height: self.height, pixels }
    }
}

/// `part` of `value`, in 255ths.
fn share(value: u8, part: u8) -> u8 {
    let product = u16::from(value) * u16::from(part);
    u8::try_from((product + 127) / 255).unwrap_or(u8::MAX)
}

fn of_png(bytes: &[u8]) -> Option<Picture> {
    let mut decoder =
        png::Decoder::new_with_limits(Cursor::new(bytes), png::Limits { bytes: MAX_PNG_MEMORY });
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    // Both are compressed, and neither changes a preview.
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);

    let header = decoder.read_header_info().ok()?;
    if !is_bounded(header.width, header.height, header.bits_per_pixel()) {
        return None;
    }
    let (width, height) = (usize::try_from(header.width).ok()?, usize::try_from(header.height).ok()?);
    let passes = if header.interlaced { &ADAM7[..] } else { &[Pass { x: 0, y: 0, dx: 1, dy: 1 }] };

    let mut reader = decoder.read_info().ok()?;
    // The decoder (0.18.1) panics on a palette that has half a colour or more than 256, at the first row.
    let palette = reader.info().palette.as_ref().map_or(0, |palette| palette.len());
    if palette % 3 != 0 || palette > 3 * 256 {
        return None;
    }
    let (colours, _) = reader.output_color_type();
    let mut mosaic = Mosaic::new(width, height)?;
    let every = (height / mosaic.height / ROWS_AVERAGED).max(1);
    for pass in passes.iter().filter(|pass| pass.x < width) {
        for y in (pass.y..height).step_by(pass.dy) {
            let row = reader.next_row().ok()??;
            if y % every != 0 {
                continue;
            }
            let columns = (pass.x..width).step_by(pass.dx);
            let pixels = row.data().chunks_exact(colours.samples()).map(|samples| match *samples {
                [grey] => [grey; 3],
                [grey, alpha] => on_white([grey; 3], alpha),
                [red, green, blue] => [red, green, blue],
                [red, green, blue, alpha] => on_white([red, green, blue], alpha),
                _ => [u8::MAX; 3],
            });
            mosaic.add(y, columns.zip(pixels));
        }
    }
    Some(mosaic.picture())
}

fn is_bounded(width: u32, height: u32, bits_per_pixel: usize) -> bool {
    let pixels = u64::from(width) * u64::from(height);
    width.max(height) <= MAX_PNG_SIDE
        && pixels <= MAX_PNG_PIXELS
        && (pixels * bits_per_pixel as u64).div_ceil(8) <= MAX_PNG_INFLATED
}

fn on_white(pixel: Pixel, alpha: u8) -> Pixel {
    pixel.map(|value| u8::MAX - share(u8::MAX - value, alpha))
}

/// Which pixels a pass of a PNG brings: from which on, and every how many.
struct Pass {
    x: usize,
    y: usize,
    dx: usize,
    dy: usize,
}

/// The passes of an interlaced PNG.
const ADAM7: [Pass; 7] = [
    Pass { x: 0, y: 0, dx: 8, dy: 8 },
    Pass { x: 4, y: 0, dx: 8, dy: 8 },
    Pass { x: 0, y: 4, dx: 4, dy: 8 },
    Pass { x: 2, y: 0, dx: 4, dy: 4 },
    Pass { x: 0, y: 2, dx: 2, dy: 4 },
    Pass { x: 1, y: 0, dx: 2, dy: 2 },
    Pass { x: 0, y: 1, dx: 1, dy: 2 },
];

fn of_jpeg(bytes: &[u8]) -> Option<Picture> {
    let outline = Outline::read(bytes)?;
    let mut decoder = jpeg_decoder::Decoder::new(bytes);
    decoder.read_info().ok()?;
    // What is bounded below is the picture that the decoder sees.
    let info = decoder.info()?;
    let is_as_outlined = (info.width, info.height) == (outline.width, outline.height)
        && (info.coding_process == CodingProcess::DctProgressive) == outline.is_progressive;
    let pixels = u64::from(outline.width) * u64::from(outline.height);
    if !is_as_outlined || pixels > MAX_JPEG_PIXELS || outline.block_visits() > MAX_BLOCK_VISITS {
        return None;
    }

    // The decoder draws at 1/8, 1/4, 1/2 or in full: the smallest that reaches what is asked for on either side.
    let side = u16::try_from(SIDE).ok()?;
    let asked = if info.width >= info.height { (side, u16::MAX) } else { (u16::MAX, side) };
    let (width, height) = decoder.scale(asked.0, asked.1).ok()?;
    if outline.memory(width, height) > MAX_JPEG_MEMORY {
        return None;
    }
    let pixels = decoder.decode().ok()?;

    let to_rgb: fn(&[u8]) -> Pixel = match info.pixel_format {
        PixelFormat::L8 => |samples| [samples.first().copied().unwrap_or(u8::MAX); 3],
        PixelFormat::RGB24 => |samples| samples.try_into().unwrap_or([u8::MAX; 3]),
        PixelFormat::CMYK32 => |samples| match *samples {
            [cyan, magenta, yellow, black] => {
                [cyan, magenta, yellow].map(|ink| share(u8::MAX - ink, u8::MAX - black))
            }
            _ => [u8::MAX; 3],
        },
        PixelFormat::L16 => return None,
    };
    let (width, height) = (usize::from(width), usize::from(height));
    let sample_count = info.pixel_format.pixel_bytes();
    let mut mosaic = Mosaic::new(width, height)?;
    for (y, row) in pixels.chunks_exact(width * sample_count).take(height).enumerate() {
        mosaic.add(y, row.chunks_exact(sample_count).map(to_rgb).enumerate());
    }
    mosaic.picture().turned(outline.orientation)
}

/// What decoding a JPEG would take, by its segments.
struct Outline {
    width: u16,
    height: u16,
    is_progressive: bool,
    /// How many blocks of each component, across and down, lie in the unit that scans are made of.
    sampling: Vec<(u64, u64)>,
    scans: u64,
    /// Bytes of colour profiles, which the decoder collects.
    profiles: u64,
    orientation: u8,
}

impl Outline {
    fn read(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes.strip_prefix(b"\xFF\xD8")?;
        let mut frame = None;
        let (mut scans, mut profiles, mut orientation) = (0, 0, None);
        loop {
            let (marker, after) = next_marker(rest)?;
            rest = after;
            match marker {
                0xD0..=0xD7 => continue,
                0xD9 => break,
                _ => {}
            }
            let length = usize::from(u16::from_be_bytes(*rest.first_chunk()?));
            let (segment, after) = rest.split_at_checked(length)?;
            let payload = segment.get(2..)?;
            rest = after;
            match marker {
                0xC0..=0xC2 if frame.is_none() => frame = Some((marker == 0xC2, payload)),
                0xDA => scans += 1,
                0xE1 => {
                    orientation =
                        orientation.or_else(|| exif_orientation(payload.strip_prefix(b"Exif\0\0")?));
                }
                0xE2 => profiles += u64::try_from(payload.len()).ok()?,
                _ => {}
            }
        }
        let (is_progressive, payload) = frame?;
        let [_, h0, h1, w0, w1, _, components @ ..] = payload else { return None };
        let mut sampling = Vec::with_capacity(4);
        for component in components.chunks_exact(3).take(4) {
            let factors = component.get(1)?;
            let (across, down) = (u64::from(factors >> 4), u64::from(factors & 0xF));
            if !(1..=4).contains(&across) || !(1..=4).contains(&down) {
                return None;
            }
            sampling.push((across, down));
        }
        Some(Self {
            width: u16::from_be_bytes([*w0, *w1]),
            height: u16::from_be_bytes([*h0, *h1]),
            is_progressive,
            sampling,
            scans,
            profiles,
            orientation: orientation.unwrap_or(1),
        })
    }

    /// Blocks of all components, of the whole picture and of one row of units.
    fn blocks(&self) -> (u64, u64) {
        let across = self.sampling.iter().map(|(across, _)| *across).max().unwrap_or(1);
        let down = self.sampling.iter().map(|(_, down)| *down).max().unwrap_or(1);
        let in_a_unit: u64 = self.sampling.iter().map(|(across, down)| across * down).sum();
        let row = in_a_unit * u64::from(self.width).div_ceil(8 * across);
        (row * u64::from(self.height).div_ceil(8 * down), row)
    }

    fn block_visits(&self) -> u64 {
        self.scans * self.blocks().0
    }

    /// What the decoder holds at most while it draws `width` × `height`: coefficients of two bytes, its planes, padded
    /// by up to a unit, and the picture that it makes of them.
    fn memory(&self, width: u16, height: u16) -> u64 {
        const BLOCK_BYTES: u64 = 64 * 2;
        let (all, row) = self.blocks();
        let coefficients = if self.is_progressive { all + row } else { 2 * row } * BLOCK_BYTES;
        let plane = (u64::from(width) + 32) * (u64::from(height) + 32);
        coefficients + 2 * plane * self.sampling.len() as u64 + self.profiles
    }
}

/// The next marker and what follows it. Bytes before it, stuffed or not, are passed over as the decoder does.
fn next_marker(mut rest: &[u8]) -> Option<(u8, &[u8])> {
    loop {
        let start = rest.iter().position(|byte| *byte == 0xFF)?;
        rest = rest.get(start..)?;
        let fill = rest.iter().position(|byte| *byte != 0xFF)?;
        let (marker, after) = rest.get(fill..)?.split_first()?;
        if *marker != 0 {
            return Some((*marker, after));
        }
        rest = after;
    }
}

/// The orientation that a TIFF structure tells.
fn exif_orientation(tiff: &[u8]) -> Option<u8> {
    const ORIENTATION: u16 = 0x0112;
    let is_big_endian = match tiff.first_chunk()? {
        b"II*\0" => false,
        b"MM\0*" => true,
        _ => return None,
    };
    let short = |bytes: &[u8]| {
        let bytes = *bytes.first_chunk()?;
        Some(if is_big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
    };
    let offset = *tiff.get(4..)?.first_chunk()?;
    let offset = if is_big_endian { u32::from_be_bytes(offset) } else { u32::from_le_bytes(offset) };
    let directory = tiff.get(usize::try_from(offset).ok()?..)?;
    let entries = directory.get(2..)?.chunks_exact(12).take(usize::from(short(directory)?));
    let entry = entries.into_iter().find(|entry| short(entry) == Some(ORIENTATION))?;
    u8::try_from(short(entry.get(8..)?)?).ok()
}

#[cfg(test)]
mod tests;
