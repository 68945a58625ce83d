//! Writing the audit log. The entry is written before the answer leaves, so that who has the answer finds the entry;
//! when the directory can't take it, the answer stands and the entry goes to the log of the Worker.

use axum::body::Body;
use axum::response::Response;
use gateway_domain::access::Operation;
use gateway_domain::audit::{Actor, ActorKind, AuditEntry, Outcome, resource};
use gateway_domain::error::ErrorCode;
use gateway_domain::ids;
use http::Request;
use worker::Env;

use crate::auth::{Caller, Principal, address};
use crate::configuration::{now, random};
use crate::directory::Directory;
use crate::request_id::RequestId;
use crate::routes::verbs;

/// What a handler adds, on the extensions of its answer: what it made, or whose it touched.
#[derive(Clone, Default)]
pub struct About {
    /// The resource, where the path does not name it.
    pub resource: Option<String>,
    /// The organization it belongs to, where that is not the caller's.
    pub organization: Option<String>,
}

impl About {
    /// What an operation made.
    pub fn made(collection: &str, id: &str) -> Self {
        Self { resource: Some(format!("{collection}/{id}")), organization: None }
    }
}

/// An entry on its way.
pub struct Record {
    operation: &'static Operation,
    organization: String,
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
        Self {
            operation,
            organization: principal.organization.clone(),
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
        if !self.operation.audited && reached_over.is_none() {
            return;
        }
        let status = response.status().as_u16();
        let at = now();
        let entry = AuditEntry {
            id: ids::mint(at, random()),
            organization_id: reached_over.unwrap_or(self.organization),
            timestamp: at,
            actor: self.actor,
            operation: self.operation.id.to_owned(),
            resource: about.resource.or(self.resource),
            address: self.address,
            request_id: self.request_id,
            outcome: Outcome::of(status),
            status,
            error_code: response.extensions().get::<ErrorCode>().map(|code| code.name().to_owned()),
        };
        let written = async { Directory::of(env, &entry.organization_id)?.append_audit(&entry).await };
        if written.await.is_err() {
            let entry = serde_json::to_string(&entry).unwrap_or_default();
            worker::console_error!("an audit entry could not be written: {entry}");
        }
    }
}
