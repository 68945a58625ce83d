//! Whether those who hold a WebSocket open would still be let in.

use std::time::Duration;

use futures::future::{Either, select};
use gateway_domain::access::Capability;
use gateway_domain::api_key::granted;
use serde::Deserialize;
use worker::{Delay, Env};

use crate::calls::reader::Key;
use crate::clock;

/// How long the directory may take; while it can't be asked everybody stays.
const PATIENCE: Duration = Duration::from_secs(10);

/// How many keys are asked after at a time: D1 binds a hundred values at most.
const AT_ONCE: usize = 90;

/// Of these keys of an organization, those that open the event log no longer.
///
/// # Errors
/// When the directory can't be asked.
pub async fn shut_out(env: &Env, organization: &str, keys: &[Key]) -> Result<Vec<Key>, String> {
    let mut out = Vec::new();
    for some in keys.chunks(AT_ONCE) {
        let good = good(env, organization, some).await?;
        out.extend(some.iter().filter(|key| !good.contains(key)).cloned());
    }
    Ok(out)
}

async fn good(env: &Env, organization: &str, keys: &[Key]) -> Result<Vec<Key>, String> {
    #[derive(Deserialize)]
    struct Row {
        id: String,
        hash: String,
        previous: Option<String>,
        permissions: Option<String>,
    }
    let places: Vec<String> = (3..keys.len() + 3).map(|place| format!("?{place}")).collect();
    // A frontend may write dates as text (better-auth over SQLite): what isn't a number is read as a date.
    let statement = format!(
        "SELECT id, key AS hash, permissions, CASE WHEN previous_expires_at > ?2 THEN previous_key END AS previous \
         FROM apikey WHERE reference_id = ?1 AND (enabled IS NULL OR enabled <> 0) \
         AND (expires_at IS NULL OR CASE typeof(expires_at) WHEN 'text' \
              THEN unixepoch(expires_at) * 1000 ELSE expires_at END > ?2) AND id IN ({})",
        places.join(", ")
    );
    #[allow(clippy::cast_precision_loss, reason = "a date, far below 2^53")]
    let mut bindings = vec![organization.into(), (clock::now() as f64).into()];
    bindings.extend(keys.iter().map(|key| key.id.as_str().into()));
    #[allow(clippy::disallowed_methods, reason = "an object asks after keys of its own organization")]
    let asked = async { env.d1("DB")?.prepare(statement).bind(&bindings)?.all().await?.results::<Row>() };
    let rows = match select(std::pin::pin!(asked), Delay::from(PATIENCE)).await {
        Either::Left((rows, _)) => rows.map_err(|error: worker::Error| error.to_string())?,
        Either::Right(_) => return Err("no answer in time".to_owned()),
    };
    let may_read =
        rows.into_iter().filter(|row| granted(row.permissions.as_deref()).contains(&Capability::Events));
    let secrets = may_read.flat_map(|row| {
        let id = row.id;
        [Some(row.hash), row.previous].into_iter().flatten().map(move |hash| Key { id: id.clone(), hash })
    });
    Ok(secrets.collect())
}
