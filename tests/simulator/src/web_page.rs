//! WhatsApp Web's page as far as clients read it, `sw.js`: which version is the newest. And what follows: who claims an
//! older one than is still taken is refused at login (405).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use waproto::whatsapp::ClientPayload;

/// What the server answers to a client that is too old.
pub const OUTDATED: u16 = 405;
/// The third number of 2.3000.N, until a test says otherwise.
const REVISION: u32 = 1_042_742_319;

/// See the module.
#[derive(Clone)]
pub struct WebPage(Arc<Mutex<State>>);

#[derive(Serialize)]
struct State {
    /// What the page says; without it the page is out of order.
    revision: Option<u32>,
    /// The oldest that may log in.
    oldest: u32,
    /// How often the page was asked for.
    asked: u64,
    /// What each number's device claimed at its last login.
    claimed: BTreeMap<String, u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    #[serde(default)]
    revision: Option<u32>,
    #[serde(default)]
    oldest: u32,
}

impl Default for WebPage {
    fn default() -> Self {
        let state = State { revision: Some(REVISION), oldest: 0, asked: 0, claimed: BTreeMap::new() };
        Self(Arc::new(Mutex::new(state)))
    }
}

impl WebPage {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what a login claims; the refusal, if it is too old.
    pub fn refusal(&self, payload: &ClientPayload) -> Option<u16> {
        let claimed = payload.user_agent.app_version.tertiary.unwrap_or_default();
        let mut state = self.state();
        state.claimed.insert(payload.username.unwrap_or_default().to_string(), claimed);
        (claimed < state.oldest).then_some(OUTDATED)
    }

    /// `GET /sw.js`, and for tests `GET` and `PUT /whatsapp-version` with `{"revision": N, "oldest": N}`: null or
    /// nothing takes the page down, or takes every version.
    pub fn router<S: Clone + Send + Sync + 'static>(&self) -> Router<S> {
        let (page, shown, changed) = (self.clone(), self.clone(), self.clone());
        Router::new().route("/sw.js", get(|| async move { page.serve() })).route(
            "/whatsapp-version",
            get(|| async move { shown.show() })
                .put(|Json(change): Json<Change>| async move { changed.change(&change) }),
        )
    }

    fn serve(&self) -> Response {
        let mut state = self.state();
        state.asked += 1;
        let Some(revision) = state.revision else { return StatusCode::SERVICE_UNAVAILABLE.into_response() };
        // JSON in a JavaScript string, as WhatsApp serves it, and more beside it than anybody wants.
        let data = json!({ "SiteData": { "server_revision": revision, "client_revision": revision } });
        let page = format!("__DEV__=0;\nself.__swData=JSON.parse(/*BTDS*/{});\n", json!(data.to_string()));
        ([(header::CONTENT_TYPE, "application/javascript")], page).into_response()
    }

    fn show(&self) -> Json<Value> {
        Json(json!(*self.state()))
    }

    fn change(&self, change: &Change) -> StatusCode {
        let mut state = self.state();
        (state.revision, state.oldest) = (change.revision, change.oldest);
        StatusCode::NO_CONTENT
    }
}
