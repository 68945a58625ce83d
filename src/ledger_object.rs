//! Calls into an organization's object, the ledger: typed, bounded in time, refused as the object refuses.

use std::time::Duration;

use axum::response::Response;
use futures::future::{Either, select};
use gateway_domain::error::{ApiError, ErrorCode};
use gateway_object::calls::organization::{Call, Request};
use gateway_object::calls::reader::Socket;
use gateway_object::peer::{Peer, refusal};
use serde::de::DeserializeOwned;
use worker::{Delay, Env, Headers};

use crate::auth::Organization;
use crate::error::{Refusal, internal};

/// How long the object may take, beyond the waiting the call itself asks for.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two tries: an object that was just aborted answers again within this.
const PAUSE: Duration = Duration::from_millis(400);
const TRIES: u32 = 3;

/// An organization's ledger.
pub struct LedgerObject<'a> {
    env: &'a Env,
    organization: &'a str,
}

impl<'a> LedgerObject<'a> {
    /// The ledger of an organization that somebody proved to act for.
    pub fn of(env: &'a Env, organization: &'a Organization) -> Self {
        Self { env, organization: organization.as_str() }
    }

    /// Calls it and reads its answer. Everything it can be asked may be asked twice.
    ///
    /// # Errors
    /// What the object refuses; 503 when it can't be reached in time.
    pub async fn call<T: DeserializeOwned>(&self, call: Call) -> Result<T, Refusal> {
        let waiting = match call {
            Call::Read { wait, .. } => Duration::from_secs(u64::from(wait)),
            _ => Duration::ZERO,
        };
        let request = self.request(call);
        let mut tries = TRIES;
        loop {
            tries -= 1;
            let asked = self.peer().ask(self.env, &request, PATIENCE + waiting).await;
            match asked {
                Err(error) if error.error.code == ErrorCode::GatewayUnavailable && tries > 0 => {
                    Delay::from(PAUSE).await;
                }
                answered => return answered.map_err(Refusal),
            }
        }
    }

    /// Calls it and hands its answer on as it comes.
    ///
    /// # Errors
    /// As [`LedgerObject::call`].
    pub async fn stream(&self, call: Call) -> Result<Response, Refusal> {
        let body = serde_json::to_string(&self.request(call)).map_err(|error| internal("a call", &error))?;
        self.hand_on(self.peer().send(self.env, body.as_str(), Headers::new())).await
    }

    /// Opens a WebSocket to it.
    ///
    /// # Errors
    /// As [`LedgerObject::call`].
    pub async fn socket(&self, socket: Socket) -> Result<Response, Refusal> {
        let request = self.request(Call::Open(socket));
        self.hand_on(self.peer().upgrade(self.env, &request)).await
    }

    async fn hand_on(
        &self,
        asked: impl Future<Output = worker::Result<worker::Response>>,
    ) -> Result<Response, Refusal> {
        let unreachable = || ApiError::unavailable("The event log can't be reached right now.");
        match select(std::pin::pin!(asked), Delay::from(PATIENCE)).await {
            Either::Left((Ok(response), _)) => refused(response).await,
            Either::Left((Err(error), _)) => {
                worker::console_warn!("the ledger can't be reached: {error}");
                Err(unreachable().into())
            }
            Either::Right(_) => Err(unreachable().into()),
        }
    }

    fn request(&self, call: Call) -> Request {
        Request { organization: self.organization.to_owned(), call }
    }

    fn peer(&self) -> Peer<'_> {
        Peer::organization(self.organization)
    }
}

/// An object's answer on its way out, or what it refused with.
///
/// # Errors
/// What the object refused.
pub async fn refused(response: worker::Response) -> Result<Response, Refusal> {
    if matches!(response.status_code(), 101 | 200) {
        Ok(response.into())
    } else {
        Err(refusal_in(response).await)
    }
}

/// What an object refused with.
pub async fn refusal_in(mut response: worker::Response) -> Refusal {
    match response.bytes().await {
        Ok(body) => {
            refusal(&body).map_or_else(|| internal("an object's refusal", &"not an error of ours"), Refusal)
        }
        Err(error) => internal("an object's refusal", &error),
    }
}
