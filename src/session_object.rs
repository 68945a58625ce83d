//! Calls into a session's object: typed, bounded in time, refused as the object refuses.

use std::time::Duration;

use axum::body::Body;
use futures::future::{Either, select};
use gateway_domain::error::ApiError;
use gateway_object::calls::session::{self, Call, Request as SessionRequest, Settings};
use gateway_object::calls::{FILES_HEADER, lengths};
use gateway_object::peer::Peer;
use http::{HeaderName, HeaderValue, StatusCode};
use js_sys::Uint8Array;
use serde::de::DeserializeOwned;
use wasm_bindgen::JsValue;
use worker::{Delay, Env, Headers, Response};

use crate::directory::SessionRow;
use crate::error::{Refusal, internal};
use crate::ledger_object::{refusal_in, refused};
use crate::passed_body::PassedBody;

/// How long an object may take, beyond the waiting the call itself asks for.
const PATIENCE: Duration = Duration::from_secs(15);
/// Between two tries of a call that may be repeated: an object that was just aborted answers again within this.
const PAUSE: Duration = Duration::from_millis(400);

/// Where a session stands with its limits (draft-ietf-httpapi-ratelimit-headers).
const RATE_LIMIT: [HeaderName; 2] =
    [HeaderName::from_static("ratelimit"), HeaderName::from_static("ratelimit-policy")];

/// A session's object. Who may call it was settled by who could find its row.
pub struct SessionObject<'a> {
    env: &'a Env,
    row: &'a SessionRow,
}

impl<'a> SessionObject<'a> {
    /// The object of a session that was found in the caller's directory.
    pub fn of(env: &'a Env, row: &'a SessionRow) -> Self {
        Self { env, row }
    }

    /// Calls it and reads its answer.
    ///
    /// # Errors
    /// What the object refuses; 503 when it can't be reached in time.
    pub async fn call<T: DeserializeOwned>(&self, call: Call) -> Result<T, Refusal> {
        let patience = PATIENCE + waiting(&call);
        let mut response = self.reach(call, patience).await?;
        let read = async { response.json::<T>().await };
        read.await.map_err(|error| internal("a session's answer", &error))
    }

    /// Calls it and hands its answer on as it comes.
    ///
    /// # Errors
    /// As [`SessionObject::call`].
    pub async fn stream(&self, call: Call) -> Result<http::Response<Body>, Refusal> {
        let patience = PATIENCE + waiting(&call);
        Ok(self.reach(call, patience).await?.into())
    }

    /// Calls it and hands its answer on as it is, its length too: none of it comes through this program's memory.
    ///
    /// # Errors
    /// As [`SessionObject::call`].
    pub async fn pass(&self, call: Call) -> Result<http::Response<Body>, Refusal> {
        let patience = PATIENCE + waiting(&call);
        let (head, body) = self.reach(call, patience).await?.into_parts();
        let mut response: http::Response<Body> = head.empty().into();
        response.extensions_mut().insert(PassedBody::new(body));
        Ok(response)
    }

    /// Opens a WebSocket to it.
    ///
    /// # Errors
    /// As [`SessionObject::call`].
    pub async fn socket(&self, call: Call) -> Result<http::Response<Body>, Refusal> {
        let request = self.request(call);
        let peer = Peer::session(&self.row.id, self.row.region.as_deref());
        let asked = std::pin::pin!(peer.upgrade(self.env, &request));
        match select(asked, Delay::from(PATIENCE)).await {
            Either::Left((Ok(response), _)) => refused(response).await,
            _ => Err(ApiError::unavailable("The session can't be reached right now.").into()),
        }
    }

    /// Keeps a part of a file whose request is still being read.
    ///
    /// # Errors
    /// As [`SessionObject::call`].
    pub async fn keep_part(
        &self,
        lot: &str,
        file: usize,
        part: session::Part,
        bytes: Vec<u8>,
    ) -> Result<(), Refusal> {
        let call = Call::KeepPart { lot: lot.to_owned(), file, part };
        let response = self.exchange(call, &[bytes], PATIENCE).await?;
        if response.status_code() == 200 { Ok(()) } else { Err(refusal_in(response).await) }
    }

    /// Sends something: its files go behind the call, not as a part of it. The answer, be it a refusal, says where the
    /// session stands with its limits.
    ///
    /// # Errors
    /// 503 when the object can't be reached in time: nobody knows then whether it has taken the message.
    pub async fn send(
        &self,
        send: session::Send,
        files: &[Vec<u8>],
    ) -> Result<http::Response<Body>, Refusal> {
        let entry = send.entry.clone();
        let status = if send.is_async { StatusCode::ACCEPTED } else { StatusCode::OK };
        let call = Call::Send(send);
        let patience = PATIENCE + waiting(&call);
        let response = self.exchange(call, files, patience).await;
        let response = response.map_err(|Refusal(error)| Refusal(error.with("outboxId", entry)))?;
        if response.status_code() == 200 {
            let mut response: http::Response<Body> = response.into();
            *response.status_mut() = status;
            return Ok(response);
        }
        let standing = RATE_LIMIT.map(|name| response.headers().get(name.as_str()).ok().flatten());
        let mut refused: http::Response<Body> = refusal_in(response).await.into();
        for (name, value) in RATE_LIMIT.iter().zip(standing) {
            if let Some(value) = value.and_then(|value| HeaderValue::from_str(&value).ok()) {
                refused.headers_mut().insert(name, value);
            }
        }
        Ok(refused)
    }

    async fn reach(&self, call: Call, patience: Duration) -> Result<Response, Refusal> {
        let response = self.exchange(call, &[], patience).await?;
        match response.status_code() {
            200 => Ok(response),
            _ => Err(refusal_in(response).await),
        }
    }

    /// Calls it, again where that does no harm, and takes its answer, whatever it is.
    async fn exchange(&self, call: Call, files: &[Vec<u8>], patience: Duration) -> Result<Response, Refusal> {
        let mut tries = if may_repeat(&call) { 3 } else { 1 };
        let json = serde_json::to_string(&self.request(call)).map_err(|error| internal("a call", &error))?;
        let body = framed(&json, files);
        let lengths = (!files.is_empty()).then(|| lengths(files));
        loop {
            tries -= 1;
            let attempt = std::pin::pin!(self.attempt(&body, lengths.as_deref()));
            let failure = match select(attempt, Delay::from(patience)).await {
                Either::Left((Ok(response), _)) => return Ok(response),
                Either::Left((Err(error), _)) => error.to_string(),
                Either::Right(_) => {
                    tries = 0;
                    "no answer in time".to_owned()
                }
            };
            worker::console_warn!("session {} can't be reached: {failure}", self.row.id);
            if tries == 0 {
                return Err(ApiError::unavailable("The session can't be reached right now.").into());
            }
            Delay::from(PAUSE).await;
        }
    }

    async fn attempt(&self, body: &JsValue, lengths: Option<&str>) -> worker::Result<Response> {
        let headers = Headers::new();
        if let Some(lengths) = lengths {
            headers.set(FILES_HEADER, lengths)?;
        }
        let peer = Peer::session(&self.row.id, self.row.region.as_deref());
        peer.send(self.env, body.clone(), headers).await
    }

    fn request(&self, call: Call) -> SessionRequest {
        SessionRequest {
            organization: self.row.organization_id.clone(),
            session: self.row.id.clone(),
            settings: brings_settings(&call).then(|| Settings {
                auto_read: self.row.auto_read(),
                presence_typing: self.row.presence_typing(),
                region: self.row.region.clone(),
                rate_per_min: self.row.rate_per_min,
                rate_per_hour: self.row.rate_per_hour,
            }),
            wish: matches!(call, Call::Start | Call::Stop | Call::Restart).then(|| self.row.desired_at()),
            call,
        }
    }
}

/// A call's body: JSON, and files behind it. In JavaScript's memory, where `fetch` wants it; a copy of ours would be one
/// more.
fn framed(json: &str, files: &[Vec<u8>]) -> JsValue {
    if files.is_empty() {
        return json.into();
    }
    let pieces = || std::iter::once(json.as_bytes()).chain(files.iter().map(Vec::as_slice));
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let body = Uint8Array::new_with_length(pieces().map(length).fold(0, u32::saturating_add));
    let mut at = 0;
    for piece in pieces() {
        let end = at + length(piece);
        body.subarray(at, end).copy_from(piece);
        at = end;
    }
    body.into()
}

/// Whether a call may arrive twice. A send may: it has the id of its outbox entry.
fn may_repeat(call: &Call) -> bool {
    match call {
        Call::AnswerPasskey(_)
        | Call::Delete
        | Call::Logout
        | Call::Restart
        // The second would be told that the first is running.
        | Call::StartBackfill => false,
        #[cfg(feature = "simulator")]
        Call::Panic | Call::Crash(_) | Call::Hold(_) | Call::Vanish { .. } => false,
        _ => true,
    }
}

/// Whether the row is as new as the call. A body may come for so long that its owner has changed something meanwhile.
const fn brings_settings(call: &Call) -> bool {
    !matches!(call, Call::KeepPart { .. } | Call::RefuseLot { .. })
}

fn waiting(call: &Call) -> Duration {
    match call {
        Call::Events { wait, .. } => Duration::from_secs(u64::from(*wait)),
        // Longer than the object lets anybody wait for WhatsApp, and shorter than an idempotency key is held.
        Call::Send(_) => Duration::from_secs(65),
        Call::AnswerPasskey(_) | Call::Logout | Call::Delete => Duration::from_secs(25),
        Call::PairingCode { .. } => Duration::from_secs(45),
        // Longer than the object waits for WhatsApp.
        Call::Media { .. } => Duration::from_secs(125),
        _ => Duration::ZERO,
    }
}
