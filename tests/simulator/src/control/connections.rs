//! `/connections`: how often clients knocked, and who is in.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::Shared;

pub async fn show(State(world): Shared) -> Json<Value> {
    // Six refs, one registration.
    let waiting: std::collections::HashSet<_> = world
        .registrations()
        .values()
        .filter(|registration| registration.waits())
        .map(|registration| registration.noise_static)
        .collect();
    let open = world.sockets().len();
    Json(json!({
        "handshakes": world.counters.handshakes(),
        "refused": world.counters.refusals(),
        "openSockets": open,
        "registrationsWaiting": waiting.len(),
    }))
}
