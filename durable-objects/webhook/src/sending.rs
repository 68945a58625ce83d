//! One request to a receiver, bounded in every way: it may answer with anything, at any pace.

use std::time::Duration;

use gateway_domain::outbound_address::OutboundAddress;
use gateway_domain::webhook::{Secret, retry_after, signed_headers, snippet};
use gateway_object::clock;
use gateway_object::outbound::{Answered, Outbound, USER_AGENT, within};
use worker::{Headers, Method, Request, RequestInit, RequestRedirect};

use crate::queue::Attempt;
use crate::record::{Answer, Config};

/// How long a receiver may take, its answer included.
const TIMEOUT: Duration = Duration::from_secs(15);
/// How long its body may take once there is a status: what it says is for people, and its lane waits.
const READING: Duration = Duration::from_secs(3);
/// As much of an answer is read.
const MAX_ANSWER_BYTES: usize = 16 * 1_024;
/// As much is said of why there was none.
const MAX_ERROR_CHARS: usize = 200;

/// Makes an attempt.
pub async fn send(config: &Config, secrets: &[Secret], attempt: &Attempt, outbound: &Outbound) -> Answer {
    // Again, for the rules may have become stricter since it was stored, and names move.
    let address = match OutboundAddress::parse(&config.url, outbound.reach()) {
        Ok(address) => address,
        Err(refused) => return Answer::Failed(format!("The url is not taken any more: {refused}")),
    };
    if let Err(refused) = outbound.look_up(&address).await {
        return Answer::Failed(refused.to_string());
    }
    let request = match request(&address, config, secrets, attempt) {
        Ok(request) => request,
        Err(error) => return failed("The request could not be made", &error),
    };
    match within(TIMEOUT, Answered::to(request)).await {
        None => failed("No answer", &format!("nothing within {} s", TIMEOUT.as_secs())),
        Some(Err(error)) => failed("No answer", &error),
        Some(Ok(answered)) => read(answered).await,
    }
}

/// Reads the beginning of an answer. There is a status, so it counts, whatever becomes of the rest.
async fn read(mut answered: Answered) -> Answer {
    let mut body = Vec::new();
    let _how_it_ended = within(READING, answered.read(&mut body, MAX_ANSWER_BYTES)).await;
    let asks = answered.header("retry-after");
    Answer::Status {
        status: answered.status(),
        retry_after: asks.and_then(|value| retry_after(&value, clock::now())),
        response: snippet(&body),
    }
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
