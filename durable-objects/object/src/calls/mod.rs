//! The objects' whole interfaces: one POST with a request, answered by 200 with the call's answer as JSON, or by an
//! [`ApiError`](gateway_domain::error::ApiError) with its status.

pub mod organization;
pub mod session;
pub mod webhook;
