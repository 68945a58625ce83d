//! Writing the audit log. The entry is written before the answer leaves, so that who has the answer finds the entry;
//! when the directory can't take it, the answer stands and the entry goes to the log of the Worker.
//!
//! What was done is always written. What was refused or failed is written up to a limit for each actor
//! (`AUDITED_REFUSALS` in `wrangler.toml`): nobody fills the log, or the directory, with what they may not do.

use std::cell::RefCell;

use axum::body::Body;
use axum::response::Response;
use gateway_domain::access::{Access, Operation};
use gateway_domain::audit::{Actor, ActorKind, AuditEntry, Outcome, resource};
use gateway_domain::deadlines::Deadlines;
use gateway_domain::error::ErrorCode;
use gateway_domain::ids;
use http::Request;
use worker::Env;

use crate::auth::{Caller, Organization, Principal, address};
use crate::configuration::{now, random};
use crate::directory::{Directory, SessionRow};
use crate::request_id::RequestId;
use crate::routes::verbs;

/// The binding that counts what was refused or failed, by actor.
pub const LIMITER: &str = "AUDITED_REFUSALS";
/// How long an actor whose entries are left out is not named again, in milliseconds.
const SAID_FOR: u64 = 60_000;
/// How many such actors an isolate keeps.
const KEPT: usize = 1_024;

thread_local! {
    static SAID: RefCell<Deadlines> = RefCell::new(Deadlines::at_most(KEPT));
}

/// What a handler adds, on the extensions of its answer: what it made, whose it touched, or that it did something.
#[derive(Clone, Default)]
pub struct About {
    /// The resource, where the path does not name it.
    pub resource: Option<String>,
    /// The organization it belongs to, where that is not the caller's.
    pub organization: Option<Organization>,
    /// Whether something was begun by an operation that otherwise only reads, whatever the answer's status.
    pub has_begun: bool,
}

impl About {
    /// What an operation made.
    pub fn made(collection: &str, id: &str) -> Self {
        Self { resource: Some(format!("{collection}/{id}")), ..Self::default() }
    }

    /// Whose session was looked at.
    pub fn seen(row: &SessionRow) -> Self {
        Self { organization: Some(Organization::of(row)), ..Self::default() }
    }

    /// That reading began something.
    pub fn begun() -> Self {
        Self { has_begun: true, ..Self::default() }
    }

    /// The answer, with this on it.
    pub fn on(self, mut response: Response) -> Response {
        response.extensions_mut().insert(self);
        response
    }
}

/// An entry on its way.
pub struct Record {
    operation: &'static Operation,
    organization: Organization,
    actor: Actor,
    resource: Option<String>,
    address: Option<String>,
    request_id: String,
}

impl Record {
    /// Notes who asks for what.
    pub fn begin(operation: &'static Operation, principal: &Principal, request: &Request<Body>) -> Self {
        let (kind, id) = match &principal.caller {
            Caller::Person { user, .. } => (ActorKind::User, user),
            Caller::Key { id } => (ActorKind::ApiKey, id),
        };
        let request_id = request.extensions().get::<RequestId>().map(|RequestId(id)| id.clone());
        // What is done across organizations is nobody's but the platform's.
        let across = Organization::platform(principal).filter(|_| operation.access == Access::SuperAdmin);
        Self {
            operation,
            organization: across.unwrap_or_else(|| principal.organization.clone()),
            actor: Actor { kind, id: id.clone(), super_admin: principal.is_super_admin() },
            resource: resource(&verbs::to_public(request.uri().path())),
            address: address(request.headers()).map(|address| address.to_string()),
            request_id: request_id.unwrap_or_default(),
        }
    }

    /// Notes how it ended, and writes the entry if there is to be one.
    pub async fn end(self, env: &Env, response: &Response) {
        let about = response.extensions().get::<About>().cloned().unwrap_or_default();
        let reached_over = about.organization.filter(|organization| *organization != self.organization);
        if !self.operation.audited && reached_over.is_none() && !about.has_begun {
            return;
        }
        let status = response.status().as_u16();
        let outcome = if about.has_begun { Outcome::Success } else { Outcome::of(status) };
        if outcome != Outcome::Success && is_one_too_many(env, &self.actor).await {
            return;
        }
        let code = response.extensions().get::<ErrorCode>().filter(|_| outcome != Outcome::Success);
        let at = now();
        let organization = reached_over.unwrap_or(self.organization);
        let entry = AuditEntry {
            id: ids::mint(at, random()),
            organization_id: organization.as_str().to_owned(),
            timestamp: at,
            actor: self.actor,
            operation: self.operation.id.to_owned(),
            resource: about.resource.or(self.resource),
            address: self.address,
            request_id: self.request_id,
            outcome,
            status,
            error_code: code.map(|code| code.name().to_owned()),
        };
        let written = async { Directory::of(env, &organization)?.append_audit(&entry).await };
        if written.await.is_err() {
            let entry = serde_json::to_string(&entry).unwrap_or_default();
            worker::console_error!("an audit entry could not be written: {entry}");
        }
    }
}

/// Whether so much of this actor was refused or failed lately that it is written no longer. While that can't be counted
/// all is written.
async fn is_one_too_many(env: &Env, actor: &Actor) -> bool {
    let name = format!("{} {}", actor.kind.name(), actor.id);
    let counted = async { env.rate_limiter(LIMITER)?.limit(name.clone()).await };
    match counted.await {
        Ok(outcome) if outcome.success => false,
        Ok(_) => {
            let now = now();
            let was_said = SAID.with_borrow(|said| said.of(&name, now)).is_some();
            if !was_said {
                worker::console_warn!("too many refusals of {name}: some are not in the audit log");
                SAID.with_borrow_mut(|said| said.hold(name, now + SAID_FOR, now));
            }
            true
        }
        Err(error) => {
            worker::console_warn!("audited refusals are not counted: {error}");
            false
        }
    }
}
