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
mod tests {
    use jpeg_encoder::{ColorType, SamplingFactor};
    use png::{BitDepth, ColorType as PngColor};

    use super::*;

    const RED: Pixel = [255, 0, 0];
    const GREEN: Pixel = [0, 200, 0];
    const BLUE: Pixel = [0, 0, 255];
    const WHITE: Pixel = [255, 255, 255];

    /// Red and green above, blue and white below.
    fn quarters(width: usize, height: usize) -> Vec<Pixel> {
        let quarter = |x, y| match (x < width / 2, y < height / 2) {
            (true, true) => RED,
            (false, true) => GREEN,
            (true, false) => BLUE,
            (false, false) => WHITE,
        };
        (0..width * height).map(|at| quarter(at % width, at / width)).collect()
    }

    fn noise(length: usize) -> Vec<u8> {
        let mut state = 0x9E37_79B9_u32;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state.to_be_bytes()[0]
        };
        (0..length).map(|_| next()).collect()
    }

    fn jpeg_of(
        width: usize,
        height: usize,
        colours: ColorType,
        samples: &[u8],
        set: impl FnOnce(&mut jpeg_encoder::Encoder<&mut Vec<u8>>),
    ) -> Vec<u8> {
        let mut file = Vec::new();
        let mut encoder = jpeg_encoder::Encoder::new(&mut file, 90);
        set(&mut encoder);
        encoder.encode(samples, width.try_into().unwrap(), height.try_into().unwrap(), colours).unwrap();
        file
    }

    fn quarters_jpeg(width: usize, height: usize, is_progressive: bool) -> Vec<u8> {
        let pixels = quarters(width, height);
        jpeg_of(width, height, ColorType::Rgb, pixels.as_flattened(), |encoder| {
            encoder.set_progressive(is_progressive);
        })
    }

    fn png_of(info: png::Info<'_>, samples: &[u8]) -> Vec<u8> {
        let mut file = Vec::new();
        let mut writer = png::Encoder::with_info(&mut file, info).unwrap().write_header().unwrap();
        writer.write_image_data(samples).unwrap();
        writer.finish().unwrap();
        file
    }

    fn info(width: usize, height: usize, color_type: PngColor, bit_depth: BitDepth) -> png::Info<'static> {
        let (width, height) = (width.try_into().unwrap(), height.try_into().unwrap());
        let mut info = png::Info::with_size(width, height);
        info.color_type = color_type;
        info.bit_depth = bit_depth;
        info
    }

    /// A PNG whose rows come in the seven passes, uncompressed. The encoder can't write one.
    fn interlaced_png(width: usize, height: usize) -> Vec<u8> {
        let pixels = quarters(width, height);
        let mut rows = Vec::new();
        for pass in ADAM7.iter().filter(|pass| pass.x < width) {
            for y in (pass.y..height).step_by(pass.dy) {
                rows.push(0);
                rows.extend((pass.x..width).step_by(pass.dx).flat_map(|x| pixels[y * width + x]));
            }
        }
        let length = u16::try_from(rows.len()).unwrap();
        let (a, b) = rows.iter().fold((1_u32, 0_u32), |(a, b), byte| {
            let a = (a + u32::from(*byte)) % 65_521;
            (a, (b + a) % 65_521)
        });
        let mut data = vec![0x78, 0x01, 0x01];
        data.extend(length.to_le_bytes());
        data.extend((!length).to_le_bytes());
        data.extend(rows);
        data.extend((b << 16 | a).to_be_bytes());

        let mut file = Vec::new();
        let mut info = info(width, height, PngColor::Rgb, BitDepth::Eight);
        info.interlaced = true;
        let mut writer = png::Encoder::with_info(&mut file, info).unwrap().write_header().unwrap();
        writer.write_chunk(png::chunk::IDAT, &data).unwrap();
        drop(writer);
        file
    }

    fn drawn(preview: &[u8]) -> Picture {
        let mut decoder = jpeg_decoder::Decoder::new(preview);
        let samples = decoder.decode().unwrap();
        let info = decoder.info().unwrap();
        assert_eq!(info.pixel_format, PixelFormat::RGB24);
        assert!(preview.len() <= MAX_PREVIEW_BYTES);
        assert!(info.width <= 96 && info.height <= 96);
        let pixels = samples.as_chunks().0.to_vec();
        Picture { width: info.width.into(), height: info.height.into(), pixels }
    }

    fn preview(file: &[u8]) -> Picture {
        drawn(&jpeg(file).expect("a preview"))
    }

    /// The middle of each quarter, named if it is one of the four colours.
    fn corners(picture: &Picture) -> String {
        let (width, height) = (picture.width, picture.height);
        let middles = [(1, 1), (3, 1), (1, 3), (3, 3)];
        let pixels = middles.map(|(x, y)| picture.pixels[height * y / 4 * width + width * x / 4]);
        pixels.map(name).concat()
    }

    fn name(pixel: Pixel) -> &'static str {
        let names = [(RED, "R"), (GREEN, "G"), (BLUE, "B"), (WHITE, "W"), ([128; 3], "-"), ([0; 3], "#")];
        names.iter().find(|(colour, _)| is_near(pixel, *colour)).map_or("?", |(_, name)| name)
    }

    fn is_near(pixel: Pixel, colour: Pixel) -> bool {
        pixel.iter().zip(colour).all(|(a, b)| a.abs_diff(b) < 24)
    }

    fn position(bytes: &[u8], part: &[u8]) -> usize {
        bytes.windows(part.len()).position(|window| window == part).unwrap()
    }

    /// A JPEG that says it is larger than it is. The decoder makes up the blocks that are not there.
    fn claiming(mut file: Vec<u8>, width: u16, height: u16) -> Vec<u8> {
        let frame = file.windows(2).position(|it| matches!(it, [0xFF, 0xC0..=0xC2])).unwrap();
        file[frame + 5..frame + 7].copy_from_slice(&height.to_be_bytes());
        file[frame + 7..frame + 9].copy_from_slice(&width.to_be_bytes());
        file
    }

    #[test]
    fn a_jpeg_of_any_kind_keeps_its_colours() {
        for is_progressive in [false, true] {
            for sampling in
                [SamplingFactor::F_1_1, SamplingFactor::F_2_2, SamplingFactor::F_2_1, SamplingFactor::F_4_1]
            {
                for restarts in [0, 3] {
                    let pixels = quarters(301, 203);
                    let file = jpeg_of(301, 203, ColorType::Rgb, pixels.as_flattened(), |encoder| {
                        encoder.set_progressive(is_progressive);
                        encoder.set_sampling_factor(sampling);
                        encoder.set_restart_interval(restarts);
                    });
                    let case = format!("{is_progressive} {sampling:?} {restarts}");
                    assert_eq!(corners(&preview(&file)), "RGBW", "{case}");
                }
            }
        }
    }

    #[test]
    fn a_grey_jpeg_is_grey() {
        let file = jpeg_of(200, 100, ColorType::Luma, &vec![128; 20_000], |_| ());
        assert_eq!(corners(&preview(&file)), "----");
    }

    #[test]
    fn inks_become_light() {
        let inks = |pixel: Pixel| match name(pixel) {
            "R" => [0, 255, 255, 0],
            "G" => [255, 0, 255, 55],
            "B" => [255, 255, 0, 0],
            _ => [0, 0, 0, 0],
        };
        let samples: Vec<_> = quarters(200, 100).into_iter().flat_map(inks).collect();
        for colours in [ColorType::Cmyk, ColorType::CmykAsYcck] {
            let file = jpeg_of(200, 100, colours, &samples, |_| ());
            assert_eq!(corners(&preview(&file)), "RGBW", "{colours:?}");
        }
        let file = jpeg_of(16, 16, ColorType::Cmyk, &[0, 0, 0, 255].repeat(256), |_| ());
        assert_eq!(corners(&preview(&file)), "####");
    }

    #[test]
    fn a_png_of_any_depth_keeps_its_colours() {
        let pixels = quarters(200, 100);
        let samples = pixels.as_flattened();
        let file = png_of(info(200, 100, PngColor::Rgb, BitDepth::Eight), samples);
        assert_eq!(corners(&preview(&file)), "RGBW");

        let wide: Vec<_> = samples.iter().flat_map(|sample| [*sample, 0x55]).collect();
        let file = png_of(info(200, 100, PngColor::Rgb, BitDepth::Sixteen), &wide);
        assert_eq!(corners(&preview(&file)), "RGBW");

        let file = png_of(info(200, 100, PngColor::Grayscale, BitDepth::One), &[0xFF; 25 * 100]);
        assert_eq!(corners(&preview(&file)), "WWWW");
        let file = png_of(info(200, 100, PngColor::Grayscale, BitDepth::Sixteen), &vec![0x80; 2 * 200 * 100]);
        assert_eq!(corners(&preview(&file)), "----");
    }

    #[test]
    fn a_palette_is_looked_up() {
        let palette = [RED, GREEN, BLUE, WHITE];
        let indices: Vec<u8> = quarters(200, 100)
            .chunks_exact(4)
            .map(|four| {
                let index = |pixel: &Pixel| palette.iter().position(|colour| colour == pixel).unwrap();
                four.iter().fold(0, |bits, pixel| bits << 2 | u8::try_from(index(pixel)).unwrap())
            })
            .collect();
        let mut info = info(200, 100, PngColor::Indexed, BitDepth::Two);
        info.palette = Some(palette.as_flattened().into());
        assert_eq!(corners(&preview(&png_of(info.clone(), &indices))), "RGBW");
        info.trns = Some((&[255, 0][..]).into());
        assert_eq!(corners(&preview(&png_of(info, &indices))), "RWBW");
    }

    #[test]
    fn a_palette_that_is_none_does_no_harm() {
        let file = |length: usize| {
            let mut info = info(20, 20, PngColor::Indexed, BitDepth::Eight);
            info.palette = Some(vec![128; length].into());
            png_of(info, &[0; 400])
        };
        for length in [3, 300, 768] {
            assert_eq!(corners(&preview(&file(length))), "----", "{length}");
        }
        for length in [1, 2, 4, 5, 767, 769, 770, 771, 3_000] {
            assert_eq!(jpeg(&file(length)), None, "{length}");
        }
    }

    #[test]
    fn what_is_clear_is_white() {
        let half_clear = |alpha: [u8; 2]| (0..40 * 20).map(move |at| alpha[usize::from(at % 40 >= 20)]);
        let samples: Vec<_> = half_clear([255, 0]).flat_map(|alpha| [255, 0, 0, alpha]).collect();
        let file = png_of(info(40, 20, PngColor::Rgba, BitDepth::Eight), &samples);
        assert_eq!(corners(&preview(&file)), "RWRW");
        let samples: Vec<_> = half_clear([127, 0]).flat_map(|alpha| [0, alpha]).collect();
        let file = png_of(info(40, 20, PngColor::GrayscaleAlpha, BitDepth::Eight), &samples);
        assert_eq!(corners(&preview(&file)), "-W-W");
    }

    #[test]
    fn an_interlaced_png_is_put_together() {
        for (width, height) in [(130, 70), (64, 64), (5, 3), (1, 1)] {
            let pixels = quarters(width, height);
            let plain = png_of(info(width, height, PngColor::Rgb, BitDepth::Eight), pixels.as_flattened());
            let expected = of_png(&plain).unwrap();
            let picture = of_png(&interlaced_png(width, height)).unwrap();
            assert_eq!(picture.pixels, expected.pixels, "{width} {height}");
        }
        assert_eq!(corners(&preview(&interlaced_png(130, 70))), "RGBW");
    }

    #[test]
    fn a_preview_is_turned_as_phones_turn_the_picture() {
        let tiff = |orientation: u8, is_big_endian: bool| {
            let start: &[u8] =
                if is_big_endian { b"MM\0*\0\0\0\x08\0\x02" } else { b"II*\0\x08\0\0\0\x02\0" };
            let (other, own): ([u8; 12], [u8; 12]) = if is_big_endian {
                ([1, 0, 0, 3, 0, 0, 0, 1, 0, 9, 0, 0], [1, 0x12, 0, 3, 0, 0, 0, 1, 0, orientation, 0, 0])
            } else {
                ([0, 1, 3, 0, 1, 0, 0, 0, 9, 0, 0, 0], [0x12, 1, 3, 0, 1, 0, 0, 0, orientation, 0, 0, 0])
            };
            [start, &other, &own, &[0; 4]].concat()
        };
        let shown = [
            (1, "RGBW"),
            (2, "GRWB"),
            (3, "WBGR"),
            (4, "BWRG"),
            (5, "RBGW"),
            (6, "BRWG"),
            (7, "WGBR"),
            (8, "GWRB"),
            (0, "RGBW"),
            (9, "RGBW"),
        ];
        for (orientation, expected) in shown {
            for is_big_endian in [false, true] {
                let pixels = quarters(400, 200);
                let file = jpeg_of(400, 200, ColorType::Rgb, pixels.as_flattened(), |encoder| {
                    encoder.add_exif_metadata(&tiff(orientation, is_big_endian)).unwrap();
                });
                let picture = preview(&file);
                let size = if (5..=8).contains(&orientation) { (48, 96) } else { (96, 48) };
                assert_eq!((picture.width, picture.height), size, "{orientation}");
                assert_eq!(corners(&picture), expected, "{orientation}");
            }
        }
    }

    #[test]
    fn a_preview_has_at_most_96_pixels_a_side_and_none_that_were_not_there() {
        let sizes = [
            ((1, 1), (1, 1)),
            ((50, 30), (50, 30)),
            ((96, 97), (95, 96)),
            ((193, 1), (96, 1)),
            ((1, 900), (1, 96)),
            ((1000, 500), (96, 48)),
            ((700, 1400), (48, 96)),
            ((4000, 3), (96, 1)),
        ];
        for ((width, height), expected) in sizes {
            let pixels = quarters(width, height);
            let picture =
                preview(&png_of(info(width, height, PngColor::Rgb, BitDepth::Eight), pixels.as_flattened()));
            assert_eq!((picture.width, picture.height), expected);
            let picture = preview(&quarters_jpeg(width, height, false));
            assert_eq!((picture.width, picture.height), expected);
        }
    }

    #[test]
    fn a_preview_of_noise_fits_too() {
        let samples: Vec<_> = noise(96 * 96 * 3).iter().map(|byte| byte / 128 * 255).collect();
        let file = png_of(info(96, 96, PngColor::Rgb, BitDepth::Eight), &samples);
        assert!(jpeg(&file).expect("a preview").len() <= MAX_PREVIEW_BYTES);
    }

    #[test]
    fn what_is_no_jpeg_or_png_has_no_preview() {
        for file in
            [&b""[..], b"\xFF", b"\xFF\xD8", b"\xFF\xD8\xFF\xD9", b"\x89PNG\r\n\x1A\n", b"GIF89a\x01\0\x01\0"]
        {
            assert_eq!(jpeg(file), None);
        }
        let mut file = quarters_jpeg(16, 16, false);
        file.resize(MAX_FILE_BYTES, 0);
        assert!(jpeg(&file).is_some());
        file.push(0);
        assert_eq!(jpeg(&file), None);
    }

    fn small_files() -> Vec<Vec<u8>> {
        let pixels = quarters(20, 18);
        let rgb = pixels.as_flattened();
        let exif = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
        vec![
            jpeg_of(20, 18, ColorType::Rgb, rgb, |encoder| encoder.add_exif_metadata(exif).unwrap()),
            jpeg_of(20, 18, ColorType::Rgb, rgb, |encoder| {
                encoder.set_progressive(true);
                encoder.set_restart_interval(2);
            }),
            jpeg_of(20, 18, ColorType::Cmyk, &noise(20 * 18 * 4), |encoder| {
                encoder.set_sampling_factor(SamplingFactor::F_2_2);
            }),
            png_of(info(20, 18, PngColor::Rgb, BitDepth::Eight), rgb),
            png_of(info(20, 18, PngColor::Rgba, BitDepth::Sixteen), &noise(20 * 18 * 8)),
            interlaced_png(20, 18),
        ]
    }

    fn is_none_or_sound(file: &[u8]) {
        if let Some(preview) = jpeg(file) {
            drawn(&preview);
        }
    }

    #[test]
    fn a_file_cut_anywhere_does_no_harm() {
        for file in small_files() {
            assert!(jpeg(&file).is_some());
            for length in 0..file.len() {
                is_none_or_sound(&file[..length]);
            }
        }
    }

    #[test]
    fn a_file_with_any_byte_changed_does_no_harm() {
        for file in small_files() {
            for at in 0..file.len() {
                let mut file = file.clone();
                file[at] ^= [0x01, 0x80, 0xFF][at % 3];
                is_none_or_sound(&file);
            }
        }
    }

    #[test]
    fn garbage_behind_a_start_does_no_harm() {
        for start in [
            &b"\xFF\xD8\xFF"[..],
            b"\x89PNG\r\n\x1A\n",
            b"\xFF\xD8\xFF\xE1\0\x40Exif\0\0II*\0\xFF\xFF\xFF\xFF",
        ] {
            for length in 0..300 {
                is_none_or_sound(&[start, &noise(length)].concat());
            }
        }
    }

    #[test]
    fn a_progressive_jpeg_is_drawn_if_its_coefficients_fit() {
        let file = |is_progressive, width, height| {
            let file = jpeg_of(16, 16, ColorType::Rgb, &[128; 768], |encoder| {
                encoder.set_sampling_factor(SamplingFactor::F_2_2);
                encoder.set_progressive(is_progressive);
            });
            claiming(file, width, height)
        };
        assert!(jpeg(&file(true, 3840, 2160)).is_some());
        assert_eq!(jpeg(&file(true, 3840, 2400)), None);
        assert!(jpeg(&file(false, 3840, 2400)).is_some());
    }

    #[test]
    fn a_jpeg_is_drawn_up_to_25_megapixels() {
        let small = jpeg_of(16, 16, ColorType::Rgb, &[128; 768], |encoder| {
            encoder.set_sampling_factor(SamplingFactor::F_2_2);
        });
        let file = |width, height| claiming(small.clone(), width, height);
        let outline = Outline::read(&file(5_120, 5_120)).unwrap();
        assert!(outline.block_visits() <= MAX_BLOCK_VISITS);
        assert!(outline.memory(640, 640) <= MAX_JPEG_MEMORY / 2);
        assert!(jpeg(&file(5_120, 5_120)).is_some());
        assert_eq!(jpeg(&file(5_128, 5_120)), None);
        assert_eq!(jpeg(&file(u16::MAX, u16::MAX)), None);
    }

    #[test]
    fn a_jpeg_of_too_many_scans_is_not_drawn() {
        let file = quarters_jpeg(64, 64, false);
        let (start, end) = (position(&file, b"\xFF\xDA"), position(&file, b"\xFF\xD9"));
        let scans = |count| [&file[..start], &file[start..end].repeat(count), b"\xFF\xD9"].concat();
        let blocks = Outline::read(&file).unwrap().blocks().0;
        let most = usize::try_from(MAX_BLOCK_VISITS / blocks).unwrap();
        assert!(Outline::read(&scans(most)).unwrap().block_visits() <= MAX_BLOCK_VISITS);
        assert!(jpeg(&scans(5)).is_some());
        assert!(scans(most + 1).len() <= MAX_FILE_BYTES);
        assert_eq!(jpeg(&scans(most + 1)), None);
    }

    #[test]
    fn colour_profiles_count_as_memory() {
        let profile = [b"\xFF\xE2\xFF\xFF", &vec![0; 65_533][..]].concat();
        let file = quarters_jpeg(16, 16, false);
        let with_profiles = [&file[..2], &profile.repeat(3), &file[2..]].concat();
        let added = |file: &[u8]| Outline::read(file).unwrap().memory(16, 16);
        assert_eq!(added(&with_profiles) - added(&file), 3 * 65_533);
    }

    #[test]
    fn a_png_is_drawn_if_its_rows_fit() {
        let file = png_of(info(65_535, 2, PngColor::Rgba, BitDepth::Sixteen), &vec![0xFF; 65_535 * 2 * 8]);
        assert!(jpeg(&file).is_some());
        let file = png_of(info(65_536, 1, PngColor::Grayscale, BitDepth::One), &[0xFF; 8_192]);
        assert_eq!(jpeg(&file), None);
    }

    #[test]
    fn a_png_of_too_many_pixels_or_bytes_is_not_drawn() {
        let bits = |height| {
            png_of(info(64_000, height, PngColor::Grayscale, BitDepth::One), &vec![0xFF; 8_000 * height])
        };
        let most = usize::try_from(MAX_PNG_PIXELS / 64_000).unwrap();
        assert!(jpeg(&bits(most)).is_some());
        assert!(bits(most + 1).len() < 10_000);
        assert_eq!(jpeg(&bits(most + 1)), None);

        for (width, height, bits_per_pixel) in
            [(65_535, 256, 1), (4_096, 4_096, 32), (4_096, 2_048, 64), (1, 65_535, 8)]
        {
            assert!(is_bounded(width, height, bits_per_pixel));
            assert!(!is_bounded(width, height + 1, bits_per_pixel));
        }
        assert!(!is_bounded(u32::MAX, u32::MAX, 64));
    }

    #[test]
    fn a_tall_png_is_averaged_by_some_of_its_rows() {
        let pixels = quarters(30, 9_000);
        let file = png_of(info(30, 9_000, PngColor::Rgb, BitDepth::Eight), pixels.as_flattened());
        let picture = of_png(&file).unwrap();
        assert_eq!((picture.width, picture.height), (1, 96));
        let tall = quarters(300, 4_000);
        let file = png_of(info(300, 4_000, PngColor::Rgb, BitDepth::Eight), tall.as_flattened());
        assert_eq!(corners(&of_png(&file).unwrap()), "RGBW");
    }
}
