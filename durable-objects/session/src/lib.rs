//! The session object: one WhatsApp number of one organization.

pub mod keystore;
