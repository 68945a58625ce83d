//! A QR code as a picture: four modules of quiet zone (ISO/IEC 18004), black on white.

use qrcode::render::svg;
use qrcode::{Color, EcLevel, QrCode};

const QUIET: usize = 4;
const PIXELS_A_MODULE: usize = 8;

/// The picture as SVG.
pub fn svg(content: &str) -> Option<String> {
    Some(code(content)?.render::<svg::Color<'_>>().min_dimensions(256, 256).quiet_zone(true).build())
}

/// The picture as PNG, one bit a pixel.
pub fn png(content: &str) -> Option<Vec<u8>> {
    let code = code(content)?;
    let modules = code.width();
    let dark = code.to_colors();
    let size = (modules + 2 * QUIET) * PIXELS_A_MODULE;
    let is_dark = |x: usize, y: usize| {
        let module =
            |pixel: usize| (pixel / PIXELS_A_MODULE).checked_sub(QUIET).filter(|module| *module < modules);
        match (module(x), module(y)) {
            (Some(column), Some(row)) => dark.get(row * modules + column) == Some(&Color::Dark),
            _ => false,
        }
    };
    // A row is packed into bytes, the leftmost pixel in the highest bit; white is 1.
    let packed: Vec<u8> = (0..size)
        .flat_map(|y| {
            (0..size.div_ceil(8)).map(move |byte| {
                (0..8).fold(0_u8, |bits, bit| {
                    let x = byte * 8 + bit;
                    (bits << 1) | u8::from(!is_dark(x, y))
                })
            })
        })
        .collect();
    let size = u32::try_from(size).ok()?;
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, size, size);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::One);
    encoder.write_header().ok()?.write_image_data(&packed).ok()?;
    Some(file)
}

fn code(content: &str) -> Option<QrCode> {
    QrCode::with_error_correction_level(content, EcLevel::L).ok()
}
