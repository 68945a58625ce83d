//! Which version of WhatsApp Web a connection claims to be (docs/decisions/version.md).
//!
//! Pinned by `WHATSAPP_VERSION`; else what the cron wrote into the directory; else, while the directory is down, what
//! this object saw there last. Only an object that knows nothing at all asks WhatsApp's page itself.

use std::time::Duration;

use futures::StreamExt;
use futures::future::{Either, select};
use gateway_domain::whatsapp_version::Version;
use serde::Deserialize;
use worker::{
    AbortController, AbortSignal, Delay, Env, Fetch, Headers, Method, Request, RequestInit, RequestRedirect,
    State,
};

/// How long the directory may take; the connection waits for it.
const DIRECTORY_TIMEOUT: Duration = Duration::from_secs(3);
/// How long the page may take, its body included.
const PAGE_TIMEOUT: Duration = Duration::from_secs(10);
/// The largest page that is read.
const MAX_PAGE_BYTES: usize = 2 * 1024 * 1024;
/// Where the object remembers the directory's last answer.
const REMEMBERED: &str = "whatsapp-version";

/// The version `WHATSAPP_VERSION` pins, if it does.
#[must_use]
pub fn pinned(env: &Env) -> Option<Version> {
    let configured = env.var("WHATSAPP_VERSION").ok()?.to_string();
    let version = Version::parse(&configured);
    if version.is_none() && !configured.is_empty() {
        worker::console_error!("WHATSAPP_VERSION is not of the form 2.3000.1042742319; it is ignored");
    }
    version
}

/// The version to claim; nothing is remembered any more once it is no longer wanted.
///
/// # Errors
/// When nothing is known and WhatsApp's page does not tell.
pub async fn to_claim(env: &Env, state: &State, is_wanted: impl Fn() -> bool) -> Result<Version, String> {
    if let Some(version) = pinned(env) {
        return Ok(version);
    }
    let remembered = state.storage().get::<String>(REMEMBERED).await.ok().flatten();
    let remembered = remembered.as_deref().and_then(Version::parse);
    let told = match in_directory(env).await {
        Ok(told) => told,
        Err(error) => {
            worker::console_warn!("the directory did not tell the version of WhatsApp: {error}");
            None
        }
    };
    let version = match told.or(remembered) {
        Some(version) => version,
        None => ask_page(env).await.or_else(built_in)?,
    };
    if Some(version) != remembered
        && is_wanted()
        && let Err(error) = state.storage().put(REMEMBERED, version.to_string()).await
    {
        worker::console_warn!("the version of WhatsApp could not be remembered: {error}");
    }
    Ok(version)
}

async fn in_directory(env: &Env) -> worker::Result<Option<Version>> {
    #[derive(Deserialize)]
    struct Row {
        fetched: Option<String>,
    }
    let read = async {
        #[allow(clippy::disallowed_methods, reason = "the version is no tenant's")]
        let statement = env.d1("DB")?.prepare("SELECT fetched FROM whatsapp_version WHERE id = 1");
        statement.first::<Row>(None).await
    };
    match select(std::pin::pin!(read), Delay::from(DIRECTORY_TIMEOUT)).await {
        Either::Left((row, _)) => Ok(row?.and_then(|row| row.fetched).as_deref().and_then(Version::parse)),
        Either::Right(_) => Err(worker::Error::RustError("no answer in time".to_owned())),
    }
}

/// Asks WhatsApp's page.
///
/// # Errors
/// When it does not answer in time and in bounds, or does not name a version.
pub async fn ask_page(env: &Env) -> Result<Version, String> {
    let address = page_address(env)?;
    let aborter = AbortController::default();
    let signal = aborter.signal();
    let page = match select(std::pin::pin!(fetch(&address, &signal)), Delay::from(PAGE_TIMEOUT)).await {
        Either::Left((page, _)) => page.map_err(|error| error.to_string()),
        Either::Right(_) => {
            aborter.abort();
            Err("no answer in time".to_owned())
        }
    };
    let told = page.and_then(|page| Version::on_page(&page).ok_or_else(|| "it names no version".to_owned()));
    told.map_err(|error| format!("WhatsApp's page {address} does not tell the version: {error}"))
}

/// Where the page is: fixed, so that no configuration can lead elsewhere (rule 8).
#[cfg(not(feature = "simulator"))]
#[allow(clippy::unnecessary_wraps, reason = "the simulator build's twin can fail")]
fn page_address(_: &Env) -> Result<String, String> {
    Ok("https://web.whatsapp.com/sw.js".to_owned())
}

/// Where the page is: beside the simulator's socket.
#[cfg(feature = "simulator")]
fn page_address(env: &Env) -> Result<String, String> {
    let socket = env.var("WHATSAPP_URL").map_err(|_| "WHATSAPP_URL is not set".to_owned())?.to_string();
    let mut page =
        worker::Url::parse(&socket.replacen("wss://", "https://", 1).replacen("ws://", "http://", 1))
            .map_err(|error| error.to_string())?;
    page.set_path("/sw.js");
    Ok(page.into())
}

/// There is no guessing in production.
#[cfg(not(feature = "simulator"))]
fn built_in(error: String) -> Result<Version, String> {
    Err(error)
}

/// A simulator takes any version.
#[cfg(feature = "simulator")]
fn built_in(error: String) -> Result<Version, String> {
    Version::parse("2.3000.1042742319").ok_or(error)
}

async fn fetch(address: &str, signal: &AbortSignal) -> worker::Result<String> {
    let headers = Headers::new();
    // The page is another one for who does not look like a browser that opens it.
    headers.set("sec-fetch-site", "none")?;
    headers.set(
        "user-agent",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
    )?;
    let mut init = RequestInit::new();
    init.with_method(Method::Get).with_headers(headers).with_redirect(RequestRedirect::Manual);
    let request = Request::new_with_init(address, &init)?;
    let mut response = Fetch::Request(request).send_with_signal(signal).await?;
    if response.status_code() != 200 {
        return Err(worker::Error::RustError(format!("status {}", response.status_code())));
    }
    let mut stream = response.stream()?;
    let mut bytes = Vec::new();
    while let Some(chunk) = stream.next().await {
        bytes.extend(chunk?);
        if bytes.len() > MAX_PAGE_BYTES {
            return Err(worker::Error::RustError("it is too large".to_owned()));
        }
    }
    String::from_utf8(bytes).map_err(|_| worker::Error::RustError("it is not UTF-8".to_owned()))
}
