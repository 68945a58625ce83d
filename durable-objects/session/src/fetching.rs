//! A file to send that lies at a URL (docs/decisions/media.md): fetched under the rules of webhooks' addresses, whole or
//! not at all. What an answer means is decided by [`Errand`]; here it is asked for.

use std::time::Duration;

use gateway_domain::error::ApiError;
use gateway_domain::fetching::{Errand, Head, MAX_SECONDS, Next};
use gateway_object::outbound::{Answered, End, Outbound, USER_AGENT, within};
use worker::{CacheMode, Env, Headers, Request, RequestInit, RequestRedirect};

/// The longest media type that is handed on (RFC 6838, 4.2).
const MAX_TYPE_BYTES: usize = 255;

/// Why there is no file.
pub struct Unfetched {
    /// What its sender is told.
    pub error: ApiError,
    /// Whether it may be there later: nothing was answered, or a failure of the server's own.
    pub may_pass: bool,
}

/// Fetches a file of `most` bytes at most, piece by piece, for as long as `take` says that it wants more; what the server
/// says it is. `field` is what the caller's request calls the URL.
///
/// # Errors
/// `validation_error` naming the field, whatever went wrong: the URL is the caller's, and so is the server behind it. It
/// is not `gateway_unavailable` even where the network failed or nothing came in time, for the gateway is as well as it was
/// and trying again helps only if that server changes. `details.status` has the status of an answer that is not the file;
/// `details.maxBytes` is there when the file is too large.
pub async fn fetch(
    env: &Env,
    field: &str,
    url: &str,
    most: usize,
    take: impl FnMut(&[u8]) -> bool,
) -> Result<Option<String>, Unfetched> {
    let outbound = Outbound::of(env);
    let errand = Errand::new(field, url, most, outbound.reach()).map_err(for_good)?;
    let fetched = within(Duration::from_secs(MAX_SECONDS), run(errand, &outbound, most, take)).await;
    fetched.unwrap_or_else(|| Err(passing(Errand::late(field))))
}

async fn run(
    mut errand: Errand<'_>,
    outbound: &Outbound,
    most: usize,
    take: impl FnMut(&[u8]) -> bool,
) -> Result<Option<String>, Unfetched> {
    let mut answered = loop {
        outbound.look_up(errand.address()).await.map_err(|refused| for_good(errand.refused(refused)))?;
        let request = request(errand.address().as_str()).map_err(|_| for_good(errand.failed()))?;
        let answered = Answered::to(request).await.map_err(|_| passing(errand.failed()))?;
        let header = |name| answered.header(name);
        let [location, content_length, content_encoding, transfer_encoding] =
            ["location", "content-length", "content-encoding", "transfer-encoding"].map(header);
        let head = Head {
            status: answered.status(),
            location: location.as_deref(),
            content_length: content_length.as_deref(),
            content_encoding: content_encoding.as_deref(),
            transfer_encoding: transfer_encoding.as_deref(),
        };
        let may_pass = head.status >= 500 || head.status == 429;
        if errand.answered(&head).map_err(|error| Unfetched { error, may_pass })? == Next::Read {
            break answered;
        }
    };
    let (mut length, mut take) = (0_usize, take);
    let counted = |piece: &[u8]| {
        length = length.saturating_add(piece.len());
        take(piece)
    };
    match answered.read_to(most, counted).await {
        End::Whole => errand.ended(length).map_err(passing)?,
        End::More => return Err(for_good(errand.too_large())),
        End::Broken | End::Refused => return Err(passing(errand.failed())),
    }
    Ok(answered.header("content-type").filter(|name| name.len() <= MAX_TYPE_BYTES))
}

const fn for_good(error: ApiError) -> Unfetched {
    Unfetched { error, may_pass: false }
}

const fn passing(error: ApiError) -> Unfetched {
    Unfetched { error, may_pass: true }
}

/// What anybody could ask: it says nothing of who wants the file.
fn request(url: &str) -> worker::Result<Request> {
    let headers = Headers::new();
    headers.set("accept", "*/*")?;
    headers.set("user-agent", USER_AGENT)?;
    let mut init = RequestInit::new();
    init.with_headers(headers)
        .with_redirect(RequestRedirect::Manual)
        // Nor does a copy stay in a cache on the way, for another organization to be told from.
        .with_cache(CacheMode::NoStore);
    Request::new_with_init(url, &init)
}
