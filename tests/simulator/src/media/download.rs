//! A file on its way from a media host: whole, a part of it, or damaged.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream;

use crate::faults::Damage;

/// How much goes out at a time.
const PIECE: usize = 64 << 10;

/// How many are downloading a file.
#[derive(Clone, Debug, Default)]
pub struct UnderWay(Arc<AtomicUsize>);

impl UnderWay {
    pub fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    fn begin(&self) -> One {
        self.0.fetch_add(1, Ordering::Relaxed);
        One(Arc::clone(&self.0))
    }
}

/// One of them, until it is dropped.
struct One(Arc<AtomicUsize>);

impl Drop for One {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A file, or the part of it that was asked for.
pub fn sent(bytes: &Bytes, headers: &HeaderMap, under_way: &UnderWay) -> Response {
    let total = bytes.len();
    let wanted = headers.get(header::RANGE).and_then(|range| range.to_str().ok());
    let Some(range) = wanted.and_then(|range| range.strip_prefix("bytes=")) else {
        return file(StatusCode::OK, bytes.clone(), bytes.len(), End::Whole, under_way);
    };
    let (start, end) = range.split_once('-').unwrap_or((range, ""));
    let start = start.parse().unwrap_or(0usize);
    let end = end.parse().map_or(total, |end: usize| (end + 1).min(total));
    if start >= end {
        let mut response = StatusCode::RANGE_NOT_SATISFIABLE.into_response();
        described(&mut response, &format!("bytes */{total}"));
        return response;
    }
    let part = bytes.slice(start..end);
    let mut response = file(StatusCode::PARTIAL_CONTENT, part, end - start, End::Whole, under_way);
    described(&mut response, &format!("bytes {start}-{}/{total}", end - 1));
    response
}

/// A file that isn't what was uploaded.
pub fn damaged_file(bytes: &Bytes, damage: Damage, under_way: &UnderWay) -> Response {
    let flipped = |at: usize| {
        let mut bytes = bytes.to_vec();
        if let Some(byte) = bytes.get_mut(at) {
            *byte ^= 0xFF;
        }
        Bytes::from(bytes)
    };
    let (middle, last) = (bytes.len() / 2, bytes.len().saturating_sub(1));
    let (bytes, end) = match damage {
        Damage::Mac => (flipped(last), End::Whole),
        Damage::Middle => (flipped(middle), End::Whole),
        Damage::Short => (bytes.slice(..last), End::Whole),
        Damage::Long => ([bytes, &[0][..]].concat().into(), End::Whole),
        Damage::Cut => (bytes.slice(..middle), End::Lost),
        Damage::Stall => (bytes.slice(..middle), End::Never),
    };
    let length = if matches!(end, End::Whole) { bytes.len() } else { last + 1 };
    file(StatusCode::OK, bytes, length, end, under_way)
}

/// What comes after the bytes there are.
#[derive(Clone, Copy)]
enum End {
    /// Nothing: they are all.
    Whole,
    /// The connection is lost.
    Lost,
    /// Nothing, and the connection stays.
    Never,
}

fn file(status: StatusCode, bytes: Bytes, length: usize, end: End, under_way: &UnderWay) -> Response {
    let one = under_way.begin();
    let pieces = stream::unfold(bytes, |mut bytes| async move {
        let piece = bytes.split_to(PIECE.min(bytes.len()));
        (!piece.is_empty()).then_some((Ok(piece), bytes))
    });
    let end = stream::once(async move {
        let _until_then = one;
        match end {
            End::Whole => Ok(Bytes::new()),
            End::Lost => Err(std::io::Error::other("on demand")),
            End::Never => std::future::pending().await,
        }
    });
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::ACCEPT_RANGES, "bytes".to_owned()),
        (header::CONTENT_LENGTH, length.to_string()),
    ];
    (status, headers, Body::from_stream(pieces.chain(end))).into_response()
}

fn described(response: &mut Response, range: &str) {
    if let Ok(range) = HeaderValue::from_str(range) {
        response.headers_mut().insert(header::CONTENT_RANGE, range);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(range: &'static str) -> (u16, Option<String>) {
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, HeaderValue::from_static(range));
        let response = sent(&Bytes::from_static(b"0123456789"), &headers, &UnderWay::default());
        let described = response.headers().get(header::CONTENT_RANGE);
        (response.status().as_u16(), described.map(|range| range.to_str().unwrap().to_owned()))
    }

    #[test]
    fn a_range_is_a_part_and_says_which() {
        assert_eq!(range("bytes=2-4"), (206, Some("bytes 2-4/10".into())));
        assert_eq!(range("bytes=7-"), (206, Some("bytes 7-9/10".into())));
        assert_eq!(range("bytes=7-99"), (206, Some("bytes 7-9/10".into())));
        assert_eq!(range("bytes=10-"), (416, Some("bytes */10".into())));
        assert_eq!(range("lines=1-2"), (200, None));
    }
}
