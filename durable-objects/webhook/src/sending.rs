//! One request to a receiver, bounded in every way: it may answer with anything, at any pace.

use std::time::Duration;

use futures::StreamExt;
use futures::future::{Either, select};
use gateway_domain::outbound_address::{OutboundAddress, Reach};
use gateway_domain::webhook::{Secret, retry_after, signed_headers, snippet};
use gateway_object::clock;
use worker::{
    AbortController, Delay, Fetch, Headers, Method, Request, RequestInit, RequestRedirect, Response,
};

use crate::queue::Attempt;
use crate::record::{Answer, Config};
use crate::resolving::Resolver;

/// How long a receiver may take, its answer included.
const TIMEOUT: Duration = Duration::from_secs(15);
/// How long its body may take once there is a status: what it says is for people, and its lane waits.
const READING: Duration = Duration::from_secs(3);
/// As much of an answer is read.
const MAX_ANSWER_BYTES: usize = 16 * 1_024;
/// As much is said of why there was none.
const MAX_ERROR_CHARS: usize = 200;
const USER_AGENT: &str = concat!("whatsapp-gateway/", env!("CARGO_PKG_VERSION"));

/// Makes an attempt.
pub async fn send(
    config: &Config,
    secrets: &[Secret],
    attempt: &Attempt,
    reach: Reach,
    resolver: &Resolver,
) -> Answer {
    // Again, for the rules may have become stricter since it was stored, and names move.
    let address = match OutboundAddress::parse(&config.url, reach) {
        Ok(address) => address,
        Err(refused) => return Answer::Failed(format!("The url is not taken any more: {refused}")),
    };
    if let (Reach::Public, Some(name)) = (reach, address.name())
        && resolver.leads_inside(name).await
    {
        return Answer::Failed("The host has an address that is not on the internet.".to_owned());
    }
    let request = match request(&address, config, secrets, attempt) {
        Ok(request) => request,
        Err(error) => return failed("The request could not be made", &error),
    };
    exchange(request, MAX_ANSWER_BYTES, TIMEOUT).await.map_or_else(
        |error| failed("No answer", &error),
        |answer| Answer::Status {
            status: answer.status,
            retry_after: answer.retry_after,
            response: snippet(&answer.body),
        },
    )
}

fn failed(what: &str, error: &impl std::fmt::Display) -> Answer {
    Answer::Failed(format!("{what}: {error}").chars().take(MAX_ERROR_CHARS).collect())
}

fn request(
    address: &OutboundAddress,
    config: &Config,
    secrets: &[Secret],
    attempt: &Attempt,
) -> worker::Result<Request> {
    let headers = Headers::new();
    for (name, value) in config.custom_headers.iter() {
        headers.set(name, value)?;
    }
    // After the owner's: nobody speaks in our name.
    let request_id = format!("req_{}", gateway_domain::ids::mint(clock::now(), clock::random()));
    for (name, value) in signed_headers(secrets, &attempt.event_id, &request_id, clock::now(), &attempt.body)
    {
        headers.set(name, &value)?;
    }
    headers.set("content-type", "application/json")?;
    headers.set("user-agent", USER_AGENT)?;
    let mut init = RequestInit::new();
    init.with_method(Method::Post)
        .with_headers(headers)
        .with_body(Some(attempt.body.as_str().into()))
        .with_redirect(RequestRedirect::Manual);
    Request::new_with_init(address.as_str(), &init)
}

/// As much of an answer as was read.
pub struct Exchanged {
    /// Its status.
    pub status: u16,
    /// The time it asks for, in milliseconds.
    pub retry_after: Option<u64>,
    /// The beginning of its body.
    pub body: Vec<u8>,
}

/// Asks and reads the beginning of the answer. Once there is a status it counts, whatever becomes of the rest.
///
/// # Errors
/// With why there is no answer.
pub async fn exchange(request: Request, most: usize, timeout: Duration) -> Result<Exchanged, String> {
    let aborter = AbortController::default();
    let signal = aborter.signal();
    let deadline = std::pin::pin!(Delay::from(timeout));
    let fetch = Fetch::Request(request);
    let asked = std::pin::pin!(fetch.send_with_signal(&signal));
    let mut response = match select(asked, deadline).await {
        Either::Left((answered, _)) => answered.map_err(|error| error.to_string())?,
        Either::Right(_) => {
            aborter.abort();
            return Err(format!("nothing within {} s", timeout.as_secs()));
        }
    };
    let asks = response.headers().get("retry-after").ok().flatten();
    let reading = std::pin::pin!(Delay::from(READING.min(timeout)));
    let (body, is_whole) = beginning(&mut response, most, reading).await;
    if !is_whole {
        aborter.abort();
    }
    Ok(Exchanged {
        status: response.status_code(),
        retry_after: asks.and_then(|value| retry_after(&value, clock::now())),
        body,
    })
}

/// The body's first bytes, and whether that was all. Whatever is left is cancelled when its stream is dropped.
async fn beginning(
    response: &mut Response,
    most: usize,
    mut deadline: std::pin::Pin<&mut Delay>,
) -> (Vec<u8>, bool) {
    // A status without a body has no stream.
    let Ok(mut stream) = response.stream() else { return (Vec::new(), true) };
    let mut body = Vec::new();
    while let Either::Left((chunk, _)) = select(stream.next(), &mut deadline).await {
        match chunk {
            Some(Ok(chunk)) => body.extend(chunk.into_iter().take(most - body.len())),
            Some(Err(_)) => return (body, false),
            None => return (body, true),
        }
        if body.len() == most {
            return (body, false);
        }
    }
    (body, false)
}
