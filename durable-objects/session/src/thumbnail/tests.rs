//! Pictures of every kind, and what only looks like one.

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
        let start: &[u8] = if is_big_endian { b"MM\0*\0\0\0\x08\0\x02" } else { b"II*\0\x08\0\0\0\x02\0" };
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
    for start in
        [&b"\xFF\xD8\xFF"[..], b"\x89PNG\r\n\x1A\n", b"\xFF\xD8\xFF\xE1\0\x40Exif\0\0II*\0\xFF\xFF\xFF\xFF"]
    {
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
