//! Operations with an `Idempotency-Key`: done once, answered again (docs/decisions/idempotency.md). The door calls it
//! between a caller who may and the handler.

use std::convert::Infallible;

use axum::body::{Body, to_bytes};
use axum::extract::FromRequestParts;
use axum::middleware::Next;
use axum::response::Response;
use futures::StreamExt;
use gateway_domain::access::Operation;
use gateway_domain::error::ApiError;
use gateway_domain::idempotency::{self, Answer, Ending, Fingerprint, HEADER, REPLAYED, Turn};
use gateway_domain::ids;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Request, StatusCode, header};
use worker::Env;

use crate::auth::Organization;
use crate::configuration::{now, random};
use crate::directory::Directory;
use crate::error::{Refusal, internal};
use crate::routes::verbs;
use crate::send_body::Files;

/// The largest body, its files taken out. Its handler says so too.
const MAX_BODY_BYTES: usize = 1_024 * 1_024;

/// What a handler finds on the extensions of a request with a key.
#[derive(Clone)]
pub struct Idempotency {
    /// The caller's key.
    pub key: String,
    /// A ULID for what the operation makes: the same for every attempt of this request.
    pub resource_id: String,
    /// Whether there was an attempt before of which nobody knows what it did: it may be there already.
    pub is_again: bool,
}

/// An id for what a handler makes: that of the request's key, so that a second attempt finds what the first made.
pub struct NewId {
    /// The id.
    pub id: String,
    /// Whether it may be there already.
    pub may_exist: bool,
}

impl<S: Sync> FromRequestParts<S> for NewId {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(match parts.extensions.get::<Idempotency>() {
            Some(given) => Self { id: given.resource_id.clone(), may_exist: given.is_again },
            None => Self { id: ids::mint(now(), random()), may_exist: false },
        })
    }
}

/// On an answer that was given before.
#[derive(Clone, Copy)]
struct Replay;

/// Whether an answer is one that was given before: then nothing was done.
pub fn is_replay(response: &Response) -> bool {
    response.extensions().get::<Replay>().is_some()
}

/// Says of an answer that what it shows was made before, and what is shown once is missing.
pub fn shown_before(mut response: Response) -> Response {
    if let Ok(name) = HeaderName::from_bytes(REPLAYED.as_bytes()) {
        response.headers_mut().insert(name, HeaderValue::from_static("true"));
    }
    response
}

/// Runs an operation, or answers what it answered before to the same request with the same key.
pub async fn once(
    env: &Env,
    operation: &'static Operation,
    organization: &Organization,
    request: Request<Body>,
    next: Next,
) -> Response {
    if request.method().is_safe() {
        return next.run(request).await;
    }
    let given = request.headers().get_all(HEADER).iter().map(HeaderValue::as_bytes);
    let begun = match idempotency::key(given) {
        Ok(None) => return next.run(request).await,
        Ok(Some(key)) => begin(env, operation, organization, key, request).await,
        Err(error) => Err(error.into()),
    };
    match begun {
        Ok(Begun::Run(attempt, request)) => attempt.end(next.run(request).await).await,
        Ok(Begun::Replay(answer)) => replay(answer).unwrap_or_else(Into::into),
        Err(refusal) => refusal.into(),
    }
}

enum Begun {
    Run(Attempt, Request<Body>),
    Replay(Answer),
}

/// Somebody who has a key.
struct Attempt {
    directory: Directory,
    operation: &'static Operation,
    given: Idempotency,
    holder: String,
}

async fn begin(
    env: &Env,
    operation: &'static Operation,
    organization: &Organization,
    key: String,
    request: Request<Body>,
) -> Result<Begun, Refusal> {
    let (fingerprint, mut request) = fingerprint(request).await?;
    let directory = Directory::of(env, organization)?;
    let at = now();
    let holder = ids::mint(at, random());
    let held = directory.take_idempotency_key(&key, &fingerprint, &holder, at).await?;
    match held.turn(&holder, &fingerprint, at)? {
        Turn::Replay(answer) => Ok(Begun::Replay(answer)),
        Turn::Run { resource_id, is_again } => {
            let given = Idempotency { key, resource_id, is_again };
            request.extensions_mut().insert(given.clone());
            Ok(Begun::Run(Attempt { directory, operation, given, holder }, request))
        }
    }
}

/// What tells the request apart, and the request. The body is read once, and handed on in the pieces it came in.
async fn fingerprint(request: Request<Body>) -> Result<(String, Request<Body>), Refusal> {
    let too_large = || ApiError::validation("body", "Must be whole, and 1 MiB at most.");
    let (parts, body) = request.into_parts();
    let path = verbs::to_public(parts.uri.path());
    let mut fingerprint =
        Fingerprint::of(parts.method.as_str(), &path, parts.uri.query().unwrap_or_default());
    let (mut pieces, mut length) = (Vec::new(), 0_usize);
    let mut stream = body.into_data_stream();
    while let Some(piece) = stream.next().await {
        let piece = piece.map_err(|_| too_large())?;
        length = length.saturating_add(piece.len());
        if length > MAX_BODY_BYTES {
            return Err(too_large().into());
        }
        fingerprint.add(&piece);
        pieces.push(piece);
    }
    for file in parts.extensions.get::<Files>().iter().flat_map(|files| files.found.iter()) {
        fingerprint.add(&file.sha256);
    }
    let body = Body::from_stream(futures::stream::iter(pieces.into_iter().map(Ok::<_, Infallible>)));
    Ok((fingerprint.finish(), Request::from_parts(parts, body)))
}

fn replay(answer: Answer) -> Result<Response, Refusal> {
    let status = StatusCode::from_u16(answer.status).map_err(|error| internal("a kept answer", &error))?;
    let content_type = answer.content_type.as_deref().and_then(|kind| HeaderValue::from_str(kind).ok());
    let mut response = Response::new(Body::from(answer.replayed()?));
    *response.status_mut() = status;
    if let Some(content_type) = content_type {
        response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    }
    response.extensions_mut().insert(Replay);
    Ok(shown_before(response))
}

impl Attempt {
    /// Keeps the answer, or gives up the key. When the directory can't be told, the answer stands: the key is free when
    /// its lease is over, and what was made is found by its id.
    async fn end(self, response: Response) -> Response {
        let (parts, body) = response.into_parts();
        // Handlers answer with what they have in memory.
        let Ok(bytes) = to_bytes(body, usize::MAX).await else {
            return internal("an answer", &"broke off").into();
        };
        let status = parts.status.as_u16();
        let (key, holder) = (self.given.key.as_str(), self.holder.as_str());
        let told = match Ending::of(status, self.given.is_again) {
            Ending::Done => {
                let content_type =
                    parts.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
                let answer = Answer::kept(self.operation.id, status, content_type, &bytes);
                self.directory.keep_idempotent_answer(key, holder, &answer).await
            }
            Ending::Refused => self.directory.forget_idempotency_key(key, holder).await,
            Ending::Unknown => self.directory.release_idempotency_key(key, holder).await,
        };
        if told.is_err() {
            worker::console_error!("{}: the end of attempt {} is not kept", self.operation.id, self.holder);
        }
        Response::from_parts(parts, Body::from(bytes))
    }
}
