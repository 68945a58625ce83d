//! Calls into a session's object: typed, bounded in time, refused as the object refuses.

use std::time::Duration;

use axum::body::Body;
use futures::future::{Either, select};
use gateway_domain::error::ApiError;
use gateway_object::calls::session::{Call, Request as SessionRequest, Settings};
use gateway_object::peer::Peer;
use serde::de::DeserializeOwned;
use worker::{Delay, Env, Headers, Response};

use crate::directory::SessionRow;
use crate::error::{Refusal, internal};
use crate::ledger_object::{refusal_in, refused};

/// How long an object may take, beyond the waiting the call itself asks for.
const PATIENCE: Duration = Duration::from_secs(15);
/// Between two tries of a call that may be repeated: an object that was just aborted answers again within this.
const PAUSE: Duration = Duration::from_millis(400);

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

    async fn reach(&self, call: Call, patience: Duration) -> Result<Response, Refusal> {
        let mut tries = if may_repeat(&call) { 3 } else { 1 };
        let body = serde_json::to_string(&self.request(call)).map_err(|error| internal("a call", &error))?;
        loop {
            tries -= 1;
            let attempt = std::pin::pin!(self.attempt(&body));
            let failure = match select(attempt, Delay::from(patience)).await {
                Either::Left((Ok(response), _)) => {
                    return match response.status_code() {
                        200 => Ok(response),
                        _ => Err(refusal_in(response).await),
                    };
                }
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

    async fn attempt(&self, body: &str) -> worker::Result<Response> {
        let peer = Peer::session(&self.row.id, self.row.region.as_deref());
        peer.send(self.env, body, Headers::new()).await
    }

    fn request(&self, call: Call) -> SessionRequest {
        SessionRequest {
            organization: self.row.organization_id.clone(),
            session: self.row.id.clone(),
            settings: Some(Settings {
                auto_read: self.row.auto_read(),
                presence_typing: self.row.presence_typing(),
                region: self.row.region.clone(),
            }),
            wish: matches!(call, Call::Start | Call::Stop | Call::Restart).then(|| self.row.desired_at()),
            call,
        }
    }
}

/// A send is never repeated by us; everything else may arrive twice.
fn may_repeat(call: &Call) -> bool {
    match call {
        Call::Send(_)
        | Call::AnswerPasskey(_)
        | Call::Delete
        | Call::Logout
        | Call::Restart
        // The second would be told that the first is running.
        | Call::StartBackfill => false,
        #[cfg(feature = "simulator")]
        Call::Panic | Call::Crash(_) | Call::Vanish { .. } => false,
        _ => true,
    }
}

fn waiting(call: &Call) -> Duration {
    match call {
        Call::Events { wait, .. } => Duration::from_secs(u64::from(*wait)),
        Call::Send(_) | Call::AnswerPasskey(_) | Call::Logout | Call::Delete => Duration::from_secs(25),
        Call::PairingCode { .. } | Call::Media { .. } => Duration::from_secs(45),
        _ => Duration::ZERO,
    }
}
