//! What files are.

use super::media_type::{
    OPUS, contradicts, dimensions, duration_ms, is_animated, is_media_type, name_in, sniff,
};
use super::samples::{self, SOUND, video};

#[test]
fn files_are_told_by_their_beginnings() {
    let docx = [("[Content_Types].xml", "x"), ("_rels/.rels", "x"), ("word/document.xml", "x")];
    let open = [("mimetype", "application/vnd.oasis.opendocument.text"), ("content.xml", "x")];
    let tagged = |frame: &[u8]| [b"ID3\x04\0\0\0\0\0\x03tag", frame].concat();
    for (file, kind) in [
        (samples::jpeg(1, 1), "image/jpeg"),
        (samples::png(1, 1), "image/png"),
        (samples::gif(1, 1), "image/gif"),
        (samples::lossy_webp(1, 1), "image/webp"),
        (samples::mp4(*b"isom", &[video(1, 1, false), SOUND], 1, 1), "video/mp4"),
        (samples::mp4(*b"mp42", &[SOUND], 1, 1), "audio/mp4"),
        (samples::mp4(*b"mp42", &[], 1, 1), "video/mp4"),
        (samples::mp4(*b"M4A ", &[SOUND], 1, 1), "audio/mp4"),
        (samples::mp4(*b"3gp4", &[SOUND], 1, 1), "video/3gpp"),
        (samples::mp4(*b"qt  ", &[SOUND], 1, 1), "video/quicktime"),
        (samples::mp4(*b"heic", &[], 1, 1), "image/heic"),
        (samples::mp4(*b"avif", &[], 1, 1), "image/avif"),
        (samples::opus(1), OPUS),
        (samples::vorbis(), "audio/ogg"),
        (b"\x1a\x45\xdf\xa3webm".to_vec(), "video/webm"),
        (b"RIFF\x24\0\0\0WAVEfmt ".to_vec(), "audio/wav"),
        (b"fLaC\0".to_vec(), "audio/flac"),
        (b"#!AMR\n\x04".to_vec(), "audio/amr"),
        (b"#!AMR-WB\n\x04".to_vec(), "audio/amr-wb"),
        (b"\xff\xfb\x90\x64".to_vec(), "audio/mpeg"),
        (b"\xff\xf3\x40\xc4".to_vec(), "audio/mpeg"),
        (b"\xff\xf1\x50\x80".to_vec(), "audio/aac"),
        (b"\xff\xf9\x50\x80".to_vec(), "audio/aac"),
        (tagged(b"\xff\xfb\x90\x64"), "audio/mpeg"),
        (tagged(b"\xff\xf1\x50\x80"), "audio/aac"),
        (b"%PDF-1.7\n".to_vec(), "application/pdf"),
        (b"\xef\xbb\xbf\n%PDF-1.7\n".to_vec(), "application/pdf"),
        (samples::zip(&[("a.txt", "x"), ("word/x", "")]), "application/zip"),
        (samples::zip(&docx), "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
        (samples::zip(&open), "application/vnd.oasis.opendocument.text"),
    ] {
        assert_eq!(sniff(&file), Some(kind), "{:?}", file.escape_ascii().to_string());
    }
    for unknown in [
        "",
        "\0",
        "hello",
        "<svg/>",
        "RIFF\0\0\0\0AVI ",
        "\u{feff}text",
        "MZ",
        "GIF88a",
        "ftyp",
        "PK",
        "Ogg",
        "ID",
        "{}",
    ] {
        assert_eq!(sniff(&unknown.as_bytes()), None, "{unknown}");
    }
    // A text in UTF-16; reserved versions, layers, rates.
    for unknown in
        [b"\xff\xfeh\0", b"\xff\xeb\x90\x64", b"\xff\xff\x90\x64", b"\xff\xfb\xf0\x64", b"\xff\xfb\x9c\x64"]
    {
        assert_eq!(sniff(unknown), None, "{unknown:?}");
    }
}

#[test]
fn pictures_and_videos_have_dimensions() {
    for (file, found) in [
        (samples::png(640, 480), Some((640, 480))),
        (samples::jpeg(640, 480), Some((640, 480))),
        (samples::gif(640, 480), Some((640, 480))),
        (samples::lossy_webp(640, 480), Some((640, 480))),
        (samples::lossless_webp(640, 480), Some((640, 480))),
        (samples::extended_webp(70_000, 480, false), Some((70_000, 480))),
        (samples::mp4(*b"isom", &[SOUND, video(640, 480, false)], 1, 1), Some((640, 480))),
        (samples::mp4(*b"isom", &[video(640, 480, true), SOUND], 1, 1), Some((480, 640))),
        (samples::mp4(*b"qt  ", &[video(640, 480, false)], 1, u64::MAX >> 20), Some((640, 480))),
        (samples::mp4(*b"isom", &[SOUND], 1, 1), None),
        (samples::png(0, 480), None),
        (b"\xff\xd8\xff\xd9".to_vec(), None),
        (b"\xff\xd8\xff\xe0\0\0\xff\xe0\0\0".to_vec(), None),
        (samples::opus(1), None),
    ] {
        assert_eq!(dimensions(&file), found, "{:?}", file.escape_ascii().to_string());
    }
    assert!(is_animated(&samples::extended_webp(512, 512, true)));
    assert!(!is_animated(&samples::extended_webp(512, 512, false)));
    assert!(!is_animated(&samples::lossy_webp(512, 512)) && !is_animated(&samples::gif(1, 1)));
}

#[test]
fn recordings_and_videos_have_a_duration() {
    for (file, found) in [
        (samples::opus(1_500), Some(1_500)),
        (samples::opus(0), None),
        (samples::mp4(*b"M4A ", &[SOUND], 44_100, 66_150), Some(1_500)),
        (samples::mp4(*b"isom", &[SOUND], 1_000_000, 5_000_000_000), Some(5_000_000)),
        (samples::mp4(*b"isom", &[SOUND], 1_000, 0), None),
        (samples::mp4(*b"isom", &[SOUND], 0, 1_000), None),
        (samples::mp4(*b"isom", &[SOUND], 1_000, u64::from(u32::MAX)), None),
        (samples::mp4(*b"isom", &[SOUND], 1_000, u64::MAX), None),
        (samples::vorbis(), None),
        (samples::png(1, 1), None),
    ] {
        assert_eq!(duration_ms(&file), found, "{:?}", file.escape_ascii().to_string());
    }
}

#[test]
fn a_file_that_is_something_else_than_declared_contradicts() {
    for (declared, sniffed) in [
        ("image/jpeg", Some("image/jpeg")),
        ("IMAGE/JPG", Some("image/jpeg")),
        ("audio/ogg", Some(OPUS)),
        ("audio/ogg; codecs=opus", Some(OPUS)),
        ("audio/opus", Some(OPUS)),
        ("audio/m4a", Some("video/mp4")),
        ("audio/mp3", Some("audio/mpeg")),
        ("audio/mpeg", None),
        ("video/mp4", Some("video/3gpp")),
        ("text/csv", None),
        ("text/csv", Some("application/pdf")),
        ("application/octet-stream", Some("image/png")),
        ("application/vnd.android.package-archive", Some("application/zip")),
        ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", Some("application/zip")),
        ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", None),
        ("application/zip", Some("application/epub+zip")),
    ] {
        assert!(!contradicts(declared, sniffed), "{declared} {sniffed:?}");
    }
    for (declared, sniffed) in [
        ("image/jpeg", Some("image/png")),
        ("image/png", None),
        ("image/png", Some("application/pdf")),
        ("application/pdf", Some("application/zip")),
        ("application/pdf", None),
        ("audio/mpeg", Some(OPUS)),
        ("video/mp4", Some("video/webm")),
        ("application/zip", Some("image/png")),
        ("application/vnd.oasis.opendocument.text", Some("application/pdf")),
    ] {
        assert!(contradicts(declared, sniffed), "{declared} {sniffed:?}");
    }
}

#[test]
fn media_types_are_written_as_the_rfc_has_them() {
    let longest = format!("a/{}", "b".repeat(127));
    for fine in
        ["image/jpeg", "audio/ogg; codecs=opus", "application/vnd.a-b+xml;charset=utf-8", "a/b", &longest]
    {
        assert!(is_media_type(fine), "{fine}");
    }
    for wrong in [
        "",
        "/",
        "image",
        "image/",
        "/jpeg",
        "image/*",
        "*/*",
        "image/jpeg/x",
        "im age/jpeg",
        "image/jpég",
        ".a/b",
        "image/jpeg\n",
        "image/jpeg; a=\u{7f}",
        "image /jpeg",
        &format!("{longest}b"),
        &format!("a/b;{}", "x".repeat(252)),
    ] {
        assert!(!is_media_type(wrong), "{wrong}");
    }
}

#[test]
fn a_url_may_end_with_a_name() {
    for (url, name) in [
        ("https://example.com/a/b.pdf?x=y.z", Some("b.pdf")),
        ("https://example.com/R%C3%A9sum%C3%A9%20(1).docx", Some("Résumé (1).docx")),
        ("https://example.com/", None),
        ("https://example.com/file", None),
        ("https://example.com/.htaccess", None),
        ("https://example.com/a.", None),
        ("https://example.com/%2e%2e%2fetc.txt", None),
        ("https://example.com/a%00.txt", None),
        ("https://example.com/%ff.txt", None),
        ("nonsense", None),
    ] {
        assert_eq!(name_in(url).as_deref(), name, "{url}");
    }
}
