//! The objects' whole interfaces: one POST with a request, answered by 200 with the call's answer as JSON, or by an
//! [`ApiError`](gateway_domain::error::ApiError) with its status.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

pub mod organization;
pub mod reader;
pub mod session;
pub mod webhook;

/// Where the request stands when it is a WebSocket upgrade, which has no body.
pub const SOCKET_HEADER: &str = "x-gateway-call";

/// On a request that has files behind its JSON: their lengths in bytes.
pub const FILES_HEADER: &str = "x-gateway-files";

/// As much of a file goes in one call, and is one row: a row holds 2 MB at most (Cloudflare, "Limits"). Files that are smaller
/// together go behind their request.
pub const PART_BYTES: usize = 1_000_000;

/// What [`FILES_HEADER`] says of these.
#[must_use]
pub fn lengths(files: &[Vec<u8>]) -> String {
    files.iter().map(|file| file.len().to_string()).collect::<Vec<_>>().join(",")
}

/// The JSON and the files of a body, by what [`FILES_HEADER`] says; `None` when the two don't fit.
#[must_use]
pub fn framed<'a>(body: &'a [u8], lengths: &str) -> Option<(&'a [u8], Vec<&'a [u8]>)> {
    let lengths: Vec<usize> =
        lengths.split(',').map(|length| length.parse().ok()).collect::<Option<Vec<_>>>()?;
    let all = lengths.iter().try_fold(0_usize, |sum, length| sum.checked_add(*length))?;
    let (json, mut rest) = body.split_at_checked(body.len().checked_sub(all)?)?;
    let mut files = Vec::with_capacity(lengths.len());
    for length in lengths {
        let (file, behind) = rest.split_at_checked(length)?;
        files.push(file);
        rest = behind;
    }
    Some((json, files))
}

/// A request as it goes into [`SOCKET_HEADER`]: header values are ASCII.
#[must_use]
pub fn to_header(request: &impl serde::Serialize) -> String {
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(request).unwrap_or_default())
}

/// The request in [`SOCKET_HEADER`].
#[must_use]
pub fn from_header<T: serde::de::DeserializeOwned>(value: &str) -> Option<T> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(value).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_told_apart_from_the_request_and_from_each_other() {
        let files = [vec![1, 2, 3], vec![], vec![4]];
        let body: Vec<u8> = [b"{}".to_vec(), files.concat()].concat();
        let (json, found) = framed(&body, &lengths(&files)).unwrap();
        assert_eq!((json, found), (b"{}".as_slice(), vec![[1, 2, 3].as_slice(), &[], &[4]]));
        for wrong in ["", "x", "-1", "7", "18446744073709551615,1", "1,,1"] {
            assert_eq!(framed(&body, wrong), None, "{wrong}");
        }
    }
}
