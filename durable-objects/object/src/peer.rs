//! How an object is reached: typed, bounded in time, refused as the object refuses. A call into an object whose isolate
//! has panicked hangs rather than fails (rule 5).

use std::time::Duration;

use futures::future::{Either, select};
use gateway_domain::error::{ApiError, ErrorDetail};
use gateway_domain::session::JURISDICTION;
use js_sys::Reflect;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use wasm_bindgen::{JsCast, JsValue};
use worker::{
    Delay, Env, EnvBinding, Headers, Method, ObjectNamespace, Request, RequestInit, Response, Stub,
};

use crate::calls::{SOCKET_HEADER, to_header};

/// The classes of objects, by their bindings.
#[derive(Clone, Copy, Debug)]
pub enum Class {
    /// One number.
    Session,
    /// An organization's ledger.
    Organization,
    /// A webhook's postman.
    Webhook,
}

impl Class {
    const fn binding(self) -> &'static str {
        match self {
            Self::Session => "SESSIONS",
            Self::Organization => "ORGANIZATIONS",
            Self::Webhook => "WEBHOOKS",
        }
    }
}

/// Which object.
#[derive(Clone, Copy, Debug)]
pub struct Peer<'a> {
    /// Its class.
    pub class: Class,
    /// Its name.
    pub name: &'a str,
    /// A location hint, or the jurisdiction.
    pub region: Option<&'a str>,
}

impl<'a> Peer<'a> {
    /// The session's object.
    #[must_use]
    pub const fn session(id: &'a str, region: Option<&'a str>) -> Self {
        Self { class: Class::Session, name: id, region }
    }

    /// The organization's ledger.
    #[must_use]
    pub const fn organization(id: &'a str) -> Self {
        Self { class: Class::Organization, name: id, region: None }
    }

    /// The webhook's postman.
    #[must_use]
    pub const fn webhook(id: &'a str) -> Self {
        Self { class: Class::Webhook, name: id, region: None }
    }

    /// The stub.
    ///
    /// # Errors
    /// When there is no such binding or region.
    pub fn stub(&self, env: &Env) -> worker::Result<Stub> {
        let objects = env.durable_object(self.class.binding())?;
        match self.region {
            Some(JURISDICTION) => within_jurisdiction(&objects)?.get_by_name(self.name),
            Some(region) => objects.get_by_name_with_location_hint(self.name, region),
            None => objects.get_by_name(self.name),
        }
    }

    /// Sends a request with a body, JSON or [framed](crate::calls::framed), and returns the answer as it is, whatever its
    /// status.
    ///
    /// # Errors
    /// When the object can't be reached.
    pub async fn send(
        &self,
        env: &Env,
        body: impl Into<JsValue>,
        headers: Headers,
    ) -> worker::Result<Response> {
        #[cfg(feature = "simulator")]
        gateway_sql::costs::request();
        let mut init = RequestInit::new();
        init.with_method(Method::Post).with_headers(headers).with_body(Some(body.into()));
        self.stub(env)?.fetch_with_request(Request::new_with_init("https://object/", &init)?).await
    }

    /// Asks for a WebSocket: an upgrade has no body, so the request goes in a header.
    ///
    /// # Errors
    /// When the object can't be reached.
    pub async fn upgrade(&self, env: &Env, request: &impl Serialize) -> worker::Result<Response> {
        let headers = Headers::new();
        headers.set("upgrade", "websocket")?;
        headers.set(SOCKET_HEADER, &to_header(request))?;
        let mut init = RequestInit::new();
        init.with_method(Method::Get).with_headers(headers);
        self.stub(env)?.fetch_with_request(Request::new_with_init("https://object/", &init)?).await
    }

    /// Calls it once and reads its answer.
    ///
    /// # Errors
    /// What the object refuses; `gateway_unavailable` when it can't be reached in time.
    pub async fn ask<T: DeserializeOwned>(
        &self,
        env: &Env,
        request: &impl Serialize,
        patience: Duration,
    ) -> Result<T, ApiError> {
        let unreachable = |error: String| {
            worker::console_warn!("{:?} {} can't be reached: {error}", self.class, self.name);
            ApiError::unavailable("A part of the gateway can't be reached right now.")
        };
        let body = serde_json::to_string(request).map_err(|error| unreachable(error.to_string()))?;
        let asked = async {
            let response = self.send(env, body.as_str(), Headers::new()).await?;
            let status = response.status_code();
            worker::Result::Ok((status, { response }.bytes().await?))
        };
        let (status, bytes) = match select(std::pin::pin!(asked), Delay::from(patience)).await {
            Either::Left((answered, _)) => {
                answered.map_err(|error: worker::Error| unreachable(error.to_string()))?
            }
            Either::Right(_) => return Err(unreachable("no answer in time".to_owned())),
        };
        if status == 200 {
            return serde_json::from_slice(&bytes).map_err(|error| unreachable(error.to_string()));
        }
        Err(refusal(&bytes).unwrap_or_else(|| unreachable(format!("status {status}"))))
    }
}

/// The error an object answered with.
#[must_use]
pub fn refusal(body: &[u8]) -> Option<ApiError> {
    #[derive(Deserialize)]
    struct Answer {
        error: ErrorDetail,
    }
    serde_json::from_slice::<Answer>(body).ok().map(|answer| ApiError { error: answer.error })
}

/// An object's answer.
///
/// # Errors
/// `internal` when it can't be written as JSON.
pub fn reply(answer: &impl Serialize) -> Result<Response, ApiError> {
    Response::from_json(answer).map_err(|error| {
        worker::console_error!("answer: {error}");
        ApiError::internal()
    })
}

/// An object's refusal.
///
/// # Errors
/// When the runtime refuses the response.
pub fn refuse(error: &ApiError) -> worker::Result<Response> {
    let headers = Headers::new();
    headers.set("content-type", "application/json")?;
    Ok(Response::from_bytes(error.body().into_bytes())?.with_status(error.status()).with_headers(headers))
}

/// The objects that live in the jurisdiction and nowhere else (Durable Objects, "Data location"). workers-rs has no
/// method for it; another namespace's object of the same name would be another object, so there is no falling back.
#[cfg(not(feature = "simulator"))]
fn within_jurisdiction(objects: &ObjectNamespace) -> worker::Result<ObjectNamespace> {
    let method: js_sys::Function = Reflect::get(objects.as_ref(), &"jurisdiction".into())?.dyn_into()?;
    ObjectNamespace::get(method.call1(objects.as_ref(), &JURISDICTION.into())?)
}

/// workerd on one's own machine has no jurisdictions and refuses the call.
#[cfg(feature = "simulator")]
fn within_jurisdiction(objects: &ObjectNamespace) -> worker::Result<ObjectNamespace> {
    let method: js_sys::Function = Reflect::get(objects.as_ref(), &"jurisdiction".into())?.dyn_into()?;
    let within = method.call1(objects.as_ref(), &JURISDICTION.into());
    ObjectNamespace::get(within.unwrap_or_else(|_| objects.as_ref().clone()))
}
