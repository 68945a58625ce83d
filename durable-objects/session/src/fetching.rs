//! A file to send that lies at a URL (docs/decisions/media.md): fetched under the rules of webhooks' addresses, whole or
//! not at all. What an answer means is decided by [`Errand`]; here it is asked for.

use std::time::Duration;

use gateway_domain::error::ApiError;
use gateway_domain::fetching::{Errand, Head, MAX_SECONDS, Next};
use gateway_object::outbound::{Answered, End, Outbound, USER_AGENT, within};
use worker::{CacheMode, Env, Headers, Request, RequestInit, RequestRedirect};

/// The longest media type that is handed on (RFC 6838, 4.2).
const MAX_TYPE_BYTES: usize = 255;

/// A file as it was served.
pub struct Fetched {
    /// All of it.
    pub bytes: Vec<u8>,
    /// What the server says it is; nobody has looked.
    pub content_type: Option<String>,
}

/// Why there is no file.
pub enum Unfetched {
    /// It can't be had.
    Refused(ApiError),
    /// The isolate has no memory for it now.
    Crowded,
}

impl From<ApiError> for Unfetched {
    fn from(error: ApiError) -> Self {
        Self::Refused(error)
    }
}

/// Fetches a file of `most` bytes at most, into memory as long as there `is_room` for so many. `field` is what the caller's
/// request calls the URL.
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
    is_room: impl FnMut(usize) -> bool,
) -> Result<Fetched, Unfetched> {
    let outbound = Outbound::of(env);
    let errand = Errand::new(field, url, most, outbound.reach())?;
    let fetched = within(Duration::from_secs(MAX_SECONDS), run(errand, &outbound, most, is_room)).await;
    fetched.unwrap_or_else(|| Err(Errand::late(field).into()))
}

async fn run(
    mut errand: Errand<'_>,
    outbound: &Outbound,
    most: usize,
    mut is_room: impl FnMut(usize) -> bool,
) -> Result<Fetched, Unfetched> {
    loop {
        outbound.look_up(errand.address()).await.map_err(|refused| errand.refused(refused))?;
        let request = request(errand.address().as_str()).map_err(|_| errand.failed())?;
        let mut answered = Answered::to(request).await.map_err(|_| errand.failed())?;
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
        if errand.answered(&head)? == Next::Ask {
            continue;
        }
        let mut bytes = Vec::new();
        match answered.read_while(&mut bytes, most, &mut is_room).await {
            End::Whole => errand.ended(bytes.len())?,
            End::More => return Err(errand.too_large().into()),
            End::Broken => return Err(errand.failed().into()),
            End::Crowded => return Err(Unfetched::Crowded),
        }
        let content_type = answered.header("content-type").filter(|name| name.len() <= MAX_TYPE_BYTES);
        return Ok(Fetched { bytes, content_type });
    }
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
