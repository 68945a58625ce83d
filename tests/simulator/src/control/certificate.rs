//! `/certificate`: the root a client has to trust.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::{Error, Shared};

pub async fn show(State(world): Shared) -> Json<Value> {
    Json(json!({ "rootPublicKey": hex::encode(world.authority.root_public_key()) }))
}

pub async fn rotate(State(world): Shared) -> Result<StatusCode, Error> {
    world
        .authority
        .rotate()
        .map_err(|error| Error::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", &error.to_string()))?;
    world.keep();
    Ok(StatusCode::NO_CONTENT)
}
