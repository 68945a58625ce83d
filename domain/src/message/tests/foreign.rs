//! Bytes nobody meant well with: nothing panics, nothing runs for ever, and what is found is sensible.

use super::media_type::{dimensions, duration_ms, is_animated, sniff};
use super::samples::{self, SOUND, video};
use super::*;

/// A small generator of numbers (xorshift64*): the same in every run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, most: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(most).unwrap()).unwrap()
    }
}

fn look_at(bytes: &[u8]) {
    let bytes = &bytes;
    let kind = sniff(bytes);
    assert!(kind.is_none_or(media_type::is_media_type), "{kind:?}");
    if let Some((width, height)) = dimensions(bytes) {
        assert!(width > 0 && height > 0);
    }
    assert_ne!(duration_ms(bytes), Some(0));
    let _either = is_animated(bytes);
    for kind in
        [MediaKind::Image, MediaKind::Video, MediaKind::Audio, MediaKind::Document, MediaKind::Sticker]
    {
        let source = Source::Data(0);
        let media = Media { kind, source, mimetype: None, caption: None, filename: None };
        match media.examine(bytes, "media", None) {
            Ok(facts) => {
                assert!(media_type::is_media_type(&facts.mimetype));
                assert!(facts.seconds.is_none_or(|seconds| seconds >= 1));
                assert_eq!(facts.filename.is_some(), kind == MediaKind::Document);
            }
            Err(error) => assert_eq!(refusal(&error).1, "media.data"),
        }
    }
}

fn seeds() -> Vec<Vec<u8>> {
    vec![
        samples::png(640, 480),
        samples::jpeg(640, 480),
        samples::gif(640, 480),
        samples::lossy_webp(640, 480),
        samples::lossless_webp(640, 480),
        samples::extended_webp(640, 480, true),
        samples::mp4(*b"isom", &[video(640, 480, true), SOUND], 1_000, 5_000),
        samples::mp4(*b"mp42", &[SOUND], 1_000, u64::MAX >> 8),
        samples::opus(3_000),
        samples::vorbis(),
        samples::zip(&[("mimetype", "application/epub+zip"), ("a", "b")]),
        samples::zip(&[("[Content_Types].xml", "x"), ("xl/workbook.xml", "x")]),
        b"ID3\x04\0\0\x7f\x7f\x7f\x7f".to_vec(),
        b"\xff\xfb\x90\x64".to_vec(),
        b"%PDF-1.7".to_vec(),
    ]
}

#[test]
fn every_truncation_is_looked_at_without_harm() {
    for seed in seeds() {
        for length in 0..=seed.len() {
            look_at(&seed[..length]);
        }
    }
}

#[test]
fn files_with_wrong_bytes_are_looked_at_without_harm() {
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    for seed in seeds() {
        for _ in 0..2_000 {
            let mut file = seed.clone();
            for _ in 0..=numbers.below(6) {
                let at = numbers.below(file.len());
                // Extremes more often than chance would have them: lengths and offsets are made of those.
                file[at] = match numbers.below(4) {
                    0 => 0,
                    1 => 0xff,
                    2 => 0x7f,
                    _ => numbers.next().to_le_bytes()[3],
                };
            }
            look_at(&file);
        }
    }
}

#[test]
fn random_bytes_are_looked_at_without_harm() {
    let mut numbers = Numbers(0xdead_beef_cafe_f00d);
    let seeds = seeds();
    for _ in 0..20_000 {
        let length = numbers.below(300);
        let mut file: Vec<u8> = (0..length).map(|_| numbers.next().to_le_bytes()[5]).collect();
        if numbers.below(2) == 0 {
            let seed = &seeds[numbers.below(seeds.len())];
            let kept = numbers.below(seed.len().min(40));
            file.splice(0..0, seed[..kept].iter().copied());
        }
        look_at(&file);
    }
}

#[test]
fn what_repeats_without_end_ends() {
    let many = |unit: &[u8], times: usize| unit.repeat(times);
    for file in [
        [b"\xff\xd8\xff\xe0", &many(b"\xff", 400_000)[..]].concat(),
        [b"\xff\xd8\xff\xe0\0\x02", &many(b"\xff\xe0\0\x02", 100_000)[..]].concat(),
        [&b"\0\0\0\x10ftypisom\0\0\0\0"[..], &many(b"\0\0\0\x08free", 50_000)].concat(),
        [&b"\0\0\0\x10ftypisom\0\0\0\0\0\0\0\0moov"[..], &many(b"\0\0\0\x08trak", 50_000)].concat(),
        [samples::opus(1), many(b"OggS", 100_000)].concat(),
        [&b"PK\x03\x04"[..], &many(b"PK\x05\x06", 100_000)].concat(),
        [
            &b"PK\x03\x04"[..],
            &many(b"PK\x01\x02", 100_000),
            b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\x04\0\0\0\0\0",
        ]
        .concat(),
    ] {
        look_at(&file);
    }
}

#[test]
fn random_requests_are_refused_or_right() {
    let mut numbers = Numbers(0x1234_5678_9abc_def1);
    let junk =
        [json!(null), json!(""), json!("x"), json!(-1), json!(1e308), json!([]), json!({}), json!(true)];
    let paths = [
        "text",
        "replyTo",
        "mentions",
        "name",
        "options",
        "selectableCount",
        "latitude",
        "contact",
        "media",
        "medias",
        "caption",
        "to",
    ];
    for _ in 0..20_000 {
        let kind = KINDS[numbers.below(KINDS.len())];
        let mut body = smallest(kind);
        for _ in 0..=numbers.below(2) {
            let path = format!("/{}", paths[numbers.below(paths.len())]);
            body = with(&body, &path, junk[numbers.below(junk.len())].clone());
        }
        match send(&body) {
            Ok(outgoing) => assert_eq!(outgoing.content.kind(), kind),
            Err((code, field)) => {
                assert_eq!(code, ErrorCode::ValidationError, "{body}");
                assert!(!field.is_empty(), "{body}");
            }
        }
    }
}
