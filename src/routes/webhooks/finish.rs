//! What was cut off, finished by the cron: changes that ledger and object have not heard of, deletes, and secrets that are
//! sealed with a key that was replaced.

use futures::StreamExt;
use gateway_domain::webhook::Vault;
use worker::Env;

use super::{bury, try_announce};
use crate::auth::Organization;
use crate::configuration::{now, webhook_vault};
use crate::directory::{Directory, Operations, WebhookRow};
use crate::error::Refusal;

/// What is told is told within seconds, or it was cut off.
const UNHEARD_MS: u64 = 60 * 1_000;
/// The most webhooks of one run, and how many at a time: a Worker has six connections.
const MOST: u32 = 50;
const AT_ONCE: usize = 5;

/// Finishes what was cut off.
pub async fn finish(env: &Env, operations: &Operations) -> Result<(), Refusal> {
    let rows = operations.unheard_webhooks(now().saturating_sub(UNHEARD_MS), MOST).await?;
    let finished = rows.iter().map(async |row| {
        finish_one(env, row).await.inspect_err(|Refusal(error)| {
            worker::console_warn!("webhook {}: not finished yet: {}", row.id, error.error.message);
        })
    });
    let mut outcomes = futures::stream::iter(finished).buffer_unordered(AT_ONCE);
    while outcomes.next().await.is_some() {}
    match webhook_vault(env) {
        Ok(vault) if vault.is_being_replaced() => seal_anew(operations, &vault).await,
        _ => Ok(()),
    }
}

async fn finish_one(env: &Env, row: &WebhookRow) -> Result<(), Refusal> {
    let directory = Directory::of(env, &Organization::of_webhook(row))?;
    if row.is_to_be_deleted() {
        bury(env, &directory, &row.organization_id, &row.id).await
    } else {
        try_announce(env, &directory, row).await
    }
}

/// After `WEBHOOK_SECRETS_KEY` was replaced: in time nothing is left that the previous key is needed for.
async fn seal_anew(operations: &Operations, vault: &Vault) -> Result<(), Refusal> {
    let sealed = operations.webhooks_sealed_otherwise(&vault.beginning(), MOST).await?;
    let mut anew = 0;
    for row in sealed {
        let again = |text: &str| {
            vault.open(text, &row.id).and_then(|secret| vault.seal(&secret, &row.id, random_nonce()?))
        };
        let Some(secret) = again(&row.secret) else {
            worker::console_error!("webhook {}: its secret opens with neither key", row.id);
            continue;
        };
        // One that can't be opened signs nothing.
        let previous = row.previous_secret.as_deref().and_then(again);
        operations.seal_webhook(&row, &secret, previous.as_deref()).await?;
        anew += 1;
    }
    if anew > 0 {
        worker::console_log!("{anew} webhooks' secrets were sealed with the new key");
    }
    Ok(())
}

fn random_nonce() -> Option<[u8; 12]> {
    let mut nonce = [0; 12];
    getrandom::fill(&mut nonce).ok().map(|()| nonce)
}
