//! A stream lasts as long as its caller would be let in.

use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes};
use axum::response::Response;
use futures::future::{Either, select};
use futures::stream::{StreamExt, unfold};
use worker::send::SendFuture;
use worker::{Delay, Env};

use crate::auth::{Allowed, Failure, admit};
use crate::configuration::now;

/// How often the caller of a stream is authenticated again, in milliseconds: a revoked key's streams end within a
/// minute.
const CHECK_EVERY: u64 = 25_000;
/// How long that may take, while the stream waits.
const CHECK_PATIENCE: Duration = Duration::from_secs(10);
/// Then the stream ends, after a quarter of an hour, and its reader comes back for the rest: a request may ask
/// the directory only so often (50 times on the smallest plan), and a stream that can't be checked can't be ended.
const CHECKS: u32 = 36;

/// The stream, for as long as its caller would be let in.
pub fn watched(stream: Response, env: Env, caller: Allowed) -> Response {
    let (parts, body) = stream.into_parts();
    let check_at = now().saturating_add(CHECK_EVERY);
    let body = body.into_data_stream();
    let watched = Watched { body, env, caller, check_at, checks: CHECKS };
    let body = unfold(watched, |mut watched| {
        SendFuture::new(async move { watched.next().await.map(|chunk| (chunk, watched)) })
    });
    Response::from_parts(parts, Body::from_stream(body))
}

struct Watched {
    body: BodyDataStream,
    env: Env,
    caller: Allowed,
    check_at: u64,
    checks: u32,
}

impl Watched {
    async fn next(&mut self) -> Option<Result<Bytes, axum::Error>> {
        loop {
            let left = self.check_at.saturating_sub(now());
            if left > 0 {
                let check = Delay::from(Duration::from_millis(left));
                if let Either::Left((chunk, _)) = select(self.body.next(), check).await {
                    return chunk;
                }
            } else {
                self.checks = self.checks.checked_sub(1)?;
                if !self.would_be_let_in().await {
                    let whose =
                        self.caller.principal.key().map_or("a login".to_owned(), |id| format!("key {id}"));
                    worker::console_log!("a stream of {whose} ends: it opens the door no longer");
                    return None;
                }
                self.check_at = now().saturating_add(CHECK_EVERY);
            }
        }
    }

    /// As far as can be known: while the directory can't be asked the stream goes on.
    async fn would_be_let_in(&self) -> bool {
        let asking = std::pin::pin!(self.caller.credential.authenticate(&self.env));
        match select(asking, Delay::from(CHECK_PATIENCE)).await {
            Either::Left((Ok(principal), _)) => {
                principal.organization == self.caller.principal.organization
                    && admit(self.caller.access, &principal).is_ok()
            }
            Either::Left((Err(failure), _)) => matches!(failure, Failure::Unanswered(_)),
            Either::Right(_) => true,
        }
    }
}
